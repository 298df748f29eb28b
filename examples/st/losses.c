/* losses.c: counts the numbers that a conversion loses because they are too large or too small for the new dtype. */
#include "st.h"
#include <float.h>
#include <math.h> /* HUGE_VAL; no function of the library */
#include <string.h>

/* The finite numbers of a dtype. Numbers at or beyond too_low and too_high saturate; these limits are halfway to the
 * number that would come next, as conversions round to the nearest. Numbers up to half of `least` become 0. */
struct number_range {
    double lowest, highest;
    double least; /* the smallest number above 0; F64: 0, as nothing becomes 0 there */
    double too_low, too_high;
    int has_infinity;
};

const number_range *range_of(st_dtype dtype) {
    static const number_range everything = {-DBL_MAX, DBL_MAX, 0, -HUGE_VAL, HUGE_VAL, 1},
                              f32 = {-3.4028234663852886e38, 3.4028234663852886e38, 1.401298464324817e-45,
                                     -3.4028235677973366e38, 3.4028235677973366e38, 1},
                              bf16 = {-3.3895313892515355e38, 3.3895313892515355e38, 9.183549615799121e-41,
                                      -3.39617752923046e38,   3.39617752923046e38,   1},
                              f16 = {-65504, 65504, 5.9604644775390625e-8, -65520, 65520, 1},
                              f8_e5m2 = {-57344, 57344, 1.52587890625e-5, -61440, 61440, 1},
                              f8_e4m3 = {-448, 448, 0.001953125, -464.00000000000006, 464.00000000000006, 0},
                              f8_e4m3fnuz = {-240, 240, 0.0009765625, -248, 248, 0},
                              f8_e5m2fnuz = {-57344, 57344, 7.62939453125e-6, -61440, 61440, 0},
                              f8_e8m0 = {0, 1.7014118346046923e38, 5.877471754111438e-39, 0, 0, 0},
                              f6_e3m2 = {-28, 28, 0.0625, 0, 0, 0}, f6_e2m3 = {-7.5, 7.5, 0.125, 0, 0, 0},
                              f4 = {-6, 6, 0.5, 0, 0, 0}, i8 = {-128, 127, 1, -128.50000000000003, 127.5, 0},
                              u8 = {0, 255, 1, -0.5000000000000001, 255.5, 0},
                              i16 = {-32768, 32767, 1, -32768.500000000007, 32767.5, 0},
                              u16 = {0, 65535, 1, -0.5000000000000001, 65535.5, 0},
                              i32 = {-2147483648.0, 2147483647, 1, -2147483648.5000005, 2147483647.5, 0},
                              u32 = {0, 4294967295.0, 1, -0.5000000000000001, 4294967295.5, 0},
                              i64 = {-9223372036854775808.0, 9223372036854774784.0, 1,
                                     -9223372036854777856.0, 9223372036854775808.0, 0},
                              u64 = {0, 18446744073709549568.0, 1, -0.5000000000000001, 18446744073709551616.0, 0};
    switch (dtype) {
    case ST_DTYPE_F32: return &f32;
    case ST_DTYPE_BF16: return &bf16;
    case ST_DTYPE_F16: return &f16;
    case ST_DTYPE_F8_E5M2: return &f8_e5m2;
    case ST_DTYPE_F8_E4M3: return &f8_e4m3;
    case ST_DTYPE_F8_E4M3FNUZ: return &f8_e4m3fnuz;
    case ST_DTYPE_F8_E5M2FNUZ: return &f8_e5m2fnuz;
    case ST_DTYPE_F8_E8M0: return &f8_e8m0;
    case ST_DTYPE_F6_E3M2: return &f6_e3m2;
    case ST_DTYPE_F6_E2M3: return &f6_e2m3;
    case ST_DTYPE_F4: return &f4;
    case ST_DTYPE_I8: return &i8;
    case ST_DTYPE_U8: return &u8;
    case ST_DTYPE_I16: return &i16;
    case ST_DTYPE_U16: return &u16;
    case ST_DTYPE_I32: return &i32;
    case ST_DTYPE_U32: return &u32;
    case ST_DTYPE_I64: return &i64;
    case ST_DTYPE_U64: return &u64;
    default: return &everything; /* F64; and BOOL, where every number but 0 is 1 */
    }
}

