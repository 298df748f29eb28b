/* check.c: checks whether models are valid and, with --deep, what their data contains. */
#include "st.h"

#include "../threads.h"
#include <stdlib.h>
#include <string.h>

/* ZEROS: so many zero bytes at the end of a file, a sector of a disk, may be space that a download has not filled. */
enum { ZEROS = 512, SHOWN_TENSORS = 20, BATCH_PIECES = 1024, BATCH_BYTES = 1 << 25, THREADS = 4 };

typedef struct zeros { /* at the end of a file's data */
    uint64_t bytes;
    size_t tensor; /* where they begin */
} zeros;

typedef struct check {
    int json, deep;
    const char *path;
    const st_model *model;
    const st_shard *files;
    size_t file_count;
    findings sum, *by_tensor; /* --deep */
    zeros *by_file;           /* --deep */
    int hash;                 /* --hash or --lfs */
    const char *lfs;
    expected_hash pointer, *expected; /* --lfs; of each file */
    model_hashes hashes;
    int hash_failed;
} check;

/* ---- reading all data --------------------------------------------------------------------------------------- */

typedef struct batch {    /* pieces of tensors that are loaded in one go */
    unsigned char *bytes; /* BATCH_BYTES: a whole number of elements of every dtype that values.c inspects */
    size_t used, count, tensors[BATCH_PIECES];
    st_tensor raw[BATCH_PIECES]; /* copies of the tensors, as one row of bytes */
    st_range ranges[BATCH_PIECES];
    st_view views[BATCH_PIECES];
    st_load_item items[BATCH_PIECES];
} batch;

/* Adds what fits of the tensor's bytes from `offset` on. Returns how many bytes that is. */
static size_t add_piece(batch *b, const st_tensor *t, size_t index, uint64_t offset) {
    const size_t i = b->count++, free_bytes = BATCH_BYTES - b->used;
    const size_t n = t->bytes - offset < free_bytes ? (size_t)(t->bytes - offset) : free_bytes;
    b->tensors[i] = index;
    b->raw[i] = *t;
    b->raw[i].dtype = ST_DTYPE_U8;
    b->raw[i].rank = 1;
    b->raw[i].shape = &b->raw[i].bytes;
    b->raw[i].elements = t->bytes;
    b->ranges[i].start = offset;
    b->ranges[i].stop = offset + n;
    b->ranges[i].step = 1;
    b->views[i].ranges = &b->ranges[i];
    b->views[i].range_count = 1;
    b->views[i].axes = NULL;
    b->items[i].tensor = &b->raw[i];
    b->items[i].as = ST_AS_STORED;
    b->items[i].dst = b->bytes + b->used;
    b->items[i].dst_bytes = n;
    b->items[i].view = &b->views[i];
    b->used += (n + 7) / 8 * 8;
    return n;
}

static int stop_loading(void *user, uint64_t done, uint64_t total) { /* called on every thread */
    (void)user, (void)done, (void)total;
    return system_interrupted();
}

static size_t zeros_at_end(const unsigned char *bytes, size_t n) {
    size_t left = n;
    uint64_t word;
    for (; left >= sizeof word; left -= sizeof word) {
        memcpy(&word, bytes + left - sizeof word, sizeof word);
        if (word) break;
    }
    while (left > 0 && bytes[left - 1] == 0) left--;
    return n - left;
}

/* Adds the next piece of a file's data. */
static void count_zeros(check *c, size_t tensor, const unsigned char *bytes, size_t n) {
    zeros *z = &c->by_file[c->model->tensors[tensor].shard];
    const size_t count = zeros_at_end(bytes, n);
    if (count < n) z->bytes = 0;
    if (z->bytes == 0) z->tensor = tensor;
    z->bytes += count;
}

static void scan_batch(check *c, batch *b, uint64_t *done, progress *bar, st_error *error) {
    const unsigned threads = b->used < 1 << 22 ? 1 : THREADS;
    const int is_file_order = !virtual_of(c->model); /* whether the pieces follow each other as in the files */
    st_load_options options;
    size_t i;
    memset(&options, 0, sizeof options);
    options.progress = stop_loading;
    if (load_on_threads(c->model, b->items, b->count, threads, &options, error) != ST_OK) return;
    for (i = 0; i < b->count; i++) {
        const size_t index = b->tensors[i], n = b->items[i].dst_bytes;
        count_findings(&c->by_tensor[index], c->model->tensors[index].dtype, (unsigned char *)b->items[i].dst, n);
        if (is_file_order) count_zeros(c, index, (unsigned char *)b->items[i].dst, n);
        *done += n;
    }
    b->used = b->count = 0;
    if (progress_step(bar, *done, c->model->bytes)) error->status = ST_ERR_CANCELLED;
}

