/* bpe.c: byte-level BPE, as GPT-2 and RoBERTa use it. */
#include "examples/common/text.h"
#include "tokens.h"
#include <stdlib.h>
#include <string.h>

/* ---- merges ------------------------------------------------------------------------------------------------- */

/* Tokens are written with one character a byte: itself for printable ones, U+0100 and up for the others. Returns the
 * character's length in UTF-8. */
static size_t put_byte_character(char to[2], unsigned byte) {
    unsigned c = byte, b;
    if (byte <= ' ' || (byte >= 0x7f && byte <= 0xa0) || byte == 0xad) {
        for (c = 0x100, b = 0; b < byte; b++) c += b <= ' ' || (b >= 0x7f && b <= 0xa0) || b == 0xad;
    }
    to[0] = (char)(unsigned char)(c < 0x80 ? c : 0xc0 | c >> 6);
    to[1] = (char)(unsigned char)(0x80 | (c & 0x3f));
    return c < 0x80 ? 1 : 2;
}

static merge *find_merge(const bpe *b, int32_t left, int32_t right) {
    const uint64_t hash = ((uint64_t)(uint32_t)left * b->point + (uint32_t)right) % 0x7fffffff * 0x9e3779b97f4a7c15u;
    size_t i = (size_t)(hash >> 32) & (b->capacity - 1);
    while (b->slots[i].left >= 0 && (b->slots[i].left != left || b->slots[i].right != right)) {
        i = (i + 1) & (b->capacity - 1);
    }
    return &b->slots[i];
}

int bpe_begin(bpe *b, const token_table *tokens, size_t merge_count) {
    size_t i;
    b->point = tokens->point;
    for (b->capacity = 64; b->capacity < 2 * merge_count; b->capacity *= 2) continue;
    b->slots = malloc(b->capacity * sizeof *b->slots);
    b->merged = malloc((merge_count + 1) * sizeof *b->merged);
    if (!b->slots || !b->merged) return 0;
    for (i = 0; i < b->capacity; i++) b->slots[i].left = -1;
    for (i = 0; i < 256; i++) {
        char text[2];
        const span s = {text, put_byte_character(text, (unsigned)i)};
        const token *t = token_find(tokens, NOTHING, s);
        b->bytes[i] = t ? t->id : -1;
    }
    return 1;
}

int bpe_add_merge(bpe *b, const token_table *tokens, span left, span right) {
    const token *l = token_find(tokens, NOTHING, left), *r = token_find(tokens, NOTHING, right);
    const token *both = token_find(tokens, left, right);
    merge *slot;
    if (!l || !r || !both) return 0;
    slot = find_merge(b, l->id, r->id);
    slot->left = l->id, slot->right = r->id, slot->rank = (uint32_t)b->count;
    b->merged[b->count++] = both->id;
    return 1;
}

void bpe_end(bpe *b) {
    free(b->slots);
    free(b->merged);
}

/* ---- words -------------------------------------------------------------------------------------------------- */

typedef struct symbol {
    int32_t id; /* -1 once merged into the symbol before */
    uint32_t previous, next;
} symbol;

/* A binary heap of rank << 32 | position: merges of low rank first, the leftmost of them first. Its cost keeps words of any
 * length from taking quadratic time. */
static void heap_push(uint64_t *heap, size_t *count, uint64_t key) {
    size_t i = (*count)++;
    for (; i && heap[(i - 1) / 2] > key; i = (i - 1) / 2) heap[i] = heap[(i - 1) / 2];
    heap[i] = key;
}

static uint64_t heap_pop(uint64_t *heap, size_t *count) {
    const uint64_t top = heap[0], key = heap[--*count];
    size_t i = 0, child;
    while ((child = 2 * i + 1) < *count) {
        if (child + 1 < *count && heap[child + 1] < heap[child]) child++;
        if (heap[child] >= key) break;
        heap[i] = heap[child];
        i = child;
    }
    heap[i] = key;
    return top;
}

static void push_merge(const bpe *b, const symbol *s, uint32_t left, uint64_t *heap, size_t *count) {
    const merge *m = find_merge(b, s[left].id, s[s[left].next].id);
    if (m->left >= 0) heap_push(heap, count, (uint64_t)m->rank << 32 | left);
}

