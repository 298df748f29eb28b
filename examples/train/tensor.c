/* tensor.c: the tape and its operations. Three compute derivatives; the others are composed of them. */
#include "train.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

void *allocate_zeroed(size_t count, size_t size) {
    void *memory = calloc(count ? count : 1, size);
    if (!memory) fail("memory", "not enough for this model");
    return memory;
}

void expect(int fits, const char *operation) {
    if (!fits) fail(operation, "the shapes do not fit");
}

static size_t product(const size_t *shape, int rank) {
    return rank > 0 ? shape[0] * product(shape + 1, rank - 1) : 1;
}

tensor *new_node(tape *t, int rank, const size_t *shape, tensor *a, tensor *b, void (*compute)(tensor *, int)) {
    tensor *n = allocate_zeroed(1, sizeof *n);
    const size_t wanted = (a && a->grad) || (b && b->grad);
    if (rank > 0) memcpy(n->shape, shape, (size_t)rank * sizeof *shape);
    n->rank = rank, n->count = product(n->shape, rank);
    n->data = allocate_zeroed(n->count * (1 + wanted), sizeof *n->data);
    n->grad = wanted ? n->data + n->count : NULL;
    n->in[0] = a, n->in[1] = b, n->compute = compute, n->before = *t;
    return *t = n;
}

tensor *constant(tape *t, int rank, const size_t *shape, const float *data) {
    tensor *n = new_node(t, rank, shape, NULL, NULL, NULL);
    if (data) memcpy(n->data, data, n->count * sizeof *data);
    return n;
}

void tape_end(tape *t, int backward) {
    tensor *n;
    while ((n = *t) != NULL) {
        if (backward && n->grad) n->compute(n, 1); /* all that follows has added to its gradient */
        *t = n->before;
        free(n->data);
        free(n);
    }
}

layout packed(int rank, const size_t *shape) {
    layout l = {{0}, {0}, 0, rank};
    int d;
    for (d = 0; d < rank; d++) {
        l.shape[d] = shape[d];
        l.strides[d] = product(shape + d + 1, rank - d - 1);
    }
    return l;
}

static size_t position(const layout *l, size_t i) {
    size_t at = l->first;
    int d;
    for (d = l->rank - 1; d >= 0; i /= l->shape[d--]) at += i % l->shape[d] * l->strides[d];
    return at;
}

/* kind 0 gathers elements of the input, kind 1 scatters them over the result. */
static void run_move(tensor *out, int backward) {
    const size_t count = product(out->moved.shape, out->moved.rank);
    size_t i;
    for (i = 0; i < count; i++) {
        const size_t at = position(&out->moved, i), from = out->kind ? i : at, to = out->kind ? at : i;
        if (backward) out->in[0]->grad[from] += out->grad[to];
        if (!backward) out->data[to] += out->in[0]->data[from];
    }
}

tensor *move(tape *t, tensor *a, const layout *l, int rank, const size_t *shape) {
    tensor *out = new_node(t, shape ? rank : l->rank, shape ? shape : l->shape, a, NULL, run_move);
    out->kind = shape != NULL, out->moved = *l;
    run_move(out, 0);
    return out;
}

tensor *reshape(tape *t, tensor *a, int rank, const size_t *shape) {
    const layout l = packed(rank, shape);
    expect(product(shape, rank) == a->count, "reshape");
    return move(t, a, &l, 0, NULL);
}

tensor *transpose(tape *t, tensor *a, int axis, int other) {
    const layout l = packed(a->rank, a->shape);
    layout swapped = l;
    swapped.shape[axis] = l.shape[other], swapped.shape[other] = l.shape[axis];
    swapped.strides[axis] = l.strides[other], swapped.strides[other] = l.strides[axis];
    return move(t, a, &swapped, 0, NULL);
}

tensor *expand(tape *t, tensor *a, int rank, const size_t *shape) {
    const layout l = packed(a->rank, a->shape);
    layout wide = packed(rank, shape);
    int d, lead = rank - a->rank;
    if (lead == 0 && memcmp(a->shape, shape, (size_t)rank * sizeof *shape) == 0) return a;
    for (d = 0; d < rank; d++) {
        const size_t n = d < lead ? 1 : l.shape[d - lead];
        expect(lead >= 0 && (n == shape[d] || n == 1), "expand");
        wide.strides[d] = n == 1 ? 0 : l.strides[d - lead]; /* stride 0 repeats */
    }
    return move(t, a, &wide, 0, NULL);
}

