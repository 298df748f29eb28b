/* weight_map: hands out the weights of a checkpoint as F32, one by one, and says what nobody took. Reads commands.
 *
 *     cc -O2 -I. examples/weight_map/[a-z]*.c examples/common/[a-z]*.c -o weight_map
 *     printf 'remap model. m.\ntake-transposed m.embed.weight\ndrain fail\n' | ./weight_map model.safetensors
 *
 * Loaders of models are written like this: each layer takes its weights, and whatever is left at the end is a sign that
 * the model and the checkpoint do not belong together. A weight is read and converted when it is needed. */
#include "safetensors.h"
#include "examples/common/names.h"
#include "examples/common/text.h"
#include "examples/common/words.h"
#include <stdlib.h>
#include <string.h>

static const char usage[] = "usage: weight_map CHECKPOINT... [--exclude NAME]... <COMMANDS\n"
                            "\n"
                            "CHECKPOINT is a file, an index or a directory. Of several, such as parts/*.safetensors, "
                            "the later replace weights of\n"
                            "the earlier. C64 is left out. --exclude leaves out a weight too.\n"
                            "\n"
                            "len                    how many weights there are\n"
                            "keys                   their names and shapes, in the order of the files\n"
                            "has NAME               yes or no\n"
                            "get NAME               shape and values, of which the first 64 are printed\n"
                            "take NAME              the same, and removes the weight\n"
                            "take-transposed NAME   a matrix as its transpose\n"
                            "remap FROM TO          replace FROM by TO in all names; of equal names the later stays\n"
                            "merge-add NAME OTHER   add OTHER to a matrix of the same shape, and remove OTHER\n"
                            "save OUT               write the weights that are left, as F32\n"
                            "drain ignore|warn|fail what is left is fine, or named on standard error, or an error\n"
                            "\n"
                            "A command that fails prints why and does not stop the others; the exit status is 1.\n";

typedef struct weight {
    char *name;
    size_t name_bytes;
    const st_model *model;
    const st_tensor *tensor;
    float *values; /* NULL: as stored */
    int is_gone;
} weight;

typedef struct weight_map {
    weight *weights;
    size_t count, capacity;
    name_list names;
    st_model **models;
    size_t model_count;
} weight_map;

/* Functions that return a text return NULL, or why they did nothing. */
static const char no_memory[] = "out of memory";
static st_error library_error;

static size_t size_of(const weight *w) {
    return w->tensor->elements < SIZE_MAX / sizeof *w->values ? (size_t)w->tensor->elements * sizeof *w->values
                                                              : SIZE_MAX;
}

/* ---- the map -------------------------------------------------------------------------------------------------- */

static weight *find(const weight_map *m, const char *name) {
    const size_t i = names_find_last(&m->names, name, strlen(name));
    return i == NO_NAME || m->weights[i].is_gone ? NULL : &m->weights[i];
}

static const char *add(weight_map *m, const st_model *model, const st_tensor *t) {
    weight *w;
    size_t taken;
    if (m->count == m->capacity) {
        const size_t capacity = m->capacity ? 2 * m->capacity : 64;
        weight *grown = capacity < SIZE_MAX / sizeof *w ? (weight *)realloc(m->weights, capacity * sizeof *w) : NULL;
        if (!grown) return no_memory;
        m->weights = grown;
        m->capacity = capacity;
    }
    w = &m->weights[m->count];
    memset(w, 0, sizeof *w);
    w->name = (char *)malloc(t->name_bytes + 1);
    if (!w->name) return no_memory;
    memcpy(w->name, t->name, t->name_bytes + 1);
    w->name_bytes = t->name_bytes;
    w->model = model;
    w->tensor = t;
    taken = names_find_last(&m->names, w->name, w->name_bytes);
    if (taken != NO_NAME) m->weights[taken].is_gone = 1;
    if (!names_add(&m->names, w->name, w->name_bytes, m->count++)) return no_memory;
    return NULL;
}

