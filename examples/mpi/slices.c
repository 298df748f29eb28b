/* slices.c: which part of a tensor a rank holds, and how it reads that part and nothing else. */
#define _POSIX_C_SOURCE 200809L
#include "../common/json.h"
#include "mpi_model.h"
#include <dirent.h>
#include <errno.h>
#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* ---- rules -------------------------------------------------------------------------------------------------- */

/* As in tensor parallel training: what consumes a divided activation is divided by its columns, other matrices by rows.
 * */
static const rule default_rules[] = {
    {"*o_proj.weight", 'c'}, {"*down_proj.weight", 'c'},    {"*out_proj.weight", 'c'},
    {"*.fc2.weight", 'c'},   {"*output.dense.weight", 'c'}, {"*dense_4h_to_h.weight", 'c'},
    {"*.w2.weight", 'c'},    {"*linear2.weight", 'c'},      {"*", 'r'},
};

static char rule_of(const job *j, const char *name) {
    const rule *r = default_rules;
    size_t i;
    for (i = 0; i < j->rule_count; i++) {
        if (fnmatch(j->rules[i].pattern, name, 0) == 0) return j->rules[i].how;
    }
    while (fnmatch(r->pattern, name, 0) != 0) r++;
    return r->how;
}

slice slice_of(const job *j, const source *s, size_t tensor, int rank) {
    const whole *w = &s->wholes[tensor];
    const uint64_t n = (uint64_t)j->ranks, r = (uint64_t)rank;
    const char how = rule_of(j, w->tensor.name);
    uint64_t extent, steps;
    slice part;
    part.axis = how == 'w' || w->tensor.rank < 2 ? -1 : how == 'c' ? 1 : 0;
    part.owner = (int)(tensor % n);
    part.begin = part.end = 0;
    if (part.axis >= 0) { /* no elements, no parts; those of less than a byte are divided only where whole bytes are */
        steps = part.axis ? w->shape[0] * w->shape[1] : w->shape[0];
        if (w->tensor.elements == 0 || w->tensor.bytes % steps != 0) part.axis = -1;
    }
    if (part.axis < 0) return part;
    extent = w->shape[part.axis];
    part.begin = extent / n * r + extent % n * r / n; /* extent * r / n without overflow */
    part.end = extent / n * (r + 1) + extent % n * (r + 1) / n;
    return part;
}

uint64_t slice_bytes(const whole *w, const slice *part) {
    return part->axis < 0 ? w->tensor.bytes : w->tensor.bytes / w->shape[part->axis] * (part->end - part->begin);
}

/* ---- reading ------------------------------------------------------------------------------------------------ */

/* Reads what a piece has of a slice to its place there. Axes at the end that are whole in both are read in one run.
 * st_load with an st_view would read through the small gaps between runs, which is right where a file is on one machine.
 * Here those bytes belong to other ranks. st_read fails if the file was replaced after it was opened. */
static st_status read_common(source *s, const whole *w, const piece *p, const slice *part, unsigned char *dst, job *j) {
    const st_tensor *t = p->tensor;
    uint64_t begin[MAX_RANK + 1] = {0}, end[MAX_RANK + 1] = {1}, index[MAX_RANK + 1], first[MAX_RANK + 1] = {0};
    uint64_t extent[MAX_RANK + 1] = {1}, unit = st_dtype_bits(t->dtype),
                               run; /* unit: bits of an index of axis `last` */
    uint32_t d, last = t->rank ? t->rank - 1 : 0;
    for (d = 0; d < t->rank; d++) {
        const uint64_t low = p->offsets[d], high = low + t->shape[d],
                       stop = (int)d == part->axis ? part->end : w->shape[d];
        first[d] = (int)d == part->axis ? part->begin : 0;
        extent[d] = stop - first[d];
        begin[d] = first[d] > low ? first[d] : low;
        end[d] = stop < high ? stop : high;
        if (begin[d] >= end[d]) return ST_OK;
    }
    while (last && t->shape[last] == w->shape[last] && extent[last] == w->shape[last]) unit *= w->shape[last--];
    run = (end[last] - begin[last]) * unit / 8;
    memcpy(index, begin, sizeof index);
    for (;;) {
        uint64_t from = 0, to = 0;
        for (d = 0; t->rank && d <= last; d++) {
            from = from * t->shape[d] + index[d] - p->offsets[d];
            to = to * extent[d] + index[d] - first[d];
        }
        if (st_read(p->model, t, from * unit / 8, dst + to * unit / 8, (size_t)run, &j->error)) return j->error.status;
        s->bytes_read += run;
        for (d = last; d-- > 0;) {
            if (++index[d] < end[d]) break;
            index[d] = begin[d];
        }
        if (d == UINT32_MAX) return ST_OK;
    }
}

