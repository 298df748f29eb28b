/* Tests room 16, views: slices and permutations, converted or not, from every kind of source, compared with a slow
 * model; and the number of read requests for data that is not in memory. */
#ifdef __linux__
#define _GNU_SOURCE 1
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>
#endif
#include "../safetensors.h"

#include "large.h"
#include "random.h"
#include "slow_view.h"
#include "sources.h"

/* returns a file with one tensor "t" of random bytes; the caller frees it */
static unsigned char *one_tensor(st_dtype dtype, uint32_t rank, const uint64_t *shape, size_t *n) {
    growing header = {NULL, 0, 0};
    uint64_t bits = st_dtype_bits(dtype);
    unsigned char *data, *file;
    uint32_t i;
    size_t bytes;
    text_put(&header, "{\"before\":{\"dtype\":\"U8\",\"shape\":[3],\"data_offsets\":[0,3]},\"t\":{\"dtype\":\"");
    text_put(&header, st_dtype_name(dtype));
    text_put(&header, "\",\"shape\":[");
    for (i = 0; i < rank; i++) {
        if (i > 0) text_put(&header, ",");
        text_number(&header, shape[i]);
        bits *= shape[i];
    }
    bytes = (size_t)(bits / 8);
    text_put(&header, "],\"data_offsets\":[3,");
    text_number(&header, 3 + bytes);
    text_put(&header, "]}}");
    data = (unsigned char *)malloc(3 + bytes);
    if (data == NULL) exit(2);
    random_bytes(data, 3 + bytes);
    file = make_file(header.at, header.n, data, 3 + bytes, n);
    free(data);
    free(header.at);
    return file;
}

/* reads a view, compares it with the slow model, and returns the status; dst has the exact size or more, at any
 * alignment */
static st_status check_view(const source *s, const unsigned char *file, const st_view *v, st_dtype as) {
    const st_tensor *t = st_find(s->model, "t");
    const slow_view want = slow_look(t, v, as);
    const size_t more = (size_t)random_below(2) * 3, past = (size_t)random_below(3);
    uint64_t shape[SLOW_RANK], elements = 99;
    unsigned char *block, *dst, *slow;
    st_error error;
    st_status status;
    uint32_t i;
    memset(&error, 0xee, sizeof error);
    CHECK_STATUS(st_view_shape(t, v, shape, &elements, &error), want.shape_status);
    CHECK_STATUS(error.status, want.shape_status);
    if (want.shape_status == ST_OK) {
        CHECK_EQ(elements, want.elements);
        for (i = 0; i < t->rank; i++) CHECK_EQ(shape[i], want.shape[i]);
    } else {
        CHECK_EQ(elements, 99);
        CHECK_STR(error.subject, "t");
    }
    block = (unsigned char *)malloc(past + (size_t)want.bytes + more + 1);
    slow = (unsigned char *)malloc((size_t)want.bytes + 1);
    if (block == NULL || slow == NULL) exit(2);
    memset(block, '#', past + (size_t)want.bytes + more + 1);
    dst = block + past;
    memset(&error, 0xee, sizeof error);
    if (want.status == ST_OK && want.bytes > 0) {
        CHECK_STATUS(st_read_as(s->model, t, v, as, dst, (size_t)want.bytes - 1, &error), ST_ERR_ARGUMENT);
        CHECK_EQ(error.expected, want.bytes);
        CHECK_EQ(error.actual, want.bytes - 1);
        CHECK_EQ(dst[0], '#');
    }
    status = st_read_as(s->model, t, v, as, dst, (size_t)want.bytes + more, &error);
    CHECK_STATUS(status, want.status);
    check_error(&error, status, source_prefix(s->kind));
    if (status == ST_OK && want.status == ST_OK) {
        slow_give(file + t->offset, t, v, as, &want, slow);
        CHECK(memcmp(dst, slow, (size_t)want.bytes) == 0);
    } else {
        CHECK(want.bytes == 0 || dst[0] == '#');
        CHECK_STR(error.subject, "t");
    }
    for (i = 0; i <= more; i++) CHECK_EQ(dst[want.bytes + i], '#');
    for (i = 0; i < past; i++) CHECK_EQ(block[i], '#');
    free(slow);
    free(block);
    return status;
}

/* ---- random tensors and views --------------------------------------------------------------------------------- */

enum { MOST_RANK = 6 };

typedef struct random_view {
    st_view view;
    st_range ranges[MOST_RANK + 1];
    uint32_t axes[MOST_RANK + 1];
} random_view;

