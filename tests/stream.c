/* Tests the streaming writer: every call at every stage. A rejected call changes nothing, a failure is final, and an
 * unfinished file leaves no trace. */
#include "../safetensors.h"

#include "written.h"

static const st_tensor tensors[] = {TENSOR("b", U8, "xyz", 3), TENSOR("e", I32, NULL, 0),
                                    TENSOR("a", F32, "abcdefgh", 2)};
static const st_pair pairs[] = {PAIR("k", "v"), PAIR("j", "w")};
static const saving plain = {"plain", tensors, 3, pairs, 2, 0, 0, 0};

static const char header[] = "{\"__metadata__\":{\"j\":\"w\",\"k\":\"v\"},\"a\":" E("F32", "[2]", "[0,8]") ",\"e\":" E(
    "I32", "[0]", "[8,8]") ",\"b\":" E("U8", "[3]", "[8,11]") "}";
static const char data[] = "abcdefghxyz";
enum { DATA_BYTES = sizeof data - 1 };

static unsigned char *golden; /* the expected file of the tensors above */
static size_t golden_bytes;

typedef struct writing { /* a writer under test, with a file or a sink */
    st_writer *writer;
    st_error error;
    counting memory;
    collecting sink;
    int to_sink;
} writing;

static void writing_begin(writing *t, int to_sink, const char *path) {
    st_save_options options;
    st_sink sink;
    memset(t, 0, sizeof *t);
    memset(&options, 0, sizeof options);
    counting_begin(&t->memory);
    options.allocator = &t->memory.allocator;
    options.flags = ST_SAVE_NO_SYNC;
    sink.user = &t->sink;
    sink.write = collect;
    t->to_sink = to_sink;
    if (to_sink) {
        CHECK_STATUS(open_to_sink(&t->writer, &sink, &options, &t->error), ST_OK);
    } else {
        CHECK_STATUS(st_writer_open(&t->writer, path, &options, &t->error), ST_OK);
    }
    memset(&options, 0xee, sizeof options); /* the writer has copied the options */
    memset(&sink, 0xee, sizeof sink);
}

static void writing_end(writing *t) {
    st_writer_close(t->writer);
    counting_end(&t->memory);
    free(t->sink.out.at);
}

/* ---- every call in every stage ---------------------------------------------------------------------------- */

enum stage { ADDING, BEGUN, HALF, SCATTERED, FULL, FULL_TO, FINISHED, STAGES };

static const char *const stage_names[STAGES] = {
    "adding", "begun", "half of it written", "half of it written to", "all written", "all written to", "finished"};

static void advance(writing *t, int stage) {
    size_t i;
    if (stage == ADDING) {
        CHECK_STATUS(st_writer_add(t->writer, &tensors[0], &t->error), ST_OK);
        return;
    }
    CHECK_STATUS(stream_declare(t->writer, &plain, &t->error), ST_OK);
    if (stage == HALF) CHECK_STATUS(st_writer_write(t->writer, data, 9, &t->error), ST_OK);
    if (stage == FULL || stage == FINISHED)
        CHECK_STATUS(st_writer_write(t->writer, data, DATA_BYTES, &t->error), ST_OK);
    if (stage == SCATTERED) {
        CHECK_STATUS(st_writer_write_to(t->writer, &tensors[0], "xy", 2, &t->error), ST_OK);
        CHECK_STATUS(st_writer_write_to(t->writer, &tensors[2], "a", 1, &t->error), ST_OK);
    }
    for (i = 0; i < 3 && stage == FULL_TO; i++) {
        CHECK_STATUS(
            st_writer_write_to(t->writer, &tensors[i], tensors[i].data, (size_t)tensor_bytes(&tensors[i]), &t->error),
            ST_OK);
    }
    if (stage == FINISHED) CHECK_STATUS(st_writer_finish(t->writer, &t->error), ST_OK);
}

