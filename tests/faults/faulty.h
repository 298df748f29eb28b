/* faulty.h: safetensors.h with every system call counted, and any of them made to fail. Include it first, instead of
 * safetensors.h, after defining ST_IMPLEMENTATION. */
#ifndef FAULTY_H
#define FAULTY_H
#ifdef _WIN32
#ifndef WIN32_LEAN_AND_MEAN
#define WIN32_LEAN_AND_MEAN
#endif
#include <windows.h>
#else
#define _GNU_SOURCE 1
#define _FILE_OFFSET_BITS 64
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#endif
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

enum name {
    OPEN,
    READ,
    WRITE,
    FLUSH,
    CLOSE,
    RENAME,
    UNLINK,
    ABOUT,  /* of an open file: type, path, length */
    LOOK,   /* stat */
    PERMIT, /* chmod and chown */
    RESERVE,
    LIST, /* opening a directory and reading each entry */
    NAMES
};

enum { SIGNALS = 1500 }; /* interruptions in a row before a call succeeds */

static struct faults {
    int calls[NAMES], total; /* calls since faults_begin */
    int trace[1000];         /* the calls in order */
    int aside[1000];         /* 1 for a rename to a temporary name */
    int only, fail_at;       /* the name and number, from 1, of the call that fails; 0: none */
    int forever, code;       /* the error code; 0 with READ and WRITE: returns 0 bytes without an error */
    int also;                /* another name whose calls all fail; NAMES: none */
    size_t at_most;          /* bytes per write; 0: no limit */
    int open;                /* open files */
    int renamed;             /* the target has been replaced */
    int swap_at;             /* the call of open, from 1, before which this function runs: */
    void (*swap)(void);
} faults;

#ifdef _WIN32
#define SAY_CODE(code) SetLastError((DWORD)(code))
enum {
    CODE_IO = ERROR_CRC,
    CODE_FULL = ERROR_DISK_FULL,
    CODE_DENIED = ERROR_ACCESS_DENIED,
    CODE_EXISTS = ERROR_FILE_EXISTS
};
enum { CODE_ABSENT = ERROR_PATH_NOT_FOUND };
static const int codes[] = {CODE_IO, CODE_FULL, CODE_DENIED, ERROR_SHARING_VIOLATION};
#else
#define SAY_CODE(code) (errno = (code))
enum { CODE_IO = EIO, CODE_FULL = ENOSPC, CODE_DENIED = EACCES, CODE_EXISTS = EEXIST, CODE_ABSENT = ENOENT };
static const int codes[] = {CODE_IO, CODE_FULL, CODE_DENIED, EINTR, EPERM, EROFS, EDQUOT, EOPNOTSUPP, EINVAL, ENOSYS};
#endif

static int refused(int name) {
    faults.calls[name]++;
    if (faults.total < 1000) faults.trace[faults.total++] = name;
    if (name == OPEN && faults.swap_at == faults.calls[OPEN]) (faults.swap)();
    if (name == faults.also) {
        SAY_CODE(CODE_IO);
        return 1;
    }
    if (name != faults.only || faults.fail_at == 0 || faults.calls[name] < faults.fail_at) return 0;
    if (faults.calls[name] > faults.fail_at && !faults.forever) return 0;
#ifndef _WIN32
    if (faults.code == EINTR && faults.calls[name] >= faults.fail_at + SIGNALS) return 0; /* interruptions end */
#endif
    SAY_CODE(faults.code);
    return 1;
}

#ifdef _WIN32
static HANDLE WINAPI faulty_open(const wchar_t *path, DWORD access, DWORD share, SECURITY_ATTRIBUTES *security,
                                 DWORD how, DWORD flags, HANDLE like) {
    HANDLE h = INVALID_HANDLE_VALUE;
    if (refused(OPEN)) return h;
    h = CreateFileW(path, access, share, security, how, flags, like);
    faults.open += h != INVALID_HANDLE_VALUE;
    return h;
}

static BOOL WINAPI faulty_close(HANDLE h) { /* closes the file even if it reports a failure */
    const int refuse = refused(CLOSE);
    const DWORD code = GetLastError();
    const BOOL result = CloseHandle(h);
    faults.open--;
    SetLastError(code);
    return refuse ? FALSE : result;
}

static BOOL WINAPI faulty_read(HANDLE h, void *dst, DWORD n, DWORD *got, OVERLAPPED *where) {
    *got = 0;
    if (refused(READ)) return faults.code == 0;
    return ReadFile(h, dst, n, got, where);
}

static BOOL WINAPI faulty_write(HANDLE h, const void *src, DWORD n, DWORD *put, OVERLAPPED *where) {
    *put = 0;
    if (refused(WRITE)) return faults.code == 0;
    return WriteFile(h, src, faults.at_most > 0 && n > faults.at_most ? (DWORD)faults.at_most : n, put, where);
}

