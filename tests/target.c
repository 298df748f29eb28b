/* Tests where a save puts its file: permissions, links, directories in its place, temporaries of other processes,
 * long names, and saving a model over its own file. */
#define ST_IMPLEMENTATION
#include "../safetensors.h"

#include "written.h"

#ifndef _WIN32
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <utime.h>
#endif

static const st_tensor tensors[] = {TENSOR("t", U8, "xy", 2)};
static const char small_header[] = "{\"t\":" E("U8", "[2]", "[0,2]") "}";
static unsigned char *golden;
static size_t golden_bytes;

/* saves with or without flushing, through st_save or the streaming writer */
static st_status save(const char *path, int how, st_error *error) {
    st_save_options options;
    st_writer *w;
    st_status status;
    memset(&options, 0, sizeof options);
    memset(error, 0xee, sizeof *error);
    options.flags = how & 1 ? ST_SAVE_NO_SYNC : 0;
    if ((how & 2) == 0) return st_save(path, CONTENTS(tensors, 1, NULL, 0), &options, error);
    status = st_writer_open(&w, path, &options, error);
    if (status == ST_OK) status = st_writer_add(w, &tensors[0], error);
    if (status == ST_OK) status = st_writer_begin(w, error);
    if (status == ST_OK) status = st_writer_write(w, "xy", 2, error);
    if (status == ST_OK) status = st_writer_finish(w, error);
    st_writer_close(w);
    return status;
}

static void saves(const char *path) {
    st_error error;
    int how;
    for (how = 0; how < 4; how++) {
        CHECK_STATUS(save(path, how, &error), ST_OK);
        CHECK(file_is(path, golden, golden_bytes));
        check_no_temporary();
    }
}

/* names: the expected number of files in the scratch directory */
static void refuses_to(const char *path, st_status status, size_t names) {
    st_error error;
    size_t temporary;
    int how;
    for (how = 0; how < 4; how++) {
        CHECK_STATUS(save(path, how, &error), status);
        CHECK(error.position == UINT64_MAX && strncmp(error.message, path, strlen(path) < 90 ? strlen(path) : 20) == 0);
        if (status == ST_ERR_IO) CHECK(error.sys != 0);
        CHECK_EQ(names_in(scratch_directory, &temporary), names);
        CHECK_EQ(temporary, 0);
    }
}

static void target_directories(void) {
    char path[200];
    size_t temporary;
    test_row = "a directory of that name";
    CHECK(SCRATCH_MAKE(scratch_path(TARGET)) == 0);
    refuses_to(scratch_path(TARGET), ST_ERR_IO, 1);
    CHECK_EQ(names_in(scratch_path(TARGET), &temporary), 0);
    CHECK(SCRATCH_DROP(scratch_path(TARGET)) == 0);
    test_row = "no such directory";
    snprintf(path, sizeof path, "%s/%s", scratch_path("nowhere"), TARGET);
    refuses_to(path, ST_ERR_NOT_FOUND, 0);
    test_row = "a file where a directory is due";
    scratch_write("file", "x", 1);
    snprintf(path, sizeof path, "%s/%s", scratch_path("file"), TARGET);
    refuses_to(path, ST_ERR_NOT_FOUND, 1);
    CHECK(file_is(scratch_path("file"), "x", 1));
    scratch_remove("file");
    test_row = "a directory above";
    snprintf(path, sizeof path, "%s/../%s", scratch_path("sub"), TARGET);
    CHECK(SCRATCH_MAKE(scratch_path("sub")) == 0);
    saves(path);
    CHECK(file_is(scratch_path(TARGET), golden, golden_bytes));
    CHECK(SCRATCH_DROP(scratch_path("sub")) == 0);
    scratch_remove(TARGET);
}

/* a path without a separator, in the current directory */
static void bare_name(void) {
    st_error error;
    size_t temporary;
    int how;
    test_row = "a bare name";
    if (!scratch_enter()) return;
    for (how = 0; how < 4; how++) {
        CHECK_STATUS(save(TARGET, how, &error), ST_OK);
        CHECK(file_is(TARGET, golden, golden_bytes));
        CHECK_EQ(names_in(".", &temporary), 1);
    }
    CHECK_STATUS(st_edit_metadata(TARGET, NULL, 0, NULL, &error), ST_OK);
    CHECK(file_is(TARGET, golden, golden_bytes));
    CHECK(remove(TARGET) == 0);
    scratch_leave();
}

