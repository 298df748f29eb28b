/* index.c: writes the index of a directory of shards. */
#include "st.h"
#include <string.h>

/* An index that takes tensors from a file outside the set, such as an overlay, is not out of date: a new one would lose
 * them. Returns that file, or NULL. */
static const char *file_outside(const st_model *set, const st_model *now) {
    size_t i, k;
    for (i = 0; i < now->shard_count; i++) {
        if (!now->shards[i].file_bytes) continue; /* the index is out of date: there is no such file */
        for (k = 0; k < set->shard_count && strcmp(set->shards[k].path, now->shards[i].path) != 0; k++) {}
        if (k == set->shard_count) return now->shards[i].path;
    }
    return NULL;
}

static int check_old_index(const char *path, const st_model *set) {
    st_open_options open_options = copy_open_options();
    st_model *now;
    st_error error;
    const char *outside, *part;
    char text[sizeof error.message];
    int code = EXIT_FINE;
    open_options.flags |= ST_OPEN_INDEX_DECIDES | ST_OPEN_PARTIAL;
    if (open_model(&now, path, &open_options, &error) != ST_OK) return EXIT_FINE; /* no index, or a useless one */
    outside = file_outside(set, now);
    if (outside) {
        for (part = outside; *part; part++) {
            if (*part == '/' || *part == '\\') outside = part + 1;
        }
        snprintf(text, sizeof text,
                 "the index names %.80s, which is not in the set: st merge --index-decides joins both; to do without "
                 "that file, remove the index",
                 outside);
        code = report_text(path, text);
    }
    st_close(now);
    return code;
}

static int write_index(save_job *s, const char *path) {
    st_open_options open_options = copy_open_options();
    st_model *model;
    st_contents contents;
    st_error error;
    int code;
    open_options.flags |= ST_OPEN_NO_INDEX;
    if (open_model(&model, path, &open_options, &error) != ST_OK) return report(path, &error);
    if (virtual_of(model)) {
        code = report_text(path,
                           "the directory holds pieces of tensors, which need no index; st shard writes whole tensors");
    } else if (model->shard_count == 1) {
        code = report_text(path, "the directory holds a model in one file, which needs no index");
    } else {
        code = check_old_index(path, model);
        if (code == EXIT_FINE) code = saving_begin(s, path);
        if (code == EXIT_FINE) {
            contents = st_contents_of(model);
            s->options.progress = NULL; /* there is nothing to wait for */
            s->options.flags |= ST_SAVE_AS_OPENED;
            error.status = st_save_index(path, &contents, &s->options, &error);
            code = saving_end(s, path, &error);
        }
    }
    st_close(model);
    return code == EXIT_FINE && s->json ? put_saved_json(path) : code;
}

int command_index(int argc, char **argv) {
    save_job s;
    const option options[] = {
        {"--no-sync", &s.no_sync, NULL}, {"--json", &s.json, NULL}, opening_options[VARIANT_OPTION]};
    int words;
    memset(&s, 0, sizeof s);
    s.command = "index";
    words = parse_options("index", options, sizeof options / sizeof *options, argc, argv);
    if (words < 0) return EXIT_USAGE;
    if (words != 1) {
        begin_message("index");
        fputs(words ? "too many arguments: expected one DIR" : "DIR is missing", stderr);
        return usage_hint("index");
    }
    if (refuse_hub("index", argv[0]) != EXIT_FINE) return EXIT_USAGE;
    if (system_path_kind(argv[0]) != PATH_DIRECTORY) return report_text(argv[0], "expected a directory of shards");
    return write_index(&s, argv[0]);
}
