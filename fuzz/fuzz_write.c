/* fuzz_write.c: compares the writer with a slow writer written from the rules.
 * Input: see read_job. Saving to a sink, streaming and saving to a file must all produce the slow writer's bytes, or
 * fail for a reason that it also finds. The result opens to an equal model. Any allocation, write, fill or progress
 * call may fail, and every block is freed. File tests run for a fraction of the inputs, in a scratch directory, and
 * not with ST_NO_FILES. */
#include "slow_writer.h"
#ifndef ST_NO_FILES
#include "folder.h"
#endif

#define SINK_CODE 28
#define FILL_CODE 29

/* ---- the arguments of st_save ---------------------------------------------------------------------------- */

/* the arrays for st_save, each in a heap block of its exact length */
typedef struct arrays {
    st_tensor *tensors;
    st_pair *pairs;
} arrays;

static arrays arrays_of(const job *j) {
    arrays a;
    size_t i;
    a.tensors = (st_tensor *)malloc(j->count ? j->count * sizeof *a.tensors : 1);
    a.pairs = (st_pair *)malloc(j->pair_count ? j->pair_count * sizeof *a.pairs : 1);
    CHECK(a.tensors && a.pairs);
    for (i = 0; i < j->count; i++) a.tensors[i] = j->items[i].tensor;
    for (i = 0; i < j->pair_count; i++) a.pairs[i] = j->pairs[i].pair;
    return a;
}

static void drop_arrays(arrays *a) {
    free(a->tensors);
    free(a->pairs);
}

/* ---- callbacks ------------------------------------------------------------------------------------------- */

typedef struct run {
    const job *j;
    const arrays *handed; /* the arguments of st_save; NULL for the streaming writer */
    buffer got;
    size_t limit; /* bytes that the sink accepts */
    unsigned fills, fill_fails_at, steps, cancel_at;
    uint64_t done, total;
} run;

static int run_write(void *user, const void *bytes, size_t n) {
    run *r = (run *)user;
    CHECK(bytes != NULL && n > 0);
    if (n > r->limit - r->got.n) return SINK_CODE;
    put(&r->got, bytes, n);
    return 0;
}

static const item *item_of(const job *j, const st_tensor *t) {
    size_t i;
    for (i = 0; i < j->count; i++) {
        const item *it = &j->items[i];
        if (!it->faults && it->name.n == t->name_bytes && memcmp(it->name.bytes, t->name, t->name_bytes) == 0) {
            CHECK((int)t->dtype == it->dtype && t->rank == it->tensor.rank && t->bytes == it->bytes);
            CHECK(t->rank == 0 || memcmp(t->shape, it->shape, t->rank * sizeof *it->shape) == 0);
            CHECK(strcmp(t->dtype_name, it->dtype ? fuzz_dtypes[it->dtype].name : it->spelling.bytes) == 0);
            return it;
        }
    }
    fuzz_fail(__FILE__, __LINE__, "a tensor that was added");
    return NULL;
}

static int run_fill(void *user, const st_tensor *t, uint64_t offset, void *dst, size_t n) {
    run *r = (run *)user;
    const item *it;
    CHECK(t >= r->handed->tensors &&
          t < r->handed->tensors + r->j->count); /* the caller's own pointer, so its index is known */
    it = &r->j->items[t - r->handed->tensors];
    CHECK(!it->given && n > 0 && offset <= it->bytes && n <= it->bytes - offset);
    if (++r->fills == r->fill_fails_at) return FILL_CODE;
    if (it->bytes <= SMALL_BYTES) {
        memcpy(dst, it->data + offset, n);
    } else {
        memset(dst, 0x77, n);
    }
    return 0;
}

static int run_progress(void *user, uint64_t done, uint64_t total) {
    run *r = (run *)user;
    CHECK(done >= r->done && done <= total && (r->steps == 0 || r->total == total));
    r->done = done;
    r->total = total;
    return ++r->steps == r->cancel_at;
}

static run new_run(const job *j, const arrays *handed, size_t limit) {
    run r;
    memset(&r, 0, sizeof r);
    r.j = j;
    r.handed = handed;
    r.limit = limit;
    return r;
}

static st_save_options options_of(const job *j, run *r, const st_allocator *allocator) {
    st_save_options o;
    memset(&o, 0, sizeof o);
    o.flags = j->flags;
    o.align = j->align;
    o.slack = j->slack;
    o.allocator = allocator;
    o.progress = run_progress;
    o.user = r;
    o.fill = j->has_fill ? run_fill : NULL;
    return o;
}

/* `where`: the prefix of messages */
static void check_error(st_status status, const st_error *error, const char *where) {
    CHECK(error->status == status);
    if (status == ST_OK) return;
    CHECK(memchr(error->subject, 0, sizeof error->subject) && memchr(error->message, 0, sizeof error->message));
    CHECK(fuzz_is_printable(error->subject) && fuzz_is_printable(error->message));
#ifndef ST_NO_ERROR_TEXT
    CHECK(strncmp(error->message, where, strlen(where)) == 0 && strlen(error->message) > strlen(where) + 5);
#endif
    if (status == ST_ERR_HEADER_LIMIT) CHECK(error->expected == HEADER_LIMIT && error->actual > HEADER_LIMIT);
    if (status == ST_ERR_SIZE) CHECK(error->expected != error->actual);
    if (status == ST_ERR_IO) CHECK(error->sys != 0);
}

