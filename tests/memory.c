/* Tests room 8: the work-buffer sizes that errors ask for, the memory that a model keeps, and allocators. */
#define ST_IMPLEMENTATION
#include "../safetensors.h"

#include "large.h"
#include "seeds.h"
#include "sources.h"

/* opens with a work buffer `skew` bytes past a multiple of 16, which ends at the end of its heap block */
static st_status open_in(int kind, const unsigned char *file, size_t n, unsigned char *block, size_t skew,
                         size_t work_bytes, st_model **model, st_error *error) {
    source s;
    memset(&s, 0, sizeof s);
    s.kind = kind;
    counting_begin(&s.memory); /* must not be used */
    served_begin(&s.served, file, n);
    s.options.allocator = &s.memory.allocator;
    s.options.work.data = block + skew;
    s.options.work.bytes = work_bytes;
    if (kind == FROM_FILES) s.options.files = &s.served.files;
    if (kind == FROM_FILE_NO_MAP) s.options.flags = ST_OPEN_NO_MAP;
    if (kind == FROM_MAPPED_IO) s.served.io.read_at = NULL, s.served.io.mapped = file;
    s.status = source_call(&s, file, n);
    *model = s.model;
    *error = s.error;
    check_error(error, s.status, source_prefix(kind));
    CHECK_EQ(s.memory.calls, 0);
    if (s.status == ST_OK) {
        const char *low = (const char *)block + skew, *high = low + work_bytes;
        const char *m = (const char *)s.model;
        CHECK(m >= low && m < high);
        if (s.model->count > 0) {
            const st_tensor *last = &s.model->tensors[s.model->count - 1];
            CHECK((const char *)(last + 1) <= high && last->name >= low && last->name + last->name_bytes < high);
        }
        check_sound(s.model, n, 0);
        st_close(s.model);
        *model = NULL;
    }
    CHECK_EQ(s.served.opens, s.served.closes);
    return s.status;
}

/* returns the size that the error asks for */
static size_t ask(int kind, const unsigned char *file, size_t n, size_t skew) {
    unsigned char *block = (unsigned char *)malloc(skew + 1);
    st_model *model;
    st_error error;
    if (block == NULL) exit(2);
    CHECK_STATUS(open_in(kind, file, n, block, skew, 1, &model, &error), ST_ERR_MEMORY);
    CHECK(model == NULL && error.expected > 1);
    free(block);
    return (size_t)error.expected;
}

static st_status try_with(int kind, const unsigned char *file, size_t n, size_t skew, size_t work_bytes,
                          st_error *error) {
    unsigned char *block = (unsigned char *)malloc(skew + work_bytes + 1);
    st_model *model;
    st_status status;
    if (block == NULL) exit(2);
    memset(block, 0xa5, skew + work_bytes + 1);
    status = open_in(kind, file, n, block, skew, work_bytes, &model, error);
    CHECK_EQ(block[skew + work_bytes], 0xa5);
    free(block);
    return status;
}

/* returns the least work-buffer size that suffices */
static size_t least_of(int kind, const unsigned char *file, size_t n, size_t skew, size_t enough) {
    size_t low = 0, high = enough; /* invariant: low is too small, high suffices */
    st_error error;
    while (high - low > 1) {
        const size_t middle = low + (high - low) / 2;
        st_status s = try_with(kind, file, n, skew, middle, &error);
        CHECK(s == ST_OK || s == ST_ERR_MEMORY);
        if (s == ST_OK)
            high = middle;
        else
            low = middle;
    }
    return high;
}

/* The size asked for suffices, and is at most 9 times the header plus the model. If the header fits in the buffer
 * but the model does not, it is exact. */
