/* tokens.h: the parts of the tokenizer: token tables, normalization, WordPiece and BPE. */
#ifndef EXAMPLES_EMBED_TOKENS_H
#define EXAMPLES_EMBED_TOKENS_H

#include "tokenizer.h"

enum { LONGEST_WORD = 1000, LONGEST_PIECE = 4 * LONGEST_WORD }; /* characters, bytes */

/* The ids of a text. `count` goes on after the array is full: how texts of a pair are cut depends on their lengths. */
typedef struct id_list {
    int32_t *ids;
    size_t count, capacity;
    int is_done_when_full;
    int failed; /* out of memory, or an unknown word where the vocabulary has no token for it */
} id_list;

void put_id(id_list *list, int32_t id);
int is_done(const id_list *list); /* whether what follows in the text would change nothing */

/* ---- token tables ---- */

typedef struct token {
    const char *text; /* NULL in free slots */
    size_t bytes;
    uint32_t hash;
    int32_t id;
} token;

/* A hash table. Its texts are borrowed. The hash is a polynomial modulo 2^31 - 1 at a secret point, so that nobody can
 * prepare a vocabulary whose tokens collide; it continues from a prefix to longer texts. */
typedef struct token_table {
    token *slots;
    size_t capacity, count, longest; /* longest: bytes of the longest token */
    uint32_t point;
} token_table;

int token_add(token_table *table, const char *text, size_t bytes, int32_t id); /* returns 0 if memory runs out */
/* Finds the token that is `prefix` followed by `text`. Returns NULL if there is none. */
const token *token_find(const token_table *table, const char *prefix, size_t prefix_bytes, const char *text,
                        size_t bytes);
/* Finds the longest token that is `prefix` followed by a start of `text`. Returns the length of that start, or 0. */
size_t token_longest(const token_table *table, const char *prefix, size_t prefix_bytes, const char *text, size_t bytes,
                     const token **found);

/* ---- characters and normalization ---- */

typedef struct text_buffer {
    char *text;
    size_t bytes, capacity;
} text_buffer;

/* BERT's normalizer. All zero: texts stay as they are. */
typedef struct normalizer {
    int clean, blanks_around_ideographs, strips_accents, lowers;
} normalizer;

int normalize(const normalizer *n, const char *text, size_t bytes, text_buffer *result); /* 0 if memory runs out */
int is_white(uint32_t c);
int is_punctuation(uint32_t c);
int is_letter(uint32_t c);
int is_number(uint32_t c);
int is_word_character(uint32_t c); /* as \w in Rust's regular expressions */

/* ---- models ---- */

typedef struct wordpiece {
    const char *prefix; /* of pieces that continue a word */
    size_t prefix_bytes, longest_word;
} wordpiece;

/* Splits text at white space and around punctuation, and words into pieces. unknown is -1 where there is no such token. */
void wordpiece_encode(const wordpiece *w, const token_table *tokens, int32_t unknown, const char *text, size_t bytes,
                      id_list *list);

typedef struct merge {
    int32_t left, right;
    uint32_t rank;
} merge;

typedef struct bpe {
    int32_t bytes[256]; /* ids of one-byte tokens, or -1 */
    merge *slots;       /* a hash table; left is -1 in free slots */
    int32_t *merged;    /* ids by rank */
    size_t capacity, count;
    uint32_t point;
    int adds_space; /* before the first word of a text */
} bpe;

int bpe_begin(bpe *b, const token_table *tokens, size_t merge_count, int adds_space); /* returns 0 if memory runs out */
/* Adds the merge of the tokens left and right, after those before it. Returns 0 if one of the three tokens is missing. */
int bpe_add_merge(bpe *b, const token_table *tokens, const char *left, size_t left_bytes, const char *right,
                  size_t right_bytes);
void bpe_end(bpe *b);
void bpe_encode(const bpe *b, int32_t unknown, const char *text, size_t bytes, id_list *list);

/* ---- the tokenizer ---- */

typedef struct added_token {
    const char *text; /* found in texts before they are split into words */
    size_t bytes;
    int32_t id;
    int single_word, takes_left, takes_right, is_normalized; /* takes: the white space beside it */
} added_token;

typedef struct added_set {
    token_table table; /* the ids are indices of added tokens */
    char starts[256];  /* first bytes of its tokens */
} added_set;

enum { FIRST_TEXT = -1, SECOND_TEXT = -2, TEMPLATE_ITEMS = 16 };

typedef struct template_item {
    const char *name; /* of a special token */
    size_t name_bytes;
    int32_t id, type; /* id: of a special token, or one of the two texts */
} template_item;

typedef struct sequence_template {
    template_item items[TEMPLATE_ITEMS];
    size_t count;
} sequence_template;

struct tokenizer {
    token_table tokens;
    int32_t unknown, padding; /* -1 if there is none */
    size_t vocabulary;
    int is_bpe;
    wordpiece wordpiece;
    bpe bpe;
    normalizer normalizer;
    added_token *added;
    size_t added_count;
    added_set raw, normalized; /* tokens to be found in raw and in normalized text */
    sequence_template single, pair;
    void **kept; /* memory that texts above point into */
    size_t kept_count;
};

#endif
