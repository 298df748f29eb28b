/* save.c: writes one file in one way, and says what that cost.
   usage: save WAY FILE MEBIBYTES     prints "WAY seconds seconds-of-CPU peak-KiB"
   ways: save          st_save of four tensors in memory
         plain         preallocate, write() and rename the same bytes
         stream        the streaming writer, fed from one buffer of 1 MiB
         plain-stream  preallocate, write() and rename the same bytes from such a buffer
   and each with -flushed: on the device before it is renamed */
#define _GNU_SOURCE
#define ST_IMPLEMENTATION
#include "../../safetensors.h"
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#define TENSORS 4
#define BLOCK ((size_t)1 << 20)

static void expect(int good, const char *what) {
    if (good) return;
    fprintf(stderr, "save: %s\n", what);
    exit(1);
}

static void expect_ok(st_status status, const st_error *error) {
    expect(status == ST_OK, error->message);
}

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static double seconds(struct timeval t) {
    return (double)t.tv_sec + (double)t.tv_usec / 1e6;
}

static double cpu_seconds(void) {
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

static long peak_kib(void) {
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return usage.ru_maxrss;
}

/* memory of which no two pages are the same */
static unsigned char *filled(size_t n) {
    unsigned char *bytes = (unsigned char *)malloc(n);
    size_t i;
    expect(bytes != NULL, "no memory");
    for (i = 0; i < n; i += sizeof i) memcpy(bytes + i, &i, sizeof i);
    return bytes;
}

/* ---- the model ------------------------------------------------------------------------------------------- */

typedef struct model {
    st_tensor tensors[TENSORS];
    uint64_t shape[1]; /* of each */
    const unsigned char *data;
    size_t data_bytes; /* what lies at data: a tensor's bytes, or one block */
} model;

static void describe(model *m, size_t mebibytes, int streamed) {
    static const char *const names[TENSORS] = {"a", "b", "c", "d"};
    int i;
    memset(m, 0, sizeof *m);
    m->shape[0] = (uint64_t)mebibytes * BLOCK / TENSORS;
    m->data_bytes = streamed ? BLOCK : (size_t)m->shape[0] * TENSORS;
    m->data = filled(m->data_bytes);
    for (i = 0; i < TENSORS; i++) {
        m->tensors[i].name = names[i];
        m->tensors[i].dtype = ST_DTYPE_U8;
        m->tensors[i].rank = 1;
        m->tensors[i].shape = m->shape;
        m->tensors[i].data = streamed ? NULL : m->data + (size_t)m->shape[0] * (size_t)i;
    }
}

typedef struct head { /* what comes before the data */
    unsigned char bytes[4096];
    size_t n;
} head;

static int keep_head(void *user, const void *bytes, size_t n) {
    head *h = (head *)user;
    size_t part = n < sizeof h->bytes - h->n ? n : sizeof h->bytes - h->n;
    memcpy(h->bytes + h->n, bytes, part);
    h->n += part;
    return h->n == sizeof h->bytes; /* enough */
}

static int leave(void *user, const st_tensor *tensor, uint64_t offset, void *dst, size_t n) {
    (void)user, (void)tensor, (void)offset, (void)dst, (void)n;
    return 0;
}

/* the header that the library would write */
static head head_of(const model *m) {
    head h;
    st_sink sink;
    st_save_options options;
    st_tensor none[TENSORS];
    uint64_t length = 0;
    int i;
    h.n = 0;
    sink.user = &h;
    sink.write = keep_head;
    memset(&options, 0, sizeof options);
    options.fill = leave;
    memcpy(none, m->tensors, sizeof none);
    for (i = 0; i < TENSORS; i++) none[i].data = NULL;
    (void)st_save_sink(&sink, none, TENSORS, NULL, 0, &options, NULL);
    for (i = 8; i-- > 0;) length = length << 8 | h.bytes[i];
    expect(h.n == sizeof h.bytes && length + 8 < h.n, "no header");
    h.n = (size_t)length + 8;
    return h;
}

/* ---- the ways -------------------------------------------------------------------------------------------- */

static void save(const model *m, const char *path, unsigned flags) {
    st_save_options options;
    st_error error;
    memset(&options, 0, sizeof options);
    options.flags = flags;
    expect_ok(st_save(path, m->tensors, TENSORS, NULL, 0, &options, &error), &error);
}

static void stream(const model *m, const char *path, unsigned flags) {
    st_save_options options;
    st_error error;
    st_writer *writer;
    int i;
    memset(&options, 0, sizeof options);
    options.flags = flags;
    expect_ok(st_writer_open(&writer, path, &options, &error), &error);
    for (i = 0; i < TENSORS; i++) expect_ok(st_writer_add(writer, &m->tensors[i], &error), &error);
    expect_ok(st_writer_begin(writer, &error), &error);
    while (st_writer_next(writer)) expect_ok(st_writer_write(writer, m->data, m->data_bytes, &error), &error);
    expect_ok(st_writer_finish(writer, &error), &error);
    st_writer_close(writer);
}

static void write_all(int file, const unsigned char *bytes, size_t n) {
    while (n > 0) {
        ssize_t written = write(file, bytes, n);
        expect(written > 0, "write");
        bytes += written;
        n -= (size_t)written;
    }
}

static void plain(const model *m, const head *h, const char *path, int flushed) {
    char temporary[4096];
    uint64_t total = m->shape[0] * TENSORS, done;
    int file;
    snprintf(temporary, sizeof temporary, "%s.tmp", path);
    file = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    expect(file >= 0, temporary);
    expect(posix_fallocate(file, 0, (off_t)(h->n + total)) == 0, "posix_fallocate");
    write_all(file, h->bytes, h->n);
    for (done = 0; done < total; done += m->data_bytes) write_all(file, m->data, m->data_bytes);
    if (flushed) expect(fsync(file) == 0, "fsync");
    expect(close(file) == 0, "close");
    expect(rename(temporary, path) == 0, "rename");
}

int main(int argc, char **argv) {
    const char *way = argc == 4 ? argv[1] : "", *path = argc == 4 ? argv[2] : "";
    int flushed = strstr(way, "-flushed") != NULL, streamed = strstr(way, "stream") != NULL;
    int is_plain = strncmp(way, "plain", 5) == 0;
    unsigned flags = flushed ? 0u : (unsigned)ST_SAVE_NO_SYNC;
    model m;
    head h;
    double start, cpu, end;
    if (argc != 4) return fprintf(stderr, "usage: save WAY FILE MEBIBYTES\n"), 2;
    describe(&m, (size_t)atol(argv[3]), streamed);
    h = head_of(&m);
    plain(&m, &h, path,
          0); /* unmeasured: a virtual machine gets the memory for the system's cache while it is first used */
    (void)remove(path);
    sync(); /* what others have not written yet is not this sample's */
    cpu = cpu_seconds();
    start = now();
    if (is_plain) {
        plain(&m, &h, path, flushed);
    } else if (streamed) {
        stream(&m, path, flags);
    } else {
        save(&m, path, flags);
    }
    end = now();
    printf("%s %.4f %.4f %ld\n", way, end - start, cpu_seconds() - cpu, peak_kib());
    return 0;
}
