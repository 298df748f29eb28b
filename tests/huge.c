/* Tests files of more than 4 GiB, also where size_t has 32 bits: tensors that are longer, and tensors that begin later.
 * The file is sparse. What would copy all of it goes from a callback to a sink. */
#include "../safetensors.h"

#include "cases.h"
#include "scratch.h"

#ifdef _WIN32
#include <windows.h>
#endif

/* rows 65,535 and 65,536 of "a" meet at its byte 2^32 */
enum { SIDE = 65536, ROWS = SIDE + 1, M_SIDE = 16384 };
#define A_BYTES UINT64_C(4295032832)
#define M_BYTES UINT64_C(536870912)
#define DATA_BYTES (A_BYTES + M_BYTES + 8)
#define CUT UINT64_C(4294967296)
#define SECOND_BYTES \
    UINT64_C(3221225472) /* fits size_t of 32 bits, but not ptrdiff_t, so that it must not be mapped there */

/* the 39 spaces leave room for metadata */
static const char header[] = "{\"a\":" E("U8", "[65537,65536]", "[0,4295032832]") ",\"m\":" E(
    "BF16", "[16384,16384]",
    "[4295032832,4831903744]") ",\"z\":" E("F32", "[2]",
                                           "[4831903744,4831903752]") "}                                       ";
static const char header_second[] =
    "{\"a\":" E("U8", "[3221225471]", "[0,3221225471]") ",\"z\":" E("U8", "[1]", "[3221225471,3221225472]") "}";

static const struct planted { /* the bytes of the file that are not zero, by offset in the data */
    uint64_t offset;
    const char *bytes;
    size_t n;
} planted[] = {{0, "first", 5},
               {CUT - 2, "abcd", 4},
               {A_BYTES - 1, "e", 1},
               {A_BYTES, "\x80\x3f", 2},               /* 1 */
               {A_BYTES + M_BYTES - 2, "\x00\xc0", 2}, /* -2 */
               {A_BYTES + M_BYTES, "\x00\x00\xc0\x3f\x00\x00\x20\x41", 8}};
enum { PLANTED = sizeof planted / sizeof *planted };

static st_error error;
static unsigned char *head; /* the file up to its data */
static size_t head_bytes;

/* ---- the file ------------------------------------------------------------------------------------------------- */

/* lengthens a file without writing; returns 0 where files cannot be sparse */
static int lengthen(const char *path, uint64_t bytes) {
#ifdef _WIN32
    HANDLE h = CreateFileA(path, GENERIC_READ | GENERIC_WRITE, 0, NULL, OPEN_EXISTING, FILE_ATTRIBUTE_NORMAL, NULL);
    DWORD done = 0;
    LARGE_INTEGER at;
    int made;
    if (h == INVALID_HANDLE_VALUE) return 0;
    (void)DeviceIoControl(h, 0x900C4 /* FSCTL_SET_SPARSE */, NULL, 0, NULL, 0, &done, NULL);
    at.QuadPart = (LONGLONG)bytes;
    made = SetFilePointerEx(h, at, NULL, FILE_BEGIN) && SetEndOfFile(h);
    CloseHandle(h);
    return made;
#else
    struct stat about;
    return truncate(path, (off_t)bytes) == 0 && stat(path, &about) == 0 && (uint64_t)about.st_blocks * 512 < bytes / 2;
#endif
}

static FILE *open_at(const char *path, const char *mode, uint64_t offset) {
    FILE *file = fopen(path, mode);
    if (file == NULL) exit(2);
#ifdef _WIN32
    CHECK(_fseeki64(file, (long long)offset, SEEK_SET) == 0);
#else
    CHECK(fseeko(file, (off_t)offset, SEEK_SET) == 0);
#endif
    return file;
}

static void plant(const char *path, uint64_t offset, const void *bytes, size_t n) {
    FILE *file = open_at(path, "r+b", offset);
    CHECK(fwrite(bytes, 1, n, file) == n);
    CHECK(fclose(file) == 0);
}

static int holds(const char *path, uint64_t offset, const void *bytes, size_t n) {
    char got[16];
    FILE *file = open_at(path, "rb", offset);
    const int same = fread(got, 1, n, file) == n && memcmp(got, bytes, n) == 0;
    fclose(file);
    return same;
}

