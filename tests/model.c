/* Tests rooms 13 and 14: paths of every kind and what they may refer to, flags and arguments. */
#define ST_IMPLEMENTATION
#include "../safetensors.h"

#include "large.h"
#include "seeds.h"
#include "sources.h"

#ifdef _WIN32
#include <io.h>
#include <windows.h>
#else
#include <errno.h>
#include <fcntl.h>
#endif

static const char header[] = "{\"t\":" E("U8", "[4]", "[0,4]") "}";
static unsigned char *good; /* a file with four bytes of data: "abcd" */
static size_t good_bytes;
static st_error error;
static st_model *model;

static st_status open_path(const char *path, unsigned flags) {
    st_open_options options;
    st_status status;
    memset(&options, 0, sizeof options);
    memset(&error, 0xee, sizeof error);
    options.flags = flags;
    model = (st_model *)(void *)&options;
    status = st_open(&model, path, &options, &error);
    CHECK((status == ST_OK) == (model != NULL));
    CHECK_STATUS(error.status, status);
    if (status != ST_OK) {
        check_text(error.message, sizeof error.message);
        check_text(error.subject, sizeof error.subject);
    }
    return status;
}

/* opens, reads, closes */
static void opens_well(const char *path) {
    unsigned flags;
    for (flags = 0; flags <= ST_OPEN_MUST_MAP; flags++) {
        char got[4];
        if (flags == (ST_OPEN_NO_MAP | ST_OPEN_MUST_MAP) || (flags == ST_OPEN_MUST_MAP && !MAPS_FILES)) continue;
        if (!CHECK_STATUS(open_path(path, flags), ST_OK)) continue;
        CHECK_STR(model->shards[0].path, path);
        CHECK((model->tensors[0].data != NULL) == (MAPS_FILES && flags != ST_OPEN_NO_MAP));
        CHECK_STATUS(st_read(model, &model->tensors[0], 0, got, 4, &error), ST_OK);
        CHECK(memcmp(got, "abcd", 4) == 0);
        st_close(model);
    }
}

static void nothing_there(void) {
    static const char *const names[] = {"missing.safetensors", "missing/missing.safetensors", "good.safetensors/inside",
                                        "missing"};
    size_t i;
    scratch_write("good.safetensors", good, good_bytes);
    opens_well(scratch_path("good.safetensors"));
    CHECK_STATUS(st_open(&model, scratch_path("good.safetensors"), NULL, NULL), ST_OK);
    st_close(model);
    for (i = 0; i < sizeof names / sizeof *names; i++) {
        const char *path = scratch_path(names[i]);
        test_row = names[i];
        CHECK_STATUS(open_path(path, 0), ST_ERR_NOT_FOUND);
        CHECK(strncmp(error.message, path, strlen(path)) == 0);
        CHECK_EQ(error.position, UINT64_MAX);
    }
    test_row = "";
    CHECK_STATUS(open_path("", 0), ST_ERR_NOT_FOUND);
    scratch_remove("good.safetensors");
}

static void directories(void) {
    CHECK_STATUS(open_path(scratch_directory, 0), ST_ERR_NOT_FOUND);
    CHECK(strstr(error.message, "found no .safetensors file") != NULL);
    CHECK_STATUS(open_path(".", 0), ST_ERR_NOT_FOUND);
    CHECK_STATUS(open_path(scratch_path(""), 0), ST_ERR_NOT_FOUND); /* with a trailing slash */
    CHECK_STATUS(open_path(scratch_path("."), ST_OPEN_NO_MAP), ST_ERR_NOT_FOUND);
}

static void short_files(void) {
    scratch_write("short", "", 0);
    CHECK_STATUS(open_path(scratch_path("short"), 0), ST_ERR_TRUNCATED);
    CHECK(error.expected == 8 && error.actual == 0 && error.position == 0 && strstr(error.message, "empty") != NULL);
    CHECK_STATUS(open_path(scratch_path("short"), ST_OPEN_MUST_MAP), ST_ERR_TRUNCATED);
    scratch_write("short", "\010\000\000", 3);
    CHECK_STATUS(open_path(scratch_path("short"), 0), ST_ERR_TRUNCATED);
    CHECK(error.expected == 8 && error.actual == 3);
    scratch_remove("short");
}

