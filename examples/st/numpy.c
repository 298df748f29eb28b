/* numpy.c: formats numbers as NumPy prints them: with the fewest digits that identify the value, at most eight of them
 * after the point, and all numbers of an array in the same form and width. */
#include "st.h"
#include <stdlib.h>
#include <string.h>

enum { PRECISION = 8 };

int is_nan(double number) {
    return number != number;
}

int is_finite(double number) {
    return number - number == 0;
}

/* An array with a number this large is written with exponents. */
static double positional_limit(st_dtype dtype) {
    return dtype == ST_DTYPE_F16 ? 1e3 : dtype == ST_DTYPE_F32 ? 1e6 : 1e8;
}

/* Rounds to a dtype, as a program does that reads the text. */
static double round_to(double number, st_dtype dtype) {
    unsigned char stored[8];
    if (dtype == ST_DTYPE_F64 || st_convert(dtype, stored, ST_DTYPE_F64, &number, 1) != ST_OK) return number;
    (void)st_convert(ST_DTYPE_F64, &number, dtype, stored, 1);
    return number;
}

/* Finds the fewest digits that identify a finite number. Returns their value; sets the number of digits and the power
 * of ten of the first. */
static double shortest(double number, st_dtype dtype, int *digits, int *power) {
    char text[40];
    double back = number;
    for (*digits = 1; *digits <= 17; ++*digits) {
        snprintf(text, sizeof text, "%.*e", *digits - 1, number);
        back = strtod(text, NULL);
        if (round_to(back, dtype) == number) break;
    }
    if (*digits > 17) *digits = 17;
    *power = atoi(strchr(text, 'e') + 1);
    return back;
}

/* Writes a number without padding. Sets the widths before (with the sign) and after the point. */
static void put_positional(const number_format *f, double number, char text[NUMBER_TEXT], size_t *whole,
                           size_t *fraction_digits) {
    int digits, power, fraction;
    double value = shortest(number, f->dtype, &digits, &power);
    char *point;
    size_t n;
    fraction = digits - 1 - power;
    if (fraction < 0) fraction = 0;
    if (fraction > PRECISION) fraction = PRECISION, value = number;
    snprintf(text, NUMBER_TEXT - 1, f->always_sign ? "%+.*f" : "%.*f", fraction, value);
    if (!strchr(text, '.')) strcat(text, ".");
    point = strchr(text, '.');
    for (n = strlen(text); text[n - 1] == '0'; n--) text[n - 1] = 0;
    *whole = (size_t)(point - text);
    *fraction_digits = n - *whole - 1;
}

/* Writes the part before the exponent, and sets *power to the exponent. */
static void put_scientific(const number_format *f, double value, int places, char text[NUMBER_TEXT], size_t *whole,
                           size_t *fraction_digits, int *power) {
    char *e, *point;
    size_t n;
    snprintf(text, NUMBER_TEXT - 1, f->always_sign ? "%+.*e" : "%.*e", places, value);
    e = strchr(text, 'e');
    *power = atoi(e + 1);
    *e = 0;
    if (!strchr(text, '.')) strcat(text, ".");
    point = strchr(text, '.');
    *whole = (size_t)(point - text);
    for (n = strlen(text); text[n - 1] == '0'; n--) continue;
    *fraction_digits = n - *whole - 1;
}

static void add_exponent(char text[NUMBER_TEXT], int power, int digits) {
    const size_t n = strlen(text);
    snprintf(text + n, NUMBER_TEXT - n, "e%c%0*d", power < 0 ? '-' : '+', digits, power < 0 ? -power : power);
}

void number_format_begin(number_format *f, st_dtype dtype, int always_sign) {
    memset(f, 0, sizeof *f);
    /* dtypes that NumPy lacks are printed as F32 */
    f->dtype = dtype == ST_DTYPE_F64 || dtype == ST_DTYPE_F16 ? dtype : ST_DTYPE_F32;
    f->always_sign = always_sign;
}

