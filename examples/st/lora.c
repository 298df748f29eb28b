/* lora.c: merges a LoRA into a model: W + scale * (alpha / rank) * up x down, computed in F64 and rounded once. Memory
 * holds the two small matrices of one module and a block of W. */
#include "lora.h"
#include <stdlib.h>
#include <string.h>

/* ---- a block of a merged tensor ----------------------------------------------------------------------------- */

/* W is [rows, columns]; left is [rows, rank]; right is [rank, columns], in tiles: TILE columns of each
 * rank, then the next TILE columns. Ranks are padded with zeros to a multiple of STEP, columns to one of TILE. */
enum { TILE = 16, STEP = 4, BLOCK = 1 << 16 };

typedef struct block {
    double numbers[BLOCK];
    float narrow[BLOCK];
    unsigned char stored[BLOCK * sizeof(double)];
} block;

typedef struct merging {
    lora *l;
    transfer *t;
    st_error read_error;       /* status ST_OK: none */
    const lora_module *module; /* whose matrices are in memory, or NULL */
    double *left, *right;
    uint64_t rows, columns;
    size_t rank; /* padded */
    block *work;
    uint64_t first, last; /* the elements of the tensor that work->stored holds: [first, last) */
} merging;

/* Adds factor * left x right to n numbers of a row, TILE at most. The loops of fixed length are those that compilers
 * unroll and make vector instructions of. */
static void add_tile(double *w, size_t n, const double *left, const double *right, size_t rank, double factor) {
    double sum[TILE];
    size_t r, i;
    memset(sum, 0, sizeof sum);
    for (r = 0; r < rank; r += STEP, left += STEP, right += STEP * TILE) {
        const double a = left[0], b = left[1], c = left[2], d = left[3];
        for (i = 0; i < TILE; i++) {
            sum[i] += (a * right[i] + b * right[TILE + i]) + (c * right[2 * TILE + i] + d * right[3 * TILE + i]);
        }
    }
    for (i = 0; i < n; i++) w[i] += factor * sum[i];
}

/* Adds the product to work->numbers, which hold rows from row on, and of each the columns from column on. */
static void add_product(const merging *m, uint64_t row, size_t rows, uint64_t column, size_t columns) {
    const double *left = m->left + (size_t)row * m->rank, *right = m->right + (size_t)column * m->rank;
    size_t i, k;
    for (k = 0; k < columns; k += TILE, right += m->rank * TILE) {
        const size_t n = columns - k < TILE ? columns - k : (size_t)TILE;
        for (i = 0; i < rows; i++) {
            add_tile(&m->work->numbers[i * columns + k], n, left + i * m->rank, right, m->rank, m->module->factor);
        }
    }
}

/* Rounds to odd: cuts numbers to 13 bits and sets the last of them if any bit that was cut is set. F32 has those bits
 * wherever they matter to F16 and BF16, so rounding such a number to F32 and then to 11 or 8 bits rounds only once. */
static void round_to_odd(double *numbers, size_t count) {
    const uint64_t cut = ((uint64_t)1 << 40) - 1; /* 52 bits of fraction, of which 12 stay */
    uint64_t bits;
    size_t i;
    for (i = 0; i < count; i++) {
        memcpy(&bits, &numbers[i], sizeof bits);
        bits = (bits | ((bits & cut) + cut)) & ~cut; /* the sum reaches bit 40 unless all below are 0 */
        memcpy(&numbers[i], &bits, sizeof bits);
    }
}

static void store(block *b, st_dtype dtype, size_t count) {
    if (dtype == ST_DTYPE_F64 || dtype == ST_DTYPE_F32) {
        st_convert(dtype, b->stored, ST_DTYPE_F64, b->numbers, count);
    } else {
        round_to_odd(b->numbers, count);
        st_convert(ST_DTYPE_F32, b->narrow, ST_DTYPE_F64, b->numbers, count);
        st_convert(dtype, b->stored, ST_DTYPE_F32, b->narrow, count);
    }
    st_to_little_endian(dtype, b->stored, count);
}

