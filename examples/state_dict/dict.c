/* dict.c: tensors by name, from one or more checkpoints. */
#include "dict.h"
#include "examples/common/text.h"
#include <stdlib.h>
#include <string.h>

int fault(const char *name, size_t name_bytes, const char *reason) {
    fflush(stdout);
    fputs("state_dict: ", stderr);
    put_text(stderr, name, name_bytes);
    fprintf(stderr, ": %s\n", reason);
    return 0;
}

int fault_library(const st_error *error) {
    fflush(stdout);
    fprintf(stderr, "state_dict: %s\n", error->message);
    return 0;
}

static int no_memory(void) {
    return fault("memory", 6, "not enough");
}

int ends_with(const char *name, size_t name_bytes, const char *end) {
    const size_t n = strlen(end);
    return name_bytes >= n && memcmp(name + name_bytes - n, end, n) == 0;
}

/* ---- names --------------------------------------------------------------------------------------------------- */

static entry *grow(dict *d) {
    entry *e;
    if (d->count == d->capacity) {
        const size_t capacity = d->capacity ? 2 * d->capacity : 256;
        entry *entries = capacity < SIZE_MAX / sizeof *e ? (entry *)realloc(d->entries, capacity * sizeof *e) : NULL;
        if (!entries) return NULL;
        d->entries = entries;
        d->capacity = capacity;
    }
    e = &d->entries[d->count];
    memset(e, 0, sizeof *e);
    e->origin[0] = e->origin[1] = NO_NAME;
    return e;
}

static char *copy_text(const char *text, size_t bytes) {
    char *copy = bytes < SIZE_MAX ? (char *)malloc(bytes + 1) : NULL;
    if (!copy) return NULL;
    memcpy(copy, text, bytes);
    copy[bytes] = 0;
    return copy;
}

entry *dict_find(const dict *d, const char *name, size_t name_bytes) {
    const size_t i = names_find_last(&d->names, name, name_bytes);
    return i == NO_NAME || d->entries[i].is_gone ? NULL : &d->entries[i];
}

int dict_add_name(dict *d, const char *name, size_t name_bytes, size_t first, size_t second) {
    entry *e;
    if (dict_find(d, name, name_bytes)) return 1;
    e = grow(d);
    if (!e) return no_memory();
    e->name = e->own_name = copy_text(name, name_bytes);
    if (!e->name || !names_add(&d->names, e->name, name_bytes, d->count)) {
        free(e->own_name);
        return no_memory();
    }
    e->name_bytes = name_bytes;
    e->model = d->entries[first].model;
    e->tensor = d->entries[first].tensor;
    e->below = second == NO_NAME ? NULL : d->entries[second].tensor;
    e->origin[0] = first;
    e->origin[1] = second;
    e->is_added = 1;
    d->count++;
    return 1;
}

/* Marks the entries below `end` whose name a later entry has, which is in the file at `path`. The aliases of a replaced
 * tensor are names of the new one. */
static void settle(dict *d, size_t end, const char *path) {
    size_t i;
    for (i = 0; i < end; i++) {
        entry *e = &d->entries[i];
        if (e->is_gone || names_find_last(&d->names, e->name, e->name_bytes) == i) continue;
        e->is_gone = 1;
        put_text(stdout, e->name, e->name_bytes);
        fputs(": replaced by the one in ", stdout);
        put_string(stdout, path);
        putchar('\n');
    }
    for (i = 0; i < end; i++) {
        entry *e = &d->entries[i];
        const entry *origin = e->is_added ? &d->entries[e->origin[0]] : NULL;
        if (!origin || !origin->is_gone) continue;
        e->origin[0] = names_find_last(&d->names, origin->name, origin->name_bytes);
        e->model = d->entries[e->origin[0]].model;
        e->tensor = d->entries[e->origin[0]].tensor;
    }
}

void dict_use(dict *d, entry *e) {
    size_t i;
    e->is_used = 1;
    for (i = 0; i < 2; i++) {
        if (e->origin[i] != NO_NAME) dict_use(d, &d->entries[e->origin[i]]); /* an origin was added earlier */
    }
}

const entry *dict_next_unused(const dict *d, size_t *i) {
    while (*i < d->count) {
        const entry *e = &d->entries[(*i)++];
        if (!e->is_used && !e->is_added && !e->is_gone) return e;
    }
    return NULL;
}

/* ---- opening ------------------------------------------------------------------------------------------------- */

static int add_tensor(dict *d, const st_model *model, const st_tensor *t) {
    entry *e = grow(d);
    if (!e || !names_add(&d->names, t->name, t->name_bytes, d->count)) return no_memory();
    e->name = t->name;
    e->name_bytes = t->name_bytes;
    e->model = model;
    e->tensor = t;
    d->count++;
    return 1;
}

