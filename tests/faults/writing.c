/* Makes every callback of a save fail, alone and with all later ones: allocations, the sink, fill, read_at of
 * `from`. The status is right, nothing leaks, the target is the old file, and no temporary is left. */
#include "../../safetensors.h"

#include "scenario.h"

static unsigned long refusals;

static const st_tensor tensors[] = {TENSOR("b", U8, "0123456789", 10), TENSOR("a longer name \n", F32, "abcdefgh", 2),
                                    TENSOR("e", I64, NULL, 0), UNKNOWN("o", "X9", "opaque", 6, 2, 3),
                                    SCALAR("s", U16, "!?")};
static const st_pair pairs[] = {PAIR("k", "v"), PAIR("j", "w")};
static const saving plain = {"plain", tensors, 5, pairs, 2, 0, 0, 0};

static void refuse(refusing *r, size_t fail_at, int forever, int code) {
    r->fail_at = fail_at;
    r->fail_forever = forever;
    r->code = code;
}

/* ---- allocations ------------------------------------------------------------------------------------------ */

static void refuse_allocations(const saving *s, const unsigned char *want, size_t n, size_t data_bytes) {
    int way, forever;
    for (way = 0; way < SAVE_WAYS; way++) {
        size_t calls, i;
        saved a;
        if (way == BY_WORK || way == BY_SINK_WORK_FILL || way == STREAM_WORK) continue;
        test_row = way_names[way];
        saved_begin(&a, s);
        CHECK_STATUS(save_by(&a, s, way, want + n - data_bytes, data_bytes), ST_OK);
        CHECK(same_bytes(a.file, a.n, want, n));
        calls = a.memory.calls;
        CHECK(calls >= (way_is_streamed(way) ? s->count + s->pair_count + 3 : 3)); /* st_save copies no names */
        saved_end(&a);
        for (forever = 0; forever <= 1; forever++) {
            for (i = 1; i <= calls; i++) {
                saved_begin(&a, s);
                a.memory.fail_at = i;
                a.memory.fail_forever = forever;
                CHECK_STATUS(save_by(&a, s, way, want + n - data_bytes, data_bytes), ST_ERR_MEMORY);
                CHECK(a.error.expected > 0 && a.error.sys == 0);
                CHECK_EQ(a.sink.refusing.calls, 0);
                saved_end(&a);
                refusals++;
            }
        }
    }
}

static void refuse_allocations_of_edits(void) {
    int which, forever;
    size_t old_bytes;
    unsigned char *old = scenario_old(&old_bytes);
    for (which = EDIT_FITS; which < SCENARIOS; which++) {
        size_t calls = 0, i;
        test_row = scenario_names[which];
        for (forever = 0; forever <= 1; forever++) {
            for (i = 0; i <= calls; i++) { /* the first round makes no call fail */
                counting memory;
                st_error error;
                scratch_write(TARGET, old, old_bytes);
                counting_begin(&memory);
                memory.fail_at = i;
                memory.fail_forever = forever;
                CHECK_STATUS(scenario_run(which, scratch_path(TARGET), &memory.allocator, &error),
                             i > 0 ? ST_ERR_MEMORY : ST_OK);
                if (i > 0) CHECK(error.expected > 0 && strstr(error.message, TARGET) != NULL);
                if (i > 0) CHECK(file_is(scratch_path(TARGET), old, old_bytes));
                if (i == 0) calls = memory.calls;
                counting_end(&memory);
                check_no_temporary();
                refusals++;
            }
        }
        CHECK(calls > (which >= OVERWRITE ? 1u : 5u));
    }
    scratch_remove(TARGET);
    free(old);
}

/* a streaming call that fails for lack of memory changes nothing: repeating it gives the same file */
static void ask_again(const unsigned char *want, size_t n, size_t data_bytes) {
    size_t i, failed = 1;
    test_row = "asked again";
    for (i = 1; failed > 0; i++) {
        counting memory;
        collecting c;
        const st_sink sink = {&c, collect};
        st_save_options options;
        st_writer *w = NULL;
        st_error error;
        st_status status = ST_ERR_MEMORY;
        size_t k;
        memset(&c, 0, sizeof c);
        memset(&options, 0, sizeof options);
        counting_begin(&memory);
        memory.fail_at = i;
        options.allocator = &memory.allocator;
        failed = 0;
#define ASK(call)                                                                                                    \
    for (status = ST_ERR_MEMORY, k = failed; status == ST_ERR_MEMORY && failed - k < 2; failed += status != ST_OK) { \
        status = call;                                                                                               \
    }                                                                                                                \
    CHECK_STATUS(status, ST_OK)
        ASK(open_to_sink(&w, &sink, &options, &error));
        {
            size_t item;
            for (item = 0; item < plain.pair_count; item++) ASK(st_writer_add_metadata(w, &pairs[item], &error));
            for (item = 0; item < plain.count; item++) ASK(st_writer_add(w, &tensors[item], &error));
        }
        ASK(st_writer_begin(w, &error));
        ASK(st_writer_write(w, want + n - data_bytes, data_bytes, &error));
        ASK(st_writer_finish(w, &error));
#undef ASK
        st_writer_close(w);
        CHECK(failed <= 1);
        CHECK(same_bytes(c.out.at, c.out.n, want, n));
        counting_end(&memory);
        free(c.out.at);
        refusals++;
    }
}

/* ---- sink, fill and progress ------------------------------------------------------------------------------ */

/* more data than one block of 1 MiB */
enum { LONG_BYTES = 2600001 };

