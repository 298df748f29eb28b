/* show.c: prints the values of a tensor as NumPy prints an array, or statistics of them. */
#include "st.h"
#include <string.h>

enum { MAX_DIMENSIONS = 64, PRINTED_IN_FULL = 1000, EDGE = 3, LINE = 75, CHUNK = 1 << 14 };

typedef enum number_kind { FLOATS, COMPLEX, SIGNED, UNSIGNED, BOOLS } number_kind;

typedef struct show {
    const char *path;
    const st_model *model;
    st_tensor tensor; /* flattened to one dimension for --stats of a whole tensor */
    number_kind kind;
    st_range ranges[MAX_DIMENSIONS];
    uint64_t counts[MAX_DIMENSIONS]; /* elements in each range */
    uint32_t out[MAX_DIMENSIONS];    /* the dimensions of the result: those without an index */
    uint32_t rank;                   /* number of them */
    int is_cut;                      /* long dimensions are printed as their edges */
    number_format real, imaginary;
    size_t width; /* of an integer or a BOOL */
    /* of the line being printed; spaces are pending, as they are dropped if the line ends here */
    size_t column, spaces;
} show;

static union { /* a row or part of a row */
    double floats[2 * CHUNK];
    float complex[2 * CHUNK];
    int64_t integers[CHUNK];
    uint64_t naturals[CHUNK]; /* unsigned integers and BOOLs */
} row;

/* ---- RANGES ------------------------------------------------------------------------------------------------- */

typedef enum range_fault { RANGE_FINE, RANGE_SYNTAX, RANGE_OUTSIDE, RANGE_BACKWARD } range_fault;

typedef struct range_parser {
    const char *text;   /* the next character */
    const char *number; /* the number that was parsed last */
    uint64_t extent;    /* of the dimension */
} range_parser;

/* Parses a number from 0 to extent. A negative number counts from the end. */
static range_fault parse_index(range_parser *p, uint64_t *index) {
    const int is_negative = *p->text == '-';
    p->number = p->text;
    p->text += is_negative;
    if (!parse_digits(&p->text, index)) return RANGE_SYNTAX;
    if (*index > p->extent) return RANGE_OUTSIDE;
    if (is_negative && *index > 0) *index = p->extent - *index;
    return RANGE_FINE;
}

/* Parses I, or START:STOP:STEP, of which each part can be left out. */
static range_fault parse_range(range_parser *p, st_range *r, int *is_index) {
    range_fault fault = RANGE_FINE;
    r->start = 0, r->stop = p->extent, r->step = 1;
    *is_index = *p->text != ':';
    if (*is_index) {
        fault = parse_index(p, &r->start);
        if (fault != RANGE_FINE) return fault;
        *is_index = *p->text != ':';
        r->stop = *is_index ? r->start + 1 : r->stop;
        if (*is_index) return r->start < p->extent ? RANGE_FINE : RANGE_OUTSIDE;
    }
    p->text++;
    if (*p->text && *p->text != ',' && *p->text != ':') fault = parse_index(p, &r->stop);
    if (fault == RANGE_FINE && *p->text == ':') {
        p->text++;
        if (*p->text && *p->text != ',' && (!parse_digits(&p->text, &r->step) || r->step == 0)) return RANGE_SYNTAX;
    }
    return fault == RANGE_FINE && r->start > r->stop ? RANGE_BACKWARD : fault;
}

static int range_error(const show *s, const range_parser *p, range_fault fault, uint32_t dimension, const char *given) {
    if (fault == RANGE_SYNTAX) return usage_error("show", "RANGES: expected ranges such as 3,0:10,::2, found ", given);
    if (fault == RANGE_BACKWARD) return usage_error("show", "RANGES: a range stops before it starts: ", given);
    begin_message("show");
    fputs("RANGES: the tensor has the shape ", stderr);
    put_shape(stderr, &s->tensor);
    fputs("; ", stderr);
    put_text(stderr, p->number, (size_t)(p->text - p->number));
    fputs(" is outside of dimension ", stderr);
    put_number(stderr, dimension);
    return usage_hint("show");
}

/* Sets ranges, counts, out and rank. */
static int parse_ranges(show *s, const char *given) {
    const st_tensor *t = &s->tensor;
    range_parser p = {given ? given : "", "", 0};
    uint32_t i;
    if (t->rank > MAX_DIMENSIONS) return report_text(s->path, "the tensor has more than 64 dimensions");
    for (i = 0; i < t->rank; i++) {
        int is_index = 0;
        st_range *r = &s->ranges[i];
        r->start = 0, r->stop = t->shape[i], r->step = 1;
        p.extent = t->shape[i];
        if (*p.text) {
            range_fault fault = i && *p.text++ != ',' ? RANGE_SYNTAX : parse_range(&p, r, &is_index);
            if (fault != RANGE_FINE) return range_error(s, &p, fault, i, given);
        }
        s->counts[i] = r->start < r->stop ? (r->stop - r->start - 1) / r->step + 1 : 0;
        if (!is_index) s->out[s->rank++] = i;
    }
    return *p.text ? usage_error("show", "RANGES: more ranges than the tensor has dimensions: ", given) : EXIT_FINE;
}

