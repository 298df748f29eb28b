/* progress.c: shows the progress of a long command and stops it after Ctrl-C. */
#include "st.h"
#include <string.h>

enum { SHOW_AFTER = 1000, SHOW_EVERY = 100, CELLS = 24 }; /* the first two in milliseconds */

void progress_begin(progress *bar) {
    memset(bar, 0, sizeof *bar);
    bar->began = system_milliseconds();
    bar->visible = system_errors_are_terminal();
}

/* Overwrites the old text in one write, without escape sequences: every terminal supports \r. */
static void show(progress *bar, const char *text) {
    size_t width = strlen(text);
    putc('\r', stderr);
    fputs(text, stderr);
    if (width < bar->width) put_spaces(stderr, bar->width - width);
    if (width == 0) putc('\r', stderr);
    fflush(stderr);
    bar->width = width;
}

int progress_step(void *user, uint64_t done, uint64_t total) {
    progress *bar = (progress *)user;
    char text[160], cells[CELLS + 1], done_size[READABLE_SIZE], total_size[READABLE_SIZE], rate[READABLE_SIZE];
    double fraction = total ? (double)done / (double)total : 1;
    uint64_t now, passed;
    if (system_interrupted()) return 1;
    if (!bar->visible) return 0;
    now = system_milliseconds();
    passed = now - bar->began;
    if (passed < SHOW_AFTER || now - bar->shown < SHOW_EVERY) return 0;
    bar->shown = now;
    memset(cells, '.', CELLS);
    memset(cells, '#', (size_t)(fraction * (int)CELLS));
    cells[CELLS] = 0;
    snprintf(text, sizeof text, "[%s] %3u %%  %s of %s  %s/s", cells, (unsigned)(fraction * 100),
             readable_size(done, done_size), readable_size(total, total_size),
             readable_size((uint64_t)((double)done * 1000 / (double)passed), rate));
    show(bar, text);
    return 0;
}

void progress_end(progress *bar) {
    if (bar->width) show(bar, "");
}
