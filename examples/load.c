/* load MODEL [THREADS]: reads all tensors of a model into memory, in one call a thread, and says how long that took.
 *
 *     cc -I. -pthread examples/load.c -o load
 */
#define ST_IMPLEMENTATION
#include "safetensors.h"

#include "threads.h"
#include <stdio.h>
#include <time.h>

int main(int argc, char **argv) {
    st_model *model;
    st_error error;
    if (argc < 2 || st_open(&model, argv[1], NULL, &error)) {
        fprintf(stderr, "%s\n", argc < 2 ? "usage: load MODEL [THREADS]" : error.message);
        return 1;
    }
    int threads = argc > 2 ? atoi(argv[2]) : 4;
    unsigned char *memory = model->bytes < SIZE_MAX ? malloc((size_t)model->bytes + 1) : NULL;
    st_load_item *items = calloc(model->count + 1, sizeof *items);
    st_status status = memory && items ? ST_OK : ST_ERR_MEMORY;
    size_t used = 0;
    for (size_t i = 0; !status && i < model->count; i++) {
        const st_tensor *t = &model->tensors[i];
        items[i].tensor = t; /* as = ST_AS_STORED, the whole tensor */
        items[i].dst = memory + used;
        items[i].dst_bytes = (size_t)t->bytes;
        used += (size_t)t->bytes;
    }
    time_t began = time(NULL);
    if (status) {
        fprintf(stderr, "no memory\n");
    } else if ((status =
                    load_on_threads(model, items, model->count, threads > 0 ? (unsigned)threads : 1, NULL, &error))) {
        fprintf(stderr, "%s\n", error.message);
    } else {
        printf("%llu tensors, %llu bytes, %.0f s\n", (unsigned long long)model->count, (unsigned long long)used,
               difftime(time(NULL), began));
    }
    free(items);
    free(memory);
    st_close(model);
    return status != ST_OK;
}
