/* written.h: the expected result of a save, and all ways to save, which must give the same bytes or the same error. */
#ifndef WRITTEN_H
#define WRITTEN_H
#include "large.h"
#include "sources.h"

typedef struct saving { /* contents to save and options */
    const char *name;
    const st_tensor *tensors;
    size_t count;
    const st_pair *pairs; /* NULL: no metadata */
    size_t pair_count;
    unsigned flags;
    size_t align, slack;
} saving;

/* one tensor of a table; DIMENSIONS has at least one dimension, SCALAR has none */
#define DIMENSIONS(...) ((const uint64_t[]){__VA_ARGS__})
#define TENSOR(name_, type, bytes_, ...)                                                                    \
    {                                                                                                       \
        .name = name_, .dtype = ST_DTYPE_##type, .rank = sizeof DIMENSIONS(__VA_ARGS__) / sizeof(uint64_t), \
        .shape = DIMENSIONS(__VA_ARGS__), .data = bytes_                                                    \
    }
#define SCALAR(name_, type, bytes_) \
    { .name = name_, .dtype = ST_DTYPE_##type, .data = bytes_ }
/* an unknown dtype: its name, and the tensor's size */
#define UNKNOWN(name_, spelling, bytes_, n, ...)                                                          \
    {                                                                                                     \
        .name = name_, .dtype_name = spelling, .rank = sizeof DIMENSIONS(__VA_ARGS__) / sizeof(uint64_t), \
        .shape = DIMENSIONS(__VA_ARGS__), .data = bytes_, .bytes = n                                      \
    }
/* st_contents in one expression */
#define CONTENTS(tensors_, count_, pairs_, pair_count_) \
    (&(const st_contents){.tensors = tensors_, .count = count_, .metadata = pairs_, .metadata_count = pair_count_})
#define PAIR(key_, value_) \
    { .key = key_, .value = value_ }
#define PAIR_N(key_, value_) \
    { .key = key_, .value = value_, .key_bytes = sizeof(key_) - 1, .value_bytes = sizeof(value_) - 1 }
#define LIST(type, ...) ((const type[]){__VA_ARGS__}), sizeof((const type[]){__VA_ARGS__}) / sizeof(type)

static inline size_t text_bytes(const char *text, size_t bytes) { /* 0: the text is NUL-terminated */
    return bytes > 0 ? bytes : strlen(text);
}

static inline int same_name(const st_tensor *a, const st_tensor *b) {
    return same_text(a->name, text_bytes(a->name, a->name_bytes), b->name, text_bytes(b->name, b->name_bytes));
}

/* returns the size from shape and dtype, or t->bytes if the dtype is unknown; for valid tensors only */
static inline uint64_t tensor_bytes(const st_tensor *t) {
    uint64_t n = 1;
    uint32_t d;
    if (t->dtype == ST_DTYPE_UNKNOWN) return t->bytes;
    for (d = 0; d < t->rank; d++) n *= t->shape[d];
    return n * st_dtype_bits(t->dtype) / 8;
}

static inline void *need(size_t n) {
    void *p = malloc(n > 0 ? n : 1);
    if (p == NULL) exit(2);
    return p;
}

static inline unsigned char *file_bytes(const char *path, size_t *n) { /* the caller frees it; NULL: no file */
    FILE *file = fopen(path, "rb");
    growing all = {NULL, 0, 0};
    char block[4096];
    size_t got;
    *n = 0;
    if (file == NULL) return NULL;
    while ((got = fread(block, 1, sizeof block, file)) > 0) text_add(&all, block, got);
    CHECK(!ferror(file));
    CHECK(fclose(file) == 0);
    *n = all.n;
    return all.at != NULL ? (unsigned char *)all.at : (unsigned char *)need(1);
}

static inline int same_bytes(const void *a, size_t a_bytes, const void *b, size_t b_bytes) {
    return a_bytes == b_bytes && (a_bytes == 0 || memcmp(a, b, a_bytes) == 0);
}

static inline int file_is(const char *path, const void *want, size_t n) {
    size_t got;
    unsigned char *file = file_bytes(path, &got);
    int same = file != NULL && same_bytes(file, got, want, n);
    free(file);
    return same;
}

/* returns a file with this header, padded with spaces so that the data starts at a multiple of align */
static inline unsigned char *golden_file(const char *header, size_t header_bytes, size_t align, size_t slack,
                                         const void *data, size_t data_bytes, size_t *n) {
    size_t padded = header_bytes + slack;
    char *text;
    unsigned char *file;
    while ((8 + padded) % (align > 0 ? align : 8) != 0) padded++;
    text = (char *)need(padded);
    memset(text, ' ', padded);
    memcpy(text, header, header_bytes);
    file = make_file(text, padded, data, data_bytes, n);
    free(text);
    return file;
}

/* ---- callbacks ------------------------------------------------------------------------------------------------ */

typedef struct refusing {  /* counts calls and makes one fail, or all from it on */
    size_t calls, fail_at; /* from 1; 0: none */
    int fail_forever, code;
} refusing;

static inline int refuses(refusing *r) {
    r->calls++;
    return r->fail_at > 0 && (r->calls == r->fail_at || (r->fail_forever && r->calls > r->fail_at));
}

typedef struct collecting { /* a sink */
    refusing refusing;
    growing out;
    int refused; /* must not be called after a failure */
} collecting;

static inline int collect(void *user, const void *bytes, size_t n) {
    collecting *c = (collecting *)user;
    CHECK(!c->refused && n > 0);
    c->refused = refuses(&c->refusing);
    if (c->refused) return c->refusing.code;
    text_add(&c->out, (const char *)bytes, n);
    return 0;
}

typedef struct calling { /* st_save's callbacks: fill and progress */
    refusing fill, progress;
    const saving *saving;
    const st_tensor *tensors; /* as passed to st_save */
    uint64_t done, total;
} calling;

static inline int fill_in(void *user, const st_tensor *tensor, uint64_t offset, void *dst, size_t n) {
    calling *c = (calling *)user;
    const size_t i = (size_t)(tensor - c->tensors); /* st_save passes the caller's own pointer */
    if (refuses(&c->fill)) return c->fill.code;
    if (!CHECK(i < c->saving->count && same_name(&c->saving->tensors[i], tensor))) return 1000;
    if (!CHECK(n > 0 && offset <= tensor_bytes(&c->saving->tensors[i]))) return 1001;
    if (!CHECK(n <= tensor_bytes(&c->saving->tensors[i]) - offset)) return 1002;
    memcpy(dst, (const char *)c->saving->tensors[i].data + offset, n);
    return 0;
}

static inline int watch(void *user, uint64_t done, uint64_t total) {
    calling *c = (calling *)user;
    CHECK(done > c->done && done <= total);
    CHECK(c->progress.calls == 0 || total == c->total);
    c->done = done;
    c->total = total;
    return refuses(&c->progress);
}

static inline st_status save_to_sink(const st_sink *sink, const st_contents *contents, const st_save_options *options,
                                     st_error *error) {
    st_save_options all;
    memset(&all, 0, sizeof all);
    if (options != NULL) all = *options;
    all.sink = sink;
    return st_save(NULL, contents, &all, error);
}

static inline st_status open_to_sink(st_writer **writer, const st_sink *sink, const st_save_options *options,
                                     st_error *error) {
    st_save_options all;
    memset(&all, 0, sizeof all);
    if (options != NULL) all = *options;
    all.sink = sink;
    return st_writer_open(writer, NULL, &all, error);
}

/* ---- the target directory ----------------------------------------------------------------------------------- */

#define TARGET "target.safetensors"
#define OLD_TEXT "what was there before; no tensor file, since nobody reads it"

static inline void count_names(void *arg, const char *name) {
    size_t *counts = (size_t *)arg;
    counts[0]++;
    counts[1] += name[0] == '.';
}

static inline size_t names_in(const char *directory, size_t *temporary) {
    size_t counts[2] = {0, 0};
    scratch_list(directory, count_names, counts);
    *temporary = counts[1];
    return counts[0];
}

static inline void check_no_temporary(void) {
    size_t temporary;
    (void)names_in(scratch_directory, &temporary);
    CHECK_EQ(temporary, 0);
}

static inline void target_begin(void) {
    (void)scratch_write(TARGET, OLD_TEXT, sizeof OLD_TEXT - 1);
}

static inline void target_is_old(void) {
    CHECK(file_is(scratch_path(TARGET), OLD_TEXT, sizeof OLD_TEXT - 1));
    check_no_temporary();
}

/* ---- the streaming writer --------------------------------------------------------------------------------- */

/* Adds a tensor from memory that is freed before this returns; names with a length are not NUL-terminated. */
static inline st_status add_passing(st_writer *writer, const st_tensor *tensor, st_error *error) {
    st_tensor t = *tensor;
    const size_t room = t.name != NULL ? text_bytes(t.name, t.name_bytes) + (t.name_bytes == 0) : 0;
    char *name = (char *)need(room);
    uint64_t *shape = (uint64_t *)need(t.rank * sizeof *shape);
    char *spelling = (char *)need(t.dtype_name != NULL ? strlen(t.dtype_name) + 1 : 0);
    st_status status;
    if (t.name != NULL) t.name = (const char *)memcpy(name, t.name, room);
    if (t.shape != NULL && t.rank > 0) t.shape = (const uint64_t *)memcpy(shape, t.shape, t.rank * sizeof *shape);
    if (t.dtype_name != NULL) t.dtype_name = strcpy(spelling, t.dtype_name);
    t.data = &t; /* must not be used */
    status = st_writer_add(writer, &t, error);
    memset(name, 0xee, room);
    memset(shape, 0xee, t.rank * sizeof *shape);
    free(name);
    free(shape);
    free(spelling);
    return status;
}

static inline st_status add_pair_passing(st_writer *writer, const st_pair *pair, st_error *error) {
    st_pair p = *pair;
    const size_t key_room = p.key != NULL ? text_bytes(p.key, p.key_bytes) + (p.key_bytes == 0) : 0;
    const size_t value_room = p.value != NULL ? text_bytes(p.value, p.value_bytes) + (p.value_bytes == 0) : 0;
    char *key = (char *)need(key_room), *value = (char *)need(value_room);
    st_status status;
    if (p.key != NULL) p.key = (const char *)memcpy(key, p.key, key_room);
    if (p.value != NULL) p.value = (const char *)memcpy(value, p.value, value_room);
    status = st_writer_add_metadata(writer, &p, error);
    memset(key, 0xee, key_room);
    memset(value, 0xee, value_room);
    free(key);
    free(value);
    return status;
}

/* all calls up to st_writer_begin */
static inline st_status stream_declare(st_writer *writer, const saving *s, st_error *error) {
    st_status status = ST_OK;
    size_t i;
    if (s->pairs != NULL) status = st_writer_add_metadata(writer, NULL, error);
    for (i = 0; i < s->pair_count && status == ST_OK; i++) status = add_pair_passing(writer, &s->pairs[i], error);
    for (i = 0; i < s->count && status == ST_OK; i++) status = add_passing(writer, &s->tensors[i], error);
    return status == ST_OK ? st_writer_begin(writer, error) : status;
}

static inline const st_tensor *saving_find(const saving *s, const st_tensor *like) {
    size_t i;
    for (i = 0; i < s->count && !same_name(&s->tensors[i], like); i++) {}
    if (!CHECK(i < s->count)) exit(2);
    return &s->tensors[i];
}

enum push_style {
    PUSH_SMALL,   /* each tensor byte by byte; long ones in blocks of 997 */
    PUSH_ODD,     /* blocks of odd sizes, across tensor boundaries */
    PUSH_AT_ONCE, /* all data in one call */
    PUSH_TO       /* st_writer_write_to, with all tensors in turn, the last first */
};

static inline st_status push_small(st_writer *writer, const saving *s, st_error *error) {
    const st_tensor *next;
    st_status status = ST_OK;
    while (status == ST_OK && (next = st_writer_next(writer)) != NULL) {
        const st_tensor *t = saving_find(s, next);
        const uint64_t bytes = tensor_bytes(t);
        uint64_t at = 0;
        CHECK(bytes > 0);
        CHECK_EQ(next->bytes, bytes);
        CHECK_EQ(next->rank, t->rank);
        CHECK(t->rank == 0 || memcmp(next->shape, t->shape, t->rank * sizeof *t->shape) == 0);
        while (at < bytes && status == ST_OK) {
            size_t n = bytes > 5000 ? 997 : 1;
            if (n > bytes - at) n = (size_t)(bytes - at);
            CHECK(st_writer_next(writer) == next);
            status = st_writer_write(writer, (const char *)t->data + at, n, error);
            at += n;
        }
    }
    return status;
}

static inline st_status push_odd(st_writer *writer, const unsigned char *data, size_t bytes, size_t first,
                                 st_error *error) {
    st_status status = ST_OK;
    size_t at = 0, n = first;
    while (at < bytes && status == ST_OK) {
        if (n > bytes - at) n = bytes - at;
        status = st_writer_write(writer, data + at, n, error);
        at += n;
        n = n * 3 % 70001 + 1;
    }
    return status;
}

static inline st_status push_to(st_writer *writer, const saving *s, st_error *error) {
    st_status status = ST_OK;
    uint64_t *done = (uint64_t *)need(s->count * sizeof *done);
    size_t i, n = 1;
    int more = 1;
    memset(done, 0, s->count * sizeof *done);
    while (more && status == ST_OK) {
        more = 0;
        for (i = s->count; i > 0 && status == ST_OK; i--) {
            const st_tensor *t = &s->tensors[i - 1];
            const uint64_t left = tensor_bytes(t) - done[i - 1];
            if (left == 0) continue;
            if (n > left) n = (size_t)left;
            status = st_writer_write_to(writer, t, (const char *)t->data + done[i - 1], n, error);
            done[i - 1] += n;
            more = 1;
            n = n * 3 % 70001 + 1;
        }
    }
    free(done);
    return status;
}

/* data: the whole data section */
static inline st_status push(st_writer *writer, const saving *s, int style, const unsigned char *data, size_t bytes,
                             st_error *error) {
    if (style == PUSH_SMALL) return push_small(writer, s, error);
    if (style == PUSH_TO) return push_to(writer, s, error);
    return push_odd(writer, data, bytes, style == PUSH_ODD ? 1 : bytes, error);
}

/* ---- the ways to save ------------------------------------------------------------------------------------- */

enum save_way {
    BY_SINK,
    BY_FILE,
    BY_WORK, /* a file, with a work buffer of the exact size that the error asks for */
    BY_FILL, /* a file, with data from a callback */
    BY_SINK_WORK_FILL,
    STREAM_SMALL, /* three styles to a file, then one to a sink */
    STREAM_ODD,
    STREAM_TO,
    STREAM_SINK,
    STREAM_WORK,
    SAVE_WAYS
};

static const char *const way_names[SAVE_WAYS] = {"sink",
                                                 "file",
                                                 "work buffer",
                                                 "fill",
                                                 "fill, sink and work buffer",
                                                 "byte by byte",
                                                 "odd blocks",
                                                 "write_to",
                                                 "streamed to a sink",
                                                 "streamed, work buffer"};

typedef struct saved { /* one save */
    st_status status;
    st_error error;
    counting memory;
    collecting sink;
    calling calling;
    st_save_options options;
    const st_model *from; /* as st_contents.from */
    void *work;
    unsigned char *file; /* the result; NULL on failure */
    size_t n;
} saved;

static inline int way_is_streamed(int way) {
    return way >= STREAM_SMALL;
}

static inline int way_has_sink(int way) {
    return way == BY_SINK || way == BY_SINK_WORK_FILL || way == STREAM_SINK;
}

/* without flushing; ways that test it set the flag */
static inline void saved_begin(saved *a, const saving *s) {
    memset(a, 0, sizeof *a);
    counting_begin(&a->memory);
    a->options.flags = s->flags | ST_SAVE_NO_SYNC;
    a->options.align = s->align;
    a->options.slack = s->slack;
    a->options.allocator = &a->memory.allocator;
    a->options.user = &a->calling;
    a->options.progress = watch;
    a->calling.saving = s;
}

static inline st_status save_streamed(saved *a, const saving *s, int way, const unsigned char *data, size_t bytes) {
    static const int styles[] = {PUSH_SMALL, PUSH_ODD, PUSH_TO, PUSH_SMALL, PUSH_AT_ONCE};
    const st_sink sink = {&a->sink, collect};
    st_writer *writer = (st_writer *)(void *)a;
    st_status status;
    if (way_has_sink(way)) a->options.sink = &sink;
    a->options.progress = NULL; /* not supported by st_writer_open */
    status = st_writer_open(&writer, way_has_sink(way) ? NULL : scratch_path(TARGET), &a->options, &a->error);
    CHECK((status == ST_OK) == (writer != NULL));
    if (status == ST_OK) status = stream_declare(writer, s, &a->error);
    if (status == ST_OK) status = push(writer, s, styles[way - STREAM_SMALL], data, bytes, &a->error);
    if (status == ST_OK) {
        CHECK(st_writer_next(writer) == NULL);
        status = st_writer_finish(writer, &a->error);
    }
    st_writer_close(writer);
    return status;
}

static inline st_status save_whole(saved *a, const saving *s, int way) {
    const st_sink sink = {&a->sink, collect};
    const int fills = way == BY_FILL || way == BY_SINK_WORK_FILL;
    st_tensor *tensors = (st_tensor *)need(s->count * sizeof *tensors);
    st_contents contents = *CONTENTS(s->tensors != NULL ? tensors : NULL, s->count, s->pairs, s->pair_count);
    st_status status;
    size_t i;
    for (i = 0; i < s->count; i++) {
        tensors[i] = s->tensors[i];
        if (fills) tensors[i].data = NULL;
    }
    a->calling.tensors = tensors;
    a->calling.done = 0;
    if (fills) a->options.fill = fill_in;
    if (way_has_sink(way)) a->options.sink = &sink;
    contents.from = a->from;
    status = st_save(way_has_sink(way) ? NULL : scratch_path(TARGET), &contents, &a->options, &a->error);
    free(tensors);
    return status;
}

static inline st_status save_call(saved *a, const saving *s, int way, const unsigned char *data, size_t bytes) {
    memset(&a->error, 0xee, sizeof a->error);
    a->sink.out.n = 0;
    a->sink.refused = 0;
    a->status = way_is_streamed(way) ? save_streamed(a, s, way, data, bytes) : save_whole(a, s, way);
    CHECK_STATUS(a->error.status, a->status);
    return a->status;
}

/* with a work buffer: st_save asks for its size once; the streaming writer asks again as it grows */
static inline void save_in_work(saved *a, const saving *s, int way, const unsigned char *data, size_t bytes) {
    size_t room = 1, rounds = 0;
    for (;;) {
        a->work = need(room);
        memset(a->work, 0xa5, room);
        a->options.work.data = a->work;
        a->options.work.bytes = room;
        if (save_call(a, s, way, data, bytes) != ST_ERR_MEMORY) break;
        free(a->work);
        a->work = NULL;
        if (!CHECK(a->error.expected > room && a->error.expected < SIZE_MAX)) break;
        if (!CHECK(++rounds < 1000)) break;
        if (!way_is_streamed(way)) CHECK_EQ(rounds, 1);
        room = (size_t)a->error.expected;
        if (way_is_streamed(way)) room += room / 2;
    }
    if (a->status == ST_OK && !way_is_streamed(way)) { /* one byte less must fail */
        st_error first = a->error;
        a->options.work.bytes = room - 1;
        CHECK_STATUS(save_call(a, s, way, data, bytes), ST_ERR_MEMORY);
        CHECK_EQ(a->error.expected, room);
        if (!way_has_sink(way)) check_no_temporary();
        a->options.work.bytes = room;
        CHECK_STATUS(save_call(a, s, way, data, bytes), ST_OK);
        a->error = first;
    }
    free(a->work);
    CHECK_EQ(a->memory.calls, 0);
}

/* Saves in that way over an older file, with the options that the caller has set in *a since saved_begin. */
static inline st_status save_by(saved *a, const saving *s, int way, const unsigned char *data, size_t bytes) {
    if (!way_has_sink(way)) target_begin();
    if (way == BY_FILE) a->options.flags &= ~(unsigned)ST_SAVE_NO_SYNC;
    if (way == BY_WORK || way == BY_SINK_WORK_FILL || way == STREAM_WORK) {
        save_in_work(a, s, way, data, bytes);
    } else {
        save_call(a, s, way, data, bytes);
    }
    counting_end(&a->memory);
    if (a->status != ST_OK) {
        check_text(a->error.subject, sizeof a->error.subject);
        check_text(a->error.message, sizeof a->error.message);
        CHECK(a->error.message[0] != 0);
        if (!way_has_sink(way)) target_is_old();
    } else if (way_has_sink(way)) {
        a->file = (unsigned char *)need(a->sink.out.n);
        a->n = a->sink.out.n;
        memcpy(a->file, a->sink.out.at, a->n);
    } else {
        a->file = file_bytes(scratch_path(TARGET), &a->n);
        check_no_temporary();
    }
    return a->status;
}

static inline void saved_end(saved *a) {
    free(a->file);
    free(a->sink.out.at);
}

/* every way must write these bytes, which end in data_bytes of data */
static inline void check_ways(const saving *s, const unsigned char *want, size_t n, size_t data_bytes) {
    const char *row = test_row;
    int way;
    for (way = 0; way < SAVE_WAYS; way++) {
        char where[256];
        saved a;
        snprintf(where, sizeof where, "%s, %s", row, way_names[way]);
        test_row = where;
        saved_begin(&a, s);
        CHECK_STATUS(save_by(&a, s, way, want + n - data_bytes, data_bytes), ST_OK);
        CHECK(same_bytes(a.file, a.n, want, n));
        if (!way_is_streamed(way)) {
            CHECK_EQ(a.calling.done, data_bytes);
            CHECK_EQ(a.calling.total, data_bytes);
        } else {
            CHECK_EQ(a.calling.progress.calls, 0);
        }
        saved_end(&a);
        test_row = row;
    }
    scratch_remove(TARGET);
}

/* every way must fail alike and leave the older file; subject NULL: not checked */
static inline void check_refusal(const saving *s, st_status status, const char *subject, uint64_t expected,
                                 uint64_t actual) {
    const char *row = test_row;
    int way;
    for (way = 0; way < SAVE_WAYS; way++) {
        char where[256];
        saved a;
        snprintf(where, sizeof where, "%s, %s", row, way_names[way]);
        test_row = where;
        saved_begin(&a, s);
        CHECK_STATUS(save_by(&a, s, way, NULL, 0), status);
        CHECK_EQ(a.sink.out.n, 0);
        CHECK_EQ(a.error.position, UINT64_MAX);
        if (subject != NULL) CHECK_STR(a.error.subject, subject);
        if (expected != ANY_VALUE) CHECK_EQ(a.error.expected, expected);
        if (actual != ANY_VALUE) CHECK_EQ(a.error.actual, actual);
        saved_end(&a);
        test_row = row;
    }
    scratch_remove(TARGET);
}

/* ---- reopening -------------------------------------------------------------------------------------------- */

static inline void check_holds(const st_model *m, const saving *s) {
    size_t i, j;
    CHECK_EQ(m->count, s->count);
    for (i = 0; i < s->count; i++) {
        const st_tensor *t = &s->tensors[i], *got;
        got = st_find_n(m, t->name, text_bytes(t->name, t->name_bytes));
        if (!CHECK(got != NULL)) continue;
        CHECK_STR(got->dtype_name, t->dtype != ST_DTYPE_UNKNOWN ? st_dtype_name(t->dtype) : t->dtype_name);
        CHECK_EQ(got->rank, t->rank);
        CHECK(t->rank == 0 || memcmp(got->shape, t->shape, t->rank * sizeof *t->shape) == 0);
        if (!CHECK_EQ(got->bytes, tensor_bytes(t))) continue;
        if (got->data != NULL && t->data != NULL) CHECK(memcmp(got->data, t->data, (size_t)got->bytes) == 0);
    }
    CHECK((m->metadata == NULL) == (s->pairs == NULL));
    CHECK_EQ(m->metadata_count, s->pair_count);
    for (i = 0; i < s->pair_count; i++) {
        const st_pair *p = &s->pairs[i];
        const size_t key_bytes = text_bytes(p->key, p->key_bytes);
        for (j = 0; j < m->metadata_count; j++) {
            if (same_text(m->metadata[j].key, m->metadata[j].key_bytes, p->key, key_bytes)) break;
        }
        if (!CHECK(j < m->metadata_count)) continue;
        CHECK(same_text(m->metadata[j].value, m->metadata[j].value_bytes, p->value,
                        text_bytes(p->value, p->value_bytes)));
    }
}

static inline int has_opaque(const saving *s) {
    size_t i;
    for (i = 0; i < s->count; i++) {
        if (s->tensors[i].dtype == ST_DTYPE_UNKNOWN) return 1;
    }
    return 0;
}

/* opens the written file from every source, compares it with what was saved, and saves the model to the same bytes */
static inline void check_reopens(const saving *s, const unsigned char *file, size_t n) {
    const char *row = test_row;
    st_open_options options;
    int kind;
    memset(&options, 0, sizeof options);
    if (has_opaque(s)) options.flags = ST_OPEN_UNKNOWN_DTYPES;
    CHECK_STATUS(sources_verdict(file, n, &options, SOURCES_NO_SCAN).error.status, ST_OK);
    for (kind = 0; kind < SOURCE_KINDS; kind++) {
        char where[256];
        source from;
        st_contents contents;
        saved a;
        if (kind == FROM_WORK) continue;
        snprintf(where, sizeof where, "%s, from %s", row, source_names[kind]);
        test_row = where;
        if (source_open(&from, kind, file, n, &options) == ST_OK) {
            check_holds(from.model, s);
            saved_begin(&a, s);
            contents = st_contents_of(from.model);
            CHECK_STATUS(st_save(scratch_path(TARGET), &contents, &a.options, &a.error), ST_OK);
            counting_end(&a.memory);
            CHECK(file_is(scratch_path(TARGET), file, n));
        }
        source_close(&from);
        test_row = row;
    }
    scratch_remove(TARGET);
}
#endif
