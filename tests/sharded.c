/* Tests saving in several files: the plan, shard names, the index's text, errors, replacing an older model, and
 * saving from several processes. */
#include "../safetensors.h"

#include "folder.h"
#include "parts.h"
#if HAS_POSIX
#include <sys/resource.h>
#endif

#define OF "-of-0000"
#define SHARD_NAME(i, n) "model-0000" #i OF #n ".safetensors"

static st_save_options options_of(uint64_t limit) {
    st_save_options o;
    memset(&o, 0, sizeof o);
    o.max_shard_bytes = limit;
    o.flags = ST_SAVE_NO_SYNC;
    return o;
}

static st_contents beside; /* `index` and `from` of the saved contents; tests may set them */

/* st_contents in one expression */
#define MODEL(tensors_, count_, pairs_, pair_count_)         \
    (&(const st_contents){.tensors = tensors_,               \
                          .count = count_,                   \
                          .metadata = pairs_,                \
                          .metadata_count = pair_count_,     \
                          .index = beside.index,             \
                          .index_count = beside.index_count, \
                          .from = beside.from})

static st_status save(const st_tensor *tensors, size_t count, const st_save_options *options, st_error *error) {
    memset(error, 0xee, sizeof *error);
    return st_save_sharded(scratch_directory, MODEL(tensors, count, NULL, 0), options, error);
}

/* ---- st_plan_shards --------------------------------------------------------------------------------------- */

typedef struct plan_case {
    const char *name;
    uint64_t limit;
    const uint64_t *sizes; /* size of each tensor */
    size_t count;
    const uint32_t *shards;
} plan_case;

#define SIZES(...) ((const uint64_t[]){__VA_ARGS__}), sizeof((const uint64_t[]){__VA_ARGS__}) / sizeof(uint64_t)
#define SHARDS(...) ((const uint32_t[]){__VA_ARGS__})

/* clang-format off */
static const plan_case plan_cases[] = {
    {"V-F1: two small ones", 0, SIZES(160, 16), SHARDS(0, 0)},
    {"V-F3: a large and a small one", 1, SIZES(40000, 16), SHARDS(0, 1)},
    {"V-F4: full ones", 8, SIZES(4, 4, 4, 4), SHARDS(0, 0, 1, 1)},
    {"the hub's, but for its order", 10, SIZES(6, 10, 30, 2, 2), SHARDS(0, 1, 2, 3, 3)},
    {"no optimal packing", 10, SIZES(6, 6, 2, 6, 2, 2), SHARDS(0, 1, 1, 2, 2, 2)},
    {"exactly full", 10, SIZES(5, 5, 10, 1), SHARDS(0, 0, 1, 2)},
    {"one byte too many", 10, SIZES(5, 6), SHARDS(0, 1)},
    {"too large ones are alone", 10, SIZES(11, 11, 1, 11), SHARDS(0, 1, 2, 3)},
    {"among empty ones too", 10, SIZES(0, 11, 0, 0), SHARDS(0, 1, 2, 2)},
    {"empty ones fit a full one", 10, SIZES(10, 0, 0), SHARDS(0, 0, 0)},
    {"empty ones alone", 10, SIZES(0, 0), SHARDS(0, 0)},
    {"five thousand million by default", 0, SIZES(2500000000u, 2500000000u, 1), SHARDS(0, 0, 1)},
    {"a limit that nothing reaches", UINT64_MAX, SIZES(1, (uint64_t)1 << 60), SHARDS(0, 0)},
};
/* clang-format on */

static void plan(const plan_case *c) {
    const uint32_t *want = c->shards;
    st_tensor tensors[8];
    char names[8][4];
    uint32_t shards[8], count = 77;
    st_save_options o = options_of(c->limit);
    st_error error;
    size_t i;
    memset(tensors, 0, sizeof tensors);
    memset(shards, 0xee, sizeof shards);
    for (i = 0; i < c->count; i++) {
        snprintf(names[i], sizeof names[i], "t%d", (int)i);
        tensors[i].name = names[i];
        tensors[i].dtype = ST_DTYPE_U8;
        tensors[i].rank = 1;
        tensors[i].shape = &c->sizes[i];
    }
    CHECK_STATUS(st_plan_shards(CONTENTS(tensors, c->count, NULL, 0), &o, shards, &count, &error), ST_OK);
    CHECK_STATUS(error.status, ST_OK);
    for (i = 0; i < c->count; i++) CHECK_EQ(shards[i], want[i]);
    CHECK_EQ(count, want[c->count - 1] + 1);
    CHECK_EQ(shards[c->count], 0xeeeeeeee);
    count = 77;
    CHECK_STATUS(st_plan_shards(CONTENTS(tensors, c->count, NULL, 0), &o, NULL, &count, NULL), ST_OK);
    CHECK_EQ(count, want[c->count - 1] + 1);
}

static void plans(void) {
    size_t i;
    for (i = 0; i < sizeof plan_cases / sizeof *plan_cases; i++) {
        test_row = plan_cases[i].name;
        plan(&plan_cases[i]);
    }
    test_row = "";
}

static void plans_refused(void) {
    static const uint64_t one = 1, much = (uint64_t)1 << 60, odd = 3;
    st_tensor t[3], eight[8];
    st_tensor *many = (st_tensor *)need(65537 * sizeof *many);
    st_save_options o = options_of(1);
    st_error error;
    uint32_t count = 77;
    size_t i;
    memset(t, 0, sizeof t);
    for (i = 0; i < 3; i++) {
        t[i].name = i == 0 ? "a" : i == 1 ? "b" : "c";
        t[i].dtype = ST_DTYPE_U8;
        t[i].rank = 1;
        t[i].shape = &one;
    }
    CHECK_STATUS(st_plan_shards(CONTENTS(NULL, 0, NULL, 0), NULL, NULL, &count, &error), ST_OK);
    CHECK_EQ(count, 1);
    CHECK_STATUS(st_plan_shards(CONTENTS(NULL, 1, NULL, 0), NULL, NULL, &count, &error), ST_ERR_ARGUMENT);
    CHECK_STATUS(st_plan_shards(CONTENTS(t, 1, NULL, 0), NULL, NULL, NULL, &error), ST_ERR_ARGUMENT);
    o.flags = 1 << 4;
    CHECK_STATUS(st_plan_shards(CONTENTS(t, 1, NULL, 0), &o, NULL, &count, &error), ST_ERR_ARGUMENT);
    o.flags = 0;
    o.align = 7;
    CHECK_STATUS(st_plan_shards(CONTENTS(t, 1, NULL, 0), &o, NULL, &count, &error), ST_ERR_ARGUMENT);
    CHECK(strncmp(error.message, "(plan): ", 8) == 0);
    CHECK_STR(error.subject, "align");
    o.align = 0;
    o.work.data = t;
    CHECK_STATUS(st_plan_shards(CONTENTS(t, 1, NULL, 0), &o, NULL, &count, &error), ST_ERR_ARGUMENT);
    CHECK_STR(error.subject, "work");
    o.work.data = NULL;
    t[1].dtype = ST_DTYPE_F4;
    t[1].shape = &odd;
    CHECK_STATUS(st_plan_shards(CONTENTS(t, 3, NULL, 0), &o, NULL, &count, &error), ST_ERR_SUBBYTE);
    CHECK_STR(error.subject, "b");
    for (i = 0; i < 8; i++) { /* 2^63 bytes in total; each tensor alone would fit in a file */
        eight[i] = t[2];
        eight[i].shape = &much;
        eight[i].name = i < 7 ? "small" : "large";
    }
    CHECK_STATUS(st_plan_shards(CONTENTS(eight, 7, NULL, 0), &o, NULL, &count, &error), ST_OK);
    CHECK_STATUS(st_plan_shards(CONTENTS(eight, 8, NULL, 0), &o, NULL, &count, &error), ST_ERR_OVERFLOW);
    CHECK_STR(error.subject, "large");
    for (i = 0; i < 65537; i++) many[i] = t[0]; /* planning does not detect duplicate names */
    CHECK_STATUS(st_plan_shards(CONTENTS(many, 65536, NULL, 0), &o, NULL, &count, &error), ST_OK);
    CHECK_EQ(count, 65536);
    CHECK_STATUS(st_plan_shards(CONTENTS(many, 65537, NULL, 0), &o, NULL, &count, &error), ST_ERR_TOO_LARGE);
    CHECK_EQ(error.expected, 65536);
    free(many);
}

