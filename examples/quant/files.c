/* files.c: reads a model tensor by tensor and writes another. The largest tensor has to fit into memory as F32. */
#include "quant.h"
#include "int8.h"
#include "examples/common/progress.h"
#include "examples/common/text.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct job {
    const st_model *model;
    st_writer *writer; /* NULL: the scales are only checked */
    void *numbers, *integers, *scales;
    uint64_t done; /* bytes of the model */
    progress_line line;
    st_error error;
} job;

static int complain(const st_tensor *t, const char *reason) {
    fputs("quant: ", stderr);
    put_text(stderr, t->name, t->name_bytes);
    fprintf(stderr, ": %s\n", reason);
    return 0;
}

static int complain_library(const st_error *error) {
    fprintf(stderr, "quant: %s\n", error->message);
    return 0;
}

static void release_tensor(job *j) {
    free(j->numbers);
    free(j->integers);
    free(j->scales);
    j->numbers = j->integers = j->scales = NULL;
}

/* Allocates memory for one tensor and its scales. */
static int obtain(job *j, const st_tensor *t, uint64_t scales) {
    const size_t most = SIZE_MAX / 16;
    if (t->elements < most && scales < most) {
        j->numbers = malloc((size_t)t->elements * sizeof(double)); /* F64, too, once converted */
        j->integers = malloc((size_t)t->elements);
        j->scales = malloc((size_t)scales * sizeof(float));
    }
    return (j->numbers && j->integers && j->scales) || complain(t, "out of memory for this tensor");
}

/* Copies a tensor in blocks. */
static int copy_tensor(job *j, const st_tensor *t) {
    const size_t most = 1 << 20;
    uint64_t at;
    void *block = malloc(most);
    st_status status = block ? ST_OK : ST_ERR_MEMORY;
    if (!block) return complain(t, "out of memory");
    for (at = 0; at < t->bytes && status == ST_OK; at += most) {
        const size_t n = t->bytes - at < most ? (size_t)(t->bytes - at) : most;
        status = st_read(j->model, t, at, block, n, &j->error);
        if (status == ST_OK) status = st_writer_write_to(j->writer, t, block, n, &j->error);
    }
    free(block);
    return status == ST_OK || complain_library(&j->error);
}

/* Returns the name of the scales of t with that ending, to be freed, or NULL if memory runs out. */
static char *scale_name(const st_tensor *t, const char *end) {
    const size_t n = strlen(end) + 1;
    char *name = t->name_bytes < SIZE_MAX / 2 ? (char *)malloc(t->name_bytes + n) : NULL;
    if (!name) return NULL;
    memcpy(name, t->name, t->name_bytes);
    memcpy(name + t->name_bytes, end, n);
    return name;
}

static st_tensor named(const st_tensor *t, char *name, const char *end, st_dtype dtype, const uint64_t *shape,
                       uint32_t rank) {
    st_tensor made = st_tensor_of(name, dtype, rank, shape, NULL);
    made.name_bytes = t->name_bytes + strlen(end);
    return made;
}

static int finish(job *j, int succeeded) {
    progress_line_end(&j->line);
    if (succeeded && st_writer_finish(j->writer, &j->error) != ST_OK) succeeded = complain_library(&j->error);
    st_writer_close(j->writer);
    release_tensor(j);
    return succeeded;
}

/* ---- what is quantized ---------------------------------------------------------------------------------------- */

static int metadata_is(const st_model *model, const char *key, const char *value) {
    const st_pair *pair = st_find_metadata(model, key);
    return pair && pair->value_bytes == strlen(value) && memcmp(pair->value, value, pair->value_bytes) == 0;
}

static const st_tensor *find_with_end(const st_model *model, const st_tensor *t, const char *end) {
    char *name = scale_name(t, end);
    const st_tensor *found = name ? st_find_n(model, name, t->name_bytes + strlen(end)) : NULL;
    free(name);
    return found && found->dtype == ST_DTYPE_F32 ? found : NULL;
}

/* Returns the scales of a quantized tensor, or NULL if t is none. U8 counts only where the metadata says that it is
 * biased: elsewhere it can be packed. */
static const st_tensor *find_scales(const st_model *model, const st_tensor *t) {
    const int is_biased = t->dtype == ST_DTYPE_U8 && metadata_is(model, "quant.dtype", "U8");
    const st_tensor *scales = NULL;
    if (t->dtype == ST_DTYPE_I8 || is_biased) scales = find_with_end(model, t, "_scale");
    if ((t->dtype == ST_DTYPE_I8 || is_biased) && !scales) scales = find_with_end(model, t, ".scale");
    return scales;
}

