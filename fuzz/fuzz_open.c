/* fuzz_open.c: opens a file in every way; all must return the same status, and an opened model must be valid.
 * Input: two option bytes, then the file. Sources: memory, read_at, a pack (st_files), a system file. Memory: an
 * allocator, one that fails, a work buffer that is too small, one of the exact size. st_scan must agree. */
#include "fuzz.h"

#define OPTION_BYTES 2
/* long enough to be shortened in messages, with characters that must not be split */
#define PACK_NAME                                                                                     \
    "pack/\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80/a-path-of-which-messages-show-beginning-and-end-only/" \
    "\xC3\xA9\xC3\xA9\xC3\xA9\xC3\xA9\xC3\xA9\xC3\xA9\xC3\xA9\xC3\xA9/not UTF-8: \xFF/model.safetensors"

enum { SOURCE_MEMORY, SOURCE_CALLBACK, SOURCE_PACK, SOURCE_SYSTEM, SOURCES };

/* option byte 0; byte 1 is the knob: which call fails, sizes */
enum {
    UNKNOWN_DTYPES = 1,
    TRAILING = 2,
    NO_MAP = 4,
    SMALL_LIMIT = 8, /* max_header is knob + 1 */
    PACK_IS_MAPPED = 16,
    MUST_MAP = 32,
    SYSTEM_FILE = 64, /* also test this source; slow */
    ODD_FLAGS = 128   /* undefined flags */
};

typedef struct input {
    const uint8_t *file; /* in a heap block of exactly n bytes */
    size_t n;
    unsigned options, flags, knob;
    const char *path; /* of a system file with the same bytes; NULL: none */
} input;

/* state of read_at and the pack */
typedef struct disk {
    const input *in;
    unsigned calls, fail_at;
    int code; /* returned by call number fail_at */
    int open;
} disk;

typedef struct opened {
    st_status status;
    st_error error;
    st_model *model;
} opened;

static disk disk_of(const input *in, unsigned fail_at, int code) {
    disk d;
    memset(&d, 0, sizeof d);
    d.in = in;
    d.fail_at = fail_at;
    d.code = code;
    return d;
}

static int disk_read(void *user, uint64_t offset, void *dst, size_t bytes) {
    disk *d = (disk *)user;
    CHECK(bytes > 0 && offset <= d->in->n && bytes <= d->in->n - offset);
    if (++d->calls == d->fail_at) return d->code;
    memcpy(dst, d->in->file + offset, bytes);
    return 0;
}

static int pack_open(void *user, const char *path, st_io *file) {
    disk *d = (disk *)user;
    CHECK(strcmp(path, PACK_NAME) == 0);
    if (++d->calls == d->fail_at) return d->code;
    memset(file, 0, sizeof *file);
    file->user = d;
    file->read_at = disk_read;
    file->bytes = d->in->n;
    file->mapped = d->in->options & PACK_IS_MAPPED ? d->in->file : NULL;
    d->open++;
    return 0;
}

static void pack_close(void *user, st_io *file) {
    disk *d = (disk *)user;
    CHECK(file->user == d && d->open == 1);
    d->open--;
}

static int is_directory(const input *in) {
    return (in->knob & 64) != 0;
}

static int pack_list(void *user, const char *directory, int (*each)(void *arg, const char *name), void *arg) {
    const disk *d = (const disk *)user;
    CHECK(strcmp(directory, PACK_NAME) == 0);
    return is_directory(d->in) ? each(arg, "a name") : ST_IO_NOT_FOUND;
}

static const char *name_of(const input *in, int source) {
    return source == SOURCE_MEMORY     ? "(memory)"
           : source == SOURCE_CALLBACK ? "(callbacks)"
           : source == SOURCE_PACK     ? PACK_NAME
                                       : in->path;
}

/* returns whether the file's bytes are in memory, so that tensors have data pointers */
static int is_mapped(const input *in, int source) {
    if (in->flags & ST_OPEN_NO_MAP) return 0;
#if defined(ST_NO_MMAP)
    if (source == SOURCE_SYSTEM) return 0;
#endif
    return source == SOURCE_MEMORY || (source == SOURCE_PACK && (in->options & PACK_IS_MAPPED)) ||
           source == SOURCE_SYSTEM;
}

