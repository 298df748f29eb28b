/* names_units.c: compares examples/common/names.c with a search from front to back, for names that repeat and for lists of
 * every length. */
#include "examples/common/names.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { COUNT = 400, DIFFERENT = 90 };

static char texts[COUNT][8];
static size_t lengths[COUNT];

static size_t search(const char *name, size_t bytes, size_t count, int last) {
    size_t i, found = NO_NAME;
    for (i = 0; i < count; i++) {
        if (lengths[i] != bytes || memcmp(texts[i], name, bytes) != 0) continue;
        if (found == NO_NAME || last) found = i;
    }
    return found;
}

int main(void) {
    name_list list;
    unsigned long random = 1, wrong = 0;
    size_t i, k;
    memset(&list, 0, sizeof list);
    if (names_find_first(&list, "", 0) != NO_NAME || names_find_last(&list, "a", 1) != NO_NAME) wrong++;
    for (i = 0; i < COUNT; i++) {
        unsigned number;
        random = (random * 1103515245 + 12345) & 0x7fffffff;
        number = (unsigned)(random >> 8) % DIFFERENT;
        lengths[i] = number % 5; /* bytes of 0, 1 and 2: names contain NUL, are empty, and begin alike */
        for (k = 0; k < lengths[i]; k++, number /= 3) texts[i][k] = (char)(number % 3);
        if (!names_add(&list, texts[i], lengths[i], i)) return 2;
        for (k = 0; k <= i; k++) {
            wrong += names_find_first(&list, texts[k], lengths[k]) != search(texts[k], lengths[k], i + 1, 0);
            wrong += names_find_last(&list, texts[k], lengths[k]) != search(texts[k], lengths[k], i + 1, 1);
        }
        wrong += names_find_last(&list, "\3", 1) != NO_NAME || names_find_first(&list, "\0\0\0\0\0", 5) != NO_NAME;
    }
    names_clear(&list);
    printf("%lu wrong\n", wrong);
    return wrong != 0;
}
