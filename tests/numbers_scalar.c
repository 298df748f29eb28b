/* The same without vector instructions. */
#define ST_NO_SIMD
#define NAME "numbers_scalar"
#define ST_IMPLEMENTATION
#include "numbers.c"
