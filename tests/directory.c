/* Tests room 14: which file st_open chooses in a directory, and the errors if the choice is ambiguous. */
#include "../safetensors.h"

#include "models.h"

static pack p;

/* adds a file whose only tensor is named like the file */
static void put_file(const char *name) {
    char header[200];
    snprintf(header, sizeof header, "{\"%s\":" E("U8", "[1]", "[0,1]") "}", name);
    pack_shard(&p, name, header, "x");
}

/* adds an index with one shard, in a subdirectory, whose only tensor is named like the index */
static void put_index(const char *name) {
    char text[300], shard[100];
    snprintf(shard, sizeof shard, "s/%s.safetensors", name);
    snprintf(text, sizeof text, "{\"%s\":" E("U8", "[1]", "[0,1]") "}", name);
    pack_shard(&p, shard, text, "x");
    snprintf(text, sizeof text, "{\"weight_map\":{\"%s\":\"%s\"}}", name, shard);
    pack_text(&p, name, text);
}

static const char *expected_name; /* the name of the only tensor */

static void look_name(const opened *o, int way) {
    (void)way;
    CHECK_EQ(o->model->count, 1);
    CHECK_STR(o->model->tensors[0].name, expected_name);
}

/* ---- every combination of files ------------ */

enum { MODEL, MODEL_INDEX, ONE_INDEX, OTHER_INDEX, ONE, SHARD, HIDDEN, HIDDEN_INDEX, NAMES };

static const char *const names[NAMES] = {
    "model.safetensors", "model.safetensors.index.json",     "a.safetensors.index.json", "zz.safetensors.index.json",
    "one.safetensors",   "model-00001-of-00002.safetensors", "._model.safetensors",      ".a.safetensors.index.json"};

/* the documented rule: returns the file to open, or NULL and the status */
static const char *choose(const int there[NAMES], st_status *status) {
    const int indexes = there[MODEL_INDEX] + there[ONE_INDEX] + there[OTHER_INDEX];
    const int files = there[MODEL] + there[ONE] + there[SHARD];
    *status = ST_OK;
    if (there[MODEL]) return names[MODEL];
    if (there[MODEL_INDEX]) return names[MODEL_INDEX];
    if (indexes == 1) return names[there[ONE_INDEX] ? ONE_INDEX : OTHER_INDEX];
    if (indexes == 0 && files == 1 && there[ONE]) return names[ONE];
    *status = indexes + files > 0 ? ST_ERR_SHARD : ST_ERR_NOT_FOUND;
    return NULL;
}

/* checks that the message counts the candidates and names the first one */
static void check_found(const st_error *e, const int there[NAMES]) {
    const int indexes = there[ONE_INDEX] + there[OTHER_INDEX], files = there[ONE] + there[SHARD];
    const char *want = "found no .safetensors file and no index in this directory";
    char text[200];
    CHECK_EQ(e->position, UINT64_MAX);
    CHECK_STR(e->subject, "");
    if (e->status == ST_ERR_SHARD) {
        CHECK_EQ(e->expected, indexes);
        CHECK_EQ(e->actual, files);
        if (indexes > 0) {
            snprintf(text, sizeof text,
                     "found %d indexes, none called model.safetensors.index.json; choose one:", indexes);
            CHECK(strstr(e->message, names[ONE_INDEX]) != NULL && strstr(e->message, names[OTHER_INDEX]) != NULL);
        } else if (files > 1) {
            snprintf(text, sizeof text,
                     "found %d .safetensors files, but no index and no model.safetensors; choose one: %s", files,
                     names[ONE]);
        } else {
            snprintf(text, sizeof text, "found no index for the shard %s", names[SHARD]);
        }
        want = text;
    }
    CHECK(strstr(e->message, want) != NULL);
}

