/* choose.c: which tensors of a model, and under which names. */
#include "st.h"
#include <stdlib.h>
#include <string.h>

struct rename_rule { /* FROM and TO, cut at their stars; without a star the tails are not looked at */
    const char *given, *to;
    size_t from_head, from_tail, to_head;
    int has_star;
};

/* ---- names ------------------------------------------------------------------------------------------------ */

/* Back to the last star only, which is enough: what an earlier one could take, that one can too. */
static int fits(const char *glob, const char *name, size_t bytes) {
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

int any_fits(const globs *g, const st_tensor *t) {
    int i, fitted = 0;
    for (i = 0; i < g->count; i++) {
        if (fits(g->texts[i], t->name, t->name_bytes)) g->used[i] = 1, fitted = 1;
    }
    return fitted;
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

static int rule_fits(const rename_rule *rule, const char *name, size_t bytes) {
    const char *tail = rule->given + rule->from_head + 1;
    if (!rule->has_star) return bytes == rule->from_head && memcmp(name, rule->given, bytes) == 0;
    return bytes >= rule->from_head + rule->from_tail && memcmp(name, rule->given, rule->from_head) == 0 &&
           memcmp(name + bytes - rule->from_tail, tail, rule->from_tail) == 0;
}

/* The new name, to be freed, and its length; NULL without memory. */
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

static int rename_tensor(choice *c, size_t at) {
    st_tensor *t = &c->tensors[at];
    int i;
    for (i = 0; i < c->renames.count; i++) {
        if (!rule_fits(&c->rules[i], t->name, t->name_bytes)) continue;
        c->renames.used[i] = 1;
        c->names[at] = new_name(&c->rules[i], t->name, &t->name_bytes);
        t->name = c->names[at];
        return t->name != NULL;
    }
    return 1;
}

/* ---- which tensors ---------------------------------------------------------------------------------------- */

/* Says so if there is a glob that fitted nothing: most likely a slip, so nothing is written. Globs end before `end`. */
static int all_fitted(const choice *c, const globs *g, const char *end, const char *what, const st_model *model,
                      const char *path) {
    near_names near_to;
    char *glob;
    size_t i;
    int k = 0;
    while (k < g->count && g->used[k]) k++;
    if (k == g->count) return EXIT_FINE;
    glob = (char *)calloc(strlen(g->texts[k]) + 1, 1);
    if (!glob) return out_of_memory(c->command);
    memcpy(glob, g->texts[k], strcspn(g->texts[k], end));
    put_text(stderr, path, strlen(path));
    fprintf(stderr, ": %s fits ", what);
    put_text(stderr, glob, strlen(glob));
    near_begin(&near_to, glob);
    for (i = 0; i < model->count; i++) {
        const st_tensor *t = &model->tensors[i];
        if (strcmp(t->name, glob) != 0) near_consider(&near_to, t->name, t->name_bytes);
    }
    near_put(stderr, &near_to);
    putc('\n', stderr);
    free(glob);
    return EXIT_FAILED;
}

int is_chosen(const choice *c, const st_tensor *t) {
    const int wanted = any_fits(&c->only, t) || c->only.count == 0; /* both are asked, so that all that fit are told */
    return !any_fits(&c->except, t) && wanted;
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
    code = all_fitted(c, &c->only, "", "no tensor", model, path);
    if (code == EXIT_FINE) code = all_fitted(c, &c->except, "", "no tensor", model, path);
    if (code == EXIT_FINE) code = all_fitted(c, &c->renames, "=", "no tensor that is copied", model, path);
    return code;
}

/* ---- what was given --------------------------------------------------------------------------------------- */

static int make_room(globs *g, size_t room) {
    g->texts = (const char **)calloc(room, sizeof *g->texts);
    g->used = (char *)calloc(room, 1);
    return g->texts && g->used;
}

int choice_begin(choice *c, const char *command, int argc) {
    const size_t room = (size_t)argc + 1;
    memset(c, 0, sizeof *c);
    c->command = command;
    c->rules = (rename_rule *)calloc(room, sizeof *c->rules);
    return c->rules && make_room(&c->only, room) && make_room(&c->except, room) && make_room(&c->renames, room);
}

int choice_read(choice *c) {
    int i;
    for (i = 0; i < c->renames.count; i++) {
        if (read_rule(c->renames.texts[i], &c->rules[i])) continue;
        begin_complaint(c->command);
        fputs("--rename takes FROM=TO, with one * on both sides or on none, not ", stderr);
        put_text(stderr, c->renames.texts[i], strlen(c->renames.texts[i]));
        return usage_hint(c->command);
    }
    return EXIT_FINE;
}

static void free_room(globs *g) {
    free(g->texts);
    free(g->used);
}

void choice_end(choice *c) {
    size_t i;
    for (i = 0; i < c->count; i++) free(c->names[i]);
    free(c->names);
    free(c->tensors);
    free(c->rules);
    free_room(&c->renames);
    free_room(&c->except);
    free_room(&c->only);
}
