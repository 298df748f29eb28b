/* Tests room 14: names that the model lacks, tensors that the program did not use, and aliases. */
#include "../safetensors.h"

#include "large.h"
#include "models.h"

#define INDEX "model.safetensors.index.json"
#define WEIGHTS "\"weight_map\":{\"a\":\"a.safetensors\",\"d\":\"b.safetensors\"}"

static pack p;
static st_error error;

/* one file with tensors a, b, c and one with an unusual name; a second file with tensor d */
static void put_shards(const char *metadata) {
    char header[600];
    snprintf(header, sizeof header,
             "{%s\"a\":" E("U8", "[1]", "[0,1]") ",\"b\":" E("U8", "[1]", "[1,2]") ",\"c\":" E(
                 "U8", "[1]", "[2,3]") ",\"\\u00e9\\n\":" E("U8", "[1]", "[3,4]") "}",
             metadata);
    pack_shard(&p, "a.safetensors", header, "abce");
    pack_shard(&p, "b.safetensors", "{\"__metadata__\":{\"unseen\":\"a\"},\"d\":" E("U8", "[1]", "[0,1]") "}", "d");
}

static st_model *open_index(const char *metadata) {
    char text[2000];
    st_open_options options;
    st_model *m = NULL;
    snprintf(text, sizeof text, "{%s" WEIGHTS "}", metadata);
    pack_text(&p, INDEX, text);
    memset(&options, 0, sizeof options);
    options.files = &p.files;
    p.mapped = 1;
    CHECK_STATUS(st_open(&m, "pack", &options, &error), ST_OK);
    if (m == NULL) exit(2);
    return m;
}

/* ---- used and unused tensors ---- */

static void asking(void) {
    static const char *const all[] = {"a", "b", "c", "\303\251\n", "d"}, *const some[] = {"d", "none", "a", "", "a"};
    const st_tensor *found[5], *t;
    unsigned char used[5];
    st_model *m;
    size_t i;
    put_shards("");
    m = open_index("");
    CHECK_EQ(m->count, 5);
    test_row = "all";
    memset(used, 0, sizeof used);
    CHECK_EQ(st_find_all(m, all, 5, found, used), 5);
    for (i = 0; i < 5; i++) CHECK(found[i] == &m->tensors[i] && used[i] == 1);
    CHECK(st_next_unused(m, used, NULL) == NULL);
    CHECK(st_next_unused(m, used, &m->tensors[4]) == NULL);
    test_row = "some";
    memset(used, 0, sizeof used);
    used[1] = 7; /* st_next_unused does not change entries of other tensors */
    CHECK_EQ(st_find_all(m, some, 5, found, used), 3);
    CHECK(found[0] == &m->tensors[4] && found[1] == NULL && found[2] == &m->tensors[0] && found[3] == NULL);
    CHECK(found[4] == found[2]);
    CHECK(used[0] == 1 && used[1] == 7 && used[2] == 0 && used[3] == 0 && used[4] == 1);
    t = st_next_unused(m, used, NULL);
    CHECK(t == &m->tensors[2]);
    t = st_next_unused(m, used, t);
    CHECK(t == &m->tensors[3]);
    CHECK(st_next_unused(m, used, t) == NULL);
    test_row = "in parts"; /* either argument may be NULL */
    CHECK_EQ(st_find_all(m, some, 5, NULL, NULL), 3);
    CHECK_EQ(st_find_all(m, some, 0, NULL, NULL), 0);
    CHECK_EQ(st_find_all(m, NULL, 0, found, used), 0);
    memset(used, 0, sizeof used);
    CHECK_EQ(st_find_all(m, all, 4, NULL, used), 4);
    CHECK(st_next_unused(m, used, NULL) == &m->tensors[4]);
    memset(used, 0, sizeof used);
    for (i = 0, t = NULL; (t = st_next_unused(m, used, t)) != NULL; i++) CHECK(t == &m->tensors[i]);
    CHECK_EQ(i, 5);
    test_row = "nothing";
    CHECK(st_next_unused(m, NULL, NULL) == NULL && st_next_unused(NULL, used, NULL) == NULL);
    CHECK_EQ(st_find_all(NULL, all, 5, found, used), 0);
    CHECK(found[0] == NULL && found[4] == NULL);
    CHECK_EQ(st_find_all(m, NULL, 3, found, used), 0);
    st_close(m);
    pack_clear(&p);
    test_row = "";
}