static const char *open_model(weight_map *m, const char *path, char *const *excluded, int excluded_count) {
    st_model **models = (st_model **)realloc(m->models, (m->model_count + 1) * sizeof *models), *model;
    const char *fault = NULL;
    size_t i;
    int k;
    if (!models) return no_memory;
    m->models = models;
    if (st_open(&models[m->model_count], path, NULL, &library_error) != ST_OK) return library_error.message;
    model = models[m->model_count++];
    for (i = 0; i < model->count && !fault; i++) {
        const st_tensor *t = &model->tensors[i];
        for (k = 0; k < excluded_count && strcmp(excluded[k], t->name) != 0; k++) {}
        if (t->dtype != ST_DTYPE_C64 && k == excluded_count) fault = add(m, model, t);
    }
    return fault;
}

static void close_map(weight_map *m) {
    size_t i;
    for (i = 0; i < m->count; i++) {
        free(m->weights[i].name);
        free(m->weights[i].values);
    }
    free(m->weights);
    names_clear(&m->names);
    for (i = 0; i < m->model_count; i++) st_close(m->models[i]);
    free(m->models);
}

/* Reads a weight as F32, transposed or not. *values is to be freed. */
static const char *read_weight(const weight *w, int transposed, float **values) {
    static const uint32_t axes[2] = {1, 0};
    const st_view view = {NULL, 0, axes};
    const size_t bytes = size_of(w);
    const char *fault = NULL;
    if (transposed && w->tensor->rank != 2) return "only a matrix has a transpose";
    *values = bytes < SIZE_MAX ? (float *)malloc(bytes + 1) : NULL;
    if (!*values) return no_memory;
    if (w->values && transposed) {
        const size_t rows = bytes ? (size_t)w->tensor->shape[0] : 0, columns = bytes ? (size_t)w->tensor->shape[1] : 0;
        size_t i, k;
        for (i = 0; i < rows; i++) {
            for (k = 0; k < columns; k++) (*values)[k * rows + i] = w->values[i * columns + k];
        }
    } else if (w->values) {
        memcpy(*values, w->values, bytes);
    } else if (st_read_as(w->model, w->tensor, transposed ? &view : NULL, ST_DTYPE_F32, *values, bytes,
                          &library_error)) {
        fault = library_error.message;
    }
    if (fault) {
        free(*values);
        *values = NULL;
    }
    return fault;
}

/* Returns the name with TO in place of FROM, to be freed; NULL if memory runs out. */
static char *replace(const char *name, size_t name_bytes, const char *from, const char *to, size_t *bytes) {
    const size_t from_bytes = strlen(from), to_bytes = strlen(to);
    size_t i, n = 0, found = 0;
    char *made;
    for (i = 0; i + from_bytes <= name_bytes; i++) found += memcmp(name + i, from, from_bytes) == 0;
    made = found < SIZE_MAX / 2 / (to_bytes + 1) ? (char *)malloc(name_bytes + found * to_bytes + 1) : NULL;
    i = 0;
    while (made && i < name_bytes) {
        if (i + from_bytes <= name_bytes && memcmp(name + i, from, from_bytes) == 0) {
            memcpy(made + n, to, to_bytes);
            n += to_bytes;
            i += from_bytes;
        } else {
            made[n++] = name[i++];
        }
    }
    if (made) made[n] = 0;
    *bytes = n;
    return made;
}

static const char *remap(weight_map *m, const char *from, const char *to) {
    size_t i, bytes;
    names_clear(&m->names); /* it holds names that are freed now */
    for (i = 0; i < m->count; i++) {
        weight *w = &m->weights[i];
        char *name = replace(w->name, w->name_bytes, from, to, &bytes);
        if (name) {
            free(w->name);
            w->name = name;
            w->name_bytes = bytes;
        }
        if (!name || (!w->is_gone && !names_add(&m->names, w->name, w->name_bytes, i))) return no_memory;
    }
    for (i = 0; i < m->count; i++) {
        weight *w = &m->weights[i];
        if (!w->is_gone) w->is_gone = names_find_last(&m->names, w->name, w->name_bytes) != i;
    }
    return NULL;
}

