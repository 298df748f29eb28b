/* transfer.c: copies a model or a part of it. Memory holds headers only; data goes from file to file. */
#include "st.h"
#include <stdlib.h>
#include <string.h>

/* what to save: the chosen tensors and all metadata of IN; their bytes are read from IN unless options.fill makes them */
static st_contents contents_of(const transfer *t) {
    const virtual_model *v = virtual_of(t->model);
    st_contents c = st_contents_of(t->model);
    c.tensors = t->choice.tensors;
    c.count = t->choice.count;
    if (v) c.index = v->index, c.index_count = v->index_count;
    if (t->saving.options.fill) c.from = NULL;
    return c;
}

/* ---- metadata: OUT gets that of the first file -------------------------------------------------------------- */

enum { SHOWN_KEYS = 3, SHOWN_FILES = 3 };

typedef struct differing {
    const st_pair *keys[SHOWN_KEYS];
    size_t count;
} differing;

static void note_key(void *user, const st_pair *a, const st_pair *b) {
    differing *d = (differing *)user;
    if (d->count < SHOWN_KEYS) d->keys[d->count] = a ? a : b;
    d->count++;
}

/* Writes "FILE: metadata differs from FILE, whose metadata was copied: a, b and 3 more". */
static void put_differing(const transfer *t, const st_shard *first, const st_shard *shard, const differing *d) {
    size_t i;
    begin_message(t->choice.command);
    put_string(stderr, shard->path);
    fputs(": metadata differs from ", stderr);
    put_string(stderr, first->path);
    fputs(", whose metadata was copied: ", stderr);
    for (i = 0; i < d->count && i < SHOWN_KEYS; i++) {
        if (i) fputs(", ", stderr);
        put_text(stderr, d->keys[i]->key, d->keys[i]->key_bytes);
    }
    if (i < d->count) {
        fputs(" and ", stderr);
        put_number(stderr, d->count - i);
        fputs(" more", stderr);
    }
    putc('\n', stderr);
}

static int warn_of_metadata(const transfer *t) {
    size_t i, differing_files = 0, file_count;
    const st_shard *files = files_of(t->model, &file_count);
    for (i = 1; i < file_count; i++) {
        differing d;
        memset(&d, 0, sizeof d);
        if (files[i].file_bytes == 0) continue; /* absent */
        if (!compare_pairs(files[0].metadata, files[0].metadata_count, files[i].metadata, files[i].metadata_count,
                           note_key, &d)) {
            return out_of_memory(t->choice.command);
        }
        if (d.count && differing_files++ < SHOWN_FILES) put_differing(t, &files[0], &files[i], &d);
    }
    if (differing_files > SHOWN_FILES) {
        begin_message(t->choice.command);
        fputs("metadata also differs in ", stderr);
        put_number(stderr, differing_files - SHOWN_FILES);
        fputs(" more files\n", stderr);
    }
    return EXIT_FINE;
}

/* Without an index, its metadata other than total_size is lost. */
static void warn_of_index(const transfer *t) {
    const st_contents contents = contents_of(t);
    size_t i, others = 0;
    const st_pair *first = NULL;
    for (i = 0; i < contents.index_count; i++) {
        const st_pair *pair = &contents.index[i];
        if (pair->key_bytes == 10 && memcmp(pair->key, "total_size", 10) == 0) continue;
        if (first) others++;
        if (!first) first = pair;
    }
    if (!first) return;
    begin_message(t->choice.command);
    fputs("one file has no index; lost metadata of the index: ", stderr);
    put_text(stderr, first->key, first->key_bytes);
    if (others) {
        fputs(" and ", stderr);
        put_number(stderr, others);
        fputs(" more", stderr);
    }
    putc('\n', stderr);
}

/* ---- writing ------------------------------------------------------------------------------------------------ */

