/* Bad input: the status says what is wrong, the error says where, and nothing needs freeing. */
#define ST_IMPLEMENTATION
#include "safetensors.h"
#include "expect.h"

static unsigned char file[4096];
static st_error e;

static st_status open_text(const char *header, size_t data_bytes) {
    static const unsigned char zero[64];
    st_model *m;
    size_t n = make_file(file, header, zero, data_bytes);
    st_status s = st_open_memory(&m, file, n, NULL, &e);
    EXPECT(s == e.status);
    if (s == ST_OK) {
        st_close(m);
    } else {
        EXPECT(m == NULL && e.message[0] != 0);
    }
    return s;
}

#define T(name, dtype, shape, begin, end) \
    "\"" name "\":{\"dtype\":\"" dtype "\",\"shape\":" shape ",\"data_offsets\":[" begin "," end "]}"

int main(void) {
    st_model *m;
    EXPECT(open_text("{" T("t", "U8", "[2]", "0", "2") "}", 2) == ST_OK);
    EXPECT(open_text("{" T("t", "U8", "[2]", "0", "2") "}", 1) == ST_ERR_TRUNCATED && e.expected == e.actual + 1);
    EXPECT(open_text("{" T("t", "U8", "[2]", "0", "2") "}", 3) == ST_ERR_TRAILING && e.actual == e.expected + 1);
    EXPECT(open_text("{" T("t", "U8", "[3]", "0", "2") "}", 2) == ST_ERR_SIZE && strcmp(e.subject, "t") == 0);
    EXPECT(e.expected == 3 && e.actual == 2);
    EXPECT(open_text("{" T("t", "U8", "[2]", "1", "3") "}", 3) == ST_ERR_OFFSETS);
    EXPECT(open_text("{" T("a", "U8", "[2]", "0", "2") "," T("b", "U8", "[2]", "1", "3") "}", 3) == ST_ERR_OFFSETS);
    EXPECT(open_text("{" T("t", "U8", "[2]", "2", "0") "}", 2) == ST_ERR_OFFSETS);
    EXPECT(open_text("{" T("t", "Q8", "[2]", "0", "2") "}", 2) == ST_ERR_DTYPE && strstr(e.message, "Q8") != NULL);
    EXPECT(open_text("{" T("t", "F4", "[3]", "0", "2") "}", 2) == ST_ERR_SUBBYTE);
    EXPECT(open_text("{" T("t", "U8", "[9223372036854775808,2]", "0", "2") "}", 2) == ST_ERR_OVERFLOW);
    EXPECT(open_text("{" T("t", "U8", "[-2]", "0", "2") "}", 2) == ST_ERR_SCHEMA);
    EXPECT(open_text("{" T("t", "U8", "[2.0]", "0", "2") "}", 2) == ST_ERR_SCHEMA);
    EXPECT(open_text("{\"t\":{\"dtype\":\"U8\",\"shape\":[2]}}", 2) == ST_ERR_SCHEMA &&
           strstr(e.message, "data_offsets"));
    EXPECT(open_text("{" T("t", "U8", "[2]", "0", "2") "," T("t", "U8", "[2]", "2", "4") "}", 4) == ST_ERR_DUPLICATE);
    EXPECT(open_text("{" T("t", "U8", "[2]", "0", "2") "," T("\\u0074", "U8", "[0]", "2", "2") "}", 2) ==
           ST_ERR_DUPLICATE);
    EXPECT(open_text("{" T("t", "U8", "[2]", "0", "2") ",}", 2) == ST_ERR_JSON && e.position == 8 + 53);
    EXPECT(open_text("{\"a\x01\":1}", 0) == ST_ERR_JSON && e.position == 8 + 3);
    EXPECT(open_text("{\"\xc0\xaf\":1}", 0) == ST_ERR_UTF8 && e.position == 8 + 2);
    EXPECT(open_text("{\"__metadata__\":{\"a\":1}}", 0) == ST_ERR_SCHEMA);
    EXPECT(open_text("{\"__metadata__\":{\"a\":\"1\",\"a\":\"2\"}}", 0) == ST_ERR_DUPLICATE);
    EXPECT(open_text("[]", 0) == ST_ERR_SCHEMA);

    /* files that are something else say so */
    EXPECT(st_open_memory(&m, "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n", 63, NULL, &e) ==
           ST_ERR_FORMAT);
    EXPECT(m == NULL && strstr(e.message, "LFS") != NULL);
    EXPECT(st_open_memory(&m, "<!DOCTYPE html><html></html>", 28, NULL, &e) == ST_ERR_FORMAT &&
           strstr(e.message, "HTML"));
    EXPECT(st_open_memory(&m, "PK\003\004aaaaaaaaaaaaaaaa", 20, NULL, &e) == ST_ERR_FORMAT && strstr(e.message, "ZIP"));
    EXPECT(st_open_memory(&m, "GGUF\003\0\0\0aaaaaaaaaaaa", 20, NULL, &e) == ST_ERR_FORMAT &&
           strstr(e.message, "GGUF"));
    EXPECT(st_open_memory(&m, "", 0, NULL, &e) == ST_ERR_TRUNCATED);
    EXPECT(st_open(&m, "no/such/file.safetensors", NULL, &e) == ST_ERR_NOT_FOUND &&
           strstr(e.message, "no/such/file.safetensors"));
    EXPECT(st_open(&m, NULL, NULL, &e) == ST_ERR_ARGUMENT);
    EXPECT(st_open_memory(&m, file, 3, NULL, NULL) == ST_ERR_TRUNCATED); /* an error is optional */
    {
        st_open_options o;
        size_t n = make_file(file, "{" T("t", "U8", "[2]", "0", "2") "}", "ab", 2);
        memset(&o, 0, sizeof o);
        o.max_header = 16;
        EXPECT(st_open_memory(&m, file, n, &o, &e) == ST_ERR_HEADER_LIMIT && e.expected == 16);
        o.max_header = 0;
        o.flags = ST_OPEN_TRAILING;
        n = make_file(file, "{" T("t", "U8", "[2]", "0", "2") "}", "abc", 3);
        EXPECT(st_open_memory(&m, file, n, &o, &e) == ST_OK && m->bytes == 2);
        st_close(m);
        o.flags = ST_OPEN_UNKNOWN_DTYPES;
        n = make_file(file, "{" T("t", "Q8", "[5]", "0", "2") "}", "ab", 2);
        EXPECT(st_open_memory(&m, file, n, &o, &e) == ST_OK && m->count == 1 && m->tensors[0].bytes == 2);
        EXPECT(m->tensors[0].dtype == ST_DTYPE_UNKNOWN && strcmp(m->tensors[0].dtype_name, "Q8") == 0);
        st_close(m);
    }
    EXPECT(strcmp(st_status_name(ST_ERR_JSON), "ST_ERR_JSON") == 0);
    return expect_done("errors");
}
