/* sys.c: everything that differs between operating systems. */
#if !defined(_WIN32) && !defined(_XOPEN_SOURCE)
#define _XOPEN_SOURCE 700 /* isatty, fileno, realpath and others, even with -std=c99 */
#endif
#if !defined(_WIN32) && !defined(_FILE_OFFSET_BITS)
#define _FILE_OFFSET_BITS 64
#endif
#if defined(_WIN32) && !defined(_WIN32_WINNT)
#define _WIN32_WINNT 0x0600 /* CancelSynchronousIo */
#endif
#if defined(_MSC_VER) && !defined(_CRT_SECURE_NO_WARNINGS)
#define _CRT_SECURE_NO_WARNINGS /* getenv, strerror */
#endif
#include "st.h"
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>

static volatile sig_atomic_t interrupted; /* 0, or the number of the signal */

typedef struct system_job {
    void (*job)(void *user, unsigned k);
    void *user;
    unsigned k;
} system_job;

static void run_job(const system_job *j) {
    j->job(j->user, j->k);
}

#ifdef _WIN32
#ifndef WIN32_LEAN_AND_MEAN
#define WIN32_LEAN_AND_MEAN
#endif
#include <windows.h>
#include <fcntl.h>
#include <io.h>
#include <shellapi.h>
#ifdef _MSC_VER
#pragma comment(lib, "shell32")
#endif
#ifndef ENABLE_VIRTUAL_TERMINAL_PROCESSING
#define ENABLE_VIRTUAL_TERMINAL_PROCESSING 4
#endif

/* argv has lost all characters that the ANSI code page lacks. */
char **system_arguments(int *argc, char **argv) {
    int i, count = 0, bytes;
    wchar_t **wide = CommandLineToArgvW(GetCommandLineW(), &count);
    char **utf8 = wide ? (char **)calloc((size_t)count + 1, sizeof *utf8) : NULL;
    for (i = 0; utf8 && i < count; i++) {
        bytes = WideCharToMultiByte(CP_UTF8, 0, wide[i], -1, NULL, 0, NULL, NULL);
        utf8[i] = (char *)malloc((size_t)bytes);
        if (!utf8[i]) return argv;
        WideCharToMultiByte(CP_UTF8, 0, wide[i], -1, utf8[i], bytes, NULL, NULL);
    }
    LocalFree(wide);
    if (!utf8) return argv;
    *argc = count;
    return utf8; /* never freed */
}

static UINT console_code_page;

static void restore_console(void) {
    SetConsoleOutputCP(console_code_page);
}

void system_start_output(void) {
    _setmode(_fileno(stdout), _O_BINARY);
    _setmode(_fileno(stderr), _O_BINARY);
    setvbuf(stdout, NULL, _IOFBF, 1 << 16);
    console_code_page = GetConsoleOutputCP();
    if (console_code_page && console_code_page != CP_UTF8 && SetConsoleOutputCP(CP_UTF8)) atexit(restore_console);
}

static HANDLE console_of(FILE *file) {
    return GetStdHandle(file == stdout ? STD_OUTPUT_HANDLE : STD_ERROR_HANDLE);
}

static int is_terminal(FILE *file) { /* _isatty returns 1 for NUL, too */
    DWORD mode;
    return GetConsoleMode(console_of(file), &mode) != 0;
}

static int supports_colours(FILE *file) {
    DWORD mode;
    return GetConsoleMode(console_of(file), &mode) &&
           SetConsoleMode(console_of(file), mode | ENABLE_VIRTUAL_TERMINAL_PROCESSING);
}

const char *system_error_text(int code, char *buffer, size_t bytes) {
    wchar_t wide[256];
    const DWORD flags = FORMAT_MESSAGE_FROM_SYSTEM | FORMAT_MESSAGE_IGNORE_INSERTS;
    DWORD n = FormatMessageW(flags, NULL, (DWORD)code, 0, wide, sizeof wide / sizeof *wide, NULL);
    int written;
    while (n && wcschr(L"\r\n .", wide[n - 1])) n--;
    written = n ? WideCharToMultiByte(CP_UTF8, 0, wide, (int)n, buffer, (int)bytes - 1, NULL, NULL) : 0;
    buffer[written] = 0;
    return buffer;
}

