/* Makes every system call of saving, streaming and editing fail, alone and with all later ones, and shortens writes.
 * The target is then the old or the new file, as the status says; no temporary is left, and every file is closed.
 * Runs in this process, so that sanitizers can watch; system.sh does the same from outside. */
#define ST_IMPLEMENTATION
#include "faulty.h"

#include "scenario.h"

static unsigned char *old, *renewed;
static size_t old_bytes, new_bytes;
static unsigned long refusals;

static st_status attempt(int which, int there, st_error *error) {
    const char *path = scratch_path(TARGET);
    counting memory;
    st_status status;
    if (there) {
        scratch_write(TARGET, old, old_bytes);
#ifndef _WIN32
        CHECK(chmod(path, 0640) == 0);
#endif
    } else {
        (void)remove(path);
    }
    counting_begin(&memory);
    status = scenario_run(which, scratch_path(TARGET), &memory.allocator, error);
    counting_end(&memory);
    CHECK_EQ(faults.open, 0);
    CHECK_STATUS(error->status, status);
    if (status != ST_OK) check_text(error->message, sizeof error->message);
    return status;
}

static int target_is(const unsigned char *want, size_t n) {
    return file_is(scratch_path(TARGET), want, n);
}

/* what a failure leaves of a file that is written in place */
static void incomplete_does_not_open(void) {
    size_t n;
    unsigned char *file = file_bytes(scratch_path(TARGET), &n);
    if (file != NULL && !same_bytes(file, n, old, old_bytes) && !same_bytes(file, n, renewed, new_bytes)) {
        st_model *m;
        st_error error;
        faults_begin(NAMES, 0, 0, 0);
        CHECK_STATUS(st_open(&m, scratch_path(TARGET), NULL, &error), ST_ERR_TRUNCATED);
        st_close(m);
    }
    free(file);
}

static void judge(int which, int there, st_status status) {
    const int in_place = which >= EDIT_IN_PLACE;
    if (status == ST_OK || faults.renamed) {
        CHECK(target_is(renewed, new_bytes));
#ifndef _WIN32
        struct stat about;
        if (there && CHECK(lstat(scratch_path(TARGET), &about) == 0)) {
            CHECK((about.st_mode & 07777) == 0640 || ((about.st_mode & 07777) == 0600 && faults.only == PERMIT));
        }
#endif
    } else if (which == DO_DIRECT) {
        incomplete_does_not_open();
    } else if (!there) {
        size_t n;
        CHECK(file_bytes(scratch_path(TARGET), &n) == NULL);
    } else { /* in place, the failed call may have flushed a header that is already written */
        CHECK(target_is(old, old_bytes) || (in_place && target_is(renewed, new_bytes)));
    }
    check_no_temporary();
}

/* returns whether the save may succeed although this call fails; -1: either result is valid */
static int forgiven(int which, int there, int name, int nth, int code, int after_rename) {
    int interrupted = 0;
    if (name == UNLINK || name == PERMIT) return 1;
#ifdef _WIN32
    (void)code;
    if (which < EDIT_IN_PLACE && nth == (which < EDIT_FITS ? 1 : 2) && (name == OPEN || (name == CLOSE && there))) {
        return -1; /* the target is opened first, to see whether it is a stream */
    }
#else
    (void)there;
    interrupted = code == EINTR;
    if (name == RESERVE) { /* codes that say only that reserving space is unsupported; writing reports a full disk */
        if (code == ENOSPC || code == EDQUOT || code == EIO) return 0;
        return interrupted || code == EOPNOTSUPP || code == EINVAL || code == ENOSYS ? 1 : -1;
    }
    if (name == FLUSH && (after_rename || which == DO_DIRECT) && /* a directory, or in place */
        (code == EINVAL || code == ENOTSUP || code == EOPNOTSUPP || code == EPERM || code == ENOSYS)) {
        return 1;
    }
    if (name == OPEN && code == EACCES && after_rename) return 1; /* the directory */
    if (interrupted && (name == OPEN || name == WRITE || name == READ || name == FLUSH)) {
        return name == OPEN && (after_rename || (which >= EDIT_IN_PLACE && which <= OVERWRITE)) ? -1 : 1;
    }
#endif
    if (name == CLOSE) {
        const int only_read = which >= EDIT_IN_PLACE ? 2 : 1; /* read-only; in place the target is closed first */
        if (after_rename || (which >= EDIT_FITS && which <= OVERWRITE && nth == only_read)) return -1;
        return interrupted; /* the file is closed nevertheless */
    }
    return 0;
}

