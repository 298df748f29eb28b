/* Tests room 15, conversion: every pair of dtypes compared with an independent implementation (fuzz/slow_numbers.h),
 * every code of the small dtypes compared with ml_dtypes, special values by hand, and what st_convert rejects. */
#define ST_IMPLEMENTATION
#include "../safetensors.h"

#include "../fuzz/slow_numbers.h"
#include "codes.h"
#include "test.h"

#ifndef NAME
#define NAME "numbers"
#endif

#define DTYPES 23

typedef struct list { /* codes of one dtype, converted in one call */
    int dtype;
    uint64_t *codes;
    size_t n, room;
} list;

static void list_add(list *l, uint64_t code) {
    if (l->n == l->room) {
        l->room = l->room * 2 + 64;
        l->codes = (uint64_t *)realloc(l->codes, l->room * sizeof *l->codes);
        if (!l->codes) exit(2);
    }
    l->codes[l->n++] = code;
}

/* packs n codes as in memory; the caller frees the result */
static unsigned char *packed_codes(int dtype, const uint64_t *codes, size_t n) {
    const unsigned bits = st_dtype_bits((st_dtype)dtype);
    unsigned char *bytes = (unsigned char *)calloc(n + 1, bits < 8 ? 1 : bits / 8);
    size_t i, bit;
    if (!bytes) exit(2);
    for (i = 0; i < n; i++) {
        const uint16_t half = (uint16_t)codes[i];
        const uint32_t word = (uint32_t)codes[i];
        switch (bits) {
        case 8: bytes[i] = (unsigned char)codes[i]; break;
        case 16: memcpy(bytes + i * 2, &half, 2); break;
        case 32: memcpy(bytes + i * 4, &word, 4); break;
        case 64: memcpy(bytes + i * 8, &codes[i], 8); break;
        default:
            for (bit = 0; bit < bits; bit++) {
                if (codes[i] >> bit & 1) bytes[(i * bits + bit) / 8] |= (unsigned char)(1u << (i * bits + bit) % 8);
            }
        }
    }
    return bytes;
}

static uint64_t element(int dtype, const unsigned char *bytes, size_t i) {
    uint16_t half;
    uint32_t word;
    uint64_t code;
    switch (st_dtype_bits((st_dtype)dtype)) {
    case 8: return bytes[i];
    case 16: memcpy(&half, bytes + i * 2, 2); return half;
    case 32: memcpy(&word, bytes + i * 4, 4); return word;
    default: memcpy(&code, bytes + i * 8, 8); return code;
    }
}

static const char *conversion_name(int to, int from) {
    static char text[40];
    sprintf(text, "%s to %s", st_dtype_name((st_dtype)from), st_dtype_name((st_dtype)to));
    return text;
}

/* ---- test values ----------------------------------------------------------------------------------------- */

/* adds the code and its two neighbours, each with a random sign */
static void list_near(list *l, uint64_t code) {
    const unsigned bits = st_dtype_bits((st_dtype)l->dtype);
    const uint64_t all = UINT64_MAX >> (64 - bits), sign = (uint64_t)1 << (bits - 1);
    const uint64_t one = l->n % 2 ? sign : 0, other = sign - one; /* alternate signs */
    list_add(l, (code & all) ^ one);
    if (code > 0) list_add(l, ((code - 1) & all) ^ other);
    if (code < all) list_add(l, ((code + 1) & all) ^ one);
}

/* adds values near the midpoints between codes of another float dtype, near the first code, and near its complement */
static void list_middles(list *l, int of) {
    const uint64_t most = slow_largest(of);
    uint64_t code, step = st_dtype_bits((st_dtype)of) == 8 ? 1 : st_dtype_bits((st_dtype)of) == 16 ? 997 : most / 61;
    for (code = 0; code <= most; code += code < 20 || most - code < 20 || step == 1 ? 1 : step) {
        list_near(l, slow_encode(l->dtype, slow_middle(of, code)));
        list_near(l, slow_encode(l->dtype, slow_finite(of, code)));
        if (most - code >= 20 && most - code < step) code = most - 20; /* all of the largest codes */
    }
}

