/* embed [OPTIONS] MODEL: turns lines of text into embeddings, as sentence-transformers does, with a model of the BERT
 * family: MiniLM, BGE, E5, DistilBERT, RoBERTa, cross-encoders, classifiers.
 *
 *     cc -O3 -I. -pthread examples/embed/[a-z]*.c examples/matrix/[a-z]*.c examples/tokenizer/[!m]*.c \
 *        examples/common/[!z]*.c -lutf8proc -lm -o embed
 *
 *     $ printf 'a cat\na kitten\na tax return\n' | embed --sim cosine all-MiniLM-L6-v2
 *
 * MODEL is a directory with config.json, model.safetensors (or its shards) and a tokenizer. F32 weights are used in the
 * mapped file; nothing is loaded that a sentence does not need. */
#include "encoder.h"
#include "../common/lines.h"
#include "../common/options.h"
#include "../common/progress.h"
#include "../common/text.h"
#include "../tokenizer/tokenizer.h"
#include <errno.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { MOST_JOBS = 256, MOST_BATCH = 4096 };
enum { TASK_EMBED, TASK_CLASSIFY, TASK_SCORE };
enum { SIM_NONE, SIM_COSINE, SIM_DOT, SIM_EUCLIDEAN, SIM_MANHATTAN };

typedef struct choices {
    const char *directory, *backend;
    int task, similarity, pool, normalize; /* the last two -1: as the model says */
    int json_lines, ids, bucket, every_token, drop_separator, time, help;
    int batch, jobs, max_length; /* max_length 0: as the model says */
} choices;

typedef struct line {
    char *text;
    size_t bytes;
} line;

typedef struct work { /* lines that were read together, and what became of them */
    const choices *o;
    const model *model;
    const tokenizer *words;
    size_t max_tokens, batch, count, next, line_number; /* of the first line */
    line *lines;
    sentence *sentences;
    pthread_mutex_t lock; /* of next and message */
    char message[2 * MESSAGE_BYTES];
} work;

typedef struct slot { /* one of the pool: its encoder takes memory when it gets its first batch */
    encoder encoder;
    work *work;
    pthread_t thread;
} slot;

static const char help[] =
    "usage: embed [OPTIONS] MODEL <LINES\n"
    "Prints the embedding of each line of standard input. MODEL is a directory.\n"
    "  --json-lines          a line is a JSON string; prints {\"ids\":[...],\"embedding\":[...]} for each\n"
    "  --ids                 a line is a list of token ids instead of text\n"
    "  --sim KIND            prints how similar each line is to the first one: cosine, dot, euclidean, manhattan\n"
    "  --task TASK           embed, classify (probabilities of labels), score (of TEXT<tab>TEXT, by a cross-encoder)\n"
    "  --pooling KIND        mean, cls, max, last, none (the first token), pooler; default: as the model says, or "
    "mean\n"
    "  --tokens              prints the vectors of all tokens\n"
    "  --normalize, --no-normalize   scale embeddings to length 1, or not; default: as the model says\n"
    "  --max-length N        tokens of a line that count; default: as the model says, or 512\n"
    "  --drop-separator      cut long lines after N tokens, without the closing separator\n"
    "  --batch N             sentences in one batch, 32\n"
    "  --bucket              pad sentences to 1, 2, 3, 4, 6, 8, 11, 15, 21 ... tokens; changes no result\n"
    "  --jobs N              threads, 1\n"
    "  --backend NAME        auto, simd, blas, scalar\n"
    "  --time                prints sentences a second instead of results\n";

/* ---- the pool ----------------------------------------------------------------------------------------------- */

static int parse_ids(char *text, int32_t *ids, size_t most, size_t *count) {
    for (*count = 0; *count < most; (*count)++) {
        char *end;
        long id;
        text += strspn(text, " ,\t[]");
        if (!*text) return 1;
        errno = 0;
        id = strtol(text, &end, 10);
        if (end == text || errno || id < 0 || id > INT32_MAX) return 0;
        ids[*count] = (int32_t)id;
        text = end;
    }
    return 1;
}

