/* strided.c: the bytes of a strided array in C order. */
#include "strided.h"
#include <stdlib.h>
#include <string.h>

typedef struct axis {
    uint64_t count, from, to; /* from, to: bytes from one element to the next in the source and in the result */
} axis;

/* Copies elements along one axis: as one piece where they are consecutive, through a buffer where they are near. */
static void copy_run(const strided *s, uint64_t from, const axis *a, unsigned char *dst) {
    unsigned char buffer[16384];
    uint64_t done, k, n;
    if (a->from == s->size && a->to == s->size) {
        s->read(s->user, from, dst, (size_t)(a->count * s->size));
        return;
    }
    for (done = 0; done < a->count; done += n) {
        n = a->from > 16 * s->size ? 1 : a->from ? (sizeof buffer - s->size) / a->from + 1 : a->count;
        if (n > a->count - done) n = a->count - done;
        s->read(s->user, from + done * a->from, buffer, (size_t)((n - 1) * a->from + s->size));
        for (k = 0; k < n; k++) memcpy(dst + (done + k) * a->to, buffer + k * a->from, (size_t)s->size);
    }
}

static int by_step(const void *a, const void *b) { /* largest first; steps of 0 repeat all that follows */
    const uint64_t x = ((const axis *)a)->from - 1, y = ((const axis *)b)->from - 1;
    return x > y ? -1 : x < y;
}

/* Fills the block with elements from about `first` on: a range of one axis with all of the axes after it. So the block is
 * consecutive in the result, and the source can be read in the order of its own bytes. */
static void gather(strided *s, uint64_t first) {
    const uint64_t places = s->block_bytes / s->size;
    axis axes[STRIDED_RANK + 1];
    uint64_t index[STRIDED_RANK + 1] = {0}, inner = 1, row, rows = 1, from = s->start, to = 0, step = s->size;
    uint32_t n = 0, d, outer = s->rank;
    while (outer > 0 && s->shape[outer - 1] <= places / inner) inner *= s->shape[--outer];
    row = first / inner;
    s->first = row * inner;
    for (d = outer; d-- > 0; row /= s->shape[d]) {
        const uint64_t i = row % s->shape[d];
        from += i * s->stride[d] * s->size;
        if (d + 1 < outer) continue;
        rows = places / inner;
        if (rows > s->shape[d] - i) rows = s->shape[d] - i;
    }
    s->count = rows * inner;
    for (d = s->rank; d-- > 0 && d + 1 >= outer; step *= s->shape[d]) {
        const axis a = {d < outer ? rows : s->shape[d], s->stride[d] * s->size, step};
        if (a.count > 1) axes[n++] = a;
    }
    if (n) qsort(axes, n, sizeof *axes, by_step);
    if (!n) axes[0].count = 1, axes[0].from = axes[0].to = s->size, n = 1;
    do { /* all axes but the last count like the digits of a number */
        copy_run(s, from, &axes[n - 1], s->block + to);
        for (d = n - 1; d-- > 0; index[d] = 0) {
            from += axes[d].from, to += axes[d].to;
            if (++index[d] < axes[d].count) break;
            from -= axes[d].from * axes[d].count, to -= axes[d].to * axes[d].count;
        }
    } while (d != UINT32_MAX);
}

void strided_read(strided *s, uint64_t offset, void *dst, size_t bytes) {
    unsigned char *to = (unsigned char *)dst;
    uint64_t packed = 1;
    uint32_t d;
    size_t n;
    for (d = s->rank; d-- > 0 && (s->shape[d] < 2 || s->stride[d] == packed);) packed *= s->shape[d];
    if (d == UINT32_MAX) s->read(s->user, s->start + offset, dst, bytes); /* the array is in C order */
    for (; d != UINT32_MAX && bytes > 0; to += n, offset += n, bytes -= n) {
        const uint64_t first = offset / s->size;
        if (first - s->first >= s->count) gather(s, first);
        n = (size_t)((s->count - (first - s->first)) * s->size);
        if (n > bytes) n = bytes;
        memcpy(to, s->block + (first - s->first) * s->size, n);
    }
}

void swap_words(void *dst, size_t bytes, size_t word) {
    unsigned char *c = (unsigned char *)dst;
    size_t i, k;
    for (i = 0; i < bytes; i += word) {
        for (k = 0; k < word / 2; k++) {
            const unsigned char byte = c[i + k];
            c[i + k] = c[i + word - 1 - k];
            c[i + word - 1 - k] = byte;
        }
    }
}
