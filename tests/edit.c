/* Tests st_edit_metadata: through a new file and in place, with headers that fit and that do not; a failed edit
 * leaves the file unchanged. */
#include "../safetensors.h"

#include "written.h"
#ifndef _WIN32
#include <sys/time.h>
#endif

static const st_pair no_pair[1];
static const st_pair pair_k[] = {PAIR("k", "v")};
static const st_pair pairs_za[] = {PAIR("z", "1"), PAIR("a", "\"\n")};
static const st_pair pair_long[] = {PAIR("k", X100("0123456789"))};

typedef struct edit_case {
    const char *name;
    const char *header; /* of the file, including padding */
    size_t header_bytes;
    const char *data;
    size_t data_bytes;
    const st_pair *pairs; /* the new metadata */
    size_t pair_count;
    size_t align, slack; /* fields of st_save_options */
    const char *text;    /* the new header, without padding */
    size_t text_bytes;
    size_t length; /* including padding */
    int fits;      /* the header length does not change */
} edit_case;

#define OLD(text_) .header = text_, .header_bytes = sizeof(text_) - 1
#define NEW(text_) .text = text_, .text_bytes = sizeof(text_) - 1
#define DATA(bytes) .data = bytes, .data_bytes = sizeof(bytes) - 1
#define BLANKS_10 "          "
#define BLANKS_100 X10(BLANKS_10)
#define T_ENTRY "\"t\":" E("U8", "[2]", "[0,2]") /* 51 bytes */