/* an index is recognized by its name; under another name the error identifies it as an index */
static void index_file(void) {
    static const char text[] =
        "{\"metadata\":{\"total_size\":4},\"weight_map\":{\"t\":\"model-00001-of-00001.safetensors\"}}";
    scratch_write("model.safetensors.index", text, sizeof text - 1);
    CHECK_STATUS(open_path(scratch_path("model.safetensors.index"), 0), ST_ERR_FORMAT);
    CHECK(strstr(error.message, "index") != NULL);
    scratch_remove("model.safetensors.index");
}

/* counts a directory's entries without "." and ".." */
static int count_listed(void *arg, const char *name) {
    unsigned *seen = (unsigned *)arg;
    static const char *const names[] = {".a", "..a", "...", "b"};
    unsigned i;
    for (i = 0; i < 4; i++) {
        if (strcmp(name, names[i]) == 0) *seen |= 1u << i;
    }
    *seen += 16;
    return *seen >= 16 * 100;
}

static void listing(void) {
    unsigned seen = 0;
    scratch_write(".a", "", 0), scratch_write("..a", "", 0), scratch_write("b", "", 0);
#ifndef _WIN32
    scratch_write("...", "", 0);
#else
    seen = 16 | 4; /* Windows drops a trailing dot */
#endif
    CHECK_EQ(sti_system_list(NULL, scratch_directory, count_listed, &seen), 0);
    CHECK_EQ(seen, 4 * 16 + 15);
    seen = 16 * 99; /* the callback stops after the first name */
    CHECK_EQ(sti_system_list(NULL, scratch_directory, count_listed, &seen), 1);
    CHECK_EQ(seen / 16, 100);
    CHECK_EQ(sti_system_list(NULL, scratch_path("b"), count_listed, &seen), ST_IO_NOT_FOUND);
    CHECK_EQ(sti_system_list(NULL, scratch_path("missing"), count_listed, &seen), ST_IO_NOT_FOUND);
    scratch_remove(".a"), scratch_remove("..a"), scratch_remove("b");
#ifndef _WIN32
    scratch_remove("...");
#endif
}

/* ---- paths that are not regular files ---- */

#ifndef _WIN32
#if HAS_POSIX
static void no_files(void) {
    const char *path = scratch_path("fifo");
    if (CHECK(mkfifo(path, 0600) == 0)) { /* a pipe without a writer: opening it must not block */
        CHECK_STATUS(open_path(path, 0), ST_ERR_IO);
        CHECK_STATUS(open_path(path, ST_OPEN_NO_MAP), ST_ERR_IO);
        CHECK(remove(path) == 0);
    }
    CHECK_STATUS(open_path("/dev/null", 0), ST_ERR_IO);
    CHECK_STATUS(open_path("/dev/zero", ST_OPEN_NO_MAP), ST_ERR_IO);
    if (access("/proc/self/maps", R_OK) == 0) { /* reports a size of 0, but is not empty */
        CHECK(open_path("/proc/self/maps", 0) != ST_OK);
        CHECK(open_path("/proc/self/maps", ST_OPEN_MUST_MAP) != ST_OK);
        CHECK(open_path("/proc/self/mem", 0) != ST_OK);
        CHECK_STATUS(open_path("/proc/self", 0), ST_ERR_NOT_FOUND);
    } else {
        SKIP("no /proc here");
    }
}
#else
static void no_files(void) {
    SKIP("no special files here");
}
#endif

/* error codes of the system are passed on; here for an invalid handle */
static void refused_by_the_system(void) {
    sti_opening o;
    st_io io;
    char byte = '#';
    int code;
    memset(&o, 0, sizeof o);
    memset(&io, 0, sizeof io);
    io.user = (void *)(intptr_t)-1;
    io.bytes = 1;
    o.is_system = 1;
    o.error = &error;
    code = sti_system_read(io.user, 0, &byte, 1);
    CHECK(code == EBADF || code == EINVAL); /* WASI: EINVAL */
    CHECK_EQ(byte, '#');
    CHECK_STATUS(sti_map_file(&o, &io), ST_OK); /* falls back to reading */
    CHECK(io.mapped == NULL);
    o.flags = ST_OPEN_MUST_MAP;
    CHECK_STATUS(sti_map_file(&o, &io), MAPS_FILES ? ST_ERR_IO : ST_ERR_UNSUPPORTED);
    CHECK_EQ(error.sys, MAPS_FILES ? EBADF : 0);
}

