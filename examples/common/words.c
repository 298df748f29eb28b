/* words.c: lines of words. */
#include "words.h"
#include <stdlib.h>
#include <string.h>

static int is_blank(char c) {
    return c == ' ' || c == '\t' || c == '\r';
}

static void split(words *w) {
    char *at = w->line;
    w->count = 0;
    for (;;) {
        while (is_blank(*at)) *at++ = 0;
        if (*at == 0 || *at == '#') return;
        if (w->count == WORDS_MOST) {
            w->fault = "more than 64 words";
            return;
        }
        w->word[w->count++] = at;
        while (*at && !is_blank(*at)) at++;
    }
}

/* Reads a line into w->line, without its newline. Returns 0 at the end of the file. */
static int read_line(words *w, FILE *from) {
    size_t n = 0;
    int c;
    while ((c = getc(from)) != EOF && c != '\n') {
        if (c == 0) w->fault = "the text contains NUL";
        if (n + 1 == WORDS_LINE) w->fault = "a line of more than 65,535 bytes";
        if (w->fault) return 0;
        w->line[n++] = (char)c;
    }
    w->line[n] = 0;
    w->number++;
    if (c == EOF && ferror(from)) w->fault = "cannot read";
    return !w->fault && (c != EOF || n > 0);
}

int words_read(words *w, FILE *from) {
    if (!w->line) w->line = (char *)malloc(WORDS_LINE);
    if (!w->line) w->fault = "out of memory";
    while (!w->fault && read_line(w, from)) {
        split(w);
        if (w->count && !w->fault) return 1;
    }
    return 0;
}

void words_end(words *w) {
    free(w->line);
    w->line = NULL;
}