/* clang-format off */
static const edit_case cases[] = {
    {"added, there is room", OLD("{" T_ENTRY "}" BLANKS_100), DATA("xy"), pair_k, 1, 0, 0,
     NEW("{\"__metadata__\":{\"k\":\"v\"}," T_ENTRY "}"), 153, 1},
    {"replaced", OLD("{\"__metadata__\":{\"k\":\"a longer one\",\"j\":\"\"}," T_ENTRY "}"), DATA("xy"), pair_k, 1, 0, 0,
     NEW("{\"__metadata__\":{\"k\":\"v\"}," T_ENTRY "}"), 96, 1},
    {"removed", OLD("{\"__metadata__\":{\"k\":\"v\"}," T_ENTRY "}"), DATA("xy"), NULL, 0, 0, 0, NEW("{" T_ENTRY "}"), 78, 1},
    {"emptied", OLD("{\"__metadata__\":{\"k\":\"v\"}," T_ENTRY "}"), DATA("xy"), no_pair, 0, 0, 0,
     NEW("{\"__metadata__\":{}," T_ENTRY "}"), 78, 1},
    {"the same", OLD("{\"__metadata__\":{\"k\":\"v\"}," T_ENTRY "}   "), DATA("xy"), pair_k, 1, 0, 0,
     NEW("{\"__metadata__\":{\"k\":\"v\"}," T_ENTRY "}"), 81, 1},
    {"none, in a file of nothing", OLD("{}"), DATA(""), NULL, 0, 0, 0, NEW("{}"), 2, 1},
    {"just fits", OLD("{" T_ENTRY "}" BLANKS_10 BLANKS_10 "     "), DATA("xy"), pair_k, 1, 0, 0,
     NEW("{\"__metadata__\":{\"k\":\"v\"}," T_ENTRY "}"), 78, 1},
    {"one byte too long", OLD("{" T_ENTRY "}" BLANKS_10 BLANKS_10 "    "), DATA("xy"), pair_k, 1, 0, 0,
     NEW("{\"__metadata__\":{\"k\":\"v\"}," T_ENTRY "}"), 104, 0}, /* 78 and the old 24 blanks, rounded up to 112 - 8 */
    {"too long, after blanks of every kind", OLD("{" T_ENTRY "}" BLANKS_10 "\t\r\n\t\r\n\t\r\n\t    "), DATA("xy"), pair_k, 1, 0, 0,
     NEW("{\"__metadata__\":{\"k\":\"v\"}," T_ENTRY "}"), 104, 0}, /* as above */
    {"keys sorted and escaped", OLD("{" T_ENTRY "}    "), DATA("xy"), pairs_za, 2, 0, 0,
     NEW("{\"__metadata__\":{\"a\":\"\\\"\\n\",\"z\":\"1\"}," T_ENTRY "}"), 96, 0}, /* 88 and 4, up to 104 - 8 */
    {"slack and alignment stay", OLD("{" T_ENTRY "}" BLANKS_100 X5(BLANKS_10) BLANKS_10 BLANKS_10 BLANKS_10 BLANKS_10 "     "),
     DATA("xy"), pair_long, 1, 0, 0, /* data at 256, after 195 blanks */
     NEW("{\"__metadata__\":{\"k\":\"" X100("0123456789") "\"}," T_ENTRY "}"), 1272, 0}, /* 1077 and 195 blanks */
    {"alignment asked for", OLD("{" T_ENTRY "}    "), DATA("xy"), pair_k, 1, 512, 0,
     NEW("{\"__metadata__\":{\"k\":\"v\"}," T_ENTRY "}"), 504, 0},
    {"slack asked for", OLD("{" T_ENTRY "}    "), DATA("xy"), pair_k, 1, 0, 1000,
     NEW("{\"__metadata__\":{\"k\":\"v\"}," T_ENTRY "}"), 1080, 0},
    {"in the order of the bytes, fields not known left out",
     OLD(" {\"b\" : {\"x\":[1,{}],\"shape\":[1],\"data_offsets\":[8,9],\"dtype\":\"U8\"},\n\"\\u0061\":{\"dtype\":\"\\u0046\\u00332\","
         "\"shape\":[2],\"data_offsets\":[0,8]},\"e2\":" E("I8", "[0]", "[9,9]") ",\"e1\":" E("F4", "[0]", "[0,0]")
         ",\"e3\":" E("I8", "[0,7]", "[9,9]") ",\"__metadata__\":null}\t\r\n "), DATA("01234567!"), pair_k, 1, 0, 0,
     NEW("{\"__metadata__\":{\"k\":\"v\"},\"e1\":" E("F4", "[0]", "[0,0]") ",\"a\":" E("F32", "[2]", "[0,8]") ",\"b\":"
         E("U8", "[1]", "[8,9]") ",\"e2\":" E("I8", "[0]", "[9,9]") ",\"e3\":" E("I8", "[0,7]", "[9,9]") "}"), 0, 1},
    {"opaque tensors", OLD("{\"q\":" E("Q\\u0022\\u00e9", "[3,0]", "[0,5]") "}" BLANKS_100), DATA("qqqqq"), pair_k, 1, 0, 0,
     NEW("{\"__metadata__\":{\"k\":\"v\"},\"q\":" E("Q\\\"\xc3\xa9", "[3,0]", "[0,5]") "}"), 0, 1},
    {"names with everything", OLD("{\"\\u0000\\\"\\\\\\n\\ud83d\\ude00/\":" E("U8", "[1]", "[0,1]") "}" BLANKS_100), DATA("q"), NULL, 0,
     0, 0, NEW("{\"\\u0000\\\"\\\\\\n\xf0\x9f\x98\x80/\":" E("U8", "[1]", "[0,1]") "}"), 0, 1},
};
/* clang-format on */

static st_status edit(const char *path, const st_pair *pairs, size_t count, const st_save_options *base, unsigned flags,
                      st_error *error) {
    st_save_options options;
    counting memory;
    st_status status;
    memset(&options, 0, sizeof options);
    if (base != NULL) options = *base;
    options.flags |= flags;
    counting_begin(&memory);
    options.allocator = &memory.allocator;
    memset(error, 0xee, sizeof *error);
    status = st_edit_metadata(path, pairs, count, &options, error);
    CHECK_STATUS(error->status, status);
    if (status != ST_OK) {
        check_text(error->message, sizeof error->message);
        CHECK(strstr(error->message, TARGET) != NULL);
    }
    counting_end(&memory);
    check_no_temporary();
    return status;
}