/* ---- the written file opens to an equal model ------------------------------------------------------------ */

static const pair *pair_of(const job *j, const st_pair *p) {
    size_t i;
    for (i = 0; i < j->pair_count; i++) {
        const text *key = &j->pairs[i].key;
        if (!j->pairs[i].faults && key->n == p->key_bytes && memcmp(key->bytes, p->key, key->n) == 0)
            return &j->pairs[i];
    }
    fuzz_fail(__FILE__, __LINE__, "a key that was added");
    return NULL;
}

static void check_opened(const job *j, const buffer *file) {
    const item *order[MOST_TENSORS];
    size_t count = in_order(j, order), pairs = 0, i;
    uint8_t *bytes = fuzz_copy(file->bytes, file->n);
    fuzz_heap heap;
    st_allocator allocator = fuzz_allocator(&heap);
    st_open_options options;
    st_model *m;
    memset(&options, 0, sizeof options);
    options.allocator = &allocator;
    for (i = 0; i < count; i++)
        if (order[i]->dtype == 0) options.flags = ST_OPEN_UNKNOWN_DTYPES;
    CHECK(st_open_memory(&m, bytes, file->n, &options, NULL) == ST_OK && m->count == count);
    for (i = 0; i < count; i++) {
        const st_tensor *t = &m->tensors[i];
        CHECK(item_of(j, t) == order[i] && t->data != NULL);
        CHECK(t->bytes == 0 || memcmp(t->data, order[i]->data, (size_t)t->bytes) == 0);
        CHECK(st_find_n(m, t->name, t->name_bytes) == t);
    }
    for (i = 0; i < j->pair_count; i++) pairs += j->pairs[i].faults == 0;
    CHECK((m->metadata != NULL) == j->has_metadata && m->metadata_count == pairs);
    for (i = 0; i < m->metadata_count; i++) {
        const text *value = &pair_of(j, &m->metadata[i])->value;
        CHECK(m->metadata[i].value_bytes == value->n && memcmp(m->metadata[i].value, value->bytes, value->n) == 0);
    }
    CHECK(m->shards[0].data_offset % (j->align ? j->align : 8) == 0);
    st_close(m);
    CHECK(heap.live == 0);
    free(bytes);
}

/* ---- st_save --------------------------------------------------------------------------------------------- */

/* saves to the path, or to the run's sink if path is NULL */
static st_status save_to(const char *path, run *r, const st_save_options *o, st_error *error) {
    const job *j = r->j;
    const st_tensor *tensors = j->count ? r->handed->tensors : NULL;
    const st_pair *pairs = j->has_metadata ? r->handed->pairs : NULL;
    st_save_options all = *o;
    st_contents contents;
    st_sink sink;
    st_status status;
    sink.user = r;
    sink.write = run_write;
    if (!path) all.sink = &sink;
    memset(&contents, 0, sizeof contents);
    contents.tensors = tensors;
    contents.count = j->count;
    contents.metadata = pairs;
    contents.metadata_count = j->pair_count;
    memset(error, 0x55, sizeof *error); /* the call must not depend on previous contents */
    status = st_save(path, &contents, &all, error);
    check_error(status, error, path ? path : "(sink): ");
    return status;
}

static st_status save(run *r, const st_save_options *o, st_error *error) {
    return save_to(NULL, r, o, error);
}

static int is_beginning(const buffer *part, const buffer *whole) {
    return part->n <= whole->n && (part->n == 0 || memcmp(part->bytes, whole->bytes, part->n) == 0);
}

/* makes the sink, fill and progress fail: st_save returns their code, and all bytes written before are correct */
static void try_refusals(const job *j, const arrays *a, const buffer *expected, const run *good) {
    int what;
    for (what = 0; what < 3; what++) {
        run r = new_run(j, a, expected->n);
        st_save_options o = options_of(j, &r, NULL);
        st_error error;
        st_status status;
        if (what == 0) r.limit = expected->n * j->knob / 256;
        if (what == 1) r.fill_fails_at = good->fills ? 1 + j->knob % good->fills : 0;
        if (what == 2) r.cancel_at = good->steps ? 1 + j->knob % good->steps : 0;
        if (what == 1 && !r.fill_fails_at) continue;
        if (what == 2 && !r.cancel_at) continue;
        status = save(&r, &o, &error);
        CHECK(status == (what == 2 ? ST_ERR_CANCELLED : ST_ERR_IO) && is_beginning(&r.got, expected));
        if (what < 2) CHECK(error.sys == (what == 0 ? SINK_CODE : FILL_CODE));
        free(r.got.bytes);
    }
}

/* tries every failure if there are few calls, a sample otherwise */
static unsigned next_failure(unsigned k, unsigned calls) {
    return k + 1 + calls / 8;
}

static void try_allocations(const job *j, const arrays *a, unsigned calls) {
    unsigned k;
    for (k = 1; k <= calls; k = next_failure(k, calls)) {
        fuzz_heap heap;
        st_allocator allocator = fuzz_allocator(&heap);
        run r = new_run(j, a, SIZE_MAX);
        st_save_options o = options_of(j, &r, &allocator);
        st_error error;
        heap.fail_at = k;
        CHECK(save(&r, &o, &error) == ST_ERR_MEMORY && heap.live == 0 && r.got.n == 0);
    }
}

