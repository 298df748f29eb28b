/* Tests the acceptance vectors of five earlier systems, each by its number in examples/README.md, as far as the library
 * itself answers them; programs and other tests answer the rest. */
#include "../safetensors.h"

#include "cases.h"
#include "folder.h"

static st_model *model;
static st_error error;

/* opens a file made of a header and data; the model borrows the file, which *file has to be freed after it is closed */
static st_status open_made(unsigned char **file, const char *header, const void *data, size_t data_bytes) {
    size_t n;
    *file = make_file(header, strlen(header), data, data_bytes, &n);
    model = NULL;
    return st_open_memory(&model, *file, n, NULL, &error);
}

static void close_made(unsigned char *file) {
    st_close(model);
    free(file);
}

/* ---- files and headers ---- */

static void v_h1(void) {
    static const char header[] = "{\"w\":" E("F32", "[2,3]", "[0,24]") "}", data[24];
    unsigned char *file;
    test_row = "V-H1";
    if (CHECK_STATUS(open_made(&file, header, data, 24), ST_OK)) {
        const st_tensor *t = st_find(model, "w");
        if (CHECK(t != NULL)) {
            CHECK_EQ(t->dtype, ST_DTYPE_F32);
            CHECK(t->rank == 2 && t->shape[0] == 2 && t->shape[1] == 3);
            CHECK_EQ(t->offset, 8 + strlen(header));
            CHECK_EQ(t->bytes, 24);
            CHECK_EQ(model->shards[0].data_offset, 8 + strlen(header));
        }
    }
    close_made(file);
}

static void v_h2(void) {
    float numbers[4] = {1, 2, 3, 4}, got[4];
    unsigned char *file;
    test_row = "V-H2";
    st_to_little_endian(ST_DTYPE_F32, numbers, 4);
    if (CHECK_STATUS(open_made(&file, "{\"w\":" E("F32", "[4]", "[0,16]") "}", numbers, 16), ST_OK)) {
        CHECK_EQ(model->tensors[0].elements, 4);
        CHECK_STATUS(st_read_as(model, model->tensors, NULL, ST_DTYPE_F32, got, sizeof got, &error), ST_OK);
        CHECK(got[0] == 1 && got[3] == 4);
    }
    close_made(file);
}

static void v_h3(void) {
    static const struct {
        const char *header;
        st_status status;
    } cases[] = {{"", ST_ERR_JSON},
                 {"[]", ST_ERR_SCHEMA},
                 {"{\"w\":{\"dtype\":\"U8\",\"data_offsets\":[0,1]}}", ST_ERR_SCHEMA},
                 {"{\"w\":{\"dtype\":\"U8\",\"shape\":[1]}}", ST_ERR_SCHEMA},
                 {"{\"w\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,\"1\"]}}", ST_ERR_SCHEMA}};
    static const unsigned char limit[] = {0, 0xe1, 0xf5, 5, 0, 0, 0, 0}, over[] = {1, 0xe1, 0xf5, 5, 0, 0, 0, 0};
    char messages[5][sizeof error.message];
    size_t i, k;
    test_row = "V-H3";
    CHECK_STATUS(st_open_memory(&model, "\0\1\2\3\4", 5, NULL, &error), ST_ERR_TRUNCATED);
    CHECK_STATUS(st_open_memory(&model, limit, sizeof limit, NULL, &error), ST_ERR_TRUNCATED);
    CHECK_STATUS(st_open_memory(&model, over, sizeof over, NULL, &error), ST_ERR_HEADER_LIMIT);
    CHECK_STATUS(st_open_memory(&model, "\3\0\0\0\0\0\0\0{}", 10, NULL, &error), ST_ERR_TRUNCATED);
    for (i = 0; i < 5; i++) {
        unsigned char *file;
        CHECK_STATUS(open_made(&file, cases[i].header, "x", 1), cases[i].status);
        free(file);
        memcpy(messages[i], error.message, sizeof error.message);
        for (k = 0; k < i; k++) CHECK(strcmp(messages[i], messages[k]) != 0);
    }
}

