/* buffer.c: memory that grows with the data: arrays, and whole files. */
#include "buffer.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_BYTES = 1 << 26 };

void *array_grow(void *array, size_t count, size_t element_bytes) {
    if ((count & (count - 1)) != 0) return array; /* it is doubled at each power of two */
    return realloc(array, (count ? 2 * count : 1) * element_bytes);
}

char *read_file(const char *directory, const char *name, size_t *bytes, const char **fault, int *is_missing) {
    char path[4096], *text = NULL;
    long size = -1;
    FILE *file;
    *is_missing = 0;
    *fault = "has too long a path";
    if ((size_t)snprintf(path, sizeof path, "%s/%s", directory, name) >= sizeof path) return NULL;
    file = fopen(path, "rb");
    *is_missing = !file && errno == ENOENT;
    *fault = file ? "cannot be read" : strerror(errno);
    if (!file) return NULL;
    if (fseek(file, 0, SEEK_END) == 0) size = ftell(file);
    if (size > MOST_BYTES) *fault = "is over 64 MiB";
    if (size >= 0 && size <= MOST_BYTES && fseek(file, 0, SEEK_SET) == 0) text = (char *)malloc((size_t)size + 1);
    *bytes = text ? fread(text, 1, (size_t)size, file) : 0;
    fclose(file);
    if (text && *bytes == (size_t)size) return text[size] = 0, text;
    free(text);
    return NULL;
}
