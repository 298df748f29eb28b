/* Tests room 14: opening an index and its shards. Index and shards must agree; every error has the right status,
 * position and subject, in every way to open. */
#define ST_IMPLEMENTATION
#include "seed.h"

#include "../safetensors.h"

#include "invalid.h"
#include "large.h"
#include "models.h"

#define INDEX "model.safetensors.index.json"
#define MAP(members) "{\"weight_map\":{" members "}}"

static pack p;

/* ---- valid models ---- */

static void put_two(void) { /* names and offsets of many kinds */
    pack_shard(&p, "b.safetensors", "{\"__metadata__\":{\"of\":\"b\"},\"w\":" E("F32", "[1]", "[0,4]") "}", "BBBB");
    pack_shard(&p, "a.safetensors",
               "{\"y\":" E("U8", "[2]", "[8,10]") ",\"__metadata__\":{\"of\":\"a\",\"format\":\"pt\"},\"x\":" E(
                   "F32", "[2,1]", "[0,8]") ",\"\\u00e9\\n\":" E("BF16", "[0,3]", "[8,8]") "}",
               "xxxxxxxxyy");
    pack_text(
        &p, INDEX,
        " {\n \"metadata\": {\"total_size\": 14, \"dtype\": \"f\\u0033\", \"\\u006e\": [ 1, {\"a\": null} ], "
        "\"none\": null, \"t\\u0000\": -1.5e3},\n \"x\": {\"weight_map\": 3}, \"weight_map\": {"
        "\"w\": \"b\\u002esafetensors\", \"\\u0079\": \"a.safetensors\", \"x\": \"a.safetensors\"}, \"x\": []\n}\n");
}

static void look_two(const opened *o, int way) {
    static const char *const names[] = {"x", "\303\251\n", "y", "w"};
    const st_model *m = o->model;
    const st_pair *index = m->index;
    size_t i;
    (void)way;
    if (!CHECK(m->count == 4 && m->shard_count == 2 && m->index_count == 5)) return;
    for (i = 0; i < 4; i++) {
        CHECK_STR(m->tensors[i].name, names[i]);
        CHECK_EQ(m->tensors[i].shard, i == 3);
        CHECK(st_find(m, names[i]) == &m->tensors[i]);
    }
    CHECK(st_find(m, "z") == NULL && st_find(m, "metadata") == NULL && st_find(m, "") == NULL);
    CHECK_STR(m->shards[0].path, "pack/a.safetensors");
    CHECK_STR(m->shards[1].path, "pack/b.safetensors");
    CHECK_EQ(m->bytes, 14);
    CHECK_EQ(m->metadata_count, 2);
    CHECK_STR(st_find_metadata(m, "of")->value, "a");
    CHECK_STR(st_find_metadata(m, "format")->value, "pt");
    CHECK(st_find_metadata(m, "total_size") == NULL);
    CHECK_STR(m->shards[1].metadata[0].value, "b");
    CHECK_STR(index[0].key, "total_size");
    CHECK_STR(index[0].value, "14");
    CHECK_STR(index[1].key, "dtype");
    CHECK_STR(index[1].value, "\"f\\u0033\""); /* the original JSON text */
    CHECK_STR(index[2].key, "n");
    CHECK_STR(index[2].value, "[ 1, {\"a\": null} ]");
    CHECK_STR(index[3].value, "null");
    CHECK(index[4].key_bytes == 2 && memcmp(index[4].key, "t\0", 3) == 0);
    CHECK_STR(index[4].value, "-1.5e3");
}

static void look_one(const opened *o, int way) {
    (void)way;
    CHECK(o->model->shard_count == 1 && o->model->count == 1 && o->model->index_count == 0 && o->model->index == NULL);
    CHECK(o->model->metadata == NULL);
}

static void opens(void) {
    test_row = "two shards";
    put_two();
    CHECK_STATUS(pack_verdict(&p, "pack/" INDEX, NULL, look_two).status, ST_OK);
    CHECK_STATUS(pack_verdict(&p, "pack", NULL, look_two).status, ST_OK);
    CHECK_STATUS(pack_verdict(&p, "pack/", NULL, look_two).status, ST_OK);
    pack_clear(&p);
    test_row = "one shard, and no metadata";
    pack_shard(&p, "only.safetensors", "{\"t\":" E("U8", "[1]", "[0,1]") "}", "t");
    pack_text(&p, "x.json", MAP("\"t\":\"only.safetensors\""));
    CHECK_STATUS(pack_verdict(&p, "pack/x.json", NULL, look_one).status, ST_OK);
    pack_clear(&p);
}

/* shards in subdirectories, sorted by bytes */
static void look_folders(const opened *o, int way) {
    (void)way;
    if (!CHECK_EQ(o->model->shard_count, 3)) return;
    CHECK_STR(o->model->shards[0].path, "pack/a b/t.safetensors");
    CHECK_STR(o->model->shards[1].path, "pack/a/b/t.safetensors");
    CHECK_STR(o->model->shards[2].path, "pack/t.safetensors");
}