void safe_factors(const number_range *from, const number_range *to, double *above, double *most) {
    const double size = from->highest > -from->lowest ? from->highest : -from->lowest,
                 limit = to->highest < -to->lowest ? to->highest : -to->lowest;
    *most =
        from->has_infinity && !to->has_infinity ? 0 : limit / size * 0.999; /* margins: products in F32 are rounded */
    *above = from->least > 0 ? to->least * 0.501 / from->least : to->least > 0 ? HUGE_VAL : 0;
}

void count_loss(losses *lost, const number_range *to, double number, double scale, double product) {
    const int was_finite = is_finite(number) && is_finite(scale);
    if (is_nan(product)) {
        lost->became_nan += !is_nan(number);
    } else if (!is_finite(product)) {
        lost->saturated += was_finite || !to->has_infinity;
    } else if (product == 0) {
        lost->underflowed += number != 0 && scale != 0;
    } else if (product <= to->too_low || product >= to->too_high) {
        lost->saturated++;
    } else {
        lost->underflowed += product <= to->least / 2 && product >= to->least / -2;
    }
}

/* ---- conversions without scales ----------------------------------------------------------------------------- */

enum { GROUP_BYTES = 256, MOST_IN_GROUP = GROUP_BYTES };

static void count_each(losses *lost, const number_range *to, st_dtype from, const unsigned char *numbers, size_t n) {
    double exact[MOST_IN_GROUP];
    size_t i;
    if (st_convert(ST_DTYPE_F64, exact, from, numbers, n) != ST_OK) return; /* never: `from` was read as numbers */
    for (i = 0; i < n; i++) count_loss(lost, to, exact[i], 1, exact[i]);
}

/* Tests for numbers that may be lost, all in a word of 64 bits at once. Each lane is an element without its sign, whose
 * code orders the numbers by size. A sum carries into the sign bit of its lane if the code has reached a limit. */
typedef struct sieve {
    uint64_t magnitude, sign;                  /* masks */
    uint64_t large, more_than_zero, not_small; /* what to add */
} sieve;

static uint64_t code_of(double number, st_dtype dtype) {
    uint64_t wide = 0;
    uint32_t word = 0;
    uint16_t half = 0;
    switch (st_dtype_bits(dtype)) {
    case 64: st_convert(dtype, &wide, ST_DTYPE_F64, &number, 1); return wide;
    case 32: st_convert(dtype, &word, ST_DTYPE_F64, &number, 1); return word;
    default: st_convert(dtype, &half, ST_DTYPE_F64, &number, 1); return half;
    }
}

static sieve sieve_of(st_dtype from, const number_range *to) {
    const unsigned bits = st_dtype_bits(from);
    const uint64_t sign = (uint64_t)1 << (bits - 1), lanes = UINT64_MAX / ((sign - 1) * 2 + 1);
    /* the limits round to codes of `from`: take the next code, so that no lost number stays in the sieve */
    const uint64_t too_large = code_of(to->too_high < -to->too_low ? to->too_high : -to->too_low, from) - 1,
                   small = code_of(to->least / 2, from) + 1;
    sieve s;
    s.sign = sign * lanes;
    s.magnitude = ~s.sign;
    s.large = (sign - too_large) * lanes;
    s.more_than_zero = (sign - 1) * lanes;
    s.not_small = (sign - 1 - small) * lanes;
    return s;
}

static int group_has_candidates(const sieve *s, const unsigned char *group) {
    uint64_t found = 0, word;
    size_t i;
    for (i = 0; i < GROUP_BYTES; i += sizeof word) {
        memcpy(&word, group + i, sizeof word);
        word &= s->magnitude;
        found |= (word + s->large) | ((word + s->more_than_zero) & ~(word + s->not_small));
    }
    return (found & s->sign) != 0;
}

void count_losses(losses *lost, st_dtype to_dtype, st_dtype from, const unsigned char *numbers, size_t n) {
    const number_range *to = range_of(to_dtype);
    const size_t width = st_dtype_bits(from) / 8, in_group = GROUP_BYTES / width;
    const int can_sieve = from == ST_DTYPE_F64 || from == ST_DTYPE_F32 || from == ST_DTYPE_BF16 || from == ST_DTYPE_F16;
    sieve s;
    memset(&s, 0, sizeof s);
    if (can_sieve) s = sieve_of(from, to);
    for (; n >= in_group; n -= in_group, numbers += GROUP_BYTES) {
        if (!can_sieve || group_has_candidates(&s, numbers)) count_each(lost, to, from, numbers, in_group);
    }
    count_each(lost, to, from, numbers, n);
}
