/* st: a command-line tool that inspects, checks and writes safetensors files.
 *
 *     cc -O2 -I. examples/st/[a-z]*.c -o build/st
 *
 * Each command is a row of the table below and a file of its own. Exit codes: 0 success, 1 a file failed or the output
 * could not be written, 2 wrong command line. */
#include "st.h"
#include <ctype.h>
#include <string.h>

typedef struct command {
    const char *name, *arguments, *summary, *help;
    int (*run)(int argc, char **argv);
} command;

/* Help texts fit 80 columns. */
#define SAVING_HELP                                                                   \
    "  --keep-order     keep the order of the tensors; the default is by dtype and\n" \
    "                   name, as other tools write\n"                                 \
    "  --align N        start the data at a multiple of N bytes; N is a power of\n"   \
    "                   two, 8 or more (default 8)\n"                                 \
    "  --slack N        leave N spare bytes in the header, so that st meta\n"         \
    "                   --in-place can add metadata later\n"                          \
    "  --no-sync        do not wait until the file is on the device: faster, but a\n" \
    "                   power failure can destroy both the old and the new file\n"    \
    "  --json           print a JSON object: path, tensors, bytes (of data),\n"       \
    "                   file_bytes, files\n"

#define RENAME_HELP                                                                   \
    "  --rename A=B     write tensor A under the name B. One * on each side keeps\n"  \
    "                   the text that it matches: --rename 'model.*=*'. If several\n" \
    "                   renames match, the first one is used\n"

#define CHOOSING_HELP                                                                  \
    "  --only GLOB      write only tensors whose name matches: * is any text, ? any\n" \
    "                   character\n"                                                   \
    "  --except GLOB    leave out tensors whose name matches\n" RENAME_HELP

#define CHOOSING_END                                                                 \
    "\n--only, --except and --rename can be repeated and use the names in IN. The\n" \
    "command fails if one of them matches no tensor.\n"

