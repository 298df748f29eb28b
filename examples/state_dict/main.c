/* state_dict: gives a module the tensors of a checkpoint, whatever their names and layout, and says what fits.
 *
 *     cc -O2 -I. examples/state_dict/[a-z]*.c examples/common/[a-z]*.c -o state_dict
 *     ./state_dict apply module.txt checkpoint.safetensors --root mha --out parameters.safetensors
 *     ./state_dict slopes checkpoint.safetensors
 *
 * The module is a list of names and shapes, one a line, such as "linear_q.weight 4 4", or a safetensors file that has
 * these names and shapes. */
#include "dict.h"
#include <stdlib.h>
#include <string.h>

static const char usage[] =
    "usage: state_dict apply MODULE CHECKPOINT... [--out OUT] [OPTIONS]\n"
    "       state_dict slopes CHECKPOINT... [--root NAME]\n"
    "\n"
    "apply prints what became of each parameter: assigned, transposed, missing or mismatched, and which tensors of "
    "the\n"
    "checkpoint are unexpected. slopes prints the slopes of NL-OOB attention.\n"
    "MODULE is a .txt file or - (standard input) with a name and its dimensions on each line, or a model. CHECKPOINT "
    "is a\n"
    "file, an index or a directory; of several, such as parts/*.safetensors, the later replace tensors of the "
    "earlier.\n"
    "\n"
    "  --out OUT              write the parameters, with the module's names and shapes\n"
    "  --root NAME            the module's name in the checkpoint\n"
    "  --strict none|missing|both   fail if parameters are missing or mismatched (missing, the default), or if\n"
    "                         tensors are unexpected too (both)\n"
    "  --augment              add the names of the Tensor Engine to those of Llama\n"
    "  --transpose            transpose each matrix whose name ends with .weight\n"
    "  --expand-kv HEADS,KV   repeat the keys and values of KV heads for HEADS heads\n"
    "  --kronos               a checkpoint of Kronos; add its projector to the module\n"
    "  --f32                  write F32\n"
    "  --u16-is-bf16          take U16 for the bits of BF16\n";

static int wrong_usage(const char *sentence) {
    fprintf(stderr, "state_dict: %s; see state_dict --help\n", sentence);
    return 2;
}

static const char *read_heads(const char *text, apply_options *o) {
    char *end;
    o->heads = strtoull(text, &end, 10);
    o->kv_heads = *end == ',' ? strtoull(end + 1, &end, 10) : 0;
    if (*end || !o->kv_heads || o->heads > 65536 || o->heads % o->kv_heads || !o->heads) {
        return "--expand-kv expects HEADS,KV, where HEADS is a multiple of KV";
    }
    return NULL;
}

/* Returns NULL, or what is wrong with the option at argv[*i]. Its value follows, or stands behind an equals sign. */
static const char *read_option(char **argv, int *i, apply_options *o, dict *d) {
    static const char *const names[] = {"--out", "--root", "--strict", "--expand-kv"};
    static const char *const strict[] = {"none", "missing", "both"};
    const char *option = argv[*i], *value = strchr(option, '=');
    const size_t n = value ? (size_t)(value - option) : strlen(option);
    int k, s;
    if (strcmp(option, "--augment") == 0) return o->augment = 1, NULL;
    if (strcmp(option, "--transpose") == 0) return o->transpose = 1, NULL;
    if (strcmp(option, "--kronos") == 0) return o->kronos = 1, NULL;
    if (strcmp(option, "--f32") == 0) return o->f32 = 1, NULL;
    if (strcmp(option, "--u16-is-bf16") == 0) return d->u16_is_bf16 = 1, NULL;
    for (k = 0; k < 4 && (strlen(names[k]) != n || memcmp(option, names[k], n) != 0); k++) {}
    if (k == 4) return "unknown option";
    value = value ? value + 1 : argv[++*i];
    if (!value) return "an option lacks its value";
    if (k == 0) return o->out = value, NULL;
    if (k == 1) return o->root = value, NULL;
    if (k == 3) return read_heads(value, o);
    for (s = 0; s < 3; s++) {
        if (strcmp(value, strict[s]) == 0) return o->strict = (strictness)s, NULL;
    }
    return "--strict expects none, missing or both";
}

int main(int argc, char **argv) {
    const char *command = argc > 1 ? argv[1] : "", *module = NULL, *wrong = NULL;
    const int is_apply = strcmp(command, "apply") == 0;
    apply_options options;
    int i, count = 0, succeeded = 1;
    dict d;
    memset(&d, 0, sizeof d);
    memset(&options, 0, sizeof options);
    options.strict = STRICT_MISSING;
    for (i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--help") == 0) return fputs(usage, stdout) < 0;
    }
    if (!is_apply && strcmp(command, "slopes") != 0) return wrong_usage("expected apply or slopes");
    for (i = 2; i < argc && !wrong; i++) {
        const int is_option = argv[i][0] == '-' && argv[i][1];
        if (is_option) {
            wrong = read_option(argv, &i, &options, &d);
        } else if (is_apply && !module) {
            module = argv[i];
        } else {
            argv[2 + count++] = argv[i]; /* in place of an argument that was read */
        }
    }
    if (!wrong && count == 0) wrong = is_apply ? "expected MODULE and CHECKPOINT" : "expected CHECKPOINT";
    if (wrong) return wrong_usage(wrong);
    for (i = 0; i < count && succeeded; i++) succeeded = dict_open(&d, argv[2 + i]);
    if (succeeded && options.augment) succeeded = augment(&d);
    if (succeeded) succeeded = is_apply ? apply(&d, module, &options) : list_slopes(&d, options.root);
    dict_close(&d);
    if (fflush(stdout) != 0) succeeded = fault("standard output", 15, "cannot write");
    return !succeeded;
}