static void list_floats(list *l) {
    int of, i;
    for (of = 1; of < DTYPES; of++) {
        const char kind = slow_formats[of].kind;
        if (of != l->dtype && (kind == 'i' || kind == 'n' || kind == 'z')) list_middles(l, of);
    }
    for (i = 0; i <= 65; i++) { /* the limits of integers, and halves between small ones */
        slow_number n = {0, 0, 0, 1, 0};
        n.power = i;
        list_near(l, slow_encode(l->dtype, n));
        n.whole = (uint64_t)i * 2 + 1;
        n.power = -1;
        list_near(l, slow_encode(l->dtype, n));
        n.whole = slow_two_to(i % 33) * 2 + 3;
        list_near(l, slow_encode(l->dtype, n));
    }
    for (i = 0; i < 8; i++) { /* infinity, quiet and signaling NaNs */
        list_near(l, slow_largest(l->dtype) + 2 + (uint64_t)(i & 1) +
                         slow_two_to(slow_formats[l->dtype].fraction - i % 3));
    }
    list_near(l, slow_largest(l->dtype) + 1);
    list_near(l, slow_two_to(slow_formats[l->dtype].bits - 1) - 1);
}

/* adds integers near powers of two and near sums of two powers, which are ties for floats */
static void list_integers(list *l) {
    const int bits = (int)st_dtype_bits((st_dtype)l->dtype);
    int i, j;
    for (i = 0; i < bits; i++) {
        list_near(l, slow_two_to(i));
        for (j = i % 2; j<i; j += bits> 32 ? 2 : 1) list_near(l, slow_two_to(i) + slow_two_to(j));
        for (j = 1 + i % 7; j < i; j += 7) list_near(l, slow_two_to(i) + slow_two_to(j) + slow_two_to(j - 1));
    }
    list_near(l, UINT64_MAX >> (64 - bits));
    list_near(l, (UINT64_MAX >> (64 - bits)) / 2);
}

static void list_of(list *l, int dtype) {
    const unsigned bits = st_dtype_bits((st_dtype)dtype);
    uint64_t code;
    l->dtype = dtype;
    l->n = 0;
    if (bits <= 8) {
        for (code = 0; code < (uint64_t)1 << bits; code++) list_add(l, code);
        return;
    }
    if (slow_formats[dtype].kind == 'i') {
        list_floats(l);
    } else {
        list_integers(l);
    }
    if (bits == 16) {
        for (code = 0; code < 65536; code += 211) list_add(l, code);
    }
    while (l->n % 4 != 0) list_add(l, 0);
}

/* ---- tests ----------------------------------------------------------------------------------------------- */

static void pairs(void) {
    list l = {0, NULL, 0, 0};
    int to, from, supported = 0;
    for (from = 1; from < DTYPES; from++) {
        if (from == ST_DTYPE_C64) continue;
        list_of(&l, from);
        for (to = 1; to < DTYPES; to++) {
            unsigned char *src, *dst;
            size_t i;
            if (!slow_pair(to, from) || to == from) continue;
            supported++;
            test_row = conversion_name(to, from);
            src = packed_codes(from, l.codes, l.n);
            dst = (unsigned char *)malloc(l.n * 8);
            if (!dst) exit(2);
            CHECK_STATUS(st_convert((st_dtype)to, dst, (st_dtype)from, src, l.n), ST_OK);
            for (i = 0; i < l.n; i++) {
                const uint64_t want = slow_encode(to, slow_decode(from, l.codes[i]));
                const uint64_t mask = UINT64_MAX >> (64 - st_dtype_bits((st_dtype)to));
                if (CHECK_EQ(element(to, dst, i), want & mask)) continue;
                printf("%s: of code %lx%08lx\n", test_row, (unsigned long)(l.codes[i] >> 32),
                       (unsigned long)(l.codes[i] & 0xffffffff));
            }
            free(src);
            free(dst);
        }
    }
    test_row = "";
    CHECK_EQ(supported, 21 * 17 - 17); /* all but C64 to the 17 whole-byte dtypes, except to themselves */
    free(l.codes);
}

/* returns the bits of the F64 equal to a finite or infinite F32; in integers, so that -ffast-math has no effect */
static uint64_t widened(uint32_t bits) {
    const uint64_t sign = (uint64_t)(bits >> 31) << 63;
    uint64_t exponent = bits >> 23 & 0xff, fraction = bits & 0x7fffff;
    if (exponent == 0xff) return sign | (uint64_t)0x7ff << 52;
    if (exponent == 0) {
        if (fraction == 0) return sign;
        for (exponent = 1; fraction < 0x800000; fraction <<= 1) exponent--; /* down to -22, wrapping */
        fraction &= 0x7fffff;
    }
    return sign | (exponent + 1023 - 127) << 52 | fraction << 29;
}

