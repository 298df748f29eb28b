/* encoder.h: runs a model: tokens in, embeddings or the scores of labels out. */
#ifndef EMBED_ENCODER_H
#define EMBED_ENCODER_H

#include "model.h"

typedef struct sentence {
    const int32_t *ids, *types; /* types NULL: all 0 */
    size_t count;               /* of tokens */
    size_t padded; /* columns that it takes, `count` or more: the rest is padding, which nothing looks at */
    float *result; /* room for output_size numbers; with every_token for `count` times as many */
} sentence;

typedef struct encoder { /* one for each thread; models are shared */
    const model *model;
    const backend *backend;
    pooling pool;
    int normalize, every_token;
    matrix states, query, key, value, context, inner, pooled, next; /* activations, kept for the next batch */
    matrix head_query, head_key, head_value, scores, head_context;
} encoder;

/* Runs a batch. Returns 0 after a message. */
int encoder_run(encoder *e, const sentence *sentences, size_t count, char message[MESSAGE_BYTES]);
void encoder_free(encoder *e);

/* Pools the columns first to first + count of states into column `to` of result, which has as many rows. */
void pool_tokens(const matrix *states, size_t first, size_t count, pooling kind, matrix *result, size_t to);
void normalize_vector(float *x, size_t n);
size_t bucket_size(size_t n); /* the next of 1, 2, 3, 4, 6, 8, 11, 15, 21, 29 ..., each about 1.4 times the last */

#endif
