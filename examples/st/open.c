/* open.c: what the commands take for a model. */
#include "st.h"
#include <stdlib.h>
#include <string.h>

int is_hub(const char *given) {
    return strncmp(given, "hub:", 4) == 0;
}

st_status no_memory(st_error *error) {
    memset(error, 0, sizeof *error);
    error->position = UINT64_MAX;
    strcpy(error->message, "out of memory");
    return error->status = ST_ERR_MEMORY;
}

st_status open_model(st_model **model, const char *given, const st_open_options *how, st_error *error) {
    char *repo, *at;
    st_status status;
    if (!is_hub(given)) return st_open(model, given, how, error);
    repo = (char *)calloc(strlen(given), 1);
    if (!repo) return no_memory(error);
    strcpy(repo, given + 4);
    at = strchr(repo, '@'); /* which no repository has in its name */
    if (at) *at++ = 0;
    status = st_open_hub(model, repo, at, how, error);
    free(repo);
    return status;
}
