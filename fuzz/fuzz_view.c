/* fuzz_view.c: reads a view of a tensor, alone and in one load with others, and compares with the slow model of
 * tests/slow_view.h.
 * Input: dtype, target dtype, rank, options, a number; one byte for each dimension; the number of ranges and three
 * bytes for each; an axis for each dimension; the rest is the start of the tensor's data. */
#include "fuzz.h"

#include "../tests/slow_view.h"

#define MOST_RANK 8u
#define MOST_ELEMENTS 6000u
#define READ_CODE 5

enum {
    THROUGH_READ_AT = 1,
    WORK_BUFFER = 2,
    NO_VIEW = 4,
    NO_AXES = 8,
    FOREIGN = 16,
    FAILS = 32,
    SCRATCH = 64,
    WIDE = 128
};

typedef struct input {
    const uint8_t *at, *end;
    uint8_t *file;
    size_t n;
    unsigned options, knob;
    unsigned reads, read_fails_at;
    fuzz_heap heap;
    st_allocator allocator;
    uint64_t work[512];
    st_model *model;
    st_tensor tensor;
    st_view view;
    const st_view *given;
    st_range ranges[MOST_RANK + 1];
    uint32_t axes[MOST_RANK];
    st_dtype as;
    slow_view want;
} input;

static unsigned next(input *in) {
    return in->at < in->end ? *in->at++ : 0;
}

static int read_input(void *user, uint64_t offset, void *dst, size_t bytes) {
    input *in = (input *)user;
    CHECK(bytes > 0 && offset <= in->n && bytes <= in->n - offset);
    if (++in->reads == in->read_fails_at) return READ_CODE;
    memcpy(dst, in->file + offset, bytes);
    return 0;
}

/* makes a file with one tensor "t" of that shape between two others */
static void make_file(input *in, int dtype, unsigned rank) {
    uint64_t shape[MOST_RANK], elements = 1, bytes;
    char text[512];
    size_t used, i;
    unsigned d;
    for (d = 0; d < rank; d++) {
        shape[d] = next(in) % 16;
        if (in->options & WIDE && d + 1 == rank) shape[d] *= 61;
        if (elements * shape[d] > MOST_ELEMENTS) shape[d] = 1;
        elements *= shape[d];
    }
    if (elements * fuzz_dtypes[dtype].bits % 8 != 0) {
        if (rank == 0) dtype = 5;
        if (rank > 0) shape[rank - 1] *= 4, elements *= 4;
    }
    bytes = elements * fuzz_dtypes[dtype].bits / 8;
    used = (size_t)snprintf(
        text, sizeof text,
        "{\"a\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]},\"t\":{\"dtype\":\"%s\",\"shape\":[",
        fuzz_dtypes[dtype].name);
    for (d = 0; d < rank; d++)
        used += (size_t)snprintf(text + used, sizeof text - used, d ? ",%u" : "%u", (unsigned)shape[d]);
    used +=
        (size_t)snprintf(text + used, sizeof text - used,
                         "],\"data_offsets\":[1,%u]},\"z\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[%u,%u]}}",
                         (unsigned)bytes + 1, (unsigned)bytes + 1, (unsigned)bytes + 3);
    in->n = 8 + used + (size_t)bytes + 3;
    in->file = (uint8_t *)malloc(in->n);
    CHECK(in->file != NULL);
    memset(in->file, 0, 8);
    in->file[0] = (uint8_t)(used & 255), in->file[1] = (uint8_t)(used >> 8);
    memcpy(in->file + 8, text, used);
    for (i = 8 + used; i < in->n; i++) in->file[i] = (uint8_t)(i * 37 & 255);
}

static uint64_t range_number(unsigned byte) {
    return byte == 255 ? UINT64_MAX : byte == 254 ? UINT64_MAX - 1 : byte == 253 ? (uint64_t)1 << 63 : byte % 64;
}

static void make_view(input *in, uint32_t rank) {
    uint32_t i;
    in->view.range_count = next(in) % (rank + 2);
    in->view.ranges = in->ranges;
    for (i = 0; i < in->view.range_count; i++) {
        in->ranges[i].start = range_number(next(in));
        in->ranges[i].stop = range_number(next(in));
        in->ranges[i].step = range_number(next(in));
    }
    for (i = 0; i < rank; i++) {
        unsigned byte = next(in);
        in->axes[i] = byte < 200 ? (byte + i) % (rank + (byte > 190)) : i;
    }
    if (!(in->options & NO_AXES)) in->view.axes = in->axes;
    in->given = in->options & NO_VIEW ? NULL : &in->view;
}