/* Makes the block that contains an element: some rows, or a part of a row that is longer than a block. */
static st_status make_block(merging *m, uint64_t element, st_error *error) {
    const st_tensor *base = m->module->base;
    uint64_t row = element / m->columns, column = 0;
    size_t rows = 1, columns = BLOCK;
    m->first = m->last = 0;
    if (m->columns <= BLOCK) {
        columns = (size_t)m->columns;
        rows = BLOCK / columns;
        row -= row % rows;
        if (rows > m->rows - row) rows = (size_t)(m->rows - row);
    } else {
        column = element % m->columns / BLOCK * BLOCK;
        if (columns > m->columns - column) columns = (size_t)(m->columns - column);
    }
    if (read_numbers(m->l->base, base, row * m->columns + column, rows * columns, ST_DTYPE_F64, m->work->numbers,
                     error)) {
        return error->status;
    }
    add_product(m, row, rows, column, columns);
    store(m->work, base->dtype, rows * columns);
    m->first = row * m->columns + column;
    m->last = m->first + rows * columns;
    return ST_OK;
}

/* ---- the matrices of a module ------------------------------------------------------------------------------- */

static void put_left(merging *m, uint64_t row, uint64_t rank, double number) {
    m->left[(size_t)row * m->rank + (size_t)rank] = number;
}

static void put_right(merging *m, uint64_t rank, uint64_t column, double number) {
    m->right[((size_t)(column / TILE) * m->rank + (size_t)rank) * TILE + (size_t)(column % TILE)] = number;
}

/* Reads a matrix: up, which is [rows, rank], or down, which is [rank, columns]. If W is stored transposed, up is on the
 * right and down on the left. */
static st_status read_matrix(merging *m, const st_tensor *t, int is_up, st_error *error) {
    const uint64_t width = t->elements / t->shape[0];
    uint64_t first, row = 0, column = 0;
    size_t i, n;
    for (first = 0; first < t->elements; first += n) {
        n = t->elements - first < BLOCK ? (size_t)(t->elements - first) : (size_t)BLOCK;
        if (read_numbers(m->l->adapter, t, first, n, ST_DTYPE_F64, m->work->numbers, error)) return error->status;
        for (i = 0; i < n; i++) {
            if (is_up && m->module->is_transposed) {
                put_right(m, column, row, m->work->numbers[i]);
            } else if (is_up) {
                put_left(m, row, column, m->work->numbers[i]);
            } else if (m->module->is_transposed) {
                put_left(m, column, row, m->work->numbers[i]);
            } else {
                put_right(m, row, column, m->work->numbers[i]);
            }
            if (++column == width) column = 0, row++;
        }
    }
    return ST_OK;
}

/* Allocates rows * columns numbers, 0; NULL if there is no memory for them. */
static double *allocate(uint64_t rows, uint64_t columns) {
    if (columns && rows > SIZE_MAX / sizeof(double) / columns) return NULL;
    return (double *)calloc((size_t)(rows * columns) + 1, sizeof(double));
}

static void free_matrices(merging *m) {
    free(m->left);
    free(m->right);
    m->left = m->right = NULL;
    m->module = NULL;
}

static st_status read_matrices(merging *m, const lora_module *module, st_error *error) {
    uint64_t padded;
    free_matrices(m);
    m->first = m->last = 0;
    m->rows = module->is_transposed ? module->down->shape[1] : module->up->shape[0];
    m->columns = m->rows ? module->base->elements / m->rows : 0;
    padded = m->columns + (TILE - m->columns % TILE) % TILE;
    if (module->rank > SIZE_MAX - STEP) return set_error(error, ST_ERR_MEMORY, "out of memory");
    m->rank = (size_t)module->rank + (STEP - (size_t)module->rank % STEP) % STEP;
    m->left = allocate(m->rows, m->rank);
    m->right = allocate(padded, m->rank);
    if (!m->left || !m->right) return set_error(error, ST_ERR_MEMORY, "out of memory");
    m->module = module;
    if (read_matrix(m, module->up, 1, error) != ST_OK || read_matrix(m, module->down, 0, error) != ST_OK) {
        free_matrices(m);
        return error->status;
    }
    return ST_OK;
}

/* ---- writing ------------------------------------------------------------------------------------------------ */

