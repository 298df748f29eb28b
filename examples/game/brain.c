/* brain.c: loads, runs and writes the network. */
#if !defined(_POSIX_C_SOURCE)
#define _POSIX_C_SOURCE 200809L /* st_mtim */
#endif
#include "brain.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

static st_status refuse(st_error *error, st_status status, const char *path, const char *what) {
    error->status = status;
    snprintf(error->message, sizeof error->message, "%.150s: %s", path, what); /* room for both */
    return status;
}

static int is_finite(const float *numbers, size_t count) {
    size_t i;
    for (i = 0; i < count; i++) {
        if (!isfinite(numbers[i])) return 0;
    }
    return 1;
}

static st_status brain_load(brain *b, const st_model *model, const char *path, st_error *error) {
    static const char *const names[4] = {"w1", "b1", "w2", "b2"};
    const st_tensor *t[4];
    uint64_t w1_shape[2] = {0, INPUTS}, w2_shape[2] = {OUTPUTS, 0};
    st_load_item items[4];
    st_status status;
    size_t i;
    memset(b, 0, sizeof *b);
    st_find_all(model, names, 4, t, NULL);
    if (!t[1] || t[1]->rank != 1 || t[1]->shape[0] < 1 || t[1]->shape[0] > HIDDEN) {
        return refuse(error, ST_ERR_SHARD, path, "b1 must have 1 to 16 elements: is this a brain?");
    }
    b->hidden = (unsigned)t[1]->shape[0];
    w1_shape[0] = w2_shape[1] = b->hidden;
    if (!st_has_shape(t[0], 2, w1_shape) || !st_has_shape(t[2], 2, w2_shape) || !st_has_shape(t[3], 1, w2_shape)) {
        return refuse(error, ST_ERR_SHARD, path, "expected w1 [n,4], b1 [n], w2 [2,n] and b2 [2]");
    }
    memset(items, 0, sizeof items);
    for (i = 0; i < 4; i++) {
        items[i].tensor = t[i];
        items[i].as = ST_DTYPE_F32;
        items[i].dst_bytes = (size_t)t[i]->elements * sizeof(float);
    }
    items[0].dst = b->w1;
    items[1].dst = b->b1;
    items[2].dst = b->w2;
    items[3].dst = b->b2;
    status = st_load(model, items, 4, NULL, error);
    if (status) return status;
    if (!is_finite(b->w1, HIDDEN * INPUTS) || !is_finite(b->b1, HIDDEN) || !is_finite(b->w2, OUTPUTS * HIDDEN) ||
        !is_finite(b->b2, OUTPUTS)) {
        return refuse(error, ST_ERR_DTYPE, path, "a weight is infinite or no number");
    }
    return ST_OK;
}

st_status brain_open(brain *b, const char *path, st_error *error) {
    st_open_options options = ST_ZERO_INIT;
    st_model *model;
    st_status status;
    options.flags = ST_OPEN_NO_MAP; /* a mapping would change with a file that is overwritten in place */
    status = st_open(&model, path, &options, error);
    if (status) return status;
    status = brain_load(b, model, path, error);
    st_close(model);
    return status;
}

void brain_think(const brain *b, const float inputs[INPUTS], float outputs[OUTPUTS]) {
    float hidden[HIDDEN];
    unsigned i, k;
    for (i = 0; i < b->hidden; i++) {
        float sum = b->b1[i];
        for (k = 0; k < INPUTS; k++) sum += b->w1[i * INPUTS + k] * inputs[k];
        hidden[i] = tanhf(sum);
    }
    for (i = 0; i < OUTPUTS; i++) {
        float sum = b->b2[i];
        for (k = 0; k < b->hidden; k++) sum += b->w2[i * b->hidden + k] * hidden[k];
        outputs[i] = isfinite(sum) ? tanhf(sum) : 0; /* weights that are too large must not take the ship away */
    }
}

/* ---- reloading ---------------------------------------------------------------------------------------------- */

