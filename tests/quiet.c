/* Tests the build without message texts (ST_NO_ERROR_TEXT): the same statuses, and empty messages. */
#define ST_IMPLEMENTATION
#define ST_NO_ERROR_TEXT
#include "../safetensors.h"

#include "conformance.h"
#include "scratch.h"
#undef GOOD
#undef LENGTH
#undef RAW
#include "invalid.h"

static const char nothing[240];

static void check_silence(const st_error *error, const file_case *row) {
    CHECK_STATUS(error->status, row->status);
    if (row->status == ST_OK) return;
    CHECK_EQ(error->position, row->position);
    if (row->expected != ANY_VALUE) CHECK_EQ(error->expected, row->expected);
    if (row->actual != ANY_VALUE) CHECK_EQ(error->actual, row->actual);
    CHECK(memcmp(error->subject, nothing, sizeof error->subject) == 0);
    CHECK(memcmp(error->message, nothing, sizeof error->message) == 0);
}

static void table(const file_case *rows, size_t count) {
    size_t i;
    for (i = 0; i < count; i++) {
        const file_case *row = &rows[i];
        st_open_options options;
        st_model *model;
        st_scan scan;
        st_error error;
        size_t n;
        unsigned char *file = case_file(row, &n);
        memset(&options, 0, sizeof options);
        memset(&error, 0xee, sizeof error);
        options.flags = row->flags;
        options.max_header = row->max_header;
        test_row = row->name;
        CHECK_STATUS(st_open_memory(&model, file, n, &options, &error), row->status);
        check_silence(&error, row);
        st_close(model);
        if ((row->flags & ST_OPEN_UNKNOWN_DTYPES) == 0) {
            memset(&error, 0xee, sizeof error);
            CHECK_STATUS(st_scan_begin(&scan, file, n, n, &options, &error), row->status);
            check_silence(&error, row);
        }
        free(file);
    }
    test_row = "";
}

static int refuse(void *user, uint64_t offset, void *dst, size_t bytes) {
    (void)user, (void)offset, (void)dst, (void)bytes;
    return 77;
}

/* errors that do not come from a header */
static void others(void) {
    static const unsigned char file[] = "\002\000\000\000\000\000\000\000{}";
    st_model *model;
    st_error error;
    st_io io;
    file_case row;
    memset(&row, 0, sizeof row);
    memset(&io, 0, sizeof io);
    row.expected = row.actual = ANY_VALUE;
    row.position = UINT64_MAX;
    row.status = ST_ERR_NOT_FOUND;
    memset(&error, 0xee, sizeof error);
    CHECK_STATUS(st_open(&model, "missing.safetensors", NULL, &error), ST_ERR_NOT_FOUND);
    check_silence(&error, &row);
    row.status = ST_ERR_ARGUMENT;
    memset(&error, 0xee, sizeof error);
    CHECK_STATUS(st_open(&model, NULL, NULL, &error), ST_ERR_ARGUMENT);
    check_silence(&error, &row);
    CHECK_STATUS(st_open_memory(&model, file, sizeof file - 1, NULL, &error), ST_OK);
    memset(&error, 0xee, sizeof error);
    CHECK_STATUS(st_read(model, NULL, 0, NULL, 0, &error), ST_ERR_ARGUMENT);
    check_silence(&error, &row);
    st_close(model);
    io.bytes = 100;
    io.read_at = refuse;
    memset(&error, 0xee, sizeof error);
    CHECK_STATUS(st_open_io(&model, &io, NULL, &error), ST_ERR_IO);
    CHECK_EQ(error.sys, 77);
    CHECK(memcmp(error.message, nothing, sizeof error.message) == 0);
}

/* the path policy does not depend on message texts */
static void paths(void) {
    static const char *const hostile[] = {"../x.safetensors",
                                          "/x.safetensors",
                                          "a//x.safetensors",
                                          "./x.safetensors",
                                          "C:x.safetensors",
                                          "NUL.safetensors",
                                          "x.bin",
                                          ""};
    char text[100];
    size_t i;
    scratch_begin("quiet");
    for (i = 0; i < sizeof hostile / sizeof *hostile; i++) {
        st_model *model;
        st_error error;
        const int n = snprintf(text, sizeof text, "{\"weight_map\":{\"a\":\"%s\"}}", hostile[i]);
        test_row = hostile[i];
        memset(&error, 0xee, sizeof error);
        CHECK_STATUS(st_open(&model, scratch_write("x.json", text, (size_t)n), NULL, &error), ST_ERR_PATH);
        CHECK_STATUS(error.status, ST_ERR_PATH);
        CHECK(memcmp(error.message, nothing, sizeof error.message) == 0);
        scratch_remove("x.json");
    }
    test_row = "";
    scratch_end();
}

int main(void) {
    table(conformance_cases, sizeof conformance_cases / sizeof *conformance_cases);
    table(invalid_cases, sizeof invalid_cases / sizeof *invalid_cases);
    others();
    paths();
    return test_done("quiet");
}
