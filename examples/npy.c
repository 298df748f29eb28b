/* npy: NumPy's .npy and .npz to a model and back.
 *
 *     cc -I. examples/npy.c -lz -o npy
 *     ./npy arrays.npz model.safetensors         each array becomes a tensor of its name
 *     ./npy array.npy model.safetensors          its one tensor is called array
 *     ./npy model.safetensors arrays.npz
 *     ./npy model.safetensors array.npy NAME     one tensor of it
 *
 * Arrays may be stored or deflated, in C or Fortran order, of either byte order; objects, text and records are refused.
 * NumPy has no BF16: it writes one of ml_dtypes as two opaque bytes, <V2, which is what is read and written here too. Eight-bit
 * floats would all be |V1, so they are not read, and what has no type in NumPy is not written. */
#define ST_IMPLEMENTATION
#include "safetensors.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#define ZLIB_CONST
#include <zlib.h>

enum { RANK = 64 }; /* NumPy's own limit */

static void fail(const char *what, const char *why) {
    fprintf(stderr, "npy: %s: %s\n", what, why);
    exit(1);
}

static void *take(uint64_t bytes) {
    void *memory = bytes < SIZE_MAX ? malloc((size_t)bytes + 1) : NULL;
    if (!memory) fail("memory", "there is not enough");
    return memory;
}

typedef struct span {
    const unsigned char *at;
    size_t n;
} span;

static span part(span s, uint64_t offset, uint64_t n, const char *path) {
    if (offset > s.n || n > s.n - offset) fail(path, "cut short");
    s.at += offset;
    s.n = (size_t)n;
    return s;
}

static uint64_t number(span s, size_t offset, size_t bytes, const char *path) {
    uint64_t value = 0;
    s = part(s, offset, bytes, path);
    while (bytes-- > 0) value = value << 8 | s.at[bytes];
    return value;
}

static span read_file(const char *path) {
    FILE *in = fopen(path, "rb");
    size_t room = 1 << 16, got;
    unsigned char *all = (unsigned char *)take(room);
    span s = {NULL, 0};
    if (!in) fail(path, "cannot be opened");
    while ((got = fread(all + s.n, 1, room - s.n, in)) > 0) {
        s.n += got;
        if (s.n < room) continue;
        if (room > SIZE_MAX / 2 || !(all = (unsigned char *)realloc(all, room *= 2))) fail(path, "too large");
    }
    if (ferror(in)) fail(path, "cannot be read");
    fclose(in);
    s.at = all;
    return s;
}

/* ---- dtypes ------------------------------------------------------------------------------------------------------ */

static const struct kind {
    char code[3];
    st_dtype dtype;
    size_t word; /* what has a byte order: a complex number is two of them */
} kinds[] = {{"b1", ST_DTYPE_BOOL, 1}, {"u1", ST_DTYPE_U8, 1},  {"i1", ST_DTYPE_I8, 1},   {"i2", ST_DTYPE_I16, 2},
             {"u2", ST_DTYPE_U16, 2},  {"f2", ST_DTYPE_F16, 2}, {"V2", ST_DTYPE_BF16, 2}, {"i4", ST_DTYPE_I32, 4},
             {"u4", ST_DTYPE_U32, 4},  {"f4", ST_DTYPE_F32, 4}, {"c8", ST_DTYPE_C64, 4},  {"f8", ST_DTYPE_F64, 8},
             {"i8", ST_DTYPE_I64, 8},  {"u8", ST_DTYPE_U64, 8}};
enum { KINDS = sizeof kinds / sizeof *kinds };

static const struct kind *kind_of(st_dtype dtype) {
    size_t i;
    for (i = 0; i < KINDS; i++) {
        if (kinds[i].dtype == dtype) return &kinds[i];
    }
    return NULL;
}

/* ---- .npy: a dictionary of Python, then the bytes ---------------------------------------------------------------------- */

typedef struct array {
    const struct kind *kind;
    int swapped, fortran;
    uint32_t rank;
    uint64_t shape[RANK], bytes;
} array;

static const char *skip(const char *at) {
    while (*at == ' ' || *at == ',') at++;
    return at;
}

/* what stands behind a key of the dictionary */
static const char *value_of(const char *header, const char *key, const char *path) {
    const char *at = strstr(header, key);
    if (!at) fail(path, "its header lacks descr, fortran_order or shape");
    at += strlen(key);
    while (*at == ' ' || *at == ':') at++;
    return at;
}

