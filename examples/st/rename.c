/* rename.c: new names for tensors, by rules FROM=TO. Each rule applies to the names that earlier rules made. */
#include "st.h"
#include <stdlib.h>
#include <string.h>

enum { MAX_RULES = 100000000 }; /* bytes of a file */

typedef struct star_match { /* what a * matched */
    const char *text;
    size_t bytes;
} star_match;

struct rename_rule {
    char *from; /* allocated; `to` follows the NUL */
    const char *to, *file;
    star_match *stars;
    size_t star_count, line; /* line: in the file, from 1; 0: given with --rename */
    int is_used;
};

/* ---- one rule ----------------------------------------------------------------------------------------------- */

static const char rule_form[] = "expected FROM=TO, with as many * in TO as in FROM, and no **, found ";

static size_t count_stars(const char *text, size_t bytes) {
    size_t i, count = 0;
    for (i = 0; i < bytes; i++) count += text[i] == '*';
    return count;
}

/* Appends a rule. Returns EXIT_USAGE if the text is none. */
static int add_rule(tensor_choice *c, const char *text, size_t bytes, const char *file, size_t line) {
    const char *equals = (const char *)memchr(text, '=', bytes);
    const size_t from_bytes = equals ? (size_t)(equals - text) : 0, to_bytes = equals ? bytes - from_bytes - 1 : 0;
    rename_rule *r, *larger;
    if (!equals || memchr(text, 0, bytes)) return EXIT_USAGE;
    larger = (rename_rule *)realloc(c->rules, (c->rule_count + 1) * sizeof *larger);
    if (!larger) return out_of_memory(c->command);
    c->rules = larger;
    r = &larger[c->rule_count];
    memset(r, 0, sizeof *r);
    r->star_count = count_stars(text, from_bytes);
    if (r->star_count != count_stars(equals + 1, to_bytes)) return EXIT_USAGE;
    r->from = (char *)calloc(bytes + 1, 1);
    r->stars = (star_match *)calloc(r->star_count + 1, sizeof *r->stars);
    r->file = file;
    r->line = line;
    c->rule_count++; /* from here on free_renames frees it */
    if (!r->from || !r->stars) return out_of_memory(c->command);
    memcpy(r->from, text, bytes);
    r->from[from_bytes] = 0;
    r->to = r->from + from_bytes + 1;
    return strstr(r->from, "**") ? EXIT_USAGE : EXIT_FINE;
}

static const char *find_text(const char *in, const char *end, const char *text, size_t bytes) {
    for (; (size_t)(end - in) >= bytes; in++) {
        if (memcmp(in, text, bytes) == 0) return in;
    }
    return NULL;
}

/* Matches a whole name and notes what each * matched: as little as possible, from left to right; the last one takes the
 * rest. This finds a match if there is any. */
static int rule_matches(rename_rule *r, const char *name, size_t bytes) {
    const char *const name_end = name + bytes, *from = r->from, *star = strchr(from, '*');
    size_t head = star ? (size_t)(star - from) : strlen(from), i;
    if (!star) return bytes == head && memcmp(name, from, bytes) == 0;
    if (bytes < head || memcmp(name, from, head) != 0) return 0;
    name += head;
    for (i = 0; i < r->star_count; i++) {
        const char *text = star + 1, *found;
        star = strchr(text, '*');
        head = star ? (size_t)(star - text) : strlen(text);
        if (star) {
            found = find_text(name, name_end, text, head);
        } else {
            found =
                (size_t)(name_end - name) >= head && memcmp(name_end - head, text, head) == 0 ? name_end - head : NULL;
        }
        if (!found) return 0;
        r->stars[i].text = name;
        r->stars[i].bytes = (size_t)(found - name);
        name = found + head;
    }
    return 1;
}

/* Returns the new name, which the caller frees, and sets *bytes to its length. Returns NULL if there is no memory. */
static char *new_name(const rename_rule *r, size_t *bytes) {
    size_t i, total = strlen(r->to) + 1;
    const char *from;
    char *name, *to;
    for (i = 0; i < r->star_count; i++) total += r->stars[i].bytes;
    name = to = (char *)malloc(total);
    if (!name) return NULL;
    for (from = r->to, i = 0; *from; from++) {
        if (*from != '*') {
            *to++ = *from;
            continue;
        }
        memcpy(to, r->stars[i].text, r->stars[i].bytes);
        to += r->stars[i++].bytes;
    }
    *to = 0;
    *bytes = (size_t)(to - name);
    return name;
}

/* ---- the rules ---------------------------------------------------------------------------------------------- */

/* Starts a message about a line of a file: "FILE:LINE: ". */
static void put_line(const char *path, size_t line) {
    put_input_name(stderr, path);
    putc(':', stderr);
    put_number(stderr, line);
    fputs(": ", stderr);
}

static int report_line(const char *path, size_t line, const char *text, const char *found, size_t found_bytes) {
    put_line(path, line);
    fputs(text, stderr);
    put_shortened(stderr, found, found_bytes, 200);
    putc('\n', stderr);
    return EXIT_FAILED;
}

static int is_blank(char c) {
    return c == ' ' || c == '\t' || c == '\r';
}

