/* kernels.h: the arithmetic with the vector types of gcc and clang. backend.c includes this file once for each
 * instruction set, with LANES, ROWS (of a tile: as many as fit the registers), TARGET and NAME defined. */
typedef float NAME(vec) __attribute__((vector_size(LANES * 4), may_alias));
typedef uint32_t NAME(bits) __attribute__((vector_size(LANES * 4), may_alias));
#define vec NAME(vec)
#define bits NAME(bits)
#define AT(pointer) (*(vec *)(pointer))
#define FROM(pointer) (*(const vec *)(pointer))

INLINE TARGET vec NAME(splat)(float x) {
    return x - (vec){0};
}

INLINE TARGET vec NAME(choose)(bits mask, vec yes, vec no) {
    return (vec)((mask & (bits)yes) | (~mask & (bits)no));
}

#if LANES > 1
/* Computes rows x (vectors * LANES) elements of c over inner elements k to end. The sums stay in registers. Loops have
 * constant bounds, so that they are unrolled and only a tile that is cut at an edge has conditions, also constant. */
INLINE TARGET void NAME(tile)(const product *p, size_t row, const float *b, float *c, size_t k, size_t end,
                              const int rows, const int vectors) {
    const size_t a_row = p->a_row, a_column = p->a_column, width = p->width;
    const float *a = p->a + row * a_row + k * a_column;
    const int first = k == 0;
    vec sum[ROWS][3];
    UNROLL for (int r = 0; r < ROWS; r++) if (r < rows) {
        const vec start = NAME(splat)(first && p->bias ? p->bias[row + (size_t)r] : 0);
        UNROLL for (int v = 0; v < 3; v++) if (v < vectors) {
            sum[r][v] = start;
            if (!first || p->add) sum[r][v] += FROM(c + (size_t)r * width + v * LANES);
        }
    }
    for (b += k * width; k < end; k++, a += a_column, b += width) {
        vec in[3];
        UNROLL for (int v = 0; v < 3; v++) if (v < vectors) in[v] = FROM(b + v * LANES);
        UNROLL for (int r = 0; r < ROWS; r++) if (r < rows) {
            const vec weight = NAME(splat)(a[(size_t)r * a_row]);
            UNROLL for (int v = 0; v < 3; v++) if (v < vectors) sum[r][v] += weight * in[v];
        }
    }
    UNROLL for (int r = 0; r < ROWS; r++) if (r < rows) {
        UNROLL for (int v = 0; v < 3; v++) if (v < vectors) AT(c + (size_t)r * width + v * LANES) = sum[r][v];
    }
}

TARGET static void NAME(strip)(const product *p, size_t row, const float *b, float *c, size_t k, size_t end,
                               size_t vectors, int whole) {
    if (whole) {
        if (vectors == 3) NAME(tile)(p, row, b, c, k, end, ROWS, 3);
        if (vectors == 2) NAME(tile)(p, row, b, c, k, end, ROWS, 2);
        if (vectors == 1) NAME(tile)(p, row, b, c, k, end, ROWS, 1);
    } else {
        if (vectors == 3) NAME(tile)(p, row, b, c, k, end, 1, 3);
        if (vectors == 2) NAME(tile)(p, row, b, c, k, end, 1, 2);
        if (vectors == 1) NAME(tile)(p, row, b, c, k, end, 1, 1);
    }
}

/* In blocks: BLOCK_INNER x 48 elements of b stay in the first or second cache while BLOCK_ROWS rows of a pass. */
TARGET static void NAME(multiply)(const product *p) {
    for (size_t k = 0; k < p->inner; k += BLOCK_INNER) {
        const size_t end = least(p->inner, k + BLOCK_INNER);
        for (size_t block = 0; block < p->rows; block += BLOCK_ROWS) {
            const size_t last = least(p->rows, block + BLOCK_ROWS);
            for (size_t column = 0; column < p->columns; column += p->width) {
                const size_t columns = round_up(least(p->width, p->columns - column));
                for (size_t i = 0; i < columns; i += 3 * LANES) {
                    const size_t vectors = least(3, (columns - i) / LANES);
                    const float *b = p->b + column * p->inner + i;
                    float *c = p->c + column * p->rows + i;
                    for (size_t row = block, whole; row < last; row += whole ? ROWS : 1) {
                        whole = last - row >= ROWS;
                        NAME(strip)(p, row, b, c + row * p->width, k, end, vectors, (int)whole);
                    }
                }
            }
        }
    }
}
#endif

