/* fuzz_index.c: compares opening an index, or a set of shards without one, with a slow reader written from the rules:
 * both accept the same and give the same status, and the library never opens a path outside the index's directory.
 * Input: three option bytes, then the index. The directory holds some or all of a fixed set of shards. */
#include "fuzz.h"

#define OPTION_BYTES 3
#define PACK "pack/of models"
#define INDEX_NAME "model.safetensors.index.json"
#define INDEX_PATH PACK "/" INDEX_NAME

/* option byte 0; byte 1 is the knob: which call fails, sizes; byte 2: which shards exist, one bit each */
enum {
    PARTIAL = 1,
    NO_MAP = 2,
    SMALL_LIMIT = 4,
    MAPPED = 8,
    DIRECTORY = 16,
    ALL_THERE = 32,
    INDEX_DECIDES = 64,
    NO_INDEX = 128 /* of the directory, whose shards are called as in a set */
};

/* ---- the shards ------------------------------------------------------------------------------------------ */

#define U8(name, from, to) "\"" name "\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[" from "," to "]}"
#define SHARD(header, bytes) header, sizeof header - 1, bytes

typedef struct shard {
    const char *name, *header;
    size_t header_bytes;
    const char *data;
    st_status status; /* of opening the file by itself */
    const char *tensors[3];
} shard;

static const shard shards[] = {
    {"a.safetensors", SHARD("{" U8("a", "0", "1") "," U8("w", "1", "2") "}", "aw"), ST_OK, {"a", "w", NULL}},
    {"b.safetensors",
     SHARD("{\"__metadata__\":{\"x\":\"a\"}," U8("\\u00e9", "1", "2") "," U8("b", "0", "1") "}", "b\351"),
     ST_OK,
     {"b", "\303\251", NULL}},
    {"sub/c.safetensors", SHARD("{" U8("c", "0", "1") "}", "c"), ST_OK, {"c", NULL, NULL}},
    {"d.safetensors", SHARD("{" U8("d", "0", "1") "," U8("a", "1", "2") "}", "da"), ST_OK, {"d", "a", NULL}},
    {"empty.safetensors", SHARD("{}  ", ""), ST_OK, {NULL, NULL, NULL}},
    {"bad.safetensors", SHARD("{" U8("e", "0", "2") "}", "ee"), ST_ERR_SIZE, {NULL, NULL, NULL}},
    {"json.safetensors", SHARD("{\"e\":1}", ""), ST_ERR_SCHEMA, {NULL, NULL, NULL}},
    {"z.safetensors", SHARD("{" U8("", "0", "1") "}", "z"), ST_OK, {"", NULL, NULL}},
};
enum { SHARDS = sizeof shards / sizeof *shards, SHARD_ROOM = 512 };

static const char *set_name(int which) {
    static char name[40];
    snprintf(name, sizeof name, "m-%05d-of-%05d.safetensors", which + 1, (int)SHARDS);
    return name;
}

static size_t shard_file(const shard *s, uint8_t *out) {
    const size_t data = strlen(s->data);
    size_t i;
    for (i = 0; i < 8; i++) out[i] = (uint8_t)((uint64_t)s->header_bytes >> (8 * i) & 255);
    memcpy(out + 8, s->header, s->header_bytes);
    memcpy(out + 8 + s->header_bytes, s->data, data);
    CHECK(8 + s->header_bytes + data <= SHARD_ROOM);
    return 8 + s->header_bytes + data;
}

/* ---- the path policy, reimplemented ------------------------------------------------------------------------- */

static int is_device(const char *name, size_t n) {
    static const char *const words[] = {"con",  "prn",  "aux",  "nul",  "conin$", "conout$", "clock$", "com0", "com1",
                                        "com2", "com3", "com4", "com5", "com6",   "com7",    "com8",   "com9", "lpt0",
                                        "lpt1", "lpt2", "lpt3", "lpt4", "lpt5",   "lpt6",    "lpt7",   "lpt8", "lpt9"};
    static const char *const raised[] = {"\302\271", "\302\262", "\302\263"};
    char lower[8];
    size_t i, k = 0;
    for (i = 0; i < n && name[i] != '.'; i++) {}
    n = i;
    while (n > 0 && name[n - 1] == ' ') n--;
    if (n >= sizeof lower) return 0;
    for (i = 0; i < n; i++) lower[k++] = name[i] >= 'A' && name[i] <= 'Z' ? (char)(name[i] + 32) : name[i];
    lower[k] = 0;
    if (strlen(lower) != n) return 0;
    for (i = 0; i < sizeof words / sizeof *words; i++) {
        if (strcmp(lower, words[i]) == 0) return 1;
    }
    for (i = 0; i < 3; i++) {
        if ((strncmp(lower, "com", 3) == 0 || strncmp(lower, "lpt", 3) == 0) && strcmp(lower + 3, raised[i]) == 0)
            return 1;
    }
    return 0;
}

