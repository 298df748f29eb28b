/* Tests what is written, byte for byte against files made by hand; what is rejected; and that the files open. Every
 * row is saved in every way. */
#include "../safetensors.h"

#include <time.h>

#include "written.h"

/* ---- files made by hand ----------------------------------------------------------------------------------- */

typedef struct written_case {
    saving saving;
    size_t length; /* header length with padding, as in the first eight bytes */
    const char *header;
    size_t header_bytes; /* without padding */
    const char *data;
    size_t data_bytes;
} written_case;

#define HEADER(text) .header = text, .header_bytes = sizeof(text) - 1
#define DATA(bytes) .data = bytes, .data_bytes = sizeof(bytes) - 1
#define BYTES_24 "abcdefghijklmnopqrstuvwx"
#define ONES_16 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1
#define ONES_16_TEXT "1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1"

static const st_pair no_pair[1];

/* clang-format off */
static const written_case cases[] = {
    /* files of the reference's tests */
    {.saving = {.name = "nothing"}, .length = 8, HEADER("{}"), DATA("")},
    {.saving = {"metadata only", NULL, 0, LIST(st_pair, PAIR("framework", "pt")), 0, 0, 0}, .length = 40,
     HEADER("{\"__metadata__\":{\"framework\":\"pt\"}}"), DATA("")},
    {.saving = {"64 bytes", LIST(st_tensor, TENSOR("attn.0", F32, BYTES_24, 1, 2, 3)), NULL, 0, 0, 0, 0}, .length = 64,
     HEADER("{\"attn.0\":{\"dtype\":\"F32\",\"shape\":[1,2,3],\"data_offsets\":[0,24]}}"), DATA(BYTES_24)},
    {.saving = {"65 bytes", LIST(st_tensor, TENSOR("attn0", F32, BYTES_24, 1, 1, 2, 3)), NULL, 0, 0, 0, 0}, .length = 72,
     HEADER("{\"attn0\":{\"dtype\":\"F32\",\"shape\":[1,1,2,3],\"data_offsets\":[0,24]}}"), DATA(BYTES_24)},
    {.saving = {"half a byte each", LIST(st_tensor, TENSOR("attn.0", F4, "\xa5", 1, 2)), NULL, 0, 0, 0, 0}, .length = 64,
     HEADER("{\"attn.0\":{\"dtype\":\"F4\",\"shape\":[1,2],\"data_offsets\":[0,1]}}"), DATA("\xa5")},
    /* files that the reference writes incorrectly */
    {.saving = {"empty metadata and nothing else", NULL, 0, no_pair, 0, 0, 0, 0}, .length = 24,
     HEADER("{\"__metadata__\":{}}"), DATA("")},
    {.saving = {"empty metadata", LIST(st_tensor, TENSOR("t", U8, "x", 1)), no_pair, 0, 0, 0, 0}, .length = 72,
     HEADER("{\"__metadata__\":{},\"t\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]}}"), DATA("x")},
    {.saving = {"keys by their bytes", NULL, 0,
                LIST(st_pair, PAIR("b", "2"), PAIR("\xf0\x90\x80\x80", "6"), PAIR("a", "1"), PAIR("", "0"),
                     PAIR("\xef\xbf\xbf", "5"), PAIR("\xc3\xa9", "4"), PAIR_N("a\0", "1\0"), PAIR("~", "3")), 0, 0, 0},
     .length = 104,
     HEADER("{\"__metadata__\":{\"\":\"0\",\"a\":\"1\",\"a\\u0000\":\"1\\u0000\",\"b\":\"2\",\"~\":\"3\",\"\xc3\xa9\":\"4\","
            "\"\xef\xbf\xbf\":\"5\",\"\xf0\x90\x80\x80\":\"6\"}}"), DATA("")},
    /* order and shapes */
    {.saving = {"dtype, then name", LIST(st_tensor, TENSOR("b", U8, "12", 2), TENSOR("z", F32, "abcd", 1),
                                         TENSOR("a", BOOL, "3", 1), TENSOR("a2", U8, "4", 1), SCALAR("a1", F32, "efgh")),
                NULL, 0, 0, 0, 0}, .length = 272,
     HEADER("{\"a1\":{\"dtype\":\"F32\",\"shape\":[],\"data_offsets\":[0,4]},"
            "\"z\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[4,8]},"
            "\"a2\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[8,9]},"
            "\"b\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[9,11]},"
            "\"a\":{\"dtype\":\"BOOL\",\"shape\":[1],\"data_offsets\":[11,12]}}"), DATA("efghabcd4123")},
    {.saving = {"the caller's order", LIST(st_tensor, TENSOR("b", U8, "12", 2), TENSOR("e", F64, NULL, 2, 0),
                                           TENSOR("z", F32, "abcd", 1), SCALAR("a", BOOL, "3")),
                NULL, 0, ST_SAVE_KEEP_ORDER, 0, 0}, .length = 216,
     HEADER("{\"b\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[0,2]},"
            "\"e\":{\"dtype\":\"F64\",\"shape\":[2,0],\"data_offsets\":[2,2]},"
            "\"z\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[2,6]},"
            "\"a\":{\"dtype\":\"BOOL\",\"shape\":[],\"data_offsets\":[6,7]}}"), DATA("12abcd3")},
    {.saving = {"names by their bytes",
                LIST(st_tensor, TENSOR("b", U8, "8", 1), TENSOR("\xf0\x90\x80\x80", U8, "c", 1), TENSOR("", U8, "0", 1),
                     TENSOR("\xef\xbf\xbf", U8, "b", 1), TENSOR("a", U8, "4", 1), TENSOR("ab", U8, "7", 1),
                     {.name = "a\0", .name_bytes = 2, .dtype = ST_DTYPE_U8, .rank = 1, .shape = DIMENSIONS(1), .data = "5"},
                     TENSOR("aa", U8, "6", 1), TENSOR("\x7f", U8, "9", 1), TENSOR("A", U8, "2", 1),
                     {.name = "\0", .name_bytes = 1, .dtype = ST_DTYPE_U8, .rank = 1, .shape = DIMENSIONS(1), .data = "1"},
                     TENSOR("\xc3\xa9", U8, "a", 1), TENSOR("Z", U8, "3", 1)), NULL, 0, 0, 0, 0}, .length = 704,
     HEADER("{\"\":" E("U8", "[1]", "[0,1]") ",\"\\u0000\":" E("U8", "[1]", "[1,2]") ",\"A\":" E("U8", "[1]", "[2,3]")
            ",\"Z\":" E("U8", "[1]", "[3,4]") ",\"a\":" E("U8", "[1]", "[4,5]") ",\"a\\u0000\":" E("U8", "[1]", "[5,6]")
            ",\"aa\":" E("U8", "[1]", "[6,7]") ",\"ab\":" E("U8", "[1]", "[7,8]") ",\"b\":" E("U8", "[1]", "[8,9]")
            ",\"\x7f\":" E("U8", "[1]", "[9,10]") ",\"\xc3\xa9\":" E("U8", "[1]", "[10,11]")
            ",\"\xef\xbf\xbf\":" E("U8", "[1]", "[11,12]") ",\"\xf0\x90\x80\x80\":" E("U8", "[1]", "[12,13]") "}"),
     DATA("0123456789abc")},
    {.saving = {"of no size", LIST(st_tensor, TENSOR("u", U8, "x", 1), TENSOR("e2", F4, NULL, 0),
                                   TENSOR("e1", U64, NULL, 0, 9223372036854775808u, 9223372036854775808u),
                                   TENSOR("e3", BOOL, NULL, 18446744073709551615u, 0)), NULL, 0, 0, 0, 0}, .length = 280,
     HEADER("{\"e1\":{\"dtype\":\"U64\",\"shape\":[0,9223372036854775808,9223372036854775808],\"data_offsets\":[0,0]},"
            "\"u\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]},"
            "\"e2\":{\"dtype\":\"F4\",\"shape\":[0],\"data_offsets\":[1,1]},"
            "\"e3\":{\"dtype\":\"BOOL\",\"shape\":[18446744073709551615,0],\"data_offsets\":[1,1]}}"), DATA("x")},
    {.saving = {"six bits each", LIST(st_tensor, TENSOR("b", F6_E2M3, "abc", 4), TENSOR("a", F6_E3M2, "defghi", 2, 4)),
                NULL, 0, 0, 0, 0}, .length = 120,
     HEADER("{\"a\":{\"dtype\":\"F6_E3M2\",\"shape\":[2,4],\"data_offsets\":[0,6]},"
            "\"b\":{\"dtype\":\"F6_E2M3\",\"shape\":[4],\"data_offsets\":[6,9]}}"), DATA("defghiabc")},
    {.saving = {"rank 64", LIST(st_tensor, TENSOR("deep", I8, "x", ONES_16, ONES_16, ONES_16, ONES_16)), NULL, 0, 0, 0, 0},
     .length = 184, HEADER("{\"deep\":{\"dtype\":\"I8\",\"shape\":[" ONES_16_TEXT "," ONES_16_TEXT "," ONES_16_TEXT ","
                           ONES_16_TEXT "],\"data_offsets\":[0,1]}}"), DATA("x")},
    /* unknown dtypes */
    {.saving = {"opaque, after all others",
                LIST(st_tensor, UNKNOWN("a", "X9", "0123456", 7, 3), UNKNOWN("d", "U3", NULL, 0, 0), TENSOR("c", BOOL, "T", 1),
                     UNKNOWN("b", "\"\n\xc3\xa9", "xy", 2, 5, 5)), NULL, 0, 0, 0, 0}, .length = 224,
     HEADER("{\"c\":{\"dtype\":\"BOOL\",\"shape\":[1],\"data_offsets\":[0,1]},"
            "\"a\":{\"dtype\":\"X9\",\"shape\":[3],\"data_offsets\":[1,8]},"
            "\"b\":{\"dtype\":\"\\\"\\n\xc3\xa9\",\"shape\":[5,5],\"data_offsets\":[8,10]},"
            "\"d\":{\"dtype\":\"U3\",\"shape\":[0],\"data_offsets\":[10,10]}}"), DATA("T0123456xy")},
    {.saving = {"known by its spelling",
                LIST(st_tensor, TENSOR("b", BF16, "cdef", 2), UNKNOWN("a", "BF16", "ab", 2, 1), TENSOR("c", F32, "ABCD", 1)),
                NULL, 0, 0, 0, 0}, .length = 168,
     HEADER("{\"c\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]},"
            "\"a\":{\"dtype\":\"BF16\",\"shape\":[1],\"data_offsets\":[4,6]},"
            "\"b\":{\"dtype\":\"BF16\",\"shape\":[2],\"data_offsets\":[6,10]}}"), DATA("ABCDabcdef")},
    /* alignment of the data */
    {.saving = {"aligned to 16", LIST(st_tensor, TENSOR("t", U8, "x", 1)), NULL, 0, 0, 16, 0}, .length = 56,
     HEADER("{\"t\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]}}"), DATA("x")},
    {.saving = {"aligned to 64", LIST(st_tensor, TENSOR("t", U8, "x", 1)), NULL, 0, 0, 64, 0}, .length = 56,
     HEADER("{\"t\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]}}"), DATA("x")},
    {.saving = {"aligned to 4096", LIST(st_tensor, TENSOR("t", U8, "x", 1)), NULL, 0, 0, 4096, 0}, .length = 4088,
     HEADER("{\"t\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]}}"), DATA("x")},
    {.saving = {"slack of one byte", LIST(st_tensor, TENSOR("attn.0", F32, BYTES_24, 1, 2, 3)), NULL, 0, 0, 0, 1},
     .length = 72, HEADER("{\"attn.0\":{\"dtype\":\"F32\",\"shape\":[1,2,3],\"data_offsets\":[0,24]}}"), DATA(BYTES_24)},
    {.saving = {"slack that needs padding too", NULL, 0, NULL, 0, 0, 0, 100}, .length = 104, HEADER("{}"), DATA("")},
    {.saving = {"slack and alignment", NULL, 0, NULL, 0, 0, 256, 300}, .length = 504, HEADER("{}"), DATA("")},
};
/* clang-format on */