/* 16-bit integers that hold BF16, in files that torch wrote */
static void u16(const char *row, const char *header, const char *name, const char *data, const unsigned codes[3],
                const float numbers[3]) {
    unsigned char *file;
    uint16_t got[3];
    float read[3];
    size_t i;
    test_row = row;
    if (CHECK_STATUS(open_made(&file, header, data, 6), ST_OK)) {
        st_tensor t;
        if (CHECK(st_find(model, name) != NULL)) {
            t = *st_find(model, name);
            CHECK_EQ(t.dtype, ST_DTYPE_U16);
            CHECK_STATUS(st_read_as(model, &t, NULL, ST_AS_STORED, got, sizeof got, &error), ST_OK);
            t.dtype = ST_DTYPE_BF16; /* only where the program says so */
            CHECK_STATUS(st_read_as(model, &t, NULL, ST_DTYPE_F32, read, sizeof read, &error), ST_OK);
            for (i = 0; i < 3; i++) CHECK(got[i] == codes[i] && read[i] == numbers[i]);
        }
    }
    close_made(file);
}

static void v_h4(void) {
    static const char header[] = "{\"bf16.weight\":{\"dtype\":\"U16\",\"shape\":[3],\"data_offsets\":[0,6]}}";
    static const unsigned codes[3] = {0x3f80, 0x4000, 0x3f00};
    static const float numbers[3] = {1, 2, 0.5f};
    CHECK_EQ(strlen(header), 64);
    u16("V-H4", header, "bf16.weight", "\200\77\0\100\0\77", codes, numbers);
}

static void v_h5(void) {
    static const char header[] = "{\"0\":{\"dtype\":\"U16\",\"shape\":[3],\"data_offsets\":[0,6]}}  ";
    static const unsigned codes[3] = {0x3f80, 0x4000, 0x4200};
    static const float numbers[3] = {1, 2, 32};
    CHECK_EQ(strlen(header), 56);
    u16("V-H5", header, "0", "\200\77\0\100\0\102", codes, numbers);
}

static void v_h7(void) {
    static const char header[] = "{\"a\":" E("U8", "[]", "[0,1]") ",\"b\":" E("U8", "[10]", "[1,11]") ",\"c\":" E(
        "U8", "[3,4]", "[11,23]") ",\"d\":" E("U8", "[2,3,4]",
                                              "[23,47]") ",\"e\":" E("U8", "[2,3,4,5]",
                                                                     "[47,167]") ",\"f\":" E("F32", "[100]",
                                                                                             "[167,"
                                                                                             "567]") "}";
    static const char data[567];
    static const uint64_t counts[] = {1, 10, 12, 24, 120, 100};
    unsigned char *file;
    size_t i;
    test_row = "V-H7";
    if (CHECK_STATUS(open_made(&file, header, data, sizeof data), ST_OK)) {
        for (i = 0; i < 6; i++) CHECK_EQ(model->tensors[i].elements, counts[i]);
        CHECK_EQ(model->tensors[5].bytes, 400);
    }
    close_made(file);
}

static void v_h8(void) {
    float z[2] = {3, 4}, a[2] = {1, 2}, payload[4] = {1, 2, 3, 4};
    const uint64_t shape[1] = {2};
    const char *path = scratch_path("v_h8.safetensors");
    st_tensor tensors[2];
    unsigned char *file;
    size_t n, header;
    test_row = "V-H8";
    st_to_little_endian(ST_DTYPE_F32, z, 2), st_to_little_endian(ST_DTYPE_F32, a, 2),
        st_to_little_endian(ST_DTYPE_F32, payload, 4);
    tensors[0] = st_tensor_of("z", ST_DTYPE_F32, 1, shape, z);
    tensors[1] = st_tensor_of("a", ST_DTYPE_F32, 1, shape, a);
    CHECK_STATUS(st_save(path, CONTENTS(tensors, 2, NULL, 0), NULL, &error), ST_OK);
    file = file_bytes(path, &n);
    if (CHECK(file != NULL && n > 24)) {
        char text[256];
        header = (size_t)file[0] + 256u * file[1];
        CHECK(header % 8 == 0 && n == 8 + header + 16 && header < sizeof text);
        memcpy(text, file + 8, header);
        text[header] = 0;
        CHECK(strstr(text, "\"a\"") != NULL && strstr(text, "\"a\"") < strstr(text, "\"z\""));
        CHECK(memcmp(file + 8 + header, payload, 16) == 0);
    }
    free(file);
    CHECK(remove(path) == 0);
}

