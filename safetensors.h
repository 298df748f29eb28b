/* safetensors.h - version 0.1.0 - Unlicense or MIT-0, at your choice; the text is at the end - no warranty
 *
 * Reads and writes tensor files in the safetensors format: any source, every fault found when the file is opened,
 * whole files or none when it saves, no dependency.
 */
/* ---- 1 manual -------------------------------------------------------------------------------------------------------
 *
 * DO THIS
 *   Copy this file into your project. In ONE .c or .cc file write
 *
 *       #define ST_IMPLEMENTATION
 *       #include "safetensors.h"
 *
 *   before any other include; everywhere else just include it. There is nothing to link and nothing to configure.
 *   The file also compiles by itself: cc -x c -DST_IMPLEMENTATION -c safetensors.h
 *
 * READING
 *       st_model *model;
 *       st_error error;
 *       if (st_open(&model, "model.safetensors", NULL, &error)) {
 *           fprintf(stderr, "%s\n", error.message);
 *           return 1;
 *       }
 *       for (size_t i = 0; i < model->count; i++) printf("%s\n", model->tensors[i].name);
 *       const st_tensor *t = st_find(model, "embed.weight");
 *       if (t && t->data) use(t->data, t->bytes);
 *       st_close(model);
 *
 *   What opened is sound: tensors lie inside the file, cover its data without gap or overlap, and have the size
 *   that their shape and dtype say. No later call can run out of bounds, and there is no second call that
 *   "validates". `data` is the bytes in place where the file is mapped or in memory, at any alignment (see
 *   st_is_aligned), little-endian as on disk; where it is NULL, st_read copies them, and st_read works always.
 *
 *   st_open         a path: a file, an index, a directory; mapped where the system can, else read by position
 *   st_open_hub     a repository in the local Hugging Face cache
 *   st_open_memory  bytes that are there already
 *   st_open_io      a callback: an archive, flash, an HTTP range
 *   st_scan_*       header bytes only, with no memory at all
 *
 * WRITING
 *       const float weights[4] = {1, 2, 3, 4};
 *       const uint64_t shape[2] = {2, 2};
 *       st_tensor tensor = {.name = "layer.weight", .dtype = ST_DTYPE_F32, .rank = 2, .shape = shape, .data = weights};
 *       if (st_save("new.safetensors", &tensor, 1, NULL, 0, NULL, &error)) fprintf(stderr, "%s\n", error.message);
 *
 *   The old file stays until the new one is complete and on the device. Same input, same bytes, and the reference's.
 *
 *   st_save            tensors in memory, from an open model, or made by a callback; st_save_model, st_save_sink
 *   st_writer_*        declare, then push bytes: tensors need never be in memory together
 *   st_edit_metadata   the metadata of a file, whatever its size
 *
 * LIFETIME
 *   The model owns one block of memory, its mappings and its files; st_close returns them. All that is reached from
 *   it (names, shapes, metadata, data) is borrowed and ends with st_close. Memory given to st_open_memory, and what
 *   callbacks point to, is yours and must last until then. After an error *model is NULL and nothing needs to be
 *   freed.
 *
 * ERRORS
 *   Every call that can fail returns an st_status, ST_OK being 0. The st_error is optional and yours: status, the
 *   byte of the file, what was expected and found, which tensor or key, and one sentence that names the file.
 *   Sentences may change between versions; statuses and st_status_name do not. Treat a status you do not know as an
 *   error.
 *   A file with several faults reports the first in this order: header limit; header cut short; memory;
 *   UTF-8 of the whole header; JSON, schema, dtype and repeated fields in byte order; repeated names and metadata
 *   keys; then tensor by tensor in the order of their data: gap or overlap, overflow, sub-byte, size; last the
 *   length of the file. If any of them fails and the file begins like one of another format, ST_ERR_FORMAT says
 *   which. Every source gives the same verdict. position: of a character that cannot stand, that byte; of a
 *   repeated key or an unknown dtype, its opening quote; of a missing field, the closing brace; of wrong offsets or
 *   sizes, the opening quote of the tensor's name; of a wrong length, the end.
 *
 * WHAT IS ACCEPTED
 *   What the reference implementation accepts, less five accidents of it: a tensor name twice, a metadata key
 *   twice, an entry written as an array, a dtype written as an object (refused here), and numbers in ignored fields
 *   (from 1e309 on refused, under 1e308 accepted, nothing promised between). More only where a flag says so:
 *   ST_OPEN_TRAILING, ST_OPEN_UNKNOWN_DTYPES.
 *
 * THREADS
 *   No globals, no locks. An open model is never written to: any number of threads may find and read in it at once,
 *   as far as a callback's read_at may be called so. st_close comes after the last of them. Different models have
 *   nothing in common.
 *
 * LIMITS
 *   - Values are not converted or byte-swapped: bytes given and got are little-endian on every host.
 *   - What a crash leaves: see st_save; of an edit in place, see st_edit_metadata.
 *   - A mapped file that another process cuts short raises the system's own fault when the lost bytes are touched
 *     (SIGBUS, or an in-page error on Windows). No library can prevent that: open with ST_OPEN_NO_MAP where it may
 *     happen, then it is ST_ERR_IO.
 *   - A header has at most 100,000,000 bytes, as in the reference (st_options.max_header changes that, up to
 *     4,294,967,295).
 *   - st_scan: 1,024 tensors of 16 dimensions, 1,024 metadata entries; finding repeated names without memory takes
 *     O(n^2).
 *   - Names hold any character, NUL included: name_bytes counts. They are shown to terminals at your own risk.
 *
 * CONFIGURATION: define before including; none changes a struct. [default]
 *   ST_IMPLEMENTATION   the functions too, in one file of the program        [declarations only]
 *   ST_STATIC           all functions static: several files, one copy each   [off]
 *   ST_API              what stands before each declaration                  [extern]
 *   ST_NO_FILES         no operating system: memory and callbacks only       [off]
 *   ST_NO_MMAP          read files by position, never map them               [off]
 *   ST_NO_MALLOC        no default allocator: st_options brings memory       [off]
 *   ST_NO_WRITER        no saving                                            [off]
 *   ST_NO_ERROR_TEXT    st_error.subject and .message stay empty             [off]
 *   ST_FREESTANDING     ST_NO_FILES, ST_NO_MALLOC, and no libc header        [off]
 *   ST_MALLOC, ST_FREE  (bytes), (pointer); both or neither                  [malloc, free]
 *   ST_MEMCPY, ST_MEMMOVE, ST_MEMSET, ST_MEMCMP  as in <string.h>            [<string.h>; loops where freestanding]
 *
 * EMBEDDED
 *   #define ST_FREESTANDING, then either st_scan_begin over a header that lies in flash, which needs no memory, or
 *   st_open_memory or st_open_io with st_options.work: a buffer of yours that holds model and scratch. One that is
 *   too small answers ST_ERR_MEMORY with the bytes that suffice in error.expected. The compiler may still call
 *   memcpy, memmove, memset and memcmp; nothing else is needed. No recursion, no writable data.
 * ------------------------------------------------------------------------------------------------------------------ */
#ifndef ST_INCLUDED
#define ST_INCLUDED

/* ---- 2 version, configuration, compiler -----------------------------------------------------------------------------
 * Only what changes a declaration.
 * uses: -
 * ------------------------------------------------------------------------------------------------------------------ */
#define ST_VERSION_MAJOR 0
#define ST_VERSION_MINOR 1
#define ST_VERSION_PATCH 0
#define ST_VERSION 100 /* major * 10000 + minor * 100 + patch */
#define ST_VERSION_STRING "0.1.0"

/* The functions need more of the system's headers than strict C shows; said before the first of them is included. */
#if defined(ST_IMPLEMENTATION) && !defined(ST_NO_FILES) && !defined(ST_FREESTANDING) && !defined(_WIN32)
#if defined(__linux__)
#if !defined(_GNU_SOURCE)
#define _GNU_SOURCE 1
#endif
#elif defined(__STRICT_ANSI__) && !defined(_DEFAULT_SOURCE)
#define _DEFAULT_SOURCE 1
#endif
#if !defined(_FILE_OFFSET_BITS) && !defined(__LP64__)
#define _FILE_OFFSET_BITS 64
#endif
#endif

#include <stddef.h>
#include <stdint.h>

#ifndef ST_API
#if !defined(ST_STATIC)
#define ST_API extern
#elif defined(__GNUC__) || defined(__clang__)
#define ST_API __attribute__((unused)) static
#else
#define ST_API static
#endif
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* ---- 3 types --------------------------------------------------------------------------------------------------------
 * What the calls take and give. Zero is every default; structs grow at their end; numbers are fixed for ever.
 * uses: 2
 * ------------------------------------------------------------------------------------------------------------------ */
typedef enum st_status {
    ST_OK = 0,
    ST_ERR_ARGUMENT = 1,     /* the caller's mistake: NULL, bad enum, range past the end */
    ST_ERR_MEMORY = 2,       /* allocator said no, or the work buffer is too small (expected = bytes that suffice) */
    ST_ERR_NOT_FOUND = 3,    /* no such file, directory, repository, tensor */
    ST_ERR_IO = 4,           /* the system refused a call; sys tells why */
    ST_ERR_FORMAT = 5,       /* not a safetensors file at all; message says what it looks like */
    ST_ERR_TRUNCATED = 6,    /* file ends before the header or the data does (expected, actual: file bytes) */
    ST_ERR_TRAILING = 7,     /* bytes after the last tensor (expected, actual: file bytes) */
    ST_ERR_HEADER_LIMIT = 8, /* header longer than the limit (expected = limit, actual = header bytes) */
    ST_ERR_UTF8 = 9,         /* text is not UTF-8 */
    ST_ERR_JSON = 10,        /* header or index is not JSON */
    ST_ERR_SCHEMA = 11,      /* JSON, but of the wrong shape: field missing, wrong type, not an integer */
    ST_ERR_DUPLICATE = 12,   /* one key twice in an object */
    ST_ERR_DTYPE = 13,       /* unknown dtype */
    ST_ERR_OVERFLOW = 14,    /* shape x dtype does not fit 64 bits (counted in bits) */
    ST_ERR_SUBBYTE = 15,     /* a 4- or 6-bit tensor that does not fill whole bytes */
    ST_ERR_SIZE = 16,        /* shape x dtype is not end - begin (expected, actual: bytes) */
    ST_ERR_OFFSETS = 17,     /* a gap, an overlap, or end < begin (expected, actual: data offsets) */
    ST_ERR_SHARD = 18,       /* index and shards disagree: shard or tensor missing, tensor in two shards */
    ST_ERR_PATH = 19,        /* a path that would leave the model's directory, or that some system cannot hold */
    ST_ERR_TOO_LARGE = 20,   /* valid, but too large for this machine or this call */
    ST_ERR_UNSUPPORTED = 21, /* no such conversion, or left out of this build */
    ST_ERR_CANCELLED = 22,   /* a callback asked to stop */
    ST_ERR_STATE = 23,       /* a call out of turn: write before begin, finish before the last byte */
    ST_STATUS_32_BITS_ = 0x7fffffff
} st_status;

typedef struct st_error { /* on success only status is set */
    st_status status;
    int sys;           /* errno, GetLastError() or a callback's code; 0 where none had a part in it */
    uint64_t position; /* byte of the file at which it was seen; UINT64_MAX where there is none */
    uint64_t expected, actual;
    char subject[64];  /* tensor or key it is about, "": none; escaped, shortened in the middle, NUL-terminated */
    char message[240]; /* one sentence for a person, which names the file; escaped likewise, NUL-terminated */
} st_error;

typedef enum st_dtype {
    ST_DTYPE_NONE = 0, /* of a tensor: not known here, st_tensor.dtype_name has its spelling */
    ST_DTYPE_BOOL = 1,
    ST_DTYPE_F4 = 2,
    ST_DTYPE_F6_E2M3 = 3,
    ST_DTYPE_F6_E3M2 = 4,
    ST_DTYPE_U8 = 5,
    ST_DTYPE_I8 = 6,
    ST_DTYPE_F8_E5M2 = 7,
    ST_DTYPE_F8_E4M3 = 8,
    ST_DTYPE_F8_E8M0 = 9,
    ST_DTYPE_F8_E4M3FNUZ = 10,
    ST_DTYPE_F8_E5M2FNUZ = 11,
    ST_DTYPE_I16 = 12,
    ST_DTYPE_U16 = 13,
    ST_DTYPE_F16 = 14,
    ST_DTYPE_BF16 = 15,
    ST_DTYPE_I32 = 16,
    ST_DTYPE_U32 = 17,
    ST_DTYPE_F32 = 18,
    ST_DTYPE_C64 = 19, /* two F32: real, imaginary */
    ST_DTYPE_F64 = 20,
    ST_DTYPE_I64 = 21,
    ST_DTYPE_U64 = 22,
    ST_DTYPE_32_BITS_ = 0x7fffffff
} st_dtype;

typedef struct st_pair { /* one metadata entry; UTF-8, NUL-terminated, and may itself hold NUL, so *_bytes rule */
    const char *key, *value;
    size_t key_bytes, value_bytes; /* without the NUL at the end */
} st_pair;

typedef struct st_tensor {
    const char *name; /* UTF-8 and NUL-terminated; a name may itself hold NUL, so name_bytes rules */
    st_dtype dtype;
    uint32_t rank;            /* number of dimensions; 0 is a scalar */
    const uint64_t *shape;    /* rank dimensions in elements, slowest first; 0 is legal */
    const void *data;         /* the bytes in place, little-endian, at any alignment; NULL: not mapped or in memory */
    size_t name_bytes;        /* without the NUL at the end */
    uint64_t bytes, elements; /* elements: product of the shape, 1 for a scalar */
    uint64_t offset;          /* of the first byte, from the start of its file */
    const char *dtype_name;   /* "BF16", as the file spells it */
    uint32_t shard;           /* which of the model's files */
} st_tensor;

typedef struct st_shard {
    const char *path;                 /* UTF-8 as opened; "" for memory and callbacks */
    uint64_t file_bytes, data_offset; /* length of the file, 0: it is absent; where the first tensor's data begins */
    const st_pair *metadata;          /* in the file's order; NULL: none, not NULL and 0: an empty one */
    size_t metadata_count;
} st_shard;

typedef struct st_model {     /* in the library's memory until st_close; read-only; share it between threads freely */
    const st_tensor *tensors; /* in the order their bytes lie: shard by shard, front to back */
    size_t count;
    const st_pair *metadata; /* of the file; of several, the first shard's; NULL: none, not NULL and 0: an empty one */
    size_t metadata_count;
    const st_shard *shards; /* the files behind the model, by name */
    size_t shard_count;
    uint64_t bytes;       /* of all tensor data */
    const st_pair *index; /* the index's metadata, each value as its JSON text; none without an index */
    size_t index_count;
} st_model;

typedef struct st_alias { /* another name for a tensor's bytes */
    const char *name;     /* UTF-8 and NUL-terminated */
    size_t name_bytes;    /* without the NUL at the end */
    const st_tensor *tensor;
} st_alias;

/* The next four say where memory and bytes come from. They are copied; what they point to lives until st_close. */

typedef struct st_allocator { /* sized free, no realloc */
    void *user;
    void *(*alloc)(void *user, size_t bytes);              /* memory aligned for uint64_t, or NULL when it has none */
    void (*free)(void *user, void *pointer, size_t bytes); /* bytes: as given to alloc; pointer is never NULL */
} st_allocator;

typedef struct st_io { /* one file, from anywhere; any thread may call read_at */
    void *user;
    /* all of the bytes: 0, or a code of its own for st_error.sys */
    int (*read_at)(void *user, uint64_t offset, void *dst, size_t bytes);
    uint64_t bytes;     /* length of the whole file */
    const void *mapped; /* where the file lies in memory, or NULL; read_at may be NULL beside it */
    uint64_t id[2];     /* tells this file from another opened later under the same name; 0, 0: unknown */
} st_io;

/* Codes with a meaning of their own; a callback may return them. All others are passed on in st_error.sys. */
#define ST_IO_NOT_FOUND (-1)  /* nothing of that name, or a directory: ST_ERR_NOT_FOUND */
#define ST_IO_NOT_A_FILE (-2) /* something that cannot be read by position, a FIFO or a device: ST_ERR_IO */
#define ST_IO_ENDED (-3)      /* the file ended before its length, it must have changed: ST_ERR_IO */
#define ST_IO_NOT_UTF8 (-4)   /* a path that is not UTF-8, where paths must be: ST_ERR_UTF8 */
#define ST_IO_NO_MEMORY (-5)  /* no memory to open it: ST_ERR_MEMORY */

typedef struct st_files { /* a file system of the caller's: packs, assets, a browser's folder */
    void *user;
    /* fills *file, which comes zeroed: 0, ST_IO_NOT_FOUND (for a directory too), or a code of its own */
    int (*open)(void *user, const char *path, st_io *file);
    void (*close)(void *user, st_io *file);
    /* names, not paths; stops when each answers non-zero and returns that; ST_IO_NOT_FOUND: there is no directory */
    int (*list)(void *user, const char *directory, int (*each)(void *arg, const char *name), void *arg);
} st_files;

/* st_options.flags */
enum {
    ST_OPEN_NO_MAP = 1 << 0,         /* read with positional reads; every data pointer is NULL */
    ST_OPEN_MUST_MAP = 1 << 1,       /* an error where mapping fails; otherwise data is NULL then and reads work */
    ST_OPEN_UNKNOWN_DTYPES = 1 << 2, /* carry tensors of dtypes not known here as opaque bytes */
    ST_OPEN_PARTIAL = 1 << 3,        /* a model of which some shards are absent: serve the rest */
    ST_OPEN_TRAILING = 1 << 4        /* tolerate bytes after the last tensor */
};

typedef struct st_options {
    unsigned flags;                /* ST_OPEN_* */
    uint64_t max_header;           /* bytes of a header or an index; 0 is 100,000,000; at most 4,294,967,295 */
    const st_allocator *allocator; /* NULL is ST_MALLOC and ST_FREE */
    void *work;                    /* use this memory and no allocator; the model lives in it until st_close */
    size_t work_bytes;
    const st_files *files; /* NULL is the system's */
} st_options;

typedef enum st_advice { ST_ADVISE_WILL_NEED = 0, ST_ADVISE_DONE = 1, ST_ADVICE_32_BITS_ = 0x7fffffff } st_advice;

typedef struct st_scan { /* walks a header that lies in memory; may not be copied */
    st_tensor tensor;    /* the current one; name is NOT NUL-terminated, and still escaped if name_escaped */
    int name_escaped;    /* the name holds backslash escapes as in the file; st_scan_is compares it all the same */
    uint64_t shape[16];  /* what tensor.shape points to */
    uint64_t priv[8];
} st_scan;

typedef int (*st_progress)(void *user, uint64_t done, uint64_t total); /* bytes; non-zero cancels */

typedef struct st_sink { /* where bytes go that do not go to a file */
    void *user;
    int (*write)(void *user, const void *bytes, size_t n); /* all of them: 0, or a code for st_error.sys */
} st_sink;

/* st_save_options.flags */
enum {
    ST_SAVE_KEEP_ORDER = 1 << 0, /* the caller's order of tensors instead of dtype, then name */
    ST_SAVE_NO_SYNC = 1 << 1,    /* rename into place without flushing to the device first */
    ST_SAVE_IN_PLACE = 1 << 2    /* st_edit_metadata: overwrite the header where the new one fits */
};

typedef struct st_save_options {
    unsigned flags;                /* ST_SAVE_* */
    size_t align;                  /* data starts at a multiple of this power of two, 8 or more; 0 is 8 */
    size_t slack;                  /* spare header bytes, so that later edits fit in place */
    uint64_t max_shard_bytes;      /* no effect on one file */
    const st_allocator *allocator; /* NULL is ST_MALLOC and ST_FREE */
    void *work;                    /* use this memory and no allocator */
    size_t work_bytes;
    st_progress progress; /* st_save and its like: after each block of data */
    void *user;           /* of progress and fill */
    /* where the bytes of tensors without data are read, found by shard and offset (so they may be renamed) */
    const st_model *from;
    /* ... or made, without from: the bytes [offset, offset + n) of a tensor, which is the caller's own as it was handed
     * to st_save; 0, or a code for st_error.sys */
    int (*fill)(void *user, const st_tensor *tensor, uint64_t offset, void *dst, size_t n);
    const st_pair *index; /* no effect on one file */
    size_t index_count;
} st_save_options;

typedef struct st_writer st_writer;

/* ---- 4 calls --------------------------------------------------------------------------------------------------------
 * Threads: all calls may run at once on one open model, unless the block says otherwise.
 * uses: 3
 * ------------------------------------------------------------------------------------------------------------------ */

/* "ST_ERR_JSON" for ST_ERR_JSON; "" for what is no status. Stable, for programs that match on text. */
ST_API const char *st_status_name(st_status status);

/* "BF16" for ST_DTYPE_BF16; "" for ST_DTYPE_NONE and what is no dtype. */
ST_API const char *st_dtype_name(st_dtype dtype);

/* Bits of one element: 4 to 64; 0 for ST_DTYPE_NONE and what is no dtype. */
ST_API unsigned st_dtype_bits(st_dtype dtype);

/* The dtype of that name, exact and case-sensitive, as files spell it.
 * ST_ERR_DTYPE: there is none, *dtype is ST_DTYPE_NONE. ST_ERR_ARGUMENT: NULL. */
ST_API st_status st_dtype_from_name(const char *name, st_dtype *dtype);

/* Opens and proves a model: a .safetensors file, an index (its path ends in .json), or a directory with either.
 * path     UTF-8 (on POSIX, any bytes the system takes), of any length
 * options  NULL for the defaults; copied
 * error    NULL if you do not care
 * Gives *model, to be closed with st_close, or NULL and the status: any from ST_ERR_ARGUMENT to ST_ERR_OFFSETS, or
 * ST_ERR_SHARD, ST_ERR_PATH (of an index), ST_ERR_TOO_LARGE (must be mapped, or a header must be held, and this machine
 * cannot; over 65,536 shards) or ST_ERR_UNSUPPORTED.
 * In a directory: model.safetensors, else model.safetensors.index.json, else the only *.safetensors.index.json, else
 * the only *.safetensors, unless its name holds -NNNNN-of-MMMMM with M over 1; hidden files do not count.
 * ST_ERR_NOT_FOUND: it holds none; ST_ERR_SHARD: it is not plain which; both say what was looked for and found.
 * An index is not trusted. Its paths must be relative, of parts that are the same on every system, and end in
 * .safetensors, else ST_ERR_PATH: nothing it says leaves its directory. Symbolic links are followed: who can place them
 * owns the files anyway, an index cannot, and the hub's cache is made of them. All shards are opened and proven at
 * once; a fault in one has the status that it would have alone, and the message names it. ST_ERR_SHARD: a shard is
 * missing, a shard lacks a tensor that the index has in it, or a tensor is in two shards. Tensors that the index does
 * not name are served too; total_size is not looked at.
 * Only regular files are opened, without blocking; of a model the first 64 stay open until st_close, shared for
 * deletion on Windows, others only while they are mapped. A file that is opened again must be the same (device,
 * number, size, time), else ST_ERR_IO.
 * Cost: two positional reads a file, the second of the whole header; one block kept, of at most 96 bytes + name + 8 for
 * each dimension a tensor and 40 bytes + text a metadata pair; scratch is given back: twice each header, the index,
 * and some 60 bytes for each name in it; one mapping a file, no page of which is touched. O(n) in the headers' bytes, O(n log n)
 * in tensors if a header has them out of order or names chosen to collide. */
ST_API st_status st_open(st_model **model, const char *path, const st_options *options, st_error *error);

/* The same of a repository in the local Hugging Face cache; never the network.
 * repo      "owner/name" or "name"
 * revision  a branch, a tag or a commit of 40 hexadecimal digits; NULL is "main"
 * The cache is HF_HUB_CACHE, else HUGGINGFACE_HUB_CACHE, else HF_HOME/hub, else XDG_CACHE_HOME/huggingface/hub, else
 * ~/.cache/huggingface/hub; a variable that is empty is not set, ~ and $NAME in it are resolved. The commit is what
 * refs/<revision> holds, else the revision itself, and its snapshot is opened as a directory is.
 * ST_ERR_NOT_FOUND: it is not in the cache; the message says which file was looked for. ST_ERR_PATH: repo or revision
 * would leave the cache, or no commit is in refs. ST_ERR_UNSUPPORTED: built with ST_NO_FILES.
 * Threads: as getenv, not while another thread changes the environment. */
ST_API st_status st_open_hub(st_model **model, const char *repo, const char *revision, const st_options *options,
                             st_error *error);

/* The same of a file that lies in memory: n bytes, the caller's, unchanged until st_close; NULL only where n is 0.
 * The header is copied before it is judged, so that bytes changing under way cannot harm; data points into yours. */
ST_API st_status st_open_memory(st_model **model, const void *bytes, size_t n, const st_options *options,
                                st_error *error);

/* The same of a file behind a callback. read_at and what it uses must live until st_close; nothing is called then. */
ST_API st_status st_open_io(st_model **model, const st_io *io, const st_options *options, st_error *error);

/* Ends the model and all that was borrowed from it. NULL is fine. Not while another thread is using the model. */
ST_API void st_close(st_model *model);

/* The tensor of exactly that name (UTF-8, NUL-terminated), or NULL. Constant time; O(log n) under names chosen to
 * collide. */
ST_API const st_tensor *st_find(const st_model *model, const char *name);

/* The same for a name of name_bytes bytes, which may hold NUL and need not be terminated. */
ST_API const st_tensor *st_find_n(const st_model *model, const char *name, size_t name_bytes);

/* The metadata value of that key, NUL-terminated, or NULL. Cost as st_find. */
ST_API const char *st_find_metadata(const st_model *model, const char *key);

/* Finds many names at once: what a program wants, against what there is.
 * names    count of them, NUL-terminated
 * tensors  NULL, or room for count: the tensor of each name, NULL where it is absent
 * asked    NULL, or model->count bytes: that of each tensor found is set to 1, the others stay
 * Gives how many are absent. Strict loading is this one being 0, and st_next_unasked NULL. */
ST_API size_t st_find_each(const st_model *model, const char *const *names, size_t count, const st_tensor **tensors,
                           unsigned char *asked);

/* The next tensor that nobody asked for: whose byte in asked, model->count of them, is 0. after: the one before, NULL to
 * begin. NULL: there are no more. */
ST_API const st_tensor *st_next_unasked(const st_model *model, const unsigned char *asked, const st_tensor *after);

/* Lists the other names for tensors: those that share one's bytes by param_sharing of the index's metadata (lists of
 * names, of which the first that there is stands for the others), and names that the reference tools dropped when they
 * saved (metadata of the first file or of the index that maps a name that is no tensor to one that is).
 * memory   the caller's, where the list and its texts are put; NULL and 0 ask how much it takes
 * aliases  gets the list, in memory; its tensors are the model's; *count: how many there are
 * ST_ERR_ARGUMENT: memory is too small, error->expected bytes suffice. ST_ERR_SCHEMA: param_sharing is something else.
 * A name that is escaped in the index and has over 256 bytes stands for no tensor. O(n) in the metadata's bytes. */
ST_API st_status st_aliases(const st_model *model, void *memory, size_t memory_bytes, const st_alias **aliases,
                            size_t *count, st_error *error);

/* The tensor of that name or, where there is none, the one that it is an alias of; NULL: neither. st_find never follows
 * an alias. O(n) in the metadata's bytes where the name is no tensor's. */
ST_API const st_tensor *st_find_alias(const st_model *model, const char *name);

/* Copies the bytes [offset, offset + n) of a tensor to dst, as they are stored: little-endian, packed, C order.
 * tensor   one of the model's, or a copy of it
 * offset   in bytes, from the tensor's first
 * ST_ERR_ARGUMENT: past the tensor's end, or not of this model; dst is untouched. ST_ERR_IO: the source failed
 * (sys), dst holds nothing to rely on. Works for every source, mapped or not, and on 32-bit machines with files
 * past 4 GiB. No memory. */
ST_API st_status st_read(const st_model *model, const st_tensor *tensor, uint64_t offset, void *dst, size_t n,
                         st_error *error);

/* 1 if data is there and at a multiple of its element's size, so that it may be used as an array of that type; else 0.
 * Elements of less than a byte and of unknown dtypes count as bytes. */
ST_API int st_is_aligned(const st_tensor *tensor);

/* Tells the system what comes next for a tensor's bytes, in its file only, NULL for all: ST_ADVISE_WILL_NEED starts to read ahead,
 * ST_ADVISE_DONE lets go of cached pages. A hint: ST_OK on sources that cannot take it. ST_ERR_ARGUMENT: as
 * st_read. */
ST_API st_status st_advise(const st_model *model, const st_tensor *tensor, st_advice advice, st_error *error);

/* Begins a walk over a header that lies in memory and proves the whole of it: the verdict of st_open.
 * file        the file's first `available` bytes, unchanged until the walk is over; borrowed
 * file_bytes  length of the whole file, of which only the header need be available
 * options     max_header and ST_OPEN_TRAILING count, NULL is fine
 * ST_ERR_ARGUMENT: fewer bytes than the header needs, error->expected says how many to bring (as far as is known: 8 at
 * first). ST_ERR_TOO_LARGE: sound so far, but more than 1,024 tensors, 1,024 metadata entries or 16 dimensions.
 * Cost: no memory, under 1 KiB of stack on a Cortex-M4; O(n^2) in the number of tensors: 100 of them take under a
 * millisecond on a desktop, 1,024 some 10, or 150 where the header has them out of order. */
ST_API st_status st_scan_begin(st_scan *scan, const void *file, size_t available, uint64_t file_bytes,
                               const st_options *options, st_error *error);

/* 1: scan->tensor is the next tensor, in header order; its data where `available` has it. 0: no more, or begin
 * failed. */
ST_API int st_scan_next(st_scan *scan);

/* 1 if the current tensor is called that (NUL-terminated; escapes in the file are resolved), else 0. */
ST_API int st_scan_is(const st_scan *scan, const char *name);

#if !defined(ST_NO_WRITER)

/* Saves tensors as a file, whole or not at all: the old file stays until the new one is complete and on the device.
 * tensors   count of them; name, dtype, rank, shape and data say what to save, and for ST_DTYPE_NONE dtype_name and
 *           bytes; name_bytes 0 means NUL-terminated. data is little-endian on every host. Those of an open model
 *           can be saved as they are.
 * metadata  metadata_count pairs; *_bytes 0 means NUL-terminated; NULL: none, not NULL and 0: an empty object
 * Bytes of tensors without data come from options.from or options.fill. The result is the same for the same input,
 * and the reference's: dtype descending, then name; metadata keys ascending; ST_DTYPE_NONE last.
 * Refused before a byte is written: ST_ERR_ARGUMENT (NULL, the name __metadata__, an align that is no power of two
 * of 8 or more, bytes that come from nowhere or are not in options.from), ST_ERR_UTF8, ST_ERR_DUPLICATE,
 * ST_ERR_OVERFLOW, ST_ERR_SUBBYTE, ST_ERR_SIZE, ST_ERR_HEADER_LIMIT, ST_ERR_MEMORY. Then: ST_ERR_NOT_FOUND (no such
 * directory), ST_ERR_IO, ST_ERR_CANCELLED; after each of them the old file is there as it was and no temporary is
 * left. One exception: where only the last step fails, flushing the directory, ST_ERR_IO is said with the new file
 * in place.
 * The file is written under another name in the same directory, mode 0600, takes the permissions of the regular
 * file that it replaces, else what the umask leaves, and is renamed. A symbolic link is replaced, not followed. A
 * crash leaves the old file or the new one, and perhaps a file .st-*.tmp beside it. On Windows a file that is open or
 * mapped somewhere cannot be replaced: ST_ERR_IO.
 * Memory: the header's, and a buffer of at most 1 MiB. Threads: any, for different paths. */
ST_API st_status st_save(const char *path, const st_tensor *tensors, size_t count, const st_pair *metadata,
                         size_t metadata_count, const st_save_options *options, st_error *error);

/* The same bytes, in order, to a callback. ST_ERR_IO: it refused, its code is in sys. */
ST_API st_status st_save_sink(const st_sink *sink, const st_tensor *tensors, size_t count, const st_pair *metadata,
                              size_t metadata_count, const st_save_options *options, st_error *error);

/* st_save of all tensors and the metadata of an open model, which options.from need not repeat. */
ST_API st_status st_save_model(const char *path, const st_model *model, const st_save_options *options,
                               st_error *error);

/* A writer takes declarations first, then bytes, which need never be in memory together: open, add..., begin,
 * write..., finish, close. Calls out of turn are ST_ERR_STATE and change nothing. path and sink's user must last
 * until close, and so must what options points to. One thread at a time, but for st_writer_write_to. Nothing
 * touches the file system before st_writer_begin. Gives *writer, to be closed, or NULL and the status. */
ST_API st_status st_writer_open(st_writer **writer, const char *path, const st_save_options *options, st_error *error);
ST_API st_status st_writer_open_sink(st_writer **writer, const st_sink *sink, const st_save_options *options,
                                     st_error *error);

/* Declares a tensor or a metadata pair; copied, data is not looked at. Statuses as st_save's; a refused one leaves the
 * writer as it was. pair NULL: there is a metadata object, if only an empty one. */
ST_API st_status st_writer_add(st_writer *writer, const st_tensor *tensor, st_error *error);
ST_API st_status st_writer_add_metadata(st_writer *writer, const st_pair *pair, st_error *error);

/* Writes the header; nothing can be added from here on. A refusal before the first byte changes nothing. */
ST_API st_status st_writer_begin(st_writer *writer, st_error *error);

/* The tensor whose bytes st_writer_write expects next, with its bytes and its offset in the file; NULL: all are
 * there, or it is not the time. Tensors without bytes are passed over. */
ST_API const st_tensor *st_writer_next(const st_writer *writer);

/* The next n bytes, front to back, through tensor after tensor. ST_ERR_ARGUMENT: more than there is room for;
 * nothing of it is written. A failure is final. */
ST_API st_status st_writer_write(st_writer *writer, const void *bytes, size_t n, st_error *error);

/* Files only, and not mixed with st_writer_write: the next n bytes of the tensor of that name. Different tensors
 * may come from different threads at once. ST_ERR_NOT_FOUND: no such tensor. ST_ERR_ARGUMENT: more than it has room
 * for. ST_ERR_UNSUPPORTED: to a sink. Cost: one write of the system; bring large blocks. */
