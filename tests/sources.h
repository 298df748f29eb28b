/* sources.h: opens the same bytes from every kind of source and checks that the results agree: the same status,
 * position, expected, actual and subject, or the same tensors, metadata and bytes. */
#ifndef SOURCES_H
#define SOURCES_H
#include "allocator.h"
#include "scratch.h"
#include "served.h"
#include "test.h"

enum source_kind {
    FROM_MEMORY = 0,
    FROM_WORK = 1,      /* memory, with a work buffer of the exact size that the error asks for */
    FROM_IO = 2,        /* read_at only */
    FROM_MAPPED_IO = 3, /* mapped only */
    FROM_FILES = 4,     /* a path, opened through the caller's st_files */
    FROM_FILE = 5,
    FROM_FILE_NO_MAP = 6,
    SOURCE_KINDS = 7
};

enum { SOURCES_NO_FILES = 1, SOURCES_NO_SCAN = 2 };

static const char *const source_names[SOURCE_KINDS] = {"memory",   "work buffer", "read_at",         "mapped st_io",
                                                       "st_files", "file",        "file, not mapped"};

typedef struct source {
    int kind;
    counting memory;
    served served;
    void *work;
    st_open_options options;
    st_model *model;
    st_error error;
    st_status status;
} source;

#define SOURCE_FILE "source.safetensors" /* the file that FROM_FILE opens, in the scratch directory */

static inline st_status source_call(source *s, const void *bytes, size_t n) {
    memset(&s->error, 0xee, sizeof s->error); /* every field must be set */
    s->model = (st_model *)(void *)s;
    switch (s->kind) {
    case FROM_MEMORY:
    case FROM_WORK: return st_open_memory(&s->model, bytes, n, &s->options, &s->error);
    case FROM_IO:
    case FROM_MAPPED_IO: return st_open_io(&s->model, &s->served.io, &s->options, &s->error);
    case FROM_FILES: return st_open(&s->model, s->served.path, &s->options, &s->error);
    default: return st_open(&s->model, scratch_path(SOURCE_FILE), &s->options, &s->error);
    }
}

static inline const char *source_prefix(int kind) { /* the prefix of messages */
    switch (kind) {
    case FROM_MEMORY:
    case FROM_WORK: return "(memory): ";
    case FROM_IO:
    case FROM_MAPPED_IO: return "(callbacks): ";
    case FROM_FILES: return "pack/model.safetensors: ";
    default: return scratch_path(SOURCE_FILE);
    }
}

/* checks that a text is NUL-terminated and has no control characters */
static inline void check_text(const char *text, size_t room) {
    size_t n = 0;
    int clean = 1;
    while (n < room && text[n] != 0) {
        clean &= (unsigned char)text[n] >= 0x20 && text[n] != 0x7f;
        n++;
    }
    CHECK(n < room);
    CHECK(clean);
}

static inline void check_error(const st_error *error, st_status status, const char *prefix) {
    CHECK_STATUS(error->status, status);
    if (status == ST_OK) return;
    check_text(error->subject, sizeof error->subject);
    check_text(error->message, sizeof error->message);
    CHECK(strncmp(error->message, prefix, strlen(prefix)) == 0);
    CHECK(strlen(error->message) > strlen(prefix) + 2);
}

/* opens the bytes, which must stay valid until source_close */
static inline st_status source_open(source *s, int kind, const void *bytes, size_t n, const st_open_options *base) {
    memset(s, 0, sizeof *s);
    s->kind = kind;
    counting_begin(&s->memory);
    served_begin(&s->served, bytes, n);
    if (base != NULL) s->options = *base;
    s->options.allocator = &s->memory.allocator;
    if (kind == FROM_FILES) s->options.files = &s->served.files;
    if (kind == FROM_FILE_NO_MAP) s->options.flags |= ST_OPEN_NO_MAP;
    if (kind == FROM_MAPPED_IO) {
        s->served.io.read_at = NULL;
        s->served.io.mapped = bytes;
    }
    if (kind == FROM_WORK) {
        char probe[1];
        s->options.work.data = probe;
        s->options.work.bytes = sizeof probe;
        s->status = source_call(s, bytes, n);
        if (s->status == ST_ERR_MEMORY && CHECK(s->error.expected > 1 && s->error.expected < SIZE_MAX)) {
            s->options.work.bytes = (size_t)s->error.expected;
            s->options.work.data = s->work = malloc(s->options.work.bytes);
            if (!CHECK(s->work != NULL)) return s->status;
            memset(s->work, 0xa5, s->options.work.bytes);
            s->status = source_call(s, bytes, n);
        }
        CHECK_EQ(s->memory.calls, 0);
    } else {
        s->status = source_call(s, bytes, n);
    }
    check_error(&s->error, s->status, source_prefix(kind));
    CHECK((s->status == ST_OK) == (s->model != NULL));
    return s->status;
}