static const char *merge_add(weight *to, weight *other) {
    const st_tensor *a = to->tensor, *b = other->tensor;
    float *sum, *more;
    const char *fault;
    size_t i;
    if (a->rank != 2 || b->rank != 2) return "only matrices can be added";
    if (a->shape[0] != b->shape[0] || a->shape[1] != b->shape[1]) return "the shapes differ";
    if (to == other) return "a weight cannot be added to itself";
    fault = read_weight(to, 0, &sum);
    if (fault) return fault;
    fault = read_weight(other, 0, &more);
    if (fault) {
        free(sum);
        return fault;
    }
    for (i = 0; i < a->elements; i++) sum[i] += more[i];
    free(more);
    free(to->values);
    to->values = sum;
    other->is_gone = 1;
    return NULL;
}

static const char *save(const weight_map *m, const char *path) {
    st_writer *writer = NULL;
    const char *fault = NULL;
    st_status status = st_writer_open(&writer, path, NULL, &library_error);
    size_t i, pass;
    for (pass = 0; pass < 2; pass++) {
        for (i = 0; i < m->count && status == ST_OK && !fault; i++) {
            const weight *w = &m->weights[i];
            st_tensor t = *w->tensor;
            float *values;
            if (w->is_gone) continue;
            t.name = w->name;
            t.name_bytes = w->name_bytes;
            t.dtype = ST_DTYPE_F32;
            if (pass == 0) {
                status = st_writer_add(writer, &t, &library_error);
                continue;
            }
            fault = read_weight(w, 0, &values);
            if (fault) break;
            st_to_little_endian(ST_DTYPE_F32, values, size_of(w) / sizeof(float));
            status = st_writer_write_to(writer, &t, values, size_of(w), &library_error);
            free(values);
        }
        if (status != ST_OK || fault) break;
        status = pass == 0 ? st_writer_begin(writer, &library_error) : st_writer_finish(writer, &library_error);
    }
    st_writer_close(writer);
    return status == ST_OK ? fault : library_error.message;
}

/* ---- commands ------------------------------------------------------------------------------------------------- */

static void put_shape(const weight *w, int transposed) {
    const uint64_t *shape = w->tensor->shape;
    uint64_t turned[2] = {0, 0};
    if (transposed) {
        turned[0] = shape[1];
        turned[1] = shape[0];
    }
    put_text(stdout, w->name, w->name_bytes);
    putchar(' ');
    put_dimensions(stdout, w->tensor->rank, transposed ? turned : shape);
}

static const char *hand_out(weight *w, const char *command) {
    const int is_transposed = strcmp(command, "take-transposed") == 0;
    const size_t most = 64;
    float *values;
    size_t i;
    const char *fault = read_weight(w, is_transposed, &values);
    if (fault) return fault;
    put_shape(w, is_transposed);
    putchar(':');
    for (i = 0; i < w->tensor->elements && i < most; i++) printf(" %.9g", (double)values[i]);
    puts(i < w->tensor->elements ? " ..." : "");
    free(values);
    if (strcmp(command, "get") != 0) w->is_gone = 1;
    return NULL;
}

static const char *drain(const weight_map *m, const char *policy) {
    const int is_fail = strcmp(policy, "fail") == 0;
    size_t i, count = 0;
    if (strcmp(policy, "ignore") == 0) return NULL;
    if (!is_fail && strcmp(policy, "warn") != 0) return "expected ignore, warn or fail";
    fflush(stdout);
    for (i = 0; i < m->count; i++) {
        if (m->weights[i].is_gone || count++ >= 8) continue;
        fputs(count == 1 ? "weight_map: not used: " : ", ", stderr);
        put_text(stderr, m->weights[i].name, m->weights[i].name_bytes);
    }
    if (count > 8) fprintf(stderr, " and %zu more", count - 8);
    if (count) putc('\n', stderr);
    return is_fail && count ? "weights are left" : NULL;
}