/* saves with an odd work buffer address, so that nothing is aligned by chance */
static st_status save_in_work(const char *path, run *r, size_t bytes, st_error *error) {
    uint8_t *block = (uint8_t *)malloc(bytes + 1);
    st_save_options o = options_of(r->j, r, NULL);
    st_status status;
    CHECK(block != NULL);
    memset(block, 0x33, bytes + 1);
    if (path) o.flags |= ST_SAVE_NO_SYNC;
    o.work.data = block + 1;
    o.work.bytes = bytes;
    status = save_to(path, r, &o, error);
    free(block);
    return status;
}

/* the size that the error asks for suffices; one byte less does not */
static buffer try_work(const char *path, const job *j, const arrays *a) {
    run r = new_run(j, a, SIZE_MAX);
    st_error error;
    st_status status = save_in_work(path, &r, j->knob, &error);
    if (status == ST_ERR_MEMORY) {
        uint64_t enough = error.expected;
        CHECK(enough > j->knob && enough < SIZE_MAX);
        CHECK(save_in_work(path, &r, (size_t)enough - 1, &error) == ST_ERR_MEMORY && error.expected == enough);
        CHECK(r.got.n == 0 && r.steps == 0);
        status = save_in_work(path, &r, (size_t)enough, &error);
    }
    CHECK(status == ST_OK);
    return r.got;
}

/* a tensor too large to write: saves its header and part of its data through a small work buffer */
static void try_huge(const job *j, const arrays *a, const buffer *expected) {
    size_t room = (size_t)1 << 15;
    uint8_t *work = (uint8_t *)malloc(room);
    run r = new_run(j, a, expected->n + 2 * room);
    st_save_options o = options_of(j, &r, NULL);
    st_error error;
    st_status status;
    CHECK(work != NULL);
    o.work.data = work;
    o.work.bytes = room;
    status = save(&r, &o, &error);
    CHECK(status == ST_OK || (status == ST_ERR_IO && error.sys == SINK_CODE)); /* ST_OK: the tensors fit after all */
    CHECK(r.got.n >= expected->n && is_beginning(expected, &r.got));
    free(r.got.bytes);
    free(work);
}

static void try_sink(const job *j, const arrays *a, const buffer *expected) {
    fuzz_heap heap;
    st_allocator allocator = fuzz_allocator(&heap);
    run r = new_run(j, a, SIZE_MAX);
    st_save_options o = options_of(j, &r, &allocator);
    st_error error;
    st_status status;
    buffer in_work;
    if (j->huge && !j->faults) {
        try_huge(j, a, expected);
        return;
    }
    status = save(&r, &o, &error);
    CHECK(heap.live == 0);
    if (j->faults) {
        CHECK(j->faults & fault(status) && r.got.n == 0 && r.fills == 0);
    } else {
        CHECK(status == ST_OK && same_bytes(&r.got, expected) && r.done == r.total);
        check_opened(j, &r.got);
        try_refusals(j, a, expected, &r);
        try_allocations(j, a, heap.calls);
        in_work = try_work(NULL, j, a);
        CHECK(same_bytes(&in_work, expected));
        free(in_work.bytes);
    }
    free(r.got.bytes);
}

/* ---- the streaming writer -------------------------------------------------------------------------------- */

/* A call that runs out of memory changes nothing and is repeated; `misses` counts these. */
typedef struct stream {
    st_writer *writer;
    const job *j;
    const char *where; /* the prefix of messages */
    int is_file;
    unsigned misses;
} stream;

#define NO_MEMORY(s, status, error) \
    (check_error(status, error, (s)->where), (status) == ST_ERR_MEMORY && (s)->misses++ < 1)

static void stream_open(stream *s, const char *path, run *r, const st_save_options *o) {
    st_error error;
    st_status status;
    st_save_options all = *o;
    st_sink sink;
    sink.user = r;
    sink.write = run_write;
    if (!path) all.sink = &sink;
    all.fill = NULL; /* st_writer_open does not accept these */
    all.progress = NULL;
    do {
        s->writer = (st_writer *)(void *)s;
        status = st_writer_open(&s->writer, path, &all, &error);
        CHECK((status == ST_OK) == (s->writer != NULL));
    } while (NO_MEMORY(s, status, &error));
    CHECK(s->j->open_faults ? (s->j->open_faults & fault(status)) != 0 : status == ST_OK);
}

/* Adds all tensors and pairs; bad ones are rejected and change nothing. repeated: also adds items with the name of
 * an earlier one, which only st_writer_begin rejects. */
