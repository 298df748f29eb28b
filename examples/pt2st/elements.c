/* elements.c: from storages to the bytes of tensors in C order, whatever their strides. */
#include "pt2st.h"
#include <stdlib.h>
#include <string.h>

typedef struct axis {
    uint64_t count, from, to; /* from, to: bytes from one element to the next in the storage and in the result */
} axis;

/* Copies elements along one axis: as one piece where they are consecutive, through a buffer where they are near. */
static void copy_run(job *j, const tensor *t, uint64_t from, const axis *a, unsigned char *dst) {
    unsigned char buffer[16384];
    const part *data = &t->storage->data;
    uint64_t done, k, n;
    if (a->from == t->size && a->to == t->size) {
        read_part(j, data, from, dst, (size_t)(a->count * t->size));
        return;
    }
    for (done = 0; done < a->count; done += n) {
        n = a->from > 16 * t->size ? 1 : a->from ? (sizeof buffer - t->size) / a->from + 1 : a->count;
        if (n > a->count - done) n = a->count - done;
        read_part(j, data, from + done * a->from, buffer, (size_t)((n - 1) * a->from + t->size));
        for (k = 0; k < n; k++) memcpy(dst + (done + k) * a->to, buffer + k * a->from, (size_t)t->size);
    }
}

static int by_step(const void *a, const void *b) { /* largest first; steps of 0 repeat all that follows */
    const uint64_t x = ((const axis *)a)->from - 1, y = ((const axis *)b)->from - 1;
    return x > y ? -1 : x < y;
}

/* Fills j->block with elements from `first` on. A block is a range of one axis with all of the axes after it. So it is
 * consecutive in the result, and the storage can be read in the order of its own bytes. */
static void gather(job *j, const tensor *t, uint64_t first) {
    axis axes[MAX_RANK + 1];
    uint64_t index[MAX_RANK + 1] = {0}, inner = 1, row, rows = 1, from = t->start, to = 0, step = t->size;
    uint32_t n = 0, d, outer = t->rank;
    if (!j->block) j->block = (unsigned char *)allocate(j, BLOCK);
    while (outer > 0 && t->shape[outer - 1] <= BLOCK / t->size / inner) inner *= t->shape[--outer];
    row = first / inner;
    j->block_tensor = t, j->block_first = row * inner;
    for (d = outer; d-- > 0; row /= t->shape[d]) {
        const uint64_t i = row % t->shape[d];
        from += i * t->stride[d] * t->size;
        if (d + 1 < outer) continue;
        rows = BLOCK / t->size / inner;
        if (rows > t->shape[d] - i) rows = t->shape[d] - i;
    }
    j->block_count = rows * inner;
    for (d = t->rank; d-- > 0 && d + 1 >= outer; step *= t->shape[d]) {
        const axis a = {d < outer ? rows : t->shape[d], t->stride[d] * t->size, step};
        if (a.count > 1) axes[n++] = a;
    }
    if (n) qsort(axes, n, sizeof *axes, by_step);
    if (!n) axes[0].count = 1, axes[0].from = axes[0].to = t->size, n = 1;
    do { /* all axes but the last count like the digits of a number */
        copy_run(j, t, from, &axes[n - 1], j->block + to);
        for (d = n - 1; d-- > 0; index[d] = 0) {
            from += axes[d].from, to += axes[d].to;
            if (++index[d] < axes[d].count) break;
            from -= axes[d].from * axes[d].count, to -= axes[d].to * axes[d].count;
        }
    } while (d != UINT32_MAX);
}

static void read_elements(job *j, const tensor *t, uint64_t offset, unsigned char *dst, size_t bytes) {
    uint64_t packed = 1, first;
    uint32_t d;
    size_t n;
    for (d = t->rank; d-- > 0 && (t->shape[d] < 2 || t->stride[d] == packed);) packed *= t->shape[d];
    if (d == UINT32_MAX) read_part(j, &t->storage->data, t->start + offset, dst, bytes);
    for (; d != UINT32_MAX && bytes > 0; dst += n, offset += n, bytes -= n) {
        first = offset / t->size;
        if (j->block_tensor != t || first - j->block_first >= j->block_count) gather(j, t, first);
        n = (size_t)((j->block_count - (first - j->block_first)) * t->size);
        if (n > bytes) n = bytes;
        memcpy(dst, j->block + (first - j->block_first) * t->size, n);
    }
}

int fill_tensor(void *user, const st_tensor *t, uint64_t offset, void *dst, size_t bytes) {
    job *j = (job *)user;
    const item *x = &j->items[t - j->tensors];
    unsigned char *c = (unsigned char *)dst, byte;
    const size_t word = x->tensor->dtype == ST_DTYPE_C64 ? 4 : (size_t)x->tensor->size;
    size_t i, k;
    jmp_buf trap;
    j->guard->trap = &trap;
    if (setjmp(trap)) return 1;
    open_input(j, x->file);
    read_elements(j, x->tensor, offset, c, bytes);
    for (i = 0; x->is_swapped && i < bytes; i += word) {
        for (k = 0; k < word / 2; k++) {
            byte = c[i + k], c[i + k] = c[i + word - 1 - k], c[i + word - 1 - k] = byte;
        }
    }
    return 0;
}
