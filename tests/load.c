/* Tests room 16, st_load and st_plan_load: batches of tensors and views in any order, in one call or in parts, from
 * every kind of source. Compares the bytes with a slow model and counts requests; covers progress, cancelling,
 * failing reads, too little memory, and the plan alone. load_threads.c runs the parts on threads. */
#include "../safetensors.h"

#include "large.h"
#include "random.h"
#include "slow_view.h"
#include "sources.h"

#if defined(ON_THREADS)
#define NAME "load_threads"
#include "../examples/threads.h"
#else
#define NAME "load"
#endif

enum { MOST_LOADS = 5 };
enum { MOST_ITEMS = 64 };

/* ---- files -------------------------------------------------------------------------------------------------------- */

/* appends a tensor "tN" of rows x columns to the header; *at: the start of its data, updated to the end */
static void add_tensor(growing *header, unsigned number, st_dtype dtype, uint64_t rows, uint64_t columns,
                       uint64_t *at) {
    text_put(header, number > 0 ? ",\"t" : "{\"t");
    text_number(header, number);
    text_put(header, "\":{\"dtype\":\"");
    text_put(header, st_dtype_name(dtype));
    text_put(header, "\",\"shape\":[");
    text_number(header, rows);
    text_put(header, ",");
    text_number(header, columns);
    text_put(header, "],\"data_offsets\":[");
    text_number(header, *at);
    text_put(header, ",");
    *at += rows * columns * st_dtype_bits(dtype) / 8;
    text_number(header, *at);
    text_put(header, "]}");
}

/* completes the header with its last brace and appends random data; the caller frees the file */
static unsigned char *finish_file(growing *header, uint64_t data_bytes, size_t *n) {
    unsigned char *file;
    text_put(header, "}");
    file = text_file(header, (size_t)data_bytes, n);
    random_bytes(file + *n - (size_t)data_bytes, (size_t)data_bytes);
    return file;
}

/* tensors of every dtype, mostly small; if large is not 0, some need several requests */
static unsigned char *mixed_file(unsigned count, int large, size_t *n) {
    growing header = {NULL, 0, 0};
    uint64_t at = 0;
    unsigned i;
    for (i = 0; i < count; i++) {
        const st_dtype dtype = (st_dtype)(1 + random_below(22));
        const uint64_t columns = 4 * (1 + random_below(8));
        uint64_t rows = random_below(6) > 0 ? random_below(40) : 0;
        if (large && random_below(5) == 0) rows = 1 + random_below(30000);
        add_tensor(&header, i, dtype, rows, columns, &at);
    }
    return finish_file(&header, at, n);
}

/* ---- items and their expected bytes ------------------------------------------------------------------------------- */

typedef struct batch {
    st_load_item items[MOST_ITEMS];
    st_view views[MOST_ITEMS];
    st_range ranges[MOST_ITEMS][2];
    uint32_t axes[MOST_ITEMS][2];
    unsigned char *block[MOST_ITEMS], *want[MOST_ITEMS];
    size_t want_bytes[MOST_ITEMS];
    size_t count;
} batch;

typedef struct seen {          /* state of one part's progress callback */
    size_t steps, cancel_step; /* cancel_step: the call, from 1, that cancels; 0: none */
    size_t wrong;
    uint64_t done, total;
    int stopped;
} seen;

static void batch_item(batch *b, const st_tensor *t, const unsigned char *file, const st_view *view, st_dtype as) {
    const size_t i = b->count++;
    const slow_view w = slow_look(t, view, as);
    st_load_item *item = &b->items[i];
    const size_t n = (size_t)w.bytes, past = (size_t)random_below(4);
    CHECK_STATUS(w.status, ST_OK);
    b->want[i] = (unsigned char *)malloc(n + 1);
    b->block[i] = (unsigned char *)malloc(n + 8);
    if (b->want[i] == NULL || b->block[i] == NULL) exit(2);
    slow_give(file + t->offset, t, view, as, &w, b->want[i]);
    b->want_bytes[i] = n;
    memset(b->block[i], '#', n + 8);
    item->tensor = t;
    item->dst = n > 0 || random_below(2) > 0 ? b->block[i] + past : NULL;
    item->dst_bytes = n;
    item->as = as;
    item->view = view;
}

/* fills b with items for random tensors: some twice, some sliced, some converted */
static void batch_begin(batch *b, const st_model *m, const unsigned char *file, size_t count) {
    memset(b, 0, sizeof *b);
    while (b->count < count) {
        const st_tensor *t = &m->tensors[random_below(m->count)];
        const size_t i = b->count;
        st_view *v = &b->views[i];
        st_dtype as = random_below(2) > 0 ? ST_DTYPE_UNKNOWN : (st_dtype)(1 + random_below(22));
        unsigned d;
        v->ranges = b->ranges[i];
        for (d = 0; d < 2; d++) {
            st_range *r = &b->ranges[i][d];
            r->stop = UINT64_MAX;
            b->axes[i][d] = 1 - d;
            if (t->shape[d] == 0 || random_below(3) > 0) continue;
            r->start = random_below(t->shape[d]);
            r->stop = r->start + random_below(t->shape[d] - r->start + 1);
            r->step = random_below(4);
        }
        if (random_below(2) > 0) v->range_count = 2;
        if (random_below(4) == 0) v->axes = b->axes[i];
        if (slow_look(t, v, as).status != ST_OK) as = st_dtype_bits(t->dtype) < 8 ? ST_DTYPE_F32 : ST_DTYPE_UNKNOWN;
        if (slow_look(t, v, as).elements > 100000) v->range_count = 0, v->axes = NULL;
        if (slow_look(t, v, as).elements > 100000) as = ST_DTYPE_UNKNOWN; /* the slow model is too slow for them */
        batch_item(b, t, file, random_below(3) > 0 ? v : NULL,
                   slow_look(t, NULL, as).status == ST_OK ? as : ST_DTYPE_UNKNOWN);
    }
}