st_status read_slice(source *s, size_t tensor, const slice *part, void *dst, job *j) {
    const whole *w = &s->wholes[tensor];
    st_status status = ST_OK;
    size_t i;
    for (i = 0; i < w->count && status == ST_OK; i++) {
        status = read_common(s, w, &s->pieces[w->first + i], part, (unsigned char *)dst, j);
    }
    return status;
}

/* ---- opening ------------------------------------------------------------------------------------------------ */

unsigned piece_number(const char *name) {
    char right[64];
    unsigned number = 0;
    if (sscanf(name, "shard-%u-", &number) != 1) return 0;
    snprintf(right, sizeof right, PIECE_NAME, number);
    return strcmp(name, right) == 0 ? number : 0;
}

/* Counts the pieces in a directory that holds no other model. Their numbers must be 1, 2, 3 ...: a save that was
 * interrupted leaves no number 1. */
static st_status count_pieces(const char *path, size_t *count, job *j) {
    DIR *directory = opendir(path);
    const struct dirent *entry;
    unsigned largest = 0;
    int has_model = 0;
    *count = 0;
    if (!directory) return ST_OK; /* a file, or nothing: st_open says what is wrong */
    while ((entry = readdir(directory)) != NULL) {
        const unsigned number = piece_number(entry->d_name);
        *count += number > 0;
        if (number > largest) largest = number;
        has_model |= strcmp(entry->d_name, "model.safetensors") == 0 || strstr(entry->d_name, ".safetensors.index.");
    }
    closedir(directory);
    if (has_model) *count = 0;                        /* as st_open and st see it */
    if (has_model || *count == largest) return ST_OK; /* names are unique, so these are 1 to largest */
    return job_fail(j, ST_ERR_SHARD, path, "the numbers of its pieces are not 1, 2, 3 ...: was saving interrupted?");
}

/* Opens the pieces, or with count 0 the path itself. */
static st_status open_models(source *s, const char *path, size_t count, job *j) {
    st_open_options options = ST_ZERO_INIT;
    char file[PATH_BYTES], first[PATH_BYTES];
    struct stat before, after;
    st_status status = ST_OK;
    options.flags = ST_OPEN_NO_MAP; /* bytes are read through extents */
    if (count == 0) return st_open(&s->models[s->model_count++], path, &options, &j->error);
    snprintf(first, sizeof first, "%s/" PIECE_NAME, path, 1u);
    if (stat(first, &before)) return job_fail(j, ST_ERR_IO, first, strerror(errno));
    while (s->model_count < count && status == ST_OK) {
        snprintf(file, sizeof file, "%s/" PIECE_NAME, path, (unsigned)s->model_count + 1);
        status = st_open(&s->models[s->model_count++], file, &options, &j->error);
    }
    if (status == ST_OK && (stat(first, &after) || after.st_ino != before.st_ino ||
                            memcmp(&after.st_mtim, &before.st_mtim, sizeof after.st_mtim) != 0)) {
        status = job_fail(j, ST_ERR_IO, path, "the pieces were replaced while they were opened");
    }
    return status;
}

static int compare_names(const st_tensor *a, const st_tensor *b) {
    const int order = memcmp(a->name, b->name, a->name_bytes < b->name_bytes ? a->name_bytes : b->name_bytes);
    return order ? order : a->name_bytes < b->name_bytes ? -1 : a->name_bytes > b->name_bytes;
}

static int by_name(const void *x, const void *y) {
    return compare_names(((const piece *)x)->tensor, ((const piece *)y)->tensor);
}

/* The order of files that the reference writes: by dtype, then name. So a model has the same shards whatever it is read
 * from. */
static int by_dtype(const void *x, const void *y) {
    const st_tensor *a = &((const whole *)x)->tensor, *b = &((const whole *)y)->tensor;
    return a->dtype == b->dtype ? compare_names(a, b) : a->dtype > b->dtype ? -1 : 1;
}

