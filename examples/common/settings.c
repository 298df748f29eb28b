/* settings.c: reads a JSON file into a flat list of its values. */
#include "settings.h"
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_BYTES = 1 << 24, MOST_VALUES = 1 << 16 };

static int fail(settings *s, const char *what, const char *path) {
    if (!s->fault[0])
        snprintf(s->fault, sizeof s->fault, "%.120s: %.60s%s%.70s", s->file, path, *path ? " " : "", what);
    return 0;
}

static int read_text(settings *s, const char *path, size_t *bytes) {
    FILE *file = fopen(path, "rb");
    long size = -1;
    s->is_missing = !file && errno == ENOENT;
    if (!file) return fail(s, strerror(errno), "");
    if (fseek(file, 0, SEEK_END) == 0) size = ftell(file);
    if (size >= 0 && size <= MOST_BYTES && fseek(file, 0, SEEK_SET) == 0) s->text = (char *)malloc((size_t)size + 1);
    *bytes = s->text ? fread(s->text, 1, (size_t)size, file) : 0;
    fclose(file);
    if (!s->text || *bytes != (size_t)size) return fail(s, size > MOST_BYTES ? "is over 16 MiB" : "cannot be read", "");
    s->text[size] = 0;
    return 1;
}

/* Appends a value with what it contains. `path` is a buffer of SETTINGS_PATH bytes, of which n are used. The paths are
 * kept as offsets until all are there, as the memory may move. */
static void append(settings *s, json_reader *j, char *path, size_t n, size_t *path_bytes) {
    const json_kind kind = json_value(j);
    size_t element = 0;
    setting *added;
    if ((s->count & (s->count - 1)) == 0 && s->count < MOST_VALUES) { /* at each power of two the memory is doubled */
        setting *list = (setting *)realloc(s->list, (s->count ? 2 * s->count : 1) * sizeof *list);
        char *paths = list ? (char *)realloc(s->paths, (s->count ? 2 * s->count : 1) * SETTINGS_PATH) : NULL;
        if (list) s->list = list;
        if (paths) s->paths = paths;
        if (!paths) j->fault = "out of memory";
    }
    if (s->count == MOST_VALUES) j->fault = "more than 65,536 values";
    if (j->fault) return;
    memcpy(s->paths + *path_bytes, path, n + 1);
    added = &s->list[s->count++];
    added->path = NULL;
    added->kind = kind;
    added->string = kind == JSON_STRING ? j->string : "";
    added->number = j->number;
    *path_bytes += n + 1;
    while (kind == JSON_OBJECT ? json_member(j) : kind == JSON_ARRAY && json_element(j)) {
        const char *dot = n ? "." : "";
        const int more = kind == JSON_OBJECT ? snprintf(path + n, SETTINGS_PATH - n, "%s%s", dot, j->key)
                                             : snprintf(path + n, SETTINGS_PATH - n, "%s%zu", dot, element++);
        if ((size_t)more < SETTINGS_PATH - n) {
            append(s, j, path, n + (size_t)more, path_bytes);
        } else {
            json_skip(j, json_value(j));
        }
        path[n] = 0;
    }
}

int settings_read(settings *s, const char *directory, const char *name) {
    char path[4096], key[SETTINGS_PATH] = "";
    size_t bytes, path_bytes = 0;
    const char *at;
    json_reader j;
    memset(s, 0, sizeof *s);
    s->file = name;
    if ((size_t)snprintf(path, sizeof path, "%s/%s", directory, name) >= sizeof path)
        return fail(s, "has too long a path", "");
    if (!read_text(s, path, &bytes)) return 0;
    json_begin(&j, s->text, bytes);
    append(s, &j, key, 0, &path_bytes);
    if (!json_end(&j)) {
        s->count = 0;
        return fail(s, j.fault, "");
    }
    at = s->paths;
    for (size_t i = 0; i < s->count; i++, at += strlen(at) + 1) s->list[i].path = at;
    return 1;
}

void settings_free(settings *s) {
    free(s->list);
    free(s->text);
    free(s->paths);
}

const setting *settings_find(const settings *s, const char *path, ...) {
    char full[SETTINGS_PATH];
    va_list arguments;
    va_start(arguments, path);
    (void)vsnprintf(full, sizeof full, path, arguments);
    va_end(arguments);
    for (size_t i = 1; i < s->count; i++) { /* the first is the whole file */
        if (strcmp(s->list[i].path, full) == 0) return s->list[i].kind == JSON_NULL ? NULL : &s->list[i];
    }
    return NULL;
}

const char *settings_string(settings *s, const char *path, const char *other) {
    const setting *found = settings_find(s, "%s", path);
    if (found && found->kind != JSON_STRING) fail(s, "is not a string", path);
    return found && found->kind == JSON_STRING ? found->string : other;
}

uint64_t settings_size(settings *s, const char *path, uint64_t other) {
    const setting *found = settings_find(s, "%s", path);
    if (!found) return other;
    if (found->kind != JSON_NUMBER || !(found->number >= 0 && found->number <= 9007199254740992.0) ||
        found->number != (double)(uint64_t)found->number) {
        fail(s, "is not a whole number from 0 to 2^53", path);
        return other;
    }
    return (uint64_t)found->number;
}

int settings_flag(settings *s, const char *path, int other) {
    const setting *found = settings_find(s, "%s", path);
    if (found && found->kind != JSON_TRUE && found->kind != JSON_FALSE) fail(s, "is not true or false", path);
    return found ? found->kind == JSON_TRUE : other;
}
