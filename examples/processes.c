/* processes begin | write RANK RANKS | finish DIRECTORY: several processes save one model. One process begins; then each
 * process writes the shards of its rank, all at the same time if you like; when all of them have succeeded, one process
 * finishes. Killed at any moment, the directory opens as the older model or the new one, or does not open.
 *
 *     cc -I. examples/processes.c -o processes
 *     mkdir model && ./processes begin model && ./processes write 0 2 model && ./processes write 1 2 model && ./processes finish model
 */
#define ST_IMPLEMENTATION
#include "safetensors.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LAYERS = 6, ROWS = 16 };

/* Every process knows all names, dtypes and shapes. It needs the data only of the shards that it writes. */
static void describe(st_tensor tensors[LAYERS], char names[LAYERS][32], float *weights) {
    static const uint64_t shape[1] = {ROWS};
    for (int i = 0; i < LAYERS; i++) {
        snprintf(names[i], 32, "layers.%d.weight", i);
        tensors[i] = st_tensor_of(names[i], ST_DTYPE_F32, 1, shape, weights + i * ROWS);
    }
}

static const char *path_of(const char *directory, const char *name) {
    static char path[4096];
    snprintf(path, sizeof path, "%s/%s", directory, name);
    return path;
}

/* Removes an older model. The index goes first, so that the directory is never mistaken for a complete model. */
static int begin(const char *directory, uint32_t shard_count) {
    char name[ST_SHARD_NAME_BYTES] = "model.safetensors.index.json";
    for (uint32_t i = 0; i < shard_count + 2; i++) {
        if (i == 1) strcpy(name, "model.safetensors");
        if (i > 1) (void)st_shard_name(NULL, i - 2, shard_count, name, sizeof name);
        if (remove(path_of(directory, name)) != 0 && errno != ENOENT) {
            perror(path_of(directory, name));
            return 1;
        }
    }
    return 0;
}

static st_status write_shards(const char *directory, const st_tensor *tensors, const uint32_t *shards,
                              uint32_t shard_count, uint32_t rank, uint32_t ranks, st_error *error) {
    size_t first = 0, past;
    for (uint32_t shard = 0; shard < shard_count; shard++, first = past) {
        char name[ST_SHARD_NAME_BYTES];
        st_contents contents;
        st_status status;
        for (past = first; past < LAYERS && shards[past] == shard; past++) {}
        if (shard % ranks != rank) continue;
        (void)st_shard_name(NULL, shard, shard_count, name, sizeof name);
        memset(&contents, 0, sizeof contents);
        contents.tensors = tensors + first;
        contents.count = past - first;
        status = st_save(path_of(directory, name), &contents, NULL, error);
        if (status) return status;
        printf("rank %u: %s\n", (unsigned)rank, name);
    }
    return ST_OK;
}

int main(int argc, char **argv) {
    const char *step = argc > 1 ? argv[1] : "", *directory = argc > 1 ? argv[argc - 1] : "";
    static float weights[LAYERS * ROWS];
    char names[LAYERS][32];
    st_tensor tensors[LAYERS];
    uint32_t shards[LAYERS], shard_count;
    st_contents contents;
    st_save_options options;
    st_error error;
    st_status status;
    for (int i = 0; i < LAYERS * ROWS; i++) weights[i] = (float)i;
    describe(tensors, names, weights);
    memset(&contents, 0, sizeof contents);
    contents.tensors = tensors;
    contents.count = LAYERS;
    memset(&options, 0, sizeof options);
    options.max_shard_bytes = 128; /* two layers; 0 is 5 GB */
    status = st_plan_shards(&contents, &options, shards, &shard_count, &error);
    if (status == ST_OK && argc == 3 && strcmp(step, "begin") == 0) return begin(directory, shard_count);
    if (status == ST_OK && argc == 5 && strcmp(step, "write") == 0 && atoi(argv[3]) > 0) {
        status = write_shards(directory, tensors, shards, shard_count, (uint32_t)atoi(argv[2]), (uint32_t)atoi(argv[3]),
                              &error);
    } else if (status == ST_OK && argc == 3 && strcmp(step, "finish") == 0) {
        status = st_save_index(directory, &contents, &options, &error);
    } else if (status == ST_OK) {
        fputs("usage: processes begin|finish DIRECTORY, processes write RANK RANKS DIRECTORY\n", stderr);
        return 2;
    }
    if (status) fprintf(stderr, "%s\n", error.message);
    return status != ST_OK;
}
