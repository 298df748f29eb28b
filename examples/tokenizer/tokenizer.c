/* tokenizer.c: finds added tokens, encodes what is between them, cuts long texts and puts special tokens around them. */
#include "tokenizer.h"
#include "examples/common/text.h"
#include "tokens.h"
#include <stdlib.h>
#include <string.h>

size_t tokenizer_vocabulary(const tokenizer *t) {
    return t->vocabulary;
}

int32_t tokenizer_padding(const tokenizer *t) {
    return t->padding;
}

void tokenizer_close(tokenizer *t) {
    size_t i;
    if (!t) return;
    for (i = 0; i < t->kept_count; i++) free(t->kept[i]);
    for (i = 0; i < t->added_count; i++) free(t->added[i].normal);
    free(t->added);
    free(t->tokens.slots);
    free(t->raw.table.slots);
    free(t->normalized.table.slots);
    bpe_end(&t->bpe);
    free(t);
}

/* ---- texts to ids ------------------------------------------------------------------------------------------- */

typedef struct encoder {
    const tokenizer *t;
    id_list *list;
    text_buffer normalized;
} encoder;

typedef void put_function(encoder *e, span text);

static void put_words(encoder *e, span text) {
    const tokenizer *t = e->t;
    if (t->is_bpe) {
        bpe_encode(&t->bpe, t->unknown, text, e->list);
    } else {
        wordpiece_encode(&t->wordpiece, &t->tokens, t->unknown, text, e->list);
    }
}

/* Returns the character that ends at a position, with its start, or 0. Bytes that are not UTF-8 are U+FFFD. */
static uint32_t character_before(span s, size_t end, size_t *start) {
    uint32_t c = 0;
    *start = end;
    while (*start && end - *start < 4 && ((unsigned char)s.text[--*start] & 0xc0) == 0x80) continue;
    return *start == end || utf8_decode(s.text + *start, end - *start, &c) == end - *start ? c : 0xfffd;
}

static uint32_t character_at(span s, size_t start, size_t *end) {
    uint32_t c = 0;
    *end = start + (start < s.bytes ? utf8_decode(s.text + start, s.bytes - start, &c) : 0);
    return c;
}

/* Puts the added tokens of a text, and what is between them through put_rest. */
static void put_added(encoder *e, const added_set *set, span text, put_function *put_rest) {
    size_t done = 0, at = 0, length, start, end, next;
    while (at < text.bytes && !is_done(e->list)) {
        const span rest = {text.text + at, text.bytes - at};
        span between = {text.text + done, 0};
        const token *found = NULL;
        const added_token *added;
        length = set->starts[(unsigned char)*rest.text] ? token_longest(&set->table, NOTHING, rest, &found) : 0;
        start = at;
        end = at += length ? length : 1;
        if (!length) continue;
        added = &e->t->added[found->id];
        if (added->single_word && (is_word_character(character_before(text, start, &next)) ||
                                   is_word_character(character_at(text, end, &next)))) {
            continue;
        }
        while (added->takes_left && start > done && is_white(character_before(text, start, &next))) start = next;
        while (added->takes_right && is_white(character_at(text, end, &next))) end = next;
        between.bytes = start > done ? start - done : 0;
        if (between.bytes) put_rest(e, between);
        if (!is_done(e->list)) put_id(e->list, added->id);
        done = end;
    }
    if (done < text.bytes && !is_done(e->list)) {
        const span rest = {text.text + done, text.bytes - done};
        put_rest(e, rest);
    }
}

/* What is normalized is UTF-8: normalize puts U+FFFD for other bytes. */
static void put_raw(encoder *e, span text) {
    span normal;
    e->list->failed |= !normalize(&e->t->normalizer, text, &e->normalized);
    normal.text = e->normalized.text, normal.bytes = e->normalized.bytes;
    put_added(e, &e->t->normalized, normal, put_words);
}

static void encode_text(const tokenizer *t, span text, id_list *list) {
    encoder e = {t, list, {NULL, 0, 0}};
    put_added(&e, &t->raw, text, put_raw);
    free(e.normalized.text);
}

/* ---- sequences ---------------------------------------------------------------------------------------------- */

/* Cuts the longer of two texts to what the shorter one leaves, or both to a half. An odd token goes to the longer one. */
static void cut_pair(size_t *first, size_t *second, size_t limit) {
    size_t *shorter = *first > *second ? second : first, *longer = shorter == first ? second : first;
    if (*longer <= limit && *shorter <= limit - *longer) return;
    if (*shorter > limit / 2) {
        *shorter = limit / 2;
        *longer = limit - limit / 2;
    } else {
        *longer = limit - *shorter;
    }
}

size_t tokenizer_encode(const tokenizer *t, const char *text, size_t bytes, const char *pair, size_t pair_bytes,
                        int32_t *ids, int32_t *types, size_t max_ids) {
    const sequence_template *f = pair ? &t->pair : &t->single;
    const size_t special_count = f->count - (pair ? 2 : 1), limit = max_ids - special_count;
    id_list first = {ids, 0, limit, !pair, 0}, second = {types, 0, limit, 0, 0}; /* types is free until the end */
    const span texts[2] = {{text, bytes}, {pair, pair_bytes}};
    size_t i, j, at = 0, counts[2], start[2] = {0, 0};
    if (max_ids < special_count || bytes > LONGEST_TEXT || pair_bytes > LONGEST_TEXT) return 0;
    encode_text(t, texts[0], &first);
    if (pair) encode_text(t, texts[1], &second);
    if (first.failed || second.failed) return 0;
    counts[0] = first.count, counts[1] = second.count;
    if (pair) {
        cut_pair(&counts[0], &counts[1], limit);
    } else if (counts[0] > limit) {
        counts[0] = limit;
    }
    for (i = 0; i < f->count; i++) {
        const int32_t id = f->items[i].id;
        if (id < 0) start[id == SECOND_TEXT] = at;
        at += id < 0 ? counts[id == SECOND_TEXT] : 1;
    }
    memmove(ids + start[0], ids, counts[0] * sizeof *ids);
    if (pair) memcpy(ids + start[1], types, counts[1] * sizeof *ids);
    for (at = 0, i = 0; i < f->count; i++) {
        const template_item *item = &f->items[i];
        const size_t n = item->id < 0 ? counts[item->id == SECOND_TEXT] : 1;
        if (item->id >= 0) ids[at] = item->id;
        for (j = 0; j < n; j++) types[at++] = item->type;
    }
    return at;
}