static void batch_end(batch *b) {
    size_t i;
    for (i = 0; i < b->count; i++) {
        free(b->block[i]);
        free(b->want[i]);
    }
    b->count = 0;
}

/* clears the destinations for another load */
static void batch_again(batch *b) {
    size_t i;
    for (i = 0; i < b->count; i++) memset(b->block[i], '#', b->want_bytes[i] + 8);
}

static int on_progress(void *user, uint64_t done, uint64_t total) {
    seen *s = (seen *)user; /* one for each part: parts may run on threads, and CHECK counts without a lock */
    s->wrong += s->stopped || done <= s->done || done > total || (s->steps > 0 && s->total != total);
    s->done = done;
    s->total = total;
    s->steps++;
    s->stopped = s->steps == s->cancel_step;
    return s->stopped ? 5 : 0;
}

static st_load_options options_of(seen *s) {
    st_load_options o;
    memset(&o, 0, sizeof o);
    memset(s, 0, sizeof *s);
    o.progress = on_progress;
    o.user = s;
    return o;
}

/* returns whether all items have their bytes; guard bytes must be unchanged in any case */
static int batch_is_there(const batch *b) {
    int there = 1;
    size_t i, j;
    for (i = 0; i < b->count; i++) {
        const unsigned char *dst = (const unsigned char *)b->items[i].dst;
        const size_t n = b->want_bytes[i];
        if (n > 0 && memcmp(dst, b->want[i], n) != 0) there = 0;
        for (j = 0; dst != NULL && j < 4; j++) CHECK(dst[n + j] == '#');
        if (dst != NULL) CHECK(dst == b->block[i] || dst[-1] == '#');
    }
    return there;
}

static int batch_is_untouched(const batch *b) {
    size_t i, j;
    for (i = 0; i < b->count; i++) {
        for (j = 0; j < b->want_bytes[i] + 8; j++) {
            if (b->block[i][j] != '#') return 0;
        }
    }
    return 1;
}

/* Loads all items in that many parts, one after another or on threads; work_bytes: the size of each part's work
 * buffer, 0: none. Returns the number of parts that failed. */
static unsigned batch_parts(batch *b, const st_model *m, unsigned parts, size_t work_bytes, seen *each,
                            st_status *status, st_error *errors) {
    st_load_options o[MOST_LOADS];
    void *work[MOST_LOADS];
    unsigned k, failed = 0;
    for (k = 0; k < parts; k++) {
        o[k] = options_of(&each[k]);
        o[k].part = k;
        o[k].part_count = parts;
        work[k] = NULL;
        if (work_bytes == 0) continue;
        work[k] = malloc(work_bytes + 8);
        if (work[k] == NULL) exit(2);
        memset(work[k], 0xa5, work_bytes + 8);
        o[k].work.data = (char *)work[k] + k % 8;
        o[k].work.bytes = work_bytes;
    }
#if defined(ON_THREADS)
    {
        part all[MOST_LOADS];
        for (k = 0; k < parts; k++) {
            all[k].model = m;
            all[k].items = b->items;
            all[k].count = b->count;
            all[k].options = o[k];
        }
        (void)load_parts(all, parts);
        for (k = 0; k < parts; k++) status[k] = all[k].status, errors[k] = all[k].error;
    }
#else
    for (k = parts; k > 0; k--) status[k - 1] = st_load(m, b->items, b->count, &o[k - 1], &errors[k - 1]);
#endif
    for (k = 0; k < parts; k++) {
        CHECK_STATUS(errors[k].status, status[k]);
        CHECK_EQ(each[k].wrong, 0);
        failed += status[k] != ST_OK;
        free(work[k]);
    }
    return failed;
}

/* loads all items and checks the result, the progress and the requests */
static void batch_load(batch *b, const source *s, unsigned parts, size_t work_bytes) {
    const size_t live = s->memory.live_bytes;
    static st_load_item before[MOST_ITEMS];
    st_error errors[MOST_LOADS];
    st_status status[MOST_LOADS];
    seen each[MOST_LOADS];
    uint64_t total = 0;
    unsigned k;
    memcpy(before, b->items, sizeof before);
    memset(errors, 0xee, sizeof errors);
    batch_again(b);
    CHECK_EQ(batch_parts(b, s->model, parts, work_bytes, each, status, errors), 0);
    CHECK(batch_is_there(b));
    CHECK(memcmp(before, b->items, sizeof before) == 0); /* items must not be modified */
    for (k = 0; k < parts; k++) {
        CHECK_EQ(each[k].done, each[k].total);
        total += each[k].total;
    }
    if (parts > 1) { /* all parts together read what a single load reads */
        batch_again(b);
        CHECK_EQ(batch_parts(b, s->model, 1, work_bytes, each, status, errors), 0);
        CHECK_EQ(each[0].total, total);
    }
    CHECK_EQ(s->memory.live_bytes, live);
}

static void random_loads(int rounds, int large) {
    static batch b;
    int round, turn;
    for (round = 0; round < rounds; round++) {
        size_t n;
        unsigned char *file = mixed_file(1 + (unsigned)random_below(large ? 40 : 20), large, &n);
        const int kind = round % SOURCE_KINDS;
        source s;
        test_row = source_names[kind];
        scratch_write(SOURCE_FILE, file, n);
        if (!CHECK_STATUS(source_open(&s, kind, file, n, NULL), ST_OK)) return;
        batch_begin(&b, s.model, file, (size_t)random_below(large ? 40 : MOST_ITEMS));
        for (turn = 0; turn < 4; turn++) {
            unsigned parts = turn > 0 ? 1 + (unsigned)random_below(MOST_LOADS) : 1;
            size_t work = turn == 2 || kind == FROM_WORK ? 512 + b.count * 40 + (size_t)random_below(300000) : 0;
#if defined(ON_THREADS)
            if (kind == FROM_IO || kind == FROM_FILES) parts = 1;          /* the call counter is not thread-safe */
            if (kind != FROM_WORK && work == 0) work = 512 + b.count * 40; /* nor is the counting allocator */
#endif
            batch_load(&b, &s, parts, work);
        }
        batch_end(&b);
        source_close(&s);
        free(file);
    }
    test_row = "";
}