static void long_names(void) {
    char name[256], path[400];
    st_error error;
    memset(name, 'n', 255);
    name[255] = 0;
    memcpy(name + 255 - strlen(".safetensors"), ".safetensors", strlen(".safetensors"));
    snprintf(path, sizeof path, "%s/%s", scratch_directory, name);
    test_row = "a name of 255 bytes";
    saves(path);
    CHECK_STATUS(st_edit_metadata(path, NULL, 0, NULL, &error), ST_OK);
    {
        st_model *m;
        CHECK_STATUS(st_open(&m, path, NULL, &error), ST_OK);
        CHECK(m != NULL && m->count == 1);
        st_close(m);
    }
#ifdef _WIN32 /* too long for the C library */
    {
        wchar_t wide[600];
        size_t i = 0, k;
        wchar_t directory[sizeof scratch_directory], full[400];
        for (k = 0; k < sizeof scratch_directory; k++) directory[k] = (wchar_t)scratch_directory[k];
        CHECK(GetFullPathNameW(directory, 400, full, NULL) > 0);
        for (k = 0; k < 4; k++) wide[i++] = L"\\\\?\\"[k];
        for (k = 0; full[k] != 0; k++) wide[i++] = full[k];
        wide[i++] = L'\\';
        for (k = 0; name[k] != 0; k++) wide[i++] = (wchar_t)name[k];
        wide[i] = 0;
        CHECK(DeleteFileW(wide));
    }
#else
    CHECK(remove(path) == 0);
    test_row = "a name of 256 bytes";
    snprintf(path, sizeof path, "%s/n%s", scratch_directory, name);
    refuses_to(path, ST_ERR_IO, 0);
#endif
    test_row = "no ASCII";
    snprintf(path, sizeof path, "%s/%s", scratch_directory, "\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80.safetensors");
    CHECK_STATUS(save(path, 1, &error), ST_OK);
    {
        st_model *m;
        CHECK_STATUS(st_open(&m, path, NULL, &error), ST_OK);
        CHECK(m != NULL && m->count == 1);
        st_close(m);
    }
#ifdef _WIN32
    {
        sti_wide_path wide;
        CHECK_EQ(sti_wide_path_init(&wide, path), 0);
        CHECK(DeleteFileW(wide.text));
        sti_wide_path_free(&wide);
    }
#else
    CHECK(remove(path) == 0);
#endif
}

/* a temporary left by a crashed process with the same number is skipped, and stays */
static void temporaries_in_the_way(void) {
    char name[64];
    st_error error;
    size_t temporary, i;
    test_row = "temporaries in the way";
    for (i = 0; i < 12; i++) {
        snprintf(name, sizeof name, ".st-%lu-%d.tmp", sti_system_process_id(), (int)i);
        scratch_write(name, "left over", 9);
    }
    target_begin();
    CHECK_STATUS(save(scratch_path(TARGET), 0, &error), ST_OK);
    CHECK(file_is(scratch_path(TARGET), golden, golden_bytes));
    CHECK_EQ(names_in(scratch_directory, &temporary), 13);
    CHECK_EQ(temporary, 12);
    for (i = 0; i < 12; i++) {
        snprintf(name, sizeof name, ".st-%lu-%d.tmp", sti_system_process_id(), (int)i);
        CHECK(file_is(scratch_path(name), "left over", 9));
        scratch_remove(name);
    }
    scratch_remove(TARGET);
}