static opened open_source(int source, disk *d, st_open_options options) {
    opened o;
    st_io io;
    st_files files;
    memset(&o, 0x55, sizeof o); /* the call must not depend on previous contents */
    if (source == SOURCE_MEMORY) {
        o.status = st_open_memory(&o.model, d->in->file, d->in->n, &options, &o.error);
    } else if (source == SOURCE_CALLBACK) {
        memset(&io, 0, sizeof io);
        io.user = d;
        io.read_at = disk_read;
        io.bytes = d->in->n;
        o.status = st_open_io(&o.model, &io, &options, &o.error);
    } else if (source == SOURCE_SYSTEM) {
        o.status = st_open(&o.model, d->in->path, &options, &o.error);
    } else {
        memset(&files, 0, sizeof files);
        files.user = d;
        files.open = pack_open;
        files.close = pack_close;
        files.list = pack_list;
        options.files = &files;
        o.status = st_open(&o.model, PACK_NAME, &options, &o.error);
        CHECK(d->open == (o.status == ST_OK));
    }
    fuzz_check_error(o.status, &o.error, d->in->n, name_of(d->in, source));
    CHECK((o.status == ST_OK) == (o.model != NULL));
    return o;
}

static st_open_options options_of(const input *in) {
    st_open_options options;
    memset(&options, 0, sizeof options);
    options.flags = in->flags;
    options.max_header = in->options & SMALL_LIMIT ? in->knob + 1 : 0;
    return options;
}

/* ---- a model that opens is valid ---------------------------------------------------------------------- */

static void check_text(const char *text, size_t bytes) {
    CHECK(text != NULL && text[bytes] == 0 && fuzz_is_utf8(text, bytes));
}

static const st_tensor *find_slowly(const st_model *m, const char *name, size_t bytes) {
    size_t i;
    for (i = 0; i < m->count; i++)
        if (m->tensors[i].name_bytes == bytes && memcmp(m->tensors[i].name, name, bytes) == 0) return &m->tensors[i];
    return NULL;
}

/* looks up the name and near misses, in heap blocks of their exact length */
static void check_lookup(const st_model *m, const st_tensor *t) {
    size_t n = t->name_bytes;
    char *name = (char *)fuzz_copy(t->name, n);
    CHECK(st_find_n(m, name, n) == t);
    if (memchr(name, 0, n) == NULL) CHECK(st_find(m, t->name) == t);
    if (n > 0) {
        CHECK(st_find_n(m, name, n - 1) == find_slowly(m, name, n - 1));
        name[n - 1] = (char)(name[n - 1] ^ 1);
        CHECK(st_find_n(m, name, n) == find_slowly(m, name, n));
        name[0] = (char)(name[0] ^ 0x20);
        CHECK(st_find_n(m, name, n) == find_slowly(m, name, n));
    }
    free(name);
}

static void check_read(const st_model *m, const st_tensor *t, const uint8_t *bytes, disk *d, unsigned knob) {
    size_t n = (size_t)t->bytes, from = n ? knob % n : 0;
    uint8_t *whole = fuzz_copy(bytes, n);
    st_error error;
    if (n) memset(whole, 0, n);
    CHECK(st_read(m, t, 0, whole, n, &error) == ST_OK && error.status == ST_OK && memcmp(whole, bytes, n) == 0);
    CHECK(st_read(m, t, from, whole, n - from, NULL) == ST_OK && memcmp(whole, bytes + from, n - from) == 0);
    CHECK(st_read(m, t, n, whole, 0, &error) == ST_OK);
    if (n) {
        memset(whole, 0x33, n);
        CHECK(st_read(m, t, 1, whole, n, &error) == ST_ERR_ARGUMENT && whole[0] == 0x33 && whole[n - 1] == 0x33);
        CHECK(st_read(m, t, UINT64_MAX, whole, n, &error) == ST_ERR_ARGUMENT);
        if (t->data == NULL && d->calls > 0) { /* read through read_at */
            d->fail_at = d->calls + 1;
            d->code = 5;
            CHECK(st_read(m, t, 0, whole, n, &error) == ST_ERR_IO && error.sys == 5 && error.position == t->offset);
            d->fail_at = 0;
        }
    }
    free(whole);
}

