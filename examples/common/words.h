/* words.h: reads a text line by line and splits each line into words, for lists and small command languages. */
#ifndef EXAMPLES_WORDS_H
#define EXAMPLES_WORDS_H

#include <stdio.h>

enum { WORDS_MOST = 64, WORDS_LINE = 65536 };

typedef struct words { /* all zero: nothing was read yet */
    char *line;        /* to be freed with words_end */
    char *word[WORDS_MOST];
    size_t count;
    unsigned long number; /* of the line, from 1 */
    const char *fault;    /* NULL, or why reading stopped */
} words;

/* Reads the next line that holds a word. A word that starts with # starts a comment. Returns 0 at the end and after a
 * fault: a line of over 65,535 bytes or 64 words, a NUL, a failed read, no memory. */
int words_read(words *w, FILE *from);
void words_end(words *w);

#endif
