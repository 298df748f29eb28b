/* ours.c: safetensors.h: a worker of the benchmark (worker.h) */
#define ST_IMPLEMENTATION
#include "../../safetensors.h"
#include "../../examples/threads.h"
#include "names.h"
#include "worker.h"

static void expect_ok(st_status status, const st_error *error) {
    expect(status == ST_OK, error->message);
}

static st_model *open_model(const char *path) {
    st_error error;
    st_model *m;
    expect_ok(st_open(&m, path, NULL, &error), &error);
    return m;
}

/* ---- opening and finding ----------------------------------------------------------------------------------------- */

static void parse(char **arguments, result *r) { /* FILE, from memory */
    size_t n;
    const unsigned char *bytes = contents(arguments[0], &n);
    st_error error;
    st_model *m;
    expect_ok(st_open_memory(&m, bytes, n, NULL, &error), &error);
    r->work = (double)m->count;
    st_close(m);
}

static void open_path(char **arguments, result *r) { /* PATH of a file, or of a directory of shards */
    st_model *m = open_model(arguments[0]);
    r->work = (double)m->count;
    st_close(m);
}

/* PATH: in a new process, so that its memory is the model's */
static void memory(char **arguments, result *r) {
    double anonymous = status_line("RssAnon:"), resident = status_line("VmRSS:");
    st_model *m = open_model(arguments[0]);
    r->peak = status_line("VmHWM:") - resident;
    trim();
    r->kept = status_line("RssAnon:") - anonymous;
    r->work = (double)m->count;
}

static const st_model *held_model(const char *path) { /* open until another one is asked for */
    static char held[4096];
    static st_model *m;
    if (strcmp(held, path)) {
        st_close(m);
        m = open_model(path);
        snprintf(held, sizeof held, "%s", path);
    }
    return m;
}

static void find(char **arguments, result *r) { /* FILE: st_find of each of its names */
    const st_model *m = held_model(arguments[0]);
    const names *all = names_of(arguments[0]);
    size_t i;
    for (r->work = 0, i = 0; i < all->count; i++) r->work += (double)st_find(m, all->name[i])->bytes;
}

static void find_n(char **arguments, result *r) { /* FILE: st_find_n */
    const st_model *m = held_model(arguments[0]);
    const names *all = names_of(arguments[0]);
    size_t i;
    for (r->work = 0, i = 0; i < all->count; i++) r->work += (double)st_find_n(m, all->name[i], all->bytes[i])->bytes;
}

static void find_all(char **arguments, result *r) { /* FILE: st_find_all */
    const st_model *m = held_model(arguments[0]);
    const names *all = names_of(arguments[0]);
    const st_tensor **found = (const st_tensor **)(void *)buffer(0, (all->count + 1) * sizeof *found);
    size_t i;
    expect(st_find_all(m, all->name, all->count, found, NULL) == all->count, "st_find_all");
    for (r->work = 0, i = 0; i < all->count; i++) r->work += (double)found[i]->bytes;
}

/* ---- loading ----------------------------------------------------------------------------------------------------- */

/* Loads the tensors whose names begin with prefix, one after the other into one buffer. */
static void load_model(const char *path, const char *prefix, st_dtype as, unsigned threads, result *r) {
    st_model *m = open_model(path);
    st_load_item *items = (st_load_item *)take((m->count + 1) * sizeof *items);
    size_t count = 0, bytes = 0, i, scale = as == ST_DTYPE_F32 ? 2 : 1; /* the files are BF16 */
    unsigned char *dst = buffer(0, (size_t)m->bytes * scale);
    st_error error;
    memset(items, 0, (m->count + 1) * sizeof *items);
    for (i = 0; i < m->count; i++) {
        const st_tensor *t = &m->tensors[i];
        if (strncmp(t->name, prefix, strlen(prefix))) continue;
        items[count].tensor = t;
        items[count].dst = dst + bytes * scale;
        items[count].dst_bytes = (size_t)t->bytes * scale;
        items[count++].as = as;
        bytes += (size_t)t->bytes;
    }
    expect_ok(load_on_threads(m, items, count, threads, NULL, &error), &error);
    free(items);
    st_close(m);
    r->work = (double)bytes;
}

static void load(char **arguments, result *r) { /* FILE THREADS */
    load_model(arguments[0], "", ST_AS_STORED, (unsigned)atoi(arguments[1]), r);
}

