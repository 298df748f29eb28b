/* Tests how the command-line tool reads damaged files, with random damage: whatever it keeps is right, and the library
 * accepts what is written of it. */
#include "../safetensors.h"

#include "../examples/st/lenient_json.c"
#include "../examples/st/lenient.c"
#include "random.h"
#include "test.h"

typedef struct bytes { /* a growing block */
    unsigned char *at;
    size_t n, room;
} bytes;

static void put(bytes *b, const void *from, size_t n) {
    if (b->n + n > b->room) {
        b->room = (b->n + n) * 2;
        b->at = (unsigned char *)realloc(b->at, b->room);
        if (b->at == NULL) exit(2);
    }
    if (n > 0) memcpy(b->at + b->n, from, n);
    b->n += n;
}

static void put_text(bytes *b, const char *text) {
    put(b, text, strlen(text));
}

static void put_number(bytes *b, uint64_t number) {
    char digits[21];
    put_text(b, test_digits(number, digits));
}

static void put_many(bytes *b, int c, size_t n) {
    const unsigned char byte = (unsigned char)c;
    for (; n > 0; n--) put(b, &byte, 1);
}

static void put_length(bytes *b, uint64_t length) {
    int i;
    for (i = 0; i < 8; i++, length >>= 8) put_many(b, (int)(length & 255), 1);
}

/* ---- what repair does with a file ----------------------------------------------------------------------------- */

static int read_image(void *user, uint64_t offset, void *to, size_t n) {
    const bytes *file = (const bytes *)user;
    if (offset > file->n || n > file->n - offset) return 1;
    memcpy(to, file->at + offset, n);
    return 0;
}

static int fill_image(void *user, const st_tensor *t, uint64_t offset, void *to, size_t n) {
    return read_image(user, t->offset + offset, to, n);
}

static bytes written;

static int write_image(void *user, const void *from, size_t n) {
    (void)user;
    put(&written, from, n);
    return 0;
}

static int has_unknown_dtype(const st_model *m) {
    size_t i;
    for (i = 0; i < m->count && m->tensors[i].dtype != ST_DTYPE_UNKNOWN; i++) {}
    return i < m->count;
}

/* saves what is kept and compares it with the file */
static void check_saved(const lenient *l, bytes *file) {
    static const st_sink sink = {NULL, write_image};
    st_contents contents;
    st_save_options save_options;
    st_open_options open_options;
    st_model *model;
    st_error error;
    size_t i;
    memset(&contents, 0, sizeof contents);
    contents.tensors = l->model.tensors;
    contents.count = l->model.count;
    contents.metadata = l->model.metadata;
    contents.metadata_count = l->model.metadata_count;
    memset(&save_options, 0, sizeof save_options);
    save_options.flags = ST_SAVE_KEEP_ORDER;
    save_options.sink = &sink;
    save_options.fill = fill_image;
    save_options.user = file;
    written.n = 0;
    if (!CHECK_STATUS(st_save(NULL, &contents, &save_options, &error), ST_OK)) {
        fprintf(stderr, "%s\n", error.message);
        return;
    }
    memset(&open_options, 0, sizeof open_options);
    if (has_unknown_dtype(&l->model)) open_options.flags = ST_OPEN_UNKNOWN_DTYPES;
    if (!CHECK_STATUS(st_open_memory(&model, written.at, written.n, &open_options, &error), ST_OK)) return;
    CHECK_EQ(model->count, l->model.count);
    CHECK_EQ(model->metadata_count, l->model.metadata_count);
    CHECK((model->metadata != NULL) == (l->model.metadata != NULL));
    for (i = 0; i < l->model.count; i++) {
        const st_tensor *kept = &l->model.tensors[i], *t = st_find_n(model, kept->name, kept->name_bytes);
        if (!CHECK(t != NULL)) continue;
        CHECK_STR(t->dtype_name, kept->dtype_name);
        CHECK_EQ(t->bytes, kept->bytes);
        CHECK(kept->offset <= file->n && kept->bytes <= file->n - kept->offset);
        CHECK(t->bytes == 0 || memcmp(t->data, file->at + kept->offset, (size_t)t->bytes) == 0);
        CHECK(t->rank == kept->rank &&
              (t->rank == 0 || memcmp(t->shape, kept->shape, t->rank * sizeof *t->shape) == 0));
    }
    st_close(model);
}

static unsigned long mended, refused, sound;

/* faults that the library accepts */
static int is_accepted(const file_fault *f) {
    return strstr(f->message, "blanks before") || strstr(f->message, "readers ignore") ||
           strstr(f->message, "unknown dtype") || strstr(f->message, "is spelled");
}