#if HAS_POSIX
static void unreadable(void) {
    const char *path = scratch_write("secret", good, good_bytes);
    const int root = geteuid() == 0; /* root may read everything, so switch users */
    CHECK(chmod(path, 0) == 0);
    if (root && seteuid(65534) != 0) {
        SKIP("there is no other user to be refused a file");
    } else {
        CHECK_STATUS(open_path(path, 0), ST_ERR_IO);
        CHECK_EQ(error.sys, EACCES);
        CHECK(strncmp(error.message, path, strlen(path)) == 0);
        if (root) CHECK(seteuid(0) == 0);
    }
    scratch_remove("secret");
}
#else
static void unreadable(void) {
    SKIP("no permissions here");
}
#endif

static void links(void) {
    const char *link = scratch_path("link"), *loop = scratch_path("loop"), *lost = scratch_path("lost");
    scratch_write("good.safetensors", good, good_bytes);
    if (CHECK(symlink("good.safetensors", link) == 0 && symlink("loop", loop) == 0 && symlink("nowhere", lost) == 0)) {
        opens_well(link);
        CHECK_STATUS(open_path(loop, 0), ST_ERR_IO);
        CHECK_EQ(error.sys, ELOOP);
        CHECK_STATUS(open_path(lost, 0), ST_ERR_NOT_FOUND);
        CHECK(remove(link) == 0 && remove(loop) == 0 && remove(lost) == 0);
    }
    scratch_remove("good.safetensors");
}

/* names are bytes and may be invalid UTF-8 */
static void names(void) {
    static const char *const all[] = {"h\303\251-\342\202\254-\360\237\230\200.safetensors",
                                      "with blank.safetensors",
                                      "-o.safetensors",
                                      "new\nline.safetensors",
                                      "back\\slash",
                                      "percent%s%n.safetensors"};
    const char *path;
    size_t i;
    int fd;
    for (i = 0; i < sizeof all / sizeof *all; i++) {
        scratch_write(all[i], good, good_bytes);
        opens_well(scratch_path(all[i]));
        scratch_remove(all[i]);
    }
    path = scratch_path("\377.safetensors");
    fd = open(path, O_CREAT | O_WRONLY, 0600);
    if (fd < 0) {
        SKIP("this file system takes only names that are text");
        return;
    }
    CHECK(write(fd, good, good_bytes) == (ssize_t)good_bytes && close(fd) == 0);
    opens_well(path);
    CHECK(remove(path) == 0);
    CHECK_STATUS(open_path(path, 0), ST_ERR_NOT_FOUND);
    CHECK(sti_utf8_prefix((const unsigned char *)error.message, strlen(error.message)) == strlen(error.message));
    CHECK(strstr(error.message, "\\xff.safetensors: ") != NULL);
}

static void long_paths(void) {
    enum { DEPTH = 12, LENGTH = 240 };
    char path[64 + DEPTH * (LENGTH + 1)], *too_long;
    size_t used = strlen(scratch_directory), ends[DEPTH + 1], i;
    memcpy(path, scratch_directory, used + 1);
    for (i = 0; i < DEPTH; i++) {
        ends[i] = used;
        path[used] = '/';
        memset(path + used + 1, 'd', LENGTH);
        used += LENGTH + 1;
        path[used] = 0;
        if (i < DEPTH - 1) CHECK(mkdir(path, 0700) == 0);
    }
    { /* the last link leads to the file */
        FILE *file = fopen(path, "wb");
        if (CHECK(file != NULL)) {
            CHECK(fwrite(good, 1, good_bytes, file) == good_bytes && fclose(file) == 0);
            opens_well(path);
            CHECK(remove(path) == 0);
        }
    }
    for (i = DEPTH - 1; i > 0; i--) {
        path[ends[i]] = 0;
        CHECK(rmdir(path) == 0);
    }
    too_long = (char *)malloc(100001);
    if (too_long == NULL) exit(2);
    memset(too_long, 'x', 100000);
    too_long[100000] = 0;
#if defined(__EMSCRIPTEN__) /* which has no code for it with the file system of node */
    CHECK(open_path(too_long, 0) != ST_OK);
#else
    CHECK_STATUS(open_path(too_long, 0), ST_ERR_IO);
    CHECK_EQ(error.sys, ENAMETOOLONG);
#endif
    free(too_long);
}
#else
static void no_files(void) {
    CHECK(open_path("NUL", 0) != ST_OK);
    CHECK(open_path("CON", ST_OPEN_NO_MAP) != ST_OK);
}

