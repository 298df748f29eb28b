/* metrics.c: eval_metrics.json of checkpoints, and the best ones. */
#include "ckpt.h"
#include "examples/common/json.h"
#include <float.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char metrics_name[] = "eval_metrics.json";

/* Numbers that are too large for a double become infinite. */
static int is_finite(double x) {
    return x >= -DBL_MAX && x <= DBL_MAX;
}

/* Returns 1 if text is a finite JSON number. */
static int is_number(const char *text) {
    json_reader j;
    const size_t n = strlen(text);
    json_begin(&j, strcpy((char *)allocate(n + 1), text), n);
    return json_value(&j) == JSON_NUMBER && j.string_bytes == n && is_finite(j.number);
}

/* Appends a member to the text of an object, as Python's json module does it with indent=2. Returns the new end. */
static char *append_member(char *to, const char *key, size_t n, const char *value, int is_first) {
    to += sprintf(to, "%s\n  \"", is_first ? "" : ",");
    for (; n--; key++) {
        if (*key == '"' || *key == '\\') *to++ = '\\';
        if ((unsigned char)*key < 0x20) to += sprintf(to, "\\u%04x", (unsigned)*key);
        if ((unsigned char)*key >= 0x20) *to++ = *key;
    }
    return to + sprintf(to, "\": %s", value);
}

int run_save_metrics(const request *r) {
    size_t i, k, room = 8;
    char *text, *to;
    const char *path = join_path(r->dir, metrics_name);
    folder *f;
    file_info info;
    int written;
    for (i = 0; i < r->operand_count; i++) room += 6 * strlen(r->operands[i]) + 16;
    text = to = (char *)allocate(room);
    *to++ = '{';
    for (i = 0; i < r->operand_count; i++) {
        const char *word = r->operands[i], *equals = strchr(word, '=');
        const size_t n = equals ? (size_t)(equals - word) : 0;
        if (!n || !is_number(equals + 1)) return usage("expected KEY=NUMBER with a finite number, not ", word);
        if (!is_utf8(word, n)) return usage("a key is not UTF-8: ", word);
        for (k = 0; k < i; k++) {
            if (strncmp(r->operands[k], word, n + 1) == 0) return usage("a key is given twice: ", word);
        }
        to = append_member(to, word, n, equals + 1, i == 0);
    }
    to += sprintf(to, i ? "\n}" : "}");
    f = make_folders(r->dir) ? folder_open(NULL, r->dir) : NULL;
    written = f && folder_info(NULL, r->dir, 1, &info) && folder_write(f, metrics_name, text, (size_t)(to - text));
    if (written) (void)folder_set_time(f, &info.modified); /* an older checkpoint must not become the newest */
    folder_close(f);
    if (!written) return complain(path, system_error());
    put_member("{\"path\": ", path);
    printf(", \"metrics\": %u}\n", (unsigned)r->operand_count);
    return 0;
}

/* Python writes NaN, Infinity and -Infinity, which JSON lacks. Returns a copy in which they are null, of *bytes bytes. */
static char *replace_not_finite(const char *text, size_t n, size_t *bytes) {
    static const char *const words[] = {"NaN", "-Infinity", "Infinity"};
    char *copy = (char *)allocate(2 * n + 1), *to = copy;
    size_t i, w;
    int is_string = 0;
    for (i = 0; i < n; i++) {
        if (text[i] == '"') is_string = !is_string;
        for (w = 0; w < 3 && !is_string; w++) {
            if (strncmp(text + i, words[w], strlen(words[w])) != 0) continue;
            to = strcpy(to, "null") + 4;
            i += strlen(words[w]);
        }
        if (is_string && text[i] == '\\' && i + 1 < n) *to++ = text[i++];
        if (i < n) *to++ = text[i];
    }
    *bytes = (size_t)(to - copy);
    return copy;
}

/* Sets *text to the metrics of a checkpoint, a valid JSON object, or to NULL if it has none. Sets *value to the metric
 * with the name `key`, or else eval_KEY, and *has_value. Returns 0 after a message. */