static BOOL WINAPI faulty_flush(HANDLE h) {
    (void)h;
    return !refused(FLUSH); /* skips the real flush, which is slow: power stays on here */
}

static BOOL WINAPI faulty_rename(const wchar_t *from, const wchar_t *to, DWORD flags) {
    const BOOL result = !refused(RENAME) && MoveFileExW(from, to, flags & ~(DWORD)MOVEFILE_WRITE_THROUGH);
    faults.renamed |= result;
    return result;
}

static BOOL WINAPI faulty_unlink(const wchar_t *path) {
    return !refused(UNLINK) && DeleteFileW(path);
}

static BOOL WINAPI faulty_size(HANDLE h, LARGE_INTEGER *bytes) {
    return !refused(ABOUT) && GetFileSizeEx(h, bytes);
}

static BOOL WINAPI faulty_about(HANDLE h, BY_HANDLE_FILE_INFORMATION *about) {
    return !refused(ABOUT) && GetFileInformationByHandle(h, about);
}

static BOOL WINAPI faulty_seek(HANDLE h, LARGE_INTEGER to, LARGE_INTEGER *at, DWORD how) {
    return !refused(RESERVE) && SetFilePointerEx(h, to, at, how);
}

static BOOL WINAPI faulty_end(HANDLE h) {
    return !refused(RESERVE) && SetEndOfFile(h);
}

static HANDLE WINAPI faulty_first(const wchar_t *pattern, WIN32_FIND_DATAW *found) {
    return refused(LIST) ? INVALID_HANDLE_VALUE : FindFirstFileW(pattern, found);
}

static BOOL WINAPI faulty_next(HANDLE h, WIN32_FIND_DATAW *found) {
    return !refused(LIST) && FindNextFileW(h, found);
}

#define CreateFileW faulty_open
#define FindFirstFileW faulty_first
#define FindNextFileW faulty_next
#define CloseHandle faulty_close
#define ReadFile faulty_read
#define WriteFile faulty_write
#define FlushFileBuffers faulty_flush
#define MoveFileExW faulty_rename
#define DeleteFileW faulty_unlink
#define GetFileSizeEx faulty_size
#define GetFileInformationByHandle faulty_about
#define SetFilePointerEx faulty_seek
#define SetEndOfFile faulty_end
#include "../../safetensors.h"

#undef CreateFileW
#undef FindFirstFileW
#undef FindNextFileW
#undef CloseHandle
#undef ReadFile
#undef WriteFile
#undef FlushFileBuffers
#undef MoveFileExW
#undef DeleteFileW
#undef GetFileSizeEx
#undef GetFileInformationByHandle
#undef SetFilePointerEx
#undef SetEndOfFile
#else
static int faulty_open(const char *path, int flags, ...) {
    va_list more;
    mode_t mode = 0;
    int fd;
    if (flags & O_CREAT) {
        va_start(more, flags);
        mode = (mode_t)va_arg(more, int);
        va_end(more);
    }
    if (refused(OPEN)) return -1;
    fd = open(path, flags, mode);
    faults.open += fd >= 0;
    return fd;
}

static int faulty_close(int fd) { /* closes the file even if it reports a failure, as Linux does */
    const int refuse = refused(CLOSE), code = errno, result = close(fd);
    faults.open--;
    errno = code;
    return refuse ? -1 : result;
}

static int faulty_fstat(int fd, struct stat *about) {
    return refused(ABOUT) ? -1 : fstat(fd, about);
}

static int faulty_lstat(const char *path, struct stat *about) {
    return refused(LOOK) ? -1 : lstat(path, about);
}

static int faulty_fchmod(int fd, mode_t mode) {
    return refused(PERMIT) ? -1 : fchmod(fd, mode);
}

#if defined(FALLOC_FL_KEEP_SIZE)
static int faulty_fallocate(int fd, int mode, off_t offset, off_t bytes) {
    return refused(RESERVE) ? -1 : fallocate(fd, mode, offset, bytes);
}
#define fallocate(fd, mode, offset, bytes) faulty_fallocate(fd, mode, offset, bytes)
#endif

static ssize_t faulty_pread(int fd, void *dst, size_t n, off_t offset) {
    if (refused(READ)) return faults.code != 0 ? -1 : 0;
    return pread(fd, dst, n, offset);
}

static ssize_t faulty_pwrite(int fd, const void *src, size_t n, off_t offset) {
    if (refused(WRITE)) return faults.code != 0 ? -1 : 0;
    return pwrite(fd, src, faults.at_most > 0 && n > faults.at_most ? faults.at_most : n, offset);
}

