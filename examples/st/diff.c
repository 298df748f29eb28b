/* diff.c: what differs between two models, whatever files they are in. */
#include "st.h"
#include <stdlib.h>
#include <string.h>

enum { EXIT_SAME = 0, EXIT_DIFFERS = 1, EXIT_TROUBLE = 2 }; /* as diff and cmp have them */

typedef struct change {    /* of a tensor of A */
    const st_tensor *now;  /* of that name in B, or NULL */
    uint64_t bytes, first; /* that differ, and where the first is; only where dtype and shape are the same */
} change;

typedef struct diff {
    int json, metadata;
    const char *a_path, *b_path;
    st_model *a, *b;
    change *changes;       /* one for each tensor of A */
    unsigned char *is_old; /* of each tensor of B: whether A has it */
    uint64_t removed, added, changed, same, metadata_changes;
    const colours *paint;
} diff;

static int trouble(const char *path, const st_error *error) {
    report(path, error);
    return EXIT_TROUBLE;
}

/* ---- finding ---------------------------------------------------------------------------------------------- */

static int is_same_kind(const st_tensor *a, const st_tensor *b) {
    size_t i;
    if (strcmp(a->dtype_name, b->dtype_name) != 0 || a->rank != b->rank || a->bytes != b->bytes) return 0;
    for (i = 0; i < a->rank; i++) {
        if (a->shape[i] != b->shape[i]) return 0;
    }
    return 1;
}

static void compare_blocks(change *c, uint64_t offset, const unsigned char *a, const unsigned char *b, size_t n) {
    size_t i;
    if (memcmp(a, b, n) == 0) return;
    for (i = 0; i < n; i++) {
        if (a[i] == b[i]) continue;
        if (c->bytes++ == 0) c->first = offset + i;
    }
}

/* What went wrong has been said, if it is not EXIT_SAME. */
static int compare_bytes(diff *d, const st_tensor *t, change *c, uint64_t *done, uint64_t total, progress *bar) {
    static unsigned char blocks[2][1 << 18];
    uint64_t offset = 0;
    while (offset < t->bytes) {
        const size_t n = t->bytes - offset < sizeof blocks[0] ? (size_t)(t->bytes - offset) : sizeof blocks[0];
        const char *path = d->a_path;
        st_error error;
        st_status status = st_read(d->a, t, offset, blocks[0], n, &error);
        if (status == ST_OK) {
            path = d->b_path;
            status = st_read(d->b, c->now, offset, blocks[1], n, &error);
        }
        if (status != ST_OK) {
            progress_end(bar);
            return trouble(path, &error);
        }
        compare_blocks(c, offset, blocks[0], blocks[1], n);
        offset += n, *done += n;
        if (progress_step(bar, *done, total)) return EXIT_TROUBLE; /* the system ends us */
    }
    return EXIT_SAME;
}

static int is_changed(const st_tensor *t, const change *c) {
    return c->now && (c->bytes || !is_same_kind(t, c->now));
}

static int compare(diff *d) {
    uint64_t done = 0, total = 0;
    progress bar;
    size_t i;
    int code = EXIT_SAME;
    d->added = d->b->count;
    for (i = 0; i < d->a->count; i++) {
        const st_tensor *t = &d->a->tensors[i], *now = st_find_n(d->b, t->name, t->name_bytes);
        d->changes[i].now = now;
        if (!now) {
            d->removed++;
            continue;
        }
        d->is_old[now - d->b->tensors] = 1;
        d->added--;
        if (is_same_kind(t, now)) total += t->bytes;
    }
    progress_begin(&bar);
    for (i = 0; code == EXIT_SAME && i < d->a->count; i++) {
        const st_tensor *t = &d->a->tensors[i];
        change *c = &d->changes[i];
        if (!c->now) continue;
        if (is_same_kind(t, c->now)) code = compare_bytes(d, t, c, &done, total, &bar);
        if (is_changed(t, c)) {
            d->changed++;
        } else {
            d->same++;
        }
    }
    progress_end(&bar);
    return code;
}

