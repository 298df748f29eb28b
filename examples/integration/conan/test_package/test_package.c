#define ST_IMPLEMENTATION
#include "safetensors.h"
#include <stdio.h>

int main(void) {
    static const char file[] = "\2\0\0\0\0\0\0\0{}";
    st_model *model;
    st_error error;
    if (st_open_memory(&model, file, sizeof file - 1, NULL, &error)) {
        fprintf(stderr, "%s\n", error.message);
        return 1;
    }
    st_close(model);
    puts("safetensors.h " ST_VERSION_STRING);
    return 0;
}
