/* join.c: makes one model of several, with a prefix for the names of each. */
#include "st.h"
#include <stdlib.h>
#include <string.h>

typedef struct joined {
    st_model **models; /* closed with this one */
    const char *const *paths;
    size_t model_count;
    st_tensor *tensors; /* as they are called here */
    size_t *origins;    /* for each tensor, the number of its model */
    const st_tensor **sources;
    char *names; /* of the tensors with a prefix */
    st_shard *files;
    size_t count, file_count;
} joined;

static int read_joined(void *user, size_t tensor, uint64_t offset, void *dst, size_t n, st_error *error) {
    const joined *j = (const joined *)user;
    const st_model *model = j->models[j->origins[tensor]];
    if (st_read(model, j->sources[tensor], offset, dst, n, error) == ST_OK) return 0;
    explain_read_error(model, error);
    return error->sys ? error->sys : ST_IO_ENDED;
}

static void close_joined(void *user) {
    joined *j = (joined *)user;
    size_t i;
    if (!j) return;
    for (i = 0; i < j->model_count; i++) st_close(j->models[i]);
    free(j->models);
    free(j->tensors);
    free(j->origins);
    free((void *)j->sources);
    free(j->names);
    free(j->files);
    free(j);
}

/* ---- names that are there twice ----------------------------------------------------------------------------- */

typedef struct named {
    const st_tensor *tensor;
    size_t origin;
} named;

static int by_name(const void *a, const void *b) {
    const st_tensor *s = ((const named *)a)->tensor, *t = ((const named *)b)->tensor;
    return compare_text(s->name, s->name_bytes, t->name, t->name_bytes);
}

static int report_clash(const joined *j, const named *a, const named *b, const char *command) {
    const named *first = a->origin < b->origin ? a : b, *second = first == a ? b : a;
    begin_message(command);
    put_string(stderr, j->paths[first->origin]);
    fputs(" and ", stderr);
    put_string(stderr, j->paths[second->origin]);
    fputs(" both have a tensor ", stderr);
    put_text(stderr, a->tensor->name, a->tensor->name_bytes);
    fputs("; give one a prefix: IN=PREFIX\n", stderr);
    return EXIT_FAILED;
}

static int check_names(const joined *j, const char *command) {
    named *sorted = (named *)calloc(j->count + 1, sizeof *sorted);
    size_t i;
    int code = EXIT_FINE;
    if (!sorted) return out_of_memory(command);
    for (i = 0; i < j->count; i++) {
        sorted[i].tensor = &j->tensors[i];
        sorted[i].origin = j->origins[i];
    }
    qsort(sorted, j->count, sizeof *sorted, by_name);
    for (i = 1; code == EXIT_FINE && i < j->count; i++) {
        if (by_name(&sorted[i - 1], &sorted[i]) == 0) code = report_clash(j, &sorted[i - 1], &sorted[i], command);
    }
    free(sorted);
    return code;
}

/* ---- joining ------------------------------------------------------------------------------------------------ */

/* Allocates room for everything that the models contain. Returns 0 if there is no memory. */
static int allocate(joined *j, const char *const *prefixes) {
    size_t i, k, bytes = 1, files;
    for (i = 0; i < j->model_count; i++) {
        const st_model *m = j->models[i];
        const size_t prefix_bytes = strlen(prefixes[i]) + 1;
        files_of(m, &files);
        j->file_count += files;
        j->count += m->count;
        for (k = 0; k < m->count; k++) {
            if (m->tensors[k].name_bytes > SIZE_MAX / 2 - prefix_bytes - bytes) return 0;
            bytes += m->tensors[k].name_bytes + prefix_bytes;
        }
    }
    j->tensors = (st_tensor *)calloc(j->count + 1, sizeof *j->tensors);
    j->origins = (size_t *)calloc(j->count + 1, sizeof *j->origins);
    j->sources = (const st_tensor **)calloc(j->count + 1, sizeof *j->sources);
    j->files = (st_shard *)calloc(j->file_count + 1, sizeof *j->files);
    j->names = (char *)malloc(bytes);
    return j->tensors && j->origins && j->sources && j->files && j->names;
}

static void fill_in(joined *j, const char *const *prefixes) {
    size_t i, k, n = 0, file = 0, count;
    char *name = j->names;
    for (i = 0; i < j->model_count; i++) {
        const st_model *m = j->models[i];
        const st_shard *files = files_of(m, &count);
        const size_t prefix_bytes = strlen(prefixes[i]);
        memcpy(j->files + file, files, count * sizeof *files);
        file += count;
        for (k = 0; k < m->count; k++, n++) {
            st_tensor *t = &j->tensors[n];
            *t = m->tensors[k];
            j->origins[n] = i;
            j->sources[n] = &m->tensors[k];
            memcpy(name, prefixes[i], prefix_bytes);
            memcpy(name + prefix_bytes, t->name, t->name_bytes + 1);
            t->name = name;
            t->name_bytes += prefix_bytes;
            name += t->name_bytes + 1;
        }
    }
}

int join_models(st_model **model, const char *command, const char *label, st_model **models, size_t count,
                const char *const *paths, const char *const *prefixes, const st_open_options *options) {
    joined *j = (joined *)calloc(1, sizeof *j);
    virtual_model v;
    st_error error;
    int code;
    size_t i;
    if (!j || (j->models = (st_model **)calloc(count, sizeof *models)) == NULL) {
        for (i = 0; i < count; i++) st_close(models[i]);
        free(j);
        return out_of_memory(command);
    }
    memcpy(j->models, models, count * sizeof *models);
    j->model_count = count;
    j->paths = paths;
    code = allocate(j, prefixes) ? EXIT_FINE : out_of_memory(command);
    if (code == EXIT_FINE) {
        fill_in(j, prefixes);
        code = check_names(j, command);
    }
    if (code != EXIT_FINE) {
        close_joined(j);
        return code;
    }
    memset(&v, 0, sizeof v);
    v.tensors = j->tensors;
    v.count = j->count;
    v.files = j->files;
    v.file_count = j->file_count;
    v.index = models[0]->index;
    v.index_count = models[0]->index_count;
    v.read = read_joined;
    v.close = close_joined;
    v.user = j;
    return open_virtual(model, label, &v, options, &error) == ST_OK ? EXIT_FINE : report(label, &error);
}