static void names(void) {
    static const struct {
        uint32_t shard, count;
        const char *name;
    } cases[] = {
        {0, 1, "model.safetensors"},
        {0, 2, "model-00001-of-00002.safetensors"},
        {1, 2, "model-00002-of-00002.safetensors"},
        {8, 9, "model-00009-of-00009.safetensors"},
        {98, 120, "model-00099-of-00120.safetensors"},
        {99999, 100000, "model-100000-of-100000.safetensors"},
        {9999, 100000, "model-10000-of-100000.safetensors"},
        {0, 100000, "model-00001-of-100000.safetensors"},
        {UINT32_MAX - 1, UINT32_MAX, "model-4294967295-of-4294967295.safetensors"},
    };
    char name[ST_SHARD_NAME_BYTES + 1];
    size_t i;
    for (i = 0; i < sizeof cases / sizeof *cases; i++) {
        const size_t n = strlen(cases[i].name) + 1;
        memset(name, 'x', sizeof name);
        CHECK_STATUS(st_shard_name(NULL, cases[i].shard, cases[i].count, name, n), ST_OK);
        CHECK_STR(name, cases[i].name);
        CHECK(name[n] == 'x');
        memset(name, 'x', sizeof name);
        CHECK_STATUS(st_shard_name(NULL, cases[i].shard, cases[i].count, name, n - 1), ST_ERR_ARGUMENT);
        CHECK(name[0] == 'x');
        CHECK(n <= ST_SHARD_NAME_BYTES);
    }
    CHECK_STATUS(st_shard_name(NULL, 0, 0, name, sizeof name), ST_ERR_ARGUMENT);
    CHECK_STATUS(st_shard_name(NULL, 2, 2, name, sizeof name), ST_ERR_ARGUMENT);
    CHECK_STATUS(st_shard_name(NULL, 0, 1, NULL, 0), ST_ERR_ARGUMENT);
    CHECK_STATUS(st_shard_name(NULL, 0, 1, name, 0), ST_ERR_ARGUMENT);
}

/* ---- the written files ------------------------------------------------------------------------------------ */

static const char bytes_64[] = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-_";

/* five tensors of 16 bytes each, unsorted */
static void five_tensors(st_tensor t[5]) {
    static const uint64_t four = 4;
    static const char *const five_names[5] = {"b", "a", "e", "c", "d"};
    size_t i;
    memset(t, 0, 5 * sizeof *t);
    for (i = 0; i < 5; i++) {
        t[i].name = five_names[i];
        t[i].dtype = ST_DTYPE_F32;
        t[i].rank = 1;
        t[i].shape = &four;
        t[i].data = bytes_64 + i;
    }
}

static const char five_index[] = "{\n  \"metadata\": {\n    \"total_size\": 80\n  },\n  \"weight_map\": {\n"
                                 "    \"a\": \"" SHARD_NAME(1, 3) "\",\n    \"b\": \"" SHARD_NAME(
                                     1, 3) "\",\n"
                                           "    \"c\": \"" SHARD_NAME(2, 3) "\",\n    \"d\": \"" SHARD_NAME(
                                               3, 3) "\",\n"
                                                     "    \"e\": \"" SHARD_NAME(2, 3) "\"\n  }\n}\n";

#define THREE_NAMES SHARD_NAME(1, 3) " " SHARD_NAME(2, 3) " " SHARD_NAME(3, 3) " " INDEX " "

static void plainly(void) {
    static const st_pair metadata = PAIR("format", "pt");
    st_tensor t[5];
    st_save_options o = options_of(32);
    st_error error;
    char directory[128];
    unsigned flags;
    five_tensors(t);
    for (flags = 0; flags <= ST_SAVE_NO_SYNC; flags += ST_SAVE_NO_SYNC) { /* with and without flushing */
        o.flags = flags;
        CHECK_STATUS(st_save_sharded(scratch_directory, MODEL(t, 5, &metadata, 1), &o, &error), ST_OK);
        CHECK_STATUS(error.status, ST_OK);
        CHECK(folder_is(THREE_NAMES));
        CHECK(folder_holds(t, 5, &metadata, 1, &o));
        index_is(five_index);
    }
    snprintf(directory, sizeof directory, "%s/", scratch_directory);
    o.align = 64;
    o.slack = 10;
    o.flags |= ST_SAVE_KEEP_ORDER;
    CHECK_STATUS(st_save_sharded(directory, MODEL(t, 5, NULL, 0), &o, NULL), ST_OK);
    CHECK(folder_is(THREE_NAMES));
    CHECK(folder_holds(t, 5, NULL, 0, &o));
    o = options_of(0);
    CHECK_STATUS(st_save_sharded(scratch_directory, MODEL(t, 5, &metadata, 1), &o, &error), ST_OK);
    CHECK(folder_is("model.safetensors "));
    CHECK(folder_holds(t, 5, &metadata, 1, &o));
    CHECK_STATUS(st_save_sharded(scratch_directory, MODEL(t, 5, NULL, 0), NULL, &error), ST_OK); /* default size */
    CHECK(folder_is("model.safetensors "));
    CHECK(folder_holds(t, 5, NULL, 0, NULL));
    CHECK_STATUS(save(NULL, 0, &o, &error), ST_OK);
    CHECK(folder_is("model.safetensors "));
    folder_clear();
}

/* opens the directory as one model in every way */
static void opens(void) {
    static const st_pair metadata = PAIR("format", "pt"),
                         more[] = {PAIR("z", "[1,\n 2 ]"), PAIR("dtype", "\"\\u00e9\"")};
    st_tensor t[5];
    st_save_options o = options_of(32);
    st_open_options how;
    st_model *m;
    st_error error;
    size_t i;
    five_tensors(t);
    beside.index = more;
    beside.index_count = 2;
    CHECK_STATUS(st_save_sharded(scratch_directory, MODEL(t, 5, &metadata, 1), &o, &error), ST_OK);
    memset(&beside, 0, sizeof beside);
    for (i = 0; i < 2; i++) {
        saving s = {"", t, 5, &metadata, 1, 0, 0, 0};
        memset(&how, 0, sizeof how);
        how.flags = i == 1 ? ST_OPEN_NO_MAP : 0;
        if (!CHECK(st_open(&m, scratch_directory, &how, &error) == ST_OK)) continue;
        check_holds(m, &s);
        CHECK_EQ(m->shard_count, 3);
        CHECK_EQ(m->bytes, 80);
        CHECK_EQ(m->index_count, 3);
        CHECK_STR(m->index[0].key, "dtype");
        CHECK_STR(m->index[0].value, "\"\\u00e9\"");
        CHECK_STR(m->index[1].value, "80");
        CHECK_STR(m->index[2].value, "[1,\n 2 ]");
#if !defined(_WIN32)
        { /* saving an opened model over itself gives the same bytes */
            st_save_options again = options_of(32);
            char *before = folder_text(INDEX);
            const st_contents contents = st_contents_of(m);
            CHECK_STATUS(st_save_sharded(scratch_directory, &contents, &again, &error), ST_OK);
            CHECK(folder_is(THREE_NAMES));
            CHECK(folder_holds(t, 5, &metadata, 1, &again));
            index_is(before);
            free(before);
        }
#endif
        st_close(m);
    }
    folder_clear();
}

/* ---- the index's text ------------------------------------------------------------------------------------- */

typedef struct index_case {
    const char *name;
    const st_pair *pairs;
    size_t pair_count;
    const char *metadata; /* members of the index's metadata, as Python's json module prints them */
} index_case;

#define TOTAL "    \"total_size\": 80"