static void combinations(void) {
    unsigned set;
    CHECK(SCRATCH_MAKE("pack/s") == 0);
    for (set = 0; set < 1u << NAMES; set++) {
        int there[NAMES], i;
        char row[40];
        st_status status;
        st_error e;
        snprintf(row, sizeof row, "combination %u", set);
        test_row = row;
        for (i = 0; i < NAMES; i++) {
            there[i] = (int)(set >> i & 1);
            if (!there[i]) continue;
            if (strstr(names[i], ".json") != NULL) {
                put_index(names[i]);
            } else {
                put_file(names[i]);
            }
        }
        pack_text(&p, "config.json", "{}");
        pack_text(&p, "pytorch_model.bin.index.json", "{}");
        pack_text(&p, "pytorch_model.bin", "x");
        expected_name = choose(there, &status);
        e = pack_verdict(&p, set & 1 ? "pack" : "pack/", NULL, look_name);
        CHECK_STATUS(e.status, status);
        if (e.status != ST_OK) check_found(&e, there);
        pack_clear(&p);
    }
    CHECK(SCRATCH_DROP("pack/s") == 0);
}

/* ---- a single file ----- */

typedef struct name_case {
    const char *name;
    st_status status;
} name_case;

static const name_case alone[] = {
    {"model.safetensors", ST_OK},
    {"x.safetensors", ST_OK},
    {"adapter_model.safetensors", ST_OK},
    {"model.fp16.safetensors", ST_OK},
    {"with blank.safetensors", ST_OK},
    {"model-00001-of-00001.safetensors", ST_OK}, /* one shard of one is a complete model */
    {"model-00001-of-000001.safetensors", ST_OK},
    {"model-00001-of-00000.safetensors", ST_OK},
    {"model-1-of-2.safetensors", ST_OK}, /* not a shard's name */
    {"model-0001-of-00002.safetensors", ST_OK},
    {"model-00001-of-0002.safetensors", ST_OK},
    {"model-00001of-00002.safetensors", ST_OK},
    {"model-00001-of00002.safetensors", ST_OK},
    {"model_00001-of-00002.safetensors", ST_OK},
    {"model-00001-OF-00002.safetensors", ST_OK},
    {"model-0000x-of-00002.safetensors", ST_OK},
    {"model-00001-of-x00002.safetensors", ST_OK},
    {"00001-of-00002.safetensors", ST_OK},
    {"model-00001-of-00002.safetensors", ST_ERR_SHARD},
    {"model-00002-of-00002.safetensors", ST_ERR_SHARD},
    {"-00001-of-00002.safetensors", ST_ERR_SHARD},
    {"model-00001-of-00010.safetensors", ST_ERR_SHARD},
    {"model-00001-of-00011.safetensors", ST_ERR_SHARD},
    {"model-000001-of-100000.safetensors", ST_ERR_SHARD},
    {"model-123456-of-00001000000.safetensors", ST_ERR_SHARD},
    {"model-00001-of-00002.fp16.safetensors", ST_ERR_SHARD}, /* variants, with the suffix before or after */
    {"model.fp16-00001-of-00002.safetensors", ST_ERR_SHARD},
    {"a-00001-of-00001-00001-of-00002.safetensors", ST_ERR_SHARD},
    {"model-00000000000000000000000000001-of-00000000000000000000000000002.safetensors", ST_ERR_SHARD},
    {"._model.safetensors", ST_ERR_NOT_FOUND}, /* a hidden file, as macOS writes on foreign file systems */
    {".safetensors", ST_ERR_NOT_FOUND},
    {".safetensors.index.json", ST_ERR_NOT_FOUND},
    {".st-1-0.tmp", ST_ERR_NOT_FOUND},
    {"safetensors", ST_ERR_NOT_FOUND},
    {"model_safetensors", ST_ERR_NOT_FOUND},
    {"model.safetensor", ST_ERR_NOT_FOUND},
    {"model.safetensors2", ST_ERR_NOT_FOUND},
    {"model.safetensors.bak", ST_ERR_NOT_FOUND},
    {"model.safetensors.incomplete", ST_ERR_NOT_FOUND},
    {"model.safetensors~", ST_ERR_NOT_FOUND},
    {"model.SAFETENSORS", ST_ERR_NOT_FOUND},
    {"model.safetensors.index", ST_ERR_NOT_FOUND},
    {"model.safetensors.index.json5", ST_ERR_NOT_FOUND},
    {"model.safetensors.json", ST_ERR_NOT_FOUND},
    {"index.json", ST_ERR_NOT_FOUND},
    {"pytorch_model.bin.index.json", ST_ERR_NOT_FOUND},
    {"pytorch_model.bin", ST_ERR_NOT_FOUND},
    {"config.json", ST_ERR_NOT_FOUND},
};

