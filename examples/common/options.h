/* options.h: the options of a command line, from a table. */
#ifndef EXAMPLES_OPTIONS_H
#define EXAMPLES_OPTIONS_H

#include <stddef.h>

typedef struct option { /* exactly one of the four kinds: */
    const char *name;
    int *target;
    int value;                /* nothing follows: *target becomes this */
    int most;                 /* a number from 1 to this follows */
    const char *const *words; /* one of these follows, NULL at the end: *target becomes its index */
    const char **text;        /* any text follows */
} option;

/* Reads options, and up to `most` arguments that are none into `arguments`. Returns 0, or 2 after a message. */
int options_parse(const char *program, int argc, char **argv, const option *options, size_t count,
                  const char **arguments, size_t most);
/* Prints "PROGRAM: MESSAGE; see PROGRAM --help", in which %s of the format stands for `what`. Returns 2. */
int options_refuse(const char *program, const char *format, const char *what);
/* Returns the index of a word in a list that ends with NULL, or -1. */
int word_index(const char *const *words, const char *word);

#endif
