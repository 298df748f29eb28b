/* fuzz.h: code that the harnesses share: a check that aborts, an allocator that counts and fails on demand,
 * independent implementations of dtypes, sizes and UTF-8 to compare the library with, and a mutator that keeps the
 * header length consistent, so that most mutations reach the JSON parser. */
#ifndef FUZZ_H
#define FUZZ_H
#include "../safetensors.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed);
size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max_size); /* main.c: an empty one */

#define CHECK(x) ((x) ? (void)0 : fuzz_fail(__FILE__, __LINE__, #x))

static inline void fuzz_fail(const char *file, int line, const char *what) {
    fprintf(stderr, "%s:%d: violated: %s\n", file, line, what);
    abort();
}

/* copies into a heap block of exactly n bytes, so that sanitizers detect reads past the end */
static inline uint8_t *fuzz_copy(const void *bytes, size_t n) {
    uint8_t *copy = (uint8_t *)malloc(n ? n : 1);
    CHECK(copy != NULL);
    if (n) memcpy(copy, bytes, n);
    return copy;
}

/* ---- an allocator that checks what is freed ----------------------------------------------------------- */

typedef struct fuzz_heap {
    size_t live;
    unsigned calls, fail_at; /* fail_at: the number of the call that fails; 0: none */
} fuzz_heap;

typedef union fuzz_block { /* precedes every block: its heap and size */
    struct {
        fuzz_heap *heap;
        size_t bytes;
    } of;
    uint64_t align[2];
} fuzz_block;

static inline void *fuzz_alloc(void *user, size_t bytes) {
    fuzz_heap *heap = (fuzz_heap *)user;
    fuzz_block *block;
    CHECK(bytes > 0);
    if (++heap->calls == heap->fail_at) return NULL;
    block = (fuzz_block *)malloc(sizeof *block + bytes);
    CHECK(block != NULL);
    block->of.heap = heap;
    block->of.bytes = bytes;
    heap->live += bytes;
    return block + 1;
}

static inline void fuzz_free(void *user, void *pointer, size_t bytes) {
    fuzz_heap *heap = (fuzz_heap *)user;
    fuzz_block *block;
    CHECK(pointer != NULL);
    block = (fuzz_block *)pointer - 1;
    CHECK(block->of.heap == heap && block->of.bytes == bytes && heap->live >= bytes);
    block->of.heap = NULL; /* so that a double free is detected */
    heap->live -= bytes;
    free(block);
}

static inline st_allocator fuzz_allocator(fuzz_heap *heap) {
    st_allocator allocator;
    memset(heap, 0, sizeof *heap);
    allocator.user = heap;
    allocator.alloc = fuzz_alloc;
    allocator.free = fuzz_free;
    return allocator;
}

/* ---- reference implementations ------------------------------------------------------------------------ */

static const struct {
    const char *name;
    unsigned bits;
} fuzz_dtypes[] = {{"", 0},     {"BOOL", 8},    {"F4", 4},      {"F6_E2M3", 6}, {"F6_E3M2", 6},     {"U8", 8},
                   {"I8", 8},   {"F8_E5M2", 8}, {"F8_E4M3", 8}, {"F8_E8M0", 8}, {"F8_E4M3FNUZ", 8}, {"F8_E5M2FNUZ", 8},
                   {"I16", 16}, {"U16", 16},    {"F16", 16},    {"BF16", 16},   {"I32", 32},        {"U32", 32},
                   {"F32", 32}, {"C64", 64},    {"F64", 64},    {"I64", 64},    {"U64", 64}};

/* returns the number of a dtype's name, 0 if unknown */
static inline int fuzz_dtype(const char *name) {
    int i;
    for (i = 1; i < (int)(sizeof fuzz_dtypes / sizeof *fuzz_dtypes); i++)
        if (strcmp(fuzz_dtypes[i].name, name) == 0) return i;
    return 0;
}