/* returns the expected header length: the old one if the text fits; otherwise with the same slack and alignment */
static size_t new_length(const edit_case *c) {
    size_t align = 8, blanks = 0, offset;
    if (c->text_bytes <= c->header_bytes) return c->header_bytes;
    while (blanks < c->header_bytes && strchr(" \t\r\n", c->header[c->header_bytes - 1 - blanks]) != NULL) blanks++;
    while (align < 32768 && (8 + c->header_bytes) % (align * 2) == 0) align *= 2;
    if (c->align > 0) align = c->align;
    if (c->slack > 0) blanks = c->slack;
    for (offset = 8 + c->text_bytes + blanks; offset % align != 0;) offset++;
    return offset - 8;
}

static void one_case(const edit_case *c, unsigned flags) {
    const size_t length = new_length(c);
    size_t n, want_bytes;
    unsigned char *file = make_file(c->header, c->header_bytes, c->data, c->data_bytes, &n), *want;
    char *padded = (char *)need(length);
    const char *path = scratch_write(TARGET, file, n);
    char row[96];
    st_save_options options;
    st_error error;
    snprintf(row, sizeof row, "%s%s", c->name, (flags & ST_SAVE_IN_PLACE) != 0 ? ", in place" : "");
    test_row = row;
    CHECK_EQ(c->text_bytes <= c->header_bytes, c->fits);
    if (c->length > 0) CHECK_EQ(length, c->length);
    memset(padded, ' ', length);
    memcpy(padded, c->text, c->text_bytes);
    want = make_file(padded, length, c->data, c->data_bytes, &want_bytes);
    memset(&options, 0, sizeof options);
    if ((flags & ST_SAVE_IN_PLACE) == 0) {
        options.align = c->align;
        options.slack = c->slack;
    }
    if ((flags & ST_SAVE_IN_PLACE) != 0 && !c->fits) {
        CHECK_STATUS(edit(path, c->pairs, c->pair_count, &options, flags, &error), ST_ERR_TOO_LARGE);
        CHECK_EQ(error.expected, 8 + c->header_bytes);
        CHECK(error.actual >= 8 + c->text_bytes);
        CHECK(file_is(path, file, n));
    } else {
        st_open_options open;
        CHECK_STATUS(edit(path, c->pairs, c->pair_count, &options, flags, &error), ST_OK);
        CHECK(file_is(path, want, want_bytes));
        memset(&open, 0, sizeof open);
        open.flags = ST_OPEN_UNKNOWN_DTYPES;
        CHECK_STATUS(sources_verdict(want, want_bytes, &open, SOURCES_NO_FILES).error.status, ST_OK);
        CHECK_STATUS(edit(path, c->pairs, c->pair_count, &options, flags, &error), ST_OK); /* repeated: no change */
        CHECK(file_is(path, want, want_bytes));
    }
    scratch_remove(TARGET);
    free(padded);
    free(want);
    free(file);
}

static void by_hand(void) {
    size_t i;
    for (i = 0; i < sizeof cases / sizeof *cases; i++) {
        one_case(&cases[i], i % 2 ? ST_SAVE_NO_SYNC : 0);
        one_case(&cases[i], ST_SAVE_IN_PLACE);
    }
}