/* ---- aliases -------- */

typedef struct alias_case {
    const char *name;
    const char *file;  /* metadata of the first file */
    const char *index; /* metadata of the index: a value and the text after it */
    const char *want;  /* "alias=tensor;" for each alias */
} alias_case;

#define META(text) "\"__metadata__\":{" text "},"
#define IMETA(text) "\"metadata\":{" text "},"

static const alias_case alias_cases[] = {
    {"none", "", "", ""},
    {"no metadata that means anything", META("\"format\":\"pt\""), IMETA("\"total_size\":5,\"x\":{\"a\":\"b\"}"), ""},
    {"no groups", "", IMETA("\"param_sharing\":[]"), ""},
    {"empty groups", "", IMETA("\"param_sharing\":[[],[]]"), ""},
    /* groups of shared names, as transformers writes them */
    {"a pair, both there", "", IMETA("\"param_sharing\":[[\"a\",\"b\"]]"), "b=a;"},
    {"a pair, the second there", "", IMETA("\"param_sharing\":[[\"q\",\"b\"]]"), "q=b;"},
    {"a pair, the first there", "", IMETA("\"param_sharing\":[[\"b\",\"q\"]]"), "q=b;"},
    {"one name", "", IMETA("\"param_sharing\":[[\"a\"]]"), ""},
    {"nothing of them is there", "", IMETA("\"param_sharing\":[[\"q\",\"r\"]]"), ""},
    {"two groups, three names", "", IMETA("\"param_sharing\":[[\"q\",\"a\",\"r\"],[\"d\",\"s\"]]"), "q=a;r=a;s=d;"},
    {"one name again", "", IMETA("\"param_sharing\":[[\"a\",\"a\",\"q\"]]"), "q=a;"},
    {"escapes", "", IMETA("\"param_sharing\":[[\"\\u0061\",\"q\\n\\u00e9\"],[\"\303\251\\u000a\",\"\"]]"),
     "q\n\303\251=a;=\303\251\n;"},
    {"blanks, and a key that is escaped", "", IMETA("\"param\\u005fsharing\" : [ [ \"a\" , \"q\" ] ] "), "q=a;"},
    /* names that were dropped when saving, in the file's metadata or the index's */
    {"a dropped name", META("\"q\":\"a\",\"format\":\"pt\""), "", "q=a;"},
    {"one of the index", "", IMETA("\"q\":\"d\""), "q=d;"},
    {"its value is escaped", "", IMETA("\"q\\u0022\":\"\\u00e9\\n\""), "q\"=\303\251\n;"},
    {"a tensor's name is no dropped one", META("\"b\":\"a\""), IMETA("\"c\":\"d\""), ""},
    {"nor is one that leads nowhere", META("\"q\":\"r\",\"r\":\"s\""), IMETA("\"t\":\"A\",\"u\":1,\"v\":null"), ""},
    {"no chains", META("\"q\":\"a\",\"r\":\"q\""), "", "q=a;"},
    {"the file's come first", META("\"z\":\"a\""), IMETA("\"y\":\"b\",\"param_sharing\":[[\"c\",\"x\"]],\"w\":\"d\""),
     "z=a;y=b;x=c;w=d;"},
    {"an empty name", META("\"\":\"a\""), "", "=a;"},
    {"a word of the index's own", "", IMETA("\"total_size\":\"a\""), "total_size=a;"},
};

