/* Tests st_overwrite: bytes of one tensor change in the file that holds it, and nothing else does; a refused call
 * changes nothing. */
#include "../safetensors.h"

#include "written.h"

#define ONE "one.safetensors"
#define TWO "two.safetensors"
#define INDEX "model.safetensors.index.json"

static const char header_one[] = "{\"w\":" E("F32", "[2]", "[0,8]") ",\"s\":" E("U8", "[]", "[8,9]") ",\"e\":" E(
    "U8", "[0]", "[9,9]") ",\"q\":" E("Q7", "[3]", "[9,13]") "}";
static const char data_one[] = "abcdefgh!QQQQ";
static const char header_two[] = "{\"v\":" E("U8", "[4]", "[0,4]") "}";
static const char text_index[] = "{\"weight_map\":{\"w\":\"" ONE "\",\"v\":\"" TWO "\"}}";

static void files_begin(void) {
    size_t n;
    unsigned char *file = make_file(header_one, sizeof header_one - 1, data_one, sizeof data_one - 1, &n);
    scratch_write(ONE, file, n);
    free(file);
    file = make_file(header_two, sizeof header_two - 1, "wxyz", 4, &n);
    scratch_write(TWO, file, n);
    free(file);
    scratch_write(INDEX, text_index, sizeof text_index - 1);
}

static void files_are(const char *one, const char *two) {
    size_t n;
    unsigned char *file = make_file(header_one, sizeof header_one - 1, one, sizeof data_one - 1, &n);
    CHECK(file_is(scratch_path(ONE), file, n));
    free(file);
    file = make_file(header_two, sizeof header_two - 1, two, 4, &n);
    CHECK(file_is(scratch_path(TWO), file, n));
    free(file);
    CHECK(file_is(scratch_path(INDEX), text_index, sizeof text_index - 1));
    check_no_temporary();
}

static st_status overwrite(const char *path, const char *name, uint64_t offset, const void *bytes, size_t n,
                           st_error *error) {
    st_save_options options;
    counting memory;
    st_status status;
    memset(&options, 0, sizeof options);
    memset(error, 0xee, sizeof *error);
    counting_begin(&memory);
    options.allocator = &memory.allocator;
    options.flags = ST_SAVE_NO_SYNC;
    status = st_overwrite(path, name, offset, bytes, n, &options, error);
    CHECK_STATUS(error->status, status);
    if (status != ST_OK) check_text(error->message, sizeof error->message);
    counting_end(&memory);
    return status;
}

static void tensors_change(void) {
    st_error error;
    files_begin();
    test_row = "a whole tensor";
    CHECK_STATUS(overwrite(scratch_path(ONE), "w", 0, "ABCDEFGH", 8, &error), ST_OK);
    files_are("ABCDEFGH!QQQQ", "wxyz");
    test_row = "a part";
    CHECK_STATUS(overwrite(scratch_path(ONE), "w", 3, "__", 2, &error), ST_OK);
    files_are("ABC__FGH!QQQQ", "wxyz");
    test_row = "the last byte";
    CHECK_STATUS(overwrite(scratch_path(ONE), "w", 7, "#", 1, &error), ST_OK);
    test_row = "a scalar";
    CHECK_STATUS(overwrite(scratch_path(ONE), "s", 0, "?", 1, &error), ST_OK);
    test_row = "an unknown dtype";
    CHECK_STATUS(overwrite(scratch_path(ONE), "q", 1, "zz", 2, &error), ST_OK);
    files_are("ABC__FG#?QzzQ", "wxyz");
    test_row = "no bytes";
    CHECK_STATUS(overwrite(scratch_path(ONE), "w", 8, NULL, 0, &error), ST_OK);
    CHECK_STATUS(overwrite(scratch_path(ONE), "e", 0, NULL, 0, &error), ST_OK);
    files_are("ABC__FG#?QzzQ", "wxyz");
    test_row = "defaults";
    CHECK_STATUS(st_overwrite(scratch_path(ONE), "w", 0, "abc", 3, NULL, NULL), ST_OK);
    files_are("abc__FG#?QzzQ", "wxyz");
    test_row = "by the index";
    CHECK_STATUS(overwrite(scratch_path(INDEX), "v", 1, "XY", 2, &error), ST_OK);
    CHECK_STATUS(overwrite(scratch_path(INDEX), "w", 0, "A", 1, &error), ST_OK);
    files_are("Abc__FG#?QzzQ", "wXYz");
    test_row = "by the directory";
    CHECK_STATUS(overwrite(scratch_directory, "v", 0, "1234", 4, &error), ST_OK);
    files_are("Abc__FG#?QzzQ", "1234");
}

