/* wordpiece.c: WordPiece on words as BERT splits them. */
#include "examples/common/text.h"
#include "tokens.h"

static int has_more_characters(span word, size_t limit) {
    size_t i, count = 0;
    if (word.bytes <= limit) return 0;
    for (i = 0; i < word.bytes; i++) count += ((unsigned char)word.text[i] & 0xc0) != 0x80;
    return count > limit;
}

/* Puts the longest token at the start of the word, and so on for the rest. A word with an unknown piece is unknown. */
static void put_word(const wordpiece *w, const token_table *tokens, int32_t unknown, span word, id_list *list) {
    const size_t start = list->count;
    const token *piece;
    size_t length = !has_more_characters(word, w->longest_word);
    span rest = word;
    while (length && rest.bytes) {
        length = token_longest(tokens, rest.bytes < word.bytes ? w->prefix : NOTHING, rest, &piece);
        if (length) put_id(list, piece->id);
        rest.text += length, rest.bytes -= length;
    }
    if (length) return;
    list->count = start;
    if (unknown < 0) list->failed = 1;
    if (unknown >= 0) put_id(list, unknown);
}

/* White space separates words; a punctuation character is a word of its own. */
void wordpiece_encode(const wordpiece *w, const token_table *tokens, int32_t unknown, span text, id_list *list) {
    const char *const end = text.text + text.bytes;
    span word = {text.text, 0}, mark = {text.text, 0};
    uint32_t c = ' ';
    for (; mark.text < end && !is_done(list); mark.text += mark.bytes) {
        char_class kind;
        mark.bytes = utf8_decode(mark.text, (size_t)(end - mark.text), &c);
        kind = class_of(c);
        if (kind != CHAR_WHITE && kind != CHAR_PUNCTUATION) {
            word.bytes += mark.bytes;
            continue;
        }
        if (word.bytes) put_word(w, tokens, unknown, word, list);
        if (kind == CHAR_PUNCTUATION) put_word(w, tokens, unknown, mark, list);
        word.text = mark.text + mark.bytes, word.bytes = 0;
    }
    if (word.bytes && !is_done(list)) put_word(w, tokens, unknown, word, list);
}
