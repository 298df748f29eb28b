/* fuzz_quick.c: the library with its fast paths and without them (tests/quick/plain.c) must return the same status,
 * error and model for the same file.
 * Input: as for fuzz_open. */
#define ST_IMPLEMENTATION
#include "fuzz.h"

#include "../tests/quick/compare.h"

#define OPTION_BYTES 2

/* option byte 0 as in fuzz_open, where it applies; byte 1: the header limit */
enum { UNKNOWN_DTYPES = 1, TRAILING = 2, NO_MAP = 4, SMALL_LIMIT = 8 };

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed) {
    return fuzz_mutate(data, size, max_size, seed, OPTION_BYTES);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    unsigned flags = 0;
    uint8_t *file;
    size_t n;
    if (size < OPTION_BYTES) return 0;
    if (data[0] & UNKNOWN_DTYPES) flags |= ST_OPEN_UNKNOWN_DTYPES;
    if (data[0] & TRAILING) flags |= ST_OPEN_TRAILING;
    if (data[0] & NO_MAP) flags |= ST_OPEN_NO_MAP;
    n = size - OPTION_BYTES;
    file = fuzz_copy(data + OPTION_BYTES, n);
    CHECK(plain_is_plain());
    (void)compare_both(file, n, n, flags, data[0] & SMALL_LIMIT ? data[1] + 1u : 0);
    free(file);
    return 0;
}
