/* embed_tokenizer DIRECTORY: encodes every character of Unicode, for tests/examples/embed_tokenizer.sh, and prints a hash of
 * the ids for each 4,096 characters. The texts are "aCb C1CC IC", where C is the character. */
#include "examples/tokenizer/tokenizer.h"
#include <stdio.h>
#include <string.h>
#include <utf8proc.h>

int main(int argc, char **argv) {
    static const char around[][4] = {"a", "b ", "1", "", " I", ""};
    char message[TOKENIZER_MESSAGE];
    tokenizer *t = argc > 1 ? tokenizer_open(argv[1], message) : NULL;
    int32_t ids[256], types[256];
    uint32_t c, hash = 0;
    if (!t) return 1;
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
    tokenizer_close(t);
    return 0;
}
