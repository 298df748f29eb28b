/* string.h: as much of it as examples/st/lenient.c needs, for WebAssembly without a C library; see libc.c. */
#ifndef INSPECTOR_STRING_H
#define INSPECTOR_STRING_H

#include <stddef.h>

void *memcpy(void *dst, const void *src, size_t n);
void *memmove(void *dst, const void *src, size_t n);
void *memset(void *dst, int value, size_t n);
int memcmp(const void *a, const void *b, size_t n);
void *memchr(const void *bytes, int value, size_t n);
size_t strlen(const char *text);
char *strchr(const char *text, int c);
int strcmp(const char *a, const char *b);

#endif
