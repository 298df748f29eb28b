/* st: looks into safetensors files and writes them, from the command line.
 *
 *     cc -O2 -I. examples/st/[a-z]*.c -o build/st
 *
 * A command is a row of the table below and a file of its own. Exit codes: 0 all is well, 1 a file failed (or the
 * output could not be written), 2 the command line makes no sense. */
#include "st.h"
#include <string.h>

typedef struct command {
    const char *name, *arguments, *summary, *help;
    int (*run)(int argc, char **argv);
} command;

#define SAVING_HELP                                                                                                 \
    "  --keep-order     tensors in the order given, not by dtype and name\n"                                        \
    "  --align N        data begins at a multiple of N bytes: 8 or a greater power of two (default 8)\n"            \
    "  --slack N        N spare bytes in the header, for metadata to come (st meta --in-place)\n"                   \
    "  --no-sync        do not wait until the device has the file: quicker, but a power cut can cost old and new\n" \
    "  --json           print a JSON object: path, tensors, bytes (of their data), file_bytes, files\n"

#define CHOOSING_HELP                                                                                         \
    "  --only GLOB      only tensors whose name fits: * is any text, ? any character\n"                       \
    "  --except GLOB    all but tensors whose name fits\n"                                                    \
    "  --rename A=B     tensor A is called B in OUT; with one * on both sides, what it stands for is kept:\n" \
    "                   --rename 'model.*=*'. Of several the first that fits counts\n"

#define CHOOSING_END \
    "\n--only, --except and --rename may be given again and again; each must fit a tensor, by its name in IN.\n"

