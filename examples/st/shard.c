/* shard.c: a model in files of a size. */
#include "st.h"
#include <string.h>

static int read_limit(transfer *t) {
    const char *given = *(const char **)t->user;
    uint64_t *most = &t->saving.options.max_shard_bytes;
    if (!given || (parse_bytes(given, most) && *most)) return EXIT_FINE;
    begin_complaint("shard");
    fputs("--max-size takes a size like 5GB, 1.5GB or 500MiB, not ", stderr);
    put_text(stderr, given, strlen(given));
    return usage_hint("shard");
}

int command_shard(int argc, char **argv) {
    const char *max_size = NULL;
    const option options[] = {{"--max-size", NULL, &max_size}};
    transfer t;
    memset(&t, 0, sizeof t);
    t.user = &max_size;
    t.prepare = read_limit;
    t.write = transfer_to_directory;
    return transfer_run(&t, "shard", options, 1, argc, argv);
}
