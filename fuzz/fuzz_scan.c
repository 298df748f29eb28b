/* fuzz_scan.c: compares st_scan, given any prefix of a file, with st_open.
 * Input: ten option bytes (flags, knob, the file's 64-bit length), then the prefix. If the length is larger than the
 * prefix, the rest of the file reads as zeros. */
#include "fuzz.h"

#define OPTION_BYTES 10

typedef struct input {
    const uint8_t *file; /* the prefix, in a heap block of its exact length */
    size_t available;
    uint64_t file_bytes;
    st_open_options options;
} input;

static int read_with_zeros(void *user, uint64_t offset, void *dst, size_t bytes) {
    const input *in = (const input *)user;
    size_t have = offset < in->available ? in->available - (size_t)offset : 0;
    CHECK(offset <= in->file_bytes && bytes <= in->file_bytes - offset);
    if (have > bytes) have = bytes;
    memset(dst, 0, bytes);
    if (have) memcpy(dst, in->file + offset, have);
    return 0;
}

/* the header's end; 8 if the prefix is too short for the header length */
static uint64_t header_end(const uint8_t *file, size_t available) {
    uint64_t length = available < 8 ? 0 : fuzz_u64(file);
    return length > UINT64_MAX - 8 ? UINT64_MAX : 8 + length;
}

/* ---- unescaping names --------------------------------------------------------------------------------- */

static unsigned long hex4(const char *s) {
    static const char digits[] = "0123456789abcdef0123456789ABCDEF";
    unsigned long value = 0;
    int i;
    for (i = 0; i < 4; i++) {
        const char *digit = strchr(digits, s[i]);
        CHECK(digit != NULL && *digit != 0);
        value = value << 4 | ((unsigned long)(digit - digits) & 15u);
    }
    return value;
}

static size_t put_utf8(char *out, unsigned long code) {
    size_t length = code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4, i;
    static const unsigned char lead[] = {0, 0, 0xc0, 0xe0, 0xf0};
    for (i = length; i > 1; i--, code >>= 6) out[i - 1] = (char)(0x80 | (code & 0x3f));
    out[0] = (char)(lead[length] | code);
    return length;
}

/* unescapes a valid JSON string into out, which has n bytes */
static size_t unescape(char *out, const char *s, size_t n) {
    static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
    size_t at = 0, bytes = 0;
    while (at < n) {
        unsigned long code;
        if (s[at] != '\\') {
            out[bytes++] = s[at++];
            continue;
        }
        CHECK(n - at >= 2);
        if (s[at + 1] != 'u') {
            const char *escape = strchr(from, s[at + 1]);
            CHECK(escape != NULL && *escape != 0);
            out[bytes++] = to[escape - from];
            at += 2;
            continue;
        }
        CHECK(n - at >= 6);
        code = hex4(s + at + 2);
        at += 6;
        if (code >= 0xd800 && code < 0xdc00) {
            unsigned long low;
            CHECK(n - at >= 6 && s[at] == '\\' && s[at + 1] == 'u');
            low = hex4(s + at + 2);
            CHECK(low >= 0xdc00 && low < 0xe000);
            code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
            at += 6;
        }
        CHECK(code < 0xd800 || code >= 0xe000);
        bytes += put_utf8(out + bytes, code);
    }
    return bytes;
}

/* ---- the walk ----------------------------------------------------------------------------------------- */

/* compares the current tensor with the model's tensor of the same name */
static void check_tensor(const st_scan *scan, const st_model *m, const input *in) {
    const st_tensor *s = &scan->tensor, *t;
    char *name = (char *)malloc(s->name_bytes + 2);
    size_t n = unescape(name, s->name, s->name_bytes);
    CHECK(fuzz_is_utf8(s->name, s->name_bytes) && fuzz_is_utf8(name, n));
    CHECK(!scan->name_escaped == (memchr(s->name, '\\', s->name_bytes) == NULL));
    t = st_find_n(m, name, n);
    CHECK(t != NULL && t->dtype == s->dtype && t->rank == s->rank && strcmp(t->dtype_name, s->dtype_name) == 0);
    CHECK(t->bytes == s->bytes && t->elements == s->elements && t->offset == s->offset && s->shard == 0);
    CHECK(s->rank <= 16 && s->shape == scan->shape);
    CHECK(s->rank == 0 || memcmp(s->shape, t->shape, s->rank * sizeof *s->shape) == 0);
    CHECK(s->data ==
          (s->offset <= in->available && s->bytes <= in->available - s->offset ? in->file + s->offset : NULL));
    fuzz_check_size(s);
    name[n] = 0;
    if (memchr(name, 0, n) == NULL) {
        CHECK(st_scan_is(scan, name));
        name[n] = 'x', name[n + 1] = 0;
        CHECK(!st_scan_is(scan, name));
        if (n > 0) {
            name[n - 1] = (char)(name[n - 1] ^ 1), name[n] = 0;
            CHECK(!st_scan_is(scan, name));
            name[n - 1] = 0;
            CHECK(!st_scan_is(scan, name));
        }
    } else {
        CHECK(!st_scan_is(scan, name)); /* st_scan_is takes NUL-terminated names */
    }
    free(name);
}

