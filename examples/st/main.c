/* st: a command-line tool that inspects, checks and writes safetensors files.
 *
 *     cc -O2 -I. -pthread examples/st/[a-z]*.c examples/common/[jlt]*.c -o st
 *
 * Each command is a row of the table below and a file of its own. Exit codes: 0 success, 1 a file failed or the output
 * could not be written, 2 wrong command line. */
#include "st.h"
#include <ctype.h>
#include <string.h>

/* Help texts fit 80 columns, and each literal 4095 characters, the limit of C99. help.c makes the manual page and the
 * completions from them and describes their form. */
#define SAVING_HELP                                                                   \
    "  --keep-order     keep the order of the tensors; the default is by dtype and\n" \
    "                   name, as other tools write\n"                                 \
    "  --align N        start the data at a multiple of N bytes; N is a power of\n"   \
    "                   two, 8 or more (default 8)\n"                                 \
    "  --slack N        leave N spare bytes in the header, so that st meta\n"         \
    "                   --in-place can add metadata later\n"                          \
    "  --no-sync        do not wait until the file is on the device: faster, but a\n" \
    "                   power failure can destroy both the old and the new file\n"    \
    "  --direct         write OUT itself, for mounts without rename: a failure\n"     \
    "                   leaves an incomplete file that does not open\n"               \
    "  --json           print a JSON object: path, tensors, bytes (of data),\n"       \
    "                   file_bytes, files\n"

static const char opening_help[] = "  --variant V      in a directory, open only files of the variant V: such as\n"
                                   "                   model.fp16.safetensors with --variant fp16\n"
                                   "  --no-index       open a complete set of shards by their names, without an\n"
                                   "                   index or beside one that is out of date\n"
                                   "  --index-decides  of a tensor that two shards hold, use the copy in the shard\n"
                                   "                   that the index names\n"
                                   "  --partial        do without missing shards, and without tensors that the\n"
                                   "                   index names but no shard holds\n";

#define RENAME_HELP                                                                    \
    "  --rename A=B     write tensor A under the name B. Each * in A matches as\n"     \
    "                   little text as possible; the * in B, as many as in A, are\n"   \
    "                   replaced by these texts in order: --rename 'a.*.b.*=*.*'.\n"   \
    "                   All renames are applied, one after the other\n"                \
    "  --rename-file F  read renames from file F (- is standard input), one a line,\n" \
    "                   and apply them before those of --rename. Lines that begin\n"   \
    "                   with # are comments\n"                                         \
    "  --dry-run        print OLD NAME -> NEW NAME for each tensor (with --json,\n"    \
    "                   objects with from and to) and write nothing\n"

#define SEVERAL_HELP                                                                    \
    "\n"                                                                                \
    "Several INs become one model. IN=PREFIX puts PREFIX before the names of IN's\n"    \
    "tensors; a name in two INs is refused. An argument that names a file as a whole\n" \
    "is a path; otherwise the last = ends the path. Metadata is that of the first IN.\n"

#define CHOOSING_HELP                                                                  \
    "  --only GLOB      write only tensors whose name matches: * is any text, ? any\n" \
    "                   character\n"                                                   \
    "  --except GLOB    leave out tensors whose name matches\n" RENAME_HELP

#define NAMING_HELP                                                                    \
    "  --name STEM      call the files STEM-00001-of-0000N.safetensors; the default\n" \
    "                   is the name of IN's files, or model\n"

#define CHOOSING_NOTES                                                                \
    "\n--only, --except and --rename can be repeated and use the names in IN, with\n" \
    "their prefixes. The command fails if one of them matches no tensor, or if two\n" \
    "tensors would get one name.\n"

