/* Tests room 7: status names, and the messages, positions and subjects of errors, which must be safe to print. */
#define ST_IMPLEMENTATION
#include "../safetensors.h"

#include "large.h"
#include "sources.h"

static void status_names(void) {
    /* clang-format off */
    static const char *const names[] = {
        "ST_OK",             "ST_ERR_ARGUMENT", "ST_ERR_MEMORY",    "ST_ERR_NOT_FOUND",
        "ST_ERR_IO",         "ST_ERR_FORMAT",   "ST_ERR_TRUNCATED", "ST_ERR_TRAILING",
        "ST_ERR_HEADER_LIMIT", "ST_ERR_UTF8",   "ST_ERR_JSON",      "ST_ERR_SCHEMA",
        "ST_ERR_DUPLICATE",  "ST_ERR_DTYPE",    "ST_ERR_OVERFLOW",  "ST_ERR_SUBBYTE",
        "ST_ERR_SIZE",       "ST_ERR_OFFSETS",  "ST_ERR_SHARD",     "ST_ERR_PATH",
        "ST_ERR_TOO_LARGE",  "ST_ERR_UNSUPPORTED", "ST_ERR_CANCELLED", "ST_ERR_STATE"};
    /* clang-format on */
    int i;
    CHECK_EQ(ST_ERR_STATE, 23);
    for (i = 0; i < 24; i++) CHECK_STR(st_status_name((st_status)i), names[i]);
    CHECK(st_status_name((st_status)24) != NULL);
    CHECK(st_status_name(ST_STATUS_32_BITS_) != NULL);
}

/* opens a file of that header and data, which must fail; returns the error */
static st_error fault_of(const char *header, size_t header_bytes, const char *data) {
    st_model *model;
    st_error error;
    size_t n;
    unsigned char *file = make_file(header, header_bytes, data, strlen(data), &n);
    st_status status;
    memset(&error, 0xee, sizeof error);
    status = st_open_memory(&model, file, n, NULL, &error);
    CHECK(status != ST_OK && model == NULL);
    check_error(&error, status, "(memory): ");
    CHECK_STATUS(st_open_memory(&model, file, n, NULL, NULL), status); /* the error may be NULL */
    free(file);
    return error;
}

/* a message contains the field, name or number that identifies the fault */
static void sentences(void) {
    static const struct sentence {
        const char *header, *data;
        const char *says;
    } all[] = {
        {"{\"t\":{\"shape\":[2],\"data_offsets\":[0,2]}}", "ab", "dtype"},
        {"{\"t\":{\"dtype\":\"U8\",\"data_offsets\":[0,2]}}", "ab", "shape"},
        {"{\"t\":{\"dtype\":\"U8\",\"shape\":[2]}}", "ab", "data_offsets"},
        {"{\"t\":{\"data_offsets\":[0,2]}}", "ab", "dtype"},
        {"{\"t\":{\"dtype\":\"U8\"}}", "ab", "shape"},
        {"{\"t\":" E("Q8", "[2]", "[0,2]") "}", "ab", "Q8"},
        {"{\"t\":" E("U8", "[1000]", "[0,1000]") "}", "ab", "998"}, /* missing bytes */
        {"{\"t\":" E("U8", "[2]", "[0,2]") "}", "abcde", "3"},      /* extra bytes */
        {"{\"some.weight\":" E("U8", "[3]", "[0,2]") "}", "ab", "some.weight"},
        {"{\"some.weight\":" E("U8", "[2]", "[1,3]") "}", "abc", "some.weight"},
        {"{\"some.weight\":" E("F4", "[3]", "[0,2]") "}", "ab", "some.weight"},
        {"{\"some.weight\":" E("F4", "[9,18446744073709551615]", "[0,2]") "}", "ab", "some.weight"},
        {"{\"some.weight\":{},\"some.weight\":{}}", "", "some.weight"},
    };
    size_t i;
    for (i = 0; i < sizeof all / sizeof *all; i++) {
        st_error error;
        test_row = all[i].header;
        error = fault_of(all[i].header, strlen(all[i].header), all[i].data);
        CHECK(strstr(error.message, all[i].says) != NULL);
    }
    test_row = "";
}