static int is_same_file(const struct stat *a, const struct stat *b) {
    return a->st_dev == b->st_dev && a->st_ino == b->st_ino && a->st_size == b->st_size &&
           a->st_mtim.tv_sec == b->st_mtim.tv_sec && a->st_mtim.tv_nsec == b->st_mtim.tv_nsec;
}

st_status hot_brain_begin(hot_brain *hot, const char *path, st_error *error) {
    memset(hot, 0, sizeof *hot);
    hot->path = path;
    hot->current = &hot->slots[0];
    hot->loads = 1;
    if (stat(path, &hot->loaded)) memset(&hot->loaded, 0, sizeof hot->loaded); /* st_open reports what is wrong */
    return brain_open(&hot->slots[0], path, error);
}

int hot_brain_poll(hot_brain *hot) {
    brain *other = &hot->slots[hot->current == &hot->slots[0]];
    struct stat now;
    /* A file that is missing between two versions is no news. Its state is taken before it is opened, so a change while
     * it is read is seen by the next poll. */
    if (stat(hot->path, &now) || is_same_file(&now, &hot->loaded)) return 0;
    hot->loaded = now;
    if (brain_open(other, hot->path, &hot->error)) return 1;
    hot->current = other;
    hot->loads++;
    return 1;
}

/* ---- writing ------------------------------------------------------------------------------------------------ */

int brain_make(const char *path, const char *behaviour, st_status *status, st_error *error) {
    /* thrust = M (dx, dy, vx, vy): towards the target or away, and against the present speed */
    static const struct {
        const char *name;
        float m[OUTPUTS * INPUTS];
    } behaviours[] = {
        {"seek", {6, 0, -2.5f, 0, 0, 6, 0, -2.5f}},
        {"shy", {-3, 0, -1, 0, 0, -3, 0, -1}},
        {"orbit", {3, -5, -1, 0, 5, 3, 0, -1}},
    };
    const uint64_t w1_shape[2] = {4, INPUTS}, w2_shape[2] = {OUTPUTS, 4}, b1_shape[1] = {4}, b2_shape[1] = {OUTPUTS};
    float w1[4 * INPUTS], b1[4] = {0, 0, 0, 0}, w2[OUTPUTS * 4] = {1.5f, 0, -1.5f, 0, 0, 1.5f, 0, -1.5f},
                          b2[OUTPUTS] = {0, 0};
    st_tensor tensors[4];
    st_pair pair = ST_ZERO_INIT;
    st_contents contents = ST_ZERO_INIT;
    size_t i, k;
    for (i = 0; i < 3 && strcmp(behaviours[i].name, behaviour) != 0; i++) {}
    if (i == 3) return 0;
    for (k = 0; k < OUTPUTS * INPUTS; k++) { /* two units for each axis, with opposite signs */
        w1[k] = behaviours[i].m[k] / 2;
        w1[k + OUTPUTS * INPUTS] = -behaviours[i].m[k] / 2;
    }
    st_to_little_endian(ST_DTYPE_F32, w1, 4 * INPUTS);
    st_to_little_endian(ST_DTYPE_F32, w2, OUTPUTS * 4);
    tensors[0] = st_tensor_of("w1", ST_DTYPE_F32, 2, w1_shape, w1);
    tensors[1] = st_tensor_of("b1", ST_DTYPE_F32, 1, b1_shape, b1);
    tensors[2] = st_tensor_of("w2", ST_DTYPE_F32, 2, w2_shape, w2);
    tensors[3] = st_tensor_of("b2", ST_DTYPE_F32, 1, b2_shape, b2);
    pair.key = "behaviour";
    pair.value = behaviours[i].name;
    contents.tensors = tensors;
    contents.count = 4;
    contents.metadata = &pair;
    contents.metadata_count = 1;
    *status = st_save(path, &contents, NULL, error); /* atomic: the game never sees half a file */
    return 1;
}
