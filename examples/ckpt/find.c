/* find.c: lists checkpoints by age and finds their models. */
#include "ckpt.h"
#include "examples/common/json.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* The index counts before the single file, and PyTorch's single file before that of safetensors, as in the tools that
 * write such checkpoints. What is loaded is always safetensors: see model.c. */
static const model_files known_files[] = {{"model.safetensors.index.json", 1, 1, 1},
                                          {"pytorch_model.bin.index.json", 1, 0, 1},
                                          {"pytorch_model.bin", 0, 0, 1},
                                          {"model.safetensors", 0, 1, 1}};

model_files find_model(const folder *directory) {
    model_files none = {NULL, 0, 0, 0};
    file_info info;
    size_t i;
    for (i = 0; i < sizeof known_files / sizeof *known_files; i++) {
        if (!folder_info(directory, known_files[i].file, 1, &info)) warn(known_files[i].file, system_error());
        if (info.kind == KIND_FILE) return known_files[i];
    }
    none.is_valid = folder_info(directory, ".forgather_no_model_weights", 1, &info) && info.kind == KIND_FILE;
    return none;
}

model_files find_model_in(const char *path) {
    model_files found = {NULL, 0, 0, 0};
    folder *directory = folder_open(NULL, path);
    if (directory) found = find_model(directory);
    folder_close(directory);
    return found;
}

/* ---- the time in a manifest ------------------------------------------------------------------------------------ */

/* Parses a separator (0: none) and two digits, or returns -1. */
static int two_digits(const char **text, char separator) {
    const char *at = *text + (separator != 0);
    if ((separator && **text != separator) || at[0] < '0' || at[0] > '9' || at[1] < '0' || at[1] > '9') return -1;
    *text = at + 2;
    return 10 * (at[0] - '0') + at[1] - '0';
}

/* Days from 1970-01-01 in the Gregorian calendar, for years from 1. Years here start in March. */
static int64_t days_since_1970(int year, int month, int day) {
    const int64_t y = month > 2 ? year : year - 1, m = (month + 9) % 12;
    return 365 * y + y / 4 - y / 100 + y / 400 + (153 * m + 2) / 5 + day - 1 - 719468;
}

/* Parses an ISO 8601 time such as 2026-11-27T10:15:30.25+01:00. Without a zone it is local time. */
static int parse_time(const char *text, file_time *result) {
    static const int month_days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    const int century = two_digits(&text, 0), years = century < 0 ? -1 : two_digits(&text, 0);
    const int month = years < 0 ? -1 : two_digits(&text, '-'), day = month < 0 ? -1 : two_digits(&text, '-');
    const int year = 100 * century + years, leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    int hour = 0, minute = 0, second = 0, zone_hour = 0, zone_minute = 0, is_local = 1, sign = 1;
    uint32_t unit = 100000000;
    file_time t = {0, 0};
    if (day < 1 || year < 1 || month < 1 || month > 12 || day > month_days[month - 1] + (month == 2 && leap)) return 0;
    if (*text) { /* the date alone is midnight */
        if (*text != 'T' && *text != ' ') return 0;
        hour = two_digits(&text, *text);
        minute = hour < 0 ? -1 : two_digits(&text, ':');
        if (*text == ':') second = two_digits(&text, ':');
        if (minute < 0 || second < 0 || hour > 23 || minute > 59 || second > 59) return 0;
        if (*text == '.') {
            if (*++text < '0' || *text > '9') return 0;
            for (; *text >= '0' && *text <= '9'; text++, unit /= 10) t.nanoseconds += unit * (uint32_t)(*text - '0');
        }
        is_local = *text != 'Z' && *text != '+' && *text != '-';
        if (*text == 'Z') {
            text++;
        } else if (!is_local) {
            sign = *text == '-' ? -1 : 1;
            zone_hour = two_digits(&text, *text);
            zone_minute = zone_hour < 0 ? -1 : two_digits(&text, (char)(*text == ':' ? ':' : 0));
            if (zone_minute < 0 || zone_hour > 23 || zone_minute > 59) return 0;
        }
    }
    if (*text) return 0;
    t.seconds = days_since_1970(year, month, day) * 86400 + hour * 3600 + minute * 60 + second;
    t.seconds -= sign * (zone_hour * 3600 + zone_minute * 60);
    if (is_local) {
        struct tm local = {0};
        local.tm_year = year - 1900, local.tm_mon = month - 1, local.tm_mday = day;
        local.tm_hour = hour, local.tm_min = minute, local.tm_sec = second;
        local.tm_isdst = -1;
        t.seconds = (int64_t)mktime(&local);
    }
    *result = t;
    return 1;
}