static void refuse_one(int which, int there, int name, int nth, int after_rename) {
    size_t i;
    int forever;
    for (i = 0; i < sizeof codes / sizeof *codes; i++) {
        for (forever = 0; forever <= 1; forever++) {
            char row[160];
            st_error error;
            st_status status;
            int fine;
            snprintf(row, sizeof row, "%s%s, %s %d fails with %d%s", scenario_names[which], there ? "" : " anew",
                     call_names[name], nth, codes[i], forever ? " from then on" : "");
            test_row = row;
            faults_begin(name, nth, forever, codes[i]);
            status = attempt(which, there, &error);
            fine = forgiven(which, there, name, nth, codes[i], after_rename);
            if (fine >= 0) CHECK_STATUS(status, fine ? ST_OK : ST_ERR_IO);
            if (status != ST_OK) CHECK_EQ(error.sys, codes[i]);
            if (status != ST_OK) CHECK_STATUS(status, ST_ERR_IO);
            judge(which, there, status);
            refusals++;
        }
    }
}

static void refuse_each(int which, int there) {
    struct faults clean;
    st_error error;
    int i, seen[NAMES], after_rename = 0;
    memset(seen, 0, sizeof seen);
    test_row = scenario_names[which];
    faults_begin(NAMES, 0, 0, 0);
    CHECK_STATUS(attempt(which, there, &error), ST_OK);
    CHECK(target_is(renewed, new_bytes));
    clean = faults;
    if (which == DO_SAVE_NO_SYNC || which == EDIT_IN_PLACE_NO_SYNC) {
        CHECK_EQ(clean.calls[FLUSH], 0);
    } else {
        const char *lost = faults_unflushed();
        CHECK_STR(lost == NULL ? "nothing" : lost, "nothing");
    }
    CHECK(clean.total >= 5 && clean.calls[WRITE] >= 1);
    for (i = 0; i < clean.total; i++) {
        const int name = clean.trace[i];
        refuse_one(which, there, name, ++seen[name], after_rename);
        after_rename |= name == RENAME || (which == DO_DIRECT && name == CLOSE);
    }
    test_row = "";
}

static void short_writes(int which) {
    static const size_t sizes[] = {1, 7, 1000};
    size_t i;
    int calls;
    for (i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        char row[64];
        st_error error;
        snprintf(row, sizeof row, "%s, %d bytes at a time", scenario_names[which], (int)sizes[i]);
        test_row = row;
        faults_begin(NAMES, 0, 0, 0);
        faults.at_most = sizes[i];
        CHECK_STATUS(attempt(which, 1, &error), ST_OK);
        judge(which, 1, ST_OK);
        calls = faults.calls[WRITE];
        if (sizes[i] ==
            1000) { /* a disk that is full in the middle of a block, then a write that takes 0 bytes without an error */
            int nth;
            for (nth = 1; nth <= calls && which < EDIT_IN_PLACE; nth++) {
                faults_begin(WRITE, nth, 1, nth % 2 ? CODE_FULL : 0);
                faults.at_most = sizes[i];
                CHECK_STATUS(attempt(which, 1, &error), ST_ERR_IO);
                judge(which, 1, ST_ERR_IO);
            }
        }
    }
}

