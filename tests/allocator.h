/* allocator.h: an allocator that counts calls, checks the blocks that are freed, and fails on demand. */
#ifndef ALLOCATOR_H
#define ALLOCATOR_H
#include "test.h"

typedef struct counting {
    st_allocator allocator;
    size_t calls;       /* calls of alloc */
    size_t live_blocks; /* allocated and not yet freed */
    size_t live_bytes, peak_bytes;
    size_t fail_at;   /* the number of the call that fails, from 1; 0: none */
    int fail_forever; /* all later calls fail as well */
} counting;

#define COUNTING_GUARD 16 /* precedes each block: its size and a mark; keeps malloc's alignment */
#define COUNTING_MARK 0x5afe7e50u

static inline void *counting_alloc(void *user, size_t bytes) {
    counting *c = (counting *)user;
    unsigned char *block;
    const unsigned mark = COUNTING_MARK;
    c->calls++;
    if (c->fail_at > 0 && (c->calls == c->fail_at || (c->fail_forever && c->calls > c->fail_at))) return NULL;
    CHECK(bytes > 0);
    block = (unsigned char *)malloc(COUNTING_GUARD + bytes);
    if (block == NULL) return NULL;
    memcpy(block, &bytes, sizeof bytes);
    memcpy(block + COUNTING_GUARD - sizeof mark, &mark, sizeof mark);
    memset(block + COUNTING_GUARD, 0xa5, bytes); /* so that reading uninitialized bytes changes results */
    c->live_blocks++;
    c->live_bytes += bytes;
    if (c->live_bytes > c->peak_bytes) c->peak_bytes = c->live_bytes;
    return block + COUNTING_GUARD;
}

static inline void counting_free(void *user, void *pointer, size_t bytes) {
    counting *c = (counting *)user;
    unsigned char *block;
    size_t taken;
    unsigned mark;
    if (!CHECK(pointer != NULL)) return;
    block = (unsigned char *)pointer - COUNTING_GUARD;
    memcpy(&taken, block, sizeof taken);
    memcpy(&mark, block + COUNTING_GUARD - sizeof mark, sizeof mark);
    if (!CHECK_EQ(mark, COUNTING_MARK)) return;
    CHECK_EQ(bytes, taken);
    c->live_blocks--;
    c->live_bytes -= taken;
    memset(block, 0xdd, COUNTING_GUARD + taken);
    free(block);
}

static inline void counting_begin(counting *c) {
    memset(c, 0, sizeof *c);
    c->allocator.user = c;
    c->allocator.alloc = counting_alloc;
    (c->allocator.free) = counting_free;
}

static inline void counting_end(const counting *c) { /* checks that everything was freed */
    CHECK_EQ(c->live_blocks, 0);
    CHECK_EQ(c->live_bytes, 0);
}
#endif
