/* sha256.c: see sha256.h. Three functions add blocks to the state: sha256_blocks_portable in C, and one each with the
 * instructions of x86 and of ARMv8. x86 is asked when the program runs, ARMv8 when it is compiled. */
#include "sha256.h"
#include <string.h>

#if (defined(__x86_64__) || defined(__i386__)) && !defined(__TINYC__) && (defined(__clang__) || __GNUC__ >= 5)
#define SHA256_X86 1
#define SHA256_TARGET __attribute__((target("sha,sse4.1,ssse3")))
#include <cpuid.h>
#include <immintrin.h>
#elif (defined(_M_X64) || defined(_M_IX86)) && defined(_MSC_VER) && _MSC_VER >= 1900
#define SHA256_X86 1
#define SHA256_TARGET
#include <immintrin.h>
#include <intrin.h>
#elif defined(__aarch64__) && !defined(__AARCH64EB__) && (defined(__ARM_FEATURE_SHA2) || defined(__ARM_FEATURE_CRYPTO))
#define SHA256_ARM 1
#include <arm_neon.h>
#endif

/* sums are modulo 2^32, which `make asan` reports elsewhere */
#if defined(__clang__)
#define SHA256_WRAPS __attribute__((no_sanitize("unsigned-integer-overflow")))
#else
#define SHA256_WRAPS
#endif

static const uint32_t sha256_k[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2};

/* ---- in C --------------------------------------------------------------------------------------------------- */

static uint32_t sha256_rotate(uint32_t x, unsigned n) {
    return x >> n | x << (32 - n);
}