static void unreadable(void) {
    static const char *const impossible[] = {"a<b>.safetensors", "a|b", "a*.safetensors", "?"};
    size_t i;
    for (i = 0; i < sizeof impossible / sizeof *impossible; i++) {
        st_status status = open_path(impossible[i], 0);
        CHECK(status == ST_ERR_NOT_FOUND || status == ST_ERR_IO);
    }
}

static void links(void) {
}

static void refused_by_the_system(void) {
}

static void write_wide(const wchar_t *path) {
    DWORD written = 0;
    HANDLE h = CreateFileW(path, GENERIC_WRITE, 0, NULL, CREATE_ALWAYS, FILE_ATTRIBUTE_NORMAL, NULL);
    if (!CHECK(h != INVALID_HANDLE_VALUE)) return;
    CHECK(WriteFile(h, good, (DWORD)good_bytes, &written, NULL) && written == good_bytes);
    CloseHandle(h);
}

static void wide_of(const char *path, wchar_t *wide, int room) {
    CHECK(MultiByteToWideChar(CP_UTF8, MB_ERR_INVALID_CHARS, path, -1, wide, room) > 0);
}

/* paths are UTF-8, whatever the code page */
static void names(void) {
    static const char *const all[] = {"h\303\251-\342\202\254-\360\237\230\200.safetensors", "with blank.safetensors"};
    size_t i;
    for (i = 0; i < sizeof all / sizeof *all; i++) {
        wchar_t wide[260];
        const char *path = scratch_path(all[i]);
        wide_of(path, wide, 260);
        write_wide(wide);
        opens_well(path);
        CHECK(DeleteFileW(wide));
    }
    CHECK_STATUS(open_path("\377.safetensors", 0), ST_ERR_UTF8);
    CHECK_STATUS(open_path(scratch_path("\355\240\200.safetensors"), 0), ST_ERR_UTF8);
    CHECK(sti_utf8_prefix((const unsigned char *)error.message, strlen(error.message)) == strlen(error.message));
}

static void long_paths(void) {
    enum { DEPTH = 12, LENGTH = 100, ROOM = 64 + 260 + DEPTH * (LENGTH + 1) };
    char path[ROOM];
    wchar_t wide[ROOM], full[ROOM + 4];
    size_t used = strlen(scratch_directory), ends[DEPTH + 1], i;
    char *too_long;
    memcpy(path, scratch_directory, used + 1);
    for (i = 0; i < DEPTH; i++) {
        ends[i] = used;
        path[used] = '/';
        memset(path + used + 1, 'd', LENGTH);
        used += LENGTH + 1;
        path[used] = 0;
        wide_of(path, wide, ROOM);
        memcpy(full, L"\\\\?\\", 4 * sizeof *full);
        CHECK(GetFullPathNameW(wide, ROOM, full + 4, NULL) > 0);
        if (i < DEPTH - 1) {
            CHECK(CreateDirectoryW(full, NULL));
            CHECK_STATUS(open_path(path, 0), ST_ERR_NOT_FOUND); /* a directory with a path near and over MAX_PATH */
        } else {
            write_wide(full);
            opens_well(path);
            CHECK(DeleteFileW(full));
            CHECK_STATUS(open_path(path, 0), ST_ERR_NOT_FOUND);
        }
    }
    for (i = DEPTH - 1; i > 0; i--) {
        path[ends[i]] = 0;
        wide_of(path, wide, ROOM);
        CHECK(GetFullPathNameW(wide, ROOM, full + 4, NULL) > 0);
        CHECK(RemoveDirectoryW(full));
    }
    too_long = (char *)malloc(100001);
    if (too_long == NULL) exit(2);
    memset(too_long, 'x', 100000);
    too_long[100000] = 0;
    CHECK(open_path(too_long, 0) != ST_OK);
    free(too_long);
}
#endif