/* grows metadata from any slack and alignment, then shrinks it: the file opens, and the data keeps its alignment */
static void grow_and_shrink(void) {
    static const uint64_t two[1] = {2};
    static const size_t values[] = {0, 1, 30, 55, 56, 57, 500, 4000, 3, 9000};
    char *value = (char *)need(10000);
    st_tensor tensor;
    st_save_options options;
    st_error error;
    st_pair pair = PAIR("k", "");
    const char *path;
    memset(value, 'v', 10000);
    memset(&tensor, 0, sizeof tensor);
    memset(&options, 0, sizeof options);
    tensor.name = "t";
    tensor.dtype = ST_DTYPE_U8;
    tensor.rank = 1;
    tensor.shape = two;
    tensor.data = "xy";
    pair.value = value;
    for (options.align = 8; options.align <= 4096; options.align *= 8) {
        for (options.slack = 0; options.slack < 1000; options.slack = options.slack * 3 + 50) {
            size_t i, length = 0;
            char row[64];
            snprintf(row, sizeof row, "align %d, slack %d", (int)options.align, (int)options.slack);
            test_row = row;
            options.flags = ST_SAVE_NO_SYNC;
            path = scratch_path(TARGET);
            CHECK_STATUS(st_save(path, CONTENTS(&tensor, 1, NULL, 0), &options, &error), ST_OK);
            for (i = 0; i < sizeof values / sizeof *values; i++) {
                st_model *m;
                char two[2];
                pair.value_bytes = values[i];
                if (values[i] == 0) value[0] = 0;
                CHECK_STATUS(edit(scratch_path(TARGET), &pair, 1, NULL, ST_SAVE_NO_SYNC, &error), ST_OK);
                value[0] = 'v';
                CHECK_STATUS(st_open(&m, scratch_path(TARGET), NULL, &error), ST_OK);
                if (m == NULL) continue;
                CHECK(m->shards[0].data_offset >= length); /* the header never shrinks */
                CHECK_EQ(m->shards[0].data_offset % options.align, 0);
                length = (size_t)m->shards[0].data_offset;
                CHECK(m->metadata_count == 1 && m->metadata[0].value_bytes == values[i]);
                CHECK(m->count == 1 && st_read(m, m->tensors, 0, two, 2, &error) == ST_OK && memcmp(two, "xy", 2) == 0);
                st_close(m);
            }
        }
    }
    scratch_remove(TARGET);
    free(value);
}

/* an alignment over 32,768 is not preserved */
static void far_alignment(void) {
    st_save_options options;
    st_pair pair = PAIR("k", "");
    char *value = (char *)need(70000);
    st_model *m;
    st_error error;
    memset(&options, 0, sizeof options);
    memset(value, 'v', 70000);
    pair.value = value;
    pair.value_bytes = 70000;
    options.align = 65536;
    test_row = "data at 65,536";
    CHECK_STATUS(st_save(scratch_path(TARGET), CONTENTS(NULL, 0, NULL, 0), &options, &error), ST_OK);
    options.align = 0;
    options.slack = 1; /* instead of the existing 65,526 blanks */
    CHECK_STATUS(edit(scratch_path(TARGET), &pair, 1, &options, 0, &error), ST_OK);
    CHECK_STATUS(st_open(&m, scratch_path(TARGET), NULL, &error), ST_OK);
    if (m != NULL) CHECK_EQ(m->shards[0].data_offset, 98304);
    st_close(m);
    scratch_remove(TARGET);
    free(value);
}

/* data longer than one copy block, with progress */
static void long_data(void) {
    enum { BYTES = 2300001 };
    static const uint64_t shape[1] = {BYTES};
    static const char text[] =
        "{\"__metadata__\":{\"k\":\"" X100("0123456789") "\"},\"t\":{\"dtype\":\"U8\",\"shape\":[2300001],"
                                                         "\"data_offsets\":[0,2300001]}}";
    unsigned char *bytes = (unsigned char *)need(BYTES), *want;
    st_tensor tensor;
    st_save_options options;
    calling c;
    st_error error;
    size_t n, i, calls;
    for (i = 0; i < BYTES; i++) bytes[i] = (unsigned char)(i * 7 / 5 & 255);
    memset(&tensor, 0, sizeof tensor);
    memset(&options, 0, sizeof options);
    memset(&c, 0, sizeof c);
    tensor.name = "t";
    tensor.dtype = ST_DTYPE_U8;
    tensor.rank = 1;
    tensor.shape = shape;
    tensor.data = bytes;
    test_row = "long data";
    want = golden_file(text, sizeof text - 1, 0, 4, bytes, BYTES, &n);
    CHECK_STATUS(st_save(scratch_path(TARGET), CONTENTS(&tensor, 1, NULL, 0), &options, &error), ST_OK);
    options.progress = watch;
    options.user = &c;
    c.progress.fail_at = 1;
    CHECK_STATUS(edit(scratch_path(TARGET), pair_long, 1, &options, 0, &error), ST_ERR_CANCELLED);
    c.done = 0;
    CHECK_STATUS(edit(scratch_path(TARGET), pair_long, 1, &options, 0, &error), ST_OK);
    calls = c.progress.calls;
    CHECK(calls > 2 && c.done == BYTES && c.total == BYTES);
    CHECK(file_is(scratch_path(TARGET), want, n));
    scratch_remove(TARGET);
    free(want);
    free(bytes);
}

