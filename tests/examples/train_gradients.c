/* train_gradients.c: what examples/train does for --check-gradients: compares the gradients of every operation, and of
 * the block, with central differences. */
#include "../../examples/train/train.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

/* name, shapes of the inputs, the result; a '+' asks for positive inputs */
/* clang-format off */
#define CASES(CASE) \
    CASE(add, "2x3 3", apply(t, '+', a[0], a[1])) CASE(sub, "2x1 2x3", apply(t, '-', a[0], a[1])) \
    CASE(mul, "2x3x1 3x4", apply(t, '*', a[0], a[1])) CASE(square, "2x3", apply(t, '*', a[0], a[0])) \
    CASE(div, "2x3 +1x3", apply(t, '/', a[0], a[1])) CASE(pow, "+2x3 3", apply(t, '^', a[0], a[1])) \
    CASE(matmul, "2x3x4 2x4x5", matmul(t, a[0], a[1])) CASE(matmul_shared, "2x3x4 4x5", matmul(t, a[0], a[1])) \
    CASE(reshape, "2x6", reshape(t, a[0], 3, three)) CASE(flatten, "2x6", reshape(t, a[0], 1, &a[0]->count)) \
    CASE(transpose, "2x3x4", transpose(t, a[0], 0, 2)) CASE(slice, "3x5", slice(t, a[0], 1, 1, 4)) \
    CASE(concat, "2x3 2x1 2x2", join(t, a, 3, 1, 0)) CASE(stack, "2x3 2x3", join(t, a, 2, 1, 1)) \
    CASE(relu, "3x4", map(t, RELU, a[0])) CASE(sigmoid, "3x4", map(t, SIGMOID, a[0])) \
    CASE(tanh, "3x4", map(t, TANH, a[0])) CASE(gelu, "3x4", map(t, GELU, a[0])) CASE(exp, "3x4", map(t, EXP, a[0])) \
    CASE(log, "+3x4", map(t, LOG, a[0])) CASE(softmax, "2x3x4", softmax(t, a[0], 1, 0)) \
    CASE(log_softmax, "2x3x4", softmax(t, a[0], 2, 1)) CASE(layer_norm, "2x5 5 5", layer_norm(t, a[0], a[1], a[2])) \
    CASE(mse, "3x4 3x4", mse(t, a[0], a[1])) CASE(nll, "3x4", nll(t, a[0], three)) \
    CASE(cross_entropy, "3x4", cross_entropy(t, a[0], three)) \
    CASE(conv2d, "2x2x5x6 3x2x3x3 3", conv2d(t, a[0], a[1], a[2], 2, 1)) \
    CASE(max_pool2d, "2x2x5x4", max_pool2d(t, a[0], 3, 1)) \
    CASE(rnn, "2x3x2 4x2 4x4 4", recurrent(t, a[0], a + 1, 0)) \
    CASE(lstm, "2x3x2 8x2 8x2 8", recurrent(t, a[0], a + 1, 1)) \
    CASE(nl_oob_log, "1x2x3x3 1x2x1x1 2x3x3", nl_oob(t, a[0], a[1], constant(t, 2, three + 1, NULL), 0, -1)) \
    CASE(block, "2x3x8", transformer_block(t, &small, a[0]))
/* clang-format on */

#define IS_CASE(name, shapes, result) IS_##name,
#define NAME_AND_SHAPES(name, shapes, result) {#name, shapes},
#define RESULT(name, shapes, result) \
    case IS_##name: return result;
enum { CASES(IS_CASE) COUNT };
static const char *const cases[COUNT][2] = {CASES(NAME_AND_SHAPES)};
static run small; /* what `block` has for a model */

static tensor *compute(tape *t, int which, tensor **a) {
    static const size_t three[3] = {2, 3, 2};
    switch (which) { CASES(RESULT) }
    return NULL;
}

/* Returns a sum of the results with random weights, a number that can be differentiated. With backward, also sets the
 * gradients of the inputs. */
static double weighted_sum(int which, tensor **in, int backward) {
    tape t = NULL;
    tensor *out = compute(&t, which, in);
    uint64_t state = 1;
    double total = 0;
    size_t i;
    for (i = 0; i < out->count; i++) {
        const float by = random_number(&state);
        total += (double)by * (double)out->data[i];
        out->grad[i] = by;
    }
    tape_end(&t, backward);
    return total;
}

/* Returns the largest error of a gradient, relative to the largest derivative of the same input. */
static double largest_error(int which, tensor **in, size_t count) {
    const float step = 1.0f / 128;
    double worst = 0;
    size_t i, k;
    (void)weighted_sum(which, in, 1);
    for (i = 0; i < count; i++) {
        double largest = 0.05, error = 0;
        for (k = 0; k < in[i]->count; k++) {
            const float x = in[i]->data[k], up = x + step, down = x - step;
            double slope;
            in[i]->data[k] = up, slope = weighted_sum(which, in, 0);
            in[i]->data[k] = down, slope = (slope - weighted_sum(which, in, 0)) / ((double)up - (double)down);
            in[i]->data[k] = x;
            largest = fmax(largest, fabs(slope));
            error = fmax(error, fabs(slope - (double)in[i]->grad[k]));
        }
        worst = fmax(worst, error / largest);
    }
    return worst;
}

int check_gradients(void) {
    tensor *in[PARAMETERS + 1];
    uint64_t state = 6;
    int which, bad = 0;
    for (which = 0; which < COUNT; which++) {
        const char *text = cases[which][1];
        size_t count = 0, i, k;
        tensor inputs[4] = {{0}};
        double error;
        for (; *text; count++) {
            const int positive = *text == '+';
            tensor *a = in[count] = &inputs[count];
            char *end;
            do a->shape[a->rank++] = strtoul(text + (*text == 'x' || *text == '+'), &end, 10);
            while (*(text = end) == 'x');
            text += *text == ' ';
            for (a->count = 1, i = 0; (int)i < a->rank; i++) a->count *= a->shape[i];
            a->data = allocate_zeroed(2 * a->count, sizeof *a->data);
            a->grad = a->data + a->count;
            for (k = 0; k < a->count; k++) {
                const float x = random_number(&state);
                a->data[k] = positive || x > 0 ? fabsf(x) + 0.3f : x - 0.3f; /* away from the kink of relu */
            }
        }
        if (which == IS_block) {
            for (i = 0; i < SETTINGS; i++) small.settings[i] = settings[i].standard;
            small.settings[D_MODEL] = 8, small.settings[HEADS] = 4, small.settings[KV_HEADS] = 2;
            declare_parameters(&small);
            initialize(&small);
            for (i = NORM1; i < HEAD; i++) in[count++] = &small.parameters[i];
        }
        error = largest_error(which, in, count);
        bad += !(error < 1e-3);
        printf("%-14s %.1e%s\n", cases[which][0], error, error < 1e-3 ? "" : "  WRONG");
        for (i = 0; i < 4; i++) free(inputs[i].data);
    }
    free(small.memory);
    return bad;
}
