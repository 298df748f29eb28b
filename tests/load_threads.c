/* load.c with threads; `make tsan` has the thread sanitizer watch. */
#define ST_THREADS
#define ST_IMPLEMENTATION
#include "load.c"