/* ---- errors ----------------------------------------------------------------------------------------------- */

static void refused(const char *name, const void *file, size_t n, const st_pair *pairs, size_t count,
                    const st_save_options *options, st_status status, const char *subject) {
    int in_place;
    for (in_place = 0; in_place <= 1; in_place++) {
        st_error error;
        test_row = name;
        scratch_write(TARGET, file, n);
        CHECK_STATUS(edit(scratch_path(TARGET), pairs, count, options, in_place ? ST_SAVE_IN_PLACE : 0, &error),
                     status);
        if (subject != NULL) CHECK_STR(error.subject, subject);
        CHECK(file_is(scratch_path(TARGET), file, n));
        scratch_remove(TARGET);
    }
}

static void refusals(void) {
    static const char text[] = "{" T_ENTRY "}" BLANKS_100;
    static const st_pair twice[] = {PAIR("k", "v"), PAIR("k", "w")}, bad[] = {PAIR("k", "\xff")},
                         null[] = {PAIR("k", NULL)};
    size_t n;
    unsigned char *file = make_file(text, sizeof text - 1, "xyz", 3, &n);
    st_save_options options;
    st_error error;
    memset(&options, 0, sizeof options);
    refused("bytes behind", file, n, pair_k, 1, NULL, ST_ERR_TRAILING, NULL);
    n--;
    refused("cut short", file, n - 1, pair_k, 1, NULL, ST_ERR_TRUNCATED, NULL);
    refused("not JSON", "\x04\0\0\0\0\0\0\0{no}", 12, pair_k, 1, NULL, ST_ERR_JSON, NULL);
    refused("nothing", "", 0, pair_k, 1, NULL, ST_ERR_TRUNCATED, NULL);
    refused("a key twice", file, n, twice, 2, NULL, ST_ERR_DUPLICATE, "k");
    refused("not UTF-8", file, n, bad, 1, NULL, ST_ERR_UTF8, "k");
    refused("no value", file, n, null, 1, NULL, ST_ERR_ARGUMENT, "k");
    refused("no pairs", file, n, NULL, 1, NULL, ST_ERR_ARGUMENT, NULL);
    options.align = 24;
    refused("alignment", file, n, pair_k, 1, &options, ST_ERR_ARGUMENT, "align");
    options.align = 0;
    options.flags = 1u << 29;
    refused("flags", file, n, pair_k, 1, &options, ST_ERR_ARGUMENT, NULL);
    options.flags = 0;
    options.slack = 100000000;
    test_row = "over the limit";
    scratch_write(TARGET, file, n);
    CHECK_STATUS(edit(scratch_path(TARGET), pair_long, 1, &options, 0, &error), ST_ERR_HEADER_LIMIT);
    CHECK_EQ(error.expected, 100000000);
    CHECK(error.actual > 100000000);
    CHECK(file_is(scratch_path(TARGET), file, n));
    scratch_remove(TARGET);
    test_row = "no file";
    CHECK_STATUS(edit(scratch_path(TARGET), pair_k, 1, NULL, 0, &error), ST_ERR_NOT_FOUND);
    CHECK_STATUS(edit(scratch_path(TARGET), pair_k, 1, NULL, ST_SAVE_IN_PLACE, &error), ST_ERR_NOT_FOUND);
    test_row = "a directory";
    CHECK(SCRATCH_MAKE(scratch_path(TARGET)) == 0);
    CHECK_STATUS(edit(scratch_path(TARGET), pair_k, 1, NULL, 0, &error), ST_ERR_NOT_FOUND);
    CHECK_STATUS(edit(scratch_path(TARGET), pair_k, 1, NULL, ST_SAVE_IN_PLACE, &error), ST_ERR_NOT_FOUND);
    CHECK(SCRATCH_DROP(scratch_path(TARGET)) == 0);
    free(file);
}

