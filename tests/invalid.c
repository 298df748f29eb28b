/* Opens the files of invalid.h from every kind of source. */
#include "../safetensors.h"

#include "invalid.h"
#include "sources.h"

int main(void) {
    size_t i;
    scratch_begin("invalid");
    for (i = 0; i < sizeof invalid_cases / sizeof *invalid_cases; i++) {
        const file_case *row = &invalid_cases[i];
        size_t n;
        unsigned char *file = case_file(row, &n);
        st_open_options options;
        verdict v;
        memset(&options, 0, sizeof options);
        options.flags = row->flags;
        options.max_header = row->max_header;
        test_row = row->name;
        v = sources_verdict(file, n, &options, 0);
        CHECK_STATUS(v.error.status, row->status);
        if (row->status == ST_OK) {
            CHECK_EQ(v.count, row->count);
        } else {
            CHECK_EQ(v.error.position, row->position);
            if (row->expected != ANY_VALUE) CHECK_EQ(v.error.expected, row->expected);
            if (row->actual != ANY_VALUE) CHECK_EQ(v.error.actual, row->actual);
            if (row->subject != NULL) CHECK_STR(v.error.subject, row->subject);
        }
        free(file);
    }
    test_row = "";
    scratch_remove(SOURCE_FILE);
    scratch_end();
    return test_done("invalid");
}
