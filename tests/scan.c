/* Tests room 11, st_scan: its limits, the bytes it asks for, and the tensors it yields. */
#include "../safetensors.h"

#include "large.h"

static st_status begin(st_scan *scan, const unsigned char *file, size_t available, size_t n, st_error *error) {
    memset(scan, 0xee, sizeof *scan);
    memset(error, 0xee, sizeof *error);
    return st_scan_begin(scan, file, available, n, NULL, error);
}

static size_t count_tensors(st_scan *scan) {
    size_t count = 0;
    while (st_scan_next(scan)) count++;
    CHECK_EQ(st_scan_next(scan), 0);
    return count;
}

/* returns the position of a text's first occurrence in the file */
static uint64_t find_text(const unsigned char *file, size_t n, const char *what) {
    size_t i, length = strlen(what);
    for (i = 0; i + length <= n; i++) {
        if (memcmp(file + i, what, length) == 0) return i;
    }
    return UINT64_MAX;
}

static void limit_of_tensors(void) {
    st_scan scan;
    st_error error;
    st_model *model;
    int reversed;
    for (reversed = 0; reversed <= 1; reversed++) {
        size_t n;
        unsigned char *file = many_tensors("t", 1024, reversed, &n);
        CHECK_STATUS(begin(&scan, file, n, n, &error), ST_OK);
        CHECK_EQ(count_tensors(&scan), 1024);
        free(file);
        file = many_tensors("t", 1025, reversed, &n);
        CHECK_STATUS(begin(&scan, file, n, n, &error), ST_ERR_TOO_LARGE);
        CHECK_STATUS(error.status, ST_ERR_TOO_LARGE);
        CHECK_EQ(error.position, find_text(file, n, "\"t1024\""));
        CHECK_EQ(st_scan_next(&scan), 0);
        CHECK_STATUS(st_open_memory(&model, file, n, NULL, &error), ST_OK);
        st_close(model);
        free(file);
    }
}

static void limit_of_metadata(void) {
    st_scan scan;
    st_error error;
    size_t n;
    unsigned char *file = many_pairs("k", 1024, &n);
    CHECK_STATUS(begin(&scan, file, n, n, &error), ST_OK);
    CHECK_EQ(count_tensors(&scan), 0);
    free(file);
    file = many_pairs("k", 1025, &n);
    CHECK_STATUS(begin(&scan, file, n, n, &error), ST_ERR_TOO_LARGE);
    CHECK_EQ(error.position, find_text(file, n, "\"k1024\""));
    free(file);
}

static void limit_of_rank(void) {
    static const char sixteen[] = "{\"t\":" E("U8", "[1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,2]", "[0,2]") "}";
    static const char seventeen[] = "{\"t\":" E("U8", "[1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1, 2]", "[0,2]") "}";
    st_scan scan;
    st_error error;
    size_t n;
    unsigned char *file = make_file(sixteen, sizeof sixteen - 1, "ab", 2, &n);
    CHECK_STATUS(begin(&scan, file, n, n, &error), ST_OK);
    CHECK(st_scan_next(&scan) && scan.tensor.rank == 16 && scan.tensor.shape[15] == 2 && scan.tensor.shape[14] == 1);
    free(file);
    file = make_file(seventeen, sizeof seventeen - 1, "ab", 2, &n);
    CHECK_STATUS(begin(&scan, file, n, n, &error), ST_ERR_TOO_LARGE);
    CHECK_EQ(error.position, find_text(file, n, "2],"));
    CHECK_STR(error.subject, "t");
    free(file);
}

static const char header[] =
    "{\"__metadata__\":{\"k\":\"v\"},\"b\":" E("U8", "[2,1]", "[1,3]") ",\"\\u0061\\n\\\"\":" E(
        "I8", "[]", "[0,1]") ",\"\303\251\":" E("BF16", "[1]", "[3,5]") "}";

