/* tokenize [OPTIONS] MODEL: prints the token ids of each line of standard input, as the model in a directory was trained
 * with: WordPiece or byte-level BPE.
 *
 *     cc -O2 -I. examples/tokenizer/[a-z]*.c examples/common/[!z]*.c -lutf8proc -o tokenize
 *
 *     $ echo 'unbelievable' | tokenize all-MiniLM-L6-v2
 *     101 23653 102
 */
#include "../common/json.h"
#include "../common/lines.h"
#include "../common/options.h"
#include "../common/text.h"
#include "tokenizer.h"
#include <stdio.h>
#include <stdlib.h>

static const char help[] =
    "usage: tokenize [OPTIONS] MODEL <LINES\n"
    "Prints the token ids of each line of standard input. MODEL is a directory.\n"
    "  --json-lines     a line is a JSON string, or a pair, [\"first\",\"second\"], of which\n"
    "                   ID/TYPE is printed\n"
    "  --max-length N   cuts longer lists of ids; the closing separator stays\n"
    "  --sizes          first prints the size of the vocabulary and the id of the padding token\n";

/* Reads a string, or an array of two. Returns 0 if the line is neither. */
static int parse_texts(char *line, size_t bytes, const char *texts[2], size_t lengths[2]) {
    json_reader j;
    json_kind kind;
    json_begin(&j, line, bytes);
    kind = json_value(&j);
    for (int i = 0; i < (kind == JSON_ARRAY ? 2 : 1); i++) {
        if (kind == JSON_ARRAY && (!json_element(&j) || json_value(&j) != JSON_STRING)) return 0;
        texts[i] = j.string;
        lengths[i] = j.string_bytes;
    }
    if (kind == JSON_ARRAY && json_element(&j)) return 0;
    return json_end(&j) && (kind == JSON_ARRAY || kind == JSON_STRING);
}

/* Prints the ids of a line. Returns NULL, or what is wrong. */
static const char *print_ids(const tokenizer *t, char *line, size_t bytes, int is_json, int max_length) {
    const char *texts[2] = {line, NULL};
    size_t lengths[2] = {bytes, 0}, most = 8 * bytes + 32, count; /* no text has more tokens */
    int32_t *ids;
    if (is_json && !parse_texts(line, bytes, texts, lengths)) return "expected a JSON string, or an array of two";
    if (max_length && most > (size_t)max_length) most = (size_t)max_length;
    ids = malloc(2 * most * sizeof *ids);
    if (!ids) return "out of memory";
    count = tokenizer_encode(t, texts[0], lengths[0], texts[1], lengths[1], ids, ids + most, most);
    for (size_t i = 0; i < count; i++) {
        printf(i ? " %ld" : "%ld", (long)ids[i]);
        if (texts[1]) printf("/%ld", (long)ids[most + i]);
    }
    free(ids);
    return putchar('\n') == EOF ? "cannot write" : NULL;
}

int main(int argc, char **argv) {
    int is_json = 0, sizes = 0, wants_help = 0, max_length = 0;
    const option options[] = {
        {"--json-lines", &is_json, .value = 1},
        {"--max-length", &max_length, .most = 1 << 24},
        {"--sizes", &sizes, .value = 1},
        {"--help", &wants_help, .value = 1},
    };
    const char *directory = NULL, *fault = NULL;
    char message[TOKENIZER_MESSAGE], *line;
    unsigned long number = 0;
    size_t bytes;
    line_reader in = {0};
    tokenizer *t;
    if (options_parse("tokenize", argc, argv, options, sizeof options / sizeof *options, &directory, 1)) return 2;
    if (wants_help) return fputs(help, stdout) < 0 || fflush(stdout) != 0;
    if (!directory) return options_refuse("tokenize", "%s is missing", "MODEL");
    t = tokenizer_open(directory, message);
    if (t && sizes) printf("%zu %ld\n", tokenizer_vocabulary(t), (long)tokenizer_padding(t));
    while (t && !fault && (line = lines_next(&in, 1, &bytes)) != NULL) {
        fault = print_ids(t, line, bytes, is_json, max_length);
        number++;
    }
    if (in.fault) fault = in.fault, number++;
    if (!fault && (fflush(stdout) || ferror(stdout))) fault = "cannot write";
    if (t && fault) snprintf(message, sizeof message, "line %lu: %s", number, fault);
    free(in.text);
    tokenizer_close(t);
    if (t && !fault) return 0;
    return put_complaint("tokenize", "", message);
}