ST_API st_status st_writer_write_to(st_writer *writer, const st_tensor *tensor, const void *bytes, size_t n,
                                    st_error *error);

/* Puts the file in its place, as st_save does. ST_ERR_STATE: bytes are missing, or a write failed before. */
ST_API st_status st_writer_finish(st_writer *writer, st_error *error);

/* Ends the writer; without a finish that succeeded, as if it had never been. NULL is fine. */
ST_API void st_writer_close(st_writer *writer);

/* Replaces a file's metadata; NULL: removes it. Tensors, their bytes and their order stay; fields that the format
 * does not know do not. The header's length stays where the new one fits, else slack and alignment of the data stay.
 * By default through a new file, safe as st_save. ST_SAVE_IN_PLACE: one positional write of the header, quick on
 * 50 GB, and flushed; a crash or a failed write in it can leave a header that is part old and part new, which readers
 * refuse as a rule, and the data as it was. ST_ERR_TOO_LARGE: it does not fit (expected, actual: bytes before the
 * data).
 * ST_ERR_UNSUPPORTED: in place of a symbolic link or a file of several names. Others as st_open's and st_save's. */
ST_API st_status st_edit_metadata(const char *path, const st_pair *metadata, size_t metadata_count,
                                  const st_save_options *options, st_error *error);

#endif /* ST_NO_WRITER */

#ifdef __cplusplus
}
#endif
#endif /* ST_INCLUDED: the interface ends here; what follows is compiled in one file */

#if defined(ST_IMPLEMENTATION) && !defined(STI_IMPLEMENTED)
#define STI_IMPLEMENTED

/* ---- 5 configuration, private half ----------------------------------------------------------------------------------
 * Every default in one place, the includes, and the platform: each STI_OS_* is 0 or 1 from here on.
 * uses: 2
 * ------------------------------------------------------------------------------------------------------------------ */
#if defined(ST_FREESTANDING) && !defined(ST_NO_FILES)
#define ST_NO_FILES
#endif
#if defined(ST_FREESTANDING) && !defined(ST_NO_MALLOC)
#define ST_NO_MALLOC
#endif

#if defined(ST_NO_FILES)
#define STI_OS_POSIX 0
#define STI_OS_WINDOWS 0
#elif defined(_WIN32)
#define STI_OS_POSIX 0
#define STI_OS_WINDOWS 1
#else
#define STI_OS_POSIX 1
#define STI_OS_WINDOWS 0
#endif

#if defined(ST_MALLOC) != defined(ST_FREE)
#error "safetensors.h: define both of ST_MALLOC and ST_FREE, or neither"
#endif
#if !defined(ST_MALLOC) && !defined(ST_NO_MALLOC)
#include <stdlib.h>
#define ST_MALLOC malloc
#define ST_FREE free
#endif

#if !defined(ST_MEMCPY) && !defined(ST_MEMMOVE) && !defined(ST_MEMSET) && !defined(ST_MEMCMP)
#if defined(ST_FREESTANDING)
#define ST_MEMCPY sti_memmove
#define ST_MEMMOVE sti_memmove
#define ST_MEMSET sti_memset
#define ST_MEMCMP sti_memcmp
#define STI_OWN_MEMORY_LOOPS
#else
#include <string.h>
#define ST_MEMCPY memcpy
#define ST_MEMMOVE memmove
#define ST_MEMSET memset
#define ST_MEMCMP memcmp
#endif
#elif !defined(ST_MEMCPY) || !defined(ST_MEMMOVE) || !defined(ST_MEMSET) || !defined(ST_MEMCMP)
#error "safetensors.h: define all of ST_MEMCPY, ST_MEMMOVE, ST_MEMSET and ST_MEMCMP, or none"
#endif

#if STI_OS_POSIX
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#if !defined(ST_NO_WRITER)
#include <stdio.h> /* rename, and nothing else of it */
#endif
#include <stdlib.h> /* getenv, and nothing else of it */
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#if defined(__GLIBC__) && !defined(__USE_MISC)
#error "safetensors.h: in the implementing file include it before other headers, or define _GNU_SOURCE"
#endif
#if defined(__GLIBC__) && !defined(__LP64__) && !defined(__USE_FILE_OFFSET64)
#error "safetensors.h: in the implementing file include it before other headers, or define _FILE_OFFSET_BITS as 64"
#endif
typedef char sti_off_t_must_have_64_bits[sizeof(off_t) >= 8 ? 1 : -1];
#endif

#if STI_OS_WINDOWS
#ifndef WIN32_LEAN_AND_MEAN
#define WIN32_LEAN_AND_MEAN
#endif
#ifndef NOMINMAX
#define NOMINMAX
#endif
#include <windows.h>
#endif

#if defined(__GNUC__) || defined(__clang__)
#define STI_APART __attribute__((noinline))      /* so that its frame is not part of deeper calls of its caller */
#define STI_COLD __attribute__((noinline, cold)) /* errors: compiled for size, and out of the way */
#elif defined(_MSC_VER)
#define STI_APART __declspec(noinline)
#define STI_COLD __declspec(noinline)
#else
#define STI_APART
#define STI_COLD
#endif

#define STI_NONE UINT64_MAX          /* a position where there is none */
#define STI_DEFAULT_LIMIT 100000000u /* the format's bound for a header; decimal, in bytes */
#define STI_MAX_DEPTH 127u           /* open JSON containers, counted from the root, as in the reference */
#define STI_OPEN_FLAGS (ST_OPEN_NO_MAP | ST_OPEN_MUST_MAP | ST_OPEN_UNKNOWN_DTYPES | ST_OPEN_PARTIAL | ST_OPEN_TRAILING)
#define STI_SAVE_FLAGS (ST_SAVE_KEEP_ORDER | ST_SAVE_NO_SYNC | ST_SAVE_IN_PLACE)
#define STI_INTERRUPTS 1000 /* signals that one call of the system may be interrupted by before that is an error */
#define STI_IO_LINKED (-6)  /* as ST_IO_*: a symbolic link, or a file of several names */
#define STI_IO_EXISTS (-7)  /* the name is taken */
#define STI_SCAN_TENSORS 1024u
#define STI_SCAN_PAIRS 1024u
#define STI_SCAN_RANK 16u

#if defined(ST_NO_ERROR_TEXT)
#define STI_SAY(text) ((const char *)0) /* not NULL, which C++ takes for a number where both arms of a ?: are it */
#else
#define STI_SAY(text) text
#endif

/* ---- 6 arithmetic ---------------------------------------------------------------------------------------------------
 * The only place where sizes are added or multiplied raw; little-endian loads; spans of bytes.
 * uses: 5
 * ------------------------------------------------------------------------------------------------------------------ */
typedef struct sti_span {
    const char *at;
    size_t n;
} sti_span;

#if defined(STI_OWN_MEMORY_LOOPS)
static void *sti_memmove(void *dst, const void *src, size_t n) {
    unsigned char *d = (unsigned char *)dst;
    const unsigned char *s = (const unsigned char *)src;
    if ((uintptr_t)d <= (uintptr_t)s) {
        for (; n; n--) *d++ = *s++;
    } else {
        for (; n; n--) d[n - 1] = s[n - 1];
    }
    return dst;
}

static void *sti_memset(void *dst, int value, size_t n) {
    unsigned char *d = (unsigned char *)dst;
    for (; n; n--) *d++ = (unsigned char)value;
    return dst;
}

static int sti_memcmp(const void *a, const void *b, size_t n) {
    const unsigned char *x = (const unsigned char *)a, *y = (const unsigned char *)b;
    for (; n; n--, x++, y++) {
        if (*x != *y) return *x < *y ? -1 : 1;
    }
    return 0;
}
#endif

/* 1 and the product, or 0 where it does not fit */
static int sti_mul(uint64_t a, uint64_t b, uint64_t *product) {
    /* two factors under 2^32 cannot overflow: this spares nearly every shape the division */
    if ((a | b) > UINT32_MAX && a != 0 && b > UINT64_MAX / a) return 0;
    *product = a * b;
    return 1;
}

/* a place in a file; it stays at UINT64_MAX once it would pass that, and no file has that length */
static uint64_t sti_sum(uint64_t a, uint64_t b) {
    return b > UINT64_MAX - a ? UINT64_MAX : a + b;
}

/* sizes in memory, which stay at SIZE_MAX once they would pass it: no allocator has that much */
static size_t sti_plus(size_t a, size_t b) {
    return b > SIZE_MAX - a ? SIZE_MAX : a + b;
}

static size_t sti_times(size_t count, size_t size) {
    return size && count > SIZE_MAX / size ? SIZE_MAX : count * size;
}

/* the next multiple of 8 */
static size_t sti_round8(size_t n) {
    return sti_plus(n, 7) & ~(size_t)7;
}

static uint32_t sti_load32(const void *p) {
    const unsigned char *b = (const unsigned char *)p;
    return (uint32_t)b[0] | (uint32_t)b[1] << 8 | (uint32_t)b[2] << 16 | (uint32_t)b[3] << 24;
}

static uint64_t sti_load64(const void *p) {
    return (uint64_t)sti_load32(p) | (uint64_t)sti_load32((const unsigned char *)p + 4) << 32;
}

static sti_span sti_text(const char *text) {
    sti_span s;
    s.at = text;
    s.n = 0;
    while (text[s.n]) s.n++;
    return s;
}

/* what is left of a text without its first n bytes, which are there */
static sti_span sti_behind(sti_span s, size_t n) {
    s.at += n;
    s.n -= n;
    return s;
}

static int sti_same(sti_span a, sti_span b) {
    return a.n == b.n && ST_MEMCMP(a.at, b.at, a.n) == 0;
}

/* ---- 7 errors -------------------------------------------------------------------------------------------------------
 * Set once where the fault is seen, formatted without stdio; the file's name is put before the sentence on the way
 * out.
 * uses: 5, 6
 * ------------------------------------------------------------------------------------------------------------------ */
ST_API const char *st_status_name(st_status status) {
    static const char names[24][20] = {"ST_OK",
                                       "ST_ERR_ARGUMENT",
                                       "ST_ERR_MEMORY",
                                       "ST_ERR_NOT_FOUND",
                                       "ST_ERR_IO",
                                       "ST_ERR_FORMAT",
                                       "ST_ERR_TRUNCATED",
                                       "ST_ERR_TRAILING",
                                       "ST_ERR_HEADER_LIMIT",
                                       "ST_ERR_UTF8",
                                       "ST_ERR_JSON",
                                       "ST_ERR_SCHEMA",
                                       "ST_ERR_DUPLICATE",
                                       "ST_ERR_DTYPE",
                                       "ST_ERR_OVERFLOW",
                                       "ST_ERR_SUBBYTE",
                                       "ST_ERR_SIZE",
                                       "ST_ERR_OFFSETS",
                                       "ST_ERR_SHARD",
                                       "ST_ERR_PATH",
                                       "ST_ERR_TOO_LARGE",
                                       "ST_ERR_UNSUPPORTED",
                                       "ST_ERR_CANCELLED",
                                       "ST_ERR_STATE"};
    return (unsigned)status < sizeof names / sizeof *names ? names[(unsigned)status] : "";
}

#if !defined(ST_NO_ERROR_TEXT) || !defined(ST_NO_WRITER)
#define STI_DIGITS 20u /* of 2^64 - 1 */

/* the decimal digits of n, at the end of digits */
static sti_span sti_digits(uint64_t n, char digits[STI_DIGITS]) {
    sti_span s;
    s.n = 0;
    do {
        s.n++;
        digits[STI_DIGITS - s.n] = (char)('0' + (int)(n % 10));
        n /= 10;
    } while (n);
    s.at = digits + STI_DIGITS - s.n;
    return s;
}
#endif

#if !defined(ST_NO_ERROR_TEXT) || (!defined(ST_NO_WRITER) && !defined(ST_NO_FILES))
/* appends to the string in text[size], as much as fits */
static void sti_put(char *text, size_t size, sti_span more) {
    size_t used = sti_text(text).n, room = size - 1 - used; /* used < size: text is terminated inside */
    size_t n = more.n < room ? more.n : room;
    ST_MEMCPY(text + used, more.at, n);
    text[used + n] = 0;
}

static void sti_put_number(char *text, size_t size, uint64_t n) {
    char digits[STI_DIGITS];
    sti_put(text, size, sti_digits(n, digits));
}
#endif

#if !defined(ST_NO_ERROR_TEXT)
/* sentence, with $e expected, $a actual, $d their difference */
static void sti_put_sentence(st_error *e, const char *sentence) {
    sti_span s;
    for (; *sentence; sentence++) {
        s.at = sentence;
        s.n = 1;
        if (*sentence != '$') {
            sti_put(e->message, sizeof e->message, s);
        } else {
            uint64_t gap = e->expected > e->actual ? e->expected - e->actual : e->actual - e->expected;
            sentence++;
            sti_put_number(e->message, sizeof e->message,
                           *sentence == 'e'   ? e->expected
                           : *sentence == 'a' ? e->actual
                                              : gap);
        }
    }
}

/* puts a text before the sentence that is there */
static void sti_say_first(st_error *e, sti_span text) {
    size_t used = sti_text(e->message).n, last = sizeof e->message - 1;
    size_t room = last - text.n; /* callers bring less than half of a message */
    if (used > room) used = room;
    ST_MEMMOVE(e->message + text.n, e->message, used);
    ST_MEMCPY(e->message, text.at, text.n);
    e->message[text.n + used] = 0;
}
#endif

/* every error begins here; e may be NULL. Gives the status back, so that callers can return it. */
STI_COLD static st_status sti_fail(st_error *e, st_status status, uint64_t position, uint64_t expected, uint64_t actual,
                                   const char *sentence) {
    if (!e) return status;
    ST_MEMSET(e, 0, sizeof *e);
    e->status = status;
    e->position = position;
    e->expected = expected;
    e->actual = actual;
#if defined(ST_NO_ERROR_TEXT)
    (void)sentence;
#else
    sti_put_sentence(e, sentence);
#endif
    return status;
}

/* an error of the system or of a callback, with its code */
STI_COLD static st_status sti_fail_io(st_error *e, int code, uint64_t position, const char *sentence) {
    (void)sti_fail(e, ST_ERR_IO, position, 0, 0, sentence);
    if (e) e->sys = code;
#if !defined(ST_NO_ERROR_TEXT)
    if (e && code > 0) {
        sti_put(e->message, sizeof e->message, sti_text(" (system error "));
        sti_put_number(e->message, sizeof e->message, (uint64_t)code);
        sti_put(e->message, sizeof e->message, sti_text(")"));
    }
#endif
    return ST_ERR_IO;
}

static st_status sti_succeed(st_error *e) {
    if (e) e->status = ST_OK;
    return ST_OK;
}

/* ---- 8 memory -------------------------------------------------------------------------------------------------------
 * An allocator or a work buffer. A layout is measured with no memory, taken once, and filled by the same code.
 * uses: 5, 6, 7
 * ------------------------------------------------------------------------------------------------------------------ */
typedef struct sti_memory {
    st_allocator allocator; /* alloc NULL: there is none */
    unsigned char *work;    /* at a multiple of 8; NULL: the allocator is used */
    size_t work_bytes;
    size_t work_skipped; /* bytes before the first multiple of 8 */
} sti_memory;

typedef struct sti_block { /* memory being handed out, front to back */
    unsigned char *base;   /* NULL: only measured */
    size_t used;
} sti_block;

#if !defined(ST_NO_MALLOC)
static void *sti_malloc(void *user, size_t bytes) {
    (void)user;
    return ST_MALLOC(bytes);
}

static void sti_free(void *user, void *pointer, size_t bytes) {
    (void)user, (void)bytes;
    ST_FREE(pointer);
}
#endif

static void sti_memory_choose(sti_memory *m, const st_options *o) {
    ST_MEMSET(m, 0, sizeof *m);
    if (o->work) {
        uintptr_t past = (uintptr_t)o->work % 8;
        m->work_skipped = past ? 8 - past : 0;
        m->work = (unsigned char *)o->work + (m->work_skipped < o->work_bytes ? m->work_skipped : 0);
        m->work_bytes = o->work_bytes > m->work_skipped ? (o->work_bytes - m->work_skipped) & ~(size_t)7 : 0;
    } else if (o->allocator) {
        m->allocator = *o->allocator;
    } else {
#if !defined(ST_NO_MALLOC)
        m->allocator.alloc = sti_malloc;
        m->allocator.free = sti_free;
#endif
    }
}

static void *sti_obtain(const sti_memory *m, size_t bytes) {
    return m->allocator.alloc && bytes < SIZE_MAX ? (m->allocator.alloc)(m->allocator.user, bytes) : NULL;
}

/* gives back what was obtained; nothing to do for what lies in a work buffer */
static void sti_return(const sti_memory *m, void *pointer, size_t bytes) {
    if (pointer && !m->work) (m->allocator.free)(m->allocator.user, pointer, bytes);
}

STI_COLD static st_status sti_fail_memory(const sti_memory *m, size_t bytes, st_error *error) {
    return sti_fail(error, ST_ERR_MEMORY, STI_NONE, bytes, 0,
                    m->work ? STI_SAY("the work buffer is too small: $e bytes suffice")
                            : STI_SAY("no memory for $e bytes"));
}

/* room for count items of that size; callers take in order of falling alignment, so that no gaps arise */
static void *sti_take(sti_block *b, size_t count, size_t size) {
    void *p = b->base ? b->base + b->used : NULL; /* measured before: used stays within the block */
    b->used = sti_plus(b->used, sti_times(count, size));
    return p;
}

/* copies a text with a NUL to *at, which moves on */
static const char *sti_keep(char **at, sti_span text) {
    char *kept = *at;
    ST_MEMCPY(kept, text.at, text.n);
    kept[text.n] = 0;
    *at += text.n + 1;
    return kept;
}

/* ---- 9 JSON ---------------------------------------------------------------------------------------------------------
 * UTF-8 and a scanner that pulls tokens from a span; knows no tensors. Strict RFC 8259, and not recursive.
 * uses: 5, 6, 7
 * ------------------------------------------------------------------------------------------------------------------ */
typedef struct sti_json {
    const unsigned char *at, *end;   /* what is in reach: at comes next */
    uint32_t stop;                   /* place of `end` in the whole text; a header has fewer than 2^32 bytes */
    uint32_t base;                   /* bytes of the file before the text: of a header its length, 8 */
    int (*more)(struct sti_json *j); /* puts the next bytes in reach, or 0: there are none; NULL: all are in reach */
    st_error *error;
} sti_json;

typedef struct sti_word {  /* a string */
    uint32_t place;        /* of its opening quote */
    uint32_t bytes;        /* unescaped */
    unsigned char escaped; /* a backslash is in it */
    unsigned char nul;     /* so is a NUL, escaped */
    char head[16];         /* its first bytes, unescaped: longer than any word of the format */
} sti_word;

/* length of the sequence that s begins with, n > 0 bytes being there; 0 if it is not UTF-8 or cut */
static size_t sti_utf8(const unsigned char *s, size_t n) {
    unsigned char c = s[0], low = 0x80, high = 0xBF;
    size_t length = c < 0x80 ? 1 : c < 0xE0 ? 2 : c < 0xF0 ? 3 : 4, i;
    if (length == 1) return 1;
    if (c < 0xC2 || c > 0xF4 || n < length) return 0;
    if (c == 0xE0) low = 0xA0;  /* overlong */
    if (c == 0xED) high = 0x9F; /* surrogates */
    if (c == 0xF0) low = 0x90;  /* overlong */
    if (c == 0xF4) high = 0x8F; /* past U+10FFFF */
    if (s[1] < low || s[1] > high) return 0;
    for (i = 2; i < length; i++) {
        if ((s[i] & 0xC0) != 0x80) return 0;
    }
    return length;
}

/* how many bytes are UTF-8 before the first sequence that is not */
static size_t sti_utf8_span(const unsigned char *s, size_t n) {
    size_t i = 0, length;
    while (i < n) {
        if (n - i >= 8 && (sti_load64(s + i) & 0x8080808080808080u) == 0) {
            i += 8;
        } else {
            length = sti_utf8(s + i, n - i);
            if (length == 0) break;
            i += length;
        }
    }
    return i;
}

static uint32_t sti_json_place(const sti_json *j) {
    return j->stop - (uint32_t)(j->end - j->at);
}

/* a fault at a place of the text */
STI_COLD static st_status sti_json_fail_at(const sti_json *j, uint32_t place, st_status status, const char *sentence) {
    return sti_fail(j->error, status, sti_sum(j->base, place), 0, 0, sentence);
}

static st_status sti_json_fail(const sti_json *j, st_status status, const char *sentence) {
    return sti_json_fail_at(j, sti_json_place(j), status, sentence);
}

static int sti_is_blank(int c) {
    return c == ' ' || c == '\n' || c == '\t' || c == '\r';
}

/* the next byte, or -1 at the end */
static int sti_json_byte(sti_json *j) {
    if (j->at == j->end && !(j->more && (j->more)(j))) return -1;
    return *j->at;
}

/* the same past blanks */
static int sti_json_peek(sti_json *j) {
    int c;
    while (sti_is_blank(c = sti_json_byte(j))) j->at++;
    return c;
}

/* something else stands where a value of one kind was due: another kind of value, or none at all */
STI_COLD static st_status sti_json_wrong(sti_json *j, const char *sentence) {
    int c = sti_json_byte(j);
    int value =
        c == '{' || c == '[' || c == '"' || c == '-' || (c >= '0' && c <= '9') || c == 't' || c == 'f' || c == 'n';
    return sti_json_fail(j, value ? ST_ERR_SCHEMA : ST_ERR_JSON, sentence);
}

/* passes a ':' */
static st_status sti_json_colon(sti_json *j) {
    if (sti_json_peek(j) != ':') return sti_json_fail(j, ST_ERR_JSON, STI_SAY("a colon is due after a key"));
    j->at++;
    return ST_OK;
}

/* passes the opening bracket of a container, and its closing one where nothing is inside; *more: an item follows */
static st_status sti_json_enter(sti_json *j, int open, int *more, const char *sentence) {
    *more = 0;
    if (sti_json_peek(j) != open) return sti_json_wrong(j, sentence);
    j->at++;
    *more = sti_json_peek(j) != open + 2; /* '{' + 2 is '}', '[' + 2 is ']' */
    if (!*more) j->at++;
    return ST_OK;
}

/* passes what stands after an item: a comma, then *more, or the container's closing bracket */
static st_status sti_json_next(sti_json *j, int open, int *more) {
    int c = sti_json_peek(j);
    if (c != ',' && c != open + 2) {
        return sti_json_fail(j, ST_ERR_JSON,
                             open == '{' ? STI_SAY("a comma or a closing brace is due after a member")
                                         : STI_SAY("a comma or a closing bracket is due after an item"));
    }
    j->at++;
    *more = c == ',';
    return ST_OK;
}

/* four hexadecimal digits */
static st_status sti_json_hex(sti_json *j, uint32_t *value) {
    int i;
    *value = 0;
    for (i = 0; i < 4; i++, j->at++) {
        int c = sti_json_byte(j), digit;
        if (c >= '0' && c <= '9') {
            digit = c - '0';
        } else if (c >= 'a' && c <= 'f') {
            digit = c - 'a' + 10;
        } else if (c >= 'A' && c <= 'F') {
            digit = c - 'A' + 10;
        } else {
            return sti_json_fail(j, ST_ERR_JSON, STI_SAY("four hexadecimal digits are due after \\u"));
        }
        *value = *value << 4 | (uint32_t)digit;
    }
    return ST_OK;
}

/* the UTF-8 of a code point that is no surrogate */
static size_t sti_utf8_put(uint32_t code, unsigned char out[4]) {
    size_t n = code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4, i;
    for (i = n; i > 1; i--, code >>= 6) out[i - 1] = (unsigned char)(0x80 | (code & 0x3F));
    out[0] = (unsigned char)(n == 1 ? code : n == 2 ? 0xC0 | code : n == 3 ? 0xE0 | code : 0xF0 | code);
    return n;
}

/* an escape, j at its backslash: the *n bytes of UTF-8 that it stands for */
static st_status sti_json_escape(sti_json *j, unsigned char out[4], size_t *n) {
    static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
    uint32_t backslash = sti_json_place(j), code, low;
    st_status s;
    int c, i;
    j->at++;
    c = sti_json_byte(j);
    *n = 1;
    for (i = 0; i < 8; i++) {
        if (c == from[i]) {
            out[0] = (unsigned char)to[i];
            j->at++;
            return ST_OK;
        }
    }
    if (c != 'u') return sti_json_fail(j, ST_ERR_JSON, STI_SAY("JSON has no such escape"));
    j->at++;
    if ((s = sti_json_hex(j, &code)) != ST_OK) return s;
    if (code >= 0xD800 && code <= 0xDBFF && sti_json_byte(j) == '\\') {
        j->at++;
        if (sti_json_byte(j) == 'u') {
            j->at++;
            if ((s = sti_json_hex(j, &low)) != ST_OK) return s;
            if (low >= 0xDC00 && low <= 0xDFFF) code = 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00);
        }
    }
    if (code >= 0xD800 && code <= 0xDFFF) {
        return sti_json_fail_at(j, backslash, ST_ERR_JSON, STI_SAY("half of a surrogate pair stands alone"));
    }
    *n = sti_utf8_put(code, out);
    return ST_OK;
}

/* whether none of 8 bytes ends a run of plain ones: a quote, a backslash or a control character. Byte by byte the sums
 * below are at most 0xFE, so nothing carries from one into the next and nothing wraps. */
static int sti_plain8(const unsigned char *s) {
    const uint64_t low = 0x7F7F7F7F7F7F7F7Fu;
    uint64_t x = sti_load64(s), quote = x ^ 0x2222222222222222u, backslash = x ^ 0x5C5C5C5C5C5C5C5Cu;
    uint64_t not_quote = ((quote & low) + low) | quote, not_backslash = ((backslash & low) + low) | backslash;
    uint64_t not_control = ((x & low) + 0x6060606060606060u) | x;
    return (not_quote & not_backslash & not_control & ~low) == ~low;
}

/* adds bytes to a word, and to out if that is there */
static void sti_word_add(sti_word *w, char *out, const void *bytes, size_t n) {
    if (out) ST_MEMCPY(out + w->bytes, bytes, n);
    if (w->bytes < sizeof w->head) {
        size_t room = sizeof w->head - w->bytes;
        ST_MEMCPY(w->head + w->bytes, bytes, n < room ? n : room);
    }
    w->bytes += (uint32_t)n; /* no more than the text, which has fewer than 2^32 */
}

static int sti_word_is(const sti_word *w, const char *text, size_t n) {
    return w->bytes == n && ST_MEMCMP(w->head, text, n) == 0;
}

/* passes a string, j at its opening quote; out NULL, or room for all its bytes */
static st_status sti_json_string(sti_json *j, sti_word *w, char *out) {
    w->place = sti_json_place(j);
    w->bytes = 0;
    w->escaped = w->nul = 0;
    j->at++;
    for (;;) {
        const unsigned char *run = j->at;
        int c;
        while (j->end - j->at >= 8 && sti_plain8(j->at)) j->at += 8;
        while (j->at < j->end && *j->at >= 0x20 && *j->at != '"' && *j->at != '\\') j->at++;
        if (j->at > run) sti_word_add(w, out, run, (size_t)(j->at - run));
        c = sti_json_byte(j);
        if (c == '"') {
            j->at++;
            return ST_OK;
        }
        if (c == '\\') {
            unsigned char bytes[4];
            size_t n;
            st_status s = sti_json_escape(j, bytes, &n);
            if (s != ST_OK) return s;
            w->escaped = 1;
            if (bytes[0] == 0) w->nul = 1;
            sti_word_add(w, out, bytes, n);
        } else if (c < 0x20) {
            return sti_json_fail(j, ST_ERR_JSON,
                                 c < 0 ? STI_SAY("a string does not end")
                                       : STI_SAY("a control character in a string must be escaped"));
        }
    }
}

/* the key of a member */
static st_status sti_json_key(sti_json *j, sti_word *w) {
    if (sti_json_peek(j) != '"') return sti_json_fail(j, ST_ERR_JSON, STI_SAY("a key in double quotes is due"));
    return sti_json_string(j, w, NULL);
}

/* an unsigned integer, the only numbers that mean something here */
static st_status sti_json_integer(sti_json *j, uint64_t *value) {
    int c = sti_json_peek(j), first = c;
    if (c < '0' || c > '9') return sti_json_wrong(j, STI_SAY("an unsigned integer is due"));
    *value = 0;
    do {
        uint64_t digit = (uint64_t)(c - '0'), tens;
        if (!sti_mul(*value, 10, &tens) || digit > UINT64_MAX - tens) {
            return sti_json_fail(j, ST_ERR_SCHEMA, STI_SAY("an integer is over 2^64 - 1"));
        }
        *value = sti_sum(tens, digit);
        j->at++;
        c = sti_json_byte(j);
    } while (c >= '0' && c <= '9' && first != '0');
    if (c >= '0' && c <= '9') return sti_json_fail(j, ST_ERR_JSON, STI_SAY("a number must not begin with 0"));
    if (c == '.' || c == 'e' || c == 'E') {
        return sti_json_fail(j, ST_ERR_SCHEMA, STI_SAY("an unsigned integer is due, not a fraction"));
    }
    return ST_OK;
}

/* passes digits, at least one; *n counts them, *zeros those before the first that is not 0 */
static st_status sti_json_digits(sti_json *j, int64_t *n, int64_t *zeros) {
    int c = sti_json_byte(j);
    *n = *zeros = 0;
    if (c < '0' || c > '9') return sti_json_fail(j, ST_ERR_JSON, STI_SAY("a digit is due"));
    for (; c >= '0' && c <= '9'; c = sti_json_byte(j)) {
        if (c == '0' && *zeros == *n) ++*zeros;
        ++*n; /* a header has fewer than 2^32 digits */
        j->at++;
    }
    return ST_OK;
}

/* passes any number whose magnitude is under 1e309: beyond, the reference's f64 overflows */
STI_APART static st_status sti_json_number(sti_json *j) {
    uint32_t begin = sti_json_place(j);
    int64_t whole, zeros, digits = 0, fraction_zeros = 0, exponent = 0, power;
    int negative = 0, zero;
    st_status s;
    if (*j->at == '-') j->at++;
    if (sti_json_byte(j) == '0') { /* alone: a digit after it is refused by whatever is due next */
        j->at++;
        whole = zeros = 1;
    } else if ((s = sti_json_digits(j, &whole, &zeros)) != ST_OK) {
        return s;
    }
    if (sti_json_byte(j) == '.') {
        j->at++;
        if ((s = sti_json_digits(j, &digits, &fraction_zeros)) != ST_OK) return s;
    }
    if (sti_json_byte(j) == 'e' || sti_json_byte(j) == 'E') {
        int c;
        j->at++;
        c = sti_json_byte(j);
        negative = c == '-';
        if (c == '-' || c == '+') j->at++;
        if (sti_json_byte(j) < '0' || sti_json_byte(j) > '9') {
            return sti_json_fail(j, ST_ERR_JSON, STI_SAY("a digit is due"));
        }
        for (; (c = sti_json_byte(j)) >= '0' && c <= '9'; j->at++) {
            if (exponent < INT64_C(100000000000)) {
                exponent = exponent * 10 + (c - '0'); /* far past what digits can make up for */
            }
        }
    }
    zero = zeros == whole && fraction_zeros == digits;
    power = whole > zeros ? whole - 1 : -1 - fraction_zeros; /* of ten, of the first digit that is not 0 */
    power += negative ? -exponent : exponent;
    if (!zero && power >= 309) {
        return sti_json_fail_at(j, begin, ST_ERR_JSON, STI_SAY("a number is out of range"));
    }
    return ST_OK;
}

static st_status sti_json_literal(sti_json *j, const char *text) {
    for (; *text; text++, j->at++) {
        if (sti_json_byte(j) != *text) {
            return sti_json_fail(j, ST_ERR_JSON, STI_SAY("only true, false and null are written without quotes"));
        }
    }
    return ST_OK;
}

/* passes a value that is no container */
STI_APART static st_status sti_json_scalar(sti_json *j) {
    sti_word w;
    int c = sti_json_peek(j);
    switch (c) {
    case '"': return sti_json_string(j, &w, NULL);
    case 't': return sti_json_literal(j, "true");
    case 'f': return sti_json_literal(j, "false");
    case 'n': return sti_json_literal(j, "null");
    default: break;
    }
    if (c == '-' || (c >= '0' && c <= '9')) return sti_json_number(j);
    return sti_json_fail(j, ST_ERR_JSON, STI_SAY("a value is due"));
}

/* passes any value; depth containers are open around it */
STI_APART static st_status sti_json_skip(sti_json *j, unsigned depth) {
    unsigned char objects[(STI_MAX_DEPTH + 7) / 8]; /* bit i: the i-th container inside is an object, not an array */
    const unsigned limit = STI_MAX_DEPTH - depth;
    unsigned inside = 0;
    sti_word key;
    st_status s;
    int c, more;
    ST_MEMSET(objects, 0, sizeof objects);
    for (;;) {
        c = sti_json_peek(j);
        if (c == '{' || c == '[') {
            unsigned char *byte = &objects[inside / 8], bit = (unsigned char)(1u << inside % 8);
            if (inside == limit) {
                return sti_json_fail(j, ST_ERR_JSON, STI_SAY("containers are nested more than 127 deep"));
            }
            (void)sti_json_enter(j, c, &more, NULL); /* cannot fail: c stands there */
            *byte = (unsigned char)(c == '{' ? *byte | bit : *byte & ~bit);
            if (more) inside++;
        } else {
            if ((s = sti_json_scalar(j)) != ST_OK) return s;
            more = 0;
        }
        while (!more && inside > 0) {
            c = objects[(inside - 1) / 8] >> (inside - 1) % 8 & 1 ? '{' : '[';
            if ((s = sti_json_next(j, c, &more)) != ST_OK) return s;
            if (!more) inside--;
        }
        if (inside == 0) return ST_OK;
        if (objects[(inside - 1) / 8] >> (inside - 1) % 8 & 1) {
            if ((s = sti_json_key(j, &key)) != ST_OK || (s = sti_json_colon(j)) != ST_OK) return s;
        }
    }
}