/* Turns line i into tokens. Returns NULL, or what is wrong with it. */
static const char *prepare(work *w, size_t i) {
    sentence *s = &w->sentences[i];
    char *text = w->lines[i].text;
    const char *second = NULL;
    size_t bytes = w->lines[i].bytes, second_bytes = 0, most;
    int32_t *ids;
    if (w->o->json_lines && !w->o->ids) {
        json_reader j;
        json_begin(&j, text, bytes);
        if (json_value(&j) != JSON_STRING || !json_end(&j)) return j.fault ? j.fault : "expected a JSON string";
        text += j.string - text;
        bytes = j.string_bytes;
    }
    if (w->o->task != TASK_EMBED && !w->o->ids && (second = (const char *)memchr(text, '\t', bytes)) != NULL) {
        second_bytes = bytes - (size_t)(++second - text);
        bytes -= second_bytes + 1;
    }
    most = w->max_tokens + (size_t)w->o->drop_separator; /* with one more the separator is the one that is cut off */
    if (most > 8 * (bytes + second_bytes) + 32) most = 8 * (bytes + second_bytes) + 32; /* no text has more tokens */
    s->ids = ids = (int32_t *)calloc(2 * most, sizeof *ids);
    if (!ids) return "out of memory";
    if (w->o->ids) {
        if (!parse_ids(text, ids, most, &s->count)) return "expected token ids";
    } else {
        s->types = ids + most;
        s->count = tokenizer_encode(w->words, text, bytes, second, second_bytes, ids, ids + most, most);
        if (s->count == 0) return "no room for a token in --max-length, or out of memory";
    }
    if (s->count > w->max_tokens) s->count = w->max_tokens;
    s->padded = w->o->bucket ? bucket_size(s->count) : s->count;
    s->result = (float *)malloc((w->o->every_token ? s->count : 1) * w->model->output_size * sizeof *s->result + 1);
    return s->result ? NULL : "out of memory";
}

/* Takes batches of the work until none is left. */
static void *run_slot(void *user) {
    slot *self = (slot *)user;
    work *w = self->work;
    for (;;) {
        char problem[MESSAGE_BYTES] = "";
        const char *fault = NULL;
        size_t first, end, i;
        pthread_mutex_lock(&w->lock);
        first = w->next;
        end = w->count - first < w->batch ? w->count : first + w->batch;
        w->next = end;
        pthread_mutex_unlock(&w->lock);
        if (first == end) return NULL;
        for (i = first; i < end && !fault; i++) fault = prepare(w, i);
        if (!fault && encoder_run(&self->encoder, w->sentences + first, end - first, problem)) continue;
        pthread_mutex_lock(&w->lock);
        if (fault) snprintf(w->message, sizeof w->message, "line %zu: %s", w->line_number + i - 1, fault);
        if (!fault && end - first == 1)
            snprintf(w->message, sizeof w->message, "line %zu: %s", w->line_number + first, problem);
        if (!fault && end - first > 1) {
            snprintf(w->message, sizeof w->message, "lines %zu to %zu: %s", w->line_number + first,
                     w->line_number + end - 1, problem);
        }
        w->next = w->count;
        pthread_mutex_unlock(&w->lock);
        return NULL;
    }
}

static void run_slots(slot *slots, size_t count) {
    size_t started = 1;
    while (started < count && pthread_create(&slots[started].thread, NULL, run_slot, &slots[started]) == 0) started++;
    run_slot(&slots[0]);
    while (started-- > 1) pthread_join(slots[started].thread, NULL);
}

/* ---- output ------------------------------------------------------------------------------------------------- */

/* Turns the logits of labels into probabilities, or the score of a pair. */
static void finish_labels(const choices *o, const model *m, float *x) {
    const size_t n = m->output_size;
    const int is_softmax = n > 1 && !m->config.is_multi_label && o->task == TASK_CLASSIFY;
    const int is_sigmoid = o->task == TASK_CLASSIFY ? !is_softmax : n == 1 && m->config.has_sigmoid;
    double most = (double)x[0], sum = 0;
    for (size_t i = 1; i < n; i++) most = (double)x[i] > most ? (double)x[i] : most;
    for (size_t i = 0; i < n; i++) sum += exp((double)x[i] - most);
    for (size_t i = 0; i < n; i++) {
        if (is_softmax) x[i] = (float)(exp((double)x[i] - most) / sum);
        if (is_sigmoid) x[i] = (float)(1 / (1 + exp(-(double)x[i])));
    }
}

