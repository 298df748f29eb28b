/* save.c: two ways to save what the ranks hold. No rank holds a whole tensor that is divided. */
#define _POSIX_C_SOURCE 200809L
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

enum { LEAST_BLOCK = 1 << 16, ALL_BLOCKS = 1 << 24 };

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
    snprintf(path, sizeof path, "%s/%s", directory, name);
    return unlink(path) == 0 || errno == ENOENT ? ST_OK : job_fail(j, ST_ERR_IO, path, strerror(errno));
}

typedef enum action { REFUSE_PIECES, REFUSE_SHARDS, REMOVE_TEMPORARY, REMOVE_PIECES } action;

/* Looks at all names in a directory. Models of two kinds in one directory would be taken for each other. */
static st_status each_file(const char *path, action todo, job *j) {
    DIR *directory = opendir(path);
    const struct dirent *entry;
    st_status status = ST_OK;
    if (!directory) return job_fail(j, ST_ERR_IO, path, strerror(errno));
    while (status == ST_OK && (entry = readdir(directory)) != NULL) {
        const char *name = entry->d_name;
        const int is_ours = piece_number(name) > 0, is_temporary = strncmp(name, ".mpi-", 5) == 0;
        const int is_piece = strncmp(name, "shard-", 6) == 0 && strstr(name, "-model-");
        const int is_shard = strncmp(name, "model", 5) == 0 && strstr(name, ".safetensors");
        if ((todo == REFUSE_PIECES && is_piece) || (todo == REFUSE_SHARDS && (is_shard || (is_piece && !is_ours))))
            status = job_fail(j, ST_ERR_SHARD, name, "another model is here: save to a new directory");
        if (todo == REMOVE_PIECES ? is_ours : todo == REMOVE_TEMPORARY && is_temporary)
            status = remove_file(path, name, j);
    }
    closedir(directory);
    return status;
}

static st_status make_directory(const char *path, job *j) {
    return mkdir(path, 0777) == 0 || errno == EEXIST ? ST_OK : job_fail(j, ST_ERR_IO, path, strerror(errno));
}

/* ---- what both ways write ----------------------------------------------------------------------------------- */

/* Metadata of the source, without what describes pieces; room for three more pairs. Returns NULL if out of memory. */
static st_pair *copy_metadata(const source *s, size_t *count) {
    const st_model *m = s->models[0];
    st_pair *pairs = (st_pair *)malloc((m->metadata_count + 3) * sizeof *pairs);
    size_t i;
    *count = 0;
    for (i = 0; pairs && i < m->metadata_count; i++) {
        const char *key = m->metadata[i].key;
        if (strcmp(key, "DCP_VERSION") != 0 && strcmp(key, "DCP_SHARDING_INFO") != 0)
            pairs[(*count)++] = m->metadata[i];
    }
    return pairs;
}

/* ---- one sharded model -------------------------------------------------------------------------------------- */

typedef struct request { /* what the writer of a shard needs next; tensor counts from 1, and 0 is nothing */
    uint64_t tensor, offset, bytes, failed;
} request;

/* What the ranks exchange while each of them saves a shard: in one step every rank receives a block of its own. */
typedef struct exchange {
    const source *source;
    unsigned char *const *parts;
    job *j;
    const st_tensor *tensors; /* of the whole model */
    request *requests;        /* of all ranks */
    int *send_counts, *send_offsets, *receive_counts, *receive_offsets;
    unsigned char *send, *receive;
    uint64_t block_bytes, done, total;
    int failed; /* on any rank */
    progress_line line;
} exchange;

/* Copies what a rank's slice has of the requested bytes, in their order: from the slice to `packed`, or with part_bytes
 * NULL from `packed` to their places in the block. Returns their number. */
static int copy_runs(const whole *w, const slice *part, const request *q, int rank, const unsigned char *part_bytes,
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
        if (part_bytes) {
            memcpy(packed + done, part_bytes + outer * (end - begin) * step + (low - first), (size_t)(high - low));
        } else {
            memcpy(block + (low - q->offset), packed + done, (size_t)(high - low));
        }
        done += (int)(high - low);
    }
    return done;
}

/* One step: every rank says what it needs, and sends to each what it has of that. Returns whether any rank needs more.
 * A rank that failed says so too, and then all stop. */
