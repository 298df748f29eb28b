/* report.c: writes errors, as a line of text or as JSON. */
#include "st.h"
#include <string.h>

st_status set_error(st_error *error, st_status status, const char *message) {
    memset(error, 0, sizeof *error);
    error->position = UINT64_MAX;
    snprintf(error->message, sizeof error->message, "%s", message);
    return error->status = status;
}

static int open_nothing(void *user, const char *path, st_io *file) {
    (void)user, (void)path, (void)file;
    return ST_IO_NOT_A_FILE;
}

static void close_nothing(void *user, st_io *file) {
    (void)user, (void)file;
}

static int list_nothing(void *user, const char *directory, int (*add_name)(void *arg, const char *name), void *arg) {
    (void)user, (void)directory, (void)add_name, (void)arg;
    return ST_IO_NOT_FOUND;
}

/* Returns the message without the path at its start, as the line begins with the path already. The library escapes and
 * shortens paths in its own way, and a path can contain ": ". So this makes another failure with the same path: the
 * path is what the two messages have in common. */
static const char *sentence_of(const st_error *error, const char *path) {
    static const st_files nothing = {NULL, open_nothing, close_nothing, list_nothing};
    const char *message = error->message;
    size_t i, begin = 0;
    st_open_options open_options;
    st_model *model;
    st_error other;
    memset(&open_options, 0, sizeof open_options);
    open_options.files = &nothing;
    if (open_model(&model, path, &open_options, &other) == ST_OK) { /* never: nothing can be opened */
        st_close(model);
        return message;
    }
    for (i = 0; message[i] && message[i] == other.message[i]; i++) {
        if (i > 0 && message[i - 1] == ':' && message[i] == ' ') begin = i + 1;
    }
    return message + begin;
}

void strip_path(st_error *error, const char *path) {
    const char *sentence = sentence_of(error, path);
    memmove(error->message, sentence, strlen(sentence) + 1);
}

/* Writes a message of the library with the names of flags and calls as the command line has them. */
static void put_words(FILE *to, const char *text, size_t bytes) {
    static const char *const words[][2] = {{"ST_OPEN_NO_INDEX", "--no-index"},
                                           {"ST_OPEN_PARTIAL", "--partial"},
                                           {"ST_OPEN_INDEX_DECIDES", "--index-decides"},
                                           {"ST_SAVE_DIRECT", "--direct"},
                                           {"ST_SAVE_NO_SYNC", "--no-sync"},
                                           {"with st_open_hub as ", "as hub:"}};
    size_t i, begin = 0, w, n;
    for (i = 0; i < bytes; i++) {
        for (w = 0; w < sizeof words / sizeof *words; w++) {
            n = strlen(words[w][0]);
            if (n > bytes - i || memcmp(text + i, words[w][0], n) != 0) continue;
            put_text(to, text + begin, i - begin);
            fputs(words[w][1], to);
            begin = i + n;
            i = begin - 1;
            break;
        }
    }
    put_text(to, text + begin, bytes - begin);
}

/* Writes the sentence. A system error that the library gives as a number is written in the system's words. */
static void put_sentence(FILE *to, const char *text, int sys) {
    char buffer[256], number[48];
    size_t bytes = strlen(text), tail;
    const char *words = sys > 0 ? system_error_text(sys, buffer, sizeof buffer) : "";
    tail = (size_t)snprintf(number, sizeof number, " (system error %d)", sys);
    if (!*words || bytes < tail || strcmp(text + bytes - tail, number) != 0) {
        put_words(to, text, bytes);
        return;
    }
    put_words(to, text, bytes - tail);
    fputs(" (", to);
    put_string(to, words);
    putc(')', to);
}

void put_error(FILE *to, const char *path, const st_error *error) {
    const colours colour = system_colours(to);
    put_string(to, path);
    fprintf(to, ": %s%s%s", colour.bad, st_status_name(error->status), colour.off);
    if (error->position != UINT64_MAX) {
        fputs(" at byte ", to);
        put_number(to, error->position);
    }
    fputs(": ", to);
    put_sentence(to, sentence_of(error, path), error->sys);
}

int report(const char *path, const st_error *error) {
    put_error(stderr, path, error);
    putc('\n', stderr);
    return EXIT_FAILED;
}

void begin_error_json(FILE *to, const char *path, const st_error *error) {
    st_error success; /* on success the library sets the status only */
    const st_error *e = error->status == ST_OK ? &success : error;
    memset(&success, 0, sizeof success);
    fputs("{\"path\":", to);
    put_json(to, path, strlen(path));
    fprintf(to, ",\"status\":\"%s\",\"position\":", st_status_name(e->status));
    if (e->status == ST_OK || e->position == UINT64_MAX) {
        fputs("null", to);
    } else {
        put_number(to, e->position);
    }
    fputs(",\"expected\":", to);
    put_number(to, e->expected);
    fputs(",\"actual\":", to);
    put_number(to, e->actual);
    fputs(",\"subject\":", to);
    put_json(to, e->subject, strlen(e->subject));
    fputs(",\"message\":", to);
    put_json(to, e->message, strlen(e->message));
}

