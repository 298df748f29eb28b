/* meta.c: metadata, printed or changed. */
#include "st.h"
#include <stdlib.h>
#include <string.h>

typedef struct entries { /* of our own: the file is closed before it is replaced, as some systems want it */
    st_pair *pairs;      /* a key and the value behind it are one allocation */
    size_t count, room;
    int are_there; /* metadata, if only an empty object */
} entries;

typedef struct edit {
    saving saving;
    const char **sets, **unsets;
    int set_count, unset_count, clear, in_place;
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
    free((void *)(uintptr_t)pair->key); /* ours, whatever its type says */
}

static void remove_entry(entries *e, st_pair *pair) { /* the order of the rest does not matter: the library sorts */
    free_entry(pair);
    *pair = e->pairs[--e->count];
}

/* There must be room for it. 0: out of memory. */
static int add_entry(entries *e, const char *key, size_t key_bytes, const char *value, size_t value_bytes) {
    char *text = (char *)calloc(key_bytes + value_bytes + 2, 1); /* both end with NUL */
    st_pair *pair = &e->pairs[e->count];
    if (!text) return 0;
    memcpy(text, key, key_bytes);
    memcpy(text + key_bytes + 1, value, value_bytes);
    pair->key = text;
    pair->value = text + key_bytes + 1;
    pair->key_bytes = key_bytes;
    pair->value_bytes = value_bytes;
    e->count++;
    e->are_there = 1;
    return 1;
}

/* ---- changing --------------------------------------------------------------------------------------------- */

static int no_such_key(const entries *e, const char *path, const char *key) {
    near_names near_to;
    size_t i;
    near_begin(&near_to, key);
    for (i = 0; i < e->count; i++) near_consider(&near_to, e->pairs[i].key, e->pairs[i].key_bytes);
    put_text(stderr, path, strlen(path));
    fputs(": no metadata is called ", stderr);
    put_text(stderr, key, strlen(key));
    near_put(stderr, &near_to);
    putc('\n', stderr);
    return EXIT_FAILED;
}

/* The metadata of the file with all the edits in e->entries. */
static int edited(edit *e, const char *path) {
    const st_open_options how = opening_to_copy();
    entries *to = &e->entries;
    st_model *model;
    st_error error;
    size_t i;
    int k, enough;
    if (open_model(&model, path, &how, &error) != ST_OK) return report(path, &error);
    to->pairs = (st_pair *)calloc(model->metadata_count + (size_t)e->set_count + 1, sizeof *to->pairs);
    enough = to->pairs != NULL;
    to->are_there = model->metadata != NULL && !e->clear;
    for (i = 0; enough && !e->clear && i < model->metadata_count; i++) {
        const st_pair *pair = &model->metadata[i];
        enough = add_entry(to, pair->key, pair->key_bytes, pair->value, pair->value_bytes);
    }
    st_close(model);
    for (k = 0; enough && k < e->unset_count; k++) {
        st_pair *pair = find_entry(to, e->unsets[k], strlen(e->unsets[k]));
        if (!pair) return no_such_key(to, path, e->unsets[k]);
        remove_entry(to, pair);
    }
    for (k = 0; enough && k < e->set_count; k++) {
        const char *key = e->sets[k], *value = strchr(key, '=') + 1;
        const size_t key_bytes = (size_t)(value - key) - 1;
        st_pair *old = find_entry(to, key, key_bytes);
        if (old) remove_entry(to, old);
        enough = add_entry(to, key, key_bytes, value, strlen(value));
    }
    return enough ? EXIT_FINE : out_of_memory("meta");
}

/* ---- printing --------------------------------------------------------------------------------------------- */

static int print_metadata(const char *path, int json) {
    const st_open_options how = opening_to_copy();
    st_model *model;
    st_error error;
    size_t i;
    if (open_model(&model, path, &how, &error) != ST_OK) return report(path, &error);
    if (json) {
        put_pairs_json(stdout, model->metadata, model->metadata_count, 0);
        end_line();
    } else if (!model->metadata || model->metadata_count == 0) {
        fputs(model->metadata ? "metadata is there, but empty" : "no metadata", stdout);
        end_line();
    }
    for (i = 0; !json && i < model->metadata_count; i++) {
        put_text(stdout, model->metadata[i].key, model->metadata[i].key_bytes);
        fputs(": ", stdout);
        put_text(stdout, model->metadata[i].value, model->metadata[i].value_bytes);
        end_line();
    }
    st_close(model);
    return EXIT_FINE;
}

/* ---- the command ------------------------------------------------------------------------------------------ */

static int change(edit *e, const char *path) {
    entries *now = &e->entries;
    st_error error;
    int code = edited(e, path);
    if (code == EXIT_FINE) code = saving_begin(&e->saving, path);
    if (code != EXIT_FINE) return code;
    if (e->in_place) e->saving.options.flags |= ST_SAVE_IN_PLACE;
    error.status = st_edit_metadata(path, now->are_there ? now->pairs : NULL, now->count, &e->saving.options, &error);
    code = saving_end(&e->saving, path, &error);
    return code == EXIT_FINE && e->saving.json ? print_metadata(path, 1) : code;
}

static int run(edit *e, int argc, char **argv) {
    const option options[] = {
        {"--set", &e->set_count, e->sets},  {"--unset", &e->unset_count, e->unsets}, {"--clear", &e->clear, NULL},
        {"--in-place", &e->in_place, NULL}, {"--no-sync", &e->saving.no_sync, NULL}, {"--json", &e->saving.json, NULL}};
    int k, words = take_options("meta", options, sizeof options / sizeof *options, argc, argv);
    if (words < 0) return EXIT_USAGE;
    if (words != 1) {
        begin_complaint("meta");
        fputs(words ? "one PATH at a time" : "a PATH is missing", stderr);
        return usage_hint("meta");
    }
    for (k = 0; k < e->set_count; k++) {
        if (strchr(e->sets[k], '=')) continue;
        begin_complaint("meta");
        fputs("--set takes K=V, not ", stderr);
        put_text(stderr, e->sets[k], strlen(e->sets[k]));
        return usage_hint("meta");
    }
    if (e->set_count || e->unset_count || e->clear) return change(e, argv[0]);
    if (e->in_place || e->saving.no_sync) {
        begin_complaint("meta");
        fputs("nothing to change: --set, --unset and --clear are missing", stderr);
        return usage_hint("meta");
    }
    return print_metadata(argv[0], e->saving.json);
}

int command_meta(int argc, char **argv) {
    const size_t room = (size_t)argc + 1;
    edit e;
    size_t i;
    int code;
    memset(&e, 0, sizeof e);
    e.saving.command = "meta";
    e.sets = (const char **)calloc(room, sizeof *e.sets);
    e.unsets = (const char **)calloc(room, sizeof *e.unsets);
    code = e.sets && e.unsets ? run(&e, argc, argv) : out_of_memory("meta");
    for (i = 0; i < e.entries.count; i++) free_entry(&e.entries.pairs[i]);
    free(e.entries.pairs);
    free(e.unsets);
    free(e.sets);
    return code;
}
