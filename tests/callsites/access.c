/* Typed reads, views, conversion, bulk loads. */
#define ST_IMPLEMENTATION
#include "safetensors.h"
#include "expect.h"

static int stop_at_once(void *user, uint64_t done, uint64_t total) {
    (void)user;
    return done > 0 && total > 0;
}
static int sum_bytes(void *user, uint64_t done, uint64_t total) {
    *(uint64_t *)user += done == total ? total : 0;
    return 0;
}

int main(void) {
    static unsigned char file[1024];
    const float f[6] = {1, 2, 3, 4, 5, 6};
    unsigned char data[24 + 4 + 4];
    st_model *m;
    st_error e;
    const st_tensor *a, *h;
    float out[6];
    double d[6];
    uint64_t shape[4], elements;
    size_t n;
    memcpy(data, f, 24);
    memcpy(data + 24, "\x80\x3f\x00\x40", 4); /* BF16 1, 2 */
    memcpy(data + 28, "\x00\x3c\x00\xc0", 4); /* F16 1, -2 */
    n = make_file(file,
                  "{\"m\":{\"dtype\":\"F32\",\"shape\":[2,3],\"data_offsets\":[0,24]},"
                  "\"b\":{\"dtype\":\"BF16\",\"shape\":[2],\"data_offsets\":[24,28]},"
                  "\"h\":{\"dtype\":\"F16\",\"shape\":[2,1],\"data_offsets\":[28,32]}}",
                  data, sizeof data);
    EXPECT(st_open_memory(&m, file, n, NULL, &e) == ST_OK);
    a = st_find(m, "m");
    h = st_find(m, "h");
    EXPECT(st_read_as(m, st_find(m, "b"), NULL, ST_DTYPE_F32, out, sizeof out, &e) == ST_OK && out[0] == 1 &&
           out[1] == 2);
    EXPECT(st_read_as(m, h, NULL, ST_DTYPE_F64, d, sizeof d, &e) == ST_OK && d[0] == 1 && d[1] == -2);
    EXPECT(st_read_as(m, a, NULL, ST_DTYPE_F64, d, sizeof *d, &e) == ST_ERR_ARGUMENT &&
           e.expected == 48); /* too small */
    {                         /* transpose */
        const uint32_t axes[2] = {1, 0};
        st_view v = {NULL, 0, NULL};
        v.axes = axes;
        EXPECT(st_view_shape(a, &v, shape, &elements, &e) == ST_OK && shape[0] == 3 && shape[1] == 2 && elements == 6);
        EXPECT(st_read_as(m, a, &v, ST_DTYPE_F32, out, sizeof out, &e) == ST_OK);
        EXPECT(out[0] == 1 && out[1] == 4 && out[2] == 2 && out[3] == 5 && out[4] == 3 && out[5] == 6);
    }
    { /* last row, every second column */
        const st_range r[2] = {{1, UINT64_MAX, 0}, {0, 3, 2}};
        st_view v = {NULL, 0, NULL};
        v.ranges = r;
        v.range_count = 2;
        EXPECT(st_view_shape(a, &v, shape, &elements, &e) == ST_OK && shape[0] == 1 && shape[1] == 2 && elements == 2);
        EXPECT(st_read_as(m, a, &v, ST_DTYPE_F32, out, sizeof out, &e) == ST_OK && out[0] == 4 && out[1] == 6);
        out[0] = 0;
        EXPECT(st_read_as(m, a, &v, ST_AS_STORED, out, 8, &e) == ST_OK && out[0] == 4 && out[1] == 6);
    }
    { /* empty ranges are empty; start past stop or stop past the end is an error */
        const st_range empty[1] = {{1, 1, 0}}, back[1] = {{2, 1, 0}}, past[1] = {{0, 3, 0}};
        st_view v = {NULL, 1, NULL};
        v.ranges = empty;
        EXPECT(st_view_shape(a, &v, shape, &elements, &e) == ST_OK && shape[0] == 0 && shape[1] == 3 && elements == 0);
        v.ranges = back;
        EXPECT(st_view_shape(a, &v, shape, &elements, &e) == ST_ERR_ARGUMENT);
        v.ranges = past;
        EXPECT(st_view_shape(a, &v, shape, &elements, &e) == ST_ERR_ARGUMENT);
    }
    { /* many at once */
        st_load_item items[2];
        st_load_options lo;
        uint64_t seen = 0;
        memset(items, 0, sizeof items);
        memset(&lo, 0, sizeof lo);
        items[0].tensor = h, items[0].dst = d, items[0].dst_bytes = sizeof d, items[0].as = ST_DTYPE_F64;
        items[1].tensor = a, items[1].dst = out, items[1].dst_bytes = 24;
        EXPECT(st_load(m, items, 2, NULL, &e) == ST_OK && d[0] == 1 && d[1] == -2 && out[0] == 1 && out[5] == 6);
        lo.progress = sum_bytes, lo.user = &seen, lo.part_count = 2; /* in two parts, which could be two threads */
        memset(d, 0, sizeof d), memset(out, 0, sizeof out);
        for (lo.part = 0; lo.part < 2; lo.part++) EXPECT(st_load(m, items, 2, &lo, &e) == ST_OK);
        EXPECT(seen == 28 && d[0] == 1 && d[1] == -2 && out[0] == 1 && out[5] == 6);
        lo.part = 2;
        EXPECT(st_load(m, items, 2, &lo, &e) == ST_ERR_ARGUMENT);
        lo.part = lo.part_count = 0;
        lo.progress = stop_at_once;
        EXPECT(st_load(m, items, 2, &lo, &e) == ST_ERR_CANCELLED);
        items[1].dst_bytes = 23;
        EXPECT(st_load(m, items, 2, NULL, &e) == ST_ERR_ARGUMENT && e.item == 1 && e.expected == 24);
    }
    st_close(m);
    { /* rounding is to nearest even, integers saturate, NaN is 0 */
        const float in[4] = {65519.996f, 1e9f, -1.5f, 0.1f};
        uint16_t half[4];
        int8_t i8[4];
        EXPECT(st_convert(ST_DTYPE_F16, half, ST_DTYPE_F32, in, 4) == ST_OK && half[0] == 0x7bff && half[1] == 0x7c00 &&
               half[2] == 0xbe00 && half[3] == 0x2e66);
        EXPECT(st_convert(ST_DTYPE_I8, i8, ST_DTYPE_F32, in, 4) == ST_OK && i8[0] == 127 && i8[1] == 127 &&
               i8[2] == -2 && i8[3] == 0);
        EXPECT(st_convert(ST_DTYPE_F32, out, ST_DTYPE_F8_E4M3, "\x7e\xfe\x38\x01", 4) == ST_OK && out[0] == 448 &&
               out[1] == -448 && out[2] == 1 && out[3] == 0.001953125f);
        EXPECT(st_convert(ST_DTYPE_F32, out, ST_DTYPE_F8_E5M2, "\x7b\x3c\x7c\x01", 4) == ST_OK && out[0] == 57344 &&
               out[1] == 1 && out[2] > 3e38f && out[3] == 1.52587890625e-05f);
        EXPECT(st_convert(ST_DTYPE_F32, out, ST_DTYPE_F8_E8M0, "\x7f\x80\x00", 3) == ST_OK && out[0] == 1 &&
               out[1] == 2 && out[2] == 0x1p-127f);
        EXPECT(st_convert(ST_DTYPE_F32, out, ST_DTYPE_F4, "\x21\xf9", 4) == ST_OK && out[0] == 0.5f && out[1] == 1 &&
               out[2] == -0.5f && out[3] == -6);
        EXPECT(st_convert(ST_DTYPE_F4, out, ST_DTYPE_F32, in, 4) == ST_ERR_UNSUPPORTED);
    }
    return expect_done("access");
}
