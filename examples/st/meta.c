/* meta.c: prints or changes metadata. */
#include "st.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_CONTENT = 100000000 }; /* no header is longer */

typedef struct entries { /* a copy, as some systems replace a file only after it was closed */
    st_pair *pairs;      /* a key and its value are one allocation */
    size_t count;
    int exist; /* 0: the file has no metadata at all; 1: it has some, or an empty object */
} entries;

typedef struct edited { /* a file of the model */
    char *path;
    uint64_t bytes;
    entries before, now;
} edited;

typedef struct edit {
    saving saving;
    const char **sets, **set_files, **unsets, *get;
    int set_count, set_file_count, unset_count, clear, in_place, is_lenient;
    st_pair *values; /* of --set, then of --set-file */
    char **contents; /* of the files of --set-file */
    edited *files;
    size_t file_count;
} edit;

/* ---- entries ---------------------------------------------------------------------------------------------- */

static size_t find_key(const st_pair *pairs, size_t count, const char *key, size_t bytes) { /* count: none */
    size_t i = 0;
    while (i < count && (pairs[i].key_bytes != bytes || memcmp(pairs[i].key, key, bytes) != 0)) i++;
    return i;
}

static void free_entry(st_pair *pair) {
    free((void *)(uintptr_t)pair->key); /* add_entry allocated it */
}

/* Removes a key and returns 1 if it is there. This changes the order; the library sorts by key. */
static int remove_key(entries *e, const char *key, size_t bytes) {
    const size_t i = find_key(e->pairs, e->count, key, bytes);
    if (i == e->count) return 0;
    free_entry(&e->pairs[i]);
    e->pairs[i] = e->pairs[--e->count];
    return 1;
}

/* Appends a copy of an entry; pairs must have room for it. Returns 0 if there is no memory. */
static int add_entry(entries *e, const char *key, size_t key_bytes, const char *value, size_t value_bytes) {
    char *text = (char *)calloc(key_bytes + value_bytes + 2, 1); /* with two NULs */
    st_pair *pair = &e->pairs[e->count];
    if (!text) return 0;
    memcpy(text, key, key_bytes);
    memcpy(text + key_bytes + 1, value, value_bytes);
    pair->key = text;
    pair->value = text + key_bytes + 1;
    pair->key_bytes = key_bytes;
    pair->value_bytes = value_bytes;
    e->count++;
    e->exist = 1;
    return 1;
}

/* ---- changing --------------------------------------------------------------------------------------------- */

static int report_missing_key(const st_pair *pairs, size_t count, const char *path, const char *key) {
    nearest_names nearest;
    size_t i;
    nearest_begin(&nearest, key);
    for (i = 0; i < count; i++) nearest_consider(&nearest, pairs[i].key, pairs[i].key_bytes);
    put_string(stderr, path);
    fputs(": the metadata has no key ", stderr);
    put_string(stderr, key);
    put_nearest(stderr, &nearest);
    putc('\n', stderr);
    return EXIT_FAILED;
}

/* Copies entries; `to` gets room for `more` others. Returns 0 if there is no memory. */
static int copy_entries(entries *to, const st_pair *pairs, size_t count, size_t more) {
    size_t i;
    to->pairs = (st_pair *)calloc(count + more + 1, sizeof *to->pairs);
    for (i = 0; to->pairs && i < count; i++) {
        if (!add_entry(to, pairs[i].key, pairs[i].key_bytes, pairs[i].value, pairs[i].value_bytes)) return 0;
    }
    to->exist = pairs != NULL;
    return to->pairs != NULL;
}

static void free_entries(entries *e) {
    size_t i;
    for (i = 0; i < e->count; i++) free_entry(&e->pairs[i]);
    free(e->pairs);
}

/* Copies path and metadata of a file. Returns 0 if there is no memory. */
static int copy_file(const edit *e, edited *to, const st_shard *shard) {
    const size_t more = (size_t)e->set_count + (size_t)e->set_file_count;
    to->bytes = shard->file_bytes;
    to->path = (char *)calloc(strlen(shard->path) + 1, 1);
    if (!to->path) return 0;
    strcpy(to->path, shard->path);
    return copy_entries(&to->before, shard->metadata, shard->metadata_count, 0) &&
           copy_entries(&to->now, e->clear ? NULL : shard->metadata, e->clear ? 0 : shard->metadata_count, more);
}

static int copy_files(edit *e, const st_model *model) {
    const st_open_options open_options = copy_open_options();
    size_t count, i;
    const st_shard *files = files_of(model, &count);
    int has_memory;
    e->files = (edited *)calloc(count + 1, sizeof *e->files);
    has_memory = e->files != NULL;
    for (i = 0; has_memory && i < count; i++) {
        const st_shard *shard = &files[i];
        st_model *alone = NULL;
        st_error error;
        if (!shard->file_bytes) continue; /* --partial: there is no file */
        if (virtual_of(model)) {          /* which does not show all metadata of its files */
            if (st_open(&alone, shard->path, &open_options, &error) != ST_OK) return report(shard->path, &error);
            shard = &alone->shards[0];
        }
        has_memory = copy_file(e, &e->files[e->file_count++], shard);
        st_close(alone);
    }
    return has_memory ? EXIT_FINE : out_of_memory("meta");
}