static void names_alone(void) {
    size_t i;
    for (i = 0; i < sizeof alone / sizeof *alone; i++) {
        st_error e;
        test_row = alone[i].name;
        put_file(expected_name = alone[i].name);
        e = pack_verdict(&p, "pack", NULL, look_name);
        CHECK_STATUS(e.status, alone[i].status);
        if (e.status == ST_ERR_SHARD) {
            CHECK(strncmp(e.message, "pack: found no index for the shard ", 35) == 0);
            CHECK(strlen(alone[i].name) > 60 || strcmp(e.message + 35, alone[i].name) == 0);
        }
        if (e.status == ST_ERR_NOT_FOUND) {
            CHECK_STR(e.message, "pack: found no .safetensors file and no index in this directory");
        }
        pack_clear(&p);
    }
}

/* with many candidates the message has their count and as many names as fit */
static void many_names(void) {
    char name[40];
    st_error e;
    int i;
    test_row = "many names";
    for (i = 0; i < 40; i++) {
        snprintf(name, sizeof name, "checkpoint-%d.safetensors", (i * 7 + 39) % 40);
        put_file(name);
    }
    e = pack_verdict(&p, "pack", NULL, NULL);
    CHECK_STATUS(e.status, ST_ERR_SHARD);
    CHECK(strncmp(e.message,
                  "pack: found 40 .safetensors files, but no index and no model.safetensors; choose one: checkpoint-",
                  97) == 0);
    CHECK_EQ(e.actual, 40);
    pack_clear(&p);
}

/* ---- variants ---- */

static void variant_is(const char *variant, const char *chosen) {
    st_open_options options;
    st_error e;
    memset(&options, 0, sizeof options);
    options.variant = variant;
    expected_name = chosen;
    e = pack_verdict(&p, "pack", &options, chosen ? look_name : NULL);
    CHECK_STATUS(e.status, chosen ? ST_OK : ST_ERR_SHARD);
}

static void variants(void) {
    st_open_options options;
    st_model *m;
    st_error e;
    CHECK(SCRATCH_MAKE("pack/s") == 0);
    memset(&options, 0, sizeof options);
    options.variant = "fp16";
    test_row = "variants of a single file";
    put_file("d.safetensors");
    put_file("d.fp16.safetensors");
    put_file("d.bf16.safetensors");
    put_file("d.2.safetensors"); /* a number is no variant */
    e = pack_verdict(&p, "pack", NULL, NULL);
    CHECK_STATUS(e.status, ST_ERR_SHARD);
    CHECK(strstr(e.message, "d.fp16.safetensors") != NULL && strstr(e.message, " d.safetensors") != NULL);
    variant_is("fp16", "d.fp16.safetensors");
    variant_is("bf16", "d.bf16.safetensors");
    variant_is("", NULL); /* d and d.2 */
    CHECK_STATUS(pack_verdict(&p, "pack/d.safetensors", &options, NULL).status, ST_ERR_NOT_FOUND);
    options.variant = "f";
    CHECK_STATUS(pack_verdict(&p, "pack", &options, NULL).status, ST_ERR_NOT_FOUND);
    put_file("model.fp16.safetensors"); /* goes before d.fp16 */
    variant_is("fp16", "model.fp16.safetensors");
    pack_clear(&p);
    test_row = "variants of an index";
    put_index("model.safetensors.index.fp16.json");
    put_file("model.fp16-00001-of-00002.safetensors");
    put_file("model-00001-of-00002.fp16.safetensors");
    expected_name = "model.safetensors.index.fp16.json";
    CHECK_STATUS(pack_verdict(&p, "pack", NULL, look_name).status, ST_OK); /* the only index */
    put_index("model.safetensors.index.json");
    expected_name = "model.safetensors.index.json";
    CHECK_STATUS(pack_verdict(&p, "pack", NULL, look_name).status, ST_OK);
    variant_is("fp16", "model.safetensors.index.fp16.json");
    variant_is("", "model.safetensors.index.json");
    put_index("x.fp16.safetensors.index.json");
    variant_is("fp16", "model.safetensors.index.fp16.json");
    pack_clear(&p);
    put_index("x.fp16.safetensors.index.json"); /* the other spelling */
    put_index("y.safetensors.index.json");
    variant_is("fp16", "x.fp16.safetensors.index.json");
    put_index("y.safetensors.index.fp16.json");
    variant_is("fp16", NULL);
    pack_clear(&p);
    test_row = "a variant means nothing without a directory";
    CHECK_STATUS(st_open_memory(&m, "", 0, &options, &e), ST_ERR_ARGUMENT);
    CHECK(SCRATCH_DROP("pack/s") == 0);
}

