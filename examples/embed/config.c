/* config.c: reads config.json, and modules.json with the files of its modules, as sentence-transformers writes them. */
#include "config.h"
#include "../common/options.h"
#include <stdio.h>
#include <string.h>

const char *const pooling_names[] = {"mean", "cls", "max", "last", "none", "pooler", NULL};

static int refuse(settings *s, const char *format, const char *value) {
    if (!s->fault[0]) snprintf(s->fault, sizeof s->fault, format, value);
    return 0;
}

static const char *last_part(const char *name) { /* of torch.nn.modules.linear.Identity */
    const char *dot = strrchr(name, '.');
    return dot ? dot + 1 : name;
}

static activation find_activation(settings *s, const char *name) {
    static const char *const names[] = {"Identity", "gelu",    "gelu_new", "relu",    "silu",
                                        "tanh",     "sigmoid", "linear",   "GELU",    "gelu_pytorch_tanh",
                                        "ReLU",     "SiLU",    "Tanh",     "Sigmoid", NULL};
    const int i = word_index(names, last_part(name));
    if (i < 0) refuse(s, "unknown activation function %.100s", name);
    return i < 0 ? ACT_NONE : (activation)(i % 7);
}

/* A size has one name in BERT and another one in DistilBERT; models with several parts have it in text_config. */
static uint64_t find_size(settings *s, const char *name, const char *other, uint64_t fallback) {
    const setting *nested = settings_find(s, NULL, "text_config");
    if (nested) fallback = settings_size(s, nested, name, fallback);
    return settings_size(s, NULL, name, settings_size(s, NULL, other, fallback));
}

static void read_config(config *c, settings *s) {
    static const char *const kinds[] = {"bert", "distilbert", "roberta", "xlm-roberta", "camembert", NULL};
    const char *name = settings_string(s, NULL, "model_type", "");
    const setting *epsilon = settings_find(s, NULL, "layer_norm_eps");
    const int kind = word_index(kinds, name);
    const char *score = settings_string(s, NULL, "sbert_ce_default_activation_function", "Sigmoid");
    if (kind < 0) refuse(s, "model_type \"%.60s\" is none of bert, distilbert, roberta, xlm-roberta, camembert", name);
    c->kind = kind == 1 ? KIND_DISTILBERT : kind > 1 ? KIND_ROBERTA : KIND_BERT;
    c->vocabulary = find_size(s, "vocab_size", "vocab_size", 0);
    c->hidden = find_size(s, "hidden_size", "dim", 0);
    c->layers = find_size(s, "num_hidden_layers", "n_layers", 0);
    c->heads = find_size(s, "num_attention_heads", "n_heads", 0);
    c->head_size = find_size(s, "head_dim", "head_dim", c->heads ? c->hidden / c->heads : 0);
    c->intermediate = find_size(s, "intermediate_size", "hidden_dim", 0);
    c->positions = find_size(s, "max_position_embeddings", "max_position_embeddings", 512);
    c->types = c->kind == KIND_DISTILBERT ? 0 : find_size(s, "type_vocab_size", "type_vocab_size", 2);
    c->padding = find_size(s, "pad_token_id", "pad_token_id", c->kind == KIND_ROBERTA);
    c->epsilon = epsilon && c->kind != KIND_DISTILBERT ? (float)epsilon->number : 1e-12f;
    c->act = find_activation(s, settings_string(s, NULL, "hidden_act", settings_string(s, NULL, "activation", "gelu")));
    score = settings_string(s, NULL, "sentence_transformers.activation_fn", score);
    c->has_sigmoid = strcmp(last_part(score), "Identity") != 0;
    c->is_multi_label = strcmp(settings_string(s, NULL, "problem_type", ""), "multi_label_classification") == 0;
    if (!c->hidden || !c->heads || !c->head_size || !c->layers || !c->vocabulary || !c->intermediate) {
        refuse(s, "%s: a size is missing or 0", "config.json");
    }
    if (c->heads > 65536 || c->head_size > 65536)
        refuse(s, "%s: over 65,536 attention heads, or as large ones", "config.json");
    if ((epsilon && epsilon->kind != JSON_NUMBER) || !(c->epsilon >= 0 && c->epsilon < 1))
        refuse(s, "layer_norm_eps is not between 0 and %s", "1");
    name = settings_string(s, NULL, "position_embedding_type", "absolute");
    if (strcmp(name, "absolute") != 0) refuse(s, "position_embedding_type \"%.60s\" is not supported", name);
}