/* completes the file from that stage; it must be the same as without the rejected call */
static void finish_from(writing *t, int stage) {
    st_writer *w = t->writer;
    if (stage == ADDING) {
        CHECK_STATUS(st_writer_add_metadata(w, &pairs[1], &t->error), ST_OK);
        CHECK_STATUS(st_writer_add(w, &tensors[1], &t->error), ST_OK);
        CHECK_STATUS(st_writer_add_metadata(w, &pairs[0], &t->error), ST_OK);
        CHECK_STATUS(st_writer_add(w, &tensors[2], &t->error), ST_OK);
        CHECK_STATUS(st_writer_begin(w, &t->error), ST_OK);
    }
    if (stage == ADDING || stage == BEGUN) CHECK_STATUS(st_writer_write(w, data, DATA_BYTES, &t->error), ST_OK);
    if (stage == HALF) CHECK_STATUS(st_writer_write(w, data + 9, DATA_BYTES - 9, &t->error), ST_OK);
    if (stage == SCATTERED) {
        CHECK_STATUS(st_writer_write_to(w, &tensors[2], "bcdefgh", 7, &t->error), ST_OK);
        CHECK_STATUS(st_writer_write_to(w, &tensors[0], "z", 1, &t->error), ST_OK);
    }
    if (stage != FINISHED) {
        if (!t->to_sink) CHECK(!file_is(scratch_path(TARGET), golden, golden_bytes)); /* created by the finish only */
        CHECK_STATUS(st_writer_finish(w, &t->error), ST_OK);
    }
    CHECK(st_writer_next(w) == NULL);
    if (t->to_sink) {
        CHECK(same_bytes(t->sink.out.at, t->sink.out.n, golden, golden_bytes));
    } else {
        CHECK(file_is(scratch_path(TARGET), golden, golden_bytes));
        check_no_temporary();
    }
}

enum call {
    ADD,
    ADD_PAIR,
    ADD_METADATA,
    ADD_NULL,
    BEGIN,
    WRITE,
    WRITE_NOTHING,
    WRITE_NULL,
    WRITE_TOO_MUCH,
    WRITE_TO,
    WRITE_TO_TOO_MUCH,
    WRITE_TO_NO_BYTES,
    WRITE_TO_UNKNOWN,
    WRITE_TO_NULL,
    WRITE_TO_NO_NAME,
    WRITE_TO_NULL_BYTES,
    FINISH,
    CALLS
};

static const char *const call_names[CALLS] = {"add",
                                              "add pair",
                                              "add metadata",
                                              "add NULL",
                                              "begin",
                                              "write",
                                              "write nothing",
                                              "write NULL",
                                              "write too much",
                                              "write to",
                                              "write to, too much",
                                              "write to, no bytes",
                                              "write to the unknown",
                                              "write to NULL",
                                              "write to no name",
                                              "write NULL to",
                                              "finish"};

static st_status call(st_writer *w, int which, st_error *error) {
    const st_tensor more = TENSOR("more", U8, "x", 1), nameless = TENSOR(NULL, U8, "x", 1);
    static const st_pair pair = PAIR("more", "x");
    switch (which) {
    case ADD: return st_writer_add(w, &more, error);
    case ADD_PAIR: return st_writer_add_metadata(w, &pair, error);
    case ADD_METADATA: return st_writer_add_metadata(w, NULL, error);
    case ADD_NULL: return st_writer_add(w, NULL, error);
    case BEGIN: return st_writer_begin(w, error);
    case WRITE: return st_writer_write(w, "!", 1, error);
    case WRITE_NOTHING: return st_writer_write(w, NULL, 0, error);
    case WRITE_NULL: return st_writer_write(w, NULL, 1, error);
    case WRITE_TOO_MUCH: return st_writer_write(w, "!!!!!!!!!!!!", DATA_BYTES + 1, error);
    case WRITE_TO: return st_writer_write_to(w, &tensors[0], "!", 1, error);
    case WRITE_TO_TOO_MUCH: return st_writer_write_to(w, &tensors[0], "!!!!", 4, error);
    case WRITE_TO_NO_BYTES: return st_writer_write_to(w, &tensors[1], "!", 1, error);
    case WRITE_TO_UNKNOWN: return st_writer_write_to(w, &more, "!", 1, error);
    case WRITE_TO_NULL: return st_writer_write_to(w, NULL, "!", 1, error);
    case WRITE_TO_NO_NAME: return st_writer_write_to(w, &nameless, "!", 1, error);
    case WRITE_TO_NULL_BYTES: return st_writer_write_to(w, &tensors[0], NULL, 1, error);
    default: return st_writer_finish(w, error);
    }
}

