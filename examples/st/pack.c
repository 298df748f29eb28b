/* pack.c: writes a model from raw bytes with the streaming writer, which needs one block in memory at a time. */
#include "st.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

typedef struct source { /* a tensor and the file with its bytes */
    st_tensor tensor;
    uint64_t *shape; /* allocated; tensor.shape points to it */
    const char *file;
} source;

typedef struct pack {
    save_job saving;
    const char **pairs;
    int pair_count;
    source *sources;
    size_t count;
    st_writer *writer;
    uint64_t done, total;
} pack;

/* ---- NAME=DTYPE:SHAPE:FILE -------------------------------------------------------------------------------- */

/* Parses 2,3 or [2,3]; an empty text or [] is a scalar. shape needs room for one number more than there are commas. */
static int read_shape(const char *text, uint64_t *shape, uint32_t *rank) {
    const char *end = *text == '[' ? "]" : "";
    text += *text == '[';
    for (*rank = 0; strcmp(text, end) != 0; ++*rank) {
        if (*rank && *text++ != ',') return 0;
        if (!parse_digits(&text, &shape[*rank])) return 0;
    }
    return 1;
}

/* Splits an argument into its parts, in place. */
static int read_source(char *given, source *s) {
    char *dtype = strchr(given, '='), *shape = dtype ? strchr(dtype, ':') : NULL,
         *file = shape ? strchr(shape + 1, ':') : NULL;
    size_t dimensions = 1, i;
    if (!file || !file[1]) return usage_error("pack", "expected NAME=DTYPE:SHAPE:FILE, found ", given);
    *dtype++ = *shape++ = *file++ = 0;
    for (i = 0; shape[i]; i++) dimensions += shape[i] == ',';
    s->shape = (uint64_t *)calloc(dimensions, sizeof *s->shape);
    if (!s->shape) return out_of_memory("pack");
    s->tensor.name = given;
    s->tensor.name_bytes = strlen(given);
    s->tensor.shape = s->shape;
    s->file = file;
    if (parse_dtype("pack", dtype, &s->tensor.dtype) != EXIT_FINE) return EXIT_USAGE;
    if (!read_shape(shape, s->shape, &s->tensor.rank)) {
        return usage_error("pack", "expected a shape such as 2,3 or [2,3], or empty for a scalar, found ", shape);
    }
    return EXIT_FINE;
}

static int read_sources(pack *p, char **given) {
    int code, stdin_count = 0;
    size_t i;
    for (i = 0; i < p->count; i++) {
        code = read_source(given[i], &p->sources[i]);
        if (code != EXIT_FINE) return code;
        if (is_standard_input(p->sources[i].file) && stdin_count++) {
            return usage_error("pack", "standard input can be used for one tensor only, and is used again for ",
                               p->sources[i].tensor.name);
        }
    }
    return EXIT_FINE;
}

/* ---- bytes ------------------------------------------------------------------------------------------------ */

static FILE *open_source(pack *p, const source *s) {
    FILE *file = open_input(s->file);
    int code = errno;
    if (file || system_interrupted()) return file;
    progress_end(&p->saving.bar);
    report_input(s->file, "open", code);
    return NULL;
}

static int wrong_size(pack *p, const source *s, const char *verb, uint64_t bytes) {
    progress_end(&p->saving.bar);
    return report_size(s->file, verb, bytes, &s->tensor, s->tensor.bytes);
}

/* Checks the length before anything is written, if the system knows it. */
static int check_size(pack *p, const source *s) {
    uint64_t bytes = s->tensor.bytes;
    FILE *file;
    if (is_standard_input(s->file)) return EXIT_FINE;
    file = open_source(p, s);
    if (!file) return EXIT_FAILED;
    if (!system_file_bytes(file, &bytes)) bytes = s->tensor.bytes;
    fclose(file);
    return bytes == s->tensor.bytes ? EXIT_FINE : wrong_size(p, s, "has", bytes);
}

static int cannot_read(pack *p, const source *s, int code) {
    if (system_interrupted()) return EXIT_FAILED; /* the signal ended the read */
    progress_end(&p->saving.bar);
    return report_input(s->file, "read", code);
}

static int copy_bytes(pack *p, const source *s, FILE *file, const char *out) {
    static unsigned char block[1 << 20];
    uint64_t done = 0, bytes = s->tensor.bytes;
    st_error error;
    while (done < bytes) {
        size_t n = bytes - done < sizeof block ? (size_t)(bytes - done) : sizeof block,
               got = system_read(file, block, n);
        if (ferror(file)) return cannot_read(p, s, errno);
        if (got < n) return wrong_size(p, s, "ends after", done + got);
        if (st_writer_write(p->writer, block, n, &error) != ST_OK) return saving_end(&p->saving, out, &error);
        done += n, p->done += n;
        if (progress_step(&p->saving.bar, p->done, p->total)) return EXIT_FAILED;
    }
    if (system_read(file, block, 1)) return wrong_size(p, s, "continues after", bytes);
    return ferror(file) ? cannot_read(p, s, errno) : EXIT_FINE;
}

