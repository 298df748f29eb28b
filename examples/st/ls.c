/* ls.c: lists the tensors of a model. */
#include "st.h"
#include <stdlib.h>
#include <string.h>

/* ---- text output -------------------------------------------------------------------------------------------- */

/* Metadata can be megabytes of training logs. This much shows what it is; --json prints all of it. */
enum { SHOWN_PAIRS = 20, SHOWN_KEY = 64, SHOWN_VALUE = 128 };

typedef struct listing {
    const st_model *model;
    const st_tensor **tensors; /* those that --match selects, in the order of --sort */
    size_t count;
    int json, tree, by_file; /* by_file: in file order */
    const char *sort;
    globs match;
} listing;

static void put_pairs(const char *title, const st_pair *pairs, size_t count, const colours *colour) {
    size_t i;
    if (!pairs) return;
    printf("%s%s%s", colour->strong, title, colour->off);
    if (count == 0) fputs(": empty", stdout);
    end_line();
    for (i = 0; i < count && i < SHOWN_PAIRS; i++) {
        fputs("  ", stdout);
        put_shortened(stdout, pairs[i].key, pairs[i].key_bytes, SHOWN_KEY);
        printf("%s:%s ", colour->faint, colour->off);
        put_shortened(stdout, pairs[i].value, pairs[i].value_bytes, SHOWN_VALUE);
        end_line();
    }
    if (i < count) {
        fputs("  and ", stdout);
        put_number(stdout, count - i);
        fputs(" more (use --json to print all)", stdout);
        end_line();
    }
    end_line();
}

static size_t numbers_width(const uint64_t *numbers, uint32_t rank) {
    size_t width = rank ? 1 + (size_t)rank : 2; /* brackets and commas */
    uint32_t i;
    for (i = 0; i < rank; i++) width += number_width(numbers[i]);
    return width;
}

static size_t shape_width(const st_tensor *t) {
    return numbers_width(t->shape, t->rank);
}

static void put_numbers(const uint64_t *numbers, uint32_t rank) {
    uint32_t i;
    putc('[', stdout);
    for (i = 0; i < rank; i++) {
        if (i) putc(',', stdout);
        put_number(stdout, numbers[i]);
    }
    putc(']', stdout);
}

typedef struct columns {
    size_t name, dtype, shape, bytes, offset;
} columns;

static void widen(size_t *column, size_t width) {
    if (width > MAX_COLUMN) width = MAX_COLUMN;
    if (width > *column) *column = width;
}

static const char piece_indent[] = "  at ";
enum { PIECE_INDENT = sizeof piece_indent - 1 };

/* The place of a tensor in st_model.tensors, by which find_piece knows it. */
static size_t number_of(const listing *l, const st_tensor *t) {
    return (size_t)(t - l->model->tensors);
}

static columns measure(const listing *l) {
    columns c = {4, 5, 5, 5, 6}; /* the widths of the headings */
    piece_info piece;
    size_t i, k;
    for (i = 0; i < l->count; i++) {
        const st_tensor *t = l->tensors[i];
        widen(&c.name, text_width(t->name, t->name_bytes));
        widen(&c.dtype, text_width(t->dtype_name, strlen(t->dtype_name)));
        widen(&c.shape, shape_width(t));
        widen(&c.bytes, number_width(t->bytes));
        if (!virtual_of(l->model)) widen(&c.offset, number_width(t->offset));
        for (k = 0; find_piece(l->model, number_of(l, t), k, &piece); k++) {
            widen(&c.name, PIECE_INDENT + numbers_width(piece.offsets, t->rank));
            widen(&c.shape, numbers_width(piece.shape, t->rank));
            widen(&c.offset, number_width(piece.offset));
        }
    }
    return c;
}

static void pad(size_t column, size_t width) {
    put_spaces(stdout, width < column ? column - width : 0);
}

static void put_right(uint64_t number, size_t column) {
    pad(column, number_width(number));
    put_number(stdout, number);
}

static void put_gap(void) {
    fputs("  ", stdout);
}

