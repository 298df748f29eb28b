/* checkpoint.c: saves and resumes a run. The weights have their own names, so that the file is also a model. The state of
 * the run has others: optimizer.*, random.state, train.losses; and master.* for exact copies of weights that are stored
 * as F16 or BF16. Metadata holds the settings and the step. All of it is replaced at once, so a crash mixes nothing. */
#include "../../safetensors.h"
#include "train.h"
#include <float.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { WEIGHTS, MASTER, STATE, PARTS, ENTRIES = 4 * PARAMETERS + 3 };

typedef struct entry { /* a tensor of the file */
    char name[2 * NAME_BYTES];
    uint64_t shape[MAX_RANK];
    uint32_t rank;
    st_dtype dtype, memory_dtype;
    int part;
    size_t count;
    void *values; /* NULL before the run is allocated */
} entry;

static entry *add_entry(entry *list, size_t *count, int part, const char *prefix, const char *name, void *values) {
    const entry scalar = {"", {1}, 1, ST_DTYPE_F32, ST_DTYPE_F32, part, 1, values};
    list[*count] = scalar;
    (void)snprintf(list[*count].name, sizeof scalar.name, "%s%s", prefix, name);
    return &list[(*count)++];
}

/* Lists what a file of this run holds. */
static size_t list_entries(run *r, entry *list) {
    static const st_dtype dtypes[3] = {ST_DTYPE_F32, ST_DTYPE_F16, ST_DTYPE_BF16};
    static const char *const moments[2][2] = {{"optimizer.m.", "optimizer.v."}, {"optimizer.momentum.", NULL}};
    const int dtype = (int)r->settings[DTYPE], optimizer = (int)r->settings[OPTIMIZER];
    size_t count = 0, i;
    int kind, d;
    entry *e;
    for (i = 0; i < r->parameter_count; i++) {
        for (kind = 0; kind < 4; kind++) { /* weights, their exact copies, and two moments */
            const char *prefix = kind == 0 ? "" : kind == 1 ? "master." : moments[optimizer][kind - 2];
            const tensor *a = &r->parameters[i];
            if (!prefix || (kind == 1 && dtype == 0)) continue;
            e = add_entry(list, &count, kind < 2 ? kind : STATE, prefix, r->names[i],
                          kind < 2 ? a->data : r->moments[i][kind - 2]);
            e->dtype = dtypes[kind == 0 ? dtype : 0];
            e->rank = (uint32_t)a->rank;
            e->count = a->count;
            for (d = 0; d < a->rank; d++) e->shape[d] = a->shape[d];
        }
    }
    add_entry(list, &count, WEIGHTS, "block.mha.nl_oob.config", "", &r->nl_oob_config);
    e = add_entry(list, &count, STATE, "random.state", "", &r->random);
    e->dtype = e->memory_dtype = ST_DTYPE_U64;
    e = add_entry(list, &count, STATE, "train.losses", "", r->losses);
    e->shape[0] = e->count = r->step;
    return count;
}

/* Returns the bytes of a tensor as a file has them: in the dtype of the file, little-endian. */
static void *encode(const entry *e) {
    const size_t size = st_dtype_bits(e->dtype) / 8;
    const uint16_t one = 1;
    unsigned char *bytes = allocate(e->count, size), low[8];
    size_t i, k;
    if (st_convert(e->dtype, bytes, e->memory_dtype, e->values, e->count))
        fail(e->name, "the values cannot be converted");
    for (i = 0; *(const unsigned char *)&one == 0 && i < e->count * size; i += size) { /* a big-endian machine */
        for (k = 0; k < size; k++) low[k] = bytes[i + size - 1 - k];
        memcpy(bytes + i, low, size);
    }
    return bytes;
}

void save_checkpoint(run *r, const char *path, uint64_t shard_bytes) {
    entry list[ENTRIES];
    st_tensor tensors[ENTRIES];
    void *data[ENTRIES];
    char keys[SETTINGS][32], values[SETTINGS][32];
    st_pair pairs[SETTINGS + 1];
    st_contents contents = {tensors, list_entries(r, list), pairs, SETTINGS, NULL, 0, NULL};
    st_save_options options = ST_ZERO_INIT;
    st_error error;
    size_t i;
    for (i = 0; i < contents.count; i++) {
        data[i] = encode(&list[i]);
        tensors[i] = st_tensor_of(list[i].name, list[i].dtype, list[i].rank, list[i].shape, data[i]);
    }
    memset(pairs, 0, sizeof pairs);
    r->settings[STEP] = (double)r->step;
    for (i = 0; i < SETTINGS; i++) {
        (void)snprintf(keys[i], 32, "train.%s", settings[i].name);
        format_setting((int)i, r->settings[i], values[i]);
        pairs[i].key = keys[i], pairs[i].value = values[i];
    }
    if (r->settings[TIE] > 0) { /* another name of a tensor, noted as the reference tools do */
        pairs[contents.metadata_count].key = "head.weight";
        pairs[contents.metadata_count++].value = r->names[EMBED];
    }
    options.max_shard_bytes = shard_bytes;
    if (shard_bytes ? st_save_sharded(path, &contents, &options, &error) : st_save(path, &contents, &options, &error)) {
        fail("cannot save", "%s", error.message);
    }
    for (i = 0; i < contents.count; i++) free(data[i]);
}

