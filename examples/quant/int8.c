/* int8.c: symmetric quantization. A number is an integer times the scale of its block; the largest becomes 127. */
#include "int8.h"
#include <math.h>
#include <string.h>

size_t blocks_of_row(const grid *g) {
    return g->columns / g->block + (g->columns % g->block != 0);
}

/* Returns the scale of n numbers, or a negative number if one of them is not finite. */
static float scale_of(const float *numbers, size_t n) {
    const float smallest = 1.40129846e-45f; /* the largest of tiny numbers, divided by 127, may round to 0 */
    float largest = 0, scale;
    size_t i;
    for (i = 0; i < n; i++) {
        const float size = fabsf(numbers[i]);
        if (!(size <= 3.40282347e38f)) return -1;
        if (size > largest) largest = size;
    }
    scale = largest / 127.0f;
    return largest == 0.0f ? 1.0f : scale > 0.0f ? scale : smallest;
}

static int8_t to_integer(float number, float scale) {
    float quotient = roundf(number / scale); /* half away from zero */
    if (quotient > 127.0f) quotient = 127.0f;
    if (quotient < -127.0f) quotient = -127.0f;
    return (int8_t)quotient;
}

int quantize(const grid *g, const float *numbers, float *scales, int8_t *integers) {
    size_t row, first, i;
    for (row = 0; row < g->rows; row++) {
        for (first = 0; first < g->columns; first += g->block) {
            const size_t n = g->block < g->columns - first ? g->block : g->columns - first;
            *scales = scale_of(numbers, n);
            if (*scales < 0.0f) return 0;
            for (i = 0; i < n; i++) integers[i] = to_integer(numbers[i], *scales);
            scales++;
            numbers += n;
            integers += n;
        }
    }
    return 1;
}

void dequantize(const grid *g, const int8_t *integers, const float *scales, float *numbers) {
    size_t row, first, i;
    for (row = 0; row < g->rows; row++) {
        for (first = 0; first < g->columns; first += g->block, scales++) {
            const size_t n = g->block < g->columns - first ? g->block : g->columns - first;
            for (i = 0; i < n; i++) *numbers++ = (float)*integers++ * *scales;
        }
    }
}

void bias(int8_t *integers, size_t count) {
    size_t i;
    for (i = 0; i < count; i++) {
        const uint8_t byte = (uint8_t)(integers[i] + 128);
        memcpy(&integers[i], &byte, 1);
    }
}

void unbias(int8_t *integers, size_t count) {
    size_t i;
    for (i = 0; i < count; i++) {
        uint8_t byte;
        memcpy(&byte, &integers[i], 1);
        integers[i] = (int8_t)(byte - 128);
    }
}

const char *check_scales(const grid *g, const float *scales, uint64_t count) {
    uint64_t i;
    if (g->rows == 0 || g->columns == 0) return "a quantized tensor without numbers";
    if (count % g->rows != 0 || count / g->rows != blocks_of_row(g)) return "expected another number of scales";
    for (i = 0; i < count; i++) {
        if (!(scales[i] > 0.0f && scales[i] <= 3.40282347e38f)) return "a scale is not a finite number above 0";
    }
    return NULL;
}

uint64_t block_from_shape(uint64_t columns, uint64_t scales) {
    static const uint64_t common[] = {128, 64, 32, 16};
    size_t i;
    if (scales == 1) return columns;
    for (i = 0; i < sizeof common / sizeof *common; i++) {
        if (columns / common[i] + (columns % common[i] != 0) == scales) return common[i];
    }
    return scales && columns % scales == 0 ? columns / scales : 0;
}
