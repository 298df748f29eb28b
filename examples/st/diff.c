/* diff.c: compares two models, in whatever files they are. */
#include "st.h"
#include <stdlib.h>
#include <string.h>

enum { EXIT_SAME = 0, EXIT_DIFFERS = 1, EXIT_TROUBLE = 2 }; /* as diff and cmp */

typedef struct change {    /* of a tensor of A */
    const st_tensor *now;  /* the tensor of the same name in B, or NULL */
    uint64_t bytes, first; /* number of bytes that differ, offset of the first; only if dtype and shape are the same */
    double largest;        /* difference of two numbers, NaN if one of them is NaN; only if the shape is the same */
    uint64_t position;     /* index of that number */
} change;

typedef struct diff {
    int json, metadata;
    const char *a_path, *b_path;
    st_model *a, *b;
    change *changes;     /* one for each tensor of A */
    unsigned char *in_a; /* for each tensor of B, whether A has it */
    uint64_t removed, added, changed, same, metadata_changes;
    const colours *colour;
} diff;

/* ---- comparing ---------------------------------------------------------------------------------------------- */

static int is_same_shape(const st_tensor *a, const st_tensor *b) {
    size_t i;
    if (a->rank != b->rank) return 0;
    for (i = 0; i < a->rank; i++) {
        if (a->shape[i] != b->shape[i]) return 0;
    }
    return 1;
}

static int is_same_kind(const st_tensor *a, const st_tensor *b) {
    return strcmp(a->dtype_name, b->dtype_name) == 0 && a->bytes == b->bytes && is_same_shape(a, b);
}

/* Returns 1 if the numbers of two tensors can be compared one by one. */
static int has_difference(const st_tensor *a, const st_tensor *b) {
    return has_numbers(a) && has_numbers(b) && is_same_shape(a, b) && number_count(a) == number_count(b);
}

static void compare_numbers(change *c, uint64_t first, const double *a, const double *b, size_t n) {
    size_t i;
    for (i = 0; i < n && !is_nan(c->largest); i++) {
        double difference = a[i] > b[i] ? a[i] - b[i] : b[i] - a[i];
        if (a[i] == b[i] || (is_nan(a[i]) && is_nan(b[i]))) continue; /* inf - inf is NaN */
        if (difference <= c->largest) continue;
        c->largest = difference;
        c->position = first + i;
    }
}

/* Compares the numbers [first, end) of both tensors. */
static st_status compare_range(const diff *d, const st_tensor *t, change *c, uint64_t first, uint64_t end,
                               const char **path, st_error *error) {
    enum { COUNT = 1 << 14 };
    static double numbers[2][COUNT];
    while (first < end) {
        const size_t n = end - first < COUNT ? (size_t)(end - first) : (size_t)COUNT;
        *path = d->a_path;
        if (read_numbers(d->a, t, first, n, ST_DTYPE_F64, numbers[0], error) != ST_OK) return error->status;
        *path = d->b_path;
        if (read_numbers(d->b, c->now, first, n, ST_DTYPE_F64, numbers[1], error) != ST_OK) return error->status;
        compare_numbers(c, first, numbers[0], numbers[1], n);
        first += n;
    }
    return ST_OK;
}

static int compare_blocks(change *c, uint64_t offset, const unsigned char *a, const unsigned char *b, size_t n) {
    size_t i;
    if (memcmp(a, b, n) == 0) return 0;
    for (i = 0; i < n; i++) {
        if (a[i] == b[i]) continue;
        if (c->bytes++ == 0) c->first = offset + i;
    }
    return 1;
}

/* Compares the numbers in the bytes [offset, offset + n), which are whole numbers. */
static st_status compare_numbers_in(const diff *d, const st_tensor *t, change *c, uint64_t offset, size_t n,
                                    const char **path, st_error *error) {
    const unsigned bits = t->dtype == ST_DTYPE_C64 ? 32 : st_dtype_bits(t->dtype);
    const uint64_t first = bits < 8 ? offset / bits * 8 : offset / (bits / 8);
    return compare_range(d, t, c, first, first + (uint64_t)n * 8 / bits, path, error);
}

enum { BLOCK = 3 << 16 }; /* bytes: whole numbers of every dtype, including those of 6 bits */