static st_model *open_path(const char *path, unsigned flags, st_status wanted) {
    st_open_options options;
    st_model *model;
    memset(&options, 0, sizeof options);
    options.flags = flags;
    CHECK_STATUS(st_open(&model, path, &options, &error), wanted);
    return model;
}

/* ---- reading -------------------------------------------------------------------------------------------------- */

static void views(const st_model *model) {
    const st_tensor *a = st_find(model, "a"), *m = st_find(model, "m");
    const st_range corner[] = {{SIDE - 1, ROWS, 1}, {SIDE - 2, SIDE, 1}},
                   last[] = {{SIDE, ROWS, 1}, {SIDE - 2, SIDE, 1}};
    const st_range ends[] = {{0, M_SIDE, M_SIDE - 1}, {0, M_SIDE, M_SIDE - 1}}, begin[] = {{SIDE, ROWS, 1}, {0, 4, 1}};
    const uint32_t turned[] = {1, 0};
    st_view view;
    char got[4];
    float numbers[4];
    memset(&view, 0, sizeof view);
    view.range_count = 2;
    view.ranges = begin;
    CHECK_STATUS(st_read_as(model, a, &view, ST_AS_STORED, got, 4, &error), ST_OK);
    CHECK(memcmp(got, "cd\0\0", 4) == 0);
    view.ranges = last;
    CHECK_STATUS(st_read_as(model, a, &view, ST_AS_STORED, got, 2, &error), ST_OK);
    CHECK(memcmp(got, "\0e", 2) == 0);
    view.ranges = corner;
    CHECK_STATUS(st_read_as(model, a, &view, ST_AS_STORED, got, 4, &error), ST_OK);
    CHECK(memcmp(got, "ab\0e", 4) == 0);
    view.axes = turned;
    CHECK_STATUS(st_read_as(model, a, &view, ST_AS_STORED, got, 4, &error), ST_OK);
    CHECK(memcmp(got, "a\0be", 4) == 0);
    view.ranges = ends;
    CHECK_STATUS(st_read_as(model, m, &view, ST_DTYPE_F32, numbers, sizeof numbers, &error), ST_OK);
    CHECK(numbers[0] == 1 && numbers[1] == 0 && numbers[2] == 0 && numbers[3] == -2);
}

static void loads(const st_model *model) {
    const st_range rows[] = {{SIDE - 1, ROWS, 1}}, row[] = {{M_SIDE - 1, M_SIDE, 1}};
    static unsigned char two[2 * SIDE];
    static float one[M_SIDE];
    double z[2];
    st_view views[2];
    st_load_item items[3];
    st_extent extents[3];
    size_t count;
    unsigned part;
    memset(views, 0, sizeof views);
    memset(items, 0, sizeof items);
    memset(two, 0xee, sizeof two);
    memset(one, 0xee, sizeof one);
    views[0].ranges = rows, views[1].ranges = row;
    views[0].range_count = views[1].range_count = 1;
    items[0].tensor = st_find(model, "z"), items[0].as = ST_DTYPE_F64, items[0].dst = z, items[0].dst_bytes = sizeof z;
    items[1].tensor = st_find(model, "a"), items[1].dst = two, items[1].dst_bytes = sizeof two;
    items[1].view = &views[0];
    items[2].tensor = st_find(model, "m"), items[2].as = ST_DTYPE_F32, items[2].dst = one,
    items[2].dst_bytes = sizeof one;
    items[2].view = &views[1];
    for (part = 0; part < 3; part++) {
        st_load_options options;
        memset(&options, 0, sizeof options);
        options.part = part, options.part_count = 3;
        CHECK_STATUS(st_load(model, items, 3, &options, &error), ST_OK);
    }
    CHECK(z[0] == 1.5 && z[1] == 10);
    CHECK(memcmp(two + SIDE - 2, "abcd", 4) == 0 && two[0] == 0 && two[2 * SIDE - 2] == 0 && two[2 * SIDE - 1] == 'e');
    CHECK(one[0] == 0 && one[M_SIDE - 2] == 0 && one[M_SIDE - 1] == -2);
    items[0].as = items[2].as = ST_AS_STORED;
    CHECK_STATUS(st_plan_load(model, items, 3, 0, extents, 3, &count, &error), ST_OK);
    CHECK_EQ(count, 3);
    CHECK(extents[0].item == 1 && extents[0].bytes == 2 * SIDE);
    CHECK_EQ(extents[0].offset, head_bytes + CUT - SIDE);
    CHECK(extents[1].item == 2 && extents[1].bytes == 2 * M_SIDE);
    CHECK_EQ(extents[1].offset, head_bytes + A_BYTES + M_BYTES - 2 * M_SIDE);
    CHECK(extents[2].item == 0 && extents[2].bytes == 8);
    CHECK_EQ(extents[2].offset, head_bytes + A_BYTES + M_BYTES);
}