/* clang-format off */
static const index_case index_cases[] = {
    {"before and behind total_size", LIST(st_pair, PAIR("z", "1"), PAIR("a", "true"), PAIR("total_size_", "null"), PAIR("total", "\"\"")),
     "    \"a\": true,\n    \"total\": \"\",\n" TOTAL ",\n    \"total_size_\": null,\n    \"z\": 1"},
    {"only before", LIST(st_pair, PAIR("a", "1")), "    \"a\": 1,\n" TOTAL},
    {"only behind", LIST(st_pair, PAIR("u", "1")), TOTAL ",\n    \"u\": 1"},
    {"its own total_size is passed over", LIST(st_pair, PAIR("total_size", "1"), PAIR("total_parameters", "-20.5e+3")),
     "    \"total_parameters\": -20.5e+3,\n" TOTAL},
    {"by code points", LIST(st_pair, PAIR("\xf0\x90\x80\x80", "6"), PAIR("\xef\xbf\xbf", "5"), PAIR("\xc3\xa9", "4"), PAIR("", "0"),
                            PAIR_N("\0", "1"), PAIR("A", "2"), PAIR("\x7f", "3")),
     "    \"\": 0,\n    \"\\u0000\": 1,\n    \"A\": 2,\n" TOTAL ",\n    \"\\u007f\": 3,\n    \"\\u00e9\": 4,\n    \"\\uffff\": 5,\n"
     "    \"\\ud800\\udc00\": 6"},
    {"as given", LIST(st_pair, PAIR("a", " [ [ ] , { } , [ 1,2 ],{ \"b\" :1 , \"a\":{\"x\":[null]}} ]\n"), PAIR("b", "\t{}"), PAIR("c", "[]")),
     "    \"a\":  [ [ ] , { } , [ 1,2 ],{ \"b\" :1 , \"a\":{\"x\":[null]}} ]\n,\n    \"b\": \t{},\n    \"c\": [],\n" TOTAL},
    {"strings too", LIST(st_pair, PAIR("s", "\"\\u0041\\/\x7f~ \xc3\xa9\\u00e9\xf0\x9f\x98\x80\\ud83d\\ude00\"")),
     "    \"s\": \"\\u0041\\/\x7f~ \xc3\xa9\\u00e9\xf0\x9f\x98\x80\\ud83d\\ude00\",\n" TOTAL},
    {"lengths given", LIST(st_pair, {.key = "abc", .key_bytes = 2, .value = "123", .value_bytes = 1}), "    \"ab\": 1,\n" TOTAL},
};
/* clang-format on */

static void index_texts(void) {
    st_tensor t[5];
    st_save_options o = options_of(32);
    st_error error;
    size_t i;
    five_tensors(t);
    for (i = 0; i < sizeof index_cases / sizeof *index_cases; i++) {
        const index_case *c = &index_cases[i];
        char want[2000];
        test_row = c->name;
        beside.index = c->pairs;
        beside.index_count = c->pair_count;
        CHECK_STATUS(save(t, 5, &o, &error), ST_OK);
        snprintf(want, sizeof want, "{\n  \"metadata\": {\n%s\n  },\n%s", c->metadata,
                 strstr(five_index, "  \"weight_map\""));
        index_is(want);
    }
    test_row = "names of tensors";
    beside.index = NULL;
    beside.index_count = 0;
    t[0].name = "\xf0\x9f\x98\x80";
    t[1].name = "\xef\xbf\xbf";
    t[2].name = "\n\x01\"\\/";
    t[3].name = "";
    t[4].name = "a\0b";
    t[4].name_bytes = 3;
    CHECK_STATUS(save(t, 5, &o, &error), ST_OK);
    index_is("{\n  \"metadata\": {\n    \"total_size\": 80\n  },\n  \"weight_map\": {\n"
             "    \"\": \"" SHARD_NAME(2, 3) "\",\n    \"\\n\\u0001\\\"\\\\/\": \"" SHARD_NAME(
                 2, 3) "\",\n"
                       "    \"a\\u0000b\": \"" SHARD_NAME(3, 3) "\",\n    \"\\uffff\": \"" SHARD_NAME(
                           1, 3) "\",\n"
                                 "    \"\\ud83d\\ude00\": \"" SHARD_NAME(1, 3) "\"\n  }\n}\n");
    test_row = "";
    folder_clear();
}

static void depth(void) { /* nesting: values may have 125 levels, as the index adds 2 */
    char deep[300];
    st_pair pair = PAIR("deep", deep);
    st_tensor t[5];
    st_save_options o = options_of(32);
    st_error error;
    size_t n;
    beside.index = &pair;
    beside.index_count = 1;
    five_tensors(t);
    for (n = 125; n <= 126; n++) {
        memset(deep, '[', n);
        memset(deep + n, ']', n);
        deep[2 * n] = 0;
        CHECK_STATUS(save(t, 5, &o, &error), n == 125 ? ST_OK : ST_ERR_JSON);
        if (n == 125) folder_clear();
    }
    memset(&beside, 0, sizeof beside);
    CHECK(folder_is(""));
}

/* ---- errors ----------------------------------------------------------------------------------------------- */

/* writes the model that must still be there after a failed save */
static void older_model(void) {
    st_tensor t[5];
    st_save_options o = options_of(16);
    st_error error;
    five_tensors(t);
    CHECK_STATUS(save(t, 2, &o, &error), ST_OK);
    CHECK(folder_is(SHARD_NAME(1, 2) " " SHARD_NAME(2, 2) " " INDEX " "));
}

static void older_model_is_there(void) {
    st_tensor t[5];
    st_save_options o = options_of(16);
    five_tensors(t);
    CHECK(folder_is(SHARD_NAME(1, 2) " " SHARD_NAME(2, 2) " " INDEX " "));
    CHECK(folder_holds(t, 2, NULL, 0, &o));
}

static int no_bytes(void *user, const st_tensor *tensor, uint64_t offset, void *dst, size_t n) {
    (void)user, (void)tensor, (void)offset, (void)dst, (void)n;
    return 1;
}

static void refused(const st_tensor *t, size_t count, const st_pair *metadata, size_t metadata_count,
                    const st_save_options *o, st_status status, const char *subject) {
    counting memory;
    st_save_options all = *o;
    st_error error;
    counting_begin(&memory);
    all.allocator = &memory.allocator;
    memset(&error, 0xee, sizeof error);
    CHECK_STATUS(st_save_sharded(scratch_directory, MODEL(t, count, metadata, metadata_count), &all, &error), status);
    CHECK_STATUS(error.status, status);
    CHECK_STR(error.subject, subject);
    CHECK_EQ(error.position, UINT64_MAX);
    check_text(error.message, sizeof error.message);
    CHECK(strncmp(error.message, scratch_directory, strlen(scratch_directory)) == 0);
    counting_end(&memory);
    older_model_is_there();
}

static int never(void *user, uint64_t done, uint64_t total) {
    (void)user, (void)done, (void)total;
    CHECK(!"a byte was written");
    return 0;
}

