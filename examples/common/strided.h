/* strided.h: the bytes of a strided array in C order (last axis fastest), such as a transposed or sliced matrix. A range
 * at a time is put in order in a block of memory, and the source is read in the order of its own bytes. */
#ifndef EXAMPLES_STRIDED_H
#define EXAMPLES_STRIDED_H

#include <stddef.h>
#include <stdint.h>

enum { STRIDED_RANK = 64 };

typedef struct strided { /* the caller has checked that all elements lie in the source, and that there are some */
    uint32_t rank;
    const uint64_t *shape, *stride; /* stride: elements of the source from one index to the next; 0 repeats one */
    uint64_t size, start;           /* bytes of an element, at most 64; bytes of the source before the first */
    void (*read)(void *user, uint64_t offset, void *dst, size_t bytes);
    void *user;
    unsigned char *block; /* memory that the caller lends, of at least one element */
    size_t block_bytes;
    uint64_t first, count; /* which elements are in the block; count is 0 before the first call */
} strided;

/* Reads bytes [offset, offset + bytes) of the array in C order; both are multiples of the size of an element. */
void strided_read(strided *s, uint64_t offset, void *dst, size_t bytes);
void swap_words(void *dst, size_t bytes, size_t word); /* reverses the bytes of each word */

#endif