static void reads(const char *path, unsigned flags) {
    const int too_large = sizeof(void *) < 8 && flags == ST_OPEN_MUST_MAP;
    const int mapped = sizeof(void *) >= 8 && flags != ST_OPEN_NO_MAP;
    st_model *model = open_path(path, flags, too_large ? ST_ERR_TOO_LARGE : ST_OK);
    const st_tensor *a, *z;
    char got[6];
    if (model == NULL) return;
    a = st_find(model, "a"), z = st_find(model, "z");
    CHECK_EQ(model->shards[0].file_bytes, head_bytes + DATA_BYTES);
    CHECK_EQ(model->bytes, DATA_BYTES);
    CHECK_EQ(a->bytes, A_BYTES);
    CHECK_EQ(z->offset, head_bytes + A_BYTES + M_BYTES);
    CHECK((a->data != NULL) == mapped && (z->data != NULL) == mapped);
    if (a->data != NULL && z->data != NULL) {
        CHECK(((const char *)a->data)[CUT - 1] == 'b');
        CHECK(memcmp(z->data, planted[5].bytes, 8) == 0);
    }
    CHECK_STATUS(st_read(model, a, CUT - 3, got, 6, &error), ST_OK);
    CHECK(memcmp(got, "\0abcd\0", 6) == 0);
    CHECK_STATUS(st_read(model, a, A_BYTES - 1, got, 1, &error), ST_OK);
    CHECK_EQ(got[0], 'e');
    CHECK_STATUS(st_read(model, a, A_BYTES, got, 1, &error), ST_ERR_ARGUMENT);
    views(model);
    loads(model);
    CHECK_STATUS(st_advise(model, z, ST_ADVISE_WILL_NEED, &error), ST_OK);
    CHECK_STATUS(st_advise(model, NULL, ST_ADVISE_DONE, &error), ST_OK);
    CHECK_STATUS(st_read(model, z, 7, got, 1, &error), ST_OK);
    CHECK_EQ(got[0], 0x41);
    st_close(model);
}

/* ---- changing a file ------------------------------------------------------------------------------------------ */

static void changes(const char *path) {
    const st_pair pair = {"k", "v", 0, 0};
    st_save_options options;
    st_model *model;
    memset(&options, 0, sizeof options);
    options.flags = ST_SAVE_NO_SYNC;
    CHECK_STATUS(st_overwrite(path, "a", CUT - 1, "BC", 2, &options, &error), ST_OK);
    CHECK(holds(path, head_bytes + CUT - 3, "\0aBCd\0", 6));
    CHECK_STATUS(st_overwrite(path, "z", 4, "\0\0\x80\x40", 4, &options, &error), ST_OK);
    CHECK(holds(path, head_bytes + DATA_BYTES - 8, "\0\0\xc0\x3f\0\0\x80\x40", 8));
    CHECK_STATUS(st_overwrite(path, "a", A_BYTES - 1, "xx", 2, &options, &error), ST_ERR_ARGUMENT);
    options.flags |= ST_SAVE_IN_PLACE;
    CHECK_STATUS(st_edit_metadata(path, &pair, 1, &options, &error), ST_OK);
    CHECK(holds(path, 8, "{\"__metadata__\"", 15) && holds(path, head_bytes, "first", 5));
    model = open_path(path, ST_OPEN_NO_MAP, ST_OK);
    if (model == NULL) return;
    CHECK(st_find_metadata(model, "k") != NULL);
    CHECK_EQ(st_find(model, "z")->offset, head_bytes + A_BYTES + M_BYTES);
    CHECK_EQ(model->shards[0].file_bytes, head_bytes + DATA_BYTES);
    st_close(model);
}

