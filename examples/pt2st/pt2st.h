/* pt2st.h: what the files of this program share. */
#ifndef PT2ST_H
#define PT2ST_H

#include "safetensors.h"
#include <setjmp.h>
#include <stdio.h>

#ifndef BLOCK
#define BLOCK (8 << 20) /* bytes of a tensor that are put in order at once */
#endif
enum { MAX_RANK = 64, MAX_NAME = 4096, MAX_DEPTH = 64 };

typedef struct part { /* consecutive bytes of the input, or of the temporary file of what was deflated */
    uint64_t offset, bytes;
    int is_inflated;
} part;

typedef struct name_list { /* names that are looked up after they have been sorted */
    struct name_entry {
        const char *text;
        size_t bytes;
        void *thing;
    } * entries;
    size_t count;
} name_list;

typedef struct item { /* where the bytes of a tensor come from */
    const char *name;
    size_t name_bytes, size; /* size: of an element */
    st_dtype dtype;
    uint32_t rank, file;
    const uint64_t *shape, *stride; /* stride: in elements */
    part storage;
    uint64_t start, bytes; /* start: of the first element in the storage, in bytes */
    int is_swapped;
} item;

typedef struct job {
    const char *key; /* options */
    int all, single, keep_copies, keep_prefix, metadata, transpose, any_class, large;

    jmp_buf *trap; /* fail() jumps there */
    char message[640];
    size_t memory_used, memory_limit;    /* of what the program and the library allocate */
    struct chunk *pickle, *kept;         /* memory that is freed after each file, and at the end */
    const char **paths;                  /* the files of the input */
    uint64_t *path_bytes, input_bytes;   /* sizes of the files, their sum */
    uint64_t inflated_bytes, most_bytes; /* most_bytes: in the output, and of what is inflated */
    uint32_t path_count, file;           /* file: index of the open one */
    FILE *input, *spool, *positioned;    /* spool: what was deflated; positioned: the file that was read last */
    uint64_t file_bytes, position;       /* of the open file; where the next read begins if none moves it */

    enum { CONTAINER_ZIP, CONTAINER_LEGACY, CONTAINER_TAR } container;
    int is_swapped;
    name_list members, objects; /* of the ZIP archive; storages and tensors of older containers */

    item *items;
    st_tensor *tensors;
    st_pair *pairs;
    size_t item_count, pair_count, alias_count, ignored, visits;
    char name[MAX_NAME + 1];
    unsigned char *block;              /* elements of a tensor whose elements are not consecutive in the file */
    const item *block_item;            /* the tensor, */
    uint64_t block_first, block_count; /* and which elements */
} job;

/* input.c: memory within a limit, bytes of files, lists of names */
#if defined(__GNUC__)
__attribute__((noreturn, format(printf, 2, 3)))
#endif
void fail(job *j, const char *format, ...);
void *take_memory(void *user, size_t bytes); /* user: a job. Returns NULL beyond the limit */
void give_memory(void *user, void *memory, size_t bytes);
void *allocate(job *j, struct chunk **arena, size_t bytes); /* zeroed */
void free_arena(job *j, struct chunk **arena);
/* Returns the array of `count` elements, moved if it has no place for another. */
void *grow(job *j, struct chunk **arena, void *array, size_t count, size_t element);
void open_input(job *j, uint32_t file);
void read_part(job *j, const part *from, uint64_t offset, void *dst, size_t bytes);
uint64_t little(const unsigned char *bytes, size_t count);
void add_name(job *j, name_list *list, const char *text, size_t bytes, void *thing);
void sort_names(name_list *list);
struct name_entry *find_name(const name_list *list, const char *text, size_t bytes); /* the first of this name */

/* zip.c */
void read_directory(job *j); /* sets j->members */
int find_member(job *j, const char *folder, const char *name, size_t bytes, part *found); /* returns 0 if missing */

/* pickle.c: values without code */
typedef enum kind {
    VALUE_NONE,
    VALUE_BOOL,
    VALUE_INTEGER,
    VALUE_NUMBER,
    VALUE_TEXT,
    VALUE_TUPLE, /* u.items: count values */
    VALUE_LIST,
    VALUE_DICT,   /* u.items: count keys and values by turns */
    VALUE_RECORD, /* u.state: its attributes, or NULL */
    VALUE_GLOBAL,
    VALUE_STORAGE,
    VALUE_TENSOR,
    VALUE_MARK
} kind;

typedef struct storage {
    part data; /* offset UINT64_MAX: not known yet */
    st_dtype dtype;
    uint64_t size, start, count; /* size: of an element; the other two: of a view of the storage, in elements */
} storage;

typedef struct tensor {
    const storage *storage;
    st_dtype dtype;
    uint32_t rank;
    uint64_t offset, *shape, *stride; /* offset: of the first element in the storage, in elements */
} tensor;

typedef struct value {
    uint8_t kind, is_open; /* is_open: is being walked */
    uint32_t count;
    union {
        int64_t integer;
        double number;
        const char *text;
        struct value **items, *state;
        const struct global *global;
        storage *storage;
        tensor *tensor;
    } u;
} value;

typedef struct stream { /* a part that is read from front to back */
    part part;
    uint64_t at;
    const char *what;
} stream;

void read_stream(job *j, stream *s, void *dst, size_t bytes);
value *load_pickle(job *j, stream *s);
uint64_t unsigned_of(job *j, const value *v, const char *what);
storage *new_storage(job *j, const value *type, uint64_t count);
value *new_value(job *j, kind what);
value *new_tensor(job *j, const storage *from, st_dtype dtype, uint64_t offset, uint32_t rank);
void check_tensor(job *j, const tensor *t); /* fails if it leaves its storage */
int is_text(const value *v, const char *text);

/* archive.c */
value *read_archive(job *j); /* returns the root object of the open input */
value *persistent_value(job *j, const value *id);

/* tensors.c */
void collect_tensors(job *j, value *root);
void add_pair(job *j, const char *key, size_t key_bytes, const char *text, size_t bytes); /* to the metadata */
void share_tensors(job *j); /* keeps one name of the same bytes; makes j->tensors and j->pairs */
int fill_tensor(void *user, const st_tensor *t, uint64_t offset, void *dst, size_t bytes);

#endif