static int read_metrics(const char *dir, const char *key, char **text, double *value, int *has_value) {
    folder *f = folder_open(NULL, dir);
    const char *path = join_path(dir, metrics_name);
    char *prefixed = (char *)allocate(strlen(key) + 6), *bytes = NULL;
    size_t n = 0;
    int is_missing = 1;
    json_reader j;
    json_kind kind;
    file_info info;
    *text = NULL;
    *has_value = 0;
    if (f) bytes = folder_read(f, metrics_name, SMALL_FILE, &n, &is_missing);
    folder_close(f);
    if (!f) is_missing = folder_info(NULL, dir, 1, &info) && info.kind == KIND_MISSING;
    if (!bytes) return is_missing || !complain(path, system_error());
    *text = replace_not_finite(bytes, n, &n);
    json_begin(&j, (char *)memcpy(allocate(n + 1), *text, n), n);
    sprintf(prefixed, "eval_%s", key);
    kind = json_value(&j);
    while (kind == JSON_OBJECT && json_member(&j)) {
        const int found = json_is(j.key, j.key_bytes, key) ? 2 : json_is(j.key, j.key_bytes, prefixed);
        const json_kind of_value = json_value(&j);
        if (found && found >= *has_value && of_value == JSON_NUMBER && is_finite(j.number)) {
            *has_value = found; /* the last of equal keys counts */
            *value = j.number;
        }
        json_skip(&j, of_value);
    }
    if (kind == JSON_OBJECT && json_end(&j)) return 1;
    return !complain(path, j.fault ? j.fault : "expected an object");
}

int run_metrics(const request *r) {
    char *text;
    double value;
    int has_value;
    if (!read_metrics(r->dir, "", &text, &value, &has_value)) return 1;
    put_raw_json(stdout, text ? text : "null", text ? strlen(text) : 4);
    return putchar('\n') == EOF;
}

typedef struct best_list { /* from best to worst; of equal values the older checkpoint first */
    const char **paths;
    double *values;
    size_t count, most;
    int is_greater_better;
} best_list;

/* Adds a checkpoint to the list if the list has room or its worst is worse. Returns 0 after a message. */
static int add_candidate(best_list *list, const char *path, const char *key, int *qualifies) {
    char *text;
    double value = 0;
    int has_value;
    size_t i;
    *qualifies = 0;
    if (!read_metrics(path, key, &text, &value, &has_value)) return 0;
    if (!has_value) return warn(path, "left out: no finite number for this metric"), 1;
    for (i = list->count; i > 0; i--) {
        if (list->is_greater_better ? value <= list->values[i - 1] : value >= list->values[i - 1]) break;
        list->values[i] = list->values[i - 1];
        list->paths[i] = list->paths[i - 1];
    }
    list->values[i] = value;
    list->paths[i] = path;
    *qualifies = i < list->most;
    if (list->count < list->most) list->count++;
    return 1;
}

int run_best(const request *r) {
    const char *key = option_value(r, "--metric"), *path;
    const unsigned long most = option_number(r, "--n", 1);
    size_t i, room = r->option_count;
    int ok = 1, qualifies = 0, digits;
    char text[32];
    best_list best;
    checkpoint_list all;
    if (!key || !*key) return usage("--metric KEY is missing", "");
    if (most == 0) return usage("expected --n N with a number from 1 to 999999999", "");
    memset(&all, 0, sizeof all);
    path = option_value(r, "--path");
    if (!path && !list_checkpoints(&all, r->dir)) return 1;
    folder_close(all.root);
    room += all.count;
    best.paths = (const char **)allocate((room + 1) * sizeof *best.paths);
    best.values = (double *)allocate((room + 1) * sizeof *best.values);
    best.count = 0;
    best.most = most < room ? most : room;
    best.is_greater_better =
        option_value(r, "--greater") ||
        (!option_value(r, "--smaller") && strcmp(key, "loss") != 0 && strcmp(key, "eval_loss") != 0);
    for (i = 0; i < all.count; i++) ok = add_candidate(&best, all.items[i].path, key, &qualifies) && ok;
    for (i = 0; path && (path = next_option(r, "--path", &i)) != NULL;) {
        ok = add_candidate(&best, path, key, &qualifies) && ok;
    }
    put_member("{\"metric\": ", key);
    printf(", \"greater_is_better\": %s, \"best\": [", best.is_greater_better ? "true" : "false");
    for (i = 0; i < best.count; i++) {
        put_member(i ? ", {\"path\": " : "{\"path\": ", best.paths[i]);
        for (digits = 15; digits < 18; digits++) { /* the shortest of these that reads back as the same number */
            sprintf(text, "%.*g", digits, best.values[i]);
            if (strtod(text, NULL) == best.values[i]) break;
        }
        printf(", \"value\": %s}", text);
    }
    printf("], \"last_qualifies\": %s}\n", qualifies ? "true" : "false");
    return !ok;
}
