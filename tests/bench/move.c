/* move.c: loads, views and conversions: a worker of the benchmark (worker.h) */
#define ST_IMPLEMENTATION
#include "../../safetensors.h"
#include "../../examples/threads.h"
#include "worker.h"

#define PAGE ((size_t)4096)

static void expect_ok(st_status status, const st_error *error) {
    expect(status == ST_OK, error->message);
}

static st_model *open_model(const char *path) {
    st_error error;
    st_model *m;
    expect_ok(st_open(&m, path, NULL, &error), &error);
    return m;
}

static int begins(const char *text, const char *prefix) {
    return strncmp(text, prefix, strlen(prefix)) == 0;
}

/* those of a model that begin with prefix, one behind the other into one buffer; gives the bytes that were read */
static double load_into(const st_model *m, const char *prefix, st_dtype as, unsigned threads) {
    st_load_item *items = (st_load_item *)take((m->count + 1) * sizeof *items);
    st_error error;
    size_t count = 0, bytes = 0, i, scale = as == ST_DTYPE_F32 ? 2 : 1; /* the files are BF16 */
    unsigned char *to = buffer(0, (size_t)m->bytes * scale);
    memset(items, 0, (m->count + 1) * sizeof *items);
    for (i = 0; i < m->count; i++) {
        const st_tensor *t = &m->tensors[i];
        if (!begins(t->name, prefix)) continue;
        items[count].tensor = t;
        items[count].dst = to + bytes * scale;
        items[count].dst_bytes = (size_t)t->bytes * scale;
        items[count++].as = as;
        bytes += (size_t)t->bytes;
    }
    expect_ok(load_on_threads(m, items, count, threads, NULL, &error), &error);
    free(items);
    return (double)bytes;
}

static void load(char **arguments, result *r) { /* FILE THREADS */
    st_model *m = open_model(arguments[0]);
    r->work = load_into(m, "", ST_DTYPE_UNKNOWN, (unsigned)atoi(arguments[1]));
    st_close(m);
}

static void load_as(char **arguments, result *r) { /* FILE THREADS: as F32 */
    st_model *m = open_model(arguments[0]);
    r->work = load_into(m, "", ST_DTYPE_F32, (unsigned)atoi(arguments[1]));
    st_close(m);
}

static void layer(char **arguments, result *r) { /* FILE PREFIX */
    st_model *m = open_model(arguments[0]);
    r->work = load_into(m, arguments[1], ST_DTYPE_UNKNOWN, 1);
    st_close(m);
}

static void touch(char **arguments, result *r) { /* FILE: a byte of each page, in place */
    st_model *m = open_model(arguments[0]);
    size_t i, at;
    for (i = 0; i < m->count; i++) {
        const volatile unsigned char *data = (const volatile unsigned char *)m->tensors[i].data;
        for (at = 0; at < (size_t)m->tensors[i].bytes; at += PAGE) (void)data[at];
    }
    r->work = (double)m->bytes;
    st_close(m);
}

static void read_view(const char *path, const st_view *view, result *r) {
    st_model *m = open_model(path);
    const st_tensor *t = st_find(m, "m");
    uint64_t shape[2], elements;
    st_error error;
    expect(t && t->rank == 2, path);
    expect_ok(st_view_shape(t, view, shape, &elements, &error), &error);
    expect_ok(st_read_as(m, t, view, ST_DTYPE_UNKNOWN, buffer(0, (size_t)t->bytes), (size_t)elements * 2, &error),
              &error);
    r->work = (double)elements * 2;
    st_close(m);
}

static void view(char **arguments, result *r) { /* FILE ROW-STEP FIRST-COLUMN LAST-COLUMN */
    st_range ranges[2];
    st_view v = {NULL, 2, NULL};
    ranges[0].start = 0;
    ranges[0].stop = UINT64_MAX;
    ranges[0].step = strtoull(arguments[1], NULL, 10);
    ranges[1].start = strtoull(arguments[2], NULL, 10);
    ranges[1].stop = strtoull(arguments[3], NULL, 10);
    ranges[1].step = 1;
    v.ranges = ranges;
    read_view(arguments[0], &v, r);
}

static void transpose(char **arguments, result *r) { /* FILE */
    static const uint32_t axes[2] = {1, 0};
    st_view v = {NULL, 0, NULL};
    v.axes = axes;
    read_view(arguments[0], &v, r);
}

/* n numbers to convert from: like weights, of either sign, from 2^-16 to 2^-1; of what those cannot be rounded to, any bits */
static const unsigned char *source(st_dtype from, size_t n) {
    static st_dtype held;
    static size_t count;
    unsigned char *numbers = buffer(1, n * 8), *bits = buffer(0, n * 8);
    uint64_t state = UINT64_C(88172645463325252);
    size_t i;
    if (held == from && count == n) return numbers;
    for (i = 0; i < n; i++) {
        uint32_t one;
        state ^= state << 13, state ^= state >> 7, state ^= state << 17;
        one = (uint32_t)((state & 0x807fffff) | (111 + (state >> 40) % 16) << 23);
        memcpy(bits + 4 * i, &one, 4);
    }
    if (from == ST_DTYPE_I8 || from == ST_DTYPE_U8 || from == ST_DTYPE_F4) {
        memcpy(numbers, bits, n);
    } else {
        expect(st_convert(from, numbers, ST_DTYPE_F32, bits, n) == ST_OK, "st_convert");
    }
    held = from;
    count = n;
    return numbers;
}

static void convert(char **arguments, result *r) { /* TO FROM ELEMENTS */
    size_t n = (size_t)strtoull(arguments[2], NULL, 10);
    st_dtype to, from;
    expect(st_dtype_from_name(arguments[0], &to) == ST_OK && st_dtype_from_name(arguments[1], &from) == ST_OK, "dtype");
    expect(st_convert(to, buffer(0, n * 8), from, source(from, n), n) == ST_OK, "st_convert");
    r->work = (double)n;
}

static const workload workloads[] = {{"load", load},       {"load-once", load},   {"load-as", load_as},
                                     {"layer", layer},     {"layer-once", layer}, {"touch", touch},
                                     {"view", view},       {"view-once", view},   {"transpose", transpose},
                                     {"convert", convert}, {NULL, NULL}};

int main(void) {
    return serve(workloads);
}