static void folders(void) {
    test_row = "folders";
    CHECK(SCRATCH_MAKE("pack/a") == 0 && SCRATCH_MAKE("pack/a/b") == 0 && SCRATCH_MAKE("pack/a b") == 0);
    pack_shard(&p, "t.safetensors", "{\"1\":" E("U8", "[1]", "[0,1]") "}", "1");
    pack_shard(&p, "a/b/t.safetensors", "{\"2\":" E("U8", "[1]", "[0,1]") "}", "2");
    pack_shard(&p, "a b/t.safetensors", "{\"3\":" E("U8", "[1]", "[0,1]") "}", "3");
    pack_text(&p, INDEX, MAP("\"1\":\"t.safetensors\",\"2\":\"a\\/b/t.safetensors\",\"3\":\"a b/t.safetensors\""));
    CHECK_STATUS(pack_verdict(&p, "pack", NULL, look_folders).status, ST_OK);
    pack_clear(&p);
    CHECK(SCRATCH_DROP("pack/a/b") == 0 && SCRATCH_DROP("pack/a") == 0 && SCRATCH_DROP("pack/a b") == 0);
}

/* ---- the index's text -------- */

typedef struct index_case {
    const char *text; /* \1 marks the error's position and is removed */
    st_status status;
    const char *subject;
} index_case;

#define T "\"t\":\"t.safetensors\""
#define DEEP(open, close) "{\"weight_map\":{" T "},\"x\":" open X100("[") X25("[") "1" X25("]") X100("]") close "}"