tensor *slice(tape *t, tensor *a, int axis, size_t begin, size_t end) {
    layout l = packed(a->rank, a->shape);
    expect(axis < a->rank && begin <= end && end <= a->shape[axis], "slice");
    l.shape[axis] = end - begin;
    l.first = begin * l.strides[axis];
    return move(t, a, &l, 0, NULL);
}

tensor *join(tape *t, tensor *const *in, size_t count, int axis, int is_stack) {
    layout all = packed(in[0]->rank, in[0]->shape), part;
    tensor *out = NULL, *moved;
    size_t k;
    expect(all.rank + is_stack <= MAX_RANK, "stack");
    if (is_stack) memmove(all.shape + axis + 1, all.shape + axis, (size_t)(all.rank++ - axis) * sizeof *all.shape);
    for (all.shape[axis] = 0, k = 0; k < count; k++) all.shape[axis] += is_stack ? 1 : in[k]->shape[axis];
    part = packed(all.rank, all.shape);
    for (k = 0; k < count; part.first += part.shape[axis] * part.strides[axis], k++) {
        part.shape[axis] = is_stack ? 1 : in[k]->shape[axis];
        expect(in[k]->rank == in[0]->rank && in[k]->count == product(part.shape, part.rank), "concat or stack");
        moved = move(t, in[k], &part, all.rank, all.shape);
        out = out ? apply(t, '+', out, moved) : moved;
    }
    return out;
}

tensor *sum(tape *t, tensor *a, int axis) {
    layout line = packed(a->rank, a->shape), all;
    line.shape[axis] = 1;
    all = packed(a->rank, line.shape);
    all.shape[axis] = a->shape[axis], all.strides[axis] = 0; /* all elements along the axis meet in one place */
    return move(t, a, &all, a->rank, line.shape);
}

static float value_of(int op, float x, float y) {
    switch (op) {
    case '+': return x + y;
    case '-': return x - y;
    case '*': return x * y;
    case '/': return x / y;
    case '^': return powf(x, y);
    case RELU: return x > 0 ? x : 0;
    case SIGMOID: return 1 / (1 + expf(-x));
    case TANH: return tanhf(x);
    case GELU: return x * (0.5f + 0.5f * erff(x * 0.70710678f)); /* 1 / sqrt(2) */
    case EXP: return expf(x);
    default: return logf(x);
    }
}

/* Returns the derivative of z = value_of(op, x, y) by x or by y. */
static float slope_of(int op, float x, float y, float z, int by_y) {
    switch (op) {
    case '+': return 1;
    case '-': return by_y ? -1 : 1;
    case '*': return by_y ? x : y;
    case '/': return by_y ? -z / y : 1 / y;
    case '^': return by_y ? z * logf(x) : y * powf(x, y - 1);
    case RELU: return x > 0 ? 1 : 0;
    case SIGMOID: return z * (1 - z);
    case TANH: return 1 - z * z;
    case GELU: return 0.5f + 0.5f * erff(x * 0.70710678f) + x * 0.39894228f * expf(-0.5f * x * x); /* 1 / sqrt(2 pi) */
    case EXP: return z;
    default: return 1 / x;
    }
}

static void run_apply(tensor *out, int backward) {
    tensor *a = out->in[0], *b = out->in[1];
    size_t i;
    for (i = 0; i < out->count; i++) {
        const float x = a->data[i], y = b->data[i], z = backward ? out->data[i] : value_of(out->kind, x, y);
        out->data[i] = z;
        if (backward && a->grad) a->grad[i] += out->grad[i] * slope_of(out->kind, x, y, z, 0);
        if (backward && b->grad && out->kind > LOG) b->grad[i] += out->grad[i] * slope_of(out->kind, x, y, z, 1);
    }
}

tensor *apply(tape *t, int op, tensor *a, tensor *b) {
    const int rank = a->rank > b->rank ? a->rank : b->rank;
    size_t shape[MAX_RANK];
    tensor *out;
    int d;
    for (d = 0; d < rank; d++) {
        const size_t n = d < rank - a->rank ? 1 : a->shape[d - rank + a->rank];
        shape[d] = n == 1 && d >= rank - b->rank ? b->shape[d - rank + b->rank] : n; /* expand checks the other */
    }
    a = expand(t, a, rank, shape), b = expand(t, b, rank, shape);
    out = new_node(t, rank, shape, a, b, run_apply);
    out->kind = op;
    run_apply(out, 0);
    return out;
}

