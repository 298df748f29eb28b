/* tensor.h: N-dimensional arrays of float, and a tape that differentiates what is computed with them.
 *
 * Every operation makes a new tensor and appends it to the tape. Inputs always precede results, so a walk from the end
 * of the tape visits the graph in topological order. An operation that gets shapes it cannot work with ends the program:
 * shapes from outside are checked before. */
#ifndef TRAIN_TENSOR_H
#define TRAIN_TENSOR_H

#include <stddef.h>

enum { MAX_RANK = 6 };

typedef struct tensor tensor;
struct tensor {
    float *data, *grad; /* grad: derivative of the loss by each element; NULL: not wanted */
    size_t count, shape[MAX_RANK];
    int rank;
    /* how the tensor was computed; all zero for parameters and constants */
    void (*backward)(tensor *out); /* adds to the gradients of the inputs */
    tensor **in, *before;          /* inputs; the tensor recorded before this one */
    size_t in_count, *saved;       /* saved: whole numbers that backward needs: strides, positions */
    float value;                   /* a number that backward needs */
    int kind;                      /* which of several similar operations */
};

typedef struct tape {
    tensor *last;
} tape;

/* Prints "train: SUBJECT: REASON" to standard error, both escaped, and ends the program with status 1. */
void fail(const char *subject, const char *reason);
void *allocate(size_t count, size_t size); /* zeroed; fails if memory runs out */

tensor *new_node(tape *t, int rank, const size_t *shape, size_t in_count, tensor *const *in,
                 void (*backward)(tensor *));
tensor *constant(tape *t, int rank, const size_t *shape, const float *data); /* copies data; NULL: zeros */
void tape_backward(tape *t); /* the caller has set the gradient of the result */
void tape_clear(tape *t);    /* frees all tensors of the tape */

/* operation: '+', '-', '*' or '/'; shapes are broadcast as in NumPy */
tensor *binary(tape *t, int operation, tensor *a, tensor *b);
tensor *scale(tape *t, tensor *a, float factor);
tensor *matmul(tape *t, tensor *a, tensor *b); /* [..., n, k] by [..., k, m]; leading dimensions are broadcast */
enum { RELU, SIGMOID, TANH, GELU, EXP, LOG, POWER };
tensor *map(tape *t, int function, tensor *a, float value); /* value: the exponent of POWER */

/* Takes elements by strides: element [i, j, ...] of the result is element first + i * strides[0] + j * strides[1]... */
tensor *gather(tape *t, tensor *a, int rank, const size_t *shape, const size_t *strides, size_t first);
void packed_strides(const size_t *shape, int rank, size_t *strides);
tensor *reshape(tape *t, tensor *a, int rank, const size_t *shape);
tensor *permute(tape *t, tensor *a, const int *axes);
tensor *transpose(tape *t, tensor *a); /* swaps the last two axes */
tensor *expand(tape *t, tensor *a, int rank, const size_t *shape);
tensor *slice(tape *t, tensor *a, int axis, size_t begin, size_t end);
tensor *concat(tape *t, tensor *const *in, size_t count, int axis);
tensor *stack(tape *t, tensor *const *in, size_t count, int axis);

tensor *sum(tape *t, tensor *a, int axis); /* the axis stays, with length 1 */
tensor *softmax(tape *t, tensor *a, int axis);
tensor *log_softmax(tape *t, tensor *a, int axis);
tensor *layer_norm(tape *t, tensor *a, tensor *weight, tensor *bias); /* over the last axis */
/* losses: one number, the mean over all elements or rows */
tensor *mse(tape *t, tensor *a, tensor *b);
tensor *nll(tape *t, tensor *log_probabilities, const size_t *classes); /* of shape [rows, classes]; a class a row */
tensor *cross_entropy(tape *t, tensor *logits, const size_t *classes);

/* ops_extra.c: x [images, channels, height, width], weight [outputs, channels, kernel, kernel], bias [outputs] */
tensor *conv2d(tape *t, tensor *x, tensor *weight, tensor *bias, size_t stride, size_t padding);
tensor *max_pool2d(tape *t, tensor *x, size_t kernel, size_t stride);
/* x [batch, steps, inputs]; returns the hidden states, [batch, steps, hidden]. weights: input, hidden, bias; an LSTM has
 * four times the rows: gates in, forget, cell, out. */
tensor *recurrent(tape *t, tensor *x, tensor *const *weights, int is_lstm);

#endif
