/* augment.c: names. A checkpoint of Llama gets the names of the Tensor Engine beside its own. */
#include "dict.h"
#include "examples/common/text.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

static const struct rename {
    const char *from, *to;
} renames[] = {{"self_attn.q_proj.weight", "mha.linear_q.weight"},
               {"self_attn.q_proj.bias", "mha.linear_q.bias"},
               {"self_attn.k_proj.weight", "mha.linear_k.weight"},
               {"self_attn.k_proj.bias", "mha.linear_k.bias"},
               {"self_attn.v_proj.weight", "mha.linear_v.weight"},
               {"self_attn.v_proj.bias", "mha.linear_v.bias"},
               {"self_attn.o_proj.weight", "mha.linear_o.weight"},
               {"self_attn.o_proj.bias", "mha.linear_o.bias"},
               {"mlp.down_proj.weight", "linear2.weight"},
               {"mlp.down_proj.bias", "linear2.bias"},
               {"lm_head.weight", "head.weight"},
               {"lm_head.bias", "head.bias"},
               {"output.weight", "head.weight"},
               {"output.bias", "head.bias"},
               {"input_layernorm.weight", "rms_attn_gamma"},
               {"post_attention_layernorm.weight", "rms_ffn_gamma"}};

/* The rows of the first are followed by those of the second. */
static const struct stacking {
    const char *first, *second, *to;
} stackings[] = {{"mlp.gate_proj.weight", "mlp.up_proj.weight", "linear1.weight"},
                 {"mlp.gate_proj.bias", "mlp.up_proj.bias", "linear1.bias"}};

/* Whether a name is `end`, or ends with a dot and `end`. */
static int has_leaf(const entry *e, const char *end) {
    const size_t n = strlen(end);
    if (!ends_with(e->name, e->name_bytes, end)) return 0;
    return e->name_bytes == n || e->name[e->name_bytes - n - 1] == '.';
}

/* Writes the name of e, with `to` in place of its end, to buffer. Returns its length. */
static size_t replace_leaf(const entry *e, const char *end, const char *to, char *buffer) {
    const size_t stem = e->name_bytes - strlen(end), n = strlen(to);
    memcpy(buffer, e->name, stem);
    memcpy(buffer + stem, to, n);
    return stem + n;
}

/* Whether the rows of b can follow those of a: matrices of as many columns, or vectors. */
static int can_stack(const st_tensor *a, const st_tensor *b) {
    if (a->dtype != b->dtype || a->rank != b->rank || a->rank < 1 || a->rank > 2) return 0;
    return st_dtype_bits(a->dtype) >= 8 && (a->rank == 1 || a->shape[1] == b->shape[1]);
}

/* Adds the other names of entry i. buffer has room for its name and 32 bytes. */
static int augment_entry(dict *d, size_t i, char *buffer) {
    size_t k, n;
    for (k = 0; k < sizeof renames / sizeof *renames; k++) {
        if (!has_leaf(&d->entries[i], renames[k].from)) continue;
        n = replace_leaf(&d->entries[i], renames[k].from, renames[k].to, buffer);
        if (!dict_add_name(d, buffer, n, i, NO_NAME)) return 0;
    }
    for (k = 0; k < sizeof stackings / sizeof *stackings; k++) {
        const entry *second;
        if (!has_leaf(&d->entries[i], stackings[k].first)) continue;
        n = replace_leaf(&d->entries[i], stackings[k].first, stackings[k].second, buffer);
        second = dict_find(d, buffer, n);
        if (!second || second->model != d->entries[i].model || !can_stack(d->entries[i].tensor, second->tensor))
            continue;
        n = replace_leaf(&d->entries[i], stackings[k].first, stackings[k].to, buffer);
        if (!dict_add_name(d, buffer, n, i, (size_t)(second - d->entries))) return 0;
    }
    return 1;
}

int augment(dict *d) {
    const size_t count = d->count; /* what is added is not augmented again */
    size_t i, longest = 0;
    char *buffer;
    int succeeded = 1;
    for (i = 0; i < count; i++) {
        if (d->entries[i].name_bytes > longest) longest = d->entries[i].name_bytes;
    }
    buffer = (char *)malloc(longest + 32);
    if (!buffer) return fault("memory", 6, "not enough");
    for (i = 0; i < count && succeeded; i++) succeeded = d->entries[i].is_gone || augment_entry(d, i, buffer);
    free(buffer);
    return succeeded;
}

static int pair_is(const st_pair *pair, const char *key, const char *value) {
    if (pair->key_bytes != strlen(key) || memcmp(pair->key, key, pair->key_bytes) != 0) return 0;
    return !value || (pair->value_bytes == strlen(value) && memcmp(pair->value, value, pair->value_bytes) == 0);
}

int is_kronos(const dict *d) {
    static const char prefix[] = "vision_encoder.";
    size_t i, k;
    if (dict_find(d, "text_embedding.weight", 21)) return 1;
    for (i = 0; i < d->count; i++) {
        const entry *e = &d->entries[i];
        if (!e->is_gone && e->name_bytes >= sizeof prefix - 1 && !memcmp(e->name, prefix, sizeof prefix - 1)) return 1;
    }
    for (i = 0; i < d->source_count; i++) {
        const st_model *model = d->sources[i].model;
        for (k = 0; k < model->metadata_count; k++) {
            const st_pair *pair = &model->metadata[k];
            if (pair_is(pair, "__kronos_marker__", NULL) || pair_is(pair, "format", "kronos")) return 1;
        }
    }
    return 0;
}

/* Reads the kind of distance from a scalar or a vector of one element: 1 is Gaussian, all else logarithmic. */
static int put_config(const dict *d, const entry *e) {
    float *value;
    size_t bytes;
    if (e->tensor->rank > 1 || e->tensor->elements != 1) {
        puts(": not a scalar, ignored");
        return 1;
    }
    value = (float *)entry_read(d, e, ST_DTYPE_F32, 0, &bytes);
    if (!value) return 0;
    puts(fabsf(*value - 1.0f) > 0.0f ? ": logarithmic" : ": Gaussian");
    free(value);
    return 1;
}

/* Prints the slopes of one tensor. Only those with a dot before nl_oob belong to a module and are trained. */
static int put_slopes(const dict *d, const entry *e) {
    size_t bytes, i;
    float *values = (float *)entry_read(d, e, ST_DTYPE_F32, 0, &bytes);
    if (!values) return 0;
    putchar(' ');
    put_dimensions(stdout, e->tensor->rank, e->tensor->shape);
    fputs(ends_with(e->name, e->name_bytes, ".nl_oob.slopes") ? " trainable:" : " fixed:", stdout);
    for (i = 0; i < e->tensor->elements; i++) printf(" %g", (double)values[i]);
    putchar('\n');
    free(values);
    return 1;
}

int list_slopes(const dict *d, const char *root) {
    const size_t root_bytes = root ? strlen(root) : 0;
    size_t i;
    for (i = 0; i < d->count; i++) {
        const entry *e = &d->entries[i];
        const int is_config = has_leaf(e, "nl_oob.config");
        if (e->is_gone || (!is_config && !has_leaf(e, "nl_oob.slopes"))) continue;
        if (root && (e->name_bytes <= root_bytes || memcmp(e->name, root, root_bytes) || e->name[root_bytes] != '.')) {
            continue;
        }
        put_text(stdout, e->name, e->name_bytes);
        if (!(is_config ? put_config(d, e) : put_slopes(d, e))) return 0;
    }
    return 1;
}
