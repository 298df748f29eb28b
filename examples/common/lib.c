/* lib.c: compiles the library. */
#define ST_IMPLEMENTATION
#include "safetensors.h"
