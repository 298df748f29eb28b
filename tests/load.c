/* Room 16: many tensors at once, in any order, from every kind of source: the bytes of a slow model, in few requests; callbacks,
 * cancelling, every read refused, too little memory; and the plan alone. load_threads.c is the same with ST_THREADS. */
#include "../safetensors.h"

#include "large.h"
#include "random.h"
#include "slow_view.h"
#include "sources.h"

#if defined(ST_THREADS)
#define NAME "load_threads"
enum { MOST_THREADS = 4 };
#else
#define NAME "load"
enum { MOST_THREADS = 2 }; /* which come to one */
#endif

enum { MOST_ITEMS = 64 };

/* ---- files -------------------------------------------------------------------------------------------------------- */

/* adds a tensor "tN" to the header, of that dtype and rows x columns; *at: where its data begin, and where they end */
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

/* the file of a header that lacks its last brace, with random data; to be freed */
static unsigned char *finish_file(growing *header, uint64_t data_bytes, size_t *n) {
    unsigned char *file;
    size_t i;
    text_put(header, "}");
    file = text_file(header, (size_t)data_bytes, n);
    for (i = *n - (size_t)data_bytes; i < *n; i++) file[i] = (unsigned char)random_below(256);
    return file;
}

/* tensors of every dtype, most of them small, some of which need several requests where large is not 0 */
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

/* ---- items, with the bytes that they are to give ------------------------------------------------------------------ */

typedef struct batch {
    st_load_item items[MOST_ITEMS];
    st_view views[MOST_ITEMS];
    st_range ranges[MOST_ITEMS][2];
    uint32_t axes[MOST_ITEMS][2];
    unsigned char *block[MOST_ITEMS], *want[MOST_ITEMS];
    size_t want_bytes[MOST_ITEMS];
    size_t count;
    /* what the callbacks saw */
    size_t told[MOST_ITEMS], tellings, steps;
    uint64_t done, total;
    size_t cancel_telling, cancel_step; /* the call, from 1, that asks to stop; 0: none */
    int stopped;
} batch;

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
    item->status = ST_ERR_STATE; /* and not what is to be put there */
}

/* items of any tensors of a model, some twice, some in part, some as another dtype */
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
        if (slow_look(t, v, as).elements > 100000) as = ST_DTYPE_UNKNOWN; /* the slow model is slow */
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

/* makes ready for another load */
static void batch_again(batch *b) {
    size_t i;
    for (i = 0; i < b->count; i++) {
        memset(b->block[i], '#', b->want_bytes[i] + 8);
        b->items[i].status = ST_ERR_STATE;
        b->told[i] = 0;
    }
    b->tellings = b->steps = 0;
    b->done = b->total = 0;
    b->cancel_telling = b->cancel_step = 0;
    b->stopped = 0;
}

static int on_progress(void *user, uint64_t done, uint64_t total) {
    batch *b = (batch *)user;
    CHECK(!b->stopped);
    CHECK(done > b->done && done <= total && (b->total == 0 || b->total == total));
    b->done = done;
    b->total = total;
    b->steps++;
    b->stopped = b->steps == b->cancel_step;
    return b->stopped ? 5 : 0;
}

static int on_item(void *user, size_t item) {
    batch *b = (batch *)user;
    CHECK(!b->stopped);
    if (!CHECK(item < b->count)) return 1;
    CHECK_STATUS(b->items[item].status, ST_OK);
    CHECK(b->want_bytes[item] == 0 || memcmp(b->items[item].dst, b->want[item], b->want_bytes[item]) == 0);
    b->told[item]++;
    b->tellings++;
    b->stopped = b->tellings == b->cancel_telling;
    return b->stopped ? -1 : 0;
}

static st_load_options batch_options(batch *b) {
    st_load_options o;
    memset(&o, 0, sizeof o);
    o.progress = on_progress;
    o.item_done = on_item;
    o.user = b;
    return o;
}