/* the place of a member's key in an object that was scanned before */
static uint32_t sti_json_member(sti_json j, const unsigned char *object, uint32_t member) {
    sti_word w;
    int more;
    j.at = object;
    (void)sti_json_enter(&j, '{', &more, NULL); /* nothing can fail: all of it passed once */
    for (; member > 0; member--) {
        (void)sti_json_key(&j, &w), (void)sti_json_colon(&j), (void)sti_json_skip(&j, 2),
            (void)sti_json_next(&j, '{', &more);
    }
    (void)sti_json_peek(&j);
    return sti_json_place(&j);
}

enum sti_kind {
    STI_PLAIN,  /* a path */
    STI_NAME,   /* a name, which quotes go around: quote and backslash are escaped */
    STI_ESCAPED /* a name as it stands in the header: its escapes are resolved first */
};

/* a text of which one character after the other is taken: plain UTF-8, or the inside of a string that was scanned
 * before */
static sti_json sti_json_inside(sti_span text) {
    sti_json j;
    ST_MEMSET(&j, 0, sizeof j);
    j.at = (const unsigned char *)text.at;
    j.end = j.at + text.n;
    j.stop = (uint32_t)text.n; /* no place in it is asked for but to be thrown away, and a path may be longer */
    return j;
}

/* passes the next character, at least one byte being left: its length as UTF-8, or 0 for a byte that is none */
static size_t sti_json_character(sti_json *j, int escaped, unsigned char out[4]) {
    size_t n = sti_utf8(j->at, (size_t)(j->end - j->at)), i;
    if (escaped && *j->at == '\\') {
        (void)sti_json_escape(j, out, &n); /* cannot fail: the string was scanned before */
        return n;
    }
    for (i = 0; i < (n ? n : 1); i++) out[i] = *j->at++;
    return n;
}

/* whether two texts are equal once the escapes are resolved where they may stand */
static int sti_json_same(sti_span a, int a_escaped, sti_span b, int b_escaped) {
    sti_json x = sti_json_inside(a), y = sti_json_inside(b);
    unsigned char p[4], q[4];
    while (x.at < x.end && y.at < y.end) {
        size_t n = sti_json_character(&x, a_escaped, p), m = sti_json_character(&y, b_escaped, q);
        if (n != m || n == 0 || ST_MEMCMP(p, q, n) != 0) return 0;
    }
    return x.at == x.end && y.at == y.end;
}

#if !defined(ST_NO_ERROR_TEXT)
/* the next character of a text as a person may see it: what a terminal would obey, and what is not UTF-8, is
 * escaped */
static size_t sti_show_next(sti_json *j, enum sti_kind kind, char out[6]) {
    static const char hex[] = "0123456789abcdef";
    unsigned char raw[4];
    size_t n = sti_json_character(j, kind == STI_ESCAPED, raw);
    uint32_t code;
    int i;
    out[0] = '\\';
    if (n == 0) {
        out[1] = 'x';
        out[2] = hex[raw[0] >> 4];
        out[3] = hex[raw[0] & 15];
        return 4;
    }
    code = n == 1   ? raw[0]
           : n == 2 ? (raw[0] & 0x1Fu) << 6 | (raw[1] & 0x3Fu)
           : n == 3 ? (uint32_t)(raw[0] & 0xFu) << 12 | (raw[1] & 0x3Fu) << 6 | (raw[2] & 0x3Fu)
                    : 0x10000; /* nothing of four bytes is escaped */
    if (kind != STI_PLAIN && (code == '"' || code == '\\')) {
        out[1] = (char)code;
        return 2;
    }
    /* control characters; marks of writing direction; line and paragraph separators; the byte order mark */
    if (code < 0x20 || (code >= 0x7F && code < 0xA0) || code == 0x61C || code == 0x200E || code == 0x200F ||
        (code >= 0x2028 && code <= 0x202E) || (code >= 0x2066 && code <= 0x2069) || code == 0xFEFF) {
        out[1] = 'u';
        for (i = 0; i < 4; i++) out[2 + i] = hex[code >> (12 - 4 * i) & 15];
        return 6;
    }
    ST_MEMCPY(out, raw, n);
    return n;
}

/* a name as a person may see it, in out[size], shortened in the middle if need be */
static sti_span sti_show(char *out, size_t size, sti_span name, enum sti_kind kind) {
    const size_t half = (size - 1 - 3) / 2; /* what is shown on each side of "..." */
    uint64_t total = 0, seen = 0;
    sti_json j = sti_json_inside(name);
    sti_span shown;
    char next[6];
    shown.at = out;
    shown.n = 0;
    while (j.at < j.end) total = sti_sum(total, sti_show_next(&j, kind, next));
    j = sti_json_inside(name);
    while (j.at < j.end) {
        size_t n = sti_show_next(&j, kind, next);
        uint64_t past = sti_sum(seen, n);
        if (total < size || past <= half || seen >= total - half) { /* all of it, or half of the room from either end */
            ST_MEMCPY(out + shown.n, next, n);
            shown.n += n;
        } else if (seen <= half) { /* the first that does not fit: once, as past > half */
            ST_MEMCPY(out + shown.n, "...", 3);
            shown.n += 3;
        }
        seen = past;
    }
    out[shown.n] = 0;
    return shown;
}
#endif

/* sets the subject, and puts it before the sentence */
STI_COLD static void sti_say_about(st_error *e, sti_span name, enum sti_kind kind) {
#if defined(ST_NO_ERROR_TEXT)
    (void)e, (void)name, (void)kind;
#else
    if (e) {
        name = sti_show(e->subject, sizeof e->subject, name, kind);
        sti_say_first(e, sti_text("\": "));
        sti_say_first(e, name);
        sti_say_first(e, sti_text("\""));
    }
#endif
}

/* adds words and a text to the sentence */
STI_COLD static void sti_say_more(st_error *e, const char *words, sti_span text) {
#if defined(ST_NO_ERROR_TEXT)
    (void)e, (void)words, (void)text;
#else
    char shown[64];
    if (e) {
        sti_put(e->message, sizeof e->message, sti_text(words));
        sti_put(e->message, sizeof e->message, sti_show(shown, sizeof shown, text, STI_NAME));
    }
#endif
}

/* puts the name of the file before the sentence */
STI_COLD static st_status sti_say_file(st_error *error, sti_span said, st_status status) {
#if defined(ST_NO_ERROR_TEXT)
    (void)error, (void)said;
#else
    char shown[100];
    if (error) {
        said = sti_show(shown, sizeof shown, said, STI_PLAIN);
        sti_say_first(error, sti_text(": "));
        sti_say_first(error, said);
    }
#endif
    return status;
}

/* ---- 10 dtypes ------------------------------------------------------------------------------------------------------
 * Name and bits; the order of the numbers is the reference's, whose writer puts the highest first.
 * uses: 6
 * ------------------------------------------------------------------------------------------------------------------ */
typedef struct sti_dtype {
    char name[12];
    unsigned char length, bits;
} sti_dtype;

static const sti_dtype sti_dtypes[] = {
    {"", 0, 0},        {"BOOL", 4, 8},    {"F4", 2, 4},           {"F6_E2M3", 7, 6},
    {"F6_E3M2", 7, 6}, {"U8", 2, 8},      {"I8", 2, 8},           {"F8_E5M2", 7, 8},
    {"F8_E4M3", 7, 8}, {"F8_E8M0", 7, 8}, {"F8_E4M3FNUZ", 11, 8}, {"F8_E5M2FNUZ", 11, 8},
    {"I16", 3, 16},    {"U16", 3, 16},    {"F16", 3, 16},         {"BF16", 4, 16},
    {"I32", 3, 32},    {"U32", 3, 32},    {"F32", 3, 32},         {"C64", 3, 64},
    {"F64", 3, 64},    {"I64", 3, 64},    {"U64", 3, 64}};

#define STI_DTYPES (sizeof sti_dtypes / sizeof *sti_dtypes)

static const sti_dtype *sti_dtype_of(st_dtype dtype) {
    return &sti_dtypes[(unsigned)dtype < STI_DTYPES ? (unsigned)dtype : 0];
}

ST_API const char *st_dtype_name(st_dtype dtype) {
    return sti_dtype_of(dtype)->name;
}

ST_API unsigned st_dtype_bits(st_dtype dtype) {
    return sti_dtype_of(dtype)->bits;
}

/* ST_DTYPE_NONE where no dtype is called that */
static st_dtype sti_dtype_find(const char *name, size_t n) {
    unsigned i;
    for (i = 1; i < STI_DTYPES; i++) {
        if (sti_dtypes[i].length == n && ST_MEMCMP(sti_dtypes[i].name, name, n) == 0) return (st_dtype)i;
    }
    return ST_DTYPE_NONE;
}

ST_API st_status st_dtype_from_name(const char *name, st_dtype *dtype) {
    if (!name || !dtype) return ST_ERR_ARGUMENT;
    *dtype = sti_dtype_find(name, sti_text(name).n);
    return *dtype == ST_DTYPE_NONE ? ST_ERR_DTYPE : ST_OK;
}

/* ---- 11 header ------------------------------------------------------------------------------------------------------
 * Measure, parse, validate: from the header's bytes and the file's length alone. The walk without memory lives here
 * too.
 * uses: 5, 6, 7, 9, 10
 * ------------------------------------------------------------------------------------------------------------------ */
typedef struct sti_entry {  /* one tensor of the header; places count from the header's first byte */
    uint64_t begin, end;    /* data_offsets */
    uint64_t elements;      /* product of the shape, unless it overflows */
    uint32_t key, dtype_at; /* where the opening quotes of name and dtype are */
    uint32_t shape_at;      /* where the shape's opening bracket is */
    uint32_t name_bytes;    /* unescaped */
    uint32_t rank;
    unsigned char dtype;    /* an st_dtype */
    unsigned char overflow; /* the product of the shape does not fit 64 bits */
    unsigned char escaped;  /* the name holds an escape */
} sti_entry;

/* The shortest member, `"":{"dtype":"","shape":[],"data_offsets":[0,0]}`, has this many bytes; entries never
 * outgrow the text. */
#define STI_SHORTEST_MEMBER 47u
typedef char sti_entry_must_not_outgrow_its_member[sizeof(sti_entry) <= STI_SHORTEST_MEMBER + 1 ? 1 : -1];

typedef struct sti_header {
    sti_json json;
    const unsigned char *text; /* NULL where it is seen through a window only */
    unsigned flags;            /* ST_OPEN_* */
    int scan;                  /* the limits of st_scan hold */
    int begun;                 /* the first member was asked for */
    int metadata_seen;
    uint32_t metadata; /* where its object is; 0: none, for there the root's brace or a blank stands */
    uint32_t tensors, dimensions, pairs; /* passed so far; no count exceeds the bytes that were passed */
    uint32_t text_bytes;                 /* of their names, spellings, keys and values, a NUL in place of the quotes */
} sti_header;

static sti_header sti_header_at(const unsigned char *text, size_t n, unsigned flags, st_error *error) {
    sti_header h;
    ST_MEMSET(&h, 0, sizeof h);
    h.json.at = h.text = text;
    h.json.end = text + n;
    h.json.stop = (uint32_t)n; /* no more than the limit */
    h.json.base = 8;
    h.json.error = error;
    h.flags = flags;
    return h;
}

/* the inside of a string that was scanned before, by the place of its opening quote */
static sti_span sti_header_string(const sti_header *h, uint32_t place) {
    const unsigned char *p = h->text + place + 1;
    sti_span s;
    s.at = (const char *)p;
    while (*p != '"') p += *p == '\\' ? 2 : 1;
    s.n = (size_t)((const char *)p - s.at);
    return s;
}

/* says of a fault which member it is about, unless one deeper inside was named */
STI_COLD static st_status sti_header_about(const sti_header *h, uint32_t key, st_status status) {
#if defined(ST_NO_ERROR_TEXT)
    (void)h, (void)key;
#else
    st_error *e = h->json.error;
    /* no sentence begins with a quote; where there is an error, all of the text is there */
    if (e && e->message[0] != '"') sti_say_about(e, sti_header_string(h, key), STI_ESCAPED);
#endif
    return status;
}

/* passes a string and copies it to *text with a NUL, if that is there, which moves on */
static st_status sti_header_copy(sti_header *h, sti_word *w, char **text) {
    st_status s = sti_json_string(&h->json, w, *text);
    if (s != ST_OK) return s;
    h->text_bytes += w->bytes + 1;
    if (*text) {
        *text += w->bytes;
        *(*text)++ = 0;
    }
    return ST_OK;
}

/* passes the metadata object; pairs and text: NULL, or room for what it holds */
static st_status sti_metadata_read(sti_header *h, st_pair *pairs, char *text) {
    sti_json *j = &h->json;
    sti_word key, value;
    st_status s;
    int more;
    uint32_t place;
    h->pairs = 0;
    if ((s = sti_json_enter(j, '{', &more, STI_SAY("the metadata must be an object of strings"))) != ST_OK) return s;
    while (more) {
        char *at = text;
        if (sti_json_peek(j) != '"') return sti_json_fail(j, ST_ERR_JSON, STI_SAY("a key in double quotes is due"));
        place = sti_json_place(&h->json);
        if ((s = sti_header_copy(h, &key, &text)) != ST_OK) return s;
        if (h->scan && h->pairs == STI_SCAN_PAIRS) {
            return sti_json_fail_at(j, key.place, ST_ERR_TOO_LARGE,
                                    STI_SAY("the scan takes no more than 1,024 metadata entries"));
        }
        if ((s = sti_json_colon(j)) == ST_OK) {
            char *value_at = text;
            s = sti_json_peek(j) == '"' ? sti_header_copy(h, &value, &text)
                                        : sti_json_wrong(j, STI_SAY("a metadata value must be a string"));
            if (s == ST_OK && pairs) {
                st_pair *p = pairs + h->pairs;
                p->key = at;
                p->key_bytes = key.bytes;
                p->value = value_at;
                p->value_bytes = value.bytes;
            }
        }
        if (s == ST_OK) {
            h->pairs++;
            s = sti_json_next(j, '{', &more);
        }
        if (s != ST_OK) return sti_header_about(h, place, s);
    }
    return ST_OK;
}

/* passes the value of __metadata__ */
static st_status sti_metadata_member(sti_header *h, const sti_word *key) {
    sti_json *j = &h->json;
    st_status s;
    if (h->metadata_seen) return sti_json_fail_at(j, key->place, ST_ERR_DUPLICATE, STI_SAY("this key is there twice"));
    h->metadata_seen = 1;
    if ((s = sti_json_colon(j)) != ST_OK) return s;
    if (sti_json_peek(j) == 'n') return sti_json_literal(j, "null"); /* as if absent */
    h->metadata = sti_json_place(&h->json);
    return sti_metadata_read(h, NULL, NULL);
}

static st_status sti_dtype_read(sti_header *h, sti_entry *e) {
    sti_json *j = &h->json;
    sti_word w;
    st_dtype known;
    st_status s;
    if (sti_json_peek(j) != '"') return sti_json_wrong(j, STI_SAY("the dtype must be a string"));
    e->dtype_at = sti_json_place(&h->json);
    if ((s = sti_json_string(j, &w, NULL)) != ST_OK) return s;
    known = sti_dtype_find(w.head, w.bytes);
    e->dtype = (unsigned char)known;
    if (known != ST_DTYPE_NONE) return ST_OK;
    h->text_bytes += w.bytes + 1;
    if ((h->flags & ST_OPEN_UNKNOWN_DTYPES) && !w.nul) return ST_OK;
    (void)sti_json_fail_at(j, w.place, ST_ERR_DTYPE, STI_SAY("unknown dtype \""));
#if !defined(ST_NO_ERROR_TEXT)
    if (j->error) { /* all of the text is there */
        char shown[48];
        sti_put(j->error->message, sizeof j->error->message,
                sti_show(shown, sizeof shown, sti_header_string(h, e->dtype_at), STI_ESCAPED));
        sti_put(j->error->message, sizeof j->error->message, sti_text("\""));
    }
#endif
    return ST_ERR_DTYPE;
}

/* passes the shape; out: NULL, or room for its dimensions */
static st_status sti_shape_read(sti_header *h, sti_entry *e, uint64_t *out) {
    sti_json *j = &h->json;
    st_status s;
    uint64_t size;
    int more;
    (void)sti_json_peek(j);
    e->shape_at = sti_json_place(&h->json);
    e->rank = 0;
    e->elements = 1;
    e->overflow = 0;
    if ((s = sti_json_enter(j, '[', &more, STI_SAY("the shape must be an array of integers"))) != ST_OK) return s;
    while (more) {
        if (h->scan && e->rank == STI_SCAN_RANK) {
            (void)sti_json_peek(j);
            return sti_json_fail(j, ST_ERR_TOO_LARGE, STI_SAY("the scan takes no more than 16 dimensions"));
        }
        if ((s = sti_json_integer(j, &size)) != ST_OK) return s;
        if (out) out[e->rank] = size;
        e->rank++;
        if (!sti_mul(e->elements, size, &e->elements)) {
            e->overflow = 1; /* for good: a 0 that follows does not mend it */
        }
        if ((s = sti_json_next(j, '[', &more)) != ST_OK) return s;
    }
    return ST_OK;
}

static st_status sti_offsets_read(sti_header *h, sti_entry *e) {
    const char *sentence = STI_SAY("data_offsets must be an array of two integers");
    sti_json *j = &h->json;
    st_status s;
    int more;
    if ((s = sti_json_enter(j, '[', &more, sentence)) != ST_OK) return s;
    if (more) {
        if ((s = sti_json_integer(j, &e->begin)) != ST_OK || (s = sti_json_next(j, '[', &more)) != ST_OK) return s;
    }
    if (more) {
        if ((s = sti_json_integer(j, &e->end)) != ST_OK || (s = sti_json_next(j, '[', &more)) != ST_OK) return s;
        if (!more) return ST_OK;
    }
    return sti_json_fail_at(j, sti_json_place(j) - 1, ST_ERR_SCHEMA,
                            sentence); /* the bracket too early, or the comma too many */
}

/* passes the value of a tensor's member */
static st_status sti_entry_read(sti_header *h, sti_entry *e) {
    enum { DTYPE = 1, SHAPE = 2, OFFSETS = 4 };
    sti_json *j = &h->json;
    unsigned seen = 0, field;
    sti_word key;
    st_status s;
    int more;
    if ((s = sti_json_colon(j)) != ST_OK) return s;
    if ((s = sti_json_enter(j, '{', &more, STI_SAY("a tensor must be an object"))) != ST_OK) return s;
    while (more) {
        if ((s = sti_json_key(j, &key)) != ST_OK) return s;
        field = sti_word_is(&key, "dtype", 5)           ? DTYPE
                : sti_word_is(&key, "shape", 5)         ? SHAPE
                : sti_word_is(&key, "data_offsets", 12) ? OFFSETS
                                                        : 0;
        if (seen & field) return sti_json_fail_at(j, key.place, ST_ERR_DUPLICATE, STI_SAY("a field is there twice"));
        seen |= field;
        if ((s = sti_json_colon(j)) != ST_OK) return s;
        s = field == DTYPE     ? sti_dtype_read(h, e)
            : field == SHAPE   ? sti_shape_read(h, e, NULL)
            : field == OFFSETS ? sti_offsets_read(h, e)
                               : sti_json_skip(j, 2); /* ignored; the root and this entry are open */
        if (s != ST_OK || (s = sti_json_next(j, '{', &more)) != ST_OK) return s;
    }
    if (seen == (DTYPE | SHAPE | OFFSETS)) return ST_OK;
    return sti_json_fail_at(j, sti_json_place(j) - 1, ST_ERR_SCHEMA,
                            !(seen & DTYPE)   ? STI_SAY("the field dtype is missing")
                            : !(seen & SHAPE) ? STI_SAY("the field shape is missing")
                                              : STI_SAY("the field data_offsets is missing"));
}

/* passes members until one that is a tensor: *more 1 and its entry, or *more 0 at the end of a header that holds
 * nothing else */
static st_status sti_header_next(sti_header *h, sti_entry *e, int *more) {
    sti_json *j = &h->json;
    sti_word key;
    st_status s;
    for (;;) {
        s = h->begun ? sti_json_next(j, '{', more)
                     : sti_json_enter(j, '{', more, STI_SAY("the header must be an object"));
        h->begun = 1;
        if (s != ST_OK) return s;
        if (!*more) {
            return sti_json_peek(j) < 0
                       ? ST_OK
                       : sti_json_fail(j, ST_ERR_JSON, STI_SAY("only blanks may follow the header's object"));
        }
        if ((s = sti_json_key(j, &key)) != ST_OK) return s;
        e->key = key.place;
        e->name_bytes = key.bytes;
        e->escaped = key.escaped;
        if (sti_word_is(&key, "__metadata__", 12)) {
            if ((s = sti_metadata_member(h, &key)) != ST_OK) return sti_header_about(h, e->key, s);
            continue;
        }
        if (h->scan && h->tensors == STI_SCAN_TENSORS) {
            s = sti_json_fail_at(j, key.place, ST_ERR_TOO_LARGE, STI_SAY("the scan takes no more than 1,024 tensors"));
        } else {
            s = sti_entry_read(h, e);
        }
        if (s != ST_OK) return sti_header_about(h, e->key, s);
        h->tensors++;
        h->dimensions += e->rank;
        h->text_bytes += key.bytes + 1;
        return ST_OK;
    }
}

/* judges the length of the file, and its first 8 bytes if it has them: *bytes of header follow, all there */
static st_status sti_header_measure(const unsigned char *first, uint64_t file_bytes, uint64_t limit, uint64_t *bytes,
                                    st_error *error) {
    if (file_bytes < 8) {
        return sti_fail(error, ST_ERR_TRUNCATED, file_bytes, 8, file_bytes,
                        file_bytes ? STI_SAY("cut short: $d of the first $e bytes are missing")
                                   : STI_SAY("the file is empty"));
    }
    *bytes = sti_load64(first);
    if (*bytes > limit) {
        return sti_fail(error, ST_ERR_HEADER_LIMIT, 0, limit, *bytes,
                        *bytes > file_bytes ? STI_SAY("probably not a safetensors file: it begins with a length of $a")
                                            : STI_SAY("a header of $a bytes is over the limit of $e"));
    }
    if (*bytes > file_bytes - 8) {
        return sti_fail(error, ST_ERR_TRUNCATED, file_bytes, sti_sum(8, *bytes), file_bytes,
                        STI_SAY("cut short inside its header: at least $d bytes are missing"));
    }
    return ST_OK;
}

/* the bound for a header: what st_options says, as far as places of 32 bits go */
static uint64_t sti_header_limit(const st_options *o) {
    uint64_t limit = o->max_header ? o->max_header : STI_DEFAULT_LIMIT;
    return limit < UINT32_MAX ? limit : UINT32_MAX;
}

static st_status sti_header_utf8(const unsigned char *text, size_t n, st_error *error) {
    size_t good = sti_utf8_span(text, n);
    return good == n ? ST_OK : sti_fail(error, ST_ERR_UTF8, sti_sum(8, good), 0, 0, STI_SAY("the header is not UTF-8"));
}

/* whether a's data comes first: by offset, then by place in the header */
static int sti_entry_before(const sti_entry *a, const sti_entry *b) {
    if (a->begin != b->begin) return a->begin < b->begin;
    if (a->end != b->end) return a->end < b->end;
    return a->key < b->key;
}

/* proves one tensor's data, entries coming by offset: it begins at *end, where the one before ends, and has the
 * size of its shape */
static st_status sti_entry_check(const sti_header *h, const sti_entry *e, uint64_t *end) {
    st_error *error = h->json.error;
    uint64_t at = sti_sum(8, e->key), bits = 0;
    st_status s = ST_OK;
    if (e->begin != *end) {
        s = sti_fail(error, ST_ERR_OFFSETS, at, *end, e->begin,
                     STI_SAY("its data must begin at offset $e, where all before it ends, not at $a"));
    } else if (e->end < e->begin) {
        s = sti_fail(error, ST_ERR_OFFSETS, at, e->begin, e->end,
                     STI_SAY("its data would end at offset $a, before it begins at $e"));
    } else if (e->overflow || !sti_mul(e->elements, sti_dtypes[e->dtype].bits, &bits)) {
        s = sti_fail(error, ST_ERR_OVERFLOW, at, 0, 0, STI_SAY("its size in bits does not fit 64 bits"));
    } else if (bits % 8) {
        s = sti_fail(error, ST_ERR_SUBBYTE, at, 0, bits, STI_SAY("its $a bits do not fill whole bytes"));
    } else if (e->dtype != ST_DTYPE_NONE && bits / 8 != e->end - e->begin) {
        s = sti_fail(error, ST_ERR_SIZE, at, bits / 8, e->end - e->begin,
                     STI_SAY("its bytes are $e by shape and dtype, but $a by data_offsets"));
    }
    if (s != ST_OK) return sti_header_about(h, e->key, s);
    *end = e->end;
    return ST_OK;
}

static st_status sti_length_check(const sti_header *h, uint64_t data_offset, uint64_t data_bytes, uint64_t file_bytes) {
    uint64_t expected = sti_sum(data_offset, data_bytes);
    if (file_bytes < expected) {
        return sti_fail(h->json.error, ST_ERR_TRUNCATED, file_bytes, expected, file_bytes,
                        STI_SAY("cut short: $d of $e bytes are missing"));
    }
    if (file_bytes > expected && !(h->flags & ST_OPEN_TRAILING)) {
        return sti_fail(h->json.error, ST_ERR_TRAILING, file_bytes, expected, file_bytes,
                        STI_SAY("the last tensor ends at byte $e of $a, and nothing may follow it"));
    }
    return ST_OK;
}

static st_status sti_repeated(const sti_header *h, uint32_t key) {
    st_status s = sti_json_fail_at(&h->json, key, ST_ERR_DUPLICATE, STI_SAY("this name is there twice"));
    return sti_header_about(h, key, s);
}

/* What a file is that is none of ours, by its first bytes. */
enum sti_format {
    STI_OURS,
    STI_LFS,
    STI_HTML,
    STI_ZIP,
    STI_PICKLE,
    STI_GGUF,
    STI_NUMPY,
    STI_GZIP,
    STI_INDEX,
    STI_TEXT
};
#define STI_FORMAT_BYTES 256u /* how many of the first bytes are worth a look */

static int sti_begins(sti_span s, const char *magic, size_t n) {
    return s.n >= n && ST_MEMCMP(s.at, magic, n) == 0;
}

/* whether a word stands somewhere in a text */
static int sti_holds(sti_span s, sti_span word) {
    for (; s.n >= word.n; s = sti_behind(s, 1)) {
        if (ST_MEMCMP(s.at, word.at, word.n) == 0) return 1;
    }
    return 0;
}

STI_COLD static enum sti_format sti_format_of(sti_span s) {
    const unsigned char *b = (const unsigned char *)s.at;
    /* a length under 2^32 and a header behind it are ours, whatever the length looks like */
    if (s.n > 8 && sti_load32(b + 4) == 0 && (b[8] == '{' || sti_is_blank(b[8]))) return STI_OURS;
    if (sti_begins(s, "version https://git-lfs", 23)) return STI_LFS;
    if (sti_begins(s, "GGUF", 4)) return STI_GGUF;
    if (sti_begins(s, "\x93NUMPY", 6)) return STI_NUMPY;
    if (sti_begins(s, "PK\3\4", 4) || sti_begins(s, "PK\5\6", 4)) return STI_ZIP;
    if (sti_begins(s, "\x1f\x8b\x08", 3)) return STI_GZIP;
    if (s.n > 2 && b[0] == 0x80 && b[1] >= 2 && b[1] <= 5 && b[2] != 0) return STI_PICKLE;
    if (sti_begins(s, "\xEF\xBB\xBF", 3)) s = sti_behind(s, 3);
    while (s.n && sti_is_blank(*s.at)) s = sti_behind(s, 1);
    if (s.n > 1 && s.at[0] == '<' &&
        (s.at[1] == '!' || s.at[1] == '?' || (s.at[1] >= 'A' && s.at[1] <= 'Z') ||
         (s.at[1] >= 'a' && s.at[1] <= 'z'))) {
        return STI_HTML;
    }
    if (s.n > 1 && s.at[0] == '{' && (s.at[1] == '"' || s.at[1] == '}' || sti_is_blank(s.at[1]))) {
        return sti_holds(s, sti_text("\"weight_map\"")) || sti_holds(s, sti_text("\"total_size\"")) ? STI_INDEX
                                                                                                    : STI_TEXT;
    }
    return STI_OURS;
}

/* the last word on a header that failed: a file of another format is called by its name */
STI_COLD static st_status sti_format_judge(sti_span first, st_status status, st_error *error) {
    const char *sentence = NULL;
    const enum sti_format format = sti_format_of(first);
    switch ((int)format) {
    case STI_OURS: return status;
    case STI_LFS: sentence = STI_SAY("this is a Git LFS pointer, not the file itself: run git lfs pull"); break;
    case STI_HTML:
        sentence = STI_SAY("this is an HTML or XML page, not a tensor file: the download went to a web page");
        break;
    case STI_ZIP:
        sentence = STI_SAY("this is a ZIP archive, as PyTorch checkpoints are, not a safetensors file");
        break;
    case STI_PICKLE:
        sentence = STI_SAY("this is a Python pickle, as old PyTorch checkpoints are, not a safetensors file");
        break;
    case STI_GGUF: sentence = STI_SAY("this is a GGUF file, not a safetensors file"); break;
    case STI_NUMPY: sentence = STI_SAY("this is a NumPy array file, not a safetensors file"); break;
    case STI_GZIP: sentence = STI_SAY("this is compressed with gzip: unpack it first"); break;
    case STI_INDEX:
        sentence = STI_SAY("this is a safetensors index (JSON), which names the files that hold the tensors");
        break;
    default: /* STI_TEXT */
        sentence = STI_SAY("this is JSON text without the 8 bytes of length that come first in a safetensors file");
        break;
    }
    return sti_fail(error, ST_ERR_FORMAT, 0, 0, 0, sentence);
}

/* ---- the walk: the same parser, and quadratic searches in place of memory */

/* The place of the second occurrence that comes first of any key in an object that was scanned before; 0: none is
 * there twice. Each pass over the object compares all later keys with a batch of earlier ones. */
STI_APART static uint32_t sti_repeated_key(const sti_header *h, uint32_t object) {
    enum { BATCH = 8 };
    uint32_t place[BATCH], bytes[BATCH], found = UINT32_MAX;
    unsigned char escaped[BATCH];
    sti_json batch = h->json, j;
    sti_word w;
    int more, left, count, i;
    batch.at = h->text + object;
    (void)sti_json_enter(&batch, '{', &more, NULL); /* nothing here can fail: all of it passed once */
    while (more) {
        j = batch;
        for (count = 0, left = more, more = 0; left;) {
            (void)sti_json_key(&j, &w);
            if (w.place >= found) break;
            for (i = 0; i < count; i++) {
                if (bytes[i] != w.bytes) continue;
                if (escaped[i] || w.escaped
                        ? sti_json_same(sti_header_string(h, place[i]), 1, sti_header_string(h, w.place), 1)
                        : ST_MEMCMP(h->text + place[i] + 1, h->text + w.place + 1, w.bytes) == 0) {
                    found = w.place;
                }
            }
            (void)sti_json_colon(&j);
            (void)sti_json_skip(&j, 1);
            (void)sti_json_next(&j, '{', &left);
            if (count < BATCH) {
                place[count] = w.place;
                escaped[count] = w.escaped;
                bytes[count++] = w.bytes;
                if (count == BATCH) {
                    batch = j;
                    more = left;
                }
            }
        }
    }
    return found == UINT32_MAX ? 0 : found;
}

static st_status sti_scan_names(const sti_header *h) {
    sti_json root = sti_header_at(h->text, (size_t)(h->json.end - h->text), 0, NULL).json;
    uint32_t object, name, key = 0;
    (void)sti_json_peek(&root);
    object = sti_json_place(&root);
    name = sti_repeated_key(h, object);
    if (h->metadata) key = sti_repeated_key(h, h->metadata);
    if (key && (!name || key < name)) name = key;
    return name ? sti_repeated(h, name) : ST_OK;
}

/* proves the tensors by offset; sorted: the header has them in that order */
STI_APART static st_status sti_scan_offsets(const sti_header *h, int sorted, uint64_t *data_bytes) {
    sti_entry last, best, e;
    uint32_t done = 0;
    st_status s;
    int more, found;
    ST_MEMSET(&last, 0, sizeof last);
    ST_MEMSET(&best, 0, sizeof best);
    while (done < h->tensors) {
        sti_header walk = sti_header_at(h->text, (size_t)(h->json.end - h->text), h->flags, NULL);
        for (found = 0, (void)sti_header_next(&walk, &e, &more); more; (void)sti_header_next(&walk, &e, &more)) {
            if (sorted) {
                if ((s = sti_entry_check(h, &e, data_bytes)) != ST_OK) return s;
                done++;
            } else if ((done == 0 || sti_entry_before(&last, &e)) && (!found || sti_entry_before(&e, &best))) {
                best = e;
                found = 1;
            }
        }
        if (!sorted) {
            if ((s = sti_entry_check(h, &best, data_bytes)) != ST_OK) return s;
            last = best;
            done++;
        }
    }
    return ST_OK;
}

/* passes all entries; *sorted: in the order of their data */
STI_APART static st_status sti_scan_entries(sti_header *h, int *sorted) {
    sti_entry e;
    uint64_t end = 0;
    int more = 1;
    st_status s = sti_header_next(h, &e, &more);
    for (*sorted = 1; s == ST_OK && more; s = sti_header_next(h, &e, &more)) {
        if (e.begin != end || e.end < end) *sorted = 0;
        end = e.end;
    }
    return s;
}

STI_APART static st_status sti_scan_prove(const unsigned char *file, size_t bytes, uint64_t file_bytes, unsigned flags,
                                          st_error *error) {
    sti_header h = sti_header_at(file + 8, bytes, flags, error);
    uint64_t data_bytes = 0;
    int sorted = 0;
    st_status s = sti_header_utf8(file + 8, bytes, error);
    h.scan = 1;
    if (s == ST_OK) s = sti_scan_entries(&h, &sorted);
    if (s == ST_OK) s = sti_scan_names(&h);
    if (s == ST_OK) s = sti_scan_offsets(&h, sorted, &data_bytes);
    if (s == ST_OK) s = sti_length_check(&h, sti_sum(8, bytes), data_bytes, file_bytes);
    return s;
}

