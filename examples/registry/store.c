/* store.c: bytes by name, in one block. */
#include "registry.h"
#include <stdlib.h>
#include <string.h>

int store_from_pairs(byte_store *s, const byte_pair *pairs, size_t count) {
    size_t i, bytes = 1;
    char *name;
    memset(s, 0, sizeof *s);
    for (i = 0; i < count; i++) {
        const size_t n = strlen(pairs[i].name) + 1;
        if (pairs[i].count > SIZE_MAX - n - bytes) return 0;
        bytes += n + pairs[i].count;
    }
    s->block = (unsigned char *)malloc(bytes);
    s->values = count < SIZE_MAX / sizeof *s->values ? (struct stored *)malloc((count + 1) * sizeof *s->values) : NULL;
    if (!s->block || !s->values) {
        store_end(s);
        return 0;
    }
    for (i = 0, bytes = 0; i < count; i++) {
        s->values[i].bytes = s->block + bytes;
        s->values[i].count = pairs[i].count;
        if (pairs[i].count) memcpy(s->block + bytes, pairs[i].bytes, pairs[i].count);
        bytes += pairs[i].count;
    }
    name = (char *)s->block + bytes;
    for (i = 0; i < count; i++) {
        const size_t n = strlen(pairs[i].name);
        memcpy(name, pairs[i].name, n + 1);
        s->values[i].name = name;
        if (!names_add(&s->names, name, n, i)) {
            store_end(s);
            return 0;
        }
        name += n + 1;
    }
    s->count = count;
    return 1;
}

const struct stored *store_find(const byte_store *s, const char *name) {
    const size_t i = names_find_first(&s->names, name, strlen(name));
    return i == NO_NAME ? NULL : &s->values[i];
}

void store_end(byte_store *s) {
    free(s->block);
    free(s->values);
    names_clear(&s->names);
    memset(s, 0, sizeof *s);
}