/* clang-format off */
static const index_case index_cases[] = {
    /* valid */
    {MAP(T), ST_OK, ""},
    {"\r\n\t {\"weight_map\" : { " T " } } \n", ST_OK, ""},
    {"{\"metadata\":{}," "\"weight_map\":{" T "}}", ST_OK, ""},
    {"{\"weight_map\":{" T "},\"metadata\":{\"a\":{\"b\":1,\"b\":2},\"c\":[[]],\"d\":1e308,\"e\":\"\"}}", ST_OK, ""},
    {"{\"x\":1,\"x\":2,\"\":null,\"weight_map\":{" T "}}", ST_OK, ""}, /* ignored members may be duplicate */
    {"{\"w\\u0065ight_map\":{" T "}}", ST_OK, ""},
    {"{\"weight_map\":{\"\\u0074\":\"t\\u002Esafetensors\"}}", ST_OK, ""},
    {"{\"weight_maps\":{},\"Metadata\":[],\"weight_map\":{" T "},\"weight_ma\":{}}", ST_OK, ""},
    {"{\"metadata\":{\"total_size\":\"no\"},\"weight_map\":{" T "}}", ST_OK, ""}, /* total_size is ignored */
    {"{\"metadata\":{\"total_size\":1.25},\"weight_map\":{" T "}}", ST_OK, ""},
    {"{\"metadata\":{\"total_size\":-99999999999999999999999},\"weight_map\":{" T "}}", ST_OK, ""},
    {"{\"metadata\":{\"total_size\":null},\"weight_map\":{" T "}}", ST_OK, ""},
    {"{\"metadata\":null,\"weight_map\":{" T "}}", ST_OK, ""},
    {DEEP("[", "]"), ST_OK, ""}, /* 127 levels with the root */
    /* invalid JSON */
    {"\1", ST_ERR_JSON, ""},
    {" \n\1", ST_ERR_JSON, ""},
    {"\1weight_map", ST_ERR_JSON, ""},
    {"\1\357\273\277" MAP(T), ST_ERR_JSON, ""},
    {"{\1", ST_ERR_JSON, ""},
    {"{\1weight_map:1}", ST_ERR_JSON, ""},
    {"{\1'weight_map':{}}", ST_ERR_JSON, ""},
    {"{\"weight_map\1", ST_ERR_JSON, ""},
    {"{\"weight_map\"\1", ST_ERR_JSON, ""},
    {"{\"weight_map\" \1{" T "}}", ST_ERR_JSON, ""},
    {"{\"weight_map\":\1", ST_ERR_JSON, ""},
    {"{\"weight_map\":\1]", ST_ERR_JSON, ""},
    {"{\"weight_map\":{\1", ST_ERR_JSON, ""},
    {"{\"weight_map\":{\1t:\"t.safetensors\"}}", ST_ERR_JSON, ""},
    {"{\"weight_map\":{\"t\"\1}}", ST_ERR_JSON, ""},
    {"{\"weight_map\":{\"t\":\1}}", ST_ERR_JSON, ""},
    {"{\"weight_map\":{" T ",\1}}", ST_ERR_JSON, ""},
    {"{\"weight_map\":{" T " \1\"u\":\"t.safetensors\"}}", ST_ERR_JSON, NULL},
    {"{\"weight_map\":{" T "\1]}", ST_ERR_JSON, ""},
    {"{\"weight_map\":{" T "}\1", ST_ERR_JSON, ""},
    {"{\"weight_map\":{" T "},\1}", ST_ERR_JSON, ""},
    {MAP(T) "\1x", ST_ERR_JSON, ""},
    {MAP(T) " \1{}", ST_ERR_JSON, ""},
    {MAP(T) "\1,", ST_ERR_JSON, ""},
    {MAP("\"t\1\n\":\"t.safetensors\""), ST_ERR_JSON, ""},
    {MAP("\"t\\\1x\":\"t.safetensors\""), ST_ERR_JSON, NULL},
    {MAP("\"\1\\ud800\":\"t.safetensors\""), ST_ERR_JSON, ""},
    {MAP("\"t\":\"\1\\udc00.safetensors\""), ST_ERR_JSON, ""},
    {"{\"weight_map\":{\"t\":\"t.saf\1", ST_ERR_JSON, ""},
    {"{\"x\":0\1" "1,\"weight_map\":{" T "}}", ST_ERR_JSON, NULL},
    {"{\"x\":nul\1L,\"weight_map\":{" T "}}", ST_ERR_JSON, NULL},
    {"{\"x\":\1+1,\"weight_map\":{" T "}}", ST_ERR_JSON, ""},
    {"{\"x\":\1NaN,\"weight_map\":{" T "}}", ST_ERR_JSON, ""},
    {"{\"x\":[1 \1}],\"weight_map\":{" T "}}", ST_ERR_JSON, ""},
    {"{\"metadata\":{\"total_size\":\1},\"weight_map\":{" T "}}", ST_ERR_JSON, ""},
    {"{\"metadata\":{\"a\":1,\1},\"weight_map\":{" T "}}", ST_ERR_JSON, ""},
    {"{\"metadata\":{\1a:1},\"weight_map\":{" T "}}", ST_ERR_JSON, ""},
    {"{\"metadata\":{\"a\"\1},\"weight_map\":{" T "}}", ST_ERR_JSON, ""},
    {"{\"metadata\":{\"a\":1\1]},\"weight_map\":{" T "}}", ST_ERR_JSON, ""},
    {"{\"metadata\":{\"a\1", ST_ERR_JSON, ""},
    {"{\"metadata\":\1}", ST_ERR_JSON, ""},
    {"{\"weight_map\":{" T "},\"x\":[" X100("[") X25("[") "\1[]]", ST_ERR_JSON, ""},
    {"{\"weight_map\":{" T "},\"metadata\":{\"x\":" X100("[") X25("[") "\1[]}}", ST_ERR_JSON, ""},
    /* invalid UTF-8 anywhere is reported before any other error */
    {"{\"weight_map\":{\"t\":\"t.safetensors\"}}\1\377", ST_ERR_UTF8, ""},
    {"[\"\1\300\257\"]", ST_ERR_UTF8, ""},
    {MAP("\"\1\355\240\200\":\"t.safetensors\""), ST_ERR_UTF8, ""},
    {"{\"x\":\"\1\342\202", ST_ERR_UTF8, ""},
    /* valid JSON of the wrong type */
    {"\1[]", ST_ERR_SCHEMA, ""},
    {"\1\"weight_map\"", ST_ERR_SCHEMA, ""},
    {"\1null", ST_ERR_SCHEMA, ""},
    {"\1" "1", ST_ERR_SCHEMA, ""},
    {"{}\1", ST_ERR_SCHEMA, ""},
    {"{\"metadata\":{\"total_size\":0}}\1", ST_ERR_SCHEMA, ""},
    {"{\"weight_map\":{}}\1", ST_ERR_SCHEMA, ""},
    {"{\"weight_map\":\1null}", ST_ERR_SCHEMA, ""},
    {"{\"weight_map\":\1[\"t.safetensors\"]}", ST_ERR_SCHEMA, ""},
    {"{\"weight_map\":\1\"t.safetensors\"}", ST_ERR_SCHEMA, ""},
    {MAP("\"t\":\1null"), ST_ERR_SCHEMA, ""},
    {MAP("\"t\":\1" "1"), ST_ERR_SCHEMA, ""},
    {MAP("\"t\":\1[\"t.safetensors\"]"), ST_ERR_SCHEMA, ""},
    {MAP("\"t\":\1{}"), ST_ERR_SCHEMA, ""},
    {MAP("\"t\":\1true"), ST_ERR_SCHEMA, ""},
    {"{\"metadata\":nul\1,\"weight_map\":{" T "}}", ST_ERR_JSON, NULL},
    {"{\"metadata\":null,\1\"metadata\":null,\"weight_map\":{" T "}}", ST_ERR_DUPLICATE, ""},
    {"{\"metadata\":\1[],\"weight_map\":{" T "}}", ST_ERR_SCHEMA, ""},
    {"{\"metadata\":\1\"x\",\"weight_map\":{" T "}}", ST_ERR_SCHEMA, ""},
    /* duplicates */
    {"{\"weight_map\":{" T "},\1\"weight_map\":{" T "}}", ST_ERR_DUPLICATE, NULL},
    {"{\"weight_map\":{" T "},\1\"weight\\u005fmap\":{}}", ST_ERR_DUPLICATE, NULL},
    {"{\"metadata\":{},\"weight_map\":{" T "},\1\"metadata\":{}}", ST_ERR_DUPLICATE, NULL},
    {"{\"metadata\":{},\1\"\\u006detadata\":1,\"weight_map\":{" T "}}", ST_ERR_DUPLICATE, NULL},
    {MAP(T ",\1" T), ST_ERR_DUPLICATE, "t"},
    {MAP(T ", \1\"\\u0074\":\"u.safetensors\""), ST_ERR_DUPLICATE, "t"},
    {MAP("\"\\u0074\":\"u.safetensors\",\"u\":\"u.safetensors\"\n,\n\1" T), ST_ERR_DUPLICATE, "t"},
    {MAP("\"\":\"t.safetensors\"," T ",\1\"\":\"t.safetensors\""), ST_ERR_DUPLICATE, ""},
    {"{\"metadata\":{\"a\":1,\"b\":{\"a\":2},\1\"a\":1},\"weight_map\":{" T "}}", ST_ERR_DUPLICATE, "a"},
    {"{\"metadata\":{\"\\u0061\":1,\1\"a\":1},\"weight_map\":{" T "," T "}}", ST_ERR_DUPLICATE, "a"},
    {"{\"weight_map\":{" T "," T "},\"metadata\":{\"a\":1,\1\"\\u0061\":1}}", ST_ERR_DUPLICATE, "a"},
    /* duplicates are reported before other errors, but an invalid path is reported where it occurs */
    {MAP("\"q\":\"missing.safetensors\",\1\"q\":\"t.safetensors\"," T), ST_ERR_DUPLICATE, "q"},
    {MAP("\"u\":\"t.safetensors\"," T ",\"\\u0071\":\"t.safetensors\",\1\"q\":\"u.safetensors\"," T), ST_ERR_DUPLICATE, "q"},
    {MAP(T "," T ",\"q\":\1\"../t.safetensors\""), ST_ERR_PATH, "../t.safetensors"},
    {MAP("\"q\":\1\"x\\u002f.safetensors\"," T ",") "x", ST_ERR_PATH, "x/.safetensors"},
    /* other formats */
    {"\1version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n", ST_ERR_FORMAT, ""},
    {"\1<!DOCTYPE html><html></html>", ST_ERR_FORMAT, ""},
    {"\1PK\3\4\24", ST_ERR_FORMAT, ""},
    {"\1GGUF\3", ST_ERR_FORMAT, ""},
};
/* clang-format on */

