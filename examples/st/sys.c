/* sys.c: all that differs between systems: arguments, terminal, error texts. */
#if !defined(_WIN32) && !defined(_POSIX_C_SOURCE)
#define _POSIX_C_SOURCE 200112L /* isatty and fileno, also under -std=c99 */
#endif
#if defined(_MSC_VER) && !defined(_CRT_SECURE_NO_WARNINGS)
#define _CRT_SECURE_NO_WARNINGS /* getenv, strerror */
#endif
#include "st.h"
#include <stdlib.h>
#include <string.h>

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

/* What main gets went through the ANSI code page and lost every name outside of it. */
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
    return utf8; /* lives as long as the program */
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

static int is_terminal(FILE *file) { /* _isatty is also true of NUL */
    DWORD mode;
    return GetConsoleMode(console_of(file), &mode) != 0;
}

static int understands_colours(FILE *file) {
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

#else
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

static int understands_colours(FILE *file) {
    const char *kind = getenv("TERM");
    (void)file;
    return kind && *kind && strcmp(kind, "dumb") != 0;
}

const char *system_error_text(int code, char *buffer, size_t bytes) {
    const char *text = strerror(code);
    (void)buffer, (void)bytes;
    return text ? text : "";
}
#endif

int system_is_terminal(void) {
    static int known; /* asked for after every line */
    if (!known) known = is_terminal(stdout) ? 1 : 2;
    return known == 1;
}

colours system_colours(FILE *to) {
    static const colours none = {"", "", "", "", ""};
    static const colours ansi = {"\x1b[1m", "\x1b[2m", "\x1b[32m", "\x1b[31m", "\x1b[0m"};
    const char *refused = getenv("NO_COLOR"); /* no-color.org: any value but an empty one */
    return (!refused || !*refused) && is_terminal(to) && understands_colours(to) ? ansi : none;
}
