/* shard.c: splits a model into files of limited size. */
#include "st.h"
#include <string.h>

static int read_limit(transfer *t) {
    const char *const *given = (const char *const *)t->user;
    uint64_t *bytes = &t->saving.options.max_shard_bytes;
    if (!*given || (parse_bytes(*given, bytes) && *bytes)) return EXIT_FINE;
    return usage_error("shard", "--max-size: expected a size such as 5GB, 1.5GB or 500MiB, found ", *given);
}

int command_shard(int argc, char **argv) {
    const char *max_size = NULL;
    const option options[] = {{"--max-size", NULL, &max_size}};
    transfer t;
    memset(&t, 0, sizeof t);
    t.user = (void *)&max_size;
    t.prepare = read_limit;
    t.write = transfer_to_directory;
    return transfer_run(&t, "shard", options, 1, argc, argv);
}
