/* report.c: an error of the library as a line for a person or an object for a program. */
#include "st.h"
#include <string.h>

static int open_nothing(void *user, const char *path, st_io *file) {
    (void)user, (void)path, (void)file;
    return ST_IO_NOT_A_FILE;
}

static void close_nothing(void *user, st_io *file) {
    (void)user, (void)file;
}

static int list_nothing(void *user, const char *directory, int (*each)(void *arg, const char *name), void *arg) {
    (void)user, (void)directory, (void)each, (void)arg;
    return ST_IO_NOT_FOUND;
}

/* The message without the path before it, as the line begins with the path already. The library escapes and shortens
 * paths in its own way, and a path may hold ": " itself; but what two different failures have in common is the path. */
static const char *sentence(const st_error *error, const char *path) {
    static const st_files nothing = {NULL, open_nothing, close_nothing, list_nothing};
    const char *message = error->message;
    size_t i, begin = 0;
    st_open_options how;
    st_model *model;
    st_error other;
    memset(&how, 0, sizeof how);
    how.files = &nothing;
    if (open_model(&model, path, &how, &other) == ST_OK) { /* which never is */
        st_close(model);
        return message;
    }
    for (i = 0; message[i] && message[i] == other.message[i]; i++) {
        if (i > 0 && message[i - 1] == ':' && message[i] == ' ') begin = i + 1;
    }
    return message + begin;
}

/* The sentence, and the system's own words instead of its number where the library knows only that. */
static void put_sentence(FILE *to, const char *text, int sys) {
    char words[256], number[48];
    size_t bytes = strlen(text), tail;
    const char *why = sys > 0 ? system_error_text(sys, words, sizeof words) : "";
    tail = (size_t)snprintf(number, sizeof number, " (system error %d)", sys);
    if (!*why || bytes < tail || strcmp(text + bytes - tail, number) != 0) {
        put_text(to, text, bytes);
        return;
    }
    put_text(to, text, bytes - tail);
    fputs(" (", to);
    put_text(to, why, strlen(why));
    putc(')', to);
}

void put_error(FILE *to, const char *path, const st_error *error) {
    const colours paint = system_colours(to);
    put_text(to, path, strlen(path));
    fprintf(to, ": %s%s%s", paint.bad, st_status_name(error->status), paint.off);
    if (error->position != UINT64_MAX) {
        fputs(" at byte ", to);
        put_number(to, error->position);
    }
    fputs(": ", to);
    put_sentence(to, sentence(error, path), error->sys);
}

int report(const char *path, const st_error *error) {
    put_error(stderr, path, error);
    putc('\n', stderr);
    return EXIT_FAILED;
}

void begin_error_json(FILE *to, const char *path, const st_error *error) {
    static const st_error fine; /* on success only the status is set */
    const st_error *e = error->status == ST_OK ? &fine : error;
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

int unknown_dtype(const char *command, const char *name) {
    near_names near_to;
    int i;
    begin_complaint(command);
    fputs("no dtype is called ", stderr);
    put_text(stderr, name, strlen(name));
    near_begin(&near_to, name);
    for (i = 1; *st_dtype_name((st_dtype)i); i++) {
        near_consider(&near_to, st_dtype_name((st_dtype)i), strlen(st_dtype_name((st_dtype)i)));
    }
    near_put(stderr, &near_to);
    return usage_hint(command);
}

int no_such_tensor(const st_model *model, const char *path, const char *name) {
    near_names near_to;
    size_t i;
    near_begin(&near_to, name);
    for (i = 0; i < model->count; i++) near_consider(&near_to, model->tensors[i].name, model->tensors[i].name_bytes);
    put_text(stderr, path, strlen(path));
    fputs(": no tensor is called ", stderr);
    put_text(stderr, name, strlen(name));
    near_put(stderr, &near_to);
    putc('\n', stderr);
    return EXIT_FAILED;
}
