/* Tests room 9, the JSON parser: UTF-8, strings at every alignment, numbers of every size, nesting depth. Most
 * values are in fields that the library ignores. */
#define ST_IMPLEMENTATION
#include "../safetensors.h"

#include "large.h"

static st_error error;

/* opens a file with an ignored field of that value in a tensor's entry */
static st_status ignored(const char *text, size_t n) {
    growing header = {NULL, 0, 0};
    st_model *model;
    unsigned char *file;
    size_t file_bytes;
    st_status status;
    text_put(&header, "{\"t\":{\"x\":");
    text_add(&header, text, n);
    text_put(&header, "," BASE "}}");
    file = text_file(&header, 2, &file_bytes);
    status = st_open_memory(&model, file, file_bytes, NULL, &error);
    st_close(model);
    free(file);
    return status;
}
#define IGNORED_AT (8 + sizeof("{\"t\":{\"x\":") - 1) /* position of the field's value */

/* ---- UTF-8: valid and invalid sequences --------------------- */

/* RFC 3629, checked by decoding code points */
static int reference_utf8(const unsigned char *s, size_t n) {
    uint32_t code;
    if (n == 1) return s[0] < 0x80;
    if (n == 2) {
        code = (uint32_t)(s[0] & 0x1f) << 6 | (s[1] & 0x3f);
        return (s[0] & 0xe0) == 0xc0 && (s[1] & 0xc0) == 0x80 && code >= 0x80;
    }
    if (n == 3) {
        code = (uint32_t)(s[0] & 0xf) << 12 | (uint32_t)(s[1] & 0x3f) << 6 | (s[2] & 0x3f);
        return (s[0] & 0xf0) == 0xe0 && (s[1] & 0xc0) == 0x80 && (s[2] & 0xc0) == 0x80 && code >= 0x800 &&
               (code < 0xd800 || code > 0xdfff);
    }
    code = (uint32_t)(s[0] & 7) << 18 | (uint32_t)(s[1] & 0x3f) << 12 | (uint32_t)(s[2] & 0x3f) << 6 | (s[3] & 0x3f);
    return (s[0] & 0xf8) == 0xf0 && (s[1] & 0xc0) == 0x80 && (s[2] & 0xc0) == 0x80 && (s[3] & 0xc0) == 0x80 &&
           code >= 0x10000 && code <= 0x10ffff;
}

static void sequences(void) {
    static const unsigned char edge[] = {0x00, 0x22, 0x7f, 0x80, 0x8f, 0x90, 0x9f,
                                         0xa0, 0xbf, 0xc0, 0xc2, 0xe0, 0xf0, 0xff};
    unsigned wrong = 0;
    int a;
    size_t b, c, d;
    for (a = 0; a < 256; a++) {
        for (b = 0; b < sizeof edge; b++) {
            for (c = 0; c < sizeof edge; c++) {
                for (d = 0; d < sizeof edge; d++) {
                    unsigned char s[4];
                    size_t n, length = 0;
                    s[0] = (unsigned char)a, s[1] = edge[b], s[2] = edge[c], s[3] = edge[d];
                    for (n = 1; n <= 4 && length == 0; n++) length = reference_utf8(s, n) ? n : 0;
                    wrong += sti_utf8_length(s, 4) != length;
                    if (length > 1) wrong += sti_utf8_length(s, length - 1) != 0; /* truncated */
                    wrong += sti_utf8_prefix(s, 1) != (a < 0x80 ? 1u : 0u);
                }
            }
        }
    }
    CHECK_EQ(wrong, 0);
}

/* an invalid byte is found at every position, whatever block size the parser reads */
static void positions(void) {
    static const char *const bad[] = {"\001", "\037", "\200", "\377", "\303\"", "\\x", "\\ud800"};
    static const unsigned inside[] = {0, 0, 0, 0, 0, 1, 0}; /* for each: the offset of the invalid byte */
    static const char *const letters[] = {
        "a", "\177", "\303\251", "\\n", "\342\202\254", "\\u00e9", "\360\237\230\200"};
    size_t i, j, before, after, k;
    for (i = 0; i < sizeof bad / sizeof *bad; i++) {
        for (j = 0; j < sizeof letters / sizeof *letters; j++) {
            for (before = 0; before < 34; before++) {
                for (after = 0; after < 18; after += 1 + after / 3) {
                    growing text = {NULL, 0, 0};
                    uint64_t at;
                    text_put(&text, "\"");
                    for (k = 0; k < before; k++) text_put(&text, letters[(before + k) % 3 == 0 ? j : 0]);
                    at = IGNORED_AT + text.n + inside[i];
                    text_put(&text, bad[i]);
                    for (k = 0; k < after; k++) text_put(&text, letters[k % 2 == 0 ? j : 0]);
                    text_put(&text, "\"");
                    CHECK_STATUS(ignored(text.at, text.n), i >= 2 && i <= 4 ? ST_ERR_UTF8 : ST_ERR_JSON);
                    CHECK_EQ(error.position, at);
                    free(text.at);
                }
            }
        }
    }
}