static int is_safe(const char *path, size_t n) {
    static const char end[] = ".safetensors";
    size_t from = 0, i;
    if (n < sizeof end - 1 || memcmp(path + n - (sizeof end - 1), end, sizeof end - 1) != 0) return 0;
    for (i = 0; i <= n; i++) {
        if (i < n && path[i] != '/') {
            const unsigned char c = (unsigned char)path[i];
            if (c < 0x20 || c == 0x7f || strchr("\\:<>\"|?*", c) != NULL) return 0;
            if (c == 0xc2 && i + 1 < n && (unsigned char)path[i + 1] < 0xa0) return 0;
            continue;
        }
        if (i == from || i - from > 255 || is_device(path + from, i - from)) return 0;
        if (strchr(". ", path[from]) != NULL || strchr(". ", path[i - 1]) != NULL) return 0;
        from = i + 1;
    }
    return 1;
}

/* ---- a slow recursive JSON reader, written from RFC 8259 and the format's rules ----------------------------- */

typedef struct text {
    char *at;
    size_t n;
} text;

typedef struct member {
    text key, value; /* value: a string in weight_map, JSON text in metadata */
    size_t key_place, value_place;
} member;

typedef struct members {
    member *all;
    size_t count;
} members;

typedef struct reader {
    const uint8_t *s;
    size_t n, at;
    st_status status;
    int unsure; /* contains a number whose acceptance is unspecified */
    members weights, metadata;
    int has_weights, has_metadata;
    size_t place; /* position of a duplicate or of a bad path */
} reader;

static int refuse(reader *r, st_status status) {
    if (r->status == ST_OK) r->status = status;
    return 0;
}

static int peek(const reader *r) {
    return r->at < r->n ? r->s[r->at] : -1;
}

static int past_blanks(reader *r) {
    while (r->at < r->n && strchr(" \t\r\n", r->s[r->at]) != NULL && r->s[r->at] != 0) r->at++;
    return peek(r);
}

static int take(reader *r, int c) {
    if (past_blanks(r) != c) return refuse(r, ST_ERR_JSON);
    r->at++;
    return 1;
}

static int hex4(reader *r, unsigned *code) {
    int i;
    for (i = 0, *code = 0; i < 4; i++, r->at++) {
        static const char digits[] = "0123456789abcdef0123456789ABCDEF";
        const int c = peek(r);
        const char *d = c > 0 ? strchr(digits, c) : NULL;
        if (d == NULL) return refuse(r, ST_ERR_JSON);
        *code = *code * 16 + (unsigned)(d - digits) % 16;
    }
    return 1;
}

static void put_code(text *t, unsigned long c) {
    char *at = t->at + t->n;
    if (c < 0x80) {
        at[0] = (char)c, t->n += 1;
    } else if (c < 0x800) {
        at[0] = (char)(0xc0 | c >> 6), at[1] = (char)(0x80 | (c & 63)), t->n += 2;
    } else if (c < 0x10000) {
        at[0] = (char)(0xe0 | c >> 12), at[1] = (char)(0x80 | (c >> 6 & 63)), at[2] = (char)(0x80 | (c & 63)),
        t->n += 3;
    } else {
        at[0] = (char)(0xf0 | c >> 18), at[1] = (char)(0x80 | (c >> 12 & 63)), at[2] = (char)(0x80 | (c >> 6 & 63));
        at[3] = (char)(0x80 | (c & 63)), t->n += 4;
    }
}

static int escape(reader *r, text *t) {
    static const char letters[] = "\"\\/bfnrt", means[] = "\"\\/\b\f\n\r\t";
    const int c = peek(r);
    const char *l = c > 0 ? strchr(letters, c) : NULL;
    unsigned high, low;
    if (l != NULL) {
        put_code(t, (unsigned char)means[l - letters]);
        r->at++;
        return 1;
    }
    if (c != 'u') return refuse(r, ST_ERR_JSON);
    r->at++;
    if (!hex4(r, &high)) return 0;
    if (high >= 0xdc00 && high < 0xe000) return refuse(r, ST_ERR_JSON);
    if (high < 0xd800 || high >= 0xe000) {
        put_code(t, high);
        return 1;
    }
    if (peek(r) != '\\') return refuse(r, ST_ERR_JSON);
    r->at++;
    if (peek(r) != 'u') return refuse(r, ST_ERR_JSON);
    r->at++;
    if (!hex4(r, &low) || low < 0xdc00 || low >= 0xe000) return refuse(r, ST_ERR_JSON);
    put_code(t, 0x10000ul + ((unsigned long)(high - 0xd800) << 10) + (low - 0xdc00));
    return 1;
}

/* reads a string into a heap block of its own */
static int string(reader *r, text *t) {
    t->at = (char *)malloc(r->n - r->at + 4);
    t->n = 0;
    CHECK(t->at != NULL);
    if (!take(r, '"')) return 0;
    for (;;) {
        const int c = peek(r);
        if (c < 0x20) return refuse(r, ST_ERR_JSON);
        r->at++;
        if (c == '"') return 1;
        if (c != '\\') {
            t->at[t->n++] = (char)c;
        } else if (!escape(r, t)) {
            return 0;
        }
    }
}

static int digits(reader *r) {
    const size_t from = r->at;
    while (peek(r) >= '0' && peek(r) <= '9') r->at++;
    return r->at > from || refuse(r, ST_ERR_JSON);
}

