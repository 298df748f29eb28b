/* fuzz_roundtrip.c: a valid file, saved again, opens to the same model; saving that once more gives the same bytes.
 * Input: two option bytes, then the file. Some tensors have data in memory, others come from st_contents.from,
 * opened from memory or through read_at. The order of the tensors passed to st_save and their names must not matter. */
#include "fuzz.h"

#define OPTION_BYTES 2
#define READ_CODE 5

/* option bits, in addition to those for opening */
enum { UNKNOWN_DTYPES = 1, TRAILING = 2, KEEP_ORDER = 4, THROUGH_READ_AT = 8, ALIGN_AND_SLACK = 16, ALL_FROM = 32 };

typedef struct input {
    const uint8_t *file;
    size_t n;
    unsigned options, knob;
    unsigned reads, read_fails_at;
} input;

typedef struct sunk {
    uint8_t *bytes;
    size_t n, room;
} sunk;

static int sink_write(void *user, const void *bytes, size_t n) {
    sunk *s = (sunk *)user;
    CHECK(bytes != NULL && n > 0);
    if (n > s->room - s->n) {
        s->room = (s->n + n) * 2;
        s->bytes = (uint8_t *)realloc(s->bytes, s->room);
        CHECK(s->bytes != NULL);
    }
    memcpy(s->bytes + s->n, bytes, n);
    s->n += n;
    return 0;
}

static int read_input(void *user, uint64_t offset, void *dst, size_t bytes) {
    input *in = (input *)user;
    CHECK(bytes > 0 && offset <= in->n && bytes <= in->n - offset);
    if (++in->reads == in->read_fails_at) return READ_CODE;
    memcpy(dst, in->file + offset, bytes);
    return 0;
}

static st_status open_input(st_model **m, input *in, st_allocator *allocator) {
    st_open_options options;
    st_io io;
    memset(&options, 0, sizeof options);
    options.flags =
        (in->options & UNKNOWN_DTYPES ? ST_OPEN_UNKNOWN_DTYPES : 0u) | (in->options & TRAILING ? ST_OPEN_TRAILING : 0u);
    options.allocator = allocator;
    if (!(in->options & THROUGH_READ_AT)) return st_open_memory(m, in->file, in->n, &options, NULL);
    memset(&io, 0, sizeof io);
    io.user = in;
    io.read_at = read_input;
    io.bytes = in->n;
    return st_open_io(m, &io, &options, NULL);
}

/* ---- one rewrite ----------------------------------------------------------------------------------------- */

/* how a rewrite modifies the model's tensors before it passes them to st_save */
enum { AS_THEY_ARE, REVERSED, RENAMED };

/* copies the tensors; `knob` selects which ones keep their data pointer */
static st_tensor *handed_over(const st_model *m, const input *in, int how) {
    st_tensor *all = (st_tensor *)malloc(m->count ? m->count * sizeof *all : 1);
    size_t i;
    CHECK(all != NULL);
    for (i = 0; i < m->count; i++) {
        st_tensor *t = &all[how == REVERSED ? m->count - 1 - i : i];
        *t = m->tensors[i];
        t->elements = 0x5555u;
        if (t->dtype != ST_DTYPE_UNKNOWN) t->dtype_name = NULL;
        if (in->options & ALL_FROM || in->knob >> (i % 8) & 1) t->data = NULL;
    }
    return all;
}

static void drop_names(st_tensor *all, size_t count) {
    size_t i;
    for (i = 0; i < count; i++) {
        union {
            const char *constant;
            char *own;
        } name;
        name.constant = all[i].name;
        free(name.own);
    }
}

/* prefixes every name with "x", which keeps their order */
static void rename_all(st_tensor *all, size_t count) {
    size_t i;
    for (i = 0; i < count; i++) {
        char *name = (char *)malloc(all[i].name_bytes + 1);
        CHECK(name != NULL);
        name[0] = 'x';
        memcpy(name + 1, all[i].name, all[i].name_bytes);
        all[i].name = name;
        all[i].name_bytes++;
    }
}