static void refused_calls(void) {
    st_save_options options;
    st_error error;
    files_begin();
    test_row = "past the end";
    CHECK_STATUS(overwrite(scratch_path(ONE), "w", 0, "123456789", 9, &error), ST_ERR_ARGUMENT);
    CHECK_EQ(error.expected, 8);
    CHECK_EQ(error.actual, 9);
    CHECK_STR(error.subject, "w");
    CHECK_STATUS(overwrite(scratch_path(ONE), "w", 8, "1", 1, &error), ST_ERR_ARGUMENT);
    CHECK_STATUS(overwrite(scratch_path(ONE), "w", 9, NULL, 0, &error), ST_ERR_ARGUMENT);
    CHECK_STATUS(overwrite(scratch_path(ONE), "w", UINT64_MAX, "12", 2, &error), ST_ERR_ARGUMENT);
    CHECK_STATUS(overwrite(scratch_path(ONE), "w", UINT64_MAX - 1, "12", 2, &error), ST_ERR_ARGUMENT);
    CHECK_STATUS(overwrite(scratch_path(ONE), "e", 0, "1", 1, &error), ST_ERR_ARGUMENT);
    test_row = "no such tensor";
    CHECK_STATUS(overwrite(scratch_path(ONE), "W", 0, "1", 1, &error), ST_ERR_NOT_FOUND);
    CHECK_STR(error.subject, "W");
    CHECK_STATUS(overwrite(scratch_path(ONE), "v", 0, "1", 1, &error), ST_ERR_NOT_FOUND);
    CHECK_STATUS(overwrite(scratch_path(ONE), "", 0, "1", 1, &error), ST_ERR_NOT_FOUND);
    test_row = "no such file";
    CHECK_STATUS(overwrite(scratch_path("none"), "w", 0, "1", 1, &error), ST_ERR_NOT_FOUND);
    test_row = "arguments";
    CHECK_STATUS(overwrite(NULL, "w", 0, "1", 1, &error), ST_ERR_ARGUMENT);
    CHECK_STATUS(overwrite(scratch_path(ONE), NULL, 0, "1", 1, &error), ST_ERR_ARGUMENT);
    CHECK_STATUS(overwrite(scratch_path(ONE), "w", 0, NULL, 1, &error), ST_ERR_ARGUMENT);
    test_row = "options";
    memset(&options, 0, sizeof options);
    options.flags = ST_SAVE_DIRECT;
    CHECK_STATUS(st_overwrite(scratch_path(ONE), "w", 0, "1", 1, &options, &error), ST_ERR_ARGUMENT);
    CHECK_STR(error.subject, "ST_SAVE_DIRECT");
    options.flags = ST_SAVE_IN_PLACE;
    CHECK_STATUS(st_overwrite(scratch_path(ONE), "w", 0, "1", 1, &options, &error), ST_ERR_ARGUMENT);
    options.flags = 0;
    options.slack = 8;
    CHECK_STATUS(st_overwrite(scratch_path(ONE), "w", 0, "1", 1, &options, &error), ST_ERR_ARGUMENT);
    CHECK_STR(error.subject, "slack");
    files_are(data_one, "wxyz");
}

/* nothing is written to a file that does not open */
static void damaged_files(void) {
    size_t n;
    unsigned char *file;
    st_error error;
    files_begin();
    file = file_bytes(scratch_path(ONE), &n);
    test_row = "cut";
    scratch_write(ONE, file, n - 1);
    CHECK_STATUS(overwrite(scratch_path(ONE), "w", 0, "1", 1, &error), ST_ERR_TRUNCATED);
    CHECK(file_is(scratch_path(ONE), file, n - 1));
    test_row = "another shard is cut";
    CHECK_STATUS(overwrite(scratch_path(INDEX), "v", 0, "1", 1, &error), ST_ERR_TRUNCATED);
    CHECK(file_is(scratch_path(ONE), file, n - 1));
    free(file);
}

#ifndef _WIN32
static void links(void) {
    struct stat about;
    st_error error;
    files_begin();
    test_row = "a symbolic link";
    CHECK(symlink(ONE, scratch_path("link.safetensors")) == 0);
#if !defined(__wasi__) /* node's WASI follows links in spite of O_NOFOLLOW */
    CHECK_STATUS(overwrite(scratch_path("link.safetensors"), "w", 0, "1", 1, &error), ST_ERR_UNSUPPORTED);
    CHECK(strstr(error.message, "link.safetensors") != NULL && strstr(error.message, "symbolic link") != NULL);
#endif
    CHECK(lstat(scratch_path("link.safetensors"), &about) == 0 && S_ISLNK(about.st_mode));
    scratch_remove("link.safetensors");
#if HAS_HARD_LINKS
    test_row = "a file of two names";
    CHECK(link(scratch_path(TWO), scratch_path("second")) == 0);
    CHECK_STATUS(overwrite(scratch_path(TWO), "v", 0, "1", 1, &error), ST_ERR_UNSUPPORTED);
    CHECK_STATUS(overwrite(scratch_path(INDEX), "v", 0, "1", 1, &error), ST_ERR_UNSUPPORTED);
    CHECK(strstr(error.message, TWO) != NULL);
    test_row = "beside a file of two names";
    CHECK_STATUS(overwrite(scratch_path(INDEX), "w", 0, "a", 1, &error), ST_OK);
    scratch_remove("second");
#endif
    files_are(data_one, "wxyz");
    test_row = "read-only";
#if HAS_POSIX
    if (geteuid() != 0) {
        CHECK(chmod(scratch_path(TWO), 0444) == 0);
        CHECK_STATUS(overwrite(scratch_path(TWO), "v", 0, "1", 1, &error), ST_ERR_IO);
        files_are(data_one, "wxyz");
    } else {
        SKIP("root may write to a read-only file");
    }
#endif
}
#endif

int main(void) {
    scratch_begin("overwrite");
    tensors_change();
    refused_calls();
    damaged_files();
#ifndef _WIN32
    links();
#else
    SKIP("links are those of POSIX");
#endif
    test_row = "";
    scratch_remove(ONE);
    scratch_remove(TWO);
    scratch_remove(INDEX);
    scratch_end();
    return test_done("overwrite");
}
