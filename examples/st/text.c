/* text.c: names, metadata and paths come from strangers. Everything printed goes through here, so that none of them
 * can move the cursor, rename the window or turn the line around. */
#include "st.h"
#include <errno.h>
#include <string.h>

/* Code point at s and its length, 0 where s is not UTF-8. */
static size_t decode(const char *text, size_t n, uint32_t *code) {
    static const uint32_t least[5] = {0, 0, 0x80, 0x800, 0x10000};
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
    if (c < least[length] || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff)) return 0;
    *code = c;
    return length;
}

/* Controls (C0, DEL, C1), bidirectional marks, line and paragraph separators; all lie below U+10000. */
static int disturbs_terminal(uint32_t c) {
    return c < 0x20 || (c >= 0x7f && c <= 0x9f) || c == 0x61c || c == 0x200e || c == 0x200f ||
           (c >= 0x2028 && c <= 0x202e) || (c >= 0x2066 && c <= 0x2069);
}

/* Bytes from the start that may go out as they are. */
static size_t harmless_run(const char *text, size_t bytes, int json) {
    size_t i = 0, length;
    uint32_t c;
    while (i < bytes) {
        length = decode(text + i, bytes - i, &c);
        if (length == 0 || disturbs_terminal(c) || (json && (c == '"' || c == '\\'))) break;
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
        size_t n = harmless_run(text, bytes, 0);
        fwrite(text, 1, n, to);
        text += n, bytes -= n;
        if (bytes == 0) return;
        n = decode(text, bytes, &c);
        if (n == 0) {
            fprintf(to, "\\x%02x", (unsigned)(unsigned char)*text);
            n = 1;
        } else {
            put_escape(to, c);
        }
        text += n, bytes -= n;
    }
}

void put_shortened(FILE *to, const char *text, size_t bytes, size_t most) {
    size_t n = bytes;
    if (n > most) {
        n = most;
        while (n > 0 && (text[n] & 0xc0) == 0x80) n--;
    }
    put_text(to, text, n);
    if (n < bytes) {
        fputs("... (", to);
        put_number(to, bytes);
        fputs(" bytes)", to);
    }
}