/* what st_scan.priv holds; all 0 unless the header was proven */
enum { STI_SCAN_FILE, STI_SCAN_AVAILABLE, STI_SCAN_HEADER, STI_SCAN_PLACE, STI_SCAN_MORE, STI_SCAN_BEGUN };

ST_API st_status st_scan_begin(st_scan *scan, const void *file, size_t available, uint64_t file_bytes,
                               const st_options *options, st_error *error) {
    const unsigned char *first = (const unsigned char *)file;
    uint64_t limit = options ? sti_header_limit(options) : STI_DEFAULT_LIMIT, bytes = 0;
    unsigned flags = options ? options->flags : 0;
    sti_span head;
    st_status s;
    if (scan) ST_MEMSET(scan, 0, sizeof *scan);
    head.at = (const char *)file;
    head.n = available < STI_FORMAT_BYTES ? available : STI_FORMAT_BYTES;
    if (!scan || (!file && available) || (flags & ~(unsigned)STI_OPEN_FLAGS)) {
        s = sti_fail(error, ST_ERR_ARGUMENT, STI_NONE, 0, 0,
                     STI_SAY("st_scan_begin needs a scan, bytes, and flags that exist"));
    } else if (available < 8 && file_bytes >= 8) {
        s = sti_fail(error, ST_ERR_ARGUMENT, STI_NONE, 8, available,
                     STI_SAY("$a bytes were brought; the first $e say how many the header needs"));
    } else {
        s = sti_header_measure(first, file_bytes, limit, &bytes, error);
        if (s == ST_OK && available - 8 < bytes) {
            s = sti_fail(error, ST_ERR_ARGUMENT, STI_NONE, sti_sum(8, bytes), available,
                         STI_SAY("$a bytes were brought; the header needs $e"));
        } else if (s == ST_OK) {
            s = sti_scan_prove(first, (size_t)bytes, file_bytes, flags & ST_OPEN_TRAILING, error);
        }
        if (s != ST_OK && s != ST_ERR_ARGUMENT && head.n) s = sti_format_judge(head, s, error);
    }
    if (s != ST_OK) return sti_say_file(error, sti_text("(memory)"), s);
    scan->priv[STI_SCAN_FILE] = (uintptr_t)file;
    scan->priv[STI_SCAN_AVAILABLE] = available;
    scan->priv[STI_SCAN_HEADER] = bytes;
    scan->priv[STI_SCAN_MORE] = 1;
    return sti_succeed(error);
}

ST_API int st_scan_next(st_scan *scan) {
    const unsigned char *file;
    sti_header h;
    sti_entry e;
    sti_span name;
    st_tensor *t;
    int more = 0;
    if (!scan || !scan->priv[STI_SCAN_MORE]) return 0;
    file = (const unsigned char *)(uintptr_t)scan->priv[STI_SCAN_FILE];
    h = sti_header_at(file + 8, (size_t)scan->priv[STI_SCAN_HEADER], 0, NULL);
    h.json.at += scan->priv[STI_SCAN_PLACE];
    h.begun = (int)scan->priv[STI_SCAN_BEGUN];
    (void)sti_header_next(&h, &e, &more); /* cannot fail: proven by st_scan_begin */
    scan->priv[STI_SCAN_MORE] = (uint64_t)more;
    scan->priv[STI_SCAN_PLACE] = sti_json_place(&h.json);
    scan->priv[STI_SCAN_BEGUN] = 1;
    if (!more) return 0;
    name = sti_header_string(&h, e.key);
    t = &scan->tensor;
    t->name = name.at;
    t->name_bytes = name.n;
    scan->name_escaped = e.escaped;
    t->dtype = (st_dtype)e.dtype;
    t->dtype_name = sti_dtypes[e.dtype].name;
    t->bytes = e.end - e.begin;
    t->elements = e.elements;
    t->offset = sti_sum(sti_sum(8, scan->priv[STI_SCAN_HEADER]), e.begin);
    t->data = t->offset <= scan->priv[STI_SCAN_AVAILABLE] && t->bytes <= scan->priv[STI_SCAN_AVAILABLE] - t->offset
                  ? file + t->offset
                  : NULL;
    h.json.at = h.text + e.shape_at;
    (void)sti_shape_read(&h, &e, scan->shape); /* rank is at most 16: proven */
    t->shape = scan->shape;
    t->rank = e.rank;
    return 1;
}

ST_API int st_scan_is(const st_scan *scan, const char *name) {
    sti_span n;
    if (!scan || !scan->tensor.name || !name) return 0;
    n.at = scan->tensor.name;
    n.n = scan->tensor.name_bytes;
    return sti_json_same(n, scan->name_escaped, sti_text(name), 0);
}

/* ---- 12 lookup ------------------------------------------------------------------------------------------------------
 * Names to items: a hash table, or a sorted list where names were chosen to collide. Finding repeated names falls
 * out of it.
 * uses: 5, 6, 11
 * ------------------------------------------------------------------------------------------------------------------ */
#define STI_ABSENT UINT32_MAX

typedef struct sti_index {
    const st_tensor *tensors; /* the items are these, or else pairs */
    const st_pair *pairs;
    uint32_t *slots;   /* 0 or item + 1, with bits of the hash above; sorted: items in order of their names */
    uint32_t count;    /* items; a header of 2^32 bytes has fewer than 2^28 */
    uint32_t capacity; /* slots */
    uint32_t probes;   /* how many slots an item is at most away from its place: O(log n) */
    int shift;         /* bits that hold item + 1 */
    int sorted;
} sti_index;

/* slots for that many items: at most 3 of 4 are taken, and all of them when there are one or two */
static uint32_t sti_index_slots(uint32_t count) {
    return count + count / 3; /* under 2^32: see count */
}

static sti_span sti_index_name(const sti_index *x, uint32_t item) {
    sti_span s;
    if (x->tensors) {
        s.at = x->tensors[item].name;
        s.n = x->tensors[item].name_bytes;
    } else {
        s.at = x->pairs[item].key;
        s.n = x->pairs[item].key_bytes;
    }
    return s;
}

/* 64 bits of product never wrap from factors of 32, so this is the same on every machine and under every sanitizer */
static void sti_hash_mix(uint32_t *a, uint32_t *b, uint32_t x, uint32_t y) {
    uint64_t product = (uint64_t)(*a ^ x ^ 0x9E3779B9u) * (*b ^ y ^ 0x85EBCA6Bu);
    *a = (uint32_t)product ^ y;
    *b = (uint32_t)(product >> 32) ^ x;
}

static uint32_t sti_hash(sti_span s) {
    uint32_t a = (uint32_t)s.n, b = 0xC2B2AE35u, tail[2] = {0, 0};
    size_t i;
    for (; s.n >= 8; s = sti_behind(s, 8)) sti_hash_mix(&a, &b, sti_load32(s.at), sti_load32(s.at + 4));
    for (i = 0; i < s.n; i++) tail[i / 4] |= (uint32_t)(unsigned char)s.at[i] << i % 4 * 8;
    sti_hash_mix(&a, &b, tail[0], tail[1]);
    sti_hash_mix(&a, &b, 0, 0);
    return a ^ b;
}

static uint32_t sti_index_place(const sti_index *x, uint32_t hash) {
    return (uint32_t)((uint64_t)hash * x->capacity >> 32);
}

/* -1, 0, 1: by bytes, a shorter one before what it begins */
static int sti_compare(sti_span a, sti_span b) {
    int c = ST_MEMCMP(a.at, b.at, a.n < b.n ? a.n : b.n);
    return c ? c : a.n < b.n ? -1 : a.n > b.n;
}

/* Orders n items by heap sort, which needs no memory and is never quadratic: before(a, b) of two places, swap of
 * two places. */
typedef struct sti_order {
    void *items;
    const sti_index *index;
    int (*before)(const struct sti_order *o, size_t a, size_t b);
    void (*swap)(const struct sti_order *o, size_t a, size_t b);
} sti_order;

static void sti_sink(const sti_order *o, size_t root, size_t n) {
    while (root < n / 2) { /* it has a child: 2 * root + 1 < n, so nothing below overflows */
        size_t child = 2 * root + 1;
        if (child + 1 < n && (o->before)(o, child, child + 1)) child++;
        if (!(o->before)(o, root, child)) return;
        (o->swap)(o, root, child);
        root = child;
    }
}

static void sti_sort(const sti_order *o, size_t n) {
    size_t i;
    for (i = n / 2; i > 0; i--) sti_sink(o, i - 1, n);
    for (i = n; i > 1; i--) {
        (o->swap)(o, 0, i - 1);
        sti_sink(o, 0, i - 1);
    }
}

static int sti_name_before(const sti_order *o, size_t a, size_t b) {
    const uint32_t *items = (const uint32_t *)o->items;
    int c = sti_compare(sti_index_name(o->index, items[a]), sti_index_name(o->index, items[b]));
    return c ? c < 0 : items[a] < items[b];
}

static void sti_name_swap(const sti_order *o, size_t a, size_t b) {
    uint32_t *items = (uint32_t *)o->items, item = items[a];
    items[a] = items[b];
    items[b] = item;
}

/* where an item's name stands in the header, as far as order goes */
static uint32_t sti_index_rank(const sti_entry *entries, uint32_t item) {
    return entries ? entries[item].key : item;
}

/* Of two items of one name, tells *repeated of the later one, if it comes before those told before; gives the
 * earlier one. */
static uint32_t sti_index_repeat(const sti_entry *entries, uint32_t a, uint32_t b, uint32_t *repeated) {
    uint32_t late = sti_index_rank(entries, a) < sti_index_rank(entries, b) ? b : a;
    if (*repeated == STI_ABSENT || sti_index_rank(entries, late) < sti_index_rank(entries, *repeated)) *repeated = late;
    return late == a ? b : a;
}

STI_COLD static void sti_index_sort(sti_index *x, const sti_entry *entries, uint32_t *repeated) {
    sti_order o;
    uint32_t i, kept;
    x->sorted = 1;
    for (i = 0; i < x->count; i++) x->slots[i] = i;
    o.items = x->slots;
    o.index = x;
    o.before = sti_name_before;
    o.swap = sti_name_swap;
    sti_sort(&o, x->count);
    for (i = 1, kept = x->slots[0]; i < x->count; i++) { /* there are names, for they collided */
        if (sti_same(sti_index_name(x, kept), sti_index_name(x, x->slots[i]))) {
            kept = sti_index_repeat(entries, kept, x->slots[i], repeated);
        } else {
            kept = x->slots[i];
        }
    }
}

/* Fills x->slots for the items that are set. entries: those of the tensors, in their order; NULL: pairs, in the
 * header's.
 * Gives the item that is the first in the header to repeat a name, or STI_ABSENT. */
STI_APART static uint32_t sti_index_build(sti_index *x, const sti_entry *entries) {
    uint32_t repeated = STI_ABSENT, item;
    x->capacity = sti_index_slots(x->count);
    for (x->shift = 1; x->count >> x->shift; x->shift++) {} /* count + 1 <= 2^shift: under 2^28, see count */
    x->probes = 32 * (uint32_t)x->shift;
    if (x->probes > x->capacity) x->probes = x->capacity;
    ST_MEMSET(x->slots, 0, x->capacity * sizeof *x->slots); /* they were taken with this size */
    for (item = 0; item < x->count; item++) {
        sti_span name = sti_index_name(x, item);
        uint32_t hash = sti_hash(name), tag = hash << x->shift, at = sti_index_place(x, hash), probe, *slot = NULL,
                 held = 0;
        for (probe = 0; probe < x->probes; probe++) {
            slot = x->slots + at;
            held = *slot & (((uint32_t)1 << x->shift) - 1);
            if (held == 0 || (*slot - held == tag && sti_same(sti_index_name(x, held - 1), name))) break;
            at = at + 1 < x->capacity ? at + 1 : 0;
        }
        if (probe == x->probes) { /* by chance about never: the names were chosen */
            repeated = STI_ABSENT;
            sti_index_sort(x, entries, &repeated);
            return repeated;
        }
        *slot = tag | ((held ? sti_index_repeat(entries, held - 1, item, &repeated) : item) + 1);
    }
    return repeated;
}

static uint32_t sti_index_find(const sti_index *x, sti_span name) {
    uint32_t low = 0, high = x->count, hash, at, probe, held;
    if (x->sorted) {
        while (low < high) {
            uint32_t middle = low + (high - low) / 2;
            int c = sti_compare(name, sti_index_name(x, x->slots[middle]));
            if (c == 0) return x->slots[middle];
            if (c < 0) {
                high = middle;
            } else {
                low = middle + 1;
            }
        }
        return STI_ABSENT;
    }
    hash = sti_hash(name);
    at = sti_index_place(x, hash);
    for (probe = 0; probe < x->probes; probe++) {
        held = x->slots[at] & (((uint32_t)1 << x->shift) - 1);
        if (held == 0) break;
        if (x->slots[at] - held == hash << x->shift && sti_same(sti_index_name(x, held - 1), name)) return held - 1;
        at = at + 1 < x->capacity ? at + 1 : 0;
    }
    return STI_ABSENT;
}

static int sti_offset_before(const sti_order *o, size_t a, size_t b) {
    const sti_entry *entries = (const sti_entry *)o->items;
    return sti_entry_before(&entries[a], &entries[b]);
}

static void sti_offset_swap(const sti_order *o, size_t a, size_t b) {
    sti_entry *entries = (sti_entry *)o->items, entry = entries[a];
    entries[a] = entries[b];
    entries[b] = entry;
}

/* ---- 13 system ------------------------------------------------------------------------------------------------------
 * The default st_files: POSIX, Windows and none, parallel islands with the same function names; nothing outside
 * names an OS.
 * uses: 5, 6
 * ------------------------------------------------------------------------------------------------------------------ */
#define STI_READ_AT_ONCE 0x40000000u /* some systems refuse requests of 2 GiB and more */

#if !defined(ST_NO_FILES) && !defined(ST_NO_WRITER)
typedef struct sti_target { /* a file that is being written */
    void *handle;
    unsigned mode; /* the permissions that it is to have */
    int open;
    int named; /* it has its name, and no temporary one any more */
} sti_target;
#endif

#if STI_OS_POSIX

/* bytes of memory that open and list need for that path, to be given as `user` */
static size_t sti_system_scratch(sti_span path) {
    (void)path;
    return 0;
}

/* length of the directory part of a path, its last separator included */
static size_t sti_system_directory(const char *path) {
    size_t i, n = 0;
    for (i = 0; path[i]; i++) {
        if (path[i] == '/') n = i + 1;
    }
    return n;
}

/* An environment variable's length, 0 where it is not set; its value in out[room] if that holds it with a NUL. */
static size_t sti_system_variable(const char *name, char *out, size_t room) {
    const char *value = getenv(name);
    const size_t n = value ? sti_text(value).n : 0;
    if (n && n < room) ST_MEMCPY(out, value, n + 1);
    return n;
}

#define STI_HOME "HOME"

static int sti_system_code(int code) {
    return code == ENOENT || code == ENOTDIR ? ST_IO_NOT_FOUND : code;
}

static int sti_system_read(void *user, uint64_t offset, void *dst, size_t n) {
    const int fd = (int)(intptr_t)user;
    unsigned char *at = (unsigned char *)dst;
    int tries = 0;
    while (n) {
        ssize_t got =
            pread(fd, at, n < STI_READ_AT_ONCE ? n : STI_READ_AT_ONCE, (off_t)offset); /* inside the file: fits off_t */
        if (got == 0) return ST_IO_ENDED;
        if (got < 0 && (errno != EINTR || ++tries >= STI_INTERRUPTS)) return errno;
        if (got < 0) continue;
        at += got;
        n -= (size_t)got;
        offset = sti_sum(offset, (uint64_t)got);
    }
    return 0;
}

static int sti_system_open(void *user, const char *path, st_io *file) {
    struct stat about;
    int fd, code = 0, tries = 0;
    (void)user;
    do { /* without O_NONBLOCK a FIFO would wait for its writer */
        fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
    } while (fd < 0 && errno == EINTR && ++tries < STI_INTERRUPTS);
    if (fd < 0) return sti_system_code(errno);
    if (fstat(fd, &about) != 0) {
        code = errno;
    } else if (!S_ISREG(about.st_mode)) {
        code = S_ISDIR(about.st_mode) ? ST_IO_NOT_FOUND : ST_IO_NOT_A_FILE;
    }
    if (code) {
        (void)close(fd);
        return code;
    }
    file->user = (void *)(intptr_t)fd;
    file->read_at = sti_system_read;
    file->bytes = (uint64_t)about.st_size;
    file->id[0] = (uint64_t)about.st_ino ^ (uint64_t)about.st_dev << 40;
#if defined(__APPLE__)
    file->id[1] = (uint64_t)about.st_mtimespec.tv_sec << 30 ^ (uint64_t)about.st_mtimespec.tv_nsec;
#else
    file->id[1] = (uint64_t)about.st_mtim.tv_sec << 30 ^ (uint64_t)about.st_mtim.tv_nsec;
#endif
    return 0;
}

#if !defined(ST_NO_MMAP)
static int sti_system_map(st_io *file) {
    void *at = mmap(NULL, (size_t)file->bytes, PROT_READ, MAP_PRIVATE, (int)(intptr_t)file->user,
                    0); /* the caller saw that bytes fits */
    if (at == MAP_FAILED) return errno;
    file->mapped = at;
    return 0;
}
#endif

/* closes a file and leaves its mapping */
static void sti_system_release(st_io *file) {
    if ((int)(intptr_t)file->user >= 0) (void)close((int)(intptr_t)file->user);
    file->user = (void *)(intptr_t)-1;
}

static void sti_system_close(void *user, st_io *file) {
    (void)user;
#if !defined(ST_NO_MMAP)
    if (file->mapped) (void)munmap((void *)(uintptr_t)file->mapped, (size_t)file->bytes);
#endif
    sti_system_release(file);
}

static int sti_system_list(void *user, const char *directory, int (*each)(void *arg, const char *name), void *arg) {
    DIR *d = opendir(directory);
    struct dirent *entry;
    int stop = 0;
    (void)user;
    if (!d) return sti_system_code(errno);
    while (!stop && (entry = readdir(d)) != NULL) {
        const char *n = entry->d_name;
        if (n[0] != '.' || (n[1] && (n[1] != '.' || n[2]))) stop = each(arg, n);
    }
    (void)closedir(d);
    return stop;
}

static void sti_system_advise(const st_io *file, uint64_t offset, uint64_t bytes, st_advice advice) {
    uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE), first = offset / page * page, past = sti_sum(offset, bytes);
    if (advice == ST_ADVISE_DONE) { /* whole pages only: the others are a neighbour's too */
        first = sti_sum(offset, page - 1) / page * page;
        past = past < file->bytes ? past / page * page : past;
    }
    if (first >= past) return;
#if !defined(ST_NO_MMAP)
    if (file->mapped) {
        const char *at = (const char *)file->mapped + first;
        (void)madvise((void *)(uintptr_t)at, (size_t)(past - first),
                      advice == ST_ADVISE_DONE ? MADV_DONTNEED : MADV_WILLNEED);
    }
#endif
#if defined(POSIX_FADV_WILLNEED)
    if ((int)(intptr_t)file->user < 0) return;
    (void)posix_fadvise((int)(intptr_t)file->user, (off_t)first, (off_t)(past - first),
                        advice == ST_ADVISE_DONE ? POSIX_FADV_DONTNEED : POSIX_FADV_WILLNEED);
#endif
}

#if !defined(ST_NO_WRITER)

#define STI_TEMP_BYTES 48u /* what a temporary's name needs beyond the directory of its target */

static unsigned long sti_system_process(void) {
    return (unsigned long)getpid();
}

/* what the file at path will leave to the one that replaces it: 0 and its permissions, or 0 and 07777 + 1 for none */
static int sti_system_heritage(const char *path, mode_t *mode) {
    struct stat about;
    *mode = 07777 + 1;
    if (lstat(path, &about) != 0) return errno == ENOENT ? 0 : sti_system_code(errno);
    if (S_ISDIR(about.st_mode)) return EISDIR;
    if (S_ISREG(about.st_mode)) *mode = about.st_mode & 07777;
    return S_ISREG(about.st_mode) || S_ISLNK(about.st_mode) ? 0 : ST_IO_NOT_A_FILE;
}

/* creates temp, which must not be there, for a file that will replace path; EEXIST: try another name */
static int sti_system_create(void *scratch, const char *path, const char *temp, sti_target *t) {
    struct stat about;
    mode_t mode;
    int fd, tries = 0, code = sti_system_heritage(path, &mode);
    (void)scratch;
    if (code) return code;
    do { /* nobody else may read it before it is whole; where nothing is replaced, the umask says what it may become */
        fd = open(temp, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode > 07777 ? 0666 : 0600);
    } while (fd < 0 && errno == EINTR && ++tries < STI_INTERRUPTS);
    if (fd < 0) return errno == EEXIST ? STI_IO_EXISTS : sti_system_code(errno);
    if (fstat(fd, &about) != 0 || fchmod(fd, 0600) != 0) {
        code = errno;
        (void)close(fd);
        (void)unlink(temp);
        return code;
    }
    t->handle = (void *)(intptr_t)fd;
    t->mode = (unsigned)(mode > 07777 ? about.st_mode & 07777 : mode);
    t->open = 1;
    return 0;
}

/* reserves room, so that a full disk is known before the first byte; a file system that cannot is no error */
static int sti_system_reserve(const sti_target *t, uint64_t bytes) {
#if defined(FALLOC_FL_KEEP_SIZE)
    int tries = 0;
    while (fallocate((int)(intptr_t)t->handle, 0, 0, (off_t)bytes) != 0) {
        if (errno == EINTR && ++tries < STI_INTERRUPTS) continue;
        return errno == ENOSPC || errno == EDQUOT || errno == EFBIG || errno == EIO || errno == EINTR ? errno : 0;
    }
#else
    (void)t, (void)bytes;
#endif
    return 0;
}

static int sti_system_write(const sti_target *t, uint64_t offset, const void *src, size_t n) {
    const unsigned char *at = (const unsigned char *)src;
    int tries = 0;
    while (n) {
        ssize_t put = pwrite((int)(intptr_t)t->handle, at, n < STI_READ_AT_ONCE ? n : STI_READ_AT_ONCE, (off_t)offset);
        if (put == 0) return EIO;
        if (put < 0 && (errno != EINTR || ++tries >= STI_INTERRUPTS)) return errno;
        if (put < 0) continue;
        at += put;
        n -= (size_t)put;
        offset = sti_sum(offset, (uint64_t)put);
    }
    return 0;
}

static int sti_system_flush(int fd) {
    int tries = 0, failed;
    do {
#if defined(F_FULLFSYNC)
        failed = fcntl(fd, F_FULLFSYNC) != 0 && fsync(fd) != 0; /* not every file system knows the former */
#else
        failed = fsync(fd) != 0;
#endif
    } while (failed && errno == EINTR && ++tries < STI_INTERRUPTS);
    return failed ? errno : 0;
}

static int sti_system_shut(sti_target *t) {
    t->open = 0;
    return close((int)(intptr_t)t->handle) == 0 || errno == EINTR ? 0 : errno; /* EINTR: it is closed all the same */
}

/* gives the file its permissions and its name; what has the name is replaced in one step */
static int sti_system_commit(void *scratch, sti_target *t, const char *temp, const char *path, int sync) {
    int code = fchmod((int)(intptr_t)t->handle, (mode_t)t->mode) == 0 ? 0 : errno;
    (void)scratch;
    if (!code && sync) code = sti_system_flush((int)(intptr_t)t->handle);
    if (!code) code = sti_system_shut(t);
    if (!code && rename(temp, path) != 0) code = errno;
    if (!code) t->named = 1;
    return code;
}

/* makes the new name last; temp is overwritten with the directory's */
static int sti_system_settle(char *temp) {
    size_t n = sti_system_directory(temp);
    int fd, code = 0;
    if (n == 0) temp[n++] = '.';
    temp[n] = 0;
    fd = open(temp, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) return errno;
    code = sti_system_flush(fd);
    (void)close(fd);
    return code == EINVAL || code == ENOTSUP ? 0 : code; /* some file systems keep names without being asked */
}

static void sti_system_discard(void *scratch, sti_target *t, const char *temp) {
    (void)scratch;
    if (t->open) (void)sti_system_shut(t);
    if (!t->named) (void)unlink(temp);
}

/* opens a file of one name, and no symbolic link, to be written into */
static int sti_system_edit(void *scratch, const char *path, uint64_t bytes, sti_target *t) {
    struct stat about;
    int fd = open(path, O_WRONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC | O_NOCTTY), code = 0;
    (void)scratch;
    if (fd < 0) return errno == ELOOP || errno == EMLINK ? STI_IO_LINKED : sti_system_code(errno);
    if (fstat(fd, &about) != 0) {
        code = errno;
    } else if (!S_ISREG(about.st_mode) || (uint64_t)about.st_size != bytes) {
        code = ST_IO_ENDED;
    } else if (about.st_nlink > 1) {
        code = STI_IO_LINKED;
    }
    t->handle = (void *)(intptr_t)fd;
    t->open = 1;
    if (code) (void)sti_system_shut(t);
    return code;
}

static int sti_system_sync(sti_target *t) {
    return sti_system_flush((int)(intptr_t)t->handle);
}

#endif

#elif STI_OS_WINDOWS

#define STI_SHORT_PATH 248u  /* what CreateFileW takes as it is, and a directory's */
#define STI_LONG_PATH 32768u /* what it takes behind \\?\ */

static size_t sti_system_scratch(sti_span path) {
    /* UTF-16 has no more units than UTF-8 has bytes; 16 for the prefix and a pattern */
    return path.n < STI_SHORT_PATH ? 0 : sti_times(sti_plus(path.n, STI_LONG_PATH + 16), sizeof(wchar_t));
}

static size_t sti_system_directory(const char *path) {
    size_t i, n = 0;
    for (i = 0; path[i]; i++) {
        if (path[i] == '/' || path[i] == '\\' || (path[i] == ':' && i == 1)) n = i + 1;
    }
    return n;
}

/* names are ASCII, and their case does not matter here */
static size_t sti_system_variable(const char *name, char *out, size_t room) {
    wchar_t *all = GetEnvironmentStringsW(), *at;
    size_t i, n = 0;
    if (!all) return 0;
    for (at = all; *at; at++) {
        for (i = 0; name[i] && (at[i] == (wchar_t)name[i] || (at[i] | 32) == (wchar_t)(name[i] | 32)); i++) {}
        if (!name[i] && at[i] == L'=') {
            const int got = WideCharToMultiByte(CP_UTF8, 0, at + i + 1, -1, NULL, 0, NULL, NULL);
            n = got > 1 ? (size_t)got - 1 : 0;
            if (n < room) (void)WideCharToMultiByte(CP_UTF8, 0, at + i + 1, -1, out, got, NULL, NULL);
            break;
        }
        while (*at) at++;
    }
    (void)FreeEnvironmentStringsW(all);
    return n;
}

#define STI_HOME "USERPROFILE"

static int sti_system_code(DWORD code) {
    return code == ERROR_FILE_NOT_FOUND || code == ERROR_PATH_NOT_FOUND || code == ERROR_INVALID_NAME ||
                   code == ERROR_DIRECTORY
               ? ST_IO_NOT_FOUND
               : (int)code;
}

/* The path in UTF-16: in brief, or absolute and behind \\?\ in scratch where it is long. Room for a pattern is
 * behind it. */
static int sti_system_path(void *scratch, const char *path, wchar_t brief[STI_SHORT_PATH + 4], wchar_t **out) {
    const size_t n = sti_text(path).n;
    wchar_t *full = (wchar_t *)scratch, *wide = n < STI_SHORT_PATH ? brief : full + STI_LONG_PATH + 12;
    DWORD got;
    *out = wide;
    if (n > 0x7FFFFFFE || !MultiByteToWideChar(CP_UTF8, MB_ERR_INVALID_CHARS, path, -1, wide, (int)(n + 1))) {
        return ST_IO_NOT_UTF8;
    }
    if (n < STI_SHORT_PATH || (wide[0] == L'\\' && wide[1] == L'\\' && wide[2] == L'?')) return 0;
    got = GetFullPathNameW(wide, STI_LONG_PATH, full + 8, NULL);
    if (got == 0 || got >= STI_LONG_PATH) return ERROR_FILENAME_EXCED_RANGE;
    if (full[8] == L'\\' && full[9] == L'\\') { /* \\server\share becomes \\?\UNC\server\share */
        *out = full + 2;
        ST_MEMCPY(*out, L"\\\\?\\UNC", 7 * sizeof(wchar_t));
    } else {
        *out = full + 4;
        ST_MEMCPY(*out, L"\\\\?\\", 4 * sizeof(wchar_t));
    }
    return 0;
}

static OVERLAPPED sti_system_place(uint64_t offset) {
    OVERLAPPED where;
    ST_MEMSET(&where, 0, sizeof where);
    where.Offset = (DWORD)(offset & UINT32_MAX);
    where.OffsetHigh = (DWORD)(offset >> 32);
    return where;
}

static int sti_system_read(void *user, uint64_t offset, void *dst, size_t n) {
    unsigned char *at = (unsigned char *)dst;
    while (n) {
        OVERLAPPED where = sti_system_place(offset);
        DWORD got = 0;
        if (!ReadFile((HANDLE)user, at, n < STI_READ_AT_ONCE ? (DWORD)n : STI_READ_AT_ONCE, &got, &where)) {
            DWORD code = GetLastError();
            return code == ERROR_HANDLE_EOF ? ST_IO_ENDED : (int)code;
        }
        if (got == 0) return ST_IO_ENDED;
        at += got;
        n -= got;
        offset = sti_sum(offset, got);
    }
    return 0;
}

static int sti_system_open(void *user, const char *path, st_io *file) {
    wchar_t brief[STI_SHORT_PATH + 4], *wide;
    BY_HANDLE_FILE_INFORMATION about;
    HANDLE h;
    int code = sti_system_path(user, path, brief, &wide);
    if (code) return code;
    h = CreateFileW(wide, GENERIC_READ, FILE_SHARE_READ | FILE_SHARE_WRITE | FILE_SHARE_DELETE, NULL, OPEN_EXISTING,
                    FILE_ATTRIBUTE_NORMAL, NULL);
    if (h == INVALID_HANDLE_VALUE) {
        DWORD error = GetLastError(), attributes = GetFileAttributesW(wide);
        if (attributes != INVALID_FILE_ATTRIBUTES && (attributes & FILE_ATTRIBUTE_DIRECTORY)) return ST_IO_NOT_FOUND;
        return sti_system_code(error);
    }
    if (GetFileType(h) != FILE_TYPE_DISK) {
        code = ST_IO_NOT_A_FILE;
    } else if (!GetFileInformationByHandle(h, &about)) {
        code = (int)GetLastError();
    }
    if (code) {
        (void)CloseHandle(h);
        return code;
    }
    file->user = h;
    file->read_at = sti_system_read;
    file->bytes = (uint64_t)about.nFileSizeHigh << 32 | about.nFileSizeLow;
    file->id[0] = ((uint64_t)about.nFileIndexHigh << 32 | about.nFileIndexLow) ^ (uint64_t)about.dwVolumeSerialNumber
                                                                                     << 32;
    file->id[1] = (uint64_t)about.ftLastWriteTime.dwHighDateTime << 32 | about.ftLastWriteTime.dwLowDateTime;
    return 0;
}

#if !defined(ST_NO_MMAP)
static int sti_system_map(st_io *file) {
    HANDLE section = CreateFileMappingW((HANDLE)file->user, NULL, PAGE_READONLY, 0, 0, NULL);
    int code = 0;
    if (!section) return (int)GetLastError();
    file->mapped = MapViewOfFile(section, FILE_MAP_READ, 0, 0, 0);
    if (!file->mapped) code = (int)GetLastError();
    (void)CloseHandle(section); /* the view keeps it alive */
    return code;
}
#endif

static void sti_system_release(st_io *file) {
    if (file->user != INVALID_HANDLE_VALUE) (void)CloseHandle((HANDLE)file->user);
    file->user = INVALID_HANDLE_VALUE;
}

static void sti_system_close(void *user, st_io *file) {
    (void)user;
#if !defined(ST_NO_MMAP)
    if (file->mapped) (void)UnmapViewOfFile(file->mapped);
#endif
    sti_system_release(file);
}

static int sti_system_list(void *user, const char *directory, int (*each)(void *arg, const char *name), void *arg) {
    wchar_t brief[STI_SHORT_PATH + 4], *wide;
    WIN32_FIND_DATAW found;
    char name[3 * MAX_PATH + 1]; /* a name has fewer than MAX_PATH units, each of at most three bytes */
    HANDLE h;
    size_t n;
    int stop =
        directory[0] ? sti_system_path(user, directory, brief, &wide) : ST_IO_NOT_FOUND; /* not the drive's root */
    if (stop) return stop;
    for (n = 0; wide[n]; n++) {}
    ST_MEMCPY(wide + n, L"\\*", 3 * sizeof(wchar_t));
    h = FindFirstFileW(wide, &found);
    if (h == INVALID_HANDLE_VALUE) return sti_system_code(GetLastError());
    do {
        if (!WideCharToMultiByte(CP_UTF8, 0, found.cFileName, -1, name, (int)sizeof name, NULL, NULL)) continue;
        if (name[0] != '.' || (name[1] && (name[1] != '.' || name[2]))) stop = each(arg, name);
    } while (!stop && FindNextFileW(h, &found));
    (void)FindClose(h);
    return stop;
}

static void sti_system_advise(const st_io *file, uint64_t offset, uint64_t bytes, st_advice advice) {
    (void)file, (void)offset, (void)bytes,
        (void)advice; /* its own read-ahead does what the calls of newer systems would */
}

#if !defined(ST_NO_WRITER)

#define STI_TEMP_BYTES 48u

static unsigned long sti_system_process(void) {
    return GetCurrentProcessId();
}