/* ---- files that change while they are open ---- */

static void changes(void) {
    const char *path = scratch_write("changes", good, good_bytes);
    char got[4];
    FILE *file;
    if (CHECK_STATUS(open_path(path, ST_OPEN_NO_MAP), ST_OK)) { /* the file is shortened */
        file = fopen(path, "wb");
        if (CHECK(file != NULL)) {
            CHECK(fwrite(good, 1, good_bytes - 2, file) == good_bytes - 2 && fclose(file) == 0);
            CHECK_STATUS(st_read(model, st_find(model, "t"), 0, got, 2, &error), ST_OK);
            CHECK_STATUS(st_read(model, st_find(model, "t"), 0, got, 4, &error), ST_ERR_IO);
            CHECK(strncmp(error.message, path, strlen(path)) == 0);
            CHECK_STR(error.subject, "t");
            CHECK_STATUS(st_read(model, st_find(model, "t"), 2, got, 2, NULL), ST_ERR_IO);
        }
        st_close(model);
    }
    scratch_write("changes", good, good_bytes);
    if (CHECK_STATUS(open_path(path, ST_OPEN_NO_MAP), ST_OK)) { /* the file is removed */
        scratch_remove("changes");
        CHECK_STATUS(st_read(model, st_find(model, "t"), 0, got, 4, &error), ST_OK);
        CHECK(memcmp(got, "abcd", 4) == 0);
        st_close(model);
    }
    CHECK_STATUS(open_path(path, 0), ST_ERR_NOT_FOUND);
}

/* ---- arguments and flags ---- */

static void arguments(void) {
    st_open_options options;
    st_io io;
    served s;
    memset(&options, 0, sizeof options);
    memset(&io, 0, sizeof io);
    served_begin(&s, good, good_bytes);
    CHECK_STATUS(st_open(NULL, "x", NULL, &error), ST_ERR_ARGUMENT);
    CHECK_STATUS(error.status, ST_ERR_ARGUMENT);
    CHECK_EQ(error.position, UINT64_MAX);
    CHECK_STATUS(st_open(NULL, NULL, NULL, NULL), ST_ERR_ARGUMENT);
    model = (st_model *)(void *)&options;
    CHECK_STATUS(st_open(&model, NULL, NULL, &error), ST_ERR_ARGUMENT);
    CHECK(model == NULL);
    CHECK_STATUS(st_open_memory(NULL, good, good_bytes, NULL, &error), ST_ERR_ARGUMENT);
    model = (st_model *)(void *)&options;
    CHECK_STATUS(st_open_memory(&model, NULL, good_bytes, NULL, &error), ST_ERR_ARGUMENT);
    CHECK(model == NULL);
    CHECK_STATUS(st_open_memory(&model, NULL, 0, NULL, &error), ST_ERR_TRUNCATED);
    CHECK_STATUS(st_open_io(NULL, &s.io, NULL, &error), ST_ERR_ARGUMENT);
    model = (st_model *)(void *)&options;
    CHECK_STATUS(st_open_io(&model, NULL, NULL, &error), ST_ERR_ARGUMENT);
    CHECK(model == NULL);
    io.bytes = good_bytes; /* and neither read_at nor mapped */
    CHECK_STATUS(st_open_io(&model, &io, NULL, &error), ST_ERR_ARGUMENT);
    io.bytes = 0; /* no bytes, so neither is needed */
    CHECK_STATUS(st_open_io(&model, &io, NULL, &error), ST_ERR_TRUNCATED);
    options.files = &s.files;
    (s.files.open) = NULL;
    CHECK_STATUS(st_open(&model, s.path, &options, &error), ST_ERR_ARGUMENT);
    served_begin(&s, good, good_bytes);
    (s.files.close) = NULL;
    CHECK_STATUS(st_open(&model, s.path, &options, &error), ST_ERR_ARGUMENT);
    CHECK_EQ(s.opens, 0);
    st_close(NULL);
}

