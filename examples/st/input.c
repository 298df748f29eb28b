/* input.c: opens and reads files that are not models. */
#include "st.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { FIRST_BYTES = 1 << 16 };

int is_standard_input(const char *path) {
    return strcmp(path, "-") == 0;
}

FILE *open_input(const char *path) {
    return is_standard_input(path) ? system_input() : system_open(path);
}

void put_input_name(FILE *to, const char *path) {
    put_string(to, is_standard_input(path) ? "standard input" : path);
}

int report_input(const char *path, const char *verb, int code) {
    put_input_name(stderr, path);
    fprintf(stderr, ": cannot %s: %s\n", verb, strerror(code));
    return EXIT_FAILED;
}

static int report_size_limit(const char *path, size_t max_bytes) {
    put_input_name(stderr, path);
    fputs(": too large: expected at most ", stderr);
    put_number(stderr, max_bytes);
    fputs(" bytes\n", stderr);
    return EXIT_FAILED;
}

int read_whole(const char *command, const char *path, size_t max_bytes, char **text, size_t *bytes) {
    FILE *from = open_input(path);
    size_t capacity = 0, n = 1;
    int code;
    *text = NULL;
    *bytes = 0;
    if (!from) return report_input(path, "open", errno);
    errno = 0;
    while (n > 0 && *bytes <= max_bytes) {
        if (capacity - *bytes < 2) {
            char *larger = (char *)realloc(*text, capacity = capacity ? 2 * capacity : (size_t)FIRST_BYTES);
            if (!larger) break;
            *text = larger;
        }
        n = system_read(from, *text + *bytes, capacity - *bytes - 1);
        *bytes += n;
    }
    code = !ferror(from) ? 0 : errno ? errno : EIO;
    if (from != stdin) fclose(from);
    if (code) return report_input(path, "read", code);
    if (*bytes > max_bytes) return report_size_limit(path, max_bytes);
    if (n > 0) return out_of_memory(command);
    (*text)[*bytes] = 0;
    return EXIT_FINE;
}
