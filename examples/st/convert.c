/* convert.c: copies a model and converts its numbers. */
#include "st.h"
#include <stdlib.h>
#include <string.h>

enum { FATE_KEPT, FATE_CONVERTED, FATE_LEFT_OUT };

typedef struct conversion {
    const char *given; /* the value of --dtype */
    st_dtype to;
    int no_scales;
    transfer *t;
    scale_set scales;
    unsigned char *fates;    /* of the tensors of the model */
    uint64_t applied;        /* scales */
    uint64_t left_out;       /* tensors */
    const st_tensor *packed; /* the first that stays as it is although it has a scale; NULL: none */
    size_t packed_count;
    losses lost;
    st_error read_error; /* status ST_OK: none */
} conversion;

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

/* Whether every number of one dtype is a number of the other, apart from rounding. */
static int loses_nothing(st_dtype from, st_dtype to) {
    double above, most;
    safe_factors(range_of(from), range_of(to), &above, &most);
    return 1 > above && 1 <= most;
}

/* Converts the elements [first, first + n) of a tensor of IN to t's dtype, in the file's byte order. */
static st_status convert_elements(conversion *c, const st_tensor *source, const st_tensor *t, uint64_t first,
                                  unsigned char *dst, size_t n, st_error *error) {
    enum { ELEMENTS = 1 << 16 };
    static union {
        float f32[ELEMENTS];
        double f64[ELEMENTS];
        unsigned char bytes[ELEMENTS * 8]; /* an element has at most 8 bytes */
    } numbers;
    const st_model *model = c->t->model;
    const st_dtype to = t->dtype;
    const int has_scale = scale_of(&c->scales, source) != NULL;
    const st_dtype as = has_scale                           ? (to == ST_DTYPE_F64 ? ST_DTYPE_F64 : ST_DTYPE_F32)
                        : loses_nothing(source->dtype, to)  ? to
                        : st_dtype_bits(source->dtype) < 16 ? ST_DTYPE_F32
                                                            : source->dtype;
    const int is_direct = as == to && !has_scale;
    while (n) {
        const size_t count = n < ELEMENTS ? n : (size_t)ELEMENTS;
        if (read_numbers(model, source, first, count, as, is_direct ? dst : numbers.bytes, error) != ST_OK)
            return error->status;
        if (has_scale && scales_apply(&c->scales, source, first, count, as, &numbers, to, &c->lost, error) != ST_OK)
            return error->status;
        if (!is_direct) {
            if (!has_scale) count_losses(&c->lost, to, as, numbers.bytes, count);
            if (st_convert(to, dst, as, numbers.bytes, count) != ST_OK) return ST_ERR_UNSUPPORTED; /* never */
        }
        st_to_little_endian(to, dst, count);
        first += count, n -= count, dst += count * (st_dtype_bits(to) / 8);
    }
    return ST_OK;
}

/* offset and n are multiples of the element's size. */
static int fill(void *user, const st_tensor *t, uint64_t offset, void *dst, size_t n) {
    conversion *c = (conversion *)user;
    const st_model *model = c->t->model;
    const st_tensor *source = source_of(model, t);
    st_error error;
    st_status status;
    if (source->dtype == t->dtype) {
        status = st_read(model, source, offset, dst, n, &error);
    } else {
        const size_t width = st_dtype_bits(t->dtype) / 8;
        status = convert_elements(c, source, t, offset / width, (unsigned char *)dst, n / width, &error);
    }
    if (status == ST_OK) return 0;
    c->read_error = error;
    return 1;
}

static int show_progress(void *user, uint64_t done, uint64_t total) {
    return progress_step(&((conversion *)user)->t->saving.bar, done, total);
}

/* ---- which tensors ------------------------------------------------------------------------------------------ */

static st_status conversion_error(st_status status, const st_tensor *t, st_dtype to, const char *reason,
                                  st_error *error) {
    char message[sizeof error->message];
    snprintf(message, sizeof message, "\"%.100s\": cannot convert %s to %s%s", t->name, t->dtype_name,
             st_dtype_name(to), reason);
    return set_error(error, status, message);
}

/* Whether the command line asks to convert that tensor of IN. Scales are looked at after that. */
static int is_converted(const conversion *c, const st_tensor *t) {
    const tensor_choice *chosen = &c->t->choice;
    if (!is_chosen(chosen, t) || t->dtype == c->to) return 0; /* is_chosen first: it marks the globs that match */
    return chosen->only.count > 0 || is_float(t->dtype) || scale_of(&c->scales, t) != NULL;
}

/* Decides which tensors are converted and which are left out. A scale is left out if it is applied; if its weight stays
 * as it is, so does the scale, unless --only names it. */
static st_status set_fates(conversion *c, st_error *error) {
    const st_model *m = c->t->model;
    const int keeps_parts = c->t->choice.only.count == 0;
    uint64_t kept_scales = 0;
    size_t i;
    for (i = 0; i < m->count; i++) {
        const st_tensor *t = &m->tensors[i], *scale = scale_of(&c->scales, t);
        c->fates[i] = is_converted(c, t) ? FATE_CONVERTED : FATE_KEPT;
        if (scale && c->fates[i] == FATE_KEPT) kept_scales++;
        if (c->fates[i] == FATE_KEPT && is_packed(&c->scales, t) && is_chosen(&c->t->choice, t)) {
            if (c->packed_count++ == 0) c->packed = t;
        }
        if (!scale || c->fates[i] == FATE_KEPT) continue;
        c->applied++;
        if (scales_check(&c->scales, t, error) != ST_OK) return error->status;
    }
    for (i = 0; i < m->count; i++) {
        const st_tensor *t = &m->tensors[i], *weight = weight_of(&c->scales, t);
        const int is_marker = (c->applied || kept_scales) && is_scaled_marker(t);
        if (weight ? c->fates[weight - m->tensors] == FATE_CONVERTED : is_marker && !kept_scales) {
            c->fates[i] = FATE_LEFT_OUT;
            c->left_out++;
        } else if ((weight || is_marker) && keeps_parts) {
            c->fates[i] = FATE_KEPT;
        }
    }
    return ST_OK;
}

