// train: trains a transformer block whose attention is biased by distance (NL-OOB), saves the run, and resumes it.
//
//     cc -O2 -ffp-contract=off -I. examples/train/*.c tests/examples/train_gradients.c examples/common/*.c -lm -o train
//     ./train --steps 10 --save half.safetensors
//     ./train --steps 10 --resume half.safetensors --save end.safetensors --svg loss.svg
//
// The second file is, bit for bit, what 20 steps in one go would have saved. On one machine it is the same at every
// optimization level and with every compiler, as none may change the order of additions. -ffp-contract=off keeps those
// for ARM, or with -march=native, from rounding a product and a sum only once.
#include "../common/progress.h"
#include "../common/text.h"
#include "train.h"
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const setting settings[OPTIONS] = {
    /* name, choices, help, standard, least, most, flags */
    {"format", "tape", NULL, 0, 0, 0, REQUIRED},
    {"version", NULL, NULL, 1, 1, 1, WHOLE | REQUIRED},
    {"step", NULL, NULL, 0, 0, 999999999, WHOLE | REQUIRED},
    {"d-model", NULL, "numbers that describe a position", 16, 1, 1024, WHOLE | REQUIRED},
    {"ff", NULL, "width of the feed-forward layer", 32, 1, 4096, WHOLE | REQUIRED},
    {"heads", NULL, "heads of attention; they divide d-model", 2, 1, 64, WHOLE | REQUIRED},
    {"kv-heads", NULL, "heads of keys and values; 0: as heads", 0, 0, 64, WHOLE},
    {"batch", NULL, "sequences in a step", 4, 1, 1024, WHOLE | REQUIRED},
    {"seq", NULL, "positions in a sequence", 8, 1, 512, WHOLE | REQUIRED},
    {"nl-oob", "log|gaussian", "bias by distance d: ln(1 + d) or d^2", 0, 0, 1, 0},
    {"nl-oob-sign", "-1|+1", "sign of the bias", 0, 0, 1, 0},
    {"scale", NULL, "slope of the bias at the start", 2, 0, 100, 0},
    {"tie", "no|yes", "use the input layer as the output layer", 0, 0, 1, 0},
    {"optimizer", "adam|sgd", "optimizer", 0, 0, 1, REQUIRED},
    {"lr", NULL, "learning rate; may change", 0.001, 0, 10, MAY_CHANGE},
    {"momentum", NULL, "momentum of sgd; may change", 0.9, 0, 0.999, MAY_CHANGE},
    {"dtype", "f32|f16|bf16", "dtype of the saved weights", 0, 0, 2, 0},
    {"seed", NULL, "start of the random numbers", 1, 0, 999999999999999, WHOLE},
    {"steps", NULL, "steps to do", 20, 0, 99999999, WHOLE},
    {"save-every", NULL, "save after every so many steps too; 0: no", 0, 0, 99999999, WHOLE},
    {"shards", NULL, "bytes of data in a file of the directory --save; 0: one file", 0, 0, 999999999999999, WHOLE},
};

const char *parse_setting(int which, const char *text, double *value) {
    const setting *s = &settings[which];
    const char *choice = s->choices;
    const size_t n = strlen(text);
    char *end;
    for (*value = 0; choice; choice = strchr(choice, '|'), *value += 1) {
        choice += *choice == '|';
        if (strcspn(choice, "|") == n && strncmp(choice, text, n) == 0) return NULL;
    }
    if (s->choices) return "not one of the choices";
    *value = strtod(text, &end); /* 15 digits survive being a double */
    if (n == 0 || n > 15 || *end || strspn(text, "0123456789.e-") != n) return "not a number of up to 15 characters";
    if (!(*value >= s->least && *value <= s->most)) return "too small or too large";
    return s->flags & WHOLE && *value != floor(*value) ? "not a whole number" : NULL;
}

void format_setting(int which, double value, char text[32]) {
    const char *choice = settings[which].choices;
    for (; choice && value > 0; value -= 1) choice = strchr(choice, '|') + 1;
    if (choice) (void)snprintf(text, 32, "%.*s", (int)strcspn(choice, "|"), choice);
    if (!choice) (void)snprintf(text, 32, "%.15g", value);
}

const char *check_settings(const double *v) {
    const double rows = v[BATCH] * v[SEQ];
    if (fmod(v[D_MODEL], v[HEADS]) > 0) return "heads does not divide d-model";
    if (v[KV_HEADS] > 0 && fmod(v[HEADS], v[KV_HEADS]) > 0) return "kv-heads does not divide heads";
    if (fmax(rows * fmax(v[D_MODEL], v[FF]), rows * v[SEQ] * v[HEADS]) <= 4194304) return NULL;
    return "batch, seq, d-model and ff are too large together";
}

