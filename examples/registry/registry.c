/* registry.c: handles, pins, aliases and adapters. A handle keeps its number, and its place when it is gone. */
#include "registry.h"
#include "examples/common/aliases.h"
#include <stdlib.h>
#include <string.h>

static const char no_memory[] = "out of memory";

size_t registry_find(const registry *r, const char *name) {
    const size_t i = names_find_last(&r->names, name, strlen(name));
    return i == NO_NAME || r->handles[i].is_gone ? NO_HANDLE : i;
}

size_t registry_resolve(const registry *r, size_t index) {
    return r->handles[index].tensor ? index : r->handles[index].target;
}

/* Adds a handle with the name [adapter/]name. Sets *is_new to 0 if the name is registered, which changes nothing. */
static const char *add_handle(registry *r, const char *adapter, const char *name, size_t name_bytes, int *is_new) {
    const size_t prefix = adapter ? strlen(adapter) + 1 : 0;
    size_t taken;
    handle *h;
    char *copy;
    if (r->count == r->capacity) {
        const size_t capacity = r->capacity ? 2 * r->capacity : 64;
        handle *handles = capacity < SIZE_MAX / sizeof *h ? (handle *)realloc(r->handles, capacity * sizeof *h) : NULL;
        if (!handles) return no_memory;
        r->handles = handles;
        r->capacity = capacity;
    }
    copy = name_bytes < SIZE_MAX - prefix - 1 ? (char *)malloc(prefix + name_bytes + 1) : NULL;
    if (!copy) return no_memory;
    if (adapter) memcpy(copy, adapter, prefix);
    if (adapter) copy[prefix - 1] = '/';
    memcpy(copy + prefix, name, name_bytes);
    copy[prefix + name_bytes] = 0;
    taken = names_find_last(&r->names, copy, prefix + name_bytes);
    *is_new = taken == NO_NAME || r->handles[taken].is_gone;
    if (!*is_new || !names_add(&r->names, copy, prefix + name_bytes, r->count)) {
        free(copy);
        return *is_new ? no_memory : NULL;
    }
    h = &r->handles[r->count++];
    memset(h, 0, sizeof *h);
    h->name = copy;
    h->name_bytes = prefix + name_bytes;
    h->target = NO_HANDLE;
    return NULL;
}

/* Registers the other names of tied tensors. handle_of has the handle of each tensor, or NO_HANDLE. */
static const char *add_aliases(registry *r, const alias_list *list, size_t file, const size_t *handle_of) {
    size_t i;
    int is_new;
    for (i = 0; i < list->count; i++) {
        const st_alias *alias = &list->aliases[i];
        const size_t target = handle_of[alias->tensor - r->files[file].model->tensors];
        const char *fault;
        if (target == NO_HANDLE) continue; /* its name was taken before, by another tensor */
        fault = add_handle(r, r->files[file].adapter, alias->name, alias->name_bytes, &is_new);
        if (fault) return fault;
        if (!is_new) continue;
        r->handles[r->count - 1].target = target;
        r->handles[r->count - 1].file = file;
    }
    return NULL;
}

static char *copy_text(const char *text) {
    char *copy = (char *)malloc(strlen(text) + 1);
    if (copy) memcpy(copy, text, strlen(text) + 1);
    return copy;
}

/* Registers the tensors of a file and their aliases. */
static const char *add_file(registry *r, size_t file, size_t *added, st_error *error) {
    const st_model *model = r->files[file].model;
    size_t *handle_of = (size_t *)malloc((model->count + 1) * sizeof *handle_of), i;
    const char *fault = handle_of ? NULL : no_memory;
    alias_list aliases;
    int is_new;
    for (i = 0; i < model->count && !fault; i++) {
        const st_tensor *t = &model->tensors[i];
        fault = add_handle(r, r->files[file].adapter, t->name, t->name_bytes, &is_new);
        if (fault) break;
        handle_of[i] = is_new ? r->count - 1 : NO_HANDLE;
        if (!is_new) continue;
        r->handles[r->count - 1].tensor = t;
        r->handles[r->count - 1].file = file;
        ++*added;
    }
    if (!fault) {
        fault = aliases_begin(&aliases, model, error) == ST_OK ? NULL : error->message;
        if (!fault) fault = add_aliases(r, &aliases, file, handle_of);
        aliases_end(&aliases);
    }
    free(handle_of);
    return fault;
}