static void make_view(random_view *r, const st_tensor *t) {
    uint32_t i, j, axis;
    memset(r, 0, sizeof *r);
    r->view.ranges = r->ranges;
    r->view.range_count = (uint32_t)random_below((uint64_t)t->rank + 1);
    if (random_below(40) == 0) r->view.range_count++; /* may exceed the number of dimensions */
    for (i = 0; i < r->view.range_count && i < t->rank; i++) {
        const uint64_t extent = t->shape[i];
        st_range *range = &r->ranges[i];
        static const uint64_t far_away[] = {UINT64_MAX, UINT64_MAX - 1, UINT64_MAX / 2, 1000};
        range->stop = UINT64_MAX;
        if (random_below(3) > 0) {
            range->start = random_below(extent + 1);
            range->stop = range->start + random_below(extent - range->start + 1);
        }
        if (st_dtype_bits(t->dtype) < 8 && random_below(2) > 0) { /* so that some views cover whole bytes */
            range->start = range->start / 4 * 4;
            if (range->stop != UINT64_MAX) range->stop = range->stop / 4 * 4;
            if (range->stop < range->start) range->stop = range->start;
        }
        range->step = random_below(3) > 0 ? random_below(4) : random_below(extent + 2);
        if (random_below(12) == 0) range->step = far_away[random_below(4)];
        if (random_below(60) == 0) range->start = far_away[random_below(4)];
        if (random_below(60) == 0) range->stop = far_away[random_below(4)];
    }
    for (i = 0; i < t->rank; i++) r->axes[i] = i;
    for (i = t->rank; i > 1; i--) {
        j = (uint32_t)random_below(i);
        axis = r->axes[i - 1], r->axes[i - 1] = r->axes[j], r->axes[j] = axis;
    }
    i = (uint32_t)random_below((uint64_t)t->rank + 1);
    if (t->rank > 0 && random_below(40) == 0) r->axes[random_below(t->rank)] = i;
    if (random_below(3) > 0) r->view.axes = r->axes;
}

/* makes a shape whose data is whole bytes; changes *dtype to BF16 where a scalar's would not be */
static uint32_t make_shape(st_dtype *dtype, uint64_t *shape) {
    static const uint64_t extents[] = {1, 1, 2, 2, 3, 4, 5, 7, 8, 12, 33, 70};
    uint32_t rank = (uint32_t)random_below(MOST_RANK + 1), i;
    uint64_t elements = 1;
    for (i = 0; i < rank; i++) {
        shape[i] = extents[random_below(elements > 300 ? 4 : 12)];
        if (random_below(60) == 0) shape[i] = 0;
        elements *= shape[i];
    }
    if (elements * st_dtype_bits(*dtype) % 8 != 0) {
        if (rank == 0) {
            *dtype = ST_DTYPE_BF16;
        } else {
            shape[random_below(rank)] *= 4;
        }
    }
    return rank;
}

/* picks a target dtype; half of the time the stored one */
static st_dtype make_target(void) {
    return random_below(2) > 0 ? ST_DTYPE_UNKNOWN : (st_dtype)(1 + random_below(22));
}

static void random_views(int rounds, int views) {
    unsigned long read = 0, refused[ST_ERR_STATE + 1] = {0};
    int round, view, kind;
    for (round = 0; round < rounds; round++) {
        uint64_t shape[MOST_RANK];
        st_dtype dtype = (st_dtype)(1 + round % 22); /* each of them, however few rounds there are */
        const uint32_t rank = make_shape(&dtype, shape);
        size_t n;
        unsigned char *file = one_tensor(dtype, rank, shape, &n);
        scratch_write(SOURCE_FILE, file, n);
        kind = round % SOURCE_KINDS;
        {
            source s;
            test_row = source_names[kind];
            if (!CHECK_STATUS(source_open(&s, kind, file, n, NULL), ST_OK)) return;
            for (view = 0; view < views; view++) {
                const st_tensor *t = st_find(s.model, "t");
                const size_t before = s.served.reads;
                random_view v;
                st_status status;
                st_dtype as;
                int whole;
                make_view(&v, t);
                as = make_target(); /* not in an argument list, whose order is unspecified */
                whole = random_below(20) == 0;
                status = check_view(&s, file, whole ? NULL : &v.view, as);
                read += status == ST_OK;
                refused[status]++;
                if (t->bytes <= 65536) CHECK(s.served.reads - before <= 1);
            }
            source_close(&s);
        }
        free(file);
    }
    test_row = "";
    CHECK(read > (unsigned long)rounds * (unsigned long)views / 3); /* enough views must be valid */
    CHECK(refused[ST_ERR_ARGUMENT] > 0 && refused[ST_ERR_SUBBYTE] > 0 && refused[ST_ERR_UNSUPPORTED] > 0);
}

/* ---- read requests ---------------------------------------------------------------------------------------------- */

typedef struct cost {
    const char *name;
    st_dtype dtype;
    uint64_t shape[3];
    uint32_t rank;
    st_range ranges[3];
    uint32_t axes[3];
    int permuted;
    st_dtype as;
    size_t most; /* limit of requests */
    uint64_t most_bytes;
} cost;

#define ALL \
    { 0, UINT64_MAX, 1 }