/* ---- options that st_edit_metadata rejects or ignores ------------------------------------------------------- */

static int no_bytes(void *user, const st_tensor *tensor, uint64_t offset, void *dst, size_t n) {
    (void)user, (void)tensor, (void)offset, (void)dst, (void)n;
    return 1;
}

static void options_refused(void) {
    static const char text[] = "{" T_ENTRY "}" BLANKS_100;
    static const st_sink sink = {NULL, NULL}; /* never called */
    char work[64];
    size_t n;
    unsigned char *file = make_file(text, sizeof text - 1, "xy", 2, &n);
    st_save_options o;
#define REFUSED(set, name)   \
    memset(&o, 0, sizeof o); \
    set;                     \
    refused("an option: " name, file, n, pair_k, 1, &o, ST_ERR_ARGUMENT, name)
    REFUSED(o.work.data = work, "work");
    REFUSED(o.flags = ST_SAVE_KEEP_ORDER, "ST_SAVE_KEEP_ORDER");
    REFUSED(o.max_shard_bytes = 1, "max_shard_bytes");
    REFUSED(o.sink = &sink, "sink");
    REFUSED(o.fill = no_bytes, "fill");
#undef REFUSED
    for (n = 0; n < 2; n++) { /* options that apply to new files only */
        size_t bytes;
        unsigned char *again = make_file(text, sizeof text - 1, "xy", 2, &bytes);
        st_error error;
        test_row = "layout, in place";
        memset(&o, 0, sizeof o);
        if (n == 0) o.align = 8;
        if (n == 1) o.slack = 8;
        scratch_write(TARGET, again, bytes);
        CHECK_STATUS(edit(scratch_path(TARGET), pair_k, 1, &o, ST_SAVE_IN_PLACE, &error), ST_ERR_ARGUMENT);
        CHECK_STR(error.subject, n == 0 ? "align" : "slack");
        CHECK(file_is(scratch_path(TARGET), again, bytes));
        scratch_remove(TARGET);
        free(again);
    }
    free(file);
}

/* ---- another process replaces the file meanwhile ---------------------------------------------------------- */

#ifndef _WIN32 /* Windows does not rename over an open file */
typedef struct racing {
    int calls, when, rewrites;
    const unsigned char *other;
    size_t n;
} racing;

/* The allocator acts as another process: its call number `when` puts a different file under the name, or overwrites
 * the file in place. */
static void *race(void *user, size_t bytes) {
    racing *r = (racing *)user;
    if (++r->calls == r->when) {
        if (r->rewrites) {
            scratch_write(TARGET, r->other, r->n);
        } else {
            char from[400];
            snprintf(from, sizeof from, "%s", scratch_write("other.safetensors", r->other, r->n));
            CHECK(rename(from, scratch_path(TARGET)) == 0);
        }
    }
    return malloc(bytes);
}

static void race_free(void *user, void *pointer, size_t bytes) {
    (void)user, (void)bytes;
    free(pointer);
}