size_t text_width(const char *text, size_t bytes) {
    size_t width = 0, n;
    uint32_t c = 0;
    while (bytes) {
        n = decode(text, bytes, &c);
        if (n == 0) {
            width += 4; /* \xff */
            n = 1;
        } else if (disturbs_terminal(c)) {
            width += short_escape(c) ? 2 : 6; /* \n, \u202e */
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
        size_t n = harmless_run(text, bytes, 1);
        fwrite(text, 1, n, to);
        text += n, bytes -= n;
        if (bytes == 0) break;
        n = decode(text, bytes, &c);
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

/* In JSON text such characters stand only inside strings, where an escape means the same, or are white space. */
void put_raw_json(FILE *to, const char *json, size_t bytes) {
    uint32_t c;
    for (;;) {
        size_t n = harmless_run(json, bytes, 0);
        fwrite(json, 1, n, to);
        json += n, bytes -= n;
        if (bytes == 0) return;
        n = decode(json, bytes, &c);
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

void put_pairs_json(FILE *to, const st_pair *pairs, size_t count, int values_are_json) {
    size_t i;
    if (!pairs) {
        fputs("null", to);
        return;
    }
    putc('{', to);
    for (i = 0; i < count; i++) {
        if (i) putc(',', to);
        put_json(to, pairs[i].key, pairs[i].key_bytes);
        putc(':', to);
        (values_are_json ? put_raw_json : put_json)(to, pairs[i].value, pairs[i].value_bytes);
    }
    putc('}', to);
}

int read_digits(const char **text, uint64_t *number) {
    const char *s = *text;
    uint64_t n = 0;
    for (; *s >= '0' && *s <= '9'; s++) {
        uint64_t digit = (uint64_t)(*s - '0');
        if (n > (UINT64_MAX - digit) / 10) return 0;
        n = n * 10 + digit;
    }
    if (s == *text) return 0;
    *text = s;
    *number = n;
    return 1;
}

int read_number(const char *text, uint64_t *number) {
    return read_digits(&text, number) && *text == 0;
}

/* Not printf: some C libraries of Windows know no %llu. */
void put_number(FILE *to, uint64_t number) {
    char digits[20];
    size_t at = sizeof digits;
    do {
        digits[--at] = (char)('0' + number % 10);
        number /= 10;
    } while (number);
    fwrite(digits + at, 1, sizeof digits - at, to);
}

size_t number_width(uint64_t number) {
    size_t width = 1;
    while (number /= 10) width++;
    return width;
}

void put_spaces(FILE *to, size_t count) {
    static const char spaces[] = "                                ";
    while (count) {
        size_t n = count < sizeof spaces - 1 ? count : sizeof spaces - 1;
        fwrite(spaces, 1, n, to);
        count -= n;
    }
}

const char *readable_size(uint64_t bytes, char text[READABLE_SIZE]) {
    static const char *const units[] = {"KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
    double size = (double)bytes / 1024;
    size_t i = 0;
    while (size >= 1024 && i < 5) size /= 1024, i++;
    if (bytes < 1024) {
        snprintf(text, READABLE_SIZE, "%u bytes", (unsigned)bytes);
    } else {
        snprintf(text, READABLE_SIZE, "%.1f %s", size, units[i]);
    }
    return text;
}

void end_line(void) {
    putc('\n', stdout);
    output_failed(); /* while errno still tells of it */
    if (system_is_terminal()) fflush(stdout);
}

int output_failed(void) {
    static int why;
    if (!why && ferror(stdout)) why = errno ? errno : EIO;
    return why;
}

void put_shape(FILE *to, const st_tensor *t) {
    uint32_t i;
    putc('[', to);
    for (i = 0; i < t->rank; i++) {
        if (i) putc(',', to);
        put_number(to, t->shape[i]);
    }
    putc(']', to);
}

void put_double(FILE *to, double number, int digits) {
    if (is_nan(number)) {
        fputs("nan", to);
    } else if (!is_finite(number)) { /* what printf writes for it differs between systems */
        fputs(number > 0 ? "inf" : "-inf", to);
    } else {
        fprintf(to, "%.*g", digits, number);
    }
}

/* ---- near names ------------------------------------------------------------------------------------------- */

enum { NEAR_LONGEST = 200, NEAR_NONE = NEAR_LONGEST + 1 }; /* longer names are not compared: quadratic work */

/* Edits (insert, delete, replace a byte) that lead from a to b, or NEAR_NONE where there are more than `most`. */
static size_t edit_distance(const char *a, size_t a_bytes, const char *b, size_t b_bytes, size_t most) {
    size_t row[NEAR_LONGEST + 1], i, k;
    if (a_bytes > NEAR_LONGEST || b_bytes > NEAR_LONGEST) return NEAR_NONE;
    if ((a_bytes > b_bytes ? a_bytes - b_bytes : b_bytes - a_bytes) > most) return NEAR_NONE;
    for (k = 0; k <= b_bytes; k++) row[k] = k;
    for (i = 1; i <= a_bytes; i++) {
        size_t diagonal = row[0], least = i;
        row[0] = i;
        for (k = 1; k <= b_bytes; k++) {
            size_t best = diagonal + (a[i - 1] != b[k - 1]);
            diagonal = row[k];
            if (row[k] + 1 < best) best = row[k] + 1;
            if (row[k - 1] + 1 < best) best = row[k - 1] + 1;
            row[k] = best;
            if (best < least) least = best;
        }
        if (least > most) return NEAR_NONE;
    }
    return row[b_bytes] <= most ? row[b_bytes] : NEAR_NONE;
}

/* Whether the longer of the two ends with the shorter: "conv.weight" for "model.conv.weight". */
static int shares_ending(const char *a, size_t a_bytes, const char *b, size_t b_bytes) {
    size_t n = a_bytes < b_bytes ? a_bytes : b_bytes;
    return n >= 4 && memcmp(a + a_bytes - n, b + b_bytes - n, n) == 0;
}

void near_begin(near_names *near_to, const char *wanted) {
    memset(near_to, 0, sizeof *near_to);
    near_to->wanted = wanted;
    near_to->wanted_bytes = strlen(wanted);
}

void near_consider(near_names *near_to, const char *name, size_t bytes) {
    size_t most = 1 + near_to->wanted_bytes / 4, at;
    size_t distance = edit_distance(near_to->wanted, near_to->wanted_bytes, name, bytes, most);
    if (shares_ending(near_to->wanted, near_to->wanted_bytes, name, bytes) && distance > 2) distance = 2;
    if (distance == NEAR_NONE) return;
    for (at = near_to->count; at > 0 && near_to->distance[at - 1] > distance; at--) {
        if (at == NEAR_NAMES) continue; /* the farthest drops out */
        near_to->distance[at] = near_to->distance[at - 1];
        near_to->bytes[at] = near_to->bytes[at - 1];
        near_to->names[at] = near_to->names[at - 1];
    }
    if (at == NEAR_NAMES) return;
    near_to->distance[at] = distance;
    near_to->bytes[at] = bytes;
    near_to->names[at] = name;
    if (near_to->count < NEAR_NAMES) near_to->count++;
}

void near_put(FILE *to, const near_names *near_to) {
    size_t i;
    for (i = 0; i < near_to->count; i++) {
        fputs(i == 0 ? "; did you mean " : i + 1 < near_to->count ? ", " : " or ", to);
        put_text(to, near_to->names[i], near_to->bytes[i]);
    }
    if (near_to->count) putc('?', to);
}
