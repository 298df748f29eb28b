/* settings.h: a small JSON file as a flat list of values, each with its path, such as "heads" or "id2label.0" or
 * "1.type". For configuration files, of which a program looks up a few values. */
#ifndef EXAMPLES_SETTINGS_H
#define EXAMPLES_SETTINGS_H

#include "json.h"
#include <stdint.h>

enum { SETTINGS_MESSAGE = 256, SETTINGS_PATH = 256 };

typedef struct setting {
    const char *path;
    json_kind kind; /* objects and arrays are in the list too, before what they contain */
    const char *string;
    double number;
} setting;

typedef struct settings {
    char fault[SETTINGS_MESSAGE]; /* "", or the first value that had the wrong type, or why the file cannot be read */
    int is_missing;               /* there is no such file; fault is set too */
    const char *file;             /* the path as given, for messages */
    setting *list;
    size_t count;
    char *text, *paths;
} settings;

/* Reads the file DIRECTORY/NAME, of at most 16 MiB and 65,536 values. Returns 1, or 0 with a fault; settings_free
 * follows in either case. Values with a path of 256 bytes or more are left out. */
int settings_read(settings *s, const char *directory, const char *name);
void settings_free(settings *s);
/* Returns the value at a path, or NULL if there is none or it is null. Takes printf's arguments. */
const setting *settings_find(const settings *s, const char *path, ...);
/* Return the value at a path, or `other` if there is none or it is null. A value of another type is a fault. */
const char *settings_string(settings *s, const char *path, const char *other);
uint64_t settings_size(settings *s, const char *path, uint64_t other); /* whole numbers up to 2^53 */
int settings_flag(settings *s, const char *path, int other);

#endif
