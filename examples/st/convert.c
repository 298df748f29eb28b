/* convert.c: copies a model and converts its numbers. */
#include "st.h"
#include <string.h>

typedef struct conversion {
    const char *given; /* the value of --dtype */
    st_dtype to;
    transfer *transfer;
    st_error read_error; /* status ST_OK: none */
} conversion;

static int is_float(st_dtype dtype) {
    return *st_dtype_name(dtype) == 'F' || dtype == ST_DTYPE_BF16;
}

/* ---- making the data ---------------------------------------------------------------------------------------- */

/* Returns the tensor of IN that t was made from, by shard and offset; the names can differ. t is not empty. */
static const st_tensor *source_of(const st_model *model, const st_tensor *t) {
    size_t low = 0, high = model->count;
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        const st_tensor *m = &model->tensors[middle];
        if (m->shard < t->shard || (m->shard == t->shard && m->offset < t->offset)) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    while (model->tensors[low].bytes == 0) low++; /* skips empty tensors at the same offset */
    return &model->tensors[low];
}

/* Writes bytes [offset, offset + n) of the converted tensor to dst. They can begin and end within an element. */
static st_status convert_bytes(const conversion *c, const st_tensor *source, const st_tensor *t, uint64_t offset,
                               unsigned char *dst, size_t n, st_error *error) {
    enum { ELEMENTS = 1 << 15 };
    static uint64_t values[ELEMENTS]; /* an element has at most 8 bytes */
    static unsigned char stored[sizeof values];
    const size_t width = st_dtype_bits(t->dtype) / 8;
    while (n) {
        const uint64_t first = offset / width;
        const size_t skipped = (size_t)(offset % width);
        const uint64_t rest = source->elements - first;
        size_t count = rest < ELEMENTS ? (size_t)rest : ELEMENTS, copied;
        if (count > (n + skipped + width - 1) / width) count = (n + skipped + width - 1) / width;
        if (read_numbers(c->transfer->model, source, first, count, t->dtype, values, error) != ST_OK)
            return error->status;
        put_little_endian(stored, values, count, t->dtype);
        copied = count * width - skipped;
        if (copied > n) copied = n;
        memcpy(dst, stored + skipped, copied);
        offset += copied, dst += copied, n -= copied;
    }
    return ST_OK;
}

static int fill(void *user, const st_tensor *t, uint64_t offset, void *dst, size_t n) {
    conversion *c = (conversion *)user;
    const st_model *model = c->transfer->model;
    const st_tensor *source = source_of(model, t);
    st_error error;
    st_status status = source->dtype == t->dtype ? st_read(model, source, offset, dst, n, &error)
                                                 : convert_bytes(c, source, t, offset, (unsigned char *)dst, n, &error);
    if (status == ST_OK) return 0;
    c->read_error = error;
    return 1;
}

static int show_progress(void *user, uint64_t done, uint64_t total) {
    return progress_step(&((conversion *)user)->transfer->saving.bar, done, total);
}

/* ---- the command ------------------------------------------------------------------------------------------ */

static st_status conversion_error(st_status status, const st_tensor *t, st_dtype to, const char *reason,
                                  st_error *error) {
    char message[sizeof error->message];
    snprintf(message, sizeof message, "\"%.100s\": cannot convert %s to %s%s", t->name, t->dtype_name,
             st_dtype_name(to), reason);
    return set_error(error, status, message);
}

/* Sets the new dtype and size of the chosen tensors. choice.tensors has all tensors, in the order of the model. */
static st_status convert_tensors(transfer *t, st_dtype to, st_error *error) {
    const unsigned width = st_dtype_bits(to) / 8;
    uint64_t total = t->model->bytes;
    size_t i;
    for (i = 0; i < t->choice.count; i++) {
        st_tensor *tensor = &t->choice.tensors[i];
        if (!is_chosen(&t->choice, &t->model->tensors[i])) continue;
        if (t->choice.only.count == 0 && !is_float(tensor->dtype)) continue;
        if (tensor->dtype == to) continue;
        if (st_convert(to, NULL, tensor->dtype, NULL, 0) != ST_OK) {
            return conversion_error(ST_ERR_UNSUPPORTED, tensor, to, "", error);
        }
        if (tensor->elements > (UINT64_MAX - total) / width) {
            return conversion_error(ST_ERR_OVERFLOW, tensor, to, ": the size would exceed 64 bits", error);
        }
        tensor->dtype = to;
        tensor->dtype_name = st_dtype_name(to);
        tensor->bytes = tensor->elements * width;
        total += tensor->bytes;
    }
    return ST_OK;
}

static st_status write_converted(transfer *t, st_error *error) {
    conversion *c = (conversion *)t->user;
    st_status status = convert_tensors(t, c->to, error);
    if (status != ST_OK) return status;
    c->transfer = t;
    t->saving.options.fill = fill;
    t->saving.options.progress = show_progress;
    t->saving.options.user = c;
    status = transfer_as_split(t, error);
    if (status != ST_OK && c->read_error.status != ST_OK) *error = c->read_error;
    return status == ST_OK ? ST_OK : error->status;
}

static int read_dtype(transfer *t) {
    conversion *c = (conversion *)t->user;
    if (!c->given) {
        begin_message("convert");
        fputs("--dtype is missing", stderr);
        return usage_hint("convert");
    }
    if (parse_dtype("convert", c->given, &c->to) != EXIT_FINE) return EXIT_USAGE;
    if (st_convert(c->to, NULL, ST_DTYPE_F32, NULL, 0) == ST_OK) return EXIT_FINE;
    return usage_error("convert", "conversion is not supported to ", st_dtype_name(c->to));
}

int command_convert(int argc, char **argv) {
    conversion c;
    const option options[] = {{"--dtype", NULL, &c.given}};
    transfer t;
    memset(&c, 0, sizeof c);
    memset(&t, 0, sizeof t);
    t.user = &c;
    t.keeps_all = 1;
    t.prepare = read_dtype;
    t.write = write_converted;
    return transfer_run(&t, "convert", options, 1, argc, argv);
}
