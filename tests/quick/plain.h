/* plain.h: the library without its quick paths, beside the one with them in the same program. */
#ifndef PLAIN_H
#define PLAIN_H
#include "../../safetensors.h"

int plain_is_plain(void); /* 0: the quick paths are there after all */
st_status plain_open_io(st_model **model, const st_io *io, const st_open_options *options, st_error *error);
void plain_close(st_model *model);
const st_tensor *plain_find_n(const st_model *model, const char *name, size_t name_bytes);
st_status plain_scan_begin(st_scan *scan, const void *file, size_t available, uint64_t file_bytes,
                           const st_open_options *options, st_error *error);
int plain_scan_next(st_scan *scan);
#endif