static const tool_command commands[] = {
    /* read */
    {"ls", "[OPTIONS] MODEL", "list the tensors of a model",
     "Lists the tensors of a model in file order: name, dtype, shape, bytes, and the\n"
     "offset of the first byte in the file. Metadata is printed first, totals by\n"
     "dtype last.\n"
     "\n"
     "  --match GLOB   list only tensors whose name matches: * is any text, ? any\n"
     "                 character; can be repeated\n"
     "  --sort size|name|offset\n"
     "                 list the largest tensors first, or sort by name; offset is\n"
     "                 the order in the files\n"
     "  --tree         print a tree of the names, split at dots and slashes, with the\n"
     "                 number and the bytes of the tensors in each branch; repeated\n"
     "                 layers with equal tensors are one branch, such as {0..31}\n"
     "  --json         print one JSON object with metadata, index, shards and tensors;\n"
     "                 nothing is shortened\n"
     "  --lenient      MODEL is one file, which may be damaged: list what can be read,\n"
     "                 cut tensors too, and each fault on a line of its own (in JSON:\n"
     "                 faults). st repair mends what can be mended\n",
     command_ls, 1, NULL},
    {"cat", "MODEL TENSOR [--offset N] [--bytes N]", "write the raw bytes of a tensor",
     "Writes the bytes of a tensor to standard output as they are stored:\n"
     "little-endian, in C order (last dimension fastest).\n"
     "\n"
     "  --offset N   skip the first N bytes (default 0)\n"
     "  --bytes N    write N bytes (default: up to the end of the tensor)\n",
     command_cat, 1, NULL},
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
     command_show, 1, NULL},
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
     command_diff, 1, NULL},
    /* check */
    {"check", "[OPTIONS] MODEL...", "check whether models are valid",
     "Checks the header and the length of each file, and whether an index and its\n"
     "files agree. Prints one line for each model:\n"
     "\n"
     "  MODEL: ok, N tensors, B bytes\n"
     "  MODEL: ST_ERR_X at byte P: what is wrong\n"
     "\n"
     "All models are checked, even if one fails. The exit code is 1 if any failed.\n"
     "st repair saves what is sound in a damaged file.\n"
     "\n"
     "  --deep   also read all data: report what the device cannot read, count NaN\n"
     "           and infinity, and fail if a byte of a BOOL tensor is neither 0 nor 1.\n"
     "           Warn if the last 512 bytes of a file or more are zero: the download\n"
     "           may not be finished\n"
     "  --hash   also compare the SHA-256 of each file in the Hugging Face cache with\n"
     "           the name of the blob that the file links to. The check fails if the\n"
     "           digests differ or if a file is not such a link\n"
     "  --lfs POINTER\n"
     "           compare size and SHA-256 of the file MODEL with a Git LFS pointer\n"
     "  --json   print one JSON object a line: path, status, position, expected,\n"
     "           actual, subject, message. With --deep, valid models also have nan,\n"
     "           infinity, bad_bool, tensors (those that have any of the three) and\n"
     "           zeros (files that end with them: path, bytes, from);\n"
     "           with --hash or --lfs, hashes (path, sha256, expected, verdict)\n",
     command_check, 1, NULL},
    {"hash", "[--tensors] [--json] MODEL...", "print the SHA-256 of files and tensors",
     "Prints a line for each file of each model: the SHA-256 of the file, as sha256sum\n"
     "prints it, and the SHA-256 of its data alone, that is of all bytes after the\n"
     "header. A change of metadata does not change the SHA-256 of the data.\n"
     "\n"
     "  file    DIGEST  PATH\n"
     "  data    DIGEST  PATH\n"
     "  tensor  DIGEST  NAME\n"
     "\n"
     "The SHA-256 of a tensor covers its dtype as the file spells it, a zero byte, its\n"
     "dimensions in decimal digits with commas between them, a zero byte, and its\n"
     "bytes as the file stores them. In Python:\n"
     "\n"
     "  head = dtype + \"\\0\" + \",\".join(map(str, shape)) + \"\\0\"\n"
     "  hashlib.sha256(head.encode() + data).hexdigest()\n"
     "\n"
     "  --tensors   also print the SHA-256 of each tensor\n"
     "  --json      print one JSON object a line: path, files (path, sha256,\n"
     "              data_sha256) and, with --tensors, tensors (name, sha256)\n",
     command_hash, 1, NULL},
    /* write a new model */
    {"copy", "[OPTIONS] IN[=PREFIX]... OUT", "copy a model: ordered, in part, or renamed",
     "Writes the tensors and the metadata of IN to OUT, ordered by dtype (U64 first,\n"
     "BOOL last) and then by name.\n"
     "\n"
     "OUT is a file. If IN has several files, OUT is a directory, which is made if it\n"
     "does not exist, and the tensors are split as before if some limit on the size\n"
     "of files gives that split. Use st merge to write one file, st shard to split\n"
     "in another way.\n"
     "\n"
     "An older OUT stays in place until the new model is complete, also if the\n"
     "command fails. OUT can be IN if the system can replace open files. OUT can be -\n"
     "for standard output (a file of that name is ./-), a FIFO or a device.\n" SEVERAL_HELP
     "Several INs, an IN with a prefix, and pieces (see st merge --help) are copied to\n"
     "one file.\n"
     "\n" CHOOSING_HELP NAMING_HELP SAVING_HELP,
     command_copy, 1, CHOOSING_NOTES},
    {"merge", "[OPTIONS] IN[=PREFIX]... OUT", "merge files, models or pieces of tensors into one file",
     "Writes the tensors of IN to the file OUT, as st copy does, with the metadata of\n"
     "IN's first file. If other files have other metadata, or the index has metadata\n"
     "that is lost, a message on standard error says so.\n" SEVERAL_HELP "\n"
     "IN can be a directory of pieces: a PyTorch distributed checkpoint with files\n"
     "[shard-RRRRR-]model-KKKKK-of-NNNNN.safetensors and DCP_SHARDING_INFO in their\n"
     "metadata. All commands see its whole tensors; st ls also lists the pieces. Gaps\n"
     "and overlaps are refused. The format does not store the full shapes: if the\n"
     "files with the ends of tensors are missing, the tensors are smaller.\n"
     "\n" CHOOSING_HELP SAVING_HELP,
     command_merge, 1, CHOOSING_NOTES},
    {"shard", "[OPTIONS] IN[=PREFIX]... DIR", "split a model into files of limited size",
     "Splits the tensors of IN in their order and writes them to the directory DIR,\n"
     "which is made if it does not exist: as model-00001-of-0000N.safetensors and so\n"
     "on with an index, or as model.safetensors if one file is enough.\n"
     "An older model of that name in DIR stays until the new one is complete, and is\n"
     "then removed. If DIR holds a model of another name, nothing is written.\n" SEVERAL_HELP "\n"
     "  --max-size N     limit for the tensors in a file, for example 5GB (default),\n"
     "                   1.5GB or 500MB (powers of 1000), or KiB, MiB, GiB (powers of\n"
     "                   1024). A larger tensor has a file of its own\n" CHOOSING_HELP NAMING_HELP SAVING_HELP,
     command_shard, 1, CHOOSING_NOTES},
    {"convert", "[OPTIONS] IN[=PREFIX]... OUT --dtype DTYPE", "convert the numbers of a model",
     "Writes IN to OUT as st copy does, and converts all floating-point tensors to\n"
     "DTYPE: F64, F32, F16, BF16, F8_E4M3, F8_E5M2, F8_E4M3FNUZ, F8_E5M2FNUZ, BOOL\n"
     "or an integer such as I8. Each number is rounded once, to the nearest value,\n"
     "ties to even. Numbers that are too large become infinity, or the largest value\n"
     "if DTYPE has no infinity. A message counts the numbers that were too large, that\n"
     "became 0 or NaN. Several INs become one model, as for st copy.\n"
     "\n"
     "A tensor of 8 bits or less (I8 too) that has a scale beside it is multiplied by\n"
     "the scale, in F32 (in F64 if DTYPE is F64), before it is rounded to DTYPE. The\n"
     "scale of X or of L.weight is X_scale, X_scale_inv, X_scales, X.weight_scale,\n"
     "X.scale_weight, L.scale_weight, L.qscale_weight or L.scale. A scale has one\n"
     "number for the tensor, a row, or a block: of 128, 64, 32 or 16 along an axis,\n"
     "or as the shapes divide. U8 stands for E8M0. The command fails if the shapes do\n"
     "not fit, or if there is a zero point or a second scale. Packed numbers (U8,\n"
     "I32) stay as they are.\n"
     "\n"
     "Scales that were applied are left out, and what is of use only with them: the\n"
     "scale of activations (L.input_scale and the like), L.comfy_quant, scaled_fp8.\n"
     "They stay as they are if their tensor is not converted. Remove the entry\n"
     "quantization_config of a config.json, and _quantization_metadata of the\n"
     "metadata, yourself.\n"
     "\n"
     "  --dtype DTYPE    the dtype to convert to, in any case; other names, such as\n"
     "                   bfloat16, half or fp8, are known\n"
     "  --no-scales      convert numbers as stored, and scales as any other tensor\n"
     "  --only GLOB      convert only tensors whose name matches, whatever their\n"
     "                   dtype: * is any text, ? any character\n"
     "  --except GLOB    do not convert tensors whose name matches\n" RENAME_HELP NAMING_HELP SAVING_HELP
     "                   (st convert: also scales, the number of those applied, and\n"
     "                   saturated, underflowed and became_nan, of numbers)\n",
     command_convert, 1, CHOOSING_NOTES},
    {"merge-lora", "[OPTIONS] BASE LORA OUT", "merge a LoRA into a model",
     "Writes BASE to OUT as st copy does, with the matrices of LORA added to the\n"
     "weights that they belong to: W + scale * (alpha / rank) * up x down, computed\n"
     "in F64 and rounded once to the dtype of W, a block at a time. Tensors that LORA\n"
     "does not change are copied. OUT is as for st copy.\n"
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
     "  --rename A=B     treat tensor A of LORA as if it was called B, as st copy\n"
     "                   renames\n"
     "  --rename-file F  read renames from file F, as st copy does\n" NAMING_HELP SAVING_HELP,
     command_merge_lora, 1, NULL},
    {"pack", "[OPTIONS] OUT NAME=DTYPE:SHAPE:FILE...", "make a file from raw bytes",
     "Writes OUT from files of raw bytes, one for each tensor: little-endian, in C\n"
     "order (last dimension fastest). NAME is the text before the first \"=\". DTYPE\n"
     "is a name such as F32, in upper or lower case. SHAPE is a list such as 2,3, or\n"
     "empty for a scalar. FILE is a path, or - for standard input; it must have\n"
     "exactly as many bytes as dtype and shape need. An older OUT stays until the new\n"
     "file is complete. OUT can be - for standard output.\n"
     "\n"
     "  st pack out.safetensors w=F32:128,64:w.bin b=F32:64:b.bin --meta format=pt\n"
     "\n"
     "  --meta K=V       set metadata key K (the text before the first \"=\") to the\n"
     "                   value V; can be repeated\n" SAVING_HELP,
     command_pack, 0, NULL},
    {"repair", "[OPTIONS] IN OUT", "save what is sound in a damaged file",
     "Reads the file IN, which may be damaged, lists its faults and what is done about\n"
     "each, and writes the file OUT. IN is not changed.\n"
     "\n"
     "Mended: metadata values that are not strings (their JSON text becomes the\n"
     "string), NUL padding, a byte order mark or blanks before the header, bytes after\n"
     "the data, gaps, tensors that share bytes (each gets its own), a wrong header\n"
     "length if the file's length tells where the data starts, equal tensors of the\n"
     "same name, other spellings of a dtype such as F8_E8M0FNU. Tensors of unknown\n"
     "dtypes are kept as they are.\n"
     "Left out: tensors that are cut, whose size is not that of dtype and shape, or\n"
     "whose entry is incomplete; names and metadata that are not UTF-8; tensors or\n"
     "metadata of the same name that differ. The exit code is then 1.\n"
     "Nothing is written if no tensor can be saved, or the header is no JSON object,\n"
     "or it is not certain where the data starts.\n"
     "\n"
     "  --dry-run        list the faults, write nothing; OUT can be omitted\n"
     "  --align N        start the data at a multiple of N bytes; N is a power of\n"
     "                   two, 8 or more (default 8)\n"
     "  --slack N        leave N spare bytes in the header\n"
     "  --no-sync        do not wait until the file is on the device\n"
     "  --json           print a JSON object: path, out, tensors, bytes, lost (a\n"
     "                   number), faults (position, subject, message, mend, lost)\n",
     command_repair, 0, NULL},
    /* change a model */
    {"meta", "[OPTIONS] PATH", "print or change the metadata of a model",
     "Prints the metadata of a model's first file, one entry a line. With --set,\n"
     "--set-file, --unset or --clear it changes the metadata of every file of the\n"
     "model instead: all new files are written before the first old one is replaced,\n"
     "and after a failure all old files are in place. A crash while files are renamed\n"
     "can leave some with the old and some with the new metadata, all of them\n"
     "complete, and files named .st-meta-*.tmp that can be removed. The metadata of\n"
     "an index stays as it is.\n"
     "\n"
     "  --get K       print the value of key K as it is; fail if there is none. On a\n"
     "                terminal it is escaped, with --json it is a JSON string\n"
     "  --set K=V     set key K (the text before the first \"=\") to the value V\n"
     "  --set-file K=PATH\n"
     "                set key K to the content of a file; - is standard input\n"
     "  --unset K     remove key K; without keys, empty metadata remains\n"
     "  --clear       remove the metadata itself\n"
     "  --in-place    overwrite the headers in the old files: fast for large files,\n"
     "                but a crash can destroy a file. Fails if a new header does not\n"
     "                fit; st copy --slack N makes room for it\n"
     "  --no-sync     do not wait until the files are on the device\n"
     "  --json        print a JSON object, or null without metadata; after a change,\n"
     "                the new metadata of the first file\n"
     "  --lenient     PATH is one file, which may be damaged: print what can be read,\n"
     "                and each fault on a line of its own (with --json on standard\n"
     "                error). Values that are not strings are printed as JSON\n",
     command_meta, 1,
     "\n--set, --set-file and --unset can be repeated. --clear is applied first, then\n"
     "--unset, --set and --set-file. --unset fails if no file has the key.\n"},
    {"put", "[OPTIONS] MODEL TENSOR FILE", "write new bytes into one tensor of a model",
     "Overwrites the bytes of one tensor in the file that holds it, with those of FILE\n"
     "(- is standard input): little-endian, in C order. FILE must have exactly as many\n"
     "bytes as the tensor; if not, nothing is changed. No other byte of the model\n"
     "changes. A link, as in the Hugging Face cache, and a file of several names are\n"
     "refused.\n"
     "\n"
     "A crash can leave old bytes of the tensor beside new ones. Standard input and\n"
     "FIFOs are read into memory first.\n"
     "\n"
     "  --offset N   write FILE, which can be shorter then, from byte N of the tensor\n"
     "  --no-sync    do not wait until the file is on the device\n",
     command_put, 0, NULL},
    {"index", "[OPTIONS] DIR", "write the index of a directory of shards",
     "Writes the index that a set of shards STEM-00001-of-0000N.safetensors to\n"
     "STEM-0000N-of-0000N.safetensors lacks, or a right one in place of one that is\n"
     "out of date: STEM.safetensors.index.json, or for a STEM such as model.fp16\n"
     "model.safetensors.index.fp16.json. Nothing is written if a shard is missing, a\n"
     "tensor is in two shards, DIR holds another model, or the index takes tensors\n"
     "from a file outside the set: st merge --index-decides writes both as one file.\n"
     "\n"
     "  --no-sync     do not wait until the file is on the device\n"
     "  --json        print a JSON object: path, tensors, bytes, file_bytes, files\n"
     "  --variant V   if DIR holds several sets, use the one of the variant V\n",
     command_index, 0, NULL},
};