/* how many items have ST_OK, their bytes right, and nothing past them touched; the others have a status that may be */
static size_t batch_check(const batch *b, st_status other) {
    size_t ok = 0, i, j;
    for (i = 0; i < b->count; i++) {
        const st_load_item *item = &b->items[i];
        const unsigned char *dst = (const unsigned char *)item->dst;
        const size_t n = b->want_bytes[i];
        if (item->status == ST_OK) {
            ok++;
            CHECK(n == 0 || memcmp(dst, b->want[i], n) == 0);
        } else {
            CHECK(item->status == ST_ERR_CANCELLED || item->status == other);
            CHECK_EQ(b->told[i], 0);
        }
        CHECK(b->told[i] <= 1);
        for (j = 0; dst != NULL && j < 4; j++) CHECK(dst[n + j] == '#');
        if (dst != NULL) CHECK(dst == b->block[i] || dst[-1] == '#');
    }
    return ok;
}

/* loads all, and holds it to what it must have done */
static void batch_load(batch *b, const source *s, const st_load_options *options) {
    const size_t live = s->memory.live_bytes;
    st_error error;
    size_t i;
    memset(&error, 0xee, sizeof error);
    CHECK_STATUS(st_load(s->model, b->items, b->count, options, &error), ST_OK);
    CHECK_STATUS(error.status, ST_OK);
    CHECK_EQ(batch_check(b, ST_OK), b->count);
    if (options != NULL && options->item_done != NULL) {
        CHECK_EQ(b->tellings, b->count);
        for (i = 0; i < b->count; i++) CHECK_EQ(b->told[i], 1);
        CHECK_EQ(b->done, b->total);
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
            st_load_options o = batch_options(&b);
            size_t bytes = (size_t)random_below(300000);
            void *scratch = NULL;
            if (turn > 0) o.threads = 1 + (unsigned)random_below(MOST_THREADS);
            if (kind == FROM_IO || kind == FROM_FILES) o.threads = 1; /* what counts its calls is for one thread */
            if (turn == 3) o.flags = ST_LOAD_DIRECT;
            if (turn == 2 || kind == FROM_WORK) {
                bytes += 16384 + b.count * 48;
                scratch = malloc(bytes);
                if (scratch == NULL) exit(2);
                memset(scratch, 0xa5, bytes);
                o.scratch = (char *)scratch + (bytes & 7);
                o.scratch_bytes = bytes - (bytes & 7);
            }
            batch_again(&b);
            batch_load(&b, &s, &o);
            free(scratch);
        }
        batch_end(&b);
        source_close(&s);
        free(file);
    }
    test_row = "";
}

/* ---- requests ------------------------------------------------------------------------------------------------------ */

#define MIB ((uint64_t)1 << 20)

/* loads the tensors first, first + step ... in reverse order, and says how many requests that took */
static size_t requests_for(const unsigned char *file, size_t n, size_t first, size_t step, st_dtype as,
                           uint64_t *bytes) {
    const uint16_t one = 1;
    const int little = *(const unsigned char *)&one; /* as files are */
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
            CHECK_STATUS(items[i].status, ST_OK);
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
    CHECK_EQ(requests_for(file, n, 0, 1, ST_DTYPE_UNKNOWN, &bytes), 1); /* all of them fit in one */
    CHECK_EQ(bytes, at);
    CHECK_EQ(requests_for(file, n, 0, 1, ST_DTYPE_F32, &bytes), 1);
    CHECK_EQ(requests_for(file, n, 0, 2, ST_DTYPE_UNKNOWN, &bytes),
             2); /* the buffer is of as many bytes as are wanted */
    CHECK(bytes <= at);
    CHECK_EQ(requests_for(file, n, 3, 100, ST_DTYPE_UNKNOWN, &bytes), 10); /* too far apart */
    CHECK_EQ(bytes, 10 * 4096);
    free(file);
    at = 0;
    for (i = 0; i < 3; i++) add_tensor(&header, i, ST_DTYPE_BF16, 1024, 3072, &at); /* 6 MiB each */
    add_tensor(&header, 3, ST_DTYPE_BF16, 5000, 2000, &at);                         /* 20 million */
    file = finish_file(&header, at, &n);
    CHECK_EQ(requests_for(file, n, 0, 1, ST_DTYPE_UNKNOWN, &bytes), 3 + 3);
    CHECK_EQ(bytes, at);
    CHECK_EQ(requests_for(file, n, 0, 1, ST_DTYPE_F32, &bytes), 3 + 3);
    CHECK_EQ(bytes, at);
    CHECK_EQ(requests_for(file, n, 1, 2, ST_DTYPE_UNKNOWN, &bytes), 2);
    free(file);
}

/* ---- callbacks that stop ----------------------------------------------------------------------------------------- */

