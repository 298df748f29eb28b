/* compare.h: opens and scans the same bytes with the quick paths and without, and holds both to the same: status, every field
 * of the error with its sentence, every field of the model. CHECK is the test's or the harness's. */
#ifndef COMPARE_H
#define COMPARE_H
#include "plain.h"

typedef struct compare_bytes { /* what lies in the file; it may say that it is longer */
    const unsigned char *at;
    size_t n;
} compare_bytes;

static inline int compare_read_at(void *user, uint64_t offset, void *dst, size_t bytes) {
    const compare_bytes *b = (const compare_bytes *)user;
    if (offset > b->n || bytes > b->n - offset) return 5;
    if (bytes > 0) memcpy(dst, b->at + offset, bytes);
    return 0;
}

static inline void compare_tensors(const st_tensor *a, const st_tensor *b) {
    CHECK(a->name_bytes == b->name_bytes && memcmp(a->name, b->name, a->name_bytes) == 0);
    CHECK(a->dtype == b->dtype && strcmp(a->dtype_name, b->dtype_name) == 0);
    CHECK(a->rank == b->rank && (a->rank == 0 || memcmp(a->shape, b->shape, a->rank * sizeof *a->shape) == 0));
    CHECK(a->bytes == b->bytes && a->elements == b->elements && a->offset == b->offset);
    CHECK(a->data == b->data && a->shard == b->shard);
}

static inline void compare_models(const st_model *a, const st_model *b) {
    size_t i;
    CHECK(a->count == b->count && a->bytes == b->bytes);
    CHECK(a->metadata_count == b->metadata_count && !a->metadata == !b->metadata);
    if (a->count != b->count || a->metadata_count != b->metadata_count) return;
    CHECK(a->shards[0].data_offset == b->shards[0].data_offset && a->shards[0].file_bytes == b->shards[0].file_bytes);
    for (i = 0; i < a->count; i++) {
        const st_tensor *t = &a->tensors[i];
        compare_tensors(t, &b->tensors[i]);
        CHECK(t->name[t->name_bytes] == 0);
        CHECK(st_find_n(a, t->name, t->name_bytes) == t);
        CHECK(plain_find_n(b, t->name, t->name_bytes) == &b->tensors[i]);
        if (t->name_bytes > 0) { /* its neighbours are found in both or in none */
            const st_tensor *other = st_find_n(a, t->name, t->name_bytes - 1);
            const st_tensor *plain = plain_find_n(b, t->name, t->name_bytes - 1);
            CHECK(other ? plain == &b->tensors[other - a->tensors] : plain == NULL);
        }
    }
    for (i = 0; i < a->metadata_count; i++) {
        const st_pair *p = &a->metadata[i], *q = &b->metadata[i];
        CHECK(p->key_bytes == q->key_bytes && memcmp(p->key, q->key, p->key_bytes) == 0);
        CHECK(p->value_bytes == q->value_bytes && memcmp(p->value, q->value, p->value_bytes) == 0);
    }
}

static inline st_status compare_opened(const unsigned char *file, size_t n, uint64_t file_bytes, int mapped,
                                       const st_open_options *options) {
    compare_bytes bytes = {NULL, 0};
    st_io io;
    st_error error, plain_error;
    st_model *model, *plain;
    st_status status, plain_status;
    bytes.at = file;
    bytes.n = n;
    memset(&io, 0, sizeof io);
    io.user = &bytes;
    io.bytes = file_bytes;
    if (mapped) {
        io.mapped = file;
    } else {
        io.read_at = compare_read_at;
    }
    memset(&error, 0xEE, sizeof error);
    memset(&plain_error, 0xEE, sizeof plain_error);
    status = st_open_io(&model, &io, options, &error);
    plain_status = plain_open_io(&plain, &io, options, &plain_error);
    CHECK(status == plain_status);
    CHECK(memcmp(&error, &plain_error, sizeof error) == 0);
    if (status == ST_OK && plain_status == ST_OK) compare_models(model, plain);
    st_close(model);
    plain_close(plain);
    return status;
}

static inline void compare_scanned(const unsigned char *file, size_t n, uint64_t file_bytes,
                                   const st_open_options *options) {
    st_scan scan, plain;
    st_error error, plain_error;
    st_status status;
    int more;
    memset(&error, 0xEE, sizeof error);
    memset(&plain_error, 0xEE, sizeof plain_error);
    status = st_scan_begin(&scan, file, n, file_bytes, options, &error);
    CHECK(plain_scan_begin(&plain, file, n, file_bytes, options, &plain_error) == status);
    CHECK(memcmp(&error, &plain_error, sizeof error) == 0);
    do {
        more = st_scan_next(&scan);
        CHECK(plain_scan_next(&plain) == more);
        if (more) {
            compare_tensors(&scan.tensor, &plain.tensor);
            CHECK(scan.name_escaped == plain.name_escaped);
        }
    } while (more);
}

/* the status of opening; n bytes lie at file, which says that it has file_bytes */
static inline st_status compare_both(const unsigned char *file, size_t n, uint64_t file_bytes, unsigned flags,
                                     uint64_t max_header) {
    st_open_options options;
    st_status status;
    memset(&options, 0, sizeof options);
    options.flags = flags;
    options.max_header = max_header;
    status = compare_opened(file, n, file_bytes, 0, &options);
    if (n == file_bytes) CHECK(compare_opened(file, n, file_bytes, 1, &options) == status);
    options.flags &= ST_OPEN_TRAILING;
    compare_scanned(file, n, file_bytes, &options);
    return status;
}
#endif