static void walk(void) {
    st_scan scan;
    st_error error;
    size_t n, available;
    unsigned char *file = make_file(header, sizeof header - 1, "12345", 5, &n);
    const uint64_t data = n - 5;
    for (available = (size_t)data; available <= n; available++) { /* data only if complete */
        unsigned char *part = (unsigned char *)malloc(available);
        if (part == NULL) exit(2);
        memcpy(part, file, available);
        CHECK_STATUS(begin(&scan, part, available, n, &error), ST_OK);
        CHECK(!st_scan_is(&scan, "b")); /* no tensor before the first st_scan_next */
        CHECK_EQ(st_scan_next(&scan), 1);
        CHECK(st_scan_is(&scan, "b") && !st_scan_is(&scan, "") && !st_scan_is(&scan, "bb") && !scan.name_escaped);
        CHECK(scan.tensor.name_bytes == 1 && scan.tensor.name[0] == 'b');
        CHECK(scan.tensor.dtype == ST_DTYPE_U8 && scan.tensor.rank == 2 && scan.tensor.shape == scan.shape);
        CHECK(scan.shape[0] == 2 && scan.shape[1] == 1 && scan.tensor.bytes == 2 && scan.tensor.elements == 2);
        CHECK(scan.tensor.offset == data + 1 && scan.tensor.shard == 0);
        CHECK(scan.tensor.data == (available >= data + 3 ? part + data + 1 : NULL));
        CHECK_STR(scan.tensor.dtype_name, "U8");
        CHECK_EQ(st_scan_next(&scan), 1);
        CHECK(scan.name_escaped && st_scan_is(&scan, "a\n\"") && !st_scan_is(&scan, "\\u0061\\n\\\"") &&
              !st_scan_is(&scan, "a"));
        CHECK(scan.tensor.rank == 0 && scan.tensor.elements == 1 && scan.tensor.offset == data);
        CHECK_EQ(scan.tensor.name_bytes, 10);
        CHECK(scan.tensor.data == (available >= data + 1 ? part + data : NULL));
        CHECK_EQ(st_scan_next(&scan), 1);
        CHECK(st_scan_is(&scan, "\303\251") && scan.tensor.dtype == ST_DTYPE_BF16 && scan.tensor.offset == data + 3);
        CHECK_EQ(st_scan_next(&scan), 0);
        CHECK_EQ(st_scan_next(&scan), 0);
        free(part);
    }
    free(file);
}

/* with fewer bytes than the header, st_scan asks for the missing number, and reads nothing past the end */
static void available_bytes(void) {
    st_scan scan;
    st_error error;
    size_t n, available;
    unsigned char *file = make_file(header, sizeof header - 1, "12345", 5, &n);
    for (available = 0; available < n - 5; available++) {
        unsigned char *part = (unsigned char *)malloc(available > 0 ? available : 1);
        if (part == NULL) exit(2);
        memcpy(part, file, available);
        CHECK_STATUS(begin(&scan, part, available, n, &error), ST_ERR_ARGUMENT);
        CHECK_STATUS(error.status, ST_ERR_ARGUMENT);
        CHECK_EQ(error.expected, available < 8 ? 8 : n - 5);
        CHECK_EQ(st_scan_next(&scan), 0);
        /* the header length is validated before st_scan asks for the header */
        if (available >= 8) {
            CHECK_STATUS(begin(&scan, part, available, n - 6, &error), ST_ERR_TRUNCATED);
            CHECK(error.expected == n - 5 && error.actual == n - 6 && error.position == n - 6);
        }
        free(part);
    }
    CHECK_STATUS(begin(&scan, file, n - 5, n - 1, &error), ST_ERR_TRUNCATED);
    CHECK(error.expected == n && error.actual == n - 1);
    CHECK_STATUS(begin(&scan, file, n - 5, n + 1, &error), ST_ERR_TRAILING);
    CHECK_STATUS(begin(&scan, file, 5, 5, &error), ST_ERR_TRUNCATED);
    CHECK(error.expected == 8 && error.actual == 5);
    CHECK_STATUS(st_scan_begin(&scan, NULL, 0, n, NULL, &error), ST_ERR_ARGUMENT);
    CHECK_EQ(error.expected, 8);
    CHECK_STATUS(st_scan_begin(&scan, NULL, 0, 0, NULL, &error), ST_ERR_TRUNCATED);
    free(file);
}

