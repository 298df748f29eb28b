/* prototype.c: a throw-away reader of headers that was written to see how fast one can be: a worker of the benchmark
   (worker.h). It proves less, and is not part of this repository: bench.py says where it is looked for. */
#define PR_FAST 1
#include <proto_hdr.h>
#include "names.h"
#include "worker.h"

static void parse(char **arguments, result *r) { /* FILE, in memory */
    size_t n;
    const unsigned char *bytes = contents(arguments[0], &n);
    pr_file file;
    expect(pr_parse(&file, (const char *)bytes, n) == 0, "refused");
    r->work = (double)file.n;
    pr_free(&file);
}

static void find(char **arguments, result *r) { /* FILE: each of its names */
    static char held[4096];
    static pr_file file;
    const names *all = names_of(arguments[0]);
    size_t i, n;
    const unsigned char *bytes = contents(arguments[0], &n);
    if (strcmp(held, arguments[0])) {
        expect(pr_parse(&file, (const char *)bytes, n) == 0, "refused");
        snprintf(held, sizeof held, "%s", arguments[0]);
    }
    for (r->work = 0, i = 0; i < all->count; i++) {
        const pr_rec *found = pr_find(&file, all->name[i], all->bytes[i]);
        r->work += (double)(found->end - found->begin);
    }
}

static const workload workloads[] = {{"parse", parse}, {"find", find}, {NULL, NULL}};

int main(void) {
    return serve(workloads);
}