/* ---- requests ------------------------------------------------------------------------------------------------------ */

#define MIB ((uint64_t)1 << 20)

/* loads the tensors first, first + step ... in reverse order; returns the number of requests */
static size_t requests_for(const unsigned char *file, size_t n, size_t first, size_t step, st_dtype as,
                           uint64_t *bytes) {
    const uint16_t one = 1;
    const int little = *(const unsigned char *)&one; /* byte order of files */
    source s;
    st_error error;
    size_t count = 0, i, reads = 0;
    if (CHECK_STATUS(source_open(&s, FROM_IO, file, n, NULL), ST_OK)) {
        st_load_item *items = (st_load_item *)calloc(s.model->count, sizeof *items);
        if (items == NULL) exit(2);
        for (i = first; i < s.model->count; i += step, count++) {
            const st_tensor *t = &s.model->tensors[s.model->count - 1 - i];
            items[count].tensor = t;
            items[count].as = as;
            items[count].dst_bytes = (size_t)t->elements * (as == ST_DTYPE_UNKNOWN ? st_dtype_bits(t->dtype) / 8 : 4);
            items[count].dst = malloc(items[count].dst_bytes + 1);
            if (items[count].dst == NULL) exit(2);
        }
        s.served.reads = 0;
        s.served.read_bytes = 0;
        CHECK_STATUS(st_load(s.model, items, count, NULL, &error), ST_OK);
        reads = s.served.reads;
        *bytes = s.served.read_bytes;
        for (i = 0; i < count; i++) {
            const st_tensor *t = items[i].tensor;
            if (as == ST_DTYPE_UNKNOWN && little) CHECK(memcmp(items[i].dst, file + t->offset, (size_t)t->bytes) == 0);
            free(items[i].dst);
        }
        free(items);
    }
    source_close(&s);
    return reads;
}

static void requests(void) {
    growing header = {NULL, 0, 0};
    uint64_t at = 0, bytes;
    size_t n;
    unsigned i;
    unsigned char *file;
    for (i = 0; i < 1000; i++) add_tensor(&header, i, ST_DTYPE_BF16, 32, 64, &at); /* 4 KiB each */
    file = finish_file(&header, at, &n);
    CHECK_EQ(requests_for(file, n, 0, 1, ST_DTYPE_UNKNOWN, &bytes), 1); /* all of them fit in one request */
    CHECK_EQ(bytes, at);
    CHECK_EQ(requests_for(file, n, 0, 1, ST_DTYPE_F32, &bytes), 1);
    CHECK_EQ(requests_for(file, n, 0, 2, ST_DTYPE_UNKNOWN, &bytes), 2); /* the buffer has the size of the data */
    CHECK(bytes <= at);
    CHECK_EQ(requests_for(file, n, 3, 100, ST_DTYPE_UNKNOWN, &bytes), 10); /* too far apart to merge */
    CHECK_EQ(bytes, 10 * 4096);
    free(file);
    at = 0;
    for (i = 0; i < 3; i++) add_tensor(&header, i, ST_DTYPE_BF16, 1024, 3072, &at); /* 6 MiB each */
    add_tensor(&header, 3, ST_DTYPE_BF16, 5000, 2000, &at);                         /* 20 MB */
    file = finish_file(&header, at, &n);
    CHECK_EQ(requests_for(file, n, 0, 1, ST_DTYPE_UNKNOWN, &bytes), 3 + 3);
    CHECK_EQ(bytes, at);
    CHECK_EQ(requests_for(file, n, 0, 1, ST_DTYPE_F32, &bytes), 3 + 3);
    CHECK_EQ(bytes, at);
    CHECK_EQ(requests_for(file, n, 1, 2, ST_DTYPE_UNKNOWN, &bytes), 2);
    free(file);
}

/* parts are contiguous ranges of similar size, within a few pages; an item that cannot be split is in one part */
static void balance(void) {
    growing header = {NULL, 0, 0};
    uint64_t at = 0, most = 0, least = UINT64_MAX;
    size_t n;
    unsigned char *file;
    unsigned k;
    source s;
    static batch b;
    st_error errors[MOST_LOADS];
    st_status status[MOST_LOADS];
    seen each[MOST_LOADS];
    add_tensor(&header, 0, ST_DTYPE_BF16, 1000, 3001, &at);
    add_tensor(&header, 1, ST_DTYPE_U8, 100, 100, &at);
    add_tensor(&header, 2, ST_DTYPE_F32, 1001, 1003, &at);
    file = finish_file(&header, at, &n);
    if (CHECK_STATUS(source_open(&s, FROM_MEMORY, file, n, NULL), ST_OK)) {
        memset(&b, 0, sizeof b);
        batch_item(&b, st_find(s.model, "t2"), file, NULL, ST_AS_STORED);
        batch_item(&b, st_find(s.model, "t0"), file, NULL, ST_AS_STORED);
        batch_item(&b, st_find(s.model, "t1"), file, NULL, ST_AS_STORED);
        CHECK_EQ(batch_parts(&b, s.model, MOST_LOADS, 4096, each, status, errors), 0);
        CHECK(batch_is_there(&b));
        for (k = 0; k < MOST_LOADS; k++) {
            if (each[k].total > most) most = each[k].total;
            if (each[k].total < least) least = each[k].total;
        }
        CHECK(most - least <= 10000 + 2 * 12288);
        batch_end(&b);
        memset(&b, 0, sizeof b); /* a view that is not contiguous */
        b.axes[0][0] = 1;
        b.views[0].axes = b.axes[0];
        batch_item(&b, st_find(s.model, "t2"), file, &b.views[0], ST_AS_STORED);
        CHECK_EQ(batch_parts(&b, s.model, 2, 4096, each, status, errors), 0);
        CHECK(batch_is_there(&b));
        CHECK(each[0].total == 1001 * 1003 * 4 && each[1].steps == 0);
        batch_end(&b);
    }
    source_close(&s);
    free(file);
}

