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
    free(t->kept);
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

typedef void put_text_function(encoder *e, const char *text, size_t bytes);

static void put_words(encoder *e, const char *text, size_t bytes) {
    const tokenizer *t = e->t;
    if (t->is_bpe) {
        bpe_encode(&t->bpe, t->unknown, text, bytes, e->list);
    } else {
        wordpiece_encode(&t->wordpiece, &t->tokens, t->unknown, text, bytes, e->list);
    }
}

/* Returns the last character of a text, or 0 at its start. */
static uint32_t character_before(const char *text, size_t end, size_t *start) {
    uint32_t c = 0;
    size_t i = end;
    while (i && ((unsigned char)text[--i] & 0xc0) == 0x80) continue;
    if (i < end) utf8_decode(text + i, end - i, &c);
    *start = i;
    return c;
}

static int is_inside_word(const char *text, size_t bytes, size_t start, size_t end) {
    size_t i;
    uint32_t c = 0;
    if (end < bytes) utf8_decode(text + end, bytes - end, &c);
    return is_word_character(c) || is_word_character(character_before(text, start, &i));
}

/* Puts the added tokens of a text, and what is between them through put_rest. */
static void put_added(encoder *e, const added_set *set, const char *text, size_t bytes, put_text_function *put_rest) {
    size_t done = 0, i = 0, length, start, end;
    uint32_t c;
    while (i < bytes && !is_done(e->list)) {
        const token *found = NULL;
        const added_token *added;
        length =
            set->starts[(unsigned char)text[i]] ? token_longest(&set->table, "", 0, text + i, bytes - i, &found) : 0;
        if (!length) {
            i++;
            continue;
        }
        start = i;
        end = i += length; /* where the search goes on, even if this one does not count */
        added = &e->t->added[found->id];
        if (added->single_word && is_inside_word(text, bytes, start, end)) continue;
        if (added->takes_left) {
            while (start > done && is_white(character_before(text, start, &length))) start = length;
        }
        if (added->takes_right) {
            for (; end < bytes; end += length) {
                length = utf8_decode(text + end, bytes - end, &c);
                if (!is_white(c)) break;
            }
        }
        if (done < start) put_rest(e, text + done, start - done);
        if (!is_done(e->list)) put_id(e->list, added->id);
        done = end;
    }
    if (done < bytes && !is_done(e->list)) put_rest(e, text + done, bytes - done);
}

static void put_raw(encoder *e, const char *text, size_t bytes) {
    if (!normalize(&e->t->normalizer, text, bytes, &e->normalized)) {
        e->list->failed = 1;
    } else {
        put_added(e, &e->t->normalized, e->normalized.text, e->normalized.bytes, put_words);
    }
}

static void encode_text(const tokenizer *t, const char *text, size_t bytes, id_list *list) {
    static const normalizer none;
    encoder e = {t, list, {NULL, 0, 0}};
    text_buffer valid = {NULL, 0, 0};
    if (!is_utf8(text, bytes)) {
        list->failed = !normalize(&none, text, bytes, &valid); /* puts U+FFFD for bytes that are not UTF-8 */
        text = valid.text, bytes = valid.bytes;
    }
    if (!list->failed) put_added(&e, &t->raw, text, bytes, put_raw);
    free(e.normalized.text);
    free(valid.text);
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
    size_t i, j, at = 0, counts[2], start[2] = {0, 0};
    if (max_ids < special_count || bytes > INT32_MAX || pair_bytes > INT32_MAX) return 0;
    encode_text(t, text, bytes, &first);
    if (pair) encode_text(t, pair, pair_bytes, &second);
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
