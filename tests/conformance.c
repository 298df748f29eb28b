/* Opens the 207 files of conformance.h from every kind of source. */
#include "../safetensors.h"

#include "conformance.h"
#include "sources.h"

#define ROWS (sizeof conformance_cases / sizeof *conformance_cases)

static int nibble(int c) {
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* a line of the reference's list ends in "file": "HEX"}; returns whether these are the row's bytes */
static int same_bytes(const char *line, const unsigned char *file, size_t n) {
    static const char key[] = "\"file\": \"";
    const char *at = strstr(line, key), *next;
    size_t i;
    while (at != NULL && (next = strstr(at + 1, key)) != NULL) at = next;
    if (at == NULL) return 0;
    at += sizeof key - 1;
    for (i = 0; i < n; i++, at += 2) {
        if (nibble(at[0]) < 0 || nibble(at[1]) < 0 || nibble(at[0]) * 16 + nibble(at[1]) != file[i]) return 0;
    }
    return *at == '"';
}

/* compares the table with the reference's own list, if that exists beside this repository */
static void compare_with_list(void) {
    static char line[4096];
    FILE *list = fopen("../shared/conformance.jsonl", "rb");
    size_t i, lines = 0;
    if (list == NULL) {
        SKIP("../shared/conformance.jsonl is not there: the table is not compared with the reference's list");
        return;
    }
    for (i = 0; fgets(line, sizeof line, list) != NULL; i++, lines++) {
        const file_case *row = &conformance_cases[i];
        int accepted = strstr(line, "\"reference\": \"accept\"") != NULL;
        unsigned char *file;
        size_t n;
        if (!CHECK(i < ROWS)) break;
        test_row = row->name;
        file = case_file(row, &n);
        CHECK(same_bytes(line, file, n));
        CHECK_EQ(accepted, row->status == ST_OK || row->accident);
        free(file);
    }
    test_row = "";
    CHECK_EQ(lines, ROWS);
    fclose(list);
}

int main(void) {
    size_t i;
    CHECK_EQ(ROWS, 207);
    scratch_begin("conformance");
    for (i = 0; i < ROWS; i++) {
        const file_case *row = &conformance_cases[i];
        size_t n;
        unsigned char *file = case_file(row, &n);
        verdict v;
        test_row = row->name;
        v = sources_verdict(file, n, NULL, 0);
        CHECK_STATUS(v.error.status, row->status);
        if (row->status == ST_OK) {
            CHECK_EQ(v.count, row->count);
        } else {
            CHECK_EQ(v.error.position, row->position);
        }
        free(file);
    }
    test_row = "";
    scratch_remove(SOURCE_FILE);
    scratch_end();
    compare_with_list();
    return test_done("conformance");
}