/* ---- cancelling -------------------------------------------------------------------------------------------------- */

static void cancelling(int kind, unsigned parts) {
    static batch b;
    size_t n, at, steps;
    unsigned char *file;
    unsigned k;
    source s;
    st_error error;
    random_state = 0x9e3779b97f4a7c15u; /* large tensors, whatever was drawn before */
    file = mixed_file(30, 1, &n);
    scratch_write(SOURCE_FILE, file, n);
    test_row = source_names[kind];
    if (CHECK_STATUS(source_open(&s, kind, file, n, NULL), ST_OK)) {
        batch_begin(&b, s.model, file, 40);
        for (k = 0; k < parts; k++) {
            seen each;
            st_load_options o = options_of(&each);
            o.part = k;
            o.part_count = parts;
            CHECK_STATUS(st_load(s.model, b.items, b.count, &o, &error), ST_OK);
            steps = each.steps;
            CHECK(steps > 2);
            for (at = 1; at <= steps; at++) {
                o = options_of(&each);
                o.part = k;
                o.part_count = parts;
                each.cancel_step = at;
                CHECK_STATUS(st_load(s.model, b.items, b.count, &o, &error), ST_ERR_CANCELLED);
                check_error(&error, ST_ERR_CANCELLED, source_prefix(kind));
                CHECK(each.steps == at && each.wrong == 0);
                CHECK(error.actual == each.done && error.expected == each.total && error.item == SIZE_MAX);
            }
        }
        CHECK(batch_is_there(&b)); /* each part was loaded once */
        batch_end(&b);
    }
    source_close(&s);
    free(file);
    test_row = "";
}

/* ---- failing reads ------------------------------------------------------------------------------------------------- */

static void failing_reads(void) {
    static batch b;
    size_t n, calls, fail;
    int forever;
    unsigned char *file = mixed_file(30, 1, &n);
    source s;
    st_error error;
    if (CHECK_STATUS(source_open(&s, FROM_IO, file, n, NULL), ST_OK)) {
        batch_begin(&b, s.model, file, 40);
        s.served.calls = 0;
        batch_load(&b, &s, 1, 0);
        calls = s.served.calls;
        CHECK(calls > 2);
        for (forever = 0; forever < 2; forever++) {
            for (fail = 1; fail <= calls; fail++) {
                const size_t live = s.memory.live_bytes;
                batch_again(&b);
                s.served.calls = 0;
                s.served.fail_at = fail;
                s.served.fail_forever = forever;
                CHECK_STATUS(st_load(s.model, b.items, b.count, NULL, &error), ST_ERR_IO);
                check_error(&error, ST_ERR_IO, source_prefix(FROM_IO));
                CHECK_EQ(error.sys, 77);
                CHECK(error.position < n && error.subject[0] == 't');
                CHECK_EQ(s.served.calls, fail);
                (void)batch_is_there(&b);
                if (CHECK(error.item < b.count)) {
                    CHECK(strcmp(error.subject, b.items[error.item].tensor->name) == 0);
                }
                CHECK_EQ(s.memory.live_bytes, live);
            }
        }
        s.served.fail_at = 0;
        batch_end(&b);
    }
    source_close(&s);
    free(file);
}

/* ---- errors -------------------------------------------------------------------------------------------------------- */

