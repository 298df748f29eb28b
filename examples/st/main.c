/* st: looks into safetensors files from the command line.
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

static const command commands[] = {
    {"ls", "[--json] PATH", "list the tensors of a file",
     "Lists the tensors of a safetensors file: name, dtype, shape, bytes, and the offset of the first byte in the\n"
     "file, in the order in which their bytes lie; metadata before them, a total by dtype after them.\n"
     "\n"
     "  --json   one JSON object: metadata, index, shards, tensors; nothing is shortened\n",
     command_ls},
    {"check", "[--json] PATH...", "say whether files are sound, and if not, where",
     "Checks each file's header and length against the format and prints one line a file:\n"
     "  PATH: ok, N tensors, B bytes\n"
     "  PATH: ST_ERR_X at byte P: what is wrong\n"
     "A file that fails does not stop the rest. Exit code 1 if any failed.\n"
     "\n"
     "  --json   one JSON object a line: path, status, position, expected, actual, subject, message\n",
     command_check},
    {"cat", "PATH TENSOR [--offset N] [--bytes N]", "write a tensor's raw bytes to standard output",
     "Writes the bytes of one tensor as they are stored (little-endian, row by row) to standard output.\n"
     "\n"
     "  --offset N   begin N bytes into the tensor (default 0)\n"
     "  --bytes N    write N bytes (default: all to the end of the tensor)\n",
     command_cat},
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
        fprintf(to, "  st %-5s %-36s  %s\n", c->name, c->arguments, c->summary);
    }
    fputs("\n  st COMMAND --help   what a command does\n"
          "  st --version        version of the library\n"
          "\n\"--\" ends the options: what follows is a path or a name, whatever it begins with.\n"
          "Exit code: 0 all is well, 1 a file failed, 2 wrong usage.\n",
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
        if (o->flag) {
            if (equals) return wrong_option(name, "this option takes no value: ", options, 0, argv[i]);
            *o->flag = 1;
        } else if (equals) {
            *o->value = equals + 1;
        } else if (i + 1 < argc) {
            *o->value = argv[++i];
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
    return code;
}
