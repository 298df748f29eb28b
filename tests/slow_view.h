/* slow_view.h: the expected result of a view, computed one element at a time from the documented rules,
 * independently of the library except that st_convert converts single elements. Include it after safetensors.h. */
#ifndef SLOW_VIEW_H
#define SLOW_VIEW_H
#include <string.h>

#define SLOW_RANK 64

typedef struct slow_view {
    st_status shape_status; /* of st_view_shape */
    st_status status;       /* of st_read_as, as far as it depends on view and dtypes */
    uint64_t shape[SLOW_RANK], elements;
    uint64_t bytes; /* required size of dst */
} slow_view;

/* maps an output axis to a stored axis, and an output index to a stored index */
static inline uint32_t slow_axis(const st_view *v, uint32_t axis) {
    return v != NULL && v->axes != NULL ? v->axes[axis] : axis;
}

static inline st_range slow_range(const st_tensor *t, const st_view *v, uint32_t axis) {
    st_range r;
    r.start = 0, r.stop = t->shape[axis], r.step = 1;
    if (v != NULL && axis < v->range_count) {
        r = v->ranges[axis];
        if (r.stop == UINT64_MAX) r.stop = t->shape[axis];
        if (r.step == 0) r.step = 1;
    }
    return r;
}

static inline int slow_is_a_view(const st_tensor *t, const st_view *v) {
    uint32_t i, j;
    if (v == NULL) return 1;
    if (v->range_count > t->rank) return 0;
    for (i = 0; i < v->range_count; i++) {
        const st_range r = slow_range(t, v, i);
        if (r.start > r.stop || r.stop > t->shape[i]) return 0;
    }
    for (i = 0; v->axes != NULL && i < t->rank; i++) {
        if (v->axes[i] >= t->rank) return 0;
        for (j = 0; j < i; j++) {
            if (v->axes[j] == v->axes[i]) return 0;
        }
    }
    return 1;
}

/* counts the indices of a range */
static inline uint64_t slow_count(st_range r) {
    uint64_t at = r.start, n = 0;
    while (at < r.stop) {
        n++;
        if (r.step >= r.stop - at) break;
        at += r.step;
    }
    return n;
}

/* returns the stored position of output element n */
static inline uint64_t slow_element(const st_tensor *t, const st_view *v, const slow_view *w, uint64_t n) {
    uint64_t index[SLOW_RANK], element = 0;
    uint32_t i;
    if (v == NULL) return n;
    for (i = t->rank; i > 0; i--) {
        const uint32_t axis = slow_axis(v, i - 1);
        const st_range r = slow_range(t, v, axis);
        index[axis] = r.start + n % w->shape[i - 1] * r.step;
        n /= w->shape[i - 1];
    }
    for (i = 0; i < t->rank; i++) element = element * t->shape[i] + index[i];
    return element;
}

/* returns whether a view of a sub-byte dtype covers whole bytes, so that they can be copied */
static inline int slow_is_whole(const st_tensor *t, const st_view *v, const slow_view *w) {
    const unsigned bits = st_dtype_bits(t->dtype);
    uint64_t n, row;
    st_range last;
    int in_order = w->elements == t->elements;
    if (w->elements == 0) return 1;
    for (n = 0; in_order && n < w->elements; n++) in_order = slow_element(t, v, w, n) == n;
    if (in_order) return 1;
    if (slow_axis(v, t->rank - 1) != t->rank - 1) return 0;
    last = slow_range(t, v, t->rank - 1);
    if (last.step != 1 || last.start * bits % 8 != 0 || last.stop * bits % 8 != 0) return 0;
    row = w->shape[t->rank - 1];
    for (n = 0; n < w->elements; n += row) {
        if (slow_element(t, v, w, n) * bits % 8 != 0) return 0;
    }
    return 1;
}

static inline int slow_converts(st_dtype to, st_dtype from) {
    if (to == from) return 1;
    if (from == ST_DTYPE_C64) return 0;
    return to != ST_DTYPE_F4 && to != ST_DTYPE_F6_E2M3 && to != ST_DTYPE_F6_E3M2 && to != ST_DTYPE_F8_E8M0 &&
           to != ST_DTYPE_C64;
}

