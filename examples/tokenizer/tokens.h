/* tokens.h: the parts of the tokenizer. */
#ifndef EXAMPLES_TOKENIZER_TOKENS_H
#define EXAMPLES_TOKENIZER_TOKENS_H

#include "examples/common/settings.h"
#include "tokenizer.h"

enum { LONGEST_WORD = 1000, LONGEST_PIECE = 4 * LONGEST_WORD, LONGEST_TEXT = 1 << 25 }; /* characters, bytes, bytes */

typedef struct span {
    const char *text; /* not NUL-terminated */
    size_t bytes;
} span;

static const span NOTHING = {"", 0};

/* The ids of a text. `count` goes on when the array is full: how a pair is cut depends on both lengths. */
typedef struct id_list {
    int32_t *ids;
    size_t count, capacity;
    int ends_when_full;
    int failed; /* out of memory, or an unknown word where the vocabulary has no token for it */
} id_list;

void put_id(id_list *list, int32_t id);
int is_done(const id_list *list); /* whether what follows in the text changes nothing */

/* ---- tokens.c: a hash table of tokens ----
 * The hash is a polynomial modulo 2^31 - 1 at a secret point, so that nobody can prepare a vocabulary whose tokens
 * collide. It continues from a prefix to longer texts. */

typedef struct token {
    span s; /* borrowed; its text is NULL in free slots */
    uint32_t hash;
    int32_t id;
} token;

typedef struct token_table {
    token *slots;
    size_t capacity, count, longest; /* longest: bytes of the longest token */
    uint32_t point;
} token_table;

int token_add(token_table *table, span s, int32_t id); /* returns 0 if memory runs out */
/* Finds the token that is `prefix` followed by `rest`. Returns NULL if there is none. */
const token *token_find(const token_table *table, span prefix, span rest);
/* Finds the longest token that is `prefix` followed by a start of `text`. Returns the length of that start, or 0. */
size_t token_longest(const token_table *table, span prefix, span text, const token **found);

/* ---- normalize.c: classes of characters, and BERT's normalizer ---- */

typedef enum char_class { CHAR_WHITE, CHAR_LETTER, CHAR_NUMBER, CHAR_PUNCTUATION, CHAR_OTHER } char_class;

typedef struct text_buffer {
    char *text;
    size_t bytes, capacity;
} text_buffer;

typedef struct normalizer { /* all zero: texts stay as they are */
    int clean, blanks_around_ideographs, strips_accents, lowers;
} normalizer;

char_class class_of(uint32_t c);
int is_white(uint32_t c);
int is_word_character(uint32_t c);                                  /* \w in Rust's regular expressions */
int normalize(const normalizer *n, span text, text_buffer *result); /* returns 0 if memory runs out */

/* ---- wordpiece.c, bpe.c: the models. unknown is the id of the unknown token, or -1 ---- */

typedef struct wordpiece {
    span prefix; /* of pieces that continue a word */
    size_t longest_word;
} wordpiece;

void wordpiece_encode(const wordpiece *w, const token_table *tokens, int32_t unknown, span text, id_list *list);

typedef struct merge {
    int32_t left, right; /* left is -1 in free slots */
    uint32_t rank;
} merge;

typedef struct bpe {
    int32_t bytes[256]; /* ids of one-byte tokens, or -1 */
    merge *slots;       /* a hash table */
    int32_t *merged;    /* ids by rank */
    size_t capacity, count;
    uint32_t point;
    int adds_space; /* before the first word */
} bpe;

int bpe_begin(bpe *b, const token_table *tokens, size_t merge_count); /* returns 0 if memory runs out */
/* Adds the next merge. Returns 0 if the vocabulary lacks one of its tokens, or the merged token. */
int bpe_add_merge(bpe *b, const token_table *tokens, span left, span right);
void bpe_encode(const bpe *b, int32_t unknown, span text, id_list *list);
void bpe_end(bpe *b);

/* ---- tokenizer.c, load.c ---- */

typedef struct added_token {
    span s; /* is found in texts before they are split into words */
    int32_t id;
    int single_word, takes_left, takes_right, is_normalized; /* takes: the white space beside it */
    char *normal;                                            /* its text as it is found in normalized texts */
} added_token;

typedef struct added_set {
    token_table table; /* its ids are indices of added tokens */
    char starts[256];  /* by first byte of its tokens */
} added_set;

enum { FIRST_TEXT = -1, SECOND_TEXT = -2, TEMPLATE_ITEMS = 16 };

typedef struct template_item {
    span name;        /* of a special token */
    int32_t id, type; /* id: of a special token, or which text */
} template_item;

typedef struct sequence_template {
    template_item items[TEMPLATE_ITEMS];
    size_t count;
} sequence_template;

struct tokenizer {
    token_table tokens;
    int32_t unknown, padding;
    size_t vocabulary;
    int is_bpe;
    wordpiece wordpiece;
    bpe bpe;
    normalizer normalizer;
    added_token *added;
    size_t added_count;
    added_set raw, normalized; /* added tokens that are found in raw and in normalized text */
    sequence_template single, pair;
    char *kept[4]; /* memory with the texts of tokens */
    size_t kept_count;
};

#endif