#define FINE ST_STATUS_32_BITS_ /* a valid call, tested elsewhere */

/* clang-format off */
static const st_status verdicts[CALLS][STAGES] = {
    /*                      adding           begun             half              scattered         full              full, to          finished */
    [ADD] =                 {FINE,            ST_ERR_STATE,     ST_ERR_STATE,     ST_ERR_STATE,     ST_ERR_STATE,     ST_ERR_STATE,     ST_ERR_STATE},
    [ADD_PAIR] =            {FINE,            ST_ERR_STATE,     ST_ERR_STATE,     ST_ERR_STATE,     ST_ERR_STATE,     ST_ERR_STATE,     ST_ERR_STATE},
    [ADD_METADATA] =        {FINE,            ST_ERR_STATE,     ST_ERR_STATE,     ST_ERR_STATE,     ST_ERR_STATE,     ST_ERR_STATE,     ST_ERR_STATE},
    [ADD_NULL] =            {ST_ERR_ARGUMENT, FINE,             FINE,             FINE,             FINE,             FINE,             FINE},
    [BEGIN] =               {FINE,            ST_ERR_STATE,     ST_ERR_STATE,     ST_ERR_STATE,     ST_ERR_STATE,     ST_ERR_STATE,     ST_ERR_STATE},
    [WRITE] =               {ST_ERR_STATE,    FINE,             FINE,             ST_ERR_STATE,     ST_ERR_ARGUMENT,  ST_ERR_STATE,     ST_ERR_STATE},
    [WRITE_NOTHING] =       {ST_ERR_STATE,    ST_OK,            ST_OK,            ST_ERR_STATE,     ST_OK,            ST_ERR_STATE,     ST_ERR_STATE},
    [WRITE_NULL] =          {FINE,            ST_ERR_ARGUMENT,  ST_ERR_ARGUMENT,  FINE,             ST_ERR_ARGUMENT,  FINE,             FINE},
    [WRITE_TOO_MUCH] =      {ST_ERR_STATE,    ST_ERR_ARGUMENT,  ST_ERR_ARGUMENT,  ST_ERR_STATE,     ST_ERR_ARGUMENT,  ST_ERR_STATE,     ST_ERR_STATE},
    [WRITE_TO] =            {ST_ERR_STATE,    FINE,             ST_ERR_STATE,     FINE,             ST_ERR_STATE,     ST_ERR_ARGUMENT,  ST_ERR_STATE},
    [WRITE_TO_TOO_MUCH] =   {ST_ERR_STATE,    ST_ERR_ARGUMENT,  ST_ERR_STATE,     ST_ERR_ARGUMENT,  ST_ERR_STATE,     ST_ERR_ARGUMENT,  ST_ERR_STATE},
    [WRITE_TO_NO_BYTES] =   {ST_ERR_STATE,    ST_ERR_ARGUMENT,  ST_ERR_STATE,     ST_ERR_ARGUMENT,  ST_ERR_STATE,     ST_ERR_ARGUMENT,  ST_ERR_STATE},
    [WRITE_TO_UNKNOWN] =    {ST_ERR_STATE,    ST_ERR_NOT_FOUND, ST_ERR_STATE,     ST_ERR_NOT_FOUND, ST_ERR_STATE,     ST_ERR_NOT_FOUND, ST_ERR_STATE},
    [WRITE_TO_NULL] =       {FINE,            ST_ERR_ARGUMENT,  FINE,             ST_ERR_ARGUMENT,  FINE,             ST_ERR_ARGUMENT,  FINE},
    [WRITE_TO_NO_NAME] =    {FINE,            ST_ERR_ARGUMENT,  FINE,             ST_ERR_ARGUMENT,  FINE,             ST_ERR_ARGUMENT,  FINE},
    [WRITE_TO_NULL_BYTES] = {FINE,            ST_ERR_ARGUMENT,  FINE,             ST_ERR_ARGUMENT,  FINE,             ST_ERR_ARGUMENT,  FINE},
    [FINISH] =              {ST_ERR_STATE,    ST_ERR_STATE,     ST_ERR_STATE,     ST_ERR_STATE,     FINE,             FINE,             ST_ERR_STATE},
};
/* clang-format on */