/* computes the expected result; t has a known dtype and a rank under SLOW_RANK */
static inline slow_view slow_look(const st_tensor *t, const st_view *v, st_dtype as) {
    slow_view w;
    uint32_t i;
    memset(&w, 0, sizeof w);
    w.shape_status = w.status = slow_is_a_view(t, v) ? ST_OK : ST_ERR_ARGUMENT;
    if (w.status != ST_OK) return w;
    w.elements = 1;
    for (i = 0; i < t->rank; i++) {
        w.shape[i] = slow_count(slow_range(t, v, slow_axis(v, i)));
        w.elements *= w.shape[i];
    }
    if (as == ST_DTYPE_UNKNOWN) as = t->dtype;
    w.bytes = (w.elements * st_dtype_bits(as) + 7) / 8;
    if (!slow_converts(as, t->dtype)) {
        w.status = ST_ERR_UNSUPPORTED;
    } else if (as == t->dtype && st_dtype_bits(as) < 8 && !slow_is_whole(t, v, &w)) {
        w.status = ST_ERR_SUBBYTE;
    }
    return w;
}

/* returns an element's code: by bytes, or by bits if it is shorter than a byte */
static inline uint64_t slow_code(const unsigned char *data, unsigned bits, uint64_t element) {
    uint64_t code = 0, at = element * bits;
    unsigned i;
    for (i = 0; bits % 8 == 0 && i < bits; i += 8) code |= (uint64_t)data[(at + i) / 8] << i;
    if (bits % 8 == 0) return code;
    for (i = 0; i < bits; i++, at++) code |= (uint64_t)(data[at / 8] >> at % 8 & 1) << i;
    return code;
}

/* stores a number of `bits` bits in this machine's byte order */
static inline void slow_put(unsigned char *out, unsigned bits, uint64_t code) {
    const uint8_t byte = (uint8_t)(code & 0xff);
    const uint16_t half = (uint16_t)(code & 0xffff);
    const uint32_t word = (uint32_t)(code & 0xffffffff);
    if (bits == 8) memcpy(out, &byte, 1);
    if (bits == 16) memcpy(out, &half, 2);
    if (bits == 32) memcpy(out, &word, 4);
    if (bits == 64) memcpy(out, &code, 8);
}

/* writes the expected bytes of a valid view; data: the tensor's first byte */
static inline void slow_give(const unsigned char *data, const st_tensor *t, const st_view *v, st_dtype as,
                             const slow_view *w, unsigned char *out) {
    const unsigned bits = st_dtype_bits(t->dtype);
    uint64_t n;
    unsigned i;
    if (as == ST_DTYPE_UNKNOWN) as = t->dtype;
    memset(out, 0, (size_t)w->bytes);
    for (n = 0; n < w->elements; n++) {
        const uint64_t code = slow_code(data, bits, slow_element(t, v, w, n));
        if (as != t->dtype) {
            unsigned char from[8] = {0}, to[4 * 8]; /* four elements of 4 or 6 bits are whole bytes */
            if (bits < 8) {
                from[0] = (unsigned char)code;
            } else {
                slow_put(from, bits, code);
            }
#if !defined(ST_NO_CONVERT)
            if (st_convert(as, to, t->dtype, from, bits < 8 ? 4 : 1) != ST_OK) return; /* zeros fail the test */
#else
            memset(to, 0, sizeof to);
#endif
            memcpy(out + n * (st_dtype_bits(as) / 8), to, st_dtype_bits(as) / 8);
        } else if (bits < 8) {
            for (i = 0; i < bits; i++) {
                const uint64_t at = n * bits + i;
                out[at / 8] = (unsigned char)(out[at / 8] | (code >> i & 1) << at % 8);
            }
        } else if (as == ST_DTYPE_C64) {
            slow_put(out + n * 8, 32, code & 0xffffffff);
            slow_put(out + n * 8 + 4, 32, code >> 32);
        } else {
            slow_put(out + n * (bits / 8), bits, code);
        }
    }
}
#endif