static void refusals(void) {
    static const st_pair twice[] = {PAIR("a", "1"), PAIR("b", "1"), PAIR("a", "2")};
    static const st_pair no_value[] = {{.key = "k"}}, no_key[] = {{.value = "1"}}, bad_key[] = {PAIR("\xff", "1")};
    static const st_pair bad_text[] = {PAIR("k\xc0", "v")};
    static const char *const not_json[] = {"",    " ",       "1 2",      "{",           "[1,]", "nul",
                                           "'a'", "{\"a\"}", "\"\xff\"", "\"\\ud800\"", "01",   "1e309"};
    static const uint64_t large = UINT64_MAX / 8;
    static const st_sink sink = {NULL, NULL};                            /* never called */
    const st_model *from = (const st_model *)(const void *)&not_json[0]; /* never used */
    char *long_text = (char *)need(100000002);
    st_save_options o = options_of(32);
    st_tensor t[5], wrong[5];
    st_pair pair = PAIR("k", NULL);
    st_error error;
    size_t i;
    older_model();
    five_tensors(t);
    memcpy(wrong, t, sizeof t);
    wrong[4].name = "b"; /* in another shard */
    refused(wrong, 5, NULL, 0, &o, ST_ERR_DUPLICATE, "b");
    wrong[4].name = "e"; /* in the same shard */
    o.max_shard_bytes = 80;
    refused(wrong, 5, NULL, 0, &o, ST_ERR_DUPLICATE, "e");
    o.max_shard_bytes = 32;
    wrong[4].name = "\xff";
    refused(wrong, 5, NULL, 0, &o, ST_ERR_UTF8, "\\xff");
    wrong[4].name = "__metadata__";
    refused(wrong, 5, NULL, 0, &o, ST_ERR_ARGUMENT, "__metadata__");
    wrong[4] = t[4];
    wrong[4].dtype = ST_DTYPE_UNKNOWN;
    refused(wrong, 5, NULL, 0, &o, ST_ERR_ARGUMENT, "d");
    wrong[4].dtype = ST_DTYPE_F32;
    wrong[4].shape = &large;
    refused(wrong, 5, NULL, 0, &o, ST_ERR_OVERFLOW, "d");
    wrong[4] = t[4];
    wrong[4].data = NULL; /* in the last shard; found before the first is written */
    o.progress = never;
    refused(wrong, 5, NULL, 0, &o, ST_ERR_ARGUMENT, "d");
    o.progress = NULL;
    refused(t, 5, twice, 3, &o, ST_ERR_DUPLICATE, "a");
    refused(t, 5, bad_text, 1, &o, ST_ERR_UTF8, "k\\xc0");
    refused(t, 5, NULL, 1, &o, ST_ERR_ARGUMENT, "contents->metadata");
    refused(NULL, 5, NULL, 0, &o, ST_ERR_ARGUMENT, "contents->tensors");
    o.flags |= 1 << 4;
    refused(t, 5, NULL, 0, &o, ST_ERR_ARGUMENT, "flags");
    o.flags = ST_SAVE_IN_PLACE;
    refused(t, 5, NULL, 0, &o, ST_ERR_ARGUMENT, "ST_SAVE_IN_PLACE");
    o.flags = ST_SAVE_NO_SYNC;
    o.work.data = wrong;
    o.work.bytes = sizeof wrong;
    refused(t, 5, NULL, 0, &o, ST_ERR_ARGUMENT, "work");
    o.work.data = NULL;
    o.sink = &sink;
    refused(t, 5, NULL, 0, &o, ST_ERR_ARGUMENT, "sink");
    o.sink = NULL;
    beside.from = from;
    o.fill = no_bytes;
    refused(t, 5, NULL, 0, &o, ST_ERR_ARGUMENT, "fill");
    o.fill = NULL;
    beside.from = NULL;
    o.align = 24;
    refused(t, 5, NULL, 0, &o, ST_ERR_ARGUMENT, "align");
    o.align = 0;
    /* errors in the index's metadata, with an index and without */
    for (o.max_shard_bytes = 32; o.max_shard_bytes <= 80; o.max_shard_bytes += 48) {
        beside.index_count = 1;
        refused(t, 5, NULL, 0, &o, ST_ERR_ARGUMENT, "contents->index");
        beside.index = no_value;
        refused(t, 5, NULL, 0, &o, ST_ERR_ARGUMENT, "k");
        beside.index = no_key;
        refused(t, 5, NULL, 0, &o, ST_ERR_ARGUMENT, "");
        beside.index = bad_key;
        refused(t, 5, NULL, 0, &o, ST_ERR_UTF8, "\\xff");
        beside.index = twice;
        beside.index_count = 3;
        refused(t, 5, NULL, 0, &o, ST_ERR_DUPLICATE, "a");
        beside.index = &pair;
        beside.index_count = 1;
        for (i = 0; i < sizeof not_json / sizeof *not_json; i++) {
            test_row = not_json[i];
            pair.value = not_json[i];
            refused(t, 5, NULL, 0, &o, ST_ERR_JSON, "k");
        }
        test_row = "";
        beside.index = NULL;
        beside.index_count = 0;
    }
    o.max_shard_bytes = 32;
    /* limits of a value, of the index, and of the last shard's header */
    memset(long_text, 'x', 100000001);
    long_text[0] = '"';
    long_text[100000000] = '"';
    long_text[100000001] = 0;
    beside.index = &pair;
    beside.index_count = 1;
    pair.value = long_text;
    refused(t, 5, NULL, 0, &o, ST_ERR_HEADER_LIMIT, "k");
    long_text[99999999] = '"';
    long_text[100000000] = 0;
    refused(t, 5, NULL, 0, &o, ST_ERR_HEADER_LIMIT, INDEX);
    beside.index = NULL;
    beside.index_count = 0;
    wrong[4] = t[4];
    wrong[4].name = long_text;
    wrong[4].name_bytes = 49999990; /* fits twice in the index, but not in the header with slack */
    o.slack = 60000000;
    {
        counting memory;
        counting_begin(&memory);
        o.allocator = &memory.allocator;
        o.progress = never; /* an error of the last shard, found before the first is written */
        CHECK_STATUS(save(wrong, 5, &o, &error), ST_ERR_HEADER_LIMIT);
        o.progress = NULL;
        CHECK(strstr(error.message, SHARD_NAME(3, 3)) != NULL);
        CHECK(error.actual > 100000000 && error.expected == 100000000);
        counting_end(&memory);
        o.allocator = NULL;
    }
    older_model_is_there();
    free(long_text);
    CHECK_STATUS(st_save_sharded(NULL, MODEL(t, 5, NULL, 0), NULL, &error), ST_ERR_ARGUMENT);
    CHECK_STATUS(st_save_sharded("", MODEL(t, 5, NULL, 0), NULL, &error), ST_ERR_ARGUMENT);
    CHECK_STATUS(st_save_sharded(scratch_path("absent"), MODEL(t, 5, NULL, 0), NULL, &error), ST_ERR_NOT_FOUND);
    CHECK(strstr(error.message, "absent: ") != NULL);
    CHECK_STATUS(st_save_sharded(scratch_path("absent"), MODEL(t, 5, NULL, 0), &o, NULL), ST_ERR_NOT_FOUND);
    CHECK_STATUS(st_save_sharded(scratch_path(INDEX), MODEL(t, 5, NULL, 0), NULL, &error),
                 ST_ERR_NOT_FOUND); /* a file, not a directory */
    older_model_is_there();
    folder_clear();
}

/* ---- data sources and progress ----------------------------------------------------------------------------- */

typedef struct watching {
    uint64_t done, total;
    size_t steps, cancel_at, fills, fill_fails_at;
    const st_tensor *tensors;
} watching;

static int watch_all(void *user, uint64_t done, uint64_t total) {
    watching *w = (watching *)user;
    CHECK(done > w->done && done <= total);
    CHECK_EQ(total, w->total);
    w->done = done;
    return ++w->steps == w->cancel_at ? 5 : 0;
}

static int fill_five(void *user, const st_tensor *tensor, uint64_t offset, void *dst, size_t n) {
    watching *w = (watching *)user;
    const size_t i = (size_t)(tensor - w->tensors);
    if (!CHECK(i < 5)) return 1;
    if (++w->fills == w->fill_fails_at) return 77;
    memcpy(dst, bytes_64 + i + offset, n);
    return 0;
}

static void callbacks(void) {
    static const char *const five_sorted[5] = {"a", "b", "c", "e", "d"}; /* in data order */
    st_tensor t[5], bare[5];
    st_save_options o = options_of(32);
    watching w;
    st_error error;
    size_t i, steps;
    five_tensors(t);
    five_tensors(bare);
    for (i = 0; i < 5; i++) bare[i].data = NULL;
    o.fill = fill_five;
    o.progress = watch_all;
    o.user = &w;
    memset(&w, 0, sizeof w);
    w.total = 80;
    w.tensors = bare;
    CHECK_STATUS(save(bare, 5, &o, &error), ST_OK);
    CHECK_EQ(w.done, 80);
    CHECK_EQ(w.fills, 5);
    CHECK(folder_holds(t, 5, NULL, 0, &o));
    steps = w.steps;
    folder_clear();
    older_model();
    for (i = 1; i <= steps; i++) { /* cancel at each step */
        memset(&w, 0, sizeof w);
        w.total = 80;
        w.tensors = bare;
        w.cancel_at = i;
        CHECK_STATUS(save(bare, 5, &o, &error), ST_ERR_CANCELLED);
        CHECK_EQ(w.steps, i);
        older_model_is_there();
    }
    for (i = 1; i <= 5; i++) { /* fill fails */
        memset(&w, 0, sizeof w);
        w.total = 80;
        w.tensors = bare;
        w.fill_fails_at = i;
        CHECK_STATUS(save(bare, 5, &o, &error), ST_ERR_IO);
        CHECK_EQ(error.sys, 77);
        CHECK_STR(error.subject, five_sorted[i - 1]);
        CHECK_EQ(w.fills, i);
        older_model_is_there();
    }
    folder_clear();
}

static void from_a_model(void) { /* the model lies in the same directory */
    static const unsigned ways[] = {0, ST_OPEN_NO_MAP};
    st_tensor t[5];
    st_save_options o = options_of(32);
    st_open_options how;
    st_error error;
    size_t i;
    five_tensors(t);
    for (i = 0; i < 2; i++) {
        collecting sink;
        st_sink to;
        st_model *m;
        memset(&sink, 0, sizeof sink);
        memset(&how, 0, sizeof how);
        to.user = &sink;
        to.write = collect;
        how.flags = ways[i];
        CHECK_STATUS(save_to_sink(&to, CONTENTS(t, 5, NULL, 0), NULL, &error), ST_OK);
        scratch_write("source", sink.out.at, sink.out.n);
        if (!CHECK(st_open(&m, scratch_path("source"), &how, &error) == ST_OK)) continue;
        beside.from = m;
        CHECK_STATUS(save(m->tensors, m->count, &o, &error), ST_OK);
        beside.from = NULL;
        st_close(m);
        scratch_remove("source");
        CHECK(folder_is(THREE_NAMES));
        {
            st_tensor sorted[5]; /* in data order */
            static const size_t order[5] = {1, 0, 3, 4, 2};
            size_t k;
            for (k = 0; k < 5; k++) sorted[k] = t[order[k]];
            CHECK(folder_holds(sorted, 5, NULL, 0, &o));
        }
        folder_clear();
        free(sink.out.at);
    }
}

