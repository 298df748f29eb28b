/* generate.c: makes the benchmark's files, without safetensors.h. Tensors are BF16, named as in language models, and
   lie in the order in which the reference writer puts them.
   usage: generate dense|moe N FILE      N tensors with next to no data, and FILE.names: all names, one a line, shuffled
          generate real N FILE           the same with shapes of a real model; N = 100,000 has offsets of 12 digits. The
                                         data, 3 MB a tensor, is a hole of the file and takes no disk
          generate model MIB FILE        layers of 64 MiB, nine tensors each
          generate matrix ROWS COLUMNS FILE   one tensor, m
          generate shards N FILES DIRECTORY   as moe, in FILES shards with an index
          generate quarters MIB DIRECTORY     as model, in four shards with an index */
#define _FILE_OFFSET_BITS 64
#define _POSIX_C_SOURCE 200809L
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct tensor {
    char name[80];
    uint64_t rows, columns; /* rows 0: one dimension */
} tensor;

static void expect(int good, const char *what) {
    if (good) return;
    perror(what);
    exit(1);
}

static void *take(size_t bytes) {
    void *memory = malloc(bytes);
    expect(memory != NULL, "memory");
    return memory;
}

static uint64_t next_random(void) { /* xorshift64 */
    static uint64_t state = UINT64_C(88172645463325252);
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state;
}

static uint64_t bytes_of(const tensor *t) {
    return 2 * t->columns * (t->rows ? t->rows : 1);
}

/* ---- tensors ----------------------------------------------------------------------------------------------------- */

static const char *const parts[] = {
    "self_attn.q_proj.weight", "self_attn.k_proj.weight", "self_attn.v_proj.weight",
    "self_attn.o_proj.weight", "mlp.gate_proj.weight",    "mlp.up_proj.weight",
    "mlp.down_proj.weight",    "input_layernorm.weight",  "post_attention_layernorm.weight"};
enum { PARTS = 9, EXPERTS = 128, OF_A_LAYER = PARTS + 3 * EXPERTS };

static void dense_name(char *name, size_t bytes, size_t i) {
    snprintf(name, bytes, "model.layers.%zu.%s", i / PARTS, parts[i % PARTS]);
}

static void moe_name(char *name, size_t bytes, size_t i, size_t n) {
    static const char *const projections[] = {"gate_proj", "up_proj", "down_proj"};
    size_t layer = i / OF_A_LAYER, part = i % OF_A_LAYER;
    if (part < PARTS) {
        dense_name(name, bytes, layer * PARTS + part);
        return;
    }
    part -= PARTS;
    if (n > 500000) { /* the format allows headers of 100,000,000 bytes */
        snprintf(name, bytes, "layers.%zu.experts.%zu.w%zu.weight", layer, part / 3, part % 3 + 1);
    } else {
        snprintf(name, bytes, "model.layers.%zu.mlp.experts.%zu.%s.weight", layer, part / 3, projections[part % 3]);
    }
}

/* a layer of a mixture of 128 experts: 1.2 GB */
static tensor real_tensor(size_t i) {
    static const tensor attention[PARTS] = {
        {"self_attn.q_proj.weight", 4096, 2048}, {"self_attn.k_proj.weight", 512, 2048},
        {"self_attn.v_proj.weight", 512, 2048},  {"self_attn.o_proj.weight", 2048, 4096},
        {"self_attn.q_norm.weight", 0, 128},     {"self_attn.k_norm.weight", 0, 128},
        {"input_layernorm.weight", 0, 2048},     {"post_attention_layernorm.weight", 0, 2048},
        {"mlp.gate.weight", 128, 2048}};
    static const tensor expert[3] = {
        {"gate_proj.weight", 768, 2048}, {"up_proj.weight", 768, 2048}, {"down_proj.weight", 2048, 768}};
    size_t layer = i / OF_A_LAYER, part = i % OF_A_LAYER;
    tensor t = part < PARTS ? attention[part] : expert[(part - PARTS) % 3];
    char last[sizeof t.name];
    memcpy(last, t.name, sizeof last);
    if (part < PARTS) {
        snprintf(t.name, sizeof t.name, "model.layers.%zu.%.40s", layer, last);
    } else {
        snprintf(t.name, sizeof t.name, "model.layers.%zu.mlp.experts.%zu.%.20s", layer, (part - PARTS) / 3, last);
    }
    return t;
}

