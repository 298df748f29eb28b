/* open.c: opens what the command line names as a model. */
#include "st.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* ---- options that every command shares which opens models ---------------------------------------------------- */

static struct {
    int partial, no_index, index_decides;
    const char *variant;
} given_options;

const option opening_options[OPENING_OPTIONS] = {{"--partial", &given_options.partial, NULL},
                                                 {"--no-index", &given_options.no_index, NULL},
                                                 {"--index-decides", &given_options.index_decides, NULL},
                                                 {"--variant", NULL, &given_options.variant}};

static st_open_options with_given(const st_open_options *options) {
    st_open_options o = *options;
    if (given_options.partial) o.flags |= ST_OPEN_PARTIAL;
    if (given_options.no_index) o.flags |= ST_OPEN_NO_INDEX;
    if (given_options.index_decides) o.flags |= ST_OPEN_INDEX_DECIDES;
    o.variant = given_options.variant;
    return o;
}

st_open_options copy_open_options(void) {
    st_open_options open_options;
    memset(&open_options, 0, sizeof open_options);
    open_options.flags = ST_OPEN_NO_MAP | ST_OPEN_UNKNOWN_DTYPES;
    return open_options;
}

/* ---- names ---------------------------------------------------------------------------------------------------- */

static int starts_with(const char *text, const char *start) {
    return strncmp(text, start, strlen(start)) == 0;
}

int is_hub(const char *given) {
    return starts_with(given, "hub:") || starts_with(given, "hf://");
}

/* Ends the text at the first of the character and returns what follows it; NULL if there is none. */
static char *cut(char *text, int at) {
    char *found = strchr(text, at);
    if (!found) return NULL;
    *found = 0;
    return found + 1;
}

/* Opens hub:owner/name[@revision][:path] or hf://owner/name[@revision][/path]. */
static st_status open_in_hub(st_model **model, const char *given, const st_open_options *options, st_error *error) {
    char *repo = (char *)calloc(strlen(given) + 1, 1), *path = NULL, *revision, *slash;
    st_status status;
    if (!repo) return set_error(error, ST_ERR_MEMORY, "out of memory");
    if (starts_with(given, "hub:")) {
        strcpy(repo, given + 4);
        path = cut(repo, ':');
    } else {
        strcpy(repo, given + 5);
        slash = strchr(repo, '/');
        if (slash) path = cut(slash + 1, '/');
    }
    revision = cut(repo, '@'); /* no repository has @ in its name */
    status = st_open_hub(model, repo, revision, path, options, error);
    free(repo);
    return status;
}

st_status open_model(st_model **model, const char *given, const st_open_options *options, st_error *error) {
    st_open_options all = with_given(options);
    if (is_hub(given)) return open_in_hub(model, given, &all, error);
    if (all.variant && system_path_kind(given) == PATH_OTHER) all.variant = NULL; /* beside a directory: a file */
    /* The other options are about indexes and their shards, which pieces have not. */
    if (!all.files && !all.variant && is_pieces(given)) return open_pieces(model, given, options, error);
    return st_open(model, given, &all, error);
}

/* ---- damaged files --------------------------------------------------------------------------------------------- */

static int read_file(void *user, uint64_t offset, void *to, size_t bytes) {
    return system_read_at((FILE *)user, offset, to, bytes) ? 0 : EIO;
}

static int is_index(const char *path) {
    const size_t n = strlen(path);
    return n >= 5 && strcmp(path + n - 5, ".json") == 0;
}

/* Statuses that say that there is no safetensors file, or that it cannot be read. */
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
    if (is_hub(path) || is_index(path) || system_path_kind(path) == PATH_DIRECTORY) {
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