static void scan_tensors(check *c, batch *b, st_error *error) {
    uint64_t done = 0;
    progress bar;
    size_t i;
    progress_begin(&bar);
    system_watch_interrupts();
    for (i = 0; error->status == ST_OK && i < c->model->count; i++) {
        const st_tensor *t = &c->model->tensors[i];
        uint64_t offset = 0;
        while (error->status == ST_OK && offset < t->bytes) {
            offset += add_piece(b, t, i, offset);
            if (b->count == BATCH_PIECES || b->used >= BATCH_BYTES) scan_batch(c, b, &done, &bar, error);
        }
    }
    if (error->status == ST_OK && b->count > 0) scan_batch(c, b, &done, &bar, error);
    progress_end(&bar);
    system_stop_watching();
}

static st_status scan_model(check *c, st_error *error) {
    batch *b = (batch *)calloc(1, sizeof *b);
    size_t i;
    memset(&c->sum, 0, sizeof c->sum);
    c->by_tensor = (findings *)calloc(c->model->count + 1, sizeof *c->by_tensor);
    c->by_file = (zeros *)calloc(c->file_count + 1, sizeof *c->by_file);
    if (b) b->bytes = (unsigned char *)malloc(BATCH_BYTES);
    error->status = ST_OK;
    if (!c->by_tensor || !c->by_file || !b || !b->bytes) set_error(error, ST_ERR_MEMORY, "out of memory");
    if (error->status == ST_OK) scan_tensors(c, b, error);
    for (i = 0; error->status == ST_OK && i < c->model->count; i++) {
        c->sum.nan += c->by_tensor[i].nan;
        c->sum.infinity += c->by_tensor[i].infinity;
        c->sum.bad_bool += c->by_tensor[i].bad_bool;
    }
    if (b) free(b->bytes);
    free(b);
    return error->status;
}

static int found_any(const findings *f) {
    return f->nan || f->infinity || f->bad_bool;
}

/* ---- SHA-256 ------------------------------------------------------------------------------------------------ */

static st_status hash_files(check *c, st_error *error) {
    size_t i;
    if (c->lfs && c->file_count != 1) {
        return set_error(error, ST_ERR_ARGUMENT, "a Git LFS pointer is for one file, the model has several");
    }
    c->expected = (expected_hash *)calloc(c->file_count + 1, sizeof *c->expected);
    if (!c->expected) return set_error(error, ST_ERR_MEMORY, "out of memory");
    for (i = 0; i < c->file_count; i++) {
        if (c->lfs) {
            c->expected[i] = c->pointer;
        } else {
            expect_blob(&c->expected[i], c->files[i].path);
        }
    }
    return hash_model(&c->hashes, c->model, 0, error);
}

typedef enum verdict { HASH_EQUAL, HASH_DIFFERENT, HASH_UNKNOWN } verdict;

static verdict verdict_of(const check *c, size_t i) {
    const expected_hash *e = &c->expected[i];
    if (!c->files[i].file_bytes) return HASH_EQUAL; /* --partial: there is no file */
    if (e->unknown) return HASH_UNKNOWN;
    if (e->bytes != UINT64_MAX && e->bytes != c->files[i].file_bytes) return HASH_DIFFERENT;
    return memcmp(e->digest, c->hashes.files + i * SHA256_BYTES, SHA256_BYTES) == 0 ? HASH_EQUAL : HASH_DIFFERENT;
}

static void put_hash(const check *c, size_t i) {
    const expected_hash *e = &c->expected[i];
    const st_shard *shard = &c->files[i];
    if (verdict_of(c, i) == HASH_EQUAL) return;
    end_line();
    fputs("  ", stdout);
    put_string(stdout, shard->path);
    if (e->unknown) {
        printf(": %s", e->unknown);
        return;
    }
    if (e->bytes != UINT64_MAX && e->bytes != shard->file_bytes) {
        fputs(": ", stdout);
        put_number(stdout, shard->file_bytes);
        fputs(" bytes, expected ", stdout);
        put_number(stdout, e->bytes);
        return;
    }
    fputs(": SHA-256 ", stdout);
    put_digest(c->hashes.files + i * SHA256_BYTES);
    fputs(", expected ", stdout);
    put_digest(e->digest);
}

