/* threads.h: st_load on several threads. st_load itself starts none: each thread of a program loads one part of the items,
   and the parts share nothing. Copy this file into your program, include it after safetensors.h, and change what you like.
   POSIX: link with -pthread.

       status = load_on_threads(model, items, count, 4, NULL, &error);
*/
#ifndef THREADS_H
#define THREADS_H

#if defined(_WIN32)
#include <windows.h>
#else
#include <pthread.h>
#endif

#define MOST_PARTS 16u

typedef struct part { /* the arguments and the result of one call of st_load */
    const st_model *model;
    const st_load_item *items;
    size_t count;
    st_load_options options;
    st_status status;
    st_error error;
    int started;
#if defined(_WIN32)
    HANDLE thread;
#else
    pthread_t thread;
#endif
} part;

static void part_load(part *p) {
    p->status = st_load(p->model, p->items, p->count, &p->options, &p->error);
}

#if defined(_WIN32)
static DWORD WINAPI part_main(void *user) {
    part_load((part *)user);
    return 0;
}

static int part_start(part *p) {
    p->thread = CreateThread(NULL, 0, part_main, p, 0, NULL);
    return p->thread != NULL;
}

static void part_join(part *p) {
    WaitForSingleObject(p->thread, INFINITE);
    CloseHandle(p->thread);
}
#else
static void *part_main(void *user) {
    part_load((part *)user);
    return NULL;
}

static int part_start(part *p) {
    return pthread_create(&p->thread, NULL, part_main, p) == 0;
}

static void part_join(part *p) {
    pthread_join(p->thread, NULL);
}
#endif

/* Loads all parts, the first on the caller's thread and so is each part for which the system has no thread. Returns the
   first part that failed, or NULL. */
static const part *load_parts(part *parts, unsigned count) {
    unsigned k;
    for (k = 1; k < count; k++) parts[k].started = part_start(&parts[k]);
    if (count > 0) part_load(&parts[0]);
    for (k = 1; k < count; k++) {
        if (parts[k].started) {
            part_join(&parts[k]);
        } else {
            part_load(&parts[k]);
        }
    }
    for (k = 0; k < count; k++) {
        if (parts[k].status != ST_OK) return &parts[k];
    }
    return NULL;
}

/* st_load on that many threads. options->progress, if there is one, is called on each of them. */
static st_status load_on_threads(const st_model *model, const st_load_item *items, size_t count, unsigned threads,
                                 const st_load_options *options, st_error *error) {
    static const st_load_options defaults = {0, 0, NULL, NULL, {NULL, 0}};
    part parts[MOST_PARTS];
    const part *failed;
    unsigned k;
    if (threads < 1) threads = 1;
    if (threads > MOST_PARTS) threads = MOST_PARTS;
    for (k = 0; k < threads; k++) {
        part *p = &parts[k];
        p->model = model;
        p->items = items;
        p->count = count;
        p->options = options ? *options : defaults;
        p->options.part = k;
        p->options.part_count = threads;
        p->options.work.data = NULL; /* each part needs its own: it comes from the model's allocator */
        p->options.work.bytes = 0;
    }
    failed = load_parts(parts, threads);
    if (error) *error = failed ? failed->error : parts[0].error;
    return failed ? failed->status : ST_OK;
}

#endif
