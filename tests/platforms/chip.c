/* chip.c: a program for microcontrollers, without operating system, libc and malloc. It scans, opens, reads and converts a
 * model that lies in flash, and meets damaged ones. Prints what it finds, the line of every check that fails, and the sum;
 * chips.sh compares all that with what the same program prints on a desk. Lines that begin with "stack" differ. */
#define ST_FREESTANDING
#define ST_NO_WRITER
#define ST_NO_ERROR_TEXT
#define ST_IMPLEMENTATION
#include "../../safetensors.h"
#include "board.h"

/* not in the order of the data; an escape and UTF-8 in names, packed elements, an empty tensor, one that is not aligned */
#define HEADER                                                                                     \
    "{\"__metadata__\":{\"made\":\"here\"},"                                                       \
    "\"weight\":{\"dtype\":\"F32\",\"shape\":[2,3],\"data_offsets\":[8,32]},"                      \
    "\"ids\":{\"dtype\":\"I64\",\"shape\":[1],\"data_offsets\":[0,8]},"                            \
    "\"h\\u00e4lf\":{\"dtype\":\"F16\",\"shape\":[4],\"data_offsets\":[32,40]},"                   \
    "\"brain\":{\"dtype\":\"BF16\",\"shape\":[2],\"data_offsets\":[40,44]},"                       \
    "\"\xC3\xBC\":{\"dtype\":\"F4\",\"shape\":[2,4],\"data_offsets\":[44,48]},"                    \
    "\"none\":{\"dtype\":\"U8\",\"shape\":[0],\"data_offsets\":[48,48]},"                          \
    "\"one\":{\"dtype\":\"F64\",\"shape\":[],\"data_offsets\":[49,57],\"note\":[{},null,-1.5e3]}," \
    "\"six\":{\"dtype\":\"I8\",\"shape\":[1],\"data_offsets\":[48,49]}}       "
#define TENSORS 8

typedef struct model_file {
    unsigned char length[8];
    char header[sizeof HEADER - 1];
    unsigned char data[57];
} model_file;
typedef char data_is_aligned[(sizeof HEADER - 1) % 8 == 0 ? 1 : -1];

static const union {
    model_file file;
    uint64_t aligned;
} flash IN_FLASH = {{{(sizeof HEADER - 1) & 255, (sizeof HEADER - 1) >> 8, 0, 0, 0, 0, 0, 0},
                     HEADER,
                     {0xFE, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF,          /* -2 */
                      0,    0,    0x80, 0x3E, 0,    0,    0x80, 0x3F,          /* 0.25, 1 */
                      0,    0,    0,    0x40, 0,    0,    0x40, 0x40,          /* 2, 3 */
                      0,    0,    0x80, 0xC0, 0x01, 0,    0x80, 0x7F,          /* -4, NaN */
                      0,    0x3C, 0x01, 0x00, 0xFF, 0x7B, 0x00, 0xFC,          /* 1, 2^-24, 65504, -infinity */
                      0x80, 0x3F, 0x01, 0x00, 0x21, 0x43, 0x65, 0x87,          /* 1, 2^-133; codes 1 to 8 */
                      0x81, 0,    0,    0,    0,    0,    0,    0xF8, 0xBF}}}; /* -127; -1.5 */
#define FILE_BYTES (8 + (sizeof HEADER - 1) + 57)

static unsigned char image[FILE_BYTES + 1];           /* a copy in memory, which the program damages */
static uint64_t work[sizeof(void *) < 4 ? 270 : 420]; /* so that 2 KiB of 8 are left for an AVR's stack */
static unsigned passed, failed;
static uint32_t digest;

static void print_hex(uint32_t n) {
    char text[9];
    int i;
    for (i = 8; i > 0; n >>= 4) text[--i] = "0123456789abcdef"[n & 15];
    text[8] = '\0';
    board_print(text);
}

static void print_number(unsigned n) {
    char text[11];
    int i = 10;
    text[10] = '\0';
    do text[--i] = (char)('0' + n % 10);
    while (n /= 10);
    board_print(text + i);
}

static void print_line(const char *label, unsigned n) {
    board_print(label);
    print_number(n);
    board_print("\n");
}

static int check(int is_true, unsigned line) {
    if (is_true) {
        passed++;
    } else {
        failed++;
        print_line("failed in line ", line);
    }
    return is_true;
}
#define CHECK(condition) check((condition) != 0, __LINE__)