static void check_case(const saving *s, const char *header, size_t header_bytes, size_t length, const void *data,
                       size_t data_bytes) {
    size_t n;
    unsigned char *want = golden_file(header, header_bytes, s->align, s->slack, data, data_bytes, &n);
    test_row = s->name;
    if (length > 0) CHECK_EQ(n - 8 - data_bytes, length);
    check_ways(s, want, n, data_bytes);
    if (s->align == 0 && s->slack == 0) check_reopens(s, want, n);
    free(want);
}

static void by_hand(void) {
    size_t i;
    for (i = 0; i < sizeof cases / sizeof *cases; i++) {
        const written_case *c = &cases[i];
        check_case(&c->saving, c->header, c->header_bytes, c->length, c->data, c->data_bytes);
    }
}

/* ---- files made at run time ------------------------------------------------------------------------------- */

static void text_offsets(growing *t, uint64_t begin, uint64_t end) {
    text_put(t, "],\"data_offsets\":[");
    text_number(t, begin);
    text_put(t, ",");
    text_number(t, end);
    text_put(t, "]}");
}

/* one tensor of each dtype, with names in the opposite order */
static void every_dtype(void) {
    static const struct row {
        const char *dtype;
        unsigned bytes; /* of eight elements */
    } order[] = {{"U64", 64},        {"I64", 64},    {"F64", 64},    {"C64", 64},    {"F32", 32}, {"U32", 32},
                 {"I32", 32},        {"BF16", 16},   {"F16", 16},    {"U16", 16},    {"I16", 16}, {"F8_E5M2FNUZ", 8},
                 {"F8_E4M3FNUZ", 8}, {"F8_E8M0", 8}, {"F8_E4M3", 8}, {"F8_E5M2", 8}, {"I8", 8},   {"U8", 8},
                 {"F6_E3M2", 6},     {"F6_E2M3", 6}, {"F4", 4},      {"BOOL", 8}};
    enum { DTYPES = sizeof order / sizeof *order };
    static const uint64_t eight[1] = {8};
    static char names[DTYPES][4];
    st_tensor tensors[DTYPES];
    saving s;
    growing header = {NULL, 0, 0}, data = {NULL, 0, 0};
    char block[64];
    uint64_t at = 0;
    size_t i, k;
    memset(tensors, 0, sizeof tensors);
    memset(&s, 0, sizeof s);
    for (i = 0; i < DTYPES; i++) { /* the caller passes them in order of dtype */
        snprintf(names[i], sizeof names[i], "n%02d", (int)i);
        tensors[i].name = names[i];
        tensors[i].dtype = (st_dtype)(i + 1);
        tensors[i].rank = 1;
        tensors[i].shape = eight;
    }
    CHECK_EQ(DTYPES, 22);
    text_put(&header, "{");
    for (i = 0; i < DTYPES; i++) {
        text_put(&header, i > 0 ? ",\"" : "\"");
        text_put(&header, names[DTYPES - 1 - i]);
        text_put(&header, "\":{\"dtype\":\"");
        text_put(&header, order[i].dtype);
        text_put(&header, "\",\"shape\":[8");
        text_offsets(&header, at, at + order[i].bytes);
        at += order[i].bytes;
        for (k = 0; k < order[i].bytes; k++) block[k] = (char)(i * 7 + k);
        text_add(&data, block, order[i].bytes);
    }
    text_put(&header, "}");
    for (i = 0, at = 0; i < DTYPES; i++) {
        tensors[DTYPES - 1 - i].data = data.at + at;
        at += order[i].bytes;
    }
    s.name = "every dtype";
    s.tensors = tensors;
    s.count = DTYPES;
    check_case(&s, header.at, header.n, 0, data.at, data.n);
    free(header.at);
    free(data.at);
}

/* each ASCII character in a tensor's name, a key, a value and a dtype name */
static void every_escape(void) {
    static const char *const escaped[32] = {"\\u0000", "\\u0001", "\\u0002", "\\u0003", "\\u0004", "\\u0005", "\\u0006",
                                            "\\u0007", "\\b",     "\\t",     "\\n",     "\\u000b", "\\f",     "\\r",
                                            "\\u000e", "\\u000f", "\\u0010", "\\u0011", "\\u0012", "\\u0013", "\\u0014",
                                            "\\u0015", "\\u0016", "\\u0017", "\\u0018", "\\u0019", "\\u001a", "\\u001b",
                                            "\\u001c", "\\u001d", "\\u001e", "\\u001f"};
    static const uint64_t one[1] = {1};
    st_tensor tensors[128];
    st_pair pairs[128];
    char names[128][2], data[128], shown[128][8];
    growing header = {NULL, 0, 0};
    saving s;
    size_t i;
    memset(tensors, 0, sizeof tensors);
    memset(&s, 0, sizeof s);
    for (i = 0; i < 128; i++) {
        names[i][0] = (char)i;
        names[i][1] = 0;
        data[i] = (char)(127 - i);
        strcpy(shown[i], i < 32 ? escaped[i] : i == '"' ? "\\\"" : i == '\\' ? "\\\\" : names[i]);
        pairs[127 - i].key = pairs[127 - i].value = names[i];
        pairs[127 - i].key_bytes = pairs[127 - i].value_bytes = 1;
        tensors[i].name = names[i];
        tensors[i].name_bytes = 1;
        tensors[i].rank = 1;
        tensors[i].shape = one;
        tensors[i].data = &data[i];
        tensors[i].bytes = 1;
        tensors[i].dtype_name = i > 0 ? names[i] : "NUL"; /* dtype names are NUL-terminated */
    }
    text_put(&header, "{\"__metadata__\":{");
    for (i = 0; i < 128; i++) {
        text_put(&header, i > 0 ? ",\"" : "\"");
        text_put(&header, shown[i]);
        text_put(&header, "\":\"");
        text_put(&header, shown[i]);
        text_put(&header, "\"");
    }
    text_put(&header, "}");
    for (i = 0; i < 128; i++) {
        text_put(&header, ",\"");
        text_put(&header, shown[i]);
        text_put(&header, "\":{\"dtype\":\"");
        text_put(&header, i > 0 ? shown[i] : "NUL");
        text_put(&header, "\",\"shape\":[1");
        text_offsets(&header, i, i + 1);
    }
    text_put(&header, "}");
    s.name = "every escape";
    s.tensors = tensors;
    s.count = 128;
    s.pairs = pairs;
    s.pair_count = 128;
    check_case(&s, header.at, header.n, 0, data, sizeof data);
    free(header.at);
}

