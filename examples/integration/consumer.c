/* The program that every consumer here builds: opens a model in memory and prints what is in it. */
#ifndef LINKED /* defined where the shared library is linked */
#define ST_IMPLEMENTATION
#endif
#include "safetensors.h"
#include <stdio.h>

int main(void) {
    static const char file[] = "\x38\0\0\0\0\0\0\0"
                               "{\"x\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[0,2]}}   "
                               "\1\2";
    st_model *model;
    st_error error;
    if (st_version() != ST_VERSION) {
        fprintf(stderr, "the library has version %u, the header %u\n", st_version(), (unsigned)ST_VERSION);
        return 1;
    }
    if (st_open_memory(&model, file, sizeof file - 1, NULL, &error) != ST_OK) {
        fprintf(stderr, "%s\n", error.message);
        return 1;
    }
    printf("safetensors.h %s: %s, %s\n", ST_VERSION_STRING, model->tensors[0].name, model->tensors[0].dtype_name);
    st_close(model);
    return 0;
}