/* compares every code of 4, 6 and 8 bits with ml_dtypes */
static void small_codes(void) {
    size_t k;
    int i;
    CHECK_EQ(sizeof codes / sizeof *codes, 8);
    for (k = 0; k < sizeof codes / sizeof *codes; k++) {
        const struct codes *c = &codes[k];
        uint64_t all[256];
        uint32_t got[256];
        uint64_t wide[256];
        unsigned char *src;
        test_row = c->name;
        CHECK_STR(st_dtype_name((st_dtype)c->dtype), c->name);
        CHECK_EQ(c->count, 1 << st_dtype_bits((st_dtype)c->dtype));
        for (i = 0; i < c->count; i++) all[i] = (uint64_t)i;
        src = packed_codes(c->dtype, all, (size_t)c->count);
        CHECK_STATUS(st_convert(ST_DTYPE_F32, got, (st_dtype)c->dtype, src, (size_t)c->count), ST_OK);
        CHECK_STATUS(st_convert(ST_DTYPE_F64, wide, (st_dtype)c->dtype, src, (size_t)c->count), ST_OK);
        for (i = 0; i < c->count; i++) {
            if (c->f32[i] == 0x7fc00000) {
                CHECK((got[i] & 0x7fc00000) == 0x7fc00000); /* quiet */
                CHECK((wide[i] & 0x7ff8000000000000u) == 0x7ff8000000000000u);
            } else {
                CHECK_EQ(got[i], c->f32[i]);
                CHECK_EQ(wide[i], widened(c->f32[i]));
            }
        }
        free(src);
    }
    test_row = "";
}

/* compares every code of F16, decoded with arithmetic, and of BF16, the upper half of an F32 */
static void sixteen_bits(void) {
    uint16_t *half = (uint16_t *)malloc(65536 * 2);
    float *f16 = (float *)malloc(65536 * 4), *bf16 = (float *)malloc(65536 * 4);
    int i, j, f16_differs = 0, bf16_differs = 0;
    if (!half || !f16 || !bf16) exit(2);
    for (i = 0; i < 65536; i++) half[i] = (uint16_t)i;
    CHECK_STATUS(st_convert(ST_DTYPE_F32, f16, ST_DTYPE_F16, half, 65536), ST_OK);
    CHECK_STATUS(st_convert(ST_DTYPE_F32, bf16, ST_DTYPE_BF16, half, 65536), ST_OK);
    for (i = 0; i < 65536; i++) {
        const int exponent = i / 1024 % 32, fraction = i % 1024;
        double value = exponent > 0 ? 1024 + fraction : fraction;
        uint32_t bits, wide = (uint32_t)i << 16;
        memcpy(&bits, &f16[i], 4);
        for (j = exponent > 0 ? exponent : 1; j > 25; j--) value *= 2;
        for (; j < 25; j++) value /= 2;
        if (exponent < 31) {
            f16_differs += f16[i] != (float)(i < 32768 ? value : -value) || bits >> 31 != (uint32_t)i >> 15;
        } else {
            f16_differs += bits != ((uint32_t)(i / 32768) << 31 | 0x7f800000 | (uint32_t)fraction << 13 |
                                    (fraction > 0 ? 0x400000u : 0u));
        }
        if ((wide & 0x7fffffff) > 0x7f800000) wide |= 0x400000;
        memcpy(&bits, &bf16[i], 4);
        bf16_differs += bits != wide;
    }
    CHECK_EQ(f16_differs, 0);
    CHECK_EQ(bf16_differs, 0);
    free(half);
    free(f16);
    free(bf16);
}

