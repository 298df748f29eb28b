/* stats.c: statistics and a histogram. */
#include "st.h"
#include <string.h>

enum { BAR = 40 }; /* characters */

void stats_begin(stats *s) {
    memset(s, 0, sizeof *s);
}

void stats_add(stats *s, const double *numbers, size_t n) {
    size_t i;
    for (i = 0; i < n; i++) {
        const double x = numbers[i], away = x - s->mean;
        if (!is_finite(x)) {
            s->nan += x != x;
            s->infinite += x == x;
            continue;
        }
        if (s->finite == 0 || x < s->min) s->min = x;
        if (s->finite == 0 || x > s->max) s->max = x;
        s->finite++;
        s->mean += away / (double)s->finite; /* Welford's method: no sum that overflows or loses small numbers */
        s->squares += away * (x - s->mean);
    }
}

/* A file can change between the readings: numbers outside [min, max] are counted in the nearest bin. */
void stats_count_bins(stats *s, const double *numbers, size_t n) {
    const double width = s->max * 0.5 - s->min * 0.5; /* halves: max - min can overflow */
    size_t i;
    for (i = 0; i < n; i++) {
        double bin;
        if (!is_finite(numbers[i])) continue;
        bin = width > 0 ? (numbers[i] * 0.5 - s->min * 0.5) / width * (int)STATS_BINS : 0;
        s->bins[bin < 0 ? 0 : bin < (int)STATS_BINS - 1 ? (size_t)bin : STATS_BINS - 1]++;
    }
}

/* Newton's method from above, until rounding stops the progress. sqrt would need another library to link. */
double square_root(double number) {
    double root = number > 1 ? number : 1;
    if (!(number > 0)) return 0;
    for (;;) {
        const double next = root * 0.5 + number / root * 0.5;
        if (!(next < root)) return root;
        root = next;
    }
}

static void put_line(const char *name, double number) {
    printf("%-9s ", name);
    put_double(stdout, number, 9);
    end_line();
}

static void put_integer(const char *name, uint64_t number) {
    printf("%-9s ", name);
    put_number(stdout, number);
    end_line();
}

static void put_histogram(const stats *s) {
    const double step = (s->max * 0.5 - s->min * 0.5) / (int)STATS_BINS * 2;
    uint64_t largest_bin = 1;
    size_t i, width, k;
    for (i = 0; i < STATS_BINS; i++) largest_bin = s->bins[i] > largest_bin ? s->bins[i] : largest_bin;
    for (i = 0; i < STATS_BINS; i++) {
        char from[32];
        snprintf(from, sizeof from, "%.4g", s->min + step * (double)i);
        printf("%12s ", from);
        width = (size_t)((double)s->bins[i] / (double)largest_bin * (int)BAR + 0.5);
        if (width == 0 && s->bins[i]) width = 1;
        for (k = 0; k < width; k++) putc('#', stdout);
        put_spaces(stdout, BAR + 1 - width + number_width(largest_bin) - number_width(s->bins[i]));
        put_number(stdout, s->bins[i]);
        end_line();
    }
}

void stats_put(const stats *s) {
    put_integer("elements", s->finite + s->nan + s->infinite);
    put_integer("NaN", s->nan);
    put_integer("infinite", s->infinite);
    if (s->finite == 0) return;
    put_line("min", s->min);
    put_line("max", s->max);
    put_line("mean", s->mean);
    put_line("std", square_root(s->squares / (double)s->finite));
    if (s->min < s->max) put_histogram(s);
}