static void digest_bytes(const void *bytes, size_t n) {
    const unsigned char *b = (const unsigned char *)bytes;
    for (; n; n--) digest = (digest ^ *b++) * UINT32_C(16777619);
}

static void digest_number(uint64_t n) {
    unsigned char b[8];
    unsigned i;
    for (i = 0; i < 8; i++) b[i] = (unsigned char)(n >> 8 * i);
    digest_bytes(b, 8);
}

static void print_digest(const char *label) {
    board_print(label);
    print_hex(digest);
    board_print("\n");
    digest = UINT32_C(2166136261);
}

static void restore_image(void) {
    board_read_flash(image, &flash, FILE_BYTES);
    image[FILE_BYTES] = 0;
}

/* ---- sources */

static int read_flash(void *user, uint64_t offset, void *dst, size_t n) {
    (void)user;
    if (!CHECK(offset <= FILE_BYTES && n <= FILE_BYTES - offset)) return 7;
    board_read_flash(dst, (const unsigned char *)&flash + (size_t)offset, n);
    return 0;
}

static int read_image(void *user, uint64_t offset, void *dst, size_t n) {
    (void)user;
    if (!CHECK(offset <= sizeof image && n <= sizeof image - offset)) return 7;
    memcpy(dst, image + (size_t)offset, n);
    return 0;
}

static int read_nothing(void *user, uint64_t offset, void *dst, size_t n) {
    (void)user, (void)offset, (void)dst, (void)n;
    return 99;
}

static st_io io_of(int (*read_at)(void *, uint64_t, void *, size_t), uint64_t bytes) {
    st_io io;
    memset(&io, 0, sizeof io);
    io.read_at = read_at;
    io.bytes = bytes;
    return io;
}

static st_open_options options_of(size_t work_bytes) {
    st_open_options o;
    memset(&o, 0, sizeof o);
    o.work.data = work;
    o.work.bytes = work_bytes;
    return o;
}

/* ---- what is right */

static void digest_tensor(const st_tensor *t) {
    uint32_t i;
    digest_bytes(t->name, t->name_bytes);
    digest_number(t->dtype);
    digest_number(t->rank);
    for (i = 0; i < t->rank; i++) digest_number(t->shape[i]);
    digest_number(t->bytes);
    digest_number(t->elements);
    digest_number(t->offset);
}

/* walks over the header, in flash where that is memory */
static void scan_model(void) {
    const unsigned char *const file = FLASH_IS_DATA ? (const unsigned char *)&flash : image;
    const uint32_t one[1] = {UINT32_C(0x3F800000)};
    unsigned tensors = 0;
    st_scan scan;
    st_error error;
    board_paint();
    CHECK(st_scan_begin(&scan, file, FILE_BYTES, FILE_BYTES, NULL, &error) == ST_OK);
    print_line("stack of scan: ", (unsigned)board_stack_used());
    for (; st_scan_next(&scan); tensors++) {
        CHECK(scan.tensor.data == file + (size_t)scan.tensor.offset);
        CHECK(scan.name_escaped == st_scan_is(&scan, "h\xC3\xA4lf"));
        digest_tensor(&scan.tensor);
        digest_bytes(scan.tensor.data, (size_t)scan.tensor.bytes);
        if (st_scan_is(&scan, "weight") && CHECK(st_is_aligned(&scan.tensor) || !FLASH_IS_DATA)) {
            CHECK(memcmp((const unsigned char *)scan.tensor.data + 4, one, 4) == 0);
        }
    }
    CHECK(tensors == TENSORS);
    CHECK(st_scan_begin(&scan, file, FILE_BYTES - 57, FILE_BYTES, NULL, &error) == ST_OK); /* the header suffices */
    CHECK(st_scan_next(&scan) && scan.tensor.data == NULL);
    CHECK(st_scan_begin(&scan, file, 100, FILE_BYTES, NULL, &error) == ST_ERR_ARGUMENT);
    CHECK(error.expected == FILE_BYTES - 57);
    print_digest("scan: ");
}

static void read_tensor(const st_model *model, const st_tensor *t, st_dtype as, const st_view *view) {
    unsigned char got[64];
    st_error error;
    memset(got, 0, sizeof got);
    digest_number((uint64_t)st_read_as(model, t, view, as, got, sizeof got, &error));
    digest_bytes(got, sizeof got);
}

