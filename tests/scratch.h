/* scratch.h: a directory of a test's own, build/tmp.NAME.PID under the current one, gone when the test ends. */
#ifndef SCRATCH_H
#define SCRATCH_H
#include "test.h"
#include <dirent.h>
#ifdef _WIN32
#include <direct.h>
#include <process.h>
#define SCRATCH_MAKE(path) _mkdir(path)
#define SCRATCH_DROP(path) _rmdir(path)
#define SCRATCH_PID() _getpid()
#else
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>
#define SCRATCH_MAKE(path) mkdir(path, 0777)
#define SCRATCH_DROP(path) rmdir(path)
#define SCRATCH_PID() getpid()
#endif

static char scratch_directory[96];

static inline void scratch_begin(const char *name) {
    (void)SCRATCH_MAKE("build");
    snprintf(scratch_directory, sizeof scratch_directory, "build/tmp.%s.%ld", name, (long)SCRATCH_PID());
    CHECK(SCRATCH_MAKE(scratch_directory) == 0);
}

static inline const char *scratch_path(const char *name) { /* good until the sixteenth call after it */
    static char paths[16][160];
    static unsigned turn;
    char *path = paths[turn++ % 16];
    snprintf(path, sizeof paths[0], "%s/%s", scratch_directory, name);
    return path;
}

static inline const char *scratch_write(const char *name, const void *bytes, size_t n) {
    const char *path = scratch_path(name);
    FILE *file;
    int written;
    (void)remove(
        path); /* a file that is cut and written anew may be flushed when it is closed: a thousand times slower */
    file = fopen(path, "wb");
    written = file != NULL && (n == 0 || fwrite(bytes, 1, n, file) == n);
    if (file != NULL) written &= fclose(file) == 0;
    CHECK(written);
    return path;
}

static inline void scratch_remove(const char *name) {
    CHECK(remove(scratch_path(name)) == 0);
}

/* gives each the names in a directory, in any order */
static inline void scratch_list(const char *directory, void (*each)(void *arg, const char *name), void *arg) {
    DIR *d = opendir(directory);
    const struct dirent *found;
    if (!CHECK(d != NULL)) return;
    while ((found = readdir(d)) != NULL) {
        if (strcmp(found->d_name, ".") != 0 && strcmp(found->d_name, "..") != 0) each(arg, found->d_name);
    }
    closedir(d);
}

static inline void scratch_end(void) { /* the files in it have been removed by then */
    CHECK(SCRATCH_DROP(scratch_directory) == 0);
    (void)SCRATCH_DROP("build"); /* where nothing else lies in it */
}
#endif
