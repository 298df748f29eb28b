/* shard.c: a model in files of a size. */
#include "st.h"
#include <string.h>

typedef struct limit { /* as given */
    const char *max_size;
    int over;
} limit;

static int read_limit(transfer *t) {
    const limit *l = (const limit *)t->user;
    uint64_t *most = &t->saving.options.max_shard_bytes;
    if (l->over) t->saving.options.flags |= ST_SAVE_SHARD_OVER;
    if (!l->max_size || (parse_bytes(l->max_size, most) && *most)) return EXIT_FINE;
    begin_complaint("shard");
    fputs("--max-size takes a size like 5GB, 1.5GB or 500MiB, not ", stderr);
    put_text(stderr, l->max_size, strlen(l->max_size));
    return usage_hint("shard");
}

int command_shard(int argc, char **argv) {
    limit l = {NULL, 0};
    const option options[] = {{"--max-size", NULL, &l.max_size}, {"--over-limit", &l.over, NULL}};
    transfer t;
    memset(&t, 0, sizeof t);
    t.user = &l;
    t.prepare = read_limit;
    t.write = transfer_to_directory;
    return transfer_run(&t, "shard", options, 2, argc, argv);
}
