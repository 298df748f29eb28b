/* Tests how the command-line tool parses sizes such as 64K. */
#include "../safetensors.h"

#include "../examples/st/bytes.c"
#include "test.h"

int main(void) {
    static const struct {
        const char *text;
        uint64_t bytes;
    } fine[] = {
        {"0", 0},
        {"4096", 4096},
        {"4096B", 4096},
        {"5GB", 5000000000},
        {"1.5GB", 1500000000},
        {"500MB", 500000000},
        {"7kb", 7000},
        {"2TB", 2000000000000},
        {" 2 \t gB  ", 2000000000},
        {"1KiB", 1024},
        {"3mib", 3145728},
        {"1.5GIB", 1610612736},
        {"1TiB", 1099511627776},
        {"0.1KB", 100},
        {"0.0001KB", 0},
        {"1.9999B", 1},
        {"0.3GiB", 322122547},
        {"1.23456789012345678901234567890TB", 1234567890123},
        {"0.99999999999999999999999999999999999TiB", 1099511627775},
        {"0000000000000000000000000001", 1},
        {"18446744073709551615", UINT64_MAX},
        {"16777215.999999999999TiB", 18446744073709551614u},
        {"18446744.073709551615TB", UINT64_MAX},
    };
    static const char *const wrong[] = {
        "",       " ",     "GB",    "-1",    "+1",          ".5GB",         "1.GB",
        "1e9",    "1ooKB", "1 000", "5GBs",  "5 G B",       "5G",           "5KI",
        "1..5GB", "0x10",  "5,0GB", "5PB",   "1.5.5",       "5GiBB",        "18446744073709551616",
        "1.5 x",  "nan",   "inf",   "5\nGB", "16777216TiB", "18446744.1TB", "18446744.073709551616TB",
        "5GB\xa0"};
    uint64_t bytes;
    size_t i;
    for (i = 0; i < sizeof fine / sizeof *fine; i++) {
        test_row = fine[i].text;
        bytes = 77;
        if (CHECK(parse_bytes(fine[i].text, &bytes))) CHECK_EQ(bytes, fine[i].bytes);
    }
    for (i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        test_row = wrong[i];
        bytes = 77;
        CHECK(!parse_bytes(wrong[i], &bytes));
        CHECK_EQ(bytes, 77);
    }
    test_row = "";
    return test_done("bytes");
}
