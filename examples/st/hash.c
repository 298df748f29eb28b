/* hash.c: SHA-256 of files, of their data and of tensors. */
#include "st.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* ---- one file, read once: while one thread reads the next block, others hash the last one ------------------- */

enum { BLOCK_BYTES = 1 << 22, THREADS_FROM = 1 << 18 }; /* smaller blocks are hashed on one thread */

typedef struct block {
    unsigned char *bytes;
    size_t n;
    uint64_t offset; /* in the file */
} block;

typedef struct hashing {
    const st_model *model;
    const st_shard *files;
    size_t file_count;
    model_hashes *to;
    progress bar;
    uint64_t done, total; /* bytes of all files; then of the tensors of a virtual model */
    unsigned char *buffer;
    /* the current file */
    FILE *file;
    const st_shard *shard;
    block now, next;
    int error_code; /* of reading */
    void (*jobs[4])(struct hashing *h);
    unsigned job_count;
    sha256 of_file, of_data, of_tensor;
    size_t tensor;        /* being hashed; continues from file to file, as tensors are in file order */
    uint64_t tensor_done; /* bytes of it */
} hashing;

static void read_next(hashing *h) {
    h->next.offset = h->now.offset + h->now.n;
    errno = 0;
    h->next.n = system_read(h->file, h->next.bytes, BLOCK_BYTES);
    if (h->next.n < BLOCK_BYTES && ferror(h->file)) h->error_code = errno ? errno : EIO;
}

static void hash_file(hashing *h) {
    sha256_add(&h->of_file, h->now.bytes, h->now.n);
}

/* Returns how many bytes of the current block belong to the header. */
static size_t header_part(const hashing *h) {
    const uint64_t rest = h->now.offset < h->shard->data_offset ? h->shard->data_offset - h->now.offset : 0;
    return rest < h->now.n ? (size_t)rest : h->now.n;
}

static void hash_data(hashing *h) {
    const size_t skipped = header_part(h);
    sha256_add(&h->of_data, h->now.bytes + skipped, h->now.n - skipped);
}

/* Adds dtype, shape and their ends, as the help describes. */
static void begin_tensor(sha256 *h, const st_tensor *t) {
    char digits[NUMBER_BYTES];
    uint32_t i;
    sha256_begin(h);
    sha256_add(h, t->dtype_name, strlen(t->dtype_name) + 1);
    for (i = 0; i < t->rank; i++) {
        const char *text = number_text(t->shape[i], digits);
        if (i) sha256_add(h, ",", 1);
        sha256_add(h, text, strlen(text));
    }
    sha256_add(h, "", 1);
}

/* The tensors of a file are in its order; --index-decides leaves gaps. */
static void hash_tensors(hashing *h) {
    const uint64_t end = h->now.offset + h->now.n;
    for (; h->tensor < h->model->count; h->tensor++, h->tensor_done = 0) {
        const st_tensor *t = &h->model->tensors[h->tensor];
        const uint64_t first = t->offset + h->tensor_done, left = t->bytes - h->tensor_done;
        size_t n;
        if (h->shard != &h->model->shards[t->shard] || first > end) return;
        n = left < end - first ? (size_t)left : (size_t)(end - first);
        if (h->tensor_done == 0) begin_tensor(&h->of_tensor, t);
        sha256_add(&h->of_tensor, h->now.bytes + (first - h->now.offset), n);
        h->tensor_done += n;
        if (h->tensor_done < t->bytes) return;
        sha256_end(&h->of_tensor, h->to->tensors + h->tensor * SHA256_BYTES);
    }
}

static void run_job(void *user, unsigned k) {
    hashing *h = (hashing *)user;
    h->jobs[k](h);
}

static st_status set_shard_error(const hashing *h, st_error *error, const char *what, const char *reason) {
    set_error(error, ST_ERR_IO, "");
    snprintf(error->message, sizeof error->message, "%s (%s): %s", what, reason, h->shard->path);
    return error->status;
}