static void flags(void) {
    unsigned bit;
    st_open_options options;
    served s;
    memset(&options, 0, sizeof options);
    served_begin(&s, good, good_bytes);
    for (bit = 0; bit < 32; bit++) {
        options.flags = 1u << bit;
        if (bit == 1) continue;
        CHECK_STATUS(st_open_memory(&model, good, good_bytes, &options, &error), bit <= 6 ? ST_OK : ST_ERR_ARGUMENT);
        st_close(model);
        CHECK_STATUS(st_open_io(&model, &s.io, &options, &error), bit <= 6 ? ST_OK : ST_ERR_ARGUMENT);
        st_close(model);
    }
    options.flags = ST_OPEN_NO_MAP | ST_OPEN_MUST_MAP;
    CHECK_STATUS(st_open_memory(&model, good, good_bytes, &options, &error), ST_ERR_ARGUMENT);
    CHECK_STATUS(st_open(&model, "x", &options, &error), ST_ERR_ARGUMENT);
    /* memory counts as mapped; read_at does not */
    options.flags = ST_OPEN_MUST_MAP;
    CHECK_STATUS(st_open_memory(&model, good, good_bytes, &options, &error), ST_OK);
    CHECK(model->tensors[0].data == good + good_bytes - 4);
    st_close(model);
    CHECK(st_open_io(&model, &s.io, &options, &error) != ST_OK);
    CHECK(model == NULL);
    s.io.mapped = good;
    CHECK_STATUS(st_open_io(&model, &s.io, &options, &error), ST_OK);
    CHECK(model->tensors[0].data == good + good_bytes - 4);
    st_close(model);
    { /* NO_MAP: no data pointers, even for files in memory */
        char got[4];
        int i;
        options.flags = ST_OPEN_NO_MAP;
        for (i = 0; i < 3; i++) {
            st_io io = s.io;
            if (i == 1) io.read_at = NULL;
            CHECK_STATUS(i < 2 ? st_open_io(&model, &io, &options, &error)
                               : st_open_memory(&model, good, good_bytes, &options, &error),
                         ST_OK);
            CHECK(model->tensors[0].data == NULL);
            CHECK_STATUS(st_read(model, &model->tensors[0], 0, got, 4, &error), ST_OK);
            CHECK(memcmp(got, "abcd", 4) == 0);
            st_close(model);
        }
    }
}

/* metadata absent, empty, or with pairs */
static void metadata(void) {
    static const char *const texts[] = {"{}", "{\"__metadata__\":null}", "{\"__metadata__\":{}}",
                                        "{\"__metadata__\":{\"k\\u0000\":\"a\\u0000b\",\"\":\"\",\"k\":\"v\"}}"};
    size_t i;
    for (i = 0; i < 4; i++) {
        size_t n;
        unsigned char *file = make_file(texts[i], strlen(texts[i]), "", 0, &n);
        if (CHECK_STATUS(st_open_memory(&model, file, n, NULL, &error), ST_OK)) {
            CHECK((model->metadata == NULL) == (i < 2));
            CHECK_EQ(model->metadata_count, i == 3 ? 3 : 0);
            if (i == 3) {
                const st_pair *p = model->metadata; /* in header order */
                CHECK(p[0].key_bytes == 2 && p[0].value_bytes == 3 && memcmp(p[0].value, "a\0b", 4) == 0);
                CHECK(p[1].key_bytes == 0 && p[1].value_bytes == 0);
                CHECK(st_find_metadata(model, "k") == &p[2] && st_find_metadata(model, "") == &p[1]);
                CHECK_STR(p[2].value, "v");
            }
            st_close(model);
        }
        free(file);
    }
}

/* a header of 1.25 GiB: too long on 32-bit machines, elsewhere the allocator refuses it */
static int long_header(void *user, uint64_t offset, void *dst, size_t n) {
    static const unsigned char length[8] = {0, 0, 0, 0x50, 0, 0, 0, 0};
    (void)user;
    if (!CHECK(offset == 0 && n <= 8)) return 1;
    memcpy(dst, length, n);
    return 0;
}

static void too_large(void) {
    counting c;
    st_open_options options;
    st_io io;
    memset(&options, 0, sizeof options);
    memset(&io, 0, sizeof io);
    counting_begin(&c);
    c.fail_at = 1, c.fail_forever = 1;
    options.allocator = &c.allocator;
    options.max_header = UINT32_MAX;
    io.read_at = long_header;
    io.bytes = 0x60000000u;
    CHECK_STATUS(st_open_io(&model, &io, &options, &error), sizeof(size_t) < 8 ? ST_ERR_TOO_LARGE : ST_ERR_MEMORY);
    CHECK_EQ(c.calls, sizeof(size_t) < 8 ? 0 : 1);
}

