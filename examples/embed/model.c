/* model.c: finds the weights of a model. Each one must be there and have the shape that config.json promises. F32
 * weights are used where the file is mapped; others are converted in one pass over the file. */
#include "model.h"
#include "../common/options.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct loader { /* of one file */
    st_model *file;
    char prefix[NAME_BYTES]; /* of the encoder's names: "", "bert.", "model.bert." */
    const float ***targets;  /* by item: the pointer to set when its weights are loaded */
    st_load_item *items;
    size_t count, floats; /* to convert */
    uint64_t in_place;
    char *message; /* of MESSAGE_BYTES; the first failure is kept, after which nothing is looked for */
} loader;

static int fail(loader *l, const char *format, ...) {
    va_list arguments;
    if (l->message[0]) return 0;
    va_start(arguments, format);
    (void)vsnprintf(l->message, MESSAGE_BYTES, format, arguments);
    va_end(arguments);
    return 0;
}

static int is_usable(const st_tensor *tensor) { /* as an array of floats */
    const uint16_t one = 1;
    const int is_little_endian = *(const unsigned char *)&one == 1;
    return is_little_endian && tensor->dtype == ST_DTYPE_F32 && st_is_aligned(tensor);
}

/* Finds a weight of rows x columns (rows 0: a vector), checks it, and sets *target now or when all are loaded. */
static int want(loader *l, const float **target, uint64_t rows, uint64_t columns, const char *name) {
    const st_tensor *t = l->message[0] ? NULL : st_find(l->file, name);
    const uint64_t shape[2] = {rows, columns};
    const st_dtype d = t ? t->dtype : ST_DTYPE_UNKNOWN;
    if (!t) return fail(l, "%s: tensor %s is missing", l->file->shards[0].path, name);
    if (d != ST_DTYPE_F32 && d != ST_DTYPE_F16 && d != ST_DTYPE_BF16 && d != ST_DTYPE_F64) {
        return fail(l, "tensor %s is %s, expected F32, F16, BF16 or F64", name, t->dtype_name);
    }
    if (!(rows ? st_has_shape(t, 2, shape) : st_has_shape(t, 1, shape + 1))) {
        return fail(l, "tensor %s has %llu elements in %u dimensions, expected %llu x %llu (config.json)", name,
                    (unsigned long long)t->elements, t->rank, (unsigned long long)(rows ? rows : 1),
                    (unsigned long long)columns);
    }
    if (is_usable(t)) {
        l->in_place++;
        *target = (const float *)t->data;
        return 1;
    }
    l->items[l->count].tensor = t; /* no file has more weights than tensors, as each is asked for once */
    l->targets[l->count++] = target;
    l->floats += (size_t)t->elements;
    return 1;
}

/* Finds NAME.weight and NAME.bias. Checkpoints converted from TensorFlow call those of a norm gamma and beta. */
static void want_pair(loader *l, const float **weight, const float **bias, uint64_t rows, uint64_t columns,
                      const char *prefix, const char *format, size_t i) {
    char name[NAME_BYTES], full[3 * NAME_BYTES];
    int is_old;
    snprintf(name, sizeof name, format, i);
    snprintf(full, sizeof full, "%s%s.gamma", prefix, name);
    is_old = rows == 0 && st_find(l->file, full);
    if (!is_old) snprintf(full, sizeof full, "%s%s.weight", prefix, name);
    want(l, weight, rows, columns, full);
    snprintf(full, sizeof full, "%s%s.%s", prefix, name, is_old ? "beta" : "bias");
    want(l, bias, 0, rows > 0 ? rows : columns, full);
}

static void want_linear(loader *l, linear *to, uint64_t out, uint64_t in, const char *prefix, const char *format,
                        size_t i) {
    to->in = (size_t)in;
    to->out = (size_t)out;
    want_pair(l, &to->weight, &to->bias, out, in, prefix, format, i);
}

static void want_norm(loader *l, norm *to, uint64_t size, const char *format, size_t i) {
    want_pair(l, &to->weight, &to->bias, 0, size, l->prefix, format, i);
}

