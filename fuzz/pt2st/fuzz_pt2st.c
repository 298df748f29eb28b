/* fuzz_pt2st.c: converts hostile checkpoints with the program examples/pt2st. What it accepts must become a valid
 * safetensors file, whose every element is the one that shape, strides and offset of the checkpoint lead to.
 *
 * Input: one option byte, then a file; or, with the option WRAP, only the member data.pkl of one, which the harness
 * puts into a ZIP archive beside four storages. */
#include "../../examples/pt2st/pt2st.h"
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

/* bits of the option byte; the higher ones are options of the program, whose numbers they are not */
enum { WRAP = 1, DEFLATED = 2, OF_BIG_ENDIAN = 128 };

#define CHECK(condition) \
    if (!(condition)) (fprintf(stderr, "fuzz_pt2st: line %d: %s\n", __LINE__, #condition), abort())

typedef struct bytes {
    unsigned char *first;
    size_t count;
} bytes;

static void append(bytes *b, const void *more, size_t n) {
    b->first = (unsigned char *)realloc(b->first, b->count + n + 1);
    CHECK(b->first);
    if (n) memcpy(b->first + b->count, more, n);
    b->count += n;
}

static void append_number(bytes *b, size_t number, int n) {
    for (; n > 0; n--, number >>= 8) append(b, &(unsigned char){(unsigned char)(number & 255)}, 1);
}

static int write_bytes(void *user, const void *more, size_t n) {
    append((bytes *)user, more, n);
    return 0;
}

static void append_member(bytes *zip, bytes *directory, const char *name, const unsigned char *data, size_t n,
                          int deflated) {
    const size_t offset = zip->count;
    bytes packed = {NULL, 0};
    append(&packed, data, n);
    if (deflated) {
        z_stream z;
        memset(&z, 0, sizeof z);
        packed.count = compressBound((uLong)n) + 64;
        packed.first = (unsigned char *)realloc(packed.first, packed.count);
        CHECK(packed.first && deflateInit2(&z, 1, Z_DEFLATED, -15, 8, Z_DEFAULT_STRATEGY) == Z_OK);
        z.next_in = (unsigned char *)(uintptr_t)data, z.avail_in = (uInt)n;
        z.next_out = packed.first, z.avail_out = (uInt)packed.count;
        CHECK(deflate(&z, Z_FINISH) == Z_STREAM_END);
        packed.count = z.total_out;
        deflateEnd(&z);
    }
    append(zip, "PK\3\4", 4), append(directory, "PK\1\2", 4), append_number(directory, 20, 2);
    for (int i = 0; i < 2; i++) { /* the same in both places */
        bytes *b = i ? directory : zip;
        append_number(b, 20, 2), append_number(b, 0, 2), append_number(b, deflated ? 8 : 0, 2), append_number(b, 0, 8);
        append_number(b, packed.count, 4), append_number(b, n, 4), append_number(b, strlen(name), 2);
        append_number(b, 0, 2);
    }
    append_number(directory, 0, 10), append_number(directory, offset, 4);
    append(directory, name, strlen(name)), append(zip, name, strlen(name));
    append(zip, packed.first, packed.count);
    free(packed.first);
}

static bytes archive_of(const uint8_t *pickle, size_t n, int flags) {
    static const char *const names[4] = {"a/data/0", "a/data/1", "a/data/2", "a/data/3"};
    bytes zip = {NULL, 0}, directory = {NULL, 0};
    unsigned char data[96];
    int i;
    for (i = 0; i < (int)sizeof data; i++) data[i] = (unsigned char)(i * 37 + 11);
    append_member(&zip, &directory, "a/data.pkl", pickle, n, 0);
    append_member(&zip, &directory, "a/byteorder", (const unsigned char *)(flags & OF_BIG_ENDIAN ? "big" : "little"),
                  flags & OF_BIG_ENDIAN ? 3 : 6, 0);
    for (i = 0; i < 4; i++)
        append_member(&zip, &directory, names[i], data, i < 2 ? 96 : i == 2 ? 24 : 8, flags & DEFLATED);
    const size_t offset = zip.count;
    append(&zip, directory.first, directory.count);
    append(&zip, "PK\5\6", 4), append_number(&zip, 0, 4), append_number(&zip, 6, 2), append_number(&zip, 6, 2);
    append_number(&zip, directory.count, 4), append_number(&zip, offset, 4), append_number(&zip, 0, 2);
    free(directory.first);
    return zip;
}

/* Compares every element of a tensor with the one in the storage. */
static void check_elements(job *j, const tensor *t, const unsigned char *data) {
    const uint64_t count = t->bytes / t->size;
    const size_t size = (size_t)t->size, word = t->dtype == ST_DTYPE_C64 ? 4 : size;
    unsigned char element[8];
    for (uint64_t i = 0; i < count; i++) {
        uint64_t left = i, from = t->start;
        for (uint32_t d = t->rank; d-- > 0; left /= t->shape[d]) from += left % t->shape[d] * t->stride[d] * size;
        read_part(j, t->data, from, element, size);
        for (size_t k = 0; k < size; k++) {
            const size_t in_word = t->is_swapped ? k - k % word + word - 1 - k % word : k;
            CHECK(data[i * size + k] == element[in_word]);
        }
    }
}

static void convert(job *j, bytes *out) {
    const st_allocator allocator = {&j->guard, guard_take, guard_give};
    const st_sink sink = {out, write_bytes};
    st_contents contents = ST_ZERO_INIT;
    st_save_options options = ST_ZERO_INIT;
    uint64_t total = 0;
    value *root;
    st_error error;
    size_t i;
    j->guard.is_scratch = 1;
    root = read_archive(j);
    j->guard.is_scratch = 0;
    collect_tensors(j, root);
    guard_free_scratch(&j->guard);
    for (i = 0; i < j->item_count; i++) {
        total += j->items[i].bytes;
        if (j->items[i].bytes > 1 << 16 || total > 1 << 17) guard_fail(&j->guard, "too large");
    }
    add_pair(j, "format", 6, "pt", 2);
    share_tensors(j);
    contents.tensors = j->tensors, contents.count = j->item_count;
    contents.metadata = j->pairs, contents.metadata_count = j->pair_count;
    options.fill = fill_tensor, options.user = j, options.allocator = &allocator, options.sink = &sink;
    if (st_save(NULL, &contents, &options, &error) != ST_OK) out->count = 0; /* such as two tensors of one name */
    CHECK(error.status != ST_ERR_ARGUMENT || strstr(error.message, "__metadata__"));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static job job_memory;
    job *j = &job_memory;
    static const char *const path = "input";
    const char *paths[1];
    uint64_t sizes[1];
    bytes file = {NULL, 0}, out = {NULL, 0};
    jmp_buf trap;
    if (size < 2) return 0;
    const int flags = data[0];
    memset(j, 0, sizeof *j);
    if (flags & WRAP) {
        file = archive_of(data + 1, size - 1, flags);
    } else {
        append(&file, data + 1, size - 1);
    }
    j->all = flags & 4, j->keep_copies = flags & 8, j->metadata = flags & 16, j->transpose = flags & 32;
    j->any_class = flags & 64;
    j->guard.limit = 8 << 20, j->most_bytes = 1 << 20;
    paths[0] = path, sizes[0] = file.count;
    j->paths = paths, j->path_bytes = sizes, j->path_count = 1;
    j->input = fmemopen(file.first, file.count, "rb");
    j->whole.bytes = file.count;
    CHECK(j->input);
    j->guard.trap = &trap;
    if (!setjmp(trap)) {
        convert(j, &out);
        j->guard.trap = &trap;
        if (out.count) {
            st_model *model;
            st_error error;
            CHECK(st_open_memory(&model, out.first, out.count, NULL, &error) == ST_OK);
            CHECK(model->count == j->item_count);
            for (size_t i = 0; i < j->item_count; i++) {
                const st_tensor *t = st_find_n(model, j->items[i].name, j->items[i].name_bytes);
                CHECK(t && t->bytes == j->items[i].bytes);
                check_elements(j, &j->items[i], (const unsigned char *)t->data);
            }
            st_close(model);
        }
    }
    if (j->input) fclose(j->input);
    if (j->spool) fclose(j->spool);
    guard_free(&j->guard);
    CHECK(j->guard.used == 0);
    free(file.first);
    free(out.first);
    return 0;
}