/* Compares two tensors of the same dtype and shape. Reads numbers only in blocks whose bytes differ. */
static st_status compare_bytes(const diff *d, const st_tensor *t, change *c, uint64_t *done, uint64_t total,
                               progress *bar, const char **path, st_error *error) {
    static unsigned char blocks[2][BLOCK];
    const int numbers = has_numbers(t);
    uint64_t offset = 0;
    while (offset < t->bytes) {
        const size_t n = t->bytes - offset < BLOCK ? (size_t)(t->bytes - offset) : (size_t)BLOCK;
        *path = d->a_path;
        if (st_read(d->a, t, offset, blocks[0], n, error) != ST_OK) return error->status;
        *path = d->b_path;
        if (st_read(d->b, c->now, offset, blocks[1], n, error) != ST_OK) return error->status;
        if (compare_blocks(c, offset, blocks[0], blocks[1], n) && numbers &&
            compare_numbers_in(d, t, c, offset, n, path, error) != ST_OK) {
            return error->status;
        }
        offset += n, *done += n;
        if (progress_step(bar, *done, total)) return error->status = ST_ERR_CANCELLED;
    }
    return ST_OK;
}

/* Compares the numbers of two tensors of different dtypes. */
static st_status compare_values(const diff *d, const st_tensor *t, change *c, uint64_t *done, uint64_t total,
                                progress *bar, const char **path, st_error *error) {
    const uint64_t total_numbers = number_count(t);
    uint64_t first = 0;
    while (first < total_numbers) {
        const uint64_t end = total_numbers - first < BLOCK ? total_numbers : first + BLOCK;
        if (compare_range(d, t, c, first, end, path, error) != ST_OK) return error->status;
        if (progress_step(bar, *done + (uint64_t)((double)t->bytes * (double)end / (double)total_numbers), total)) {
            return error->status = ST_ERR_CANCELLED;
        }
        first = end;
    }
    *done += t->bytes;
    return ST_OK;
}

static st_status compare_tensor(const diff *d, const st_tensor *t, change *c, uint64_t *done, uint64_t total,
                                progress *bar, const char **path, st_error *error) {
    if (is_same_kind(t, c->now)) return compare_bytes(d, t, c, done, total, bar, path, error);
    if (has_difference(t, c->now)) return compare_values(d, t, c, done, total, bar, path, error);
    return ST_OK;
}

static int is_changed(const st_tensor *t, const change *c) {
    return c->now && (c->bytes || !is_same_kind(t, c->now));
}

/* Finds the tensor of B for each tensor of A. Returns the number of bytes of A to compare. */
static uint64_t match(diff *d) {
    uint64_t total = 0;
    size_t i;
    d->added = d->b->count;
    for (i = 0; i < d->a->count; i++) {
        const st_tensor *t = &d->a->tensors[i], *now = st_find_n(d->b, t->name, t->name_bytes);
        d->changes[i].now = now;
        if (!now) {
            d->removed++;
            continue;
        }
        d->in_a[now - d->b->tensors] = 1;
        d->added--;
        if (is_same_kind(t, now) || has_difference(t, now)) total += t->bytes;
    }
    return total;
}

static int compare(diff *d) {
    const uint64_t total = match(d);
    uint64_t done = 0;
    const char *path = NULL;
    st_error error;
    progress bar;
    size_t i;
    error.status = ST_OK;
    progress_begin(&bar);
    system_watch_interrupts();
    for (i = 0; error.status == ST_OK && i < d->a->count; i++) {
        change *c = &d->changes[i];
        if (!c->now) continue;
        compare_tensor(d, &d->a->tensors[i], c, &done, total, &bar, &path, &error);
        if (is_changed(&d->a->tensors[i], c)) {
            d->changed++;
        } else {
            d->same++;
        }
    }
    progress_end(&bar);
    system_stop_watching();
    if (error.status != ST_OK) report_read(path == d->a_path ? d->a : d->b, path, &error);
    return error.status == ST_OK ? EXIT_SAME : EXIT_TROUBLE;
}

/* ---- text output -------------------------------------------------------------------------------------------- */

static void put_kind(const st_tensor *t) {
    put_text(stdout, t->dtype_name, strlen(t->dtype_name));
    putc(' ', stdout);
    put_shape(stdout, t);
}

static void put_tensor(const char *colour, char sign, const diff *d, const st_tensor *t) {
    printf("%s%c%s ", colour, sign, d->colour->off);
    put_text(stdout, t->name, t->name_bytes);
    fputs("  ", stdout);
    put_kind(t);
}

/* Writes the indices of a number: [i,j]. No dimension is 0. */
static void put_position(const st_tensor *t, uint64_t position) {
    const uint64_t element = t->dtype == ST_DTYPE_C64 ? position / 2 : position;
    uint64_t stride = t->elements; /* elements from one index of the previous dimension to the next */
    uint32_t i;
    putc('[', stdout);
    for (i = 0; i < t->rank; i++) {
        const uint64_t rest = element % stride;
        stride /= t->shape[i];
        if (i) putc(',', stdout);
        put_number(stdout, rest / stride);
    }
    putc(']', stdout);
}