static void index_texts(void) {
    size_t i;
    pack_shard(&p, "t.safetensors", "{\"t\":" E("U8", "[1]", "[0,1]") "}", "t");
    pack_shard(&p, "u.safetensors", "{\"u\":" E("U8", "[1]", "[0,1]") "}", "u");
    for (i = 0; i < sizeof index_cases / sizeof *index_cases; i++) {
        const index_case *row = &index_cases[i];
        const char *mark = strchr(row->text, 1);
        const size_t n = strlen(row->text), at = mark != NULL ? (size_t)(mark - row->text) : 0;
        char text[600];
        st_error e;
        test_row = row->text;
        if (!CHECK(n < sizeof text)) continue;
        memcpy(text, row->text, at);
        memcpy(text + at, row->text + at + (mark != NULL), n - at - (mark != NULL));
        pack_raw(&p, INDEX, text, n - (mark != NULL));
        e = pack_verdict(&p, "pack/" INDEX, NULL, NULL);
        CHECK_STATUS(e.status, row->status);
        if (e.status == ST_OK) continue;
        CHECK_EQ(e.position, at);
        if (row->subject != NULL) CHECK_STR(e.subject, row->subject);
        CHECK(strncmp(e.message, "pack/" INDEX ": ", 35) == 0 || strlen(e.subject) > 0);
    }
    pack_clear(&p);
}

/* the header limit applies to the index, too */
static void index_limit(void) {
    static const char text[] = MAP(T);
    st_open_options options;
    st_error e;
    memset(&options, 0, sizeof options);
    test_row = "limit";
    pack_shard(&p, "t.safetensors", "{\"t\":" E("U8", "[]", "[0,1]") "}", "t");
    pack_text(&p, INDEX,
              "{\"metadata\":{\"padding\":\"0123456789012345678901234567890123456789012345678901234567890123456789\"},"
              "\"weight_map\":{" T "}}");
    options.max_header = p.all[1].n;
    CHECK_STATUS(pack_verdict(&p, "pack", &options, NULL).status, ST_OK);
    options.max_header--;
    e = pack_verdict(&p, "pack", &options, NULL);
    CHECK_STATUS(e.status, ST_ERR_HEADER_LIMIT);
    CHECK(e.expected == options.max_header && e.actual == p.all[1].n && e.position == UINT64_MAX);
    pack_text(&p, INDEX, text);
    options.max_header = sizeof text - 1; /* the shard's header is longer */
    e = pack_verdict(&p, "pack", &options, NULL);
    CHECK_STATUS(e.status, ST_ERR_HEADER_LIMIT);
    CHECK(e.expected == sizeof text - 1 && e.position == 0 && strncmp(e.message, "pack/t.safetensors: ", 20) == 0);
    pack_clear(&p);
}

