/* remote: reads models behind HTTP without downloading them, and downloads models into the Hugging Face cache.
 *
 *     cc -O2 -I. examples/remote/[a-z]*.c examples/common/[a-z]*.c examples/hub/hub.c examples/hub/sha1.c \
 *         examples/st/sha256.c -lcurl -lz -pthread -o remote
 *
 *     ./remote ls https://example.org/model.safetensors.index.json
 *     ./remote show https://example.org/model.safetensors norm.weight --slice 0:4
 *     ./remote fetch owner/name --include '*.safetensors'
 *
 * blocks.c makes an st_io of a URL, and http.c checks every answer. The last command is that of examples/hub. For POSIX
 * systems. */
#include "blocks.h"
#include "examples/common/progress.h"
#include "examples/common/text.h"
#include "examples/hub/hub.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <zlib.h>

enum { PIECE = 1 << 16, MOST_RANK = 16, MOST_PRINTED = 1000 };

static const char usage[] =
    "usage: remote ls URL                            lists the tensors of a model\n"
    "       remote show URL TENSOR [--slice RANGES]  prints up to 1,000 values; RANGES such as 3,0:10,::2\n"
    "       remote cat URL TENSOR                    writes the bytes of a tensor to standard output\n"
    "       remote load URL                          reads a whole model; prints its size, rate and CRC-32\n"
    "       remote info OWNER/NAME[@REVISION] ...    asks the hub about files: see examples/hub\n"
    "       remote fetch OWNER/NAME[@REVISION] ...   downloads files into the Hugging Face cache: likewise\n"
    "URL: of a .safetensors file, or of an index (*.json) with its shards beside it\n"
    "  --connections N  read on up to N connections, 1 to 8 (default 3)\n"
    "  --retries N      after a cut connection, or answers such as 503 (default 5)\n"
    "  --timeout N      seconds without data after which a connection is dead (default 30)\n"
    "REMOTE_TOKEN is sent to the host of the URL, and so is HF_TOKEN if that host is the hub or this machine. Neither "
    "is\n"
    "sent to another host, nor over the network without encryption.\n";

typedef struct program {
    http_settings settings;
    int connections;
    const char *url, *tensor, *slice;
    char *path; /* the URL without its query */
    blocks *cache;
    st_model *model;
    progress_line line;
} program;

static int fail(const char *subject, const char *text) {
    return put_complaint("remote", subject, text);
}

static int misused(const char *argument, const char *text) {
    fail(argument, text);
    fputs("Try 'remote --help'.\n", stderr);
    return 2;
}

/* Reports an error of the library, or what http.c says about its cause. */
static int fail_model(const program *p, const st_error *error) {
    const int is_read = error->status == ST_ERR_IO || error->status == ST_ERR_NOT_FOUND;
    char cause[HTTP_ERROR] = "";
    if (p->cache && is_read) blocks_error(p->cache, cause);
    if (*cause) return fail("", cause);
    return fail("", error->message);
}

/* ---- models ------------------------------------------------------------------------------------------------- */

/* Opens a file through st_io, an index through st_files. */
static int open_model(program *p) {
    st_files files = {NULL, blocks_open, blocks_close, NULL};
    st_open_options options = ST_ZERO_INIT;
    st_io io = ST_ZERO_INIT;
    st_error error;
    char cause[HTTP_ERROR];
    const size_t n = strcspn(p->url, "?#");
    p->path = (char *)calloc(1, n + 1);
    if (!p->path) return fail("", "out of memory");
    memcpy(p->path, p->url, n);
    p->cache = blocks_begin(&p->settings, p->connections, p->path, p->url + n);
    if (!p->cache) return fail("", "out of memory");
    files.user = p->cache;
    options.files = &files;
    if (n > 5 && strcmp(p->path + n - 5, ".json") == 0) {
        return st_open(&p->model, p->path, &options, &error) ? fail_model(p, &error) : 0;
    }
    if (blocks_open(p->cache, p->path, &io)) return blocks_error(p->cache, cause), fail("", cause);
    io.name = p->path;
    return st_open_io(&p->model, &io, NULL, &error) ? fail_model(p, &error) : 0;
}

