/* show.c: values of a tensor, as NumPy prints an array, or what they are like. */
#include "st.h"
#include <stdlib.h>
#include <string.h>

enum { MOST_DIMENSIONS = 64, WHOLE = 1000, EDGE = 3, LINE = 75, CHUNK = 1 << 14 };

typedef enum kind { FLOATS, COMPLEX, SIGNED, UNSIGNED, TRUTHS } kind;

typedef struct show {
    const char *path;
    const st_model *model;
    st_tensor tensor; /* with --stats of a whole one, one long row */
    kind kind;
    st_range ranges[MOST_DIMENSIONS];
    uint64_t counts[MOST_DIMENSIONS]; /* of the ranges */
    uint32_t out[MOST_DIMENSIONS];    /* dimensions that the result has */
    uint32_t rank;                    /* how many */
    int cut;                          /* long dimensions are, to their edges */
    number_format real, imaginary;
    size_t width; /* of an integer */
    /* a line: spaces that have not been put, as they are dropped where it is broken */
    size_t column, spaces;
} show;

static union { /* a row, or part of one */
    double floats[2 * CHUNK];
    float complex[2 * CHUNK];
    int64_t integers[CHUNK];
    uint64_t naturals[CHUNK];
} row;

/* ---- RANGES ----------------------------------------------------------------------------------------------- */

static int wrong_ranges(const char *what, const char *given) {
    begin_complaint("show");
    fputs(what, stderr);
    put_text(stderr, given, strlen(given));
    return usage_hint("show");
}

/* A number, from the end if it is below 0. */
static int read_index(const char **text, uint64_t extent, uint64_t *index) {
    const int from_end = **text == '-';
    *text += from_end;
    if (!read_digits(text, index)) return 0;
    if (from_end && (*index > extent || *index == 0)) return 0;
    if (from_end) *index = extent - *index;
    return 1;
}

/* I, or START:STOP:STEP, all of which may be left out */
static int read_range(const char **text, uint64_t extent, st_range *r, int *is_index) {
    r->start = 0, r->stop = extent, r->step = 1;
    *is_index = 0;
    if (**text != ':') {
        if (!read_index(text, extent, &r->start)) return 0;
        *is_index = **text != ':';
        if (*is_index) {
            r->stop = r->start + 1;
            return r->start < extent;
        }
    }
    ++*text;
    if (**text && **text != ',' && **text != ':' && !read_index(text, extent, &r->stop)) return 0;
    if (**text != ':') return 1;
    ++*text;
    return !**text || **text == ',' || (read_digits(text, &r->step) && r->step > 0);
}

/* Fills in ranges, counts, out and rank. */
static int read_ranges(show *s, const char *given) {
    const st_tensor *t = &s->tensor;
    const char *text = given;
    uint32_t i;
    if (t->rank > MOST_DIMENSIONS) {
        begin_complaint("show");
        fputs("the tensor has too many dimensions\n", stderr);
        return EXIT_FAILED;
    }
    for (i = 0; i < t->rank; i++) {
        int is_index = 0;
        st_range *r = &s->ranges[i];
        r->start = 0, r->stop = t->shape[i], r->step = 1;
        if (text && *text) {
            if (i && *text++ != ',')
                return wrong_ranges("ranges are like 3,0:10,::2 and inside of the shape, not ", given);
            if (!read_range(&text, t->shape[i], r, &is_index)) {
                return wrong_ranges("ranges are like 3,0:10,::2 and inside of the shape, not ", given);
            }
        }
        if (r->start > r->stop || r->stop > t->shape[i])
            return wrong_ranges("a range goes past the end or back: ", given);
        s->counts[i] = r->start < r->stop ? (r->stop - r->start - 1) / r->step + 1 : 0;
        if (!is_index) s->out[s->rank++] = i;
    }
    return text && *text ? wrong_ranges("there are fewer dimensions than ranges: ", given) : EXIT_FINE;
}

/* ---- reading ---------------------------------------------------------------------------------------------- */

static kind kind_of(st_dtype dtype) {
    switch (dtype) {
    case ST_DTYPE_C64: return COMPLEX;
    case ST_DTYPE_BOOL: return TRUTHS;
    case ST_DTYPE_I8:
    case ST_DTYPE_I16:
    case ST_DTYPE_I32:
    case ST_DTYPE_I64: return SIGNED;
    case ST_DTYPE_U8:
    case ST_DTYPE_U16:
    case ST_DTYPE_U32:
    case ST_DTYPE_U64: return UNSIGNED;
    default: return FLOATS;
    }
}

