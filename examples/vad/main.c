/* vad: finds speech in a recording with Silero's detector, from its weights in a safetensors file.
 *
 *     cc -O2 -I. examples/vad/?*.c examples/common/?*.c -lm -o vad
 *     ./vad silero_vad_16k.safetensors speech.wav
 *     ./vad --probabilities silero_vad_16k.safetensors speech.wav
 *     arecord -t wav -f S16_LE -r 16000 | ./vad --json silero_vad_16k.safetensors -
 *
 * vad.c is the detector, segments.c turns its probabilities into segments, wav.c reads recordings. None of the three
 * needs an operating system; firmware/ runs vad.c and wav.c on a microcontroller, with weights and recording in flash.
 * Here st_open maps the model, and the detector uses the weights in the mapping. */
#include "safetensors.h"
#include "examples/common/progress.h"
#include "examples/common/text.h"
#include "segments.h"
#include "vad.h"
#include "wav.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#if defined(_WIN32)
#include <fcntl.h>
#include <io.h>
#endif

static const char help[] =
    "usage: vad [OPTION]... MODEL WAV\n"
    "\n"
    "Prints where there is speech in a recording: start and end of each segment, in seconds.\n"
    "  MODEL  silero_vad_16k.safetensors\n"
    "  WAV    a WAV file, 16 bits, one channel, 16,000 samples a second; - is standard input\n"
    "\n"
    "  --threshold P      speech begins where its probability is P or more [0.5]\n"
    "  --low-threshold P  and ends where it falls below P [0.15 less than the threshold, at least 0.01]\n"
    "  --min-speech MS    shorter segments are left out [250]\n"
    "  --min-silence MS   shorter pauses do not end a segment [100]\n"
    "  --pad MS           milliseconds added before and after each segment [30]\n"
    "  --json             print an array of {\"start\":SECONDS,\"end\":SECONDS}\n"
    "  --probabilities    print the probability of speech in each 512 samples (32 ms), one a line, and no segments\n"
    "  --time             print on standard error how long the detector took\n"
    "  --help             print this text\n";

typedef struct options {
    const char *model, *recording;
    int json, probabilities, time, low_is_set;
    segments rules;
} options;

typedef struct output {
    int json;
    uint64_t count; /* segments printed */
    progress_line progress;
} output;

static int complain(const char *path, const char *reason) {
    fputs("vad: ", stderr);
    put_string(stderr, path);
    fprintf(stderr, ": %s\n", reason);
    return 1;
}

/* ---- arguments -------------------------------------------------------------------------------------------------- */

static int refuse_usage(const char *argument, const char *reason) {
    (void)complain(argument, reason);
    fputs("Try: vad --help\n", stderr);
    return 2;
}

static int is_number(const char *text) { /* digits and a point: no sign, no exponent, no "nan" */
    return *text && text[strspn(text, "0123456789.")] == '\0' && strcmp(text, ".") != 0 &&
           strchr(text, '.') == strrchr(text, '.');
}

/* Sets the option `name`. Returns NULL, or what is wrong. */
static const char *set_value(options *o, const char *name, const char *text) {
    const char *const durations[3] = {"--min-speech", "--min-silence", "--pad"};
    uint64_t *const samples[3] = {&o->rules.min_speech, &o->rules.min_silence, &o->rules.pad};
    int i;
    for (i = 0; i < 3; i++) {
        if (strcmp(name, durations[i]) != 0) continue;
        if (!is_number(text) || strchr(text, '.') || strlen(text) > 8)
            return "expected whole milliseconds, at most 99999999";
        *samples[i] = strtoul(text, NULL, 10) * (uint64_t)(VAD_RATE / 1000);
        return NULL;
    }
    if (!is_number(text) || strtod(text, NULL) > 1) return "expected a probability from 0 to 1";
    if (strcmp(name, "--threshold") == 0) {
        o->rules.threshold = strtod(text, NULL);
    } else {
        o->rules.low_threshold = strtod(text, NULL);
        o->low_is_set = 1;
    }
    return NULL;
}

static int takes_value(const char *name) {
    const char *const names[5] = {"--threshold", "--low-threshold", "--min-speech", "--min-silence", "--pad"};
    int i;
    for (i = 0; i < 5; i++) {
        if (strcmp(name, names[i]) == 0) return 1;
    }
    return 0;
}

/* Returns 0, or the exit status of the program. */
static int parse(options *o, int argc, char **argv) {
    int i;
    memset(o, 0, sizeof *o);
    segments_begin(&o->rules);
    for (i = 1; i < argc; i++) {
        const char *name = argv[i], *fault;
        if (takes_value(name)) {
            if (++i == argc) return refuse_usage(name, "expected a value");
            if ((fault = set_value(o, name, argv[i])) != NULL) return refuse_usage(argv[i], fault);
        } else if (strcmp(name, "--json") == 0) {
            o->json = 1;
        } else if (strcmp(name, "--probabilities") == 0) {
            o->probabilities = 1;
        } else if (strcmp(name, "--time") == 0) {
            o->time = 1;
        } else if (name[0] == '-' && name[1]) {
            return refuse_usage(name, "no such option");
        } else if (!o->model) {
            o->model = name;
        } else if (!o->recording) {
            o->recording = name;
        } else {
            return refuse_usage(name, "one argument too many");
        }
    }
    if (!o->recording) return refuse_usage("arguments", "expected a model and a recording");
    if (o->json && o->probabilities) return refuse_usage("--json", "cannot be combined with --probabilities");
    if (!o->low_is_set) o->rules.low_threshold = o->rules.threshold > 0.16 ? o->rules.threshold - 0.15 : 0.01;
    return 0;
}

