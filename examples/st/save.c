/* save.c: what all commands that write share. */
#include "st.h"
#include <errno.h>
#include <string.h>

int is_standard_output(const char *path) {
    return strcmp(path, "-") == 0 || strcmp(path, "/dev/stdout") == 0; /* the system's link must not be replaced */
}

int refuse_hub(const char *command, const char *path) {
    return is_hub(path) ? usage_error(command, "cannot write to the Hugging Face cache: ", path) : EXIT_FINE;
}

int saving_begin(save_job *s, const char *path) {
    uint64_t align = 0, slack = 0;
    const int is_output = is_standard_output(path);
    if (refuse_hub(s->command, path) != EXIT_FINE) return EXIT_USAGE;
    if (s->json && (is_output || system_path_kind(path) == PATH_STREAM)) {
        return usage_error(s->command, "--json: cannot read back and describe what was written to ", path);
    }
    if (is_output && system_is_terminal()) {
        return usage_error(s->command, "a model can disturb the terminal: send it to a file or to a program, not to ",
                           path);
    }
    if (s->align &&
        (!parse_number(s->align, &align) || align < 8 || (align & (align - 1)) != 0 || align > SIZE_MAX / 2)) {
        return usage_error(s->command, "--align: expected a power of two, 8 or more, found ", s->align);
    }
    if (s->slack && (!parse_number(s->slack, &slack) || slack > SIZE_MAX / 2)) {
        return usage_error(s->command, "--slack: expected a number of bytes, found ", s->slack);
    }
    s->options.align = (size_t)align;
    s->options.slack = (size_t)slack;
    if (s->keep_order) s->options.flags |= ST_SAVE_KEEP_ORDER;
    if (s->no_sync) s->options.flags |= ST_SAVE_NO_SYNC;
    if (s->direct) s->options.flags |= ST_SAVE_DIRECT;
    s->options.progress = progress_step;
    s->options.user = &s->bar;
    progress_begin(&s->bar);
    system_watch_interrupts();
    return EXIT_FINE;
}

static int write_stream(void *user, const void *bytes, size_t n) {
    FILE *to = (FILE *)user;
    errno = 0;
    if (fwrite(bytes, 1, n, to) == n) return 0;
    if (to == stdout) output_failed(); /* stores errno for main, which reports it */
    return errno ? errno : EIO;
}

static st_status stream_error(const char *call, st_error *error) {
    char text[256];
    snprintf(text, sizeof text, "cannot %s: %s", call, strerror(errno));
    return set_error(error, ST_ERR_IO, text);
}

st_status saving_open(save_job *s, const char **path, st_error *error) {
    if (is_standard_output(*path)) {
        s->stream = stdout;
    } else if (system_path_kind(*path) == PATH_STREAM) { /* here and not in the library, so that Ctrl-C ends it */
        s->stream = system_open_stream(*path);
        if (!s->stream) {
            return system_interrupted() ? set_error(error, ST_ERR_CANCELLED, "") : stream_error("open", error);
        }
    } else {
        return ST_OK;
    }
    s->sink.user = s->stream;
    s->sink.write = write_stream;
    s->options.sink = &s->sink;
    *path = NULL;
    return ST_OK;
}

/* Reports an error. What the library calls "(sink)" has a path here. */
static int report_saving(const save_job *s, const char *path, const st_error *given) {
    static const char sink[] = "(sink): ";
    st_error error = *given;
    if (s->stream == stdout && output_failed()) return EXIT_FAILED; /* main reports it */
    if (strncmp(error.message, sink, sizeof sink - 1) == 0) {
        memmove(error.message, given->message + sizeof sink - 1, sizeof error.message - sizeof sink + 1);
    }
    report(s->stream == stdout ? "standard output" : path, &error);
    if (strstr(error.message, "; ST_SAVE_DIRECT")) fputs("to write without rename, add --direct\n", stderr);
    if (strstr(error.message, "; ST_SAVE_IN_PLACE")) fputs("to write without rename, add --in-place\n", stderr);
    return EXIT_FAILED;
}

int saving_end(save_job *s, const char *path, const st_error *error) {
    st_error last = *error;
    if (s->has_ended) return EXIT_FAILED;
    s->has_ended = 1;
    progress_end(&s->bar);
    if (s->stream && s->stream != stdout && fclose(s->stream) != 0 && last.status == ST_OK)
        stream_error("write", &last);
    if (last.status == ST_OK) {
        system_stop_watching();
        return EXIT_FINE;
    }
    if (last.status != ST_ERR_CANCELLED && !(s->stream && system_interrupted())) return report_saving(s, path, &last);
    begin_message(s->command);
    fputs("interrupted; ", stderr);
    put_string(stderr, s->stream == stdout ? "standard output" : path);
    fputs(s->stream || s->direct ? " is incomplete\n" : " is unchanged\n", stderr);
    return EXIT_FAILED;
}

int put_saved_json(const char *path) {
    return put_saved_json_with(path, NULL, 0);
}

int put_saved_json_with(const char *path, const named_count *counts, size_t n) {
    const st_open_options open_options = copy_open_options();
    uint64_t file_bytes = 0;
    size_t i;
    st_model *model;
    st_error error;
    if (st_open(&model, path, &open_options, &error) != ST_OK) return report(path, &error);
    fputs("{\"path\":", stdout);
    put_json(stdout, path, strlen(path));
    fputs(",\"tensors\":", stdout);
    put_number(stdout, model->count);
    fputs(",\"bytes\":", stdout);
    put_number(stdout, model->bytes);
    fputs(",\"file_bytes\":", stdout);
    for (i = 0; i < model->shard_count; i++) file_bytes += model->shards[i].file_bytes;
    put_number(stdout, file_bytes);
    fputs(",\"files\":", stdout);
    put_number(stdout, model->shard_count);
    for (i = 0; i < n; i++) {
        printf(",\"%s\":", counts[i].name);
        put_number(stdout, counts[i].number);
    }
    putc('}', stdout);
    end_line();
    st_close(model);
    return EXIT_FINE;
}