static void stream_add(stream *s, int repeated) {
    const unsigned twice = fault(ST_ERR_DUPLICATE);
    const job *j = s->j;
    st_error error;
    st_status status;
    size_t i;
    if (j->has_metadata) {
        do status = st_writer_add_metadata(s->writer, NULL, &error);
        while (NO_MEMORY(s, status, &error));
        CHECK(status == ST_OK);
    }
    for (i = 0; i < j->count || i < j->pair_count; i++) {
        if (i < j->pair_count && (repeated || !(j->pairs[i].faults & twice))) {
            const unsigned faults = j->pairs[i].faults & ~twice;
            do status = st_writer_add_metadata(s->writer, &j->pairs[i].pair, &error);
            while (NO_MEMORY(s, status, &error));
            CHECK(faults ? (faults & fault(status)) != 0 : status == ST_OK);
        }
        if (i < j->count && (repeated || !(j->items[i].faults & twice))) {
            const unsigned faults = j->items[i].faults & ~twice;
            do status = st_writer_add(s->writer, &j->items[i].tensor, &error);
            while (NO_MEMORY(s, status, &error));
            CHECK(faults ? (faults & fault(status)) != 0 : status == ST_OK);
        }
    }
    CHECK(st_writer_write(s->writer, "x", 1, &error) == ST_ERR_STATE &&
          st_writer_finish(s->writer, NULL) == ST_ERR_STATE);
    check_error(ST_ERR_STATE, &error, s->where);
}

static st_status stream_begin(stream *s) {
    st_error error;
    st_status status;
    do status = st_writer_begin(s->writer, &error);
    while (NO_MEMORY(s, status, &error));
    return status;
}

/* the tensor that contains data offset `at`, NULL past the last */
static const item *item_at(const item **order, size_t count, uint64_t at) {
    size_t i;
    for (i = 0; i < count; i++) {
        if (at < order[i]->bytes) return order[i];
        at -= order[i]->bytes;
    }
    return NULL;
}

/* st_writer_write_to fails with sinks, and after st_writer_write */
static void check_mixing(stream *s) {
    const item *order[MOST_TENSORS];
    st_status wanted = s->is_file ? ST_ERR_STATE : ST_ERR_UNSUPPORTED;
    if (in_order(s->j, order) > 0) CHECK(st_writer_write_to(s->writer, &order[0]->tensor, "x", 1, NULL) == wanted);
}

/* writes the data in odd blocks; returns the first status that is not ST_OK */
static st_status stream_push(stream *s, const uint8_t *data, size_t n) {
    const item *order[MOST_TENSORS];
    size_t count = in_order(s->j, order), at = 0, turn = 0;
    const size_t blocks[] = {1, 7, 3, 64, s->j->knob + 1u, 0, SMALL_BYTES};
    st_error error;
    while (at < n) {
        size_t block = blocks[turn++ % 7] < n - at ? blocks[(turn - 1) % 7] : n - at;
        uint8_t *bytes = fuzz_copy(data + at, block);
        const st_tensor *next = st_writer_next(s->writer);
        st_status status;
        CHECK(next != NULL && item_of(s->j, next) == item_at(order, count, at));
        status = st_writer_write(s->writer, bytes, block, &error);
        check_error(status, &error, s->where);
        free(bytes);
        if (status) return status;
        at += block;
        if (turn == 2 && at < n) CHECK(st_writer_finish(s->writer, NULL) == ST_ERR_STATE);
        if (turn == 2) check_mixing(s);
        if (turn == 3) { /* more than the remaining data */
            bytes = (uint8_t *)malloc(n - at + 1);
            CHECK(bytes != NULL);
            memset(bytes, 0x11, n - at + 1);
            CHECK(st_writer_write(s->writer, bytes, n - at + 1, NULL) == ST_ERR_ARGUMENT);
            free(bytes);
        }
    }
    CHECK(st_writer_next(s->writer) == NULL);
    return ST_OK;
}

static void check_out_of_turn(stream *s, int begun) {
    st_tensor t;
    st_error error;
    memset(&t, 0, sizeof t);
    t.name = "another name \x01\x02";
    t.dtype = ST_DTYPE_U8;
    CHECK(st_writer_add(s->writer, &t, &error) == ST_ERR_STATE);
    check_error(ST_ERR_STATE, &error, s->where);
    CHECK(st_writer_add_metadata(s->writer, NULL, NULL) == ST_ERR_STATE &&
          st_writer_begin(s->writer, NULL) == ST_ERR_STATE);
    if (!begun) CHECK(st_writer_write(s->writer, "x", 1, NULL) == ST_ERR_STATE);
}

static size_t header_end(const buffer *file) {
    return 8 + (size_t)fuzz_u64(file->bytes);
}

/* after a failure all calls fail */
static void check_failed(stream *s) {
    st_error error;
    st_status status = st_writer_finish(s->writer, &error);
    check_error(status, &error, s->where);
    CHECK(status == ST_ERR_IO || status == ST_ERR_STATE);
    status = st_writer_write(s->writer, "x", 1, NULL);
    CHECK(status == ST_ERR_IO || status == ST_ERR_STATE);
}

/* writes all data and finishes; returns the status of the first call that failed */
static st_status stream_through(stream *s, const buffer *expected) {
    st_error error;
    st_status status;
    check_out_of_turn(s, 1);
    status = stream_push(s, expected->bytes + header_end(expected), expected->n - header_end(expected));
    if (status) return status;
    CHECK(st_writer_write(s->writer, "x", 1, NULL) == ST_ERR_ARGUMENT);
    status = st_writer_finish(s->writer, &error);
    check_error(status, &error, s->where);
    if (status == ST_OK) check_out_of_turn(s, 0);
    return status;
}