/* Reads {"NAME": {"saved_offsets": [..]}, ..} into the pieces of one file. */
static st_status read_offsets(const st_model *m, piece *pieces, char *text, size_t bytes, job *j) {
    json_reader r;
    size_t found = 0;
    json_begin(&r, text, bytes);
    if (json_value(&r) != JSON_OBJECT) r.fault = "no object";
    while (json_member(&r)) {
        const st_tensor *t = st_find_n(m, r.key, r.key_bytes);
        piece *p = t ? &pieces[t - m->tensors] : NULL;
        if (json_value(&r) != JSON_OBJECT || !t || p->is_placed) break;
        while (json_member(&r)) {
            const int are_offsets = json_is(r.key, r.key_bytes, "saved_offsets");
            const json_kind kind = json_value(&r);
            uint32_t d = 0;
            if (!are_offsets || kind != JSON_ARRAY) json_skip(&r, kind);
            while (are_offsets && kind == JSON_ARRAY && json_element(&r)) {
                if (json_value(&r) != JSON_NUMBER || d == t->rank || r.number < 0 || r.number > 9e15 ||
                    r.number != (double)(uint64_t)r.number) {
                    r.fault = "no offset";
                }
                if (!r.fault) p->offsets[d++] = (uint64_t)r.number;
            }
            if (are_offsets) p->is_placed = kind == JSON_ARRAY && d == t->rank && !p->is_placed;
        }
        found += (size_t)p->is_placed;
    }
    if (json_end(&r) && found == m->count) return ST_OK;
    return job_fail(j, ST_ERR_SCHEMA, m->shards[0].path, "DCP_SHARDING_INFO does not place each tensor");
}

static st_status add_pieces(source *s, size_t file, job *j) {
    const st_model *m = s->models[file];
    piece *first = &s->pieces[s->piece_count];
    const st_pair *info;
    char *text;
    st_status status;
    size_t i;
    for (i = 0; i < m->count; i++, s->piece_count++) {
        if (m->tensors[i].rank > MAX_RANK)
            return job_fail(j, ST_ERR_TOO_LARGE, m->tensors[i].name, "over 16 dimensions");
        memset(&first[i], 0, sizeof first[i]);
        first[i].model = m;
        first[i].tensor = &m->tensors[i];
    }
    if (!s->are_pieces || m->count == 0) return ST_OK;
    info = st_find_metadata(m, "DCP_SHARDING_INFO");
    if (!info) return job_fail(j, ST_ERR_SCHEMA, m->shards[0].path, "no DCP_SHARDING_INFO in the metadata");
    text = (char *)malloc(info->value_bytes + 1);
    if (!text) return job_fail(j, ST_ERR_MEMORY, m->shards[0].path, "out of memory");
    memcpy(text, info->value, info->value_bytes + 1);
    status = read_offsets(m, first, text, info->value_bytes, j);
    free(text);
    return status;
}

/* Two boxes of one tensor share an element if they do so in every dimension. */
static int overlap(const piece *a, const piece *b, uint32_t rank) {
    uint32_t d;
    for (d = 0; d < rank; d++) {
        if (a->offsets[d] >= b->offsets[d] + b->tensor->shape[d] ||
            b->offsets[d] >= a->offsets[d] + a->tensor->shape[d]) {
            return 0;
        }
    }
    return 1;
}

/* The whole tensor of pieces [first, first + count). They cover it exactly: no two overlap, and sizes add up. Pieces
 * without elements are those of ranks that have no row. */