/* Returns the path in UTF-16, which the caller frees, or NULL if there is no memory. */
static wchar_t *wide_path(const char *path) {
    int units = MultiByteToWideChar(CP_UTF8, 0, path, -1, NULL, 0);
    wchar_t *wide = (wchar_t *)calloc((size_t)units + 1, sizeof *wide);
    if (wide) MultiByteToWideChar(CP_UTF8, 0, path, -1, wide, units);
    return wide;
}

static HANDLE main_thread;
static volatile LONG is_waiting; /* the main thread opens or reads an input, which can block */

FILE *system_open(const char *path) {
    wchar_t *wide = wide_path(path);
    FILE *file = NULL;
    errno = ENOMEM;
    is_waiting = 1;
    if (wide) file = _wfopen(wide, L"rb");
    is_waiting = 0;
    free(wide);
    return file;
}

size_t system_read(FILE *file, void *bytes, size_t count) {
    is_waiting = 1;
    count = fread(bytes, 1, count, file);
    is_waiting = 0;
    return count;
}

path_kind system_path_kind(const char *path) {
    wchar_t *wide = wide_path(path);
    const DWORD attributes = wide ? GetFileAttributesW(wide) : INVALID_FILE_ATTRIBUTES;
    free(wide);
    return attributes == INVALID_FILE_ATTRIBUTES     ? PATH_MISSING
           : (attributes & FILE_ATTRIBUTE_DIRECTORY) ? PATH_DIRECTORY
                                                     : PATH_OTHER;
}

FILE *system_open_stream(const char *path) {
    (void)path; /* never called: what the library opens by itself is enough */
    errno = EINVAL;
    return NULL;
}

static int file_identity(const char *path, BY_HANDLE_FILE_INFORMATION *info) {
    wchar_t *wide = wide_path(path);
    const HANDLE h = wide ? CreateFileW(wide, 0, FILE_SHARE_READ | FILE_SHARE_WRITE | FILE_SHARE_DELETE, NULL,
                                        OPEN_EXISTING, FILE_ATTRIBUTE_NORMAL, NULL)
                          : INVALID_HANDLE_VALUE;
    const int known = h != INVALID_HANDLE_VALUE && GetFileInformationByHandle(h, info);
    if (h != INVALID_HANDLE_VALUE) CloseHandle(h);
    free(wide);
    return known;
}

int system_is_same_file(const char *a, const char *b) {
    BY_HANDLE_FILE_INFORMATION of_a, of_b;
    return file_identity(a, &of_a) && file_identity(b, &of_b) && of_a.nFileIndexHigh == of_b.nFileIndexHigh &&
           of_a.nFileIndexLow == of_b.nFileIndexLow && of_a.dwVolumeSerialNumber == of_b.dwVolumeSerialNumber;
}

int system_make_directory(const char *path) {
    wchar_t *wide = wide_path(path);
    const int made = wide && CreateDirectoryW(wide, NULL);
    free(wide);
    return made;
}

void system_remove_directory(const char *path) {
    wchar_t *wide = wide_path(path);
    if (wide) RemoveDirectoryW(wide);
    free(wide);
}

FILE *system_input(void) {
    _setmode(_fileno(stdin), _O_BINARY);
    return stdin;
}

int system_file_bytes(FILE *file, uint64_t *bytes) {
    struct _stati64 info;
    if (_fstati64(_fileno(file), &info) != 0 || (info.st_mode & _S_IFMT) != _S_IFREG) return 0;
    *bytes = (uint64_t)info.st_size;
    return 1;
}

int system_read_at(FILE *file, uint64_t offset, void *bytes, size_t count) {
    if (offset > INT64_MAX || _fseeki64(file, (__int64)offset, SEEK_SET) != 0) return 0;
    return system_read(file, bytes, count) == count;
}

