/* scales.c: finds the scales of quantized tensors, checks that their shapes fit, and multiplies numbers by them. */
#include "st.h"
#include <stdlib.h>
#include <string.h>

/* ---- which tensors belong together: by name ----------------------------------------------------------------- */

/* What a tensor is to the weight beside it. */
typedef enum part_kind {
    PART_SCALE,       /* the weight is multiplied by it */
    PART_COMPANION,   /* of no use once the weight is converted */
    PART_DESCRIPTION, /* a companion that may say that the weight is more than numbers times a scale */
    PART_OBSTACLE     /* the weight is more than numbers times a scale */
} part_kind;

/* A tensor whose name ends with `end` belongs to the tensor that has `weight` in place of it. */
static const struct name_rule {
    const char *end, *weight;
    part_kind part;
} name_rules[] = {{"_scale", "", PART_SCALE},     /* compressed-tensors: X.weight_scale; MX: X_scale */
                  {"_scale_inv", "", PART_SCALE}, /* DeepSeek; it multiplies too */
                  {"_scales", "", PART_SCALE},
                  {"_scales", "_blocks", PART_SCALE},
                  {".weight_scale", "", PART_SCALE},
                  {".scale_weight", "", PART_SCALE},
                  {".scale_weight", ".weight", PART_SCALE},  /* ComfyUI */
                  {".qscale_weight", ".weight", PART_SCALE}, /* Mistral */
                  {".scale", ".weight", PART_SCALE},
                  {".input_scale", ".weight", PART_COMPANION},
                  {"_input_scale", "", PART_COMPANION},
                  {".activation_scale", ".weight", PART_COMPANION},
                  {"_activation_scale", "", PART_COMPANION},
                  {".scale_input", ".weight", PART_COMPANION},
                  {".qscale_act", ".weight", PART_COMPANION},
                  {".comfy_quant", ".weight", PART_DESCRIPTION},
                  {"_scale_2", "", PART_OBSTACLE},
                  {"_global_scale", "", PART_OBSTACLE},
                  {"_zero_point", "", PART_OBSTACLE}};

enum { RULES = sizeof name_rules / sizeof *name_rules };

struct quantized { /* of each tensor: indexes of tensors of the model plus 1; 0: none */
    size_t weight; /* that this tensor belongs to */
    size_t scale;
    size_t obstacle; /* why the scale alone does not give the numbers: a second scale, a zero point */
    size_t description;
    int is_packed; /* integers with a scale beside them: most likely each holds several numbers */
};

static int is_quantized(st_dtype dtype) {
    switch (dtype) {
    case ST_DTYPE_F8_E4M3:
    case ST_DTYPE_F8_E5M2:
    case ST_DTYPE_F8_E4M3FNUZ:
    case ST_DTYPE_F8_E5M2FNUZ:
    case ST_DTYPE_F6_E2M3:
    case ST_DTYPE_F6_E3M2:
    case ST_DTYPE_F4:
    case ST_DTYPE_I8: return 1;
    default: return 0;
    }
}

static int can_be_packed(st_dtype dtype) {
    return dtype == ST_DTYPE_U8 || dtype == ST_DTYPE_I32 || dtype == ST_DTYPE_U32;
}

/* Returns the quantized or packed tensor that t belongs to by that rule, or NULL. buffer has room for the name of t and
 * more. */
static const st_tensor *find_weight(const st_model *model, const st_tensor *t, const struct name_rule *rule,
                                    char *buffer) {
    const size_t end = strlen(rule->end), tail = strlen(rule->weight);
    const st_tensor *weight;
    if (t->name_bytes <= end || memcmp(t->name + t->name_bytes - end, rule->end, end) != 0) return NULL;
    memcpy(buffer, t->name, t->name_bytes - end);
    memcpy(buffer + t->name_bytes - end, rule->weight, tail);
    weight = st_find_n(model, buffer, t->name_bytes - end + tail);
    return weight && (is_quantized(weight->dtype) || can_be_packed(weight->dtype)) ? weight : NULL;
}

