/* mpi: saves and loads a model of which each rank holds a slice of every tensor.
 *
 *     mpicc -O2 -I. examples/mpi/main.c examples/mpi/slices.c examples/mpi/save.c examples/common/lib.c \
 *         examples/common/text.c examples/common/json.c examples/common/progress.c -o mpi
 *
 *     mpirun -n 4 ./mpi save IN DIR            each rank reads its slices of IN; together they save one sharded model
 *     mpirun -n 4 ./mpi save IN DIR --pieces   the same as the pieces of a PyTorch distributed checkpoint
 *     mpirun -n 3 ./mpi load DIR OUT           reads either of them with any number of ranks
 *
 * README.md in this folder reckons how this scales. */
#include "../common/text.h"
#include "mpi_model.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_ALIGN = 1 << 26 }; /* the padding is part of the header, which has at most 100,000,000 bytes */

static const char help[] =
    "usage: mpirun -n N mpi save IN DIR [options]\n"
    "       mpirun -n N mpi load DIR OUT [options]\n"
    "\n"
    "Each of N ranks reads its slice of every tensor; then they save what they hold. IN and DIR are a .safetensors "
    "file,\n"
    "an index, a directory, or a directory of pieces. OUT is a file if it ends in .safetensors, else a directory.\n"
    "  --pieces            save the slices as they are, in the files of a PyTorch distributed checkpoint\n"
    "  --rule GLOB=HOW     how tensors with such names are divided: rows, columns or whole; the first match counts.\n"
    "                      Without a rule: columns for the second matrix of a block (*o_proj.weight, "
    "*down_proj.weight,\n"
    "                      ...), rows for other tensors, whole for those of one dimension\n"
    "  --max-shard BYTES   tensor data in one file, at most [5000000000]\n"
    "  --align BYTES       data starts at a multiple of this power of two, such as a stripe of the file system [8]\n"
    "  --stats             print what each rank holds and how many bytes of tensors it read\n"
    "  --help              show this text\n";

st_status job_fail(job *j, st_status status, const char *path, const char *what) {
    const size_t n = strlen(path);
    memset(&j->error, 0, sizeof j->error);
    j->error.status = status;
    snprintf(j->error.message, sizeof j->error.message, "%s%s: %s", n > 100 ? "..." : "",
             path + (n > 100 ? n - 100 : 0), what);
    return status;
}

int job_failed(job *j, st_status status) {
    int mine = status ? j->rank : j->ranks, first;
    MPI_Allreduce(&mine, &first, 1, MPI_INT, MPI_MIN, MPI_COMM_WORLD);
    if (first == j->rank) { /* one of them is enough */
        fprintf(stderr, "mpi: rank %d: ", j->rank);
        put_string(stderr, j->error.message);
        putc('\n', stderr);
    }
    return first < j->ranks;
}

/* Sends a whole tensor from the rank that read it to all. Counts of MPI are ints. */
static void share(unsigned char *bytes, uint64_t n, int reader) {
    uint64_t done, count;
    for (done = 0; done < n; done += count) {
        count = n - done < (1 << 26) ? n - done : 1 << 26;
        MPI_Bcast(bytes + done, (int)count, MPI_BYTE, reader, MPI_COMM_WORLD);
    }
}

/* A tensor that is not divided is read by one rank and saved by another: what is saved has been shared. */
static int reader_of(const slice *part, const job *j) {
    return (part->owner + 1) % j->ranks;
}

/* Reads this rank's slices. Tensors that are not divided are read once. */
static int load_parts(source *s, unsigned char **parts, job *j) {
    st_status status = ST_OK;
    size_t i;
    for (i = 0; i < s->count && status == ST_OK; i++) {
        const slice part = slice_of(j, s, i, j->rank);
        const uint64_t bytes = slice_bytes(&s->wholes[i], &part);
        parts[i] = bytes < SIZE_MAX ? (unsigned char *)malloc((size_t)bytes + 1) : NULL;
        if (!parts[i]) {
            status = job_fail(j, ST_ERR_MEMORY, s->wholes[i].tensor.name, "out of memory");
        } else if (part.axis >= 0 || reader_of(&part, j) == j->rank) {
            status = read_slice(s, i, &part, parts[i], j);
        }
    }
    if (job_failed(j, status)) return 1;
    for (i = 0; i < s->count; i++) {
        const slice part = slice_of(j, s, i, j->rank);
        if (part.axis < 0) share(parts[i], s->wholes[i].tensor.bytes, reader_of(&part, j));
    }
    return 0;
}

