/* put.c: writes new bytes into one tensor of a model, in the file that holds it. */
#include "st.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { BLOCK = 1 << 26 }; /* of a regular FILE, in memory at a time */

typedef struct put {
    const char *model, *name, *file; /* as given */
    const char *offset_text;
    int no_sync;
    const st_tensor *tensor;
    uint64_t offset, bytes; /* where to write in the tensor, and how many bytes; with --offset, the most */
    FILE *in;
    unsigned char *block;
    progress bar;
} put;

static int wrong_size(const put *p, const char *verb, uint64_t size) {
    return p->offset ? report_size_at(p->file, verb, size, p->tensor, p->offset)
                     : report_size(p->file, verb, size, p->tensor, p->tensor->bytes);
}

/* Checks the size of FILE; with --offset it may be less than the rest of the tensor. */
static int check_size(put *p, const char *verb, uint64_t size) {
    if (p->offset_text && size < p->bytes) p->bytes = size;
    return size == p->bytes ? EXIT_FINE : wrong_size(p, verb, size);
}

/* Writes n bytes of the tensor. Only the last call waits for the device. */
static int write_block(const put *p, uint64_t done, size_t n) {
    st_save_options options;
    st_error error;
    memset(&options, 0, sizeof options);
    if (p->no_sync || done + n < p->bytes) options.flags = ST_SAVE_NO_SYNC;
    if (st_overwrite(p->model, p->name, p->offset + done, p->block, n, &options, &error) == ST_OK) return EXIT_FINE;
    return report(p->model, &error);
}

/* FILE is regular: its size is known before anything is written. */
static int put_file(put *p) {
    uint64_t done = 0;
    p->block = (unsigned char *)malloc(p->bytes < BLOCK ? (size_t)p->bytes + 1 : (size_t)BLOCK);
    if (!p->block) return out_of_memory("put");
    do {
        const size_t n = p->bytes - done < BLOCK ? (size_t)(p->bytes - done) : (size_t)BLOCK;
        int code;
        if (system_read(p->in, p->block, n) < n) {
            if (ferror(p->in)) return report_input(p->file, "read", errno);
            return report_text(p->file, "file became shorter; the tensor may be changed in part");
        }
        code = write_block(p, done, n);
        if (code != EXIT_FINE) return code;
        done += n;
        progress_step(&p->bar, done, p->bytes);
    } while (done < p->bytes);
    return EXIT_FINE;
}

/* The size of standard input or a FIFO is known when it has ended, so all of it is in memory first. */
static int put_stream(put *p) {
    size_t size = 0, capacity = 0, got;
    do {
        if (size == capacity) {
            unsigned char *larger;
            capacity = capacity ? capacity * 2 : 1 << 16;
            larger = capacity ? (unsigned char *)realloc(p->block, capacity) : NULL;
            if (!larger) return out_of_memory("put");
            p->block = larger;
        }
        got = system_read(p->in, p->block + size, capacity - size);
        size += got;
    } while (got && size <= p->bytes);
    if (ferror(p->in)) return report_input(p->file, "read", errno);
    if (size > p->bytes) return wrong_size(p, "continues after", p->bytes);
    if (check_size(p, "ends after", size) != EXIT_FINE) return EXIT_FAILED;
    return write_block(p, 0, size);
}

static int put_tensor(put *p) {
    const int is_input = is_standard_input(p->file);
    uint64_t size;
    int code;
    p->in = open_input(p->file);
    if (!p->in) return report_input(p->file, "open", errno);
    if (!is_input && system_file_bytes(p->in, &size)) {
        code = check_size(p, "has", size);
        progress_begin(&p->bar);
        if (code == EXIT_FINE) code = put_file(p);
        progress_end(&p->bar);
    } else {
        code = put_stream(p);
    }
    free(p->block);
    if (!is_input) fclose(p->in);
    return code;
}

static int find_tensor(put *p, const st_model *model) {
    p->tensor = st_find(model, p->name);
    if (!p->tensor) return report_missing_tensor(model, p->model, p->name);
    if (p->offset > p->tensor->bytes) {
        return usage_error("put", "--offset is past the end of the tensor: ", p->offset_text);
    }
    p->bytes = p->tensor->bytes - p->offset;
    return refuse_cached(p->model, model->shards[p->tensor->shard].path);
}

int command_put(int argc, char **argv) {
    const st_open_options open_options = copy_open_options();
    put p;
    const option options[] = {{"--offset", NULL, &p.offset_text}, {"--no-sync", &p.no_sync, NULL}};
    int words, code;
    st_model *model;
    st_error error;
    memset(&p, 0, sizeof p);
    words = parse_options("put", options, sizeof options / sizeof *options, argc, argv);
    if (words < 0) return EXIT_USAGE;
    if (words != 3) {
        begin_message("put");
        fputs(words < 3 ? "expected MODEL, TENSOR and FILE" : "too many arguments: expected MODEL, TENSOR and FILE",
              stderr);
        return usage_hint("put");
    }
    p.model = argv[0], p.name = argv[1], p.file = argv[2];
    if (refuse_hub("put", p.model) != EXIT_FINE) return EXIT_USAGE;
    if (p.offset_text && !parse_number(p.offset_text, &p.offset)) {
        return usage_error("put", "--offset: expected a number of bytes, found ", p.offset_text);
    }
    if (open_model(&model, p.model, &open_options, &error) != ST_OK) return report(p.model, &error);
    code = virtual_of(model) ? report_text(p.model, "cannot write into pieces of tensors: write one file with st merge")
                             : find_tensor(&p, model);
    if (code == EXIT_FINE) code = put_tensor(&p);
    st_close(model);
    return code;
}
