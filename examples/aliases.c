/* aliases PATH [NAME]: lists the other names of tied weights, or finds a tensor by any of its names.
 *
 *     cc -I. examples/aliases.c -o aliases
 *
 * Tied weights share their data: lm_head.weight is often embed.weight. A file stores such a tensor once, under one
 * name. The other names are in its metadata, which st_find does not follow. st_aliases lists them. */
#define ST_IMPLEMENTATION
#include "safetensors.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct alias_list {
    st_buffer memory; /* memory.data is to be freed */
    const st_alias *aliases;
    size_t count;
} alias_list;

static st_status list_aliases(const st_model *model, alias_list *list, st_error *error) {
    st_status status;
    memset(list, 0, sizeof *list);
    status = st_aliases(model, NULL, &list->aliases, &list->count, error);
    if (status != ST_ERR_ARGUMENT) return status; /* there are no aliases, or the metadata is invalid */
    list->memory.bytes = (size_t)error->expected; /* the size that the list needs */
    list->memory.data = malloc(list->memory.bytes);
    if (!list->memory.data) return error->status = ST_ERR_MEMORY;
    return st_aliases(model, &list->memory, &list->aliases, &list->count, error);
}

/* Like st_find, but also accepts an alias. A program that looks up many names builds a hash table of them. */
static const st_tensor *find_by_any_name(const st_model *model, const alias_list *list, const char *name) {
    const st_tensor *tensor = st_find(model, name);
    size_t i;
    for (i = 0; !tensor && i < list->count; i++) {
        if (strcmp(list->aliases[i].name, name) == 0) tensor = list->aliases[i].tensor;
    }
    return tensor;
}

/* Prints all but plain ASCII as \xNN, as a name could control the terminal. */
static void print_name(const char *name, size_t bytes) {
    for (; bytes > 0; name++, bytes--) printf(*name >= ' ' && *name <= '~' ? "%c" : "\\x%02x", (unsigned char)*name);
}

int main(int argc, char **argv) {
    const st_tensor *tensor;
    alias_list list;
    st_model *model;
    st_error error;
    size_t i;
    if (argc < 2 || st_open(&model, argv[1], NULL, &error) != ST_OK) {
        fprintf(stderr, "%s\n", argc < 2 ? "usage: aliases PATH [NAME]" : error.message);
        return 1;
    }
    if (list_aliases(model, &list, &error) != ST_OK) {
        fprintf(stderr, "%s\n", st_status_name(error.status));
        free(list.memory.data);
        st_close(model);
        return 1;
    }
    if (argc > 2) {
        tensor = find_by_any_name(model, &list, argv[2]);
        if (tensor) print_name(tensor->name, tensor->name_bytes);
        puts(tensor ? "" : "the model has no tensor of this name");
    }
    for (i = 0; argc == 2 && i < list.count; i++) {
        const st_alias *alias = &list.aliases[i];
        print_name(alias->name, alias->name_bytes);
        fputs(" is ", stdout);
        print_name(alias->tensor->name, alias->tensor->name_bytes);
        putchar('\n');
    }
    free(list.memory.data);
    st_close(model);
    return 0;
}