/* ---- sets of shards without an index, and beside a stale one ---- */

static void put_part(const char *name, const char *tensor) {
    char header[80];
    snprintf(header, sizeof header, "{\"%s\":" E("U8", "[1]", "[0,1]") "}", tensor);
    pack_shard(&p, name, header, tensor);
}

static void look_set(const opened *o, int way) {
    (void)way;
    CHECK_EQ(o->model->shard_count, 2);
    CHECK_EQ(o->model->count, 2);
    CHECK(o->model->index == NULL && o->model->index_count == 0);
    CHECK_STR(o->model->stem, expected_name);
    CHECK(st_find(o->model, "a") != NULL && st_find(o->model, "b") != NULL);
}

static void sets(void) {
    st_open_options options;
    st_model *m;
    st_error e;
    memset(&options, 0, sizeof options);
    options.flags = ST_OPEN_NO_INDEX;
    test_row = "a complete set";
    expected_name = "d.x";
    put_part("d.x-00001-of-00002.safetensors", "a");
    put_part("d.x-00002-of-00002.safetensors", "b");
    e = pack_verdict(&p, "pack", NULL, NULL);
    CHECK_STATUS(e.status, ST_ERR_SHARD);
    CHECK(strstr(e.message, "complete set") != NULL && strstr(e.message, "ST_OPEN_NO_INDEX") != NULL);
    CHECK_STATUS(pack_verdict(&p, "pack", &options, look_set).status, ST_OK);
    CHECK_STATUS(pack_verdict(&p, "pack/", &options, look_set).status, ST_OK);
    test_row = "a complete set beside a stale index";
    pack_text(&p, "d.safetensors.index.json", "{\"weight_map\":{\"a\":\"d-00001-of-00003.safetensors\"}}");
    e = pack_verdict(&p, "pack", NULL, NULL);
    CHECK_STATUS(e.status, ST_ERR_SHARD);
    CHECK(strstr(e.message, "ST_OPEN_NO_INDEX") != NULL);
    CHECK_STATUS(pack_verdict(&p, "pack", &options, look_set).status, ST_OK);
    options.files = &p.files; /* an index by its path is then no tensor file */
    CHECK_STATUS(st_open(&m, "pack/d.safetensors.index.json", &options, &e), ST_ERR_FORMAT);
    options.files = NULL;
    test_row = "two sets";
    put_part("e-00001-of-00002.safetensors", "a");
    CHECK_STATUS(pack_verdict(&p, "pack", &options, NULL).status, ST_ERR_SHARD);
    options.variant = "x";
    CHECK_STATUS(pack_verdict(&p, "pack", &options, look_set).status, ST_OK);
    options.variant = NULL;
    pack_clear(&p);
    test_row = "the variant behind the numbers, and more digits";
    expected_name = "d.fp16";
    put_part("d-000001-of-00002.fp16.safetensors", "a");
    put_part("d-000002-of-00002.fp16.safetensors", "b");
    CHECK_STATUS(pack_verdict(&p, "pack", &options, look_set).status, ST_OK);
    options.variant = "fp16";
    CHECK_STATUS(pack_verdict(&p, "pack", &options, look_set).status, ST_OK);
    options.variant = NULL;
    pack_clear(&p);
    test_row = "numbers in fewer and in more digits";
    options.flags |= ST_OPEN_PARTIAL;
    put_part("d-00001-of-00002.safetensors", "a");
    put_part("d-000002-of-00002.safetensors", "b");
    e = pack_verdict(&p, "pack", &options, NULL);
    CHECK_STATUS(e.status, ST_ERR_SHARD);
    CHECK(strstr(e.message, "complete set") == NULL);
    pack_clear(&p);
    test_row = "numbers from 0";
    put_part("d-00000-of-00002.safetensors", "a");
    put_part("d-00001-of-00002.safetensors", "b");
    CHECK_STATUS(pack_verdict(&p, "pack", &options, NULL).status, ST_ERR_SHARD);
    put_part("d-00002-of-00002.safetensors", "c");
    CHECK_STATUS(pack_verdict(&p, "pack", &options, NULL).status, ST_ERR_SHARD);
    pack_clear(&p);
    options.flags = ST_OPEN_NO_INDEX;
    test_row = "a word behind the numbers is no variant";
    expected_name = "d-fp16";
    put_part("d-00001-of-00002-fp16.safetensors", "a");
    put_part("d-00002-of-00002-fp16.safetensors", "b");
    CHECK_STATUS(pack_verdict(&p, "pack", &options, look_set).status, ST_OK);
    options.variant = "fp16";
    CHECK_STATUS(pack_verdict(&p, "pack", &options, NULL).status, ST_ERR_NOT_FOUND);
    options.variant = "";
    CHECK_STATUS(pack_verdict(&p, "pack", &options, look_set).status, ST_OK);
    options.variant = NULL;
    pack_clear(&p);
    test_row = "an incomplete set";
    put_part("d-00002-of-00002.safetensors", "b");
    e = pack_verdict(&p, "pack", &options, NULL);
    CHECK_STATUS(e.status, ST_ERR_SHARD);
    CHECK_STR(e.subject, "d-00001-of-00002.safetensors");
    options.flags |= ST_OPEN_PARTIAL;
    CHECK_STATUS(pack_verdict(&p, "pack", &options, NULL).status, ST_OK);
    options.flags = ST_OPEN_NO_INDEX;
    test_row = "a tensor in two shards of a set";
    put_part("d-00001-of-00002.safetensors", "b");
    CHECK_STATUS(pack_verdict(&p, "pack", &options, NULL).status, ST_ERR_SHARD);
    pack_clear(&p);
    test_row = "a number past the last";
    put_part("d-00001-of-00002.safetensors", "a");
    put_part("d-00003-of-00002.safetensors", "b");
    CHECK_STATUS(pack_verdict(&p, "pack", &options, NULL).status, ST_ERR_SHARD);
    pack_clear(&p);
    test_row = "too many shards";
    put_part("d-00001-of-65537.safetensors", "b");
    CHECK_STATUS(pack_verdict(&p, "pack", &options, NULL).status, ST_ERR_TOO_LARGE);
    pack_clear(&p);
    test_row = "a single file beside a stale index";
    put_part("one.safetensors", "a");
    pack_text(&p, "d.safetensors.index.json", "{\"weight_map\":{\"a\":\"d-00001-of-00003.safetensors\"}}");
    e = pack_verdict(&p, "pack", NULL, NULL);
    CHECK_STATUS(e.status, ST_ERR_SHARD);
    CHECK(strstr(e.message, "one.safetensors") != NULL);
    CHECK_STATUS(pack_verdict(&p, "pack", &options, NULL).status, ST_OK);
    pack_clear(&p);
}