static void print_stats(const source *s, const job *j) {
    unsigned long long held = 0;
    size_t i;
    for (i = 0; i < s->count; i++) {
        const slice part = slice_of(j, s, i, j->rank);
        held += slice_bytes(&s->wholes[i], &part);
    }
    printf("rank %d holds %llu bytes, read %llu\n", j->rank, held, (unsigned long long)s->bytes_read);
}

static int run(const char *from, const save_plan *to, int stats, job *j) {
    unsigned char **parts = NULL;
    source s;
    size_t i;
    int failed = job_failed(j, source_open(&s, from, j)) || job_failed(j, source_compare(&s, from, j));
    if (!failed) {
        parts = (unsigned char **)calloc(s.count + 1, sizeof *parts);
        failed = job_failed(j, parts ? ST_OK : job_fail(j, ST_ERR_MEMORY, from, "out of memory"));
    }
    if (!failed) failed = load_parts(&s, parts, j);
    if (!failed && stats) print_stats(&s, j);
    if (!failed) failed = to->pieces ? save_pieces(&s, parts, to, j) : save_model(&s, parts, to, j);
    for (i = 0; parts && i < s.count; i++) free(parts[i]);
    free(parts);
    source_close(&s);
    return failed;
}

/* ---- the command line --------------------------------------------------------------------------------------- */

static int usage_error(const job *j, const char *what, const char *argument) {
    if (j->rank == 0) fprintf(stderr, "mpi: %s%s; try mpi --help\n", what, argument);
    return 2;
}

static int parse_rule(const char *text, rule *r) {
    const char *equals = strrchr(text, '=');
    const size_t n = equals ? (size_t)(equals - text) : 0;
    if (n == 0 || n >= sizeof r->pattern) return 0;
    memcpy(r->pattern, text, n);
    r->pattern[n] = 0;
    r->how = equals[1];
    return strcmp(equals + 1, "rows") == 0 || strcmp(equals + 1, "columns") == 0 || strcmp(equals + 1, "whole") == 0;
}

static int parse_bytes(const char *text, uint64_t *bytes) {
    char *end;
    *bytes = strtoull(text, &end, 10);
    return *text >= '1' && *text <= '9' && *end == 0 && *bytes < (uint64_t)1 << 62;
}

static int start(int argc, char **argv, job *j, rule *rules) {
    const char *paths[3] = {"", "", ""};
    save_plan to;
    int i, count = 0, stats = 0;
    memset(&to, 0, sizeof to);
    j->rules = rules;
    for (i = 1; i < argc; i++) {
        const char *option = argv[i], *value = i + 1 < argc ? argv[i + 1] : "";
        if (strcmp(option, "--help") == 0) {
            if (j->rank == 0) fputs(help, stdout);
            return 0;
        }
        if (option[0] != '-') {
            if (count < 3) paths[count] = option;
            count++;
        } else if (strcmp(option, "--pieces") == 0) {
            to.pieces = 1;
        } else if (strcmp(option, "--stats") == 0) {
            stats = 1;
        } else if (strcmp(option, "--rule") == 0 && j->rule_count < MAX_RULES &&
                   parse_rule(value, &rules[j->rule_count])) {
            j->rule_count++;
            i++;
        } else if ((strcmp(option, "--max-shard") == 0 && parse_bytes(value, &to.max_shard_bytes)) ||
                   (strcmp(option, "--align") == 0 && parse_bytes(value, &to.align))) {
            i++;
        } else {
            return usage_error(j, "an unknown option, or a value that it cannot have: ", option);
        }
    }
    if (count != 3 || (strcmp(paths[0], "save") != 0 && strcmp(paths[0], "load") != 0)) {
        return usage_error(j, "expected save IN DIR, or load DIR OUT", "");
    }
    if (to.pieces && (paths[0][0] == 'l' || to.max_shard_bytes))
        return usage_error(j, "--pieces goes with save, alone", "");
    if (strlen(paths[1]) + ST_SHARD_NAME_BYTES >= PATH_BYTES || strlen(paths[2]) + ST_SHARD_NAME_BYTES >= PATH_BYTES) {
        return usage_error(j, "a path is too long", "");
    }
    if (to.align && (to.align < 8 || to.align > MAX_ALIGN || (to.align & (to.align - 1)))) {
        return usage_error(j, "--align takes a power of two from 8 to 67108864", "");
    }
    to.to = paths[2];
    return run(paths[1], &to, stats, j);
}

int main(int argc, char **argv) {
    static rule rules[MAX_RULES];
    static job j;
    int status;
    MPI_Init(&argc, &argv);
    MPI_Comm_rank(MPI_COMM_WORLD, &j.rank);
    MPI_Comm_size(MPI_COMM_WORLD, &j.ranks);
    status = start(argc, argv, &j, rules);
    MPI_Finalize();
    return status;
}