static void read_descr(array *a, const char *at, const char *path) {
    size_t i;
    if (*at != '\'' || !at[1] || !strchr("<>|=", at[1])) fail(path, "an array of records or of an unknown type");
    for (i = 0; i < KINDS; i++) {
        if (strncmp(at + 2, kinds[i].code, 2) == 0 && at[4] == '\'') a->kind = &kinds[i];
    }
    if (!a->kind) fail(path, "an array of a type that a model cannot hold");
    a->swapped = at[1] == '>';
}

static void read_shape(array *a, const char *at, const char *path) {
    char *end;
    if (*at++ != '(') fail(path, "its shape is none");
    a->bytes = st_dtype_bits(a->kind->dtype) / 8;
    for (at = skip(at); *at != ')'; at = skip(end)) {
        uint64_t n = strtoull(at, &end, 10);
        if (*at < '0' || *at > '9' || a->rank == RANK) fail(path, "its shape is none");
        if (n && a->bytes > UINT64_MAX / n) fail(path, "its shape is too large");
        a->bytes *= n;
        a->shape[a->rank++] = n;
    }
}

static void swap_words(unsigned char *bytes, size_t n, size_t word) {
    size_t i, k;
    for (i = 0; i < n; i += word) {
        for (k = 0; k < word / 2; k++) {
            unsigned char b = bytes[i + k];
            bytes[i + k] = bytes[i + word - 1 - k];
            bytes[i + word - 1 - k] = b;
        }
    }
}

/* from first axis fastest to last axis fastest */
static void reorder(const array *a, unsigned char *dst, const unsigned char *src) {
    uint64_t index[RANK] = {0}, stride[RANK], size = st_dtype_bits(a->kind->dtype) / 8, from = 0, done;
    uint32_t d;
    for (d = 0, done = size; d < a->rank; done *= a->shape[d++]) stride[d] = done;
    for (done = 0; done < a->bytes; done += size) {
        memcpy(dst + done, src + from, (size_t)size);
        for (d = a->rank; d-- > 0;) { /* the next index, last axis first */
            from += stride[d];
            if (++index[d] < a->shape[d]) break;
            from -= stride[d] * a->shape[d];
            index[d] = 0;
        }
    }
}

/* A tensor of a file .npy that stays in memory as long as the tensor does. */
static st_tensor tensor_of(span file, const char *name, const char *path) {
    array *a = (array *)memset(take(sizeof *a), 0, sizeof *a);
    unsigned char *own;
    size_t fixed = 10;
    span header;
    char *text;
    st_tensor t = {NULL, ST_DTYPE_UNKNOWN, 0, NULL, NULL, 0, 0, 0, 0, NULL, 0};
    if (memcmp(part(file, 0, 6, path).at, "\x93NUMPY", 6) != 0) fail(path, "not a .npy file");
    if (number(file, 6, 1, path) > 1) fixed = 12; /* versions 2 and 3 have four bytes of length */
    header = part(file, fixed, number(file, 8, fixed - 8, path), path);
    text = (char *)take(header.n);
    memcpy(text, header.at, header.n);
    text[header.n] = '\0';
    read_descr(a, value_of(text, "'descr'", path), path);
    a->fortran = strncmp(value_of(text, "'fortran_order'", path), "True", 4) == 0;
    read_shape(a, value_of(text, "'shape'", path), path);
    free(text);
    file = part(file, fixed + header.n, a->bytes, path);
    t.name = name;
    t.dtype = a->kind->dtype;
    t.rank = a->rank;
    t.shape = a->shape;
    t.data = file.at;
    if (a->swapped || (a->fortran && a->rank > 1)) {
        t.data = own = (unsigned char *)take(a->bytes);
        if (a->fortran) {
            reorder(a, own, file.at);
        } else {
            memcpy(own, file.at, file.n);
        }
        if (a->swapped) swap_words(own, file.n, a->kind->word);
    }
    return t;
}

