/* extents PATH: reads a whole model with the program's own file handles and reads, as a program does that has a thread
 * pool, io_uring or a device's queue.
 *
 *     cc -I. examples/extents.c -o extents       (POSIX)
 *
 * st_plan_load says which bytes of which file go where. The extents are sorted by file and offset, and none is longer
 * than the given limit, so that each can be one request. The bytes are copied as they are: little-endian on every
 * machine. */
#if !defined(_POSIX_C_SOURCE)
#define _POSIX_C_SOURCE 200809L /* pread */
#endif
#define ST_IMPLEMENTATION
#include "safetensors.h"
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { MAX_REQUEST = 1 << 20 };

/* Reads one extent. Returns 0 if the file cannot be read or has become shorter. */
static int read_extent(int file, const st_extent *extent, unsigned char *dst) {
    uint64_t done = 0;
    while (done < extent->bytes) {
        ssize_t got = pread(file, dst + done, (size_t)(extent->bytes - done), (off_t)(extent->offset + done));
        if (got <= 0) return 0;
        done += (uint64_t)got;
    }
    return 1;
}

static int read_extents(const st_model *model, const st_extent *extents, size_t count, unsigned char *const *buffers) {
    uint32_t open_shard = 0;
    int file = -1, is_read = 1;
    size_t i;
    for (i = 0; is_read && i < count; i++) {
        const st_extent *e = &extents[i];
        if (file < 0 || e->shard != open_shard) {
            if (file >= 0) close(file);
            file = open(model->shards[e->shard].path, O_RDONLY);
            open_shard = e->shard;
        }
        is_read = file >= 0 && read_extent(file, e, buffers[e->item] + e->to);
    }
    if (file >= 0) close(file);
    return is_read;
}

/* Plans the whole tensors of a model. Returns the extents, which the caller frees, or NULL. */
static st_extent *plan(const st_model *model, size_t *extent_count, st_error *error) {
    st_load_item *items = (st_load_item *)calloc(model->count + 1, sizeof *items);
    st_extent *extents = NULL;
    st_status status = ST_ERR_MEMORY;
    size_t i;
    for (i = 0; items && i < model->count; i++) items[i].tensor = &model->tensors[i];
    /* The first call counts. It fails with ST_ERR_ARGUMENT, as there is no room for the extents. */
    if (items) status = st_plan_load(model, items, model->count, MAX_REQUEST, NULL, 0, extent_count, error);
    if (status == ST_OK || status == ST_ERR_ARGUMENT) {
        extents = (st_extent *)calloc(*extent_count + 1, sizeof *extents);
        status = extents ? st_plan_load(model, items, model->count, MAX_REQUEST, extents, *extent_count, NULL, error)
                         : ST_ERR_MEMORY;
    }
    free(items);
    if (status == ST_OK) return extents;
    fprintf(stderr, "%s\n", st_status_name(status));
    free(extents);
    return NULL;
}

static uint64_t sum(const unsigned char *bytes, uint64_t n) {
    uint64_t total = 0;
    while (n > 0) total += bytes[--n];
    return total;
}

int main(int argc, char **argv) {
    unsigned char **buffers;
    size_t count = 0, i;
    st_extent *extents;
    st_model *model;
    st_error error;
    int failed = 1;
    if (argc != 2 || st_open(&model, argv[1], NULL, &error) != ST_OK) {
        fprintf(stderr, "%s\n", argc != 2 ? "usage: extents PATH" : error.message);
        return 1;
    }
    extents = plan(model, &count, &error);
    buffers = (unsigned char **)calloc(model->count + 1, sizeof *buffers);
    for (i = 0; buffers && i < model->count; i++) {
        buffers[i] = (unsigned char *)malloc((size_t)model->tensors[i].bytes + 1);
        if (!buffers[i]) break;
    }
    if (extents && buffers && i == model->count) {
        failed = !read_extents(model, extents, count, buffers);
        printf("%u extents\n", (unsigned)count);
    }
    for (i = 0; !failed && i < model->count; i++) {
        printf("tensor %u: sum of bytes %llu\n", (unsigned)i,
               (unsigned long long)sum(buffers[i], model->tensors[i].bytes));
    }
    if (failed) fprintf(stderr, "cannot read the model\n");
    for (i = 0; buffers && i < model->count; i++) free(buffers[i]);
    free(buffers);
    free(extents);
    st_close(model);
    return failed;
}
