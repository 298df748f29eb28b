/* gather PATH: writes tensors in whatever order their data becomes ready, without holding all of them in memory.
 *
 *     cc -I. examples/gather.c -o gather
 *
 * The program declares all tensors first, so that the library can lay out the file. Then st_writer_write_to appends to
 * any of them, in pieces of any size; different tensors can be written from different threads at the same time. The
 * file appears under its name when st_writer_finish succeeds, and an older file stays until then. */
#define ST_IMPLEMENTATION
#include "safetensors.h"
#include <stdio.h>

enum { LAYERS = 3, ROWS = 4, COLUMNS = 2 };

/* Stands for the computation that makes a part of a layer. */
static void compute_row(int layer, int row, float values[COLUMNS]) {
    int i;
    for (i = 0; i < COLUMNS; i++) values[i] = (float)(layer * 100 + row * COLUMNS + i);
}

static st_status declare(st_writer *writer, st_tensor tensors[LAYERS], st_error *error) {
    static const char *const names[LAYERS] = {"layers.0", "layers.1", "layers.2"};
    static const uint64_t shape[2] = {ROWS, COLUMNS};
    int i;
    for (i = 0; i < LAYERS; i++) {
        tensors[i] = st_tensor_of(names[i], ST_DTYPE_F32, 2, shape, NULL);
        if (st_writer_add(writer, &tensors[i], error) != ST_OK) return error->status;
    }
    return st_writer_begin(writer, error);
}

/* Writes row by row, as if all layers were computed at once. The values must be little-endian: convert them on
 * big-endian machines. */
static st_status write_rows(st_writer *writer, const st_tensor tensors[LAYERS], st_error *error) {
    float values[COLUMNS];
    int row, layer;
    for (row = 0; row < ROWS; row++) {
        for (layer = LAYERS - 1; layer >= 0; layer--) {
            compute_row(layer, row, values);
            if (st_writer_write_to(writer, &tensors[layer], values, sizeof values, error) != ST_OK)
                return error->status;
        }
    }
    return ST_OK;
}

int main(int argc, char **argv) {
    st_tensor tensors[LAYERS];
    st_writer *writer;
    st_error error;
    st_status status;
    if (argc != 2) {
        fprintf(stderr, "usage: gather PATH\n");
        return 1;
    }
    status = st_writer_open(&writer, argv[1], NULL, &error);
    if (status == ST_OK) status = declare(writer, tensors, &error);
    if (status == ST_OK) status = write_rows(writer, tensors, &error);
    if (status == ST_OK) status = st_writer_finish(writer, &error);
    if (status != ST_OK) fprintf(stderr, "%s\n", error.message);
    st_writer_close(writer); /* without a successful finish, this removes what was written */
    return status != ST_OK;
}
