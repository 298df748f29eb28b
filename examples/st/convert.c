/* convert.c: a model with values of another dtype, in as many files as it has. */
#include "st.h"
#include <string.h>

typedef struct conversion {
    const char *given;
    st_dtype to;
    transfer *transfer;
    st_error failure; /* of reading; status ST_OK: there was none */
} conversion;

static int is_float(st_dtype dtype) {
    return *st_dtype_name(dtype) == 'F' || dtype == ST_DTYPE_BF16;
}

/* ---- the bytes that are written --------------------------------------------------------------------------- */

/* The tensor of IN that has the bytes of one to be written, which are not none: by shard and offset. */
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
    while (model->tensors[low].bytes == 0) low++; /* what is empty may lie before it */
    return &model->tensors[low];
}

/* Bytes [offset, offset + n) of the tensor, which may begin and end within an element. */
static st_status convert_bytes(const conversion *c, const st_tensor *source, const st_tensor *t, uint64_t offset,
                               unsigned char *dst, size_t n, st_error *error) {
    enum { ELEMENTS = 1 << 15 };
    static uint64_t values[ELEMENTS]; /* of up to 8 bytes */
    static unsigned char stored[sizeof values];
    const size_t width = st_dtype_bits(t->dtype) / 8;
    while (n) {
        const uint64_t first = offset / width;
        const size_t skipped = (size_t)(offset % width);
        const uint64_t rest = source->elements - first;
        size_t count = rest < ELEMENTS ? (size_t)rest : ELEMENTS, got;
        if (count > (n + skipped + width - 1) / width) count = (n + skipped + width - 1) / width;
        if (read_numbers(c->transfer->model, source, first, count, t->dtype, values, error) != ST_OK)
            return error->status;
        put_little_endian(stored, values, count, t->dtype);
        got = count * width - skipped;
        if (got > n) got = n;
        memcpy(dst, stored + skipped, got);
        offset += got, dst += got, n -= got;
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
    c->failure = error;
    return 1;
}

static int show_progress(void *user, uint64_t done, uint64_t total) {
    return progress_step(&((conversion *)user)->transfer->saving.bar, done, total);
}

/* ---- the command ------------------------------------------------------------------------------------------ */

static st_status cannot(st_status status, const st_tensor *t, st_dtype to, const char *why, st_error *error) {
    memset(error, 0, sizeof *error);
    error->position = UINT64_MAX;
    snprintf(error->message, sizeof error->message, "\"%.100s\": %s cannot be converted to %s%s", t->name,
             t->dtype_name, st_dtype_name(to), why);
    return error->status = status;
}

/* Gives the chosen tensors their new dtype. */
static st_status convert_tensors(transfer *t, st_dtype to, st_error *error) {
    const unsigned width = st_dtype_bits(to) / 8;
    uint64_t total = t->model->bytes;
    size_t i;
    for (i = 0; i < t->choice.count; i++) {
        st_tensor *tensor = &t->choice.tensors[i];
        if (!is_chosen(&t->choice, &t->model->tensors[i])) continue; /* all are there, in its order */
        if (t->choice.only.count == 0 && !is_float(tensor->dtype)) continue;
        if (tensor->dtype == to) continue;
        if (st_convert(to, NULL, tensor->dtype, NULL, 0) != ST_OK) {
            return cannot(ST_ERR_UNSUPPORTED, tensor, to, "", error);
        }
        if (tensor->elements > (UINT64_MAX - total) / width) {
            return cannot(ST_ERR_OVERFLOW, tensor, to, ": its bytes would not fit 64 bits", error);
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
    if (status != ST_OK && c->failure.status != ST_OK) *error = c->failure;
    return status == ST_OK ? ST_OK : error->status;
}

static int read_dtype(transfer *t) {
    conversion *c = (conversion *)t->user;
    char name[16];
    size_t i;
    if (!c->given) {
        begin_complaint("convert");
        fputs("--dtype is missing", stderr);
        return usage_hint("convert");
    }
    for (i = 0; c->given[i] && i + 1 < sizeof name; i++) {
        name[i] = c->given[i] >= 'a' && c->given[i] <= 'z' ? (char)(c->given[i] - 'a' + 'A') : c->given[i];
    }
    name[i] = 0;
    if (c->given[i]) return unknown_dtype("convert", c->given);
    if (st_dtype_from_name(name, &c->to) != ST_OK) return unknown_dtype("convert", name);
    if (st_convert(c->to, NULL, ST_DTYPE_F32, NULL, 0) == ST_OK) return EXIT_FINE;
    begin_complaint("convert");
    fprintf(stderr, "numbers are not converted to %s", name);
    return usage_hint("convert");
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