static void put_tensor(const st_tensor *t, int has_offset, const columns *c, const colours *colour) {
    put_text(stdout, t->name, t->name_bytes);
    pad(c->name, text_width(t->name, t->name_bytes));
    put_gap();
    fputs(colour->good, stdout);
    put_text(stdout, t->dtype_name, strlen(t->dtype_name));
    fputs(colour->off, stdout);
    pad(c->dtype, text_width(t->dtype_name, strlen(t->dtype_name)));
    put_gap();
    put_shape(stdout, t);
    pad(c->shape, shape_width(t));
    put_gap();
    put_right(t->bytes, c->bytes);
    if (has_offset) {
        put_gap();
        put_right(t->offset, c->offset);
    }
    end_line();
}

/* Writes a line for each piece of a tensor: offsets in the whole, shape, bytes, offset in the file, file. */
static void put_tensor_pieces(const listing *l, const st_tensor *t, const columns *c, const colours *colour) {
    piece_info piece;
    size_t k;
    for (k = 0; find_piece(l->model, number_of(l, t), k, &piece); k++) {
        fputs(colour->faint, stdout);
        fputs(piece_indent, stdout);
        put_numbers(piece.offsets, t->rank);
        pad(c->name, PIECE_INDENT + numbers_width(piece.offsets, t->rank));
        put_gap();
        put_spaces(stdout, c->dtype);
        put_gap();
        put_numbers(piece.shape, t->rank);
        pad(c->shape, numbers_width(piece.shape, t->rank));
        put_gap();
        put_right(piece.bytes, c->bytes);
        put_gap();
        put_right(piece.offset, c->offset);
        put_gap();
        put_string(stdout, piece.file->path);
        fputs(colour->off, stdout);
        end_line();
    }
}

static void put_tensors(const listing *l, const colours *colour) {
    const st_model *model = l->model;
    const columns c = measure(l);
    size_t i;
    printf("%s%-*s  %-*s  %-*s  %*s  %*s%s", colour->strong, (int)c.name, "name", (int)c.dtype, "dtype", (int)c.shape,
           "shape", (int)c.bytes, "bytes", (int)c.offset, "offset", colour->off);
    end_line();
    for (i = 0; i < l->count; i++) {
        const st_tensor *t = l->tensors[i];
        if (l->by_file && model->shard_count > 1 && (i == 0 || t->shard != l->tensors[i - 1]->shard)) {
            const char *path = model->shards[t->shard].path;
            fputs(colour->faint, stdout);
            put_text(stdout, path, strlen(path));
            printf(":%s", colour->off);
            end_line();
        }
        put_tensor(t, !virtual_of(model), &c, colour);
        put_tensor_pieces(l, t, &c, colour);
    }
    end_line();
}

/* The columns are as wide as those of `widest`. */
static void put_total(const char *name, const tensor_totals *sum, const tensor_totals *widest) {
    printf("%-11s  ", name); /* the longest name is F8_E4M3FNUZ */
    put_right(sum->tensors, number_width(widest->tensors));
    fputs(sum->tensors == 1 ? " tensor   " : " tensors  ", stdout);
    put_right(sum->elements, number_width(widest->elements));
    fputs(sum->elements == 1 ? " element   " : " elements  ", stdout);
    put_right(sum->bytes, number_width(widest->bytes));
    fputs(sum->bytes == 1 ? " byte" : " bytes", stdout);
}

static void put_readable_size(uint64_t bytes) {
    char text[READABLE_SIZE];
    if (bytes >= 1024) printf(" (%s)", readable_size(bytes, text));
}

static tensor_totals total_of(const listing *l) {
    tensor_totals sum = {0, 0, 0};
    size_t i;
    for (i = 0; i < l->count; i++) {
        sum.tensors++;
        sum.elements += l->tensors[i]->elements;
        sum.bytes += l->tensors[i]->bytes;
    }
    return sum;
}

static void put_totals(const listing *l, const colours *colour) {
    enum { DTYPES = ST_DTYPE_U64 + 1 };
    const tensor_totals overall = total_of(l);
    tensor_totals by_dtype[DTYPES];
    size_t i;
    memset(by_dtype, 0, sizeof by_dtype);
    for (i = 0; i < l->count; i++) {
        const st_tensor *t = l->tensors[i];
        tensor_totals *sum = &by_dtype[(unsigned)t->dtype < DTYPES ? t->dtype : ST_DTYPE_UNKNOWN];
        sum->tensors++;
        sum->elements += t->elements;
        sum->bytes += t->bytes;
    }
    for (i = 0; i < DTYPES; i++) {
        if (by_dtype[i].tensors == 0) continue;
        put_total(i == ST_DTYPE_UNKNOWN ? "other" : st_dtype_name((st_dtype)i), &by_dtype[i], &overall);
        end_line();
    }
    fputs(colour->strong, stdout);
    put_total("total", &overall, &overall);
    put_readable_size(overall.bytes);
    put_file_count(l->model);
    fputs(colour->off, stdout);
    end_line();
}

