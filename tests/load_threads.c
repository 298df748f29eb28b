/* load.c with threads; `make tsan` has the thread sanitizer watch. */
#define ST_THREADS
#include "load.c"
