/* pt2st: converts PyTorch checkpoints (.pt, .pth, .bin) to safetensors. It needs no Python and runs no code of the file.
 *
 *     cc -O2 -I. examples/pt2st/[a-z]*.c examples/common/[a-z]*.c examples/common/zip/zip.c -lz -o pt2st
 *     ./pt2st pytorch_model.bin model.safetensors
 *
 * It takes less than 64 MiB of memory, whatever the size of the model. */
#include "pt2st.h"
#include "../common/json.h"
#include "../common/options.h"
#include "../common/text.h"
#include <errno.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>

static const char help[] = "usage: pt2st [OPTIONS] IN OUT\n"
                           "\n"
                           "Converts a PyTorch checkpoint to safetensors without running code of the file.\n"
                           "IN is a file of torch.save or torch.jit.save, an index (pytorch_model.bin.index.json),\n"
                           "or a directory that holds an index or pytorch_model.bin. OUT is a file; for an index,\n"
                           "or if OUT is a directory, it is the directory of a model in several files.\n"
                           "\n"
                           "  --key A.B       convert what the file holds under this key\n"
                           "  --all           convert all tensors, such as those of an optimizer\n"
                           "  --single        write one file also for an index\n"
                           "  --keep-copies   write tensors that share their bytes under each of their names\n"
                           "  --keep-prefix   keep a leading \"module.\" of names\n"
                           "  --metadata      write numbers and texts of the checkpoint to the metadata\n"
                           "  --transpose     transpose matrices called *.weight\n"
                           "  --any-class     take objects of unknown classes as plain records\n"
                           "  --large         allow an output that is much larger than the input\n"
                           "  --memory MIB    use at most this much memory (48)\n";

static int is_directory(const char *path) {
    struct stat status;
    return stat(path, &status) == 0 && S_ISDIR(status.st_mode);
}

/* Adds a file of the input, unless it is there. */
static void add_path(job *j, const char *path) {
    struct stat status;
    uint32_t i;
    for (i = 0; i < j->path_count; i++) {
        if (strcmp(j->paths[i], path) == 0) return;
    }
    j->paths = (const char **)grow(j, j->paths, i, sizeof *j->paths);
    j->path_bytes = (uint64_t *)grow(j, j->path_bytes, i, sizeof *j->path_bytes);
    j->paths[j->path_count++] = path;
    j->file = i;
    if (stat(path, &status) != 0) fail(j, "cannot open: %s", strerror(errno));
    j->path_bytes[i] = (uint64_t)status.st_size;
    j->input_bytes += j->path_bytes[i];
}

/* Adds the files that an index names, all of them in its own directory. */
static void read_index(job *j, const char *path) {
    const char *slash = strrchr(path, '/');
    json_reader json;
    json_kind what;
    char *text;
    add_path(j, path);
    open_input(j, 0);
    if (j->whole.bytes > j->guard.limit) fail(j, "the index is too large");
    text = (char *)allocate(j, (size_t)j->whole.bytes + 1);
    read_part(j, &j->whole, 0, text, (size_t)j->whole.bytes);
    json_begin(&json, text, (size_t)j->whole.bytes);
    fclose(j->input);
    j->input = NULL, j->path_count = 0, j->input_bytes = 0;
    for (what = json_value(&json); what == JSON_OBJECT && json_member(&json);) {
        const int is_map = json_is(json.key, json.key_bytes, "weight_map");
        const json_kind inner = json_value(&json);
        if (!is_map || inner != JSON_OBJECT) (void)json_skip(&json, inner);
        for (; is_map && inner == JSON_OBJECT && json_member(&json); j->index_count++) {
            if (json_value(&json) != JSON_STRING || json.string[0] == '.' || strpbrk(json.string, "/\\") ||
                strlen(json.string) != json.string_bytes) {
                fail(j, "%s: weight_map contains what is no file name of this directory", path);
            }
            add_path(j, text_of(j, "%.*s%s", slash ? (int)(slash - path) + 1 : 0, path, json.string));
        }
    }
    if (!json_end(&json)) fail(j, "%s, byte %lu: invalid JSON", path, (unsigned long)json_position(&json));
    if (!j->index_count) fail(j, "%s: an index without a weight_map", path);
}