/* 65,536 shards are permitted; with one more, the error is reported before any shard is opened */
static void too_many_shards(void) {
    size_t count;
    test_row = "too many shards";
    for (count = 65536; count <= 65537; count++) {
        growing text = {NULL, 0, 0};
        st_open_options options;
        st_model *m;
        st_error e;
        size_t i;
        memset(&options, 0, sizeof options);
        text_put(&text, "{\"weight_map\":{");
        for (i = 0; i < count; i++) {
            text_put(&text, i > 0 ? ",\"" : "\"");
            text_number(&text, i);
            text_put(&text, "\":\"");
            text_number(&text, i);
            text_put(&text, ".safetensors\"");
        }
        text_put(&text, "}}");
        p.disk = 0;
        pack_raw(&p, INDEX, text.at, text.n);
        free(text.at);
        options.files = &p.files;
        p.mapped = 1;
        p.opens = p.closes = p.calls = 0;
        if (count == 65536) {
            options.flags = ST_OPEN_PARTIAL;
            CHECK_STATUS(st_open(&m, "pack/" INDEX, &options, &e), ST_OK);
            CHECK(m != NULL && m->shard_count == 65536 && m->count == 0 && m->shards[65535].file_bytes == 0);
            st_close(m);
            options.flags = 0;
            CHECK_STATUS(st_open(&m, "pack/" INDEX, &options, &e), ST_ERR_SHARD);
            CHECK_STR(e.subject, "0.safetensors");
        } else {
            CHECK_STATUS(st_open(&m, "pack/" INDEX, &options, &e), ST_ERR_TOO_LARGE);
            CHECK(e.expected == 65536 && e.actual == 65537 && m == NULL);
            CHECK_EQ(p.calls, 1);
        }
        pack_clear(&p);
        p.disk = 1;
    }
}

/* ---- errors in a shard ------------- */

/* every error of a single file is also reported for a shard, at any position among valid shards */
static void shard_faults(void) {
    static const char *const names[] = {"a.safetensors", "n.safetensors", "z.safetensors"};
    size_t i;
    int place;
    for (i = 0; i < sizeof invalid_cases / sizeof *invalid_cases; i++) {
        const file_case *row = &invalid_cases[i];
        size_t n;
        st_open_options options;
        if (row->status == ST_OK || (row->max_header > 0 && row->max_header < 1000)) continue;
        memset(&options, 0, sizeof options);
        options.flags = row->flags;
        options.max_header = row->max_header;
        for (place = 0; place < 3; place++) {
            unsigned char *file = case_file(row, &n);
            char prefix[40];
            st_error e;
            test_row = row->name;
            p.disk = i % 8 == 0;
            if (p.disk) (void)SCRATCH_MAKE("pack");
            pack_shard(&p, names[place == 0], "{\"1\":" E("U8", "[1]", "[0,1]") "}", "1");
            pack_shard(&p, names[place == 2 ? 1 : 2], "{\"2\":" E("U8", "[1]", "[0,1]") "}", "2");
            pack_take(&p, names[place], file, n);
            pack_text(&p, INDEX, MAP("\"3\":\"z.safetensors\",\"1\":\"a.safetensors\",\"2\":\"n.safetensors\""));
            e = pack_verdict(&p, "pack", &options, NULL);
            CHECK_STATUS(e.status, row->status);
            CHECK_EQ(e.position, row->position);
            if (row->expected != ANY_VALUE) CHECK_EQ(e.expected, row->expected);
            if (row->actual != ANY_VALUE) CHECK_EQ(e.actual, row->actual);
            if (row->subject != NULL) CHECK_STR(e.subject, row->subject);
            snprintf(prefix, sizeof prefix, "pack/%s: ", names[place]);
            CHECK(strncmp(e.message, prefix, strlen(prefix)) == 0);
            pack_clear(&p);
        }
    }
    p.disk = 1;
}

/* ---- disagreements between index and shards ---- */

typedef struct disagreement {
    const char *name, *map;
    st_status status;
    const char *subject, *says; /* the message contains both */
} disagreement;

static const disagreement disagreements[] = {
    {"all is well", "\"a\":\"a.safetensors\",\"b\":\"b.safetensors\"", ST_OK, "", ""},
    {"one tensor of a shard is enough", "\"a2\":\"a.safetensors\",\"b\":\"b.safetensors\"", ST_OK, "", ""},
    {"a shard is missing", "\"a\":\"a.safetensors\",\"m\":\"gone.safetensors\"", ST_ERR_SHARD, "gone.safetensors",
     "does not exist"},
    {"so is its folder", "\"a\":\"a.safetensors\",\"m\":\"no/gone.safetensors\"", ST_ERR_SHARD, "no/gone.safetensors",
     "does not exist"},
    {"a file is no folder", "\"a\":\"a.safetensors\",\"m\":\"a.safetensors/b.safetensors\"", ST_ERR_SHARD,
     "a.safetensors/b.safetensors", "does not exist"},
    {"a tensor is missing", "\"a\":\"a.safetensors\",\"none\":\"b.safetensors\"", ST_ERR_SHARD, "none",
     "pack/b.safetensors"},
    {"a tensor is in another shard", "\"a\":\"b.safetensors\",\"a2\":\"a.safetensors\"", ST_ERR_SHARD, "a",
     "pack/b.safetensors\", and not \"pack/a.safetensors"},
    {"the first of them is said", "\"none\":\"b.safetensors\",\"a\":\"b.safetensors\"", ST_ERR_SHARD, "none", ""},
    {"a tensor is in two", "\"a\":\"a.safetensors\",\"a2\":\"c.safetensors\"", ST_ERR_SHARD, "a2",
     "pack/a.safetensors\" and \"pack/c.safetensors"},
    {"though the index does not name it", "\"a\":\"a.safetensors\",\"c\":\"c.safetensors\"", ST_ERR_SHARD, "a2",
     "pack/a.safetensors\" and \"pack/c.safetensors"},
    {"an empty shard", "\"a\":\"a.safetensors\",\"x\":\"empty.safetensors\"", ST_ERR_SHARD, "x",
     "pack/empty.safetensors"},
    {"case matters", "\"A\":\"a.safetensors\"", ST_ERR_SHARD, "A", "pack/a.safetensors"},
};