enum { SHOWN_NAME = 200, FAULT_BYTES = 300 };

/* Writes an entry of the list, without the end of the line. */
static void put_fault(FILE *to, const file_fault *f, int mends) {
    char message[FAULT_BYTES];
    fault_message(f, message, sizeof message);
    if (f->position != UINT64_MAX) {
        fputs("byte ", to);
        put_number(to, f->position);
        fputs(": ", to);
    }
    if (f->name) {
        putc('"', to);
        put_shortened(to, f->name, f->name_bytes, SHOWN_NAME);
        fputs("\": ", to);
    }
    put_string(to, message);
    if (mends) fprintf(to, ": %s", f->mend);
}

void put_faults(FILE *to, const lenient *l, const char *before, int mends) {
    size_t i;
    for (i = 0; i < l->fault_count; i++) {
        fputs(before, to);
        put_fault(to, &l->faults[i], mends);
        putc('\n', to);
    }
    if (!l->uncounted_faults) return;
    fprintf(to, "%sand ", before);
    put_number(to, l->uncounted_faults);
    fputs(" more\n", to);
}

void put_faults_json(const lenient *l) {
    char message[FAULT_BYTES];
    size_t i;
    putc('[', stdout);
    for (i = 0; i < l->fault_count; i++) {
        const file_fault *f = &l->faults[i];
        fault_message(f, message, sizeof message);
        fputs(i ? ",\n{\"position\":" : "\n{\"position\":", stdout);
        if (f->position == UINT64_MAX) {
            fputs("null", stdout);
        } else {
            put_number(stdout, f->position);
        }
        fputs(",\"subject\":", stdout);
        put_json(stdout, f->name ? f->name : "", f->name ? f->name_bytes : 0);
        fputs(",\"message\":", stdout);
        put_json(stdout, message, strlen(message));
        fputs(",\"mend\":", stdout);
        put_json(stdout, f->mend, strlen(f->mend));
        fprintf(stdout, ",\"lost\":%s}", f->is_loss ? "true" : "false");
    }
    putc(']', stdout);
}

int report_damaged(const char *path, const lenient_file *f, const st_error *error) {
    const lenient *l = &f->contents;
    report(path, error);
    if (!l->failure || !l->header) return EXIT_FAILED; /* the library has said it */
    put_string(stderr, path);
    fputs(": nothing can be mended: byte ", stderr);
    put_number(stderr, l->failure_position);
    fprintf(stderr, ": %s\n", l->failure);
    return EXIT_FAILED;
}

int report_text(const char *path, const char *text) {
    put_string(stderr, path);
    fprintf(stderr, ": %s\n", text);
    return EXIT_FAILED;
}

void put_file_count(const st_model *model) {
    size_t count, i, present = 0;
    const st_shard *files = files_of(model, &count);
    if (count < 2) return;
    for (i = 0; i < count; i++) present += files[i].file_bytes != 0; /* --partial: some are absent */
    fputs(" in ", stdout);
    if (present < count) {
        put_number(stdout, present);
        fputs(" of ", stdout);
    }
    put_number(stdout, count);
    fputs(" files", stdout);
}

/* Writes "FILE: VERB N bytes, but TENSOR". */
static void begin_size(const char *file, const char *verb, uint64_t bytes, const st_tensor *tensor) {
    put_input_name(stderr, file);
    fprintf(stderr, ": %s ", verb);
    put_number(stderr, bytes);
    fputs(bytes == 1 ? " byte, but " : " bytes, but ", stderr);
    put_text(stderr, tensor->name, tensor->name_bytes);
}

int report_size_at(const char *file, const char *verb, uint64_t bytes, const st_tensor *tensor, uint64_t offset) {
    begin_size(file, verb, bytes, tensor);
    fputs(" has ", stderr);
    put_number(stderr, tensor->bytes - offset);
    fputs(" from byte ", stderr);
    put_number(stderr, offset);
    fputs(" on\n", stderr);
    return EXIT_FAILED;
}

int report_size(const char *file, const char *verb, uint64_t bytes, const st_tensor *tensor, uint64_t needed) {
    begin_size(file, verb, bytes, tensor);
    fputs(" needs ", stderr);
    put_number(stderr, needed);
    fputs(" (", stderr);
    put_string(stderr, tensor->dtype_name ? tensor->dtype_name : st_dtype_name(tensor->dtype));
    putc(' ', stderr);
    put_shape(stderr, tensor);
    fputs(")\n", stderr);
    return EXIT_FAILED;
}

int out_of_memory(const char *command) {
    begin_message(command);
    fputs("out of memory\n", stderr);
    return EXIT_FAILED;
}

