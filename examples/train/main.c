// train: trains a transformer block whose attention is biased by distance (NL-OOB), saves the run, and resumes it.
//
//     cc -O2 -ffp-contract=off -I. examples/train/*.c examples/common/*.c -lm -o train
//     ./train --steps 10 --save half.safetensors
//     ./train --steps 10 --resume half.safetensors --save end.safetensors --svg loss.svg
//
// The second file is, bit for bit, what 20 steps in one go would have saved. On one machine it is also the same at every
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

const setting settings[SETTINGS] = {
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
    {"tie", "no|yes", "whether the output layer is the input layer", 0, 0, 1, 0},
    {"optimizer", "adam|sgd", "optimizer", 0, 0, 1, REQUIRED},
    {"lr", NULL, "learning rate", 0.001, 0, 10, MAY_CHANGE},
    {"momentum", NULL, "momentum of sgd", 0.9, 0, 0.999, MAY_CHANGE},
    {"dtype", "f32|f16|bf16", "dtype of saved weights", 0, 0, 2, 0},
    {"seed", NULL, "start of the random numbers", 1, 0, 999999999999999, WHOLE},
};

const char *parse_setting(int which, const char *text, double *value) {
    const setting *s = &settings[which];
    const char *choice = s->choices;
    const size_t n = strlen(text);
    char *end;
    for (*value = 0; choice && n > 0; *value += 1) {
        if (strncmp(choice, text, n) == 0 && (choice[n] == '|' || choice[n] == 0)) return NULL;
        choice = strchr(choice, '|');
        if (!choice++) break;
    }
    if (s->choices) return "is not one of the choices";
    *value = strtod(text, &end); /* up to 15 digits survive being a double */
    if (n == 0 || n > 15 || *end || strspn(text, "0123456789.e-") != n) return "is not a number of up to 15 characters";
    if (!(*value >= s->least && *value <= s->most)) return "is too small or too large";
    return s->flags & WHOLE && *value != floor(*value) ? "is not a whole number" : NULL;
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
    if (fmax(rows * fmax(v[D_MODEL], v[FF]), rows * v[SEQ] * v[HEADS]) > 4194304) return "the batch is too large";
    return NULL;
}

void fail(const char *subject, const char *format, ...) {
    char reason[512];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(reason, sizeof reason, format, arguments);
    va_end(arguments);
    fputs("train: ", stderr);
    put_string(stderr, subject);
    fputs(": ", stderr);
    put_string(stderr, reason);
    putc('\n', stderr);
    exit(1);
}

static int misuse(const char *option, const char *fault) {
    fputs("train: ", stderr);
    put_string(stderr, option);
    fprintf(stderr, " %s; see train --help\n", fault);
    return 2;
}

static int print_help(void) {
    int i;
    char text[32];
    puts("usage: train [--steps N] [--save FILE] [--resume FILE] [options]\n"
         "Trains a transformer block for N more steps (20) and saves it with all that a later run needs to go on.\n"
         "  --save FILE        file to replace, whole or not at all; with --shards a directory\n"
         "  --resume FILE      file or directory to go on from; it also has the settings\n"
         "  --save-every N     save after every N steps too\n"
         "  --shards BYTES     save files of at most so many bytes of data, and an index\n"
         "  --svg FILE         draw the loss of all steps\n"
         "  --check-gradients  compare all gradients with finite differences, then stop");
    for (i = D_MODEL; i < SETTINGS; i++) {
        format_setting(i, settings[i].standard, text);
        printf("  --%-16s %s (%s%s%s)\n", settings[i].name, settings[i].help,
               settings[i].choices ? settings[i].choices : "", settings[i].choices ? "; " : "", text);
    }
    return 0;
}

enum { STEPS, SAVE_EVERY, SHARDS, SAVE, RESUME, SVG, OPTIONS };

static void train(run *r, const char *const *texts, const double *numbers) {
    const size_t end = r->step + (size_t)numbers[STEPS], every = (size_t)numbers[STEPS] / 20 + 1;
    progress_line line;
    size_t k;
    r->losses = realloc(r->losses, (end + 1) * sizeof *r->losses);
    if (!r->losses) fail("memory", "not enough for so many steps");
    progress_line_begin(&line, "training");
    while (r->step < end) {
        train_step(r);
        if (!(r->losses[r->step - 1] <= 3e38f)) fail("loss", "is not finite in step %zu; try a smaller --lr", r->step);
        progress_line_show(&line, r->step + (size_t)numbers[STEPS] - end, (size_t)numbers[STEPS]);
        if (r->step % every == 0 || r->step == end) {
            progress_line_end(&line);
            printf("step %zu  loss %.6f  slopes", r->step, (double)r->losses[r->step - 1]);
            for (k = 0; k < r->parameters[SLOPES].count; k++) printf(" %.6f", (double)r->parameters[SLOPES].data[k]);
            putchar('\n');
        }
        if (numbers[SAVE_EVERY] > 0 && r->step % (size_t)numbers[SAVE_EVERY] == 0 && texts[SAVE]) {
            save_checkpoint(r, texts[SAVE], (uint64_t)numbers[SHARDS]);
        }
    }
    progress_line_end(&line);
}

int main(int argc, char **argv) {
    static const char *const names[OPTIONS] = {"steps", "save-every", "shards", "save", "resume", "svg"};
    static run r;
    const char *texts[OPTIONS] = {NULL}, *fault = NULL;
    char given[SETTINGS] = {0}, name[32];
    double numbers[OPTIONS] = {20};
    int i, k, has_value;
    for (i = 0; i < SETTINGS; i++) r.settings[i] = settings[i].standard;
    for (i = 1; i < argc; i++) {
        const char *option = argv[i], *value = strchr(option, '=');
        if (strcmp(option, "--help") == 0) return print_help();
        if (strcmp(option, "--check-gradients") == 0) return check_gradients() > 0;
        if (strncmp(option, "--", 2) != 0) return misuse(option, "is not an option");
        (void)snprintf(name, sizeof name, "%.*s", (int)strcspn(option + 2, "="), option + 2);
        has_value = value || strcmp(name, "tie") == 0;
        value = value ? value + 1 : strcmp(name, "tie") == 0 ? "yes" : argv[i + 1];
        if (!value) return misuse(option, "needs a value");
        i += !has_value;
        for (k = 0; k < OPTIONS && strcmp(name, names[k]) != 0; k++) {}
        if (k < OPTIONS) {
            texts[k] = value;
            if (k < SAVE) fault = parse_setting(STEP, value, &numbers[k]);
        } else {
            for (k = D_MODEL; k < SETTINGS && strcmp(name, settings[k].name) != 0; k++) {}
            if (k == SETTINGS) return misuse(option, "is not an option");
            fault = parse_setting(k, value, &r.settings[k]);
            given[k] = 1;
        }
        if (fault) return misuse(option, fault);
    }
    if (texts[RESUME]) {
        load_checkpoint(&r, texts[RESUME], given);
    } else {
        fault = check_settings(r.settings);
        if (fault) return misuse("--heads or --batch:", fault);
        declare_parameters(&r);
        initialize(&r);
    }
    train(&r, texts, numbers);
    if (texts[SAVE]) save_checkpoint(&r, texts[SAVE], (uint64_t)numbers[SHARDS]);
    if (texts[SVG]) write_picture(&r, texts[SVG]);
    free(r.memory);
    free(r.losses);
    return 0;
}