/* Elements [first, first + n) of the row at `at`, one index for each dimension of the result, to `row`. */
static st_status read_row(const show *s, const uint64_t *at, uint64_t first, size_t n, st_error *error) {
    static const st_dtype as[] = {ST_DTYPE_F64, ST_DTYPE_C64, ST_DTYPE_I64, ST_DTYPE_U64, ST_DTYPE_U64};
    st_range ranges[MOST_DIMENSIONS];
    st_view view;
    uint32_t i;
    memcpy(ranges, s->ranges, sizeof ranges);
    memset(&view, 0, sizeof view);
    for (i = 0; i < s->rank; i++) {
        st_range *r = &ranges[s->out[i]];
        const int is_row = i + 1 == s->rank;
        r->start += (is_row ? first : at[i]) * r->step; /* inside of the shape */
        r->stop = is_row ? r->start + (n - 1) * r->step + 1 : r->start + 1;
    }
    view.ranges = ranges;
    view.range_count = s->tensor.rank;
    return st_read_as(s->model, &s->tensor, &view, as[s->kind], &row, n * 8, error);
}

/* The next row of the result; 0: there is none. shown: how many indices each dimension goes through. *turned: the
 * dimension that went on. */
static int next_row(const show *s, const uint64_t *shown, uint64_t *at, uint32_t *turned) {
    uint32_t i;
    for (i = s->rank; i > 1; i--) {
        if (++at[i - 2] < shown[i - 2]) {
            *turned = i - 2;
            return 1;
        }
        at[i - 2] = 0;
    }
    return 0;
}

/* ---- printing --------------------------------------------------------------------------------------------- */

static size_t signed_text(int64_t number, char text[NUMBER_TEXT]) {
    uint64_t size = number < 0 ? (uint64_t) - (number + 1) + 1 : (uint64_t)number;
    size_t n = number_width(size), at = n;
    if (number < 0) text[0] = '-', n++;
    for (at = n; at > (number < 0); size /= 10) text[--at] = (char)('0' + size % 10);
    text[n] = 0;
    return n;
}

static void consider(show *s, size_t n) {
    char text[NUMBER_TEXT];
    size_t i, width;
    for (i = 0; i < n; i++) {
        switch (s->kind) {
        case FLOATS: number_consider(&s->real, row.floats[i]); break;
        case COMPLEX:
            number_consider(&s->real, (double)row.complex[2 * i]);
            number_consider(&s->imaginary, (double)row.complex[2 * i + 1]);
            break;
        case TRUTHS: s->width = s->rank ? 5 : 0; break;
        default:
            width = s->kind == SIGNED ? signed_text(row.integers[i], text) : number_width(row.naturals[i]);
            if (width > s->width) s->width = width;
        }
    }
}

static void imaginary_text(const show *s, double number, char text[NUMBER_TEXT]) {
    size_t n, end;
    number_text(&s->imaginary, number, text);
    end = n = strlen(text);
    while (text[n - 1] == ' ') n--;
    memmove(text + n + 1, text + n, end - n + 1);
    text[n] = 'j';
}

static void element_text(const show *s, size_t i, char text[2 * NUMBER_TEXT]) {
    char bare[NUMBER_TEXT];
    size_t n;
    switch (s->kind) {
    case FLOATS: number_text(&s->real, row.floats[i], text); return;
    case COMPLEX:
        number_text(&s->real, (double)row.complex[2 * i], text);
        imaginary_text(s, (double)row.complex[2 * i + 1], text + strlen(text));
        return;
    case TRUTHS: strcpy(bare, row.naturals[i] ? "True" : "False"); break;
    case SIGNED: signed_text(row.integers[i], bare); break;
    default:
        for (n = number_width(row.naturals[i]), bare[n] = 0; n > 0; row.naturals[i] /= 10) {
            bare[--n] = (char)('0' + row.naturals[i] % 10);
        }
    }
    n = strlen(bare) < s->width ? s->width - strlen(bare) : 0;
    memset(text, ' ', n);
    strcpy(text + n, bare);
}

static void put_word(show *s, const char *word) {
    const char *end = word + strlen(word);
    s->column += (size_t)(end - word);
    for (; *word == ' '; word++) s->spaces++;
    while (end > word && end[-1] == ' ') end--;
    if (end > word) {
        put_spaces(stdout, s->spaces);
        s->spaces = strlen(end);
        fwrite(word, 1, (size_t)(end - word), stdout);
    }
}

static void new_line(show *s, size_t indent) {
    end_line();
    s->spaces = s->column = indent;
}

