/* slow_writer.h: turns fuzz_write.c's input into a model to save, often an invalid one, and computes the expected
 * statuses and the expected file. Both are written from the rules, independently of the library. */
#ifndef SLOW_WRITER_H
#define SLOW_WRITER_H
#include "fuzz.h"

#define MOST_TENSORS 32
#define MOST_PAIRS 12
#define MOST_RANK 8
#define SMALL_BYTES 4096       /* larger tensors have no data here and cannot be written */
#define HEADER_LIMIT 100000000 /* the format's limit */
#define MOST_DATA ((uint64_t)INT64_MAX)

typedef struct text {
    char *bytes; /* a heap block of its own; NUL-terminated only if passed without a length */
    size_t n;
    int null, terminated;
} text;

typedef struct item {
    st_tensor tensor; /* as passed to the library */
    uint64_t shape[MOST_RANK];
    text name, spelling;
    uint8_t *data;
    int null_shape, given; /* given: has data, instead of leaving it to `fill` */
    /* the expected values */
    int dtype;
    uint64_t bytes;
    unsigned faults; /* the errors of this tensor, as bits 1 << status; earlier valid tensors count for duplicates */
} item;

typedef struct pair {
    text key, value;
    st_pair pair;
    unsigned faults;
} pair;

typedef struct job {
    item items[MOST_TENSORS];
    pair pairs[MOST_PAIRS + 1]; /* an edit may add one */
    size_t count, pair_count;
    int has_metadata, has_fill, files, huge;
    unsigned flags, knob;
    size_t align, slack;
    unsigned faults;       /* possible statuses of st_save, as bits 1 << status; 0: it must succeed */
    unsigned open_faults;  /* of st_writer_open */
    int repeated;          /* a valid pair or tensor has the name of an earlier one */
    unsigned begin_faults; /* of st_writer_begin, after bad tensors and pairs were rejected */
} job;

/* ---- bytes ---------------------------------------------------------------------------------------------- */

typedef struct buffer {
    uint8_t *bytes;
    size_t n, room;
} buffer;

static inline void put(buffer *b, const void *bytes, size_t n) {
    if (n > b->room - b->n) {
        b->room = (b->n + n) * 2;
        b->bytes = (uint8_t *)realloc(b->bytes, b->room);
        CHECK(b->bytes != NULL);
    }
    if (n) memcpy(b->bytes + b->n, bytes, n);
    b->n += n;
}

static inline void put_string(buffer *b, const char *s) {
    put(b, s, strlen(s));
}

static inline void put_number(buffer *b, uint64_t value) {
    char digits[24];
    snprintf(digits, sizeof digits, "%llu", (unsigned long long)value);
    put_string(b, digits);
}

static inline int same_bytes(const buffer *a, const buffer *b) {
    return a->n == b->n && (a->n == 0 || memcmp(a->bytes, b->bytes, a->n) == 0);
}

/* ---- input ---------------------------------------------------------------------------------------------- */

typedef struct cursor {
    const uint8_t *at, *end;
} cursor;

static inline unsigned take(cursor *c) {
    return c->at < c->end ? *c->at++ : 0;
}

static const char *const pieces[3][6] = {
    {"a", "b", "c", ".", "\"", "\\"},
    {"\n", "\x01", "\x1f", "\x7f", "\xC3\xA9", "\xE2\x82\xAC"},
    {"\xF0\x9F\x98\x80", "/", "\b\t\v\f\r", "__metadata__", "\xEE\x80\x80", "\xEF\xBF\xBD"}};
static const char *const broken[] = {"\xFF", "\xC3", "\xED\xA0\x80", "\xC0\xAF", "\xF4\x90\x80\x80", "\xE2\x82"};