static void options(void) {
    st_scan scan;
    st_error error;
    st_open_options o;
    size_t n;
    unsigned char *file = make_file(header, sizeof header - 1, "12345", 5, &n);
    memset(&o, 0, sizeof o);
    CHECK_STATUS(st_scan_begin(&scan, file, n, n, &o, &error), ST_OK);
    o.max_header = sizeof header - 1;
    CHECK_STATUS(st_scan_begin(&scan, file, n, n, &o, &error), ST_OK);
    o.max_header--;
    CHECK_STATUS(st_scan_begin(&scan, file, n, n, &o, &error), ST_ERR_HEADER_LIMIT);
    CHECK(error.expected == sizeof header - 2 && error.actual == sizeof header - 1 && error.position == 0);
    o.max_header = 0;
    o.flags = ST_OPEN_TRAILING;
    CHECK_STATUS(st_scan_begin(&scan, file, n, n + 100, &o, NULL), ST_OK);
    CHECK_EQ(count_tensors(&scan), 3);
    o.flags = 1u << 31;
    memset(&scan, 0xee, sizeof scan);
    CHECK_STATUS(st_scan_begin(&scan, file, n, n, &o, &error), ST_ERR_ARGUMENT);
    CHECK_EQ(st_scan_next(&scan), 0);
    free(file);
}

static void arguments(void) {
    st_scan scan;
    st_error error;
    size_t n;
    unsigned char *file = make_file("{}", 2, "", 0, &n);
    CHECK_STATUS(st_scan_begin(NULL, file, n, n, NULL, &error), ST_ERR_ARGUMENT);
    CHECK_STATUS(error.status, ST_ERR_ARGUMENT);
    CHECK_STATUS(st_scan_begin(NULL, file, n, n, NULL, NULL), ST_ERR_ARGUMENT);
    memset(&scan, 0xee, sizeof scan);
    CHECK_STATUS(st_scan_begin(&scan, NULL, n, n, NULL, &error), ST_ERR_ARGUMENT);
    CHECK_EQ(st_scan_next(&scan), 0);
    CHECK_EQ(st_scan_next(NULL), 0);
    CHECK_EQ(st_scan_is(NULL, "t"), 0);
    CHECK_STATUS(st_scan_begin(&scan, file, n, n, NULL, NULL), ST_OK);
    CHECK_EQ(st_scan_is(&scan, NULL), 0);
    CHECK_EQ(st_scan_is(&scan, ""), 0);
    CHECK_EQ(st_scan_next(&scan), 0);
    CHECK_STATUS(st_scan_begin(&scan, file, n, n - 1, NULL, NULL), ST_ERR_TRUNCATED);
    CHECK_EQ(st_scan_next(&scan), 0);
    free(file);
    file = make_file(header, sizeof header - 1, "12345", 5, &n);
    CHECK_STATUS(st_scan_begin(&scan, file, n, n, NULL, NULL), ST_OK);
    CHECK(st_scan_next(&scan) == 1 && st_scan_is(&scan, "b") == 1 && st_scan_is(&scan, NULL) == 0);
    free(file);
}

/* one entry at any position out of data order: the scan finds it */
static void order(void) {
    st_scan scan;
    st_error error;
    size_t at;
    for (at = 0; at < 12; at++) {
        growing text = {NULL, 0, 0};
        unsigned char *file;
        size_t i, n;
        text_put(&text, "{");
        for (i = 0; i < 12; i++) {
            char name[2] = {(char)('a' + i), 0};
            text_entry(&text, name, 1, i == at ? 13 : i < at ? i : i - 1); /* the next free offset is 11 */
        }
        text_put(&text, "}");
        file = text_file(&text, 12, &n);
        CHECK_STATUS(begin(&scan, file, n, n, &error), ST_ERR_OFFSETS);
        CHECK(error.expected == 11 && error.actual == 13 && error.subject[0] == (char)('a' + at) &&
              error.subject[1] == 0);
        CHECK_EQ(error.position, find_text(file, n, (char[]){'"', (char)('a' + at), '"', 0}));
        free(file);
    }
}