/* ---- writing -------------------------------------------------------------------------------------------------- */

/* The bytes that are zero in the file are not written: the library's buffer keeps what it holds. */
static int made_read_at(void *user, uint64_t offset, void *dst, size_t n) {
    size_t i, k;
    (void)user;
    for (; offset < head_bytes && n > 0; offset++, n--) {
        *(unsigned char *)dst = head[offset];
        dst = (unsigned char *)dst + 1;
    }
    for (i = 0; i < PLANTED; i++) {
        for (k = 0; k < planted[i].n; k++) {
            const uint64_t at = head_bytes + planted[i].offset + k;
            if (at >= offset && at - offset < n) ((char *)dst)[at - offset] = planted[i].bytes[k];
        }
    }
    return 0;
}

static uint64_t sunk;

/* counts the bytes, and compares those that the file has */
static int sink_write(void *user, const void *bytes, size_t n) {
    const unsigned char *in = (const unsigned char *)bytes;
    size_t i, k;
    (void)user;
    for (i = 0; i < PLANTED; i++) {
        for (k = 0; k < planted[i].n; k++) {
            const uint64_t at = head_bytes + planted[i].offset + k;
            if (at >= sunk && at - sunk < n) CHECK_EQ(in[at - sunk], (unsigned char)planted[i].bytes[k]);
        }
    }
    for (i = 0; sunk < head_bytes && i < n; i++, sunk++) CHECK_EQ(in[i], head[sunk]);
    sunk += n - i;
    return 0;
}

static void writes(void) {
    enum { BLOCK = 32 << 20 };
    unsigned char *block = (unsigned char *)calloc(1, BLOCK);
    const st_sink sink = {NULL, sink_write};
    st_save_options options;
    st_contents contents;
    st_writer *writer;
    st_model *model;
    st_io io;
    uint32_t shards[3], shard_count;
    uint64_t at;
    size_t i;
    memset(&io, 0, sizeof io);
    memset(&options, 0, sizeof options);
    io.bytes = head_bytes + DATA_BYTES;
    io.read_at = made_read_at;
    options.sink = &sink;
    options.flags = ST_SAVE_KEEP_ORDER;
    options.slack = 39; /* the spaces of the header */
    if (block == NULL || !CHECK_STATUS(st_open_io(&model, &io, NULL, &error), ST_OK)) exit(2);
    contents = st_contents_of(model);
    sunk = 0;
    CHECK_STATUS(st_save(NULL, &contents, &options, &error), ST_OK);
    CHECK_EQ(sunk, head_bytes + DATA_BYTES);

    sunk = 0;
    CHECK_STATUS(st_writer_open(&writer, NULL, &options, &error), ST_OK);
    for (i = 0; i < 3; i++) CHECK_STATUS(st_writer_add(writer, &model->tensors[i], &error), ST_OK);
    CHECK_STATUS(st_writer_begin(writer, &error), ST_OK);
    for (at = 0; at < DATA_BYTES; at += BLOCK) {
        const size_t n = DATA_BYTES - at < BLOCK ? (size_t)(DATA_BYTES - at) : (size_t)BLOCK;
        made_read_at(NULL, head_bytes + at, block, n);
        CHECK(st_writer_next(writer) == NULL || st_writer_next(writer)->offset <= head_bytes + at);
        CHECK_STATUS(st_writer_write(writer, block, n, &error), ST_OK);
    }
    CHECK(st_writer_next(writer) == NULL);
    CHECK_STATUS(st_writer_write(writer, block, 1, &error), ST_ERR_ARGUMENT);
    CHECK_STATUS(st_writer_finish(writer, &error), ST_OK);
    CHECK_EQ(sunk, head_bytes + DATA_BYTES);
    st_writer_close(writer);

    memset(&options, 0, sizeof options);
    options.max_shard_bytes = A_BYTES + M_BYTES - 1;
    CHECK_STATUS(st_plan_shards(&contents, &options, shards, &shard_count, &error), ST_OK);
    CHECK(shard_count == 2 && shards[0] == 0 && shards[1] == 1 && shards[2] == 1);
    options.max_shard_bytes = DATA_BYTES;
    CHECK_STATUS(st_plan_shards(&contents, &options, shards, &shard_count, &error), ST_OK);
    CHECK_EQ(shard_count, 1);
    st_close(model);
    free(block);
}

