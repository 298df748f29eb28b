/* tensor.c: the tape and its operations. Eight compute derivatives; the others are composed of them. */
#include "tensor.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

void *allocate(size_t count, size_t size) {
    void *memory = calloc(count ? count : 1, size);
    if (!memory) fail("memory", "not enough for this model");
    return memory;
}

static size_t product(const size_t *shape, int rank) {
    size_t n = 1;
    int d;
    for (d = 0; d < rank; d++) n *= shape[d];
    return n;
}

/* ---- the tape ------------------------------------------------------------------------------------------ */

tensor *new_node(tape *t, int rank, const size_t *shape, size_t in_count, tensor *const *in,
                 void (*backward)(tensor *)) {
    tensor *n = allocate(1, sizeof *n + in_count * sizeof *in);
    size_t i, wanted = 0;
    n->in = (tensor **)(n + 1);
    for (i = 0; i < in_count; i++) {
        n->in[i] = in[i];
        if (in[i]->grad) wanted = 1;
    }
    if (rank) memcpy(n->shape, shape, (size_t)rank * sizeof *shape);
    n->rank = rank;
    n->count = product(n->shape, rank);
    n->in_count = in_count;
    n->data = allocate(n->count * (1 + wanted), sizeof *n->data);
    if (wanted) n->grad = n->data + n->count;
    if (wanted) n->backward = backward;
    n->before = t->last;
    return t->last = n;
}

tensor *constant(tape *t, int rank, const size_t *shape, const float *data) {
    tensor *n = new_node(t, rank, shape, 0, NULL, NULL);
    if (data) memcpy(n->data, data, n->count * sizeof *data);
    return n;
}

void tape_backward(tape *t) {
    tensor *n;
    for (n = t->last; n; n = n->before) {
        if (n->backward) n->backward(n);
    }
}

void tape_clear(tape *t) {
    while (t->last) {
        tensor *n = t->last;
        t->last = n->before;
        free(n->data);
        free(n->saved);
        free(n);
    }
}

/* ---- gather, and the shapes that it makes -------------------------------------------------------------- */

/* Returns the position that `strides`, one for each axis and then the first position, give to element i of a shape. */
static size_t position(const size_t *shape, int rank, const size_t *strides, size_t i) {
    size_t at = strides[rank];
    int d;
    for (d = rank - 1; d >= 0; i /= shape[d--]) at += i % shape[d] * strides[d];
    return at;
}

static void gather_backward(tensor *out) {
    size_t i;
    for (i = 0; i < out->count; i++) out->in[0]->grad[position(out->shape, out->rank, out->saved, i)] += out->grad[i];
}

tensor *gather(tape *t, tensor *a, int rank, const size_t *shape, const size_t *strides, size_t first) {
    tensor *out = new_node(t, rank, shape, 1, &a, gather_backward);
    size_t i;
    out->saved = allocate((size_t)rank + 1, sizeof *out->saved);
    if (rank) memcpy(out->saved, strides, (size_t)rank * sizeof *strides);
    out->saved[rank] = first;
    for (i = 0; i < out->count; i++) out->data[i] = a->data[position(shape, rank, out->saved, i)];
    return out;
}

void packed_strides(const size_t *shape, int rank, size_t *strides) {
    size_t n = 1;
    for (; rank-- > 0; n *= shape[rank]) strides[rank] = n;
}

tensor *reshape(tape *t, tensor *a, int rank, const size_t *shape) {
    size_t strides[MAX_RANK];
    if (product(shape, rank) != a->count) fail("reshape", "the shapes do not fit");
    packed_strides(shape, rank, strides);
    return gather(t, a, rank, shape, strides, 0);
}

tensor *permute(tape *t, tensor *a, const int *axes) {
    size_t strides[MAX_RANK], shape[MAX_RANK], by_axis[MAX_RANK];
    int d;
    packed_strides(a->shape, a->rank, strides);
    for (d = 0; d < a->rank; d++) {
        shape[d] = a->shape[axes[d]];
        by_axis[d] = strides[axes[d]];
    }
    return gather(t, a, a->rank, shape, by_axis, 0);
}