/* The library does not see the files that options.fill or a virtual model reads. */
static int is_file_of(const st_model *model, const char *path) {
    size_t i, count;
    const st_shard *files = files_of(model, &count);
    for (i = 0; i < count; i++) {
        if (system_is_same_file(files[i].path, path)) return 1;
    }
    return 0;
}

st_status transfer_to_file(transfer *t, st_error *error) {
    const st_contents contents = contents_of(t);
    const char *path = t->out;
    if (system_path_kind(t->out) == PATH_DIRECTORY) {
        return set_error(error, ST_ERR_IO, "this is a directory; expected the path of a file");
    }
    if (t->name) return set_error(error, ST_ERR_ARGUMENT, "OUT is one file: --name is for several");
    if (t->saving.direct && (is_file_of(t->model, t->out) || (t->also && is_file_of(t->also, t->out)))) {
        return set_error(error, ST_ERR_UNSUPPORTED, "--direct cannot write to a file of IN: choose another OUT");
    }
    if (saving_open(&t->saving, &path, error) != ST_OK) return error->status;
    return st_save(path, &contents, &t->saving.options, error);
}

st_status transfer_to_directory(transfer *t, st_error *error) {
    const st_contents contents = contents_of(t);
    const path_kind kind = system_path_kind(t->out);
    char name[ST_SHARD_NAME_BYTES];
    st_status status;
    int made;
    if (kind == PATH_STREAM || is_standard_output(t->out)) {
        return set_error(error, ST_ERR_IO, "a stream takes one file, and IN has several: use st merge");
    }
    if (kind == PATH_OTHER) {
        return set_error(error, ST_ERR_IO, "this is a file; expected a directory (st merge writes one file)");
    }
    if (kind == PATH_MISSING && ends_with(t->out, ".safetensors")) { /* whoever gives this name expects one file */
        return set_error(error, ST_ERR_PATH,
                         "OUT is a directory of several files: omit .safetensors, or write one file with st merge");
    }
    if (t->name && st_shard_name(t->name, 0, 1, name, sizeof name) != ST_OK) {
        return set_error(error, ST_ERR_ARGUMENT,
                         "--name: expected the start of a file name, such as model or diffusion_pytorch_model");
    }
    made = system_make_directory(t->out);
    t->writes_index = 1;
    t->saving.options.stem = t->name ? t->name : t->model->stem;
    status = st_save_sharded(t->out, &contents, &t->saving.options, error);
    if (status != ST_OK && made) system_remove_directory(t->out);
    return status;
}

/* Returns the end of the tensors that are in the same file of IN as `begin`; sets their largest and their bytes. */
static size_t end_of_file(const tensor_choice *c, size_t begin, size_t *largest, uint64_t *bytes) {
    size_t i;
    *largest = begin;
    *bytes = 0;
    for (i = begin; i < c->count && c->tensors[i].shard == c->tensors[begin].shard; i++) {
        *bytes += c->tensors[i].bytes; /* no overflow: those of the whole model fit */
        if (c->tensors[i].bytes > c->tensors[*largest].bytes) *largest = i;
    }
    return i;
}

static void swap(tensor_choice *c, size_t a, size_t b) {
    const st_tensor tensor = c->tensors[a], *source = c->sources[a];
    char *name = c->names[a];
    c->tensors[a] = c->tensors[b], c->names[a] = c->names[b], c->sources[a] = c->sources[b];
    c->tensors[b] = tensor, c->names[b] = name, c->sources[b] = source;
}

/* Returns 1 if the plan splits the tensors exactly as IN does. */
static int is_as_split(const tensor_choice *c, const uint32_t *shards) {
    size_t i;
    for (i = 1; i < c->count; i++) {
        if ((shards[i] != shards[i - 1]) != (c->tensors[i].shard != c->tensors[i - 1].shard)) return 0;
    }
    return 1;
}

/* Sets a limit and an order that repeat the split of IN. If IN was split with a limit L, in any order and without a
 * tensor over L, this succeeds: the limit is the size M of the largest file, and the largest tensor of each file comes
 * first. No file exceeds M. A file and the next file's first tensor exceeded L together, and L >= M, so the file and
 * the next file's largest tensor exceed M. */
