/* choose.c: selects tensors with --only and --except; rename.c renames them. */
#include "st.h"
#include <stdlib.h>
#include <string.h>

/* ---- names ------------------------------------------------------------------------------------------------ */

/* After a mismatch only the last star is tried again. That is enough, as it can match whatever an earlier one could. */
static int glob_matches(const char *glob, const char *name, size_t bytes) {
    const char *end = name + bytes, *star = NULL, *retry = NULL;
    for (;;) {
        if (*glob == '*') {
            star = ++glob;
            retry = name;
        } else if (name == end) {
            return *glob == 0;
        } else if (*glob == '?') {
            for (glob++, name++; name < end && (*name & 0xc0) == 0x80; name++) continue;
        } else if (*glob && *glob == *name) {
            glob++, name++;
        } else if (star) {
            glob = star;
            name = ++retry;
        } else {
            return 0;
        }
    }
}

int matches_any(const globs *g, const st_tensor *t) {
    int i, matches = 0;
    for (i = 0; i < g->count; i++) {
        if (glob_matches(g->texts[i], t->name, t->name_bytes)) g->used[i] = 1, matches = 1;
    }
    return matches;
}

/* ---- tensors ------------------------------------------------------------------------------------------------ */

int report_unmatched(const st_model *model, const char *path, const char *text, const char *glob) {
    nearest_names nearest;
    put_string(stderr, path);
    fprintf(stderr, ": %s ", text);
    put_string(stderr, glob);
    nearest_begin(&nearest, glob);
    nearest_tensors(&nearest, model);
    put_nearest(stderr, &nearest);
    putc('\n', stderr);
    return EXIT_FAILED;
}

int check_globs_used(const globs *g, const st_model *model, const char *path) {
    int k = 0;
    while (k < g->count && g->used[k]) k++;
    return k == g->count ? EXIT_FINE : report_unmatched(model, path, "no tensor matches", g->texts[k]);
}

int is_chosen(const tensor_choice *c, const st_tensor *t) {
    /* both are called for every tensor, as they mark the globs that match */
    const int wanted = matches_any(&c->only, t) || c->only.count == 0;
    return !matches_any(&c->except, t) && wanted;
}

int choose(tensor_choice *c, const st_model *model, const char *path) {
    size_t i;
    int code;
    c->tensors = (st_tensor *)calloc(model->count + 1, sizeof *c->tensors);
    c->names = (char **)calloc(model->count + 1, sizeof *c->names);
    c->sources = (const st_tensor **)calloc(model->count + 1, sizeof *c->sources);
    if (!c->tensors || !c->names || !c->sources) return out_of_memory(c->command);
    for (i = 0; i < model->count; i++) {
        const st_tensor *t = &model->tensors[i];
        if (!is_chosen(c, t) && !c->keeps_all) continue;
        c->tensors[c->count] = *t;
        c->sources[c->count] = t;
        c->count++;
    }
    code = check_globs_used(&c->only, model, path);
    if (code == EXIT_FINE) code = check_globs_used(&c->except, model, path);
    return code == EXIT_FINE ? rename_tensors(c, model, path) : code;
}

/* ---- options ------------------------------------------------------------------------------------------------ */

int allocate_globs(globs *g, int argc) {
    const size_t capacity = (size_t)argc + 1;
    g->texts = (const char **)calloc(capacity, sizeof *g->texts);
    g->used = (char *)calloc(capacity, 1);
    return g->texts && g->used;
}

int choice_begin(tensor_choice *c, const char *command, int argc) {
    const size_t capacity = (size_t)argc + 1;
    memset(c, 0, sizeof *c);
    c->command = command;
    c->renames = (const char **)calloc(capacity, sizeof *c->renames);
    c->rename_files = (const char **)calloc(capacity, sizeof *c->rename_files);
    return c->renames && c->rename_files && allocate_globs(&c->only, argc) && allocate_globs(&c->except, argc);
}

void free_globs(globs *g) {
    free(g->texts);
    free(g->used);
}

void choice_end(tensor_choice *c) {
    size_t i;
    for (i = 0; i < c->count && c->names; i++) free(c->names[i]);
    free(c->names);
    free((void *)c->sources);
    free(c->tensors);
    free_renames(c);
    free((void *)c->rename_files);
    free((void *)c->renames);
    free_globs(&c->except);
    free_globs(&c->only);
}