static int number(reader *r) {
    const size_t from = r->at;
    char copy[400];
    double value;
    if (peek(r) == '-') r->at++;
    if (peek(r) == '0') {
        r->at++;
        if (peek(r) >= '0' && peek(r) <= '9') return refuse(r, ST_ERR_JSON);
    } else if (!digits(r)) {
        return 0;
    }
    if (peek(r) == '.') {
        r->at++;
        if (!digits(r)) return 0;
    }
    if (peek(r) == 'e' || peek(r) == 'E') {
        r->at++;
        if (peek(r) == '+' || peek(r) == '-') r->at++;
        if (!digits(r)) return 0;
    }
    if (r->at - from >= 300) {
        r->unsure = 1;
        return 1;
    }
    memcpy(copy, r->s + from, r->at - from);
    copy[r->at - from] = 0;
    value = strtod(copy[0] == '-' ? copy + 1 : copy, NULL);
    if (value >= 0.99e308) r->unsure = 1; /* numbers up to 1e308 are accepted, numbers from 1e309 are rejected */
    return 1;
}

static int word(reader *r, const char *w) {
    for (; *w; w++, r->at++) {
        if (peek(r) != *w) return refuse(r, ST_ERR_JSON);
    }
    return 1;
}

static int value(reader *r, int depth); /* `depth` containers are open; 127 is the limit */

static int object(reader *r, int depth, int (*each)(reader *r, int depth, text *key, size_t key_place)) {
    if (depth >= 127) return refuse(r, ST_ERR_JSON);
    r->at++;
    if (past_blanks(r) == '}') {
        r->at++;
        return 1;
    }
    for (;;) {
        text key;
        size_t place;
        int good;
        (void)past_blanks(r);
        place = r->at;
        good = string(r, &key) && each(r, depth + 1, &key, place);
        free(key.at);
        if (!good) return 0;
        if (past_blanks(r) == '}') {
            r->at++;
            return 1;
        }
        if (!take(r, ',')) return 0;
    }
}

static int ignored(reader *r, int depth, text *key, size_t place) {
    (void)key, (void)place;
    return take(r, ':') && value(r, depth);
}

static int array(reader *r, int depth) {
    if (depth >= 127) return refuse(r, ST_ERR_JSON);
    r->at++;
    if (past_blanks(r) == ']') {
        r->at++;
        return 1;
    }
    for (;;) {
        if (!value(r, depth + 1)) return 0;
        if (past_blanks(r) == ']') {
            r->at++;
            return 1;
        }
        if (!take(r, ',')) return 0;
    }
}

static int value(reader *r, int depth) {
    const int c = past_blanks(r);
    text t;
    int good;
    switch (c) {
    case '{': return object(r, depth, ignored);
    case '[': return array(r, depth);
    case 't': return word(r, "true");
    case 'f': return word(r, "false");
    case 'n': return word(r, "null");
    case '"':
        good = string(r, &t);
        free(t.at);
        return good;
    default: return c == '-' || (c >= '0' && c <= '9') ? number(r) : refuse(r, ST_ERR_JSON);
    }
}

/* fails: the value has the wrong type, or is not JSON */
static int other(reader *r) {
    const int c = past_blanks(r);
    return refuse(r, c > 0 && strchr("{[\"-0123456789tfn", c) != NULL ? ST_ERR_SCHEMA : ST_ERR_JSON);
}

static text copy_of(const void *bytes, size_t n) {
    text t;
    t.at = (char *)fuzz_copy(bytes, n);
    t.n = n;
    return t;
}

static void add(members *m, const text *key, text value, size_t key_place, size_t value_place) {
    member *one;
    m->all = (member *)realloc(m->all, (m->count + 1) * sizeof *m->all);
    CHECK(m->all != NULL);
    one = &m->all[m->count++];
    one->key = copy_of(key->at, key->n);
    one->value = value;
    one->key_place = key_place;
    one->value_place = value_place;
}

static int weight(reader *r, int depth, text *key, size_t place) {
    text path;
    (void)depth;
    if (!take(r, ':')) return 0;
    if (past_blanks(r) != '"') return other(r);
    {
        const size_t at = r->at;
        if (!string(r, &path)) {
            free(path.at);
            return 0;
        }
        add(&r->weights, key, path, place, at);
        r->place = at;
        if (!is_safe(path.at, path.n)) return refuse(r, ST_ERR_PATH);
    }
    return 1;
}

static int metadatum(reader *r, int depth, text *key, size_t place) {
    size_t from;
    if (!take(r, ':')) return 0;
    (void)past_blanks(r);
    from = r->at;
    if (!value(r, depth)) return 0;
    add(&r->metadata, key, copy_of(r->s + from, r->at - from), place, from);
    return 1;
}

static int is(const text *t, const char *word_) {
    return t->n == strlen(word_) && memcmp(t->at, word_, t->n) == 0;
}

static int root(reader *r, int depth, text *key, size_t place) {
    const int map = is(key, "weight_map"), metadata = is(key, "metadata");
    if ((map && r->has_weights) || (metadata && r->has_metadata)) {
        r->place = place;
        return refuse(r, ST_ERR_DUPLICATE);
    }
    r->has_weights |= map;
    if (metadata) r->has_metadata = 1;
    if (!take(r, ':')) return 0;
    if (!map && !metadata) return value(r, depth);
    if (metadata && past_blanks(r) == 'n') {
        r->has_metadata = 2; /* null */
        return value(r, depth);
    }
    if (past_blanks(r) != '{') return other(r);
    return object(r, depth, map ? weight : metadatum);
}

