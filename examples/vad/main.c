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

typedef struct job {
    const char *model, *recording; /* paths */
    int json, probabilities, time, help;
    segments rules;
    uint64_t printed; /* segments */
    progress_line progress;
} job;

static int complain(const char *subject, const char *reason) {
    return put_complaint("vad", subject, reason);
}

/* ---- arguments -------------------------------------------------------------------------------------------------- */

static int is_number(const char *text) { /* digits and a point: no sign, no exponent, no "nan" */
    return *text && text[strspn(text, "0123456789.")] == '\0' && strcmp(text, ".") != 0 &&
           strchr(text, '.') == strrchr(text, '.');
}

static int parse_probability(const char *text, double *value) {
    *value = is_number(text) ? strtod(text, NULL) : 2;
    return *value <= 1;
}

static int parse_duration(const char *text, uint64_t *samples) {
    if (!is_number(text) || strchr(text, '.') || strlen(text) > 8) return 0;
    *samples = strtoul(text, NULL, 10) * (uint64_t)(VAD_RATE / 1000);
    return 1;
}

/* Returns 0, or 1 after a message. */
static int parse(job *o, int argc, char **argv) {
    segments *rules = &o->rules;
    const struct {
        const char *name;
        int *flag; /* exactly one of the three is set */
        double *probability;
        uint64_t *samples;
    } known[] = {{"--json", &o->json, NULL, NULL},
                 {"--probabilities", &o->probabilities, NULL, NULL},
                 {"--time", &o->time, NULL, NULL},
                 {"--help", &o->help, NULL, NULL},
                 {"--threshold", NULL, &rules->threshold, NULL},
                 {"--low-threshold", NULL, &rules->low_threshold, NULL},
                 {"--min-speech", NULL, NULL, &rules->min_speech},
                 {"--min-silence", NULL, NULL, &rules->min_silence},
                 {"--pad", NULL, NULL, &rules->pad}};
    const size_t count = sizeof known / sizeof *known;
    int i;
    memset(o, 0, sizeof *o);
    segments_begin(rules);
    rules->low_threshold = -1; /* not given */
    for (i = 1; i < argc; i++) {
        size_t k = 0;
        if (argv[i][0] != '-' || !argv[i][1]) {
            if (o->recording) return complain(argv[i], "one argument too many");
            *(o->model ? &o->recording : &o->model) = argv[i];
            continue;
        }
        while (k < count && strcmp(argv[i], known[k].name) != 0) k++;
        if (k == count) return complain(argv[i], "no such option");
        if (known[k].flag) {
            *known[k].flag = 1;
        } else if (++i == argc) {
            return complain(argv[i - 1], "expected a value");
        } else if (known[k].probability && !parse_probability(argv[i], known[k].probability)) {
            return complain(argv[i], "expected a probability from 0 to 1");
        } else if (known[k].samples && !parse_duration(argv[i], known[k].samples)) {
            return complain(argv[i], "expected whole milliseconds, at most 99999999");
        }
    }
    if (o->help) return 0;
    if (!o->recording) return complain("arguments", "expected a model and a recording");
    if (o->json && o->probabilities) return complain("--json", "cannot be combined with --probabilities");
    if (rules->low_threshold < 0) rules->low_threshold = rules->threshold > 0.16 ? rules->threshold - 0.15 : 0.01;
    return 0;
}

/* ---- input and output ------------------------------------------------------------------------------------------ */

/* Opens the model and gives its weights to the detector. Returns 0, or 1 after naming every unusable tensor. */
static int load(st_model **model, vad *detector, const char *path) {
    st_open_options options;
    st_error error;
    size_t i;
    int failed = 0;
    memset(&options, 0, sizeof options);
    options.flags = ST_OPEN_MUST_MAP; /* the detector uses the weights in the mapping */
    if (st_open(model, path, &options, &error) != ST_OK) return complain("model", error.message);
    for (i = 0; i < VAD_TENSORS; i++) {
        const st_tensor *tensor = st_find(*model, vad_tensors[i].name);
        const char *fault = tensor ? vad_set_tensor(detector, i, tensor) : "missing";
        char text[128];
        if (!fault) continue;
        snprintf(text, sizeof text, "tensor %s: %s", vad_tensors[i].name, fault);
        failed = complain(path, text);
    }
    return failed;
}

static size_t read_file(void *user, void *to, size_t bytes) {
    return fread(to, 1, bytes, (FILE *)user);
}

static void print_segment(void *user, uint64_t start, uint64_t end) {
    job *o = (job *)user;
    const char *format = o->json ? "%s\n{\"start\":%.3f,\"end\":%.3f}" : "%s%.3f %.3f\n";
    progress_line_end(&o->progress);
    printf(format, o->json && o->printed ? "," : "", (double)start / VAD_RATE, (double)end / VAD_RATE);
    o->printed++;
    (void)fflush(stdout); /* a recording may go on for hours */
}

/* Runs the detector over a recording. Returns the exit status. */
static int detect(job *o, vad *detector, wav *recording, uint64_t *total) {
    int16_t samples[VAD_CHUNK];
    size_t count;
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
            segments_add(&o->rules, (double)probability);
        }
        if (ferror(stdout)) return complain("output", "cannot be written");
        if (recording->samples != UINT64_MAX) progress_line_show(&o->progress, *total, recording->samples);
    }
    if (!o->probabilities) segments_end(&o->rules, *total);
    return 0;
}

static int run(job *o, vad *detector, FILE *file) {
    wav recording = {read_file, file, 0, 0, 0};
    const char *fault = wav_begin(&recording);
    const clock_t begin = clock();
    uint64_t total;
    int status;
    char text[128];
    if (fault) return complain(o->recording, ferror(file) ? "cannot be read" : fault);
    o->rules.found = print_segment;
    o->rules.user = o;
    progress_line_begin(&o->progress, "detecting speech");
    if (o->json) putchar('[');
    status = detect(o, detector, &recording, &total);
    if (o->json) puts(o->printed ? "\n]" : "]");
    progress_line_end(&o->progress);
    if (status) return status;
    if (fflush(stdout) != 0 || ferror(stdout)) return complain("output", "cannot be written");
    if (ferror(file)) return complain(o->recording, "cannot be read to its end");
    if (recording.cut) {
        snprintf(text, sizeof text, "warning: the file is truncated: %llu of %llu samples are missing",
                 (unsigned long long)recording.left, (unsigned long long)recording.samples);
        (void)complain(o->recording, text);
    }
    if (o->time) {
        const double took = (double)(clock() - begin) / CLOCKS_PER_SEC, lasts = (double)total / VAD_RATE;
        fprintf(stderr, "%.3f s of audio in %.3f s: %.0f times real time\n", lasts, took, took > 0 ? lasts / took : 0);
    }
    return 0;
}

int main(int argc, char **argv) {
    static vad detector; /* zeroed */
    job o;
    st_model *model = NULL;
    FILE *file = NULL;
    int status;
    if (parse(&o, argc, argv) != 0) {
        fputs("Try: vad --help\n", stderr);
        return 2;
    }
    if (o.help) return fputs(help, stdout) == EOF;
#if defined(_WIN32)
    (void)_setmode(_fileno(stdin), _O_BINARY);
#endif
    status = load(&model, &detector, o.model);
    if (!status) {
        file = strcmp(o.recording, "-") == 0 ? stdin : fopen(o.recording, "rb");
        status = file ? run(&o, &detector, file) : complain(o.recording, strerror(errno));
    }
    if (file) fclose(file);
    st_close(model);
    return status;
}