tensor *transpose(tape *t, tensor *a) {
    int d, axes[MAX_RANK];
    if (a->rank < 2) fail("transpose", "the shapes do not fit");
    for (d = 0; d < a->rank; d++) axes[d] = d < a->rank - 2 ? d : 2 * a->rank - 3 - d;
    return permute(t, a, axes);
}

tensor *expand(tape *t, tensor *a, int rank, const size_t *shape) {
    size_t strides[MAX_RANK], wide[MAX_RANK] = {0};
    const int lead = rank - a->rank;
    int d;
    if (lead == 0 && memcmp(a->shape, shape, (size_t)rank * sizeof *shape) == 0) return a;
    if (lead < 0) fail("expand", "the shapes do not fit");
    packed_strides(a->shape, a->rank, strides);
    for (d = lead; d < rank; d++) {
        const size_t n = a->shape[d - lead];
        if (n != shape[d] && n != 1) fail("expand", "the shapes do not fit");
        if (n != 1) wide[d] = strides[d - lead]; /* a repeated axis keeps the stride 0 */
    }
    return gather(t, a, rank, shape, wide, 0);
}

tensor *slice(tape *t, tensor *a, int axis, size_t begin, size_t end) {
    size_t strides[MAX_RANK], shape[MAX_RANK];
    if (begin > end || end > a->shape[axis]) fail("slice", "the shapes do not fit");
    packed_strides(a->shape, a->rank, strides);
    memcpy(shape, a->shape, sizeof shape);
    shape[axis] = end - begin;
    return gather(t, a, a->rank, shape, strides, begin * strides[axis]);
}

static void concat_backward(tensor *out) {
    const size_t run = product(out->shape + out->kind, out->rank - out->kind);
    size_t k, i, part, begin = 0;
    for (k = 0; k < out->in_count; k++, begin += part) {
        tensor *a = out->in[k];
        part = product(a->shape + out->kind, out->rank - out->kind);
        for (i = 0; a->grad && i < a->count; i++) a->grad[i] += out->grad[i / part * run + begin + i % part];
    }
}

tensor *concat(tape *t, tensor *const *in, size_t count, int axis) {
    size_t shape[MAX_RANK], k, i, run, part, begin = 0;
    tensor *out;
    memcpy(shape, in[0]->shape, sizeof shape);
    for (k = 1; k < count; k++) shape[axis] += in[k]->shape[axis];
    out = new_node(t, in[0]->rank, shape, count, in, concat_backward);
    out->kind = axis;
    run = product(shape + axis, out->rank - axis);
    for (k = 0; k < count; k++, begin += part) {
        part = product(in[k]->shape + axis, in[k]->rank - axis);
        if (in[k]->rank != out->rank || in[k]->count * run != out->count * part)
            fail("concat", "the shapes do not fit");
        for (i = 0; i < in[k]->count; i++) out->data[i / part * run + begin + i % part] = in[k]->data[i];
    }
    return out;
}

tensor *stack(tape *t, tensor *const *in, size_t count, int axis) {
    tensor **wide = allocate(count, sizeof *wide), *out;
    size_t shape[MAX_RANK], k;
    if (in[0]->rank >= MAX_RANK) fail("stack", "the shapes do not fit");
    memcpy(shape, in[0]->shape, (size_t)axis * sizeof *shape);
    shape[axis] = 1;
    memcpy(shape + axis + 1, in[0]->shape + axis, (size_t)(in[0]->rank - axis) * sizeof *shape);
    for (k = 0; k < count; k++) wide[k] = reshape(t, in[k], in[0]->rank + 1, shape);
    out = concat(t, wide, count, axis);
    free(wide);
    return out;
}

static void sum_backward(tensor *out) {
    tensor *a = out->in[0];
    size_t i;
    for (i = 0; i < a->count; i++) a->grad[i] += out->grad[position(a->shape, a->rank, out->saved, i)];
}

tensor *sum(tape *t, tensor *a, int axis) {
    size_t shape[MAX_RANK], i;
    tensor *out;
    memcpy(shape, a->shape, sizeof shape);
    shape[axis] = 1;
    out = new_node(t, a->rank, shape, 1, &a, sum_backward);
    out->saved = allocate(MAX_RANK + 1, sizeof *out->saved);
    packed_strides(shape, a->rank, out->saved);
    out->saved[axis] = 0; /* all elements along the axis go to one place */
    for (i = 0; i < a->count; i++) out->data[position(a->shape, a->rank, out->saved, i)] += a->data[i];
    return out;
}