/* in place, a partly written header is reported as such */
static void torn_header(void) {
    int which;
    for (which = EDIT_IN_PLACE; which <= EDIT_IN_PLACE_NO_SYNC; which++) {
        st_error error;
        test_row = "a header that is written in part";
        faults_begin(WRITE, 2, 1, CODE_IO);
        faults.at_most = 50;
        CHECK_STATUS(attempt(which, 1, &error), ST_ERR_IO);
        CHECK_EQ(error.sys, CODE_IO);
        CHECK(!target_is(old, old_bytes) && !target_is(renewed, new_bytes));
        { /* the data is unchanged */
            size_t n;
            unsigned char *file = file_bytes(scratch_path(TARGET), &n);
            CHECK(n == old_bytes && memcmp(file + n - SCENARIO_DATA, old + n - SCENARIO_DATA, SCENARIO_DATA) == 0);
            free(file);
        }
        check_no_temporary();
    }
}

/* the file is cut short or replaced after its header was read */
static void cut_target(void) {
    scratch_write(TARGET, old, old_bytes - 1);
}

#ifndef _WIN32
static void link_target(void) {
    scratch_write("behind", old, old_bytes);
    scratch_remove(TARGET);
    CHECK(symlink("behind", scratch_path(TARGET)) == 0);
}

static void make_device(void) { /* a device that accepts all bytes, like /dev/null */
    struct stat about;
    scratch_remove(TARGET);
    CHECK(lstat("/dev/null", &about) == 0);
    if (mknod(scratch_path(TARGET), S_IFCHR | 0600, about.st_rdev) != 0) scratch_write(TARGET, "", 0);
}
#endif

static void changed_under_way(void) {
    st_error error;
    test_row = "cut short under way";
    faults_begin(NAMES, 0, 0, 0);
    faults.swap_at = 2;
    faults.swap = cut_target;
    CHECK_STATUS(attempt(EDIT_IN_PLACE, 1, &error), ST_ERR_IO);
#ifdef _WIN32 /* the library has the file open: what a removal and a new file of that name leave differs between systems */
    CHECK(!target_is(renewed, new_bytes));
#else
    CHECK(target_is(old, old_bytes - 1));
    test_row = "a link under way";
    faults_begin(NAMES, 0, 0, 0);
    faults.swap_at = 2;
    faults.swap = link_target;
    CHECK_STATUS(attempt(EDIT_IN_PLACE, 1, &error), ST_ERR_UNSUPPORTED);
    CHECK(file_is(scratch_path("behind"), old, old_bytes));
    scratch_remove("behind");
    scratch_remove(TARGET);
    test_row = "a device under way";
    faults_begin(NAMES, 0, 0, 0);
    faults.swap_at = 2;
    faults.swap = make_device;
    CHECK_STATUS(attempt(EDIT_IN_PLACE, 1, &error), ST_ERR_IO);
    CHECK_EQ(faults.calls[WRITE], 0);
    scratch_remove(TARGET);
    test_row = "a link, as some systems say it";
    faults_begin(OPEN, 2, 0, EMLINK);
    CHECK_STATUS(attempt(EDIT_IN_PLACE, 1, &error), ST_ERR_UNSUPPORTED);
    CHECK(target_is(old, old_bytes));
#endif
    test_row = "shorter than it says";
    for (faults_begin(READ, 1, 0, 0); faults.fail_at <= 5; faults_begin(READ, faults.fail_at + 1, 0, 0)) {
        const int nth = faults.fail_at;
        CHECK_STATUS(attempt(EDIT_GROWS, 1, &error), ST_ERR_IO);
        CHECK_EQ(faults.calls[READ] >= nth, 1);
        CHECK(target_is(old, old_bytes));
        check_no_temporary();
    }
}

/* the temporary cannot be removed: it stays, and the error is that of the first failure */
static void nothing_works(int which) {
    size_t temporary;
    char name[64];
    st_error error;
    test_row = "rename and unlink fail";
    faults_begin(RENAME, 1, 1, CODE_DENIED);
    faults.also = UNLINK;
    CHECK_STATUS(attempt(which, 1, &error), ST_ERR_IO);
    CHECK_EQ(error.sys, CODE_DENIED);
    CHECK(target_is(old, old_bytes));
    CHECK_EQ(names_in(scratch_directory, &temporary), 2);
    CHECK_EQ(temporary, 1);
    snprintf(name, sizeof name, ".st-%lu-0.tmp", sti_system_process_id());
    scratch_remove(name);
}

