/* lines.c: reads standard input line by line. */
#include "lines.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#if defined(_WIN32)
#include <io.h>
#define read(file, to, bytes) _read(file, to, (unsigned)(bytes))
#else
#include <unistd.h>
#endif

enum { FIRST_CAPACITY = 1 << 18, MOST_LINE = 1 << 24 }; /* each is a power of two */

/* Reads more of the input behind what is left of it. */
static void read_more(line_reader *in) {
    long got;
    if (in->end > in->begin) memmove(in->text, in->text + in->begin, in->end - in->begin);
    in->end -= in->begin;
    in->begin = 0;
    if (in->end + 1 >= in->capacity) {
        const size_t capacity = in->capacity ? 2 * in->capacity : (size_t)FIRST_CAPACITY;
        char *grown = capacity <= MOST_LINE ? (char *)realloc(in->text, capacity) : NULL;
        if (!grown) in->fault = capacity > MOST_LINE ? "a line is over 16 MiB" : "out of memory";
        if (!grown) return;
        in->text = grown;
        in->capacity = capacity;
    }
    got = (long)read(0, in->text + in->end, in->capacity - 1 - in->end);
    if (got < 0 && errno != EINTR) in->fault = strerror(errno);
    if (got > 0) in->end += (size_t)got;
    if (got > 0) in->read += (size_t)got;
    in->has_ended = got == 0;
}

char *lines_next(line_reader *in, int may_wait, size_t *bytes) {
    while (!in->fault) {
        char *line = in->text ? in->text + in->begin : NULL;
        char *end = in->end > in->begin ? (char *)memchr(line, '\n', in->end - in->begin) : NULL;
        if (!end && in->has_ended && in->end > in->begin) end = in->text + in->end; /* the last line lacks a newline */
        if (end) {
            in->begin = (size_t)(end - in->text) + (end < in->text + in->end);
            if (end > line && end[-1] == '\r') end--;
            *end = 0;
            *bytes = (size_t)(end - line);
            return line;
        }
        if (!may_wait || in->has_ended) return NULL;
        read_more(in);
    }
    return NULL;
}
