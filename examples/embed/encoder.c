/* encoder.c: the forward pass. The tokens of a batch stand side by side in one matrix, without padding between
 * sentences: only attention needs to know where a sentence ends. A sentence has the same result in every batch, bit for
 * bit. */
#include "encoder.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BATCH_TOKENS = 384 }; /* in one pass, unless a sentence alone is longer: the activations stay in the caches */

size_t bucket_size(size_t n) {
    double power = 1;
    while (ceil(power) < (double)n) power *= 1.4;
    return (size_t)ceil(power);
}

/* ---- pooling ------------------------------------------------------------------------------------------------ */

void pool_tokens(const matrix *states, size_t first, size_t count, pooling kind, matrix *result, size_t to) {
    const size_t only = kind == POOL_LAST ? first + count - 1 : first; /* neither mean nor max: one token */
    for (size_t row = 0; row < states->rows; row++) {
        float *value = matrix_at(result, row, to);
        *value = 0; /* stays so where there is no token */
        if (count == 0) continue;
        *value = *matrix_at(states, row, only);
        if (kind != POOL_MEAN && kind != POOL_MAX) continue;
        for (size_t i = first + 1; i < first + count; i++) {
            const float x = *matrix_at(states, row, i);
            *value = kind == POOL_MEAN ? *value + x : *value < x ? x : *value;
        }
        if (kind == POOL_MEAN) *value /= (float)count;
    }
}

void normalize_vector(float *x, size_t n) {
    double sum = 0, length;
    for (size_t i = 0; i < n; i++) sum += (double)x[i] * (double)x[i];
    length = sqrt(sum) > 1e-12 ? sqrt(sum) : 1e-12;
    for (size_t i = 0; i < n; i++) x[i] = (float)((double)x[i] / length);
}

/* ---- layers ------------------------------------------------------------------------------------------------- */

/* The number of columns in the panel that begins at a column, rounded up to STEP. */
static size_t panel_columns(const matrix *m, size_t column) {
    const size_t left = (m->columns - column + STEP - 1) / STEP * STEP;
    return left < m->width ? left : m->width;
}

static void apply(const encoder *e, const linear *l, const matrix *in, matrix *out, int add, activation act) {
    const product p = {l->out, l->in, in->columns, l->weight, l->in, 1, in->data, out->data, in->width, l->bias, add};
    e->backend->multiply(&p);
    for (size_t column = 0; act != ACT_NONE && column < out->columns; column += out->width) {
        const size_t columns = panel_columns(out, column);
        for (size_t row = 0; row < out->rows; row++) e->backend->activate(act, matrix_at(out, row, column), columns);
    }
}

static void apply_norm(const encoder *e, const norm *n, matrix *x) {
    for (size_t column = 0; column < x->columns; column += x->width) {
        e->backend->normalize(matrix_at(x, 0, column), x->rows, panel_columns(x, column), x->width, n->weight, n->bias,
                              e->model->config.epsilon);
    }
}

/* Copies rows x count numbers from one matrix, from this row and column on, into another one, and scales them. */
static void copy_part(const matrix *from, size_t row, size_t column, matrix *to, size_t to_row, size_t to_column,
                      size_t rows, size_t count, float scale) {
    for (size_t done = 0, run; done < count; done += run) { /* a run ends where a panel ends, in one of the matrices */
        const size_t from_left = from->width - (column + done) % from->width;
        const size_t to_left = to->width - (to_column + done) % to->width;
        run = count - done;
        if (run > from_left) run = from_left;
        if (run > to_left) run = to_left;
        for (size_t r = 0; r < rows; r++) {
            const float *source = matrix_at(from, row + r, column + done);
            float *target = matrix_at(to, to_row + r, to_column + done);
            for (size_t i = 0; i < run; i++) target[i] = source[i] * scale;
        }
    }
}

/* The attention of one sentence: values * softmax(keys^T * queries) for each head, a panel of queries after the other.
 * Columns of padding are queries too, but never keys. */