static int exchange_step(exchange *x, const request *mine, unsigned char *block) {
    int r, sent = 0, received = 0, goes_on = 0;
    MPI_Allgather(mine, 4, MPI_UINT64_T, x->requests, 4, MPI_UINT64_T, MPI_COMM_WORLD);
    for (r = 0; r < x->j->ranks; r++) {
        const request *q = &x->requests[r];
        x->send_offsets[r] = sent;
        if (q->tensor) {
            const size_t t = (size_t)q->tensor - 1;
            const slice part = slice_of(x->j, x->source, t, x->j->rank);
            sent += copy_runs(&x->source->wholes[t], &part, q, x->j->rank, x->parts[t], x->send + sent, NULL);
        }
        x->send_counts[r] = sent - x->send_offsets[r];
        x->failed |= q->failed != 0;
        goes_on |= q->tensor != 0;
        x->done += q->bytes;
    }
    if (x->failed || !goes_on) return 0;
    MPI_Alltoall(x->send_counts, 1, MPI_INT, x->receive_counts, 1, MPI_INT, MPI_COMM_WORLD);
    for (r = 0; r < x->j->ranks; received += x->receive_counts[r++]) x->receive_offsets[r] = received;
    MPI_Alltoallv(x->send, x->send_counts, x->send_offsets, MPI_BYTE, x->receive, x->receive_counts, x->receive_offsets,
                  MPI_BYTE, MPI_COMM_WORLD);
    for (r = 0; mine->tensor && r < x->j->ranks; r++) {
        const slice part = slice_of(x->j, x->source, (size_t)mine->tensor - 1, r);
        copy_runs(&x->source->wholes[mine->tensor - 1], &part, mine, r, NULL, x->receive + x->receive_offsets[r],
                  block);
    }
    if (x->j->rank == 0) progress_line_show(&x->line, x->done, x->total);
    return 1;
}

/* st_save asks for bytes of this rank's shard; the other ranks are in the same step. */
static int fill(void *user, const st_tensor *tensor, uint64_t offset, void *dst, size_t n) {
    exchange *x = (exchange *)user;
    request mine;
    size_t done;
    mine.tensor = (uint64_t)(tensor - x->tensors) + 1;
    mine.failed = 0;
    for (done = 0; done < n; done += (size_t)mine.bytes) {
        mine.offset = offset + done;
        mine.bytes = n - done < x->block_bytes ? n - done : x->block_bytes;
        if (!exchange_step(x, &mine, (unsigned char *)dst + done)) return 1;
    }
    return 0;
}

static int exchange_begin(exchange *x, const source *s, unsigned char *const *parts, job *j) {
    const size_t n = (size_t)j->ranks;
    size_t i;
    memset(x, 0, sizeof *x);
    x->source = s;
    x->parts = parts;
    x->j = j;
    for (i = 0; i < s->count; i++) x->total += s->wholes[i].tensor.bytes;
    x->block_bytes = ALL_BLOCKS / n > LEAST_BLOCK ? ALL_BLOCKS / n : LEAST_BLOCK;
    x->requests = (request *)calloc(n, sizeof *x->requests);
    x->send_counts = (int *)calloc(4 * n, sizeof(int));
    x->send = (unsigned char *)malloc((n + 1) * x->block_bytes);
    if (!x->requests || !x->send_counts || !x->send) return 0;
    x->send_offsets = x->send_counts + n;
    x->receive_counts = x->send_counts + 2 * n;
    x->receive_offsets = x->send_counts + 3 * n;
    x->receive = x->send + n * x->block_bytes;
    progress_line_begin(&x->line, "saving");
    return 1;
}

/* Step 2 of the order in the manual (5 MODELS IN SEVERAL FILES): from here on the directory does not open. */
static st_status remove_older(const char *directory, uint32_t count, job *j) {
    char name[ST_SHARD_NAME_BYTES];
    st_status status = remove_file(directory, "model.safetensors.index.json", j);
    uint32_t k;
    if (!status) status = remove_file(directory, "model.safetensors", j);
    for (k = 0; k < count && status == ST_OK; k++) {
        st_shard_name(NULL, k, count, name, sizeof name);
        status = remove_file(directory, name, j);
    }
    return status ? status : flush_directory(directory, j);
}

/* In each round every rank saves one shard, or sends what the others need. Tensors of a shard follow one another. */
static int save_rounds(exchange *x, const st_contents *all, const uint32_t *shard_of, uint32_t count,
                       const save_plan *to, int is_file) {
    static const request nothing = {0, 0, 0, 0}, failure = {0, 0, 0, 1};
    char path[PATH_BYTES], name[ST_SHARD_NAME_BYTES];
    st_save_options options = ST_ZERO_INIT;
    st_status status = ST_OK;
    uint32_t shard = (uint32_t)x->j->rank, first;
    options.align = (size_t)to->align;
    options.fill = fill;
    options.user = x;
    x->tensors = all->tensors;
    for (first = 0; first < count && !x->failed; first += (uint32_t)x->j->ranks, shard += (uint32_t)x->j->ranks) {
        st_contents contents = *all;
        size_t begin = 0;
        while (begin < all->count && shard_of[begin] < shard) begin++;
        contents.tensors += begin;
        contents.count = 0;
        while (begin < all->count && shard_of[begin] == shard) begin++, contents.count++;
        if (shard < count) {
            if (!is_file) st_shard_name(NULL, shard, count, name, sizeof name);
            snprintf(path, sizeof path, is_file ? "%s" : "%s/%s", to->to, name);
            status = st_save(path, &contents, &options, &x->j->error);
        }
        if (x->failed) status = ST_OK; /* the rank that failed has the message */
        if (status) exchange_step(x, &failure, NULL);
        while (!x->failed && exchange_step(x, &nothing, NULL)) {}
    }
    return job_failed(x->j, status);
}

