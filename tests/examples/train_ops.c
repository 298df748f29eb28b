/* train_ops.c FILE: saves inputs and results of the operations of examples/train, for train_reference.py to compare
 * with NumPy, and checks what NL-OOB does with distances that do not fit. */
#include "../../safetensors.h"
#include "../../examples/train/train.h"
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST = 160 };
static st_tensor tensors[MOST];
static uint64_t shapes[MOST][MAX_RANK];
static char names[MOST][32];
static size_t count;
static tape all;
static uint64_t state = 3;

void fail(const char *subject, const char *format, ...) {
    va_list arguments;
    fprintf(stderr, "%s: ", subject);
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    putc('\n', stderr);
    exit(1);
}

/* Lists a tensor, whose data must stay: an input has a number from 0, the result -1. */
static void list(const char *name, int input, const tensor *a) {
    int d;
    if (count == MOST) fail(name, "too many tensors");
    (void)snprintf(names[count], sizeof names[count], input < 0 ? "%s" : "%s.%d", name, input);
    for (d = 0; d < a->rank; d++) shapes[count][d] = a->shape[d];
    tensors[count] = st_tensor_of(names[count], ST_DTYPE_F32, (uint32_t)a->rank, shapes[count], a->data);
    count++;
}

/* Makes inputs of these shapes, such as "2x3 +3": with '+' they are positive. Returns how many. */
static size_t make(const char *name, const char *text, tensor **in) {
    size_t n = 0, i;
    while (*text) {
        size_t shape[MAX_RANK];
        int rank = 0;
        const int positive = *text == '+';
        char *end;
        for (text += positive; *text >= '0' && *text <= '9'; text = end + (*end == 'x')) {
            shape[rank++] = strtoul(text, &end, 10);
        }
        in[n] = constant(&all, rank, shape, NULL);
        for (i = 0; i < in[n]->count; i++) {
            const float x = random_number(&state) * 2;
            in[n]->data[i] = positive ? fabsf(x) + 0.1f : x;
        }
        list(name, (int)n, in[n]);
        n++;
        text += *text == ' ';
    }
    return n;
}

static const size_t three[3] = {2, 3, 2}, classes[3] = {1, 0, 2}, wide[3] = {2, 3, 4};

#define SAVE(name, shapes_of_inputs, result) \
    do {                                     \
        make(name, shapes_of_inputs, a);     \
        list(name, -1, result);              \
    } while (0)

