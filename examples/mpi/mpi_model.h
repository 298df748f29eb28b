/* mpi_model.h: a model of which every rank holds a slice of each tensor. */
#ifndef MPI_MODEL_H
#define MPI_MODEL_H

#include "safetensors.h"
#include <mpi.h>

enum { MAX_RANK = 16, MAX_RULES = 32, PATH_BYTES = 4096 }; /* MAX_RANK: dimensions of a tensor */
#define PIECE_NAME "shard-%05u-model-00001-of-00001.safetensors"

typedef struct piece { /* a box of a whole tensor, which is a tensor of a file */
    const st_model *model;
    const st_tensor *tensor;
    uint64_t offsets[MAX_RANK]; /* of its first element in the whole tensor */
    int is_placed;              /* its offsets are known */
} piece;

typedef struct whole {
    st_tensor tensor; /* name, dtype, shape; no data */
    uint64_t shape[MAX_RANK];
    size_t first, count; /* its pieces */
} whole;

/* What is read: one model, whose tensors are one piece each, or the files of a distributed checkpoint. */
typedef struct source {
    st_model **models;
    piece *pieces;
    whole *wholes;
    size_t model_count, piece_count, count;
    int are_pieces;
    uint64_t bytes_read; /* of tensors, by this rank */
} source;

typedef struct rule { /* how tensors are divided whose name matches */
    char pattern[256];
    char how; /* 'r' rows, 'c' columns, 'w' whole */
} rule;

typedef struct slice { /* elements [begin, end) of one axis and all of the others */
    int axis, owner;   /* axis -1: the whole tensor, which every rank holds and `owner` saves */
    uint64_t begin, end;
} slice;

typedef struct job { /* what all functions need to know */
    int rank, ranks;
    const rule *rules;
    size_t rule_count;
    st_error error; /* of this rank */
} job;

/* Keeps a message about a file, and returns status. */
st_status job_fail(job *j, st_status status, const char *path, const char *what);
/* Called by all ranks after each phase: returns whether any of them failed. Those print their messages. */
int job_failed(job *j, st_status status);

/* ---- slices.c ---- */

/* Opens a file, an index, a directory or a directory of pieces. Every rank reads the headers. */
st_status source_open(source *s, const char *path, job *j);
void source_close(source *s);
/* Fails unless all ranks, which all call it, opened the same headers: others would wait for each other for ever. */
st_status source_compare(const source *s, const char *path, job *j);
/* Returns the number in the name of a file of pieces; 0 for other names. */
unsigned piece_number(const char *name);
/* The slice of a tensor that a rank holds. The slices of all ranks are disjoint, cover the tensor, and differ by at
 * most one index; some are empty where the axis is shorter than there are ranks. */
slice slice_of(const job *j, const source *s, size_t tensor, int rank);
uint64_t slice_bytes(const whole *w, const slice *part);
/* Reads exactly the bytes of a slice, packed. */
st_status read_slice(source *s, size_t tensor, const slice *part, void *dst, job *j);

/* ---- save.c ---- */

typedef struct save_plan {
    const char *to; /* a file that ends in .safetensors, or a directory, which is made if it is not there */
    uint64_t max_shard_bytes, align;
    int pieces;
} save_plan;

/* Saves what the ranks hold: parts[i] is this rank's slice of tensor i, packed. All ranks call it. Returns whether it
 * failed, on all of them. */
int save_model(const source *s, unsigned char *const *parts, const save_plan *plan, job *j);
int save_pieces(const source *s, unsigned char *const *parts, const save_plan *plan, job *j);

#endif