/* ---- JSON output -------------------------------------------------------------------------------------------- */

static void put_shard_json(const st_shard *shard) {
    fputs("{\"path\":", stdout);
    put_json(stdout, shard->path, strlen(shard->path));
    fputs(",\"file_bytes\":", stdout);
    put_number(stdout, shard->file_bytes);
    fputs(",\"data_offset\":", stdout);
    put_number(stdout, shard->data_offset);
    fputs(",\"metadata\":", stdout);
    put_pairs_json(stdout, shard->metadata, shard->metadata_count, 0);
    putc('}', stdout);
}

static void put_pieces_json(const listing *l, const st_tensor *t) {
    piece_info piece;
    size_t k;
    for (k = 0; find_piece(l->model, number_of(l, t), k, &piece); k++) {
        fputs(k ? ",{\"saved_offsets\":" : "{\"saved_offsets\":", stdout);
        put_numbers(piece.offsets, t->rank);
        fputs(",\"shape\":", stdout);
        put_numbers(piece.shape, t->rank);
        fputs(",\"bytes\":", stdout);
        put_number(stdout, piece.bytes);
        fputs(",\"offset\":", stdout);
        put_number(stdout, piece.offset);
        fputs(",\"shard\":", stdout);
        put_number(stdout, piece.file_number);
        putc('}', stdout);
    }
}

static void put_tensor_json(const listing *l, const st_tensor *t) {
    fputs("{\"name\":", stdout);
    put_json(stdout, t->name, t->name_bytes);
    fputs(",\"dtype\":", stdout);
    put_json(stdout, t->dtype_name, strlen(t->dtype_name));
    fputs(",\"shape\":", stdout);
    put_shape(stdout, t);
    fputs(",\"bytes\":", stdout);
    put_number(stdout, t->bytes);
    if (virtual_of(l->model)) {
        fputs(",\"pieces\":[", stdout);
        put_pieces_json(l, t);
        fputs("]}", stdout);
        return;
    }
    fputs(",\"offset\":", stdout);
    put_number(stdout, t->offset);
    fputs(",\"shard\":", stdout);
    put_number(stdout, t->shard);
    putc('}', stdout);
}

/* faults: NULL, or a damaged file's */
static void put_model_json(const listing *l, const lenient *faults) {
    const st_model *model = l->model;
    size_t i, file_count;
    const st_shard *files = files_of(model, &file_count);
    fputs("{\"metadata\":", stdout);
    put_pairs_json(stdout, model->metadata, model->metadata_count, 0);
    fputs(",\"index\":", stdout);
    put_pairs_json(stdout, model->index, model->index_count, 1);
    fputs(",\"shards\":[", stdout);
    for (i = 0; i < file_count; i++) {
        if (i) putc(',', stdout);
        end_line();
        put_shard_json(&files[i]);
    }
    fputs("],\"tensors\":[", stdout);
    for (i = 0; i < l->count; i++) {
        if (i) putc(',', stdout);
        end_line();
        put_tensor_json(l, l->tensors[i]);
    }
    putc(']', stdout);
    if (faults) {
        fputs(",\"faults\":", stdout);
        put_faults_json(faults);
    }
    putc('}', stdout);
    end_line();
}

/* ---- selecting and sorting ---------------------------------------------------------------------------------- */

static int by_place(const st_tensor *a, const st_tensor *b) { /* both are of st_model.tensors */
    return a < b ? -1 : a > b;
}

static int by_size(const void *x, const void *y) {
    const st_tensor *a = *(const st_tensor *const *)x, *b = *(const st_tensor *const *)y;
    return a->bytes > b->bytes ? -1 : a->bytes < b->bytes ? 1 : by_place(a, b);
}

static int by_name(const void *x, const void *y) {
    const st_tensor *a = *(const st_tensor *const *)x, *b = *(const st_tensor *const *)y;
    return compare_text(a->name, a->name_bytes, b->name, b->name_bytes);
}

