/* folder.c: files and directories on POSIX and Windows. */
#if !defined(_WIN32) && !defined(_XOPEN_SOURCE)
#define _XOPEN_SOURCE 700 /* openat and others, even with -std=c99 */
#endif
#if defined(__APPLE__) && !defined(_DARWIN_C_SOURCE)
#define _DARWIN_C_SOURCE /* st_mtimespec */
#endif
#if !defined(_WIN32) && !defined(_FILE_OFFSET_BITS)
#define _FILE_OFFSET_BITS 64
#endif
#if defined(_WIN32) && !defined(_WIN32_WINNT)
#define _WIN32_WINNT 0x0600
#endif
#include "folder.h"
#include "memory.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int make_folder(const char *path);
static void set_changed_error(void);

char *join_path(const char *directory, const char *name) {
    const size_t n = strlen(directory);
    char *path = (char *)allocate(n + strlen(name) + 2);
    memcpy(path, directory, n);
    if (n && !is_path_separator(path[n - 1])) path[n] = '/';
    return strcat(path, name);
}

int make_folders(const char *path) {
    char *prefix = join_path(path, "");
    size_t i;
    for (i = 1; prefix[i]; i++) { /* an error shows when the last one is opened */
        const char c = prefix[i];
        if (!is_path_separator(c)) continue;
        prefix[i] = 0;
        (void)make_folder(prefix);
        prefix[i] = c;
    }
    return make_folder(path);
}

/* Makes another name at each call. After a crash of a process with the same number a file has it: callers try the next. */
static const char *temporary_name(char *name, size_t bytes) {
    static unsigned count;
    snprintf(name, bytes, ".ckpt-%lu-%u.tmp", system_process(), count++);
    return name;
}

static void add_name(name_list **names, const char *name) {
    name_list *added = (name_list *)allocate(sizeof *added);
    if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0) return;
    added->name = strcpy((char *)allocate(strlen(name) + 1), name);
    added->next = *names;
    *names = added;
}

/* ---- deletion ----------------------------------------------------------------------------------------------- */

static const char doomed[] = ".doomed-";

/* Gives a file a doomed name in `to` that no file has. Returns 0 after an error, also if there is no such file. */
static int rename_to_doomed(const folder *from, const char *name, const folder *to, char *new_name) {
    static unsigned count;
    file_info info;
    do {
        sprintf(new_name, "%s%lu-%u", doomed, system_process(), count++);
        if (!folder_info(to, new_name, 0, &info)) return 0;
        if (info.kind == KIND_MISSING && folder_rename(from, name, to, new_name)) return 1;
    } while (info.kind != KIND_MISSING || (folder_info(to, new_name, 0, &info) && info.kind != KIND_MISSING));
    return 0;
}

static int is_missing_in(const folder *f, const char *name) {
    file_info info;
    return folder_info(f, name, 0, &info) && info.kind == KIND_MISSING;
}

int folder_doom(const folder *f, const char *name, const file_info *expected) {
    char new_name[64];
    file_info info;
    if (!rename_to_doomed(f, name, f, new_name)) return is_missing_in(f, name);
    if (!folder_info(f, new_name, 0, &info) || info.kind == KIND_MISSING) return 1; /* deleted by another process */
    if (info.device == expected->device && info.number == expected->number) return 1;
    (void)folder_rename(f, new_name, f, name);
    set_changed_error();
    return 0;
}

/* Empties a directory. Its directories move up to `top`, so a tree of any depth needs neither recursion nor long paths.
 * A mount point cannot be moved, so nothing mounted is emptied. */
static int empty_folder(const folder *top, const folder *f) {
    name_list *n;
    file_info info;
    char new_name[64];
    int ok = folder_names(f, &n);
    for (; n; n = n->next) {
        if (!folder_info(f, n->name, 0, &info)) {
            ok = 0;
        } else if (info.kind == KIND_FOLDER) {
            ok = (rename_to_doomed(f, n->name, top, new_name) || is_missing_in(f, n->name)) && ok;
        } else if (info.kind != KIND_MISSING) {
            ok = folder_remove(f, n->name, info.kind) && ok;
        }
    }
    return ok;
}

