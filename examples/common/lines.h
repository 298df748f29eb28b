/* lines.h: standard input, line by line, for programs that answer as soon as they are asked. */
#ifndef EXAMPLES_LINES_H
#define EXAMPLES_LINES_H

#include <stddef.h>
#include <stdint.h>

typedef struct line_reader { /* all zero: nothing was read yet; free(text) at the end */
    char *text;
    size_t begin, end, capacity;
    uint64_t read; /* bytes */
    int has_ended;
    const char *fault; /* NULL, or why reading stopped */
} line_reader;

/* Returns the next line, NUL-terminated, without LF or CR LF; NULL at the end, after a fault, and where may_wait is 0 and no
 * whole line was read yet. Waiting moves earlier lines. A line of over 16 MiB is a fault. */
char *lines_next(line_reader *in, int may_wait, size_t *bytes);

#endif