static void raced(void) {
    /* both files and both headers have the same length */
    static const char a[] = "{\"weights\":" E("U8", "[16]", "[0,16]") "}" BLANKS_100;
    static const char b[] = "{\"bias\":" E("I16", "[08]", "[0,16]") "}  " BLANKS_100;
    size_t n, m;
    unsigned char *file = make_file(a, sizeof a - 1, "0123456789abcdef", 16, &n), *other;
    char changed[sizeof b];
    racing r;
    int met = 0;
    memcpy(changed, b, sizeof b);
    memcpy(strstr(changed, "[08]"), " [8]", 4);
    other = make_file(changed, sizeof a - 1, "ABCDEFGHIJKLMNOP", 16, &m);
    CHECK_EQ(n, m);
    for (r.rewrites = 0; r.rewrites <= 1; r.rewrites++) {
        for (r.when = 1; r.when < 30; r.when++) {
            st_allocator allocator = {NULL, race, race_free};
            st_save_options o;
            st_error error;
            st_status status;
            char row[64];
            snprintf(row, sizeof row, "%s at allocation %d", r.rewrites ? "rewritten" : "replaced", r.when);
            test_row = row;
            memset(&o, 0, sizeof o);
            o.flags = ST_SAVE_IN_PLACE;
            o.allocator = &allocator;
            allocator.user = &r;
            r.calls = 0;
            r.other = other;
            r.n = m;
            scratch_write(TARGET, file, n);
#if defined(__unix__) || defined(__APPLE__)
            { /* set an old time: this test is not about timestamps too coarse to tell two writes apart */
                struct timeval then[2] = {{1000000000, 0}, {1000000000, 0}};
                CHECK(utimes(scratch_path(TARGET), then) == 0);
            }
#endif
            status = st_edit_metadata(scratch_path(TARGET), pair_k, 1, &o, &error);
            if (r.calls < r.when) {
                CHECK_STATUS(status, ST_OK);
                break;
            }
            met++;
            if (status == ST_OK) { /* the other file was there before the edit opened it, or came after the edit */
                st_model *model;
                CHECK_STATUS(st_open(&model, scratch_path(TARGET), NULL, &error), ST_OK);
                CHECK(model != NULL && st_find(model, "bias") != NULL);
                if (model != NULL && model->count == 1)
                    CHECK(memcmp(model->tensors[0].data, "ABCDEFGHIJKLMNOP", 16) == 0);
                st_close(model);
            } else {
                if (!r.rewrites) CHECK_STATUS(status, ST_ERR_IO);
                CHECK(file_is(scratch_path(TARGET), other, m));
            }
        }
    }
    CHECK(met > 6);
    test_row = "";
    scratch_remove(TARGET);
    free(other);
    free(file);
}
#endif

/* ---- while the file is open ------------------------------------------------------------------------------- */

static void while_open(void) {
    static const char text[] = "{" T_ENTRY "}" BLANKS_100;
    size_t n;
    unsigned char *file = make_file(text, sizeof text - 1, "xy", 2, &n);
    int how;
    for (how = 0; how < 4; how++) {
        const unsigned flags = how & 1 ? ST_SAVE_IN_PLACE : 0;
        st_open_options open;
        st_model *m;
        st_error error;
        st_status status;
        char two[2];
        test_row = how & 2 ? "while it is open, not mapped" : "while it is open and mapped";
        memset(&open, 0, sizeof open);
        open.flags = how & 2 ? ST_OPEN_NO_MAP : 0;
        scratch_write(TARGET, file, n);
        CHECK_STATUS(st_open(&m, scratch_path(TARGET), &open, &error), ST_OK);
        if (m == NULL) continue;
        status = edit(scratch_path(TARGET), pair_k, 1, NULL, flags, &error);
        CHECK_STATUS(st_read(m, &m->tensors[0], 0, two, 2, &error), ST_OK);
        CHECK(memcmp(two, "xy", 2) == 0);
#ifdef _WIN32 /* Windows may refuse; then nothing has changed */
        CHECK(status == ST_OK || status == ST_ERR_IO);
        if (status == ST_ERR_IO) CHECK(file_is(scratch_path(TARGET), file, n));
#else
        CHECK_STATUS(status, ST_OK);
#endif
        st_close(m);
        scratch_remove(TARGET);
    }
    free(file);
}

