/* plain.c: see plain.h. Linked with tests/quick.c and fuzz/fuzz_quick.c. */
#define ST_IMPLEMENTATION
#define ST_STATIC
#ifndef ST_NO_SIMD
#define ST_NO_SIMD
#endif
#include "plain.h"

int plain_is_plain(void) {
    return !STI_FAST64;
}

st_status plain_open_io(st_model **model, const st_io *io, const st_open_options *options, st_error *error) {
    return st_open_io(model, io, options, error);
}

void plain_close(st_model *model) {
    st_close(model);
}

const st_tensor *plain_find_n(const st_model *model, const char *name, size_t name_bytes) {
    return st_find_n(model, name, name_bytes);
}

st_status plain_scan_begin(st_scan *scan, const void *file, size_t available, uint64_t file_bytes,
                           const st_open_options *options, st_error *error) {
    return st_scan_begin(scan, file, available, file_bytes, options, error);
}

int plain_scan_next(st_scan *scan) {
    return st_scan_next(scan);
}
