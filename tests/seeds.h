/* seeds.h: small valid files that together contain every form a header may take. */
#ifndef SEEDS_H
#define SEEDS_H
#include "cases.h"

#define SEED(text, data, tensors, header) \
    { .name = text, CASE_HEADER(header), CASE_DATA(data), CASE_ANY, .status = ST_OK, .count = tensors }

/* clang-format off */
static const file_case seeds[] = {
    SEED("nothing", "", 0, "{}"),
    SEED("empty metadata", "", 0, "{\"__metadata__\":{}}"),
    SEED("a tensor", "ab", 1, "{\"t\":" E("U8", "[2]", "[0,2]") "}"),
    SEED("a scalar and padding", "abcd", 1, "{\"s\":" E("F32", "[]", "[0,4]") "}   "),
    SEED("metadata", "a", 1, "{\"__metadata__\":{\"a\":\"b\",\"c\":\"\"},\"t\":" E("I8", "[1]", "[0,1]") "}"),
    SEED("no metadata, said so", "a", 1, "{\"t\":" E("BOOL", "[1]", "[0,1]") ",\"__metadata__\":null}"),
    SEED("out of order", "abcd", 2, "{\"b\":" E("I8", "[1]", "[3,4]") ",\"a\":" E("U8", "[3]", "[0,3]") "}"),
    SEED("escapes", "ab", 1, "{\"\\u0074\\n\\\"\\ud83d\\ude00\":" E("\\u0055\\u0038", "[2]", "[0,2]") "}"),
    SEED("letters beyond ASCII", "ab", 1, "{\"\303\251\342\202\254\360\237\230\200\":" E("F16", "[1]", "[0,2]") "}"),
    SEED("half bytes and sixes", "abcd", 2, "{\"f\":" E("F4", "[2]", "[0,1]") ",\"s\":" E("F6_E2M3", "[4]", "[1,4]")
         "}"),
    SEED("of no size", "a", 2, "{\"z\":" E("C64", "[0,9223372036854775808]", "[1,1]") ",\"t\":" E("U8", "[1]", "[0,1]")
         "}"),
    SEED("ignored fields", "a", 1,
         "{\"t\":{\"x\":[-1.5e+3,{\"y\":null}],\"shape\":[1],\"dtype\":\"U8\",\"data_offsets\":[0,1],\"x\":true}}"),
    SEED("blanks", "ab", 1,
         " {\n\"t\" : { \"dtype\" : \"U8\" ,\t\"shape\" : [ 1 , 2 ] , \"data_offsets\" : [ 0 , 2 ] } }\r\n"),
};
/* clang-format on */

#define SEED_COUNT (sizeof seeds / sizeof *seeds)
#undef SEED
#endif
