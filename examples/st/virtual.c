/* virtual.c: models whose tensors come from elsewhere: from several models, or from pieces. The library opens them
 * through st_files, as a file whose header is made here and whose data a callback reads. So every command works on them
 * as on a file. */
#include "st.h"
#include <stdlib.h>
#include <string.h>

typedef struct opened {
    virtual_model given;
    st_model *model;
    st_files files;
    char *header; /* 8 bytes of length, then JSON */
    size_t header_bytes, capacity;
    uint64_t *ends; /* of each tensor's data */
    st_error read_error;
    struct opened *next;
} opened;

static opened *all_opened; /* virtual models, to be found by their st_model */

/* ---- the header --------------------------------------------------------------------------------------------- */

/* Appends to the header, or sets capacity to 0 if there is no memory. */
static void add(opened *o, const char *text, size_t bytes) {
    if (o->header && bytes > o->capacity - o->header_bytes) {
        const size_t capacity = (o->header_bytes + bytes) * 2;
        char *larger = bytes < SIZE_MAX / 4 - o->header_bytes ? (char *)realloc(o->header, capacity) : NULL;
        if (!larger) free(o->header);
        o->header = larger;
        o->capacity = capacity;
    }
    if (!o->header) return;
    memcpy(o->header + o->header_bytes, text, bytes);
    o->header_bytes += bytes;
}

static void add_text(opened *o, const char *text) {
    add(o, text, strlen(text));
}

static void add_number(opened *o, uint64_t number) {
    char digits[NUMBER_BYTES];
    add_text(o, number_text(number, digits));
}

static void add_string(opened *o, const char *text, size_t bytes) {
    size_t i, begin = 0;
    add_text(o, "\"");
    for (i = 0; i < bytes; i++) {
        const unsigned char c = (unsigned char)text[i];
        char escape[8];
        if (c >= 0x20 && c != '"' && c != '\\') continue;
        snprintf(escape, sizeof escape, "\\u%04x", (unsigned)c);
        add(o, text + begin, i - begin);
        add_text(o, escape);
        begin = i + 1;
    }
    add(o, text + begin, bytes - begin);
    add_text(o, "\"");
}

static void add_metadata(opened *o, const st_shard *file) {
    size_t i;
    add_text(o, "\"__metadata__\":{");
    for (i = 0; i < file->metadata_count; i++) {
        const st_pair *pair = &file->metadata[i];
        if (i) add_text(o, ",");
        add_string(o, pair->key, pair->key_bytes);
        add_text(o, ":");
        add_string(o, pair->value, pair->value_bytes);
    }
    add_text(o, "}");
}

static void add_tensor(opened *o, const st_tensor *t, uint64_t begin) {
    uint32_t i;
    add_string(o, t->name, t->name_bytes);
    add_text(o, ":{\"dtype\":");
    add_string(o, t->dtype_name, strlen(t->dtype_name));
    add_text(o, ",\"shape\":[");
    for (i = 0; i < t->rank; i++) {
        if (i) add_text(o, ",");
        add_number(o, t->shape[i]);
    }
    add_text(o, "],\"data_offsets\":[");
    add_number(o, begin);
    add_text(o, ",");
    add_number(o, begin + t->bytes);
    add_text(o, "]}");
}

static st_status make_header(opened *o, st_error *error) {
    const virtual_model *v = &o->given;
    uint64_t end = 0, length;
    size_t i;
    o->capacity = 1 << 12;
    o->header = (char *)malloc(o->capacity);
    o->ends = (uint64_t *)calloc(v->count + 1, sizeof *o->ends);
    add(o, "\0\0\0\0\0\0\0\0{", 9);
    if (v->files[0].metadata) add_metadata(o, &v->files[0]);
    for (i = 0; i < v->count; i++) {
        if (i || v->files[0].metadata) add_text(o, ",");
        if (v->tensors[i].bytes > INT64_MAX - end) {
            return set_error(error, ST_ERR_OVERFLOW, "the tensors have 2^63 bytes or more together");
        }
        add_tensor(o, &v->tensors[i], end);
        end += v->tensors[i].bytes;
        if (o->ends) o->ends[i] = end;
    }
    add_text(o, "}");
    if (!o->header || !o->ends) return set_error(error, ST_ERR_MEMORY, "out of memory");
    length = o->header_bytes - 8;
    for (i = 0; i < 8; i++) o->header[i] = (char)(unsigned char)(length >> 8 * i & 0xFF);
    return ST_OK;
}