/* codes and expected results, written by hand */
static void by_hand(void) {
    static const struct row {
        st_dtype to, from;
        uint64_t code, want;
    } rows[] = {
        /* BOOL: 1 unless zero */
        {ST_DTYPE_BOOL, ST_DTYPE_F32, 0x80000000, 0},
        {ST_DTYPE_BOOL, ST_DTYPE_F32, 0x00000001, 1},
        {ST_DTYPE_BOOL, ST_DTYPE_F32, 0x7fc00000, 1},
        {ST_DTYPE_BOOL, ST_DTYPE_F64, 0xfff0000000000000, 1},
        {ST_DTYPE_BOOL, ST_DTYPE_F8_E5M2FNUZ, 0x80, 1},
        {ST_DTYPE_BOOL, ST_DTYPE_F8_E8M0, 0x00, 1},
        {ST_DTYPE_BOOL, ST_DTYPE_I64, 0x8000000000000000, 1},
        {ST_DTYPE_BOOL, ST_DTYPE_U16, 0, 0},
        {ST_DTYPE_U8, ST_DTYPE_BOOL, 0x02, 1},
        {ST_DTYPE_F16, ST_DTYPE_BOOL, 0xff, 0x3c00},
        /* integers saturate, NaN converts to 0, ties round to even */
        {ST_DTYPE_I8, ST_DTYPE_F32, 0x42ff0000, 127},                 /* 127.5 */
        {ST_DTYPE_I8, ST_DTYPE_F32, 0xc3008000, 0x80},                /* -128.5 */
        {ST_DTYPE_I8, ST_DTYPE_F32, 0xc3010000, 0x80},                /* -129 */
        {ST_DTYPE_I8, ST_DTYPE_F32, 0x7f800000, 127},                 /* infinity */
        {ST_DTYPE_I8, ST_DTYPE_F32, 0xff800000, 0x80},                /* -infinity */
        {ST_DTYPE_I8, ST_DTYPE_F32, 0xffc00000, 0},                   /* NaN */
        {ST_DTYPE_I8, ST_DTYPE_F32, 0x3f000000, 0},                   /* 0.5 */
        {ST_DTYPE_I8, ST_DTYPE_F32, 0x3fc00000, 2},                   /* 1.5 */
        {ST_DTYPE_I8, ST_DTYPE_F32, 0x40200000, 2},                   /* 2.5 */
        {ST_DTYPE_I8, ST_DTYPE_F32, 0xbf000001, 0xff},                /* a little under -0.5 */
        {ST_DTYPE_U8, ST_DTYPE_F32, 0xbf800000, 0},                   /* -1 */
        {ST_DTYPE_U8, ST_DTYPE_F32, 0x437f8000, 255},                 /* 255.5 */
        {ST_DTYPE_U8, ST_DTYPE_I8, 0x80, 0},                          /* -128 */
        {ST_DTYPE_U8, ST_DTYPE_I16, 0x0100, 255},                     /* 256 */
        {ST_DTYPE_I16, ST_DTYPE_U16, 0xffff, 0x7fff},                 /* 65535 */
        {ST_DTYPE_I16, ST_DTYPE_BF16, 0xc700, 0x8000},                /* -32768 */
        {ST_DTYPE_U16, ST_DTYPE_F16, 0x7bff, 65504},                  /* the largest finite F16 */
        {ST_DTYPE_I32, ST_DTYPE_F32, 0x4f000000, 0x7fffffff},         /* 2^31 */
        {ST_DTYPE_I32, ST_DTYPE_F32, 0xcf000000, 0x80000000},         /* -2^31 */
        {ST_DTYPE_I32, ST_DTYPE_F64, 0x41dfffffffe00000, 0x7fffffff}, /* 2^31 - 0.5 */
        {ST_DTYPE_U32, ST_DTYPE_F64, 0x41efffffffd00000, 0xfffffffe}, /* 2^32 - 1.5 */
        {ST_DTYPE_I64, ST_DTYPE_F32, 0x5f000000, 0x7fffffffffffffff}, /* 2^63 */
        {ST_DTYPE_I64, ST_DTYPE_F64, 0xc3e0000000000000, 0x8000000000000000},
        {ST_DTYPE_I64, ST_DTYPE_U64, 0xffffffffffffffff, 0x7fffffffffffffff},
        {ST_DTYPE_U64, ST_DTYPE_F32, 0x5f800000, 0xffffffffffffffff}, /* 2^64 */
        {ST_DTYPE_U64, ST_DTYPE_F64, 0x43efffffffffffff, 0xfffffffffffff800},
        {ST_DTYPE_U64, ST_DTYPE_I8, 0xff, 0},
        {ST_DTYPE_I64, ST_DTYPE_I8, 0xff, 0xffffffffffffffff},
        {ST_DTYPE_I64, ST_DTYPE_F64, 0x3fe0000000000000, 0}, /* 0.5 */
        {ST_DTYPE_I64, ST_DTYPE_F8_E8M0, 0xbe, 0x7fffffffffffffff},
        {ST_DTYPE_I64, ST_DTYPE_F8_E8M0, 0xbd, 0x4000000000000000},
        {ST_DTYPE_U32, ST_DTYPE_F6_E3M2, 0x1f, 28},
        /* F8 without infinity: values out of range become the largest code */
        {ST_DTYPE_F8_E4M3, ST_DTYPE_F32, 0x43e00000, 0x7e},     /* 448 */
        {ST_DTYPE_F8_E4M3, ST_DTYPE_F32, 0x43e7ffff, 0x7e},     /* just under 464 */
        {ST_DTYPE_F8_E4M3, ST_DTYPE_F32, 0x43f00000, 0x7e},     /* 480 */
        {ST_DTYPE_F8_E4M3, ST_DTYPE_F32, 0xff800000, 0xfe},     /* -infinity */
        {ST_DTYPE_F8_E4M3, ST_DTYPE_F32, 0xff800001, 0xff},     /* -NaN */
        {ST_DTYPE_F8_E4M3, ST_DTYPE_F32, 0x3a800000, 0x00},     /* 2^-10, half of the smallest */
        {ST_DTYPE_F8_E4M3, ST_DTYPE_F32, 0x3a800001, 0x01},     /* a little over */
        {ST_DTYPE_F8_E4M3, ST_DTYPE_F32, 0xba000000, 0x80},     /* -0 */
        {ST_DTYPE_F8_E4M3, ST_DTYPE_F32, 0x3f880000, 0x38},     /* 1.0625: to 1 */
        {ST_DTYPE_F8_E4M3, ST_DTYPE_F32, 0x3f980000, 0x3a},     /* 1.1875: to 1.25 */
        {ST_DTYPE_F8_E4M3FNUZ, ST_DTYPE_F32, 0x43700000, 0x7f}, /* 240 */
        {ST_DTYPE_F8_E4M3FNUZ, ST_DTYPE_F32, 0x7f800000, 0x7f},
        {ST_DTYPE_F8_E4M3FNUZ, ST_DTYPE_F32, 0x80000000, 0x00}, /* no -0 */
        {ST_DTYPE_F8_E4M3FNUZ, ST_DTYPE_F32, 0x80000001, 0x00},
        {ST_DTYPE_F8_E4M3FNUZ, ST_DTYPE_F32, 0xffffffff, 0x80},
        {ST_DTYPE_F8_E5M2FNUZ, ST_DTYPE_F16, 0xfc00, 0xff},
        {ST_DTYPE_F8_E5M2FNUZ, ST_DTYPE_F8_E4M3FNUZ, 0x80, 0x80},
        {ST_DTYPE_F8_E5M2, ST_DTYPE_F32, 0x476fffff, 0x7b}, /* just under 61440, the midpoint to 2^16 */
        {ST_DTYPE_F8_E5M2, ST_DTYPE_F32, 0x47700000, 0x7c},
        {ST_DTYPE_F8_E5M2, ST_DTYPE_F32, 0x7f800001, 0x7e}, /* NaN becomes quiet */
        {ST_DTYPE_F8_E5M2, ST_DTYPE_F32, 0xffa00000, 0xff}, /* but keeps its sign and leading bits */
        {ST_DTYPE_F8_E5M2, ST_DTYPE_F8_E4M3, 0xff, 0xfe},
        /* F16 and BF16 */
        {ST_DTYPE_F16, ST_DTYPE_F32, 0x477fefff, 0x7bff}, /* just under 65520 */
        {ST_DTYPE_F16, ST_DTYPE_F32, 0x477ff000, 0x7c00}, /* 65520 */
        {ST_DTYPE_F16, ST_DTYPE_F32, 0x33000000, 0x0000}, /* 2^-25 */
        {ST_DTYPE_F16, ST_DTYPE_F32, 0x33000001, 0x0001},
        {ST_DTYPE_F16, ST_DTYPE_F32, 0x33c00000, 0x0002}, /* 1.5 times the smallest: ties to even */
        {ST_DTYPE_F16, ST_DTYPE_F32, 0x387fffff, 0x0400}, /* rounds up to the smallest normal number */
        {ST_DTYPE_F16, ST_DTYPE_F32, 0x7f802000, 0x7e01},
        {ST_DTYPE_F16, ST_DTYPE_I32, 65519, 0x7bff},
        {ST_DTYPE_F16, ST_DTYPE_I32, 65520, 0x7c00},
        {ST_DTYPE_F16, ST_DTYPE_F64, 0x40f0000000000000, 0x7c00},
        {ST_DTYPE_F16, ST_DTYPE_F64, 0x3ff0020000000001, 0x3c01}, /* just past a tie; lost if rounded to F32 first */
        {ST_DTYPE_F16, ST_DTYPE_BF16, 0x7f7f, 0x7c00},
        {ST_DTYPE_F16, ST_DTYPE_BF16, 0xff81, 0xfe08},
        {ST_DTYPE_F16, ST_DTYPE_BF16, 0x3380, 0x0001},
        {ST_DTYPE_BF16, ST_DTYPE_F16, 0x0001, 0x3380},
        {ST_DTYPE_BF16, ST_DTYPE_F16, 0x3c01, 0x3f80},
        {ST_DTYPE_BF16, ST_DTYPE_F16, 0x3c0c, 0x3f82}, /* a tie, to even */
        {ST_DTYPE_BF16, ST_DTYPE_F32, 0x7f7f8000, 0x7f80},
        {ST_DTYPE_BF16, ST_DTYPE_F32, 0x7f7f7fff, 0x7f7f},
        {ST_DTYPE_BF16, ST_DTYPE_F32, 0x00008000, 0x0000},
        {ST_DTYPE_BF16, ST_DTYPE_F32, 0x00018000, 0x0002},
        {ST_DTYPE_BF16, ST_DTYPE_F32, 0x7f800001, 0x7fc0},
        {ST_DTYPE_BF16, ST_DTYPE_F64, 0x3ff0100000000001, 0x3f81}, /* just past a tie, as above */
        {ST_DTYPE_BF16, ST_DTYPE_F8_E8M0, 0x00, 0x0040},           /* 2^-127 is subnormal */
        /* F32 and F64 */
        {ST_DTYPE_F32, ST_DTYPE_F64, 0x47efffffefffffff, 0x7f7fffff},
        {ST_DTYPE_F32, ST_DTYPE_F64, 0x47effffff0000000, 0x7f800000},
        {ST_DTYPE_F32, ST_DTYPE_F64, 0x3690000000000000, 0x00000000}, /* 2^-150 */
        {ST_DTYPE_F32, ST_DTYPE_F64, 0xb690000000000001, 0x80000001},
        {ST_DTYPE_F32, ST_DTYPE_F64, 0x0000000000000001, 0x00000000},
        {ST_DTYPE_F32, ST_DTYPE_F64, 0xfff0000000000001, 0xffc00000},
        {ST_DTYPE_F32, ST_DTYPE_U64, 0x8000008000000000, 0x5f000000}, /* a tie */
        {ST_DTYPE_F32, ST_DTYPE_U64, 0x8000008000000001, 0x5f000001}, /* just past it; F64 rounds it to the tie */
        {ST_DTYPE_F32, ST_DTYPE_I64, 0x8000000000000000, 0xdf000000},
        {ST_DTYPE_F32, ST_DTYPE_I32, 0x01000001, 0x4b800000},
        {ST_DTYPE_F32, ST_DTYPE_I32, 0x01000003, 0x4b800002},
        {ST_DTYPE_F64, ST_DTYPE_U64, 0xffffffffffffffff, 0x43f0000000000000},
        {ST_DTYPE_F64, ST_DTYPE_F32, 0x00000001, 0x36a0000000000000},
        {ST_DTYPE_F64, ST_DTYPE_F32, 0x80000000, 0x8000000000000000},
        {ST_DTYPE_F64, ST_DTYPE_F32, 0x7f800001, 0x7ff8000020000000},
        {ST_DTYPE_F64, ST_DTYPE_F8_E8M0, 0xff, 0x7ff8000000000000},
        {ST_DTYPE_F64, ST_DTYPE_F8_E8M0, 0x00, 0x3800000000000000},
        {ST_DTYPE_F32, ST_DTYPE_F8_E4M3FNUZ, 0x80, 0x7fc00000},
    };
    size_t i;
    for (i = 0; i < sizeof rows / sizeof *rows; i++) {
        unsigned char *src = packed_codes(rows[i].from, &rows[i].code, 1), dst[9];
        memset(dst, 0x55, sizeof dst);
        test_row = conversion_name(rows[i].to, rows[i].from);
        if (st_dtype_bits(rows[i].from) < 8) {
            sti_convert(rows[i].to, dst, rows[i].from, src, 0, 1, 0);
        } else {
            CHECK_STATUS(st_convert(rows[i].to, dst, rows[i].from, src, 1), ST_OK);
        }
        if (!CHECK_EQ(element(rows[i].to, dst, 0), rows[i].want)) printf("row %lu\n", (unsigned long)i);
        CHECK_EQ(dst[st_dtype_bits(rows[i].to) / 8], 0x55);
        free(src);
    }
    test_row = "";
}