/* `count` pairs, unsorted; the last value is empty */
static void pairs_sorted(size_t count) {
    st_pair *pairs = (st_pair *)need(count * sizeof *pairs);
    char(*keys)[8] = (char(*)[8])need(count * sizeof *keys);
    growing header = {NULL, 0, 0};
    char name[32];
    saving s;
    size_t i, at = 0;
    memset(&s, 0, sizeof s);
    memset(pairs, 0, count * sizeof *pairs);
    text_put(&header, "{\"__metadata__\":{");
    for (i = 0; i < count; i++) {
        snprintf(keys[i], sizeof keys[i], "k%06d", (int)i);
        text_put(&header, i > 0 ? ",\"" : "\"");
        text_put(&header, keys[i]);
        text_put(&header, "\":\"");
        text_put(&header, i + 1 < count ? keys[i] + 1 : "");
        text_put(&header, "\"");
        at = (at + 617) % count; /* 617 is a prime that divides no count, so each index occurs once */
        pairs[at].key = keys[i];
        pairs[at].value = i + 1 < count ? keys[i] + 1 : "";
    }
    text_put(&header, "}}");
    snprintf(name, sizeof name, "%d pairs", (int)count);
    s.name = name;
    s.pairs = pairs;
    s.pair_count = count;
    check_case(&s, header.at, header.n, 0, "", 0);
    free(header.at);
    free(keys);
    free(pairs);
}

static void every_rank(void) {
    static const uint64_t ones[65] = {2, ONES_16, ONES_16, ONES_16, ONES_16};
    st_tensor tensors[66];
    char names[66][4];
    growing header = {NULL, 0, 0}, data = {NULL, 0, 0};
    saving s;
    uint32_t rank, d;
    memset(tensors, 0, sizeof tensors);
    memset(&s, 0, sizeof s);
    text_put(&header, "{");
    for (rank = 0; rank <= 65; rank++) {
        st_tensor *t = &tensors[(rank * 7 + 3) % 66];
        uint64_t at = data.n;
        snprintf(names[rank], sizeof names[rank], "r%02d", (int)rank);
        text_put(&header, rank > 0 ? ",\"" : "\"");
        text_put(&header, names[rank]);
        text_put(&header, "\":{\"dtype\":\"I16\",\"shape\":[");
        for (d = 0; d < rank; d++) text_put(&header, d > 0 ? ",1" : "2");
        text_add(&data, rank > 0 ? "wxyz" : "ab", rank > 0 ? 4 : 2);
        text_offsets(&header, at, data.n);
        t->name = names[rank];
        t->dtype = ST_DTYPE_I16;
        t->rank = rank;
        t->shape = rank > 0 ? ones : NULL;
        t->data = rank > 0 ? "wxyz" : "ab";
    }
    text_put(&header, "}");
    s.name = "rank 0 to 65";
    s.tensors = tensors;
    s.count = 66;
    check_case(&s, header.at, header.n, 0, data.at, data.n);
    free(header.at);
    free(data.at);
}

/* every alignment with every small slack: checks the formula, and opens the file */
static void every_alignment(void) {
    static const uint64_t two[1] = {2};
    static const char text[] =
        "{\"__metadata__\":{\"k\":\"v\"},\"t\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[0,2]}}";
    st_tensor tensor;
    st_pair pair;
    saving s;
    memset(&tensor, 0, sizeof tensor);
    memset(&pair, 0, sizeof pair);
    memset(&s, 0, sizeof s);
    tensor.name = "t";
    tensor.dtype = ST_DTYPE_U8;
    tensor.rank = 1;
    tensor.shape = two;
    tensor.data = "xy";
    pair.key = "k";
    pair.value = "v";
    s.tensors = &tensor;
    s.count = 1;
    s.pairs = &pair;
    s.pair_count = 1;
    for (s.align = 8; s.align <= 4096; s.align *= 2) {
        for (s.slack = 0; s.slack < 70; s.slack += 1 + s.slack / 3) {
            char row[64];
            size_t n;
            unsigned char *want = golden_file(text, sizeof text - 1, s.align, s.slack, "xy", 2, &n);
            saved a;
            snprintf(row, sizeof row, "align %d, slack %d", (int)s.align, (int)s.slack);
            test_row = row;
            saved_begin(&a, &s);
            CHECK_STATUS(save_by(&a, &s, BY_SINK, NULL, 0), ST_OK);
            CHECK(same_bytes(a.file, a.n, want, n));
            CHECK_STATUS(sources_verdict(a.file, a.n, NULL, SOURCES_NO_FILES).error.status, ST_OK);
            saved_end(&a);
            free(want);
        }
    }
}

/* longer than several of the writer's largest blocks, with tensors that end inside blocks */
static void long_tensors(void) {
    enum { LONG_BYTES = 2500001, SHORT_BYTES = 700003 };
    const uint64_t shapes[3] = {LONG_BYTES, SHORT_BYTES, 1};
    st_tensor tensors[3];
    unsigned char *data = (unsigned char *)need(LONG_BYTES + SHORT_BYTES + 2);
    growing header = {NULL, 0, 0};
    saving s;
    uint64_t random = 1; /* Lehmer's generator */
    size_t i;
    for (i = 0; i < LONG_BYTES + SHORT_BYTES + 2; i++) {
        random = random * 16807 % 2147483647;
        data[i] = (unsigned char)(random & 255);
    }
    memset(tensors, 0, sizeof tensors);
    memset(&s, 0, sizeof s);
    for (i = 0; i < 3; i++) {
        static const char *const names[3] = {"long", "short", "two bytes"};
        tensors[i].name = names[i];
        tensors[i].dtype = i < 2 ? ST_DTYPE_U8 : ST_DTYPE_F16;
        tensors[i].rank = 1;
        tensors[i].shape = &shapes[i];
    }
    tensors[2].data = data;
    tensors[0].data = data + 2;
    tensors[1].data = data + 2 + LONG_BYTES;
    text_put(&header, "{\"two bytes\":" E("F16", "[1]", "[0,2]") ",\"long\":{\"dtype\":\"U8\",\"shape\":[2500001");
    text_offsets(&header, 2, LONG_BYTES + 2);
    text_put(&header, ",\"short\":{\"dtype\":\"U8\",\"shape\":[700003");
    text_offsets(&header, LONG_BYTES + 2, LONG_BYTES + SHORT_BYTES + 2);
    text_put(&header, "}");
    s.name = "long tensors";
    s.tensors = tensors;
    s.count = 3;
    check_case(&s, header.at, header.n, 0, data, LONG_BYTES + SHORT_BYTES + 2);
    free(header.at);
    free(data);
}

/* `count` tensors, unsorted */
static void many(size_t count) {
    static const uint64_t one[1] = {1};
    st_tensor *tensors = (st_tensor *)need(count * sizeof *tensors);
    char(*names)[8] = (char(*)[8])need(count * sizeof *names), *data = (char *)need(count);
    static const int ways[] = {BY_SINK, BY_FILE, BY_SINK_WORK_FILL, STREAM_TO, STREAM_SINK};
    growing header = {NULL, 0, 0};
    st_open_options options;
    st_model *model;
    st_error error;
    saving s;
    size_t i, n, at = 0;
    unsigned char *want;
    test_row = "100,000 tensors";
    memset(tensors, 0, count * sizeof *tensors);
    memset(&s, 0, sizeof s);
    memset(&options, 0, sizeof options);
    s.tensors = tensors;
    s.count = count;
    text_put(&header, "{");
    for (i = 0; i < count; i++) {
        snprintf(names[i], sizeof names[i], "t%06d", (int)i);
        data[i] = (char)(i % 251);
        text_entry(&header, names[i], 7, i);
        at = (at + 61703) % count; /* a prime */
        tensors[at].name = names[i];
        tensors[at].dtype = ST_DTYPE_U8;
        tensors[at].rank = 1;
        tensors[at].shape = one;
        tensors[at].data = data + i;
    }
    text_put(&header, "}");
    want = golden_file(header.at, header.n, 0, 0, data, count, &n);
    for (i = 0; i < sizeof ways / sizeof *ways; i++) {
        saved a;
        if (ways[i] == BY_SINK_WORK_FILL || ways[i] == STREAM_SINK) continue; /* look tensors up one by one */
        saved_begin(&a, &s);
        CHECK_STATUS(save_by(&a, &s, ways[i], want + n - count, count), ST_OK);
        CHECK(same_bytes(a.file, a.n, want, n));
        saved_end(&a);
    }
    CHECK_STATUS(st_open_memory(&model, want, n, &options, &error), ST_OK);
    if (model != NULL) check_holds(model, &s);
    st_close(model);
    scratch_remove(TARGET);
    free(want);
    free(header.at);
    free(data);
    free(names);
    free(tensors);
}