/* ---- conversions ---- */

static void v_c1(void) {
    static const char header[] = "{\"h\":" E("F16", "[2]", "[0,4]") ",\"b\":" E("BF16", "[2]", "[4,8]") "}";
    unsigned char *file;
    float got[2];
    size_t i;
    test_row = "V-C1";
    if (CHECK_STATUS(open_made(&file, header, "\0\74\0\100\200\77\0\100", 8), ST_OK)) {
        for (i = 0; i < 2; i++) {
            CHECK_STATUS(st_read_as(model, &model->tensors[i], NULL, ST_DTYPE_F32, got, sizeof got, &error), ST_OK);
            CHECK(got[0] == 1 && got[1] == 2);
        }
    }
    close_made(file);
}

static void rounded(const char *row, st_dtype dtype, const float *numbers, const unsigned *codes, const float *back,
                    size_t count) {
    size_t i;
    test_row = row;
    for (i = 0; i < count; i++) {
        uint16_t code = 0;
        float number = 0;
        CHECK_STATUS(st_convert(dtype, &code, ST_DTYPE_F32, &numbers[i], 1), ST_OK);
        CHECK_EQ(code, codes[i]);
        CHECK_STATUS(st_convert(ST_DTYPE_F32, &number, dtype, &code, 1), ST_OK);
        CHECK(number == back[i]);
    }
}

static void v_c2(void) {
    static const float numbers[] = {0.1f, -0.25f, 1.234f, 65504.0f, 1.0f / 16777216},
                       back[] = {0.0999755859375f, -0.25f, 1.234375f, 65504.0f, 1.0f / 16777216};
    static const unsigned codes[] = {0x2e66, 0xb400, 0x3cf0, 0x7bff, 0x0001};
    rounded("V-C2", ST_DTYPE_F16, numbers, codes, back, 5);
}

static void v_c3(void) {
    static const float numbers[] = {0.1234567f, -0.5f, 2.3456789f}, back[] = {0.12353515625f, -0.5f, 2.34375f};
    static const unsigned codes[] = {0x3dfd, 0xbf00, 0x4016};
    rounded("V-C3", ST_DTYPE_BF16, numbers, codes, back, 3);
}

static void v_c4(void) { /* two headers whose lengths differ by one: one of the tensors is at an odd address */
    float numbers[2] = {1, -2}, got[2];
    unsigned odd;
    test_row = "V-C4";
    st_to_little_endian(ST_DTYPE_F32, numbers, 2);
    for (odd = 0; odd < 2; odd++) {
        unsigned char *file;
        const char *header = odd ? "{\"w\":" E("F32", "[2]", "[0,8]") "} " : "{\"w\":" E("F32", "[2]", "[0,8]") "}";
        if (CHECK_STATUS(open_made(&file, header, numbers, 8), ST_OK)) {
            CHECK_STATUS(st_read_as(model, model->tensors, NULL, ST_DTYPE_F32, got, sizeof got, &error), ST_OK);
            CHECK(got[0] == 1 && got[1] == -2);
        }
        close_made(file);
    }
}

static void v_c5(void) {
    static const uint32_t axes[2] = {1, 0};
    static const float want[6] = {1, 4, 2, 5, 3, 6};
    const st_view view = {NULL, 0, axes};
    float numbers[6] = {1, 2, 3, 4, 5, 6}, got[6];
    uint64_t shape[2], elements;
    unsigned char *file;
    test_row = "V-C5";
    st_to_little_endian(ST_DTYPE_F32, numbers, 6);
    if (CHECK_STATUS(open_made(&file, "{\"w\":" E("F32", "[2,3]", "[0,24]") "}", numbers, 24), ST_OK)) {
        CHECK_STATUS(st_view_shape(model->tensors, &view, shape, &elements, &error), ST_OK);
        CHECK(shape[0] == 3 && shape[1] == 2 && elements == 6);
        CHECK_STATUS(st_read_as(model, model->tensors, &view, ST_DTYPE_F32, got, sizeof got, &error), ST_OK);
        CHECK(memcmp(got, want, sizeof want) == 0);
    }
    close_made(file);
}

