/* Compares the library with its fast paths (rooms 9 to 12) and without them (tests/quick/plain.c): the status, error
 * and model must be the same. Uses the files of all other tests, with every truncation and bit flip, and random
 * headers close to the layout that the fast paths accept. */
#define ST_IMPLEMENTATION
#include "../safetensors.h"

#include "conformance.h"
#undef GOOD
#undef LENGTH
#undef RAW
#include "invalid.h"
#include "large.h"
#include "seeds.h"
/* compare.h needs test.h */
#include "quick/compare.h"

static unsigned long opened_count, refused_count;

static void both(const unsigned char *file, size_t n, uint64_t file_bytes, unsigned flags, uint64_t max_header) {
    if (compare_both(file, n, file_bytes, flags, max_header) == ST_OK) {
        opened_count++;
    } else {
        refused_count++;
    }
}

static void mutations(unsigned char *file, size_t n, unsigned flags, uint64_t max_header) {
    const size_t step = (size_t)test_thin();
    size_t i;
    for (i = 0; i < n; i += step) { /* in a block of its exact length, so that sanitizers detect reads past it */
        unsigned char *part = (unsigned char *)malloc(i > 0 ? i : 1);
        if (part == NULL) exit(2);
        memcpy(part, file, i);
        both(part, i, i, flags, max_header);
        free(part);
    }
    for (i = 0; i < n * 8; i += step) {
        file[i / 8] = (unsigned char)(file[i / 8] ^ 1u << i % 8);
        both(file, n, n, flags, max_header);
        file[i / 8] = (unsigned char)(file[i / 8] ^ 1u << i % 8);
    }
}

static void table(const file_case *rows, size_t count, int mutate) {
    size_t i, n;
    for (i = 0; i < count; i++) {
        unsigned char *file = case_file(&rows[i], &n);
        test_row = rows[i].name;
        both(file, n, n, rows[i].flags, rows[i].max_header);
        if (mutate || n < 120) mutations(file, n, rows[i].flags, rows[i].max_header);
        free(file);
    }
    test_row = "";
}

/* ---- headers in the usual layout, with occasional deviations ----------------- */

static uint32_t random_state = 20260101;

static uint32_t below(uint32_t n) { /* n under 2^16 */
    random_state = (uint32_t)(((uint64_t)random_state * 1664525u + 1013904223u) & 0xFFFFFFFFu);
    return (uint32_t)((uint64_t)(random_state >> 8) * n >> 24);
}

static const char *any_of(const char *const *list, size_t n) {
    return list[below((uint32_t)n)];
}

#define ANY_OF(list) any_of(list, sizeof(list) / sizeof *(list))

/* one in `care` places deviates */
static uint32_t care;

static int slip(void) {
    return care > 0 && below(care) == 0;
}

static void put_name(growing *t, size_t number) {
    static const char *const slips[] = {"\\n",
                                        "\\u0041",
                                        "\\ud83d\\ude00",
                                        "\303\251",
                                        "\360\237\230\200",
                                        "\377",
                                        "\001",
                                        "\\u0000",
                                        "\\q",
                                        "\"",
                                        "\\",
                                        "\303",
                                        "{",
                                        " "};
    uint32_t i, n = below(48);
    for (i = 0; i < n; i++) text_add(t, &"abc.defg_hi0.123"[below(16)], 1);
    if (slip()) text_put(t, ANY_OF(slips));
    if (!slip()) text_number(t, number); /* a deviation here may duplicate a name */
}

static void put_dtype(growing *t, unsigned *bits) {
    static const char *const slips[] = {"",
                                        "F31",
                                        "bf16",
                                        "U8 ",
                                        "F8_E4M4",
                                        "F8_E4M3FNU",
                                        "BF1",
                                        "I8\\u0000",
                                        "F32",
                                        "BOOLS",
                                        "U",
                                        "F8_E4M3FNUZ",
                                        "\\u0055"
                                        "8"};
    const st_dtype dtype = (st_dtype)(1 + below(22));
    *bits = st_dtype_bits(dtype);
    text_put(t, slip() ? ANY_OF(slips) : st_dtype_name(dtype));
}