/* ---- for a person ----------------------------------------------------------------------------------------- */

static void put_kind(const st_tensor *t) {
    put_text(stdout, t->dtype_name, strlen(t->dtype_name));
    putc(' ', stdout);
    put_shape(stdout, t);
}

static void put_tensor(const char *colour, char sign, const diff *d, const st_tensor *t) {
    printf("%s%c%s ", colour, sign, d->paint->off);
    put_text(stdout, t->name, t->name_bytes);
    fputs("  ", stdout);
    put_kind(t);
}

static void put_change(const diff *d, const st_tensor *t, const change *c) {
    put_tensor(d->paint->strong, '~', d, t);
    if (is_same_kind(t, c->now)) {
        fputs("  ", stdout);
        put_number(stdout, c->bytes);
        fputs(" of ", stdout);
        put_number(stdout, t->bytes);
        fputs(t->bytes == 1 ? " byte differs, at " : " bytes differ, from ", stdout);
        put_number(stdout, c->first);
    } else {
        fputs(" -> ", stdout);
        put_kind(c->now);
    }
    end_line();
}

static void put_tensors(const diff *d) {
    size_t i;
    for (i = 0; i < d->a->count; i++) {
        const st_tensor *t = &d->a->tensors[i];
        if (!d->changes[i].now) {
            put_tensor(d->paint->bad, '-', d, t);
            end_line();
        } else if (is_changed(t, &d->changes[i])) {
            put_change(d, t, &d->changes[i]);
        }
    }
    for (i = 0; i < d->b->count; i++) {
        if (d->is_old[i]) continue;
        put_tensor(d->paint->good, '+', d, &d->b->tensors[i]);
        end_line();
    }
}

enum { SHOWN_KEY = 64, SHOWN_VALUE = 128 };

static void put_value(const st_pair *pair) {
    put_shortened(stdout, pair->value, pair->value_bytes, SHOWN_VALUE);
}

static void put_pair(void *user, const st_pair *a, const st_pair *b) {
    diff *d = (diff *)user;
    const st_pair *any = a ? a : b;
    d->metadata_changes++;
    if (d->json) return;
    printf("%s%c%s metadata ",
           a && b ? d->paint->strong
           : a    ? d->paint->bad
                  : d->paint->good,
           a && b ? '~'
           : a    ? '-'
                  : '+',
           d->paint->off);
    put_shortened(stdout, any->key, any->key_bytes, SHOWN_KEY);
    fputs(": ", stdout);
    put_value(any);
    if (a && b) {
        fputs(" -> ", stdout);
        put_value(b);
    }
    end_line();
}

static void put_some(const char **before, uint64_t number, const char *what) {
    if (!number) return;
    fputs(*before, stdout);
    put_number(stdout, number);
    fputs(what, stdout);
    *before = ", ";
}

static void put_sum(const diff *d) {
    const char *before = d->paint->strong;
    put_some(&before, d->removed, " removed");
    put_some(&before, d->added, " added");
    put_some(&before, d->changed, " changed");
    put_some(&before, d->metadata_changes, " in metadata");
    fputs(before, stdout);
    put_number(stdout, d->same);
    fputs(d->same == 1 ? " tensor is the same" : " tensors are the same", stdout);
    fputs(d->paint->off, stdout);
    end_line();
}

/* ---- for a program ---------------------------------------------------------------------------------------- */

static void put_kind_json(const st_tensor *t) {
    fputs("\"dtype\":", stdout);
    put_json(stdout, t->dtype_name, strlen(t->dtype_name));
    fputs(",\"shape\":", stdout);
    put_shape(stdout, t);
}

static void begin_tensor_json(const char **comma, const st_tensor *t) {
    fputs(*comma, stdout);
    *comma = ",";
    end_line();
    fputs("{\"name\":", stdout);
    put_json(stdout, t->name, t->name_bytes);
    putc(',', stdout);
    put_kind_json(t);
}