static int same(const text *a, const text *b) {
    return a->n == b->n && memcmp(a->at, b->at, a->n) == 0;
}

/* finds the first duplicate; returns 0 if there is none */
static int repeats(reader *r, const members *m) {
    size_t i, k;
    for (i = 0; i < m->count; i++) {
        for (k = 0; k < i; k++) {
            if (!same(&m->all[i].key, &m->all[k].key)) continue;
            r->place = m->all[i].key_place;
            return 1;
        }
    }
    return 0;
}

/* ---- the expected result ------------------------------------------------------------------------------------- */

typedef struct input {
    reader r;
    const uint8_t *index; /* in a heap block of exactly n bytes */
    size_t n;
    unsigned options, knob, there;
    uint64_t limit;
    int order[SHARDS]; /* existing shards that the index lists, sorted by name */
    size_t order_count;
    text subject; /* of the error, if known */
} input;

static int known_shard(const text *path) {
    int i;
    for (i = 0; i < SHARDS; i++) {
        if (is(path, shards[i].name)) return i;
    }
    return -1;
}

static int is_there(const input *in, int which) {
    return which >= 0 && (in->there >> which & 1) != 0;
}

static int by_bytes(const void *a, const void *b) {
    const text *s = *(const text *const *)a, *t = *(const text *const *)b;
    const int c = memcmp(s->at, t->at, s->n < t->n ? s->n : t->n);
    return c != 0 ? c : s->n < t->n ? -1 : s->n > t->n;
}

static int has_tensor(int which, const text *name) {
    size_t i;
    for (i = 0; i < 3 && shards[which].tensors[i] != NULL; i++) {
        if (is(name, shards[which].tensors[i])) return 1;
    }
    return 0;
}

/* returns the shard to which the index assigns a tensor, -1 if it assigns it to a file that does not exist, or -2 */
static int assigned(const input *in, const char *name) {
    const members *w = &in->r.weights;
    size_t i;
    for (i = 0; i < w->count && !is(&w->all[i].key, name); i++) {}
    return i < w->count ? known_shard(&w->all[i].value) : -2;
}

/* whether the shard's copy of a tensor is dropped: the index names another shard, which holds one too, or is missing */
static int is_dropped(const input *in, int which, const char *name) {
    const int shard = assigned(in, name);
    text key;
    key.at = (char *)(uintptr_t)name;
    key.n = strlen(name);
    return (in->options & INDEX_DECIDES) && !(in->options & NO_INDEX) && shard != -2 && shard != which &&
           (!is_there(in, shard) || has_tensor(shard, &key));
}

static int is_held(const input *in, const text *name) {
    size_t i;
    for (i = 0; i < in->order_count; i++) {
        if (has_tensor(in->order[i], name)) return 1;
    }
    return 0;
}

/* the same for the shards of a set */
static st_status expect_set(input *in) {
    st_status status = ST_OK;
    int which;
    if ((in->there & ((1u << SHARDS) - 1)) == 0) return ST_ERR_NOT_FOUND;
    for (which = 0; which < SHARDS && status == ST_OK; which++) {
        if (!is_there(in, which)) {
            if (!(in->options & PARTIAL)) status = ST_ERR_SHARD;
        } else if (shards[which].header_bytes > in->limit) {
            status = ST_ERR_HEADER_LIMIT;
        } else {
            status = shards[which].status;
            in->order[in->order_count++] = which;
        }
    }
    return status;
}

/* checks in order of name that each shard exists and is valid */
static st_status expect_shards(input *in) {
    const members *w = &in->r.weights;
    const text **sorted = (const text **)malloc((w->count + 1) * sizeof *sorted);
    st_status status = ST_OK;
    size_t i;
    CHECK(sorted != NULL);
    for (i = 0; i < w->count; i++) sorted[i] = &w->all[i].value;
    qsort(sorted, w->count, sizeof *sorted, by_bytes);
    for (i = 0; i < w->count && status == ST_OK; i++) {
        const int which = known_shard(sorted[i]);
        if (i > 0 && same(sorted[i - 1], sorted[i])) continue;
        if (!is_there(in, which)) {
            if (in->options & PARTIAL) continue;
            in->subject = *sorted[i];
            status = ST_ERR_SHARD;
        } else if (shards[which].header_bytes > in->limit) {
            status = ST_ERR_HEADER_LIMIT;
        } else {
            status = shards[which].status;
            in->order[in->order_count++] = which;
        }
    }
    free((void *)(uintptr_t)sorted);
    return status;
}