static void read_input(job *j) {
    const char *path = is_directory(j->in) ? text_of(j, "%s/pytorch_model.bin.index.json", j->in) : j->in;
    struct stat status;
    uint64_t bytes = 0;
    value *root;
    size_t i;
    if (path != j->in && stat(path, &status) != 0) path = text_of(j, "%s/pytorch_model.bin", j->in);
    i = strlen(path);
    if (i > 5 && strcmp(path + i - 5, ".json") == 0) {
        read_index(j, path);
    } else {
        add_path(j, path);
    }
    j->most_bytes = j->large ? INT64_MAX : 16 * j->input_bytes + (256u << 20);
    for (i = 0; i < j->path_count; i++) {
        open_input(j, (uint32_t)i);
        j->guard.is_scratch = 1;
        root = read_archive(j);
        j->guard.is_scratch = 0;
        collect_tensors(j, root);
        guard_free_scratch(&j->guard);
    }
    if (!j->item_count) fail(j, "no tensors were found");
    if (j->index_count && j->index_count != j->item_count) {
        fail(j, "%zu tensors instead of the %zu of the index", j->item_count, j->index_count);
    }
    for (i = 0; i < j->item_count; bytes += j->items[i++].bytes) {
        if (j->items[i].bytes > j->most_bytes - bytes)
            fail(j, "the tensors are much larger than the file; see --large");
    }
    add_pair(j, "format", 6, "pt", 2);
    share_tensors(j);
}

static int show_progress(void *user, uint64_t done, uint64_t total) {
    progress_line_show(&((job *)user)->line, done, total);
    return 0;
}

static st_status save(job *j, st_error *error) {
    const st_allocator allocator = {&j->guard, guard_take, guard_give};
    st_contents contents = {j->tensors, j->item_count, j->pairs, j->pair_count, NULL, 0, NULL};
    st_save_options options = ST_ZERO_INIT;
    uint64_t bytes = 0;
    size_t i;
    options.fill = fill_tensor, options.progress = show_progress, options.user = j, options.allocator = &allocator;
    if (!is_directory(j->out) && (!j->index_count || j->single)) return st_save(j->out, &contents, &options, error);
    for (i = 0; j->index_count && i < j->item_count; i++) { /* no shard is larger than those of the input */
        bytes = i && j->items[i].file == j->items[i - 1].file ? bytes : 0;
        bytes += j->items[i].bytes;
        if (bytes > options.max_shard_bytes) options.max_shard_bytes = bytes;
    }
    if (!is_directory(j->out)) (void)mkdir(j->out, 0777); /* saving tells if this failed */
    return st_save_sharded(j->out, &contents, &options, error);
}

static int convert(job *j) {
    st_error error;
    st_status status;
    jmp_buf trap;
    j->guard.trap = &trap;
    if (setjmp(trap)) return put_complaint("pt2st", j->path_count ? j->paths[j->file] : j->in, j->guard.message);
    read_input(j);
    progress_line_begin(&j->line, "pt2st");
    status = save(j, &error);
    progress_line_end(&j->line);
    if (status != ST_OK) return put_complaint("pt2st", "", j->guard.message[0] ? j->guard.message : error.message);
    put_string(stdout, j->out);
    printf(": %lu tensors", (unsigned long)j->item_count);
    if (j->alias_count) printf(", %lu more names for them", (unsigned long)j->alias_count);
    if (j->ignored) printf("; %lu other values left out", (unsigned long)j->ignored);
    return printf("\n") < 0;
}

int main(int argc, char **argv) {
    static job j; /* zeroed */
    const char *paths[2] = {NULL, NULL};
    int mebibytes = 48, wants_help = 0, result;
    const option options[] = {
        {"--all", &j.all, .value = 1},
        {"--single", &j.single, .value = 1},
        {"--keep-copies", &j.keep_copies, .value = 1},
        {"--keep-prefix", &j.keep_prefix, .value = 1},
        {"--metadata", &j.metadata, .value = 1},
        {"--transpose", &j.transpose, .value = 1},
        {"--any-class", &j.any_class, .value = 1},
        {"--large", &j.large, .value = 1},
        {"--help", &wants_help, .value = 1},
        {"--key", NULL, .text = &j.key},
        {"--memory", &mebibytes, .most = SIZE_MAX >> 20 < INT_MAX ? (int)(SIZE_MAX >> 20) : INT_MAX},
    };
    if (options_parse("pt2st", argc, argv, options, sizeof options / sizeof *options, paths, 2)) return 2;
    if (wants_help) return fputs(help, stdout) < 0;
    if (!paths[1]) return options_refuse("pt2st", "expected %s", "IN and OUT");
    j.in = paths[0], j.out = paths[1];
    j.guard.limit = (size_t)mebibytes << 20;
    result = convert(&j);
    guard_free(&j.guard);
    if (j.input) fclose(j.input);
    if (j.spool) fclose(j.spool);
    return result;
}
