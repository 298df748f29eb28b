/* tokens.c: lists of ids, and a hash table of tokens. */
#include "tokens.h"
#include <stdlib.h>
#include <string.h>
#include <time.h>

void put_id(id_list *list, int32_t id) {
    if (list->count < list->capacity) list->ids[list->count] = id;
    list->count++;
}

int is_done(const id_list *list) {
    return list->failed || (list->ends_when_full && list->count >= list->capacity);
}

/* The hash is below 2^32 and the point below 2^30, so nothing overflows. The result is not fully reduced. */
static uint32_t hash_byte(uint32_t point, uint32_t hash, char byte) {
    const uint64_t x = (uint64_t)hash * point + (unsigned char)byte + 1;
    return (uint32_t)((x & 0x7fffffff) + (x >> 31));
}

static uint32_t hash_span(uint32_t point, uint32_t hash, span s) {
    size_t i;
    for (i = 0; i < s.bytes; i++) hash = hash_byte(point, hash, s.text[i]);
    return hash;
}

/* Returns the slot of a token, or the free slot where it belongs. */
static token *find_slot(const token_table *table, uint32_t hash, span prefix, span rest) {
    size_t i = (size_t)(((uint64_t)hash * 0x9e3779b97f4a7c15u) >> 32);
    for (;; i++) {
        token *t = &table->slots[i & (table->capacity - 1)];
        if (!t->s.text) return t;
        if (t->hash == hash && t->s.bytes == prefix.bytes + rest.bytes &&
            memcmp(t->s.text, prefix.text, prefix.bytes) == 0 &&
            memcmp(t->s.text + prefix.bytes, rest.text, rest.bytes) == 0) {
            return t;
        }
    }
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
    if (!old.capacity) { /* whoever wrote the vocabulary knows neither the address, where it is random, nor the time */
        const uint64_t x = (uint64_t)(uintptr_t)table->slots ^ (uint64_t)time(NULL) << 20 ^ (uint64_t)clock();
        table->point = (uint32_t)(x * 0x9e3779b97f4a7c15u >> 35) | 1u << 28;
    }
    for (i = 0; i < old.capacity; i++) {
        const token *t = &old.slots[i];
        if (t->s.text) *find_slot(table, t->hash, NOTHING, t->s) = *t;
    }
    free(old.slots);
    return 1;
}

int token_add(token_table *table, span s, int32_t id) {
    uint32_t hash;
    token *t;
    if (2 * table->count >= table->capacity && !grow(table)) return 0;
    hash = hash_span(table->point, 0, s);
    t = find_slot(table, hash, NOTHING, s);
    if (!t->s.text) table->count++;
    t->s = s, t->hash = hash, t->id = id;
    if (s.bytes > table->longest) table->longest = s.bytes;
    return 1;
}

const token *token_find(const token_table *table, span prefix, span rest) {
    const token *t;
    if (!table->count) return NULL;
    t = find_slot(table, hash_span(table->point, hash_span(table->point, 0, prefix), rest), prefix, rest);
    return t->s.text ? t : NULL;
}

size_t token_longest(const token_table *table, span prefix, span text, const token **found) {
    uint32_t hashes[LONGEST_PIECE + 1];
    size_t i;
    if (prefix.bytes >= table->longest) return 0;
    if (text.bytes > table->longest - prefix.bytes) text.bytes = table->longest - prefix.bytes;
    if (text.bytes > LONGEST_PIECE) text.bytes = LONGEST_PIECE;
    hashes[0] = hash_span(table->point, 0, prefix);
    for (i = 0; i < text.bytes; i++) hashes[i + 1] = hash_byte(table->point, hashes[i], text.text[i]);
    for (; text.bytes; text.bytes--) {
        *found = find_slot(table, hashes[text.bytes], prefix, text);
        if ((*found)->s.text) break;
    }
    return text.bytes;
}