/* Writes bytes [offset, offset + n) of the merged tensor to dst. They can begin and end anywhere. */
static st_status put_merged(merging *m, const lora_module *module, uint64_t offset, unsigned char *dst, size_t n,
                            st_error *error) {
    const size_t width = st_dtype_bits(module->base->dtype) / 8;
    if (m->module != module && read_matrices(m, module, error) != ST_OK) return error->status;
    while (n) {
        uint64_t begin, rest;
        size_t part;
        if (offset / width < m->first || offset / width >= m->last) {
            if (make_block(m, offset / width, error) != ST_OK) return error->status;
        }
        begin = offset - m->first * width;
        rest = (m->last - m->first) * width - begin;
        part = rest < n ? (size_t)rest : n;
        memcpy(dst, m->work->stored + (size_t)begin, part);
        offset += part, dst += part, n -= part;
    }
    return ST_OK;
}

static int fill(void *user, const st_tensor *t, uint64_t offset, void *dst, size_t n) {
    merging *m = (merging *)user;
    const st_model *base = m->l->base;
    const st_tensor *source = st_find_n(base, t->name, t->name_bytes);
    const lora_module *module = m->l->changed[source - base->tensors];
    st_error error;
    st_status status = module ? put_merged(m, module, offset, (unsigned char *)dst, n, &error)
                              : st_read(base, source, offset, dst, n, &error);
    if (status == ST_OK) return 0;
    m->read_error = error;
    return 1;
}

static int show_progress(void *user, uint64_t done, uint64_t total) {
    return progress_step(&((merging *)user)->t->saving.bar, done, total);
}

static st_status write_merged(transfer *t, st_error *error) {
    merging m;
    st_status status;
    memset(&m, 0, sizeof m);
    m.l = (lora *)t->user;
    m.t = t;
    t->saving.options.fill = fill;
    t->saving.options.progress = show_progress;
    t->saving.options.user = &m;
    m.work = (block *)malloc(sizeof *m.work);
    if (!m.work) return set_error(error, ST_ERR_MEMORY, "out of memory");
    status = transfer_as_split(t, error);
    free_matrices(&m);
    free(m.work);
    if (status != ST_OK && m.read_error.status != ST_OK) *error = m.read_error;
    return status == ST_OK ? ST_OK : error->status;
}

/* ---- --dry-run ---------------------------------------------------------------------------------------------- */

static void put_module(const lora_module *m) {
    put_text(stdout, m->name, m->bytes);
    fputs(" -> ", stdout);
    put_text(stdout, m->base->name, m->base->name_bytes);
    fputs("  rank ", stdout);
    put_number(stdout, m->rank);
    fputs("  alpha ", stdout);
    put_double(stdout, m->alpha, 6);
    fputs("  factor ", stdout);
    put_double(stdout, m->factor, 6);
    if (m->is_transposed) fputs("  transposed", stdout);
    end_line();
}

static void put_module_json(const lora_module *m) {
    fputs("{\"module\":", stdout);
    put_json(stdout, m->name, m->bytes);
    fputs(",\"tensor\":", stdout);
    put_json(stdout, m->base->name, m->base->name_bytes);
    fputs(",\"rank\":", stdout);
    put_number(stdout, m->rank);
    fputs(",\"alpha\":", stdout);
    put_double(stdout, m->alpha, 17);
    fputs(",\"factor\":", stdout);
    put_double(stdout, m->factor, 17);
    printf(",\"transposed\":%s}", m->is_transposed ? "true" : "false");
}

static int put_plan(const lora *l, int json) {
    size_t i;
    if (json) fputs("{\"modules\":[", stdout);
    for (i = 0; i < l->count; i++) {
        if (json && i) putc(',', stdout);
        (json ? put_module_json : put_module)(&l->modules[i]);
    }
    if (json) fputs("],\"changed\":", stdout);
    put_number(stdout, l->count);
    fputs(json ? ",\"tensors\":" : " of ", stdout);
    put_number(stdout, l->base->count);
    fputs(json ? "}" : " tensors change", stdout);
    end_line();
    return EXIT_FINE;
}

/* ---- the command -------------------------------------------------------------------------------------------- */

