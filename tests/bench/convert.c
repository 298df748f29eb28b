/* convert.c: converts the same elements again and again, and says what that cost beside memcpy.
   usage: convert ELEMENTS    prints a line for each pair of dtypes: "FROM->TO bytes-of-larger-side seconds
   seconds-of-memcpy", both of thread time; memcpy copies as many bytes as the larger side has.
   The sources are random bits, so that subnormal numbers, infinities and NaNs are all there. */
#define _GNU_SOURCE
#define ST_IMPLEMENTATION
#include "../../safetensors.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static const struct pair {
    st_dtype from, to;
} pairs[] = {
    {ST_DTYPE_BF16, ST_DTYPE_F32},    {ST_DTYPE_F16, ST_DTYPE_F32},      {ST_DTYPE_F8_E4M3, ST_DTYPE_F32},
    {ST_DTYPE_F8_E5M2, ST_DTYPE_F32}, {ST_DTYPE_F4, ST_DTYPE_F32},       {ST_DTYPE_I8, ST_DTYPE_F32},
    {ST_DTYPE_U8, ST_DTYPE_F32},      {ST_DTYPE_F32, ST_DTYPE_BF16},     {ST_DTYPE_F32, ST_DTYPE_F16},
    {ST_DTYPE_BF16, ST_DTYPE_F16},    {ST_DTYPE_F16, ST_DTYPE_BF16},     {ST_DTYPE_F64, ST_DTYPE_F32},
    {ST_DTYPE_F32, ST_DTYPE_F64},     {ST_DTYPE_F8_E4M3, ST_DTYPE_BF16}, {ST_DTYPE_F32, ST_DTYPE_F8_E4M3},
};

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static unsigned char *random_bytes(size_t n) {
    unsigned char *bytes = (unsigned char *)aligned_alloc(4096, (n + 4095) / 4096 * 4096);
    uint64_t x = 88172645463325252u;
    size_t i;
    if (!bytes) {
        fprintf(stderr, "convert: no memory\n");
        exit(1);
    }
    for (i = 0; i + sizeof x <= n; i += sizeof x) {
        x ^= x << 13, x ^= x >> 7, x ^= x << 17;
        memcpy(bytes + i, &x, sizeof x);
    }
    return bytes;
}

static size_t times; /* as often as 64 Mi elements need */

static double convert(const struct pair *p, unsigned char *dst, const unsigned char *src, size_t n) {
    size_t i;
    double start = now();
    for (i = 0; i < times; i++) {
        if (st_convert(p->to, dst, p->from, src, n) != ST_OK) exit(1);
    }
    return (now() - start) / (double)times;
}

static void *(*volatile copy)(void *, const void *, size_t) = memcpy; /* which the compiler may not leave out */

static double plain(unsigned char *dst, const unsigned char *src, size_t bytes) {
    size_t i;
    double start = now();
    for (i = 0; i < times; i++) copy(dst, src, bytes);
    return (now() - start) / (double)times;
}

int main(int argc, char **argv) {
    const size_t n = argc == 2 ? (size_t)atol(argv[1]) / 4 * 4 : 0;
    unsigned char *src, *dst;
    size_t i;
    if (n == 0) return fprintf(stderr, "usage: convert ELEMENTS\n"), 2;
    times = n < ((size_t)1 << 26) ? ((size_t)1 << 26) / n : 1;
    src = random_bytes(n * 8);
    dst = random_bytes(n * 8); /* all pages are there */
    for (i = 0; i < sizeof pairs / sizeof *pairs; i++) {
        const struct pair *p = &pairs[i];
        const size_t in = n * st_dtype_bits(p->from) / 8, out = n * st_dtype_bits(p->to) / 8;
        const size_t larger = in > out ? in : out;
        const double copied = plain(dst, src, larger), converted = convert(p, dst, src, n);
        printf("%s->%s %lu %.9f %.9f\n", st_dtype_name(p->from), st_dtype_name(p->to), (unsigned long)larger, converted,
               copied);
    }
    return 0;
}