/* e^x to 2 units in the last place: 2^n times a polynomial on [-ln 2 / 2, ln 2 / 2]. NaN stays NaN. */
INLINE TARGET vec NAME(exp)(vec x) {
    const float shift = 12582912.0f; /* 1.5 * 2^23: adding it rounds to a whole number, kept in the low bits */
    vec n, y;
    x = NAME(choose)((bits)(x < -87.0f), NAME(splat)(-87.0f), x);
    x = NAME(choose)((bits)(x > 88.0f), NAME(splat)(88.0f), x);
    n = x * 1.44269504f + shift;
    x -= (n - shift) * 0.693359375f;
    x -= (n - shift) * -2.12194440e-4f;
    y = ((((x * 1.9875691500e-4f + 1.3981999507e-3f) * x + 8.3334519073e-3f) * x + 4.1665795894e-2f) * x +
         1.6666665459e-1f) *
            x +
        5.0000001201e-1f;
    y = y * x * x + x + 1.0f;
    return (vec)((bits)y + ((bits)n << 23));
}

INLINE TARGET vec NAME(sigmoid)(vec x) {
    return 1.0f / (1.0f + NAME(exp)(-x));
}

/* x times the normal distribution function, by erfc (Abramowitz and Stegun 7.1.26, absolute error 1.5e-7) */
INLINE TARGET vec NAME(gelu)(vec x) {
    const vec size = (vec)((bits)x & 0x7fffffffu);
    const vec t = 1.0f / (1.0f + size * (0.3275911f * 0.70710678f));
    const vec tail = ((((t * 1.061405429f - 1.453152027f) * t + 1.421413741f) * t - 0.284496736f) * t + 0.254829592f) *
                     t * NAME(exp)(x * x * -0.5f);
    return NAME(choose)((bits)(x < 0.0f), NAME(splat)(0), x) - size * tail * 0.5f;
}

TARGET static void NAME(activate)(activation kind, float *data, size_t n) {
    for (size_t i = 0; i < n; i += LANES) {
        const vec x = FROM(data + i);
        vec y = x;
        switch (kind) {
        case ACT_GELU: y = NAME(gelu)(x); break;
        case ACT_GELU_TANH: y = x * NAME(sigmoid)((x + x * x * x * 0.044715f) * 1.59576912f); break;
        case ACT_RELU: y = NAME(choose)((bits)(x < 0.0f), NAME(splat)(0), x); break;
        case ACT_SILU: y = x * NAME(sigmoid)(x); break;
        case ACT_TANH: y = 2.0f * NAME(sigmoid)(x + x) - 1.0f; break;
        case ACT_SIGMOID: y = NAME(sigmoid)(x); break;
        case ACT_NONE: break;
        }
        AT(data + i) = y;
    }
}

TARGET static void NAME(softmax)(float *data, size_t rows, size_t columns, size_t width) {
    for (float *x = data; x < data + columns; x += LANES) {
        vec most = FROM(x), sum = {0};
        for (size_t r = 1; r < rows; r++) {
            const vec y = FROM(x + r * width);
            most = NAME(choose)((bits)(y > most), y, most);
        }
        for (size_t r = 0; r < rows; r++) sum += AT(x + r * width) = NAME(exp)(FROM(x + r * width) - most);
        sum = 1.0f / sum;
        for (size_t r = 0; r < rows; r++) AT(x + r * width) *= sum;
    }
}

TARGET static void NAME(normalize)(float *data, size_t rows, size_t columns, size_t width, const float *weight,
                                   const float *bias, float epsilon) {
    for (float *x = data; x < data + columns; x += LANES) {
        vec mean = {0}, sum = {0};
        for (size_t r = 0; r < rows; r++) mean += FROM(x + r * width);
        mean /= (float)rows;
        for (size_t r = 0; r < rows; r++) {
            const vec y = FROM(x + r * width) - mean;
            sum += y * y;
        }
        for (int i = 0; i < LANES; i++) sum[i] = 1.0f / sqrtf(sum[i] / (float)rows + epsilon);
        for (size_t r = 0; r < rows; r++) {
            AT(x + r * width) = (FROM(x + r * width) - mean) * (sum * weight[r]) + bias[r];
        }
    }
}
#undef vec
#undef bits
#undef AT
#undef FROM
#undef LANES
#undef ROWS
#undef TARGET
#undef NAME
