/* write.c: saves the models that standard input describes and writes their bytes, each after its length, to standard output.
   All numbers are little-endian. A model is
     u8 how: 0 tensors follow; 1 a file follows (u64 length, bytes), which is opened and saved anew; 2 tensors follow that are
        saved in several files, after u64 max_shard_bytes, u32 pairs of the index, each: text key, text value, and text
        directory; the bytes are then those of the index, none where there is none
     u8 has metadata, u32 entries, each: text key, text value          a text: u32 length, bytes
     u32 tensors, each: text name, text dtype, u32 rank, u64 dimensions, u64 length, bytes
   A model that is refused gives 2^64-1 and a text that says why. Ends with 0 unless the description is wrong. */
#define ST_IMPLEMENTATION
#include "../../safetensors.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#ifdef _WIN32
#include <fcntl.h>
#include <io.h>
#endif

typedef struct buffer {
    unsigned char *bytes;
    size_t n, room;
} buffer;

static void fail(const char *what) {
    fprintf(stderr, "write: %s\n", what);
    exit(2);
}

/* ---- input: blocks live until the model is done -------------------------------------------------------- */

typedef struct block {
    struct block *next;
} block;

static block *blocks;

static void *take(size_t n) {
    block *b = n < SIZE_MAX / 2 ? (block *)malloc(sizeof *b + n) : NULL;
    if (!b) fail("no memory");
    b->next = blocks;
    blocks = b;
    return b + 1;
}

static void forget(void) {
    while (blocks) {
        block *next = blocks->next;
        free(blocks);
        blocks = next;
    }
}

static void get(void *dst, size_t n) {
    if (n && fread(dst, 1, n, stdin) != n) fail("the input ends too early");
}

static uint64_t get_number(int bytes) {
    unsigned char b[8];
    uint64_t n = 0;
    get(b, (size_t)bytes);
    while (bytes-- > 0) n = n << 8 | b[bytes];
    return n;
}

static unsigned char *get_bytes(uint64_t n) {
    unsigned char *b = (unsigned char *)take((size_t)n + 1);
    get(b, (size_t)n);
    b[n] = 0;
    return b;
}

static char *get_text(size_t *n) {
    *n = (size_t)get_number(4);
    return (char *)get_bytes(*n);
}

static st_tensor get_tensor(void) {
    st_tensor t;
    uint64_t *shape;
    size_t ignored;
    uint32_t i;
    memset(&t, 0, sizeof t);
    t.name = get_text(&t.name_bytes);
    t.dtype_name = get_text(&ignored);
    (void)st_dtype_from_name(t.dtype_name, &t.dtype); /* else it is opaque */
    t.rank = (uint32_t)get_number(4);
    t.shape = shape = (uint64_t *)take(t.rank * sizeof *shape);
    for (i = 0; i < t.rank; i++) shape[i] = get_number(8);
    t.bytes = get_number(8);
    t.data = get_bytes(t.bytes);
    return t;
}

/* ---- output -------------------------------------------------------------------------------------------- */

static int keep(void *user, const void *bytes, size_t n) {
    buffer *b = (buffer *)user;
    if (n > b->room - b->n) {
        b->room = (b->n + n) * 2;
        b->bytes = (unsigned char *)realloc(b->bytes, b->room);
        if (!b->bytes) fail("no memory");
    }
    memcpy(b->bytes + b->n, bytes, n);
    b->n += n;
    return 0;
}

static void put(const void *bytes, size_t n) {
    if (n && fwrite(bytes, 1, n, stdout) != n) fail("the output cannot be written");
}

static void put_number(uint64_t n, int bytes) {
    unsigned char b[8];
    int i;
    for (i = 0; i < bytes; i++) b[i] = (unsigned char)(n >> (8 * i) & 255);
    put(b, (size_t)bytes);
}

