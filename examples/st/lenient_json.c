/* lenient_json.c: a pull parser for JSON text that is in memory. */
#include "lenient_json.h"
#include <string.h>

enum { MAX_DEPTH = 124 };

static int fail(lenient_json_text *j, const char *expected) {
    j->fault = expected;
    return 0;
}

static int next_byte(const lenient_json_text *j) {
    return j->at == j->end ? -1 : *j->at;
}

static int is_digit(int c) {
    return c >= '0' && c <= '9';
}

int lenient_json_peek(lenient_json_text *j) {
    int c;
    while ((c = next_byte(j)) == ' ' || c == '\n' || c == '\r' || c == '\t') j->at++;
    return c;
}

int lenient_json_enter(lenient_json_text *j, int open, int *has_item) {
    *has_item = 0;
    if (lenient_json_peek(j) != open) return fail(j, open == '{' ? "expected '{'" : "expected '['");
    j->at++;
    *has_item = lenient_json_peek(j) != open + 2; /* '{' + 2 is '}', '[' + 2 is ']' */
    if (!*has_item) j->at++;
    return 1;
}

int lenient_json_next(lenient_json_text *j, int open, int *has_item) {
    const int c = lenient_json_peek(j);
    *has_item = 0;
    if (c != ',' && c != open + 2) return fail(j, open == '{' ? "expected ',' or '}'" : "expected ',' or ']'");
    j->at++;
    *has_item = c == ',';
    return 1;
}

/* ---- strings ------------------------------------------------------------------------------------------------ */

/* Returns the length of the character at the start of the text, or 0 if it is not valid UTF-8. */
static size_t utf8_length(const unsigned char *s, size_t n) {
    static const uint32_t smallest[5] = {0, 0, 0x80, 0x800, 0x10000};
    const size_t length = s[0] < 0x80 ? 1 : s[0] < 0xe0 ? 2 : s[0] < 0xf0 ? 3 : 4;
    uint32_t code = s[0] & (0xffu >> (length + 1));
    size_t i;
    if (length == 1) return 1;
    if (s[0] < 0xc2 || s[0] > 0xf4 || n < length) return 0;
    for (i = 1; i < length; i++) {
        if ((s[i] & 0xc0) != 0x80) return 0;
        code = code << 6 | (s[i] & 0x3fu);
    }
    return code < smallest[length] || code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff) ? 0 : length;
}

size_t lenient_json_utf8_prefix(const unsigned char *text, size_t bytes) {
    size_t i = 0, length;
    while (i < bytes && (length = utf8_length(text + i, bytes - i)) != 0) i += length;
    return i;
}

/* Moves past the closing quote, without a look at what is inside. */
static int skip_string(lenient_json_text *j) {
    for (j->at++; j->at < j->end && *j->at != '"'; j->at++) {
        if (*j->at == '\\' && j->end - j->at > 1) j->at++;
    }
    if (j->at == j->end) return fail(j, "expected '\"' at the end of a string");
    j->at++;
    return 1;
}

/* Parses the four digits of \uXXXX. s: the backslash. Returns 1 if there are four. */
static int read_unit(const unsigned char *s, const unsigned char *end, uint32_t *unit) {
    int i;
    *unit = 0;
    if (end - s < 6 || s[0] != '\\' || s[1] != 'u') return 0;
    for (i = 2; i < 6; i++) {
        const int c = s[i], letter = c | 0x20;
        if (!is_digit(c) && (letter < 'a' || letter > 'f')) return 0;
        *unit = *unit << 4 | (uint32_t)(is_digit(c) ? c - '0' : letter - 'a' + 10);
    }
    return 1;
}

static size_t encode(uint32_t code, unsigned char *out) {
    size_t n = code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4, i;
    for (i = n; i > 1; i--, code >>= 6) out[i - 1] = (unsigned char)(0x80 | (code & 0x3f));
    out[0] = (unsigned char)(n == 1 ? code : n == 2 ? 0xc0 | code : n == 3 ? 0xe0 | code : 0xf0 | code);
    return n;
}

/* Decodes the escape at the backslash s to *out, which it advances; the output is never longer than the escape.
 * Returns the length of the escape, or 0 if it is none. */
static size_t decode_escape(const unsigned char *s, const unsigned char *end, unsigned char **out) {
    static const char letters[] = "\"\\/bfnrt", values[] = "\"\\/\b\f\n\r\t";
    const char *letter = end - s > 1 && s[1] ? strchr(letters, s[1]) : NULL;
    uint32_t code, low;
    size_t n = 6;
    if (letter) {
        *(*out)++ = (unsigned char)values[letter - letters];
        return 2;
    }
    if (!read_unit(s, end, &code)) return 0;
    if (code >= 0xd800 && code <= 0xdbff && read_unit(s + 6, end, &low) && low >= 0xdc00 && low <= 0xdfff) {
        code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
        n = 12;
    }
    if (code >= 0xd800 && code <= 0xdfff) return 0;
    *out += encode(code, *out);
    return n;
}