static void suffices_for(const unsigned char *file, size_t n) {
    int kind;
    size_t skew;
    const char *row = test_row;
    scratch_write(SOURCE_FILE, file, n);
    for (kind = 0; kind < SOURCE_KINDS; kind++) {
        char where[256];
        if (kind == FROM_WORK) continue;
        snprintf(where, sizeof where, "%s, from %s", row, source_names[kind]);
        test_row = where;
        for (skew = 0; skew < 9; skew++) {
            const size_t need = ask(kind, file, n, skew), least = least_of(kind, file, n, skew, need);
            st_error error;
            CHECK(need <= 9 * ((size_t)file[0] | (size_t)file[1] << 8 | (size_t)file[2] << 16) + 1024);
            CHECK_STATUS(try_with(kind, file, n, skew, need, &error), ST_OK);
            CHECK_STATUS(try_with(kind, file, n, skew, need + 64, &error), ST_OK);
            CHECK_STATUS(try_with(kind, file, n, skew, least, &error), ST_OK);
            CHECK_STATUS(try_with(kind, file, n, skew, least - 1, &error), ST_ERR_MEMORY);
            CHECK_EQ(error.expected, least);
        }
        test_row = row;
    }
}

/* any smaller buffer is rejected with the same size, or with the exact one once the header fits; none is overrun */
static void every_size(const unsigned char *file, size_t n) {
    const size_t need = ask(FROM_MEMORY, file, n, 0), least = least_of(FROM_MEMORY, file, n, 0, need);
    size_t bytes, told = need;
    st_error error;
    for (bytes = 0; bytes < least; bytes++) {
        CHECK_STATUS(try_with(FROM_MEMORY, file, n, 0, bytes, &error), ST_ERR_MEMORY);
        if (told == need) told = (size_t)error.expected;
        CHECK_EQ(error.expected, told);
    }
    CHECK_EQ(told, least);
    for (; bytes <= need; bytes += 13) CHECK_STATUS(try_with(FROM_MEMORY, file, n, 0, bytes, &error), ST_OK);
}

/* an invalid header: any buffer size gives the error or asks for a size that suffices */
static void wrong_header(const char *header, const char *data, st_status verdict_of) {
    size_t n, bytes;
    unsigned char *file = make_file(header, strlen(header), data, strlen(data), &n);
    const size_t bound = ask(FROM_MEMORY, file, n, 0);
    st_error error;
    test_row = header;
    CHECK_STATUS(try_with(FROM_MEMORY, file, n, 0, bound, &error), verdict_of);
    CHECK_STATUS(try_with(FROM_IO, file, n, 3, ask(FROM_IO, file, n, 3), &error), verdict_of);
    for (bytes = 0; bytes < bound; bytes++) {
        st_status status = try_with(FROM_MEMORY, file, n, 0, bytes, &error);
        CHECK(status == verdict_of || status == ST_ERR_MEMORY);
        if (status != ST_ERR_MEMORY) continue;
        CHECK(error.expected > bytes);
        CHECK_STATUS(try_with(FROM_MEMORY, file, n, 0, (size_t)error.expected, &error), verdict_of);
    }
    test_row = "";
    free(file);
}

/* the header that needs most memory for its length: metadata pairs of 6 characters with two-letter keys */
static unsigned char *short_pairs(size_t count, size_t *n) {
    growing header = {NULL, 0, 0};
    size_t i;
    text_put(&header, "{\"__metadata__\":{\"\":\"\"");
    for (i = 0; i < count; i++) {
        char pair[] = ",\"?\":\"\"";
        pair[2] = (char)("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"[i]);
        text_put(&header, pair);
    }
    text_put(&header, "}}");
    return text_file(&header, 0, n);
}

