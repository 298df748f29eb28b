/* int8.h: numbers as 8-bit integers with scales. */
#ifndef QUANT_INT8_H
#define QUANT_INT8_H

#include <stddef.h>
#include <stdint.h>

typedef struct
    grid { /* rows of numbers, cut into blocks of columns that share a scale; the last block can be shorter */
    size_t rows, columns, block;
} grid;

size_t blocks_of_row(const grid *g);
/* Computes the scales, rows times blocks_of_row, and the integers, -127 to 127. Returns 0 if a number is not finite. */
int quantize(const grid *g, const float *numbers, float *scales, int8_t *integers);
void dequantize(const grid *g, const int8_t *integers, const float *scales, float *numbers);
/* The U8 form stores each integer plus 128, so that its bytes are unsigned. Both functions work in place. */
void bias(int8_t *integers, size_t count);
void unbias(int8_t *integers, size_t count);
/* Returns NULL, or why these scales cannot be right. */
const char *check_scales(const grid *g, const float *scales, uint64_t count);
/* Returns how many columns share a scale where a row has that many scales, as `st convert` works it out from the shapes
 * alone, or 0 if the row cannot be divided so. */
uint64_t block_from_shape(uint64_t columns, uint64_t scales);

#endif