/* ---- paths that are not directories, directories without models ---- */

static void nothing(void) {
    st_open_options options;
    st_model *m;
    st_error e;
    test_row = "nothing";
    CHECK_STATUS(pack_verdict(&p, "pack", NULL, NULL).status, ST_ERR_NOT_FOUND);
    put_file("one.safetensors");
    CHECK_STATUS(pack_verdict(&p, "pack/none", NULL, NULL).status, ST_ERR_NOT_FOUND);
    CHECK_STATUS(pack_verdict(&p, "pack/none/", NULL, NULL).status, ST_ERR_NOT_FOUND);
    CHECK_STATUS(pack_verdict(&p, "pack/none.json", NULL, NULL).status, ST_ERR_NOT_FOUND);
    CHECK_STATUS(pack_verdict(&p, "pack/one.safetensors/", NULL, NULL).status, ST_ERR_NOT_FOUND);
    CHECK_STATUS(pack_verdict(&p, "pack/one.safetensors/one.safetensors", NULL, NULL).status, ST_ERR_NOT_FOUND);
    test_row = "a file system that cannot list";
    memset(&options, 0, sizeof options);
    CHECK(SCRATCH_MAKE("pack/s") == 0);
    put_index("two.safetensors.index.json");
    p.files.list = NULL;
    options.files = &p.files;
    CHECK_STATUS(st_open(&m, "pack", &options, &e), ST_ERR_NOT_FOUND);
    CHECK_STATUS(st_open(&m, "pack/one.safetensors", &options, &e), ST_OK);
    st_close(m);
    CHECK_STATUS(st_open(&m, "pack/two.safetensors.index.json", &options, &e), ST_OK);
    st_close(m);
    p.files.list = pack_list;
    pack_clear(&p);
    CHECK(SCRATCH_DROP("pack/s") == 0);
}

