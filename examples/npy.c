/* npy: converts NumPy's .npy and .npz files to a model and back.
 *
 *     cc -I. examples/npy.c examples/common/strided.c examples/common/zip/zip.c -lz -o npy
 *     ./npy arrays.npz model.safetensors         makes a tensor of each array, with the array's name
 *     ./npy array.npy model.safetensors          makes one tensor, named array
 *     ./npy model.safetensors arrays.npz         writes all tensors
 *     ./npy model.safetensors array.npy NAME     writes one tensor
 *
 * It reads stored and deflated arrays, C and Fortran order, both byte orders. It refuses objects, text and records.
 * NumPy has no BF16: ml_dtypes writes BF16 as two opaque bytes, <V2, and so does this program. Eight-bit floats would
 * all be |V1, so it does not read them, and it does not write dtypes that NumPy lacks. */
#define ST_IMPLEMENTATION
#include "safetensors.h"
#include "common/strided.h"
#include "common/zip/zip.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

enum { MAX_RANK = STRIDED_RANK };   /* 64, NumPy's limit */
static const char *unfinished_path; /* the output while it is incomplete; fail() removes it */

/* Prints a name from a file: all but plain ASCII as \xNN, as any other character could control the terminal. */
static void print_name(const char *name) {
    for (; *name; name++) fprintf(stderr, *name >= ' ' && *name <= '~' ? "%c" : "\\x%02x", (unsigned char)*name);
}

static void fail(const char *name, const char *reason) {
    fputs("npy: ", stderr);
    print_name(name);
    fprintf(stderr, ": %s\n", reason);
    if (unfinished_path) (void)remove(unfinished_path);
    exit(1);
}

static void *allocate(uint64_t bytes) {
    void *memory = bytes < SIZE_MAX ? malloc((size_t)bytes + 1) : NULL;
    if (!memory) fail("memory", "not enough for this file");
    return memory;
}

typedef struct span { /* bytes that lie somewhere in memory */
    const unsigned char *first;
    size_t count;
} span;

/* Returns the bytes [offset, offset + count) of s. */
static span slice(span s, uint64_t offset, uint64_t count, const char *path) {
    if (offset > s.count || count > s.count - offset) fail(path, "the file is truncated");
    s.first += offset;
    s.count = (size_t)count;
    return s;
}

static uint64_t read_number(span s, size_t offset, size_t bytes, const char *path) {
    uint64_t value = 0;
    s = slice(s, offset, bytes, path);
    while (bytes-- > 0) value = value << 8 | s.first[bytes];
    return value;
}

static span read_file(const char *path) {
    FILE *in = fopen(path, "rb");
    size_t capacity = 1 << 16, got;
    unsigned char *bytes = (unsigned char *)allocate(capacity);
    span s = {NULL, 0};
    if (!in) fail(path, "cannot open the file");
    while ((got = fread(bytes + s.count, 1, capacity - s.count, in)) > 0) {
        s.count += got;
        if (s.count < capacity) continue;
        if (capacity > SIZE_MAX / 2 || !(bytes = (unsigned char *)realloc(bytes, capacity *= 2))) {
            fail(path, "the file is too large for memory");
        }
    }
    if (ferror(in)) fail(path, "cannot read the file");
    fclose(in);
    s.first = bytes;
    return s;
}

/* ---- dtypes -------------------------------------------------------------------------------------------- */

