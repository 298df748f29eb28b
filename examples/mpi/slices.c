/* slices.c: which part of a tensor a rank holds, and how it reads that part and nothing else. */
#define _POSIX_C_SOURCE 200809L
#define _FILE_OFFSET_BITS 64
#include "../common/json.h"
#include "mpi_model.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

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

/* Reads exactly these bytes of a file of the source. */
static st_status read_extent(source *s, const piece *p, const st_extent *e, unsigned char *dst, job *j) {
    const st_shard *shard = &p->model->shards[e->shard];
    uint64_t done = 0;
    if (s->fd < 0 || s->fd_shard != shard) {
        if (s->fd >= 0) close(s->fd);
        s->fd = open(shard->path, O_RDONLY | O_CLOEXEC);
        s->fd_shard = shard;
        if (s->fd < 0) return job_fail(j, ST_ERR_IO, shard->path, strerror(errno));
    }
    while (done < e->bytes) {
        const ssize_t n = pread(s->fd, dst + e->to + done, (size_t)(e->bytes - done), (off_t)(e->offset + done));
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) return job_fail(j, ST_ERR_IO, shard->path, n ? strerror(errno) : "the file became shorter");
        done += (uint64_t)n;
    }
    s->bytes_read += e->bytes;
    return ST_OK;
}

/* st_load reads through small gaps, which is right where a file is on one machine. Here the bytes between a rank's
 * columns are those of other ranks, so the extents are read one by one. */
static st_status read_view(source *s, const piece *p, const st_view *view, unsigned char *dst, job *j) {
    st_load_item item = ST_ZERO_INIT;
    st_extent *extents;
    size_t count = 0, i;
    st_status status;
    item.tensor = p->tensor;
    item.view = view;
    status = st_plan_load(p->model, &item, 1, 0, NULL, 0, &count, &j->error);
    if (status == ST_OK) return ST_OK; /* nothing to read */
    if (status != ST_ERR_ARGUMENT || count == 0) return status;
    extents = (st_extent *)malloc(count * sizeof *extents);
    if (!extents) return job_fail(j, ST_ERR_MEMORY, p->tensor->name, "out of memory");
    status = st_plan_load(p->model, &item, 1, 0, extents, count, &count, &j->error);
    for (i = 0; i < count && status == ST_OK; i++) status = read_extent(s, p, &extents[i], dst, j);
    free(extents);
    return status;
}

typedef struct box { /* in elements of the whole tensor */
    uint64_t begin[MAX_RANK], end[MAX_RANK];
} box;

/* Copies a packed box into another packed box that contains it, row by row. */
static void scatter(const whole *w, const box *inner, const box *outer, const unsigned char *from, unsigned char *to) {
    const uint32_t rank = w->tensor.rank, last = rank - 1;
    const uint64_t bits = st_dtype_bits(w->tensor.dtype);
    const uint64_t row = (inner->end[last] - inner->begin[last]) * bits / 8;
    uint64_t index[MAX_RANK];
    uint32_t d;
    memcpy(index, inner->begin, sizeof index);
    for (;;) {
        uint64_t place = 0;
        for (d = 0; d < rank; d++) place = place * (outer->end[d] - outer->begin[d]) + index[d] - outer->begin[d];
        memcpy(to + place * bits / 8, from, (size_t)row);
        from += row;
        for (d = last; d-- > 0;) {
            if (++index[d] < inner->end[d]) break;
            index[d] = inner->begin[d];
        }
        if (d == UINT32_MAX) return;
    }
}