/* saves a model over its own open, mapped file */
static void itself(void) {
    enum { BYTES = 1300003 };
    static const st_pair pair = PAIR("k", "v");
    static const char text[] = "{\"t\":{\"dtype\":\"U8\",\"shape\":[1300003],\"data_offsets\":[0,1300003]}}";
    static const char changed[] =
        "{\"__metadata__\":{\"k\":\"v\"},\"t\":{\"dtype\":\"U8\",\"shape\":[1300003],\"data_offsets\":[0,1300003]}}";
    unsigned char *bytes = (unsigned char *)need(BYTES), *old, *renewed;
    size_t i, old_bytes, new_bytes;
    unsigned no_map;
    for (i = 0; i < BYTES; i++) bytes[i] = (unsigned char)(i * 11 / 7 & 255);
    old = golden_file(text, sizeof text - 1, 0, 0, bytes, BYTES, &old_bytes);
    renewed = golden_file(changed, sizeof changed - 1, 0, 0, bytes, BYTES, &new_bytes);
    for (no_map = 0; no_map <= 1; no_map++) {
        st_save_options options;
        st_open_options open;
        st_contents contents;
        st_model *m;
        st_error error;
        st_status status;
        test_row = no_map ? "itself, open" : "itself, open and mapped";
        memset(&open, 0, sizeof open);
        memset(&options, 0, sizeof options);
        open.flags = no_map ? ST_OPEN_NO_MAP : 0;
        scratch_write(TARGET, old, old_bytes);
        CHECK_STATUS(st_open(&m, scratch_path(TARGET), &open, &error), ST_OK);
        if (m == NULL) continue;
        contents = st_contents_of(m);
        contents.metadata = &pair;
        contents.metadata_count = 1;
        status = st_save(scratch_path(TARGET), &contents, &options, &error);
        { /* the open model keeps its contents */
            unsigned char *copy = (unsigned char *)need(BYTES);
            CHECK_STATUS(st_read(m, &m->tensors[0], 0, copy, BYTES, &error), ST_OK);
            CHECK(memcmp(copy, bytes, BYTES) == 0);
            free(copy);
        }
#ifdef _WIN32 /* Windows may refuse; then nothing has changed */
        CHECK(status == ST_OK || status == ST_ERR_IO);
        if (status != ST_OK) CHECK(strstr(error.message, "close the model first") != NULL);
        if (status == ST_OK)
            CHECK(file_is(scratch_path(TARGET), renewed, new_bytes));
        else
            CHECK(file_is(scratch_path(TARGET), old, old_bytes));
#else
        CHECK_STATUS(status, ST_OK);
        CHECK(file_is(scratch_path(TARGET), renewed, new_bytes));
#endif
        check_no_temporary();
        st_close(m);
        scratch_remove(TARGET);
    }
    free(bytes);
    free(old);
    free(renewed);
}

#ifndef _WIN32
static void permissions(void) {
    static const mode_t kept[] = {0600, 0640, 0644, 0444, 0777, 0755, 0666}, masks[] = {0, 022, 027, 077, 0777};
    const mode_t before = umask(022);
    struct stat about;
    st_error error;
    size_t i;
    int how;
    for (how = 0; how < 4; how++) {
        for (i = 0; i < sizeof kept / sizeof *kept; i++) {
            char row[32];
            snprintf(row, sizeof row, "permissions %03o", (unsigned)kept[i]);
            test_row = row;
            target_begin();
            CHECK(chmod(scratch_path(TARGET), kept[i]) == 0);
            CHECK_STATUS(save(scratch_path(TARGET), how, &error), ST_OK);
            CHECK(stat(scratch_path(TARGET), &about) == 0);
            CHECK_EQ(about.st_mode & 07777, kept[i]);
            scratch_remove(TARGET);
        }
        for (i = 0; i < sizeof masks / sizeof *masks; i++) {
            char row[32];
            snprintf(row, sizeof row, "umask %03o", (unsigned)masks[i]);
            test_row = row;
            (void)umask(masks[i]);
            CHECK_STATUS(save(scratch_path(TARGET), how, &error), ST_OK);
            CHECK_EQ(umask(022), masks[i]);
            CHECK(stat(scratch_path(TARGET), &about) == 0);
            CHECK_EQ(about.st_mode & 07777, 0666 & ~masks[i]);
            scratch_remove(TARGET);
        }
    }
    (void)umask(before);
}

