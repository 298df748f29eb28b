/* Writing: whole, streamed, filled and to a sink give the same bytes; the old file survives a failure. */
#define ST_IMPLEMENTATION
#include "safetensors.h"
#include "expect.h"

static unsigned char sunk[4096];
static size_t sunk_bytes, sunk_limit = sizeof sunk;
static int sink_write(void *user, const void *bytes, size_t n) {
    (void)user;
    if (n > sunk_limit - sunk_bytes) return 28;
    memcpy(sunk + sunk_bytes, bytes, n);
    sunk_bytes += n;
    return 0;
}
static size_t slurp(const char *path, unsigned char *out, size_t room) {
    FILE *f = fopen(path, "rb");
    size_t n = f ? fread(out, 1, room, f) : 0;
    if (f) fclose(f);
    return n;
}
static st_status save(const char *path, const st_tensor *tensors, size_t count, const st_pair *metadata,
                      size_t metadata_count, const st_save_options *options, st_error *error) {
    st_contents c = ST_ZERO_INIT;
    c.tensors = tensors, c.count = count, c.metadata = metadata, c.metadata_count = metadata_count;
    return st_save(path, &c, options, error);
}
static st_pair pair(const char *key, const char *value) {
    st_pair p;
    memset(&p, 0, sizeof p);
    p.key = key, p.value = value;
    return p;
}
static const float w[4] = {1, 2, 3, 4};
static const unsigned char b[2] = {7, 8};
static int fill(void *user, const st_tensor *t, uint64_t offset, void *dst, size_t n) {
    memcpy(dst, (t->name[0] == 'b' ? b : (const unsigned char *)w) + offset, n);
    return *(int *)user;
}