enum { COMMAND_COUNT = sizeof commands / sizeof commands[0] };

static const tool_command *find_command(const char *name) {
    size_t i;
    for (i = 0; i < COMMAND_COUNT; i++) {
        if (strcmp(commands[i].name, name) == 0) return &commands[i];
    }
    return NULL;
}

static const char about[] = "MODEL and IN are a file, an index (.json), a directory that contains either or\n"
                            "the pieces of a PyTorch distributed checkpoint (see st merge --help), or\n"
                            "hub:owner/name[@revision][:path] for a repository in the local Hugging Face\n"
                            "cache, also spelled hf://owner/name[@revision][/path].\n"
                            "\"--\" ends the options: everything after it is a path or a name.\n"
                            "The exit code is 0 on success, 1 if a model failed, 2 if the usage is wrong.\n";

static void put_usage(FILE *to) {
    size_t i;
    fputs("usage: st COMMAND [OPTIONS] ARGUMENTS\n\n", to);
    for (i = 0; i < COMMAND_COUNT; i++) {
        const tool_command *c = &commands[i];
        fprintf(to, "  st %-10s %s\n", c->name, c->summary);
    }
    fputs("\n"
          "  st COMMAND --help               show how to use a command\n"
          "  st --version                    print the version\n"
          "  st help --man                   print the manual page\n"
          "  st help --completion SHELL      print completions for bash, zsh or fish\n"
          "\n",
          to);
    fputs(about, to);
}

