/* python_layout.c: prints the size of each struct that safetensors_c.py declares, and each field's offset and size. */
#include "safetensors.h"
#include <stddef.h>
#include <stdio.h>

#define SIZE(type) printf("%s - 0 %u\n", #type, (unsigned)sizeof(type))
#define FIELD(type, field) \
    printf("%s %s %u %u\n", #type, #field, (unsigned)offsetof(type, field), (unsigned)sizeof(((type *)0)->field))

int main(void) {
    SIZE(st_error);
    FIELD(st_error, position);
    FIELD(st_error, expected);
    FIELD(st_error, actual);
    FIELD(st_error, status);
    FIELD(st_error, sys);
    FIELD(st_error, item);
    FIELD(st_error, subject);
    FIELD(st_error, message);
    SIZE(st_pair);
    FIELD(st_pair, key);
    FIELD(st_pair, value);
    FIELD(st_pair, key_bytes);
    FIELD(st_pair, value_bytes);
    SIZE(st_tensor);
    FIELD(st_tensor, name);
    FIELD(st_tensor, dtype);
    FIELD(st_tensor, rank);
    FIELD(st_tensor, shape);
    FIELD(st_tensor, data);
    FIELD(st_tensor, name_bytes);
    FIELD(st_tensor, bytes);
    FIELD(st_tensor, elements);
    FIELD(st_tensor, offset);
    FIELD(st_tensor, dtype_name);
    FIELD(st_tensor, shard);
    SIZE(st_model);
    FIELD(st_model, tensors);
    FIELD(st_model, count);
    FIELD(st_model, metadata);
    FIELD(st_model, metadata_count);
    FIELD(st_model, shards);
    FIELD(st_model, shard_count);
    FIELD(st_model, bytes);
    FIELD(st_model, index);
    FIELD(st_model, index_count);
    FIELD(st_model, stem);
    SIZE(st_range);
    FIELD(st_range, start);
    FIELD(st_range, stop);
    FIELD(st_range, step);
    SIZE(st_view);
    FIELD(st_view, ranges);
    FIELD(st_view, range_count);
    FIELD(st_view, axes);
    SIZE(st_contents);
    FIELD(st_contents, tensors);
    FIELD(st_contents, count);
    FIELD(st_contents, metadata);
    FIELD(st_contents, metadata_count);
    FIELD(st_contents, index);
    FIELD(st_contents, index_count);
    FIELD(st_contents, from);
    SIZE(st_sink);
    FIELD(st_sink, user);
    FIELD(st_sink, write);
    SIZE(st_save_options);
    FIELD(st_save_options, flags);
    FIELD(st_save_options, align);
    FIELD(st_save_options, slack);
    FIELD(st_save_options, max_shard_bytes);
    FIELD(st_save_options, sink);
    FIELD(st_save_options, fill);
    FIELD(st_save_options, progress);
    FIELD(st_save_options, user);
    FIELD(st_save_options, allocator);
    FIELD(st_save_options, work);
    FIELD(st_save_options, stem);
    return 0;
}
