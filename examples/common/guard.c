/* guard.c: memory up to a limit, and failures that end the work from any depth of calls. */
#include "guard.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifndef CHUNK
#define CHUNK 65536 /* fuzzing sets 1, so that each object is a block of its own */
#endif

struct guard_chunk {
    struct guard_chunk *next;
    size_t bytes, used;
};

void guard_fail(guard *g, const char *format, ...) {
    const unsigned long long at = g->at;
    const size_t n = g->place ? (size_t)snprintf(g->message, 60, "%.20s, byte %llu: ", g->place, at) : 0;
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(g->message + n, sizeof g->message - n, format, arguments);
    va_end(arguments);
    longjmp(*g->trap, 1);
}

void *guard_take(void *user, size_t bytes) {
    guard *g = (guard *)user;
    void *memory = bytes <= g->limit - g->used ? malloc(bytes + !bytes) : NULL;
    if (memory) g->used += bytes;
    return memory;
}

void guard_give(void *user, void *memory, size_t bytes) {
    if (memory) ((guard *)user)->used -= bytes;
    free(memory);
}

void *guard_allocate(guard *g, size_t bytes) {
    struct guard_chunk **list = g->is_scratch ? &g->scratch : &g->kept, *c = *list;
    const size_t head = (sizeof *c + 15) & ~(size_t)15, rounded = (bytes + 15) & ~(size_t)15;
    if (!c || bytes > c->bytes - c->used || rounded > c->bytes - c->used) {
        const size_t room = head + (rounded > CHUNK ? rounded : CHUNK);
        c = bytes < SIZE_MAX / 2 ? (struct guard_chunk *)guard_take(g, room) : NULL;
        if (!c) guard_fail(g, "more memory is needed than the limit of %u MiB", (unsigned)(g->limit >> 20));
        c->bytes = room, c->used = head, c->next = *list;
        *list = c;
    }
    c->used += rounded;
    return memset((unsigned char *)c + c->used - rounded, 0, rounded);
}

void *guard_grow(guard *g, void *array, size_t count, size_t element) {
    void *larger;
    if (array && (count < 4 || (count & (count - 1)) != 0)) return array; /* it has 4, 8, 16 ... places */
    if (count > SIZE_MAX / 4 / element) guard_fail(g, "too many values for this machine");
    larger = guard_allocate(g, (count < 4 ? 4 : 2 * count) * element);
    return count ? memcpy(larger, array, count * element) : larger;
}

char *guard_print(guard *g, const char *format, ...) {
    va_list arguments, again;
    char *text;
    int n;
    va_start(arguments, format);
    va_copy(again, arguments);
    n = vsnprintf(NULL, 0, format, arguments);
    if (n < 0) guard_fail(g, "a text is too long");
    text = (char *)guard_allocate(g, (size_t)n + 1);
    vsnprintf(text, (size_t)n + 1, format, again);
    va_end(again), va_end(arguments);
    return text;
}

static void free_list(guard *g, struct guard_chunk **list) {
    while (*list) {
        struct guard_chunk *c = *list;
        *list = c->next;
        guard_give(g, c, c->bytes);
    }
}

void guard_free_scratch(guard *g) {
    free_list(g, &g->scratch);
}

void guard_free(guard *g) {
    free_list(g, &g->scratch);
    free_list(g, &g->kept);
}