static void one_call(int stage, int which, int to_sink) {
    const int to = which >= WRITE_TO && which <= WRITE_TO_UNKNOWN;
    const st_status want = to_sink && to ? ST_ERR_UNSUPPORTED : verdicts[which][stage];
    int abandon;
    char row[96];
    if (want == FINE) return;
    snprintf(row, sizeof row, "%s: %s, to a %s", stage_names[stage], call_names[which], to_sink ? "sink" : "file");
    test_row = row;
    for (abandon = 0; abandon <= 1; abandon++) {
        writing t;
        target_begin();
        writing_begin(&t, to_sink, scratch_path(TARGET));
        advance(&t, stage);
        memset(&t.error, 0xee, sizeof t.error);
        CHECK_STATUS(call(t.writer, which, &t.error), want);
        CHECK_STATUS(t.error.status, want);
        if (want != ST_OK) check_text(t.error.message, sizeof t.error.message);
        CHECK_STATUS(call(t.writer, which, NULL), want); /* the second call fails too; the error may be NULL */
        if (!abandon) finish_from(&t, stage);
        writing_end(&t);
        if (!to_sink && abandon && stage != FINISHED) target_is_old();
        if (!to_sink && (!abandon || stage == FINISHED)) CHECK(file_is(scratch_path(TARGET), golden, golden_bytes));
        if (!to_sink) check_no_temporary();
    }
    test_row = "";
}

static void every_call(void) {
    int stage, which;
    for (stage = 0; stage < STAGES; stage++) {
        for (which = 0; which < CALLS; which++) {
            one_call(stage, which, 0);
            if (stage != SCATTERED && stage != FULL_TO) one_call(stage, which, 1);
        }
    }
    scratch_remove(TARGET);
}

static void no_writer(void) {
    st_error error;
    CHECK_STATUS(st_writer_add(NULL, &tensors[0], &error), ST_ERR_ARGUMENT);
    CHECK_STATUS(st_writer_add_metadata(NULL, NULL, &error), ST_ERR_ARGUMENT);
    CHECK_STATUS(st_writer_begin(NULL, &error), ST_ERR_ARGUMENT);
    CHECK_STATUS(st_writer_write(NULL, "x", 1, &error), ST_ERR_ARGUMENT);
    CHECK_STATUS(st_writer_write_to(NULL, &tensors[0], "x", 1, &error), ST_ERR_ARGUMENT);
    CHECK_STATUS(st_writer_finish(NULL, &error), ST_ERR_ARGUMENT);
    CHECK(st_writer_next(NULL) == NULL);
    st_writer_close(NULL);
}

/* ---- errors about missing bytes --------------------------------------------------------------------------- */

static void missing_bytes(void) {
    writing t;
    test_row = "missing bytes";
    writing_begin(&t, 1, NULL);
    advance(&t, HALF);
    CHECK_STATUS(st_writer_finish(t.writer, &t.error), ST_ERR_STATE);
    CHECK_STR(t.error.subject, "b");
    CHECK_EQ(t.error.expected, 3);
    CHECK_EQ(t.error.actual, 1);
    writing_end(&t);
}

/* ---- st_writer_next --------------------------------------------------------------------------------------- */

