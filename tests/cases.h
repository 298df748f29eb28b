/* cases.h: the row of a table of test files: the file's bytes and the result that every way to open it must return. */
#ifndef CASES_H
#define CASES_H
#include "test.h"

#define ANY_VALUE (UINT64_MAX - 1) /* for expected or actual if the test does not check it */

typedef struct file_case {
    const char *name;
    uint64_t length;    /* the header length; without `header`, `data` is the whole file */
    const char *header; /* NULL: none */
    size_t header_bytes;
    const char *data;
    size_t data_bytes;
    unsigned flags; /* ST_OPEN_* */
    uint64_t max_header;
    st_status status;
    uint64_t position;
    uint64_t expected, actual;
    const char *subject; /* NULL: not checked */
    size_t count;        /* number of tensors, if the file opens */
    int accident;        /* the reference accepts it, by one of the five accidents that we do not share */
} file_case;

/* an entry's value in the usual layout, and the three fields that most tests use */
#define E(dtype, shape, offsets) "{\"dtype\":\"" dtype "\",\"shape\":" shape ",\"data_offsets\":" offsets "}"
#define BASE "\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[0,2]"

#define X5(s) s s s s s
#define X10(s) X5(s) X5(s)
#define X25(s) X10(s) X10(s) X5(s)
#define X100(s) X25(s) X25(s) X25(s) X25(s)

#define CASE_HEADER(text) .length = sizeof(text) - 1, .header = text, .header_bytes = sizeof(text) - 1
#define CASE_DATA(bytes) .data = bytes, .data_bytes = sizeof(bytes) - 1
#define CASE_ANY .expected = ANY_VALUE, .actual = ANY_VALUE

/* returns a copy in a block of the file's exact length, so that sanitizers detect reads past the end; the caller
 * frees it */
static inline unsigned char *case_file(const file_case *row, size_t *n) {
    size_t at = row->header != NULL ? 8 : 0, i;
    unsigned char *file;
    *n = at + row->header_bytes + row->data_bytes;
    file = (unsigned char *)malloc(*n > 0 ? *n : 1);
    if (file == NULL) exit(2);
    for (i = 0; i < at; i++) file[i] = (unsigned char)(row->length >> (8 * i) & 255);
    if (row->header_bytes > 0) memcpy(file + at, row->header, row->header_bytes);
    if (row->data_bytes > 0) memcpy(file + at + row->header_bytes, row->data, row->data_bytes);
    return file;
}

/* returns a file made of a header and data; the caller frees it */
static inline unsigned char *make_file(const char *header, size_t header_bytes, const void *data, size_t data_bytes,
                                       size_t *n) {
    file_case row;
    memset(&row, 0, sizeof row);
    row.length = header_bytes, row.header = header, row.header_bytes = header_bytes;
    row.data = (const char *)data, row.data_bytes = data_bytes;
    return case_file(&row, n);
}
#endif