int main(void) {
    const uint64_t two[1] = {2}, mat[2] = {2, 2};
    static unsigned char file[4096], again[4096];
    st_tensor t[3], one;
    st_pair pairs[2];
    st_sink sink = {NULL, sink_write};
    st_save_options o;
    st_error e;
    st_model *m;
    st_writer *writer;
    st_contents everything;
    const st_tensor *next;
    size_t n, i;
    int code = 0;
    const char *path = "callsite-write.safetensors";

    t[0] = st_tensor_of("bytes", ST_DTYPE_U8, 1, two, b);
    t[1] = st_tensor_of("w", ST_DTYPE_F32, 2, mat, w);
    t[2] = st_tensor_of("a\"\n\xc3\xa9", ST_DTYPE_F32, 0, NULL, w);
    pairs[0] = pair("z", "1"), pairs[1] = pair("a", "2");
    memset(&o, 0, sizeof o);

    EXPECT(save(path, t, 3, pairs, 2, NULL, &e) == ST_OK);
    n = slurp(path, file, sizeof file);
    { /* dtype descending, then name; metadata keys sorted; padded with spaces to 8 */
        const char *want = "{\"__metadata__\":{\"a\":\"2\",\"z\":\"1\"},"
                           "\"a\\\"\\n\xc3\xa9\":{\"dtype\":\"F32\",\"shape\":[],\"data_offsets\":[0,4]},"
                           "\"w\":{\"dtype\":\"F32\",\"shape\":[2,2],\"data_offsets\":[4,20]},"
                           "\"bytes\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[20,22]}}";
        size_t len = strlen(want), padded = (len + 7) / 8 * 8;
        EXPECT(n == 8 + padded + 22 && file[0] == (padded & 255) && memcmp(file + 8, want, len) == 0);
        EXPECT(padded == len || file[8 + padded - 1] == ' ');
    }
    o.sink = &sink;
    EXPECT(save(NULL, t, 3, pairs, 2, &o, &e) == ST_OK && sunk_bytes == n && memcmp(sunk, file, n) == 0);
    EXPECT(save(path, t, 3, pairs, 2, &o, &e) == ST_ERR_ARGUMENT); /* a file or a sink, not both */
    o.sink = NULL;

    /* pushed byte by byte */
    EXPECT(st_writer_open(&writer, path, NULL, &e) == ST_OK);
    EXPECT(st_writer_add_metadata(writer, &pairs[0], &e) == ST_OK &&
           st_writer_add_metadata(writer, &pairs[1], &e) == ST_OK);
    for (i = 0; i < 3; i++) EXPECT(st_writer_add(writer, &t[i], &e) == ST_OK);
    one = st_tensor_of("w", ST_DTYPE_U8, 1, two, NULL);
    EXPECT(st_writer_write(writer, w, 1, &e) == ST_ERR_STATE);
    EXPECT(st_writer_begin(writer, &e) == ST_OK);
    while ((next = st_writer_next(writer)) != NULL) {
        const unsigned char *src = next->name[0] == 'b' ? b : (const unsigned char *)w;
        uint64_t k, bytes = next->bytes;
        for (k = 0; k < bytes; k++) EXPECT(st_writer_write(writer, src + k, 1, &e) == ST_OK);
    }
    EXPECT(st_writer_finish(writer, &e) == ST_OK);
    st_writer_close(writer);
    EXPECT(slurp(path, again, sizeof again) == n && memcmp(file, again, n) == 0);

    /* a name declared twice is refused when the header is written */
    EXPECT(st_writer_open(&writer, path, NULL, &e) == ST_OK);
    EXPECT(st_writer_add(writer, &t[1], &e) == ST_OK && st_writer_add(writer, &one, &e) == ST_OK);
    EXPECT(st_writer_begin(writer, &e) == ST_ERR_DUPLICATE && strcmp(e.subject, "w") == 0);
    st_writer_close(writer);
    EXPECT(slurp(path, again, sizeof again) == n && memcmp(file, again, n) == 0);

    /* pushed out of order */
    EXPECT(st_writer_open(&writer, path, NULL, &e) == ST_OK);
    for (i = 0; i < 2; i++) EXPECT(st_writer_add_metadata(writer, &pairs[i], &e) == ST_OK);
    for (i = 0; i < 3; i++) EXPECT(st_writer_add(writer, &t[i], &e) == ST_OK);
    EXPECT(st_writer_begin(writer, &e) == ST_OK);
    EXPECT(st_writer_write_to(writer, &t[0], b, 2, &e) == ST_OK &&
           st_writer_write_to(writer, &t[1], w, 8, &e) == ST_OK);
    EXPECT(st_writer_write_to(writer, &t[2], w, 4, &e) == ST_OK &&
           st_writer_write_to(writer, &t[1], w + 2, 8, &e) == ST_OK);
    one = st_tensor_of("x", ST_DTYPE_U8, 1, two, NULL);
    EXPECT(st_writer_write_to(writer, &t[1], w, 1, &e) == ST_ERR_ARGUMENT &&
           st_writer_write_to(writer, &one, w, 1, &e) == ST_ERR_NOT_FOUND);
    EXPECT(st_writer_finish(writer, &e) == ST_OK);
    st_writer_close(writer);
    EXPECT(slurp(path, again, sizeof again) == n && memcmp(file, again, n) == 0);

    /* pulled: tensors without data ask for it */
    t[0].data = t[1].data = t[2].data = NULL;
    o.fill = fill, o.user = &code;
    EXPECT(save(path, t, 3, pairs, 2, &o, &e) == ST_OK);
    EXPECT(slurp(path, again, sizeof again) == n && memcmp(file, again, n) == 0);
    code = 7;
    EXPECT(save(path, t, 3, pairs, 2, &o, &e) == ST_ERR_IO && e.sys == 7);
    EXPECT(save(path, t, 3, pairs, 2, NULL, &e) == ST_ERR_ARGUMENT);
    t[0].data = b, t[1].data = t[2].data = w;

    /* what was opened can be saved as it is, mapped or not */
    for (i = 0; i < 2; i++) {
        const char *copy = "callsite-copy.safetensors";
        st_open_options open;
        memset(&open, 0, sizeof open);
        memset(&o, 0, sizeof o);
        open.flags = i ? ST_OPEN_NO_MAP : 0;
        EXPECT(st_open(&m, path, &open, &e) == ST_OK);
        everything = st_contents_of(m);
        EXPECT(st_save(copy, &everything, &o, &e) == ST_OK);
        EXPECT(slurp(copy, again, sizeof again) == n && memcmp(file, again, n) == 0);
        EXPECT(st_save(copy, &everything, NULL, &e) == ST_OK);
        st_close(m);
        EXPECT(slurp(copy, again, sizeof again) == n && memcmp(file, again, n) == 0);
        remove(copy);
    }

    /* an unfinished, an aborted and a failing write leave the old file as it was */
    EXPECT(st_writer_open(&writer, path, NULL, &e) == ST_OK);
    one = st_tensor_of("x", ST_DTYPE_F32, 2, mat, NULL);
    EXPECT(st_writer_add(writer, &one, &e) == ST_OK && st_writer_begin(writer, &e) == ST_OK);
    EXPECT(st_writer_write(writer, w, 4, &e) == ST_OK && st_writer_finish(writer, &e) == ST_ERR_STATE);
    st_writer_close(writer);
    EXPECT(slurp(path, again, sizeof again) == n && memcmp(file, again, n) == 0);
    sunk_bytes = 0, sunk_limit = 40;
    memset(&o, 0, sizeof o);
    o.sink = &sink;
    EXPECT(save(NULL, t, 3, pairs, 2, &o, &e) == ST_ERR_IO && e.sys == 28);
    {
        st_tensor twice[2], bad;
        twice[0] = twice[1] = st_tensor_of("w", ST_DTYPE_U8, 1, two, b);
        EXPECT(save(path, twice, 2, NULL, 0, NULL, &e) == ST_ERR_DUPLICATE);
        bad = st_tensor_of("__metadata__", ST_DTYPE_U8, 1, two, b);
        EXPECT(save(path, &bad, 1, NULL, 0, NULL, &e) == ST_ERR_ARGUMENT);
        bad = st_tensor_of("\xff", ST_DTYPE_U8, 1, two, b);
        EXPECT(save(path, &bad, 1, NULL, 0, NULL, &e) == ST_ERR_UTF8);
        pairs[1].key = "z";
        EXPECT(save(path, t, 3, pairs, 2, NULL, &e) == ST_ERR_DUPLICATE);
        EXPECT(slurp(path, again, sizeof again) == n && memcmp(file, again, n) == 0);
    }

    /* metadata edits keep size, tensors and alignment while they fit the slack, either way */
    for (i = 0; i < 2; i++) {
        st_pair edit = pair("k", "vvvvvvvvvv");
        size_t before, after;
        memset(&o, 0, sizeof o);
        o.slack = 256;
        o.align = 64;
        EXPECT(save(path, t, 3, NULL, 0, &o, &e) == ST_OK);
        before = slurp(path, file, sizeof file);
        memset(&o, 0, sizeof o);
        o.flags = i ? ST_SAVE_IN_PLACE : 0;
        EXPECT(st_edit_metadata(path, &edit, 1, &o, &e) == ST_OK);
        after = slurp(path, again, sizeof again);
        EXPECT(before == after && memcmp(file, again, 8) == 0 &&
               memcmp(file + after - 22, again + after - 22, 22) == 0);
        EXPECT(st_open(&m, path, NULL, &e) == ST_OK && strcmp(st_find_metadata(m, "k")->value, "vvvvvvvvvv") == 0);
        EXPECT(m->shards[0].data_offset % 64 == 0 && m->count == 3);
        st_close(m);
    }
    EXPECT(save(path, NULL, 0, NULL, 0, NULL, &e) == ST_OK && slurp(path, again, sizeof again) == 16);
    EXPECT(memcmp(again, "\x08\0\0\0\0\0\0\0{}      ", 16) == 0);
    /* no metadata and empty metadata are not the same, and both survive a rewrite */
    EXPECT(save(path, t, 1, pairs, 0, NULL, &e) == ST_OK && st_open(&m, path, NULL, &e) == ST_OK);
    EXPECT(m->metadata != NULL && m->metadata_count == 0);
    n = slurp(path, file, sizeof file);
    EXPECT(memcmp(file + 8, "{\"__metadata__\":{},", 19) == 0);
    everything = st_contents_of(m);
    EXPECT(st_save("callsite-copy.safetensors", &everything, NULL, &e) == ST_OK);
    st_close(m);
    EXPECT(slurp("callsite-copy.safetensors", again, sizeof again) == n && memcmp(file, again, n) == 0);
    remove("callsite-copy.safetensors");
    remove(path);
    return expect_done("write");
}