/* ---- reading ---------------------------------------------------------------------------------------------- */

static number_kind kind_of(st_dtype dtype) {
    switch (dtype) {
    case ST_DTYPE_C64: return COMPLEX;
    case ST_DTYPE_BOOL: return BOOLS;
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

/* Reads elements [first, first + n) of a row into `row`. position has an index for each dimension of the result. */
static st_status read_row(const show *s, const uint64_t *position, uint64_t first, size_t n, st_error *error) {
    static const st_dtype as[] = {ST_DTYPE_F64, ST_DTYPE_C64, ST_DTYPE_I64, ST_DTYPE_U64, ST_DTYPE_U64};
    st_range ranges[MAX_DIMENSIONS];
    st_view view;
    uint32_t i;
    memcpy(ranges, s->ranges, sizeof ranges);
    memset(&view, 0, sizeof view);
    for (i = 0; i < s->rank; i++) {
        st_range *r = &ranges[s->out[i]];
        const int is_row = i + 1 == s->rank;
        r->start += (is_row ? first : position[i]) * r->step; /* stays inside the shape: no overflow */
        r->stop = is_row ? r->start + (n - 1) * r->step + 1 : r->start + 1;
    }
    view.ranges = ranges;
    view.range_count = s->tensor.rank;
    return st_read_as(s->model, &s->tensor, &view, as[s->kind], &row, n * 8, error);
}

/* Advances position to the next row of the result, where dimension i has counts[i] indices. Sets *advanced to the
 * dimension whose index grew. Returns 0 after the last row. */
static int next_row(const show *s, const uint64_t *counts, uint64_t *position, uint32_t *advanced) {
    uint32_t i;
    for (i = s->rank; i > 1; i--) {
        if (++position[i - 2] < counts[i - 2]) {
            *advanced = i - 2;
            return 1;
        }
        position[i - 2] = 0;
    }
    return 0;
}

/* ---- printing --------------------------------------------------------------------------------------------- */

static size_t format_signed(int64_t number, char text[NUMBER_TEXT]) {
    uint64_t size = number < 0 ? (uint64_t) - (number + 1) + 1 : (uint64_t)number;
    size_t n = number_width(size), i;
    if (number < 0) text[0] = '-', n++;
    for (i = n; i > (number < 0); size /= 10) text[--i] = (char)('0' + size % 10);
    text[n] = 0;
    return n;
}

/* Measures n elements of `row` for the common format. */
static void measure(show *s, size_t n) {
    char text[NUMBER_TEXT];
    size_t i, width;
    for (i = 0; i < n; i++) {
        switch (s->kind) {
        case FLOATS: number_format_measure(&s->real, row.floats[i]); break;
        case COMPLEX:
            number_format_measure(&s->real, (double)row.complex[2 * i]);
            number_format_measure(&s->imaginary, (double)row.complex[2 * i + 1]);
            break;
        case BOOLS: s->width = s->rank ? 5 : 0; break;
        default:
            width = s->kind == SIGNED ? format_signed(row.integers[i], text) : number_width(row.naturals[i]);
            if (width > s->width) s->width = width;
        }
    }
}

static void format_imaginary(const show *s, double number, char text[NUMBER_TEXT]) {
    size_t n, end;
    format_number(&s->imaginary, number, text);
    end = n = strlen(text);
    while (text[n - 1] == ' ') n--;
    memmove(text + n + 1, text + n, end - n + 1);
    text[n] = 'j';
}

/* Formats element i of `row`. */
static void format_element(const show *s, size_t i, char text[2 * NUMBER_TEXT]) {
    char digits[NUMBER_TEXT];
    size_t n;
    switch (s->kind) {
    case FLOATS: format_number(&s->real, row.floats[i], text); return;
    case COMPLEX:
        format_number(&s->real, (double)row.complex[2 * i], text);
        format_imaginary(s, (double)row.complex[2 * i + 1], text + strlen(text));
        return;
    case BOOLS: strcpy(digits, row.naturals[i] ? "True" : "False"); break;
    case SIGNED: format_signed(row.integers[i], digits); break;
    default:
        for (n = number_width(row.naturals[i]), digits[n] = 0; n > 0; row.naturals[i] /= 10) {
            digits[--n] = (char)('0' + row.naturals[i] % 10);
        }
    }
    n = strlen(digits) < s->width ? s->width - strlen(digits) : 0;
    memset(text, ' ', n);
    strcpy(text + n, digits);
}

/* Prints a word. Spaces at its ends stay pending. */
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

/* Prints an element of a row, after a space unless it is the first, on a new line if it does not fit. */
static void put_element(show *s, const char *word, int is_first) {
    const size_t widest = LINE - (s->rank - 1) - 1;
    if (!is_first) put_word(s, " ");
    if (s->column + strlen(word) > widest && s->column > s->rank) {
        s->spaces = 0;
        new_line(s, s->rank);
    }
    put_word(s, word);
}

static int is_dimension_cut(const show *s, uint32_t i) {
    return s->is_cut && s->counts[s->out[i]] > 2 * EDGE;
}

static uint64_t shown_count(const show *s, uint32_t i) {
    return is_dimension_cut(s, i) ? 2 * EDGE : s->counts[s->out[i]];
}

/* Converts the k-th printed index of dimension i to the index in the result. */
static uint64_t shown_index(const show *s, uint32_t i, uint64_t k) {
    return is_dimension_cut(s, i) && k >= EDGE ? s->counts[s->out[i]] - 2 * EDGE + k : k;
}

/* Measures or prints a row. position has printed indices. */
static st_status visit_row(show *s, const uint64_t *position, int is_printing, st_error *error) {
    const uint32_t last = s->rank - 1;
    const uint64_t count = shown_count(s, last);
    uint64_t real_position[MAX_DIMENSIONS], first = 0;
    char text[2 * NUMBER_TEXT];
    uint32_t i;
    for (i = 0; i < last; i++) real_position[i] = shown_index(s, i, position[i]);
    while (first < count) { /* at most PRINTED_IN_FULL elements */
        const size_t n = is_dimension_cut(s, last) ? (size_t)EDGE : (size_t)count;
        size_t k;
        if (read_row(s, real_position, shown_index(s, last, first), n, error) != ST_OK) return error->status;
        if (!is_printing) measure(s, n);
        for (k = 0; is_printing && k < n; k++) {
            if (k == 0 && first > 0) put_element(s, "...", 0);
            format_element(s, k, text);
            put_element(s, text, first == 0 && k == 0);
        }
        first += n;
    }
    return ST_OK;
}

static void put_brackets(char bracket, size_t count) {
    for (; count > 0; count--) putc(bracket, stdout);
}

/* Prints what separates two rows, where dimension `advanced` reached its k-th printed index. */
static void separate_rows(show *s, uint32_t advanced, uint64_t k) {
    uint32_t inner = s->rank - advanced - 1, i; /* the number of dimensions inside `advanced` */
    put_brackets(']', inner);
    for (i = 0; i < inner; i++) new_line(s, 0);
    if (is_dimension_cut(s, advanced) && k == EDGE) {
        put_spaces(stdout, advanced + 1);
        fputs("...", stdout);
        for (i = 0; i < inner; i++) new_line(s, 0);
    }
    put_spaces(stdout, advanced + 1);
    put_brackets('[', inner);
    s->column = s->rank;
}

/* Measures or prints all rows. The file can change between the two: format_number accepts any number. */
static st_status visit_rows(show *s, int is_printing, st_error *error) {
    uint64_t position[MAX_DIMENSIONS], counts[MAX_DIMENSIONS];
    uint32_t i, advanced = 0;
    memset(position, 0, sizeof position);
    for (i = 0; i < s->rank; i++) counts[i] = shown_count(s, i);
    if (is_printing) put_brackets('[', s->rank);
    s->column = s->rank;
    do {
        if (visit_row(s, position, is_printing, error) != ST_OK) return error->status;
        if (is_printing) put_spaces(stdout, s->spaces); /* spaces after the last word of a row are not dropped */
        s->spaces = 0;
        if (!next_row(s, counts, position, &advanced)) break;
        if (is_printing) separate_rows(s, advanced, position[advanced]);
    } while (!output_failed());
    if (is_printing) put_brackets(']', s->rank);
    return ST_OK;
}

static st_status put_scalar(show *s, st_error *error) {
    char text[2 * NUMBER_TEXT];
    if (read_row(s, NULL, 0, 1, error) != ST_OK) return error->status;
    measure(s, 1);
    if (s->kind == FLOATS) {
        format_number_alone(s->tensor.dtype, row.floats[0], text);
    } else {
        format_element(s, 0, text);
    }
    fputs(text, stdout);
    return ST_OK;
}

static st_status put_values(show *s, uint64_t elements, st_error *error) {
    st_status status = ST_OK;
    s->is_cut = elements > PRINTED_IN_FULL;
    number_format_begin(&s->real, s->tensor.dtype, 0);
    number_format_begin(&s->imaginary, ST_DTYPE_F32, 1);
    if (elements == 0) {
        fputs("[]", stdout);
    } else if (s->rank == 0) {
        status = put_scalar(s, error);
    } else {
        status = visit_rows(s, 0, error);
        if (status == ST_OK) status = visit_rows(s, 1, error);
    }
    if (status == ST_OK) end_line();
    return status;
}

/* ---- --stats ---------------------------------------------------------------------------------------------- */

/* Calls add with all selected elements as F64, in parts. */
static st_status read_parts(const show *s, void (*add)(stats *sum, const double *numbers, size_t n), stats *sum,
                            progress *bar, uint64_t *done, uint64_t total, st_error *error) {
    uint64_t position[MAX_DIMENSIONS], counts[MAX_DIMENSIONS];
    const uint64_t length = s->rank ? s->counts[s->out[s->rank - 1]] : 1;
    uint32_t i, advanced;
    memset(position, 0, sizeof position);
    for (i = 0; i < s->rank; i++) counts[i] = s->counts[s->out[i]];
    do {
        uint64_t first = 0;
        while (first < length) {
            const size_t n = length - first < CHUNK ? (size_t)(length - first) : (size_t)CHUNK;
            if (read_row(s, position, first, n, error) != ST_OK) return error->status;
            add(sum, row.floats, n);
            first += n, *done += n;
            if (progress_step(bar, *done, total)) return error->status = ST_ERR_CANCELLED;
        }
    } while (next_row(s, counts, position, &advanced));
    return ST_OK;
}

static int put_stats(show *s, uint64_t elements) {
    uint64_t done = 0;
    progress bar;
    stats sum;
    st_error error;
    error.status = ST_OK;
    if (s->kind == COMPLEX) return report_text(s->path, "--stats does not support complex numbers");
    s->kind = FLOATS;
    stats_begin(&sum);
    progress_begin(&bar);
    system_watch_interrupts();
    if (elements) read_parts(s, stats_add, &sum, &bar, &done, 2 * elements, &error);
    if (elements && error.status == ST_OK) read_parts(s, stats_count_bins, &sum, &bar, &done, 2 * elements, &error);
    progress_end(&bar);
    system_stop_watching();
    if (error.status != ST_OK) return report_read(s->model, s->path, &error);
    stats_put(&sum);
    return EXIT_FINE;
}

/* Makes a whole tensor one long row, which can be read in large parts. */
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
    if (!t) return report_missing_tensor(s->model, s->path, name);
    s->tensor = *t;
    s->kind = kind_of(t->dtype);
    if (!has_numbers(t)) {
        put_string(stderr, s->path);
        fputs(": ", stderr);
        put_text(stderr, t->name, t->name_bytes);
        fputs(": cannot print values of the unknown dtype ", stderr);
        put_string(stderr, t->dtype_name);
        putc('\n', stderr);
        return EXIT_FAILED;
    }
    code = parse_ranges(s, ranges);
    if (code != EXIT_FINE) return code;
    memset(&view, 0, sizeof view);
    view.ranges = s->ranges;
    view.range_count = t->rank;
    if (st_view_shape(t, &view, NULL, &elements, &error) != ST_OK) return report(s->path, &error);
    if (stats_only && !ranges) flatten(s);
    if (stats_only) return put_stats(s, elements);
    return put_values(s, elements, &error) == ST_OK ? EXIT_FINE : report_read(s->model, s->path, &error);
}

int command_show(int argc, char **argv) {
    static show s;
    const st_open_options open_options = copy_open_options();
    st_model *model;
    st_error error;
    int code, words, stats_only = 0;
    const option options[] = {{"--stats", &stats_only, NULL}};
    words = parse_options("show", options, 1, argc, argv);
    if (words < 0) return EXIT_USAGE;
    if (words < 2 || words > 3) {
        begin_message("show");
        fputs(words == 0   ? "MODEL and TENSOR are missing"
              : words == 1 ? "TENSOR is missing (for names, type st ls MODEL)"
                           : "too many arguments: expected MODEL, TENSOR and RANGES (without spaces)",
              stderr);
        return usage_hint("show");
    }
    s.path = argv[0];
    if (open_model(&model, s.path, &open_options, &error) != ST_OK) return report(s.path, &error);
    s.model = model;
    code = show_tensor(&s, argv[1], words == 3 ? argv[2] : NULL, stats_only);
    st_close(model);
    return code;
}
