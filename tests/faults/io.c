/* Makes every call of the caller's st_io and st_files fail, alone and with all later ones: ST_ERR_IO with the
 * callback's code, no model, no leak, and a close for every open. */
#include "../../safetensors.h"

#include "../large.h"
#include "../seeds.h"
#include "../sources.h"

static unsigned long refusals;

typedef struct scenario {
    int kind; /* FROM_IO or FROM_FILES */
    const char *path;
    st_status clean;
} scenario;

/* opens, reads each tensor, closes; returns the first status that is not ST_OK, and its error */
static st_status run(const scenario *sc, source *s, const unsigned char *file, size_t n, size_t fail_at, int forever) {
    st_status status;
    memset(s, 0, sizeof *s);
    s->kind = sc->kind;
    counting_begin(&s->memory);
    served_begin(&s->served, file, n);
    s->served.fail_at = fail_at;
    s->served.fail_forever = forever;
    s->options.allocator = &s->memory.allocator;
    s->options.files = &s->served.files;
    if (sc->kind == FROM_IO) {
        status = source_call(s, file, n);
    } else {
        s->model = (st_model *)(void *)s;
        status = st_open(&s->model, sc->path, &s->options, &s->error);
    }
    CHECK((status == ST_OK) == (s->model != NULL));
    if (status == ST_OK) {
        size_t i;
        for (i = 0; i < s->model->count && status == ST_OK; i++) {
            const st_tensor *t = &s->model->tensors[i];
            unsigned char *copy = (unsigned char *)malloc((size_t)t->bytes + 1);
            if (copy == NULL) exit(2);
            status = st_read(s->model, t, 0, copy, (size_t)t->bytes, &s->error);
            if (status == ST_OK) CHECK(memcmp(copy, file + t->offset, (size_t)t->bytes) == 0);
            free(copy);
        }
    }
    CHECK_STATUS(s->error.status, status);
    return status;
}

static void refuse_each(const scenario *sc, const unsigned char *file, size_t n) {
    size_t calls, i;
    int forever;
    source s;
    CHECK_STATUS(run(sc, &s, file, n, 0, 0), sc->clean);
    calls = s.served.calls;
    CHECK(calls > 0);
    source_close(&s);
    for (forever = 0; forever <= 1; forever++) {
        for (i = 1; i <= calls; i++) {
            CHECK_STATUS(run(sc, &s, file, n, i, forever), ST_ERR_IO);
            CHECK_EQ(s.error.sys, 77);
            check_text(s.error.message, sizeof s.error.message);
            source_close(&s);
            refusals++;
        }
    }
}

static int answer;
static int answering_open(void *user, const char *path, st_io *file) {
    (void)user, (void)path, (void)file;
    return answer;
}

static int answering_list(void *user, const char *directory, int (*each)(void *arg, const char *name), void *arg) {
    (void)user, (void)directory, (void)each, (void)arg;
    return ST_IO_NOT_FOUND;
}

/* callback codes that map to specific statuses */
static void codes(void) {
    static const struct code {
        int code;
        st_status status;
    } all[] = {{ST_IO_NOT_FOUND, ST_ERR_NOT_FOUND},
               {ST_IO_NOT_A_FILE, ST_ERR_IO},
               {ST_IO_ENDED, ST_ERR_IO},
               {ST_IO_NOT_UTF8, ST_ERR_UTF8},
               {ST_IO_NO_MEMORY, ST_ERR_MEMORY},
               {5, ST_ERR_IO},
               {-77, ST_ERR_IO}};
    size_t i;
    for (i = 0; i < sizeof all / sizeof *all; i++) {
        st_files files;
        st_open_options options;
        st_model *model;
        st_error error;
        memset(&files, 0, sizeof files);
        memset(&options, 0, sizeof options);
        (files.open) = answering_open;
        (files.close) = served_close;
        files.list = answering_list;
        options.files = &files;
        answer = all[i].code;
        CHECK_STATUS(st_open(&model, "some/path.safetensors", &options, &error), all[i].status);
        CHECK(model == NULL);
        CHECK(strncmp(error.message, "some/path.safetensors: ", 23) == 0);
        if (all[i].code == 5 || all[i].code == -77) CHECK_EQ(error.sys, all[i].code);
        files.list = NULL; /* list only distinguishes a directory from a missing path */
        CHECK_STATUS(st_open(&model, "some/path.safetensors", &options, &error), all[i].status);
    }
}

/* identifying other formats rereads the first bytes; if that read fails, the original error stands */
static void while_judging(void) {
    static const char text[] = "{\"architectures\": [\"LlamaForCausalLM\"]}";
    size_t i;
    for (i = 0; i <= 2; i++) {
        source s;
        memset(&s, 0, sizeof s);
        s.kind = FROM_IO;
        served_begin(&s.served, text, sizeof text - 1);
        s.served.fail_at = i;
        CHECK_STATUS(source_call(&s, text, sizeof text - 1), i == 0   ? ST_ERR_FORMAT
                                                             : i == 1 ? ST_ERR_IO
                                                                      : ST_ERR_HEADER_LIMIT);
        CHECK_EQ(s.served.calls, i == 1 ? 1 : 2);
    }
}

/* a file that is shorter than its reported length */
static void shrinks(void) {
    size_t n, i;
    unsigned char *file = case_file(&seeds[2], &n);
    for (i = 1; i <= 2; i++) { /* the header length, then the header */
        source s;
        memset(&s, 0, sizeof s);
        s.kind = FROM_IO;
        counting_begin(&s.memory);
        served_begin(&s.served, file, n);
        s.options.allocator = &s.memory.allocator;
        s.served.fail_at = i;
        s.served.code = ST_IO_ENDED;
        CHECK_STATUS(source_call(&s, file, n), ST_ERR_IO);
        check_error(&s.error, ST_ERR_IO, "(callbacks): ");
        source_close(&s);
    }
    free(file);
}

int main(void) {
    static const scenario scenarios[] = {
        {FROM_IO, NULL, ST_OK},
        {FROM_FILES, "pack/model.safetensors", ST_OK},
        {FROM_FILES, "pack", ST_OK},
    };
    static const scenario elsewhere[] = {
        {FROM_FILES, "nowhere/model.safetensors", ST_ERR_NOT_FOUND},
        {FROM_FILES, "nowhere", ST_ERR_NOT_FOUND},
        {FROM_FILES, "nowhere.safetensors", ST_ERR_NOT_FOUND},
    };
    unsigned char *file;
    size_t n, i, j;
    for (i = 0; i < SEED_COUNT; i++) {
        file = case_file(&seeds[i], &n);
        for (j = 0; j < sizeof scenarios / sizeof *scenarios; j++) {
            test_row = seeds[i].name;
            refuse_each(&scenarios[j], file, n);
        }
        free(file);
    }
    file = many_tensors("t", 100, 1, &n);
    for (j = 0; j < sizeof scenarios / sizeof *scenarios; j++) {
        test_row = "100 tensors";
        refuse_each(&scenarios[j], file, n);
    }
    for (j = 0; j < sizeof elsewhere / sizeof *elsewhere; j++) {
        test_row = elsewhere[j].path;
        refuse_each(&elsewhere[j], file, n);
    }
    free(file);
    test_row = "";
    codes();
    while_judging();
    shrinks();
    CHECK(refusals > 100);
    return test_done("io");
}