/* streams to a sink of `limit` bytes; allocation number `fail_at` fails; returns the number of allocations */
static unsigned try_stream(const job *j, const buffer *expected, size_t limit, unsigned fail_at) {
    fuzz_heap heap;
    st_allocator allocator = fuzz_allocator(&heap);
    run r = new_run(j, NULL, limit);
    st_save_options o = options_of(j, &r, &allocator);
    st_status status;
    stream s;
    memset(&s, 0, sizeof s);
    s.j = j;
    s.where = "(sink): ";
    heap.fail_at = fail_at;
    stream_open(&s, NULL, &r, &o);
    if (s.writer) {
        stream_add(&s, 0);
        CHECK(r.got.n == 0);
        status = stream_begin(&s);
        if (j->begin_faults) {
            CHECK(j->begin_faults & fault(status) && r.got.n == 0);
        } else if (!j->huge) {
            if (status == ST_OK) status = stream_through(&s, expected);
            CHECK(status == (limit < expected->n ? ST_ERR_IO : ST_OK) && is_beginning(&r.got, expected));
            if (status) check_failed(&s);
            CHECK(status || r.got.n == expected->n);
        }
        st_writer_close(s.writer);
    }
    CHECK(heap.live == 0 && s.misses == (fail_at != 0 && heap.calls >= fail_at));
    free(r.got.bytes);
    return heap.calls;
}

/* st_writer_begin rejects duplicate names, and nothing is written */
static void try_repeated(const job *j) {
    run r = new_run(j, NULL, SIZE_MAX);
    st_save_options o = options_of(j, &r, NULL);
    st_status status;
    stream s;
    memset(&s, 0, sizeof s);
    s.j = j;
    s.where = "(sink): ";
    stream_open(&s, NULL, &r, &o);
    if (!s.writer) return;
    stream_add(&s, 1);
    status = stream_begin(&s);
    CHECK(status == ST_ERR_DUPLICATE || status == ST_ERR_OVERFLOW);
    CHECK(st_writer_begin(s.writer, NULL) == status && r.got.n == 0);
    st_writer_close(s.writer);
    free(r.got.bytes);
}

/* the work buffer grows as the errors ask until it suffices; a writer that is closed early leaves nothing behind */
static void try_stream_in_work(const job *j, const buffer *expected) {
    size_t bytes = j->knob, round;
    for (round = 0;; round++) {
        uint8_t *block = (uint8_t *)malloc(bytes + 1);
        run r = new_run(j, NULL, SIZE_MAX);
        st_save_options o = options_of(j, &r, NULL);
        st_sink sink;
        st_writer *writer;
        st_error error;
        size_t i;
        st_status status;
        CHECK(block != NULL && round < 4 * (MOST_TENSORS + MOST_PAIRS));
        o.work.data = block + 1;
        o.work.bytes = bytes;
        sink.user = &r;
        sink.write = run_write;
        o.sink = &sink;
        o.fill = NULL;
        o.progress = NULL;
        status = st_writer_open(&writer, NULL, &o, &error);
        if (!status && j->has_metadata) status = st_writer_add_metadata(writer, NULL, &error);
        for (i = 0; i < j->pair_count && !status; i++)
            status = st_writer_add_metadata(writer, &j->pairs[i].pair, &error);
        for (i = 0; i < j->count && !status; i++) status = st_writer_add(writer, &j->items[i].tensor, &error);
        if (!status) status = st_writer_begin(writer, &error);
        if (!status && expected->n > header_end(expected))
            status = st_writer_write(writer, expected->bytes + header_end(expected), expected->n - header_end(expected),
                                     &error);
        if (!status) status = st_writer_finish(writer, &error);
        st_writer_close(writer);
        free(block);
        if (status == ST_OK) CHECK(same_bytes(&r.got, expected));
        free(r.got.bytes);
        if (status == ST_OK) return;
        CHECK(status == ST_ERR_MEMORY && error.expected > bytes && error.expected < SIZE_MAX);
        bytes = (size_t)error.expected;
    }
}

/* ---- files ------------------------------------------------------------------------------------------------ */

#ifndef ST_NO_FILES
static char folder[128], target[192];

static void drop_folder(void) {
    remove(target);
    if (DROP_FOLDER(folder) != 0) fprintf(stderr, "%s: something was left in it\n", folder);
    if (strcmp(folder_root(), "build") == 0) (void)DROP_FOLDER("build"); /* fails unless it is empty */
}

static void make_folder(void) {
    if (folder[0]) return;
    (void)MAKE_FOLDER(folder_root());
    snprintf(folder, sizeof folder, "%s/tmp.fuzz_write.%ld", folder_root(), (long)PROCESS_ID());
    snprintf(target, sizeof target, "%s/m.safetensors", folder);
    CHECK(MAKE_FOLDER(folder) == 0);
    atexit(drop_folder);
}

static buffer file_bytes(void) {
    buffer b = {NULL, 0, 0};
    char block[4096];
    size_t got;
    FILE *file = fopen(target, "rb");
    CHECK(file != NULL);
    while ((got = fread(block, 1, sizeof block, file)) > 0) put(&b, block, got);
    fclose(file);
    return b;
}