int folder_delete_doomed(const folder *top) {
    name_list *n;
    file_info info;
    int ok = folder_flush(top), found_any = 1;
    while (found_any && ok) { /* each pass may move directories up */
        ok = folder_names(top, &n);
        for (found_any = 0; n; n = n->next) {
            folder *f;
            int is_empty;
            if (strncmp(n->name, doomed, strlen(doomed)) != 0) continue;
            if (!folder_info(top, n->name, 0, &info) || info.kind != KIND_FOLDER) continue;
            f = folder_open(top, n->name);
            is_empty = f && empty_folder(top, f);
            folder_close(f);
            found_any = 1;
            ok = ((is_empty && folder_remove(top, n->name, KIND_FOLDER)) || is_missing_in(top, n->name)) && ok;
        }
    }
    return ok;
}

/* ---- the systems --------------------------------------------------------------------------------------------- */

#ifdef _WIN32
#ifndef WIN32_LEAN_AND_MEAN
#define WIN32_LEAN_AND_MEAN
#endif
#include <windows.h>
#include <fcntl.h>
#include <io.h>
#include <shellapi.h>

enum { SHARE_ALL = FILE_SHARE_READ | FILE_SHARE_WRITE | FILE_SHARE_DELETE };

struct folder {
    HANDLE handle;
    wchar_t *path;
};

static DWORD last_error;

static int failed(void) {
    last_error = GetLastError();
    return 0;
}

static void set_changed_error(void) {
    last_error = ERROR_FILE_INVALID;
}

const char *system_error(void) {
    static char text[256];
    const DWORD flags = FORMAT_MESSAGE_FROM_SYSTEM | FORMAT_MESSAGE_IGNORE_INSERTS | FORMAT_MESSAGE_MAX_WIDTH_MASK;
    return FormatMessageA(flags, NULL, last_error, 0, text, sizeof text, NULL) ? text : "unknown error";
}

static char *narrow(const wchar_t *wide) {
    const int bytes = WideCharToMultiByte(CP_UTF8, 0, wide, -1, NULL, 0, NULL, NULL);
    char *text = (char *)allocate((size_t)bytes + 1);
    WideCharToMultiByte(CP_UTF8, 0, wide, -1, text, bytes, NULL, NULL);
    return text;
}

static wchar_t *widen(const char *text) {
    const int units = MultiByteToWideChar(CP_UTF8, 0, text, -1, NULL, 0);
    wchar_t *wide = (wchar_t *)allocate(((size_t)units + 1) * sizeof *wide);
    MultiByteToWideChar(CP_UTF8, 0, text, -1, wide, units);
    return wide;
}

/* Returns the path of a name: absolute and with the prefix that makes Windows use every character of it as it is, of
 * paths of any length. */
static wchar_t *wide_path(const folder *f, const char *name) {
    const wchar_t *wide = widen(name);
    DWORD units;
    wchar_t *path, *at;
    if (f) {
        path = (wchar_t *)allocate((wcslen(f->path) + wcslen(wide) + 2) * sizeof *path);
        wcscat(wcscat(wcscpy(path, f->path), L"\\"), wide);
        for (at = path; *at; at++) *at = *at == L'/' ? L'\\' : *at;
        return path;
    }
    units = GetFullPathNameW(wide, 0, NULL, NULL);
    path = (wchar_t *)allocate(((size_t)units + 5) * sizeof *path);
    GetFullPathNameW(wide, units + 1, path + 4, NULL);
    if (path[4] == L'\\') return path + 4; /* a network path, or one that has the prefix */
    memcpy(path, L"\\\\?\\", 4 * sizeof *path);
    return path;
}