/* unsupported pairs and dtypes; converting a dtype to itself copies all bits */
static void statuses(void) {
    unsigned char src[64], dst[64], old[64];
    int to, from;
    size_t i;
    for (i = 0; i < sizeof src; i++) src[i] = (unsigned char)(i * 37 + 1);
    memset(old, 0x55, sizeof old);
    for (to = -1; to <= DTYPES; to++) {
        for (from = -1; from <= DTYPES; from++) {
            const int known = to > 0 && from > 0 && to < DTYPES && from < DTYPES;
            const size_t bytes = known ? 4 * st_dtype_bits((st_dtype)to) / 8 : 0;
            st_status want = ST_OK;
            if (!known) {
                want = ST_ERR_ARGUMENT;
            } else if (to != from && !slow_pair(to, from)) {
                want = ST_ERR_UNSUPPORTED;
            }
            memset(dst, 0x55, sizeof dst);
            test_row = known ? conversion_name(to, from) : "unknown";
            CHECK_STATUS(st_convert((st_dtype)to, dst, (st_dtype)from, src, 4), want);
            CHECK(memcmp(dst + bytes, old, sizeof dst - bytes) == 0);
            if (want != ST_OK) CHECK(memcmp(dst, old, sizeof dst) == 0);
            if (known && to == from) CHECK(memcmp(dst, src, bytes) == 0);
            CHECK_STATUS(st_convert((st_dtype)to, NULL, (st_dtype)from, NULL, 0), want);
            if (want != ST_OK) continue;
            CHECK_STATUS(st_convert((st_dtype)to, NULL, (st_dtype)from, src, 4), ST_ERR_ARGUMENT);
            CHECK_STATUS(st_convert((st_dtype)to, dst, (st_dtype)from, NULL, 4), ST_ERR_ARGUMENT);
        }
    }
    test_row = "";
    CHECK_STATUS(st_convert(ST_DTYPE_32_BITS_, dst, ST_DTYPE_U8, src, 1), ST_ERR_ARGUMENT);
    /* sizes over SIZE_MAX are rejected, and dst is unchanged */
    memset(dst, 0x55, sizeof dst);
    CHECK_STATUS(st_convert(ST_DTYPE_F64, dst, ST_DTYPE_U8, src, SIZE_MAX / 8 + 1), ST_ERR_ARGUMENT);
    CHECK_STATUS(st_convert(ST_DTYPE_U8, dst, ST_DTYPE_F64, src, SIZE_MAX / 8 + 1), ST_ERR_ARGUMENT);
    CHECK_STATUS(st_convert(ST_DTYPE_F32, dst, ST_DTYPE_F4, src, SIZE_MAX - 3), ST_ERR_ARGUMENT);
    for (i = 1; i < 8; i++) {
        CHECK_STATUS(st_convert(ST_DTYPE_F32, dst, ST_DTYPE_F4, src, i), i % 2 == 0 ? ST_OK : ST_ERR_SUBBYTE);
        CHECK_STATUS(st_convert(ST_DTYPE_F4, dst, ST_DTYPE_F4, src, i), i % 2 == 0 ? ST_OK : ST_ERR_SUBBYTE);
        CHECK_STATUS(st_convert(ST_DTYPE_F32, dst, ST_DTYPE_F6_E2M3, src, i), i % 4 == 0 ? ST_OK : ST_ERR_SUBBYTE);
        CHECK_STATUS(st_convert(ST_DTYPE_F6_E3M2, dst, ST_DTYPE_F6_E3M2, src, i), i % 4 == 0 ? ST_OK : ST_ERR_SUBBYTE);
    }
}