/* ---- memory ------------------------------------------------------------------------------------------------ */

/* more shards than a process may have open files; memory does not grow with the data */
static void many_shards(void) {
    enum { MANY = 600 };
    static const uint64_t n = 1000;
    static char data[1000];
    st_tensor *t = (st_tensor *)need(MANY * sizeof *t);
    char(*tensor_names)[8] = (char(*)[8])need(MANY * sizeof *tensor_names);
    st_save_options o = options_of(1000);
    counting memory;
    st_error error;
    size_t i;
#if HAS_POSIX
    struct rlimit files, few;
    CHECK(getrlimit(RLIMIT_NOFILE, &files) == 0);
    few = files;
    few.rlim_cur = 32;
    CHECK(setrlimit(RLIMIT_NOFILE, &few) == 0);
#endif
    memset(t, 0, MANY * sizeof *t);
    for (i = 0; i < MANY; i++) {
        snprintf(tensor_names[i], sizeof tensor_names[i], "t%d", (int)i);
        t[i].name = tensor_names[i];
        t[i].dtype = ST_DTYPE_U8;
        t[i].rank = 1;
        t[i].shape = &n;
        t[i].data = data;
    }
    counting_begin(&memory);
    o.allocator = &memory.allocator;
    CHECK_STATUS(save(t, MANY, &o, &error), ST_OK);
    counting_end(&memory);
#if defined(_WIN32)
    CHECK(memory.peak_bytes < 300000); /* paths are made absolute, which takes memory */
#else
    CHECK(memory.peak_bytes < 80000);
#endif
    {
        folder f = folder_list();
        CHECK_EQ(f.count, MANY + 1);
        folder_free(&f);
    }
    o.allocator = NULL;
    CHECK(folder_holds(t, MANY, NULL, 0, &o));
    o.max_shard_bytes = 2000; /* all older shards are stale */
    CHECK_STATUS(save(t, MANY, &o, &error), ST_OK);
    {
        folder f = folder_list();
        CHECK_EQ(f.count, MANY / 2 + 1);
        folder_free(&f);
    }
#if HAS_POSIX
    CHECK(setrlimit(RLIMIT_NOFILE, &files) == 0);
#endif
    folder_clear();
    free(tensor_names);
    free(t);
}

/* ---- replacing an older model ------------------------------------------------------------------------------ */

static void put(const char *name, const char *text) {
    (void)scratch_write(name, text, strlen(text));
}

#define MAP(text) "{\"metadata\":{\"total_size\":1.5},\"weight_map\":{" text "}}"

/* a model with another stem in the directory: nothing is written */
static void another_model(void) {
    static const struct {
        const char *stem, *name;
        int refuses_shards, refuses_file;
    } cases[] = {
        {"model", "x.safetensors.index.json", 1, 1},
        {"model", "model.safetensors.index.fp16.json", 1, 1},
        {"model", "xmodel-00001-of-00002.safetensors", 1, 1},
        {"model", "model-00001-of-00002.fp16.safetensors", 1, 1},
        {"model", "x.safetensors", 0, 0}, /* the directory opens as model.* */
        {"model", "x-00001-of-00001.safetensors", 0, 0},
        {"x", "model.safetensors", 1, 1}, /* hides x */
        {"x", "model.safetensors.index.json", 1, 1},
        {"x", "y.safetensors", 0, 1}, /* the directory opens as the index of x, but not as one of two files */
        {"x", "y.bin", 0, 0},
        {"x.fp16", "x.safetensors.index.json", 1, 1},
        {"x.fp16", "x-00001-of-00009.safetensors", 1, 1},
        {"x", "X.safetensors.index.json", 1, 1}, /* on some systems beside the files of x, on others the same */
        {"x", "X-00001-of-00002.safetensors", 1, 1},
        {"x", "X.safetensors", 1, 1},
        {"model", "Model.safetensors.index.json", 1, 1},
    };
    st_tensor t[5];
    st_error error;
    size_t i;
    unsigned single;
    five_tensors(t);
    for (i = 0; i < sizeof cases / sizeof *cases; i++) {
        for (single = 0; single <= 1; single++) {
            st_save_options o = options_of(single ? 0 : 32);
            char all[80];
            test_row = cases[i].name;
            o.stem = cases[i].stem;
            put(cases[i].name, "older");
            if (single ? cases[i].refuses_file : cases[i].refuses_shards) {
                CHECK_STATUS(save(t, 5, &o, &error), ST_ERR_SHARD);
                CHECK_STR(error.subject, cases[i].name);
                snprintf(all, sizeof all, "%s ", cases[i].name);
                CHECK(folder_is(all));
                CHECK_STATUS(
                    st_save_index(scratch_directory, MODEL(t, 5, NULL, 0), &(st_save_options){.stem = o.stem}, &error),
                    ST_ERR_SHARD);
            } else {
                CHECK_STATUS(save(t, 5, &o, &error), ST_OK);
                CHECK(folder_has(cases[i].name));
            }
            folder_clear();
        }
    }
    test_row = "";
}

/* names with another stem; older files of the stem go, those of other models do not */
static void stems(void) {
    static const char two_of[] = "d.fp16-00001-of-00003.safetensors d.fp16-00002-of-00003.safetensors "
                                 "d.fp16-00003-of-00003.safetensors d.safetensors.index.fp16.json note.txt ";
    static const char *const wrong[] = {
        "", "a/b", "..", ".a", "a.", "a b ", "NUL", "a\\b", "a:b", "a*", "a-00001-of-00002"};
    char name[ST_SHARD_NAME_BYTES], long_stem[202];
    st_save_options o = options_of(32);
    st_tensor t[5];
    st_model *m;
    st_error error;
    size_t i;
    five_tensors(t);
    test_row = "a stem with a variant";
    o.stem = "d.fp16";
    put("note.txt", "");
    put("d.fp16.safetensors", "older");
    put("d-00001-of-00002.fp16.safetensors", "older"); /* the other spelling */
    put("d.fp16-00007-of-00008.safetensors", "older");
    CHECK_STATUS(save(t, 5, &o, &error), ST_OK);
    CHECK(folder_is(two_of));
    test_row = "the stem of an open model stays";
    CHECK_STATUS(st_open(&m, scratch_directory, NULL, &error), ST_OK);
    CHECK_STR(m->stem, "d.fp16");
    o.stem = NULL;
    o.max_shard_bytes = 1 << 20;
    beside.from = m;
    CHECK_STATUS(save(m->tensors, m->count, &o, &error), ST_OK);
    beside.from = NULL;
    st_close(m);
    CHECK(folder_is("d.fp16.safetensors note.txt "));
    folder_clear();
    test_row = "the other spelling of an index stays";
    put("d.fp16.safetensors.index.json", "older");
    o.stem = "d.fp16";
    o.max_shard_bytes = 32;
    CHECK_STATUS(save(t, 5, &o, &error), ST_OK);
    CHECK(folder_has("d.fp16.safetensors.index.json") && !folder_has("d.safetensors.index.fp16.json"));
    put("d.safetensors.index.fp16.json", "older"); /* both: which of them counts? */
    CHECK_STATUS(save(t, 5, &o, &error), ST_ERR_SHARD);
    folder_clear();
    test_row = "stems that are refused";
    for (i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        o.stem = wrong[i];
        CHECK_STATUS(save(t, 5, &o, &error), ST_ERR_ARGUMENT);
        CHECK_STR(error.subject, "stem");
        CHECK_STATUS(st_shard_name(wrong[i], 0, 2, name, sizeof name), ST_ERR_ARGUMENT);
    }
    memset(long_stem, 'x', 201);
    long_stem[201] = 0;
    CHECK_STATUS(st_shard_name(long_stem, 0, 2, name, sizeof name), ST_ERR_ARGUMENT);
    CHECK_STATUS(st_shard_name(long_stem + 1, 65535, 65536, name, sizeof name), ST_OK);
    CHECK_EQ(strlen(name), 200 + 27);
    o.stem = "x";
    CHECK_STATUS(st_save(scratch_path("one"), MODEL(t, 5, NULL, 0), &o, &error), ST_ERR_ARGUMENT);
    folder_clear();
    test_row = "";
}