/* A word of a row, after a blank if it is not the first. */
static void put_element(show *s, const char *word, int is_first) {
    const size_t widest = LINE - (s->rank - 1) - 1;
    if (!is_first) put_word(s, " ");
    if (s->column + strlen(word) > widest && s->column > s->rank) {
        s->spaces = 0;
        new_line(s, s->rank);
    }
    put_word(s, word);
}

static int is_cut(const show *s, uint32_t i) {
    return s->cut && s->counts[s->out[i]] > 2 * EDGE;
}

static uint64_t shown_count(const show *s, uint32_t i) {
    return is_cut(s, i) ? 2 * EDGE : s->counts[s->out[i]];
}

/* Which index of the dimension is shown as that one. */
static uint64_t shown_index(const show *s, uint32_t i, uint64_t k) {
    return is_cut(s, i) && k >= EDGE ? s->counts[s->out[i]] - 2 * EDGE + k : k;
}

/* Looks at a row for its width, or prints it. at: as shown. */
static st_status go_through_row(show *s, const uint64_t *at, int printing, st_error *error) {
    const uint32_t last = s->rank - 1;
    const uint64_t count = shown_count(s, last);
    uint64_t real[MOST_DIMENSIONS], first = 0;
    char text[2 * NUMBER_TEXT];
    uint32_t i;
    for (i = 0; i < last; i++) real[i] = shown_index(s, i, at[i]);
    while (first < count) { /* at most WHOLE elements of it are shown */
        const size_t n = is_cut(s, last) ? EDGE : (size_t)count;
        size_t k;
        if (read_row(s, real, shown_index(s, last, first), n, error) != ST_OK) return error->status;
        if (!printing) consider(s, n);
        for (k = 0; printing && k < n; k++) {
            if (k == 0 && first > 0) put_element(s, "...", 0);
            element_text(s, k, text);
            put_element(s, text, first == 0 && k == 0);
        }
        first += n;
    }
    return ST_OK;
}

static void put_brackets(char bracket, size_t count) {
    for (; count > 0; count--) putc(bracket, stdout);
}

/* What stands between two rows, where dimension `turned` went on to its k-th. */
static void part_rows(show *s, uint32_t turned, uint64_t k) {
    uint32_t left = s->rank - turned - 1, i; /* dimensions inside of it */
    put_brackets(']', left);
    for (i = 0; i < left; i++) new_line(s, 0);
    if (is_cut(s, turned) && k == EDGE) {
        put_spaces(stdout, turned + 1);
        fputs("...", stdout);
        for (i = 0; i < left; i++) new_line(s, 0);
    }
    put_spaces(stdout, turned + 1);
    put_brackets('[', left);
    s->column = s->rank;
}

static st_status go_through(show *s, int printing, st_error *error) {
    uint64_t at[MOST_DIMENSIONS], shown[MOST_DIMENSIONS];
    uint32_t i, turned = 0;
    memset(at, 0, sizeof at);
    for (i = 0; i < s->rank; i++) shown[i] = shown_count(s, i);
    if (printing) put_brackets('[', s->rank);
    s->column = s->rank;
    do {
        if (go_through_row(s, at, printing, error) != ST_OK) return error->status;
        if (printing) put_spaces(stdout, s->spaces); /* those behind the last word of a row stay */
        s->spaces = 0;
        if (!next_row(s, shown, at, &turned)) break;
        if (printing) part_rows(s, turned, at[turned]);
    } while (!output_failed());
    if (printing) put_brackets(']', s->rank);
    return ST_OK;
}

static st_status put_scalar(show *s, st_error *error) {
    char text[2 * NUMBER_TEXT];
    if (read_row(s, NULL, 0, 1, error) != ST_OK) return error->status;
    consider(s, 1);
    if (s->kind == FLOATS) {
        number_alone(s->tensor.dtype, row.floats[0], text);
    } else {
        element_text(s, 0, text);
    }
    fputs(text, stdout);
    return ST_OK;
}

static st_status put_values(show *s, uint64_t elements, st_error *error) {
    st_status status = ST_OK;
    s->cut = elements > WHOLE;
    number_begin(&s->real, s->tensor.dtype, 0);
    number_begin(&s->imaginary, ST_DTYPE_F32, 1);
    if (elements == 0) {
        fputs("[]", stdout);
    } else if (s->rank == 0) {
        status = put_scalar(s, error);
    } else {
        status = go_through(s, 0, error);
        if (status == ST_OK) status = go_through(s, 1, error);
    }
    if (status == ST_OK) end_line();
    return status;
}

/* ---- --stats ---------------------------------------------------------------------------------------------- */

