/* dict.h: the tensors of one or more checkpoints, by name, and what can be done with them. */
#ifndef STATE_DICT_H
#define STATE_DICT_H

#include "safetensors.h"
#include "examples/common/aliases.h"
#include "examples/common/names.h"
#include <stdio.h>

/* ---- dict.c: a state dict ------------------------------------------------------------------------------------ */

typedef struct entry {
    const char *name;
    size_t name_bytes;
    char *own_name; /* to be freed, or NULL: the name belongs to a model */
    const st_model *model;
    const st_tensor *tensor;
    const st_tensor *below; /* NULL, or a tensor whose rows follow those of `tensor`; of the same model */
    size_t origin[2];       /* of an added name: the entries that it stands for, else NO_NAME */
    int is_added, is_used, is_gone;
} entry;

typedef struct dict {
    entry *entries;
    size_t count, capacity;
    name_list names;
    struct source {
        st_model *model;
        alias_list aliases;
    } * sources;
    size_t source_count;
    int u16_is_bf16;
} dict;

/* Functions that return an int return 1, or 0 after a message, where nothing else is said. */
int fault(const char *name, size_t name_bytes, const char *reason);
int fault_library(const st_error *error);
int ends_with(const char *name, size_t name_bytes, const char *end);

/* Adds the tensors of a model, and the other names of tied tensors. A later tensor replaces one of the same name. */
int dict_open(dict *d, const char *path);
void dict_close(dict *d);
entry *dict_find(const dict *d, const char *name, size_t name_bytes);
/* Adds a name for entry `first`, or for the rows of `first` and then those of `second`, unless the name is taken. */
int dict_add_name(dict *d, const char *name, size_t name_bytes, size_t first, size_t second);
void dict_use(dict *d, entry *e);                        /* marks an entry and what it stands for as used */
const entry *dict_next_unused(const dict *d, size_t *i); /* starts at *i; NULL after the last one */

st_dtype entry_dtype(const dict *d, const entry *e);
uint64_t entry_dimension(const entry *e, uint32_t axis);
/* Reads an entry, packed and in the machine's byte order; with `flip` as the transpose of a matrix, of which the last
 * axis is the columns. Returns memory to be freed, or NULL after a message. */
void *entry_read(const dict *d, const entry *e, st_dtype as, int flip, size_t *bytes);
/* Returns the transpose of a matrix, to be freed, and frees the matrix; NULL if memory runs out. */
void *transpose(void *matrix, size_t rows, size_t columns, size_t element_bytes);

/* ---- augment.c: names of other frameworks -------------------------------------------------------------------- */

int augment(dict *d);                             /* adds the names of the Tensor Engine; replaces none */
int is_kronos(const dict *d);                     /* 0, without a message, if this is no checkpoint of Kronos */
int list_slopes(const dict *d, const char *root); /* and configurations of NL-OOB attention */

/* ---- apply.c: a module and its parameters -------------------------------------------------------------------- */

typedef enum strictness { STRICT_NONE, STRICT_MISSING, STRICT_BOTH } strictness;

typedef struct apply_options {
    const char *root, *out;
    int augment, transpose, kronos, f32;
    uint64_t heads, kv_heads; /* 0: no expansion */
    strictness strict;
} apply_options;

int apply(dict *d, const char *module_path, const apply_options *options);

#endif