static void print_header(const st_tensor *t) {
    put_text(stdout, t->name, t->name_bytes);
    printf(" %s [", t->dtype_name);
    for (uint32_t d = 0; d < t->rank; d++) printf("%s%" PRIu64, d ? "," : "", t->shape[d]);
    puts("]");
}

/* Parses an index or START:STOP:STEP for each dimension. Returns 0 if the text is something else. */
static int parse_slice(const char *text, st_view *view, st_range ranges[MOST_RANK]) {
    view->ranges = ranges;
    for (view->range_count = 0; *text && view->range_count < MOST_RANK; view->range_count++) {
        st_range *r = &ranges[view->range_count];
        r->start = 0, r->stop = UINT64_MAX, r->step = 1;
        if (*text != ':' && !http_parse_number(&text, &r->start)) return 0;
        if (*text != ':') r->stop = r->start + 1;
        if (*text == ':' && strchr("0123456789", *++text) && *text && !http_parse_number(&text, &r->stop)) return 0;
        if (*text == ':' && strchr("0123456789", *++text) && *text && !http_parse_number(&text, &r->step)) return 0;
        if (*text == ',' && text[1])
            text++;
        else if (*text)
            return 0;
    }
    return !*text;
}

static int show(program *p, const st_tensor *t) {
    static union {
        double reals[MOST_PRINTED];
        int64_t integers[MOST_PRINTED];
        uint64_t naturals[MOST_PRINTED];
    } values;
    st_range ranges[MOST_RANK];
    st_view view = ST_ZERO_INIT;
    uint64_t shape[MOST_RANK] = {0}, elements;
    st_error error;
    if (t->rank > MOST_RANK) return fail(p->tensor, "the tensor has over 16 dimensions; use cat");
    if (p->slice && !parse_slice(p->slice, &view, ranges))
        return misused(p->slice, "expected ranges such as 3,0:10,::2");
    if (st_view_shape(t, &view, shape, &elements, &error)) return fail("", error.message);
    if (elements > MOST_PRINTED) return fail(p->tensor, "over 1,000 values; choose some with --slice, or use cat");
    const int is_natural = t->dtype == ST_DTYPE_U64;
    const int is_integer = t->dtype != ST_DTYPE_BF16 && strchr("IUB", t->dtype_name[0]) && !is_natural;
    const st_dtype as = is_natural ? ST_DTYPE_U64 : is_integer ? ST_DTYPE_I64 : ST_DTYPE_F64;
    if (st_read_as(p->model, t, &view, as, &values, sizeof values, &error)) return fail_model(p, &error);
    print_header(t);
    for (uint64_t i = 0; i < elements; i++) {
        if (is_natural)
            printf("%" PRIu64, values.naturals[i]);
        else if (is_integer)
            printf("%" PRId64, values.integers[i]);
        else
            printf("%.9g", values.reals[i]);
        putchar(t->rank == 0 || (i + 1) % shape[t->rank - 1] == 0 ? '\n' : ' ');
    }
    return 0;
}

/* Reads a tensor in pieces, to add them to a checksum or to write them. */
static int read_pieces(program *p, const st_tensor *t, FILE *to, uLong *sum, uint64_t *done, uint64_t total) {
    static unsigned char piece[PIECE];
    st_error error;
    for (uint64_t offset = 0; offset < t->bytes;) {
        const size_t n = t->bytes - offset < PIECE ? (size_t)(t->bytes - offset) : PIECE;
        if (st_read(p->model, t, offset, piece, n, &error)) return fail_model(p, &error);
        if (to && fwrite(piece, 1, n, to) != n) return fail("", "cannot write to standard output");
        if (!to) *sum = crc32(*sum, piece, (uInt)n);
        offset += n, *done += n;
        progress_line_show(&p->line, *done, total);
    }
    return 0;
}

