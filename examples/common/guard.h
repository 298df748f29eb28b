/* guard.h: for programs that read files of strangers: memory up to a limit, which is freed as a whole, and a failure that
 * ends the work from any depth of calls. */
#ifndef EXAMPLES_GUARD_H
#define EXAMPLES_GUARD_H

#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>

typedef struct guard {
    jmp_buf *trap; /* guard_fail() jumps there */
    char message[640];
    const char *place; /* NULL, or what is being read: messages begin with it and with its byte `at` */
    uint64_t at;
    size_t used, limit;                 /* bytes of memory */
    struct guard_chunk *kept, *scratch; /* where memory is taken from; scratch: while is_scratch is set */
    int is_scratch;
} guard;

#if defined(__GNUC__)
#define GUARD_FORMAT __attribute__((format(printf, 2, 3)))
__attribute__((noreturn))
#else
#define GUARD_FORMAT
#endif
void guard_fail(guard *g, const char *format, ...) GUARD_FORMAT;
void *guard_allocate(guard *g, size_t bytes); /* zeroed; fails beyond the limit */
/* Returns the array of `count` elements, moved if it has no place for another. It begins as NULL. */
void *guard_grow(guard *g, void *array, size_t count, size_t element);
char *guard_print(guard *g, const char *format, ...) GUARD_FORMAT; /* the text that printf would print */
void guard_free_scratch(guard *g);
void guard_free(guard *g); /* all memory */
/* As st_allocator wants them, for memory within the same limit. user: a guard. */
void *guard_take(void *user, size_t bytes); /* NULL beyond the limit */
void guard_give(void *user, void *memory, size_t bytes);

#endif