/* one byte of length, then one for each piece; equal bytes give equal texts */
static inline text take_text(cursor *c) {
    unsigned shape = take(c), count = shape & 7, i;
    buffer b = {NULL, 0, 0};
    text t;
    memset(&t, 0, sizeof t);
    t.null = shape == 255;
    for (i = 0; i < count; i++) {
        unsigned p = take(c);
        if (p < 240) {
            put_string(&b, pieces[p % 18 / 6][p % 6]);
        } else if (p < 250) {
            put(&b, "", 1);
        } else {
            put_string(&b, broken[p - 250]);
        }
    }
    t.n = b.n;
    t.terminated = t.n == 0 || (shape & 64 && memchr(b.bytes, 0, b.n) == NULL);
    if (t.terminated) put(&b, "", 1);
    t.bytes = (char *)fuzz_copy(b.bytes, b.n);
    free(b.bytes);
    return t;
}

static const uint64_t dimensions[] = {
    1,         2, 3, 4, 5, 8, 0, 7, 16, 1, 2, 4, 12, 1, ((uint64_t)1 << 61) - 1, (uint64_t)1 << 32, (uint64_t)1 << 63,
    UINT64_MAX};
#define DIMENSIONS (sizeof dimensions / sizeof *dimensions)

static const char *const spellings[] = {"X2", "F128", "q\"\\\n\x01", "\xE2\x82\xAC", "f32", "I2"};
#define SPELLINGS (sizeof spellings / sizeof *spellings)

/* a spelling for ST_DTYPE_UNKNOWN: unknown, known, invalid UTF-8, or NULL */
static inline void take_spelling(item *it, unsigned kind, cursor *c) {
    unsigned which = take(c);
    const char *s = kind == 27   ? fuzz_dtypes[1 + which % 22].name
                    : kind == 28 ? broken[which % 6]
                                 : spellings[which % SPELLINGS];
    it->spelling.null = kind == 29;
    it->spelling.n = strlen(s);
    it->spelling.bytes = (char *)fuzz_copy(s, strlen(s) + 1);
    it->tensor.dtype_name = it->spelling.null ? NULL : it->spelling.bytes;
}

static inline void take_tensor(job *j, cursor *c) {
    item *it = &j->items[j->count++];
    st_tensor *t = &it->tensor;
    unsigned kind, rank, i;
    memset(it, 0, sizeof *it);
    it->name = take_text(c);
    t->name = it->name.null ? NULL : it->name.bytes;
    t->name_bytes = it->name.terminated ? 0 : it->name.n;
    t->elements = t->offset = 0x5555555555555555u; /* fields that saving ignores */
    t->shard = 0x55555555u;
    t->bytes = 0x5555u;
    kind = take(c);
    it->given = (kind & 32) != 0;
    it->null_shape = (kind & 0xC0) == 0xC0 && take(c) == 0;
    kind &= 31;
    t->dtype = kind < 23 ? (st_dtype)kind : kind < 30 ? ST_DTYPE_UNKNOWN : (st_dtype)(kind == 30 ? 23 : 77);
    if (t->dtype == ST_DTYPE_UNKNOWN) {
        take_spelling(it, kind, c);
        t->bytes = take(c);
        if (t->bytes >= 250) t->bytes = ((uint64_t)1 << 61) - 1;
    }
    rank = take(c) % (MOST_RANK + 1);
    for (i = 0; i < rank; i++) it->shape[i] = dimensions[take(c) % DIMENSIONS];
    t->rank = rank;
    t->shape = rank == 0 || it->null_shape ? NULL : it->shape;
}

static const size_t aligns[] = {0, 0, 8, 16, 64, 4096, 1, 12, 4, (size_t)1 << 30, (size_t)-1};
static const size_t slacks[] = {0, 0, 1, 7, 8, 100, 5000, HEADER_LIMIT * 2, (size_t)-1};