static void list_is(const st_model *m, const char *want) {
    const st_alias *list = (const st_alias *)(const void *)&p;
    size_t count = 99, i, n, shift;
    char got[400] = "";
    unsigned char *memory;
    st_buffer lent;
    st_status status = st_aliases(m, NULL, &list, &count, &error);
    CHECK(list == NULL);
    if (*want == 0) {
        CHECK_STATUS(status, ST_OK);
        CHECK_EQ(count, 0);
        return;
    }
    CHECK_STATUS(status, ST_ERR_ARGUMENT);
    n = (size_t)error.expected;
    for (shift = 0; shift <= 9; shift++) {
        const size_t enough = n + (8 - shift % 8) % 8; /* aligned like malloc's blocks, plus the skipped bytes */
        memory = (unsigned char *)malloc(enough + shift);
        if (memory == NULL) exit(2);
        memset(memory, 0xa5, enough + shift);
        lent.data = memory + shift;
        lent.bytes = enough - 1;
        CHECK_STATUS(st_aliases(m, &lent, &list, &count, &error), ST_ERR_ARGUMENT);
        CHECK_EQ(error.expected, enough);
        CHECK_EQ(error.actual, enough - 1);
        lent.bytes = enough;
        CHECK_STATUS(st_aliases(m, &lent, &list, &count, &error), ST_OK);
        got[0] = 0;
        for (i = 0; i < count; i++) {
            const char *name = list[i].name;
            CHECK(name >= (char *)memory && name + list[i].name_bytes < (char *)memory + shift + enough);
            CHECK(name[list[i].name_bytes] == 0 && strlen(name) == list[i].name_bytes);
            CHECK(list[i].tensor >= m->tensors && list[i].tensor < m->tensors + m->count);
            snprintf(got + strlen(got), sizeof got - strlen(got), "%s=%s;", name, list[i].tensor->name);
        }
        CHECK_STR(got, want);
        free(memory);
    }
}

static void listing(void) {
    size_t i;
    for (i = 0; i < sizeof alias_cases / sizeof *alias_cases; i++) {
        const alias_case *row = &alias_cases[i];
        st_model *m;
        test_row = row->name;
        put_shards(row->file);
        m = open_index(row->index);
        list_is(m, row->want);
        CHECK(st_find(m, "q") == NULL);
        st_close(m);
        pack_clear(&p);
    }
    test_row = "";
}

/* malformed param_sharing makes st_aliases fail, and nothing else */
static void wrong_shapes(void) {
    static const char *const wrong[] = {"{}",
                                        "null",
                                        "1",
                                        "\"a\"",
                                        "[1]",
                                        "[\"a\"]",
                                        "[[1]]",
                                        "[[\"a\",1]]",
                                        "[[\"a\"],1]",
                                        "[[\"a\",null]]",
                                        "[[\"a\",[\"b\"]]]",
                                        "[{\"a\":\"q\"}]"};
    size_t i;
    for (i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        char text[200];
        const st_alias *list;
        size_t count;
        st_model *m;
        test_row = wrong[i];
        put_shards("");
        snprintf(text, sizeof text, "\"metadata\":{\"param_sharing\":%s},", wrong[i]);
        m = open_index(text);
        CHECK_STATUS(st_aliases(m, NULL, &list, &count, &error), ST_ERR_SCHEMA);
        CHECK(strncmp(error.message, "pack/" INDEX ": ", 35) == 0 && strstr(error.message, "param_sharing") != NULL);
        CHECK_STATUS(st_aliases(m, NULL, &list, &count, NULL), ST_ERR_SCHEMA);
        st_close(m);
        pack_clear(&p);
    }
    test_row = "";
}

/* an escaped name of up to 256 bytes is matched to a tensor, a longer one is not; unescaped names may have any
 * length */
static void long_names(void) {
    int n;
    for (n = 255; n <= 257; n++) {
        char name[300], header[500], metadata[700];
        int escaped;
        memset(name, 'n', sizeof name);
        name[n] = 0;
        snprintf(header, sizeof header, "{\"%s\":" E("U8", "[1]", "[0,1]") "}", name);
        for (escaped = 0; escaped <= 1; escaped++) {
            st_model *m;
            test_row = "long names";
            put_shards("");
            pack_shard(&p, "b.safetensors", header, "n");
            snprintf(metadata, sizeof metadata,
                     "\"metadata\":{\"param_sharing\":[[\"%s%s\",\"q\"]]},\"weight_map\":{\"%s\":\"b.safetensors\","
                     "\"a\":\"a.safetensors\"}",
                     escaped ? "\\u006e" : "n", name + 1, name);
            {
                char text[1400];
                st_open_options options;
                snprintf(text, sizeof text, "{%s}", metadata);
                pack_text(&p, INDEX, text);
                memset(&options, 0, sizeof options);
                options.files = &p.files;
                CHECK_STATUS(st_open(&m, "pack", &options, &error), ST_OK);
            }
            if (m != NULL) {
                uint64_t memory[16];
                const st_buffer lent = {memory, sizeof memory};
                const st_alias *list;
                size_t count;
                CHECK(st_find(m, name) != NULL);
                CHECK_STATUS(st_aliases(m, &lent, &list, &count, &error), ST_OK);
                CHECK_EQ(count, escaped && n > 256 ? 0 : 1);
                if (count == 1) CHECK(list->tensor == st_find(m, name) && strcmp(list->name, "q") == 0);
            }
            st_close(m);
            pack_clear(&p);
        }
    }
    test_row = "";
}