/* Detects the prefix of the encoder's names: any number of "model." and "language_model.", then the architecture. */
static void find_prefix(loader *l) {
    static const char suffix[] = "embeddings.word_embeddings.weight";
    static const char *const families[] = {"", "bert.", "roberta.", "distilbert.", NULL};
    for (size_t i = 0; i < l->file->count; i++) {
        const char *name = l->file->tensors[i].name, *at = name;
        const size_t n = strlen(name);
        if (n < sizeof suffix - 1 || strcmp(name + n - (sizeof suffix - 1), suffix) != 0) continue;
        if ((size_t)snprintf(l->prefix, sizeof l->prefix, "%.*s", (int)(n - (sizeof suffix - 1)), name) >=
            sizeof l->prefix)
            continue;
        for (at = l->prefix; strncmp(at, "model.", 6) == 0 || strncmp(at, "language_model.", 15) == 0;)
            at = strchr(at, '.') + 1;
        if (word_index(families, at) >= 0) return;
    }
    l->prefix[0] = 0;
    fail(l, "%s: no tensor is called %s, also not after bert., roberta., distilbert. or model.",
         l->file->shards[0].path, suffix);
}

static void want_layer(loader *l, layer *to, const config *c, size_t i) {
    static const char *const names[2][8] = {
        {"encoder.layer.%zu.attention.self.query", "encoder.layer.%zu.attention.self.key",
         "encoder.layer.%zu.attention.self.value", "encoder.layer.%zu.attention.output.dense",
         "encoder.layer.%zu.attention.output.LayerNorm", "encoder.layer.%zu.intermediate.dense",
         "encoder.layer.%zu.output.dense", "encoder.layer.%zu.output.LayerNorm"},
        {"transformer.layer.%zu.attention.q_lin", "transformer.layer.%zu.attention.k_lin",
         "transformer.layer.%zu.attention.v_lin", "transformer.layer.%zu.attention.out_lin",
         "transformer.layer.%zu.sa_layer_norm", "transformer.layer.%zu.ffn.lin1", "transformer.layer.%zu.ffn.lin2",
         "transformer.layer.%zu.output_layer_norm"},
    };
    const char *const *name = names[c->kind == KIND_DISTILBERT];
    const uint64_t inner = c->heads * c->head_size;
    want_linear(l, &to->query, inner, c->hidden, l->prefix, name[0], i);
    want_linear(l, &to->key, inner, c->hidden, l->prefix, name[1], i);
    want_linear(l, &to->value, inner, c->hidden, l->prefix, name[2], i);
    want_linear(l, &to->output, c->hidden, inner, l->prefix, name[3], i);
    want_norm(l, &to->after_attention, c->hidden, name[4], i);
    want_linear(l, &to->up, c->intermediate, c->hidden, l->prefix, name[5], i);
    want_linear(l, &to->down, c->hidden, c->intermediate, l->prefix, name[6], i);
    want_norm(l, &to->after_feed, c->hidden, name[7], i);
}

/* The classifier stands outside the encoder: BERT has it after the pooler, the others have a layer of their own. */
static int want_head(loader *l, model *m) {
    const char *name = m->config.kind == KIND_ROBERTA ? "classifier.out_proj" : "classifier";
    char full[64];
    const st_tensor *weight;
    snprintf(full, sizeof full, "%s.weight", name);
    weight = st_find(l->file, full);
    if (!weight || weight->rank != 2)
        return fail(l, "%s: tensor %s is missing, or no matrix", l->file->shards[0].path, full);
    if (m->config.kind == KIND_ROBERTA)
        want_linear(l, &m->head, m->config.hidden, m->config.hidden, "", "classifier.dense", 0);
    if (m->config.kind == KIND_DISTILBERT)
        want_linear(l, &m->head, m->config.hidden, m->config.hidden, "", "pre_classifier", 0);
    m->head_act = m->config.kind == KIND_DISTILBERT ? ACT_RELU : ACT_TANH;
    want_linear(l, &m->labels, weight->shape[0], m->config.hidden, "", name, 0);
    return weight->shape[0] > 0 || fail(l, "tensor %s has no rows", full);
}

static void want_encoder(loader *l, model *m, int with_head, int with_pooler) {
    const config *c = &m->config;
    char name[NAME_BYTES + 64];
    find_prefix(l);
    snprintf(name, sizeof name, "%sembeddings.word_embeddings.weight", l->prefix);
    want(l, &m->words, c->vocabulary, c->hidden, name);
    snprintf(name, sizeof name, "%sembeddings.position_embeddings.weight", l->prefix);
    want(l, &m->positions, c->positions, c->hidden, name);
    snprintf(name, sizeof name, "%sembeddings.token_type_embeddings.weight", l->prefix);
    if (c->types > 0) want(l, &m->types, c->types, c->hidden, name);
    want_norm(l, &m->after_embeddings, c->hidden, "embeddings.LayerNorm", 0);
    if (c->layers > l->file->count)
        fail(l, "config.json: num_hidden_layers is %llu, but the model has only %zu tensors",
             (unsigned long long)c->layers, l->file->count);
    m->layers = (layer *)calloc(l->message[0] ? 1 : (size_t)c->layers, sizeof *m->layers);
    if (!m->layers) fail(l, "out of memory");
    for (size_t i = 0; !l->message[0] && i < c->layers; i++) want_layer(l, &m->layers[i], c, i);
    if (with_pooler || (with_head && c->kind == KIND_BERT)) {
        want_linear(l, &m->pooler, c->hidden, c->hidden, l->prefix, "pooler.dense", 0);
    }
    if (with_head) want_head(l, m);
}

