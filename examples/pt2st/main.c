/* pt2st: converts PyTorch checkpoints (.pt, .pth, .bin) to safetensors. It needs no Python and runs no code of the file.
 *
 *     cc -O2 -I. examples/pt2st/[a-z]*.c examples/common/[a-z]*.c -lz -o pt2st
 *     ./pt2st pytorch_model.bin model.safetensors
 *
 * Whatever the size of the model, it takes less than 64 MiB of memory. */
#include "pt2st.h"
#include "../common/json.h"
#include "../common/progress.h"
#include "../common/text.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static const char help[] =
    "usage: pt2st [OPTIONS] IN OUT\n"
    "\n"
    "Converts a PyTorch checkpoint to safetensors without running code of the file.\n"
    "IN is a file of torch.save or torch.jit.save, an index (pytorch_model.bin.index.json),\n"
    "or a directory that holds an index or pytorch_model.bin. OUT is a file. For an index,\n"
    "or if OUT is a directory, OUT is the directory of a model in several files.\n"
    "\n"
    "  --key A.B       convert what the file holds under this key\n"
    "  --all           convert all tensors, such as those of the optimizer too\n"
    "  --single        write one file also for an index\n"
    "  --keep-copies   write tensors that share their bytes under each of their names\n"
    "  --keep-prefix   keep a leading \"module.\" of names\n"
    "  --metadata      write numbers and texts of the checkpoint to the metadata\n"
    "  --transpose     transpose matrices called *.weight\n"
    "  --any-class     take objects of unknown classes as plain records\n"
    "  --large         allow an output that is much larger than the input\n"
    "  --memory MIB    use this much memory (56)\n";

typedef struct program {
    job job;
    const char *in, *out;
    size_t wanted; /* tensors that the index names */
    progress_line line;
} program;

static int show_progress(void *user, uint64_t done, uint64_t total) {
    progress_line_show(&((program *)user)->line, done, total);
    return 0;
}

/* Adds a file of the input, unless it is there. */
static void add_path(job *j, const char *folder, size_t folder_bytes, const char *name) {
    const size_t n = folder_bytes + strlen(name) + 1;
    struct stat status;
    uint32_t i;
    char *path = (char *)allocate(j, &j->kept, n);
    memcpy(path, folder, folder_bytes);
    memcpy(path + folder_bytes, name, n - folder_bytes);
    for (i = 0; i < j->path_count; i++) {
        if (strcmp(j->paths[i], path) == 0) return;
    }
    if (i == 65536) fail(j, "%s: over 65,536 files", path);
    j->paths = (const char **)grow(j, &j->kept, j->paths, i, sizeof *j->paths);
    j->path_bytes = (uint64_t *)grow(j, &j->kept, j->path_bytes, i, sizeof *j->path_bytes);
    j->path_bytes[i] = stat(path, &status) == 0 && status.st_size > 0 ? (uint64_t)status.st_size : 0;
    j->input_bytes += j->path_bytes[i];
    j->paths[j->path_count++] = path;
}

/* Adds the files that the index names, all of them in its own directory. */
static void read_index(program *p, const char *path) {
    job *j = &p->job;
    const char *slash = strrchr(path, '/');
    const size_t folder = slash ? (size_t)(slash - path) + 1 : 0;
    const part whole = {0, UINT64_MAX >> 1, 0};
    char *text;
    json_reader json;
    (void)add_path(j, path, 0, path);
    open_input(j, 0);
    text = (char *)allocate(j, &j->kept, (size_t)j->file_bytes + 1);
    read_part(j, &whole, 0, text, (size_t)j->file_bytes);
    json_begin(&json, text, (size_t)j->file_bytes);
    j->path_count = 0, j->input_bytes = 0;
    for (json_kind what = json_value(&json); what == JSON_OBJECT && json_member(&json);) {
        const int is_map = json_is(json.key, json.key_bytes, "weight_map");
        const json_kind inner = json_value(&json);
        if (!is_map || inner != JSON_OBJECT) (void)json_skip(&json, inner);
        while (is_map && inner == JSON_OBJECT && json_member(&json)) {
            if (json_value(&json) != JSON_STRING) break;
            if (!json.string_bytes || json.string[0] == '.' || strpbrk(json.string, "/\\") ||
                strlen(json.string) != json.string_bytes) {
                fail(j, "the index names a file outside of its directory");
            }
            (void)add_path(j, path, folder, json.string);
            p->wanted++;
        }
    }
    fclose(j->input);
    j->input = NULL;
    if (!json_end(&json)) fail(j, "byte %llu: %s", (unsigned long long)json_position(&json), json.fault ? json.fault : "text after the end");
    if (!p->wanted) fail(j, "an index without a weight_map");
}

static int is_directory(const char *path) {
    struct stat status;
    return stat(path, &status) == 0 && S_ISDIR(status.st_mode);
}

static int ends_with(const char *text, const char *end) {
    const size_t n = strlen(text), k = strlen(end);
    return n >= k && strcmp(text + n - k, end) == 0;
}

