/* save.c: what the commands that write have in common. */
#include "st.h"
#include <string.h>

int out_of_memory(const char *command) {
    begin_complaint(command);
    fputs("out of memory\n", stderr);
    return EXIT_FAILED;
}

st_open_options opening_to_copy(void) {
    st_open_options how;
    memset(&how, 0, sizeof how);
    how.flags = ST_OPEN_NO_MAP | ST_OPEN_UNKNOWN_DTYPES;
    return how;
}

static int wrong_value(const saving *s, const char *what, const char *given) {
    begin_complaint(s->command);
    fputs(what, stderr);
    put_text(stderr, given, strlen(given));
    return usage_hint(s->command);
}

int saving_begin(saving *s, const char *path) {
    uint64_t align = 0, slack = 0;
    if (is_hub(path)) return wrong_value(s, "the hub's cache is only read, not written: ", path);
    if (s->align &&
        (!read_number(s->align, &align) || align < 8 || (align & (align - 1)) != 0 || align > SIZE_MAX / 2)) {
        return wrong_value(s, "--align takes 8 or a greater power of two, not ", s->align);
    }
    if (s->slack && (!read_number(s->slack, &slack) || slack > SIZE_MAX / 2)) {
        return wrong_value(s, "--slack takes a number of bytes, not ", s->slack);
    }
    s->options.align = (size_t)align;
    s->options.slack = (size_t)slack;
    if (s->keep_order) s->options.flags |= ST_SAVE_KEEP_ORDER;
    if (s->no_sync) s->options.flags |= ST_SAVE_NO_SYNC;
    s->options.progress = progress_step;
    s->options.user = &s->bar;
    progress_begin(&s->bar);
    system_watch_interrupts();
    return EXIT_FINE;
}

int saving_end(saving *s, const char *path, const st_error *error) {
    progress_end(&s->bar);
    if (error->status == ST_OK) {
        system_stop_watching();
        return EXIT_FINE;
    }
    if (error->status != ST_ERR_CANCELLED) return report(path, error);
    begin_complaint(s->command);
    fputs("interrupted; ", stderr);
    put_text(stderr, path, strlen(path));
    fputs(" is as it was\n", stderr);
    return EXIT_FAILED;
}

int put_saved_json(const char *path) {
    const st_open_options how = opening_to_copy();
    uint64_t file_bytes = 0;
    size_t i;
    st_model *model;
    st_error error;
    if (st_open(&model, path, &how, &error) != ST_OK) return report(path, &error);
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
    putc('}', stdout);
    end_line();
    st_close(model);
    return EXIT_FINE;
}