/* what comes before the data: a multiple of 64 bytes, as NumPy has it; gives its length */
static size_t put_npy_header(char *out, size_t room, const st_tensor *t) {
    const struct kind *kind = kind_of(t->dtype);
    size_t n = 10, all;
    uint32_t d;
    if (!kind || t->rank > RANK) fail(t->name, kind ? "more than 64 dimensions" : "NumPy has no such type");
    n += (size_t)snprintf(out + n, room - n, "{'descr': '%c%s', 'fortran_order': False, 'shape': (",
                          kind->word > 1 || kind->dtype == ST_DTYPE_BF16 ? '<' : '|', kind->code);
    for (d = 0; d < t->rank; d++) {
        n += (size_t)snprintf(out + n, room - n, d ? ", %llu" : "%llu", (unsigned long long)t->shape[d]);
    }
    n += (size_t)snprintf(out + n, room - n, t->rank == 1 ? ",), }" : "), }");
    all = (n + 1 + 63) / 64 * 64;
    memset(out + n, ' ', all - n);
    out[all - 1] = '\n';
    memcpy(out, "\x93NUMPY\1\0", 8);
    out[8] = (char)((all - 10) & 255);
    out[9] = (char)((all - 10) >> 8);
    return all;
}

/* ---- .npz: a ZIP of .npy files ------------------------------------------------------------------------------------- */

static uInt piece(size_t n) { /* zlib counts in 32 bits */
    return (uInt)(n < (size_t)1 << 30 ? n : (size_t)1 << 30);
}

static span inflated(span packed, uint64_t bytes, const char *path) {
    unsigned char *own = (unsigned char *)take(bytes);
    span s;
    z_stream z;
    size_t in = 0;
    int status;
    s.at = own;
    s.n = 0;
    memset(&z, 0, sizeof z);
    if (inflateInit2(&z, -15) != Z_OK) fail(path, "zlib has no memory");
    do {
        z.next_in = packed.at + in;
        z.avail_in = piece(packed.n - in);
        z.next_out = own + s.n;
        z.avail_out = piece((size_t)bytes - s.n);
        status = inflate(&z, Z_NO_FLUSH);
        in = (size_t)(z.next_in - packed.at);
        s.n = (size_t)(z.next_out - own);
    } while (status == Z_OK); /* without progress it is Z_BUF_ERROR */
    inflateEnd(&z);
    if (status != Z_STREAM_END || s.n != bytes) fail(path, "it does not inflate to the size it gives");
    return s;
}

typedef struct member {
    span name;
    uint64_t method, check, packed, bytes, offset;
} member;

/* where the sizes did not fit 32 bits they stand in field 1 of those at the end, in this order */
static void read_extra(member *m, span extra, const char *path) {
    uint64_t *const wide[] = {&m->bytes, &m->packed, &m->offset};
    while (extra.n >= 4) {
        uint64_t id = number(extra, 0, 2, path), n = number(extra, 2, 2, path);
        span field = part(extra, 4, n, path);
        size_t i, at = 0;
        for (i = 0; id == 1 && i < 3; i++) {
            if (*wide[i] != UINT32_MAX) continue;
            *wide[i] = number(field, at, 8, path);
            at += 8;
        }
        extra = part(extra, 4 + n, extra.n - 4 - n, path);
    }
}

/* the entry of the directory at *at, which is moved behind it */
static member next_member(span zip, uint64_t *at, const char *path) {
    span head = part(zip, *at, 46, path);
    uint64_t name = number(head, 28, 2, path), extra = number(head, 30, 2, path), comment = number(head, 32, 2, path);
    member m;
    if (memcmp(head.at, "PK\1\2", 4) != 0) fail(path, "its directory is damaged");
    if (number(head, 8, 2, path) & 1) fail(path, "encrypted");
    m.method = number(head, 10, 2, path);
    m.check = number(head, 16, 4, path);
    m.packed = number(head, 20, 4, path);
    m.bytes = number(head, 24, 4, path);
    m.offset = number(head, 42, 4, path);
    m.name = part(zip, *at + 46, name, path);
    read_extra(&m, part(zip, *at + 46 + name, extra, path), path);
    *at += 46 + name + extra + comment;
    return m;
}

static span content(span zip, const member *m, const char *path) {
    span head = part(zip, m->offset, 30, path), s;
    uint64_t behind = 30 + number(head, 26, 2, path) + number(head, 28, 2, path);
    if (memcmp(head.at, "PK\3\4", 4) != 0) fail(path, "its directory is damaged");
    s = part(zip, m->offset, behind + m->packed < behind ? UINT64_MAX : behind + m->packed, path);
    s = part(s, behind, m->packed, path);
    if (m->method == 8) {
        s = inflated(s, m->bytes, path);
    } else if (m->method != 0) {
        fail(path, "packed in another way than deflate");
    }
    if (crc32_z(0, s.at, s.n) != m->check) fail(path, "its checksum is wrong");
    return s;
}