/* aliases of a single file without an index */
static void one_file(void) {
    static const char header[] = "{" META("\"q\":\"t\",\"r\\u0000s\":\"t\"") "\"t\":" E("U8", "[1]", "[0,1]") "}";
    unsigned char memory[256];
    st_buffer lent = {memory, sizeof memory};
    const st_alias *list;
    size_t count, n;
    unsigned char *file = make_file(header, sizeof header - 1, "t", 1, &n);
    st_model *m;
    CHECK_STATUS(st_open_memory(&m, file, n, NULL, &error), ST_OK);
    CHECK_STATUS(st_aliases(m, &lent, &list, &count, &error), ST_OK);
    CHECK_EQ(count, 2);
    CHECK_STR(list[0].name, "q");
    CHECK(list[1].name_bytes == 3 && memcmp(list[1].name, "r\0s", 4) == 0 && list[1].tensor == m->tensors);
    test_row = "arguments";
    CHECK_STATUS(st_aliases(NULL, &lent, &list, &count, &error), ST_ERR_ARGUMENT);
    CHECK_STATUS(st_aliases(m, &lent, NULL, &count, &error), ST_ERR_ARGUMENT);
    CHECK_STATUS(st_aliases(m, &lent, &list, NULL, &error), ST_ERR_ARGUMENT);
    lent.data = NULL;
    CHECK_STATUS(st_aliases(m, &lent, &list, &count, &error), ST_ERR_ARGUMENT);
    test_row = "";
    st_close(m);
    free(file);
}

/* the cost of many aliases is linear in the length of their text */
static void many(void) {
    growing text = {NULL, 0, 0};
    st_open_options options;
    const st_alias *list;
    size_t count, i;
    st_model *m;
    st_buffer memory;
    test_row = "many";
    put_shards("");
    text_put(&text, "{\"metadata\":{\"param_sharing\":[");
    for (i = 0; i < 20000; i++) {
        text_put(&text, i > 0 ? ",[\"alias." : "[\"alias.");
        text_number(&text, i);
        text_put(&text, i % 2 ? "\",\"a\"]" : "\",\"d\"]");
    }
    text_put(&text, "]}," WEIGHTS "}");
    pack_raw(&p, INDEX, text.at, text.n);
    free(text.at);
    memset(&options, 0, sizeof options);
    options.files = &p.files;
    CHECK_STATUS(st_open(&m, "pack", &options, &error), ST_OK);
    CHECK_STATUS(st_aliases(m, NULL, &list, &count, &error), ST_ERR_ARGUMENT);
    CHECK_EQ(count, 20000);
    memory.bytes = (size_t)error.expected;
    memory.data = malloc(memory.bytes);
    CHECK_STATUS(st_aliases(m, &memory, &list, &count, &error), ST_OK);
    if (CHECK_EQ(count, 20000)) {
        CHECK_STR(list[19999].name, "alias.19999");
        CHECK(list[19999].tensor == st_find(m, "a") && list[19998].tensor == st_find(m, "d"));
    }
    free(memory.data);
    st_close(m);
    pack_clear(&p);
    test_row = "";
}

int main(void) {
    pack_begin(&p, 0);
    asking();
    listing();
    wrong_shapes();
    long_names();
    one_file();
    many();
    pack_end(&p);
    return test_done("aliases");
}