static void work_buffers(void) {
    unsigned char *file;
    size_t n, i;
    for (i = 0; i < SEED_COUNT; i++) {
        file = case_file(&seeds[i], &n);
        test_row = seeds[i].name;
        suffices_for(file, n);
        every_size(file, n);
        free(file);
    }
    for (i = 0; i <= 62; i += 31) {
        file = short_pairs(i, &n);
        test_row = "short pairs";
        suffices_for(file, n);
        every_size(file, n);
        free(file);
    }
    test_row = "";
    for (i = 0; i < 400; i = i * 3 + 1) {
        file = many_tensors("layer.", i, i % 2 == 0, &n);
        suffices_for(file, n);
        if (i < 50) every_size(file, n);
        free(file);
        file = many_pairs("key.", i, &n);
        suffices_for(file, n);
        if (i < 50) every_size(file, n);
        free(file);
    }
    wrong_header("{", "", ST_ERR_JSON);
    wrong_header("{\"t\":1}", "", ST_ERR_SCHEMA);
    wrong_header("{\"t\":" E("U8", "[2]", "[0,2]") "}", "a", ST_ERR_TRUNCATED);
    wrong_header("{\"t\":" E("U8", "[2]", "[0,2]") "}", "abc", ST_ERR_TRAILING);
    wrong_header("{\"t\":" E("U8", "[2]", "[0,1]") "}", "a", ST_ERR_SIZE);
    wrong_header("{\"u\":" E("U8", "[2]", "[2,4]") ",\"t\":" E("U8", "[2]", "[0,1]") "}", "a", ST_ERR_SIZE);
    wrong_header("{\"t\":" E("U8", "[2]", "[0,2]") ",\"t\":" E("U8", "[2]", "[0,2]") "}", "ab", ST_ERR_DUPLICATE);
    wrong_header(
        "{\"t\":" E("U8", "[2]", "[0,2]") ",\"u\":" E("U8", "[0]", "[2,2]") ",\"v\":" E("U8", "[0]", "[2,2]") "", "ab",
        ST_ERR_JSON);
    wrong_header("{\"\":" E("U8", "[2]", "[0,2]") "}  \300", "ab", ST_ERR_UTF8);
    wrong_header("{\"__metadata__\":{\"\":\"\",\"a\":\"\",\"b\":\"\",\"c\":\"\",\"d\":\"\",\"e\":1}}", "",
                 ST_ERR_SCHEMA);
    wrong_header("{\"__metadata__\":{\"\":\"\",\"a\":\"\",\"b\":\"\",\"c\":\"\",\"d\":\"\",\"e\":\"\",\"a\":\"\"}}", "",
                 ST_ERR_DUPLICATE);
}

/* errors found before the header is parsed need no memory */
static void before_memory(void) {
    char work[1];
    st_open_options options;
    st_model *model;
    st_error error;
    memset(&options, 0, sizeof options);
    options.work.data = work;
    options.work.bytes = 0;
    CHECK_STATUS(st_open_memory(&model, "abc", 3, &options, &error), ST_ERR_TRUNCATED);
    CHECK_STATUS(st_open_memory(&model, "\003\000\000\000\000\000\000\000{}", 10, &options, &error), ST_ERR_TRUNCATED);
    CHECK_STATUS(st_open_memory(&model, "\000\000\000\000\000\000\000\001{}", 10, &options, &error),
                 ST_ERR_HEADER_LIMIT);
    CHECK_STATUS(st_open_memory(&model, "\002\000\000\000\000\000\000\000{}", 10, &options, &error), ST_ERR_MEMORY);
}

/* the model is one block: 96 bytes, the name and 8 per dimension for a tensor, 40 and the text for a pair, and the
 * struct */
static void kept(const unsigned char *file, size_t n) {
    enum { MODEL = 640 };
    counting c;
    st_open_options options;
    st_model *model;
    st_error error;
    size_t bound = MODEL, i;
    memset(&options, 0, sizeof options);
    counting_begin(&c);
    options.allocator = &c.allocator;
    if (!CHECK_STATUS(st_open_memory(&model, file, n, &options, &error), ST_OK)) return;
    CHECK_EQ(c.live_blocks, 1);
    for (i = 0; i < model->count; i++) bound += 96 + model->tensors[i].name_bytes + 8 * (size_t)model->tensors[i].rank;
    for (i = 0; i < model->metadata_count; i++)
        bound += 40 + model->metadata[i].key_bytes + model->metadata[i].value_bytes;
    CHECK(c.live_bytes <= bound);
    st_close(model);
    counting_end(&c);
}

