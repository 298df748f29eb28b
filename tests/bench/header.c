/* header.c: opening and finding: a worker of the benchmark (worker.h) */
#define ST_IMPLEMENTATION
#include "../../safetensors.h"
#include "worker.h"
#include "names.h"

static void expect_ok(st_status status, const st_error *error) {
    expect(status == ST_OK, error->message);
}

static void parse(char **arguments, result *r) { /* FILE, in memory */
    size_t n;
    const unsigned char *bytes = contents(arguments[0], &n);
    st_error error;
    st_model *m;
    expect_ok(st_open_memory(&m, bytes, n, NULL, &error), &error);
    r->work = (double)m->count;
    st_close(m);
}

static void open_path(char **arguments, result *r) { /* PATH of a file or of a directory of shards */
    st_error error;
    st_model *m;
    expect_ok(st_open(&m, arguments[0], NULL, &error), &error);
    r->work = (double)m->count;
    st_close(m);
}

static void find(char **arguments, result *r) { /* FILE: each of its names */
    static char held[4096];
    static st_model *m;
    const names *all = names_of(arguments[0]);
    st_error error;
    size_t i;
    if (strcmp(held, arguments[0])) {
        st_close(m);
        expect_ok(st_open(&m, arguments[0], NULL, &error), &error);
        snprintf(held, sizeof held, "%s", arguments[0]);
    }
    r->work = 0;
    for (i = 0; i < all->count; i++) r->work += (double)st_find_n(m, all->name[i], all->bytes[i])->bytes;
}

/* PATH, in a process that has done nothing yet: tensors, anonymous memory kept and the most memory used at once */
static void memory(char **arguments, result *r) {
    double before = status_line("RssAnon:"), most = status_line("VmRSS:"), peak;
    st_error error;
    st_model *m;
    expect_ok(st_open(&m, arguments[0], NULL, &error), &error);
    peak = status_line("VmHWM:");
    trim();
    r->work = (double)m->count;
    r->more[0] = status_line("RssAnon:") - before;
    r->more[1] = peak - most;
}

static const workload workloads[] = {
    {"parse", parse}, {"open", open_path}, {"find", find}, {"memory-once", memory}, {NULL, NULL}};

int main(void) {
    return serve(workloads);
}