static double similarity(int kind, const float *a, const float *b, size_t n) {
    double dot = 0, aa = 0, bb = 0, square = 0, distance = 0;
    for (size_t i = 0; i < n; i++) {
        const double x = (double)a[i], y = (double)b[i];
        dot += x * y;
        aa += x * x;
        bb += y * y;
        square += (x - y) * (x - y);
        distance += fabs(x - y);
    }
    if (kind == SIM_COSINE) return aa > 0 && bb > 0 ? dot / sqrt(aa * bb) : 0;
    return kind == SIM_DOT ? dot : kind == SIM_EUCLIDEAN ? -sqrt(square) : -distance;
}

static void print_label(const model *m, size_t i, int json) {
    char path[48];
    const char *name = path;
    const setting *label;
    snprintf(path, sizeof path, "id2label.%zu", i);
    label = settings_find(&m->config.file, NULL, path);
    if (label && label->kind == JSON_STRING) name = label->string;
    if (name == path) snprintf(path, sizeof path, "LABEL_%zu", i);
    if (json) put_json(stdout, name, strlen(name));
    if (!json) put_string(stdout, name);
    putchar(json ? ':' : ' ');
}

static void print_result(const work *w, const sentence *s) {
    static const char *const fields[] = {"embedding\":[", "labels\":{", "score\":["};
    const int json = w->o->json_lines, task = w->o->task;
    const size_t n = w->model->output_size, rows = w->o->every_token ? s->count : 1;
    if (task != TASK_EMBED) finish_labels(w->o, w->model, s->result);
    if (json) fputs("{\"ids\":[", stdout);
    for (size_t i = 0; json && i < s->count; i++) printf(i > 0 ? ",%ld" : "%ld", (long)s->ids[i]);
    if (json) printf("],\"%s%s", fields[task], w->o->every_token ? "[" : "");
    for (size_t row = 0; row < rows; row++) {
        if (row > 0) fputs(json ? "],[" : "\n", stdout);
        for (size_t i = 0; i < n; i++) {
            if (i > 0) putchar(json ? ',' : task == TASK_CLASSIFY ? '\t' : ' ');
            if (task == TASK_CLASSIFY) print_label(w->model, i, json);
            printf("%.9g", (double)s->result[row * n + i]);
        }
    }
    fputs(!json ? "\n" : task == TASK_CLASSIFY ? "}}\n" : w->o->every_token ? "]]}\n" : "]}\n", stdout);
}

/* ---- a run -------------------------------------------------------------------------------------------------- */

