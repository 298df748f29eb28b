// The same header from C++, next to the system headers whose names it must not fight.
#include <sys/stat.h>
#include <sys/statvfs.h>
#define ST_IMPLEMENTATION
#include "safetensors.h"
#include <cstdio>

int main() {
    st_model *model;
    st_error error;
    bool refused = st_open_memory(&model, "", 0, nullptr, &error) == ST_ERR_TRUNCATED && model == nullptr;
    st_close(model);
    st_error zero = {0};
    st_save_options options = ST_ZERO_INIT;
    const st_tensor tensor = st_tensor_of("x", ST_DTYPE_U8, 0, nullptr, "a");
    refused = refused && zero.status == ST_OK && options.flags == 0 && tensor.rank == 0;
    std::printf("cxx: %d passed, %d failed\n", refused ? 1 : 0, refused ? 0 : 1);
    return refused ? 0 : 1;
}