static void put_result(st_status status, const buffer *b, const st_error *error) {
    if (status == ST_OK) {
        put_number(b->n, 8);
        put(b->bytes, b->n);
    } else {
        put_number(UINT64_MAX, 8);
        put_number(strlen(st_status_name(status)) + 2 + strlen(error->message), 4);
        put(st_status_name(status), strlen(st_status_name(status)));
        put(": ", 2);
        put(error->message, strlen(error->message));
    }
}

/* ---- one model ----------------------------------------------------------------------------------------- */

static st_pair *get_pairs(size_t *count) {
    size_t i;
    st_pair *pairs;
    *count = (size_t)get_number(4);
    pairs = (st_pair *)take(*count * sizeof *pairs);
    for (i = 0; i < *count; i++) {
        pairs[i].key = get_text(&pairs[i].key_bytes);
        pairs[i].value = get_text(&pairs[i].value_bytes);
    }
    return pairs;
}

static st_status save_to_sink(const st_sink *sink, const st_contents *contents, const st_save_options *options,
                              st_error *error) {
    st_save_options all;
    memset(&all, 0, sizeof all);
    if (options) all = *options;
    all.sink = sink;
    return st_save(NULL, contents, &all, error);
}

/* everything but its index */
static st_contents get_contents(void) {
    int has_metadata = (int)get_number(1);
    st_contents contents;
    st_tensor *tensors;
    size_t i;
    memset(&contents, 0, sizeof contents);
    contents.metadata = get_pairs(&contents.metadata_count);
    if (!has_metadata) contents.metadata = NULL;
    contents.count = (size_t)get_number(4);
    contents.tensors = tensors = (st_tensor *)take(contents.count * sizeof *tensors);
    for (i = 0; i < contents.count; i++) tensors[i] = get_tensor();
    return contents;
}

static st_status save_described(const st_sink *sink, st_error *error) {
    const st_contents contents = get_contents();
    return save_to_sink(sink, &contents, NULL, error);
}

static st_status save_sharded(buffer *b, st_error *error) {
    st_save_options options;
    st_contents contents;
    const st_pair *index;
    size_t index_count;
    char path[1000];
    char block[4096];
    const char *directory;
    size_t n;
    st_status status;
    FILE *file;
    memset(&options, 0, sizeof options);
    options.flags = ST_SAVE_NO_SYNC;
    options.max_shard_bytes = get_number(8);
    index = get_pairs(&index_count);
    directory = get_text(&n);
    if (n > sizeof path - 50) fail("the directory's name is too long");
    contents = get_contents();
    contents.index = index;
    contents.index_count = index_count;
    status = st_save_sharded(directory, &contents, &options, error);
    snprintf(path, sizeof path, "%s/model.safetensors.index.json", directory);
    file = fopen(path, "rb");
    while (file && (n = fread(block, 1, sizeof block, file)) > 0) keep(b, block, n);
    if (file && fclose(file) != 0) fail("the index cannot be read");
    return status;
}

static st_status save_anew(const st_sink *sink, st_error *error) {
    uint64_t n = get_number(8);
    const unsigned char *file = get_bytes(n);
    st_model *m;
    st_status status = st_open_memory(&m, file, (size_t)n, NULL, error);
    if (status == ST_OK) {
        const st_contents contents = st_contents_of(m);
        status = save_to_sink(sink, &contents, NULL, error);
    }
    st_close(m);
    return status;
}

int main(void) {
    buffer b = {NULL, 0, 0};
    st_sink sink;
    int how;
#ifdef _WIN32
    _setmode(_fileno(stdin), _O_BINARY);
    _setmode(_fileno(stdout), _O_BINARY);
#endif
    sink.user = &b;
    sink.write = keep;
    while ((how = getchar()) != EOF) {
        st_error error;
        st_status status;
        if (how > 2) fail("a model that is neither described nor a file");
        b.n = 0;
        status = how == 0   ? save_described(&sink, &error)
                 : how == 1 ? save_anew(&sink, &error)
                            : save_sharded(&b, &error);
        put_result(status, &b, &error);
        forget();
    }
    free(b.bytes);
    return fflush(stdout) != 0 || ferror(stdin);
}