/* checks the file's bytes, and that the directory holds nothing else */
static void check_file(const buffer *expected) {
    buffer got = file_bytes();
    CHECK(same_bytes(&got, expected));
    free(got.bytes);
#ifndef _WIN32
    {
        DIR *directory = opendir(folder);
        const struct dirent *entry;
        unsigned entries = 0;
        CHECK(directory != NULL);
        while ((entry = readdir(directory)) != NULL) {
            if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0) entries++;
        }
        closedir(directory);
        CHECK(entries == 1);
    }
#endif
}

static st_save_options file_options(const job *j, run *r, const st_allocator *allocator) {
    st_save_options o = options_of(j, r, allocator);
    o.flags |= ST_SAVE_NO_SYNC; /* flushing takes milliseconds */
    return o;
}

/* a failing save leaves the file unchanged */
static void try_failing_saves(const job *j, const arrays *a, const buffer *expected, unsigned steps, unsigned calls) {
    fuzz_heap heap;
    st_allocator allocator = fuzz_allocator(&heap);
    run r = new_run(j, a, 0);
    st_save_options o = file_options(j, &r, &allocator);
    st_error error;
    unsigned k;
    o.align = j->align == 64 ? 128 : 64; /* so that a save would change the file */
    for (k = 1; k <= calls; k = next_failure(k, calls)) {
        heap.calls = 0;
        heap.fail_at = k;
        CHECK(save_to(target, &r, &o, &error) == ST_ERR_MEMORY && heap.live == 0);
    }
    heap.fail_at = 0;
    if (steps > 0) {
        r.cancel_at = 1 + j->knob % steps;
        CHECK(save_to(target, &r, &o, &error) == ST_ERR_CANCELLED && heap.live == 0);
    }
    check_file(expected);
}

static void try_save(const job *j, const arrays *a, const buffer *old, const buffer *expected) {
    fuzz_heap heap;
    st_allocator allocator = fuzz_allocator(&heap);
    run r = new_run(j, a, 0);
    st_save_options o = file_options(j, &r, &allocator);
    st_error error;
    st_status status = save_to(target, &r, &o, &error);
    CHECK(heap.live == 0 && (j->faults ? (j->faults & fault(status)) != 0 : status == ST_OK));
    check_file(status ? old : expected);
    if (status) return;
    try_failing_saves(j, a, expected, r.steps, heap.calls);
    (void)try_work(target, j, a);
    check_file(expected);
}

/* saves over the file that is open, mapped or not; Windows may refuse to replace it */
static void try_save_model(const job *j, const buffer *expected) {
    st_save_options o;
    st_contents contents;
    st_open_options options;
    st_model *m;
    st_error error;
    st_status status;
    memset(&o, 0, sizeof o);
    memset(&options, 0, sizeof options);
    options.flags = ST_OPEN_UNKNOWN_DTYPES;
    if (j->knob & 1) options.flags |= ST_OPEN_NO_MAP;
    o.flags = j->flags | ST_SAVE_NO_SYNC;
    o.align = j->align;
    o.slack = j->slack;
    CHECK(st_open(&m, target, &options, NULL) == ST_OK);
    contents = st_contents_of(m);
    status = st_save(target, &contents, &o, &error);
    check_error(status, &error, target);
#ifdef _WIN32
    CHECK(status == ST_OK || status == ST_ERR_IO);
#else
    CHECK(status == ST_OK);
#endif
    st_close(m);
    check_file(expected);
}

/* ST_SAVE_DIRECT writes the same bytes; a failure before it opens the file changes nothing, and what a later failure
 * leaves does not open */
static void try_direct(const job *j, const arrays *a, const buffer *expected) {
    fuzz_heap heap;
    st_allocator allocator = fuzz_allocator(&heap);
    run r = new_run(j, a, 0);
    st_save_options o = file_options(j, &r, &allocator);
    unsigned k, steps, calls;
    st_error error;
    o.flags |= ST_SAVE_DIRECT;
    CHECK(save_to(target, &r, &o, &error) == ST_OK && heap.live == 0);
    check_file(expected);
    steps = r.steps, calls = heap.calls;
    for (k = 1; k <= calls; k = next_failure(k, calls)) {
        heap.calls = 0;
        heap.fail_at = k;
        CHECK(save_to(target, &r, &o, &error) == ST_ERR_MEMORY && heap.live == 0);
    }
    heap.fail_at = 0;
    check_file(expected);
    if (steps > 0) {
        buffer left;
        st_open_options options;
        st_model *m;
        r = new_run(j, a, 0);
        r.cancel_at = 1 + j->knob % steps;
        CHECK(save_to(target, &r, &o, &error) == ST_ERR_CANCELLED && heap.live == 0);
        left = file_bytes();
        CHECK(left.n <= expected->n && (left.n == 0 || memcmp(left.bytes, expected->bytes, left.n) == 0));
        memset(&options, 0, sizeof options);
        options.flags = ST_OPEN_UNKNOWN_DTYPES;
        if (left.n < expected->n) CHECK(st_open(&m, target, &options, NULL) == ST_ERR_TRUNCATED);
        free(left.bytes);
    }
    r = new_run(j, a, 0);
    CHECK(save_to(target, &r, &o, &error) == ST_OK);
    check_file(expected);
}