static void cancelling(int kind, int threads) {
    static batch b;
    size_t n, tellings, steps, at;
    unsigned char *file = mixed_file(30, 1, &n);
    source s;
    st_error error;
    scratch_write(SOURCE_FILE, file, n);
    test_row = source_names[kind];
    if (CHECK_STATUS(source_open(&s, kind, file, n, NULL), ST_OK)) {
        st_load_options o = batch_options(&b);
        batch_begin(&b, s.model, file, 40);
        o.threads = (unsigned)threads;
        batch_load(&b, &s, &o);
        tellings = b.tellings;
        steps = threads > 1 ? 3 : b.steps; /* how many there are is no longer certain */
        for (at = 1; at <= tellings; at++) {
            batch_again(&b);
            b.cancel_telling = at;
            CHECK_STATUS(st_load(s.model, b.items, b.count, &o, &error), ST_ERR_CANCELLED);
            check_error(&error, ST_ERR_CANCELLED, source_prefix(kind));
            CHECK_EQ(b.tellings, at);
            CHECK(batch_check(&b, ST_ERR_CANCELLED) >= at);
        }
        for (at = 1; at <= steps; at++) {
            batch_again(&b);
            b.cancel_step = at;
            CHECK_STATUS(st_load(s.model, b.items, b.count, &o, &error), ST_ERR_CANCELLED);
            CHECK_EQ(b.steps, at);
            (void)batch_check(&b, ST_ERR_CANCELLED);
        }
        o.item_done = NULL, o.progress = NULL;
        batch_again(&b);
        batch_load(&b, &s, &o);
        CHECK_EQ(b.tellings + b.steps, 0);
        batch_end(&b);
    }
    source_close(&s);
    free(file);
    test_row = "";
}

/* ---- reads that fail ----------------------------------------------------------------------------------------------- */

static void failing_reads(void) {
    static batch b;
    size_t n, calls, fail;
    int forever;
    unsigned char *file = mixed_file(30, 1, &n);
    source s;
    st_error error;
    if (CHECK_STATUS(source_open(&s, FROM_IO, file, n, NULL), ST_OK)) {
        const st_load_options o = batch_options(&b);
        batch_begin(&b, s.model, file, 40);
        s.served.calls = 0;
        batch_load(&b, &s, &o);
        calls = s.served.calls;
        CHECK(calls > 2);
        for (forever = 0; forever < 2; forever++) {
            for (fail = 1; fail <= calls; fail++) {
                const size_t live = s.memory.live_bytes;
                size_t i, failed = 0;
                batch_again(&b);
                s.served.calls = 0;
                s.served.fail_at = fail;
                s.served.fail_forever = forever;
                CHECK_STATUS(st_load(s.model, b.items, b.count, &o, &error), ST_ERR_IO);
                check_error(&error, ST_ERR_IO, source_prefix(FROM_IO));
                CHECK_EQ(error.sys, 77);
                CHECK(error.position < n && error.subject[0] == 't');
                CHECK_EQ(s.served.calls, fail);
                CHECK_EQ(batch_check(&b, ST_ERR_IO), b.tellings);
                for (i = 0; i < b.count; i++) failed += b.items[i].status == ST_ERR_IO;
                CHECK(failed > 0);
                CHECK_EQ(s.memory.live_bytes, live);
            }
        }
        s.served.fail_at = 0;
        batch_end(&b);
    }
    source_close(&s);
    free(file);
}

/* ---- what is refused ----------------------------------------------------------------------------------------------- */

