/* order.c: swaps bytes on big-endian machines. */
#include "order.h"

void to_file_order(void *numbers, size_t bytes, st_dtype dtype) {
    const uint16_t probe = 1;
    const size_t size = dtype == ST_DTYPE_C64 ? 4 : st_dtype_bits(dtype) / 8; /* C64 is two F32 */
    unsigned char *at = (unsigned char *)numbers;
    size_t i, k;
    if (*(const unsigned char *)&probe == 1 || size < 2) return;
    for (i = 0; i + size <= bytes; i += size) {
        for (k = 0; k < size / 2; k++) {
            const unsigned char byte = at[i + k];
            at[i + k] = at[i + size - 1 - k];
            at[i + size - 1 - k] = byte;
        }
    }
}
