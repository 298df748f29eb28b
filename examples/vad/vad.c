/* vad.c: the network of the detector.
 *
 * samples -> 4 spectra -> 4 convolutions -> recurrent layer -> probability. Each layer is a matrix, whose rows are
 * contiguous in the file, times a few columns. Two loops do all the work: each takes four rows at once, for two
 * reasons. It loads every value of a column once for four rows, and it has 16 independent sums, which fill the vector
 * registers of desktop processors and hide the latency of the floating-point unit of a Cortex-M. */
#include "vad.h"
#include <math.h> /* sqrtf, one instruction with -fno-math-errno where the processor has it */
#include <string.h>

/* indexes of vad_tensors; a bias follows the weights of each convolution and of the last layer */
enum { STFT, CONV1, CONV2 = 3, CONV3 = 5, CONV4 = 7, FINAL = 13 };
enum { INPUT_WEIGHTS = 9, HIDDEN_WEIGHTS, INPUT_BIAS, HIDDEN_BIAS };

const vad_tensor vad_tensors[VAD_TENSORS] = {
    {"stft_conv.weight", 3, {258, 1, 256}},
    {"conv1.weight", 3, {128, 129, 3}},
    {"conv1.bias", 1, {128}},
    {"conv2.weight", 3, {64, 128, 3}},
    {"conv2.bias", 1, {64}},
    {"conv3.weight", 3, {64, 64, 3}},
    {"conv3.bias", 1, {64}},
    {"conv4.weight", 3, {128, 64, 3}},
    {"conv4.bias", 1, {128}},
    {"lstm_cell.weight_ih", 2, {512, 128}},
    {"lstm_cell.weight_hh", 2, {512, 128}},
    {"lstm_cell.bias_ih", 1, {512}},
    {"lstm_cell.bias_hh", 1, {512}},
    {"final_conv.weight", 3, {1, 128, 1}},
    {"final_conv.bias", 1, {1}},
};

static int is_little_endian(void) {
    const uint16_t one = 1;
    unsigned char first;
    memcpy(&first, &one, 1);
    return first == 1;
}

const char *vad_set_tensor(vad *v, size_t index, const st_tensor *tensor) {
    const vad_tensor *wanted = &vad_tensors[index];
    if (tensor->dtype != ST_DTYPE_F32) return "expected dtype F32";
    if (!st_has_shape(tensor, wanted->rank, wanted->shape)) return "wrong shape";
    if (!tensor->data) return "its data is not in memory";
    v->weights[index] = (const unsigned char *)tensor->data;
    if (!st_is_aligned(tensor) || !is_little_endian()) v->copies = 1;
    return NULL;
}

void vad_reset(vad *v) {
    memset(v->context, 0, sizeof v->context);
    memset(v->hidden, 0, sizeof v->hidden);
    memset(v->cell, 0, sizeof v->cell);
}

/* ---- weights ------------------------------------------------------------------------------------------------ */

/* Copies n floats from a file, where they have any alignment and are little-endian. */
static void copy_weights(float *to, const unsigned char *from, size_t n) {
    for (size_t i = 0; i < n; i++, from += 4) {
        const uint32_t bits =
            (uint32_t)from[0] | (uint32_t)from[1] << 8 | (uint32_t)from[2] << 16 | (uint32_t)from[3] << 24;
        memcpy(&to[i], &bits, sizeof bits);
    }
}

static float one_weight(const vad *v, size_t index, size_t i) {
    float value;
    copy_weights(&value, v->weights[index] + i * sizeof value, 1);
    return value;
}

/* ---- matrix times columns ------------------------------------------------------------------------------------ */

typedef struct four {
    float f[4];
} four;

static inline four four_of(const float *x) {
    const four values = {{x[0], x[1], x[2], x[3]}};
    return values;
}

static inline four same(float x) {
    const four values = {{x, x, x, x}};
    return values;
}

static inline void add_products(four *sum, four w, const four *x) {
    sum->f[0] += w.f[0] * x->f[0];
    sum->f[1] += w.f[1] * x->f[1];
    sum->f[2] += w.f[2] * x->f[2];
    sum->f[3] += w.f[3] * x->f[3];
}

/* sums[r].f[t] += row r * column t, of four columns whose values alternate: x[4 * i + t] */
static void times_four_columns(four *sums, const float *const *rows, const float *x, size_t n) {
    four s0 = sums[0], s1 = sums[1], s2 = sums[2], s3 = sums[3];
    const float *w0 = rows[0], *w1 = rows[1], *w2 = rows[2], *w3 = rows[3];
    for (size_t i = 0; i < n; i++) {
        const four column = four_of(x + 4 * i);
        add_products(&s0, same(w0[i]), &column);
        add_products(&s1, same(w1[i]), &column);
        add_products(&s2, same(w2[i]), &column);
        add_products(&s3, same(w3[i]), &column);
    }
    sums[0] = s0;
    sums[1] = s1;
    sums[2] = s2;
    sums[3] = s3;
}