static void refusals(void) {
    static batch b;
    static const st_range past[1] = {{0, UINT64_MAX - 1, 1}};
    st_view wrong;
    size_t n, i;
    unsigned char *file = mixed_file(20, 0, &n);
    source s;
    st_error error;
    seen each;
    st_load_options o = options_of(&each);
    memset(&wrong, 0, sizeof wrong);
    wrong.ranges = past;
    wrong.range_count = 1;
    if (CHECK_STATUS(source_open(&s, FROM_IO, file, n, NULL), ST_OK)) {
        batch_begin(&b, s.model, file, 20);
        CHECK_STATUS(st_load(NULL, b.items, 1, &o, &error), ST_ERR_ARGUMENT);
        CHECK_STATUS(st_load(s.model, NULL, 1, &o, &error), ST_ERR_ARGUMENT);
        CHECK_EQ(error.item, SIZE_MAX);
        CHECK_STATUS(st_load(s.model, NULL, 0, &o, &error), ST_OK);
        CHECK_STATUS(st_load(s.model, NULL, 0, NULL, NULL), ST_OK);
        o.part = 1; /* parts 0 means 1 */
        CHECK_STATUS(st_load(s.model, b.items, b.count, &o, &error), ST_ERR_ARGUMENT);
        CHECK_EQ(error.actual, 1);
        o.part = o.part_count = 7;
        CHECK_STATUS(st_load(s.model, b.items, b.count, &o, &error), ST_ERR_ARGUMENT);
        CHECK(error.actual == 7 && error.expected == 7);
        o.part_count = UINT32_MAX;
        o.part = UINT32_MAX - 1; /* the last part gets what cannot be divided */
        CHECK_STATUS(st_load(s.model, b.items, b.count, &o, &error), ST_OK);
        CHECK(n > 100000 || batch_is_there(&b));
        s.served.calls = 0;
        for (i = 0; i < b.count; i++) {
            st_tensor foreign = *b.items[i].tensor, strange = foreign;
            int fault;
            strange.dtype = (st_dtype)77;
            strange.bytes = 0;
            for (fault = 0; fault < 7; fault++) {
                const st_load_item good = b.items[i];
                st_status want = ST_ERR_ARGUMENT;
                unsigned k;
                batch_again(&b);
                foreign.offset = UINT64_MAX;
                if (fault == 0) b.items[i].tensor = NULL;
                if (fault == 1) b.items[i].tensor = &foreign;
                if (fault == 2) b.items[i].view = &wrong;
                if (fault == 3) b.items[i].as = (st_dtype)99;
                if (fault == 4) b.items[i].tensor = &strange, b.items[i].as = ST_DTYPE_F32;
                if (fault == 5 && good.dst_bytes > 0) b.items[i].dst_bytes--;
                if (fault == 6 && good.dst_bytes > 0) b.items[i].dst = NULL;
                if (fault >= 5 && good.dst_bytes == 0) want = ST_OK;
                for (k = 0; k < 3; k++) { /* all parts report the same error, before any read */
                    o = options_of(&each);
                    o.part = k;
                    o.part_count = 3;
                    CHECK_STATUS(st_load(s.model, b.items, b.count, &o, &error), want);
                    if (want == ST_OK) continue;
                    CHECK_EQ(error.item, i);
                    check_text(error.message, sizeof error.message);
                    CHECK(each.steps == 0 && s.served.calls == 0 && batch_is_untouched(&b));
                }
                if (fault < 5) {
                    st_extent none[1];
                    CHECK_STATUS(st_plan_load(s.model, &b.items[i], 1, 0, none, 0, NULL, &error), ST_ERR_ARGUMENT);
                    CHECK_EQ(error.item, 0);
                    if (fault == 0) {
                        CHECK(strstr(error.message, "item 0: tensor is NULL (was its name found?)") != NULL);
                    }
                }
                if (want == ST_OK) s.served.calls = 0;
                b.items[i] = good;
            }
        }
        batch_end(&b);
    }
    source_close(&s);
    free(file);
}

/* ---- memory -------------------------------------------------------------------------------------------------------- */

static void memory_of(int kind) {
    static batch b;
    size_t n, bytes;
    unsigned char *file = mixed_file(30, 1, &n), *work;
    source s;
    st_error error;
    test_row = source_names[kind];
    scratch_write(SOURCE_FILE, file, n);
    if (CHECK_STATUS(source_open(&s, kind, file, n, NULL), ST_OK)) {
        seen each;
        st_load_options o = options_of(&each);
        char probe[1];
        batch_begin(&b, s.model, file, 30);
        o.work.data = probe;
        o.work.bytes = sizeof probe;
        CHECK_STATUS(st_load(s.model, b.items, b.count, &o, &error), ST_ERR_MEMORY);
        CHECK_EQ(error.actual, 1);
        CHECK(error.expected >= b.count * 32 && error.expected < b.count * 40 + 8 + 257);
        CHECK_EQ(each.steps, 0);
        bytes = (size_t)error.expected + 8;
        work = (unsigned char *)malloc(bytes);
        if (work == NULL) exit(2);
        o.work.data = work; /* aligned differently from the probe */
        CHECK_STATUS(st_load(s.model, b.items, b.count, &o, &error), ST_ERR_MEMORY);
        bytes = (size_t)error.expected;
        free(work);
        work = (unsigned char *)malloc(bytes);
        if (work == NULL) exit(2);
        o.work.data = work;
        o.work.bytes = bytes - 1;
        CHECK_STATUS(st_load(s.model, b.items, b.count, &o, &error), ST_ERR_MEMORY);
        CHECK_EQ(error.expected, bytes);
        o.work.bytes = bytes;
        batch_again(&b);
        CHECK_STATUS(st_load(s.model, b.items, b.count, &o, &error), ST_OK);
        CHECK(batch_is_there(&b));
        free(work);
        o = options_of(&each);
        if (kind != FROM_WORK) {
            const size_t live = s.memory.live_bytes;
            s.memory.peak_bytes = live;
            batch_load(&b, &s, 1, 0);
            CHECK(s.memory.peak_bytes > live);
            CHECK(s.memory.peak_bytes - live <= b.count * 40 + (kind == FROM_IO || kind == FROM_FILES ? 8 * MIB : MIB));
            s.memory.calls = 0;
            s.memory.fail_at = 1;
        }
        batch_again(&b);
        CHECK_STATUS(st_load(s.model, b.items, b.count, &o, &error),
                     ST_ERR_MEMORY);           /* a work buffer, so no allocator */
        CHECK(error.expected >= b.count * 32); /* 32-bit size of an item */
        CHECK(batch_is_untouched(&b));
        batch_end(&b);
    }
    source_close(&s);
    free(file);
    test_row = "";
}

