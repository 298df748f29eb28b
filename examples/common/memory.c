/* memory.c: memory for programs that run one job and end. */
#include "memory.h"
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

typedef struct block {
    struct block *next;
    uint64_t data[1]; /* aligned for everything but vectors */
} block;

static block *blocks;

void *allocate(size_t bytes) {
    block *b = bytes < SIZE_MAX - sizeof(block) ? (block *)calloc(1, sizeof(block) + bytes) : NULL;
    if (!b) {
        fputs("out of memory\n", stderr);
        exit(1);
    }
    b->next = blocks;
    blocks = b;
    return b->data;
}

void free_memory(void) {
    while (blocks) {
        block *next = blocks->next;
        free(blocks);
        blocks = next;
    }
}
