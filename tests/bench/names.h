/* names.h: FILE.names, what to look up: all names of FILE in another order */
#ifndef NAMES_H
#define NAMES_H
#include "worker.h"

typedef struct names {
    const char **name;
    size_t *bytes, count;
} names;

static const names *names_of(const char *path) { /* of one file at a time */
    static char held[4096];
    static char *text;
    static names all;
    char file[4096], *at;
    FILE *in;
    size_t n, i;
    if (!strcmp(held, path)) return &all;
    snprintf(file, sizeof file, "%s.names", path);
    in = fopen(file, "rb");
    expect(in != NULL && fseek(in, 0, SEEK_END) == 0, file);
    n = (size_t)ftell(in);
    rewind(in);
    free(text), free(all.name), free(all.bytes);
    text = (char *)take(n + 1);
    expect(fread(text, 1, n, in) == n, file);
    fclose(in);
    for (all.count = 0, i = 0; i < n; i++) all.count += text[i] == '\n';
    all.name = (const char **)take((all.count + 1) * sizeof *all.name);
    all.bytes = (size_t *)take((all.count + 1) * sizeof *all.bytes);
    for (at = text, i = 0; i < all.count; i++, at++) {
        all.name[i] = at;
        while (*at != '\n') at++;
        all.bytes[i] = (size_t)(at - all.name[i]);
        *at = '\0';
    }
    snprintf(held, sizeof held, "%s", path);
    return &all;
}
#endif