tensor *map(tape *t, int function, tensor *a) {
    return apply(t, function, a, a);
}

tensor *by_number(tape *t, int op, tensor *a, float number) {
    return apply(t, op, a, constant(t, 0, NULL, &number));
}

static void run_matmul(tensor *out, int backward) {
    tensor *a = out->in[0], *b = out->in[1];
    const size_t k = a->shape[a->rank - 1], m = b->shape[b->rank - 1],
                 n = b->rank > 2 ? a->shape[a->rank - 2] : a->count;
    size_t i, j;
    for (i = 0; i < a->count; i++) {
        for (j = 0; j < m; j++) {
            const size_t to = i / k * m + j,
                         by = (i / k / n * k + i % k) * m + j; /* n rows of a meet the same matrix */
            if (!backward) out->data[to] += a->data[i] * b->data[by];
            if (backward && a->grad) a->grad[i] += out->grad[to] * b->data[by];
            if (backward && b->grad) b->grad[by] += out->grad[to] * a->data[i];
        }
    }
}

tensor *matmul(tape *t, tensor *a, tensor *b) {
    const size_t k = a->shape[a->rank - 1], m = b->shape[b->rank - 1];
    layout l = packed(a->rank, a->shape);
    tensor *out;
    expect(b->rank > 1 && k == b->shape[b->rank - 2], "matmul");
    expect(b->rank == 2 || (b->rank == a->rank && b->count / m / k == a->count / k / a->shape[a->rank - 2]), "matmul");
    l.shape[a->rank - 1] = m;
    out = new_node(t, a->rank, l.shape, a, b, run_matmul);
    run_matmul(out, 0);
    return out;
}

tensor *softmax(tape *t, tensor *a, int axis, int is_log) {
    tensor *largest = sum(t, constant(t, a->rank, a->shape, NULL), axis), *shifted, *logs;
    size_t i;
    /* The largest element of each line keeps the exponential from overflowing. The result does not depend on it, so it
     * needs no gradient. */
    for (i = 0; i < largest->count; i++) largest->data[i] = -INFINITY;
    for (i = 0; i < a->count; i++) {
        float *most = largest->data + position(&largest->moved, i);
        if (a->data[i] > *most) *most = a->data[i];
    }
    shifted = apply(t, '-', a, largest);
    logs = apply(t, '-', shifted, map(t, LOG, sum(t, map(t, EXP, shifted), axis)));
    return is_log ? logs : map(t, EXP, logs);
}

tensor *layer_norm(tape *t, tensor *a, tensor *weight, tensor *bias) {
    const int last = a->rank - 1;
    const float count = (float)a->shape[last];
    tensor *centered = apply(t, '-', a, by_number(t, '/', sum(t, a, last), count));
    tensor *variance = by_number(t, '/', sum(t, by_number(t, '^', centered, 2), last), count);
    tensor *deviation = by_number(t, '^', by_number(t, '+', variance, 1e-5f), 0.5f);
    return apply(t, '+', apply(t, '*', apply(t, '/', centered, deviation), weight), bias);
}

static tensor *mean(tape *t, tensor *a) {
    return by_number(t, '/', reshape(t, sum(t, reshape(t, a, 1, &a->count), 0), 0, NULL), (float)a->count);
}

tensor *mse(tape *t, tensor *a, tensor *b) {
    return mean(t, by_number(t, '^', apply(t, '-', a, b), 2));
}

tensor *nll(tape *t, tensor *a, const size_t *classes) {
    tensor *picked = constant(t, a->rank, a->shape, NULL);
    size_t i;
    for (i = 0; i < a->shape[0]; i++) {
        expect(a->rank == 2 && classes[i] < a->shape[1], "nll");
        picked->data[i * a->shape[1] + classes[i]] = -(float)a->shape[1];
    }
    return mean(t, apply(t, '*', a, picked));
}

tensor *cross_entropy(tape *t, tensor *logits, const size_t *classes) {
    return nll(t, softmax(t, logits, 1, 1), classes);
}
