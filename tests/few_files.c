/* Tests room 14 where the system allows few open files: models of many shards open, twice, and all tensors are read.
 * POSIX only. */
#include "../safetensors.h"

#include "large.h"
#include "models.h"

#if HAS_POSIX
#include <errno.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

enum { SHARDS = 160, KEPT = 64 };

static pack p;
static st_error error;

/* shards with `each` weights of one byte, 'a' + number % 26, and their index */
static void put_model(size_t shards, size_t each) {
    growing text = {NULL, 0, 0};
    char name[64], digits[21], prefix[64];
    size_t i, k, n;
    text_put(&text, "{\"weight_map\":{");
    for (i = 0; i < shards; i++) {
        unsigned char *file;
        snprintf(prefix, sizeof prefix, "layers.%u.w", (unsigned)i);
        file = many_tensors(prefix, each, 0, &n);
        snprintf(name, sizeof name, "model-%05u-of-%05u.safetensors", (unsigned)i + 1, (unsigned)shards);
        pack_take(&p, name, file, n);
        for (k = 0; k < each; k++) {
            text_put(&text, i + k > 0 ? ",\"" : "\"");
            text_put(&text, prefix);
            text_put(&text, test_digits(k, digits));
            text_put(&text, "\":\"");
            text_put(&text, name);
            text_put(&text, "\"");
        }
    }
    text_put(&text, "}}");
    pack_raw(&p, "model.safetensors.index.json", text.at, text.n);
    free(text.at);
}

static int count_free(void) { /* descriptors that this process can still open */
    int held[256], n = 0, i;
    while (n < 256 && (held[n] = open(".", O_RDONLY)) >= 0) n++;
    for (i = 0; i < n; i++) (void)close(held[i]);
    return n;
}

/* lets the process open `count` more files; descriptors below the limit may be in use */
static void allow(struct rlimit *limit, int count) {
    for (limit->rlim_cur = 3; limit->rlim_cur < 256; limit->rlim_cur++) {
        if (!CHECK(setrlimit(RLIMIT_NOFILE, limit) == 0) || count_free() >= count) break;
    }
    CHECK_EQ(count_free(), count);
}

static void read_all(const st_model *m, size_t shards, size_t each, int mapped) {
    size_t i;
    if (!CHECK(m != NULL) || !CHECK(m->shard_count == shards && m->count == shards * each)) return;
    for (i = 0; i<m->count; i += each> 5 ? 37 : 1) {
        char got = 0;
        if (!CHECK_STATUS(st_read(m, &m->tensors[i], 0, &got, 1, &error), ST_OK)) return;
        if (!CHECK_EQ(got, 'a' + i % each % 26) || !CHECK((m->tensors[i].data != NULL) == mapped)) return;
    }
}

/* opens a model twice while only `count` files can be opened, and reads it */
static void open_twice(size_t shards, size_t each, int count, unsigned flags) {
    const int kept = (int)(shards < KEPT ? shards : KEPT);
    const int left = count < kept + (shards > KEPT) ? count : count - kept; /* none is kept where all do not fit */
    const int is_second = left >= 1;
    struct rlimit before, limit;
    st_open_options options;
    st_model *first = NULL, *second = NULL;
    char row[100];
    snprintf(row, sizeof row, "%d shards of %d tensors, %d files, flags %u", (int)shards, (int)each, count, flags);
    test_row = row;
    memset(&options, 0, sizeof options);
    options.flags = flags;
    CHECK(getrlimit(RLIMIT_NOFILE, &before) == 0);
    limit = before;
    allow(&limit, count);
    CHECK_STATUS(st_open(&first, "pack", &options, &error), ST_OK);
    CHECK_EQ(count_free(), left);
    CHECK_STATUS(st_open(&second, "pack", &options, &error), is_second ? ST_OK : ST_ERR_IO);
    read_all(first, shards, each, flags == 0);
    if (is_second) read_all(second, shards, each, flags == 0);
    st_close(second);
    st_close(first);
    CHECK_EQ(count_free(), count);
    CHECK(setrlimit(RLIMIT_NOFILE, &before) == 0);
}

static void few(size_t shards, size_t each, const int *counts) {
    pack_begin(&p, 1);
    put_model(shards, each);
    for (; *counts; counts++) {
        open_twice(shards, each, *counts, 0);
        open_twice(shards, each, *counts, ST_OPEN_NO_MAP);
    }
    pack_end(&p);
}

/* without any descriptor left the error has the code of the system */
static void none(void) {
    struct rlimit before, limit;
    st_model *m;
    test_row = "no file at all";
    pack_begin(&p, 1);
    put_model(2, 1);
    CHECK(getrlimit(RLIMIT_NOFILE, &before) == 0);
    limit = before;
    limit.rlim_cur = 0;
    CHECK(setrlimit(RLIMIT_NOFILE, &limit) == 0);
    CHECK_STATUS(st_open(&m, "pack", NULL, &error), ST_ERR_IO);
    CHECK_EQ(error.sys, EMFILE);
    CHECK_STATUS(st_open(&m, "pack/model.safetensors.index.json", NULL, &error), ST_ERR_IO);
    CHECK_EQ(error.sys, EMFILE);
    CHECK(setrlimit(RLIMIT_NOFILE, &before) == 0);
    pack_end(&p);
}

int main(void) {
    static const int many[] = {1, 2, 20, 63, 64, 65, 66, 80, 130, 0}, exact[] = {1, 39, 40, 41, 80, 0};
    models_begin("few_files");
    few(SHARDS, 5, many);
    few(SHARDS, 200, many); /* headers of over 512 KiB, which are read twice */
    few(40, 5, exact);
    few(40, 500, exact); /* every file stays open while headers are read again */
    none();
    test_row = "";
    models_end();
    return test_done("few_files");
}
#else
int main(void) {
    SKIP("no limit of open files that a program can set");
    return test_done("few_files");
}
#endif