const char *registry_open(registry *r, const char *path, const char *adapter, size_t *added, size_t *kept,
                          st_error *error) {
    struct source *files = (struct source *)realloc(r->files, (r->file_count + 1) * sizeof *files), *file;
    const char *fault;
    size_t i;
    *added = *kept = 0;
    if (!files) return no_memory;
    r->files = files;
    for (i = 0; adapter && i < r->file_count; i++) {
        if (files[i].adapter && files[i].model && strcmp(files[i].adapter, adapter) == 0) return "this adapter is open";
    }
    file = &files[r->file_count];
    file->adapter = adapter ? copy_text(adapter) : NULL;
    if (adapter && !file->adapter) return no_memory;
    if (st_open(&file->model, path, NULL, error) != ST_OK) {
        free(file->adapter);
        return error->message;
    }
    fault = add_file(r, r->file_count++, added, error);
    *kept = file->model->count - *added;
    return fault;
}

const char *registry_alias(registry *r, const char *name, const char *target) {
    const size_t t = registry_find(r, target);
    const char *fault;
    int is_new;
    if (t == NO_HANDLE) return "the target is not registered";
    if (!r->handles[t].tensor) return "the target is an alias itself";
    fault = add_handle(r, NULL, name, strlen(name), &is_new);
    if (fault) return fault;
    if (!is_new) return "the name is registered";
    r->handles[r->count - 1].target = t;
    r->handles[r->count - 1].file = r->handles[t].file;
    return NULL;
}

size_t registry_pin(registry *r, size_t index) {
    return ++r->handles[registry_resolve(r, index)].pins;
}

const char *registry_release(registry *r, size_t index, size_t *pins) {
    handle *h = &r->handles[registry_resolve(r, index)];
    if (h->pins == 0) return "not pinned";
    *pins = --h->pins;
    return NULL;
}

const char *registry_unregister(registry *r, size_t index) {
    handle *h = &r->handles[index];
    size_t i;
    if (h->pins) return "pinned";
    h->is_gone = 1;
    for (i = 0; h->tensor && i < r->count; i++) {
        if (!r->handles[i].tensor && r->handles[i].target == index) r->handles[i].is_gone = 1;
    }
    return NULL;
}

const char *registry_drop(registry *r, const char *adapter, size_t *dropped) {
    size_t file, i;
    for (file = 0; file < r->file_count; file++) {
        const struct source *f = &r->files[file];
        if (f->model && f->adapter && strcmp(f->adapter, adapter) == 0) break;
    }
    *dropped = 0;
    if (file == r->file_count) return "no adapter of this name is open";
    for (i = 0; i < r->count; i++) {
        if (r->handles[i].file == file && !r->handles[i].is_gone && r->handles[i].pins)
            return "one of its tensors is pinned";
    }
    for (i = 0; i < r->count; i++) {
        if (r->handles[i].file != file || r->handles[i].is_gone) continue;
        r->handles[i].is_gone = 1;
        ++*dropped;
    }
    st_close(r->files[file].model);
    r->files[file].model = NULL;
    return NULL;
}

uint64_t registry_bytes(const registry *r) {
    uint64_t bytes = 0;
    size_t i;
    for (i = 0; i < r->count; i++) {
        if (r->handles[i].tensor && !r->handles[i].is_gone) bytes += r->handles[i].tensor->bytes;
    }
    return bytes;
}

void registry_end(registry *r) {
    size_t i;
    for (i = 0; i < r->count; i++) free(r->handles[i].name);
    for (i = 0; i < r->file_count; i++) {
        st_close(r->files[i].model);
        free(r->files[i].adapter);
    }
    free(r->handles);
    free(r->files);
    names_clear(&r->names);
    memset(r, 0, sizeof *r);
}