#ifndef _WIN32
/* saves to a FIFO whose other end this process has, and returns what arrived */
static st_status attempt_stream(int which, int fifo, char *arrived, size_t size, size_t *n, st_error *error) {
    ssize_t got;
    counting memory;
    st_status status;
    struct stat about;
    counting_begin(&memory);
    status = scenario_run(which, scratch_path(TARGET), &memory.allocator, error);
    counting_end(&memory);
    CHECK_EQ(faults.open, 0);
    for (*n = 0; (got = read(fifo, arrived + *n, size - *n)) > 0; *n += (size_t)got) {}
    CHECK(lstat(scratch_path(TARGET), &about) == 0 && S_ISFIFO(about.st_mode));
    CHECK((about.st_mode & 07777) == 0640);
    check_no_temporary();
    return status;
}

/* nothing is ever created, renamed, flushed or given permissions, and each failed call is reported */
static void streams(void) {
    static char arrived[8192];
    int which, fifo;
    size_t n, k;
    (void)remove(scratch_path(TARGET));
    test_row = "a FIFO";
    if (!CHECK(mkfifo(scratch_path(TARGET), 0640) == 0 && chmod(scratch_path(TARGET), 0640) == 0)) return;
    fifo = open(scratch_path(TARGET), O_RDWR | O_NONBLOCK); /* so that the library finds a reader */
    if (!CHECK(fifo >= 0)) return;
    for (which = DO_SAVE; which <= DO_STREAM; which++) {
        struct faults clean;
        st_error error;
        int i, seen[NAMES];
        memset(seen, 0, sizeof seen);
        renewed = scenario_new(which, &new_bytes);
        faults_begin(NAMES, 0, 0, 0);
        CHECK_STATUS(attempt_stream(which, fifo, arrived, sizeof arrived, &n, &error), ST_OK);
        CHECK(same_bytes(arrived, n, renewed, new_bytes));
        clean = faults;
        CHECK(clean.calls[OPEN] == 1 && clean.calls[WRITE] >= 1);
        CHECK(clean.calls[RENAME] + clean.calls[PERMIT] + clean.calls[FLUSH] + clean.calls[RESERVE] == 0);
        for (i = 0; i < clean.total; i++) {
            const int name = clean.trace[i];
            seen[name]++;
            for (k = 0; k < sizeof codes / sizeof *codes; k++) {
                const int again = codes[k] == EINTR && name != LOOK && name != ABOUT;
                faults_begin(name, seen[name], (int)(k % 2), codes[k]);
                CHECK_STATUS(attempt_stream(which, fifo, arrived, sizeof arrived, &n, &error),
                             again ? ST_OK : ST_ERR_IO);
                CHECK(again ? same_bytes(arrived, n, renewed, new_bytes) : error.sys == codes[k]);
                refusals++;
            }
        }
        free(renewed);
    }
    {
        st_error error;
        faults_begin(NAMES, 0, 0, 0);
        CHECK_STATUS(attempt_stream(DO_STREAM_TO, fifo, arrived, sizeof arrived, &n, &error), ST_ERR_UNSUPPORTED);
    }
    close(fifo);
    scratch_remove(TARGET);
}
#endif

