/* Tests room 16: st_read, alignment and st_advise, with every kind of source. */
#ifdef __linux__
#define _GNU_SOURCE 1
#include <fcntl.h>
#include <sys/mman.h>
#include <time.h>
#endif
#if MAPS_FILES && (defined(__unix__) || defined(__APPLE__))
#include <unistd.h>
#endif
#include "../safetensors.h"

#include "large.h"
#include "sources.h"

static const char header[] = "{\"z\":" E("F64", "[0]", "[0,0]") ",\"a\":" E("U8", "[5]", "[0,5]") ",\"b\":" E(
    "F32", "[2]", "[5,13]") ",\"c\":" E("F4", "[3,2]", "[13,16]") ",\"e\":" E("I64", "[0,7]", "[16,16]") "}";
static const char data[] = "abcdefghijklmnop";

/* reads every range of every tensor, and ranges just outside, which must leave dst unchanged */
static void ranges(const st_model *m) {
    size_t i;
    for (i = 0; i < m->count; i++) {
        const st_tensor *t = &m->tensors[i];
        const char *bytes = data + (t->offset - m->shards[0].data_offset);
        uint64_t offset;
        size_t n;
        for (offset = 0; offset <= t->bytes + 2; offset++) {
            for (n = 0; n <= t->bytes + 2; n++) {
                char got[24];
                st_error error;
                st_status status;
                memset(got, '#', sizeof got);
                memset(&error, 0xee, sizeof error);
                status = st_read(m, t, offset, got, n, &error);
                CHECK_STATUS(error.status, status);
                if (offset + n <= t->bytes) {
                    CHECK_STATUS(status, ST_OK);
                    CHECK(memcmp(got, bytes + offset, n) == 0 && got[n] == '#');
                } else {
                    CHECK_STATUS(status, ST_ERR_ARGUMENT);
                    CHECK(got[0] == '#' && got[sizeof got - 1] == '#');
                    check_text(error.message, sizeof error.message);
                }
            }
        }
    }
}

static void refusals(const st_model *m) {
    const st_tensor *a = st_find(m, "a");
    st_tensor other = *a;
    char byte = '#';
    st_error error;
    CHECK_STATUS(st_read(m, a, 0, NULL, 0, &error), ST_OK);
    CHECK_STATUS(st_read(m, a, 5, NULL, 0, NULL), ST_OK);
    CHECK_STATUS(st_read(m, a, 6, NULL, 0, &error), ST_ERR_ARGUMENT);
    CHECK_STATUS(st_read(m, a, 0, NULL, 1, &error), ST_ERR_ARGUMENT);
    CHECK_STATUS(st_read(m, NULL, 0, &byte, 1, &error), ST_ERR_ARGUMENT);
    CHECK_STATUS(st_read(NULL, a, 0, &byte, 1, &error), ST_ERR_ARGUMENT);
    CHECK_STATUS(st_read(NULL, NULL, 0, NULL, 0, NULL), ST_ERR_ARGUMENT);
    CHECK_STATUS(st_read(m, a, UINT64_MAX, &byte, 1, &error), ST_ERR_ARGUMENT);
    CHECK_STATUS(st_read(m, a, 1, &byte, SIZE_MAX, &error), ST_ERR_ARGUMENT);
    CHECK_STATUS(st_read(m, a, UINT64_MAX, &byte, SIZE_MAX, NULL), ST_ERR_ARGUMENT);
    CHECK_EQ(byte, '#');
    /* a copy of a tensor is accepted; a range outside the file is rejected */
    CHECK_STATUS(st_read(m, &other, 4, &byte, 1, &error), ST_OK);
    CHECK_EQ(byte, 'e');
    byte = '#';
    other.offset = m->shards[0].file_bytes;
    CHECK_STATUS(st_read(m, &other, 0, &byte, 1, &error), ST_ERR_ARGUMENT);
    other.offset = m->shards[0].data_offset - 1;
    CHECK_STATUS(st_read(m, &other, 0, &byte, 1, &error), ST_ERR_ARGUMENT);
    other.offset = UINT64_MAX;
    CHECK_STATUS(st_read(m, &other, 0, &byte, 1, &error), ST_ERR_ARGUMENT);
    other.offset = a->offset;
    other.bytes = UINT64_MAX;
    CHECK_STATUS(st_read(m, &other, UINT64_C(1) << 40, &byte, 1, &error), ST_ERR_ARGUMENT);
    other.bytes = a->bytes;
    other.shard = 1;
    CHECK_STATUS(st_read(m, &other, 0, &byte, 1, &error), ST_ERR_ARGUMENT);
    CHECK_EQ(byte, '#');
}