int system_file_stamp(FILE *file, file_stamp *stamp) {
    struct _stati64 info;
    if (_fstati64(_fileno(file), &info) != 0 || (info.st_mode & _S_IFMT) != _S_IFREG) return 0;
    memset(stamp, 0, sizeof *stamp); /* the C library knows no number of a file */
    stamp->bytes = (uint64_t)info.st_size;
    stamp->changed = (uint64_t)info.st_mtime;
    return 1;
}

int system_list_directory(const char *path, int (*each)(void *user, const char *name), void *user) {
    char *pattern = (char *)calloc(strlen(path) + 3, 1), name[1024]; /* a name has at most 255 UTF-16 units */
    WIN32_FIND_DATAW found;
    wchar_t *wide = NULL;
    HANDLE search = INVALID_HANDLE_VALUE;
    int result = 0;
    if (pattern) {
        strcpy(pattern, path);
        strcat(pattern, "/*");
        wide = wide_path(pattern);
    }
    if (wide) search = FindFirstFileW(wide, &found);
    free(wide);
    free(pattern);
    if (search == INVALID_HANDLE_VALUE) return -1;
    do {
        if (WideCharToMultiByte(CP_UTF8, 0, found.cFileName, -1, name, (int)sizeof name, NULL, NULL) == 0) continue;
        result = each(user, name);
    } while (result == 0 && FindNextFileW(search, &found));
    FindClose(search);
    return result;
}

static SRWLOCK lock = SRWLOCK_INIT;

void system_lock(void) {
    AcquireSRWLockExclusive(&lock);
}

void system_unlock(void) {
    ReleaseSRWLockExclusive(&lock);
}

uint64_t system_milliseconds(void) {
    LARGE_INTEGER ticks, per_second;
    QueryPerformanceCounter(&ticks);
    QueryPerformanceFrequency(&per_second);
    return (uint64_t)((double)ticks.QuadPart * 1000 / (double)per_second.QuadPart);
}

static int link_code(int succeeded) {
    const DWORD code = succeeded ? 0 : GetLastError();
    return code == ERROR_ALREADY_EXISTS || code == ERROR_FILE_EXISTS ? SYSTEM_EXISTS : (int)code;
}

/* Calls one of the functions below with both paths in UTF-16. */
static int with_paths(int (*call)(const wchar_t *from, const wchar_t *to), const char *from, const char *to) {
    wchar_t *wide_from = wide_path(from), *wide_to = wide_path(to);
    const int code = wide_from && wide_to ? call(wide_from, wide_to) : ERROR_NOT_ENOUGH_MEMORY;
    free(wide_to);
    free(wide_from);
    return code;
}

static int link_wide(const wchar_t *from, const wchar_t *to) {
    return link_code(CreateHardLinkW(to, from, NULL));
}

static int copy_wide(const wchar_t *from, const wchar_t *to) {
    return link_code(CopyFileW(from, to, TRUE));
}

static int rename_new_wide(const wchar_t *from, const wchar_t *to) {
    return link_code(MoveFileExW(from, to, 0));
}

static int rename_wide(const wchar_t *from, const wchar_t *to) {
    return link_code(MoveFileExW(from, to, MOVEFILE_REPLACE_EXISTING | MOVEFILE_WRITE_THROUGH));
}

int system_link(const char *from, const char *to) {
    return with_paths(link_wide, from, to);
}

int system_copy(const char *from, const char *to) {
    return with_paths(copy_wide, from, to);
}

int system_rename_new(const char *from, const char *to) {
    return with_paths(rename_new_wide, from, to);
}

int system_rename(const char *from, const char *to) {
    return with_paths(rename_wide, from, to);
}

int system_flush_directory(const char *path) { /* MOVEFILE_WRITE_THROUGH does it */
    (void)path;
    return 0;
}

void system_remove(const char *path) {
    wchar_t *wide = wide_path(path);
    if (wide) DeleteFileW(wide);
    free(wide);
}

int is_separator(char c) {
    return c == '/' || c == '\\' || c == ':';
}