char **system_arguments(int *argc, char **argv) { /* argv has lost all characters that the ANSI code page lacks */
    int i, count = 0;
    wchar_t **wide = CommandLineToArgvW(GetCommandLineW(), &count);
    char **utf8 = (char **)allocate(((size_t)count + 1) * sizeof *utf8);
    _setmode(_fileno(stdout), _O_BINARY);
    if (!wide) return argv;
    for (i = 0; i < count; i++) utf8[i] = narrow(wide[i]);
    LocalFree(wide);
    *argc = count;
    return utf8;
}

unsigned long system_process(void) {
    return GetCurrentProcessId();
}

int is_path_separator(char c) {
    return c == '/' || c == '\\';
}

static int make_folder(const char *path) {
    return CreateDirectoryW(wide_path(NULL, path), NULL) || GetLastError() == ERROR_ALREADY_EXISTS || failed();
}

static int information(HANDLE h, int follow_link, file_info *info) {
    BY_HANDLE_FILE_INFORMATION of;
    uint64_t ticks; /* of 100 ns since 1601 */
    if (!GetFileInformationByHandle(h, &of)) return failed();
    info->kind = (of.dwFileAttributes & FILE_ATTRIBUTE_REPARSE_POINT) && !follow_link ? KIND_LINK
                 : of.dwFileAttributes & FILE_ATTRIBUTE_DIRECTORY                     ? KIND_FOLDER
                 : GetFileType(h) == FILE_TYPE_DISK                                   ? KIND_FILE
                                                                                      : KIND_OTHER;
    info->device = of.dwVolumeSerialNumber;
    info->number = (uint64_t)of.nFileIndexHigh << 32 | of.nFileIndexLow;
    info->names = of.nNumberOfLinks;
    ticks = (uint64_t)of.ftLastWriteTime.dwHighDateTime << 32 | of.ftLastWriteTime.dwLowDateTime;
    info->modified.seconds = (int64_t)(ticks / 10000000) - 11644473600;
    info->modified.nanoseconds = (uint32_t)(ticks % 10000000) * 100;
    return 1;
}

static int is_missing_error(void) {
    const DWORD code = GetLastError();
    return code == ERROR_FILE_NOT_FOUND || code == ERROR_PATH_NOT_FOUND || code == ERROR_INVALID_NAME;
}

int folder_info(const folder *f, const char *name, int follow_link, file_info *info) {
    const DWORD flags = FILE_FLAG_BACKUP_SEMANTICS | (follow_link ? 0 : FILE_FLAG_OPEN_REPARSE_POINT);
    HANDLE h = CreateFileW(wide_path(f, name), FILE_READ_ATTRIBUTES, SHARE_ALL, NULL, OPEN_EXISTING, flags, NULL);
    int known;
    memset(info, 0, sizeof *info);
    if (h == INVALID_HANDLE_VALUE) return is_missing_error() || failed();
    known = information(h, follow_link, info);
    CloseHandle(h);
    return known;
}

folder *folder_open(const folder *parent, const char *name) {
    folder *f = (folder *)allocate(sizeof *f);
    file_info info;
    const DWORD flags = FILE_FLAG_BACKUP_SEMANTICS | (parent ? FILE_FLAG_OPEN_REPARSE_POINT : 0);
    f->path = wide_path(parent, name);
    f->handle =
        CreateFileW(f->path, FILE_LIST_DIRECTORY, FILE_SHARE_READ | FILE_SHARE_WRITE, NULL, OPEN_EXISTING, flags, NULL);
    failed();
    if (f->handle == INVALID_HANDLE_VALUE) return NULL;
    if (information(f->handle, parent == NULL, &info) && info.kind == KIND_FOLDER) return f;
    CloseHandle(f->handle);
    last_error = ERROR_DIRECTORY;
    return NULL;
}

void folder_close(folder *f) {
    if (f) CloseHandle(f->handle);
}

