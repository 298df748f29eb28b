/* settings.h: a JSON file as a tree of values, of which a program looks up some by their path, such as "heads" or
 * "text_config.heads". */
#ifndef EXAMPLES_SETTINGS_H
#define EXAMPLES_SETTINGS_H

#include "json.h"
#include <stdint.h>

enum { SETTINGS_MESSAGE = 256 };

typedef struct setting {
    const char *key, *string; /* "" in an array, and where the value is no string */
    double number;
    uint32_t key_bytes, string_bytes;
    uint32_t end; /* index of the first value that this one does not contain */
    json_kind kind;
} setting;

typedef struct settings {
    char fault[SETTINGS_MESSAGE]; /* "", or the first value that had the wrong type, or why the file cannot be read */
    int is_missing;               /* there is no such file; fault is set too */
    const char *file;             /* the path as given, for messages */
    setting *list;                /* an object or array stands before what it contains; the first is the whole file */
    size_t count;
    char *text; /* has the strings */
} settings;

/* Reads the file DIRECTORY/NAME, of at most 64 MiB and 2^21 values. Returns 1, or 0 with a fault; settings_free follows
 * in either case. */
int settings_read(settings *s, const char *directory, const char *name);
void settings_free(settings *s);
/* Returns the next value in an object or array, the first one after NULL; NULL at the end. */
const setting *settings_next(const settings *s, const setting *in, const setting *last);
/* Returns the value at a path, or NULL if there is none or it is null. in: the object where the path begins, or NULL: the
 * file's. */
const setting *settings_find(const settings *s, const setting *in, const char *path);
/* Return the value at a path, or `other` if there is none or it is null. A value of another type is a fault. */
const char *settings_string(settings *s, const setting *in, const char *path, const char *other);
uint64_t settings_size(settings *s, const setting *in, const char *path, uint64_t other); /* whole, up to 2^53 */
int settings_flag(settings *s, const setting *in, const char *path, int other);

#endif
