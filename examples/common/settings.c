/* settings.c: reads a JSON file into a list of its values. */
#include "settings.h"
#include "buffer.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_VALUES = 1 << 21 };

static int fail(settings *s, const char *what, const char *path) {
    if (!s->fault[0])
        snprintf(s->fault, sizeof s->fault, "%.120s: %.60s%s%.70s", s->file, path, *path ? " " : "", what);
    return 0;
}

/* Appends a value with what it contains. */
static void append(settings *s, json_reader *j, const char *key, size_t key_bytes) {
    const size_t index = s->count;
    const json_kind kind = json_value(j);
    setting *list = index < MOST_VALUES ? (setting *)array_grow(s->list, index, sizeof *list) : NULL;
    if (!list && !j->fault) j->fault = index < MOST_VALUES ? "out of memory" : "more than 2,097,152 values";
    if (list) s->list = list;
    if (j->fault) return;
    list += s->count++;
    list->key = key;
    list->key_bytes = (uint32_t)key_bytes; /* the file is far below 4 GiB */
    list->kind = kind;
    list->string = kind == JSON_STRING ? j->string : "";
    list->string_bytes = kind == JSON_STRING ? (uint32_t)j->string_bytes : 0;
    list->number = kind == JSON_NUMBER ? j->number : 0;
    while (kind == JSON_OBJECT && json_member(j)) append(s, j, j->key, j->key_bytes);
    while (kind == JSON_ARRAY && json_element(j)) append(s, j, "", 0);
    s->list[index].end = (uint32_t)s->count;
}

int settings_read(settings *s, const char *directory, const char *name) {
    const char *fault;
    size_t bytes;
    json_reader j;
    memset(s, 0, sizeof *s);
    s->file = name;
    s->text = read_file(directory, name, &bytes, &fault, &s->is_missing);
    if (!s->text) return fail(s, fault, "");
    json_begin(&j, s->text, bytes);
    append(s, &j, "", 0);
    if (json_end(&j)) return 1;
    s->count = 0;
    snprintf(s->fault, sizeof s->fault, "%.120s: %.80s at byte %zu", name, j.fault, json_position(&j));
    return 0;
}

void settings_free(settings *s) {
    free(s->list);
    free(s->text);
}

const setting *settings_next(const settings *s, const setting *in, const setting *last) {
    const setting *next = last ? s->list + last->end : in + 1;
    return next < s->list + in->end ? next : NULL;
}

const setting *settings_find(const settings *s, const setting *in, const char *path) {
    const setting *at = NULL;
    if (!in) in = s->list;
    if (s->count == 0) return NULL;
    for (size_t n; *path; path += n + (path[n] == '.'), in = at) {
        n = strcspn(path, ".");
        at = settings_next(s, in, NULL);
        while (at && (at->key_bytes != n || memcmp(at->key, path, n) != 0)) at = settings_next(s, in, at);
        if (!at) return NULL;
    }
    return in->kind == JSON_NULL ? NULL : in;
}

const char *settings_string(settings *s, const setting *in, const char *path, const char *other) {
    const setting *found = settings_find(s, in, path);
    if (found && found->kind != JSON_STRING) fail(s, "is not a string", path);
    return found && found->kind == JSON_STRING ? found->string : other;
}

uint64_t settings_size(settings *s, const setting *in, const char *path, uint64_t other) {
    const setting *found = settings_find(s, in, path);
    if (!found) return other;
    if (found->kind != JSON_NUMBER || !(found->number >= 0 && found->number <= 9007199254740992.0) ||
        found->number != (double)(uint64_t)found->number) {
        fail(s, "is not a whole number from 0 to 2^53", path);
        return other;
    }
    return (uint64_t)found->number;
}

int settings_flag(settings *s, const setting *in, const char *path, int other) {
    const setting *found = settings_find(s, in, path);
    if (found && found->kind != JSON_TRUE && found->kind != JSON_FALSE) fail(s, "is not true or false", path);
    return found ? found->kind == JSON_TRUE : other;
}