static void check_metadata(const st_model *m) {
    size_t i, k;
    CHECK(m->metadata != NULL || m->metadata_count == 0);
    for (i = 0; i < m->metadata_count; i++) {
        const st_pair *pair = &m->metadata[i];
        check_text(pair->key, pair->key_bytes);
        check_text(pair->value, pair->value_bytes);
        if (memchr(pair->key, 0, pair->key_bytes) == NULL) CHECK(st_find_metadata(m, pair->key) == pair);
        for (k = 0; k < i && i < 64; k++)
            CHECK(m->metadata[k].key_bytes != pair->key_bytes ||
                  memcmp(m->metadata[k].key, pair->key, pair->key_bytes) != 0);
    }
    CHECK(st_find_metadata(m, "no such key \x01\x02") == NULL);
}

/* checks that tensors cover the data exactly and in order; ST_OPEN_TRAILING permits extra bytes */
static void check_tensors(const st_model *m, const input *in, int source) {
    uint64_t at = m->shards[0].data_offset;
    size_t i;
    for (i = 0; i < m->count; i++) {
        const st_tensor *t = &m->tensors[i];
        unsigned element =
            t->dtype == ST_DTYPE_UNKNOWN || st_dtype_bits(t->dtype) < 8 ? 1 : st_dtype_bits(t->dtype) / 8;
        check_text(t->name, t->name_bytes);
        check_text(t->dtype_name, strlen(t->dtype_name));
        CHECK(t->dtype != ST_DTYPE_UNKNOWN || (in->flags & ST_OPEN_UNKNOWN_DTYPES));
        CHECK(t->name_bytes != 12 || memcmp(t->name, "__metadata__", 12) != 0);
        CHECK(t->offset == at && t->bytes <= in->n - at && t->shard == 0);
        at += t->bytes;
        fuzz_check_size(t);
        CHECK(!t->data == !is_mapped(in, source));
        if (t->data && source != SOURCE_SYSTEM) CHECK(t->data == in->file + t->offset);
        if (t->data) CHECK(memcmp(t->data, in->file + t->offset, (size_t)t->bytes) == 0);
        if (t->dtype != ST_DTYPE_UNKNOWN) CHECK(!st_is_aligned(t) == (!t->data || (uintptr_t)t->data % element != 0));
    }
    CHECK(m->bytes == at - m->shards[0].data_offset);
    CHECK(at == in->n || (in->flags & ST_OPEN_TRAILING));
}

static void check_model(const st_model *m, const input *in, disk *d, int source) {
    size_t i;
    CHECK(m->shard_count == 1 && m->index == NULL && m->index_count == 0 && m->shards[0].file_bytes == in->n);
    CHECK(m->shards[0].data_offset == 8 + fuzz_u64(in->file) && m->shards[0].data_offset <= in->n);
    CHECK(m->shards[0].metadata == m->metadata && m->shards[0].metadata_count == m->metadata_count);
    CHECK(strcmp(m->shards[0].path, source == SOURCE_PACK || source == SOURCE_SYSTEM ? name_of(in, source) : "") == 0);
    check_tensors(m, in, source);
    check_metadata(m);
    for (i = 0; i < m->count; i++) {
        const st_tensor *t = &m->tensors[i];
        check_lookup(m, t);
        CHECK(st_advise(m, t, ST_ADVISE_WILL_NEED, NULL) == ST_OK && st_advise(m, t, ST_ADVISE_DONE, NULL) == ST_OK);
        check_read(m, t, in->file + t->offset, d, in->knob);
    }
    CHECK(st_advise(m, NULL, ST_ADVISE_DONE, NULL) == ST_OK);
    if (m->count > 0) {
        st_tensor elsewhere = m->tensors[0];
        elsewhere.offset = in->n + 1;
        CHECK(st_advise(m, &elsewhere, ST_ADVISE_DONE, NULL) == ST_ERR_ARGUMENT);
        CHECK(st_read(m, &elsewhere, 0, NULL, 0, NULL) == ST_ERR_ARGUMENT);
    }
    CHECK(st_find(m, "__metadata__") == NULL);
}