/* checks that no tensor is in two shards, and that each shard holds the tensors that the index assigns to it */
static st_status expect_agreement(input *in) {
    const members *w = &in->r.weights;
    size_t i, k, a, b;
    for (i = 0; i < in->order_count; i++) {
        for (k = 0; k < i; k++) {
            for (a = 0; a < 3 && shards[in->order[i]].tensors[a] != NULL; a++) {
                for (b = 0; b < 3 && shards[in->order[k]].tensors[b] != NULL; b++) {
                    if (strcmp(shards[in->order[i]].tensors[a], shards[in->order[k]].tensors[b]) != 0) continue;
                    if (!is_dropped(in, in->order[i], shards[in->order[i]].tensors[a]) &&
                        !is_dropped(in, in->order[k], shards[in->order[k]].tensors[b]))
                        return ST_ERR_SHARD;
                }
            }
        }
    }
    for (i = 0; i < w->count; i++) {
        const int which = known_shard(&w->all[i].value);
        if (!is_there(in, which) || has_tensor(which, &w->all[i].key)) continue;
        if ((in->options & PARTIAL) && !is_held(in, &w->all[i].key)) continue;
        in->subject = w->all[i].key;
        return ST_ERR_SHARD;
    }
    return ST_OK;
}

/* returns the status that the rules require */
static st_status expect(input *in) {
    reader *r = &in->r;
    st_status status;
    if (in->options & NO_INDEX) {
        status = expect_set(in);
        return status == ST_OK ? expect_agreement(in) : status;
    }
    if (in->n > in->limit) return ST_ERR_HEADER_LIMIT;
    r->s = in->index;
    r->n = in->n;
    if (!fuzz_is_utf8((const char *)in->index, in->n)) return ST_ERR_UTF8;
    if (past_blanks(r) != '{') {
        (void)other(r);
        return r->status;
    }
    if (!object(r, 0, root)) return r->status;
    if (past_blanks(r) >= 0) return ST_ERR_JSON;
    if (r->weights.count == 0) return ST_ERR_SCHEMA;
    if (repeats(r, &r->metadata) || repeats(r, &r->weights)) return ST_ERR_DUPLICATE;
    status = expect_shards(in);
    return status == ST_OK ? expect_agreement(in) : status;
}

/* ---- the files that the library sees ------------------------------------------------------------------------- */

typedef struct disk {
    const input *in;
    unsigned calls, fail_at;
    int code, open;
} disk;

typedef struct handle {
    disk *d;
    uint8_t *bytes; /* in a heap block of exactly n bytes */
    size_t n;
} handle;

static int disk_read(void *user, uint64_t offset, void *dst, size_t bytes) {
    handle *h = (handle *)user;
    CHECK(bytes > 0 && offset <= h->n && bytes <= h->n - offset);
    if (++h->d->calls == h->d->fail_at) return h->d->code;
    memcpy(dst, h->bytes + offset, bytes);
    return 0;
}

/* fails unless the path is the directory, the index, or a shard that the index lists and the path policy allows */
static void check_path(const input *in, const char *path) {
    const char *inside = path + strlen(PACK) + 1;
    size_t i;
    if (strcmp(path, PACK) == 0) {
        CHECK(in->options & DIRECTORY);
        return;
    }
    CHECK(strncmp(path, PACK "/", strlen(PACK) + 1) == 0);
    if (in->options & NO_INDEX) {
        int which;
        for (which = 0; which < SHARDS; which++) {
            if (strcmp(inside, set_name(which)) == 0) return;
        }
    }
    if (strcmp(inside, INDEX_NAME) == 0 && !(in->options & NO_INDEX)) return;
    CHECK(is_safe(inside, strlen(inside)) && !strstr(path, "/../") && !strstr(path, "//") && !strchr(path, '\\'));
    for (i = 0; i < in->r.weights.count; i++) {
        if (is(&in->r.weights.all[i].value, inside)) return;
    }
    fuzz_fail(__FILE__, __LINE__, "a path that the index does not name");
}

static int pack_open(void *user, const char *path, st_io *file) {
    disk *d = (disk *)user;
    const input *in = d->in;
    uint8_t bytes[SHARD_ROOM];
    handle *h;
    text inside;
    int which;
    check_path(in, path);
    if (++d->calls == d->fail_at) return d->code;
    if (strcmp(path, PACK) == 0) return ST_IO_NOT_FOUND;
    inside.at = (char *)(uintptr_t)path + strlen(PACK) + 1;
    inside.n = strlen(inside.at);
    which = in->options & NO_INDEX ? atoi(inside.at + 2) - 1 : known_shard(&inside);
    if (strcmp(inside.at, INDEX_NAME) != 0 && !is_there(in, which)) {
        file->bytes = 12345; /* must be ignored, as the call fails */
        return ST_IO_NOT_FOUND;
    }
    h = (handle *)malloc(sizeof *h);
    CHECK(h != NULL && file->user == NULL && file->read_at == NULL && file->mapped == NULL && file->bytes == 0);
    h->d = d;
    if (strcmp(inside.at, INDEX_NAME) == 0) {
        h->n = in->n;
        h->bytes = fuzz_copy(in->index, in->n);
    } else {
        h->n = shard_file(&shards[which], bytes);
        h->bytes = fuzz_copy(bytes, h->n);
    }
    file->user = h;
    file->bytes = h->n;
    file->id[0] = (uint64_t)(which + 2);
    if (in->options & MAPPED) {
        file->mapped = h->bytes;
    } else {
        file->read_at = disk_read;
    }
    d->open++;
    return 0;
}