static const command commands[] = {
    {"ls", "[--json] MODEL", "list the tensors of a model",
     "Lists the tensors of a model in file order: name, dtype, shape, bytes, and the\n"
     "offset of the first byte in the file. Metadata is printed first, totals by\n"
     "dtype last.\n"
     "\n"
     "  --json   print one JSON object with metadata, index, shards and tensors;\n"
     "           nothing is shortened\n",
     command_ls},
    {"check", "[--deep] [--json] MODEL...", "check whether models are valid",
     "Checks the header and the length of each file, and whether an index and its\n"
     "files agree. Prints one line for each model:\n"
     "\n"
     "  MODEL: ok, N tensors, B bytes\n"
     "  MODEL: ST_ERR_X at byte P: what is wrong\n"
     "\n"
     "All models are checked, even if one fails. The exit code is 1 if any failed.\n"
     "\n"
     "  --deep   also read all data: report what the device cannot read, count NaN\n"
     "           and infinity, and fail if a byte of a BOOL tensor is neither 0 nor 1\n"
     "  --json   print one JSON object a line: path, status, position, expected,\n"
     "           actual, subject, message. With --deep, valid models also have nan,\n"
     "           infinity, bad_bool and tensors (those that have any of the three)\n",
     command_check},
    {"cat", "MODEL TENSOR [--offset N] [--bytes N]", "write the raw bytes of a tensor",
     "Writes the bytes of a tensor to standard output as they are stored:\n"
     "little-endian, in C order (last dimension fastest).\n"
     "\n"
     "  --offset N   skip the first N bytes (default 0)\n"
     "  --bytes N    write N bytes (default: up to the end of the tensor)\n",
     command_cat},
    {"show", "[--stats] MODEL TENSOR [RANGES]", "print the values of a tensor",
     "Prints the values of a tensor as NumPy prints an array. If there are more than\n"
     "1000, only the edges of long dimensions are printed.\n"
     "\n"
     "RANGES selects a part, as NumPy's slices do: for each dimension, from the\n"
     "first on, an index or START:STOP or START:STOP:STEP, separated by commas.\n"
     "START, STOP and STEP can be left out. Negative numbers count from the end.\n"
     "\n"
     "  st show model.safetensors embed.weight 0:10,::2\n"
     "  st show model.safetensors embed.weight -1\n"
     "\n"
     "  --stats   print statistics instead: the number of elements, of NaN and of\n"
     "            infinities; minimum, maximum, mean and standard deviation of the\n"
     "            finite numbers; and a histogram\n",
     command_show},
    {"diff", "[--metadata] [--json] A B", "compare two models",
     "Compares the tensors of two models by name, in whatever files they are, and\n"
     "prints a line for each difference:\n"
     "\n"
     "  - a tensor that only A has\n"
     "  + a tensor that only B has\n"
     "  ~ a tensor whose dtype, shape or bytes differ, with the first byte that\n"
     "    differs; and, if the shapes are the same, the largest difference of two\n"
     "    numbers and its place. A NaN on one side counts as the largest difference\n"
     "\n"
     "The exit code is 0 if nothing differs, 1 if something does, and 2 if a model\n"
     "cannot be read or the command line is wrong.\n"
     "\n"
     "  --metadata   also compare the metadata of each model's first file. The order\n"
     "               of tensors, the alignment and an index's metadata never count\n"
     "  --json       print one JSON object: removed, added, changed (with now, bytes\n"
     "               and first), same (a number), metadata (the number of keys that\n"
     "               differ, or null)\n",
     command_diff},
    {"copy", "[OPTIONS] IN OUT", "copy a model: ordered, in part, or renamed",
     "Writes the tensors and the metadata of IN to OUT, ordered by dtype (U64 first,\n"
     "BOOL last) and then by name.\n"
     "\n"
     "OUT is a file. If IN has several files, OUT is a directory, which is made if it\n"
     "does not exist, and the tensors are split as before if some limit on the size\n"
     "of files gives that split. Use st merge to write one file, st shard to split\n"
     "in another way.\n"
     "\n"
     "An older OUT stays in place until the new model is complete, also if the\n"
     "command fails. OUT can be IN if the system can replace open files.\n"
     "\n" CHOOSING_HELP SAVING_HELP CHOOSING_END,
     command_copy},
    {"merge", "[OPTIONS] IN OUT", "merge a model of several files into one file",
     "Writes the tensors of IN to the file OUT, as st copy does, with the metadata of\n"
     "IN's first file. If other files have other metadata, or the index has metadata\n"
     "that is lost, a message on standard error says so.\n"
     "\n" CHOOSING_HELP SAVING_HELP CHOOSING_END,
     command_merge},
    {"merge-lora", "[OPTIONS] BASE LORA OUT", "merge a LoRA into a model",
     "Writes BASE to OUT as st copy does, with the matrices of LORA added to the\n"
     "weights that they belong to: W + scale * (alpha / rank) * up x down, computed\n"
     "in F64 and rounded once to the dtype of W, a block at a time. Tensors that LORA\n"
     "does not change are copied.\n"
     "\n"
     "LORA is a file or a directory with the names of PEFT (lora_A, lora_B), diffusers\n"
     "or kohya (lora_down, lora_up). Every tensor of LORA is used; the command fails\n"
     "and names those that do not fit BASE or are of another kind, such as DoRA or\n"
     "LoHa.\n"
     "\n"
     "alpha is that of LORA's .alpha tensors, adapter_config.json beside LORA, or\n"
     "LORA's metadata. Without any, alpha is the rank, but PEFT's names need --alpha\n"
     "or --scale.\n"
     "\n"
     "  --alpha N        use this alpha for all weights\n"
     "  --scale X        multiply what is added by X (default 1)\n"
     "  --dry-run        print what each pair of matrices changes; OUT can be omitted\n"
     "  --only GLOB      use only tensors of LORA whose name matches: * is any text,\n"
     "                   ? any character\n"
     "  --except GLOB    leave out tensors of LORA whose name matches\n"
     "  --rename A=B     treat tensor A of LORA as if it was called B. One * on each\n"
     "                   side keeps the text that it matches\n" SAVING_HELP,
     command_merge_lora},
    {"shard", "[OPTIONS] IN DIR", "split a model into files of limited size",
     "Splits the tensors of IN in their order and writes them to the directory DIR,\n"
     "which is made if it does not exist: as model-00001-of-0000N.safetensors and so\n"
     "on with an index, or as model.safetensors if one file is enough.\n"
     "An older model in DIR stays until the new one is complete, and is then removed.\n"
     "\n"
     "  --max-size N     limit for the tensors in a file, for example 5GB (default),\n"
     "                   1.5GB or 500MB (powers of 1000), or KiB, MiB, GiB (powers of\n"
     "                   1024). A larger tensor has a file of its own\n" CHOOSING_HELP SAVING_HELP CHOOSING_END,
     command_shard},
    {"convert", "[OPTIONS] IN OUT --dtype DTYPE", "convert the numbers of a model",
     "Writes IN to OUT as st copy does, and converts all floating-point tensors to\n"
     "DTYPE: F64, F32, F16, BF16, F8_E4M3, F8_E5M2, F8_E4M3FNUZ, F8_E5M2FNUZ, BOOL\n"
     "or an integer such as I8. Each number is rounded once, to the nearest value,\n"
     "ties to even. Numbers that are too large become infinity, or the largest value\n"
     "if DTYPE has no infinity.\n"
     "\n"
     "  --dtype DTYPE    the dtype to convert to, in upper or lower case\n"
     "  --only GLOB      convert only tensors whose name matches, whatever their\n"
     "                   dtype: * is any text, ? any character\n"
     "  --except GLOB    do not convert tensors whose name matches\n" RENAME_HELP SAVING_HELP CHOOSING_END,
     command_convert},
    {"meta", "[OPTIONS] PATH", "print or change the metadata of a file",
     "Prints the metadata of a model's first file, one entry a line. With --set,\n"
     "--unset or --clear it changes the metadata instead: it writes a new file, which\n"
     "replaces the old one when it is complete.\n"
     "\n"
     "  --set K=V     set key K (the text before the first \"=\") to the value V\n"
     "  --unset K     remove key K; without keys, empty metadata remains\n"
     "  --clear       remove the metadata itself\n"
     "  --in-place    overwrite the header in the old file: fast for large files, but\n"
     "                a crash can destroy the file. Fails if the new header does not\n"
     "                fit; st copy --slack N makes room for it\n"
     "  --no-sync     do not wait until the file is on the device\n"
     "  --json        print a JSON object, or null without metadata; after a change,\n"
     "                the new metadata\n"
     "\n"
     "--set and --unset can be repeated. --clear is applied first, --set last.\n",
     command_meta},
    {"pack", "[OPTIONS] OUT NAME=DTYPE:SHAPE:FILE...", "make a file from raw bytes",
     "Writes OUT from files of raw bytes, one for each tensor: little-endian, in C\n"
     "order (last dimension fastest). NAME is the text before the first \"=\". DTYPE\n"
     "is a name such as F32, in upper or lower case. SHAPE is a list such as 2,3, or\n"
     "empty for a scalar. FILE is a path, or - for standard input; it must have\n"
     "exactly as many bytes as dtype and shape need. An older OUT stays until the new\n"
     "file is complete.\n"
     "\n"
     "  st pack out.safetensors w=F32:128,64:w.bin b=F32:64:b.bin --meta format=pt\n"
     "\n"
     "  --meta K=V       set metadata key K (the text before the first \"=\") to the\n"
     "                   value V; can be repeated\n" SAVING_HELP,
     command_pack},
};

