/* model.c: the model, its data and the optimizers. The task: average every position with its neighbours. Attention that
 * is biased by distance learns that, also by changing its slopes. */
#include "train.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

static size_t size_of(const run *r, int which) {
    return (size_t)r->settings[which == KV_HEADS && r->settings[KV_HEADS] <= 0 ? HEADS : which];
}

void declare_parameters(run *r) {
    /* axes: d is d-model, f is ff, h is heads, k is the width of all heads of keys */
    static const char *const table[PARAMETERS][2] = {
        {"embed.weight", "dd"},       {"block.norm1.weight", "d"},  {"block.norm1.bias", "d"},
        {"block.mha.q.weight", "dd"}, {"block.mha.q.bias", "d"},    {"block.mha.k.weight", "kd"},
        {"block.mha.k.bias", "k"},    {"block.mha.v.weight", "kd"}, {"block.mha.v.bias", "k"},
        {"block.mha.o.weight", "dd"}, {"block.mha.o.bias", "d"},    {"block.mha.nl_oob.slopes", "1h11"},
        {"block.norm2.weight", "d"},  {"block.norm2.bias", "d"},    {"block.ff1.weight", "fd"},
        {"block.ff1.bias", "f"},      {"block.ff2.weight", "df"},   {"block.ff2.bias", "d"},
        {"head.weight", "dd"},
    };
    const size_t d = size_of(r, D_MODEL), heads = size_of(r, HEADS), keys = d / heads * size_of(r, KV_HEADS);
    size_t i;
    r->parameter_count = r->settings[TIE] > 0 ? HEAD : PARAMETERS;
    r->head = &r->parameters[r->settings[TIE] > 0 ? EMBED : HEAD];
    r->nl_oob_config = r->settings[NL_OOB] > 0 ? 1 : 0;
    for (i = 0; i < r->parameter_count; i++) {
        tensor *a = &r->parameters[i];
        const char *c = table[i][1];
        (void)snprintf(r->names[i], NAME_BYTES, "%s", table[i][0]);
        for (a->count = 1, a->rank = 0; *c; c++) {
            const size_t n = *c == 'd' ? d : *c == 'f' ? size_of(r, FF) : *c == 'h' ? heads : *c == 'k' ? keys : 1;
            a->shape[a->rank++] = n;
            a->count *= n;
        }
    }
}

/* The generator is splitmix64: its state is one number, which is easily saved. */
float random_number(uint64_t *state) {
    uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return (float)((int32_t)((z ^ z >> 31) >> 40) - (1 << 23)) / (float)(1 << 23);
}

void initialize(run *r) {
    size_t i, k, at = 0;
    for (i = 0; i < r->parameter_count; i++) at += 4 * r->parameters[i].count;
    r->memory = allocate_zeroed(at, sizeof *r->memory);
    r->random = (uint64_t)r->settings[SEED];
    for (i = 0, at = 0; i < r->parameter_count; at += 4 * r->parameters[i++].count) {
        tensor *a = &r->parameters[i];
        const float value = i == SLOPES ? (float)r->settings[SCALE] : i == NORM1 || i == NORM2 ? 1 : 0;
        a->data = r->memory + at, a->grad = a->data + a->count;
        r->moments[i][0] = a->grad + a->count, r->moments[i][1] = a->grad + 2 * a->count;
        for (k = 0; k < a->count; k++) {
            a->data[k] = a->rank == 2 ? random_number(&r->random) / sqrtf((float)a->shape[1]) : value;
        }
    }
}

/* x [batch, seq, inputs]; the weight is [outputs, inputs] */
static tensor *linear(tape *t, run *r, int which, tensor *x) {
    return apply(t, '+', matmul(t, x, transpose(t, &r->parameters[which], 0, 1)), &r->parameters[which + 1]);
}

tensor *nl_oob(tape *t, tensor *scores, tensor *slopes, tensor *distances, float config, float sign) {
    const size_t seq = scores->shape[3], batch = distances->rank == 3 ? distances->shape[0] : 1;
    const size_t shape[4] = {batch, 1, seq, seq};
    tensor *phi;
    size_t i;
    if (!slopes || distances->count != batch * seq * seq || (batch != 1 && batch != scores->shape[0])) return scores;
    phi = constant(t, 4, shape, distances->data);
    for (i = 0; i < phi->count; i++) phi->data[i] = config == 1 ? phi->data[i] * phi->data[i] : logf(1 + phi->data[i]);
    return apply(t, '+', scores, apply(t, '*', by_number(t, '*', slopes, sign), phi));
}

