/* stdlib.h: as much of it as examples/st/lenient.c needs, for WebAssembly without a C library; see libc.c. */
#ifndef INSPECTOR_STDLIB_H
#define INSPECTOR_STDLIB_H

#include <stddef.h>

void *malloc(size_t bytes);
void *calloc(size_t count, size_t size);
void *realloc(void *pointer, size_t bytes);
void free(void *pointer);
void qsort(void *array, size_t count, size_t size, int (*compare)(const void *a, const void *b));

#endif