void number_format_measure(number_format *f, double number) {
    const double size = number < 0 ? -number : number;
    char text[NUMBER_TEXT];
    size_t whole, fraction_digits;
    int digits, power;
    if (!is_finite(number)) {
        const size_t width = f->always_sign || (!is_nan(number) && number < 0) ? 4 : 3;
        if (width > f->word_width) f->word_width = width;
        return;
    }
    if (size > 0) {
        if (f->smallest == 0 || size < f->smallest) f->smallest = size;
        if (size > f->largest) f->largest = size;
    }
    if (size < positional_limit(f->dtype)) {
        put_positional(f, number, text, &whole, &fraction_digits);
        if (whole > f->whole_width) f->whole_width = whole;
        if (fraction_digits > f->fraction_width) f->fraction_width = fraction_digits;
    }
    put_scientific(f, shortest(number, f->dtype, &digits, &power), PRECISION, text, &whole, &fraction_digits, &power);
    if (whole > f->e_whole_width) f->e_whole_width = whole;
    if (fraction_digits > f->e_fraction_width) f->e_fraction_width = fraction_digits;
    if (power < 0) power = -power;
    if (power > f->power) f->power = power;
}

static int is_scientific(const number_format *f) {
    return f->largest > 0 &&
           (f->largest >= positional_limit(f->dtype) || f->smallest < 1e-4 || f->largest / f->smallest > 1000);
}

/* Writes nan, inf, or their signed forms. */
static void put_word(double number, int always_sign, char text[NUMBER_TEXT]) {
    const char *sign = number < 0 ? "-" : always_sign ? "+" : "";
    snprintf(text, NUMBER_TEXT, "%s%s", sign, is_nan(number) ? "nan" : "inf");
}

/* Writes a finite number with all its digits and without padding. */
static void format_all_digits(const number_format *f, double number, char text[NUMBER_TEXT]) {
    const double size = number < 0 ? -number : number;
    size_t whole, fraction_digits;
    int digits, power;
    double value = shortest(number, f->dtype, &digits, &power);
    if (size >= (f->dtype == ST_DTYPE_F64 ? 1e16 : positional_limit(f->dtype)) || (size > 0 && size < 1e-4)) {
        put_scientific(f, value, digits - 1, text, &whole, &fraction_digits, &power);
        if (fraction_digits == 0) text[whole] = 0;
        add_exponent(text, power, 2);
    } else {
        snprintf(text, NUMBER_TEXT, f->always_sign ? "%+.*f" : "%.*f", digits - 1 > power ? digits - 1 - power : 1,
                 value);
    }
}

/* The file can change between measuring and printing, so this must accept any number with any format. Text that does
 * not fit the column is longer than the column. */
void format_number(const number_format *f, double number, char text[NUMBER_TEXT]) {
    const int has_exponent = is_scientific(f);
    const double size = number < 0 ? -number : number;
    const size_t exponent_digits = f->power > 99 ? 3 : 2;
    const size_t right = has_exponent ? f->e_fraction_width + 2 + exponent_digits : f->fraction_width;
    size_t left = has_exponent ? f->e_whole_width : f->whole_width, used, fraction_digits, padding;
    char digits[NUMBER_TEXT];
    if (f->word_width > left + right + 1) left = f->word_width - right - 1;
    if (!is_finite(number)) {
        put_word(number, f->always_sign, digits);
        left += right + 1;
        used = strlen(digits);
    } else if (size > f->largest || (size > 0 && size < f->smallest)) {
        format_all_digits(f, number, digits);
        used = left;
    } else if (has_exponent) {
        int power;
        put_scientific(f, number, (int)f->e_fraction_width, digits, &used, &fraction_digits, &power);
        add_exponent(digits, power, (int)exponent_digits);
    } else {
        put_positional(f, number, digits, &used, &fraction_digits);
        for (; fraction_digits < f->fraction_width; fraction_digits++) strcat(digits, " ");
    }
    padding = left > used ? left - used : 0;
    memset(text, ' ', padding);
    strcpy(text + padding, digits);
}

void format_number_alone(st_dtype dtype, double number, char text[NUMBER_TEXT]) {
    number_format f;
    number_format_begin(&f, dtype, 0);
    if (is_finite(number)) {
        format_all_digits(&f, number, text);
    } else {
        put_word(number, 0, text);
    }
}
