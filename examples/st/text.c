/* text.c: texts, numbers and near misses of names for the tool's messages and tables. */
#include "st.h"
#include <errno.h>
#include <string.h>

int compare_text(const char *a, size_t a_bytes, const char *b, size_t b_bytes) {
    const int order = memcmp(a, b, a_bytes < b_bytes ? a_bytes : b_bytes);
    return order ? order : a_bytes < b_bytes ? -1 : a_bytes > b_bytes;
}

void put_shortened(FILE *to, const char *text, size_t bytes, size_t max_bytes) {
    size_t n = bytes;
    if (n > max_bytes) {
        n = max_bytes;
        while (n > 0 && (text[n] & 0xc0) == 0x80) n--;
    }
    put_text(to, text, n);
    if (n < bytes) {
        fputs("... (", to);
        put_number(to, bytes);
        fputs(" bytes)", to);
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

int parse_digits(const char **text, uint64_t *number) {
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

int ends_with(const char *text, const char *end) {
    const size_t bytes = strlen(text), end_bytes = strlen(end);
    return bytes >= end_bytes && strcmp(text + bytes - end_bytes, end) == 0;
}

int parse_number(const char *text, uint64_t *number) {
    return parse_digits(&text, number) && *text == 0;
}

/* Not printf: some C libraries on Windows do not support %llu. */
const char *number_text(uint64_t number, char text[NUMBER_BYTES]) {
    char *first = text + NUMBER_BYTES - 1;
    *first = 0;
    do *--first = (char)('0' + number % 10);
    while (number /= 10);
    return first;
}

void put_number(FILE *to, uint64_t number) {
    char text[NUMBER_BYTES];
    fputs(number_text(number, text), to);
}

void put_count(FILE *to, uint64_t number, const char *singular, const char *plural) {
    put_number(to, number);
    fputs(number == 1 ? singular : plural, to);
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
    output_failed(); /* stores errno while it is still that of the write */
    if (system_is_terminal()) fflush(stdout);
}

int output_failed(void) {
    static int code;
    if (!code && ferror(stdout)) code = errno ? errno : EIO;
    return code;
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
    } else if (!is_finite(number)) { /* printf's text differs between systems */
        fputs(number > 0 ? "inf" : "-inf", to);
    } else {
        fprintf(to, "%.*g", digits, number);
    }
}

/* ---- nearest names ------------------------------------------------------------------------------------------ */

enum { COMPARED_BYTES = 200, TOO_FAR = COMPARED_BYTES + 1 }; /* longer names are skipped: the cost is quadratic */

/* Returns the number of edits (insert, delete or replace a byte) from a to b, or TOO_FAR if it exceeds the limit. */
static size_t edit_distance(const char *a, size_t a_bytes, const char *b, size_t b_bytes, size_t limit) {
    size_t row[COMPARED_BYTES + 1], i, k;
    if (a_bytes > COMPARED_BYTES || b_bytes > COMPARED_BYTES) return TOO_FAR;
    if ((a_bytes > b_bytes ? a_bytes - b_bytes : b_bytes - a_bytes) > limit) return TOO_FAR;
    for (k = 0; k <= b_bytes; k++) row[k] = k;
    for (i = 1; i <= a_bytes; i++) {
        size_t diagonal = row[0], smallest_in_row = i;
        row[0] = i;
        for (k = 1; k <= b_bytes; k++) {
            size_t best = diagonal + (a[i - 1] != b[k - 1]);
            diagonal = row[k];
            if (row[k] + 1 < best) best = row[k] + 1;
            if (row[k - 1] + 1 < best) best = row[k - 1] + 1;
            row[k] = best;
            if (best < smallest_in_row) smallest_in_row = best;
        }
        if (smallest_in_row > limit) return TOO_FAR;
    }
    return row[b_bytes] <= limit ? row[b_bytes] : (size_t)TOO_FAR;
}

/* Returns 1 if the longer name ends with the shorter one, as model.conv.weight ends with conv.weight. */
static int shares_ending(const char *a, size_t a_bytes, const char *b, size_t b_bytes) {
    size_t n = a_bytes < b_bytes ? a_bytes : b_bytes;
    return n >= 4 && memcmp(a + a_bytes - n, b + b_bytes - n, n) == 0;
}

void nearest_begin(nearest_names *nearest, const char *wanted) {
    memset(nearest, 0, sizeof *nearest);
    nearest->wanted = wanted;
    nearest->wanted_bytes = strlen(wanted);
}

void nearest_consider(nearest_names *nearest, const char *name, size_t bytes) {
    size_t limit = 1 + nearest->wanted_bytes / 4, rank;
    size_t distance = edit_distance(nearest->wanted, nearest->wanted_bytes, name, bytes, limit);
    if (shares_ending(nearest->wanted, nearest->wanted_bytes, name, bytes) && distance > 2) distance = 2;
    if (distance == TOO_FAR) return;
    for (rank = nearest->count; rank > 0 && nearest->distance[rank - 1] > distance; rank--) {
        if (rank == NEAREST_NAMES) continue; /* the farthest name is dropped */
        nearest->distance[rank] = nearest->distance[rank - 1];
        nearest->bytes[rank] = nearest->bytes[rank - 1];
        nearest->names[rank] = nearest->names[rank - 1];
    }
    if (rank == NEAREST_NAMES) return;
    nearest->distance[rank] = distance;
    nearest->bytes[rank] = bytes;
    nearest->names[rank] = name;
    if (nearest->count < NEAREST_NAMES) nearest->count++;
}

void nearest_tensors(nearest_names *nearest, const st_model *model) {
    size_t i;
    for (i = 0; i < model->count; i++) {
        const st_tensor *t = &model->tensors[i];
        if (strcmp(t->name, nearest->wanted) != 0) nearest_consider(nearest, t->name, t->name_bytes);
    }
}

void put_nearest(FILE *to, const nearest_names *nearest) {
    size_t i;
    for (i = 0; i < nearest->count; i++) {
        fputs(i == 0 ? "; did you mean " : i + 1 < nearest->count ? ", " : " or ", to);
        put_text(to, nearest->names[i], nearest->bytes[i]);
    }
    if (nearest->count) putc('?', to);
}