int dict_open(dict *d, const char *path) {
    struct source *sources = (struct source *)realloc(d->sources, (d->source_count + 1) * sizeof *sources), *s;
    const size_t older = d->count;
    const st_alias *alias;
    st_error error;
    size_t i;
    if (!sources) return no_memory();
    d->sources = sources;
    s = &sources[d->source_count];
    memset(s, 0, sizeof *s);
    if (st_open(&s->model, path, NULL, &error) != ST_OK) return fault_library(&error);
    d->source_count++;
    if (aliases_begin(&s->aliases, s->model, &error) != ST_OK) return fault_library(&error);
    for (i = 0; i < s->model->count; i++) {
        if (!add_tensor(d, s->model, &s->model->tensors[i])) return 0;
    }
    settle(d, older, path);
    for (i = 0; i < s->aliases.count; i++) {
        size_t target;
        alias = &s->aliases.aliases[i];
        target = names_find_last(&d->names, alias->tensor->name, alias->tensor->name_bytes);
        if (!dict_add_name(d, alias->name, alias->name_bytes, target, NO_NAME)) return 0;
    }
    return 1;
}

void dict_close(dict *d) {
    size_t i;
    for (i = 0; i < d->count; i++) free(d->entries[i].own_name);
    free(d->entries);
    names_clear(&d->names);
    for (i = 0; i < d->source_count; i++) {
        aliases_end(&d->sources[i].aliases);
        st_close(d->sources[i].model);
    }
    free(d->sources);
    memset(d, 0, sizeof *d);
}

/* ---- values -------------------------------------------------------------------------------------------------- */

/* The tensor as it is read: 16-bit integers may be BF16 under a wrong name. */
static st_tensor readable(const dict *d, const st_tensor *tensor) {
    st_tensor t = *tensor;
    if (d->u16_is_bf16 && t.dtype == ST_DTYPE_U16) t.dtype = ST_DTYPE_BF16;
    return t;
}

st_dtype entry_dtype(const dict *d, const entry *e) {
    return readable(d, e->tensor).dtype;
}

uint64_t entry_dimension(const entry *e, uint32_t axis) {
    return e->tensor->shape[axis] + (e->below && axis == 0 ? e->below->shape[0] : 0);
}

void *transpose(void *matrix, size_t rows, size_t columns, size_t size) {
    const char *from = (const char *)matrix;
    char *to = rows && columns ? (char *)malloc(rows * columns * size) : (char *)malloc(1), *at = to;
    size_t r, c;
    if (rows == 0) columns = 0; /* the other dimension of an empty matrix can be huge */
    for (c = 0; to && c < columns; c++) {
        for (r = 0; r < rows; r++, at += size) memcpy(at, from + (r * columns + c) * size, size);
    }
    free(matrix);
    return to;
}

/* Returns the bytes of an array of that many elements, or SIZE_MAX. */
static size_t bytes_of(st_dtype dtype, uint64_t elements) {
    const unsigned bits = st_dtype_bits(dtype);
    return elements < SIZE_MAX / 64 ? (size_t)(elements * bits / 8) : SIZE_MAX;
}

static size_t rows_of(const st_tensor *t) {
    const uint64_t columns = t->rank ? t->shape[t->rank - 1] : 1;
    return columns ? (size_t)(t->elements / columns) : 0;
}

void *entry_read(const dict *d, const entry *e, st_dtype as, int flip, size_t *bytes) {
    static const uint32_t matrix[2] = {1, 0}, collapsed[3] = {2, 0, 1}; /* two axes as one, then the transpose */
    const st_tensor top = readable(d, e->tensor), low = e->below ? readable(d, e->below) : top;
    const st_view view = {NULL, 0, top.rank == 3 ? collapsed : matrix};
    const size_t top_bytes = bytes_of(as, top.elements), low_bytes = e->below ? bytes_of(as, low.elements) : 0;
    const st_view *flipped = flip && !e->below ? &view : NULL;
    st_error error;
    char *values;
    *bytes = top_bytes + low_bytes;
    values = top_bytes < SIZE_MAX / 4 && low_bytes < SIZE_MAX / 4 ? (char *)malloc(*bytes + 1) : NULL;
    if (!values) {
        (void)fault(e->name, e->name_bytes, "not enough memory for this tensor");
    } else if (st_read_as(e->model, &top, flipped, as, values, top_bytes, &error) != ST_OK ||
               (e->below && st_read_as(e->model, &low, NULL, as, values + top_bytes, low_bytes, &error) != ST_OK)) {
        (void)fault_library(&error);
        free(values);
        values = NULL;
    }
    if (!values || !flip || flipped) return values;
    values = (char *)transpose(values, rows_of(&top) + rows_of(&low), (size_t)top.shape[1], st_dtype_bits(as) / 8);
    if (!values) (void)no_memory();
    return values;
}