static inline void source_close(source *s) {
    st_close(s->model);
    counting_end(&s->memory);
    CHECK_EQ(s->served.opens, s->served.closes);
    free(s->work);
    s->work = NULL;
    s->model = NULL;
}

/* checks what must hold for every model, using only the model's fields */
static inline void check_sound(const st_model *m, size_t n, unsigned flags) {
    const st_shard *shard = m->shards;
    uint64_t at;
    size_t i;
    uint32_t d;
    CHECK_EQ(m->shard_count, 1);
    CHECK(m->metadata == shard->metadata && m->metadata_count == shard->metadata_count);
    CHECK(m->index == NULL && m->index_count == 0);
    CHECK_EQ(shard->file_bytes, n);
    at = shard->data_offset;
    CHECK(at >= 10 && at <= n);
    for (i = 0; i < m->count; i++) {
        const st_tensor *t = &m->tensors[i];
        uint64_t elements = 1;
        CHECK_EQ(t->offset, at); /* no gaps, no overlaps */
        at += t->bytes;
        for (d = 0; d < t->rank; d++) elements *= t->shape[d];
        CHECK_EQ(t->elements, elements);
        if (t->dtype != ST_DTYPE_UNKNOWN) {
            CHECK_EQ(t->elements * st_dtype_bits(t->dtype), t->bytes * 8);
            CHECK_STR(t->dtype_name, st_dtype_name(t->dtype));
        }
        CHECK_EQ(t->name[t->name_bytes], 0);
        CHECK_EQ(t->shard, 0);
        CHECK(st_find_n(m, t->name, t->name_bytes) == t);
    }
    CHECK_EQ(m->bytes, at - shard->data_offset);
    CHECK(at == n || (at < n && (flags & ST_OPEN_TRAILING) != 0));
    for (i = 0; i < m->metadata_count; i++) {
        const st_pair *p = &m->metadata[i];
        CHECK(p->key[p->key_bytes] == 0 && p->value[p->value_bytes] == 0);
        if (strlen(p->key) == p->key_bytes) CHECK(st_find_metadata(m, p->key) == p);
    }
}

static inline int same_text(const char *a, size_t a_bytes, const char *b, size_t b_bytes) {
    return a_bytes == b_bytes && memcmp(a, b, a_bytes) == 0;
}

/* compares all fields but the name's and the data's address */
static inline int same_fields(const st_tensor *a, const st_tensor *b) {
    return a->dtype == b->dtype && a->rank == b->rank && a->bytes == b->bytes && a->elements == b->elements &&
           a->offset == b->offset && a->shard == b->shard &&
           (a->rank == 0 || memcmp(a->shape, b->shape, a->rank * sizeof *a->shape) == 0);
}

static inline void check_same_model(const st_model *a, const st_model *b) {
    size_t i;
    if (!CHECK_EQ(b->count, a->count) || !CHECK_EQ(b->metadata_count, a->metadata_count)) return;
    CHECK_EQ(b->bytes, a->bytes);
    CHECK_EQ(b->shards[0].data_offset, a->shards[0].data_offset);
    CHECK((a->metadata == NULL) == (b->metadata == NULL));
    for (i = 0; i < a->count; i++) {
        const st_tensor *s = &a->tensors[i], *t = &b->tensors[i];
        CHECK(same_text(s->name, s->name_bytes, t->name, t->name_bytes));
        CHECK_STR(t->dtype_name, s->dtype_name);
        CHECK(same_fields(s, t));
    }
    for (i = 0; i < a->metadata_count; i++) {
        const st_pair *p = &a->metadata[i], *q = &b->metadata[i];
        CHECK(same_text(p->key, p->key_bytes, q->key, q->key_bytes));
        CHECK(same_text(p->value, p->value_bytes, q->value, q->value_bytes));
    }
}

/* checks each tensor's bytes, through its data pointer and st_read */
static inline void check_bytes(const source *s, const unsigned char *bytes) {
    const st_model *m = s->model;
    size_t i;
    for (i = 0; i < m->count; i++) {
        const st_tensor *t = &m->tensors[i];
        const unsigned char *want = bytes + t->offset;
        size_t n = (size_t)t->bytes;
        unsigned char *copy = (unsigned char *)malloc(n > 0 ? n : 1);
        st_error error;
        if (!CHECK(copy != NULL)) return;
        CHECK_STATUS(st_read(m, t, 0, copy, n, &error), ST_OK);
        CHECK(memcmp(copy, want, n) == 0);
        if (n > 1) {
            copy[0] = 0, copy[n - 1] = 0;
            CHECK_STATUS(st_read(m, t, n - 1, copy, 1, NULL), ST_OK);
            CHECK(copy[0] == want[n - 1] && copy[n - 1] == 0);
        }
        free(copy);
        if (t->data != NULL) CHECK(memcmp(t->data, want, n) == 0);
        if (s->kind == FROM_MEMORY || s->kind == FROM_WORK || s->kind == FROM_MAPPED_IO)
            CHECK(t->data == want || n == 0);
        if (s->kind == FROM_IO || s->kind == FROM_FILES || s->kind == FROM_FILE_NO_MAP) CHECK(t->data == NULL);
    }
}

