/* Tests room 10: the 22 dtypes by number, by name and in a file. */
#include "../safetensors.h"

#include "large.h"

static const struct known {
    st_dtype dtype;
    int number;
    const char *name;
    unsigned bits;
} known[] = {
    {ST_DTYPE_BOOL, 1, "BOOL", 8},
    {ST_DTYPE_F4, 2, "F4", 4},
    {ST_DTYPE_F6_E2M3, 3, "F6_E2M3", 6},
    {ST_DTYPE_F6_E3M2, 4, "F6_E3M2", 6},
    {ST_DTYPE_U8, 5, "U8", 8},
    {ST_DTYPE_I8, 6, "I8", 8},
    {ST_DTYPE_F8_E5M2, 7, "F8_E5M2", 8},
    {ST_DTYPE_F8_E4M3, 8, "F8_E4M3", 8},
    {ST_DTYPE_F8_E8M0, 9, "F8_E8M0", 8},
    {ST_DTYPE_F8_E4M3FNUZ, 10, "F8_E4M3FNUZ", 8},
    {ST_DTYPE_F8_E5M2FNUZ, 11, "F8_E5M2FNUZ", 8},
    {ST_DTYPE_I16, 12, "I16", 16},
    {ST_DTYPE_U16, 13, "U16", 16},
    {ST_DTYPE_F16, 14, "F16", 16},
    {ST_DTYPE_BF16, 15, "BF16", 16},
    {ST_DTYPE_I32, 16, "I32", 32},
    {ST_DTYPE_U32, 17, "U32", 32},
    {ST_DTYPE_F32, 18, "F32", 32},
    {ST_DTYPE_C64, 19, "C64", 64},
    {ST_DTYPE_F64, 20, "F64", 64},
    {ST_DTYPE_I64, 21, "I64", 64},
    {ST_DTYPE_U64, 22, "U64", 64},
};
#define KNOWN (sizeof known / sizeof *known)

static void numbers(void) {
    size_t i;
    st_dtype dtype;
    CHECK_EQ(KNOWN, 22);
    CHECK_EQ(ST_DTYPE_UNKNOWN, 0);
    for (i = 0; i < KNOWN; i++) {
        const struct known *k = &known[i];
        CHECK_EQ(k->dtype, k->number);
        CHECK_STR(st_dtype_name(k->dtype), k->name);
        CHECK_EQ(st_dtype_bits(k->dtype), k->bits);
        dtype = ST_DTYPE_UNKNOWN;
        CHECK_STATUS(st_dtype_from_name(k->name, &dtype), ST_OK);
        CHECK_EQ(dtype, k->number);
    }
    /* an invalid dtype has a printable name and a size of 0 */
    CHECK(st_dtype_name(ST_DTYPE_UNKNOWN) != NULL && st_dtype_bits(ST_DTYPE_UNKNOWN) == 0);
    CHECK(st_dtype_name((st_dtype)23) != NULL && st_dtype_bits((st_dtype)23) == 0);
    CHECK(st_dtype_name(ST_DTYPE_32_BITS_) != NULL && st_dtype_bits(ST_DTYPE_32_BITS_) == 0);
}

static void names(void) {
    static const char *const wrong[] = {
        "",     "u8",         "Bf16",         " U8",      "U8 ",     "U",       "U80",  "BOO",
        "F8",   "F8_E4M3FNU", "F8_E4M3FNUZZ", "F8_E3M4",  "FLOAT32", "float32", "F128", "C128",
        "NONE", "I4",         "E8M0",         "F6_E2M3 ", "bool",    "U8\n",    "F4x2", "\303\251\303\251"};
    st_dtype dtype;
    size_t i;
    for (i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        test_row = wrong[i];
        CHECK_STATUS(st_dtype_from_name(wrong[i], &dtype), ST_ERR_DTYPE);
    }
    test_row = "";
    CHECK_STATUS(st_dtype_from_name(NULL, &dtype), ST_ERR_ARGUMENT);
    CHECK_STATUS(st_dtype_from_name("U8", NULL), ST_ERR_ARGUMENT);
}

/* opens a file with 8 elements of each dtype */
static void in_a_file(void) {
    growing header = {NULL, 0, 0};
    unsigned char *file;
    st_model *model;
    st_error error;
    uint64_t at = 0;
    size_t i, n;
    text_put(&header, "{");
    for (i = 0; i < KNOWN; i++) {
        text_put(&header, i > 0 ? ",\"" : "\"");
        text_put(&header, known[i].name);
        text_put(&header, "\":{\"dtype\":\"");
        text_put(&header, known[i].name);
        text_put(&header, "\",\"shape\":[4,2],\"data_offsets\":[");
        text_number(&header, at);
        at += known[i].bits;
        text_put(&header, ",");
        text_number(&header, at);
        text_put(&header, "]}");
    }
    text_put(&header, "}");
    file = text_file(&header, (size_t)at, &n);
    if (CHECK_STATUS(st_open_memory(&model, file, n, NULL, &error), ST_OK)) {
        CHECK_EQ(model->count, KNOWN);
        CHECK_EQ(model->bytes, at);
        for (i = 0; i < model->count && i < KNOWN; i++) {
            const st_tensor *t = &model->tensors[i];
            CHECK_EQ(t->dtype, known[i].number);
            CHECK_STR(t->dtype_name, known[i].name);
            CHECK_EQ(t->bytes, known[i].bits);
            CHECK_EQ(t->elements, 8);
            CHECK(st_find(model, known[i].name) == t);
        }
        st_close(model);
    }
    free(file);
}

/* st_tensor in one expression, and the compiled version */
static void made(void) {
    static const uint64_t shape[2] = {3, 4};
    static const char data[1] = {0};
    const st_tensor t = st_tensor_of("w", ST_DTYPE_F32, 2, shape, data);
    CHECK_STR(t.name, "w");
    CHECK_EQ(t.dtype, ST_DTYPE_F32);
    CHECK_EQ(t.rank, 2);
    CHECK(t.shape == shape && t.data == data);
    CHECK_EQ(t.name_bytes, 0);
    CHECK_EQ(t.bytes, 0);
    CHECK(t.dtype_name == NULL);
    CHECK_EQ(st_version(), ST_VERSION);
}

int main(void) {
    numbers();
    made();
    names();
    in_a_file();
    return test_done("dtypes");
}