static void refuse_callbacks(void) {
    static const uint64_t shape[1] = {LONG_BYTES};
    static const int ways[] = {BY_SINK, BY_FILL, BY_SINK_WORK_FILL, STREAM_SINK, STREAM_SMALL};
    unsigned char *data = (unsigned char *)need(LONG_BYTES);
    st_tensor t;
    saving s;
    size_t i;
    memset(data, 9, LONG_BYTES);
    memset(&t, 0, sizeof t);
    memset(&s, 0, sizeof s);
    t.name = "long";
    t.dtype = ST_DTYPE_U8;
    t.rank = 1;
    t.shape = shape;
    t.data = data;
    s.tensors = &t;
    s.count = 1;
    for (i = 0; i < sizeof ways / sizeof *ways; i++) {
        int which, forever;
        for (which = 0; which < 2; which++) { /* the sink, then fill */
            size_t calls, k;
            saved a;
            test_row = way_names[ways[i]];
            if (which == 0 && !way_has_sink(ways[i])) continue;
            if (which == 1 && ways[i] != BY_FILL && ways[i] != BY_SINK_WORK_FILL) continue;
            saved_begin(&a, &s);
            CHECK_STATUS(save_by(&a, &s, ways[i], data, LONG_BYTES), ST_OK);
            calls = which == 0 ? a.sink.refusing.calls : a.calling.fill.calls;
            CHECK(calls >= 2);
            saved_end(&a);
            if (ways[i] == BY_SINK_WORK_FILL) calls = 20; /* 64 bytes each, all alike */
            for (forever = 0; forever <= 1; forever++) {
                for (k = 1; k <= calls; k++) {
                    saved_begin(&a, &s);
                    refuse(which == 0 ? &a.sink.refusing : &a.calling.fill, k, forever, which == 0 ? 28 : -1);
                    CHECK_STATUS(save_by(&a, &s, ways[i], data, LONG_BYTES), ST_ERR_IO);
                    CHECK_EQ(a.error.sys, which == 0 ? 28 : -1);
                    CHECK_EQ(which == 0 ? a.sink.refusing.calls : a.calling.fill.calls, k); /* not called again */
                    if (which == 1) CHECK_STR(a.error.subject, "long");
                    saved_end(&a);
                    refusals++;
                }
            }
        }
    }
    scratch_remove(TARGET);
    free(data);
}

/* ---- reading `from` --------------------------------------------------------------------------------------- */

static void refuse_reads(void) {
    static const char text[] = "{\"long\":{\"dtype\":\"U8\",\"shape\":[2600001],\"data_offsets\":[0,2600001]},\"t\":" E(
        "U8", "[3]", "[2600001,2600004]") "}";
    unsigned char *data = (unsigned char *)need(LONG_BYTES + 3), *file;
    size_t n, calls = 0, k;
    int way, forever;
    memset(data, 3, LONG_BYTES + 3);
    file = make_file(text, sizeof text - 1, data, LONG_BYTES + 3, &n);
    for (way = BY_SINK; way <= BY_WORK; way++) {
        for (forever = 0; forever <= 1; forever++) {
            for (k = 0; k <= (way == BY_WORK ? 20 : calls); k++) { /* the first round makes no call fail */
                source from;
                saving s;
                saved a;
                test_row = way_names[way];
                memset(&s, 0, sizeof s);
                if (source_open(&from, FROM_IO, file, n, NULL) != ST_OK) continue;
                s.tensors = from.model->tensors;
                s.count = from.model->count;
                saved_begin(&a, &s);
                a.from = from.model;
                calls = way == BY_SINK && k == 0 ? from.served.calls : calls;
                from.served.fail_at = k > 0 ? from.served.calls + k : 0;
                from.served.fail_forever = forever;
                if (k == 0) {
                    CHECK_STATUS(save_by(&a, &s, way, NULL, 0), ST_OK);
                    if (way == BY_SINK) calls = from.served.calls - calls;
                    CHECK(calls >= 4);
                } else if (way == BY_WORK || k <= calls) {
                    CHECK_STATUS(save_by(&a, &s, way, NULL, 0), ST_ERR_IO);
                    CHECK_EQ(a.error.sys, 77);
                    CHECK(a.error.subject[0] != 0);
                    refusals++;
                }
                saved_end(&a);
                from.served.fail_at = 0;
                source_close(&from);
            }
        }
    }
    scratch_remove(TARGET);
    free(file);
    free(data);
}

int main(void) {
    static const char text[] =
        "{\"__metadata__\":{\"j\":\"w\",\"k\":\"v\"},\"e\":" E("I64", "[0]", "[0,0]") ",\"a longer name \\n\":" E(
            "F32", "[2]", "[0,8]") ",\"s\":" E("U16", "[]", "[8,10]") ",\"b\":" E("U8", "[10]",
                                                                                  "[10,20]") ",\"o\":" E("X9", "[2,3]",
                                                                                                         "[20,26]") "}";
    static const char data[] = "abcdefgh!?0123456789opaque";
    size_t n;
    unsigned char *want = golden_file(text, sizeof text - 1, 0, 0, data, sizeof data - 1, &n);
    scratch_begin("writing");
    refuse_allocations(&plain, want, n, sizeof data - 1);
    refuse_allocations_of_edits();
    ask_again(want, n, sizeof data - 1);
    refuse_callbacks();
    refuse_reads();
    free(want);
    test_row = "";
    CHECK(refusals > 300);
    scratch_end();
    return test_done("writing");
}
