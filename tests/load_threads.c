/* Room 16: parts of one load on threads, each with the same items; also under the thread sanitizer. */
#define ON_THREADS
#include "load.c"