/* Copies path and metadata of every file of the model. */
static int read_files(edit *e, const char *path) {
    const st_open_options open_options = copy_open_options();
    st_model *model;
    st_error error;
    int code;
    if (open_model(&model, path, &open_options, &error) != ST_OK) return report(path, &error);
    code = copy_files(e, model);
    st_close(model);
    if (code == EXIT_FINE && !e->file_count) return report_text(path, "no file of the model is there");
    return code;
}

/* Applies all edits to files[].now. */
static int apply_edits(edit *e, const char *path) {
    const int values = e->set_count + e->set_file_count;
    size_t i;
    int k;
    for (k = 0; k < e->unset_count; k++) {
        const char *key = e->unsets[k];
        int found = 0;
        for (i = 0; i < e->file_count; i++) found |= remove_key(&e->files[i].now, key, strlen(key));
        if (!found) return report_missing_key(e->files[0].now.pairs, e->files[0].now.count, path, key);
    }
    for (i = 0; i < e->file_count; i++) {
        entries *to = &e->files[i].now;
        for (k = 0; k < values; k++) {
            const st_pair *v = &e->values[k];
            remove_key(to, v->key, v->key_bytes);
            if (!add_entry(to, v->key, v->key_bytes, v->value, v->value_bytes)) return out_of_memory("meta");
        }
    }
    return EXIT_FINE;
}

/* ---- values of --set and --set-file ------------------------------------------------------------------------- */

static int read_values(edit *e) {
    const size_t sets = (size_t)e->set_count, all = sets + (size_t)e->set_file_count;
    size_t i;
    e->values = (st_pair *)calloc(all + 1, sizeof *e->values);
    e->contents = (char **)calloc(all + 1, sizeof *e->contents);
    if (!e->values || !e->contents) return out_of_memory("meta");
    for (i = 0; i < all; i++) {
        const char *given = i < sets ? e->sets[i] : e->set_files[i - sets], *equals = strchr(given, '=');
        st_pair *v = &e->values[i];
        int code;
        if (!equals) {
            return usage_error("meta", i < sets ? "--set: expected K=V, found " : "--set-file: expected K=PATH, found ",
                               given);
        }
        v->key = given;
        v->key_bytes = (size_t)(equals - given);
        v->value = equals + 1;
        v->value_bytes = strlen(v->value);
        if (i < sets) continue;
        code = read_whole("meta", equals + 1, MAX_CONTENT, &e->contents[i], &v->value_bytes);
        if (code != EXIT_FINE) return code;
        v->value = e->contents[i];
    }
    return EXIT_FINE;
}

/* ---- printing --------------------------------------------------------------------------------------------- */

static void put_metadata(const st_model *model, int json) {
    size_t i;
    if (json) {
        put_pairs_json(stdout, model->metadata, model->metadata_count, 0);
        end_line();
    } else if (!model->metadata || model->metadata_count == 0) {
        fputs(model->metadata ? "the metadata is empty" : "no metadata", stdout);
        end_line();
    }
    for (i = 0; !json && i < model->metadata_count; i++) {
        put_text(stdout, model->metadata[i].key, model->metadata[i].key_bytes);
        fputs(": ", stdout);
        put_text(stdout, model->metadata[i].value, model->metadata[i].value_bytes);
        end_line();
    }
}

static int print_metadata(const char *path, int json) {
    const st_open_options open_options = copy_open_options();
    st_model *model;
    st_error error;
    if (open_model(&model, path, &open_options, &error) != ST_OK) return report(path, &error);
    put_metadata(model, json);
    st_close(model);
    return EXIT_FINE;
}

/* JSON on standard output is the metadata alone. */
static int print_damaged(const char *path, int json) {
    lenient_file damaged;
    st_error error;
    int code = EXIT_FINE;
    if (lenient_file_open(&damaged, path, &error) != ST_OK) {
        code = report_damaged(path, &damaged, &error);
    } else {
        put_faults(json ? stderr : stdout, &damaged.contents, "fault: ", 0);
        put_metadata(&damaged.contents.model, json);
    }
    lenient_file_close(&damaged);
    return code;
}

/* Prints one value as it is, but with escapes on a terminal, which it must not control. */
static int print_value(const edit *e, const char *path) {
    const st_open_options open_options = copy_open_options();
    st_model *model;
    st_error error;
    size_t i;
    int is_there;
    if (open_model(&model, path, &open_options, &error) != ST_OK) return report(path, &error);
    i = find_key(model->metadata, model->metadata_count, e->get, strlen(e->get));
    is_there = i < model->metadata_count;
    if (!is_there) {
        report_missing_key(model->metadata, model->metadata_count, path, e->get);
    } else if (e->saving.json) {
        put_json(stdout, model->metadata[i].value, model->metadata[i].value_bytes);
    } else if (system_is_terminal()) {
        put_text(stdout, model->metadata[i].value, model->metadata[i].value_bytes);
    } else {
        fwrite(model->metadata[i].value, 1, model->metadata[i].value_bytes, stdout);
    }
    if (is_there) end_line();
    st_close(model);
    return is_there ? EXIT_FINE : EXIT_FAILED;
}