static int by_name(const void *a, const void *b) {
    return strcmp(((const tensor *)a)->name, ((const tensor *)b)->name);
}

static tensor *header_heavy(const char *kind, size_t n) {
    tensor *all = (tensor *)take((n + 1) * sizeof *all);
    size_t i;
    for (i = 0; i < n; i++) {
        if (!strcmp(kind, "real")) {
            all[i] = real_tensor(i);
            continue;
        }
        if (!strcmp(kind, "moe")) {
            moe_name(all[i].name, sizeof all[i].name, i, n);
        } else {
            dense_name(all[i].name, sizeof all[i].name, i);
        }
        all[i].rows = n > 500000 ? 0 : 2;
        all[i].columns = n > 500000 ? 1 : 4;
    }
    qsort(all, n, sizeof *all, by_name);
    return all;
}

/* rows of 4,096 numbers, 8 KiB: 8,192 of them a layer */
static tensor *data_heavy(size_t layers) {
    static const uint64_t rows[PARTS] = {1024, 256, 256, 1024, 1877, 1877, 1876, 0, 0};
    tensor *all = (tensor *)take(layers * PARTS * sizeof *all);
    size_t i;
    for (i = 0; i < layers * PARTS; i++) {
        dense_name(all[i].name, sizeof all[i].name, i);
        all[i].rows = rows[i % PARTS];
        all[i].columns = 4096;
    }
    qsort(all, layers * PARTS, sizeof *all, by_name);
    return all;
}

/* ---- files ------------------------------------------------------------------------------------------------------ */

static void put(FILE *out, const void *bytes, size_t n) {
    expect(fwrite(bytes, 1, n, out) == n, "write");
}

static void put_header(FILE *out, const tensor *all, size_t n) {
    char *header = (char *)take(n * 256 + 64);
    unsigned char length[8];
    size_t bytes = (size_t)sprintf(header, "{\"__metadata__\":{\"format\":\"pt\"}"), i;
    uint64_t at = 0;
    for (i = 0; i < n; i++, at += bytes_of(&all[i - 1])) {
        bytes += (size_t)sprintf(header + bytes, ",\"%s\":{\"dtype\":\"BF16\",\"shape\":[", all[i].name);
        if (all[i].rows) bytes += (size_t)sprintf(header + bytes, "%" PRIu64 ",", all[i].rows);
        bytes += (size_t)sprintf(header + bytes, "%" PRIu64 "],\"data_offsets\":[%" PRIu64 ",%" PRIu64 "]}",
                                 all[i].columns, at, at + bytes_of(&all[i]));
    }
    header[bytes++] = '}';
    while (bytes % 8) header[bytes++] = ' ';
    for (i = 0; i < 8; i++) length[i] = (unsigned char)((uint64_t)bytes >> (8 * i));
    put(out, length, 8);
    put(out, header, bytes);
    free(header);
}

/* numbers like weights: of either sign, from 2^-16 to 2^-1 */
static void put_weights(FILE *out, uint64_t bytes) {
    enum { BLOCK = 1 << 20 };
    uint16_t *block = (uint16_t *)take(BLOCK);
    size_t i, n;
    for (i = 0; i < BLOCK / 2; i++) {
        uint64_t r = next_random();
        block[i] = (uint16_t)((r & 0x807f) | (111 + (r >> 40) % 16) << 7);
    }
    for (; bytes; bytes -= n) {
        n = bytes < BLOCK ? (size_t)bytes : BLOCK;
        for (i = 0; i < BLOCK / 2; i += 256) block[i] ^= (uint16_t)(next_random() & 0x7f); /* no two pages the same */
        put(out, block, n);
    }
    free(block);
}

