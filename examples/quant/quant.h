/* quant.h: the commands. */
#ifndef QUANT_H
#define QUANT_H

#include "safetensors.h"

typedef enum layout_kind { LAYOUT_TENSOR, LAYOUT_ROWS, LAYOUT_BLOCKS } layout_kind;

typedef struct quant_options {
    layout_kind layout; /* what shares a scale */
    size_t block;       /* columns that share one, with LAYOUT_BLOCKS */
    st_dtype dtype;     /* I8 or U8 */
    int all;            /* tensors of any rank, not only of two dimensions */
} quant_options;

/* Both return 1, or 0 after a message. Without `out`, dequantize_file only checks the scales. */
int quantize_file(const char *in, const char *out, const quant_options *options);
int dequantize_file(const char *in, const char *out, st_dtype dtype);

#endif