/* st_overwrite changes the bytes of one tensor, and no others */
static void try_overwrite(const job *j, const buffer *expected) {
    static const char bytes[] = "overwritten";
    buffer changed = {NULL, 0, 0};
    st_open_options options;
    st_model *m;
    const st_tensor *t;
    uint64_t offset;
    size_t n;
    unsigned k;
    st_status status = ST_ERR_MEMORY;
    memset(&options, 0, sizeof options);
    options.flags = ST_OPEN_UNKNOWN_DTYPES | ST_OPEN_NO_MAP;
    CHECK(st_open(&m, target, &options, NULL) == ST_OK);
    t = m->count ? &m->tensors[j->knob % m->count] : NULL;
    if (t && strlen(t->name) == t->name_bytes) { /* names with NUL cannot be given */
        offset = t->bytes ? j->knob / 3 % t->bytes : 0;
        n = t->bytes - offset < sizeof bytes - 1 ? (size_t)(t->bytes - offset) : sizeof bytes - 1;
        put(&changed, expected->bytes, expected->n);
        if (n > 0) memcpy(changed.bytes + t->offset + offset, bytes, n);
        for (k = 1; status == ST_ERR_MEMORY; k++) {
            fuzz_heap heap;
            st_allocator allocator = fuzz_allocator(&heap);
            st_save_options o;
            st_error error;
            memset(&o, 0, sizeof o);
            o.flags = ST_SAVE_NO_SYNC;
            o.allocator = &allocator;
            heap.fail_at = k;
            status = st_overwrite(target, t->name, offset, bytes, n, &o, &error);
            CHECK((status == ST_OK || status == ST_ERR_MEMORY) && heap.live == 0 && k < 200);
            check_file(status ? expected : &changed);
        }
        CHECK(st_overwrite(target, t->name, offset, bytes, (size_t)(t->bytes - offset) + 1, NULL, NULL) ==
              ST_ERR_ARGUMENT);
        CHECK(st_overwrite(target, t->name, offset, n > 0 ? expected->bytes + t->offset + offset : NULL, n, NULL,
                           NULL) == ST_OK);
        free(changed.bytes);
    }
    st_close(m);
    check_file(expected);
}

/* writes to all tensors in turn, a few bytes at a time */
static void push_to(stream *s) {
    const job *j = s->j;
    size_t i, round, left = 1;
    for (round = 0; left; round++) {
        for (left = i = 0; i < j->count; i++) {
            const item *it = &j->items[i];
            size_t block = 1 + (j->knob + i) % 61, at = round * block;
            uint8_t *bytes;
            st_error error;
            if (it->faults || at >= it->bytes) continue;
            if (block > it->bytes - at) block = (size_t)it->bytes - at;
            if (round == 1) { /* more than the rest of the tensor */
                CHECK(st_writer_write_to(s->writer, &it->tensor, j, (size_t)it->bytes, &error) == ST_ERR_ARGUMENT);
                check_error(ST_ERR_ARGUMENT, &error, s->where);
            }
            bytes = fuzz_copy(it->data + at, block);
            CHECK(st_writer_write_to(s->writer, &it->tensor, bytes, block, &error) == ST_OK && error.status == ST_OK);
            free(bytes);
            CHECK(st_writer_write_to(s->writer, &it->tensor, NULL, 0, NULL) == ST_OK);
            CHECK(st_writer_write(s->writer, "x", 1, NULL) == ST_ERR_STATE); /* the two ways cannot be mixed */
            left = 1;
        }
    }
}

static void try_stream_to_file(const job *j, const buffer *old, const buffer *expected, int to) {
    fuzz_heap heap;
    st_allocator allocator = fuzz_allocator(&heap);
    run r = new_run(j, NULL, 0);
    st_save_options o = file_options(j, &r, &allocator);
    stream s;
    st_status status;
    memset(&s, 0, sizeof s);
    s.j = j;
    s.where = target;
    s.is_file = 1;
    stream_open(&s, target, &r, &o);
    if (!s.writer) return;
    stream_add(&s, 0);
    status = stream_begin(&s);
    CHECK(j->begin_faults ? (j->begin_faults & fault(status)) != 0 : status == ST_OK);
    if (status == ST_OK && to >= 0) {
        if (to) {
            push_to(&s);
        } else {
            CHECK(stream_push(&s, expected->bytes + header_end(expected), expected->n - header_end(expected)) == ST_OK);
        }
        CHECK(st_writer_finish(s.writer, NULL) == ST_OK);
    }
    st_writer_close(s.writer);
    CHECK(heap.live == 0);
    check_file(status == ST_OK && to >= 0 ? expected : old);
}

static uint64_t trailing_blanks(const buffer *file) {
    size_t end = header_end(file), at = end;
    while (file->bytes[at - 1] == ' ') at--;
    return end - at;
}

/* makes each allocation fail in turn, until the edit succeeds */
static st_status edit(const job *j, unsigned flags, const buffer *before) {
    arrays a = arrays_of(j);
    st_status status = ST_ERR_MEMORY;
    unsigned k;
    for (k = 1; status == ST_ERR_MEMORY; k++) {
        fuzz_heap heap;
        st_allocator allocator = fuzz_allocator(&heap);
        st_save_options o;
        st_error error;
        memset(&o, 0, sizeof o);
        o.flags = flags;
        o.allocator = &allocator;
        heap.fail_at = k;
        memset(&error, 0x55, sizeof error);
        status = st_edit_metadata(target, j->has_metadata ? a.pairs : NULL, j->pair_count, &o, &error);
        check_error(status, &error, target);
        CHECK(heap.live == 0);
        if (status != ST_ERR_MEMORY) break;
        check_file(before);
        CHECK(k < 200);
    }
    drop_arrays(&a);
    return status;
}