/* Reads what a piece has of a box, into the packed box. */
static st_status read_common(source *s, const whole *w, const piece *p, const box *wanted, unsigned char *dst, job *j) {
    const uint32_t rank = w->tensor.rank;
    const uint64_t bits = st_dtype_bits(w->tensor.dtype);
    st_range ranges[MAX_RANK];
    st_view view = ST_ZERO_INIT;
    box common;
    uint64_t elements = 1, all = 1;
    unsigned char *block = dst;
    st_status status;
    uint32_t d;
    for (d = 0; d < rank; d++) {
        const uint64_t low = p->offsets[d], high = low + p->tensor->shape[d];
        common.begin[d] = wanted->begin[d] > low ? wanted->begin[d] : low;
        common.end[d] = wanted->end[d] < high ? wanted->end[d] : high;
        if (common.begin[d] >= common.end[d]) return ST_OK;
        ranges[d].start = common.begin[d] - low;
        ranges[d].stop = common.end[d] - low;
        ranges[d].step = 1;
        elements *= common.end[d] - common.begin[d];
        all *= wanted->end[d] - wanted->begin[d];
    }
    view.ranges = ranges;
    view.range_count = rank;
    if (elements != all) { /* other pieces have the rest */
        block = (unsigned char *)malloc((size_t)(elements * bits / 8));
        if (!block) return job_fail(j, ST_ERR_MEMORY, w->tensor.name, "out of memory");
    }
    status = read_view(s, p, &view, block, j);
    if (block != dst) {
        if (status == ST_OK) scatter(w, &common, wanted, block, dst);
        free(block);
    }
    return status;
}

st_status read_slice(source *s, size_t tensor, const slice *part, void *dst, job *j) {
    const whole *w = &s->wholes[tensor];
    box wanted;
    uint32_t d;
    size_t i;
    if (slice_bytes(w, part) == 0) return ST_OK;
    if (w->count == 1 && part->axis < 0) { /* also scalars and unknown dtypes, of which there are no views */
        return read_view(s, &s->pieces[w->first], NULL, (unsigned char *)dst, j);
    }
    for (d = 0; d < w->tensor.rank; d++) {
        wanted.begin[d] = 0;
        wanted.end[d] = w->shape[d];
    }
    if (part->axis >= 0) {
        wanted.begin[part->axis] = part->begin;
        wanted.end[part->axis] = part->end;
    }
    for (i = 0; i < w->count; i++) {
        const st_status status = read_common(s, w, &s->pieces[w->first + i], &wanted, (unsigned char *)dst, j);
        if (status) return status;
    }
    return ST_OK;
}

/* ---- opening ------------------------------------------------------------------------------------------------ */

/* The number of a file of pieces, shard-00002-model-00001-of-00001.safetensors; 0 for other names. */
static unsigned piece_number(const char *name) {
    unsigned number = 0;
    int end = 0;
    sscanf(name, "shard-%5u-model-00001-of-00001.safetensors%n", &number, &end);
    return end > 0 && name[end] == 0 ? number : 0;
}

/* Counts the pieces in a directory. Their numbers must be 1, 2, 3 ...: a save that was interrupted leaves no number 1.
 * */
static st_status count_pieces(const char *path, size_t *count, job *j) {
    DIR *directory = opendir(path);
    const struct dirent *entry;
    unsigned largest = 0;
    *count = 0;
    if (!directory) return ST_OK; /* a file, or nothing: st_open says what is wrong */
    while ((entry = readdir(directory)) != NULL) {
        const unsigned number = piece_number(entry->d_name);
        *count += number > 0;
        if (number > largest) largest = number;
    }
    closedir(directory);
    if (*count == largest) return ST_OK; /* names are unique, so these are 1 to largest */
    return job_fail(j, ST_ERR_SHARD, path, "the numbers of its pieces are not 1, 2, 3 ...: was saving interrupted?");
}

/* Opens the pieces, or with count 0 the path itself. */
static st_status open_models(source *s, const char *path, size_t count, job *j) {
    st_open_options options = ST_ZERO_INIT;
    char file[PATH_BYTES];
    st_status status = ST_OK;
    options.flags = ST_OPEN_NO_MAP; /* bytes are read through extents */
    if (count == 0) return st_open(&s->models[s->model_count++], path, &options, &j->error);
    while (s->model_count < count && status == ST_OK) {
        snprintf(file, sizeof file, "%s/shard-%05u-model-00001-of-00001.safetensors", path,
                 (unsigned)s->model_count + 1);
        status = st_open(&s->models[s->model_count++], file, &options, &j->error);
    }
    return status;
}

/* The order of files that the reference writes: by dtype, then name. So a model has the same shards whatever it is read
 * from. */
static int compare_tensors(const st_tensor *a, const st_tensor *b) {
    const int order = memcmp(a->name, b->name, a->name_bytes < b->name_bytes ? a->name_bytes : b->name_bytes);
    if (a->dtype != b->dtype) return a->dtype > b->dtype ? -1 : 1;
    return order ? order : a->name_bytes < b->name_bytes ? -1 : a->name_bytes > b->name_bytes;
}