/* advice must not change what is read */
static void advice(const st_model *m) {
    static const st_advice both[] = {ST_ADVISE_WILL_NEED, ST_ADVISE_DONE};
    st_error error;
    size_t i, j;
    for (i = 0; i < 2; i++) {
        CHECK_STATUS(st_advise(m, NULL, both[i], &error), ST_OK);
        CHECK_STATUS(st_advise(m, NULL, both[i], NULL), ST_OK);
        for (j = 0; j < m->count; j++) CHECK_STATUS(st_advise(m, &m->tensors[j], both[i], &error), ST_OK);
        CHECK_STATUS(error.status, ST_OK);
        ranges(m);
    }
    CHECK_STATUS(st_advise(NULL, NULL, ST_ADVISE_WILL_NEED, &error), ST_ERR_ARGUMENT);
    CHECK_STATUS(error.status, ST_ERR_ARGUMENT);
    CHECK_STATUS(st_advise(NULL, NULL, ST_ADVISE_WILL_NEED, NULL), ST_ERR_ARGUMENT);
    CHECK_STATUS(st_advise(m, NULL, (st_advice)2, &error), ST_ERR_ARGUMENT);
    CHECK_STATUS(st_advise(m, NULL, ST_ADVICE_32_BITS_, &error), ST_ERR_ARGUMENT);
    {
        st_tensor other = m->tensors[1];
        other.offset = UINT64_MAX;
        CHECK_STATUS(st_advise(m, &other, ST_ADVISE_DONE, &error), ST_ERR_ARGUMENT);
    }
}

#ifdef __linux__
static int is_resident(const unsigned char *at, size_t n) {
    const size_t page = (size_t)sysconf(_SC_PAGESIZE);
    for (; n >= page; at += page, n -= page) {
        unsigned char resident = 0;
        if (mincore((void *)((uintptr_t)at / page * page), 1, &resident) != 0 || !(resident & 1)) return 0;
    }
    return 1;
}

/* waits for hundredths of a second, at most */
static int becomes_resident(const unsigned char *at, size_t n, unsigned hundredths) {
    const struct timespec pause = {0, 10000000};
    while (!is_resident(at, n) && hundredths-- > 0) nanosleep(&pause, NULL);
    return is_resident(at, n);
}

/* Reading ahead covers the whole range, also where Linux cuts every request at the device's read-ahead. The file is
 * mapped here again, to see what is in the page cache without the model. */
static void prefetch(void) {
    enum { BYTES = 40 << 20 };
    static const char text[] = "{\"a\":" E("U8", "[41943040]", "[0,41943040]") "}";
    unsigned char *bytes = (unsigned char *)calloc(1, BYTES), *file;
    unsigned row;
    size_t n;
    if (bytes == NULL) exit(2);
    file = make_file(text, sizeof text - 1, bytes, BYTES, &n);
    for (row = 0; row < 2; row++) { /* mapped, and not */
        st_open_options options;
        const size_t page = (size_t)sysconf(_SC_PAGESIZE);
        void *map = MAP_FAILED;
        st_error error;
        st_model *m;
        unsigned tries = 0;
        int fd;
        memset(&options, 0, sizeof options);
        options.flags = row == 0 ? 0 : ST_OPEN_NO_MAP;
        scratch_write(SOURCE_FILE, file, n);
        fd = open(scratch_path(SOURCE_FILE), O_RDONLY);
        CHECK(fd >= 0 && fsync(fd) == 0 && posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED) == 0);
        if (fd >= 0) map = mmap(NULL, n, PROT_READ, MAP_SHARED, fd, 0);
        if (CHECK(map != MAP_FAILED) && CHECK_STATUS(st_open(&m, scratch_path(SOURCE_FILE), &options, &error), ST_OK)) {
            const unsigned char *at = (const unsigned char *)map + m->tensors[0].offset;
            unsigned char *middle = (unsigned char *)map + BYTES / 2;
            if (is_resident(at, BYTES)) SKIP("files of this file system cannot be dropped from the page cache");
            do { /* a busy system drops some of the requests */
                CHECK_STATUS(st_advise(m, &m->tensors[0], ST_ADVISE_WILL_NEED, &error), ST_OK);
                if (row == 0 && madvise(middle, page, MADV_WILLNEED) == 0 && !becomes_resident(middle, page, 100)) {
                    SKIP("madvise does nothing here, as in qemu's user mode");
                    break;
                }
            } while (!becomes_resident(at, BYTES, 1000) && ++tries < 3);
            CHECK(tries < 3);
            st_close(m);
        }
        if (map != MAP_FAILED) munmap(map, n);
        close(fd);
    }
    free(file);
    free(bytes);
}