static uint32_t sha256_load(const unsigned char *p) {
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

/* One round. The variables change roles from round to round, so that none is copied. */
#define SHA256_ROUND(a, b, c, d, e, f, g, h, i)                                                                       \
    do {                                                                                                              \
        h += (sha256_rotate(e, 6) ^ sha256_rotate(e, 11) ^ sha256_rotate(e, 25)) + (g ^ (e & (f ^ g))) + k[i] + w[i]; \
        d += h;                                                                                                       \
        h += (sha256_rotate(a, 2) ^ sha256_rotate(a, 13) ^ sha256_rotate(a, 22)) + ((a & b) | (c & (a | b)));         \
    } while (0)

/* Replaces the word of a round by the word of the round 16 later. */
#define SHA256_WORD(i)                                                                                         \
    (w[i] += (sha256_rotate(w[(i + 1) % 16], 7) ^ sha256_rotate(w[(i + 1) % 16], 18) ^ w[(i + 1) % 16] >> 3) + \
             w[(i + 9) % 16] +                                                                                 \
             (sha256_rotate(w[(i + 14) % 16], 17) ^ sha256_rotate(w[(i + 14) % 16], 19) ^ w[(i + 14) % 16] >> 10))

SHA256_WRAPS static void sha256_next_words(uint32_t w[16]) {
    SHA256_WORD(0), SHA256_WORD(1), SHA256_WORD(2), SHA256_WORD(3);
    SHA256_WORD(4), SHA256_WORD(5), SHA256_WORD(6), SHA256_WORD(7);
    SHA256_WORD(8), SHA256_WORD(9), SHA256_WORD(10), SHA256_WORD(11);
    SHA256_WORD(12), SHA256_WORD(13), SHA256_WORD(14), SHA256_WORD(15);
}

SHA256_WRAPS void sha256_blocks_portable(uint32_t s[8], const unsigned char *block, size_t count) {
    for (; count; count--, block += SHA256_BLOCK) {
        uint32_t a = s[0], b = s[1], c = s[2], d = s[3], e = s[4], f = s[5], g = s[6], h = s[7], w[16];
        const uint32_t *k = sha256_k;
        unsigned i;
        for (i = 0; i < 16; i++) w[i] = sha256_load(block + (size_t)4 * i);
        for (;;) {
            SHA256_ROUND(a, b, c, d, e, f, g, h, 0);
            SHA256_ROUND(h, a, b, c, d, e, f, g, 1);
            SHA256_ROUND(g, h, a, b, c, d, e, f, 2);
            SHA256_ROUND(f, g, h, a, b, c, d, e, 3);
            SHA256_ROUND(e, f, g, h, a, b, c, d, 4);
            SHA256_ROUND(d, e, f, g, h, a, b, c, 5);
            SHA256_ROUND(c, d, e, f, g, h, a, b, 6);
            SHA256_ROUND(b, c, d, e, f, g, h, a, 7);
            SHA256_ROUND(a, b, c, d, e, f, g, h, 8);
            SHA256_ROUND(h, a, b, c, d, e, f, g, 9);
            SHA256_ROUND(g, h, a, b, c, d, e, f, 10);
            SHA256_ROUND(f, g, h, a, b, c, d, e, 11);
            SHA256_ROUND(e, f, g, h, a, b, c, d, 12);
            SHA256_ROUND(d, e, f, g, h, a, b, c, 13);
            SHA256_ROUND(c, d, e, f, g, h, a, b, 14);
            SHA256_ROUND(b, c, d, e, f, g, h, a, 15);
            k += 16;
            if (k == sha256_k + 64) break;
            sha256_next_words(w);
        }
        s[0] += a, s[1] += b, s[2] += c, s[3] += d;
        s[4] += e, s[5] += f, s[6] += g, s[7] += h;
    }
}

/* ---- with the instructions of x86 --------------------------------------------------------------------------- */

#if defined(SHA256_X86)
static int sha256_has_x86(void) {
    const unsigned sha = 1u << 29, ssse3 = 1u << 9, sse41 = 1u << 19; /* leaf 7 EBX; leaf 1 ECX twice */
#if defined(_MSC_VER) && !defined(__clang__)
    int r[4], leaf1;
    __cpuid(r, 0);
    if (r[0] < 7) return 0;
    __cpuid(r, 1);
    leaf1 = r[2];
    __cpuidex(r, 7, 0);
    return ((unsigned)r[1] & sha) && ((unsigned)leaf1 & ssse3) && ((unsigned)leaf1 & sse41);
#else
    unsigned a, b, c, d, leaf1;
    if (__get_cpuid_max(0, NULL) < 7) return 0;
    __cpuid(1, a, b, c, d);
    leaf1 = c;
    __cpuid_count(7, 0, a, b, c, d);
    (void)a, (void)c, (void)d;
    return (b & sha) && (leaf1 & ssse3) && (leaf1 & sse41);
#endif
}

/* Rounds i to i + 3, whose words are m0. Then m0 becomes the words of rounds i + 16 to i + 19, which need the words of
 * the three groups that follow m0. */
#define SHA256_X86_ROUNDS(i, m0, m1, m2, m3)                                                \
    do {                                                                                    \
        const __m128i k = _mm_loadu_si128((const __m128i *)(const void *)(sha256_k + (i))); \
        const __m128i wk = _mm_add_epi32(m0, k);                                            \
        cdgh = _mm_sha256rnds2_epu32(cdgh, abef, wk);                                       \
        abef = _mm_sha256rnds2_epu32(abef, cdgh, _mm_shuffle_epi32(wk, 0x0e));              \
        m0 = _mm_add_epi32(_mm_sha256msg1_epu32(m0, m1), _mm_alignr_epi8(m3, m2, 4));       \
        m0 = _mm_sha256msg2_epu32(m0, m3);                                                  \
    } while (0)

SHA256_TARGET static void sha256_blocks_x86(uint32_t state[8], const unsigned char *block, size_t count) {
    const __m128i swap = _mm_set_epi64x(0x0c0d0e0f08090a0b, 0x0405060700010203);
    __m128i *const to = (__m128i *)(void *)state;
    const __m128i dcba = _mm_shuffle_epi32(_mm_loadu_si128(to), 0xb1);
    const __m128i hgfe = _mm_shuffle_epi32(_mm_loadu_si128(to + 1), 0x1b);
    __m128i abef = _mm_alignr_epi8(dcba, hgfe, 8), cdgh = _mm_blend_epi16(hgfe, dcba, 0xf0), feba;
    unsigned i;
    for (; count; count--, block += SHA256_BLOCK) {
        const __m128i *from = (const __m128i *)(const void *)block;
        const __m128i abef_before = abef, cdgh_before = cdgh;
        __m128i m0 = _mm_shuffle_epi8(_mm_loadu_si128(from), swap);
        __m128i m1 = _mm_shuffle_epi8(_mm_loadu_si128(from + 1), swap);
        __m128i m2 = _mm_shuffle_epi8(_mm_loadu_si128(from + 2), swap);
        __m128i m3 = _mm_shuffle_epi8(_mm_loadu_si128(from + 3), swap);
        for (i = 0; i < 64; i += 16) { /* the words beyond round 63 are not used */
            SHA256_X86_ROUNDS(i, m0, m1, m2, m3);
            SHA256_X86_ROUNDS(i + 4, m1, m2, m3, m0);
            SHA256_X86_ROUNDS(i + 8, m2, m3, m0, m1);
            SHA256_X86_ROUNDS(i + 12, m3, m0, m1, m2);
        }
        abef = _mm_add_epi32(abef, abef_before);
        cdgh = _mm_add_epi32(cdgh, cdgh_before);
    }
    feba = _mm_shuffle_epi32(abef, 0x1b);
    cdgh = _mm_shuffle_epi32(cdgh, 0xb1);
    _mm_storeu_si128(to, _mm_blend_epi16(feba, cdgh, 0xf0));
    _mm_storeu_si128(to + 1, _mm_alignr_epi8(cdgh, feba, 8));
}
#endif

/* ---- with the instructions of ARMv8 ------------------------------------------------------------------------- */

#if defined(SHA256_ARM)
static void sha256_blocks_arm(uint32_t state[8], const unsigned char *block, size_t count) {
    uint32x4_t abcd = vld1q_u32(state), efgh = vld1q_u32(state + 4);
    unsigned i, k;
    for (; count; count--, block += SHA256_BLOCK) {
        const uint32x4_t abcd_before = abcd, efgh_before = efgh;
        uint32x4_t m[4];
        for (k = 0; k < 4; k++) m[k] = vreinterpretq_u32_u8(vrev32q_u8(vld1q_u8(block + (size_t)16 * k)));
        for (i = 0; i < 16; i++) { /* the words beyond round 63 are not used */
            const uint32x4_t wk = vaddq_u32(m[i % 4], vld1q_u32(sha256_k + (size_t)4 * i)), abcd_now = abcd;
            abcd = vsha256hq_u32(abcd, efgh, wk);
            efgh = vsha256h2q_u32(efgh, abcd_now, wk);
            m[i % 4] = vsha256su1q_u32(vsha256su0q_u32(m[i % 4], m[(i + 1) % 4]), m[(i + 2) % 4], m[(i + 3) % 4]);
        }
        abcd = vaddq_u32(abcd, abcd_before);
        efgh = vaddq_u32(efgh, efgh_before);
    }
    vst1q_u32(state, abcd);
    vst1q_u32(state + 4, efgh);
}
#endif

/* ---- the interface ------------------------------------------------------------------------------------------ */

static sha256_function *sha256_choose(void) {
#if defined(SHA256_X86)
    return sha256_has_x86() ? sha256_blocks_x86 : sha256_blocks_portable;
#elif defined(SHA256_ARM)
    return sha256_blocks_arm;
#else
    return sha256_blocks_portable;
#endif
}

void sha256_begin(sha256 *h) {
    static const uint32_t start[8] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                                      0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
    h->blocks = sha256_choose();
    memcpy(h->state, start, sizeof start);
    h->bytes = 0;
}

void sha256_add(sha256 *h, const void *data, size_t n) {
    const unsigned char *bytes = (const unsigned char *)data;
    const size_t used = (size_t)(h->bytes % SHA256_BLOCK);
    size_t part = used ? SHA256_BLOCK - used : 0; /* completes the block that has begun */
    if (part > n) part = n;
    h->bytes += n;
    if (part) {
        memcpy(h->block + used, bytes, part);
        bytes += part, n -= part;
        if (used + part == SHA256_BLOCK) h->blocks(h->state, h->block, 1);
    }
    if (n >= SHA256_BLOCK) h->blocks(h->state, bytes, n / SHA256_BLOCK);
    if (n % SHA256_BLOCK) memcpy(h->block, bytes + (n - n % SHA256_BLOCK), n % SHA256_BLOCK);
}

void sha256_end(sha256 *h, unsigned char digest[SHA256_BYTES]) {
    const uint64_t bits = h->bytes * 8;
    unsigned char end[SHA256_BLOCK + 8] = {0x80}; /* 0x80, zeros up to 8 bytes before a block's end, the length */
    const size_t zeros = (size_t)((SHA256_BLOCK + 55 - h->bytes % SHA256_BLOCK) % SHA256_BLOCK);
    unsigned i;
    for (i = 0; i < 8; i++) end[1 + zeros + i] = (unsigned char)(bits >> (56 - 8 * i));
    sha256_add(h, end, 1 + zeros + 8);
    for (i = 0; i < SHA256_BYTES; i++) digest[i] = (unsigned char)(h->state[i / 4] >> (24 - 8 * (i % 4)));
}
