/* apply.c: finds a tensor for each parameter of a module, reports, and saves the parameters. */
#include "dict.h"
#include "examples/common/progress.h"
#include "examples/common/text.h"
#include "examples/common/words.h"
#include <stdlib.h>
#include <string.h>

typedef struct parameter {
    char *name;
    size_t name_bytes;
    uint32_t rank;
    uint64_t *shape;
    entry *from;     /* NULL: nothing fits */
    uint64_t copies; /* of the rows of each group: 1 if nothing is expanded */
    uint64_t group;  /* rows */
    int flip;
} parameter;

typedef struct module {
    parameter *parameters;
    size_t count, capacity;
} module;

/* ---- modules ------------------------------------------------------------------------------------------------- */

static parameter *module_add(module *m, const char *name, size_t name_bytes, uint32_t rank) {
    parameter *p;
    if (m->count == m->capacity) {
        const size_t capacity = m->capacity ? 2 * m->capacity : 64;
        parameter *grown = (parameter *)realloc(m->parameters, capacity * sizeof *p);
        if (grown) m->parameters = grown;
        if (grown) m->capacity = capacity;
    }
    p = m->count < m->capacity ? &m->parameters[m->count] : NULL;
    if (p) {
        memset(p, 0, sizeof *p);
        p->name = (char *)malloc(name_bytes + 1);
        p->shape = (uint64_t *)calloc((size_t)rank + 1, sizeof *p->shape);
        m->count++;
    }
    if (!p || !p->name || !p->shape) {
        (void)fault("memory", 6, "not enough");
        return NULL;
    }
    memcpy(p->name, name, name_bytes);
    p->name[name_bytes] = 0;
    p->name_bytes = name_bytes;
    p->rank = rank;
    p->copies = 1;
    return p;
}

static void module_end(module *m) {
    size_t i;
    for (i = 0; i < m->count; i++) {
        free(m->parameters[i].name);
        free(m->parameters[i].shape);
    }
    free(m->parameters);
    memset(m, 0, sizeof *m);
}

static int module_from_model(module *m, const char *path) {
    st_model *model;
    st_error error;
    size_t i;
    int succeeded = 1;
    if (st_open(&model, path, NULL, &error) != ST_OK) return fault_library(&error);
    for (i = 0; i < model->count && succeeded; i++) {
        const st_tensor *t = &model->tensors[i];
        parameter *p = module_add(m, t->name, t->name_bytes, t->rank);
        if (p) memcpy(p->shape, t->shape, t->rank * sizeof *t->shape);
        succeeded = p != NULL;
    }
    st_close(model);
    return succeeded;
}

/* Reads a dimension; returns 0 if the text is no number below 2^48. */
static int dimension_from_text(const char *text, uint64_t *dimension) {
    char *end;
    *dimension = strtoull(text, &end, 10);
    return *text >= '0' && *text <= '9' && *end == 0 && *dimension >> 48 == 0;
}

/* Reads one parameter a line: its name, then its dimensions. */
static int module_from_list(module *m, const char *path) {
    FILE *file = strcmp(path, "-") == 0 ? stdin : fopen(path, "r");
    words w;
    size_t i;
    int succeeded = file != NULL || fault(path, strlen(path), "cannot open the list of parameters");
    memset(&w, 0, sizeof w);
    while (succeeded && words_read(&w, file)) {
        parameter *p = module_add(m, w.word[0], strlen(w.word[0]), (uint32_t)(w.count - 1));
        succeeded = p != NULL;
        for (i = 1; i < w.count && succeeded; i++) {
            succeeded = dimension_from_text(w.word[i], &p->shape[i - 1]) ||
                        fault(w.word[i], strlen(w.word[i]), "expected a dimension in the list of parameters");
        }
    }
    if (w.fault) succeeded = fault(path, strlen(path), w.fault);
    words_end(&w);
    if (file && file != stdin) fclose(file);
    return succeeded;
}

/* ---- what fits ----------------------------------------------------------------------------------------------- */

static int is_key_or_value(const parameter *p) {
    static const char *const ends[] = {"linear_k.weight", "linear_v.weight", "k_proj.weight", "v_proj.weight",
                                       "linear_k.bias",   "linear_v.bias",   "k_proj.bias",   "v_proj.bias"};
    size_t i;
    for (i = 0; i < sizeof ends / sizeof *ends; i++) {
        if (ends_with(p->name, p->name_bytes, ends[i])) return 1;
    }
    return 0;
}

/* Whether a matrix of that many rows and columns has the parameter's shape, as it is or flipped. Where both ways fit,
 * flip_first decides. */