static void next(void) {
    const st_tensor *n;
    writing t;
    test_row = "next";
    writing_begin(&t, 1, NULL);
    CHECK(st_writer_next(t.writer) == NULL);
    CHECK_STATUS(stream_declare(t.writer, &plain, &t.error), ST_OK);
    n = st_writer_next(t.writer);
    if (CHECK(n != NULL)) {
        CHECK(same_name(n, &tensors[2]));
        CHECK_EQ(n->name_bytes, 1);
        CHECK_STR(n->dtype_name, "F32");
        CHECK(n->dtype == ST_DTYPE_F32 && n->rank == 1 && n->shape[0] == 2 && n->elements == 2 && n->bytes == 8);
        CHECK_EQ(n->offset, golden_bytes - DATA_BYTES);
        CHECK(n->data == NULL && n->shard == 0);
    }
    CHECK_STATUS(st_writer_write(t.writer, data, 7, &t.error), ST_OK);
    CHECK(st_writer_next(t.writer) == n);
    CHECK_STATUS(st_writer_write(t.writer, data + 7, 1, &t.error), ST_OK);
    n = st_writer_next(t.writer); /* empty tensors are skipped */
    CHECK(n != NULL && same_name(n, &tensors[0]));
    CHECK_STATUS(st_writer_write(t.writer, data + 8, 3, &t.error), ST_OK);
    CHECK(st_writer_next(t.writer) == NULL);
    CHECK_STATUS(st_writer_finish(t.writer, &t.error), ST_OK);
    writing_end(&t);
    test_row = "next, after st_writer_write_to";
    target_begin();
    writing_begin(&t, 0, scratch_path(TARGET));
    CHECK_STATUS(stream_declare(t.writer, &plain, &t.error), ST_OK);
    CHECK_STATUS(st_writer_write_to(t.writer, &tensors[2], data, 8, &t.error), ST_OK);
    n = st_writer_next(t.writer);
    CHECK(n != NULL && same_name(n, &tensors[0]));
    CHECK_STATUS(st_writer_write_to(t.writer, &tensors[0], data + 8, 2, &t.error), ST_OK);
    CHECK(st_writer_next(t.writer) == n);
    CHECK_STATUS(st_writer_write_to(t.writer, &tensors[0], data + 10, 1, &t.error), ST_OK);
    CHECK(st_writer_next(t.writer) == NULL);
    CHECK_STATUS(st_writer_finish(t.writer, &t.error), ST_OK);
    writing_end(&t);
    CHECK(file_is(scratch_path(TARGET), golden, golden_bytes));
    scratch_remove(TARGET);
}

/* ---- rejected tensors and pairs --------------------------------------------------------------------------- */

/* a rejected tensor or pair after each valid one: the file is the same as without them */
static void refused_declarations(void) {
    const st_tensor bad[] = {TENSOR("__metadata__", U8, "x", 1), TENSOR("\xff", U8, "x", 1), TENSOR("f", F4, "x", 1),
                             TENSOR("o", U64, "x", 18446744073709551615u)};
    static const st_pair bad_pairs[] = {PAIR("\xff", ""), PAIR("new", "\xff")};
    writing t;
    size_t i, k;
    test_row = "refused declarations";
    writing_begin(&t, 1, NULL);
    for (i = 0; i < 3; i++) {
        CHECK_STATUS(add_passing(t.writer, &tensors[i], &t.error), ST_OK);
        for (k = 0; k < sizeof bad / sizeof *bad; k++) CHECK(add_passing(t.writer, &bad[k], &t.error) != ST_OK);
    }
    for (i = 0; i < 2; i++) {
        CHECK_STATUS(add_pair_passing(t.writer, &pairs[i], &t.error), ST_OK);
        for (k = 0; k < sizeof bad_pairs / sizeof *bad_pairs; k++) {
            CHECK(add_pair_passing(t.writer, &bad_pairs[k], &t.error) != ST_OK);
        }
    }
    CHECK_STATUS(st_writer_begin(t.writer, &t.error), ST_OK);
    CHECK_STATUS(st_writer_write(t.writer, data, DATA_BYTES, &t.error), ST_OK);
    CHECK_STATUS(st_writer_finish(t.writer, &t.error), ST_OK);
    CHECK(same_bytes(t.sink.out.at, t.sink.out.n, golden, golden_bytes));
    writing_end(&t);
}

