/* Tests room 12, lookup by name: every name is found, and no other, for any number of names and for colliding names. */
#define ST_IMPLEMENTATION
#include "seed.h"

#include "../safetensors.h"

#include <time.h>

#include "large.h"

enum { MANY = 100000 };

static st_error error;

/* ---- names that hash to the same 64th of the table, as an attacker could choose them for a known seed ---- */

static sti_span span_of(const char *text, size_t n) {
    sti_span s;
    s.at = text;
    s.n = n;
    return s;
}

static uint64_t hash_of(const char *name, size_t n) {
    sti_name_table x;
    sti_table_seed(&x, 0);
    return sti_hash(&x, span_of(name, n));
}

/* writes the next name after *seed that hashes to that part of the table */
static size_t crowded_name(char name[24], uint64_t *seed) {
    size_t n;
    do {
        char digits[21];
        const char *text = test_digits((*seed)++, digits);
        n = strlen(text);
        memcpy(name, text, n + 1);
    } while (hash_of(name, n) >> 58 != 0);
    return n;
}

typedef struct crowd {
    char (*names)[24];
    size_t count;
} crowd;

static crowd crowd_of(size_t count) {
    crowd c;
    uint64_t seed = 1; /* numbers, so that some names are prefixes of others */
    size_t i;
    c.count = count;
    c.names = (char(*)[24])malloc(count * sizeof *c.names);
    if (c.names == NULL) exit(2);
    for (i = 0; i < count; i++) crowded_name(c.names[i], &seed);
    return c;
}

static unsigned char *crowd_file(const crowd *c, int reversed, size_t *n) {
    growing header = {NULL, 0, 0};
    size_t i;
    text_put(&header, "{");
    for (i = 0; i < c->count; i++) {
        text_entry(&header, c->names[i], strlen(c->names[i]), reversed ? c->count - 1 - i : i);
    }
    text_put(&header, "}");
    return text_file(&header, c->count, n);
}

static unsigned char *crowd_pairs_file(const crowd *c, size_t *n) {
    growing header = {NULL, 0, 0};
    size_t i;
    text_put(&header, "{\"__metadata__\":{");
    for (i = 0; i < c->count; i++) {
        text_put(&header, i > 0 ? ",\"" : "\"");
        text_put(&header, c->names[i]);
        text_put(&header, "\":\"");
        text_number(&header, i);
        text_put(&header, "\"");
    }
    text_put(&header, "}}");
    return text_file(&header, 0, n);
}

/* names sort by bytes, a prefix first */
static void order_of_names(void) {
    static const char *const sorted[] = {"", "\001", "a", "a\001", "aa", "ab", "b", "\177", "\302\200", "\377"};
    size_t i, j;
    for (i = 0; i < sizeof sorted / sizeof *sorted; i++) {
        for (j = 0; j < sizeof sorted / sizeof *sorted; j++) {
            int c = sti_compare_spans(sti_span_of(sorted[i]), sti_span_of(sorted[j]));
            CHECK(i < j ? c < 0 : i > j ? c > 0 : c == 0);
        }
    }
}

/* ---- every name is found ---- */

static void find_all(const st_model *m) {
    size_t i, wrong = 0;
    for (i = 0; i < m->count; i++) {
        const st_tensor *t = &m->tensors[i];
        char copy[32];
        wrong += st_find(m, t->name) != t;
        if (t->name_bytes + 2 < sizeof copy) { /* a longer name is not found; no name ends in x */
            memcpy(copy, t->name, t->name_bytes);
            copy[t->name_bytes] = 'x';
            wrong += st_find_n(m, copy, t->name_bytes + 1) != NULL;
            wrong += st_find_n(m, copy, t->name_bytes) != t;
        }
    }
    CHECK_EQ(wrong, 0);
}

static void find_pairs(const st_model *m) {
    size_t i, wrong = 0;
    for (i = 0; i < m->metadata_count; i++) {
        char digits[21];
        const st_pair *pair = st_find_metadata(m, m->metadata[i].key);
        wrong += pair != &m->metadata[i] || strcmp(pair->value, test_digits(i, digits)) != 0;
    }
    CHECK_EQ(wrong, 0);
}