int main(int argc, char **argv) {
    tape *t = &all;
    tensor *a[4], *scores, *slopes, *once, *out;
    size_t i;
    st_contents contents = ST_ZERO_INIT;
    st_error error;
    SAVE("add", "2x3 3", apply(t, '+', a[0], a[1]));
    SAVE("sub", "2x1 2x3", apply(t, '-', a[0], a[1]));
    SAVE("mul", "2x3x1 3x4", apply(t, '*', a[0], a[1]));
    SAVE("div", "2x3 +1x3", apply(t, '/', a[0], a[1]));
    SAVE("pow", "+2x3 3", apply(t, '^', a[0], a[1]));
    SAVE("matmul", "2x3x4 2x4x5", matmul(t, a[0], a[1]));
    SAVE("matmul_shared", "2x3x4 4x5", matmul(t, a[0], a[1]));
    SAVE("reshape", "2x6", reshape(t, a[0], 3, three));
    SAVE("flatten", "2x6", reshape(t, a[0], 1, &a[0]->count));
    SAVE("transpose", "2x3x4", transpose(t, a[0], 0, 2));
    SAVE("expand", "3x1", expand(t, a[0], 3, wide));
    SAVE("slice", "3x5", slice(t, a[0], 1, 1, 4));
    SAVE("concat", "2x3 2x1 2x2", join(t, a, 3, 1, 0));
    SAVE("stack", "2x3 2x3", join(t, a, 2, 1, 1));
    SAVE("sum", "2x3x4", sum(t, a[0], 1));
    SAVE("relu", "3x4", map(t, RELU, a[0]));
    SAVE("sigmoid", "3x4", map(t, SIGMOID, a[0]));
    SAVE("tanh", "3x4", map(t, TANH, a[0]));
    SAVE("gelu", "3x4", map(t, GELU, a[0]));
    SAVE("exp", "3x4", map(t, EXP, a[0]));
    SAVE("log", "+3x4", map(t, LOG, a[0]));
    SAVE("softmax", "2x3x4", softmax(t, a[0], 1, 0));
    SAVE("softmax_large", "2x3x4", softmax(t, by_number(t, '*', a[0], 1000), 1, 0));
    SAVE("log_softmax", "2x3x4", softmax(t, a[0], 2, 1));
    SAVE("layer_norm", "2x5 5 5", layer_norm(t, a[0], a[1], a[2]));
    SAVE("mse", "3x4 3x4", mse(t, a[0], a[1]));
    SAVE("nll", "3x4", nll(t, a[0], classes));
    SAVE("cross_entropy", "3x4", cross_entropy(t, a[0], classes));
    SAVE("conv2d", "2x2x5x6 3x2x3x3 3", conv2d(t, a[0], a[1], a[2], 2, 1));
    SAVE("conv2d_plain", "1x3x4x5 2x3x2x2 2", conv2d(t, a[0], a[1], a[2], 1, 0));
    SAVE("max_pool2d", "2x2x6x5", max_pool2d(t, a[0], 3, 2));
    SAVE("rnn", "2x3x2 4x2 4x4 4", recurrent(t, a[0], a + 1, 0));
    SAVE("lstm", "2x3x2 8x2 8x2 8", recurrent(t, a[0], a + 1, 1));
    SAVE("nl_oob_log", "2x2x3x3 1x2x1x1 +3x3", nl_oob(t, a[0], a[1], a[2], 0, -1));
    SAVE("nl_oob_gaussian", "2x2x3x3 1x2x1x1 +3x3", nl_oob(t, a[0], a[1], a[2], 1, 1));
    SAVE("nl_oob_batch", "2x2x3x3 1x2x1x1 +2x3x3", nl_oob(t, a[0], a[1], a[2], 7, -1));
    contents.tensors = tensors;
    contents.count = count;
    if (argc < 2 || st_save(argv[1], &contents, NULL, &error)) fail("save", "%s", argc < 2 ? "no path" : error.message);
    count = 0;
    make("", "2x2x4x4 1x2x1x1 3x4x4 5x5", a);
    scores = a[0], slopes = a[1];
    if (nl_oob(t, scores, slopes, a[2], 0, -1) != scores) fail("nl_oob", "a batch that does not fit is not ignored");
    if (nl_oob(t, scores, slopes, a[3], 0, -1) != scores) fail("nl_oob", "a length that does not fit is not ignored");
    if (nl_oob(t, scores, NULL, a[3], 0, -1) != scores) fail("nl_oob", "missing slopes are not ignored");
    /* phi by distance: 0, .693147, 1.098612, 1.386294, or 0, 1, 4, 9; the same distances for both of the batch */
    once = constant(t, 2, (const size_t[2]){4, 4}, NULL);
    for (i = 0; i < 16; i++) once->data[i] = fabsf((float)(i / 4) - (float)(i % 4));
    scores = constant(t, 4, scores->shape, NULL);
    slopes->data[0] = slopes->data[1] = 1;
    for (i = 0; i < 2; i++) {
        static const float phi[2][4] = {{0, 0.693147f, 1.098612f, 1.386294f}, {0, 1, 4, 9}};
        size_t k;
        out = nl_oob(t, scores, slopes, once, (float)i, 1);
        for (k = 0; k < out->count; k++) {
            if (fabsf(out->data[k] - phi[i][(size_t)once->data[k % 16]]) > 1e-6f) fail("phi", "wrong at %zu", k);
        }
    }
    tape_end(&all, 0);
    return 0;
}
