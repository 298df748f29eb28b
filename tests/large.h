/* large.h: builds files with many tensors or metadata pairs. */
#ifndef LARGE_H
#define LARGE_H
#include "cases.h"

typedef struct growing { /* a growing text */
    char *at;
    size_t n, room;
} growing;

static inline void text_add(growing *t, const char *more, size_t n) {
    if (t->room - t->n < n) {
        size_t room = (t->n + n) * 2 + 256;
        char *at = (char *)realloc(t->at, room);
        if (at == NULL) exit(2);
        t->at = at;
        t->room = room;
    }
    memcpy(t->at + t->n, more, n);
    t->n += n;
}

static inline void text_put(growing *t, const char *more) {
    text_add(t, more, strlen(more));
}

static inline void text_number(growing *t, uint64_t value) {
    char digits[21];
    text_put(t, test_digits(value, digits));
}

/* appends an entry: one byte of U8 at `offset`; the name is inserted as it is */
static inline void text_entry(growing *t, const char *name, size_t name_bytes, uint64_t offset) {
    text_put(t, t->n > 1 ? ",\"" : "\"");
    text_add(t, name, name_bytes);
    text_put(t, "\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[");
    text_number(t, offset);
    text_put(t, ",");
    text_number(t, offset + 1);
    text_put(t, "]}");
}

/* returns a file with this header and data_bytes of data, and frees the header's text; the caller frees the file */
static inline unsigned char *text_file(growing *t, size_t data_bytes, size_t *n) {
    unsigned char *file;
    char *data = (char *)malloc(data_bytes > 0 ? data_bytes : 1);
    size_t i;
    if (data == NULL) exit(2);
    for (i = 0; i < data_bytes; i++) data[i] = (char)('a' + i % 26);
    file = make_file(t->at, t->n, data, data_bytes, n);
    free(data);
    free(t->at);
    memset(t, 0, sizeof *t);
    return file;
}

/* tensors "PREFIX0", "PREFIX1" ...; reversed: data order is the reverse of header order */
static inline unsigned char *many_tensors(const char *prefix, size_t count, int reversed, size_t *n) {
    growing header = {NULL, 0, 0};
    size_t i;
    text_put(&header, "{");
    for (i = 0; i < count; i++) {
        char digits[21], name[64];
        int length = snprintf(name, sizeof name, "%s%s", prefix, test_digits(i, digits));
        text_entry(&header, name, (size_t)length, reversed ? count - 1 - i : i);
    }
    text_put(&header, "}");
    return text_file(&header, count, n);
}

/* metadata keys "PREFIX0" ..., with their numbers as values */
static inline unsigned char *many_pairs(const char *prefix, size_t count, size_t *n) {
    growing header = {NULL, 0, 0};
    size_t i;
    text_put(&header, "{\"__metadata__\":{");
    for (i = 0; i < count; i++) {
        text_put(&header, i > 0 ? ",\"" : "\"");
        text_put(&header, prefix);
        text_number(&header, i);
        text_put(&header, "\":\"");
        text_number(&header, i);
        text_put(&header, "\"");
    }
    text_put(&header, "}}");
    return text_file(&header, 0, n);
}
#endif
