/* options.c: reads the options of a command line. */
#include "options.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int options_refuse(const char *program, const char *format, const char *what) {
    fprintf(stderr, "%s: ", program);
    fprintf(stderr, format, what);
    fprintf(stderr, "; see %s --help\n", program);
    return 2;
}

int word_index(const char *const *words, const char *word) {
    for (int i = 0; words[i]; i++) {
        if (strcmp(words[i], word) == 0) return i;
    }
    return -1;
}

int options_parse(const char *program, int argc, char **argv, const option *options, size_t count,
                  const char **arguments, size_t most) {
    size_t filled = 0;
    for (int i = 1; i < argc; i++) {
        const char *given = argv[i];
        const option *o = options;
        if (given[0] != '-') {
            if (filled == most) return options_refuse(program, "there are too many arguments: %s", given);
            arguments[filled++] = given;
            continue;
        }
        while (o < options + count && strcmp(o->name, given) != 0) o++;
        if (o == options + count) return options_refuse(program, "unknown option %s", given);
        if (!o->most && !o->words && !o->text) {
            *o->target = o->value;
            continue;
        }
        if (++i == argc) return options_refuse(program, "%s lacks its value", given);
        if (o->text) {
            *o->text = argv[i];
        } else if (o->words) {
            *o->target = word_index(o->words, argv[i]);
            if (*o->target < 0) return options_refuse(program, "unknown choice %s", argv[i]);
        } else {
            char *end;
            const long number = strtol(argv[i], &end, 10);
            if (*end || number < 1 || number > o->most) return options_refuse(program, "bad number %s", argv[i]);
            *o->target = (int)number;
        }
    }
    return 0;
}
