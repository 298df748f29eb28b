/* save.c: two ways to save what the ranks hold. No rank holds a whole tensor that is divided. */
#if !defined(_POSIX_C_SOURCE)
#define _POSIX_C_SOURCE 200809L
#endif
#include "../common/progress.h"
#include "../common/text.h"
#include "mpi_model.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PATH_BYTES = 4096, LEAST_BLOCK = 1 << 16, ALL_BLOCKS = 1 << 24 };

static int ends_with(const char *text, const char *end) {
    const size_t n = strlen(text), m = strlen(end);
    return n >= m && strcmp(text + n - m, end) == 0;
}

/* ---- directories -------------------------------------------------------------------------------------------- */

static st_status flush_directory(const char *path, job *j) {
    const int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    /* EINVAL: the file system has no such call, and no other way either */
    const int failed = fd < 0 || (fsync(fd) != 0 && errno != EINVAL);
    const int code = errno;
    if (fd >= 0) close(fd);
    return failed ? job_fail(j, ST_ERR_IO, path, strerror(code)) : ST_OK;
}

static st_status remove_file(const char *directory, const char *name, job *j) {
    char path[PATH_BYTES];
    if ((size_t)snprintf(path, sizeof path, "%s/%s", directory, name) >= sizeof path) {
        return job_fail(j, ST_ERR_PATH, directory, "the path is too long");
    }
    return unlink(path) == 0 || errno == ENOENT ? ST_OK : job_fail(j, ST_ERR_IO, path, strerror(errno));
}

static int is_piece(const char *name) {
    return strncmp(name, "shard-", 6) == 0 && ends_with(name, ".safetensors");
}

static int is_temporary(const char *name) {
    return strncmp(name, ".mpi-", 5) == 0 && ends_with(name, ".safetensors");
}

/* Calls remove_file for every file of a kind, or with remove 0 refuses the first. */
static st_status each_file(const char *directory, int (*is_kind)(const char *name), int remove, job *j) {
    DIR *open_directory = opendir(directory);
    const struct dirent *entry;
    st_status status = ST_OK;
    if (!open_directory) return job_fail(j, ST_ERR_IO, directory, strerror(errno));
    while (status == ST_OK && (entry = readdir(open_directory)) != NULL) {
        if (!is_kind(entry->d_name)) continue;
        status = remove
                     ? remove_file(directory, entry->d_name, j)
                     : job_fail(j, ST_ERR_SHARD, directory, "holds a model of another kind: save to a new directory");
    }
    closedir(open_directory);
    return status;
}

/* What a directory must not hold: for pieces any other model, for a sharded model pieces or a model with another name. */
static int is_foreign_to_pieces(const char *name) {
    return name[0] != '.' && !is_piece(name) &&
           (ends_with(name, ".safetensors") || ends_with(name, ".safetensors.index.json"));
}

static int is_foreign_to_shards(const char *name) {
    if (strcmp(name, "model.safetensors") == 0 || strcmp(name, "model.safetensors.index.json") == 0) return 0;
    if (strncmp(name, "model-", 6) == 0 && strlen(name) == strlen("model-00001-of-00001.safetensors")) return 0;
    return is_piece(name) || is_foreign_to_pieces(name);
}

/* Rank 0 makes the directory if need be, and refuses to mix two models. */
static st_status prepare_directory(const char *path, int (*is_foreign)(const char *name), job *j) {
    if (j->rank != 0) return ST_OK;
    if (mkdir(path, 0777) != 0 && errno != EEXIST) return job_fail(j, ST_ERR_IO, path, strerror(errno));
    return each_file(path, is_foreign, 0, j);
}

/* ---- what both ways write ----------------------------------------------------------------------------------- */

/* Metadata of the source, without what describes pieces; room for three more pairs. Returns NULL if out of memory. */
static st_pair *copy_metadata(const source *s, size_t *count) {
    const st_model *m = s->models[0];
    st_pair *pairs = (st_pair *)malloc((m->metadata_count + 3) * sizeof *pairs);
    size_t i;
    *count = 0;
    for (i = 0; pairs && i < m->metadata_count; i++) {
        if (strncmp(m->metadata[i].key, "DCP_", 4) != 0) pairs[(*count)++] = m->metadata[i];
    }
    return pairs;
}