static st_save_options options_of(const input *in, const st_allocator *allocator) {
    st_save_options o;
    memset(&o, 0, sizeof o);
    o.flags = in->options & KEEP_ORDER ? ST_SAVE_KEEP_ORDER : 0;
    if (in->options & ALIGN_AND_SLACK) {
        o.align = (size_t)8 << in->knob % 6;
        o.slack = in->knob;
    }
    o.allocator = allocator;
    return o;
}

static st_status rewrite(sunk *out, const st_tensor *tensors, const st_model *m, const st_save_options *o,
                         st_error *error) {
    st_save_options all = *o;
    st_contents contents;
    st_sink sink;
    st_status status;
    memset(out, 0, sizeof *out);
    sink.user = out;
    sink.write = sink_write;
    memset(error, 0x55, sizeof *error);
    contents = st_contents_of(m);
    contents.tensors = tensors;
    all.sink = &sink;
    status = st_save(NULL, &contents, &all, error);
    CHECK(error->status == status);
    if (status) CHECK(fuzz_is_printable(error->message) && fuzz_is_printable(error->subject));
    return status;
}

/* ---- checking the result --------------------------------------------------------------------------------- */

/* the tensor's bytes in the original file */
static const uint8_t *bytes_in(const input *in, const st_tensor *t) {
    return in->file + t->offset;
}

static void check_same_tensor(const st_model *m, const input *in, const st_model *again, const st_tensor *t,
                              int renamed) {
    const st_tensor *old = st_find_n(m, t->name + renamed, t->name_bytes - (size_t)renamed);
    CHECK(old != NULL && t->dtype == old->dtype && strcmp(t->dtype_name, old->dtype_name) == 0);
    CHECK(t->rank == old->rank && t->bytes == old->bytes && t->elements == old->elements && t->data != NULL);
    CHECK(t->rank == 0 || memcmp(t->shape, old->shape, t->rank * sizeof *t->shape) == 0);
    CHECK(t->bytes == 0 || memcmp(t->data, bytes_in(in, old), (size_t)t->bytes) == 0);
    if (in->options & KEEP_ORDER) CHECK(t - again->tensors == old - m->tensors);
}

/* checks the canonical order: dtypes descending, then names ascending */
static void check_canonical(const st_model *m) {
    size_t i;
    for (i = 1; i < m->count; i++) {
        const st_tensor *a = &m->tensors[i - 1], *b = &m->tensors[i];
        size_t n = a->name_bytes < b->name_bytes ? a->name_bytes : b->name_bytes;
        int order = memcmp(a->name, b->name, n);
        CHECK(a->dtype >= b->dtype);
        if (a->dtype == b->dtype) CHECK(order < 0 || (order == 0 && a->name_bytes < b->name_bytes));
    }
}

static void check_same_metadata(const st_model *m, const st_model *again) {
    size_t i, k;
    CHECK((m->metadata != NULL) == (again->metadata != NULL) && m->metadata_count == again->metadata_count);
    for (i = 0; i < m->metadata_count; i++) {
        const st_pair *a = &m->metadata[i], *b = NULL;
        for (k = 0; k < again->metadata_count && !b; k++) {
            const st_pair *p = &again->metadata[k];
            if (p->key_bytes == a->key_bytes && memcmp(p->key, a->key, a->key_bytes) == 0) b = p;
        }
        CHECK(b != NULL && b->value_bytes == a->value_bytes && memcmp(a->value, b->value, a->value_bytes) == 0);
    }
}

/* checks that the written file opens to the same model, and that saving it again gives the same bytes */
static void check_written(const st_model *m, const input *in, const sunk *out, int renamed) {
    uint8_t *file = fuzz_copy(out->bytes, out->n);
    input second = *in;
    st_save_options o;
    st_open_options options;
    st_model *again;
    st_error error;
    sunk twice;
    size_t i;
    memset(&options, 0, sizeof options);
    options.flags = in->options & UNKNOWN_DTYPES ? ST_OPEN_UNKNOWN_DTYPES : 0u;
    CHECK(st_open_memory(&again, file, out->n, &options, NULL) == ST_OK && again->count == m->count);
    for (i = 0; i < again->count; i++) check_same_tensor(m, in, again, &again->tensors[i], renamed);
    if (!(in->options & KEEP_ORDER)) check_canonical(again);
    check_same_metadata(m, again);
    second.file = file;
    second.n = out->n;
    o = options_of(&second, NULL);
    CHECK(again->shards[0].data_offset % (o.align ? o.align : 8) == 0);
    CHECK(rewrite(&twice, again->tensors, again, &o, &error) == ST_OK);
    CHECK(twice.n == out->n && memcmp(twice.bytes, out->bytes, twice.n) == 0);
    free(twice.bytes);
    st_close(again);
    free(file);
}