static void link_tensors(scale_set *s, size_t index, size_t weight, part_kind part) {
    struct quantized *w = &s->tensors[weight];
    s->tensors[index].weight = weight + 1;
    if (part == PART_SCALE && !w->scale) {
        w->scale = index + 1;
    } else if (part == PART_SCALE || part == PART_OBSTACLE) {
        w->obstacle = index + 1;
    } else if (part == PART_DESCRIPTION) {
        w->description = index + 1;
    }
}

/* A scale that has a scale itself stands in the way of its weight, and is no weight. */
static void settle_chains(scale_set *s) {
    size_t i;
    for (i = 0; i < s->model->count; i++) {
        const st_tensor *weight = weight_of(s, &s->model->tensors[i]);
        if (weight && s->tensors[i].scale) s->tensors[weight - s->model->tensors].obstacle = s->tensors[i].scale;
    }
    for (i = 0; i < s->model->count; i++) {
        if (weight_of(s, &s->model->tensors[i])) s->tensors[i].scale = 0;
    }
}

int scales_find(scale_set *s, const st_model *model) {
    size_t i, k, longest = 0;
    char *buffer;
    for (i = 0; i < model->count; i++) {
        if (model->tensors[i].name_bytes > longest) longest = model->tensors[i].name_bytes;
    }
    s->model = model;
    s->tensors = (struct quantized *)calloc(model->count + 1, sizeof *s->tensors);
    buffer = (char *)malloc(longest + 16); /* a rule adds less */
    for (i = 0; s->tensors && buffer && i < model->count; i++) {
        for (k = 0; k < RULES; k++) {
            const st_tensor *weight = find_weight(model, &model->tensors[i], &name_rules[k], buffer);
            if (!weight) continue;
            if (!is_quantized(weight->dtype)) {
                if (name_rules[k].part == PART_SCALE) s->tensors[weight - model->tensors].is_packed = 1;
                continue;
            }
            link_tensors(s, i, (size_t)(weight - model->tensors), name_rules[k].part);
            break;
        }
    }
    if (s->tensors) settle_chains(s);
    free(buffer);
    return s->tensors && buffer;
}

void scales_end(scale_set *s) {
    free(s->tensors);
}

static const st_tensor *tensor_at(const scale_set *s, size_t index_plus_1) {
    return index_plus_1 ? &s->model->tensors[index_plus_1 - 1] : NULL;
}

const st_tensor *scale_of(const scale_set *s, const st_tensor *weight) {
    return s->tensors ? tensor_at(s, s->tensors[weight - s->model->tensors].scale) : NULL;
}

const st_tensor *weight_of(const scale_set *s, const st_tensor *t) {
    const st_tensor *weight = s->tensors ? tensor_at(s, s->tensors[t - s->model->tensors].weight) : NULL;
    return weight && scale_of(s, weight) ? weight : NULL;
}

int is_packed(const scale_set *s, const st_tensor *t) {
    return s->tensors && s->tensors[t - s->model->tensors].is_packed && !weight_of(s, t);
}

int is_scaled_marker(const st_tensor *t) {
    const char end[] = ".scaled_fp8";
    const size_t bytes = sizeof end - 1;
    if (t->name_bytes == bytes - 1) return memcmp(t->name, end + 1, bytes - 1) == 0;
    return t->name_bytes > bytes && memcmp(t->name + t->name_bytes - bytes, end, bytes) == 0;
}

/* ---- which numbers a scale is for: by shape ----------------------------------------------------------------- */

/* A row is the last axis that has several scales, with all axes after it. */
typedef struct layout {
    uint64_t row, run; /* elements of a row, and of it that share a scale; the last run can be shorter */
    uint64_t scales;   /* in a row */
    uint32_t axes;     /* before the row */
} layout;

static uint64_t scales_along(const st_tensor *scale, uint32_t axis) {
    return scale->elements == 1 || axis >= scale->rank ? 1 : scale->shape[axis];
}

/* Returns how many elements of an axis share each of `count` scales, or 0 if the axis cannot be divided so. Blocks are
 * of a common size, the last perhaps shorter, or all of the same size. */
static uint64_t block_length(uint64_t extent, uint64_t count) {
    static const uint64_t common[] = {128, 64, 32, 16}; /* at most one of them gives a count over 1 */
    size_t i;
    if (count == 1) return extent ? extent : 1;
    for (i = 0; i < sizeof common / sizeof *common; i++) {
        if (extent / common[i] + (extent % common[i] != 0) == count) return common[i];
    }
    return count && extent % count == 0 ? extent / count : 0;
}

