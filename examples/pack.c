/* pack: saves a model into the program's own archive, here a table in memory, and opens it there.
 *
 *     cc -I. examples/pack.c -o pack
 *
 * A sink receives the bytes of a new file in order, and can be anything: an archive, a socket, a compressor, a hash.
 * st_files replaces the operating system's files. Anything that can open a name and read at an offset can implement it:
 * a game's asset pack, a ZIP reader, a folder in a browser. st_open then works as it does on a disk. */
#define ST_IMPLEMENTATION
#include "safetensors.h"
#include <stdio.h>
#include <string.h>

typedef struct entry {
    const char *path;
    const void *bytes;
    size_t count;
} entry;

typedef struct archive {
    const entry *entries;
    size_t count;
    int open_files;
} archive;

static int archive_read(void *user, uint64_t offset, void *dst, size_t n) {
    const entry *e = (const entry *)user;
    if (offset > e->count || n > e->count - offset) return ST_IO_ENDED;
    memcpy(dst, (const char *)e->bytes + offset, n);
    return 0;
}

static int archive_open(void *user, const char *path, st_io *file) {
    archive *a = (archive *)user;
    size_t i;
    for (i = 0; i < a->count; i++) {
        const entry *e = &a->entries[i];
        if (strcmp(e->path, path) != 0) continue;
        memset(file, 0, sizeof *file);
        file->user = (void *)(uintptr_t)e; /* archive_read only reads the entry */
        file->read_at = archive_read;
        file->bytes = e->count;
        file->mapped = e->bytes; /* NULL if the bytes are compressed or remote: the library then calls read_at */
        file->id[0] = i + 1;     /* tells this file from another one that is later opened under the same path */
        a->open_files++;
        return 0;
    }
    return ST_IO_NOT_FOUND;
}

static void archive_close(void *user, st_io *file) {
    (void)file;
    ((archive *)user)->open_files--;
}

/* Calls add_name with the name of every file in a directory of the archive. */
static int archive_list(void *user, const char *directory, int (*add_name)(void *arg, const char *name), void *arg) {
    const archive *a = (const archive *)user;
    size_t i, length = strlen(directory);
    int found = 0, stop = 0;
    for (i = 0; i < a->count && !stop; i++) {
        const char *path = a->entries[i].path;
        if (strncmp(path, directory, length) != 0 || path[length] != '/') continue;
        if (strchr(path + length + 1, '/')) continue; /* in a subdirectory */
        found = 1;
        stop = add_name(arg, path + length + 1);
    }
    return found ? stop : ST_IO_NOT_FOUND;
}

typedef struct new_file {
    unsigned char bytes[256];
    size_t count;
} new_file;

/* An st_sink: appends all n bytes. A code other than 0 ends the saving; st_error.sys reports it. */
static int append(void *user, const void *bytes, size_t n) {
    new_file *f = (new_file *)user;
    if (n > sizeof f->bytes - f->count) return 1;
    memcpy(f->bytes + f->count, bytes, n);
    f->count += n;
    return 0;
}

static st_status save_voice(new_file *f, st_error *error) {
    static const unsigned char pitch[6] = {1, 0, 2, 0, 3, 0}; /* little-endian, as all data that is saved */
    static const uint64_t shape[1] = {3};
    const st_tensor tensor = st_tensor_of("pitch", ST_DTYPE_I16, 1, shape, pitch);
    const st_sink sink = {f, append};
    st_contents contents = {0};
    st_save_options options = {0};
    contents.tensors = &tensor;
    contents.count = 1;
    options.sink = &sink;
    return st_save(NULL, &contents, &options, error); /* no path, as there is a sink */
}

int main(void) {
    static new_file voice;
    entry entries[] = {
        {"readme.txt", "hello", 5},
        {"voices/anna.safetensors", voice.bytes, 0},
    };
    archive pack = {entries, sizeof entries / sizeof entries[0], 0};
    st_files files = {&pack, archive_open, archive_close, archive_list};
    st_open_options options = {0};
    st_model *model;
    st_error error;
    size_t i;
    options.files = &files;

    if (save_voice(&voice, &error) != ST_OK) {
        fprintf(stderr, "%s\n", error.message);
        return 1;
    }
    entries[1].count = voice.count;
    if (st_open(&model, "voices/anna.safetensors", &options, &error) != ST_OK) {
        fprintf(stderr, "%s\n", error.message);
        return 1;
    }
    for (i = 0; i < model->count; i++) {
        const st_tensor *t = &model->tensors[i];
        printf("%s %s, %lu bytes at %lu%s\n", t->name, t->dtype_name, (unsigned long)t->bytes, (unsigned long)t->offset,
               t->data ? ", in place" : "");
    }
    st_close(model);

    /* error messages name the path, as they do for files of the system */
    if (st_open(&model, "voices/boris.safetensors", &options, &error) != ST_OK) printf("%s\n", error.message);
    if (st_open(&model, "readme.txt", &options, &error) != ST_OK) printf("%s\n", error.message);
    printf("files left open: %d\n", pack.open_files);
    return pack.open_files;
}
