/* embedded: a model in flash, read without an operating system, without malloc.
 *
 *     cc -I. examples/embedded.c -o embedded
 *
 * ST_FREESTANDING leaves out files, malloc and error texts: what is left needs neither. Two ways lead to the
 * weights: st_scan walks the header in place and needs no memory; st_open_memory puts its table into a buffer of ours
 * and then finds by name at once. Only main prints, to show on a desk what a board would do. */
#define ST_FREESTANDING
#define ST_IMPLEMENTATION
#include "safetensors.h"
#include <stdio.h>

/* As the linker would place it. The header is 120 bytes, so that the floats behind it are aligned with the array. */
static const union {
    unsigned char bytes[8 + 120 + 20];
    double aligned;
} flash = {"\x78\0\0\0\0\0\0\0"
           "{\"bias\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]},"
           "\"weight\":{\"dtype\":\"F32\",\"shape\":[2,2],\"data_offsets\":[4,20]}}  "
           "\0\0\x80\x3e\0\0\x80\x3f\0\0\0\x40\0\0\x40\x40\0\0\x80\x40"};

/* The loop of a start-up routine that wants one tensor: constant memory, the whole header proven before the first. */
static const float *find_by_scan(const char *name, uint64_t *elements) {
    st_scan scan;
    st_error error;
    if (st_scan_begin(&scan, flash.bytes, sizeof flash.bytes, sizeof flash.bytes, NULL, &error) != ST_OK) return NULL;
    while (st_scan_next(&scan)) {
        if (!st_scan_is(&scan, name)) continue;
        /* a name and a type are the file's word; a program relies on what it has compared itself */
        if (scan.tensor.dtype != ST_DTYPE_F32 || !st_is_aligned(&scan.tensor)) return NULL;
        *elements = scan.tensor.elements;
        return (const float *)scan.tensor.data;
    }
    return NULL;
}

static void show(const char *how, const float *weights, uint64_t elements) {
    uint64_t i;
    printf("%s:", how);
    for (i = 0; weights && i < elements; i++) printf(" %g", (double)weights[i]);
    putchar('\n');
}

int main(void) {
    static uint64_t work[256]; /* 2 KiB; aligned for anything that lies in it */
    st_open_options options = {0};
    st_model *model;
    st_error error;
    const st_tensor *weight;
    uint64_t elements = 0;
    show("scan", find_by_scan("weight", &elements), elements);

    options.work.data = work;
    options.work.bytes = sizeof work;
    if (st_open_memory(&model, flash.bytes, sizeof flash.bytes, &options, &error) != ST_OK) {
        /* ST_ERR_MEMORY: error.expected is how large the buffer must be; there is no text in this build */
        printf("%s: %lu\n", st_status_name(error.status), (unsigned long)error.expected);
        return 1;
    }
    weight = st_find(model, "weight");
    if (weight && weight->dtype == ST_DTYPE_F32 && st_is_aligned(weight)) {
        show("work buffer", (const float *)weight->data, weight->elements);
    }
    st_close(model); /* frees nothing here, but programs that always close need not know */
    return 0;
}