static void pack_close(void *user, st_io *file) {
    disk *d = (disk *)user;
    handle *h = (handle *)file->user;
    CHECK(h->d == d && d->open > 0);
    d->open--;
    free(h->bytes);
    free(h);
}

static int pack_list(void *user, const char *directory, int (*each)(void *arg, const char *name), void *arg) {
    disk *d = (disk *)user;
    int stop = each(arg, "config.json");
    CHECK(strcmp(directory, PACK) == 0);
    if (++d->calls == d->fail_at) return d->code;
    if (!stop && !(d->in->options & NO_INDEX)) stop = each(arg, "a.safetensors");
    if (d->in->options & NO_INDEX) {
        int which;
        for (which = SHARDS - 1; !stop && which >= 0; which--) {
            if (is_there(d->in, which)) stop = each(arg, set_name(which));
        }
    }
    if (!stop) stop = each(arg, "zz.safetensors.index.json");
    if (!stop) stop = each(arg, INDEX_NAME);
    return stop;
}

typedef struct opened {
    st_status status;
    st_error error;
    st_model *model;
} opened;

static opened open_model(disk *d, st_open_options options) {
    const input *in = d->in;
    opened o;
    st_files files;
    memset(&o, 0x55, sizeof o);
    memset(&files, 0, sizeof files);
    files.user = d;
    files.open = pack_open;
    files.close = pack_close;
    files.list = pack_list;
    options.files = &files;
    options.flags = (in->options & PARTIAL ? ST_OPEN_PARTIAL : 0) | (in->options & NO_MAP ? ST_OPEN_NO_MAP : 0) |
                    (in->options & INDEX_DECIDES ? ST_OPEN_INDEX_DECIDES : 0) |
                    (in->options & NO_INDEX ? ST_OPEN_NO_INDEX : 0);
    options.max_header = in->limit;
    o.status = st_open(&o.model, in->options & DIRECTORY ? PACK : INDEX_PATH, &options, &o.error);
    CHECK((o.status == ST_OK) == (o.model != NULL) && o.error.status == o.status);
    if (o.status != ST_OK) {
        CHECK(d->open == 0);
        CHECK(fuzz_is_printable(o.error.subject) && fuzz_is_printable(o.error.message));
        CHECK(strncmp(o.error.message, PACK, strlen(PACK)) == 0);
    }
    return o;
}

/* ---- a model that opens is valid ------------------------------------------------------------------------------- */

static void check_aliases(const st_model *m) {
    const st_alias *list;
    size_t count, again, i;
    st_error error;
    st_status status = st_aliases(m, NULL, &list, &count, &error);
    st_buffer memory;
    CHECK(status == ST_OK || status == ST_ERR_ARGUMENT || status == ST_ERR_SCHEMA);
    if (status != ST_ERR_ARGUMENT) return;
    CHECK(count > 0 && error.expected > count * sizeof *list);
    memory.bytes = (size_t)error.expected;
    memory.data = malloc(memory.bytes);
    CHECK(memory.data != NULL);
    CHECK(st_aliases(m, &memory, &list, &again, &error) == ST_OK && again == count);
    for (i = 0; i < count; i++) {
        const st_tensor *t = list[i].tensor;
        CHECK(t >= m->tensors && t < m->tensors + m->count);
        CHECK(list[i].name[list[i].name_bytes] == 0 && fuzz_is_utf8(list[i].name, list[i].name_bytes));
    }
    free(memory.data);
}

static void check_tensor(const input *in, const st_model *m, const st_tensor *t, int which, size_t nth, disk *d) {
    char byte = 0;
    st_error error;
    const char want = shards[which].data[nth];
    CHECK(strcmp(t->name, shards[which].tensors[nth]) == 0 && t->name_bytes == strlen(t->name));
    CHECK(t->bytes == 1 && t->rank == 1 && t->shape[0] == 1 && t->dtype == ST_DTYPE_U8 && t->elements == 1);
    CHECK(t->offset == 8 + shards[which].header_bytes + nth);
    CHECK(st_find(m, t->name) == t);
    CHECK(!t->data == (!(in->options & MAPPED) || (in->options & NO_MAP)));
    if (t->data) CHECK(*(const char *)t->data == want);
    CHECK(st_read(m, t, 0, &byte, 1, &error) == ST_OK && byte == want);
    CHECK(st_read(m, t, 0, &byte, 2, &error) == ST_ERR_ARGUMENT && st_advise(m, t, ST_ADVISE_DONE, NULL) == ST_OK);
    if (!(in->options & MAPPED)) {
        d->fail_at = d->calls + 1;
        d->code = 5;
        CHECK(st_read(m, t, 0, &byte, 1, &error) == ST_ERR_IO && error.sys == 5);
        d->fail_at = 0;
    }
}