/* reads a file as repair does; *l is closed by the caller */
static st_status read_file(lenient *l, bytes *file) {
    st_open_options open_options;
    st_model *model;
    st_io io;
    st_status verdict, status;
    char message[300], cut[7];
    size_t i;
    memset(&io, 0, sizeof io);
    io.user = file;
    io.read_at = read_image;
    io.bytes = file->n;
    status = lenient_read(l, &io);
    CHECK(status == ST_OK || (status == ST_ERR_JSON && l->failure != NULL));
    for (i = 0; i < l->fault_count; i++) {
        fault_message(&l->faults[i], message, sizeof message);
        CHECK(strlen(message) > 5);
        fault_message(&l->faults[i], cut, sizeof cut);
        CHECK(strlen(cut) < sizeof cut && strncmp(message, cut, strlen(cut)) == 0);
        CHECK(l->faults[i].position <= file->n + l->data_bytes);
    }
    memset(&open_options, 0, sizeof open_options);
    open_options.flags = ST_OPEN_UNKNOWN_DTYPES;
    verdict = st_open_memory(&model, file->at, file->n, &open_options, NULL);
    if (verdict == ST_OK) { /* then both read the same */
        sound++;
        CHECK_STATUS(status, ST_OK);
        CHECK_EQ(l->losses, 0);
        CHECK_EQ(l->model.count, model->count);
        for (i = 0; i < l->fault_count; i++) CHECK(is_accepted(&l->faults[i]));
        for (i = 0; i < l->model.count && i < model->count; i++) {
            CHECK_EQ(l->model.tensors[i].offset, model->tensors[i].offset);
            CHECK_STR(l->model.tensors[i].name, model->tensors[i].name);
        }
        st_close(model);
    } else if (status == ST_OK) {
        mended++;
    } else {
        refused++;
    }
    if (status == ST_OK) {
        lenient_keep_sound(l);
        check_saved(l, file);
    }
    return status;
}

/* ---- known damage: what is kept is what the file had before ---------------------------------------------------- */

enum { MAX_TENSORS = 4, MAX_SIZE = 40 };

typedef struct original {
    bytes header, data;
    uint64_t style; /* of the data: 0 zeros, 1 spaces, 2 random */
    size_t padding, count, begin[MAX_TENSORS], size[MAX_TENSORS];
} original;

/* Makes a valid header and data that begin as padding does, with zeros or spaces, or at random. */
static void make_original(original *o) {
    size_t i;
    o->style = random_below(3);
    o->header.n = o->data.n = 0;
    o->count = 1 + random_below(MAX_TENSORS);
    put_text(&o->header, "{");
    for (i = 0; i < o->count; i++) {
        o->begin[i] = o->data.n;
        o->size[i] = random_below(MAX_SIZE);
        put_text(&o->header, i ? ",\"t" : "\"t");
        put_number(&o->header, i);
        put_text(&o->header, "\":{\"dtype\":\"U8\",\"shape\":[");
        put_number(&o->header, o->size[i]);
        put_text(&o->header, "],\"data_offsets\":[");
        put_number(&o->header, o->begin[i]);
        put_text(&o->header, ",");
        put_number(&o->header, o->begin[i] + o->size[i]);
        put_text(&o->header, "]}");
        while (o->data.n < o->begin[i] + o->size[i]) {
            put_many(&o->data, o->style == 0 ? 0 : o->style == 1 ? ' ' : (int)random_below(256), 1);
        }
    }
    put_text(&o->header, "}");
    o->padding = (8 - o->header.n % 8) % 8;
    if (random_below(4) == 0) o->padding += 8 * random_below(4);
    if (o->style == 2 && random_below(4) == 0) o->padding = random_below(9);
}

static const char *const damages[] = {"none",
                                      "length",
                                      "length by a few",
                                      "unpadded length",
                                      "cut",
                                      "trailing NUL",
                                      "trailing spaces",
                                      "trailing bytes",
                                      "NUL padding",
                                      "BOM",
                                      "blanks",
                                      "BOM before the length",
                                      "blanks before the length",
                                      "NUL padding, trailing NUL",
                                      "NUL padding, cut"};
enum { DAMAGES = sizeof damages / sizeof *damages };