static int load(program *p) {
    struct timespec begin, end;
    uLong sum = crc32(0, NULL, 0);
    uint64_t done = 0;
    clock_gettime(CLOCK_MONOTONIC, &begin);
    for (size_t i = 0; i < p->model->count; i++) {
        if (read_pieces(p, &p->model->tensors[i], NULL, &sum, &done, p->model->bytes)) return 1;
    }
    progress_line_end(&p->line);
    clock_gettime(CLOCK_MONOTONIC, &end);
    const double seconds = (double)(end.tv_sec - begin.tv_sec) + 1e-9 * (double)(end.tv_nsec - begin.tv_nsec);
    printf("%zu tensor%s, %" PRIu64 " bytes in %.3f s, %.0f MB/s, CRC-32 %08lx\n", p->model->count,
           p->model->count == 1 ? "" : "s", done, seconds, (double)done / 1e6 / (seconds > 0 ? seconds : 1e-9), sum);
    return 0;
}

static int read_model(program *p, const char *command) {
    uint64_t done = 0;
    if (open_model(p)) return 1;
    progress_line_begin(&p->line, "reading");
    for (size_t i = 0; i < p->model->count && command[1] == 's'; i++) print_header(&p->model->tensors[i]);
    if (command[1] == 's') return 0;
    if (command[0] == 'l') return load(p);
    const st_tensor *t = st_find(p->model, p->tensor);
    if (!t) return fail(p->tensor, "the model has no tensor of this name");
    return command[0] == 's' ? show(p, t) : read_pieces(p, t, stdout, NULL, &done, t->bytes);
}

/* ---- command line ------------------------------------------------------------------------------------------- */

int main(int argc, char **argv) {
    static const char *const commands[] = {"ls", "load", "show", "cat"};
    static const char *const options[] = {"--slice", "--connections", "--retries", "--timeout"};
    static program p;
    char *words[3] = {NULL, NULL, NULL}; /* the command, the URL, the tensor */
    int k = 0, count = 0, code;
    if (argc > 1 && (strcmp(argv[1], "fetch") == 0 || strcmp(argv[1], "info") == 0))
        return hub_main("remote", argc, argv);
    for (int i = 1; i < argc; i++) {
        int o = 0;
        if (strcmp(argv[i], "--help") == 0) return fputs(usage, stdout) < 0;
        while (o < 4 && strcmp(argv[i], options[o]) != 0) o++;
        if (o < 4)
            i++; /* its value */
        else if (strncmp(argv[i], "--", 2) == 0)
            return misused(argv[i], "unknown option");
        else if (count == 3)
            return misused(argv[i], "too many arguments");
        else
            words[count++] = argv[i];
    }
    while (k < 4 && count && strcmp(commands[k], words[0]) != 0) k++;
    if (!count || k == 4)
        return misused(count ? words[0] : "arguments", count ? "unknown command" : "expected a command");
    if (count != (k < 2 ? 2 : 3)) return misused(words[0], k < 2 ? "expected a URL" : "expected a URL and a tensor");
    if (!http_settings_begin(&p.settings, words[1])) {
        return misused(words[1], "expected an http or https URL, without the name of a user");
    }
    p.connections = 3, p.url = words[1], p.tensor = words[2];
    for (int i = 1; i < argc; i++) {
        const char *name = argv[i], *value = argv[i + 1];
        if (strncmp(name, "--", 2) != 0) continue;
        i++;
        if (value && strcmp(name, "--slice") == 0)
            p.slice = value;
        else if (value && strcmp(name, "--connections") == 0 && value[0] >= '1' && value[0] <= '8' && !value[1])
            p.connections = value[0] - '0';
        else if (!value || !http_option(&p.settings, name, value))
            return misused(name, "missing or invalid value");
    }
    curl_global_init(CURL_GLOBAL_DEFAULT);
    code = read_model(&p, words[0]);
    progress_line_end(&p.line);
    st_close(p.model);
    if (p.cache) blocks_end(p.cache);
    free(p.path);
    curl_global_cleanup();
    return !code && (fflush(stdout) || ferror(stdout)) ? fail("", "cannot write to standard output") : code;
}
