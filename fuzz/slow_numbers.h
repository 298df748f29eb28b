/* slow_numbers.h: an independent implementation of dtype conversion. Encoding searches for the nearest number with
 * exact comparisons instead of shifting bits: a number's code is the one whose neighbours' midpoints enclose it.
 * Uses nothing of safetensors.h but the dtype numbers. */
#ifndef SLOW_NUMBERS_H
#define SLOW_NUMBERS_H
#include <stdint.h>

/* i: infinity and NaNs at the top; n: one NaN at the top; z: NaN at -0; f: neither; p: powers of two; s, u: signed
 * and unsigned integers; b: BOOL; c: cannot be converted */
static const struct slow_format {
    char kind;
    int exponent, fraction, bias; /* exponent, fraction: bits */
    int bits;
} slow_formats[] = {
    {'c', 0, 0, 0, 0},       {'b', 0, 0, 0, 8},  {'f', 2, 1, 1, 4},  {'f', 2, 3, 1, 6},     {'f', 3, 2, 3, 6},
    {'u', 0, 0, 0, 8},       {'s', 0, 0, 0, 8},  {'i', 5, 2, 15, 8}, {'n', 4, 3, 7, 8},     {'p', 8, 0, 127, 8},
    {'z', 4, 3, 8, 8},       {'z', 5, 2, 16, 8}, {'s', 0, 0, 0, 16}, {'u', 0, 0, 0, 16},    {'i', 5, 10, 15, 16},
    {'i', 8, 7, 127, 16},    {'s', 0, 0, 0, 32}, {'u', 0, 0, 0, 32}, {'i', 8, 23, 127, 32}, {'c', 0, 0, 0, 64},
    {'i', 11, 52, 1023, 64}, {'s', 0, 0, 0, 64}, {'u', 0, 0, 0, 64},
};
#define SLOW_DTYPES ((int)(sizeof slow_formats / sizeof *slow_formats))

typedef struct slow_number { /* whole * 2^power, unless infinite or NaN */
    int negative, infinite, nan;
    uint64_t whole; /* NaN: the fraction; power holds its width in bits */
    int power;
} slow_number;

static inline uint64_t slow_two_to(int n) {
    return (uint64_t)1 << n;
}

/* codes 0 to slow_largest() are the finite non-negative numbers in ascending order */
static inline uint64_t slow_largest(int dtype) {
    const struct slow_format *f = &slow_formats[dtype];
    uint64_t all = slow_two_to(f->exponent + f->fraction);
    if (f->kind == 'i') return all - slow_two_to(f->fraction) - 1;
    return f->kind == 'n' || f->kind == 'p' ? all - 2 : all - 1;
}

static inline slow_number slow_finite(int dtype, uint64_t code) {
    const struct slow_format *f = &slow_formats[dtype];
    const uint64_t exponent = code / slow_two_to(f->fraction), fraction = code % slow_two_to(f->fraction);
    slow_number n = {0, 0, 0, 0, 0};
    n.whole = fraction;
    n.power = 1;
    if (exponent > 0 || f->kind == 'p') {
        n.whole += slow_two_to(f->fraction);
        n.power = (int)exponent;
    }
    n.power -= f->bias + f->fraction;
    return n;
}

/* returns the value of a code */
static inline slow_number slow_decode(int dtype, uint64_t code) {
    const struct slow_format *f = &slow_formats[dtype];
    slow_number n = {0, 0, 0, 0, 0};
    uint64_t half;
    if (f->kind == 'b') {
        n.whole = code > 0;
        return n;
    }
    half = f->kind == 'u' || f->kind == 'p' ? 0 : slow_two_to(f->bits - 1);
    if (half > 0 && code >= half) {
        n.negative = 1;
        code -= half;
        if (f->kind == 's') code = half - code;
    }
    if (f->kind == 'u' || f->kind == 's') {
        n.whole = code;
    } else if (f->kind == 'z' && n.negative && code == 0) {
        n.nan = 1;
        n.negative = 0;
        n.power = 1;
    } else if (code > slow_largest(dtype)) {
        n.infinite = f->kind == 'i' && code == slow_largest(dtype) + 1;
        n.nan = !n.infinite;
        n.whole = f->kind == 'i' ? code - slow_largest(dtype) - 1 : 0;
        n.power = f->fraction;
    } else {
        int negative = n.negative;
        n = slow_finite(dtype, code);
        n.negative = negative;
    }
    return n;
}