static void load_f32(char **arguments, result *r) { /* FILE */
    load_model(arguments[0], "", ST_DTYPE_F32, 1, r);
}

static void layer(char **arguments, result *r) { /* FILE PREFIX */
    load_model(arguments[0], arguments[1], ST_AS_STORED, 1, r);
}

static void touch(char **arguments, result *r) { /* FILE: one byte of each page, where the file is mapped */
    st_model *m = open_model(arguments[0]);
    size_t i, offset;
    for (i = 0; i < m->count; i++) {
        const volatile unsigned char *data = (const volatile unsigned char *)m->tensors[i].data;
        for (offset = 0; offset < (size_t)m->tensors[i].bytes; offset += PAGE) (void)data[offset];
    }
    r->work = (double)m->bytes;
    st_close(m);
}

/* ---- views and conversions --------------------------------------------------------------------------------------- */

static void read_view(const char *path, const st_view *view, result *r) {
    st_model *m = open_model(path);
    const st_tensor *t = st_find(m, "m");
    uint64_t shape[2], elements;
    st_error error;
    expect(t && t->rank == 2, path);
    expect_ok(st_view_shape(t, view, shape, &elements, &error), &error);
    expect_ok(st_read_as(m, t, view, ST_AS_STORED, buffer(0, (size_t)t->bytes), (size_t)elements * 2, &error), &error);
    r->work = (double)elements * 2;
    st_close(m);
}

static void view(char **arguments, result *r) { /* FILE ROW-STEP FIRST-COLUMN LAST-COLUMN */
    st_range ranges[2] = {{0, UINT64_MAX, 1}, {0, 0, 1}};
    st_view v = {NULL, 2, NULL};
    ranges[0].step = strtoull(arguments[1], NULL, 10);
    ranges[1].start = strtoull(arguments[2], NULL, 10);
    ranges[1].stop = strtoull(arguments[3], NULL, 10);
    v.ranges = ranges;
    read_view(arguments[0], &v, r);
}

static void transpose(char **arguments, result *r) { /* FILE */
    static const uint32_t axes[2] = {1, 0};
    st_view v = {NULL, 0, NULL};
    v.axes = axes;
    read_view(arguments[0], &v, r);
}

/* Returns n numbers to convert: like weights, of either sign, from 2^-16 to 2^-1; any bits for U8. */
static const unsigned char *numbers(st_dtype from, size_t n) {
    static st_dtype held;
    static size_t count;
    unsigned char *converted = buffer(1, n * 4), *floats = buffer(0, n * 4);
    uint64_t state = UINT64_C(88172645463325252);
    size_t i;
    if (held == from && count == n) return converted;
    for (i = 0; i < n; i++) {
        uint32_t bits;
        state ^= state << 13, state ^= state >> 7, state ^= state << 17;
        bits = (uint32_t)((state & 0x807fffff) | (111 + (state >> 40) % 16) << 23);
        memcpy(floats + 4 * i, &bits, 4);
    }
    if (from == ST_DTYPE_U8) {
        memcpy(converted, floats, n);
    } else {
        expect(st_convert(from, converted, ST_DTYPE_F32, floats, n) == ST_OK, "st_convert");
    }
    held = from;
    count = n;
    return converted;
}

static void convert(char **arguments, result *r) { /* TO FROM ELEMENTS */
    size_t n = (size_t)strtoull(arguments[2], NULL, 10);
    st_dtype to, from;
    expect(st_dtype_from_name(arguments[0], &to) == ST_OK && st_dtype_from_name(arguments[1], &from) == ST_OK, "dtype");
    expect(st_convert(to, buffer(0, n * 4), from, numbers(from, n), n) == ST_OK, "st_convert");
    r->work = (double)n;
}

/* ---- saving ------------------------------------------------------------------------------------------------------ */

static st_save_options save_options(int flush) {
    st_save_options options;
    memset(&options, 0, sizeof options);
    if (!flush) options.flags = ST_SAVE_NO_SYNC;
    return options;
}