static void v_c7(void) {
    static const char header[] = "{\"h\":" E("F16", "[4,4]", "[0,32]") ",\"b\":" E("BF16", "[4,4]", "[32,64]") "}";
    unsigned char data[64], *file;
    float got[16];
    size_t i, k;
    test_row = "V-C7";
    for (k = 0; k < 2; k++) {
        for (i = 0; i < 16; i++) {
            const float number = (float)i / 2;
            uint16_t code = 0;
            CHECK_STATUS(st_convert(k ? ST_DTYPE_BF16 : ST_DTYPE_F16, &code, ST_DTYPE_F32, &number, 1), ST_OK);
            data[32 * k + 2 * i] = (unsigned char)(code & 255);
            data[32 * k + 2 * i + 1] = (unsigned char)(code >> 8);
        }
    }
    if (CHECK_STATUS(open_made(&file, header, data, 64), ST_OK)) {
        CHECK_STR(model->tensors[0].dtype_name, "F16");
        CHECK_STR(model->tensors[1].dtype_name, "BF16");
        for (k = 0; k < 2; k++) {
            CHECK_STATUS(st_read_as(model, &model->tensors[k], NULL, ST_DTYPE_F32, got, sizeof got, &error), ST_OK);
            for (i = 0; i < 16; i++) CHECK(got[i] == (float)i / 2);
        }
    }
    close_made(file);
}

/* ---- models of several files ---- */

static void put_model(const char *name, const char *header, size_t data_bytes) {
    size_t n;
    unsigned char *file = make_file(header, strlen(header), "0123456789abcdef", data_bytes, &n);
    scratch_write(name, file, n);
    free(file);
}

static void put_text(const char *name, const char *text) {
    scratch_write(name, text, strlen(text));
}

