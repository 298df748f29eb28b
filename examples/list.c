/* list PATH [TENSOR]: lists the tensors of a model and prints the first values of one of them.
 *
 *     cc -I. examples/list.c -o list
 */
#define ST_IMPLEMENTATION
#include "safetensors.h"
#include <stdio.h>

/* A name in a file can hold any character, even one that controls the terminal. So everything but plain ASCII is
 * printed as \xNN; examples/st/text.c shows how to keep the letters of other scripts. */
static void print_name(const st_tensor *tensor) {
    for (size_t i = 0; i < tensor->name_bytes; i++) {
        unsigned char c = (unsigned char)tensor->name[i];
        printf(c >= ' ' && c <= '~' ? "%c" : "\\x%02x", c);
    }
}

int main(int argc, char **argv) {
    st_model *model;
    st_error error;
    if (argc < 2 || st_open(&model, argv[1], NULL, &error)) {
        fprintf(stderr, "%s\n", argc < 2 ? "usage: list PATH [TENSOR]" : error.message);
        return 1;
    }
    for (size_t i = 0; i < model->count; i++) {
        const st_tensor *t = &model->tensors[i];
        print_name(t);
        printf(" %s", t->dtype_name);
        for (uint32_t d = 0; d < t->rank; d++) printf(" %llu", (unsigned long long)t->shape[d]);
        putchar('\n');
    }
    const st_tensor *chosen = argc > 2 ? st_find(model, argv[2]) : NULL;
    int failed = argc > 2 && (!chosen || chosen->dtype != ST_DTYPE_F32);
    if (failed) fprintf(stderr, "the model has no F32 tensor of this name\n");
    if (chosen && !failed) {
        float first[4]; /* st_read works for every model; chosen->data is NULL where the file is not mapped */
        size_t n = chosen->elements < 4 ? (size_t)chosen->elements : 4;
        failed = st_read(model, chosen, 0, first, n * sizeof *first, &error) != ST_OK;
        if (failed) fprintf(stderr, "%s\n", error.message);
        for (size_t i = 0; i < n && !failed; i++) {
            print_name(chosen);
            printf("[%u] = %g\n", (unsigned)i, (double)first[i]);
        }
    }
    st_close(model);
    return failed;
}