static size_t list(const weight_map *m, int with_names) {
    size_t i, count = 0;
    for (i = 0; i < m->count; i++) {
        if (m->weights[i].is_gone) continue;
        count++;
        if (with_names) put_shape(&m->weights[i], 0);
        if (with_names) putchar('\n');
    }
    return count;
}

static const char *run(weight_map *m, words *line) {
    const char *command = line->word[0];
    const size_t arguments = line->count - 1;
    weight *w = arguments ? find(m, line->word[1]) : NULL, *other = arguments == 2 ? find(m, line->word[2]) : NULL;
    const int hands_out =
        strcmp(command, "get") == 0 || strcmp(command, "take") == 0 || strcmp(command, "take-transposed") == 0;
    if (strcmp(command, "len") == 0 && arguments == 0) return printf("%zu\n", list(m, 0)) < 0 ? "cannot write" : NULL;
    if (strcmp(command, "keys") == 0 && arguments == 0) return (void)list(m, 1), NULL;
    if (strcmp(command, "has") == 0 && arguments == 1) return puts(w ? "yes" : "no") < 0 ? "cannot write" : NULL;
    if (strcmp(command, "remap") == 0 && arguments == 2) return remap(m, line->word[1], line->word[2]);
    if (strcmp(command, "save") == 0 && arguments == 1) return save(m, line->word[1]);
    if (strcmp(command, "drain") == 0 && arguments == 1) return drain(m, line->word[1]);
    if (hands_out && arguments == 1) return w ? hand_out(w, command) : "missing";
    if (strcmp(command, "merge-add") == 0 && arguments == 2) return w && other ? merge_add(w, other) : "missing";
    return "unknown command, or wrong number of arguments; see weight_map --help";
}

static int wrong_usage(const char *sentence) {
    fprintf(stderr, "weight_map: %s; see weight_map --help\n", sentence);
    return 2;
}

int main(int argc, char **argv) {
    char **excluded = (char **)malloc(((size_t)argc + 1) * sizeof *excluded);
    const char *wrong = NULL, *fault = excluded ? NULL : no_memory;
    int i, path_count = 0, excluded_count = 0, failed;
    weight_map m;
    words line;
    memset(&m, 0, sizeof m);
    memset(&line, 0, sizeof line);
    for (i = 1; i < argc && !wrong && excluded; i++) {
        if (strcmp(argv[i], "--help") == 0) {
            free(excluded);
            return fputs(usage, stdout) < 0;
        }
        if (argv[i][0] != '-') {
            argv[1 + path_count++] = argv[i]; /* in place of an argument that was read */
        } else if (strcmp(argv[i], "--exclude") != 0) {
            wrong = "unknown option";
        } else if (i + 1 == argc) {
            wrong = "--exclude lacks a name";
        } else {
            excluded[excluded_count++] = argv[++i];
        }
    }
    if (!wrong && path_count == 0) wrong = "expected CHECKPOINT";
    for (i = 0; i < path_count && !fault && !wrong; i++) fault = open_model(&m, argv[1 + i], excluded, excluded_count);
    free(excluded);
    if (fault) fprintf(stderr, "weight_map: %s\n", fault);
    failed = fault != NULL;
    while (!fault && !wrong && words_read(&line, stdin)) {
        const char *reason = run(&m, &line);
        if (!reason) continue;
        fflush(stdout);
        fprintf(stderr, "weight_map: line %lu: ", line.number);
        put_string(stderr, line.word[0]);
        fprintf(stderr, ": %s\n", reason);
        failed = 1;
    }
    if (line.fault) fprintf(stderr, "weight_map: line %lu: %s\n", line.number, line.fault);
    if (line.fault) failed = 1;
    if (!wrong && (fflush(stdout) != 0 || ferror(stdout))) {
        fprintf(stderr, "weight_map: cannot write to standard output\n");
        failed = 1;
    }
    words_end(&line);
    close_map(&m);
    return wrong ? wrong_usage(wrong) : failed;
}