static st_status open_input(input *in) {
    st_open_options options;
    st_io io;
    memset(&options, 0, sizeof options);
    in->allocator = fuzz_allocator(&in->heap);
    options.allocator = &in->allocator;
    if (in->options & WORK_BUFFER) {
        options.work.data = in->work;
        options.work.bytes = sizeof in->work;
    }
    if (!(in->options & THROUGH_READ_AT)) return st_open_memory(&in->model, in->file, in->n, &options, NULL);
    memset(&io, 0, sizeof io);
    io.user = in;
    io.read_at = read_input;
    io.bytes = in->n;
    return st_open_io(&in->model, &io, &options, NULL);
}

/* reads a tensor that is not the model's and has arbitrary fields: reads must stay inside the file, writes inside
 * dst */
static void read_foreign(input *in) {
    uint8_t *dst;
    size_t room = in->knob * 16u;
    st_error error;
    st_status s;
    st_tensor t = in->tensor;
    if (in->knob & 1) t.offset += in->knob;
    if (in->knob & 2) t.bytes = in->knob;
    if (in->knob & 4) t.dtype = (st_dtype)(in->knob % 24);
    if (in->knob & 8) t.elements = in->knob;
    if (in->knob & 16 && t.rank > 0) t.rank--;
    if (in->knob & 32) t.shard = 1;
    dst = (uint8_t *)malloc(room ? room : 1);
    CHECK(dst != NULL);
    s = st_read_as(in->model, &t, in->given, in->as, dst, room, &error);
    CHECK(s == error.status && s != ST_ERR_STATE);
    free(dst);
}

/* reads the view alone, into a buffer of its exact size */
static void read_one(input *in, const uint8_t *slow) {
    const size_t n = in->want.status == ST_OK ? (size_t)in->want.bytes : 64;
    uint64_t shape[MOST_RANK], elements;
    uint8_t *dst = (uint8_t *)malloc(n ? n : 1);
    st_error error;
    st_status s;
    uint32_t i;
    CHECK(dst != NULL);
    s = st_view_shape(&in->tensor, in->given, shape, &elements, &error);
    CHECK(s == in->want.shape_status && error.status == s);
    if (s == ST_OK) {
        CHECK(elements == in->want.elements);
        for (i = 0; i < in->tensor.rank; i++) CHECK(shape[i] == in->want.shape[i]);
    }
    memset(&error, 0xee, sizeof error);
    in->reads = 0;
    in->read_fails_at = in->options & FAILS ? 1 + in->knob % 4 : 0;
    s = st_read_as(in->model, &in->tensor, in->given, in->as, dst, n, &error);
    CHECK(s == error.status);
    if (in->want.status == ST_OK && in->read_fails_at && in->reads >= in->read_fails_at) {
        CHECK(s == ST_ERR_IO && error.sys == READ_CODE && error.position >= in->tensor.offset &&
              error.position < in->tensor.offset + in->tensor.bytes);
    } else {
        CHECK(s == in->want.status);
        if (s == ST_OK && n) CHECK(memcmp(dst, slow, n) == 0);
        if (!(in->options & WORK_BUFFER)) CHECK(in->reads <= 1);
    }
    in->read_fails_at = 0;
    if (in->want.status == ST_OK && n) {
        s = st_read_as(in->model, &in->tensor, in->given, in->as, dst, n - 1, &error);
        CHECK(s == ST_ERR_ARGUMENT && error.expected == n && error.actual == n - 1);
    }
    free(dst);
}

static int see_progress(void *user, uint64_t done, uint64_t total) {
    uint64_t *seen = (uint64_t *)user;
    CHECK(done > *seen && done <= total);
    *seen = done;
    return 0;
}