static void put_four(void) {
    pack_shard(&p, "a.safetensors", "{\"a\":" E("U8", "[1]", "[0,1]") ",\"a2\":" E("U8", "[1]", "[1,2]") "}", "ab");
    pack_shard(&p, "b.safetensors", "{\"b\":" E("U8", "[1]", "[0,1]") "}", "b");
    pack_shard(&p, "c.safetensors", "{\"c\":" E("U8", "[1]", "[0,1]") ",\"a2\":" E("U8", "[1]", "[1,2]") "}", "cd");
    pack_shard(&p, "empty.safetensors", "{}", "");
}

/* returns whether the message contains the text without its quotes */
static int says(const st_error *e, const char *text) {
    char plain[300];
    size_t i, n = 0;
    for (i = 0; text[i] != 0; i++) {
        if (text[i] != '"') plain[n++] = text[i];
    }
    plain[n] = 0;
    return strstr(e->message, plain) != NULL;
}

static void disagree(void) {
    size_t i;
    put_four();
    for (i = 0; i < sizeof disagreements / sizeof *disagreements; i++) {
        const disagreement *row = &disagreements[i];
        char text[200];
        st_error e;
        test_row = row->name;
        snprintf(text, sizeof text, "{\"weight_map\":{%s}}", row->map);
        pack_text(&p, INDEX, text);
        e = pack_verdict(&p, "pack", NULL, NULL);
        CHECK_STATUS(e.status, row->status);
        if (e.status == ST_OK) continue;
        CHECK_EQ(e.position, UINT64_MAX);
        CHECK_EQ(e.sys, 0);
        CHECK_STR(e.subject, row->subject);
        CHECK(strncmp(e.message, "pack/" INDEX ": ", 35) == 0);
        CHECK(says(&e, row->subject) && says(&e, row->says));
    }
    pack_clear(&p);
}

/* colliding names, one of them in two shards: the error names both shards */
static void collisions(void) {
    growing a = {NULL, 0, 0}, b = {NULL, 0, 0}, map = {NULL, 0, 0};
    uint64_t seed = 1;
    size_t i, n, twice = 0;
    sti_name_table table;
    st_error e;
    test_row = "collisions";
    sti_table_seed(&table, 0);
    text_put(&a, "{"), text_put(&b, "{"), text_put(&map, "{\"weight_map\":{");
    for (i = 0; i < 3000; i++) {
        char digits[21];
        const char *name;
        sti_span s;
        do {
            name = test_digits(seed++, digits);
            s.at = name, s.n = strlen(name);
        } while (sti_hash(&table, s) >> 57 != 0);
        text_entry(i % 2 ? &b : &a, name, s.n, i / 2);
        text_put(&map, i > 0 ? ",\"" : "\"");
        text_put(&map, name);
        text_put(&map, i % 2 ? "\":\"b.safetensors\"" : "\":\"a.safetensors\"");
        if (i == 1000) twice = (size_t)(seed - 1);
    }
    text_put(&map, "}}");
    text_put(&a, "}");
    for (i = 0; i < 2; i++) {
        growing copy = {NULL, 0, 0};
        char digits[21];
        text_add(&copy, b.at, b.n);
        if (i == 1) text_entry(&copy, test_digits(twice, digits), strlen(test_digits(twice, digits)), 1500);
        text_put(&copy, "}");
        if (i == 0) {
            unsigned char *file = text_file(&a, 1500, &n);
            pack_take(&p, "a.safetensors", file, n);
            pack_raw(&p, INDEX, map.at, map.n);
        }
        {
            unsigned char *file = text_file(&copy, 1500 + i, &n);
            pack_take(&p, "b.safetensors", file, n);
        }
        e = pack_verdict(&p, "pack", NULL, NULL);
        CHECK_STATUS(e.status, i == 0 ? ST_OK : ST_ERR_SHARD);
        if (i == 1) {
            CHECK_STR(e.subject, test_digits(twice, digits));
            CHECK(says(&e, "pack/a.safetensors and pack/b.safetensors"));
        }
    }
    free(b.at);
    free(map.at);
    pack_clear(&p);
}

/* ---- ST_OPEN_INDEX_DECIDES ---- */