static int by_tensor(const void *x, const void *y) {
    return compare_tensors(((const piece *)x)->tensor, ((const piece *)y)->tensor);
}

/* Reads {"NAME": {"saved_offsets": [..]}, ..} into the pieces of one file. */
static st_status read_offsets(const st_model *m, piece *pieces, char *text, size_t bytes, job *j) {
    json_reader r;
    size_t found = 0;
    json_begin(&r, text, bytes);
    if (json_value(&r) != JSON_OBJECT) r.fault = "no object";
    while (json_member(&r)) {
        const st_tensor *t = st_find_n(m, r.key, r.key_bytes);
        if (json_value(&r) != JSON_OBJECT || !t) break;
        while (json_member(&r)) {
            const int are_offsets = json_is(r.key, r.key_bytes, "saved_offsets");
            const json_kind kind = json_value(&r);
            uint32_t d = 0;
            if (!are_offsets || kind != JSON_ARRAY) json_skip(&r, kind);
            while (are_offsets && kind == JSON_ARRAY && json_element(&r)) {
                if (json_value(&r) != JSON_NUMBER || d == t->rank || r.number < 0 || r.number > 9e15)
                    r.fault = "no offset";
                if (!r.fault) pieces[t - m->tensors].offsets[d++] = (uint64_t)r.number;
            }
            found += are_offsets && d == t->rank;
        }
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

/* The whole tensor of pieces [first, first + count). They cover it exactly: no two overlap, and sizes add up. */
static st_status make_whole(const source *s, whole *w, job *j) {
    const piece *p = &s->pieces[w->first];
    uint64_t bytes = 0, elements = 0, product = 1;
    size_t i, k;
    uint32_t d;
    w->tensor = *p->tensor;
    w->tensor.data = NULL;
    memset(w->shape, 0, sizeof w->shape);
    for (i = 0; i < w->count; i++) {
        const st_tensor *t = p[i].tensor;
        if (t->rank != p->tensor->rank || (w->count > 1 && (t->elements == 0 || st_dtype_bits(t->dtype) % 8))) {
            return job_fail(j, ST_ERR_SHARD, t->name, "pieces of different ranks, without elements, or sub-byte");
        }
        for (d = 0; d < t->rank; d++) {
            if (t->shape[d] > UINT64_MAX - p[i].offsets[d]) return job_fail(j, ST_ERR_OVERFLOW, t->name, "too large");
            if (p[i].offsets[d] + t->shape[d] > w->shape[d]) w->shape[d] = p[i].offsets[d] + t->shape[d];
        }
        for (k = 0; k < i; k++) {
            if (overlap(&p[i], &p[k], t->rank)) return job_fail(j, ST_ERR_SHARD, t->name, "pieces overlap");
        }
        bytes += t->bytes;
        elements += t->elements;
    }
    for (d = 0; d < w->tensor.rank; d++) {
        product = w->shape[d] && product > UINT64_MAX / w->shape[d] ? UINT64_MAX : product * w->shape[d];
    }
    if (product != elements) return job_fail(j, ST_ERR_SHARD, p->tensor->name, "a piece is missing");
    w->tensor.bytes = bytes;
    w->tensor.elements = elements;
    return ST_OK;
}

static st_status make_wholes(source *s, job *j) {
    size_t i;
    if (s->are_pieces && s->piece_count) qsort(s->pieces, s->piece_count, sizeof *s->pieces, by_tensor);
    for (i = 0; i < s->piece_count; s->count++) {
        whole *w = &s->wholes[s->count];
        st_status status;
        w->first = i;
        while (i < s->piece_count && compare_tensors(s->pieces[i].tensor, s->pieces[w->first].tensor) == 0) i++;
        w->count = i - w->first;
        status = make_whole(s, w, j);
        if (status) return status;
        w->tensor.shape = w->shape;
    }
    return ST_OK;
}

st_status source_open(source *s, const char *path, job *j) {
    size_t count, i, all = 0;
    st_status status;
    memset(s, 0, sizeof *s);
    s->fd = -1;
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
    if (s->fd >= 0) close(s->fd);
    for (i = 0; i < s->model_count; i++) st_close(s->models[i]);
    free(s->models);
    free(s->pieces);
    free(s->wholes);
}
