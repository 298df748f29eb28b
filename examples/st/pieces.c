/* pieces.c: PyTorch distributed checkpoints in safetensors form. Every rank writes pieces of tensors to files of its own
 * and their offsets in the whole tensors to the metadata; this file presents whole tensors. Memory holds headers only. */
#include "../common/json.h"
#include "st.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum {
    MAX_OPEN = 64, /* files; the other files are opened again when they are read */
    BLOCK_BYTES = 1 << 20,
    WINDOW_BYTES = 1 << 23,
    MAX_SPLIT = 6 /* dimensions in which a tensor may be split */
};

typedef struct piece {
    const char *name;
    size_t name_bytes, file;
    st_dtype dtype;
    uint32_t rank;
    const uint64_t *shape, *offsets;
    uint64_t bytes, begin; /* of the data, and where the data begins in the file */
} piece;

/* A whole tensor is walked in its first `dimensions` dimensions: all pieces have the others in full, so the last one
 * that is walked counts bytes. unit_bits: size of an index of the last one. No dimension: one piece is the whole. */
typedef struct whole {
    size_t first, count; /* of its pieces */
    uint64_t *shape, *strides;
    uint64_t unit_bits;
    uint32_t dimensions;
} whole;

typedef struct piece_file {
    char *path;       /* owned by the list of files */
    const char *name; /* in path */
    void *block;      /* names, shapes, offsets and metadata */
    file_stamp stamp;
    unsigned slot; /* in open_files, from 1; 0: not open */
} piece_file;

typedef struct open_file {
    FILE *file;
    size_t number;
    uint64_t last_use;
} open_file;

typedef struct pieces {
    piece_file *files;
    st_shard *shards; /* the files, for other commands */
    size_t file_count;
    piece *pieces;
    size_t piece_count, piece_capacity;
    whole *wholes;
    st_tensor *tensors;
    size_t count;
    open_file open_files[MAX_OPEN];
    uint64_t clock;
    unsigned char *buffer; /* BLOCK_BYTES, or with a window WINDOW_BYTES */
    /* With more than MAX_OPEN files, a row may take more files than are open. The window then holds many rows of a
     * tensor, so that a file is opened once for all of them. */
    unsigned char *window; /* WINDOW_BYTES, or NULL */
    size_t window_tensor, window_bytes;
    uint64_t window_offset;
} pieces;

/* ---- errors ------------------------------------------------------------------------------------------------- */

enum { MESSAGE = sizeof((st_error *)NULL)->message };

static st_status fail(st_error *error, st_status status, const char *file, const char *text) {
    char message[3 * MESSAGE]; /* set_error shortens it */
    snprintf(message, sizeof message, "%.80s: %s", file, text);
    return set_error(error, status, message);
}

static st_status fail_tensor(st_error *error, st_status status, const char *file, const char *name, const char *text) {
    char message[3 * MESSAGE]; /* set_error shortens it */
    snprintf(message, sizeof message, "%.80s: \"%.60s\" %s", file, name, text);
    return set_error(error, status, message);
}

static st_status no_memory(st_error *error) {
    return set_error(error, ST_ERR_MEMORY, "out of memory");
}

/* ---- the names of the files --------------------------------------------------------------------------------- */

typedef struct file_number {
    uint64_t rank, number, count; /* shard-RANK-model-NUMBER-of-COUNT.safetensors; rank 0: without shard-RANK- */
} file_number;

/* Moves past a word and a number of five digits or more. */
static int read_part(const char **name, const char *word, uint64_t *number) {
    const size_t n = strlen(word);
    const char *digits = *name + n;
    if (strncmp(*name, word, n) != 0) return 0;
    *name = digits;
    return parse_digits(name, number) && *name - digits >= 5 && *number > 0;
}

static int read_file_name(const char *name, file_number *n) {
    n->rank = 0;
    if (strncmp(name, "shard-", 6) == 0 && (!read_part(&name, "shard-", &n->rank) || *name++ != '-')) return 0;
    return read_part(&name, "model-", &n->number) && read_part(&name, "-of-", &n->count) && n->number <= n->count &&
           strcmp(name, ".safetensors") == 0;
}

typedef struct listing {
    char **names;
    size_t count, capacity;
    int has_model, has_ranks, failed;
} listing;

static int list_name(void *user, const char *name) {
    listing *l = (listing *)user;
    file_number number;
    if (*name == '.') return 0; /* hidden */
    if (strcmp(name, "model.safetensors") == 0 || ends_with(name, ".safetensors.index.json")) l->has_model = 1;
    if (!read_file_name(name, &number)) return 0;
    if (number.rank) l->has_ranks = 1;
    if (l->count == l->capacity) {
        const size_t capacity = l->capacity * 2 + 16;
        char **larger = (char **)realloc((void *)l->names, capacity * sizeof *larger);
        if (!larger) return l->failed = 1;
        l->names = larger;
        l->capacity = capacity;
    }
    l->names[l->count] = (char *)malloc(strlen(name) + 1);
    if (!l->names[l->count]) return l->failed = 1;
    strcpy(l->names[l->count++], name);
    return 0;
}