/* ---- quantize ----------------------------------------------------------------------------------------------- */

static int is_quantizable(const st_tensor *t, const quant_options *o) {
    const int is_float =
        t->dtype == ST_DTYPE_F32 || t->dtype == ST_DTYPE_F16 || t->dtype == ST_DTYPE_BF16 || t->dtype == ST_DTYPE_F64;
    return is_float && t->elements > 0 && t->elements <= SIZE_MAX / 16 && (t->rank == 2 || o->all);
}

static grid grid_of(const st_tensor *t, const quant_options *o) {
    grid g;
    g.rows = o->layout == LAYOUT_TENSOR ? 1 : (size_t)t->shape[0];
    g.columns = (size_t)t->elements / g.rows;
    g.block = o->layout == LAYOUT_BLOCKS && o->block < g.columns ? o->block : g.columns;
    return g;
}

/* Declares a tensor, and its scales if it is quantized. */
static int declare(job *j, const st_tensor *t, const quant_options *o) {
    st_tensor changed = *t, scale;
    uint64_t shape[2];
    char *name;
    grid g;
    int succeeded;
    if (!is_quantizable(t, o)) return st_writer_add(j->writer, t, &j->error) == ST_OK || complain_library(&j->error);
    g = grid_of(t, o);
    shape[0] = g.rows;
    shape[1] = blocks_of_row(&g);
    if (o->layout == LAYOUT_BLOCKS && block_from_shape(g.columns, shape[1]) != g.block) {
        return complain(
            t, "readers would take its blocks for longer or shorter ones; 16, 32, 64 and 128 columns are safe");
    }
    name = scale_name(t, "_scale");
    if (!name) return complain(t, "out of memory");
    changed.dtype = o->dtype;
    changed.dtype_name = st_dtype_name(o->dtype);
    scale = named(t, name, "_scale", ST_DTYPE_F32, shape, o->layout == LAYOUT_TENSOR ? 1 : 2);
    succeeded =
        st_writer_add(j->writer, &changed, &j->error) == ST_OK && st_writer_add(j->writer, &scale, &j->error) == ST_OK;
    free(name);
    return succeeded || complain_library(&j->error);
}

static double largest_error(const job *j, const st_tensor *t, const grid *g) {
    const float *numbers = (const float *)j->numbers;
    float *back = (float *)malloc(((size_t)t->elements + 1) * sizeof *back);
    double largest = 0;
    size_t i;
    if (!back) return -1;
    dequantize(g, (const int8_t *)j->integers, (const float *)j->scales, back);
    for (i = 0; i < t->elements; i++) {
        const double error = fabs((double)back[i] - (double)numbers[i]);
        if (error > largest) largest = error;
    }
    free(back);
    return largest;
}

static int write_quantized(job *j, const st_tensor *t, const quant_options *o) {
    const grid g = grid_of(t, o);
    const size_t scales = g.rows * blocks_of_row(&g), bytes = scales * sizeof(float);
    char *name = scale_name(t, "_scale");
    st_tensor scale = named(t, name, "_scale", ST_DTYPE_F32, NULL, 0);
    double error = 0;
    int succeeded = 0;
    if (!name) return complain(t, "out of memory");
    if (!obtain(j, t, scales)) {
    } else if (st_read_as(j->model, t, NULL, ST_DTYPE_F32, j->numbers, (size_t)t->elements * sizeof(float),
                          &j->error)) {
        (void)complain_library(&j->error);
    } else if (!quantize(&g, (const float *)j->numbers, (float *)j->scales, (int8_t *)j->integers)) {
        (void)complain(t, "infinite, NaN, or too large for F32");
    } else if ((error = largest_error(j, t, &g)) < 0) {
        (void)complain(t, "out of memory");
    } else {
        if (o->dtype == ST_DTYPE_U8) bias((int8_t *)j->integers, (size_t)t->elements);
        st_to_little_endian(ST_DTYPE_F32, j->scales, bytes / sizeof(float));
        succeeded = st_writer_write_to(j->writer, t, j->integers, (size_t)t->elements, &j->error) == ST_OK &&
                    st_writer_write_to(j->writer, &scale, j->scales, bytes, &j->error) == ST_OK;
        if (!succeeded) (void)complain_library(&j->error);
    }
    if (succeeded) {
        progress_line_end(&j->line);
        put_text(stdout, t->name, t->name_bytes);
        printf(": %s, %zu scale%s, largest error %.3g\n", st_dtype_name(o->dtype), scales, scales == 1 ? "" : "s",
               error);
    }
    free(name);
    release_tensor(j);
    return succeeded;
}