static void make_damaged(const original *o, uint64_t damage, bytes *file) {
    const int is_nul_padded = damage == 8 || damage >= 13;
    const size_t extra = 1 + random_below(20);
    uint64_t length = o->header.n + o->padding, random = random_below(UINT64_MAX);
    file->n = 0;
    if (damage == 1) length = random_below(3) ? random >> random_below(64) : 0;
    if (damage == 2) length = length + random_below(20) > 10 ? length + random_below(20) - 10 : 0;
    if (damage == 3) length = o->header.n;
    if (damage == 9) length += 3;
    if (damage == 10) length += extra;
    if (damage == 11) put_text(file, "\357\273\277");
    if (damage == 12) put_many(file, random_below(2) ? ' ' : '\n', extra);
    put_length(file, length);
    if (damage == 9) put_text(file, "\357\273\277");
    if (damage == 10) put_many(file, random_below(2) ? ' ' : '\n', extra);
    put(file, o->header.at, o->header.n);
    put_many(file, is_nul_padded ? 0 : ' ', o->padding);
    put(file, o->data.at, o->data.n);
    if (damage == 4 || damage == 14) file->n -= random_below(file->n < 200 ? file->n : 200);
    if (damage == 5 || damage == 13) put_many(file, 0, extra);
    if (damage == 6) put_many(file, ' ', extra);
    if (damage == 7) put_many(file, (int)random_below(256), extra);
}

/* Returns 1 if all tensors are kept. Every tensor that is kept must have its bytes. */
static int keeps_all(const original *o, bytes *file) {
    lenient l;
    size_t i, kept = 0;
    if (read_file(&l, file) == ST_OK) {
        for (i = 0; i < l.model.count; i++) {
            const st_tensor *t = &l.model.tensors[i];
            const size_t k = (size_t)(t->name[1] - '0');
            if (!CHECK(k < o->count)) continue;
            CHECK_EQ(t->bytes, o->size[k]);
            CHECK(t->bytes == 0 || memcmp(file->at + t->offset, o->data.at + o->begin[k], o->size[k]) == 0);
        }
        kept = l.model.count;
    }
    lenient_close(&l);
    return kept == o->count;
}

static void known_damage(void) {
    unsigned long all[3][DAMAGES], kept[3][DAMAGES];
    bytes file = {NULL, 0, 0};
    original o;
    int round, i;
    memset(&o, 0, sizeof o);
    memset(all, 0, sizeof all);
    memset(kept, 0, sizeof kept);
    for (round = 0; round < 30000; round += test_thin()) {
        const uint64_t damage = random_below(DAMAGES);
        test_row = damages[damage];
        make_original(&o);
        /* data that starts with a space can look like padding of the header, and the file like one that is cut */
        if ((damage == 2 || damage == 7) && o.data.n > 0 && o.data.at[0] == ' ') continue;
        /* a header of NUL that ends at no multiple of 8 can look like a length that is too large, before zeros */
        if (damage == 14 && (o.header.n + o.padding) % 8 != 0) continue;
        make_damaged(&o, damage, &file);
        all[o.style][damage]++;
        kept[o.style][damage] += (unsigned)keeps_all(&o, &file);
    }
    for (i = 0; i < 3 * (int)DAMAGES; i++) {
        const int style = i / (int)DAMAGES, damage = i % (int)DAMAGES;
        const unsigned long n = all[style][damage], k = kept[style][damage];
        test_row = damages[damage];
        if (getenv("ST_SHOW")) printf("%s, style %d: %lu of %lu\n", damages[damage], style, k, n);
    }
    test_row = "";
    free(o.header.at);
    free(o.data.at);
    free(file.at);
}

/* ---- any damage ------------------------------------------------------------------------------------------------ */

#define ENTRY(dtype, shape, offsets) "{\"dtype\":\"" dtype "\",\"shape\":" shape ",\"data_offsets\":" offsets "}"

static const char *const headers[] = {
    "{\"__metadata__\":{\"k\":\"v\",\"n\":3,\"o\":{\"a\":[1,null]},\"f\":NaN,\"\\u00e9\\n\":\"\\ud83d\\ude00\"},"
    "\"a\":" ENTRY("F32", "[2,1]", "[0,8]") ",\"b\":" ENTRY("F16", "[3]", "[8,14]") ",\"c\":" ENTRY("U8", "[2]",
                                                                                                    "[14,16]") "}",
    "{\"a\":" ENTRY("U8", "[4]", "[0,4]") ",\"b\":" ENTRY("U8", "[4]", "[2,6]") ",\"a\":" ENTRY(
        "U8", "[4]", "[0,4]") ",\"c\":" ENTRY("U8", "[4]", "[12,16]") ",\"d\":" ENTRY("U8", "[0]", "[16,16]") "}",
    "{\"x\":" ENTRY("F8_E8M0FNU", "[4]", "[0,4]") ",\"y\":" ENTRY("I4", "[8]", "[4,8]") ",\"z\":" ENTRY(
        "float32", "[]", "[8,12]") ",\"w\":{\"shape\":[4.0],\"extra\":[[{}]],\"data_offsets\":[12,16],\"dtype\":\"U8\","
                                   "\"shape\":[4.0]}}",
    "{\"a\":" ENTRY("F4", "[4,8]",
                    "[0,16]") ",\"__metadata__\":{\"k\":\"1\"},\"__metadata__\":{\"k\":\"1\",\"k\":\"2\"}}",
    "{\"__metadata__\":[1,\"two\"]}",
};
static const char *const words[] = {"{",
                                    "}",
                                    "[",
                                    "]",
                                    ",",
                                    ":",
                                    "\"",
                                    "\\",
                                    "0",
                                    "9",
                                    "-",
                                    ".",
                                    "e",
                                    " ",
                                    "null",
                                    "true",
                                    "NaN",
                                    "\"a\"",
                                    "\"b\"",
                                    "\"\"",
                                    "[0,4]",
                                    "[4,0]",
                                    "[0,0]",
                                    "[18446744073709551615]",
                                    "[9223372036854775807,9223372036854775807]",
                                    "18446744073709551616",
                                    "4294967296",
                                    "\"dtype\":\"U8\",",
                                    "\"shape\":[],",
                                    "\"data_offsets\":[0,1],",
                                    "\"__metadata__\":{},",
                                    "\\ud800",
                                    "\\u0000",
                                    "\\x",
                                    "\357\273\277",
                                    "\377",
                                    "\303",
                                    "\n",
                                    "\001",
                                    "[[[[[[[[",
                                    "{\"a\":{\"a\":{\"a\":"};

