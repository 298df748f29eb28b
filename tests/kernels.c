/* Compares the conversion kernels of room 15 with its scalar conversion: all 8-bit and 16-bit codes, all upper
 * halves of F32 with the lower halves that affect rounding (tests/exhaustive covers all of F32), any length, any
 * alignment, with cached and streaming stores, and in any floating-point mode. */
#define ST_IMPLEMENTATION
#include "../safetensors.h"

#include "test.h"

#define DTYPES 23

static const char *pair_name(int to, int from) {
    static char text[40];
    sprintf(text, "%s to %s", st_dtype_name((st_dtype)from), st_dtype_name((st_dtype)to));
    return text;
}

static uint64_t state = 88172645463325252u;

static uint64_t chance(void) {
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state;
}

static unsigned char *memory(size_t n) {
    unsigned char *bytes = (unsigned char *)malloc(n + 1);
    if (!bytes) exit(2);
    return bytes;
}

/* bytes of n elements, rounded up to groups of 8 */
static size_t bytes_of(int dtype, size_t n) {
    return n / 8 * st_dtype_bits((st_dtype)dtype);
}

/* ---- source data: a multiple of 8 elements --------------------------------------------------------------- */

static unsigned char *bytes_in_order(size_t n) {
    unsigned char *bytes = memory(n);
    size_t i;
    for (i = 0; i < n; i++) bytes[i] = (unsigned char)i;
    return bytes;
}

static unsigned char *halves(size_t *n) {
    unsigned char *bytes = memory(65536 * 2);
    size_t i;
    for (i = 0; i < 65536; i++) {
        const uint16_t half = (uint16_t)i;
        memcpy(bytes + i * 2, &half, 2);
    }
    *n = 65536;
    return bytes;
}

/* each upper half of F32, with lower halves at and next to the ties of F16 and BF16 */
static unsigned char *words(size_t *n) {
    static const uint16_t low[] = {0,      1,      0x0fff, 0x1000, 0x1001, 0x1fff, 0x2000, 0x3000,
                                   0x7fff, 0x8000, 0x8001, 0x9000, 0xefff, 0xf000, 0xf001, 0xffff};
    const size_t each = sizeof low / sizeof *low;
    unsigned char *bytes = memory(65536 * 4 * each);
    size_t i;
    for (i = 0; i < 65536 * each; i++) {
        const uint32_t word = (uint32_t)(i / each) << 16 | low[i % each];
        memcpy(bytes + i * 4, &word, 4);
    }
    *n = 65536 * each;
    return bytes;
}

/* F64: values at and next to the ties of F32, with all its exponents, normal and subnormal, and random bits */
static unsigned char *doubles(size_t *n) {
    const size_t count = 120000;
    unsigned char *bytes = memory(count * 8);
    size_t i;
    for (i = 0; i < count; i++) {
        uint64_t code = chance();
        if (i % 8 > 0) {
            const uint64_t exponent = (uint64_t)(860 + i / 8 % 330); /* F32's exponents: 874 to 1150 */
            code = (code & 0x8000000000000000u) | exponent << 52 | (code & 0x000fffffe0000000u);
            if (i % 8 > 1 && exponent < 897)
                code &= ~(uint64_t)0 << (29 + 897 - exponent < 52 ? 29 + 897 - exponent : 52);
            if (i % 8 > 2)
                code |= (uint64_t)1 << (exponent < 897 && 28 + 897 - exponent < 52 ? 28 + 897 - exponent : 28);
            if (i % 8 == 4) code++;
            if (i % 8 == 5) code--;
        }
        memcpy(bytes + i * 8, &code, 8);
    }
    *n = count;
    return bytes;
}

static unsigned char *operands(int dtype, size_t *n) {
    switch (st_dtype_bits((st_dtype)dtype)) {
    case 64: return doubles(n);
    case 32: return words(n);
    case 16: return halves(n);
    default: *n = 2048; return bytes_in_order(2048); /* more than enough for 4 and 6 bits */
    }
}