/* directories named like model files */
static void directories_inside(void) {
    test_row = "a directory that is called like a file";
    CHECK(SCRATCH_MAKE("pack/model.safetensors") == 0);
    p.disk = 0;
    {
        st_model *m;
        st_error e;
        CHECK_STATUS(st_open(&m, "pack", NULL, &e), ST_ERR_NOT_FOUND);
        CHECK_STR(e.message, "pack: found no .safetensors file and no index in this directory");
        disk_text("pack/one.safetensors", "");
        CHECK_STATUS(st_open(&m, "pack", NULL, &e), ST_ERR_TRUNCATED);
        disk_text("pack/model.safetensors/x", ""); /* it need not be empty */
        CHECK_STATUS(st_open(&m, "pack", NULL, &e), ST_ERR_TRUNCATED);
        CHECK(remove("pack/model.safetensors/x") == 0);
        CHECK(remove("pack/one.safetensors") == 0);
        disk_text("pack/x.json", "{\"weight_map\":{\"t\":\"model.safetensors\"}}");
        CHECK_STATUS(st_open(&m, "pack/x.json", NULL, &e), ST_ERR_SHARD);
        CHECK_STR(e.subject, "model.safetensors");
        CHECK(remove("pack/x.json") == 0);
        CHECK_STATUS(st_open(&m, "pack/model.safetensors", NULL, &e), ST_ERR_NOT_FOUND);
        CHECK(strstr(e.message, "no .safetensors file") != NULL);
    }
    CHECK(SCRATCH_DROP("pack/model.safetensors") == 0);
    CHECK(SCRATCH_MAKE("pack/model-00001-of-00002.safetensors") == 0);
    {
        st_model *m;
        st_error e;
        CHECK_STATUS(st_open(&m, "pack", NULL, &e), ST_ERR_NOT_FOUND);
        disk_text("pack/one.safetensors", "");
        CHECK_STATUS(st_open(&m, "pack", NULL, &e), ST_ERR_TRUNCATED);
        CHECK(remove("pack/one.safetensors") == 0);
    }
    CHECK(SCRATCH_DROP("pack/model-00001-of-00002.safetensors") == 0);
    CHECK(SCRATCH_MAKE("pack/x.json") == 0); /* treated as an index because of its name */
    {
        st_model *m;
        st_error e;
        CHECK_STATUS(st_open(&m, "pack/x.json", NULL, &e), ST_ERR_NOT_FOUND);
        CHECK_STATUS(st_open(&m, "pack/x.json/", NULL, &e), ST_ERR_NOT_FOUND);
        CHECK(strstr(e.message, "no .safetensors file") != NULL);
    }
    CHECK(SCRATCH_DROP("pack/x.json") == 0);
    p.disk = 1;
}

/* the current directory, and paths with extra slashes */
static void spellings(void) {
    static const char *const paths[] = {".",       "./",     "pack",     "pack/",       "pack//",
                                        "pack///", "./pack", "./pack/.", "pack/../pack"};
    size_t i;
    int index;
    CHECK(SCRATCH_MAKE("pack/s") == 0);
    for (index = 0; index <= 1; index++) {
        for (i = 0; i < sizeof paths / sizeof *paths; i++) {
            st_model *m;
            st_error e;
            test_row = paths[i];
            if (index) {
                put_index(expected_name = "model.safetensors.index.json");
            } else {
                put_file(expected_name = "model.safetensors");
            }
            if (i < 2) CHECK(CHANGE_DIRECTORY("pack") == 0);
            if (CHECK_STATUS(st_open(&m, paths[i], NULL, &e), ST_OK)) {
                CHECK(m->count == 1 && strcmp(m->tensors[0].name, expected_name) == 0);
            }
            st_close(m);
            if (i < 2) { /* a file name without a directory */
                CHECK_STATUS(st_open(&m, expected_name, NULL, &e), ST_OK);
                st_close(m);
                CHECK(CHANGE_DIRECTORY("..") == 0);
            }
            pack_clear(&p);
        }
    }
    CHECK(SCRATCH_DROP("pack/s") == 0);
}

