/* generate.c: a file of N tensors with next to no data, so that opening it is all header. Named as in a mixture-of-experts
   language model, ordered as the reference's writer orders them.
   usage: generate N FILE */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TENSOR_BYTES 16

static const char *const parts[] = {
    "input_layernorm.weight",  "self_attn.q_proj.weight",         "self_attn.k_proj.weight",
    "self_attn.v_proj.weight", "self_attn.o_proj.weight",         "self_attn.q_norm.weight",
    "self_attn.k_norm.weight", "post_attention_layernorm.weight", "mlp.gate.weight"};
static const char *const projections[] = {"gate_proj", "up_proj", "down_proj"};
enum { PARTS = 9, EXPERTS = 128, OF_A_LAYER = PARTS + 3 * EXPERTS };

static char *name_of(unsigned long i) {
    char text[128], *name;
    unsigned long layer = i / OF_A_LAYER, part = i % OF_A_LAYER;
    if (part < PARTS) {
        snprintf(text, sizeof text, "model.layers.%lu.%s", layer, parts[part]);
    } else {
        part -= PARTS;
        snprintf(text, sizeof text, "model.layers.%lu.mlp.experts.%lu.%s.weight", layer, part / 3,
                 projections[part % 3]);
    }
    name = (char *)malloc(strlen(text) + 1);
    return name ? strcpy(name, text) : NULL;
}

static int by_name(const void *a, const void *b) {
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static size_t put_header(char *header, char *const *names, unsigned long n) {
    size_t bytes = 0;
    uint64_t at = 0;
    unsigned long i;
    header[bytes++] = '{';
    bytes += (size_t)sprintf(header + bytes, "\"__metadata__\":{\"format\":\"pt\"}");
    for (i = 0; i < n; i++, at += TENSOR_BYTES) {
        bytes += (size_t)sprintf(
            header + bytes, ",\"%s\":{\"dtype\":\"BF16\",\"shape\":[2,4],\"data_offsets\":[%" PRIu64 ",%" PRIu64 "]}",
            names[i], at, at + TENSOR_BYTES);
    }
    header[bytes++] = '}';
    while (bytes % 8) header[bytes++] = ' ';
    return bytes;
}

int main(int argc, char **argv) {
    unsigned long n = argc == 3 ? strtoul(argv[1], NULL, 10) : 0, i;
    char **names = (char **)malloc((n + 1) * sizeof *names), *header = (char *)malloc(n * 256 + 64);
    unsigned char length[8];
    static const char zeros[TENSOR_BYTES];
    FILE *out = argc == 3 ? fopen(argv[2], "wb") : NULL;
    size_t bytes;
    int good;
    if (!out || !names || !header) return fprintf(stderr, "usage: generate N FILE\n"), 2;
    for (i = 0; i < n; i++)
        if (!(names[i] = name_of(i))) return 2;
    qsort(names, n, sizeof *names, by_name);
    bytes = put_header(header, names, n);
    for (i = 0; i < 8; i++) length[i] = (unsigned char)((uint64_t)bytes >> (8 * i));
    good = fwrite(length, 1, 8, out) == 8 && fwrite(header, 1, bytes, out) == bytes;
    for (i = 0; i < n; i++) good = good && fwrite(zeros, 1, TENSOR_BYTES, out) == TENSOR_BYTES;
    good = fclose(out) == 0 && good;
    for (i = 0; i < n; i++) free(names[i]);
    free(names);
    free(header);
    if (!good) perror(argv[2]);
    return !good;
}