/* changes the file in one place */
static void mutate(bytes *file, bytes *spare) {
    const char *word = words[random_below(sizeof words / sizeof *words)];
    const size_t at = random_below(file->n + 1), from = random_below(file->n + 1);
    size_t count = random_below(60), skipped = random_below(2) ? random_below(8) : 0;
    bytes swap = *file;
    if (count > file->n - from) count = file->n - from;
    if (skipped > file->n - at) skipped = file->n - at;
    spare->n = 0;
    put(spare, file->at, at);
    switch (random_below(6)) {
    case 0: put_many(spare, (int)random_below(256), at < file->n); break;
    case 1: put_text(spare, word); break;
    case 2: put(spare, file->at + from, count); break;
    case 3: put_many(spare, random_below(2) ? 0 : ' ', random_below(10)); break;
    default: break;
    }
    put(spare, file->at + at + skipped, file->n - at - skipped);
    *file = *spare;
    *spare = swap;
}

/* writes the length that the header's padding suggests, so that most files come further than the length */
static void set_length(bytes *file, size_t data) {
    size_t i;
    uint64_t length = file->n - 8 - data;
    for (i = 0; i < 8; i++, length >>= 8) file->at[i] = (unsigned char)(length & 255);
}

static void any_damage(void) {
    bytes file = {NULL, 0, 0}, spare = {NULL, 0, 0};
    int round;
    for (round = 0; round < 60000; round += test_thin()) {
        const char *header = headers[random_below(sizeof headers / sizeof *headers)];
        const size_t data = 16;
        uint64_t changes;
        lenient l;
        size_t i;
        file.n = 0;
        put_length(&file, strlen(header));
        put_text(&file, header);
        for (i = 0; i < data; i++) put_many(&file, random_below(4) ? (int)random_below(256) : 0, 1);
        for (changes = random_below(4); changes > 0; changes--) mutate(&file, &spare);
        if (random_below(4) && file.n >= 8 + data) set_length(&file, data);
        (void)read_file(&l, &file);
        lenient_close(&l);
    }
    free(file.at);
    free(spare.at);
}

/* every prefix and every byte changed in a few ways */
static void each_place(void) {
    bytes file = {NULL, 0, 0};
    size_t h, i, k;
    for (h = 0; h < sizeof headers / sizeof *headers; h++) {
        lenient l;
        file.n = 0;
        put_length(&file, strlen(headers[h]));
        put_text(&file, headers[h]);
        for (i = 0; i < 16; i++) put_many(&file, (int)(i * 37 + 1), 1);
        for (i = 0; i < file.n; i += (size_t)test_thin()) {
            static const unsigned char bits[] = {1, 0x20, 0x80, 0xff};
            const size_t n = file.n;
            file.n = i;
            (void)read_file(&l, &file);
            lenient_close(&l);
            file.n = n;
            for (k = 0; k < sizeof bits; k++) {
                file.at[i] ^= bits[k];
                (void)read_file(&l, &file);
                lenient_close(&l);
                file.at[i] ^= bits[k];
            }
        }
    }
    free(file.at);
}

int main(void) {
    known_damage();
    any_damage();
    each_place();
    CHECK(sound > 100 && mended > 100 && refused > 100);
    free(written.at);
    if (getenv("ST_SHOW")) printf("%lu sound, %lu mended, %lu refused\n", sound, mended, refused);
    return test_done("lenient");
}
