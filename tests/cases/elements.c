/* elements: saves with a fill callback as one writes it without a thought of half an element, in both orders and with
 * buffers of odd sizes. */
#define ST_IMPLEMENTATION
#include "safetensors.h"
#include <stdio.h>
#include <stdlib.h>

enum { NUMBERS = 500000 };

static int fill(void *user, const st_tensor *t, uint64_t offset, void *dst, size_t n) {
    double *out = (double *)dst;
    size_t i;
    (void)user;
    if (t->dtype != ST_DTYPE_F64) return memset(dst, 1, n), 0;
    for (i = 0; i < n / 8; i++) out[i] = (double)(offset / 8 + i);
    return 0;
}

int main(void) {
    static const uint64_t shapes[2][1] = {{NUMBERS}, {3}};
    static const size_t sizes[] = {0, 20000, 1501};
    static char buffer[20000];
    double *v = (double *)malloc(8 * NUMBERS);
    int round, failed = 0;
    for (round = 0; round < 6; round++) {
        st_save_options options = ST_ZERO_INIT;
        st_contents contents = ST_ZERO_INIT;
        st_tensor t[2];
        st_model *model;
        st_error error;
        size_t wrong = 0, i;
        t[round % 2] = st_tensor_of("w", ST_DTYPE_F64, 1, shapes[0], NULL);
        t[!(round % 2)] = st_tensor_of("a", ST_DTYPE_U8, 1, shapes[1], NULL);
        contents.tensors = t, contents.count = 2;
        options.fill = fill;
        options.flags = round % 2 ? ST_SAVE_KEEP_ORDER : 0;
        options.work.bytes = sizes[round / 2];
        if (options.work.bytes) options.work.data = buffer;
        if (!v || st_save("h", &contents, &options, &error) || st_open(&model, "h", NULL, &error)) return 1;
        if (st_read(model, st_find(model, "w"), 0, v, 8 * NUMBERS, &error)) return 1;
        for (i = 0; i < NUMBERS; i++) wrong += v[i] != (double)i;
        if (wrong)
            printf("order %d, buffer %u: %u numbers are wrong\n", round % 2, (unsigned)sizes[round / 2],
                   (unsigned)wrong);
        failed |= wrong > 0;
        st_close(model);
    }
    free(v);
    return failed;
}