static void save(char **arguments, result *r) { /* FILE BYTES FLUSH: four tensors from memory */
    static const char *const name[4] = {"a", "b", "c", "d"};
    uint64_t bytes = strtoull(arguments[1], NULL, 10), shape[1];
    const unsigned char *data = buffer(0, (size_t)bytes);
    st_save_options options = save_options(atoi(arguments[2]));
    st_contents contents = {0};
    st_tensor tensors[4];
    st_error error;
    size_t i;
    shape[0] = bytes / 4;
    for (i = 0; i < 4; i++) tensors[i] = st_tensor_of(name[i], ST_DTYPE_U8, 1, shape, data + (size_t)shape[0] * i);
    contents.tensors = tensors;
    contents.count = 4;
    expect_ok(st_save(arguments[0], &contents, &options, &error), &error);
    r->work = (double)bytes;
}

/* FILE BYTES: the same as `save`, through the streaming writer, from 1 MiB of memory, in a new process */
static void stream(char **arguments, result *r) {
    enum { BLOCK = 1 << 20 };
    uint64_t bytes = strtoull(arguments[1], NULL, 10), done;
    const unsigned char *block = buffer(0, BLOCK);
    st_save_options options = save_options(0);
    st_tensor tensor = st_tensor_of("a", ST_DTYPE_U8, 1, &bytes, NULL);
    st_writer *writer;
    st_error error;
    double resident = status_line("VmRSS:");
    expect_ok(st_writer_open(&writer, arguments[0], &options, &error), &error);
    expect_ok(st_writer_add(writer, &tensor, &error), &error);
    expect_ok(st_writer_begin(writer, &error), &error);
    for (done = 0; done < bytes; done += BLOCK) expect_ok(st_writer_write(writer, block, BLOCK, &error), &error);
    expect_ok(st_writer_finish(writer, &error), &error);
    st_writer_close(writer);
    r->work = (double)bytes;
    r->peak = status_line("VmHWM:") - resident;
}

static int count_bytes(void *user, const void *bytes, size_t n) {
    (void)bytes;
    *(uint64_t *)user += n;
    return 0;
}

static void save_names(char **arguments, result *r) { /* FILE: a BF16 of each of its names, to a sink */
    const names *all = names_of(arguments[0]);
    static const uint64_t shape[1] = {1};
    static const unsigned char data[2];
    st_tensor *tensors = (st_tensor *)take((all->count + 1) * sizeof *tensors);
    uint64_t written = 0;
    st_sink sink = {&written, count_bytes};
    st_save_options options = save_options(0);
    st_contents contents = {0};
    st_error error;
    size_t i;
    for (i = 0; i < all->count; i++) tensors[i] = st_tensor_of(all->name[i], ST_DTYPE_BF16, 1, shape, data);
    contents.tensors = tensors;
    contents.count = all->count;
    options.sink = &sink;
    expect_ok(st_save(NULL, &contents, &options, &error), &error);
    free(tensors);
    r->work = (double)written;
}

static void load_names(char **arguments, result *r) { /* FILE: so that the next request finds its names in memory */
    r->work = (double)names_of(arguments[0])->count;
}

static void shard(char **arguments, result *r) { /* DIRECTORY FILE BYTES-OF-A-SHARD */
    st_save_options options = save_options(0);
    st_error error;
    st_model *m = open_model(arguments[1]);
    st_contents contents = st_contents_of(m);
    options.max_shard_bytes = strtoull(arguments[2], NULL, 10);
    expect_ok(st_save_sharded(arguments[0], &contents, &options, &error), &error);
    r->work = (double)m->bytes;
    st_close(m);
}

static void merge(char **arguments, result *r) { /* FILE DIRECTORY */
    st_save_options options = save_options(0);
    st_error error;
    st_model *m = open_model(arguments[1]);
    st_contents contents = st_contents_of(m);
    expect_ok(st_save(arguments[0], &contents, &options, &error), &error);
    r->work = (double)m->bytes;
    st_close(m);
}

static const workload workloads[] = {
    {"parse", parse},           {"open", open_path},    {"memory", memory}, {"find", find},
    {"find-n", find_n},         {"find-all", find_all}, {"load", load},     {"load-f32", load_f32},
    {"layer", layer},           {"touch", touch},       {"view", view},     {"transpose", transpose},
    {"convert", convert},       {"save", save},         {"stream", stream}, {"names", load_names},
    {"save-names", save_names}, {"shard", shard},       {"merge", merge},   {NULL, NULL}};

int main(void) {
    return serve(workloads);
}