static void put_hashes(const check *c) {
    size_t i;
    fputs(c->hash_failed ? "; SHA-256 not confirmed:" : "; SHA-256 as expected", stdout);
    for (i = 0; i < c->file_count; i++) put_hash(c, i);
}

static void put_hashes_json(const check *c) {
    static const char *const names[] = {"equal", "different", "unknown"};
    const char *before = "{\"path\":";
    size_t i;
    fputs(",\"hashes\":[", stdout);
    for (i = 0; i < c->file_count; i++) {
        if (!c->files[i].file_bytes) continue;
        fputs(before, stdout);
        before = ",{\"path\":";
        put_json(stdout, c->files[i].path, strlen(c->files[i].path));
        fputs(",\"sha256\":\"", stdout);
        put_digest(c->hashes.files + i * SHA256_BYTES);
        fputs(c->expected[i].unknown ? "\",\"expected\":" : "\",\"expected\":\"", stdout);
        if (c->expected[i].unknown) {
            fputs("null", stdout);
        } else {
            put_digest(c->expected[i].digest);
            putc('"', stdout);
        }
        printf(",\"verdict\":\"%s\"}", names[verdict_of(c, i)]);
    }
    putc(']', stdout);
}

/* ---- text output -------------------------------------------------------------------------------------------- */

static void put_finding(const char **before, uint64_t number, const char *singular, const char *plural) {
    if (!number) return;
    fputs(*before, stdout);
    put_count(stdout, number, singular, plural);
    *before = ", ";
}

/* Writes "2 NaN, 1 infinity", or nothing. */
static void put_findings(const char *before, const findings *f) {
    put_finding(&before, f->bad_bool, " BOOL byte other than 0 and 1", " BOOL bytes other than 0 and 1");
    put_finding(&before, f->nan, " NaN", " NaN");
    put_finding(&before, f->infinity, " infinity", " infinities");
}

static void put_tensors(const check *c) {
    size_t i, shown = 0;
    for (i = 0; i < c->model->count; i++) {
        const st_tensor *t = &c->model->tensors[i];
        if (!found_any(&c->by_tensor[i]) || shown++ >= SHOWN_TENSORS) continue;
        end_line();
        fputs("  ", stdout);
        put_text(stdout, t->name, t->name_bytes);
        put_findings(": ", &c->by_tensor[i]);
    }
    if (shown <= SHOWN_TENSORS) return;
    end_line();
    fputs("  and ", stdout);
    put_number(stdout, shown - SHOWN_TENSORS);
    fputs(" more tensors (use --json to list all)", stdout);
}

/* Warns of files that end with zeros: some programs give a file its full length before they download it. */
static void put_zeros(const check *c) {
    size_t i;
    for (i = 0; i < c->file_count; i++) {
        const zeros *z = &c->by_file[i];
        const st_tensor *t;
        if (z->bytes < ZEROS) continue;
        t = &c->model->tensors[z->tensor];
        end_line();
        fputs("  warning: the last ", stdout);
        put_number(stdout, z->bytes);
        fputs(" bytes ", stdout);
        if (c->file_count > 1) {
            fputs("of ", stdout);
            put_string(stdout, c->files[i].path);
            putc(' ', stdout);
        }
        fputs("are zero, from tensor ", stdout);
        put_text(stdout, t->name, t->name_bytes);
        fputs(" on: is the download finished?", stdout);
    }
}

static void put_verdict(const check *c, const st_error *error) {
    const colours colour = system_colours(stdout);
    const st_model *model = c->model;
    if (error->status != ST_OK) {
        put_error(stdout, c->path, error);
        return;
    }
    put_string(stdout, c->path);
    if (c->sum.bad_bool || c->hash_failed) {
        printf(": %snot ok%s, ", colour.bad, colour.off);
    } else {
        printf(": %sok%s, ", colour.good, colour.off);
    }
    put_number(stdout, model->count);
    fputs(model->count == 1 ? " tensor, " : " tensors, ", stdout);
    put_number(stdout, model->bytes);
    fputs(model->bytes == 1 ? " byte" : " bytes", stdout);
    put_file_count(model);
    if (c->hash) put_hashes(c);
    if (!c->deep) return;
    fputs("; all read", stdout);
    put_findings(": ", &c->sum);
    put_tensors(c);
    put_zeros(c);
}

/* ---- JSON output -------------------------------------------------------------------------------------------- */

