/* backend.c: the backends and the choice among them: simd (vector instructions, chosen at run time), blas (OpenBLAS or
 * another library with the CBLAS interface, if one is installed), scalar (one number at a time, to compare with). */
#include "backend.h"
#include <dlfcn.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BLOCK_INNER = 384, BLOCK_ROWS = 32 };

static size_t least(size_t a, size_t b) {
    return a < b ? a : b;
}

static size_t round_up(size_t columns) {
    return (columns + STEP - 1) / STEP * STEP;
}

float *matrix_at(const matrix *m, size_t row, size_t column) {
    return m->data + column / m->width * m->width * m->rows + row * m->width + column % m->width;
}

int matrix_resize(matrix *m, size_t rows, size_t columns, size_t width) {
    const size_t steps = (columns + STEP - 1) / STEP, most = width > 0 ? width / STEP : steps;
    const size_t panels = steps ? (steps + most - 1) / most : 1;
    const size_t per_panel = steps ? (steps + panels - 1) / panels : 1; /* equal ones, so that none is nearly empty */
    const size_t needed = panels * per_panel * STEP;
    if (columns > SIZE_MAX / 256 || needed > SIZE_MAX / 8 / rows) return 0;
    if (needed * rows > m->capacity) {
        void *grown;
        if (posix_memalign(&grown, 64, needed * rows * sizeof *m->data)) return 0;
        free(m->data);
        m->data = (float *)grown;
        m->capacity = needed * rows;
        memset(grown, 0, m->capacity * sizeof *m->data);
    }
    m->rows = rows;
    m->columns = columns;
    m->width = per_panel * STEP;
    return 1;
}

static const char *always(void) {
    return NULL;
}

/* ---- simd --------------------------------------------------------------------------------------------------- */

#define INLINE static inline __attribute__((always_inline))
#if defined(__clang__)
#define UNROLL _Pragma("clang loop unroll(full)")
#else
#define UNROLL _Pragma("GCC unroll 8")
#endif

/* vectors of one number; only multiply is written out, which gcc would compile to something ten times as slow */
#define NAME(x) x##_1
#define LANES 1
#define ROWS 4
#define TARGET
#include "kernels.h"

/* whatever the compiler is told to build for: SSE2, NEON, or no vector unit at all */
#define NAME(x) x##_4
#define LANES 4
#if defined(__aarch64__)
#define ROWS 8
#else
#define ROWS 4
#endif
#define TARGET
#include "kernels.h"

#if defined(__x86_64__) || defined(__i386__)
#define NAME(x) x##_8
#define LANES 8
#define ROWS 4
#define TARGET __attribute__((target("avx2,fma")))
#include "kernels.h"

#define NAME(x) x##_16
#define LANES 16
#define ROWS 8
#define TARGET __attribute__((target("avx512f,avx512dq")))
#include "kernels.h"

static const char *has_avx2(void) {
    const int has = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
    return has ? NULL : "this processor has no AVX2 with FMA";
}

static const char *has_avx512(void) {
    const int has = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq");
    return has ? NULL : "this processor has no AVX-512";
}
#endif

/* Starts the sums of a panel's row. */
static void start_row(const product *p, size_t row, size_t columns, float *c) {
    for (size_t i = 0; i < columns; i++) c[i] = (p->add ? c[i] : 0) + (p->bias ? p->bias[row] : 0);
}

static void scalar_multiply(const product *p) {
    for (size_t column = 0; column < p->columns; column += p->width) {
        const size_t columns = least(p->width, p->columns - column);
        for (size_t row = 0; row < p->rows; row++) {
            float *c = p->c + column * p->rows + row * p->width;
            start_row(p, row, columns, c);
            for (size_t k = 0; k < p->inner; k++) {
                const float *b = p->b + column * p->inner + k * p->width, a = p->a[row * p->a_row + k * p->a_column];
                for (size_t i = 0; i < columns; i++) c[i] += a * b[i];
            }
        }
    }
}

/* ---- blas --------------------------------------------------------------------------------------------------- */

typedef void sgemm_function(int order, int transpose_a, int transpose_b, int m, int n, int k, float alpha,
                            const float *a, int lda, const float *b, int ldb, float beta, float *c, int ldc);
static sgemm_function *sgemm;

/* Loads the library only when somebody asks for it: linking it would cost every start some milliseconds. */
static const char *open_blas(void) {
    static const char *const names[] = {"libopenblas.so.0", "libblas.so.3", "libopenblas.dylib"};
    for (size_t i = 0; i < sizeof names / sizeof *names && !sgemm; i++) {
        void *library = dlopen(names[i], RTLD_NOW);
        void *function = library ? dlsym(library, "cblas_sgemm") : NULL;
        memcpy(&sgemm, &function, sizeof sgemm); /* C has no cast from an object pointer to a function pointer */
        if (library && !function) dlclose(library);
    }
    return sgemm ? NULL : "no library with cblas_sgemm is installed";
}

static void blas_multiply(const product *p) {
    const int trans_a = p->a_column == 1 ? 111 : 112; /* CblasNoTrans, CblasTrans */
    const size_t stride = p->a_column == 1 ? p->a_row : p->a_column;
    for (size_t column = 0; column < p->columns; column += p->width) {
        const size_t columns = least(p->width, p->columns - column);
        float *c = p->c + column * p->rows;
        for (size_t row = 0; row < p->rows; row++) start_row(p, row, columns, c + row * p->width);
        sgemm(101, trans_a, 111, (int)p->rows, (int)columns, (int)p->inner, 1, p->a, (int)stride,
              p->b + column * p->inner, (int)p->width, 1, c, (int)p->width);
    }
}

/* ---- registry ----------------------------------------------------------------------------------------------- */

/* by priority: "auto" takes the first that can be opened, "simd" the first whose name starts with it */
static const backend backends[] = {
#if defined(__x86_64__) || defined(__i386__)
    {"simd-avx512", has_avx512, 3 * STEP, multiply_16, softmax_16, normalize_16, activate_16},
    {"simd-avx2", has_avx2, 3 * STEP, multiply_8, softmax_8, normalize_8, activate_8},
#endif
    {"simd-128", always, 3 * STEP, multiply_4, softmax_4, normalize_4, activate_4},
    {"blas", open_blas, 0, blas_multiply, softmax_4, normalize_4, activate_4},
    {"scalar", always, 3 * STEP, scalar_multiply, softmax_1, normalize_1, activate_1},
};

const backend *backend_open(const char *name, char message[BACKEND_MESSAGE]) {
    const char *cause = "the backends are auto, simd, blas and scalar";
    for (size_t i = 0; i < sizeof backends / sizeof *backends; i++) {
        const char *problem;
        const size_t n = strlen(name);
        const int is_family =
            strncmp(backends[i].name, name, n) == 0 && (backends[i].name[n] == '-' || !backends[i].name[n]);
        if (!is_family && strcmp(name, "auto") != 0) continue;
        problem = backends[i].open();
        if (!problem) return &backends[i];
        cause = problem;
    }
    snprintf(message, BACKEND_MESSAGE, "cannot use the backend %s: %s", name, cause);
    return NULL;
}
