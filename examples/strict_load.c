/* strict_load PATH: loads exactly the weights that a program needs, as F32, into one block of memory.
 *
 *     cc -I. examples/strict_load.c -o strict_load
 *
 * The table lists names and shapes. The program reports every weight that is missing or has another shape, and every
 * tensor that it does not use. st_load reads all weights in one pass over the file, whatever their order in the
 * table. */
#define ST_IMPLEMENTATION
#include "safetensors.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct weight {
    const char *name;
    uint32_t rank;
    uint64_t shape[4];
} weight;

static const weight weights[] = {
    {"norm.bias", 1, {2}},
    {"embed.weight", 2, {4, 2}},
};
enum { COUNT = sizeof weights / sizeof *weights };

/* Prints all but plain ASCII as \xNN, as a name could control the terminal. */
static void print_name(const st_tensor *tensor) {
    size_t i;
    for (i = 0; i < tensor->name_bytes; i++) {
        const unsigned char c = (unsigned char)tensor->name[i];
        printf(c >= ' ' && c <= '~' ? "%c" : "\\x%02x", c);
    }
}

/* Fills in one tensor for each weight and returns the number of weights that cannot be loaded. */
static int find_weights(const st_model *model, const st_tensor **tensors) {
    const char *names[COUNT];
    unsigned char *used = (unsigned char *)calloc(model->count + 1, 1); /* a byte for each tensor of the model */
    const st_tensor *extra = NULL;
    int i, errors = 0;
    if (!used) return COUNT;
    for (i = 0; i < COUNT; i++) names[i] = weights[i].name;
    st_find_all(model, names, COUNT, tensors, used); /* returns how many it found */
    for (i = 0; i < COUNT; i++) {
        if (st_has_shape(tensors[i], weights[i].rank, weights[i].shape)) continue;
        fprintf(stderr, "%s: %s\n", weights[i].name, tensors[i] ? "wrong shape" : "missing");
        errors++;
    }
    while ((extra = st_next_unused(model, used, extra)) != NULL) {
        print_name(extra);
        puts(": not used");
    }
    free(used);
    return errors;
}

/* Returns a block of memory, in which weight i begins at begin[i], or NULL after a message. */
static float *load_weights(const st_model *model, const st_tensor *const *tensors, size_t *begin) {
    st_load_item items[COUNT];
    st_error error;
    size_t i, count = 0;
    float *block;
    /* Tells the system to read ahead, for programs that can do other work before they load. */
    for (i = 0; i < COUNT; i++) (void)st_advise(model, tensors[i], ST_ADVISE_WILL_NEED, &error);
    for (i = 0; i < COUNT; i++) {
        begin[i] = count;
        count += (size_t)tensors[i]->elements; /* cannot overflow: the shapes are those of the table */
    }
    block = (float *)malloc(count * sizeof *block);
    if (!block) {
        fprintf(stderr, "out of memory\n");
        return NULL;
    }
    memset(items, 0, sizeof items);
    for (i = 0; i < COUNT; i++) {
        items[i].tensor = tensors[i];
        items[i].as = ST_DTYPE_F32;
        items[i].dst = block + begin[i];
        items[i].dst_bytes = (size_t)tensors[i]->elements * sizeof *block;
    }
    if (st_load(model, items, COUNT, NULL, &error) != ST_OK) {
        fprintf(stderr, "%s\n", error.message);
        free(block);
        return NULL;
    }
    (void)st_advise(model, NULL, ST_ADVISE_DONE, &error); /* the system may drop the file from its cache */
    return block;
}

int main(int argc, char **argv) {
    const st_tensor *tensors[COUNT];
    size_t begin[COUNT], i, k;
    float *block = NULL;
    st_model *model;
    st_error error;
    if (argc != 2 || st_open(&model, argv[1], NULL, &error) != ST_OK) {
        fprintf(stderr, "%s\n", argc != 2 ? "usage: strict_load PATH" : error.message);
        return 1;
    }
    if (find_weights(model, tensors) == 0) block = load_weights(model, tensors, begin);
    for (i = 0; block && i < COUNT; i++) {
        printf("%s:", weights[i].name);
        for (k = 0; k < tensors[i]->elements; k++) printf(" %g", (double)block[begin[i] + k]);
        putchar('\n');
    }
    free(block);
    st_close(model);
    return block == NULL;
}
