/* Every one of the 2^32 F32 through every kernel that takes them, against the one-by-one conversion. */
#define ST_IMPLEMENTATION
#include "../../safetensors.h"

#include "../test.h"

#define PIECE 65536u

#if STI_SSE2 || STI_NEON
static uint32_t src[PIECE];
static unsigned char want[PIECE * 8], got[PIECE * 8];

static void fill(uint32_t upper) {
    uint32_t i;
    for (i = 0; i < PIECE; i++) src[i] = upper << 16 | i;
}

static void all_words(st_dtype to) {
    static const struct {
        sti_kernel kernel;
        int wide;
    } kernels[] = {
#if STI_NEON
        {sti_neon_convert, 0},
#else
        {sti_sse2_convert, 0},
#if STI_AVX2
        {sti_avx2_convert, 1},
#endif
#endif
    };
    const unsigned char *bytes = (const unsigned char *)(const void *)src;
    const size_t size = st_dtype_bits(to) / 8 * PIECE;
    uint32_t upper;
    size_t k;
    test_row = st_dtype_name(to);
    for (upper = 0; upper < 65536; upper++) {
        fill(upper);
        sti_convert_scalar(to, want, ST_DTYPE_F32, bytes, 0, PIECE, 0);
        for (k = 0; k < sizeof kernels / sizeof *kernels; k++) {
            uint64_t was;
#if STI_AVX2
            if (kernels[k].wide && !sti_system_has_avx2()) continue;
#endif
            was = sti_exchange_float_mode(STI_NEON ? 0 : 0x1f80);
            CHECK_EQ(kernels[k].kernel(to, got, ST_DTYPE_F32, bytes, PIECE, 0), PIECE);
            (void)sti_exchange_float_mode(was);
            if (!CHECK(memcmp(got, want, size) == 0)) printf("%s: upper half %lx\n", test_row, (unsigned long)upper);
        }
    }
    test_row = "";
}

int main(void) {
    all_words(ST_DTYPE_BF16);
    all_words(ST_DTYPE_F16);
    all_words(ST_DTYPE_F64);
    return test_done("words");
}
#else
int main(void) {
    SKIP("no vector instructions here");
    return test_done("words");
}
#endif