/* the owner and the group stay, and no special bits */
static void rights_of_others(void) {
    static const mode_t old[] = {06777, 04755, 02755, 01777, 02664, 07000};
    struct stat about;
    st_error error;
    size_t i;
    int how;
    for (how = 0; how < 4; how++) {
        for (i = 0; i < 2 * sizeof old / sizeof *old; i++) {
            const int foreign = i % 2 != 0;
            const mode_t mode = old[i / 2];
            char row[48];
            snprintf(row, sizeof row, "permissions %05o%s", (unsigned)mode, foreign ? " of another user's file" : "");
            test_row = row;
            if (foreign && geteuid() != 0) continue; /* only root can change owners */
            target_begin();
            if (foreign) CHECK(chown(scratch_path(TARGET), 12345, 12346) == 0);
            CHECK(chmod(scratch_path(TARGET), mode) == 0);
            CHECK_STATUS(save(scratch_path(TARGET), how, &error), ST_OK);
            CHECK(stat(scratch_path(TARGET), &about) == 0);
            CHECK_EQ(about.st_mode & 07777, mode & 0777);
            CHECK_EQ(about.st_uid, foreign ? 12345 : geteuid());
            if (foreign) CHECK_EQ(about.st_gid, 12346);
            scratch_remove(TARGET);
        }
    }
    if (geteuid() != 0) SKIP("only root can make another user's file");
}

/* saves as a user that may not keep the old file's owner; as a member of its group, or not */
static void unkept_owner(void) {
    static const struct {
        mode_t old;
        int member;
        mode_t renewed;
    } rows[] = {{0664, 0, 0644}, {0640, 0, 0600}, {0667, 0, 0645}, {06777, 0, 0755}, {0664, 1, 0644}, {0640, 1, 0640}};
    struct stat about;
    size_t i;
    test_row = "the owner cannot stay";
    if (geteuid() != 0) {
        SKIP("only root can make another user's file");
        return;
    }
    CHECK(chmod(scratch_directory, 0777) == 0);
    for (i = 0; i < sizeof rows / sizeof *rows; i++) {
        int result = -1;
        pid_t child;
        target_begin();
        CHECK(chown(scratch_path(TARGET), 0, 12346) == 0 && chmod(scratch_path(TARGET), rows[i].old) == 0);
        child = fork();
        if (child == 0) {
            const gid_t group = 12346;
            st_error error;
            if (setgroups(rows[i].member ? 1 : 0, &group) != 0 || setgid(12347) != 0 || setuid(12345) != 0) _exit(99);
            if (access(scratch_directory, W_OK) != 0) _exit(98);
            _exit((int)save(scratch_path(TARGET), 1, &error));
        }
        if (!CHECK(child > 0 && waitpid(child, &result, 0) == child && WIFEXITED(result))) continue;
        if (WEXITSTATUS(result) >= 98) {
            SKIP("another user cannot reach the scratch directory");
            break;
        }
        CHECK_EQ(WEXITSTATUS(result), ST_OK);
        if (!CHECK(stat(scratch_path(TARGET), &about) == 0)) continue;
        CHECK_EQ(about.st_mode & 07777, rows[i].renewed);
        CHECK_EQ(about.st_uid, 12345);
        CHECK_EQ(about.st_gid, rows[i].member ? 12346 : 12347);
        CHECK(file_is(scratch_path(TARGET), golden, golden_bytes));
    }
    scratch_remove(TARGET);
}

/* only the owner can read an incomplete file */
static void permissions_under_way(void) {
    struct stat about;
    char name[64];
    st_writer *w;
    st_error error;
    test_row = "permissions under way";
    snprintf(name, sizeof name, ".st-%lu-0.tmp", sti_system_process_id());
    CHECK_STATUS(st_writer_open(&w, scratch_path(TARGET), NULL, &error), ST_OK);
    CHECK_STATUS(st_writer_add(w, &tensors[0], &error), ST_OK);
    check_no_temporary();
    CHECK_STATUS(st_writer_begin(w, &error), ST_OK);
    if (CHECK(stat(scratch_path(name), &about) == 0)) CHECK_EQ(about.st_mode & 07777, 0600);
    st_writer_close(w);
    check_no_temporary();
}