static int fit_matrix(parameter *p, uint64_t rows, uint64_t columns, int flip_first) {
    const int as_it_is = p->shape[0] == rows && p->shape[1] == columns;
    const int flipped = p->shape[0] == columns && p->shape[1] == rows;
    p->flip = flip_first ? flipped : !as_it_is;
    return as_it_is || flipped;
}

/* Sets how a tensor becomes the parameter. Returns 0 if its shape does not allow it. */
static int fit(parameter *p, const entry *e, const apply_options *o) {
    const uint32_t rank = e->tensor->rank;
    const int flip_first = o->transpose && rank == 2 && ends_with(e->name, e->name_bytes, ".weight");
    uint64_t rows = rank ? entry_dimension(e, 0) : 0;
    uint32_t i;
    p->flip = 0;
    p->copies = 1;
    if (p->rank == 2 && rank == 3 && (rows == 0 || e->tensor->shape[1] <= UINT64_MAX / rows)) {
        return fit_matrix(p, rows * e->tensor->shape[1], e->tensor->shape[2], 0);
    }
    if (p->rank != rank) return 0;
    for (i = 0; i < rank && p->shape[i] == entry_dimension(e, i); i++) {}
    if (i == rank && rank != 2) return 1;
    if (rank == 2 && fit_matrix(p, rows, e->tensor->shape[1], flip_first)) return 1;
    if (!o->kv_heads || rank < 1 || rank > 2 || !is_key_or_value(p) || rows == 0 || rows % o->kv_heads) return 0;
    p->copies = o->heads / o->kv_heads;
    p->group = rows / o->kv_heads;
    if (rows > UINT64_MAX / p->copies) return 0;
    if (rank == 1) return p->shape[0] == rows * p->copies;
    return fit_matrix(p, rows * p->copies, e->tensor->shape[1], flip_first);
}

/* ---- which tensor -------------------------------------------------------------------------------------------- */

/* Looks for a tensor of that name. With --expand-kv, the tensor that has Llama's name for it comes first. */
static entry *look(dict *d, const char *name, size_t name_bytes, const apply_options *o, char *buffer) {
    static const char *const ends[] = {".weight", ".bias"};
    size_t i;
    for (i = 0; i < 2 && o->kv_heads; i++) {
        const size_t end = strlen(ends[i]), stem = name_bytes > end ? name_bytes - end : 0;
        entry *found;
        char *at;
        if (stem < 8 || !ends_with(name, name_bytes, ends[i]) || memcmp(name + stem - 8, "linear_", 7) != 0) continue;
        if (!strchr("kvo", name[stem - 1])) continue;
        at = buffer + stem - 8; /* the stem ends with linear_k, linear_v or linear_o */
        memcpy(buffer, name, stem - 8);
        *at++ = name[stem - 1];
        memcpy(at, "_proj", 5);
        memcpy(at + 5, ends[i], end);
        found = dict_find(d, buffer, (size_t)(at + 5 - buffer) + end);
        if (found) return found;
    }
    return dict_find(d, name, name_bytes);
}

/* Tries the names that the parameter may have in the checkpoint. Returns the first tensor that has a name but not the
 * shape, if none fits. */
static const entry *choose(dict *d, parameter *p, const apply_options *o, char *buffers[2]) {
    const char *root = o->root ? o->root : "";
    const entry *wrong = NULL;
    int i;
    for (i = 0; i < 4 && !p->from; i++) {
        int n = 0;
        entry *e;
        if (i % 2 == 1 && !*root) continue; /* name, root.name, model.name, model.root.name */
        n = sprintf(buffers[0], "%s%s%s", i / 2 ? "model." : "", i % 2 ? root : "", i % 2 ? "." : "");
        memcpy(buffers[0] + n, p->name, p->name_bytes);
        e = look(d, buffers[0], (size_t)n + p->name_bytes, o, buffers[1]);
        if (e && fit(p, e, o)) {
            p->from = e;
            dict_use(d, e);
        } else if (e && !wrong) {
            wrong = e;
        }
    }
    return wrong;
}

/* ---- saving -------------------------------------------------------------------------------------------------- */

static st_dtype saved_dtype(const dict *d, const parameter *p, int f32) {
    const st_dtype dtype = entry_dtype(d, p->from);
    return f32 && dtype != ST_DTYPE_C64 ? ST_DTYPE_F32 : dtype;
}

/* Repeats each group of rows, as each group of queries shares its keys and values. Frees the rows. */
static void *expand(void *rows, const parameter *p, size_t *bytes) {
    const size_t group = (size_t)p->group * (*bytes / (size_t)entry_dimension(p->from, 0)), copies = (size_t)p->copies;
    char *from = (char *)rows, *to = *bytes < SIZE_MAX / copies ? (char *)malloc(*bytes * copies + 1) : NULL;
    size_t at, copy;
    for (at = 0; to && at < *bytes; at += group) {
        for (copy = 0; copy < copies; copy++) memcpy(to + at * copies + copy * group, from + at, group);
    }
    free(rows);
    *bytes *= copies;
    return to;
}