#define MIB ((uint64_t)1 << 20)
static const cost costs[] = {
    {"whole", ST_DTYPE_F32, {1024, 1024}, 2, {ALL, ALL}, {0, 1}, 0, ST_DTYPE_UNKNOWN, 1, 4 * MIB},
    {"a block of rows", ST_DTYPE_F32, {1024, 1024}, 2, {{100, 400, 1}, ALL}, {0, 1}, 0, ST_DTYPE_F32, 1, 300 * 4096},
    {"one row, converted", ST_DTYPE_BF16, {1024, 2048}, 2, {{77, 78, 1}, ALL}, {0, 1}, 0, ST_DTYPE_F32, 1, 4096},
    {"whole, converted", ST_DTYPE_BF16, {1024, 2048}, 2, {ALL, ALL}, {0, 1}, 0, ST_DTYPE_F32, 4, 4 * MIB},
    {"every second row",
     ST_DTYPE_F32,
     {1024, 1024},
     2,
     {{0, UINT64_MAX, 2}, ALL},
     {0, 1},
     0,
     ST_DTYPE_UNKNOWN,
     5,
     4 * MIB},
    {"a few columns", ST_DTYPE_F32, {1024, 1024}, 2, {ALL, {10, 26, 1}}, {0, 1}, 0, ST_DTYPE_UNKNOWN, 5, 4 * MIB},
    {"every third column",
     ST_DTYPE_U8,
     {2048, 2048},
     2,
     {ALL, {1, UINT64_MAX, 3}},
     {0, 1},
     0,
     ST_DTYPE_F16,
     5,
     4 * MIB},
    {"rows far apart",
     ST_DTYPE_F32,
     {1024, 1024},
     2,
     {{5, UINT64_MAX, 100}, ALL},
     {0, 1},
     0,
     ST_DTYPE_UNKNOWN,
     11,
     11 * 4096},
    {"rows far apart, converted",
     ST_DTYPE_F32,
     {1024, 1024},
     2,
     {{5, UINT64_MAX, 100}, ALL},
     {0, 1},
     0,
     ST_DTYPE_F64,
     11,
     11 * 4096},
    {"long rows", ST_DTYPE_F32, {32, 32768}, 2, {{0, UINT64_MAX, 2}, ALL}, {0, 1}, 0, ST_DTYPE_UNKNOWN, 16, 2 * MIB},
    {"transposed", ST_DTYPE_F32, {1024, 1024}, 2, {ALL, ALL}, {1, 0}, 1, ST_DTYPE_UNKNOWN, 5, 4 * MIB},
    {"transposed and converted", ST_DTYPE_BF16, {1000, 2100}, 2, {ALL, ALL}, {1, 0}, 1, ST_DTYPE_F32, 5, 5 * MIB},
    {"transposed, rows longer than a request",
     ST_DTYPE_U8,
     {3, 1500000},
     2,
     {ALL, ALL},
     {1, 0},
     1,
     ST_DTYPE_UNKNOWN,
     6,
     5 * MIB},
    {"transposed, half of the rows",
     ST_DTYPE_F64,
     {700, 700},
     2,
     {{1, UINT64_MAX, 2}, ALL},
     {1, 0},
     1,
     ST_DTYPE_F32,
     5,
     4 * MIB},
    {"three axes turned", ST_DTYPE_U16, {60, 180, 200}, 3, {ALL, ALL, ALL}, {2, 0, 1}, 1, ST_DTYPE_I64, 6, 5 * MIB},
    {"three axes, a box of them turned",
     ST_DTYPE_U16,
     {60, 180, 200},
     3,
     {{3, 50, 1}, {9, 100, 3}, {1, 190, 2}},
     {1, 2, 0},
     1,
     ST_DTYPE_UNKNOWN,
     5,
     4 * MIB},
    {"four bits, turned", ST_DTYPE_F4, {1501, 2002}, 2, {ALL, {1, UINT64_MAX, 1}}, {1, 0}, 1, ST_DTYPE_F16, 3, 2 * MIB},
    {"six bits", ST_DTYPE_F6_E3M2, {1501, 2004}, 2, {{3, 1400, 3}, {1, 2001, 1}}, {0, 1}, 0, ST_DTYPE_F32, 4, 3 * MIB},
    {"six bits, whole bytes of rows",
     ST_DTYPE_F6_E2M3,
     {1501, 2004},
     2,
     {{3, 1400, 3}, {4, 2000, 1}},
     {0, 1},
     0,
     ST_DTYPE_UNKNOWN,
     4,
     3 * MIB},
};
#undef ALL

