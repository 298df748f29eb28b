/* json.c: a strict JSON parser (RFC 8259) that returns one value after the other. */
#include "json.h"
#include "text.h"
#include <stdlib.h>
#include <string.h>

void json_begin(json_reader *j, char *text, size_t n) {
    memset(j, 0, sizeof *j);
    j->text = j->at = text;
    j->end = text + n;
    if (!is_utf8(text, n)) j->fault = "text is not UTF-8";
}

size_t json_position(const json_reader *j) {
    return (size_t)(j->at - j->text);
}

int json_is(const char *string, size_t bytes, const char *text) {
    return strlen(text) == bytes && memcmp(string, text, bytes) == 0;
}

/* Keeps the first fault. */
static int fault(json_reader *j, const char *what) {
    if (!j->fault) j->fault = what;
    return 0;
}

static void skip_blanks(json_reader *j) {
    while (*j->at == ' ' || *j->at == '\t' || *j->at == '\n' || *j->at == '\r') j->at++;
}

/* Moves past the character after blanks, if it is c. The text ends with a NUL, so reading at `at` is always valid. */
static int takes(json_reader *j, char c) {
    skip_blanks(j);
    if (*j->at != c || j->at == j->end) return 0;
    j->at++;
    return 1;
}

/* ---- strings ------------------------------------------------------------------------------------------------ */

static int parse_hex(json_reader *j, unsigned *code) {
    int i;
    *code = 0;
    for (i = 0; i < 4; i++, j->at++) {
        const char c = *j->at;
        const int digit = c >= '0' && c <= '9'   ? c - '0'
                          : c >= 'a' && c <= 'f' ? c - 'a' + 10
                          : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                                 : -1;
        if (digit < 0) return fault(j, "expected four hexadecimal digits after \\u");
        *code = *code << 4 | (unsigned)digit;
    }
    return 1;
}

static char *put_utf8(char *to, unsigned c) {
    const int tail = c < 0x80 ? 0 : c < 0x800 ? 1 : c < 0x10000 ? 2 : 3; /* bytes after the first */
    static const unsigned lead[4] = {0, 0xc0, 0xe0, 0xf0};
    int i;
    for (i = tail; i >= 0; i--) {
        const unsigned bits = c >> (6 * i);
        *to++ = (char)(unsigned char)(i == tail ? lead[tail] | bits : 0x80 | (bits & 0x3f));
    }
    return to;
}

/* Parses what follows \u and writes the character. Four characters of text become at most three bytes, and twelve at
 * most four, so the text is not overtaken. */
static char *parse_unicode(json_reader *j, char *to) {
    unsigned code, low = 0;
    if (!parse_hex(j, &code)) return to;
    if (code >= 0xd800 && code < 0xdc00) {
        if (j->at[0] != '\\' || j->at[1] != 'u') return (void)fault(j, "half of a surrogate pair"), to;
        j->at += 2;
        if (!parse_hex(j, &low)) return to;
        if (low < 0xdc00 || low > 0xdfff) return (void)fault(j, "half of a surrogate pair"), to;
        code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
    } else if (code >= 0xdc00 && code <= 0xdfff) {
        return (void)fault(j, "half of a surrogate pair"), to;
    }
    return put_utf8(to, code);
}

static char *parse_escape(json_reader *j, char *to) {
    static const char escapes[] = "\"\"\\\\//b\bf\fn\nr\rt\t";
    size_t i;
    const char c = *j->at++;
    if (c == 'u') return parse_unicode(j, to);
    for (i = 0; i < sizeof escapes - 1; i += 2) {
        if (escapes[i] == c) {
            *to++ = escapes[i + 1];
            return to;
        }
    }
    j->at--;
    fault(j, "unknown escape in a string");
    return to;
}

/* Parses a string after its opening quote. */
static int parse_string(json_reader *j, const char **string, size_t *bytes) {
    char *to = j->at;
    *string = to;
    while (*j->at != '"') {
        if ((unsigned char)*j->at < 0x20) {
            return fault(j, j->at == j->end ? "the text ends within a string" : "control character in a string");
        }
        if (*j->at == '\\') {
            j->at++;
            to = parse_escape(j, to);
            if (j->fault) return 0;
        } else {
            *to++ = *j->at++;
        }
    }
    *bytes = (size_t)(to - *string);
    j->at++; /* before the NUL is written, which can be at the quote */
    *to = 0;
    return 1;
}

