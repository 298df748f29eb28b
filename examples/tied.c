/* tied [FILE]: saves tied weights once, and finds them again under all their names.
 *
 *     cc -I. examples/tied.c -o tied
 *
 * Tied weights share their memory, as an output layer often does with the embedding. This finds them by their data
 * pointers, saves the first, and lists the other names in the metadata, as the reference's save_model does. */
#define ST_IMPLEMENTATION
#include "safetensors.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Compares by address, then by size, then by the caller's order. */
static int by_bytes(const void *a, const void *b) {
    const st_tensor *x = *(const st_tensor *const *)a, *y = *(const st_tensor *const *)b;
    if (x->data != y->data) return (uintptr_t)x->data < (uintptr_t)y->data ? -1 : 1;
    if (x->bytes != y->bytes) return x->bytes < y->bytes ? -1 : 1;
    return x < y ? -1 : x > y;
}

/* Sets owner[i] to the index of the first tensor with the same data pointer and size as tensor i, or to i if there is
 * none. Tensors without data or without bytes share nothing. Returns how many tensors repeat an earlier one, or
 * (size_t)-1 if memory runs out. Cost: O(n log n). */
static size_t find_tied(const st_tensor *tensors, size_t count, size_t *owner) {
    const st_tensor **order = (const st_tensor **)malloc(count * sizeof *order + 1);
    size_t i, repeats = 0;
    if (!order) return (size_t)-1;
    for (i = 0; i < count; i++) order[i] = &tensors[i];
    qsort(order, count, sizeof *order, by_bytes);
    for (i = 0; i < count; i++) {
        const st_tensor *t = order[i], *before = i ? order[i - 1] : NULL;
        owner[t - tensors] = (size_t)(t - tensors);
        if (!before || !t->data || !t->bytes || before->data != t->data || before->bytes != t->bytes) continue;
        owner[t - tensors] = owner[before - tensors];
        repeats++;
    }
    free(order);
    return repeats;
}

/* Finds a tensor by its name, or by another name that the metadata lists for it. examples/aliases.c shows st_aliases,
 * which also understands the index of a model in several files. */
static const st_tensor *find_name(const st_model *model, const char *name) {
    const st_tensor *tensor = st_find(model, name);
    const st_pair *pair = tensor ? NULL : st_find_metadata(model, name);
    return pair ? st_find_n(model, pair->value, pair->value_bytes) : tensor;
}

enum { COUNT = 4 };

int main(int argc, char **argv) {
    static const float embedding[6] = {1, 2, 3, 4, 5, 6}, norm[2] = {7, 8};
    static const uint64_t matrix[2] = {3, 2}, vector[1] = {2};
    const char *path = argc > 1 ? argv[1] : "tied.safetensors";
    st_tensor tensors[COUNT], kept[COUNT];
    st_pair tied[COUNT];
    size_t owner[COUNT], kept_count = 0, tied_count = 0, i;
    st_contents contents;
    st_model *model;
    st_error error;
    tensors[0] = st_tensor_of("embed.weight", ST_DTYPE_F32, 2, matrix, embedding);
    tensors[1] = st_tensor_of("norm.weight", ST_DTYPE_F32, 1, vector, norm);
    tensors[2] = st_tensor_of("lm_head.weight", ST_DTYPE_F32, 2, matrix, embedding);
    tensors[3] = st_tensor_of("first_row", ST_DTYPE_F32, 1, vector, embedding); /* shorter: saved for itself */
    for (i = 0; i < COUNT; i++) {
        tensors[i].bytes = st_dtype_bits(tensors[i].dtype) / 8;
        for (uint32_t d = 0; d < tensors[i].rank; d++) tensors[i].bytes *= tensors[i].shape[d];
    }
    if (find_tied(tensors, COUNT, owner) == (size_t)-1) return 1;
    memset(tied, 0, sizeof tied);
    for (i = 0; i < COUNT; i++) {
        if (owner[i] == i) {
            kept[kept_count++] = tensors[i];
        } else {
            tied[tied_count].key = tensors[i].name;
            tied[tied_count++].value = tensors[owner[i]].name;
        }
    }
    memset(&contents, 0, sizeof contents);
    contents.tensors = kept;
    contents.count = kept_count;
    contents.metadata = tied;
    contents.metadata_count = tied_count;
    if (st_save(path, &contents, NULL, &error) || st_open(&model, path, NULL, &error)) {
        fprintf(stderr, "%s\n", error.message);
        return 1;
    }
    printf("%s: %u of %u tensors\n", path, (unsigned)model->count, (unsigned)COUNT);
    for (i = 0; i < COUNT; i++) {
        const st_tensor *t = find_name(model, tensors[i].name);
        printf("%s is %s\n", tensors[i].name, t ? t->name : "missing");
    }
    st_close(model);
    return 0;
}
