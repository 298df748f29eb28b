/* embed_tokenizer DIRECTORY [MAX_IDS]: encodes texts, for tests/examples/embed_tokenizer.sh. Reads a line for each text: a
 * JSON string, or a pair, ["first","second"]. Prints the size of the vocabulary and the id of the padding token, then a
 * line of ids for each text, for pairs as ID/TYPE.
 * embed_tokenizer DIRECTORY --lines: the same, but a line is a text as it is, which need not be UTF-8.
 * embed_tokenizer DIRECTORY --characters: encodes every character of Unicode, and prints a hash for each 4,096 of them. */
#include "examples/common/json.h"
#include "examples/common/text.h"
#include "examples/embed/tokenizer.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

/* Reads a line of any length. Returns its length without the line feed, or -1 at the end. */
static long read_line(char **line, size_t *capacity) {
    size_t n = 0;
    int c;
    while ((c = getchar()) != EOF) {
        if (n + 1 >= *capacity) {
            *capacity = *capacity ? 2 * *capacity : 1 << 16;
            *line = realloc(*line, *capacity);
            if (!*line) exit(3);
        }
        if (c == '\n') break;
        (*line)[n++] = (char)c;
    }
    if (c == EOF && n == 0) return -1;
    (*line)[n] = 0;
    return (long)n;
}

/* The texts are "aCb C1CC IC", where C is the character. */
static void encode_characters(const tokenizer *t, int32_t *ids, int32_t *types) {
    static const char around[][4] = {"a", "b ", "1", "", " I", ""};
    uint32_t c, hash = 0;
    printf("Unicode %s\n", utf8proc_unicode_version());
    for (c = 0; c < 0x110000; c++) {
        char text[64];
        size_t n = 0, i, count;
        if (c < 0xd800 || c > 0xdfff) {
            for (i = 0; i < 6; i++) {
                memcpy(text + n, around[i], strlen(around[i]));
                n += strlen(around[i]);
                if (i < 5) n += (size_t)utf8proc_encode_char((utf8proc_int32_t)c, (utf8proc_uint8_t *)text + n);
            }
            count = tokenizer_encode(t, text, n, NULL, 0, ids, types, 256);
            for (i = 0; i < count; i++) hash = (hash ^ (uint32_t)ids[i]) * 16777619u;
        }
        if ((c & 0xfff) == 0xfff) {
            printf("%08x\n", (unsigned)hash);
            hash = 0;
        }
    }
}

/* Reads a string, or an array of two. Returns 0 if the line is neither. */
static int parse_texts(char *line, size_t bytes, const char *texts[2], size_t lengths[2]) {
    json_reader j;
    json_kind kind;
    size_t i;
    json_begin(&j, line, bytes);
    kind = json_value(&j);
    for (i = 0; i < 2; i++) {
        if (kind == JSON_ARRAY && (!json_element(&j) || json_value(&j) != JSON_STRING)) return 0;
        texts[i] = kind == JSON_ARRAY || i == 0 ? j.string : NULL;
        lengths[i] = kind == JSON_ARRAY || i == 0 ? j.string_bytes : 0;
    }
    if (kind == JSON_ARRAY && json_element(&j)) return 0;
    return json_end(&j) && (kind == JSON_ARRAY || kind == JSON_STRING);
}

int main(int argc, char **argv) {
    const size_t max_ids = argc > 2 && argv[2][0] != '-' ? (size_t)strtoul(argv[2], NULL, 10) : 1 << 22;
    int32_t *ids = malloc((2 * max_ids + 1) * sizeof *ids), *types = ids ? ids + max_ids : NULL;
    char message[TOKENIZER_MESSAGE], *line = NULL;
    const char *texts[2];
    const int is_raw = argc > 2 && strcmp(argv[2], "--lines") == 0;
    size_t capacity = 0, lengths[2], i, n;
    long bytes;
    tokenizer *t = argc > 1 ? tokenizer_open(argv[1], message) : NULL;
    if (!t || !ids) {
        put_string(stderr, argc > 1 ? message : "usage: embed_tokenizer DIRECTORY [MAX_IDS | --lines | --characters]");
        putc('\n', stderr);
        free(ids);
        return argc > 1 ? 1 : 2;
    }
    if (argc > 2 && strcmp(argv[2], "--characters") == 0) {
        encode_characters(t, ids, types);
    } else {
        printf("%zu %ld\n", tokenizer_vocabulary(t), (long)tokenizer_padding(t));
        while ((bytes = read_line(&line, &capacity)) >= 0) {
            texts[0] = line, texts[1] = NULL, lengths[0] = (size_t)bytes, lengths[1] = 0;
            if (!is_raw && !parse_texts(line, (size_t)bytes, texts, lengths)) {
                fprintf(stderr, "expected a string or an array of two\n");
                return 1;
            }
            n = tokenizer_encode(t, texts[0], lengths[0], texts[1], lengths[1], ids, types, max_ids);
            for (i = 0; i < n; i++) {
                printf(i ? " %ld" : "%ld", (long)ids[i]);
                if (texts[1]) printf("/%ld", (long)types[i]);
            }
            putchar('\n');
        }
    }
    tokenizer_close(t);
    free(ids);
    free(line);
    return 0;
}