static void index_of_set(const char *first, const char *second, const char *index, const char *want_names) {
    static const uint64_t one = 1;
    st_open_options open_options;
    st_save_options o;
    st_tensor t[2];
    st_model *m, *again;
    st_contents c;
    st_error error;
    char *text, want[400];
    memset(&open_options, 0, sizeof open_options);
    memset(&o, 0, sizeof o);
    t[0] = st_tensor_of("b", ST_DTYPE_U8, 1, &one, "B");
    t[1] = st_tensor_of("a", ST_DTYPE_U8, 1, &one, "A");
    CHECK_STATUS(st_save(scratch_path(first), MODEL(t, 1, NULL, 0), NULL, &error), ST_OK);
    CHECK_STATUS(st_save(scratch_path(second), MODEL(t + 1, 1, NULL, 0), NULL, &error), ST_OK);
    open_options.flags = ST_OPEN_NO_INDEX;
    CHECK_STATUS(st_open(&m, scratch_directory, &open_options, &error), ST_OK);
    c = st_contents_of(m);
    o.flags = ST_SAVE_AS_OPENED;
    CHECK_STATUS(st_save_index(scratch_directory, &c, &o, &error), ST_OK);
    CHECK(folder_is(want_names));
    snprintf(want, sizeof want,
             "{\n  \"metadata\": {\n    \"total_size\": 2\n  },\n  \"weight_map\": {\n    \"a\": \"%s\",\n    \"b\": "
             "\"%s\"\n  }\n}\n",
             second, first);
    text = folder_text(index);
    CHECK_STR(text, want);
    free(text);
    CHECK_STATUS(st_open(&again, scratch_directory, NULL, &error), ST_OK);
    CHECK(again->count == 2 && again->shard_count == 2);
    st_close(again);
    c.count = 1; /* no part of a model */
    CHECK_STATUS(st_save_index(scratch_directory, &c, &o, &error), ST_ERR_ARGUMENT);
    c = st_contents_of(m);
    c.from = NULL;
    CHECK_STATUS(st_save_index(scratch_directory, &c, &o, &error), ST_ERR_ARGUMENT);
    c = st_contents_of(m);
    o.flags |= ST_SAVE_IN_PLACE;
    CHECK_STATUS(st_save_index(scratch_directory, &c, &o, &error), ST_ERR_ARGUMENT);
    o.flags = ST_SAVE_AS_OPENED;
    CHECK_STATUS(st_save_sharded(scratch_directory, &c, &o, &error), ST_ERR_ARGUMENT);
    put("other.safetensors.index.json", "older");
    CHECK_STATUS(st_save_index(scratch_directory, &c, &o, &error), ST_ERR_SHARD);
    CHECK_STR(error.subject, "other.safetensors.index.json");
    CHECK(remove(scratch_path("other.safetensors.index.json")) == 0);
#if !defined(_WIN32) /* which does not replace open files */
    CHECK_STATUS(st_save(scratch_path(second), MODEL(t, 1, NULL, 0), NULL, &error), ST_OK);
    CHECK_STATUS(st_save_index(scratch_directory, &c, &o, &error), ST_ERR_SHARD);
    CHECK_STR(error.subject, second);
#endif
    st_close(m);
    folder_clear();
}

/* an index for shards that have none, whatever their names */
static void indexes_of_sets(void) {
    st_open_options open_options;
    st_save_options o;
    st_tensor t[5];
    st_model *m;
    st_contents c;
    st_error error;
    memset(&open_options, 0, sizeof open_options);
    memset(&o, 0, sizeof o);
    test_row = "an index of a set";
    index_of_set(SHARD_NAME(1, 2), SHARD_NAME(2, 2), INDEX, SHARD_NAME(1, 2) " " SHARD_NAME(2, 2) " " INDEX " ");
    test_row = "an index of a set in place of a stale one";
    put(INDEX, "older");
    index_of_set(SHARD_NAME(1, 2), SHARD_NAME(2, 2), INDEX, SHARD_NAME(1, 2) " " SHARD_NAME(2, 2) " " INDEX " ");
    test_row = "the variant behind the numbers, six digits";
    index_of_set(
        "d-000001-of-00002.fp16.safetensors", "d-000002-of-00002.fp16.safetensors", "d.safetensors.index.fp16.json",
        "d-000001-of-00002.fp16.safetensors d-000002-of-00002.fp16.safetensors d.safetensors.index.fp16.json ");
    test_row = "a file beside the set that may be newer";
    five_tensors(t);
    put("d-00001-of-00002.safetensors", "");
    CHECK_STATUS(st_save(scratch_path("d-00001-of-00002.safetensors"), MODEL(t, 1, NULL, 0), NULL, &error), ST_OK);
    CHECK_STATUS(st_save(scratch_path("d-00002-of-00002.safetensors"), MODEL(t + 1, 1, NULL, 0), NULL, &error), ST_OK);
    open_options.flags = ST_OPEN_NO_INDEX;
    CHECK_STATUS(st_open(&m, scratch_directory, &open_options, &error), ST_OK);
    put("d.safetensors", "newer");
    c = st_contents_of(m);
    o.flags = ST_SAVE_AS_OPENED;
    CHECK_STATUS(st_save_index(scratch_directory, &c, &o, &error), ST_ERR_SHARD);
    CHECK_STR(error.subject, "d.safetensors");
    CHECK(folder_has("d.safetensors") && !folder_has("d.safetensors.index.json"));
    st_close(m);
    folder_clear();
    test_row = "";
}

static void what_was_there(void) {
    static const struct {
        const char *name, *index; /* index: the text of model.safetensors.index.json; NULL: none */
        const char *files;        /* other files, each followed by a blank */
        const char *left;         /* those that must remain */
    } cases[] = {
        {"nothing", NULL, "", ""},
        {"a single file", NULL, "model.safetensors ", ""},
        {"a single file that hides an index", MAP("\"t\":\"model-00001-of-00002.safetensors\""),
         "model-00001-of-00002.safetensors model.safetensors ", ""},
        {"shards of another count",
         MAP("\"t\":\"model-00001-of-00002.safetensors\",\"u\":\"model-00002-of-00002.safetensors\""),
         "model-00001-of-00002.safetensors model-00002-of-00002.safetensors ", ""},
        {"shards of the same count", MAP("\"t\":\"" SHARD_NAME(3, 3) "\""),
         SHARD_NAME(1, 3) " " SHARD_NAME(2, 3) " " SHARD_NAME(3, 3) " ", ""},
        {"shards that no index names", NULL,
         "a.safetensors model-00001-of-00002.safetensors model-00007-of-00008.safetensors vocab.json ",
         "a.safetensors vocab.json "},
        {"of one, and of more than 99,999", NULL,
         "model-00001-of-00001.safetensors model-00001-of-100000.safetensors model-100000-of-100000.safetensors ", ""},
        {"names that st_shard_name does not give", NULL,
         "MODEL-00001-of-00002.safetensors model-0001-of-0002.safetensors model-00000-of-00002.safetensors "
         "model-00001-of-00002.bin model-00001-of-00002.safetensors.bak model-00003-of-00002.safetensors "
         "model-000001-of-00002.safetensors model-00001of-00002.safetensors model-00001-of-4294967298.safetensors "
         "model-4294967297-of-00002.safetensors model- model ",
         "MODEL-00001-of-00002.safetensors model model- model-00000-of-00002.safetensors "
         "model-000001-of-00002.safetensors model-00001-of-00002.bin model-00001-of-00002.safetensors.bak "
         "model-00001-of-4294967298.safetensors model-00001of-00002.safetensors model-00003-of-00002.safetensors "
         "model-0001-of-0002.safetensors model-4294967297-of-00002.safetensors "},
        {"names that only the index gives", MAP("\"t\":\"z.safetensors\""), "y.safetensors z.safetensors ",
         "y.safetensors z.safetensors "},
        {"an index that is none", "not JSON", "model-00001-of-00002.safetensors ", ""},
    };
    st_tensor t[5];
    st_save_options o = options_of(32);
    st_error error;
    size_t i;
    unsigned single;
    five_tensors(t);
    for (i = 0; i < sizeof cases / sizeof *cases; i++) {
        for (single = 0; single <= 1; single++) {
            char want[1000], name[64], row[200];
            const char *from;
            size_t n;
            snprintf(row, sizeof row, "%s%s", cases[i].name, single ? ", then one file" : "");
            test_row = row;
            for (from = cases[i].files; *from; from += n + 1) {
                n = strcspn(from, " ");
                snprintf(name, sizeof name, "%.*s", (int)n, from);
                put(name, "older");
            }
            if (cases[i].index != NULL) put(INDEX, cases[i].index);
            o.max_shard_bytes = single ? 0 : 32;
            CHECK_STATUS(save(t, 5, &o, &error), ST_OK);
            CHECK(folder_holds(t, 5, NULL, 0, &o));
            {
                folder f = folder_list();
                size_t k;
                want[0] = 0;
                for (k = 0; k < f.count; k++) { /* except new files */
                    if (!single && (strstr(f.names[k], "-of-00003.") != NULL || strcmp(f.names[k], INDEX) == 0))
                        continue;
                    if (single && strcmp(f.names[k], "model.safetensors") == 0) continue;
                    strcat(strcat(want, f.names[k]), " ");
                }
                folder_free(&f);
            }
            CHECK_STR(want, cases[i].left);
            CHECK_EQ(folder_has(INDEX), !single);
            folder_clear();
        }
    }
    test_row = "";
}

