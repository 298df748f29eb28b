/* transfer.c: from a model to a model, whole or in part. Only headers are held in memory: bytes go from file to file. */
#include "st.h"
#include <stdlib.h>
#include <string.h>

/* ---- metadata: what is written is the first file's -------------------------------------------------------- */

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

static void put_path(const char *path) {
    put_text(stderr, path, strlen(path));
}

/* FILE has other metadata than FILE, which was taken: a, b and 3 more */
static void put_differing(const transfer *t, const st_shard *shard, const differing *d) {
    size_t i;
    begin_complaint(t->choice.command);
    put_path(shard->path);
    fputs(" has other metadata than ", stderr);
    put_path(t->model->shards[0].path);
    fputs(", which was taken: ", stderr);
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

static int tell_of_metadata(const transfer *t) {
    const st_model *m = t->model;
    size_t i, told = 0;
    for (i = 1; i < m->shard_count; i++) {
        const st_shard *shard = &m->shards[i];
        differing d;
        memset(&d, 0, sizeof d);
        if (!compare_pairs(m->metadata, m->metadata_count, shard->metadata, shard->metadata_count, note_key, &d)) {
            return out_of_memory(t->choice.command);
        }
        if (d.count && told++ < SHOWN_FILES) put_differing(t, shard, &d);
    }
    if (told > SHOWN_FILES) {
        begin_complaint(t->choice.command);
        fputs("and so have ", stderr);
        put_number(stderr, told - SHOWN_FILES);
        fputs(" more files\n", stderr);
    }
    return EXIT_FINE;
}

/* What the index says beside total_size is lost where no index is written. */
static void tell_of_index(const transfer *t) {
    size_t i, more = 0;
    const st_pair *first = NULL;
    for (i = 0; i < t->model->index_count; i++) {
        const st_pair *pair = &t->model->index[i];
        if (pair->key_bytes == 10 && memcmp(pair->key, "total_size", 10) == 0) continue;
        if (first) more++;
        if (!first) first = pair;
    }
    if (!first) return;
    begin_complaint(t->choice.command);
    fputs("one file has no index, so this of its metadata is lost: ", stderr);
    put_text(stderr, first->key, first->key_bytes);
    if (more) {
        fputs(" and ", stderr);
        put_number(stderr, more);
        fputs(" more", stderr);
    }
    putc('\n', stderr);
}

/* ---- where to --------------------------------------------------------------------------------------------- */

/* the chosen tensors, and what IN has beside them; their bytes come from IN unless a callback makes them */
static st_contents contents_of(const transfer *t) {
    st_contents c = st_contents_of(t->model);
    c.tensors = t->choice.tensors;
    c.count = t->choice.count;
    if (t->saving.options.fill) c.from = NULL;
    return c;
}

st_status transfer_to_file(transfer *t, st_error *error) {
    const st_contents contents = contents_of(t);
    return st_save(t->out, &contents, &t->saving.options, error);
}

st_status transfer_to_directory(transfer *t, st_error *error) {
    const st_contents contents = contents_of(t);
    const int made = system_make_directory(t->out);
    st_status status;
    t->writes_index = 1;
    status = st_save_sharded(t->out, &contents, &t->saving.options, error);
    if (status != ST_OK && made) system_remove_directory(t->out);
    return status;
}

/* The end of the tensors that are in one file of IN; gives their bytes, and where the largest is. */
static size_t end_of_file(const choice *c, size_t begin, size_t *largest, uint64_t *bytes) {
    size_t i;
    *largest = begin;
    *bytes = 0;
    for (i = begin; i < c->count && c->tensors[i].shard == c->tensors[begin].shard; i++) {
        *bytes += c->tensors[i].bytes; /* all of the model's fit 64 bits */
        if (c->tensors[i].bytes > c->tensors[*largest].bytes) *largest = i;
    }
    return i;
}

static void swap(choice *c, size_t a, size_t b) {
    const st_tensor tensor = c->tensors[a];
    char *name = c->names[a];
    c->tensors[a] = c->tensors[b], c->names[a] = c->names[b];
    c->tensors[b] = tensor, c->names[b] = name;
}

/* Whether the plan puts together what lies together in IN, and nothing else. */
static int is_as_split(const choice *c, const uint32_t *shards) {
    size_t i;
    for (i = 1; i < c->count; i++) {
        if ((shards[i] != shards[i - 1]) != (c->tensors[i].shard != c->tensors[i - 1].shard)) return 0;
    }
    return 1;
}

/* Plans it. A model that was split by a limit L, by whatever order of its tensors, is split so again by the bytes of its largest
 * file and with the largest tensor of each file first: file and first tensor of the next had over L before, file and
 * largest tensor of the next have no less, and no file has over L. */
static st_status plan_as_split(transfer *t, st_error *error) {
    choice *c = &t->choice;
    uint32_t *shards = (uint32_t *)calloc(c->count + 1, sizeof *shards), count = 0;
    uint64_t most = 1, bytes;
    size_t begin, end, largest;
    st_contents contents;
    st_status status;
    if (!shards) return no_memory(error);
    for (begin = 0; begin < c->count; begin = end) {
        end = end_of_file(c, begin, &largest, &bytes);
        if (bytes > most) most = bytes;
        if (!t->saving.keep_order) swap(c, begin, largest);
    }
    t->saving.options.max_shard_bytes = most;
    contents = contents_of(t);
    status = st_plan_shards(&contents, &t->saving.options, shards, &count, error);
    if (status == ST_OK && !is_as_split(c, shards)) {
        begin_complaint(c->command);
        put_path(t->in);
        fputs(" is split as no limit would: it is split anew, by the bytes of its largest file\n", stderr);
    }
    free(shards);
    return status;
}

st_status transfer_as_split(transfer *t, st_error *error) {
    st_status status;
    if (t->model->shard_count == 1) return transfer_to_file(t, error);
    status = plan_as_split(t, error);
    if (status == ST_OK) status = transfer_to_directory(t, error);
    if (status == ST_ERR_NOT_FOUND) { /* most likely OUT is a file */
        begin_complaint(t->choice.command);
        put_path(t->in);
        fputs(" has several files, so OUT is a directory; st merge makes one file\n", stderr);
    }
    return status;
}

/* ---- the command ------------------------------------------------------------------------------------------ */

static int transfer_model(transfer *t) {
    const st_open_options how = opening_to_copy();
    st_model *model;
    st_error error;
    int code;
    if (open_model(&model, t->in, &how, &error) != ST_OK) return report(t->in, &error);
    t->model = model;
    code = choose(&t->choice, model, t->in);
    if (code == EXIT_FINE) code = saving_begin(&t->saving, t->out);
    if (code == EXIT_FINE) {
        error.status = t->write(t, &error);
        code = saving_end(&t->saving, t->out, &error);
    }
    if (code == EXIT_FINE && !t->writes_index) tell_of_index(t);
    if (code == EXIT_FINE) code = tell_of_metadata(t);
    st_close(model);
    return code == EXIT_FINE && t->saving.json ? put_saved_json(t->out) : code;
}

static int take_words(transfer *t, const option *more, size_t more_count, int argc, char **argv) {
    const option common[] = {{"--only", &t->choice.only.count, t->choice.only.texts},
                             {"--except", &t->choice.except.count, t->choice.except.texts},
                             {"--rename", &t->choice.renames.count, t->choice.renames.texts},
                             {"--keep-order", &t->saving.keep_order, NULL},
                             {"--align", NULL, &t->saving.align},
                             {"--slack", NULL, &t->saving.slack},
                             {"--no-sync", &t->saving.no_sync, NULL},
                             {"--json", &t->saving.json, NULL}};
    enum { COMMON = sizeof common / sizeof *common, MOST = 4 };
    option all[COMMON + MOST];
    int words;
    memcpy(all, common, sizeof common);
    if (more_count) memcpy(all + COMMON, more, more_count * sizeof *more); /* at most MOST */
    words = take_options(t->choice.command, all, COMMON + more_count, argc, argv);
    if (words < 0) return EXIT_USAGE;
    if (words != 2) {
        begin_complaint(t->choice.command);
        fputs(words == 0   ? "IN and OUT are missing"
              : words == 1 ? "OUT is missing"
                           : "one IN and one OUT at a time",
              stderr);
        return usage_hint(t->choice.command);
    }
    t->in = argv[0];
    t->out = argv[1];
    return EXIT_FINE;
}

int transfer_run(transfer *t, const char *command, const option *more, size_t more_count, int argc, char **argv) {
    int code;
    t->saving.command = command;
    if (choice_begin(&t->choice, command, argc)) {
        t->choice.keeps_all = t->keeps_all;
        code = take_words(t, more, more_count, argc, argv);
        if (code == EXIT_FINE) code = choice_read(&t->choice);
        if (code == EXIT_FINE && t->prepare) code = t->prepare(t);
        if (code == EXIT_FINE) code = transfer_model(t);
    } else {
        code = out_of_memory(command);
    }
    choice_end(&t->choice);
    return code;
}