/* Reads a rule a line. Blank lines and lines that begin with # are skipped, blanks around a rule too. */
static int read_rules(tensor_choice *c, const char *path, const char *text, size_t bytes) {
    const char *end = text + bytes;
    size_t line;
    int code = EXIT_FINE;
    if (bytes >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0) text += 3; /* byte order mark */
    for (line = 1; code == EXIT_FINE && text < end; line++) {
        const char *newline = (const char *)memchr(text, '\n', (size_t)(end - text));
        const char *next = newline ? newline + 1 : end, *stop = newline ? newline : end;
        while (text < stop && is_blank(*text)) text++;
        while (stop > text && is_blank(stop[-1])) stop--;
        if (text < stop && *text != '#') {
            code = add_rule(c, text, (size_t)(stop - text), path, line);
            if (code == EXIT_USAGE) code = report_line(path, line, rule_form, text, (size_t)(stop - text));
        }
        text = next;
    }
    return code;
}

int read_renames(tensor_choice *c) {
    int i, code = EXIT_FINE;
    for (i = 0; code == EXIT_FINE && i < c->rename_file_count; i++) {
        size_t bytes;
        char *text;
        code = read_whole(c->command, c->rename_files[i], MAX_RULES, &text, &bytes);
        if (code == EXIT_FINE) code = read_rules(c, c->rename_files[i], text, bytes);
        free(text);
    }
    for (i = 0; code == EXIT_FINE && i < c->rename_count; i++) {
        const char *given = c->renames[i];
        code = add_rule(c, given, strlen(given), NULL, 0);
        if (code != EXIT_USAGE) continue;
        begin_message(c->command);
        fprintf(stderr, "--rename: %s", rule_form);
        put_string(stderr, given);
        return usage_hint(c->command);
    }
    return code;
}

void free_renames(tensor_choice *c) {
    size_t i;
    for (i = 0; i < c->rule_count; i++) {
        free(c->rules[i].from);
        free(c->rules[i].stars);
    }
    free(c->rules);
}

/* ---- the tensors -------------------------------------------------------------------------------------------- */

static int rename_tensor(tensor_choice *c, size_t index) {
    st_tensor *t = &c->tensors[index];
    size_t i;
    for (i = 0; i < c->rule_count; i++) {
        rename_rule *r = &c->rules[i];
        char *name;
        if (!rule_matches(r, t->name, t->name_bytes)) continue;
        r->is_used = 1;
        name = new_name(r, &t->name_bytes);
        free(c->names[index]);
        t->name = c->names[index] = name;
        if (!name) return 0;
    }
    return 1;
}

/* Reports the first rule that changed no name. */
static int check_rules_used(const tensor_choice *c, const st_model *model, const char *path) {
    const char *text = "no copied tensor matches";
    size_t i = 0;
    while (i < c->rule_count && c->rules[i].is_used) i++;
    if (i == c->rule_count) return EXIT_FINE;
    if (c->rules[i].line == 0) return report_unmatched(model, path, text, c->rules[i].from);
    put_line(c->rules[i].file, c->rules[i].line);
    return report_unmatched(model, path, text, c->rules[i].from);
}

typedef struct renamed {
    const st_tensor *tensor, *source;
} renamed;

static int by_new_name(const void *a, const void *b) {
    const st_tensor *s = ((const renamed *)a)->tensor, *t = ((const renamed *)b)->tensor;
    return compare_text(s->name, s->name_bytes, t->name, t->name_bytes);
}

static int report_clash(const char *path, const renamed *a, const renamed *b) {
    const renamed *first = a->source < b->source ? a : b, *second = first == a ? b : a;
    put_string(stderr, path);
    fprintf(stderr, ": %s: ", st_status_name(ST_ERR_DUPLICATE));
    put_text(stderr, first->source->name, first->source->name_bytes);
    fputs(" and ", stderr);
    put_text(stderr, second->source->name, second->source->name_bytes);
    fputs(" would both be named ", stderr);
    put_text(stderr, a->tensor->name, a->tensor->name_bytes);
    putc('\n', stderr);
    return EXIT_FAILED;
}

static int check_clashes(const tensor_choice *c, const char *path) {
    renamed *sorted = (renamed *)calloc(c->count + 1, sizeof *sorted);
    size_t i;
    int code = EXIT_FINE;
    if (!sorted) return out_of_memory(c->command);
    for (i = 0; i < c->count; i++) {
        sorted[i].tensor = &c->tensors[i];
        sorted[i].source = c->sources[i];
    }
    qsort(sorted, c->count, sizeof *sorted, by_new_name);
    for (i = 1; code == EXIT_FINE && i < c->count; i++) {
        if (by_new_name(&sorted[i - 1], &sorted[i]) == 0) code = report_clash(path, &sorted[i - 1], &sorted[i]);
    }
    free(sorted);
    return code;
}

int rename_tensors(tensor_choice *c, const st_model *model, const char *path) {
    size_t i;
    int code;
    for (i = 0; i < c->count; i++) {
        if (!rename_tensor(c, i)) return out_of_memory(c->command);
    }
    code = check_rules_used(c, model, path);
    return code == EXIT_FINE && c->rule_count ? check_clashes(c, path) : code;
}

void put_mapping(const tensor_choice *c, int json) {
    size_t i;
    for (i = 0; i < c->count; i++) {
        const st_tensor *from = c->sources[i], *to = &c->tensors[i];
        if (json) {
            fputs("{\"from\":", stdout);
            put_json(stdout, from->name, from->name_bytes);
            fputs(",\"to\":", stdout);
            put_json(stdout, to->name, to->name_bytes);
            putc('}', stdout);
        } else {
            put_text(stdout, from->name, from->name_bytes);
            fputs(" -> ", stdout);
            put_text(stdout, to->name, to->name_bytes);
        }
        end_line();
    }
}
