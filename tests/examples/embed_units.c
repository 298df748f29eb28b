/* embed_units: tests parts of examples/embed that no command shows: pooling (V-T1, V-T2), buckets (V-T4), and the
 * arithmetic of each backend against sums in double precision. Prints what is wrong; the status says whether. */
#include "examples/embed/encoder.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int failures;

static void expect(int good, const char *label, double got) {
    if (good) return;
    failures++;
    printf("wrong: %s: %.9g\n", label, got);
}

static float random_number(void) {
    static uint32_t state = 1;
    state = state * 1664525u + 1013904223u;
    return (float)(state >> 8) / (float)(1 << 23) - 1;
}

static matrix new_matrix(size_t rows, size_t columns, size_t width) {
    matrix m;
    memset(&m, 0, sizeof m);
    if (!matrix_resize(&m, rows, columns, width)) exit(2);
    for (size_t r = 0; r < rows; r++) {
        for (size_t c = 0; c < columns; c++) *matrix_at(&m, r, c) = random_number();
    }
    return m;
}

/* Two sentences of four tokens, whose vectors are constant: 1 to 4 and 5 to 8. */
static void test_pooling(void) {
    static const struct {
        pooling kind;
        size_t second_count;
        double first, second;
    } cases[] = {
        {POOL_MEAN, 4, 2.5, 6.5}, {POOL_MEAN, 3, 2.5, 6}, {POOL_LAST, 4, 4, 8}, {POOL_LAST, 3, 4, 7},
        {POOL_CLS, 4, 1, 5},      {POOL_MAX, 4, 4, 8},    {POOL_MAX, 3, 4, 7},  {POOL_NONE, 4, 1, 5},
        {POOL_MEAN, 0, 2.5, 0},   {POOL_MAX, 0, 4, 0},    {POOL_LAST, 0, 4, 0}, {POOL_CLS, 0, 1, 0},
    };
    matrix states = new_matrix(3, 8, 48), pooled = new_matrix(3, 2, 48);
    float x[2] = {3, 4}, zero[2] = {0, 0};
    for (size_t r = 0; r < 3; r++) {
        for (size_t c = 0; c < 8; c++) *matrix_at(&states, r, c) = (float)(c + 1);
    }
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        pool_tokens(&states, 0, 4, cases[i].kind, &pooled, 0);
        pool_tokens(&states, 4, cases[i].second_count, cases[i].kind, &pooled, 1);
        for (size_t r = 0; r < 3; r++) {
            expect((double)*matrix_at(&pooled, r, 0) == cases[i].first, "V-T1, first",
                   (double)*matrix_at(&pooled, r, 0));
            expect((double)*matrix_at(&pooled, r, 1) == cases[i].second, "V-T1, second",
                   (double)*matrix_at(&pooled, r, 1));
        }
    }
    *matrix_at(&states, 0, 0) = -3e9f; /* the maximum does not start at -1e9 */
    *matrix_at(&states, 0, 1) = -2e9f;
    pool_tokens(&states, 0, 2, POOL_MAX, &pooled, 0);
    expect(*matrix_at(&pooled, 0, 0) == -2e9f, "maximum", (double)*matrix_at(&pooled, 0, 0));
    normalize_vector(x, 2);
    normalize_vector(zero, 2);
    expect(x[0] == 0.6f && x[1] == 0.8f, "V-T2", (double)x[0]);
    expect(zero[0] == 0 && zero[1] == 0, "V-T2, zero", (double)zero[0]);
    free(states.data);
    free(pooled.data);
}

static void test_buckets(void) {
    static const size_t first[] = {1, 2, 3, 4, 6, 8, 11, 15, 21, 29};
    size_t n, last = 0, seen = 0;
    for (n = 1; n <= 100; n++) {
        const size_t size = bucket_size(n);
        expect(size >= n && size >= last, "V-T4: a bucket is too small", (double)n);
        if (size != last && seen < sizeof first / sizeof *first) expect(size == first[seen++], "V-T4", (double)size);
        last = size;
    }
}

static void test_multiply(const backend *b) {
    static const size_t sizes[][3] = {{1, 1, 1},     {8, 16, 16},  {9, 5, 17},    {7, 385, 33}, {40, 384, 48},
                                      {33, 900, 49}, {65, 31, 97}, {3, 769, 200}, {16, 2, 63}};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes * 4; i++) {
        const size_t rows = sizes[i / 4][0], inner = sizes[i / 4][1], columns = sizes[i / 4][2];
        const int is_transposed = i & 1, add = (i & 2) != 0;
        matrix in = new_matrix(inner, columns, b->width), out = new_matrix(rows, columns, b->width);
        matrix before = new_matrix(rows, columns, b->width);
        float *a = (float *)malloc(rows * inner * sizeof *a), *bias = (float *)malloc(rows * sizeof *bias);
        const product p = {
            rows,     inner,    columns, a,  is_transposed ? 1 : inner, is_transposed ? rows : 1, in.data,
            out.data, in.width, bias,    add};
        double most = 0;
        if (!a || !bias) exit(2);
        for (size_t k = 0; k < rows * inner; k++) a[k] = random_number();
        for (size_t r = 0; r < rows; r++) bias[r] = random_number();
        memcpy(before.data, out.data, out.capacity * sizeof *out.data);
        b->multiply(&p);
        for (size_t r = 0; r < rows; r++) {
            for (size_t c = 0; c < columns; c++) {
                double sum = (double)bias[r] + (add ? (double)*matrix_at(&before, r, c) : 0);
                for (size_t k = 0; k < inner; k++) {
                    sum += (double)a[r * p.a_row + k * p.a_column] * (double)*matrix_at(&in, k, c);
                }
                sum = fabs(sum - (double)*matrix_at(&out, r, c));
                if (!(sum <= most)) most = sum;
            }
        }
        expect(most < 1e-6 + 1e-7 * (double)inner, b->name, most);
        free(in.data);
        free(out.data);
        free(before.data);
        free(a);
        free(bias);
    }
}