/* removes all metadata, or half of it; sometimes adds a pair with a long value */
static char *change_metadata(job *j) {
    pair *more;
    j->pair_count = j->has_metadata ? j->pair_count / 2 : 0;
    j->has_metadata = (j->knob & 1) != 0;
    if (!j->has_metadata) j->pair_count = 0;
    if (!j->has_metadata || !(j->knob & 8)) return NULL;
    more = &j->pairs[j->pair_count++];
    memset(more, 0, sizeof *more);
    more->key.bytes = (char *)fuzz_copy("zz", 2); /* allocated separately */
    more->key.n = 2;
    more->value.n = j->knob * 16u + 1;
    more->value.bytes = (char *)malloc(more->value.n);
    CHECK(more->value.bytes != NULL);
    memset(more->value.bytes, 'g', more->value.n);
    more->pair.key = more->key.bytes;
    more->pair.key_bytes = more->key.n;
    more->pair.value = more->value.bytes;
    more->pair.value_bytes = more->value.n;
    return more->key.bytes;
}

/* the header length stays if the new metadata fits; otherwise slack and alignment are kept */
static void try_edit(const job *old, const buffer *expected) {
    job j = *old;
    buffer edited, whole = {NULL, 0, 0};
    st_status status;
    uint64_t header, room = fuzz_u64(expected->bytes);
    int in_place = (j.knob & 2) != 0, overflow;
    char *key = change_metadata(&j);
    j.slack = j.align = 0;
    edited = write_slowly(&j, &overflow, &header);
    j.align = old->align;
    status = edit(&j, ST_SAVE_NO_SYNC | (in_place ? ST_SAVE_IN_PLACE : 0u), expected);
    if (header <= room) {
        CHECK(status == ST_OK);
        put(&whole, expected->bytes, 8);
        put(&whole, edited.bytes + 8, (size_t)header);
        while (whole.n < 8 + room) put(&whole, " ", 1);
        put(&whole, expected->bytes + whole.n, expected->n - whole.n);
        check_file(&whole);
    } else if (in_place) {
        CHECK(status == ST_ERR_TOO_LARGE);
        check_file(expected);
    } else {
        CHECK(status == ST_OK);
        whole = file_bytes();
        check_file(&whole); /* no other file exists */
        check_opened(&j, &whole);
        CHECK(trailing_blanks(&whole) >= trailing_blanks(expected));
    }
    if (key) {
        free(key);
        free(j.pairs[j.pair_count - 1].value.bytes);
    }
    free(whole.bytes);
    free(edited.bytes);
}

static void try_files(const job *j, const arrays *a, const buffer *expected) {
    buffer old = {NULL, 0, 0};
    FILE *file;
    make_folder();
    put_string(&old, "the old file");
    remove(target);
    file = fopen(target, "wb");
    CHECK(file != NULL && fwrite(old.bytes, 1, old.n, file) == old.n && fclose(file) == 0);
    try_stream_to_file(j, &old, expected, -1);
    try_save(j, a, &old, expected);
    if (!j->faults) {
        try_stream_to_file(j, expected, expected, 0);
        try_stream_to_file(j, expected, expected, 1);
        try_save_model(j, expected);
        if (j->knob & 16) try_direct(j, a, expected);
        if (j->knob & 32) try_overwrite(j, expected);
        try_edit(j, expected);
    }
    free(old.bytes);
}
#endif

/* ---- all of it --------------------------------------------------------------------------------------------- */

static void drop_job(job *j) {
    size_t i;
    for (i = 0; i < j->count; i++) {
        free(j->items[i].name.bytes);
        free(j->items[i].spelling.bytes);
        free(j->items[i].data);
    }
    for (i = 0; i < j->pair_count; i++) {
        free(j->pairs[i].key.bytes);
        free(j->pairs[i].value.bytes);
    }
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed) {
    (void)seed;
    return LLVMFuzzerMutate(data, size, max_size);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static job j;
    cursor c;
    arrays a;
    buffer expected = {NULL, 0, 0};
    unsigned calls, k;
    c.at = data;
    c.end = data + size;
    read_job(&j, &c);
    judge(&j, &expected);
    a = arrays_of(&j);
    try_sink(&j, &a, &expected);
    calls = try_stream(&j, &expected, SIZE_MAX, 0);
    for (k = 1; k <= calls; k = next_failure(k, calls)) try_stream(&j, &expected, SIZE_MAX, k);
    if (j.repeated) try_repeated(&j);
    if (!j.faults && !j.huge) {
        try_stream(&j, &expected, expected.n * j.knob / 256, 0);
        try_stream_in_work(&j, &expected);
    }
#ifndef ST_NO_FILES
    if (j.files && !j.huge) try_files(&j, &a, &expected);
#endif
    drop_arrays(&a);
    free(expected.bytes);
    drop_job(&j);
    return 0;
}