/* the scan must yield each of the model's tensors once */
static inline void check_same_scan(st_scan *scan, const st_model *m, const unsigned char *file, size_t available) {
    size_t seen = 0, i;
    while (st_scan_next(scan)) {
        const st_tensor *t = &scan->tensor;
        size_t matches = 0;
        for (i = 0; i < m->count; i++) {
            const st_tensor *other = &m->tensors[i];
            /* st_scan_is takes NUL-terminated names; a name with a NUL is recognized by its offset */
            if (strlen(other->name) == other->name_bytes && !st_scan_is(scan, other->name)) continue;
            if (!same_fields(t, other)) continue;
            if (!scan->name_escaped && !same_text(t->name, t->name_bytes, other->name, other->name_bytes)) continue;
            matches++;
        }
        CHECK(matches == 1 || (matches > 1 && t->bytes == 0));
        CHECK(t->shape == scan->shape);
        if (t->bytes > 0) CHECK(t->data == (t->offset + t->bytes <= available ? file + t->offset : NULL));
        seen++;
    }
    CHECK_EQ(seen, m->count);
    CHECK_EQ(st_scan_next(scan), 0);
}

static inline void check_same_error(const st_error *got, const st_error *want) {
    CHECK_STATUS(got->status, want->status);
    if (want->status == ST_OK || got->status != want->status) return;
    CHECK_EQ(got->sys, want->sys);
    CHECK_EQ(got->position, want->position);
    CHECK_EQ(got->expected, want->expected);
    CHECK_EQ(got->actual, want->actual);
    CHECK_STR(got->subject, want->subject);
}

static inline void check_scan(const unsigned char *file, size_t n, const st_open_options *base, const source *like) {
    st_scan scan;
    st_error error;
    st_status status;
    memset(&scan, 0xee, sizeof scan);
    memset(&error, 0xee, sizeof error);
    status = st_scan_begin(&scan, file, n, n, base, &error);
    check_error(&error, status, "(memory): ");
    check_same_error(&error, &like->error);
    if (status != ST_OK || like->status != ST_OK) {
        if (status != ST_OK) CHECK_EQ(st_scan_next(&scan), 0);
        return;
    }
    check_same_scan(&scan, like->model, file, n);
    { /* st_scan needs only the header's bytes */
        size_t header = (size_t)like->model->shards[0].data_offset;
        unsigned char *copy = (unsigned char *)malloc(header);
        if (!CHECK(copy != NULL)) return;
        memcpy(copy, file, header);
        CHECK_STATUS(st_scan_begin(&scan, copy, header, n, base, &error), ST_OK);
        check_same_scan(&scan, like->model, copy, header);
        free(copy);
    }
}

typedef struct verdict {
    st_error error;
    size_t count;
} verdict;

/* opens `file` from every source and checks that all agree; the file is a heap block of exactly n bytes */
static inline verdict sources_verdict(const unsigned char *file, size_t n, const st_open_options *base,
                                      unsigned without) {
    const unsigned flags = base != NULL ? base->flags : 0;
    const char *row = test_row;
    verdict v;
    source first;
    int kind;
    memset(&v, 0, sizeof v);
    source_open(&first, FROM_MEMORY, file, n, base);
    v.error = first.error;
    if (first.status == ST_OK) {
        v.count = first.model->count;
        check_sound(first.model, n, flags);
        check_bytes(&first, file);
    }
    if ((without & SOURCES_NO_FILES) == 0) scratch_write(SOURCE_FILE, file, n);
    for (kind = FROM_MEMORY + 1; kind < SOURCE_KINDS; kind++) {
        char where[256];
        source s;
        if ((without & SOURCES_NO_FILES) != 0 && kind >= FROM_FILE) break;
        snprintf(where, sizeof where, "%s, from %s", row, source_names[kind]);
        test_row = where;
        source_open(&s, kind, file, n, base);
        check_same_error(&s.error, &first.error);
        if (s.status == ST_OK && first.status == ST_OK) {
            check_sound(s.model, n, flags);
            check_same_model(first.model, s.model);
            check_bytes(&s, file);
        }
        source_close(&s);
        test_row = row;
    }
    if ((without & SOURCES_NO_SCAN) == 0 && (flags & ~(unsigned)ST_OPEN_TRAILING) == 0)
        check_scan(file, n, base, &first);
    source_close(&first);
    return v;
}
#endif
