/* names.h: FILE.names, which generate.c writes: all tensor names of FILE, shuffled */
#ifndef NAMES_H
#define NAMES_H
#include "worker.h"

typedef struct names {
    const char **name;
    size_t *bytes, count;
} names;

/* Returns the names of a file, in memory until another file is asked for. */
static const names *names_of(const char *path) {
    static char held[4096];
    static char *text;
    static names all;
    char file[4096 + 8], *end;
    int in;
    size_t n, i;
    if (!strcmp(held, path)) return &all;
    free(text), free(all.name), free(all.bytes);
    snprintf(file, sizeof file, "%s.names", path);
    in = open_file(file, O_RDONLY, &n);
    text = (char *)take(n);
    expect(read(in, text, n) == (ssize_t)n && close(in) == 0, file);
    for (all.count = 0, i = 0; i < n; i++) all.count += text[i] == '\n';
    all.name = (const char **)take((all.count + 1) * sizeof *all.name);
    all.bytes = (size_t *)take((all.count + 1) * sizeof *all.bytes);
    for (end = text, i = 0; i < all.count; i++, end++) {
        all.name[i] = end;
        while (*end != '\n') end++;
        all.bytes[i] = (size_t)(end - all.name[i]);
        *end = '\0';
    }
    snprintf(held, sizeof held, "%s", path);
    return &all;
}
#endif