/* Returns 0 if the shapes do not fit. A scale of fewer axes has one number for each index of the first axes. */
static int measure(const st_tensor *weight, const st_tensor *scale, layout *l) {
    const int is_short = scale->elements != 1 && scale->rank < weight->rank;
    uint64_t inner = 1; /* elements of the axes after this one */
    uint32_t left;
    memset(l, 0, sizeof *l);
    if (scale->elements != 1 && scale->rank > weight->rank) return 0;
    for (left = weight->rank; left > 0; left--) {
        const uint32_t axis = left - 1;
        const uint64_t extent = weight->shape[axis], count = scales_along(scale, axis),
                       block = block_length(extent, count);
        if (!block || (is_short && axis < scale->rank && count != extent)) return 0;
        if (l->row || weight->elements == 0) continue; /* without elements the products could overflow */
        if (count == 1) {
            inner *= extent;
            continue;
        }
        l->row = extent * inner;
        l->run = block * inner;
        l->scales = count;
        l->axes = axis;
    }
    if (l->row) return 1;
    l->row = l->run = inner;
    l->scales = 1;
    return 1;
}

/* U8 stands for E8M0 in MX files, whose blocks are 32 elements of the last axis. */
static int is_mx(const st_tensor *weight, const layout *l) {
    const uint64_t last = weight->rank ? weight->shape[weight->rank - 1] : 1;
    return l->run == 32 || (l->run < 32 && l->run == last);
}

/* Returns the index of the first scale of a row. */
static uint64_t first_scale(const st_tensor *weight, const st_tensor *scale, const layout *l, uint64_t row) {
    uint64_t index = 0, stride = l->scales;
    uint32_t left;
    for (left = l->axes; left > 0; left--) {
        const uint64_t extent = weight->shape[left - 1], count = scales_along(scale, left - 1);
        index += row % extent / block_length(extent, count) * stride;
        stride *= count;
        row /= extent;
    }
    return index;
}

/* ---- which scales can be applied ---------------------------------------------------------------------------- */

static st_status refuse(const st_tensor *weight, const st_tensor *other, const char *reason, st_error *error) {
    char message[sizeof error->message];
    snprintf(message, sizeof message,
             "\"%.50s\": %s \"%.50s\"; --no-scales converts as stored, --except keeps the tensor", weight->name, reason,
             other->name);
    return set_error(error, ST_ERR_UNSUPPORTED, message);
}

st_status scales_check(const scale_set *s, const st_tensor *weight, st_error *error) {
    const struct quantized *q = &s->tensors[weight - s->model->tensors];
    const st_tensor *scale = scale_of(s, weight), *obstacle = tensor_at(s, q->obstacle);
    const int is_f8 = weight->dtype != ST_DTYPE_I8 && st_dtype_bits(weight->dtype) == 8;
    layout l;
    if (obstacle) return refuse(weight, obstacle, "cannot apply a scale together with", error);
    /* ComfyUI rotates I8 weights and reorders the scales of blocks, and notes it there */
    if (q->description && !(is_f8 && scale->elements == 1)) {
        return refuse(weight, tensor_at(s, q->description), "cannot undo what is described in", error);
    }
    if (!is_float(scale->dtype) && scale->dtype != ST_DTYPE_U8) {
        return refuse(weight, scale, "a scale must be floating-point, or U8 that stands for E8M0, not the dtype of",
                      error);
    }
    if (!measure(weight, scale, &l)) {
        return refuse(weight, scale, "expected a scale per tensor, row or block, not the shape of", error);
    }
    if (scale->dtype == ST_DTYPE_U8 && !is_mx(weight, &l)) {
        return refuse(weight, scale, "U8 scales are E8M0 of blocks of 32, which does not fit the shape of", error);
    }
    return ST_OK;
}

/* ---- multiplying -------------------------------------------------------------------------------------------- */

typedef struct product { /* numbers that are multiplied in place */
    float *f32;          /* NULL: f64 */
    double *f64;
    const number_range *to;
    double above, most; /* the size of a factor with which no number is lost */
    losses *lost;
} product;