static const unsigned char *longest; /* a header followed by zeros */
static size_t longest_bytes;
static int longest_read(void *user, uint64_t at, void *dst, size_t n) {
    (void)user;
    if (at > longest_bytes || n > longest_bytes - at) return 5;
    memcpy(dst, longest + at, n);
    return 0;
}

/* tensors of 2^61 - 1 bytes: offsets are correct in files of up to 2^63 - 1 bytes; longer files are rejected */
static void longest_files(void) {
    static const uint64_t lengths[] = {INT64_MAX, (uint64_t)INT64_MAX + 1, UINT64_MAX - 1, UINT64_MAX};
    const uint64_t each = ((uint64_t)1 << 61) - 1;
    size_t count, i, k, n;
    for (count = 1; count <= 9; count++) {
        growing text = {NULL, 0, 0};
        unsigned char *file;
        st_io io;
        st_scan scan;
        text_put(&text, "{");
        for (i = 0; i < count; i++) {
            char entry[160];
            snprintf(entry, sizeof entry, "%s\"t%u\":{\"dtype\":\"U8\",\"shape\":[%llu],\"data_offsets\":[%llu,%llu]}",
                     i ? "," : "", (unsigned)i, (unsigned long long)(i < 8 ? each : 7), (unsigned long long)(each * i),
                     (unsigned long long)(each * i + (i < 8 ? each : 7)));
            text_put(&text, entry);
        }
        text_put(&text, "}");
        file = text_file(&text, 0, &n);
        longest = file, longest_bytes = n;
        memset(&io, 0, sizeof io);
        io.read_at = longest_read;
        if (count < 4) {
            io.bytes = n + each * count;
            CHECK_STATUS(st_open_io(&model, &io, NULL, &error), ST_OK);
            CHECK_EQ(model->tensors[count - 1].offset + each, io.bytes);
            st_close(model);
        }
        for (k = 0; k < sizeof lengths / sizeof *lengths; k++) {
            st_status status = k == 0 ? (count < 4 ? ST_ERR_TRAILING : ST_ERR_TRUNCATED) : ST_ERR_TOO_LARGE;
            io.bytes = lengths[k];
            CHECK_STATUS(st_open_io(&model, &io, NULL, &error), status);
            CHECK_EQ(error.actual, lengths[k]);
            CHECK_STATUS(st_scan_begin(&scan, file, n, lengths[k], NULL, &error), status);
            if (k > 0) CHECK_EQ(error.expected, INT64_MAX);
        }
        free(file);
    }
}

/* the library reads before or after the header only when needed */
static void callbacks_that_fail(void) {
    served s;
    st_open_options options;
    memset(&options, 0, sizeof options);
    served_begin(&s, good, good_bytes);
    options.files = &s.files;
    CHECK_STATUS(st_open(&model, s.path, &options, &error), ST_OK);
    s.fail_at = 1, s.fail_forever = 1;
    { /* the error of a failed read has the tensor, the file and the code */
        char got[4];
        CHECK_STATUS(st_read(model, &model->tensors[0], 1, got, 2, &error), ST_ERR_IO);
        CHECK_EQ(error.sys, 77);
        CHECK_STR(error.subject, "t");
        CHECK(strncmp(error.message, s.path, strlen(s.path)) == 0);
        CHECK_STATUS(st_read(model, &model->tensors[0], 1, got, 2, NULL), ST_ERR_IO);
    }
    st_close(model);
    CHECK(s.opens == 1 && s.closes == 1);
    { /* st_open_io: messages have the name that the caller gave */
        static const char *const names[2] = {NULL, "http://host/m.safetensors"};
        char got[4];
        int i;
        served_begin(&s, good, good_bytes);
        for (i = 0; i < 2; i++) {
            const char *shown = i ? names[i] : "(callbacks)";
            s.io.name = names[i];
            s.fail_at = s.calls + 1, s.fail_forever = 1;
            CHECK_STATUS(st_open_io(&model, &s.io, NULL, &error), ST_ERR_IO);
            CHECK(strncmp(error.message, shown, strlen(shown)) == 0);
            s.fail_at = 0, s.fail_forever = 0;
            CHECK_STATUS(st_open_io(&model, &s.io, NULL, &error), ST_OK);
            CHECK_STR(model->shards[0].path, "");
            s.fail_at = s.calls + 1, s.fail_forever = 1;
            CHECK_STATUS(st_read(model, &model->tensors[0], 1, got, 2, &error), ST_ERR_IO);
            CHECK(strncmp(error.message, shown, strlen(shown)) == 0);
            st_close(model);
        }
    }
}