int folder_names(const folder *f, name_list **names) {
    WIN32_FIND_DATAW found;
    HANDLE search = FindFirstFileW(wide_path(f, "*"), &found);
    *names = NULL;
    if (search == INVALID_HANDLE_VALUE) return is_missing_error() || failed();
    do add_name(names, narrow(found.cFileName));
    while (FindNextFileW(search, &found));
    FindClose(search);
    return 1;
}

char *folder_read(const folder *f, const char *name, size_t limit, size_t *bytes, int *is_missing) {
    HANDLE h = CreateFileW(wide_path(f, name), GENERIC_READ, SHARE_ALL, NULL, OPEN_EXISTING, 0, NULL);
    LARGE_INTEGER size;
    char *text = NULL;
    DWORD got = 0;
    *is_missing = h == INVALID_HANDLE_VALUE && is_missing_error();
    *bytes = 0;
    failed();
    if (h == INVALID_HANDLE_VALUE) return NULL;
    last_error = ERROR_FILE_TOO_LARGE;
    if (GetFileType(h) == FILE_TYPE_DISK && GetFileSizeEx(h, &size) && (uint64_t)size.QuadPart <= limit) {
        text = (char *)allocate((size_t)size.QuadPart + 1);
        if (!ReadFile(h, text, (DWORD)size.QuadPart, &got, NULL)) {
            failed();
            text = NULL;
        }
    }
    CloseHandle(h);
    *bytes = got;
    return text;
}

static int move_over(const folder *f, const wchar_t *from, const char *name) {
    if (MoveFileExW(from, wide_path(f, name), MOVEFILE_REPLACE_EXISTING | MOVEFILE_WRITE_THROUGH)) return 1;
    failed();
    DeleteFileW(from);
    return 0;
}

int folder_write(const folder *f, const char *name, const char *bytes, size_t count) {
    char temporary[64];
    const wchar_t *path;
    HANDLE h;
    DWORD put = 0;
    int written;
    do {
        path = wide_path(f, temporary_name(temporary, sizeof temporary));
        h = CreateFileW(path, GENERIC_WRITE, 0, NULL, CREATE_NEW, FILE_ATTRIBUTE_NORMAL, NULL);
    } while (h == INVALID_HANDLE_VALUE && GetLastError() == ERROR_FILE_EXISTS);
    if (h == INVALID_HANDLE_VALUE) return failed();
    written = (WriteFile(h, bytes, (DWORD)count, &put, NULL) && put == count && FlushFileBuffers(h)) || failed();
    CloseHandle(h);
    if (!written) DeleteFileW(path);
    return written && move_over(f, path, name);
}

int folder_link(const folder *f, const char *name, const char *target) {
    char temporary[64];
    const wchar_t *path, *from = wide_path(f, target);
    do {
        path = wide_path(f, temporary_name(temporary, sizeof temporary));
        if (CreateHardLinkW(path, from, NULL) || CopyFileW(from, path, TRUE)) return move_over(f, path, name);
    } while (GetLastError() == ERROR_FILE_EXISTS || GetLastError() == ERROR_ALREADY_EXISTS);
    return failed();
}

int folder_is_link(const file_info *info) {
    return info->kind == KIND_LINK || (info->kind == KIND_FILE && info->names > 1);
}

int folder_links_to(const folder *f, const char *name, const char *prefix) {
    file_info info;
    (void)prefix;
    return folder_info(f, name, 0, &info) && folder_is_link(&info);
}

int folder_rename(const folder *from, const char *name, const folder *to, const char *new_name) {
    return MoveFileExW(wide_path(from, name), wide_path(to, new_name), MOVEFILE_WRITE_THROUGH) || failed();
}