static void check_same_text(const char *a, size_t a_bytes, const char *b, size_t b_bytes) {
    CHECK(a_bytes == b_bytes && memcmp(a, b, a_bytes) == 0);
}

static void check_same_model(const st_model *a, const st_model *b) {
    size_t i;
    CHECK(a->count == b->count && a->metadata_count == b->metadata_count && !a->metadata == !b->metadata);
    for (i = 0; i < a->count; i++) {
        const st_tensor *s = &a->tensors[i], *t = &b->tensors[i];
        check_same_text(s->name, s->name_bytes, t->name, t->name_bytes);
        CHECK(s->dtype == t->dtype && s->rank == t->rank && strcmp(s->dtype_name, t->dtype_name) == 0);
        CHECK(s->bytes == t->bytes && s->elements == t->elements && s->offset == t->offset);
        CHECK(s->rank == 0 || memcmp(s->shape, t->shape, s->rank * sizeof *s->shape) == 0);
    }
    for (i = 0; i < a->metadata_count; i++) {
        const st_pair *p = &a->metadata[i], *q = &b->metadata[i];
        check_same_text(p->key, p->key_bytes, q->key, q->key_bytes);
        check_same_text(p->value, p->value_bytes, q->value, q->value_bytes);
    }
}

/* documented: 96 bytes + name + 8 per dimension for a tensor, 40 + text for a metadata pair */
static size_t retained_at_most(const st_model *m) {
    size_t bytes = 1024, i;
    for (i = 0; i < m->count; i++) {
        const st_tensor *t = &m->tensors[i];
        bytes +=
            96 + t->name_bytes + 8 * (size_t)t->rank + (t->dtype == ST_DTYPE_UNKNOWN ? strlen(t->dtype_name) + 1 : 0);
    }
    for (i = 0; i < m->metadata_count; i++) bytes += 40 + m->metadata[i].key_bytes + m->metadata[i].value_bytes;
    return bytes;
}

/* ---- all ways return the same result ------------------------------------------------------------------ */

static void check_agrees(const input *in, int source, const opened *first, const opened *other) {
    if ((in->flags & ST_OPEN_MUST_MAP) && !is_mapped(in, source) && other->status == ST_ERR_UNSUPPORTED) {
        CHECK(first->status == ST_OK || first->status == ST_ERR_DUPLICATE);
        return;
    }
    CHECK(fuzz_same_error(&first->error, &other->error));
    if (first->model) check_same_model(first->model, other->model);
}

static void try_allocators(const input *in, int source, const opened *first) {
    st_open_options options = options_of(in);
    fuzz_heap heap;
    st_allocator allocator = fuzz_allocator(&heap);
    disk d = disk_of(in, 0, 0);
    opened o;
    options.allocator = &allocator;
    o = open_source(source, &d, options);
    check_agrees(in, source, first, &o);
    if (o.model) {
        check_model(o.model, in, &d, source);
        CHECK(heap.live <= retained_at_most(o.model));
    } else {
        CHECK(heap.live == 0);
    }
    st_close(o.model);
    CHECK(heap.live == 0 && d.open == 0);

    allocator = fuzz_allocator(&heap);
    heap.fail_at = 1 + in->knob % 4;
    o = open_source(source, &d, options);
    if (o.status == ST_ERR_MEMORY) {
        CHECK(heap.calls >= heap.fail_at && heap.live == 0);
    } else {
        check_agrees(in, source, first, &o);
    }
    st_close(o.model);
    CHECK(heap.live == 0 && d.open == 0);
}

static opened open_in(const input *in, int source, disk *d, uint8_t *work, size_t work_bytes) {
    st_open_options options = options_of(in);
    options.work.data = work;
    options.work.bytes = work_bytes;
    return open_source(source, d, options);
}