static void counts(void) {
    static const size_t all[] = {0, 1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 100, 255, 256, 257, 1000, 4095, MANY};
    size_t i, n;
    for (i = 0; i < sizeof all / sizeof *all; i++) {
        unsigned char *file = many_tensors("layer.", all[i], i % 2 == 0, &n);
        st_model *m;
        if (CHECK_STATUS(st_open_memory(&m, file, n, NULL, &error), ST_OK)) {
            CHECK_EQ(m->count, all[i]);
            find_all(m);
            CHECK(st_find(m, "") == NULL && st_find(m, "layer.") == NULL && st_find(m, "layer.-1") == NULL);
            CHECK(st_find_metadata(m, "layer.0") == NULL && m->metadata == NULL);
            CHECK(st_find(m, NULL) == NULL && st_find_n(m, NULL, 0) == NULL && st_find_metadata(m, NULL) == NULL);
            st_close(m);
        }
        free(file);
        file = many_pairs("key.", all[i], &n);
        if (CHECK_STATUS(st_open_memory(&m, file, n, NULL, &error), ST_OK)) {
            CHECK_EQ(m->metadata_count, all[i]);
            CHECK(m->metadata != NULL);
            find_pairs(m);
            CHECK(st_find_metadata(m, "") == NULL && st_find_metadata(m, "key.x") == NULL &&
                  st_find(m, "key.0") == NULL);
            st_close(m);
        }
        free(file);
    }
    CHECK(st_find(NULL, "t") == NULL && st_find_n(NULL, "t", 1) == NULL && st_find_metadata(NULL, "t") == NULL);
}

/* names may contain NUL; the length distinguishes them */
static void names_with_nul(void) {
    static const char header[] =
        "{\"\":" E("U8", "[1]", "[0,1]") ",\"\\u0000\":" E("U8", "[1]", "[1,2]") ",\"\\u0000\\u0000\":" E(
            "U8", "[1]", "[2,3]") ",\"a\\u0000b\":" E("U8", "[1]", "[3,4]") ",\"a\":" E("U8", "[1]", "[4,5]") "}";
    size_t n;
    unsigned char *file = make_file(header, sizeof header - 1, "12345", 5, &n);
    st_model *m;
    if (CHECK_STATUS(st_open_memory(&m, file, n, NULL, &error), ST_OK)) {
        CHECK(st_find(m, "") == &m->tensors[0]);
        CHECK(st_find_n(m, "\0\0", 1) == &m->tensors[1]);
        CHECK(st_find_n(m, "\0\0", 2) == &m->tensors[2]);
        CHECK(st_find_n(m, "a\0b", 3) == &m->tensors[3]);
        CHECK(st_find(m, "a") == &m->tensors[4]);
        CHECK(st_find_n(m, "a\0c", 3) == NULL && st_find_n(m, "\0\0\0", 3) == NULL);
        st_close(m);
    }
    free(file);
}

/* ---- two names with the same home slot and the same hash bits in the slot ---- */

static int by_hash(const void *a, const void *b) {
    const uint32_t *x = (const uint32_t *)a, *y = (const uint32_t *)b;
    return x[0] != y[0] ? (x[0] < y[0] ? -1 : 1) : (x[1] > y[1]) - (x[1] < y[1]);
}

static void twins(void) {
    enum { TRIED = 400000 }; /* about twenty pairs of these collide */
    uint32_t(*all)[2] = (uint32_t(*)[2])malloc(TRIED * sizeof *all);
    growing header = {NULL, 0, 0};
    unsigned char *file;
    st_model *m;
    size_t i, n, count = 0;
    uint64_t hash;
    if (all == NULL) exit(2);
    for (i = 0; i < TRIED; i++) {
        char digits[21];
        const char *name = test_digits(i, digits);
        hash = hash_of(name, strlen(name));
        all[i][0] = (uint32_t)(hash >> 60 << 28) | (uint32_t)hash >> 4; /* 16th of the table, 28 bits in the slot */
        all[i][1] = (uint32_t)i;
    }
    qsort(all, TRIED, sizeof *all, by_hash);
    text_put(&header, "{");
    for (i = 1; i < TRIED; i++) {
        char digits[21];
        const char *name;
        if (all[i][0] != all[i - 1][0]) continue;
        name = test_digits(all[i - 1][1], digits);
        text_entry(&header, name, strlen(name), count++);
        name = test_digits(all[i][1], digits);
        text_entry(&header, name, strlen(name), count++);
    }
    text_put(&header, "}");
    CHECK(count > 0);
    file = text_file(&header, count, &n);
    if (CHECK_STATUS(st_open_memory(&m, file, n, NULL, &error), ST_OK)) {
        CHECK_EQ(m->count, count);
        find_all(m);
        st_close(m);
    }
    free(file);
    free(all);
}

/* ---- many collisions: at most the cost of sorting ------- */

static double seconds(clock_t from) {
    return (double)(clock() - from) / CLOCKS_PER_SEC;
}