static void check_model(const input *in, const st_model *m, disk *d) {
    const members *pairs = &in->r.metadata;
    uint64_t bytes = 0;
    size_t i, k, at = 0, there = 0;
    int which;
    for (i = 0; i < m->shard_count; i++) {
        const st_shard *s = &m->shards[i];
        text inside;
        CHECK(strncmp(s->path, PACK "/", strlen(PACK) + 1) == 0);
        inside.at = (char *)(uintptr_t)s->path + strlen(PACK) + 1;
        inside.n = strlen(inside.at);
        which = in->options & NO_INDEX ? (int)i : known_shard(&inside);
        if (in->options & NO_INDEX) CHECK(strcmp(inside.at, set_name(which)) == 0);
        CHECK(i == 0 || strcmp(s[-1].path, s->path) < 0);
        if (!is_there(in, which)) {
            CHECK((in->options & PARTIAL) && s->file_bytes == 0 && s->metadata == NULL && s->metadata_count == 0);
            continue;
        }
        CHECK(there < in->order_count && which == in->order[there]);
        there++;
        CHECK(s->data_offset == 8 + shards[which].header_bytes);
        for (k = 0; k < 3 && shards[which].tensors[k] != NULL; k++) {
            if (is_dropped(in, which, shards[which].tensors[k])) continue;
            CHECK(at < m->count && m->tensors[at].shard == i);
            check_tensor(in, m, &m->tensors[at], which, k, d);
            at++, bytes++;
        }
    }
    CHECK(there == in->order_count && at == m->count && bytes == m->bytes);
    CHECK(m->metadata == m->shards[0].metadata && m->metadata_count == m->shards[0].metadata_count);
    CHECK(!m->index == (in->r.has_metadata != 1) && m->index_count == pairs->count);
    for (i = 0; i < pairs->count; i++) {
        const text *key = &pairs->all[i].key, *json = &pairs->all[i].value;
        CHECK(m->index[i].key_bytes == key->n && memcmp(m->index[i].key, key->at, key->n) == 0 &&
              m->index[i].key[key->n] == 0);
        CHECK(m->index[i].value_bytes == json->n && memcmp(m->index[i].value, json->at, json->n) == 0);
        CHECK(m->index[i].value[json->n] == 0);
    }
    CHECK(st_advise(m, NULL, ST_ADVISE_WILL_NEED, NULL) == ST_OK && st_find(m, "no such tensor") == NULL);
    check_aliases(m);
}

/* ---- comparing results ------------------------------------------------------------------------------------------- */

static int is_plain(const text *t) {
    size_t i;
    for (i = 0; i < t->n; i++) {
        if (t->at[i] < 0x20 || t->at[i] > 0x7e || t->at[i] == '"' || t->at[i] == '\\') return 0;
    }
    return t->n < 60;
}

static void check_verdict(const input *in, st_status want, const opened *o) {
    if (o->status == ST_ERR_FORMAT) { /* replaces any other error if the text does not start like an index */
        CHECK(want != ST_OK && in->r.weights.count == 0 && in->n > 1);
        return;
    }
    CHECK(o->status == want);
    if (want == ST_ERR_DUPLICATE || want == ST_ERR_PATH) CHECK(o->error.position == in->r.place);
    if (want == ST_ERR_JSON || (want == ST_ERR_SCHEMA && in->order_count == 0)) CHECK(o->error.position <= in->n);
    if (want == ST_ERR_SHARD && in->subject.at != NULL && is_plain(&in->subject)) {
        CHECK(strlen(o->error.subject) == in->subject.n &&
              memcmp(o->error.subject, in->subject.at, in->subject.n) == 0);
    }
}

static st_open_options options_with(const st_allocator *allocator) {
    st_open_options options;
    memset(&options, 0, sizeof options);
    options.allocator = allocator;
    return options;
}

static disk disk_of(const input *in, unsigned fail_at, int code) {
    disk d;
    memset(&d, 0, sizeof d);
    d.in = in;
    d.fail_at = fail_at;
    d.code = code;
    return d;
}

static void end(opened *o, const disk *d, const fuzz_heap *heap) {
    st_close(o->model);
    CHECK(d->open == 0 && heap->live == 0);
}

static void try_failing(const input *in, const opened *first) {
    static const struct {
        int code;
        st_status status;
    } failures[] = {{5, ST_ERR_IO},
                    {ST_IO_NOT_A_FILE, ST_ERR_IO},
                    {ST_IO_ENDED, ST_ERR_IO},
                    {ST_IO_NOT_UTF8, ST_ERR_UTF8},
                    {ST_IO_NO_MEMORY, ST_ERR_MEMORY}};
    const unsigned kind = in->knob / 16 % 5;
    fuzz_heap heap;
    st_allocator allocator = fuzz_allocator(&heap);
    disk d = disk_of(in, 0, 0);
    opened o;
    heap.fail_at = 1 + in->knob % 16;
    o = open_model(&d, options_with(&allocator));
    if (o.status == ST_ERR_MEMORY) {
        CHECK(heap.calls >= heap.fail_at && heap.live == 0);
    } else {
        CHECK(fuzz_same_error(&o.error, &first->error));
    }
    end(&o, &d, &heap);
    allocator = fuzz_allocator(&heap);
    d = disk_of(in, 1 + in->knob % 16, failures[kind].code);
    o = open_model(&d, options_with(&allocator));
    if (d.calls < d.fail_at || fuzz_same_error(&o.error, &first->error)) {
        CHECK(fuzz_same_error(&o.error, &first->error)); /* other formats may go undetected */
    } else if (o.error.sys != d.code) {
        CHECK(first->status != ST_OK && o.status != ST_OK);
    } else {
        CHECK(o.status == failures[kind].status);
    }
    end(&o, &d, &heap);
}

