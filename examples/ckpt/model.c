/* model.c: checks and describes the model of a checkpoint. */
#include "ckpt.h"
#include "examples/common/progress.h"
#include "safetensors.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Sets *path to DIR if it holds a model, or else to the newest checkpoint of the run. Returns 0 after a message. */
static int choose(const request *r, const char **path, model_files *files) {
    const char *name;
    *path = r->dir;
    *files = find_model_in(r->dir);
    if (files->is_valid) return 1;
    if (!find_latest(r->dir, path, &name)) return 0;
    if (*path) *files = find_model_in(*path);
    return *path || !complain(r->dir, "no valid checkpoint here");
}

static void put_number(const char *before, uint64_t number) {
    printf("%s%llu", before, (unsigned long long)number);
}

/* Reads every byte of the model, as a broken disk shows only then. */
static st_status read_data(const st_model *model, st_error *error) {
    const size_t room = 1 << 20;
    void *buffer = allocate(room);
    progress_line line;
    uint64_t done = 0, offset;
    size_t i, n;
    st_status status = ST_OK;
    progress_line_begin(&line, "reading");
    for (i = 0; !status && i < model->count; i++) {
        for (offset = 0; !status && offset < model->tensors[i].bytes; offset += n) {
            const uint64_t rest = model->tensors[i].bytes - offset;
            n = rest < room ? (size_t)rest : room;
            status = st_read(model, &model->tensors[i], offset, buffer, n, error);
            done += n;
            progress_line_show(&line, done, model->bytes);
        }
    }
    progress_line_end(&line);
    return status;
}

/* Opens the model, which validates the index, the headers of all shards and the place of each tensor. Returns an exit
 * status; *model is NULL if there is no model to check. */
static int open_checkpoint(const request *r, const char **path, st_model **model) {
    model_files files;
    file_info info;
    st_open_options options = ST_ZERO_INIT;
    st_error error;
    *model = NULL;
    if (!choose(r, path, &files)) return 1;
    if (!files.file) return 0;
    if (!files.is_safetensors) { /* what is loaded is safetensors, even beside a file of PyTorch */
        files.file = "model.safetensors";
        if (!folder_info(NULL, join_path(*path, files.file), 1, &info) || info.kind != KIND_FILE) {
            return complain(*path, "holds only files of PyTorch, which cannot be checked: convert them");
        }
    }
    options.flags = ST_OPEN_NO_MAP;
    if (st_open(model, join_path(*path, files.file), &options, &error) == ST_OK) return 0;
    return complain(*path, error.message);
}

int run_verify(const request *r) {
    st_model *model;
    st_error error;
    const char *path;
    const int is_read = option_value(r, "--read") != NULL;
    int status = open_checkpoint(r, &path, &model);
    if (model && is_read && read_data(model, &error) != ST_OK) status = complain(path, error.message);
    put_member("{\"path\": ", path);
    printf(", \"ok\": %s", status ? "false" : "true");
    if (model) {
        put_number(", \"tensors\": ", model->count);
        put_number(", \"shards\": ", model->shard_count);
        put_number(", \"bytes\": ", model->bytes);
    }
    printf(", \"read\": %s}\n", model && is_read ? "true" : "false");
    st_close(model);
    return status;
}

static int compare_aliases(const void *a, const void *b) {
    const st_alias *x = (const st_alias *)a, *y = (const st_alias *)b;
    if (x->tensor != y->tensor) return x->tensor < y->tensor ? -1 : 1;
    return strcmp(x->name, y->name);
}

/* Prints groups of names that share a tensor; the first of each is the name in the file. Returns 0 after a message. */
static int put_sharing(const st_model *model, const char *path) {
    st_buffer memory = {NULL, 0};
    const st_alias *aliases = NULL;
    st_alias *sorted = NULL;
    st_error error;
    size_t count = 0, i;
    st_status status = st_aliases(model, NULL, &aliases, &count, &error);
    if (status == ST_ERR_ARGUMENT) {
        memory.data = allocate(memory.bytes = (size_t)error.expected);
        status = st_aliases(model, &memory, &aliases, &count, &error);
    }
    fputs(", \"param_sharing\": [", stdout);
    if (!status && count) {
        sorted = (st_alias *)memcpy(allocate(count * sizeof *sorted), aliases, count * sizeof *sorted);
        qsort(sorted, count, sizeof *sorted, compare_aliases);
        for (i = 0; i < count; i++) {
            if (!i || sorted[i].tensor != sorted[i - 1].tensor) {
                fputs(i ? "], [" : "[", stdout);
                put_json(stdout, sorted[i].tensor->name, sorted[i].tensor->name_bytes);
            }
            fputs(", ", stdout);
            put_json(stdout, sorted[i].name, sorted[i].name_bytes);
        }
        putchar(']');
    }
    puts("]}");
    return !status || !complain(path, error.message);
}

int run_info(const request *r) {
    enum { DTYPES = ST_DTYPE_U64 + 1 };
    struct {
        uint64_t tensors, bytes;
    } sums[DTYPES];
    st_model *model;
    const char *path, *before = "";
    size_t i;
    int status = open_checkpoint(r, &path, &model);
    if (status) return status;
    put_member("{\"path\": ", path);
    if (!model) return puts(", \"tensors\": 0, \"shards\": []}") < 0;
    memset(sums, 0, sizeof sums);
    for (i = 0; i < model->count; i++) {
        sums[model->tensors[i].dtype].tensors++; /* an unknown dtype would not have been opened */
        sums[model->tensors[i].dtype].bytes += model->tensors[i].bytes;
    }
    put_number(", \"tensors\": ", model->count);
    put_number(", \"bytes\": ", model->bytes);
    fputs(", \"dtypes\": {", stdout);
    for (i = 0; i < DTYPES; i++) {
        if (!sums[i].tensors) continue;
        put_member(before, st_dtype_name((st_dtype)i));
        put_number(": {\"tensors\": ", sums[i].tensors);
        put_number(", \"bytes\": ", sums[i].bytes);
        before = "}, ";
    }
    fputs(*before ? "}}" : "}", stdout);
    for (i = 0; i < model->shard_count; i++) {
        put_member(i ? "}, {\"file\": " : ", \"shards\": [{\"file\": ", model->shards[i].path);
        put_number(", \"bytes\": ", model->shards[i].file_bytes);
    }
    fputs("}]", stdout); /* a model has at least one file */
    status = !put_sharing(model, path);
    st_close(model);
    return status;
}
