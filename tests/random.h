/* random.h: pseudorandom numbers, the same in every run. Do not call it twice in one argument list: the order is
 * unspecified. */
#ifndef RANDOM_H
#define RANDOM_H
#include <stdint.h>

static uint64_t random_state = 0x9e3779b97f4a7c15u;

/* returns a number below n; n > 0 */
static inline uint64_t random_below(uint64_t n) {
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return random_state % n;
}
#endif