enum { COMMAND_COUNT = sizeof commands / sizeof commands[0] };

static const command *find_command(const char *name) {
    size_t i;
    for (i = 0; i < COMMAND_COUNT; i++) {
        if (strcmp(commands[i].name, name) == 0) return &commands[i];
    }
    return NULL;
}

static void put_usage(FILE *to) {
    size_t i;
    fputs("usage: st COMMAND [OPTIONS] ARGUMENTS\n\n", to);
    for (i = 0; i < COMMAND_COUNT; i++) {
        const command *c = &commands[i];
        fprintf(to, "  st %-10s %s\n", c->name, c->summary);
    }
    fputs("\n"
          "  st COMMAND --help   show how to use a command\n"
          "  st --version        print the version\n"
          "\n"
          "MODEL and IN are a file, an index (.json), a directory that contains either, or\n"
          "hub:owner/name[@revision] for a repository in the local Hugging Face cache.\n"
          "\"--\" ends the options: everything after it is a path or a name.\n"
          "The exit code is 0 on success, 1 if a model failed, 2 if the usage is wrong.\n",
          to);
}

static int put_command_help(const command *c) {
    printf("usage: st %s %s\n\n%s", c->name, c->arguments, c->help);
    return EXIT_FINE;
}

void begin_message(const char *name) {
    fprintf(stderr, "st %s: ", name);
}

