/* scratch.h: a temporary directory for one test, $ST_SCRATCH/tmp.NAME.PID (build/tmp.NAME.PID by default). It is
 * removed when the test ends. */
#ifndef SCRATCH_H
#define SCRATCH_H
#include "test.h"
#ifdef _WIN32
#include <direct.h>
#include <io.h>
#include <process.h>
#undef open /* Wine's io.h defines it, and structs here have such members */
#undef close
#define SCRATCH_MAKE(path) _mkdir(path)
#define SCRATCH_DROP(path) _rmdir(path)
#define SCRATCH_PID() _getpid()
#define SCRATCH_CURRENT(path, bytes) _getcwd(path, bytes)
#define CHANGE_DIRECTORY(path) _chdir(path)
#else
#include <dirent.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>
#define SCRATCH_MAKE(path) mkdir(path, 0777)
#define SCRATCH_DROP(path) rmdir(path)
#define SCRATCH_PID() getpid()
#define SCRATCH_CURRENT(path, bytes) getcwd(path, bytes)
#define CHANGE_DIRECTORY(path) chdir(path)
#endif

static char scratch_directory[96], scratch_start[4096]; /* scratch_start: the previous directory */

static inline void scratch_begin(const char *name) {
    const char *root = getenv("ST_SCRATCH");
    if (root == NULL || *root == 0) root = "build";
    (void)SCRATCH_MAKE(root);
    snprintf(scratch_directory, sizeof scratch_directory, "%s/tmp.%s.%ld", root, name, (long)SCRATCH_PID());
    CHECK(SCRATCH_MAKE(scratch_directory) == 0);
}

/* makes the scratch directory the current one */
static inline int scratch_enter(void) {
    return CHECK(SCRATCH_CURRENT(scratch_start, (int)sizeof scratch_start) != NULL) &&
           CHECK(CHANGE_DIRECTORY(scratch_directory) == 0);
}

static inline void scratch_leave(void) {
    CHECK(CHANGE_DIRECTORY(scratch_start) == 0);
}

static inline const char *scratch_path(const char *name) { /* valid for 15 more calls */
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
    (void)remove(path); /* truncating a file can flush it on close, which is a thousand times slower */
    file = fopen(path, "wb");
    written = file != NULL && (n == 0 || fwrite(bytes, 1, n, file) == n);
    if (file != NULL) written &= fclose(file) == 0;
    CHECK(written);
    return path;
}

static inline void scratch_remove(const char *name) {
    CHECK(remove(scratch_path(name)) == 0);
}

/* calls each with every name in a directory, in arbitrary order */
static inline void scratch_list(const char *directory, void (*each)(void *arg, const char *name), void *arg) {
#ifdef _WIN32
    char pattern[512];
    struct _finddata_t found;
    intptr_t search;
    snprintf(pattern, sizeof pattern, "%s/*", directory);
    search = _findfirst(pattern, &found);
    if (!CHECK(search != -1)) return;
    do {
        if (strcmp(found.name, ".") != 0 && strcmp(found.name, "..") != 0) each(arg, found.name);
    } while (_findnext(search, &found) == 0);
    _findclose(search);
#else
    DIR *d = opendir(directory);
    const struct dirent *found;
    if (!CHECK(d != NULL)) return;
    while ((found = readdir(d)) != NULL) {
        if (strcmp(found->d_name, ".") != 0 && strcmp(found->d_name, "..") != 0) each(arg, found->d_name);
    }
    closedir(d);
#endif
}

static inline void scratch_end(void) { /* the test has removed its files */
    CHECK(SCRATCH_DROP(scratch_directory) == 0);
    if (strncmp(scratch_directory, "build/", 6) == 0) (void)SCRATCH_DROP("build"); /* fails unless empty */
}
#endif