static void put_largest(const st_tensor *t, const change *c) {
    if (!has_difference(t, c->now) || t->elements == 0) return;
    if (c->largest == 0) {
        fputs(", the same numbers", stdout);
        return;
    }
    fputs(", up to ", stdout);
    put_double(stdout, c->largest, 6);
    fputs(" at ", stdout);
    put_position(t, c->position);
}

static void put_change(const diff *d, const st_tensor *t, const change *c) {
    put_tensor(d->colour->strong, '~', d, t);
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
    put_largest(t, c);
    end_line();
}

static void put_tensors(const diff *d) {
    size_t i;
    for (i = 0; i < d->a->count; i++) {
        const st_tensor *t = &d->a->tensors[i];
        if (!d->changes[i].now) {
            put_tensor(d->colour->bad, '-', d, t);
            end_line();
        } else if (is_changed(t, &d->changes[i])) {
            put_change(d, t, &d->changes[i]);
        }
    }
    for (i = 0; i < d->b->count; i++) {
        if (d->in_a[i]) continue;
        put_tensor(d->colour->good, '+', d, &d->b->tensors[i]);
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
           a && b ? d->colour->strong
           : a    ? d->colour->bad
                  : d->colour->good,
           a && b ? '~'
           : a    ? '-'
                  : '+',
           d->colour->off);
    put_shortened(stdout, any->key, any->key_bytes, SHOWN_KEY);
    fputs(": ", stdout);
    put_value(any);
    if (a && b) {
        fputs(" -> ", stdout);
        put_value(b);
    }
    end_line();
}

static void put_total(const char **before, uint64_t number, const char *text) {
    if (!number) return;
    fputs(*before, stdout);
    put_number(stdout, number);
    fputs(text, stdout);
    *before = ", ";
}

static void put_sum(const diff *d) {
    const char *before = d->colour->strong;
    put_total(&before, d->removed, " removed");
    put_total(&before, d->added, " added");
    put_total(&before, d->changed, " changed");
    put_total(&before, d->metadata_changes, " in metadata");
    fputs(before, stdout);
    put_number(stdout, d->same);
    fputs(d->same == 1 ? " tensor is the same" : " tensors are the same", stdout);
    fputs(d->colour->off, stdout);
    end_line();
}

/* ---- JSON output -------------------------------------------------------------------------------------------- */

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

static void put_double_json(double number) { /* NaN and infinity become strings, as JSON lacks them */
    const int finite = is_finite(number);
    if (!finite) putc('"', stdout);
    put_double(stdout, number, 17);
    if (!finite) putc('"', stdout);
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
    fputs(",\"largest\":", stdout);
    if (has_difference(t, c->now) && t->elements) {
        put_double_json(c->largest);
        fputs(",\"at\":", stdout);
        put_position(t, c->position);
    } else {
        fputs("null,\"at\":null", stdout);
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
        if (d->in_a[i]) continue;
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
    d->in_a = (unsigned char *)calloc(b->count + 1, 1);
    if (!d->changes || !d->in_a) return out_of_memory("diff"), EXIT_TROUBLE;
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
    const colours colour = system_colours(stdout);
    const st_open_options open_options = copy_open_options();
    diff d;
    const option options[] = {{"--metadata", &d.metadata, NULL}, {"--json", &d.json, NULL}};
    st_error error;
    int code = EXIT_TROUBLE, words;
    memset(&d, 0, sizeof d);
    words = parse_options("diff", options, 2, argc, argv);
    if (words < 0) return EXIT_USAGE;
    if (words != 2) {
        begin_message("diff");
        fputs(words < 2 ? "expected two models, A and B" : "too many arguments: expected A and B", stderr);
        return usage_hint("diff");
    }
    d.colour = &colour;
    d.a_path = argv[0], d.b_path = argv[1];
    if (open_model(&d.a, d.a_path, &open_options, &error) != ST_OK) {
        report(d.a_path, &error);
    } else if (open_model(&d.b, d.b_path, &open_options, &error) != ST_OK) {
        report(d.b_path, &error);
    } else {
        code = diff_models(&d);
    }
    st_close(d.b);
    st_close(d.a);
    free(d.changes);
    free(d.in_a);
    fflush(stdout);
    return output_failed() ? EXIT_TROUBLE : code;
}
