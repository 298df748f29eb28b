/* list PATH [TENSOR]: what is in a file, and the first values of one tensor. Names are printed as they come;
 * examples/st/text.c is how to show those of strangers on a terminal.
 *
 *     cc -I. examples/list.c -o list
 */
#define ST_IMPLEMENTATION
#include "safetensors.h"
#include <stdio.h>

int main(int argc, char **argv) {
    st_model *model;
    st_error error;
    if (argc < 2 || st_open(&model, argv[1], NULL, &error)) {
        fprintf(stderr, "%s\n", argc < 2 ? "usage: list PATH [TENSOR]" : error.message);
        return 1;
    }
    for (size_t i = 0; i < model->count; i++) {
        const st_tensor *t = &model->tensors[i];
        printf("%s %s", t->name, t->dtype_name);
        for (uint32_t d = 0; d < t->rank; d++) printf(" %llu", (unsigned long long)t->shape[d]);
        putchar('\n');
    }
    const st_tensor *one = argc > 2 ? st_find(model, argv[2]) : NULL;
    if (one && one->dtype == ST_DTYPE_F32) {
        float first[4]; /* where one->data is not NULL, all of it lies there, in place; st_read works on every source */
        size_t n = one->elements < 4 ? (size_t)one->elements : 4;
        if (st_read(model, one, 0, first, n * sizeof *first, &error)) n = 0;
        for (size_t i = 0; i < n; i++) printf("%s[%u] = %g\n", one->name, (unsigned)i, (double)first[i]);
    }
    st_close(model);
    return 0;
}