static st_status hash_blocks(hashing *h, st_error *error) {
    unsigned k;
    read_next(h);
    for (;;) {
        const block read = h->next;
        h->next = h->now, h->now = read;
        if (h->error_code || h->now.n == 0) break;
        if (h->now.n >= THREADS_FROM) {
            system_run_jobs(run_job, h, h->job_count);
        } else {
            for (k = 0; k < h->job_count; k++) h->jobs[k](h);
        }
        h->done += h->now.n;
        if (progress_step(&h->bar, h->done, h->total)) return set_error(error, ST_ERR_CANCELLED, "interrupted");
    }
    if (system_interrupted()) return set_error(error, ST_ERR_CANCELLED, "interrupted");
    if (h->error_code) {
        return set_shard_error(h, error, "cannot read", strerror(h->error_code));
    }
    if (h->now.offset != h->shard->file_bytes) {
        return set_shard_error(h, error, "the length changed while reading", "try again");
    }
    return ST_OK;
}

static st_status hash_shard(hashing *h, size_t i, st_error *error) {
    st_status status;
    h->shard = &h->files[i];
    if (!h->shard->file_bytes) return ST_OK; /* --partial: there is no file */
    h->file = system_open(h->shard->path);
    if (!h->file) return set_shard_error(h, error, "cannot open", strerror(errno));
    memset(&h->now, 0, sizeof h->now);
    memset(&h->next, 0, sizeof h->next);
    h->now.bytes = h->buffer;
    h->next.bytes = h->buffer + BLOCK_BYTES;
    h->error_code = 0;
    sha256_begin(&h->of_file);
    sha256_begin(&h->of_data);
    status = hash_blocks(h, error);
    fclose(h->file);
    sha256_end(&h->of_file, h->to->files + i * SHA256_BYTES);
    if (h->to->data) sha256_end(&h->of_data, h->to->data + i * SHA256_BYTES);
    return status;
}

/* ---- all files of a model ----------------------------------------------------------------------------------- */

/* The tensors of a virtual model are read one by one, as they lie in the files in parts. */
static st_status hash_virtual_tensors(hashing *h, st_error *error) {
    for (; h->tensor < h->model->count; h->tensor++) {
        const st_tensor *t = &h->model->tensors[h->tensor];
        uint64_t offset = 0;
        begin_tensor(&h->of_tensor, t);
        while (offset < t->bytes) {
            const size_t n = t->bytes - offset < BLOCK_BYTES ? (size_t)(t->bytes - offset) : (size_t)BLOCK_BYTES;
            if (st_read(h->model, t, offset, h->buffer, n, error) != ST_OK) {
                explain_read_error(h->model, error);
                return error->status;
            }
            sha256_add(&h->of_tensor, h->buffer, n);
            offset += n;
            h->done += n;
            if (progress_step(&h->bar, h->done, h->total)) return set_error(error, ST_ERR_CANCELLED, "interrupted");
        }
        sha256_end(&h->of_tensor, h->to->tensors + h->tensor * SHA256_BYTES);
    }
    return ST_OK;
}

static st_status hash_files(hashing *h, int reads_tensors, st_error *error) {
    size_t i;
    for (i = 0; i < h->file_count; i++) h->total += h->files[i].file_bytes;
    if (reads_tensors) h->total += h->model->bytes;
    for (i = 0; i < h->file_count; i++) {
        if (hash_shard(h, i, error) != ST_OK) return error->status;
    }
    return reads_tensors ? hash_virtual_tensors(h, error) : ST_OK;
}

st_status hash_model(model_hashes *to, const st_model *model, unsigned wanted, st_error *error) {
    const int reads_tensors = (wanted & HASH_TENSORS) && virtual_of(model);
    hashing h;
    memset(&h, 0, sizeof h);
    h.model = model;
    h.files = files_of(model, &h.file_count);
    h.to = to;
    h.jobs[h.job_count++] = read_next;
    h.jobs[h.job_count++] = hash_file;
    if (wanted & HASH_DATA) h.jobs[h.job_count++] = hash_data;
    if ((wanted & HASH_TENSORS) && !reads_tensors) h.jobs[h.job_count++] = hash_tensors;
    memset(to, 0, sizeof *to);
    to->files = (unsigned char *)calloc(h.file_count + 1, SHA256_BYTES);
    if (wanted & HASH_DATA) to->data = (unsigned char *)calloc(h.file_count + 1, SHA256_BYTES);
    if (wanted & HASH_TENSORS) to->tensors = (unsigned char *)calloc(model->count + 1, SHA256_BYTES);
    h.buffer = (unsigned char *)malloc((size_t)2 * BLOCK_BYTES);
    error->status = ST_OK;
    if (!to->files || !h.buffer || (!to->data && (wanted & HASH_DATA)) || (!to->tensors && (wanted & HASH_TENSORS))) {
        set_error(error, ST_ERR_MEMORY, "out of memory");
    }
    progress_begin(&h.bar);
    system_watch_interrupts();
    if (error->status == ST_OK) error->status = hash_files(&h, reads_tensors, error);
    progress_end(&h.bar);
    system_stop_watching();
    free(h.buffer);
    return error->status;
}