static void write_file(const char *path, const tensor *all, size_t n, int hole) {
    FILE *out = fopen(path, "wb");
    uint64_t bytes = 0;
    size_t i;
    expect(out != NULL, path);
    put_header(out, all, n);
    for (i = 0; i < n; i++) bytes += bytes_of(&all[i]);
    if (hole) {
        expect(fseeko(out, (off_t)bytes - 1, SEEK_CUR) == 0 && fputc(0, out) == 0, path);
    } else {
        put_weights(out, bytes);
    }
    expect(fclose(out) == 0, path);
}

static void write_names(const char *path, tensor *all, size_t n) {
    char names[4096];
    FILE *out;
    size_t i;
    snprintf(names, sizeof names, "%s.names", path);
    expect((out = fopen(names, "wb")) != NULL, names);
    for (i = n; i-- > 0;) {
        size_t other = (size_t)(next_random() % (i + 1));
        tensor t = all[i];
        all[i] = all[other];
        all[other] = t;
        fprintf(out, "%s\n", all[i].name);
    }
    expect(fclose(out) == 0, names);
}

static void write_shards(const char *directory, const tensor *all, size_t n, size_t files) {
    char path[4096], shard[64];
    FILE *out;
    size_t k, i;
    uint64_t bytes = 0;
    for (i = 0; i < n; i++) bytes += bytes_of(&all[i]);
    snprintf(path, sizeof path, "%s/model.safetensors.index.json", directory);
    expect((out = fopen(path, "wb")) != NULL, path);
    fprintf(out, "{\n  \"metadata\": {\n    \"total_size\": %" PRIu64 "\n  },\n  \"weight_map\": {", bytes);
    for (k = 0; k < files; k++) {
        size_t first = n * k / files, end = n * (k + 1) / files;
        snprintf(shard, sizeof shard, "model-%05zu-of-%05zu.safetensors", k + 1, files);
        for (i = first; i < end; i++) fprintf(out, "%s\n    \"%s\": \"%s\"", i ? "," : "", all[i].name, shard);
        snprintf(path, sizeof path, "%s/%s", directory, shard);
        write_file(path, all + first, end - first, 0);
    }
    fprintf(out, "\n  }\n}\n");
    expect(fclose(out) == 0, directory);
}

int main(int argc, char **argv) {
    const char *what = argc > 3 ? argv[1] : "";
    size_t n = argc > 2 ? (size_t)strtoull(argv[2], NULL, 10) : 0;
    if (n && argc == 4 && (!strcmp(what, "dense") || !strcmp(what, "moe") || !strcmp(what, "real"))) {
        tensor *all = header_heavy(what, n);
        write_file(argv[3], all, n, !strcmp(what, "real"));
        write_names(argv[3], all, n);
    } else if (n >= 64 && argc == 4 && !strcmp(what, "model")) {
        write_file(argv[3], data_heavy(n / 64), n / 64 * PARTS, 0);
    } else if (n && argc == 5 && !strcmp(what, "matrix")) {
        tensor matrix = {"m", 0, 0};
        matrix.rows = n;
        matrix.columns = strtoull(argv[3], NULL, 10);
        write_file(argv[4], &matrix, 1, 0);
    } else if (n && argc == 5 && !strcmp(what, "shards")) {
        write_shards(argv[4], header_heavy("moe", n), n, (size_t)strtoull(argv[3], NULL, 10));
    } else if (n >= 64 && argc == 4 && !strcmp(what, "quarters")) {
        write_shards(argv[3], data_heavy(n / 64), n / 64 * PARTS, 4);
    } else {
        fprintf(stderr, "usage: see generate.c\n");
        return 2;
    }
    return 0;
}