static inline void read_job(job *j, cursor *c) {
    unsigned bits = take(c), i;
    memset(j, 0, sizeof *j);
    j->flags = (bits & 1 ? ST_SAVE_KEEP_ORDER : 0u) | (bits & 2 ? ST_SAVE_NO_SYNC : 0u);
    j->has_metadata = (bits & 4) != 0;
    j->has_fill = (bits & 8) == 0;
    j->files = (bits & 0x70) == 0x70;
    if ((bits & 0xF0) == 0xF0 && take(c) == 0) j->flags |= 1u << 20;
    i = take(c);
    j->align = aligns[i % 16 < 11 ? i % 16 : 0];
    j->slack = slacks[i / 16 < 9 ? i / 16 : 0];
    j->knob = take(c);
    if (j->has_metadata) j->pair_count = take(c) % (MOST_PAIRS + 1);
    for (i = 0; i < j->pair_count; i++) {
        pair *p = &j->pairs[i];
        p->key = take_text(c);
        p->value = take_text(c);
        p->pair.key = p->key.null ? NULL : p->key.bytes;
        p->pair.key_bytes = p->key.terminated ? 0 : p->key.n;
        p->pair.value = p->value.null ? NULL : p->value.bytes;
        p->pair.value_bytes = p->value.terminated ? 0 : p->value.n;
    }
    while (c->at < c->end && j->count < MOST_TENSORS) take_tensor(j, c);
}

/* ---- the rules, implemented simply ---------------------------------------------------------------------- */

static inline int same_text(const text *a, const text *b) {
    return a->n == b->n && memcmp(a->bytes, b->bytes, a->n) == 0;
}

static inline unsigned fault(st_status status) {
    return 1u << (unsigned)status;
}

static inline void judge_size(item *it) {
    uint64_t elements = 1, bits;
    uint32_t i;
    for (i = 0; i < it->tensor.rank; i++)
        if (!fuzz_multiply(&elements, it->shape[i])) {
            it->faults |= fault(ST_ERR_OVERFLOW);
            return;
        }
    if (it->dtype == 0) {
        it->bytes = it->tensor.bytes;
        return;
    }
    bits = elements;
    if (!fuzz_multiply(&bits, fuzz_dtypes[it->dtype].bits)) {
        it->faults |= fault(ST_ERR_OVERFLOW);
        return;
    }
    if (bits % 8 != 0) it->faults |= fault(ST_ERR_SUBBYTE);
    it->bytes = bits / 8;
    if (it->tensor.dtype == ST_DTYPE_UNKNOWN && it->tensor.bytes != it->bytes) it->faults |= fault(ST_ERR_SIZE);
}

static inline void judge_item(job *j, size_t index) {
    item *it = &j->items[index];
    size_t i;
    it->faults = 0;
    if (it->name.null || (it->tensor.rank > 0 && it->null_shape) || (unsigned)it->tensor.dtype > 22 ||
        (it->tensor.dtype == ST_DTYPE_UNKNOWN && it->spelling.null)) {
        it->faults = fault(ST_ERR_ARGUMENT);
        return;
    }
    it->dtype = it->tensor.dtype == ST_DTYPE_UNKNOWN ? fuzz_dtype(it->spelling.bytes) : (int)it->tensor.dtype;
    if (!fuzz_is_utf8(it->name.bytes, it->name.n)) it->faults |= fault(ST_ERR_UTF8);
    if (it->spelling.bytes && !fuzz_is_utf8(it->spelling.bytes, it->spelling.n)) it->faults |= fault(ST_ERR_UTF8);
    if (it->name.n == 12 && memcmp(it->name.bytes, "__metadata__", 12) == 0) it->faults |= fault(ST_ERR_ARGUMENT);
    for (i = 0; i < index; i++)
        if (j->items[i].faults == 0 && same_text(&j->items[i].name, &it->name)) it->faults |= fault(ST_ERR_DUPLICATE);
    judge_size(it);
}

static inline void judge_pair(job *j, size_t index) {
    pair *p = &j->pairs[index];
    size_t i;
    p->faults = 0;
    if (p->key.null || p->value.null) {
        p->faults = fault(ST_ERR_ARGUMENT);
        return;
    }
    if (!fuzz_is_utf8(p->key.bytes, p->key.n) || !fuzz_is_utf8(p->value.bytes, p->value.n))
        p->faults |= fault(ST_ERR_UTF8);
    for (i = 0; i < index; i++)
        if (j->pairs[i].faults == 0 && same_text(&j->pairs[i].key, &p->key)) p->faults |= fault(ST_ERR_DUPLICATE);
}