/* [batch, seq, heads * width] to [batch, all_heads, seq, width]; heads of keys and values repeat for several queries */
static tensor *split_heads(tape *t, tensor *x, size_t heads, size_t all_heads) {
    const size_t batch = x->shape[0], seq = x->shape[1], width = x->shape[2] / heads;
    const size_t split[4] = {batch, seq, heads, width}, grouped[5] = {batch, heads, 1, seq, width};
    const size_t repeated[5] = {batch, heads, all_heads / heads, seq, width}, all[4] = {batch, all_heads, seq, width};
    tensor *by_head = transpose(t, reshape(t, x, 4, split), 1, 2);
    return reshape(t, expand(t, reshape(t, by_head, 5, grouped), 5, repeated), 4, all);
}

static tensor *attention(tape *t, run *r, tensor *x) {
    const size_t heads = size_of(r, HEADS), kv_heads = size_of(r, KV_HEADS), seq = x->shape[1], square[2] = {seq, seq};
    tensor *q = split_heads(t, linear(t, r, Q, x), heads, heads);
    tensor *k = split_heads(t, linear(t, r, K, x), kv_heads, heads);
    tensor *v = split_heads(t, linear(t, r, V, x), kv_heads, heads);
    tensor *scores = by_number(t, '/', matmul(t, q, transpose(t, k, 2, 3)), sqrtf((float)q->shape[3]));
    tensor *distances = constant(t, 2, square, NULL);
    size_t i;
    for (i = 0; i < seq * seq; i++) distances->data[i] = fabsf((float)(i / seq) - (float)(i % seq));
    scores = nl_oob(t, scores, &r->parameters[SLOPES], distances, r->nl_oob_config, r->settings[SIGN] > 0 ? 1 : -1);
    return linear(t, r, O, reshape(t, transpose(t, matmul(t, softmax(t, scores, 3, 0), v), 1, 2), 3, x->shape));
}

tensor *transformer_block(tape *t, run *r, tensor *x) {
    tensor *p = r->parameters;
    x = apply(t, '+', x, attention(t, r, layer_norm(t, x, &p[NORM1], &p[NORM1 + 1])));
    return apply(t, '+', x,
                 linear(t, r, FF2, map(t, GELU, linear(t, r, FF1, layer_norm(t, x, &p[NORM2], &p[NORM2 + 1])))));
}

/* Draws inputs. A target is the mean of an input and of those at the positions before and after it. */
static void draw_batch(run *r, tensor *x, tensor *target) {
    const size_t seq = x->shape[1], d = x->shape[2];
    size_t i;
    for (i = 0; i < x->count; i++) x->data[i] = random_number(&r->random);
    for (i = 0; i < x->count; i++) {
        const int has_left = i / d % seq > 0, has_right = i / d % seq + 1 < seq;
        const float left = has_left ? x->data[i - d] : 0, right = has_right ? x->data[i + d] : 0;
        target->data[i] = (left + x->data[i] + right) / (float)(1 + has_left + has_right);
    }
}

static void update(const run *r, tensor *p, float *const *moments) {
    const float lr = (float)r->settings[LR], momentum = (float)r->settings[MOMENTUM];
    const float m_share = (float)(1 - pow(0.9, (double)r->step)), v_share = (float)(1 - pow(0.999, (double)r->step));
    size_t i;
    for (i = 0; i < p->count; i++) {
        float g = p->grad[i], *m = &moments[0][i], *v = &moments[1][i];
        *m = r->settings[OPTIMIZER] > 0 ? momentum * *m + g : 0.9f * *m + 0.1f * g;
        *v = 0.999f * *v + 0.001f * g * g;
        /* Adam's moments start at zero; the shares make up for that */
        p->data[i] -= lr * (r->settings[OPTIMIZER] > 0 ? *m : *m / m_share / (sqrtf(*v / v_share) + 1e-8f));
        p->grad[i] = 0;
    }
}

void train_step(run *r) {
    const size_t shape[3] = {size_of(r, BATCH), size_of(r, SEQ), size_of(r, D_MODEL)};
    tape t = NULL;
    tensor *x = constant(&t, 3, shape, NULL), *target = constant(&t, 3, shape, NULL), *loss;
    size_t i;
    draw_batch(r, x, target);
    x = transformer_block(&t, r, matmul(&t, x, transpose(&t, &r->parameters[EMBED], 0, 1)));
    loss = mse(&t, matmul(&t, x, transpose(&t, r->head, 0, 1)), target);
    loss->grad[0] = 1;
    r->losses[r->step++] = loss->data[0];
    tape_end(&t, 1);
    for (i = 0; i < r->parameter_count; i++) update(r, &r->parameters[i], r->moments[i]);
}