/* neighbours that share a request fill a work buffer of any size, and nothing past it is written */
static void tight_buffers(int kind) {
    enum { TENSORS = 60, BYTES = 7, MORE = 40, GUARD = 64 };
    static batch b;
    growing header = {NULL, 0, 0};
    uint64_t at = 0;
    size_t n, more, i;
    unsigned char *file, *work;
    source s;
    st_error error;
    for (i = 0; i < TENSORS; i++) add_tensor(&header, (unsigned)i, ST_DTYPE_U8, 1, BYTES, &at);
    file = finish_file(&header, at, &n);
    test_row = source_names[kind];
    scratch_write(SOURCE_FILE, file, n);
    if (CHECK_STATUS(source_open(&s, kind, file, n, NULL), ST_OK)) {
        seen each;
        st_load_options o = options_of(&each);
        memset(&b, 0, sizeof b);
        for (i = 0; i < TENSORS; i++) batch_item(&b, &s.model->tensors[i], file, NULL, ST_DTYPE_UNKNOWN);
        work = (unsigned char *)malloc(TENSORS * 40 + 8 + 256 + MORE + GUARD);
        if (work == NULL) exit(2);
        o.work.data = work;
        o.work.bytes = 0;
        CHECK_STATUS(st_load(s.model, b.items, b.count, &o, &error), ST_ERR_MEMORY);
        for (more = 0; more <= MORE; more++) {
            o = options_of(&each);
            o.work.data = work;
            o.work.bytes = (size_t)error.expected + more;
            memset(work, 0xa5, o.work.bytes + GUARD);
            batch_again(&b);
            CHECK_STATUS(st_load(s.model, b.items, b.count, &o, NULL), ST_OK);
            CHECK(batch_is_there(&b));
            for (i = 0; i < GUARD && work[o.work.bytes + i] == 0xa5; i++) {}
            CHECK_EQ(i, GUARD);
        }
        free(work);
        batch_end(&b);
    }
    source_close(&s);
    free(file);
    test_row = "";
}

/* ---- st_plan_load -------------------------------------------------------------------------------------------------- */

typedef struct far_file { /* a header followed by data that is never read */
    const unsigned char *bytes;
    size_t n;
} far_file;

static int far_read(void *user, uint64_t offset, void *dst, size_t bytes) {
    const far_file *f = (const far_file *)user;
    if (offset > f->n || bytes > f->n - offset) return 1000;
    memcpy(dst, f->bytes + offset, bytes);
    return 0;
}

static void plans(void) {
    static batch b;
    static st_extent extents[60000];
    int round;
    for (round = 0; round < 60; round++) {
        size_t n, needed, i, room;
        unsigned char *file = mixed_file(20, 0, &n);
        uint64_t most = random_below(3) > 0 ? random_below(300) : 0;
        source s;
        st_error error;
        if (!CHECK_STATUS(source_open(&s, FROM_IO, file, n, NULL), ST_OK)) return;
        batch_begin(&b, s.model, file, 20);
        s.served.calls = 0;
        CHECK_STATUS(st_plan_load(s.model, b.items, 0, most, NULL, 0, &needed, &error), ST_OK);
        CHECK_EQ(needed, 0);
        for (i = 0; i < b.count;) { /* remove a converted item, which st_plan_load rejects */
            st_load_item *item = &b.items[i];
            if (item->as == ST_DTYPE_UNKNOWN || item->as == item->tensor->dtype) {
                i++;
                continue;
            }
            CHECK_STATUS(st_plan_load(s.model, item, 1, most, extents, 1, NULL, &error), ST_ERR_UNSUPPORTED);
            check_error(&error, ST_ERR_UNSUPPORTED, source_prefix(FROM_IO));
            free(b.block[i]);
            free(b.want[i]);
            b.count--;
            *item = b.items[b.count];
            b.block[i] = b.block[b.count];
            b.want[i] = b.want[b.count];
            b.want_bytes[i] = b.want_bytes[b.count];
        }
        CHECK_STATUS(
            st_plan_load(s.model, b.items, b.count, most, extents, sizeof extents / sizeof *extents, &needed, &error),
            ST_OK);
        for (i = 0; i < needed; i++) {
            const st_extent *x = &extents[i];
            CHECK(x->bytes > 0 && (most == 0 || x->bytes <= most));
            if (i > 0) CHECK(x->offset >= x[-1].offset);
            CHECK(x->shard == 0 && x->item < b.count && x->offset + x->bytes <= n);
            CHECK(x->to + x->bytes <= b.want_bytes[x->item]);
            memcpy((char *)b.items[x->item].dst + x->to, file + x->offset, (size_t)x->bytes);
        }
        for (i = 0; i < b.count; i++) {
            const st_tensor *t = b.items[i].tensor;
            slow_view w = slow_look(t, b.items[i].view, ST_DTYPE_UNKNOWN);
            if (st_dtype_bits(t->dtype) == 8)
                CHECK(w.bytes == 0 || memcmp(b.items[i].dst, b.want[i], (size_t)w.bytes) == 0);
        }
        if (needed > 0) {
            room = (size_t)random_below(needed);
            CHECK_STATUS(st_plan_load(s.model, b.items, b.count, most, extents, room, &i, &error), ST_ERR_ARGUMENT);
            CHECK_EQ(i, needed);
            CHECK_EQ(error.expected, needed);
        }
        CHECK_STATUS(st_plan_load(NULL, b.items, 1, 0, extents, 1, &i, &error), ST_ERR_ARGUMENT);
        CHECK_STATUS(st_plan_load(s.model, NULL, 1, 0, extents, 1, &i, &error), ST_ERR_ARGUMENT);
        CHECK_STATUS(st_plan_load(s.model, b.items, b.count, 0, NULL, 1, NULL, NULL), ST_ERR_ARGUMENT);
        CHECK_EQ(s.served.calls, 0);
        batch_end(&b);
        source_close(&s);
        free(file);
    }
}

