/* tokenizer.h: texts to token ids, as Hugging Face's tokenizers does for the BERT family: WordPiece, and the byte-level
 * BPE of RoBERTa. */
#ifndef EXAMPLES_TOKENIZER_H
#define EXAMPLES_TOKENIZER_H

#include <stddef.h>
#include <stdint.h>

enum { TOKENIZER_MESSAGE = 256 };

typedef struct tokenizer tokenizer;

/* Opens the tokenizer of a model directory: tokenizer.json, or vocab.txt, or vocab.json and merges.txt. The latter two
 * take the options in tokenizer_config.json, if there is one. Returns NULL after writing a message. */
tokenizer *tokenizer_open(const char *directory, char message[TOKENIZER_MESSAGE]);
void tokenizer_close(tokenizer *t);
size_t tokenizer_vocabulary(const tokenizer *t); /* the largest id + 1 */
int32_t tokenizer_padding(const tokenizer *t);   /* the id of the padding token */

/* Encodes a text, or a pair of texts (pair is NULL for one text), with the special tokens of the model. Writes ids and
 * token types to ids[max_ids] and types[max_ids]; a type is 1 in the second text of BERT's pairs, else 0. Longer texts lose
 * their ends, the longer text of a pair first, so that the closing separator stays. Bytes that are not UTF-8 become
 * U+FFFD. Returns the number of ids, or 0: max_ids is less than the number of special tokens, a text is larger than 32 MiB,
 * memory runs out, or a word is unknown and the vocabulary has no token for unknown words.
 * Threads: may be called from several threads with one tokenizer. */
size_t tokenizer_encode(const tokenizer *t, const char *text, size_t bytes, const char *pair, size_t pair_bytes,
                        int32_t *ids, int32_t *types, size_t max_ids);

#endif