static inline int fuzz_multiply(uint64_t *product, uint64_t by) {
    if (by != 0 && *product > UINT64_MAX / by) return 0;
    *product *= by;
    return 1;
}

/* checks that the tensor's element count and size agree with its shape and its dtype's name */
static inline void fuzz_check_size(const st_tensor *t) {
    int dtype = fuzz_dtype(t->dtype_name), fits = 1;
    st_dtype by_name;
    uint64_t elements = 1, bits;
    uint32_t i;
    for (i = 0; i < t->rank; i++) fits = fits && fuzz_multiply(&elements, t->shape[i]);
    CHECK((int)t->dtype == dtype && fits && t->elements == elements);
    CHECK(st_dtype_from_name(t->dtype_name, &by_name) == (dtype ? ST_OK : ST_ERR_DTYPE) && by_name == t->dtype);
    if (dtype == 0) return;
    bits = elements;
    CHECK(fuzz_multiply(&bits, fuzz_dtypes[dtype].bits) && bits % 8 == 0 && t->bytes == bits / 8);
    CHECK(strcmp(st_dtype_name(t->dtype), t->dtype_name) == 0 && st_dtype_bits(t->dtype) == fuzz_dtypes[dtype].bits);
}

/* returns the length of the UTF-8 sequence at s, 0 if it is invalid */
static inline size_t fuzz_utf8_sequence(const unsigned char *s, size_t n, unsigned long *code) {
    static const unsigned long least[] = {0, 0, 0x80, 0x800, 0x10000};
    size_t length = s[0] < 0x80 ? 1 : s[0] < 0xc0 ? 0 : s[0] < 0xe0 ? 2 : s[0] < 0xf0 ? 3 : s[0] < 0xf8 ? 4 : 0, i;
    if (length == 0 || length > n) return 0;
    *code = length == 1 ? s[0] : s[0] & (0x7fu >> length);
    for (i = 1; i < length; i++) {
        if ((s[i] & 0xc0) != 0x80) return 0;
        *code = *code << 6 | (s[i] & 0x3fu);
    }
    if (*code < least[length] || *code > 0x10ffff || (*code >= 0xd800 && *code < 0xe000)) return 0;
    return length;
}

static inline int fuzz_is_utf8(const char *text, size_t n) {
    size_t at = 0, length;
    unsigned long code = 0;
    for (; at < n; at += length) {
        length = fuzz_utf8_sequence((const unsigned char *)text + at, n - at, &code);
        if (length == 0) return 0;
    }
    return 1;
}

/* returns whether the text is safe to display: UTF-8, one line, no control characters */
static inline int fuzz_is_printable(const char *text) {
    size_t at = 0, n = strlen(text), length;
    unsigned long code = 0;
    for (; at < n; at += length) {
        length = fuzz_utf8_sequence((const unsigned char *)text + at, n - at, &code);
        if (length == 0 || code < 0x20 || (code >= 0x7f && code < 0xa0)) return 0;
    }
    return 1;
}

static inline uint64_t fuzz_u64(const uint8_t *bytes) {
    uint64_t value = 0;
    int i;
    for (i = 8; i-- > 0;) value = value << 8 | bytes[i];
    return value;
}

/* ---- verdicts ----------------------------------------------------------------------------------------- */