static void free_listing(listing *l) {
    size_t i;
    for (i = 0; i < l->count; i++) free(l->names[i]);
    free((void *)l->names);
}

static int by_text(const void *a, const void *b) {
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Lists the names that belong to a set of pieces, sorted. Returns 0 if the directory cannot be read. */
static int list_names(listing *l, const char *path) {
    memset(l, 0, sizeof *l);
    if (system_list_directory(path, list_name, l) < 0) return 0;
    if (l->count) qsort((void *)l->names, l->count, sizeof *l->names, by_text);
    return !l->failed;
}

/* Returns directory/name, which the caller frees, or NULL if there is no memory. */
static char *join_path(const char *directory, const char *name) {
    char *path = (char *)malloc(strlen(directory) + strlen(name) + 2);
    if (path) sprintf(path, "%s%s%s", directory, ends_with(directory, "/") ? "" : "/", name);
    return path;
}

static st_open_options piece_options(void) {
    st_open_options options;
    memset(&options, 0, sizeof options);
    options.flags = ST_OPEN_NO_MAP;
    return options;
}

/* Without ranks in the names they are those of any model, and only the metadata tells. */
static int has_sharding_info(const char *directory, const char *name) {
    const st_open_options options = piece_options();
    char *path = join_path(directory, name);
    st_model *model = NULL;
    int has_info =
        path && st_open(&model, path, &options, NULL) == ST_OK && st_find_metadata(model, "DCP_SHARDING_INFO");
    st_close(model);
    free(path);
    return has_info;
}

int is_pieces(const char *path) {
    listing l;
    int has_pieces;
    if (system_path_kind(path) != PATH_DIRECTORY) return 0;
    has_pieces =
        list_names(&l, path) && l.count && !l.has_model && (l.has_ranks || has_sharding_info(path, l.names[0]));
    free_listing(&l);
    return has_pieces;
}

/* Refuses files of two sets, and a set in which a number has no file at all. */
static st_status check_numbers(const listing *l, st_error *error) {
    file_number first, n;
    char *seen = (char *)calloc(l->count + 1, 1), text[MESSAGE];
    size_t i;
    st_status status = ST_OK;
    if (!seen) return no_memory(error);
    (void)read_file_name(l->names[0], &first);
    for (i = 0; status == ST_OK && i < l->count; i++) {
        (void)read_file_name(l->names[i], &n);
        if (n.count != first.count) {
            snprintf(text, sizeof text, "belongs to another set than %.80s; expected one checkpoint in a directory",
                     l->names[0]);
            status = fail(error, ST_ERR_SHARD, l->names[i], text);
        } else if (n.number <= l->count) {
            seen[n.number] = 1;
        }
    }
    for (i = 1; status == ST_OK && i <= first.count; i++) { /* ends after at most count + 1 rounds */
        if (i <= l->count && seen[i]) continue;
        snprintf(text, sizeof text, "no file is number %lu of %lu", (unsigned long)i, (unsigned long)first.count);
        status = set_error(error, ST_ERR_SHARD, text);
    }
    free(seen);
    return status;
}

/* ---- DCP_SHARDING_INFO: {"name": {"saved_offsets": [0, 4]}} -------------------------------------------------- */

/* Reads a number without sign, fraction or exponent. */
static int read_unsigned(json_reader *j, uint64_t *number) {
    const char *text;
    if (json_value(j) != JSON_NUMBER) return 0;
    text = j->string;
    return parse_digits(&text, number) && text == j->string + j->string_bytes;
}

static int read_offsets(json_reader *j, uint64_t *offsets, uint32_t rank, int *has_rank) {
    uint64_t number, n = 0;
    if (json_value(j) != JSON_ARRAY) return 0;
    for (; json_element(j); n++) {
        if (!read_unsigned(j, &number)) return 0;
        if (n < rank) offsets[n] = number;
    }
    *has_rank = n == rank;
    return !j->fault;
}

/* Reads the object of one tensor. *found counts its saved_offsets. */
static int read_entry(json_reader *j, uint64_t *offsets, uint32_t rank, int *found, int *has_rank) {
    *found = 0;
    *has_rank = 1;
    if (json_value(j) != JSON_OBJECT) return 0;
    while (json_member(j)) {
        if (!json_is(j->key, j->key_bytes, "saved_offsets")) {
            json_skip(j, json_value(j));
        } else if (++*found > 1 || !read_offsets(j, offsets, rank, has_rank)) {
            return 0;
        }
    }
    return !j->fault;
}

/* Sets the offsets of one tensor after the other. added: the pieces of the model, in its order. seen: a byte for each
 * tensor. */
static st_status read_entries(const char *file, json_reader *j, const st_model *model, const piece *added, char *seen,
                              st_error *error) {
    static const char expected[] = "DCP_SHARDING_INFO: expected {\"NAME\": {\"saved_offsets\": [0, ...]}, ...}";
    if (json_value(j) != JSON_OBJECT) return fail(error, ST_ERR_JSON, file, expected);
    while (json_member(j)) {
        const st_tensor *t = st_find_n(model, j->key, j->key_bytes);
        const size_t i = t ? (size_t)(t - model->tensors) : 0;
        int found, has_rank;
        if (!t) { /* st copy may have left this tensor out */
            json_skip(j, json_value(j));
            continue;
        }
        if (seen[i]) return fail_tensor(error, ST_ERR_DUPLICATE, file, t->name, "is in DCP_SHARDING_INFO twice");
        if (!read_entry(j, (uint64_t *)(uintptr_t)added[i].offsets, t->rank, &found, &has_rank)) {
            return fail(error, ST_ERR_JSON, file, expected);
        }
        if (!has_rank) {
            return fail_tensor(error, ST_ERR_SCHEMA, file, t->name,
                               "has another number of dimensions than saved_offsets");
        }
        seen[i] = (char)found;
    }
    return json_end(j) ? ST_OK : fail(error, ST_ERR_JSON, file, expected);
}

static st_status read_sharding_info(const char *file, const st_model *model, const piece *added, st_error *error) {
    const st_pair *version = st_find_metadata(model, "DCP_VERSION");
    const st_pair *info = st_find_metadata(model, "DCP_SHARDING_INFO");
    char *text, *seen;
    json_reader j;
    st_status status;
    size_t i;
    if (version && strcmp(version->value, "1.0") != 0) {
        return fail(error, ST_ERR_UNSUPPORTED, file, "unknown DCP_VERSION; expected 1.0");
    }
    if (!info)
        return fail(error, ST_ERR_SCHEMA, file, "the metadata has no DCP_SHARDING_INFO: where the pieces belong");
    text = (char *)malloc(info->value_bytes + 1);
    seen = (char *)calloc(model->count + 1, 1);
    status = text && seen ? ST_OK : no_memory(error);
    if (status == ST_OK) {
        memcpy(text, info->value, info->value_bytes + 1); /* the parser changes it */
        json_begin(&j, text, info->value_bytes);
        status = read_entries(file, &j, model, added, seen, error);
    }
    for (i = 0; status == ST_OK && i < model->count; i++) {
        if (seen[i]) continue;
        status = fail_tensor(error, ST_ERR_SCHEMA, file, model->tensors[i].name, "has no saved_offsets");
    }
    free(seen);
    free(text);
    return status;
}

/* ---- reading the headers ------------------------------------------------------------------------------------ */

static int is_kept(const st_pair *pair) { /* what is not about pieces */
    return strcmp(pair->key, "DCP_SHARDING_INFO") != 0 && strcmp(pair->key, "DCP_VERSION") != 0;
}

static char *copy_text(char **to, const char *text, size_t bytes) {
    char *copy = *to;
    memcpy(copy, text, bytes + 1);
    *to += bytes + 1;
    return copy;
}

/* Allocates a block for what is kept of a header: numbers first, then pairs, then text. */
static void *allocate_block(const st_model *m, uint64_t **numbers, st_pair **pairs, char **text) {
    size_t i, number_count = 0, pair_count = 0, text_bytes = 0;
    char *block;
    for (i = 0; i < m->count; i++) {
        number_count += (size_t)m->tensors[i].rank * 2;
        text_bytes += m->tensors[i].name_bytes + 1;
    }
    for (i = 0; i < m->metadata_count; i++) {
        if (!is_kept(&m->metadata[i])) continue;
        pair_count++;
        text_bytes += m->metadata[i].key_bytes + m->metadata[i].value_bytes + 2;
    }
    block = (char *)calloc(number_count * sizeof **numbers + (pair_count + 1) * sizeof **pairs + text_bytes, 1);
    if (!block) return NULL;
    *numbers = (uint64_t *)(void *)block;
    *pairs = (st_pair *)(void *)(*numbers + number_count);
    *text = (char *)(*pairs + pair_count + 1);
    return block;
}

static int reserve_pieces(pieces *p, size_t added) {
    piece *larger;
    if (added <= p->piece_capacity - p->piece_count) return 1;
    if (added > SIZE_MAX / 4 / sizeof *larger - p->piece_count) return 0;
    p->piece_capacity = (p->piece_count + added) * 2;
    larger = (piece *)realloc(p->pieces, p->piece_capacity * sizeof *larger);
    if (larger) p->pieces = larger;
    return larger != NULL;
}

/* Adds the pieces of an open file, without offsets, and its metadata. */
static int add_file(pieces *p, size_t number, const st_model *m) {
    st_shard *shard = &p->shards[number];
    uint64_t *numbers = NULL;
    st_pair *pairs = NULL;
    char *text = NULL;
    size_t i;
    p->files[number].block = allocate_block(m, &numbers, &pairs, &text);
    if (!p->files[number].block || !reserve_pieces(p, m->count)) return 0;
    *shard = m->shards[0];
    shard->path = p->files[number].path;
    shard->metadata = pairs;
    shard->metadata_count = 0;
    for (i = 0; i < m->metadata_count; i++) {
        st_pair *pair = &pairs[shard->metadata_count];
        if (!is_kept(&m->metadata[i])) continue;
        *pair = m->metadata[i];
        pair->key = copy_text(&text, pair->key, pair->key_bytes);
        pair->value = copy_text(&text, pair->value, pair->value_bytes);
        shard->metadata_count++;
    }
    if (shard->metadata_count == 0) shard->metadata = NULL;
    for (i = 0; i < m->count; i++) {
        const st_tensor *t = &m->tensors[i];
        piece *added = &p->pieces[p->piece_count + i];
        memset(added, 0, sizeof *added);
        added->name = copy_text(&text, t->name, t->name_bytes);
        added->name_bytes = t->name_bytes;
        added->file = number;
        added->dtype = t->dtype;
        added->rank = t->rank;
        added->bytes = t->bytes;
        added->begin = t->offset;
        added->shape = numbers;
        added->offsets = numbers + t->rank;
        if (t->rank) memcpy(numbers, t->shape, t->rank * sizeof *numbers);
        numbers += (size_t)t->rank * 2;
    }
    return 1;
}

static st_status read_headers(pieces *p, st_error *error) {
    const st_open_options options = piece_options();
    st_status status = ST_OK;
    size_t i;
    for (i = 0; status == ST_OK && i < p->file_count; i++) {
        piece_file *f = &p->files[i];
        st_model *model;
        FILE *file = system_open(f->path);
        const int is_regular = file && system_file_stamp(file, &f->stamp);
        if (file) fclose(file);
        status = st_open(&model, f->path, &options, error);
        if (status != ST_OK) return status;
        if (!is_regular || f->stamp.bytes != model->shards[0].file_bytes) {
            status = fail(error, ST_ERR_IO, f->name, "was changed while it was opened");
        } else if (!add_file(p, i, model)) {
            status = no_memory(error);
        } else {
            status = read_sharding_info(f->name, model, p->pieces + p->piece_count, error);
            p->piece_count += model->count;
        }
        st_close(model);
    }
    return status;
}

/* ---- whole tensors: every element in exactly one piece ------------------------------------------------------ */

static int compare_names(const piece *a, const piece *b) {
    return compare_text(a->name, a->name_bytes, b->name, b->name_bytes);
}

static int by_name_and_offsets(const void *x, const void *y) {
    const piece *a = (const piece *)x, *b = (const piece *)y;
    int order = compare_names(a, b);
    uint32_t i;
    for (i = 0; order == 0 && i < a->rank && i < b->rank; i++) {
        order = a->offsets[i] < b->offsets[i] ? -1 : a->offsets[i] > b->offsets[i];
    }
    return order ? order : a->file < b->file ? -1 : a->file > b->file;
}

static int spans(const piece *a, const whole *w, uint32_t dimension) {
    return a->offsets[dimension] == 0 && a->shape[dimension] == w->shape[dimension];
}

/* A corner of a box, and the change of the count of boxes there: summed over all corners at or before an element (in
 * every dimension), the changes give the number of boxes that hold the element. */
typedef struct corner {
    uint64_t position[MAX_SPLIT];
    int change;
} corner;

static int by_position(const void *x, const void *y) {
    const corner *a = (const corner *)x, *b = (const corner *)y;
    int i;
    for (i = 0; i < MAX_SPLIT; i++) {
        if (a->position[i] != b->position[i]) return a->position[i] < b->position[i] ? -1 : 1;
    }
    return 0;
}

/* Adds the corners of a box, from low to low + size in the dimensions that are split. low NULL: from 0. */
static corner *add_corners(corner *c, const uint64_t *low, const uint64_t *size, const uint32_t *split, uint32_t count,
                           int change) {
    uint32_t mask, i;
    for (mask = 0; mask < 1u << count; mask++, c++) {
        memset(c, 0, sizeof *c);
        c->change = change;
        for (i = 0; i < count; i++) {
            c->position[i] = low ? low[split[i]] : 0;
            if (mask >> i & 1) c->position[i] += size[split[i]], c->change = -c->change;
        }
    }
    return c;
}

/* Returns the first position at which the pieces do not hold an element exactly once, and in *count by how many pieces
 * they differ from that; NULL if there is none. With the whole subtracted, all changes must be 0; where the first one is
 * not, nothing comes before it, so it is the difference itself. */
static const corner *find_fault(corner *corners, size_t corner_count, int *count) {
    size_t i = 0, k;
    qsort(corners, corner_count, sizeof *corners, by_position);
    while (i < corner_count) {
        *count = 0;
        for (k = i; k < corner_count && by_position(&corners[i], &corners[k]) == 0; k++) *count += corners[k].change;
        if (*count) return &corners[i];
        i = k;
    }
    return NULL;
}

static int holds(const piece *a, const uint64_t *position) {
    uint32_t i;
    for (i = 0; i < a->rank; i++) {
        if (position[i] < a->offsets[i] || position[i] - a->offsets[i] >= a->shape[i]) return 0;
    }
    return 1;
}

/* Writes [3,0], or the beginning of a long list. */
static void write_position(char *text, size_t room, const uint64_t *position, uint32_t rank) {
    size_t n = (size_t)snprintf(text, room, "[");
    uint32_t i;
    for (i = 0; i < rank && n + 32 < room; i++) {
        n += (size_t)snprintf(text + n, room - n, "%s%.0f", i ? "," : "", (double)position[i]);
    }
    snprintf(text + n, room - n, "%s]", i < rank ? ",..." : "");
}

/* Reports a gap or an overlap with its position, and an overlap with two of its files. */
static st_status report_fault(const pieces *p, const whole *w, const corner *fault, int count, const uint32_t *split,
                              uint32_t split_count, st_error *error) {
    const piece *first = &p->pieces[w->first];
    uint64_t *position = (uint64_t *)calloc((size_t)first->rank + 1, sizeof *position);
    char text[96], message[3 * MESSAGE];
    const char *files[2] = {"", ""};
    size_t i, found = 0;
    if (!position) return no_memory(error);
    for (i = 0; i < split_count; i++) position[split[i]] = fault->position[i];
    write_position(text, sizeof text, position, first->rank);
    for (i = 0; i < w->count && found < 2; i++) {
        if (holds(&first[i], position)) files[found++] = p->files[first[i].file].name;
    }
    free(position);
    if (count > 0) {
        snprintf(message, sizeof message, "pieces of \"%.40s\" overlap at %s: in %.56s and %.56s", first->name, text,
                 files[0], files[1]);
    } else {
        snprintf(message, sizeof message, "no file has the element %s of \"%.60s\": is a file missing?", text,
                 first->name);
    }
    return set_error(error, ST_ERR_SHARD, message);
}

static st_status check_cover(const pieces *p, const whole *w, st_error *error) {
    const piece *first = &p->pieces[w->first];
    uint32_t split[MAX_SPLIT], split_count = 0, d;
    corner *corners, *end;
    const corner *fault;
    int count;
    st_status status = ST_OK;
    size_t i;
    for (d = 0; d < first->rank; d++) {
        for (i = 0; i < w->count && (first[i].bytes == 0 || spans(&first[i], w, d)); i++) continue;
        if (i == w->count) continue;
        if (split_count == MAX_SPLIT) {
            return fail_tensor(error, ST_ERR_UNSUPPORTED, p->files[first->file].name, first->name,
                               "is split in more than 6 dimensions");
        }
        split[split_count++] = d;
    }
    if (w->count + 1 > (SIZE_MAX / sizeof *corners) >> split_count) return no_memory(error);
    corners = (corner *)malloc(((w->count + 1) << split_count) * sizeof *corners);
    if (!corners) return no_memory(error);
    end = add_corners(corners, NULL, w->shape, split, split_count, -1);
    for (i = 0; i < w->count; i++) {
        if (first[i].bytes) end = add_corners(end, first[i].offsets, first[i].shape, split, split_count, 1);
    }
    fault = find_fault(corners, (size_t)(end - corners), &count);
    if (fault) status = report_fault(p, w, fault, count, split, split_count, error);
    free(corners);
    return status;
}

/* Sets how the tensor is walked. The pieces cover it. */
static st_status set_strides(const pieces *p, whole *w, unsigned bits, st_error *error) {
    const piece *first = &p->pieces[w->first];
    uint64_t stride = 1;
    uint32_t d;
    size_t i;
    w->unit_bits = bits;
    for (d = first->rank; d > 0; d--) {
        for (i = 0; i < w->count && (first[i].bytes == 0 || spans(&first[i], w, d - 1)); i++) continue;
        if (i < w->count) break;
        w->unit_bits *= w->shape[d - 1];
    }
    w->dimensions = d;
    if (d == 0) return ST_OK;
    for (i = 0; i < w->count; i++) {
        if (first[i].bytes == 0 ||
            (first[i].offsets[d - 1] * w->unit_bits % 8 == 0 && first[i].shape[d - 1] * w->unit_bits % 8 == 0)) {
            continue;
        }
        return fail_tensor(error, ST_ERR_SUBBYTE, p->files[first[i].file].name, first->name,
                           "has rows that do not begin and end at whole bytes");
    }
    for (; d > 0; d--) {
        w->strides[d - 1] = stride;
        stride = d == w->dimensions ? w->shape[d - 1] * w->unit_bits / 8 : stride * w->shape[d - 1];
    }
    return ST_OK;
}

/* Sets the full shape: the largest end of a piece in each dimension. */
static st_status set_shape(const pieces *p, whole *w, st_tensor *t, st_error *error) {
    const piece *first = &p->pieces[w->first];
    const unsigned bits = st_dtype_bits(first->dtype);
    char text[MESSAGE];
    uint32_t d;
    size_t i;
    for (i = 0; i < w->count; i++) {
        const char *file = p->files[first[i].file].name;
        if (first[i].dtype != first->dtype || first[i].rank != first->rank) {
            snprintf(text, sizeof text, "has another %s than in %.80s",
                     first[i].dtype != first->dtype ? "dtype" : "number of dimensions", p->files[first->file].name);
            return fail_tensor(error, ST_ERR_SHARD, file, first->name, text);
        }
        for (d = 0; d < first->rank; d++) {
            const uint64_t offset = first[i].offsets[d], size = first[i].shape[d];
            if (offset > INT64_MAX - size || size > INT64_MAX) {
                return fail_tensor(error, ST_ERR_OVERFLOW, file, first->name, "would end beyond 2^63 elements");
            }
            if (offset + size > w->shape[d]) w->shape[d] = offset + size;
        }
    }
    *t = st_tensor_of(first->name, first->dtype, first->rank, w->shape, NULL);
    t->name_bytes = first->name_bytes;
    t->dtype_name = st_dtype_name(first->dtype);
    t->elements = 1;
    for (d = 0; d < first->rank; d++) {
        if (w->shape[d] == 0) t->elements = 0;
    }
    for (d = 0; t->elements && d < first->rank; d++) {
        if (w->shape[d] > INT64_MAX / bits / t->elements) {
            return fail_tensor(error, ST_ERR_OVERFLOW, p->files[first->file].name, first->name,
                               "would have more than 2^63 bits");
        }
        t->elements *= w->shape[d];
    }
    t->bytes = t->elements * bits / 8;
    return ST_OK;
}

static st_status make_whole(pieces *p, size_t number, size_t begin, size_t end, st_error *error) {
    whole *w = &p->wholes[number];
    st_tensor *t = &p->tensors[number];
    const uint32_t rank = p->pieces[begin].rank;
    st_status status;
    w->first = begin;
    w->count = end - begin;
    w->shape = (uint64_t *)calloc((size_t)rank * 2 + 1, sizeof *w->shape);
    if (!w->shape) return no_memory(error);
    w->strides = w->shape + rank;
    status = set_shape(p, w, t, error);
    if (status != ST_OK || t->elements == 0) return status;
    status = check_cover(p, w, error);
    return status == ST_OK ? set_strides(p, w, st_dtype_bits(t->dtype), error) : status;
}

static st_status make_wholes(pieces *p, st_error *error) {
    st_status status = ST_OK;
    size_t begin, end;
    if (p->piece_count) qsort(p->pieces, p->piece_count, sizeof *p->pieces, by_name_and_offsets);
    p->wholes = (whole *)calloc(p->piece_count + 1, sizeof *p->wholes);
    p->tensors = (st_tensor *)calloc(p->piece_count + 1, sizeof *p->tensors);
    if (!p->wholes || !p->tensors) return no_memory(error);
    for (begin = 0; status == ST_OK && begin < p->piece_count; begin = end) {
        for (end = begin + 1; end < p->piece_count; end++) {
            if (compare_names(&p->pieces[begin], &p->pieces[end]) != 0) break;
        }
        status = make_whole(p, p->count++, begin, end, error);
    }
    return status;
}

/* ---- reading data ------------------------------------------------------------------------------------------- */

static void close_slot(pieces *p, open_file *slot) {
    if (!slot->file) return;
    fclose(slot->file);
    slot->file = NULL;
    p->files[slot->number].slot = 0;
}

static open_file *oldest_slot(pieces *p) {
    open_file *oldest = &p->open_files[0];
    int i;
    for (i = 1; i < MAX_OPEN && oldest->file; i++) {
        open_file *slot = &p->open_files[i];
        if (!slot->file || slot->last_use < oldest->last_use) oldest = slot;
    }
    return oldest;
}

/* Closes the file that was read longest ago. Returns 0 if none is open. */
static int close_oldest(pieces *p) {
    open_file *oldest = NULL;
    int i;
    for (i = 0; i < MAX_OPEN; i++) {
        open_file *slot = &p->open_files[i];
        if (slot->file && (!oldest || slot->last_use < oldest->last_use)) oldest = slot;
    }
    if (oldest) close_slot(p, oldest);
    return oldest != NULL;
}

static int fail_read(const piece_file *f, const char *text, int code, st_error *error) {
    char message[3 * MESSAGE]; /* set_error shortens it */
    snprintf(message, sizeof message, "%.120s: %s%s%.80s", f->name, text, code > 0 ? ": " : "",
             code > 0 ? strerror(code) : "");
    set_error(error, ST_ERR_IO, message);
    return code > 0 ? code : ST_IO_ENDED;
}

/* Returns the open file, or NULL with *code and the error set. */
static FILE *use_file(pieces *p, size_t number, int *code, st_error *error) {
    piece_file *f = &p->files[number];
    open_file *slot = f->slot ? &p->open_files[f->slot - 1] : oldest_slot(p);
    file_stamp stamp;
    slot->last_use = ++p->clock;
    if (f->slot) return slot->file;
    close_slot(p, slot);
    do slot->file = system_open(f->path);
    while (!slot->file && (errno == EMFILE || errno == ENFILE) && close_oldest(p));
    if (!slot->file) {
        *code = fail_read(f, "cannot open", errno ? errno : EIO, error);
        return NULL;
    }
    slot->number = number;
    f->slot = (unsigned)(slot - p->open_files) + 1;
    setvbuf(slot->file, NULL, _IONBF, 0);
    if (!system_file_stamp(slot->file, &stamp) || memcmp(&stamp, &f->stamp, sizeof stamp) != 0) {
        *code = fail_read(f, "was replaced or changed after it was opened", 0, error);
        close_slot(p, slot);
        return NULL;
    }
    return slot->file;
}

/* Reads bytes [offset, offset + n) of a file. */
static int read_bytes(pieces *p, size_t number, uint64_t offset, unsigned char *dst, size_t n, st_error *error) {
    int code = 0;
    FILE *file = use_file(p, number, &code, error);
    errno = 0;
    if (!file || system_read_at(file, offset, dst, n)) return code;
    return fail_read(&p->files[number], "cannot read", feof(file) ? 0 : errno ? errno : EIO, error);
}

/* where a piece begins in a dimension that is walked, and how far it goes; the last one counts bytes */
static uint64_t low_of(const whole *w, const piece *a, uint32_t d) {
    return d + 1 < w->dimensions ? a->offsets[d] : a->offsets[d] * w->unit_bits / 8;
}

static uint64_t size_of(const whole *w, const piece *a, uint32_t d) {
    return d + 1 < w->dimensions ? a->shape[d] : a->shape[d] * w->unit_bits / 8;
}

/* Returns how many bytes of a piece come before byte number `offset` of the whole tensor. Both have the same order, so
 * the bytes between two offsets lie together in the piece. */
static uint64_t bytes_before(const whole *w, const piece *a, uint64_t offset) {
    uint64_t before = 0, stride = a->bytes;
    uint32_t d;
    for (d = 0; d < w->dimensions; d++) {
        const uint64_t low = low_of(w, a, d), size = size_of(w, a, d), index = offset / w->strides[d];
        stride /= size;
        if (index < low) return before;
        if (index - low >= size) return before + size * stride;
        before += (index - low) * stride;
        offset %= w->strides[d];
    }
    return before;
}

/* Copies bytes [from, to) of a piece to their places in dst, which begins at byte number `offset` of the tensor. */
static void scatter(const whole *w, const piece *a, uint64_t from, uint64_t to, const unsigned char *bytes,
                    uint64_t offset, unsigned char *dst) {
    const uint32_t last = w->dimensions - 1;
    const uint64_t row_bytes = size_of(w, a, last);
    while (from < to) {
        uint64_t rest = from, stride = a->bytes, target = 0, rows = 1, column = 0;
        uint32_t d;
        for (d = 0; d <= last; d++) {
            uint64_t index;
            stride /= size_of(w, a, d);
            index = rest / stride;
            rest %= stride;
            target += (low_of(w, a, d) + index) * w->strides[d];
            if (d + 1 == last) rows = size_of(w, a, d) - index;
            column = index;
        }
        for (; rows && from < to; rows--) { /* to the end of the last dimension but one */
            const uint64_t left = row_bytes - column;
            const size_t n = (size_t)(left < to - from ? left : to - from);
            memcpy(dst + (target - offset), bytes, n);
            bytes += n, from += n;
            target += (last ? w->strides[last - 1] : 0) - column;
            column = 0;
        }
    }
}

/* Reads bytes of a tensor, at most as many as the buffer has. */
static int read_block(pieces *p, const whole *w, uint64_t offset, unsigned char *dst, size_t n, st_error *error) {
    const uint64_t stride = w->dimensions ? w->strides[0] : 1, end = offset + n;
    size_t i, done = 0;
    int code = 0;
    for (i = 0; code == 0 && done < n && i < w->count; i++) {
        const piece *a = &p->pieces[w->first + i];
        uint64_t from = offset, to = end;
        if (a->bytes == 0) continue;
        if (w->dimensions) {
            const uint64_t low = low_of(w, a, 0);
            if (low > (end - 1) / stride) break; /* pieces are sorted by offset */
            if (low + size_of(w, a, 0) <= offset / stride) continue;
            from = bytes_before(w, a, offset);
            to = bytes_before(w, a, end);
        }
        if (to - from == n) return read_bytes(p, a->file, a->begin + from, dst, n, error);
        if (from == to) continue;
        code = read_bytes(p, a->file, a->begin + from, p->buffer, (size_t)(to - from), error);
        if (code == 0) scatter(w, a, from, to, p->buffer, offset, dst);
        done += (size_t)(to - from);
    }
    return code;
}

/* Reads bytes through the window. Sets *n to their number, which may be smaller than asked for. */
static int read_window(pieces *p, size_t tensor, uint64_t offset, unsigned char *dst, size_t *n, st_error *error) {
    if (tensor != p->window_tensor || offset - p->window_offset >= p->window_bytes) { /* also if offset is smaller */
        const uint64_t left = p->tensors[tensor].bytes - offset;
        const size_t bytes = left < WINDOW_BYTES ? (size_t)left : (size_t)WINDOW_BYTES;
        int code;
        p->window_bytes = 0;
        code = read_block(p, &p->wholes[tensor], offset, p->window, bytes, error);
        if (code) return code;
        p->window_tensor = tensor;
        p->window_offset = offset;
        p->window_bytes = bytes;
    }
    offset -= p->window_offset;
    if (*n > p->window_bytes - (size_t)offset) *n = p->window_bytes - (size_t)offset;
    memcpy(dst, p->window + (size_t)offset, *n);
    return 0;
}

static int read_pieces(void *user, size_t tensor, uint64_t offset, void *dst, size_t n, st_error *error) {
    pieces *p = (pieces *)user;
    const whole *w = &p->wholes[tensor];
    unsigned char *to = (unsigned char *)dst;
    int code = 0;
    system_lock(); /* threads share the buffers and the open files */
    while (code == 0 && n) {
        size_t part = n < BLOCK_BYTES ? n : (size_t)BLOCK_BYTES;
        code = p->window && w->count > MAX_OPEN ? read_window(p, tensor, offset, to, &part, error)
                                                : read_block(p, w, offset, to, part, error);
        offset += part, to += part, n -= part;
    }
    system_unlock();
    return code;
}

/* ---- opening ------------------------------------------------------------------------------------------------ */

static void close_pieces(void *user) {
    pieces *p = (pieces *)user;
    size_t i;
    for (i = 0; i < MAX_OPEN; i++) close_slot(p, &p->open_files[i]);
    for (i = 0; i < p->file_count; i++) {
        free(p->files[i].path);
        free(p->files[i].block);
    }
    for (i = 0; i < p->count; i++) free(p->wholes[i].shape);
    free(p->wholes);
    free(p->tensors);
    free(p->pieces);
    free(p->shards);
    free(p->files);
    free(p->window);
    free(p->buffer);
    free(p);
}

static st_status take_names(pieces *p, const char *directory, const listing *l, st_error *error) {
    p->files = (piece_file *)calloc(l->count + 1, sizeof *p->files);
    p->shards = (st_shard *)calloc(l->count + 1, sizeof *p->shards);
    p->buffer = (unsigned char *)malloc(l->count > MAX_OPEN ? WINDOW_BYTES : BLOCK_BYTES);
    if (!p->files || !p->shards || !p->buffer) return no_memory(error);
    if (l->count > MAX_OPEN && (p->window = (unsigned char *)malloc(WINDOW_BYTES)) == NULL) return no_memory(error);
    for (; p->file_count < l->count; p->file_count++) {
        piece_file *f = &p->files[p->file_count];
        f->path = join_path(directory, l->names[p->file_count]);
        if (!f->path) return no_memory(error);
        f->name = f->path + strlen(f->path) - strlen(l->names[p->file_count]);
    }
    return check_numbers(l, error);
}

st_status open_pieces(st_model **model, const char *path, const st_open_options *options, st_error *error) {
    pieces *p = (pieces *)calloc(1, sizeof *p);
    virtual_model v;
    listing l;
    st_status status = ST_ERR_SHARD;
    *model = NULL;
    if (!p) return no_memory(error);
    if (!list_names(&l, path) || l.count == 0) {
        status = set_error(error, ST_ERR_IO, "cannot list this directory");
    } else {
        status = take_names(p, path, &l, error);
    }
    free_listing(&l);
    if (status == ST_OK) status = read_headers(p, error);
    if (status == ST_OK) status = make_wholes(p, error);
    if (status != ST_OK) {
        close_pieces(p);
        return status;
    }
    memset(&v, 0, sizeof v);
    v.tensors = p->tensors;
    v.count = p->count;
    v.files = p->shards;
    v.file_count = p->file_count;
    v.read = read_pieces;
    v.close = close_pieces;
    v.user = p;
    return open_virtual(model, path, &v, options, error);
}

int find_piece(const st_model *model, size_t tensor, size_t k, piece_info *info) {
    const virtual_model *v = virtual_of(model);
    const pieces *p = v && v->read == read_pieces ? (const pieces *)v->user : NULL;
    const piece *a;
    if (!p || k >= p->wholes[tensor].count) return 0;
    a = &p->pieces[p->wholes[tensor].first + k];
    info->file = &p->shards[a->file];
    info->file_number = a->file;
    info->offsets = a->offsets;
    info->shape = a->shape;
    info->bytes = a->bytes;
    info->offset = a->begin;
    return 1;
}
