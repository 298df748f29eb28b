/* Four threads write different tensors of one file, and four threads read one model. `make tsan` runs it under the
 * thread sanitizer. */
#include "../safetensors.h"

#include "written.h"

#ifdef _WIN32
#include <windows.h>

typedef HANDLE thread;
typedef DWORD thread_result;
#define THREAD_CALL WINAPI
typedef DWORD(WINAPI *thread_main)(void *);

static int thread_start(thread *t, thread_main run, void *argument) {
    *t = CreateThread(NULL, 0, run, argument, 0, NULL);
    return *t != NULL;
}

static void thread_join(thread t) {
    CHECK(WaitForSingleObject(t, INFINITE) == WAIT_OBJECT_0);
    CHECK(CloseHandle(t));
}
#else
#include <pthread.h>
typedef pthread_t thread;
typedef void *thread_result;
#define THREAD_CALL
typedef void *(*thread_main)(void *);

static int thread_start(thread *t, thread_main run, void *argument) {
    return pthread_create(t, NULL, run, argument) == 0;
}

static void thread_join(thread t) {
    CHECK(pthread_join(t, NULL) == 0);
}
#endif

enum { THREADS = 4, TENSORS = 13, ELEMENTS = 30011 };

typedef struct part { /* state of one thread; its checks are counted after it ends, as CHECK is not thread-safe */
    int number;
    const saving *saving;
    st_writer *writer;
    const st_model *model;
    unsigned long wrong;
} part;

static void run_all(part parts[THREADS], thread_main run) {
    thread threads[THREADS];
    int i;
    for (i = 0; i < THREADS; i++) {
        if (!CHECK(thread_start(&threads[i], run, &parts[i]))) exit(2);
    }
    for (i = 0; i < THREADS; i++) thread_join(threads[i]);
    for (i = 0; i < THREADS; i++) CHECK_EQ(parts[i].wrong, 0);
}

/* writes every fourth tensor, one block of each in turn, with rejected calls in between */
static thread_result THREAD_CALL write_part(void *argument) {
    part *p = (part *)argument;
    static const st_tensor unknown = {.name = "unknown"};
    uint64_t done[TENSORS];
    size_t n = 1 + (size_t)p->number, i;
    int more = 1;
    st_error error;
    memset(done, 0, sizeof done);
    while (more) {
        more = 0;
        for (i = (size_t)p->number; i < p->saving->count; i += THREADS) {
            const st_tensor *t = &p->saving->tensors[i];
            const uint64_t left = tensor_bytes(t) - done[i];
            if (left == 0) continue;
            if (n > left) n = (size_t)left;
            p->wrong += st_writer_write_to(p->writer, t, (const char *)t->data + done[i], n, &error) != ST_OK;
            done[i] += n;
            more = 1;
            n = n * 3 % 9001 + 1;
        }
        p->wrong += st_writer_write_to(p->writer, &unknown, "x", 1, &error) != ST_ERR_NOT_FOUND;
    }
    for (i = (size_t)p->number; i < p->saving->count; i += THREADS) {
        p->wrong += st_writer_write_to(p->writer, &p->saving->tensors[i], "x", 1, &error) != ST_ERR_ARGUMENT;
    }
    return 0;
}

static thread_result THREAD_CALL read_part(void *argument) {
    part *p = (part *)argument;
    unsigned char *copy = (unsigned char *)malloc(ELEMENTS * 8);
    size_t i;
    st_error error;
    if (copy == NULL) {
        p->wrong++;
        return 0;
    }
    for (i = 0; i < p->saving->count; i++) {
        const st_tensor *want = &p->saving->tensors[(i * 5 + (size_t)p->number) % p->saving->count];
        const st_tensor *t = st_find(p->model, want->name);
        const size_t bytes = (size_t)tensor_bytes(want);
        if (t == NULL || t->bytes != bytes) {
            p->wrong++;
            continue;
        }
        p->wrong += st_read(p->model, t, 0, copy, bytes, &error) != ST_OK || memcmp(copy, want->data, bytes) != 0;
        p->wrong += t->data != NULL && memcmp(t->data, want->data, bytes) != 0;
        p->wrong += st_advise(p->model, t, ST_ADVISE_WILL_NEED, &error) != ST_OK;
        p->wrong += st_find_metadata(p->model, "k") == NULL || st_find(p->model, "unknown") != NULL;
    }
    free(copy);
    return 0;
}