/* checks what must hold for every error; n is the file's length */
static inline void fuzz_check_error(st_status status, const st_error *error, uint64_t n, const char *file_name) {
    size_t shown = strlen(file_name) < 40 ? strlen(file_name) : 40; /* longer names are shortened in the middle */
    CHECK(error->status == status);
    CHECK(st_status_name(status)[0] == 'S');
    if (status == ST_OK) return;
    CHECK(error->position == UINT64_MAX || error->position <= n);
    CHECK(memchr(error->subject, 0, sizeof error->subject) && memchr(error->message, 0, sizeof error->message));
    CHECK(fuzz_is_printable(error->subject) && fuzz_is_printable(error->message));
#ifndef ST_NO_ERROR_TEXT
    CHECK(strncmp(error->message, file_name, shown) == 0);
    CHECK(strstr(error->message, ": ") != NULL && strlen(error->message) > 20);
#else
    (void)shown;
#endif
    if (error->sys != 0) return; /* the callback's code determines the status */
    switch (status) {
    case ST_ERR_TRUNCATED: CHECK(error->actual == n && error->expected > n && error->position == n); break;
    case ST_ERR_TRAILING: CHECK(error->actual == n && error->expected < n && error->position == n); break;
    case ST_ERR_HEADER_LIMIT: CHECK(error->actual > error->expected && error->position == 0); break;
    case ST_ERR_FORMAT: CHECK(error->position == 0); break;
    case ST_ERR_SIZE:
    case ST_ERR_OFFSETS: CHECK(error->expected != error->actual); /* fall through */
    case ST_ERR_UTF8:
    case ST_ERR_JSON:
    case ST_ERR_SCHEMA:
    case ST_ERR_DUPLICATE:
    case ST_ERR_DTYPE:
    case ST_ERR_OVERFLOW:
    case ST_ERR_SUBBYTE: CHECK(error->position >= 8 && error->position <= n); break;
    case ST_ERR_ARGUMENT:
    case ST_ERR_MEMORY:
    case ST_ERR_NOT_FOUND: /* an empty directory */
    case ST_ERR_UNSUPPORTED:
    case ST_ERR_TOO_LARGE: break;
    default: fuzz_fail(__FILE__, __LINE__, "a status that opening one file may have");
    }
}

static inline int fuzz_same_error(const st_error *a, const st_error *b) {
    return a->status == b->status &&
           (a->status == ST_OK || (a->position == b->position && a->expected == b->expected && a->actual == b->actual &&
                                   strcmp(a->subject, b->subject) == 0));
}

/* a header over st_scan's limits has at least 16 commas; otherwise ST_ERR_TOO_LARGE is wrong */
static inline int fuzz_may_be_too_large(const uint8_t *file, size_t n) {
    size_t commas = 0, i;
    for (i = 0; i < n; i++) commas += file[i] == ',';
    return commas >= 16;
}

/* ---- mutation ----------------------------------------------------------------------------------------- */

/* returns the largest number in the header that is at most `limit`: a good guess at the data size */
static inline size_t fuzz_largest_number(const uint8_t *text, size_t n, size_t limit) {
    size_t largest = 0, value = 0, i;
    for (i = 0; i < n; i++) {
        int digit = text[i] >= '0' && text[i] <= '9';
        value = !digit || value > limit ? 0 : value * 10 + (size_t)(text[i] - '0');
        if (value > largest && value <= limit) largest = value;
    }
    return largest;
}

/* data[options..] is a file: mutates the header text, updates the header length, and often resizes the data to fit */
static inline size_t fuzz_mutate(uint8_t *data, size_t size, size_t max_size, unsigned seed, size_t options) {
    size_t start = options + 8, text, rest, room, i;
    uint8_t *tail;
    if (seed % 4 == 0 || size < start || max_size < size + 16) return LLVMFuzzerMutate(data, size, max_size);
    rest = size - start;
    text = fuzz_u64(data + options) < rest ? (size_t)fuzz_u64(data + options) : rest;
    rest -= text;
    tail = fuzz_copy(data + start + text, rest);
    text = LLVMFuzzerMutate(data + start, text, max_size - start - rest);
    room = max_size - start - text;
    if (seed % 4 == 1) {
        size_t wanted = fuzz_largest_number(data + start, text, room);
        memset(data + start + text, 'x', wanted);
        if (rest > wanted) rest = wanted;
        room = wanted;
    } else {
        room = rest;
    }
    if (rest) memcpy(data + start + text, tail, rest);
    free(tail);
    for (i = 0; i < 8; i++) data[options + i] = (uint8_t)((uint64_t)text >> (8 * i));
    return start + text + room;
}

#endif
