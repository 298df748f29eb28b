/* buffer.h: memory that grows with the data: arrays, and whole files. */
#ifndef EXAMPLES_BUFFER_H
#define EXAMPLES_BUFFER_H

#include <stddef.h>

/* Returns an array of `count` elements, perhaps moved, with room for another one; NULL if memory runs out, and the array
 * is as it was. It must have grown this way only. */
void *array_grow(void *array, size_t count, size_t element_bytes);

/* Reads the file DIRECTORY/NAME, of at most 64 MiB, and puts a NUL after its bytes. Returns memory to free, or NULL with
 * *fault: what is wrong. *is_missing: there is no such file. */
char *read_file(const char *directory, const char *name, size_t *bytes, const char **fault, int *is_missing);

#endif