/* Keeps the metadata, and notes how the weights are quantized. */
static int declare_metadata(job *j, const quant_options *o) {
    static const char *const layouts[] = {"tensor", "rows", "blocks"};
    char block[32];
    st_pair pairs[3];
    size_t i;
    snprintf(block, sizeof block, "%zu", o->block);
    memset(pairs, 0, sizeof pairs);
    pairs[0].key = "quant.dtype", pairs[0].value = st_dtype_name(o->dtype);
    pairs[1].key = "quant.layout", pairs[1].value = layouts[o->layout];
    pairs[2].key = "quant.block", pairs[2].value = block;
    for (i = 0; i < j->model->metadata_count; i++) {
        const st_pair *pair = &j->model->metadata[i];
        if (pair->key_bytes > 6 && memcmp(pair->key, "quant.", 6) == 0) continue;
        if (st_writer_add_metadata(j->writer, pair, &j->error) != ST_OK) return complain_library(&j->error);
    }
    for (i = 0; i < (o->layout == LAYOUT_BLOCKS ? 3u : 2u); i++) {
        if (st_writer_add_metadata(j->writer, &pairs[i], &j->error) != ST_OK) return complain_library(&j->error);
    }
    return 1;
}

int quantize_file(const char *in, const char *out, const quant_options *options) {
    st_model *model;
    size_t i, quantized = 0;
    int succeeded;
    job j;
    memset(&j, 0, sizeof j);
    if (st_open(&model, in, NULL, &j.error) != ST_OK) return complain_library(&j.error);
    j.model = model;
    for (i = 0; i < model->count; i++) {
        if (!find_scales(model, &model->tensors[i])) continue; /* its scales must not become integers too */
        (void)complain(&model->tensors[i], "is quantized already: dequantize the model first");
        st_close(model);
        return 0;
    }
    progress_line_begin(&j.line, "quantizing");
    succeeded = st_writer_open(&j.writer, out, NULL, &j.error) == ST_OK || complain_library(&j.error);
    for (i = 0; succeeded && i < model->count; i++) succeeded = declare(&j, &model->tensors[i], options);
    succeeded = succeeded && declare_metadata(&j, options);
    succeeded = succeeded && (st_writer_begin(j.writer, &j.error) == ST_OK || complain_library(&j.error));
    for (i = 0; succeeded && i < model->count; i++) {
        const st_tensor *t = &model->tensors[i];
        const int is_weight = is_quantizable(t, options);
        succeeded = is_weight ? write_quantized(&j, t, options) : copy_tensor(&j, t);
        quantized += (size_t)is_weight;
        progress_line_show(&j.line, j.done += t->bytes, model->bytes);
    }
    succeeded = finish(&j, succeeded);
    if (succeeded) printf("%zu of %zu tensors quantized\n", quantized, model->count);
    st_close(model);
    return succeeded;
}

/* ---- dequantize --------------------------------------------------------------------------------------------- */

/* Returns NULL, or why the shapes do not fit. */
static const char *grid_from_shapes(const st_model *model, const st_tensor *t, const st_tensor *scales, grid *g) {
    const st_pair *pair = st_find_metadata(model, "quant.block");
    uint64_t block = pair ? strtoull(pair->value, NULL, 10) : 0, count;
    if (t->elements == 0) return "a quantized tensor without numbers";
    if (t->elements > SIZE_MAX / 16) return "a tensor too large for this machine";
    g->rows = 1;
    g->columns = g->block = (size_t)t->elements;
    if (scales->elements == 1) return NULL;
    if (t->rank != 2 || scales->rank < 1 || scales->rank > 2 || scales->shape[0] != t->shape[0]) {
        return "scales of rows and blocks need a tensor of two dimensions and a scale for each row";
    }
    g->rows = (size_t)t->shape[0];
    g->columns = g->block = (size_t)t->shape[1];
    count = scales->rank == 2 ? scales->shape[1] : 1;
    if (count == 1) return NULL;
    if (count == 0 || count > g->columns) return "expected another number of scales";
    if (block == 0 || block > g->columns) block = block_from_shape(g->columns, count);
    if (block == 0) return "cannot tell the columns of a block from the number of scales";
    g->block = (size_t)block;
    return NULL;
}

