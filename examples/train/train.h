/* train.h: tensors, a tape that differentiates what is computed with them, and a training run.
 *
 * Every operation makes a tensor and appends it to the tape. Inputs precede results, so a walk from the end of the tape
 * visits the graph in topological order. An operation that gets shapes it cannot work with ends the program. */
#ifndef TRAIN_H
#define TRAIN_H

#include <stddef.h>
#include <stdint.h>

enum { MAX_RANK = 6, NAME_BYTES = 32 };

typedef struct layout { /* element [i, j, ...] lies at first + i * strides[0] + j * strides[1]... */
    size_t shape[MAX_RANK], strides[MAX_RANK], first;
    int rank;
} layout;
typedef struct tensor tensor;
struct tensor {
    float *data, *grad; /* grad: derivative of the loss by each element; NULL: not wanted */
    size_t count, shape[MAX_RANK];
    int rank, kind;                             /* kind: which of several similar operations */
    void (*compute)(tensor *out, int backward); /* sets data, or adds to the gradients of the inputs */
    tensor *in[2], *before;                     /* inputs; the tensor recorded before this one */
    layout moved;                               /* for move: which elements */
};
typedef tensor *tape; /* the last tensor; NULL: empty */

/* Prints "train: SUBJECT: REASON" to standard error, escaped, and ends the program with status 1. */
void fail(const char *subject, const char *format, ...);
void expect(int fits, const char *operation);     /* fails if the shapes do not fit */
void *allocate_zeroed(size_t count, size_t size); /* zeroed; fails if memory runs out */
tensor *new_node(tape *t, int rank, const size_t *shape, tensor *a, tensor *b, void (*compute)(tensor *, int));
tensor *constant(tape *t, int rank, const size_t *shape, const float *data); /* copies data; NULL: zeros */
/* Frees all tensors of the tape. With backward, computes gradients first; the caller has set that of the result. */
void tape_end(tape *t, int backward);

enum { RELU, SIGMOID, TANH, GELU, EXP, LOG }; /* functions of one number */
tensor *map(tape *t, int function, tensor *a);
tensor *apply(tape *t, int op, tensor *a, tensor *b); /* '+', '-', '*', '/', '^'; shapes are broadcast as in NumPy */
tensor *by_number(tape *t, int op, tensor *a, float number);
tensor *matmul(tape *t, tensor *a, tensor *b); /* [..., n, k] by [k, m], or by [..., k, m] with the same dimensions */
layout packed(int rank, const size_t *shape);
/* shape NULL: returns a tensor of these elements of a; else one of zeros, to these elements of which a is added */
tensor *move(tape *t, tensor *a, const layout *l, int rank, const size_t *shape);
tensor *reshape(tape *t, tensor *a, int rank, const size_t *shape);
tensor *transpose(tape *t, tensor *a, int axis, int other); /* swaps two axes */
tensor *expand(tape *t, tensor *a, int rank, const size_t *shape);
tensor *slice(tape *t, tensor *a, int axis, size_t begin, size_t end);
tensor *join(tape *t, tensor *const *in, size_t count, int axis, int is_stack); /* concat; stack: along a new axis */
tensor *sum(tape *t, tensor *a, int axis);                                      /* the axis stays, with length 1 */
tensor *softmax(tape *t, tensor *a, int axis, int is_log);
tensor *layer_norm(tape *t, tensor *a, tensor *weight, tensor *bias); /* over the last axis */
/* losses: one number, the mean over all elements or rows */
tensor *mse(tape *t, tensor *a, tensor *b);
tensor *nll(tape *t, tensor *log_probabilities, const size_t *classes); /* [rows, classes], and a class for each row */
tensor *cross_entropy(tape *t, tensor *logits, const size_t *classes);

/* ops_extra.c: x [images, channels, height, width], weight [outputs, channels, kernel, kernel], bias [outputs] */
tensor *conv2d(tape *t, tensor *x, tensor *weight, tensor *bias, size_t stride, size_t padding);
tensor *max_pool2d(tape *t, tensor *x, size_t kernel, size_t stride);
/* x [batch, steps, inputs]; returns the hidden states, [batch, steps, hidden]. weights: input, hidden, bias; those of an
 * LSTM have four times the rows: gates in, forget, cell, out. */
tensor *recurrent(tape *t, tensor *x, tensor *const *weights, int is_lstm);

/* Numbers of metadata, and after SETTINGS of options that are not saved. The first three are no options. */
enum { FORMAT, VERSION, STEP, D_MODEL, FF, HEADS, KV_HEADS, BATCH, SEQ, NL_OOB, SIGN, SCALE, TIE, OPTIMIZER, LR };
enum { MOMENTUM = LR + 1, DTYPE, SEED, SETTINGS, STEPS = SETTINGS, SAVE_EVERY, SHARDS, OPTIONS };
enum { WHOLE = 1, REQUIRED = 2, MAY_CHANGE = 4 }; /* a whole number; required in a file; may change on resuming */

typedef struct setting {
    const char *name, *choices, *help; /* choices: "adam|sgd" are 0 and 1; NULL: a number */
    double standard, least, most;
    int flags;
} setting;
extern const setting settings[OPTIONS];
const char *parse_setting(int which, const char *text, double *value); /* returns what is wrong, or NULL */
void format_setting(int which, double value, char text[32]);
const char *check_settings(const double *values); /* whether they fit each other; returns what is wrong, or NULL */

/* Parameters. A bias follows its weight. HEAD is missing where it is tied to EMBED. */
enum { EMBED, NORM1, Q = NORM1 + 2, K = Q + 2, V = K + 2, O = V + 2, SLOPES = O + 2, NORM2, FF1 = NORM2 + 2 };
enum { FF2 = FF1 + 2, HEAD = FF2 + 2, PARAMETERS };

typedef struct run {
    double settings[OPTIONS];
    char names[PARAMETERS][NAME_BYTES];
    tensor parameters[PARAMETERS], *head; /* head: the output layer */
    float *moments[PARAMETERS][2];        /* of the optimizer: Adam uses both, SGD the first */
    float *memory, *losses;               /* of the parameters and moments; a loss for each step */
    float nl_oob_config;                  /* 1 is Gaussian, everything else logarithmic */
    size_t parameter_count, step;         /* step: how many steps are done */
    uint64_t random;
} run;

void declare_parameters(run *r); /* names and shapes, from the settings; nothing is allocated */
void initialize(run *r);         /* allocates them; random weights, from the seed */
/* Adds sign * slopes * phi(distances) to scores [batch, heads, seq, seq]. distances is [seq, seq] or [batch, seq, seq].
 * Returns scores itself if slopes is NULL or the distances do not fit. */
tensor *nl_oob(tape *t, tensor *scores, tensor *slopes, tensor *distances, float config, float sign);
tensor *transformer_block(tape *t, run *r, tensor *x); /* [batch, seq, d-model] */
void train_step(run *r);                               /* appends to losses, which has room */
float random_number(uint64_t *state);                  /* from -1 up to, but not including 1 */

void save_checkpoint(run *r, const char *path);
void load_checkpoint(run *r, const char *path, const char *given); /* given[i]: setting i was chosen by the user */
void write_picture(const run *r, const char *path);
int check_gradients(void); /* tests/examples/train_gradients.c: prints a line for each check; returns how many failed */

#endif