/* a duplicate name or key makes every begin fail, and nothing is written */
static void repeated_declarations(void) {
    const st_tensor again = TENSOR("e", U8, "x", 1);
    static const st_pair pair_again = PAIR("k", "again");
    int which;
    for (which = 0; which < 3; which++) {
        writing t;
        size_t i;
        test_row = which == 0 ? "a name twice" : which == 1 ? "a key twice" : "both twice";
        writing_begin(&t, 1, NULL);
        for (i = 0; i < 2; i++) CHECK_STATUS(add_pair_passing(t.writer, &pairs[i], &t.error), ST_OK);
        if (which > 0) CHECK_STATUS(add_pair_passing(t.writer, &pair_again, &t.error), ST_OK);
        if (which != 1) CHECK_STATUS(add_passing(t.writer, &again, &t.error), ST_OK);
        for (i = 0; i < 3; i++) CHECK_STATUS(add_passing(t.writer, &tensors[i], &t.error), ST_OK);
        for (i = 0; i < 2; i++) {
            CHECK_STATUS(st_writer_begin(t.writer, &t.error), ST_ERR_DUPLICATE);
            CHECK_STR(t.error.subject, which == 0 ? "e" : "k");
            CHECK_STATUS(st_writer_write(t.writer, data, 1, &t.error), ST_ERR_STATE);
        }
        CHECK_EQ(t.sink.refusing.calls, 0);
        writing_end(&t);
    }
}

/* no metadata, or an empty object, requested before, between or after pairs */
static void metadata_objects(void) {
    int how;
    for (how = 0; how < 5; how++) {
        static const char *const texts[5] = {"{}", "{\"__metadata__\":{}}", "{\"__metadata__\":{\"k\":\"v\"}}",
                                             "{\"__metadata__\":{\"k\":\"v\"}}",
                                             "{\"__metadata__\":{\"j\":\"w\",\"k\":\"v\"}}"};
        size_t n;
        unsigned char *want = golden_file(texts[how], strlen(texts[how]), 0, 0, "", 0, &n);
        writing t;
        test_row = texts[how];
        writing_begin(&t, 1, NULL);
        if (how == 1 || how == 2) CHECK_STATUS(st_writer_add_metadata(t.writer, NULL, &t.error), ST_OK);
        if (how >= 2) CHECK_STATUS(st_writer_add_metadata(t.writer, &pairs[0], &t.error), ST_OK);
        if (how >= 3) CHECK_STATUS(st_writer_add_metadata(t.writer, NULL, &t.error), ST_OK);
        if (how == 4) CHECK_STATUS(st_writer_add_metadata(t.writer, &pairs[1], &t.error), ST_OK);
        CHECK_STATUS(st_writer_begin(t.writer, &t.error), ST_OK);
        CHECK_STATUS(st_writer_finish(t.writer, &t.error), ST_OK);
        CHECK(same_bytes(t.sink.out.at, t.sink.out.n, want, n));
        writing_end(&t);
        free(want);
    }
}

/* ---- a begin that fails changes nothing ------------------------------------------------------------------- */

static void begin_again(void) {
    writing t;
    char path[200];
    snprintf(path, sizeof path, "%s/%s", scratch_path("later"), TARGET);
    test_row = "no directory yet";
    writing_begin(&t, 0, path);
    CHECK_STATUS(stream_declare(t.writer, &plain, &t.error), ST_ERR_NOT_FOUND);
    CHECK_STATUS(st_writer_begin(t.writer, &t.error), ST_ERR_NOT_FOUND);
    CHECK_STATUS(st_writer_write(t.writer, data, 1, &t.error), ST_ERR_STATE);
    CHECK(SCRATCH_MAKE(scratch_path("later")) == 0);
    CHECK(SCRATCH_MAKE(path) == 0);
    test_row = "a directory of that name";
    CHECK_STATUS(st_writer_begin(t.writer, &t.error), ST_ERR_IO);
    CHECK(SCRATCH_DROP(path) == 0); /* fails unless empty */
    test_row = "begun at last";
    CHECK_STATUS(st_writer_begin(t.writer, &t.error), ST_OK);
    CHECK_STATUS(st_writer_write(t.writer, data, DATA_BYTES, &t.error), ST_OK);
    CHECK_STATUS(st_writer_finish(t.writer, &t.error), ST_OK);
    writing_end(&t);
    CHECK(file_is(path, golden, golden_bytes));
    CHECK(remove(path) == 0);
    CHECK(SCRATCH_DROP(scratch_path("later")) == 0); /* fails unless empty: no temporary was left */
}