static const command commands[] = {
    {"ls", "[--json] MODEL", "list the tensors of a model",
     "Lists the tensors of a model: name, dtype, shape, bytes, and the offset of the first byte in the file, in the\n"
     "order in which their bytes lie, each file's under its path; metadata before them, a total by dtype after them.\n"
     "\n"
     "  --json   one JSON object: metadata, index, shards, tensors; nothing is shortened\n",
     command_ls},
    {"check", "[--json] [--deep] MODEL...", "say whether models are sound, and if not, where",
     "Checks the header and length of each file, and of several what their index says, and prints one line a model:\n"
     "  MODEL: ok, N tensors, B bytes\n"
     "  MODEL: ST_ERR_X at byte P: what is wrong\n"
     "One that fails does not stop the rest. Exit code 1 if any failed.\n"
     "\n"
     "  --deep   read every byte once, to find what the device cannot read, and count NaN, infinities, and bytes of "
     "BOOL\n"
     "           tensors other than 0 and 1, in all and for each tensor that has some. Such BOOL bytes make a model "
     "fail;\n"
     "           NaN and infinities do not\n"
     "  --json   one JSON object a line: path, status, position, expected, actual, subject, message; with --deep, "
     "where\n"
     "           status is ST_OK, also nan, infinity, bad_bool, and tensors that have some: name, nan, infinity, "
     "bad_bool\n",
     command_check},
    {"cat", "MODEL TENSOR [--offset N] [--bytes N]", "write a tensor's raw bytes to standard output",
     "Writes the bytes of one tensor as they are stored (little-endian, row by row) to standard output.\n"
     "\n"
     "  --offset N   begin N bytes into the tensor (default 0)\n"
     "  --bytes N    write N bytes (default: all to the end of the tensor)\n",
     command_cat},
    {"show", "[--stats] MODEL TENSOR [RANGES]", "print a tensor's values",
     "Prints the values of a tensor as NumPy prints an array; of more than 1000 the edges of long dimensions.\n"
     "RANGES has one for each dimension, from the first on, with commas between them, as NumPy takes them: an index,\n"
     "or START:STOP or START:STOP:STEP, of which each may be left out; below 0 counts from the end (then after --).\n"
     "\n"
     "  st show model.safetensors embed.weight 0:10,::2\n"
     "\n"
     "  --stats   how many there are, how many of them are NaN or infinite; of the others minimum, maximum, mean, "
     "standard\n"
     "            deviation, and a histogram: from where, a bar, how many\n",
     command_show},
    {"diff", "[--metadata] [--json] A B", "say what differs between two models",
     "Compares the tensors of two models by name, whatever files they are in, and prints a line for each that\n"
     "  - is only in A\n"
     "  + is only in B\n"
     "  ~ has another dtype, shape or bytes, with the place of the first byte that differs in the tensor, and where "
     "the\n"
     "    shape is the same with the largest difference of two numbers and its place; NaN is as large as can be\n"
     "Exit code 0: the same, 1: something differs, 2: a model cannot be read, or wrong usage.\n"
     "\n"
     "  --metadata   also compare metadata, each model's first file's, key by key; it is passed over otherwise, and "
     "so\n"
     "               are order, alignment and the metadata of indexes always\n"
     "  --json       one JSON object: removed, added, changed (with now, bytes, first), same (how many), metadata "
     "(how\n"
     "               many keys differ, or null)\n",
     command_diff},
    {"copy", "[OPTIONS] IN OUT", "write a model anew: in order, in part, renamed",
     "Writes the tensors of the model IN to OUT, by dtype from U64 down to BOOL, then by name, with the metadata of "
     "IN.\n"
     "OUT is a file; of a model in several files it is a directory, made if it is not there, and the tensors stay\n"
     "together as they were, if a limit on the size of files can split them so (st merge makes one file, st shard\n"
     "splits otherwise).\n"
     "What OUT was stays until the new model is complete; if anything fails, it stays for good. OUT may be IN, where\n"
     "the system can replace a file that is open.\n"
     "\n" CHOOSING_HELP SAVING_HELP CHOOSING_END,
     command_copy},
    {"merge", "[OPTIONS] IN OUT", "put a model of several files into one",
     "Writes the tensors of the model IN to the file OUT, as st copy does. The metadata is that of IN's first file;\n"
     "where others have other metadata, standard error says so, and what of the index's metadata is lost.\n"
     "\n" CHOOSING_HELP SAVING_HELP CHOOSING_END,
     command_merge},
    {"shard", "[OPTIONS] IN DIR", "split a model into files of a size, and their index",
     "Writes the tensors of the model IN to DIR, which is made if it is not there, in their order: as\n"
     "model-00001-of-0000N.safetensors and so on, and model.safetensors.index.json; or as model.safetensors where one\n"
     "file suffices. What model is in DIR stays until the new one is complete; then its files are removed.\n"
     "\n"
     "  --max-size N     bytes of tensors in a file: 5GB (the default), 1.5GB, 500MB in powers of 1000; KiB, MiB, GiB "
     "in\n"
     "                   powers of 1024. A file closes before it has more; a tensor that has more is alone in its "
     "file\n" CHOOSING_HELP SAVING_HELP CHOOSING_END,
     command_shard},
    {"convert", "[OPTIONS] IN OUT --dtype DTYPE", "store the numbers of a model as another dtype",
     "Writes the model IN to OUT as st copy does, with the tensors of floating-point numbers converted to DTYPE, which "
     "is\n"
     "one of F64, F32, F16, BF16, F8_E4M3, F8_E5M2 and so on, or BOOL or an integer, in any case. Each number is "
     "rounded\n"
     "once, to nearest even; what is beyond the range becomes infinity, or the largest number where there is none.\n"
     "\n"
     "  --dtype DTYPE    to which\n"
     "  --only GLOB      convert only tensors whose name fits, whatever their dtype: * is any text, ? any character\n"
     "  --except GLOB    convert all but tensors whose name fits\n"
     "  --rename A=B     tensor A is called B in OUT; with one * on both sides, what it stands for is kept:\n"
     "                   --rename 'model.*=*'. Of several the first that fits counts\n" SAVING_HELP CHOOSING_END,
     command_convert},
    {"meta", "[OPTIONS] PATH", "print or change the metadata of a file",
     "Prints the metadata of a model's first file, one entry a line. With one of the first three options it is "
     "changed, in a\n"
     "new file that takes the place of the old one when it is complete, and nothing is printed.\n"
     "\n"
     "  --set K=V     give key K (up to the first \"=\") the value V\n"
     "  --unset K     remove key K; after the last one there is still metadata, an empty object\n"
     "  --clear       remove all keys, and the metadata itself if nothing is set\n"
     "  --in-place    overwrite the header where it lies: quick on large files, but a crash meanwhile can cost the\n"
     "                file. An error where the new header does not fit (st copy --slack makes room)\n"
     "  --no-sync     do not wait until the device has the new file\n"
     "  --json        print a JSON object, or null where there is no metadata; after a change the new one\n"
     "\n"
     "--set and --unset may be given again and again. --clear comes first, then --unset, then --set.\n",
     command_meta},
    {"pack", "[OPTIONS] OUT NAME=DTYPE:SHAPE:FILE...", "make a file of raw bytes",
     "Writes OUT from files of raw bytes (little-endian, row by row), one a tensor. NAME ends at the first \"=\",\n"
     "DTYPE is spelled as in F32, SHAPE is like 2,3 and empty for a scalar, FILE is - for standard input. A file\n"
     "must have exactly the bytes that dtype and shape ask for. What OUT was stays until the new file is complete.\n"
     "\n"
     "  st pack out.safetensors weight=F32:128,64:weight.bin bias=F32:64:bias.bin --meta format=pt\n"
     "\n"
     "  --meta K=V       metadata: key K (up to the first \"=\") has the value V; may be given again\n" SAVING_HELP,
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
        fprintf(to, "  st %-7s %-38s  %s\n", c->name, c->arguments, c->summary);
    }
    fputs("\n  st COMMAND --help   what a command does\n"
          "  st --version        version of the library\n"
          "\nA MODEL, or IN, is a file, an index (its name ends in .json), a directory that holds either, or\n"
          "hub:owner/name[@revision] for what the Hugging Face cache has.\n"
          "\"--\" ends the options: what follows is a path or a name, whatever it begins with.\n"
          "Exit code: 0 all is well, 1 a model failed, 2 wrong usage.\n",
          to);
}

