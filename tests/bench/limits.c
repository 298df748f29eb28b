/* limits.c: what the machine can do, without a library in between: a worker of the benchmark (worker.h) */
#define _GNU_SOURCE
#include "worker.h"
#include <fcntl.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define PAGE ((size_t)4096)
#define REQUEST ((size_t)8 << 20)

static size_t smaller(size_t a, size_t b) {
    return a < b ? a : b;
}

static int open_file(const char *path, int flags, size_t *bytes) {
    struct stat s;
    int file = open(path, flags | O_CLOEXEC, 0600);
    expect(file >= 0 && fstat(file, &s) == 0, path);
    if (bytes) *bytes = (size_t)s.st_size;
    return file;
}

static const unsigned char *map(const char *path, size_t *bytes) {
    int file = open_file(path, O_RDONLY, bytes);
    void *at = mmap(NULL, *bytes, PROT_READ, MAP_PRIVATE, file, 0);
    expect(at != MAP_FAILED && close(file) == 0, path);
    return (const unsigned char *)at;
}

static void unmap(const unsigned char *at, size_t bytes) {
    expect(munmap((void *)(uintptr_t)at, bytes) == 0, "munmap");
}

static size_t header_bytes(const unsigned char *file) {
    size_t n = 0;
    int i;
    for (i = 8; i-- > 0;) n = n << 8 | file[i];
    return n + 8;
}

static size_t data_offset(const char *path) {
    unsigned char length[8];
    int file = open_file(path, O_RDONLY, NULL);
    expect(read(file, length, 8) == 8 && close(file) == 0, path);
    return header_bytes(length);
}

/* ---- of opening ---------------------------------------------------------------------------------------------------- */

static void copy_header(char **arguments, result *r) { /* FILE, in memory */
    size_t n;
    const unsigned char *bytes = contents(arguments[0], &n);
    memcpy(buffer(0, n), bytes, header_bytes(bytes));
    r->work = 0;
}

static void open_and_copy(char **arguments, result *r) { /* FILE */
    size_t n;
    const unsigned char *at = map(arguments[0], &n);
    memcpy(buffer(0, n), at, header_bytes(at));
    unmap(at, n);
    r->work = 0;
}

/* ---- of moving: each thread a contiguous stretch ---------------------------------------------------------------------- */

typedef struct stretch {
    void (*move)(const struct stretch *s);
    const char *path;
    const unsigned char *from;
    unsigned char *to;
    size_t at, n; /* in the file */
    int flags;
} stretch;

static void *start(void *user) {
    const stretch *s = (const stretch *)user;
    s->move(s);
    return NULL;
}

static void in_stretches(stretch whole, size_t threads) {
    enum { MOST = 16 };
    stretch parts[MOST];
    pthread_t running[MOST];
    size_t part = (whole.n / threads + PAGE) / PAGE * PAGE, k, done = 0, count = 0;
    expect(threads >= 1 && threads < MOST, "1 to 15 threads");
    parts[0] = whole;
    for (; done < whole.n; done += parts[count++].n) {
        parts[count] = whole;
        parts[count].from = whole.from ? whole.from + done : NULL;
        parts[count].to = whole.to + done;
        parts[count].at = whole.at + done;
        parts[count].n = smaller(part, whole.n - done);
    }
    for (k = 1; k < count; k++) expect(pthread_create(&running[k], NULL, start, &parts[k]) == 0, "thread");
    start(&parts[0]);
    for (k = 1; k < count; k++) pthread_join(running[k], NULL);
}

static void copy_stretch(const stretch *s) {
    memcpy(s->to, s->from, s->n);
}

static void read_stretch(const stretch *s) {
    int file = open_file(s->path, O_RDONLY | s->flags, NULL);
    size_t unit = s->flags ? PAGE : 1, done = 0; /* O_DIRECT: whole pages, past the end of the file too */
    while (done < s->n) {
        size_t n = (smaller(REQUEST, s->n - done) + unit - 1) / unit * unit;
        ssize_t got = pread(file, s->to + done, n, (off_t)(s->at + done));
        expect(got > 0, s->path);
        done += (size_t)got;
    }
    close(file);
}

static void copy(char **arguments, result *r) { /* BYTES THREADS */
    stretch s = {copy_stretch, NULL, NULL, NULL, 0, 0, 0};
    s.n = (size_t)strtoull(arguments[0], NULL, 10);
    s.from = buffer(1, s.n);
    s.to = buffer(0, s.n);
    in_stretches(s, (size_t)atoi(arguments[1]));
    r->work = (double)s.n;
}

static void read_data(char **arguments, result *r) { /* FILE THREADS: from where the data begins */
    stretch s = {read_stretch, NULL, NULL, NULL, 0, 0, 0};
    size_t n;
    close(open_file(arguments[0], O_RDONLY, &n));
    s.path = arguments[0];
    s.at = data_offset(arguments[0]);
    s.n = n - s.at;
    s.to = buffer(0, n);
    in_stretches(s, (size_t)atoi(arguments[1]));
    r->work = (double)s.n;
}

static void read_part(char **arguments, result *r) { /* FILE OFFSET BYTES */
    stretch s = {read_stretch, NULL, NULL, NULL, 0, 0, 0};
    s.path = arguments[0];
    s.at = (size_t)strtoull(arguments[1], NULL, 10);
    s.n = (size_t)strtoull(arguments[2], NULL, 10);
    s.to = buffer(0, s.n);
    in_stretches(s, 1);
    r->work = (double)s.n;
}

