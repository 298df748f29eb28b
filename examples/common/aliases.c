/* aliases.c: asks st_aliases how much memory the list needs, then calls it again. */
#include "aliases.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

st_status aliases_begin(alias_list *list, const st_model *model, st_error *error) {
    st_status status;
    memset(list, 0, sizeof *list);
    status = st_aliases(model, NULL, &list->aliases, &list->count, error);
    if (status != ST_ERR_ARGUMENT) return status;
    list->memory.bytes = (size_t)error->expected;
    list->memory.data = malloc(list->memory.bytes);
    if (!list->memory.data) {
        snprintf(error->message, sizeof error->message, "out of memory for the names of tied tensors");
        return error->status = ST_ERR_MEMORY;
    }
    return st_aliases(model, &list->memory, &list->aliases, &list->count, error);
}

void aliases_end(alias_list *list) {
    free(list->memory.data);
    memset(list, 0, sizeof *list);
}