int folder_remove(const folder *f, const char *name, file_kind kind) {
    const wchar_t *path = wide_path(f, name);
    const DWORD attributes = GetFileAttributesW(path);
    if (attributes == INVALID_FILE_ATTRIBUTES) return is_missing_error() || failed();
    if (attributes & FILE_ATTRIBUTE_READONLY) SetFileAttributesW(path, attributes & ~(DWORD)FILE_ATTRIBUTE_READONLY);
    /* RemoveDirectoryW removes a junction or a link to a directory, not what it leads to */
    if (kind != KIND_FOLDER && !(attributes & FILE_ATTRIBUTE_DIRECTORY)) {
        return DeleteFileW(path) || is_missing_error() || failed();
    }
    return RemoveDirectoryW(path) || is_missing_error() || failed();
}

int folder_set_time(const folder *f, const file_time *modified) {
    const uint64_t ticks = (uint64_t)(modified->seconds + 11644473600) * 10000000 + modified->nanoseconds / 100;
    const FILETIME time = {(DWORD)ticks, (DWORD)(ticks >> 32)};
    HANDLE h =
        CreateFileW(f->path, FILE_WRITE_ATTRIBUTES, SHARE_ALL, NULL, OPEN_EXISTING, FILE_FLAG_BACKUP_SEMANTICS, NULL);
    const int ok = (h != INVALID_HANDLE_VALUE && SetFileTime(h, NULL, NULL, &time)) || failed();
    if (h != INVALID_HANDLE_VALUE) CloseHandle(h);
    return ok;
}

int folder_flush(const folder *f) { /* MOVEFILE_WRITE_THROUGH does it */
    (void)f;
    return 1;
}

#else
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#ifdef __APPLE__
#define st_mtim st_mtimespec
#endif

struct folder {
    int fd;
};

static int last_error;

static int failed(void) {
    last_error = errno;
    return 0;
}

static void set_changed_error(void) {
    last_error = ESTALE;
}

const char *system_error(void) {
    return strerror(last_error);
}

char **system_arguments(int *argc, char **argv) {
    (void)argc;
    return argv;
}

unsigned long system_process(void) {
    return (unsigned long)getpid();
}

int is_path_separator(char c) {
    return c == '/';
}

static int make_folder(const char *path) {
    return mkdir(path, 0777) == 0 || errno == EEXIST || failed();
}

static int fd_of(const folder *f) {
    return f ? f->fd : AT_FDCWD;
}

folder *folder_open(const folder *parent, const char *name) {
    folder *f = (folder *)allocate(sizeof *f);
    f->fd = openat(fd_of(parent), name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | (parent ? O_NOFOLLOW : 0));
    if (f->fd < 0) failed();
    return f->fd < 0 ? NULL : f;
}

void folder_close(folder *f) {
    if (f) close(f->fd);
}

int folder_info(const folder *f, const char *name, int follow_link, file_info *info) {
    struct stat of;
    memset(info, 0, sizeof *info);
    if (fstatat(fd_of(f), name, &of, follow_link ? 0 : AT_SYMLINK_NOFOLLOW) != 0) {
        return errno == ENOENT || errno == ENOTDIR || failed();
    }
    info->kind = S_ISREG(of.st_mode)   ? KIND_FILE
                 : S_ISDIR(of.st_mode) ? KIND_FOLDER
                 : S_ISLNK(of.st_mode) ? KIND_LINK
                                       : KIND_OTHER;
    info->device = (uint64_t)of.st_dev;
    info->number = (uint64_t)of.st_ino;
    info->names = (uint64_t)of.st_nlink;
    info->modified.seconds = (int64_t)of.st_mtim.tv_sec;
    info->modified.nanoseconds = (uint32_t)of.st_mtim.tv_nsec;
    return 1;
}

int folder_names(const folder *f, name_list **names) {
    const int fd = openat(f->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC); /* with a position of its own */
    DIR *directory = fd < 0 ? NULL : fdopendir(fd);
    const struct dirent *entry;
    *names = NULL;
    if (!directory) return failed();
    for (errno = 0; (entry = readdir(directory)) != NULL; errno = 0) add_name(names, entry->d_name);
    last_error = errno;
    closedir(directory);
    return last_error == 0;
}

