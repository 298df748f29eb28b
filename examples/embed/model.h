/* model.h: the weights of an encoder of the BERT family, found by name in safetensors files. */
#ifndef EMBED_MODEL_H
#define EMBED_MODEL_H

#include "config.h"
#include "safetensors.h"

typedef struct linear {         /* y = weight x + bias */
    const float *weight, *bias; /* [out][in], [out] or NULL */
    size_t in, out;
} linear;

typedef struct norm {
    const float *weight, *bias;
} norm;

typedef struct layer {
    linear query, key, value, output, up, down;
    norm after_attention, after_feed;
} layer;

typedef struct model {
    config config;
    const float *words, *positions, *types; /* embeddings: a row for each token, position, token type */
    size_t first_position;                  /* of the first token: RoBERTa leaves rows out */
    norm after_embeddings;
    layer *layers;
    linear pooler, head, labels, dense[MOST_DENSE]; /* out is 0 where the model has none or nobody asked */
    activation head_act;
    size_t output_size; /* numbers in the result: those of labels, else of an embedding */
    st_model *files[1 + MOST_DENSE];
    float *converted[1 + MOST_DENSE]; /* weights that could not be used in place */
    uint64_t in_place, converted_count;
} model;

/* Opens a model directory. with_head: the classifier is needed too. with_pooler: the pooler is.
 * Returns 0 after a message; model_close follows in either case. */
int model_open(model *m, const char *directory, int with_head, int with_pooler, char message[MESSAGE_BYTES]);
void model_close(model *m);

#endif
