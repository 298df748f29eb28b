/* edit.c: replaces the metadata of all files of a model, or of none.
 *
 * Each new file is written beside the old one under a temporary name. Only when all are complete are they renamed, and
 * each old file keeps a second name until the last rename has succeeded, so that a failure can be undone. What a crash
 * leaves: before the first rename the old model; between two renames some files with the old and some with the new
 * metadata, all of them complete; and files .st-meta-*.tmp. */
#include "st.h"
#include <stdlib.h>
#include <string.h>

typedef struct temporary_names {
    char *fresh, *old; /* "" if there is no such file */
} temporary_names;

typedef struct editing {
    const metadata_edit *edits;
    size_t count;
    temporary_names *names;
    save_job *saving;
    const char **failed;
    uint64_t done, total; /* bytes of files */
    unsigned serial;      /* of the next temporary name */
} editing;

static st_status set_system_error(st_error *error, int code, const char *message) {
    set_error(error, ST_ERR_IO, "");
    snprintf(error->message, sizeof error->message, "%s (system error %d)", message, code);
    error->sys = code;
    return error->status;
}

static int show_progress(void *user, uint64_t done, uint64_t total) {
    editing *e = (editing *)user;
    (void)total;
    return progress_step(&e->saving->bar, e->done + done, e->total);
}

/* ---- temporary names ---------------------------------------------------------------------------------------- */

/* Gives the file at `path` a second name in the same directory with `add` and writes it to name, which has room for it.
 * Returns 0 or a system error. */
static int add_name(editing *e, const char *path, char *name, int (*add)(const char *from, const char *to)) {
    size_t directory = strlen(path);
    int tries, code = SYSTEM_EXISTS;
    while (directory && !is_separator(path[directory - 1])) directory--;
    memcpy(name, path, directory);
    for (tries = 0; code == SYSTEM_EXISTS && tries < 10000; tries++) { /* processes that were killed left files */
        sprintf(name + directory, ".st-meta-%u.tmp", e->serial++);
        code = add(path, name);
    }
    if (code) *name = 0;
    return code;
}

enum { NAME_BYTES = 32 };

static int allocate_names(editing *e) {
    size_t i;
    e->names = (temporary_names *)calloc(e->count, sizeof *e->names);
    for (i = 0; e->names && i < e->count; i++) {
        e->names[i].fresh = (char *)calloc(strlen(e->edits[i].path) + NAME_BYTES, 1);
        e->names[i].old = (char *)calloc(strlen(e->edits[i].path) + NAME_BYTES, 1);
        if (!e->names[i].fresh || !e->names[i].old) return 0;
    }
    return e->names != NULL;
}

/* Removes all temporary files. */
static void free_names(editing *e) {
    size_t i;
    for (i = 0; e->names && i < e->count; i++) {
        temporary_names *n = &e->names[i];
        if (n->fresh && *n->fresh) system_remove(n->fresh);
        if (n->old && *n->old) system_remove(n->old);
        free(n->fresh);
        free(n->old);
    }
    free(e->names);
}

/* ---- new files ---------------------------------------------------------------------------------------------- */

/* The library replaces the second name with the new file; the old file keeps its own name. */
static st_status write_new(editing *e, size_t i, st_error *error) {
    const metadata_edit *edit = &e->edits[i];
    char *fresh = e->names[i].fresh;
    int code = add_name(e, edit->path, fresh, system_link);
    if (code) code = add_name(e, edit->path, fresh, system_copy); /* the file system has no second names */
    *e->failed = edit->path;
    if (system_interrupted()) return set_error(error, ST_ERR_CANCELLED, "interrupted");
    if (code) return set_system_error(error, code, "cannot create a temporary file in the same directory");
    if (st_edit_metadata(fresh, edit->metadata, edit->count, &e->saving->options, error) != ST_OK) {
        strip_path(error, fresh);
    }
    return error->status;
}

static int rename_file(editing *e, size_t i) {
    temporary_names *n = &e->names[i];
    const char *path = e->edits[i].path;
    int code = add_name(e, path, n->old, system_link);
    /* without a second name, the old file has the temporary name only, for a moment */
    if (code) code = add_name(e, path, n->old, system_rename_new);
    if (!code) code = system_rename(n->fresh, path);
    if (!code) *n->fresh = 0;
    return code;
}

/* After the rename of file i has failed: gives all old files their names back. Returns 0 if one stays where it is. */
static int rename_back(const editing *e, size_t i) {
    int is_undone = 1;
    size_t k;
    for (k = 0; k <= i; k++) {
        const char *path = e->edits[k].path;
        if (k == i && system_path_kind(path) != PATH_MISSING) continue;
        if (system_rename(e->names[k].old, path) == 0) continue;
        *e->names[k].old = 0; /* not to be removed */
        is_undone = 0;
    }
    return is_undone;
}

