/* sha1.c: SHA-1 (FIPS 180-4). */
#include "sha1.h"
#include <string.h>

static uint32_t rotate(uint32_t x, unsigned n) {
    return x << n | x >> (32 - n);
}

static void add_block(sha1 *h) {
    static const uint32_t constants[4] = {0x5a827999, 0x6ed9eba1, 0x8f1bbcdc, 0xca62c1d6};
    uint32_t w[80], s[5];
    for (int i = 0; i < 16; i++) {
        const unsigned char *p = h->block + 4 * i;
        w[i] = (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
    }
    for (int i = 16; i < 80; i++) w[i] = rotate(w[i - 3] ^ w[i - 8] ^ w[i - 14] ^ w[i - 16], 1);
    memcpy(s, h->state, sizeof s);
    for (int i = 0; i < 80; i++) {
        const uint32_t mixed = i < 20   ? (s[1] & s[2]) | (~s[1] & s[3])
                               : i < 40 ? s[1] ^ s[2] ^ s[3]
                               : i < 60 ? (s[1] & s[2]) | (s[1] & s[3]) | (s[2] & s[3])
                                        : s[1] ^ s[2] ^ s[3];
        const uint32_t first = rotate(s[0], 5) + mixed + s[4] + constants[i / 20] + w[i];
        s[4] = s[3], s[3] = s[2], s[2] = rotate(s[1], 30), s[1] = s[0], s[0] = first;
    }
    for (int i = 0; i < 5; i++) h->state[i] += s[i];
}

void sha1_begin(sha1 *h) {
    static const uint32_t state[5] = {0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476, 0xc3d2e1f0};
    memcpy(h->state, state, sizeof state);
    h->bytes = 0;
}

void sha1_add(sha1 *h, const void *bytes, size_t n) {
    const unsigned char *p = (const unsigned char *)bytes;
    while (n) {
        const size_t used = (size_t)(h->bytes % 64), k = n < 64 - used ? n : 64 - used;
        memcpy(h->block + used, p, k);
        p += k, n -= k, h->bytes += k;
        if (h->bytes % 64 == 0) add_block(h);
    }
}

void sha1_end(sha1 *h, unsigned char digest[SHA1_BYTES]) {
    const uint64_t bits = 8 * h->bytes;
    unsigned char length[8];
    sha1_add(h, "\x80", 1);
    while (h->bytes % 64 != 56) sha1_add(h, "", 1);
    for (int i = 0; i < 8; i++) length[i] = (unsigned char)(bits >> (56 - 8 * i));
    sha1_add(h, length, 8);
    for (int i = 0; i < SHA1_BYTES; i++) digest[i] = (unsigned char)(h->state[i / 4] >> (24 - 8 * (i % 4)));
}