/* ---- links and permissions, where the system has them --------------------------------------------------------- */

#ifndef _WIN32
static ino_t inode(const char *path) {
    struct stat about;
    CHECK(lstat(path, &about) == 0);
    return about.st_ino;
}

static void links(void) {
    static const char text[] = "{" T_ENTRY "}" BLANKS_100;
    size_t n;
    unsigned char *file = make_file(text, sizeof text - 1, "xy", 2, &n);
    struct stat about;
    st_model *m;
    st_error error;
    ino_t first;
    test_row = "a symbolic link";
    scratch_write("behind.safetensors", file, n);
    CHECK(symlink("behind.safetensors", scratch_path(TARGET)) == 0);
#if !defined(__wasi__) /* node's WASI follows links in spite of O_NOFOLLOW */
    CHECK_STATUS(edit(scratch_path(TARGET), pair_k, 1, NULL, ST_SAVE_IN_PLACE, &error), ST_ERR_UNSUPPORTED);
#endif
    CHECK(lstat(scratch_path(TARGET), &about) == 0 && S_ISLNK(about.st_mode));
    CHECK(file_is(scratch_path("behind.safetensors"), file, n));
    CHECK_STATUS(edit(scratch_path(TARGET), pair_k, 1, NULL, 0, &error), ST_OK);
    CHECK(lstat(scratch_path(TARGET), &about) == 0 && S_ISREG(about.st_mode));
    CHECK(file_is(scratch_path("behind.safetensors"), file, n));
    scratch_remove(TARGET);
#if HAS_HARD_LINKS
    test_row = "two names";
    CHECK(link(scratch_path("behind.safetensors"), scratch_path(TARGET)) == 0);
    CHECK_STATUS(edit(scratch_path(TARGET), pair_k, 1, NULL, ST_SAVE_IN_PLACE, &error), ST_ERR_UNSUPPORTED);
    CHECK(file_is(scratch_path(TARGET), file, n));
    CHECK_STATUS(edit(scratch_path(TARGET), pair_k, 1, NULL, 0, &error), ST_OK);
    CHECK(file_is(scratch_path("behind.safetensors"), file, n));
    CHECK(!file_is(scratch_path(TARGET), file, n));
    scratch_remove(TARGET);
#endif
    scratch_remove("behind.safetensors");
    test_row = "the same file, another file";
    scratch_write(TARGET, file, n);
#if HAS_POSIX
    CHECK(chmod(scratch_path(TARGET), 0640) == 0);
#endif
    first = inode(scratch_path(TARGET));
    CHECK_STATUS(st_open(&m, scratch_path(TARGET), NULL, &error), ST_OK); /* keeps the inode number from being reused */
    CHECK_STATUS(edit(scratch_path(TARGET), pair_k, 1, NULL, ST_SAVE_IN_PLACE, &error), ST_OK);
    CHECK_EQ(inode(scratch_path(TARGET)), first);
    CHECK_STATUS(edit(scratch_path(TARGET), pair_k, 1, NULL, 0, &error), ST_OK);
    CHECK(inode(scratch_path(TARGET)) != first);
#if HAS_POSIX
    CHECK(lstat(scratch_path(TARGET), &about) == 0 && (about.st_mode & 07777) == 0640);
#endif
    st_close(m);
    scratch_remove(TARGET);
    free(file);
}
#endif

int main(void) {
    scratch_begin("edit");
    by_hand();
    grow_and_shrink();
    far_alignment();
    long_data();
    refusals();
    options_refused();
    while_open();
#ifndef _WIN32
    links();
    raced();
#else
    SKIP("links and permissions are those of POSIX");
#endif
    test_row = "";
    scratch_end();
    return test_done("edit");
}
