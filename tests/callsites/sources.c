/* Callbacks, a file system of one's own, counted allocations, a work buffer instead of an allocator, scanning without memory. */
#define ST_IMPLEMENTATION
#include "safetensors.h"
#include "expect.h"

static unsigned char file[1024];
static size_t file_bytes;
static int opened;
static int read_at(void *user, uint64_t offset, void *dst, size_t n) {
    int *fail = (int *)user;
    if (*fail) return 5;
    if (offset > file_bytes || n > file_bytes - offset) return 22;
    memcpy(dst, file + offset, n);
    return 0;
}
static int pack_open(void *user, const char *path, st_io *io) {
    if (strcmp(path, "pack/model.safetensors") != 0) return ST_IO_NOT_FOUND;
    opened++;
    io->user = user, io->read_at = read_at, io->bytes = file_bytes, io->mapped = NULL;
    return 0;
}
static void pack_close(void *user, st_io *io) {
    (void)user, (void)io;
    opened--;
}
static int pack_list(void *user, const char *directory, int (*each)(void *arg, const char *name), void *arg) {
    (void)user;
    return strcmp(directory, "pack") == 0 ? each(arg, "model.safetensors") : ST_IO_NOT_FOUND;
}
static size_t live, peak, calls;
static void *take(void *user, size_t n) {
    (void)user;
    live += n, calls++;
    if (live > peak) peak = live;
    return malloc(n);
}
static void give(void *user, void *p, size_t n) {
    (void)user;
    if (p) live -= n;
    free(p);
}

int main(void) {
    const float v[4] = {1, 2, 3, 4};
    int fail = 0;
    st_io io;
    st_files files;
    st_model *m;
    st_error e;
    st_open_options o;
    st_allocator counting = {NULL, take, give};
    static uint64_t work[1024];
    float out[4];
    file_bytes = make_file(file,
                           "{\"x\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]},\"y\":{\"dtype\":\"F32\","
                           "\"shape\":[2],\"data_offsets\":[8,16]}}",
                           v, 16);
    memset(&io, 0, sizeof io);
    io.user = &fail, io.read_at = read_at, io.bytes = file_bytes;
    memset(&o, 0, sizeof o);
    o.allocator = &counting;
    EXPECT(st_open_io(&m, &io, &o, &e) == ST_OK && m->count == 2 && m->tensors[1].data == NULL);
    EXPECT(st_read(m, st_find(m, "y"), 4, out, 4, &e) == ST_OK && out[0] == 4);
    fail = 1;
    EXPECT(st_read(m, st_find(m, "x"), 0, out, 4, &e) == ST_ERR_IO && e.sys == 5);
    st_close(m);
    EXPECT(live == 0 && calls > 0 && peak < 4096);
    EXPECT(st_open_io(&m, &io, &o, &e) == ST_ERR_IO && e.sys == 5 && live == 0);
    fail = 0;
    io.mapped = file;
    EXPECT(st_open_io(&m, &io, &o, &e) == ST_OK && m->tensors[1].data == file + file_bytes - 8);
    st_close(m);

    /* a work buffer: no allocator is called, and the size that an error names suffices */
    io.mapped = NULL;
    calls = 0;
    o.work.data = work, o.work.bytes = sizeof work;
    EXPECT(st_open_io(&m, &io, &o, &e) == ST_OK && calls == 0);
    EXPECT((const char *)m >= (const char *)work && (const char *)m->tensors < (const char *)work + sizeof work);
    st_close(m);
    o.work.bytes = 16;
    EXPECT(st_open_io(&m, &io, &o, &e) == ST_ERR_MEMORY && e.expected > 16 && e.expected < sizeof work && calls == 0);
    o.work.bytes = (size_t)e.expected;
    EXPECT(st_open_io(&m, &io, &o, &e) == ST_OK && calls == 0);
    st_close(m);

    /* a pack */
    memset(&o, 0, sizeof o);
    memset(&files, 0, sizeof files);
    files.user = &fail, files.open = pack_open, files.close = pack_close, files.list = pack_list;
    o.files = &files;
    EXPECT(st_open(&m, "pack/model.safetensors", &o, &e) == ST_OK && m->count == 2 &&
           st_read(m, st_find(m, "x"), 0, out, 8, &e) == ST_OK && out[1] == 2);
    st_close(m);
    EXPECT(opened == 0);
    EXPECT(st_open(&m, "nowhere", &o, &e) == ST_ERR_NOT_FOUND && opened == 0);
    {
        st_scan scan;
        uint64_t sum = 0;
        EXPECT(st_scan_begin(&scan, file, file_bytes, file_bytes, NULL, &e) == ST_OK);
        while (st_scan_next(&scan)) {
            sum += scan.tensor.elements;
            EXPECT(scan.tensor.name_bytes == 1 && scan.tensor.rank == 1 && !scan.name_escaped);
        }
        EXPECT(sum == 4);
        /* header bytes and the file's length are enough */
        EXPECT(st_scan_begin(&scan, file, file_bytes - 16, file_bytes, NULL, &e) == ST_OK && st_scan_next(&scan) == 1 &&
               st_scan_is(&scan, "x") && !st_scan_is(&scan, "xy"));
        EXPECT(st_scan_begin(&scan, file, file_bytes - 16, file_bytes - 1, NULL, &e) == ST_ERR_TRUNCATED);
        EXPECT(st_scan_begin(&scan, file, 20, file_bytes, NULL, &e) == ST_ERR_ARGUMENT &&
               e.expected == file_bytes - 16);
    }
    return expect_done("sources");
}
