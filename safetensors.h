/* safetensors.h - version 0.3.0 - Unlicense or MIT-0, at your choice (text at the end of the file) - no warranty
 *
 * Reads, validates, converts and writes tensor files in the safetensors format. One header, no dependency.
 */
/* ---- 1 manual -------------------------------------------------------------------------------------------------------
 *
 * CONTENTS
 *   1 Quick start               6 Numbers       11 Limits
 *   2 Which call do I want?     7 Lifetime      12 Configuration
 *   3 Reading                   8 Threads       13 Microcontrollers
 *   4 Writing                   9 Errors        14 C++
 *   5 Models in several files  10 What is accepted
 *
 * 1 QUICK START
 *   Copy this file into your project. In ONE .c file write
 *
 *       #define ST_IMPLEMENTATION
 *       #include "safetensors.h"
 *
 *   before any other include. Everywhere else include the file without the #define. There is nothing to link and
 *   nothing to configure. The file also compiles by itself: cc -x c -DST_IMPLEMENTATION -c safetensors.h
 *
 * 2 WHICH CALL DO I WANT?
 *   open a file, a directory or an index        st_open
 *   open a repository in the Hugging Face cache st_open_hub
 *   open a file image in memory                 st_open_memory
 *   open through a callback (archive, HTTP)     st_open_io
 *   find one tensor / many tensors              st_find, st_find_all, st_next_unused
 *   read metadata                               st_find_metadata
 *   copy raw bytes                              st_read
 *   read a tensor or a slice as float           st_read_as
 *   load many tensors, on several threads       st_load
 *   load through a device or a reader of yours  st_plan_load
 *   convert an array of numbers                 st_convert
 *   read without allocating memory              st_scan_begin, st_scan_next
 *   save a file                                 st_save
 *   save while the tensors are being computed   st_writer_open, st_writer_add, st_writer_begin, st_writer_write ...
 *   save a model in several files               st_save_sharded
 *   the same from several processes             st_plan_shards, st_save, st_save_index
 *   change the metadata of a file               st_edit_metadata
 *
 * 3 READING
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
 *   Opening validates the whole header. After ST_OK every tensor lies inside the file, tensors cover the data without
 *   gaps or overlaps, and sizes match shapes and dtypes. No later call can read out of bounds.
 *
 *   t->data points to the tensor's bytes where the file is mapped or in memory. They are little-endian and may have
 *   any alignment (st_is_aligned). Where data is NULL, st_read copies the bytes; st_read works for every source.
 *
 *   st_read_as reads a tensor, or a slice of it, as any dtype. The result is packed, in C order and in the byte order
 *   of the machine:
 *
 *       float column[4];
 *       const st_range ranges[2] = {{0, UINT64_MAX, 1}, {1, 2, 1}}; // all rows, column 1
 *       const st_view view = {ranges, 2, NULL};
 *       if (st_read_as(model, t, &view, ST_DTYPE_F32, column, sizeof column, &error)) puts(error.message);
 *
 *   st_load does the same for many tensors: it reads in file order, in large requests.
 *
 * 4 WRITING
 *       const float weights[4] = {1, 2, 3, 4};
 *       const uint64_t shape[2] = {2, 2};
 *       const st_tensor tensor = st_tensor_of("layer.weight", ST_DTYPE_F32, 2, shape, weights);
 *       st_contents contents = ST_ZERO_INIT;
 *       contents.tensors = &tensor;
 *       contents.count = 1;
 *       if (st_save("new.safetensors", &contents, NULL, &error)) puts(error.message);
 *
 *   Saving is atomic: the old file stays in place until the new one is complete and flushed to the device. The same
 *   input gives the same bytes: those of the reference implementation, with metadata keys sorted.
 *
 *   An open model is saved with st_contents_of(model). Tensors without data are read from contents.from or made by
 *   options.fill. Tensors that never fit into memory together are streamed with st_writer_*.
 *
 * 5 MODELS IN SEVERAL FILES
 *   st_open takes an index (*.safetensors.index.json) or a directory and returns one model: one array of tensors, one
 *   lookup. All shards are validated at once. A path in an index cannot leave the directory of the index.
 *
 *   st_save_sharded writes a model in several files and their index. Where several processes write the shards:
 *     1. Every process computes the same plan: st_plan_shards, st_shard_name.
 *     2. One process removes model.safetensors.index.json, then model.safetensors, then every file that has the name of
 *        a new shard.
 *     3. After that, every process saves its shards with st_save.
 *     4. When all shards are there, one process calls st_save_index, which validates the shards first.
 *   Between steps 2 and 4 the directory does not open, so nobody reads a mixture of two models.
 *
 * 6 NUMBERS
 *   st_read_as, st_load and st_convert round each value once, to nearest, ties to even. Out of range:
 *
 *       from \ to          BOOL         I8..I64, U8..U64    F64 F32 F16 BF16 F8_E5M2   F8_E4M3, F8_*FNUZ
 *       BOOL, integers     1 unless 0   saturates           infinity                   largest value
 *       finite float       1 unless 0   rounds, saturates   infinity                   largest value
 *       -0                 0            0                   -0                         -0; FNUZ: 0
 *       infinity           1            saturates           infinity                   largest value
 *       NaN                1            0                   NaN, quiet, same sign      NaN, same sign; FNUZ: its NaN
 *
 *   Readable: every dtype but C64. BOOL is false only for the byte 0; F4 is E2M1, low nibble first; F6_* packs four
 *   values into three bytes, low bits first; F8_E8M0 is a power of two from 2^-127 to 2^127, or NaN.
 *   Writable: every dtype but F4, F6_*, F8_E8M0 and C64. Converting a dtype to itself copies the bytes unchanged.
 *
 * 7 LIFETIME
 *   Names, shapes, metadata and data reached from a model stay valid until st_close. A model owns one block of memory,
 *   its mappings and its files. Memory passed to st_open_memory, work buffers and whatever callbacks use belong to the
 *   caller and must live until st_close. Options structs are copied. After an error *model is NULL and nothing has to
 *   be freed. A writer keeps pointers to its path, sink and callbacks until st_writer_close.
 *
 * 8 THREADS
 *   The library has no globals, no locks and no threads of its own. An open model is never written to: any number of
 *   threads may use it at the same time, provided the callbacks of st_open_io and st_files allow it. st_close comes
 *   after the last use. Different models and different writers are independent. One writer belongs to one thread,
 *   except that st_writer_write_to may be called by several threads for different tensors.
 *   st_load divides its work among threads of the caller: each calls it with another `part`.
 *
 * 9 ERRORS
 *   Calls that can fail return an st_status; ST_OK is 0. The st_error is optional: status, byte position, expected and
 *   actual numbers, the tensor or key, and a message that names the file. Messages may change between versions;
 *   statuses and their names do not. Treat a status you do not know as an error.
 *
 *   A file with several faults reports the first of: header limit; truncated header; out of memory; UTF-8 of the
 *   whole header; JSON, schema, dtype and repeated fields, in byte order; duplicate names and metadata keys; then, in
 *   the order of the data, offsets, overflow, sub-byte, size; last the length of the file. If one of them fails and the
 *   file starts like another format, the error is ST_ERR_FORMAT instead. Every source gives the same verdict.
 *
 *   error.position is the offset of the first byte that cannot stand there. For a duplicate key or an unknown dtype it
 *   is the opening quote, for a missing field the closing brace, for wrong offsets or sizes the opening quote of the
 *   tensor's name, for a wrong file length the end of the file.
 *
 * 10 WHAT IS ACCEPTED
 *   What the reference implementation (Rust crate safetensors) accepts, with five exceptions. Refused here: a duplicate
 *   tensor name, a duplicate metadata key, an entry written as an array, a dtype written as an object. Numbers in
 *   ignored fields: 1e309 and above are refused, below 1e308 accepted, between them either may happen.
 *   ST_OPEN_TRAILING, ST_OPEN_UNKNOWN_DTYPES and ST_OPEN_PARTIAL accept more.
 *
 * 11 LIMITS
 *   - Raw bytes (data, st_read, st_save) are little-endian on every machine. st_read_as, st_load and st_convert use the
 *     byte order of the machine.
 *   - If another process truncates a mapped file, touching the lost bytes raises SIGBUS (an in-page error on Windows).
 *     Open with ST_OPEN_NO_MAP where that may happen; the error is ST_ERR_IO then.
 *   - A header has at most 100,000,000 bytes, as in the reference implementation (st_open_options.max_header).
 *   - st_scan: 1,024 tensors of up to 16 dimensions, 1,024 metadata entries.
 *   - Names may hold any character, also NUL and terminal escapes: use name_bytes, and escape names before printing.
 *   - What a crash leaves: see st_save, st_save_sharded, st_edit_metadata.
 *
 * 12 CONFIGURATION: define before including; none of them changes a struct. [default]
 *   ST_IMPLEMENTATION   compile the functions, in one file of the program      [declarations only]
 *   ST_STATIC           make all functions static: a private copy in each file [off]
 *   ST_API              prefix of each declaration                             [extern]
 *   ST_NO_FILES         no operating system: memory and callbacks only         [off]
 *   ST_NO_MMAP          read files with positional reads, never map them       [off]
 *   ST_NO_MALLOC        no default allocator                                   [off]
 *   ST_NO_WRITER        no saving                                              [off]
 *   ST_NO_CONVERT       no conversion of numbers                               [off]
 *   ST_NO_SIMD          no vector instructions                                 [off]
 *   ST_NO_ERROR_TEXT    st_error.subject and st_error.message stay empty       [off]
 *   ST_FREESTANDING     ST_NO_FILES, ST_NO_MALLOC, and no libc header          [off]
 *   ST_MALLOC, ST_FREE  (bytes), (pointer); define both or neither             [malloc, free]
 *   ST_MEMCPY, ST_MEMMOVE, ST_MEMSET, ST_MEMCMP   as in <string.h>; all or none [<string.h>; loops if freestanding]
 *
 * 13 MICROCONTROLLERS
 *   Define ST_FREESTANDING. Either walk a header in flash with st_scan_begin, which needs no memory, or open with
 *   st_open_memory or st_open_io and a buffer in st_open_options.work. If the buffer is too small, the status is
 *   ST_ERR_MEMORY and error.expected a size that suffices. The compiler may still call memcpy, memmove, memset and
 *   memcmp, and its runtime library for 64-bit arithmetic. No recursion, no writable data.
 *
 * 14 C++
 *   The declarations work from C++11 on. Compile the implementation in a .c file, or in a .cc file if old-style casts
 *   do not trouble you. Callbacks must not throw. examples/cpp.cc has a RAII wrapper.
 * ------------------------------------------------------------------------------------------------------------------ */
#ifndef ST_INCLUDED
#define ST_INCLUDED

/* ---- 2 version, configuration, compiler -----------------------------------------------------------------------------
 * Only what changes a declaration.
 * uses: -
 * ------------------------------------------------------------------------------------------------------------------ */
#define ST_VERSION_MAJOR 0
#define ST_VERSION_MINOR 3
#define ST_VERSION_PATCH 0
#define ST_VERSION 300 /* major * 10000 + minor * 100 + patch */
#define ST_VERSION_STRING "0.3.0"

/* The implementation needs declarations that strict C hides; these macros must come before the first system header. */
#if defined(ST_IMPLEMENTATION) && !defined(ST_NO_FILES) && !defined(ST_FREESTANDING) && !defined(_WIN32)
#if defined(__linux__)
#if !defined(_GNU_SOURCE)
#define _GNU_SOURCE 1
#endif
#elif defined(__APPLE__)
#if !defined(_DARWIN_C_SOURCE)
#define _DARWIN_C_SOURCE 1
#endif
#elif defined(__FreeBSD__) || defined(__DragonFly__)
#if !defined(__BSD_VISIBLE)
#define __BSD_VISIBLE 1
#endif
#elif defined(__NetBSD__)
#if !defined(_NETBSD_SOURCE)
#define _NETBSD_SOURCE 1
#endif
#elif defined(__OpenBSD__)
#if !defined(_BSD_SOURCE)
#define _BSD_SOURCE 1
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
 * What calls take and return. Zero is the default of every option. Structs grow at their end; enumerators keep their
 * numbers.
 * uses: 2
 * ------------------------------------------------------------------------------------------------------------------ */
/* sets all fields of a struct to their defaults: st_save_options options = ST_ZERO_INIT; */
#ifdef __cplusplus
/* clang-format off */
#define ST_ZERO_INIT {}
#else
#define ST_ZERO_INIT {0}
/* clang-format on */
#endif

typedef enum st_status {
    ST_OK = 0,
    ST_ERR_ARGUMENT = 1,     /* the caller's mistake: NULL, unknown flag, range past the end, buffer too small */
    ST_ERR_MEMORY = 2,       /* out of memory, or the work buffer is too small (expected: bytes that suffice) */
    ST_ERR_NOT_FOUND = 3,    /* no such file, directory, repository or tensor */
    ST_ERR_IO = 4,           /* a system call or a callback failed (sys: its code) */
    ST_ERR_FORMAT = 5,       /* not a safetensors file; the message names the format it looks like */
    ST_ERR_TRUNCATED = 6,    /* the file ends before its header or data does (expected, actual: bytes of the file) */
    ST_ERR_TRAILING = 7,     /* extra bytes after the last tensor (expected, actual: bytes of the file) */
    ST_ERR_HEADER_LIMIT = 8, /* header longer than the limit (expected: limit, actual: bytes of the header) */
    ST_ERR_UTF8 = 9,         /* text is not UTF-8 */
    ST_ERR_JSON = 10,        /* header or index is not JSON */
    ST_ERR_SCHEMA = 11,      /* JSON of the wrong shape: missing field, wrong type, not an integer */
    ST_ERR_DUPLICATE = 12,   /* duplicate key in an object */
    ST_ERR_DTYPE = 13,       /* unknown dtype */
    ST_ERR_OVERFLOW = 14,    /* the tensor's size in bits does not fit 64 bits */
    ST_ERR_SUBBYTE = 15,     /* a tensor of 4- or 6-bit elements does not fill whole bytes */
    ST_ERR_SIZE = 16,        /* size by shape and dtype differs from data_offsets (expected, actual: bytes) */
    ST_ERR_OFFSETS = 17,     /* gap, overlap, or end before begin (expected, actual: data offsets) */
    ST_ERR_SHARD = 18,       /* index and shards disagree: shard or tensor missing, tensor in two shards */
    ST_ERR_PATH = 19,        /* a path would leave the model's directory, or is not valid on every system */
    ST_ERR_TOO_LARGE = 20,   /* valid, but too large for this machine or this call */
    ST_ERR_UNSUPPORTED = 21, /* no such conversion, or not part of this build */
    ST_ERR_CANCELLED = 22,   /* a callback asked to stop */
    ST_ERR_STATE = 23,       /* calls in the wrong order, such as st_writer_write before st_writer_begin */
    ST_STATUS_32_BITS_ = 0x7fffffff
} st_status;

typedef struct st_error { /* on success only status is set */
    uint64_t position;    /* offset in the file at which the fault was found; UINT64_MAX: none */
    uint64_t expected, actual;
    st_status status;
    int sys;           /* errno, GetLastError() or a callback's code; 0: no call failed */
    size_t item;       /* st_load and st_plan_load: index of the item that failed; SIZE_MAX: none */
    char subject[64];  /* tensor or key concerned, "" if none; escaped, shortened in the middle, NUL-terminated */
    char message[240]; /* one sentence that names the file; escaped and shortened likewise, NUL-terminated */
} st_error;

typedef enum st_dtype {
    ST_DTYPE_UNKNOWN = 0, /* not known to this version; st_tensor.dtype_name has the spelling */
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

#define ST_AS_STORED ST_DTYPE_UNKNOWN /* as the target dtype of a read: do not convert */

typedef struct st_pair { /* one metadata entry: UTF-8, NUL-terminated; may contain NUL, see *_bytes */
    const char *key, *value;
    size_t key_bytes, value_bytes; /* without the final NUL */
} st_pair;

typedef struct st_tensor {
    const char *name; /* UTF-8, NUL-terminated; may contain NUL, see name_bytes */
    st_dtype dtype;
    uint32_t rank;          /* number of dimensions; 0: a scalar */
    const uint64_t *shape;  /* rank dimensions in elements, slowest first; 0 is legal */
    const void *data;       /* the bytes, little-endian, any alignment; NULL: neither mapped nor in memory */
    size_t name_bytes;      /* without the final NUL */
    uint64_t bytes;         /* size of the data */
    uint64_t elements;      /* product of the shape; 1 for a scalar */
    uint64_t offset;        /* of the first byte, from the start of its file */
    const char *dtype_name; /* as spelled in the file, such as "BF16" */
    uint32_t shard;         /* index of its file in st_model.shards */
} st_tensor;

typedef struct st_shard {    /* one file of a model */
    const char *path;        /* UTF-8, as opened; "" for memory and callbacks */
    uint64_t file_bytes;     /* length of the file; 0: the file is absent (ST_OPEN_PARTIAL) */
    uint64_t data_offset;    /* where the data of its first tensor starts */
    const st_pair *metadata; /* in file order; NULL: no metadata object; not NULL with count 0: an empty one */
    size_t metadata_count;
} st_shard;

typedef struct st_model {     /* read-only, valid until st_close */
    const st_tensor *tensors; /* in the order of their data: shard by shard, front to back */
    size_t count;
    const st_pair *metadata; /* of the only or first file; NULL: no metadata object */
    size_t metadata_count;
    const st_shard *shards; /* sorted by path */
    size_t shard_count;
    uint64_t bytes;       /* sum of all tensors' bytes */
    const st_pair *index; /* metadata of the index; each value is its JSON text */
    size_t index_count;
} st_model;

typedef struct st_alias { /* another name of a tensor */
    const char *name;     /* UTF-8, NUL-terminated */
    size_t name_bytes;    /* without the final NUL */
    const st_tensor *tensor;
} st_alias;

/* The next four say where memory and bytes come from. They are copied; what they point to must live until st_close. */

typedef struct st_buffer { /* memory that the caller lends */
    void *data;
    size_t bytes;
} st_buffer;

typedef struct st_allocator {
    void *user;
    void *(*alloc)(void *user, size_t bytes);              /* returns memory aligned for uint64_t, or NULL */
    void (*free)(void *user, void *pointer, size_t bytes); /* bytes as given to alloc; pointer is never NULL */
} st_allocator;

typedef struct st_io { /* one file behind a callback */
    void *user;
    /* copies exactly `bytes` bytes to dst; returns 0, or a code for st_error.sys; called by any thread */
    int (*read_at)(void *user, uint64_t offset, void *dst, size_t bytes);
    uint64_t bytes;     /* length of the file, below 2^63 */
    const void *mapped; /* the whole file in memory, or NULL; read_at may be NULL if it is set */
    uint64_t id[2];     /* identity of the file, to recognise it when it is reopened; 0, 0: unknown */
} st_io;

/* Codes that a callback may return to select a status. Any other code is reported as ST_ERR_IO with st_error.sys. */
#define ST_IO_NOT_FOUND (-1)  /* no such file, or a directory: ST_ERR_NOT_FOUND */
#define ST_IO_NOT_A_FILE (-2) /* a pipe or device, which has no positional reads: ST_ERR_IO */
#define ST_IO_ENDED (-3)      /* the file is shorter than its length: ST_ERR_IO */
#define ST_IO_NOT_UTF8 (-4)   /* the path is not UTF-8, where the system needs that: ST_ERR_UTF8 */
#define ST_IO_NO_MEMORY (-5)  /* out of memory while opening: ST_ERR_MEMORY */

typedef struct st_files { /* a file system of the caller's: an archive, game assets, a browser's folder */
    void *user;
    /* Fills *file, which is zeroed. Returns 0, ST_IO_NOT_FOUND (also for a directory), or a code of its own. Paths are
     * joined with "/". st_open may open a shard twice. Files past the 64th of a model are closed then, and reopened for
     * each st_read, from any thread, unless `mapped` is set. */
    int (*open)(void *user, const char *path, st_io *file);
    void (*close)(void *user, st_io *file); /* called once for each open that returned 0 */
    /* Calls each with every name in the directory (a name, not a path) until it returns non-zero, and returns that value;
     * else 0, or ST_IO_NOT_FOUND if there is no such directory. NULL: directories cannot be opened. */
    int (*list)(void *user, const char *directory, int (*each)(void *arg, const char *name), void *arg);
} st_files;

/* st_open_options.flags. Each family of flags has bits of its own, so that a flag of another family is refused. */
#define ST_OPEN_NO_MAP (1u << 0)         /* read with positional reads; every data pointer is NULL */
#define ST_OPEN_MUST_MAP (1u << 1)       /* fail if mapping fails; without the flag data is NULL then */
#define ST_OPEN_UNKNOWN_DTYPES (1u << 2) /* accept unknown dtypes; their tensors are opaque bytes */
#define ST_OPEN_PARTIAL (1u << 3)        /* accept missing shards; serve the tensors of the others */
#define ST_OPEN_TRAILING (1u << 4)       /* accept bytes after the last tensor */

typedef struct st_open_options {
    unsigned flags;                /* ST_OPEN_* */
    uint64_t max_header;           /* bytes of a header or an index; 0: 100,000,000; at most 4,294,967,295 */
    const st_allocator *allocator; /* NULL: ST_MALLOC and ST_FREE */
    st_buffer work;                /* if not NULL, all memory comes from here; models of one file only */
    const st_files *files;         /* NULL: those of the system */
} st_open_options;

typedef struct st_range { /* elements start, start + step, ... below stop, of one dimension */
    uint64_t start;
    uint64_t stop; /* UINT64_MAX: to the end. The range is empty if stop equals start, so also if both are 0 */
    uint64_t step; /* 0 is 1 */
} st_range;

typedef struct st_view {    /* a slice of a tensor, possibly transposed; all zero: the whole tensor */
    const st_range *ranges; /* one for each stored dimension, slowest first; dimensions without one are whole */
    uint32_t range_count;
    const uint32_t *axes; /* rank entries: output axis i is stored axis axes[i]; NULL: stored order */
} st_view;

typedef enum st_advice { ST_ADVISE_WILL_NEED = 0, ST_ADVISE_DONE = 1, ST_ADVICE_32_BITS_ = 0x7fffffff } st_advice;

typedef struct st_scan { /* a walk over a header in memory; must not be copied */
    st_tensor tensor;    /* the current tensor; its name is NOT NUL-terminated */
    int name_escaped;    /* the name contains backslash escapes, as in the file; compare it with st_scan_is */
    uint64_t shape[16];  /* what tensor.shape points to */
    struct {
        const unsigned char *file;
        size_t available, header_bytes;
        uint32_t place;
        int more;
        unsigned char begun;
        uint32_t places[64];
    } state; /* private */
} st_scan;

typedef int (*st_progress)(void *user, uint64_t done, uint64_t total); /* bytes; a non-zero result cancels */

typedef struct st_load_item { /* what st_load reads, and where it puts it */
    const st_tensor *tensor;
    st_dtype as; /* ST_AS_STORED: do not convert */
    void *dst;   /* any alignment; destinations must not overlap */
    size_t dst_bytes;
    const st_view *view; /* NULL: the whole tensor */
} st_load_item;

typedef struct st_load_options {
    unsigned part, part_count; /* load only part number `part`, from 0, of part_count; part_count 0 is 1 */
    st_progress progress;      /* called after each request; total: bytes that this part reads */
    void *user;                /* for progress */
    st_buffer work;            /* if not NULL, temporary memory comes from here, not from the model's allocator */
} st_load_options;

typedef struct st_extent { /* consecutive bytes of a file, and where they go */
    uint32_t shard;        /* the file is model->shards[shard] */
    uint64_t offset, bytes;
    size_t item; /* index of the item */
    uint64_t to; /* offset in the item's dst */
} st_extent;

typedef struct st_sink { /* an output other than a file */
    void *user;
    /* takes all n bytes; returns 0, or a code for st_error.sys */
    int (*write)(void *user, const void *bytes, size_t n);
} st_sink;

typedef struct st_contents { /* what is saved */
    const st_tensor *tensors;
    size_t count;
    const st_pair *metadata; /* *_bytes 0: NUL-terminated. NULL: no metadata; not NULL with count 0: an empty object */
    size_t metadata_count;
    const st_pair *index; /* st_save_sharded, st_save_index: more metadata of the index; each value is JSON text */
    size_t index_count;
    const st_model *from; /* tensors without data are read from this model, by their shard and offset */
} st_contents;

/* st_save_options.flags */
#define ST_SAVE_KEEP_ORDER (1u << 16) /* keep the caller's order of tensors; without the flag: by dtype, then name */
#define ST_SAVE_NO_SYNC (1u << 17)    /* rename into place without flushing to the device first */
#define ST_SAVE_IN_PLACE (1u << 18)   /* st_edit_metadata: overwrite the header if the new one fits */

#define ST_SHARD_NAME_BYTES 48 /* enough for every name that st_shard_name makes */

typedef struct st_save_options {
    unsigned flags;           /* ST_SAVE_* */
    size_t align;             /* data starts at a multiple of this power of two, 8 or more; 0 is 8 */
    size_t slack;             /* spare bytes in the header, so that later edits fit in place */
    uint64_t max_shard_bytes; /* st_save_sharded: tensor data in one file, at most; 0 is 5,000,000,000 */
    const st_sink *sink;      /* write here instead of to a file; the path must be NULL */
    /* Makes the bytes [offset, offset + n) of a tensor without data, in dst; returns 0, or a code for st_error.sys.
     * `tensor` is the caller's own struct, as passed in contents. */
    int (*fill)(void *user, const st_tensor *tensor, uint64_t offset, void *dst, size_t n);
    st_progress progress;          /* called after each block of data */
    void *user;                    /* for fill and progress */
    const st_allocator *allocator; /* NULL: ST_MALLOC and ST_FREE */
    st_buffer work;                /* if not NULL, all memory comes from here; st_save and st_writer_open only */
} st_save_options;

typedef struct st_writer st_writer;

/* ---- 4 calls --------------------------------------------------------------------------------------------------------
 * Errors lists what a call adds to ST_ERR_ARGUMENT for NULL and unknown flags. After an error outputs are untouched
 * unless the block says otherwise. Every call may run in several threads on one open model unless the block says
 * otherwise. uses: 3
 * ------------------------------------------------------------------------------------------------------------------ */

/* -- names and numbers -- */

/* Returns ST_VERSION of the compiled implementation, to compare with that of the header a program was built with. */
ST_API unsigned st_version(void);

/* Returns the name of a status, such as "ST_ERR_JSON"; "" for a number that is no status. Names never change. */
ST_API const char *st_status_name(st_status status);

/* Returns the name of a dtype, such as "BF16"; "" for ST_DTYPE_UNKNOWN and numbers that are no dtype. */
ST_API const char *st_dtype_name(st_dtype dtype);

/* Returns the size of one element in bits, 4 to 64; 0 for ST_DTYPE_UNKNOWN and numbers that are no dtype. */
ST_API unsigned st_dtype_bits(st_dtype dtype);

/* Looks up a dtype by its name as spelled in files; case matters.
 * Errors: ST_ERR_DTYPE  no such dtype; *dtype is ST_DTYPE_UNKNOWN */
ST_API st_status st_dtype_from_name(const char *name, st_dtype *dtype);

/* -- opening -- */

/* Opens and validates a model: a .safetensors file, an index (a path that ends in .json), or a directory.
 *   model    receives the model, to be closed with st_close; NULL after an error
 *   path     UTF-8, of any length; on POSIX, any bytes the system takes
 *   options  NULL: defaults
 *   error    may be NULL
 * In a directory it opens model.safetensors, else model.safetensors.index.json, else the only *.safetensors.index.json,
 * else the only *.safetensors. Hidden files do not count, nor does a single shard (-NNNNN-of-MMMMM with MMMMM over 1).
 * An index is not trusted: its paths must be relative, valid on every system, and end in .safetensors. Symbolic links
 * are followed; an index cannot create them. Tensors that the index does not name are served too, and its total_size is
 * ignored.
 * Errors: every status from ST_ERR_ARGUMENT to ST_ERR_OFFSETS, as explained under ERRORS in the manual, and
 *   ST_ERR_NOT_FOUND    no such path, or a directory without a model
 *   ST_ERR_SHARD        a shard is missing, or the same file as another; a shard does not contain a tensor that the
 *                       index assigns to it; a tensor is in two shards; a directory holds several candidates
 *   ST_ERR_PATH         a path in the index would leave the directory, or is not valid on every system
 *   ST_ERR_TOO_LARGE    over 65,536 shards, or a header or mapping that does not fit the address space
 *   ST_ERR_UNSUPPORTED  ST_OPEN_MUST_MAP where nothing can be mapped, or a build without files
 *   ST_ERR_ARGUMENT     also: a work buffer for a model of several files
 * Files: only regular files are opened, without blocking. The first 64 files of a model stay open until st_close. A
 * file that is reopened must be the same (device, number, size, time), else the call fails with ST_ERR_IO. Models of
 * more than 16,384 files are not mapped unless ST_OPEN_MUST_MAP is set.
 * Memory: one block stays allocated, of at most 96 bytes + name + 8 a dimension for each tensor and 40 bytes + text for
 * each metadata pair. Temporary memory, freed before the call returns: twice the header; for several files, twice the
 * largest header, 1 MiB, and 1.7 times the index.
 * Cost: two reads a file; headers past the first 512 KiB of a model of several files are read twice. O(n) in the bytes
 * of the headers; O(n log n) in tensors if a header lists them out of order or names were chosen to collide. No page of
 * a mapping is touched. */
ST_API st_status st_open(st_model **model, const char *path, const st_open_options *options, st_error *error);

/* Opens a repository in the local Hugging Face cache; never uses the network.
 *   repo      "owner/name" or "name"
 *   revision  a branch, a tag or a commit of 40 hexadecimal digits; NULL: "main"
 * The cache is $HF_HUB_CACHE, else $HUGGINGFACE_HUB_CACHE, else $HF_HOME/hub, else $XDG_CACHE_HOME/huggingface/hub,
 * else ~/.cache/huggingface/hub. Empty variables count as unset; a leading ~ in them is the home directory. The
 * snapshot that refs/<revision>, or the commit, names is opened as a directory.
 * Errors: as st_open, and
 *   ST_ERR_NOT_FOUND    not in the cache; the message names the missing file
 *   ST_ERR_PATH         repo or revision would leave the cache, or refs/<revision> holds no commit
 *   ST_ERR_UNSUPPORTED  built with ST_NO_FILES
 * Threads: no thread may change the environment meanwhile (getenv). */
ST_API st_status st_open_hub(st_model **model, const char *repo, const char *revision, const st_open_options *options,
                             st_error *error);

/* Opens a model from a file image in memory.
 *   bytes  the n bytes of the file. The caller keeps them and must not change them until st_close; data points into
 *          them. NULL only if n is 0.
 * Errors: as st_open of a file. The header is copied before it is parsed, so bytes that change meanwhile do no harm. */
ST_API st_status st_open_memory(st_model **model, const void *bytes, size_t n, const st_open_options *options,
                                st_error *error);

/* Opens a model from a file behind a callback.
 *   io  copied; read_at and what it uses must live until st_close, which calls nothing
 * Errors: as st_open of a file; ST_ERR_TOO_LARGE also if io->bytes is 2^63 or more. */
ST_API st_status st_open_io(st_model **model, const st_io *io, const st_open_options *options, st_error *error);

/* Closes a model and frees everything reached from it. NULL is allowed. No other thread may be using the model. */
ST_API void st_close(st_model *model);

/* -- finding -- */

/* Returns the tensor with exactly this name (UTF-8, NUL-terminated), or NULL.
 * Cost: constant time; O(log n) if names were chosen to collide. */
ST_API const st_tensor *st_find(const st_model *model, const char *name);

/* Returns the tensor with this name of name_bytes bytes, or NULL. The name may contain NUL and need not end in one. */
ST_API const st_tensor *st_find_n(const st_model *model, const char *name, size_t name_bytes);

/* Finds many tensors in one call and returns how many of the names exist.
 *   names    count names, each NUL-terminated
 *   tensors  NULL, or room for count pointers: the tensor of each name, NULL if there is none
 *   used     NULL, or model->count bytes, zeroed by the caller: the byte at the tensor's index in model->tensors is set
 *            to 1 for each tensor found. Several calls may share the array.
 * To load strictly: check that the result is count and that st_next_unused returns NULL.
 * Cost: as count calls of st_find, up to 2.5 times as fast in large models. */
ST_API size_t st_find_all(const st_model *model, const char *const *names, size_t count, const st_tensor **tensors,
                          unsigned char *used);

/* Returns the next tensor whose byte in `used` is 0 (see st_find_all), or NULL.
 *   after  the tensor returned before; NULL: start at the first */
ST_API const st_tensor *st_next_unused(const st_model *model, const unsigned char *used, const st_tensor *after);

/* Returns the metadata entry with this key (NUL-terminated) of the first file, or NULL. Values may contain NUL.
 * Cost: as st_find. */
ST_API const st_pair *st_find_metadata(const st_model *model, const char *key);

/* Lists other names of tensors that share their bytes (tied weights). st_find does not know these names.
 * Sources: param_sharing in the metadata of the index (lists of names, the first existing one stands for the others),
 * and names that the reference tools dropped on saving (metadata that maps a missing name to the name of a tensor).
 *   memory   receives the list and its texts; NULL: only ask how much is needed
 *   aliases  receives the list, which lies in memory; *count its length
 * Errors: ST_ERR_ARGUMENT  there are aliases, and memory is NULL or too small; error->expected bytes suffice
 *         ST_ERR_SCHEMA    param_sharing is not an array of arrays of names
 * Names in param_sharing that are escaped and longer than 256 bytes are ignored.
 * Cost: O(n) in the bytes of the metadata. */
ST_API st_status st_aliases(const st_model *model, const st_buffer *memory, const st_alias **aliases, size_t *count,
                            st_error *error);

/* -- reading -- */

/* Copies dst_bytes bytes of a tensor to dst, exactly as stored: little-endian, packed, C order.
 *   tensor  one of the model's tensors, or a copy of it
 *   offset  of the first byte to copy, from the start of the tensor
 * Errors: ST_ERR_ARGUMENT  past the end of the tensor, or not a tensor of this model
 *         ST_ERR_IO        reading failed; the contents of dst are undefined
 * Works for every source, also on 32-bit machines with files over 4 GiB. Allocates nothing. */
ST_API st_status st_read(const st_model *model, const st_tensor *tensor, uint64_t offset, void *dst, size_t dst_bytes,
                         st_error *error);

/* Computes the shape and the number of elements of a view.
 *   view      NULL: the whole tensor
 *   shape     NULL, or room for tensor->rank dimensions, in the order of the view's axes
 *   elements  NULL, or receives their product
 * Errors: ST_ERR_ARGUMENT  more ranges than dimensions; a range that starts past its stop, or stops past the end; an
 * axis
 *                          repeated or out of range
 *         ST_ERR_OVERFLOW  possible only for tensors that are in no file */
ST_API st_status st_view_shape(const st_tensor *tensor, const st_view *view, uint64_t *shape, uint64_t *elements,
                               st_error *error);

/* Reads a tensor, or a view of it, converted to a dtype; packed, in C order and the machine's byte order.
 *   tensor     one of the model's tensors, or a copy of it
 *   view       NULL: the whole tensor
 *   as         ST_AS_STORED, or the tensor's own dtype: do not convert
 *   dst        any alignment; must not be part of tensor->data
 *   dst_bytes  size of dst; what the view needs is written, not more
 * Errors: ST_ERR_ARGUMENT     invalid view (see st_view_shape), dst too small (expected: bytes needed), no such dtype,
 * not a
 *                             tensor of this model
 *         ST_ERR_UNSUPPORTED  no such conversion (see NUMBERS in the manual)
 *         ST_ERR_SUBBYTE      4- and 6-bit elements, not converted: the last axis must stay last, with step 1, and
 *                             start and end on whole bytes. The whole tensor can always be read.
 *         ST_ERR_DTYPE        a tensor of unknown dtype can only be read whole and as stored
 *         ST_ERR_TOO_LARGE    more than 24 axes remain after joining adjacent ones
 *         ST_ERR_MEMORY, ST_ERR_IO  the contents of dst are undefined
 * Memory: none if the data is in memory, mapped, or long runs read straight into dst. Else a buffer of up to 1 MiB from
 * the model's allocator (256 bytes of stack for a model in a work buffer); gaps of up to 64 KiB are read through.
 * Cost: one pass over the data. */
ST_API st_status st_read_as(const st_model *model, const st_tensor *tensor, const st_view *view, st_dtype as, void *dst,
                            size_t dst_bytes, st_error *error);

/* Loads many tensors or views in one call. The result is the same as one st_read_as per item; reads are sorted by file
 * offset and merged into large requests.
 *   items    count items; read only
 *   options  NULL: everything in one part
 * On several threads: each thread calls st_load with the same items and its own `part`. Parts are contiguous stretches
 * of the files of nearly equal size and share nothing. Only runs of more than 256 KiB are cut; an item that lies across
 * a cut is complete when all parts have returned ST_OK. examples/threads.h starts the threads.
 * Errors: every item is checked before the first byte is read, in every part; error->item is the first that fails.
 *   as st_read_as, and
 *   ST_ERR_MEMORY     no memory, or work too small (expected: sufficient bytes)
 *   ST_ERR_IO         a read failed; the contents of this part's dst are undefined
 *   ST_ERR_CANCELLED  progress returned non-zero; likewise
 * Files are read with positional reads of up to 8 MiB, straight into dst where nothing is converted, and asked for
 * ahead where they are not in the system's cache. What is converted comes from the mapping, if there is one.
 * Memory, freed on return: 40 bytes an item and a buffer of up to 1 MiB (8 MiB behind a callback), from options.work
 * (256 bytes suffice for the buffer) or the model's allocator. Cost: O(n log n) in items for each part. */
ST_API st_status st_load(const st_model *model, const st_load_item *items, size_t count, const st_load_options *options,
                         st_error *error);

/* Computes which bytes st_load would read, for programs that read them by other means: io_uring, a GPU, their own pool.
 * The bytes are as stored (little-endian).
 *   items      dst and dst_bytes are ignored
 *   max_bytes  largest extent wanted; 0: no limit
 *   extents    room for extent_capacity extents, sorted by file and offset; NULL if extent_capacity is 0. A view has
 *              one for each run of bytes, which may be each element
 *   extent_count  NULL, or receives the number of extents
 * Errors: ST_ERR_ARGUMENT     extent_capacity too small (expected: number of extents), or as st_read_as
 *         ST_ERR_UNSUPPORTED  an item is to be converted
 * Allocates nothing. Cost: O(n log n) in extents; O(n) in items if they do not fit. */
ST_API st_status st_plan_load(const st_model *model, const st_load_item *items, size_t count, uint64_t max_bytes,
                              st_extent *extents, size_t extent_capacity, size_t *extent_count, st_error *error);

/* Returns 1 if tensor->data can be used as an array of its element type (non-NULL and aligned), 0 otherwise. Elements
 * of less than a byte and of unknown dtypes count as bytes. */
ST_API int st_is_aligned(const st_tensor *tensor);

#if !defined(ST_NO_CONVERT)

/* Converts an array of numbers from one dtype to another; see NUMBERS in the manual.
 *   dst, src  packed, any alignment, in the machine's byte order (st_tensor.data is little-endian everywhere); they
 *             must not overlap; NULL only if elements is 0
 * Errors: ST_ERR_UNSUPPORTED  no such conversion
 *         ST_ERR_SUBBYTE      4- or 6-bit elements that do not fill whole bytes
 *         ST_ERR_ARGUMENT     no such dtype, or a size that does not fit the address space
 * Allocates nothing. The result does not depend on the rounding mode of the floating-point unit. */
ST_API st_status st_convert(st_dtype to, void *dst, st_dtype from, const void *src, size_t elements);

#endif /* ST_NO_CONVERT */

/* Tells the system how the bytes of a tensor will be used: ST_ADVISE_WILL_NEED starts reading ahead, ST_ADVISE_DONE
 * releases cached pages.
 *   tensor  NULL: all tensors
 * Returns ST_OK also where the system or the source takes no advice. Errors: ST_ERR_ARGUMENT  not a tensor of this
 * model */
ST_API st_status st_advise(const st_model *model, const st_tensor *tensor, st_advice advice, st_error *error);

/* -- scanning without memory -- */

/* Validates a header in memory and starts a walk over its tensors, without allocating. The verdict is that of st_open.
 *   file        the first `available` bytes of the file; borrowed, and unchanged until the walk is over
 *   file_bytes  length of the whole file; only the header has to be available
 *   options     max_header and ST_OPEN_TRAILING are used; NULL: defaults
 * Errors: ST_ERR_ARGUMENT   fewer bytes than the header needs; error->expected: how many to provide (at first 8)
 *         ST_ERR_TOO_LARGE  over 1,024 tensors, 1,024 metadata entries or 16 dimensions
 *         and those of opening a file
 * Memory: none but *scan; at most 768 bytes of stack on a Cortex-M4.
 * Cost: the header is read once, once more for each 64 names and each 64 metadata keys, and, if the data has another
 * order than the header, once more for each 64 tensors. */
ST_API st_status st_scan_begin(st_scan *scan, const void *file, size_t available, uint64_t file_bytes,
                               const st_open_options *options, st_error *error);

/* Moves to the next tensor in header order. Returns 1, or 0 after the last one or if st_scan_begin failed.
 * scan->tensor describes it; data is set if the bytes are available. */
ST_API int st_scan_next(st_scan *scan);

/* Returns 1 if the current tensor has this name (NUL-terminated), 0 otherwise. Escapes in the file are resolved. */
ST_API int st_scan_is(const st_scan *scan, const char *name);

/* -- saving -- */

/* Returns a tensor to save, made of its name, dtype, shape and data; all are borrowed, all other fields are zero.
 *   name   UTF-8, NUL-terminated
 *   shape  rank dimensions, slowest first; NULL if rank is 0
 *   data   packed, C order, little-endian; NULL if the bytes come later */
ST_API st_tensor st_tensor_of(const char *name, st_dtype dtype, uint32_t rank, const uint64_t *shape, const void *data);

#if !defined(ST_NO_WRITER)

/* Returns everything an open model contains, to save it; valid until st_close. */
ST_API st_contents st_contents_of(const st_model *model);

/* Saves tensors as a file, atomically: the old file stays until the new one is complete and flushed to the device.
 *   path      UTF-8; NULL if options->sink is set
 *   contents  of each tensor name, dtype, rank, shape and data are used (for ST_DTYPE_UNKNOWN dtype_name and bytes);
 *             name_bytes 0: NUL-terminated. data is little-endian on every machine. Bytes of tensors without data come
 *             from contents->from or options->fill, not from both. contents->index is not written: a file has no index.
 *   options   NULL: defaults. Not allowed: max_shard_bytes, ST_SAVE_IN_PLACE
 * The bytes written are those of the reference implementation: dtypes in its order, then names; metadata keys sorted.
 * Errors before anything is written:
 *   ST_ERR_ARGUMENT   the name "__metadata__"; an empty path; bad align; no source for a tensor's bytes; an option that
 *                     is not allowed (error->subject names it)
 *   ST_ERR_UTF8, ST_ERR_DUPLICATE, ST_ERR_DTYPE, ST_ERR_OVERFLOW, ST_ERR_SUBBYTE, ST_ERR_SIZE, ST_ERR_HEADER_LIMIT,
 *   ST_ERR_MEMORY
 * Errors while writing; the old file is unchanged and no temporary file remains:
 *   ST_ERR_NOT_FOUND  no such directory
 *   ST_ERR_IO         writing failed; if only the last step failed, flushing the directory, the new file is in place
 *   ST_ERR_CANCELLED  progress returned non-zero
 * Files: written as .st-*.tmp in the same directory, mode 0600; the file then gets the permissions of the regular file
 * that it replaces, else those of the umask, and is renamed. Setuid, setgid and sticky bits are never kept; write
 * permission for group and others only if the old file belongs to the user who saves. A symbolic link is replaced, not
 * followed. A crash leaves the old file or the new one, and perhaps the temporary file. On Windows a file that is open
 * or mapped cannot be replaced: ST_ERR_IO.
 * Memory: 80 bytes a tensor and a pair, and a buffer of up to 1 MiB. Threads: any, for different paths. Cost: O(n log
 * n) in tensors, whatever their names. */
ST_API st_status st_save(const char *path, const st_contents *contents, const st_save_options *options,
                         st_error *error);

/* Assigns each tensor to a shard: shards[i] is the shard of tensor i, from 0. Tensors keep their order; a shard ends
 * before its data would exceed options->max_shard_bytes, so a tensor over the limit has a shard of its own.
 *   shards       room for contents->count numbers, or NULL: only count
 *   shard_count  receives the number of shards; 1 if there are no tensors
 * Errors: ST_ERR_TOO_LARGE  over 65,536 shards
 *         ST_ERR_OVERFLOW   2^63 bytes or more
 *         and those of st_save for a single tensor; duplicate names are not detected
 * Allocates nothing. Cost: O(n). */
ST_API st_status st_plan_shards(const st_contents *contents, const st_save_options *options, uint32_t *shards,
                                uint32_t *shard_count, st_error *error);

/* Makes the file name of a shard: "model-00001-of-00003.safetensors", or "model.safetensors" if shard_count is 1.
 *   shard      from 0
 *   dst_bytes  size of dst; ST_SHARD_NAME_BYTES always suffices
 * Errors: ST_ERR_ARGUMENT  no such shard, or dst too small */
ST_API st_status st_shard_name(uint32_t shard, uint32_t shard_count, char *dst, size_t dst_bytes);

/* Saves tensors as several files and their index, model.safetensors.index.json, or as model.safetensors alone if one
 * shard suffices. Shards are those of st_plan_shards, with the names of st_shard_name.
 *   directory  must exist
 *   contents   metadata goes to every shard. index goes to the metadata of the index, beside total_size, which is
 *              computed; values are JSON text, such as "\"pt\"", and are written as given
 *   options    not allowed: ST_SAVE_IN_PLACE, sink, work. progress counts the bytes of all files
 * The index is what Python's json.dumps writes with indent=2 and sort_keys=True, and a newline.
 * Errors: before anything is written, those of st_save and st_plan_shards, and
 *   ST_ERR_DUPLICATE     a name in two shards, or a key of the index twice
 *   ST_ERR_JSON          a value of the index is not JSON
 *   ST_ERR_HEADER_LIMIT  an index over 100,000,000 bytes
 * While writing, those of st_save. The directory is as before unless the message says otherwise: a rename or a removal
 * failed. Headers within a few percent of the limit are refused only here.
 * Files: all are written under temporary names first. If a file has the name of a new shard, the older index is
 * removed. Then the shards are renamed, then the index. Then the older model.safetensors is removed (or the older
 * index, if the new model is one file), and last all other files called model-NNNNN-of-MMMMM.safetensors. A crash
 * leaves the older model, the new one, or a directory that does not open, never a mixture; and perhaps files .st-*.tmp.
 * On Windows, close an older model in the directory first.
 * Memory: as st_save for the largest shard, 44 bytes a tensor (84 while sorting) and 4 a shard. */
ST_API st_status st_save_sharded(const char *directory, const st_contents *contents, const st_save_options *options,
                                 st_error *error);

/* Completes a model whose shards were saved one by one, perhaps by several processes: checks the header of every shard
 * against the plan, writes the index atomically, and removes older files as st_save_sharded does. The order that is
 * safe is in the manual (5 MODELS IN SEVERAL FILES). If the plan has one shard, nothing is written.
 *   contents  tensors of the whole model, as for st_plan_shards, and index; the rest is not used
 *   options   allowed: max_shard_bytes (as for the plan), ST_SAVE_NO_SYNC, allocator
 * Errors: ST_ERR_SHARD  a shard is missing, damaged, or does not hold the planned tensors; error->subject names it
 *         and those of st_save_sharded. After an error no index is written. */
ST_API st_status st_save_index(const char *directory, const st_contents *contents, const st_save_options *options,
                               st_error *error);

/* Opens a writer: it takes declarations first, then bytes, so that tensors need not be in memory together. The order is
 * st_writer_open, st_writer_add ..., st_writer_begin, st_writer_write ..., st_writer_finish, st_writer_close.
 *   writer  receives the writer, to be closed with st_writer_close; NULL after an error
 *   path    as st_save; NULL if options->sink is set
 *   options NULL: defaults. Not allowed: those of st_save, fill, progress
 * path, work and what callbacks use must live until st_writer_close. Nothing touches the file system before
 * st_writer_begin. Calls in the wrong order fail with ST_ERR_STATE and change nothing. */
ST_API st_status st_writer_open(st_writer **writer, const char *path, const st_save_options *options, st_error *error);

/* Declares a tensor. It is copied; data is ignored. Errors as st_save; after one the writer is as before. A duplicate
 * name is detected by st_writer_begin. */
ST_API st_status st_writer_add(st_writer *writer, const st_tensor *tensor, st_error *error);

/* Declares a metadata entry, which is copied. pair NULL: write a metadata object even if it stays empty. */
ST_API st_status st_writer_add_metadata(st_writer *writer, const st_pair *pair, st_error *error);

/* Writes the header; nothing can be declared afterwards. An error before the first byte changes nothing.
 * Errors: as st_save, ST_ERR_DUPLICATE among them. */
ST_API st_status st_writer_begin(st_writer *writer, st_error *error);

/* Returns the first tensor that lacks bytes, with its size and offset in the file: st_writer_write fills it next. NULL:
 * none does, or st_writer_begin was not called. Tensors without bytes are skipped. */
ST_API const st_tensor *st_writer_next(const st_writer *writer);

/* Writes the next n bytes, front to back, across tensors.
 * Errors: ST_ERR_ARGUMENT  more bytes than are missing; nothing is written
 *         ST_ERR_IO        final: the writer can only be closed */
ST_API st_status st_writer_write(st_writer *writer, const void *bytes, size_t n, st_error *error);

/* Writes the next n bytes of one tensor, found by its name. Files only; must not be mixed with st_writer_write.
 * Errors: ST_ERR_NOT_FOUND    no such tensor
 *         ST_ERR_ARGUMENT     more bytes than the tensor lacks
 *         ST_ERR_UNSUPPORTED  the output is a sink
 * Threads: different tensors may be written by different threads. Cost: one system call; use large blocks. */
ST_API st_status st_writer_write_to(st_writer *writer, const st_tensor *tensor, const void *bytes, size_t n,
                                    st_error *error);

/* Completes the file and renames it into place, as st_save does.
 * Errors: ST_ERR_STATE  bytes are missing, or a write failed before */
ST_API st_status st_writer_finish(st_writer *writer, st_error *error);

/* Closes a writer and frees it. Without a successful st_writer_finish no file remains. NULL is allowed. */
ST_API void st_writer_close(st_writer *writer);

/* Replaces the metadata of a file. Tensors, their bytes and their order stay; fields unknown to the format are dropped.
 *   metadata  metadata_count pairs, as in st_contents; NULL: remove the metadata
 *   options   ST_SAVE_IN_PLACE: overwrite the header where the new one fits, which takes one write on a file of any
 *             size. A crash during it can leave a header that no reader accepts; the tensor data is never touched.
 *             Also allowed: align and slack (not in place), progress, allocator, ST_SAVE_NO_SYNC
 * Without the flag a new file is written, atomically as by st_save. The header keeps its length if the new one fits,
 * else slack and alignment of the data are kept.
 * Errors: as st_open and st_save, and in place
 *   ST_ERR_TOO_LARGE    the new header does not fit (expected, actual: bytes before the data)
 *   ST_ERR_UNSUPPORTED  a symbolic link, or a file with several names
 *   ST_ERR_IO           also: the file was replaced or changed while it was being edited */
ST_API st_status st_edit_metadata(const char *path, const st_pair *metadata, size_t metadata_count,
                                  const st_save_options *options, st_error *error);

#endif /* ST_NO_WRITER */

#ifdef __cplusplus
}
#endif
#endif /* ST_INCLUDED: the interface ends here; the implementation follows */

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

#if !defined(ST_FREESTANDING)
#include <string.h>
#endif
#if !defined(ST_MEMCPY) && !defined(ST_MEMMOVE) && !defined(ST_MEMSET) && !defined(ST_MEMCMP)
#if defined(ST_FREESTANDING)
#define ST_MEMCPY sti_memmove
#define ST_MEMMOVE sti_memmove
#define ST_MEMSET sti_memset
#define ST_MEMCMP sti_memcmp
#define STI_OWN_MEMORY_LOOPS
#else
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
#if !defined(ST_NO_MMAP)
#include <sys/mman.h>
#endif
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

#if SIZE_MAX < 0xFFFFFFFFu
#error "safetensors.h: size_t must have 32 bits or more"
#endif

#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
#define STI_BIG_ENDIAN 1
#elif defined(_WIN32) || (defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__)
#define STI_BIG_ENDIAN 0
#else
#error "safetensors.h: unknown byte order: define __BYTE_ORDER__ as __ORDER_LITTLE_ENDIAN__ or __ORDER_BIG_ENDIAN__"
#endif

/* Words of 8 bytes are quick to handle: the header's quick paths are there. They take what the plain code takes, come to
 * the same result, and leave the rest to it. */
#if !defined(ST_NO_SIMD) && (UINTPTR_MAX > UINT32_MAX || defined(__wasm__))
#define STI_WIDE 1
#else
#define STI_WIDE 0
#endif

/* Vector instructions of the baseline that the compiler was told: SSE2 or NEON. AVX2, with F16C, beside SSE2, chosen at
 * run time; not without a runtime that knows the processor, and not from gcc for 64-bit Windows, which does not align
 * the stack for it (gcc's bug 54412). */
#if defined(ST_NO_SIMD) || defined(ST_FREESTANDING) || defined(__TINYC__) /* its headers include those of libc */
#define STI_SSE2 0
#elif (defined(__GNUC__) && defined(__SSE2__)) || \
    (defined(_MSC_VER) && (defined(_M_X64) || (defined(_M_IX86_FP) && _M_IX86_FP >= 2)))
#define STI_SSE2 1
#else
#define STI_SSE2 0
#endif
#if !STI_SSE2 || defined(ST_NO_CONVERT)
#define STI_AVX2 0
#elif defined(__AVX2__) && defined(__F16C__)
#define STI_AVX2 1
#elif defined(_MSC_VER) && defined(__clang__) && \
    __clang_major__ < 19 /* its immintrin.h hides what /arch did not name */
#define STI_AVX2 0
#elif (defined(_MSC_VER) && defined(ST_NO_FILES)) || (defined(_WIN64) && defined(__GNUC__) && !defined(__clang__))
#define STI_AVX2 0
#else
#define STI_AVX2 1
#endif
#if !defined(ST_NO_SIMD) && defined(__GNUC__) && defined(__aarch64__) && defined(__ARM_NEON) && !STI_BIG_ENDIAN
#define STI_NEON 1
#include <arm_neon.h>
#else
#define STI_NEON 0
#endif
#if STI_AVX2
#include <immintrin.h>
#elif STI_SSE2
#include <emmintrin.h>
#endif
#if STI_WIDE && defined(_MSC_VER) && !defined(__clang__)
#include <intrin.h>
#endif

#if defined(__GNUC__) || defined(__clang__)
#define STI_NOINLINE __attribute__((noinline))   /* so that its frame is not part of deeper calls of its caller */
#define STI_COLD __attribute__((noinline, cold)) /* errors, and what runs seldom: compiled for size, out of the way */
#define STI_TARGET_AVX2 __attribute__((target("avx2,f16c")))
#elif defined(_MSC_VER)
#define STI_NOINLINE __declspec(noinline)
#define STI_COLD __declspec(noinline)
#define STI_TARGET_AVX2
#else
#define STI_NOINLINE
#define STI_COLD
#endif

/* a few instructions, however long they look; and arguments of kernels become constants. Not where nothing is
 * optimized, for there each copy would be covered by itself. */
#if !STI_WIDE && !STI_SSE2
#define STI_INLINE static
#elif defined(__OPTIMIZE__) && (defined(__GNUC__) || defined(__clang__))
#define STI_INLINE static inline __attribute__((always_inline))
#elif defined(_MSC_VER) && !defined(__clang__)
#define STI_INLINE static __forceinline
#else
#define STI_INLINE static
#endif
#if STI_WIDE && (defined(__GNUC__) || defined(__clang__))
#define STI_PREFETCH(address) __builtin_prefetch((const void *)(address))
#elif STI_SSE2
#define STI_PREFETCH(address) _mm_prefetch((const char *)(address), _MM_HINT_T0)
#else
#define STI_PREFETCH(address) ((void)(address))
#endif

#define STI_NO_OFFSET UINT64_MAX     /* a position where there is none */
#define STI_DEFAULT_LIMIT 100000000u /* the format's bound for a header; decimal, in bytes */
#define STI_OPEN_FLAGS (ST_OPEN_NO_MAP | ST_OPEN_MUST_MAP | ST_OPEN_UNKNOWN_DTYPES | ST_OPEN_PARTIAL | ST_OPEN_TRAILING)
#define STI_SAVE_FLAGS (ST_SAVE_KEEP_ORDER | ST_SAVE_NO_SYNC | ST_SAVE_IN_PLACE)
#define STI_IO_LINKED (-6)  /* as ST_IO_*: a symbolic link, or a file of several names */
#define STI_IO_EXISTS (-7)  /* the name is taken */
#define STI_IO_CHANGED (-8) /* not the file that was opened first */

#if defined(ST_NO_ERROR_TEXT)
#define STI_TEXT(text) "" /* not NULL: some functions tell by it that there is something to say */
#else
#define STI_TEXT(text) text
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
static int sti_multiply64(uint64_t a, uint64_t b, uint64_t *product) {
    /* two factors under 2^32 cannot overflow: this spares nearly every shape the division */
    if ((a | b) > UINT32_MAX && a != 0 && b > UINT64_MAX / a) return 0;
    *product = a * b;
    return 1;
}

/* a place in a file; it stays at UINT64_MAX once it would pass that, and no file has that length */
static uint64_t sti_add64_saturated(uint64_t a, uint64_t b) {
    return b > UINT64_MAX - a ? UINT64_MAX : a + b;
}

/* sizes in memory, which stay at SIZE_MAX once they would pass it: no allocator has that much */
static size_t sti_add_saturated(size_t a, size_t b) {
    return b > SIZE_MAX - a ? SIZE_MAX : a + b;
}

static size_t sti_multiply_saturated(size_t count, size_t size) {
    return size && count > SIZE_MAX / size ? SIZE_MAX : count * size;
}

/* the next multiple of 8 */
static size_t sti_round8(size_t n) {
    return sti_add_saturated(n, 7) & ~(size_t)7;
}

STI_INLINE uint32_t sti_load32(const void *p) {
    const unsigned char *b = (const unsigned char *)p;
    return (uint32_t)b[0] | (uint32_t)b[1] << 8 | (uint32_t)b[2] << 16 | (uint32_t)b[3] << 24;
}

STI_INLINE uint64_t sti_load64(const void *p) {
    return (uint64_t)sti_load32(p) | (uint64_t)sti_load32((const unsigned char *)p + 4) << 32;
}

#if STI_WIDE
/* the number of the lowest bit that is set; one is */
STI_INLINE unsigned sti_first_bit(uint64_t word) {
#if defined(__GNUC__) || defined(__clang__)
    return (unsigned)__builtin_ctzll(word);
#elif defined(_MSC_VER)
    unsigned long bit;
    (void)_BitScanForward64(&bit, word);
    return (unsigned)bit;
#else
    unsigned bit = 0;
    while ((word & 0xFF) == 0) word >>= 8, bit += 8;
    while ((word & 1) == 0) word >>= 1, bit++;
    return bit;
#endif
}
#endif

static sti_span sti_span_of(const char *text) {
    sti_span s;
    s.at = text;
#if defined(ST_FREESTANDING)
    for (s.n = 0; text[s.n];) s.n++;
#else
    s.n = strlen(text);
#endif
    return s;
}

/* what is left of a text without its first n bytes, which are there */
static sti_span sti_drop_first(sti_span s, size_t n) {
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
ST_API unsigned st_version(void) {
    return ST_VERSION;
}

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

#if !defined(ST_NO_ERROR_TEXT) || !defined(ST_NO_WRITER)
/* appends to the string in text[size], as much as fits */
static void sti_put(char *text, size_t size, sti_span more) {
    size_t used = sti_span_of(text).n, room = size - 1 - used; /* used < size: text is terminated inside */
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
static void sti_error_prepend(st_error *e, sti_span text) {
    size_t used = sti_span_of(e->message).n, last = sizeof e->message - 1;
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
    e->item = SIZE_MAX;
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
        sti_put(e->message, sizeof e->message, sti_span_of(" (system error "));
        sti_put_number(e->message, sizeof e->message, (uint64_t)code);
        sti_put(e->message, sizeof e->message, sti_span_of(")"));
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
typedef struct sti_chunk { /* memory until a call is over, or its writer is closed; its bytes lie behind */
    struct sti_chunk *before;
    size_t bytes;
} sti_chunk;

typedef struct sti_memory {
    st_allocator allocator; /* alloc NULL: there is none */
    sti_chunk *chunks;      /* the last that was taken */
    unsigned char *work;    /* at a multiple of 8; NULL: the allocator is used */
    size_t work_bytes;      /* what is left of it: chunks are taken from its end */
    size_t work_all;
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

static void sti_memory_choose(sti_memory *m, const st_allocator *allocator, void *work, size_t bytes) {
    ST_MEMSET(m, 0, sizeof *m);
#if defined(ST_NO_MALLOC)
    if (!work &&
        !allocator) { /* a work buffer of no bytes, at the address that wastes most: so it is said what suffices */
        work = (unsigned char *)m + 1;
        bytes = 0;
    }
#endif
    if (work) {
        uintptr_t past = (uintptr_t)work % 8;
        m->work_skipped = past ? 8 - past : 0;
        m->work = (unsigned char *)work + (m->work_skipped < bytes ? m->work_skipped : 0);
        m->work_all = m->work_bytes = bytes > m->work_skipped ? (bytes - m->work_skipped) & ~(size_t)7 : 0;
    } else if (allocator) {
        m->allocator = *allocator;
    } else {
#if !defined(ST_NO_MALLOC)
        m->allocator.alloc = sti_malloc;
        m->allocator.free = sti_free;
#endif
    }
}

static void *sti_allocate(const sti_memory *m, size_t bytes) {
    return m->allocator.alloc && bytes < SIZE_MAX ? (m->allocator.alloc)(m->allocator.user, bytes) : NULL;
}

/* gives back what was obtained; nothing to do for what lies in a work buffer */
static void sti_deallocate(const sti_memory *m, void *pointer, size_t bytes) {
    if (pointer && !m->work) (m->allocator.free)(m->allocator.user, pointer, bytes);
}

/* a chunk; NULL: there is none */
static void *sti_arena_take(sti_memory *m, size_t bytes) {
    sti_chunk *c;
    bytes = sti_round8(bytes);
    if (m->work) {
        if (bytes > m->work_bytes) return NULL;
        m->work_bytes -= bytes;
        return m->work + m->work_bytes;
    }
    bytes = sti_add_saturated(bytes, sizeof *c);
    c = (sti_chunk *)sti_allocate(m, bytes);
    if (!c) return NULL;
    c->before = m->chunks;
    c->bytes = bytes;
    m->chunks = c;
    return c + 1;
}

/* gives back all chunks that were taken after that one, the last when work_bytes were left */
static void sti_arena_release(sti_memory *m, sti_chunk *last, size_t work_bytes) {
    while (m->chunks != last) {
        sti_chunk *c = m->chunks;
        m->chunks = c->before;
        sti_deallocate(m, c, c->bytes);
    }
    m->work_bytes = work_bytes;
}

STI_COLD static st_status sti_fail_memory(const sti_memory *m, size_t bytes, st_error *error) {
    return sti_fail(error, ST_ERR_MEMORY, STI_NO_OFFSET, bytes, 0,
                    m->work ? STI_TEXT("work buffer too small: $e bytes suffice")
                            : STI_TEXT("out of memory: $e bytes needed"));
}

/* room for count items of that size; callers take in order of falling alignment, so that no gaps arise */
static void *sti_take(sti_block *b, size_t count, size_t size) {
    void *p = b->base ? b->base + b->used : NULL; /* measured before: used stays within the block */
    b->used = sti_add_saturated(b->used, sti_multiply_saturated(count, size));
    return p;
}

/* copies a text with a NUL to *at, which moves on */
static const char *sti_copy_text(char **at, sti_span text) {
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
#define STI_MAX_DEPTH 127u /* open JSON containers, counted from the root, as in the reference */

typedef struct sti_json {
    const unsigned char *at, *end; /* the next byte, and the end of the text */
    uint32_t stop;                 /* offset of `end` in the text; a header has fewer than 2^32 bytes */
    uint32_t base;                 /* bytes of the file before the text: of a header its length, 8 */
    st_error *error;
#if STI_WIDE
    unsigned high; /* not 0 once a string may hold a byte over 0x7F */
#endif
} sti_json;

typedef struct sti_string {
    sti_span inside;       /* the text between its quotes, escapes unresolved */
    uint32_t place;        /* of its opening quote */
    uint32_t bytes;        /* unescaped */
    unsigned char escaped; /* a backslash is in it */
    unsigned char nul;     /* so is a NUL, escaped */
} sti_string;

/* ---- UTF-8 */

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
        if (n - i >= 16 && ((sti_load64(s + i) | sti_load64(s + i + 8)) & 0x8080808080808080u) == 0) {
            i += 16;
        } else {
            length = sti_utf8(s + i, n - i);
            if (length == 0) break;
            i += length;
        }
    }
    return i;
}

/* ---- tokens */

static uint32_t sti_json_offset(const sti_json *j) {
    return j->stop - (uint32_t)(j->end - j->at);
}

/* a fault at a place of the text */
STI_COLD static st_status sti_json_fail_at(const sti_json *j, uint32_t place, st_status status, const char *sentence) {
    return sti_fail(j->error, status, sti_add64_saturated(j->base, place), 0, 0, sentence);
}

static st_status sti_json_fail(const sti_json *j, st_status status, const char *sentence) {
    return sti_json_fail_at(j, sti_json_offset(j), status, sentence);
}

static int sti_is_blank(int c) {
    return c == ' ' || c == '\n' || c == '\t' || c == '\r';
}

/* the next byte, or -1 at the end */
static int sti_json_byte(const sti_json *j) {
    return j->at == j->end ? -1 : *j->at;
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
    if (sti_json_peek(j) != ':') return sti_json_fail(j, ST_ERR_JSON, STI_TEXT("expected ':' after an object key"));
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
                             open == '{' ? STI_TEXT("expected ',' or '}' after an object member")
                                         : STI_TEXT("expected ',' or ']' after an array element"));
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
            return sti_json_fail(j, ST_ERR_JSON, STI_TEXT("expected four hexadecimal digits after \\u"));
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

#if !defined(ST_NO_ERROR_TEXT) || (!defined(ST_NO_WRITER) && !defined(ST_NO_FILES))
/* and the code point of n bytes of UTF-8 */
static uint32_t sti_utf8_code(const unsigned char *s, size_t n) {
    static const unsigned char first[4] = {0x7F, 0x1F, 0x0F, 0x07}; /* bits of the first byte that count */
    uint32_t code = s[0] & (uint32_t)first[n - 1];
    size_t i;
    for (i = 1; i < n; i++) code = code << 6 | (s[i] & 0x3Fu);
    return code;
}
#endif

/* an escape, j at its backslash: the *n bytes of UTF-8 that it stands for */
static st_status sti_json_escape(sti_json *j, unsigned char out[4], size_t *n) {
    static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
    uint32_t backslash = sti_json_offset(j), code, low;
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
    if (c != 'u') return sti_json_fail(j, ST_ERR_JSON, STI_TEXT("invalid escape sequence in a string"));
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
        return sti_json_fail_at(j, backslash, ST_ERR_JSON, STI_TEXT("unpaired surrogate in a \\u escape"));
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

#if STI_WIDE && STI_SSE2
typedef __m128i sti_sixteen;

/* which of 16 bytes end a run of plain ones, a bit for each; *seen gains the bits of all of them */
STI_INLINE uint64_t sti_plain16(const unsigned char *s, sti_sixteen *seen) {
    const __m128i v = _mm_loadu_si128((const __m128i *)(const void *)s);
    const __m128i quote = _mm_cmpeq_epi8(v, _mm_set1_epi8('"')), backslash = _mm_cmpeq_epi8(v, _mm_set1_epi8('\\'));
    const __m128i control = _mm_cmpeq_epi8(_mm_min_epu8(v, _mm_set1_epi8(0x1F)), v);
    *seen = _mm_or_si128(*seen, v);
    return (unsigned)_mm_movemask_epi8(_mm_or_si128(_mm_or_si128(quote, backslash), control));
}

#define STI_NONE_SEEN() _mm_setzero_si128()
#define STI_HIGH_SEEN(seen) ((unsigned)_mm_movemask_epi8(seen))
#define STI_BITS_OF_BYTE 1u
#elif STI_WIDE && STI_NEON
typedef uint8x16_t sti_sixteen;

STI_INLINE uint64_t sti_plain16(const unsigned char *s, sti_sixteen *seen) { /* four bits for each */
    const uint8x16_t v = vld1q_u8(s);
    const uint8x16_t quote = vceqq_u8(v, vdupq_n_u8('"')), backslash = vceqq_u8(v, vdupq_n_u8('\\'));
    const uint8x16_t all = vorrq_u8(vorrq_u8(quote, backslash), vcltq_u8(v, vdupq_n_u8(0x20)));
    *seen = vorrq_u8(*seen, v);
    return vget_lane_u64(vreinterpret_u64_u8(vshrn_n_u16(vreinterpretq_u16_u8(all), 4)), 0);
}

#define STI_NONE_SEEN() vdupq_n_u8(0)
#define STI_HIGH_SEEN(seen) (vmaxvq_u8(seen) & 0x80u)
#define STI_BITS_OF_BYTE 4u
#endif

/* where a run of plain bytes ends that begins at s */
STI_INLINE const unsigned char *sti_plain_end(sti_json *j, const unsigned char *s) {
#if STI_WIDE && (STI_SSE2 || STI_NEON)
    sti_sixteen seen = STI_NONE_SEEN();
    for (; j->end - s >= 16; s += 16) {
        const uint64_t ends = sti_plain16(s, &seen);
        if (ends) {
            j->high |= STI_HIGH_SEEN(seen);
            return s + sti_first_bit(ends) / STI_BITS_OF_BYTE;
        }
    }
    j->high |= STI_HIGH_SEEN(seen);
#endif
    while (j->end - s >= 8 && sti_plain8(s)) {
#if STI_WIDE
        j->high |= (sti_load64(s) & 0x8080808080808080u) != 0;
#endif
        s += 8;
    }
    for (; s < j->end && *s >= 0x20 && *s != '"' && *s != '\\'; s++) {
#if STI_WIDE
        j->high |= *s & 0x80u;
#endif
    }
    return s;
}

/* Whether a byte over 0x7F may have passed. None passes outside of strings, so a text that passed without is UTF-8. */
static int sti_json_high(const sti_json *j) {
#if STI_WIDE
    return j->high != 0;
#else
    (void)j;
    return 1;
#endif
}

/* passes a string, j at its opening quote; out NULL, or room for all its bytes */
static st_status sti_json_string(sti_json *j, sti_string *w, char *out) {
    w->place = sti_json_offset(j);
    w->bytes = 0;
    w->escaped = w->nul = 0;
    w->inside.at = (const char *)++j->at;
    for (;;) {
        const unsigned char *run = j->at;
        int c;
        j->at = sti_plain_end(j, run);
        if (out) ST_MEMCPY(out + w->bytes, run, (size_t)(j->at - run));
        w->bytes += (uint32_t)(j->at - run); /* no more than the text, which has fewer than 2^32 */
        c = sti_json_byte(j);
        if (c == '"') {
            w->inside.n = (size_t)((const char *)j->at++ - w->inside.at);
            return ST_OK;
        }
        if (c == '\\') {
            unsigned char bytes[4];
            size_t n;
            st_status s = sti_json_escape(j, bytes, &n);
            if (s != ST_OK) return s;
            w->escaped = 1;
            if (bytes[0] == 0) w->nul = 1;
            if (out) ST_MEMCPY(out + w->bytes, bytes, n);
            w->bytes += (uint32_t)n;
        } else if (c < 0x20) {
            return sti_json_fail(j, ST_ERR_JSON,
                                 c < 0 ? STI_TEXT("unterminated string")
                                       : STI_TEXT("unescaped control character in a string"));
        }
    }
}

/* the key of a member */
static st_status sti_json_key(sti_json *j, sti_string *w) {
    if (sti_json_peek(j) != '"')
        return sti_json_fail(j, ST_ERR_JSON, STI_TEXT("expected an object key in double quotes"));
    return sti_json_string(j, w, NULL);
}

/* ---- numbers */

/* an unsigned integer, the only numbers that mean something here */
static st_status sti_json_integer(sti_json *j, uint64_t *value) {
    int c = sti_json_peek(j), first = c;
    if (c < '0' || c > '9') return sti_json_wrong(j, STI_TEXT("expected an unsigned integer"));
    *value = 0;
    do {
        uint64_t digit = (uint64_t)(c - '0'), tens;
        if (!sti_multiply64(*value, 10, &tens) || digit > UINT64_MAX - tens) {
            return sti_json_fail(j, ST_ERR_SCHEMA, STI_TEXT("integer larger than 2^64 - 1"));
        }
        *value = sti_add64_saturated(tens, digit);
        j->at++;
        c = sti_json_byte(j);
    } while (c >= '0' && c <= '9' && first != '0');
    if (c >= '0' && c <= '9') return sti_json_fail(j, ST_ERR_JSON, STI_TEXT("number with a leading zero"));
    if (c == '.' || c == 'e' || c == 'E') {
        return sti_json_fail(j, ST_ERR_SCHEMA, STI_TEXT("expected an unsigned integer, found a fraction"));
    }
    return ST_OK;
}

#if STI_WIDE
/* how many of 8 bytes are digits before the first that is none, in bits; what was '0' to '9' has become 0 to 9 */
STI_INLINE unsigned sti_digit_bits(uint64_t digits) {
    uint64_t others = (((digits & 0x7F7F7F7F7F7F7F7Fu) + 0x7676767676767676u) | digits) & 0x8080808080808080u;
    return others ? sti_first_bit(others) & ~7u : 64;
}

/* the number that 8 digits make, the first in the lowest byte: pairs, then fours, then eights. No lane carries into the
 * next: they hold at most 99, 9,999 and 99,999,999. */
STI_INLINE uint64_t sti_eight_digits(uint64_t digits) {
    digits = (digits * 10 + (digits >> 8)) & 0x00FF00FF00FF00FFu;
    digits = (digits * 100 + (digits >> 16)) & 0x0000FFFF0000FFFFu;
    return (digits * 10000 + (digits >> 32)) & 0xFFFFFFFFu;
}

/* an integer of up to 15 digits, 16 bytes being there: how many digits it has; 0: more, or another way to write it, or
 * none stands there */
STI_INLINE size_t sti_short_integer(const unsigned char *s, uint64_t *value) {
    static const uint32_t powers[8] = {1, 10, 100, 1000, 10000, 100000, 1000000, 10000000};
    uint64_t digits = sti_load64(s) ^ 0x3030303030303030u;
    unsigned bits = sti_digit_bits(digits);
    if (bits == 0 || ((digits & 0xFF) == 0 && bits > 8)) return 0;
    if (bits < 64) {
        *value = sti_eight_digits(digits << (64 - bits));
        return bits / 8;
    }
    *value = sti_eight_digits(digits);
    digits = sti_load64(s + 8) ^ 0x3030303030303030u;
    bits = sti_digit_bits(digits);
    if (bits == 64) return 0;
    if (bits) *value = *value * powers[bits / 8] + sti_eight_digits(digits << (64 - bits)); /* under 10^15 */
    return 8 + bits / 8;
}
#endif

#if STI_WIDE
/* whether 1 to 15 letters are the same, 8 of them or so many being there */
STI_INLINE int sti_same_letters(const unsigned char *a, const unsigned char *b, size_t n) {
    const uint64_t differ = sti_load64(a) ^ sti_load64(b);
    if (n < 8) return differ << (64 - 8 * n) == 0;
    return differ == 0 && sti_load64(a + n - 8) == sti_load64(b + n - 8);
}
#endif

/* passes digits, at least one. *seen: one was not 0; *power: of ten, of the first that was not, from -1 on before the
 * point; a header has fewer than 2^32 digits */
static st_status sti_json_digits(sti_json *j, int fraction, int *seen, int64_t *power) {
    int c = sti_json_byte(j);
    if (c < '0' || c > '9') return sti_json_fail(j, ST_ERR_JSON, STI_TEXT("expected a digit"));
    for (; c >= '0' && c <= '9'; c = sti_json_byte(j)) {
        if (c != '0') *seen = 1;
        if (*seen != fraction) *power += fraction ? -1 : 1;
        j->at++;
    }
    return ST_OK;
}

/* passes any number whose magnitude is under 1e309: beyond, the reference's f64 overflows */
STI_NOINLINE static st_status sti_json_number(sti_json *j) {
    uint32_t begin = sti_json_offset(j);
    int64_t power = -1, exponent = 0;
    int seen = 0, negative, c;
    st_status s = ST_OK;
    if (*j->at == '-') j->at++;
    if (sti_json_byte(j) == '0') { /* alone: a digit after it is refused by whatever is due next */
        j->at++;
    } else {
        s = sti_json_digits(j, 0, &seen, &power);
    }
    if (s == ST_OK && sti_json_byte(j) == '.') {
        j->at++;
        s = sti_json_digits(j, 1, &seen, &power);
    }
    if (s != ST_OK) return s;
    if (sti_json_byte(j) == 'e' || sti_json_byte(j) == 'E') {
        j->at++;
        c = sti_json_byte(j);
        negative = c == '-';
        if (c == '-' || c == '+') j->at++;
        c = sti_json_byte(j);
        if (c < '0' || c > '9') return sti_json_fail(j, ST_ERR_JSON, STI_TEXT("expected a digit"));
        for (; c >= '0' && c <= '9'; j->at++, c = sti_json_byte(j)) {
            if (exponent < INT64_C(100000000000)) {
                exponent = exponent * 10 + (c - '0'); /* far past what digits can make up for */
            }
        }
        power += negative ? -exponent : exponent;
    }
    if (seen && power >= 309) {
        return sti_json_fail_at(j, begin, ST_ERR_JSON, STI_TEXT("number out of range"));
    }
    return ST_OK;
}

/* ---- values of any kind */

static st_status sti_json_literal(sti_json *j, const char *text) {
    for (; *text; text++, j->at++) {
        if (sti_json_byte(j) != *text) {
            return sti_json_fail(j, ST_ERR_JSON, STI_TEXT("invalid literal: expected true, false or null"));
        }
    }
    return ST_OK;
}

/* passes a value that is no container; w: for use here, as the frames of callers are the deepest there are */
STI_NOINLINE static st_status sti_json_scalar(sti_json *j, sti_string *w) {
    int c = sti_json_peek(j);
    switch (c) {
    case '"': return sti_json_string(j, w, NULL);
    case 't': return sti_json_literal(j, "true");
    case 'f': return sti_json_literal(j, "false");
    case 'n': return sti_json_literal(j, "null");
    default: break;
    }
    if (c == '-' || (c >= '0' && c <= '9')) return sti_json_number(j);
    return sti_json_fail(j, ST_ERR_JSON, STI_TEXT("expected a value"));
}

/* passes any value; depth containers are open around it */
STI_NOINLINE static st_status sti_json_skip(sti_json *j, unsigned depth) {
    unsigned char objects[(STI_MAX_DEPTH + 7) / 8]; /* bit i: the i-th container inside is an object, not an array */
    const unsigned limit = STI_MAX_DEPTH - depth;
    unsigned inside = 0;
    sti_string key;
    st_status s;
    int c, more;
    ST_MEMSET(objects, 0, sizeof objects);
    for (;;) {
        c = sti_json_peek(j);
        if (c == '{' || c == '[') {
            unsigned char *mask = &objects[inside / 8], bit = (unsigned char)(1u << inside % 8);
            if (inside == limit) {
                return sti_json_fail(j, ST_ERR_JSON, STI_TEXT("arrays and objects nested more than 127 levels deep"));
            }
            (void)sti_json_enter(j, c, &more, NULL); /* cannot fail: c stands there */
            *mask = (unsigned char)(c == '{' ? *mask | bit : *mask & ~bit);
            if (more) inside++;
        } else {
            if ((s = sti_json_scalar(j, &key)) != ST_OK) return s;
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
    sti_string w;
    int more;
    j.at = object;
    (void)sti_json_enter(&j, '{', &more, NULL); /* nothing can fail: all of it passed once */
    for (; member > 0; member--) {
        (void)sti_json_key(&j, &w), (void)sti_json_colon(&j), (void)sti_json_skip(&j, 2),
            (void)sti_json_next(&j, '{', &more);
    }
    (void)sti_json_peek(&j);
    return sti_json_offset(&j);
}

/* ---- texts as people may see them, and their place in a message */

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

static int sti_string_is(const sti_string *w, const char *text, size_t n) {
    sti_span word;
    word.at = text;
    word.n = n;
    return w->escaped ? sti_json_same(w->inside, 1, word, 0) : sti_same(w->inside, word);
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
    code = sti_utf8_code(raw, n);
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
    while (j.at < j.end) total = sti_add64_saturated(total, sti_show_next(&j, kind, next));
    j = sti_json_inside(name);
    while (j.at < j.end) {
        size_t n = sti_show_next(&j, kind, next);
        uint64_t past = sti_add64_saturated(seen, n);
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
STI_COLD static void sti_error_subject(st_error *e, sti_span name, enum sti_kind kind) {
#if defined(ST_NO_ERROR_TEXT)
    (void)e, (void)name, (void)kind;
#else
    if (e) {
        name = sti_show(e->subject, sizeof e->subject, name, kind);
        sti_error_prepend(e, sti_span_of("\": "));
        sti_error_prepend(e, name);
        sti_error_prepend(e, sti_span_of("\""));
    }
#endif
}

/* adds words and a text to the sentence */
STI_COLD static void sti_error_append(st_error *e, const char *words, sti_span text) {
#if defined(ST_NO_ERROR_TEXT)
    (void)e, (void)words, (void)text;
#else
    char shown[64];
    if (e) {
        sti_put(e->message, sizeof e->message, sti_span_of(words));
        sti_put(e->message, sizeof e->message, sti_show(shown, sizeof shown, text, STI_NAME));
    }
#endif
}

/* puts the name of the file before the sentence */
STI_COLD static st_status sti_error_file(st_error *error, sti_span said, st_status status) {
#if defined(ST_NO_ERROR_TEXT)
    (void)error, (void)said;
#else
    char shown[100];
    if (error) {
        said = sti_show(shown, sizeof shown, said, STI_PLAIN);
        sti_error_prepend(error, sti_span_of(": "));
        sti_error_prepend(error, said);
    }
#endif
    return status;
}

/* ---- 10 dtypes ------------------------------------------------------------------------------------------------------
 * Name and bits; the order of the numbers is the reference's, whose writer puts the highest first.
 * uses: 6
 * ------------------------------------------------------------------------------------------------------------------ */
typedef struct sti_dtype {
    unsigned char name, length, bits; /* name: where it begins in sti_dtype_names */
} sti_dtype;

static const char sti_dtype_names[] =
    "\0BOOL\0F4\0F6_E2M3\0F6_E3M2\0U8\0I8\0F8_E5M2\0F8_E4M3\0F8_E8M0\0F8_E4M3FNUZ\0F8_E5M2FNUZ\0"
    "I16\0U16\0F16\0BF16\0I32\0U32\0F32\0C64\0F64\0I64\0U64";

static const sti_dtype sti_dtypes[] = {
    {0, 0, 0},   {1, 4, 8},    {6, 2, 4},    {9, 7, 6},    {17, 7, 6},   {25, 2, 8},   {28, 2, 8},  {31, 7, 8},
    {39, 7, 8},  {47, 7, 8},   {55, 11, 8},  {67, 11, 8},  {79, 3, 16},  {83, 3, 16},  {87, 3, 16}, {91, 4, 16},
    {96, 3, 32}, {100, 3, 32}, {104, 3, 32}, {108, 3, 64}, {112, 3, 64}, {116, 3, 64}, {120, 3, 64}};

#define STI_DTYPES (sizeof sti_dtypes / sizeof *sti_dtypes)

static const sti_dtype *sti_dtype_of(st_dtype dtype) {
    return &sti_dtypes[(unsigned)dtype < STI_DTYPES ? (unsigned)dtype : 0];
}

static const char *sti_dtype_name(const sti_dtype *dtype) {
    return sti_dtype_names + dtype->name;
}

ST_API const char *st_dtype_name(st_dtype dtype) {
    return sti_dtype_name(sti_dtype_of(dtype));
}

ST_API unsigned st_dtype_bits(st_dtype dtype) {
    return sti_dtype_of(dtype)->bits;
}

/* ST_DTYPE_UNKNOWN where no dtype is called that */
static st_dtype sti_dtype_find(sti_span name) {
    unsigned i;
    for (i = 1; i < STI_DTYPES; i++) {
        if (sti_dtypes[i].length == name.n && ST_MEMCMP(sti_dtype_name(&sti_dtypes[i]), name.at, name.n) == 0) {
            return (st_dtype)i;
        }
    }
    return ST_DTYPE_UNKNOWN;
}

#if STI_WIDE
#define STI_LETTERS(a, b, c, d) ((uint32_t)(a) | (uint32_t)(b) << 8 | (uint32_t)(c) << 16 | (uint32_t)(d) << 24)

/* The dtype called as its first 8 letters say, if any: of those shorter, a quote and what usually follows it count as
 * letters. Whether the name ends there is to be seen. */
static st_dtype sti_dtype_guess(const unsigned char *s) {
    switch (sti_load32(s)) {
    case STI_LETTERS('B', 'O', 'O', 'L'): return ST_DTYPE_BOOL;
    case STI_LETTERS('F', '4', '"', ','): return ST_DTYPE_F4;
    case STI_LETTERS('U', '8', '"', ','): return ST_DTYPE_U8;
    case STI_LETTERS('I', '8', '"', ','): return ST_DTYPE_I8;
    case STI_LETTERS('I', '1', '6', '"'): return ST_DTYPE_I16;
    case STI_LETTERS('U', '1', '6', '"'): return ST_DTYPE_U16;
    case STI_LETTERS('F', '1', '6', '"'): return ST_DTYPE_F16;
    case STI_LETTERS('B', 'F', '1', '6'): return ST_DTYPE_BF16;
    case STI_LETTERS('I', '3', '2', '"'): return ST_DTYPE_I32;
    case STI_LETTERS('U', '3', '2', '"'): return ST_DTYPE_U32;
    case STI_LETTERS('F', '3', '2', '"'): return ST_DTYPE_F32;
    case STI_LETTERS('C', '6', '4', '"'): return ST_DTYPE_C64;
    case STI_LETTERS('F', '6', '4', '"'): return ST_DTYPE_F64;
    case STI_LETTERS('I', '6', '4', '"'): return ST_DTYPE_I64;
    case STI_LETTERS('U', '6', '4', '"'): return ST_DTYPE_U64;
    case STI_LETTERS('F', '8', '_', 'E'):
        switch (sti_load32(s + 4)) {
        case STI_LETTERS('4', 'M', '3', '"'): return ST_DTYPE_F8_E4M3;
        case STI_LETTERS('5', 'M', '2', '"'): return ST_DTYPE_F8_E5M2;
        case STI_LETTERS('8', 'M', '0', '"'): return ST_DTYPE_F8_E8M0;
        default: return ST_DTYPE_UNKNOWN;
        }
    default: return ST_DTYPE_UNKNOWN;
    }
}
#endif

ST_API st_status st_dtype_from_name(const char *name, st_dtype *dtype) {
    if (!name || !dtype) return ST_ERR_ARGUMENT;
    *dtype = sti_dtype_find(sti_span_of(name));
    return *dtype == ST_DTYPE_UNKNOWN ? ST_ERR_DTYPE : ST_OK;
}

ST_API st_tensor st_tensor_of(const char *name, st_dtype dtype, uint32_t rank, const uint64_t *shape,
                              const void *data) {
    st_tensor tensor;
    ST_MEMSET(&tensor, 0, sizeof tensor);
    tensor.name = name;
    tensor.dtype = dtype;
    tensor.rank = rank;
    tensor.shape = shape;
    tensor.data = data;
    return tensor;
}

/* ---- 11 header ------------------------------------------------------------------------------------------------------
 * Measure, parse, validate: from the header's bytes and the file's length alone. The walk without memory lives here
 * too.
 * uses: 5, 6, 7, 9, 10
 * ------------------------------------------------------------------------------------------------------------------ */
#define STI_SCAN_TENSORS 1024u
#define STI_SCAN_PAIRS 1024u
#define STI_SCAN_RANK 16u

typedef struct sti_entry {  /* one tensor of the header; places count from the header's first byte */
    uint64_t begin, end;    /* data_offsets */
    uint64_t elements;      /* product of the shape, unless it overflows */
    uint32_t key, dtype_at; /* where the opening quotes of name and dtype are */
    uint32_t shape_at;      /* where the shape's opening bracket is; `brief`: these two hold the shape itself */
    uint32_t name_bytes;    /* unescaped */
    uint32_t rank;
    unsigned char dtype;    /* an st_dtype */
    unsigned char overflow; /* the product of the shape does not fit 64 bits */
    unsigned char escaped;  /* the name holds an escape */
#if STI_WIDE
    unsigned char brief; /* a known dtype, and at most two dimensions of 32 bits */
#endif
} sti_entry;

/* The shortest member, `"":{"dtype":"","shape":[],"data_offsets":[0,0]}`, has this many bytes; entries never
 * outgrow the text. */
#define STI_SHORTEST_MEMBER 47u
typedef char sti_entry_must_not_outgrow_its_member[sizeof(sti_entry) <= STI_SHORTEST_MEMBER + 1 ? 1 : -1];

typedef struct sti_header {
    sti_json json;
    const unsigned char *text;
    unsigned flags;      /* ST_OPEN_* */
    unsigned char scan;  /* the limits of st_scan hold */
    unsigned char begun; /* the first member was asked for */
    unsigned char metadata_seen;
    uint32_t metadata; /* where its object is; 0: none, for there the root's brace or a blank stands */
    uint32_t tensors, dimensions, pairs; /* passed so far; no count exceeds the bytes that were passed */
    uint32_t text_bytes;                 /* of their names, spellings, keys and values, a NUL in place of the quotes */
    uint32_t offsets_at;                 /* where data_offsets of the last tensor are */
#if STI_WIDE
    uint64_t end;                /* where the data of the last usual member ends */
    uint32_t end_at, end_digits; /* the place where its header says so, and in how many digits; 0: there is none */
#endif
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
STI_COLD static st_status sti_header_name_subject(const sti_header *h, uint32_t key, st_status status) {
#if defined(ST_NO_ERROR_TEXT)
    (void)h, (void)key;
#else
    st_error *e = h->json.error;
    /* no sentence begins with a quote; where there is an error, all of the text is there */
    if (e && e->message[0] != '"') sti_error_subject(e, sti_header_string(h, key), STI_ESCAPED);
#endif
    return status;
}

/* ---- members in any layout */

/* passes a string and copies it to *text with a NUL, if that is there, which moves on */
static st_status sti_header_copy(sti_header *h, sti_string *w, char **text) {
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
    sti_string w;
    st_status s;
    int more;
    uint32_t place;
    h->pairs = 0;
    if ((s = sti_json_enter(j, '{', &more, STI_TEXT("__metadata__ is not an object of strings"))) != ST_OK) return s;
    while (more) {
        st_pair *p = pairs ? pairs + h->pairs : NULL;
        if (sti_json_peek(j) != '"')
            return sti_json_fail(j, ST_ERR_JSON, STI_TEXT("expected an object key in double quotes"));
        place = sti_json_offset(&h->json);
        if (p) p->key = text;
        if ((s = sti_header_copy(h, &w, &text)) != ST_OK) return s;
        if (p) p->key_bytes = w.bytes;
        if (h->scan && h->pairs == STI_SCAN_PAIRS) {
            return sti_json_fail_at(
                j, place, ST_ERR_TOO_LARGE,
                STI_TEXT("more than 1,024 metadata entries: st_scan cannot check them without memory"));
        }
        if ((s = sti_json_colon(j)) == ST_OK) {
            if (p) p->value = text;
            s = sti_json_peek(j) == '"' ? sti_header_copy(h, &w, &text)
                                        : sti_json_wrong(j, STI_TEXT("metadata value is not a string"));
            if (p) p->value_bytes = w.bytes;
        }
        if (s == ST_OK) {
            h->pairs++;
            s = sti_json_next(j, '{', &more);
        }
        if (s != ST_OK) return sti_header_name_subject(h, place, s);
    }
    return ST_OK;
}

/* passes the value of __metadata__ */
static st_status sti_metadata_member(sti_header *h, const sti_string *key) {
    sti_json *j = &h->json;
    st_status s;
    if (h->metadata_seen) return sti_json_fail_at(j, key->place, ST_ERR_DUPLICATE, STI_TEXT("duplicate key"));
    h->metadata_seen = 1;
    if ((s = sti_json_colon(j)) != ST_OK) return s;
    if (sti_json_peek(j) == 'n') return sti_json_literal(j, "null"); /* as if absent */
    h->metadata = sti_json_offset(&h->json);
    return sti_metadata_read(h, NULL, NULL);
}

STI_NOINLINE static st_status sti_dtype_read(sti_header *h, sti_entry *e) {
    sti_json *j = &h->json;
    char unescaped[16];
    sti_string w;
    sti_span name;
    st_dtype known;
    st_status s;
    if (sti_json_peek(j) != '"') return sti_json_wrong(j, STI_TEXT("dtype is not a string"));
    e->dtype_at = sti_json_offset(&h->json);
    if ((s = sti_json_string(j, &w, NULL)) != ST_OK) return s;
    if (w.escaped && w.bytes <= sizeof unescaped) { /* again, for its bytes; longer ones are unknown */
        j->at -= w.inside.n + 2;
        (void)sti_json_string(j, &w, unescaped);
        name.at = unescaped;
        name.n = w.bytes;
    } else {
        name = w.inside;
    }
    known = sti_dtype_find(name);
    e->dtype = (unsigned char)known;
    if (known != ST_DTYPE_UNKNOWN) return ST_OK;
    h->text_bytes += w.bytes + 1;
    if ((h->flags & ST_OPEN_UNKNOWN_DTYPES) && !w.nul) return ST_OK;
    (void)sti_json_fail_at(j, w.place, ST_ERR_DTYPE, STI_TEXT("unknown dtype \""));
#if !defined(ST_NO_ERROR_TEXT)
    if (j->error) { /* all of the text is there */
        char shown[48];
        sti_put(j->error->message, sizeof j->error->message,
                sti_show(shown, sizeof shown, sti_header_string(h, e->dtype_at), STI_ESCAPED));
        sti_put(j->error->message, sizeof j->error->message, sti_span_of("\""));
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
    e->shape_at = sti_json_offset(&h->json);
    e->rank = 0;
    e->elements = 1;
    e->overflow = 0;
    if ((s = sti_json_enter(j, '[', &more, STI_TEXT("shape is not an array of unsigned integers"))) != ST_OK) return s;
    while (more) {
        if (h->scan && e->rank == STI_SCAN_RANK) {
            (void)sti_json_peek(j);
            return sti_json_fail(j, ST_ERR_TOO_LARGE,
                                 STI_TEXT("more than 16 dimensions: st_scan cannot hold the shape"));
        }
        if ((s = sti_json_integer(j, &size)) != ST_OK) return s;
        if (out) out[e->rank] = size;
        e->rank++;
        if (!sti_multiply64(e->elements, size, &e->elements)) {
            e->overflow = 1; /* for good: a 0 that follows does not mend it */
        }
        if ((s = sti_json_next(j, '[', &more)) != ST_OK) return s;
    }
    return ST_OK;
}

static st_status sti_offsets_read(sti_json *j, sti_entry *e) {
    const char *sentence = STI_TEXT("data_offsets is not an array of two unsigned integers");
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
    return sti_json_fail_at(j, sti_json_offset(j) - 1, ST_ERR_SCHEMA,
                            sentence); /* the bracket too early, or the comma too many */
}

/* parses the value of a tensor's member; key: for the keys of its fields */
static st_status sti_entry_read(sti_header *h, sti_entry *e, sti_string *key) {
    enum { DTYPE = 1, SHAPE = 2, OFFSETS = 4 };
    sti_json *j = &h->json;
    unsigned seen = 0, field;
    st_status s;
    int more;
#if STI_WIDE
    e->brief = 0;
#endif
    if ((s = sti_json_colon(j)) != ST_OK) return s;
    if ((s = sti_json_enter(j, '{', &more, STI_TEXT("tensor entry is not a JSON object"))) != ST_OK) return s;
    while (more) {
        if ((s = sti_json_key(j, key)) != ST_OK) return s;
        field = sti_string_is(key, "dtype", 5)           ? DTYPE
                : sti_string_is(key, "shape", 5)         ? SHAPE
                : sti_string_is(key, "data_offsets", 12) ? OFFSETS
                                                         : 0;
        if (seen & field)
            return sti_json_fail_at(j, key->place, ST_ERR_DUPLICATE, STI_TEXT("duplicate field in a tensor entry"));
        seen |= field;
        if ((s = sti_json_colon(j)) != ST_OK) return s;
        if (field == OFFSETS) h->offsets_at = sti_json_offset(j);
        s = field == DTYPE     ? sti_dtype_read(h, e)
            : field == SHAPE   ? sti_shape_read(h, e, NULL)
            : field == OFFSETS ? sti_offsets_read(j, e)
                               : sti_json_skip(j, 2); /* ignored; the root and this entry are open */
        if (s != ST_OK || (s = sti_json_next(j, '{', &more)) != ST_OK) return s;
    }
    if (seen == (DTYPE | SHAPE | OFFSETS)) return ST_OK;
    return sti_json_fail_at(j, sti_json_offset(j) - 1, ST_ERR_SCHEMA,
                            !(seen & DTYPE)   ? STI_TEXT("field dtype is missing")
                            : !(seen & SHAPE) ? STI_TEXT("field shape is missing")
                                              : STI_TEXT("field data_offsets is missing"));
}

/* ---- members as all common writers lay them out */

#if STI_WIDE
#define STI_IS(at, word) (ST_MEMCMP(at, word, sizeof(word) - 1) == 0)

/* How far a usual member is read without a look at the end: the most is `],"data_offsets":[`, 15 digits, a comma, and
 * 16 bytes where the next 15 may stand with two brackets behind them. */
#define STI_CANONICAL_LOOKAHEAD 64

/* The shape, `at` behind its opening bracket: gives the place of the closing one, or NULL. */
static const unsigned char *sti_canonical_shape(const unsigned char *at, const unsigned char *end, sti_entry *e) {
    uint64_t elements = 1, size = 1, first = 1;
    uint32_t rank = 0;
    if (*at != ']') {
        for (;; at++) {
            size_t digits = end - at < STI_CANONICAL_LOOKAHEAD ? 0 : sti_short_integer(at, &size);
            if (digits == 0 || rank == STI_SCAN_RANK || !sti_multiply64(elements, size, &elements)) return NULL;
            if (rank == 0) first = size;
            rank++;
            at += digits;
            if (*at != ',') break;
        }
    }
    e->rank = rank;
    e->elements = elements;
    e->overflow = 0;
    e->brief = rank <= 2 && (first | size) <= UINT32_MAX;
    if (e->brief) {
        e->dtype_at = (uint32_t)first;
        e->shape_at = (uint32_t)size;
    }
    return at;
}

/* data_offsets, `at` behind the bracket: gives the place behind both closing ones, or NULL. The first number usually is
 * the one that ended the member before, to the letter. */
static const unsigned char *sti_canonical_offsets(sti_header *h, const unsigned char *at, sti_entry *e) {
    size_t digits = h->end_digits;
    const unsigned char *last = h->text + h->end_at, *bracket = at - 1;
    if (digits && sti_same_letters(at, last, digits)) {
        e->begin = h->end;
    } else {
        digits = sti_short_integer(at, &e->begin);
    }
    if (digits == 0 || at[digits] != ',') return NULL;
    at += digits + 1;
    digits = sti_short_integer(at, &e->end);
    if (digits == 0 || at[digits] != ']' || at[digits + 1] != '}') return NULL;
    h->offsets_at = (uint32_t)(bracket - h->text);
    h->end = e->end;
    h->end_at = (uint32_t)(at - h->text);
    h->end_digits = (uint32_t)digits;
    return at + digits + 2;
}

/* Passes a member from the comma or brace before it, if it is laid out as all common writers lay it out, to the letter:
 * `,"NAME":{"dtype":"F32","shape":[2,3],"data_offsets":[0,24]}`. 1: it is a tensor, and *e what the parser would have
 * found; 0: nothing but *e is changed, and the parser has its say. */
static int sti_parse_canonical_entry(sti_header *h, sti_entry *e) {
    const unsigned char *at = h->json.at, *const end = h->json.end, *name;
    st_dtype dtype;
    size_t n;
    if (end - at < STI_CANONICAL_LOOKAHEAD || at[0] != (h->begun ? ',' : '{') || at[1] != '"') return 0;
    name = at + 2;
    at = sti_plain_end(&h->json, name);
    n = (size_t)(at - name);
    if (end - at < STI_CANONICAL_LOOKAHEAD || !STI_IS(at, "\":{\"dtype\":\"")) return 0;
    if ((n == 12 && STI_IS(name, "__metadata__")) || (h->scan && h->tensors == STI_SCAN_TENSORS)) return 0;
    e->key = (uint32_t)(name - 1 - h->text);
    e->name_bytes = (uint32_t)n;
    e->escaped = 0;
    e->dtype_at = (uint32_t)(at + 11 - h->text);
    dtype = sti_dtype_guess(at + 12);
    e->dtype = (unsigned char)dtype;
    at += 12 + sti_dtypes[e->dtype].length;
    if (dtype == ST_DTYPE_UNKNOWN || !STI_IS(at, "\",\"shape\":[")) return 0;
    e->shape_at = (uint32_t)(at + 10 - h->text);
    at = sti_canonical_shape(at + 11, end, e);
    if (!at || end - at < STI_CANONICAL_LOOKAHEAD || !STI_IS(at, "],\"data_offsets\":[")) return 0;
    at = sti_canonical_offsets(h, at + 18, e);
    if (!at) return 0;
    h->json.at = at;
    h->begun = 1;
    h->tensors++;
    h->dimensions += e->rank;
    h->text_bytes += e->name_bytes + 1;
    return 1;
}
#endif

/* ---- the header as a whole */

/* passes members until one that is a tensor: *more 1 and its entry, or *more 0 at the end of a header that holds
 * nothing else */
static st_status sti_header_next(sti_header *h, sti_entry *e, int *more) {
    sti_json *j = &h->json;
    sti_string key;
    st_status s;
#if STI_WIDE
    if (sti_parse_canonical_entry(h, e)) {
        *more = 1;
        return ST_OK;
    }
#endif
    for (;;) {
        s = h->begun ? sti_json_next(j, '{', more)
                     : sti_json_enter(j, '{', more, STI_TEXT("the header is not a JSON object"));
        h->begun = 1;
        if (s != ST_OK) return s;
        if (!*more) {
            return sti_json_peek(j) < 0
                       ? ST_OK
                       : sti_json_fail(j, ST_ERR_JSON, STI_TEXT("unexpected text after the header's JSON object"));
        }
        if ((s = sti_json_key(j, &key)) != ST_OK) return s;
        e->key = key.place;
        e->name_bytes = key.bytes;
        e->escaped = key.escaped;
        if (sti_string_is(&key, "__metadata__", 12)) {
            if ((s = sti_metadata_member(h, &key)) != ST_OK) return sti_header_name_subject(h, e->key, s);
            continue;
        }
        if (h->scan && h->tensors == STI_SCAN_TENSORS) {
            s = sti_json_fail_at(j, key.place, ST_ERR_TOO_LARGE,
                                 STI_TEXT("more than 1,024 tensors: st_scan cannot check them without memory"));
        } else {
            s = sti_entry_read(h, e, &key);
        }
        if (s != ST_OK) return sti_header_name_subject(h, e->key, s);
        h->tensors++;
        h->dimensions += e->rank;
        h->text_bytes += e->name_bytes + 1;
        return ST_OK;
    }
}

/* the name of an entry that passed before, with a NUL, to *text, which moves on */
static void sti_copy_name(sti_header *h, const sti_entry *e, char **text) {
    sti_string w;
#if STI_WIDE
    if (!e->escaped) {
        ST_MEMCPY(*text, h->text + e->key + 1, e->name_bytes);
        *text += e->name_bytes;
        *(*text)++ = 0;
        return;
    }
#endif
    h->json.at = h->text + e->key;
    (void)sti_header_copy(h, &w, text);
}

/* the dimensions of an entry that passed before, to out */
static void sti_copy_shape(sti_header *h, const sti_entry *e, uint64_t *out) {
    sti_entry again;
#if STI_WIDE
    if (e->brief) {
        if (e->rank == 0) return;
        out[e->rank - 1] = e->shape_at;
        out[0] = e->dtype_at;
        return;
    }
#endif
    h->json.at = h->text + e->shape_at;
    (void)sti_shape_read(h, &again, out);
}

/* judges the length of the file, and its first 8 bytes if it has them: *bytes of header follow, all there */
static st_status sti_header_measure(const unsigned char *first, uint64_t file_bytes, uint64_t limit, uint64_t *bytes,
                                    st_error *error) {
    if (file_bytes > INT64_MAX) { /* so that no sum of two offsets wraps */
        return sti_fail(error, ST_ERR_TOO_LARGE, STI_NO_OFFSET, INT64_MAX, file_bytes,
                        STI_TEXT("header of $a bytes exceeds the limit of $e"));
    }
    if (file_bytes < 8) {
        return sti_fail(error, ST_ERR_TRUNCATED, file_bytes, 8, file_bytes,
                        file_bytes ? STI_TEXT("file is truncated: $d of its first $e bytes are missing")
                                   : STI_TEXT("file is empty"));
    }
    *bytes = sti_load64(first);
    if (*bytes > limit) {
        return sti_fail(error, ST_ERR_HEADER_LIMIT, 0, limit, *bytes,
                        *bytes > file_bytes ? STI_TEXT("not a safetensors file, or damaged: the header length is $a")
                                            : STI_TEXT("header of $a bytes exceeds the limit of $e"));
    }
    if (*bytes > file_bytes - 8) {
        return sti_fail(error, ST_ERR_TRUNCATED, file_bytes, sti_add64_saturated(8, *bytes), file_bytes,
                        STI_TEXT("file is truncated in its header: at least $d bytes are missing"));
    }
    return ST_OK;
}

/* the bound for a header: what st_open_options says, as far as places of 32 bits go */
static uint64_t sti_header_limit(const st_open_options *o) {
    uint64_t limit = o->max_header ? o->max_header : STI_DEFAULT_LIMIT;
    return limit < UINT32_MAX ? limit : UINT32_MAX;
}

static st_status sti_header_utf8(const unsigned char *text, size_t n, st_error *error) {
    size_t good = sti_utf8_span(text, n);
    return good == n ? ST_OK
                     : sti_fail(error, ST_ERR_UTF8, sti_add64_saturated(8, good), 0, 0,
                                STI_TEXT("invalid UTF-8 in the header"));
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
    uint64_t at = sti_add64_saturated(8, e->key), bits = 0;
    st_status s = ST_OK;
    if (e->begin != *end) {
        s = sti_fail(error, ST_ERR_OFFSETS, at, *end, e->begin,
                     STI_TEXT("data starts at offset $a, expected $e: tensors must not overlap or leave gaps"));
    } else if (e->end < e->begin) {
        s = sti_fail(error, ST_ERR_OFFSETS, at, e->begin, e->end,
                     STI_TEXT("data ends at offset $a, before its start at $e"));
    } else if (e->overflow || !sti_multiply64(e->elements, sti_dtypes[e->dtype].bits, &bits)) {
        s = sti_json_fail_at(&h->json, e->key, ST_ERR_OVERFLOW,
                             STI_TEXT("tensor too large: its size in bits does not fit 64 bits"));
    } else if (bits % 8) {
        s = sti_fail(error, ST_ERR_SUBBYTE, at, 0, bits, STI_TEXT("the tensor's $a bits do not fill whole bytes"));
    } else if (e->dtype != ST_DTYPE_UNKNOWN && bits / 8 != e->end - e->begin) {
        s = sti_fail(error, ST_ERR_SIZE, at, bits / 8, e->end - e->begin,
                     STI_TEXT("shape and dtype need $e bytes, data_offsets give $a"));
    }
    if (s != ST_OK) return sti_header_name_subject(h, e->key, s);
    *end = e->end;
    return ST_OK;
}

static st_status sti_length_check(const sti_header *h, uint64_t data_offset, uint64_t data_bytes, uint64_t file_bytes) {
    const uint64_t expected = sti_add64_saturated(data_offset, data_bytes);
    const int cut = file_bytes < expected;
    if (file_bytes == expected || (!cut && (h->flags & ST_OPEN_TRAILING))) return ST_OK;
    return sti_fail(h->json.error, cut ? ST_ERR_TRUNCATED : ST_ERR_TRAILING, file_bytes, expected, file_bytes,
                    cut ? STI_TEXT("file is truncated: $d of $e bytes are missing")
                        : STI_TEXT("$d extra bytes after the last tensor"));
}

static st_status sti_repeated(const sti_header *h, uint32_t key) {
    st_status s = sti_json_fail_at(&h->json, key, ST_ERR_DUPLICATE, STI_TEXT("duplicate tensor name"));
    return sti_header_name_subject(h, key, s);
}

/* ---- other formats */

/* What a file is that is none of ours, by its first bytes. */
enum sti_format {
    STI_FORMAT_SAFETENSORS,
    STI_FORMAT_LFS_POINTER,
    STI_FORMAT_HTML,
    STI_FORMAT_ZIP,
    STI_FORMAT_PICKLE,
    STI_FORMAT_GGUF,
    STI_FORMAT_NUMPY,
    STI_FORMAT_GZIP,
    STI_FORMAT_INDEX,
    STI_FORMAT_TEXT
};
#define STI_FORMAT_BYTES 256u /* how many of the first bytes are worth a look */

static int sti_starts_with(sti_span s, const char *magic, size_t n) {
    return s.n >= n && ST_MEMCMP(s.at, magic, n) == 0;
}

/* whether a word stands somewhere in a text */
static int sti_contains(sti_span s, sti_span word) {
    for (; s.n >= word.n; s = sti_drop_first(s, 1)) {
        if (ST_MEMCMP(s.at, word.at, word.n) == 0) return 1;
    }
    return 0;
}

STI_COLD static enum sti_format sti_format_of(sti_span s) {
    const unsigned char *b = (const unsigned char *)s.at;
    /* a length under 2^32 and a header behind it are ours, whatever the length looks like */
    if (s.n > 8 && sti_load32(b + 4) == 0 && (b[8] == '{' || sti_is_blank(b[8]))) return STI_FORMAT_SAFETENSORS;
    if (sti_starts_with(s, "version https://git-lfs", 23)) return STI_FORMAT_LFS_POINTER;
    if (sti_starts_with(s, "GGUF", 4)) return STI_FORMAT_GGUF;
    if (sti_starts_with(s, "\x93NUMPY", 6)) return STI_FORMAT_NUMPY;
    if (sti_starts_with(s, "PK\3\4", 4) || sti_starts_with(s, "PK\5\6", 4)) return STI_FORMAT_ZIP;
    if (sti_starts_with(s, "\x1f\x8b\x08", 3)) return STI_FORMAT_GZIP;
    if (s.n > 2 && b[0] == 0x80 && b[1] >= 2 && b[1] <= 5 && b[2] != 0) return STI_FORMAT_PICKLE;
    if (sti_starts_with(s, "\xEF\xBB\xBF", 3)) s = sti_drop_first(s, 3);
    while (s.n && sti_is_blank(*s.at)) s = sti_drop_first(s, 1);
    if (s.n > 1 && s.at[0] == '<' &&
        (s.at[1] == '!' || s.at[1] == '?' || (s.at[1] >= 'A' && s.at[1] <= 'Z') ||
         (s.at[1] >= 'a' && s.at[1] <= 'z'))) {
        return STI_FORMAT_HTML;
    }
    if (s.n > 1 && s.at[0] == '{' && (s.at[1] == '"' || s.at[1] == '}' || sti_is_blank(s.at[1]))) {
        return sti_contains(s, sti_span_of("\"weight_map\"")) || sti_contains(s, sti_span_of("\"total_size\""))
                   ? STI_FORMAT_INDEX
                   : STI_FORMAT_TEXT;
    }
    return STI_FORMAT_SAFETENSORS;
}

/* the last word on a header that failed: a file of another format is called by its name */
STI_COLD static st_status sti_format_prefer(sti_span first, st_status status, st_error *error) {
    const char *sentence = NULL;
    const enum sti_format format = sti_format_of(first);
    switch ((int)format) {
    case STI_FORMAT_SAFETENSORS: return status;
    case STI_FORMAT_LFS_POINTER:
        sentence = STI_TEXT("this is a Git LFS pointer, not the file itself: run git lfs pull");
        break;
    case STI_FORMAT_HTML:
        sentence = STI_TEXT("this is an HTML or XML page, not a safetensors file: check the download link");
        break;
    case STI_FORMAT_ZIP:
        sentence = STI_TEXT("this is a ZIP archive (perhaps a PyTorch checkpoint), not a safetensors file");
        break;
    case STI_FORMAT_PICKLE:
        sentence = STI_TEXT("this is a Python pickle (perhaps an old PyTorch checkpoint), not a safetensors file");
        break;
    case STI_FORMAT_GGUF: sentence = STI_TEXT("this is a GGUF file, not a safetensors file"); break;
    case STI_FORMAT_NUMPY: sentence = STI_TEXT("this is a NumPy array file, not a safetensors file"); break;
    case STI_FORMAT_GZIP: sentence = STI_TEXT("this is a gzip file: decompress it first"); break;
    case STI_FORMAT_INDEX:
        sentence = STI_TEXT(
            "this is a safetensors index (JSON), not a safetensors file: open it under a name that ends in .json");
        break;
    default: /* STI_FORMAT_TEXT */
        sentence = STI_TEXT("this is JSON text without the 8-byte header length of a safetensors file");
        break;
    }
    return sti_fail(error, ST_ERR_FORMAT, 0, 0, 0, sentence);
}

/* ---- the walk: the same parser, and searches in place of memory */

#define STI_SCAN_BATCH (sizeof((st_scan *)0)->state.places / sizeof(uint32_t))

/* places in a header, in the order that compare says; a search goes over the header once for each batch */
typedef struct sti_batch {
    const sti_header *h;
    int (*compare)(const sti_header *h, uint32_t a, uint32_t b); /* -1, 0, 1 */
    uint32_t *places;
    uint32_t count;
} sti_batch;

/* how many of a batch do not come after that place */
static uint32_t sti_batch_rank(const sti_batch *b, uint32_t place) {
    uint32_t low = 0, high = b->count;
    while (low < high) {
        const uint32_t middle = low + (high - low) / 2;
        if ((b->compare)(b->h, place, b->places[middle]) < 0) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    return low;
}

/* adds a place where it belongs; out of a full batch the last one falls */
static void sti_batch_add(sti_batch *b, uint32_t rank, uint32_t place) {
    if (rank == STI_SCAN_BATCH) return;
    if (b->count < STI_SCAN_BATCH) b->count++;
    ST_MEMMOVE(b->places + rank + 1, b->places + rank, (b->count - 1 - rank) * sizeof *b->places);
    b->places[rank] = place;
}

/* two strings by their bytes, unescaped; the places are those of their opening quotes */
static int sti_compare_strings(const sti_header *h, uint32_t a, uint32_t b) {
    sti_json x = h->json, y = h->json;
    x.at = h->text + a + 1;
    y.at = h->text + b + 1;
    for (;;) {
        unsigned char p[4], q[4];
        int c = *x.at - *y.at;
        if (c == 0 && *x.at != '"' && *x.at != '\\') {
            x.at++, y.at++;
            continue;
        }
        if (*x.at == '"' || *y.at == '"') return (*y.at == '"') - (*x.at == '"');
        if (*x.at == '\\' || *y.at == '\\') { /* the first bytes tell how long a character is: none begins another */
            const size_t n = sti_json_character(&x, 1, p), m = sti_json_character(&y, 1, q);
            c = ST_MEMCMP(p, q, n < m ? n : m);
        }
        if (c) return c < 0 ? -1 : 1;
    }
}

/* two tensors by their data_offsets, of which these are the places; no two are equal */
STI_NOINLINE static int sti_compare_offsets(const sti_header *h, uint32_t a, uint32_t b) {
    sti_json j = h->json;
    sti_entry x, y;
    j.at = h->text + a;
    (void)sti_offsets_read(&j, &x); /* cannot fail: they passed once */
    j.at = h->text + b;
    (void)sti_offsets_read(&j, &y);
    x.key = a;
    y.key = b;
    return a == b ? 0 : sti_entry_before(&x, &y) ? -1 : 1;
}

/* The place of the first key in an object that repeats another; 0: none does. The object passed once. Keys are compared
 * with batches of those before them. */
STI_NOINLINE static uint32_t sti_repeated_key(const sti_header *h, uint32_t object, uint32_t *places) {
    uint32_t found = UINT32_MAX, rank;
    sti_json next = h->json, j;
    sti_batch b;
    sti_string w;
    int more, left;
    b.h = h;
    b.compare = sti_compare_strings;
    b.places = places;
    next.at = h->text + object;
    (void)sti_json_enter(&next, '{', &more, NULL); /* nothing here can fail: all of it passed once */
    while (more) {
        j = next;
        b.count = 0;
        for (left = more, more = 0; left;) {
            (void)sti_json_key(&j, &w);
            if (w.place >= found) break;
            rank = sti_batch_rank(&b, w.place);
            if (rank && sti_compare_strings(h, b.places[rank - 1], w.place) == 0) {
                found = w.place;
                break;
            }
            (void)sti_json_colon(&j), (void)sti_json_skip(&j, 1), (void)sti_json_next(&j, '{', &left);
            if (b.count == STI_SCAN_BATCH) continue;
            sti_batch_add(&b, rank, w.place);
            if (b.count == STI_SCAN_BATCH) {
                next = j;
                more = left;
            }
        }
    }
    return found == UINT32_MAX ? 0 : found;
}

static st_status sti_scan_names(const sti_header *h, uint32_t *places) {
    sti_json root = h->json;
    uint32_t name, key = 0;
    root.at = h->text;
    (void)sti_json_peek(&root);
    name = sti_repeated_key(h, sti_json_offset(&root), places);
    if (h->metadata) key = sti_repeated_key(h, h->metadata, places);
    if (key && (!name || key < name)) name = key;
    return name ? sti_repeated(h, name) : ST_OK;
}

/* the fault of a tensor, by the place of its data_offsets; end: of the data before it */
STI_NOINLINE static st_status sti_scan_blame(const sti_header *h, uint32_t place, uint64_t end) {
    sti_header walk = sti_header_at(h->text, (size_t)(h->json.end - h->text), h->flags, NULL);
    sti_entry e;
    int more;
    do (void)sti_header_next(&walk, &e, &more); /* cannot fail: it passed once */
    while (walk.offsets_at != place);
    return sti_entry_check(h, &e, &end);
}

/* Checks the tensors by offset, where the header has them in another order, or one of them is wrong. bad: the first by
 * offset that is wrong in itself, if any. Returns the place of the data_offsets that are wrong, *end being where the data
 * before them ends; or 0. */
STI_NOINLINE static uint32_t sti_scan_offsets(const sti_header *h, uint32_t bad, uint32_t *places, uint64_t *end) {
    uint32_t done, last = 0, i;
    sti_batch b;
    sti_entry e;
    int more;
    b.h = h;
    b.compare = sti_compare_offsets;
    b.places = places;
    for (done = 0; done < h->tensors; done += b.count) { /* the next batch by offset */
        sti_header walk = sti_header_at(h->text, (size_t)(h->json.end - h->text), h->flags, NULL);
        b.count = 0;
        for ((void)sti_header_next(&walk, &e, &more); more; (void)sti_header_next(&walk, &e, &more)) {
            if (done && sti_compare_offsets(h, walk.offsets_at, last) <= 0) continue;
            sti_batch_add(&b, sti_batch_rank(&b, walk.offsets_at), walk.offsets_at);
        }
        for (i = 0; i < b.count; i++) {
            last = b.places[i];
            walk.json.at = h->text + last;
            (void)sti_offsets_read(&walk.json, &e);
            if (e.begin != *end || last == bad) return last;
            *end = e.end;
        }
    }
    return 0;
}

/* Passes all entries. *end: of all data, where the tensors are right and in the order of their data, else UINT64_MAX;
 * *bad: as for sti_scan_offsets. */
STI_NOINLINE static st_status sti_scan_entries(sti_header *h, uint32_t *bad, uint64_t *end) {
    st_error *const error = h->json.error;
    sti_entry e;
    int more;
    st_status s;
    *bad = 0;
    *end = 0;
    for (;;) {
        s = sti_header_next(h, &e, &more);
        if (s != ST_OK || !more) return s;
        h->json.error = NULL; /* it is not yet the time to say so */
        if (e.begin != *end) *end = UINT64_MAX;
        if (sti_entry_check(h, &e, &e.begin) != ST_OK && (!*bad || sti_compare_offsets(h, h->offsets_at, *bad) < 0)) {
            *bad = h->offsets_at;
        }
        if (*end != UINT64_MAX) *end = *bad ? UINT64_MAX : e.end;
        h->json.error = error;
    }
}

STI_NOINLINE static st_status sti_scan_prove(st_scan *scan, uint64_t file_bytes, unsigned flags, st_error *error) {
    const size_t bytes = scan->state.header_bytes;
    sti_header h = sti_header_at(scan->state.file + 8, bytes, flags, error);
    uint64_t end = 0;
    uint32_t bad = 0;
    st_status s = sti_header_utf8(h.text, bytes, error);
    h.scan = 1;
    if (s == ST_OK) s = sti_scan_entries(&h, &bad, &end);
    if (s == ST_OK) s = sti_scan_names(&h, scan->state.places);
    if (s == ST_OK && end == UINT64_MAX) {
        end = 0;
        bad = sti_scan_offsets(&h, bad, scan->state.places, &end);
        if (bad) s = sti_scan_blame(&h, bad, end);
    }
    if (s == ST_OK) s = sti_length_check(&h, sti_add64_saturated(8, bytes), end, file_bytes);
    return s;
}

ST_API st_status st_scan_begin(st_scan *scan, const void *file, size_t available, uint64_t file_bytes,
                               const st_open_options *options, st_error *error) {
    uint64_t limit = options ? sti_header_limit(options) : STI_DEFAULT_LIMIT, bytes = 0;
    unsigned flags = options ? options->flags : 0;
    sti_span head;
    st_status s;
    if (scan) ST_MEMSET(scan, 0, sizeof *scan);
    head.at = (const char *)file;
    head.n = available < STI_FORMAT_BYTES ? available : STI_FORMAT_BYTES;
    if (!scan || (!file && available) || (flags & ~(unsigned)STI_OPEN_FLAGS)) {
        s = sti_fail(error, ST_ERR_ARGUMENT, STI_NO_OFFSET, 0, 0,
                     STI_TEXT("st_scan_begin: scan and file must not be NULL, flags must be known"));
    } else if (available < 8 && file_bytes >= 8) {
        s = sti_fail(error, ST_ERR_ARGUMENT, STI_NO_OFFSET, 8, available,
                     STI_TEXT("$a bytes given, but the header length alone takes $e"));
    } else {
        s = sti_header_measure((const unsigned char *)file, file_bytes, limit, &bytes, error);
        if (s == ST_OK && available - 8 < bytes) {
            s = sti_fail(error, ST_ERR_ARGUMENT, STI_NO_OFFSET, sti_add64_saturated(8, bytes), available,
                         STI_TEXT("$a bytes given, but the header ends at byte $e"));
        } else if (s == ST_OK) {
            scan->state.file = (const unsigned char *)file;
            scan->state.available = available;
            scan->state.header_bytes = (size_t)bytes;
            s = sti_scan_prove(scan, file_bytes, flags & ST_OPEN_TRAILING, error);
        }
        if (s != ST_OK && s != ST_ERR_ARGUMENT && head.n) s = sti_format_prefer(head, s, error);
    }
    if (s != ST_OK) return sti_error_file(error, sti_span_of("(memory)"), s);
    scan->state.more = 1;
    return sti_succeed(error);
}

ST_API int st_scan_next(st_scan *scan) {
    sti_header h;
    sti_entry e;
    sti_span name;
    st_tensor *t;
    if (!scan || !scan->state.more) return 0;
    h = sti_header_at(scan->state.file + 8, scan->state.header_bytes, 0, NULL);
    h.json.at += scan->state.place;
    h.begun = scan->state.begun;
    (void)sti_header_next(&h, &e, &scan->state.more); /* cannot fail: proven by st_scan_begin */
    scan->state.place = sti_json_offset(&h.json);
    scan->state.begun = 1;
    if (!scan->state.more) return 0;
    name = sti_header_string(&h, e.key);
    t = &scan->tensor;
    t->name = name.at;
    t->name_bytes = name.n;
    scan->name_escaped = e.escaped;
    t->dtype = (st_dtype)e.dtype;
    t->dtype_name = sti_dtype_name(&sti_dtypes[e.dtype]);
    t->bytes = e.end - e.begin;
    t->elements = e.elements;
    t->offset = sti_add64_saturated(sti_add64_saturated(8, scan->state.header_bytes), e.begin);
    t->data = t->offset <= scan->state.available && t->bytes <= scan->state.available - t->offset
                  ? scan->state.file + t->offset
                  : NULL;
    sti_copy_shape(&h, &e, scan->shape); /* rank is at most 16: proven */
    t->shape = scan->shape;
    t->rank = e.rank;
    return 1;
}

ST_API int st_scan_is(const st_scan *scan, const char *name) {
    sti_span n;
    if (!scan || !scan->tensor.name || !name) return 0;
    n.at = scan->tensor.name;
    n.n = scan->tensor.name_bytes;
    return sti_json_same(n, scan->name_escaped, sti_span_of(name), 0);
}

/* ---- 12 lookup ------------------------------------------------------------------------------------------------------
 * Names to items: a hash table, or a sorted list where names were chosen to collide. Finding repeated names falls
 * out of it.
 * uses: 5, 6, 11
 * ------------------------------------------------------------------------------------------------------------------ */
#define STI_ABSENT UINT32_MAX

#if STI_WIDE && defined(__SIZEOF_INT128__)
__extension__ typedef unsigned __int128 sti_twice;
#endif

typedef struct sti_name_table {
    const st_tensor *tensors; /* the items are these, or else pairs */
    const st_pair *pairs;
    uint32_t *slots;      /* 0 or item + 1, with bits of the hash above; sorted: items in order of their names */
    uint64_t seed, twist; /* of the hash */
    uint32_t count;       /* items; a header of 2^32 bytes has fewer than 2^28 */
    uint32_t capacity;    /* slots */
    uint32_t probes;      /* how many slots an item is at most away from its place: O(log n) */
    uint32_t mask;        /* of the bits that hold item + 1 */
    int sorted;
} sti_name_table;

/* Hashes depend on where the table lies, so that names cannot be chosen to collide by one who does not know that. */
#if !defined(STI_SEED) /* tests bring another */
#define STI_SEED(table) ((uintptr_t)(table)->slots)
#endif

/* Words of a slot. A tensor's has a second one, the low half of its name's address, so that name and tensor are fetched
 * from memory at the same time, and not one after the other. It is a hint, and never trusted. */
#define STI_SLOT_WORDS(tensors) (STI_WIDE && (tensors) ? 2u : 1u)
#define STI_HINTED(table, slot) (((uintptr_t)(table)->slots & ~(uintptr_t)UINT32_MAX) | (slot)[1])

/* slots for that many items, of which a third stays free */
static uint32_t sti_table_slots(uint32_t count) {
    return count + count / 2; /* under 2^29: see count */
}

/* the name of an item; tensors: whether it is one, for those who know (here and below) */
STI_INLINE sti_span sti_table_name_of(const sti_name_table *x, int tensors, uint32_t item) {
    sti_span s;
    if (tensors) {
        s.at = x->tensors[item].name;
        s.n = x->tensors[item].name_bytes;
    } else {
        s.at = x->pairs[item].key;
        s.n = x->pairs[item].key_bytes;
    }
    return s;
}

STI_INLINE sti_span sti_table_name(const sti_name_table *x, uint32_t item) {
    return sti_table_name_of(x, x->tensors != NULL, item);
}

/* the halves of a product of 64 by 64 bits, one over the other; or, without such products, what a half of one and the
 * other half of the other make. Neither wraps. */
STI_INLINE uint64_t sti_hash_fold(uint64_t a, uint64_t b) {
#if STI_WIDE && defined(__SIZEOF_INT128__)
    const sti_twice product = (sti_twice)a * b;
    return (uint64_t)product ^ (uint64_t)(product >> 64);
#else
    const uint64_t p = (uint64_t)(uint32_t)a * (uint32_t)(b >> 32), q = (uint64_t)(uint32_t)(a >> 32) * (uint32_t)b;
    return p ^ (q << 32 | q >> 32);
#endif
}

/* chooses the hash */
static void sti_table_seed(sti_name_table *x, uint64_t secret) {
    x->seed = sti_hash_fold(secret ^ 0x9E3779B97F4A7C15u, 0xC2B2AE3D27D4EB4Fu);
    x->twist = x->seed << 32 | x->seed >> 32;
}

/* two words that end with the text's last byte; of one of up to 16 bytes they are all of it, for its length */
STI_INLINE void sti_last_words(sti_span s, uint64_t *a, uint64_t *b) {
    if (s.n >= 8) {
        *a = sti_load64(s.n > 16 ? s.at + s.n - 16 : s.at);
        *b = sti_load64(s.at + s.n - 8);
    } else if (s.n >= 4) {
        *a = sti_load32(s.at);
        *b = sti_load32(s.at + s.n - 4);
    } else {
        *a = *b = 0;
        while (s.n > 0) *a = *a << 8 | (unsigned char)s.at[--s.n];
    }
}

/* Goes by 16 bytes, the last of which may overlap those before: no product waits for another, and names of about one
 * length take one path. */
STI_INLINE uint64_t sti_hash(const sti_name_table *x, sti_span s) {
    uint64_t h = s.n, a, b;
    const char *at, *last = s.at + (s.n > 16 ? s.n - 16 : 0);
    sti_last_words(s, &a, &b);
    for (at = s.at; at < last; at += 16) {
        h = (h << 27 | h >> 37) ^ sti_hash_fold(sti_load64(at) ^ x->seed, sti_load64(at + 8) ^ x->twist);
    }
    h = (h << 27 | h >> 37) ^ sti_hash_fold(a ^ x->seed, b ^ x->twist);
    return sti_hash_fold(h, 0x9E3779B97F4A7C15u);
}

/* where an item belongs, by the upper half of its hash; the lower half is for its tag */
STI_INLINE uint32_t sti_table_place(const sti_name_table *x, uint64_t hash) {
    return (uint32_t)((hash >> 32) * x->capacity >> 32);
}

STI_INLINE uint32_t *sti_table_first(const sti_name_table *x, int tensors, uint64_t hash) {
    return x->slots + sti_table_place(x, hash) * STI_SLOT_WORDS(tensors);
}

/* -1, 0, 1: by bytes, a shorter one before what it begins */
static int sti_compare(sti_span a, sti_span b) {
    int c = ST_MEMCMP(a.at, b.at, a.n < b.n ? a.n : b.n);
    return c ? c : a.n < b.n ? -1 : a.n > b.n;
}

/* whether item a comes before b */
typedef int sti_before(const void *context, const void *a, const void *b);

typedef struct sti_order {
    unsigned char *items;
    size_t size; /* of an item, at most 64 */
    sti_before *before;
    const void *context;
} sti_order;

static void sti_swap(const sti_order *o, size_t a, size_t b) {
    unsigned char item[64], *x = o->items + a * o->size, *y = o->items + b * o->size;
    ST_MEMCPY(item, x, o->size);
    ST_MEMMOVE(x, y, o->size);
    ST_MEMCPY(y, item, o->size);
}

static int sti_goes_before(const sti_order *o, size_t a, size_t b) {
    return (o->before)(o->context, o->items + a * o->size, o->items + b * o->size);
}

static void sti_sift_down(const sti_order *o, size_t root, size_t n) {
    while (root < n / 2) { /* it has a child: 2 * root + 1 < n, so nothing below overflows */
        size_t child = 2 * root + 1;
        if (child + 1 < n && sti_goes_before(o, child, child + 1)) child++;
        if (!sti_goes_before(o, root, child)) return;
        sti_swap(o, root, child);
        root = child;
    }
}

/* Orders n items by heap sort, which needs no memory and is never quadratic. */
static void sti_sort(void *items, size_t n, size_t size, sti_before *before, const void *context) {
    sti_order o;
    size_t i;
    o.items = (unsigned char *)items;
    o.size = size;
    o.before = before;
    o.context = context;
    for (i = n / 2; i > 0; i--) sti_sift_down(&o, i - 1, n);
    for (i = n; i > 1; i--) {
        sti_swap(&o, 0, i - 1);
        sti_sift_down(&o, 0, i - 1);
    }
}

static int sti_name_before(const void *context, const void *a, const void *b) {
    const uint32_t i = *(const uint32_t *)a, k = *(const uint32_t *)b;
    const sti_name_table *x = (const sti_name_table *)context;
    const int c = sti_compare(sti_table_name(x, i), sti_table_name(x, k));
    return c ? c < 0 : i < k;
}

/* where an item's name stands in the header, as far as order goes */
static uint32_t sti_table_rank(const sti_entry *entries, uint32_t item) {
    return entries ? entries[item].key : item;
}

/* Of two items of one name, tells *repeated of the later one, if it comes before those told before; gives the
 * earlier one. */
static uint32_t sti_table_repeat(const sti_entry *entries, uint32_t a, uint32_t b, uint32_t *repeated) {
    uint32_t late = sti_table_rank(entries, a) < sti_table_rank(entries, b) ? b : a;
    if (*repeated == STI_ABSENT || sti_table_rank(entries, late) < sti_table_rank(entries, *repeated)) *repeated = late;
    return late == a ? b : a;
}

STI_COLD static void sti_table_sort(sti_name_table *x, const sti_entry *entries, uint32_t *repeated) {
    uint32_t i, kept;
    x->sorted = 1;
    for (i = 0; i < x->count; i++) x->slots[i] = i;
    sti_sort(x->slots, x->count, sizeof *x->slots, sti_name_before, x);
    for (i = 1, kept = x->slots[0]; i < x->count; i++) { /* there are names, for they collided */
        if (sti_same(sti_table_name(x, kept), sti_table_name(x, x->slots[i]))) {
            kept = sti_table_repeat(entries, kept, x->slots[i], repeated);
        } else {
            kept = x->slots[i];
        }
    }
}

/* whether two names are the same */
STI_INLINE int sti_same_name(sti_span s, sti_span t) {
    const char *last = s.at + (s.n > 16 ? s.n - 16 : 0);
    uint64_t a, b, c, d;
    if (!STI_WIDE) return sti_same(s, t);
    if (s.n != t.n) return 0;
    sti_last_words(s, &a, &b);
    sti_last_words(t, &c, &d);
    a = (a ^ c) | (b ^ d);
    for (; s.at < last; s.at += 16, t.at += 16) {
        a |= (sti_load64(s.at) ^ sti_load64(t.at)) | (sti_load64(s.at + 8) ^ sti_load64(t.at + 8));
    }
    return a == 0;
}

/* The slot that holds the item of a name, or else the free one where it belongs. NULL: neither is near, which names get
 * to that were chosen for it, and a table with no slot free. */
STI_INLINE uint32_t *sti_table_slot(const sti_name_table *x, int tensors, sti_span name, uint64_t hash) {
    const uint32_t words = STI_SLOT_WORDS(tensors);
    uint32_t *slot = sti_table_first(x, tensors, hash), *const end = x->slots + x->capacity * words, left;
    for (left = x->probes; left > 0; left--) {
        if (*slot == 0) return slot;
        if ((*slot ^ (uint32_t)hash) <= x->mask) {
            if (words == 2) STI_PREFETCH(STI_HINTED(x, slot));
            if (sti_same_name(sti_table_name_of(x, tensors, (*slot & x->mask) - 1), name)) return slot;
        }
        slot += words;
        if (slot == end) slot = x->slots;
    }
    return NULL;
}

#define STI_AHEAD (STI_WIDE ? 16u : 1u) /* items whose slots are on their way from memory at once */

/* the hashes of an item and of those that follow */
STI_INLINE void sti_table_ahead(const sti_name_table *x, uint32_t item, uint64_t hashes[STI_AHEAD]) {
    const uint32_t n = x->count - item < STI_AHEAD ? x->count - item : STI_AHEAD;
    uint32_t i;
    for (i = 0; i < n; i++) {
        hashes[i] = sti_hash(x, sti_table_name(x, item + i));
        STI_PREFETCH(sti_table_first(x, x->tensors != NULL, hashes[i]));
    }
}

/* Fills x->slots for the items that are set. entries: those of the tensors, in their order; NULL: pairs, in the
 * header's.
 * Gives the item that is the first in the header to repeat a name, or STI_ABSENT. */
STI_NOINLINE static uint32_t sti_table_build(sti_name_table *x, const sti_entry *entries) {
    uint32_t repeated = STI_ABSENT, item;
    uint64_t hashes[STI_AHEAD];
    x->sorted = 0; /* it may have been filled before */
    sti_table_seed(x, STI_SEED(x));
    x->capacity = sti_table_slots(x->count);
    x->mask = 1;
    for (x->probes = 32; x->mask < x->count; x->probes += 32) x->mask = 2 * x->mask + 1; /* under 2^28: see count */
    if (x->probes > x->capacity) x->probes = x->capacity;
    /* they were taken with this size */
    ST_MEMSET(x->slots, 0, x->capacity * STI_SLOT_WORDS(x->tensors) * sizeof *x->slots);
    for (item = 0; item < x->count; item++) {
        uint32_t held = 0, *slot;
        uint64_t hash;
        if (item % STI_AHEAD == 0) sti_table_ahead(x, item, hashes);
        hash = hashes[item % STI_AHEAD];
        slot = sti_table_first(x, x->tensors != NULL, hash);
        if (*slot) {
            slot = sti_table_slot(x, x->tensors != NULL, sti_table_name(x, item), hash);
            if (!slot) {
                repeated = STI_ABSENT;
                sti_table_sort(x, entries, &repeated);
                return repeated;
            }
            held = *slot & x->mask;
        }
        held = held ? sti_table_repeat(entries, held - 1, item, &repeated) : item;
        *slot = ((uint32_t)hash & ~x->mask) | (held + 1);
        if (STI_SLOT_WORDS(x->tensors) == 2) slot[1] = (uint32_t)((uintptr_t)x->tensors[item].name & UINT32_MAX);
    }
    return repeated;
}

/* the same in a table that is sorted */
STI_COLD static uint32_t sti_table_search(const sti_name_table *x, sti_span name) {
    uint32_t low = 0, high = x->count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        int c = sti_compare(name, sti_table_name(x, x->slots[middle]));
        if (c == 0) return x->slots[middle];
        if (c < 0) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    return STI_ABSENT;
}

/* the item of a name and its hash, or STI_ABSENT */
STI_INLINE uint32_t sti_table_find_hashed(const sti_name_table *x, int tensors, sti_span name, uint64_t hash) {
    const uint32_t *slot;
    if (x->sorted) return sti_table_search(x, name);
    slot = sti_table_slot(x, tensors, name, hash);
    return slot && *slot ? (*slot & x->mask) - 1 : STI_ABSENT;
}

STI_NOINLINE static uint32_t sti_table_find(const sti_name_table *x, sti_span name) {
    return sti_table_find_hashed(x, x->tensors != NULL, name, sti_hash(x, name));
}

/* Finds up to STI_AHEAD tensors: each step for all names before the next step for any, so that what one waits for from
 * memory comes together with what the others wait for. The first slot is the right one as a rule. */
static void sti_table_find_many(const sti_name_table *x, const sti_span *names, uint32_t count, uint32_t *items) {
    uint64_t hashes[STI_AHEAD];
    uint32_t i;
    for (i = 0; i < count; i++) {
        hashes[i] = sti_hash(x, names[i]);
        STI_PREFETCH(sti_table_first(x, 1, hashes[i]));
    }
    for (i = 0; i < count && STI_SLOT_WORDS(1) == 2 && !x->sorted && x->count; i++) {
        const uint32_t *slot = sti_table_first(x, 1, hashes[i]), item = (*slot & x->mask) - 1;
        if (*slot == 0) continue;
        STI_PREFETCH(&x->tensors[item].name);
        STI_PREFETCH(&x->tensors[item].name_bytes);
        STI_PREFETCH(STI_HINTED(x, slot));
        STI_PREFETCH(STI_HINTED(x, slot) + names[i].n);
    }
    for (i = 0; i < count; i++) items[i] = sti_table_find_hashed(x, 1, names[i], hashes[i]);
}

static int sti_offset_before(const void *context, const void *a, const void *b) {
    (void)context;
    return sti_entry_before((const sti_entry *)a, (const sti_entry *)b);
}

/* ---- 13 system ------------------------------------------------------------------------------------------------------
 * The default st_files: POSIX, Windows and none, parallel islands with the same function names; nothing outside
 * names an OS.
 * uses: 5, 6
 * ------------------------------------------------------------------------------------------------------------------ */
#define STI_READ_AT_ONCE 0x40000000u /* some systems refuse requests of 2 GiB and more */

/* whether two openings are of one file that has not changed, as far as is known */
static int sti_is_same_file(const st_io *a, const st_io *b) {
    if (a->bytes != b->bytes) return 0;
    if ((a->id[0] | a->id[1]) == 0 || (b->id[0] | b->id[1]) == 0) return 1;
    return a->id[0] == b->id[0] && a->id[1] == b->id[1];
}

#if !defined(ST_NO_FILES) && !defined(ST_NO_WRITER)
typedef struct sti_target { /* a file that is being written */
    void *handle;
    unsigned mode; /* the permissions that it is to have */
    int open;
    int named; /* it has its name, and no temporary one any more */
} sti_target;
#endif

#if STI_OS_POSIX

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
    const size_t n = value ? sti_span_of(value).n : 0;
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
    while (n) {
        ssize_t got =
            pread(fd, at, n < STI_READ_AT_ONCE ? n : STI_READ_AT_ONCE, (off_t)offset); /* inside the file: fits off_t */
        if (got == 0) return ST_IO_ENDED;
        if (got < 0 && errno != EINTR) return errno;
        if (got < 0) continue;
        at += got;
        n -= (size_t)got;
        offset = sti_add64_saturated(offset, (uint64_t)got);
    }
    return 0;
}

/* length and identity of a file */
static void sti_system_identify(const struct stat *about, st_io *file) {
    file->bytes = (uint64_t)about->st_size;
    file->id[0] = (uint64_t)about->st_ino ^ (uint64_t)about->st_dev << 40;
#if defined(__APPLE__)
    file->id[1] = (uint64_t)about->st_mtimespec.tv_sec << 30 ^ (uint64_t)about->st_mtimespec.tv_nsec;
#else
    file->id[1] = (uint64_t)about->st_mtim.tv_sec << 30 ^ (uint64_t)about->st_mtim.tv_nsec;
#endif
}

static int sti_system_open(void *user, const char *path, st_io *file) {
    struct stat about;
    int fd, code = 0;
    (void)user;
    do { /* without O_NONBLOCK a FIFO would wait for its writer */
        fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
    } while (fd < 0 && errno == EINTR);
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
    sti_system_identify(&about, file);
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
    int stop = 0, code = 0;
    (void)user;
    if (!d) return sti_system_code(errno);
    while (!stop && !code) {
        errno = 0; /* so that the end is told from a failure */
        entry = readdir(d);
        if (entry) {
            const char *n = entry->d_name;
            if (n[0] != '.' || (n[1] && (n[1] != '.' || n[2]))) stop = each(arg, n);
        } else {
            code = errno;
            if (!code) break;
        }
    }
    (void)closedir(d);
    return code ? code : stop;
}

/* whether a mapping's page at `offset` would have to be read first; 0 where the system does not tell */
static int sti_system_is_cold(const st_io *file, uint64_t offset) {
#if defined(__linux__) && !defined(ST_NO_MMAP)
    const uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
    unsigned char resident = 1;
    const char *at = (const char *)file->mapped;
    return at && mincore((void *)(uintptr_t)(at + offset / page * page), 1, &resident) == 0 && !(resident & 1);
#else
    (void)file, (void)offset;
    return 0;
#endif
}

static void sti_system_advise(const st_io *file, uint64_t offset, uint64_t bytes, st_advice advice) {
    uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE), first = offset / page * page,
             past = sti_add64_saturated(offset, bytes);
    if (advice == ST_ADVISE_DONE) { /* whole pages only: the others are a neighbour's too */
        first = sti_add64_saturated(offset, page - 1) / page * page;
        past = past < file->bytes ? past / page * page : past;
    }
    if (first >= past) return;
#if !defined(ST_NO_MMAP)
    if (file->mapped) {
        const char *at = (const char *)file->mapped + first;
        (void)madvise((void *)(uintptr_t)at, (size_t)(past - first),
                      advice == ST_ADVISE_DONE ? MADV_DONTNEED : MADV_WILLNEED);
        if (advice == ST_ADVISE_WILL_NEED) return;
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

#define STI_NO_MODE 01000u /* past all permissions */

/* The permissions that the file at path leaves to the one that replaces it, or STI_NO_MODE. The new file belongs to the
 * saver: so no setuid, setgid or sticky bit goes over, nor from another's file the right of others to write. */
static int sti_system_mode_of(const char *path, mode_t *mode) {
    struct stat about;
    *mode = STI_NO_MODE;
    if (lstat(path, &about) != 0) return errno == ENOENT ? 0 : sti_system_code(errno);
    if (S_ISDIR(about.st_mode)) return EISDIR;
    if (S_ISREG(about.st_mode)) *mode = about.st_mode & (about.st_uid == geteuid() ? 0777 : 0755);
    return S_ISREG(about.st_mode) || S_ISLNK(about.st_mode) ? 0 : ST_IO_NOT_A_FILE;
}

/* creates temp, which must not be there, for a file that will replace path; EEXIST: try another name */
static int sti_system_create(const char *path, const char *temp, sti_target *t) {
    struct stat about;
    mode_t mode;
    int fd, code = sti_system_mode_of(path, &mode);
    if (code) return code;
    do { /* nobody else may read it before it is whole; where nothing is replaced, the umask says what it may become */
        fd = open(temp, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode == STI_NO_MODE ? 0666 : 0600);
    } while (fd < 0 && errno == EINTR);
    if (fd < 0) return errno == EEXIST ? STI_IO_EXISTS : sti_system_code(errno);
    if (fstat(fd, &about) != 0 || fchmod(fd, 0600) != 0) {
        code = errno;
        (void)close(fd);
        (void)unlink(temp);
        return code;
    }
    t->handle = (void *)(intptr_t)fd;
    t->mode = (unsigned)(mode == STI_NO_MODE ? about.st_mode & 0777 : mode);
    t->open = 1;
    return 0;
}

/* reserves room, so that a full disk is known before the first byte; a file system that cannot is no error */
static int sti_system_reserve(const sti_target *t, uint64_t bytes) {
#if defined(FALLOC_FL_KEEP_SIZE)
    while (fallocate((int)(intptr_t)t->handle, 0, 0, (off_t)bytes) != 0) {
        if (errno == EINTR) continue;
        return errno == ENOSPC || errno == EDQUOT || errno == EFBIG || errno == EIO ? errno : 0;
    }
#else
    (void)t, (void)bytes;
#endif
    return 0;
}

static int sti_system_write(const sti_target *t, uint64_t offset, const void *src, size_t n) {
    const unsigned char *at = (const unsigned char *)src;
    while (n) {
        ssize_t put = pwrite((int)(intptr_t)t->handle, at, n < STI_READ_AT_ONCE ? n : STI_READ_AT_ONCE, (off_t)offset);
        if (put == 0) return EIO;
        if (put < 0 && errno != EINTR) return errno;
        if (put < 0) continue;
        at += put;
        n -= (size_t)put;
        offset = sti_add64_saturated(offset, (uint64_t)put);
    }
    return 0;
}

static int sti_system_flush(int fd) {
    int failed;
    do {
#if defined(F_FULLFSYNC)
        failed = fcntl(fd, F_FULLFSYNC) != 0 && fsync(fd) != 0; /* not every file system knows the former */
#else
        failed = fsync(fd) != 0;
#endif
    } while (failed && errno == EINTR);
    return failed ? errno : 0;
}

static int sti_system_close_written(sti_target *t) {
    t->open = 0;
    return close((int)(intptr_t)t->handle) == 0 || errno == EINTR ? 0 : errno; /* EINTR: it is closed all the same */
}

/* gives a file that is written its permissions, and closes it */
static int sti_system_finish_file(sti_target *t, int sync) {
    int code = fchmod((int)(intptr_t)t->handle, (mode_t)t->mode) == 0 ? 0 : errno;
    if (!code && sync) code = sti_system_flush((int)(intptr_t)t->handle);
    return code ? code : sti_system_close_written(t);
}

/* what has the name is replaced in one step */
static int sti_system_rename(const char *temp, const char *path, int sync) {
    (void)sync;
    return rename(temp, path) == 0 ? 0 : errno;
}

static int sti_system_unlink(const char *path) {
    return unlink(path) == 0 ? 0 : sti_system_code(errno);
}

/* makes the new name last; temp is overwritten with the directory's */
static int sti_system_sync_directory(char *temp) {
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

static void sti_system_discard(sti_target *t, const char *temp) {
    if (t->open) (void)sti_system_close_written(t);
    if (!t->named) (void)sti_system_unlink(temp);
}

/* opens a file of one name, and no symbolic link, to be written into: the one that was validated, still as it was */
static int sti_system_edit(const char *path, const st_io *validated, sti_target *t) {
    struct stat about;
    st_io now;
    int fd = open(path, O_WRONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC | O_NOCTTY), code = 0;
    if (fd < 0) return errno == ELOOP || errno == EMLINK ? STI_IO_LINKED : sti_system_code(errno);
    if (fstat(fd, &about) != 0) {
        code = errno;
    } else {
        sti_system_identify(&about, &now);
        code = !sti_is_same_file(&now, validated) ? STI_IO_CHANGED : about.st_nlink > 1 ? STI_IO_LINKED : 0;
    }
    t->handle = (void *)(intptr_t)fd;
    t->open = 1;
    if (code) (void)sti_system_close_written(t);
    return code;
}

static int sti_system_sync(sti_target *t) {
    return sti_system_flush((int)(intptr_t)t->handle);
}

#endif

#elif STI_OS_WINDOWS

#define STI_SHORT_PATH 248u  /* what CreateFileW takes as it is, and a directory's */
#define STI_LONG_PATH 32768u /* what it takes behind \\?\ */

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

typedef struct sti_wide_path { /* a path in UTF-16, with room for a pattern after it */
    wchar_t *at, *heap;        /* heap: NULL for a short path */
    wchar_t brief[STI_SHORT_PATH + 4];
} sti_wide_path;

static void sti_wide_free(sti_wide_path *w) {
    if (w->heap) (void)HeapFree(GetProcessHeap(), 0, w->heap);
}

/* Converts a path to UTF-16; a long one becomes absolute and begins with \\?\. Returns 0, and then the caller frees w, or
 * a code. */
static int sti_wide_of(sti_wide_path *w, const char *path) {
    const size_t n = sti_span_of(path).n; /* UTF-16 has no more units than UTF-8 has bytes, and a third at least */
    DWORD got;
    w->at = w->brief;
    w->heap = NULL;
    if (n / 3 >= STI_LONG_PATH) return ERROR_FILENAME_EXCED_RANGE;
    if (n >= STI_SHORT_PATH) {
        w->heap = (wchar_t *)HeapAlloc(GetProcessHeap(), 0, (STI_LONG_PATH + n + 16) * sizeof(wchar_t));
        if (!w->heap) return ST_IO_NO_MEMORY;
        w->at = w->heap + STI_LONG_PATH + 12;
    }
    if (!MultiByteToWideChar(CP_UTF8, MB_ERR_INVALID_CHARS, path, -1, w->at, (int)(n + 1))) {
        sti_wide_free(w);
        return ST_IO_NOT_UTF8;
    }
    if (!w->heap || (w->at[0] == L'\\' && w->at[1] == L'\\' && w->at[2] == L'?')) return 0;
    got = GetFullPathNameW(w->at, STI_LONG_PATH, w->heap + 8, NULL);
    if (got == 0 || got >= STI_LONG_PATH) {
        sti_wide_free(w);
        return ERROR_FILENAME_EXCED_RANGE;
    }
    if (w->heap[8] == L'\\' && w->heap[9] == L'\\') { /* \\server\share becomes \\?\UNC\server\share */
        w->at = w->heap + 2;
        ST_MEMCPY(w->at, L"\\\\?\\UNC", 7 * sizeof(wchar_t));
    } else {
        w->at = w->heap + 4;
        ST_MEMCPY(w->at, L"\\\\?\\", 4 * sizeof(wchar_t));
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
        offset = sti_add64_saturated(offset, got);
    }
    return 0;
}

static void sti_system_identify(const BY_HANDLE_FILE_INFORMATION *about, st_io *file) {
    file->bytes = (uint64_t)about->nFileSizeHigh << 32 | about->nFileSizeLow;
    file->id[0] = ((uint64_t)about->nFileIndexHigh << 32 | about->nFileIndexLow) ^ (uint64_t)about->dwVolumeSerialNumber
                                                                                       << 32;
    file->id[1] = (uint64_t)about->ftLastWriteTime.dwHighDateTime << 32 | about->ftLastWriteTime.dwLowDateTime;
}

static int sti_system_open(void *user, const char *path, st_io *file) {
    sti_wide_path wide;
    BY_HANDLE_FILE_INFORMATION about;
    HANDLE h;
    int code = sti_wide_of(&wide, path);
    (void)user;
    if (code) return code;
    h = CreateFileW(wide.at, GENERIC_READ, FILE_SHARE_READ | FILE_SHARE_WRITE | FILE_SHARE_DELETE, NULL, OPEN_EXISTING,
                    FILE_ATTRIBUTE_NORMAL, NULL);
    if (h == INVALID_HANDLE_VALUE) {
        DWORD error = GetLastError(), attributes = GetFileAttributesW(wide.at);
        code = attributes != INVALID_FILE_ATTRIBUTES && (attributes & FILE_ATTRIBUTE_DIRECTORY)
                   ? ST_IO_NOT_FOUND
                   : sti_system_code(error);
    }
    sti_wide_free(&wide);
    if (code) return code;
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
    sti_system_identify(&about, file);
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
    sti_wide_path wide;
    WIN32_FIND_DATAW found;
    char name[3 * MAX_PATH + 1]; /* a name has fewer than MAX_PATH units, each of at most three bytes */
    HANDLE h;
    size_t n;
    int stop = directory[0] ? sti_wide_of(&wide, directory) : ST_IO_NOT_FOUND; /* "" is not the drive's root */
    (void)user;
    if (stop) return stop;
    for (n = 0; wide.at[n]; n++) {}
    ST_MEMCPY(wide.at + n, L"\\*", 3 * sizeof(wchar_t));
    h = FindFirstFileW(wide.at, &found);
    if (h == INVALID_HANDLE_VALUE) stop = sti_system_code(GetLastError());
    sti_wide_free(&wide);
    if (stop) return stop;
    do {
        if (!WideCharToMultiByte(CP_UTF8, 0, found.cFileName, -1, name, (int)sizeof name, NULL, NULL)) continue;
        if (name[0] != '.' || (name[1] && (name[1] != '.' || name[2]))) stop = each(arg, name);
    } while (!stop && FindNextFileW(h, &found));
    if (!stop && GetLastError() != ERROR_NO_MORE_FILES) stop = (int)GetLastError();
    (void)FindClose(h);
    return stop;
}

static int sti_system_is_cold(const st_io *file, uint64_t offset) {
    (void)file, (void)offset;
    return 0;
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

static int sti_system_create(const char *path, const char *temp, sti_target *t) {
    sti_wide_path wide;
    DWORD attributes;
    HANDLE h;
    int code = sti_wide_of(&wide, path);
    if (code) return code;
    attributes = GetFileAttributesW(wide.at);
    sti_wide_free(&wide);
    if (attributes != INVALID_FILE_ATTRIBUTES && (attributes & FILE_ATTRIBUTE_DIRECTORY)) return ERROR_ACCESS_DENIED;
    code = sti_wide_of(&wide, temp);
    if (code) return code;
    h = CreateFileW(wide.at, GENERIC_WRITE, 0, NULL, CREATE_NEW, FILE_ATTRIBUTE_NORMAL, NULL);
    if (h == INVALID_HANDLE_VALUE) {
        DWORD error = GetLastError();
        code = error == ERROR_FILE_EXISTS || error == ERROR_ALREADY_EXISTS ? STI_IO_EXISTS : sti_system_code(error);
    }
    sti_wide_free(&wide);
    if (code) return code;
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
        offset = sti_add64_saturated(offset, put);
    }
    return 0;
}

static int sti_system_sync(sti_target *t) {
    return FlushFileBuffers((HANDLE)t->handle) ? 0 : (int)GetLastError();
}

static int sti_system_close_written(sti_target *t) {
    t->open = 0;
    return CloseHandle((HANDLE)t->handle) ? 0 : (int)GetLastError();
}

static int sti_system_finish_file(sti_target *t, int sync) {
    int code = sync ? sti_system_sync(t) : 0;
    return code ? code : sti_system_close_written(t);
}

static int sti_system_rename(const char *temp, const char *path, int sync) {
    sti_wide_path from, to;
    int code = sti_wide_of(&from, temp);
    if (code) return code;
    code = sti_wide_of(&to, path);
    if (!code) {
        if (!MoveFileExW(from.at, to.at, MOVEFILE_REPLACE_EXISTING | (sync ? MOVEFILE_WRITE_THROUGH : 0))) {
            code = (int)GetLastError();
        }
        sti_wide_free(&to);
    }
    sti_wide_free(&from);
    return code;
}

static int sti_system_unlink(const char *path) {
    sti_wide_path wide;
    int code = sti_wide_of(&wide, path);
    if (code) return code;
    code = DeleteFileW(wide.at) ? 0 : sti_system_code(GetLastError());
    sti_wide_free(&wide);
    return code;
}

static int sti_system_sync_directory(char *temp) {
    (void)temp; /* MOVEFILE_WRITE_THROUGH has seen to it */
    return 0;
}

static void sti_system_discard(sti_target *t, const char *temp) {
    if (t->open) (void)sti_system_close_written(t);
    if (!t->named) (void)sti_system_unlink(temp);
}

static int sti_system_edit(const char *path, const st_io *validated, sti_target *t) {
    sti_wide_path wide;
    BY_HANDLE_FILE_INFORMATION about;
    st_io now;
    HANDLE h;
    int code = sti_wide_of(&wide, path);
    if (code) return code;
    h = CreateFileW(wide.at, GENERIC_WRITE, FILE_SHARE_READ, NULL, OPEN_EXISTING, FILE_FLAG_OPEN_REPARSE_POINT, NULL);
    if (h == INVALID_HANDLE_VALUE) code = sti_system_code(GetLastError());
    sti_wide_free(&wide);
    if (code) return code;
    t->handle = h;
    t->open = 1;
    if (!GetFileInformationByHandle(h, &about)) {
        code = (int)GetLastError();
    } else if ((about.dwFileAttributes & FILE_ATTRIBUTE_REPARSE_POINT) || about.nNumberOfLinks > 1) {
        code = STI_IO_LINKED;
    } else {
        sti_system_identify(&about, &now);
        if (!sti_is_same_file(&now, validated)) code = STI_IO_CHANGED;
    }
    if (code) (void)sti_system_close_written(t);
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

#if STI_AVX2
/* Asked of what the compiler's runtime or the system found out when the program started: CPUID itself can take
 * microseconds in a virtual machine. Not every compiler can ask for F16C, and one processor has AVX2 without it, but
 * that one has no FMA either. */
static int sti_system_has_avx2(void) {
#if defined(__AVX2__) && defined(__F16C__)
    return 1;
#elif defined(_MSC_VER)
    return IsProcessorFeaturePresent(40) != 0; /* PF_AVX2_INSTRUCTIONS_AVAILABLE of newer SDKs */
#elif defined(__clang__) ? __clang_major__ >= 19 : __GNUC__ >= 11
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("f16c");
#else
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
#endif
}
#endif

/* ---- 14 model -------------------------------------------------------------------------------------------------------
 * Open, close, find; one file or several behind an index, a directory or the hub's cache. Knows files only through
 * st_files and st_io.
 * uses: 5, 6, 7, 8, 9, 10, 11, 12, 13
 * ------------------------------------------------------------------------------------------------------------------ */
#define STI_KEPT_OPEN 64u /* files of one model; those behind are opened anew for each read that is not from memory */
#define STI_MAX_SHARDS 65536u
#define STI_MAX_NAMES 0x10000000u /* what the numbers of an index of names hold */
#define STI_MAX_MAPPED 16384u     /* files of one model: Linux gives a process 65,530 mappings */
#define STI_KEPT_HEADERS 524288u  /* bytes of headers that are parsed once, of a model of several files */
#define STI_SHORTEST_WEIGHT 18u   /* bytes: `"":"a.safetensors"` */
#define STI_PATHS_BYTES 1024u     /* hold the few paths that lead to a model in the hub's cache, as a rule */

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
    sti_name_table names, keys;
} sti_model;

typedef struct sti_opened_file { /* a file while it is being opened */
    const char *path;            /* "" for memory and callbacks */
    st_io io;
    int open;
    size_t header_bytes; /* under 2^32, as places are */
    uint64_t data_bytes;
    unsigned char *text; /* of the header, a copy of our own */
    sti_entry *entries;  /* in the order of their data once all are there */
    sti_header header;   /* what it holds, counted */
    st_status sound;     /* what is wrong with where its tensors lie */
} sti_opened_file;

typedef struct sti_weight {    /* a member of the weight_map; name: where it is in the index's text */
    uint32_t name, name_bytes; /* as bytes, for its escapes are resolved in place */
    uint32_t shard;            /* the number of its shard; before shards are numbered, where its path is */
} sti_weight;

typedef struct sti_index_file { /* the index of a model of several files while it is being opened */
    sti_json json;              /* at its first byte */
    char *text;                 /* the same, a copy of our own */
    sti_weight *weights;
    uint32_t weight_count;
    uint32_t run_count; /* of weights that follow each other and have one path */
    uint32_t metadata;  /* where this object is; 0: there is none */
    uint32_t pair_count;
    st_pair *pairs; /* of the metadata */
} sti_index_file;

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
} sti_sums;

typedef struct sti_opening { /* what one call of st_open and its like works with */
    sti_memory memory;
    unsigned flags;
    uint64_t limit;
    st_files files;
    int system;
    const char *said; /* what messages call it */
    st_error *error;
    sti_opened_file *parts; /* `one`, or scratch */
    uint32_t part_count;
    sti_opened_file *at; /* the one that is being judged; NULL: the model as a whole */
    sti_sums sums;
    sti_layout layout; /* of the model; model NULL: there is none yet */
    sti_opened_file one;
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
        sentence = STI_TEXT("no such file");
        break;
    case ST_IO_NOT_UTF8:
        s = ST_ERR_UTF8;
        sentence = STI_TEXT("path is not UTF-8");
        break;
    case ST_IO_NO_MEMORY:
        s = ST_ERR_MEMORY;
        sentence = STI_TEXT("out of memory");
        break;
    case ST_IO_NOT_A_FILE: sentence = STI_TEXT("not a regular file, but a pipe, a device or a directory"); break;
    case ST_IO_ENDED: sentence = STI_TEXT("file became shorter after it was opened"); break;
    case STI_IO_CHANGED: sentence = STI_TEXT("file was replaced, changed or removed after it was opened"); break;
    default: break;
    }
    (void)sti_fail_io(error, code, position, sentence);
    if (error) error->status = s;
    return s;
}

/* adds what a header holds to what the model will hold */
STI_NOINLINE static void sti_count(sti_opening *o, const sti_header *h) {
    sti_sums *all = &o->sums;
    all->tensors = sti_add_saturated(all->tensors, h->tensors);
    all->dimensions = sti_add_saturated(all->dimensions, h->dimensions);
    all->pairs = sti_add_saturated(all->pairs, h->pairs);
    all->text = sti_add_saturated(all->text, h->text_bytes);
}

/* lays the model out, and gives the bytes of its block; base NULL: only measured */
STI_NOINLINE static size_t sti_layout_model(sti_opening *o, unsigned char *base) {
    const sti_sums *all = &o->sums;
    sti_layout *l = &o->layout;
    sti_block b;
    b.base = base;
    b.used = 0;
    l->model = (sti_model *)sti_take(&b, 1, sizeof *l->model);
    l->files = (sti_file *)sti_take(&b, o->part_count, sizeof *l->files);
    l->shards = (st_shard *)sti_take(&b, o->part_count, sizeof *l->shards);
    l->tensors = (st_tensor *)sti_take(&b, all->tensors, sizeof *l->tensors);
    l->shapes = (uint64_t *)sti_take(&b, all->dimensions, sizeof *l->shapes);
    l->pairs = (st_pair *)sti_take(&b, all->pairs, sizeof *l->pairs);
    l->name_slots =
        (uint32_t *)sti_take(&b, sti_table_slots((uint32_t)all->tensors), STI_SLOT_WORDS(1) * sizeof *l->name_slots);
    l->key_slots = (uint32_t *)sti_take(&b, sti_table_slots((uint32_t)all->pairs), sizeof *l->key_slots);
    l->text = (char *)sti_take(&b, all->text, 1);
    l->bytes = sti_round8(b.used);
    return l->bytes;
}

/* ---- scratch memory, and what is said where a work buffer is too small for it */

/* bytes of a work buffer that hold the scratch taken so far, `more`, and the model as far as it is counted */
static size_t sti_need(sti_opening *o, size_t more) {
    const size_t taken = o->memory.work_all - o->memory.work_bytes;
    return sti_add_saturated(sti_add_saturated(o->memory.work_skipped, taken),
                             sti_add_saturated(sti_layout_model(o, NULL), more));
}

/* memory until the call is over; enough: for all that a work buffer has to hold from here on */
static void *sti_scratch_take_of(sti_opening *o, size_t bytes, size_t enough) {
    void *taken = sti_arena_take(&o->memory, bytes);
    if (!taken) (void)sti_fail_memory(&o->memory, o->memory.work ? sti_need(o, sti_round8(enough)) : bytes, o->error);
    return taken;
}

static void *sti_scratch_take(sti_opening *o, size_t bytes) {
    return sti_scratch_take_of(o, bytes, sti_add_saturated(bytes, STI_PATHS_BYTES));
}

/* ---- opening a file, step by step */

/* Takes memory for the header's text and its entries, which do not outgrow the text. A work buffer that is too small is
 * answered before the header is read, with what suffices whatever it holds: twice its bytes here, and at most 7 times
 * as much for the model (6.6 for metadata pairs of 6 characters, which take 40 bytes each; tensors take less). */
static st_status sti_open_scratch(sti_opening *o, sti_opened_file *p) {
    const size_t n = sti_round8(p->header_bytes ? p->header_bytes : 1);
    if (p->header_bytes > SIZE_MAX / 4) { /* twice its bytes are obtained */
        return sti_fail(o->error, ST_ERR_TOO_LARGE, STI_NO_OFFSET, SIZE_MAX / 4, p->header_bytes,
                        STI_TEXT("header of $a bytes does not fit this machine's memory"));
    }
    /* one entry more, for a member that turns out to be none */
    p->text = (unsigned char *)sti_scratch_take_of(o, 2 * n + sizeof *p->entries,
                                                   sti_add_saturated(sti_multiply_saturated(n, 9), sizeof *p->entries));
    if (!p->text) return ST_ERR_MEMORY;
    p->entries = (sti_entry *)(void *)(p->text + n);
    return ST_OK;
}

/* reads the header's text */
STI_NOINLINE static st_status sti_open_text(const sti_opening *o, sti_opened_file *p) {
    const size_t n = p->header_bytes;
    const int code = n ? sti_io_read(&p->io, 8, p->text, n) : 0;
    p->header = sti_header_at(p->text, n, o->flags, o->error);
    return code ? sti_fail_code(o->error, code, 8, STI_TEXT("cannot read the header")) : ST_OK;
}

/* reads and parses the header, and sorts its entries by offset */
STI_NOINLINE static st_status sti_open_entries(sti_opening *o, sti_opened_file *p) {
    sti_header *h = &p->header;
    uint64_t end = 0;
    int more, sorted = 1;
    st_status s = sti_open_text(o, p);
    if (s != ST_OK) return s;
    for (;;) {
        sti_entry *e = &p->entries[h->tensors];
        s = sti_header_next(h, e, &more);
        if (s != ST_OK || !more) break;
        if (e->begin != end || e->end < end) sorted = 0;
        end = e->end;
    }
    if (s != ST_OK || sti_json_high(&h->json)) { /* whatever else is wrong, text that is not UTF-8 is said first */
        const st_status utf8 = sti_header_utf8(h->text, p->header_bytes, o->error);
        if (utf8 != ST_OK) return utf8;
    }
    if (s != ST_OK) return s;
    sti_count(o, h);
    if (!sorted) sti_sort(p->entries, h->tensors, sizeof *p->entries, sti_offset_before, NULL);
    return ST_OK;
}

/* proves where the tensors lie; error NULL: it is not yet the time to say so */
static st_status sti_open_offsets(sti_opened_file *p, st_error *error) {
    st_status s = ST_OK;
    uint32_t i;
    p->header.json.error = error;
    p->data_bytes = 0;
    for (i = 0; s == ST_OK && i < p->header.tensors; i++) {
        s = sti_entry_check(&p->header, &p->entries[i], &p->data_bytes);
    }
    return s == ST_OK
               ? sti_length_check(&p->header, sti_add64_saturated(8, p->header_bytes), p->data_bytes, p->io.bytes)
               : s;
}

static st_status sti_open_map(const sti_opening *o, st_io *io) {
    int code = 0;
    if (io->mapped || (o->flags & ST_OPEN_NO_MAP)) return ST_OK;
#if !defined(ST_NO_FILES) && !defined(ST_NO_MMAP)
    if (o->system && io->bytes <= SIZE_MAX) {
        code = sti_system_map(io);
        if (!code) return ST_OK;
    } else if (o->system && (o->flags & ST_OPEN_MUST_MAP)) {
        return sti_fail(o->error, ST_ERR_TOO_LARGE, STI_NO_OFFSET, SIZE_MAX, io->bytes,
                        STI_TEXT("the file's $a bytes do not fit the address space"));
    }
#endif
    if (!(o->flags & ST_OPEN_MUST_MAP)) return ST_OK;
    if (!code) {
        return sti_fail(o->error, ST_ERR_UNSUPPORTED, STI_NO_OFFSET, 0, 0,
                        STI_TEXT("this kind of source cannot be mapped into memory"));
    }
    return sti_fail_code(o->error, code, STI_NO_OFFSET, STI_TEXT("cannot map the file into memory"));
}

/* how long an open file's header is */
static st_status sti_open_measure(sti_opening *o, sti_opened_file *p) {
    unsigned char first[8];
    uint64_t header_bytes = 0;
    st_status s = ST_OK;
    int code = 0;
    o->at = p;
    if (p->io.bytes >= sizeof first) {
        code = sti_io_read(&p->io, 0, first, sizeof first);
    }
    if (code) s = sti_fail_code(o->error, code, 0, STI_TEXT("cannot read the file"));
    if (s == ST_OK) s = sti_header_measure(first, p->io.bytes, o->limit, &header_bytes, o->error);
    p->header_bytes = (size_t)header_bytes;
    return s;
}

/* from an open file to its entries, and what is wrong with where they lie: repeated names are said before that, and
 * found after it */
static st_status sti_open_part(sti_opening *o, sti_opened_file *p) {
    st_status s = sti_open_measure(o, p);
    if (s == ST_OK) s = sti_open_scratch(o, p);
    if (s == ST_OK) s = sti_open_entries(o, p);
    if (s != ST_OK) return s;
    p->sound = sti_open_offsets(p, NULL);
    return ST_OK;
}

/* ---- from what the files hold to a model */

/* takes the model's block, and sets all in it that is not a file's */
STI_NOINLINE static st_status sti_open_block(sti_opening *o) {
    const size_t bytes = sti_layout_model(o, NULL);
    unsigned char *block = o->memory.work;
    sti_model *m;
    if (!block) {
        block = (unsigned char *)sti_allocate(&o->memory, bytes);
        if (!block) return sti_fail_memory(&o->memory, bytes, o->error);
    } else if (bytes > o->memory.work_bytes) {
        return sti_fail_memory(&o->memory, sti_need(o, 0), o->error);
    }
    (void)sti_layout_model(o, block);
    ST_MEMSET(block, 0, (size_t)((unsigned char *)o->layout.tensors - block));
    m = o->layout.model;
    m->open.tensors = o->layout.tensors;
    m->open.count = o->sums.tensors;
    m->open.shards = o->layout.shards;
    m->open.shard_count = o->part_count;
    m->files = o->layout.files;
    m->source = o->files;
    m->system = o->system;
    m->said = o->said; /* a literal, unless a path takes its place */
    m->memory = o->memory;
    m->memory.chunks = NULL; /* they go when the call is over */
    m->block_bytes = bytes;
    return ST_OK;
}

/* fills names, shapes and metadata of one file, and where things lie if that is proven; what is taken of the layout
 * moves on */
STI_NOINLINE static void sti_open_fill(sti_opening *o, sti_opened_file *p, st_shard *shard) {
    const unsigned char *base = o->flags & ST_OPEN_NO_MAP ? NULL : (const unsigned char *)p->io.mapped;
    sti_layout *l = &o->layout;
    sti_header *const h = &p->header;
    st_tensor *t = l->tensors;
    const uint32_t text_bytes = h->text_bytes; /* which is counted again */
    char *text = l->text;
    sti_string w; /* nothing below can fail: all of it passed once, and lies in memory of our own */
    uint32_t i;
    for (i = 0; i < p->header.tensors; i++, t++) {
        const sti_entry *e = &p->entries[i];
        ST_MEMSET(t, 0, sizeof *t);
        t->name = text;
        t->name_bytes = e->name_bytes;
        sti_copy_name(h, e, &text);
        t->dtype = (st_dtype)e->dtype;
        t->dtype_name = sti_dtype_name(&sti_dtypes[e->dtype]);
        if (e->dtype == ST_DTYPE_UNKNOWN) {
            t->dtype_name = text;
            h->json.at = h->text + e->dtype_at;
            (void)sti_header_copy(h, &w, &text);
        }
        t->shape = l->shapes;
        sti_copy_shape(h, e, l->shapes);
        t->rank = e->rank;
        l->shapes += e->rank;
        t->shard = (uint32_t)(p - o->parts);
        if (p->sound != ST_OK) continue;
        t->bytes = e->end - e->begin;
        t->elements = e->elements;
        t->offset = sti_add64_saturated(shard->data_offset, e->begin);
        t->data = base ? base + t->offset : NULL;
    }
    if (h->metadata) {
        shard->metadata = l->pairs;
        shard->metadata_count = h->pairs;
        h->text_bytes = 0;
        h->json.at = h->text + h->metadata;
        (void)sti_metadata_read(h, l->pairs, text);
        text += h->text_bytes;
        l->pairs += h->pairs;
    }
    h->text_bytes = text_bytes;
    l->tensors = t;
    l->text = text;
}

/* Builds both indexes of one file; gives the place of the first name or key that repeats another of it, or 0. */
static uint32_t sti_open_repeat(const sti_opened_file *p, const sti_layout *l, const st_pair *pairs) {
    sti_name_table *names = &l->model->names, *keys = &l->model->keys;
    uint32_t item, place = 0, other;
    names->tensors = l->tensors - p->header.tensors;
    names->slots = l->name_slots;
    names->count = p->header.tensors;
    item =
        l->model->open.shard_count == 1 ? sti_table_build(names, p->entries) : STI_ABSENT; /* or all at once, later */
    if (item != STI_ABSENT) place = p->entries[item].key;
    keys->pairs = pairs;
    keys->slots = l->key_slots;
    keys->count = p->header.pairs;
    item = sti_table_build(keys, NULL);
    if (item != STI_ABSENT) {
        other = sti_json_member(p->header.json, p->text + p->header.metadata, item);
        if (!place || other < place) place = other;
    }
    return place;
}

/* brings one file into the model, or says what is wrong with it: with its names before what is wrong with offsets */
static st_status sti_open_finish(sti_opening *o, sti_opened_file *p) {
    st_shard *shard = o->layout.shards++;
    sti_file *file = o->layout.files++;
    uint32_t place;
    shard->path = p->path;
    shard->file_bytes = p->io.bytes;
    shard->data_offset = sti_add64_saturated(8, p->header_bytes);
    file->io = p->io;
    file->bytes = (o->flags & ST_OPEN_NO_MAP) && p->io.read_at ? NULL : (const unsigned char *)p->io.mapped;
    file->open = p->open;
    o->layout.model->open.bytes = sti_add64_saturated(o->layout.model->open.bytes, p->data_bytes);
    sti_open_fill(o, p, shard);
    place = sti_open_repeat(p, &o->layout, shard->metadata);
    p->header.json.error = o->error;
    if (place) return sti_repeated(&p->header, place);
    return p->sound == ST_OK ? ST_OK : sti_open_offsets(p, o->error);
}

/* ---- from a source to its parts */

/* the last word on a file: the verdict on its header, unless it failed and the file is of another format */
STI_COLD static st_status sti_open_judge(const sti_opening *o, st_status status) {
    unsigned char bytes[STI_FORMAT_BYTES];
    const st_io *io;
    sti_span first;
    if (status < ST_ERR_TRUNCATED || status > ST_ERR_OFFSETS || !o->at || !o->at->open) return status;
    io = &o->at->io;
    first.at = (const char *)bytes;
    first.n = io->bytes < sizeof bytes ? (size_t)io->bytes : sizeof bytes;
    if (first.n == 0 || sti_io_read(io, 0, bytes, first.n) != 0) return status;
    return sti_format_prefer(first, status, o->error);
}

/* what all ways to open have in common before */
static st_status sti_open_begin(sti_opening *o, st_model **model, const char *said, const st_open_options *options,
                                int given, st_error *error) {
    static const st_open_options none = {0, 0, NULL, {NULL, 0}, NULL};
    const st_open_options *all = options ? options : &none;
    const unsigned both = ST_OPEN_NO_MAP | ST_OPEN_MUST_MAP;
    const int wrong = !model || !given || (all->flags & ~(unsigned)STI_OPEN_FLAGS) || (all->flags & both) == both ||
                      (all->allocator && (!all->allocator->alloc || !all->allocator->free)) ||
                      (all->files && (!all->files->open || !all->files->close));
    if (model) *model = NULL;
    ST_MEMSET(o, 0, sizeof *o);
    o->one.path = "";
    o->parts = &o->one;
    o->part_count = 1;
    o->said = said;
    o->error = error;
    o->flags = all->flags;
    o->limit = sti_header_limit(all);
    sti_memory_choose(&o->memory, all->allocator, all->work.data, all->work.bytes);
    if (!wrong) return ST_OK;
    return sti_fail(error, ST_ERR_ARGUMENT, STI_NO_OFFSET, 0, 0,
                    STI_TEXT("model, path, io or options are NULL or invalid: check flags, allocator, work and files"));
}

/* what they have in common after: gives back all that is not the model's, and says which file a fault is in */
static st_status sti_open_end(sti_opening *o, st_model **model, st_status s) {
    if (s == ST_OK) {
        *model = &o->layout.model->open;
        (*model)->metadata = (*model)->shards->metadata;
        (*model)->metadata_count = (*model)->shards->metadata_count;
        (void)sti_succeed(o->error);
    } else {
        sti_deallocate(&o->memory, o->layout.model, o->layout.bytes);
        (void)sti_error_file(o->error, sti_span_of(o->at && *o->at->path ? o->at->path : o->said), s);
    }
    sti_arena_release(&o->memory, NULL, 0);
    return s;
}

/* a source that is there already, as the only part */
static st_status sti_open_one(sti_opening *o) {
    st_status s;
    o->parts->open = 1;
    s = sti_open_part(o, o->parts);
    if (s == ST_OK && o->parts->sound == ST_OK) s = sti_open_map(o, &o->parts->io);
    if (s == ST_OK) s = sti_open_block(o);
    if (s == ST_OK) s = sti_open_finish(o, o->parts);
    return s == ST_OK ? s : sti_open_judge(o, s);
}

/* whether what a callback filled can be read */
static int sti_io_serves(const st_io *io) {
    return !io->bytes || io->read_at || io->mapped;
}

ST_API st_status st_open_memory(st_model **model, const void *bytes, size_t n, const st_open_options *options,
                                st_error *error) {
    sti_opening o;
    st_status s = sti_open_begin(&o, model, "(memory)", options, bytes || !n, error);
    o.one.io.mapped = bytes;
    o.one.io.bytes = n;
    return sti_open_end(&o, model, s == ST_OK ? sti_open_one(&o) : s);
}

ST_API st_status st_open_io(st_model **model, const st_io *io, const st_open_options *options, st_error *error) {
    sti_opening o;
    st_status s = sti_open_begin(&o, model, "(callbacks)", options, io && sti_io_serves(io), error);
    if (io) o.one.io = *io;
    return sti_open_end(&o, model, s == ST_OK ? sti_open_one(&o) : s);
}

/* ---- paths that come out of a file */

#define STI_MODEL ".safetensors"
#define STI_INDEX_END ".safetensors.index.json"

static int sti_ends_with(sti_span s, const char *end) {
    const sti_span e = sti_span_of(end);
    return s.n >= e.n && ST_MEMCMP(s.at + (s.n - e.n), end, e.n) == 0;
}

static int sti_is_one_of(unsigned char c, const char *set) {
    for (; *set; set++) {
        if ((unsigned char)*set == c) return 1;
    }
    return 0;
}

/* the same whatever the case of Latin letters is: some file systems take such names for one */
static int sti_equals_ignoring_case(sti_span a, const char *b) {
    size_t i;
    for (i = 0; i < a.n && b[i]; i++) {
        unsigned x = (unsigned char)a.at[i], y = (unsigned char)b[i];
        if (x >= 'A' && x <= 'Z') x += 'a' - 'A';
        if (y >= 'A' && y <= 'Z') y += 'a' - 'A';
        if (x != y) return 0;
    }
    return i == a.n && !b[i];
}

/* whether Windows takes a name without its extension for a device */
STI_COLD static int sti_is_device(sti_span s) {
    static const char *const alone[] = {"CON", "PRN", "AUX", "NUL", "CONIN$", "CONOUT$", "CLOCK$"};
    sti_span first = s, rest;
    size_t i;
    for (i = 0; i < sizeof alone / sizeof *alone; i++) {
        if (sti_equals_ignoring_case(s, alone[i])) return 1;
    }
    if (s.n < 4) return 0;
    first.n = 3;
    rest = sti_drop_first(s, 3);
    if (!sti_equals_ignoring_case(first, "COM") && !sti_equals_ignoring_case(first, "LPT")) return 0;
    return (rest.n == 1 && sti_is_one_of((unsigned char)*rest.at, "0123456789")) ||
           sti_same(rest, sti_span_of("\xC2\xB9")) || sti_same(rest, sti_span_of("\xC2\xB2")) ||
           sti_same(rest, sti_span_of("\xC2\xB3")); /* digits 1 to 3, raised */
}

/* Why a path of a shard, or a name of the hub's, is refused; NULL: it is not. Its parts must name the same thing on
 * every system, and nothing above them. Symbolic links are not its matter: what was loaded cannot make one. */
STI_COLD static const char *sti_path_fault(sti_span path, int shard) {
    if (shard && !sti_ends_with(path, STI_MODEL)) return STI_TEXT("shard path does not end in .safetensors");
    for (;;) {
        sti_span name = path, stem;
        size_t i;
        for (name.n = 0; name.n < path.n && path.at[name.n] != '/'; name.n++) {
            const unsigned char c = (unsigned char)path.at[name.n];
            if (c < 0x20 || c == 0x7F || sti_is_one_of(c, "\\:<>\"|?*")) {
                return STI_TEXT("character not allowed in a shard path");
            }
            if (c == 0xC2 && name.n + 1 < path.n && (unsigned char)path.at[name.n + 1] < 0xA0) {
                return STI_TEXT("control character in a shard path");
            }
        }
        if (name.n == 0) return STI_TEXT("shard path is absolute or has an empty component");
        if (sti_is_one_of((unsigned char)name.at[0], " .") || sti_is_one_of((unsigned char)name.at[name.n - 1], " .")) {
            return STI_TEXT("component of a shard path begins or ends with a dot or a space");
        }
        if (name.n > 255) return STI_TEXT("component of a shard path is longer than 255 bytes");
        for (stem = name, stem.n = i = 0; i < name.n && name.at[i] != '.'; i++) {
            if (name.at[i] != ' ') stem.n = i + 1;
        }
        if (sti_is_device(stem)) return STI_TEXT("component of a shard path is a device name on Windows");
        if (name.n == path.n) return NULL;
        path = sti_drop_first(path, name.n + 1);
    }
}

/* ---- the index of a model of several files: its text */

/* resolves the escapes of a string where it stands; j is after its closing quote */
static void sti_index_resolve(const sti_json *j, const sti_string *w, char *text) {
    char *out = text + w->place + 1;
    sti_span inside;
    sti_json again;
    unsigned char bytes[4];
    if (!w->escaped) return;
    inside.at = out;
    inside.n = (size_t)((const char *)j->at - 1 - out);
    again = sti_json_inside(inside);
    while (again.at < again.end) { /* what is written never passes what was read */
        const size_t n = sti_json_character(&again, 1, bytes);
        ST_MEMCPY(out, bytes, n);
        out += n;
    }
}

/* parses the weight_map into x->weights, which has room for every member with a path that is taken */
STI_NOINLINE static st_status sti_index_weights(sti_index_file *x, sti_json *j) {
    sti_string name, value;
    sti_span path = {NULL, 0}, next;
    st_status s;
    int more;
    if ((s = sti_json_enter(j, '{', &more, STI_TEXT("weight_map is not an object of strings"))) != ST_OK) return s;
    while (more) {
        sti_weight *w = x->weights + x->weight_count;
        if ((s = sti_json_key(j, &name)) != ST_OK) return s;
        sti_index_resolve(j, &name, x->text);
        if ((s = sti_json_colon(j)) != ST_OK) return s;
        if (sti_json_peek(j) != '"') return sti_json_wrong(j, STI_TEXT("weight_map value is not a string"));
        next.at = (const char *)j->at + 1;
        if (path.at && (size_t)(j->end - j->at) > path.n + 1 && next.at[path.n] == '"' &&
            ST_MEMCMP(next.at, path.at, path.n) == 0) { /* most weights have the path of the one before */
            j->at += path.n + 2;
        } else {
            const char *fault;
            if ((s = sti_json_string(j, &value, NULL)) != ST_OK) return s;
            sti_index_resolve(j, &value, x->text);
            next.n = value.bytes;
            fault = sti_path_fault(next, 1);
            if (fault) {
                (void)sti_json_fail_at(j, value.place, ST_ERR_PATH, fault);
                sti_error_subject(j->error, next, STI_NAME);
                return ST_ERR_PATH;
            }
            path = next;
            x->text[value.place + 1 + value.bytes] = 0; /* in place of the quote, or of what the escapes left */
            x->run_count++;
        }
        w->name = name.place + 1;
        w->name_bytes = name.bytes;
        w->shard = (uint32_t)(path.at - x->text);
        x->weight_count++;
        if ((s = sti_json_next(j, '{', &more)) != ST_OK) return s;
    }
    return ST_OK;
}

/* parses the metadata, whose values may be anything and stay JSON text; pairs: NULL, or room for all */
STI_COLD static st_status sti_index_metadata(sti_index_file *x, sti_json *j, st_pair *pairs) {
    sti_string key;
    st_status s;
    int more;
    x->pair_count = 0;
    if ((s = sti_json_enter(j, '{', &more, STI_TEXT("metadata is not a JSON object"))) != ST_OK) return s;
    while (more) {
        st_pair p;
        if ((s = sti_json_key(j, &key)) != ST_OK) return s;
        p.key = x->text + key.place + 1;
        p.key_bytes = key.bytes;
        if (pairs) sti_index_resolve(j, &key, x->text);
        if ((s = sti_json_colon(j)) != ST_OK) return s;
        (void)sti_json_peek(j);
        p.value = (const char *)j->at;
        if ((s = sti_json_skip(j, 2)) != ST_OK) return s; /* the root and the metadata are open */
        p.value_bytes = (size_t)((const char *)j->at - p.value);
        if (pairs) pairs[x->pair_count] = p;
        x->pair_count++;
        if ((s = sti_json_next(j, '{', &more)) != ST_OK) return s;
    }
    return ST_OK;
}

/* parses the whole index, but only counts the metadata */
STI_COLD static st_status sti_index_parse(sti_index_file *x) {
    sti_json all = x->json, *j = &all;
    int more, has_map = 0;
    sti_string key;
    st_status s;
    if ((s = sti_json_enter(j, '{', &more, STI_TEXT("the index is not a JSON object"))) != ST_OK) return s;
    while (more) {
        int map, metadata;
        if ((s = sti_json_key(j, &key)) != ST_OK) return s;
        map = sti_string_is(&key, "weight_map", 10);
        metadata = sti_string_is(&key, "metadata", 8);
        if ((map && has_map) || (metadata && x->metadata)) {
            return sti_json_fail_at(j, key.place, ST_ERR_DUPLICATE, STI_TEXT("duplicate key"));
        }
        if ((s = sti_json_colon(j)) != ST_OK) return s;
        (void)sti_json_peek(j);
        if (metadata) x->metadata = sti_json_offset(j);
        has_map |= map;
        s = map        ? sti_index_weights(x, j)
            : metadata ? sti_index_metadata(x, j, NULL)
                       : sti_json_skip(j, 1); /* ignored; the root is open */
        if (s != ST_OK || (s = sti_json_next(j, '{', &more)) != ST_OK) return s;
    }
    if (sti_json_peek(j) >= 0)
        return sti_json_fail(j, ST_ERR_JSON, STI_TEXT("unexpected text after the index's JSON object"));
    if (x->weight_count) return ST_OK;
    return sti_json_fail(j, ST_ERR_SCHEMA,
                         has_map ? STI_TEXT("weight_map is empty") : STI_TEXT("weight_map is missing"));
}

static sti_span sti_weight_name(const sti_index_file *x, const sti_weight *w) {
    sti_span s;
    s.at = x->text + w->name;
    s.n = w->name_bytes;
    return s;
}

/* a key of the index repeats another */
STI_COLD static st_status sti_index_repeated(const sti_index_file *x, sti_span key) {
    (void)sti_json_fail_at(&x->json, (uint32_t)(key.at - 1 - x->text), ST_ERR_DUPLICATE,
                           STI_TEXT("duplicate tensor name"));
    sti_error_subject(x->json.error, key, STI_NAME);
    return ST_ERR_DUPLICATE;
}

/* Refuses a weight_map in which a name is there twice. A model that opens needs no such look, for each of its weights
 * is found in it once; one that has another fault does, for this one is reported first. */
STI_COLD static st_status sti_index_unique(sti_opening *o, const sti_index_file *x, st_status status) {
    sti_name_table names;
    st_pair *pairs = (st_pair *)sti_scratch_take(o, sti_multiply_saturated(x->weight_count, sizeof *pairs));
    uint32_t i;
    ST_MEMSET(&names, 0, sizeof names);
    names.slots =
        (uint32_t *)sti_scratch_take(o, sti_multiply_saturated(sti_table_slots(x->weight_count), sizeof *names.slots));
    if (!pairs || !names.slots) return ST_ERR_MEMORY;
    for (i = 0; i < x->weight_count; i++) {
        pairs[i].key = x->text + x->weights[i].name;
        pairs[i].key_bytes = x->weights[i].name_bytes;
    }
    names.pairs = pairs;
    names.count = x->weight_count;
    i = sti_table_build(&names, NULL);
    if (i == STI_ABSENT) return status;
    o->at = NULL;
    return sti_index_repeated(x, sti_table_name(&names, i));
}

/* ---- several files: an index and its shards */

static st_status sti_open_file(sti_opening *o, sti_opened_file *p, const char *path) {
    st_io io;
    int code;
    p->path = path;
    ST_MEMSET(&io, 0, sizeof io);
    code = (o->files.open)(o->files.user, path, &io);
    if (code) return sti_fail_code(o->error, code, STI_NO_OFFSET, STI_TEXT("cannot open the file"));
    p->io = io; /* not before: what a callback that fails leaves there is nobody's, and another may have been here */
    p->open = 1;
    if (sti_io_serves(&p->io)) return ST_OK;
    return sti_fail(o->error, ST_ERR_ARGUMENT, STI_NO_OFFSET, 0, 0, STI_TEXT("st_io has neither read_at nor mapped"));
}

/* keeps the paths of all files, which were scratch, in the block */
static void sti_open_paths(sti_opening *o) {
    st_shard *shards = o->layout.shards - o->part_count; /* which all were taken */
    uint32_t i;
    for (i = 0; i < o->part_count; i++) {
        shards[i].path = sti_copy_text(&o->layout.text, sti_span_of(shards[i].path));
    }
    o->layout.model->said = shards->path;
}

/* a model of one file, by its path */
static st_status sti_open_single(sti_opening *o, const char *path) {
    st_status s = sti_open_file(o, &o->one, path);
    o->sums.text = sti_span_of(path).n + 1;
    if (s == ST_OK) s = sti_open_one(o);
    if (s == ST_OK) sti_open_paths(o);
    return s;
}

static void sti_opened_close(sti_opening *o, sti_opened_file *p) {
    if (p->open && o->files.close) (o->files.close)(o->files.user, &p->io);
    p->open = 0;
}

/* reads and parses the index at path */
STI_COLD static st_status sti_index_text(sti_opening *o, sti_index_file *x, const char *path) {
    sti_opened_file *p = o->parts;
    st_status s = sti_open_file(o, p, path);
    sti_span text;
    size_t good;
    enum sti_format format;
    int code;
    if (s != ST_OK) return s;
    if (p->io.bytes > o->limit) {
        return sti_fail(o->error, ST_ERR_HEADER_LIMIT, STI_NO_OFFSET, o->limit, p->io.bytes,
                        STI_TEXT("index of $a bytes exceeds the limit of $e"));
    }
    text.n = (size_t)p->io.bytes;
    text.at = x->text = (char *)sti_scratch_take(o, text.n);
    x->weights =
        (sti_weight *)sti_scratch_take(o, sti_multiply_saturated(text.n / STI_SHORTEST_WEIGHT, sizeof *x->weights));
    if (!text.at || !x->weights) return ST_ERR_MEMORY;
    code = text.n ? sti_io_read(&p->io, 0, x->text, text.n) : 0;
    if (code) return sti_fail_code(o->error, code, 0, STI_TEXT("cannot read the file"));
    sti_opened_close(o, p);
    x->json = sti_json_inside(text);
    x->json.error = o->error;
    good = sti_utf8_span(x->json.at, text.n);
    text.n = text.n < STI_FORMAT_BYTES ? text.n : STI_FORMAT_BYTES;
    format = sti_format_of(text); /* before the text is changed */
    s = good == (size_t)p->io.bytes
            ? sti_index_parse(x)
            : sti_fail(o->error, ST_ERR_UTF8, good, 0, 0, STI_TEXT("invalid UTF-8 in the index"));
    return s == ST_OK || s == ST_ERR_PATH || format == STI_FORMAT_INDEX || format == STI_FORMAT_TEXT
               ? s
               : sti_format_prefer(text, s, o->error);
}

/* reads the index at path; refuses one whose metadata has a key twice */
STI_COLD static st_status sti_index_read(sti_opening *o, sti_index_file *x, const char *path) {
    st_status s = sti_index_text(o, x, path);
    sti_json j = x->json;
    sti_name_table keys;
    uint32_t repeated;
    if (s != ST_OK || !x->metadata) return s;
    ST_MEMSET(&keys, 0, sizeof keys);
    x->pairs = (st_pair *)sti_scratch_take(o, sti_multiply_saturated(x->pair_count, sizeof *x->pairs));
    keys.slots =
        (uint32_t *)sti_scratch_take(o, sti_multiply_saturated(sti_table_slots(x->pair_count), sizeof *keys.slots));
    if (!x->pairs || !keys.slots) return ST_ERR_MEMORY;
    j.at += x->metadata;
    (void)sti_index_metadata(x, &j, x->pairs); /* cannot fail: it was parsed before */
    keys.pairs = x->pairs;
    keys.count = x->pair_count;
    repeated = sti_table_build(&keys, NULL);
    return repeated == STI_ABSENT ? ST_OK : sti_index_repeated(x, sti_table_name(&keys, repeated));
}

/* numbers the shards in the order of their paths: x->weights get the numbers, first[0] to first[*count - 1] a run of
 * weights of each */
STI_NOINLINE static st_status sti_index_number(sti_opening *o, sti_index_file *x, sti_name_table *paths,
                                               uint32_t *first, uint32_t *count) {
    st_pair *runs = (st_pair *)sti_scratch_take(o, sti_multiply_saturated(x->run_count, sizeof *runs));
    uint32_t *same = (uint32_t *)sti_scratch_take(o, sti_multiply_saturated(x->run_count, sizeof *same)), i, run;
    ST_MEMSET(paths, 0, sizeof *paths);
    paths->slots =
        (uint32_t *)sti_scratch_take(o, sti_multiply_saturated(sti_table_slots(x->run_count), sizeof *paths->slots));
    if (!runs || !same || !paths->slots) return ST_ERR_MEMORY;
    paths->pairs = runs;
    paths->count = x->run_count;
    for (i = run = 0; i < x->weight_count; i++) {
        if (i && x->weights[i].shard == x->weights[i - 1].shard) continue;
        runs[run].key = x->text + x->weights[i].shard;
        runs[run].key_bytes = sti_span_of(runs[run].key).n;
        run++;
    }
    (void)sti_table_build(paths, NULL);
    for (run = *count = 0; run < x->run_count; run++) {
        same[run] = sti_table_find(paths, sti_table_name(paths, run)); /* the first run of this path */
        if (same[run] == run) first[(*count)++] = run;
    }
    if (*count > STI_MAX_SHARDS) {
        return sti_fail(o->error, ST_ERR_TOO_LARGE, STI_NO_OFFSET, STI_MAX_SHARDS, *count,
                        STI_TEXT("index of $a shards exceeds the limit of $e"));
    }
    sti_sort(first, *count, sizeof *first, sti_name_before, paths);
    for (i = 0; i < *count; i++) runs[first[i]].value_bytes = i;
    for (i = run = 0; i < x->weight_count; i++) {
        if (x->text + x->weights[i].shard != runs[run].key) run++;
        x->weights[i].shard = (uint32_t)runs[same[run]].value_bytes;
    }
    return ST_OK;
}

/* makes a part of each shard that the index names, with its path */
STI_COLD static st_status sti_index_parts(sti_opening *o, sti_index_file *x) {
    const size_t directory = sti_system_directory(o->said);
    uint32_t *first = (uint32_t *)sti_scratch_take(o, sti_multiply_saturated(x->run_count, sizeof *first)), count, i;
    size_t texts = 0;
    sti_opened_file *parts;
    sti_name_table paths;
    char *text;
    st_status s = first ? sti_index_number(o, x, &paths, first, &count) : ST_ERR_MEMORY;
    if (s != ST_OK) return s;
    for (i = 0; i < count; i++) {
        texts = sti_add_saturated(texts, sti_add_saturated(directory, sti_table_name(&paths, first[i]).n + 1));
    }
    parts = (sti_opened_file *)sti_scratch_take(o, sti_multiply_saturated(count, sizeof *parts));
    text = (char *)sti_scratch_take(o, texts);
    if (!parts || !text) return ST_ERR_MEMORY;
    ST_MEMSET(parts, 0, count * sizeof *parts); /* they were taken with this size */
    for (i = 0; i < count; i++) {
        parts[i].path = text;
        ST_MEMCPY(text, o->said, directory);
        text += directory;
        (void)sti_copy_text(&text, sti_table_name(&paths, first[i]));
    }
    o->sums.pairs = x->pair_count;
    o->sums.text = sti_add_saturated(texts, sti_span_of(o->said).n + 1);
    for (i = 0; i < x->pair_count; i++) {
        const st_pair *p = &x->pairs[i];
        o->sums.text = sti_add_saturated(o->sums.text, sti_add_saturated(p->key_bytes, p->value_bytes + 2));
    }
    o->parts = parts;
    o->part_count = count;
    return ST_OK;
}

/* after its header was read: past the first few a file is closed, but for its mapping */
static void sti_opened_rest(sti_opening *o, sti_opened_file *p, uint32_t number) {
    if (number < STI_KEPT_OPEN) return;
#if !defined(ST_NO_FILES)
    if (o->system && p->io.mapped) sti_system_release(&p->io);
#endif
    if (!p->io.mapped) sti_opened_close(o, p);
}

/* reports the fault of a shard that has one as if the file were alone; the model that was begun goes */
STI_COLD static st_status sti_open_alone(sti_opening *o, sti_opened_file *p) {
    sti_opened_file *parts = o->parts;
    const uint32_t count = o->part_count;
    st_status s;
    sti_deallocate(&o->memory, o->layout.model, o->layout.bytes);
    o->layout.model = NULL;
    o->at = o->parts = p;
    o->part_count = 1;
    ST_MEMSET(&o->sums, 0, sizeof o->sums);
    sti_count(o, &p->header);
    s = sti_open_block(o);
    if (s == ST_OK) s = sti_open_finish(o, p);
    o->parts = parts;
    o->part_count = count;
    return s == ST_OK ? sti_fail_code(o->error, STI_IO_CHANGED, STI_NO_OFFSET, NULL) : s;
}

/* opens a file of the model again: 0 and the same file, to be closed with files->close, or a code */
static int sti_io_again(const st_files *files, const char *path, const st_io *first, st_io *io) {
    int code;
    ST_MEMSET(io, 0, sizeof *io);
    code = (files->open)(files->user, path, io);
    if (code) return code == ST_IO_NOT_FOUND ? STI_IO_CHANGED : code;
    if (sti_is_same_file(io, first) && (io->read_at || io->mapped)) return 0;
    (files->close)(files->user, io);
    return STI_IO_CHANGED;
}

/* parses once more the header of a shard whose scratch was given back: it must hold as much as before */
STI_COLD static st_status sti_open_again(sti_opening *o, sti_opened_file *p) {
    const sti_header before = p->header;
    const sti_layout layout = o->layout;
    const sti_sums sums = o->sums;
    const st_io io = p->io;
    st_status s;
    const int code = sti_io_again(&o->files, p->path, &io, &p->io);
    if (code) {
        p->io = io;
        return sti_fail_code(o->error, code, STI_NO_OFFSET, STI_TEXT("cannot open the file"));
    }
    s = sti_open_part(o, p);
    (o->files.close)(o->files.user, &p->io);
    p->io = io;
    o->sums = sums;
    o->layout = layout;
    if (s != ST_OK || (p->sound == ST_OK && p->header.tensors == before.tensors && p->header.pairs == before.pairs &&
                       p->header.dimensions == before.dimensions && p->header.text_bytes == before.text_bytes)) {
        return s;
    }
    return sti_fail_code(o->error, STI_IO_CHANGED, STI_NO_OFFSET, NULL);
}

/* whether the file system's number of an open file is that of one of the parts before it */
static int sti_opened_twice(const sti_opening *o, uint32_t part, uint32_t *seen) {
    const uint32_t room = 2 * o->part_count;
    const st_io *io = &o->parts[part].io;
    uint32_t at = (uint32_t)(((io->id[0] ^ io->id[1]) * 0x9E3779B97F4A7C15u >> 32) % room);
    if (!(io->id[0] | io->id[1])) return 0;
    for (; seen[at]; at = at + 1 < room ? at + 1 : 0) {
        const st_io *other = &o->parts[seen[at] - 1].io;
        if (io->id[0] == other->id[0] && io->id[1] == other->id[1] && io->bytes == other->bytes) return 1;
    }
    seen[at] = part + 1;
    return 0;
}

/* opens one shard and parses its header */
STI_COLD static st_status sti_open_shard(sti_opening *o, uint32_t part, uint32_t *seen) {
    sti_opened_file *p = &o->parts[part];
    st_status s = sti_open_file(o, p, p->path);
    const sti_span name = sti_drop_first(sti_span_of(p->path), sti_system_directory(o->said));
    if (s == ST_ERR_NOT_FOUND) {
        if (o->flags & ST_OPEN_PARTIAL) return ST_OK;
        (void)sti_fail(o->error, ST_ERR_SHARD, STI_NO_OFFSET, 0, 0,
                       STI_TEXT("shard listed in the index does not exist"));
        sti_error_subject(o->error, name, STI_NAME);
        return ST_ERR_SHARD;
    }
    if (s == ST_OK && o->system && sti_opened_twice(o, part, seen)) { /* no tensor may be in two shards */
        (void)sti_fail(o->error, ST_ERR_SHARD, STI_NO_OFFSET, 0, 0,
                       STI_TEXT("shard is the same file as another shard"));
        sti_error_subject(o->error, name, STI_NAME);
        return ST_ERR_SHARD;
    }
    o->at = p;
    if (s == ST_OK) s = sti_open_part(o, p);
    if (s == ST_OK && p->sound != ST_OK) s = sti_open_alone(o, p);
    if (s == ST_OK) s = sti_open_map(o, &p->io);
    if (s != ST_OK) return sti_open_judge(o, s);
    o->at = NULL;
    sti_opened_rest(o, p, part);
    return ST_OK;
}

/* Opens all shards, to know how large the model is. What was parsed is kept for sti_open_shards only as far as it is
 * little: else the scratch of all shards is more than the model. */
STI_COLD static st_status sti_open_headers(sti_opening *o) {
    const size_t seen_bytes = sti_multiply_saturated(o->part_count, 2 * sizeof(uint32_t));
    uint32_t *seen = (uint32_t *)sti_scratch_take(o, seen_bytes), i;
    size_t kept = 0;
    if (!seen) return ST_ERR_MEMORY;
    ST_MEMSET(seen, 0, seen_bytes);
    if (o->system && o->part_count > STI_MAX_MAPPED && !(o->flags & ST_OPEN_MUST_MAP)) o->flags |= ST_OPEN_NO_MAP;
    for (i = 0; i < o->part_count; i++) {
        sti_chunk *last = o->memory.chunks;
        sti_opened_file *p = &o->parts[i];
        st_status s = sti_open_shard(o, i, seen);
        if (s != ST_OK) return s;
        if (o->sums.tensors > STI_MAX_NAMES || o->sums.pairs > STI_MAX_NAMES) {
            return sti_fail(o->error, ST_ERR_TOO_LARGE, STI_NO_OFFSET, STI_MAX_NAMES, o->sums.tensors,
                            STI_TEXT("more than $e tensors or metadata entries"));
        }
        kept = sti_add_saturated(kept, p->header_bytes);
        if (kept <= STI_KEPT_HEADERS) continue;
        sti_arena_release(&o->memory, last, 0);
        p->text = NULL;
    }
    return ST_OK;
}

/* brings all shards into the model */
STI_COLD static st_status sti_open_shards(sti_opening *o) {
    st_status s = sti_open_block(o);
    uint32_t i;
    for (i = 0; s == ST_OK && i < o->part_count; i++) {
        sti_chunk *last = o->memory.chunks;
        o->at = &o->parts[i];
        if (!o->at->text && o->at->io.bytes) s = sti_open_again(o, o->at);
        if (s == ST_OK && sti_open_finish(o, o->at) != ST_OK) s = sti_open_alone(o, o->at);
        sti_arena_release(&o->memory, last, 0);
    }
    return s;
}

/* a name is there twice: in one shard, which then is refused as it is alone, or in two */
STI_COLD static st_status sti_open_repeated(sti_opening *o, uint32_t item) {
    const sti_name_table *names = &o->layout.model->names;
    const st_tensor *t = names->tensors, *other = t;
    while (!sti_same(sti_table_name(names, (uint32_t)(other - t)), sti_table_name(names, item))) other++;
    if (other->shard == t[item].shard) {
        sti_opened_file *p = o->at = &o->parts[other->shard];
        st_status s = sti_open_again(o, p);
        return s == ST_OK ? sti_open_alone(o, p) : s;
    }
    (void)sti_fail(o->error, ST_ERR_SHARD, STI_NO_OFFSET, 0, 0, STI_TEXT("tensor is in two shards:"));
    sti_error_append(o->error, " ", sti_span_of(o->parts[other->shard].path));
    sti_error_append(o->error, " and ", sti_span_of(o->parts[t[item].shard].path));
    sti_error_subject(o->error, sti_table_name(names, item), STI_NAME);
    return ST_ERR_SHARD;
}

/* indexes the names of all shards, and proves that they are what the index says */
STI_NOINLINE static st_status sti_index_check(sti_opening *o, sti_index_file *x) {
    sti_name_table *names = &o->layout.model->names, *keys = &o->layout.model->keys;
    const st_tensor *t = o->layout.model->open.tensors;
    unsigned char *named = (unsigned char *)sti_scratch_take(o, o->sums.tensors);
    uint32_t items[STI_AHEAD], item, i, k;
    sti_span ahead[STI_AHEAD];
    int absent = 0;
    if (!named) return ST_ERR_MEMORY;
    ST_MEMSET(named, 0, o->sums.tensors);
    if (o->part_count > 1) { /* of one shard alone they are there */
        keys->pairs = o->layout.model->open.shards->metadata;
        keys->count = (uint32_t)o->layout.model->open.shards->metadata_count;
        (void)sti_table_build(keys, NULL);
        names->tensors = t;
        names->count = (uint32_t)o->sums.tensors;
        item = sti_table_build(names, NULL);
        if (item != STI_ABSENT) return sti_open_repeated(o, item);
    }
    for (i = 0; i < x->weight_count; i++) {
        const sti_weight *w = &x->weights[i];
        const sti_opened_file *promised = &o->parts[w->shard];
        const sti_span name = sti_weight_name(x, w);
        if (i % STI_AHEAD == 0) {
            for (k = 0; k < STI_AHEAD && k < x->weight_count - i; k++) ahead[k] = sti_weight_name(x, w + k);
            sti_table_find_many(names, ahead, k, items);
        }
        item = items[i % STI_AHEAD];
        if (item != STI_ABSENT && named[item]++) return sti_index_repeated(x, name);
        if (!promised->io.bytes) { /* it is absent, and may be */
            absent = 1;
            continue;
        }
        if (item != STI_ABSENT && t[item].shard == w->shard) continue;
        (void)sti_fail(o->error, ST_ERR_SHARD, STI_NO_OFFSET, 0, 0,
                       STI_TEXT("the index assigns this tensor to a shard that does not contain it:"));
        sti_error_append(o->error, " ", sti_span_of(promised->path));
        if (item != STI_ABSENT) sti_error_append(o->error, ", and not ", sti_span_of(o->parts[t[item].shard].path));
        sti_error_subject(o->error, name, STI_NAME);
        return ST_ERR_SHARD;
    }
    return absent ? sti_index_unique(o, x, ST_OK) : ST_OK;
}

/* a model of several files, by the path of its index */
STI_COLD static st_status sti_open_list(sti_opening *o, const char *path) {
    sti_index_file index;
    sti_layout *l = &o->layout;
    st_status s;
    uint32_t i;
    o->said = path;
    ST_MEMSET(&index, 0, sizeof index);
    if (o->memory.work) {
        return sti_fail(o->error, ST_ERR_ARGUMENT, STI_NO_OFFSET, 0, 0,
                        STI_TEXT("options.work is for models of one file: set options.allocator instead"));
    }
    if ((s = sti_index_read(o, &index, path)) != ST_OK) return s;
    s = sti_index_parts(o, &index);
    if (s == ST_OK) s = sti_open_headers(o);
    if (s == ST_OK) s = sti_open_shards(o);
    if (s == ST_OK) {
        o->at = NULL;
        s = sti_index_check(o, &index);
    }
    if (s != ST_OK) return sti_index_unique(o, &index, s);
    sti_open_paths(o);
    l->model->said = sti_copy_text(&l->text, sti_span_of(path));
    if (!index.metadata) return ST_OK;
    l->model->open.index = l->pairs;
    l->model->open.index_count = index.pair_count;
    for (i = 0; i < index.pair_count; i++) {
        const st_pair *from = &index.pairs[i];
        sti_span key, value;
        key.at = from->key, value.at = from->value;
        key.n = l->pairs[i].key_bytes = from->key_bytes;
        value.n = l->pairs[i].value_bytes = from->value_bytes;
        l->pairs[i].key = sti_copy_text(&l->text, key);
        l->pairs[i].value = sti_copy_text(&l->text, value);
    }
    return ST_OK;
}

/* ---- directories */

#define STI_NAME_BYTES 768u /* hold every name of a file: on Windows 255 units, each of at most three bytes */

typedef struct sti_listing {        /* what a directory holds, as far as it matters here */
    uint32_t files, indexes;        /* *.safetensors, *.safetensors.index.json */
    int model, index;               /* there is one of the name that comes first */
    int shard;                      /* by its name a file is one of several */
    char *first_file, *first_index; /* in the order of names; "" where there is none; each of STI_NAME_BYTES */
} sti_listing;

/* how many decimal digits a text begins with */
static size_t sti_digits_at(sti_span s) {
    size_t n = 0;
    while (n < s.n && s.at[n] >= '0' && s.at[n] <= '9') n++;
    return n;
}

/* whether a name is that of one of several shards: it holds -NNNNN-of-MMMMM, and M is over 1 */
STI_COLD static int sti_is_shard(sti_span s) {
    for (; s.n; s = sti_drop_first(s, 1)) {
        sti_span rest = sti_drop_first(s, 1);
        size_t n = sti_digits_at(rest);
        if (*s.at != '-' || n < 5) continue;
        rest = sti_drop_first(rest, n);
        if (!sti_starts_with(rest, "-of-", 4)) continue;
        rest = sti_drop_first(rest, 4);
        n = sti_digits_at(rest);
        if (n < 5) continue;
        for (; n > 1 && *rest.at == '0'; n--) rest = sti_drop_first(rest, 1);
        if (n > 1 || *rest.at > '1') return 1;
    }
    return 0;
}

/* keeps the name that comes first */
static void sti_listing_keep(char *first, sti_span name) {
    if (*first && sti_compare(sti_span_of(first), name) <= 0) return;
    (void)sti_copy_text(&first, name);
}

STI_COLD static int sti_listing_add(void *arg, const char *text) {
    sti_listing *l = (sti_listing *)arg;
    const sti_span name = sti_span_of(text);
    if (*text == '.' || name.n >= STI_NAME_BYTES) return 0; /* hidden, no name before the ending, or no name */
    if (sti_ends_with(name, STI_INDEX_END)) {
        l->indexes++;
        l->index |= sti_same(name, sti_span_of("model" STI_INDEX_END));
        sti_listing_keep(l->first_index, name);
    } else if (sti_ends_with(name, STI_MODEL)) {
        l->files++;
        l->model |= sti_same(name, sti_span_of("model" STI_MODEL));
        l->shard |= sti_is_shard(name);
        sti_listing_keep(l->first_file, name);
    }
    return 0;
}

/* a directory in which it is not plain what to open */
STI_COLD static st_status sti_listing_fail(const sti_opening *o, const sti_listing *l) {
    const st_status status = l->files || l->indexes ? ST_ERR_SHARD : ST_ERR_NOT_FOUND;
    (void)sti_fail(
        o->error, status, STI_NO_OFFSET, l->indexes, l->files,
        l->indexes
            ? STI_TEXT("found $e indexes, none called model.safetensors.index.json; open one of them: the first is")
        : l->files > 1 ? STI_TEXT("found $a .safetensors files, but no index and no model.safetensors; the first is")
        : l->files     ? STI_TEXT("found no index for the shard")
                       : STI_TEXT("found no .safetensors file and no index in this directory"));
    if (status == ST_ERR_SHARD) {
        sti_error_append(o->error, " ", sti_span_of(l->indexes ? l->first_index : l->first_file));
    }
    return status;
}

/* puts texts one behind the other, with a NUL at the end; NULL: there is no memory */
static char *sti_join(sti_opening *o, const sti_span *texts, size_t count) {
    size_t n = 1, i;
    char *all, *at;
    for (i = 0; i < count; i++) n = sti_add_saturated(n, texts[i].n);
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
    int code;
    o->said = path;
    ST_MEMSET(&l, 0, sizeof l);
    if (!o->files.list) return sti_fail_code(o->error, ST_IO_NOT_FOUND, STI_NO_OFFSET, NULL);
    l.first_file = (char *)sti_scratch_take(o, 2 * STI_NAME_BYTES);
    if (!l.first_file) return ST_ERR_MEMORY;
    l.first_index = l.first_file + STI_NAME_BYTES;
    *l.first_file = *l.first_index = 0;
    code = (o->files.list)(o->files.user, path, sti_listing_add, &l);
    if (code) return sti_fail_code(o->error, code, STI_NO_OFFSET, STI_TEXT("cannot list the directory"));
    if (!l.model && !l.index && (l.indexes ? l.indexes > 1 : l.files != 1 || l.shard)) return sti_listing_fail(o, &l);
    joined[0] = sti_span_of(path);
    joined[1] = sti_span_of(sti_system_directory(path) == joined[0].n ? "" : "/");
    joined[2] = sti_span_of(l.model     ? "model" STI_MODEL
                            : l.index   ? "model" STI_INDEX_END
                            : l.indexes ? l.first_index
                                        : l.first_file);
    full = sti_join(o, joined, 3);
    if (!full) return ST_ERR_MEMORY;
    if (!l.model && l.indexes) return sti_open_list(o, full);
    o->said = full;
    return sti_open_single(o, full);
}

/* ---- st_open */

/* closes all files again that were opened for a model which there will not be */
static st_status sti_open_shut(sti_opening *o, st_status status) {
    uint32_t i;
    for (i = 0; status != ST_OK && i < o->part_count; i++) sti_opened_close(o, &o->parts[i]);
    return status;
}

/* whose files they are */
static st_status sti_open_files(sti_opening *o, const st_open_options *options) {
    if (options && options->files) {
        o->files = *options->files;
        return ST_OK;
    }
#if defined(ST_NO_FILES)
    return sti_fail(o->error, ST_ERR_UNSUPPORTED, STI_NO_OFFSET, 0, 0,
                    STI_TEXT("built with ST_NO_FILES: set st_open_options.files, or use st_open_memory or st_open_io"));
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
    if (sti_ends_with(sti_span_of(path), ".json")) return sti_open_list(o, path);
    s = sti_open_single(o, path);
    return s == ST_ERR_NOT_FOUND && !o->one.open ? sti_open_directory(o, path) : s; /* a read may say so too */
}

ST_API st_status st_open(st_model **model, const char *path, const st_open_options *options, st_error *error) {
    sti_opening o;
    st_status s = sti_open_begin(&o, model, path ? path : "st_open", options, path != NULL, error);
    if (s == ST_OK) s = sti_open_files(&o, options);
    if (s == ST_OK) s = sti_open_path(&o, path);
    return sti_open_end(&o, model, sti_open_shut(&o, s));
}

/* ---- the hub's cache */

#if !defined(ST_NO_FILES)
/* the value of an environment variable, "" where it is not set; NULL: there is no memory */
STI_COLD static char *sti_hub_variable(sti_opening *o, const char *name) {
    const size_t room = sti_add_saturated(sti_system_variable(name, NULL, 0), 1);
    char *value = (char *)sti_scratch_take(o, room);
    const size_t n = value ? sti_system_variable(name, value, room) : 0;
    /* another thread may be changing the environment: what does not fit any more is as if it were empty */
    if (value && (n == 0 || n >= room)) *value = 0;
    return value;
}

/* the directory of the cache, as the reference tools find it; NULL: there is no memory */
STI_COLD static char *sti_hub_root(sti_opening *o) {
    static const char *const names[] = {"HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "HF_HOME", "XDG_CACHE_HOME"};
    static const char *const behind[] = {"", "", "/hub", "/huggingface/hub", "/.cache/huggingface/hub"};
    const char *value = "~", *home;
    sti_span texts[3];
    size_t i = 0;
    while (i < 4 && !sti_system_variable(names[i], NULL, 0)) i++;
    if (i < 4) value = sti_hub_variable(o, names[i]);
    if (!value) return NULL;
    texts[0] = sti_span_of("");
    texts[1] = sti_span_of(value);
    texts[2] = sti_span_of(behind[i]);
    if (value[0] == '~' && (!value[1] || value[1] == '/' || value[1] == '\\')) {
        home = sti_hub_variable(o, STI_HOME);
        if (!home) return NULL;
        texts[0] = sti_span_of(home);
        if (texts[0].n) texts[1] = sti_drop_first(texts[1], 1);
    }
    return sti_join(o, texts, 3);
}

static int sti_is_commit(sti_span s) {
    size_t i;
    for (i = 0; i < s.n; i++) {
        if (!sti_is_one_of((unsigned char)s.at[i], "0123456789abcdefABCDEF")) return 0;
    }
    return s.n == 40;
}

/* the commit that a revision stands for: what its file in refs holds, or itself */
STI_COLD static st_status sti_hub_commit(sti_opening *o, const char *path, const char *revision, char commit[48]) {
    sti_opened_file *p = o->parts;
    sti_span text = sti_span_of(revision);
    st_status s = sti_open_file(o, p, path);
    int code;
    if (s == ST_ERR_NOT_FOUND && sti_is_commit(text)) {
        ST_MEMCPY(commit, text.at, text.n);
        return ST_OK;
    }
    if (s == ST_ERR_NOT_FOUND) {
        (void)sti_fail(o->error, s, STI_NO_OFFSET, 0, 0, STI_TEXT("revision not found in the cache: missing"));
        sti_error_append(o->error, " ", sti_span_of(path));
    }
    if (s != ST_OK) return s;
    text.at = commit;
    text.n = p->io.bytes <= 48 ? (size_t)p->io.bytes : 0; /* room for a line's end, and no more */
    code = text.n ? sti_io_read(&p->io, 0, commit, text.n) : 0;
    if (code) return sti_fail_code(o->error, code, 0, STI_TEXT("cannot read the revision"));
    sti_opened_close(o, p);
    while (text.n && sti_is_blank(text.at[text.n - 1])) text.n--;
    if (sti_is_commit(text)) return ST_OK;
    (void)sti_fail(o->error, ST_ERR_PATH, STI_NO_OFFSET, 0, 0,
                   STI_TEXT("expected a commit of 40 hexadecimal digits in"));
    sti_error_append(o->error, " ", sti_span_of(path));
    return ST_ERR_PATH;
}

static st_status sti_open_repository(sti_opening *o, const char *repo, const char *revision) {
    sti_span t[8], name = sti_span_of(repo);
    const char *fault = sti_path_fault(name, 0), *path;
    char commit[48];
    st_status s;
    for (t[2] = name, t[2].n = 0; t[2].n < name.n && repo[t[2].n] != '/'; t[2].n++) {}
    t[3] = t[4] = sti_span_of("");
    if (t[2].n < name.n) {
        t[3] = sti_span_of("--");
        t[4] = sti_drop_first(name, t[2].n + 1);
    }
    if (!fault && sti_contains(t[4], sti_span_of("/"))) fault = STI_TEXT("repository is not owner/name or name");
    if (!fault) fault = sti_path_fault(sti_span_of(revision), 0);
    if (fault) return sti_fail(o->error, ST_ERR_PATH, STI_NO_OFFSET, 0, 0, fault);
    t[0].at = sti_hub_root(o);
    if (!t[0].at) return ST_ERR_MEMORY;
    t[0] = sti_span_of(t[0].at);
    t[1] = sti_span_of("/models--");
    t[5] = sti_span_of("/refs/");
    t[6] = sti_span_of(revision);
    if ((path = sti_join(o, t, 7)) == NULL) return ST_ERR_MEMORY;
    if ((s = sti_hub_commit(o, path, revision, commit)) != ST_OK) return s;
    t[5] = sti_span_of("/snapshots/");
    t[6].at = commit;
    t[6].n = 40;
    if ((path = sti_join(o, t, 7)) == NULL) return ST_ERR_MEMORY;
    return sti_open_directory(o, path);
}
#endif

ST_API st_status st_open_hub(st_model **model, const char *repo, const char *revision, const st_open_options *options,
                             st_error *error) {
    sti_opening o;
    st_status s = sti_open_begin(&o, model, repo ? repo : "st_open_hub", options, repo != NULL, error);
#if defined(ST_NO_FILES)
    (void)revision;
    if (s == ST_OK) {
        s = sti_fail(error, ST_ERR_UNSUPPORTED, STI_NO_OFFSET, 0, 0,
                     STI_TEXT("built with ST_NO_FILES: the Hugging Face cache is not available"));
    }
#else
    if (s == ST_OK) s = sti_open_files(&o, options);
    if (s == ST_OK) s = sti_open_repository(&o, repo, revision ? revision : "main");
#endif
    return sti_open_end(&o, model, sti_open_shut(&o, s));
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
    sti_deallocate(&memory, m, m->block_bytes);
}

/* ---- the files of an open model, for the rooms below */

/* what messages call a shard */
static const char *sti_model_path(const sti_model *m, uint32_t shard) {
    const char *path = m->open.shards[shard].path;
    return *path ? path : m->said;
}

/* where the bytes of a shard's file lie in memory, or NULL */
static const unsigned char *sti_model_bytes(const sti_model *m, uint32_t shard) {
    return m->files[shard].bytes;
}

/* opens a shard's file again: 0 and a file to be closed with m->source.close, or a code */
static int sti_model_reopen(const sti_model *m, uint32_t shard, st_io *io) {
    return sti_io_again(&m->source, m->open.shards[shard].path, &m->files[shard].io, io);
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
    code = sti_model_reopen(m, shard, &again);
    if (code) return code;
    code = sti_io_read(&again, offset, dst, n);
    (m->source.close)(m->source.user, &again);
    return code;
}

ST_API const st_tensor *st_find_n(const st_model *model, const char *name, size_t name_bytes) {
    const sti_name_table *x;
    sti_span s;
    uint32_t item;
    if (!model || !name) return NULL;
    x = &((const sti_model *)(const void *)model)->names;
    s.at = name;
    s.n = name_bytes;
    item =
        sti_table_find_hashed(x, 1, s, sti_hash(x, s)); /* inlined here: this is what programs call a thousand times */
    return item == STI_ABSENT ? NULL : &model->tensors[item];
}

ST_API const st_tensor *st_find(const st_model *model, const char *name) {
    return name ? st_find_n(model, name, sti_span_of(name).n) : NULL;
}

ST_API const st_pair *st_find_metadata(const st_model *model, const char *key) {
    uint32_t item;
    if (!model || !key) return NULL;
    item = sti_table_find(&((const sti_model *)(const void *)model)->keys, sti_span_of(key));
    return item == STI_ABSENT ? NULL : &model->metadata[item];
}

/* ---- what a program asks for, and other names for it */

ST_API size_t st_find_all(const st_model *model, const char *const *names, size_t count, const st_tensor **tensors,
                          unsigned char *used) {
    sti_span spans[STI_AHEAD];
    uint32_t items[STI_AHEAD], n, k;
    size_t found = 0, i;
    for (i = 0; i < count; i += n) {
        n = count - i < STI_AHEAD ? (uint32_t)(count - i) : STI_AHEAD;
        for (k = 0; k < n; k++) spans[k] = sti_span_of(names && names[i + k] ? names[i + k] : "");
        for (k = 0; k < n; k++) items[k] = STI_ABSENT;
        if (model) sti_table_find_many(&((const sti_model *)(const void *)model)->names, spans, n, items);
        for (k = 0; k < n; k++) {
            const st_tensor *t = items[k] != STI_ABSENT && names && names[i + k] ? &model->tensors[items[k]] : NULL;
            if (t) found++;
            if (t && used) used[items[k]] = 1;
            if (tensors) tensors[i + k] = t;
        }
    }
    return found;
}

ST_API const st_tensor *st_next_unused(const st_model *model, const unsigned char *used, const st_tensor *after) {
    size_t i;
    if (!model || !used) return NULL;
    for (i = after ? (size_t)(after - model->tensors) + 1 : 0; i < model->count; i++) {
        if (!used[i]) return &model->tensors[i];
    }
    return NULL;
}

typedef struct sti_aliases { /* a walk over them */
    const st_model *model;
    st_alias *aliases; /* NULL: they are counted */
    char *text;
    size_t count, bytes;
} sti_aliases;

/* one of them; its name as it stands in the file, escaped or not */
static void sti_alias_add(sti_aliases *a, sti_span name, int escaped, const st_tensor *tensor) {
    sti_json j = sti_json_inside(name);
    unsigned char out[4];
    size_t n = 0, bytes = 0;
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
    a->bytes = sti_add_saturated(a->bytes, bytes + 1);
}

/* the tensor of a name that stands in JSON text, j at its opening quote; *inside: the name as it stands there */
static const st_tensor *sti_alias_find(const st_model *model, sti_json *j, sti_string *w, sti_span *inside) {
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
STI_COLD static st_status sti_alias_group(sti_aliases *a, sti_json *j) {
    const st_tensor *first = NULL, *t;
    sti_json again = *j;
    sti_span name, canonical = {NULL, 0};
    sti_string w;
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
STI_COLD static st_status sti_alias_sharing(sti_aliases *a, const st_pair *pair) {
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
STI_COLD static st_status sti_alias_walk(sti_aliases *a) {
    const st_model *m = a->model;
    st_status s = ST_OK;
    size_t i;
    for (i = 0; i < m->metadata_count; i++) {
        sti_alias_pair(a, &m->metadata[i], st_find_n(m, m->metadata[i].value, m->metadata[i].value_bytes));
    }
    for (i = 0; s == ST_OK && i < m->index_count; i++) {
        const st_pair *p = &m->index[i];
        sti_span text, inside;
        sti_string w;
        sti_json j;
        text.at = p->key;
        text.n = p->key_bytes;
        if (sti_same(text, sti_span_of("param_sharing"))) {
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

ST_API st_status st_aliases(const st_model *model, const st_buffer *memory, const st_alias **aliases, size_t *count,
                            st_error *error) {
    const sti_model *m = (const sti_model *)(const void *)model;
    st_buffer given = {NULL, 0};
    size_t skipped, need;
    sti_aliases a;
    st_status s;
    if (memory) given = *memory;
    skipped = (8 - (uintptr_t)given.data % 8) % 8;
    if (!model || !aliases || !count || (!given.data && given.bytes)) {
        return sti_fail(error, ST_ERR_ARGUMENT, STI_NO_OFFSET, 0, 0,
                        STI_TEXT("model, aliases and count must not be NULL"));
    }
    ST_MEMSET(&a, 0, sizeof a);
    a.model = model;
    s = sti_alias_walk(&a);
    if (s != ST_OK) {
        (void)sti_fail(error, s, STI_NO_OFFSET, 0, 0,
                       STI_TEXT("param_sharing in the index is not an array of arrays of names"));
        return sti_error_file(error, sti_span_of(m->said), s);
    }
    *aliases = NULL;
    *count = a.count;
    need = sti_add_saturated(skipped, sti_add_saturated(sti_multiply_saturated(a.count, sizeof *a.aliases), a.bytes));
    if (a.count && need > given.bytes) {
        return sti_fail(error, ST_ERR_ARGUMENT, STI_NO_OFFSET, need, given.bytes,
                        STI_TEXT("memory too small: the aliases need $e bytes, $a given"));
    }
    if (a.count) {
        a.aliases = (st_alias *)(void *)((char *)given.data + skipped);
        a.text = (char *)(a.aliases + a.count);
        a.count = 0;
        (void)sti_alias_walk(&a);
    }
    *aliases = a.aliases;
    return sti_succeed(error);
}

#if !defined(ST_NO_CONVERT)

/* ---- 15 numbers -----------------------------------------------------------------------------------------------------
 * Values of one dtype from those of another: one table of formats, one exact form, one rounding, for every pair; and
 * beside it kernels for the pairs that are loaded most.
 * uses: 5, 6, 10, 13
 * ------------------------------------------------------------------------------------------------------------------ */
enum { /* how the codes of a dtype stand for numbers */
       STI_KIND_NONE = 0,
       STI_KIND_BOOL = 1, /* 0, and all else is 1 */
       STI_KIND_UNSIGNED = 2,
       STI_KIND_SIGNED = 3,
       STI_KIND_IEEE = 4, /* infinity where the exponent is all ones, NaNs past it; from here on floats */
       STI_KIND_FN = 5,   /* no infinity; NaN where exponent and fraction are all ones */
       STI_KIND_FNUZ = 6, /* no infinity; NaN in the place of a negative zero */
       STI_KIND_FINITE = 7,
       STI_KIND_POWER = 8 /* 2^exponent, so neither sign nor fraction nor zero; NaN as in FN */
};

typedef struct sti_coding {
    unsigned char kind, exponent, fraction; /* bits of the two */
    short bias;
} sti_coding;

static const sti_coding sti_codings[] = {
    {STI_KIND_NONE, 0, 0, 0},      /* none */
    {STI_KIND_BOOL, 0, 0, 0},      /* BOOL */
    {STI_KIND_FINITE, 2, 1, 1},    /* F4 */
    {STI_KIND_FINITE, 2, 3, 1},    /* F6_E2M3 */
    {STI_KIND_FINITE, 3, 2, 3},    /* F6_E3M2 */
    {STI_KIND_UNSIGNED, 0, 0, 0},  /* U8 */
    {STI_KIND_SIGNED, 0, 0, 0},    /* I8 */
    {STI_KIND_IEEE, 5, 2, 15},     /* F8_E5M2 */
    {STI_KIND_FN, 4, 3, 7},        /* F8_E4M3 */
    {STI_KIND_POWER, 8, 0, 127},   /* F8_E8M0 */
    {STI_KIND_FNUZ, 4, 3, 8},      /* F8_E4M3FNUZ */
    {STI_KIND_FNUZ, 5, 2, 16},     /* F8_E5M2FNUZ */
    {STI_KIND_SIGNED, 0, 0, 0},    /* I16 */
    {STI_KIND_UNSIGNED, 0, 0, 0},  /* U16 */
    {STI_KIND_IEEE, 5, 10, 15},    /* F16 */
    {STI_KIND_IEEE, 8, 7, 127},    /* BF16 */
    {STI_KIND_SIGNED, 0, 0, 0},    /* I32 */
    {STI_KIND_UNSIGNED, 0, 0, 0},  /* U32 */
    {STI_KIND_IEEE, 8, 23, 127},   /* F32 */
    {STI_KIND_NONE, 0, 0, 0},      /* C64 */
    {STI_KIND_IEEE, 11, 52, 1023}, /* F64 */
    {STI_KIND_SIGNED, 0, 0, 0},    /* I64 */
    {STI_KIND_UNSIGNED, 0, 0, 0},  /* U64 */
};

typedef struct sti_number { /* what a code of any dtype stands for, exactly */
    uint64_t significand;   /* bit 63 is set but for zero; of a NaN its fraction, in which bit 63 makes it quiet */
    int exponent;           /* of bit 63: the number is significand * 2^(exponent - 63) */
    unsigned char negative, infinite, nan;
} sti_number;

/* the lowest code, sign left away, that is no finite number */
static uint64_t sti_past_finite(const sti_coding *f) {
    const uint64_t sign = (uint64_t)1 << (f->exponent + f->fraction);
    if (f->kind == STI_KIND_IEEE) return sign - ((uint64_t)1 << f->fraction);
    return f->kind == STI_KIND_FN || f->kind == STI_KIND_POWER ? sign - 1 : sign;
}

/* brings the highest bit of a significand that is not zero to bit 63 */
static void sti_normalize(sti_number *n) {
    unsigned zeros = 0;
#if defined(__GNUC__) || defined(__clang__)
    zeros = (unsigned)__builtin_clzll(n->significand);
#else
    unsigned step;
    for (step = 32; step; step /= 2) {
        if (n->significand << zeros >> (64 - step) == 0) zeros += step;
    }
#endif
    n->significand <<= zeros;
    n->exponent -= (int)zeros;
}

static sti_number sti_decode_integer(const sti_coding *f, unsigned bits, uint64_t code) {
    sti_number n = {0, 63, 0, 0, 0};
    n.negative = f->kind == STI_KIND_SIGNED && code >> (bits - 1);
    n.significand = f->kind == STI_KIND_BOOL ? code != 0 : n.negative ? (~code & UINT64_MAX >> (64 - bits)) + 1 : code;
    if (n.significand) sti_normalize(&n);
    return n;
}

static sti_number sti_decode_float(const sti_coding *f, uint64_t code) {
    const unsigned sign_bit = (unsigned)f->exponent + f->fraction;
    const uint64_t sign = code >> sign_bit; /* a power has eight bits, all below it: none is negative */
    const uint64_t magnitude = code - (sign << sign_bit), past = sti_past_finite(f);
    const int exponent = (int)(magnitude >> f->fraction);
    sti_number n = {0, 0, 0, 0, 0};
    n.negative = sign != 0;
    n.significand = magnitude << (63 - f->fraction); /* the exponent goes out at the top */
    if (magnitude >= past) {
        n.infinite = f->kind == STI_KIND_IEEE && magnitude == past;
        n.nan = !n.infinite;
        n.significand = f->kind == STI_KIND_IEEE ? n.significand << 1 : 0;
    } else if (exponent || f->kind == STI_KIND_POWER) {
        n.significand |= (uint64_t)1 << 63;
        n.exponent = exponent - f->bias;
    } else if (magnitude) {
        n.exponent = 1 - f->bias;
        sti_normalize(&n);
    } else if (f->kind == STI_KIND_FNUZ && sign) {
        n.nan = 1;
        n.negative = 0;
    }
    return n;
}

/* code has no bits above those of the dtype */
static sti_number sti_decode(st_dtype dtype, uint64_t code) {
    const sti_coding *f = &sti_codings[dtype];
    return f->kind < STI_KIND_IEEE ? sti_decode_integer(f, sti_dtypes[dtype].bits, code) : sti_decode_float(f, code);
}

/* n / 2^drop to the nearest integer, to the even one of two that are as near; drop > 0 */
static uint64_t sti_round_off(uint64_t n, unsigned drop) {
    const uint64_t half = (uint64_t)1 << 63;
    uint64_t kept, rest;
    if (drop > 64) return 0; /* under a half */
    kept = drop < 64 ? n >> drop : 0;
    rest = drop < 64 ? n << (64 - drop) : n; /* in 2^64ths */
    return kept + (rest > half || (rest == half && (kept & 1)));
}

static uint64_t sti_encode_float(const sti_coding *f, sti_number n) {
    const uint64_t past = sti_past_finite(f), highest = f->kind == STI_KIND_IEEE ? past : past - 1;
    const uint64_t sign = (uint64_t)n.negative << (f->exponent + f->fraction);
    const int place = n.exponent + f->bias; /* the exponent as the format writes it */
    uint64_t code = 0;
    if (n.nan) {
        const uint64_t quiet = n.significand | (uint64_t)1 << 63;
        if (f->kind == STI_KIND_IEEE) return sign | past | quiet >> (64 - f->fraction);
        return f->kind == STI_KIND_FNUZ ? past : sign | past;
    }
    if (n.infinite) return sign | highest;
    if (n.significand) {
        /* bit 63 adds the 1 that place is lower; a carry goes up into the exponent */
        code = place > 0 ? ((uint64_t)(place - 1) << f->fraction) + sti_round_off(n.significand, 63u - f->fraction)
                         : sti_round_off(n.significand, (unsigned)(64 - f->fraction - place));
        if (code > highest) code = highest;
    }
    return code || f->kind != STI_KIND_FNUZ ? sign | code : 0;
}

/* an integer of that many bits, its sign repeated above them */
static uint64_t sti_encode_integer(const sti_coding *f, unsigned bits, sti_number n) {
    uint64_t most = UINT64_MAX >> (64 - bits), whole = UINT64_MAX;
    if (f->kind == STI_KIND_SIGNED) {
        most = (most >> 1) + n.negative;
    } else if (n.negative) {
        most = 0;
    }
    if (n.nan) return 0;
    if (!n.infinite && n.exponent < 63) {
        whole = sti_round_off(n.significand, (unsigned)(63 - n.exponent));
    } else if (!n.infinite && n.exponent == 63) {
        whole = n.significand;
    }
    if (whole > most) whole = most;
    return n.negative && whole ? ~whole + 1 : whole;
}

static uint64_t sti_encode(st_dtype dtype, sti_number n) {
    const sti_coding *f = &sti_codings[dtype];
    if (f->kind >= STI_KIND_IEEE) return sti_encode_float(f, n);
    if (f->kind == STI_KIND_BOOL) return n.significand || n.infinite || n.nan;
    return sti_encode_integer(f, sti_dtypes[dtype].bits, n);
}

/* the code of the element at that index from src; elements under a byte lie low bits first; `little`: those over one
 * have their low byte first, else the order of this machine */
static uint64_t sti_code_at(const unsigned char *src, uint64_t index, unsigned bits, int little) {
    if (bits < 8) { /* 2 of 4 bits in a byte, or 4 of 6 bits in 3: by whole groups, lest index * 6 be too large */
        const unsigned within = (unsigned)(index % 4) * bits;
        const unsigned char *at = src + (size_t)(index / 4 * (bits / 2)) + within / 8;
        unsigned code = (unsigned)*at >> within % 8;
        if (within % 8 + bits > 8) code |= (unsigned)at[1] << (8 - within % 8);
        return code & ((1u << bits) - 1);
    }
    src += (size_t)index * (bits / 8);
#if STI_BIG_ENDIAN
    if (!little) {
        uint64_t code = 0;
        unsigned i;
        for (i = 0; i < bits; i += 8) code = code << 8 | *src++;
        return code;
    }
#else
    (void)little;
#endif
    switch (bits) {
    case 8: return *src;
    case 16: return (uint64_t)src[0] | (uint64_t)src[1] << 8;
    case 32: return sti_load32(src);
    default: return sti_load64(src);
    }
}

/* the low bits of code as an element in the order of this machine */
static void sti_put_code(unsigned char *dst, unsigned bits, uint64_t code) {
    const uint16_t half = (uint16_t)code;
    const uint32_t word = (uint32_t)code;
    switch (bits) {
    case 8: *dst = (unsigned char)code; break;
    case 16: ST_MEMCPY(dst, &half, 2); break;
    case 32: ST_MEMCPY(dst, &word, 4); break;
    default: ST_MEMCPY(dst, &code, 8);
    }
}

/* whether there is a conversion; both dtypes are known */
static int sti_convertible(st_dtype to, st_dtype from) {
    const unsigned kind = sti_codings[to].kind;
    return to == from || (kind != STI_KIND_NONE && kind < STI_KIND_FINITE && sti_codings[from].kind != STI_KIND_NONE);
}

/* the bytes of that many elements, which fill whole bytes; SIZE_MAX where that is too large */
static size_t sti_packed_bytes(st_dtype dtype, size_t elements) {
    const unsigned bits = sti_dtypes[dtype].bits;
    return bits < 8 ? elements / 4 * (bits / 2) + elements % 4 * bits / 8 : sti_multiply_saturated(elements, bits / 8);
}

/* sti_convert's `how` */
#define STI_FROM_FILE 1u /* src is little-endian, else in the order of this machine */
#define STI_TO_STREAM 2u /* dst is not read again soon: past the cache with it, where the machine can */

#define STI_CACHE_BYTES ((size_t)32 << 20) /* what is as large as this leaves nothing of itself in most caches */

/* one by one: the truth that kernels are held to */
static void sti_convert_each(st_dtype to, unsigned char *dst, st_dtype from, const unsigned char *src, size_t first,
                             size_t n, unsigned how) {
    const unsigned in = sti_dtypes[from].bits, out = sti_dtypes[to].bits;
    size_t i;
    for (i = 0; i < n; i++, dst += out / 8) {
        uint64_t code = sti_code_at(src, first + i, in, (how & STI_FROM_FILE) != 0);
        sti_put_code(dst, out, to == from ? code : sti_encode(to, sti_decode(from, code)));
    }
}

#if STI_SSE2 || STI_NEON

/* The kernels: eight elements at a step, the same codes as above to the last bit. Which pairs have one: */
#define STI_KERNELS(one)                                                                                    \
    one(F32, BF16) one(F32, F16) one(F32, F8_E4M3) one(F32, F8_E5M2) one(F32, F4) one(F32, I8) one(F32, U8) \
        one(F32, F64) one(F64, F32) one(F16, F32) one(BF16, F32) one(F16, BF16) one(BF16, F16)

#define STI_PAIR(to, from) ((unsigned)(to) << 8 | (unsigned)(from))
#define STI_STEP 8u
#define STI_ALIGN 32u /* of the widest store past the cache */

/* E4M3 and E2M1 are the F16 of the same bits in its exponent and fraction, times a power of two */
STI_INLINE float sti_half_scale(st_dtype from) {
    return from == ST_DTYPE_F8_E4M3 ? 256.0f : from == ST_DTYPE_F4 ? 16384.0f : 1.0f;
}

#endif

#if STI_SSE2

typedef struct sti_sse2 { /* eight F32 */
    __m128 low, high;
} sti_sse2;

STI_INLINE __m128i sti_sse2_load(const unsigned char *src) {
    return _mm_loadu_si128((const __m128i *)(const void *)src);
}

STI_INLINE void sti_sse2_store(unsigned char *dst, __m128i v, int stream) {
    if (stream) {
        _mm_stream_si128((__m128i *)(void *)dst, v);
    } else {
        _mm_storeu_si128((__m128i *)(void *)dst, v);
    }
}

STI_INLINE __m128i sti_sse2_choose(__m128i mask, __m128i yes, __m128i no) {
    return _mm_or_si128(_mm_and_si128(mask, yes), _mm_andnot_si128(mask, no));
}

/* eight BF16, their NaNs quiet */
STI_INLINE __m128i sti_sse2_bf16(const unsigned char *src) {
    __m128i v = sti_sse2_load(src);
    __m128i nan = _mm_cmpgt_epi16(_mm_and_si128(v, _mm_set1_epi16(0x7fff)), _mm_set1_epi16(0x7f80));
    return _mm_or_si128(v, _mm_and_si128(nan, _mm_set1_epi16(0x40)));
}

/* eight F16 that are the elements over sti_half_scale */
STI_INLINE __m128i sti_sse2_halves(st_dtype from, const unsigned char *src) {
    const __m128i zero = _mm_setzero_si128();
    __m128i v, low;
    int four;
    switch ((int)from) {
    case ST_DTYPE_F16: return sti_sse2_load(src);
    case ST_DTYPE_F8_E5M2: return _mm_unpacklo_epi8(zero, _mm_loadl_epi64((const __m128i *)(const void *)src));
    case ST_DTYPE_F8_E4M3:
        v = _mm_unpacklo_epi8(_mm_loadl_epi64((const __m128i *)(const void *)src), zero);
        low = _mm_and_si128(v, _mm_set1_epi16(0x7f));
        v = _mm_slli_epi16(_mm_xor_si128(v, low), 8);
        /* 0x7f is NaN: 0x3f80 and what lacks to 0x7e00 */
        v = _mm_or_si128(v, _mm_and_si128(_mm_cmpeq_epi16(low, _mm_set1_epi16(0x7f)), _mm_set1_epi16(0x3e80)));
        return _mm_add_epi16(v, _mm_slli_epi16(low, 7));
    default: /* F4 */
        ST_MEMCPY(&four, src, 4);
        v = _mm_cvtsi32_si128(four);
        v = _mm_unpacklo_epi8(_mm_unpacklo_epi8(v, _mm_srli_epi16(v, 4)), zero);
        low = _mm_slli_epi16(_mm_and_si128(v, _mm_set1_epi16(7)), 9);
        return _mm_or_si128(low, _mm_slli_epi16(_mm_and_si128(v, _mm_set1_epi16(8)), 12));
    }
}

/* four F16, each in the low half of 32 bits */
STI_INLINE __m128 sti_sse2_from_half(__m128i half) {
    const __m128i bias = _mm_set1_epi32(112 << 23), least = _mm_set1_epi32(113 << 23); /* 2^-14, the least normal one */
    __m128i magnitude = _mm_slli_epi32(_mm_and_si128(half, _mm_set1_epi32(0x7fff)), 13);
    __m128i sign = _mm_slli_epi32(_mm_srli_epi32(half, 15), 31);
    __m128i special = _mm_and_si128(_mm_cmpgt_epi32(magnitude, _mm_set1_epi32(0x0f7fffff)), bias);
    __m128i quiet = _mm_and_si128(_mm_cmpgt_epi32(magnitude, _mm_set1_epi32(0x0f800000)), _mm_set1_epi32(0x400000));
    __m128i normal = _mm_or_si128(_mm_add_epi32(_mm_add_epi32(magnitude, bias), special), quiet);
    /* the fraction below the bits of 2^-14, and then 2^-14 taken off */
    __m128 sum = _mm_castsi128_ps(_mm_add_epi32(magnitude, least));
    __m128i subnormal = _mm_castps_si128(_mm_sub_ps(sum, _mm_castsi128_ps(least)));
    __m128i tiny = _mm_cmpgt_epi32(_mm_set1_epi32(0x00800000), magnitude);
    return _mm_castsi128_ps(_mm_or_si128(sign, sti_sse2_choose(tiny, subnormal, normal)));
}

/* four F16, the sign of each filling the upper half of 32 bits */
STI_INLINE __m128i sti_sse2_to_half(__m128 value) {
    const __m128i x = _mm_castps_si128(value), magnitude = _mm_and_si128(x, _mm_set1_epi32(0x7fffffff));
    const __m128i nan = _mm_cmpgt_epi32(magnitude, _mm_set1_epi32(0x7f800000));
    const __m128i large = _mm_cmpgt_epi32(magnitude, _mm_set1_epi32(0x477fffff)); /* from 2^16 on */
    const __m128i tiny = _mm_cmpgt_epi32(_mm_set1_epi32(113 << 23), magnitude);   /* under 2^-14 */
    const __m128i bits = _mm_srli_epi32(magnitude, 13), odd = _mm_and_si128(bits, _mm_set1_epi32(1));
    /* under half of the last bit is added, and one more where it is odd; a carry into infinity is what overflow is */
    __m128i normal = _mm_add_epi32(_mm_add_epi32(magnitude, odd), _mm_set1_epi32(0xfff - (112 << 23)));
    /* beside 1/2 the last bit is worth 2^-24, as in a subnormal F16, and the sum is rounded to it */
    const __m128 half = _mm_set1_ps(0.5f);
    __m128i subnormal = _mm_castps_si128(_mm_add_ps(_mm_castsi128_ps(magnitude), half));
    __m128i payload = _mm_or_si128(_mm_and_si128(bits, _mm_set1_epi32(0x3ff)), _mm_set1_epi32(0x200));
    __m128i special = _mm_or_si128(_mm_and_si128(nan, payload), _mm_set1_epi32(0x7c00));
    subnormal = _mm_sub_epi32(subnormal, _mm_castps_si128(half));
    normal = sti_sse2_choose(tiny, subnormal, _mm_srli_epi32(normal, 13));
    return _mm_or_si128(sti_sse2_choose(large, special, normal), _mm_slli_epi32(_mm_srai_epi32(x, 31), 15));
}

/* four BF16, the sign of each filling the upper half of 32 bits */
STI_INLINE __m128i sti_sse2_to_bf16(__m128 value) {
    const __m128i x = _mm_castps_si128(value), magnitude = _mm_and_si128(x, _mm_set1_epi32(0x7fffffff));
    const __m128i nan = _mm_cmpgt_epi32(magnitude, _mm_set1_epi32(0x7f800000));
    const __m128i odd = _mm_and_si128(_mm_srli_epi32(x, 16), _mm_set1_epi32(1));
    __m128i rounded = _mm_add_epi32(_mm_add_epi32(x, odd), _mm_set1_epi32(0x7fff));
    return _mm_srai_epi32(sti_sse2_choose(nan, _mm_or_si128(x, _mm_set1_epi32(0x400000)), rounded), 16);
}

STI_INLINE sti_sse2 sti_sse2_get(st_dtype from, const unsigned char *src) {
    const __m128i zero = _mm_setzero_si128();
    __m128i v;
    sti_sse2 x;
    switch ((int)from) {
    case ST_DTYPE_F32:
        x.low = _mm_castsi128_ps(sti_sse2_load(src));
        x.high = _mm_castsi128_ps(sti_sse2_load(src + 16));
        return x;
    case ST_DTYPE_F64:
        x.low = _mm_movelh_ps(_mm_cvtpd_ps(_mm_castsi128_pd(sti_sse2_load(src))),
                              _mm_cvtpd_ps(_mm_castsi128_pd(sti_sse2_load(src + 16))));
        x.high = _mm_movelh_ps(_mm_cvtpd_ps(_mm_castsi128_pd(sti_sse2_load(src + 32))),
                               _mm_cvtpd_ps(_mm_castsi128_pd(sti_sse2_load(src + 48))));
        return x;
    case ST_DTYPE_BF16:
        v = sti_sse2_bf16(src);
        x.low = _mm_castsi128_ps(_mm_unpacklo_epi16(zero, v));
        x.high = _mm_castsi128_ps(_mm_unpackhi_epi16(zero, v));
        return x;
    case ST_DTYPE_I8:
    case ST_DTYPE_U8: /* in the upper half of 16 bits, then of 32, and down again */
        v = _mm_unpacklo_epi8(zero, _mm_loadl_epi64((const __m128i *)(const void *)src));
        v = from == ST_DTYPE_I8 ? _mm_srai_epi16(v, 8) : _mm_srli_epi16(v, 8);
        x.low = _mm_cvtepi32_ps(_mm_srai_epi32(_mm_unpacklo_epi16(zero, v), 16));
        x.high = _mm_cvtepi32_ps(_mm_srai_epi32(_mm_unpackhi_epi16(zero, v), 16));
        return x;
    default:
        v = sti_sse2_halves(from, src);
        x.low = _mm_mul_ps(sti_sse2_from_half(_mm_unpacklo_epi16(v, zero)), _mm_set1_ps(sti_half_scale(from)));
        x.high = _mm_mul_ps(sti_sse2_from_half(_mm_unpackhi_epi16(v, zero)), _mm_set1_ps(sti_half_scale(from)));
        return x;
    }
}

STI_INLINE void sti_sse2_put(st_dtype to, unsigned char *dst, sti_sse2 x, int stream) {
    switch ((int)to) {
    case ST_DTYPE_F32:
        sti_sse2_store(dst, _mm_castps_si128(x.low), stream);
        sti_sse2_store(dst + 16, _mm_castps_si128(x.high), stream);
        break;
    case ST_DTYPE_F64:
        sti_sse2_store(dst, _mm_castpd_si128(_mm_cvtps_pd(x.low)), stream);
        sti_sse2_store(dst + 16, _mm_castpd_si128(_mm_cvtps_pd(_mm_movehl_ps(x.low, x.low))), stream);
        sti_sse2_store(dst + 32, _mm_castpd_si128(_mm_cvtps_pd(x.high)), stream);
        sti_sse2_store(dst + 48, _mm_castpd_si128(_mm_cvtps_pd(_mm_movehl_ps(x.high, x.high))), stream);
        break;
    case ST_DTYPE_BF16:
        sti_sse2_store(dst, _mm_packs_epi32(sti_sse2_to_bf16(x.low), sti_sse2_to_bf16(x.high)), stream);
        break;
    default: /* F16 */ sti_sse2_store(dst, _mm_packs_epi32(sti_sse2_to_half(x.low), sti_sse2_to_half(x.high)), stream);
    }
}

STI_INLINE size_t sti_sse2_loop(st_dtype to, unsigned char *dst, st_dtype from, const unsigned char *src, size_t n,
                                int stream) {
    const size_t in = sti_dtypes[from].bits, out = sti_dtypes[to].bits; /* as many bytes have eight elements */
    size_t done;
    for (done = 0; n - done >= STI_STEP; done += STI_STEP, dst += out, src += in) {
        sti_sse2_put(to, dst, sti_sse2_get(from, src), stream);
    }
    return done;
}

/* converts the whole steps of n elements and gives how many those are: 0 where the pair has no kernel */
STI_NOINLINE static size_t sti_sse2_convert(st_dtype to, unsigned char *dst, st_dtype from, const unsigned char *src,
                                            size_t n, int stream) {
#define STI_ONE(to_, from_)                          \
    case STI_PAIR(ST_DTYPE_##to_, ST_DTYPE_##from_): \
        return sti_sse2_loop(ST_DTYPE_##to_, dst, ST_DTYPE_##from_, src, n, stream);
    switch (STI_PAIR(to, from)) {
        STI_KERNELS(STI_ONE)
    default: return 0;
    }
#undef STI_ONE
}

#endif /* STI_SSE2 */

#if STI_AVX2

STI_INLINE STI_TARGET_AVX2 __m256 sti_avx2_get(st_dtype to, st_dtype from, const unsigned char *src) {
    const __m128i *const eight = (const __m128i *)(const void *)src;
    __m128i half;
    switch ((int)from) {
    case ST_DTYPE_F32: return _mm256_loadu_ps((const float *)(const void *)src);
    case ST_DTYPE_F64: {
        __m128 low = _mm256_cvtpd_ps(_mm256_loadu_pd((const double *)(const void *)src));
        __m128 high = _mm256_cvtpd_ps(_mm256_loadu_pd((const double *)(const void *)(src + 32)));
        return _mm256_insertf128_ps(_mm256_castps128_ps256(low), high, 1);
    }
    case ST_DTYPE_BF16: /* the conversion to F16 makes NaNs quiet itself */
        half = to == ST_DTYPE_F16 ? sti_sse2_load(src) : sti_sse2_bf16(src);
        return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(half), 16));
    case ST_DTYPE_I8: return _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_loadl_epi64(eight)));
    case ST_DTYPE_U8: return _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(_mm_loadl_epi64(eight)));
    default: return _mm256_mul_ps(_mm256_cvtph_ps(sti_sse2_halves(from, src)), _mm256_set1_ps(sti_half_scale(from)));
    }
}

/* as sti_sse2_to_bf16, but eight codes of 16 bits */
STI_INLINE STI_TARGET_AVX2 __m128i sti_avx2_to_bf16(__m256 value) {
    const __m256i x = _mm256_castps_si256(value), magnitude = _mm256_and_si256(x, _mm256_set1_epi32(0x7fffffff));
    const __m256i nan = _mm256_cmpgt_epi32(magnitude, _mm256_set1_epi32(0x7f800000));
    const __m256i odd = _mm256_and_si256(_mm256_srli_epi32(x, 16), _mm256_set1_epi32(1));
    __m256i v = _mm256_add_epi32(_mm256_add_epi32(x, odd), _mm256_set1_epi32(0x7fff));
    /* not blendv: gcc 12 gets that wrong where plain char is unsigned */
    v = _mm256_or_si256(_mm256_andnot_si256(nan, v),
                        _mm256_and_si256(nan, _mm256_or_si256(x, _mm256_set1_epi32(0x400000))));
    v = _mm256_srli_epi32(v, 16);
    return _mm_packus_epi32(_mm256_castsi256_si128(v), _mm256_extracti128_si256(v, 1));
}

STI_INLINE STI_TARGET_AVX2 void sti_avx2_store(unsigned char *dst, __m256i v, int stream) {
    if (stream) {
        _mm256_stream_si256((__m256i *)(void *)dst, v);
    } else {
        _mm256_storeu_si256((__m256i *)(void *)dst, v);
    }
}

STI_INLINE STI_TARGET_AVX2 void sti_avx2_put(st_dtype to, unsigned char *dst, __m256 x, int stream) {
    switch ((int)to) {
    case ST_DTYPE_F32: sti_avx2_store(dst, _mm256_castps_si256(x), stream); break;
    case ST_DTYPE_F64:
        sti_avx2_store(dst, _mm256_castpd_si256(_mm256_cvtps_pd(_mm256_castps256_ps128(x))), stream);
        sti_avx2_store(dst + 32, _mm256_castpd_si256(_mm256_cvtps_pd(_mm256_extractf128_ps(x, 1))), stream);
        break;
    case ST_DTYPE_BF16: sti_sse2_store(dst, sti_avx2_to_bf16(x), stream); break;
    default: sti_sse2_store(dst, _mm256_cvtps_ph(x, _MM_FROUND_TO_NEAREST_INT), stream); /* F16 */
    }
}

STI_INLINE STI_TARGET_AVX2 size_t sti_avx2_loop(st_dtype to, unsigned char *dst, st_dtype from,
                                                const unsigned char *src, size_t n, int stream) {
    const size_t in = sti_dtypes[from].bits, out = sti_dtypes[to].bits;
    size_t done;
    for (done = 0; n - done >= STI_STEP; done += STI_STEP, dst += out, src += in) {
        sti_avx2_put(to, dst, sti_avx2_get(to, from, src), stream);
    }
    return done;
}

STI_NOINLINE STI_TARGET_AVX2 static size_t sti_avx2_convert(st_dtype to, unsigned char *dst, st_dtype from,
                                                            const unsigned char *src, size_t n, int stream) {
#define STI_ONE(to_, from_)                          \
    case STI_PAIR(ST_DTYPE_##to_, ST_DTYPE_##from_): \
        return sti_avx2_loop(ST_DTYPE_##to_, dst, ST_DTYPE_##from_, src, n, stream);
    switch (STI_PAIR(to, from)) {
        STI_KERNELS(STI_ONE)
    default: return 0;
    }
#undef STI_ONE
}

#endif /* STI_AVX2 */

#if STI_NEON

typedef struct sti_neon { /* eight F32 */
    float32x4_t low, high;
} sti_neon;

/* eight F16 that are the elements over sti_half_scale */
STI_INLINE uint16x8_t sti_neon_halves(st_dtype from, const unsigned char *src) {
    uint16x8_t v, low;
    uint8x8_t bytes;
    uint32_t four;
    switch ((int)from) {
    case ST_DTYPE_F16: return vreinterpretq_u16_u8(vld1q_u8(src));
    case ST_DTYPE_F8_E5M2: return vshll_n_u8(vld1_u8(src), 8);
    case ST_DTYPE_F8_E4M3:
        v = vmovl_u8(vld1_u8(src));
        low = vandq_u16(v, vdupq_n_u16(0x7f));
        v = vshlq_n_u16(veorq_u16(v, low), 8);
        /* 0x7f is NaN: 0x3f80 and what lacks to 0x7e00 */
        v = vorrq_u16(v, vandq_u16(vceqq_u16(low, vdupq_n_u16(0x7f)), vdupq_n_u16(0x3e80)));
        return vaddq_u16(v, vshlq_n_u16(low, 7));
    default: /* F4 */
        ST_MEMCPY(&four, src, 4);
        bytes = vreinterpret_u8_u32(vdup_n_u32(four));
        v = vmovl_u8(vzip1_u8(bytes, vshr_n_u8(bytes, 4)));
        low = vshlq_n_u16(vandq_u16(v, vdupq_n_u16(7)), 9);
        return vorrq_u16(low, vshlq_n_u16(vandq_u16(v, vdupq_n_u16(8)), 12));
    }
}

/* four BF16 */
STI_INLINE uint16x4_t sti_neon_to_bf16(float32x4_t value) {
    const uint32x4_t x = vreinterpretq_u32_f32(value), magnitude = vandq_u32(x, vdupq_n_u32(0x7fffffff));
    const uint32x4_t nan = vcgtq_u32(magnitude, vdupq_n_u32(0x7f800000));
    const uint32x4_t odd = vandq_u32(vshrq_n_u32(x, 16), vdupq_n_u32(1));
    uint32x4_t rounded = vaddq_u32(vaddq_u32(x, odd), vdupq_n_u32(0x7fff));
    return vshrn_n_u32(vbslq_u32(nan, vorrq_u32(x, vdupq_n_u32(0x400000)), rounded), 16);
}

STI_INLINE sti_neon sti_neon_get(st_dtype from, const unsigned char *src) {
    uint16x8_t v, nan;
    int16x8_t i;
    sti_neon x;
    switch ((int)from) {
    case ST_DTYPE_F32:
        x.low = vreinterpretq_f32_u8(vld1q_u8(src));
        x.high = vreinterpretq_f32_u8(vld1q_u8(src + 16));
        return x;
    case ST_DTYPE_F64:
        x.low = vcombine_f32(vcvt_f32_f64(vreinterpretq_f64_u8(vld1q_u8(src))),
                             vcvt_f32_f64(vreinterpretq_f64_u8(vld1q_u8(src + 16))));
        x.high = vcombine_f32(vcvt_f32_f64(vreinterpretq_f64_u8(vld1q_u8(src + 32))),
                              vcvt_f32_f64(vreinterpretq_f64_u8(vld1q_u8(src + 48))));
        return x;
    case ST_DTYPE_BF16: /* its NaNs are made quiet */
        v = vreinterpretq_u16_u8(vld1q_u8(src));
        nan = vcgtq_u16(vandq_u16(v, vdupq_n_u16(0x7fff)), vdupq_n_u16(0x7f80));
        v = vorrq_u16(v, vandq_u16(nan, vdupq_n_u16(0x40)));
        x.low = vreinterpretq_f32_u32(vshll_n_u16(vget_low_u16(v), 16));
        x.high = vreinterpretq_f32_u32(vshll_n_u16(vget_high_u16(v), 16));
        return x;
    case ST_DTYPE_I8:
    case ST_DTYPE_U8:
        i = from == ST_DTYPE_I8 ? vmovl_s8(vreinterpret_s8_u8(vld1_u8(src)))
                                : vreinterpretq_s16_u16(vmovl_u8(vld1_u8(src)));
        x.low = vcvtq_f32_s32(vmovl_s16(vget_low_s16(i)));
        x.high = vcvtq_f32_s32(vmovl_s16(vget_high_s16(i)));
        return x;
    default:
        v = sti_neon_halves(from, src);
        x.low = vcvt_f32_f16(vreinterpret_f16_u16(vget_low_u16(v)));
        x.high = vcvt_f32_f16(vreinterpret_f16_u16(vget_high_u16(v)));
        x.low = vmulq_n_f32(x.low, sti_half_scale(from));
        x.high = vmulq_n_f32(x.high, sti_half_scale(from));
        return x;
    }
}

STI_INLINE void sti_neon_put(st_dtype to, unsigned char *dst, sti_neon x) {
    switch ((int)to) {
    case ST_DTYPE_F32:
        vst1q_u8(dst, vreinterpretq_u8_f32(x.low));
        vst1q_u8(dst + 16, vreinterpretq_u8_f32(x.high));
        break;
    case ST_DTYPE_F64:
        vst1q_u8(dst, vreinterpretq_u8_f64(vcvt_f64_f32(vget_low_f32(x.low))));
        vst1q_u8(dst + 16, vreinterpretq_u8_f64(vcvt_high_f64_f32(x.low)));
        vst1q_u8(dst + 32, vreinterpretq_u8_f64(vcvt_f64_f32(vget_low_f32(x.high))));
        vst1q_u8(dst + 48, vreinterpretq_u8_f64(vcvt_high_f64_f32(x.high)));
        break;
    case ST_DTYPE_BF16:
        vst1q_u8(dst, vreinterpretq_u8_u16(vcombine_u16(sti_neon_to_bf16(x.low), sti_neon_to_bf16(x.high))));
        break;
    default: /* F16 */
        vst1_u8(dst, vreinterpret_u8_f16(vcvt_f16_f32(x.low)));
        vst1_u8(dst + 8, vreinterpret_u8_f16(vcvt_f16_f32(x.high)));
    }
}

STI_INLINE size_t sti_neon_loop(st_dtype to, unsigned char *dst, st_dtype from, const unsigned char *src, size_t n) {
    const size_t in = sti_dtypes[from].bits, out = sti_dtypes[to].bits; /* as many bytes have eight elements */
    size_t done;
    for (done = 0; n - done >= STI_STEP; done += STI_STEP, dst += out, src += in) {
        sti_neon_put(to, dst, sti_neon_get(from, src));
    }
    return done;
}

/* converts the whole steps of n elements and gives how many those are: 0 where the pair has no kernel */
STI_NOINLINE static size_t sti_neon_convert(st_dtype to, unsigned char *dst, st_dtype from, const unsigned char *src,
                                            size_t n, int stream) {
    (void)stream; /* there are no such stores in C */
#define STI_ONE(to_, from_)                          \
    case STI_PAIR(ST_DTYPE_##to_, ST_DTYPE_##from_): \
        return sti_neon_loop(ST_DTYPE_##to_, dst, ST_DTYPE_##from_, src, n);
    switch (STI_PAIR(to, from)) {
        STI_KERNELS(STI_ONE)
    default: return 0;
    }
#undef STI_ONE
}

#endif /* STI_NEON */

#if STI_SSE2 || STI_NEON

typedef size_t (*sti_kernel)(st_dtype to, unsigned char *dst, st_dtype from, const unsigned char *src, size_t n,
                             int stream);

static sti_kernel sti_kernel_choose(void) {
#if STI_NEON
    return sti_neon_convert;
#else
#if STI_AVX2
    if (sti_system_has_avx2()) return sti_avx2_convert;
#endif
    return sti_sse2_convert;
#endif
}

/* Kernels add, multiply and convert floats, and want rounding to nearest, subnormal numbers and silence about faults,
 * whatever the program has set; gives back what that was. */
static uint64_t sti_float_mode(uint64_t mode) {
#if STI_NEON
    uint64_t was;
    __asm__ volatile("mrs %0, fpcr\n\tmsr fpcr, %1" : "=&r"(was) : "r"(mode) : "memory");
    return was;
#else
    const unsigned was = _mm_getcsr();
    _mm_setcsr((unsigned)mode);
    return was;
#endif
}

/* through F32, which holds each number of `from` as it is, a piece at a time: the whole steps of n elements, or none */
static size_t sti_convert_twice(sti_kernel kernel, st_dtype to, unsigned char *dst, st_dtype from,
                                const unsigned char *src, size_t n, int stream) {
    unsigned char piece[64 * 4];
    size_t done, part;
    if (from == ST_DTYPE_F64 || (to != ST_DTYPE_F16 && to != ST_DTYPE_BF16 && to != ST_DTYPE_F64)) return 0;
    for (done = 0; n - done >= STI_STEP; done += part) {
        part = kernel(ST_DTYPE_F32, piece, from, src, n - done < 64 ? n - done : 64, 0);
        if (part == 0) break;
        (void)kernel(to, dst, ST_DTYPE_F32, piece, part, stream);
        dst += part / 8 * sti_dtypes[to].bits;
        src += part / 8 * sti_dtypes[from].bits;
    }
    return done;
}

/* How many elements go one by one, so that the next begins with a byte and, where *stream is set, lies at a multiple of
 * STI_ALIGN: at most 1, or fewer than STI_ALIGN. *stream becomes 0 where no element lies there. */
static size_t sti_lead(st_dtype to, const unsigned char *dst, st_dtype from, size_t first, int *stream) {
    const size_t size = sti_dtypes[to].bits / 8, past = (uintptr_t)dst % STI_ALIGN;
    const size_t odd = sti_dtypes[from].bits < 8 ? first % 2 : 0, lead = (STI_ALIGN - past) % STI_ALIGN / size;
    if (*stream && (past % size || (sti_dtypes[from].bits < 8 && lead % 2 != odd))) *stream = 0;
    return *stream ? lead : odd;
}

/* converts as many elements as kernels can and gives their number; the first begins with a byte; `stream`: past the
 * cache, dst being at a multiple of STI_ALIGN */
static size_t sti_convert_wide(st_dtype to, unsigned char *dst, st_dtype from, const unsigned char *src, size_t n,
                               int stream) {
    const sti_kernel kernel = sti_kernel_choose();
    const uint64_t was = sti_float_mode(STI_NEON ? 0 : 0x1f80); /* what both have when a program starts */
    size_t done = kernel(to, dst, from, src, n, stream);
    if (done == 0) done = sti_convert_twice(kernel, to, dst, from, src, n, stream);
    (void)sti_float_mode(was);
#if STI_SSE2
    if (stream) _mm_sfence();
#endif
    return done;
}

#endif /* STI_SSE2 || STI_NEON */

/* The elements of src from the one at `first` on, as `to`, packed at dst in the order of this machine. The pair is
 * convertible; src and dst have the bytes and do not overlap. Of a dtype to itself, first and elements fill whole
 * bytes. */
static void sti_convert(st_dtype to, void *dst, st_dtype from, const void *src, size_t first, size_t elements,
                        unsigned how) {
    const unsigned char *s = (const unsigned char *)src;
    unsigned char *d = (unsigned char *)dst;
    if (to == ST_DTYPE_C64) { /* two of F32 each, which no size that fits makes too large */
        to = from = ST_DTYPE_F32;
        first *= 2;
        elements *= 2;
    }
    if (to == from && (sti_dtypes[to].bits <= 8 || !STI_BIG_ENDIAN || !(how & STI_FROM_FILE))) {
        if (elements) ST_MEMCPY(d, s + sti_packed_bytes(from, first), sti_packed_bytes(to, elements));
        return;
    }
#if STI_SSE2 || STI_NEON
    if (elements >= STI_STEP) {
        int stream = (how & STI_TO_STREAM) && elements >= STI_ALIGN; /* which is more than can come before */
        size_t done = sti_lead(to, d, from, first, &stream);
        sti_convert_each(to, d, from, s, first, done, how);
        d += sti_packed_bytes(to, done);
        first += done;
        elements -= done;
        done = sti_convert_wide(to, d, from, s + sti_packed_bytes(from, first), elements, stream);
        d += sti_packed_bytes(to, done);
        first += done;
        elements -= done;
    }
#endif
    sti_convert_each(to, d, from, s, first, elements, how);
}

ST_API st_status st_convert(st_dtype to, void *dst, st_dtype from, const void *src, size_t elements) {
    if (!st_dtype_bits(to) || !st_dtype_bits(from)) return ST_ERR_ARGUMENT;
    if (!sti_convertible(to, from)) return ST_ERR_UNSUPPORTED;
    if (elements % 4 * st_dtype_bits(from) % 8) return ST_ERR_SUBBYTE;
    if (sti_packed_bytes(to, elements) == SIZE_MAX || sti_packed_bytes(from, elements) == SIZE_MAX) {
        return ST_ERR_ARGUMENT;
    }
    if (elements && (!dst || !src)) return ST_ERR_ARGUMENT;
    sti_convert(to, dst, from, src, 0, elements, sti_packed_bytes(to, elements) >= STI_CACHE_BYTES ? STI_TO_STREAM : 0);
    return ST_OK;
}

#endif /* ST_NO_CONVERT */

/* ---- 16 access ------------------------------------------------------------------------------------------------------
 * Reads tensors and views of tensors, one at a time or many in one call, and passes advice to the system.
 * uses: 5, 6, 7, 8, 9, 10, 12, 13, 14, 15
 * ------------------------------------------------------------------------------------------------------------------ */

#define STI_VIEW_AXES 24u         /* axes of a view after merging; masks of axes have 32 bits */
#define STI_PIECE_BYTES 256u      /* stack buffer for elements being converted; a multiple of 8 */
#define STI_WINDOW_BYTES 1048576u /* buffer for data that is not in memory: large requests that stay in the CPU cache */
#define STI_GAP_BYTES 65536u      /* unwanted bytes up to this many are read through, which is cheaper than a request */
#define STI_REQUEST_BYTES 8388608u /* largest request straight into dst; also how far to prefetch */
#define STI_PREFETCH_BYTES 131072u /* largest request to read ahead that Linux does not truncate on common devices */
#define STI_MERGE_BYTES 262144u    /* items up to this size share a request with their neighbors */
#define STI_RUN_ALIGN 12288u       /* long runs are cut at multiples of this: whole pages, whole elements of any size */
#define STI_STREAM_ROW 1024u       /* elements of a row from which stores may bypass the cache */
#define STI_LONG_ROW 16u           /* elements of a row from which a call of sti_convert per row pays off */
#define STI_TILE_ROWS 32u          /* size of the tiles of a transposition: fits the L1 cache */
#define STI_TILE_COLUMNS 16u
#define STI_TILE_CONVERT_COLUMNS 128u /* wider where each row costs a call of sti_convert */

/* ---- views: checked, and reduced to as few axes as possible */

typedef struct sti_axis {
    uint64_t extent;      /* 2 or more; for a divided axis, the indices in the current part */
    uint64_t source_step; /* elements between neighboring indices in the source */
    uint64_t dst_step;    /* the same in dst */
    uint64_t index;       /* position of the walk in sti_view_move; 0 outside of it */
} sti_axis;

/* A view as a set of nested axes. axes[0..inner) make up a part, which is moved at once; parts are numbered along the
 * other axes in the order of the source. An axis may be divided into blocks: axes[inner - 1] then counts the elements
 * of one block and axes[inner] the blocks. */
typedef struct sti_view {
    st_dtype from, to;      /* equal if elements are copied */
    unsigned bits;          /* per element of the source; a multiple of 8 if elements are copied */
    unsigned bytes;         /* per element of dst */
    unsigned swap;          /* bytes per unit of byte order, if elements are copied */
    unsigned convert_flags; /* for sti_convert of long rows */
    uint32_t rank;
    uint32_t inner;
    uint64_t divided_extent; /* extent of axes[inner - 1] before its division; 0: no axis is divided */
    uint64_t block_extent;
    uint64_t source_begin; /* first element of the view in the source */
    uint64_t source_first; /* first element of the current part in the source */
    uint64_t dst_first;    /* and in dst */
    uint64_t elements;     /* 0: source_begin and axes are not set */
    uint64_t dst_bytes;
    sti_axis axes[STI_VIEW_AXES + 1]; /* ascending source_step, each at least the span of the axes before it */
} sti_view;

/* Resolves the range of a stored dimension, with defaults filled in. Returns 0 if the range is invalid. */
static int sti_view_range(const st_tensor *t, const st_view *v, uint32_t axis, st_range *r, uint64_t *count) {
    const uint64_t extent = t->shape[axis];
    r->start = 0;
    r->stop = extent;
    r->step = 1;
    if (v && axis < v->range_count) {
        *r = v->ranges[axis];
        if (r->step == 0) r->step = 1;
        if (r->stop == UINT64_MAX) r->stop = extent;
    }
    *count = r->start < r->stop ? (r->stop - r->start - 1) / r->step + 1 : 0;
    return r->start <= r->stop && r->stop <= extent;
}

static uint32_t sti_stored_axis(const st_view *v, uint32_t axis) {
    return v && v->axes ? v->axes[axis] : axis;
}

/* adds the tensor's name to an error */
STI_COLD static void sti_error_tensor(const st_tensor *t, st_error *error) {
    sti_span name;
    name.at = t->name ? t->name : "";
    name.n = t->name ? t->name_bytes : 0;
    sti_error_subject(error, name, STI_NAME);
}

/* fails with an error that names the tensor, for mistakes of the caller */
STI_COLD static st_status sti_refuse_tensor(const st_tensor *t, st_status status, uint64_t expected, uint64_t actual,
                                            const char *sentence, st_error *error) {
    (void)sti_fail(error, status, STI_NO_OFFSET, expected, actual, sentence);
    sti_error_tensor(t, error);
    return status;
}

/* adds the path of the tensor's file to an error; t NULL: of the model */
STI_COLD static st_status sti_error_path(const sti_model *m, const st_tensor *t, st_status status, st_error *error) {
    return sti_error_file(error, sti_span_of(t ? sti_model_path(m, t->shard) : m->said), status);
}

/* checks that the view's ranges and axes are valid for the tensor */
STI_COLD static st_status sti_view_check(const st_tensor *t, const st_view *v, st_error *error) {
    uint32_t i, j;
    st_range r;
    uint64_t count;
    if ((t->rank && !t->shape) || (v && v->range_count && !v->ranges)) {
        return sti_refuse_tensor(t, ST_ERR_ARGUMENT, 0, 0,
                                 STI_TEXT("shape of the tensor, or ranges or axes of the view, is NULL"), error);
    }
    if (v && v->range_count > t->rank) {
        return sti_refuse_tensor(t, ST_ERR_ARGUMENT, t->rank, v->range_count,
                                 STI_TEXT("view has $a ranges, tensor has $e dimensions"), error);
    }
    for (i = 0; v && i < v->range_count; i++) {
        if (sti_view_range(t, v, i, &r, &count)) continue;
        return r.stop > t->shape[i]
                   ? sti_refuse_tensor(t, ST_ERR_ARGUMENT, t->shape[i], r.stop,
                                       STI_TEXT("range stops at $a, past the end of a dimension of $e elements"), error)
                   : sti_refuse_tensor(t, ST_ERR_ARGUMENT, r.stop, r.start,
                                       STI_TEXT("range starts at $a, past its stop at $e"), error);
    }
    for (i = 0; v && v->axes && i < t->rank; i++) {
        for (j = 0; j < i && v->axes[j] != v->axes[i]; j++) {}
        if (v->axes[i] < t->rank && j == i) continue;
        return sti_refuse_tensor(t, ST_ERR_ARGUMENT, t->rank, v->axes[i],
                                 j < i ? STI_TEXT("axis $a is repeated in the view")
                                       : STI_TEXT("axis $a is out of range: the tensor has $e dimensions"),
                                 error);
    }
    return ST_OK;
}

/* Multiplies the counts of all ranges; 0 if any count is 0. Returns 0 on overflow. */
static int sti_view_elements(const st_tensor *t, const st_view *v, uint64_t *elements) {
    uint64_t count;
    st_range r;
    uint32_t i;
    int fits = 1;
    *elements = 1;
    for (i = 0; i < t->rank; i++) {
        (void)sti_view_range(t, v, i, &r, &count);
        if (count == 0) {
            *elements = 0;
            return 1;
        }
        fits = fits && sti_multiply64(*elements, count, elements);
    }
    return fits;
}

ST_API st_status st_view_shape(const st_tensor *tensor, const st_view *view, uint64_t *shape, uint64_t *elements,
                               st_error *error) {
    uint64_t count;
    st_range r;
    st_status s;
    uint32_t i;
    if (!tensor) {
        return sti_fail(error, ST_ERR_ARGUMENT, STI_NO_OFFSET, 0, 0, STI_TEXT("st_view_shape: tensor is NULL"));
    }
    s = sti_view_check(tensor, view, error);
    if (s != ST_OK) return s;
    if (!sti_view_elements(tensor, view, &count)) {
        return sti_refuse_tensor(tensor, ST_ERR_OVERFLOW, 0, 0, STI_TEXT("number of elements does not fit 64 bits"),
                                 error);
    }
    if (elements) *elements = count;
    for (i = 0; shape && i < tensor->rank; i++) {
        (void)sti_view_range(tensor, view, sti_stored_axis(view, i), &r, &shape[i]);
    }
    return sti_succeed(error);
}

/* elements between neighboring indices of a stored dimension; no overflow, the product of all dimensions fits */
static uint64_t sti_stride(const st_tensor *t, uint32_t axis) {
    uint64_t n = 1;
    for (axis++; axis < t->rank; axis++) n *= t->shape[axis];
    return n;
}

/* Fills source_begin and axes from a view that has elements; returns 0 if more than STI_VIEW_AXES remain. Axes of one
 * element are dropped. An axis is merged into the next faster one if it continues where that one ends. No overflow: a
 * range of two or more elements has a step below its dimension, so extent * stride is less than twice the tensor's
 * elements, and these are fewer than 2^62, since each has at least 4 bits. */
static int sti_view_axes(sti_view *p, const st_tensor *t, const st_view *v) {
    uint64_t stride = 1, dst_step = 1, count;
    sti_axis *last = NULL;
    st_range r;
    uint32_t i, j;
    p->rank = 0;
    p->source_begin = 0;
    for (i = t->rank; i > 0; i--, dst_step *= count) {
        const uint32_t axis = sti_stored_axis(v, i - 1);
        if (v && v->axes) stride = sti_stride(t, axis);
        (void)sti_view_range(t, v, axis, &r, &count);
        p->source_begin += r.start * stride;
        if (count > 1 && last && r.step * stride == last->extent * last->source_step) {
            last->extent *= count;
        } else if (count > 1) {
            if (p->rank == STI_VIEW_AXES) return 0;
            last = &p->axes[p->rank++];
            last->extent = count;
            last->source_step = r.step * stride;
            last->dst_step = dst_step;
            last->index = 0;
        }
        stride *= t->shape[axis];
    }
    for (i = 1; i < p->rank; i++) {
        for (j = i; j && p->axes[j].source_step < p->axes[j - 1].source_step; j--) {
            const sti_axis swapped = p->axes[j];
            p->axes[j] = p->axes[j - 1];
            p->axes[j - 1] = swapped;
        }
    }
    return 1;
}

/* Rewrites a view of 4- or 6-bit elements that are copied as a view of bytes. Returns 0 if the view does not start and
 * end on whole bytes, that is on multiples of `unit` elements. */
static int sti_view_pack(sti_view *p, const st_tensor *t, const st_view *v) {
    const uint64_t unit = p->bits == 4 ? 2 : 4, bytes = p->bits == 4 ? 1 : 3;
    const uint32_t last = t->rank - 1; /* rank > 0: a scalar of 4 or 6 bits would not fill a byte */
    uint64_t count;
    st_range r;
    uint32_t i;
    if (p->elements != t->elements || p->rank != 1 ||
        p->axes[0].source_step != 1) { /* a whole tensor is always allowed */
        (void)sti_view_range(t, v, last, &r, &count);
        if (sti_stored_axis(v, last) != last || r.step != 1 || r.start % unit || r.stop % unit) return 0;
        for (i = 1; i < p->rank; i++) {
            if (p->axes[i].source_step % unit) return 0;
        }
        if (p->source_begin % unit) return 0;
    }
    for (i = 1; i < p->rank; i++) {
        p->axes[i].source_step = p->axes[i].source_step / unit * bytes;
        p->axes[i].dst_step = p->axes[i].dst_step / unit * bytes;
    }
    p->axes[0].extent = p->axes[0].extent / unit * bytes; /* the last dimension: step 1, at least 2 elements */
    p->source_begin = p->source_begin / unit * bytes;
    p->elements = p->elements / unit * bytes;
    return 1;
}

/* whether the view is the whole tensor in stored order */
static int sti_view_is_identity(const st_tensor *t, const st_view *v) {
    uint64_t count;
    st_range r;
    uint32_t i;
    for (i = 0; i < t->rank; i++) {
        (void)sti_view_range(t, v, i, &r, &count);
        if (count != t->shape[i] || sti_stored_axis(v, i) != i) return 0;
    }
    return 1;
}

/* whether shape, dtype and bytes agree; always true for the model's own tensors, but callers may pass changed copies */
static int sti_tensor_is_consistent(const st_tensor *t) {
    uint64_t elements, bits;
    if (!sti_view_elements(t, NULL, &elements) || elements != t->elements) return 0;
    return t->dtype == ST_DTYPE_UNKNOWN ||
           (sti_multiply64(elements, st_dtype_bits(t->dtype), &bits) && bits % 8 == 0 && bits / 8 == t->bytes);
}

static int sti_can_convert(st_dtype to, st_dtype from) {
#if defined(ST_NO_CONVERT)
    return to == from;
#else
    return sti_convertible(to, from);
#endif
}

/* plans a tensor of unknown dtype as an array of bytes */
static void sti_view_opaque(sti_view *p, uint64_t bytes) {
    p->bits = 8;
    p->bytes = p->swap = 1;
    p->elements = p->dst_bytes = bytes;
    p->source_begin = 0;
    p->rank = bytes > 1;
    p->axes[0].extent = bytes;
    p->axes[0].source_step = p->axes[0].dst_step = 1;
    p->axes[0].index = 0;
}

/* checks a view and plans reading it as a dtype */
static st_status sti_view_plan(sti_view *p, const st_tensor *t, const st_view *v, st_dtype as, st_error *error) {
    st_status s = sti_view_check(t, v, error);
    if (s != ST_OK) return s;
    if ((unsigned)as >= STI_DTYPES || (unsigned)t->dtype >= STI_DTYPES) {
        return sti_refuse_tensor(t, ST_ERR_ARGUMENT, STI_DTYPES - 1, (unsigned)as < STI_DTYPES ? t->dtype : as,
                                 STI_TEXT("no dtype has the number $a: the last is $e"), error);
    }
    if (!sti_tensor_is_consistent(t)) {
        return sti_refuse_tensor(t, ST_ERR_ARGUMENT, 0, 0,
                                 STI_TEXT("shape, dtype and bytes of the tensor contradict each other"), error);
    }
    p->rank = p->inner = 0;
    p->divided_extent = 0;
    p->from = t->dtype;
    p->to = as == ST_DTYPE_UNKNOWN ? t->dtype : as;
    if (t->dtype == ST_DTYPE_UNKNOWN) {
        if (as != ST_DTYPE_UNKNOWN || !sti_view_is_identity(t, v)) {
            return sti_refuse_tensor(t, ST_ERR_DTYPE, 0, 0,
                                     STI_TEXT("tensor has an unknown dtype: it can only be read whole and as stored"),
                                     error);
        }
        sti_view_opaque(p, t->bytes);
        return ST_OK;
    }
    p->bits = st_dtype_bits(p->from);
    p->bytes = (st_dtype_bits(p->to) + 7) / 8;
    p->swap = p->from == ST_DTYPE_C64 ? 4 : p->bytes;
    if (p->to != p->from && !sti_can_convert(p->to, p->from)) {
        return sti_refuse_tensor(t, ST_ERR_UNSUPPORTED, 0, 0,
                                 STI_TEXT("no conversion from the tensor's dtype to the one requested"), error);
    }
    (void)sti_view_elements(t, v, &p->elements); /* cannot overflow: at most the tensor's */
    if (p->elements && !sti_view_axes(p, t, v)) {
        return sti_refuse_tensor(t, ST_ERR_TOO_LARGE, STI_VIEW_AXES, t->rank,
                                 STI_TEXT("view has more than $e axes that cannot be merged"), error);
    }
    if (p->elements && p->to == p->from && p->bits % 8) {
        if (!sti_view_pack(p, t, v)) {
            return sti_refuse_tensor(
                t, ST_ERR_SUBBYTE, 0, 0,
                STI_TEXT("view does not start and end on whole bytes: convert it, or read the whole tensor"), error);
        }
        p->bits = 8;
    }
    if (!sti_multiply64(p->elements, p->bytes, &p->dst_bytes)) p->dst_bytes = UINT64_MAX; /* larger than any dst */
#if !defined(ST_NO_CONVERT)
    p->convert_flags = STI_FROM_FILE | (p->dst_bytes >= STI_CACHE_BYTES ? STI_TO_STREAM : 0);
#endif
    return ST_OK;
}

/* ---- moving elements in memory */

typedef struct sti_tile { /* a rectangle of elements whose rows are contiguous in dst */
    size_t columns, rows;
    size_t column_step, row_step; /* in elements of the source */
    size_t dst_row_step;          /* in elements of dst */
} sti_tile;

#define STI_GATHER(type)                                                                \
    for (row = 0; row < t.rows; row++) {                                                \
        const unsigned char *const s = src + row * t.row_step * sizeof(type);           \
        unsigned char *const d = dst + row * t.dst_row_step * sizeof(type);             \
        for (column = 0; column < t.columns; column++) {                                \
            type value;                                                                 \
            ST_MEMCPY(&value, s + column * t.column_step * sizeof value, sizeof value); \
            ST_MEMCPY(d + column * sizeof value, &value, sizeof value);                 \
        }                                                                               \
    }

/* Copies a tile of elements of 1, 2, 4 or 8 bytes. The tile is passed by value: stores to dst cannot alias it. */
static void sti_gather(sti_tile t, unsigned bytes, const unsigned char *src, unsigned char *dst) {
    size_t row, column;
    if (t.column_step == 1) {
        for (row = 0; row < t.rows; row++) {
            ST_MEMCPY(dst + row * t.dst_row_step * bytes, src + row * t.row_step * bytes, t.columns * bytes);
        }
    } else if (bytes == 1) {
        STI_GATHER(uint8_t)
    } else if (bytes == 2) {
        STI_GATHER(uint16_t)
    } else if (bytes == 4) {
        STI_GATHER(uint32_t)
    } else {
        STI_GATHER(uint64_t)
    }
}

/* swaps units from little-endian to the host's byte order, in place */
static void sti_to_host(unsigned char *data, size_t bytes, unsigned unit) {
#if STI_BIG_ENDIAN
    size_t i;
    unsigned j;
    for (i = 0; i < bytes; i += unit) {
        for (j = 0; j < unit / 2; j++) {
            unsigned char swapped = data[i + j];
            data[i + j] = data[i + unit - 1 - j];
            data[i + unit - 1 - j] = swapped;
        }
    }
#else
    (void)data, (void)bytes, (void)unit;
#endif
}

#if !defined(ST_NO_CONVERT)
/* packs the 4- or 6-bit elements of a tile, the first of which is element `first` of src, into dst[STI_PIECE_BYTES] */
static void sti_gather_bits(const sti_tile *t, unsigned bits, const unsigned char *src, uint64_t first,
                            unsigned char *dst) {
    size_t row, column;
    unsigned bit = 0; /* position in dst */
    ST_MEMSET(dst, 0, STI_PIECE_BYTES);
    for (row = 0; row < t->rows; row++) {
        for (column = 0; column < t->columns; column++) {
            const uint64_t index = first + (uint64_t)row * t->row_step + (uint64_t)column * t->column_step;
            const unsigned code = (unsigned)sti_code_at(src, index, bits, 1) << bit % 8;
            dst[bit / 8] = (unsigned char)(dst[bit / 8] | (code & 0xFF));
            if (code > 0xFF) dst[bit / 8 + 1] = (unsigned char)(code >> 8);
            bit += bits;
        }
    }
}

/* Converts a tile: long contiguous rows directly from src, everything else gathered into a piece on the stack first. */
static void sti_tile_convert(const sti_view *p, const sti_tile *t, const unsigned char *src, uint64_t first,
                             unsigned char *dst) {
    unsigned char piece[STI_PIECE_BYTES];
    const size_t capacity = sizeof piece * 8 / p->bits; /* in elements */
    const size_t rows_per_piece = t->dst_row_step == t->columns && t->columns <= capacity ? capacity / t->columns : 1;
    size_t row, column;
    sti_tile part = *t;
    if (t->column_step == 1 && t->columns >= STI_LONG_ROW) {
        for (row = 0; row < t->rows; row++) {
            sti_convert(p->to, dst + row * t->dst_row_step * p->bytes, p->from, src, (size_t)first + row * t->row_step,
                        t->columns, t->columns >= STI_STREAM_ROW ? p->convert_flags : STI_FROM_FILE);
        }
        return;
    }
    for (row = 0; row < t->rows; row += part.rows) {
        part.rows = t->rows - row < rows_per_piece ? t->rows - row : rows_per_piece;
        for (column = 0; column < t->columns; column += part.columns) {
            const uint64_t element = first + (uint64_t)row * t->row_step + (uint64_t)column * t->column_step;
            part.columns = t->columns - column < capacity ? t->columns - column : capacity;
            part.dst_row_step = part.columns;
            if (p->bits % 8) {
                sti_gather_bits(&part, p->bits, src, element, piece);
            } else {
                sti_gather(part, p->bits / 8, src + (size_t)element * (p->bits / 8), piece);
            }
            sti_convert(p->to, dst + (row * t->dst_row_step + column) * p->bytes, p->from, piece, 0,
                        part.columns * part.rows, STI_FROM_FILE);
        }
    }
}
#endif

/* copies or converts a tile, the first element of which is element `first` of src */
static void sti_tile_move(const sti_view *p, const sti_tile *t, const unsigned char *src, uint64_t first,
                          unsigned char *dst) {
    size_t row;
#if !defined(ST_NO_CONVERT)
    if (p->to != p->from) {
        sti_tile_convert(p, t, src, first, dst);
        return;
    }
#endif
    sti_gather(*t, p->bytes, src + (size_t)first * p->bytes, dst);
    for (row = 0; row < t->rows; row++) {
        sti_to_host(dst + row * t->dst_row_step * p->bytes, t->columns * p->bytes, p->swap);
    }
}

/* Moves a tile; a transposed one in smaller tiles, so that cache lines on both sides are used up before eviction. */
static void sti_tile_blocks(const sti_view *p, const sti_tile *t, const unsigned char *src, uint64_t first,
                            unsigned char *dst) {
    const size_t columns = p->to == p->from ? STI_TILE_COLUMNS : STI_TILE_CONVERT_COLUMNS;
    sti_tile part = *t;
    size_t row, column;
    if (t->column_step <= t->row_step || t->rows == 1) {
        sti_tile_move(p, t, src, first, dst);
        return;
    }
    for (column = 0; column < t->columns; column += part.columns) {
        part.columns = t->columns - column < columns ? t->columns - column : columns;
        for (row = 0; row < t->rows; row += part.rows) {
            part.rows = t->rows - row < STI_TILE_ROWS ? t->rows - row : STI_TILE_ROWS;
            sti_tile_move(p, &part, src, first + (uint64_t)row * t->row_step + (uint64_t)column * t->column_step,
                          dst + (row * t->dst_row_step + column) * p->bytes);
        }
    }
}

/* ---- dividing views into parts */

/* elements of the source that axes[0..axes) span, from the first to past the last; at most the tensor's */
static uint64_t sti_view_span(const sti_view *p, uint32_t axes) {
    uint64_t span = 1;
    uint32_t i;
    for (i = 0; i < axes; i++) span += (p->axes[i].extent - 1) * p->axes[i].source_step;
    return span;
}

/* Divides a view into the largest parts that span at most `bytes` of the source and have no gap over STI_GAP_BYTES.
 * Divides the first axis that does not fit into blocks. */
static void sti_view_divide(sti_view *p, uint64_t bytes) {
    const uint64_t elements = bytes * 8 / p->bits - (p->bits % 8 ? 4 : 0); /* less sti_piece.lead and rounding up */
    uint64_t span = 1, fitting;
    for (p->inner = 0; p->inner < p->rank; p->inner++) {
        sti_axis *a = &p->axes[p->inner];
        if (a->source_step - span > (uint64_t)STI_GAP_BYTES * 8 / p->bits) return;
        fitting = (elements - span) / a->source_step + 1;
        if (fitting < a->extent) {
            if (fitting == 1) return;
            ST_MEMMOVE(a + 1, a, (p->rank - p->inner) * sizeof *a);
            p->rank++;
            p->inner++;
            p->divided_extent = a->extent;
            p->block_extent = a->extent = fitting;
            a[1].extent = (p->divided_extent - 1) / fitting + 1;
            a[1].source_step *= fitting;
            a[1].dst_step *= fitting;
            return;
        }
        span += (a->extent - 1) * a->source_step;
    }
}

/* makes the whole view one part */
static void sti_view_join(sti_view *p) {
    p->inner = p->rank;
    p->source_first = p->source_begin;
    p->dst_first = 0;
}

/* Makes part number `part` the current one. Returns 0 past the last part. */
static int sti_view_seek(sti_view *p, uint64_t part) {
    uint32_t i;
    p->source_first = p->source_begin;
    p->dst_first = 0;
    for (i = p->inner; i < p->rank; i++) {
        const uint64_t index = part % p->axes[i].extent;
        part /= p->axes[i].extent;
        p->source_first += index * p->axes[i].source_step;
        p->dst_first += index * p->axes[i].dst_step;
        if (i == p->inner && p->divided_extent) {
            const uint64_t left = p->divided_extent - index * p->block_extent;
            p->axes[i - 1].extent = left < p->block_extent ? left : p->block_extent;
        }
    }
    return part == 0;
}

typedef struct sti_piece { /* the bytes of the source that the current part spans */
    uint64_t offset, bytes;
    unsigned lead; /* elements before the part: pieces of 4- and 6-bit elements start on multiples of 4 elements */
} sti_piece;

static sti_piece sti_view_piece(const sti_view *p) {
    sti_piece piece;
    piece.lead = p->bits % 8 ? (unsigned)(p->source_first % 4) : 0;
    piece.offset = (p->source_first - piece.lead) * p->bits / 8;
    piece.bytes = ((sti_view_span(p, p->inner) + piece.lead) * p->bits + 7) / 8;
    return piece;
}

/* Steps to the next index of axes[0..count), skipping the axes in the mask `skipped`. Returns 0 after the last index,
 * with everything back at the start. */
static int sti_axes_step(sti_axis *axes, uint32_t count, uint32_t skipped, uint64_t *source, uint64_t *dst) {
    uint32_t i;
    for (i = 0; i < count; i++) {
        sti_axis *a = &axes[i];
        if (skipped >> i & 1) continue;
        if (++a->index < a->extent) {
            *source += a->source_step;
            *dst += a->dst_step;
            return 1;
        }
        a->index = 0;
        *source -= (a->extent - 1) * a->source_step;
        *dst -= (a->extent - 1) * a->dst_step;
    }
    return 0;
}

/* Moves the current part, the first element of which is element `first` of src. Tiles have the axis that is
 * contiguous in dst as columns, and as rows the axis with the smallest step in the source, or the second smallest if
 * that is the same axis. */
static void sti_view_move(sti_view *p, const unsigned char *src, uint64_t first, unsigned char *dst) {
    uint32_t columns = p->inner, rows = 0, i, tile_axes = 0;
    uint64_t put = 0;
    sti_tile t;
    t.columns = t.rows = t.column_step = 1;
    t.row_step = t.dst_row_step = 0;
    for (i = 0; i < p->inner; i++) {
        if (p->axes[i].dst_step == 1) columns = i;
    }
    if (columns == 0) rows = 1;
    if (columns < p->inner) {
        t.columns = (size_t)p->axes[columns].extent;
        t.column_step = (size_t)p->axes[columns].source_step;
        tile_axes |= (uint32_t)1 << columns;
    }
    if (rows < p->inner) {
        t.rows = (size_t)p->axes[rows].extent;
        t.row_step = (size_t)p->axes[rows].source_step;
        t.dst_row_step = (size_t)p->axes[rows].dst_step;
        tile_axes |= (uint32_t)1 << rows;
    }
    do {
        sti_tile_blocks(p, &t, src, first, dst + (size_t)(put * p->bytes));
    } while (sti_axes_step(p->axes, p->inner, tile_axes, &first, &put));
}

/* divides a view that is copied into contiguous runs */
static void sti_view_divide_runs(sti_view *p) {
    p->inner = p->rank && p->axes[0].source_step == 1 && p->axes[0].dst_step == 1;
}

/* ---- reading a view */

typedef struct sti_source { /* where to read a tensor's bytes */
    const sti_model *model;
    const st_tensor *tensor;
    const unsigned char *bytes; /* the tensor's data in memory; NULL: it must be read */
    const st_io *io;            /* the reader's own file; NULL: read by sti_model_read */
    unsigned char *buffer;      /* for data that is not read straight into dst: STI_PIECE_BYTES or more */
    size_t buffer_bytes;
} sti_source;

/* sets all but the buffer */
static void sti_source_init(sti_source *s, const sti_model *m, const st_tensor *t) {
    const unsigned char *file = sti_model_bytes(m, t->shard);
    s->model = m;
    s->tensor = t;
    s->bytes = file ? file + t->offset : NULL;
    s->io = NULL;
}

/* reads bytes [offset, offset + n) of the tensor */
static st_status sti_source_read(const sti_source *s, uint64_t offset, void *dst, size_t n, st_error *error) {
    const uint64_t at = sti_add64_saturated(s->tensor->offset, offset);
    const int code = s->io ? sti_io_read(s->io, at, dst, n) : sti_model_read(s->model, s->tensor->shard, at, dst, n);
    st_status status;
    if (!code) return ST_OK;
    status = sti_fail_code(error, code, at, STI_TEXT("cannot read the tensor's data"));
    sti_error_tensor(s->tensor, error);
    return sti_error_path(s->model, s->tensor, status, error);
}

#if !defined(ST_NO_FILES)
/* asks the system to read n bytes of the tensor ahead */
STI_COLD static void sti_source_prefetch(const sti_source *s, uint64_t offset, uint64_t n) {
    const st_io *io = s->io ? s->io : &s->model->files[s->tensor->shard].io;
    while (n) {
        const uint64_t piece = n < STI_PREFETCH_BYTES ? n : STI_PREFETCH_BYTES;
        sti_system_advise(io, sti_add64_saturated(s->tensor->offset, offset), piece, ST_ADVISE_WILL_NEED);
        offset += piece;
        n -= piece;
    }
}

/* whether the byte at `offset` of the tensor is in a mapped file, but not in the page cache */
STI_COLD static int sti_source_is_cold(const sti_source *s, uint64_t offset) {
    return s->model->system &&
           sti_system_is_cold(&s->model->files[s->tensor->shard].io, sti_add64_saturated(s->tensor->offset, offset));
}

/* Moves a view from a mapping that is not in the page cache. A page fault reads little around the page, so the parts
 * of the next STI_REQUEST_BYTES are prefetched before each part is moved. Each part counts STI_GAP_BYTES in addition
 * to its own bytes, which bounds the number of small requests in flight. */
STI_COLD static void sti_view_move_ahead(sti_view *p, const sti_source *s, unsigned char *dst) {
    uint64_t prefetched = 0, moved = 0, part, next = 0;
    sti_piece piece;
    sti_view_divide(p, STI_WINDOW_BYTES);
    for (part = 0; sti_view_seek(p, part); part++) {
        for (; prefetched < moved + STI_REQUEST_BYTES && sti_view_seek(p, next); next++) {
            piece = sti_view_piece(p);
            sti_source_prefetch(s, piece.offset, piece.bytes);
            prefetched += piece.bytes + STI_GAP_BYTES;
        }
        (void)sti_view_seek(p, part);
        piece = sti_view_piece(p);
        sti_view_move(p, s->bytes + (size_t)piece.offset, piece.lead, dst + (size_t)(p->dst_first * p->bytes));
        moved += piece.bytes + STI_GAP_BYTES;
    }
}
#endif

/* whether to read run by run straight into dst: the view is copied, and its runs are long, far apart, or only one */
static int sti_view_is_direct(const sti_view *p) {
    const uint64_t run = p->rank ? p->axes[0].extent : 1;
    if (p->to != p->from || (p->rank && (p->axes[0].source_step != 1 || p->axes[0].dst_step != 1))) return 0;
    return p->rank < 2 || run * p->bytes >= STI_GAP_BYTES || (p->axes[1].source_step - run) * p->bytes > STI_GAP_BYTES;
}

/* reads a view: from memory, straight into dst, or through the source's buffer */
static st_status sti_view_read(sti_view *p, const sti_source *s, unsigned char *dst, st_error *error) {
    const int direct = sti_view_is_direct(p);
    uint64_t part;
    if (p->elements == 0) return ST_OK;
    if (s->bytes) {
#if !defined(ST_NO_FILES)
        const uint64_t last =
            p->source_begin + sti_view_span(p, p->rank) - 1; /* opening may have read the first page */
        if (p->elements * p->bits / 8 >= STI_GAP_BYTES && sti_source_is_cold(s, last * p->bits / 8)) {
            sti_view_move_ahead(p, s, dst);
            return ST_OK;
        }
#endif
        sti_view_join(p);
        sti_view_move(p, s->bytes, p->source_first, dst);
        return ST_OK;
    }
    if (direct) {
        sti_view_divide_runs(p);
    } else {
        sti_view_divide(p, s->buffer_bytes);
    }
    for (part = 0; sti_view_seek(p, part); part++) {
        const sti_piece piece = sti_view_piece(p);
        unsigned char *const to = dst + (size_t)(p->dst_first * p->bytes);
        const st_status status = sti_source_read(s, piece.offset, direct ? to : s->buffer, (size_t)piece.bytes, error);
        if (status != ST_OK) return status;
        if (direct) {
            sti_to_host(to, (size_t)piece.bytes, p->swap);
        } else {
            sti_view_move(p, s->buffer, piece.lead, to);
        }
    }
    return ST_OK;
}

/* ---- checking arguments */

/* checks that [offset, offset + n) lies in the tensor and the tensor in a file of the model */
static st_status sti_access_check(const sti_model *m, const st_tensor *t, uint64_t offset, uint64_t n,
                                  st_error *error) {
    const char *sentence = STI_TEXT("argument `model` is NULL");
    if (m && !t) sentence = STI_TEXT("tensor is NULL (was its name found?)");
    if (m && t) {
        const st_shard *f = t->shard < m->open.shard_count ? &m->open.shards[t->shard] : NULL;
        sentence = STI_TEXT("tensor does not belong to this model");
        if (f && t->offset >= f->data_offset && t->offset <= f->file_bytes && t->bytes <= f->file_bytes - t->offset) {
            if (offset <= t->bytes && n <= t->bytes - offset) return ST_OK;
            sentence = STI_TEXT("range ends at byte $a of the tensor, which has $e bytes");
        }
    }
    (void)sti_fail(error, ST_ERR_ARGUMENT, STI_NO_OFFSET, t ? t->bytes : 0, sti_add64_saturated(offset, n), sentence);
    return m ? sti_error_path(m, NULL, ST_ERR_ARGUMENT, error) : ST_ERR_ARGUMENT;
}

/* plans reading a view of one of the model's tensors; p->dst_bytes is set even on failure */
static st_status sti_access_plan(sti_view *p, const sti_model *m, const st_tensor *t, const st_view *v, st_dtype as,
                                 st_error *error) {
    st_status s = sti_access_check(m, t, 0, 0, error);
    p->dst_bytes = 0;
    if (s != ST_OK) return s;
    s = sti_view_plan(p, t, v, as, error);
    return s == ST_OK ? s : sti_error_path(m, t, s, error);
}

/* checks that dst is large enough for the view */
static st_status sti_access_check_dst(const sti_view *p, const sti_model *m, const st_tensor *t, const void *dst,
                                      size_t dst_bytes, st_error *error) {
    if (p->dst_bytes == 0 || (dst && p->dst_bytes <= dst_bytes)) return ST_OK;
    (void)sti_refuse_tensor(t, ST_ERR_ARGUMENT, p->dst_bytes, dst_bytes,
                            dst ? STI_TEXT("destination buffer too small: $e bytes needed, $a available")
                                : STI_TEXT("argument `dst` is NULL: $e bytes needed"),
                            error);
    return sti_error_path(m, t, ST_ERR_ARGUMENT, error);
}

/* plans an item; an error has its number */
static st_status sti_item_plan(sti_view *p, const sti_model *m, const st_load_item *items, size_t i, st_error *error) {
    const st_load_item *item = &items[i];
    st_status s = ST_ERR_ARGUMENT;
    if (item->tensor) {
        s = sti_access_plan(p, m, item->tensor, item->view, item->as, error);
    } else {
        (void)sti_fail(error, s, STI_NO_OFFSET, 0, i, STI_TEXT("item $a: tensor is NULL (was its name found?)"));
        (void)sti_error_path(m, NULL, s, error);
    }
    if (error && s != ST_OK) error->item = i;
    return s;
}

/* ---- loading many items */

enum {                    /* how a job is read */
       STI_JOB_SMALL = 0, /* merged with small neighbors into one request */
       STI_JOB_RUN = 1,   /* one long run, which may be cut at multiples of STI_RUN_ALIGN */
       STI_JOB_ALONE = 2  /* by itself, not cut */
};

typedef struct sti_job { /* what a part of a load reads for an item, sorted by shard and offset */
    uint64_t offset;     /* in the shard's file */
    uint64_t bytes;      /* from the first to past the last, gaps included */
    uint64_t run_offset; /* bytes of the item's run before this job */
    size_t item;
    int kind; /* STI_JOB_SMALL and so on */
} sti_job;

typedef struct sti_load { /* one call of st_load */
    const sti_model *m;
    const st_load_item *items;
    st_load_options options;
    sti_job *jobs;        /* this part's */
    size_t count;         /* of items, then of jobs */
    uint64_t all_bytes;   /* of all parts */
    uint64_t done, total; /* bytes of this part */
    sti_source source;    /* of the current job */
    sti_view view;        /* of the current job */
    st_io io;             /* the current shard's file, opened for this call */
    int is_open, has_shard;
    uint32_t shard;
    st_error *error;
} sti_load;

/* reports n more bytes to options.progress, which may cancel */
static st_status sti_load_report(sti_load *l, uint64_t n) {
    l->done = sti_add64_saturated(l->done, n);
    if (!l->options.progress || !(l->options.progress)(l->options.user, l->done, l->total)) return ST_OK;
    (void)sti_fail(l->error, ST_ERR_CANCELLED, STI_NO_OFFSET, l->total, l->done,
                   STI_TEXT("cancelled by progress after $a of $e bytes"));
    return sti_error_path(l->m, NULL, ST_ERR_CANCELLED, l->error);
}

static void sti_load_close(sti_load *l) {
    if (l->is_open) (l->m->source.close)(l->m->source.user, &l->io);
    l->is_open = 0;
}

/* Makes a job the current one: plans its view and selects its source. Each part opens files again, so that the system
 * tracks its sequential reads separately from other threads'; if that fails, the model's own file is used. */
static void sti_load_select(sti_load *l, size_t i) {
    const sti_model *m = l->m;
    const st_load_item *item = &l->items[l->jobs[i].item];
    const st_tensor *t = item->tensor;
    if (m->system && !(l->has_shard && l->shard == t->shard)) {
        sti_load_close(l);
        l->has_shard = 1;
        l->shard = t->shard;
        l->is_open = sti_model_reopen(m, t->shard, &l->io) == 0;
    }
    sti_source_init(&l->source, m, t);
    if (l->is_open) l->source.io = &l->io;
    (void)sti_view_plan(&l->view, t, item->view, item->as, NULL);         /* cannot fail: checked before */
    if (l->is_open && l->view.to == l->view.from) l->source.bytes = NULL; /* reading beats page faults */
#if !defined(ST_NO_CONVERT)
    if (l->all_bytes >= STI_CACHE_BYTES) l->view.convert_flags |= STI_TO_STREAM;
#endif
}

/* Reduces a view of one run to its bytes [from, to), where `from` is a multiple of STI_RUN_ALIGN, and so is `to`
 * unless it is the end. Returns where they go, in bytes of dst. */
static size_t sti_view_keep(sti_view *p, uint64_t from, uint64_t to) {
    const uint64_t unit = (uint64_t)STI_RUN_ALIGN * 8 / p->bits, extent = p->axes[0].extent;
    const uint64_t first = from / STI_RUN_ALIGN * unit, past = to % STI_RUN_ALIGN ? extent : to / STI_RUN_ALIGN * unit;
    p->elements = (past < extent ? past : extent) - first;
    p->axes[0].extent = p->elements;
    p->source_begin += first;
    return (size_t)(first * p->bytes);
}

/* reads a job by itself; a long run in several requests */
static st_status sti_load_job(sti_load *l, size_t i) {
    const sti_job *j = &l->jobs[i];
    const uint64_t past = j->run_offset + j->bytes, max_bytes = STI_REQUEST_BYTES / STI_RUN_ALIGN * STI_RUN_ALIGN;
    uint64_t from = j->run_offset, to;
    st_status s;
    do {
        unsigned char *dst = (unsigned char *)l->items[j->item].dst;
        to = j->kind == STI_JOB_RUN && past - from > max_bytes ? from + max_bytes : past;
        if (from > j->run_offset) sti_load_select(l, i);
        if (j->kind == STI_JOB_RUN) dst += sti_view_keep(&l->view, from, to);
#if !defined(ST_NO_FILES)
        if (l->is_open && to < past) { /* prefetch the next request, unless it is in the page cache */
            const uint64_t next = j->offset - l->source.tensor->offset + (to - j->run_offset);
            if (!l->m->files[l->shard].io.mapped || sti_source_is_cold(&l->source, next)) {
                sti_source_prefetch(&l->source, next, past - to < max_bytes ? past - to : max_bytes);
            }
        }
#endif
        s = sti_view_read(&l->view, &l->source, dst, l->error);
        if (s != ST_OK) {
            if (l->error) l->error->item = j->item;
            return s;
        }
        s = sti_load_report(l, to - from);
        from = to;
    } while (s == ST_OK && from < past);
    return s;
}

/* reads job i and the small jobs after it, [i, *next), in one request */
static st_status sti_load_merged(sti_load *l, size_t i, size_t *next) {
    const uint64_t offset = l->jobs[i].offset;
    const uint32_t shard = l->source.tensor->shard;
    uint64_t end = sti_add64_saturated(offset, l->jobs[i].bytes);
    size_t j = i + 1;
    st_status s;
    for (; j < l->count; j++) {
        const sti_job *w = &l->jobs[j];
        const uint64_t past = sti_add64_saturated(w->offset, w->bytes) > end ? w->offset + w->bytes : end;
        if (l->items[w->item].tensor->shard != shard || w->kind != STI_JOB_SMALL ||
            w->offset > sti_add64_saturated(end, STI_GAP_BYTES) || past - offset > l->source.buffer_bytes) {
            break;
        }
        end = past;
    }
    *next = j;
    if (j == i + 1) return sti_load_job(l, i);
    s = sti_source_read(&l->source, offset - l->source.tensor->offset, l->source.buffer, (size_t)(end - offset),
                        l->error);
    if (s != ST_OK && l->error) l->error->item = l->jobs[i].item;
    for (; s == ST_OK && i < j; i++) {
        sti_load_select(l, i);
        sti_view_join(&l->view);
        sti_view_move(&l->view, l->source.buffer + (size_t)(l->jobs[i].offset - offset), sti_view_piece(&l->view).lead,
                      (unsigned char *)l->items[l->jobs[i].item].dst);
        s = sti_load_report(l, l->jobs[i].bytes);
    }
    return s;
}

/* reads all jobs of this part */
static st_status sti_load_jobs(sti_load *l) {
    st_status s = ST_OK;
    size_t i, next;
    for (i = 0; s == ST_OK && i < l->count; i = next) {
        next = i + 1;
        sti_load_select(l, i);
        s = l->source.bytes || l->jobs[i].kind != STI_JOB_SMALL ? sti_load_job(l, i) : sti_load_merged(l, i, &next);
    }
    sti_load_close(l);
    return s;
}

/* returns the job that reads a whole item; p is the item's plan */
static sti_job sti_job_measure(const st_load_item *items, size_t i, sti_view *p) {
    sti_job j;
    j.offset = items[i].tensor->offset;
    j.bytes = j.run_offset = 0;
    j.item = i;
    j.kind = STI_JOB_SMALL;
    if (p->elements) {
        const int run = p->rank == 0 || (p->rank == 1 && p->axes[0].source_step == 1);
        sti_piece piece;
        sti_view_divide(p, UINT64_MAX / 8); /* several parts if there are wide gaps */
        if (p->inner < p->rank) j.kind = STI_JOB_ALONE;
        sti_view_join(p);
        piece = sti_view_piece(p);
        j.offset = sti_add64_saturated(j.offset, piece.offset);
        j.bytes = piece.bytes;
        if (piece.bytes > STI_MERGE_BYTES) j.kind = run ? STI_JOB_RUN : STI_JOB_ALONE;
    }
    return j;
}

static int sti_job_before(const void *context, const void *a, const void *b) {
    const st_load_item *items = (const st_load_item *)context;
    const sti_job *x = (const sti_job *)a, *y = (const sti_job *)b;
    const uint32_t p = items[x->item].tensor->shard, q = items[y->item].tensor->shard;
    return p != q ? p < q : x->offset != y->offset ? x->offset < y->offset : x->item < y->item;
}

/* Checks every item and adds up their bytes. Sets *buffered if reading may need a buffer. */
STI_COLD static st_status sti_load_check(sti_load *l, int *buffered) {
    size_t i;
    *buffered = l->m->system;
    for (i = 0; i < l->count; i++) {
        const st_load_item *item = &l->items[i];
        st_status s = sti_item_plan(&l->view, l->m, l->items, i, l->error);
        if (s == ST_OK) s = sti_access_check_dst(&l->view, l->m, item->tensor, item->dst, item->dst_bytes, l->error);
        if (s != ST_OK) {
            if (l->error) l->error->item = i;
            return s;
        }
        l->all_bytes = sti_add64_saturated(l->all_bytes, sti_job_measure(l->items, i, &l->view).bytes);
        if (!sti_model_bytes(l->m, item->tensor->shard)) *buffered = 1;
    }
    return ST_OK;
}

/* Collects the jobs of this part in file order. All jobs, laid end to end, are cut into parts of equal size. A long
 * run is cut with them; every other job belongs to the part in which it starts. */
STI_COLD static void sti_load_assign(sti_load *l) {
    const unsigned parts = l->options.part_count ? l->options.part_count : 1;
    const uint64_t part_bytes = l->all_bytes / parts, begin = l->options.part * part_bytes;
    const uint64_t end = l->options.part + 1 < parts ? begin + part_bytes : UINT64_MAX;
    uint64_t start, past = 0;
    size_t i, kept = 0;
    for (i = 0; i < l->count; i++) {
        const st_load_item *item = &l->items[i];
        (void)sti_view_plan(&l->view, item->tensor, item->view, item->as, NULL); /* cannot fail: checked before */
        l->jobs[i] = sti_job_measure(l->items, i, &l->view);
    }
    sti_sort(l->jobs, l->count, sizeof *l->jobs, sti_job_before, l->items);
    for (i = 0; i < l->count; i++) {
        sti_job j = l->jobs[i];
        uint64_t to = j.bytes;
        start = past;
        past = sti_add64_saturated(past, j.bytes);
        if (start >= end || (start < begin && (j.kind != STI_JOB_RUN || past <= begin))) continue;
        if (start < begin) j.run_offset = (begin - start) / STI_RUN_ALIGN * STI_RUN_ALIGN;
        if (j.kind == STI_JOB_RUN && past > end) to = (end - start) / STI_RUN_ALIGN * STI_RUN_ALIGN;
        if (j.run_offset >= to) continue;
        j.offset += j.run_offset;
        j.bytes = to - j.run_offset;
        l->total = sti_add64_saturated(l->total, j.bytes);
        l->jobs[kept++] = j;
    }
    l->count = kept;
}

/* loads this part, after the items were checked */
STI_COLD static st_status sti_load_part(sti_load *l, int buffered) {
    const size_t job_bytes = sti_multiply_saturated(l->count, sizeof(sti_job));
    const size_t min_buffer = buffered ? STI_PIECE_BYTES : 0;
    const size_t max_buffer = l->m->system ? STI_WINDOW_BYTES : STI_REQUEST_BYTES; /* callbacks may be slow */
    size_t buffer_bytes = min_buffer, total;
    unsigned char *block = (unsigned char *)l->options.work.data;
    st_status s;
    if (block) {
        const size_t padding = (8 - (size_t)((uintptr_t)block % 8)) % 8;
        total = sti_add_saturated(job_bytes, padding + min_buffer);
        if (total > l->options.work.bytes) {
            return sti_fail(l->error, ST_ERR_MEMORY, STI_NO_OFFSET, total, l->options.work.bytes,
                            STI_TEXT("work buffer too small: $e bytes suffice, $a given"));
        }
        block += padding;
        if (buffered) buffer_bytes = l->options.work.bytes - padding - job_bytes;
    } else {
        if (buffered && l->all_bytes > min_buffer) {
            buffer_bytes = l->all_bytes < max_buffer ? (size_t)l->all_bytes : max_buffer;
        }
        total = sti_add_saturated(job_bytes, buffer_bytes);
        block = (unsigned char *)sti_allocate(&l->m->memory, total);
        if (!block) {
            return sti_fail(l->error, ST_ERR_MEMORY, STI_NO_OFFSET, total, 0,
                            STI_TEXT("out of memory: $e bytes needed, and no work buffer given"));
        }
    }
    l->jobs = (sti_job *)(void *)block;
    l->source.buffer = block + job_bytes;
    l->source.buffer_bytes = buffer_bytes < max_buffer ? buffer_bytes : max_buffer;
    sti_load_assign(l);
    s = sti_load_jobs(l);
    if (!l->options.work.data) sti_deallocate(&l->m->memory, block, total);
    return s;
}

ST_API st_status st_load(const st_model *model, const st_load_item *items, size_t count, const st_load_options *options,
                         st_error *error) {
    sti_load l;
    st_status s;
    int buffered;
    ST_MEMSET(&l, 0, sizeof l);
    if (options) l.options = *options;
    if (!model || (!items && count)) {
        return sti_fail(error, ST_ERR_ARGUMENT, STI_NO_OFFSET, 0, 0,
                        model ? STI_TEXT("argument `items` is NULL") : STI_TEXT("argument `model` is NULL"));
    }
    if (l.options.part && l.options.part >= l.options.part_count) {
        return sti_fail(error, ST_ERR_ARGUMENT, STI_NO_OFFSET, l.options.part_count, l.options.part,
                        STI_TEXT("part $a of $e does not exist: parts are counted from 0"));
    }
    l.m = (const sti_model *)(const void *)model;
    l.items = items;
    l.count = count;
    l.error = error;
    s = sti_load_check(&l, &buffered);
    if (s == ST_OK && count) s = sti_load_part(&l, buffered);
    return s == ST_OK ? sti_succeed(error) : s;
}

/* ---- planning a load without reading */

static int sti_extent_before(const void *context, const void *a, const void *b) {
    const st_extent *x = (const st_extent *)a, *y = (const st_extent *)b;
    (void)context;
    if (x->shard != y->shard) return x->shard < y->shard;
    return x->offset != y->offset ? x->offset < y->offset : x->item < y->item;
}

ST_API st_status st_plan_load(const st_model *model, const st_load_item *items, size_t count, uint64_t max_bytes,
                              st_extent *extents, size_t extent_capacity, size_t *extent_count, st_error *error) {
    const sti_model *m = (const sti_model *)(const void *)model;
    const uint64_t limit = max_bytes ? max_bytes : UINT64_MAX;
    uint64_t needed = 0, filled = 0;
    size_t i;
    if (extent_count) *extent_count = 0;
    if (!m || (!items && count) || (!extents && extent_capacity)) {
        return sti_fail(error, ST_ERR_ARGUMENT, STI_NO_OFFSET, 0, 0,
                        !m                ? STI_TEXT("argument `model` is NULL")
                        : !items && count ? STI_TEXT("argument `items` is NULL")
                                          : STI_TEXT("argument `extents` is NULL"));
    }
    for (i = 0; i < count; i++) {
        const st_tensor *t = items[i].tensor;
        uint64_t run, part, extents_needed;
        sti_view p;
        st_status s = sti_item_plan(&p, m, items, i, error);
        if (s != ST_OK) return s;
        if (p.to != p.from) {
            s = sti_refuse_tensor(t, ST_ERR_UNSUPPORTED, 0, 0,
                                  STI_TEXT("st_plan_load cannot convert: set `as` to ST_AS_STORED"), error);
            (void)sti_error_path(m, t, s, error);
            if (error) error->item = i;
            return s;
        }
        if (p.elements == 0) continue;
        sti_view_divide_runs(&p);
        run = sti_view_span(&p, p.inner) * p.bytes;
        extents_needed = (run - 1) / limit + 1;
        if (!sti_multiply64(p.elements / (run / p.bytes), extents_needed, &extents_needed)) extents_needed = UINT64_MAX;
        needed = sti_add64_saturated(needed, extents_needed);
        if (needed > extent_capacity) continue; /* only count the rest */
        for (part = 0; sti_view_seek(&p, part); part++) {
            uint64_t done;
            for (done = 0; done < run; done += extents[filled++].bytes) {
                st_extent *x = &extents[filled];
                x->shard = t->shard;
                x->offset = sti_add64_saturated(t->offset, p.source_first * p.bytes + done);
                x->bytes = run - done < limit ? run - done : limit;
                x->item = i;
                x->to = p.dst_first * p.bytes + done;
            }
        }
    }
    if (needed > SIZE_MAX) needed = SIZE_MAX;
    if (extent_count) *extent_count = (size_t)needed;
    if (needed > extent_capacity) {
        return sti_fail(error, ST_ERR_ARGUMENT, STI_NO_OFFSET, needed, extent_capacity,
                        STI_TEXT("argument `extents` too small: $e extents needed, capacity $a"));
    }
    sti_sort(extents, (size_t)needed, sizeof *extents, sti_extent_before, NULL);
    return sti_succeed(error);
}

/* ---- reading one tensor, and advice */

ST_API st_status st_read(const st_model *model, const st_tensor *tensor, uint64_t offset, void *dst, size_t dst_bytes,
                         st_error *error) {
    const sti_model *m = (const sti_model *)(const void *)model;
    sti_source source;
    st_status s = sti_access_check(m, tensor, offset, dst_bytes, error);
    if (s != ST_OK) return s;
    if (!dst && dst_bytes) {
        (void)sti_fail(error, ST_ERR_ARGUMENT, STI_NO_OFFSET, dst_bytes, 0, STI_TEXT("argument `dst` is NULL"));
        return sti_error_path(m, NULL, ST_ERR_ARGUMENT, error);
    }
    sti_source_init(&source, m, tensor);
    s = sti_source_read(&source, offset, dst, dst_bytes, error);
    return s == ST_OK ? sti_succeed(error) : s;
}

ST_API st_status st_read_as(const st_model *model, const st_tensor *tensor, const st_view *view, st_dtype as, void *dst,
                            size_t dst_bytes, st_error *error) {
    const sti_model *m = (const sti_model *)(const void *)model;
    uint64_t piece[STI_PIECE_BYTES / 8];
    sti_source source;
    sti_view p;
    st_status s = sti_access_plan(&p, m, tensor, view, as, error);
    if (s == ST_OK) s = sti_access_check_dst(&p, m, tensor, dst, dst_bytes, error);
    if (s != ST_OK) return s;
    sti_source_init(&source, m, tensor);
    source.buffer = (unsigned char *)piece;
    source.buffer_bytes = sizeof piece;
    if (p.elements && !source.bytes && !sti_view_is_direct(&p) && m->memory.allocator.alloc) {
        const uint64_t span =
            sti_view_span(&p, p.rank) * p.bits / 8 + 4; /* a group of 4 elements may be cut at both ends */
        if (span > sizeof piece) {
            source.buffer_bytes = span < STI_WINDOW_BYTES ? (size_t)span : STI_WINDOW_BYTES;
            source.buffer = (unsigned char *)sti_allocate(&m->memory, source.buffer_bytes);
        }
    }
    s = source.buffer ? sti_view_read(&p, &source, (unsigned char *)dst, error)
                      : sti_error_path(m, tensor, sti_fail_memory(&m->memory, source.buffer_bytes, error), error);
    if (source.buffer && source.buffer != (unsigned char *)piece) {
        sti_deallocate(&m->memory, source.buffer, source.buffer_bytes);
    }
    return s == ST_OK ? sti_succeed(error) : s;
}

ST_API int st_is_aligned(const st_tensor *tensor) {
    unsigned bytes;
    if (!tensor || !tensor->data) return 0;
    bytes = (st_dtype_bits(tensor->dtype) + 7) / 8;
    return bytes < 2 || (uintptr_t)tensor->data % bytes == 0;
}

ST_API st_status st_advise(const st_model *model, const st_tensor *tensor, st_advice advice, st_error *error) {
    const sti_model *m = (const sti_model *)(const void *)model;
    if (!m || tensor) {
        const st_status s = sti_access_check(m, tensor, 0, 0, error);
        if (s != ST_OK) return s;
    }
    if (advice != ST_ADVISE_WILL_NEED && advice != ST_ADVISE_DONE) {
        (void)sti_fail(error, ST_ERR_ARGUMENT, STI_NO_OFFSET, ST_ADVISE_DONE, (unsigned)advice,
                       STI_TEXT("no advice has the number $a: the last is $e"));
        return sti_error_path(m, NULL, ST_ERR_ARGUMENT, error);
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
#define STI_MAPPED_BYTES 262144u /* of a mapping, copied to the buffer at a time: to write from it is slower */
#define STI_LEAST_ENTRY 47u      /* bytes of a header that a tensor of no name and no dimension takes */
#define STI_LEAST_PAIR 5u        /* and a pair of two empty texts */

typedef struct sti_named { /* a tensor or a metadata pair to write */
    sti_span name;         /* of a pair its key */
    const void *item;      /* st_tensor or st_pair: the caller's, or a copy */
    uint64_t bytes;        /* of a tensor's data */
    unsigned dtype;        /* of a tensor; not ST_DTYPE_UNKNOWN where its spelling is known */
    uint32_t place;        /* in the order of declaration */
} sti_named;

typedef struct sti_item { /* a tensor of a streamed file; shape, name and spelling lie behind it */
    st_tensor tensor; /* first: a pointer to one is a pointer to the other. It has its offset once the file is begun */
    struct sti_item *next;
    uint64_t written; /* by st_writer_write_to; each of its threads keeps to items of its own */
    int failed;       /* a write of it did, and is final */
} sti_item;

typedef struct sti_pending_pair { /* a metadata pair of a streamed file; both texts lie behind it */
    struct sti_pending_pair *next;
    st_pair pair;
} sti_pending_pair;

/* of a streamed file */
static sti_item *sti_item_of(const sti_named *n) {
    return (sti_item *)(uintptr_t)n->item;
}

enum sti_stage { STI_ADDING, STI_WRITING, STI_FAILED, STI_FINISHED };

struct st_writer {
    sti_memory memory;
    st_save_options options;
    enum sti_stage stage;
    const st_model *from;              /* st_save: where the bytes of tensors without data are */
    sti_item *first_item, **last_item; /* streamed: in the order of declaration */
    sti_pending_pair *first_pair, **last_pair;
    size_t item_count, pair_count;
    size_t copied; /* bytes of the items and pairs above */
    int has_metadata;
    sti_named *order; /* tensors, then pairs, as they are written */
    sti_named *names; /* NULL until all are known: tensors by name, then room for as many as there are pairs */
    unsigned char *buffer;
    size_t buffer_bytes, buffered;
    uint64_t flushed;      /* bytes of the file that left the buffer, front to back */
    uint64_t keep;         /* bytes before the data that stay, where they suffice */
    uint64_t header_least; /* bytes that the header takes at least */
    uint64_t data_offset, data_bytes;
    size_t current;    /* place in order of the tensor that st_writer_write fills */
    uint64_t written;  /* bytes of it that came through st_writer_write */
    uint64_t streamed; /* data bytes that did */
    st_sink sink;      /* write NULL: a file */
    const char *path;  /* the caller's */
    const char *said;  /* what messages call it */
#if !defined(ST_NO_FILES)
    sti_target target;
#endif
    uint32_t serial; /* of the temporary's name: where the search for a free one begins, then the one that was free */
    char *temp;      /* name of the temporary */
    size_t temp_bytes;
};

/* ---- names */

/* merges two neighbouring runs that are in order into `to`; of equal names those of the first come first */
static void sti_merge(const sti_named *a, size_t a_count, const sti_named *b, size_t b_count, sti_named *to) {
    const sti_named *a_end = a + a_count, *b_end = b + b_count;
    if (b_count && sti_compare(a_end[-1].name, b->name) > 0) { /* a run is never empty where another follows */
        while (a < a_end && b < b_end) {
            if (a_end - a > 4) STI_PREFETCH(a[4].name.at);
            if (b_end - b > 4) STI_PREFETCH(b[4].name.at);
            *to++ = sti_compare(a->name, b->name) <= 0 ? *a++ : *b++;
        }
    }
    for (; a < a_end; a++) *to++ = *a;
    for (; b < b_end; b++) *to++ = *b;
}

/* Orders n items by name with the help of as many spare ones. O(n log n) comparisons whatever the names; the bytes that
 * they look at are at most log n times those of all names. */
static void sti_sort_by_name(sti_named *items, sti_named *spare, size_t n) {
    sti_named *from = items, *to = spare, *other;
    size_t run, i;
    for (run = 1; run < n; run *= 2) {
        for (i = 0; i < n; i += 2 * run) { /* n items are in memory, so nothing overflows */
            const size_t a = n - i < run ? n - i : run, b = n - i - a < run ? n - i - a : run;
            sti_merge(from + i, a, from + i + a, b, to + i);
        }
        other = from;
        from = to;
        to = other;
    }
    if (from != items) ST_MEMCPY(items, from, n * sizeof *items);
}

/* the first of n items in order that has the name of the one before it; n: none has */
static size_t sti_find_repeated(const sti_named *items, size_t n) {
    size_t i;
    for (i = 1; i < n && !sti_same(items[i - 1].name, items[i].name); i++) {}
    return i < n ? i : n;
}

/* ---- memory */

/* of order and names, for `more` items than there are */
static size_t sti_named_bytes(const st_writer *w, size_t more) {
    size_t count = sti_add_saturated(sti_add_saturated(w->item_count, w->pair_count), sti_add_saturated(more, 1));
    return sti_round8(sti_multiply_saturated(count, 2 * sizeof(sti_named)));
}

/* Bytes were not there. A work buffer: says how many suffice for all that is declared, and `copy` bytes of one more. */
STI_COLD static st_status sti_writer_no_memory(const st_writer *w, size_t bytes, size_t copy, st_error *error) {
    if (w->memory.work) {
        bytes = sti_add_saturated(sti_named_bytes(w, copy > 0), sti_add_saturated(w->copied, copy));
        bytes = sti_add_saturated(bytes, sti_round8(w->temp_bytes));
        bytes = sti_add_saturated(bytes, sti_round8(sizeof *w) + STI_BUFFER_LEAST + w->memory.work_skipped);
    }
    return sti_error_file(error, sti_span_of(w->said), sti_fail_memory(&w->memory, bytes, error));
}

static void *sti_writer_take(st_writer *w, size_t bytes, st_error *error) {
    void *taken = sti_arena_take(&w->memory, bytes);
    if (!taken) (void)sti_writer_no_memory(w, bytes, 0, error);
    return taken;
}

/* ---- declaring */

static sti_span sti_span_of_text(const char *text, size_t bytes) {
    sti_span s = {NULL, 0};
    if (!text) return s;
    if (!bytes) return sti_span_of(text);
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
    (void)sti_fail(error, status, STI_NO_OFFSET, expected, actual, sentence);
    if (subject.n) sti_error_subject(error, subject, STI_NAME);
    return sti_error_file(error, sti_span_of(said), status);
}

/* judges a tensor to write, and completes it in *t: lengths, elements, bytes, a known dtype under its number */
static st_status sti_tensor_judge(const char *said, const st_tensor *given, st_tensor *t, st_error *error) {
    const char *none = STI_TEXT("tensor has no name, no shape or no dtype");
    sti_span name = sti_span_of_text(given->name, given->name_bytes), spelling = sti_span_of_text(given->dtype_name, 0);
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
    if (t->dtype == ST_DTYPE_UNKNOWN) {
        if (!spelling.at) return sti_refuse(said, ST_ERR_ARGUMENT, name, 0, 0, none, error);
        t->dtype = sti_dtype_find(spelling);
    }
    if (t->dtype != ST_DTYPE_UNKNOWN) t->dtype_name = sti_dtype_name(sti_dtype_of(t->dtype));
    if (!sti_is_utf8(name))
        return sti_refuse(said, ST_ERR_UTF8, name, 0, 0, STI_TEXT("tensor name is not UTF-8"), error);
    if (!sti_is_utf8(sti_span_of(t->dtype_name))) {
        return sti_refuse(said, ST_ERR_UTF8, name, 0, 0, STI_TEXT("dtype_name is not UTF-8"), error);
    }
    if (sti_same(name, sti_span_of("__metadata__"))) {
        return sti_refuse(said, ST_ERR_ARGUMENT, name, 0, 0, STI_TEXT("__metadata__ cannot be the name of a tensor"),
                          error);
    }
    for (i = 0, t->elements = 1; i < t->rank; i++) {
        if (!sti_multiply64(t->elements, t->shape[i], &t->elements)) overflow = 1; /* for good, as when reading */
    }
    if (overflow || !sti_multiply64(sti_dtype_of(t->dtype)->bits, t->elements, &bits)) {
        return sti_refuse(said, ST_ERR_OVERFLOW, name, 0, 0,
                          STI_TEXT("tensor too large: its size in bits does not fit 64 bits"), error);
    }
    if (bits % 8) {
        return sti_refuse(said, ST_ERR_SUBBYTE, name, 0, bits, STI_TEXT("the tensor's $a bits do not fill whole bytes"),
                          error);
    }
    if (t->dtype != ST_DTYPE_UNKNOWN) t->bytes = bits / 8;
    if (given->dtype == ST_DTYPE_UNKNOWN && t->bytes != given->bytes) {
        return sti_refuse(said, ST_ERR_SIZE, name, t->bytes, given->bytes,
                          STI_TEXT("shape and dtype need $e bytes, st_tensor.bytes is $a"), error);
    }
    return ST_OK;
}

/* what the copies of a tensor and of a pair take of memory */
static size_t sti_item_bytes(const st_tensor *t) {
    size_t texts = sti_add_saturated(sti_add_saturated(t->name_bytes, 1),
                                     t->dtype == ST_DTYPE_UNKNOWN ? sti_span_of(t->dtype_name).n + 1 : 0);
    return sti_round8(sti_add_saturated(sizeof(sti_item),
                                        sti_add_saturated(sti_multiply_saturated(t->rank, sizeof *t->shape), texts)));
}

static size_t sti_pending_pair_bytes(const st_pair *p) {
    return sti_round8(sti_add_saturated(sizeof(sti_pending_pair),
                                        sti_add_saturated(sti_add_saturated(p->key_bytes, p->value_bytes), 2)));
}

STI_COLD static st_status sti_writer_state(const st_writer *w, st_error *error) {
    return sti_refuse(
        w->said, ST_ERR_STATE, sti_span_of(""), 0, 0,
        w->stage == STI_FAILED
            ? STI_TEXT("a write failed before: the writer can only be closed")
            : STI_TEXT("wrong order of calls: expected st_writer_open, _add, _begin, _write, _finish, _close"),
        error);
}

/* refuses a NULL pointer, or an empty text, by the argument's name */
STI_COLD static st_status sti_argument_refuse(const char *said, const char *argument, st_error *error) {
    return sti_refuse(said, ST_ERR_ARGUMENT, sti_span_of(argument), 0, 0, STI_TEXT("argument is NULL or empty"), error);
}

STI_COLD static st_status sti_no_writer(st_error *error) {
    return sti_argument_refuse("(writer)", "writer", error);
}

static void sti_writer_count_tensor(st_writer *w, const st_tensor *t) {
    w->data_bytes = sti_add64_saturated(w->data_bytes, t->bytes);
    w->header_least = sti_add64_saturated(w->header_least, sti_add_saturated(t->name_bytes, STI_LEAST_ENTRY + t->rank));
}

static void sti_writer_count_pair(st_writer *w, const st_pair *p) {
    w->header_least = sti_add64_saturated(
        w->header_least, sti_add_saturated(sti_add_saturated(p->key_bytes, p->value_bytes), STI_LEAST_PAIR));
}

ST_API st_status st_writer_add(st_writer *w, const st_tensor *tensor, st_error *error) {
    st_tensor t;
    sti_item *item;
    size_t bytes;
    char *at;
    uint64_t *shape;
    st_status s;
    if (!w) return sti_no_writer(error);
    if (!tensor) return sti_argument_refuse(w->said, "tensor", error);
    if (w->stage != STI_ADDING) return sti_writer_state(w, error);
    s = sti_tensor_judge(w->said, tensor, &t, error);
    if (s != ST_OK) return s;
    bytes = sti_item_bytes(&t);
    item = (sti_item *)sti_arena_take(&w->memory, bytes);
    if (!item) return sti_writer_no_memory(w, bytes, bytes, error);
    ST_MEMSET(item, 0, sizeof *item);
    shape = (uint64_t *)(void *)(item + 1);
    at = (char *)(shape + t.rank);
    if (t.rank) ST_MEMCPY(shape, t.shape, t.rank * sizeof *shape); /* it was taken */
    t.shape = shape;
    t.name = sti_copy_text(&at, sti_span_of_text(t.name, t.name_bytes));
    if (t.dtype == ST_DTYPE_UNKNOWN) t.dtype_name = sti_copy_text(&at, sti_span_of(t.dtype_name));
    item->tensor = t;
    *w->last_item = item;
    w->last_item = &item->next;
    w->item_count++;
    w->copied += bytes; /* they were taken */
    sti_writer_count_tensor(w, &t);
    return sti_succeed(error);
}

static st_pair sti_pair_complete(const st_pair *given) {
    st_pair p = *given;
    p.key_bytes = sti_span_of_text(p.key, p.key_bytes).n;
    p.value_bytes = sti_span_of_text(p.value, p.value_bytes).n;
    return p;
}

/* judges a pair and completes it in *p */
static st_status sti_pair_judge(const char *said, const st_pair *given, st_pair *p, st_error *error) {
    sti_span key;
    *p = sti_pair_complete(given);
    key = sti_span_of_text(p->key, p->key_bytes);
    if (!p->key || !p->value) {
        return sti_refuse(said, ST_ERR_ARGUMENT, key, 0, 0, STI_TEXT("metadata entry has no key or no value"), error);
    }
    if (!sti_is_utf8(key) || !sti_is_utf8(sti_span_of_text(p->value, p->value_bytes))) {
        return sti_refuse(said, ST_ERR_UTF8, key, 0, 0, STI_TEXT("metadata is not UTF-8"), error);
    }
    return ST_OK;
}

ST_API st_status st_writer_add_metadata(st_writer *w, const st_pair *pair, st_error *error) {
    sti_pending_pair *copy;
    size_t bytes;
    st_pair p;
    char *at;
    st_status s;
    if (!w) return sti_no_writer(error);
    if (w->stage != STI_ADDING) return sti_writer_state(w, error);
    if (pair) {
        s = sti_pair_judge(w->said, pair, &p, error);
        if (s != ST_OK) return s;
        bytes = sti_pending_pair_bytes(&p);
        copy = (sti_pending_pair *)sti_arena_take(&w->memory, bytes);
        if (!copy) return sti_writer_no_memory(w, bytes, bytes, error);
        at = (char *)(copy + 1);
        copy->next = NULL;
        copy->pair = p;
        copy->pair.key = sti_copy_text(&at, sti_span_of_text(p.key, p.key_bytes));
        copy->pair.value = sti_copy_text(&at, sti_span_of_text(p.value, p.value_bytes));
        *w->last_pair = copy;
        w->last_pair = &copy->next;
        w->pair_count++;
        w->copied += bytes; /* they were taken */
        sti_writer_count_pair(w, &p);
    }
    w->has_metadata = 1;
    return sti_succeed(error);
}

/* takes order and names */
static st_status sti_writer_take_names(st_writer *w, st_error *error) {
    w->names = (sti_named *)sti_writer_take(w, sti_named_bytes(w, 0), error);
    if (!w->names) return ST_ERR_MEMORY;
    w->order = w->names + w->item_count + w->pair_count;
    return ST_OK;
}

/* a tensor that was judged; item: the caller's, or a copy */
static sti_named sti_named_tensor(const st_tensor *judged, const st_tensor *item, size_t place) {
    sti_named n;
    n.name.at = judged->name;
    n.name.n = judged->name_bytes;
    n.item = item;
    n.bytes = judged->bytes;
    n.dtype = (unsigned)judged->dtype;
    n.place = (uint32_t)place; /* a header has no more tensors than that */
    return n;
}

static sti_named sti_named_pair(const st_pair *judged, const st_pair *item) {
    sti_named n;
    ST_MEMSET(&n, 0, sizeof n);
    n.name = sti_span_of_text(judged->key, judged->key_bytes);
    n.item = item;
    return n;
}

/* lists what a streamed file was declared to have */
static st_status sti_writer_list(st_writer *w, st_error *error) {
    const sti_item *item;
    const sti_pending_pair *p;
    size_t i = 0;
    st_status s = sti_writer_take_names(w, error);
    if (s != ST_OK) return s;
    for (item = w->first_item; item; item = item->next, i++) {
        w->names[i] = sti_named_tensor(&item->tensor, &item->tensor, i);
    }
    for (p = w->first_pair; p; p = p->next) w->order[i++] = sti_named_pair(&p->pair, &p->pair);
    return ST_OK;
}

/* ---- bytes on their way out, front to back */

/* a write that failed: final, and said with the code */
STI_COLD static st_status sti_writer_failed(st_writer *w, int code, st_error *error) {
    w->stage = STI_FAILED;
    return sti_error_file(error, sti_span_of(w->said),
                          sti_fail_io(error, code, STI_NO_OFFSET, STI_TEXT("cannot write the file")));
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
    w->flushed = sti_add64_saturated(w->flushed, n);
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
    e->bytes = sti_add64_saturated(e->bytes, n);
    if (e->writer && !e->code) e->code = sti_writer_push(e->writer, bytes, n);
}

static void sti_emit_text(sti_emitter *e, const char *text) {
    sti_emit(e, text, sti_span_of(text).n);
}

static void sti_emit_number(sti_emitter *e, uint64_t n) {
    char digits[STI_DIGITS];
    sti_span s = sti_digits(n, digits);
    sti_emit(e, s.at, s.n);
}

/* one of a UTF-16 string's units, escaped: in short where there is a short form */
static void sti_emit_escape(sti_emitter *e, uint32_t unit) {
    static const char hex[] = "0123456789abcdef", short_form[] = "btn\0fr"; /* for 8 to 13; 11 has none */
    char out[6] = {'\\', 'u', 0, 0, 0, 0};
    int i;
    if (unit == '"' || unit == '\\') {
        out[1] = (char)unit;
    } else if (unit >= 8 && unit <= 13 && short_form[unit - 8]) {
        out[1] = short_form[unit - 8];
    } else {
        for (i = 0; i < 4; i++) out[2 + i] = hex[unit >> (12 - 4 * i) & 15];
    }
    sti_emit(e, out, out[2] ? 6 : 2);
}

/* a JSON string, escaped as the reference does: only what must be */
static void sti_emit_string(sti_emitter *e, sti_span s) {
    size_t i, from = 0;
    sti_emit(e, "\"", 1);
    for (i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.at[i];
        if (c >= 0x20 && c != '"' && c != '\\') continue;
        sti_emit(e, s.at + from, i - from);
        from = i + 1;
        sti_emit_escape(e, c);
    }
    sti_emit(e, s.at + from, s.n - from);
    sti_emit(e, "\"", 1);
}

static void sti_emit_tensor(sti_emitter *e, const sti_named *n, uint64_t begin) {
    const st_tensor *t = (const st_tensor *)n->item;
    uint32_t i;
    sti_emit_string(e, n->name);
    sti_emit_text(e, ":{\"dtype\":");
    sti_emit_string(e, sti_span_of(n->dtype == ST_DTYPE_UNKNOWN ? t->dtype_name
                                                                : sti_dtype_name(sti_dtype_of((st_dtype)n->dtype))));
    sti_emit_text(e, ",\"shape\":[");
    for (i = 0; i < t->rank; i++) {
        if (i) sti_emit(e, ",", 1);
        sti_emit_number(e, t->shape[i]);
    }
    sti_emit_text(e, "],\"data_offsets\":[");
    sti_emit_number(e, begin);
    sti_emit(e, ",", 1);
    sti_emit_number(e, sti_add64_saturated(begin, n->bytes));
    sti_emit_text(e, "]}");
}

static void sti_emit_header(sti_emitter *e, const st_writer *w) {
    uint64_t begin = 0;
    size_t i;
    sti_emit(e, "{", 1);
    if (w->has_metadata) {
        sti_emit_text(e, "\"__metadata__\":{");
        for (i = 0; i < w->pair_count; i++) {
            const sti_named *n = &w->order[w->item_count + i];
            const st_pair *p = (const st_pair *)n->item;
            if (i) sti_emit(e, ",", 1);
            sti_emit_string(e, n->name);
            sti_emit(e, ":", 1);
            sti_emit_string(e, sti_span_of_text(p->value, p->value_bytes));
        }
        sti_emit(e, "}", 1);
    }
    for (i = 0; i < w->item_count; i++) {
        if (i + 8 < w->item_count) STI_PREFETCH(w->order[i + 8].item);
        if (i + 8 < w->item_count) STI_PREFETCH(w->order[i + 8].name.at);
        if (i + 4 < w->item_count) STI_PREFETCH(((const st_tensor *)w->order[i + 4].item)->shape);
        if (i || w->has_metadata) sti_emit(e, ",", 1);
        sti_emit_tensor(e, &w->order[i], begin);
        begin = sti_add64_saturated(begin, w->order[i].bytes);
    }
    sti_emit(e, "}", 1);
}

/* ---- planning */

/* refuses a header that needs more bytes than there may be */
static st_status sti_header_fits(const char *said, uint64_t bytes, st_error *error) {
    if (bytes <= STI_DEFAULT_LIMIT) return ST_OK;
    return sti_refuse(said, ST_ERR_HEADER_LIMIT, sti_span_of(""), STI_DEFAULT_LIMIT, bytes,
                      STI_TEXT("header of at least $a bytes exceeds the limit of $e"), error);
}

/* orders what is listed, and refuses names and keys that are there twice */
static st_status sti_writer_sort(st_writer *w, st_error *error) {
    const size_t n = w->item_count;
    sti_named *pairs = w->order + n;
    size_t first[STI_DTYPES], i, next = 0;
    sti_sort_by_name(pairs, w->names + n, w->pair_count);
    i = sti_find_repeated(pairs, w->pair_count);
    if (i < w->pair_count) {
        return sti_refuse(w->said, ST_ERR_DUPLICATE, pairs[i].name, 0, 0, STI_TEXT("duplicate metadata key"), error);
    }
    sti_sort_by_name(w->names, w->order, n);
    i = sti_find_repeated(w->names, n);
    if (i < n) {
        return sti_refuse(w->said, ST_ERR_DUPLICATE, w->names[i].name, 0, 0, STI_TEXT("duplicate tensor name"), error);
    }
    if (w->options.flags & ST_SAVE_KEEP_ORDER) {
        for (i = 0; i < n; i++) w->order[w->names[i].place] = w->names[i];
        return ST_OK;
    }
    ST_MEMSET(first, 0, sizeof first); /* where the tensors of each dtype begin: the last dtype before the others */
    for (i = 0; i < n; i++) first[w->names[i].dtype]++;
    for (i = STI_DTYPES; i > 0; i--) {
        const size_t count = first[i - 1];
        first[i - 1] = next;
        next += count; /* at most n */
    }
    for (i = 0; i < n; i++) w->order[first[w->names[i].dtype]++] = w->names[i];
    return ST_OK;
}

/* orders everything, places the data and sizes the header */
static st_status sti_writer_plan(st_writer *w, st_error *error) {
    sti_emitter count = {NULL, 0, 0};
    const uint64_t align = w->options.align ? w->options.align : 8;
    uint64_t offset;
    size_t i;
    st_status s = sti_header_fits(w->said, w->header_least, error);
    if (s == ST_OK && w->data_bytes > INT64_MAX) { /* so no offset behind a header overflows */
        s = sti_refuse(w->said, ST_ERR_OVERFLOW, sti_span_of(""), 0, 0,
                       STI_TEXT("total size of the tensors reaches 2^63 bytes"), error);
    }
    if (s == ST_OK && !w->names) s = sti_writer_list(w, error);
    if (s == ST_OK) s = sti_writer_sort(w, error);
    if (s != ST_OK) return s;
    sti_emit_header(&count, w);
    w->data_offset = sti_add64_saturated(8, count.bytes);
    if (w->keep && w->data_offset <= w->keep) {
        w->data_offset = w->keep;
    } else {
        w->data_offset =
            sti_add64_saturated(sti_add64_saturated(w->data_offset, w->options.slack), align - 1) & ~(align - 1);
    }
    s = sti_header_fits(w->said, w->data_offset - 8, error);
    for (i = 0, offset = w->data_offset; s == ST_OK && w->first_item && i < w->item_count; i++) {
        sti_item_of(&w->order[i])->tensor.offset = offset;
        offset = sti_add64_saturated(offset, w->order[i].bytes); /* under 2^64 */
    }
    return s;
}

/* takes the buffer for a file of that many bytes: no more than it has, and of a work buffer what is left */
static st_status sti_writer_buffer(st_writer *w, uint64_t bytes, st_error *error) {
    size_t n = bytes < STI_BUFFER_BYTES ? sti_round8((size_t)bytes) : STI_BUFFER_BYTES;
    if (n < STI_BUFFER_LEAST) n = STI_BUFFER_LEAST;
    if (w->memory.work && n > w->memory.work_bytes) {
        n = w->memory.work_bytes > STI_BUFFER_LEAST ? w->memory.work_bytes : STI_BUFFER_LEAST;
    }
    w->buffer = (unsigned char *)sti_writer_take(w, n, error);
    w->buffer_bytes = n;
    return w->buffer ? ST_OK : ST_ERR_MEMORY;
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
    sti_emit_header(&e, w);
    while (e.bytes < w->data_offset) {
        uint64_t left = w->data_offset - e.bytes;
        sti_emit(&e, blanks, left < sizeof blanks - 1 ? (size_t)left : sizeof blanks - 1);
    }
    return e.code;
}

#if !defined(ST_NO_FILES)
/* the name of a temporary in the directory of a path, in temp[size] */
static void sti_temp_name(char *temp, size_t size, const char *path, uint32_t serial) {
    const size_t directory = sti_system_directory(path);
    ST_MEMCPY(temp, path, directory);
    temp[directory] = 0;
    sti_put(temp, size, sti_span_of(".st-"));
    sti_put_number(temp, size, sti_system_process());
    sti_put(temp, size, sti_span_of("-"));
    sti_put_number(temp, size, serial);
    sti_put(temp, size, sti_span_of(".tmp"));
}

/* the temporary, under the first name that is free, and room for the whole file */
static int sti_writer_create(st_writer *w) {
    int tries, code = 0;
    for (tries = 0; tries < 10000; tries++, w->serial++) { /* names of crashed processes may be there */
        sti_temp_name(w->temp, w->temp_bytes, w->path, w->serial);
        code = sti_system_create(w->path, w->temp, &w->target);
        if (code != STI_IO_EXISTS) break;
    }
    if (!code) code = sti_system_reserve(&w->target, sti_add64_saturated(w->data_offset, w->data_bytes));
    return code;
}
#endif

/* takes the buffer, and creates what it is to be written to */
static st_status sti_writer_start(st_writer *w, st_error *error) {
    st_status s = sti_writer_buffer(w, sti_add64_saturated(w->data_offset, w->data_bytes), error);
#if !defined(ST_NO_FILES)
    int code = s == ST_OK && !w->sink.write ? sti_writer_create(w) : 0;
    if (code) {
        s = sti_fail_code(error, code, STI_NO_OFFSET, STI_TEXT("cannot create the file"));
        if (s == ST_ERR_NOT_FOUND) {
            (void)sti_fail(error, s, STI_NO_OFFSET, 0, 0, STI_TEXT("directory does not exist"));
        }
        (void)sti_error_file(error, sti_span_of(w->said), s);
        if (w->target.open) sti_system_discard(&w->target, w->temp);
    }
#endif
    if (s == ST_OK) w->stage = STI_WRITING;
    return s;
}

/* passes over tensors that have all their bytes */
static void sti_writer_advance(st_writer *w) {
    while (w->current < w->item_count && w->written == w->order[w->current].bytes) {
        w->current++;
        w->written = 0;
    }
}

ST_API st_status st_writer_begin(st_writer *w, st_error *error) {
    sti_memory before;
    st_status s;
    int code;
    if (!w) return sti_no_writer(error);
    if (w->stage != STI_ADDING) return sti_writer_state(w, error);
    before = w->memory;
    s = sti_writer_plan(w, error);
    if (s == ST_OK) s = sti_writer_start(w, error);
    if (s != ST_OK) {
        sti_arena_release(&w->memory, before.chunks, before.work_bytes);
        w->names = NULL; /* those of st_save are not looked at again */
        return s;
    }
    code = sti_writer_header(w);
    if (!code && !w->sink.write) code = sti_writer_flush(w); /* st_writer_write_to may come from several threads */
    if (code) return sti_writer_failed(w, code, error);
    sti_writer_advance(w);
    return sti_succeed(error);
}

/* ---- data */

/* bytes of the i-th tensor that were written */
static uint64_t sti_writer_has(const st_writer *w, size_t i) {
    if (i < w->current) return w->order[i].bytes;
    if (i == w->current && w->written) return w->written;
    return w->first_item ? sti_item_of(&w->order[i])->written : 0;
}

ST_API const st_tensor *st_writer_next(const st_writer *w) {
    size_t i;
    if (!w || w->stage != STI_WRITING) return NULL;
    for (i = w->current; i < w->item_count; i++) { /* st_writer_write_to may have brought some */
        if (sti_writer_has(w, i) < w->order[i].bytes) return &sti_item_of(&w->order[i])->tensor;
    }
    return NULL;
}

/* counts n bytes that went through the buffer, which there was room for */
static void sti_writer_count(st_writer *w, uint64_t n) {
    w->streamed = sti_add64_saturated(w->streamed, n);
    while (n) {
        const uint64_t room = w->order[w->current].bytes - w->written, part = n < room ? n : room;
        w->written = sti_add64_saturated(w->written, part);
        n -= part;
        sti_writer_advance(w);
    }
}

/* whether st_writer_write_to has been at it: looked up once, at the first byte of st_writer_write */
static int sti_writer_is_scattered(const st_writer *w) {
    size_t i;
    for (i = 0; w->streamed == 0 && i < w->item_count; i++) {
        const sti_item *item = sti_item_of(&w->order[i]);
        if (item->written || item->failed) return 1;
    }
    return 0;
}

ST_API st_status st_writer_write(st_writer *w, const void *bytes, size_t n, st_error *error) {
    int code;
    if (!w) return sti_no_writer(error);
    if (!bytes && n) return sti_argument_refuse(w->said, "bytes", error);
    if (w->stage != STI_WRITING || sti_writer_is_scattered(w)) return sti_writer_state(w, error);
    if (n == 0) return sti_succeed(error);
    if (n > w->data_bytes - w->streamed) {
        return sti_refuse(w->said, ST_ERR_ARGUMENT, sti_span_of(""), w->data_bytes - w->streamed, n,
                          STI_TEXT("$a bytes given, but only $e are missing"), error);
    }
    code = sti_writer_push(w, bytes, n);
    if (code) return sti_writer_failed(w, code, error);
    sti_writer_count(w, n);
    return sti_succeed(error);
}

/* NULL: there is no tensor of that name */
static sti_item *sti_writer_find(const st_writer *w, sti_span name) {
    size_t low = 0, high = w->item_count;
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        const int c = sti_compare(name, w->names[middle].name);
        if (c == 0) return sti_item_of(&w->names[middle]);
        if (c < 0) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    return NULL;
}

ST_API st_status st_writer_write_to(st_writer *w, const st_tensor *tensor, const void *bytes, size_t n,
                                    st_error *error) {
    sti_item *item;
    sti_span name;
    int code = 0;
    if (!w) return sti_no_writer(error);
    if (!tensor || !tensor->name) return sti_argument_refuse(w->said, tensor ? "tensor->name" : "tensor", error);
    if (!bytes && n) return sti_argument_refuse(w->said, "bytes", error);
    name = sti_span_of_text(tensor->name, tensor->name_bytes);
    if (w->sink.write) {
        return sti_refuse(w->said, ST_ERR_UNSUPPORTED, name, 0, 0,
                          STI_TEXT("st_writer_write_to cannot write to a sink"), error);
    }
    if (w->stage != STI_WRITING || w->streamed) return sti_writer_state(w, error);
    item = sti_writer_find(w, name);
    if (!item)
        return sti_refuse(w->said, ST_ERR_NOT_FOUND, name, 0, 0, STI_TEXT("no tensor with this name was declared"),
                          error);
    if (item->failed)
        return sti_refuse(w->said, ST_ERR_STATE, name, 0, 0,
                          STI_TEXT("a write failed before: the writer can only be closed"), error);
    if (n > item->tensor.bytes - item->written) {
        return sti_refuse(w->said, ST_ERR_ARGUMENT, name, item->tensor.bytes - item->written, n,
                          STI_TEXT("$a bytes given, but only $e are missing"), error);
    }
#if !defined(ST_NO_FILES)
    code = sti_system_write(&w->target, sti_add64_saturated(item->tensor.offset, item->written), bytes, n);
#endif
    if (code) {
        item->failed = 1; /* and not w->stage: other threads are reading that */
        (void)sti_fail_io(error, code, STI_NO_OFFSET, STI_TEXT("cannot write the file"));
        sti_error_subject(error, name, STI_NAME);
        return sti_error_file(error, sti_span_of(w->said), ST_ERR_IO);
    }
    item->written = sti_add64_saturated(item->written, n);
    return sti_succeed(error);
}

/* whole and closed, but for its name */
static st_status sti_writer_complete(st_writer *w, st_error *error) {
    size_t i;
    int code;
    for (i = w->current; i < w->item_count; i++) {
        const uint64_t bytes = w->order[i].bytes, written = sti_writer_has(w, i);
        const int failed = w->first_item && sti_item_of(&w->order[i])->failed;
        if (failed || written < bytes) {
            return sti_refuse(w->said, ST_ERR_STATE, w->order[i].name, bytes, written,
                              failed ? STI_TEXT("a write failed before: the writer can only be closed")
                                     : STI_TEXT("only $a of the tensor's $e bytes were written"),
                              error);
        }
    }
    code = sti_writer_flush(w);
#if !defined(ST_NO_FILES)
    if (!code && !w->sink.write) code = sti_system_finish_file(&w->target, !(w->options.flags & ST_SAVE_NO_SYNC));
#endif
    return code ? sti_writer_failed(w, code, error) : ST_OK;
}

ST_API st_status st_writer_finish(st_writer *w, st_error *error) {
    st_status s;
    if (!w) return sti_no_writer(error);
    if (w->stage != STI_WRITING) return sti_writer_state(w, error);
    s = sti_writer_complete(w, error);
    if (s != ST_OK) return s;
#if !defined(ST_NO_FILES)
    if (!w->sink.write) {
        const int sync = !(w->options.flags & ST_SAVE_NO_SYNC);
        int code = sti_system_rename(w->temp, w->path, sync);
        w->target.named = !code;
        if (!code && sync) code = sti_system_sync_directory(w->temp);
        if (code) return sti_writer_failed(w, code, error);
    }
#endif
    w->stage = STI_FINISHED;
    return sti_succeed(error);
}

/* ---- opening and closing */

/* what a call takes of st_save_options beside allocator and user: ST_SAVE_* and these */
#define STI_TAKES_LAYOUT 1u   /* align, slack */
#define STI_TAKES_LIMIT 2u    /* max_shard_bytes */
#define STI_TAKES_WORK 4u     /* work */
#define STI_TAKES_PROGRESS 8u /* progress */
#define STI_TAKES_BYTES 16u   /* fill */
#define STI_TAKES_SINK 32u    /* sink */

/* refuses an option that is out of range or has no meaning in a call, by its name */
static st_status sti_save_options_check(const char *said, const st_save_options *o, unsigned takes, st_error *error) {
    const unsigned extra =
        (o->flags | (o->align || o->slack ? STI_TAKES_LAYOUT : 0) | (o->max_shard_bytes ? STI_TAKES_LIMIT : 0) |
         (o->work.data ? STI_TAKES_WORK : 0) | (o->progress ? STI_TAKES_PROGRESS : 0) |
         (o->fill ? STI_TAKES_BYTES : 0) | (o->sink ? STI_TAKES_SINK : 0)) &
        ~takes;
    const char *wrong = o->flags & ~STI_SAVE_FLAGS                                               ? "flags"
                        : (o->align & (o->align - (o->align > 0))) || (o->align && o->align < 8) ? "align"
                        : o->allocator && (!o->allocator->alloc || !o->allocator->free)          ? "allocator"
                                                                                                 : "";
    const char *name = extra & ST_SAVE_KEEP_ORDER   ? "ST_SAVE_KEEP_ORDER"
                       : extra & ST_SAVE_NO_SYNC    ? "ST_SAVE_NO_SYNC"
                       : extra & ST_SAVE_IN_PLACE   ? "ST_SAVE_IN_PLACE"
                       : extra & STI_TAKES_LAYOUT   ? (o->align ? "align" : "slack")
                       : extra & STI_TAKES_LIMIT    ? "max_shard_bytes"
                       : extra & STI_TAKES_WORK     ? "work"
                       : extra & STI_TAKES_PROGRESS ? "progress"
                       : extra & STI_TAKES_BYTES    ? "fill"
                       : extra & STI_TAKES_SINK     ? "sink"
                                                    : "";
    if (*wrong) {
        return sti_refuse(said, ST_ERR_ARGUMENT, sti_span_of(wrong), 0, 0, STI_TEXT("option is out of range"), error);
    }
    if (!*name) return ST_OK;
    return sti_refuse(said, ST_ERR_ARGUMENT, sti_span_of(name), 0, 0,
                      STI_TEXT("option has no meaning for this call: leave it zero"), error);
}

/* where the bytes go: a path, or a sink in the options; *said is what messages call it */
static st_status sti_save_to(const char *path, const st_save_options *o, const char **said, st_error *error) {
    *said = path ? path : "(sink)";
    if (path ? !*path : !o->sink) return sti_argument_refuse(path ? "(file)" : *said, "path", error);
    if (o->sink && !o->sink->write) return sti_argument_refuse(*said, "sink->write", error);
    if (path && o->sink) {
        return sti_refuse(*said, ST_ERR_ARGUMENT, sti_span_of("sink"), 0, 0,
                          STI_TEXT("options.sink is set: the path must be NULL"), error);
    }
#if defined(ST_NO_FILES)
    if (path) {
        return sti_refuse(*said, ST_ERR_UNSUPPORTED, sti_span_of(""), 0, 0,
                          STI_TEXT("built with ST_NO_FILES: set st_save_options.sink"), error);
    }
#endif
    return ST_OK;
}

/* contents: what sti_save_declare will be given; NULL: a streamed file */
static st_status sti_writer_open(st_writer **writer, const char *path, const st_contents *contents,
                                 const st_save_options *options, st_error *error) {
    st_writer first, *w = &first;
    st_status s;
    ST_MEMSET(w, 0, sizeof *w);
    *writer = NULL;
    if (options) w->options = *options;
    s = sti_save_to(path, &w->options, &w->said, error);
    if (s != ST_OK) return s;
    sti_memory_choose(&w->memory, w->options.allocator, w->options.work.data, w->options.work.bytes);
    w->path = path;
    if (w->options.sink) w->sink = *w->options.sink;
    w->header_least = 2;
    if (contents) {
        w->item_count = contents->count;
        w->pair_count = contents->metadata_count;
    }
#if !defined(ST_NO_FILES)
    if (path) {
        w->temp_bytes = sti_add_saturated(sti_span_of(path).n, STI_TEMP_BYTES);
    }
#endif
    w = (st_writer *)sti_writer_take(&first, sizeof *w, error);
    if (!w) return ST_ERR_MEMORY;
    *w = first;
    w->last_item = &w->first_item;
    w->last_pair = &w->first_pair;
    if (path) {
        w->temp = (char *)sti_writer_take(w, w->temp_bytes, error);
        if (!w->temp) {
            st_writer_close(w);
            return ST_ERR_MEMORY;
        }
        w->temp[0] = 0;
    }
    *writer = w;
    return sti_succeed(error);
}

ST_API st_status st_writer_open(st_writer **writer, const char *path, const st_save_options *options, st_error *error) {
    st_status s = ST_OK;
    if (writer) *writer = NULL;
    if (!writer) return sti_no_writer(error);
    if (options) {
        s = sti_save_options_check(
            path ? path : "(sink)", options,
            ST_SAVE_KEEP_ORDER | ST_SAVE_NO_SYNC | STI_TAKES_LAYOUT | STI_TAKES_WORK | STI_TAKES_SINK, error);
    }
    return s == ST_OK ? sti_writer_open(writer, path, NULL, options, error) : s;
}

ST_API void st_writer_close(st_writer *w) {
    sti_memory memory;
    if (!w) return;
#if !defined(ST_NO_FILES)
    if (!w->sink.write && (w->stage == STI_WRITING || w->stage == STI_FAILED)) {
        sti_system_discard(&w->target, w->temp);
    }
#endif
    memory = w->memory; /* it lies in what goes */
    sti_arena_release(&memory, NULL, 0);
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

/* whether the bytes of a tensor, as many as that, will come from somewhere */
static st_status sti_source_check(const char *said, const st_model *from, const st_save_options *o, const st_tensor *t,
                                  uint64_t bytes, st_error *error) {
    st_tensor wanted;
    if (bytes == 0 || t->data || (!from && o->fill)) return ST_OK;
    wanted = *t;
    wanted.bytes = bytes;
    if (from && sti_source_find(from, &wanted)) return ST_OK;
    return sti_refuse(said, ST_ERR_ARGUMENT, sti_span_of_text(t->name, t->name_bytes), 0, 0,
                      from ? STI_TEXT("contents.from has no tensor with this shard, offset and size")
                           : STI_TEXT("tensor has no data: set data, contents.from or options.fill"),
                      error);
}

/* the next block of a tensor's bytes, from where its source has them: to the buffer, or past it; *n bytes of them */
static st_status sti_save_block(st_writer *w, const sti_named *item, uint64_t *n, st_error *error) {
    const st_tensor *t = (const st_tensor *)item->item;
    const uint64_t left = item->bytes - w->written, most = w->from ? STI_MAPPED_BYTES : STI_BUFFER_BYTES;
    size_t room;
    st_status s = ST_OK;
    int code = 0;
    if (t->data) {
        *n = left < most ? left : most; /* it lies in memory, so places fit size_t */
        code = sti_writer_push(w, (const unsigned char *)t->data + w->written, (size_t)*n);
        return code ? sti_writer_failed(w, code, error) : ST_OK;
    }
    if (w->buffered == w->buffer_bytes) code = sti_writer_flush(w);
    if (code) return sti_writer_failed(w, code, error);
    room = w->buffer_bytes - w->buffered;
    *n = left < room ? left : room;
    if (w->from) {
        st_tensor from = *t;
        from.bytes = item->bytes;
        s = st_read(w->from, &from, w->written, w->buffer + w->buffered, (size_t)*n, error);
    } else {
        code = (w->options.fill)(w->options.user, t, w->written, w->buffer + w->buffered, (size_t)*n);
        if (code) {
            s = sti_fail_io(error, code, STI_NO_OFFSET, STI_TEXT("options.fill failed"));
            sti_error_subject(error, item->name, STI_NAME);
            (void)sti_error_file(error, sti_span_of(w->said), s);
        }
    }
    if (s == ST_OK) w->buffered += (size_t)*n;
    return s;
}

/* before, total: bytes of other files that progress counts too, and of all */
static st_status sti_save_data(st_writer *w, uint64_t before, uint64_t total, st_error *error) {
    while (w->current < w->item_count) {
        uint64_t n = 0;
        st_status s = sti_save_block(w, &w->order[w->current], &n, error);
        if (s != ST_OK) return s;
        sti_writer_count(w, n);
        if (w->options.progress &&
            (w->options.progress)(w->options.user, sti_add64_saturated(before, w->streamed), total) != 0) {
            return sti_refuse(w->said, ST_ERR_CANCELLED, sti_span_of(""), 0, 0,
                              STI_TEXT("cancelled by progress; nothing was changed"), error);
        }
    }
    return ST_OK;
}

/* refuses contents that no call takes, and a callback that none would call */
static st_status sti_contents_check(const char *said, const st_contents *c, const st_save_options *o, st_error *error) {
    if (!c) return sti_argument_refuse(said, "contents", error);
    if (!c->tensors && c->count) return sti_argument_refuse(said, "contents->tensors", error);
    if (!c->metadata && c->metadata_count) return sti_argument_refuse(said, "contents->metadata", error);
    if (!c->index && c->index_count) return sti_argument_refuse(said, "contents->index", error);
    if (!c->from || !o || !o->fill) return ST_OK;
    return sti_refuse(said, ST_ERR_ARGUMENT, sti_span_of("fill"), 0, 0,
                      STI_TEXT("options.fill and contents.from are both set: choose one source of bytes"), error);
}

/* judges and lists everything, which was checked; nothing of it is copied */
static st_status sti_save_declare(st_writer *w, const st_contents *c, st_error *error) {
    st_status s;
    size_t i;
    w->from = c->from;
    w->has_metadata = c->metadata != NULL;
    w->item_count = c->count;
    w->pair_count = c->metadata_count;
    /* before memory is taken that no such header needs */
    s = sti_header_fits(w->said,
                        sti_add_saturated(sti_multiply_saturated(c->count, STI_LEAST_ENTRY),
                                          sti_multiply_saturated(c->metadata_count, STI_LEAST_PAIR)),
                        error);
    if (s == ST_OK) s = sti_writer_take_names(w, error);
    for (i = 0; s == ST_OK && i < c->metadata_count; i++) {
        st_pair p;
        s = sti_pair_judge(w->said, &c->metadata[i], &p, error);
        if (s != ST_OK) return s;
        sti_writer_count_pair(w, &p);
        w->order[c->count + i] = sti_named_pair(&p, &c->metadata[i]);
    }
    for (i = 0; s == ST_OK && i < c->count; i++) {
        st_tensor t;
        if (i + 8 < c->count) STI_PREFETCH(c->tensors[i + 8].name);
        if (i + 8 < c->count) STI_PREFETCH(c->tensors[i + 8].shape);
        s = sti_tensor_judge(w->said, &c->tensors[i], &t, error);
        if (s == ST_OK) s = sti_source_check(w->said, c->from, &w->options, &c->tensors[i], t.bytes, error);
        if (s != ST_OK) return s;
        sti_writer_count_tensor(w, &t);
        w->names[i] = sti_named_tensor(&t, &c->tensors[i], i);
    }
    return s;
}

ST_API st_contents st_contents_of(const st_model *model) {
    st_contents c;
    ST_MEMSET(&c, 0, sizeof c);
    if (model) {
        c.tensors = model->tensors;
        c.count = model->count;
        c.metadata = model->metadata;
        c.metadata_count = model->metadata_count;
        c.index = model->index;
        c.index_count = model->index_count;
        c.from = model;
    }
    return c;
}

ST_API st_status st_save(const char *path, const st_contents *contents, const st_save_options *options,
                         st_error *error) {
    const char *said = path ? path : "(sink)";
    st_writer *w = NULL;
    st_status s = sti_contents_check(said, contents, options, error);
    if (s == ST_OK && options) {
        s = sti_save_options_check(said, options,
                                   ST_SAVE_KEEP_ORDER | ST_SAVE_NO_SYNC | STI_TAKES_LAYOUT | STI_TAKES_WORK |
                                       STI_TAKES_SINK | STI_TAKES_BYTES | STI_TAKES_PROGRESS,
                                   error);
    }
    if (s == ST_OK) s = sti_writer_open(&w, path, contents, options, error);
    if (s == ST_OK) s = sti_save_declare(w, contents, error);
    if (s == ST_OK) s = st_writer_begin(w, error);
    if (s == ST_OK) s = sti_save_data(w, 0, w->data_bytes, error);
    if (s == ST_OK) s = st_writer_finish(w, error);
    st_writer_close(w);
    return s;
}

/* ---- sharding: the plan */

#define STI_SHARD_BYTES 5000000000u /* by default */
#define STI_STEM "model"            /* what the names of a model's files begin with */

/* checks all tensors, sums their bytes and counts the shards; shards: NULL, or room for count */
static st_status sti_plan(const char *said, const st_contents *c, const st_save_options *o, uint32_t *shards,
                          uint32_t *shard_count, uint64_t *bytes, st_error *error) {
    const uint64_t limit = o->max_shard_bytes ? o->max_shard_bytes : STI_SHARD_BYTES;
    uint64_t held = 0; /* bytes in the last shard */
    uint32_t n = 1;
    size_t i;
    *bytes = 0;
    for (i = 0; i < c->count; i++) {
        st_tensor t;
        st_status s = sti_tensor_judge(said, &c->tensors[i], &t, error);
        if (s != ST_OK) return s;
        *bytes = sti_add64_saturated(*bytes, t.bytes);
        if (*bytes > INT64_MAX) {
            return sti_refuse(said, ST_ERR_OVERFLOW, sti_span_of_text(t.name, t.name_bytes), 0, 0,
                              STI_TEXT("total size reaches 2^63 bytes at this tensor"), error);
        }
        if (i && (held > limit || t.bytes > limit - held)) {
            held = 0;
            if (n <= STI_MAX_SHARDS) n++;
        }
        held = sti_add64_saturated(held, t.bytes);
        if (shards) shards[i] = n - 1;
    }
    if (n > STI_MAX_SHARDS) {
        return sti_refuse(said, ST_ERR_TOO_LARGE, sti_span_of("max_shard_bytes"), STI_MAX_SHARDS, 0,
                          STI_TEXT("more than $e shards: increase max_shard_bytes"), error);
    }
    *shard_count = n;
    return ST_OK;
}

#define STI_SHARDED_TAKES \
    (ST_SAVE_KEEP_ORDER | ST_SAVE_NO_SYNC | STI_TAKES_LAYOUT | STI_TAKES_LIMIT | STI_TAKES_PROGRESS | STI_TAKES_BYTES)

ST_API st_status st_plan_shards(const st_contents *contents, const st_save_options *options, uint32_t *shards,
                                uint32_t *shard_count, st_error *error) {
    const char *said = "(plan)";
    st_save_options all;
    uint64_t bytes;
    st_status s;
    ST_MEMSET(&all, 0, sizeof all);
    if (options) all = *options;
    if (!shard_count) return sti_argument_refuse(said, "shard_count", error);
    s = sti_contents_check(said, contents, options, error);
    if (s == ST_OK) s = sti_save_options_check(said, &all, STI_SHARDED_TAKES, error);
    if (s == ST_OK) s = sti_plan(said, contents, &all, shards, shard_count, &bytes, error);
    return s == ST_OK ? sti_succeed(error) : s;
}

static void sti_put_five(char *text, size_t size, uint32_t n) {
    uint32_t rank;
    for (rank = 10000; rank > n; rank /= 10) sti_put(text, size, sti_span_of("0")); /* n > 0 */
    sti_put_number(text, size, n);
}

/* the name of a shard, counted from 0; shard_count 0: of the file of a model that has one only */
static void sti_shard_name(const char *stem, uint32_t shard, uint32_t shard_count, char name[ST_SHARD_NAME_BYTES]) {
    name[0] = 0;
    sti_put(name, ST_SHARD_NAME_BYTES, sti_span_of(stem));
    if (shard_count) {
        sti_put(name, ST_SHARD_NAME_BYTES, sti_span_of("-"));
        sti_put_five(name, ST_SHARD_NAME_BYTES, shard + 1); /* at most shard_count */
        sti_put(name, ST_SHARD_NAME_BYTES, sti_span_of("-of-"));
        sti_put_five(name, ST_SHARD_NAME_BYTES, shard_count);
    }
    sti_put(name, ST_SHARD_NAME_BYTES, sti_span_of(STI_MODEL));
}

ST_API st_status st_shard_name(uint32_t shard, uint32_t shard_count, char *dst, size_t dst_bytes) {
    char whole[ST_SHARD_NAME_BYTES];
    size_t n;
    if (!dst || shard >= shard_count) return ST_ERR_ARGUMENT;
    sti_shard_name(STI_STEM, shard, shard_count > 1 ? shard_count : 0, whole);
    n = sti_span_of(whole).n + 1;
    if (n > dst_bytes) return ST_ERR_ARGUMENT;
    ST_MEMCPY(dst, whole, n);
    return ST_OK;
}

#if !defined(ST_NO_FILES)

/* ---- sharding: one call that saves a model in several files, or their index */

typedef struct sti_shards { /* what one call works with; the first three are the caller's */
    const char *directory;
    st_contents contents;
    st_save_options options;
    sti_memory memory;
    st_error *error;
    const char *stem;
    uint32_t shard_count;
    uint32_t *shards;    /* of each tensor */
    uint64_t bytes;      /* of all tensors */
    size_t prefix_bytes; /* the directory and a separator: where names begin in path */
    size_t path_bytes;
    char *path, *temp;         /* each with room for path_bytes */
    sti_named *order;          /* contents.count tensors by name, for the index */
    sti_named *pairs;          /* contents.index_count pairs by key */
    uint64_t index_bytes;      /* of its text */
    uint32_t *serials;         /* of the temporaries of the shards, then of the index */
    uint32_t serial;           /* for the next */
    uint32_t written, named;   /* temporaries that were written, and how many of these have their names by now */
    uint64_t done;             /* bytes that progress has been told of */
    int has_index, has_single; /* files of an older model that are there */
    int clash;                 /* a file that is there has the name of a new shard */
    st_status status;          /* of what a listing calls */
} sti_shards;

STI_COLD static st_status sti_shards_refuse(const sti_shards *s, st_status status, sti_span subject, uint64_t expected,
                                            uint64_t actual, const char *sentence) {
    return sti_refuse(s->directory, status, subject, expected, actual, sentence, s->error);
}

/* the system's refusal, about one name in the directory; "": about the directory */
STI_COLD static st_status sti_shards_fail(const sti_shards *s, int code, const char *name, const char *sentence) {
    st_status status = sti_fail_code(s->error, code, STI_NO_OFFSET, sentence);
    if (*name) sti_error_subject(s->error, sti_span_of(name), STI_NAME);
    return sti_error_file(s->error, sti_span_of(s->directory), status);
}

/* puts the name of a file of the model into s->path */
static const char *sti_shards_path(const sti_shards *s, const char *name) {
    const sti_span text = sti_span_of(name);
    ST_MEMCPY(s->path + s->prefix_bytes, text.at, text.n + 1);
    return s->path;
}

/* the name of file `i` of the new model: its shards, then the index */
static const char *sti_shards_name(const sti_shards *s, uint32_t i, char name[ST_SHARD_NAME_BYTES]) {
    if (i < s->shard_count) {
        sti_shard_name(s->stem, i, s->shard_count > 1 ? s->shard_count : 0, name);
    } else {
        name[0] = 0;
        sti_put(name, ST_SHARD_NAME_BYTES, sti_span_of(s->stem));
        sti_put(name, ST_SHARD_NAME_BYTES, sti_span_of(STI_INDEX_END));
    }
    return name;
}

static void *sti_shards_take(sti_shards *s, size_t bytes) {
    void *taken = sti_arena_take(&s->memory, bytes);
    if (!taken) (void)sti_error_file(s->error, sti_span_of(s->directory), sti_fail_memory(&s->memory, bytes, s->error));
    return taken;
}

/* checks the arguments and plans; takes what both calls need */
static st_status sti_shards_open(sti_shards *s, const char *directory, const st_contents *contents,
                                 const st_save_options *options, unsigned takes, st_error *error) {
    const sti_span place = sti_span_of(directory ? directory : "");
    st_status status;
    ST_MEMSET(s, 0, sizeof *s);
    s->directory = directory ? directory : "(directory)";
    if (options) s->options = *options;
    s->error = error;
    s->stem = STI_STEM;
    if (!place.n) return sti_argument_refuse(s->directory, "directory", error);
    status = sti_contents_check(directory, contents, options, error);
    if (status == ST_OK) status = sti_save_options_check(directory, &s->options, takes, error);
    if (status != ST_OK) return status;
    s->contents = *contents;
    sti_memory_choose(&s->memory, s->options.allocator, NULL, 0);
    s->shards = (uint32_t *)sti_shards_take(s, sti_multiply_saturated(contents->count, sizeof *s->shards));
    if (!s->shards) return ST_ERR_MEMORY;
    status = sti_plan(directory, contents, &s->options, s->shards, &s->shard_count, &s->bytes, error);
    if (status != ST_OK) return status;
    s->prefix_bytes =
        sti_add_saturated(place.n, sti_system_directory(directory) < place.n); /* a separator, unless it has one */
    s->path_bytes =
        sti_add_saturated(s->prefix_bytes, ST_SHARD_NAME_BYTES > STI_TEMP_BYTES ? ST_SHARD_NAME_BYTES : STI_TEMP_BYTES);
    s->serials = (uint32_t *)sti_shards_take(s, sti_multiply_saturated(s->shard_count + (size_t)1, sizeof *s->serials));
    if (s->serials) s->path = (char *)sti_shards_take(s, s->path_bytes);
    if (s->path) s->temp = (char *)sti_shards_take(s, s->path_bytes);
    if (!s->temp) return ST_ERR_MEMORY;
    ST_MEMCPY(s->path, place.at, place.n);
    if (s->prefix_bytes > place.n) s->path[place.n] = '/';
    s->path[s->prefix_bytes] = 0;
    return ST_OK;
}

static st_status sti_shards_end(sti_shards *s, st_status status) {
    sti_arena_release(&s->memory, NULL, 0);
    return status == ST_OK ? sti_succeed(s->error) : status;
}

/* calls `each` for every shard, with its tensors [begin, end), until one call fails */
static st_status sti_shards_each(sti_shards *s,
                                 st_status (*each)(sti_shards *s, uint32_t shard, size_t begin, size_t end)) {
    st_status status = ST_OK;
    size_t begin = 0, end;
    uint32_t shard;
    for (shard = 0; status == ST_OK && shard < s->shard_count; shard++, begin = end) {
        for (end = begin; end < s->contents.count && s->shards[end] == shard; end++) {}
        status = each(s, shard, begin, end);
    }
    return status;
}

/* ---- sharding: the index's text, as Python's json writes it with an indent of 2 and sorted keys, but for the values */

/* a string in ASCII */
static void sti_emit_ascii(sti_emitter *e, sti_span s) {
    sti_json j = sti_json_inside(s);
    sti_emit(e, "\"", 1);
    while (j.at < j.end) {
        const unsigned char *run = j.at;
        while (j.at < j.end && *j.at >= 0x20 && *j.at < 0x7F && *j.at != '"' && *j.at != '\\') j.at++;
        sti_emit(e, run, (size_t)(j.at - run));
        if (j.at < j.end) {
            unsigned char raw[4];
            uint32_t code = sti_utf8_code(raw, sti_json_character(&j, 0, raw)); /* never 0: it is UTF-8 */
            if (code < 0x10000) {
                sti_emit_escape(e, code);
            } else {
                sti_emit_escape(e, 0xD800 + ((code - 0x10000) >> 10));
                sti_emit_escape(e, 0xDC00 + (code & 0x3FF));
            }
        }
    }
    sti_emit(e, "\"", 1);
}

/* begins a member: its key, and what stands before it */
static void sti_emit_key(sti_emitter *e, sti_span key, int first) {
    sti_emit_text(e, first ? "\n    " : ",\n    ");
    sti_emit_ascii(e, key);
    sti_emit(e, ": ", 2);
}

/* whether a text is one JSON value that may stand in the index's metadata */
static int sti_is_value(sti_span text) {
    sti_json j = sti_json_inside(text);
    return sti_is_utf8(text) && sti_json_skip(&j, 2) == ST_OK && sti_json_peek(&j) < 0;
}

/* orders n items by name, and refuses a name that is there twice */
static st_status sti_shards_sort(sti_shards *s, sti_named *items, size_t n, const char *sentence) {
    const sti_memory before = s->memory;
    sti_named *spare = (sti_named *)sti_shards_take(s, sti_multiply_saturated(n, sizeof *spare));
    size_t i;
    if (!spare) return ST_ERR_MEMORY;
    sti_sort_by_name(items, spare, n);
    sti_arena_release(&s->memory, before.chunks, 0);
    i = sti_find_repeated(items, n);
    return i < n ? sti_shards_refuse(s, ST_ERR_DUPLICATE, items[i].name, 0, 0, sentence) : ST_OK;
}

/* checks the index's metadata and orders it */
static st_status sti_shards_pairs(sti_shards *s) {
    const size_t n = s->contents.index_count;
    size_t i;
    if (!n) return ST_OK;
    s->pairs = (sti_named *)sti_shards_take(s, sti_multiply_saturated(n, sizeof *s->pairs));
    if (!s->pairs) return ST_ERR_MEMORY;
    for (i = 0; i < n; i++) {
        const st_pair *p = &s->contents.index[i];
        sti_span key = sti_span_of_text(p->key, p->key_bytes), value = sti_span_of_text(p->value, p->value_bytes);
        if (!key.at || !value.at) {
            return sti_shards_refuse(s, ST_ERR_ARGUMENT, key, 0, 0, STI_TEXT("index entry has no key or no value"));
        }
        if (!sti_is_utf8(key)) {
            return sti_shards_refuse(s, ST_ERR_UTF8, key, 0, 0, STI_TEXT("index key is not UTF-8"));
        }
        if (value.n > STI_DEFAULT_LIMIT) {
            return sti_shards_refuse(s, ST_ERR_HEADER_LIMIT, key, STI_DEFAULT_LIMIT, value.n,
                                     STI_TEXT("index value of $a bytes exceeds the limit of $e"));
        }
        if (!sti_is_value(value)) {
            return sti_shards_refuse(s, ST_ERR_JSON, key, 0, 0, STI_TEXT("index value is not JSON text"));
        }
        s->pairs[i] = sti_named_pair(p, p);
    }
    return sti_shards_sort(s, s->pairs, n, STI_TEXT("duplicate index key"));
}

/* orders the tensors for the index, and refuses a name that is there twice */
static st_status sti_shards_order(sti_shards *s) {
    size_t i;
    s->order = (sti_named *)sti_shards_take(s, sti_multiply_saturated(s->contents.count, sizeof *s->order));
    if (!s->order) return ST_ERR_MEMORY;
    for (i = 0; i < s->contents.count; i++) {
        ST_MEMSET(&s->order[i], 0, sizeof *s->order);
        s->order[i].name = sti_span_of_text(s->contents.tensors[i].name, s->contents.tensors[i].name_bytes);
        s->order[i].item = &s->contents.tensors[i];
    }
    return sti_shards_sort(s, s->order, s->contents.count, STI_TEXT("duplicate tensor name"));
}

/* of a model in several files: it has two tensors at least */
static void sti_emit_index(sti_emitter *e, const sti_shards *s) {
    const sti_span total = sti_span_of("total_size");
    const size_t n = s->contents.index_count;
    char name[ST_SHARD_NAME_BYTES];
    size_t i;
    int said = 0; /* total_size */
    sti_emit_text(e, "{\n  \"metadata\": {");
    for (i = 0; i <= n; i++) {
        const int order = i < n ? sti_compare(s->pairs[i].name, total) : 1;
        const st_pair *p;
        sti_span value;
        if (order >= 0 && !said) {
            sti_emit_key(e, total, i == 0);
            sti_emit_number(e, s->bytes);
            said = 1;
        }
        if (order == 0 || i == n) continue; /* a total_size of the caller's */
        p = (const st_pair *)s->pairs[i].item;
        value = sti_span_of_text(p->value, p->value_bytes);
        sti_emit_key(e, s->pairs[i].name, i == 0 && !said);
        sti_emit(e, value.at, value.n);
    }
    sti_emit_text(e, "\n  },\n  \"weight_map\": {");
    for (i = 0; i < s->contents.count; i++) {
        const st_tensor *t = (const st_tensor *)s->order[i].item;
        sti_emit_key(e, s->order[i].name, i == 0);
        sti_emit_ascii(e, sti_span_of(sti_shards_name(s, s->shards[t - s->contents.tensors], name)));
    }
    sti_emit_text(e, "\n  }\n}\n");
}

/* checks everything about the index, and counts its bytes */
static st_status sti_shards_prepare(sti_shards *s) {
    sti_emitter count = {NULL, 0, 0};
    char name[ST_SHARD_NAME_BYTES];
    st_status status = sti_shards_pairs(s);
    if (status == ST_OK && s->shard_count > 1) status = sti_shards_order(s);
    if (status != ST_OK || s->shard_count == 1) return status;
    sti_emit_index(&count, s);
    s->index_bytes = count.bytes;
    if (count.bytes <= STI_DEFAULT_LIMIT) return ST_OK;
    return sti_shards_refuse(s, ST_ERR_HEADER_LIMIT, sti_span_of(sti_shards_name(s, s->shard_count, name)),
                             STI_DEFAULT_LIMIT, count.bytes, STI_TEXT("index of $a bytes exceeds the limit of $e"));
}

/* ---- sharding: what the directory holds already */

/* of how many shards a file is one, by its name, whatever the case of its letters; 0: it is none of this stem. own: the
 * name as this library spells it */
static uint32_t sti_shard_parse(const char *stem, sti_span name, char own[ST_SHARD_NAME_BYTES]) {
    uint32_t numbers[2] = {0, 0};
    size_t i = sti_span_of(stem).n + 1, k; /* behind "model-" */
    for (k = 0; k < 2; k++, i += 4) {      /* and behind "-of-" */
        for (; i < name.n && name.at[i] >= '0' && name.at[i] <= '9'; i++) {
            numbers[k] = numbers[k] * 10 + (uint32_t)(name.at[i] - '0');
            if (numbers[k] > 100000000) return 0;
        }
    }
    if (numbers[0] == 0 || numbers[0] > numbers[1]) return 0;
    sti_shard_name(stem, numbers[0] - 1, numbers[1], own);
    return sti_equals_ignoring_case(name, own) ? numbers[1] : 0;
}

static int sti_survey_name(void *arg, const char *text) {
    sti_shards *s = (sti_shards *)arg;
    const sti_span name = sti_span_of(text);
    char own[ST_SHARD_NAME_BYTES];
    if (s->shard_count > 1 && sti_shard_parse(s->stem, name, own) == s->shard_count) s->clash = 1;
    sti_shard_name(s->stem, 0, 0, own);
    if (sti_equals_ignoring_case(name, own)) s->has_single = 1;
    if (sti_equals_ignoring_case(name, sti_shards_name(s, s->shard_count, own))) s->has_index = 1;
    return 0;
}

/* looks for files of an older model, and for names that clash */
static st_status sti_shards_survey(sti_shards *s) {
    const int code = sti_system_list(NULL, s->directory, sti_survey_name, s);
    if (!code) return ST_OK;
    if (code == ST_IO_NOT_FOUND) {
        return sti_shards_refuse(s, ST_ERR_NOT_FOUND, sti_span_of(""), 0, 0, STI_TEXT("no such directory"));
    }
    return sti_shards_fail(s, code, "", STI_TEXT("cannot list the directory"));
}

/* ---- sharding: files on their way */

/* a writer of the file that s->path names */
static st_status sti_shards_writer(sti_shards *s, st_writer **w) {
    st_save_options o = s->options;
    st_status status;
    o.max_shard_bytes = 0;
    status = sti_writer_open(w, s->path, NULL, &o, s->error);
    if (status == ST_OK) (*w)->serial = s->serial;
    return status;
}

/* completes a file under its temporary name, which is s's to rename or to remove from then on */
static st_status sti_shards_accept(sti_shards *s, st_writer *w) {
    st_status status = sti_writer_complete(w, s->error);
    if (status != ST_OK) return status;
    w->stage = STI_FINISHED;
    s->serials[s->written++] = w->serial;
    s->serial = w->serial + 1;
    return ST_OK;
}

/* what a shard's writer would refuse, so that it is known before the first shard is written: bytes that come from
 * nowhere, and a header that is over the limit in any order and without metadata */
static st_status sti_shards_judge(sti_shards *s, uint32_t shard, size_t begin, size_t end) {
    sti_emitter least = {NULL, 0, 0};
    char name[ST_SHARD_NAME_BYTES];
    size_t i;
    (void)sti_shards_path(s, sti_shards_name(s, shard, name));
    for (i = begin; i < end; i++) {
        st_tensor t;
        sti_named item;
        st_status status;
        (void)sti_tensor_judge("", &s->contents.tensors[i], &t, NULL); /* it passed when it was planned */
        status = sti_source_check(s->path, s->contents.from, &s->options, &s->contents.tensors[i], t.bytes, s->error);
        if (status != ST_OK) return status;
        item = sti_named_tensor(&t, &s->contents.tensors[i], i);
        sti_emit_tensor(&least, &item, 0);
    }
    return sti_header_fits(s->path, sti_add64_saturated(least.bytes, s->options.slack), s->error);
}

/* writes a shard under a temporary name */
static st_status sti_shards_file(sti_shards *s, uint32_t shard, size_t begin, size_t end) {
    char name[ST_SHARD_NAME_BYTES];
    st_writer *w;
    st_status status;
    (void)sti_shards_path(s, sti_shards_name(s, shard, name));
    status = sti_shards_writer(s, &w);
    if (status == ST_OK) {
        st_contents c = s->contents;
        if (c.count) c.tensors += begin;
        c.count = end - begin;
        status = sti_save_declare(w, &c, s->error);
    }
    if (status == ST_OK) status = st_writer_begin(w, s->error);
    if (status == ST_OK) status = sti_save_data(w, s->done, s->bytes, s->error);
    if (status == ST_OK) status = sti_shards_accept(s, w);
    if (status == ST_OK) s->done = sti_add64_saturated(s->done, w->data_bytes);
    st_writer_close(w);
    return status;
}

/* writes the index, as the last temporary */
static st_status sti_shards_index(sti_shards *s) {
    sti_emitter e = {NULL, 0, 0};
    char name[ST_SHARD_NAME_BYTES];
    st_writer *w;
    st_status status;
    if (s->shard_count == 1) return ST_OK;
    (void)sti_shards_path(s, sti_shards_name(s, s->shard_count, name));
    status = sti_shards_writer(s, &w);
    if (status == ST_OK) {
        w->data_offset = s->index_bytes; /* the file is all header */
        status = sti_writer_start(w, s->error);
    }
    if (status == ST_OK) {
        e.writer = w;
        sti_emit_index(&e, s);
        status = e.code ? sti_writer_failed(w, e.code, s->error) : sti_shards_accept(s, w);
    }
    st_writer_close(w);
    return status;
}

static int sti_is_as_planned(const st_tensor *found, const st_tensor *planned) {
    uint32_t i;
    if (!found || found->dtype != planned->dtype || found->rank != planned->rank) return 0;
    if (found->bytes != planned->bytes || !sti_same(sti_span_of(found->dtype_name), sti_span_of(planned->dtype_name)))
        return 0;
    for (i = 0; i < found->rank; i++) {
        if (found->shape[i] != planned->shape[i]) return 0;
    }
    return 1;
}

/* refuses a shard that is not there, is damaged, or holds other tensors */
static st_status sti_shards_check(sti_shards *s, uint32_t shard, size_t begin, size_t end) {
    const char *other = STI_TEXT("shard does not contain the planned tensors");
    char name[ST_SHARD_NAME_BYTES];
    st_open_options o;
    st_model *m;
    st_status status;
    size_t i;
    ST_MEMSET(&o, 0, sizeof o);
    o.flags = ST_OPEN_NO_MAP | ST_OPEN_UNKNOWN_DTYPES;
    o.allocator = s->options.allocator;
    status = st_open(&m, sti_shards_path(s, sti_shards_name(s, shard, name)), &o, s->error);
    if (status == ST_ERR_NOT_FOUND || (status >= ST_ERR_FORMAT && status <= ST_ERR_OFFSETS)) {
        return sti_shards_refuse(s, ST_ERR_SHARD, sti_span_of(name), 0, 0,
                                 status == ST_ERR_NOT_FOUND ? STI_TEXT("shard does not exist")
                                                            : STI_TEXT("shard is damaged"));
    }
    if (status != ST_OK) return status;
    if (m->count != end - begin) status = ST_ERR_SHARD;
    for (i = begin; status == ST_OK && i < end; i++) {
        st_tensor t;
        (void)sti_tensor_judge("", &s->contents.tensors[i], &t, NULL);
        if (!sti_is_as_planned(st_find_n(m, t.name, t.name_bytes), &t)) status = ST_ERR_SHARD;
    }
    st_close(m);
    return status == ST_OK ? ST_OK : sti_shards_refuse(s, status, sti_span_of(name), 0, 0, other);
}

/* removes the temporaries that have no names of their own yet */
static void sti_shards_abandon(sti_shards *s) {
    for (; s->named < s->written; s->named++) {
        sti_temp_name(s->temp, s->path_bytes, s->path, s->serials[s->named]);
        (void)sti_system_unlink(s->temp);
    }
}

/* ---- sharding: into place. Killed between any two of these steps, the directory opens as the older model or as the
 * new one, or is refused. */

#define STI_UNTOUCHED STI_TEXT("cannot rename the new files into place; the older model is unchanged")
#define STI_COVERED STI_TEXT("cannot rename the new files into place; the older model.safetensors is unchanged")
#define STI_BETWEEN STI_TEXT("cannot rename the new files into place, and the older model is gone: save again")
#define STI_SHADOWED STI_TEXT("cannot remove this file of the older model, which hides the new index")
#define STI_HIDDEN STI_TEXT("the new model is complete, but the older model.safetensors hides it and cannot be removed")
#define STI_REMAINS STI_TEXT("the new model is in place, but this file of the older model cannot be removed")
#define STI_UNSETTLED STI_TEXT("the new model is in place, but cannot be flushed: a system crash may lose it")

/* flushes what was renamed and removed */
static st_status sti_shards_settle(sti_shards *s, const char *sentence) {
    int code;
    if (s->options.flags & ST_SAVE_NO_SYNC) return ST_OK;
    ST_MEMCPY(s->temp, s->path, s->prefix_bytes);
    s->temp[s->prefix_bytes] = 0;
    code = sti_system_sync_directory(s->temp);
    return code ? sti_shards_fail(s, code, "", sentence) : ST_OK;
}

static st_status sti_shards_remove(sti_shards *s, const char *name, const char *sentence) {
    int code = sti_system_unlink(sti_shards_path(s, name));
    return code && code != ST_IO_NOT_FOUND ? sti_shards_fail(s, code, name, sentence) : ST_OK;
}

static st_status sti_shards_remove_index(sti_shards *s, const char *sentence) {
    char name[ST_SHARD_NAME_BYTES];
    return s->has_index ? sti_shards_remove(s, sti_shards_name(s, s->shard_count, name), sentence) : ST_OK;
}

static st_status sti_shards_remove_single(sti_shards *s) {
    char name[ST_SHARD_NAME_BYTES];
    sti_shard_name(s->stem, 0, 0, name);
    return s->has_single ? sti_shards_remove(s, name, STI_SHADOWED) : ST_OK;
}

/* gives the next file its name */
static st_status sti_shards_rename(sti_shards *s, const char *sentence) {
    char buffer[ST_SHARD_NAME_BYTES];
    const char *name = sti_shards_name(s, s->named, buffer);
    int code;
    sti_temp_name(s->temp, s->path_bytes, sti_shards_path(s, name), s->serials[s->named]);
    code = sti_system_rename(s->temp, s->path, !(s->options.flags & ST_SAVE_NO_SYNC));
    if (code) return sti_shards_fail(s, code, name, sentence);
    s->named++;
    return ST_OK;
}

/* removes a shard of another plan; goes on where one stays */
static int sti_sweep_name(void *arg, const char *text) {
    sti_shards *s = (sti_shards *)arg;
    char own[ST_SHARD_NAME_BYTES];
    const uint32_t n = sti_shard_parse(s->stem, sti_span_of(text), own);
    st_status status;
    if (n == 0 || (n > 1 && n == s->shard_count) || !sti_same(sti_span_of(text), sti_span_of(own))) return 0;
    status = sti_shards_remove(s, own, STI_REMAINS);
    if (status != ST_OK) s->status = status;
    return 0;
}

/* removes the shards of older models of this stem, by their names */
static st_status sti_shards_sweep(sti_shards *s) {
    const int code = sti_system_list(NULL, s->directory, sti_sweep_name, s);
    if (s->status != ST_OK || !code) return s->status;
    return sti_shards_fail(s, code, "", STI_TEXT("the new model is in place, but the directory cannot be listed"));
}

/* the new model's shards and index having their names: makes that last, and removes what is left of the older one */
static st_status sti_shards_finish(sti_shards *s) {
    st_status status = sti_shards_settle(s, s->shard_count > 1 && s->has_single ? STI_HIDDEN : STI_UNSETTLED);
    if (status == ST_OK)
        status = s->shard_count > 1 ? sti_shards_remove_single(s) : sti_shards_remove_index(s, STI_REMAINS);
    return status == ST_OK ? sti_shards_sweep(s) : status;
}

/* Puts the files in their places. Where no name clashes, the older index and its shards stay until the new index takes
 * the place of the old one; else the older index goes first. An older model.safetensors, which hides every index, goes
 * when the new index is there. */
static st_status sti_shards_place(sti_shards *s) {
    const char *sentence = !s->clash ? STI_UNTOUCHED : s->has_single ? STI_COVERED : STI_BETWEEN;
    char name[ST_SHARD_NAME_BYTES];
    st_status status = ST_OK;
    uint32_t i;
    if (s->clash) {
        status = sti_shards_remove_index(s, STI_UNTOUCHED);
        if (status == ST_OK) status = sti_shards_settle(s, sentence);
    }
    while (status == ST_OK && s->named < s->written) {
        if (s->named && s->named == s->shard_count) status = sti_shards_settle(s, sentence); /* before the index */
        if (status == ST_OK) status = sti_shards_rename(s, sentence);
    }
    if (status == ST_OK) return sti_shards_finish(s);
    for (i = 0; !s->clash && i < s->named; i++) {
        (void)sti_system_unlink(sti_shards_path(s, sti_shards_name(s, i, name)));
    }
    return status;
}
#endif

/* ---- sharding: the calls */

#if defined(ST_NO_FILES)
STI_COLD static st_status sti_shards_unsupported(const char *directory, st_error *error) {
    return sti_refuse(directory ? directory : "(directory)", ST_ERR_UNSUPPORTED, sti_span_of(""), 0, 0,
                      STI_TEXT("built with ST_NO_FILES: set st_save_options.sink"), error);
}
#endif

ST_API st_status st_save_sharded(const char *directory, const st_contents *contents, const st_save_options *options,
                                 st_error *error) {
#if defined(ST_NO_FILES)
    (void)contents, (void)options;
    return sti_shards_unsupported(directory, error);
#else
    sti_shards s;
    st_status status = sti_shards_open(&s, directory, contents, options, STI_SHARDED_TAKES, error);
    if (status == ST_OK) status = sti_shards_prepare(&s);
    if (status == ST_OK) status = sti_shards_each(&s, sti_shards_judge);
    if (status == ST_OK) status = sti_shards_survey(&s);
    if (status == ST_OK) status = sti_shards_each(&s, sti_shards_file);
    if (status == ST_OK) status = sti_shards_index(&s);
    if (status == ST_OK) status = sti_shards_place(&s);
    sti_shards_abandon(&s);
    return sti_shards_end(&s, status);
#endif
}

ST_API st_status st_save_index(const char *directory, const st_contents *contents, const st_save_options *options,
                               st_error *error) {
#if defined(ST_NO_FILES)
    (void)contents, (void)options;
    return sti_shards_unsupported(directory, error);
#else
    const char *sentence = STI_TEXT("cannot rename the new index into place");
    sti_shards s;
    st_status status = sti_shards_open(&s, directory, contents, options, ST_SAVE_NO_SYNC | STI_TAKES_LIMIT, error);
    if (status == ST_OK) status = sti_shards_prepare(&s);
    if (status == ST_OK) status = sti_shards_survey(&s);
    if (status == ST_OK) status = sti_shards_each(&s, sti_shards_check);
    if (status == ST_OK) {
        s.written = s.named = s.shard_count; /* which have their names */
        status = sti_shards_index(&s);
    }
    if (status == ST_OK && s.shard_count > 1) status = sti_shards_rename(&s, sentence);
    if (status == ST_OK) status = sti_shards_finish(&s);
    sti_shards_abandon(&s);
    return sti_shards_end(&s, status);
#endif
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
            return sti_error_file(error, sti_span_of(m->said),
                                  sti_fail_code(error, code, at - n, STI_TEXT("cannot read the header")));
        }
        while (left && sti_is_blank(bytes[left - 1])) left--;
        *blanks += n - left; /* no more than the header */
        if (left) break;
        at -= n;
    }
    return ST_OK;
}

/* writes the new header over the old one, whose place is w->keep bytes with its length */
static st_status sti_edit_in_place(st_writer *w, const st_io *validated, st_error *error) {
    st_status s = sti_writer_plan(w, error);
    int code;
    w->target.named = 1; /* there is no temporary to remove */
    if (s != ST_OK) return s;
    if (w->data_offset != w->keep) {
        return sti_refuse(w->said, ST_ERR_TOO_LARGE, sti_span_of(""), w->keep, w->data_offset,
                          STI_TEXT("new header needs $a bytes before the data, only $e available"), error);
    }
    w->buffer_bytes = sti_round8((size_t)w->keep); /* a header that was held in memory before */
    w->buffer = (unsigned char *)sti_writer_take(w, w->buffer_bytes, error);
    if (!w->buffer) return ST_ERR_MEMORY;
    (void)sti_writer_header(w); /* cannot fail: all of it fits in the buffer */
    code = sti_system_edit(w->path, validated, &w->target);
    if (code == STI_IO_LINKED) {
        return sti_refuse(w->said, ST_ERR_UNSUPPORTED, sti_span_of(""), 0, 0,
                          STI_TEXT("cannot edit in place: the file is a symbolic link or has several names"), error);
    }
    if (code) {
        return sti_error_file(error, sti_span_of(w->said),
                              sti_fail_code(error, code, STI_NO_OFFSET, STI_TEXT("cannot open the file for writing")));
    }
    code = sti_system_write(&w->target, 8, w->buffer + 8, (size_t)w->keep - 8);
    if (!code && !(w->options.flags & ST_SAVE_NO_SYNC)) code = sti_system_sync(&w->target);
    if (!code) code = sti_system_close_written(&w->target);
    if (w->target.open) (void)sti_system_close_written(&w->target);
    return code ? sti_writer_failed(w, code, error) : ST_OK;
}

/* the edit, the file being open as *m: it is closed before the file is replaced, for some systems want that, and kept
 * open until it is edited in place, so that no other file takes its number */
static st_status sti_edit(st_model **model, const char *path, const st_pair *metadata, size_t metadata_count,
                          const st_save_options *options, st_error *error) {
    const sti_model *m = (const sti_model *)(const void *)*model;
    const uint64_t keep = m->open.shards->data_offset;
    const int in_place = (options->flags & ST_SAVE_IN_PLACE) != 0;
    st_save_options all = *options;
    st_writer *w = NULL;
    size_t blanks;
    st_status s;
    if (m->open.index_count || !sti_same(sti_span_of(m->open.shards->path), sti_span_of(path))) {
        return sti_refuse(path, ST_ERR_UNSUPPORTED, sti_span_of(""), 0, 0,
                          STI_TEXT("cannot edit metadata: the path is an index or a directory, not a file"), error);
    }
    s = sti_edit_slack(m, &blanks, error);
    if (s != ST_OK) return s;
    all.flags = (all.flags & ~ST_SAVE_IN_PLACE) | ST_SAVE_KEEP_ORDER;
    /* in place nothing grows, and what it would need is said without slack; else the old slack and alignment stay */
    if (in_place || !all.slack) all.slack = in_place ? 0 : blanks;
    if (!all.align) {
        for (all.align = 8; !in_place && all.align < 65536 / 2 && keep % (2 * all.align) == 0;) all.align *= 2;
    }
    s = sti_writer_open(&w, path, NULL, &all, error);
    if (s == ST_OK) w->keep = keep;
    if (s == ST_OK) {
        st_contents c = st_contents_of(*model);
        c.metadata = metadata;
        c.metadata_count = metadata_count;
        s = sti_contents_check(path, &c, NULL, error);
        if (s == ST_OK) s = sti_save_declare(w, &c, error);
    }
    if (s == ST_OK && in_place) {
        s = sti_edit_in_place(w, &m->files->io, error);
    } else if (s == ST_OK) {
        s = st_writer_begin(w, error);
        if (s == ST_OK) s = sti_save_data(w, 0, w->data_bytes, error);
        st_close(*model);
        *model = NULL;
        if (s == ST_OK) s = st_writer_finish(w, error);
    }
    st_writer_close(w);
    return s;
}
#endif

ST_API st_status st_edit_metadata(const char *path, const st_pair *metadata, size_t metadata_count,
                                  const st_save_options *options, st_error *error) {
    st_save_options all;
    if (!path) return sti_argument_refuse("(file)", "path", error);
    ST_MEMSET(&all, 0, sizeof all);
    if (options) all = *options;
#if defined(ST_NO_FILES)
    (void)metadata, (void)metadata_count;
    return sti_refuse(path, ST_ERR_UNSUPPORTED, sti_span_of(""), 0, 0,
                      STI_TEXT("built with ST_NO_FILES: set st_save_options.sink"), error);
#else
    {
        const unsigned layout = all.flags & ST_SAVE_IN_PLACE ? 0 : STI_TAKES_LAYOUT;
        const unsigned takes = ST_SAVE_NO_SYNC | ST_SAVE_IN_PLACE | STI_TAKES_PROGRESS | layout;
        st_open_options open;
        st_model *model;
        st_status s;
        ST_MEMSET(&open, 0, sizeof open);
        open.flags = ST_OPEN_UNKNOWN_DTYPES | ST_OPEN_NO_MAP;
        open.allocator = all.allocator;
        s = sti_save_options_check(path, &all, takes, error);
        if (s != ST_OK) return s;
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
 * 0.2.0  2026-11-26  Models of several files, read and written; the hub's cache; aliases. Values: conversion, views,
 *                    bulk loads. A quicker header.
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