static double open_and_find(const unsigned char *file, size_t n, int sorted) {
    clock_t from = clock();
    st_model *m;
    double took;
    if (!CHECK_STATUS(st_open_memory(&m, file, n, NULL, &error), ST_OK)) return 0;
    find_all(m);
    find_pairs(m);
    took = seconds(from);
    CHECK_EQ(((const sti_model *)(const void *)m)->names.sorted || ((const sti_model *)(const void *)m)->keys.sorted,
             sorted);
    st_close(m);
    return took;
}

static void crowds(void) {
    crowd c = crowd_of(MANY);
    unsigned char *plain, *crowded;
    size_t n, m;
    double usual, worst;
    plain = many_tensors("1", MANY, 0, &n);
    crowded = crowd_file(&c, 0, &m);
    usual = open_and_find(plain, n, 0);
    worst = open_and_find(crowded, m, 1);
    /* sorting takes about 10 times as long, a quadratic search would take 1000 times */
    CHECK(worst < usual * 100 + 2);
    free(plain), free(crowded);
    plain = many_pairs("1", MANY, &n);
    crowded = crowd_pairs_file(&c, &m);
    usual = open_and_find(plain, n, 0);
    worst = open_and_find(crowded, m, 1);
    CHECK(worst < usual * 100 + 2);
    free(plain), free(crowded);
    free(c.names);
}

/* a table that fell back to sorting is a hash table again when it is rebuilt with other names */
static void filled_anew(void) {
    enum { CROWDED = 600 };
    crowd c = crowd_of(CROWDED);
    st_pair *pairs = (st_pair *)calloc(CROWDED, sizeof *pairs);
    uint32_t slots[CROWDED * 2];
    sti_name_table x;
    size_t i;
    if (pairs == NULL) exit(2);
    for (i = 0; i < CROWDED; i++) {
        pairs[i].key = c.names[i];
        pairs[i].key_bytes = strlen(c.names[i]);
    }
    memset(&x, 0, sizeof x);
    x.pairs = pairs;
    x.slots = slots;
    x.count = CROWDED;
    CHECK(sti_table_capacity(CROWDED) <= sizeof slots / sizeof *slots);
    CHECK(sti_table_build(&x, NULL) == STI_ABSENT && x.sorted);
    for (i = 0; i < CROWDED; i++) CHECK_EQ(sti_table_find(&x, sti_span_of(c.names[i])), i);
    x.count = 20;
    CHECK(sti_table_build(&x, NULL) == STI_ABSENT && !x.sorted);
    for (i = 0; i < 30; i++) CHECK_EQ(sti_table_find(&x, sti_span_of(c.names[i])), i < 20 ? i : STI_ABSENT);
    free(pairs);
    free(c.names);
}

/* ---- the comparison and the limit of a search, by themselves ---- */

/* One differing byte anywhere makes two names differ. Tests through the table cannot show this: different names rarely
 * have the same bits of the hash. */
static void same_names(void) {
    char a[72], b[72];
    size_t n, i;
    for (i = 0; i < sizeof a; i++) a[i] = b[i] = (char)('!' + i);
    for (n = 0; n < sizeof a; n++) {
        CHECK(sti_same_name(span_of(a, n), span_of(b, n)));
        CHECK(!sti_same_name(span_of(a, n), span_of(b, n + 1)) && !sti_same_name(span_of(a, n + 1), span_of(b, n)));
        for (i = 0; i < n; i++) {
            b[i] = (char)(b[i] ^ 1);
            CHECK(!sti_same_name(span_of(a, n), span_of(b, n)));
            b[i] = (char)(b[i] ^ 1);
        }
    }
}

/* As many names with one home slot as a search may visit are found without sorting; with one more they are sorted. */
static void longest_search(void) {
    enum { COUNT = 1000 };
    static char names[COUNT][24];
    static st_pair pairs[COUNT];
    static uint32_t slots[COUNT * 2];
    sti_name_table x;
    uint32_t i, limit = 0, turn;
    memset(&x, 0, sizeof x);
    x.pairs = pairs;
    x.slots = slots;
    x.count = COUNT;
    CHECK(sti_table_capacity(COUNT) <= sizeof slots / sizeof *slots);
    for (turn = 0; turn < 3; turn++) { /* the first tells the limit */
        const uint32_t crowded = turn == 0 ? 0 : limit + turn - 1;
        uint64_t seed = 1;
        for (i = 0; i < COUNT; i++) {
            uint32_t home;
            do {
                char digits[21];
                const char *text = test_digits(seed++, digits);
                pairs[i].key_bytes = strlen(text);
                memcpy(names[i], text, pairs[i].key_bytes + 1);
                home = x.capacity == 0 ? 0 : sti_table_home(&x, hash_of(text, pairs[i].key_bytes));
            } while (turn > 0 && (i < crowded ? home != 0 : home < limit || home >= x.capacity - 100));
            pairs[i].key = names[i];
        }
        CHECK(sti_table_build(&x, NULL) == STI_ABSENT);
        CHECK_EQ(x.sorted, turn == 2);
        for (i = 0; i < COUNT; i++) CHECK_EQ(sti_table_find(&x, sti_span_of(names[i])), i);
        limit = x.probe_limit;
        CHECK(limit > 32 && limit < x.capacity / 3);
    }
}