char *system_real_path(const char *path) {
    enum { UNITS = 32768 };
    wchar_t *wide = wide_path(path), *real = (wchar_t *)calloc(UNITS, sizeof *real);
    char *utf8 = NULL;
    HANDLE file = INVALID_HANDLE_VALUE;
    if (wide && real) {
        file = CreateFileW(wide, 0, FILE_SHARE_READ | FILE_SHARE_WRITE | FILE_SHARE_DELETE, NULL, OPEN_EXISTING,
                           FILE_FLAG_BACKUP_SEMANTICS, NULL);
    }
    if (file != INVALID_HANDLE_VALUE) {
        const DWORD units = GetFinalPathNameByHandleW(file, real, UNITS - 1, 0);
        const int bytes = units && units < UNITS ? WideCharToMultiByte(CP_UTF8, 0, real, -1, NULL, 0, NULL, NULL) : 0;
        if (bytes > 0) utf8 = (char *)malloc((size_t)bytes);
        if (utf8) WideCharToMultiByte(CP_UTF8, 0, real, -1, utf8, bytes, NULL, NULL);
        CloseHandle(file);
    }
    free(real);
    free(wide);
    return utf8;
}

typedef HANDLE system_thread;

static DWORD WINAPI thread_main(void *user) {
    run_job((system_job *)user);
    return 0;
}

static int start_thread(system_thread *thread, system_job *job) {
    *thread = CreateThread(NULL, 0, thread_main, job, 0, NULL);
    return *thread != NULL;
}

static void join_thread(system_thread thread) {
    WaitForSingleObject(thread, INFINITE);
    CloseHandle(thread);
}

/* Runs in a thread of its own. The main thread may read the flag just before it is set and block just after, so one
 * cancellation is not enough: they go on until the process ends. */
static BOOL WINAPI interrupt(DWORD event) {
    if (event != CTRL_C_EVENT && event != CTRL_BREAK_EVENT) return FALSE;
    interrupted = SIGINT;
    for (;;) {
        if (is_waiting && main_thread) CancelSynchronousIo(main_thread);
        Sleep(50);
    }
}

void system_watch_interrupts(void) {
    const HANDLE process = GetCurrentProcess();
    if (!main_thread) {
        DuplicateHandle(process, GetCurrentThread(), process, &main_thread, 0, FALSE, DUPLICATE_SAME_ACCESS);
    }
    SetConsoleCtrlHandler(interrupt, TRUE);
}

void system_stop_watching(void) {
    SetConsoleCtrlHandler(interrupt, FALSE);
    system_end_if_interrupted();
}

void system_end_if_interrupted(void) {
    if (!interrupted) return;
    fflush(stdout);
    ExitProcess(0xC000013A); /* STATUS_CONTROL_C_EXIT: a batch file asks whether to continue */
}

#else
#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

char **system_arguments(int *argc, char **argv) {
    (void)argc;
    return argv;
}

void system_start_output(void) {
    setvbuf(stdout, NULL, _IOFBF, 1 << 16);
}

static int is_terminal(FILE *file) {
    return isatty(fileno(file));
}

static int supports_colours(FILE *file) {
    const char *kind = getenv("TERM");
    (void)file;
    return kind && *kind && strcmp(kind, "dumb") != 0;
}

const char *system_error_text(int code, char *buffer, size_t bytes) {
    const char *text = strerror(code);
    (void)buffer, (void)bytes;
    return text ? text : "";
}

FILE *system_open(const char *path) {
    return fopen(path, "rb");
}

size_t system_read(FILE *file, void *bytes, size_t count) {
    return fread(bytes, 1, count, file);
}

path_kind system_path_kind(const char *path) {
    struct stat info;
    if (stat(path, &info) != 0) return PATH_MISSING;
    if (S_ISFIFO(info.st_mode) || S_ISCHR(info.st_mode)) return PATH_STREAM;
    return S_ISDIR(info.st_mode) ? PATH_DIRECTORY : PATH_OTHER;
}

FILE *system_open_stream(const char *path) {
    const int fd = open(path, O_WRONLY | O_NOCTTY); /* no O_CREAT: a file that took its place is not made anew */
    return fd < 0 ? NULL : fdopen(fd, "wb");
}

int system_is_same_file(const char *a, const char *b) {
    struct stat of_a, of_b;
    return stat(a, &of_a) == 0 && stat(b, &of_b) == 0 && of_a.st_ino == of_b.st_ino && of_a.st_dev == of_b.st_dev;
}