/* each name differs from the one before in one bit of its last byte: the worst case for a tree over bits */
static double save_long_names(int chosen) {
    enum { LENGTH = 800, BITS = 6, COUNT = LENGTH * BITS };
    static const char flipped[BITS + 1] = "uE]QWT"; /* "U" with one bit flipped */
    static const uint64_t none[1] = {0};
    st_tensor *tensors = (st_tensor *)need(COUNT * sizeof *tensors);
    char *texts = (char *)need((size_t)COUNT * LENGTH + 2); /* the last names have up to 802 bytes */
    collecting c;
    const st_sink sink = {&c, collect};
    st_error error;
    st_model *m;
    size_t i;
    clock_t from;
    double took;
    memset(&c, 0, sizeof c);
    memset(tensors, 0, COUNT * sizeof *tensors);
    memset(texts, 'U', (size_t)COUNT * LENGTH + 2);
    for (i = 0; i < COUNT; i++) {
        char *name = texts + i * LENGTH;
        if (chosen) {
            name[i / BITS] = flipped[i % BITS];
        } else {
            name[0] = (char)('a' + i % 26);
            name[1] = (char)('a' + i / 26 % 26);
            name[2] = (char)('a' + i / 676);
        }
        tensors[i].name = name;
        tensors[i].name_bytes = i / BITS + 3;
        tensors[i].dtype = ST_DTYPE_U8;
        tensors[i].rank = 1;
        tensors[i].shape = none;
    }
    from = clock();
    CHECK_STATUS(save_to_sink(&sink, CONTENTS(tensors, COUNT, NULL, 0), NULL, &error), ST_OK);
    took = (double)(clock() - from) / CLOCKS_PER_SEC;
    CHECK_STATUS(st_open_memory(&m, c.out.at, c.out.n, NULL, &error), ST_OK);
    CHECK(m != NULL && m->count == COUNT);
    for (i = 0; m != NULL && i < COUNT; i++) {
        CHECK(st_find_n(m, tensors[i].name, tensors[i].name_bytes) != NULL);
    }
    st_close(m);
    free(c.out.at);
    free(texts);
    free(tensors);
    return took;
}

static void chosen_names(void) {
    double usual, worst;
    test_row = "chosen names";
    usual = save_long_names(0);
    worst = save_long_names(1);
    if (!CHECK(worst <= 10 * usual + 0.2)) printf("%.3f s, %.3f s of other names\n", worst, usual);
}

/* ---- errors ----------------------------------------------------------------------------------------------- */

typedef struct refused_case {
    saving saving;
    st_status status;
    const char *subject;
    uint64_t expected, actual;
} refused_case;

#define WITH_TENSORS(...) LIST(st_tensor, __VA_ARGS__), NULL, 0, 0, 0, 0
#define WITH_PAIRS(...) NULL, 0, LIST(st_pair, __VA_ARGS__), 0, 0, 0
#define BAD(why, status_, subject_, ...) BAD_SIZE(why, status_, subject_, ANY_VALUE, ANY_VALUE, __VA_ARGS__)
#define BAD_SIZE(why, status_, subject_, expected_, actual_, ...) \
    { {why, __VA_ARGS__}, status_, subject_, expected_, actual_ }
#define GOOD TENSOR("good", U8, "g", 1)

/* clang-format off */
static const refused_case refused[] = {
    BAD("no name", ST_ERR_ARGUMENT, "", WITH_TENSORS(GOOD, TENSOR(NULL, U8, "x", 1))),
    BAD("no shape", ST_ERR_ARGUMENT, "t", WITH_TENSORS(GOOD, {.name = "t", .dtype = ST_DTYPE_U8, .rank = 1, .data = "x"})),
    BAD("no dtype and no spelling", ST_ERR_ARGUMENT, "t", WITH_TENSORS(GOOD, SCALAR("t", UNKNOWN, "x"))),
    BAD("dtype 23", ST_ERR_ARGUMENT, "t", WITH_TENSORS(GOOD, {.name = "t", .dtype = (st_dtype)23, .data = "x"})),
    BAD("the last dtype", ST_ERR_ARGUMENT, "t", WITH_TENSORS(GOOD, {.name = "t", .dtype = ST_DTYPE_32_BITS_, .data = "x"})),
    BAD("the metadata's name", ST_ERR_ARGUMENT, "__metadata__", WITH_TENSORS(GOOD, TENSOR("__metadata__", U8, "x", 1))),
    BAD("the metadata's name, by length", ST_ERR_ARGUMENT, "__metadata__",
        WITH_TENSORS(GOOD, {.name = "__metadata__x", .name_bytes = 12, .dtype = ST_DTYPE_U8, .data = "x"})),
    BAD("a name cut short", ST_ERR_UTF8, NULL, WITH_TENSORS(GOOD, TENSOR("t\xc3", U8, "x", 1))),
    BAD("a name of a lone byte", ST_ERR_UTF8, NULL, WITH_TENSORS(GOOD, TENSOR("\x80", U8, "x", 1))),
    BAD("an overlong name", ST_ERR_UTF8, NULL, WITH_TENSORS(GOOD, TENSOR("\xc0\x80", U8, "x", 1))),
    BAD("a surrogate", ST_ERR_UTF8, NULL, WITH_TENSORS(GOOD, TENSOR("\xed\xa0\x80", U8, "x", 1))),
    BAD("past U+10FFFF", ST_ERR_UTF8, NULL, WITH_TENSORS(GOOD, TENSOR("\xf4\x90\x80\x80", U8, "x", 1))),
    BAD("a name cut by its length", ST_ERR_UTF8, NULL,
        WITH_TENSORS(GOOD, {.name = "\xc3\xa9", .name_bytes = 1, .dtype = ST_DTYPE_U8, .data = "x"})),
    BAD("a spelling that is not UTF-8", ST_ERR_UTF8, "t", WITH_TENSORS(GOOD, UNKNOWN("t", "\xff", "x", 1, 1))),
    BAD("a name twice", ST_ERR_DUPLICATE, "good", WITH_TENSORS(GOOD, TENSOR("other", U8, "x", 1), GOOD)),
    BAD("a name twice, by length", ST_ERR_DUPLICATE, "good",
        WITH_TENSORS(GOOD, {.name = "goodness", .name_bytes = 4, .dtype = ST_DTYPE_F32, .data = "1234"})),
    BAD("the empty name twice", ST_ERR_DUPLICATE, "", WITH_TENSORS(SCALAR("", U8, "x"), SCALAR("", U8, "x"))),
    BAD("elements over 64 bits", ST_ERR_OVERFLOW, "t", WITH_TENSORS(GOOD, TENSOR("t", U8, "x", 4294967296u, 4294967296u))),
    BAD("elements over 64 bits, then none", ST_ERR_OVERFLOW, "t",
        WITH_TENSORS(GOOD, TENSOR("t", U8, "x", 9223372036854775808u, 9223372036854775808u, 0))),
    BAD("bits over 64 bits", ST_ERR_OVERFLOW, "t", WITH_TENSORS(GOOD, TENSOR("t", U8, "x", 2305843009213693952u))),
    BAD("bits over 64 bits, of 4", ST_ERR_OVERFLOW, "t", WITH_TENSORS(GOOD, TENSOR("t", F4, "x", 4611686018427387904u))),
    BAD("elements over 64 bits, opaque", ST_ERR_OVERFLOW, "t",
        WITH_TENSORS(GOOD, UNKNOWN("t", "X9", "x", 1, 4294967296u, 4294967296u))),
    BAD("a half byte", ST_ERR_SUBBYTE, "t", WITH_TENSORS(GOOD, TENSOR("t", F4, "xy", 3))),
    BAD("a scalar half byte", ST_ERR_SUBBYTE, "t", WITH_TENSORS(GOOD, SCALAR("t", F4, "x"))),
    BAD("six bits alone", ST_ERR_SUBBYTE, "t", WITH_TENSORS(GOOD, TENSOR("t", F6_E2M3, "xyz", 2))),
    BAD("36 bits", ST_ERR_SUBBYTE, "t", WITH_TENSORS(GOOD, TENSOR("t", F6_E3M2, "12345", 2, 3))),
    BAD_SIZE("a known dtype by its spelling, too few bytes", ST_ERR_SIZE, "t", 4, 3, WITH_TENSORS(GOOD, UNKNOWN("t", "F32", "abc", 3, 1))),
    BAD_SIZE("a known dtype by its spelling, too many", ST_ERR_SIZE, "t", 1, 2, WITH_TENSORS(GOOD, UNKNOWN("t", "F4", "ab", 2, 2))),
    BAD("a known dtype by its spelling, a half byte", ST_ERR_SUBBYTE, "t", WITH_TENSORS(GOOD, UNKNOWN("t", "F4", "ab", 1, 3))),
    BAD("more than 2^63 bytes", ST_ERR_OVERFLOW, NULL,
        WITH_TENSORS(UNKNOWN("a", "X9", "x", 9223372036854775808u, 1), UNKNOWN("b", "X9", "x", 1, 1))),
    BAD("2^64 bytes", ST_ERR_OVERFLOW, NULL,
        WITH_TENSORS(UNKNOWN("a", "X9", "x", 9223372036854775808u, 1), UNKNOWN("b", "X9", "x", 9223372036854775808u, 1))),
    BAD("no key", ST_ERR_ARGUMENT, "", WITH_PAIRS(PAIR("a", "b"), PAIR(NULL, "v"))),
    BAD("no value", ST_ERR_ARGUMENT, "k", WITH_PAIRS(PAIR("a", "b"), PAIR("k", NULL))),
    BAD("a key that is not UTF-8", ST_ERR_UTF8, NULL, WITH_PAIRS(PAIR("a", "b"), PAIR("\xe2\x82", "v"))),
    BAD("a value that is not UTF-8", ST_ERR_UTF8, "k", WITH_PAIRS(PAIR("a", "b"), PAIR("k", "v\xff"))),
    BAD("a key twice", ST_ERR_DUPLICATE, "a", WITH_PAIRS(PAIR("a", "b"), PAIR("c", "d"), PAIR("a", "b"))),
    BAD("a key twice, by length", ST_ERR_DUPLICATE, "a\\u0000",
        WITH_PAIRS(PAIR_N("a\0", "b"), {.key = "a\0c", .key_bytes = 2, .value = ""})),
    BAD_SIZE("a header over the limit", ST_ERR_HEADER_LIMIT, NULL, 100000000, 100000008,
             LIST(st_tensor, GOOD), NULL, 0, 0, 0, 100000000 - 50),
    BAD_SIZE("an alignment over the limit", ST_ERR_HEADER_LIMIT, NULL, 100000000, 134217720,
             LIST(st_tensor, GOOD), NULL, 0, 0, 134217728, 0),
    BAD("slack that overflows", ST_ERR_HEADER_LIMIT, NULL, LIST(st_tensor, GOOD), NULL, 0, 0, 0, SIZE_MAX),
};
/* clang-format on */