/* opens with a small work buffer, then with one of the size that the error asks for, both unaligned */
static void try_work(const input *in, int source, const opened *first) {
    size_t shift = in->knob % 17, few = in->knob * 8, enough;
    uint8_t *work = (uint8_t *)malloc(shift + few + 1);
    disk d = disk_of(in, 0, 0);
    opened o;
    CHECK(work != NULL);
    o = open_in(in, source, &d, work + shift, few);
    if (o.status != ST_ERR_MEMORY) {
        check_agrees(in, source, first, &o);
        st_close(o.model);
        free(work);
        return;
    }
    CHECK(o.model == NULL && o.error.expected > few && o.error.expected <= 4096 + 9 * in->n);
    enough = (size_t)o.error.expected;
    free(work);

    work = (uint8_t *)malloc(shift + enough);
    CHECK(work != NULL);
    o = open_in(in, source, &d, work + shift, enough);
    check_agrees(in, source, first, &o);
    if (o.model) {
        CHECK((uint8_t *)o.model >= work + shift && (uint8_t *)o.model < work + shift + enough);
        check_model(o.model, in, &d, source);
    }
    st_close(o.model);
    CHECK(d.open == 0);
    free(work);
}

/* makes each read or open of the pack fail, with an arbitrary code or one that has a meaning */
static void try_failing_reads(const input *in, int source, const opened *first) {
    static const struct {
        int code;
        st_status status;
    } failures[] = {{5, ST_ERR_IO},
                    {ST_IO_NOT_A_FILE, ST_ERR_IO},
                    {ST_IO_ENDED, ST_ERR_IO},
                    {ST_IO_NOT_UTF8, ST_ERR_UTF8},
                    {ST_IO_NO_MEMORY, ST_ERR_MEMORY},
                    {ST_IO_NOT_FOUND, ST_ERR_NOT_FOUND}};
    unsigned kind = in->knob / 4 % 6;
    st_open_options options = options_of(in);
    fuzz_heap heap;
    st_allocator allocator = fuzz_allocator(&heap);
    disk d = disk_of(in, 1 + in->knob % 4, failures[kind].code);
    opened o;
    options.allocator = &allocator;
    o = open_source(source, &d, options);
    if (d.calls < d.fail_at || fuzz_same_error(&first->error, &o.error)) {
        check_agrees(in, source, first, &o);
    } else if (source == SOURCE_PACK && d.fail_at == 1 && d.code == ST_IO_NOT_FOUND && is_directory(in)) {
        CHECK(o.status == ST_ERR_NOT_FOUND);
    } else if (o.error.sys != failures[kind].code) {
        CHECK(first->status == ST_ERR_FORMAT && o.status != ST_OK); /* the read that identifies other formats failed */
    } else {
        CHECK(o.status == failures[kind].status);
    }
    st_close(o.model);
    CHECK(heap.live == 0 && d.open == 0);
}

/* st_scan supports no unknown dtypes and reports headers over its limits */
static void try_scan(const input *in) {
    st_open_options options = options_of(in);
    fuzz_heap heap;
    st_allocator allocator = fuzz_allocator(&heap);
    disk d = disk_of(in, 0, 0);
    opened o;
    st_scan scan;
    st_error error;
    st_status status;
    size_t seen = 0;
    d.in = in;
    if (in->options & ODD_FLAGS) {
        CHECK(st_scan_begin(&scan, in->file, in->n, in->n, &options, &error) == ST_ERR_ARGUMENT &&
              !st_scan_next(&scan));
    }
    options.flags &= ST_OPEN_TRAILING;
    options.allocator = &allocator;
    o = open_source(SOURCE_MEMORY, &d, options);
    status = st_scan_begin(&scan, in->file, in->n, in->n, &options, &error);
    fuzz_check_error(status, &error, in->n, "(memory)");
    if (status == ST_ERR_TOO_LARGE) {
        CHECK(fuzz_may_be_too_large(in->file, in->n));
    } else {
        CHECK(fuzz_same_error(&o.error, &error));
        while (st_scan_next(&scan)) seen++;
        CHECK(seen == (o.model ? o.model->count : 0));
    }
    st_close(o.model);
    CHECK(heap.live == 0);
}