static uint64_t put_size(growing *t) {
    static const char *const slips[] = {"",
                                        "00",
                                        "01",
                                        "-1",
                                        "1.0",
                                        "1e3",
                                        "4294967295",
                                        "4294967296",
                                        "99999999",
                                        "100000000",
                                        "999999999999999",
                                        "1000000000000000",
                                        "123456789012345678",
                                        "18446744073709551615",
                                        "18446744073709551616",
                                        "x"};
    static const uint64_t usual[] = {1,   2,    3,      4,        8,           10,          16,
                                     128, 4096, 151936, 12345678, 4294967295u, 4294967296u, 999999999999999u};
    const uint64_t size = below(40) == 0 ? 0 : usual[below(below(4) ? 8 : 14)];
    if (slip()) {
        text_put(t, ANY_OF(slips));
    } else {
        text_number(t, size);
    }
    return size;
}

static uint64_t put_shape(growing *t) {
    uint32_t rank = slip() ? 14 + below(5) : below(5), i;
    uint64_t elements = 1;
    for (i = 0; i < rank; i++) {
        uint64_t size;
        if (i > 0) text_put(t, slip() ? ", " : ",");
        size = put_size(t);
        if (size > 0 && elements > UINT64_MAX / size) size = 1;
        elements *= size;
    }
    if (slip()) text_put(t, ",");
    return elements;
}

/* appends a member; returns the end of its data */
static uint64_t put_member(growing *t, size_t number, uint64_t begin) {
    static const char *const slips[] = {" ", "\n",      ",", "]", "}", "\"", ":", "\"x\":null,", "\"dtype\":\"U8\",",
                                        "0", "\303\251"};
    uint64_t elements, end;
    unsigned bits;
    text_put(t, slip() ? ", \"" : ",\"");
    if (below(200) == 0) {
        text_put(t, "__metadata__\":{\"a\":\"b\"}");
        return begin;
    }
    put_name(t, number);
    text_put(t, slip() ? "\": {\"dtype\":\"" : "\":{\"dtype\":\"");
    put_dtype(t, &bits);
    text_put(t, slip() ? "\",\"Shape\":[" : "\",\"shape\":[");
    elements = put_shape(t);
    text_put(t, slip() ? "], \"data_offsets\":[" : "],\"data_offsets\":[");
    end = elements > UINT64_MAX / 64 ? begin : begin + elements * bits / 8;
    if (end < begin) end = begin;
    text_number(t, slip() ? begin + below(3) : begin);
    if (slip()) text_put(t, ANY_OF(slips));
    text_put(t, ",");
    text_number(t, slip() ? end / 10 : end);
    text_put(t, slip() ? "] }" : "]}");
    if (slip()) text_put(t, ANY_OF(slips));
    return end;
}

static void made_up(void) {
    growing t = {NULL, 0, 0};
    size_t i, n, count = 1 + below(below(4) == 0 ? 40 : 6);
    uint64_t end = below(3) == 0 ? (uint64_t)below(60000) << below(30) : 0;
    unsigned char *file;
    const uint64_t first = end;
    care = below(3) == 0 ? 0 : 4u << below(8);
    text_put(&t, below(50) == 0 ? " {" : "{");
    if (first > 0 || below(4) == 0) { /* so that later offsets are longer */
        text_put(&t, "\"__metadata__\":{},\"first\":{\"dtype\":\"U8\",\"shape\":[");
        text_number(&t, first);
        text_put(&t, "],\"data_offsets\":[0,");
        text_number(&t, first);
        text_put(&t, "]}");
        for (i = 0; i < count; i++) end = put_member(&t, i, end);
    } else {
        for (i = 0; i < count; i++) end = put_member(&t, i, end);
        memmove(t.at + 1, t.at + 2, t.n - 2); /* remove the comma before the first member */
        t.n--;
    }
    text_put(&t, "}");
    for (i = below(9); i > 0; i--) text_put(&t, slip() ? "\n" : " ");
    if (care > 0 && below(2) == 0) t.at[below((uint32_t)(t.n < 65535 ? t.n : 65535))] ^= (char)(1u << below(8));
    file = text_file(&t, 0, &n);
    if (end > UINT64_MAX - n) end = 0;
    both(file, n, n + end, (below(2) ? ST_OPEN_UNKNOWN_DTYPES : 0) | (below(4) ? 0 : ST_OPEN_TRAILING), 0);
    free(file);
}

