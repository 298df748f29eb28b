/* progress.c: how far a long write is, and the way to stop it. */
#include "st.h"
#include <string.h>

enum { PATIENCE = 1000, PACE = 100, CELLS = 24 }; /* milliseconds before it is shown, and between two looks */

void progress_begin(progress *bar) {
    memset(bar, 0, sizeof *bar);
    bar->began = system_milliseconds();
    bar->visible = system_errors_are_terminal();
}

/* Over what stood there, in one write, without escape sequences: any terminal knows \r. */
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
    char text[160], cells[CELLS + 1], size[READABLE_SIZE], whole[READABLE_SIZE], rate[READABLE_SIZE];
    double part = total ? (double)done / (double)total : 1;
    uint64_t now, passed;
    if (system_interrupted()) return 1;
    if (!bar->visible) return 0;
    now = system_milliseconds();
    passed = now - bar->began;
    if (passed < PATIENCE || now - bar->shown < PACE) return 0;
    bar->shown = now;
    memset(cells, '.', CELLS);
    memset(cells, '#', (size_t)(part * (int)CELLS));
    cells[CELLS] = 0;
    snprintf(text, sizeof text, "[%s] %3u %%  %s of %s  %s/s", cells, (unsigned)(part * 100), readable_size(done, size),
             readable_size(total, whole), readable_size((uint64_t)((double)done * 1000 / (double)passed), rate));
    show(bar, text);
    return 0;
}

void progress_end(progress *bar) {
    if (bar->width) show(bar, "");
}