static void put_findings_json(const findings *f) {
    fputs("\"nan\":", stdout);
    put_number(stdout, f->nan);
    fputs(",\"infinity\":", stdout);
    put_number(stdout, f->infinity);
    fputs(",\"bad_bool\":", stdout);
    put_number(stdout, f->bad_bool);
}

static void put_zeros_json(const check *c) {
    const char *comma = "";
    size_t i;
    fputs(",\"zeros\":[", stdout);
    for (i = 0; i < c->file_count; i++) {
        const zeros *z = &c->by_file[i];
        const st_tensor *t;
        if (z->bytes < ZEROS) continue;
        t = &c->model->tensors[z->tensor];
        printf("%s{\"path\":", comma);
        put_json(stdout, c->files[i].path, strlen(c->files[i].path));
        fputs(",\"bytes\":", stdout);
        put_number(stdout, z->bytes);
        fputs(",\"from\":", stdout);
        put_json(stdout, t->name, t->name_bytes);
        putc('}', stdout);
        comma = ",";
    }
    putc(']', stdout);
}

static void put_verdict_json(const check *c, const st_error *error) {
    const char *comma = "";
    size_t i;
    begin_error_json(stdout, c->path, error);
    if (c->hash && error->status == ST_OK) put_hashes_json(c);
    if (c->deep && error->status == ST_OK) {
        putc(',', stdout);
        put_findings_json(&c->sum);
        fputs(",\"tensors\":[", stdout);
        for (i = 0; i < c->model->count; i++) {
            if (!found_any(&c->by_tensor[i])) continue;
            printf("%s{\"name\":", comma);
            put_json(stdout, c->model->tensors[i].name, c->model->tensors[i].name_bytes);
            putc(',', stdout);
            put_findings_json(&c->by_tensor[i]);
            putc('}', stdout);
            comma = ",";
        }
        putc(']', stdout);
        put_zeros_json(c);
    }
    putc('}', stdout);
}

/* ---- the command ------------------------------------------------------------------------------------------ */

static int check_model(check *c, const char *path) {
    st_open_options open_options;
    st_model *model;
    st_error error;
    size_t i;
    memset(&open_options, 0, sizeof open_options);
    open_options.flags = ST_OPEN_NO_MAP; /* a file that shrinks is then an error and no SIGBUS */
    c->path = path;
    c->by_tensor = NULL;
    c->by_file = NULL;
    c->expected = NULL;
    c->hash_failed = 0;
    memset(&c->hashes, 0, sizeof c->hashes);
    memset(&c->sum, 0, sizeof c->sum);
    error.status = open_model(&model, path, &open_options, &error);
    c->model = model;
    c->files = error.status == ST_OK ? files_of(model, &c->file_count) : NULL;
    if (error.status == ST_OK && c->deep && scan_model(c, &error) != ST_OK) explain_read_error(model, &error);
    if (error.status == ST_OK && c->hash) hash_files(c, &error);
    for (i = 0; error.status == ST_OK && c->hash && i < c->file_count; i++) {
        if (verdict_of(c, i) != HASH_EQUAL) c->hash_failed = 1;
    }
    if (c->json) {
        put_verdict_json(c, &error);
    } else {
        put_verdict(c, &error);
    }
    end_line();
    free(c->by_tensor);
    free(c->by_file);
    free(c->expected);
    hashes_free(&c->hashes);
    st_close(model);
    return error.status == ST_OK && !c->sum.bad_bool && !c->hash_failed ? EXIT_FINE : EXIT_FAILED;
}

int command_check(int argc, char **argv) {
    int code = EXIT_FINE, paths, i;
    check c;
    const option options[] = {
        {"--json", &c.json, NULL}, {"--deep", &c.deep, NULL}, {"--hash", &c.hash, NULL}, {"--lfs", NULL, &c.lfs}};
    memset(&c, 0, sizeof c);
    paths = parse_options("check", options, sizeof options / sizeof *options, argc, argv);
    if (paths < 0) return EXIT_USAGE;
    if (paths == 0) {
        begin_message("check");
        fputs("MODEL is missing", stderr);
        return usage_hint("check");
    }
    if (c.lfs && paths != 1) return usage_error("check", "--lfs: expected one MODEL, found ", argv[1]);
    if (c.lfs && expect_lfs_pointer(&c.pointer, c.lfs) != EXIT_FINE) return EXIT_FAILED;
    if (c.lfs) c.hash = 1;
    for (i = 0; i < paths && !output_failed(); i++) {
        if (check_model(&c, argv[i]) != EXIT_FINE) code = EXIT_FAILED;
    }
    return code;
}
