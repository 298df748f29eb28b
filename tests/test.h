/* test.h: the test harness. Counts checks and prints the place and expression of each failure. A program ends with
 * `return test_done("name");`, which prints one line and returns the exit status. Include it after safetensors.h. */
#ifndef TEST_H
#define TEST_H
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* 1 if the tests can use all of POSIX: FIFOs, hard links, permissions, users, limits of a process */
#if defined(_WIN32) || defined(__wasm__)
#define HAS_POSIX 0
#else
#define HAS_POSIX 1
#endif

/* 1 if a file can have two names without symbolic links */
#if defined(__EMSCRIPTEN__)
#define HAS_HARD_LINKS 0
#else
#define HAS_HARD_LINKS 1
#endif

/* 1 if st_open maps files, unless a flag forbids it */
#if defined(ST_NO_MMAP) || defined(__wasm__)
#define MAPS_FILES 0
#else
#define MAPS_FILES 1
#endif

static unsigned long test_passed, test_failed, test_skipped;
static const char *test_row = ""; /* the current row of a table, printed with failures */

/* each check is an expression: 1 if it holds */
#define CHECK(x) test_note((x) != 0, __FILE__, __LINE__, #x, "", "")
#define CHECK_EQ(got, want) test_number((uint64_t)(got), (uint64_t)(want), __FILE__, __LINE__, #got)
#define CHECK_STATUS(got, want) test_text(st_status_name(got), st_status_name(want), __FILE__, __LINE__, #got)
#define CHECK_STR(got, want) test_text(got, want, __FILE__, __LINE__, #got)
#define SKIP(why) ((void)test_skipped++, (void)printf("skipped: %s\n", why))

static inline int test_note(int holds, const char *file, int line, const char *what, const char *got,
                            const char *want) {
    if (holds) {
        test_passed++;
        return 1;
    }
    test_failed++;
    if (test_failed <= 100) {
        fprintf(stderr, "%s:%d: %s%s%s%s%s", file, line, what, *got ? " is " : "", got, *want ? ", not " : "", want);
        fprintf(stderr, "%s%s\n", *test_row ? " in: " : "", test_row);
    }
    return 0;
}

/* formats without printf, whose 64-bit format differs between systems */
static inline const char *test_digits(uint64_t value, char digits[21]) {
    char *at = digits + 20;
    for (*at = 0; at == digits + 20 || value != 0; value /= 10) *--at = (char)('0' + value % 10);
    return at;
}

static inline int test_number(uint64_t got, uint64_t want, const char *file, int line, const char *what) {
    char a[21], b[21];
    return test_note(got == want, file, line, what, test_digits(got, a), test_digits(want, b));
}

static inline int test_text(const char *got, const char *want, const char *file, int line, const char *what) {
    int same = got != NULL && want != NULL && strcmp(got, want) == 0;
    return test_note(same, file, line, what, got ? got : "NULL", want ? want : "NULL");
}

/* returns $ST_THIN, 1 by default: slow machines run one of that many random rounds. Odd, so that a stride meets each
 * bit of a byte. */
static inline int test_thin(void) {
    const char *thin = getenv("ST_THIN");
    const int n = thin != NULL ? atoi(thin) : 1;
    return n > 0 ? n : 1;
}

static inline int test_done(const char *name) {
    printf("%s: %lu passed, %lu failed", name, test_passed, test_failed);
    if (test_skipped > 0) printf(", %lu skipped", test_skipped);
    putchar('\n');
    return test_failed > 0;
}
#endif