/* names of every length, with an escape at every position, are unescaped correctly */
static void strings(void) {
    /* clang-format off */
    static const struct letter {
        const char *written, *is;
    } letters[] = {
        {"a", "a"}, {"\\\"", "\""}, {"\\\\", "\\"}, {"\\/", "/"}, {"\\b", "\b"}, {"\\f", "\f"}, {"\\n", "\n"},
        {"\\r", "\r"}, {"\\t", "\t"},
        {"\\u0041", "A"}, {"\\u007f", "\177"}, {"\\u0080", "\302\200"}, {"\\u07FF", "\337\277"},
        {"\\u0800", "\340\240\200"}, {"\\uFFFF", "\357\277\277"}, {"\\uD800\\uDC00", "\360\220\200\200"},
        {"\\udbff\\udfff", "\364\217\277\277"}, {"\303\251", "\303\251"}};
    /* clang-format on */
    size_t i, length, at, k;
    for (i = 0; i < sizeof letters / sizeof *letters; i++) {
        for (length = 0; length < 20; length++) {
            for (at = 0; at <= length; at++) {
                growing header = {NULL, 0, 0}, name = {NULL, 0, 0};
                unsigned char *file;
                st_model *model;
                size_t n;
                text_put(&header, "{\"");
                for (k = 0; k <= length; k++) {
                    text_put(&header, k == at ? letters[i].written : "x");
                    text_put(&name, k == at ? letters[i].is : "x");
                }
                text_put(&header, "\":{" BASE "}}");
                file = text_file(&header, 2, &n);
                if (CHECK_STATUS(st_open_memory(&model, file, n, NULL, &error), ST_OK)) {
                    const st_tensor *t = &model->tensors[0];
                    CHECK(t->name_bytes == name.n && memcmp(t->name, name.at, name.n) == 0 && t->name[name.n] == 0);
                    CHECK(st_find_n(model, name.at, name.n) == t);
                    CHECK(st_find_n(model, name.at, name.n - 1) == NULL);
                    st_close(model);
                }
                free(name.at);
                free(file);
            }
        }
    }
}

/* ---- numbers ---- */

/* appends digits with a point among or before them, and an exponent; the first nonzero digit has the value 10^power */
static void number_of(growing *text, size_t zeros_before, size_t digits, size_t fraction_zeros, size_t fraction,
                      int64_t exponent, const char *e, char digit, int64_t *power) {
    size_t i;
    char one[2] = {digit, 0};
    if (zeros_before > 0) {
        text_put(text, "0"); /* JSON permits one leading zero only */
    }
    for (i = 0; i < digits; i++) text_put(text, one);
    if (fraction_zeros + fraction > 0) text_put(text, ".");
    for (i = 0; i < fraction_zeros; i++) text_put(text, "0");
    for (i = 0; i < fraction; i++) text_put(text, one);
    *power = digits > 0 ? (int64_t)digits - 1 : -(int64_t)fraction_zeros - 1;
    if (*e != 0) {
        text_put(text, e);
        if (exponent < 0) text_put(text, "-");
        text_number(text, (uint64_t)(exponent < 0 ? -exponent : exponent));
        *power += exponent;
    }
}

static void magnitudes(void) {
    static const int64_t exponents[] = {0,
                                        1,
                                        99,
                                        290,
                                        299,
                                        300,
                                        306,
                                        307,
                                        308,
                                        309,
                                        310,
                                        500,
                                        1000,
                                        -1,
                                        -90,
                                        -300,
                                        -700,
                                        -99999,
                                        100000,
                                        2147483648,
                                        4294967296,
                                        -4294967297,
                                        INT64_C(9000000000000000000),
                                        INT64_C(-9000000000000000000)};
    static const size_t lengths[] = {0, 1, 2, 9, 19, 20, 21, 300, 308, 309, 310, 400};
    static const char *const marks[] = {"", "e", "E", "e+"};
    size_t i, j, k, l, m;
    for (i = 0; i < sizeof exponents / sizeof *exponents; i++) {
        for (j = 0; j < sizeof lengths / sizeof *lengths; j++) {
            for (k = 0; k < sizeof lengths / sizeof *lengths; k++) {
                for (l = 0; l < 4; l++) {
                    for (m = 0; m < 2; m++) {
                        growing text = {NULL, 0, 0};
                        const size_t digits = lengths[j], zeros = m == 0 ? 0 : lengths[k],
                                     fraction = m == 0 ? lengths[k] : 1;
                        int64_t power;
                        st_status status;
                        if (digits + zeros + fraction == 0 || (exponents[i] < 0 && l == 3))
                            continue; /* "e+-" is not a number */
                        if (i % 2 == 1) text_put(&text, "-");
                        number_of(&text, digits == 0, digits, zeros, fraction, exponents[i], marks[l], '7', &power);
                        status = ignored(text.at, text.n);
                        if (power >= 309) {
                            CHECK_STATUS(status, ST_ERR_JSON);
                            CHECK_EQ(error.position, IGNORED_AT);
                        } else if (power < 308) {
                            CHECK_STATUS(status, ST_OK);
                        }
                        free(text.at);
                    }
                }
            }
        }
    }
}

