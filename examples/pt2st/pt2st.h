/* pt2st.h: what the files of this program share. */
#ifndef PT2ST_H
#define PT2ST_H

#if !defined(_FILE_OFFSET_BITS)
#define _FILE_OFFSET_BITS 64 /* for files of more than 2 GiB on 32-bit machines */
#endif
#include "safetensors.h"
#include <setjmp.h>
#include <stdio.h>

#ifndef BLOCK
#define BLOCK (8 << 20) /* bytes of a tensor that are put in order at once */
#endif
enum { MAX_RANK = 64, MAX_NAME = 4096, MAX_DEPTH = 64, MAX_VISITS = 4000000 };
enum {
    ALL = 1,
    SINGLE = 2,
    KEEP_COPIES = 4,
    KEEP_PREFIX = 8,
    METADATA = 16,
    TRANSPOSE = 32,
    ANY_CLASS = 64,
    LARGE = 128
};

typedef struct part {           /* consecutive bytes of the input, or of the temporary file of what was deflated */
    uint64_t offset, bytes, at; /* at: where it is read next, if it is read from front to back */
    int is_inflated;
} part;

typedef struct name_entry { /* of a member of the archive, a storage or a tensor */
    const char *text;
    size_t bytes;
    void *thing;
} name_entry;

typedef struct storage {
    part data; /* offset UINT64_MAX: not known yet */
    st_dtype dtype;
    uint64_t size, start, count; /* size: of an element; start, count: of a view of the storage, in elements */
} storage;

typedef struct tensor {
    const storage *storage;
    st_dtype dtype;
    uint32_t rank;
    uint64_t size, start, bytes, *shape,
        *stride; /* size: of an element; start: bytes in the storage before the first */
} tensor;

typedef struct item { /* a tensor of the output */
    const tensor *tensor;
    const char *name;
    size_t name_bytes;
    uint32_t file;
    int is_swapped;
} item;

typedef enum kind { NONE, BOOL, INTEGER, NUMBER, TEXT, TUPLE, LIST, DICT, RECORD, GLOBAL, STORAGE, TENSOR, MARK } kind;

typedef struct value {
    uint8_t kind;
    char role;      /* of a global, see pickle.c */
    uint32_t count; /* bytes of a text; values of a tuple, list or dictionary, where keys and values take turns */
    union {
        int64_t integer;
        double number;
        const char *text;
        struct value **items, *state; /* state: attributes of a record, or NULL */
        st_dtype dtype;
        storage *storage;
        tensor *tensor;
    } u;
} value;

typedef struct job {
    unsigned flags;
    const char *key;
    jmp_buf *trap; /* fail() jumps there */
    char message[640];
    size_t memory_used, memory_limit;   /* of what the program and the library allocate */
    struct chunk *arena, *pickle_arena; /* freed at the end, and after each file */
    int is_reading;                     /* objects go to pickle_arena */

    const char **paths;                  /* the files of the input */
    uint64_t *path_bytes, input_bytes;   /* sizes of the files, their sum */
    uint32_t path_count, file;           /* file: index of the open one */
    FILE *input, *spool, *positioned;    /* spool: what was deflated; positioned: the file that was read last, */
    uint64_t position;                   /* and where its next read begins if none moves it */
    uint64_t inflated_bytes, most_bytes; /* most_bytes: of what is inflated, and of the output */
    part whole;                          /* the open file */

    enum { ZIP, LEGACY, TAR } container;
    int is_swapped;    /* the file comes from a big-endian machine */
    name_entry *names; /* members of the ZIP archive; storages and tensors of older containers */
    size_t name_count, sorted_count;

    part *pickle; /* that is being read, or NULL */
    uint64_t opcode_at;
    value **stack, **memo;
    size_t depth, memo_places, memo_count;

    item *items;
    st_tensor *tensors;
    st_pair *pairs;
    size_t item_count, pair_count, alias_count, ignored, visits;
    char name[MAX_NAME + 1];
    unsigned char *block;              /* elements of a tensor whose elements are not consecutive in the file: */
    const tensor *block_tensor;        /* of which tensor */
    uint64_t block_first, block_count; /* which elements */
} job;

/* input.c: memory within a limit, bytes of files */
#if defined(__GNUC__)
__attribute__((noreturn, format(printf, 2, 3)))
#endif
void fail(job *j, const char *format, ...);
void *take_memory(void *user, size_t bytes); /* user: a job. Returns NULL beyond the limit */
void give_memory(void *user, void *memory, size_t bytes);
void *allocate(job *j, size_t bytes); /* zeroed */
/* Returns the array of `count` elements, moved if it has no place for another. */
void *grow(job *j, void *array, size_t count, size_t element);
void open_input(job *j, uint32_t file);
void read_part(job *j, const part *from, uint64_t offset, void *dst, size_t bytes);
uint64_t read_number(job *j, part *from, size_t bytes); /* the next little-endian number */
void free_arena(job *j, struct chunk **arena);
void free_job(job *j);

/* pickle.c: values without code */
value *load_pickle(job *j, part *from);
uint64_t unsigned_of(job *j, const value *v);
int is_text(const value *v, const char *text);
value *new_value(job *j, kind what);
storage *new_storage(job *j, const value *type, uint64_t count);
value *new_tensor(job *j, const storage *from, st_dtype dtype, uint32_t rank);
void place_tensor(job *j, tensor *t, uint64_t offset); /* fails if the tensor leaves its storage */

/* archive.c */
value *read_archive(job *j); /* returns the root object of the open input */
value *persistent_value(job *j, const value *id);

/* tensors.c */
void collect_tensors(job *j, value *root);
void add_pair(job *j, const char *key, size_t key_bytes, const char *text, size_t bytes); /* of metadata */
void share_tensors(job *j); /* keeps one name of the same bytes; makes j->tensors */
int fill_tensor(void *user, const st_tensor *t, uint64_t offset, void *dst, size_t bytes);

#endif
