/* damaged.c: opens a file that may be damaged. */
#include "st.h"
#include <errno.h>
#include <string.h>

static int read_file(void *user, uint64_t offset, void *to, size_t bytes) {
    return system_read_at((FILE *)user, offset, to, bytes) ? 0 : EIO;
}

/* Returns 1 if the file is not a safetensors file, or cannot be read at all. */
static int is_hopeless(st_status status) {
    return status == ST_ERR_ARGUMENT || status == ST_ERR_MEMORY || status == ST_ERR_NOT_FOUND || status == ST_ERR_IO ||
           status == ST_ERR_FORMAT || status == ST_ERR_UNSUPPORTED;
}

/* Reads what can be read of the open file. */
static st_status read_damaged(lenient_file *f, st_error *error) {
    lenient *l = &f->contents;
    st_status status;
    st_io io;
    memset(&io, 0, sizeof io);
    io.user = f->file;
    io.read_at = read_file;
    if (!system_file_bytes(f->file, &io.bytes)) return set_error(error, ST_ERR_IO, "not a regular file");
    setvbuf(f->file, NULL, _IONBF, 0); /* so that large reads are not copied */
    status = lenient_read(l, &io);
    if (status == ST_OK && f->verdict.status != ST_OK && l->fault_count == 0) {
        lenient_add_fault(l, f->verdict.position, st_status_name(f->verdict.status), "the header is written anew");
    }
    if (status == ST_OK) return status;
    if (status == ST_ERR_JSON && f->verdict.status != ST_OK) {
        *error = f->verdict;
        return error->status;
    }
    return set_error(error, status,
                     status == ST_ERR_MEMORY ? "out of memory"
                     : status == ST_ERR_IO   ? "cannot read the file"
                                             : "the header cannot be read again");
}

st_status lenient_file_open(lenient_file *f, const char *path, st_error *error) {
    const st_open_options open_options = copy_open_options();
    st_model *model;
    memset(f, 0, sizeof *f);
    if (is_hub(path) || ends_with(path, ".json") || system_path_kind(path) == PATH_DIRECTORY) {
        return set_error(error, ST_ERR_ARGUMENT, "expected a file, not a directory, an index or hub:");
    }
    if (st_open(&model, path, &open_options, &f->verdict) == ST_OK) {
        f->verdict.status = ST_OK;
        st_close(model);
    } else if (is_hopeless(f->verdict.status)) {
        *error = f->verdict;
        return error->status;
    }
    f->file = system_open(path);
    if (!f->file) return set_error(error, ST_ERR_IO, "cannot open the file");
    error->status = read_damaged(f, error);
    f->contents.shard.path = path;
    return error->status;
}

void lenient_file_close(lenient_file *f) {
    lenient_close(&f->contents);
    if (f->file) fclose(f->file);
    f->file = NULL;
}
