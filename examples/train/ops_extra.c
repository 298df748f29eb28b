/* ops_extra.c: layers for images and sequences. The model of this program has none; --check-gradients checks them. */
#include "train.h"
#include <stdlib.h>
#include <string.h>

/* Returns all squares that a kernel sees: [images, channels, rows, columns, kernel, kernel]. Squares may overlap. */
static tensor *windows(tape *t, tensor *x, size_t kernel, size_t stride) {
    layout l = packed(x->rank, x->shape);
    int d;
    expect(x->rank == 4 && x->shape[2] >= kernel && x->shape[3] >= kernel, "convolution or pooling");
    for (l.rank = 6, d = 2; d < 4; d++) {
        l.shape[2 + d] = kernel, l.strides[2 + d] = l.strides[d];
        l.shape[d] = (x->shape[d] - kernel) / stride + 1, l.strides[d] *= stride;
    }
    return move(t, x, &l, 0, NULL);
}

tensor *conv2d(tape *t, tensor *x, tensor *weight, tensor *bias, size_t stride, size_t padding) {
    const size_t filters = weight->shape[0], kernels[2] = {filters, weight->count / filters};
    const size_t wide[4] = {x->shape[0], x->shape[1], x->shape[2] + 2 * padding, x->shape[3] + 2 * padding};
    layout inside = packed(4, wide);
    size_t matrix[2], image[4];
    tensor *seen, *out;
    memcpy(inside.shape, x->shape, sizeof wide);
    inside.first = padding * (inside.strides[2] + inside.strides[3]);
    seen = windows(t, move(t, x, &inside, 4, wide), weight->shape[2], stride);
    seen = transpose(t, transpose(t, seen, 1, 2), 2, 3); /* pixels first, then what each is computed from */
    memcpy(image, seen->shape, sizeof image);
    image[3] = filters, matrix[0] = seen->count / kernels[1], matrix[1] = kernels[1];
    out = matmul(t, reshape(t, seen, 2, matrix), transpose(t, reshape(t, weight, 2, kernels), 0, 1));
    out = reshape(t, apply(t, '+', out, bias), 4, image);
    return transpose(t, transpose(t, out, 2, 3), 1, 2);
}

static void run_max(tensor *out, int backward) {
    tensor *seen = out->in[0];
    const size_t n = seen->count / out->count;
    size_t i, k, best;
    for (i = 0; i < out->count; i++) {
        for (best = k = i * n; k < (i + 1) * n; k++) best = seen->data[k] > seen->data[best] ? k : best;
        if (backward) seen->grad[best] += out->grad[i];
        out->data[i] = seen->data[best];
    }
}

tensor *max_pool2d(tape *t, tensor *x, size_t kernel, size_t stride) {
    tensor *seen = windows(t, x, kernel, stride), *out = new_node(t, 4, seen->shape, seen, NULL, run_max);
    run_max(out, 0);
    return out;
}

tensor *recurrent(tape *t, tensor *x, tensor *const *weights, int is_lstm) {
    const size_t steps = x->shape[1], n = weights[1]->shape[1], state[2] = {x->shape[0], n},
                 row[2] = {x->shape[0], x->shape[2]};
    tensor *hidden = constant(t, 2, state, NULL), *cell = hidden, *gates[4], *total, *out;
    tensor *by_input = transpose(t, weights[0], 0, 1), *by_hidden = transpose(t, weights[1], 0, 1);
    tensor **states = allocate_zeroed(steps, sizeof *states);
    size_t step, k;
    for (step = 0; step < steps; step++) {
        total = matmul(t, reshape(t, slice(t, x, 1, step, step + 1), 2, row), by_input);
        total = apply(t, '+', apply(t, '+', total, matmul(t, hidden, by_hidden)), weights[2]);
        if (is_lstm) {
            for (k = 0; k < 4; k++) gates[k] = map(t, k == 2 ? TANH : SIGMOID, slice(t, total, 1, k * n, (k + 1) * n));
            cell = apply(t, '+', apply(t, '*', gates[1], cell), apply(t, '*', gates[0], gates[2]));
            hidden = apply(t, '*', gates[3], map(t, TANH, cell));
        } else {
            hidden = map(t, TANH, total);
        }
        states[step] = hidden;
    }
    out = join(t, states, steps, 1, 1);
    free(states);
    return out;
}