/* Sets the new dtype and size of the tensors to convert. choice.tensors has all tensors, in the order of the model. */
static st_status set_dtypes(conversion *c, st_error *error) {
    const unsigned width = st_dtype_bits(c->to) / 8;
    uint64_t total = c->t->model->bytes;
    size_t i;
    for (i = 0; i < c->t->choice.count; i++) {
        st_tensor *tensor = &c->t->choice.tensors[i];
        if (c->fates[i] != FATE_CONVERTED) continue;
        if (st_convert(c->to, NULL, tensor->dtype, NULL, 0) != ST_OK) {
            return conversion_error(ST_ERR_UNSUPPORTED, tensor, c->to, "", error);
        }
        if (tensor->elements > (UINT64_MAX - total) / width) {
            return conversion_error(ST_ERR_OVERFLOW, tensor, c->to, ": the size would exceed 64 bits", error);
        }
        tensor->dtype = c->to;
        tensor->dtype_name = st_dtype_name(c->to);
        tensor->bytes = tensor->elements * width;
        total += tensor->bytes;
    }
    return ST_OK;
}

static void leave_out(conversion *c) {
    tensor_choice *chosen = &c->t->choice;
    size_t i, kept = 0;
    for (i = 0; i < chosen->count; i++) {
        char *name = chosen->names[i];
        chosen->names[i] = NULL;
        if (c->fates[i] == FATE_LEFT_OUT) {
            free(name);
            continue;
        }
        chosen->names[kept] = name;
        chosen->sources[kept] = chosen->sources[i];
        chosen->tensors[kept++] = chosen->tensors[i];
    }
    chosen->count = kept;
}

static st_status decide_tensors(transfer *t, st_error *error) {
    conversion *c = (conversion *)t->user;
    const st_model *model = t->model;
    st_status status;
    c->t = t;
    c->fates = (unsigned char *)calloc(model->count + 1, 1);
    if (!c->fates || (!c->no_scales && !scales_find(&c->scales, model))) {
        return set_error(error, ST_ERR_MEMORY, "out of memory");
    }
    status = set_fates(c, error);
    if (status == ST_OK) status = set_dtypes(c, error);
    if (status == ST_OK) leave_out(c);
    return status;
}

static st_status write_converted(transfer *t, st_error *error) {
    conversion *c = (conversion *)t->user;
    st_status status;
    t->saving.options.fill = fill;
    t->saving.options.progress = show_progress;
    t->saving.options.user = c;
    status = transfer_as_split(t, error);
    if (status != ST_OK && c->read_error.status != ST_OK) *error = c->read_error;
    return status == ST_OK ? ST_OK : error->status;
}

/* ---- messages about the numbers ----------------------------------------------------------------------------- */

/* Writes "st convert: 3 saturated, 12 underflowed to zero, 1 became NaN". */
static void put_losses(const losses *lost) {
    begin_message("convert");
    put_number(stderr, lost->saturated);
    fputs(" saturated, ", stderr);
    put_number(stderr, lost->underflowed);
    fputs(" underflowed to zero, ", stderr);
    put_number(stderr, lost->became_nan);
    fputs(" became NaN\n", stderr);
}

/* Writes "st convert: mlp.w_blocks (U8) and 23 more stay as they are: packed numbers are not unpacked". */
static void put_packed(const conversion *c) {
    begin_message("convert");
    put_text(stderr, c->packed->name, c->packed->name_bytes);
    fprintf(stderr, " (%s)", c->packed->dtype_name);
    if (c->packed_count > 1) {
        fputs(" and ", stderr);
        put_count(stderr, c->packed_count - 1, " more", " more");
    }
    fputs(c->packed_count == 1 ? " stays as it is" : " stay as they are", stderr);
    fputs(": packed numbers are not unpacked\n", stderr);
}

static void report_numbers(transfer *t) {
    conversion *c = (conversion *)t->user;
    const named_count counts[] = {{"scales", c->applied},
                                  {"saturated", c->lost.saturated},
                                  {"underflowed", c->lost.underflowed},
                                  {"became_nan", c->lost.became_nan}};
    memcpy(t->counts, counts, sizeof counts);
    t->count_count = sizeof counts / sizeof *counts;
    if (c->applied) {
        begin_message("convert");
        fputs("applied ", stderr);
        put_count(stderr, c->applied, " scale and left out ", " scales and left out ");
        put_count(stderr, c->left_out, " tensor of the quantization\n", " tensors of the quantization\n");
    }
    if (c->packed) put_packed(c);
    if (c->lost.saturated || c->lost.underflowed || c->lost.became_nan) put_losses(&c->lost);
}

/* ---- the command line ----------------------------------------------------------------------------------------- */

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
    static conversion c; /* static: the scales in it are large for a stack */
    const option options[] = {{"--dtype", NULL, &c.given}, {"--no-scales", &c.no_scales, NULL}};
    transfer t;
    int code;
    memset(&t, 0, sizeof t);
    t.user = &c;
    t.keeps_all = 1;
    t.prepare = read_dtype;
    t.decide = decide_tensors;
    t.write = write_converted;
    t.report = report_numbers;
    code = transfer_run(&t, "convert", options, sizeof options / sizeof *options, argc, argv);
    scales_end(&c.scales);
    free(c.fates);
    return code;
}