static void target_links(void) {
    struct stat about;
    st_error error;
    int how;
    for (how = 0; how < 4; how++) {
        int dangling;
        for (dangling = 0; dangling <= 1; dangling++) {
            test_row = dangling ? "a symbolic link to nothing" : "a symbolic link";
            if (!dangling) {
                scratch_write("behind", "behind", 6);
                CHECK(chmod(scratch_path("behind"), 0600) == 0);
            }
            CHECK(symlink("behind", scratch_path(TARGET)) == 0);
            CHECK_STATUS(save(scratch_path(TARGET), how, &error), ST_OK);
            CHECK(lstat(scratch_path(TARGET), &about) == 0 && S_ISREG(about.st_mode));
            CHECK(file_is(scratch_path(TARGET), golden, golden_bytes));
            if (!dangling) {
                CHECK(file_is(scratch_path("behind"), "behind", 6));
                scratch_remove("behind");
            }
            CHECK(lstat(scratch_path("behind"), &about) != 0);
            scratch_remove(TARGET);
        }
    }
    test_row = "a link where the temporary would be";
    {
        char name[64];
        snprintf(name, sizeof name, ".st-%lu-0.tmp", sti_system_process_id());
        CHECK(symlink("behind", scratch_path(name)) == 0);
        CHECK_STATUS(save(scratch_path(TARGET), 0, &error), ST_OK);
        CHECK(lstat(scratch_path("behind"), &about) != 0);
        CHECK(lstat(scratch_path(name), &about) == 0 && S_ISLNK(about.st_mode));
        scratch_remove(name);
        scratch_remove(TARGET);
    }
    test_row = "a file of two names";
    target_begin();
    CHECK(link(scratch_path(TARGET), scratch_path("second")) == 0);
    CHECK_STATUS(save(scratch_path(TARGET), 0, &error), ST_OK);
    CHECK(file_is(scratch_path("second"), OLD_TEXT, sizeof OLD_TEXT - 1));
    scratch_remove("second");
    scratch_remove(TARGET);
}

/* a FIFO, a device, or a link to one, is written to and stays as it is */
static void streams(void) {
    static const char *const names[] = {"a FIFO", "a link to a FIFO", "a device", "a link to a device"};
    struct stat before, about;
    char arrived[512];
    int kind, how, fifo;
    st_error error;
    CHECK(mkfifo(scratch_path("fifo"), 0666) == 0);
    fifo = open(scratch_path("fifo"), O_RDWR | O_NONBLOCK); /* so that the library finds a reader */
    CHECK(fifo >= 0);
    for (kind = 0; kind < 4; kind++) {
        const char *end = kind < 2 ? scratch_path("fifo") : "/dev/null";
        char full[PATH_MAX];
        test_row = names[kind];
        if (kind % 2 == 0) {
            snprintf(full, sizeof full, "%s", end);
        } else {
            snprintf(full, sizeof full, "%s", scratch_path(TARGET));
            CHECK(symlink(kind < 2 ? "fifo" : end, full) == 0);
        }
        if (!CHECK(lstat(full, &before) == 0)) continue;
        for (how = 0; how < 4; how++) {
            CHECK_STATUS(save(full, how, &error), ST_OK);
            if (kind < 2) {
                const ssize_t n = read(fifo, arrived, sizeof arrived);
                CHECK(n >= 0 && same_bytes(arrived, (size_t)n, golden, golden_bytes));
            }
            CHECK(lstat(full, &about) == 0 && about.st_mode == before.st_mode && about.st_ino == before.st_ino);
            check_no_temporary();
        }
        if (kind % 2) scratch_remove(TARGET);
    }
    test_row = "edits of a FIFO";
    CHECK_STATUS(st_edit_metadata(scratch_path("fifo"), NULL, 0, NULL, &error), ST_ERR_IO);
    CHECK_STATUS(st_overwrite(scratch_path("fifo"), "t", 0, "x", 1, NULL, &error), ST_ERR_IO);
    CHECK(read(fifo, arrived, 1) < 0);
    close(fifo);
    scratch_remove("fifo");
}