/* bytes that are no JSON text, and that other programs put there */
static void foreign_bytes(void) {
    static const struct foreign {
        const char *header;
        size_t n;
        st_status status;
        uint64_t position;
        const char *says;
    } all[] = {
        {"", 0, ST_ERR_JSON, 8, "the header length is 0: is the download finished?"},
        {"  ", 2, ST_ERR_JSON, 10, "the header is not a JSON object"},
        {"\0\0\0", 3, ST_ERR_JSON, 8, "found a NUL byte"},
        {"{}\0\0", 4, ST_ERR_JSON, 10, "NUL bytes after the header's JSON object"},
        {"{}  \0", 5, ST_ERR_JSON, 12, "NUL bytes after the header's JSON object"},
        {"{}x", 3, ST_ERR_JSON, 10, "unexpected text after the header's JSON object"},
        {"{}\357\273\277", 5, ST_ERR_JSON, 10, "unexpected text after the header's JSON object"},
        {"\357\273\277{}", 5, ST_ERR_JSON, 8, "found a byte order mark"},
        {" \357\273\277", 4, ST_ERR_JSON, 9, "found a byte order mark"},
        {"\342\202\254{}", 5, ST_ERR_JSON, 8, "the header is not a JSON object"},
    };
    size_t i;
    for (i = 0; i < sizeof all / sizeof *all; i++) {
        st_error error;
        test_row = all[i].says;
        error = fault_of(all[i].header, all[i].n, "");
        CHECK_STATUS(error.status, all[i].status);
        CHECK_EQ(error.position, all[i].position);
        CHECK(strstr(error.message, all[i].says) != NULL);
    }
    test_row = "";
}

static void other_formats(void) {
    static const struct other {
        const char *bytes;
        size_t n;
        const char *says;
    } all[] = {
        {"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n", 63, "LFS"},
        {"<!DOCTYPE html><html></html>", 28, "HTML"},
        {"PK\003\004\024\000\000\000\010\000\000\000\000\000\000\000", 16, "ZIP"},
        {"\200\002}q\000X\005\000\000\000helloq\001K\001s.", 20, "pickle"},
        {"GGUF\003\000\000\000\001\000\000\000\000\000\000\000", 16, "GGUF"},
        {"\223NUMPY\001\000v\000{'descr': '<f4', }", 28, "NumPy"},
        {"\037\213\010\000\000\000\000\000\000\003\313H\315\311\311\007", 16, "gzip"},
        {"{\"metadata\":{},\"weight_map\":{\"a\":\"model-00001-of-00002.safetensors\"}}", 70, "index"},
        {"{\"architectures\": [\"LlamaForCausalLM\"]}", 39, "JSON"},
    };
    size_t i;
    for (i = 0; i < sizeof all / sizeof *all; i++) {
        st_model *model;
        st_error error;
        test_row = all[i].says;
        memset(&error, 0xee, sizeof error);
        CHECK_STATUS(st_open_memory(&model, all[i].bytes, all[i].n, NULL, &error), ST_ERR_FORMAT);
        check_error(&error, ST_ERR_FORMAT, "(memory): ");
        CHECK(strstr(error.message, all[i].says) != NULL);
        CHECK_EQ(error.position, 0);
    }
    test_row = "";
    {
        st_model *model;
        st_error error;
        CHECK_STATUS(st_open_memory(&model, "", 0, NULL, &error), ST_ERR_TRUNCATED);
        CHECK(strstr(error.message, "empty") != NULL);
    }
}

/* opens a file with an invalid tensor, whose name appears in the header as that text; returns the error */
static st_error fault_named(const char *name, size_t n) {
    growing header = {NULL, 0, 0};
    st_error error;
    text_put(&header, "{\"");
    text_add(&header, name, n);
    text_put(&header, "\":" E("U8", "[3]", "[0,2]") "}");
    error = fault_of(header.at, header.n, "ab");
    CHECK_STATUS(error.status, ST_ERR_SIZE);
    free(header.at);
    return error;
}

static int ends_with(const char *s, const char *end) {
    size_t n = strlen(s), m = strlen(end);
    return n >= m && strcmp(s + n - m, end) == 0;
}

static int is_utf8(const char *s) {
    return sti_utf8_prefix((const unsigned char *)s, strlen(s)) == strlen(s);
}

/* the subject is the name, or its start and end if it is too long */
static void lengths_of_subjects(void) {
    char name[400];
    size_t n;
    for (n = 0; n < sizeof name - 1; n++) {
        st_error error;
        size_t i;
        for (i = 0; i < n; i++) name[i] = (char)('a' + i * 7 % 26);
        name[n] = 0;
        error = fault_named(name, n);
        if (n < sizeof error.subject) {
            CHECK_STR(error.subject, name);
        } else {
            CHECK(strlen(error.subject) > 50 && strstr(error.subject, "...") != NULL);
            CHECK(strncmp(error.subject, name, 20) == 0 && ends_with(error.subject, name + n - 20));
        }
    }
}