static void look_decided(const opened *o, int way) {
    const st_model *m = o->model;
    const st_tensor *b = st_find(m, "b");
    st_error e;
    char byte = 0;
    (void)way;
    CHECK_EQ(m->count, 2);
    CHECK_EQ(m->bytes, 2);
    CHECK_STR(m->tensors[0].name, "a");
    if (!CHECK(b == &m->tensors[1])) return;
    CHECK_EQ(b->shard, 1);
    CHECK_STATUS(st_read(m, b, 0, &byte, 1, &e), ST_OK);
    CHECK_EQ(byte, 'n');
    CHECK(st_next_unused(m, (const unsigned char *)"\1\1", NULL) == NULL);
}

static void look_only_a(const opened *o, int way) {
    (void)way;
    CHECK_EQ(o->model->count, 1);
    CHECK_STR(o->model->tensors[0].name, "a");
}

static void index_decides(void) {
    st_open_options options;
    st_error e;
    memset(&options, 0, sizeof options);
    test_row = "the index decides";
    pack_shard(&p, "base.safetensors", "{\"b\":" E("U8", "[1]", "[0,1]") ",\"a\":" E("U8", "[1]", "[1,2]") "}", "oa");
    pack_shard(&p, "over.safetensors", "{\"b\":" E("U8", "[1]", "[0,1]") "}", "n");
    pack_text(&p, INDEX, MAP("\"a\":\"base.safetensors\",\"b\":\"over.safetensors\""));
    e = pack_verdict(&p, "pack", NULL, NULL);
    CHECK_STATUS(e.status, ST_ERR_SHARD);
    CHECK(says(&e, "ST_OPEN_INDEX_DECIDES"));
    options.flags = ST_OPEN_INDEX_DECIDES;
    CHECK_STATUS(pack_verdict(&p, "pack", &options, look_decided).status, ST_OK);
    test_row = "the index decides, and names a shard that lacks the tensor";
    pack_text(&p, INDEX, MAP("\"b\":\"base.safetensors\",\"a\":\"over.safetensors\""));
    CHECK_STATUS(pack_verdict(&p, "pack", &options, NULL).status, ST_ERR_SHARD);
    test_row = "the index decides, but says nothing about the tensor";
    pack_text(&p, INDEX, MAP("\"a\":\"base.safetensors\",\"c\":\"over.safetensors\""));
    CHECK_STATUS(pack_verdict(&p, "pack", &options, NULL).status, ST_ERR_SHARD);
    test_row = "the index decides, and names the tensor twice";
    pack_text(&p, INDEX, MAP("\"b\":\"over.safetensors\",\"a\":\"base.safetensors\",\"b\":\"base.safetensors\""));
    CHECK_STATUS(pack_verdict(&p, "pack", &options, NULL).status, ST_ERR_DUPLICATE);
    test_row = "the index decides for a shard that is missing";
    pack_clear(&p);
    pack_shard(&p, "base.safetensors", "{\"b\":" E("U8", "[1]", "[0,1]") ",\"a\":" E("U8", "[1]", "[1,2]") "}", "oa");
    pack_text(&p, INDEX, MAP("\"a\":\"base.safetensors\",\"b\":\"over.safetensors\""));
    CHECK_STATUS(pack_verdict(&p, "pack", &options, NULL).status, ST_ERR_SHARD);
    options.flags |= ST_OPEN_PARTIAL;
    CHECK_STATUS(pack_verdict(&p, "pack", &options, look_only_a).status, ST_OK);
    test_row = "the index decides for a shard that lacks the tensor: no copy is lost";
    pack_shard(&p, "over.safetensors", "{\"c\":" E("U8", "[1]", "[0,1]") "}", "n");
    e = pack_verdict(&p, "pack", &options, NULL);
    CHECK_STATUS(e.status, ST_ERR_SHARD);
    CHECK_STR(e.subject, "b");
    CHECK(says(&e, "pack/over.safetensors, and not pack/base.safetensors"));
    test_row = "the index decides, and a shard of dropped copies repeats a name";
    pack_shard(&p, "over.safetensors", "{\"b\":" E("U8", "[1]", "[0,1]") "}", "n");
    pack_shard(
        &p, "base.safetensors",
        "{\"a\":" E("U8", "[1]", "[0,1]") ",\"b\":" E("U8", "[1]", "[1,2]") ",\"b\":" E("U8", "[1]", "[2,3]") "}",
        "aoo");
    e = pack_verdict(&p, "pack", &options, NULL);
    CHECK_STATUS(e.status, ST_ERR_DUPLICATE);
    CHECK_STR(e.subject, "b");
    CHECK(says(&e, "pack/base.safetensors"));
    pack_clear(&p);
}

/* ---- ST_OPEN_PARTIAL ---- */

static size_t partial_tensors, partial_first;