/* ---- duplicate names: compared with a quadratic search --------------- */

static uint64_t draw_state = 1;
static uint32_t draw_below(uint32_t n) {
    draw_state = (draw_state * 1103515245u + 12345u) & 0x7fffffffu; /* fits 64 bits, so no overflow */
    return (uint32_t)((draw_state >> 8) * n >> 23);
}

/* repeats a few names many times, with offsets in another order than the header; pairs: as metadata keys */
static void repeats_of(const crowd *c, size_t count, uint32_t distinct, int pairs) {
    growing header = {NULL, 0, 0};
    uint64_t *quotes = (uint64_t *)malloc(count * sizeof *quotes), want = UINT64_MAX;
    uint32_t *which = (uint32_t *)malloc(count * sizeof *which);
    unsigned char *file;
    st_model *m;
    st_status status;
    size_t i, j, n;
    const size_t turn = count > 1 ? 1 + draw_below((uint32_t)count - 1) : 0;
    if (quotes == NULL || which == NULL) exit(2);
    text_put(&header, pairs ? "{\"__metadata__\":{" : "{");
    for (i = 0; i < count; i++) {
        const char *name;
        which[i] = draw_below(distinct);
        name = c->names[which[i]];
        quotes[i] = 8 + header.n + (i > 0);
        if (pairs) {
            text_put(&header, i > 0 ? ",\"" : "\"");
            text_put(&header, name);
            text_put(&header, "\":\"\"");
        } else {
            text_entry(&header, name, strlen(name), (i + turn) % count);
        }
        for (j = 0; j < i && want == UINT64_MAX; j++) {
            if (which[j] == which[i]) want = quotes[i];
        }
    }
    text_put(&header, pairs ? "}}" : "}");
    file = text_file(&header, pairs ? 0 : count, &n);
    status = st_open_memory(&m, file, n, NULL, &error);
    CHECK_STATUS(status, want == UINT64_MAX ? ST_OK : ST_ERR_DUPLICATE);
    if (status == ST_ERR_DUPLICATE) CHECK_EQ(error.position, want);
    st_close(m);
    free(file), free(quotes), free(which);
}

static void repeats(void) {
    crowd c = crowd_of(20000);
    size_t i;
    for (i = 0; i < 400; i++) {
        const size_t few = 1 + draw_below(12), crowded = 300 + draw_below(300); /* the crowded names cause sorting */
        const uint32_t distinct = 1 + draw_below(60);
        repeats_of(&c, few, distinct, (int)(i % 2));
        repeats_of(&c, crowded, 20000, (int)(i % 2));
    }
    free(c.names);
}

static void shapes(void) {
    static const uint64_t stored[3] = {4, 0, 7}, any[3] = {UINT64_MAX, 0, UINT64_MAX};
    uint64_t shape[3];
    st_tensor t = st_tensor_of("t", ST_DTYPE_F32, 3, stored, NULL);
    uint32_t d;
    CHECK_EQ(st_has_shape(&t, 3, stored), 1);
    CHECK_EQ(st_has_shape(&t, 3, any), 1);
    CHECK_EQ(st_has_shape(&t, 2, stored), 0);
    CHECK_EQ(st_has_shape(&t, 4, stored), 0);
    CHECK_EQ(st_has_shape(&t, 3, NULL), 0);
    CHECK_EQ(st_has_shape(NULL, 3, stored), 0);
    for (d = 0; d < 3; d++) {
        memcpy(shape, stored, sizeof shape);
        shape[d]++;
        CHECK_EQ(st_has_shape(&t, 3, shape), 0);
    }
    t = st_tensor_of("scalar", ST_DTYPE_F32, 0, NULL, NULL);
    CHECK_EQ(st_has_shape(&t, 0, NULL), 1);
    CHECK_EQ(st_has_shape(&t, 1, stored), 0);
}

int main(void) {
    fixed_seed = 1;
    order_of_names();
    counts();
    names_with_nul();
    twins();
    crowds();
    filled_anew();
    same_names();
    longest_search();
    repeats();
    shapes();
    return test_done("lookup");
}
