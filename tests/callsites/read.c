/* Reading from memory: fields, lookup, raw bytes. */
#define ST_IMPLEMENTATION
#include "safetensors.h"
#include "expect.h"

int main(void) {
    static unsigned char file[1024];
    const float f[6] = {1, 2, 3, 4, 5, 6};
    unsigned char data[24 + 4 + 4];
    st_model *m;
    st_error e;
    const st_tensor *a, *b;
    float out[6];
    size_t n;
    memcpy(data, f, 24);
    memcpy(data + 24, "\x80\x3f\x00\x40", 4); /* BF16 1, 2 */
    memcpy(data + 28, "\x00\x3c\x00\xc0", 4); /* F16 1, -2 */
    n = make_file(file,
                  "{\"__metadata__\":{\"format\":\"pt\"},"
                  "\"m\":{\"dtype\":\"F32\",\"shape\":[2,3],\"data_offsets\":[0,24]},"
                  "\"b\":{\"dtype\":\"BF16\",\"shape\":[2],\"data_offsets\":[24,28]},"
                  "\"h\\u00e9\":{\"dtype\":\"F16\",\"shape\":[2,1],\"data_offsets\":[28,32]}}",
                  data, sizeof data);
    EXPECT(st_open_memory(&m, file, n, NULL, &e) == ST_OK);
    EXPECT(m->count == 3 && m->shard_count == 1 && m->bytes == 32 && m->metadata_count == 1 && m->index_count == 0);
    EXPECT(strcmp(st_find_metadata(m, "format")->value, "pt") == 0 && st_find_metadata(m, "nope") == NULL);
    a = st_find(m, "m");
    EXPECT(a && a == &m->tensors[0] && a->rank == 2 && a->shape[0] == 2 && a->shape[1] == 3 && a->elements == 6);
    EXPECT(a->data == file + n - 32 && a->offset == n - 32 && a->bytes == 24 && a->dtype == ST_DTYPE_F32);
    EXPECT(strcmp(a->dtype_name, "F32") == 0 && strcmp(st_dtype_name(ST_DTYPE_BF16), "BF16") == 0);
    EXPECT(st_is_aligned(a) == ((uintptr_t)a->data % 4 == 0));
    b = st_find(m, "h\xc3\xa9");
    EXPECT(b && b->name_bytes == 3 && strcmp(b->name, "h\xc3\xa9") == 0);
    EXPECT(st_find(m, "H\xc3\xa9") == NULL && st_find_n(m, "mx", 1) == a);
    EXPECT(st_read(m, a, 4, out, 8, &e) == ST_OK && out[0] == 2 && out[1] == 3);
    out[0] = -1;
    EXPECT(st_read(m, a, 20, out, 8, &e) == ST_ERR_ARGUMENT && out[0] == -1);
    EXPECT(st_read(m, a, 24, out, 0, &e) == ST_OK);
    st_close(m);
    st_close(NULL);
    return expect_done("read");
}