/* as many tensors as st_scan permits, and more; the fast path leaves the last ones of a header to the parser */
static void limits(void) {
    static const size_t counts[] = {1023, 1024, 1025, 1026, 1040};
    size_t i, n;
    for (i = 0; i < sizeof counts / sizeof *counts; i++) {
        unsigned char *file = many_tensors("layer.", counts[i], 0, &n);
        both(file, n, n, 0, 0);
        free(file);
    }
}

/* ---- the fast paths are used ---- */

static int is_taken(const char *header, size_t n, sti_entry *e) {
    sti_header h;
    sti_header_init(&h, (const unsigned char *)header, n, 0, NULL);
#if STI_FAST64
    memset(e, 0, sizeof *e);
    return sti_parse_canonical_entry(&h, e);
#else
    (void)h, (void)e;
    return 0;
#endif
}

#define TAIL ",\"more\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}                              "
#define TAKEN(member) is_taken("{" member TAIL, sizeof("{" member TAIL) - 1, &e)

static void taken(void) {
    sti_entry e;
    CHECK(TAKEN("\"\":" E("F32", "[]", "[0,4]")) == STI_FAST64);
    CHECK(TAKEN("\"a.b\":" E("BF16", "[2,3]", "[0,12]")) == STI_FAST64);
    CHECK(TAKEN("\"\303\251\":" E("F8_E4M3", "[123456789012345]", "[0,123456789012345]")) == STI_FAST64);
    CHECK(TAKEN("\"a\":" E("I64", "[1,2,3,4,5,6,7,8]", "[1,999]")) == STI_FAST64);
    CHECK(!TAKEN("\"__metadata__\":" E("F32", "[1]", "[0,4]")));
    CHECK(!TAKEN("\"a\":" E("F31", "[1]", "[0,4]")));
    CHECK(!TAKEN("\"a\":" E("F32", "[1234567890123456]", "[0,4]")));
    CHECK(!TAKEN("\"a\":" E("F32", "[1,]", "[0,4]")));
    CHECK(!TAKEN("\"a\":" E("F32", "[01]", "[0,4]")));
    CHECK(!TAKEN("\"a\":" E("F32", "[1]", "[0,4,5]")));
    CHECK(!TAKEN("\"a\\n\":" E("F32", "[1]", "[0,4]")));
    CHECK(!TAKEN("\"a\": " E("F32", "[1]", "[0,4]")));
}

int main(void) {
    const unsigned long rounds = 10000 / (unsigned long)test_thin();
    unsigned long i;
    CHECK(plain_is_plain());
    taken();
    table(seeds, SEED_COUNT, 1);
    table(conformance_cases, sizeof conformance_cases / sizeof *conformance_cases, 0);
    table(invalid_cases, sizeof invalid_cases / sizeof *invalid_cases, 0);
    CHECK(opened_count > 0 && refused_count > opened_count);
    opened_count = refused_count = 0;
    for (i = 0; i < rounds; i++) made_up();
    limits();
    CHECK(opened_count > rounds * 3 / 10 && refused_count > rounds * 3 / 20);
    return test_done("quick");
}