/* What is no longer needed leaves the page cache, but not the page that it shares with its neighbour. Its end is where the
 * largest units of the cache start, as a unit is dropped as a whole. */
static void dismiss(void) {
    enum { BYTES = 8 << 20, UNIT = 2 << 20, HEADER = 256, SIDE = UNIT + 100 - 8 - HEADER };
    char text[HEADER + 1];
    unsigned char *bytes = (unsigned char *)calloc(1, SIDE + BYTES), *file;
    unsigned row;
    size_t n;
    if (bytes == NULL) exit(2);
    n = (size_t)snprintf(text, sizeof text,
                         "{\"a\":" E("U8", "[%d]", "[0,%d]") ",\"b\":" E("U8", "[%d]", "[%d,%d]") "}", SIDE, SIDE,
                         BYTES, SIDE, SIDE + BYTES);
    memset(text + n, ' ', HEADER - n);
    file = make_file(text, HEADER, bytes, SIDE + BYTES, &n);
    for (row = 0; row < 2; row++) { /* mapped, and not */
        st_open_options options;
        void *map = MAP_FAILED;
        st_error error;
        st_model *m;
        unsigned tries = 0;
        int fd;
        memset(&options, 0, sizeof options);
        options.flags = row == 0 ? 0 : ST_OPEN_NO_MAP;
        scratch_write(SOURCE_FILE, file, n);
        fd = open(scratch_path(SOURCE_FILE), O_RDONLY);
        CHECK(fd >= 0 && fsync(fd) == 0);
        if (fd >= 0) map = mmap(NULL, n, PROT_READ, MAP_SHARED, fd, 0);
        if (CHECK(map != MAP_FAILED) && CHECK_STATUS(st_open(&m, scratch_path(SOURCE_FILE), &options, &error), ST_OK)) {
            const unsigned char *at = (const unsigned char *)map;
            const size_t page = (size_t)sysconf(_SC_PAGESIZE);
            CHECK_STATUS(st_read(m, &m->tensors[1], 0, bytes, BYTES, &error), ST_OK);
            CHECK_STATUS(st_advise(m, &m->tensors[1], ST_ADVISE_DONE, &error), ST_OK);
            if (is_resident(at + m->tensors[1].offset, BYTES)) SKIP("this file system keeps files in the page cache");
            CHECK(is_resident(at + m->tensors[1].offset - 1, page));
            st_close(m);
        }
        if (map != MAP_FAILED) munmap(map, n);
        close(fd);
    }
    free(file);
    free(bytes);
}
#endif

#if MAPS_FILES && (defined(__unix__) || defined(__APPLE__))
/* A buffer without a copy takes the pages of a mapped tensor: the manual's lines give pages that exist, and after the end
 * of the file the last one is zero. */
static void pages(const st_model *m, const unsigned char *bytes) {
    const size_t page = (size_t)sysconf(_SC_PAGESIZE);
    size_t i, at, wrong = 0;
    for (i = 0; i < m->count; i++) {
        const st_tensor *t = &m->tensors[i];
        const uint64_t file_bytes = m->shards[t->shard].file_bytes;
        const char *file = (const char *)t->data - t->offset;
        const size_t first = (size_t)(t->offset / page * page);
        const size_t end = (size_t)((t->offset + t->bytes + page - 1) / page * page);
        CHECK_EQ((uintptr_t)(file + first) % page, 0);
        CHECK(first <= t->offset && t->offset + t->bytes <= end);
        for (at = first; at < end; at++) wrong += (unsigned char)file[at] != (at < file_bytes ? bytes[at] : 0);
    }
    CHECK_EQ(wrong, 0);
}
#endif