/* loads the view with its neighbours, in one call or in parts; also checks st_plan_load */
static void read_together(input *in, const uint8_t *slow) {
    const size_t n = (size_t)in->want.bytes;
    uint8_t *dst = (uint8_t *)malloc(n ? n : 1), a[1], z[2], *work = NULL;
    st_load_item items[3];
    st_load_options options;
    st_extent extents[64];
    uint64_t seen;
    size_t needed, i;
    st_error error;
    st_status s;
    CHECK(dst != NULL);
    memset(items, 0, sizeof items);
    memset(&options, 0, sizeof options);
    items[0].tensor = st_find(in->model, "z"), items[0].dst = z, items[0].dst_bytes = 2;
    items[1].tensor = &in->tensor, items[1].dst = dst, items[1].dst_bytes = n, items[1].as = in->as,
    items[1].view = in->given;
    items[2].tensor = st_find(in->model, "a"), items[2].dst = a, items[2].dst_bytes = 1;
    options.progress = see_progress;
    options.user = &seen;
    if (in->options & (SCRATCH | WORK_BUFFER)) {
        options.work.data = &work;
        options.work.bytes = 1;
        CHECK(st_load(in->model, items, 3, &options, &error) == ST_ERR_MEMORY && error.expected < 8192);
        options.work.bytes = (size_t)error.expected + 8 + in->knob;
        options.work.data = work = (uint8_t *)malloc(options.work.bytes);
        CHECK(work != NULL);
    }
    options.part_count = in->knob % 4;
    do {
        seen = 0;
        s = st_load(in->model, items, 3, &options, &error);
        CHECK(s == ST_OK && error.status == ST_OK);
    } while (++options.part < options.part_count);
    CHECK(a[0] == in->file[items[2].tensor->offset] && memcmp(z, in->file + items[0].tensor->offset, 2) == 0);
    CHECK(n == 0 || memcmp(dst, slow, n) == 0);
    if (in->as == ST_DTYPE_UNKNOWN || in->as == in->tensor.dtype) {
        memset(dst, 0xa5, n);
        s = st_plan_load(in->model, items, 3, in->knob, extents, 64, &needed, &error);
        CHECK(s == (needed <= 64 ? ST_OK : ST_ERR_ARGUMENT));
        for (i = 0; s == ST_OK && i < needed; i++) {
            const st_extent *x = &extents[i];
            CHECK(x->item < 3 && x->offset + x->bytes <= in->n && x->to + x->bytes <= items[x->item].dst_bytes);
            CHECK(in->knob == 0 || x->bytes <= in->knob);
            memcpy((uint8_t *)items[x->item].dst + x->to, in->file + x->offset, (size_t)x->bytes);
        }
        if (s == ST_OK && fuzz_dtypes[in->tensor.dtype].bits <= 8) CHECK(n == 0 || memcmp(dst, slow, n) == 0);
    }
    free(work);
    free(dst);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static input in;
    uint8_t *slow;
    int dtype;
    unsigned rank;
    memset(&in, 0, sizeof in);
    in.at = data;
    in.end = data + size;
    dtype = 1 + (int)(next(&in) % 22);
    in.as = (st_dtype)(next(&in) % 24);
    rank = next(&in) % (MOST_RANK + 1);
    in.options = next(&in);
    in.knob = next(&in);
    make_file(&in, dtype, rank);
    make_view(&in, rank);
    CHECK(open_input(&in) == ST_OK);
    in.tensor = *st_find(in.model, "t");
    if (in.options & FOREIGN) {
        read_foreign(&in);
    } else if (in.as <= 22) {
        size_t i;
        for (i = 0; i < in.tensor.bytes && in.at < in.end; i++) in.file[in.tensor.offset + i] = (uint8_t)next(&in);
        in.want = slow_look(&in.tensor, in.given, in.as);
        slow = (uint8_t *)malloc((size_t)in.want.bytes + 1);
        CHECK(slow != NULL);
        if (in.want.status == ST_OK) slow_give(in.file + in.tensor.offset, &in.tensor, in.given, in.as, &in.want, slow);
        read_one(&in, slow);
        if (in.want.status == ST_OK) read_together(&in, slow);
        free(slow);
    } else {
        CHECK(st_read_as(in.model, &in.tensor, NULL, in.as, in.work, sizeof in.work, NULL) == ST_ERR_ARGUMENT);
    }
    st_close(in.model);
    CHECK(in.heap.live == 0);
    free(in.file);
    return 0;
}
