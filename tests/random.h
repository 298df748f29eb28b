/* random.h: numbers that look random, the same in every run. Not within the arguments of a call: their order is the compiler's. */
#ifndef RANDOM_H
#define RANDOM_H
#include <stdint.h>

static uint64_t random_state = 0x9e3779b97f4a7c15u;

/* below n > 0 */
static inline uint64_t random_below(uint64_t n) {
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return random_state % n;
}
#endif
