/* Runs tests/load.c with each part of a load on its own thread; also used with the thread sanitizer. */
#define ON_THREADS
#include "load.c"