/* ---- arithmetic ---------------------------------------------------------------------------------------- */

/* Sets shape to what a and b have after broadcasting, without the last `skip` axes. Returns its rank. */
static int broadcast(const tensor *a, const tensor *b, int skip, size_t *shape) {
    const int rank = (a->rank > b->rank ? a->rank : b->rank) - skip;
    int d;
    for (d = 0; d < rank; d++) {
        const int i = d - rank + a->rank - skip, k = d - rank + b->rank - skip;
        const size_t n = i < 0 ? 1 : a->shape[i], m = k < 0 ? 1 : b->shape[k];
        shape[d] = n == 1 ? m : n; /* expand checks the other */
    }
    return rank;
}

static void binary_backward(tensor *out) {
    tensor *a = out->in[0], *b = out->in[1];
    const int op = out->kind;
    size_t i;
    for (i = 0; i < out->count; i++) {
        const float g = out->grad[i], x = a->data[i], y = b->data[i];
        if (a->grad) a->grad[i] += op == '*' ? g * y : op == '/' ? g / y : g;
        if (b->grad) b->grad[i] += op == '+' ? g : op == '-' ? -g : op == '*' ? g * x : -g * x / y / y;
    }
}

tensor *binary(tape *t, int op, tensor *a, tensor *b) {
    size_t shape[MAX_RANK], i;
    const int rank = broadcast(a, b, 0, shape);
    tensor *in[2], *out;
    in[0] = expand(t, a, rank, shape);
    in[1] = expand(t, b, rank, shape);
    out = new_node(t, rank, shape, 2, in, binary_backward);
    out->kind = op;
    for (i = 0; i < out->count; i++) {
        const float x = in[0]->data[i], y = in[1]->data[i];
        out->data[i] = op == '+' ? x + y : op == '-' ? x - y : op == '*' ? x * y : x / y;
    }
    return out;
}

tensor *scale(tape *t, tensor *a, float factor) {
    return binary(t, '*', a, constant(t, 0, NULL, &factor));
}

static void matmul_backward(tensor *out) {
    tensor *a = out->in[0], *b = out->in[1];
    const size_t n = a->shape[a->rank - 2], k = a->shape[a->rank - 1], m = b->shape[b->rank - 1];
    size_t row, i, j;
    for (row = 0; row < out->count / m; row++) {
        for (i = 0; i < k; i++) {
            const size_t from = row * k + i, by = (row / n * k + i) * m;
            for (j = 0; j < m; j++) {
                if (a->grad) a->grad[from] += out->grad[row * m + j] * b->data[by + j];
                if (b->grad) b->grad[by + j] += out->grad[row * m + j] * a->data[from];
            }
        }
    }
}

tensor *matmul(tape *t, tensor *a, tensor *b) {
    size_t shape[MAX_RANK], n, k, m, row, i, j;
    const int rank = broadcast(a, b, 2, shape) + 2;
    tensor *in[2], *out;
    if (a->rank < 2 || b->rank < 2 || a->shape[a->rank - 1] != b->shape[b->rank - 2]) {
        fail("matmul", "the shapes do not fit");
    }
    n = a->shape[a->rank - 2], k = a->shape[a->rank - 1], m = b->shape[b->rank - 1];
    shape[rank - 2] = n, shape[rank - 1] = k;
    in[0] = expand(t, a, rank, shape);
    shape[rank - 2] = k, shape[rank - 1] = m;
    in[1] = expand(t, b, rank, shape);
    shape[rank - 2] = n;
    out = new_node(t, rank, shape, 2, in, matmul_backward);
    for (row = 0; row < out->count / m; row++) {
        for (i = 0; i < k; i++) {
            const float x = in[0]->data[row * k + i], *y = in[1]->data + (row / n * k + i) * m;
            for (j = 0; j < m; j++) out->data[row * m + j] += x * y[j];
        }
    }
    return out;
}