/* pooling_mode_mean_tokens and so on. If several are true, last counts before mean, and mean before cls. */
static void read_pooling(config *c, settings *s) {
    static const char *const names[] = {"pooling_mode_lasttoken", "pooling_mode_mean_tokens", "pooling_mode_cls_token",
                                        "pooling_mode_max_tokens"};
    static const pooling kinds[] = {POOL_LAST, POOL_MEAN, POOL_CLS, POOL_MAX};
    const char *name = settings_string(s, NULL, "pooling_mode", "");
    int kind = *name ? word_index(pooling_names, strcmp(name, "lasttoken") == 0 ? "last" : name) : -1;
    for (int i = 3; i >= 0; i--) {
        if (settings_flag(s, NULL, names[i], 0)) kind = (int)kinds[i];
    }
    if (kind < 0 || kind >= (int)POOL_NONE) refuse(s, "%s: the pooling is none of mean, cls, max, last", s->file);
    c->pool = kind < 0 ? POOL_MEAN : (pooling)kind;
}

/* Reads another file of the directory with `read`, if it is there. Returns 0 after a message. */
static int read_other(config *c, const char *directory, const char *folder, const char *name,
                      void (*read)(config *, settings *), char *message) {
    char path[NAME_BYTES + 64];
    settings s;
    int good;
    snprintf(path, sizeof path, "%s%s%s", folder, *folder ? "/" : "", name);
    if (settings_read(&s, directory, path)) read(c, &s);
    good = !s.fault[0] || s.is_missing;
    if (!good) snprintf(message, MESSAGE_BYTES, "%s", s.fault);
    settings_free(&s);
    return good;
}

static void read_dense(config *c, settings *s) {
    c->dense_act[c->dense_count] = find_activation(s, settings_string(s, NULL, "activation_function", "Tanh"));
}

static void read_max_tokens(config *c, settings *s) {
    c->max_tokens = settings_size(s, NULL, "max_seq_length", c->max_tokens);
}

static int read_modules(config *c, settings *s, const char *directory, char *message) {
    const setting *module = NULL;
    c->normalize = 0; /* only if a module does it */
    while (s->count && (module = settings_next(s, s->list, module)) != NULL) {
        const char *type = last_part(settings_string(s, module, "type", ""));
        const char *folder = settings_string(s, module, "path", "");
        if (*folder == '/' || strstr(folder, ".."))
            return refuse(s, "modules.json: \"%.80s\" leaves the directory", folder);
        if (strcmp(type, "Pooling") == 0) {
            if (!read_other(c, directory, folder, "config.json", read_pooling, message)) return 0;
        } else if (strcmp(type, "Dense") == 0) {
            if (c->dense_count == MOST_DENSE) return refuse(s, "modules.json: more than %s Dense modules", "8");
            if (!read_other(c, directory, folder, "config.json", read_dense, message)) return 0;
            snprintf(c->dense_folder[c->dense_count++], NAME_BYTES, "%s", folder);
        } else if (strcmp(type, "Normalize") == 0) {
            c->normalize = 1;
        } else if (strcmp(type, "Transformer") != 0 || *folder) {
            return refuse(s, "modules.json: module \"%.60s\" is none of Transformer, Pooling, Dense, Normalize", type);
        }
    }
    return 1;
}

int config_read(config *c, const char *directory, char message[MESSAGE_BYTES]) {
    settings modules;
    int good;
    memset(c, 0, sizeof *c);
    c->normalize = 1;
    c->max_tokens = 512;
    message[0] = 0;
    if (settings_read(&c->file, directory, "config.json")) read_config(c, &c->file);
    if (c->file.fault[0]) return snprintf(message, MESSAGE_BYTES, "%s", c->file.fault), 0;
    good = read_other(c, directory, "", "sentence_bert_config.json", read_max_tokens, message);
    if (settings_read(&modules, directory, "modules.json")) {
        good = good && read_modules(c, &modules, directory, message);
    } else if (modules.is_missing) {
        good = good && read_other(c, directory, "1_Pooling", "config.json", read_pooling, message);
        modules.fault[0] = 0;
    }
    if (modules.fault[0] && !message[0]) snprintf(message, MESSAGE_BYTES, "%s", modules.fault);
    settings_free(&modules);
    return good && !message[0];
}

void config_free(config *c) {
    settings_free(&c->file);
}