/* ---- resuming ------------------------------------------------------------------------------------------ */

static void read_settings(run *r, const st_model *model, const char *path, const char *given) {
    double values[SETTINGS];
    const char *fault;
    char key[32];
    int i;
    for (i = 0; i < SETTINGS; i++) {
        const st_pair *pair;
        (void)snprintf(key, sizeof key, "train.%s", settings[i].name);
        pair = st_find_metadata(model, key);
        values[i] = settings[i].standard;
        fault = pair ? parse_setting(i, pair->value, &values[i]) : settings[i].flags & REQUIRED ? "is missing" : NULL;
        if (fault) fail(path, "metadata %s %s", key, fault);
        if (given[i] && r->settings[i] != values[i] && !(settings[i].flags & MAY_CHANGE)) {
            fail(path, "--%s differs from %s in the file, and cannot change", settings[i].name, key);
        }
        if (given[i]) values[i] = r->settings[i];
    }
    fault = check_settings(values);
    if (fault) fail(path, "%s", fault);
    memcpy(r->settings, values, sizeof values);
    r->step = (size_t)values[STEP];
}

/* Finds the tensors of the list. Refuses those of another shape or dtype, unknown ones, and parts that are not whole. */
static void find_tensors(const st_model *model, const char *path, const entry *list, size_t count,
                         const st_tensor **found) {
    unsigned char *used = allocate(model->count, 1);
    const char *missing[PARTS] = {NULL}, *present[PARTS] = {NULL};
    const st_tensor *unknown;
    size_t i;
    for (i = 0; i < count; i++) {
        const entry *e = &list[i];
        const st_tensor *f = found[i] = st_find(model, e->name);
        *(f ? &present[e->part] : &missing[e->part]) = e->name;
        if (!f) continue;
        used[f - model->tensors] = 1;
        if (f->dtype != e->dtype) fail(path, "tensor %s is not %s", e->name, st_dtype_name(e->dtype));
        if (f->rank == 0 && strstr(e->name, "nl_oob.config")) continue; /* a scalar does for one number */
        if (f->rank != e->rank || memcmp(f->shape, e->shape, e->rank * sizeof *e->shape) != 0) {
            fail(path, "tensor %s does not have the shape that the metadata asks for", e->name);
        }
    }
    unknown = st_next_unused(model, used, NULL);
    free(used);
    if (unknown) fail(path, "unknown tensor %s", unknown->name);
    for (i = 0; i < PARTS; i++) {
        if (missing[i] && (present[i] || i == WEIGHTS)) fail(path, "tensor %s is missing", missing[i]);
    }
    if (missing[MASTER]) fputs("train: warning: no master.* in the file: resuming from rounded weights\n", stderr);
    if (missing[STATE]) fputs("train: warning: no optimizer.* in the file: beginning at step 0\n", stderr);
}

void load_checkpoint(run *r, const char *path, const char *given) {
    entry list[ENTRIES];
    const st_tensor *found[ENTRIES];
    const st_pair *tied;
    st_model *model;
    st_error error;
    size_t i, k, count;
    if (st_open(&model, path, NULL, &error)) fail("cannot resume", "%s", error.message);
    read_settings(r, model, path, given);
    declare_parameters(r);
    count = list_entries(r, list);
    find_tensors(model, path, list, count, found);
    tied = st_find_metadata(model, "head.weight");
    if (r->settings[TIE] > 0 && (!tied || strcmp(tied->value, r->names[EMBED]) != 0)) {
        fail(path, "head.weight is neither a tensor nor noted as another name of embed.weight");
    }
    /* Memory is allocated only now that the file has been seen to hold as much. */
    initialize(r);
    r->losses = allocate(r->step, sizeof *r->losses);
    (void)list_entries(r, list);
    for (i = 0; i < count; i++) {
        const float least = strncmp(list[i].name, "optimizer.v.", 12) == 0 ? 0 : -FLT_MAX, *values = list[i].values;
        const size_t bytes = list[i].count * st_dtype_bits(list[i].memory_dtype) / 8;
        if (!found[i]) continue; /* weights come before their exact copies */
        if (st_read_as(model, found[i], NULL, list[i].memory_dtype, list[i].values, bytes, &error)) {
            fail("cannot resume", "%s", error.message);
        }
        for (k = 0; list[i].memory_dtype == ST_DTYPE_F32 && k < list[i].count; k++) {
            if (!(values[k] >= least && values[k] <= FLT_MAX)) fail(path, "tensor %s is not finite", list[i].name);
        }
    }
    if ((r->nl_oob_config == 1) != (r->settings[NL_OOB] > 0)) fail(path, "nl_oob.config differs from train.nl-oob");
    if (!found[count - 1]) r->step = 0;
    st_close(model);
}
