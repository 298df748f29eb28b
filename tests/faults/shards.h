/* shards.h: a directory with an older model, a save of a new model into it, and a check which model the directory
 * opens as. For the fault tests of sharded models, in this process and from outside. */
#ifndef SHARDS_H
#define SHARDS_H
#include "../parts.h"

enum older { NOTHING, SINGLE, TWO, THREE, HIDDEN, STRAY, ONE };

typedef struct shards_scenario {
    const char *name;
    enum older older;
    int single; /* the new model is a single file instead of three shards */
    int parts;  /* saved as several processes would */
} shards_scenario;

static const shards_scenario shards_scenarios[] = {
    {"three-over-three", THREE, 0, 0},    {"three-over-two", TWO, 0, 0},      {"three-over-single", SINGLE, 0, 0},
    {"three-over-hidden", HIDDEN, 0, 0}, /* the single file hides the index of a third model */
    {"three-over-stray", STRAY, 0, 0},   /* two shards, and one of three left by a crash */
    {"three-anew", NOTHING, 0, 0},        {"single-over-three", THREE, 1, 0}, {"single-over-single", SINGLE, 1, 0},
    {"single-over-one", ONE, 1, 0}, /* an index with one shard, named as one of one */
    {"single-over-hidden", HIDDEN, 1, 0}, {"parts-over-three", THREE, 0, 1},  {"parts-over-two", TWO, 0, 1},
};
enum { SHARDS_SCENARIOS = sizeof shards_scenarios / sizeof *shards_scenarios };

enum { SHARDS_TENSORS = 5, SHARDS_BYTES = 64 };
enum age { AGE_OLD, AGE_NEW, AGE_HIDDEN }; /* the model that a byte belongs to */

typedef struct shards_model {
    st_tensor tensors[SHARDS_TENSORS];
    unsigned char data[SHARDS_TENSORS][SHARDS_BYTES];
    uint64_t shape[1];
} shards_model;

static inline unsigned char shards_byte(size_t tensor, size_t i, int age) {
    return (unsigned char)((tensor * 11 + i) % 64 + (size_t)age * 64);
}

static inline void shards_fill(shards_model *m, int age) {
    static const char *const names[SHARDS_TENSORS] = {"a", "b", "c", "d", "e"};
    size_t t, i;
    memset(m, 0, sizeof *m);
    m->shape[0] = SHARDS_BYTES;
    for (t = 0; t < SHARDS_TENSORS; t++) {
        for (i = 0; i < SHARDS_BYTES; i++) m->data[t][i] = shards_byte(t, i, age);
        m->tensors[t].name = names[t];
        m->tensors[t].dtype = ST_DTYPE_U8;
        m->tensors[t].rank = 1;
        m->tensors[t].shape = m->shape;
        m->tensors[t].data = m->data[t];
    }
}

static inline st_save_options shards_options(int shards) {
    static const uint64_t limits[4] = {0, 0, 192, 128};
    st_save_options o;
    memset(&o, 0, sizeof o);
    o.max_shard_bytes = limits[shards];
    return o;
}

static inline void shards_put(const char *directory, int age, int shards) {
    shards_model m;
    st_save_options o = shards_options(shards);
    st_error error;
    shards_fill(&m, age);
    o.flags = ST_SAVE_NO_SYNC;
    if (!CHECK(st_save_sharded(directory, CONTENTS(m.tensors, SHARDS_TENSORS, NULL, 0), &o, &error) == ST_OK)) exit(2);
}

/* writes the older model to an empty directory */
static inline void shards_old(const shards_scenario *s, const char *directory) {
    char path[512];
    shards_model m;
    st_error error;
    if (s->older == SINGLE) shards_put(directory, AGE_OLD, 1);
    if (s->older == TWO || s->older == STRAY) shards_put(directory, AGE_OLD, 2);
    if (s->older == THREE) shards_put(directory, AGE_OLD, 3);
    if (s->older == HIDDEN) {
        shards_put(directory, AGE_HIDDEN, 3);
        snprintf(path, sizeof path, "%s/model.safetensors", directory);
    } else if (s->older == STRAY) {
        snprintf(path, sizeof path, "%s/model-00002-of-00003.safetensors", directory);
    } else if (s->older == ONE) {
        FILE *file;
        snprintf(path, sizeof path, "%s/model.safetensors.index.json", directory);
        file = fopen(path, "wb");
        if (!CHECK(file != NULL && fputs("{\"weight_map\":{\"a\":\"model-00001-of-00001.safetensors\"}}", file) >= 0))
            exit(2);
        if (!CHECK(fclose(file) == 0)) exit(2);
        snprintf(path, sizeof path, "%s/model-00001-of-00001.safetensors", directory);
    } else {
        return;
    }
    shards_fill(&m, s->older == STRAY ? AGE_NEW : AGE_OLD);
    CHECK_STATUS(st_save(path, CONTENTS(m.tensors, SHARDS_TENSORS, NULL, 0), NULL, &error), ST_OK);
}

static inline st_status shards_run(const shards_scenario *s, const char *directory, const st_allocator *allocator,
                                   st_error *error) {
    shards_model m;
    st_save_options o = shards_options(s->single ? 1 : 3);
    st_status status = ST_OK;
    uint32_t shard;
    const size_t n = SHARDS_TENSORS;
    shards_fill(&m, AGE_NEW);
    o.allocator = allocator;
    memset(error, 0xee, sizeof *error);
    if (!s->parts) return st_save_sharded(directory, CONTENTS(m.tensors, n, NULL, 0), &o, error);
    if (!parts_clear(directory, 3)) {
        memset(error, 0, sizeof *error);
        strcpy(error->message, "an older file cannot be removed");
        error->status = ST_ERR_IO;
        return ST_ERR_IO;
    }
    for (shard = 3; status == ST_OK && shard > 0; shard--) {
        status = parts_write(directory, m.tensors, n, NULL, 0, shard - 1, &o, error);
    }
    return status == ST_OK ? parts_finish(directory, CONTENTS(m.tensors, n, NULL, 0), &o, error) : status;
}

enum opens_as { REFUSED, OLD, NEW, TORN };

static const char *const opens_as_names[] = {"refused", "old", "new", "torn"};

/* returns which of its models the directory opens as */
static inline enum opens_as shards_verdict(const char *directory) {
    unsigned char bytes[SHARDS_BYTES], want[SHARDS_BYTES];
    enum opens_as verdict = REFUSED;
    st_model *model;
    st_error error;
    int age;
    if (st_open(&model, directory, NULL, &error) != ST_OK) return REFUSED;
    for (age = AGE_OLD; age <= AGE_NEW; age++) {
        size_t t, i, same = 0;
        for (t = 0; t < model->count; t++) {
            const st_tensor *tensor = &model->tensors[t];
            const size_t which = (size_t)(tensor->name[0] - 'a');
            for (i = 0; i < SHARDS_BYTES; i++) want[i] = shards_byte(which, i, age);
            if (tensor->bytes != SHARDS_BYTES || st_read(model, tensor, 0, bytes, sizeof bytes, NULL) != ST_OK) break;
            same += memcmp(bytes, want, sizeof want) == 0;
        }
        if (same == SHARDS_TENSORS && model->count == SHARDS_TENSORS) verdict = age == AGE_OLD ? OLD : NEW;
    }
    st_close(model);
    return verdict == REFUSED ? TORN : verdict;
}
#endif
