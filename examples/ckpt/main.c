// ckpt: manages the checkpoints of a training run: finds, checks, rates, links and deletes them.
//
//     cc -O2 -I. examples/ckpt/*.c examples/common/*.c -o ckpt
//     ./ckpt save-metrics run/checkpoints/checkpoint-300 loss=0.21
//     ./ckpt best run --metric loss --n 2
//     ./ckpt rotate run --max 3 --best run/checkpoints/checkpoint-100
//
// A run has the directories DIR/checkpoints/checkpoint-ID. Commands print one JSON object. Every file is written under
// another name and renamed, so that a crash leaves the old file or the new one.
#include "ckpt.h"
#include <stdio.h>
#include <string.h>

static const char help[] =
    "usage: ckpt COMMAND DIR ...\n\n"
    "commands on a run, where DIR holds checkpoints/checkpoint-ID:\n"
    "  latest DIR [--resume PATH|true|false]  print the newest valid checkpoint, or PATH if it is valid\n"
    "  next DIR ID                            print the path of a new checkpoint\n"
    "  best DIR --metric KEY [--n N] [--greater|--smaller] [--path PATH]...\n"
    "                                         list the N best checkpoints (of the PATHs), 1 without --n\n"
    "  rotate DIR --max N [--keep PATH]... [--best PATH] [--dry-run]\n"
    "                                         delete the oldest checkpoints beyond N, but no PATH\n"
    "  link DIR [--force] [--dry-run]         link the newest model into DIR; --force replaces files\n"
    "\ncommands on a checkpoint or another directory with a model:\n"
    "  save-metrics DIR KEY=NUMBER...         write DIR/eval_metrics.json\n"
    "  metrics DIR                            print DIR/eval_metrics.json\n"
    "  validate DIR [--output [--overwrite]]  find the model's file; --output: whether a model may be saved to DIR\n"
    "  verify DIR [--read]                    check the headers of all shards and all tensors; --read: read the data\n"
    "  info DIR                               print tensors, bytes, dtypes, shards and shared tensors\n"
    "For a run, verify and info take its newest valid checkpoint.\n"
    "\nExit status: 0, 1 after an error or for an invalid checkpoint, 2 for wrong usage.\n";

static const struct command {
    const char *name, *options; /* options with a space at both ends; those with '=' take a value */
    size_t most_operands;
    command_function *run;
} commands[] = {{"save-metrics", " ", SIZE_MAX, run_save_metrics},
                {"metrics", " ", 0, run_metrics},
                {"latest", " --resume= ", 0, run_latest},
                {"next", " ", 1, run_next},
                {"validate", " --output --overwrite ", 0, run_validate},
                {"verify", " --read ", 0, run_verify},
                {"rotate", " --max= --keep= --best= --dry-run ", 0, run_rotate},
                {"best", " --metric= --n= --greater --smaller --path= ", 0, run_best},
                {"link", " --force --dry-run ", 0, run_link},
                {"info", " ", 0, run_info}};

void warn(const char *path, const char *reason) {
    put_complaint("ckpt", path, reason);
}

int complain(const char *path, const char *reason) {
    warn(path, reason);
    return 1;
}

int usage(const char *reason, const char *word) {
    fprintf(stderr, "ckpt: %s", reason);
    put_string(stderr, word);
    fputs("\nTry 'ckpt --help'.\n", stderr);
    return 2;
}

void put_member(const char *before, const char *text) {
    fputs(before, stdout);
    if (text) put_json(stdout, text, strlen(text));
    if (!text) fputs("null", stdout);
}

const char *next_option(const request *r, const char *name, size_t *i) {
    while (*i < r->option_count) {
        const char *const *o = r->options + 2 * (*i)++;
        if (strcmp(o[0], name) == 0) return o[1];
    }
    return NULL;
}

const char *option_value(const request *r, const char *name) {
    const char *value = NULL, *last = NULL;
    size_t i = 0;
    while ((value = next_option(r, name, &i)) != NULL) last = value;
    return last;
}

unsigned long option_number(const request *r, const char *name, unsigned long absent) {
    const char *text = option_value(r, name), *digit;
    unsigned long value = 0;
    if (!text) return absent;
    for (digit = text; *digit >= '0' && *digit <= '9' && value < 100000000; digit++) {
        value = 10 * value + (unsigned long)(*digit - '0');
    }
    return *digit ? 0 : value;
}

/* Reads the arguments after the command. Returns the exit status for wrong usage after a message, otherwise 0. */
static int parse(request *r, const struct command *c, int argc, char **argv, const char **operands,
                 const char **options) {
    int i;
    for (i = 2; i < argc; i++) {
        const char *word = argv[i];
        char *wanted = (char *)allocate(strlen(word) + 4);
        if (strncmp(word, "--", 2) != 0) {
            if (r->dir && r->operand_count == c->most_operands) return usage("unexpected argument ", word);
            if (r->dir) operands[r->operand_count++] = word;
            if (!r->dir) r->dir = word;
        } else {
            sprintf(wanted, " %s= ", word);
            if (strpbrk(word, "= ")) return usage("unknown option ", word);
            options[2 * r->option_count] = options[2 * r->option_count + 1] = word;
            if (strstr(c->options, wanted)) {
                if (++i == argc) return usage("this option needs a value: ", word);
                options[2 * r->option_count + 1] = argv[i];
            } else {
                sprintf(wanted, " %s ", word);
                if (!strstr(c->options, wanted)) return usage("unknown option ", word);
            }
            r->option_count++;
        }
    }
    r->operands = operands;
    r->options = options;
    return r->dir && *r->dir ? 0 : usage("DIR is missing after ", c->name);
}

static int run(int argc, char **argv) {
    const char **words = (const char **)allocate(((size_t)argc * 3 + 1) * sizeof *words);
    request r = {NULL, NULL, 0, NULL, 0};
    size_t i;
    int status;
    if (argc < 2) return usage("COMMAND is missing", "");
    if (strcmp(argv[1], "--help") == 0) return fputs(help, stdout) < 0;
    for (i = 0; i < sizeof commands / sizeof *commands; i++) {
        if (strcmp(commands[i].name, argv[1]) != 0) continue;
        status = parse(&r, &commands[i], argc, argv, words, words + argc);
        return status ? status : commands[i].run(&r);
    }
    return usage("unknown command ", argv[1]);
}

int main(int argc, char **argv) {
    int status;
    argv = system_arguments(&argc, argv);
    status = run(argc, argv);
    if (fflush(stdout) != 0 || ferror(stdout)) status = complain("standard output", "cannot write");
    free_memory();
    return status;
}