/* advice for tensors that span many pages or share pages */
static void large_advice(void) {
    enum { PAGES = 64, PAGE = 65536 };
    static const char text[] =
        "{\"a\":" E("U8", "[1000000]", "[0,1000000]") ",\"b\":" E("U8", "[3194304]", "[1000000,4194304]") "}";
    unsigned char *bytes = (unsigned char *)malloc(PAGES * PAGE), *file;
    st_model *m;
    st_error error;
    size_t n, i;
    unsigned char got[3];
    if (bytes == NULL) exit(2);
    for (i = 0; i < PAGES * PAGE; i++) bytes[i] = (unsigned char)(i * 31 >> 4 & 255);
    file = make_file(text, sizeof text - 1, bytes, PAGES * PAGE, &n);
    scratch_write(SOURCE_FILE, file, n);
    for (i = 0; i < 2; i++) {
        st_open_options options;
        memset(&options, 0, sizeof options);
        options.flags = i == 0 ? 0 : ST_OPEN_NO_MAP;
        if (!CHECK_STATUS(st_open(&m, scratch_path(SOURCE_FILE), &options, &error), ST_OK)) continue;
        CHECK_STATUS(st_advise(m, &m->tensors[0], ST_ADVISE_WILL_NEED, &error), ST_OK);
        CHECK_STATUS(st_advise(m, &m->tensors[1], ST_ADVISE_DONE, &error), ST_OK);
        CHECK_STATUS(st_advise(m, NULL, ST_ADVISE_DONE, &error), ST_OK);
        CHECK_STATUS(st_read(m, &m->tensors[0], 999997, got, 3, &error), ST_OK);
        CHECK(memcmp(got, bytes + 999997, 3) == 0);
        CHECK_STATUS(st_read(m, &m->tensors[1], 3194301, got, 3, &error), ST_OK);
        CHECK(memcmp(got, bytes + 4194301, 3) == 0);
#if MAPS_FILES && (defined(__unix__) || defined(__APPLE__))
        if (i == 0) pages(m, file);
#endif
        st_close(m);
    }
    free(file);
    free(bytes);
}

static void alignment(void) {
    static const unsigned element[] = {0, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 2, 2, 2, 2, 4, 4, 4, 8, 8, 8, 8};
    static uint64_t room[4];
    unsigned i, at;
    st_tensor t;
    memset(&t, 0, sizeof t);
    CHECK_EQ(st_is_aligned(NULL), 0);
    for (i = 0; i < sizeof element / sizeof *element; i++) {
        t.dtype = (st_dtype)i;
        t.data = NULL;
        CHECK_EQ(st_is_aligned(&t), 0);
        for (at = 0; at < 16; at++) {
            const unsigned size = element[i] > 0 ? element[i] : 1; /* an unknown dtype counts as bytes */
            t.data = (const char *)room + at;
            CHECK_EQ(st_is_aligned(&t), at % size == 0);
        }
    }
}

static void byte_order(void) {
    static const uint16_t probe = 1;
    const int is_little = *(const unsigned char *)&probe == 1;
    unsigned i, k, n;
    for (i = 0; i <= ST_DTYPE_U64 + 1; i++) {
        const st_dtype dtype = (st_dtype)i;
        const unsigned bytes = st_dtype_bits(dtype) / 8, unit = dtype == ST_DTYPE_C64 ? 4 : bytes;
        unsigned char numbers[33]; /* three elements at an odd address */
        for (k = 0; k < sizeof numbers; k++) numbers[k] = (unsigned char)k;
        st_to_little_endian(dtype, numbers + 1, 3);
        for (k = 0; k < sizeof numbers; k++) {
            n = k > 0 ? k - 1 : 0;
            CHECK_EQ(numbers[k],
                     k == 0 || n >= 3 * bytes || is_little ? k : 1 + n / unit * unit + (unit - 1 - n % unit));
        }
        st_to_little_endian(dtype, numbers + 1, 3);
        for (k = 0; k < sizeof numbers; k++) CHECK_EQ(numbers[k], k);
    }
    st_to_little_endian(ST_DTYPE_F64, NULL, 0);
}

int main(void) {
    size_t n;
    int kind;
    unsigned char *file = make_file(header, sizeof header - 1, data, sizeof data - 1, &n);
    scratch_begin("access");
    scratch_write(SOURCE_FILE, file, n);
    for (kind = 0; kind < SOURCE_KINDS; kind++) {
        source s;
        test_row = source_names[kind];
        if (CHECK_STATUS(source_open(&s, kind, file, n, NULL), ST_OK)) {
            ranges(s.model);
            refusals(s.model);
            advice(s.model);
#if MAPS_FILES && (defined(__unix__) || defined(__APPLE__))
            if (kind == FROM_FILE) pages(s.model, file);
#endif
        }
        source_close(&s);
    }
    test_row = "";
    large_advice();
#ifdef __linux__
    prefetch();
    dismiss();
#endif
    alignment();
    byte_order();
    free(file);
    scratch_remove(SOURCE_FILE);
    scratch_end();
    return test_done("access");
}