int save_model(const source *s, unsigned char *const *parts, const save_plan *to, job *j) {
    const int is_file = ends_with(to->to, ".safetensors");
    st_tensor *tensors = (st_tensor *)malloc((s->count + 1) * sizeof *tensors);
    uint32_t *shard_of = (uint32_t *)calloc(s->count + 1, sizeof *shard_of), count = 1;
    st_contents contents = st_contents_of(s->models[0]);
    st_pair *metadata = copy_metadata(s, &contents.metadata_count);
    st_save_options options = ST_ZERO_INIT;
    st_status status = ST_OK;
    exchange x;
    size_t i;
    int failed, has_memory = exchange_begin(&x, s, parts, j) && tensors && shard_of && metadata;
    for (i = 0; has_memory && i < s->count; i++) tensors[i] = s->wholes[i].tensor;
    contents.tensors = tensors;
    contents.count = s->count;
    contents.from = NULL;
    if (contents.metadata) contents.metadata = metadata;
    options.max_shard_bytes = to->max_shard_bytes;
    if (!has_memory) {
        status = job_fail(j, ST_ERR_MEMORY, to->to, "out of memory");
    } else if (!is_file) {
        status = st_plan_shards(&contents, &options, shard_of, &count, &j->error);
        if (!status && j->rank == 0) status = make_directory(to->to, j);
        if (!status && j->rank == 0) status = each_file(to->to, REFUSE_PIECES, j);
        if (!status && j->rank == 0 && count > 1) status = remove_older(to->to, count, j);
    }
    failed = job_failed(j, status) || save_rounds(&x, &contents, shard_of, count, to, is_file) ||
             (!is_file && job_failed(j, j->rank ? ST_OK : st_save_index(to->to, &contents, &options, &j->error)));
    progress_line_end(&x.line);
    free(x.requests);
    free(x.send_counts);
    free(x.send);
    free(tensors);
    free(shard_of);
    free(metadata);
    return failed;
}

/* ---- pieces ------------------------------------------------------------------------------------------------- */

/* Saves this rank's file under a temporary name. `text` receives the DCP_SHARDING_INFO. */
static st_status save_my_piece(const source *s, unsigned char *const *parts, const char *path, uint64_t align, job *j) {
    static const st_pair version = {"DCP_VERSION", "1.0", 0, 0}, format = {"format", "pt", 0, 0};
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
        pairs[contents.metadata_count] = version;
        pairs[contents.metadata_count].key = "DCP_SHARDING_INFO";
        pairs[contents.metadata_count++].value = text;
        pairs[contents.metadata_count++] = version;
        if (!st_find_metadata(s->models[0], "format")) pairs[contents.metadata_count++] = format;
        contents.tensors = tensors;
        contents.metadata = pairs;
        options.align = (size_t)align;
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

/* A set of pieces without number 1 is refused, so number 1 goes first and comes last: whatever happens in between,
 * nobody reads pieces of two models. */
int save_pieces(const source *s, unsigned char *const *parts, const save_plan *to, job *j) {
    char temporary[PATH_BYTES], path[PATH_BYTES];
    st_status status;
    snprintf(path, sizeof path, "%s/" PIECE_NAME, to->to, (unsigned)j->rank + 1);
    snprintf(temporary, sizeof temporary, "%s/.mpi-%05d.safetensors", to->to, j->rank + 1);
    status = j->rank ? ST_OK : make_directory(to->to, j);
    if (!status && j->rank == 0) status = each_file(to->to, REFUSE_SHARDS, j);
    if (!status && j->rank == 0) status = each_file(to->to, REMOVE_TEMPORARY, j);
    if (job_failed(j, status)) return 1;
    if (job_failed(j, save_my_piece(s, parts, temporary, to->align, j))) {
        unlink(temporary); /* the disk may be full */
        return 1;
    }
    if (j->rank == 0) {
        status = remove_file(to->to, strrchr(path, '/') + 1, j);
        if (!status) status = flush_directory(to->to, j);
        if (!status) status = each_file(to->to, REMOVE_PIECES, j);
        if (!status) status = flush_directory(to->to, j);
    }
    if (job_failed(j, status)) return 1;
    if (job_failed(j, j->rank ? move_into_place(temporary, path, to->to, j) : ST_OK)) return 1;
    return job_failed(j, j->rank ? ST_OK : move_into_place(temporary, path, to->to, j));
}