/* sums[r].f[k] += the k-th quarter of row r * the column: values k, k + 4, k + 8 ... n is a multiple of 4. */
static void times_one_column(four *sums, const float *const *rows, const float *x, size_t n) {
    four s0 = sums[0], s1 = sums[1], s2 = sums[2], s3 = sums[3];
    const float *w0 = rows[0], *w1 = rows[1], *w2 = rows[2], *w3 = rows[3];
    for (size_t i = 0; i < n; i += 4) {
        const four column = four_of(x + i);
        add_products(&s0, four_of(w0 + i), &column);
        add_products(&s1, four_of(w1 + i), &column);
        add_products(&s2, four_of(w2 + i), &column);
        add_products(&s3, four_of(w3 + i), &column);
    }
    sums[0] = s0;
    sums[1] = s1;
    sums[2] = s2;
    sums[3] = s3;
}

typedef void times(four *sums, const float *const *rows, const float *x, size_t n);

/* Multiplies the four rows that begin at the given weights of a tensor, each of n values, by columns: `across` floats
 * of x belong to one value of a row. Rows that the processor cannot use in place are copied, a block at a time. */
static void multiply(const vad *v, size_t index, const size_t *begin, times *kernel, const float *x, size_t across,
                     size_t n, four *sums) {
    enum { BLOCK = 64 };
    float block[4][BLOCK];
    const float *rows[4];
    size_t r, done, part;
    memset(sums, 0, 4 * sizeof *sums);
    for (done = 0; done < n; done += part) {
        part = v->copies && n - done > BLOCK ? (size_t)BLOCK : n - done;
        for (r = 0; r < 4; r++) {
            const unsigned char *from = v->weights[index] + (begin[r] + done) * sizeof(float);
            if (v->copies) copy_weights(block[r], from, part);
            rows[r] = v->copies ? block[r] : (const float *)(const void *)from;
        }
        kernel(sums, rows, x + done * across, part);
    }
}

/* ---- functions -------------------------------------------------------------------------------------------------- */

/* e^x to about 2e-7 of its value. newlib computes expf in double precision, which a Cortex-M4 lacks. */
static float exponential(float x) {
    static const float coefficients[8] = {1.0f / 5040, 1.0f / 720, 1.0f / 120, 1.0f / 24, 1.0f / 6, 0.5f, 1, 1};
    float whole, rest, sum = 0;
    uint32_t bits;
    int i, power;
    if (!(x > -87)) return x <= -87 ? 0 : x; /* NaN stays NaN */
    if (x > 88) x = 88;
    power = (int)(x * 1.44269504f + (x < 0 ? -0.5f : 0.5f)); /* x = power * ln 2 + rest */
    whole = (float)power;
    rest = x - whole * 0.693145752f - whole * 1.42860677e-6f; /* ln 2 in two parts: the first product is exact */
    for (i = 0; i < 8; i++) sum = sum * rest + coefficients[i];
    bits = (uint32_t)(power + 127) << 23; /* 2^power */
    memcpy(&whole, &bits, sizeof whole);
    return sum * whole;
}

static float sigmoid(float x) {
    return 1 / (1 + exponential(-x));
}

static float hyperbolic_tangent(float x) {
    return 2 * sigmoid(2 * x) - 1;
}

static float positive(float x) { /* ReLU; NaN stays NaN */
    return x < 0 ? 0 : x;
}

static float sum_of(const four *x) {
    return (x->f[0] + x->f[1]) + (x->f[2] + x->f[3]);
}

/* ---- layers ---------------------------------------------------------------------------------------------------- */

/* Fills columns with the four windows of a chunk: the end of the chunk before, the chunk, and its end in reverse. */
static void cut_windows(vad *v, const int16_t *samples) {
    enum { STEP = 128, LAST = VAD_CONTEXT + VAD_CHUNK - 1 };
    size_t i, t;
    for (i = 0; i < VAD_WINDOW; i++) {
        for (t = 0; t < VAD_FRAMES; t++) {
            size_t at = STEP * t + i;
            if (at > LAST) at = 2 * LAST - at; /* the last sample itself is not repeated */
            v->columns[VAD_FRAMES * i + t] =
                at < VAD_CONTEXT ? v->context[at] : (float)samples[at - VAD_CONTEXT] * (1.0f / 32768);
        }
    }
    for (i = 0; i < VAD_CONTEXT; i++) {
        v->context[i] = (float)samples[VAD_CHUNK - VAD_CONTEXT + i] * (1.0f / 32768);
    }
}

