/* bytes.c: sizes as people write them. */
#include "bytes.h"
#include <stddef.h>

static const char *skip_blanks(const char *at) {
    while (*at == ' ' || *at == '\t') at++;
    return at;
}

static int is_digit(char c) {
    return c >= '0' && c <= '9';
}

static int lower(char c) {
    return c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c;
}

/* whether the unit stands there and nothing but blanks behind it */
static int is_unit(const char *at, const char *unit) {
    for (; *unit; at++, unit++) {
        if (lower(*at) != *unit) return 0;
    }
    return *skip_blanks(at) == 0;
}

static uint64_t unit_at(const char *at) { /* 0: there is no such unit */
    static const struct {
        const char *name;
        uint64_t bytes;
    } units[] = {
        {"", 1},
        {"b", 1},
        {"kb", 1000},
        {"mb", 1000000},
        {"gb", 1000000000},
        {"tb", 1000000000000},
        {"kib", (uint64_t)1 << 10},
        {"mib", (uint64_t)1 << 20},
        {"gib", (uint64_t)1 << 30},
        {"tib", (uint64_t)1 << 40},
    };
    size_t i;
    for (i = 0; i < sizeof units / sizeof *units; i++) {
        if (is_unit(at, units[i].name)) return units[i].bytes;
    }
    return 0;
}

int parse_bytes(const char *text, uint64_t *bytes) {
    const char *fraction = NULL, *end;
    uint64_t whole = 0, unit, part = 0;
    text = skip_blanks(text);
    if (!is_digit(*text)) return 0;
    for (; is_digit(*text); text++) {
        const uint64_t digit = (uint64_t)(*text - '0');
        if (whole > (UINT64_MAX - digit) / 10) return 0;
        whole = whole * 10 + digit;
    }
    if (*text == '.') {
        fraction = ++text;
        if (!is_digit(*text)) return 0;
        while (is_digit(*text)) text++;
    }
    end = text;
    unit = unit_at(skip_blanks(text));
    if (unit == 0 || whole > UINT64_MAX / unit) return 0;
    /* from the last digit to the first, dropping what is below a byte each time: the same as dropping it once */
    while (fraction && end > fraction)
        part = ((uint64_t)(*--end - '0') * unit + part) / 10; /* below unit: no overflow */
    whole *= unit;
    if (part > UINT64_MAX - whole) return 0;
    *bytes = whole + part;
    return 1;
}
