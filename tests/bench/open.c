/* open.c: what it costs to open a file and close it again, in thread CPU time, and what it keeps.
   usage: open REPEATS FILE...   a line a sample: "what tensors nanoseconds-per-tensor", and "... bytes-per-tensor" */
#define ST_IMPLEMENTATION
#include "../../safetensors.h"
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

typedef struct counter {
    size_t live, peak;
} counter;

static void *count_alloc(void *user, size_t bytes) {
    counter *c = (counter *)user;
    c->live += bytes;
    if (c->live > c->peak) c->peak = c->live;
    return malloc(bytes);
}

static void count_free(void *user, void *pointer, size_t bytes) {
    ((counter *)user)->live -= bytes;
    free(pointer);
}

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static void *read_all(const char *path, size_t *bytes) {
    FILE *in = fopen(path, "rb");
    void *all = NULL;
    long n = -1;
    if (in && fseek(in, 0, SEEK_END) == 0) n = ftell(in);
    if (n > 0 && fseek(in, 0, SEEK_SET) == 0) all = malloc((size_t)n);
    if (all && fread(all, 1, (size_t)n, in) != (size_t)n) exit(2);
    if (in) fclose(in);
    *bytes = all ? (size_t)n : 0;
    return all;
}

static void expect_open(st_status status, const st_error *error) {
    if (status == ST_OK) return;
    fprintf(stderr, "%s\n", error->message);
    exit(1);
}

static size_t measure_memory(const void *bytes, size_t n) {
    counter c = {0, 0};
    st_allocator allocator = {NULL, count_alloc, count_free};
    st_options options = {0};
    st_error error;
    st_model *m;
    size_t count;
    allocator.user = &c;
    options.allocator = &allocator;
    expect_open(st_open_memory(&m, bytes, n, &options, &error), &error);
    count = m->count;
    printf("c-kept %zu %.1f\nc-peak %zu %.1f\n", count, (double)c.live / (double)count, count,
           (double)c.peak / (double)count);
    st_close(m);
    return count;
}

int main(int argc, char **argv) {
    int repeats = argc > 1 ? atoi(argv[1]) : 0, f, i;
    for (f = 2; f < argc; f++) {
        size_t n, count;
        void *bytes = read_all(argv[f], &n);
        st_error error;
        st_model *m;
        if (!bytes) return fprintf(stderr, "%s: cannot be read\n", argv[f]), 2;
        count = measure_memory(bytes, n);
        for (i = -1; i < repeats; i++) { /* the first warms up */
            double start = now(), middle, end;
            expect_open(st_open_memory(&m, bytes, n, NULL, &error), &error);
            st_close(m);
            middle = now();
            expect_open(st_open(&m, argv[f], NULL, &error), &error);
            st_close(m);
            end = now();
            if (i < 0) continue;
            printf("c-memory %zu %.1f\n", count, (middle - start) / (double)count);
            printf("c-file %zu %.1f\n", count, (end - middle) / (double)count);
        }
        free(bytes);
    }
    return 0;
}