static st_pair pair_of(const char *key, const char *value) {
    st_pair pair = ST_ZERO_INIT;
    pair.key = key;
    pair.value = value;
    return pair;
}

/* ---- one sharded model -------------------------------------------------------------------------------------- */

typedef struct request { /* what the writer of a shard needs next; tensor counts from 1, and 0 is nothing */
    uint64_t tensor, offset, bytes, failed;
} request;

/* Copies what a rank's slice has of the requested bytes, in their order: from the slice to `packed`, or with slice_bytes
 * NULL from `packed` to their places in the block. Returns their number. */
static int copy_runs(const whole *w, const slice *part, const request *q, int rank, const unsigned char *slice_bytes,
                     unsigned char *packed, unsigned char *block) {
    const uint64_t end_of_block = q->offset + q->bytes;
    uint64_t step = w->tensor.bytes, extent = 1, begin = 0, end = part->owner == rank, outer;
    int d, done = 0;
    if (part->axis >= 0) {
        for (d = 0; d <= part->axis; d++) step /= w->shape[d];
        extent = w->shape[part->axis];
        begin = part->begin;
        end = part->end;
    }
    for (outer = q->offset / (extent * step); outer * extent * step < end_of_block; outer++) {
        const uint64_t first = (outer * extent + begin) * step, last = (outer * extent + end) * step;
        const uint64_t low = first > q->offset ? first : q->offset, high = last < end_of_block ? last : end_of_block;
        if (low >= high) continue;
        if (slice_bytes) {
            memcpy(packed + done, slice_bytes + outer * (end - begin) * step + (low - first), (size_t)(high - low));
        } else {
            memcpy(block + (low - q->offset), packed + done, (size_t)(high - low));
        }
        done += (int)(high - low);
    }
    return done;
}

typedef struct exchange { /* buffers of one step, in which every rank may receive a block of its own shard */
    request *requests;
    int *send_counts, *send_offsets, *receive_counts, *receive_offsets;
    unsigned char *send, *receive, *block;
    uint64_t block_bytes;
} exchange;

static int exchange_begin(exchange *x, int ranks) {
    const size_t n = (size_t)ranks;
    x->block_bytes = ALL_BLOCKS / n > LEAST_BLOCK ? ALL_BLOCKS / n : LEAST_BLOCK;
    x->requests = (request *)calloc(n, sizeof *x->requests);
    x->send_counts = (int *)calloc(4 * n, sizeof(int));
    x->send = (unsigned char *)malloc(n * x->block_bytes);
    x->receive = (unsigned char *)malloc(2 * x->block_bytes);
    if (!x->requests || !x->send_counts || !x->send || !x->receive) return 0;
    x->send_offsets = x->send_counts + n;
    x->receive_counts = x->send_counts + 2 * n;
    x->receive_offsets = x->send_counts + 3 * n;
    x->block = x->receive + x->block_bytes;
    return 1;
}

static void exchange_end(exchange *x) {
    free(x->requests);
    free(x->send_counts);
    free(x->send);
    free(x->receive);
}

/* Every rank sends to every writer what it has of the block that this writer needs. */
static void exchange_blocks(exchange *x, const source *s, unsigned char *const *parts, const job *j) {
    const request *mine = &x->requests[j->rank];
    const size_t wanted = (size_t)mine->tensor - 1;
    int r, sent = 0, received = 0;
    for (r = 0; r < j->ranks; r++) {
        const request *q = &x->requests[r];
        const size_t t = (size_t)q->tensor - 1;
        x->send_offsets[r] = sent;
        if (q->tensor) {
            const slice part = slice_of(j, s, t, j->rank);
            sent += copy_runs(&s->wholes[t], &part, q, j->rank, parts[t], x->send + sent, NULL);
        }
        x->send_counts[r] = sent - x->send_offsets[r];
    }
    MPI_Alltoall(x->send_counts, 1, MPI_INT, x->receive_counts, 1, MPI_INT, MPI_COMM_WORLD);
    for (r = 0; r < j->ranks; received += x->receive_counts[r++]) x->receive_offsets[r] = received;
    MPI_Alltoallv(x->send, x->send_counts, x->send_offsets, MPI_BYTE, x->receive, x->receive_counts, x->receive_offsets,
                  MPI_BYTE, MPI_COMM_WORLD);
    for (r = 0; mine->tensor && r < j->ranks; r++) {
        const slice part = slice_of(j, s, wanted, r);
        copy_runs(&s->wholes[wanted], &part, mine, r, NULL, x->receive + x->receive_offsets[r], x->block);
    }
}