static ssize_t faulty_write(int fd, const void *src, size_t n) {
    if (refused(WRITE)) return faults.code != 0 ? -1 : 0;
    return write(fd, src, faults.at_most > 0 && n > faults.at_most ? faults.at_most : n);
}

static int faulty_stat(const char *path, struct stat *about) {
    return refused(LOOK) ? -1 : stat(path, about);
}

static int faulty_fchown(int fd, uid_t owner, gid_t group) {
    return refused(PERMIT) ? -1 : fchown(fd, owner, group);
}

static int faulty_fsync(int fd) {
    (void)fd;
    return refused(FLUSH) ? -1 : 0; /* skips the real flush, which is slow: power stays on here */
}

#if defined(F_FULLFSYNC) && !defined(fcntl)
#define fcntl(fd, command) (SAY_CODE(ENOTSUP), -1) /* macOS: so that fsync is called */
#endif

static int faulty_rename(const char *from, const char *to) {
    const int result = refused(RENAME) ? -1 : rename(from, to);
    faults.aside[faults.total - 1] = strstr(to, ".tmp") != NULL;
    faults.renamed |= result == 0;
    return result;
}

static int faulty_unlink(const char *path) {
    return refused(UNLINK) ? -1 : unlink(path);
}

static DIR *faulty_opendir(const char *path) {
    return refused(LIST) ? NULL : opendir(path);
}

static struct dirent *faulty_readdir(DIR *directory) {
    return refused(LIST) ? NULL : readdir(directory);
}

#define open(...) faulty_open(__VA_ARGS__)
#define opendir(path) faulty_opendir(path)
#define readdir(directory) faulty_readdir(directory)
#define close(fd) faulty_close(fd)
#define fstat(fd, about) faulty_fstat(fd, about)
#define lstat(path, about) faulty_lstat(path, about)
#define stat(path, about) faulty_stat(path, about)
#define fchmod(fd, mode) faulty_fchmod(fd, mode)
#define fchown(fd, owner, group) faulty_fchown(fd, owner, group)
#define write(fd, src, n) faulty_write(fd, src, n)
#define pread(fd, dst, n, offset) faulty_pread(fd, dst, n, offset)
#define pwrite(fd, src, n, offset) faulty_pwrite(fd, src, n, offset)
#define fsync(fd) faulty_fsync(fd)
#define rename(from, to) faulty_rename(from, to)
#define unlink(path) faulty_unlink(path)
#include "../../safetensors.h"

#undef open
#undef opendir
#undef readdir
#undef close
#undef fstat
#undef lstat
#undef stat
#undef fchmod
#undef fchown
#undef write
#undef pread
#undef pwrite
#undef fsync
#undef rename
#undef unlink
#endif

static const char *const call_names[NAMES] = {"open",   "read",  "write", "flush",  "close",   "rename",
                                              "unlink", "about", "look",  "permit", "reserve", "list"};

static void faults_begin(int only, int fail_at, int forever, int code) {
    memset(&faults, 0, sizeof faults);
    faults.only = only;
    faults.fail_at = fail_at;
    faults.forever = forever;
    faults.code = code;
    faults.also = NAMES;
}

/* Returns what a power failure could lose or mix up after the calls since faults_begin, all of which succeeded; NULL:
 * nothing. Files are written one at a time. Each must be flushed before another file is opened, before a rename and before
 * the end. A directory must be flushed after renames: before older files are removed, before the last of several renames
 * (the index), and before the end. It must also be flushed between a removal and the next rename. */
static inline const char *faults_unflushed(void) {
    int i, written = 0, named = 0, removed = 0, left = faults.calls[RENAME];
    if (faults.total == 1000) return "the trace is too short";
    for (i = 0; i < faults.total; i++) {
        const int name = faults.trace[i];
        if (name == WRITE) written = 1;
        if (written && (name == OPEN || name == RENAME)) return "a file is left before it is flushed";
        if (name == FLUSH && !written) named = removed = 0; /* a directory */
        if (name == FLUSH) written = 0;
#ifndef _WIN32 /* where renaming itself waits for the device */
        if (name == RENAME && faults.aside[i]) {
            left--;
            continue;
        }
        if (name == UNLINK && named) return "a file is removed before the new names are flushed";
        if (name == RENAME && removed) return "a file gets its name before a removal is flushed";
        if (name == RENAME && --left == 0 && named) return "the last file gets its name before the others' are flushed";
        named |= name == RENAME;
        removed |= name == UNLINK;
#endif
    }
    (void)left, (void)removed;
    return written ? "a file is not flushed" : named ? "new names are not flushed" : NULL;
}
#endif