/* reads merge nearby pieces, and skip large gaps */
static void request_costs(void) {
    size_t i;
    for (i = 0; i < sizeof costs / sizeof *costs; i++) {
        const cost *c = &costs[i];
        st_view v;
        source s;
        size_t n, before;
        uint64_t bytes_before;
        unsigned char *file = one_tensor(c->dtype, c->rank, c->shape, &n);
        test_row = c->name;
        v.ranges = c->ranges;
        v.range_count = c->rank;
        v.axes = c->permuted ? c->axes : NULL;
        if (CHECK_STATUS(source_open(&s, FROM_IO, file, n, NULL), ST_OK)) {
            const size_t live = s.memory.live_bytes;
            before = s.served.reads;
            bytes_before = s.served.read_bytes;
            CHECK_STATUS(check_view(&s, file, &v, c->as), ST_OK);
            CHECK(s.served.reads > before && s.served.reads - before <= c->most);
            CHECK(s.served.read_bytes - bytes_before <= c->most_bytes);
            CHECK(s.memory.peak_bytes <= live + MIB || s.memory.calls <= 2);
            CHECK_EQ(s.memory.live_bytes, live);
        }
        source_close(&s);
        if (CHECK_STATUS(source_open(&s, FROM_MEMORY, file, n, NULL), ST_OK)) {
            const size_t calls = s.memory.calls;
            CHECK_STATUS(check_view(&s, file, &v, c->as), ST_OK);
            CHECK_EQ(s.memory.calls, calls);
        }
        source_close(&s);
        free(file);
    }
    test_row = "";
}

/* views that are read in blocks along an axis, of which the last may be shorter: every buffer size, every axis */
static void blocks(void) {
    static const uint64_t shape[3] = {5, 23, 20};
    static const uint32_t orders[4][3] = {{0, 1, 2}, {2, 1, 0}, {1, 2, 0}, {0, 2, 1}};
    size_t n, k, bytes;
    unsigned char *file = one_tensor(ST_DTYPE_F4, 3, shape, &n);
    for (k = 0; k < 4; k++) {
        for (bytes = 256; bytes < 700; bytes += 7) {
            source s;
            st_view v;
            st_load_item item;
            st_load_options o;
            uint64_t work[100];
            unsigned char got[5 * 23 * 20 * 4], want[5 * 23 * 20 * 4];
            memset(&v, 0, sizeof v);
            memset(&item, 0, sizeof item);
            memset(&o, 0, sizeof o);
            if (!CHECK_STATUS(source_open(&s, FROM_IO, file, n, NULL), ST_OK)) return;
            v.axes = orders[k];
            item.tensor = st_find(s.model, "t");
            item.as = ST_DTYPE_F32;
            item.dst = got;
            item.dst_bytes = sizeof got;
            item.view = &v;
            o.work.data = work;
            o.work.bytes = 40 + bytes;
            CHECK_STATUS(st_load(s.model, &item, 1, &o, NULL), ST_OK);
            CHECK_STATUS(st_read_as(s.model, item.tensor, &v, ST_DTYPE_F32, want, sizeof want, NULL), ST_OK);
            CHECK(memcmp(got, want, sizeof got) == 0);
            source_close(&s);
        }
    }
    free(file);
}

#ifdef __linux__
/* drops the file from the page cache; it must not be mapped */
static void evict(void) {
    const int file = open(scratch_path(SOURCE_FILE), O_RDONLY);
    CHECK(file >= 0 && fsync(file) == 0 && posix_fadvise(file, 0, 0, POSIX_FADV_DONTNEED) == 0);
    close(file);
}

static int is_cold(const void *at) {
    const uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
    unsigned char resident = 1;
    CHECK(mincore((void *)((uintptr_t)at / page * page), 1, &resident) == 0);
    return (resident & 1) == 0;
}

/* a view of a cold mapping prefetches the next part */
static void cold(void) {
    static const struct {
        const char *name;
        st_dtype dtype, as;
        uint64_t shape[3];
        st_range ranges[3];
        uint32_t axes[3];
    } rows[] = {
        {"every fifth row",
         ST_DTYPE_BF16,
         ST_DTYPE_UNKNOWN,
         {1, 3000, 2048},
         {{0, 1, 1}, {2, 2999, 5}, {0, 2048, 1}},
         {0, 1, 2}},
        {"a quarter of the columns",
         ST_DTYPE_F32,
         ST_DTYPE_UNKNOWN,
         {2, 900, 2048},
         {{0, 2, 1}, {0, 900, 1}, {512, 1024, 1}},
         {0, 1, 2}},
        {"turned", ST_DTYPE_BF16, ST_DTYPE_UNKNOWN, {3, 900, 2048}, {{0, 3, 1}, {0, 900, 3}, {0, 2048, 1}}, {2, 0, 1}},
        {"as F32", ST_DTYPE_F4, ST_DTYPE_F32, {1, 5000, 4096}, {{0, 1, 1}, {1, 5000, 7}, {3, 4096, 1}}, {0, 1, 2}},
        {"few, far apart",
         ST_DTYPE_U8,
         ST_DTYPE_UNKNOWN,
         {80, 400, 512},
         {{0, 80, 9}, {0, 400, 2}, {0, 512, 1}},
         {0, 1, 2}},
    };
    size_t i, n, seen = 0;
    for (i = 0; i < sizeof rows / sizeof *rows; i++) {
        unsigned char *file = one_tensor(rows[i].dtype, 3, rows[i].shape, &n);
        source s;
        st_view v;
        test_row = rows[i].name;
        scratch_write(SOURCE_FILE, file, n);
        evict();
        v.ranges = rows[i].ranges;
        v.range_count = 3;
        v.axes = rows[i].axes;
        if (CHECK_STATUS(source_open(&s, FROM_FILE, file, n, NULL), ST_OK)) {
            const st_tensor *t = st_find(s.model, "t");
            seen += (size_t)is_cold((const char *)t->data + t->bytes - 1);
            CHECK_STATUS(check_view(&s, file, &v, rows[i].as), ST_OK);
        }
        source_close(&s);
        free(file);
    }
    test_row = "";
    if (seen < sizeof rows / sizeof *rows) SKIP("files of this file system cannot be dropped from the page cache");
}
#endif