static void put_change_json(const char **comma, const st_tensor *t, const change *c) {
    begin_tensor_json(comma, t);
    fputs(",\"now\":{", stdout);
    put_kind_json(c->now);
    fputs("},\"bytes\":", stdout);
    if (is_same_kind(t, c->now)) {
        put_number(stdout, c->bytes);
        fputs(",\"first\":", stdout);
        put_number(stdout, c->first);
    } else {
        fputs("null,\"first\":null", stdout);
    }
    putc('}', stdout);
}

static void put_diff_json(const diff *d) {
    const char *comma = "";
    size_t i;
    fputs("{\"removed\":[", stdout);
    for (i = 0; i < d->a->count; i++) {
        if (d->changes[i].now) continue;
        begin_tensor_json(&comma, &d->a->tensors[i]);
        putc('}', stdout);
    }
    fputs("],\"added\":[", stdout);
    for (comma = "", i = 0; i < d->b->count; i++) {
        if (d->is_old[i]) continue;
        begin_tensor_json(&comma, &d->b->tensors[i]);
        putc('}', stdout);
    }
    fputs("],\"changed\":[", stdout);
    for (comma = "", i = 0; i < d->a->count; i++) {
        if (is_changed(&d->a->tensors[i], &d->changes[i])) put_change_json(&comma, &d->a->tensors[i], &d->changes[i]);
    }
    fputs("],\"same\":", stdout);
    put_number(stdout, d->same);
    fputs(",\"metadata\":", stdout);
    if (d->metadata) {
        put_number(stdout, d->metadata_changes);
    } else {
        fputs("null", stdout);
    }
    putc('}', stdout);
    end_line();
}

/* ---- the command ------------------------------------------------------------------------------------------ */

static int diff_models(diff *d) {
    const st_model *a = d->a, *b = d->b;
    int code;
    d->changes = (change *)calloc(a->count + 1, sizeof *d->changes);
    d->is_old = (unsigned char *)calloc(b->count + 1, 1);
    if (!d->changes || !d->is_old) return out_of_memory("diff"), EXIT_TROUBLE;
    code = compare(d);
    if (code != EXIT_SAME) return code;
    if (!d->json) put_tensors(d);
    if (d->metadata && !compare_pairs(a->metadata, a->metadata_count, b->metadata, b->metadata_count, put_pair, d)) {
        return out_of_memory("diff"), EXIT_TROUBLE;
    }
    if (d->json) {
        put_diff_json(d);
    } else {
        put_sum(d);
    }
    return d->removed || d->added || d->changed || d->metadata_changes ? EXIT_DIFFERS : EXIT_SAME;
}

int command_diff(int argc, char **argv) {
    const colours paint = system_colours(stdout);
    const st_options how = opening_to_copy();
    diff d;
    const option options[] = {{"--metadata", &d.metadata, NULL}, {"--json", &d.json, NULL}};
    st_error error;
    int code, words;
    memset(&d, 0, sizeof d);
    words = take_options("diff", options, 2, argc, argv);
    if (words < 0) return EXIT_USAGE;
    if (words != 2) {
        begin_complaint("diff");
        fputs(words < 2 ? "it takes two, A and B" : "it takes only two, A and B", stderr);
        return usage_hint("diff");
    }
    d.paint = &paint;
    d.a_path = argv[0], d.b_path = argv[1];
    system_watch_interrupts();
    if (open_model(&d.a, d.a_path, &how, &error) != ST_OK) return trouble(d.a_path, &error);
    if (open_model(&d.b, d.b_path, &how, &error) == ST_OK) {
        code = diff_models(&d);
        st_close(d.b);
    } else {
        code = trouble(d.b_path, &error);
    }
    st_close(d.a);
    free(d.changes);
    free(d.is_old);
    fflush(stdout);
    return output_failed() ? EXIT_TROUBLE : code;
}