/* Row c of the weights gives the real part of frequency c, row 129 + c the imaginary part. */
static void find_magnitudes(vad *v) {
    four sums[4];
    size_t c, r, t;
    for (c = 0; c < VAD_FREQUENCIES; c += 2) {
        const size_t next = c + 1 < VAD_FREQUENCIES ? c + 1 : c; /* their number is odd */
        const size_t begin[4] = {VAD_WINDOW * c, VAD_WINDOW * next, VAD_WINDOW * (VAD_FREQUENCIES + c),
                                 VAD_WINDOW * (VAD_FREQUENCIES + next)};
        multiply(v, STFT, begin, times_four_columns, v->columns, VAD_FRAMES, VAD_WINDOW, sums);
        for (r = 0; r < 2; r++) {
            for (t = 0; t < VAD_FRAMES; t++) {
                const float real = sums[r].f[t], imaginary = sums[r + 2].f[t];
                v->values[VAD_FRAMES * (r ? next : c) + t] = sqrtf(real * real + imaginary * imaginary);
            }
        }
    }
}

/* A convolution over time of width 3, padded with a zero on both sides, and ReLU. values[frames * channel + t] is its
 * input and, with fewer frames, its output. Returns the number of frames. */
static size_t convolve(vad *v, size_t index, size_t frames, size_t stride) {
    const size_t outputs = (size_t)vad_tensors[index].shape[0], n = 3 * (size_t)vad_tensors[index].shape[1];
    const size_t after = (frames - 1) / stride + 1;
    const int together = after == VAD_FRAMES; /* four columns, whose values alternate; else one after the other */
    size_t i, k, t, r, o, begin[4];
    four sums[4];
    for (i = 0; i < n; i++) {
        for (t = 0; t < after; t++) {
            const size_t at = stride * t + i % 3; /* one too large, as the padding comes first */
            v->columns[together ? VAD_FRAMES * i + t : n * t + i] =
                at >= 1 && at <= frames ? v->values[frames * (i / 3) + at - 1] : 0;
        }
    }
    for (o = 0; o < outputs; o += 4) {
        for (r = 0; r < 4; r++) begin[r] = n * (o + r);
        for (t = 0; t < after; t += together ? VAD_FRAMES : 1) {
            multiply(v, index, begin, together ? times_four_columns : times_one_column,
                     v->columns + (together ? 0 : n * t), together ? VAD_FRAMES : 1, n, sums);
            for (r = 0; r < 4; r++) {
                const float bias = one_weight(v, index + 1, o + r);
                for (k = 0; together && k < VAD_FRAMES; k++) {
                    v->values[VAD_FRAMES * (o + r) + k] = positive(sums[r].f[k] + bias);
                }
                if (!together) v->values[after * (o + r) + t] = positive(sum_of(&sums[r]) + bias);
            }
        }
    }
    return after;
}

/* One step of a long short-term memory. Its weights have 128 rows for each gate: input, forget, candidate, output. */
static void remember(vad *v) {
    float *hidden = v->columns;
    float gate[4];
    size_t begin[4], j, r;
    four sums[4], more[4];
    for (j = 0; j < VAD_STATE; j++) {
        for (r = 0; r < 4; r++) begin[r] = VAD_STATE * (VAD_STATE * r + j);
        multiply(v, INPUT_WEIGHTS, begin, times_one_column, v->values, 1, VAD_STATE, sums);
        multiply(v, HIDDEN_WEIGHTS, begin, times_one_column, v->hidden, 1, VAD_STATE, more);
        for (r = 0; r < 4; r++) {
            gate[r] = sum_of(&sums[r]) + one_weight(v, INPUT_BIAS, VAD_STATE * r + j) + sum_of(&more[r]) +
                      one_weight(v, HIDDEN_BIAS, VAD_STATE * r + j);
        }
        v->cell[j] = sigmoid(gate[1]) * v->cell[j] + sigmoid(gate[0]) * hyperbolic_tangent(gate[2]);
        hidden[j] = sigmoid(gate[3]) * hyperbolic_tangent(v->cell[j]);
    }
    memcpy(v->hidden, hidden, sizeof v->hidden);
}

float vad_next(vad *v, const int16_t *samples) {
    size_t frames = VAD_FRAMES, j;
    float sum = one_weight(v, FINAL + 1, 0);
    cut_windows(v, samples);
    find_magnitudes(v);
    frames = convolve(v, CONV1, frames, 1);
    frames = convolve(v, CONV2, frames, 2);
    frames = convolve(v, CONV3, frames, 2);
    (void)convolve(v, CONV4, frames, 1);
    remember(v);
    for (j = 0; j < VAD_STATE; j++) sum += positive(v->hidden[j]) * one_weight(v, FINAL, j);
    return sigmoid(sum);
}
