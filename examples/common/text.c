/* text.c: escapes text that is printed, as names, metadata and paths may come from strangers. */
#include "text.h"
#include <string.h>

size_t utf8_decode(const char *text, size_t n, uint32_t *code) {
    static const uint32_t smallest[5] = {0, 0, 0x80, 0x800, 0x10000};
    const unsigned char *s = (const unsigned char *)text;
    size_t i, length;
    uint32_t c = s[0];
    if (c < 0x80) {
        *code = c;
        return 1;
    }
    length = c >= 0xf0 ? 4 : c >= 0xe0 ? 3 : 2;
    if (c < 0xc2 || c > 0xf4 || n < length) return 0;
    c &= 0xffu >> (length + 1);
    for (i = 1; i < length; i++) {
        if ((s[i] & 0xc0) != 0x80) return 0;
        c = c << 6 | (s[i] & 0x3fu);
    }
    if (c < smallest[length] || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff)) return 0;
    *code = c;
    return length;
}

int is_utf8(const char *text, size_t bytes) {
    uint32_t c;
    size_t n;
    for (; bytes; text += n, bytes -= n) {
        n = utf8_decode(text, bytes, &c);
        if (n == 0) return 0;
    }
    return 1;
}

/* Control characters (C0, DEL, C1), bidirectional marks, line and paragraph separators. All are below U+10000. */
static int controls_terminal(uint32_t c) {
    return c < 0x20 || (c >= 0x7f && c <= 0x9f) || c == 0x61c || c == 0x200e || c == 0x200f ||
           (c >= 0x2028 && c <= 0x202e) || (c >= 0x2066 && c <= 0x2069);
}

/* Returns how many bytes from the start need no escape. */
static size_t plain_prefix(const char *text, size_t bytes, int json) {
    size_t i = 0, length;
    uint32_t c;
    while (i < bytes) {
        length = utf8_decode(text + i, bytes - i, &c);
        if (length == 0 || controls_terminal(c) || (json && (c == '"' || c == '\\'))) break;
        i += length;
    }
    return i;
}

static const char *short_escape(uint32_t c) {
    return c == '\n' ? "\\n" : c == '\r' ? "\\r" : c == '\t' ? "\\t" : NULL;
}

static void put_escape(FILE *to, uint32_t c) {
    const char *escape = short_escape(c);
    if (escape) {
        fputs(escape, to);
    } else {
        fprintf(to, "\\u%04x", (unsigned)c);
    }
}

void put_text(FILE *to, const char *text, size_t bytes) {
    uint32_t c;
    for (;;) {
        size_t n = plain_prefix(text, bytes, 0);
        fwrite(text, 1, n, to);
        text += n, bytes -= n;
        if (bytes == 0) return;
        n = utf8_decode(text, bytes, &c);
        if (n == 0) {
            fprintf(to, "\\x%02x", (unsigned)(unsigned char)*text);
            n = 1;
        } else {
            put_escape(to, c);
        }
        text += n, bytes -= n;
    }
}

void put_string(FILE *to, const char *text) {
    put_text(to, text, strlen(text));
}

int put_complaint(const char *program, const char *subject, const char *message) {
    fprintf(stderr, "%s: ", program);
    put_string(stderr, subject);
    if (*subject) fputs(": ", stderr);
    put_string(stderr, message);
    putc('\n', stderr);
    return 1;
}

size_t text_width(const char *text, size_t bytes) {
    size_t width = 0, n;
    uint32_t c = 0;
    while (bytes) {
        n = utf8_decode(text, bytes, &c);
        if (n == 0) {
            width += 4; /* \xff */
            n = 1;
        } else if (controls_terminal(c)) {
            width += short_escape(c) ? 2u : 6u; /* \n, \u202e */
        } else {
            width++;
        }
        text += n, bytes -= n;
    }
    return width;
}

void put_json(FILE *to, const char *text, size_t bytes) {
    uint32_t c;
    putc('"', to);
    for (;;) {
        size_t n = plain_prefix(text, bytes, 1);
        fwrite(text, 1, n, to);
        text += n, bytes -= n;
        if (bytes == 0) break;
        n = utf8_decode(text, bytes, &c);
        if (n == 0) {
            fputs("\xef\xbf\xbd", to);
            n = 1;
        } else if (c == '"' || c == '\\') {
            putc('\\', to);
            putc((int)c, to);
        } else {
            put_escape(to, c);
        }
        text += n, bytes -= n;
    }
    putc('"', to);
}

/* In valid JSON these characters are inside strings, where an escape means the same, or they are white space. */
void put_raw_json(FILE *to, const char *json, size_t bytes) {
    uint32_t c;
    for (;;) {
        size_t n = plain_prefix(json, bytes, 0);
        fwrite(json, 1, n, to);
        json += n, bytes -= n;
        if (bytes == 0) return;
        n = utf8_decode(json, bytes, &c);
        if (n == 0) {
            fputs("\xef\xbf\xbd", to);
            n = 1;
        } else if (c < 0x20) {
            putc(' ', to);
        } else {
            put_escape(to, c);
        }
        json += n, bytes -= n;
    }
}

void put_dimensions(FILE *to, uint32_t rank, const uint64_t *shape) {
    uint32_t i;
    putc('[', to);
    for (i = 0; i < rank; i++) fprintf(to, "%s%llu", i ? "," : "", (unsigned long long)shape[i]);
    putc(']', to);
}