/* names with control characters, or with multi-byte characters where the name is cut */
static void hostile_subjects(void) {
    static const char *const names[] = {
        "\\u001b[31mred\\u001b[0m",
        "\\u0000",
        "line\\nline\\r\\t\\b\\f",
        "\177",
        "\302\205\302\233[31m",                                     /* U+0085, and bytes that start a sequence */
        "\342\200\256gpj.exe",                                      /* right-to-left override */
        "\342\201\246\342\201\251\342\200\216\342\200\217\330\234", /* directional isolates and marks */
        "\342\200\250\342\200\251\357\273\277",                     /* separators, byte order mark */
        "quote \\\" backslash \\\\ slash \\/",
        "\303\251\342\202\254\360\237\230\200",
        "\\ud83d\\ude00",
    };
    static const char *const banned[] = {"\302\205",     "\302\233",     "\342\200\256", "\342\201\246",
                                         "\342\201\251", "\342\200\216", "\342\200\217", "\330\234",
                                         "\342\200\250", "\342\200\251", "\357\273\277"};
    size_t i, j, repeat;
    for (i = 0; i < sizeof names / sizeof *names; i++) {
        for (repeat = 1; repeat < 60; repeat++) {
            growing name = {NULL, 0, 0};
            st_error error;
            test_row = names[i];
            for (j = 0; j < repeat; j++) text_put(&name, names[i]);
            for (j = 0; j < repeat % 7; j++) text_put(&name, "x"); /* shifts the position of the cut */
            error = fault_named(name.at, name.n);
            CHECK(error.subject[0] != 0);
            CHECK(is_utf8(error.subject) && is_utf8(error.message));
            for (j = 0; j < sizeof banned / sizeof *banned; j++) {
                CHECK(strstr(error.subject, banned[j]) == NULL && strstr(error.message, banned[j]) == NULL);
            }
            free(name.at);
        }
    }
    test_row = "";
    {
        const st_error a = fault_named("\303\251\342\202\254\360\237\230\200", 9),
                       b = fault_named("\\ud83d\\ude00", 12);
        CHECK_STR(a.subject, "\303\251\342\202\254\360\237\230\200"); /* letters stay as they are */
        CHECK_STR(b.subject, "\360\237\230\200");
    }
    { /* and so do letters next to escaped characters */
        static const char beside[] =
            "\302\240\330\233\330\235\342\200\215\342\200\220\342\200\247\342\200\257\342\201\245"
            "\342\201\252\343\201\202\357\273\276\357\274\201";
        const st_error e = fault_named(beside, sizeof beside - 1);
        CHECK_STR(e.subject, beside);
    }
}

/* subjects that are dtypes, metadata keys and values, of any length */
static void long_texts(void) {
    static const char *const before[] = {"{\"t\":{\"dtype\":\"", "{\"__metadata__\":{\"",
                                         "{\"__metadata__\":{\"k\":\"v\",\""};
    static const char *const after[] = {"\"}}", "\":1}}", "\":\"v\",\"k\":1}}"};
    static const char *const letters[] = {"x", "\\u001b", "\342\202\254", "\\\"", "\360\237\230\200"};
    size_t i, j, length, k;
    for (i = 0; i < sizeof before / sizeof *before; i++) {
        for (j = 0; j < sizeof letters / sizeof *letters; j++) {
            for (length = 0; length < 300; length += 1 + length / 16) {
                growing header = {NULL, 0, 0};
                st_error error;
                text_put(&header, before[i]);
                for (k = 0; k < length; k++) text_put(&header, letters[j]);
                text_put(&header, after[i]);
                error = fault_of(header.at, header.n, "");
                CHECK(is_utf8(error.subject) && is_utf8(error.message));
                free(header.at);
            }
        }
    }
}

