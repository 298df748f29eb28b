/* Makes every allocation of every way to open fail, alone and with all later ones: ST_ERR_MEMORY, no model, no leak. */
#include "../../safetensors.h"

#include "../large.h"
#include "../seeds.h"
#include "../sources.h"

static unsigned long refusals;

static st_status open_from(int kind, source *s, const unsigned char *file, size_t n, size_t fail_at, int forever) {
    memset(s, 0, sizeof *s);
    s->kind = kind;
    counting_begin(&s->memory);
    s->memory.fail_at = fail_at;
    s->memory.fail_forever = forever;
    served_begin(&s->served, file, n);
    s->options.allocator = &s->memory.allocator;
    if (kind == FROM_FILES) s->options.files = &s->served.files;
    if (kind == FROM_FILE_NO_MAP) s->options.flags = ST_OPEN_NO_MAP;
    if (kind == FROM_MAPPED_IO) s->served.io.mapped = file;
    s->status = source_call(s, file, n);
    check_error(&s->error, s->status, source_prefix(kind));
    return s->status;
}

static void refuse_each(const unsigned char *file, size_t n, st_status clean) {
    const char *row = test_row;
    int kind, forever;
    scratch_write(SOURCE_FILE, file, n);
    for (kind = 0; kind < SOURCE_KINDS; kind++) {
        char where[256];
        source s;
        size_t calls, i;
        if (kind == FROM_WORK) continue;
        snprintf(where, sizeof where, "%s, from %s", row, source_names[kind]);
        test_row = where;
        CHECK_STATUS(open_from(kind, &s, file, n, 0, 0), clean);
        calls = s.memory.calls;
        CHECK(calls > 0);
        source_close(&s);
        for (forever = 0; forever <= 1; forever++) {
            for (i = 1; i <= calls; i++) {
                CHECK_STATUS(open_from(kind, &s, file, n, i, forever), ST_ERR_MEMORY);
                CHECK(s.model == NULL);
                CHECK(s.error.expected > 0); /* the requested size */
                source_close(&s);
                refusals++;
            }
        }
        test_row = row;
    }
}

int main(void) {
    unsigned char *file;
    size_t n, i;
    scratch_begin("allocation");
    for (i = 0; i < SEED_COUNT; i++) {
        test_row = seeds[i].name;
        file = case_file(&seeds[i], &n);
        refuse_each(file, n, ST_OK);
        free(file);
    }
    test_row = "1,000 tensors";
    file = many_tensors("t", 1000, 0, &n);
    refuse_each(file, n, ST_OK);
    free(file);
    test_row = "1,000 tensors, out of order";
    file = many_tensors("t", 1000, 1, &n);
    refuse_each(file, n, ST_OK);
    free(file);
    test_row = "1,000 pairs of metadata";
    file = many_pairs("k", 1000, &n);
    refuse_each(file, n, ST_OK);
    free(file);
    test_row = "a file that is wrong: memory is asked for first";
    file = make_file("{\"t\":1}", 7, "", 0, &n);
    refuse_each(file, n, ST_ERR_SCHEMA);
    free(file);
    test_row = "";
    CHECK(refusals > 100);
    scratch_remove(SOURCE_FILE);
    scratch_end();
    return test_done("allocation");
}
