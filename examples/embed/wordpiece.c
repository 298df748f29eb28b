/* wordpiece.c: token tables, and WordPiece on words as BERT splits them. */
#include "examples/common/text.h"
#include "tokens.h"
#include <stdlib.h>
#include <string.h>
#include <time.h>

void put_id(id_list *list, int32_t id) {
    if (list->count < list->capacity) list->ids[list->count] = id;
    list->count++;
}

int is_done(const id_list *list) {
    return list->failed || (list->is_done_when_full && list->count >= list->capacity);
}

/* ---- token tables ------------------------------------------------------------------------------------------- */

/* hash and the point are below 2^32 and 2^30, so the sum fits. The result is congruent modulo 2^31 - 1, not reduced. */
static uint32_t hash_byte(uint32_t point, uint32_t hash, char byte) {
    const uint64_t x = (uint64_t)hash * point + (unsigned char)byte + 1;
    return (uint32_t)((x & 0x7fffffff) + (x >> 31));
}

static uint32_t hash_text(uint32_t point, uint32_t hash, const char *text, size_t bytes) {
    size_t i;
    for (i = 0; i < bytes; i++) hash = hash_byte(point, hash, text[i]);
    return hash;
}

static size_t first_slot(const token_table *table, uint32_t hash) {
    return (size_t)(((uint64_t)hash * 0x9e3779b97f4a7c15u) >> 32) & (table->capacity - 1);
}

/* Finds a token by its hash. Returns its slot, or the free slot where it belongs. */
static token *find_slot(const token_table *table, uint32_t hash, const char *prefix, size_t prefix_bytes,
                        const char *text, size_t bytes) {
    size_t i = first_slot(table, hash);
    for (;; i = (i + 1) & (table->capacity - 1)) {
        token *t = &table->slots[i];
        if (!t->text) return t;
        if (t->hash == hash && t->bytes == prefix_bytes + bytes && memcmp(t->text, prefix, prefix_bytes) == 0 &&
            memcmp(t->text + prefix_bytes, text, bytes) == 0) {
            return t;
        }
    }
}

/* Unknown to who wrote the vocabulary: the addresses, where the system randomizes them, and the time. */
static uint32_t secret_point(const void *address) {
    const uint64_t x =
        ((uint64_t)(uintptr_t)address ^ (uint64_t)time(NULL) << 20 ^ (uint64_t)clock()) * 0x9e3779b97f4a7c15u;
    return (uint32_t)(x >> 35) | 1u << 28; /* below 2^30 */
}

static int grow(token_table *table) {
    const token_table old = *table;
    size_t i;
    table->capacity = old.capacity ? 2 * old.capacity : 64;
    table->slots = calloc(table->capacity, sizeof *table->slots);
    if (!table->slots) {
        *table = old;
        return 0;
    }
    if (!old.capacity) table->point = secret_point(table->slots);
    for (i = 0; i < old.capacity; i++) {
        const token *t = &old.slots[i];
        if (t->text) *find_slot(table, t->hash, "", 0, t->text, t->bytes) = *t;
    }
    free(old.slots);
    return 1;
}

int token_add(token_table *table, const char *text, size_t bytes, int32_t id) {
    uint32_t hash;
    token *t;
    if (2 * table->count >= table->capacity && !grow(table)) return 0;
    hash = hash_text(table->point, 0, text, bytes);
    t = find_slot(table, hash, "", 0, text, bytes);
    if (!t->text) table->count++;
    t->text = text, t->bytes = bytes, t->hash = hash, t->id = id;
    if (bytes > table->longest) table->longest = bytes;
    return 1;
}

const token *token_find(const token_table *table, const char *prefix, size_t prefix_bytes, const char *text,
                        size_t bytes) {
    uint32_t hash;
    const token *t;
    if (!table->count || prefix_bytes + bytes > table->longest) return NULL;
    hash = hash_text(table->point, hash_text(table->point, 0, prefix, prefix_bytes), text, bytes);
    t = find_slot(table, hash, prefix, prefix_bytes, text, bytes);
    return t->text ? t : NULL;
}

size_t token_longest(const token_table *table, const char *prefix, size_t prefix_bytes, const char *text, size_t bytes,
                     const token **found) {
    uint32_t hashes[LONGEST_PIECE + 1];
    size_t i;
    if (prefix_bytes >= table->longest) return 0;
    if (bytes > table->longest - prefix_bytes) bytes = table->longest - prefix_bytes;
    if (bytes > LONGEST_PIECE) bytes = LONGEST_PIECE;
    hashes[0] = hash_text(table->point, 0, prefix, prefix_bytes);
    for (i = 0; i < bytes; i++) hashes[i + 1] = hash_byte(table->point, hashes[i], text[i]);
    for (i = bytes; i; i--) {
        const token *t = find_slot(table, hashes[i], prefix, prefix_bytes, text, i);
        if (t->text) {
            *found = t;
            return i;
        }
    }
    return 0;
}

/* ---- words and pieces --------------------------------------------------------------------------------------- */

static int has_more_characters(const char *word, size_t bytes, size_t limit) {
    size_t i, count = 0;
    if (bytes <= limit) return 0;
    for (i = 0; i < bytes; i++) count += ((unsigned char)word[i] & 0xc0) != 0x80;
    return count > limit;
}

static void put_word(const wordpiece *w, const token_table *tokens, int32_t unknown, const char *word, size_t bytes,
                     id_list *list) {
    const size_t start = list->count;
    int is_known = !has_more_characters(word, bytes, w->longest_word);
    size_t done = 0, length;
    while (is_known && done < bytes) {
        const token *piece;
        length = token_longest(tokens, w->prefix, done ? w->prefix_bytes : 0, word + done, bytes - done, &piece);
        is_known = length != 0;
        if (is_known) put_id(list, piece->id);
        done += length;
    }
    if (is_known) return;
    list->count = start; /* a word with an unknown piece is unknown */
    if (unknown < 0) {
        list->failed = 1;
    } else {
        put_id(list, unknown);
    }
}

void wordpiece_encode(const wordpiece *w, const token_table *tokens, int32_t unknown, const char *text, size_t bytes,
                      id_list *list) {
    size_t word = 0, i = 0, length; /* word: where the current one starts */
    uint32_t c;
    for (; i < bytes && !is_done(list); i += length) {
        int is_mark;
        length = utf8_decode(text + i, bytes - i, &c);
        is_mark = is_punctuation(c);
        if (!is_mark && !is_white(c)) continue;
        if (word < i) put_word(w, tokens, unknown, text + word, i - word, list);
        if (is_mark) put_word(w, tokens, unknown, text + i, length, list);
        word = i + length;
    }
    if (word < bytes && !is_done(list)) put_word(w, tokens, unknown, text + word, bytes - word, list);
}