/* yields every tensor once, in header order */
static void check_walk(st_scan *scan, const st_model *m, const input *in) {
    const char *header = (const char *)in->file + 8, *last = header;
    const char *end = header + (size_t)fuzz_u64(in->file);
    size_t seen = 0;
    uint64_t bytes = 0;
    while (st_scan_next(scan)) {
        const st_tensor *t = &scan->tensor;
        CHECK(t->name > last && t->name < end && t->name_bytes < (size_t)(end - t->name));
        CHECK(t->name[-1] == '"' && t->name[t->name_bytes] == '"');
        last = t->name + t->name_bytes;
        check_tensor(scan, m, in);
        bytes += t->bytes;
        seen++;
    }
    CHECK(seen == m->count && bytes == m->bytes);
    CHECK(!st_scan_next(scan) && !st_scan_next(scan));
}

/* ---- comparing results -------------------------------------------------------------------------------- */

/* a prefix shorter than the header: st_scan asks for the number of bytes it needs, or rejects the header length */
static void check_short(const input *in, st_status status, const st_error *error) {
    uint64_t need = in->available < 8 ? 8 : header_end(in->file, in->available);
    switch (status) {
    case ST_ERR_ARGUMENT: CHECK(error->expected == need && need <= in->file_bytes); break;
    case ST_ERR_TRUNCATED: CHECK(error->expected == need && need > in->file_bytes); break;
    case ST_ERR_HEADER_LIMIT: CHECK(in->available >= 8 && error->actual == fuzz_u64(in->file)); break;
    case ST_ERR_TOO_LARGE: CHECK(in->file_bytes > INT64_MAX && error->actual == in->file_bytes); break;
    default: CHECK(status == ST_ERR_FORMAT);
    }
}

static void check_prefix(const uint8_t *bytes, size_t available, uint64_t file_bytes, const st_open_options *options) {
    input in;
    uint8_t *file = fuzz_copy(bytes, available);
    st_scan scan;
    st_error error, reference;
    st_model *m = NULL;
    st_io io;
    fuzz_heap heap;
    st_allocator allocator = fuzz_allocator(&heap);
    st_status status;
    in.file = file;
    in.available = available;
    in.file_bytes = file_bytes;
    in.options = *options;
    memset(&scan, 0x55, sizeof scan);
    memset(&error, 0x55, sizeof error);
    status = st_scan_begin(&scan, file, available, file_bytes, options, &error);
    CHECK(st_scan_begin(&scan, file, available, file_bytes, options, NULL) == status);
    fuzz_check_error(status, &error, file_bytes, "(memory)");
    if (available < 8 || available < header_end(file, available)) {
        check_short(&in, status, &error);
        CHECK(!st_scan_next(&scan));
        free(file);
        return;
    }
    memset(&io, 0, sizeof io);
    io.user = &in;
    io.read_at = read_with_zeros;
    io.bytes = file_bytes;
    in.options.allocator = &allocator;
    CHECK(st_open_io(&m, &io, &in.options, &reference) == reference.status);
    if (status == ST_ERR_TOO_LARGE && file_bytes <= INT64_MAX) { /* st_open also rejects files with extra bytes */
        CHECK(fuzz_may_be_too_large(file, available));
    } else {
        CHECK(fuzz_same_error(&error, &reference));
    }
    if (status == ST_OK) {
        check_walk(&scan, m, &in);
    } else {
        CHECK(!st_scan_next(&scan));
    }
    st_close(m);
    CHECK(heap.live == 0);
    free(file);
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed) {
    return fuzz_mutate(data, size, max_size, seed, OPTION_BYTES);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    st_open_options options;
    size_t available, cut;
    uint64_t file_bytes, end;
    unsigned knob;
    if (size < OPTION_BYTES) return 0;
    memset(&options, 0, sizeof options);
    knob = data[1];
    options.flags = data[0] & 1 ? ST_OPEN_TRAILING : 0;
    options.max_header = data[0] & 2 ? knob + 1 : 0;
    available = size - OPTION_BYTES;
    file_bytes = fuzz_u64(data + 2);
    if (!(data[0] & 4) || file_bytes < available) file_bytes = available;
    data += OPTION_BYTES;
    end = header_end(data, available);

    check_prefix(data, available, file_bytes, &options);
    if (end < available) check_prefix(data, (size_t)end, file_bytes, &options);
    if (end > 0 && end <= available) check_prefix(data, (size_t)end - 1, file_bytes, &options);
    cut = available * knob / 256;
    check_prefix(data, cut, file_bytes, &options);
    check_prefix(data, cut, cut, &options);
    check_prefix(data, available < 7 ? available : 7, file_bytes, &options);
    return 0;
}
