/* quant: stores weights as 8-bit integers with scales, and turns them back into floating-point numbers.
 *
 *     cc -O2 -I. examples/quant/[a-z]*.c examples/common/[a-z]*.c -lm -o quant
 *     ./quant quantize model.safetensors small.safetensors --layout blocks --block 32
 *     ./quant check small.safetensors
 *     ./quant dequantize small.safetensors back.safetensors --dtype bf16
 *
 * The weight W becomes I8 and has its scales beside it, as F32 in W_scale: one for the tensor, one for each row, or one
 * for each block of columns. These are names and shapes that `st convert` knows, so `st convert small.safetensors
 * back.safetensors --dtype f32` gives the same numbers. */
#include "quant.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char usage[] =
    "usage: quant quantize IN OUT [--layout tensor|rows|blocks] [--block N] [--dtype int8|uint8] [--all]\n"
    "       quant dequantize IN OUT [--dtype float32|float16|bfloat16|float64]\n"
    "       quant check IN\n"
    "\n"
    "quantize    converts every floating-point tensor of two dimensions and prints its largest error\n"
    "  --layout  what shares a scale: the tensor (default), a row, or a block of columns in a row\n"
    "  --block   columns in a block, 32 if not given\n"
    "  --dtype   int8 (default), or uint8: the integer plus 128, with one scale for the tensor\n"
    "  --all     converts tensors of other ranks too; only with the layout tensor\n"
    "dequantize  multiplies by the scales; other tensors stay as they are\n"
    "check       checks the scales of every quantized tensor\n"
    "\n"
    "IN is a file, an index or a directory; OUT is a file. Dtypes may be spelled f32, float, F32, half, bf16, i8 ...\n";

/* The names that frameworks use; case does not matter. */
static const struct spelling {
    const char *name;
    st_dtype dtype;
} spellings[] = {
    {"f32", ST_DTYPE_F32},       {"float32", ST_DTYPE_F32}, {"float", ST_DTYPE_F32},   {"f16", ST_DTYPE_F16},
    {"float16", ST_DTYPE_F16},   {"fp16", ST_DTYPE_F16},    {"half", ST_DTYPE_F16},    {"bf16", ST_DTYPE_BF16},
    {"bfloat16", ST_DTYPE_BF16}, {"f64", ST_DTYPE_F64},     {"float64", ST_DTYPE_F64}, {"double", ST_DTYPE_F64},
    {"i8", ST_DTYPE_I8},         {"int8", ST_DTYPE_I8},     {"u8", ST_DTYPE_U8},       {"uint8", ST_DTYPE_U8}};

static char lower(char c) {
    return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

static st_dtype dtype_from_text(const char *text) {
    size_t i, k;
    for (i = 0; i < sizeof spellings / sizeof *spellings; i++) {
        const char *name = spellings[i].name;
        for (k = 0; name[k] && lower(text[k]) == name[k]; k++) {}
        if (!name[k] && !text[k]) return spellings[i].dtype;
    }
    return ST_DTYPE_UNKNOWN;
}

static int wrong_usage(const char *sentence) {
    fprintf(stderr, "quant: %s; see quant --help\n", sentence);
    return 2;
}

static size_t count_from_text(const char *text) {
    char *end;
    const unsigned long n = strtoul(text, &end, 10);
    return *text >= '1' && *text <= '9' && !*end && n < 1u << 30 ? (size_t)n : 0;
}

/* Returns NULL, or what is wrong with the option at argv[*i]. */
static const char *read_option(char **argv, int *i, quant_options *o) {
    const char *option = argv[*i], *value;
    if (strcmp(option, "--all") == 0) {
        o->all = 1;
        return NULL;
    }
    if (strcmp(option, "--layout") != 0 && strcmp(option, "--block") != 0 && strcmp(option, "--dtype") != 0) {
        return "unknown option";
    }
    value = argv[++*i];
    if (!value) return "an option lacks its value";
    if (strcmp(option, "--dtype") == 0) {
        o->dtype = dtype_from_text(value);
        return o->dtype == ST_DTYPE_UNKNOWN ? "--dtype names no dtype that is known here" : NULL;
    }
    if (strcmp(option, "--block") == 0) {
        o->block = count_from_text(value);
        return o->block ? NULL : "--block expects a number of columns";
    }
    o->layout = strcmp(value, "tensor") == 0 ? LAYOUT_TENSOR : strcmp(value, "rows") == 0 ? LAYOUT_ROWS : LAYOUT_BLOCKS;
    return o->layout == LAYOUT_BLOCKS && strcmp(value, "blocks") != 0 ? "--layout expects tensor, rows or blocks"
                                                                      : NULL;
}

static const char *check_options(const char *command, quant_options *o) {
    const int is_float = o->dtype != ST_DTYPE_I8 && o->dtype != ST_DTYPE_U8;
    if (strcmp(command, "quantize") != 0) {
        if (o->layout != LAYOUT_TENSOR || o->block || o->all) return "only quantize takes --layout, --block and --all";
        if (o->dtype == ST_DTYPE_UNKNOWN) o->dtype = ST_DTYPE_F32;
        return o->dtype == ST_DTYPE_I8 || o->dtype == ST_DTYPE_U8 ? "dequantize expects a floating-point --dtype"
                                                                  : NULL;
    }
    if (o->dtype == ST_DTYPE_UNKNOWN) {
        o->dtype = ST_DTYPE_I8;
    } else if (is_float) {
        return "quantize expects --dtype int8 or uint8";
    }
    if (o->block && o->layout != LAYOUT_BLOCKS) return "--block needs --layout blocks";
    if (o->all && o->layout != LAYOUT_TENSOR)
        return "--all needs --layout tensor: rows and blocks are of two dimensions";
    if (o->dtype == ST_DTYPE_U8 && o->layout != LAYOUT_TENSOR) return "uint8 needs --layout tensor";
    if (!o->block) o->block = 32;
    return NULL;
}

int main(int argc, char **argv) {
    const char *paths[2] = {NULL, NULL}, *fault = NULL, *command = argc > 1 ? argv[1] : "";
    quant_options options;
    int succeeded, i, count = 0, wanted = strcmp(command, "check") == 0 ? 1 : 2;
    memset(&options, 0, sizeof options);
    for (i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--help") == 0) {
            fputs(usage, stdout);
            return 0;
        }
    }
    if (strcmp(command, "quantize") != 0 && strcmp(command, "dequantize") != 0 && strcmp(command, "check") != 0) {
        return wrong_usage("expected quantize, dequantize or check");
    }
    for (i = 2; i < argc && !fault; i++) {
        if (argv[i][0] == '-' && argv[i][1]) {
            fault = read_option(argv, &i, &options);
        } else if (count == wanted) {
            fault = "too many arguments";
        } else {
            paths[count++] = argv[i];
        }
    }
    if (!fault) fault = check_options(command, &options);
    if (!fault && count < wanted) fault = wanted == 2 ? "expected IN and OUT" : "expected IN";
    if (fault) return wrong_usage(fault);
    succeeded = strcmp(command, "quantize") == 0 ? quantize_file(paths[0], paths[1], &options)
                                                 : dequantize_file(paths[0], paths[1], options.dtype);
    if (succeeded && (fflush(stdout) != 0 || ferror(stdout))) {
        fprintf(stderr, "quant: cannot write to standard output\n");
        succeeded = 0;
    }
    return !succeeded;
}