/* ---- more tensors, names or keys than one batch: st_scan and st_open agree on errors ------------- */

static uint32_t random_state = 1;
static size_t random_below(size_t n) {
    random_state = (uint32_t)((random_state * (uint64_t)1103515245u + 12345u) & 0x7fffffffu);
    return (size_t)((random_state >> 8) * (uint64_t)n >> 23);
}

/* appends a name made from the number; random characters are escaped */
static void put_name(growing *text, size_t number) {
    char digits[24];
    size_t i;
    snprintf(digits, sizeof digits, "layer.%u\303\251.weight", (unsigned)number);
    text_put(text, "\"");
    for (i = 0; digits[i]; i++) {
        char out[8] = {digits[i], 0};
        if (digits[i] > 0 && random_below(8) == 0) snprintf(out, sizeof out, "\\u%04x", (unsigned)digits[i]);
        if ((unsigned char)digits[i] == 0xC3 && random_below(2) == 0) {
            memcpy(out, "\\u00e9", 7);
            i++;
        }
        text_put(text, out);
    }
    text_put(text, "\"");
}

/* `count` tensors or pairs in random order, with random errors */
static unsigned char *random_header(size_t count, int pairs, int repeats, int faults, size_t *n) {
    growing text = {NULL, 0, 0};
    size_t *order = (size_t *)malloc((count + 1) * sizeof *order), i;
    unsigned char *file;
    if (order == NULL) exit(2);
    for (i = 0; i < count; i++) {
        const size_t k = random_below(i + 1);
        order[i] = order[k];
        order[k] = i;
    }
    text_put(&text, pairs ? "{\"__metadata__\":{" : "{");
    for (i = 0; i < count; i++) {
        const size_t wrong = (size_t)(faults && random_below(count / 2) == 0);
        char entry[120];
        if (i) text_put(&text, ",");
        put_name(&text, i && repeats && random_below(count) == 0 ? random_below(i) : i);
        snprintf(entry, sizeof entry, ":{\"x\":[],\"dtype\":\"U8\",\"shape\":[%u],\"data_offsets\":[%u,%u]}",
                 (unsigned)(1 + wrong), (unsigned)(order[i] + (wrong ? random_below(2) : 0)), (unsigned)(order[i] + 1));
        text_put(&text, pairs ? ":\"\"" : entry);
    }
    text_put(&text, pairs ? "}}" : "}");
    free(order);
    file = text_file(&text, pairs ? 0 : count, n);
    return file;
}

static void batches(void) {
    static const size_t counts[] = {1, 2, 5, 63, 64, 65, 100, 127, 128, 129, 200, 1024};
    size_t i, k, n, good = 0;
    for (i = 0; i < sizeof counts / sizeof *counts; i++) {
        for (k = 0; k < (counts[i] > 200 ? 8u : 80u); k++) {
            unsigned char *file = random_header(counts[i], k % 2 == 1, k % 8 >= 4, k % 4 >= 2, &n);
            st_error error, want;
            st_model *model;
            st_scan scan;
            const st_status status = st_open_memory(&model, file, n, NULL, &want);
            CHECK_STATUS(begin(&scan, file, n, n, &error), status);
            if (status != ST_OK) {
                CHECK(error.position == want.position && error.expected == want.expected &&
                      error.actual == want.actual);
                CHECK_STR(error.subject, want.subject);
            } else {
                good++;
                CHECK_EQ(count_tensors(&scan), model->count);
            }
            st_close(model);
            free(file);
        }
    }
    CHECK(good > 100);
}

int main(void) {
    limit_of_tensors();
    limit_of_metadata();
    limit_of_rank();
    walk();
    available_bytes();
    options();
    arguments();
    batches();
    order();
    return test_done("scan");
}