/* ---- each kernel by itself ------------------------------------------------------------------------------- */

#if STI_SSE2 || STI_NEON

static unsigned kernels_seen;

static void compare(int to, int from, sti_kernel kernel, const char *name) {
    size_t n, done, i, size = st_dtype_bits((st_dtype)to) / 8;
    unsigned char *src = operands(from, &n), *want = memory(n * size), *got = memory(n * size);
    uint64_t was = sti_exchange_float_mode(STI_NEON ? 0 : 0x1f80);
    memset(got, 0x55, n * size);
    done = kernel((st_dtype)to, got, (st_dtype)from, src, n, 0);
    (void)sti_exchange_float_mode(was);
    if (done > 0) {
        unsigned differ = 0;
        kernels_seen++;
        CHECK_EQ(done, n);
        sti_convert_scalar((st_dtype)to, want, (st_dtype)from, src, 0, n, 0);
        for (i = 0; i < n; i++) {
            if (memcmp(got + i * size, want + i * size, size) == 0) continue;
            if (differ++ < 5) printf("%s: %s: element %lu differs\n", name, test_row, (unsigned long)i);
        }
        CHECK_EQ(differ, 0);
    }
    free(src);
    free(want);
    free(got);
}

static void all_codes(sti_kernel kernel, const char *name) {
    int to, from;
    kernels_seen = 0;
    for (from = 1; from < DTYPES; from++) {
        for (to = 1; to < DTYPES; to++) {
            if (to == from || !sti_is_convertible((st_dtype)to, (st_dtype)from) || from == ST_DTYPE_C64) continue;
            test_row = pair_name(to, from);
            compare(to, from, kernel, name);
        }
    }
    test_row = name;
    CHECK_EQ(kernels_seen, 13); /* BF16 F16 E4M3 E5M2 F4 I8 U8 F64 to F32, F32 to F64 F16 BF16, BF16 and F16 */
    test_row = "";
}

/* conversion does not depend on the program's rounding mode, flush-to-zero mode or traps, and does not change them */
static void modes(void) {
    static const uint64_t set[] = {
#if STI_NEON
        0x01000000,
        0x02c00000,
        0x00400000 /* flush to zero; flush to zero, default NaN, toward 0; upward */
#else
        0xffc0,
        0x3f80,
        0x5f80,
        0x0000 /* toward 0 with both flush modes; down; up; all traps on */
#endif
    };
    int to, from;
    size_t k, n;
    for (from = 1; from < DTYPES; from++) {
        for (to = 1; to < DTYPES; to++) {
            unsigned char *src, *want, *got;
            size_t bytes;
            if (to == from || !sti_is_convertible((st_dtype)to, (st_dtype)from) || from == ST_DTYPE_C64) continue;
            if (from == ST_DTYPE_F6_E2M3 || from == ST_DTYPE_F6_E3M2 || sti_number_formats[to].kind < STI_KIND_IEEE)
                continue;
            test_row = pair_name(to, from);
            src = operands(from, &n);
            if (n > 30000) { /* test parts of long sources only */
                const size_t size = st_dtype_bits((st_dtype)from) / 8, step = n / 30000;
                size_t i;
                n = n / step / 8 * 8;
                for (i = 0; i < n; i++) memmove(src + i * size, src + i * step * size, size);
            }
            bytes = bytes_of(to, n);
            want = memory(bytes);
            got = memory(bytes);
            sti_convert_scalar((st_dtype)to, want, (st_dtype)from, src, 0, n, 0);
            for (k = 0; k < sizeof set / sizeof *set; k++) {
                uint64_t was = sti_exchange_float_mode(set[k]), kept = sti_exchange_float_mode(set[k]),
                         after; /* the bits that this CPU supports */
                (void)st_convert((st_dtype)to, got, (st_dtype)from, src, n);
                after = sti_exchange_float_mode(was);
                CHECK(memcmp(got, want, bytes) == 0);
                CHECK_EQ(after, kept);
            }
            free(src);
            free(want);
            free(got);
        }
    }
    test_row = "";
}

