/* Runs tests/numbers.c with ST_NO_SIMD. */
#define ST_NO_SIMD
#define NAME "numbers_scalar"
#define ST_IMPLEMENTATION
#include "numbers.c"
