/* libc.c: memory for WebAssembly without a C library. Blocks have the size of a power of two and return to a list of
 * their size. Nothing is merged: an instance holds one model, and the page drops instance and memory together. */
#include "libc/stdlib.h"
#include "libc/string.h"
#include <stdint.h>

enum { PAGE = 65536, HEADER = 16, CLASSES = 32 };

extern unsigned char __heap_base; /* made by the linker: the first byte after the program's data */

static unsigned char *heap_end;
static unsigned char *free_blocks[CLASSES];

/* Returns `bytes` bytes that no block has had before, or NULL. */
static unsigned char *more_memory(size_t bytes) {
    const size_t have = __builtin_wasm_memory_size(0) * (size_t)PAGE; /* 0 after overflow: all 4 GiB are in use */
    unsigned char *block;
    size_t left;
    if (!heap_end) heap_end = &__heap_base + (-(uintptr_t)&__heap_base & (HEADER - 1));
    left = have - (size_t)(uintptr_t)heap_end;
    if (left < bytes) {
        const size_t pages = (bytes - left + PAGE - 1) / PAGE;
        if (__builtin_wasm_memory_grow(0, pages) == SIZE_MAX) return NULL;
    }
    block = heap_end;
    heap_end += bytes;
    return block;
}

/* A block begins with its class; its memory follows after HEADER bytes. A free block has the next one there. */
void *malloc(size_t bytes) {
    size_t class = 5;
    unsigned char *block;
    if (bytes > ((size_t)1 << 31) - HEADER) return NULL;
    while (((size_t)1 << class) < bytes + HEADER) class ++;
    block = free_blocks[class];
    if (block) {
        memcpy(&free_blocks[class], block + HEADER, sizeof block);
    } else {
        block = more_memory((size_t)1 << class);
        if (!block) return NULL;
        memcpy(block, &class, sizeof class);
    }
    return block + HEADER;
}

void free(void *pointer) {
    unsigned char *block;
    size_t class;
    if (!pointer) return;
    block = (unsigned char *)pointer - HEADER;
    memcpy(&class, block, sizeof class);
    memcpy(pointer, &free_blocks[class], sizeof block);
    free_blocks[class] = block;
}

void *calloc(size_t count, size_t size) {
    void *block;
    if (size && count > SIZE_MAX / size) return NULL;
    block = malloc(count * size);
    if (block) memset(block, 0, count * size);
    return block;
}

void *realloc(void *pointer, size_t bytes) {
    void *block;
    size_t class, room;
    if (!pointer) return malloc(bytes);
    memcpy(&class, (unsigned char *)pointer - HEADER, sizeof class);
    room = ((size_t)1 << class) - HEADER;
    if (bytes <= room) return pointer;
    block = malloc(bytes);
    if (!block) return NULL;
    memcpy(block, pointer, room);
    free(pointer);
    return block;
}

/* The compiler calls this for a product of 64-bit numbers that it checks for overflow. */
__int128 __multi3(__int128 a, __int128 b);
__int128 __multi3(__int128 a, __int128 b) {
    const uint64_t x = (uint64_t)a, y = (uint64_t)b, low = UINT32_MAX;
    const uint64_t ll = (x & low) * (y & low), lh = (x & low) * (y >> 32), hl = (x >> 32) * (y & low);
    const uint64_t middle = (ll >> 32) + (lh & low) + (hl & low);
    const uint64_t high = (x >> 32) * (y >> 32) + (lh >> 32) + (hl >> 32) + (middle >> 32) + (uint64_t)(a >> 64) * y +
                          x * (uint64_t)(b >> 64);
    return (__int128)high << 64 | (ll & low) | middle << 32;
}

/* -mbulk-memory turns these built-ins into instructions, not into calls. */
void *memcpy(void *dst, const void *src, size_t n) {
    return __builtin_memcpy(dst, src, n);
}

void *memmove(void *dst, const void *src, size_t n) {
    return __builtin_memmove(dst, src, n);
}

void *memset(void *dst, int value, size_t n) {
    return __builtin_memset(dst, value, n);
}

int memcmp(const void *a, const void *b, size_t n) {
    const unsigned char *x = (const unsigned char *)a, *y = (const unsigned char *)b;
    for (; n; n--, x++, y++) {
        if (*x != *y) return *x < *y ? -1 : 1;
    }
    return 0;
}

void *memchr(const void *bytes, int value, size_t n) {
    const unsigned char *s = (const unsigned char *)bytes;
    for (; n; n--, s++) {
        if (*s == (unsigned char)value) return (void *)(uintptr_t)s;
    }
    return NULL;
}

size_t strlen(const char *text) {
    size_t n = 0;
    while (text[n]) n++;
    return n;
}

char *strchr(const char *text, int c) {
    return (char *)memchr(text, c, strlen(text) + 1);
}

int strcmp(const char *a, const char *b) {
    while (*a && *a == *b) a++, b++;
    return (unsigned char)*a - (unsigned char)*b;
}

static void swap(unsigned char *a, unsigned char *b, size_t n) {
    for (; n; n--, a++, b++) {
        const unsigned char byte = *a;
        *a = *b;
        *b = byte;
    }
}

/* Heap sort: the order of a hostile file cannot make it slow. */
void qsort(void *array, size_t count, size_t size, int (*compare)(const void *a, const void *b)) {
    unsigned char *items = (unsigned char *)array;
    size_t next = count / 2, end = count;
    while (end > 1) {
        size_t parent, child;
        if (next > 0) {
            next--;
        } else {
            end--;
            swap(items, items + end * size, size);
        }
        for (parent = next; (child = 2 * parent + 1) < end; parent = child) {
            if (child + 1 < end && compare(items + child * size, items + (child + 1) * size) < 0) child++;
            if (compare(items + parent * size, items + child * size) >= 0) break;
            swap(items + parent * size, items + child * size, size);
        }
    }
}