/* All that was asked for, a part at a time, as F64. */
static st_status each_part(const show *s, void (*take)(stats *sum, const double *numbers, size_t n), stats *sum,
                           progress *bar, uint64_t *done, uint64_t total, st_error *error) {
    uint64_t at[MOST_DIMENSIONS], counts[MOST_DIMENSIONS];
    const uint64_t length = s->rank ? s->counts[s->out[s->rank - 1]] : 1;
    uint32_t i, turned;
    memset(at, 0, sizeof at);
    for (i = 0; i < s->rank; i++) counts[i] = s->counts[s->out[i]];
    do {
        uint64_t first = 0;
        while (first < length) {
            const size_t n = length - first < CHUNK ? (size_t)(length - first) : CHUNK;
            if (read_row(s, at, first, n, error) != ST_OK) return error->status;
            take(sum, row.floats, n);
            first += n, *done += n;
            if (progress_step(bar, *done, total)) return error->status = ST_ERR_CANCELLED;
        }
    } while (next_row(s, counts, at, &turned));
    return ST_OK;
}

static int put_stats(show *s, uint64_t elements) {
    uint64_t done = 0;
    progress bar;
    stats sum;
    st_error error;
    error.status = ST_OK;
    if (s->kind == COMPLEX) {
        put_text(stderr, s->path, strlen(s->path));
        fputs(": --stats is not for complex numbers\n", stderr);
        return EXIT_FAILED;
    }
    s->kind = FLOATS;
    stats_begin(&sum);
    progress_begin(&bar);
    system_watch_interrupts();
    if (elements) each_part(s, stats_take, &sum, &bar, &done, 2 * elements, &error);
    if (elements && error.status == ST_OK) each_part(s, stats_sort, &sum, &bar, &done, 2 * elements, &error);
    progress_end(&bar);
    system_stop_watching();
    if (error.status != ST_OK) return report(s->path, &error);
    stats_put(&sum);
    return EXIT_FINE;
}

/* A whole tensor as one long row, which is read in large parts. */
static void flatten(show *s) {
    s->tensor.rank = 1;
    s->tensor.shape = &s->tensor.elements;
    s->ranges[0].start = 0, s->ranges[0].stop = s->tensor.elements, s->ranges[0].step = 1;
    s->counts[0] = s->tensor.elements;
    s->out[0] = 0;
    s->rank = 1;
}

/* ---- the command ------------------------------------------------------------------------------------------ */

static int show_tensor(show *s, const char *name, const char *ranges, int stats_only) {
    const st_tensor *t = st_find(s->model, name);
    uint64_t elements;
    st_view view;
    st_error error;
    int code;
    if (!t) return no_such_tensor(s->model, s->path, name);
    s->tensor = *t;
    s->kind = kind_of(t->dtype);
    if (!has_numbers(t)) {
        put_text(stderr, s->path, strlen(s->path));
        fputs(": ", stderr);
        put_text(stderr, t->name, t->name_bytes);
        fputs(" is of a dtype whose values are not known here: ", stderr);
        put_text(stderr, t->dtype_name, strlen(t->dtype_name));
        putc('\n', stderr);
        return EXIT_FAILED;
    }
    code = read_ranges(s, ranges);
    if (code != EXIT_FINE) return code;
    memset(&view, 0, sizeof view);
    view.ranges = s->ranges;
    view.range_count = t->rank;
    if (st_view_shape(t, &view, NULL, &elements, &error) != ST_OK) return report(s->path, &error);
    if (stats_only && !ranges) flatten(s);
    if (stats_only) return put_stats(s, elements);
    return put_values(s, elements, &error) == ST_OK ? EXIT_FINE : report(s->path, &error);
}

int command_show(int argc, char **argv) {
    static show s;
    const st_open_options how = opening_to_copy();
    st_model *model;
    st_error error;
    int code, words, stats_only = 0;
    const option options[] = {{"--stats", &stats_only, NULL}};
    words = take_options("show", options, 1, argc, argv);
    if (words < 0) return EXIT_USAGE;
    if (words < 2 || words > 3) {
        begin_complaint("show");
        fputs(words == 0   ? "MODEL and TENSOR are missing"
              : words == 1 ? "TENSOR is missing (st ls MODEL lists their names)"
                           : "one TENSOR and its RANGES at a time",
              stderr);
        return usage_hint("show");
    }
    s.path = argv[0];
    if (open_model(&model, s.path, &how, &error) != ST_OK) return report(s.path, &error);
    s.model = model;
    code = show_tensor(&s, argv[1], words == 3 ? argv[2] : NULL, stats_only);
    st_close(model);
    return code;
}