/* ---- the file ----------------------------------------------------------------------------------------------- */

static size_t find_tensor(const opened *o, uint64_t offset) {
    size_t low = 0, high = o->given.count;
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        if (o->ends[middle] <= offset) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

static int read_data(opened *o, uint64_t offset, unsigned char *dst, size_t n) {
    size_t i;
    for (i = find_tensor(o, offset); n; i++) {
        const uint64_t begin = o->ends[i] - o->given.tensors[i].bytes, left = o->ends[i] - offset;
        const size_t part = left < n ? (size_t)left : n;
        st_error error;
        const int code = part ? (o->given.read)(o->given.user, i, offset - begin, dst, part, &error) : 0;
        if (code) {
            system_lock();
            o->read_error = error;
            system_unlock();
            return code;
        }
        offset += part, dst += part, n -= part;
    }
    return 0;
}

static int read_file(void *user, uint64_t offset, void *dst, size_t n) {
    opened *o = (opened *)user;
    unsigned char *to = (unsigned char *)dst;
    if (offset < o->header_bytes) {
        const uint64_t left = o->header_bytes - offset;
        const size_t part = left < n ? (size_t)left : n;
        memcpy(to, o->header + offset, part);
        offset += part, to += part, n -= part;
    }
    return n ? read_data(o, offset - o->header_bytes, to, n) : 0;
}

static int open_file(void *user, const char *path, st_io *io) {
    opened *o = (opened *)user;
    (void)path;
    io->user = o;
    io->read_at = read_file;
    io->bytes = o->header_bytes + (o->given.count ? o->ends[o->given.count - 1] : 0);
    return 0;
}

static void free_opened(opened *o) {
    (o->given.close)(o->given.user);
    free(o->header);
    free(o->ends);
    free(o);
}

static void close_file(void *user, st_io *io) {
    opened *o = (opened *)user, **link = &all_opened;
    (void)io;
    while (*link && *link != o) link = &(*link)->next;
    if (*link) { /* st_close; after an error in st_open, open_virtual frees it */
        *link = o->next;
        free_opened(o);
    }
}

st_status open_virtual(st_model **model, const char *label, const virtual_model *given, const st_open_options *options,
                       st_error *error) {
    opened *o = (opened *)calloc(1, sizeof *o);
    st_open_options open_options = *options;
    st_status status;
    *model = NULL;
    if (!o) {
        (given->close)(given->user);
        return set_error(error, ST_ERR_MEMORY, "out of memory");
    }
    o->given = *given;
    o->files.user = o;
    o->files.open = open_file;
    o->files.close = close_file;
    open_options.files = &o->files;
    open_options.max_header = UINT32_MAX; /* the headers of the files were checked */
    status = make_header(o, error);
    if (status == ST_OK) status = st_open(model, label, &open_options, error);
    if (status != ST_OK) {
        free_opened(o);
        return status;
    }
    o->model = *model;
    o->next = all_opened;
    all_opened = o;
    return ST_OK;
}

static opened *find_opened(const st_model *model) {
    opened *o = all_opened;
    while (o && o->model != model) o = o->next;
    return o;
}

const virtual_model *virtual_of(const st_model *model) {
    const opened *o = find_opened(model);
    return o ? &o->given : NULL;
}

void explain_read_error(const st_model *model, st_error *error) {
    const opened *o = find_opened(model);
    if (o && error->status == ST_ERR_IO && o->read_error.status != ST_OK) *error = o->read_error;
}

int report_read(const st_model *model, const char *path, const st_error *error) {
    st_error explained = *error;
    explain_read_error(model, &explained);
    return report(path, &explained);
}

const st_shard *files_of(const st_model *model, size_t *count) {
    const virtual_model *v = virtual_of(model);
    *count = v ? v->file_count : model->shard_count;
    return v ? v->files : model->shards;
}