/* compares the magnitudes of finite numbers; returns a negative number, 0, or a positive number */
static inline int slow_compare(slow_number a, slow_number b) {
    if (a.whole == 0 || b.whole == 0) return (a.whole > 0) - (b.whole > 0);
    for (; a.whole < slow_two_to(56); a.power -= 8) a.whole *= 256;
    for (; a.whole < slow_two_to(63); a.power--) a.whole *= 2;
    for (; b.whole < slow_two_to(56); b.power -= 8) b.whole *= 256;
    for (; b.whole < slow_two_to(63); b.power--) b.whole *= 2;
    if (a.power != b.power) return a.power < b.power ? -1 : 1;
    return (a.whole > b.whole) - (a.whole < b.whole);
}

/* returns the midpoint between a code's number and the next one */
static inline slow_number slow_middle(int dtype, uint64_t code) {
    const struct slow_format *f = &slow_formats[dtype];
    slow_number n = {0, 0, 0, 0, 0};
    n.whole = code;
    if (f->kind != 's' && f->kind != 'u') n = slow_finite(dtype, code);
    n.whole = n.whole * 2 + 1;
    n.power--;
    return n;
}

/* returns the code nearest to a finite magnitude, ties to even; most + 1 if the magnitude rounds past most */
static inline uint64_t slow_nearest(int dtype, slow_number n, uint64_t most) {
    uint64_t low = 0, high = most + 1;
    while (low < high) { /* invariant: codes below low are too small; high is not, or is most + 1 */
        uint64_t code = low + (high - low) / 2;
        int past = slow_compare(n, slow_middle(dtype, code));
        if (past > 0 || (past == 0 && code % 2 == 1)) {
            low = code + 1;
        } else {
            high = code;
        }
    }
    return low;
}

static inline uint64_t slow_integer(int dtype, slow_number n) {
    const struct slow_format *f = &slow_formats[dtype];
    const uint64_t half = slow_two_to(f->bits - 1), all = half - 1 + half;
    uint64_t most = f->kind == 'u' ? n.negative ? 0 : all : n.negative ? half : half - 1, whole = most;
    slow_number limit = {0, 0, 0, 0, 0};
    limit.whole = most;
    if (n.nan) return 0;
    if (!n.infinite && slow_compare(n, limit) < 0) {
        if (n.power < 0) { /* a fraction of at most 53 bits */
            whole = slow_nearest(dtype, n, slow_two_to(53));
        } else {
            for (whole = n.whole; n.power > 0; n.power--) whole *= 2;
        }
    }
    if (whole > most) whole = most;
    return n.negative && whole > 0 ? all - whole + 1 : whole;
}

/* encodes a number as a dtype of at least 8 bits */
static inline uint64_t slow_encode(int dtype, slow_number n) {
    const struct slow_format *f = &slow_formats[dtype];
    const uint64_t most = slow_largest(dtype), quiet = f->fraction > 0 ? slow_two_to(f->fraction - 1) : 0;
    uint64_t sign = n.negative ? slow_two_to(f->bits - 1) : 0, code;
    if (f->kind == 'b') return n.nan || n.infinite || n.whole > 0;
    if (f->kind == 's' || f->kind == 'u') return slow_integer(dtype, n);
    if (n.nan) {
        if (f->kind == 'z') return slow_two_to(f->bits - 1);
        if (f->kind == 'n') return sign + most + 1;
        for (; n.power > f->fraction; n.power--) n.whole /= 2;
        for (; n.power < f->fraction; n.power++) n.whole *= 2;
        if (n.whole < quiet) n.whole += quiet;
        return sign + most + 1 + n.whole;
    }
    code = n.infinite ? most + 1 : slow_nearest(dtype, n, most);
    if (code > most && f->kind != 'i') code = most;
    return code == 0 && f->kind == 'z' ? 0 : sign + code;
}

/* returns whether st_convert supports the pair; the caller handles to == from */
static inline int slow_pair(int to, int from) {
    const char k = slow_formats[to].kind;
    return k != 'c' && k != 'f' && k != 'p' && slow_formats[from].kind != 'c';
}
#endif
