/* checkpoint.c: saves and resumes a run. The weights have their own names, so that the file is also a model. The state
 * of the run has others: optimizer.*, random.state, train.losses; and master.* for exact copies of weights that are
 * stored as F16 or BF16. Metadata holds the settings. All of it is replaced at once: a crash cannot mix two runs. */
#include "../../safetensors.h"
#include "train.h"
#include <float.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { WEIGHTS, MASTER, STATE, PARTS, ENTRIES = 4 * PARAMETERS + 3 };

typedef struct entry { /* a tensor of the file */
    char name[2 * NAME_BYTES];
    uint64_t shape[MAX_RANK], count;
    uint32_t rank;
    st_dtype dtype;
    int part;
    void *values; /* uint64_t for U64, else float; NULL before the run is allocated */
} entry;

static entry *add_entry(entry *e, int part, const char *prefix, const char *name, const tensor *a, void *values) {
    int d;
    (void)snprintf(e->name, sizeof e->name, "%s%s", prefix, name);
    e->rank = (uint32_t)a->rank, e->count = a->count, e->dtype = ST_DTYPE_F32, e->part = part, e->values = values;
    for (d = 0; d < a->rank; d++) e->shape[d] = a->shape[d];
    return e + 1;
}

/* Lists what a file of this run holds. */
static size_t list_entries(run *r, entry *list) {
    static const st_dtype dtypes[3] = {ST_DTYPE_F32, ST_DTYPE_F16, ST_DTYPE_BF16};
    const st_dtype dtype = dtypes[(int)r->settings[DTYPE]];
    const int is_adam = r->settings[OPTIMIZER] <= 0;
    const tensor one = {NULL, NULL, 1, {1}, 1, 0, NULL, {NULL}, NULL, {{0}, {0}, 0, 0}};
    tensor steps = one;
    entry *e = list;
    size_t i;
    for (i = 0; i < r->parameter_count; i++) {
        const tensor *a = &r->parameters[i];
        e = add_entry(e, WEIGHTS, "", r->names[i], a, a->data);
        e[-1].dtype = dtype;
        if (dtype != ST_DTYPE_F32) e = add_entry(e, MASTER, "master.", r->names[i], a, a->data);
        e = add_entry(e, STATE, is_adam ? "optimizer.m." : "optimizer.momentum.", r->names[i], a, r->moments[i][0]);
        if (is_adam) e = add_entry(e, STATE, "optimizer.v.", r->names[i], a, r->moments[i][1]);
    }
    steps.count = steps.shape[0] = r->step;
    e = add_entry(e, WEIGHTS, "block.mha.nl_oob.config", "", &one, &r->nl_oob_config);
    e = add_entry(e, STATE, "train.losses", "", &steps, r->losses);
    e = add_entry(e, STATE, "random.state", "", &one, &r->random);
    e[-1].dtype = ST_DTYPE_U64;
    return (size_t)(e - list);
}

/* Returns the bytes of a tensor as a file has them: in the dtype of the file, little-endian. */
static void *encode(const entry *e) {
    const size_t size = st_dtype_bits(e->dtype) / 8, n = (size_t)e->count;
    const st_dtype from = e->dtype == ST_DTYPE_U64 ? ST_DTYPE_U64 : ST_DTYPE_F32;
    void *bytes = allocate_zeroed(n, size);
    if (st_convert(e->dtype, bytes, from, e->values, n)) fail(e->name, "the values cannot be converted");
    st_to_little_endian(e->dtype, bytes, n);
    return bytes;
}