/* where the directory begins, and how many it lists */
static uint64_t find_directory(span zip, uint64_t *count, const char *path) {
    size_t end = zip.n < 22 ? 0 : zip.n - 22, last = end > 65535 ? end - 65535 : 0;
    uint64_t at;
    for (;; end--) { /* there may be a comment behind it */
        if (memcmp(part(zip, end, 4, path).at, "PK\5\6", 4) == 0) break;
        if (end == last) fail(path, "not a .npz file, or cut short");
    }
    *count = number(zip, end + 10, 2, path);
    at = number(zip, end + 16, 4, path);
    if ((*count == UINT16_MAX || at == UINT32_MAX) && end >= 20 && memcmp(zip.at + end - 20, "PK\6\7", 4) == 0) {
        span wide = part(zip, number(zip, end - 12, 8, path), 56, path);
        *count = number(wide, 32, 8, path);
        at = number(wide, 48, 8, path);
    }
    return at;
}

/* ---- to a model ------------------------------------------------------------------------------------------------------ */

static int ends(const char *text, const char *suffix) {
    size_t n = strlen(text), k = strlen(suffix);
    return n >= k && strcmp(text + n - k, suffix) == 0;
}

/* without the suffix, which it may lack */
static char *name_from(const char *at, size_t n) {
    char *name = (char *)take(n);
    memcpy(name, at, n);
    name[n] = '\0';
    if (ends(name, ".npy")) name[n - 4] = '\0';
    return name;
}

static void to_model(const char *from, const char *to) {
    span file = read_file(from);
    uint64_t count = 1, at = 0, i;
    st_tensor *tensors;
    st_contents contents = {0};
    st_error error;
    if (ends(from, ".npz")) {
        at = find_directory(file, &count, from);
        if (count > file.n / 46) fail(from, "its directory is damaged");
    }
    tensors = (st_tensor *)take(count * sizeof *tensors);
    for (i = 0; i < count; i++) {
        if (ends(from, ".npz")) {
            member m = next_member(file, &at, from);
            char *name = name_from((const char *)m.name.at, m.name.n);
            tensors[i] = tensor_of(content(file, &m, name), name, name);
        } else {
            const char *name = strrchr(from, '/') ? strrchr(from, '/') + 1 : from;
            tensors[i] = tensor_of(file, name_from(name, strlen(name)), from);
        }
    }
    contents.tensors = tensors;
    contents.count = (size_t)count;
    if (st_save(to, &contents, NULL, &error)) fail(to, error.message);
}

/* ---- from a model ---------------------------------------------------------------------------------------------------- */

typedef struct output {
    FILE *file;
    const char *path;
    uint64_t at;
} output;

static void put(output *o, const void *bytes, size_t n) {
    if (fwrite(bytes, 1, n, o->file) != n) {
        fclose(o->file);
        (void)remove(o->path);
        fail(o->path, "cannot be written");
    }
    o->at += n;
}

static void put_number(output *o, uint64_t value, size_t bytes) {
    unsigned char b[8];
    size_t i;
    for (i = 0; i < bytes; i++) b[i] = (unsigned char)(value >> (8 * i));
    put(o, b, bytes);
}

static const void *data_of(const st_model *model, const st_tensor *t) {
    st_error error;
    void *copy;
    if (t->data) return t->data;
    copy = take(t->bytes);
    if (st_read(model, t, 0, copy, (size_t)t->bytes, &error)) fail(t->name, error.message);
    return copy;
}

/* what the entry of the directory and the head of the member have in common; sizes are in the extra field */
static void put_member(output *o, const st_tensor *t, uint32_t check, size_t extra) {
    put_number(o, 45, 2);                 /* version that reads wide sizes */
    put_number(o, 0x0800, 2);             /* the name is UTF-8 */
    put_number(o, 0, 2);                  /* stored */
    put_number(o, (uint64_t)33 << 16, 4); /* 1980-01-01: same model, same bytes */
    put_number(o, check, 4);
    put_number(o, UINT32_MAX, 4);
    put_number(o, UINT32_MAX, 4);
    put_number(o, t->name_bytes + 4, 2);
    put_number(o, extra + 4, 2);
}