int system_make_directory(const char *path) {
    return mkdir(path, 0777) == 0; /* the umask applies */
}

void system_remove_directory(const char *path) {
    rmdir(path);
}

FILE *system_input(void) {
    return stdin;
}

int system_file_bytes(FILE *file, uint64_t *bytes) {
    struct stat info;
    if (fstat(fileno(file), &info) != 0 || !S_ISREG(info.st_mode)) return 0;
    *bytes = (uint64_t)info.st_size;
    return 1;
}

int system_read_at(FILE *file, uint64_t offset, void *bytes, size_t count) {
    if (offset > INT64_MAX || fseeko(file, (off_t)offset, SEEK_SET) != 0) return 0;
    return system_read(file, bytes, count) == count;
}

int system_file_stamp(FILE *file, file_stamp *stamp) {
    struct stat info;
    if (fstat(fileno(file), &info) != 0 || !S_ISREG(info.st_mode)) return 0;
    stamp->bytes = (uint64_t)info.st_size;
    stamp->device = (uint64_t)info.st_dev;
    stamp->number = (uint64_t)info.st_ino;
    stamp->changed = (uint64_t)info.st_mtime;
    return 1;
}

int system_list_directory(const char *path, int (*each)(void *user, const char *name), void *user) {
    DIR *directory = opendir(path);
    const struct dirent *entry;
    int result = 0;
    if (!directory) return -1;
    while (result == 0 && (entry = readdir(directory)) != NULL) result = each(user, entry->d_name);
    closedir(directory);
    return result;
}

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

void system_lock(void) {
    pthread_mutex_lock(&lock);
}

void system_unlock(void) {
    pthread_mutex_unlock(&lock);
}