/* looks up every tensor, reads it as stored, converts it, and reads slices */
static void read_model(const st_model *model, int in_memory) {
    static const char *const names[TENSORS] = {"ids",      "weight", "h\xC3\xA4lf", "brain",
                                               "\xC3\xBC", "none",   "one",         "six"};
    static const uint32_t axes[2] = {1, 0};
    static const st_range ranges[2] = {{0, UINT64_MAX, 1}, {1, 3, 1}};
    static const st_view transposed = {NULL, 0, axes}, slice = {ranges, 2, axes};
    static const uint32_t numbers[4] = {0x3F800000, 0x33800000, 0x477FE000, 0xFF800000};
    unsigned char raw[24];
    uint32_t floats[4]; /* F32 as bits: the chips have no floating-point unit */
    st_load_item items[2];
    st_extent extents[2];
    size_t i, count = 0;
    st_load_options load;
    st_error error;
    CHECK(model->count == TENSORS && model->metadata_count == 1);
    CHECK(st_find(model, "weigh") == NULL && st_find_metadata(model, "made") == model->metadata);
    for (i = 0; i < TENSORS; i++) {
        const st_tensor *t = st_find(model, names[i]);
        if (!CHECK(t != NULL)) return;
        CHECK((t->data != NULL) == in_memory);
        CHECK(st_read(model, t, 0, raw, (size_t)t->bytes, &error) == ST_OK);
        digest_tensor(t);
        digest_bytes(raw, (size_t)t->bytes);
        read_tensor(model, t, ST_DTYPE_F32, NULL);
        read_tensor(model, t, ST_DTYPE_BF16, NULL);
        read_tensor(model, t, ST_DTYPE_I32, NULL);
    }
    for (i = 1; i < 5; i += 3) {
        read_tensor(model, st_find(model, names[i]), ST_DTYPE_F32, &transposed);
        read_tensor(model, st_find(model, names[i]), ST_DTYPE_F16, &slice);
        read_tensor(model, st_find(model, names[i]), ST_AS_STORED, &transposed);
    }
    board_paint();
    CHECK(st_read_as(model, st_find(model, names[2]), NULL, ST_DTYPE_F32, floats, sizeof floats, &error) == ST_OK);
    print_line("stack of read_as: ", (unsigned)board_stack_used());
    CHECK(memcmp(floats, numbers, sizeof numbers) == 0);

    memset(items, 0, sizeof items);
    memset(&load, 0, sizeof load);
    items[0].tensor = st_find(model, "brain"), items[1].tensor = st_find(model, "weight");
    items[0].dst = floats, items[1].dst = raw;
    items[0].dst_bytes = 8, items[1].dst_bytes = sizeof raw;
    items[0].as = ST_DTYPE_F32;
    load.work.data = &work[sizeof work / sizeof *work - 44]; /* the model needs less */
    load.work.bytes = 44 * sizeof *work;
    CHECK(st_load(model, items, 2, &load, &error) == ST_OK && floats[0] == numbers[0]);
    digest_bytes(floats, 8);
    digest_bytes(raw, sizeof raw);
    items[0].as = ST_AS_STORED;
    CHECK(st_plan_load(model, items, 2, 16, extents, 1, &count, &error) == ST_ERR_ARGUMENT && count == 3);
    print_digest("read: ");
}

static void open_model(void) {
    st_open_options o = options_of(sizeof work);
    st_io io = io_of(read_flash, FILE_BYTES);
    st_model *model;
    st_error error;
    board_paint();
    CHECK(st_open_memory(&model, FLASH_IS_DATA ? (const void *)&flash : image, FILE_BYTES, &o, &error) == ST_OK);
    print_line("stack of open_memory: ", (unsigned)board_stack_used());
    if (!model) return;
    read_model(model, 1);
    st_close(model);

    board_paint();
    CHECK(st_open_io(&model, &io, &o, &error) == ST_OK);
    print_line("stack of open_io: ", (unsigned)board_stack_used());
    if (!model) return;
    read_model(model, 0);
    st_close(model);

    io.read_at = read_nothing;
    CHECK(st_open_io(&model, &io, &o, &error) == ST_ERR_IO && !model && error.sys == 99);

    /* too small for the header; then for the model, where the size that the error asks for suffices */
    io.read_at = read_flash;
    o.work.bytes = 64;
    CHECK(st_open_io(&model, &io, &o, &error) == ST_ERR_MEMORY && !model && error.expected > 2 * FILE_BYTES);
    o.work.bytes = 1200;
    CHECK(st_open_io(&model, &io, &o, &error) == ST_ERR_MEMORY && !model);
    if (!CHECK(error.expected > 1200 && error.expected <= sizeof work)) return;
    o.work.bytes = (size_t)error.expected;
    CHECK(st_open_io(&model, &io, &o, &error) == ST_OK);
    st_close(model);
    o.work.data = NULL;
    CHECK(st_open_io(&model, &io, &o, &error) == ST_ERR_MEMORY && !model);
}