/* a model in a work buffer has only the stack for scratch memory */
static void work_buffer(void) {
    static const uint64_t shape[2] = {130, 70};
    static const uint32_t turned[2] = {1, 0};
    static const st_range some[2] = {{1, 129, 2}, {4, UINT64_MAX, 3}};
    static unsigned char work[4096];
    size_t n, i;
    static const st_dtype dtypes[] = {ST_DTYPE_F4, ST_DTYPE_F6_E2M3, ST_DTYPE_U8, ST_DTYPE_BF16, ST_DTYPE_F64};
    for (i = 0; i < sizeof dtypes / sizeof *dtypes; i++) {
        unsigned char *file = one_tensor(dtypes[i], 2, shape, &n);
        source s;
        st_view v;
        memset(&s, 0, sizeof s);
        s.kind = FROM_IO;
        served_begin(&s.served, file, n);
        s.options.work.data = work;
        s.options.work.bytes = sizeof work;
        v.axes = turned;
        v.ranges = some;
        v.range_count = 2;
        if (CHECK_STATUS(source_call(&s, file, n), ST_OK)) {
            CHECK_STATUS(check_view(&s, file, NULL, ST_DTYPE_UNKNOWN), ST_OK);
            CHECK_STATUS(check_view(&s, file, NULL, ST_DTYPE_F32), ST_OK);
            CHECK_STATUS(check_view(&s, file, &v, ST_DTYPE_F16), ST_OK);
            v.axes = NULL;
            CHECK_STATUS(check_view(&s, file, &v, ST_DTYPE_I32), ST_OK);
        }
        st_close(s.model);
        free(file);
    }
}

/* ---- errors ----------------------------------------------------------------------------------------------------- */

/* makes each request fail once; the error has its position */
static void failing_reads(void) {
    static const uint64_t shape[2] = {1024, 1024};
    static const uint32_t turned[2] = {1, 0};
    static const st_range apart[1] = {{5, UINT64_MAX, 100}};
    const st_view views[2] = {{NULL, 0, turned}, {apart, 1, NULL}};
    size_t n, i, reads, fail;
    unsigned char *file = one_tensor(ST_DTYPE_F32, 2, shape, &n);
    float *dst = (float *)malloc(n);
    if (dst == NULL) exit(2);
    for (i = 0; i < 2; i++) {
        source s;
        st_error error;
        const st_tensor *t;
        if (!CHECK_STATUS(source_open(&s, FROM_IO, file, n, NULL), ST_OK)) break;
        t = st_find(s.model, "t");
        s.served.calls = 0;
        CHECK_STATUS(st_read_as(s.model, t, &views[i], ST_DTYPE_F32, dst, n, &error), ST_OK);
        reads = s.served.calls;
        CHECK(reads > 1);
        for (fail = 1; fail <= reads; fail++) {
            const size_t live = s.memory.live_bytes;
            s.served.calls = 0;
            s.served.fail_at = fail;
            CHECK_STATUS(st_read_as(s.model, t, &views[i], ST_DTYPE_F32, dst, n, &error), ST_ERR_IO);
            CHECK_EQ(s.served.calls, fail);
            CHECK_EQ(error.sys, 77);
            CHECK(error.position >= t->offset && error.position < t->offset + t->bytes);
            CHECK_STR(error.subject, "t");
            check_text(error.message, sizeof error.message);
            CHECK_EQ(s.memory.live_bytes, live);
            CHECK_STATUS(st_read_as(s.model, t, &views[i], ST_DTYPE_F32, dst, n, NULL), ST_OK);
        }
        s.served.fail_at = 0;
        if (i == 0) { /* dst NULL */
            s.memory.calls = 0;
            s.memory.fail_at = 1;
            CHECK_STATUS(st_read_as(s.model, t, &views[i], ST_DTYPE_F32, dst, n, &error), ST_ERR_MEMORY);
            CHECK_EQ(error.expected, MIB);
            s.memory.fail_at = 0;
        }
        source_close(&s);
    }
    free(dst);
    free(file);
}