static void multiply_f32(float *numbers, size_t n, float scale) {
    for (; n >= 4; n -= 4, numbers += 4) { /* written out, as this is the hot loop and compilers may not unroll it */
        numbers[0] *= scale;
        numbers[1] *= scale;
        numbers[2] *= scale;
        numbers[3] *= scale;
    }
    for (; n; n--) *numbers++ *= scale;
}

/* Machines differ in the sign of a NaN that they make: here it has none, and a NaN stays the NaN that it is. */
static double defined_nan(double number) {
    static const uint32_t bits = 0x7fc00000;
    float nan;
    memcpy(&nan, &bits, sizeof nan);
    return is_nan(number) ? number : (double)nan;
}

/* Multiplies a number, and counts what is lost. */
static void multiply_number(product *p, size_t index, double scale) {
    const double number = p->f32 ? (double)p->f32[index] : p->f64[index];
    double result;
    if (p->f32) p->f32[index] *= (float)scale;
    if (!p->f32) p->f64[index] *= scale;
    result = p->f32 ? (double)p->f32[index] : p->f64[index];
    count_loss(p->lost, p->to, number, scale, result);
    if (!is_nan(result)) return;
    if (p->f32) p->f32[index] = (float)defined_nan(number);
    if (!p->f32) p->f64[index] = defined_nan(number);
}

/* Multiplies the numbers [first, first + n). */
static void multiply(product *p, size_t first, size_t n, double scale) {
    const double size = scale < 0 ? -scale : scale;
    const int is_safe = size > p->above && size <= p->most;
    size_t i;
    if (is_safe && p->f32) {
        multiply_f32(p->f32 + first, n, (float)scale);
    } else {
        for (i = first; i < first + n; i++) multiply_number(p, i, scale);
    }
}

/* Reads scales into the window, from that index on. The rows of a block use the same ones. */
static st_status read_window(scale_set *s, const st_tensor *scale, st_dtype as, uint64_t index, st_error *error) {
    const uint64_t rest = scale->elements - index;
    st_tensor stored = *scale;
    if (stored.dtype == ST_DTYPE_U8) stored.dtype = ST_DTYPE_F8_E8M0;
    s->window_of = NULL;
    s->window_as = as;
    s->first = index;
    s->count = rest < SCALES_WINDOW ? (size_t)rest : (size_t)SCALES_WINDOW;
    if (read_numbers(s->model, &stored, index, s->count, as,
                     as == ST_DTYPE_F64 ? (void *)s->window.f64 : (void *)s->window.f32, error) != ST_OK)
        return error->status;
    s->window_of = scale;
    return ST_OK;
}

static int is_in_window(const scale_set *s, const st_tensor *scale, st_dtype as, uint64_t index) {
    return s->window_of == scale && s->window_as == as && index >= s->first && index - s->first < s->count;
}

st_status scales_apply(scale_set *s, const st_tensor *weight, uint64_t first, size_t count, st_dtype as, void *numbers,
                       st_dtype to, losses *lost, st_error *error) {
    const st_tensor *scale = scale_of(s, weight);
    size_t done = 0;
    product p;
    layout l;
    p.f32 = as == ST_DTYPE_F64 ? NULL : (float *)numbers;
    p.f64 = as == ST_DTYPE_F64 ? (double *)numbers : NULL;
    p.to = range_of(to);
    p.lost = lost;
    safe_factors(range_of(weight->dtype), p.to, &p.above, &p.most);
    (void)measure(weight, scale, &l); /* scales_check has seen that it fits */
    while (done < count) {
        uint64_t at = (first + done) % l.row, left = l.run - at % l.run, /* of the run */
            index = first_scale(weight, scale, &l, (first + done) / l.row) + at / l.run;
        for (; done < count && at < l.row; index++, left = l.run) {
            size_t n = left < count - done ? (size_t)left : count - done;
            if (n > l.row - at) n = (size_t)(l.row - at);
            if (!is_in_window(s, scale, as, index) && read_window(s, scale, as, index, error) != ST_OK)
                return error->status;
            multiply(&p, done, n, p.f32 ? (double)s->window.f32[index - s->first] : s->window.f64[index - s->first]);
            done += n;
            at += n;
        }
    }
    return ST_OK;
}