/* Replaces *result by the field timestamp of the manifest, if there is one and nothing is wrong with it. */
static void read_manifest_time(const folder *f, const char *path, file_time *result) {
    size_t bytes;
    int is_missing, is_valid = 1;
    file_time found = *result;
    json_reader j;
    json_kind kind;
    char *text = folder_read(f, "checkpoint_manifest.json", SMALL_FILE, &bytes, &is_missing);
    if (!text && !is_missing) warn(path, "cannot read checkpoint_manifest.json; the directory's time counts");
    if (!text) return;
    json_begin(&j, text, bytes);
    kind = json_value(&j);
    while (kind == JSON_OBJECT && json_member(&j)) {
        const int is_time = json_is(j.key, j.key_bytes, "timestamp");
        const json_kind value = json_value(&j);
        if (is_time && value == JSON_STRING && strlen(j.string) == j.string_bytes) {
            is_valid = parse_time(j.string, &found);
        } else {
            if (is_time) is_valid = 0;
            json_skip(&j, value);
        }
    }
    if (is_valid && kind == JSON_OBJECT && json_end(&j)) {
        *result = found;
    } else {
        warn(path, "checkpoint_manifest.json has no valid timestamp; the directory's time counts");
    }
}

/* ---- the list -------------------------------------------------------------------------------------------------- */

/* Compares numbers of any length at the end of two names; what does not end in -DIGITS has the number 0. */
static int compare_steps(const char *a, const char *b) {
    const char *digits[2];
    size_t count[2];
    int i;
    for (i = 0; i < 2; i++) {
        digits[i] = strrchr(i ? b : a, '-') + 1;
        count[i] = strlen(digits[i]);
        if (strspn(digits[i], "0123456789") != count[i]) count[i] = 0;
        while (count[i] && *digits[i] == '0') digits[i]++, count[i]--;
    }
    if (count[0] != count[1]) return count[0] < count[1] ? -1 : 1;
    return memcmp(digits[0], digits[1], count[0]);
}

static int compare_age(const void *a, const void *b) {
    const checkpoint *x = (const checkpoint *)a, *y = (const checkpoint *)b;
    const int order = compare_steps(x->name, y->name);
    if (x->time.seconds != y->time.seconds) return x->time.seconds < y->time.seconds ? -1 : 1;
    if (x->time.nanoseconds != y->time.nanoseconds) return x->time.nanoseconds < y->time.nanoseconds ? -1 : 1;
    return order ? order : strcmp(x->name, y->name);
}