static int list_tensors(listing *l, const char *path) {
    size_t i;
    l->tensors = (const st_tensor **)calloc(l->model->count + 1, sizeof *l->tensors);
    if (!l->tensors) return out_of_memory("ls");
    for (i = 0; i < l->model->count; i++) {
        const st_tensor *t = &l->model->tensors[i];
        if (l->match.count == 0 || matches_any(&l->match, t)) l->tensors[l->count++] = t;
    }
    l->by_file = !l->sort || strcmp(l->sort, "offset") == 0;
    if (!l->by_file) {
        qsort((void *)l->tensors, l->count, sizeof *l->tensors, strcmp(l->sort, "size") == 0 ? by_size : by_name);
    }
    return check_globs_used(&l->match, l->model, path);
}

/* ---- the command ------------------------------------------------------------------------------------------ */

/* faults: NULL, or a damaged file's */
static void put_listing(const listing *l, const lenient *faults) {
    const colours colour = system_colours(stdout);
    const st_model *model = l->model;
    size_t file_count;
    files_of(model, &file_count);
    if (faults && faults->fault_count) {
        printf("%sfaults%s", colour.strong, colour.off);
        end_line();
        put_faults(stdout, faults, "  ", 0);
        end_line();
    }
    put_pairs(file_count > 1 ? "metadata of the first file" : "metadata", model->metadata, model->metadata_count,
              &colour);
    put_pairs("metadata of the index", model->index, model->index_count, &colour);
    if (l->count && l->tree) {
        const tensor_totals overall = total_of(l);
        put_tree(l->tensors, l->count, &overall, &colour);
    } else if (l->count) {
        put_tensors(l, &colour);
    }
    put_totals(l, &colour);
}

static int put_model(listing *l, const char *path, const lenient *faults) {
    const int code = list_tensors(l, path);
    if (code != EXIT_FINE) return code;
    if (l->json) {
        put_model_json(l, faults);
    } else {
        put_listing(l, faults);
    }
    return EXIT_FINE;
}

static int list_damaged(listing *l, const char *path) {
    lenient_file file;
    st_error error;
    int code;
    if (lenient_file_open(&file, path, &error) != ST_OK) {
        code = report_damaged(path, &file, &error);
    } else {
        l->model = &file.contents.model;
        code = put_model(l, path, &file.contents);
    }
    lenient_file_close(&file);
    return code;
}

static int run_ls(listing *l, int argc, char **argv) {
    int is_lenient = 0;
    const option options[] = {{"--json", &l->json, NULL},
                              {"--tree", &l->tree, NULL},
                              {"--match", &l->match.count, l->match.texts},
                              {"--sort", NULL, &l->sort},
                              {"--lenient", &is_lenient, NULL}};
    st_open_options open_options;
    st_model *model;
    st_error error;
    int code;
    const int paths = parse_options("ls", options, sizeof options / sizeof *options, argc, argv);
    if (paths < 0) return EXIT_USAGE;
    if (paths != 1) {
        begin_message("ls");
        fputs(paths ? "too many arguments: expected one MODEL" : "MODEL is missing", stderr);
        return usage_hint("ls");
    }
    if (l->sort && strcmp(l->sort, "size") != 0 && strcmp(l->sort, "name") != 0 && strcmp(l->sort, "offset") != 0) {
        return usage_error("ls", "--sort: expected size, name or offset, found ", l->sort);
    }
    if (l->tree && (l->json || l->sort)) {
        return usage_error("ls", "--tree cannot be combined with ", l->json ? "--json" : "--sort");
    }
    if (is_lenient) return list_damaged(l, argv[0]);
    memset(&open_options, 0, sizeof open_options);
    open_options.flags = ST_OPEN_NO_MAP; /* only headers are read */
    if (open_model(&model, argv[0], &open_options, &error) != ST_OK) return report(argv[0], &error);
    l->model = model;
    code = put_model(l, argv[0], NULL);
    st_close(model);
    return code;
}

int command_ls(int argc, char **argv) {
    listing l;
    int code;
    memset(&l, 0, sizeof l);
    code = allocate_globs(&l.match, argc) ? run_ls(&l, argc, argv) : out_of_memory("ls");
    free((void *)l.tensors);
    free_globs(&l.match);
    return code;
}