/* ---- what is wrong */

/* opens the first n bytes of the image in three ways; returns the status, or -1 if they differ */
static int status_of(uint64_t n) {
    st_open_options o = options_of(sizeof work);
    st_io io = io_of(read_image, n);
    st_model *model;
    st_error first, error;
    st_scan scan;
    (void)st_scan_begin(&scan, image, (size_t)n, n, NULL, &first);
    (void)st_open_memory(&model, image, (size_t)n, &o, &error);
    st_close(model);
    if (!CHECK(error.status == first.status && (first.status == ST_OK || error.position == first.position))) return -1;
    (void)st_open_io(&model, &io, &o, &error);
    st_close(model);
    if (!CHECK(error.status == first.status && (first.status == ST_OK || error.position == first.position))) return -1;
    if (first.status != ST_OK) digest_number(first.position);
    return (int)first.status;
}

static void truncate_file(void) {
    size_t n;
    restore_image();
    for (n = 0; n < FILE_BYTES; n++) CHECK(status_of(n) == ST_ERR_TRUNCATED);
    CHECK(status_of(FILE_BYTES) == ST_OK);
    CHECK(status_of(FILE_BYTES + 1) == ST_ERR_TRAILING);
    for (n = 0; n < sizeof HEADER - 9; n += 5) { /* the length says that the header ends early */
        image[0] = n & 255;
        image[1] = (unsigned char)(n >> 8);
        CHECK(status_of(FILE_BYTES) == ST_ERR_JSON);
    }
    print_digest("truncated: ");
}

/* damages one byte of the header at a time */
static void damage_header(void) {
    size_t i;
    restore_image();
    for (i = 8; i < FILE_BYTES - 57; i += 3) {
        const unsigned char before = image[i];
        image[i] = (unsigned char)(before ^ 1 << i % 8);
        digest_number((uint64_t)status_of(FILE_BYTES));
        image[i] = before;
    }
    print_digest("damaged: ");
}

#define ENTRY(dtype, shape, offsets) "{\"dtype\":\"" dtype "\",\"shape\":[" shape "],\"data_offsets\":[" offsets "]}"

static void refuse_headers(void) {
    static const struct {
        const char *header;
        st_status status;
    } cases[] = {{"{}", ST_OK},
                 {"", ST_ERR_JSON},
                 {"[]", ST_ERR_SCHEMA},
                 {"{\"\xFF\":1}", ST_ERR_UTF8},
                 {"{\"a\":1}", ST_ERR_SCHEMA},
                 {"{\"a\":" ENTRY("F5", "1", "0,4") "}", ST_ERR_DTYPE},
                 {"{\"a\":" ENTRY("U8", "65537", "0,1") "}", ST_ERR_SIZE},
                 {"{\"a\":" ENTRY("U8", "4294967297", "0,1") "}", ST_ERR_SIZE},
                 {"{\"a\":" ENTRY("U8", "65536,65536,65536,65536", "0,0") "}", ST_ERR_OVERFLOW},
                 {"{\"a\":" ENTRY("U8", "65536,65536", "0,4294967296") "}", ST_ERR_TRUNCATED},
                 {"{\"a\":" ENTRY("F4", "1", "0,0") "}", ST_ERR_SUBBYTE},
                 {"{\"a\":" ENTRY("U8", "1", "65536,65537") "}", ST_ERR_OFFSETS},
                 {"{\"a\":" ENTRY("U8", "0", "0,0") ",\"\\u0061\":" ENTRY("U8", "0", "0,0") "}", ST_ERR_DUPLICATE}};
    size_t i, n;
    for (i = 0; i < sizeof cases / sizeof *cases; i++) {
        n = sti_span_of(cases[i].header).n;
        memset(image, 0, sizeof image);
        image[0] = (unsigned char)n;
        memcpy(image + 8, cases[i].header, n);
        digest_number(i);
        CHECK(status_of(8 + n) == (int)cases[i].status);
    }
    print_digest("refused: ");
}