/* shards are renamed together, so a stream cannot be one */
static void sharded_stream(void) {
    st_error error;
    struct stat about;
    test_row = "a FIFO with the name of a model in one file";
    CHECK(SCRATCH_MAKE(scratch_path("dir")) == 0);
    CHECK(mkfifo(scratch_path("dir/model.safetensors"), 0666) == 0);
    CHECK_STATUS(st_save_sharded(scratch_path("dir"), CONTENTS(tensors, 1, NULL, 0), NULL, &error), ST_ERR_IO);
    CHECK(lstat(scratch_path("dir/model.safetensors"), &about) == 0 && S_ISFIFO(about.st_mode));
    scratch_remove("dir/model.safetensors");
    CHECK(SCRATCH_DROP(scratch_path("dir")) == 0);
}

static void without_files(void) {
    struct sockaddr_un address;
    struct stat about;
    int fd;
    st_error error;
    test_row = "a socket";
    memset(&address, 0, sizeof address);
    address.sun_family = AF_UNIX;
    fd = socket(AF_UNIX, SOCK_STREAM, 0);
    if (scratch_enter()) {
        memcpy(address.sun_path, TARGET, sizeof TARGET);
        CHECK(bind(fd, (const struct sockaddr *)&address, sizeof address) == 0);
        scratch_leave();
    }
    refuses_to(scratch_path(TARGET), ST_ERR_IO, 1);
    CHECK(lstat(scratch_path(TARGET), &about) == 0 && S_ISSOCK(about.st_mode));
    close(fd);
    scratch_remove(TARGET);
    test_row = "a link to a directory";
    CHECK(symlink("..", scratch_path(TARGET)) == 0);
    refuses_to(scratch_path(TARGET), ST_ERR_IO, 1);
    CHECK(lstat(scratch_path(TARGET), &about) == 0 && S_ISLNK(about.st_mode));
    scratch_remove(TARGET);
    test_row = "a link in a circle";
    CHECK(symlink(TARGET, scratch_path(TARGET)) == 0);
    refuses_to(scratch_path(TARGET), ST_ERR_IO, 1);
    scratch_remove(TARGET);
    test_row = "the system's link to an open file";
    target_begin();
    fd = open(scratch_path(TARGET), O_WRONLY);
    {
        char path[64];
        snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
        if (lstat(path, &about) == 0) {
            CHECK_STATUS(save(path, 1, &error), ST_ERR_IO);
            CHECK(strstr(error.message, "not a regular file") != NULL);
            snprintf(path, sizeof path, "/dev/fd/%d", fd);
            CHECK_STATUS(save(path, 1, &error), ST_ERR_IO);
            target_is_old();
        } else {
            SKIP("no /proc");
        }
        if (lstat("/dev/stdout", &about) == 0 && S_ISLNK(about.st_mode)) {
            const int output = dup(1);
            int code;
            CHECK(fflush(stdout) == 0 && dup2(fd, 1) == 1);
            code = sti_system_look("/dev/stdout", &about); /* no save: a library that is wrong would replace the link */
            CHECK(dup2(output, 1) == 1 && close(output) == 0);
            CHECK(code == ST_IO_NOT_A_FILE);
        }
    }
    close(fd);
    scratch_remove(TARGET);
}

/* the system's limit on file sizes: a write is short, then fails */
static void file_too_long(void) {
    struct rlimit before, limit;
    st_error error;
    int how;
    test_row = "over the limit of a file's length";
    CHECK(getrlimit(RLIMIT_FSIZE, &before) == 0);
    limit = before;
    (void)signal(SIGXFSZ, SIG_IGN);
    target_begin();
    for (how = 0; how < 4; how++) {
        for (limit.rlim_cur = 0; limit.rlim_cur < golden_bytes; limit.rlim_cur += 7) {
            CHECK(setrlimit(RLIMIT_FSIZE, &limit) == 0);
            CHECK_STATUS(save(scratch_path(TARGET), how, &error), ST_ERR_IO);
            CHECK(setrlimit(RLIMIT_FSIZE, &before) == 0);
            CHECK_EQ(error.sys, EFBIG);
            target_is_old();
        }
    }
    (void)signal(SIGXFSZ, SIG_DFL);
    scratch_remove(TARGET);
}
#endif

/* saves a small model with ST_SAVE_DIRECT */
static st_status save_direct(const char *path, const st_contents *contents, st_error *error) {
    st_save_options options;
    memset(&options, 0, sizeof options);
    options.flags = ST_SAVE_DIRECT;
    return st_save(path, contents, &options, error);
}