static void kept_bytes(void) {
    size_t n, i;
    for (i = 0; i < SEED_COUNT; i++) {
        unsigned char *file = case_file(&seeds[i], &n);
        kept(file, n);
        free(file);
    }
    for (i = 1; i < 70000; i = i + 1 + i / 3) {
        unsigned char *file = many_tensors("", i, 0, &n);
        kept(file, n);
        free(file);
        file = many_pairs("", i, &n);
        kept(file, n);
        free(file);
    }
}

/* options are copied and need not outlive st_open */
static void copies(void) {
    size_t n;
    unsigned char *file = many_tensors("t", 3, 0, &n);
    counting c;
    served s;
    st_allocator *allocator = (st_allocator *)malloc(sizeof *allocator);
    st_files *files = (st_files *)malloc(sizeof *files);
    st_io *io = (st_io *)malloc(sizeof *io);
    st_open_options *options = (st_open_options *)malloc(sizeof *options);
    char *path = (char *)malloc(64);
    st_model *one, *two;
    st_error error;
    char byte = 0;
    if (allocator == NULL || files == NULL || io == NULL || options == NULL || path == NULL) exit(2);
    counting_begin(&c);
    served_begin(&s, file, n);
    *allocator = c.allocator;
    *files = s.files;
    *io = s.io;
    memset(options, 0, sizeof *options);
    options->allocator = allocator;
    options->files = files;
    strcpy(path, s.path);
    CHECK_STATUS(st_open(&one, path, options, &error), ST_OK);
    CHECK_STATUS(st_open_io(&two, io, options, &error), ST_OK);
    memset(allocator, 0xdd, sizeof *allocator);
    memset(files, 0xdd, sizeof *files);
    memset(io, 0xdd, sizeof *io);
    memset(path, 0xdd, 64);
    free(allocator), free(files), free(io), free(options), free(path);
    CHECK_STR(one->shards[0].path, s.path);
    CHECK_STATUS(st_read(one, st_find(one, "t2"), 0, &byte, 1, &error), ST_OK);
    CHECK_EQ(byte, 'c');
    CHECK_STATUS(st_read(two, st_find(two, "t1"), 0, &byte, 1, &error), ST_OK);
    CHECK_EQ(byte, 'b');
    st_close(one);
    st_close(two);
    counting_end(&c);
    CHECK(s.opens == 1 && s.closes == 1);
    free(file);
}

static void half_an_allocator(void) {
    counting c;
    st_open_options options;
    st_model *model;
    st_error error;
    memset(&options, 0, sizeof options);
    counting_begin(&c);
    (c.allocator.free) = NULL;
    options.allocator = &c.allocator;
    CHECK_STATUS(st_open_memory(&model, "\002\000\000\000\000\000\000\000{}", 10, &options, &error), ST_ERR_ARGUMENT);
    CHECK(model == NULL);
    counting_begin(&c);
    c.allocator.alloc = NULL;
    CHECK_STATUS(st_open_memory(&model, "\002\000\000\000\000\000\000\000{}", 10, &options, &error), ST_ERR_ARGUMENT);
    /* NULL: the C library's */
    options.allocator = NULL;
    CHECK_STATUS(st_open_memory(&model, "\002\000\000\000\000\000\000\000{}", 10, &options, &error), ST_OK);
    st_close(model);
}

/* sizes over SIZE_MAX fail without calling the allocator */
static void obtain(void) {
    counting c;
    sti_memory m;
    memset(&m, 0, sizeof m);
    CHECK(sti_allocate(&m, 8) == NULL);
    counting_begin(&c);
    m.allocator = c.allocator;
    CHECK(sti_allocate(&m, SIZE_MAX) == NULL);
    CHECK_EQ(c.calls, 0);
    sti_deallocate(&m, NULL, 8);
    sti_deallocate(&m, sti_allocate(&m, 8), 8);
    counting_end(&c);
}

int main(void) {
    scratch_begin("memory");
    obtain();
    work_buffers();
    before_memory();
    kept_bytes();
    copies();
    half_an_allocator();
    scratch_remove(SOURCE_FILE);
    scratch_end();
    return test_done("memory");
}
