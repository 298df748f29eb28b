/* bytes.c: parses sizes such as 1.5GB. */
#include "bytes.h"
#include <stddef.h>

static const char *skip_blanks(const char *text) {
    while (*text == ' ' || *text == '\t') text++;
    return text;
}

static int is_digit(char c) {
    return c >= '0' && c <= '9';
}

static int lower(char c) {
    return c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c;
}

/* Returns 1 if text is the unit, followed by nothing but blanks. */
static int is_unit(const char *text, const char *unit) {
    for (; *unit; text++, unit++) {
        if (lower(*text) != *unit) return 0;
    }
    return *skip_blanks(text) == 0;
}

static uint64_t parse_unit(const char *text) { /* 0 if the unit is unknown */
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
        if (is_unit(text, units[i].name)) return units[i].bytes;
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
    unit = parse_unit(skip_blanks(text));
    if (unit == 0 || whole > UINT64_MAX / unit) return 0;
    /* From the last digit to the first. Dropping fractions of a byte at each step gives the same as dropping them once.
     * part stays below unit, so nothing overflows. */
    while (fraction && end > fraction) part = ((uint64_t)(*--end - '0') * unit + part) / 10;
    whole *= unit;
    if (part > UINT64_MAX - whole) return 0;
    *bytes = whole + part;
    return 1;
}