/* whether the file starts with a header length under 2^32 and a '{' */
static int begins_like_ours(const uint8_t *file, size_t n) {
    return n > 8 && fuzz_u64(file) <= UINT32_MAX && file[8] == '{';
}

static unsigned flags_of(unsigned options, unsigned knob) {
    unsigned flags = 0;
    if (options & UNKNOWN_DTYPES) flags |= ST_OPEN_UNKNOWN_DTYPES;
    if (options & TRAILING) flags |= ST_OPEN_TRAILING;
    if (options & NO_MAP) flags |= ST_OPEN_NO_MAP;
    if (options & MUST_MAP) flags |= ST_OPEN_MUST_MAP;
    if (options & ODD_FLAGS) flags |= 128u << knob % 16;
    return flags;
}

/* writes the bytes to a system file; returns its path, or NULL on failure. The file is removed at exit. */
#if STI_OS_POSIX
static char system_path[] = "/tmp/fuzz_open.XXXXXX";

static void remove_system_file(void) {
    (void)unlink(system_path);
}

static const char *system_file(const uint8_t *bytes, size_t n) {
    static int fd = -1;
    if (fd < 0) {
        fd = mkstemp(system_path);
        if (fd >= 0) atexit(remove_system_file);
    }
    if (fd < 0 || ftruncate(fd, 0) != 0 || pwrite(fd, bytes, n, 0) != (ssize_t)n) return NULL;
    return system_path;
}

/* paths that exist but cannot be opened as a file */
static void try_other_paths(const input *in) {
    static const struct {
        const char *path;
        st_status status;
    } others[] = {{"/", ST_ERR_NOT_FOUND}, {"/dev/null", ST_ERR_IO}, {"/dev/null/x", ST_ERR_NOT_FOUND}};
    st_open_options options = options_of(in);
    size_t i;
    if (in->options & ODD_FLAGS || (in->options & NO_MAP && in->options & MUST_MAP)) return;
    for (i = 0; i < sizeof others / sizeof *others; i++) {
        st_model *m;
        st_error error;
        CHECK(st_open(&m, others[i].path, &options, &error) == others[i].status && m == NULL);
        CHECK(fuzz_is_printable(error.message));
    }
}
#else
static const char *system_file(const uint8_t *bytes, size_t n) {
    (void)bytes, (void)n;
    return NULL;
}

static void try_other_paths(const input *in) {
    (void)in;
}
#endif

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed) {
    return fuzz_mutate(data, size, max_size, seed, OPTION_BYTES);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    input in;
    uint8_t *file;
    st_open_options options;
    fuzz_heap heap;
    st_allocator allocator = fuzz_allocator(&heap);
    disk d;
    opened first;
    st_model *again;
    int source;
    if (size < OPTION_BYTES) return 0;
    memset(&in, 0, sizeof in);
    in.options = data[0];
    in.knob = data[1];
    in.flags = flags_of(in.options, in.knob);
    in.n = size - OPTION_BYTES;
    in.file = file = fuzz_copy(data + OPTION_BYTES, in.n);
    if (in.options & SYSTEM_FILE) in.path = system_file(in.file, in.n);
    d = disk_of(&in, 0, 0);
    options = options_of(&in);
    options.allocator = &allocator;
    first = open_source(SOURCE_MEMORY, &d, options);
    if (first.status == ST_ERR_FORMAT) CHECK(!begins_like_ours(in.file, in.n));
#if !defined(ST_NO_MALLOC)
    options.allocator = NULL;
#endif
    CHECK(st_open_memory(&again, in.file, in.n, &options, NULL) == first.status); /* error and options may be NULL */
    st_close(again);
    for (source = 0; source < (in.path ? SOURCES : SOURCE_SYSTEM); source++) {
        try_allocators(&in, source, &first);
        try_work(&in, source, &first);
        if (source == SOURCE_CALLBACK || source == SOURCE_PACK) try_failing_reads(&in, source, &first);
    }
    try_scan(&in);
    if (in.path) try_other_paths(&in);
    CHECK(memcmp(in.file, data + OPTION_BYTES, in.n) == 0);
    st_close(first.model);
    CHECK(heap.live == 0);
    free(file);
    return 0;
}