/* zero with any exponent is zero */
static void zeros(void) {
    static const char *const all[] = {"0",          "-0",     "0.0",    "0.000",
                                      "0e1",        "0E+999", "0e-999", "-0.0e309",
                                      "0.00e99999", "0e0",    "0e00",   "0.0E99999999999999999999999"};
    size_t i;
    for (i = 0; i < sizeof all / sizeof *all; i++) {
        test_row = all[i];
        CHECK_STATUS(ignored(all[i], strlen(all[i])), ST_OK);
    }
    test_row = "";
}

/* integers around every power of two up to 64 bits */
static void integers(void) {
    uint64_t value;
    int i;
    for (i = 0; i < 64; i++) {
        for (value = (UINT64_C(1) << i) - 1; value != (UINT64_C(1) << i) + 2; value++) {
            growing header = {NULL, 0, 0};
            unsigned char *file;
            st_model *model;
            size_t n;
            text_put(&header, "{\"t\":{\"dtype\":\"U8\",\"shape\":[0,");
            text_number(&header, value);
            text_put(&header, "],\"data_offsets\":[0,0]}}");
            file = text_file(&header, 0, &n);
            if (CHECK_STATUS(st_open_memory(&model, file, n, NULL, &error), ST_OK)) {
                CHECK_EQ(model->tensors[0].shape[1], value);
                st_close(model);
            }
            free(file);
        }
    }
}

/* ---- depth ---- */

static void depths(void) {
    size_t depth, arrays, k;
    for (depth = 120; depth < 131; depth++) {
        for (arrays = 0; arrays < 3; arrays++) { /* objects, arrays, alternating */
            growing text = {NULL, 0, 0};
            uint64_t too_deep = 0;
            for (k = 0; k < depth; k++) {
                if (k == 125) too_deep = IGNORED_AT + text.n; /* the root and the tensor's entry are containers too */
                text_put(&text, (arrays == 2 ? k % 2 : arrays) != 0 ? "[" : "{\"a\":");
            }
            text_put(&text, "null");
            for (k = depth; k > 0; k--) text_put(&text, (arrays == 2 ? (k - 1) % 2 : arrays) != 0 ? "]" : "}");
            CHECK_STATUS(ignored(text.at, text.n), depth <= 125 ? ST_OK : ST_ERR_JSON);
            if (depth > 125) CHECK_EQ(error.position, too_deep);
            free(text.at);
        }
    }
}

static void depth_message(void) {
    char text[2 * 128];
    memset(text, '[', 128);
    memset(text + 128, ']', 128);
    CHECK_STATUS(ignored(text, sizeof text), ST_ERR_JSON);
    CHECK(strstr(error.message, "arrays and objects nested more than 127 levels deep") != NULL);
}

/* strings are compared after unescaping, on either side; invalid UTF-8 equals nothing */
static void comparisons(void) {
    static const struct pair {
        const char *a, *b;
        int a_escaped, b_escaped, same;
    } all[] = {
        {"", "", 0, 0, 1},
        {"a", "a", 0, 0, 1},
        {"a", "b", 0, 0, 0},
        {"a", "ab", 0, 0, 0},
        {"ab", "a", 0, 0, 0},
        {"\\n", "\n", 1, 0, 1},
        {"\\n", "\n", 0, 0, 0},
        {"\n", "\\u000a", 0, 1, 1},
        {"\\u00e9", "\303\251", 1, 0, 1},
        {"\\ud83d\\ude00", "\\uD83D\\uDE00", 1, 1, 1},
        {"\303\251", "\303\250", 0, 0, 0},
        {"\303\251", "e", 0, 0, 0},
        {"\377", "\377", 0, 0, 0},
        {"\377", "a", 0, 0, 0},
    };
    size_t i;
    for (i = 0; i < sizeof all / sizeof *all; i++) {
        test_row = all[i].a;
        CHECK_EQ(sti_json_equal(sti_span_of(all[i].a), all[i].a_escaped, sti_span_of(all[i].b), all[i].b_escaped),
                 all[i].same);
    }
    test_row = "";
}

int main(void) {
    sequences();
    comparisons();
    positions();
    strings();
    magnitudes();
    zeros();
    integers();
    depths();
    depth_message();
    return test_done("json");
}