static int cancel(void *user, uint64_t done, uint64_t total) {
    (void)user, (void)done, (void)total;
    return 1;
}

/* ST_SAVE_DIRECT: no temporary file; the file stays the same file */
static void direct(void) {
    const st_contents *contents = CONTENTS(tensors, 1, NULL, 0);
    const char *path = scratch_path(TARGET);
    st_save_options options;
    st_model *m;
    st_writer *w;
    st_error error;
    test_row = "direct, no older file";
    CHECK_STATUS(save_direct(path, contents, &error), ST_OK);
    CHECK(file_is(path, golden, golden_bytes));
    check_no_temporary();
    test_row = "direct, over a longer file";
    scratch_write(TARGET, X100("older "), 600);
    CHECK_STATUS(save_direct(path, contents, &error), ST_OK);
    CHECK(file_is(path, golden, golden_bytes));
    test_row = "direct, over the file that is read";
    CHECK_STATUS(st_open(&m, path, NULL, &error), ST_OK);
    {
        st_contents copy = st_contents_of(m);
        CHECK_STATUS(save_direct(path, &copy, &error), ST_ERR_UNSUPPORTED);
        CHECK(strstr(error.message, "read from this file") != NULL);
        CHECK(file_is(path, golden, golden_bytes));
        CHECK_STATUS(save_direct(scratch_path("second"), &copy, &error), ST_OK);
        CHECK(file_is(scratch_path("second"), golden, golden_bytes));
        scratch_remove("second");
    }
    st_close(m);
    test_row = "direct, refused before anything is written";
    scratch_write(TARGET, "older", 5);
    CHECK_STATUS(save_direct(path, CONTENTS(tensors, 1, NULL, 1), &error), ST_ERR_ARGUMENT);
    CHECK(file_is(path, "older", 5));
    test_row = "direct, no such directory";
    CHECK_STATUS(save_direct(scratch_path("nowhere/x"), contents, &error), ST_ERR_NOT_FOUND);
    test_row = "direct, cancelled";
    memset(&options, 0, sizeof options);
    options.flags = ST_SAVE_DIRECT;
    options.progress = cancel;
    CHECK_STATUS(st_save(path, contents, &options, &error), ST_ERR_CANCELLED);
    CHECK(strstr(error.message, "nothing was changed") == NULL);
    CHECK(st_open(&m, path, NULL, &error) == ST_ERR_TRUNCATED);
    test_row = "direct, streamed";
    options.progress = NULL;
    CHECK_STATUS(st_writer_open(&w, path, &options, &error), ST_OK);
    CHECK_STATUS(st_writer_add(w, &tensors[0], &error), ST_OK);
    CHECK_STATUS(st_writer_begin(w, &error), ST_OK);
    CHECK_STATUS(st_writer_write_to(w, &tensors[0], "xy", 2, &error), ST_ERR_UNSUPPORTED);
    CHECK_STATUS(st_writer_write(w, "xy", 2, &error), ST_OK);
    CHECK_STATUS(st_writer_finish(w, &error), ST_OK);
    st_writer_close(w);
    CHECK(file_is(path, golden, golden_bytes));
    test_row = "direct, left unfinished";
    CHECK_STATUS(st_writer_open(&w, path, &options, &error), ST_OK);
    CHECK_STATUS(st_writer_add(w, &tensors[0], &error), ST_OK);
    CHECK_STATUS(st_writer_begin(w, &error), ST_OK);
    CHECK_STATUS(st_writer_write(w, "x", 1, &error), ST_OK);
    st_writer_close(w);
    CHECK(st_open(&m, path, NULL, &error) == ST_ERR_TRUNCATED);
    test_row = "direct, not for these calls";
    CHECK_STATUS(st_edit_metadata(path, NULL, 0, &options, &error), ST_ERR_ARGUMENT);
    CHECK_STR(error.subject, "ST_SAVE_DIRECT");
    CHECK_STATUS(st_save_sharded(scratch_directory, contents, &options, &error), ST_ERR_ARGUMENT);
    CHECK_STR(error.subject, "ST_SAVE_DIRECT");
    check_no_temporary();
    scratch_remove(TARGET);
}

