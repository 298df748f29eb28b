/* numpy.c: numbers as NumPy prints them: shortest digits that lead back to the value, at most eight behind the point,
 * all of an array in one form and one width. */
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

/* From here on an array is written with exponents: as many digits as its dtype is sure of, and eight at most. */
static double most_positional(st_dtype dtype) {
    return dtype == ST_DTYPE_F16 ? 1e3 : dtype == ST_DTYPE_F32 ? 1e6 : 1e8;
}

/* The number of that dtype that is nearest, which is how a reader would take the text. */
static double rounded(double number, st_dtype dtype) {
    unsigned char stored[8];
    if (dtype == ST_DTYPE_F64 || st_convert(dtype, stored, ST_DTYPE_F64, &number, 1) != ST_OK) return number;
    (void)st_convert(ST_DTYPE_F64, &number, dtype, stored, 1);
    return number;
}

/* Of a finite number: the value of its shortest digits, how many they are, and the power of ten of the first. */
static double shortest(double number, st_dtype dtype, int *digits, int *power) {
    char text[40];
    double back = number;
    for (*digits = 1; *digits <= 17; ++*digits) {
        snprintf(text, sizeof text, "%.*e", *digits - 1, number);
        back = strtod(text, NULL);
        if (rounded(back, dtype) == number) break;
    }
    if (*digits > 17) *digits = 17;
    *power = atoi(strchr(text, 'e') + 1);
    return back;
}

/* The number with its sign, without padding, in text; gives how long what stands before and behind the point are. */
static void put_positional(const number_format *f, double number, char text[NUMBER_TEXT], size_t *before,
                           size_t *behind) {
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
    *before = (size_t)(point - text);
    *behind = n - *before - 1;
}

/* The same before an exponent, which is told apart: of the value itself, or of its shortest digits. */
static void put_scientific(const number_format *f, double value, int places, char text[NUMBER_TEXT], size_t *before,
                           size_t *behind, int *power) {
    char *e, *point;
    size_t n;
    snprintf(text, NUMBER_TEXT - 1, f->always_sign ? "%+.*e" : "%.*e", places, value);
    e = strchr(text, 'e');
    *power = atoi(e + 1);
    *e = 0;
    if (!strchr(text, '.')) strcat(text, ".");
    point = strchr(text, '.');
    *before = (size_t)(point - text);
    for (n = strlen(text); text[n - 1] == '0'; n--) continue;
    *behind = n - *before - 1;
}

static void add_exponent(char text[NUMBER_TEXT], int power, int digits) {
    const size_t n = strlen(text);
    snprintf(text + n, NUMBER_TEXT - n, "e%c%0*d", power < 0 ? '-' : '+', digits, power < 0 ? -power : power);
}

void number_begin(number_format *f, st_dtype dtype, int always_sign) {
    memset(f, 0, sizeof *f);
    /* what NumPy has no dtype for is printed as F32 */
    f->dtype = dtype == ST_DTYPE_F64 || dtype == ST_DTYPE_F16 ? dtype : ST_DTYPE_F32;
    f->always_sign = always_sign;
}

void number_consider(number_format *f, double number) {
    const double size = number < 0 ? -number : number;
    char text[NUMBER_TEXT];
    size_t before, behind;
    int digits, power;
    if (!is_finite(number)) {
        const size_t width = f->always_sign || (!is_nan(number) && number < 0) ? 4 : 3;
        if (width > f->words) f->words = width;
        return;
    }
    if (size > 0) {
        if (f->least == 0 || size < f->least) f->least = size;
        if (size > f->most) f->most = size;
    }
    if (size < most_positional(f->dtype)) {
        put_positional(f, number, text, &before, &behind);
        if (before > f->before) f->before = before;
        if (behind > f->behind) f->behind = behind;
    }
    put_scientific(f, shortest(number, f->dtype, &digits, &power), PRECISION, text, &before, &behind, &power);
    if (before > f->e_before) f->e_before = before;
    if (behind > f->e_behind) f->e_behind = behind;
    if (power < 0) power = -power;
    if (power > f->power) f->power = power;
}

static int is_scientific(const number_format *f) {
    return f->most > 0 && (f->most >= most_positional(f->dtype) || f->least < 1e-4 || f->most / f->least > 1000);
}

/* Writes nan, inf, or their signed forms. */
static void put_word(double number, int always_sign, char text[NUMBER_TEXT]) {
    const char *sign = number < 0 ? "-" : always_sign ? "+" : "";
    snprintf(text, NUMBER_TEXT, "%s%s", sign, is_nan(number) ? "nan" : "inf");
}

/* Writes a finite number with all its digits and without padding. */
static void put_all_digits(const number_format *f, double number, char text[NUMBER_TEXT]) {
    const double size = number < 0 ? -number : number;
    size_t before, behind;
    int digits, power;
    double value = shortest(number, f->dtype, &digits, &power);
    if (size >= (f->dtype == ST_DTYPE_F64 ? 1e16 : most_positional(f->dtype)) || (size > 0 && size < 1e-4)) {
        put_scientific(f, value, digits - 1, text, &before, &behind, &power);
        if (behind == 0) text[before] = 0;
        add_exponent(text, power, 2);
    } else {
        snprintf(text, NUMBER_TEXT, f->always_sign ? "%+.*f" : "%.*f", digits - 1 > power ? digits - 1 - power : 1,
                 value);
    }
}

/* A file can change between the reading that measures and the reading that prints, so any number can come with any
 * format. One that does not fit the column is longer than the column. */
void number_text(const number_format *f, double number, char text[NUMBER_TEXT]) {
    const int scientific = is_scientific(f);
    const double size = number < 0 ? -number : number;
    const size_t exponent = f->power > 99 ? 3 : 2;
    const size_t right = scientific ? f->e_behind + 2 + exponent : f->behind;
    size_t left = scientific ? f->e_before : f->before, used, behind, padding;
    char digits[NUMBER_TEXT];
    if (f->words > left + right + 1) left = f->words - right - 1;
    if (!is_finite(number)) {
        put_word(number, f->always_sign, digits);
        left += right + 1;
        used = strlen(digits);
    } else if (size > f->most || (size > 0 && size < f->least)) {
        put_all_digits(f, number, digits);
        used = left;
    } else if (scientific) {
        int power;
        put_scientific(f, number, (int)f->e_behind, digits, &used, &behind, &power);
        add_exponent(digits, power, (int)exponent);
    } else {
        put_positional(f, number, digits, &used, &behind);
        for (; behind < f->behind; behind++) strcat(digits, " ");
    }
    padding = left > used ? left - used : 0;
    memset(text, ' ', padding);
    strcpy(text + padding, digits);
}

void number_alone(st_dtype dtype, double number, char text[NUMBER_TEXT]) {
    number_format f;
    number_begin(&f, dtype, 0);
    if (is_finite(number)) {
        put_all_digits(&f, number, text);
    } else {
        put_word(number, 0, text);
    }
}
