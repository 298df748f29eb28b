/* count.c: one run of a workload inside measured(), where callgrind counts (--toggle-collect=measured). Prints the
   number of tensors, names, elements or, for scan, bytes of the header.
   usage: count parse|open|find|find-n|find-all FILE
          count scan
          count convert TO FROM */
#define ST_IMPLEMENTATION
#include "../../safetensors.h"
#include "names.h"
#include "worker.h"

enum { ELEMENTS = 1 << 14 };

typedef struct subject {
    const char *path;
    const void *bytes;
    size_t n;
    st_model *model;
    const names *all;
    const st_tensor **found;
    st_dtype to, from;
    void *dst;
} subject;

static int parse(subject *s) {
    st_model *m;
    int good = st_open_memory(&m, s->bytes, s->n, NULL, NULL) == ST_OK;
    st_close(m);
    return good;
}

static int open_path(subject *s) {
    st_model *m;
    int good = st_open(&m, s->path, NULL, NULL) == ST_OK;
    st_close(m);
    return good;
}

static int find(subject *s) {
    size_t i, found = 0;
    for (i = 0; i < s->all->count; i++) found += st_find(s->model, s->all->name[i]) != NULL;
    return found == s->all->count;
}

static int find_n(subject *s) {
    size_t i, found = 0;
    for (i = 0; i < s->all->count; i++) found += st_find_n(s->model, s->all->name[i], s->all->bytes[i]) != NULL;
    return found == s->all->count;
}

static int find_all(subject *s) {
    return st_find_all(s->model, s->all->name, s->all->count, s->found, NULL) == s->all->count;
}

/* Makes a header that is as hard to scan as possible: escaped names of one length that differ only at the end, data in
   reverse order, and long fields that st_scan_begin has to skip. */
static void hostile(subject *s) {
    enum { TENSORS = 320, MEMBER = 1024 };
    char *text = (char *)buffer(0, 8 + TENSORS * MEMBER), *to = text + 8;
    size_t i, k;
    for (i = 0; i < TENSORS; i++) {
        const unsigned at = (unsigned)(TENSORS - 1 - i);
        to += sprintf(to, "%s\"", i ? "," : "{");
        for (k = 0; k < 30; k++) to += sprintf(to, "\\u00%02x", 'a' + (unsigned)k % 26);
        to += sprintf(to, "%04u\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[%u,%u],\"x\":[0", (unsigned)i, at,
                      at + 1);
        for (k = 0; k < 200; k++) to += sprintf(to, ",\"\"");
        to += sprintf(to, "]}");
    }
    *to++ = '}';
    s->bytes = (unsigned char *)text;
    s->n = (size_t)(to - text);
    for (i = 0; i < 8; i++) text[i] = (char)((s->n - 8) >> (8 * i) & 0xff);
}

static int scan(subject *s) {
    st_scan walk;
    return st_scan_begin(&walk, s->bytes, s->n, s->n + 320, NULL, NULL) == ST_OK;
}

static int convert(subject *s) {
    return st_convert(s->to, s->dst, s->from, s->bytes, ELEMENTS) == ST_OK;
}

/* noipa: not inlined and not cloned, so that callgrind finds its name */
__attribute__((noipa)) int measured(int (*act)(subject *), subject *s);
int measured(int (*act)(subject *), subject *s) {
    return act(s);
}

int main(int argc, char **argv) {
    static const struct {
        const char *name;
        int (*act)(subject *);
    } workloads[] = {{"parse", parse}, {"open", open_path}, {"find", find}, {"find-n", find_n}, {"find-all", find_all}};
    const char *what = argc > 2 ? argv[1] : "";
    size_t i = 0;
    subject s;
    memset(&s, 0, sizeof s);
    if (argc == 4 && !strcmp(what, "convert")) {
        expect(st_dtype_from_name(argv[2], &s.to) == ST_OK && st_dtype_from_name(argv[3], &s.from) == ST_OK, "dtype");
        s.dst = buffer(0, ELEMENTS * 8);
        s.bytes = buffer(1, ELEMENTS * 8);
        expect(measured(convert, &s), what);
        printf("%d\n", ELEMENTS);
        return 0;
    }
    if (argc == 2 && !strcmp(argv[1], "scan")) {
        hostile(&s);
        expect(measured(scan, &s), "scan");
        printf("%zu\n", s.n);
        return 0;
    }
    while (i < 5 && strcmp(what, workloads[i].name)) i++;
    expect(argc == 3 && i < 5, "usage: see count.c");
    s.path = argv[2];
    s.bytes = contents(s.path, &s.n);
    expect(st_open_memory(&s.model, s.bytes, s.n, NULL, NULL) == ST_OK, s.path);
    s.all = names_of(s.path);
    s.found = (const st_tensor **)take(s.all->count * sizeof *s.found);
    expect(measured(workloads[i].act, &s), what);
    printf("%zu\n", s.model->count);
    st_close(s.model);
    return 0;
}