static const char hint[] = "; see train --help\n"; /* for a wrong command line, status 2 */

static void quit(int status, const char *subject, const char *reason, const char *end) {
    fputs("train: ", stderr);
    put_string(stderr, subject);
    fputs(": ", stderr);
    put_string(stderr, reason);
    fputs(end, stderr);
    exit(status);
}

void fail(const char *subject, const char *format, ...) {
    char reason[512];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(reason, sizeof reason, format, arguments);
    va_end(arguments);
    quit(1, subject, reason, "\n");
}

static int print_help(void) {
    int i;
    char text[32];
    puts("usage: train [--steps N] [--save FILE] [--resume FILE] [options]\n"
         "Trains a transformer block for N more steps, and saves it with all that a later run needs to go on.\n"
         "  --save FILE         file to replace, whole or not at all; with --shards a directory that exists\n"
         "  --resume FILE       file or directory to go on from; it has the settings too\n"
         "  --svg FILE          draw the loss of all steps\n"
         "  --check-gradients   compare all gradients with finite differences, then stop");
    for (i = D_MODEL; i < OPTIONS; i++) {
        const char *choices = settings[i].choices ? settings[i].choices : "a number";
        format_setting(i, settings[i].standard, text);
        printf("  --%-17s %s (%s; default %s)\n", settings[i].name, settings[i].help, choices, text);
    }
    return 0;
}

static void train(run *r, const char *save) {
    const size_t steps = (size_t)r->settings[STEPS], end = r->step + steps, every = (size_t)r->settings[SAVE_EVERY];
    progress_line line;
    size_t k;
    r->losses = realloc(r->losses, (end + 1) * sizeof *r->losses);
    if (!r->losses) fail("memory", "not enough for so many steps");
    progress_line_begin(&line, "training");
    while (r->step < end) {
        train_step(r);
        progress_line_show(&line, r->step + steps - end, steps);
        if (!isfinite(r->losses[r->step - 1])) fail("loss", "not finite in step %zu; try a smaller --lr", r->step);
        if (save && every > 0 && r->step % every == 0) save_checkpoint(r, save);
        if (r->step % ((steps + 19) / 20) > 0 && r->step < end) continue; /* about 20 lines are enough */
        progress_line_end(&line);
        printf("step %zu  loss %.6f  slopes", r->step, (double)r->losses[r->step - 1]);
        for (k = 0; k < r->parameters[SLOPES].count; k++) printf(" %.6f", (double)r->parameters[SLOPES].data[k]);
        putchar('\n');
    }
    if (save) save_checkpoint(r, save);
}

int main(int argc, char **argv) {
    static const char *const path_names[3] = {"save", "resume", "svg"};
    static run r;
    const char *paths[3] = {NULL}, *fault = NULL;
    char given[OPTIONS] = {0}, name[32];
    int i, k;
    for (i = 0; i < OPTIONS; i++) r.settings[i] = settings[i].standard;
    for (i = 1; i < argc; i++) {
        const char *option = argv[i], *value = strchr(option, '=');
        if (strcmp(option, "--help") == 0) return print_help();
        if (strcmp(option, "--check-gradients") == 0) return check_gradients() > 0;
        if (strncmp(option, "--", 2) != 0) quit(2, option, "not an option", hint);
        (void)snprintf(name, sizeof name, "%.*s", (int)strcspn(option + 2, "="), option + 2);
        k = strcmp(name, "tie") == 0 && (!argv[i + 1] || strncmp(argv[i + 1], "--", 2) == 0); /* --tie alone */
        value = value ? value + 1 : k ? "yes" : argv[++i];
        if (!value) quit(2, option, "a value is missing", hint);
        for (k = 0; k < 3 && strcmp(name, path_names[k]) != 0; k++) {}
        if (k < 3 && (paths[k] = value) != NULL) continue;
        for (k = D_MODEL; k < OPTIONS && strcmp(name, settings[k].name) != 0; k++) {}
        if (k == OPTIONS) quit(2, option, "not an option", hint);
        fault = parse_setting(k, value, &r.settings[k]);
        if (fault) quit(2, option, fault, hint);
        given[k] = 1;
    }
    if (!paths[0] && (given[SAVE_EVERY] || given[SHARDS])) quit(2, "--save-every, --shards", "need --save", hint);
    if (paths[1]) {
        load_checkpoint(&r, paths[1], given);
    } else {
        if (check_settings(r.settings)) quit(2, "options", check_settings(r.settings), hint);
        declare_parameters(&r);
        initialize(&r);
    }
    train(&r, paths[0]);
    if (paths[2]) write_picture(&r, paths[2]);
    free(r.memory);
    free(r.losses);
    if (fflush(stdout) != 0 || ferror(stdout)) fail("standard output", "cannot write");
    return 0;
}