static int sti_system_create(void *scratch, const char *path, const char *temp, sti_target *t) {
    wchar_t brief[STI_SHORT_PATH + 4], *wide;
    DWORD attributes;
    HANDLE h;
    int code = sti_system_path(scratch, path, brief, &wide);
    if (code) return code;
    attributes = GetFileAttributesW(wide);
    if (attributes != INVALID_FILE_ATTRIBUTES && (attributes & FILE_ATTRIBUTE_DIRECTORY)) return ERROR_ACCESS_DENIED;
    code = sti_system_path(scratch, temp, brief, &wide);
    if (code) return code;
    h = CreateFileW(wide, GENERIC_WRITE, 0, NULL, CREATE_NEW, FILE_ATTRIBUTE_NORMAL, NULL);
    if (h == INVALID_HANDLE_VALUE) {
        DWORD error = GetLastError();
        return error == ERROR_FILE_EXISTS || error == ERROR_ALREADY_EXISTS ? STI_IO_EXISTS : sti_system_code(error);
    }
    t->handle = h;
    t->open = 1;
    return 0;
}

static int sti_system_reserve(const sti_target *t, uint64_t bytes) {
    LARGE_INTEGER end;
    end.QuadPart = (LONGLONG)bytes;
    return SetFilePointerEx((HANDLE)t->handle, end, NULL, FILE_BEGIN) && SetEndOfFile((HANDLE)t->handle)
               ? 0
               : (int)GetLastError();
}

static int sti_system_write(const sti_target *t, uint64_t offset, const void *src, size_t n) {
    const unsigned char *at = (const unsigned char *)src;
    while (n) {
        OVERLAPPED where = sti_system_place(offset);
        DWORD put = 0;
        if (!WriteFile((HANDLE)t->handle, at, n < STI_READ_AT_ONCE ? (DWORD)n : STI_READ_AT_ONCE, &put, &where)) {
            return (int)GetLastError();
        }
        if (put == 0) return ERROR_WRITE_FAULT;
        at += put;
        n -= put;
        offset = sti_sum(offset, put);
    }
    return 0;
}

static int sti_system_sync(sti_target *t) {
    return FlushFileBuffers((HANDLE)t->handle) ? 0 : (int)GetLastError();
}

static int sti_system_shut(sti_target *t) {
    t->open = 0;
    return CloseHandle((HANDLE)t->handle) ? 0 : (int)GetLastError();
}

/* the second half of scratch is for the second path */
static int sti_system_commit(void *scratch, sti_target *t, const char *temp, const char *path, int sync) {
    wchar_t brief[2][STI_SHORT_PATH + 4], *from, *to;
    sti_span longer = sti_text(path);
    int code = sync ? sti_system_sync(t) : 0;
    if (!code) code = sti_system_shut(t);
    if (!code) code = sti_system_path(scratch, path, brief[0], &to);
    longer.n = sti_plus(longer.n, STI_TEMP_BYTES);
    if (!code) {
        code = sti_system_path((char *)scratch + (scratch ? sti_system_scratch(longer) : 0), temp, brief[1], &from);
    }
    if (!code && !MoveFileExW(from, to, MOVEFILE_REPLACE_EXISTING | (sync ? MOVEFILE_WRITE_THROUGH : 0))) {
        code = (int)GetLastError();
    }
    if (!code) t->named = 1;
    return code;
}

static int sti_system_settle(char *temp) {
    (void)temp; /* MOVEFILE_WRITE_THROUGH has seen to it */
    return 0;
}

static void sti_system_discard(void *scratch, sti_target *t, const char *temp) {
    wchar_t brief[STI_SHORT_PATH + 4], *wide;
    if (t->open) (void)sti_system_shut(t);
    if (!t->named && sti_system_path(scratch, temp, brief, &wide) == 0) (void)DeleteFileW(wide);
}

static int sti_system_edit(void *scratch, const char *path, uint64_t bytes, sti_target *t) {
    wchar_t brief[STI_SHORT_PATH + 4], *wide;
    BY_HANDLE_FILE_INFORMATION about;
    HANDLE h;
    int code = sti_system_path(scratch, path, brief, &wide);
    if (code) return code;
    h = CreateFileW(wide, GENERIC_WRITE, FILE_SHARE_READ, NULL, OPEN_EXISTING, FILE_FLAG_OPEN_REPARSE_POINT, NULL);
    if (h == INVALID_HANDLE_VALUE) return sti_system_code(GetLastError());
    t->handle = h;
    t->open = 1;
    if (!GetFileInformationByHandle(h, &about)) {
        code = (int)GetLastError();
    } else if ((about.dwFileAttributes & FILE_ATTRIBUTE_REPARSE_POINT) || about.nNumberOfLinks > 1) {
        code = STI_IO_LINKED;
    } else if (((uint64_t)about.nFileSizeHigh << 32 | about.nFileSizeLow) != bytes) {
        code = ST_IO_ENDED;
    }
    if (code) (void)sti_system_shut(t);
    return code;
}

#endif

#else

static size_t sti_system_directory(const char *path) {
    size_t i, n = 0;
    for (i = 0; path[i]; i++) {
        if (path[i] == '/') n = i + 1;
    }
    return n;
}

#endif

/* ---- 14 model -------------------------------------------------------------------------------------------------------
 * Open, close, find; one file or several behind an index, a directory or the hub's cache. Knows files only through
 * st_files and st_io.
 * uses: 5, 6, 7, 8, 9, 10, 11, 12, 13
 * ------------------------------------------------------------------------------------------------------------------ */
#define STI_KEPT_OPEN 64u /* files of one model; those behind are opened anew for each read that is not from memory */
#define STI_MAX_SHARDS 65536u
#define STI_MAX_TENSORS 0x10000000u /* what the numbers of an index of names hold */
#define STI_IO_CHANGED (-8)         /* as ST_IO_*: not the file that was opened first */

typedef struct sti_file { /* one of a model's files */
    st_io io;
    const unsigned char *bytes; /* where it may be copied from; NULL: by position */
    int open;                   /* it is to be closed; one that is not is opened anew for each read */
} sti_file;

typedef struct sti_model {
    st_model open;    /* the public face, first: a pointer to one is a pointer to the other */
    sti_file *files;  /* one a shard */
    st_files source;  /* what opened them; close NULL: they are the caller's */
    int system;       /* they are the system's, so it may be advised about them */
    const char *said; /* what messages call the model */
    sti_memory memory;
    size_t block_bytes;
    sti_index names, keys;
} sti_model;

typedef struct sti_part { /* a file while it is being opened */
    const char *path;     /* "" for memory and callbacks */
    st_io io;
    int open;
    uint64_t header_bytes, data_bytes;
    unsigned char *text; /* of the header, a copy of our own */
    sti_entry *entries;  /* in the order of their data once all are there */
    sti_header header;   /* what it holds, counted */
    st_status sound;     /* what is wrong with where its tensors lie */
} sti_part;

typedef struct sti_list {    /* the index of a model of several files while it is being opened */
    sti_json json;           /* at its first byte */
    uint32_t map, metadata;  /* where the objects of these names are; metadata 0: there is none */
    uint32_t weights, pairs; /* their members */
    size_t escaped;          /* bytes of the names and paths that hold an escape, without it, each with a NUL */
    size_t text_bytes;       /* of the metadata, a NUL behind each key and value */
    st_pair *items;          /* of the weights: a tensor's name, and the path of its shard as value */
    uint32_t *slots;
    uint32_t *shards; /* of each weight */
} sti_list;

typedef struct sti_layout { /* what the model's block holds */
    sti_model *model;
    sti_file *files;
    st_shard *shards;
    st_tensor *tensors;
    uint64_t *shapes;
    st_pair *pairs;
    uint32_t *name_slots, *key_slots;
    char *text;
    size_t bytes;
} sti_layout;

typedef struct sti_sums { /* what the headers hold that were read so far; an index's metadata too */
    size_t tensors, dimensions, pairs, text;
    uint32_t keys; /* the most pairs of one */
} sti_sums;

typedef struct sti_scratch { /* memory until a call is over; its bytes lie behind */
    struct sti_scratch *next;
    size_t bytes;
} sti_scratch;

typedef struct sti_opening { /* what one call of st_open and its like works with */
    sti_memory memory;       /* work_bytes: what is left of them, for scratch is taken from their end */
    size_t work_bytes;       /* all of them */
    sti_scratch *scratch;
    unsigned flags;
    uint64_t limit;
    st_files files;
    int system;
    size_t user_bytes; /* of files.user, where that is scratch for the system's paths */
    const char *said;  /* what messages call it */
    st_error *error;
    sti_part *parts; /* `one`, or scratch */
    uint32_t part_count;
    sti_part *at; /* the one that is being judged; NULL: the model as a whole */
    sti_sums sums;
    sti_layout layout; /* of the model; model NULL: there is none yet */
    sti_part one;
} sti_opening;

static int sti_io_read(const st_io *io, uint64_t offset, void *dst, size_t n) {
    if (io->read_at) return (io->read_at)(io->user, offset, dst, n);
    ST_MEMCPY(dst, (const unsigned char *)io->mapped + offset, n);
    return 0;
}

/* a code of st_files or st_io as an error */
STI_COLD static st_status sti_fail_code(st_error *error, int code, uint64_t position, const char *sentence) {
    st_status s = ST_ERR_IO;
    switch (code) {
    case ST_IO_NOT_FOUND:
        s = ST_ERR_NOT_FOUND;
        sentence = STI_SAY("there is no such file");
        break;
    case ST_IO_NOT_UTF8:
        s = ST_ERR_UTF8;
        sentence = STI_SAY("the path is not UTF-8");
        break;
    case ST_IO_NO_MEMORY:
        s = ST_ERR_MEMORY;
        sentence = STI_SAY("there is no memory to open it");
        break;
    case ST_IO_NOT_A_FILE: sentence = STI_SAY("this is not a file but a pipe, a device or the like"); break;
    case ST_IO_ENDED: sentence = STI_SAY("it has become shorter since it was opened"); break;
    case STI_IO_CHANGED: sentence = STI_SAY("it is gone or has changed since it was opened"); break;
    default: break;
    }
    (void)sti_fail_io(error, code, position, sentence);
    if (error) error->status = s;
    return s;
}

STI_COLD static st_status sti_fail_source(st_error *error) {
    return sti_fail(error, ST_ERR_ARGUMENT, STI_NONE, 0, 0, STI_SAY("its st_io has neither read_at nor mapped"));
}

/* adds what a header holds to what the model will hold */
STI_APART static void sti_count(sti_opening *o, const sti_header *h) {
    sti_sums *all = &o->sums;
    all->tensors = sti_plus(all->tensors, h->tensors);
    all->dimensions = sti_plus(all->dimensions, h->dimensions);
    all->pairs = sti_plus(all->pairs, h->pairs);
    all->keys = h->pairs > all->keys ? h->pairs : all->keys;
    all->text = sti_plus(all->text, h->text_bytes);
}

/* base NULL: only measured */
static sti_layout sti_model_lay(const sti_opening *o, unsigned char *base) {
    const sti_sums *all = &o->sums;
    sti_layout l;
    sti_block b;
    b.base = base;
    b.used = 0;
    l.model = (sti_model *)sti_take(&b, 1, sizeof *l.model);
    l.files = (sti_file *)sti_take(&b, o->part_count, sizeof *l.files);
    l.shards = (st_shard *)sti_take(&b, o->part_count, sizeof *l.shards);
    l.tensors = (st_tensor *)sti_take(&b, all->tensors, sizeof *l.tensors);
    l.shapes = (uint64_t *)sti_take(&b, all->dimensions, sizeof *l.shapes);
    l.pairs = (st_pair *)sti_take(&b, all->pairs, sizeof *l.pairs);
    l.name_slots = (uint32_t *)sti_take(&b, sti_index_slots((uint32_t)all->tensors), sizeof *l.name_slots);
    l.key_slots = (uint32_t *)sti_take(&b, sti_index_slots(all->keys), sizeof *l.key_slots);
    l.text = (char *)sti_take(&b, all->text, 1);
    l.bytes = sti_round8(b.used);
    return l;
}

/* ---- how much memory, where there is too little of it */

/* bytes of a work buffer that hold the model, as far as it is counted, the scratch that is taken, and more of it */
STI_APART static size_t sti_need(const sti_opening *o, size_t more) {
    const size_t taken = o->work_bytes - o->memory.work_bytes;
    return sti_plus(sti_plus(o->memory.work_skipped, taken), sti_plus(sti_model_lay(o, NULL).bytes, sti_round8(more)));
}

/* memory until the call is over */
static void *sti_scratch_take(sti_opening *o, size_t bytes) {
    sti_scratch *s;
    bytes = sti_round8(bytes);
    if (o->memory.work) {
        if (bytes <= o->memory.work_bytes) {
            o->memory.work_bytes -= bytes;
            return o->memory.work + o->memory.work_bytes;
        }
        (void)sti_fail_memory(&o->memory, sti_need(o, bytes), o->error);
        return NULL;
    }
    bytes = sti_plus(bytes, sizeof *s);
    s = (sti_scratch *)sti_obtain(&o->memory, bytes);
    if (!s) {
        (void)sti_fail_memory(&o->memory, bytes, o->error);
        return NULL;
    }
    s->next = o->scratch;
    s->bytes = bytes;
    o->scratch = s;
    return s + 1;
}

/* before several are taken of a work buffer that is too small: how large one suffices for all of them */
static st_status sti_scratch_fits(const sti_opening *o, size_t bytes) {
    if (!o->memory.work || bytes <= o->memory.work_bytes) return ST_OK;
    return sti_fail_memory(&o->memory, sti_need(o, bytes), o->error);
}

typedef struct sti_window { /* a header seen piece by piece */
    sti_header header;      /* first, and in it the scanner: a pointer to one is a pointer to all */
    const st_io *io;
    uint64_t next, stop; /* what is still to come of it, in the file */
    int code;            /* of a read that failed */
    unsigned char bytes[64];
} sti_window;

static int sti_window_more(sti_json *j) {
    sti_window *w = (sti_window *)(void *)j;
    size_t n = w->stop - w->next < sizeof w->bytes ? (size_t)(w->stop - w->next) : sizeof w->bytes;
    if (n == 0 || w->code) return 0;
    w->code = sti_io_read(w->io, w->next, w->bytes, n);
    if (w->code) return 0;
    w->next = sti_sum(w->next, n);
    j->at = w->bytes;
    j->end = w->bytes + n;
    j->stop = (uint32_t)(w->next - 8);
    return 1;
}

static size_t sti_entries_bytes(const sti_header *h) {
    return sti_times(h->tensors, sizeof(sti_entry));
}

/* What suffices beside a header's copy where it cannot be counted. What takes most for its length is a metadata pair
 * of 6 characters with 40 bytes and the text: 8 bytes for each of the header's. */
static size_t sti_need_at_most(const sti_part *p) {
    return sti_times((size_t)p->header_bytes, 8);
}

/* counts through a window what a header holds, and gives the scratch that its entries will take */
STI_COLD static st_status sti_window_count(sti_opening *o, const sti_part *p, size_t *entries) {
    sti_window w;
    sti_entry e;
    st_status s;
    int more = 1;
    ST_MEMSET(&w, 0, sizeof w);
    w.header = sti_header_at(w.bytes, 0, o->flags, NULL);
    w.header.text = NULL;
    w.header.json.more = sti_window_more;
    w.io = &p->io;
    w.next = 8;
    w.stop = sti_sum(8, p->header_bytes);
    do {
        s = sti_header_next(&w.header, &e, &more);
    } while (s == ST_OK && more);
    if (w.code) return sti_fail_code(o->error, w.code, w.next, STI_SAY("its header cannot be read"));
    if (s == ST_OK) sti_count(o, &w.header);
    *entries = s == ST_OK ? sti_entries_bytes(&w.header) : sti_need_at_most(p);
    return ST_OK;
}

/* says of a work buffer too small to hold the header how large one suffices */
STI_COLD static st_status sti_work_too_small(sti_opening *o, const sti_part *p) {
    size_t entries;
    st_status s = sti_window_count(o, p, &entries);
    if (s != ST_OK) return s;
    return sti_fail_memory(&o->memory, sti_need(o, sti_plus(entries, sti_round8((size_t)p->header_bytes))), o->error);
}

/* ---- opening a file, step by step */

/* takes room for the header's text and for entries; *room: how many of these */
static st_status sti_open_scratch(sti_opening *o, sti_part *p, size_t *room) {
    size_t n;
    if (p->header_bytes > SIZE_MAX / 4) { /* twice its bytes are obtained */
        return sti_fail(o->error, ST_ERR_TOO_LARGE, STI_NONE, SIZE_MAX / 4, p->header_bytes,
                        STI_SAY("a header of $a bytes is too large for this machine"));
    }
    n = sti_round8(p->header_bytes ? (size_t)p->header_bytes : 1);
    *room = n / sizeof *p->entries; /* all of them: they do not outgrow the text */
    if (!o->memory.work) {
        p->entries = (sti_entry *)sti_scratch_take(o, sti_times(n, 2));
        if (!p->entries) return ST_ERR_MEMORY;
        p->text = (unsigned char *)p->entries + n;
        return ST_OK;
    }
    if (n > o->memory.work_bytes) return sti_work_too_small(o, p);
    p->text = (unsigned char *)sti_scratch_take(o, n);
    p->entries = (sti_entry *)(void *)o->memory.work; /* for the time being; the model will come there */
    *room = o->memory.work_bytes / sizeof *p->entries;
    return ST_OK;
}

/* reads and parses the header, as many of its entries as there is room for; *sorted: they come by offset */
STI_APART static st_status sti_open_entries(sti_opening *o, sti_part *p, size_t room, int *sorted) {
    const size_t n = (size_t)p->header_bytes;
    int code = n ? sti_io_read(&p->io, 8, p->text, n) : 0, more = 1;
    sti_header *h = &p->header;
    uint64_t end = 0;
    sti_entry e;
    st_status s;
    size_t need;
    if (code) return sti_fail_code(o->error, code, 8, STI_SAY("its header cannot be read"));
    *sorted = 1;
    *h = sti_header_at(p->text, n, o->flags, o->error);
    s = sti_header_utf8(p->text, n, o->error);
    while (s == ST_OK) {
        s = sti_header_next(h, &e, &more);
        if (s != ST_OK || !more) break;
        if (h->tensors <= room) p->entries[h->tensors - 1] = e;
        if (e.begin != end || e.end < end) *sorted = 0;
        end = e.end;
    }
    if (s != ST_OK && h->tensors <= room) return s;
    if (s == ST_OK) sti_count(o, h);
    need = sti_need(o, s == ST_OK ? sti_entries_bytes(h) : sti_need_at_most(p));
    if (o->memory.work && need > sti_plus(o->memory.work_skipped, o->work_bytes)) {
        return sti_fail_memory(&o->memory, need, o->error);
    }
    return s;
}

/* brings the entries into the order of their data, and in a work buffer right before the text */
STI_APART static st_status sti_open_arrange(sti_opening *o, sti_part *p, int sorted) {
    if (!sorted) {
        sti_order order;
        order.items = p->entries;
        order.index = NULL;
        order.before = sti_offset_before;
        order.swap = sti_offset_swap;
        sti_sort(&order, p->header.tensors);
    }
    if (o->memory.work) {
        sti_entry *moved = (sti_entry *)sti_scratch_take(o, sti_entries_bytes(&p->header));
        if (!moved) return ST_ERR_MEMORY;
        ST_MEMMOVE(moved, p->entries, sti_entries_bytes(&p->header));
        p->entries = moved;
    }
    return ST_OK;
}

/* proves where the tensors lie; error NULL: it is not yet the time to say so */
static st_status sti_open_offsets(sti_part *p, st_error *error) {
    st_status s = ST_OK;
    uint32_t i;
    p->header.json.error = error;
    p->data_bytes = 0;
    for (i = 0; s == ST_OK && i < p->header.tensors; i++) {
        s = sti_entry_check(&p->header, &p->entries[i], &p->data_bytes);
    }
    return s == ST_OK ? sti_length_check(&p->header, sti_sum(8, p->header_bytes), p->data_bytes, p->io.bytes) : s;
}

static st_status sti_open_map(const sti_opening *o, st_io *io) {
    int code = 0;
    if (io->mapped || (o->flags & ST_OPEN_NO_MAP)) return ST_OK;
#if !defined(ST_NO_FILES) && !defined(ST_NO_MMAP)
    if (o->system && io->bytes <= SIZE_MAX) {
        code = sti_system_map(io);
        if (!code) return ST_OK;
    } else if (o->system && (o->flags & ST_OPEN_MUST_MAP)) {
        return sti_fail(o->error, ST_ERR_TOO_LARGE, STI_NONE, SIZE_MAX, io->bytes,
                        STI_SAY("its $a bytes do not fit the address space"));
    }
#endif
    if (!(o->flags & ST_OPEN_MUST_MAP)) return ST_OK;
    if (!code) {
        return sti_fail(o->error, ST_ERR_UNSUPPORTED, STI_NONE, 0, 0,
                        STI_SAY("a source of this kind cannot be mapped"));
    }
    return sti_fail_code(o->error, code, STI_NONE, STI_SAY("it cannot be mapped"));
}

/* how long an open file's header is */
static st_status sti_open_measure(sti_opening *o, sti_part *p) {
    unsigned char first[8];
    st_status s = ST_OK;
    int code = 0;
    o->at = p;
    if (p->io.bytes && !p->io.read_at && !p->io.mapped) {
        s = sti_fail_source(o->error);
    } else if (p->io.bytes >= sizeof first) {
        code = sti_io_read(&p->io, 0, first, sizeof first);
    }
    if (code) s = sti_fail_code(o->error, code, 0, STI_SAY("it cannot be read"));
    return s == ST_OK ? sti_header_measure(first, p->io.bytes, o->limit, &p->header_bytes, o->error) : s;
}

/* from an open file to its entries, and what is wrong with where they lie: repeated names are said before that, and
 * found after it */
static st_status sti_open_part(sti_opening *o, sti_part *p) {
    size_t room = 0;
    int sorted = 0;
    st_status s = sti_open_measure(o, p);
    if (s == ST_OK) s = sti_open_scratch(o, p, &room);
    if (s == ST_OK) s = sti_open_entries(o, p, room, &sorted);
    if (s == ST_OK) s = sti_open_arrange(o, p, sorted);
    if (s != ST_OK) return s;
    p->sound = sti_open_offsets(p, NULL);
    return p->sound == ST_OK ? sti_open_map(o, &p->io) : ST_OK;
}

/* ---- from what the files hold to a model */

/* takes the model's block, and sets all in it that is not a file's */
STI_APART static st_status sti_open_block(sti_opening *o) {
    const size_t bytes = sti_model_lay(o, NULL).bytes;
    unsigned char *block = o->memory.work;
    sti_model *m;
    if (!block) {
        block = (unsigned char *)sti_obtain(&o->memory, bytes);
        if (!block) return sti_fail_memory(&o->memory, bytes, o->error);
    } else if (bytes > o->memory.work_bytes) {
        return sti_fail_memory(&o->memory, sti_need(o, 0), o->error);
    }
    o->layout = sti_model_lay(o, block);
    ST_MEMSET(block, 0, (size_t)((unsigned char *)o->layout.tensors - block));
    m = o->layout.model;
    m->open.tensors = o->layout.tensors;
    m->open.count = o->sums.tensors;
    m->open.shards = o->layout.shards;
    m->open.shard_count = o->part_count;
    m->files = o->layout.files;
    m->source = o->files;
    if (o->system) m->source.user = NULL; /* it was scratch */
    m->system = o->system;
    m->said = o->said; /* a literal, unless a path takes its place */
    m->memory = o->memory;
    m->memory.work_bytes = o->work_bytes;
    m->block_bytes = bytes;
    return ST_OK;
}

/* fills names, shapes and metadata of one file, and where things lie if that is proven; what is taken of the layout
 * moves on */
STI_APART static void sti_open_fill(sti_opening *o, const sti_part *p, st_shard *shard) {
    const unsigned char *base = o->flags & ST_OPEN_NO_MAP ? NULL : (const unsigned char *)p->io.mapped;
    sti_layout *l = &o->layout;
    sti_header h = p->header;
    st_tensor *t = l->tensors;
    char *text = l->text;
    sti_word w; /* nothing below can fail: all of it passed once, and lies in memory of our own */
    uint32_t i;
    shard->path = sti_keep(&text, sti_text(p->path));
    for (i = 0; i < p->header.tensors; i++, t++) {
        sti_entry e = p->entries[i];
        ST_MEMSET(t, 0, sizeof *t);
        t->name = text;
        t->name_bytes = e.name_bytes;
        h.json.at = h.text + e.key;
        (void)sti_header_copy(&h, &w, &text);
        t->dtype = (st_dtype)e.dtype;
        t->dtype_name = sti_dtypes[e.dtype].name;
        if (e.dtype == ST_DTYPE_NONE) {
            t->dtype_name = text;
            h.json.at = h.text + e.dtype_at;
            (void)sti_header_copy(&h, &w, &text);
        }
        t->shape = l->shapes;
        h.json.at = h.text + e.shape_at;
        (void)sti_shape_read(&h, &e, l->shapes);
        t->rank = e.rank;
        l->shapes += e.rank;
        t->shard = (uint32_t)(p - o->parts);
        if (p->sound != ST_OK) continue;
        t->bytes = e.end - e.begin;
        t->elements = e.elements;
        t->offset = sti_sum(shard->data_offset, e.begin);
        t->data = base ? base + t->offset : NULL;
    }
    if (h.metadata) {
        shard->metadata = l->pairs;
        shard->metadata_count = h.pairs;
        h.text_bytes = 0;
        h.json.at = h.text + h.metadata;
        (void)sti_metadata_read(&h, l->pairs, text);
        text += h.text_bytes;
        l->pairs += h.pairs;
    }
    l->tensors = t;
    l->text = text;
}

/* Builds both indexes of one file; gives the place of the first name or key that repeats another of it, or 0. */
static uint32_t sti_open_repeat(const sti_part *p, const sti_layout *l, const st_pair *pairs) {
    sti_index *names = &l->model->names, *keys = &l->model->keys;
    uint32_t item, place = 0, other;
    names->tensors = l->tensors - p->header.tensors;
    names->slots = l->name_slots;
    names->count = p->header.tensors;
    item = sti_index_build(names, p->entries);
    if (item != STI_ABSENT) place = p->entries[item].key;
    keys->pairs = pairs;
    keys->slots = l->key_slots;
    keys->count = p->header.pairs;
    item = sti_index_build(keys, NULL);
    if (item != STI_ABSENT) {
        other = sti_json_member(p->header.json, p->text + p->header.metadata, item);
        if (!place || other < place) place = other;
    }
    return place;
}

/* brings one file into the model, or says what is wrong with it: with its names before what is wrong with offsets */
static st_status sti_open_finish(sti_opening *o, sti_part *p) {
    st_shard *shard = o->layout.shards++;
    sti_file *file = o->layout.files++;
    uint32_t place;
    shard->file_bytes = p->io.bytes;
    shard->data_offset = sti_sum(8, p->header_bytes);
    file->io = p->io;
    file->bytes = (o->flags & ST_OPEN_NO_MAP) && p->io.read_at ? NULL : (const unsigned char *)p->io.mapped;
    file->open = p->open;
    o->layout.model->open.bytes = sti_sum(o->layout.model->open.bytes, p->data_bytes);
    sti_open_fill(o, p, shard);
    place = sti_open_repeat(p, &o->layout, shard->metadata);
    p->header.json.error = o->error;
    if (place) return sti_repeated(&p->header, place);
    return p->sound == ST_OK ? ST_OK : sti_open_offsets(p, o->error);
}

/* ---- from a source to its parts */

/* the verdict on a header that failed, unless the file is of another format */
STI_COLD static st_status sti_open_judge(const sti_opening *o, st_status status) {
    unsigned char bytes[STI_FORMAT_BYTES];
    const st_io *io = &o->at->io;
    sti_span first;
    first.at = (const char *)bytes;
    first.n = io->bytes < sizeof bytes ? (size_t)io->bytes : sizeof bytes;
    if (first.n == 0 || sti_io_read(io, 0, bytes, first.n) != 0) return status;
    return sti_format_judge(first, status, o->error);
}

/* what all ways to open have in common before */
static st_status sti_open_begin(sti_opening *o, st_model **model, const char *said, const st_options *options,
                                int given, st_error *error) {
    static const st_options none = {0, 0, NULL, NULL, 0, NULL};
    const st_options *all = options ? options : &none;
    const unsigned both = ST_OPEN_NO_MAP | ST_OPEN_MUST_MAP;
    const int wrong = !model || !given || (all->flags & ~(unsigned)STI_OPEN_FLAGS) || (all->flags & both) == both ||
                      (all->allocator && (!all->allocator->alloc || !all->allocator->free)) ||
                      (all->files && (!all->files->open || !all->files->close));
    if (model) *model = NULL;
    ST_MEMSET(o, 0, sizeof *o);
    o->one.path = "";
    o->parts = &o->one;
    o->said = said;
    o->error = error;
    o->flags = all->flags;
    o->limit = sti_header_limit(all);
    sti_memory_choose(&o->memory, all);
    o->work_bytes = o->memory.work_bytes;
    if (!wrong) return ST_OK;
    return sti_fail(error, ST_ERR_ARGUMENT, STI_NONE, 0, 0,
                    STI_SAY("a pointer is NULL that must not be, or the options contradict each other"));
}

/* what they have in common after: gives back all that is not the model's, and says which file a fault is in */
static st_status sti_open_end(sti_opening *o, st_model **model, st_status s) {
    uint32_t i;
    if (s >= ST_ERR_TRUNCATED && s <= ST_ERR_OFFSETS && o->at) s = sti_open_judge(o, s);
    if (s == ST_OK) {
        *model = &o->layout.model->open;
        (*model)->metadata = (*model)->shards->metadata;
        (*model)->metadata_count = (*model)->shards->metadata_count;
        (void)sti_succeed(o->error);
    } else {
        sti_return(&o->memory, o->layout.model, o->layout.bytes);
        for (i = 0; i < o->part_count; i++) {
            if (o->parts[i].open && o->files.close) (o->files.close)(o->files.user, &o->parts[i].io);
        }
        (void)sti_say_file(o->error, sti_text(o->at && *o->at->path ? o->at->path : o->said), s);
    }
    while (o->scratch) {
        sti_scratch *scratch = o->scratch;
        o->scratch = scratch->next;
        sti_return(&o->memory, scratch, scratch->bytes);
    }
    return s;
}

/* a source that is there already, as the only part */
static st_status sti_open_one(sti_opening *o) {
    st_status s;
    o->part_count = 1;
    o->parts->open = 1;
    o->sums.text = sti_text(o->parts->path).n + 1;
    s = sti_open_part(o, o->parts);
    if (s == ST_OK) s = sti_open_block(o);
    if (s == ST_OK) s = sti_open_finish(o, o->parts);
    if (s == ST_OK && *o->parts->path) o->layout.model->said = o->layout.model->open.shards->path;
    return s;
}

ST_API st_status st_open_memory(st_model **model, const void *bytes, size_t n, const st_options *options,
                                st_error *error) {
    sti_opening o;
    st_status s = sti_open_begin(&o, model, "(memory)", options, bytes || !n, error);
    o.one.io.mapped = bytes;
    o.one.io.bytes = n;
    return sti_open_end(&o, model, s == ST_OK ? sti_open_one(&o) : s);
}

ST_API st_status st_open_io(st_model **model, const st_io *io, const st_options *options, st_error *error) {
    sti_opening o;
    st_status s = sti_open_begin(&o, model, "(callbacks)", options, io != NULL, error);
    if (io) o.one.io = *io;
    return sti_open_end(&o, model, s == ST_OK ? sti_open_one(&o) : s);
}

/* ---- paths that come out of a file */

#define STI_MODEL ".safetensors"
#define STI_INDEX_END ".safetensors.index.json"

static int sti_ends(sti_span s, const char *end) {
    const sti_span e = sti_text(end);
    return s.n >= e.n && ST_MEMCMP(s.at + (s.n - e.n), end, e.n) == 0;
}

static int sti_in(unsigned char c, const char *set) {
    for (; *set; set++) {
        if ((unsigned char)*set == c) return 1;
    }
    return 0;
}

/* whether a text is a word in capitals, its own letters in either case */
static int sti_is_capital(sti_span s, const char *word) {
    size_t i;
    for (i = 0; i < s.n && word[i]; i++) {
        if (s.at[i] != word[i] && (word[i] < 'A' || word[i] > 'Z' || (s.at[i] | 32) != (word[i] | 32))) return 0;
    }
    return i == s.n && !word[i];
}

/* whether Windows takes a name without its extension for a device */
static int sti_is_device(sti_span s) {
    static const char *const alone[] = {"CON", "PRN", "AUX", "NUL", "CONIN$", "CONOUT$", "CLOCK$"};
    sti_span first = s, rest;
    size_t i;
    for (i = 0; i < sizeof alone / sizeof *alone; i++) {
        if (sti_is_capital(s, alone[i])) return 1;
    }
    if (s.n < 4) return 0;
    first.n = 3;
    rest = sti_behind(s, 3);
    if (!sti_is_capital(first, "COM") && !sti_is_capital(first, "LPT")) return 0;
    return (rest.n == 1 && sti_in((unsigned char)*rest.at, "0123456789")) || sti_same(rest, sti_text("\xC2\xB9")) ||
           sti_same(rest, sti_text("\xC2\xB2")) || sti_same(rest, sti_text("\xC2\xB3")); /* digits 1 to 3, raised */
}

/* Why a path of a shard, or a name of the hub's, is refused; NULL: it is not. Its components must name the same thing
 * on every system, and nothing above them. Symbolic links are not its matter: a file that was loaded cannot make one. */
static const char *sti_path_fault(sti_span path, int shard) {
    if (shard && !sti_ends(path, STI_MODEL)) return STI_SAY("a shard's name must end in .safetensors");
    for (;;) {
        sti_span name = path, stem;
        size_t i;
        for (name.n = 0; name.n < path.n && path.at[name.n] != '/'; name.n++) {
            const unsigned char c = (unsigned char)path.at[name.n];
            if (c < 0x20 || c == 0x7F || sti_in(c, "\\:<>\"|?*")) {
                return STI_SAY("a path must not hold this character");
            }
            if (c == 0xC2 && name.n + 1 < path.n && (unsigned char)path.at[name.n + 1] < 0xA0) {
                return STI_SAY("a path must not hold a control character");
            }
        }
        if (name.n == 0) return STI_SAY("a path must be relative, and no part of it empty");
        if (sti_in((unsigned char)name.at[0], " .") || sti_in((unsigned char)name.at[name.n - 1], " .")) {
            return STI_SAY("no part of a path may begin or end with a dot or a blank");
        }
        if (name.n > 255) return STI_SAY("a part of the path is longer than systems take");
        for (stem = name, stem.n = i = 0; i < name.n && name.at[i] != '.'; i++) {
            if (name.at[i] != ' ') stem.n = i + 1;
        }
        if (sti_is_device(stem)) return STI_SAY("a part of the path is a device on some systems");
        if (name.n == path.n) return NULL;
        path = sti_behind(path, name.n + 1);
    }
}