static double activate(activation kind, double x) {
    switch (kind) {
    case ACT_GELU: return 0.5 * x * erfc(-x * 0.70710678118654752);
    case ACT_GELU_TANH: return 0.5 * x * (1 + tanh(0.79788456080286536 * (x + 0.044715 * x * x * x)));
    case ACT_RELU: return x < 0 ? 0 : x;
    case ACT_SILU: return x / (1 + exp(-x));
    case ACT_TANH: return tanh(x);
    case ACT_SIGMOID: return 1 / (1 + exp(-x));
    case ACT_NONE: break;
    }
    return x;
}

static void test_functions(const backend *b) {
    float x[STEP] __attribute__((aligned(64)));
    for (int kind = ACT_NONE; kind <= ACT_SIGMOID; kind++) {
        double most = 0;
        for (int i = -24000; i < 24000; i += STEP) {
            for (int k = 0; k < STEP; k++) x[k] = (float)(i + k) * 0.001f;
            b->activate((activation)kind, x, STEP);
            for (int k = 0; k < STEP; k++) {
                const double input = (double)((float)(i + k) * 0.001f), exact = activate((activation)kind, input);
                const double error = fabs((double)x[k] - exact) / (fabs(exact) > 1 ? fabs(exact) : 1);
                if (!(error <= most)) most = error;
            }
        }
        expect(most < 1e-6, "error of an activation function", most);
        for (int k = 0; k < STEP; k++) x[k] = k % 2 ? 1e30f : -1e30f;
        b->activate((activation)kind, x, STEP);
        for (int k = 0; k < STEP; k++) {
            expect(!isnan(x[k]) && fabs((double)x[k]) <= (kind == ACT_TANH || kind == ACT_SIGMOID ? 1 : 2e30),
                   "far out", (double)x[k]);
        }
        x[3] = NAN;
        b->activate((activation)kind, x, STEP);
        expect(isnan(x[3]), "NaN is lost", (double)x[3]);
    }
}

static void test_columns(const backend *b) {
    matrix m = new_matrix(37, 40, 48), copy = new_matrix(37, 40, 48);
    float weight[37], bias[37];
    for (size_t r = 0; r < 37; r++) {
        weight[r] = random_number();
        bias[r] = random_number();
        for (size_t c = 0; c < 40; c++) *matrix_at(&m, r, c) *= c % 2 ? 1.0f : 60.0f;
    }
    memcpy(copy.data, m.data, m.capacity * sizeof *m.data);
    b->softmax(copy.data, 37, 40, copy.width);
    b->normalize(m.data, 37, 40, m.width, weight, bias, 1e-5f);
    for (size_t c = 0; c < 40; c++) {
        double sum = 0, mean = 0, square = 0;
        for (size_t r = 0; r < 37; r++) {
            const double y = ((double)*matrix_at(&m, r, c) - (double)bias[r]) / (double)weight[r];
            sum += (double)*matrix_at(&copy, r, c);
            mean += y / 37;
            square += y * y / 37;
        }
        expect(fabs(sum - 1) < 1e-5, "softmax", sum);
        expect(fabs(mean) < 1e-4 && fabs(square - 1) < 1e-3, "normalize", square);
    }
    free(m.data);
    free(copy.data);
}

int main(void) {
    static const char *const names[] = {"simd-avx512", "simd-avx2", "simd-128", "blas", "scalar"};
    char message[BACKEND_MESSAGE];
    matrix m;
    memset(&m, 0, sizeof m);
    test_pooling();
    test_buckets();
    expect(!matrix_resize(&m, SIZE_MAX / 64, 64, 48) && !matrix_resize(&m, 8, SIZE_MAX / 2, 0), "a huge matrix", 0);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const backend *b = backend_open(names[i], message);
        if (!b) {
            printf("not here: %s\n", message);
            continue;
        }
        test_multiply(b);
        test_functions(b);
        test_columns(b);
    }
    expect(!backend_open("cuda", message) && strstr(message, "cuda"), "an unknown backend", 0);
    expect(backend_open("auto", message) == backend_open("simd", message), "auto", 0);
    return failures > 0;
}
