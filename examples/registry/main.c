/* registry: keeps weights of several mapped files under one roof: aliases, pins, adapters. Reads commands, one a line.
 *
 *     cc -O2 -I. examples/registry/[a-z]*.c examples/common/[a-z]*.c -o registry
 *     printf 'open model.safetensors\nopen lora.safetensors code\npin embed.weight\nadapters\ntotal\n' | ./registry
 *
 * A server that runs one model with many adapters works like this: tensors stay in their mapped files and are never
 * copied, a pin keeps a tensor while a request uses it, and an adapter can go when nothing of it is pinned. */
#include "registry.h"
#include "examples/common/text.h"
#include "examples/common/words.h"
#include <stdlib.h>
#include <string.h>

static const char usage[] =
    "usage: registry <COMMANDS\n"
    "\n"
    "open PATH [ADAPTER]   map a model and register its tensors; those of an adapter as ADAPTER/NAME.\n"
    "                      A name that is registered stays what it is\n"
    "alias NAME TARGET     register another name of a tensor\n"
    "pin NAME              use a tensor once more; prints the pins\n"
    "release NAME          use it once less\n"
    "unregister NAME       forget a tensor that is not pinned, and its aliases\n"
    "drop ADAPTER          forget an adapter, and unmap its file, if nothing of it is pinned\n"
    "show NAME             dtype, shape, bytes and pins\n"
    "head NAME [N]         the first N bytes, 16 if N is left out\n"
    "names                 all names, sorted\n"
    "adapters              all adapters, sorted, with their handles, sorted\n"
    "total                 bytes of all tensors; an alias has none\n"
    "pairs [NAME=HEX ...]  copy byte strings into one block; names may repeat\n"
    "bytes NAME            the first byte string of that name\n"
    "pair-names            the names of the byte strings in their order\n"
    "\n"
    "An unknown NAME prints none. A command that fails prints why and does not stop the others; the exit status is "
    "1.\n";

typedef struct session {
    registry registry;
    byte_store store;
    int failed;
} session;

static void fault(session *s, const words *w, const char *reason) {
    fflush(stdout);
    fprintf(stderr, "registry: line %lu: ", w->number);
    put_string(stderr, w->word[0]);
    fprintf(stderr, ": %s\n", reason);
    s->failed = 1;
}

static void put_hex(const unsigned char *bytes, size_t count) {
    size_t i;
    for (i = 0; i < count; i++) printf("%s%02x", i ? " " : "", bytes[i]);
    putchar('\n');
}

/* ---- commands on handles -------------------------------------------------------------------------------------- */

static void command_open(session *s, const words *w) {
    size_t added, kept;
    st_error error;
    const char *adapter = w->count > 2 ? w->word[2] : NULL;
    const char *reason = registry_open(&s->registry, w->word[1], adapter, &added, &kept, &error);
    if (reason) {
        fault(s, w, reason);
    } else {
        printf("%zu registered, %zu kept\n", added, kept);
    }
}

static void command_alias(session *s, const words *w) {
    const char *reason = registry_alias(&s->registry, w->word[1], w->word[2]);
    if (reason) fault(s, w, reason);
}

static void command_drop(session *s, const words *w) {
    size_t dropped;
    const char *reason = registry_drop(&s->registry, w->word[1], &dropped);
    if (reason) {
        fault(s, w, reason);
    } else {
        printf("%zu dropped\n", dropped);
    }
}

static void show(const registry *r, size_t index) {
    const handle *h = &r->handles[index], *target = &r->handles[registry_resolve(r, index)];
    const st_tensor *t = target->tensor;
    put_text(stdout, h->name, h->name_bytes);
    if (h != target) fputs(" is ", stdout);
    if (h != target) put_text(stdout, target->name, target->name_bytes);
    printf(": %s ", t->dtype_name);
    put_dimensions(stdout, t->rank, t->shape);
    printf(" %llu bytes, %zu pin%s\n", (unsigned long long)t->bytes, target->pins, target->pins == 1 ? "" : "s");
}