/* ---- the slow writer ------------------------------------------------------------------------------------ */

static inline void put_json(buffer *b, const char *s, size_t n) {
    static const char plain[] = "\"\\\b\f\n\r\t", letter[] = "\"\\bfnrt";
    size_t i;
    put_string(b, "\"");
    for (i = 0; i < n; i++) {
        const char *special = s[i] ? strchr(plain, s[i]) : NULL;
        char escape[8];
        if (special) {
            escape[0] = '\\', escape[1] = letter[special - plain];
            put(b, escape, 2);
        } else if ((unsigned char)s[i] < 0x20) {
            snprintf(escape, sizeof escape, "\\u%04x", (unsigned)s[i]);
            put(b, escape, 6);
        } else {
            put(b, s + i, 1);
        }
    }
    put_string(b, "\"");
}

static inline int text_before(const text *a, const text *b) {
    int order = memcmp(a->bytes, b->bytes, a->n < b->n ? a->n : b->n);
    return order != 0 ? order < 0 : a->n < b->n;
}

/* sorts the valid tensors in file order; returns their number */
static inline size_t in_order(const job *j, const item **order) {
    size_t count = 0, i, k;
    for (i = 0; i < j->count; i++) {
        const item *it = &j->items[i];
        if (it->faults) continue;
        for (k = count++; k > 0 && !(j->flags & ST_SAVE_KEEP_ORDER); k--) {
            const item *before = order[k - 1];
            if (before->dtype > it->dtype || (before->dtype == it->dtype && text_before(&before->name, &it->name)))
                break;
            order[k] = before;
        }
        order[k] = it;
    }
    return count;
}

static inline void put_metadata(buffer *b, const job *j) {
    const pair *order[MOST_PAIRS + 1];
    size_t count = 0, i, k;
    for (i = 0; i < j->pair_count; i++) {
        if (j->pairs[i].faults) continue;
        for (k = count++; k > 0 && text_before(&j->pairs[i].key, &order[k - 1]->key); k--) order[k] = order[k - 1];
        order[k] = &j->pairs[i];
    }
    put_string(b, "\"__metadata__\":{");
    for (i = 0; i < count; i++) {
        if (i > 0) put_string(b, ",");
        put_json(b, order[i]->key.bytes, order[i]->key.n);
        put_string(b, ":");
        put_json(b, order[i]->value.bytes, order[i]->value.n);
    }
    put_string(b, "}");
}

static inline void put_entry(buffer *b, const item *it, uint64_t begin) {
    uint32_t i;
    put_json(b, it->name.bytes, it->name.n);
    put_string(b, ":{\"dtype\":");
    if (it->dtype) {
        put_json(b, fuzz_dtypes[it->dtype].name, strlen(fuzz_dtypes[it->dtype].name));
    } else {
        put_json(b, it->spelling.bytes, it->spelling.n);
    }
    put_string(b, ",\"shape\":[");
    for (i = 0; i < it->tensor.rank; i++) {
        if (i > 0) put_string(b, ",");
        put_number(b, it->shape[i]);
    }
    put_string(b, "],\"data_offsets\":[");
    put_number(b, begin);
    put_string(b, ",");
    put_number(b, begin + it->bytes);
    put_string(b, "]}");
}

/* Returns the file of the valid tensors and pairs; sets `overflow` if it cannot exist. Omits the data if a tensor is
 * huge, and the padding of a header over the limit. */
