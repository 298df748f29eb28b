/* pt2st.h: what the files of this program share. */
#ifndef PT2ST_H
#define PT2ST_H

#if !defined(_FILE_OFFSET_BITS)
#define _FILE_OFFSET_BITS 64 /* for files of more than 2 GiB on 32-bit machines */
#endif
#include "safetensors.h"
#include "../common/names.h"
#include "../common/pickle.h"
#include "../common/progress.h"
#include "../common/strided.h"
#include <stdio.h>

#ifndef BLOCK
#define BLOCK (8 << 20) /* bytes of a tensor that are put in order at once */
#endif
enum { MAX_RANK = STRIDED_RANK, MAX_NAME = 4096, MAX_DEPTH = 64, MAX_VISITS = 4000000 };
enum { STORAGE = OTHER, TENSOR }; /* values that a pickle machine does not know */

typedef struct part {           /* consecutive bytes of the input, or of the temporary file of what was deflated */
    uint64_t offset, bytes, at; /* at: where it is read next, if it is read from front to back */
    int is_inflated;
} part;

typedef struct tensor { /* or a storage, which has no shape */
    part *data;         /* of the storage; offset UINT64_MAX: not known yet */
    st_dtype dtype;
    uint32_t rank;
    uint64_t size, start, bytes; /* size: of an element; start: bytes in the storage before the first */
    uint64_t *shape, *stride;
    const char *name; /* this and what follows: of a tensor of the output */
    size_t name_bytes;
    uint32_t file;
    int is_swapped;
} tensor;

typedef struct job {
    int all, single, keep_copies, keep_prefix, metadata, transpose, any_class, large;
    const char *in, *out, *key;
    guard guard;

    const char **paths;                  /* the files of the input */
    uint64_t *path_bytes, input_bytes;   /* sizes of the files, their sum */
    uint32_t path_count, file;           /* file: index of the open one */
    size_t index_count;                  /* tensors that the index names */
    FILE *input, *spool, *positioned;    /* spool: what was deflated; positioned: the file that was read last, */
    uint64_t position;                   /* and where its next read begins if none moves it */
    uint64_t inflated_bytes, most_bytes; /* most_bytes: of what is inflated, and of the output */
    part whole;                          /* the open file */

    enum { ZIP, LEGACY, TAR } container;
    int is_swapped;     /* the file comes from a big-endian machine */
    name_list names;    /* members of the ZIP archive; storages and tensors of older containers: */
    void **things;      /* indexes of this */
    const char *prefix; /* of the names of storages */
    part *pickled;      /* where the pickle is read from */

    tensor *items; /* of the output, which tensors and pairs describe */
    st_tensor *tensors;
    st_pair *pairs;
    size_t item_count, pair_count, alias_count, ignored, visits;
    char name[MAX_NAME + 1];
    const tensor *filled; /* whose bytes were read last, */
    strided elements;     /* in C order */
    progress_line line;
} job;

/* memory within the limit, and failures that end the job */
#define fail(j, ...) guard_fail(&(j)->guard, __VA_ARGS__)
#define allocate(j, bytes) guard_allocate(&(j)->guard, bytes)
#define text_of(j, ...) guard_print(&(j)->guard, __VA_ARGS__)
#define grow(j, array, count, element) guard_grow(&(j)->guard, array, count, element)

/* input.c: bytes of files */
void open_input(job *j, uint32_t file);
void read_part(job *j, const part *from, uint64_t offset, void *dst, size_t bytes);
uint64_t read_number(job *j, part *from, size_t bytes); /* the next little-endian number */

/* rebuild.c: what PyTorch's pickles call */
value *load_pickle(job *j, part *from);
uint64_t unsigned_of(job *j, const value *v);
tensor *new_storage(job *j, const value *type, uint64_t count);
tensor *new_tensor(job *j, st_dtype dtype, uint64_t rank);
/* Fails if the tensor leaves its storage. offset: of its first element, in elements */
void place_tensor(job *j, tensor *t, const tensor *storage, uint64_t offset);
value *new_thing(job *j, int what, void *thing); /* a value: a storage or a tensor */

/* archive.c */
value *read_archive(job *j); /* returns the root object of the open input */
value *persistent_value(void *user, const value *id);

/* tensors.c: named tensors, and their bytes */
void collect_tensors(job *j, value *root);
void add_pair(job *j, const char *key, size_t key_bytes, const char *text, size_t bytes); /* of metadata */
void share_tensors(job *j); /* keeps one name of the same bytes; makes j->tensors */
int fill_tensor(void *user, const st_tensor *of, uint64_t offset, void *dst, size_t bytes); /* user: a job */

#endif