static void refusals(void) {
    static const uint64_t shape[2] = {4, 6};
    size_t n;
    unsigned char *file = one_tensor(ST_DTYPE_F32, 2, shape, &n);
    unsigned char dst[96];
    uint64_t got[2], elements;
    st_view v;
    st_tensor other;
    st_error error;
    source s;
    const st_tensor *t;
    memset(&v, 0, sizeof v);
    memset(dst, '#', sizeof dst);
    if (!CHECK_STATUS(source_open(&s, FROM_IO, file, n, NULL), ST_OK)) return;
    t = st_find(s.model, "t");
    CHECK_STATUS(st_view_shape(NULL, NULL, got, &elements, &error), ST_ERR_ARGUMENT);
    CHECK_STATUS(error.status, ST_ERR_ARGUMENT);
    CHECK_STATUS(st_view_shape(t, NULL, NULL, NULL, NULL), ST_OK);
    CHECK_STATUS(st_view_shape(t, &v, got, NULL, NULL), ST_OK);
    CHECK(got[0] == 4 && got[1] == 6);
    CHECK_STATUS(st_read_as(NULL, t, NULL, ST_DTYPE_F32, dst, sizeof dst, &error), ST_ERR_ARGUMENT);
    CHECK_STATUS(st_read_as(s.model, NULL, NULL, ST_DTYPE_F32, dst, sizeof dst, &error), ST_ERR_ARGUMENT);
    CHECK(strstr(error.message, "tensor is NULL (was its name found?)") != NULL);
    CHECK_STATUS(st_read_as(s.model, t, NULL, ST_DTYPE_F32, NULL, sizeof dst, &error), ST_ERR_ARGUMENT);
    CHECK(strstr(error.message, "argument `dst` is NULL: 96 bytes needed") != NULL);
    CHECK_STATUS(st_read_as(s.model, t, NULL, ST_DTYPE_F32, dst, 95, &error), ST_ERR_ARGUMENT);
    CHECK(strstr(error.message, "destination buffer too small: 96 bytes needed, 95 available") != NULL);
    CHECK_STATUS(st_read_as(s.model, t, NULL, ST_DTYPE_F32, dst, 95, NULL), ST_ERR_ARGUMENT);
    { /* a step of 0 means 1, but a stop of 0 means 0 */
        static const st_range zero[2] = {{0, 0, 0}, {0, UINT64_MAX, 0}};
        v.ranges = zero;
        v.range_count = 2;
        CHECK_STATUS(st_view_shape(t, &v, got, &elements, &error), ST_OK);
        CHECK(got[0] == 0 && got[1] == 6 && elements == 0);
        CHECK_STATUS(st_read_as(s.model, t, &v, ST_DTYPE_F32, NULL, 0, &error), ST_OK);
        memset(&v, 0, sizeof v);
    }
    CHECK_STATUS(st_read_as(s.model, t, NULL, (st_dtype)23, dst, sizeof dst, &error), ST_ERR_ARGUMENT);
    CHECK_STATUS(st_read_as(s.model, t, NULL, ST_DTYPE_32_BITS_, dst, sizeof dst, &error), ST_ERR_ARGUMENT);
    v.range_count = 1;
    CHECK_STATUS(st_read_as(s.model, t, &v, ST_DTYPE_F32, dst, sizeof dst, &error), ST_ERR_ARGUMENT);
    CHECK_STATUS(st_view_shape(t, &v, got, &elements, &error), ST_ERR_ARGUMENT);
    { /* tensors of other models, or with inconsistent fields */
        static const uint64_t more[2] = {4, 7}, most[2] = {UINT64_MAX, 2};
        other = *t;
        other.shape = more;
        CHECK_STATUS(st_read_as(s.model, &other, NULL, ST_DTYPE_F32, dst, sizeof dst, &error), ST_ERR_ARGUMENT);
        other.elements = 28;
        CHECK_STATUS(st_read_as(s.model, &other, NULL, ST_DTYPE_F32, dst, sizeof dst, &error), ST_ERR_ARGUMENT);
        other.shape = most;
        CHECK_STATUS(st_read_as(s.model, &other, NULL, ST_DTYPE_F32, dst, sizeof dst, &error), ST_ERR_ARGUMENT);
        CHECK_STATUS(st_view_shape(&other, NULL, got, &elements, &error), ST_ERR_OVERFLOW);
        other.shape = NULL;
        CHECK_STATUS(st_read_as(s.model, &other, NULL, ST_DTYPE_F32, dst, sizeof dst, &error), ST_ERR_ARGUMENT);
        CHECK_STATUS(st_view_shape(&other, NULL, got, &elements, &error), ST_ERR_ARGUMENT);
        other = *t;
        other.dtype = ST_DTYPE_F64;
        CHECK_STATUS(st_read_as(s.model, &other, NULL, ST_DTYPE_F32, dst, sizeof dst, &error), ST_ERR_ARGUMENT);
        other = *t;
        other.dtype = (st_dtype)23; /* an invalid dtype, with 0 bits */
        other.bytes = 0;
        CHECK_STATUS(st_read_as(s.model, &other, NULL, ST_DTYPE_F32, dst, sizeof dst, &error), ST_ERR_ARGUMENT);
        CHECK_STATUS(st_read_as(s.model, &other, NULL, ST_AS_STORED, dst, sizeof dst, &error), ST_ERR_ARGUMENT);
        CHECK_EQ(error.actual, 23);
        other.dtype = (st_dtype)-1;
        CHECK_STATUS(st_read_as(s.model, &other, NULL, ST_DTYPE_F32, dst, sizeof dst, &error), ST_ERR_ARGUMENT);
        other = *t;
        other.offset++;
        CHECK_STATUS(st_read_as(s.model, &other, NULL, ST_DTYPE_F32, dst, sizeof dst, &error), ST_ERR_ARGUMENT);
        other = *t;
        other.name = NULL;
        other.dtype = ST_DTYPE_C64;
        CHECK_STATUS(st_read_as(s.model, &other, NULL, ST_DTYPE_F32, dst, sizeof dst, &error), ST_ERR_ARGUMENT);
        other.dtype = t->dtype;
        CHECK_STATUS(st_read_as(s.model, &other, NULL, ST_DTYPE_F32, dst, 95, &error), ST_ERR_ARGUMENT);
        CHECK_STR(error.subject, "");
    }
    CHECK(dst[0] == '#' && dst[95] == '#');
    CHECK_STATUS(st_read_as(s.model, t, NULL, ST_DTYPE_F32, dst, sizeof dst, NULL), ST_OK);
    CHECK(dst[0] == '#' || dst[95] == '#' || dst[50] != '#');
    source_close(&s);
    free(file);
}

