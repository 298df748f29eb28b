/* save.c: what all commands that write share. */
#include "st.h"
#include <string.h>

int saving_begin(saving *s, const char *path) {
    uint64_t align = 0, slack = 0;
    if (is_hub(path)) return usage_error(s->command, "cannot write to the Hugging Face cache: ", path);
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
    begin_message(s->command);
    fputs("interrupted; ", stderr);
    put_string(stderr, path);
    fputs(" is unchanged\n", stderr);
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
