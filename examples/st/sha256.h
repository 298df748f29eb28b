/* sha256.h: SHA-256 (FIPS 180-4), with the processor's instructions for it where the processor has them. */
#ifndef ST_TOOL_SHA256_H
#define ST_TOOL_SHA256_H

#include <stddef.h>
#include <stdint.h>

enum { SHA256_BYTES = 32, SHA256_BLOCK = 64 };

/* adds count blocks to the state */
typedef void sha256_function(uint32_t state[8], const unsigned char *block, size_t count);

typedef struct sha256 {
    sha256_function *blocks;
    uint32_t state[8];
    uint64_t bytes; /* added so far */
    unsigned char block[SHA256_BLOCK];
} sha256;

extern sha256_function sha256_blocks_portable; /* in C, for every machine */

void sha256_begin(sha256 *h);
void sha256_add(sha256 *h, const void *bytes, size_t n);
void sha256_end(sha256 *h, unsigned char digest[SHA256_BYTES]);

#endif