static st_status make_whole(const source *s, whole *w, job *j) {
    const piece *p = &s->pieces[w->first];
    uint64_t bytes = 0, elements = 0, product = 1, unit = st_dtype_bits(p->tensor->dtype);
    size_t i, k;
    uint32_t d, cut = 0; /* axes that are divided: all before number `cut`, at most */
    w->tensor = *p->tensor;
    w->tensor.data = NULL;
    memset(w->shape, 0, sizeof w->shape);
    for (i = 0; i < w->count; i++) {
        const st_tensor *t = p[i].tensor;
        if (t->rank != p->tensor->rank || t->dtype != p->tensor->dtype) {
            return job_fail(j, ST_ERR_SHARD, t->name, "pieces of different ranks or dtypes");
        }
        for (d = 0; d < t->rank; d++) {
            if (t->shape[d] > UINT64_MAX - p[i].offsets[d]) return job_fail(j, ST_ERR_OVERFLOW, t->name, "too large");
            if (p[i].offsets[d] + t->shape[d] > w->shape[d]) w->shape[d] = p[i].offsets[d] + t->shape[d];
        }
        for (k = 0; k < i; k++) {
            if (t->elements && p[k].tensor->elements && overlap(&p[i], &p[k], t->rank))
                return job_fail(j, ST_ERR_SHARD, t->name, "pieces overlap");
        }
        bytes += t->bytes;
        elements += t->elements;
    }
    for (d = 0; d < w->tensor.rank; d++) {
        product = w->shape[d] && product > UINT64_MAX / w->shape[d] ? UINT64_MAX : product * w->shape[d];
    }
    if (product != elements) return job_fail(j, ST_ERR_SHARD, p->tensor->name, "a piece is missing");
    for (i = 0; i < w->count; i++) {
        for (d = cut; d < w->tensor.rank; d++) {
            if (p[i].tensor->elements && p[i].tensor->shape[d] != w->shape[d]) cut = d + 1;
        }
    }
    for (d = cut; cut && d < w->tensor.rank; d++) unit = unit * (w->shape[d] % 8); /* modulo 8 */
    if (cut && unit % 8) return job_fail(j, ST_ERR_SUBBYTE, p->tensor->name, "a piece begins within a byte");
    w->tensor.bytes = bytes;
    w->tensor.elements = elements;
    return ST_OK;
}

static st_status make_wholes(source *s, job *j) {
    size_t i;
    if (s->piece_count) qsort(s->pieces, s->piece_count, sizeof *s->pieces, by_name);
    for (i = 0; i < s->piece_count; s->count++) {
        whole *w = &s->wholes[s->count];
        st_status status;
        w->first = i;
        while (i < s->piece_count && compare_names(s->pieces[i].tensor, s->pieces[w->first].tensor) == 0) i++;
        w->count = i - w->first;
        status = make_whole(s, w, j);
        if (status) return status;
    }
    if (s->count) qsort(s->wholes, s->count, sizeof *s->wholes, by_dtype);
    for (i = 0; i < s->count; i++) s->wholes[i].tensor.shape = s->wholes[i].shape;
    return ST_OK;
}

static uint64_t hash(uint64_t h, const void *bytes, size_t n) { /* FNV-1a */
    const unsigned char *b = (const unsigned char *)bytes;
    while (n--) h = (h ^ *b++) * 1099511628211u;
    return h;
}

st_status source_compare(const source *s, const char *path, job *j) {
    uint64_t h[2] = {14695981039346656037u, 0}, least[2]; /* h[1] = ~h[0]: its minimum gives the maximum of h[0] */
    size_t i;
    for (i = 0; i < s->piece_count; i++) {
        const st_tensor *t = s->pieces[i].tensor;
        h[0] = hash(hash(h[0], t->name, t->name_bytes), &t->dtype, sizeof t->dtype);
        h[0] = hash(hash(h[0], t->shape, t->rank * sizeof *t->shape), &t->offset, sizeof t->offset);
        h[0] = hash(h[0], s->pieces[i].offsets, sizeof s->pieces[i].offsets);
    }
    h[1] = ~h[0];
    MPI_Allreduce(h, least, 2, MPI_UINT64_T, MPI_MIN, MPI_COMM_WORLD);
    return least[0] == ~least[1] ? ST_OK : job_fail(j, ST_ERR_SHARD, path, "the ranks see different files");
}

st_status source_open(source *s, const char *path, job *j) {
    size_t count, i, all = 0;
    st_status status;
    memset(s, 0, sizeof *s);
    status = count_pieces(path, &count, j);
    if (status) return status;
    s->are_pieces = count > 0;
    s->models = (st_model **)calloc(count + 1, sizeof *s->models);
    if (!s->models) return job_fail(j, ST_ERR_MEMORY, path, "out of memory");
    status = open_models(s, path, count, j);
    if (status) return status;
    for (i = 0; i < s->model_count; i++) all += s->models[i]->count;
    s->pieces = (piece *)malloc((all + 1) * sizeof *s->pieces);
    s->wholes = (whole *)malloc((all + 1) * sizeof *s->wholes);
    if (!s->pieces || !s->wholes) return job_fail(j, ST_ERR_MEMORY, path, "out of memory");
    for (i = 0; i < s->model_count && status == ST_OK; i++) status = add_pieces(s, i, j);
    return status ? status : make_wholes(s, j);
}

void source_close(source *s) {
    size_t i;
    for (i = 0; i < s->model_count; i++) st_close(s->models[i]);
    free(s->models);
    free(s->pieces);
    free(s->wholes);
}