static int attend(encoder *e, const sentence *s, size_t first) {
    const size_t size = (size_t)e->model->config.head_size;
    matrix *q = &e->head_query, *k = &e->head_key, *v = &e->head_value, *out = &e->head_context, *scores = &e->scores;
    if (!matrix_resize(q, size, s->padded, e->backend->width) || !matrix_resize(k, size, s->count, 0) ||
        !matrix_resize(v, size, s->count, 0) || !matrix_resize(out, size, s->padded, e->backend->width) ||
        !matrix_resize(scores, s->count, q->width, 0)) {
        return 0;
    }
    for (size_t head = 0; head < e->model->config.heads; head++) {
        copy_part(&e->query, head * size, first, q, 0, 0, size, s->padded, 1 / sqrtf((float)size));
        copy_part(&e->key, head * size, first, k, 0, 0, size, s->count, 1);
        copy_part(&e->value, head * size, first, v, 0, 0, size, s->count, 1);
        for (size_t column = 0; column < s->padded; column += q->width) {
            const size_t columns = panel_columns(q, column);
            const product compare = {s->count,     size,     columns, k->data, 1, k->width, matrix_at(q, 0, column),
                                     scores->data, q->width, NULL,    0};
            const product mix = {
                size,     s->count, columns, v->data, v->width, 1, scores->data, matrix_at(out, 0, column),
                q->width, NULL,     0};
            e->backend->multiply(&compare);
            e->backend->softmax(scores->data, s->count, columns, q->width);
            e->backend->multiply(&mix);
        }
        copy_part(out, 0, 0, &e->context, head * size, first, size, s->padded, 1);
    }
    return 1;
}

static int run_layer(encoder *e, const layer *l, const sentence *sentences, size_t count) {
    size_t first = 0;
    apply(e, &l->query, &e->states, &e->query, 0, ACT_NONE);
    apply(e, &l->key, &e->states, &e->key, 0, ACT_NONE);
    apply(e, &l->value, &e->states, &e->value, 0, ACT_NONE);
    for (size_t i = 0; i < count; first += sentences[i++].padded) {
        if (sentences[i].count > 0 && !attend(e, &sentences[i], first)) return 0;
    }
    apply(e, &l->output, &e->context, &e->states, 1, ACT_NONE);
    apply_norm(e, &l->after_attention, &e->states);
    apply(e, &l->up, &e->states, &e->inner, 0, e->model->config.act);
    apply(e, &l->down, &e->inner, &e->states, 1, ACT_NONE);
    apply_norm(e, &l->after_feed, &e->states);
    return 1;
}

/* ---- a batch ------------------------------------------------------------------------------------------------ */

/* Sums the embeddings of the words, positions and types of a sentence. */
static int look_up(encoder *e, const sentence *s, size_t first, char *message) {
    const model *m = e->model;
    size_t position = m->first_position;
    for (size_t i = 0; i < s->padded; i++) {
        const int32_t id = i < s->count ? s->ids[i] : 0, type = i < s->count && s->types ? s->types[i] : 0;
        const int is_padding = m->first_position > 0 && (uint64_t)id == m->config.padding; /* of RoBERTa */
        const size_t place = i >= s->count ? 0 : is_padding ? (size_t)m->config.padding : position++;
        float *column = matrix_at(&e->states, 0, first + i);
        const float *word, *at, *kind;
        if (id < 0 || (uint64_t)id >= m->config.vocabulary) {
            return snprintf(message, MESSAGE_BYTES, "token %ld is not below the model's vocabulary, %llu", (long)id,
                            (unsigned long long)m->config.vocabulary),
                   0;
        }
        if (place >= m->config.positions) {
            return snprintf(message, MESSAGE_BYTES, "%zu tokens are more than the model has positions", s->count), 0;
        }
        if (m->types && (type < 0 || (uint64_t)type >= m->config.types)) {
            return snprintf(message, MESSAGE_BYTES, "token type %ld is unknown to the model", (long)type), 0;
        }
        word = m->words + (size_t)id * m->config.hidden;
        at = m->positions + place * m->config.hidden;
        kind = m->types ? m->types + (size_t)type * m->config.hidden : NULL;
        for (size_t r = 0; r < m->config.hidden; r++)
            column[r * e->states.width] = word[r] + at[r] + (kind ? kind[r] : 0);
    }
    return 1;
}

