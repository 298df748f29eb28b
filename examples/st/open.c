/* open.c: opens what the command line names as a model. */
#include "st.h"
#include <stdlib.h>
#include <string.h>

int is_hub(const char *given) {
    return strncmp(given, "hub:", 4) == 0;
}

st_open_options copy_open_options(void) {
    st_open_options open_options;
    memset(&open_options, 0, sizeof open_options);
    open_options.flags = ST_OPEN_NO_MAP | ST_OPEN_UNKNOWN_DTYPES;
    return open_options;
}

st_status open_model(st_model **model, const char *given, const st_open_options *options, st_error *error) {
    char *repo, *revision;
    st_status status;
    if (!options->files && is_pieces(given)) return open_pieces(model, given, options, error);
    if (!is_hub(given)) return st_open(model, given, options, error);
    repo = (char *)calloc(strlen(given), 1);
    if (!repo) return set_error(error, ST_ERR_MEMORY, "out of memory");
    strcpy(repo, given + 4);
    revision = strchr(repo, '@'); /* no repository has @ in its name */
    if (revision) *revision++ = 0;
    status = st_open_hub(model, repo, revision, options, error);
    free(repo);
    return status;
}
