/* progress.h: one line of progress on a terminal, for programs that take longer than a second. */
#ifndef EXAMPLES_PROGRESS_H
#define EXAMPLES_PROGRESS_H

#include <stdint.h>
#include <time.h>

typedef struct progress_line {
    const char *what;
    time_t shown;
    int is_terminal; /* nothing is written where standard error is no terminal */
    int width;       /* of the text on the line */
} progress_line;

void progress_line_begin(progress_line *line, const char *what);
/* Overwrites the line with "WHAT: 40 %", at most once a second. */
void progress_line_show(progress_line *line, uint64_t done, uint64_t total);
void progress_line_end(progress_line *line); /* clears the line */

#endif