/* ---- names that do not exist -------------------------------------------------------------------------------- */

/* What other libraries call the dtypes. */
static st_dtype dtype_of_other_name(const char *name) {
    static const struct {
        const char *name;
        st_dtype dtype;
    } others[] = {{"FLOAT", ST_DTYPE_F32},
                  {"FLOAT32", ST_DTYPE_F32},
                  {"FP32", ST_DTYPE_F32},
                  {"SINGLE", ST_DTYPE_F32},
                  {"DOUBLE", ST_DTYPE_F64},
                  {"FLOAT64", ST_DTYPE_F64},
                  {"FP64", ST_DTYPE_F64},
                  {"HALF", ST_DTYPE_F16},
                  {"FLOAT16", ST_DTYPE_F16},
                  {"FP16", ST_DTYPE_F16},
                  {"BFLOAT16", ST_DTYPE_BF16},
                  {"BFLOAT", ST_DTYPE_BF16},
                  {"F8", ST_DTYPE_F8_E4M3},
                  {"FP8", ST_DTYPE_F8_E4M3},
                  {"FLOAT8", ST_DTYPE_F8_E4M3},
                  {"F8E4M3", ST_DTYPE_F8_E4M3},
                  {"F8E5M2", ST_DTYPE_F8_E5M2},
                  {"FLOAT8_E4M3FN", ST_DTYPE_F8_E4M3},
                  {"FLOAT8_E4M3", ST_DTYPE_F8_E4M3},
                  {"F8_E4M3FN", ST_DTYPE_F8_E4M3},
                  {"FP8_E4M3FN", ST_DTYPE_F8_E4M3},
                  {"FP8_E4M3", ST_DTYPE_F8_E4M3},
                  {"FP8_E5M2", ST_DTYPE_F8_E5M2},
                  {"E4M3", ST_DTYPE_F8_E4M3},
                  {"E5M2", ST_DTYPE_F8_E5M2},
                  {"FLOAT8_E4M3FNUZ", ST_DTYPE_F8_E4M3FNUZ},
                  {"FLOAT8_E5M2FNUZ", ST_DTYPE_F8_E5M2FNUZ},
                  {"FLOAT8_E8M0FNU", ST_DTYPE_F8_E8M0},
                  {"FP4", ST_DTYPE_F4},
                  {"FLOAT8_E5M2", ST_DTYPE_F8_E5M2},
                  {"INT", ST_DTYPE_I32},
                  {"INT8", ST_DTYPE_I8},
                  {"INT16", ST_DTYPE_I16},
                  {"INT32", ST_DTYPE_I32},
                  {"INT64", ST_DTYPE_I64},
                  {"LONG", ST_DTYPE_I64},
                  {"UINT8", ST_DTYPE_U8},
                  {"BYTE", ST_DTYPE_U8},
                  {"UINT16", ST_DTYPE_U16},
                  {"UINT32", ST_DTYPE_U32},
                  {"UINT64", ST_DTYPE_U64},
                  {"BOOLEAN", ST_DTYPE_BOOL},
                  {"COMPLEX64", ST_DTYPE_C64},
                  {"COMPLEX", ST_DTYPE_C64}};
    size_t i;
    for (i = 0; i < sizeof others / sizeof *others; i++) {
        if (strcmp(others[i].name, name) == 0) return others[i].dtype;
    }
    return ST_DTYPE_UNKNOWN;
}

int parse_dtype(const char *command, const char *name, st_dtype *dtype) {
    char upper[32];
    nearest_names nearest;
    size_t i;
    for (i = 0; name[i] && i + 1 < sizeof upper; i++) {
        upper[i] = name[i] >= 'a' && name[i] <= 'z' ? (char)(name[i] - 'a' + 'A') : name[i];
    }
    upper[i] = 0;
    if (!name[i] && st_dtype_from_name(upper, dtype) == ST_OK) return EXIT_FINE;
    *dtype = name[i] ? ST_DTYPE_UNKNOWN : dtype_of_other_name(upper);
    if (*dtype != ST_DTYPE_UNKNOWN) return EXIT_FINE;
    begin_message(command);
    fputs("unknown dtype ", stderr);
    put_string(stderr, name);
    nearest_begin(&nearest, upper);
    for (i = 1; *st_dtype_name((st_dtype)i); i++) {
        nearest_consider(&nearest, st_dtype_name((st_dtype)i), strlen(st_dtype_name((st_dtype)i)));
    }
    put_nearest(stderr, &nearest);
    return usage_hint(command);
}

int report_missing_tensor(const st_model *model, const char *path, const char *name) {
    nearest_names nearest;
    nearest_begin(&nearest, name);
    nearest_tensors(&nearest, model);
    put_string(stderr, path);
    fputs(": the model has no tensor ", stderr);
    put_string(stderr, name);
    put_nearest(stderr, &nearest);
    putc('\n', stderr);
    return EXIT_FAILED;
}