char *folder_read(const folder *f, const char *name, size_t limit, size_t *bytes, int *is_missing) {
    const int fd = openat(f->fd, name, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC); /* a FIFO must not block */
    struct stat of;
    char *text = NULL;
    ssize_t got = -1;
    *bytes = 0;
    *is_missing = fd < 0 && errno == ENOENT;
    if (fd < 0 || fstat(fd, &of) != 0) {
        failed();
    } else if (!S_ISREG(of.st_mode) || (uint64_t)of.st_size > limit) {
        last_error = S_ISREG(of.st_mode) ? EFBIG : EINVAL;
    } else {
        text = (char *)allocate((size_t)of.st_size + 1);
        while (*bytes < (size_t)of.st_size && got != 0) {
            got = read(fd, text + *bytes, (size_t)of.st_size - *bytes);
            if (got < 0 && errno != EINTR) break;
            if (got > 0) *bytes += (size_t)got;
        }
        if (got < 0 && of.st_size) {
            failed();
            text = NULL;
        }
    }
    if (fd >= 0) close(fd);
    return text;
}

static int write_all(int fd, const char *bytes, size_t count) {
    while (count) {
        const ssize_t n = write(fd, bytes, count);
        if (n < 0 && errno != EINTR) return failed();
        if (n > 0) bytes += n, count -= (size_t)n;
    }
    return 1;
}

static int move_over(const folder *f, const char *from, const char *name) {
    if (renameat(f->fd, from, f->fd, name) == 0) return folder_flush(f);
    failed();
    unlinkat(f->fd, from, 0);
    return 0;
}

int folder_write(const folder *f, const char *name, const char *bytes, size_t count) {
    char temporary[64];
    int fd, written;
    do {
        temporary_name(temporary, sizeof temporary);
        fd = openat(f->fd, temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0666); /* less the umask */
    } while (fd < 0 && errno == EEXIST);
    if (fd < 0) return failed();
    written = write_all(fd, bytes, count) && (fsync(fd) == 0 || failed());
    if (close(fd) != 0 && written) written = failed();
    if (!written) unlinkat(f->fd, temporary, 0);
    return written && move_over(f, temporary, name);
}

int folder_link(const folder *f, const char *name, const char *target) {
    char temporary[64];
    while (symlinkat(target, f->fd, temporary_name(temporary, sizeof temporary)) != 0) {
        if (errno != EEXIST) return failed();
    }
    return move_over(f, temporary, name);
}

int folder_is_link(const file_info *info) {
    return info->kind == KIND_LINK;
}

int folder_links_to(const folder *f, const char *name, const char *prefix) {
    char target[256];
    const ssize_t n = readlinkat(f->fd, name, target, sizeof target);
    return n >= (ssize_t)strlen(prefix) && memcmp(target, prefix, strlen(prefix)) == 0;
}

int folder_rename(const folder *from, const char *name, const folder *to, const char *new_name) {
    return renameat(from->fd, name, to->fd, new_name) == 0 || failed();
}

int folder_remove(const folder *f, const char *name, file_kind kind) {
    return unlinkat(f->fd, name, kind == KIND_FOLDER ? AT_REMOVEDIR : 0) == 0 || errno == ENOENT || failed();
}

int folder_set_time(const folder *f, const file_time *modified) {
    struct timespec times[2];
    times[0].tv_sec = 0, times[0].tv_nsec = UTIME_OMIT;
    times[1].tv_sec = (time_t)modified->seconds, times[1].tv_nsec = (long)modified->nanoseconds;
    return futimens(f->fd, times) == 0 || failed();
}

int folder_flush(const folder *f) { /* some file systems lack fsync of directories */
    return fsync(f->fd) == 0 || errno == EINVAL || errno == ENOTSUP || failed();
}
#endif
