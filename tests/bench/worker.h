/* worker.h: what the benchmark's C programs share. Such a program, a worker, reads requests from standard input, one a
   line: "[once] WORKLOAD ARGUMENT...". It does the work and answers "ok WALL CPU WORK [KEPT PEAK]":
     WALL, CPU   nanoseconds of one run: time that passed, and CPU time of the thread
     WORK        tensors or bytes; the same number for every worker that does the same work
     KEPT, PEAK  bytes of memory, where the workload measures memory
   Without "once" the work is repeated until 10 ms have passed, and the answer is the mean. */
#ifndef WORKER_H
#define WORKER_H
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#if defined(__GLIBC__)
#include <malloc.h>
#endif

#define ARGUMENTS 8
#define PAGE ((size_t)4096)

static void expect(int good, const char *what) {
    if (good) return;
    fprintf(stderr, "bench: %s\n", what);
    exit(1);
}

static inline void *take(size_t bytes) {
    void *memory = malloc(bytes);
    expect(memory != NULL, "out of memory");
    return memory;
}

static double now(clockid_t clock) {
    struct timespec t;
    clock_gettime(clock, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

/* Returns memory whose pages have all been touched. It stays until the program ends. */
static inline unsigned char *buffer(int which, size_t bytes) {
    static unsigned char *buffers[2];
    static size_t sizes[2];
    if (sizes[which] >= bytes) return buffers[which];
    free(buffers[which]);
    buffers[which] = (unsigned char *)take(bytes);
    sizes[which] = bytes;
    memset(buffers[which], 1, bytes);
    return buffers[which];
}

static inline int open_file(const char *path, int flags, size_t *bytes) {
    struct stat s;
    int file = open(path, flags | O_CLOEXEC, 0600);
    expect(file >= 0 && fstat(file, &s) == 0, path);
    if (bytes) *bytes = (size_t)s.st_size;
    return file;
}

static inline const unsigned char *map(const char *path, size_t *bytes) {
    int file = open_file(path, O_RDONLY, bytes);
    void *mapping = mmap(NULL, *bytes, PROT_READ, MAP_PRIVATE, file, 0);
    expect(mapping != MAP_FAILED && close(file) == 0, path);
    return (const unsigned char *)mapping;
}

static inline void unmap(const unsigned char *mapping, size_t bytes) {
    expect(munmap((void *)(uintptr_t)mapping, bytes) == 0, "munmap");
}

/* Returns a file in memory, mapped until another file is asked for. */
static inline const unsigned char *contents(const char *path, size_t *bytes) {
    static char held[4096];
    static const unsigned char *mapping;
    static size_t n;
    if (strcmp(held, path)) {
        if (mapping) unmap(mapping, n);
        mapping = map(path, &n);
        snprintf(held, sizeof held, "%s", path);
    }
    *bytes = n;
    return mapping;
}

/* Returns a line of /proc/self/status, in bytes. */
static inline double status_line(const char *name) {
    FILE *in = fopen("/proc/self/status", "r");
    char line[256];
    double bytes = 0;
    while (in && fgets(line, sizeof line, in)) {
        if (!strncmp(line, name, strlen(name))) bytes = strtod(line + strlen(name), NULL) * 1024;
    }
    if (in) fclose(in);
    return bytes;
}

/* Gives free memory back to the system, so that what remains in use is what a model keeps. */
static inline void trim(void) {
#if defined(__GLIBC__)
    malloc_trim(0);
#endif
}

typedef struct result {
    double work, kept, peak;
} result;
typedef void action(char **arguments, result *r);
typedef struct workload {
    const char *name;
    action *act;
} workload;

static void answer(action *act, char **arguments, int once) {
    double wall = now(CLOCK_MONOTONIC), cpu = now(CLOCK_THREAD_CPUTIME_ID), end;
    result r = {0, 0, 0};
    int times = 0;
    do {
        act(arguments, &r);
        times++;
        end = now(CLOCK_MONOTONIC);
    } while (!once && end - wall < 10e6);
    cpu = now(CLOCK_THREAD_CPUTIME_ID) - cpu;
    printf("ok %.0f %.0f %.0f %.0f %.0f\n", (end - wall) / times, cpu / times, r.work, r.kept, r.peak);
}

static int serve(const workload *workloads) {
    char line[8192];
    while (fgets(line, sizeof line, stdin)) {
        char *words[ARGUMENTS + 3] = {NULL}, **word = words;
        const workload *w = workloads;
        int n = 0, once;
        for (words[0] = strtok(line, " \n"); words[n] && n < ARGUMENTS + 1; words[n] = strtok(NULL, " \n")) n++;
        once = words[0] && !strcmp(words[0], "once");
        word += once;
        while (*word && w->name && strcmp(w->name, *word)) w++;
        if (*word && w->name) {
            answer(w->act, word + 1, once);
        } else {
            printf("no such workload\n");
        }
        fflush(stdout);
    }
    return 0;
}
#endif
