/* descriptors MODEL LIMIT mapped|read: opens a model twice under a limit of open files, and reads all tensors. */
#define ST_IMPLEMENTATION
#include "safetensors.h"
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>

int main(int argc, char **argv) {
    st_open_options options = ST_ZERO_INIT;
    struct rlimit limit;
    st_model *models[2];
    st_error error;
    float v[2];
    size_t k, i;
    if (argc != 4) return 2;
    limit.rlim_cur = limit.rlim_max = (rlim_t)atoi(argv[2]);
    if (setrlimit(RLIMIT_NOFILE, &limit) != 0) return 2;
    if (argv[3][0] == 'r') options.flags = ST_OPEN_NO_MAP;
    for (k = 0; k < 2; k++) {
        if (st_open(&models[k], argv[1], &options, &error)) return puts(error.message), 1;
    }
    for (k = 0; k < 2; k++) {
        for (i = 0; i < models[k]->count; i++) {
            const st_tensor *t = &models[k]->tensors[i];
            if (st_read(models[k], t, 0, v, sizeof v, &error)) return puts(error.message), 1;
            if (v[0] != (float)atoi(t->name + 1)) return printf("%s holds %g\n", t->name, v[0]), 1;
        }
    }
    st_close(models[0]);
    st_close(models[1]);
    return 0;
}
