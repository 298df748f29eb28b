/* Makes each system call fail with which the tool edits the metadata of several files, alone and with all later ones, on
 * file systems with and without second names: afterwards all files are new, or all are old, bit for bit, and no
 * temporary file remains. Where renaming back fails too, the old bytes are still there under some name. */
#include "../../safetensors.h"

#define system_link real_link
#define system_copy real_copy
#define system_rename_new real_rename_new
#define system_rename real_rename
#define system_flush_directory real_flush_directory
#include "../../examples/st/progress.c"
#include "../../examples/st/sys.c"
#undef system_link
#undef system_copy
#undef system_rename_new
#undef system_rename
#undef system_flush_directory

#include "../scratch.h"

static unsigned call, fail_at;
static int fails_forever, lacks_links;

static int refuses(void) {
    call++;
    return fail_at && (call == fail_at || (fails_forever && call > fail_at));
}

static int system_link(const char *from, const char *to) {
    return lacks_links || refuses() ? 1 : real_link(from, to);
}

static int system_copy(const char *from, const char *to) {
    return refuses() ? 5 : real_copy(from, to);
}

static int system_rename_new(const char *from, const char *to) {
    return refuses() ? 5 : real_rename_new(from, to);
}

static int system_rename(const char *from, const char *to) {
    return refuses() ? 5 : real_rename(from, to);
}

static int system_flush_directory(const char *path) {
    return refuses() ? 5 : real_flush_directory(path);
}

#include "../../examples/st/edit.c"

/* what of the tool the above needs and this does not test */
st_status set_error(st_error *error, st_status status, const char *message) {
    memset(error, 0, sizeof *error);
    snprintf(error->message, sizeof error->message, "%s", message);
    return error->status = status;
}
st_open_options copy_open_options(void) {
    st_open_options open_options;
    memset(&open_options, 0, sizeof open_options);
    return open_options;
}
void strip_path(st_error *error, const char *path) {
    (void)error, (void)path;
}
const char *readable_size(uint64_t bytes, char text[READABLE_SIZE]) {
    (void)bytes;
    return strcpy(text, "");
}
void put_spaces(FILE *to, size_t count) {
    (void)to, (void)count;
}

enum { FILES = 3 };

typedef struct content {
    unsigned char bytes[1024];
    size_t n;
} content;

static content old_files[FILES], new_files[FILES];
static const char *const names_of[FILES] = {"a.safetensors", "b.safetensors", "c.safetensors"};
static const st_pair fresh = {"key", "new", 3, 3}, before = {"key", "old", 3, 3};

static content read_content(const char *path) {
    content c;
    FILE *file = fopen(path, "rb");
    memset(&c, 0, sizeof c);
    if (file) {
        c.n = fread(c.bytes, 1, sizeof c.bytes, file);
        fclose(file);
    }
    return c;
}

static int is_same(const content *a, const content *b) {
    return a->n == b->n && memcmp(a->bytes, b->bytes, a->n) == 0;
}

static void make_files(void) {
    static const uint64_t shape[1] = {3};
    size_t i;
    for (i = 0; i < FILES; i++) {
        st_tensor t;
        st_contents contents;
        st_save_options options;
        st_error error;
        memset(&t, 0, sizeof t);
        memset(&contents, 0, sizeof contents);
        memset(&options, 0, sizeof options);
        t.name = names_of[i];
        t.dtype = ST_DTYPE_U8;
        t.rank = 1;
        t.shape = shape;
        t.data = "xyz";
        contents.tensors = &t;
        contents.count = contents.metadata_count = 1;
        contents.metadata = &before;
        options.slack = 100;
        CHECK_STATUS(st_save(scratch_path("file"), &contents, &options, &error), ST_OK);
        old_files[i] = read_content(scratch_path("file"));
        CHECK_STATUS(st_edit_metadata(scratch_path("file"), &fresh, 1, NULL, &error), ST_OK);
        new_files[i] = read_content(scratch_path("file"));
        scratch_remove("file");
    }
}

typedef struct search {
    const content *wanted;
    int found, temporary;
} search;

static void look(void *arg, const char *name) {
    search *s = (search *)arg;
    if (strncmp(name, ".st-", 4) == 0) s->temporary++;
    if (s->wanted) {
        const content c = read_content(scratch_path(name));
        if (is_same(&c, s->wanted)) s->found++;
    }
}

static search look_for(const content *wanted) {
    search s;
    memset(&s, 0, sizeof s);
    s.wanted = wanted;
    scratch_list(scratch_directory, look, &s);
    return s;
}

static void remove_name(void *arg, const char *name) {
    (void)arg;
    if (name[0] != '.' || name[1] == 's') remove(scratch_path(name));
}

/* Edits the files and sets *was_flushing if only flushing the directory failed. */
static st_status edit_once(int *was_flushing) {
    metadata_edit edits[FILES];
    save_job s;
    st_error error;
    const char *failed;
    st_status status;
    size_t i;
    scratch_list(scratch_directory, remove_name, NULL);
    memset(edits, 0, sizeof edits);
    memset(&s, 0, sizeof s);
    for (i = 0; i < FILES; i++) {
        edits[i].path = scratch_write(names_of[i], old_files[i].bytes, old_files[i].n);
        edits[i].metadata = &fresh;
        edits[i].before = &before;
        edits[i].count = edits[i].before_count = 1;
        edits[i].file_bytes = old_files[i].n;
    }
    call = 0;
    memset(&error, 0, sizeof error);
    status = edit_files(edits, FILES, &s, 0, &failed, &error);
    *was_flushing = strncmp(error.message, "the new files are in place", 26) == 0;
    return status;
}

static void test_fault(void) {
    int was_flushing = 0;
    const st_status status = edit_once(&was_flushing);
    const int is_new = status == ST_OK || was_flushing;
    size_t i;
    CHECK(status == ST_OK || status == ST_ERR_IO);
    for (i = 0; i < FILES; i++) {
        const content now = read_content(scratch_path(names_of[i]));
        if (!fails_forever || is_new) {
            CHECK(is_same(&now, is_new ? &new_files[i] : &old_files[i]));
            continue;
        }
        CHECK(now.n == 0 || is_same(&now, &new_files[i]) || is_same(&now, &old_files[i]));
        CHECK(look_for(&old_files[i]).found > 0);
    }
    if (!fails_forever || is_new) CHECK_EQ(look_for(NULL).temporary, 0);
}

int main(void) {
    scratch_begin("edit_files");
    make_files();
    for (lacks_links = 0; lacks_links <= 1; lacks_links++) {
        for (fails_forever = 0; fails_forever <= 1; fails_forever++) {
            fail_at = 0;
            test_fault();
            CHECK(call >= 4 * FILES);
            do {
                char row[80];
                fail_at++;
                snprintf(row, sizeof row, "links %d, call %u%s", !lacks_links, fail_at,
                         fails_forever ? " and later ones" : "");
                test_row = row;
                test_fault();
                test_row = "";
            } while (call >= fail_at);
        }
    }
    scratch_list(scratch_directory, remove_name, NULL);
    scratch_end();
    return test_done("edit_files");
}
