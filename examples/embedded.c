/* embedded: reads a model that lies in flash, without an operating system and without malloc.
 *
 *     cc -I. examples/embedded.c -o embedded
 *
 * ST_FREESTANDING leaves out files, malloc and all libc headers; ST_NO_ERROR_TEXT leaves out the texts of st_error.
 * There are two ways to the weights: st_scan walks the header in place and needs no memory; st_open_memory builds a
 * table in a buffer of the program, and st_find then takes constant time. Only `print` and main use stdio, to show on a
 * desk what a board would do. */
#define ST_FREESTANDING
#define ST_NO_ERROR_TEXT
#define ST_IMPLEMENTATION
#include "safetensors.h"
#include <stdio.h>

/* As the linker would place the file. Its header is 120 bytes long, so that the floats after it are aligned. */
static const union {
    unsigned char bytes[8 + 120 + 20];
    double aligned;
} flash = {"\x78\0\0\0\0\0\0\0"
           "{\"bias\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]},"
           "\"weight\":{\"dtype\":\"F32\",\"shape\":[2,2],\"data_offsets\":[4,20]}}  "
           "\0\0\x80\x3e\0\0\x80\x3f\0\0\0\x40\0\0\x40\x40\0\0\x80\x40"};

/* Finds one tensor in constant memory. st_scan_begin validates the whole header first. Name, dtype and shape are
 * whatever the file says, so the program compares them before it uses the data. */
static const float *find_by_scan(const char *name, uint64_t *elements) {
    st_scan scan;
    st_error error;
    if (st_scan_begin(&scan, flash.bytes, sizeof flash.bytes, sizeof flash.bytes, NULL, &error) != ST_OK) return NULL;
    while (st_scan_next(&scan)) {
        if (!st_scan_is(&scan, name)) continue;
        if (scan.tensor.dtype != ST_DTYPE_F32 || !st_is_aligned(&scan.tensor)) return NULL;
        *elements = scan.tensor.elements;
        return (const float *)scan.tensor.data;
    }
    return NULL;
}

static void print(const char *label, const float *weights, uint64_t elements) {
    uint64_t i;
    printf("%s:", label);
    for (i = 0; weights && i < elements; i++) printf(" %g", (double)weights[i]);
    putchar('\n');
}

int main(void) {
    static uint64_t work[256]; /* 2 KiB; uint64_t, so that the buffer is aligned */
    st_open_options options = {0};
    st_model *model;
    st_error error;
    const st_tensor *weight;
    const float *weights;
    uint64_t elements = 0;
    weights = find_by_scan("weight", &elements);
    print("scan", weights, elements);

    options.work.data = work;
    options.work.bytes = sizeof work;
    if (st_open_memory(&model, flash.bytes, sizeof flash.bytes, &options, &error) != ST_OK) {
        /* After ST_ERR_MEMORY, error.expected is the size that the buffer needs. */
        printf("%s: %lu\n", st_status_name(error.status), (unsigned long)error.expected);
        return 1;
    }
    weight = st_find(model, "weight");
    if (weight && weight->dtype == ST_DTYPE_F32 && st_is_aligned(weight)) {
        print("work buffer", (const float *)weight->data, weight->elements);
    }
    st_close(model); /* frees nothing here, but is correct with every kind of memory */
    return 0;
}
