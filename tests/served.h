/* served.h: a file served through st_io or st_files; every call is counted and can be made to fail. */
#ifndef SERVED_H
#define SERVED_H
#include "test.h"

typedef struct served {
    st_files files;
    st_io io;
    const unsigned char *bytes;
    size_t n;
    const char *path; /* the only file */
    int mapped;       /* st_files provides mapped pointers */
    int by_files;     /* a file was opened through st_files */
    size_t calls;     /* calls of open, read_at and list */
    size_t opens, closes, reads, lists;
    uint64_t read_bytes;
    size_t fail_at;   /* the call, from 1, that fails with `code`; 0: none */
    int fail_forever; /* all later calls fail as well */
    int code;
} served;

static inline int served_refuses(served *s) {
    s->calls++;
    return s->fail_at > 0 && (s->calls == s->fail_at || (s->fail_forever && s->calls > s->fail_at));
}

static inline int served_read_at(void *user, uint64_t offset, void *dst, size_t bytes) {
    served *s = (served *)user;
    s->reads++;
    s->read_bytes += bytes;
    CHECK(!s->by_files || s->opens > s->closes); /* reading a closed file is an error */
    if (served_refuses(s)) return s->code;
    if (!CHECK(offset <= s->n && bytes <= s->n - offset)) return 1000; /* reads must stay inside the file */
    if (bytes > 0) memcpy(dst, s->bytes + offset, bytes);
    return 0;
}

static inline int served_open(void *user, const char *path, st_io *file) {
    served *s = (served *)user;
    const char *zero = (const char *)file;
    size_t i;
    if (served_refuses(s)) return s->code;
    for (i = 0; i < sizeof *file; i++) { /* the library zeroes st_io; a callback sets the members it knows */
        if (!CHECK(zero[i] == 0)) break;
    }
    if (strcmp(path, s->path) != 0) return ST_IO_NOT_FOUND;
    s->opens++;
    s->by_files = 1;
    file->user = s;
    file->bytes = s->n;
    if (s->mapped) {
        file->mapped = s->bytes;
    } else {
        file->read_at = served_read_at;
    }
    return 0;
}

static inline void served_close(void *user, st_io *file) {
    served *s = (served *)user;
    CHECK(file != NULL && file->user == s);
    s->closes++;
    CHECK(s->closes <= s->opens);
}

static inline int served_list(void *user, const char *directory, int (*each)(void *arg, const char *name), void *arg) {
    served *s = (served *)user;
    s->lists++;
    if (served_refuses(s)) return s->code;
    return strcmp(directory, "pack") == 0 ? each(arg, "model.safetensors") : ST_IO_NOT_FOUND;
}

static inline void served_begin(served *s, const void *bytes, size_t n) {
    memset(s, 0, sizeof *s);
    s->bytes = (const unsigned char *)bytes;
    s->n = n;
    s->path = "pack/model.safetensors";
    s->code = 77;
    s->io.user = s;
    s->io.read_at = served_read_at;
    s->io.bytes = n;
    s->files.user = s;
    (s->files.open) = served_open;
    (s->files.close) = served_close;
    s->files.list = served_list;
}
#endif
