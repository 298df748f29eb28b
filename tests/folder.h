/* folder.h: the scratch directory used as a model directory: checks and removes its files. */
#ifndef FOLDER_H
#define FOLDER_H
#include "written.h"

enum { FOLDER_NAMES = 4096 };

typedef struct folder { /* sorted names */
    char *names[FOLDER_NAMES];
    size_t count;
} folder;

static inline void folder_each(void *arg, const char *name) {
    folder *f = (folder *)arg;
    size_t i;
    char *kept = (char *)need(strlen(name) + 1);
    if (!CHECK(f->count < FOLDER_NAMES)) exit(2);
    for (i = f->count++; i > 0 && strcmp(f->names[i - 1], name) > 0; i--) f->names[i] = f->names[i - 1];
    f->names[i] = strcpy(kept, name);
}

static inline folder folder_list(void) {
    folder f;
    f.count = 0;
    scratch_list(scratch_directory, folder_each, &f);
    return f;
}

static inline void folder_free(folder *f) {
    while (f->count > 0) free(f->names[--f->count]);
}

static inline void folder_clear(void) {
    folder f = folder_list();
    size_t i;
    for (i = 0; i < f.count; i++) CHECK(remove(scratch_path(f.names[i])) == 0);
    folder_free(&f);
}

/* returns whether the directory holds exactly these names, sorted, each followed by a blank */
static inline int folder_is(const char *names) {
    folder f = folder_list();
    char *text;
    size_t i, n = 0;
    int same;
    for (i = 0; i < f.count; i++) n += strlen(f.names[i]) + 1;
    text = (char *)need(n + 1);
    text[0] = 0;
    for (i = 0; i < f.count; i++) {
        strcat(text, f.names[i]);
        strcat(text, " ");
    }
    same = CHECK_STR(text, names);
    free(text);
    folder_free(&f);
    return same;
}

static inline int folder_has(const char *name) {
    size_t n;
    unsigned char *file = file_bytes(scratch_path(name), &n);
    free(file);
    return file != NULL;
}

static inline char *folder_text(const char *name) { /* the caller frees the text; "" if the file does not exist */
    size_t n;
    unsigned char *file = file_bytes(scratch_path(name), &n);
    char *text = (char *)need(n + 1);
    if (n > 0) memcpy(text, file, n);
    text[n] = 0;
    free(file);
    return text;
}

#define INDEX "model.safetensors.index.json"

static inline void index_is(const char *want) {
    char *text = folder_text(INDEX);
    CHECK_STR(text, want);
    free(text);
}

static inline const char *shard_path(uint32_t shard, uint32_t shard_count) {
    char name[ST_SHARD_NAME_BYTES];
    if (st_shard_name(NULL, shard, shard_count, name, sizeof name) != ST_OK) exit(2);
    return scratch_path(name);
}

/* returns whether the file is the one that st_save writes for these tensors; other tests cover st_save */
static inline int shard_is(const char *path, const st_tensor *tensors, size_t count, const st_pair *metadata,
                           size_t metadata_count, const st_save_options *options) {
    st_save_options plain;
    collecting sink;
    st_sink to;
    st_error error;
    int same;
    memset(&sink, 0, sizeof sink);
    memset(&plain, 0, sizeof plain);
    if (options != NULL) {
        plain.flags = options->flags;
        plain.align = options->align;
        plain.slack = options->slack;
    }
    to.user = &sink;
    to.write = collect;
    CHECK_STATUS(save_to_sink(&to, CONTENTS(tensors, count, metadata, metadata_count), &plain, &error), ST_OK);
    same = file_is(path, sink.out.at, sink.out.n);
    free(sink.out.at);
    return same;
}

/* returns whether every shard of the plan exists with its tensors */
static inline int folder_holds(const st_tensor *tensors, size_t count, const st_pair *metadata, size_t metadata_count,
                               const st_save_options *options) {
    uint32_t *plan = (uint32_t *)need(count * sizeof *plan), shards = 0, shard;
    size_t begin = 0, end;
    st_error error;
    int same = 1;
    CHECK_STATUS(st_plan_shards(CONTENTS(tensors, count, NULL, 0), options, plan, &shards, &error), ST_OK);
    for (shard = 0; shard < shards; shard++) {
        for (end = begin; end < count && plan[end] == shard; end++) {}
        same &=
            CHECK(shard_is(shard_path(shard, shards), tensors + begin, end - begin, metadata, metadata_count, options));
        begin = end;
    }
    CHECK_EQ(begin, count);
    free(plan);
    return same;
}
#endif
