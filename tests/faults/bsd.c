/* Codes and calls of macOS and the BSDs, imitated where the system has others: F_FULLFSYNC, which only some volumes have,
 * and the codes with which open refuses a link. */
#define ST_IMPLEMENTATION
#ifndef _WIN32
#define _GNU_SOURCE 1
#define _FILE_OFFSET_BITS 64
#include <errno.h>
#include <fcntl.h>
#ifndef F_FULLFSYNC
#define F_FULLFSYNC 51
#endif
#ifndef EFTYPE
#define EFTYPE 79
#endif
static int full_flushes, full_flush_code;
static int full_flush(void) {
    full_flushes++;
    errno = full_flush_code;
    return full_flush_code ? -1 : 0;
}
#define fcntl(fd, command) full_flush()
#endif
#include "faulty.h"

#include "scenario.h"

#ifndef _WIN32
static unsigned char *old;
static size_t old_bytes;

static st_status attempt(int which, int code, st_error *error) {
    full_flushes = 0;
    full_flush_code = code;
    scratch_write(TARGET, old, old_bytes);
    return scenario_run(which, scratch_path(TARGET), NULL, error);
}

/* a volume that lacks F_FULLFSYNC is flushed by fsync; an error that F_FULLFSYNC reports must not be forgotten */
static void flushes(void) {
    static const int lacking[] = {ENOTSUP, EINVAL, ENOTTY}, errors[] = {EIO, ENOSPC, EDQUOT, EROFS};
    size_t i;
    st_error error;
    test_row = "F_FULLFSYNC succeeds";
    faults_begin(NAMES, 0, 0, 0);
    CHECK_STATUS(attempt(DO_SAVE, 0, &error), ST_OK);
    CHECK_EQ(full_flushes, 2); /* the file and its directory */
    CHECK_EQ(faults.calls[FLUSH], 0);
    test_row = "a volume lacks F_FULLFSYNC";
    for (i = 0; i < sizeof lacking / sizeof *lacking; i++) {
        faults_begin(NAMES, 0, 0, 0);
        CHECK_STATUS(attempt(DO_SAVE, lacking[i], &error), ST_OK);
        CHECK_EQ(full_flushes, 2);
        CHECK_EQ(faults.calls[FLUSH], 2);
    }
    test_row = "F_FULLFSYNC fails";
    for (i = 0; i < sizeof errors / sizeof *errors; i++) {
        faults_begin(NAMES, 0, 0, 0);
        CHECK_STATUS(attempt(DO_SAVE, errors[i], &error), ST_ERR_IO);
        CHECK_EQ(error.sys, errors[i]);
        CHECK_EQ(faults.calls[FLUSH], 0);
        CHECK(file_is(scratch_path(TARGET), old, old_bytes));
    }
    test_row = "a volume without F_FULLFSYNC, where fsync fails";
    faults_begin(FLUSH, 1, 0, EIO);
    CHECK_STATUS(attempt(DO_SAVE, ENOTSUP, &error), ST_ERR_IO);
    CHECK_EQ(error.sys, EIO);
    CHECK(file_is(scratch_path(TARGET), old, old_bytes));
}

static void links(void) {
    static const int refusing[] = {ELOOP, EMLINK, EFTYPE};
    size_t i;
    st_error error;
    test_row = "open refuses a link";
    for (i = 0; i < sizeof refusing / sizeof *refusing; i++) {
        faults_begin(OPEN, 2, 0, refusing[i]); /* the first call of open validates the file */
        CHECK_STATUS(attempt(OVERWRITE, 0, &error), ST_ERR_UNSUPPORTED);
        faults_begin(OPEN, 1, 0, refusing[i]);
        CHECK_STATUS(attempt(DO_DIRECT, 0, &error), ST_ERR_UNSUPPORTED);
        CHECK(file_is(scratch_path(TARGET), old, old_bytes));
    }
}
#endif

int main(void) {
#ifdef _WIN32
    SKIP("fsync and links are those of POSIX");
#else
    scratch_begin("bsd");
    old = scenario_old(&old_bytes);
    flushes();
    links();
    free(old);
    scratch_remove(TARGET);
    scratch_end();
#endif
    return test_done("bsd");
}
