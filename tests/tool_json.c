/* Tests the tool's JSON parser: what it returns, and what it refuses. */
#include "../safetensors.h"

#include "../examples/common/json.c"
#include "../examples/common/text.c"
#include "../examples/st/numpy.c"
#include "../examples/st/text.c"
#include "random.h"
#include "test.h"

int system_is_terminal(void) {
    return 0;
}

/* Writes all that the parser returns: strings in <>, members as <key>=value; */
static char *put_value(json_reader *j, char *to) {
    const json_kind kind = json_value(j);
    switch (kind) {
    case JSON_NULL: *to++ = 'n'; break;
    case JSON_FALSE: *to++ = 'f'; break;
    case JSON_TRUE: *to++ = 't'; break;
    case JSON_NUMBER: to += sprintf(to, "%g", j->number); break;
    case JSON_STRING: to += sprintf(to, "<%.*s>", (int)j->string_bytes, j->string); break;
    case JSON_OBJECT:
        *to++ = '{';
        while (json_member(j)) {
            to += sprintf(to, "<%.*s>=", (int)j->key_bytes, j->key);
            to = put_value(j, to);
            *to++ = ';';
        }
        *to++ = '}';
        break;
    case JSON_ARRAY:
        *to++ = '[';
        while (json_element(j)) {
            to = put_value(j, to);
            *to++ = ';';
        }
        *to++ = ']';
        break;
    case JSON_FAULT: break;
    }
    *to = 0;
    return to;
}

/* Returns what was parsed in `out`, or the fault and its position. The text has exactly the room it needs. */
static void parse(const char *text, size_t n, char *out) {
    char *copy = (char *)malloc(n + 1);
    json_reader j;
    memcpy(copy, text, n);
    copy[n] = 0;
    json_begin(&j, copy, n);
    put_value(&j, out);
    if (!json_end(&j)) sprintf(out, "%s at %u", j.fault, (unsigned)json_position(&j));
    free(copy);
}

static void test_texts(void) {
    static const struct {
        const char *text, *wanted;
    } cases[] = {
        {"null", "n"},
        {" \t\r\n{ } ", "{}"},
        {"[]", "[]"},
        {"[true,false , null]", "[t;f;n;]"},
        {"{\"a\":{\"b\":[1,[2]]},\"c\":\"\"}", "{<a>={<b>=[1;[2;];];};<c>=<>;}"},
        {"[0,-0,-1.5,1e3,1E+3,25e-1]", "[0;-0;-1.5;1000;1000;2.5;]"},
        {"\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"", "<\"\\/\b\f\n\r\t>"},
        {"\"\\u0041\\u00e9\\u20AC\\ud83d\\uDE00\"", "<A\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80>"},
        {"{\"\\u0041\":1}", "{<A>=1;}"},
        {"", "expected a value at 0"},
        {"nul", "expected a value at 0"},
        {"nulls", "expected the end of the text at 4"},
        {"[1", "expected ',' or ']' after an array element at 2"},
        {"[1,]", "expected a value at 3"},
        {"[,1]", "expected a value at 1"},
        {"[1 2]", "expected ',' or ']' after an array element at 3"},
        {"{\"a\":1,}", "expected a key in quotes at 7"},
        {"{\"a\":1 \"b\":2}", "expected ',' or '}' after an object member at 7"},
        {"{a:1}", "expected a key in quotes at 1"},
        {"{\"a\"}", "expected ':' after a key at 4"},
        {"{\"a\":}", "expected a value at 5"},
        {"{\"a", "the text ends within a string at 3"},
        {"{", "expected a key in quotes at 1"},
        {"01", "expected the end of the text at 1"},
        {"-", "expected a value at 1"},
        {"+1", "expected a value at 0"},
        {".5", "expected a value at 0"},
        {"1.", "expected a value at 2"},
        {"1e", "expected a value at 2"},
        {"0x10", "expected the end of the text at 1"},
        {"NaN", "expected a value at 0"},
        {"Infinity", "expected a value at 0"},
        {"'a'", "expected a value at 0"},
        {"\"\t\"", "control character in a string at 1"},
        {"\"\\x\"", "unknown escape in a string at 2"},
        {"\"\\", "unknown escape in a string at 2"},
        {"\"\\u12g4\"", "expected four hexadecimal digits after \\u at 5"},
        {"\"\\ud83d\"", "half of a surrogate pair at 7"},
        {"\"\\ud83d\\u0041\"", "half of a surrogate pair at 13"},
        {"\"\\ude00\"", "half of a surrogate pair at 7"},
        {"\"\xff\"", "text is not UTF-8 at 0"},
        {"\xef\xbb\xbf{}", "expected a value at 0"},
        {"[1]x", "expected the end of the text at 3"},
        {"// a\n1", "expected a value at 0"},
    };
    char out[256];
    size_t i;
    for (i = 0; i < sizeof cases / sizeof *cases; i++) {
        parse(cases[i].text, strlen(cases[i].text), out);
        test_row = cases[i].text;
        CHECK_STR(out, cases[i].wanted);
    }
    test_row = "";
    parse("1\0", 2, out);
    CHECK_STR(out, "expected the end of the text at 1");
    parse("\"a\0b\"", 5, out);
    CHECK_STR(out, "control character in a string at 2");
}

static void test_depth(void) {
    char text[2 * JSON_DEPTH + 3], out[512];
    memset(text, '[', JSON_DEPTH);
    memset(text + JSON_DEPTH, ']', JSON_DEPTH);
    parse(text, 2 * JSON_DEPTH, out);
    CHECK(out[0] == '[');
    memset(text, '[', JSON_DEPTH + 1);
    memset(text + JSON_DEPTH + 1, ']', JSON_DEPTH + 1);
    parse(text, 2 * JSON_DEPTH + 2, out);
    CHECK_STR(out, "more than 64 levels of objects and arrays at 64");
}

static int skipped(const char *text) {
    char copy[64];
    json_reader j;
    int is_something;
    strcpy(copy, text);
    json_begin(&j, copy, strlen(text));
    is_something = json_skip(&j, json_value(&j));
    CHECK(json_end(&j));
    return is_something;
}

static void test_skip(void) {
    CHECK_EQ(skipped("null") + skipped("false") + skipped("0") + skipped("\"\"") + skipped("[]") + skipped(" { } "), 0);
    CHECK_EQ(skipped("true") + skipped("-1") + skipped("\"x\"") + skipped("[null]") + skipped("{\"a\":[{}]}"), 5);
}

/* Whatever the text is, nothing outside it is read or written (under the sanitizers). */
static void test_random(void) {
    static const char parts[] = "{}[]:,\"\"\\\\u0dn123-.e tfalsenul\xc3\xa9\xf0\n";
    char text[64], out[4096];
    unsigned round;
    size_t i, n;
    for (round = 0; round < 20000 / (unsigned)test_thin(); round++) {
        n = (size_t)random_below(sizeof text);
        for (i = 0; i < n; i++) text[i] = parts[random_below(sizeof parts)];
        parse(text, n, out);
    }
}

int main(void) {
    test_texts();
    test_depth();
    test_skip();
    test_random();
    return test_done("tool_json");
}
