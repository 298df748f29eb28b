/* worker.h: what the programs of the benchmark share. A worker reads lines "WORKLOAD ARGUMENT..." from standard input, does
   what each says, and answers "ok WALL CPU WORK": nanoseconds of one time, nanoseconds of CPU time of the calling thread,
   and what was done (tensors, bytes), which must be the same for all who do that workload; for some a number or two more
   follow. What is quick is repeated until ten milliseconds have passed; a workload whose name ends in -once is not. */
#ifndef WORKER_H
#define WORKER_H
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#if defined(__GLIBC__)
#include <malloc.h>
#endif

#define ARGUMENTS 8

static void expect(int good, const char *what) {
    if (good) return;
    fprintf(stderr, "bench: %s\n", what);
    exit(1);
}

static void *take(size_t bytes) {
    void *memory = malloc(bytes);
    expect(memory != NULL, "no memory");
    return memory;
}

static double now(clockid_t clock) {
    struct timespec t;
    clock_gettime(clock, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

/* memory of which every page is there; it stays until the program ends */
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

/* a whole file in memory; of one file at a time */
static inline const unsigned char *contents(const char *path, size_t *bytes) {
    static char held[4096];
    static unsigned char *all;
    static size_t n;
    FILE *in;
    *bytes = n;
    if (!strcmp(held, path)) return all;
    in = fopen(path, "rb");
    expect(in != NULL && fseek(in, 0, SEEK_END) == 0, path);
    *bytes = n = (size_t)ftell(in);
    rewind(in);
    free(all);
    all = (unsigned char *)take(n + 64); /* 64: simdjson's padding */
    expect(fread(all, 1, n, in) == n, path);
    fclose(in);
    snprintf(held, sizeof held, "%s", path);
    return all;
}

/* gives the system back what is free, so that what remains is what is kept */
static inline void trim(void) {
#if defined(__GLIBC__)
    malloc_trim(0);
#endif
}

/* a line of /proc/self/status, in bytes */
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

typedef struct result {
    double work, more[2];
} result;
typedef void action(char **arguments, result *r);
typedef struct workload {
    const char *name;
    action *act;
} workload;

static void answer(action *act, char **arguments, int once) {
    double wall = now(CLOCK_MONOTONIC), cpu = now(CLOCK_THREAD_CPUTIME_ID), end;
    result r = {0, {0, 0}};
    int times = 0;
    do {
        act(arguments, &r);
        times++;
        end = now(CLOCK_MONOTONIC);
    } while (!once && end - wall < 10e6);
    cpu = now(CLOCK_THREAD_CPUTIME_ID) - cpu;
    printf("ok %.0f %.0f %.0f", (end - wall) / times, cpu / times, r.work);
    if (r.more[0] > 0) printf(" %.0f %.0f", r.more[0], r.more[1]);
    printf("\n");
}

static int serve(const workload *workloads) {
    char line[8192];
    while (fgets(line, sizeof line, stdin)) {
        char *arguments[ARGUMENTS + 1] = {NULL}, *word = strtok(line, " \n"), *name = word;
        const workload *w = workloads;
        int n = 0;
        for (; word && n < ARGUMENTS; n++) arguments[n] = word = strtok(NULL, " \n");
        while (name && w->name && strcmp(w->name, name)) w++;
        if (name && w->name) {
            answer(w->act, arguments, strlen(name) > 5 && !strcmp(name + strlen(name) - 5, "-once"));
        } else {
            printf("no such workload\n");
        }
        fflush(stdout);
    }
    return 0;
}
#endif