typedef struct shards { /* the plan, which is the same on all ranks */
    st_contents contents;
    uint32_t *shard_of; /* by tensor */
    uint32_t count;
    const source *source;
} shards;

static int by_name(const void *key, const void *element) {
    return compare_names((const st_tensor *)key, &((const whole *)element)->tensor);
}

/* The number of a tensor that the writer returned, which is a copy of its own. */
static size_t number_of(const source *s, const st_tensor *t) {
    if (s->are_pieces)
        return (size_t)((const whole *)bsearch(t, s->wholes, s->count, sizeof *s->wholes, by_name) - s->wholes);
    return (size_t)(st_find_n(s->models[0], t->name, t->name_bytes) - s->models[0]->tensors);
}

static st_status plan(shards *p, const source *s, const save_plan *to, int is_file, job *j) {
    st_save_options options = ST_ZERO_INIT;
    st_tensor *tensors = (st_tensor *)malloc((s->count + 1) * sizeof *tensors);
    size_t i;
    memset(p, 0, sizeof *p);
    p->source = s;
    p->contents.tensors = tensors;
    p->contents.count = s->count;
    p->contents.metadata = copy_metadata(s, &p->contents.metadata_count);
    p->contents.index = s->models[0]->index;
    p->contents.index_count = s->models[0]->index_count;
    p->shard_of = (uint32_t *)calloc(s->count + 1, sizeof *p->shard_of);
    if (!tensors || !p->contents.metadata || !p->shard_of) {
        return job_fail(j, ST_ERR_MEMORY, to->to, "out of memory");
    }
    if (!s->models[0]->metadata) {
        free((void *)(uintptr_t)p->contents.metadata);
        p->contents.metadata = NULL;
    }
    for (i = 0; i < s->count; i++) tensors[i] = s->wholes[i].tensor;
    p->count = 1;
    if (is_file) return ST_OK;
    options.max_shard_bytes = to->max_shard_bytes;
    return st_plan_shards(&p->contents, &options, p->shard_of, &p->count, &j->error);
}

static void plan_end(shards *p) {
    free((void *)(uintptr_t)p->contents.tensors);
    free((void *)(uintptr_t)p->contents.metadata);
    free(p->shard_of);
}

/* Opens this rank's shard and writes its header. */
static st_status begin_shard(st_writer **writer, const shards *p, uint32_t shard, const char *path, size_t align,
                             job *j) {
    st_save_options options = ST_ZERO_INIT;
    st_status status;
    size_t i;
    options.align = align;
    status = st_writer_open(writer, path, &options, &j->error);
    if (status == ST_OK && p->contents.metadata) status = st_writer_add_metadata(*writer, NULL, &j->error);
    for (i = 0; i < p->contents.metadata_count && status == ST_OK; i++) {
        status = st_writer_add_metadata(*writer, &p->contents.metadata[i], &j->error);
    }
    for (i = 0; i < p->contents.count && status == ST_OK; i++) {
        if (p->shard_of[i] == shard) status = st_writer_add(*writer, &p->contents.tensors[i], &j->error);
    }
    return status ? status : st_writer_begin(*writer, &j->error);
}

/* Writes one shard on each rank (writer NULL: none on this one), a block of each at a time. A rank that fails says so in
 * its next request, so that all stop together. */
static int write_shards(const shards *p, st_writer *writer, exchange *x, unsigned char *const *parts, st_status status,
                        progress_line *line, uint64_t *done, job *j) {
    request mine;
    int r, is_last, failed = 0;
    memset(&mine, 0, sizeof mine);
    for (;;) {
        const st_tensor *next = writer && !status ? st_writer_next(writer) : NULL;
        if (next) {
            const uint64_t tensor = number_of(p->source, next) + 1;
            mine.offset = mine.tensor == tensor ? mine.offset + mine.bytes : 0;
            mine.tensor = tensor;
            mine.bytes = next->bytes - mine.offset < x->block_bytes ? next->bytes - mine.offset : x->block_bytes;
        } else {
            mine.tensor = 0;
        }
        mine.failed = status != ST_OK;
        MPI_Allgather(&mine, 4, MPI_UINT64_T, x->requests, 4, MPI_UINT64_T, MPI_COMM_WORLD);
        for (r = 0, is_last = 1; r < j->ranks; r++) {
            failed |= x->requests[r].failed != 0;
            is_last &= x->requests[r].tensor == 0;
            if (x->requests[r].tensor) *done += x->requests[r].bytes;
        }
        if (is_last || failed) break;
        exchange_blocks(x, p->source, parts, j);
        if (next) status = st_writer_write(writer, x->block, (size_t)mine.bytes, &j->error);
        if (j->rank == 0) progress_line_show(line, *done, *done + 1);
    }
    if (!failed && writer && !status) status = st_writer_finish(writer, &j->error);
    return job_failed(j, status) || failed;
}

