/* link.c: links the model of the newest checkpoint into the directory of the run, which then opens as a model. */
#include "ckpt.h"
#include "examples/common/json.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct file_list {
    const char **names; /* the file that is opened first, then its shards */
    size_t count;
} file_list;

static int compare_names(const void *a, const void *b) {
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* An index comes from elsewhere: it may name shards, but neither paths nor other files, such as the user's programs. */
static int is_shard_name(const char *name, size_t n, const char *ending) {
    const size_t e = strlen(ending);
    return strlen(name) == n && n > e && strcmp(name + n - e, ending) == 0 && !strpbrk(name, "/\\:") && *name != '.';
}

/* Adds the model's file and the shards that an index names, each once. Returns NULL or what is wrong. */
static const char *add_files(file_list *list, const folder *f, const model_files *model) {
    size_t bytes = 0, i, n = 1;
    int is_missing;
    json_reader j;
    json_kind kind;
    char *text = model->is_index ? folder_read(f, model->file, INDEX_FILE, &bytes, &is_missing) : NULL;
    if (model->is_index && !text) return system_error();
    for (i = 0; i < bytes; i++) n += text[i] == ':'; /* at least one for each name */
    list->names = (const char **)allocate(n * sizeof *list->names);
    list->names[0] = model->file;
    list->count = n = 1;
    if (!model->is_index) return NULL;
    json_begin(&j, text, bytes);
    kind = json_value(&j);
    while (kind == JSON_OBJECT && json_member(&j)) {
        const int is_map = json_is(j.key, j.key_bytes, "weight_map");
        const json_kind value = json_value(&j);
        while (is_map && value == JSON_OBJECT && json_member(&j)) {
            if (json_value(&j) != JSON_STRING) return "the index names a shard by something other than a string";
            if (!is_shard_name(j.string, j.string_bytes, model->is_safetensors ? ".safetensors" : ".bin")) {
                return "the index names a shard that is no file beside it";
            }
            list->names[n++] = j.string;
        }
        if (!is_map || value != JSON_OBJECT) json_skip(&j, value);
    }
    if (kind != JSON_OBJECT || !json_end(&j)) return j.fault ? j.fault : "the index is not an object";
    if (n > 1) qsort(list->names + 1, n - 1, sizeof *list->names, compare_names);
    for (i = 1; i < n; i++) {
        if (strcmp(list->names[i], list->names[list->count - 1]) != 0) list->names[list->count++] = list->names[i];
    }
    return NULL;
}

/* Returns 1 if a file of the run may be replaced or is missing, or 0 after a message. */
static int may_replace(const folder *run, const char *dir, const char *name, int force) {
    file_info info;
    if (!folder_info(run, name, 0, &info)) return !complain(join_path(dir, name), system_error());
    if (info.kind == KIND_MISSING || folder_is_link(&info) || (force && info.kind == KIND_FILE)) return 1;
    return !complain(join_path(dir, name), info.kind == KIND_FILE ? "is a file, not a link: --force replaces it"
                                                                  : "is neither a link nor a file");
}

/* Links the files. While shards are replaced, there is no link to an index, so that a crash leaves the older model, the
 * new one or none, never a mixture. Then links of the same run to other model files are removed. */
static int make_links(const folder *run, const file_list *list, const char *target) {
    static const char *const others[] = {"model.safetensors", "model.safetensors.index.json", "pytorch_model.bin",
                                         "pytorch_model.bin.index.json"};
    size_t i, k;
    int ok = list->count == 1 || (folder_remove(run, list->names[0], KIND_FILE) && folder_flush(run));
    for (i = list->count; ok && i-- > 0;) ok = folder_link(run, list->names[i], join_path(target, list->names[i]));
    for (i = 0; ok && i < 4; i++) {
        for (k = 0; k < list->count && strcmp(others[i], list->names[k]) != 0;) k++;
        if (k < list->count || !folder_links_to(run, others[i], "checkpoints/")) continue;
        ok = folder_remove(run, others[i], KIND_FILE);
    }
    return ok && folder_flush(run);
}

int run_link(const request *r) {
    const char *path, *name, *fault = NULL;
    const int force = option_value(r, "--force") != NULL, is_dry = option_value(r, "--dry-run") != NULL;
    file_list list = {NULL, 0};
    folder *run = NULL, *f = NULL;
    model_files model;
    file_info info;
    size_t i, count;
    int ok;
    if (!find_latest(r->dir, &path, &name)) return 1;
    if (!name) return complain(r->dir, path ? "has no checkpoints, but a model of its own" : "no valid checkpoint");
    run = folder_open(NULL, r->dir);
    f = run ? folder_open(NULL, path) : NULL;
    if (!f) return folder_close(run), complain(path, system_error());
    model = find_model(f);
    fault = model.file ? add_files(&list, f, &model) : "the newest checkpoint has no model";
    ok = !fault || !complain(path, fault);
    for (i = count = 0; ok && i < list.count; i++) {
        const char *file = list.names[i];
        ok = folder_info(f, file, 1, &info) || !complain(join_path(path, file), system_error());
        if (ok && info.kind != KIND_FILE) {
            warn(join_path(path, file), "not linked: does not exist");
        } else if (ok) {
            ok = may_replace(run, r->dir, file, force);
            list.names[count++] = file;
        }
    }
    list.count = count;
    ok = ok && (is_dry || make_links(run, &list, join_path("checkpoints", name)) || !complain(r->dir, system_error()));
    folder_close(f);
    folder_close(run);
    if (!ok) return 1;
    put_member("{\"checkpoint\": ", path);
    for (i = 0; i < list.count; i++) put_member(i ? ", " : ", \"links\": [", join_path(r->dir, list.names[i]));
    printf("], \"dry_run\": %s}\n", is_dry ? "true" : "false");
    return 0;
}