static st_status plan_as_split(transfer *t, st_error *error) {
    tensor_choice *c = &t->choice;
    uint32_t *shards = (uint32_t *)calloc(c->count + 1, sizeof *shards), count = 0;
    uint64_t largest_file = 1, bytes;
    size_t begin, end, largest;
    st_contents contents;
    st_status status;
    if (!shards) return set_error(error, ST_ERR_MEMORY, "out of memory");
    for (begin = 0; begin < c->count; begin = end) {
        end = end_of_file(c, begin, &largest, &bytes);
        if (bytes > largest_file) largest_file = bytes;
        if (!t->saving.keep_order) swap(c, begin, largest);
    }
    t->saving.options.max_shard_bytes = largest_file;
    contents = contents_of(t);
    status = st_plan_shards(&contents, &t->saving.options, shards, &count, error);
    if (status == ST_OK && !is_as_split(c, shards)) {
        begin_message(c->command);
        put_string(stderr, t->in);
        fputs(": no size limit gives this split; the copy is split by the size of its largest file\n", stderr);
    }
    free(shards);
    return status;
}

st_status transfer_as_split(transfer *t, st_error *error) {
    st_status status;
    if (t->model->shard_count == 1) return transfer_to_file(t, error);
    status = plan_as_split(t, error);
    return status == ST_OK ? transfer_to_directory(t, error) : status;
}

/* ---- the command ------------------------------------------------------------------------------------------ */

/* Opens every IN, and makes one model of them if there are several or one has a prefix. Every command that writes opens
 * its INs here. */
static int open_inputs(transfer *t, st_model **model) {
    const st_open_options open_options = copy_open_options();
    st_model **models = (st_model **)calloc((size_t)t->in_count, sizeof *models);
    st_error error;
    int i, code = models ? EXIT_FINE : out_of_memory(t->choice.command);
    for (i = 0; code == EXIT_FINE && i < t->in_count; i++) {
        if (open_model(&models[i], t->paths[i], &open_options, &error) != ST_OK) code = report(t->paths[i], &error);
    }
    if (code != EXIT_FINE) {
        while (models && i > 0) st_close(models[--i]);
    } else if (t->in_count == 1 && !*t->prefixes[0]) {
        *model = models[0];
    } else {
        code = join_models(model, t->choice.command, t->in, models, (size_t)t->in_count, t->paths, t->prefixes,
                           &open_options);
    }
    free((void *)models);
    return code;
}

static int save(transfer *t) {
    st_error error;
    int code = saving_begin(&t->saving, t->out);
    if (code != EXIT_FINE) return code;
    error.status = t->write(t, &error);
    explain_read_error(t->model, &error);
    if (error.status != ST_OK && system_interrupted()) error.status = ST_ERR_CANCELLED; /* the signal ended a read */
    return saving_end(&t->saving, t->out, &error);
}

int transfer_write(transfer *t) {
    st_error error;
    int code = choose(&t->choice, t->model, t->in);
    if (code == EXIT_FINE && t->decide && t->decide(t, &error) != ST_OK) code = report(t->in, &error);
    if (code == EXIT_FINE && t->is_dry_run) {
        put_mapping(&t->choice, t->saving.json);
        return EXIT_FINE;
    }
    if (code == EXIT_FINE) code = save(t);
    if (code == EXIT_FINE && t->report) t->report(t);
    if (code == EXIT_FINE && !t->writes_index) warn_of_index(t);
    if (code == EXIT_FINE) code = warn_of_metadata(t);
    return code == EXIT_FINE && t->saving.json ? put_saved_json_with(t->out, t->counts, t->count_count) : code;
}

static int transfer_model(transfer *t) {
    st_model *model;
    int code = open_inputs(t, &model);
    if (code != EXIT_FINE) return code;
    t->model = model;
    code = transfer_write(t);
    st_close(model);
    return code;
}