static void read_input(program *p) {
    job *j = &p->job;
    const size_t n = strlen(p->in);
    char *path = (char *)allocate(j, &j->kept, n + 40);
    uint64_t bytes = 0;
    size_t i;
    FILE *file;
    snprintf(path, n + 40, "%s%s", p->in, is_directory(p->in) ? "/pytorch_model.bin.index.json" : "");
    file = is_directory(p->in) ? fopen(path, "rb") : NULL;
    if (file) {
        fclose(file);
    } else if (is_directory(p->in)) {
        snprintf(path, n + 40, "%s/pytorch_model.bin", p->in);
    }
    if (ends_with(path, ".json")) {
        read_index(p, path);
    } else {
        add_path(j, path, 0, path);
    }
    j->most_bytes = j->large ? UINT64_MAX : 16 * j->input_bytes + (256u << 20);
    for (i = 0; i < j->path_count; i++) {
        j->file = (uint32_t)i;
        open_input(j, (uint32_t)i);
        collect_tensors(j, read_archive(j));
        free_arena(j, &j->pickle);
    }
    if (!j->item_count) fail(j, "the file holds no tensors");
    if (p->wanted && p->wanted != j->item_count) {
        fail(j, "the index names %lu tensors, but its files hold %lu", (unsigned long)p->wanted, (unsigned long)j->item_count);
    }
    for (i = 0; i < j->item_count; i++) {
        bytes += j->items[i].bytes;
        if (bytes > j->most_bytes) fail(j, "the tensors are much larger than the file; --large converts them");
    }
    add_pair(j, "format", 6, "pt", 2);
    share_tensors(j);
}

static st_status save(program *p, st_error *error) {
    job *j = &p->job;
    const st_allocator allocator = {j, take_memory, give_memory};
    st_contents contents = ST_ZERO_INIT;
    st_save_options options = ST_ZERO_INIT;
    size_t i;
    contents.tensors = j->tensors, contents.count = j->item_count;
    contents.metadata = j->pairs, contents.metadata_count = j->pair_count;
    options.fill = fill_tensor, options.progress = show_progress, options.user = j, options.allocator = &allocator;
    if (!is_directory(p->out) && (!p->wanted || j->single)) return st_save(p->out, &contents, &options, error);
    if (!is_directory(p->out) && mkdir(p->out, 0777) != 0) {
        snprintf(error->message, sizeof error->message, "cannot make the directory: %s", strerror(errno));
        return error->status = ST_ERR_IO;
    }
    for (i = 0; p->wanted && i < j->path_count; i++) { /* shards are no larger than those of the input */
        if (j->path_bytes[i] > options.max_shard_bytes) options.max_shard_bytes = j->path_bytes[i];
    }
    return st_save_sharded(p->out, &contents, &options, error);
}

static int convert(program *p) {
    job *j = &p->job;
    st_error error;
    st_status status;
    jmp_buf trap;
    j->trap = &trap;
    if (setjmp(trap)) {
        fprintf(stderr, "pt2st: ");
        put_string(stderr, j->path_count ? j->paths[j->file] : p->in);
        fprintf(stderr, ": ");
        put_string(stderr, j->message);
        fprintf(stderr, "\n");
        return 1;
    }
    read_input(p);
    progress_line_begin(&p->line, "pt2st");
    status = save(p, &error);
    progress_line_end(&p->line);
    if (status != ST_OK) {
        fprintf(stderr, "pt2st: ");
        put_string(stderr, j->message[0] ? j->message : error.message);
        fprintf(stderr, "\n");
        return 1;
    }
    put_string(stdout, p->out);
    printf(": %lu tensors", (unsigned long)j->item_count);
    if (j->alias_count) printf(", %lu more names for them", (unsigned long)j->alias_count);
    if (j->ignored) printf("; %lu other values left out", (unsigned long)j->ignored);
    printf("\n");
    return 0;
}

int main(int argc, char **argv) {
    static program p; /* zeroed */
    job *j = &p.job;
    const char *fault = NULL;
    int i, result;
    j->memory_limit = 56u << 20;
    for (i = 1; i < argc && !fault; i++) {
        const char *a = argv[i];
        if (strcmp(a, "--help") == 0) return fputs(help, stdout) < 0;
        if (strcmp(a, "--all") == 0) {
            j->all = 1;
        } else if (strcmp(a, "--single") == 0) {
            j->single = 1;
        } else if (strcmp(a, "--keep-copies") == 0) {
            j->keep_copies = 1;
        } else if (strcmp(a, "--keep-prefix") == 0) {
            j->keep_prefix = 1;
        } else if (strcmp(a, "--metadata") == 0) {
            j->metadata = 1;
        } else if (strcmp(a, "--transpose") == 0) {
            j->transpose = 1;
        } else if (strcmp(a, "--any-class") == 0) {
            j->any_class = 1;
        } else if (strcmp(a, "--large") == 0) {
            j->large = 1;
        } else if (strcmp(a, "--key") == 0 && i + 1 < argc) {
            j->key = argv[++i];
        } else if (strcmp(a, "--memory") == 0 && i + 1 < argc) {
            j->memory_limit = (size_t)strtoul(argv[++i], NULL, 10) << 20;
        } else if (a[0] == '-' && a[1]) {
            fault = "unknown option, or an option without its value";
        } else if (!p.in) {
            p.in = a;
        } else if (!p.out) {
            p.out = a;
        } else {
            fault = "more than one IN and one OUT";
        }
    }
    if (!fault && !p.out) fault = "expected IN and OUT";
    if (fault) {
        fprintf(stderr, "pt2st: %s; see pt2st --help\n", fault);
        return 2;
    }
    result = convert(&p);
    if (j->input) fclose(j->input);
    if (j->spool) fclose(j->spool);
    free_arena(j, &j->pickle);
    free_arena(j, &j->kept);
    give_memory(j, j->block, BLOCK);
    return result;
}
