/* registry.h: handles to weights that stay where they are, in mapped files or in one block of bytes. */
#ifndef REGISTRY_H
#define REGISTRY_H

#include "safetensors.h"
#include "examples/common/names.h"

/* ---- a store of opaque bytes by name: no dtypes, no shapes ---------------------------------------------------- */

typedef struct byte_pair {
    const char *name;
    const unsigned char *bytes;
    size_t count;
} byte_pair;

typedef struct byte_store {
    unsigned char *block; /* all values, then all names */
    struct stored {
        const char *name;
        const unsigned char *bytes;
        size_t count;
    } * values; /* in the order of the pairs; a name may repeat */
    size_t count;
    name_list names;
} byte_store;

/* Copies the pairs into one block of memory. Returns 0 if memory runs out. */
int store_from_pairs(byte_store *s, const byte_pair *pairs, size_t count);
/* Returns the first value of that name, or NULL. */
const struct stored *store_find(const byte_store *s, const char *name);
void store_end(byte_store *s);

/* ---- the registry --------------------------------------------------------------------------------------------- */

#define NO_HANDLE ((size_t)-1)

typedef struct handle {
    char *name;
    size_t name_bytes;
    const st_tensor *tensor; /* NULL: an alias */
    size_t target;           /* of an alias: the handle that it stands for */
    size_t pins;             /* how often it is in use */
    size_t file;
    int is_gone;
} handle;

typedef struct registry {
    handle *handles;
    size_t count, capacity;
    name_list names;
    struct source {
        st_model *model;
        char *adapter; /* NULL: the base model, or one more of its files */
    } * files;
    size_t file_count;
} registry;

/* Functions that return a text return NULL, or why they did nothing. */

/* Maps a model and registers its tensors and their aliases. The name of an adapter stands before those of its tensors,
 * with a slash. A name that is registered stays what it is: *kept counts those. */
const char *registry_open(registry *r, const char *path, const char *adapter, size_t *added, size_t *kept,
                          st_error *error);
const char *registry_alias(registry *r, const char *name, const char *target);
size_t registry_find(const registry *r, const char *name); /* NO_HANDLE if the name is unknown */
size_t registry_resolve(const registry *r, size_t index);  /* an alias to what it stands for */
size_t registry_pin(registry *r, size_t index);            /* returns how many pins there are */
const char *registry_release(registry *r, size_t index, size_t *pins);
const char *registry_unregister(registry *r, size_t index); /* only without pins; aliases of it go too */
/* Unregisters the tensors of an adapter and unmaps its file. */
const char *registry_drop(registry *r, const char *adapter, size_t *dropped);
uint64_t registry_bytes(const registry *r); /* of all handles; an alias has none */
void registry_end(registry *r);

#endif
