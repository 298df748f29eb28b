/* write.c: saving, streaming, sharding, merging: a worker of the benchmark (worker.h) */
#define ST_IMPLEMENTATION
#include "../../safetensors.h"
#include "worker.h"

enum { TENSORS = 4, BLOCK = 1 << 20 };

static void expect_ok(st_status status, const st_error *error) {
    expect(status == ST_OK, error->message);
}

/* four tensors of together that many bytes, without data */
static void describe(st_tensor *tensors, uint64_t *shape, uint64_t bytes) {
    static const char *const names[TENSORS] = {"a", "b", "c", "d"};
    int i;
    memset(tensors, 0, TENSORS * sizeof *tensors);
    shape[0] = bytes / TENSORS;
    for (i = 0; i < TENSORS; i++) {
        tensors[i].name = names[i];
        tensors[i].dtype = ST_DTYPE_U8;
        tensors[i].rank = 1;
        tensors[i].shape = shape;
    }
}

static st_save_options flushing(const char *flush) {
    st_save_options options;
    memset(&options, 0, sizeof options);
    options.flags = flush && atoi(flush) ? 0u : (unsigned)ST_SAVE_NO_SYNC;
    return options;
}

static void save(char **arguments, result *r) { /* FILE BYTES FLUSH: from memory */
    uint64_t bytes = strtoull(arguments[1], NULL, 10), shape[1];
    st_save_options options = flushing(arguments[2]);
    st_tensor tensors[TENSORS];
    st_contents contents;
    st_error error;
    int i;
    describe(tensors, shape, bytes);
    memset(&contents, 0, sizeof contents);
    contents.tensors = tensors;
    contents.count = TENSORS;
    for (i = 0; i < TENSORS; i++) tensors[i].data = buffer(0, (size_t)bytes) + (size_t)shape[0] * (size_t)i;
    expect_ok(st_save(arguments[0], &contents, &options, &error), &error);
    r->work = (double)bytes;
}

/* FILE BYTES FLUSH, in a process that has done nothing yet: through the streaming writer, from one block of memory; gives
   the most memory that was used at once */
static void stream(char **arguments, result *r) {
    uint64_t bytes = strtoull(arguments[1], NULL, 10), shape[1], done;
    st_save_options options = flushing(arguments[2]);
    const unsigned char *block = buffer(0, BLOCK);
    st_tensor tensors[TENSORS];
    st_writer *writer;
    st_error error;
    int i;
    describe(tensors, shape, bytes);
    expect_ok(st_writer_open(&writer, arguments[0], &options, &error), &error);
    for (i = 0; i < TENSORS; i++) expect_ok(st_writer_add(writer, &tensors[i], &error), &error);
    expect_ok(st_writer_begin(writer, &error), &error);
    for (done = 0; done < bytes; done += BLOCK) expect_ok(st_writer_write(writer, block, BLOCK, &error), &error);
    expect_ok(st_writer_finish(writer, &error), &error);
    st_writer_close(writer);
    r->work = (double)bytes;
    r->more[0] = status_line("VmHWM:");
}

static void shard(char **arguments, result *r) { /* DIRECTORY SOURCE BYTES-OF-A-SHARD */
    st_save_options options = flushing(NULL);
    st_error error;
    st_model *m;
    expect_ok(st_open(&m, arguments[1], NULL, &error), &error);
    options.from = m;
    options.max_shard_bytes = strtoull(arguments[2], NULL, 10);
    expect_ok(st_save_sharded(arguments[0], m->tensors, m->count, m->metadata, m->metadata_count, &options, &error),
              &error);
    r->work = (double)m->bytes;
    st_close(m);
}

static void merge(char **arguments, result *r) { /* FILE DIRECTORY */
    st_save_options options = flushing(NULL);
    st_contents contents;
    st_error error;
    st_model *m;
    expect_ok(st_open(&m, arguments[1], NULL, &error), &error);
    contents = st_contents_of(m);
    expect_ok(st_save(arguments[0], &contents, &options, &error), &error);
    r->work = (double)m->bytes;
    st_close(m);
}

static const workload workloads[] = {
    {"save-once", save}, {"stream-once", stream}, {"shard-once", shard}, {"merge-once", merge}, {NULL, NULL}};

int main(void) {
    return serve(workloads);
}