/* A header of 65,536 + n bytes, or 2^32 + n, of which the first n are those of the image: a size_t or pointer that
 * takes only the low bits accepts the file. */
static int read_long(void *user, uint64_t offset, void *dst, size_t n) {
    unsigned char *d = (unsigned char *)dst;
    for (; n; n--, offset++) {
        *d++ = (unsigned char)(offset < 8            ? *(const uint64_t *)user >> 8 * offset
                               : offset < FILE_BYTES ? image[(size_t)offset]
                                                     : ' ');
    }
    return 0;
}

static void refuse_long_headers(void) {
    static const unsigned char shifts[] = {15, 16, 17, 24, 32, 48};
    st_open_options o = options_of(sizeof work);
    st_model *model;
    st_error error;
    st_scan scan;
    unsigned i;
    restore_image();
    o.flags = ST_OPEN_TRAILING;
    o.max_header = UINT64_MAX;
    for (i = 0; i < sizeof shifts; i++) {
        uint64_t length = ((uint64_t)1 << shifts[i]) + sizeof HEADER - 1;
        st_io io = io_of(read_long, 8 + length + 57);
        io.user = &length;
        (void)read_long(&length, 0, image, 8);
        (void)st_open_io(&model, &io, &o, &error);
        CHECK(!model && (error.status == ST_ERR_MEMORY || error.status == ST_ERR_TOO_LARGE ||
                         error.status == ST_ERR_HEADER_LIMIT));
        (void)st_scan_begin(&scan, image, FILE_BYTES, io.bytes, &o, &error);
        CHECK(error.status == ST_ERR_HEADER_LIMIT || (error.status == ST_ERR_ARGUMENT && error.expected == 8 + length));
        CHECK(!st_scan_next(&scan));
    }
}

/* ---- numbers */

/* converts a few elements of every dtype to every other, and every tenth F16 and BF16 */
static void convert(void) {
    static const uint64_t seeds[4] = {UINT64_C(0x0123456789ABCDEF), UINT64_C(0xFEDCBA9876543210),
                                      UINT64_C(0x7FF07F807C007F00), UINT64_C(0x8000FFFF00017FFF)};
    unsigned char in[32], out[32];
    unsigned from, to, i;
    for (i = 0; i < 32; i++) in[i] = (unsigned char)(seeds[i / 8] >> 8 * (i % 8));
    for (from = 1; from <= ST_DTYPE_U64; from++) {
        for (to = 1; to <= ST_DTYPE_U64; to++) {
            memset(out, 0, sizeof out);
            digest_number((uint64_t)st_convert((st_dtype)to, out, (st_dtype)from, in, 4));
            digest_bytes(out, sizeof out);
        }
    }
    print_digest("all dtypes: ");
    for (i = 0; i < 65530; i += 10) { /* unsigned may have 16 bits */
        const uint16_t code = (uint16_t)i;
        uint32_t f[2];
        uint16_t back[2];
        CHECK(st_convert(ST_DTYPE_F32, &f[0], ST_DTYPE_F16, &code, 1) == ST_OK);
        CHECK(st_convert(ST_DTYPE_F32, &f[1], ST_DTYPE_BF16, &code, 1) == ST_OK);
        digest_bytes(f, sizeof f);
        f[0] ^= 0x1234, f[1] ^= 0x8765; /* no longer exact */
        CHECK(st_convert(ST_DTYPE_F16, &back[0], ST_DTYPE_F32, &f[0], 1) == ST_OK);
        CHECK(st_convert(ST_DTYPE_BF16, &back[1], ST_DTYPE_F32, &f[1], 1) == ST_OK);
        digest_bytes(back, sizeof back);
    }
    print_digest("halves: ");
}

int main(void) {
    digest = UINT32_C(2166136261);
    restore_image();
    scan_model();
    open_model();
    truncate_file();
    damage_header();
    refuse_headers();
    refuse_long_headers();
    convert();
    board_print("chip: ");
    print_number(passed);
    board_print(" passed, ");
    print_number(failed);
    board_print(" failed\n");
    return failed != 0;
}