static inline buffer write_slowly(const job *j, int *overflow, uint64_t *header) {
    const item *order[MOST_TENSORS];
    size_t count = in_order(j, order), i;
    uint64_t at = 0, align = j->align ? j->align : 8;
    buffer b = {NULL, 0, 0};
    *overflow = 0;
    put(&b, "\0\0\0\0\0\0\0", 8);
    put_string(&b, "{");
    if (j->has_metadata) put_metadata(&b, j);
    for (i = 0; i < count; i++) {
        if (i > 0 || j->has_metadata) put_string(&b, ",");
        if (order[i]->bytes > MOST_DATA - at) {
            *overflow = 1;
            return b;
        }
        put_entry(&b, order[i], at);
        at += order[i]->bytes;
    }
    put_string(&b, "}");
    *header = b.n - 8;
    if (j->slack > HEADER_LIMIT || align > HEADER_LIMIT) {
        *header = UINT64_MAX;
        return b;
    }
    *header += j->slack;
    *header += (align - (8 + *header) % align) % align;
    if (*header > HEADER_LIMIT) return b;
    while (b.n < 8 + *header) put(&b, " ", 1);
    for (i = 0; i < 8; i++) b.bytes[i] = (uint8_t)(*header >> (8 * i));
    for (i = 0; i < count && !j->huge; i++) put(&b, order[i]->data, (size_t)order[i]->bytes);
    return b;
}

static inline void make_data(item *it, unsigned seed) {
    size_t n = it->faults || it->bytes > SMALL_BYTES ? 0 : (size_t)it->bytes, i;
    it->data = (uint8_t *)malloc(n ? n : 1);
    CHECK(it->data != NULL);
    for (i = 0; i < n; i++) it->data[i] = (uint8_t)((seed * 37 + i * 11) & 255);
    it->tensor.data = it->given ? it->data : NULL;
}

/* computes all expected statuses: st_save may report an error of its options, of the first bad pair or of the first
 * bad tensor */
static inline void judge(job *j, buffer *expected) {
    int overflow;
    size_t i;
    uint64_t header = 0;
    const unsigned twice = fault(ST_ERR_DUPLICATE); /* reported last, once all names are known */
    unsigned first_pair = 0, first_item = 0, no_data = 0;
    for (i = 0; i < j->pair_count; i++) {
        judge_pair(j, i);
        if (!first_pair) first_pair = j->pairs[i].faults & ~twice;
        if (j->pairs[i].faults == twice) j->repeated = 1;
    }
    for (i = 0; i < j->count; i++) {
        item *it = &j->items[i];
        judge_item(j, i);
        if (!first_item) first_item = it->faults & ~twice;
        if (it->faults == twice) j->repeated = 1;
        if (!it->faults && it->bytes > SMALL_BYTES) it->given = 0, j->huge = 1;
        make_data(it, (unsigned)i + j->knob);
        if (!it->given && !j->has_fill && (it->faults || it->bytes > 0)) no_data = fault(ST_ERR_ARGUMENT);
    }
    if ((j->flags & ~(ST_SAVE_KEEP_ORDER | ST_SAVE_NO_SYNC)) ||
        (j->align && (j->align < 8 || (j->align & (j->align - 1)))))
        j->open_faults = fault(ST_ERR_ARGUMENT);
    j->faults = j->open_faults | first_pair | first_item | no_data;
    if (j->open_faults) return;
    *expected = write_slowly(j, &overflow, &header);
    if (overflow) j->begin_faults |= fault(ST_ERR_OVERFLOW);
    if (header > HEADER_LIMIT) j->begin_faults |= fault(ST_ERR_HEADER_LIMIT);
    if (header == UINT64_MAX) j->begin_faults |= fault(ST_ERR_OVERFLOW); /* slack overflows the sum */
    /* Duplicate names are found while sorting, before or after the data sources are checked, and the header may also
     * be too long. */
    if (j->repeated && (j->faults & ~fault(ST_ERR_ARGUMENT)) == 0 && !first_pair && !first_item) {
        j->faults |= twice | fault(ST_ERR_OVERFLOW);
    }
    if (!j->faults) j->faults = j->begin_faults;
}

#endif