#ifndef _WIN32
static void direct_links(void) {
    const st_contents *contents = CONTENTS(tensors, 1, NULL, 0);
    struct stat before, about;
    st_error error;
    test_row = "direct, the same file";
    target_begin();
    CHECK(chmod(scratch_path(TARGET), 0640) == 0 && stat(scratch_path(TARGET), &before) == 0);
    CHECK_STATUS(save_direct(scratch_path(TARGET), contents, &error), ST_OK);
    CHECK(stat(scratch_path(TARGET), &about) == 0);
    CHECK(about.st_ino == before.st_ino && about.st_mode == before.st_mode);
    test_row = "direct, over the file that is read, which was touched since";
    {
        const struct utimbuf times = {1000000000, 1000000000};
        st_contents copy;
        st_model *m;
        CHECK_STATUS(st_open(&m, scratch_path(TARGET), NULL, &error), ST_OK);
        copy = st_contents_of(m);
        CHECK(utime(scratch_path(TARGET), &times) == 0);
        CHECK_STATUS(save_direct(scratch_path(TARGET), &copy, &error), ST_ERR_UNSUPPORTED);
        CHECK(file_is(scratch_path(TARGET), golden, golden_bytes));
        st_close(m);
    }
    test_row = "direct, a file of two names";
    target_begin();
    CHECK(link(scratch_path(TARGET), scratch_path("second")) == 0);
    CHECK_STATUS(save_direct(scratch_path(TARGET), contents, &error), ST_ERR_UNSUPPORTED);
    target_is_old();
    scratch_remove(TARGET);
    test_row = "direct, a symbolic link";
    CHECK(symlink("second", scratch_path(TARGET)) == 0);
    CHECK_STATUS(save_direct(scratch_path(TARGET), contents, &error), ST_ERR_UNSUPPORTED);
    CHECK(file_is(scratch_path("second"), OLD_TEXT, sizeof OLD_TEXT - 1));
    CHECK(lstat(scratch_path(TARGET), &about) == 0 && S_ISLNK(about.st_mode));
    scratch_remove(TARGET);
    scratch_remove("second");
}
#else
static void streams(void) {
    st_error error;
    int how;
    test_row = "NUL";
    for (how = 0; how < 4; how++) CHECK_STATUS(save("NUL", how, &error), ST_OK);
    check_no_temporary();
}
#endif

/* a writer whose first begin failed at one kind of file may begin at another */
static void begun_again(void) {
    st_writer *w;
    st_error error;
    test_row = "begun again";
    CHECK(SCRATCH_MAKE(scratch_path(TARGET)) == 0);
    CHECK_STATUS(st_writer_open(&w, scratch_path(TARGET), NULL, &error), ST_OK);
    CHECK_STATUS(st_writer_add(w, &tensors[0], &error), ST_OK);
    CHECK_STATUS(st_writer_begin(w, &error), ST_ERR_IO);
    CHECK(SCRATCH_DROP(scratch_path(TARGET)) == 0);
    CHECK_STATUS(st_writer_begin(w, &error), ST_OK);
    CHECK_STATUS(st_writer_write(w, "xy", 2, &error), ST_OK);
    CHECK_STATUS(st_writer_finish(w, &error), ST_OK);
    st_writer_close(w);
    CHECK(file_is(scratch_path(TARGET), golden, golden_bytes));
    scratch_remove(TARGET);
}

int main(void) {
    scratch_begin("target");
    golden = golden_file(small_header, sizeof small_header - 1, 0, 0, "xy", 2, &golden_bytes);
    target_directories();
    bare_name();
    long_names();
    temporaries_in_the_way();
    itself();
    direct();
    begun_again();
    streams();
#ifndef _WIN32
    direct_links();
    unkept_owner();
    sharded_stream();
    without_files();
    permissions();
    rights_of_others();
    permissions_under_way();
    target_links();
    file_too_long();
#else
    SKIP("permissions and links are those of POSIX");
#endif
    test_row = "";
    free(golden);
    scratch_end();
    return test_done("target");
}