/* more older shards than one directory read returns */
static void many_older(void) {
    enum { OLDER = 3000 };
    st_tensor t[5];
    st_save_options o = options_of(32);
    st_error error;
    int i;
    five_tensors(t);
    for (i = 1; i <= OLDER; i++) {
        char name[48];
        snprintf(name, sizeof name, "model-%05d-of-%05d.safetensors", i, OLDER);
        put(name, "");
    }
    CHECK_STATUS(save(t, 5, &o, &error), ST_OK);
    CHECK(folder_is(THREE_NAMES));
    folder_clear();
}

#if !defined(_WIN32)
/* links are replaced or removed, their targets stay */
static void links(void) {
    st_tensor t[5];
    st_save_options o = options_of(32);
    st_error error;
    five_tensors(t);
    put("blob", "blob");
    CHECK(symlink("blob", scratch_path(SHARD_NAME(1, 3))) == 0);
    CHECK(symlink("blob", scratch_path("model-00001-of-00002.safetensors")) == 0);
    put("index blob", MAP("\"t\":\"model-00001-of-00002.safetensors\",\"u\":\"" SHARD_NAME(1, 3) "\""));
    CHECK(symlink("index blob", scratch_path(INDEX)) == 0);
    CHECK_STATUS(save(t, 5, &o, &error), ST_OK);
    CHECK(folder_is("blob index blob " THREE_NAMES));
    CHECK(file_is(scratch_path("blob"), "blob", 4));
    CHECK(folder_holds(t, 5, NULL, 0, &o));
    folder_clear();
}

#if HAS_POSIX
static void permissions(void) {
    struct stat about;
    st_tensor t[5];
    st_save_options o = options_of(32);
    st_error error;
    five_tensors(t);
    CHECK_STATUS(save(t, 5, &o, &error), ST_OK);
    CHECK(chmod(scratch_path(SHARD_NAME(2, 3)), 0640) == 0 && chmod(scratch_path(INDEX), 0600) == 0);
    CHECK_STATUS(save(t, 5, &o, &error), ST_OK);
    CHECK(stat(scratch_path(SHARD_NAME(2, 3)), &about) == 0);
    CHECK_EQ(about.st_mode & 07777, 0640);
    CHECK(stat(scratch_path(INDEX), &about) == 0);
    CHECK_EQ(about.st_mode & 07777, 0600);
    folder_clear();
}
#endif
#endif

/* a directory in place of a shard is detected before anything is written */
static void in_the_way(void) {
    st_tensor t[5];
    st_save_options o = options_of(32);
    st_error error;
    five_tensors(t);
    older_model();
    CHECK(SCRATCH_MAKE(scratch_path(SHARD_NAME(3, 3))) == 0);
    CHECK_STATUS(save(t, 5, &o, &error), ST_ERR_IO);
    CHECK(SCRATCH_DROP(scratch_path(SHARD_NAME(3, 3))) == 0);
    older_model_is_there();
    folder_clear();
    CHECK(SCRATCH_MAKE(scratch_path(INDEX)) == 0);
    CHECK_STATUS(save(t, 5, &o, &error), ST_ERR_IO);
    CHECK(SCRATCH_DROP(scratch_path(INDEX)) == 0);
    CHECK(folder_is(""));
}

/* an older file that cannot be removed: the new shards are written before any older one is removed */
static void not_removed(void) {
    st_tensor t[5], other[5];
    st_save_options o = options_of(32);
    st_model *m;
    st_error error;
    char value[16];
    size_t i;
    five_tensors(t);
    five_tensors(other);
    for (i = 0; i < 5; i++) other[i].data = bytes_64 + 40;
    CHECK_STATUS(save(other, 5, &o, &error), ST_OK); /* the same names, so that all clash */
    CHECK(SCRATCH_MAKE(scratch_path("model.safetensors")) == 0);
    CHECK_STATUS(save(t, 5, &o, &error), ST_ERR_IO);
    CHECK_STR(error.subject, "model.safetensors");
    check_no_temporary();
    CHECK_STATUS(st_open(&m, scratch_path(INDEX), NULL, &error), ST_OK);
    for (i = 0; m != NULL && i < 5; i++) {
        const st_tensor *found = st_find(m, t[i].name);
        if (!CHECK(found != NULL)) break;
        CHECK_STATUS(st_read(m, found, 0, value, sizeof value, &error), ST_OK);
        CHECK(memcmp(value, t[i].data, sizeof value) == 0);
    }
    st_close(m);
    CHECK(SCRATCH_DROP(scratch_path("model.safetensors")) == 0);
    CHECK(folder_holds(t, 5, NULL, 0, &o));
    folder_clear();
    older_model(); /* the error names a shard that cannot be removed; the others are removed */
    scratch_remove(SHARD_NAME(1, 2));
    CHECK(SCRATCH_MAKE(scratch_path(SHARD_NAME(1, 2))) == 0);
    CHECK_STATUS(save(t, 5, &o, &error), ST_ERR_IO);
    CHECK_STR(error.subject, SHARD_NAME(1, 2));
    CHECK(strstr(error.message, "is in place") != NULL);
    CHECK(SCRATCH_DROP(scratch_path(SHARD_NAME(1, 2))) == 0);
    CHECK(folder_is(THREE_NAMES));
    folder_clear();
}

/* ---- saving from several processes ------------------------------------------------------------------------- */

static void parts(void) {
    static const st_pair metadata = PAIR("rank", "any"), index = PAIR("k", "[1]");
    st_tensor t[5], mine[5];
    st_save_options o = options_of(32);
    watching w;
    counting memory;
    st_error error;
    int older;
    size_t i;
    five_tensors(t);
    for (older = 0; older < 4; older++) { /* none; another count; the same names; one file */
        if (older == 1) older_model();
        if (older >= 2) {
            st_save_options before = options_of(older == 2 ? 32 : 0);
            five_tensors(mine);
            for (i = 0; i < 5; i++) mine[i].data = bytes_64 + 40;
            CHECK_STATUS(save(mine, 5, &before, &error), ST_OK);
        }
        put("keep.txt", "");
        CHECK(parts_clear(scratch_directory, 3));
        CHECK(!folder_has(INDEX) && !folder_has("model.safetensors") && !folder_has(SHARD_NAME(1, 3)));
        CHECK_STATUS(parts_finish(scratch_directory, MODEL(t, 5, NULL, 0), &o, &error), ST_ERR_SHARD);
        CHECK_STR(error.subject, SHARD_NAME(1, 3));
        /* the last process, which has only its own data */
        five_tensors(mine);
        for (i = 0; i < 4; i++) mine[i].data = NULL;
        memset(&w, 0, sizeof w);
        w.total = 16;
        o.progress = watch_all;
        o.user = &w;
        CHECK_STATUS(parts_write(scratch_directory, mine, 5, &metadata, 1, 2, &o, &error), ST_OK);
        CHECK_EQ(w.done, 16);
        CHECK_STATUS(parts_finish(scratch_directory, MODEL(t, 5, NULL, 0), &o, &error), ST_ERR_SHARD);
        CHECK_STR(error.subject, SHARD_NAME(1, 3));
        /* the first process */
        o.progress = NULL;
        CHECK_STATUS(parts_write(scratch_directory, t, 5, &metadata, 1, 1, &o, &error), ST_OK);
        CHECK_STATUS(parts_write(scratch_directory, t, 5, &metadata, 1, 0, &o, &error), ST_OK);
        CHECK(!folder_has(INDEX));
        counting_begin(&memory);
        o.allocator = &memory.allocator;
        CHECK_STATUS(parts_finish(scratch_directory, MODEL(mine, 5, NULL, 0), &o, &error), ST_OK);
        CHECK_STATUS(error.status, ST_OK);
        counting_end(&memory);
        o.allocator = NULL;
        CHECK(folder_is("keep.txt " THREE_NAMES)); /* shards of the older model are removed as well */
        CHECK(folder_holds(t, 5, &metadata, 1, &o));
        index_is(five_index);
        beside.index = &index;
        beside.index_count = 1;
        CHECK_STATUS(parts_finish(scratch_directory, MODEL(t, 5, NULL, 0), &o, &error),
                     ST_OK); /* over an existing index */
        beside.index_count = 0;
        beside.index = NULL;
        CHECK(folder_is("keep.txt " THREE_NAMES));
        CHECK_STATUS(parts_finish(scratch_directory, MODEL(t, 5, NULL, 0), &o, &error), ST_OK);
        index_is(five_index);
        folder_clear();
    }
    o = options_of(0); /* a single shard */
    older_model();
    CHECK(parts_clear(scratch_directory, 1));
    CHECK_STATUS(parts_finish(scratch_directory, MODEL(t, 5, NULL, 0), &o, &error), ST_ERR_SHARD);
    CHECK_STR(error.subject, "model.safetensors");
    CHECK_STATUS(parts_write(scratch_directory, t, 5, NULL, 0, 0, &o, &error), ST_OK);
    put(INDEX, five_index); /* an index whose shards do not exist */
    CHECK_STATUS(parts_finish(scratch_directory, MODEL(t, 5, NULL, 0), &o, &error), ST_OK);
    CHECK(folder_is("model.safetensors "));
    folder_clear();
}

