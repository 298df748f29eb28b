/* ls.c: lists the tensors of a model. */
#include "st.h"
#include <string.h>

/* ---- text output -------------------------------------------------------------------------------------------- */

/* Metadata can be megabytes of training logs. This much shows what it is; --json prints all of it. */
enum { SHOWN_PAIRS = 20, SHOWN_KEY = 64, SHOWN_VALUE = 128 };
/* One long name must not push all other columns off the screen. It is printed in full and exceeds the column. */
enum { MAX_COLUMN = 120 };

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

static size_t shape_width(const st_tensor *t) {
    size_t width = t->rank ? 1 + (size_t)t->rank : 2; /* brackets and commas */
    uint32_t i;
    for (i = 0; i < t->rank; i++) width += number_width(t->shape[i]);
    return width;
}

typedef struct columns {
    size_t name, dtype, shape, bytes, offset;
} columns;

static void widen(size_t *column, size_t width) {
    if (width > MAX_COLUMN) width = MAX_COLUMN;
    if (width > *column) *column = width;
}

static columns measure(const st_model *model) {
    columns c = {4, 5, 5, 5, 6}; /* the widths of the headings */
    size_t i;
    for (i = 0; i < model->count; i++) {
        const st_tensor *t = &model->tensors[i];
        widen(&c.name, text_width(t->name, t->name_bytes));
        widen(&c.dtype, text_width(t->dtype_name, strlen(t->dtype_name)));
        widen(&c.shape, shape_width(t));
        widen(&c.bytes, number_width(t->bytes));
        widen(&c.offset, number_width(t->offset));
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

static void put_tensor(const st_tensor *t, const columns *c, const colours *colour) {
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
    put_gap();
    put_right(t->offset, c->offset);
    end_line();
}

static void put_tensors(const st_model *model, const colours *colour) {
    const columns c = measure(model);
    size_t i;
    printf("%s%-*s  %-*s  %-*s  %*s  %*s%s", colour->strong, (int)c.name, "name", (int)c.dtype, "dtype", (int)c.shape,
           "shape", (int)c.bytes, "bytes", (int)c.offset, "offset", colour->off);
    end_line();
    for (i = 0; i < model->count; i++) {
        const st_tensor *t = &model->tensors[i];
        if (model->shard_count > 1 && (i == 0 || t->shard != model->tensors[i - 1].shard)) {
            const char *path = model->shards[t->shard].path;
            fputs(colour->faint, stdout);
            put_text(stdout, path, strlen(path));
            printf(":%s", colour->off);
            end_line();
        }
        put_tensor(t, &c, colour);
    }
    end_line();
}

typedef struct total {
    uint64_t tensors, elements, bytes;
} total;

/* The columns are as wide as those of `widest`. */
static void put_total(const char *name, const total *sum, const total *widest) {
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

static void put_totals(const st_model *model, const colours *colour) {
    enum { DTYPES = ST_DTYPE_U64 + 1 };
    total by_dtype[DTYPES], overall;
    size_t i;
    memset(by_dtype, 0, sizeof by_dtype);
    memset(&overall, 0, sizeof overall);
    for (i = 0; i < model->count; i++) {
        const st_tensor *t = &model->tensors[i];
        total *sum = &by_dtype[(unsigned)t->dtype < DTYPES ? t->dtype : ST_DTYPE_UNKNOWN];
        sum->tensors++, overall.tensors++;
        sum->elements += t->elements, overall.elements += t->elements;
        sum->bytes += t->bytes, overall.bytes += t->bytes;
    }
    for (i = 0; i < DTYPES; i++) {
        if (by_dtype[i].tensors == 0) continue;
        put_total(i == ST_DTYPE_UNKNOWN ? "other" : st_dtype_name((st_dtype)i), &by_dtype[i], &overall);
        end_line();
    }
    fputs(colour->strong, stdout);
    put_total("total", &overall, &overall);
    put_readable_size(overall.bytes);
    if (model->shard_count > 1) {
        fputs(" in ", stdout);
        put_number(stdout, model->shard_count);
        fputs(" files", stdout);
    }
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

static void put_tensor_json(const st_tensor *t) {
    fputs("{\"name\":", stdout);
    put_json(stdout, t->name, t->name_bytes);
    fputs(",\"dtype\":", stdout);
    put_json(stdout, t->dtype_name, strlen(t->dtype_name));
    fputs(",\"shape\":", stdout);
    put_shape(stdout, t);
    fputs(",\"bytes\":", stdout);
    put_number(stdout, t->bytes);
    fputs(",\"offset\":", stdout);
    put_number(stdout, t->offset);
    fputs(",\"shard\":", stdout);
    put_number(stdout, t->shard);
    putc('}', stdout);
}

/* faults: NULL, or a damaged file's */
static void put_model_json(const st_model *model, const lenient *faults) {
    size_t i;
    fputs("{\"metadata\":", stdout);
    put_pairs_json(stdout, model->metadata, model->metadata_count, 0);
    fputs(",\"index\":", stdout);
    put_pairs_json(stdout, model->index, model->index_count, 1);
    fputs(",\"shards\":[", stdout);
    for (i = 0; i < model->shard_count; i++) {
        if (i) putc(',', stdout);
        end_line();
        put_shard_json(&model->shards[i]);
    }
    fputs("],\"tensors\":[", stdout);
    for (i = 0; i < model->count; i++) {
        if (i) putc(',', stdout);
        end_line();
        put_tensor_json(&model->tensors[i]);
    }
    putc(']', stdout);
    if (faults) {
        fputs(",\"faults\":", stdout);
        put_faults_json(faults);
    }
    putc('}', stdout);
    end_line();
}

/* ---- the command -------------------------------------------------------------------------------------------- */

static void put_model(const st_model *model, const lenient *faults) {
    const colours colour = system_colours(stdout);
    if (faults && faults->fault_count) {
        printf("%sfaults%s", colour.strong, colour.off);
        end_line();
        put_faults(stdout, faults, "  ", 0);
        end_line();
    }
    put_pairs(model->shard_count > 1 ? "metadata of the first file" : "metadata", model->metadata,
              model->metadata_count, &colour);
    put_pairs("metadata of the index", model->index, model->index_count, &colour);
    if (model->count) put_tensors(model, &colour);
    put_totals(model, &colour);
}

static int list_damaged(const char *path, int json) {
    lenient_file file;
    st_error error;
    int code = EXIT_FINE;
    if (lenient_file_open(&file, path, &error) != ST_OK) {
        code = report_damaged(path, &file, &error);
    } else if (json) {
        put_model_json(&file.contents.model, &file.contents);
    } else {
        put_model(&file.contents.model, &file.contents);
    }
    lenient_file_close(&file);
    return code;
}

int command_ls(int argc, char **argv) {
    int json = 0, is_lenient = 0, paths;
    const option options[] = {{"--json", &json, NULL}, {"--lenient", &is_lenient, NULL}};
    st_open_options open_options;
    st_model *model;
    st_error error;
    paths = parse_options("ls", options, 2, argc, argv);
    if (paths < 0) return EXIT_USAGE;
    if (paths != 1) {
        begin_message("ls");
        fputs(paths ? "too many arguments: expected one MODEL" : "MODEL is missing", stderr);
        return usage_hint("ls");
    }
    if (is_lenient) return list_damaged(argv[0], json);
    memset(&open_options, 0, sizeof open_options);
    open_options.flags = ST_OPEN_NO_MAP; /* only headers are read */
    if (open_model(&model, argv[0], &open_options, &error) != ST_OK) return report(argv[0], &error);
    if (json) {
        put_model_json(model, NULL);
    } else {
        put_model(model, NULL);
    }
    st_close(model);
    return EXIT_FINE;
}