/* a listing with a file that no longer exists, one with a name over the length limit, and one that fails */
static int odd_list(void *user, const char *directory, int (*each)(void *arg, const char *name), void *arg) {
    pack *at = (pack *)user;
    char name[1000];
    (void)directory;
    at->lists++;
    if (at->fail_at == 102) return 55;
    memset(name, 'x', sizeof name);
    strcpy(name + (at->fail_at == 100 ? 1 : 767 - 12), ".safetensors"); /* the longest permitted name has 767 bytes */
    if (at->fail_at == 101) memmove(name + 1, name, 768);
    return each(arg, name);
}

static void changes(void) {
    static const st_status want[] = {ST_ERR_NOT_FOUND, ST_ERR_NOT_FOUND, ST_ERR_IO, ST_ERR_NOT_FOUND};
    size_t i;
    for (i = 0; i < 4; i++) {
        st_open_options options;
        st_model *m;
        st_error e;
        test_row = "a directory that changes";
        memset(&options, 0, sizeof options);
        put_file("z.safetensors");
        p.files.list = odd_list;
        p.lists = 0;
        p.calls = 0;
        p.fail_at = 100 + i; /* makes no call of the pack fail */
        options.files = &p.files;
        CHECK_STATUS(st_open(&m, "pack", &options, &e), want[i]);
        CHECK_EQ(p.lists, 1);
        CHECK((strstr(e.message, "no .safetensors file") != NULL) == (i == 1));
        if (i == 2) CHECK_EQ(e.sys, 55);
        CHECK(m == NULL);
        p.fail_at = 0;
        p.files.list = pack_list;
        pack_clear(&p);
    }
}

/* the error may be NULL in every case */
static void without_error(void) {
    st_open_options options;
    st_model *m;
    test_row = "nobody asks why";
    put_file("one.safetensors"), put_file("two.safetensors");
    memset(&options, 0, sizeof options);
    options.files = &p.files;
    CHECK_STATUS(st_open(&m, "pack", &options, NULL), ST_ERR_SHARD);
    CHECK(m == NULL);
    put_part("d-00001-of-00002.safetensors", "a");
    put_part("d-00002-of-00002.safetensors", "b");
    CHECK_STATUS(st_open(&m, "pack", &options, NULL), ST_ERR_SHARD);
    pack_clear(&p);
    put_part("d-00001-of-00002.safetensors", "a");
    CHECK_STATUS(st_open(&m, "pack", &options, NULL), ST_ERR_SHARD);
    pack_text(&p, "d.safetensors.index.json", "{\"weight_map\":{\"a\":\"e.safetensors\"}}");
    CHECK_STATUS(st_open(&m, "pack", &options, NULL), ST_ERR_SHARD);
    pack_clear(&p);
    CHECK_STATUS(st_open(&m, "pack", &options, NULL), ST_ERR_NOT_FOUND);
    CHECK_STATUS(st_open(&m, "pack/models--a--b", &options, NULL), ST_ERR_NOT_FOUND);
    CHECK_STATUS(st_open(&m, "pack/models--a", &options, NULL), ST_ERR_NOT_FOUND);
    CHECK_STATUS(st_open(&m, "pack", NULL, NULL), ST_ERR_NOT_FOUND);
}

int main(void) {
    models_begin("directory");
    pack_begin(&p, 1);
    combinations();
    names_alone();
    many_names();
    variants();
    sets();
    nothing();
    without_error();
    directories_inside();
    spellings();
    changes();
    test_row = "";
    pack_end(&p);
    models_end();
    return test_done("directory");
}