static int put_command_help(const command *c) {
    printf("usage: st %s %s\n\n%s", c->name, c->arguments, c->help);
    return EXIT_FINE;
}

void begin_complaint(const char *name) {
    fprintf(stderr, "st %s: ", name);
}

int usage_hint(const char *name) {
    fprintf(stderr, "\nusage: st %s %s\n       st %s --help says more\n", name, find_command(name)->arguments, name);
    return EXIT_USAGE;
}

static const option *find_option(const option *options, size_t count, const char *name, size_t bytes) {
    size_t i;
    for (i = 0; i < count; i++) {
        if (strlen(options[i].name) == bytes && memcmp(options[i].name, name, bytes) == 0) return &options[i];
    }
    return NULL;
}

static int wrong_option(const char *name, const char *what, const option *options, size_t count, const char *given) {
    near_names near_to;
    size_t i;
    begin_complaint(name);
    fputs(what, stderr);
    put_text(stderr, given, strlen(given));
    near_begin(&near_to, given);
    for (i = 0; i < count; i++) near_consider(&near_to, options[i].name, strlen(options[i].name));
    near_put(stderr, &near_to);
    usage_hint(name);
    return -1;
}

int take_options(const char *name, const option *options, size_t count, int argc, char **argv) {
    int i, kept = 0, options_over = 0;
    for (i = 0; i < argc; i++) {
        const char *equals;
        const option *o;
        if (options_over || argv[i][0] != '-' || argv[i][1] == 0) {
            argv[kept++] = argv[i];
            continue;
        }
        if (strcmp(argv[i], "--") == 0) {
            options_over = 1;
            continue;
        }
        equals = strchr(argv[i], '=');
        o = find_option(options, count, argv[i], equals ? (size_t)(equals - argv[i]) : strlen(argv[i]));
        if (!o) return wrong_option(name, "unknown option ", options, count, argv[i]);
        if (o->flag && !o->value) {
            if (equals) return wrong_option(name, "this option takes no value: ", options, 0, argv[i]);
            *o->flag = 1;
        } else if (equals || i + 1 < argc) {
            o->value[o->flag ? (*o->flag)++ : 0] = equals ? equals + 1 : argv[++i];
        } else {
            return wrong_option(name, "a value must follow ", options, 0, argv[i]);
        }
    }
    return kept;
}

static int asks_for_help(int argc, char **argv) {
    int i;
    for (i = 0; i < argc && strcmp(argv[i], "--") != 0; i++) {
        if (strcmp(argv[i], "-h") == 0 || strcmp(argv[i], "--help") == 0) return 1;
    }
    return 0;
}

static int unknown_command(const char *name) {
    near_names near_to;
    size_t i;
    fprintf(stderr, "st: unknown %s ", name[0] == '-' ? "option" : "command");
    put_text(stderr, name, strlen(name));
    near_begin(&near_to, name);
    for (i = 0; i < COMMAND_COUNT; i++) near_consider(&near_to, commands[i].name, strlen(commands[i].name));
    near_put(stderr, &near_to);
    fputs("\nst --help lists the commands\n", stderr);
    return EXIT_USAGE;
}

static int run(int argc, char **argv) {
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
        puts(ST_VERSION_STRING);
        return EXIT_FINE;
    }
    c = find_command(argv[1]);
    if (!c) return unknown_command(argv[1]);
    if (asks_for_help(argc - 2, argv + 2)) return put_command_help(c);
    return c->run(argc - 2, argv + 2);
}

int main(int argc, char **argv) {
    int code;
    argv = system_arguments(&argc, argv);
    system_start_output();
    code = run(argc, argv);
    fflush(stdout);
    if (output_failed()) {
        fprintf(stderr, "st: cannot write to standard output: %s\n", strerror(output_failed()));
        if (code == EXIT_FINE) code = EXIT_FAILED;
    }
    system_end_if_interrupted();
    return code;
}