static double seconds(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* Prints the results of the work, the similarity to *first, which the first sentence of all becomes, or nothing. */
static void finish(work *w, float **first) {
    for (size_t i = 0; i < w->count; i++) {
        sentence *s = &w->sentences[i];
        if (w->message[0] || w->o->time) {
        } else if (w->o->similarity == SIM_NONE) {
            print_result(w, s);
        } else if (*first) {
            printf("%.9g\n", similarity(w->o->similarity, *first, s->result, w->model->output_size));
        } else {
            *first = s->result;
            s->result = NULL;
        }
        free((void *)(uintptr_t)s->ids);
        free(s->result);
    }
    fflush(stdout);
}

/* Runs the lines of standard input through the pool, until something fails. */
static void run(work *w, slot *slots) {
    const size_t most = w->batch * (size_t)w->o->jobs;
    const double start = seconds();
    float *first = NULL;
    progress_line progress;
    line_reader in = {0};
    line next;
    struct stat file;
    const int shows_progress = fstat(0, &file) == 0 && S_ISREG(file.st_mode) && !isatty(1); /* knows how much is left */
    w->lines = (line *)calloc(most, sizeof *w->lines);
    w->sentences = (sentence *)calloc(most, sizeof *w->sentences);
    if (!w->lines || !w->sentences) snprintf(w->message, sizeof w->message, "out of memory");
    w->line_number = 1;
    progress_line_begin(&progress, "embed");
    while (!w->message[0] && (next.text = lines_next(&in, 1, &next.bytes)) != NULL) {
        w->count = w->next = 0;
        do { /* whatever is there already: a program that waits for its answer gets it */
            w->lines[w->count++] = next;
        } while (w->count < most && (next.text = lines_next(&in, 0, &next.bytes)) != NULL);
        memset(w->sentences, 0, w->count * sizeof *w->sentences);
        run_slots(slots, (size_t)w->o->jobs);
        finish(w, &first);
        w->line_number += w->count;
        if (shows_progress) progress_line_show(&progress, in.read - (in.end - in.begin), (uint64_t)file.st_size);
    }
    progress_line_end(&progress);
    if (in.fault && !w->message[0]) snprintf(w->message, sizeof w->message, "standard input: %s", in.fault);
    if (w->o->time) {
        fprintf(stderr, "%zu sentences in %.6f seconds, %s, %llu weights in place, %llu converted\n",
                w->line_number - 1, seconds() - start, slots->encoder.backend->name,
                (unsigned long long)w->model->in_place, (unsigned long long)w->model->converted_count);
    }
    free(in.text);
    free(first);
    free(w->lines);
    free(w->sentences);
}

/* Opens everything that the options ask for, and runs it. Returns the exit status. */
static int embed(const choices *o) {
    static slot slots[MOST_JOBS];
    static model m;
    static work w;
    const int with_head = o->task != TASK_EMBED;
    const backend *chosen = backend_open(o->backend, w.message);
    tokenizer *words = NULL;
    if (chosen && model_open(&m, o->directory, with_head, o->pool == POOL_POOLER, w.message) && !o->ids) {
        words = tokenizer_open(o->directory, w.message);
        if (words && tokenizer_vocabulary(words) > m.config.vocabulary) {
            snprintf(w.message, sizeof w.message, "the tokenizer has ids up to %zu, but the model only %llu tokens",
                     tokenizer_vocabulary(words) - 1, (unsigned long long)m.config.vocabulary);
        }
    }
    w.o = o;
    w.model = &m;
    w.words = words;
    w.batch = (size_t)o->batch;
    w.max_tokens = (size_t)(m.config.positions - m.first_position);
    if (w.max_tokens > m.config.max_tokens) w.max_tokens = (size_t)m.config.max_tokens;
    if (o->max_length > 0) w.max_tokens = (size_t)o->max_length;
    pthread_mutex_init(&w.lock, NULL);
    for (int i = 0; i < o->jobs; i++) {
        encoder *e = &slots[i].encoder;
        slots[i].work = &w;
        e->model = &m;
        e->backend = chosen;
        e->pool = o->pool < 0 ? m.config.pool : (pooling)o->pool;
        e->normalize = !with_head && (o->normalize < 0 ? m.config.normalize : o->normalize);
        e->every_token = o->every_token;
    }
    if (!w.message[0]) run(&w, slots);
    for (int i = 0; i < o->jobs; i++) encoder_free(&slots[i].encoder);
    pthread_mutex_destroy(&w.lock);
    tokenizer_close(words);
    model_close(&m);
    if (!w.message[0] && (fflush(stdout) || ferror(stdout)))
        snprintf(w.message, sizeof w.message, "cannot write the results");
    return w.message[0] ? put_complaint("embed", "", w.message) : 0;
}

int main(int argc, char **argv) {
    static const char *const tasks[] = {"embed", "classify", "score", NULL};
    static const char *const similarities[] = {"", "cosine", "dot", "euclidean", "manhattan", NULL};
    choices o = {.backend = "auto", .pool = -1, .normalize = -1, .batch = 32, .jobs = 1};
    const option options[] = {
        {"--json-lines", &o.json_lines, .value = 1},
        {"--ids", &o.ids, .value = 1},
        {"--bucket", &o.bucket, .value = 1},
        {"--tokens", &o.every_token, .value = 1},
        {"--normalize", &o.normalize, .value = 1},
        {"--no-normalize", &o.normalize, .value = 0},
        {"--drop-separator", &o.drop_separator, .value = 1},
        {"--time", &o.time, .value = 1},
        {"--help", &o.help, .value = 1},
        {"--batch", &o.batch, .most = MOST_BATCH},
        {"--jobs", &o.jobs, .most = MOST_JOBS},
        {"--max-length", &o.max_length, .most = 1 << 24},
        {"--task", &o.task, .words = tasks},
        {"--sim", &o.similarity, .words = similarities},
        {"--pooling", &o.pool, .words = pooling_names},
        {"--backend", NULL, .text = &o.backend},
    };
    if (options_parse("embed", argc, argv, options, sizeof options / sizeof *options, &o.directory, 1)) return 2;
    if (o.help) return fputs(help, stdout) < 0 || fflush(stdout) != 0;
    if (!o.directory) return options_refuse("embed", "%s is missing", "MODEL");
    if (o.similarity && (o.task || o.json_lines || o.every_token))
        return options_refuse("embed", "%s is for plain embeddings", "--sim");
    if (o.every_token && o.task) return options_refuse("embed", "%s is for embeddings", "--tokens");
    return embed(&o);
}