uint64_t system_milliseconds(void) {
    struct timespec now = {0, 0};
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static int link_code(int result) {
    return result == 0 ? 0 : errno == EEXIST ? SYSTEM_EXISTS : errno;
}

int system_link(const char *from, const char *to) {
    return link_code(link(from, to));
}

static int copy_bytes(int from, int to) {
    static char buffer[1 << 16];
    for (;;) {
        ssize_t written, at = 0;
        const ssize_t n = read(from, buffer, sizeof buffer);
        if (n <= 0) return n < 0 ? errno : 0;
        for (; at < n; at += written) {
            written = write(to, buffer + at, (size_t)(n - at));
            if (written <= 0) return errno;
        }
        if (system_interrupted()) return EINTR;
    }
}

int system_copy(const char *from, const char *to) {
    struct stat info;
    int code = 0, out, in = open(from, O_RDONLY);
    if (in < 0) return errno;
    out = open(to, O_WRONLY | O_CREAT | O_EXCL, 0600);
    if (out < 0) {
        code = link_code(out);
        close(in);
        return code;
    }
    code = copy_bytes(in, out);
    if (!code && fstat(in, &info) == 0) fchmod(out, info.st_mode & (info.st_uid == geteuid() ? 0777 : 0755));
    if (close(out) != 0 && !code) code = errno;
    close(in);
    if (code) unlink(to);
    return code;
}

int system_rename_new(const char *from, const char *to) {
    struct stat info;
    return lstat(to, &info) == 0 ? SYSTEM_EXISTS : link_code(rename(from, to));
}

int system_rename(const char *from, const char *to) {
    return rename(from, to) == 0 ? 0 : errno;
}

int system_flush_directory(const char *path) {
    const char *end = strrchr(path, '/');
    const size_t n = end ? (size_t)(end - path) + 1 : 1;
    char *directory = (char *)calloc(n + 1, 1);
    int file, code = 0;
    if (!directory) return ENOMEM;
    memcpy(directory, end ? path : ".", n);
    file = open(directory, O_RDONLY);
    free(directory);
    if (file < 0) return errno;
    if (fsync(file) != 0 && errno != EINVAL && errno != ENOTSUP && errno != EINTR) code = errno;
    close(file);
    return code;
}

void system_remove(const char *path) {
    unlink(path);
}

int is_separator(char c) {
    return c == '/';
}

char *system_real_path(const char *path) {
    return realpath(path, NULL);
}

typedef pthread_t system_thread;

static void *thread_main(void *user) {
    run_job((system_job *)user);
    return NULL;
}

static int start_thread(system_thread *thread, system_job *job) {
    return pthread_create(thread, NULL, thread_main, job) == 0;
}

static void join_thread(system_thread thread) {
    pthread_join(thread, NULL);
}

static const int end_signals[] = {SIGHUP, SIGINT, SIGTERM};
enum { END_SIGNALS = sizeof end_signals / sizeof *end_signals };

static void set_timer(long microseconds) {
    struct itimerval timer;
    memset(&timer, 0, sizeof timer);
    timer.it_value.tv_usec = timer.it_interval.tv_usec = (suseconds_t)microseconds;
    setitimer(ITIMER_REAL, &timer, NULL);
}

/* A signal makes a call that blocks fail with EINTR. The signal may come just after the program has read the flag and
 * just before the call blocks, so one is not enough: SIGALRM comes again and again until the program ends. */
static void interrupt(int signal_number) {
    if (signal_number == SIGALRM) return;
    interrupted = signal_number;
    set_timer(50000);
}

void system_watch_interrupts(void) {
    struct sigaction handler, old;
    sigset_t unblocked;
    size_t i;
    memset(&handler, 0, sizeof handler);
    handler.sa_handler = interrupt; /* without SA_RESTART, so that calls fail */
    sigemptyset(&handler.sa_mask);
    sigemptyset(&unblocked);
    sigaddset(&unblocked, SIGALRM);
    sigaction(SIGALRM, &handler, NULL);
    for (i = 0; i < END_SIGNALS; i++) {
        const int is_ignored =
            sigaction(end_signals[i], NULL, &old) == 0 && old.sa_handler == SIG_IGN; /* nohup, sh & */
        if (!is_ignored) sigaction(end_signals[i], &handler, NULL);
    }
    sigprocmask(SIG_UNBLOCK, &unblocked, NULL);
}

void system_stop_watching(void) {
    struct sigaction handler;
    size_t i;
    for (i = 0; i < END_SIGNALS; i++) {
        if (sigaction(end_signals[i], NULL, &handler) == 0 && handler.sa_handler == interrupt) {
            signal(end_signals[i], SIG_DFL);
        }
    }
    system_end_if_interrupted();
}

void system_end_if_interrupted(void) {
    if (!interrupted) return;
    set_timer(0);
    signal(interrupted, SIG_DFL); /* a second signal ends the program while it flushes */
    fflush(stdout);
    raise(interrupted); /* so that a loop in a shell ends, too */
}
#endif

void system_run_jobs(void (*job)(void *user, unsigned k), void *user, unsigned count) {
    system_job jobs[SYSTEM_JOBS];
    system_thread threads[SYSTEM_JOBS];
    int started[SYSTEM_JOBS] = {0};
    unsigned k;
    for (k = 0; k < count; k++) {
        jobs[k].job = job;
        jobs[k].user = user;
        jobs[k].k = k;
        if (k > 0) started[k] = start_thread(&threads[k], &jobs[k]);
    }
    for (k = 0; k < count; k++) {
        if (started[k]) {
            join_thread(threads[k]);
        } else {
            run_job(&jobs[k]);
        }
    }
}

int system_interrupted(void) {
    return interrupted != 0;
}

int system_is_terminal(void) {
    static int known; /* called after every line */
    if (!known) known = is_terminal(stdout) ? 1 : 2;
    return known == 1;
}

int system_errors_are_terminal(void) {
    return is_terminal(stderr);
}

colours system_colours(FILE *to) {
    static const colours no_colours = {"", "", "", "", ""};
    static const colours ansi = {"\x1b[1m", "\x1b[2m", "\x1b[32m", "\x1b[31m", "\x1b[0m"};
    const char *refused = getenv("NO_COLOR"); /* no-color.org: any value but the empty one */
    return (!refused || !*refused) && is_terminal(to) && supports_colours(to) ? ansi : no_colours;
}