/* ---- values ------------------------------------------------------------------------------------------------- */

static int skip_digits(json_reader *j) {
    const char *begin = j->at;
    while (*j->at >= '0' && *j->at <= '9') j->at++;
    return j->at > begin;
}

/* Checks the grammar, which is narrower than that of strtod. `string` receives the number's text, without a NUL. */
static json_kind parse_number_text(json_reader *j) {
    char *begin = j->at;
    int is_number;
    if (*j->at == '-') j->at++;
    is_number = *j->at == '0' ? (j->at++, 1) : skip_digits(j);
    if (is_number && *j->at == '.') {
        j->at++;
        is_number = skip_digits(j);
    }
    if (is_number && (*j->at == 'e' || *j->at == 'E')) {
        j->at++;
        if (*j->at == '+' || *j->at == '-') j->at++;
        is_number = skip_digits(j);
    }
    if (!is_number) return (void)fault(j, "expected a value"), JSON_FAULT;
    j->number = strtod(begin, NULL);
    j->string = begin;
    j->string_bytes = (size_t)(j->at - begin);
    return JSON_NUMBER;
}

static json_kind parse_word(json_reader *j, const char *word, json_kind kind) {
    const size_t n = strlen(word);
    if ((size_t)(j->end - j->at) < n || memcmp(j->at, word, n) != 0) {
        return (void)fault(j, "expected a value"), JSON_FAULT;
    }
    j->at += n;
    return kind;
}

json_kind json_value(json_reader *j) {
    if (j->fault) return JSON_FAULT;
    skip_blanks(j);
    switch (*j->at) {
    case 'n': return parse_word(j, "null", JSON_NULL);
    case 'f': return parse_word(j, "false", JSON_FALSE);
    case 't': return parse_word(j, "true", JSON_TRUE);
    case '"': j->at++; return parse_string(j, &j->string, &j->string_bytes) ? JSON_STRING : JSON_FAULT;
    case '{':
    case '[':
        if (j->depth == JSON_DEPTH) return (void)fault(j, "more than 64 levels of objects and arrays"), JSON_FAULT;
        j->has_values[++j->depth] = 0;
        return *j->at++ == '{' ? JSON_OBJECT : JSON_ARRAY;
    default: return parse_number_text(j);
    }
}

/* Moves past the closing bracket, or past the comma before another value. Returns 1 if a value follows. */
static int next_value(json_reader *j, char closing, const char *wanted) {
    if (j->fault) return 0;
    if (takes(j, closing)) {
        j->depth--;
        return 0;
    }
    if (j->has_values[j->depth] && !takes(j, ',')) return fault(j, wanted);
    j->has_values[j->depth] = 1;
    return 1;
}

int json_member(json_reader *j) {
    if (!next_value(j, '}', "expected ',' or '}' after an object member")) return 0;
    if (!takes(j, '"')) return fault(j, "expected a key in quotes");
    if (!parse_string(j, &j->key, &j->key_bytes)) return 0;
    return takes(j, ':') || fault(j, "expected ':' after a key");
}

int json_element(json_reader *j) {
    return next_value(j, ']', "expected ',' or ']' after an array element");
}

int json_skip(json_reader *j, json_kind kind) {
    int is_something = 0;
    switch (kind) {
    case JSON_OBJECT:
        for (; json_member(j); is_something = 1) json_skip(j, json_value(j));
        return is_something;
    case JSON_ARRAY:
        for (; json_element(j); is_something = 1) json_skip(j, json_value(j));
        return is_something;
    case JSON_NUMBER: return j->number != 0;
    case JSON_STRING: return j->string_bytes != 0;
    default: return kind == JSON_TRUE;
    }
}

int json_end(json_reader *j) {
    if (j->fault) return 0;
    skip_blanks(j);
    return j->at == j->end || fault(j, "expected the end of the text");
}