static void put_head(session *s, const words *w, size_t index) {
    const handle *h = &s->registry.handles[registry_resolve(&s->registry, index)];
    const char *text = w->count > 2 ? w->word[2] : "16";
    char *end;
    uint64_t n = strtoull(text, &end, 10);
    unsigned char bytes[256];
    st_error error;
    if (*text < '0' || *text > '9' || *end || n > sizeof bytes) {
        fault(s, w, "expected a number of bytes up to 256");
        return;
    }
    if (n > h->tensor->bytes) n = h->tensor->bytes;
    if (st_read(s->registry.files[h->file].model, h->tensor, 0, bytes, (size_t)n, &error) != ST_OK) {
        fault(s, w, error.message);
    } else {
        put_hex(bytes, (size_t)n);
    }
}

/* The commands whose first argument is the name of a handle. */
static void command_handle(session *s, const words *w) {
    registry *r = &s->registry;
    const size_t index = registry_find(r, w->word[1]);
    const char *reason = NULL;
    size_t pins;
    if (index == NO_HANDLE) {
        puts("none");
    } else if (strcmp(w->word[0], "show") == 0) {
        show(r, index);
    } else if (strcmp(w->word[0], "head") == 0) {
        put_head(s, w, index);
    } else if (strcmp(w->word[0], "pin") == 0) {
        printf("%zu\n", registry_pin(r, index));
    } else if (strcmp(w->word[0], "release") == 0) {
        reason = registry_release(r, index, &pins);
        if (!reason) printf("%zu\n", pins);
    } else {
        reason = registry_unregister(r, index);
    }
    if (reason) fault(s, w, reason);
}

static int compare_handles(const void *a, const void *b) {
    const handle *x = *(const handle *const *)a, *y = *(const handle *const *)b;
    return strcmp(x->name, y->name);
}

/* Prints the handles of a file, or all of them, sorted by name. */
static void list_handles(session *s, const words *w, size_t file, const char *between) {
    const registry *r = &s->registry;
    const handle **sorted = (const handle **)malloc((r->count + 1) * sizeof *sorted);
    size_t i, count = 0;
    if (!sorted) {
        fault(s, w, "out of memory");
        return;
    }
    for (i = 0; i < r->count; i++) {
        const handle *h = &r->handles[i];
        if (!h->is_gone && (file == NO_HANDLE || h->file == file)) sorted[count++] = h;
    }
    qsort(sorted, count, sizeof *sorted, compare_handles);
    for (i = 0; i < count; i++) {
        if (i) fputs(between, stdout);
        put_text(stdout, sorted[i]->name, sorted[i]->name_bytes);
    }
    if (count) putchar('\n');
    free(sorted);
}

static int compare_adapters(const void *a, const void *b) {
    return strcmp((*(const struct source *const *)a)->adapter, (*(const struct source *const *)b)->adapter);
}

static void command_adapters(session *s, const words *w) {
    const registry *r = &s->registry;
    const struct source **sorted = (const struct source **)malloc((r->file_count + 1) * sizeof *sorted);
    size_t i, count = 0;
    if (!sorted) {
        fault(s, w, "out of memory");
        return;
    }
    for (i = 0; i < r->file_count; i++) {
        if (r->files[i].model && r->files[i].adapter) sorted[count++] = &r->files[i];
    }
    qsort(sorted, count, sizeof *sorted, compare_adapters);
    for (i = 0; i < count; i++) {
        put_string(stdout, sorted[i]->adapter);
        fputs(": ", stdout);
        list_handles(s, w, (size_t)(sorted[i] - r->files), " ");
    }
    free(sorted);
}

/* ---- commands on byte strings --------------------------------------------------------------------------------- */