#endif

/* ---- any length, any alignment --------------------------------------------------------------------------- */

/* converts n elements of src, starting with first, to a dst `skew` bytes past a multiple of 64, with guard bytes
 * around it */
static void place(int to, int from, const unsigned char *src, size_t first, size_t n, size_t place_of_dst,
                  unsigned how) {
    static unsigned char room[64 + 64 + 80 * 8 + 64], want[80 * 8];
    unsigned char *dst = room + (64 - (uintptr_t)room % 64) + place_of_dst;
    const size_t bytes = n * (st_dtype_bits((st_dtype)to) / 8);
    const unsigned char *c;
    int good = 1;
    memset(room, 0x55, sizeof room);
    sti_convert_scalar((st_dtype)to, want, (st_dtype)from, src, first, n, 0);
    sti_convert((st_dtype)to, dst, (st_dtype)from, src, first, n, how);
    good = memcmp(dst, want, bytes) == 0;
    for (c = room; c < dst; c++) good = good && *c == 0x55;
    for (c = dst + bytes; c < room + sizeof room; c++) good = good && *c == 0x55;
    if (!CHECK(good)) printf("%s: first %lu, n %lu\n", test_row, (unsigned long)first, (unsigned long)n);
}

static void places(void) {
    int to, from;
    size_t n, i;
    for (from = 1; from < DTYPES; from++) {
        const unsigned bits = st_dtype_bits((st_dtype)from);
        if (from == ST_DTYPE_C64) continue;
        for (to = 1; to < DTYPES; to++) {
            if (to == from || !sti_is_convertible((st_dtype)to, (st_dtype)from)) continue;
            test_row = pair_name(to, from);
            for (n = 0; n <= 70; n++) {
                /* an unaligned block of exactly these elements, so that sanitizers detect reads past it */
                const size_t first = n % 5, exact = ((first + n) * bits + 7) / 8;
                unsigned char *block = memory(exact), *src;
                for (i = 0; i < exact; i++) block[i] = (unsigned char)(chance() >> 20);
                src = memory(exact) + 1; /* memory() allocates one extra byte */
                memcpy(src, block, exact);
                place(to, from, src, first, n, n % 3 == 0 ? 0 : n % 13, 0);
                place(to, from, block, first, n, n % 7 * 4, STI_TO_STREAM);
                place(to, from, src, first, n, n % 31, STI_TO_STREAM);
                place(to, from, src, first, n, 32, STI_TO_STREAM);
                free(block);
                free(src - 1);
            }
        }
    }
    test_row = "";
}

/* conversions large enough for streaming stores, checked from the first element to the last */
static void large(void) {
    const size_t n = STI_CACHE_BYTES / 4 + 12;
    unsigned char *src = memory(n), *dst = memory(n * 4 + 8);
    size_t i;
    uint32_t differ = 0;
    for (i = 0; i < n; i++) src[i] = (unsigned char)(i % 251);
    memset(dst, 0x55, n * 4 + 8);
    CHECK_STATUS(st_convert(ST_DTYPE_F32, dst + 4, ST_DTYPE_U8, src, n), ST_OK);
    for (i = 0; i < n; i++) {
        float f;
        memcpy(&f, dst + 4 + i * 4, 4);
        differ += f != (float)(i % 251);
    }
    CHECK_EQ(differ, 0);
    CHECK(dst[3] == 0x55 && dst[4 + n * 4] == 0x55);
    free(src);
    free(dst);
}

int main(void) {
#if STI_NEON
    all_codes(sti_neon_convert, "NEON");
    modes();
#elif STI_SSE2
    all_codes(sti_sse2_convert, "SSE2");
#if STI_AVX2
    if (sti_system_has_avx2()) {
        all_codes(sti_avx2_convert, "AVX2");
    } else {
        SKIP("no AVX2 here");
    }
#endif
    modes();
#else
    SKIP("no vector instructions here");
#endif
    places();
    large();
    return test_done("kernels");
}