static void refusals(void) {
    size_t i;
    for (i = 0; i < sizeof refused / sizeof *refused; i++) {
        const refused_case *c = &refused[i];
        test_row = c->saving.name;
        check_refusal(&c->saving, c->status, c->subject, c->expected, c->actual);
    }
}

/* invalid options; nothing is created */
static void wrong_options(void) {
    static const size_t alignments[] = {1, 2, 4, 7, 9, 12, 24, 65, 4095, SIZE_MAX};
    const st_tensor good = GOOD;
    saving s;
    size_t i;
    memset(&s, 0, sizeof s);
    s.tensors = &good;
    s.count = 1;
    for (i = 0; i < sizeof alignments / sizeof *alignments; i++) {
        char digits[21];
        test_row = test_digits(alignments[i], digits);
        s.align = alignments[i];
        check_refusal(&s, ST_ERR_ARGUMENT, "align", ANY_VALUE, ANY_VALUE);
    }
    s.align = 0;
    test_row = "unknown flag";
    s.flags = 1u << 30;
    check_refusal(&s, ST_ERR_ARGUMENT, "flags", ANY_VALUE, ANY_VALUE);
    test_row = "a flag of another call";
    s.flags = ST_SAVE_IN_PLACE;
    check_refusal(&s, ST_ERR_ARGUMENT, "ST_SAVE_IN_PLACE", ANY_VALUE, ANY_VALUE);
}

/* valid options that the call does not support; nothing is created */
static void options_of_other_calls(void) {
    static const struct row {
        const char *name; /* the option's name; NULL: none is set */
        st_status save, stream;
    } rows[] = {{NULL, ST_OK, ST_OK},
                {"max_shard_bytes", ST_ERR_ARGUMENT, ST_ERR_ARGUMENT},
                {"fill", ST_OK, ST_ERR_ARGUMENT},
                {"progress", ST_OK, ST_ERR_ARGUMENT}};
    const st_tensor good = GOOD;
    const saving s = {"good", &good, 1, NULL, 0, 0, 0, 0};
    size_t i;
    for (i = 0; i < sizeof rows / sizeof *rows; i++) {
        saved a;
        st_writer *writer;
        test_row = rows[i].name != NULL ? rows[i].name : "none";
        saved_begin(&a, &s);
        a.options.progress = NULL;
        if (i == 1) a.options.max_shard_bytes = 1;
        if (i == 2) a.options.fill = fill_in;
        if (i == 3) a.options.progress = watch;
        CHECK_STATUS(save_by(&a, &s, BY_FILE, NULL, 0), rows[i].save);
        if (rows[i].save != ST_OK) CHECK_STR(a.error.subject, rows[i].name);
        CHECK_STATUS(st_writer_open(&writer, scratch_path(TARGET), &a.options, &a.error), rows[i].stream);
        CHECK((writer != NULL) == (rows[i].stream == ST_OK));
        if (rows[i].stream != ST_OK) CHECK_STR(a.error.subject, rows[i].name);
        st_writer_close(writer);
        counting_end(&a.memory);
        saved_end(&a);
        scratch_remove(TARGET);
    }
}

/* a path and a sink, or neither; callbacks that would never be called */
static void one_source_and_one_target(void) {
    const st_tensor good = GOOD;
    st_contents contents = *CONTENTS(&good, 1, NULL, 0);
    collecting c;
    const st_sink sink = {&c, collect};
    st_save_options options;
    st_writer *writer;
    st_error error;
    size_t n;
    unsigned char *file = make_file("{}", 2, "", 0, &n);
    test_row = "a path and a sink";
    memset(&c, 0, sizeof c);
    memset(&options, 0, sizeof options);
    CHECK_STATUS(st_writer_open(&writer, NULL, &options, &error), ST_ERR_ARGUMENT);
    CHECK_STATUS(st_save(NULL, &contents, &options, &error), ST_ERR_ARGUMENT);
    options.sink = &sink;
    target_begin();
    CHECK_STATUS(st_save(scratch_path(TARGET), &contents, &options, &error), ST_ERR_ARGUMENT);
    CHECK_STATUS(st_writer_open(&writer, scratch_path(TARGET), &options, &error), ST_ERR_ARGUMENT);
    CHECK(writer == NULL);
    target_is_old();
    test_row = "a model and a callback";
    options.fill = fill_in;
    CHECK_STATUS(st_open_memory((st_model **)(void *)&contents.from, file, n, NULL, &error), ST_OK);
    CHECK_STATUS(st_save(NULL, &contents, &options, &error), ST_ERR_ARGUMENT);
    CHECK_STR(error.subject, "fill");
    CHECK_EQ(c.refusing.calls, 0);
    st_close((st_model *)(uintptr_t)contents.from);
    scratch_remove(TARGET);
    free(file);
}

/* NULL contents, and contents with an index, which a single file cannot store */
static void contents(void) {
    static const st_pair index = PAIR("total_size", "1");
    const st_tensor good = GOOD;
    st_contents c = st_contents_of(NULL);
    static const char text[] = "{\"good\":" E("U8", "[1]", "[0,1]") "}";
    size_t n;
    unsigned char *want = golden_file(text, sizeof text - 1, 0, 0, "g", 1, &n);
    st_error error;
    test_row = "contents";
    CHECK(c.tensors == NULL && c.metadata == NULL && c.index == NULL && c.from == NULL);
    CHECK(c.count == 0 && c.metadata_count == 0 && c.index_count == 0);
    c.tensors = &good;
    c.count = 1;
    c.index = &index;
    c.index_count = 1;
    CHECK_STATUS(st_save(scratch_path(TARGET), &c, NULL, &error), ST_OK);
    CHECK(file_is(scratch_path(TARGET), want, n));
    scratch_remove(TARGET);
    free(want);
}