static void look_partial(const opened *o, int way) {
    const st_model *m = o->model;
    size_t i;
    (void)way;
    CHECK_EQ(m->count, partial_tensors);
    CHECK_EQ(m->shard_count, 3);
    for (i = 0; i < m->shard_count; i++) {
        st_tensor t;
        st_error e;
        char byte;
        if (m->shards[i].file_bytes > 0) continue;
        CHECK(m->shards[i].metadata == NULL && m->shards[i].metadata_count == 0 && strlen(m->shards[i].path) > 5);
        memset(&t, 0, sizeof t); /* a made-up tensor of the absent shard */
        t.shard = (uint32_t)i;
        t.name = "t";
        for (t.offset = 0; t.offset < 20; t.offset++) {
            CHECK_STATUS(st_read(m, &t, 0, &byte, 0, &e), ST_ERR_ARGUMENT);
            CHECK_STATUS(st_advise(m, &t, ST_ADVISE_DONE, &e), ST_ERR_ARGUMENT);
        }
    }
    CHECK((m->metadata != NULL) == (partial_first != 0));
}

static void partial(void) {
    unsigned there, i;
    st_open_options options;
    memset(&options, 0, sizeof options);
    for (there = 0; there < 8; there++) {
        static const char *const names[] = {"a.safetensors", "b.safetensors", "c.safetensors"};
        char row[40];
        st_error e;
        snprintf(row, sizeof row, "shards that are there: %u", there);
        test_row = row;
        partial_tensors = 0;
        partial_first = there & 1;
        for (i = 0; i < 3; i++) {
            char header[200];
            if ((there >> i & 1) == 0) continue;
            snprintf(header, sizeof header,
                     "{\"__metadata__\":{},\"%u\":" E("U8", "[1]", "[0,1]") ",\"x%u\":" E("U8", "[0]", "[1,1]") "}", i,
                     i);
            pack_shard(&p, names[i], header, "d");
            partial_tensors += 2;
        }
        pack_text(
            &p, INDEX,
            MAP("\"0\":\"a.safetensors\",\"1\":\"b.safetensors\",\"2\":\"c.safetensors\",\"x2\":\"c.safetensors\""));
        options.flags = ST_OPEN_PARTIAL;
        CHECK_STATUS(pack_verdict(&p, "pack", &options, look_partial).status, ST_OK);
        e = pack_verdict(&p, "pack", NULL, NULL);
        CHECK_STATUS(e.status, there == 7 ? ST_OK : ST_ERR_SHARD);
        if (there != 7) CHECK_STR(e.subject, names[there & 1 ? there & 2 ? 2 : 1 : 0]);
        pack_clear(&p);
    }
    /* existing shards must be valid, and the index or the single file itself must exist */
    test_row = "partial, and wrong";
    options.flags = ST_OPEN_PARTIAL;
    pack_shard(&p, "b.safetensors", "{\"b\":" E("U8", "[1]", "[0,1]") "}", "b");
    pack_text(&p, INDEX, MAP("\"a\":\"a.safetensors\",\"x\":\"b.safetensors\"")); /* b has no tensor x */
    CHECK_STATUS(pack_verdict(&p, "pack", &options, NULL).status, ST_OK);
    pack_shard(&p, "b.safetensors", "{\"b\":" E("U8", "[1]", "[0,2]") "}", "bb");
    CHECK_STATUS(pack_verdict(&p, "pack", &options, NULL).status, ST_ERR_SIZE);
    pack_raw(&p, "b.safetensors", "", 0); /* an empty file is not an absent one */
    CHECK_STATUS(pack_verdict(&p, "pack", &options, NULL).status, ST_ERR_TRUNCATED);
    pack_text(&p, INDEX, MAP("\"a\":\"../a.safetensors\""));
    CHECK_STATUS(pack_verdict(&p, "pack", &options, NULL).status, ST_ERR_PATH);
    test_row = "partial, and a name twice";
    pack_shard(&p, "b.safetensors", "{\"b\":" E("U8", "[1]", "[0,1]") "}", "b");
    pack_text(&p, INDEX, MAP("\"b\":\"b.safetensors\",\"a\":\"a.safetensors\""));
    CHECK_STATUS(pack_verdict(&p, "pack", &options, NULL).status, ST_OK);
    pack_text(&p, INDEX, MAP("\"a\":\"a.safetensors\",\"b\":\"b.safetensors\",\"a\":\"c.safetensors\""));
    CHECK_STATUS(pack_verdict(&p, "pack", &options, NULL).status, ST_ERR_DUPLICATE);
    pack_text(&p, INDEX, MAP("\"b\":\"a.safetensors\",\"b\":\"b.safetensors\",\"a\":\"c.safetensors\""));
    CHECK_STATUS(pack_verdict(&p, "pack", &options, NULL).status, ST_ERR_DUPLICATE);
    pack_drop(&p, INDEX);
    CHECK_STATUS(pack_verdict(&p, "pack/" INDEX, &options, NULL).status, ST_ERR_NOT_FOUND);
    CHECK_STATUS(pack_verdict(&p, "pack/a.safetensors", &options, NULL).status, ST_ERR_NOT_FOUND);
    pack_clear(&p);
}

int main(void) {
    fixed_seed = 1;
    models_begin("shards");
    pack_begin(&p, 1);
    opens();
    folders();
    index_texts();
    index_limit();
    too_many_shards();
    shard_faults();
    disagree();
    collisions();
    index_decides();
    partial();
    test_row = "";
    pack_end(&p);
    models_end();
    return test_done("shards");
}