/* ---- failures are final ----------------------------------------------------------------------------------- */

static void failure_is_final(void) {
    enum { LONG_BYTES = 3000001 };
    static const uint64_t shape[1] = {LONG_BYTES};
    char *bytes = (char *)need(LONG_BYTES);
    st_tensor tensor;
    st_status status = ST_OK;
    size_t fail_at;
    memset(bytes, 5, LONG_BYTES);
    memset(&tensor, 0, sizeof tensor);
    tensor.name = "t";
    tensor.dtype = ST_DTYPE_U8;
    tensor.rank = 1;
    tensor.shape = shape;
    for (fail_at = 1; fail_at < 1000; fail_at++) {
        writing t;
        size_t at = 0;
        char row[64];
        snprintf(row, sizeof row, "the sink's call %d fails", (int)fail_at);
        test_row = row;
        writing_begin(&t, 1, NULL);
        t.sink.refusing.fail_at = fail_at;
        t.sink.refusing.code = -1; /* has a special meaning only in other callbacks */
        CHECK_STATUS(st_writer_add(t.writer, &tensor, &t.error), ST_OK);
        status = st_writer_begin(t.writer, &t.error);
        while (status == ST_OK && at < LONG_BYTES) {
            const size_t n = LONG_BYTES - at < 300007 ? LONG_BYTES - at : 300007;
            status = st_writer_write(t.writer, bytes + at, n, &t.error);
            at += n;
        }
        if (status == ST_OK) status = st_writer_finish(t.writer, &t.error);
        if (status != ST_OK) {
            CHECK_STATUS(status, ST_ERR_IO);
            CHECK_EQ(t.error.sys, -1);
            CHECK_EQ(t.sink.refusing.calls, fail_at);
            CHECK_STATUS(st_writer_write(t.writer, bytes, 1, &t.error), ST_ERR_STATE);
            CHECK_STATUS(st_writer_finish(t.writer, &t.error), ST_ERR_STATE);
            CHECK_STATUS(st_writer_begin(t.writer, &t.error), ST_ERR_STATE);
            CHECK(st_writer_next(t.writer) == NULL);
        }
        st_writer_close(t.writer);
        t.writer = NULL;
        CHECK(status == ST_OK || t.sink.refusing.calls == fail_at); /* not called after a failure */
        writing_end(&t);
        if (status == ST_OK) break;
    }
    CHECK(fail_at > 2 && status == ST_OK);
    free(bytes);
}

/* ---- several writers, long names, empty files ------------------------------------------------------------- */

/* two writers for one target: each has its own temporary, and the last to finish wins */
static void two_writers(void) {
    const st_tensor other = TENSOR("other", U8, "o", 1);
    static const char other_header[] = "{\"other\":" E("U8", "[1]", "[0,1]") "}";
    size_t n, temporary;
    unsigned char *want = golden_file(other_header, sizeof other_header - 1, 0, 0, "o", 1, &n);
    writing t, u;
    test_row = "two writers";
    target_begin();
    writing_begin(&t, 0, scratch_path(TARGET));
    writing_begin(&u, 0, scratch_path(TARGET));
    CHECK_STATUS(st_writer_add(u.writer, &other, &u.error), ST_OK);
    CHECK_STATUS(st_writer_begin(u.writer, &u.error), ST_OK);
    advance(&t, HALF);
    (void)names_in(scratch_directory, &temporary);
    CHECK_EQ(temporary, 2);
    CHECK_STATUS(st_writer_write(u.writer, "o", 1, &u.error), ST_OK);
    CHECK_STATUS(st_writer_finish(u.writer, &u.error), ST_OK);
    CHECK(file_is(scratch_path(TARGET), want, n));
    finish_from(&t, HALF);
    writing_end(&u); /* closed after the other finished: it must not remove the other's file */
    writing_end(&t);
    CHECK(file_is(scratch_path(TARGET), golden, golden_bytes));
    check_no_temporary();
    scratch_remove(TARGET);
    free(want);
}