static void wrong_arguments(void) {
    const st_tensor good = GOOD;
    const st_pair pair = PAIR("k", "v");
    collecting c;
    st_sink sink;
    st_save_options options;
    st_allocator half;
    st_writer *writer;
    st_error error;
    const char *path;
    memset(&c, 0, sizeof c);
    memset(&options, 0, sizeof options);
    memset(&half, 0, sizeof half);
    sink.user = &c;
    sink.write = collect;
    half.alloc = counting_alloc;
    test_row = "arguments";
    target_begin();
    path = scratch_path(TARGET);
    CHECK_STATUS(st_save(NULL, CONTENTS(&good, 1, &pair, 1), NULL, &error), ST_ERR_ARGUMENT);
    CHECK_STATUS(st_save(path, CONTENTS(NULL, 1, &pair, 1), NULL, &error), ST_ERR_ARGUMENT);
    CHECK_STATUS(st_save(path, CONTENTS(&good, 1, NULL, 1), NULL, &error), ST_ERR_ARGUMENT);
    CHECK_STATUS(st_save(path, CONTENTS(NULL, 1, &pair, 1), NULL, NULL), ST_ERR_ARGUMENT);
    CHECK_STATUS(save_to_sink(NULL, CONTENTS(&good, 1, &pair, 1), NULL, &error), ST_ERR_ARGUMENT);
    CHECK_STATUS(save_to_sink(&sink, CONTENTS(NULL, 1, &pair, 1), NULL, &error), ST_ERR_ARGUMENT);
    sink.write = NULL;
    CHECK_STATUS(save_to_sink(&sink, CONTENTS(&good, 1, &pair, 1), NULL, &error), ST_ERR_ARGUMENT);
    writer = (st_writer *)(void *)&sink;
    CHECK_STATUS(open_to_sink(&writer, &sink, NULL, &error), ST_ERR_ARGUMENT);
    CHECK(writer == NULL);
    CHECK_STATUS(open_to_sink(&writer, NULL, NULL, &error), ST_ERR_ARGUMENT);
    writer = (st_writer *)(void *)&sink;
    CHECK_STATUS(st_writer_open(&writer, NULL, NULL, &error), ST_ERR_ARGUMENT);
    CHECK(writer == NULL);
    CHECK_STATUS(st_writer_open(NULL, path, NULL, &error), ST_ERR_ARGUMENT);
    CHECK_STATUS(open_to_sink(NULL, &sink, NULL, NULL), ST_ERR_ARGUMENT);
    CHECK_STATUS(st_save(path, NULL, NULL, &error), ST_ERR_ARGUMENT);
    CHECK_STATUS(st_save(NULL, NULL, NULL, &error), ST_ERR_ARGUMENT);
    CHECK_STATUS(st_save("", CONTENTS(&good, 1, &pair, 1), NULL, &error), ST_ERR_ARGUMENT); /* leaves no temporary */
    CHECK_STATUS(st_writer_open(&writer, "", NULL, &error), ST_ERR_ARGUMENT);
    CHECK_STATUS(st_edit_metadata(NULL, &pair, 1, NULL, &error), ST_ERR_ARGUMENT);
    options.allocator = &half;
    CHECK_STATUS(st_save(path, CONTENTS(&good, 1, &pair, 1), &options, &error), ST_ERR_ARGUMENT);
    CHECK_STATUS(st_writer_open(&writer, path, &options, &error), ST_ERR_ARGUMENT);
    CHECK_STATUS(st_edit_metadata(path, &pair, 1, &options, &error), ST_ERR_ARGUMENT);
    half.alloc = NULL;
    (half.free) = counting_free;
    CHECK_STATUS(st_save(path, CONTENTS(&good, 1, &pair, 1), &options, &error), ST_ERR_ARGUMENT);
    CHECK_EQ(c.refusing.calls, 0);
    st_writer_close(NULL);
    target_is_old();
    scratch_remove(TARGET);
}

/* the longest permitted header of 100,000,000 bytes, checked by a sink */
typedef struct lengths {
    uint64_t bytes, blanks;
} lengths;

static int count_bytes(void *user, const void *bytes, size_t n) {
    lengths *l = (lengths *)user;
    const char *at = (const char *)bytes;
    size_t i;
    l->bytes += n;
    for (i = 0; i < n; i++) l->blanks += at[i] == ' ';
    return 0;
}

static void longest_header(void) {
    lengths l = {0, 0};
    const st_sink sink = {&l, count_bytes};
    st_save_options options;
    st_error error;
    memset(&options, 0, sizeof options);
    options.slack = 100000000 - 2;
    test_row = "the longest header";
    CHECK_STATUS(save_to_sink(&sink, CONTENTS(NULL, 0, NULL, 0), &options, &error), ST_OK);
    CHECK_EQ(l.bytes, 100000008);
    CHECK_EQ(l.blanks, 100000000 - 2);
}

/* a header that exceeds the limit is rejected before memory is allocated or names are compared */
static void too_many_or_too_long(void) {
    enum { LONG = 50000001 };
    char *name = (char *)need(LONG);
    const st_tensor good = GOOD;
    st_tensor t[2];
    collecting c;
    const st_sink sink = {&c, collect};
    counting memory;
    st_save_options options;
    st_error error;
    test_row = "a header over the limit in any order";
    memset(&c, 0, sizeof c);
    memset(&options, 0, sizeof options);
    memset(name, 'n', LONG);
    counting_begin(&memory);
    options.allocator = &memory.allocator;
    t[0] = t[1] = good;
    t[0].name = t[1].name = name; /* a duplicate */
    t[0].name_bytes = t[1].name_bytes = LONG;
    CHECK_STATUS(save_to_sink(&sink, CONTENTS(t, 2, NULL, 0), &options, &error), ST_ERR_HEADER_LIMIT);
    CHECK(error.expected == 100000000 && error.actual > 100000002);
    t[1].name_bytes = 1;
    CHECK_STATUS(save_to_sink(&sink, CONTENTS(t, 2, NULL, 0), &options, &error), ST_OK);
    memory.calls = 0;
    c.refusing.calls = 0;
    CHECK_STATUS(save_to_sink(&sink, CONTENTS(&good, SIZE_MAX / 2, NULL, 0), &options, &error), ST_ERR_HEADER_LIMIT);
    CHECK_STATUS(save_to_sink(&sink, CONTENTS(&good, 100000000 / 47 + 1, NULL, 0), &options, &error),
                 ST_ERR_HEADER_LIMIT); /* only the first tensor exists */
    CHECK_EQ(c.refusing.calls, 0);
    CHECK_EQ(memory.calls, 2); /* from opening the writers */
    counting_end(&memory);
    free(c.out.at);
    free(name);
}

/* nearly 2^62 bytes of data can be declared, though not written */
static void most_data(void) {
    static const uint64_t most[1] = {2305843009213693951u}; /* 2^61 - 1: their number of bits fits */
    collecting c;
    const st_sink sink = {&c, collect};
    st_tensor t;
    st_writer *writer;
    st_error error;
    char name[2] = "a";
    int i;
    memset(&c, 0, sizeof c);
    memset(&t, 0, sizeof t);
    test_row = "nearly 2^62 bytes";
    t.name = name;
    t.dtype = ST_DTYPE_U8;
    t.rank = 1;
    t.shape = most;
    CHECK_STATUS(open_to_sink(&writer, &sink, NULL, &error), ST_OK);
    for (i = 0; i < 2; i++, name[0]++) CHECK_STATUS(st_writer_add(writer, &t, &error), ST_OK);
    CHECK_STATUS(st_writer_begin(writer, &error), ST_OK);
    CHECK_STATUS(st_writer_write(writer, "xyz", 3, &error), ST_OK);
    CHECK_STATUS(st_writer_finish(writer, &error), ST_ERR_STATE);
    CHECK_EQ(st_writer_next(writer)->offset, 208); /* 8 + 195 bytes of text, padded */
    st_writer_close(writer);
    CHECK_EQ(c.refusing.calls, 0); /* everything is still in the buffer */
}

/* ---- data sources ----------------------------------------------------------------------------------------- */

static const char *const letters = "abcdefghijklmnop";

/* tensors without data and without a source; only empty ones are valid */
static void no_bytes(void) {
    const st_tensor without[] = {TENSOR("there", U8, "x", 1), TENSOR("empty", F32, NULL, 0),
                                 TENSOR("absent", U8, NULL, 2)};
    collecting c;
    const st_sink sink = {&c, collect};
    st_error error;
    memset(&c, 0, sizeof c);
    test_row = "no bytes";
    target_begin();
    CHECK_STATUS(st_save(scratch_path(TARGET), CONTENTS(without, 3, NULL, 0), NULL, &error), ST_ERR_ARGUMENT);
    CHECK_STR(error.subject, "absent");
    target_is_old();
    CHECK_STATUS(save_to_sink(&sink, CONTENTS(without, 3, NULL, 0), NULL, &error), ST_ERR_ARGUMENT);
    CHECK_STR(error.subject, "absent");
    CHECK_EQ(c.refusing.calls, 0);
    CHECK_STATUS(save_to_sink(&sink, CONTENTS(without, 2, NULL, 0), NULL, &error), ST_OK);
    free(c.out.at);
    scratch_remove(TARGET);
}