static void *read_parameter(const dict *d, const parameter *p, st_dtype as, size_t *bytes) {
    const unsigned bits = st_dtype_bits(as);
    void *values;
    if (p->copies == 1) return entry_read(d, p->from, as, p->flip, bytes);
    if (bits < 8) {
        (void)fault(p->name, p->name_bytes, "cannot repeat rows of elements below a byte; use --f32");
        return NULL;
    }
    values = entry_read(d, p->from, as, 0, bytes);
    if (values) values = expand(values, p, bytes);
    if (values && p->flip) values = transpose(values, (size_t)p->shape[1], (size_t)p->shape[0], bits / 8);
    if (!values) (void)fault(p->name, p->name_bytes, "not enough memory for this tensor");
    return values;
}

/* Notes a transposed parameter, for readers that want the layout of the checkpoint. */
static st_status note_transposed(st_writer *writer, const parameter *p, st_error *error) {
    static const char prefix[] = "transposed.";
    const size_t n = sizeof prefix - 1;
    char *key = (char *)malloc(p->name_bytes + n + 1);
    st_pair pair = {NULL, "1", n + p->name_bytes, 1};
    st_status status = ST_ERR_MEMORY;
    if (key) {
        memcpy(key, prefix, n);
        memcpy(key + n, p->name, p->name_bytes + 1);
        pair.key = key;
        status = st_writer_add_metadata(writer, &pair, error);
    } else {
        snprintf(error->message, sizeof error->message, "out of memory");
    }
    free(key);
    return status;
}

static st_status declare(st_writer *writer, const dict *d, const module *m, int f32, st_error *error) {
    st_status status = ST_OK;
    size_t i;
    for (i = 0; i < d->source_count && status == ST_OK; i++) {
        const st_pair *format = st_find_metadata(d->sources[i].model, "format");
        if (!format) continue;
        status = st_writer_add_metadata(writer, format, error);
        break;
    }
    for (i = 0; i < m->count && status == ST_OK; i++) {
        const parameter *p = &m->parameters[i];
        st_tensor t = st_tensor_of(p->name, ST_DTYPE_UNKNOWN, p->rank, p->shape, NULL);
        if (!p->from) continue;
        t.name_bytes = p->name_bytes;
        t.dtype = saved_dtype(d, p, f32);
        status = st_writer_add(writer, &t, error);
        if (status == ST_OK && p->flip) status = note_transposed(writer, p, error);
    }
    return status == ST_OK ? st_writer_begin(writer, error) : status;
}

static int module_save(const dict *d, const module *m, const char *path, int f32) {
    progress_line line;
    st_writer *writer = NULL;
    st_error error;
    size_t i, bytes;
    int succeeded = st_writer_open(&writer, path, NULL, &error) == ST_OK && declare(writer, d, m, f32, &error) == ST_OK;
    if (!succeeded) (void)fault_library(&error);
    progress_line_begin(&line, "writing");
    for (i = 0; i < m->count && succeeded; i++) {
        const parameter *p = &m->parameters[i];
        const st_dtype dtype = p->from ? saved_dtype(d, p, f32) : ST_DTYPE_UNKNOWN;
        st_tensor t = st_tensor_of(p->name, dtype, p->rank, p->shape, NULL);
        void *values;
        if (!p->from) continue;
        t.name_bytes = p->name_bytes;
        values = read_parameter(d, p, dtype, &bytes);
        succeeded = values != NULL;
        if (succeeded) {
            st_to_little_endian(dtype, values, bytes * 8 / st_dtype_bits(dtype));
            succeeded = st_writer_write_to(writer, &t, values, bytes, &error) == ST_OK || fault_library(&error);
        }
        free(values);
        progress_line_show(&line, i, m->count);
    }
    progress_line_end(&line);
    if (succeeded && st_writer_finish(writer, &error) != ST_OK) succeeded = fault_library(&error);
    st_writer_close(writer);
    return succeeded;
}

/* ---- the report ---------------------------------------------------------------------------------------------- */

static void put_verdict(const char *verdict, const char *name, size_t name_bytes) {
    printf("%-12s ", verdict);
    put_text(stdout, name, name_bytes);
    putchar(' ');
}