/* Opens a file, or a directory as PEFT and diffusers write it, which can hold other files, too. */
static st_status open_adapter(st_model **model, const char *path, st_error *error) {
    static const char *const names[] = {"/adapter_model.safetensors", "/pytorch_lora_weights.safetensors"};
    const st_open_options options = copy_open_options();
    size_t i;
    st_status status;
    if (is_hub(path) || system_path_kind(path) != PATH_DIRECTORY) return open_model(model, path, &options, error);
    for (i = 0; i < sizeof names / sizeof *names; i++) {
        char *file = (char *)calloc(strlen(path) + strlen(names[i]) + 1, 1);
        if (!file) return set_error(error, ST_ERR_MEMORY, "out of memory");
        strcpy(file, path);
        strcat(file, names[i]);
        status = system_path_kind(file) == PATH_OTHER ? st_open(model, file, &options, error) : ST_ERR_NOT_FOUND;
        free(file);
        if (status != ST_ERR_NOT_FOUND) return status;
    }
    return open_model(model, path, &options, error);
}

static int pair(lora *l) {
    int code = choose(&l->chosen, l->adapter, l->path);
    if (code == EXIT_FINE) code = lora_config_read(&l->config, l->adapter);
    return code == EXIT_FINE ? lora_pair(l) : code;
}

static int merge(lora *l, transfer *t) {
    const st_open_options options = copy_open_options();
    st_model *base = NULL, *adapter = NULL;
    st_error error;
    int code;
    if (open_model(&base, t->in, &options, &error) != ST_OK) return report(t->in, &error);
    if (open_adapter(&adapter, l->path, &error) != ST_OK) {
        st_close(base);
        return report(l->path, &error);
    }
    l->base = t->model = base;
    l->adapter = t->also = adapter;
    code = pair(l);
    if (code == EXIT_FINE) code = t->is_dry_run ? put_plan(l, t->saving.json) : transfer_write(t);
    lora_pair_end(l);
    lora_config_end(&l->config);
    st_close(adapter);
    st_close(base);
    return code;
}

static int read_real(const char *name, const char *given, double *number) {
    char *end;
    if (!given) return EXIT_FINE;
    *number = strtod(given, &end);
    if (end != given && *end == 0 && is_finite(*number)) return EXIT_FINE;
    begin_message("merge-lora");
    fprintf(stderr, "%s: expected a number, found ", name);
    put_string(stderr, given);
    return usage_hint("merge-lora");
}

static int parse_arguments(lora *l, transfer *t, int argc, char **argv) {
    const option own[] = {{"--alpha", NULL, &l->alpha_given},
                          {"--scale", NULL, &l->scale_given},
                          {"--dry-run", &t->is_dry_run, NULL},
                          {"--only", &l->chosen.only.count, l->chosen.only.texts},
                          {"--except", &l->chosen.except.count, l->chosen.except.texts},
                          {"--rename", &l->chosen.rename_count, l->chosen.renames},
                          {"--rename-file", &l->chosen.rename_file_count, l->chosen.rename_files}};
    enum { OWN = sizeof own / sizeof *own };
    option options[TRANSFER_OPTIONS + OWN];
    int words, code;
    transfer_options(t, options);
    memcpy(options + TRANSFER_OPTIONS, own, sizeof own);
    words = parse_options("merge-lora", options, TRANSFER_OPTIONS + OWN, argc, argv);
    if (words < 0) return EXIT_USAGE;
    if (words != 3 && !(words == 2 && t->is_dry_run)) {
        begin_message("merge-lora");
        fputs(words == 2  ? "OUT is missing"
              : words < 2 ? "expected BASE, LORA and OUT"
                          : "too many arguments: expected BASE, LORA and OUT",
              stderr);
        return usage_hint("merge-lora");
    }
    t->in = argv[0];
    l->path = argv[1];
    t->out = words == 3 ? argv[2] : NULL;
    code = read_real("--alpha", l->alpha_given, &l->alpha);
    return code == EXIT_FINE ? read_real("--scale", l->scale_given, &l->scale) : code;
}

int command_merge_lora(int argc, char **argv) {
    lora l;
    transfer t;
    int code;
    memset(&l, 0, sizeof l);
    memset(&t, 0, sizeof t);
    l.scale = 1;
    t.user = &l;
    t.write = write_merged;
    t.saving.command = "merge-lora";
    if (choice_begin(&l.chosen, "merge-lora", argc) && choice_begin(&t.choice, "merge-lora", 0)) {
        code = parse_arguments(&l, &t, argc, argv);
        if (code == EXIT_FINE) code = read_renames(&l.chosen);
        if (code == EXIT_FINE) code = merge(&l, &t);
    } else {
        code = out_of_memory("merge-lora");
    }
    choice_end(&t.choice);
    choice_end(&l.chosen);
    return code;
}