static int copy_source(pack *p, const source *s, const char *out) {
    FILE *file = open_source(p, s);
    int code;
    if (!file) return EXIT_FAILED;
    code = copy_bytes(p, s, file, out);
    if (file != stdin) fclose(file);
    return code;
}

/* ---- the command ------------------------------------------------------------------------------------------ */

static st_status declare(pack *p, st_error *error) {
    size_t i;
    int k;
    for (k = 0; k < p->pair_count; k++) {
        st_pair pair;
        memset(&pair, 0, sizeof pair);
        pair.value = strchr(p->pairs[k], '=') + 1;
        pair.key_bytes = (size_t)(pair.value - p->pairs[k]) - 1;
        pair.key = pair.key_bytes ? p->pairs[k] : ""; /* key_bytes 0 means NUL-terminated */
        if (st_writer_add_metadata(p->writer, &pair, error) != ST_OK) return error->status;
    }
    for (i = 0; i < p->count; i++) {
        st_tensor *t = &p->sources[i].tensor;
        uint64_t bits = st_dtype_bits(t->dtype);
        uint32_t d;
        if (st_writer_add(p->writer, t, error) != ST_OK) return error->status;
        for (d = 0; d < t->rank; d++) bits *= t->shape[d]; /* st_writer_add has checked for overflow */
        t->bytes = bits / 8;
    }
    return ST_OK;
}

static const source *source_of(const pack *p, const st_tensor *t) {
    size_t i = 0;
    while (strcmp(p->sources[i].tensor.name, t->name) != 0) i++; /* the writer returns only declared tensors */
    return &p->sources[i];
}

static int write_model(pack *p, const char *out) {
    const st_tensor *next;
    st_error error;
    size_t i;
    int code = EXIT_FINE;
    if (declare(p, &error) != ST_OK) return saving_end(&p->saving, out, &error);
    for (i = 0; code == EXIT_FINE && i < p->count; i++) code = check_size(p, &p->sources[i]);
    if (code != EXIT_FINE) return code;
    if (st_writer_begin(p->writer, &error) != ST_OK) return saving_end(&p->saving, out, &error);
    for (i = 0; code == EXIT_FINE && i < p->count; i++) {
        p->total += p->sources[i].tensor.bytes;
        if (p->sources[i].tensor.bytes == 0)
            code = copy_source(p, &p->sources[i], out); /* st_writer_next skips these */
    }
    while (code == EXIT_FINE && (next = st_writer_next(p->writer)) != NULL)
        code = copy_source(p, source_of(p, next), out);
    if (code != EXIT_FINE) return code;
    error.status = st_writer_finish(p->writer, &error);
    return saving_end(&p->saving, out, &error);
}

static int pack_model(pack *p, const char *out) {
    const char *path = out;
    st_error error;
    int code = saving_begin(&p->saving, out);
    if (code != EXIT_FINE) return code;
    p->saving.options.progress = NULL; /* copy_bytes reports it */
    if (saving_open(&p->saving, &path, &error) != ST_OK ||
        st_writer_open(&p->writer, path, &p->saving.options, &error) != ST_OK)
        return saving_end(&p->saving, out, &error);
    code = write_model(p, out);
    st_writer_close(p->writer);
    if (code == EXIT_FINE) return p->saving.json ? put_saved_json(out) : code;
    if (!system_interrupted()) return code;
    error.status = ST_ERR_CANCELLED;
    return saving_end(&p->saving, out, &error);
}

static int run_pack(pack *p, int argc, char **argv) {
    const option options[] = {{"--meta", &p->pair_count, p->pairs},    {"--keep-order", &p->saving.keep_order, NULL},
                              {"--align", NULL, &p->saving.align},     {"--slack", NULL, &p->saving.slack},
                              {"--no-sync", &p->saving.no_sync, NULL}, {"--direct", &p->saving.direct, NULL},
                              {"--json", &p->saving.json, NULL}};
    int k, code, words = parse_options("pack", options, sizeof options / sizeof *options, argc, argv);
    if (words < 0) return EXIT_USAGE;
    if (words < 2) {
        begin_message("pack");
        fputs(words ? "NAME=DTYPE:SHAPE:FILE is missing" : "OUT and NAME=DTYPE:SHAPE:FILE are missing", stderr);
        return usage_hint("pack");
    }
    for (k = 0; k < p->pair_count; k++) {
        if (!strchr(p->pairs[k], '=')) return usage_error("pack", "--meta: expected K=V, found ", p->pairs[k]);
    }
    p->count = (size_t)words - 1;
    code = read_sources(p, argv + 1);
    return code == EXIT_FINE ? pack_model(p, argv[0]) : code;
}

int command_pack(int argc, char **argv) {
    const size_t capacity = (size_t)argc + 1;
    pack p;
    size_t i;
    int code;
    memset(&p, 0, sizeof p);
    p.saving.command = "pack";
    p.pairs = (const char **)calloc(capacity, sizeof *p.pairs);
    p.sources = (source *)calloc(capacity, sizeof *p.sources);
    code = p.pairs && p.sources ? run_pack(&p, argc, argv) : out_of_memory("pack");
    for (i = 0; i < p.count; i++) free(p.sources[i].shape);
    free(p.sources);
    free(p.pairs);
    return code;
}
