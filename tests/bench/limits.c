/* limits.c: what the machine can do without a library: a worker of the benchmark (worker.h) */
#define _GNU_SOURCE
#include "names.h"
#include "worker.h"
#include <pthread.h>

#define REQUEST ((size_t)8 << 20)

static size_t smaller(size_t a, size_t b) {
    return a < b ? a : b;
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

/* ---- opening ----------------------------------------------------------------------------------------------------- */

static void copy_header(char **arguments, result *r) { /* FILE, from memory */
    size_t n;
    const unsigned char *bytes = contents(arguments[0], &n);
    memcpy(buffer(0, header_bytes(bytes)), bytes, header_bytes(bytes));
    r->work = 0;
}

static void map_and_copy_header(char **arguments, result *r) { /* FILE */
    static void *volatile copy; /* volatile: the compiler drops a copy that nobody can see */
    size_t n;
    const unsigned char *file = map(arguments[0], &n);
    copy = take(header_bytes(file));
    memcpy(copy, file, header_bytes(file));
    free(copy);
    unmap(file, n);
    r->work = 0;
}

/* ---- moving: each thread has one contiguous part ----------------------------------------------------------------- */

typedef struct part {
    void (*move)(const struct part *p);
    const char *path;
    const unsigned char *src;
    unsigned char *dst;
    size_t offset, n; /* in the file */
} part;

static void *run_part(void *user) {
    const part *p = (const part *)user;
    p->move(p);
    return NULL;
}

static void move_in_parts(part whole, size_t threads) {
    enum { MOST = 16 };
    part parts[MOST];
    pthread_t running[MOST];
    size_t bytes = (whole.n / threads + PAGE) / PAGE * PAGE, k, done = 0, count = 0;
    expect(threads >= 1 && threads < MOST, "1 to 15 threads");
    for (parts[0] = whole; done < whole.n; done += parts[count++].n) {
        parts[count] = whole;
        parts[count].src = whole.src ? whole.src + done : NULL;
        parts[count].dst = whole.dst + done;
        parts[count].offset = whole.offset + done;
        parts[count].n = smaller(bytes, whole.n - done);
    }
    for (k = 1; k < count; k++) expect(pthread_create(&running[k], NULL, run_part, &parts[k]) == 0, "pthread_create");
    run_part(&parts[0]);
    for (k = 1; k < count; k++) pthread_join(running[k], NULL);
}

static void copy_part(const part *p) {
    memcpy(p->dst, p->src, p->n);
}

static void read_part(const part *p) {
    int file = open_file(p->path, O_RDONLY, NULL);
    size_t done = 0;
    while (done < p->n) {
        ssize_t got = pread(file, p->dst + done, smaller(REQUEST, p->n - done), (off_t)(p->offset + done));
        expect(got > 0, p->path);
        done += (size_t)got;
    }
    close(file);
}

static void copy(char **arguments, result *r) { /* BYTES THREADS */
    part p = {copy_part, NULL, NULL, NULL, 0, 0};
    p.n = (size_t)strtoull(arguments[0], NULL, 10);
    p.src = buffer(1, p.n);
    p.dst = buffer(0, p.n);
    move_in_parts(p, (size_t)atoi(arguments[1]));
    r->work = (double)p.n;
}

static void read_data(char **arguments, result *r) { /* FILE THREADS [OFFSET BYTES], from the start of the data */
    part p = {read_part, NULL, NULL, NULL, 0, 0};
    size_t n;
    close(open_file(arguments[0], O_RDONLY, &n));
    p.path = arguments[0];
    p.offset = data_offset(arguments[0]);
    p.n = n - p.offset;
    if (arguments[2]) {
        p.offset += (size_t)strtoull(arguments[2], NULL, 10);
        p.n = (size_t)strtoull(arguments[3], NULL, 10);
    }
    p.dst = buffer(0, p.n);
    move_in_parts(p, (size_t)atoi(arguments[1]));
    r->work = (double)p.n;
}

static void touch(char **arguments, result *r) { /* FILE: one byte of each page, where the file is mapped */
    size_t n, i, offset = data_offset(arguments[0]);
    const unsigned char *file = map(arguments[0], &n);
    for (i = 0; i < n; i += PAGE) (void)*(const volatile unsigned char *)(file + i);
    unmap(file, n);
    r->work = (double)(n - offset);
}

static void runs(char **arguments, result *r) { /* FILE FIRST BYTES STRIDE: a loop that copies BYTES of every STRIDE */
    size_t n, first = (size_t)strtoull(arguments[1], NULL, 10), bytes = (size_t)strtoull(arguments[2], NULL, 10),
              stride = (size_t)strtoull(arguments[3], NULL, 10), offset, done = 0;
    const unsigned char *file = map(arguments[0], &n);
    unsigned char *dst = buffer(0, n);
    for (offset = header_bytes(file) + first; offset + bytes <= n; offset += stride, done += bytes)
        memcpy(dst + done, file + offset, bytes);
    unmap(file, n);
    r->work = (double)done;
}

/* ---- writing ----------------------------------------------------------------------------------------------------- */

static void write_all(int file, const unsigned char *bytes, size_t n) {
    while (n > 0) {
        ssize_t written = write(file, bytes, smaller((size_t)1 << 20, n));
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

/* DESTINATION SOURCE...: the data of each source, copied by the kernel */
static void concatenate(char **arguments, result *r) {
    int out = open_file(arguments[0], O_WRONLY | O_CREAT | O_TRUNC, NULL), k;
    r->work = 0;
    for (k = 1; arguments[k]; k++) {
        size_t n, offset = data_offset(arguments[k]);
        int in = open_file(arguments[k], O_RDONLY, &n);
        off_t next = (off_t)offset;
        while ((size_t)next < n)
            expect(copy_file_range(in, &next, out, NULL, n - (size_t)next, 0) > 0, "copy_file_range");
        close(in);
        r->work += (double)(n - offset);
    }
    expect(close(out) == 0, arguments[0]);
}

static int compare_names(const void *a, const void *b) {
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static void sort_names(char **arguments, result *r) { /* FILE: qsort of its names */
    const names *all = names_of(arguments[0]);
    const char **sorted = (const char **)take((all->count + 1) * sizeof *sorted);
    memcpy(sorted, all->name, all->count * sizeof *sorted);
    qsort(sorted, all->count, sizeof *sorted, compare_names);
    free(sorted);
    r->work = (double)all->count;
}

static void load_names(char **arguments, result *r) { /* FILE: so that the next request finds its names in memory */
    r->work = (double)names_of(arguments[0])->count;
}

/* ---- the page cache ---------------------------------------------------------------------------------------------- */

static void evict(char **arguments, result *r) { /* FILE; answers how many of its pages remain in memory */
    size_t n, i;
    int file = open_file(arguments[0], O_RDONLY, &n);
    const unsigned char *mapping;
    unsigned char *resident = (unsigned char *)take(n / PAGE + 1);
    (void)fdatasync(file);
    (void)posix_fadvise(file, 0, 0, POSIX_FADV_DONTNEED);
    close(file);
    mapping = map(arguments[0], &n);
    expect(mincore((void *)(uintptr_t)mapping, n, resident) == 0, "mincore");
    for (r->work = 0, i = 0; i < (n + PAGE - 1) / PAGE; i++) r->work += resident[i] & 1;
    free(resident);
    unmap(mapping, n);
}

static const workload workloads[] = {{"parse", copy_header}, {"open", map_and_copy_header},
                                     {"copy", copy},         {"read", read_data},
                                     {"touch", touch},       {"runs", runs},
                                     {"save", save},         {"concatenate", concatenate},
                                     {"names", load_names},  {"sort-names", sort_names},
                                     {"evict", evict},       {NULL, NULL}};

int main(void) {
    return serve(workloads);
}