/* Reads a quantized tensor and its scales and computes its numbers. */
static int read_quantized(job *j, const st_tensor *t, const st_tensor *scales) {
    grid g;
    const char *fault = grid_from_shapes(j->model, t, scales, &g);
    if (fault) return complain(t, fault);
    if (!obtain(j, t, scales->elements)) return 0;
    if (st_read(j->model, t, 0, j->integers, (size_t)t->elements, &j->error) != ST_OK ||
        st_read_as(j->model, scales, NULL, ST_DTYPE_F32, j->scales, (size_t)scales->bytes, &j->error) != ST_OK) {
        return complain_library(&j->error);
    }
    fault = check_scales(&g, (const float *)j->scales, scales->elements);
    if (fault) return complain(scales, fault);
    if (t->dtype == ST_DTYPE_U8) unbias((int8_t *)j->integers, (size_t)t->elements);
    dequantize(&g, (const int8_t *)j->integers, (const float *)j->scales, (float *)j->numbers);
    return 1;
}

static int write_numbers(job *j, const st_tensor *t, st_dtype dtype) {
    const size_t count = (size_t)t->elements, bytes = count * (st_dtype_bits(dtype) / 8);
    void *converted = dtype == ST_DTYPE_F32 ? NULL : malloc(bytes);
    void *numbers = converted ? converted : j->numbers;
    int succeeded = 0;
    if (dtype != ST_DTYPE_F32 && !converted) return complain(t, "out of memory");
    if (converted && st_convert(dtype, converted, ST_DTYPE_F32, j->numbers, count) != ST_OK) {
        (void)complain(t, "cannot convert the numbers");
    } else {
        st_to_little_endian(dtype, numbers, count);
        succeeded = st_writer_write_to(j->writer, t, numbers, bytes, &j->error) == ST_OK || complain_library(&j->error);
    }
    free(converted);
    return succeeded;
}

/* Marks the tensors that are scales: is_scale has a byte for each tensor. Returns how many tensors are quantized. */
static size_t mark_scales(const st_model *model, unsigned char *is_scale) {
    size_t i, count = 0;
    for (i = 0; i < model->count; i++) {
        const st_tensor *scales = find_scales(model, &model->tensors[i]);
        if (!scales) continue;
        is_scale[scales - model->tensors] = 1;
        count++;
    }
    return count;
}

static int declare_all(job *j, const unsigned char *is_scale, st_dtype dtype) {
    size_t i;
    for (i = 0; i < j->model->count; i++) {
        st_tensor t = j->model->tensors[i];
        if (is_scale[i]) continue;
        if (find_scales(j->model, &j->model->tensors[i])) t.dtype = dtype;
        if (st_writer_add(j->writer, &t, &j->error) != ST_OK) return complain_library(&j->error);
    }
    for (i = 0; i < j->model->metadata_count; i++) {
        const st_pair *pair = &j->model->metadata[i];
        if (pair->key_bytes > 6 && memcmp(pair->key, "quant.", 6) == 0) continue;
        if (st_writer_add_metadata(j->writer, pair, &j->error) != ST_OK) return complain_library(&j->error);
    }
    return st_writer_begin(j->writer, &j->error) == ST_OK || complain_library(&j->error);
}

int dequantize_file(const char *in, const char *out, st_dtype dtype) {
    unsigned char *is_scale = NULL;
    size_t i, count = 0;
    st_model *model;
    int succeeded = 1;
    job j;
    memset(&j, 0, sizeof j);
    if (st_open(&model, in, NULL, &j.error) != ST_OK) return complain_library(&j.error);
    j.model = model;
    progress_line_begin(&j.line, out ? "dequantizing" : "checking");
    is_scale = (unsigned char *)calloc(model->count + 1, 1);
    if (!is_scale) {
        fprintf(stderr, "quant: out of memory\n");
        succeeded = 0;
    } else {
        count = mark_scales(model, is_scale);
    }
    if (succeeded && out) {
        succeeded = (st_writer_open(&j.writer, out, NULL, &j.error) == ST_OK || complain_library(&j.error)) &&
                    declare_all(&j, is_scale, dtype);
    }
    for (i = 0; succeeded && i < model->count; i++) {
        const st_tensor *t = &model->tensors[i], *scales = find_scales(model, t);
        if (scales) {
            succeeded = read_quantized(&j, t, scales) && (!out || write_numbers(&j, t, dtype));
            release_tensor(&j);
        } else if (out && !is_scale[i]) {
            succeeded = copy_tensor(&j, t);
        }
        progress_line_show(&j.line, j.done += t->bytes, model->bytes);
    }
    if (out) {
        succeeded = finish(&j, succeeded);
    } else {
        progress_line_end(&j.line);
        release_tensor(&j);
    }
    if (succeeded)
        printf("%zu of %zu tensors %s\n", count, model->count,
               out ? "dequantized" : "quantized, and their scales are valid");
    free(is_scale);
    st_close(model);
    return succeeded;
}