int list_checkpoints(checkpoint_list *list, const char *dir) {
    name_list *names, *n;
    file_info info;
    folder *run = folder_open(NULL, dir);
    memset(list, 0, sizeof *list);
    list->path = join_path(dir, "checkpoints");
    if (!run) { /* a run that has saved nothing may not exist yet */
        if (folder_info(NULL, dir, 1, &info) && info.kind == KIND_MISSING) return 1;
        return !complain(dir, system_error());
    }
    if (folder_info(run, "checkpoints", 0, &info) && info.kind != KIND_MISSING) {
        list->root = folder_open(run, "checkpoints");
    }
    folder_close(run);
    if (info.kind == KIND_MISSING) return 1;
    if (!list->root) return !complain(list->path, info.kind == KIND_LINK ? "is a symbolic link" : system_error());
    if (!folder_names(list->root, &names)) return !complain(list->path, system_error());
    for (n = names; n; n = n->next) list->count++;
    list->items = (checkpoint *)allocate((list->count + 1) * sizeof *list->items);
    for (list->count = 0, n = names; n; n = n->next) {
        checkpoint *c = &list->items[list->count];
        folder *f;
        if (strncmp(n->name, "checkpoint-", 11) != 0) continue;
        c->name = n->name;
        c->path = join_path(list->path, n->name);
        if (!folder_info(list->root, n->name, 0, &c->info)) return !complain(c->path, system_error());
        if (c->info.kind != KIND_FOLDER) {
            if (c->info.kind != KIND_MISSING)
                warn(c->path, c->info.kind == KIND_LINK ? "ignored: a symbolic link" : "ignored: not a directory");
            continue;
        }
        c->time = c->info.modified;
        list->count++;
        f = folder_open(list->root, n->name);
        if (!f) warn(c->path, system_error());
        if (!f) continue;
        c->is_valid = find_model(f).is_valid;
        read_manifest_time(f, c->path, &c->time);
        folder_close(f);
    }
    if (list->count) qsort(list->items, list->count, sizeof *list->items, compare_age);
    return 1;
}

int find_latest(const char *dir, const char **path, const char **name) {
    checkpoint_list list;
    size_t i;
    *path = *name = NULL;
    if (!list_checkpoints(&list, dir)) return 0;
    for (i = list.count; i-- > 0 && !*path;) {
        if (list.items[i].is_valid) *path = list.items[i].path, *name = list.items[i].name;
    }
    if (!list.root && find_model_in(dir).is_valid) *path = dir;
    folder_close(list.root);
    return 1;
}

int run_latest(const request *r) {
    const char *resume = option_value(r, "--resume"), *path = NULL, *name;
    if (!resume || strcmp(resume, "true") == 0) {
        if (!find_latest(r->dir, &path, &name)) return 1;
    } else if (strcmp(resume, "false") != 0 && find_model_in(resume).is_valid) {
        path = resume;
    }
    put_member("{\"path\": ", path);
    return puts("}") < 0;
}

int run_next(const request *r) {
    const char *id = r->operand_count ? r->operands[0] : "";
    char *name = (char *)allocate(strlen(id) + 32);
    if (!*id) return usage("ID is missing after DIR", "");
    if (strpbrk(id, "/\\")) return usage("an ID cannot contain a slash: ", id);
    sprintf(name, "checkpoints/checkpoint-%s", id);
    put_member("{\"path\": ", join_path(r->dir, name));
    return puts("}") < 0;
}

int run_validate(const request *r) {
    const model_files found = find_model_in(r->dir);
    file_info info;
    if (option_value(r, "--output")) {
        if (!folder_info(NULL, r->dir, 1, &info)) return complain(r->dir, system_error());
        if (info.kind != KIND_MISSING && info.kind != KIND_FOLDER) return complain(r->dir, "is not a directory");
        if (found.is_valid && !option_value(r, "--overwrite")) {
            return complain(r->dir, "holds a checkpoint: save elsewhere, or allow it with --overwrite");
        }
        if (found.is_valid) warn(r->dir, "holds a checkpoint that will be overwritten");
    }
    put_member("{\"path\": ", r->dir);
    put_member(found.is_valid ? ", \"valid\": true, \"file\": " : ", \"valid\": false, \"file\": ", found.file);
    printf(", \"is_index\": %s", found.is_index ? "true" : "false");
    printf(", \"is_safetensors\": %s}\n", found.is_safetensors ? "true" : "false");
    return !found.is_valid && !option_value(r, "--output");
}