/* the message starts with the path, whatever its length and characters */
static void paths(void) {
    static const char *const letters[] = {"x", "a/", "\033", "\342\202\254", "\360\237\230\200", "\"", "$"};
    size_t j, length, k;
    for (j = 0; j < sizeof letters / sizeof *letters; j++) {
        for (length = 1; length < 3000; length += 1 + length / 16) {
            growing path = {NULL, 0, 0};
            served s;
            st_open_options options;
            st_model *model;
            st_error error;
            text_put(&path, "no/such/");
            for (k = 0; k < length; k++) text_put(&path, letters[j]);
            text_add(&path, ".safetensors", 13);
            memset(&error, 0xee, sizeof error);
            memset(&options, 0, sizeof options);
            served_begin(&s, "", 0);
            options.files = &s.files;
            CHECK_STATUS(st_open(&model, path.at, &options, &error), ST_ERR_NOT_FOUND);
            CHECK(model == NULL && error.position == UINT64_MAX && error.subject[0] == 0);
            check_error(&error, ST_ERR_NOT_FOUND, "no/such/");
            CHECK(is_utf8(error.message) && strstr(error.message, ".safetensors: ") != NULL);
            if (path.n - 1 <= 96 && strcmp(letters[j], "\033") != 0)
                CHECK(strncmp(error.message, path.at, path.n - 1) == 0);
            /* an invalid file: the message keeps parts of both names and of the sentence */
            served_begin(&s, "\002\000\000\000\000\000\000\000{}a", 11);
            s.path = path.at;
            options.files = &s.files;
            CHECK_STATUS(st_open(&model, path.at, &options, &error), ST_ERR_TRAILING);
            check_error(&error, ST_ERR_TRAILING, "no/such/");
            CHECK(strlen(error.message) > strlen("no/such/.safetensors: ") + 20);
            free(path.at);
        }
    }
}

/* a long path with a long name fills the message but does not overflow it */
static void both_long(void) {
    growing header = {NULL, 0, 0}, path = {NULL, 0, 0};
    served s;
    st_open_options options;
    st_model *model;
    st_error error;
    unsigned char *file;
    size_t n, i;
    text_put(&header, "{\"");
    for (i = 0; i < 500; i++) {
        text_put(&header, "\\u001b");
        text_put(&path, "\001");
    }
    text_add(&path, "", 1);
    text_put(&header, "\":" E("U8", "[18446744073709551615,18446744073709551615]", "[0,2]") "}");
    file = text_file(&header, 2, &n);
    served_begin(&s, file, n);
    s.path = path.at;
    memset(&options, 0, sizeof options);
    memset(&error, 0xee, sizeof error);
    options.files = &s.files;
    CHECK_STATUS(st_open(&model, path.at, &options, &error), ST_ERR_OVERFLOW);
    check_error(&error, ST_ERR_OVERFLOW, "");
    CHECK(strlen(error.message) > 150);
    free(file);
    text_put(&header, "{\"");
    for (i = 0; i < 500; i++) text_put(&header, "n");
    text_put(&header, "\":" E("U8", "[0]", "[18446744073709551615,18446744073709551615]") "}");
    file = text_file(&header, 0, &n);
    s.bytes = file, s.n = n;
    CHECK_STATUS(st_open(&model, path.at, &options, &error), ST_ERR_OFFSETS);
    check_error(&error, ST_ERR_OFFSETS, "");
    CHECK_EQ(strlen(error.message), sizeof error.message - 1);
    free(path.at);
    free(file);
}

/* an error struct can be reused; no old contents remain */
static void used_again(void) {
    st_model *model;
    st_error error =
        fault_of("{\"t\":" E("U8", "[3]", "[0,2]") "}", strlen("{\"t\":" E("U8", "[3]", "[0,2]") "}"), "ab");
    CHECK_STR(error.subject, "t");
    CHECK_STATUS(st_open_memory(&model, "abc", 3, NULL, &error), ST_ERR_TRUNCATED);
    CHECK(error.subject[0] == 0 && error.expected == 8 && error.actual == 3 && error.position == 3);
    CHECK_STATUS(st_open_memory(&model, "\002\000\000\000\000\000\000\000{}", 10, NULL, &error), ST_OK);
    CHECK_STATUS(error.status, ST_OK);
    st_close(model);
    CHECK_STATUS(st_open_memory(NULL, "abc", 3, NULL, &error), ST_ERR_ARGUMENT);
    CHECK(error.position == UINT64_MAX && error.sys == 0 && error.expected == 0 && error.actual == 0);
}

int main(void) {
    status_names();
    sentences();
    foreign_bytes();
    other_formats();
    lengths_of_subjects();
    hostile_subjects();
    long_texts();
    paths();
    both_long();
    used_again();
    return test_done("errors");
}
