/* random.h: pseudorandom numbers, the same in every run. Do not call it twice in one argument list: the order is
 * unspecified. */
#ifndef RANDOM_H
#define RANDOM_H
#include <stddef.h>
#include <stdint.h>
#include <string.h>

static uint64_t random_state = 0x9e3779b97f4a7c15u;

/* returns a number below n; n > 0 */
static inline uint64_t random_below(uint64_t n) {
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return random_state % n;
}

/* fills n bytes, eight at a time: some tests fill megabytes on emulated machines */
static inline void random_bytes(void *to, size_t n) {
    unsigned char *at = (unsigned char *)to;
    while (n > 0) {
        const size_t part = n < sizeof random_state ? n : sizeof random_state;
        (void)random_below(1);
        memcpy(at, &random_state, part);
        at += part;
        n -= part;
    }
}
#endif
