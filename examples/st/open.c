/* open.c: opens what the command line names as a model. */
#include "st.h"
#include <stdlib.h>
#include <string.h>

/* ---- options that every command shares which opens models ---------------------------------------------------- */

static struct {
    int partial, no_index, index_decides;
    const char *variant;
} given_options;

const option opening_options[OPENING_OPTIONS] = {{"--variant", NULL, &given_options.variant},
                                                 {"--partial", &given_options.partial, NULL},
                                                 {"--no-index", &given_options.no_index, NULL},
                                                 {"--index-decides", &given_options.index_decides, NULL}};

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
