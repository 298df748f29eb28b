/* Tests room 6: sums and products that detect overflow, little-endian loads, spans. */
#define ST_IMPLEMENTATION
#include "../safetensors.h"

#include <inttypes.h>

#include "test.h"

static void products(void) {
    static const struct product {
        uint64_t a, b;
        int fits;
    } all[] = {
        {0, 0, 1},
        {0, UINT64_MAX, 1},
        {UINT64_MAX, 0, 1},
        {1, UINT64_MAX, 1},
        {UINT64_MAX, 1, 1},
        {2, UINT64_MAX / 2, 1},
        {2, UINT64_MAX / 2 + 1, 0},
        {UINT32_MAX, UINT32_MAX, 1},
        {UINT64_C(1) << 32, UINT32_MAX, 1},
        {UINT64_C(1) << 32, UINT64_C(1) << 32, 0},
        {UINT64_C(1) << 32, (UINT64_C(1) << 32) - 1, 1},
        {3, UINT64_MAX / 3, 1},
        {3, UINT64_MAX / 3 + 1, 0},
        {UINT64_MAX, UINT64_MAX, 0},
        {UINT64_MAX, 2, 0},
        {10, UINT64_C(1844674407370955161), 1},
        {10, UINT64_C(1844674407370955162), 0},
    };
    size_t i;
    for (i = 0; i < sizeof all / sizeof *all; i++) {
        uint64_t product = 77;
        CHECK_EQ(sti_multiply64(all[i].a, all[i].b, &product), all[i].fits);
        if (!all[i].fits) continue;
        CHECK(all[i].a == 0 ? product == 0 : product / all[i].a == all[i].b && product % all[i].a == 0);
    }
}

/* returns a pseudorandom number of up to 64 bits */
static uint64_t any_number(void) {
    static uint64_t state = 88172645463325252u;
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state >> state % 64;
}

/* factors of every length, and the limits of what overflows */
static void many_products(void) {
    size_t i, k, wrong = 0;
    for (i = 0; i < 300000; i++) {
        const uint64_t a = any_number(), limit = a > 0 ? UINT64_MAX / a : UINT64_MAX;
        const uint64_t bs[] = {any_number(), limit, limit < UINT64_MAX ? limit + 1 : limit};
        for (k = 0; k < sizeof bs / sizeof *bs; k++) {
            const int fits = bs[k] <= limit;
            uint64_t product = 77, turned = 77;
            wrong += sti_multiply64(a, bs[k], &product) != fits || sti_multiply64(bs[k], a, &turned) != fits;
            wrong += product != turned || (!fits && product != 77);
            wrong += fits && a > 0 && (product / a != bs[k] || product % a != 0);
        }
    }
    CHECK_EQ(wrong, 0);
}

/* returns 1 if the digits of n are not those that printf writes */
static size_t wrong_digits(uint64_t n) {
    char want[32], digits[STI_DIGITS];
    const sti_span s = sti_digits(n, digits);
    snprintf(want, sizeof want, "%" PRIu64, n);
    return s.n != strlen(want) || memcmp(s.at, want, s.n) != 0;
}

/* numbers of every length, and beside multiples of powers of ten */
static void decimals(void) {
    uint64_t power = 1, i, k;
    size_t wrong = 0;
    for (i = 0; i < 100000; i++) wrong += wrong_digits(i) + wrong_digits(UINT64_MAX - i);
    for (i = 0; i < 20; i++) {
        for (k = 1; k <= 18 && k <= UINT64_MAX / power; k++) {
            wrong += wrong_digits(k * power - 1) + wrong_digits(k * power);
        }
        if (i < 19) power *= 10;
    }
    for (i = 0; i < 300000; i++) {
        const uint64_t n = any_number();
        wrong += wrong_digits(n) + wrong_digits(n - n % 10) + wrong_digits(n - n % 10 - (n > 9));
    }
    CHECK_EQ(wrong, 0);
}

static void sums(void) {
    CHECK_EQ(sti_add64_saturated(0, 0), 0);
    CHECK_EQ(sti_add64_saturated(UINT64_MAX - 1, 1), UINT64_MAX);
    CHECK_EQ(sti_add64_saturated(UINT64_MAX, 1), UINT64_MAX);
    CHECK_EQ(sti_add64_saturated(1, UINT64_MAX), UINT64_MAX);
    CHECK_EQ(sti_add64_saturated(UINT64_MAX, UINT64_MAX), UINT64_MAX);
    CHECK_EQ(sti_add64_saturated(UINT64_C(1) << 63, UINT64_C(1) << 62), UINT64_C(3) << 62);
    CHECK_EQ(sti_add_saturated(0, 0), 0);
    CHECK_EQ(sti_add_saturated(SIZE_MAX - 1, 1), SIZE_MAX);
    CHECK_EQ(sti_add_saturated(SIZE_MAX, 1), SIZE_MAX);
    CHECK_EQ(sti_add_saturated(2, SIZE_MAX), SIZE_MAX);
    CHECK_EQ(sti_multiply_saturated(0, SIZE_MAX), 0);
    CHECK_EQ(sti_multiply_saturated(SIZE_MAX, 0), 0);
    CHECK_EQ(sti_multiply_saturated(SIZE_MAX / 8, 8), SIZE_MAX / 8 * 8);
    CHECK_EQ(sti_multiply_saturated(SIZE_MAX / 8 + 1, 8), SIZE_MAX);
    CHECK_EQ(sti_multiply_saturated(8, SIZE_MAX / 8 + 1), SIZE_MAX);
    CHECK_EQ(sti_round8(0), 0);
    CHECK_EQ(sti_round8(1), 8);
    CHECK_EQ(sti_round8(8), 8);
    CHECK_EQ(sti_round8(9), 16);
}

static void loads(void) {
    static const unsigned char bytes[] = {0xff, 0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef, 0xff};
    CHECK_EQ(sti_load32(bytes + 1), 0x67452301u);
    CHECK_EQ(sti_load32(bytes + 5), 0xefcdab89u);
    CHECK_EQ(sti_load64(bytes + 1), UINT64_C(0xefcdab8967452301));
    CHECK_EQ(sti_load64(bytes + 2), UINT64_C(0xffefcdab89674523));
}

static void spans(void) {
    sti_span s = sti_span_of("model"), t = sti_span_of("moder");
    CHECK_EQ(s.n, 5);
    CHECK_EQ(sti_span_of("").n, 0);
    CHECK(!sti_span_equal(s, t));
    s.n = t.n = 4;
    CHECK(sti_span_equal(s, t));
    t.n = 3;
    CHECK(!sti_span_equal(s, t));
    s = sti_drop_first(s, 2);
    CHECK(s.n == 2 && s.at[0] == 'd' && s.at[1] == 'e');
    CHECK_EQ(sti_drop_first(s, 2).n, 0);
    CHECK(sti_span_equal(sti_span_of(""), sti_drop_first(s, 2)));
}

int main(void) {
    products();
    many_products();
    decimals();
    sums();
    loads();
    spans();
    return test_done("arithmetic");
}