static int hollow_open(void *user, const char *path, st_io *file) {
    (void)path;
    ++*(int *)user;
    file->bytes = 100; /* and neither read_at nor mapped */
    return 0;
}

static void hollow_close(void *user, st_io *file) {
    (void)file;
    --*(int *)user;
}

/* files that report a size but provide neither read_at nor mapped are rejected and closed */
static void hollow_files(void) {
    int open_files = 0;
    st_files files;
    st_open_options options;
    memset(&files, 0, sizeof files);
    memset(&options, 0, sizeof options);
    files.user = &open_files;
    files.open = hollow_open;
    files.close = hollow_close;
    options.files = &files;
    CHECK_STATUS(st_open(&model, "hollow", &options, &error), ST_ERR_ARGUMENT);
    CHECK(model == NULL && open_files == 0);
    CHECK(strncmp(error.message, "hollow: ", 8) == 0);
}

/* Names chosen to collide in one model's table are ordinary names in another's, as seeds differ: 10,000 names in
 * chains of 125, too short to make the table fall back to sorting. */
static void chosen_names(void) {
    enum { CHAINS = 80, NAMES = 10000 };
    const sti_name_table *x;
    growing text = {NULL, 0, 0};
    size_t in_chain[CHAINS] = {0}, i, n, count = 0;
    uint64_t distance = 0, seed;
    unsigned char *file = many_tensors("t", NAMES, 0, &n);
    st_model *first;
    CHECK_STATUS(st_open_memory(&first, file, n, NULL, &error), ST_OK);
    free(file);
    if (first == NULL) return;
    x = &((const sti_model *)(const void *)first)->names;
    text_put(&text, "{");
    for (seed = 0; count < NAMES; seed++) {
        char digits[21];
        sti_span s;
        size_t place, chain;
        s.at = test_digits(seed, digits);
        s.n = strlen(s.at);
        place = sti_table_home(x, sti_hash(x, s));
        chain = place * CHAINS / x->capacity;
        /* within the first slots of the chain's part of the table */
        if (place - chain * x->capacity / CHAINS > 8 || in_chain[chain] == NAMES / CHAINS) continue;
        in_chain[chain]++;
        text_entry(&text, s.at, s.n, count++);
    }
    text_put(&text, "}");
    file = text_file(&text, count, &n);
    CHECK_STATUS(st_open_memory(&model, file, n, NULL, &error), ST_OK); /* at another address, as one is open */
    x = &((const sti_model *)(const void *)model)->names;
    CHECK(!x->sorted);
    for (i = 0; i < model->count; i++) {
        sti_span s;
        const uint32_t *slot;
        size_t place;
        s.at = model->tensors[i].name;
        s.n = model->tensors[i].name_bytes;
        place = sti_table_home(x, sti_hash(x, s));
        slot = sti_table_probe(x, 1, s, sti_hash(x, s));
        CHECK(slot != NULL && (*slot & x->mask) == i + 1);
        distance += ((size_t)(slot - x->slots) / STI_SLOT_WORDS(1) + x->capacity - place) % x->capacity;
    }
    CHECK(distance < 4 * NAMES); /* about 1 each for ordinary names, about 60 in chains */
    st_close(first);
    st_close(model);
    free(file);
}

int main(void) {
    good = make_file(header, sizeof header - 1, "abcd", 4, &good_bytes);
    scratch_begin("model");
    nothing_there();
    directories();
    short_files();
    index_file();
    listing();
    no_files();
    refused_by_the_system();
    unreadable();
    links();
    names();
    long_paths();
    changes();
    arguments();
    flags();
    metadata();
    callbacks_that_fail();
    too_large();
    longest_files();
    hollow_files();
    chosen_names();
    free(good);
    scratch_end();
    return test_done("model");
}