/* a tensor of unknown dtype can only be read as bytes, as a whole */
static void unknown_dtypes(void) {
    static const char header[] =
        "{\"t\":" E("Q3", "[2,3]", "[0,5]") ",\"u\":" E("Q3", "[0]", "[5,7]") ",\"v\":" E("Q3", "[3]", "[7,7]") "}";
    static const uint32_t turned[2] = {1, 0}, straight[2] = {0, 1};
    static const st_range half[1] = {{0, 1, 1}}, all[2] = {{0, 2, 1}, {0, UINT64_MAX, 0}};
    st_view v;
    st_open_options options;
    source s;
    st_error error;
    size_t n;
    int kind;
    char dst[8];
    uint64_t shape[2];
    unsigned char *file = make_file(header, sizeof header - 1, "abcdefg", 7, &n);
    memset(&options, 0, sizeof options);
    options.flags = ST_OPEN_UNKNOWN_DTYPES;
    for (kind = FROM_MEMORY; kind <= FROM_IO; kind++) {
        const st_tensor *t;
        if (!CHECK_STATUS(source_open(&s, kind, file, n, &options), ST_OK)) return;
        t = st_find(s.model, "t");
        memset(&v, 0, sizeof v);
        memset(dst, '#', sizeof dst);
        CHECK_STATUS(st_read_as(s.model, t, NULL, ST_DTYPE_UNKNOWN, dst, 4, &error), ST_ERR_ARGUMENT);
        CHECK_EQ(error.expected, 5);
        CHECK_STATUS(st_read_as(s.model, t, NULL, ST_DTYPE_U8, dst, 8, &error), ST_ERR_DTYPE);
        v.axes = turned;
        CHECK_STATUS(st_view_shape(t, &v, shape, NULL, &error), ST_OK);
        CHECK(shape[0] == 3 && shape[1] == 2);
        CHECK_STATUS(st_read_as(s.model, t, &v, ST_DTYPE_UNKNOWN, dst, 8, &error), ST_ERR_DTYPE);
        v.axes = NULL, v.ranges = half, v.range_count = 1;
        CHECK_STATUS(st_read_as(s.model, t, &v, ST_DTYPE_UNKNOWN, dst, 8, &error), ST_ERR_DTYPE);
        CHECK_EQ(dst[0], '#');
        v.axes = straight, v.ranges = all, v.range_count = 2;
        CHECK_STATUS(st_read_as(s.model, t, &v, ST_DTYPE_UNKNOWN, dst, 5, &error), ST_OK);
        CHECK(memcmp(dst, "abcde#", 6) == 0);
        CHECK_STATUS(st_read_as(s.model, st_find(s.model, "u"), NULL, ST_DTYPE_UNKNOWN, dst, 8, &error), ST_OK);
        CHECK(memcmp(dst, "fgcde#", 6) == 0);
        CHECK_STATUS(st_read_as(s.model, st_find(s.model, "v"), NULL, ST_DTYPE_UNKNOWN, NULL, 0, &error), ST_OK);
        source_close(&s);
    }
    free(file);
}

