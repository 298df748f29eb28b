/* aliases.h: the other names of tied tensors. */
#ifndef EXAMPLES_ALIASES_H
#define EXAMPLES_ALIASES_H

#include "safetensors.h"

typedef struct alias_list {
    const st_alias *aliases;
    size_t count;
    st_buffer memory;
} alias_list;

/* Calls st_aliases with as much memory as the list needs. */
st_status aliases_begin(alias_list *list, const st_model *model, st_error *error);
void aliases_end(alias_list *list);

#endif