void save_checkpoint(run *r, const char *path) {
    entry list[ENTRIES];
    st_tensor tensors[ENTRIES];
    void *data[ENTRIES];
    char keys[SETTINGS][32], values[SETTINGS][32];
    st_pair pairs[SETTINGS + 1] = {{NULL, NULL, 0, 0}};
    st_contents contents = {tensors, list_entries(r, list), pairs, SETTINGS, NULL, 0, NULL};
    st_save_options options = ST_ZERO_INIT;
    st_error error;
    size_t i;
    for (i = 0; i < contents.count; i++) {
        data[i] = encode(&list[i]);
        tensors[i] = st_tensor_of(list[i].name, list[i].dtype, list[i].rank, list[i].shape, data[i]);
    }
    r->settings[STEP] = (double)r->step;
    for (i = 0; i < SETTINGS; i++) {
        (void)snprintf(keys[i], 32, "train.%s", settings[i].name);
        format_setting((int)i, r->settings[i], values[i]);
        pairs[i].key = keys[i], pairs[i].value = values[i];
    }
    if (r->head != &r->parameters[HEAD]) { /* another name of a tensor, noted as the reference tools do */
        pairs[SETTINGS].key = "head.weight", pairs[SETTINGS].value = r->names[EMBED];
        contents.metadata_count++;
    }
    options.max_shard_bytes = (uint64_t)r->settings[SHARDS];
    if ((options.max_shard_bytes ? st_save_sharded : st_save)(path, &contents, &options, &error)) {
        fail("cannot save", "%s", error.message);
    }
    for (i = 0; i < contents.count; i++) free(data[i]);
}

static void read_settings(run *r, const st_model *model, const char *path, const char *given) {
    char key[32];
    int i;
    for (i = 0; i < SETTINGS; i++) {
        const st_pair *pair;
        double value = settings[i].standard;
        const char *fault = settings[i].flags & REQUIRED ? "missing" : NULL;
        (void)snprintf(key, sizeof key, "train.%s", settings[i].name);
        pair = st_find_metadata(model, key);
        if (pair) fault = parse_setting(i, pair->value, &value);
        if (fault) fail(path, "metadata %s: %s", key, fault);
        if (given[i] && settings[i].flags & MAY_CHANGE) continue;
        if (given[i] && r->settings[i] != value) fail(path, "option --%s differs from the file", settings[i].name);
        r->settings[i] = value;
    }
    if (check_settings(r->settings)) fail(path, "metadata: %s", check_settings(r->settings));
    r->step = (size_t)r->settings[STEP];
}

/* Finds the tensors of the list. Refuses other shapes and dtypes, unknown tensors, and parts that are not whole. */
static void find_tensors(const st_model *model, const char *path, const entry *list, size_t count,
                         const st_tensor **found) {
    unsigned char *used = allocate_zeroed(model->count, 1);
    const char *missing[PARTS] = {NULL}, *present[PARTS] = {""};
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
        if (!st_has_shape(f, e->rank, e->shape)) {
            fail(path, "tensor %s does not have the shape that the metadata asks for", e->name);
        }
    }
    unknown = st_next_unused(model, used, NULL);
    free(used);
    if (unknown) fail(path, "unknown tensor %s", unknown->name);
    for (i = 0; i < PARTS; i++) {
        if (missing[i] && present[i]) fail(path, "tensor %s is missing", missing[i]);
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
    if (r->head != &r->parameters[HEAD] && (!tied || strcmp(tied->value, r->names[EMBED]) != 0)) {
        fail(path, "head.weight is neither a tensor nor noted as another name of embed.weight");
    }
    if (!found[count - 1]) r->step = 0;
    initialize(r); /* memory is allocated only now that the file has been seen to hold as much */
    r->losses = allocate_zeroed(r->step, sizeof *r->losses);
    (void)list_entries(r, list);
    for (i = 0; i < count; i++) {
        const float least = strncmp(list[i].name, "optimizer.v.", 12) == 0 ? 0 : -FLT_MAX, *values = list[i].values;
        const st_dtype dtype = list[i].dtype == ST_DTYPE_U64 ? ST_DTYPE_U64 : ST_DTYPE_F32;
        const size_t n = (size_t)list[i].count, bytes = n * st_dtype_bits(dtype) / 8;
        if (!found[i]) continue; /* weights come before their exact copies */
        if (st_read_as(model, found[i], NULL, dtype, list[i].values, bytes, &error)) fail(path, "%s", error.message);
        for (k = 0; dtype == ST_DTYPE_F32 && k < n; k++) {
            if (!(values[k] >= least && values[k] <= FLT_MAX)) fail(path, "tensor %s is not finite", list[i].name);
        }
    }
    if ((r->nl_oob_config == 1) != (r->settings[NL_OOB] > 0)) fail(path, "nl_oob.config differs from train.nl-oob");
    st_close(model);
}