void hashes_free(model_hashes *h) {
    free(h->files);
    free(h->data);
    free(h->tensors);
}

void put_digest(const unsigned char digest[SHA256_BYTES]) {
    int i;
    for (i = 0; i < SHA256_BYTES; i++) printf("%02x", (unsigned)digest[i]);
}

/* ---- the command -------------------------------------------------------------------------------------------- */

static void put_line(const char *kind, const unsigned char *digest, const char *name, size_t bytes) {
    printf("%-6s  ", kind);
    put_digest(digest);
    fputs("  ", stdout);
    put_text(stdout, name, bytes);
    end_line();
}

static void put_hashes(const st_model *model, const model_hashes *h) {
    size_t i, file_count;
    const st_shard *files = files_of(model, &file_count);
    for (i = 0; i < file_count; i++) {
        const char *path = files[i].path;
        if (!files[i].file_bytes) continue;
        put_line("file", h->files + i * SHA256_BYTES, path, strlen(path));
        put_line("data", h->data + i * SHA256_BYTES, path, strlen(path));
    }
    for (i = 0; h->tensors && i < model->count; i++) {
        put_line("tensor", h->tensors + i * SHA256_BYTES, model->tensors[i].name, model->tensors[i].name_bytes);
    }
}

static void put_digest_json(const char *before, const unsigned char *digest) {
    fputs(before, stdout);
    put_digest(digest);
    putc('"', stdout);
}

static void put_hashes_json(const char *given, const st_model *model, const model_hashes *h) {
    const char *before = "{\"path\":";
    size_t i, file_count;
    const st_shard *files = files_of(model, &file_count);
    fputs(before, stdout);
    put_json(stdout, given, strlen(given));
    fputs(",\"files\":[", stdout);
    for (i = 0; i < file_count; i++) {
        if (!files[i].file_bytes) continue;
        fputs(before, stdout);
        before = ",{\"path\":";
        put_json(stdout, files[i].path, strlen(files[i].path));
        put_digest_json(",\"sha256\":\"", h->files + i * SHA256_BYTES);
        put_digest_json(",\"data_sha256\":\"", h->data + i * SHA256_BYTES);
        putc('}', stdout);
    }
    putc(']', stdout);
    if (h->tensors) fputs(",\"tensors\":[", stdout);
    for (i = 0; h->tensors && i < model->count; i++) {
        fputs(i ? ",{\"name\":" : "{\"name\":", stdout);
        put_json(stdout, model->tensors[i].name, model->tensors[i].name_bytes);
        put_digest_json(",\"sha256\":\"", h->tensors + i * SHA256_BYTES);
        putc('}', stdout);
    }
    fputs(h->tensors ? "]}" : "}", stdout);
    end_line();
}

static int hash_path(const char *given, unsigned wanted, int json) {
    const st_open_options open_options = copy_open_options();
    st_model *model;
    st_error error;
    model_hashes h;
    if (open_model(&model, given, &open_options, &error) != ST_OK) return report(given, &error);
    if (hash_model(&h, model, wanted, &error) != ST_OK) {
        report(given, &error);
    } else if (json) {
        put_hashes_json(given, model, &h);
    } else {
        put_hashes(model, &h);
    }
    hashes_free(&h);
    st_close(model);
    return error.status == ST_OK ? EXIT_FINE : EXIT_FAILED;
}

int command_hash(int argc, char **argv) {
    int tensors = 0, json = 0, code = EXIT_FINE, paths, i;
    const option options[] = {{"--tensors", &tensors, NULL}, {"--json", &json, NULL}};
    paths = parse_options("hash", options, 2, argc, argv);
    if (paths < 0) return EXIT_USAGE;
    if (paths == 0) {
        begin_message("hash");
        fputs("MODEL is missing", stderr);
        return usage_hint("hash");
    }
    for (i = 0; i < paths && !output_failed(); i++) {
        if (hash_path(argv[i], HASH_DATA | (tensors ? HASH_TENSORS : 0), json) != EXIT_FINE) code = EXIT_FAILED;
    }
    return code;
}