typedef struct filler { /* what fill is asked for */
    const st_tensor *tensor;
    uint64_t next; /* where the next range must begin */
    size_t calls, wrong;
} filler;

/* returns the bytes of one element, or of 4 elements of 4 or 6 bits */
static size_t element_bytes(st_dtype dtype) {
    const unsigned bits = st_dtype_bits(dtype);
    return bits == 0 ? 1 : bits % 8 == 0 ? bits / 8 : bits / 2;
}

/* the byte at `offset` of a tensor: 7 times the number of its element, plus its position in the element */
static unsigned char made_byte(uint64_t offset, size_t unit) {
    return (unsigned char)(offset / unit * 7 + offset % unit);
}

/* makes whole elements only, as a loop over elements does, and counts requests that such a loop does not expect */
static int fill_elements(void *user, const st_tensor *tensor, uint64_t offset, void *dst, size_t n) {
    filler *f = (filler *)user;
    const size_t unit = element_bytes(tensor->dtype), alignment = tensor->dtype == ST_DTYPE_C64 ? 4
                                                                  : unit % 3                    ? unit
                                                                                                : 1;
    const uint64_t all = tensor_bytes(tensor);
    unsigned char *to = (unsigned char *)dst;
    const size_t whole = offset + n == all ? n : n / unit * unit;
    size_t i;
    if (tensor != f->tensor) f->next = 0;
    f->tensor = tensor;
    f->calls++;
    f->wrong += offset != f->next || n == 0 || n > all - offset || offset % unit != 0 || n != whole;
    f->wrong += st_dtype_bits(tensor->dtype) >= 8 && (uintptr_t)dst % alignment != 0;
    f->next = offset + n;
    memset(dst, '#', n);
    for (i = 0; i < whole; i++) to[i] = made_byte(offset + i, unit);
    return 0;
}

static int append(void *user, const void *bytes, size_t n) {
    text_add((growing *)user, (const char *)bytes, n);
    return 0;
}

/* saves tensors that fill makes, after a tensor of another size and a header of another length */
static void fill_after(const st_tensor *neighbour, st_dtype dtype, size_t note_bytes, unsigned flags, void *work,
                       size_t work_bytes) {
    static const uint64_t few[1] = {3}, groups[1] = {1028}, many_elements[2] = {4, 1500};
    static const char *const names[] = {"a", "b", "c", "d"};
    const uint64_t *const small = st_dtype_bits(dtype) % 8 ? groups : few;
    growing got = {NULL, 0, 0};
    const st_sink sink = {&got, append};
    filler f = {NULL, 0, 0, 0};
    char note[2000];
    const st_pair pair = {"note", note, 0, 0};
    st_open_options lax;
    st_save_options o;
    st_tensor t[4];
    st_error error;
    st_model *m;
    size_t i, at;
    memset(&lax, 0, sizeof lax);
    memset(&o, 0, sizeof o);
    memset(note, 'x', sizeof note);
    note[note_bytes] = 0;
    t[0] = *neighbour;
    t[1] = st_tensor_of(names[1], dtype, 1, small, NULL);
    t[2] = st_tensor_of(names[2], dtype, 2, many_elements, NULL);
    t[3] = st_tensor_of(names[3], dtype, 1, small, NULL);
    for (i = 1; dtype == ST_DTYPE_UNKNOWN && i < 4; i++) t[i].dtype_name = "X", t[i].bytes = i == 2 ? 5000 : 5;
    o.fill = fill_elements;
    o.user = &f;
    o.sink = &sink;
    o.flags = flags;
    o.work.data = work;
    o.work.bytes = work_bytes;
    lax.flags = ST_OPEN_UNKNOWN_DTYPES;
    CHECK_STATUS(st_save(NULL, CONTENTS(t, 4, &pair, 1), &o, &error), ST_OK);
    CHECK_EQ(f.wrong, 0);
    CHECK(f.calls >= 3);
    CHECK_STATUS(st_open_memory(&m, got.at, got.n, &lax, &error), ST_OK);
    for (i = 1; m != NULL && i < 4; i++) {
        const st_tensor *made = st_find(m, names[i]);
        size_t wrong = 0;
        for (at = 0; at < made->bytes; at++) {
            wrong += ((const unsigned char *)made->data)[at] != made_byte(at, element_bytes(dtype));
        }
        CHECK_EQ(wrong, 0);
    }
    st_close(m);
    free(got.at);
}

/* fill gets whole elements in aligned memory, whatever lies before the tensor and however large the buffer is */
static void fill_gets_elements(void) {
    static const size_t works[] = {0, 2500, 2501, 2503, 4096, 5555, 20000};
    static const uint64_t odd[] = {1, 3, 7};
    static uint64_t work[2502];
    unsigned dtype;
    size_t i, w, pass;
    for (dtype = 0; dtype <= ST_DTYPE_U64; dtype++) {
        test_row = st_dtype_name((st_dtype)dtype);
        for (i = 0; i < 4; i++) { /* bytes in memory, or an element that fill makes */
            const st_tensor neighbour = i < 3 ? st_tensor_of("a", ST_DTYPE_U8, 1, &odd[i], "0123456")
                                              : st_tensor_of("a", ST_DTYPE_BF16, 1, odd, NULL);
            for (w = 0; w < sizeof works / sizeof *works; w++) {
                for (pass = 0; pass < 4; pass++) {
                    fill_after(&neighbour, (st_dtype)dtype, pass * 611, pass % 2 ? ST_SAVE_KEEP_ORDER : 0,
                               works[w] > 0 ? (char *)work + pass : NULL, works[w]);
                }
            }
        }
    }
    test_row = "";
}

static void fill_fails(void) { /* faults/writing.c makes each call fail */
    const st_tensor tensors[] = {TENSOR("t", U8, letters, 16)};
    const saving s = {"fill fails", tensors, 1, NULL, 0, 0, 0, 0};
    static const int ways[] = {BY_FILL, BY_SINK_WORK_FILL};
    size_t i;
    for (i = 0; i < 2; i++) {
        saved a;
        test_row = s.name;
        saved_begin(&a, &s);
        a.calling.fill.fail_at = 1;
        a.calling.fill.code = -31;
        a.calling.fill.fail_forever = 1;
        CHECK_STATUS(save_by(&a, &s, ways[i], NULL, 0), ST_ERR_IO);
        CHECK_EQ(a.error.sys, -31);
        CHECK_STR(a.error.subject, "t");
        saved_end(&a);
    }
    scratch_remove(TARGET);
}

static const char from_header[] =
    "{\"__metadata__\":{\"k\":\"v\"},\"f\":" E("F32", "[2]", "[0,8]") ",\"g\":" E("F32", "[1]", "[8,12]") ",\"x\":" E(
        "X9", "[3]", "[12,15]") ",\"u\":" E("U8", "[1]", "[15,16]") ",\"z\":" E("U8", "[0]", "[16,16]") "}";

/* tensors copied from a model may be renamed, omitted, and given another dtype of the same size */
static void from_kind(int kind, const unsigned char *file, size_t n) {
    static const char want_header[] = "{\"g2\":" E("F32", "[1]", "[0,4]") ",\"f2\":" E(
        "I8", "[8]", "[4,12]") ",\"new\":" E("U8", "[2]", "[12,14]") ",\"x\":" E("X9", "[3]", "[14,17]") "}";
    static const uint64_t eight[1] = {8}, two[1] = {2};
    st_open_options options;
    st_tensor t[4];
    source from;
    saved a;
    saving s;
    size_t want_n, i;
    unsigned char *want = golden_file(want_header, sizeof want_header - 1, 0, 0, "ijklabcdefgh!?mno", 17, &want_n);
    memset(&options, 0, sizeof options);
    memset(&s, 0, sizeof s);
    options.flags = ST_OPEN_UNKNOWN_DTYPES;
    scratch_write(SOURCE_FILE, file, n);
    if (source_open(&from, kind, file, n, &options) != ST_OK) return;
    t[0] = *st_find(from.model, "f");
    t[0].name = "f2";
    t[0].name_bytes = 0;
    t[0].dtype = ST_DTYPE_I8;
    t[0].shape = eight;
    t[1] = *st_find(from.model, "x");
    t[2] = *st_find(from.model, "g");
    t[2].name = "g2";
    t[2].name_bytes = 0;
    memset(&t[3], 0, sizeof t[3]);
    t[3].name = "new";
    t[3].dtype = ST_DTYPE_U8;
    t[3].rank = 1;
    t[3].shape = two;
    for (i = 0; i < 3; i++) t[i].data = NULL;
    t[3].data = "!?";
    s.tensors = t;
    s.count = 4;
    for (i = 0; i < 3; i++) {
        static const int ways[3] = {BY_SINK, BY_FILE, BY_WORK};
        saved_begin(&a, &s);
        a.from = from.model;
        CHECK_STATUS(save_by(&a, &s, ways[i], NULL, 0), ST_OK);
        CHECK(same_bytes(a.file, a.n, want, want_n));
        saved_end(&a);
    }
    t[3].data = NULL; /* not in the model: rejected, although there is a fill */
    t[3].offset = t[0].offset;
    saved_begin(&a, &s);
    a.from = from.model;
    CHECK_STATUS(save_by(&a, &s, BY_FILE, NULL, 0), ST_ERR_ARGUMENT);
    CHECK_STR(a.error.subject, "new");
    saved_end(&a);
    saved_begin(&a, &s);
    a.from = from.model;
    CHECK_STATUS(save_by(&a, &s, BY_SINK, NULL, 0), ST_ERR_ARGUMENT);
    CHECK_EQ(a.sink.refusing.calls, 0);
    saved_end(&a);
    source_close(&from);
    free(want);
}