/* an existing model.safetensors would hide the index */
static void index_over_single(void) {
    st_tensor t[5];
    st_save_options o = options_of(32), single = options_of(0);
    st_error error;
    uint32_t i;
    five_tensors(t);
    CHECK_STATUS(save(t, 3, &single, &error), ST_OK);
    for (i = 0; i < 3; i++) CHECK_STATUS(parts_write(scratch_directory, t, 5, NULL, 0, i, &o, &error), ST_OK);
    CHECK_STATUS(parts_finish(scratch_directory, MODEL(t, 5, NULL, 0), &o, &error), ST_OK);
    CHECK(folder_is(THREE_NAMES));
    folder_clear();
}

static void index_refused(const st_tensor *t, size_t count, const st_save_options *o, st_status status,
                          const char *subject) {
    counting memory;
    st_save_options all = *o;
    st_error error;
    counting_begin(&memory);
    if (all.allocator == NULL) all.allocator = &memory.allocator;
    memset(&error, 0xee, sizeof error);
    CHECK_STATUS(st_save_index(scratch_directory, MODEL(t, count, NULL, 0), &all, &error), status);
    CHECK_STATUS(error.status, status);
    CHECK_STR(error.subject, subject);
    check_text(error.message, sizeof error.message);
    CHECK(strncmp(error.message, scratch_directory, strlen(scratch_directory)) == 0);
    counting_end(&memory);
    older_model_is_there();
}

static void index_refusals(void) {
    static const st_pair bad = PAIR("k", "x"), twice[] = {PAIR("a", "1"), PAIR("a", "2")};
    static const st_allocator half = {NULL, NULL, NULL};
    static const st_sink sink = {NULL, NULL}; /* never called */
    const st_save_options clean = options_of(32);
    st_tensor t[5], other[5];
    st_save_options o = clean;
    st_error error;
    five_tensors(t);
    older_model();
    five_tensors(other);
    other[4].name = "b";
    index_refused(other, 5, &o, ST_ERR_DUPLICATE, "b");
    index_refused(NULL, 5, &o, ST_ERR_ARGUMENT, "contents->tensors");
    index_refused(t, 5, &o, ST_ERR_SHARD, SHARD_NAME(1, 3));
#define REFUSED(set, name) \
    o = clean;             \
    set;                   \
    index_refused(t, 5, &o, ST_ERR_ARGUMENT, name)
    REFUSED(o.flags = 1u << 21, "flags");
    REFUSED(o.flags = ST_SAVE_AS_OPENED, "from");
    REFUSED(o.flags = ST_SAVE_KEEP_ORDER, "ST_SAVE_KEEP_ORDER");
    REFUSED(o.flags = ST_SAVE_IN_PLACE, "ST_SAVE_IN_PLACE");
    REFUSED(o.align = 8, "align");
    REFUSED(o.align = 7, "align");
    REFUSED(o.slack = 8, "slack");
    REFUSED(o.progress = never, "progress");
    REFUSED(o.fill = no_bytes, "fill");
    REFUSED(o.work.data = other, "work");
    REFUSED(beside.index_count = 1, "contents->index");
    beside.index_count = 0;
    REFUSED(o.sink = &sink, "sink");
    REFUSED(o.allocator = &half, "allocator");
#undef REFUSED
    o = clean;
    beside.index = &bad;
    beside.index_count = 1;
    index_refused(t, 5, &o, ST_ERR_JSON, "k");
    beside.index = twice;
    beside.index_count = 2;
    index_refused(t, 5, &o, ST_ERR_DUPLICATE, "a");
    memset(&beside, 0, sizeof beside);
    CHECK_STATUS(st_save_index(NULL, MODEL(t, 5, NULL, 0), &clean, &error), ST_ERR_ARGUMENT);
    CHECK_STR(error.subject, "directory");
    CHECK_STATUS(st_save_index("", MODEL(t, 5, NULL, 0), &clean, &error), ST_ERR_ARGUMENT);
    CHECK_STATUS(st_save_index(scratch_path("absent"), MODEL(t, 5, NULL, 0), &clean, &error), ST_ERR_NOT_FOUND);
    CHECK_STATUS(st_save_index(scratch_path(INDEX), MODEL(t, 5, NULL, 0), &clean, NULL),
                 ST_ERR_NOT_FOUND); /* no directory */
    folder_clear();
}

/* shards that differ from the plan, each in one way */
static void shards_of_others(void) {
    static const uint64_t two = 2, square[2] = {2, 2};
    static const char *const ways[] = {"name", "dtype", "shape", "rank", "count", "damaged", "spelling", "absent"};
    const st_save_options o = options_of(32);
    st_tensor t[5], other[5];
    st_error error;
    size_t i;
    uint32_t shard;
    five_tensors(t);
    for (shard = 0; shard < 3; shard++) {
        CHECK_STATUS(parts_write(scratch_directory, t, 5, NULL, 0, shard, &o, &error), ST_OK);
    }
    for (i = 0; i < sizeof ways / sizeof *ways; i++) {
        test_row = ways[i];
        five_tensors(other);
        if (i == 0) other[3].name = "other";
        if (i == 1) other[3].dtype = ST_DTYPE_I32;
        if (i == 2) {
            other[3].dtype = ST_DTYPE_F64;
            other[3].shape = &two;
        }
        if (i == 3) {
            other[3].rank = 2;
            other[3].shape = square;
        }
        if (i == 6) {
            other[3].dtype = ST_DTYPE_UNKNOWN;
            other[3].dtype_name = "X8";
            other[3].bytes = 16;
        }
        CHECK_STATUS(
            st_save(scratch_path(SHARD_NAME(2, 3)), CONTENTS(other + 2, i == 4 ? 1 : 2, NULL, 0), NULL, &error), ST_OK);
        if (i == 5) {
            size_t n;
            unsigned char *file = file_bytes(scratch_path(SHARD_NAME(2, 3)), &n);
            scratch_write(SHARD_NAME(2, 3), file, n - 1);
            free(file);
        }
        if (i == 7) scratch_remove(SHARD_NAME(2, 3));
        CHECK_STATUS(parts_finish(scratch_directory, MODEL(t, 5, NULL, 0), &o, &error), ST_ERR_SHARD);
        CHECK_STR(error.subject, SHARD_NAME(2, 3));
        CHECK(strstr(error.message, i == 5 ? "damaged" : i == 7 ? "does not exist" : "planned tensors") != NULL);
        CHECK(!folder_has(INDEX));
        check_no_temporary();
        CHECK_STATUS(parts_write(scratch_directory, t, 5, NULL, 0, 1, &o, &error), ST_OK);
        CHECK_STATUS(parts_finish(scratch_directory, MODEL(t, 5, NULL, 0), &o, &error), ST_OK);
        index_is(five_index);
        scratch_remove(INDEX);
    }
    test_row = "";
    folder_clear();
}

int main(void) {
    scratch_begin("sharded");
    plans();
    plans_refused();
    names();
    plainly();
    opens();
    index_texts();
    depth();
    refusals();
    callbacks();
    from_a_model();
    many_shards();
    what_was_there();
    another_model();
    stems();
    indexes_of_sets();
    many_older();
#if !defined(_WIN32)
    links();
#endif
#if HAS_POSIX
    permissions();
#endif
    in_the_way();
    not_removed();
    parts();
    index_over_single();
    index_refusals();
    shards_of_others();
    scratch_end();
    return test_done("sharded");
}