static const char *shard_of(const char *name) { /* the file name of the shard that has the tensor */
    const st_tensor *t = st_find(model, name);
    const char *path = t ? model->shards[t->shard].path : "", *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

static void v_g1(void) {
    test_row = "V-G1";
    put_model("model-00001-of-00002.safetensors", "{\"a\":" E("U8", "[2]", "[0,2]") "}", 2);
    put_model("model-00002-of-00002.safetensors", "{\"b\":" E("U8", "[3]", "[0,3]") "}", 3);
    put_text(INDEX, "{\"metadata\":{\"total_size\":5},\"weight_map\":{\"a\":\"model-00001-of-00002.safetensors\","
                    "\"b\":\"model-00002-of-00002.safetensors\"}}");
    if (CHECK_STATUS(st_open(&model, scratch_directory, NULL, &error), ST_OK)) {
        CHECK_STR(shard_of("a"), "model-00001-of-00002.safetensors");
        CHECK_STR(shard_of("b"), "model-00002-of-00002.safetensors");
        CHECK(st_find(model, "c") == NULL);
        CHECK(model->index_count == 1 && strcmp(model->index[0].value, "5") == 0);
        st_close(model);
    }
    folder_clear();
}

static void v_g2(void) {
    test_row = "V-G2";
    put_model("model.safetensors", "{\"a\":" E("U8", "[2]", "[0,2]") ",\"b\":" E("U8", "[1]", "[2,3]") "}", 3);
    if (CHECK_STATUS(st_open(&model, scratch_directory, NULL, &error), ST_OK)) {
        CHECK(model->shard_count == 1 && model->index == NULL);
        CHECK_STR(shard_of("a"), "model.safetensors");
        CHECK_STR(shard_of("b"), "model.safetensors");
        st_close(model);
    }
    folder_clear();
}

static void v_g3(void) {
    static const char *const order[] = {"x", "y", "p", "q"};
    size_t i;
    test_row = "V-G3";
    put_model("b.safetensors", "{\"q\":" E("U8", "[1]", "[1,2]") ",\"p\":" E("U8", "[1]", "[0,1]") "}", 2);
    put_model("a.safetensors", "{\"y\":" E("U8", "[8]", "[8,16]") ",\"x\":" E("U8", "[8]", "[0,8]") "}", 16);
    put_text(INDEX, "{\"weight_map\":{\"q\":\"b.safetensors\",\"p\":\"b.safetensors\",\"y\":\"a.safetensors\","
                    "\"x\":\"a.safetensors\"}}");
    if (CHECK_STATUS(st_open(&model, scratch_directory, NULL, &error), ST_OK)) {
        CHECK_EQ(model->count, 4);
        for (i = 0; i < 4 && i < model->count; i++) CHECK_STR(model->tensors[i].name, order[i]);
        st_close(model);
    }
    folder_clear();
}

static void v_f1(void) {
    static const uint64_t shape[1] = {4};
    st_tensor tensors[2];
    test_row = "V-F1";
    tensors[0] = st_tensor_of("a", ST_DTYPE_U8, 1, shape, "abcd");
    tensors[1] = st_tensor_of("b", ST_DTYPE_U8, 1, shape, "efgh");
    CHECK_STATUS(st_save_sharded(scratch_directory, CONTENTS(tensors, 2, NULL, 0), NULL, &error), ST_OK);
    CHECK(folder_is("model.safetensors "));
    folder_clear();
}

/* Two state dicts get a file each, whatever their sizes; then the index is written. */
static void v_f2(void) {
    static const uint64_t shape[1] = {4};
    st_open_options options;
    st_save_options as_opened;
    st_contents contents;
    st_tensor t;
    uint32_t i;
    test_row = "V-F2";
    for (i = 0; i < 2; i++) {
        t = st_tensor_of(i ? "b" : "a", ST_DTYPE_U8, 1, shape, "abcd");
        CHECK_STATUS(st_save(shard_path(i, 2), CONTENTS(&t, 1, NULL, 0), NULL, &error), ST_OK);
    }
    memset(&options, 0, sizeof options);
    memset(&as_opened, 0, sizeof as_opened);
    options.flags = ST_OPEN_NO_INDEX;
    as_opened.flags = ST_SAVE_AS_OPENED;
    if (CHECK_STATUS(st_open(&model, scratch_directory, &options, &error), ST_OK)) {
        contents = st_contents_of(model);
        CHECK_STATUS(st_save_index(scratch_directory, &contents, &as_opened, &error), ST_OK);
        st_close(model);
    }
    CHECK(folder_is("model-00001-of-00002.safetensors model-00002-of-00002.safetensors " INDEX " "));
    if (CHECK_STATUS(st_open(&model, scratch_directory, NULL, &error), ST_OK)) {
        CHECK_STR(shard_of("a"), "model-00001-of-00002.safetensors");
        CHECK_STR(shard_of("b"), "model-00002-of-00002.safetensors");
        st_close(model);
    }
    folder_clear();
}

static void v_f5(void) {
    static const st_pair pairs[] = {PAIR("dtype", "\"float32\""), PAIR("custom", "{\"a\":1}"),
                                    PAIR("param_sharing", "[[\"a\",\"tied\"]]")};
    static const uint64_t shape[1] = {4};
    st_contents contents;
    st_save_options options;
    st_tensor tensors[2];
    size_t count = 0;
    test_row = "V-F5";
    memset(&contents, 0, sizeof contents);
    memset(&options, 0, sizeof options);
    tensors[0] = st_tensor_of("a", ST_DTYPE_U8, 1, shape, "abcd");
    tensors[1] = st_tensor_of("b", ST_DTYPE_U8, 1, shape, "efgh");
    contents.tensors = tensors;
    contents.count = 2;
    contents.index = pairs;
    contents.index_count = 3;
    options.max_shard_bytes = 4;
    CHECK_STATUS(st_save_sharded(scratch_directory, &contents, &options, &error), ST_OK);
    if (CHECK_STATUS(st_open(&model, scratch_directory, NULL, &error), ST_OK)) {
        static const char *const keys[] = {"custom", "dtype", "param_sharing", "total_size"};
        static const char *const values[] = {"{\"a\":1}", "\"float32\"", "[[\"a\",\"tied\"]]", "8"};
        uint64_t memory[64];
        const st_buffer buffer = {memory, sizeof memory};
        const st_alias *aliases;
        size_t i;
        CHECK_EQ(model->index_count, 4);
        for (i = 0; i < 4 && i < model->index_count; i++) {
            CHECK_STR(model->index[i].key, keys[i]);
            CHECK_STR(model->index[i].value, values[i]);
        }
        CHECK_STATUS(st_aliases(model, &buffer, &aliases, &count, &error), ST_OK);
        if (CHECK_EQ(count, 1)) CHECK(strcmp(aliases[0].name, "tied") == 0 && aliases[0].tensor == st_find(model, "a"));
        st_close(model);
    }
    folder_clear();
    contents.count = 0; /* nothing: one empty file, which needs no index */
    CHECK_STATUS(st_save_sharded(scratch_directory, &contents, &options, &error), ST_OK);
    CHECK(folder_is("model.safetensors "));
    folder_clear();
}

static void v_f7(void) {
    static const char *const wanted[] = {"1", "2", "other"};
    const st_tensor *found[3];
    unsigned char used[3] = {0, 0, 0}, *file;
    test_row = "V-F7";
    if (CHECK_STATUS(open_made(&file,
                               "{\"1\":" E("U8", "[1]", "[0,1]") ",\"2\":" E("U8", "[1]", "[1,2]") ",\"3\":" E(
                                   "U8", "[1]", "[2,3]") "}",
                               "abc", 3),
                     ST_OK)) {
        CHECK_EQ(st_find_all(model, wanted, 3, found, used), 2);
        CHECK(found[0] == &model->tensors[0] && found[1] == &model->tensors[1] && found[2] == NULL);
        CHECK(st_next_unused(model, used, NULL) == &model->tensors[2]);
    }
    close_made(file);
}

static void v_f9(void) {
    static const char *const names[4] = {"layer1.weight", "layer1.bias", "layer2.weight", "layer2.bias"};
    static const uint64_t shapes[4][2] = {{4, 3}, {4, 0}, {2, 4}, {2, 0}};
    static const unsigned char bytes[12] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12};
    st_tensor tensors[4];
    unsigned sharded;
    size_t i;
    test_row = "V-F9";
    for (i = 0; i < 4; i++) tensors[i] = st_tensor_of(names[i], ST_DTYPE_I8, i % 2 ? 1 : 2, shapes[i], bytes);
    for (sharded = 0; sharded < 2; sharded++) {
        const st_tensor *found[2];
        st_save_options options;
        memset(&options, 0, sizeof options);
        options.max_shard_bytes = sharded ? 12 : 0;
        CHECK_STATUS(st_save_sharded(scratch_directory, CONTENTS(tensors, 4, NULL, 0), &options, &error), ST_OK);
        if (CHECK_STATUS(st_open(&model, scratch_directory, NULL, &error), ST_OK)) {
            CHECK_EQ(model->count, 4);
            CHECK_EQ(model->shard_count, sharded ? 3 : 1);
            for (i = 0; i < 4; i++) {
                const st_tensor *t = st_find(model, names[i]);
                unsigned char got[12];
                if (!CHECK(t != NULL && t->rank == tensors[i].rank && t->shape[0] == shapes[i][0])) continue;
                CHECK_STATUS(st_read(model, t, 0, got, (size_t)t->bytes, &error), ST_OK);
                CHECK(t->bytes <= 12 && memcmp(got, bytes, (size_t)t->bytes) == 0);
            }
            CHECK_EQ(st_find_all(model, names + 1, 2, found, NULL), 2); /* exactly this subset */
            CHECK(strcmp(found[0]->name, names[1]) == 0 && strcmp(found[1]->name, names[2]) == 0);
            st_close(model);
        }
        folder_clear();
    }
}

int main(void) {
    scratch_begin("vectors");
    v_h1(), v_h2(), v_h3(), v_h4(), v_h5(), v_h7(), v_h8();
    v_c1(), v_c2(), v_c3(), v_c4(), v_c5(), v_c7();
    v_g1(), v_g2(), v_g3();
    v_f1(), v_f2(), v_f5(), v_f7(), v_f9();
    test_row = "";
    scratch_end();
    return test_done("vectors");
}