/* pooled = act(linear pooled), with `next` as the other buffer */
static int apply_pooled(encoder *e, const linear *l, activation act) {
    matrix swap = e->pooled;
    if (!matrix_resize(&e->next, l->out, e->pooled.columns, e->backend->width)) return 0;
    apply(e, l, &e->pooled, &e->next, 0, act);
    e->pooled = e->next;
    e->next = swap;
    return 1;
}

static int run_heads(encoder *e) {
    const model *m = e->model;
    int good = 1;
    if (m->pooler.out && (m->labels.out || e->pool == POOL_POOLER)) good = apply_pooled(e, &m->pooler, ACT_TANH);
    if (m->head.out) good = good && apply_pooled(e, &m->head, m->head_act);
    if (m->labels.out) good = good && apply_pooled(e, &m->labels, ACT_NONE);
    for (size_t i = 0; i < m->config.dense_count; i++)
        good = good && apply_pooled(e, &m->dense[i], m->config.dense_act[i]);
    return good;
}

static int store(const encoder *e, const matrix *from, size_t column, float *result, char *message) {
    float sum = 0;
    for (size_t r = 0; r < from->rows; r++)
        sum += 0 * (result[r] = *matrix_at(from, r, column)); /* NaN if one is not finite */
    if (e->normalize) normalize_vector(result, from->rows);
    if (sum == 0) return 1;
    return snprintf(message, MESSAGE_BYTES, "the result is not finite: weights are NaN, infinite or far too large"), 0;
}

static int run_pass(encoder *e, const sentence *sentences, size_t count, size_t tokens, char *message) {
    const model *m = e->model;
    const size_t hidden = (size_t)m->config.hidden, inner = m->layers->query.out, width = e->backend->width;
    size_t first = 0;
    int good = matrix_resize(&e->states, hidden, tokens, width) && matrix_resize(&e->query, inner, tokens, width) &&
               matrix_resize(&e->key, inner, tokens, width) && matrix_resize(&e->value, inner, tokens, width) &&
               matrix_resize(&e->context, inner, tokens, width) && matrix_resize(&e->pooled, hidden, count, width) &&
               matrix_resize(&e->inner, (size_t)m->config.intermediate, tokens, width);
    for (size_t i = 0; good && i < count; first += sentences[i++].padded) {
        if (!look_up(e, &sentences[i], first, message)) return 0;
    }
    if (good) apply_norm(e, &m->after_embeddings, &e->states);
    for (size_t i = 0; good && i < m->config.layers; i++) good = run_layer(e, &m->layers[i], sentences, count);
    first = 0;
    for (size_t i = 0; good && i < count; first += sentences[i++].padded) {
        pool_tokens(&e->states, first, sentences[i].count, m->labels.out ? POOL_CLS : e->pool, &e->pooled, i);
        for (size_t k = 0; e->every_token && k < sentences[i].count; k++) {
            if (!store(e, &e->states, first + k, sentences[i].result + k * hidden, message)) return 0;
        }
    }
    if (e->every_token && good) return 1;
    if (!good || !run_heads(e)) return snprintf(message, MESSAGE_BYTES, "out of memory for %zu tokens", tokens), 0;
    for (size_t i = 0; i < count; i++) {
        if (!store(e, &e->pooled, i, sentences[i].result, message)) return 0;
    }
    return 1;
}

int encoder_run(encoder *e, const sentence *sentences, size_t count, char message[MESSAGE_BYTES]) {
    size_t done = 0, n, tokens;
    for (; done < count; done += n) {
        tokens = sentences[done].padded;
        for (n = 1; done + n < count && tokens + sentences[done + n].padded <= BATCH_TOKENS; n++) {
            tokens += sentences[done + n].padded;
        }
        if (!run_pass(e, sentences + done, n, tokens, message)) return 0;
    }
    return 1;
}

void encoder_free(encoder *e) {
    matrix *const all[] = {&e->states,     &e->query,  &e->key,         &e->value,      &e->context,
                           &e->inner,      &e->pooled, &e->next,        &e->head_query, &e->head_key,
                           &e->head_value, &e->scores, &e->head_context};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) free(all[i]->data);
}
