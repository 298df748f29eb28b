/* embed_tokenizer DIRECTORY [MAX_IDS]: encodes texts, for tests/examples/embed_tokenizer.sh. Reads a JSON string or a pair,
 * ["first","second"], a line. Prints the ids a line, for pairs as ID/TYPE. The first line of output has the size of the
 * vocabulary and the id of the padding token. */
#include "examples/common/json.h"
#include "examples/common/text.h"
#include "examples/embed/tokenizer.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Reads a line of any length into *line. Returns its length without the line feed, or -1 at the end. */
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

int main(int argc, char **argv) {
    const size_t max_ids = argc > 2 ? (size_t)strtoul(argv[2], NULL, 10) : 1 << 22;
    int32_t *ids = malloc(2 * max_ids * sizeof *ids + 1);
    char message[TOKENIZER_MESSAGE], *line = NULL;
    size_t capacity = 0, i, n;
    long bytes;
    tokenizer *t = argc > 1 ? tokenizer_open(argv[1], message) : NULL;
    if (!t || !ids) {
        put_string(stderr, argc > 1 ? message : "usage: embed_tokenizer DIRECTORY [MAX_IDS]");
        putc('\n', stderr);
        return argc > 1 ? 1 : 2;
    }
    printf("%zu %ld\n", tokenizer_vocabulary(t), (long)tokenizer_padding(t));
    while ((bytes = read_line(&line, &capacity)) >= 0) {
        const char *texts[2] = {NULL, NULL};
        size_t lengths[2] = {0, 0};
        json_reader j;
        json_kind kind;
        json_begin(&j, line, (size_t)bytes);
        kind = json_value(&j);
        for (i = 0; kind == JSON_STRING ? i < 1 : json_element(&j) && i < 2; i++) {
            if (kind == JSON_ARRAY) json_value(&j);
            texts[i] = j.string, lengths[i] = j.string_bytes;
        }
        if (!json_end(&j) || !texts[0]) {
            fprintf(stderr, "%s\n", j.fault ? j.fault : "expected a string or two");
            return 1;
        }
        n = tokenizer_encode(t, texts[0], lengths[0], texts[1], lengths[1], ids, ids + max_ids, max_ids);
        for (i = 0; i < n; i++) {
            printf(i ? " %ld" : "%ld", (long)ids[i]);
            if (texts[1]) printf("/%ld", (long)ids[max_ids + i]);
        }
        putchar('\n');
    }
    tokenizer_close(t);
    free(ids);
    free(line);
    return 0;
}
