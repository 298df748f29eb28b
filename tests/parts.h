/* parts.h: the three steps in which several processes save one model, as documented at st_save_index. */
#ifndef PARTS_H
#define PARTS_H
#include "written.h"

#include <errno.h>

/* step 1: removes the older index, then the older model.safetensors, then files named like a new shard; returns 0 on
 * failure */
static inline int parts_clear(const char *directory, uint32_t shard_count) {
    char path[600], name[ST_SHARD_NAME_BYTES];
    uint32_t i;
    for (i = 0; i < shard_count + 2; i++) {
        strcpy(name, i == 0 ? "model.safetensors.index.json" : "model.safetensors");
        if (i > 1 && st_shard_name(NULL, i - 2, shard_count, name, sizeof name) != ST_OK) return 0;
        snprintf(path, sizeof path, "%s/%s", directory, name);
        if (remove(path) != 0 && errno != ENOENT) return 0;
    }
    return 1;
}

/* step 2: writes one shard */
static inline st_status parts_write(const char *directory, const st_tensor *tensors, size_t count,
                                    const st_pair *metadata, size_t metadata_count, uint32_t shard,
                                    const st_save_options *options, st_error *error) {
    uint32_t *shards = (uint32_t *)need(count * sizeof *shards), shard_count = 0;
    char path[600], name[ST_SHARD_NAME_BYTES];
    st_save_options plan, one = *options;
    size_t begin = 0, end;
    st_status status;
    memset(&plan, 0, sizeof plan);
    plan.max_shard_bytes = options->max_shard_bytes;
    one.max_shard_bytes = 0;
    status = st_plan_shards(CONTENTS(tensors, count, NULL, 0), &plan, shards, &shard_count, error);
    if (status == ST_OK) {
        while (begin < count && shards[begin] != shard) begin++;
        for (end = begin; end < count && shards[end] == shard; end++) {}
        CHECK_STATUS(st_shard_name(NULL, shard, shard_count, name, sizeof name), ST_OK);
        snprintf(path, sizeof path, "%s/%s", directory, name);
        status = st_save(path, CONTENTS(tensors + begin, end - begin, metadata, metadata_count), &one, error);
    }
    free(shards);
    return status;
}

/* step 3: writes the index */
static inline st_status parts_finish(const char *directory, const st_contents *contents, const st_save_options *options,
                                     st_error *error) {
    st_save_options o;
    memset(&o, 0, sizeof o);
    o.flags = options->flags & ST_SAVE_NO_SYNC;
    o.max_shard_bytes = options->max_shard_bytes;
    o.allocator = options->allocator;
    return st_save_index(directory, contents, &o, error);
}

#endif