/* Merges s[0 .. n-1]; s[n] marks the end, and s[0].previous is n too. */
static void merge_symbols(const bpe *b, symbol *s, uint32_t n, uint64_t *heap) {
    size_t count = 0;
    uint32_t i;
    for (i = 0; i < n; i++) s[i].previous = i ? i - 1 : n, s[i].next = i + 1;
    for (i = 0; i + 1 < n; i++) push_merge(b, s, i, heap, &count);
    while (count) {
        const uint64_t top = heap_pop(heap, &count);
        const uint32_t left = (uint32_t)top, right = s[left].next;
        const merge *m;
        if (s[left].id < 0 || right == n) continue;
        m = find_merge(b, s[left].id, s[right].id);
        if (m->left < 0 || b->merged[m->rank] != b->merged[top >> 32])
            continue; /* its symbols have been merged otherwise */
        s[left].id = b->merged[m->rank];
        s[left].next = s[right].next;
        s[right].id = -1;
        s[s[left].next].previous = left;
        if (s[left].previous != n) push_merge(b, s, s[left].previous, heap, &count);
        if (s[left].next != n) push_merge(b, s, left, heap, &count);
    }
}

/* heap holds 3n keys for n symbols: of n - 1 pairs, and two for each of n - 1 merges. */
static void put_word(const bpe *b, int32_t unknown, span word, symbol *s, uint64_t *heap, id_list *list) {
    uint32_t n = 0, i;
    for (i = 0; i < word.bytes; i++) {
        const int32_t id = b->bytes[(unsigned char)word.text[i]];
        if (id >= 0 || unknown >= 0) s[n++].id = id >= 0 ? id : unknown; /* the reference drops others, too */
    }
    merge_symbols(b, s, n, heap);
    for (i = 0; i < n; i++) {
        if (s[i].id >= 0) put_id(list, s[i].id);
    }
}

/* ---- the split into words ----------------------------------------------------------------------------------- */

/* Returns the class of the character at a position, or -1 at the end. */
static int class_at(span s, size_t at, size_t *length) {
    uint32_t c = 0;
    char_class kind;
    if (at >= s.bytes) return -1;
    *length = utf8_decode(s.text + at, s.bytes - at, &c);
    kind = class_of(c);
    return kind == CHAR_PUNCTUATION ? CHAR_OTHER : (int)kind;
}

static size_t match_contraction(span s) {
    static const char contractions[][4] = {"'s", "'t", "'re", "'ve", "'m", "'ll", "'d"};
    size_t i;
    for (i = 0; i < sizeof contractions / sizeof *contractions; i++) {
        const size_t n = strlen(contractions[i]);
        if (s.bytes >= n && memcmp(s.text, contractions[i], n) == 0) return n;
    }
    return 0;
}

/* Returns the length of the match of 's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+ at the
 * start of a text that is not empty. */
static size_t match_word(span s) {
    size_t length = 0, last = 0, i = match_contraction(s);
    int kind;
    if (i) return i;
    i = *s.text == ' ';
    kind = class_at(s, i, &length);
    if (kind >= 0 && kind != CHAR_WHITE) {
        while (class_at(s, i, &length) == kind) i += length;
        return i;
    }
    for (i = 0; class_at(s, i, &length) == CHAR_WHITE; i += length) last = i;
    return i < s.bytes && last ? last : i; /* the last blank before a word belongs to the word */
}

void bpe_encode(const bpe *b, int32_t unknown, span text, id_list *list) {
    const size_t added = b->adds_space && text.bytes && *text.text != ' ', bytes = text.bytes + added;
    uint64_t *heap = malloc((3 * bytes + 1) * sizeof *heap);
    symbol *symbols = malloc((bytes + 1) * sizeof *symbols);
    char *spaced = malloc(bytes + 1);
    span rest = {spaced, bytes}, word;
    list->failed |= !heap || !symbols || !spaced;
    if (spaced) *spaced = ' ';
    if (spaced && text.bytes) memcpy(spaced + added, text.text, text.bytes);
    for (; rest.bytes && !is_done(list); rest.text += word.bytes, rest.bytes -= word.bytes) {
        word.text = rest.text, word.bytes = match_word(rest);
        put_word(b, unknown, word, symbols, heap, list);
    }
    free(heap);
    free(symbols);
    free(spaced);
}