/* Step 2 of the order in the manual (5 MODELS IN SEVERAL FILES): from here on the directory does not open. */
static st_status remove_older(const char *directory, uint32_t count, job *j) {
    char name[ST_SHARD_NAME_BYTES];
    st_status status = remove_file(directory, "model.safetensors.index.json", j);
    uint32_t k;
    if (!status) status = flush_directory(directory, j);
    if (!status) status = remove_file(directory, "model.safetensors", j);
    for (k = 0; k < count && status == ST_OK; k++) {
        st_shard_name(NULL, k, count, name, sizeof name);
        status = remove_file(directory, name, j);
    }
    return status ? status : flush_directory(directory, j);
}

/* The shards are written by all ranks in turns: in each round every rank writes one. */
static int save_rounds(const shards *p, exchange *x, unsigned char *const *parts, const save_plan *to, int is_file,
                       job *j) {
    char path[PATH_BYTES], name[ST_SHARD_NAME_BYTES];
    progress_line line;
    uint64_t done = 0;
    uint32_t first;
    int failed = 0;
    progress_line_begin(&line, "saving");
    for (first = 0; first < p->count && !failed; first += (uint32_t)j->ranks) {
        const uint32_t shard = first + (uint32_t)j->rank;
        st_writer *writer = NULL;
        st_status status = ST_OK;
        if (shard < p->count) {
            int n;
            st_shard_name(NULL, shard, p->count, name, sizeof name);
            n = is_file ? snprintf(path, sizeof path, "%s", to->to)
                        : snprintf(path, sizeof path, "%s/%s", to->to, name);
            status = (size_t)n < sizeof path ? begin_shard(&writer, p, shard, path, to->align, j)
                                             : job_fail(j, ST_ERR_PATH, to->to, "the path is too long");
        }
        failed = write_shards(p, writer, x, parts, status, &line, &done, j);
        st_writer_close(writer);
    }
    progress_line_end(&line);
    return failed;
}

int save_model(const source *s, unsigned char *const *parts, const save_plan *to, job *j) {
    const int is_file = ends_with(to->to, ".safetensors");
    st_save_options options = ST_ZERO_INIT;
    exchange x;
    shards p;
    int failed;
    memset(&x, 0, sizeof x);
    failed =
        job_failed(j, plan(&p, s, to, is_file, j)) ||
        job_failed(j, exchange_begin(&x, j->ranks) ? ST_OK : job_fail(j, ST_ERR_MEMORY, to->to, "out of memory")) ||
        (!is_file && job_failed(j, prepare_directory(to->to, is_foreign_to_shards, j)));
    if (!failed && !is_file && p.count > 1) {
        failed = job_failed(j, j->rank == 0 ? remove_older(to->to, p.count, j) : ST_OK);
    }
    if (!failed) failed = save_rounds(&p, &x, parts, to, is_file, j);
    if (!failed && !is_file) {
        options.max_shard_bytes = to->max_shard_bytes;
        failed = job_failed(j, j->rank == 0 ? st_save_index(to->to, &p.contents, &options, &j->error) : ST_OK);
    }
    exchange_end(&x);
    plan_end(&p);
    return failed;
}

/* ---- pieces ------------------------------------------------------------------------------------------------- */