/* ---- the command ------------------------------------------------------------------------------------------ */

static int write_files(edit *e, const char *path) {
    metadata_edit *edits = (metadata_edit *)calloc(e->file_count + 1, sizeof *edits);
    const char *failed = path;
    st_error error;
    size_t i;
    int code;
    if (!edits) return out_of_memory("meta");
    for (i = 0; i < e->file_count; i++) {
        const edited *f = &e->files[i];
        edits[i].path = f->path;
        edits[i].metadata = f->now.exist ? f->now.pairs : NULL;
        edits[i].count = f->now.count;
        edits[i].before = f->before.exist ? f->before.pairs : NULL;
        edits[i].before_count = f->before.count;
        edits[i].file_bytes = f->bytes;
    }
    code = saving_begin(&e->saving, path);
    if (code == EXIT_FINE) {
        error.status = edit_files(edits, e->file_count, &e->saving, e->in_place, &failed, &error);
        code = saving_end(&e->saving, error.status == ST_ERR_CANCELLED ? path : failed, &error);
        if (error.status == ST_ERR_TOO_LARGE && e->in_place) {
            fputs("to make room, omit --in-place, or copy the file first with st copy --slack N\n", stderr);
        }
    }
    free(edits);
    return code;
}

static int change(edit *e, const char *path) {
    size_t i;
    int code = is_hub(path) ? saving_begin(&e->saving, path) : EXIT_FINE; /* which refuses it */
    if (code == EXIT_FINE) code = read_values(e);
    if (code == EXIT_FINE) code = read_files(e, path);
    for (i = 0; code == EXIT_FINE && i < e->file_count; i++) {
        if (!is_cached(e->files[i].path)) continue;
        return report_text(e->files[i].path,
                           "cannot change a file of the Hugging Face cache: copy the model with st copy");
    }
    if (code == EXIT_FINE) code = apply_edits(e, path);
    if (code == EXIT_FINE) code = write_files(e, path);
    return code == EXIT_FINE && e->saving.json ? print_metadata(path, 1) : code;
}

static int run_meta(edit *e, int argc, char **argv) {
    const option options[] = {{"--set", &e->set_count, e->sets},
                              {"--set-file", &e->set_file_count, e->set_files},
                              {"--unset", &e->unset_count, e->unsets},
                              {"--clear", &e->clear, NULL},
                              {"--get", NULL, &e->get},
                              {"--in-place", &e->in_place, NULL},
                              {"--no-sync", &e->saving.no_sync, NULL},
                              {"--lenient", &e->is_lenient, NULL},
                              {"--json", &e->saving.json, NULL}};
    const int words = parse_options("meta", options, sizeof options / sizeof *options, argc, argv);
    int changes;
    if (words < 0) return EXIT_USAGE;
    if (words != 1) {
        begin_message("meta");
        fputs(words ? "too many arguments: expected one PATH" : "PATH is missing", stderr);
        return usage_hint("meta");
    }
    changes = e->set_count || e->set_file_count || e->unset_count || e->clear;
    if (changes && e->get) return usage_error("meta", "--get cannot be combined with a change: ", e->get);
    if (e->is_lenient && (changes || e->get)) {
        return usage_error("meta", "--lenient only shows metadata; to mend the file first, use st repair ", argv[0]);
    }
    if (changes) return change(e, argv[0]);
    if (e->in_place || e->saving.no_sync) {
        begin_message("meta");
        fputs("nothing to change: expected --set, --set-file, --unset or --clear", stderr);
        return usage_hint("meta");
    }
    if (e->is_lenient) return print_damaged(argv[0], e->saving.json);
    return e->get ? print_value(e, argv[0]) : print_metadata(argv[0], e->saving.json);
}

static void free_edit(edit *e) {
    size_t i;
    for (i = 0; i < e->file_count; i++) {
        free_entries(&e->files[i].before);
        free_entries(&e->files[i].now);
        free(e->files[i].path);
    }
    for (i = 0; e->contents && i < (size_t)(e->set_count + e->set_file_count); i++) free(e->contents[i]);
    free(e->files);
    free(e->contents);
    free(e->values);
    free(e->unsets);
    free(e->set_files);
    free(e->sets);
}

int command_meta(int argc, char **argv) {
    const size_t capacity = (size_t)argc + 1;
    edit e;
    int code;
    memset(&e, 0, sizeof e);
    e.saving.command = "meta";
    e.sets = (const char **)calloc(capacity, sizeof *e.sets);
    e.set_files = (const char **)calloc(capacity, sizeof *e.set_files);
    e.unsets = (const char **)calloc(capacity, sizeof *e.unsets);
    code = e.sets && e.set_files && e.unsets ? run_meta(&e, argc, argv) : out_of_memory("meta");
    free_edit(&e);
    return code;
}