/* st_writer_write_to: a failure is final for its tensor and for st_writer_finish */
static void failed_write_to(void) {
    const st_tensor tensors[] = {TENSOR("a", U8, "xyz", 3), TENSOR("b", U8, "uvw", 3)};
    const saving s = {"", tensors, 2, NULL, 0, 0, 0, 0};
    st_save_options options;
    st_writer *w;
    st_error error;
    int some;
    for (some = 0; some <= 1; some++) {
        test_row = some ? "a second write to a tensor fails" : "the first write to a tensor fails";
        memset(&options, 0, sizeof options);
        target_begin();
        faults_begin(WRITE, 2 + some, 0, CODE_FULL); /* after the header */
        CHECK_STATUS(st_writer_open(&w, scratch_path(TARGET), &options, &error), ST_OK);
        CHECK_STATUS(stream_declare(w, &s, &error), ST_OK);
        if (some) CHECK_STATUS(st_writer_write_to(w, &tensors[0], "x", 1, &error), ST_OK);
        CHECK_STATUS(st_writer_write_to(w, &tensors[0], "yz", 2, &error), ST_ERR_IO);
        CHECK_EQ(error.sys, CODE_FULL);
        CHECK_STR(error.subject, "a");
        CHECK_STATUS(st_writer_write_to(w, &tensors[0], "yz", 2, &error), ST_ERR_STATE);
        CHECK_STR(error.subject, "a");
        CHECK_STATUS(st_writer_write(w, "x", 1, &error), ST_ERR_STATE);
        CHECK_STATUS(st_writer_finish(w, &error), ST_ERR_STATE);
        CHECK_STATUS(st_writer_write_to(w, &tensors[1], "uvw", 3, &error), ST_OK); /* other tensors still accept data */
        CHECK_STATUS(st_writer_finish(w, &error), ST_ERR_STATE);
        CHECK_STR(error.subject, "a");
        st_writer_close(w);
        CHECK_EQ(faults.open, 0);
        target_is_old();
    }
}

/* error codes of open that map to specific statuses */
static void meanings(void) {
    st_error error;
    renewed = scenario_new(DO_SAVE, &new_bytes);
    test_row = "another has the temporary's name";
    faults_begin(OPEN, 1, 0, CODE_EXISTS);
    CHECK_STATUS(attempt(DO_SAVE, 1, &error), ST_OK);
    judge(DO_SAVE, 1, ST_OK);
    test_row = "others have every name";
    faults_begin(OPEN, 1, 1, CODE_EXISTS);
    CHECK_STATUS(attempt(DO_SAVE, 1, &error), ST_ERR_IO);
    judge(DO_SAVE, 1, ST_ERR_IO);
    test_row = "the directory has gone";
    faults_begin(OPEN, 1, 1, CODE_ABSENT);
    CHECK_STATUS(attempt(DO_SAVE, 1, &error), ST_ERR_NOT_FOUND);
    judge(DO_SAVE, 1, ST_ERR_NOT_FOUND);
    free(renewed);
}

/* with ST_SAVE_NO_SYNC st_overwrite waits for no device */
static void overwrite_without_flush(void) {
    st_save_options options;
    st_error error;
    test_row = "overwrite, no sync";
    memset(&options, 0, sizeof options);
    options.flags = ST_SAVE_NO_SYNC;
    scratch_write(TARGET, old, old_bytes);
    faults_begin(NAMES, 0, 0, 0);
    CHECK_STATUS(st_overwrite(scratch_path(TARGET), "b", 0, "x", 1, &options, &error), ST_OK);
    CHECK(faults.calls[WRITE] == 1 && faults.calls[FLUSH] == 0);
}

int main(void) {
    int which;
    scratch_begin("calls");
    old = scenario_old(&old_bytes);
    for (which = 0; which < SCENARIOS; which++) {
        renewed = scenario_new(which, &new_bytes);
        refuse_each(which, 1);
        if (which < EDIT_FITS || which == DO_DIRECT) refuse_each(which, 0);
        short_writes(which);
        if (which < EDIT_IN_PLACE) nothing_works(which);
        free(renewed);
    }
#ifndef _WIN32
    streams();
#endif
    renewed = scenario_new(EDIT_IN_PLACE, &new_bytes);
    torn_header();
    changed_under_way();
    free(renewed);
    meanings();
    failed_write_to();
    overwrite_without_flush();
    free(old);
    test_row = "";
    CHECK(refusals > 1000);
    scratch_remove(TARGET);
    scratch_end();
    return test_done("calls");
}
