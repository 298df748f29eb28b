/* values.c: reads the numbers of tensors and counts NaN, infinity and bad BOOL bytes by their bits. */
#include "st.h"
#include <string.h>

/* The bits of a floating-point dtype. infinity is 0 if the dtype has none. */
typedef struct format {
    uint64_t value;         /* mask of the bits other than the sign */
    uint64_t infinity;      /* without the sign */
    uint64_t nan, last_nan; /* NaN is every value in this range */
} format;

static const format *format_of(st_dtype dtype) {
    static const format f64 = {0x7fffffffffffffff, 0x7ff0000000000000, 0x7ff0000000000001, 0x7fffffffffffffff},
                        f32 = {0x7fffffff, 0x7f800000, 0x7f800001, 0x7fffffff}, bf16 = {0x7fff, 0x7f80, 0x7f81, 0x7fff},
                        f16 = {0x7fff, 0x7c00, 0x7c01, 0x7fff}, f8_e5m2 = {0x7f, 0x7c, 0x7d, 0x7f},
                        f8_e4m3 = {0x7f, 0, 0x7f, 0x7f}, f8_e8m0 = {0xff, 0, 0xff, 0xff},
                        f8_fnuz = {0xff, 0, 0x80, 0x80};
    switch (dtype) {
    case ST_DTYPE_F64: return &f64;
    case ST_DTYPE_C64:
    case ST_DTYPE_F32: return &f32;
    case ST_DTYPE_BF16: return &bf16;
    case ST_DTYPE_F16: return &f16;
    case ST_DTYPE_F8_E5M2: return &f8_e5m2;
    case ST_DTYPE_F8_E4M3: return &f8_e4m3;
    case ST_DTYPE_F8_E8M0: return &f8_e8m0;
    case ST_DTYPE_F8_E4M3FNUZ:
    case ST_DTYPE_F8_E5M2FNUZ: return &f8_fnuz;
    default: return NULL; /* all values are finite, or the dtype is unknown */
    }
}

static void count(findings *found, const format *f, uint64_t bits) {
    const uint64_t value = bits & f->value;
    found->infinity += f->infinity && value == f->infinity;
    found->nan += value >= f->nan && value <= f->last_nan;
}

static uint64_t load(const unsigned char *bytes, size_t n) {
    uint64_t bits = 0;
    while (n) bits = bits << 8 | bytes[--n];
    return bits;
}

void count_findings(findings *found, st_dtype dtype, const unsigned char *bytes, size_t n) {
    const format *f = format_of(dtype);
    const size_t width =
        dtype == ST_DTYPE_C64 ? 4 : st_dtype_bits(dtype) / 8; /* C64: real and imaginary parts count separately */
    size_t i;
    if (dtype == ST_DTYPE_BOOL) {
        for (i = 0; i < n; i++) found->bad_bool += bytes[i] > 1;
    }
    if (!f) return;
    /* one loop for each width, so that the compiler can load an element at once */
    if (width == 1) {
        for (i = 0; i < n; i++) count(found, f, bytes[i]);
    } else if (width == 2) {
        for (i = 0; i + 2 <= n; i += 2) count(found, f, load(bytes + i, 2));
    } else if (width == 4) {
        for (i = 0; i + 4 <= n; i += 4) count(found, f, load(bytes + i, 4));
    } else {
        for (i = 0; i + 8 <= n; i += 8) count(found, f, load(bytes + i, 8));
    }
}

int is_float(st_dtype dtype) {
    return *st_dtype_name(dtype) == 'F' || dtype == ST_DTYPE_BF16;
}

int has_numbers(const st_tensor *t) {
    return t->dtype == ST_DTYPE_C64 || st_convert(ST_DTYPE_F64, NULL, t->dtype, NULL, 0) == ST_OK;
}

uint64_t number_count(const st_tensor *t) {
    return t->dtype == ST_DTYPE_C64 ? t->elements * 2 : t->elements; /* no overflow: a C64 has 8 bytes */
}

st_status read_numbers(const st_model *model, const st_tensor *tensor, uint64_t first, size_t count, st_dtype as,
                       void *to, st_error *error) {
    const uint64_t total = number_count(tensor);
    st_tensor flat = *tensor; /* the same bytes in one dimension */
    st_range range;
    st_view view;
    memset(&range, 0, sizeof range);
    memset(&view, 0, sizeof view);
    if (flat.dtype == ST_DTYPE_C64) flat.dtype = ST_DTYPE_F32;
    flat.dtype_name = st_dtype_name(flat.dtype);
    flat.rank = 1;
    flat.shape = &total;
    flat.elements = total;
    range.start = first;
    range.stop = first + count;
    view.ranges = &range;
    view.range_count = 1;
    return st_read_as(model, &flat, &view, as, to, count * (st_dtype_bits(as) / 8), error);
}