static float function(int kind, float x, float p) {
    switch (kind) {
    case RELU: return x > 0 ? x : 0;
    case SIGMOID: return 1 / (1 + expf(-x));
    case TANH: return tanhf(x);
    case GELU: return x * (0.5f + 0.5f * erff(x * 0.70710678f)); /* 1 / sqrt(2) */
    case EXP: return expf(x);
    case LOG: return logf(x);
    default: return powf(x, p);
    }
}

static float derivative(int kind, float x, float y, float p) {
    switch (kind) {
    case RELU: return x > 0 ? 1 : 0;
    case SIGMOID: return y * (1 - y);
    case TANH: return 1 - y * y;
    case GELU: return 0.5f + 0.5f * erff(x * 0.70710678f) + x * 0.39894228f * expf(-0.5f * x * x); /* 1 / sqrt(2 pi) */
    case EXP: return y;
    case LOG: return 1 / x;
    default: return p * powf(x, p - 1);
    }
}

static void map_backward(tensor *out) {
    tensor *a = out->in[0];
    size_t i;
    for (i = 0; i < out->count; i++) {
        a->grad[i] += out->grad[i] * derivative(out->kind, a->data[i], out->data[i], out->value);
    }
}

tensor *map(tape *t, int kind, tensor *a, float value) {
    tensor *out = new_node(t, a->rank, a->shape, 1, &a, map_backward);
    size_t i;
    out->kind = kind;
    out->value = value;
    for (i = 0; i < out->count; i++) out->data[i] = function(kind, a->data[i], value);
    return out;
}

/* ---- composed operations ------------------------------------------------------------------------------- */

tensor *log_softmax(tape *t, tensor *a, int axis) {
    tensor *largest = sum(t, constant(t, a->rank, a->shape, NULL), axis), *shifted, *total;
    tensor *where = expand(t, largest, a->rank, a->shape);
    size_t i, k;
    /* The largest element on each line keeps the exponential from overflowing. The result does not depend on it, so it
     * needs no gradient. */
    for (i = 0; i < largest->count; i++) largest->data[i] = -INFINITY;
    for (i = 0; i < a->count; i++) {
        k = where == largest ? i : position(where->shape, where->rank, where->saved, i);
        if (a->data[i] > largest->data[k]) largest->data[k] = a->data[i];
    }
    shifted = binary(t, '-', a, largest);
    total = sum(t, map(t, EXP, shifted, 0), axis);
    return binary(t, '-', shifted, map(t, LOG, total, 0));
}

tensor *softmax(tape *t, tensor *a, int axis) {
    return map(t, EXP, log_softmax(t, a, axis), 0);
}

tensor *layer_norm(tape *t, tensor *a, tensor *weight, tensor *bias) {
    const float epsilon = 1e-5f, share = 1 / (float)a->shape[a->rank - 1];
    tensor *centered = binary(t, '-', a, scale(t, sum(t, a, a->rank - 1), share));
    tensor *variance = scale(t, sum(t, map(t, POWER, centered, 2), a->rank - 1), share);
    tensor *deviation = map(t, POWER, binary(t, '+', variance, constant(t, 0, NULL, &epsilon)), 0.5f);
    return binary(t, '+', binary(t, '*', binary(t, '/', centered, deviation), weight), bias);
}

static tensor *mean(tape *t, tensor *a) {
    tensor *total = sum(t, reshape(t, a, 1, &a->count), 0);
    return reshape(t, scale(t, total, 1 / (float)a->count), 0, NULL);
}

tensor *mse(tape *t, tensor *a, tensor *b) {
    return mean(t, map(t, POWER, binary(t, '-', a, b), 2));
}

tensor *nll(tape *t, tensor *a, const size_t *classes) {
    tensor *picked = constant(t, a->rank, a->shape, NULL);
    size_t i;
    for (i = 0; i < a->shape[0]; i++) {
        if (a->rank != 2 || classes[i] >= a->shape[1]) fail("nll", "the classes do not fit");
        picked->data[i * a->shape[1] + classes[i]] = -(float)a->shape[1];
    }
    return mean(t, binary(t, '*', a, picked));
}

tensor *cross_entropy(tape *t, tensor *logits, const size_t *classes) {
    return nll(t, log_softmax(t, logits, 1), classes);
}
