/* Tests the build without operating system and libc: the file tables, the memory functions, and the functions that
 * it omits. */
#define ST_IMPLEMENTATION
#define ST_FREESTANDING
#include "../safetensors.h"

#include "conformance.h"
#undef GOOD
#undef LENGTH
#undef RAW
#include "invalid.h"
#include "large.h"
#include "sources.h"

static void table(const file_case *rows, size_t count) {
    size_t i;
    for (i = 0; i < count; i++) {
        const file_case *row = &rows[i];
        st_open_options options;
        verdict v;
        size_t n;
        unsigned char *file = case_file(row, &n);
        memset(&options, 0, sizeof options);
        options.flags = row->flags;
        options.max_header = row->max_header;
        test_row = row->name;
        v = sources_verdict(file, n, &options, SOURCES_NO_FILES);
        CHECK_STATUS(v.error.status, row->status);
        if (row->status == ST_OK) {
            CHECK_EQ(v.count, row->count);
        } else {
            CHECK_EQ(v.error.position, row->position);
        }
        free(file);
    }
    test_row = "";
}

/* compares the memory functions with libc's, for every distance and length */
static void memory_loops(void) {
    size_t from, to, n, i;
    for (from = 0; from < 12; from++) {
        for (to = 0; to < 12; to++) {
            for (n = 0; n < 12; n++) {
                unsigned char a[24], b[24];
                for (i = 0; i < sizeof a; i++) a[i] = b[i] = (unsigned char)(i * 7);
                CHECK(sti_memmove(a + to, a + from, n) == a + to);
                memmove(b + to, b + from, n);
                CHECK(memcmp(a, b, sizeof a) == 0);
                CHECK(sti_memset(a + from, 200, n) == a + from);
                memset(b + from, 200, n);
                CHECK(memcmp(a, b, sizeof a) == 0);
                CHECK((sti_memcmp(a + from, a + to, n) < 0) == (memcmp(a + from, a + to, n) < 0));
                CHECK((sti_memcmp(a + from, a + to, n) > 0) == (memcmp(a + from, a + to, n) > 0));
            }
        }
    }
}

static void left_out(void) {
    static const unsigned char file[] = {2, 0, 0, 0, 0, 0, 0, 0, '{', '}'};
    st_model *model;
    st_error error;
    st_open_options options;
    uint64_t work[256];
    memset(&options, 0, sizeof options);
    CHECK_STATUS(st_open(&model, "no.safetensors", NULL, &error), ST_ERR_UNSUPPORTED);
    CHECK(model == NULL && strncmp(error.message, "no.safetensors: ", 16) == 0);
    CHECK_STATUS(st_open_memory(&model, file, sizeof file, NULL, &error), ST_ERR_MEMORY); /* this build has no malloc */
    CHECK(model == NULL);
    /* the size that the error asks for suffices, whatever the buffer's alignment */
    options.work.data = (char *)work + 1;
    options.work.bytes = (size_t)error.expected;
    CHECK(options.work.bytes < sizeof work);
    CHECK_STATUS(st_open_memory(&model, file, sizeof file, &options, &error), ST_OK);
    st_close(model);
    options.work.data = work;
    options.work.bytes = sizeof work;
    CHECK_STATUS(st_open_memory(&model, file, sizeof file, &options, &error), ST_OK);
    CHECK_STATUS(st_advise(model, NULL, ST_ADVISE_DONE, &error), ST_OK);
    st_close(model);
}

/* planning shards works without files; saving them does not */
static void shards(void) {
    static const uint64_t sixteen = 16;
    static const char data[16] = "";
    uint32_t plan[2], count;
    char name[ST_SHARD_NAME_BYTES];
    st_save_options options;
    st_contents contents;
    st_tensor t[2];
    st_error error;
    memset(&options, 0, sizeof options);
    memset(&contents, 0, sizeof contents);
    contents.tensors = t;
    contents.count = 2;
    memset(t, 0, sizeof t);
    options.max_shard_bytes = 16;
    t[0].name = "a";
    t[1].name = "b";
    t[0].dtype = t[1].dtype = ST_DTYPE_U8;
    t[0].rank = t[1].rank = 1;
    t[0].shape = t[1].shape = &sixteen;
    t[0].data = t[1].data = data;
    CHECK_STATUS(st_plan_shards(&contents, &options, plan, &count, &error), ST_OK);
    CHECK(count == 2 && plan[0] == 0 && plan[1] == 1);
    CHECK_STATUS(st_shard_name(NULL, 1, 2, name, sizeof name), ST_OK);
    CHECK_STR(name, "model-00002-of-00002.safetensors");
    CHECK_STATUS(st_save_sharded(".", &contents, &options, &error), ST_ERR_UNSUPPORTED);
    CHECK(strncmp(error.message, ".: ", 3) == 0);
    CHECK_STATUS(st_save_index(".", &contents, &options, &error), ST_ERR_UNSUPPORTED);
    CHECK_STATUS(st_save_sharded(NULL, &contents, &options, NULL), ST_ERR_UNSUPPORTED);
}

/* sorts by offset and by name, which large headers need */
static void large_files(void) {
    size_t n;
    unsigned char *file = many_tensors("t", 500, 1, &n);
    verdict v = sources_verdict(file, n, NULL, SOURCES_NO_FILES);
    CHECK_STATUS(v.error.status, ST_OK);
    CHECK_EQ(v.count, 500);
    free(file);
}

int main(void) {
    table(conformance_cases, sizeof conformance_cases / sizeof *conformance_cases);
    table(invalid_cases, sizeof invalid_cases / sizeof *invalid_cases);
    memory_loops();
    left_out();
    shards();
    large_files();
    return test_done("freestanding");
}