/* ---- the index of a model of several files: its text */

/* the bytes of a string that was scanned before, in place or, where it holds an escape, without it at *text, which
 * moves on */
static const char *sti_list_text(const sti_list *x, const sti_word *w, char **text) {
    sti_json j = x->json;
    sti_word again;
    char *at = *text;
    j.at += w->place;
    if (!w->escaped) return (const char *)j.at + 1;
    (void)sti_json_string(&j, &again, at);
    *text += w->bytes;
    return at;
}

/* passes the weight_map: counts its members, or fills items; text: room for names and paths that hold an escape */
static st_status sti_list_weights(sti_list *x, sti_json *j, st_pair *items, char *text) {
    sti_word key, value;
    st_status s;
    int more;
    x->weights = 0;
    if ((s = sti_json_enter(j, '{', &more, STI_SAY("the weight_map must be an object of strings"))) != ST_OK) return s;
    while (more) {
        if ((s = sti_json_key(j, &key)) != ST_OK || (s = sti_json_colon(j)) != ST_OK) return s;
        if (sti_json_peek(j) != '"') return sti_json_wrong(j, STI_SAY("a value of the weight_map must be a string"));
        if ((s = sti_json_string(j, &value, NULL)) != ST_OK) return s;
        if (items) {
            st_pair *p = &items[x->weights];
            p->key = sti_list_text(x, &key, &text);
            p->key_bytes = key.bytes;
            p->value = sti_list_text(x, &value, &text);
            p->value_bytes = value.bytes;
        } else {
            x->escaped += (key.escaped ? key.bytes : 0) + (value.escaped ? value.bytes : 0);
        }
        x->weights++;
        if ((s = sti_json_next(j, '{', &more)) != ST_OK) return s;
    }
    return ST_OK;
}

/* passes the metadata, whose values may be anything: counts its members, or fills pairs, a value being its JSON text */
static st_status sti_list_metadata(sti_list *x, sti_json *j, st_pair *pairs, char *text) {
    sti_word key;
    st_status s;
    int more;
    x->pairs = 0;
    x->text_bytes = 0;
    if ((s = sti_json_enter(j, '{', &more, STI_SAY("the metadata must be an object"))) != ST_OK) return s;
    while (more) {
        const char *value;
        if (sti_json_peek(j) != '"') return sti_json_fail(j, ST_ERR_JSON, STI_SAY("a key in double quotes is due"));
        if ((s = sti_json_string(j, &key, text)) != ST_OK || (s = sti_json_colon(j)) != ST_OK) return s;
        (void)sti_json_peek(j);
        value = (const char *)j->at;
        if ((s = sti_json_skip(j, 2)) != ST_OK) return s; /* the root and the metadata are open */
        if (pairs) {
            st_pair *p = &pairs[x->pairs];
            sti_span v;
            p->key = text;
            p->key_bytes = key.bytes;
            text += key.bytes;
            *text++ = 0;
            v.at = value;
            v.n = p->value_bytes = (size_t)((const char *)j->at - value);
            p->value = sti_keep(&text, v);
        }
        x->text_bytes = sti_plus(x->text_bytes, sti_plus(key.bytes + 2, (size_t)((const char *)j->at - value)));
        x->pairs++;
        if ((s = sti_json_next(j, '{', &more)) != ST_OK) return s;
    }
    return ST_OK;
}

/* passes the whole index, counts what it holds and notes where */
static st_status sti_list_judge(sti_list *x) {
    sti_json all = x->json, *j = &all;
    sti_word key;
    st_status s;
    int more;
    if ((s = sti_json_enter(j, '{', &more, STI_SAY("an index must be an object"))) != ST_OK) return s;
    while (more) {
        int map, metadata;
        if ((s = sti_json_key(j, &key)) != ST_OK) return s;
        map = sti_word_is(&key, "weight_map", 10);
        metadata = sti_word_is(&key, "metadata", 8);
        if ((map && x->map) || (metadata && x->metadata)) {
            return sti_json_fail_at(j, key.place, ST_ERR_DUPLICATE, STI_SAY("this key is there twice"));
        }
        if ((s = sti_json_colon(j)) != ST_OK) return s;
        (void)sti_json_peek(j);
        if (map) x->map = sti_json_place(j);
        if (metadata) x->metadata = sti_json_place(j);
        s = map        ? sti_list_weights(x, j, NULL, NULL)
            : metadata ? sti_list_metadata(x, j, NULL, NULL)
                       : sti_json_skip(j, 1); /* ignored; the root is open */
        if (s != ST_OK || (s = sti_json_next(j, '{', &more)) != ST_OK) return s;
    }
    if (sti_json_peek(j) >= 0) return sti_json_fail(j, ST_ERR_JSON, STI_SAY("only blanks may follow the index"));
    if (!x->weights) {
        return sti_json_fail(j, ST_ERR_SCHEMA,
                             x->map ? STI_SAY("the weight_map is empty") : STI_SAY("the weight_map is missing"));
    }
    return ST_OK;
}

/* a copy of the index's scanner at a place */
static sti_json sti_list_at(const sti_list *x, uint32_t place) {
    sti_json j = x->json;
    j.at += place;
    return j;
}

/* ---- several files: an index and its shards */

/* scratch for a path of that length, where the system wants some */
static st_status sti_open_room(sti_opening *o, sti_span path) {
#if !defined(ST_NO_FILES)
    const size_t bytes = o->system ? sti_system_scratch(path) : 0;
    if (bytes > o->user_bytes) {
        o->files.user = sti_scratch_take(o, bytes);
        o->user_bytes = o->files.user ? bytes : 0;
        return o->files.user ? ST_OK : ST_ERR_MEMORY;
    }
#else
    (void)o, (void)path;
#endif
    return ST_OK;
}

static st_status sti_open_file(sti_opening *o, sti_part *p, const char *path) {
    st_status s = sti_open_room(o, sti_text(path));
    st_io io;
    int code;
    if (s != ST_OK) return s;
    p->path = path;
    ST_MEMSET(&io, 0, sizeof io);
    code = (o->files.open)(o->files.user, path, &io);
    if (code) return sti_fail_code(o->error, code, STI_NONE, STI_SAY("it cannot be opened"));
    p->io = io; /* not before: what a callback that fails leaves there is nobody's, and another may have been here */
    p->open = 1;
    return ST_OK;
}

static void sti_part_close(sti_opening *o, sti_part *p) {
    if (p->open && o->files.close) (o->files.close)(o->files.user, &p->io);
    p->open = 0;
}

/* reads the index at path and judges its text, all but what it says of shards */
static st_status sti_list_read(sti_opening *o, sti_list *x, const char *path) {
    sti_part *p = o->parts;
    st_status s = sti_open_file(o, p, path);
    sti_span text;
    size_t good;
    enum sti_format format;
    int code;
    o->part_count = 1;
    if (s != ST_OK) return s;
    if (p->io.bytes > o->limit) {
        return sti_fail(o->error, ST_ERR_HEADER_LIMIT, STI_NONE, o->limit, p->io.bytes,
                        STI_SAY("an index of $a bytes is over the limit of $e"));
    }
    if (p->io.bytes && !p->io.read_at && !p->io.mapped) return sti_fail_source(o->error);
    text.n = (size_t)p->io.bytes;
    text.at = (const char *)sti_scratch_take(o, text.n);
    if (!text.at) return ST_ERR_MEMORY;
    code = text.n ? sti_io_read(&p->io, 0, (void *)(uintptr_t)text.at, text.n) : 0;
    if (code) return sti_fail_code(o->error, code, 0, STI_SAY("it cannot be read"));
    sti_part_close(o, p);
    x->json = sti_json_inside(text);
    x->json.error = o->error;
    good = sti_utf8_span(x->json.at, text.n);
    s = good == text.n ? sti_list_judge(x)
                       : sti_fail(o->error, ST_ERR_UTF8, good, 0, 0, STI_SAY("the index is not UTF-8"));
    text.n = text.n < STI_FORMAT_BYTES ? text.n : STI_FORMAT_BYTES;
    format = sti_format_of(text);
    return s == ST_OK || format == STI_INDEX || format == STI_TEXT ? s : sti_format_judge(text, s, o->error);
}

/* indexes the keys of items; gives the first that repeats another, or STI_ABSENT */
static uint32_t sti_list_index(const sti_list *x, sti_index *index, uint32_t count) {
    ST_MEMSET(index, 0, sizeof *index);
    index->pairs = x->items;
    index->slots = x->slots;
    index->count = count;
    return sti_index_build(index, NULL);
}

/* says what is wrong with a member of the weight_map or the metadata: with its key, or with its value */
static st_status sti_list_fail(const sti_list *x, uint32_t object, uint32_t item, int value, st_status status,
                               const char *sentence) {
    sti_json j = sti_list_at(x, sti_json_member(x->json, x->json.at + object, item));
    sti_word w;
    if (value) {
        (void)sti_json_key(&j, &w), (void)sti_json_colon(&j), (void)sti_json_peek(&j);
    }
    (void)sti_json_fail(&j, status, sentence);
#if !defined(ST_NO_ERROR_TEXT)
    {
        sti_span inside;
        inside.at = (const char *)j.at + 1;
        (void)sti_json_string(&j, &w, NULL);
        inside.n = (size_t)((const char *)j.at - inside.at - 1);
        sti_say_about(x->json.error, inside, STI_ESCAPED);
    }
#endif
    return status;
}

/* takes room for the members of an index and fills it; refuses metadata keys and names that are there twice */
static st_status sti_list_fill(sti_opening *o, sti_list *x) {
    const uint32_t most = x->weights > x->pairs ? x->weights : x->pairs;
    const size_t text_bytes = x->escaped > x->text_bytes ? x->escaped : x->text_bytes;
    const size_t each = sizeof *x->items + 2 * sizeof *x->slots + sizeof *x->shards + 2 * sizeof(uint32_t);
    const char *twice = STI_SAY("this name is there twice");
    sti_json j = sti_list_at(x, x->metadata);
    sti_index index;
    uint32_t repeated;
    char *text;
    /* what sti_list_parts takes for each is counted too; 8 for rounding up, six times */
    st_status s = sti_scratch_fits(o, sti_plus(sti_times(most, each), sti_plus(text_bytes, 48)));
    if (s != ST_OK) return s;
    text = (char *)sti_scratch_take(o, text_bytes);
    x->items = (st_pair *)sti_scratch_take(o, sti_times(most, sizeof *x->items));
    x->slots = (uint32_t *)sti_scratch_take(o, sti_times(sti_index_slots(most), sizeof *x->slots));
    x->shards = (uint32_t *)sti_scratch_take(o, sti_times(x->weights, sizeof *x->shards));
    if (!text || !x->items || !x->slots || !x->shards) return ST_ERR_MEMORY;
    if (x->metadata) {
        (void)sti_list_metadata(x, &j, x->items, text); /* nothing below can fail: all of it passed once */
        repeated = sti_list_index(x, &index, x->pairs);
        if (repeated != STI_ABSENT) return sti_list_fail(x, x->metadata, repeated, 0, ST_ERR_DUPLICATE, twice);
    }
    j = sti_list_at(x, x->map);
    (void)sti_list_weights(x, &j, x->items, text);
    repeated = sti_list_index(x, &index, x->weights);
    return repeated == STI_ABSENT ? ST_OK : sti_list_fail(x, x->map, repeated, 0, ST_ERR_DUPLICATE, twice);
}

/* makes keys of the values, and the other way about */
static void sti_list_swap(sti_list *x) {
    uint32_t i;
    for (i = 0; i < x->weights; i++) {
        st_pair p = x->items[i];
        x->items[i].key = p.value;
        x->items[i].key_bytes = p.value_bytes;
        x->items[i].value = p.key;
        x->items[i].value_bytes = p.key_bytes;
    }
}

/* numbers the shards in the order of their names; first: to be filled with a weight of each, *count of them */
static st_status sti_list_number(sti_opening *o, sti_list *x, uint32_t *first, uint32_t *number, uint32_t *count) {
    sti_index paths;
    sti_order order;
    uint32_t i;
    *count = 0;
    sti_list_swap(x);
    (void)sti_list_index(x, &paths, x->weights);
    for (i = 0; i < x->weights; i++) {
        const char *fault;
        x->shards[i] = sti_index_find(&paths, sti_index_name(&paths, i));
        if (x->shards[i] != i) continue;
        fault = sti_path_fault(sti_index_name(&paths, i), 1);
        if (fault) return sti_list_fail(x, x->map, i, 1, ST_ERR_PATH, fault);
        first[(*count)++] = i;
    }
    if (*count > STI_MAX_SHARDS) {
        return sti_fail(o->error, ST_ERR_TOO_LARGE, STI_NONE, STI_MAX_SHARDS, *count,
                        STI_SAY("an index of $a shards is over the limit of $e"));
    }
    order.items = first;
    order.index = &paths;
    order.before = sti_name_before;
    order.swap = sti_name_swap;
    sti_sort(&order, *count);
    for (i = 0; i < *count; i++) number[first[i]] = i;
    for (i = 0; i < x->weights; i++) x->shards[i] = number[x->shards[i]];
    sti_list_swap(x);
    return ST_OK;
}

/* makes a part of each shard that the index names, with its path */
static st_status sti_list_parts(sti_opening *o, sti_list *x) {
    const size_t directory = sti_system_directory(o->said);
    uint32_t *first = (uint32_t *)sti_scratch_take(o, sti_times(x->weights, sizeof *first)), count, i;
    uint32_t *number = (uint32_t *)sti_scratch_take(o, sti_times(x->weights, sizeof *number));
    size_t texts = 0, longest = 0;
    sti_part *parts;
    sti_span path;
    char *text;
    st_status s;
    if (!first || !number) return ST_ERR_MEMORY;
    if ((s = sti_list_number(o, x, first, number, &count)) != ST_OK) return s;
    for (i = 0; i < count; i++) {
        size_t n = sti_plus(directory, x->items[first[i]].value_bytes + 1);
        longest = n > longest ? n : longest;
        texts = sti_plus(texts, n);
    }
    s = sti_scratch_fits(o, sti_plus(sti_times(count, sizeof *parts), sti_plus(texts, 16))); /* rounded up */
    if (s != ST_OK) return s;
    parts = (sti_part *)sti_scratch_take(o, sti_times(count, sizeof *parts));
    text = (char *)sti_scratch_take(o, texts);
    if (!parts || !text) return ST_ERR_MEMORY;
    path.at = text;
    path.n = longest;
    if ((s = sti_open_room(o, path)) != ST_OK) return s;
    o->sums.pairs = x->pairs;
    o->sums.text = sti_plus(sti_plus(texts, x->text_bytes), sti_text(o->said).n + 1);
    ST_MEMSET(parts, 0, count * sizeof *parts); /* they were taken with this size */
    for (i = 0; i < count; i++) {
        const st_pair *item = &x->items[first[i]];
        parts[i].path = text;
        ST_MEMCPY(text, o->said, directory);
        ST_MEMCPY(text + directory, item->value, item->value_bytes);
        text[directory + item->value_bytes] = 0;
        text += directory + item->value_bytes + 1;
    }
    o->parts = parts;
    o->part_count = count;
    return ST_OK;
}

/* after a file's header is read: past the first few, a file is not held open but for a mapping that needs it */
static void sti_part_rest(sti_opening *o, sti_part *p, uint32_t number) {
    if (number < STI_KEPT_OPEN || o->user_bytes) return; /* there is no scratch for long paths later */
#if !defined(ST_NO_FILES)
    if (o->system && p->io.mapped) sti_system_release(&p->io);
#endif
    if (!p->io.mapped) sti_part_close(o, p);
}

/* says of a work buffer that does not hold a shard how large one suffices for it and all behind, as far as these can be
 * counted: one that cannot is said when its turn comes */
STI_COLD static st_status sti_work_for_shards(sti_opening *o, uint32_t first, uint32_t count) {
    size_t scratch = 0;
    uint32_t i;
    for (i = first; i < count; i++) {
        sti_part *p = &o->parts[i];
        size_t entries;
        st_status s = sti_open_file(o, p, p->path);
        if (s == ST_OK) s = sti_open_measure(o, p);
        if (s == ST_OK) s = sti_window_count(o, p, &entries);
        if (s == ST_OK) {
            scratch = sti_plus(scratch, sti_plus(sti_round8(entries), sti_round8((size_t)p->header_bytes)));
        }
        sti_part_close(o, p);
    }
    o->at = NULL;
    o->part_count = count;
    return sti_fail_memory(&o->memory, sti_need(o, scratch), o->error);
}

/* opens and judges each shard */
static st_status sti_open_shards(sti_opening *o) {
    const uint32_t count = o->part_count;
    uint64_t tensors = 0;
    uint32_t i;
    for (i = 0; i < count; i++) {
        const sti_sums before = o->sums;
        const size_t left = o->memory.work_bytes;
        sti_part *p = &o->parts[i];
        st_status s = sti_open_file(o, p, p->path);
        o->part_count = i + 1; /* what is known */
        if (s == ST_ERR_NOT_FOUND) {
            if (o->flags & ST_OPEN_PARTIAL) continue;
            (void)sti_fail(o->error, ST_ERR_SHARD, STI_NONE, 0, 0,
                           STI_SAY("the index names this shard, and it is missing"));
            sti_say_about(o->error, sti_behind(sti_text(p->path), sti_system_directory(o->said)), STI_NAME);
            return ST_ERR_SHARD;
        }
        o->at = p;
        if (s == ST_OK) s = sti_open_part(o, p);
        if (s == ST_OK && p->sound != ST_OK) { /* what is wrong with it is said as if it were alone */
            o->parts = p;
            o->part_count = 1;
            ST_MEMSET(&o->sums, 0, sizeof o->sums);
            o->sums.text = sti_text(p->path).n + 1;
            sti_count(o, &p->header);
            s = sti_open_block(o);
            if (s == ST_OK) s = sti_open_finish(o, p);
            o->parts = p - i;
            o->part_count = i + 1;
        }
        if (s == ST_ERR_MEMORY && o->memory.work) {
            sti_part_close(o, p);
            o->sums = before;
            o->memory.work_bytes = left;
            return sti_work_for_shards(o, i, count);
        }
        if (s != ST_OK) return s;
        o->at = NULL;
        tensors = sti_sum(tensors, p->header.tensors);
        if (tensors > STI_MAX_TENSORS) {
            return sti_fail(o->error, ST_ERR_TOO_LARGE, STI_NONE, STI_MAX_TENSORS, tensors,
                            STI_SAY("$a tensors are over the limit of $e"));
        }
        sti_part_rest(o, p, i);
    }
    return ST_OK;
}

/* indexes the names of all files, and proves that they are what the index says */
static st_status sti_list_check(const sti_opening *o, const sti_list *x) {
    sti_index *names = &o->layout.model->names, *keys = &o->layout.model->keys;
    const st_tensor *t = o->layout.model->open.tensors, *found;
    uint32_t item, i;
    keys->pairs = o->layout.model->open.shards->metadata;
    keys->count = (uint32_t)o->layout.model->open.shards->metadata_count;
    (void)sti_index_build(keys, NULL);
    names->tensors = t;
    names->count = (uint32_t)o->sums.tensors;
    item = sti_index_build(names, NULL);
    if (item != STI_ABSENT) {
        for (found = t; !sti_same(sti_index_name(names, (uint32_t)(found - t)), sti_index_name(names, item));) found++;
        (void)sti_fail(o->error, ST_ERR_SHARD, STI_NONE, 0, 0, STI_SAY("this tensor is in two shards:"));
        sti_say_more(o->error, " ", sti_text(o->parts[found->shard].path));
        sti_say_more(o->error, " and ", sti_text(o->parts[t[item].shard].path));
        sti_say_about(o->error, sti_index_name(names, item), STI_NAME);
        return ST_ERR_SHARD;
    }
    for (i = 0; i < x->weights; i++) {
        const sti_part *promised = &o->parts[x->shards[i]];
        sti_span name;
        if (!promised->text) continue; /* it may be absent */
        name.at = x->items[i].key;
        name.n = x->items[i].key_bytes;
        item = sti_index_find(names, name);
        if (item != STI_ABSENT && t[item].shard == x->shards[i]) continue;
        (void)sti_fail(o->error, ST_ERR_SHARD, STI_NONE, 0, 0, STI_SAY("the index has it in a shard that lacks it:"));
        sti_say_more(o->error, " ", sti_text(promised->path));
        if (item != STI_ABSENT) sti_say_more(o->error, ", and not ", sti_text(o->parts[t[item].shard].path));
        sti_say_about(o->error, name, STI_NAME);
        return ST_ERR_SHARD;
    }
    return ST_OK;
}

/* a model of several files, by the path of its index */
static st_status sti_open_list(sti_opening *o, const char *path) {
    sti_list list;
    sti_layout *l = &o->layout;
    uint32_t i;
    st_status s;
    ST_MEMSET(&list, 0, sizeof list);
    o->said = path;
    s = sti_list_read(o, &list, path);
    if (s == ST_OK) s = sti_list_fill(o, &list);
    if (s == ST_OK) s = sti_list_parts(o, &list);
    if (s == ST_OK) s = sti_open_shards(o);
    if (s == ST_OK) s = sti_open_block(o);
    for (i = 0; s == ST_OK && i < o->part_count; i++) {
        o->at = &o->parts[i];
        s = sti_open_finish(o, o->at);
    }
    if (s != ST_OK) return s;
    o->at = NULL;
    s = sti_list_check(o, &list);
    if (s != ST_OK) return s;
    l->model->said = sti_keep(&l->text, sti_text(path));
    if (list.metadata) {
        sti_json j = sti_list_at(&list, list.metadata);
        (void)sti_list_metadata(&list, &j, l->pairs, l->text); /* cannot fail: it passed once */
        l->model->open.index = l->pairs;
        l->model->open.index_count = list.pairs;
    }
    return ST_OK;
}

/* ---- directories */

typedef struct sti_listing { /* what a directory holds, as far as it matters here */
    uint32_t files, indexes; /* *.safetensors, *.safetensors.index.json */
    int model, index;        /* there is one of the name that comes first */
    int shard;               /* by its name a file is one of several */
    size_t longest;          /* name */
    const char *end;         /* of the names that the second pass is about */
    char *out;               /* takes the first of them; NULL: error takes them all */
    st_error *error;
    int told;
} sti_listing;

/* how many decimal digits a text begins with */
static size_t sti_digits_at(sti_span s) {
    size_t n = 0;
    while (n < s.n && s.at[n] >= '0' && s.at[n] <= '9') n++;
    return n;
}

/* whether a name is that of one of several shards: it holds -NNNNN-of-MMMMM, and M is over 1 */
static int sti_is_shard(sti_span s) {
    for (; s.n; s = sti_behind(s, 1)) {
        sti_span rest = sti_behind(s, 1);
        size_t n = sti_digits_at(rest);
        if (*s.at != '-' || n < 5) continue;
        rest = sti_behind(rest, n);
        if (!sti_begins(rest, "-of-", 4)) continue;
        rest = sti_behind(rest, 4);
        n = sti_digits_at(rest);
        if (n < 5) continue;
        for (; n > 1 && *rest.at == '0'; n--) rest = sti_behind(rest, 1);
        if (n > 1 || *rest.at > '1') return 1;
    }
    return 0;
}

static int sti_listing_count(void *arg, const char *text) {
    sti_listing *l = (sti_listing *)arg;
    const sti_span name = sti_text(text);
    if (*text == '.') return 0; /* hidden, or no name before the ending */
    if (sti_ends(name, STI_INDEX_END)) {
        l->indexes++;
        l->index |= sti_same(name, sti_text("model" STI_INDEX_END));
    } else if (sti_ends(name, STI_MODEL)) {
        l->files++;
        l->model |= sti_same(name, sti_text("model" STI_MODEL));
        l->shard |= sti_is_shard(name);
    } else {
        return 0;
    }
    if (name.n > l->longest) l->longest = name.n;
    return 0;
}

static int sti_listing_tell(void *arg, const char *text) {
    sti_listing *l = (sti_listing *)arg;
    const sti_span name = sti_text(text);
    if (*text == '.' || !sti_ends(name, l->end)) return 0;
    if (l->out) {
        if (name.n > l->longest) return 0; /* it has come since they were counted */
        ST_MEMCPY(l->out, name.at, name.n);
        l->out[name.n] = 0;
        return 1;
    }
    sti_say_more(l->error, l->told++ ? ", " : " ", name);
    return 0;
}

/* a directory in which it is not plain what to open; says what was looked for and what was found */
STI_COLD static st_status sti_listing_fail(const sti_opening *o, const char *path, sti_listing *l) {
    const st_status status = l->files || l->indexes ? ST_ERR_SHARD : ST_ERR_NOT_FOUND;
    (void)sti_fail(o->error, status, STI_NONE, l->indexes, l->files,
                   l->indexes
                       ? STI_SAY("looked for model.safetensors and model.safetensors.index.json; found $e indexes:")
                   : l->files > 1 ? STI_SAY("looked for model.safetensors and model.safetensors.index.json; found $a "
                                            ".safetensors files and no index:")
                   : l->files     ? STI_SAY("looked for model.safetensors.index.json; found no index for this shard:")
                              : STI_SAY("looked for model.safetensors, model.safetensors.index.json or one of another "
                                        "name; found none"));
    l->end = l->indexes ? STI_INDEX_END : STI_MODEL;
    l->out = NULL;
    l->error = o->error;
    (void)(o->files.list)(o->files.user, path, sti_listing_tell, l);
    return status;
}

/* puts texts one behind the other, with a NUL at the end; NULL: there is no memory */
static char *sti_join(sti_opening *o, const sti_span *texts, size_t count) {
    size_t n = 1, i;
    char *all, *at;
    for (i = 0; i < count; i++) n = sti_plus(n, texts[i].n);
    all = at = (char *)sti_scratch_take(o, n);
    for (i = 0; all && i < count; i++) {
        ST_MEMCPY(at, texts[i].at, texts[i].n);
        at += texts[i].n;
    }
    if (all) *at = 0;
    return all;
}

/* a model, by the path of its directory: of one file, or of several behind an index */
static st_status sti_open_directory(sti_opening *o, const char *path) {
    sti_listing l;
    sti_span joined[3];
    char *full;
    st_status s;
    int code;
    o->said = path;
    ST_MEMSET(&l, 0, sizeof l);
    if ((s = sti_open_room(o, sti_text(path))) != ST_OK) return s;
    if (!o->files.list) return sti_fail_code(o->error, ST_IO_NOT_FOUND, STI_NONE, NULL);
    code = (o->files.list)(o->files.user, path, sti_listing_count, &l);
    if (code) return sti_fail_code(o->error, code, STI_NONE, STI_SAY("it cannot be listed"));
    if (!l.model && !l.index && (l.indexes ? l.indexes : l.files) != 1) return sti_listing_fail(o, path, &l);
    if (!l.model && !l.indexes && l.shard) return sti_listing_fail(o, path, &l);
    joined[2] = sti_text(l.model ? "model" STI_MODEL : "model" STI_INDEX_END);
    if (!l.model && !l.index) {
        l.end = l.indexes ? STI_INDEX_END : STI_MODEL;
        l.out = (char *)sti_scratch_take(o, sti_plus(l.longest, 1));
        if (!l.out) return ST_ERR_MEMORY;
        *l.out = 0;
        code = (o->files.list)(o->files.user, path, sti_listing_tell, &l);
        if (!*l.out && code) return sti_fail_code(o->error, code, STI_NONE, STI_SAY("it cannot be listed"));
        joined[2] = sti_text(l.out); /* "" where it has gone since */
    }
    joined[0] = sti_text(path);
    joined[1] = sti_text(sti_system_directory(path) == joined[0].n ? "" : "/");
    full = sti_join(o, joined, 3);
    if (!full) return ST_ERR_MEMORY;
    if (!l.model && l.indexes) return sti_open_list(o, full);
    s = sti_open_file(o, o->parts, full);
    o->said = full;
    return s == ST_OK ? sti_open_one(o) : s;
}

/* ---- st_open */

/* whose files they are */
static st_status sti_open_files(sti_opening *o, const st_options *options) {
    if (options && options->files) {
        o->files = *options->files;
        return ST_OK;
    }
#if defined(ST_NO_FILES)
    return sti_fail(o->error, ST_ERR_UNSUPPORTED, STI_NONE, 0, 0,
                    STI_SAY("this build knows no files but those of st_options.files"));
#else
    o->system = 1;
    o->files.open = sti_system_open;
    o->files.close = sti_system_close;
    o->files.list = sti_system_list;
    return ST_OK;
#endif
}

static st_status sti_open_path(sti_opening *o, const char *path) {
    st_status s;
    if (sti_ends(sti_text(path), ".json")) return sti_open_list(o, path);
    s = sti_open_file(o, o->parts, path);
    if (s == ST_ERR_NOT_FOUND) return sti_open_directory(o, path);
    return s == ST_OK ? sti_open_one(o) : s;
}

ST_API st_status st_open(st_model **model, const char *path, const st_options *options, st_error *error) {
    sti_opening o;
    st_status s = sti_open_begin(&o, model, path ? path : "st_open", options, path != NULL, error);
    if (s == ST_OK) s = sti_open_files(&o, options);
    if (s == ST_OK) s = sti_open_path(&o, path);
    return sti_open_end(&o, model, s);
}

/* ---- the hub's cache */