/* tensors that do not match one of the model's */
static void not_from(const unsigned char *file, size_t n) {
    static const uint64_t seven[1] = {7};
    source from;
    st_open_options options;
    saving s;
    int wrong;
    memset(&options, 0, sizeof options);
    memset(&s, 0, sizeof s);
    options.flags = ST_OPEN_UNKNOWN_DTYPES;
    if (source_open(&from, FROM_IO, file, n, &options) != ST_OK) return;
    for (wrong = 0; wrong < 7; wrong++) {
        st_tensor t = *st_find(from.model, "f");
        char row[32];
        saved a;
        snprintf(row, sizeof row, "not of the model, %d", wrong);
        test_row = row;
        if (wrong == 0) t.shard = 1;
        if (wrong == 1) t.offset += 1;
        if (wrong == 2) t.offset -= 1;
        if (wrong == 3) t.offset = UINT64_MAX - 3;
        if (wrong == 4) t.shape = seven, t.dtype = ST_DTYPE_U8;
        if (wrong == 5) t.offset += 4; /* still inside the model's data */
        if (wrong == 6) t.dtype = ST_DTYPE_F64;
        s.tensors = &t;
        s.count = 1;
        saved_begin(&a, &s);
        a.from = from.model;
        CHECK_STATUS(save_by(&a, &s, BY_FILE, NULL, 0), ST_ERR_ARGUMENT);
        CHECK_STR(a.error.subject, "f");
        saved_end(&a);
    }
    source_close(&from);
    scratch_remove(TARGET);
}

static void from_models(void) {
    size_t n;
    unsigned char *file = make_file(from_header, sizeof from_header - 1, letters, 16, &n);
    int kind;
    for (kind = 0; kind < SOURCE_KINDS; kind++) {
        char row[64];
        snprintf(row, sizeof row, "from %s", source_names[kind]);
        test_row = row;
        from_kind(kind, file, n);
    }
    scratch_remove(TARGET);
    not_from(file, n);
    free(file);
}

/* ---- memory ----------------------------------------------------------------------------------------------- */

/* the size asked for suffices, whatever the work buffer's alignment */
static void work_anywhere(void) {
    const st_tensor t[] = {TENSOR("a", U8, "x", 1), TENSOR("b", F32, "abcd", 1)};
    size_t past;
    test_row = "work buffers anywhere";
    for (past = 0; past < 9; past++) {
        static const int too_small[] = {1, 0};
        collecting c;
        const st_sink sink = {&c, collect};
        st_save_options options;
        st_error error;
        char small[16], *work;
        size_t i;
        memset(&c, 0, sizeof c);
        memset(&options, 0, sizeof options);
        options.work.data = small + past % 8;
        options.work.bytes = 1;
        CHECK(save_to_sink(&sink, CONTENTS(NULL, 1, NULL, 0), &options, &error) != ST_OK); /* the first of two errors */
        CHECK(save_to_sink(&sink, CONTENTS(t, 2, NULL, 1), &options, &error) != ST_OK);
        work = (char *)need(2000); /* aligned like malloc's */
        options.work.data = work + past;
        CHECK_STATUS(save_to_sink(&sink, CONTENTS(t, 2, NULL, 0), &options, &error), ST_ERR_MEMORY);
        for (i = 0; i < 2; i++) {
            options.work.bytes = (size_t)error.expected - (size_t)too_small[i];
            if (!CHECK(past + options.work.bytes < 2000)) break;
            memset(work, 0xa5, 2000);
            CHECK_STATUS(save_to_sink(&sink, CONTENTS(t, 2, NULL, 0), &options, &error),
                         i == 0 ? ST_ERR_MEMORY : ST_OK);
            CHECK((unsigned char)work[past + options.work.bytes] == 0xa5); /* the byte past it is unchanged */
            CHECK(past == 0 || (unsigned char)work[past - 1] == 0xa5);
        }
        free(c.out.at);
        free(work);
    }
}

/* malloc is the default */
static void no_options(void) {
    const st_tensor t[] = {TENSOR("a", U8, "x", 1)};
    static const char text[] = "{\"a\":" E("U8", "[1]", "[0,1]") "}";
    size_t n;
    unsigned char *want = golden_file(text, sizeof text - 1, 0, 0, "x", 1, &n);
    st_model *m;
    test_row = "no options";
    CHECK_STATUS(st_save(scratch_path(TARGET), CONTENTS(t, 1, NULL, 0), NULL, NULL), ST_OK);
    CHECK(file_is(scratch_path(TARGET), want, n));
    CHECK_STATUS(st_open_memory(&m, want, n, NULL, NULL), ST_OK);
    if (m != NULL) {
        const st_contents contents = st_contents_of(m);
        CHECK_STATUS(st_save(scratch_path(TARGET), &contents, NULL, NULL), ST_OK);
        CHECK(file_is(scratch_path(TARGET), want, n));
        st_close(m);
    }
    scratch_remove(TARGET);
    free(want);
}

/* ---- progress --------------------------------------------------------------------------------------------- */

/* progress counts to the end; cancelling works at every call */
static void progress(void) {
    enum { BYTES = 1500000 };
    static const uint64_t bytes[1] = {BYTES};
    static const int ways[] = {BY_FILE, BY_SINK, BY_FILL};
    unsigned char *data = (unsigned char *)need(BYTES);
    st_tensor t[2];
    saving s;
    size_t i, k, calls;
    memset(data, 7, BYTES);
    memset(t, 0, sizeof t);
    memset(&s, 0, sizeof s);
    for (i = 0; i < 2; i++) {
        t[i].name = i > 0 ? "second" : "first";
        t[i].dtype = ST_DTYPE_U8;
        t[i].rank = 1;
        t[i].shape = bytes;
        t[i].data = data;
    }
    s.tensors = t;
    s.count = 2;
    test_row = "progress";
    for (i = 0; i < 3; i++) {
        saved a;
        saved_begin(&a, &s);
        CHECK_STATUS(save_by(&a, &s, ways[i], NULL, 0), ST_OK);
        calls = a.calling.progress.calls;
        CHECK_EQ(a.calling.done, 2 * BYTES);
        CHECK_EQ(a.calling.total, 2 * BYTES);
        CHECK(calls > 1);
        saved_end(&a);
        for (k = 1; k <= calls; k++) {
            saved_begin(&a, &s);
            a.calling.progress.fail_at = k;
            a.calling.progress.code = 5;
            CHECK_STATUS(save_by(&a, &s, ways[i], NULL, 0), ST_ERR_CANCELLED);
            CHECK_EQ(a.calling.progress.calls, k);
            CHECK_EQ(a.error.sys, 0);
            saved_end(&a);
        }
    }
    scratch_remove(TARGET);
    free(data);
}

int main(void) {
    static const size_t counts[] = {1, 2, 3, 7, 10, 100, 1000};
    size_t i;
    scratch_begin("writer");
    by_hand();
    every_dtype();
    every_escape();
    every_rank();
    every_alignment();
    for (i = 0; i < sizeof counts / sizeof *counts; i++) pairs_sorted(counts[i]);
    long_tensors();
    many(100000 / (size_t)test_thin());
    chosen_names();
    scratch_remove(SOURCE_FILE);
    refusals();
    wrong_options();
    options_of_other_calls();
    one_source_and_one_target();
    contents();
    wrong_arguments();
    longest_header();
    too_many_or_too_long();
    most_data();
    no_bytes();
    fill_gets_elements();
    fill_fails();
    from_models();
    work_anywhere();
    no_options();
    progress();
    test_row = "";
    scratch_remove(SOURCE_FILE);
    scratch_end();
    return test_done("writer");
}