/* ---- input and output --------------------------------------------------------------------------------------------- */

/* Opens the model and gives its weights to the detector. Returns 0, or 1 after messages that name every unusable tensor. */
static int load(st_model **model, vad *detector, const char *path) {
    st_open_options open_options;
    st_error error;
    size_t i;
    int failed = 0;
    memset(&open_options, 0, sizeof open_options);
    open_options.flags = ST_OPEN_MUST_MAP; /* the detector uses the weights in the mapping */
    if (st_open(model, path, &open_options, &error) != ST_OK) {
        fputs("vad: ", stderr);
        put_string(stderr, error.message);
        fputc('\n', stderr);
        return 1;
    }
    for (i = 0; i < VAD_TENSORS; i++) {
        const st_tensor *tensor = st_find(*model, vad_tensors[i].name);
        const char *fault = tensor ? vad_set_tensor(detector, i, tensor) : "missing";
        if (!fault) continue;
        fputs("vad: ", stderr);
        put_string(stderr, path);
        failed = fprintf(stderr, ": tensor %s: %s\n", vad_tensors[i].name, fault);
    }
    return failed != 0;
}

static size_t read_file(void *user, void *to, size_t bytes) {
    return fread(to, 1, bytes, (FILE *)user);
}

static void print_segment(void *user, uint64_t start, uint64_t end) {
    output *out = (output *)user;
    const char *format = out->json ? "%s\n{\"start\":%.3f,\"end\":%.3f}" : "%s%.3f %.3f\n";
    progress_line_end(&out->progress);
    printf(format, out->json && out->count ? "," : "", (double)start / VAD_RATE, (double)end / VAD_RATE);
    out->count++;
    (void)fflush(stdout); /* a recording may go on for hours */
}

/* Runs the detector over a recording. Returns the exit status. */
static int detect(const options *o, vad *detector, wav *recording, output *out, uint64_t *total) {
    segments rules = o->rules;
    int16_t samples[VAD_CHUNK];
    size_t count;
    rules.found = print_segment;
    rules.user = out;
    *total = 0;
    while ((count = wav_next(recording, samples, VAD_CHUNK)) > 0) {
        float probability;
        memset(samples + count, 0, (VAD_CHUNK - count) * sizeof *samples);
        probability = vad_next(detector, samples);
        if (probability != probability) return complain(o->model, "the weights give NaN as a probability");
        *total += count;
        if (o->probabilities) {
            printf("%.7f\n", (double)probability);
            if (recording->samples == UINT64_MAX) (void)fflush(stdout); /* someone is speaking just now */
        } else {
            segments_add(&rules, (double)probability);
        }
        if (ferror(stdout)) return complain("output", "cannot be written");
        if (recording->samples != UINT64_MAX) progress_line_show(&out->progress, *total, recording->samples);
    }
    if (!o->probabilities) segments_end(&rules, *total);
    return 0;
}

static int run(const options *o, vad *detector, FILE *file) {
    wav recording = {read_file, file, 0, 0, 0};
    output out;
    const char *fault = wav_begin(&recording);
    const clock_t begin = clock();
    uint64_t total = 0;
    int status;
    if (fault) return complain(o->recording, ferror(file) ? "cannot be read" : fault);
    memset(&out, 0, sizeof out);
    out.json = o->json;
    progress_line_begin(&out.progress, "detecting speech");
    if (o->json) putchar('[');
    status = detect(o, detector, &recording, &out, &total);
    if (o->json) puts(out.count ? "\n]" : "]");
    progress_line_end(&out.progress);
    if (status) return status;
    if (fflush(stdout) != 0 || ferror(stdout)) return complain("output", "cannot be written");
    if (ferror(file)) return complain(o->recording, "cannot be read to its end");
    if (recording.cut) {
        fputs("vad: ", stderr);
        put_string(stderr, o->recording);
        fprintf(stderr, ": warning: the file is truncated: %llu of %llu samples are missing\n",
                (unsigned long long)recording.left, (unsigned long long)recording.samples);
    }
    if (o->time) {
        const double took = (double)(clock() - begin) / CLOCKS_PER_SEC, lasts = (double)total / VAD_RATE;
        fprintf(stderr, "%.3f s of audio in %.3f s: %.0f times real time\n", lasts, took, took > 0 ? lasts / took : 0);
    }
    return 0;
}

int main(int argc, char **argv) {
    static vad detector; /* zeroed */
    options o;
    st_model *model = NULL;
    FILE *file = NULL;
    int status, i;
    for (i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--help") == 0) return fputs(help, stdout) == EOF;
    }
    status = parse(&o, argc, argv);
    if (!status) status = load(&model, &detector, o.model);
    if (!status && strcmp(o.recording, "-") == 0) {
        file = stdin;
#if defined(_WIN32)
        (void)_setmode(_fileno(stdin), _O_BINARY);
#endif
    } else if (!status && !(file = fopen(o.recording, "rb"))) {
        status = complain(o.recording, strerror(errno));
    }
    if (file) status = run(&o, &detector, file);
    if (file && file != stdin) fclose(file);
    st_close(model);
    return status;
}