/* ---- many dimensions -------------------------------------------------------------------------------------------- */

/* an endless file: a header, then data in which each byte depends on its offset */
typedef struct endless {
    char header[512];
    size_t n;
    size_t reads;
} endless;

static unsigned char endless_byte(uint64_t at) {
    return (unsigned char)((at & 0xffffffff) * 2654435761u >> 24 & 255);
}

static int endless_read(void *user, uint64_t offset, void *dst, size_t bytes) {
    endless *e = (endless *)user;
    size_t i;
    e->reads++;
    for (i = 0; i < bytes; i++) {
        const uint64_t at = offset + i;
        ((unsigned char *)dst)[i] = at < e->n ? (unsigned char)e->header[at] : endless_byte(at - e->n);
    }
    return 0;
}

/* opens a U8 tensor with `twos` dimensions of 2 and the others of 1 */
static st_model *endless_open(endless *e, uint32_t rank, uint32_t twos) {
    char digits[21];
    st_io io;
    st_model *m;
    st_error error;
    uint32_t i;
    size_t n;
    memset(e, 0, sizeof *e);
    strcpy(e->header + 8, "{\"t\":{\"dtype\":\"U8\",\"shape\":[");
    for (i = 0; i < rank; i++) {
        strcat(e->header + 8, i > 0 ? "," : "");
        strcat(e->header + 8, i < twos ? "2" : "1");
    }
    strcat(e->header + 8, "],\"data_offsets\":[0,");
    strcat(e->header + 8, test_digits((uint64_t)1 << twos, digits));
    strcat(e->header + 8, "]}}");
    n = strlen(e->header + 8);
    e->header[0] = (char)(n & 255), e->header[1] = (char)(n >> 8);
    e->n = 8 + n;
    memset(&io, 0, sizeof io);
    io.user = e;
    io.read_at = endless_read;
    io.bytes = e->n + ((uint64_t)1 << twos);
    if (!CHECK_STATUS(st_open_io(&m, &io, NULL, &error), ST_OK)) exit(2);
    return m;
}

static void many_dimensions(void) {
    enum { RANK = 60, MOST = 24 }; /* the documented limits of st_read_as */
    uint32_t axes[RANK], twos;
    uint64_t shape[RANK], elements, i, from;
    unsigned char *dst = (unsigned char *)malloc((size_t)1 << MOST);
    unsigned bit;
    endless e;
    st_view v;
    st_error error;
    if (dst == NULL) exit(2);
    memset(&v, 0, sizeof v);
    v.axes = axes;
    for (bit = 0; bit < RANK; bit++) axes[bit] = RANK - 1 - bit; /* reversed, so that no axes can be merged */
    for (twos = MOST - 1; twos <= MOST + 1; twos++) {
        st_model *m = endless_open(&e, RANK, twos);
        const st_tensor *t = &m->tensors[0];
        int same = 1;
        CHECK_STATUS(st_view_shape(t, &v, shape, &elements, &error), ST_OK);
        CHECK(elements == (uint64_t)1 << twos && shape[0] == 1 && shape[RANK - 1] == 2);
        e.reads = 0;
        if (twos > MOST) {
            CHECK_STATUS(st_read_as(m, t, &v, ST_DTYPE_UNKNOWN, dst, (size_t)1 << MOST, &error), ST_ERR_TOO_LARGE);
            CHECK_EQ(error.expected, MOST);
            CHECK_EQ(e.reads, 0);
        } else {
            CHECK_STATUS(st_read_as(m, t, &v, ST_DTYPE_UNKNOWN, dst, (size_t)1 << MOST, &error), ST_OK);
            CHECK(e.reads <= 16);
            for (i = from = 0; i < (uint64_t)1 << twos; i++) { /* from: the bits of i in reverse order */
                uint64_t carry = (uint64_t)1 << (twos - 1);
                same &= dst[i] == endless_byte(from);
                for (; from & carry; carry >>= 1) from ^= carry;
                from |= carry;
            }
            CHECK(same);
        }
        if (twos <= MOST) { /* without permutation all axes merge into one */
            e.reads = 0;
            CHECK_STATUS(st_read_as(m, t, NULL, ST_DTYPE_UNKNOWN, dst, (size_t)1 << MOST, &error), ST_OK);
            CHECK_EQ(e.reads, 1);
            for (i = 0; i < (uint64_t)1 << twos; i++) same &= dst[i] == endless_byte(i);
            CHECK(same);
        }
        st_close(m);
    }
    free(dst);
}

int main(void) {
    scratch_begin("view");
    random_views(200 / test_thin(), 40);
    request_costs();
    blocks();
#ifdef __linux__
    cold();
#endif
    work_buffer();
    failing_reads();
    refusals();
    unknown_dtypes();
    many_dimensions();
    scratch_remove(SOURCE_FILE);
    scratch_end();
    return test_done("view");
}