static void put_wide(output *o, size_t bytes, uint64_t size, uint64_t offset) {
    put_number(o, 1, 2);
    put_number(o, bytes, 2);
    put_number(o, size, 8);
    put_number(o, size, 8);
    if (bytes == 24) put_number(o, offset, 8);
}

static void put_npz(output *o, const st_model *model) {
    struct place {
        uint64_t offset, bytes;
        uint32_t check;
    } *places = (struct place *)take(model->count * sizeof *places);
    uint64_t directory, end;
    size_t i;
    for (i = 0; i < model->count; i++) {
        const st_tensor *t = &model->tensors[i];
        const void *data = data_of(model, t);
        char head[2048];
        size_t n = put_npy_header(head, sizeof head, t);
        if (t->name_bytes > 65000) fail(o->path, "a name is too long for a ZIP");
        places[i].offset = o->at;
        places[i].bytes = n + t->bytes;
        places[i].check = (uint32_t)crc32_z(crc32_z(0, (const unsigned char *)head, n), (const unsigned char *)data,
                                            (size_t)t->bytes);
        put(o, "PK\3\4", 4);
        put_member(o, t, places[i].check, 16);
        put(o, t->name, t->name_bytes);
        put(o, ".npy", 4);
        put_wide(o, 16, places[i].bytes, 0);
        put(o, head, n);
        put(o, data, (size_t)t->bytes);
        if (data != t->data) free((void *)(uintptr_t)data);
    }
    directory = o->at;
    for (i = 0; i < model->count; i++) {
        put(o, "PK\1\2", 4);
        put_number(o, 45, 2);
        put_member(o, &model->tensors[i], places[i].check, 24);
        put_number(o, 0, 2); /* no comment, first disk, no attributes */
        put_number(o, 0, 8);
        put_number(o, UINT32_MAX, 4);
        put(o, model->tensors[i].name, model->tensors[i].name_bytes);
        put(o, ".npy", 4);
        put_wide(o, 24, places[i].bytes, places[i].offset);
    }
    free(places);
    if (!model->count) { /* NumPy knows an empty one by this only */
        put(o, "PK\5\6\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 22);
        return;
    }
    end = o->at;
    put(o, "PK\6\6", 4);
    put_number(o, 44, 8);
    put_number(o, 45 | 45 << 16, 4);
    put_number(o, 0, 8);
    put_number(o, model->count, 8);
    put_number(o, model->count, 8);
    put_number(o, end - directory, 8);
    put_number(o, directory, 8);
    put(o, "PK\6\7\0\0\0\0", 8);
    put_number(o, end, 8);
    put_number(o, 1, 4);
    put(o, "PK\5\6\0\0\0\0\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\0\0", 22);
}

static void from_model(const char *from, const char *to, const char *name) {
    output o = {NULL, to, 0};
    const st_tensor *t;
    st_model *model;
    st_error error;
    size_t i;
    char head[2048];
    if (st_open(&model, from, NULL, &error)) fail(from, error.message);
    for (i = 0; i < model->count && !name; i++)
        (void)put_npy_header(head, sizeof head, &model->tensors[i]); /* can be */
    t = name ? st_find(model, name) : NULL;
    if (name && !t) fail(name, "no such tensor");
    if (t) (void)put_npy_header(head, sizeof head, t);
    if (!(o.file = fopen(to, "wb"))) fail(to, "cannot be opened");
    if (t) {
        put(&o, head, put_npy_header(head, sizeof head, t));
        put(&o, data_of(model, t), (size_t)t->bytes);
    } else {
        put_npz(&o, model);
    }
    if (fclose(o.file)) {
        (void)remove(to);
        fail(to, "cannot be written");
    }
    st_close(model);
}

int main(int argc, char **argv) {
    const char *from = argc > 2 ? argv[1] : "", *to = argc > 2 ? argv[2] : "";
    if (argc == 3 && (ends(from, ".npy") || ends(from, ".npz"))) {
        to_model(from, to);
    } else if ((argc == 3 && ends(to, ".npz")) || (argc == 4 && ends(to, ".npy"))) {
        from_model(from, to, argc == 4 ? argv[3] : NULL);
    } else {
        fprintf(stderr, "usage: npy ARRAYS.npz|ARRAY.npy MODEL | MODEL ARRAYS.npz | MODEL ARRAY.npy NAME\n");
        return 2;
    }
    return 0;
}