/* each thread saves the same tensors and model to its own path */
static thread_result THREAD_CALL save_part(void *argument) {
    part *p = (part *)argument;
    const st_contents contents = st_contents_of(p->model);
    st_save_options options;
    st_error error;
    char path[200];
    memset(&options, 0, sizeof options);
    options.flags = ST_SAVE_NO_SYNC;
    snprintf(path, sizeof path, "%s/part-%d.safetensors", scratch_directory, p->number);
    p->wrong += st_save(path, &contents, &options, &error) != ST_OK;
    return 0;
}

int main(void) {
    static const uint64_t shape[1] = {ELEMENTS};
    static const st_dtype dtypes[3] = {ST_DTYPE_U8, ST_DTYPE_F32, ST_DTYPE_I64};
    static const st_pair pair = PAIR("k", "v");
    st_tensor tensors[TENSORS];
    char names[TENSORS][8];
    unsigned char *data = (unsigned char *)need(ELEMENTS * 8 + TENSORS), *want;
    const saving s = {"threads", tensors, TENSORS, &pair, 1, 0, 0, 0};
    part parts[THREADS];
    saved a;
    size_t i, n;
    unsigned no_map;
    int round;
    scratch_begin("threads");
    for (i = 0; i < ELEMENTS * 8 + TENSORS; i++) data[i] = (unsigned char)(i * 31 / 3 & 255);
    memset(tensors, 0, sizeof tensors);
    for (i = 0; i < TENSORS; i++) {
        snprintf(names[i], sizeof names[i], "t%d", (int)i);
        tensors[i].name = names[i];
        tensors[i].dtype = dtypes[i % 3];
        tensors[i].rank = 1;
        tensors[i].shape = shape;
        tensors[i].data = data + i;
    }
    saved_begin(&a, &s);
    CHECK_STATUS(save_by(&a, &s, BY_SINK, NULL, 0), ST_OK);
    want = a.file;
    n = a.n;
    for (round = 0; round < 3; round++) {
        st_save_options options;
        st_writer *writer;
        st_error error;
        memset(&options, 0, sizeof options);
        options.flags = ST_SAVE_NO_SYNC;
        CHECK_STATUS(st_writer_open(&writer, scratch_path(TARGET), &options, &error), ST_OK);
        CHECK_STATUS(stream_declare(writer, &s, &error), ST_OK);
        memset(parts, 0, sizeof parts);
        for (i = 0; i < THREADS; i++) {
            parts[i].number = (int)i;
            parts[i].saving = &s;
            parts[i].writer = writer;
        }
        run_all(parts, write_part);
        CHECK_STATUS(st_writer_finish(writer, &error), ST_OK);
        st_writer_close(writer);
        CHECK(file_is(scratch_path(TARGET), want, n));
    }
    for (no_map = 0; no_map <= 1; no_map++) {
        st_open_options options;
        st_model *model;
        st_error error;
        memset(&options, 0, sizeof options);
        options.flags = no_map ? ST_OPEN_NO_MAP : 0;
        CHECK_STATUS(st_open(&model, scratch_path(TARGET), &options, &error), ST_OK);
        if (model == NULL) continue;
        for (i = 0; i < THREADS; i++) parts[i].model = model;
        run_all(parts, read_part);
        run_all(parts, save_part);
        for (i = 0; i < THREADS; i++) {
            char name[32];
            snprintf(name, sizeof name, "part-%d.safetensors", (int)i);
            CHECK(file_is(scratch_path(name), want, n));
            scratch_remove(name);
        }
        st_close(model);
    }
    check_no_temporary();
    scratch_remove(TARGET);
    saved_end(&a);
    free(data);
    scratch_end();
    return test_done("threads");
}