/* ---- ways to save ----------------------------------------------------------------------------------------- */

static void try_way(const st_model *m, const input *in, int how, const sunk *first) {
    st_tensor *all = handed_over(m, in, how);
    fuzz_heap heap;
    st_allocator allocator = fuzz_allocator(&heap);
    st_save_options o = options_of(in, &allocator);
    st_error error;
    sunk out;
    if (how == RENAMED) rename_all(all, m->count);
    CHECK(rewrite(&out, all, m, &o, &error) == ST_OK && heap.live == 0);
    if (how == RENAMED) {
        check_written(m, in, &out, 1);
        drop_names(all, m->count);
    } else if (how == REVERSED) {
        CHECK(out.n == first->n && memcmp(out.bytes, first->bytes, out.n) == 0);
    }
    free(out.bytes);
    free(all);
}

/* makes each read of the source fail once */
static void try_failing_reads(const st_model *m, input *in, const st_tensor *all, unsigned reads) {
    unsigned k;
    for (k = 1; k <= reads; k++) {
        st_save_options o = options_of(in, NULL);
        st_error error;
        sunk out;
        in->reads = 0;
        in->read_fails_at = k;
        CHECK(rewrite(&out, all, m, &o, &error) == ST_ERR_IO && error.sys == READ_CODE);
        free(out.bytes);
    }
    in->read_fails_at = 0;
}

/* a range that is not a tensor of the source is rejected before anything is written */
static void try_elsewhere(const st_model *m, const input *in, st_tensor *all) {
    size_t i, k;
    for (i = 0; i < m->count; i++) {
        st_save_options o = options_of(in, NULL);
        st_tensor *t = &all[i], was = *t;
        st_error error;
        sunk out;
        int found = 0;
        t->data = NULL;
        t->offset++;
        for (k = 0; k < m->count; k++) found |= m->tensors[k].offset == t->offset && m->tensors[k].bytes == t->bytes;
        if (t->bytes > 0 && !found) {
            CHECK(rewrite(&out, all, m, &o, &error) == ST_ERR_ARGUMENT && out.n == 0);
            t->offset--;
            t->shard = 1;
            CHECK(rewrite(&out, all, m, &o, &error) == ST_ERR_ARGUMENT && out.n == 0);
            *t = was;
            return;
        }
        *t = was;
    }
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed) {
    return fuzz_mutate(data, size, max_size, seed, OPTION_BYTES);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    input in;
    uint8_t *file;
    fuzz_heap heap;
    st_allocator allocator = fuzz_allocator(&heap);
    st_model *m;
    if (size < OPTION_BYTES) return 0;
    memset(&in, 0, sizeof in);
    in.options = data[0];
    in.knob = data[1];
    in.n = size - OPTION_BYTES;
    in.file = file = fuzz_copy(data + OPTION_BYTES, in.n);
    if (open_input(&m, &in, &allocator) == ST_OK) {
        st_tensor *all = handed_over(m, &in, AS_THEY_ARE);
        st_save_options o = options_of(&in, NULL);
        st_error error;
        sunk out;
        unsigned reads;
        in.reads = 0;
        CHECK(rewrite(&out, all, m, &o, &error) == ST_OK);
        reads = in.reads;
        check_written(m, &in, &out, 0);
        if (!(in.options & KEEP_ORDER)) try_way(m, &in, REVERSED, &out);
        try_way(m, &in, RENAMED, &out);
        try_failing_reads(m, &in, all, reads < 16 ? reads : 16);
        try_elsewhere(m, &in, all);
        free(out.bytes);
        free(all);
        st_close(m);
    }
    CHECK(heap.live == 0);
    free(file);
    return 0;
}
