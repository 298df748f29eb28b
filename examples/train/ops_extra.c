/* ops_extra.c: layers for images and sequences. The model of this program has none; --check-gradients checks them. */
#include "tensor.h"
#include <stdlib.h>

/* Returns all squares that a kernel sees: [images, channels, rows, columns, kernel, kernel]. Squares may overlap. */
static tensor *windows(tape *t, tensor *x, size_t kernel, size_t stride) {
    size_t shape[6], strides[6];
    int d;
    if (x->rank != 4 || kernel == 0 || stride == 0 || x->shape[2] < kernel || x->shape[3] < kernel) {
        fail("convolution or pooling", "the shapes do not fit");
    }
    packed_strides(x->shape, 4, strides);
    for (d = 0; d < 2; d++) {
        shape[d] = x->shape[d];
        shape[2 + d] = (x->shape[2 + d] - kernel) / stride + 1;
        shape[4 + d] = kernel;
        strides[4 + d] = strides[2 + d];
        strides[2 + d] *= stride;
    }
    return gather(t, x, 6, shape, strides, 0);
}

static tensor *pad(tape *t, tensor *x, int axis, size_t padding) {
    size_t shape[4], d;
    tensor *in[3];
    for (d = 0; d < 4; d++) shape[d] = d == (size_t)axis ? padding : x->shape[d];
    in[0] = in[2] = constant(t, 4, shape, NULL);
    in[1] = x;
    return padding ? concat(t, in, 3, axis) : x;
}

tensor *conv2d(tape *t, tensor *x, tensor *weight, tensor *bias, size_t stride, size_t padding) {
    static const int pixels_first[6] = {0, 2, 3, 1, 4, 5}, channels_first[4] = {0, 3, 1, 2};
    tensor *seen = windows(t, pad(t, pad(t, x, 2, padding), 3, padding), weight->shape[2], stride), *out;
    const size_t filters = weight->shape[0], products = weight->count / filters;
    const size_t matrix[2] = {seen->count / products, products}, kernels[2] = {filters, products};
    const size_t image[4] = {x->shape[0], seen->shape[2], seen->shape[3], filters};
    out =
        matmul(t, reshape(t, permute(t, seen, pixels_first), 2, matrix), transpose(t, reshape(t, weight, 2, kernels)));
    return permute(t, reshape(t, binary(t, '+', out, bias), 4, image), channels_first);
}

static void max_backward(tensor *out) {
    size_t i;
    for (i = 0; i < out->count; i++) out->in[0]->grad[out->saved[i]] += out->grad[i];
}

tensor *max_pool2d(tape *t, tensor *x, size_t kernel, size_t stride) {
    tensor *seen = windows(t, x, kernel, stride), *out = new_node(t, 4, seen->shape, 1, &seen, max_backward);
    const size_t n = kernel * kernel;
    size_t i, k;
    out->saved = allocate(out->count, sizeof *out->saved); /* where each maximum is */
    for (i = 0; i < out->count; i++) {
        out->saved[i] = i * n;
        for (k = i * n; k < (i + 1) * n; k++) {
            if (seen->data[k] > seen->data[out->saved[i]]) out->saved[i] = k;
        }
        out->data[i] = seen->data[out->saved[i]];
    }
    return out;
}

tensor *recurrent(tape *t, tensor *x, tensor *const *weights, int is_lstm) {
    const size_t steps = x->shape[1], width = weights[1]->shape[1];
    const size_t state_shape[2] = {x->shape[0], width}, input_shape[2] = {x->shape[0], x->shape[2]};
    tensor *hidden = constant(t, 2, state_shape, NULL), *cell = hidden, *out, *gates[4];
    tensor *by_input = transpose(t, weights[0]), *by_hidden = transpose(t, weights[1]);
    tensor **states = allocate(steps, sizeof *states);
    size_t step, k;
    for (step = 0; step < steps; step++) {
        tensor *input = reshape(t, slice(t, x, 1, step, step + 1), 2, input_shape);
        tensor *total = binary(t, '+', matmul(t, input, by_input), matmul(t, hidden, by_hidden));
        total = binary(t, '+', total, weights[2]);
        for (k = 0; is_lstm && k < 4; k++) {
            gates[k] = map(t, k == 2 ? TANH : SIGMOID, slice(t, total, 1, k * width, (k + 1) * width), 0);
        }
        if (is_lstm) {
            cell = binary(t, '+', binary(t, '*', gates[1], cell), binary(t, '*', gates[0], gates[2]));
            hidden = binary(t, '*', gates[3], map(t, TANH, cell, 0));
        } else {
            hidden = map(t, TANH, total, 0);
        }
        states[step] = hidden;
    }
    out = stack(t, states, steps, 1);
    free(states);
    return out;
}