/* names of many lengths that are prefixes of each other, or contain NUL; write_to finds each */
static void names(void) {
    enum { COUNT = 600 };
    static const uint64_t one[1] = {1};
    st_tensor *all = (st_tensor *)need(COUNT * sizeof *all);
    char text[COUNT + 1], bytes[COUNT];
    writing t;
    saving s;
    size_t i;
    memset(all, 0, COUNT * sizeof *all);
    memset(&s, 0, sizeof s);
    memset(text, 0, sizeof text);
    memset(text + 200, 'a', 200); /* NULs, then letters, then NULs */
    for (i = 0; i < COUNT; i++) { /* lengths 1, 600, 2, 599 ... */
        bytes[i] = (char)(i % 100);
        all[i].name = text;
        all[i].name_bytes = i % 2 ? COUNT - i / 2 : i / 2 + 1;
        all[i].dtype = ST_DTYPE_U8;
        all[i].rank = 1;
        all[i].shape = one;
        all[i].data = &bytes[i];
    }
    s.tensors = all;
    s.count = COUNT;
    test_row = "names";
    target_begin();
    writing_begin(&t, 0, scratch_path(TARGET));
    CHECK_STATUS(stream_declare(t.writer, &s, &t.error), ST_OK);
    for (i = 0; i < COUNT; i++) {
        CHECK_STATUS(st_writer_write_to(t.writer, &all[i], all[i].data, 1, &t.error), ST_OK);
        CHECK_STATUS(st_writer_write_to(t.writer, &all[i], "x", 1, &t.error), ST_ERR_ARGUMENT);
    }
    CHECK_STATUS(st_writer_finish(t.writer, &t.error), ST_OK);
    writing_end(&t);
    {
        st_model *m;
        CHECK_STATUS(st_open(&m, scratch_path(TARGET), NULL, &t.error), ST_OK);
        if (m != NULL) check_holds(m, &s);
        st_close(m);
    }
    scratch_remove(TARGET);
    free(all);
}

/* only tensors without bytes, and no tensors */
static void nothing_to_write(void) {
    static const char empty_header[] = "{\"e\":" E("I32", "[0]", "[0,0]") "}";
    int with;
    for (with = 0; with <= 1; with++) {
        const char *text = with ? empty_header : "{}";
        size_t n;
        unsigned char *want = golden_file(text, strlen(text), 0, 0, "", 0, &n);
        writing t;
        test_row = text;
        target_begin();
        writing_begin(&t, 0, scratch_path(TARGET));
        if (with) CHECK_STATUS(st_writer_add(t.writer, &tensors[1], &t.error), ST_OK);
        CHECK_STATUS(st_writer_begin(t.writer, &t.error), ST_OK);
        CHECK(st_writer_next(t.writer) == NULL);
        CHECK_STATUS(st_writer_write(t.writer, "", 0, &t.error), ST_OK);
        CHECK_STATUS(st_writer_write(t.writer, "x", 1, &t.error), ST_ERR_ARGUMENT);
        CHECK_STATUS(st_writer_finish(t.writer, &t.error), ST_OK);
        writing_end(&t);
        CHECK(file_is(scratch_path(TARGET), want, n));
        free(want);
    }
    scratch_remove(TARGET);
}

int main(void) {
    scratch_begin("stream");
    golden = golden_file(header, sizeof header - 1, 0, 0, data, DATA_BYTES, &golden_bytes);
    every_call();
    no_writer();
    missing_bytes();
    next();
    refused_declarations();
    repeated_declarations();
    metadata_objects();
    begin_again();
    failure_is_final();
    two_writers();
    names();
    nothing_to_write();
    test_row = "";
    free(golden);
    scratch_end();
    return test_done("stream");
}