/* requests past the array are counted arithmetically: a view with 2^38 runs would take hours to enumerate */
static void large_plan(void) {
    static const unsigned char header[] =
        "{\"t\":{\"dtype\":\"U8\",\"shape\":[1048576,524288,2],\"data_offsets\":[0,1099511627776]}}";
    const st_range one[3] = {{0, UINT64_MAX, 1}, {0, UINT64_MAX, 2}, {0, 1, 1}};
    st_view v = {NULL, 3, NULL};
    st_load_item items[2];
    unsigned char file[8 + sizeof header];
    st_model *m;
    st_extent extents[1];
    st_error error;
    st_io io;
    far_file rest;
    size_t needed;
    memset(file, 0, 8);
    file[0] = (unsigned char)(sizeof header - 1);
    memcpy(file + 8, header, sizeof header - 1);
    rest.bytes = file;
    rest.n = 8 + sizeof header - 1;
    memset(&io, 0, sizeof io);
    io.user = &rest;
    io.read_at = far_read;
    io.bytes = rest.n + ((uint64_t)1 << 40);
    if (!CHECK_STATUS(st_open_io(&m, &io, NULL, &error), ST_OK)) return;
    memset(items, 0, sizeof items);
    v.ranges = one;
    items[0].tensor = items[1].tensor = st_find(m, "t");
    items[0].view = &v;
    CHECK_STATUS(st_plan_load(m, items, 1, 0, NULL, 0, &needed, &error), ST_ERR_ARGUMENT);
    CHECK_EQ(needed, sizeof needed > 4 ? (uint64_t)1 << 38 : SIZE_MAX);
    CHECK(error.expected == needed && error.actual == 0 && error.item == SIZE_MAX);
    CHECK_STATUS(st_plan_load(m, items, 2, 1, extents, 1, &needed, &error), ST_ERR_ARGUMENT);
    CHECK_EQ(needed, sizeof needed > 4 ? ((uint64_t)1 << 38) + ((uint64_t)1 << 40) : SIZE_MAX);
    CHECK_STATUS(st_plan_load(m, items + 1, 1, 0, extents, 1, &needed, &error), ST_OK);
    CHECK(needed == 1 && extents[0].offset == rest.n && extents[0].bytes == (uint64_t)1 << 40 && extents[0].to == 0);
    st_close(m);
}

/* ---- a model of several files -------------------------------------------------------------------------------------- */

/* items of all shards, in any order; mapped, and with read_at */
static void several_files(void) {
    static batch b;
    char directory[160], path[256];
    size_t n, i, shards = 0;
    unsigned char *file = mixed_file(40, 1, &n);
    st_model *whole, *m;
    st_contents contents;
    st_save_options save;
    st_open_options options;
    st_error error;
    unsigned turn;
    snprintf(directory, sizeof directory, "%s", scratch_path("several"));
    CHECK(SCRATCH_MAKE(directory) == 0);
    memset(&save, 0, sizeof save);
    memset(&options, 0, sizeof options);
    if (!CHECK_STATUS(st_open_memory(&whole, file, n, NULL, &error), ST_OK)) return;
    save.max_shard_bytes = n / 7 + 1;
    contents = st_contents_of(whole);
    contents.metadata_count = 0;
    contents.metadata = NULL;
    CHECK_STATUS(st_save_sharded(directory, &contents, &save, &error), ST_OK);
    for (turn = 0; turn < 4; turn++) {
        options.flags = turn % 2 > 0 ? ST_OPEN_NO_MAP : 0u;
        if (!CHECK_STATUS(st_open(&m, directory, &options, &error), ST_OK)) break;
        shards = m->shard_count;
        CHECK(shards > 2 && m->count == whole->count);
        memset(&b, 0, sizeof b);
        for (i = 0; i < MOST_ITEMS; i++) { /* the expected bytes are those of the original file */
            const st_tensor *t = &whole->tensors[random_below(whole->count)];
            if (t->bytes > 200000) continue;
            batch_item(&b, t, file, NULL, ST_DTYPE_UNKNOWN);
            b.items[b.count - 1].tensor = st_find(m, t->name);
        }
        {
            st_extent extents[MOST_ITEMS];
            st_error errors[MOST_LOADS];
            st_status status[MOST_LOADS];
            seen each[MOST_LOADS];
            size_t needed;
            CHECK_EQ(batch_parts(&b, m, 1 + turn, 0, each, status, errors), 0);
            CHECK(batch_is_there(&b));
#if defined(ON_THREADS)
            batch_again(&b);
            CHECK_STATUS(load_on_threads(m, b.items, b.count, 1 + 20 * (turn % 2), NULL, &error), ST_OK);
            CHECK(batch_is_there(&b));
#endif
            CHECK_STATUS(st_plan_load(m, b.items, b.count, 0, extents, MOST_ITEMS, &needed, &error), ST_OK);
            for (i = 1; i < needed; i++) {
                const st_extent *x = &extents[i];
                CHECK(x[-1].shard < x->shard || (x[-1].shard == x->shard && x[-1].offset <= x->offset));
            }
            b.items[1].tensor = NULL;
            CHECK_STATUS(st_load(m, b.items, b.count, NULL, &error), ST_ERR_ARGUMENT);
            CHECK_EQ(error.item, 1);
            CHECK(strstr(error.message, "item 1: tensor is NULL (was its name found?)") != NULL);
        }
        batch_end(&b);
        for (i = 0; turn == 3 && i < shards; i++) {
            snprintf(path, sizeof path, "%s", m->shards[i].path);
#if !defined(_WIN32)
            CHECK(remove(path) == 0);
#endif
        }
#if !defined(_WIN32)
        for (i = 0; turn == 3 && i < m->count; i++) { /* the files were removed; the open model keeps working */
            const st_tensor *t = &m->tensors[i], *was = st_find(whole, t->name);
            st_load_item item;
            void *want;
            memset(&item, 0, sizeof item);
            item.tensor = t;
            item.dst_bytes = (size_t)t->bytes;
            item.dst = malloc((size_t)t->bytes + 1);
            if (item.dst == NULL) exit(2);
            CHECK_STATUS(st_load(m, &item, 1, NULL, &error), ST_OK);
            want = malloc((size_t)t->bytes + 1);
            if (want == NULL) exit(2);
            CHECK_STATUS(st_read_as(whole, was, NULL, ST_DTYPE_UNKNOWN, want, item.dst_bytes, &error), ST_OK);
            CHECK(memcmp(item.dst, want, item.dst_bytes) == 0);
            free(want);
            free(item.dst);
        }
#endif
        st_close(m);
    }
    for (i = 0; i < shards; i++) { /* remove the remaining files */
        snprintf(path, sizeof path, "%s/model-%05u-of-%05u.safetensors", directory, (unsigned)i + 1, (unsigned)shards);
        (void)remove(path);
    }
    snprintf(path, sizeof path, "%s/model.safetensors.index.json", directory);
    CHECK(remove(path) == 0);
    CHECK(SCRATCH_DROP(directory) == 0);
    st_close(whole);
    free(file);
}