/* Saves this rank's file under a temporary name. `text` receives the DCP_SHARDING_INFO. */
static st_status save_my_piece(const source *s, unsigned char *const *parts, const char *path, size_t align, job *j) {
    st_tensor *tensors = (st_tensor *)malloc((s->count + 1) * sizeof *tensors);
    uint64_t(*shapes)[MAX_RANK] = (uint64_t(*)[MAX_RANK])malloc((s->count + 1) * sizeof *shapes);
    st_save_options options = ST_ZERO_INIT;
    st_contents contents = ST_ZERO_INIT;
    st_status status = ST_ERR_MEMORY;
    char *text = NULL;
    size_t bytes = 0, i;
    st_pair *pairs = copy_metadata(s, &contents.metadata_count);
    FILE *info = open_memstream(&text, &bytes);
    if (tensors && shapes && pairs && info) {
        putc('{', info);
        for (i = 0; i < s->count; i++) {
            const whole *w = &s->wholes[i];
            const slice part = slice_of(j, s, i, j->rank);
            st_tensor *t = &tensors[contents.count];
            uint32_t d;
            if (part.axis < 0 ? part.owner != j->rank : part.begin == part.end) continue;
            memcpy(shapes[i], w->shape, sizeof shapes[i]);
            if (part.axis >= 0) shapes[i][part.axis] = part.end - part.begin;
            *t = st_tensor_of(w->tensor.name, w->tensor.dtype, w->tensor.rank, shapes[i], parts[i]);
            t->name_bytes = w->tensor.name_bytes;
            fputs(contents.count++ ? "," : "", info);
            put_json(info, w->tensor.name, w->tensor.name_bytes);
            fputs(":{\"saved_offsets\":[", info);
            for (d = 0; d < w->tensor.rank; d++) {
                fprintf(info, "%s%llu", d ? "," : "", (unsigned long long)((int)d == part.axis ? part.begin : 0));
            }
            fputs("]}", info);
        }
        putc('}', info);
    }
    if (info && fclose(info) == 0 && tensors && shapes && pairs) {
        pairs[contents.metadata_count++] = pair_of("DCP_SHARDING_INFO", text);
        pairs[contents.metadata_count++] = pair_of("DCP_VERSION", "1.0");
        for (i = 0; i + 2 < contents.metadata_count && strcmp(pairs[i].key, "format") != 0; i++) {}
        if (i + 2 == contents.metadata_count) pairs[contents.metadata_count++] = pair_of("format", "pt");
        contents.tensors = tensors;
        contents.metadata = pairs;
        options.align = align;
        status = st_save(path, &contents, &options, &j->error);
    } else {
        job_fail(j, status, path, "out of memory");
    }
    free(text);
    free(tensors);
    free(shapes);
    free(pairs);
    return status;
}

static st_status move_into_place(const char *from, const char *to, const char *directory, job *j) {
    return rename(from, to) ? job_fail(j, ST_ERR_IO, to, strerror(errno)) : flush_directory(directory, j);
}

/* A set of pieces without number 1 is refused, so number 1 goes first and comes last: whatever happens in between, nobody
 * reads pieces of two models. */
int save_pieces(const source *s, unsigned char *const *parts, const save_plan *to, job *j) {
    static const char first[] = "shard-00001-model-00001-of-00001.safetensors";
    char temporary[PATH_BYTES], path[PATH_BYTES];
    st_status status = ST_OK;
    const int n = snprintf(path, sizeof path, "%s/shard-%05d-model-00001-of-00001.safetensors", to->to, j->rank + 1);
    snprintf(temporary, sizeof temporary, "%s/.mpi-%05d.safetensors", to->to, j->rank + 1);
    if ((size_t)n >= sizeof path || j->ranks > 99999) status = job_fail(j, ST_ERR_PATH, to->to, "the path is too long");
    if (job_failed(j, status)) return 1;
    status = prepare_directory(to->to, is_foreign_to_pieces, j);
    if (!status && j->rank == 0) status = each_file(to->to, is_temporary, 1, j);
    if (job_failed(j, status)) return 1;
    if (job_failed(j, save_my_piece(s, parts, temporary, to->align, j))) return 1;
    if (j->rank == 0) {
        status = remove_file(to->to, first, j);
        if (!status) status = flush_directory(to->to, j);
        if (!status) status = each_file(to->to, is_piece, 1, j);
        if (!status) status = flush_directory(to->to, j);
    }
    if (job_failed(j, status)) return 1;
    if (job_failed(j, j->rank ? move_into_place(temporary, path, to->to, j) : ST_OK)) return 1;
    return job_failed(j, j->rank ? ST_OK : move_into_place(temporary, path, to->to, j));
}
