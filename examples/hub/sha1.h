/* sha1.h: SHA-1 (FIPS 180-4), by which git names files. It finds damage, but does not stop a forger. */
#ifndef HUB_SHA1_H
#define HUB_SHA1_H

#include <stddef.h>
#include <stdint.h>

enum { SHA1_BYTES = 20 };

typedef struct sha1 {
    uint32_t state[5];
    uint64_t bytes; /* added so far */
    unsigned char block[64];
} sha1;

void sha1_begin(sha1 *h);
void sha1_add(sha1 *h, const void *bytes, size_t n);
void sha1_end(sha1 *h, unsigned char digest[SHA1_BYTES]);

#endif