int usage_hint(const char *name) {
    fprintf(stderr, "\nusage: st %s %s\nfor more, type st %s --help\n", name, find_command(name)->arguments, name);
    return EXIT_USAGE;
}

int usage_error(const char *name, const char *text, const char *given) {
    begin_message(name);
    fputs(text, stderr);
    put_string(stderr, given);
    return usage_hint(name);
}

static const option *find_option(const option *options, size_t count, const char *name, size_t bytes) {
    size_t i;
    for (i = 0; i < count; i++) {
        if (strlen(options[i].name) == bytes && memcmp(options[i].name, name, bytes) == 0) return &options[i];
    }
    return NULL;
}

static void unknown_option(const char *name, const option *options, size_t count, const char *given) {
    nearest_names nearest;
    size_t i;
    begin_message(name);
    fputs("unknown option ", stderr);
    put_string(stderr, given);
    nearest_begin(&nearest, given);
    for (i = 0; i < count; i++) nearest_consider(&nearest, options[i].name, strlen(options[i].name));
    put_nearest(stderr, &nearest);
    usage_hint(name);
}

/* "-" and negative numbers are no options. */
static int is_option(const char *argument) {
    return argument[0] == '-' && argument[1] != 0 && !isdigit((unsigned char)argument[1]);
}

int parse_options(const char *name, const option *options, size_t count, int argc, char **argv) {
    int i, kept = 0, has_ended = 0;
    for (i = 0; i < argc; i++) {
        const char *equals;
        const option *o;
        if (has_ended || !is_option(argv[i])) {
            argv[kept++] = argv[i];
            continue;
        }
        if (strcmp(argv[i], "--") == 0) {
            has_ended = 1;
            continue;
        }
        equals = strchr(argv[i], '=');
        o = find_option(options, count, argv[i], equals ? (size_t)(equals - argv[i]) : strlen(argv[i]));
        if (!o) return unknown_option(name, options, count, argv[i]), -1;
        if (o->flag && !o->value) {
            if (equals) return usage_error(name, "this option takes no value: ", argv[i]), -1;
            *o->flag = 1;
        } else if (equals || i + 1 < argc) {
            o->value[o->flag ? (*o->flag)++ : 0] = equals ? equals + 1 : argv[++i];
        } else {
            return usage_error(name, "missing value after option ", argv[i]), -1;
        }
    }
    return kept;
}

static int has_help_option(int argc, char **argv) {
    int i;
    for (i = 0; i < argc && strcmp(argv[i], "--") != 0; i++) {
        if (strcmp(argv[i], "-h") == 0 || strcmp(argv[i], "--help") == 0) return 1;
    }
    return 0;
}

static int unknown_command(const char *name) {
    nearest_names nearest;
    size_t i;
    fprintf(stderr, "st: unknown %s ", name[0] == '-' ? "option" : "command");
    put_string(stderr, name);
    nearest_begin(&nearest, name);
    for (i = 0; i < COMMAND_COUNT; i++) nearest_consider(&nearest, commands[i].name, strlen(commands[i].name));
    put_nearest(stderr, &nearest);
    fputs("\nfor a list of commands, type st --help\n", stderr);
    return EXIT_USAGE;
}

static int run_command(int argc, char **argv) {
    const command *c;
    if (argc < 2) {
        put_usage(stderr);
        return EXIT_USAGE;
    }
    if (strcmp(argv[1], "-h") == 0 || strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "help") == 0) {
        c = argc > 2 ? find_command(argv[2]) : NULL;
        if (c) return put_command_help(c);
        put_usage(stdout);
        return EXIT_FINE;
    }
    if (strcmp(argv[1], "--version") == 0) {
        printf("%u.%u.%u\n", st_version() / 10000, st_version() / 100 % 100, st_version() % 100);
        return EXIT_FINE;
    }
    c = find_command(argv[1]);
    if (!c) return unknown_command(argv[1]);
    if (has_help_option(argc - 2, argv + 2)) return put_command_help(c);
    return c->run(argc - 2, argv + 2);
}

int main(int argc, char **argv) {
    int code;
    argv = system_arguments(&argc, argv);
    system_start_output();
    code = run_command(argc, argv);
    fflush(stdout);
    if (output_failed()) {
        fprintf(stderr, "st: cannot write to standard output: %s\n", strerror(output_failed()));
        if (code == EXIT_FINE) code = EXIT_FAILED;
    }
    system_end_if_interrupted();
    return code;
}