static void read_direct(char **arguments, result *r) { /* FILE THREADS: all of it, past the page cache */
    stretch s = {read_stretch, NULL, NULL, NULL, 0, 0, O_DIRECT};
    size_t n, offset = data_offset(arguments[0]);
    unsigned char *to = buffer(0, ((size_t)1 << 30) + 2 * REQUEST);
    close(open_file(arguments[0], O_RDONLY, &n));
    expect(n < (size_t)1 << 30 || n - ((size_t)1 << 30) < REQUEST, "too long a file");
    s.path = arguments[0];
    s.n = n;
    s.to = to + (PAGE - (uintptr_t)to % PAGE) % PAGE;
    in_stretches(s, (size_t)atoi(arguments[1]));
    r->work = (double)(n - offset);
}

static void touch(char **arguments, result *r) { /* FILE: a byte of each page of the mapping */
    size_t n, i, offset = data_offset(arguments[0]);
    const unsigned char *at = map(arguments[0], &n);
    for (i = 0; i < n; i += PAGE) (void)*(const volatile unsigned char *)(at + i);
    unmap(at, n);
    r->work = (double)(n - offset);
}

static void runs(char **arguments, result *r) { /* FILE FIRST BYTES STRIDE: BYTES of every STRIDE, copied by hand */
    size_t n, offset = data_offset(arguments[0]), first = (size_t)strtoull(arguments[1], NULL, 10),
              bytes = (size_t)strtoull(arguments[2], NULL, 10), stride = (size_t)strtoull(arguments[3], NULL, 10), at,
              done;
    const unsigned char *file = map(arguments[0], &n);
    unsigned char *to = buffer(0, n);
    for (at = offset + first, done = 0; at + bytes <= n; at += stride, done += bytes)
        memcpy(to + done, file + at, bytes);
    unmap(file, n);
    r->work = (double)done;
}

/* ---- of writing ---------------------------------------------------------------------------------------------------- */

static void write_all(int file, const unsigned char *bytes, size_t n) {
    while (n > 0) {
        ssize_t written = write(file, bytes, smaller(n, REQUEST));
        expect(written > 0, "write");
        bytes += written;
        n -= (size_t)written;
    }
}

static void save(char **arguments, result *r) { /* FILE BYTES FLUSH: preallocate, write, rename */
    size_t bytes = (size_t)strtoull(arguments[1], NULL, 10), head = PAGE;
    const unsigned char *data = buffer(0, bytes);
    char temporary[4096];
    int file;
    snprintf(temporary, sizeof temporary, "%s.tmp", arguments[0]);
    file = open_file(temporary, O_WRONLY | O_CREAT | O_TRUNC, NULL);
    expect(posix_fallocate(file, 0, (off_t)(head + bytes)) == 0, "posix_fallocate");
    write_all(file, data, head);
    write_all(file, data, bytes);
    if (atoi(arguments[2])) expect(fsync(file) == 0, "fsync");
    expect(close(file) == 0 && rename(temporary, arguments[0]) == 0, arguments[0]);
    r->work = (double)bytes;
}

/* DESTINATION SOURCE...: concatenates, in the kernel where it can */
static void concatenate(char **arguments, result *r) {
    int to = open_file(arguments[0], O_WRONLY | O_CREAT | O_TRUNC, NULL), k;
    r->work = 0;
    for (k = 1; arguments[k]; k++) {
        size_t n, offset = data_offset(arguments[k]);
        int from = open_file(arguments[k], O_RDONLY, &n);
        off_t at = (off_t)offset;
        while ((size_t)at < n) expect(copy_file_range(from, &at, to, NULL, n - (size_t)at, 0) > 0, "copy_file_range");
        close(from);
        r->work += (double)(n - offset);
    }
    expect(close(to) == 0, arguments[0]);
}

/* ---- of the cache ---------------------------------------------------------------------------------------------------- */

static void evict(char **arguments, result *r) { /* FILE: gives how many of its pages are still in memory */
    size_t n, i;
    int file = open_file(arguments[0], O_RDONLY, &n);
    const unsigned char *at;
    unsigned char *resident;
    (void)fdatasync(file);
    (void)posix_fadvise(file, 0, 0, POSIX_FADV_DONTNEED);
    close(file);
    at = map(arguments[0], &n);
    resident = (unsigned char *)take(n / PAGE + 1);
    expect(mincore((void *)(uintptr_t)at, n, resident) == 0, "mincore");
    for (r->work = 0, i = 0; i < (n + PAGE - 1) / PAGE; i++) r->work += resident[i] & 1;
    free(resident);
    unmap(at, n);
}

static void flush(char **arguments, result *r) { /* what others have not written yet is not the next sample's */
    (void)arguments;
    sync();
    r->work = 0;
}

static const workload workloads[] = {{"parse", copy_header},
                                     {"open", open_and_copy},
                                     {"copy", copy},
                                     {"read", read_data},
                                     {"read-once", read_data},
                                     {"part", read_part},
                                     {"part-once", read_part},
                                     {"direct-once", read_direct},
                                     {"touch", touch},
                                     {"runs", runs},
                                     {"runs-once", runs},
                                     {"save-once", save},
                                     {"concatenate-once", concatenate},
                                     {"evict-once", evict},
                                     {"flush-once", flush},
                                     {NULL, NULL}};

int main(void) {
    return serve(workloads);
}