/* ---- a read that fails in one part only ----------------------------------------------------------------------------- */

typedef struct broken { /* fails reads that touch one byte; thread-safe, as it has no mutable state */
    const unsigned char *file;
    size_t n;
    uint64_t at;
} broken;

static int broken_read(void *user, uint64_t offset, void *dst, size_t bytes) {
    const broken *x = (const broken *)user;
    if (offset > x->n || bytes > x->n - offset) return 1000;
    if (x->at >= offset && x->at - offset < bytes) return 78;
    memcpy(dst, x->file + offset, bytes);
    return 0;
}

static void failing_parts(void) {
    static batch b;
    int round;
    for (round = 0; round < 1 + 39 / test_thin(); round++) {
        size_t n;
        unsigned char *file = mixed_file(30, 1, &n);
        broken x;
        st_io io;
        st_model *m;
        st_error errors[MOST_LOADS];
        st_status status[MOST_LOADS];
        seen each[MOST_LOADS];
        unsigned k, failed;
        x.file = file, x.n = n, x.at = UINT64_MAX;
        memset(&io, 0, sizeof io);
        io.user = &x;
        io.read_at = broken_read;
        io.bytes = n;
        if (!CHECK_STATUS(st_open_io(&m, &io, NULL, NULL), ST_OK)) return;
        batch_begin(&b, m, file, 40);
        CHECK_EQ(batch_parts(&b, m, 4, 0, each, status, errors), 0);
        CHECK(batch_is_there(&b));
        batch_again(&b);
        x.at = m->shards[0].data_offset + random_below(n - m->shards[0].data_offset);
        failed = batch_parts(&b, m, 4, 0, each, status, errors);
        CHECK(batch_is_there(&b) == (failed == 0));
        for (k = 0; k < 4; k++) {
            if (status[k] == ST_OK) {
                CHECK_EQ(each[k].done, each[k].total);
                continue;
            }
            CHECK_STATUS(status[k], ST_ERR_IO);
            CHECK(errors[k].sys == 78 && errors[k].item < b.count);
        }
        st_close(m);
        batch_end(&b);
        free(file);
    }
}

/* a run that ends in the middle of a byte */
static void odd_runs(int kind) {
    static const struct {
        st_dtype dtype;
        const char *name;
    } rows[] = {{ST_DTYPE_F4, "F4"}, {ST_DTYPE_F6_E2M3, "F6_E2M3"}, {ST_DTYPE_F6_E3M2, "F6_E3M2"}};
    static const unsigned char codes[6] = {0x21, 0x43, 0x65, 0x87, 0xa9, 0xcb};
    size_t i, n;
    uint64_t stop;
    test_row = source_names[kind];
    for (i = 0; i < sizeof rows / sizeof *rows; i++) {
        const size_t bytes = i == 0 ? 4 : 6;
        growing header = {NULL, 0, 0};
        unsigned char *file;
        source s;
        text_put(&header, "{\"t\":{\"dtype\":\"");
        text_put(&header, rows[i].name);
        text_put(&header, "\",\"shape\":[8],\"data_offsets\":[0,");
        text_number(&header, bytes);
        text_put(&header, "]}}");
        file = make_file(header.at, header.n, codes, bytes, &n);
        free(header.at);
        scratch_write(SOURCE_FILE, file, n);
        if (CHECK_STATUS(source_open(&s, kind, file, n, NULL), ST_OK)) {
            for (stop = 1; stop <= 8; stop++) {
                float got[9], want[8];
                uint64_t work[64];
                st_range range = {0, 0, 1};
                st_view v = {NULL, 1, NULL};
                st_load_item item;
                st_load_options o;
                memset(&o, 0, sizeof o);
                o.work.data = work;
                o.work.bytes = sizeof work;
                range.stop = stop;
                v.ranges = &range;
                memset(got, '#', sizeof got);
                memset(&item, 0, sizeof item);
                item.tensor = st_find(s.model, "t");
                item.view = &v;
                item.as = ST_DTYPE_F32;
                item.dst = got;
                item.dst_bytes = (size_t)stop * sizeof *got;
                CHECK_STATUS(st_load(s.model, &item, 1, &o, NULL), ST_OK);
                CHECK(st_convert(ST_DTYPE_F32, want, rows[i].dtype, codes, 8) == ST_OK);
                CHECK(memcmp(got, want, (size_t)stop * sizeof *got) == 0);
                CHECK(((const unsigned char *)got)[stop * sizeof *got] == '#');
            }
        }
        source_close(&s);
        free(file);
    }
    test_row = "";
}

int main(void) {
    int kind;
    scratch_begin(NAME);
    random_loads(60 / test_thin(), 0);
    random_loads(1 + 11 / test_thin(), 1);
    requests();
    balance();
    cancelling(FROM_IO, 1);
    cancelling(FROM_FILE, 1);
    cancelling(FROM_MEMORY, 2);
    cancelling(FROM_FILE_NO_MAP, 2);
    failing_reads();
    refusals();
    for (kind = 0; kind < SOURCE_KINDS; kind++) memory_of(kind);
    for (kind = 0; kind < SOURCE_KINDS; kind++) tight_buffers(kind);
    for (kind = 0; kind < SOURCE_KINDS; kind++) odd_runs(kind);
    plans();
    large_plan();
    several_files();
    failing_parts();
    scratch_remove(SOURCE_FILE);
    scratch_end();
    return test_done(NAME);
}