/* ---- a file of more than 2 GiB -------------------------------------------------------------------------------- */

static void reads_second(const char *path, size_t before, unsigned flags) {
    const int mapped = sizeof(void *) >= 8 && flags != ST_OPEN_NO_MAP;
    st_model *model = open_path(path, flags, !mapped && flags == ST_OPEN_MUST_MAP ? ST_ERR_TOO_LARGE : ST_OK);
    const st_tensor *z;
    char got[2];
    if (model == NULL) return;
    z = st_find(model, "z");
    CHECK_EQ(z->offset, before + SECOND_BYTES - 1);
    CHECK(mapped ? z->data != NULL && *(const char *)z->data == 'z' : z->data == NULL);
    CHECK_STATUS(st_read(model, z, 0, got, 1, &error), ST_OK);
    CHECK_EQ(got[0], 'z');
    CHECK_STATUS(st_read(model, st_find(model, "a"), SECOND_BYTES - 3, got, 2, &error), ST_OK);
    CHECK(got[0] == 0 && got[1] == 'y');
    st_close(model);
}

/* ---- more than 2^32 elements in 2 GiB -------------------------------------------------------------------------- */

static void packed(void) {
    static const char packed_header[] = "{\"p\":" E("F4", "[4294967312]", "[0,2147483656]") "}";
    const st_range ranges[2] = {{CUT, UINT64_MAX, 1}, {15, UINT64_MAX, CUT}};
    size_t before, i;
    unsigned char *begin = make_file(packed_header, sizeof packed_header - 1, "", 0, &before);
    const char *path = scratch_write("packed", begin, before);
    st_model *model;
    CHECK(lengthen(path, before + UINT64_C(2147483656)));
    plant(path, before + 7, "m", 1);                    /* elements 14 and 15: -3 and 4 */
    plant(path, before + UINT64_C(2147483655), "z", 1); /* the last two: -1 and 6 */
    model = open_path(path, 0, ST_OK);
    for (i = 0; model != NULL && i < 2; i++) {
        const st_view view = {&ranges[i], 1, NULL};
        const size_t last = i == 0 ? 15 : 1;
        float got[16] = {0};
        CHECK_STATUS(st_read_as(model, st_find(model, "p"), &view, ST_DTYPE_F32, got, sizeof got, &error), ST_OK);
        CHECK(got[last - 1] == (i == 0 ? -1 : 4) && got[last] == 6);
    }
    st_close(model);
    free(begin);
    scratch_remove("packed");
}

int main(void) {
    unsigned char *second;
    size_t second_bytes, i;
    const char *path;
    unsigned flags;
    scratch_begin("huge");
    head = make_file(header, sizeof header - 1, "", 0, &head_bytes);
    path = scratch_write("huge", head, head_bytes);
    if (!lengthen(path, head_bytes + DATA_BYTES)) {
        SKIP("no sparse file of 5 GB can be had here");
    } else {
        for (i = 0; i < PLANTED; i++) plant(path, head_bytes + planted[i].offset, planted[i].bytes, planted[i].n);
        for (flags = 0; flags <= ST_OPEN_MUST_MAP; flags++) reads(path, flags);
        changes(path);
        second = make_file(header_second, sizeof header_second - 1, "", 0, &second_bytes);
        path = scratch_write("huge", second, second_bytes);
        CHECK(lengthen(path, second_bytes + SECOND_BYTES));
        plant(path, second_bytes + SECOND_BYTES - 2, "yz", 2);
        for (flags = 0; flags <= ST_OPEN_MUST_MAP; flags++) reads_second(path, second_bytes, flags);
        free(second);
        packed();
    }
    scratch_remove("huge");
    writes();
    free(head);
    scratch_end();
    return test_done("huge");
}