static st_status rename_files(editing *e, st_error *error) {
    const int syncs = !(e->saving->options.flags & ST_SAVE_NO_SYNC);
    size_t i;
    int code = 0;
    for (i = 0; i < e->count; i++) {
        *e->failed = e->edits[i].path;
        code = rename_file(e, i);
        if (!code) continue;
        return set_system_error(error, code,
                                rename_back(e, i)
                                    ? "cannot rename the new file into place; the model is unchanged"
                                    : "cannot rename the new files into place; old files remain as .st-meta-*.tmp");
    }
    for (i = 0; syncs && !code && i < e->count; i++) code = system_flush_directory(e->edits[i].path);
    if (code) return set_system_error(error, code, "the new files are in place, but the directory cannot be flushed");
    return ST_OK;
}

static st_status replace_files(editing *e, st_error *error) {
    size_t i;
    error->status = ST_OK;
    e->serial = (unsigned)(system_milliseconds() % 1000000);
    e->saving->options.progress = show_progress;
    e->saving->options.user = e;
    if (!allocate_names(e)) set_error(error, ST_ERR_MEMORY, "out of memory");
    for (i = 0; error->status == ST_OK && i < e->count; i++) {
        write_new(e, i, error);
        e->done += e->edits[i].file_bytes;
    }
    if (error->status == ST_OK) error->status = rename_files(e, error);
    free_names(e);
    return error->status;
}

/* ---- in place ----------------------------------------------------------------------------------------------- */

typedef struct header_length {
    unsigned char bytes[8]; /* as at the start of a file */
    size_t count;
} header_length;

static int take_length(void *user, const void *bytes, size_t n) { /* a sink that stops after eight bytes */
    header_length *h = (header_length *)user;
    const size_t left = sizeof h->bytes - h->count;
    memcpy(h->bytes + h->count, bytes, n < left ? n : left);
    h->count += n < left ? n : left;
    return h->count == sizeof h->bytes;
}

/* Checks that the new header fits in front of the data: saves the file to a sink that takes its length only. */
static st_status check_fit(const metadata_edit *edit, st_error *error) {
    const st_open_options open_options = copy_open_options();
    header_length length = {{0}, 0};
    const st_sink sink = {&length, take_length};
    st_save_options options;
    st_contents contents;
    st_model *model;
    uint64_t needed = 8, available;
    int i;
    if (st_open(&model, edit->path, &open_options, error) != ST_OK) return error->status;
    memset(&options, 0, sizeof options);
    options.flags = ST_SAVE_KEEP_ORDER;
    options.sink = &sink;
    contents = st_contents_of(model);
    contents.metadata = edit->metadata;
    contents.metadata_count = edit->count;
    st_save(NULL, &contents, &options, error);
    available = model->shards[0].data_offset;
    st_close(model);
    if (length.count < sizeof length.bytes) return error->status; /* it failed before the first byte */
    for (i = 0; i < 8; i++) needed += (uint64_t)length.bytes[i] << 8 * i;
    if (needed <= available) return error->status = ST_OK;
    set_error(error, ST_ERR_TOO_LARGE, "");
    snprintf(error->message, sizeof error->message, "new header needs %.0f bytes before the data, only %.0f available",
             (double)needed, (double)available);
    error->expected = available;
    error->actual = needed;
    return error->status;
}

/* Gives the first n files their old metadata, which fits. Returns 0 if that fails. */
static int change_back(const editing *e, size_t n, const st_save_options *options) {
    int is_done = 1;
    size_t i;
    st_error error;
    for (i = 0; i < n; i++) {
        const metadata_edit *edit = &e->edits[i];
        if (st_edit_metadata(edit->path, edit->before, edit->before_count, options, &error) != ST_OK) is_done = 0;
    }
    return is_done;
}

static st_status edit_in_place(editing *e, st_error *error) {
    st_save_options options = e->saving->options;
    size_t i;
    options.flags |= ST_SAVE_IN_PLACE;
    error->status = ST_OK;
    for (i = 0; error->status == ST_OK && i < e->count; i++) {
        *e->failed = e->edits[i].path;
        check_fit(&e->edits[i], error);
    }
    for (i = 0; error->status == ST_OK && i < e->count; i++) {
        *e->failed = e->edits[i].path;
        st_edit_metadata(e->edits[i].path, e->edits[i].metadata, e->edits[i].count, &options, error);
        if (error->status == ST_OK) continue;
        if (!change_back(e, i, &options)) {
            set_error(error, error->status, "cannot edit in place; the files before this one have the new metadata");
        }
        break;
    }
    return error->status;
}

st_status edit_files(const metadata_edit *edits, size_t count, save_job *s, int in_place, const char **failed,
                     st_error *error) {
    editing e;
    size_t i;
    memset(&e, 0, sizeof e);
    e.edits = edits;
    e.count = count;
    e.saving = s;
    e.failed = failed;
    for (i = 0; i < count; i++) e.total += edits[i].file_bytes;
    if (in_place) return edit_in_place(&e, error);
    if (count > 1) return replace_files(&e, error);
    *failed = edits[0].path;
    return st_edit_metadata(edits[0].path, edits[0].metadata, edits[0].count, &s->options, error);
}
