/* choose.c: selects tensors with --only and --except and renames them with --rename. */
#include "st.h"
#include <stdlib.h>
#include <string.h>

struct rename_rule { /* FROM=TO, each split at its star into a head and a tail; there is no tail without a star */
    const char *given, *to;
    size_t from_head, from_tail, to_head; /* bytes */
    int has_star;
};

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

static int read_rule(const char *given, rename_rule *rule) {
    const char *equals = strchr(given, '='), *star, *to_star;
    size_t from_bytes;
    if (!equals) return 0;
    from_bytes = (size_t)(equals - given);
    star = (const char *)memchr(given, '*', from_bytes);
    to_star = strchr(equals + 1, '*');
    if (!star != !to_star) return 0;
    rule->given = given;
    rule->to = equals + 1;
    rule->has_star = star != NULL;
    rule->from_head = star ? (size_t)(star - given) : from_bytes;
    rule->from_tail = star ? from_bytes - rule->from_head - 1 : 0;
    rule->to_head = to_star ? (size_t)(to_star - rule->to) : strlen(rule->to);
    return !star || (!memchr(star + 1, '*', rule->from_tail) && !strchr(to_star + 1, '*'));
}

static int rule_matches(const rename_rule *rule, const char *name, size_t bytes) {
    const char *tail = rule->given + rule->from_head + 1;
    if (!rule->has_star) return bytes == rule->from_head && memcmp(name, rule->given, bytes) == 0;
    return bytes >= rule->from_head + rule->from_tail && memcmp(name, rule->given, rule->from_head) == 0 &&
           memcmp(name + bytes - rule->from_tail, tail, rule->from_tail) == 0;
}

/* Returns the new name, which the caller frees, and sets *bytes to its length. Returns NULL if there is no memory. */
static char *new_name(const rename_rule *rule, const char *name, size_t *bytes) {
    const char *tail = rule->to + rule->to_head + (rule->has_star ? 1 : 0);
    size_t kept = rule->has_star ? *bytes - rule->from_head - rule->from_tail : 0;
    char *to = (char *)malloc(rule->to_head + kept + strlen(tail) + 1);
    if (!to) return NULL;
    memcpy(to, rule->to, rule->to_head);
    memcpy(to + rule->to_head, name + rule->from_head, kept);
    strcpy(to + rule->to_head + kept, tail);
    *bytes = rule->to_head + kept + strlen(tail);
    return to;
}

static int rename_tensor(choice *c, size_t index) {
    st_tensor *t = &c->tensors[index];
    int i;
    for (i = 0; i < c->renames.count; i++) {
        if (!rule_matches(&c->rules[i], t->name, t->name_bytes)) continue;
        c->renames.used[i] = 1;
        c->names[index] = new_name(&c->rules[i], t->name, &t->name_bytes);
        t->name = c->names[index];
        return t->name != NULL;
    }
    return 1;
}

/* ---- tensors ------------------------------------------------------------------------------------------------ */

int check_globs_used(const char *command, const globs *g, const char *end, const char *text, const st_model *model,
                     const char *path) {
    nearest_names nearest;
    char *glob;
    size_t i;
    int k = 0;
    while (k < g->count && g->used[k]) k++;
    if (k == g->count) return EXIT_FINE;
    glob = (char *)calloc(strlen(g->texts[k]) + 1, 1);
    if (!glob) return out_of_memory(command);
    memcpy(glob, g->texts[k], strcspn(g->texts[k], end));
    put_string(stderr, path);
    fprintf(stderr, ": %s ", text);
    put_string(stderr, glob);
    nearest_begin(&nearest, glob);
    for (i = 0; i < model->count; i++) {
        const st_tensor *t = &model->tensors[i];
        if (strcmp(t->name, glob) != 0) nearest_consider(&nearest, t->name, t->name_bytes);
    }
    put_nearest(stderr, &nearest);
    putc('\n', stderr);
    free(glob);
    return EXIT_FAILED;
}

int is_chosen(const choice *c, const st_tensor *t) {
    /* both are called for every tensor, as they mark the globs that match */
    const int wanted = matches_any(&c->only, t) || c->only.count == 0;
    return !matches_any(&c->except, t) && wanted;
}

int choose(choice *c, const st_model *model, const char *path) {
    size_t i;
    int code;
    c->tensors = (st_tensor *)calloc(model->count + 1, sizeof *c->tensors);
    c->names = (char **)calloc(model->count + 1, sizeof *c->names);
    if (!c->tensors || !c->names) return out_of_memory(c->command);
    for (i = 0; i < model->count; i++) {
        const st_tensor *t = &model->tensors[i];
        if (!is_chosen(c, t) && !c->keeps_all) continue;
        c->tensors[c->count] = *t;
        if (!rename_tensor(c, c->count)) return out_of_memory(c->command);
        c->count++;
    }
    code = check_globs_used(c->command, &c->only, "", "no tensor matches", model, path);
    if (code == EXIT_FINE) code = check_globs_used(c->command, &c->except, "", "no tensor matches", model, path);
    if (code == EXIT_FINE)
        code = check_globs_used(c->command, &c->renames, "=", "no copied tensor matches", model, path);
    return code;
}

/* ---- options ------------------------------------------------------------------------------------------------ */

int allocate_globs(globs *g, int argc) {
    const size_t capacity = (size_t)argc + 1;
    g->texts = (const char **)calloc(capacity, sizeof *g->texts);
    g->used = (char *)calloc(capacity, 1);
    return g->texts && g->used;
}

int choice_begin(choice *c, const char *command, int argc) {
    const size_t capacity = (size_t)argc + 1;
    memset(c, 0, sizeof *c);
    c->command = command;
    c->rules = (rename_rule *)calloc(capacity, sizeof *c->rules);
    return c->rules && allocate_globs(&c->only, argc) && allocate_globs(&c->except, argc) &&
           allocate_globs(&c->renames, argc);
}

int choice_read(choice *c) {
    int i;
    for (i = 0; i < c->renames.count; i++) {
        if (read_rule(c->renames.texts[i], &c->rules[i])) continue;
        return usage_error(c->command, "--rename: expected FROM=TO, with one * on each side or none, found ",
                           c->renames.texts[i]);
    }
    return EXIT_FINE;
}

void free_globs(globs *g) {
    free(g->texts);
    free(g->used);
}

void choice_end(choice *c) {
    size_t i;
    for (i = 0; i < c->count; i++) free(c->names[i]);
    free(c->names);
    free(c->tensors);
    free(c->rules);
    free_globs(&c->renames);
    free_globs(&c->except);
    free_globs(&c->only);
}
