/* memfs.c: saves a model in the memory file system of an Emscripten program, edits it, and opens it and its shards. */
#define ST_IMPLEMENTATION
#include "safetensors.h"

#include <stdio.h>
#include <sys/stat.h>

static st_error error;

static int fails(const char *step) {
    printf("memfs: %s: %s\n", step, error.message);
    return 1;
}

/* returns whether the model at path has the three numbers */
static int is_there(const char *path) {
    float got[3] = {0};
    st_model *model;
    int same;
    if (st_open(&model, path, NULL, &error) != ST_OK) return 0;
    same = st_read_as(model, st_find(model, "t"), NULL, ST_DTYPE_F32, got, sizeof got, &error) == ST_OK &&
           got[0] == 1 && got[1] == 2.5f && got[2] == -3;
    st_close(model);
    return same;
}

int main(void) {
    static const float values[3] = {1, 2.5f, -3};
    static const uint64_t shape[1] = {3};
    const st_tensor tensors[2] = {st_tensor_of("t", ST_DTYPE_F32, 1, shape, values),
                                  st_tensor_of("u", ST_DTYPE_F32, 1, shape, values)};
    const st_pair pair = {"key", "value", 0, 0};
    st_save_options options = ST_ZERO_INIT;
    st_contents contents = ST_ZERO_INIT;
    contents.tensors = tensors;
    contents.count = 2;
    options.max_shard_bytes = 12;
    if (st_save("model.safetensors", &contents, NULL, &error) != ST_OK) return fails("st_save");
    if (st_edit_metadata("model.safetensors", &pair, 1, NULL, &error) != ST_OK) return fails("st_edit_metadata");
    if (!is_there("model.safetensors")) return fails("st_open");
    if (mkdir("shards", 0777) != 0) return fails("mkdir");
    if (st_save_sharded("shards", &contents, &options, &error) != ST_OK) return fails("st_save_sharded");
    if (!is_there("shards")) return fails("st_open of shards");
    if (st_open(&(st_model *){NULL}, "missing", NULL, &error) != ST_ERR_NOT_FOUND) return fails("a missing file");
    puts("memfs: all right");
    return 0;
}
