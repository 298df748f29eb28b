/* config.h: what the JSON files of a model directory say. */
#ifndef EMBED_CONFIG_H
#define EMBED_CONFIG_H

#include "../common/settings.h"
#include "../matrix/backend.h"

enum { MESSAGE_BYTES = 256, MOST_DENSE = 8, NAME_BYTES = 256 }; /* of a folder, of a prefix of tensor names */

typedef enum model_kind { KIND_BERT, KIND_DISTILBERT, KIND_ROBERTA } model_kind;
typedef enum pooling { POOL_MEAN, POOL_CLS, POOL_MAX, POOL_LAST, POOL_NONE, POOL_POOLER } pooling;

typedef struct config { /* sizes are as the file claims: model_open compares them with the tensors */
    model_kind kind;
    uint64_t vocabulary, hidden, layers, heads, head_size, intermediate, positions, types, padding;
    uint64_t max_tokens; /* of sentence_bert_config.json, else 512 */
    float epsilon;
    activation act;
    pooling pool;
    int normalize;
    int has_sigmoid; /* the score of a cross-encoder with one label passes the sigmoid function */
    int is_multi_label;
    size_t dense_count;
    char dense_folder[MOST_DENSE][NAME_BYTES]; /* of Dense modules, in their order */
    activation dense_act[MOST_DENSE];
    settings file; /* config.json: has the names of labels */
} config;

/* Reads the configuration of a model directory. Returns 0 after a message. config_free follows in either case. */
int config_read(config *c, const char *directory, char message[MESSAGE_BYTES]);
void config_free(config *c);
extern const char *const pooling_names[]; /* by number; NULL at the end */

#endif