static void report(const dict *d, const parameter *p, const entry *wrong) {
    const entry *e = p->from ? p->from : wrong;
    const st_tensor *t = e ? e->tensor : NULL;
    put_verdict(!e ? "missing" : !p->from ? "mismatched" : p->flip ? "transposed" : "assigned", p->name, p->name_bytes);
    if (e) printf("%s ", st_dtype_name(entry_dtype(d, e)));
    put_dimensions(stdout, p->rank, p->shape);
    if (e && (e->name_bytes != p->name_bytes || memcmp(e->name, p->name, p->name_bytes) != 0 || !p->from)) {
        fputs(" from ", stdout);
        put_text(stdout, e->name, e->name_bytes);
    }
    if (e && (!p->from || p->flip || p->copies > 1 || p->rank != t->rank)) {
        putchar(' ');
        put_dimensions(stdout, t->rank, t->shape);
    }
    if (e && e->below) fputs(" and the rows below", stdout);
    if (p->from && p->copies > 1) printf(", each head %llu times", (unsigned long long)p->copies);
    putchar('\n');
}

/* A checkpoint of Kronos decides which projector the module has. */
static int add_projector(dict *d, module *m, const apply_options *o) {
    static const char *const names[] = {"projector.weight", "projector.bias"};
    size_t i, k;
    if (!is_kronos(d))
        return fault("--kronos", 8, "the checkpoint is not one of Kronos: neither its names nor its metadata");
    for (i = 0; i < 2; i++) {
        const entry *e = dict_find(d, names[i], strlen(names[i]));
        parameter *p;
        for (k = 0; k < m->count && strcmp(m->parameters[k].name, names[i]) != 0; k++) {}
        if (!e || k < m->count) continue;
        p = module_add(m, names[i], strlen(names[i]), e->tensor->rank);
        if (!p) return 0;
        memcpy(p->shape, e->tensor->shape, e->tensor->rank * sizeof *p->shape);
        if (!o->transpose || i == 1 || e->tensor->rank != 2) continue;
        p->shape[0] = e->tensor->shape[1];
        p->shape[1] = e->tensor->shape[0];
    }
    return 1;
}

/* Assigns all parameters and prints the report. Sets what is wrong with the result. */
static int assign(dict *d, module *m, const apply_options *o, int *is_incomplete, int *has_more) {
    size_t i, longest = 0, counts[5] = {0, 0, 0, 0, 0}, next = 0;
    char *buffers[2];
    const entry *e;
    for (i = 0; i < m->count; i++) {
        if (m->parameters[i].name_bytes > longest) longest = m->parameters[i].name_bytes;
    }
    longest += (o->root ? strlen(o->root) : 0) + 16;
    buffers[0] = (char *)malloc(longest);
    buffers[1] = (char *)malloc(longest);
    for (i = 0; buffers[0] && buffers[1] && i < m->count; i++) {
        parameter *p = &m->parameters[i];
        const entry *wrong = choose(d, p, o, buffers);
        report(d, p, wrong);
        counts[p->from ? p->flip : wrong ? 3 : 2]++;
    }
    free(buffers[0]);
    free(buffers[1]);
    if (!buffers[0] || !buffers[1]) return fault("memory", 6, "not enough");
    for (; (e = dict_next_unused(d, &next)) != NULL; counts[4]++) {
        put_verdict("unexpected", e->name, e->name_bytes);
        printf("%s ", e->tensor->dtype_name);
        put_dimensions(stdout, e->tensor->rank, e->tensor->shape);
        putchar('\n');
    }
    printf("%zu assigned, %zu transposed, %zu missing, %zu mismatched, %zu unexpected\n", counts[0], counts[1],
           counts[2], counts[3], counts[4]);
    *is_incomplete = counts[2] + counts[3] > 0;
    *has_more = counts[4] > 0;
    return 1;
}

int apply(dict *d, const char *module_path, const apply_options *o) {
    const size_t n = strlen(module_path);
    const int is_list = strcmp(module_path, "-") == 0 || ends_with(module_path, n, ".txt");
    int is_incomplete = 0, has_more = 0, succeeded;
    module m;
    memset(&m, 0, sizeof m);
    succeeded = (is_list ? module_from_list(&m, module_path) : module_from_model(&m, module_path)) &&
                (!o->kronos || add_projector(d, &m, o)) && assign(d, &m, o, &is_incomplete, &has_more);
    if (succeeded && is_incomplete && o->strict >= STRICT_MISSING) {
        succeeded = fault(module_path, n, "parameters are missing or have another shape");
    }
    if (succeeded && has_more && o->strict == STRICT_BOTH) {
        succeeded = fault(module_path, n, "the checkpoint has tensors that the module lacks");
    }
    if (succeeded && o->out) succeeded = module_save(d, &m, o->out, o->f32);
    module_end(&m);
    return succeeded;
}