static void refusals(void) {
    static batch b;
    static const st_range past[1] = {{0, UINT64_MAX - 1, 1}};
    st_view wrong;
    size_t n, i;
    unsigned char *file = mixed_file(20, 0, &n);
    source s;
    st_error error;
    st_load_options o = batch_options(&b);
    memset(&wrong, 0, sizeof wrong);
    wrong.ranges = past;
    wrong.range_count = 1;
    if (CHECK_STATUS(source_open(&s, FROM_IO, file, n, NULL), ST_OK)) {
        batch_begin(&b, s.model, file, 20);
        CHECK_STATUS(st_load(NULL, b.items, 1, &o, &error), ST_ERR_ARGUMENT);
        CHECK_STATUS(st_load(s.model, NULL, 1, &o, &error), ST_ERR_ARGUMENT);
        CHECK_STATUS(st_load(s.model, NULL, 0, &o, &error), ST_OK);
        CHECK_STATUS(st_load(s.model, NULL, 0, NULL, NULL), ST_OK);
        o.flags = 2;
        CHECK_STATUS(st_load(s.model, b.items, b.count, &o, &error), ST_ERR_ARGUMENT);
        o.flags = 0;
        for (i = 0; i < b.count; i++) CHECK_STATUS(b.items[i].status, ST_ERR_STATE);
        s.served.calls = 0;
        for (i = 0; i < b.count; i++) {
            st_tensor foreign = *b.items[i].tensor;
            int fault;
            for (fault = 0; fault < 5; fault++) {
                const st_load_item good = b.items[i];
                st_status want = ST_ERR_ARGUMENT;
                size_t j;
                batch_again(&b);
                foreign.offset = UINT64_MAX;
                if (fault == 0) b.items[i].tensor = NULL;
                if (fault == 1) b.items[i].tensor = &foreign;
                if (fault == 2) b.items[i].view = &wrong;
                if (fault == 3) b.items[i].as = (st_dtype)99;
                if (fault == 4 && good.dst_bytes > 0) b.items[i].dst_bytes--;
                if (fault == 4 && good.dst_bytes == 0) want = ST_OK;
                CHECK_STATUS(st_load(s.model, b.items, b.count, &o, &error), want);
                for (j = 0; j < b.count && want != ST_OK; j++) {
                    CHECK_STATUS(b.items[j].status, j == i ? want : ST_ERR_CANCELLED);
                    CHECK(b.items[j].dst == NULL || *(unsigned char *)b.items[j].dst == '#');
                }
                if (want != ST_OK) check_text(error.message, sizeof error.message);
                if (want != ST_OK) CHECK_EQ(b.tellings, 0);
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
    unsigned char *file = mixed_file(30, 1, &n), *scratch;
    source s;
    st_error error;
    test_row = source_names[kind];
    scratch_write(SOURCE_FILE, file, n);
    if (CHECK_STATUS(source_open(&s, kind, file, n, NULL), ST_OK)) {
        st_load_options o = batch_options(&b);
        char probe[1];
        batch_begin(&b, s.model, file, 30);
        o.scratch = probe;
        o.scratch_bytes = sizeof probe;
        CHECK_STATUS(st_load(s.model, b.items, b.count, &o, &error), ST_ERR_MEMORY);
        CHECK_EQ(error.actual, 1);
        CHECK(error.expected >= b.count * 48 && error.expected < b.count * 48 + 2048 + 256);
        CHECK_EQ(b.tellings, 0);
        bytes = (size_t)error.expected + 8;
        scratch = (unsigned char *)malloc(bytes);
        if (scratch == NULL) exit(2);
        o.scratch = scratch; /* malloc's alignment differs from probe's */
        CHECK_STATUS(st_load(s.model, b.items, b.count, &o, &error), ST_ERR_MEMORY);
        bytes = (size_t)error.expected;
        free(scratch);
        scratch = (unsigned char *)malloc(bytes);
        if (scratch == NULL) exit(2);
        o.scratch = scratch;
        o.scratch_bytes = bytes - 1;
        CHECK_STATUS(st_load(s.model, b.items, b.count, &o, &error), ST_ERR_MEMORY);
        CHECK_EQ(error.expected, bytes);
        o.scratch_bytes = bytes;
        o.flags = ST_LOAD_DIRECT; /* for which there is no room */
        batch_again(&b);
        batch_load(&b, &s, &o);
        free(scratch);
        o.scratch = NULL;
        if (kind != FROM_WORK) {
            const size_t live = s.memory.live_bytes;
            s.memory.peak_bytes = live;
            batch_again(&b);
            batch_load(&b, &s, &o);
            CHECK(s.memory.peak_bytes > live);
            CHECK(s.memory.peak_bytes - live <= b.count * 48 + 2048 + 8 * MIB + 16384);
            s.memory.calls = 0;
            s.memory.fail_at = 1;
        }
        batch_again(&b);
        CHECK_STATUS(st_load(s.model, b.items, b.count, &o, &error),
                     ST_ERR_MEMORY); /* a work buffer has no allocator */
        CHECK(error.expected > b.count * 48);
        CHECK_EQ(batch_check(&b, ST_ERR_CANCELLED), 0);
        batch_end(&b);
    }
    source_close(&s);
    free(file);
    test_row = "";
}

/* ---- the plan ------------------------------------------------------------------------------------------------------ */

static void plans(void) {
    static batch b;
    static st_extent stretches[60000];
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
        for (i = 0; i < b.count;) { /* one that converts is refused, and the last takes its place */
            st_load_item *item = &b.items[i];
            if (item->as == ST_DTYPE_UNKNOWN || item->as == item->tensor->dtype) {
                i++;
                continue;
            }
            CHECK_STATUS(st_plan_load(s.model, item, 1, most, stretches, 1, NULL, &error), ST_ERR_UNSUPPORTED);
            check_error(&error, ST_ERR_UNSUPPORTED, source_prefix(FROM_IO));
            free(b.block[i]);
            free(b.want[i]);
            b.count--;
            *item = b.items[b.count];
            b.block[i] = b.block[b.count];
            b.want[i] = b.want[b.count];
            b.want_bytes[i] = b.want_bytes[b.count];
        }
        CHECK_STATUS(st_plan_load(s.model, b.items, b.count, most, stretches, sizeof stretches / sizeof *stretches,
                                  &needed, &error),
                     ST_OK);
        for (i = 0; i < needed; i++) {
            const st_extent *x = &stretches[i];
            CHECK(x->bytes > 0 && (most == 0 || x->bytes <= most));
            if (i > 0) CHECK(x->offset >= x[-1].offset);
            CHECK(x->shard == 0 && x->item < b.count && x->offset + x->bytes <= n);
            CHECK(x->to + x->bytes <= b.want_bytes[x->item]);
            memcpy((char *)b.items[x->item].dst + x->to, file + x->offset, (size_t)x->bytes);
        }
        for (i = 0; i < b.count; i++) {
            const st_tensor *t = b.items[i].tensor;
            slow_view w = slow_look(t, b.items[i].view, ST_DTYPE_UNKNOWN);
            CHECK_STATUS(b.items[i].status, ST_ERR_STATE); /* not looked at */
            if (st_dtype_bits(t->dtype) == 8)
                CHECK(w.bytes == 0 || memcmp(b.items[i].dst, b.want[i], (size_t)w.bytes) == 0);
        }
        if (needed > 0) {
            room = (size_t)random_below(needed);
            CHECK_STATUS(st_plan_load(s.model, b.items, b.count, most, stretches, room, &i, &error), ST_ERR_ARGUMENT);
            CHECK_EQ(i, needed);
            CHECK_EQ(error.expected, needed);
        }
        CHECK_STATUS(st_plan_load(NULL, b.items, 1, 0, stretches, 1, &i, &error), ST_ERR_ARGUMENT);
        CHECK_STATUS(st_plan_load(s.model, NULL, 1, 0, stretches, 1, &i, &error), ST_ERR_ARGUMENT);
        CHECK_STATUS(st_plan_load(s.model, b.items, b.count, 0, NULL, 1, NULL, NULL), ST_ERR_ARGUMENT);
        CHECK_EQ(s.served.calls, 0);
        batch_end(&b);
        source_close(&s);
        free(file);
    }
}

/* ---- a model of several files -------------------------------------------------------------------------------------- */

/* items of all of them, in any order; mapped, and by position */
static void several_files(void) {
    static batch b;
    char directory[160], path[256];
    size_t n, i, shards = 0;
    unsigned char *file = mixed_file(40, 1, &n);
    st_model *whole, *m;
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
    CHECK_STATUS(st_save_sharded(directory, whole->tensors, whole->count, NULL, 0, &save, &error), ST_OK);
    for (turn = 0; turn < 4; turn++) {
        options.flags = turn % 2 > 0 ? ST_OPEN_NO_MAP : 0u;
        if (!CHECK_STATUS(st_open(&m, directory, &options, &error), ST_OK)) break;
        shards = m->shard_count;
        CHECK(shards > 2 && m->count == whole->count);
        memset(&b, 0, sizeof b);
        for (i = 0; i < MOST_ITEMS; i++) { /* what is wanted of them is known from the file that they came from */
            const st_tensor *t = &whole->tensors[random_below(whole->count)];
            if (t->bytes > 200000) continue;
            batch_item(&b, t, file, NULL, ST_DTYPE_UNKNOWN);
            b.items[b.count - 1].tensor = st_find(m, t->name);
        }
        {
            st_load_options o = batch_options(&b);
            st_extent stretches[MOST_ITEMS];
            size_t needed;
            o.threads = MOST_THREADS;
            o.flags = turn > 1 ? ST_LOAD_DIRECT : 0u;
            CHECK_STATUS(st_load(m, b.items, b.count, &o, &error), ST_OK);
            CHECK_EQ(batch_check(&b, ST_OK), b.count);
            CHECK_EQ(b.tellings, b.count);
            CHECK_STATUS(st_plan_load(m, b.items, b.count, 0, stretches, MOST_ITEMS, &needed, &error), ST_OK);
            for (i = 1; i < needed; i++) {
                const st_extent *x = &stretches[i];
                CHECK(x[-1].shard < x->shard || (x[-1].shard == x->shard && x[-1].offset <= x->offset));
            }
            b.items[0].tensor = NULL;
            CHECK_STATUS(st_load(m, b.items, b.count, &o, &error), ST_ERR_ARGUMENT);
            CHECK_STATUS(b.items[1].status, ST_ERR_CANCELLED);
        }
        batch_end(&b);
        for (i = 0; turn == 3 && i < shards; i++) {
            snprintf(path, sizeof path, "%s", m->shards[i].path);
#if !defined(_WIN32)
            CHECK(remove(path) == 0);
#endif
        }
#if !defined(_WIN32)
        for (i = 0; turn == 3 && i < m->count; i++) { /* their names are gone; the model holds what they named */
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
    for (i = 0; i < shards; i++) { /* what is left of them */
        snprintf(path, sizeof path, "%s/model-%05u-of-%05u.safetensors", directory, (unsigned)i + 1, (unsigned)shards);
        (void)remove(path);
    }
    snprintf(path, sizeof path, "%s/model.safetensors.index.json", directory);
    CHECK(remove(path) == 0);
    CHECK(SCRATCH_DROP(directory) == 0);
    st_close(whole);
    free(file);
}

#if defined(ST_THREADS)
/* ---- a read that fails while others are under way ------------------------------------------------------------------ */

typedef struct broken { /* says no to what touches one byte, and to nothing else; nothing in it changes */
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

static void failing_threads(void) {
    static batch b;
    int round;
    for (round = 0; round < 40; round++) {
        size_t n;
        unsigned char *file = mixed_file(30, 1, &n);
        broken x;
        st_io io;
        st_model *m;
        st_error error;
        st_load_options o = batch_options(&b);
        st_status status;
        x.file = file, x.n = n, x.at = UINT64_MAX;
        memset(&io, 0, sizeof io);
        io.user = &x;
        io.read_at = broken_read;
        io.bytes = n;
        if (!CHECK_STATUS(st_open_io(&m, &io, NULL, &error), ST_OK)) return;
        batch_begin(&b, m, file, 40);
        o.threads = 4;
        CHECK_STATUS(st_load(m, b.items, b.count, &o, &error), ST_OK);
        CHECK_EQ(batch_check(&b, ST_OK), b.count);
        batch_again(&b);
        x.at = m->shards[0].data_offset + random_below(n - m->shards[0].data_offset);
        status = st_load(m, b.items, b.count, &o, &error);
        CHECK(status == ST_OK || status == ST_ERR_IO);
        if (status == ST_ERR_IO) CHECK_EQ(error.sys, 78);
        CHECK(batch_check(&b, ST_ERR_IO) == b.count || status == ST_ERR_IO);
        st_close(m);
        batch_end(&b);
        free(file);
    }
}
#endif

/* a run that ends within a byte, of which the rest is no element of it */
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
                unsigned char scratch[16384];
                st_range range = {0, 0, 1};
                st_view v = {NULL, 1, NULL};
                st_load_item item;
                st_load_options o;
                memset(&o, 0, sizeof o);
                o.scratch = scratch;
                o.scratch_bytes = sizeof scratch;
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
    cancelling(FROM_IO, 1);
    cancelling(FROM_FILE, 1);
    cancelling(FROM_MEMORY, MOST_THREADS);
    cancelling(FROM_FILE_NO_MAP, MOST_THREADS);
    failing_reads();
    refusals();
    for (kind = 0; kind < SOURCE_KINDS; kind++) memory_of(kind);
    for (kind = 0; kind < SOURCE_KINDS; kind++) odd_runs(kind);
    plans();
    several_files();
#if defined(ST_THREADS)
    failing_threads();
#endif
    scratch_remove(SOURCE_FILE);
    scratch_end();
    return test_done(NAME);
}