/* reads little-endian data on any machine, starting with any element */
static void from_a_file(void) {
    static const unsigned char words[] = {0, 0, 0x80, 0x3f, 0, 0, 0, 0xc0}, codes4[] = {0x21, 0xf9, 0x75};
    static const unsigned char codes6[] = {0x01, 0x28, 0xfd, 0x3f, 0x10, 0x04, 0x55}; /* codes 1 32 18 63, 63 0 1 1 */
    static const unsigned char wide[] = {1, 2, 3, 4, 5, 6, 7, 8};
    static const float want4[] = {0.5f, 1, -0.5f, -6, 3, 6};
    static const float want6[] = {0.0625f, -0.0f, 3, -28, -28, 0, 0.0625f, 0.0625f};
    float out[8], same[2];
    double d[2];
    uint16_t half[2];
    uint32_t word[2];
    uint64_t big;
    size_t first, n, i;
    sti_convert(ST_DTYPE_F64, d, ST_DTYPE_F32, words, 0, 2, STI_FROM_FILE);
    CHECK(d[0] == 1 && d[1] == -2);
    sti_convert(ST_DTYPE_F32, same, ST_DTYPE_F32, words, 0, 2, STI_FROM_FILE);
    CHECK(same[0] == 1 && same[1] == -2);
    sti_convert(ST_DTYPE_C64, same, ST_DTYPE_C64, words, 0, 1, STI_FROM_FILE);
    CHECK(same[0] == 1 && same[1] == -2);
    sti_convert(ST_DTYPE_F32, same, ST_DTYPE_F32, words, 1, 1, STI_FROM_FILE);
    CHECK(same[0] == -2);
    sti_convert(ST_DTYPE_U16, half, ST_DTYPE_U16, wide, 1, 2, STI_FROM_FILE);
    CHECK(half[0] == 0x0403 && half[1] == 0x0605);
    sti_convert(ST_DTYPE_U32, word, ST_DTYPE_U16, wide, 2, 2, STI_FROM_FILE);
    CHECK(word[0] == 0x0605 && word[1] == 0x0807);
    sti_convert(ST_DTYPE_I64, &big, ST_DTYPE_U64, wide, 0, 1, STI_FROM_FILE);
    CHECK(big == 0x0807060504030201);
    CHECK_STATUS(st_convert(ST_DTYPE_C64, same, ST_DTYPE_C64, want4, 1), ST_OK);
    CHECK(same[0] == 0.5f && same[1] == 1);
    for (first = 0; first < 6; first++) {
        for (n = 0; n <= 6 - first; n++) {
            out[n] = 77;
            sti_convert(ST_DTYPE_F32, out, ST_DTYPE_F4, codes4, first, n, STI_FROM_FILE);
            for (i = 0; i < n; i++) CHECK(out[i] == want4[first + i]);
            CHECK(out[n] == 77);
        }
    }
    for (first = 0; first < 8; first++) {
        for (n = 0; n < 8 - first; n++) {
            out[n] = 77;
            sti_convert(ST_DTYPE_F32, out, ST_DTYPE_F6_E3M2, codes6, first, n, STI_FROM_FILE);
            for (i = 0; i < n; i++) CHECK(out[i] == want6[first + i]);
            CHECK(out[n] == 77);
        }
    }
    { /* the last of three bytes is read only if an element has bits in it */
        unsigned char *exact = (unsigned char *)malloc(2);
        if (!exact) exit(2);
        memcpy(exact, codes6, 2);
        sti_convert(ST_DTYPE_F32, out, ST_DTYPE_F6_E3M2, exact, 0, 2, 0);
        CHECK(out[0] == 0.0625f && out[1] == 0);
        free(exact);
    }
    { /* a dtype to itself, starting with a later element */
        unsigned char copy[3];
        sti_convert(ST_DTYPE_F4, copy, ST_DTYPE_F4, codes4, 2, 4, STI_FROM_FILE);
        CHECK(copy[0] == 0xf9 && copy[1] == 0x75);
        sti_convert(ST_DTYPE_F6_E2M3, copy, ST_DTYPE_F6_E2M3, codes6, 4, 4, STI_FROM_FILE);
        CHECK(memcmp(copy, codes6 + 3, 3) == 0);
    }
}

int main(void) {
    small_codes();
    sixteen_bits();
    by_hand();
    pairs();
    statuses();
    from_a_file();
    return test_done(NAME);
}