/* Splits IN=PREFIX at the last "=", in place. An argument that names something that exists is a path as a whole. */
static const char *cut_prefix(char *given) {
    char *equals = strrchr(given, '=');
    if (!equals || system_path_kind(given) != PATH_MISSING) return "";
    *equals = 0;
    return equals + 1;
}

/* Reads IN... OUT. */
static int read_paths(transfer *t, int words, char **argv) {
    int i;
    t->in_count = words - 1;
    t->paths = (const char **)calloc((size_t)words, sizeof *t->paths);
    t->prefixes = (const char **)calloc((size_t)words, sizeof *t->prefixes);
    t->label = (char *)malloc(strlen(argv[0]) + 32);
    if (!t->paths || !t->prefixes || !t->label) return out_of_memory(t->choice.command);
    for (i = 0; i < t->in_count; i++) {
        t->prefixes[i] = cut_prefix(argv[i]);
        t->paths[i] = argv[i];
    }
    strcpy(t->label, argv[0]);
    if (t->in_count > 1) sprintf(t->label + strlen(t->label), " and %d more", t->in_count - 1);
    t->in = t->label;
    t->out = argv[words - 1];
    return EXIT_FINE;
}

void transfer_options(transfer *t, option options[TRANSFER_OPTIONS]) {
    const option all[TRANSFER_OPTIONS] = {{"--keep-order", &t->saving.keep_order, NULL},
                                          {"--align", NULL, &t->saving.align},
                                          {"--slack", NULL, &t->saving.slack},
                                          {"--no-sync", &t->saving.no_sync, NULL},
                                          {"--name", NULL, &t->name},
                                          {"--direct", &t->saving.direct, NULL},
                                          {"--json", &t->saving.json, NULL}};
    memcpy(options, all, sizeof all);
}

static int parse_arguments(transfer *t, const option *extra, size_t extra_count, int argc, char **argv) {
    const option common[] = {{"--only", &t->choice.only.count, t->choice.only.texts},
                             {"--except", &t->choice.except.count, t->choice.except.texts},
                             {"--rename", &t->choice.rename_count, t->choice.renames},
                             {"--rename-file", &t->choice.rename_file_count, t->choice.rename_files},
                             {"--dry-run", &t->is_dry_run, NULL}};
    enum { COMMON = sizeof common / sizeof *common, MAX_EXTRA = 4 };
    option options[TRANSFER_OPTIONS + COMMON + MAX_EXTRA];
    int words;
    transfer_options(t, options);
    memcpy(options + TRANSFER_OPTIONS, common, sizeof common);
    if (extra_count) memcpy(options + TRANSFER_OPTIONS + COMMON, extra, extra_count * sizeof *extra);
    words = parse_options(t->choice.command, options, TRANSFER_OPTIONS + COMMON + extra_count, argc, argv);
    if (words < 0) return EXIT_USAGE;
    if (words < 2) {
        begin_message(t->choice.command);
        fputs(words == 0 ? "IN and OUT are missing" : "OUT is missing", stderr);
        return usage_hint(t->choice.command);
    }
    return read_paths(t, words, argv);
}

int transfer_run(transfer *t, const char *command, const option *extra, size_t extra_count, int argc, char **argv) {
    int code;
    t->saving.command = command;
    if (choice_begin(&t->choice, command, argc)) {
        t->choice.keeps_all = t->keeps_all;
        code = parse_arguments(t, extra, extra_count, argc, argv);
        if (code == EXIT_FINE) code = read_renames(&t->choice);
        if (code == EXIT_FINE && t->prepare) code = t->prepare(t);
        if (code == EXIT_FINE) code = transfer_model(t);
    } else {
        code = out_of_memory(command);
    }
    choice_end(&t->choice);
    free((void *)t->paths);
    free((void *)t->prefixes);
    free(t->label);
    return code;
}