int lenient_json_read_string(lenient_json_text *j, lenient_json_string *s) {
    unsigned char *in, *out, *end;
    memset(s, 0, sizeof *s);
    if (lenient_json_peek(j) != '"') return fail(j, "expected a string");
    in = out = j->at + 1;
    s->text = (char *)in;
    if (!skip_string(j)) return 0;
    end = j->at - 1; /* the closing quote, which becomes a NUL or lies behind it */
    while (in < end) {
        size_t n;
        if (*in >= 0x20 && *in < 0x80 && *in != '\\') {
            *out++ = *in++;
            continue;
        }
        n = *in == '\\' ? decode_escape(in, end, &out) : 0;
        if (*in == '\\' && n == 0) s->is_damaged = 1;
        if (n == 0) {
            const size_t length = utf8_length(in, (size_t)(end - in));
            if (length == 0) s->is_damaged = 1;
            if (*in < 0x20) s->has_control = 1;
            n = length ? length : 1;
            memmove(out, in, n);
            out += n;
        }
        in += n;
    }
    *out = 0;
    s->bytes = (size_t)((char *)out - s->text);
    return 1;
}

int lenient_json_read_key(lenient_json_text *j, lenient_json_string *s) {
    if (!lenient_json_read_string(j, s)) return fail(j, j->fault);
    if (lenient_json_peek(j) != ':') return fail(j, "expected ':'");
    j->at++;
    return 1;
}

/* ---- other values ------------------------------------------------------------------------------------------- */

static int skip_digits(lenient_json_text *j) {
    if (!is_digit(next_byte(j))) return fail(j, "expected a digit");
    while (is_digit(next_byte(j))) j->at++;
    return 1;
}

static int skip_word(lenient_json_text *j, const char *word) {
    const size_t n = strlen(word);
    if ((size_t)(j->end - j->at) < n || memcmp(j->at, word, n) != 0) return 0;
    j->at += n;
    return 1;
}

static int skip_number(lenient_json_text *j) {
    if (next_byte(j) == '-') j->at++;
    if (skip_word(j, "Infinity")) return 1;
    if (next_byte(j) == '0') {
        j->at++;
    } else if (!skip_digits(j)) {
        return 0;
    }
    if (next_byte(j) == '.') {
        j->at++;
        if (!skip_digits(j)) return 0;
    }
    if (next_byte(j) != 'e' && next_byte(j) != 'E') return 1;
    j->at++;
    if (next_byte(j) == '+' || next_byte(j) == '-') j->at++;
    return skip_digits(j);
}

static int skip_scalar(lenient_json_text *j) {
    const int c = lenient_json_peek(j);
    if (c == '"') return skip_string(j);
    if (c == '-' || c == 'I' || is_digit(c)) return skip_number(j);
    return skip_word(j, "true") || skip_word(j, "false") || skip_word(j, "null") || skip_word(j, "NaN") ||
           fail(j, "expected a value");
}

/* Skips a key and its colon. */
static int skip_key(lenient_json_text *j) {
    if (lenient_json_peek(j) != '"') return fail(j, "expected a key in double quotes");
    if (!skip_string(j)) return 0;
    if (lenient_json_peek(j) != ':') return fail(j, "expected ':'");
    j->at++;
    return 1;
}

int lenient_json_skip(lenient_json_text *j, lenient_json_text *value) {
    char open[MAX_DEPTH]; /* the containers around j->at */
    int depth = 0, has_item, c;
    (void)lenient_json_peek(j);
    value->at = j->at;
    value->fault = NULL;
    do {
        c = lenient_json_peek(j);
        has_item = 0;
        if (c == '{' || c == '[') {
            if (depth == MAX_DEPTH) return fail(j, "expected fewer nested containers");
            if (!lenient_json_enter(j, c, &has_item)) return 0;
            open[depth] = (char)c;
            depth += has_item;
        } else if (!skip_scalar(j)) {
            return 0;
        }
        while (!has_item && depth > 0) {
            if (!lenient_json_next(j, open[depth - 1], &has_item)) return 0;
            if (!has_item) depth--;
        }
        if (depth > 0 && open[depth - 1] == '{' && !skip_key(j)) return 0;
    } while (depth > 0);
    value->end = j->at;
    return 1;
}

int lenient_json_is_integer(const lenient_json_text *value, uint64_t *number, int *has_fraction) {
    const unsigned char *s = value->at;
    *number = 0;
    *has_fraction = 0;
    if (s == value->end) return 0;
    for (; s < value->end && is_digit(*s); s++) {
        const uint64_t digit = (uint64_t)(*s - '0');
        if (*number > (UINT64_MAX - digit) / 10) return 0;
        *number = *number * 10 + digit;
    }
    if (s == value->at || s == value->end) return s == value->end;
    if (*s++ != '.') return 0;
    *has_fraction = 1;
    while (s < value->end && *s == '0') s++;
    return s == value->end;
}
