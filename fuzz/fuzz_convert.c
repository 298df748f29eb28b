/* fuzz_convert.c: compares the conversion kernels with slow_numbers.h element by element, at any alignment.
 * Input: four option bytes (target dtype, source dtype, first element and byte order, alignment of dst), then the
 * source. All elements that fit in the source are converted. */
#define ST_IMPLEMENTATION
#include "fuzz.h"

#include "slow_numbers.h"

#define OPTION_BYTES 4
#define MOST_ELEMENTS 400

/* returns bits [at, at + n) of a byte string, least significant bit first */
static uint64_t bits_at(const uint8_t *bytes, size_t at, unsigned n) {
    uint64_t value = 0;
    unsigned i;
    for (i = 0; i < n; i++) value |= (uint64_t)(bytes[(at + i) / 8] >> (at + i) % 8 & 1) << i;
    return value;
}

/* returns element i, of at least 8 bits, stored in this machine's byte order */
static uint64_t element(const uint8_t *bytes, unsigned bits, size_t i) {
    const uint16_t one = 1;
    uint8_t low_first[8], low;
    const size_t n = bits / 8;
    size_t k;
    memcpy(&low, &one, 1);
    for (k = 0; k < n; k++) low_first[k] = bytes[i * n + (low ? k : n - 1 - k)];
    return bits_at(low_first, 0, bits);
}

typedef struct job {
    int to, from;
    const uint8_t *src; /* exactly the elements' bytes, at any alignment */
    size_t first, n;
    unsigned how; /* flags of sti_convert */
} job;

static void check_result(const job *j, const uint8_t *dst) {
    const unsigned in = slow_formats[j->from].bits, out = slow_formats[j->to].bits;
    const uint64_t mask = UINT64_MAX >> (64 - out);
    size_t i;
    for (i = 0; i < j->n; i++) {
        const int low_first = in < 8 || (j->how & STI_FROM_FILE);
        const uint64_t code = low_first ? bits_at(j->src, (j->first + i) * in, in) : element(j->src, in, j->first + i);
        CHECK(element(dst, out, i) == (slow_encode(j->to, slow_decode(j->from, code)) & mask));
    }
}

/* a dtype converted to itself is copied, in this machine's byte order */
static void check_copy(const job *j, const uint8_t *dst) {
    const unsigned bits = slow_formats[j->to].bits, part = j->to == ST_DTYPE_C64 ? 32 : bits;
    const size_t parts = j->n * (bits / part);
    size_t i;
    if (!(j->how & STI_FROM_FILE) || bits <= 8) {
        CHECK(memcmp(dst, j->src + j->first * bits / 8, j->n * bits / 8) == 0);
        return;
    }
    for (i = 0; i < parts; i++) {
        CHECK(element(dst, part, i) == bits_at(j->src, (j->first * (bits / part) + i) * part, part));
    }
}

static void check(const job *j, unsigned place) {
    const size_t bytes = j->n * (unsigned)slow_formats[j->to].bits / 8, room = place + bytes;
    uint8_t *block = (uint8_t *)malloc(room + 1), *dst = block + place;
    size_t i;
    CHECK(block != NULL);
    memset(block, 0x55, room + 1);
    if (j->first == 0 && j->how == 0) {
        CHECK(st_convert((st_dtype)j->to, dst, (st_dtype)j->from, j->src, j->n) == ST_OK);
    } else {
        sti_convert((st_dtype)j->to, dst, (st_dtype)j->from, j->src, j->first, j->n, j->how);
    }
    for (i = 0; i < place; i++) CHECK(block[i] == 0x55);
    CHECK(block[room] == 0x55);
    if (j->to == j->from) {
        check_copy(j, dst);
    } else {
        check_result(j, dst);
    }
    free(block);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    job j;
    unsigned bits, group;
    uint8_t *block;
    size_t most, place;
    if (size < OPTION_BYTES) return 0;
    j.to = data[0] % (SLOW_DTYPES + 1);
    j.from = data[1] % (SLOW_DTYPES + 1);
    j.first = data[2] % 16;
    j.how = data[2] >> 6; /* STI_FROM_FILE, STI_TO_STREAM */
    place = data[3] / 4 % 3;
    size -= OPTION_BYTES;
    block = (uint8_t *)malloc(place + size + 1);
    CHECK(block != NULL);
    memcpy(block + place, data + OPTION_BYTES, size);
    j.src = block + place;
    if (j.to == 0 || j.to == SLOW_DTYPES || j.from == 0 || j.from == SLOW_DTYPES) {
        CHECK(st_convert((st_dtype)j.to, block, (st_dtype)j.from, j.src, size) == ST_ERR_ARGUMENT);
        free(block);
        return 0;
    }
    bits = (unsigned)slow_formats[j.from].bits;
    CHECK(st_dtype_bits((st_dtype)j.from) == bits);
    if (j.to != j.from && !slow_pair(j.to, j.from)) {
        CHECK(st_convert((st_dtype)j.to, block, (st_dtype)j.from, j.src, size) == ST_ERR_UNSUPPORTED);
        free(block);
        return 0;
    }
    CHECK(sti_is_convertible((st_dtype)j.to, (st_dtype)j.from));
    group = bits == 4 ? 2 : bits == 6 ? 4 : 1; /* elements that start and end on byte boundaries */
    most = size * 8 / bits;
    if (most > MOST_ELEMENTS) most = MOST_ELEMENTS;
    if (most % group != 0) CHECK(st_convert((st_dtype)j.to, block, (st_dtype)j.from, j.src, most) == ST_ERR_SUBBYTE);
    if (j.first > most) j.first = 0;
    if (j.to == j.from || (j.first == 0 && j.how == 0)) { /* whole bytes only */
        j.first -= j.first % group;
        most -= most % group;
    }
    j.n = most - j.first;
    /* copy only the bytes that contain these elements, so that sanitizers detect reads past them */
    memmove(block, j.src, (most * bits + 7) / 8);
    {
        uint8_t *exact = (uint8_t *)malloc(place + (most * bits + 7) / 8 + (place == 0));
        CHECK(exact != NULL);
        memcpy(exact + place, block, (most * bits + 7) / 8);
        j.src = exact + place;
        check(&j, data[3] % 64);
        free(exact);
    }
    free(block);
    return 0;
}