static const struct kind {
    char code[3];
    st_dtype dtype;
    size_t word; /* the unit that has a byte order; a complex number consists of two */
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

/* ---- .npy: a Python dictionary, then the data ---------------------------------------------------------- */

typedef struct array {
    const struct kind *kind;
    int swapped, fortran;
    uint32_t rank;
    uint64_t shape[MAX_RANK], bytes;
} array;

static const char *skip_separators(const char *text) {
    while (*text == ' ' || *text == ',') text++;
    return text;
}

/* Returns where the value of a key of the dictionary begins. */
static const char *value_of(const char *header, const char *key, const char *path) {
    const char *text = strstr(header, key);
    if (!text) fail(path, "the header lacks descr, fortran_order or shape");
    text += strlen(key);
    while (*text == ' ' || *text == ':') text++;
    return text;
}

static void read_descr(array *a, const char *text, const char *path) {
    size_t i;
    if (*text != '\'' || !text[1] || !strchr("<>|=", text[1])) fail(path, "an array of records or of an unknown type");
    for (i = 0; i < KINDS; i++) {
        if (strncmp(text + 2, kinds[i].code, 2) == 0 && text[4] == '\'') a->kind = &kinds[i];
    }
    if (!a->kind) fail(path, "an array of a type that a model cannot hold");
    a->swapped = text[1] == '>';
}

static void read_shape(array *a, const char *text, const char *path) {
    char *end;
    if (*text++ != '(') fail(path, "the header has no valid shape");
    a->bytes = st_dtype_bits(a->kind->dtype) / 8;
    for (text = skip_separators(text); *text != ')'; text = skip_separators(end)) {
        uint64_t n = strtoull(text, &end, 10);
        if (*text < '0' || *text > '9') fail(path, "the header has no valid shape");
        if (a->rank == MAX_RANK) fail(path, "the array has more than 64 dimensions");
        if (n && a->bytes > UINT64_MAX / n) fail(path, "the array is too large");
        a->bytes *= n;
        a->shape[a->rank++] = n;
    }
}

static void read_span(void *user, uint64_t offset, void *dst, size_t bytes) {
    memcpy(dst, ((const span *)user)->first + offset, bytes);
}

/* Copies from Fortran order (first axis fastest) to C order (last axis fastest). */
static void reorder(const array *a, unsigned char *dst, span src) {
    unsigned char block[65536];
    uint64_t stride[MAX_RANK], step = 1;
    strided s = {a->rank,      a->shape, stride, st_dtype_bits(a->kind->dtype) / 8, 0, read_span, &src, block,
                 sizeof block, 0,        0};
    uint32_t d;
    for (d = 0; d < a->rank; step *= a->shape[d++]) stride[d] = step;
    if (a->bytes) strided_read(&s, 0, dst, (size_t)a->bytes);
}

/* Returns the tensor in a .npy file, which must stay in memory as long as the tensor is used. */
static st_tensor tensor_of(span file, const char *name, const char *path) {
    array *a = (array *)memset(allocate(sizeof *a), 0, sizeof *a);
    unsigned char *copy;
    size_t fixed = 10;
    span header;
    char *text;
    st_tensor t = {NULL, ST_DTYPE_UNKNOWN, 0, NULL, NULL, 0, 0, 0, 0, NULL, 0};
    if (memcmp(slice(file, 0, 6, path).first, "\x93NUMPY", 6) != 0) fail(path, "not a .npy file");
    if (read_number(file, 6, 1, path) > 1) fixed = 12; /* versions 2 and 3 have a length of four bytes */
    header = slice(file, fixed, read_number(file, 8, fixed - 8, path), path);
    text = (char *)allocate(header.count);
    memcpy(text, header.first, header.count);
    text[header.count] = '\0';
    read_descr(a, value_of(text, "'descr'", path), path);
    a->fortran = strncmp(value_of(text, "'fortran_order'", path), "True", 4) == 0;
    read_shape(a, value_of(text, "'shape'", path), path);
    free(text);
    file = slice(file, fixed + header.count, a->bytes, path);
    t.name = name;
    t.dtype = a->kind->dtype;
    t.rank = a->rank;
    t.shape = a->shape;
    t.data = file.first;
    if (a->swapped || (a->fortran && a->rank > 1)) {
        t.data = copy = (unsigned char *)allocate(a->bytes);
        if (a->fortran) {
            reorder(a, copy, file);
        } else {
            memcpy(copy, file.first, file.count);
        }
        if (a->swapped) swap_words(copy, file.count, a->kind->word);
    }
    return t;
}

/* Writes the header of a .npy file, padded to a multiple of 64 bytes as NumPy does it, and returns its length. */
static size_t format_header(char *out, size_t capacity, const st_tensor *t) {
    const struct kind *kind = kind_of(t->dtype);
    size_t n = 10, length;
    uint32_t d;
    if (!kind) fail(t->name, "NumPy has no type for this dtype");
    if (t->rank > MAX_RANK) fail(t->name, "the tensor has more than 64 dimensions");
    n += (size_t)snprintf(out + n, capacity - n, "{'descr': '%c%s', 'fortran_order': False, 'shape': (",
                          kind->word > 1 || kind->dtype == ST_DTYPE_BF16 ? '<' : '|', kind->code);
    for (d = 0; d < t->rank; d++) {
        n += (size_t)snprintf(out + n, capacity - n, d ? ", %llu" : "%llu", (unsigned long long)t->shape[d]);
    }
    n += (size_t)snprintf(out + n, capacity - n, t->rank == 1 ? ",), }" : "), }");
    length = (n + 1 + 63) / 64 * 64;
    memset(out + n, ' ', length - n);
    out[length - 1] = '\n';
    memcpy(out, "\x93NUMPY\1\0", 8);
    out[8] = (char)((length - 10) & 255);
    out[9] = (char)((length - 10) >> 8);
    return length;
}

/* ---- .npz: a ZIP of .npy files ------------------------------------------------------------------------- */

static int append_bytes(void *user, const void *bytes, size_t n) { /* to a span that has room for them */
    span *s = (span *)user;
    unsigned char *to = (unsigned char *)(uintptr_t)s->first;
    memcpy(to + s->count, bytes, n);
    s->count += n;
    return 0;
}

static span read_member(FILE *in, const zip_member *m, const char *path) {
    span s = {NULL, 0};
    const char *fault = zip_check(m); /* before its size is believed */
    if (fault) fail(path, fault);
    s.first = (unsigned char *)allocate(m->bytes);
    fault = zip_read(in, m, append_bytes, &s);
    if (fault) fail(path, fault);
    return s;
}

/* ---- to a model ---------------------------------------------------------------------------------------- */

static int ends_with(const char *text, const char *suffix) {
    size_t n = strlen(text), k = strlen(suffix);
    return n >= k && strcmp(text + n - k, suffix) == 0;
}

/* Copies a file's name without the suffix .npy. */
static char *copy_name(const char *text, size_t n) {
    char *name = (char *)allocate(n);
    memcpy(name, text, n);
    name[n] = '\0';
    if (ends_with(name, ".npy")) name[n - 4] = '\0';
    return name;
}

/* Sets *count and returns the tensors of a .npz file. Members cannot overlap, so that a small file does not inflate to
 * any size. */
static st_tensor *read_npz(const char *path, size_t *count) {
    FILE *in = fopen(path, "rb");
    zip_reader *zip = (zip_reader *)allocate(sizeof *zip);
    st_tensor *tensors = NULL;
    size_t capacity = 0;
    zip_member m;
    if (!in) fail(path, "cannot open the file");
    (void)zip_begin(zip, in);
    for (*count = 0; zip_next(zip, &m); ++*count) {
        char *name = copy_name(zip->name, zip->name_bytes);
        if (*count == capacity) {
            capacity = 2 * capacity + 64;
            tensors = (st_tensor *)realloc(tensors, capacity * sizeof *tensors);
            if (!tensors) fail(path, "too many arrays for memory");
        }
        tensors[*count] = tensor_of(read_member(in, &m, name), name, name);
    }
    if (zip->fault) fail(path, zip->fault);
    fclose(in);
    free(zip);
    return tensors;
}

static void to_model(const char *from, const char *to) {
    const char *name = strrchr(from, '/') ? strrchr(from, '/') + 1 : from;
    st_contents contents = {0};
    st_tensor one;
    st_error error;
    contents.tensors = &one;
    contents.count = 1;
    if (ends_with(from, ".npz")) {
        contents.tensors = read_npz(from, &contents.count);
    } else {
        one = tensor_of(read_file(from), copy_name(name, strlen(name)), from);
    }
    if (st_save(to, &contents, NULL, &error)) fail(to, error.message);
}

/* ---- from a model -------------------------------------------------------------------------------------- */

typedef struct output {
    FILE *file;
    const char *path;
    uint64_t offset; /* bytes written so far */
} output;

static void put(output *o, const void *bytes, size_t n) {
    if (fwrite(bytes, 1, n, o->file) != n) {
        fclose(o->file);
        fail(o->path, "cannot write the file");
    }
    o->offset += n;
}

static void put_number(output *o, uint64_t value, size_t bytes) {
    unsigned char b[8];
    size_t i;
    for (i = 0; i < bytes; i++) b[i] = (unsigned char)(value >> (8 * i));
    put(o, b, bytes);
}

/* Returns a copy of the data: the checksum and the file come from one reading, even if the model changes meanwhile. */
static unsigned char *read_data(const st_model *model, const st_tensor *t) {
    st_error error;
    unsigned char *copy = (unsigned char *)allocate(t->bytes);
    if (st_read(model, t, 0, copy, (size_t)t->bytes, &error)) fail(t->name, error.message);
    return copy;
}

/* Writes the fields that the directory entry and the member's own header share. The sizes are in the extra field. */
static void put_member(output *o, const st_tensor *t, uint32_t checksum, size_t extra) {
    put_number(o, 45, 2);                 /* the version of ZIP that has 64-bit sizes */
    put_number(o, 0x0800, 2);             /* the name is UTF-8 */
    put_number(o, 0, 2);                  /* stored */
    put_number(o, (uint64_t)33 << 16, 4); /* 1980-01-01, so that the same model gives the same bytes */
    put_number(o, checksum, 4);
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
    struct written {
        uint64_t offset, bytes;
        uint32_t checksum;
    } *members = (struct written *)allocate(model->count * sizeof *members);
    uint64_t directory, end;
    size_t i;
    for (i = 0; i < model->count; i++) {
        const st_tensor *t = &model->tensors[i];
        unsigned char *data = read_data(model, t);
        char head[2048];
        size_t n = format_header(head, sizeof head, t);
        members[i].offset = o->offset;
        members[i].bytes = n + t->bytes;
        members[i].checksum = (uint32_t)crc32_z(crc32_z(0, (const unsigned char *)head, n), data, (size_t)t->bytes);
        put(o, "PK\3\4", 4);
        put_member(o, t, members[i].checksum, 16);
        put(o, t->name, t->name_bytes);
        put(o, ".npy", 4);
        put_wide(o, 16, members[i].bytes, 0);
        put(o, head, n);
        put(o, data, (size_t)t->bytes);
        free(data);
    }
    directory = o->offset;
    for (i = 0; i < model->count; i++) {
        put(o, "PK\1\2", 4);
        put_number(o, 45, 2);
        put_member(o, &model->tensors[i], members[i].checksum, 24);
        put_number(o, 0, 2); /* no comment, disk 0, no attributes */
        put_number(o, 0, 8);
        put_number(o, UINT32_MAX, 4);
        put(o, model->tensors[i].name, model->tensors[i].name_bytes);
        put(o, ".npy", 4);
        put_wide(o, 24, members[i].bytes, members[i].offset);
    }
    free(members);
    if (!model->count) { /* NumPy accepts an empty file in this form only */
        put(o, "PK\5\6\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 22);
        return;
    }
    end = o->offset;
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

/* Fails if NumPy or a ZIP cannot hold one of the tensors. */
static void check_tensors(const st_model *model) {
    char head[2048];
    size_t i;
    for (i = 0; i < model->count; i++) {
        (void)format_header(head, sizeof head, &model->tensors[i]);
        if (model->tensors[i].name_bytes > UINT16_MAX - 4) fail("a name in the model", "too long for a .npz file");
    }
}

/* Writes to a temporary file, which then replaces `to`: a failure leaves the old file as it was. */
static void from_model(const char *from, const char *to, const char *name) {
    output o = {NULL, to, 0};
    char *temporary = (char *)allocate(strlen(to) + 5), head[2048];
    const st_tensor *t = NULL;
    st_open_options options;
    st_model *model;
    st_error error;
    memset(&options, 0, sizeof options);
    options.flags =
        ST_OPEN_NO_MAP; /* read_data copies anyway, and a file that shrinks is then an error and no signal */
    if (st_open(&model, from, &options, &error)) fail(from, error.message);
    if (!name) check_tensors(model);
    if (name && !(t = st_find(model, name))) fail(name, "the model has no tensor of this name");
    sprintf(temporary, "%s.part", to);
    if (t) (void)format_header(head, sizeof head, t);
    if (!(o.file = fopen(temporary, "wb"))) fail(temporary, "cannot open the file");
    unfinished_path = temporary;
    if (t) {
        unsigned char *data = read_data(model, t);
        put(&o, head, format_header(head, sizeof head, t));
        put(&o, data, (size_t)t->bytes);
        free(data);
    } else {
        put_npz(&o, model);
    }
    if (fclose(o.file)) fail(to, "cannot write the file");
#ifdef _WIN32
    (void)remove(to); /* rename does not replace a file there */
#endif
    if (rename(temporary, to)) fail(to, "cannot replace the file");
    unfinished_path = NULL;
    free(temporary);
    st_close(model);
}

int main(int argc, char **argv) {
    const char *from = argc > 2 ? argv[1] : "", *to = argc > 2 ? argv[2] : "";
    if (argc == 3 && (ends_with(from, ".npy") || ends_with(from, ".npz"))) {
        to_model(from, to);
    } else if ((argc == 3 && ends_with(to, ".npz")) || (argc == 4 && ends_with(to, ".npy"))) {
        from_model(from, to, argc == 4 ? argv[3] : NULL);
    } else {
        fprintf(stderr, "usage: npy ARRAYS.npz|ARRAY.npy MODEL | MODEL ARRAYS.npz | MODEL ARRAY.npy NAME\n");
        return 2;
    }
    return 0;
}