const char *help_part(const tool_command *c, int part) {
    const char *parts[HELP_PARTS] = {c->help, c->opens_models ? opening_help : NULL, c->notes};
    return parts[part] ? parts[part] : "";
}

static int put_command_help(const tool_command *c) {
    int part;
    printf("usage: st %s %s\n\n", c->name, c->arguments);
    for (part = 0; part < HELP_PARTS; part++) fputs(help_part(c, part), stdout);
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
    for (i = 0; i < OPENING_OPTIONS && find_command(name)->opens_models; i++) {
        nearest_consider(&nearest, opening_options[i].name, strlen(opening_options[i].name));
    }
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
        size_t bytes;
        if (has_ended || !is_option(argv[i])) {
            argv[kept++] = argv[i];
            continue;
        }
        if (strcmp(argv[i], "--") == 0) {
            has_ended = 1;
            continue;
        }
        equals = strchr(argv[i], '=');
        bytes = equals ? (size_t)(equals - argv[i]) : strlen(argv[i]);
        o = find_option(options, count, argv[i], bytes);
        if (!o && find_command(name)->opens_models) o = find_option(opening_options, OPENING_OPTIONS, argv[i], bytes);
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

static int run_help(int argc, char **argv) {
    const tool_command *c = argc > 0 ? find_command(argv[0]) : NULL;
    if (c) return put_command_help(c);
    if (argc == 1 && strcmp(argv[0], "--man") == 0) {
        put_manual(commands, COMMAND_COUNT, about);
    } else if (argc > 0 && strcmp(argv[0], "--completion") == 0) {
        if (argc == 2 && put_completion(argv[1], commands, COMMAND_COUNT)) return EXIT_FINE;
        fputs("st: --completion: expected bash, zsh or fish\n", stderr);
        return EXIT_USAGE;
    } else {
        put_usage(stdout);
    }
    return EXIT_FINE;
}

static int run_command(int argc, char **argv) {
    const tool_command *c;
    if (argc < 2) {
        put_usage(stderr);
        return EXIT_USAGE;
    }
    if (strcmp(argv[1], "-h") == 0 || strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "help") == 0) {
        return run_help(argc - 2, argv + 2);
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
    if (output_failed() && !system_interrupted()) {
        fprintf(stderr, "st: cannot write to standard output: %s\n", strerror(output_failed()));
        if (code == EXIT_FINE) code = EXIT_FAILED;
    }
    system_end_if_interrupted();
    return code;
}
