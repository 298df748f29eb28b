/* json.c: a strict reader for small JSON texts. It allocates nothing and stops at the first fault. */
#include "st.h"
#include <string.h>

enum { MAX_DEPTH = 32 };

static void skip_blanks(json_text *j) {
    while (j->at < j->end && (*j->at == ' ' || *j->at == '\t' || *j->at == '\n' || *j->at == '\r')) j->at++;
}

int json_has(json_text *j, char c) {
    skip_blanks(j);
    if (j->at == j->end || *j->at != c) return 0;
    j->at++;
    return 1;
}

int json_has_ended(json_text *j) {
    skip_blanks(j);
    return j->at == j->end;
}

/* ---- strings ------------------------------------------------------------------------------------------------ */

static int read_hex(json_text *j, unsigned *code) {
    int i;
    *code = 0;
    for (i = 0; i < 4; i++) {
        const char *digits = "0123456789abcdef0123456789ABCDEF", *found;
        if (j->at == j->end || *j->at == 0 || (found = strchr(digits, *j->at)) == NULL) return 0;
        *code = *code * 16 + (unsigned)((found - digits) % 16);
        j->at++;
    }
    return 1;
}

/* Reads what follows \u. A character beyond U+FFFF takes two escapes. */
static int read_code(json_text *j, unsigned *code) {
    unsigned low;
    if (!read_hex(j, code)) return 0;
    if (*code < 0xD800 || *code > 0xDFFF) return 1;
    if (*code > 0xDBFF || j->end - j->at < 6 || *j->at++ != '\\' || *j->at++ != 'u') return 0;
    if (!read_hex(j, &low) || low < 0xDC00 || low > 0xDFFF) return 0;
    *code = 0x10000 + ((*code - 0xD800) << 10) + (low - 0xDC00);
    return 1;
}

static char *put_code(char *to, unsigned code) {
    if (code < 0x80) {
        *to++ = (char)code;
        return to;
    }
    if (code < 0x800) {
        *to++ = (char)(0xC0 | code >> 6);
    } else {
        if (code < 0x10000) {
            *to++ = (char)(0xE0 | code >> 12);
        } else {
            *to++ = (char)(0xF0 | code >> 18);
            *to++ = (char)(0x80 | (code >> 12 & 0x3F));
        }
        *to++ = (char)(0x80 | (code >> 6 & 0x3F));
    }
    *to++ = (char)(0x80 | (code & 0x3F));
    return to;
}

int json_string(json_text *j, char *to, size_t *bytes) {
    char *const begin = to;
    if (!json_has(j, '"')) return 0;
    while (j->at < j->end && *j->at != '"') {
        static const char letters[] = "\"\\/bfnrt", meanings[] = "\"\\/\b\f\n\r\t";
        const char *letter;
        unsigned code;
        if ((unsigned char)*j->at < 0x20) return 0;
        if (*j->at != '\\') {
            *to++ = *j->at++;
            continue;
        }
        if (++j->at == j->end || *j->at == 0) return 0;
        if (*j->at == 'u') {
            j->at++;
            if (!read_code(j, &code)) return 0;
            to = put_code(to, code);
        } else if ((letter = strchr(letters, *j->at)) != NULL) {
            *to++ = meanings[letter - letters];
            j->at++;
        } else {
            return 0;
        }
    }
    if (j->at == j->end) return 0;
    j->at++;
    *bytes = (size_t)(to - begin);
    return 1;
}

/* ---- numbers, and what is skipped --------------------------------------------------------------------------- */

int json_unsigned(json_text *j, uint64_t *number) {
    const char *begin;
    skip_blanks(j);
    begin = j->at;
    *number = 0;
    while (j->at < j->end && *j->at >= '0' && *j->at <= '9') {
        const unsigned digit = (unsigned)(*j->at++ - '0');
        if (*number > (UINT64_MAX - digit) / 10) return 0;
        *number = *number * 10 + digit;
    }
    if (j->at == begin || (*begin == '0' && j->at - begin > 1)) return 0;
    return j->at == j->end || !strchr(".eE", *j->at);
}

static int skip_string(json_text *j) {
    if (!json_has(j, '"')) return 0;
    while (j->at < j->end && *j->at != '"') {
        if (*j->at == '\\') j->at++;
        if (j->at < j->end) j->at++;
    }
    return json_has(j, '"');
}

static int skip_word(json_text *j) { /* a number, true, false, null */
    const char *begin = j->at;
    while (j->at < j->end && *j->at && strchr("+-.0123456789abcdefghijklmnopqrstuvwxyzE", *j->at)) j->at++;
    return j->at > begin;
}

static int skip_nested(json_text *j, int depth) {
    int is_object;
    char close;
    skip_blanks(j);
    if (j->at < j->end && *j->at == '"') return skip_string(j);
    is_object = json_has(j, '{');
    if (!is_object && !json_has(j, '[')) return skip_word(j);
    if (depth == MAX_DEPTH) return 0;
    close = is_object ? '}' : ']';
    if (json_has(j, close)) return 1;
    do {
        if (is_object && (!skip_string(j) || !json_has(j, ':'))) return 0;
        if (!skip_nested(j, depth + 1)) return 0;
    } while (json_has(j, ','));
    return json_has(j, close);
}

int json_skip(json_text *j) {
    return skip_nested(j, 0);
}
