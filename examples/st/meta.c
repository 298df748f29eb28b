/* meta.c: prints or changes metadata. */
#include "st.h"
#include <stdlib.h>
#include <string.h>

typedef struct entries { /* a copy, as some systems replace a file only after it was closed */
    st_pair *pairs;      /* a key and its value are one allocation */
    size_t count;
    int exist; /* 0: the file has no metadata at all; 1: it has some, or an empty object */
} entries;

typedef struct edit {
    saving saving;
    const char **sets, **unsets;
    int set_count, unset_count, clear, in_place, is_lenient;
    entries entries;
} edit;

/* ---- entries ---------------------------------------------------------------------------------------------- */

static st_pair *find_entry(const entries *e, const char *key, size_t bytes) {
    size_t i;
    for (i = 0; i < e->count; i++) {
        if (e->pairs[i].key_bytes == bytes && memcmp(e->pairs[i].key, key, bytes) == 0) return &e->pairs[i];
    }
    return NULL;
}

static void free_entry(st_pair *pair) {
    free((void *)(uintptr_t)pair->key); /* add_entry allocated it */
}

static void remove_entry(entries *e, st_pair *pair) { /* changes the order; the library sorts by key */
    free_entry(pair);
    *pair = e->pairs[--e->count];
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

static int report_missing_key(const entries *e, const char *path, const char *key) {
    nearest_names nearest;
    size_t i;
    nearest_begin(&nearest, key);
    for (i = 0; i < e->count; i++) nearest_consider(&nearest, e->pairs[i].key, e->pairs[i].key_bytes);
    put_string(stderr, path);
    fputs(": the metadata has no key ", stderr);
    put_string(stderr, key);
    put_nearest(stderr, &nearest);
    putc('\n', stderr);
    return EXIT_FAILED;
}

/* Puts the metadata of the file, with all edits applied, into e->entries. */
static int apply_edits(edit *e, const char *path) {
    const st_open_options open_options = copy_open_options();
    entries *to = &e->entries;
    st_model *model;
    st_error error;
    size_t i;
    int k, has_memory;
    if (open_model(&model, path, &open_options, &error) != ST_OK) return report(path, &error);
    to->pairs = (st_pair *)calloc(model->metadata_count + (size_t)e->set_count + 1, sizeof *to->pairs);
    has_memory = to->pairs != NULL;
    to->exist = model->metadata != NULL && !e->clear;
    for (i = 0; has_memory && !e->clear && i < model->metadata_count; i++) {
        const st_pair *pair = &model->metadata[i];
        has_memory = add_entry(to, pair->key, pair->key_bytes, pair->value, pair->value_bytes);
    }
    st_close(model);
    for (k = 0; has_memory && k < e->unset_count; k++) {
        st_pair *pair = find_entry(to, e->unsets[k], strlen(e->unsets[k]));
        if (!pair) return report_missing_key(to, path, e->unsets[k]);
        remove_entry(to, pair);
    }
    for (k = 0; has_memory && k < e->set_count; k++) {
        const char *key = e->sets[k], *value = strchr(key, '=') + 1;
        const size_t key_bytes = (size_t)(value - key) - 1;
        st_pair *old = find_entry(to, key, key_bytes);
        if (old) remove_entry(to, old);
        has_memory = add_entry(to, key, key_bytes, value, strlen(value));
    }
    return has_memory ? EXIT_FINE : out_of_memory("meta");
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
    lenient_file file;
    st_error error;
    int code = EXIT_FINE;
    if (lenient_file_open(&file, path, &error) != ST_OK) {
        code = report_damaged(path, &file, &error);
    } else {
        put_faults(json ? stderr : stdout, &file.contents, "fault: ", 0);
        put_metadata(&file.contents.model, json);
    }
    lenient_file_close(&file);
    return code;
}

/* ---- the command ------------------------------------------------------------------------------------------ */

static int change(edit *e, const char *path) {
    entries *now = &e->entries;
    st_error error;
    int code = apply_edits(e, path);
    if (code == EXIT_FINE) code = saving_begin(&e->saving, path);
    if (code != EXIT_FINE) return code;
    if (e->in_place) e->saving.options.flags |= ST_SAVE_IN_PLACE;
    error.status = st_edit_metadata(path, now->exist ? now->pairs : NULL, now->count, &e->saving.options, &error);
    code = saving_end(&e->saving, path, &error);
    if (error.status == ST_ERR_TOO_LARGE && e->in_place) {
        fputs("to make room, omit --in-place, or copy the file first with st copy --slack N\n", stderr);
    }
    return code == EXIT_FINE && e->saving.json ? print_metadata(path, 1) : code;
}

static int run_meta(edit *e, int argc, char **argv) {
    const option options[] = {
        {"--set", &e->set_count, e->sets},  {"--unset", &e->unset_count, e->unsets}, {"--clear", &e->clear, NULL},
        {"--in-place", &e->in_place, NULL}, {"--no-sync", &e->saving.no_sync, NULL}, {"--json", &e->saving.json, NULL},
        {"--lenient", &e->is_lenient, NULL}};
    int k, words = parse_options("meta", options, sizeof options / sizeof *options, argc, argv);
    if (words < 0) return EXIT_USAGE;
    if (words != 1) {
        begin_message("meta");
        fputs(words ? "too many arguments: expected one PATH" : "PATH is missing", stderr);
        return usage_hint("meta");
    }
    for (k = 0; k < e->set_count; k++) {
        if (!strchr(e->sets[k], '=')) return usage_error("meta", "--set: expected K=V, found ", e->sets[k]);
    }
    if (e->is_lenient && (e->set_count || e->unset_count || e->clear)) {
        return usage_error("meta", "--lenient only shows metadata; to mend the file first, use st repair ", argv[0]);
    }
    if (e->set_count || e->unset_count || e->clear) return change(e, argv[0]);
    if (e->in_place || e->saving.no_sync) {
        begin_message("meta");
        fputs("nothing to change: expected --set, --unset or --clear", stderr);
        return usage_hint("meta");
    }
    return e->is_lenient ? print_damaged(argv[0], e->saving.json) : print_metadata(argv[0], e->saving.json);
}

int command_meta(int argc, char **argv) {
    const size_t capacity = (size_t)argc + 1;
    edit e;
    size_t i;
    int code;
    memset(&e, 0, sizeof e);
    e.saving.command = "meta";
    e.sets = (const char **)calloc(capacity, sizeof *e.sets);
    e.unsets = (const char **)calloc(capacity, sizeof *e.unsets);
    code = e.sets && e.unsets ? run_meta(&e, argc, argv) : out_of_memory("meta");
    for (i = 0; i < e.entries.count; i++) free_entry(&e.entries.pairs[i]);
    free(e.entries.pairs);
    free(e.unsets);
    free(e.sets);
    return code;
}