#if !defined(ST_NO_FILES)
/* whether $NAME may hold it */
static int sti_is_word(char c) {
    return c == '_' || (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
}

/* A value of an environment variable with ~ and $NAME resolved, in out[room] as far as it fits; gives its length. */
static size_t sti_hub_expand(const char *value, char *out, size_t room) {
    char name[64];
    size_t n = 0, k, got;
    if (value[0] == '~' && (!value[1] || value[1] == '/' || value[1] == '\\')) {
        n = sti_system_variable(STI_HOME, out, room);
        if (n) value++;
    }
    while (*value) {
        const char *at = value + 1;
        const int brace = *value == '$' && *at == '{';
        for (at += brace, k = 0; *value == '$' && sti_is_word(*at) && k + 1 < sizeof name; at++) name[k++] = *at;
        if (sti_is_word(*at)) k = 0; /* a name that is longer than ours is another */
        name[k] = 0;
        got = k && (!brace || *at == '}')
                  ? sti_system_variable(name, n < room ? out + n : NULL, n < room ? room - n : 0)
                  : 0;
        if (got) {
            value = at + brace;
            n = sti_plus(n, got);
        } else {
            if (n < room) out[n] = *value;
            value++;
            n++;
        }
    }
    if (n < room) out[n] = 0;
    return n;
}

/* the directory of the cache, as the reference tools find it; NULL: there is no memory */
static char *sti_hub_root(sti_opening *o) {
    static const char *const names[] = {"HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "HF_HOME", "XDG_CACHE_HOME"};
    static const char *const behind[] = {"", "", "/hub", "/huggingface/hub", "/.cache/huggingface/hub"};
    char *value = NULL, *root;
    sti_span texts[2];
    size_t i, n = 0;
    for (i = 0; i < 4; i++) {
        n = sti_system_variable(names[i], NULL, 0);
        if (n) break;
    }
    value = (char *)sti_scratch_take(o, sti_plus(n, 2));
    if (!value) return NULL;
    value[0] = '~';
    value[1] = 0;
    /* another thread may be changing the environment: what does not fit any more is as if it were empty */
    if (i < 4 && sti_system_variable(names[i], value, n + 1) > n) value[0] = 0;
    n = sti_hub_expand(value, NULL, 0);
    root = (char *)sti_scratch_take(o, sti_plus(n, 1));
    if (!root) return NULL;
    if (sti_hub_expand(value, root, n + 1) > n) root[0] = 0;
    texts[0] = sti_text(root);
    texts[1] = sti_text(behind[i]);
    return sti_join(o, texts, 2);
}

static int sti_is_commit(sti_span s) {
    size_t i;
    for (i = 0; i < s.n; i++) {
        if (!sti_in((unsigned char)s.at[i], "0123456789abcdefABCDEF")) return 0;
    }
    return s.n == 40;
}

/* the commit that a revision stands for: what its file in refs holds, or itself */
static st_status sti_hub_commit(sti_opening *o, const char *path, const char *revision, char commit[48]) {
    sti_part *p = o->parts;
    sti_span text = sti_text(revision);
    st_status s = sti_open_file(o, p, path);
    int code;
    o->part_count = 1;
    if (s == ST_ERR_NOT_FOUND && sti_is_commit(text)) {
        ST_MEMCPY(commit, text.at, text.n);
        return ST_OK;
    }
    if (s == ST_ERR_NOT_FOUND) {
        (void)sti_fail(o->error, s, STI_NONE, 0, 0, STI_SAY("this revision is not in the cache: there is no"));
        sti_say_more(o->error, " ", sti_text(path));
    }
    if (s != ST_OK) return s;
    if (p->io.bytes && !p->io.read_at && !p->io.mapped) return sti_fail_source(o->error);
    text.at = commit;
    text.n = p->io.bytes < 48 ? (size_t)p->io.bytes : 48;
    code = text.n ? sti_io_read(&p->io, 0, commit, text.n) : 0;
    if (code) return sti_fail_code(o->error, code, 0, STI_SAY("its revision cannot be read"));
    sti_part_close(o, p);
    while (text.n && sti_is_blank(text.at[text.n - 1])) text.n--;
    if (sti_is_commit(text)) return ST_OK;
    (void)sti_fail(o->error, ST_ERR_PATH, STI_NONE, 0, 0, STI_SAY("a commit of 40 hexadecimal digits is due in"));
    sti_say_more(o->error, " ", sti_text(path));
    return ST_ERR_PATH;
}

static st_status sti_open_repository(sti_opening *o, const char *repo, const char *revision) {
    sti_span t[8], name = sti_text(repo);
    const char *fault = sti_path_fault(name, 0), *path;
    char commit[48];
    st_status s;
    for (t[2] = name, t[2].n = 0; t[2].n < name.n && repo[t[2].n] != '/'; t[2].n++) {}
    t[3] = t[4] = sti_text("");
    if (t[2].n < name.n) {
        t[3] = sti_text("--");
        t[4] = sti_behind(name, t[2].n + 1);
    }
    if (!fault && sti_holds(t[4], sti_text("/"))) fault = STI_SAY("a repository is owner/name or name");
    if (!fault) fault = sti_path_fault(sti_text(revision), 0);
    if (fault) return sti_fail(o->error, ST_ERR_PATH, STI_NONE, 0, 0, fault);
    t[0].at = sti_hub_root(o);
    if (!t[0].at) return ST_ERR_MEMORY;
    t[0] = sti_text(t[0].at);
    t[1] = sti_text("/models--");
    t[5] = sti_text("/refs/");
    t[6] = sti_text(revision);
    if ((path = sti_join(o, t, 7)) == NULL) return ST_ERR_MEMORY;
    if ((s = sti_hub_commit(o, path, revision, commit)) != ST_OK) return s;
    t[5] = sti_text("/snapshots/");
    t[6].at = commit;
    t[6].n = 40;
    if ((path = sti_join(o, t, 7)) == NULL) return ST_ERR_MEMORY;
    return sti_open_directory(o, path);
}
#endif

ST_API st_status st_open_hub(st_model **model, const char *repo, const char *revision, const st_options *options,
                             st_error *error) {
    sti_opening o;
    st_status s = sti_open_begin(&o, model, repo ? repo : "st_open_hub", options, repo != NULL, error);
#if defined(ST_NO_FILES)
    (void)revision;
    if (s == ST_OK) {
        s = sti_fail(error, ST_ERR_UNSUPPORTED, STI_NONE, 0, 0,
                     STI_SAY("this build knows no hub: it has no environment"));
    }
#else
    if (s == ST_OK) s = sti_open_files(&o, options);
    if (s == ST_OK) s = sti_open_repository(&o, repo, revision ? revision : "main");
#endif
    return sti_open_end(&o, model, s);
}

ST_API void st_close(st_model *model) {
    sti_model *m = (sti_model *)(void *)model;
    sti_memory memory;
    size_t i;
    if (!m) return;
    for (i = 0; i < m->open.shard_count; i++) {
        if (m->files[i].open && m->source.close) (m->source.close)(m->source.user, &m->files[i].io);
    }
    memory = m->memory; /* it lies in the block that goes */
    sti_return(&memory, m, m->block_bytes);
}

/* ---- the files of an open model, for the rooms below */

/* what messages call a shard */
static const char *sti_model_said(const sti_model *m, uint32_t shard) {
    const char *path = m->open.shards[shard].path;
    return *path ? path : m->said;
}

/* where the bytes of a shard's file lie in memory, or NULL */
static const unsigned char *sti_model_bytes(const sti_model *m, uint32_t shard) {
    return m->files[shard].bytes;
}

/* opens a shard's file again: 0 and a file to be closed with m->source.close, or a code */
static int sti_model_again(const sti_model *m, uint32_t shard, st_io *io) {
    const st_io *first = &m->files[shard].io;
    int code, same;
    ST_MEMSET(io, 0, sizeof *io);
    code = (m->source.open)(m->source.user, m->open.shards[shard].path, io); /* no long path: see sti_part_rest */
    if (code) return code == ST_IO_NOT_FOUND ? STI_IO_CHANGED : code;
    same = io->bytes == first->bytes && (io->read_at || io->mapped);
    if ((io->id[0] | io->id[1]) && (first->id[0] | first->id[1])) {
        same = same && io->id[0] == first->id[0] && io->id[1] == first->id[1];
    }
    if (same) return 0;
    (m->source.close)(m->source.user, io);
    return STI_IO_CHANGED;
}

/* bytes [offset, offset + n) of a shard's file, which has them: 0, or a code */
static int sti_model_read(const sti_model *m, uint32_t shard, uint64_t offset, void *dst, size_t n) {
    const unsigned char *bytes = sti_model_bytes(m, shard);
    st_io again;
    int code;
    if (n == 0) return 0;
    if (bytes) {
        ST_MEMCPY(dst, bytes + offset, n);
        return 0;
    }
    if (m->files[shard].open) return sti_io_read(&m->files[shard].io, offset, dst, n);
    code = sti_model_again(m, shard, &again);
    if (code) return code;
    code = sti_io_read(&again, offset, dst, n);
    (m->source.close)(m->source.user, &again);
    return code;
}

ST_API const st_tensor *st_find_n(const st_model *model, const char *name, size_t name_bytes) {
    sti_span s;
    uint32_t item;
    if (!model || !name) return NULL;
    s.at = name;
    s.n = name_bytes;
    item = sti_index_find(&((const sti_model *)(const void *)model)->names, s);
    return item == STI_ABSENT ? NULL : &model->tensors[item];
}

ST_API const st_tensor *st_find(const st_model *model, const char *name) {
    return name ? st_find_n(model, name, sti_text(name).n) : NULL;
}

ST_API const char *st_find_metadata(const st_model *model, const char *key) {
    uint32_t item;
    if (!model || !key) return NULL;
    item = sti_index_find(&((const sti_model *)(const void *)model)->keys, sti_text(key));
    return item == STI_ABSENT ? NULL : model->metadata[item].value;
}

/* ---- what a program asks for, and other names for it */

ST_API size_t st_find_each(const st_model *model, const char *const *names, size_t count, const st_tensor **tensors,
                           unsigned char *asked) {
    size_t absent = 0, i;
    for (i = 0; i < count; i++) {
        const st_tensor *t = names ? st_find(model, names[i]) : NULL;
        if (!t) absent++;
        if (t && asked) asked[t - model->tensors] = 1;
        if (tensors) tensors[i] = t;
    }
    return absent;
}

ST_API const st_tensor *st_next_unasked(const st_model *model, const unsigned char *asked, const st_tensor *after) {
    size_t i;
    if (!model || !asked) return NULL;
    for (i = after ? (size_t)(after - model->tensors) + 1 : 0; i < model->count; i++) {
        if (!asked[i]) return &model->tensors[i];
    }
    return NULL;
}

typedef struct sti_aliases { /* a walk over them, or a search */
    const st_model *model;
    sti_span wanted; /* NULL: all */
    const st_tensor *found;
    st_alias *aliases; /* NULL: they are counted */
    char *text;
    size_t count, bytes;
} sti_aliases;

/* one of them; its name as it stands in the file, escaped or not */
static void sti_alias_add(sti_aliases *a, sti_span name, int escaped, const st_tensor *tensor) {
    sti_json j = sti_json_inside(name);
    unsigned char out[4];
    size_t n = 0, bytes = 0;
    if (a->wanted.at) {
        if (!a->found && sti_json_same(name, escaped, a->wanted, 0)) a->found = tensor;
        return;
    }
    if (a->aliases) {
        a->aliases[a->count].name = a->text;
        a->aliases[a->count].tensor = tensor;
    }
    for (; j.at < j.end; bytes += n) { /* no more than the name has */
        n = sti_json_character(&j, escaped, out);
        if (a->aliases) ST_MEMCPY(a->text + bytes, out, n);
    }
    if (a->aliases) {
        a->text[bytes] = 0;
        a->text += bytes + 1;
        a->aliases[a->count].name_bytes = bytes;
    }
    a->count++;
    a->bytes = sti_plus(a->bytes, bytes + 1);
}

/* the tensor of a name that stands in JSON text, j at its opening quote; *inside: the name as it stands there */
static const st_tensor *sti_alias_find(const st_model *model, sti_json *j, sti_word *w, sti_span *inside) {
    char name[256];
    sti_json again = *j;
    inside->at = (const char *)j->at + 1;
    (void)sti_json_string(j, w, NULL); /* cannot fail: it passed when the index was opened */
    inside->n = (size_t)((const char *)j->at - inside->at) - 1;
    if (!w->escaped) return st_find_n(model, inside->at, inside->n);
    if (w->bytes > sizeof name) return NULL;
    (void)sti_json_string(&again, w, name);
    return st_find_n(model, name, w->bytes);
}

/* one list of names that share their bytes, j at its bracket: the first that there is stands for the others */
static st_status sti_alias_group(sti_aliases *a, sti_json *j) {
    const st_tensor *first = NULL, *t;
    sti_json again = *j;
    sti_span name, canonical = {NULL, 0};
    sti_word w;
    int more, pass;
    for (pass = 0; pass < 2; pass++) {
        *j = again;
        if (sti_json_peek(j) != '[') return ST_ERR_SCHEMA;
        (void)sti_json_enter(j, '[', &more, NULL);
        while (more) {
            if (sti_json_peek(j) != '"') return ST_ERR_SCHEMA;
            t = sti_alias_find(a->model, j, &w, &name);
            if (!first && t) {
                first = t;
                canonical = name;
            } else if (pass && first && name.at != canonical.at && t != first) {
                sti_alias_add(a, name, w.escaped, first);
            }
            (void)sti_json_next(j, '[', &more);
        }
    }
    return ST_OK;
}

/* the index's param_sharing: lists of names */
static st_status sti_alias_sharing(sti_aliases *a, const st_pair *pair) {
    sti_span text;
    sti_json j;
    st_status s = ST_OK;
    int more;
    text.at = pair->value;
    text.n = pair->value_bytes;
    j = sti_json_inside(text);
    if (sti_json_peek(&j) != '[') return ST_ERR_SCHEMA;
    (void)sti_json_enter(&j, '[', &more, NULL);
    while (more && s == ST_OK) {
        s = sti_alias_group(a, &j);
        if (s == ST_OK) (void)sti_json_next(&j, '[', &more);
    }
    return s;
}

/* a pair of a dropped name and the one that was kept; value: the tensor that the latter is, or NULL */
static void sti_alias_pair(sti_aliases *a, const st_pair *pair, const st_tensor *value) {
    sti_span key;
    key.at = pair->key;
    key.n = pair->key_bytes;
    if (value && !st_find_n(a->model, key.at, key.n)) sti_alias_add(a, key, 0, value);
}

/* all of them: of the file's metadata, then of the index's */
static st_status sti_alias_walk(sti_aliases *a) {
    const st_model *m = a->model;
    st_status s = ST_OK;
    size_t i;
    for (i = 0; i < m->metadata_count; i++) {
        sti_alias_pair(a, &m->metadata[i], st_find_n(m, m->metadata[i].value, m->metadata[i].value_bytes));
    }
    for (i = 0; s == ST_OK && i < m->index_count; i++) {
        const st_pair *p = &m->index[i];
        sti_span text, inside;
        sti_word w;
        sti_json j;
        text.at = p->key;
        text.n = p->key_bytes;
        if (sti_same(text, sti_text("param_sharing"))) {
            s = sti_alias_sharing(a, p);
        } else if (p->value[0] == '"') {
            text.at = p->value;
            text.n = p->value_bytes;
            j = sti_json_inside(text);
            sti_alias_pair(a, p, sti_alias_find(m, &j, &w, &inside));
        }
    }
    return s;
}

ST_API st_status st_aliases(const st_model *model, void *memory, size_t memory_bytes, const st_alias **aliases,
                            size_t *count, st_error *error) {
    const sti_model *m = (const sti_model *)(const void *)model;
    size_t skipped = (8 - (uintptr_t)memory % 8) % 8, need;
    sti_aliases a;
    st_status s;
    if (!model || !aliases || !count || (!memory && memory_bytes)) {
        return sti_fail(error, ST_ERR_ARGUMENT, STI_NONE, 0, 0, STI_SAY("a pointer is NULL that must not be"));
    }
    ST_MEMSET(&a, 0, sizeof a);
    a.model = model;
    s = sti_alias_walk(&a);
    if (s != ST_OK) {
        (void)sti_fail(error, s, STI_NONE, 0, 0, STI_SAY("the index's param_sharing must be lists of names"));
        return sti_say_file(error, sti_text(m->said), s);
    }
    *aliases = NULL;
    *count = a.count;
    need = sti_plus(skipped, sti_plus(sti_times(a.count, sizeof *a.aliases), a.bytes));
    if (a.count && need > memory_bytes) {
        return sti_fail(error, ST_ERR_ARGUMENT, STI_NONE, need, memory_bytes,
                        STI_SAY("the aliases need $e bytes of memory, and were given $a"));
    }
    if (a.count) {
        a.aliases = (st_alias *)(void *)((char *)memory + skipped);
        a.text = (char *)(a.aliases + a.count);
        a.count = 0;
        (void)sti_alias_walk(&a);
    }
    *aliases = a.aliases;
    return sti_succeed(error);
}

ST_API const st_tensor *st_find_alias(const st_model *model, const char *name) {
    const st_tensor *exact = st_find(model, name);
    sti_aliases a;
    if (exact || !model || !name) return exact;
    ST_MEMSET(&a, 0, sizeof a);
    a.model = model;
    a.wanted = sti_text(name);
    (void)sti_alias_walk(&a);
    return a.found;
}

/* ---- 16 access ------------------------------------------------------------------------------------------------------
 * The bytes of tensors, and advice about them.
 * uses: 5, 6, 7, 9, 13, 14
 * ------------------------------------------------------------------------------------------------------------------ */

/* whether [offset, offset + n) of the tensor lies in it, and the tensor in a file of the model */
static int sti_is_inside(const sti_model *m, const st_tensor *t, uint64_t offset, uint64_t n) {
    const st_shard *f;
    if (t->shard >= m->open.shard_count) return 0;
    f = &m->open.shards[t->shard];
    return t->offset >= f->data_offset && t->offset <= f->file_bytes && t->bytes <= f->file_bytes - t->offset &&
           offset <= t->bytes && n <= t->bytes - offset;
}

STI_COLD static st_status sti_fail_range(const sti_model *m, const st_tensor *t, uint64_t end, st_error *error) {
    st_status s = sti_fail(
        error, ST_ERR_ARGUMENT, STI_NONE, t ? t->bytes : 0, end,
        STI_SAY(
            "a pointer is NULL that must not be, or the range up to $a is not in a tensor of $e bytes of this model"));
    return m ? sti_say_file(error, sti_text(m->said), s) : s;
}

ST_API st_status st_read(const st_model *model, const st_tensor *tensor, uint64_t offset, void *dst, size_t n,
                         st_error *error) {
    const sti_model *m = (const sti_model *)(const void *)model;
    sti_span name;
    uint64_t at;
    int code;
    st_status s;
    if (!m || !tensor || (!dst && n) || !sti_is_inside(m, tensor, offset, n)) {
        return sti_fail_range(m, tensor, sti_sum(offset, n), error);
    }
    at = sti_sum(tensor->offset, offset);
    code = sti_model_read(m, tensor->shard, at, dst, n);
    if (!code) return sti_succeed(error);
    s = sti_fail_code(error, code, at, STI_SAY("its data cannot be read"));
    name.at = tensor->name;
    name.n = tensor->name_bytes;
    sti_say_about(error, name, STI_NAME);
    return sti_say_file(error, sti_text(sti_model_said(m, tensor->shard)), s);
}

ST_API int st_is_aligned(const st_tensor *tensor) {
    unsigned bytes;
    if (!tensor || !tensor->data) return 0;
    bytes = (st_dtype_bits(tensor->dtype) + 7) / 8;
    return bytes < 2 || (uintptr_t)tensor->data % bytes == 0;
}

ST_API st_status st_advise(const st_model *model, const st_tensor *tensor, st_advice advice, st_error *error) {
    const sti_model *m = (const sti_model *)(const void *)model;
    if (!m || (tensor && !sti_is_inside(m, tensor, 0, 0)) ||
        (advice != ST_ADVISE_WILL_NEED && advice != ST_ADVISE_DONE)) {
        return sti_fail_range(m, tensor, 0, error);
    }
#if !defined(ST_NO_FILES)
    if (m->system) {
        uint32_t i;
        for (i = tensor ? tensor->shard : 0; i < m->open.shard_count; i++) {
            const st_shard *f = &m->open.shards[i];
            if (m->files[i].open) {
                sti_system_advise(&m->files[i].io, tensor ? tensor->offset : f->data_offset,
                                  tensor ? tensor->bytes : f->file_bytes - f->data_offset, advice);
            }
            if (tensor) break;
        }
    }
#endif
    return sti_succeed(error);
}

#if !defined(ST_NO_WRITER)

/* ---- 17 writer ------------------------------------------------------------------------------------------------------
 * Plan, emit, stream, save, edit. Saving is the streaming writer driven by the library; sizing is emitting to nowhere.
 * uses: 5, 6, 7, 8, 9, 10, 12, 13, 14
 * ------------------------------------------------------------------------------------------------------------------ */
#define STI_BUFFER_BYTES (SIZE_MAX / 2 < 1048576u ? SIZE_MAX / 2 : 1048576u) /* of data on its way, at most */
#define STI_BUFFER_LEAST 64u                                                 /* in a work buffer */

/* A set of names that stays small and quick under any names: a PATRICIA tree. A walk goes down while bits rise and
 * ends in the one node that can hold the name; one node is made per name, so an item can be its own node. */
typedef struct sti_node {
    struct sti_node *child[2];
    size_t bit; /* which of the name decides here; of the first node one that no name has */
    sti_span name;
} sti_node;

typedef struct sti_item { /* a tensor to write; shape, name and spelling lie behind it */
    sti_node node;
    struct sti_item *next; /* in the caller's order */
    size_t block_bytes;
    const st_tensor *source; /* st_save: the caller's, for its bytes */
    st_tensor tensor;        /* offset counts from the data's begin until the header is planned */
    uint64_t written;        /* of its bytes; each thread of st_writer_write_to keeps to items of its own */
    int failed;              /* a write of it did, and is final */
} sti_item;

typedef struct sti_label { /* a metadata pair to write; both texts lie behind it */
    sti_node node;
    struct sti_label *next;
    size_t block_bytes;
    st_pair pair;
} sti_label;

enum sti_stage { STI_ADDING, STI_WRITING, STI_FAILED, STI_FINISHED };

struct st_writer {
    sti_memory memory;
    sti_block work; /* where a work buffer is used: what is taken of it */
    st_save_options options;
    enum sti_stage stage;
    sti_node *names, *keys; /* roots */
    sti_item *first_item, **last_item;
    sti_label *first_label, **last_label;
    uint32_t item_count, label_count;
    int has_metadata;
    void **order; /* items, then labels, as they are written */
    unsigned char *buffer;
    size_t buffer_bytes, buffered;
    uint64_t flushed; /* bytes of the file that left the buffer, front to back */
    uint64_t keep;    /* bytes before the data that stay, where they suffice */
    uint64_t data_offset, data_bytes;
    uint32_t current;  /* place in order of the item that st_writer_write fills */
    uint64_t streamed; /* data bytes that came through st_writer_write */
    st_sink sink;      /* write NULL: a file */
    const char *path;  /* the caller's */
    const char *said;  /* what messages call it */
#if !defined(ST_NO_FILES)
    sti_target target;
#endif
    char *temp;    /* name of the temporary */
    void *scratch; /* for paths */
    size_t temp_bytes, scratch_bytes;
};

/* ---- names */

/* Bit `bit` of a name: of 9 bits a byte, the first says that there is one, so that no name is the beginning of
 * another. */
static unsigned sti_name_bit(sti_span name, size_t bit) {
    size_t i = bit / 9, k = bit % 9;
    if (i >= name.n) return 0;
    return k == 0 ? 1 : (unsigned)(unsigned char)name.at[i] >> (8 - k) & 1;
}

/* the only node that can have that name; NULL: there is none at all */
static sti_node *sti_node_near(sti_node *root, sti_span name) {
    sti_node *n = root;
    size_t last = 0;
    int first = 1;
    while (n && (first || n->bit > last)) {
        first = 0;
        last = n->bit;
        n = n->child[sti_name_bit(name, last)];
    }
    return n;
}

static sti_node *sti_node_find(sti_node *root, sti_span name) {
    sti_node *n = sti_node_near(root, name);
    return n && sti_same(n->name, name) ? n : NULL;
}

/* adds a node whose name is not there yet */
static void sti_node_add(sti_node **root, sti_node *node) {
    sti_node *closest = sti_node_near(*root, node->name), **link = root;
    size_t last = 0, i = 0;
    int first = 1;
    node->bit = SIZE_MAX; /* a name of SIZE_MAX / 9 bytes fits in no memory beside its header */
    if (closest) {
        while (i < node->name.n && i < closest->name.n && node->name.at[i] == closest->name.at[i]) i++;
        i *= 9;
        while (sti_name_bit(node->name, i) == sti_name_bit(closest->name, i)) i++; /* they differ in this byte */
        node->bit = i;
        while (((*link)->bit > last || first) && (*link)->bit < i) {
            first = 0;
            last = (*link)->bit;
            link = &(*link)->child[sti_name_bit(node->name, last)];
        }
        node->child[!sti_name_bit(node->name, i)] = *link;
        node->child[sti_name_bit(node->name, i)] = node;
    } else {
        node->child[0] = node->child[1] = node;
    }
    *link = node;
}

/* ---- memory: blocks of the allocator, or of the work buffer, which come back only all together */

static void *sti_writer_take(st_writer *w, size_t bytes, st_error *error) {
    void *p = NULL;
    bytes = sti_round8(bytes);
    if (!w->memory.work) {
        p = sti_obtain(&w->memory, bytes);
    } else if (bytes <= w->memory.work_bytes - w->work.used) {
        p = sti_take(&w->work, bytes, 1);
    } else {
        bytes = sti_plus(sti_plus(w->work.used, bytes), w->memory.work_skipped);
    }
    if (!p) (void)sti_say_file(error, sti_text(w->said), sti_fail_memory(&w->memory, bytes, error));
    return p;
}

static void sti_writer_return(st_writer *w, void *p, size_t bytes) {
    sti_return(&w->memory, p, sti_round8(bytes));
}

/* ---- declaring */

static sti_span sti_named(const char *text, size_t bytes) {
    sti_span s = {NULL, 0};
    if (!text) return s;
    if (!bytes) return sti_text(text);
    s.at = text;
    s.n = bytes;
    return s;
}

static int sti_is_utf8(sti_span s) {
    return sti_utf8_span((const unsigned char *)s.at, s.n) == s.n;
}

/* a refusal with its subject, before anything was changed */
STI_COLD static st_status sti_refuse(const char *said, st_status status, sti_span subject, uint64_t expected,
                                     uint64_t actual, const char *sentence, st_error *error) {
    (void)sti_fail(error, status, STI_NONE, expected, actual, sentence);
    if (subject.n) sti_say_about(error, subject, STI_NAME);
    return sti_say_file(error, sti_text(said), status);
}

/* judges a tensor to write, and completes it in *t: lengths, elements, bytes, a known dtype under its number */
static st_status sti_tensor_judge(const char *said, const st_tensor *given, st_tensor *t, st_error *error) {
    const char *none = STI_SAY("a tensor to write needs a name, a shape and a dtype");
    sti_span name = sti_named(given->name, given->name_bytes), spelling = sti_named(given->dtype_name, 0);
    uint64_t bits;
    uint32_t i;
    int overflow = 0;
    if (!name.at || (given->rank && !given->shape) || (unsigned)given->dtype >= STI_DTYPES) {
        return sti_refuse(said, ST_ERR_ARGUMENT, name, 0, 0, none, error);
    }
    *t = *given;
    t->name_bytes = name.n;
    t->data = NULL;
    t->shard = 0;
    if (t->dtype == ST_DTYPE_NONE) {
        if (!spelling.at) return sti_refuse(said, ST_ERR_ARGUMENT, name, 0, 0, none, error);
        t->dtype = sti_dtype_find(spelling.at, spelling.n);
    }
    if (t->dtype != ST_DTYPE_NONE) t->dtype_name = sti_dtype_of(t->dtype)->name;
    if (!sti_is_utf8(name)) return sti_refuse(said, ST_ERR_UTF8, name, 0, 0, STI_SAY("the name is not UTF-8"), error);
    if (!sti_is_utf8(sti_text(t->dtype_name))) {
        return sti_refuse(said, ST_ERR_UTF8, name, 0, 0, STI_SAY("the dtype's spelling is not UTF-8"), error);
    }
    if (sti_same(name, sti_text("__metadata__"))) {
        return sti_refuse(said, ST_ERR_ARGUMENT, name, 0, 0, STI_SAY("no tensor can have this name"), error);
    }
    for (i = 0, t->elements = 1; i < t->rank; i++) {
        if (!sti_mul(t->elements, t->shape[i], &t->elements)) overflow = 1; /* for good, as when reading */
    }
    if (overflow || !sti_mul(sti_dtype_of(t->dtype)->bits, t->elements, &bits)) {
        return sti_refuse(said, ST_ERR_OVERFLOW, name, 0, 0, STI_SAY("its size in bits does not fit 64 bits"), error);
    }
    if (bits % 8) {
        return sti_refuse(said, ST_ERR_SUBBYTE, name, 0, bits, STI_SAY("its $a bits do not fill whole bytes"), error);
    }
    if (t->dtype != ST_DTYPE_NONE) t->bytes = bits / 8;
    if (given->dtype == ST_DTYPE_NONE && t->bytes != given->bytes) {
        return sti_refuse(said, ST_ERR_SIZE, name, t->bytes, given->bytes,
                          STI_SAY("its bytes are $e by shape and dtype, but were said to be $a"), error);
    }
    return ST_OK;
}

/* what an item and a label take of memory */
static size_t sti_item_bytes(const st_tensor *t) {
    size_t texts = sti_plus(sti_plus(t->name_bytes, 1), t->dtype == ST_DTYPE_NONE ? sti_text(t->dtype_name).n + 1 : 0);
    return sti_round8(sti_plus(sizeof(sti_item), sti_plus(sti_times(t->rank, sizeof *t->shape), texts)));
}

static size_t sti_label_bytes(const st_pair *p) {
    return sti_round8(sti_plus(sizeof(sti_label), sti_plus(sti_plus(p->key_bytes, p->value_bytes), 2)));
}

STI_COLD static st_status sti_writer_state(const st_writer *w, st_error *error) {
    return sti_refuse(w->said, ST_ERR_STATE, sti_text(""), 0, 0,
                      w->stage == STI_FAILED ? STI_SAY("a write failed before") : STI_SAY("this call is out of turn"),
                      error);
}

/* said NULL: there is no writer to name */
STI_COLD static st_status sti_writer_null(const char *said, st_error *error) {
    st_status s = sti_fail(error, ST_ERR_ARGUMENT, STI_NONE, 0, 0, STI_SAY("a pointer is NULL that must not be"));
    return said ? sti_say_file(error, sti_text(said), s) : s;
}

static st_status sti_writer_add(st_writer *w, const st_tensor *tensor, const st_tensor *source, st_error *error) {
    st_tensor t;
    sti_item *item;
    sti_span name;
    char *at;
    uint64_t *shape;
    st_status s = sti_tensor_judge(w->said, tensor, &t, error);
    if (s != ST_OK) return s;
    name = sti_named(t.name, t.name_bytes);
    if (sti_node_find(w->names, name)) {
        return sti_refuse(w->said, ST_ERR_DUPLICATE, name, 0, 0, STI_SAY("this name is there twice"), error);
    }
    item = (sti_item *)sti_writer_take(w, sti_item_bytes(&t), error);
    if (!item) return ST_ERR_MEMORY;
    ST_MEMSET(item, 0, sizeof *item);
    item->block_bytes = sti_item_bytes(&t);
    shape = (uint64_t *)(void *)(item + 1);
    at = (char *)(shape + t.rank);
    if (t.rank) ST_MEMCPY(shape, t.shape, t.rank * sizeof *shape); /* it was taken */
    t.shape = shape;
    t.name = sti_keep(&at, name);
    if (t.dtype == ST_DTYPE_NONE) t.dtype_name = sti_keep(&at, sti_text(t.dtype_name));
    item->tensor = t;
    item->source = source;
    item->node.name.at = t.name;
    item->node.name.n = name.n;
    sti_node_add(&w->names, &item->node);
    *w->last_item = item;
    w->last_item = &item->next;
    w->item_count++;
    return ST_OK;
}

ST_API st_status st_writer_add(st_writer *writer, const st_tensor *tensor, st_error *error) {
    st_status s;
    if (!writer || !tensor) return sti_writer_null(writer ? writer->said : NULL, error);
    if (writer->stage != STI_ADDING) return sti_writer_state(writer, error);
    s = sti_writer_add(writer, tensor, NULL, error);
    return s == ST_OK ? sti_succeed(error) : s;
}

static st_pair sti_pair_complete(const st_pair *given) {
    st_pair p = *given;
    p.key_bytes = sti_named(p.key, p.key_bytes).n;
    p.value_bytes = sti_named(p.value, p.value_bytes).n;
    return p;
}

ST_API st_status st_writer_add_metadata(st_writer *w, const st_pair *pair, st_error *error) {
    sti_label *label;
    st_pair p;
    sti_span key;
    char *at;
    if (!w) return sti_writer_null(NULL, error);
    if (w->stage != STI_ADDING) return sti_writer_state(w, error);
    if (!pair) {
        w->has_metadata = 1;
        return sti_succeed(error);
    }
    p = sti_pair_complete(pair);
    key = sti_named(p.key, p.key_bytes);
    if (!p.key || !p.value) {
        return sti_refuse(w->said, ST_ERR_ARGUMENT, key, 0, 0, STI_SAY("a metadata pair needs a key and a value"),
                          error);
    }
    if (!sti_is_utf8(key) || !sti_is_utf8(sti_named(p.value, p.value_bytes))) {
        return sti_refuse(w->said, ST_ERR_UTF8, key, 0, 0, STI_SAY("the metadata is not UTF-8"), error);
    }
    if (sti_node_find(w->keys, key)) {
        return sti_refuse(w->said, ST_ERR_DUPLICATE, key, 0, 0, STI_SAY("this metadata key is there twice"), error);
    }
    label = (sti_label *)sti_writer_take(w, sti_label_bytes(&p), error);
    if (!label) return ST_ERR_MEMORY;
    ST_MEMSET(label, 0, sizeof *label);
    label->block_bytes = sti_label_bytes(&p);
    at = (char *)(label + 1);
    label->pair = p;
    label->pair.key = sti_keep(&at, key);
    label->pair.value = sti_keep(&at, sti_named(p.value, p.value_bytes));
    label->node.name.at = label->pair.key;
    label->node.name.n = key.n;
    sti_node_add(&w->keys, &label->node);
    *w->last_label = label;
    w->last_label = &label->next;
    w->label_count++;
    w->has_metadata = 1;
    return sti_succeed(error);
}

/* ---- bytes on their way out, front to back */

/* a write that failed: final, and said with the code */
STI_COLD static st_status sti_writer_failed(st_writer *w, int code, st_error *error) {
    w->stage = STI_FAILED;
    return sti_say_file(error, sti_text(w->said), sti_fail_io(error, code, STI_NONE, STI_SAY("it cannot be written")));
}

static int sti_writer_out(st_writer *w, const void *bytes, size_t n) {
    int code = 0;
    if (w->sink.write) {
        code = (w->sink.write)(w->sink.user, bytes, n);
    } else {
#if !defined(ST_NO_FILES)
        code = sti_system_write(&w->target, w->flushed, bytes, n);
#endif
    }
    w->flushed = sti_sum(w->flushed, n);
    return code;
}

static int sti_writer_flush(st_writer *w) {
    const size_t n = w->buffered;
    w->buffered = 0;
    return n ? sti_writer_out(w, w->buffer, n) : 0;
}

static int sti_writer_push(st_writer *w, const void *bytes, size_t n) {
    const size_t room = w->buffer_bytes - w->buffered;
    int code;
    if (n > room && (code = sti_writer_flush(w)) != 0) return code;
    if (n >= w->buffer_bytes) return sti_writer_out(w, bytes, n); /* the buffer is empty: n was over its room */
    ST_MEMCPY(w->buffer + w->buffered, bytes, n);
    w->buffered += n;
    return 0;
}

/* ---- the header's text, to the writer or, to be sized, to nowhere */

typedef struct sti_emitter {
    st_writer *writer; /* NULL: only counted */
    uint64_t bytes;
    int code; /* of the first write that failed */
} sti_emitter;

static void sti_emit(sti_emitter *e, const void *bytes, size_t n) {
    e->bytes = sti_sum(e->bytes, n);
    if (e->writer && !e->code) e->code = sti_writer_push(e->writer, bytes, n);
}

static void sti_emit_text(sti_emitter *e, const char *text) {
    sti_emit(e, text, sti_text(text).n);
}

static void sti_emit_number(sti_emitter *e, uint64_t n) {
    char digits[STI_DIGITS];
    sti_span s = sti_digits(n, digits);
    sti_emit(e, s.at, s.n);
}

/* a JSON string, escaped as the reference does: only what must be, in short where there is a short form */
static void sti_emit_string(sti_emitter *e, sti_span s) {
    static const char hex[] = "0123456789abcdef", short_form[] = "btn\0fr"; /* for 8 to 13; 11 has none */
    size_t i, from = 0;
    sti_emit(e, "\"", 1);
    for (i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.at[i];
        char out[6] = {'\\', 'u', '0', '0', 0, 0};
        if (c >= 0x20 && c != '"' && c != '\\') continue;
        sti_emit(e, s.at + from, i - from);
        from = i + 1;
        if (c >= 0x20) {
            out[1] = (char)c;
            sti_emit(e, out, 2);
        } else if (c >= 8 && c <= 13 && short_form[c - 8]) {
            out[1] = short_form[c - 8];
            sti_emit(e, out, 2);
        } else {
            out[4] = hex[c >> 4];
            out[5] = hex[c & 15];
            sti_emit(e, out, 6);
        }
    }
    sti_emit(e, s.at + from, s.n - from);
    sti_emit(e, "\"", 1);
}

static void sti_emit_tensor(sti_emitter *e, const st_tensor *t, uint64_t begin) {
    uint32_t i;
    sti_emit_string(e, sti_named(t->name, t->name_bytes));
    sti_emit_text(e, ":{\"dtype\":");
    sti_emit_string(e, sti_text(t->dtype_name));
    sti_emit_text(e, ",\"shape\":[");
    for (i = 0; i < t->rank; i++) {
        if (i) sti_emit(e, ",", 1);
        sti_emit_number(e, t->shape[i]);
    }
    sti_emit_text(e, "],\"data_offsets\":[");
    sti_emit_number(e, begin);
    sti_emit(e, ",", 1);
    sti_emit_number(e, sti_sum(begin, t->bytes));
    sti_emit_text(e, "]}");
}

/* offset: of the data, as tensors count it by now */
static void sti_emit_header(sti_emitter *e, const st_writer *w, uint64_t offset) {
    uint32_t i;
    sti_emit(e, "{", 1);
    if (w->has_metadata) {
        sti_emit_text(e, "\"__metadata__\":{");
        for (i = 0; i < w->label_count; i++) {
            const st_pair *p = &((const sti_label *)w->order[w->item_count + i])->pair;
            if (i) sti_emit(e, ",", 1);
            sti_emit_string(e, sti_named(p->key, p->key_bytes));
            sti_emit(e, ":", 1);
            sti_emit_string(e, sti_named(p->value, p->value_bytes));
        }
        sti_emit(e, "}", 1);
    }
    for (i = 0; i < w->item_count; i++) {
        const st_tensor *t = &((const sti_item *)w->order[i])->tensor;
        if (i || w->has_metadata) sti_emit(e, ",", 1);
        sti_emit_tensor(e, t, t->offset - offset);
    }
    sti_emit(e, "}", 1);
}

/* ---- planning */

static int sti_item_before(const sti_order *o, size_t a, size_t b) {
    const sti_item *x = (const sti_item *)((void **)o->items)[a], *y = (const sti_item *)((void **)o->items)[b];
    if (x->tensor.dtype != y->tensor.dtype) return x->tensor.dtype > y->tensor.dtype;
    return sti_compare(x->node.name, y->node.name) < 0;
}

static int sti_label_before(const sti_order *o, size_t a, size_t b) {
    const sti_label *x = (const sti_label *)((void **)o->items)[a], *y = (const sti_label *)((void **)o->items)[b];
    return sti_compare(x->node.name, y->node.name) < 0;
}

static void sti_pointer_swap(const sti_order *o, size_t a, size_t b) {
    void **items = (void **)o->items, *item = items[a];
    items[a] = items[b];
    items[b] = item;
}

static size_t sti_order_bytes(size_t items, size_t labels) {
    return sti_round8(sti_times(sti_plus(sti_plus(items, labels), 1), sizeof(void *))); /* never 0 */
}

static void sti_writer_sort(st_writer *w) {
    sti_order o;
    sti_item *item = w->first_item;
    sti_label *label = w->first_label;
    size_t i = 0;
    for (; item; item = item->next) w->order[i++] = item;
    for (; label; label = label->next) w->order[i++] = label;
    o.index = NULL;
    o.swap = sti_pointer_swap;
    o.items = w->order;
    o.before = sti_item_before;
    if (!(w->options.flags & ST_SAVE_KEEP_ORDER)) sti_sort(&o, w->item_count);
    o.items = w->order + w->item_count;
    o.before = sti_label_before;
    sti_sort(&o, w->label_count);
}

/* orders everything, places the data and sizes the header */
static st_status sti_writer_plan(st_writer *w, st_error *error) {
    sti_emitter count = {NULL, 0, 0};
    const uint64_t align = w->options.align ? w->options.align : 8;
    uint64_t limit = STI_DEFAULT_LIMIT;
    uint32_t i;
    w->order = (void **)sti_writer_take(w, sti_order_bytes(w->item_count, w->label_count), error);
    if (!w->order) return ST_ERR_MEMORY;
    sti_writer_sort(w);
    for (i = 0, w->data_bytes = 0; i < w->item_count; i++) {
        st_tensor *t = &((sti_item *)w->order[i])->tensor;
        t->offset = w->data_bytes;
        w->data_bytes = sti_sum(w->data_bytes, t->bytes);
        if (w->data_bytes > INT64_MAX) { /* no file is that long, and no offset behind a header overflows */
            return sti_refuse(w->said, ST_ERR_OVERFLOW, sti_named(t->name, t->name_bytes), 0, 0,
                              STI_SAY("with this tensor the data is longer than any file"), error);
        }
    }
    sti_emit_header(&count, w, 0);
    w->data_offset = sti_sum(8, count.bytes);
    if (w->keep && w->data_offset <= w->keep) {
        w->data_offset = w->keep;
    } else {
        w->data_offset = sti_sum(sti_sum(w->data_offset, w->options.slack), align - 1) & ~(align - 1);
    }
    if (w->data_offset - 8 > limit) {
        return sti_refuse(w->said, ST_ERR_HEADER_LIMIT, sti_text(""), limit, w->data_offset - 8,
                          STI_SAY("a header of $a bytes is over the limit of $e"), error);
    }
    for (i = 0; i < w->item_count; i++) ((sti_item *)w->order[i])->tensor.offset += w->data_offset; /* under 2^63 */
    return ST_OK;
}

/* takes the buffer for a file of that many bytes: no more than it has, and of a work buffer what is left */
static st_status sti_writer_buffer(st_writer *w, uint64_t bytes, st_error *error) {
    size_t n = bytes < STI_BUFFER_BYTES ? sti_round8((size_t)bytes) : STI_BUFFER_BYTES;
    if (n < STI_BUFFER_LEAST) n = STI_BUFFER_LEAST;
    if (w->memory.work) {
        size_t left = w->memory.work_bytes - w->work.used;
        if (n > left) n = left > STI_BUFFER_LEAST ? left : STI_BUFFER_LEAST;
    }
    w->buffer = (unsigned char *)sti_writer_take(w, n, error);
    w->buffer_bytes = n;
    return w->buffer ? ST_OK : ST_ERR_MEMORY;
}

/* gives back what the plan took */
static void sti_writer_forget(st_writer *w, size_t used) {
    sti_writer_return(w, w->buffer, w->buffer_bytes);
    sti_writer_return(w, w->order, sti_order_bytes(w->item_count, w->label_count));
    w->buffer = NULL;
    w->order = NULL;
    w->work.used = used;
}

static int sti_writer_header(st_writer *w) {
    static const char blanks[] = "                                                                ";
    sti_emitter e = {NULL, 0, 0};
    unsigned char length[8];
    uint64_t bytes = w->data_offset - 8;
    int i;
    e.writer = w;
    for (i = 0; i < 8; i++) length[i] = (unsigned char)(bytes >> (8 * i) & 255);
    sti_emit(&e, length, sizeof length);
    sti_emit_header(&e, w, w->data_offset);
    while (e.bytes < w->data_offset) {
        uint64_t left = w->data_offset - e.bytes;
        sti_emit(&e, blanks, left < sizeof blanks - 1 ? (size_t)left : sizeof blanks - 1);
    }
    return e.code;
}

#if !defined(ST_NO_FILES)
/* the temporary, under the first name that is free, and room for the whole file */
static int sti_writer_create(st_writer *w) {
    const size_t directory = sti_system_directory(w->path);
    unsigned long n;
    int code = 0;
    for (n = 0; n < 10000; n++) { /* names of crashed processes may be there */
        ST_MEMCPY(w->temp, w->path, directory);
        w->temp[directory] = 0;
        sti_put(w->temp, w->temp_bytes, sti_text(".st-"));
        sti_put_number(w->temp, w->temp_bytes, sti_system_process());
        sti_put(w->temp, w->temp_bytes, sti_text("-"));
        sti_put_number(w->temp, w->temp_bytes, n);
        sti_put(w->temp, w->temp_bytes, sti_text(".tmp"));
        code = sti_system_create(w->scratch, w->path, w->temp, &w->target);
        if (code != STI_IO_EXISTS) break;
    }
    if (!code) code = sti_system_reserve(&w->target, sti_sum(w->data_offset, w->data_bytes));
    return code;
}
#endif

/* passes over tensors that have all their bytes */
static void sti_writer_advance(st_writer *w) {
    while (w->current < w->item_count) {
        const sti_item *item = (const sti_item *)w->order[w->current];
        if (item->written < item->tensor.bytes) return;
        w->current++;
    }
}

ST_API st_status st_writer_begin(st_writer *w, st_error *error) {
    size_t used;
    st_status s;
    int code = 0;
    if (!w) return sti_writer_null(NULL, error);
    if (w->stage != STI_ADDING) return sti_writer_state(w, error);
    used = w->work.used;
    s = sti_writer_plan(w, error);
    if (s == ST_OK) s = sti_writer_buffer(w, sti_sum(w->data_offset, w->data_bytes), error);
#if !defined(ST_NO_FILES)
    if (s == ST_OK && !w->sink.write) {
        code = sti_writer_create(w);
        if (code) {
            s = sti_fail_code(error, code, STI_NONE, STI_SAY("it cannot be created"));
            if (s == ST_ERR_NOT_FOUND) {
                (void)sti_fail(error, s, STI_NONE, 0, 0, STI_SAY("its directory does not exist"));
            }
            (void)sti_say_file(error, sti_text(w->said), s);
            if (w->target.open) sti_system_discard(w->scratch, &w->target, w->temp);
        }
    }
#endif
    if (s != ST_OK) {
        sti_writer_forget(w, used);
        return s;
    }
    w->stage = STI_WRITING;
    code = sti_writer_header(w);
    if (!code && !w->sink.write) code = sti_writer_flush(w); /* st_writer_write_to may come from several threads */
    if (code) return sti_writer_failed(w, code, error);
    sti_writer_advance(w);
    return sti_succeed(error);
}

/* ---- data */

ST_API const st_tensor *st_writer_next(const st_writer *w) {
    if (!w || w->stage != STI_WRITING || w->current >= w->item_count) return NULL;
    return &((const sti_item *)w->order[w->current])->tensor;
}

/* counts n bytes that went through the buffer, which there was room for */
static void sti_writer_count(st_writer *w, uint64_t n) {
    w->streamed = sti_sum(w->streamed, n);
    while (n) {
        sti_item *item = (sti_item *)w->order[w->current];
        uint64_t room = item->tensor.bytes - item->written, part = n < room ? n : room;
        item->written = sti_sum(item->written, part);
        n -= part;
        sti_writer_advance(w);
    }
}

/* whether st_writer_write_to has been at it: looked up once, at the first byte of st_writer_write */
static int sti_writer_is_scattered(const st_writer *w) {
    uint32_t i;
    for (i = 0; w->streamed == 0 && i < w->item_count; i++) {
        const sti_item *item = (const sti_item *)w->order[i];
        if (item->written || item->failed) return 1;
    }
    return 0;
}

ST_API st_status st_writer_write(st_writer *w, const void *bytes, size_t n, st_error *error) {
    int code;
    if (!w || (!bytes && n)) return sti_writer_null(w ? w->said : NULL, error);
    if (w->stage != STI_WRITING || sti_writer_is_scattered(w)) return sti_writer_state(w, error);
    if (n == 0) return sti_succeed(error);
    if (n > w->data_bytes - w->streamed) {
        return sti_refuse(w->said, ST_ERR_ARGUMENT, sti_text(""), w->data_bytes - w->streamed, n,
                          STI_SAY("$a bytes are more than the $e that are still to come"), error);
    }
    code = sti_writer_push(w, bytes, n);
    if (code) return sti_writer_failed(w, code, error);
    sti_writer_count(w, n);
    return sti_succeed(error);
}

ST_API st_status st_writer_write_to(st_writer *w, const st_tensor *tensor, const void *bytes, size_t n,
                                    st_error *error) {
    sti_item *item;
    sti_span name;
    int code = 0;
    if (!w || !tensor || !tensor->name || (!bytes && n)) return sti_writer_null(w ? w->said : NULL, error);
    name = sti_named(tensor->name, tensor->name_bytes);
    if (w->sink.write) {
        return sti_refuse(w->said, ST_ERR_UNSUPPORTED, name, 0, 0, STI_SAY("a sink takes bytes in order only"), error);
    }
    if (w->stage != STI_WRITING || w->streamed) return sti_writer_state(w, error);
    item = (sti_item *)(void *)sti_node_find(w->names, name);
    if (!item) return sti_refuse(w->said, ST_ERR_NOT_FOUND, name, 0, 0, STI_SAY("there is no such tensor"), error);
    if (item->failed) return sti_refuse(w->said, ST_ERR_STATE, name, 0, 0, STI_SAY("a write failed before"), error);
    if (n > item->tensor.bytes - item->written) {
        return sti_refuse(w->said, ST_ERR_ARGUMENT, name, item->tensor.bytes - item->written, n,
                          STI_SAY("$a bytes are more than the $e that are still to come"), error);
    }
#if !defined(ST_NO_FILES)
    code = sti_system_write(&w->target, sti_sum(item->tensor.offset, item->written), bytes, n);
#endif
    if (code) {
        item->failed = 1; /* and not w->stage: other threads are reading that */
        (void)sti_fail_io(error, code, STI_NONE, STI_SAY("it cannot be written"));
        sti_say_about(error, name, STI_NAME);
        return sti_say_file(error, sti_text(w->said), ST_ERR_IO);
    }
    item->written = sti_sum(item->written, n);
    return sti_succeed(error);
}

ST_API st_status st_writer_finish(st_writer *w, st_error *error) {
    uint32_t i;
    int code;
    if (!w) return sti_writer_null(NULL, error);
    if (w->stage != STI_WRITING) return sti_writer_state(w, error);
    for (i = 0; i < w->item_count; i++) {
        const sti_item *item = (const sti_item *)w->order[i];
        if (item->failed || item->written < item->tensor.bytes) {
            return sti_refuse(
                w->said, ST_ERR_STATE, item->node.name, item->tensor.bytes, item->written,
                item->failed ? STI_SAY("a write failed before") : STI_SAY("only $a of its $e bytes have come"), error);
        }
    }
    code = sti_writer_flush(w);
#if !defined(ST_NO_FILES)
    if (!code && !w->sink.write) {
        const int sync = !(w->options.flags & ST_SAVE_NO_SYNC);
        code = sti_system_commit(w->scratch, &w->target, w->temp, w->path, sync);
        if (!code && sync) code = sti_system_settle(w->temp);
    }
#endif
    if (code) return sti_writer_failed(w, code, error);
    w->stage = STI_FINISHED;
    return sti_succeed(error);
}

/* ---- opening and closing */

static st_status sti_writer_open(st_writer **writer, const char *path, const st_sink *sink,
                                 const st_save_options *options, st_error *error) {
    st_options memory;
    st_save_options all;
    st_writer first, *w = &first;
    const char *said = path ? path : "(sink)";
    ST_MEMSET(&all, 0, sizeof all);
    ST_MEMSET(&memory, 0, sizeof memory);
    if (writer) *writer = NULL;
    if (options) all = *options;
    if (!writer || (!path && !(sink && sink->write)) || (all.align & (all.align - (all.align > 0))) ||
        (all.align && all.align < 8) || (all.flags & ~(unsigned)STI_SAVE_FLAGS) ||
        (all.allocator && (!all.allocator->alloc || !all.allocator->free))) {
        return sti_refuse(said, ST_ERR_ARGUMENT, sti_text(""), 0, 0,
                          STI_SAY("a pointer is NULL that must not be, or the options are out of range"), error);
    }
#if defined(ST_NO_FILES)
    if (path) {
        return sti_refuse(said, ST_ERR_UNSUPPORTED, sti_text(""), 0, 0, STI_SAY("this build knows no files"), error);
    }
#endif
    ST_MEMSET(w, 0, sizeof *w);
    memory.allocator = all.allocator;
    memory.work = all.work;
    memory.work_bytes = all.work_bytes;
    sti_memory_choose(&w->memory, &memory);
    w->work.base = w->memory.work;
    w->options = all;
    w->path = path;
    w->said = said;
    if (sink && !path) w->sink = *sink;
    w = (st_writer *)sti_writer_take(&first, sizeof *w, error);
    if (!w) return ST_ERR_MEMORY;
    *w = first;
    w->last_item = &w->first_item;
    w->last_label = &w->first_label;
#if !defined(ST_NO_FILES)
    if (path) {
        sti_span longer = sti_text(path);
        longer.n = sti_plus(longer.n, STI_TEMP_BYTES);
        w->temp_bytes = longer.n;
        w->scratch_bytes = sti_times(sti_system_scratch(longer), 2);
        w->temp = (char *)sti_writer_take(w, w->temp_bytes, error);
        if (w->temp && w->scratch_bytes) w->scratch = sti_writer_take(w, w->scratch_bytes, error);
        if (!w->temp || (w->scratch_bytes && !w->scratch)) {
            st_writer_close(w);
            return ST_ERR_MEMORY;
        }
        w->temp[0] = 0;
    }
#endif
    *writer = w;
    return sti_succeed(error);
}

ST_API st_status st_writer_open(st_writer **writer, const char *path, const st_save_options *options, st_error *error) {
    return sti_writer_open(writer, path, NULL, options, error);
}

ST_API st_status st_writer_open_sink(st_writer **writer, const st_sink *sink, const st_save_options *options,
                                     st_error *error) {
    return sti_writer_open(writer, NULL, sink, options, error);
}

ST_API void st_writer_close(st_writer *w) {
    sti_memory memory;
    sti_item *item;
    sti_label *label;
    if (!w) return;
#if !defined(ST_NO_FILES)
    if (!w->sink.write && (w->stage == STI_WRITING || w->stage == STI_FAILED)) {
        sti_system_discard(w->scratch, &w->target, w->temp);
    }
#endif
    sti_writer_forget(w, 0);
    sti_writer_return(w, w->temp, w->temp_bytes);
    sti_writer_return(w, w->scratch, w->scratch_bytes);
    for (item = w->first_item; item;) {
        sti_item *next = item->next;
        sti_writer_return(w, item, item->block_bytes);
        item = next;
    }
    for (label = w->first_label; label;) {
        sti_label *next = label->next;
        sti_writer_return(w, label, label->block_bytes);
        label = next;
    }
    memory = w->memory; /* it lies in what goes */
    sti_return(&memory, w, sti_round8(sizeof *w));
}

/* ---- saving */

/* the tensor of `from` that has these bytes, by shard and offset; NULL: there is none */
static const st_tensor *sti_source_find(const st_model *from, const st_tensor *t) {
    size_t low = 0, high = from->count;
    while (low < high) { /* to the first that is not before t */
        size_t middle = low + (high - low) / 2;
        const st_tensor *m = &from->tensors[middle];
        if (m->shard < t->shard || (m->shard == t->shard && m->offset < t->offset)) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    for (; low < from->count && from->tensors[low].shard == t->shard && from->tensors[low].offset == t->offset; low++) {
        if (from->tensors[low].bytes == t->bytes) return &from->tensors[low]; /* those of no bytes come first */
    }
    return NULL;
}

/* whether the bytes of every tensor will come from somewhere; their sizes are known by now */
static st_status sti_save_sources(const st_writer *w, st_error *error) {
    const sti_item *item;
    for (item = w->first_item; item; item = item->next) {
        const st_tensor *t = item->source;
        if (item->tensor.bytes == 0 || t->data) continue;
        if (w->options.from) {
            st_tensor wanted = *t;
            wanted.bytes = item->tensor.bytes;
            if (sti_source_find(w->options.from, &wanted)) continue;
            return sti_refuse(w->said, ST_ERR_ARGUMENT, item->node.name, 0, 0,
                              STI_SAY("its bytes are not those of a tensor in `from`"), error);
        }
        if (!w->options.fill) {
            return sti_refuse(w->said, ST_ERR_ARGUMENT, item->node.name, 0, 0, STI_SAY("its bytes come from nowhere"),
                              error);
        }
    }
    return ST_OK;
}

/* the next block of an item's bytes, from where its source has them: to the buffer, or past it; *n bytes of them */
static st_status sti_save_block(st_writer *w, const sti_item *item, uint64_t *n, st_error *error) {
    const st_tensor *t = item->source;
    const uint64_t left = item->tensor.bytes - item->written;
    size_t room;
    st_status s = ST_OK;
    int code = 0;
    if (t->data) {
        const uint64_t most = (uint64_t)STI_BUFFER_BYTES * 8;
        *n = left < most ? left : most; /* it lies in memory, so places fit size_t */
        code = sti_writer_push(w, (const unsigned char *)t->data + item->written, (size_t)*n);
        return code ? sti_writer_failed(w, code, error) : ST_OK;
    }
    if (w->buffered == w->buffer_bytes) code = sti_writer_flush(w);
    if (code) return sti_writer_failed(w, code, error);
    room = w->buffer_bytes - w->buffered;
    *n = left < room ? left : room;
    if (w->options.from) {
        st_tensor from = *t;
        from.bytes = item->tensor.bytes;
        s = st_read(w->options.from, &from, item->written, w->buffer + w->buffered, (size_t)*n, error);
    } else {
        code = (w->options.fill)(w->options.user, t, item->written, w->buffer + w->buffered, (size_t)*n);
        if (code) {
            s = sti_fail_io(error, code, STI_NONE, STI_SAY("its bytes cannot be made"));
            sti_say_about(error, item->node.name, STI_NAME);
            (void)sti_say_file(error, sti_text(w->said), s);
        }
    }
    if (s == ST_OK) w->buffered += (size_t)*n;
    return s;
}

static st_status sti_save_data(st_writer *w, st_error *error) {
    while (w->current < w->item_count) {
        uint64_t n = 0;
        st_status s = sti_save_block(w, (const sti_item *)w->order[w->current], &n, error);
        if (s != ST_OK) return s;
        sti_writer_count(w, n);
        if (w->options.progress && (w->options.progress)(w->options.user, w->streamed, w->data_bytes) != 0) {
            return sti_refuse(w->said, ST_ERR_CANCELLED, sti_text(""), 0, 0,
                              STI_SAY("it was cancelled; nothing has changed"), error);
        }
    }
    return ST_OK;
}

/* declares everything; metadata as st_save takes it */
static st_status sti_save_declare(st_writer *w, const st_tensor *tensors, size_t count, const st_pair *metadata,
                                  size_t metadata_count, st_error *error) {
    st_status s = ST_OK;
    size_t i;
    if ((!tensors && count) || (!metadata && metadata_count)) {
        return sti_writer_null(w->said, error);
    }
    if (metadata) s = st_writer_add_metadata(w, NULL, error);
    for (i = 0; s == ST_OK && i < metadata_count; i++) s = st_writer_add_metadata(w, &metadata[i], error);
    for (i = 0; s == ST_OK && i < count; i++) s = sti_writer_add(w, &tensors[i], &tensors[i], error);
    return s == ST_OK ? sti_save_sources(w, error) : s;
}

/* bytes of a work buffer that suffice to save these, as far as they are sound */
static size_t sti_save_need(const char *path, const st_tensor *tensors, size_t count, const st_pair *metadata,
                            size_t metadata_count, size_t skipped) {
    size_t need = sti_plus(skipped, sti_plus(sti_round8(sizeof(st_writer)), STI_BUFFER_LEAST)), i;
    st_tensor t;
#if !defined(ST_NO_FILES)
    if (path) {
        sti_span longer = sti_text(path);
        longer.n = sti_plus(longer.n, STI_TEMP_BYTES);
        need = sti_plus(need, sti_plus(sti_round8(longer.n), sti_round8(sti_times(sti_system_scratch(longer), 2))));
    }
#else
    (void)path;
#endif
    for (i = 0; i < metadata_count; i++) {
        st_pair p = sti_pair_complete(&metadata[i]);
        need = sti_plus(need, sti_label_bytes(&p));
    }
    for (i = 0; i < count; i++) {
        if (sti_tensor_judge("", &tensors[i], &t, NULL) == ST_OK) need = sti_plus(need, sti_item_bytes(&t));
    }
    return sti_plus(need, sti_order_bytes(count, metadata_count));
}

static st_status sti_save(const char *path, const st_sink *sink, const st_tensor *tensors, size_t count,
                          const st_pair *metadata, size_t metadata_count, const st_save_options *options,
                          st_error *error) {
    st_writer *w = NULL;
    st_status s = sti_writer_open(&w, path, sink, options, error);
    if (s == ST_OK) s = sti_save_declare(w, tensors, count, metadata, metadata_count, error);
    if (s == ST_OK) s = st_writer_begin(w, error);
    if (s == ST_ERR_MEMORY && options && options->work && (tensors || !count) && (metadata || !metadata_count)) {
        const char *said = path ? path : "(sink)";
        size_t past = (uintptr_t)options->work % 8;
        size_t need = sti_save_need(path, tensors, count, metadata, metadata_count, past ? 8 - past : 0);
        s = sti_refuse(said, s, sti_text(""), need, 0, STI_SAY("the work buffer is too small: $e bytes suffice"),
                       error);
    }
    if (s == ST_OK) s = sti_save_data(w, error);
    if (s == ST_OK) s = st_writer_finish(w, error);
    st_writer_close(w);
    return s;
}

ST_API st_status st_save(const char *path, const st_tensor *tensors, size_t count, const st_pair *metadata,
                         size_t metadata_count, const st_save_options *options, st_error *error) {
    if (!path) return sti_writer_null(NULL, error);
    return sti_save(path, NULL, tensors, count, metadata, metadata_count, options, error);
}

ST_API st_status st_save_sink(const st_sink *sink, const st_tensor *tensors, size_t count, const st_pair *metadata,
                              size_t metadata_count, const st_save_options *options, st_error *error) {
    return sti_save(NULL, sink, tensors, count, metadata, metadata_count, options, error);
}

ST_API st_status st_save_model(const char *path, const st_model *model, const st_save_options *options,
                               st_error *error) {
    st_save_options all;
    if (!path || !model) return sti_writer_null(path, error);
    ST_MEMSET(&all, 0, sizeof all);
    if (options) all = *options;
    all.from = model;
    return sti_save(path, NULL, model->tensors, model->count, model->metadata, model->metadata_count, &all, error);
}

/* ---- editing */

#if !defined(ST_NO_FILES)
/* how many blanks stand between the end of a file's header and its data */
static st_status sti_edit_slack(const sti_model *m, size_t *blanks, st_error *error) {
    unsigned char bytes[64];
    uint64_t at = m->open.shards->data_offset;
    for (*blanks = 0; at > 8;) {
        size_t n = at - 8 < sizeof bytes ? (size_t)(at - 8) : sizeof bytes, left = n;
        int code = sti_model_read(m, 0, at - n, bytes, n);
        if (code) {
            return sti_say_file(error, sti_text(m->said),
                                sti_fail_code(error, code, at - n, STI_SAY("its header cannot be read")));
        }
        while (left && sti_is_blank(bytes[left - 1])) left--;
        *blanks += n - left; /* no more than the header */
        if (left) break;
        at -= n;
    }
    return ST_OK;
}

/* writes the new header over the old one, whose place is w->keep bytes with its length */
static st_status sti_edit_in_place(st_writer *w, uint64_t file_bytes, st_error *error) {
    st_status s = sti_writer_plan(w, error);
    int code;
    w->target.named = 1; /* there is no temporary to remove */
    if (s != ST_OK) return s;
    if (w->data_offset != w->keep) {
        return sti_refuse(w->said, ST_ERR_TOO_LARGE, sti_text(""), w->keep, w->data_offset,
                          STI_SAY("the new header needs $a bytes before the data, and has $e"), error);
    }
    w->buffer_bytes = sti_round8((size_t)w->keep); /* a header that was held in memory before */
    w->buffer = (unsigned char *)sti_writer_take(w, w->buffer_bytes, error);
    if (!w->buffer) return ST_ERR_MEMORY;
    (void)sti_writer_header(w); /* cannot fail: all of it fits in the buffer */
    code = sti_system_edit(w->scratch, w->path, file_bytes, &w->target);
    if (code == STI_IO_LINKED) {
        return sti_refuse(w->said, ST_ERR_UNSUPPORTED, sti_text(""), 0, 0,
                          STI_SAY("a link, or a file of several names, is not edited in place"), error);
    }
    if (code) {
        return sti_say_file(error, sti_text(w->said),
                            sti_fail_code(error, code, STI_NONE, STI_SAY("it cannot be opened to be edited")));
    }
    code = sti_system_write(&w->target, 8, w->buffer + 8, (size_t)w->keep - 8);
    if (!code && !(w->options.flags & ST_SAVE_NO_SYNC)) code = sti_system_sync(&w->target);
    if (!code) code = sti_system_shut(&w->target);
    if (w->target.open) (void)sti_system_shut(&w->target);
    return code ? sti_writer_failed(w, code, error) : ST_OK;
}

/* the edit, the file being open as *m, which is closed before the file is replaced: some systems want that */
static st_status sti_edit(st_model **model, const char *path, const st_pair *metadata, size_t metadata_count,
                          const st_save_options *options, st_error *error) {
    const sti_model *m = (const sti_model *)(const void *)*model;
    const uint64_t file_bytes = m->open.shards->file_bytes, keep = m->open.shards->data_offset;
    const int in_place = (options->flags & ST_SAVE_IN_PLACE) != 0;
    st_save_options all = *options;
    st_writer *w = NULL;
    size_t blanks, need = 0;
    st_status s;
    if (m->open.index_count || !sti_same(sti_text(m->open.shards->path), sti_text(path))) {
        return sti_refuse(path, ST_ERR_UNSUPPORTED, sti_text(""), 0, 0,
                          STI_SAY("metadata is edited in a file, not in an index or a directory"), error);
    }
    s = sti_edit_slack(m, &blanks, error);
    if (s != ST_OK) return s;
    all.from = *model;
    all.flags |= ST_SAVE_KEEP_ORDER;
    /* in place nothing grows, and what it would need is said without slack; else the old slack and alignment stay */
    if (in_place || !all.slack) all.slack = in_place ? 0 : blanks;
    if (!all.align) {
        for (all.align = 8; !in_place && all.align < 65536 / 2 && keep % (2 * all.align) == 0;) all.align *= 2;
    }
    if (m->memory.work) { /* the model lies at its front */
        all.work = m->memory.work + m->block_bytes;
        all.work_bytes = m->memory.work_bytes - m->block_bytes;
        need = sti_save_need(path, (*model)->tensors, (*model)->count, metadata, metadata ? metadata_count : 0,
                             m->memory.work_skipped);
        need = sti_plus(need, m->block_bytes);
        if (in_place) need = sti_plus(need, sti_round8((size_t)keep));
    }
    s = sti_writer_open(&w, path, NULL, &all, error);
    if (s == ST_OK) w->keep = keep;
    if (s == ST_OK) s = sti_save_declare(w, (*model)->tensors, (*model)->count, metadata, metadata_count, error);
    if (s == ST_OK && in_place) {
        st_close(*model);
        *model = NULL;
        s = sti_edit_in_place(w, file_bytes, error);
    } else if (s == ST_OK) {
        s = st_writer_begin(w, error);
        if (s == ST_OK) s = sti_save_data(w, error);
        st_close(*model);
        *model = NULL;
        if (s == ST_OK) s = st_writer_finish(w, error);
    }
    if (s == ST_ERR_MEMORY && need) {
        s = sti_refuse(path, s, sti_text(""), need, 0, STI_SAY("the work buffer is too small: $e bytes suffice"),
                       error);
    }
    st_writer_close(w);
    return s;
}
#endif

ST_API st_status st_edit_metadata(const char *path, const st_pair *metadata, size_t metadata_count,
                                  const st_save_options *options, st_error *error) {
    st_save_options all;
    if (!path) return sti_writer_null(NULL, error);
    ST_MEMSET(&all, 0, sizeof all);
    if (options) all = *options;
#if defined(ST_NO_FILES)
    (void)metadata, (void)metadata_count;
    return sti_refuse(path, ST_ERR_UNSUPPORTED, sti_text(""), 0, 0, STI_SAY("this build knows no files"), error);
#else
    {
        st_options open;
        st_model *model;
        st_status s;
        ST_MEMSET(&open, 0, sizeof open);
        open.flags = ST_OPEN_UNKNOWN_DTYPES | ST_OPEN_NO_MAP;
        open.allocator = all.allocator;
        open.work = all.work;
        open.work_bytes = all.work_bytes;
        s = st_open(&model, path, &open, error);
        if (s == ST_OK) s = sti_edit(&model, path, metadata, metadata_count, &all, error);
        st_close(model);
        return s == ST_OK ? sti_succeed(error) : s;
    }
#endif
}

#endif /* ST_NO_WRITER */

/* ---- 18 history and licence -----------------------------------------------------------------------------------------
 * What changed, and the terms; both travel with the file.
 * uses: -
 * ---------------------------------------------------------------------------------------------------------------------
 * 0.1.0  2026-11-21  Reading: files, memory, callbacks, file systems of one's own; the scanner without memory.
 *                    Writing: whole files, sinks, streams, metadata edits.
 *
 * This software is available under two licences; choose the one you like.
 *
 * ALTERNATIVE A - Public Domain (www.unlicense.org)
 * This is free and unencumbered software released into the public domain. Anyone is free to copy, modify, publish,
 * use, compile, sell, or distribute this software, either in source code form or as a compiled binary, for any
 * purpose, commercial or non-commercial, and by any means. In jurisdictions that recognize copyright laws, the
 * author or authors of this software dedicate any and all copyright interest in the software to the public domain.
 * We make this dedication for the benefit of the public at large and to the detriment of our heirs and successors.
 * We intend this dedication to be an overt act of relinquishment in perpetuity of all present and future rights to
 * this software under copyright law.
 *
 * ALTERNATIVE B - MIT No Attribution (MIT-0)
 * Permission is hereby granted, free of charge, to any person obtaining a copy of this software and associated
 * documentation files (the "Software"), to deal in the Software without restriction, including without limitation
 * the rights to use, copy, modify, merge, publish, distribute, sublicense, and/or sell copies of the Software, and
 * to permit persons to whom the Software is furnished to do so.
 *
 * THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR IMPLIED, INCLUDING BUT NOT LIMITED TO
 * THE WARRANTIES OF MERCHANTABILITY, FITNESS FOR A PARTICULAR PURPOSE AND NONINFRINGEMENT. IN NO EVENT SHALL THE
 * AUTHORS BE LIABLE FOR ANY CLAIM, DAMAGES OR OTHER LIABILITY, WHETHER IN AN ACTION OF CONTRACT, TORT OR OTHERWISE,
 * ARISING FROM, OUT OF OR IN CONNECTION WITH THE SOFTWARE OR THE USE OR OTHER DEALINGS IN THE SOFTWARE.
 * ------------------------------------------------------------------------------------------------------------------ */
#endif /* ST_IMPLEMENTATION */