/* work buffers support single-file models only: the call fails before it opens the index */
static void try_work(const input *in) {
    static uint64_t work[1024];
    st_open_options options = options_with(NULL);
    disk d = disk_of(in, 0, 0);
    opened o;
    if ((in->options & NO_INDEX) && in->there == 0) return; /* nothing to open */
    options.work.data = work;
    options.work.bytes = sizeof work;
    o = open_model(&d, options);
    CHECK(o.status == ST_ERR_ARGUMENT && d.calls == (in->options & DIRECTORY ? 2 : 0)); /* open, then list */
}

static void free_members(members *m) {
    size_t i;
    for (i = 0; i < m->count; i++) {
        free(m->all[i].key.at);
        free(m->all[i].value.at);
    }
    free(m->all);
}

/* ---- mutation: replaces a string of the text by another meaningful one -------------------------------------------- */

static const char *const words[] = {"\"a.safetensors\"",
                                    "\"b.safetensors\"",
                                    "\"sub/c.safetensors\"",
                                    "\"d.safetensors\"",
                                    "\"empty.safetensors\"",
                                    "\"bad.safetensors\"",
                                    "\"json.safetensors\"",
                                    "\"z.safetensors\"",
                                    "\"none.safetensors\"",
                                    "\"a\"",
                                    "\"w\"",
                                    "\"b\"",
                                    "\"c\"",
                                    "\"d\"",
                                    "\"\"",
                                    "\"\303\251\"",
                                    "\"\\u00e9\"",
                                    "\"\\u0061\"",
                                    "\"weight_map\"",
                                    "\"metadata\"",
                                    "\"weight\\u005fmap\"",
                                    "\"param_sharing\"",
                                    "\"total_size\"",
                                    "\"../a.safetensors\"",
                                    "\"/a.safetensors\"",
                                    "\"sub/../a.safetensors\"",
                                    "\"a\\\\b.safetensors\"",
                                    "\"C:a.safetensors\"",
                                    "\"NUL.safetensors\"",
                                    "\"com1.x/a.safetensors\"",
                                    "\"a\\u0000.safetensors\"",
                                    "\"./a.safetensors\"",
                                    "\"sub//c.safetensors\"",
                                    "\"a.safetensors \"",
                                    "\"lpt\302\271.safetensors\"",
                                    "\"\\u002e\\u002e/a.safetensors\"",
                                    "\"a.\\u0000safetensors\"",
                                    "\"sub\\/c.safetensors\"",
                                    "[[\"a\",\"q\"],[\"b\"]]",
                                    "{}",
                                    "[]",
                                    "null",
                                    "1e308",
                                    "\"~/a.safetensors\"",
                                    "\"aux .safetensors\""};

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed) {
    const char *put = words[seed / 64 % (sizeof words / sizeof *words)];
    size_t from, to, quotes = 0, wanted, n = strlen(put), i;
    if (seed % 4 == 0 || size <= OPTION_BYTES) return LLVMFuzzerMutate(data, size, max_size);
    for (i = OPTION_BYTES; i < size; i++) quotes += data[i] == '"';
    if (quotes < 2) return LLVMFuzzerMutate(data, size, max_size);
    wanted = seed / 4 % (quotes / 2) * 2;
    for (from = OPTION_BYTES; data[from] != '"' || wanted > 0; from++) wanted -= data[from] == '"';
    for (to = from + 1; to < size && data[to] != '"'; to++) {}
    to += to < size;
    if (size - (to - from) + n > max_size) return LLVMFuzzerMutate(data, size, max_size);
    memmove(data + from + n, data + to, size - to);
    memcpy(data + from, put, n);
    return size - (to - from) + n;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    input in;
    uint8_t *index;
    st_status want;
    fuzz_heap heap;
    st_allocator allocator = fuzz_allocator(&heap);
    disk d;
    opened first;
    if (size < OPTION_BYTES) return 0;
    memset(&in, 0, sizeof in);
    in.options = data[0];
    if (in.options & NO_INDEX) in.options |= DIRECTORY;
    in.knob = data[1];
    in.there = in.options & ALL_THERE ? 0xff : data[2];
    in.limit = in.options & SMALL_LIMIT ? 40 + in.knob : 100000000;
    in.n = size - OPTION_BYTES;
    in.index = index = fuzz_copy(data + OPTION_BYTES, in.n);
    want = expect(&in);
    d = disk_of(&in, 0, 0);
    first = open_model(&d, options_with(&allocator));
    if (!in.r.unsure) check_verdict(&in, want, &first);
    if (first.model && want == ST_OK) check_model(&in, first.model, &d);
    end(&first, &d, &heap);
    first.model = NULL;
    try_failing(&in, &first);
    try_work(&in);
    CHECK(memcmp(index, data + OPTION_BYTES, in.n) == 0);
    free_members(&in.r.weights);
    free_members(&in.r.metadata);
    free(index);
    return 0;
}
