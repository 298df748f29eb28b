/* progress.c: one line of progress on a terminal, without escape sequences: every terminal supports \r. */
#if !defined(_WIN32) && !defined(_POSIX_C_SOURCE)
#define _POSIX_C_SOURCE 200809L
#endif
#include "progress.h"
#include <stdio.h>
#include <string.h>
#if defined(_WIN32)
#include <io.h>
#define isatty _isatty
#else
#include <unistd.h>
#endif

void progress_line_begin(progress_line *line, const char *what) {
    memset(line, 0, sizeof *line);
    line->what = what;
    line->is_terminal = isatty(2);
    line->shown = time(NULL);
}

void progress_line_show(progress_line *line, uint64_t done, uint64_t total) {
    const time_t now = line->is_terminal ? time(NULL) : 0;
    if (!line->is_terminal || now == line->shown) return;
    line->shown = now;
    line->width = fprintf(stderr, "\r%s: %3.0f %%", line->what, total ? 100.0 * (double)done / (double)total : 100.0);
    fflush(stderr);
}

void progress_line_end(progress_line *line) {
    if (line->width > 0) fprintf(stderr, "\r%*s\r", line->width, "");
    line->width = 0;
}