/* A Dense module has any number of outputs; its weights say how many. */
static void want_dense(loader *l, linear *to, size_t in) {
    const st_tensor *weight = st_find(l->file, "linear.weight");
    const st_tensor *bias = st_find(l->file, "linear.bias");
    to->in = in;
    to->out = weight && weight->rank == 2 ? (size_t)weight->shape[0] : 1;
    want(l, &to->weight, to->out, in, "linear.weight");
    if (bias) want(l, &to->bias, 0, to->out, "linear.bias");
    if (to->out == 0) fail(l, "tensor linear.weight has no rows");
}

static int load(loader *l, float **block) {
    st_error error;
    float *at;
    if (l->message[0] || l->count == 0) return 1;
    *block = at = (float *)malloc(l->floats * sizeof *at);
    if (!at) return fail(l, "out of memory: %zu numbers are to be converted", l->floats);
    for (size_t i = 0; i < l->count; i++) {
        l->items[i].as = ST_DTYPE_F32;
        l->items[i].dst = at;
        l->items[i].dst_bytes = (size_t)l->items[i].tensor->elements * sizeof *at;
        *l->targets[i] = at;
        at += l->items[i].tensor->elements;
    }
    return st_load(l->file, l->items, l->count, NULL, &error) == ST_OK || fail(l, "%s", error.message);
}

/* Opens file number i of the model: the encoder's, or that of Dense module i - 1. */
static int load_file(model *m, size_t i, const char *directory, int with_head, int with_pooler, char *message) {
    char path[4096];
    const char *folder = i > 0 ? m->config.dense_folder[i - 1] : "";
    loader l;
    st_error error;
    memset(&l, 0, sizeof l);
    l.message = message;
    if ((size_t)snprintf(path, sizeof path, "%s%s%s", directory, i > 0 ? "/" : "", folder) >= sizeof path) {
        return fail(&l, "the path of the model is too long");
    }
    if (st_open(&m->files[i], path, NULL, &error) != ST_OK) return fail(&l, "%s", error.message);
    l.file = m->files[i];
    l.items = (st_load_item *)calloc(l.file->count + 1, sizeof *l.items);
    l.targets = (const float ***)calloc(l.file->count + 1, sizeof *l.targets);
    if (!l.items || !l.targets) fail(&l, "out of memory");
    if (i == 0) want_encoder(&l, m, with_head, with_pooler);
    if (i > 0) want_dense(&l, &m->dense[i - 1], i > 1 ? m->dense[i - 2].out : (size_t)m->config.hidden);
    load(&l, &m->converted[i]);
    m->in_place += l.in_place;
    m->converted_count += l.count;
    free(l.items);
    free(l.targets);
    return !message[0];
}

int model_open(model *m, const char *directory, int with_head, int with_pooler, char message[MESSAGE_BYTES]) {
    memset(m, 0, sizeof *m);
    if (!config_read(&m->config, directory, message)) return 0;
    if (with_head) m->config.dense_count = 0; /* modules make embeddings */
    for (size_t i = 0; i <= m->config.dense_count && !message[0]; i++) {
        load_file(m, i, directory, with_head, with_pooler, message);
    }
    if (m->config.kind == KIND_ROBERTA) m->first_position = (size_t)m->config.padding + 1;
    if (!message[0] && m->first_position >= m->config.positions) {
        snprintf(message, MESSAGE_BYTES, "config.json: no position is left for a token after pad_token_id");
    }
    m->output_size = with_head               ? m->labels.out
                     : m->config.dense_count ? m->dense[m->config.dense_count - 1].out
                                             : (size_t)m->config.hidden;
    return !message[0];
}

void model_close(model *m) {
    for (size_t i = 0; i <= MOST_DENSE; i++) {
        free(m->converted[i]);
        st_close(m->files[i]);
    }
    free(m->layers);
    config_free(&m->config);
}