static int digit(char c) {
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

/* Splits NAME=HEX, in place. Returns 0 if the text is not of this form. */
static int parse_pair(char *text, byte_pair *pair) {
    char *equals = strrchr(text, '=');
    unsigned char *bytes = (unsigned char *)equals;
    if (!equals) return 0;
    pair->name = text;
    pair->bytes = bytes + 1;
    for (pair->count = 0; equals[1]; pair->count++, equals += 2) {
        const int high = digit(equals[1]), low = high < 0 ? -1 : digit(equals[2]);
        if (low < 0) return 0;
        bytes[1 + pair->count] = (unsigned char)(high * 16 + low);
    }
    *bytes = 0; /* ends the name */
    return 1;
}

static void command_pairs(session *s, words *w) {
    byte_pair pairs[WORDS_MOST];
    size_t i;
    for (i = 1; i < w->count; i++) {
        if (!parse_pair(w->word[i], &pairs[i - 1])) {
            fault(s, w, "expected NAME=HEX");
            return;
        }
    }
    store_end(&s->store);
    if (!store_from_pairs(&s->store, pairs, w->count - 1)) fault(s, w, "out of memory");
}

static void command_store(session *s, const words *w) {
    const struct stored *value;
    size_t i;
    if (strcmp(w->word[0], "bytes") == 0) {
        value = store_find(&s->store, w->word[1]);
        if (value) printf("%zu bytes: ", value->count);
        if (value) put_hex(value->bytes, value->count);
        if (!value) puts("none");
        return;
    }
    for (i = 0; i < s->store.count; i++) {
        put_string(stdout, s->store.values[i].name);
        putchar('\n');
    }
}

/* ---- main ----------------------------------------------------------------------------------------------------- */

static const struct command {
    const char *name;
    size_t least, most; /* arguments */
} commands[] = {{"open", 1, 2},  {"alias", 2, 2}, {"pin", 1, 1},        {"release", 1, 1},       {"unregister", 1, 1},
                {"drop", 1, 1},  {"show", 1, 1},  {"head", 1, 2},       {"names", 0, 0},         {"adapters", 0, 0},
                {"total", 0, 0}, {"bytes", 1, 1}, {"pair-names", 0, 0}, {"pairs", 0, WORDS_MOST}};

static void run(session *s, words *w) {
    const struct command *c = commands, *end = commands + sizeof commands / sizeof *commands;
    const char *name = w->word[0];
    while (c < end && strcmp(c->name, name) != 0) c++;
    if (c == end || w->count - 1 < c->least || w->count - 1 > c->most) {
        fault(s, w,
              c == end ? "unknown command; see registry --help" : "wrong number of arguments; see registry --help");
    } else if (strcmp(name, "open") == 0) {
        command_open(s, w);
    } else if (strcmp(name, "alias") == 0) {
        command_alias(s, w);
    } else if (strcmp(name, "drop") == 0) {
        command_drop(s, w);
    } else if (strcmp(name, "names") == 0) {
        list_handles(s, w, NO_HANDLE, "\n");
    } else if (strcmp(name, "adapters") == 0) {
        command_adapters(s, w);
    } else if (strcmp(name, "total") == 0) {
        printf("%llu bytes\n", (unsigned long long)registry_bytes(&s->registry));
    } else if (strcmp(name, "pairs") == 0) {
        command_pairs(s, w);
    } else if (strcmp(name, "bytes") == 0 || strcmp(name, "pair-names") == 0) {
        command_store(s, w);
    } else {
        command_handle(s, w);
    }
}

int main(int argc, char **argv) {
    session s;
    words w;
    memset(&s, 0, sizeof s);
    memset(&w, 0, sizeof w);
    if (argc == 2 && strcmp(argv[1], "--help") == 0) return fputs(usage, stdout) < 0;
    if (argc > 1) {
        fprintf(stderr, "registry: commands come from standard input; see registry --help\n");
        return 2;
    }
    while (words_read(&w, stdin)) run(&s, &w);
    if (w.fault) fprintf(stderr, "registry: line %lu: %s\n", w.number, w.fault);
    if (w.fault) s.failed = 1;
    if (fflush(stdout) != 0 || ferror(stdout)) {
        fprintf(stderr, "registry: cannot write to standard output\n");
        s.failed = 1;
    }
    words_end(&w);
    store_end(&s.store);
    registry_end(&s.registry);
    return s.failed;
}
