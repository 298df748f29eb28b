/* backend.h: matrices times weights as files have them, [out][in], and functions of their columns, several times: a small
 * registry from which one is chosen at run time. Build backend.c with -O3; kernels.h has the loops.
 *
 * A matrix of activations has a row for each feature and a column for each token. It is stored in panels of `width`
 * columns, so that a vector register holds one feature of neighbouring tokens. Weights are then read number by number,
 * in the order of the file: they are used where they are mapped. */
#ifndef EXAMPLES_BACKEND_H
#define EXAMPLES_BACKEND_H

#include <stddef.h>

enum { STEP = 16, BACKEND_MESSAGE = 256 }; /* the width of a panel is a multiple of STEP */

typedef struct matrix { /* all zero: an empty one; free(data) at the end */
    float *data;
    size_t rows, columns, width, capacity;
} matrix;

/* Makes room for rows x columns; what was there is lost. width: at most that many columns in a panel; 0: a single panel.
 * Returns 0 if memory runs out. */
int matrix_resize(matrix *m, size_t rows, size_t columns, size_t width);
float *matrix_at(const matrix *m, size_t row, size_t column);

typedef enum activation { ACT_NONE, ACT_GELU, ACT_GELU_TANH, ACT_RELU, ACT_SILU, ACT_TANH, ACT_SIGMOID } activation;

typedef struct product { /* c = a b + bias, or c += a b + bias */
    size_t rows, inner, columns;
    const float *a; /* a[r * a_row + k * a_column], of any alignment that floats have */
    size_t a_row, a_column;
    const float *b; /* inner x columns, in panels */
    float *c;       /* rows x columns, in panels */
    size_t width;   /* of the panels of b and c; what lies right of the last column is written too, up to STEP */
    const float *bias;
    int add;
} product;

typedef struct backend {
    const char *name;
    const char *(*open)(void); /* returns NULL, or why it cannot be used here; may be called again */
    size_t width;              /* of panels; 0: a single one */
    void (*multiply)(const product *p);
    /* The next two work on each of `columns` columns of a panel, rounded up to STEP. Panels are aligned to 64 bytes. */
    void (*softmax)(float *x, size_t rows, size_t columns, size_t width);
    void (*normalize)(float *x, size_t rows, size_t columns, size_t width, const float *weight, const float *bias,
                      float epsilon);
    void (*activate)(activation kind, float *x, size_t n); /* n is a multiple of STEP */
} backend;

/* Returns the backend of that name; "auto": the first that can be opened. NULL after a message with the last cause. */
const backend *backend_open(const char *name, char message[BACKEND_MESSAGE]);

#endif
