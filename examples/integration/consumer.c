/* The program that each of the build files here builds: opens a model in memory and says what is in it. */
#define ST_IMPLEMENTATION
#include "safetensors.h"
#include <stdio.h>

int main(void) {
    static const char file[] = "\x38\0\0\0\0\0\0\0"
                               "{\"x\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[0,2]}}   "
                               "\1\2";
    st_model *model;
    st_error error;
    if (st_open_memory(&model, file, sizeof file - 1, NULL, &error) != ST_OK) {
        fprintf(stderr, "%s\n", error.message);
        return 1;
    }
    printf("safetensors.h %s: %s, %s\n", ST_VERSION_STRING, model->tensors[0].name, model->tensors[0].dtype_name);
    st_close(model);
    return 0;
}
