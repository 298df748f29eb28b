/* lib.c: the library itself, compiled once. */
#define ST_IMPLEMENTATION
#include "safetensors.h"
