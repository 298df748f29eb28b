/* safetensors.h - version 0.5.1 - Unlicense or MIT-0, at your choice (text at the end of the file) - no warranty
 *
 * Reads, validates, converts and writes tensor files in the safetensors format. One header, no dependency.
 */
/* ---- 1 manual -------------------------------------------------------------------------------------------------------
 *
 * CONTENTS
 *   1 Quick start               6 Numbers       11 Limits
 *   2 Which call do I want?     7 Lifetime      12 Configuration
 *   3 Reading                   8 Threads       13 Microcontrollers, WebAssembly
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
 *   get the byte ranges to read them myself     st_plan_load
 *   check a shape                               st_has_shape
 *   convert an array of numbers                 st_convert, st_to_little_endian
 *   read without allocating memory              st_scan_begin, st_scan_next
 *   save a file                                 st_save
 *   save while the tensors are being computed   st_writer_open, st_writer_add, st_writer_begin, st_writer_write ...
 *   save a model in several files               st_save_sharded
 *   the same from several processes             st_plan_shards, st_save, st_save_index
 *   write the index of shards that have none    st_save_index with ST_SAVE_AS_OPENED
 *   change the metadata of a file               st_edit_metadata
 *   change bytes of one tensor in its file      st_overwrite
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
 *   gaps or overlaps, and sizes match shapes and dtypes. No later call can read out of bounds. (Gaps remain where
 *   ST_OPEN_INDEX_DECIDES leaves out copies.)
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
 *   Buffers without a copy (Metal, Vulkan, CUDA) take whole pages. Open with ST_OPEN_MUST_MAP: each file then starts on
 *   a page of the system, and its mapping ends with a whole page, zero after the end of the file:
 *
 *       const char *file = (const char *)t->data - t->offset;            // all of model->shards[t->shard].file_bytes
 *       const size_t first = (size_t)(t->offset / page * page);          // page: sysconf(_SC_PAGESIZE), often 4,096
 *       const size_t end = (size_t)((t->offset + t->bytes + page - 1) / page * page);
 *       wrap(file + first, end - first, (size_t)t->offset - first);      // pointer, length, offset of the tensor
 *
 *   The pages are private and read-only, hold parts of other tensors too, and must be released before st_close.
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
 *   input gives the same bytes: those of the reference implementation, with metadata keys sorted. Where the file system
 *   lacks a call that this needs, such as rename, ST_SAVE_DIRECT writes the file itself.
 *
 *   Data to save is little-endian: st_to_little_endian swaps numbers on a big-endian machine.
 *   An open model is saved with st_contents_of(model). Tensors without data are read from contents.from or made by
 *   options.fill. Tensors that never fit into memory together are streamed with st_writer_*.
 *
 * 5 MODELS IN SEVERAL FILES
 *   st_open takes an index (*.safetensors.index.json) or a directory and returns one model: one array of tensors, one
 *   lookup. All shards are validated at once. A path in an index cannot leave the directory of the index. Flags open
 *   more, each soundly: a set without a right index, an index that decides between two copies, a part of the shards.
 *
 *   st_save_sharded writes a model in several files and their index. Where several processes write the shards:
 *     1. Every process computes the same plan: st_plan_shards, st_shard_name.
 *     2. One process removes model.safetensors.index.json, then model.safetensors, then every file that has the name of
 *        a new shard (with options.stem, files of that stem).
 *     3. After that, every process saves its shards with st_save.
 *     4. When all shards are there, one process calls st_save_index, which validates the shards first.
 *   Between steps 2 and 4 the directory does not open, so nobody reads a mixture of two models.
 *
 * 6 NUMBERS
 *   st_read_as, st_load and st_convert round each value once, to nearest, ties to even. Special values:
 *
 *       from \ to          BOOL         I8..I64, U8..U64    F64 F32 F16 BF16 F8_E5M2   F8_E4M3, F8_*FNUZ
 *       too large          1            saturates           infinity                   largest value
 *       other numbers      1 unless 0   rounds              rounds                     rounds
 *       -0                 0            0                   -0                         -0; FNUZ: 0
 *       infinity           1            saturates           infinity                   largest value
 *       NaN                1            0                   NaN, quiet, same sign      NaN, same sign; FNUZ: its NaN
 *
 *   Readable: every dtype but C64. BOOL is false only for the byte 0; F4 is E2M1, low nibble first; F6_* packs four
 *   values into three bytes, low bits first; F8_E8M0 is a power of two from 2^-127 to 2^127, or NaN.
 *   Writable: every dtype but F4, F6_*, F8_E8M0 and C64. Reading a dtype as itself keeps every bit.
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
 *   the order of the data, offsets, overflow, sub-byte, size; last the length of the file. If any of these fails and
 *   the first bytes are those of another format (ZIP, HTML, ...), the status is ST_ERR_FORMAT instead. Every source
 *   gives the same verdict.
 *
 *   error.position is the offset of the first byte that makes the file invalid. For a duplicate key or an unknown dtype
 *   it is the opening quote, for a missing field the closing brace, for wrong offsets or sizes the opening quote of the
 *   tensor's name, for a wrong file length the end of the file.
 *
 * 10 WHAT IS ACCEPTED
 *   What the reference implementation (Rust crate safetensors) accepts, with five exceptions. Refused here are (1) a
 *   duplicate tensor name, (2) a duplicate metadata key, (3) an entry written as an array, (4) a dtype written as an
 *   object, (5) numbers of 1e309 and above in ignored fields; below 1e308 they are accepted, in between either.
 *   ST_OPEN_TRAILING, ST_OPEN_UNKNOWN_DTYPES, ST_OPEN_PARTIAL, ST_OPEN_NO_INDEX and ST_OPEN_INDEX_DECIDES accept more.
 *
 * 11 LIMITS
 *   - Raw bytes (data, st_read, st_save) are little-endian on every machine. st_read_as, st_load and st_convert use the
 *     byte order of the machine.
 *   - If another process truncates a mapped file, touching the lost bytes raises SIGBUS (an in-page error on Windows).
 *     Open with ST_OPEN_NO_MAP where that may happen; the error is ST_ERR_IO then.
 *   - A header has at most 100,000,000 bytes, as in the reference implementation (st_open_options.max_header).
 *   - st_scan: 1,024 tensors of up to 16 dimensions, 1,024 metadata entries.
 *   - Names may hold any character, also NUL and terminal escapes: use name_bytes, and escape names before printing.
 *   - What a crash leaves: see st_save, st_save_sharded, st_edit_metadata, st_overwrite.
 *
 * 12 CONFIGURATION: define before including; none of them changes a struct. [default]
 *   ST_IMPLEMENTATION   compile the functions, in one file of the program      [declarations only]
 *   ST_STATIC           make all functions static: a private copy in each file [off]
 *   ST_API              prefix of each declaration                             [extern]
 *   ST_NO_FILES         no operating system: memory and callbacks only         [off]
 *   ST_NO_MMAP          read files with positional reads, never map them       [off; on for WebAssembly]
 *   ST_NO_MALLOC        no default allocator                                   [off]
 *   ST_NO_WRITER        no saving                                              [off]
 *   ST_NO_CONVERT       no st_convert; reading as another dtype fails          [off]
 *   ST_NO_SIMD          no vector instructions                                 [off]
 *   ST_NO_ERROR_TEXT    st_error.subject and st_error.message stay empty       [off]
 *   ST_FREESTANDING     ST_NO_FILES, no libc header, no malloc but ST_MALLOC   [off]
 *   ST_MALLOC, ST_FREE  (bytes), (pointer); define both or neither             [malloc, free]
 *   ST_MEMCPY, ST_MEMMOVE, ST_MEMSET, ST_MEMCMP   as in <string.h>; all or none [<string.h>; loops if freestanding]
 *
 * 13 MICROCONTROLLERS, WEBASSEMBLY
 *   Define ST_FREESTANDING. Either walk a header in flash with st_scan_begin, which needs no memory, or open with
 *   st_open_memory or st_open_io and a buffer in st_open_options.work. If the buffer is too small, the status is
 *   ST_ERR_MEMORY and error.expected a size that suffices. scan.tensor.data has any alignment and is little-endian:
 *   take values out with memcpy. Compile with -ffunction-sections and link with -Wl,--gc-sections: a scan is then about
 *   14 KB of Cortex-M4 code, 9 KB with ST_NO_ERROR_TEXT. No recursion, no writable data.
 *   Where size_t has 16 bits, as on AVR, define ST_NO_WRITER too. A header may then have 32,767 bytes (16,383 to open
 *   it), a model 4,096 files.
 *   Compilers may call memcpy, memmove, memset and memcmp (clang for wasm32 does not with -mbulk-memory), and of their
 *   runtime library (gcc 12 for Cortex, clang 19 for the others):
 *     Cortex-M0   scan, open, find, st_read: __aeabi_lmul, __aeabi_uidivmod
 *                 the other readers: also __aeabi_uidiv, __aeabi_uldivmod
 *                 conversion and writer: also __aeabi_llsl, __aeabi_llsr, __clzdi2
 *     Cortex-M4   scan, open, find, st_read: nothing
 *                 the other readers: __aeabi_uldivmod
 *     RV32IM      scan, open, find, st_read: nothing
 *                 the other readers: __udivdi3, __umoddi3
 *     wasm32      all: nothing
 *   Emscripten and WASI have files, and need none of this: st_open reads from MEMFS, NODEFS or a preopened directory, and
 *   saving is atomic there, too. They cannot map files: data is NULL, and st_read and st_load read the tensors.
 *
 * 14 C++
 *   The declarations work from C++11 on. Compile the implementation in a .c file, or in a .cc file if old-style casts
 *   do not trouble you. Callbacks must not throw. examples/cpp/safetensors.hpp is a companion.
 * ------------------------------------------------------------------------------------------------------------------ */
#ifndef ST_INCLUDED
#define ST_INCLUDED

/* ---- 2 version, configuration, compiler -----------------------------------------------------------------------------
 * Only what changes a declaration.
 * uses: -
 * ------------------------------------------------------------------------------------------------------------------ */
#define ST_VERSION_MAJOR 0
#define ST_VERSION_MINOR 5
#define ST_VERSION_PATCH 1
#define ST_VERSION 501 /* major * 10000 + minor * 100 + patch */
#define ST_VERSION_STRING "0.5.1"

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
 * What calls take and return. Zero is the default of every option, but a zeroed st_range is empty. Structs grow at
 * their end; enumerators keep their numbers.
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

/* As the target dtype of a read: keep the dtype. The values still get the machine's byte order, except by st_read. */
#define ST_AS_STORED ST_DTYPE_UNKNOWN

typedef struct st_pair { /* one metadata entry: UTF-8, NUL-terminated; may contain NUL, see *_bytes */
    const char *key, *value;
    size_t key_bytes, value_bytes; /* without the final NUL */
} st_pair;

typedef struct st_tensor {
    const char *name; /* UTF-8, NUL-terminated; may contain NUL, see name_bytes */
    st_dtype dtype;
    uint32_t rank;          /* number of dimensions; 0: a scalar */
    const uint64_t *shape;  /* rank dimensions in elements, slowest first; a dimension may be 0 */
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
    const char *stem; /* of files called STEM-00001-of-00003.safetensors, else "model"; NULL: not opened by a path */
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
    const char *name;   /* st_open_io: what messages call the file, such as its URL; NULL: "(callbacks)" */
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
     * joined with "/". st_open may open a shard twice. After st_open only the first 64 files of a model stay open;
     * others are reopened for each st_read, from any thread, unless `mapped` is set. */
    int (*open)(void *user, const char *path, st_io *file);
    void (*close)(void *user, st_io *file); /* called once for each open that returned 0 */
    /* Calls each with every name in the directory (a name, not a path) until it returns non-zero, and returns that
     * value; else 0, or ST_IO_NOT_FOUND if there is no such directory. NULL: directories cannot be opened. */
    int (*list)(void *user, const char *directory, int (*each)(void *arg, const char *name), void *arg);
} st_files;

/* st_open_options.flags. Each family of flags has bits of its own, so that a flag of another family is refused. */
#define ST_OPEN_NO_MAP (1u << 0)         /* read with positional reads; every data pointer is NULL */
#define ST_OPEN_MUST_MAP (1u << 1)       /* fail if mapping fails; without the flag data is NULL then */
#define ST_OPEN_UNKNOWN_DTYPES (1u << 2) /* accept unknown dtypes; their tensors are opaque bytes */
#define ST_OPEN_PARTIAL (1u << 3)        /* accept missing shards and tensors that no shard has; serve the rest */
#define ST_OPEN_TRAILING (1u << 4)       /* accept bytes after the last tensor */
#define ST_OPEN_NO_INDEX (1u << 5)       /* directories: open a complete set of shards by their names; ignore indexes */
#define ST_OPEN_INDEX_DECIDES (1u << 6)  /* of a tensor in two shards, serve the copy that the index names */

typedef struct st_open_options {
    unsigned flags;                /* ST_OPEN_* */
    uint64_t max_header;           /* bytes of a header or an index; 0: 100,000,000; at most 4,294,967,295 */
    const st_allocator *allocator; /* NULL: ST_MALLOC and ST_FREE */
    st_buffer work;                /* if not NULL, all memory comes from here; models of one file only */
    const st_files *files;         /* NULL: those of the system */
    const char *variant;           /* directories: open only files of this variant, such as "fp16"; NULL: see st_open */
} st_open_options;

typedef struct st_range { /* elements start, start + step, ... below stop, of one dimension */
    uint64_t start;
    uint64_t stop; /* UINT64_MAX: to the end, so {0, UINT64_MAX, 1} is a whole dimension. Empty if stop equals start */
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
    /* called by the calling thread after each request, with the stored bytes of this part, gaps in views that are read
     * through included; to stop the other parts after an error, return non-zero from theirs */
    st_progress progress;
    void *user;     /* for progress */
    st_buffer work; /* if not NULL, temporary memory comes from here, not from the model's allocator */
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
#define ST_SAVE_DIRECT (1u << 19)     /* write the file itself, without a temporary file and rename: not atomic */
#define ST_SAVE_AS_OPENED (1u << 20)  /* st_save_index: the shards are those of contents->from */

#define ST_SHARD_NAME_BYTES 256 /* enough for every name that st_shard_name makes */

typedef struct st_save_options {
    unsigned flags;           /* ST_SAVE_* */
    size_t align;             /* data starts at a multiple of this power of two, 8 or more; 0 is 8 */
    size_t slack;             /* spare bytes in the header, so that later edits fit in place */
    uint64_t max_shard_bytes; /* st_save_sharded: tensor data in one file, at most; 0 is 5,000,000,000 */
    const st_sink *sink;      /* write here instead of to a file; the path must be NULL */
    /* Makes the bytes [offset, offset + n) of a tensor without data, in dst; returns 0, or a code for st_error.sys.
     * Each range starts where the last one ended and holds whole elements (of 4 or 6 bits: whole groups of 4, except at
     * the end of the tensor). dst is aligned for them. `tensor` is the caller's own struct, as passed in contents. */
    int (*fill)(void *user, const st_tensor *tensor, uint64_t offset, void *dst, size_t n);
    st_progress progress;          /* called after each block of data */
    void *user;                    /* for fill and progress */
    const st_allocator *allocator; /* NULL: ST_MALLOC and ST_FREE */
    st_buffer work;                /* if not NULL, all memory comes from here; st_save and st_writer_open only */
    const char *stem; /* st_save_sharded, st_save_index: the names of files start with it; see st_save_sharded */
} st_save_options;

typedef struct st_writer st_writer;

/* ---- 4 calls --------------------------------------------------------------------------------------------------------
 * Every call can fail with ST_ERR_ARGUMENT for NULL arguments and unknown flags; Errors lists the rest. After an error
 * outputs are untouched unless the block says otherwise. Every call may run in several threads on one open model unless
 * the block says otherwise.
 * uses: 3
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
 * In a directory it opens model.safetensors, else model.safetensors.index.json, else the only index
 * (*.safetensors.index.json or *.safetensors.index.VARIANT.json), else the only *.safetensors. Hidden files do not
 * count, nor does a single shard (-NNNNN-of-MMMMM with MMMMM over 1).
 *   options->variant       only files of this variant count: model.fp16.safetensors, model.safetensors.index.fp16.json,
 *                          x.fp16.safetensors and so on for "fp16". A variant starts with a letter; "": files without
 *   ST_OPEN_NO_INDEX       a set of shards, STEM-00001-of-0000N.safetensors to STEM-0000N-of-0000N.safetensors, takes
 *                          the place of an index, which does not count. For a directory whose index is missing or stale
 *   ST_OPEN_INDEX_DECIDES  of a tensor in two shards, only the copy in the shard that the index names is served; none
 *                          if ST_OPEN_PARTIAL misses that shard. For shards that replace tensors of others
 *   ST_OPEN_PARTIAL        shards may be missing, and so may tensors that the index names and no shard holds
 * An index is not trusted: its paths must be relative, valid on every system, and end in .safetensors. Symbolic links
 * are followed; an index cannot create them. Tensors that the index does not name are served too, and its total_size is
 * ignored.
 * Errors: statuses 1 to 17 (ST_ERR_ARGUMENT to ST_ERR_OFFSETS, see ERRORS in the manual), and
 *   ST_ERR_NOT_FOUND    no such path, or a directory without a model
 *   ST_ERR_SHARD        a shard is missing, or the same file as another; a shard does not contain a tensor that the
 *                       index assigns to it; a tensor is in two shards; a directory holds several candidates, which
 *                       the message lists
 *   ST_ERR_PATH         a path in the index would leave the directory, or is not valid on every system
 *   ST_ERR_TOO_LARGE    over 65,536 shards, or a header or mapping that does not fit the address space
 *   ST_ERR_UNSUPPORTED  ST_OPEN_MUST_MAP where nothing can be mapped, or a build without files
 *   ST_ERR_ARGUMENT     also: a work buffer for a model of several files
 * Files: only regular files are opened, without blocking. The first 64 files of a model stay open until st_close; none
 * do if the process runs out of file descriptors meanwhile. A file that is reopened must be the same (device, number,
 * size, time), else the call fails with ST_ERR_IO. Models of more than 16,384 files are not mapped unless
 * ST_OPEN_MUST_MAP is set.
 * Memory: one block stays allocated, of at most 96 bytes + name + 8 a dimension for each tensor and 40 bytes + text for
 * each metadata pair. Temporary memory, freed before the call returns: twice the header; for several files, twice the
 * largest header, 1 MiB, and 1.7 times the index.
 * Cost: two reads a file; headers past the first 512 KiB of a model of several files are read twice. O(n) in the bytes
 * of the headers; O(n log n) in tensors if a header lists them out of order or names were chosen to collide. No page of
 * a mapping is touched. */
ST_API st_status st_open(st_model **model, const char *path, const st_open_options *options, st_error *error);

/* Opens a model in the local Hugging Face cache; never uses the network.
 *   repo      "owner/name" or "name"
 *   revision  a branch, a tag or a commit of 40 hexadecimal digits; NULL: "main"
 *   path      a file, an index or a directory in the repository, such as "vae"; NULL: the repository's root
 * The cache is $HF_HUB_CACHE, else $HUGGINGFACE_HUB_CACHE, else $HF_HOME/hub, else $XDG_CACHE_HOME/huggingface/hub,
 * else ~/.cache/huggingface/hub. Empty variables count as unset; a leading ~ in them is the home directory. What is
 * opened lies in the snapshot that refs/<revision>, or the commit, names; st_open opens it.
 * Errors: as st_open, and
 *   ST_ERR_NOT_FOUND    not in the cache; the message names the missing file, the only revision that is there, a
 *                       download that was not finished, or the directories that hold models
 *   ST_ERR_PATH         repo, revision or path would leave the cache, or refs/<revision> holds no commit
 *   ST_ERR_UNSUPPORTED  built with ST_NO_FILES
 * Threads: no thread may change the environment meanwhile (getenv). */
ST_API st_status st_open_hub(st_model **model, const char *repo, const char *revision, const char *path,
                             const st_open_options *options, st_error *error);

/* Opens a model from a file image in memory.
 *   bytes  the n bytes of the file. The caller keeps them and must not change them until st_close; data points into
 *          them. NULL only if n is 0.
 * Errors: as st_open of a file. The header is copied before it is parsed, so bytes that change meanwhile do no harm. */
ST_API st_status st_open_memory(st_model **model, const void *bytes, size_t n, const st_open_options *options,
                                st_error *error);

/* Opens a model from a file behind a callback.
 *   io  copied; read_at and what it uses must live until st_close, which does not call it
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
 * Sources: param_sharing in the metadata of the index (lists of names, of which the first that is a tensor stands for
 * all), and names that the reference tools dropped on saving (metadata that maps a missing name to a tensor's name).
 *   memory   receives the list and its texts; NULL: only ask how much is needed
 *   aliases  receives the list, which lies in memory; *count its length
 * Errors: ST_ERR_ARGUMENT  there are aliases, and memory is NULL or too small; error->expected bytes suffice
 *         ST_ERR_SCHEMA    param_sharing is not an array of arrays of names
 * Names in param_sharing that are escaped and longer than 256 bytes are ignored.
 * Cost: O(n) in the bytes of the metadata. */
ST_API st_status st_aliases(const st_model *model, const st_buffer *memory, const st_alias **aliases, size_t *count,
                            st_error *error);

/* Returns 1 if tensor is not NULL and has this shape, 0 otherwise.
 *   shape  rank dimensions, slowest first; UINT64_MAX: any. NULL if rank is 0 */
ST_API int st_has_shape(const st_tensor *tensor, uint32_t rank, const uint64_t *shape);

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
 *                          axis repeated or out of range
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
 *                             not a tensor of this model
 *         ST_ERR_UNSUPPORTED  no such conversion (see NUMBERS in the manual)
 *         ST_ERR_SUBBYTE      4- and 6-bit elements, not converted: the last axis must stay last, with step 1, and
 *                             start and end on whole bytes. The whole tensor can always be read.
 *         ST_ERR_DTYPE        a tensor of unknown dtype can only be read whole and as stored
 *         ST_ERR_TOO_LARGE    more than 24 axes remain after joining adjacent ones
 *         ST_ERR_MEMORY, ST_ERR_IO  the contents of dst are undefined
 * Memory: none if the data is in memory or mapped, or if long runs are read straight into dst. Else a buffer of up to
 * 1 MiB from the model's allocator (256 bytes of stack for a model in a work buffer). Gaps of up to 64 KiB are read
 * through.
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
 * Memory, freed on return: 40 bytes an item and a buffer of up to 1 MiB (8 MiB behind a callback), from the model's
 * allocator or options.work, where 40 bytes an item + 256 suffice and more is faster.
 * Cost: O(n log n) in items for each part. */
ST_API st_status st_load(const st_model *model, const st_load_item *items, size_t count, const st_load_options *options,
                         st_error *error);

/* Computes which bytes st_load would read, for programs that read them by other means: io_uring, a GPU, their own pool.
 * The bytes are as stored (little-endian).
 *   items         dst and dst_bytes are ignored
 *   max_bytes     largest extent wanted; 0: no limit
 *   extents       room for extent_capacity extents, sorted by file and offset; NULL if extent_capacity is 0. A view has
 *                 one for each run of bytes, which may be each element
 *   extent_count  NULL, or receives the number of extents
 * Errors: ST_ERR_ARGUMENT     extent_capacity too small (expected: number of extents), or as st_read_as
 *         ST_ERR_UNSUPPORTED  an item is to be converted
 * Allocates nothing. Cost: O(n log n) in extents; O(n) in items if they do not fit. */
ST_API st_status st_plan_load(const st_model *model, const st_load_item *items, size_t count, uint64_t max_bytes,
                              st_extent *extents, size_t extent_capacity, size_t *extent_count, st_error *error);

/* Returns 1 if tensor->data can be used as an array of its element type (non-NULL and aligned), 0 otherwise. Elements
 * of less than a byte and of unknown dtypes count as bytes. */
ST_API int st_is_aligned(const st_tensor *tensor);

/* Swaps numbers in place from the machine's byte order to that of files, or back. Does nothing on little-endian
 * machines.
 *   numbers  elements of dtype, which is one of whole bytes; any alignment */
ST_API void st_to_little_endian(st_dtype dtype, void *numbers, size_t elements);

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

/* Tells the system how the bytes of a tensor will be used: ST_ADVISE_WILL_NEED starts reading all of them into the
 * page cache, ST_ADVISE_DONE releases cached pages.
 *   tensor  NULL: all tensors
 * Returns ST_OK also where the system or the source takes no advice.
 * Errors: ST_ERR_ARGUMENT  not a tensor of this model
 * Cost: reading ahead takes one system call for each 128 KiB, about 20 microseconds a MiB where all is cached. Reading
 * goes on after the return, but the call waits while the queue of the device is full. Advise gigabytes on a thread of
 * their own, and not more than the memory holds. */
ST_API st_status st_advise(const st_model *model, const st_tensor *tensor, st_advice advice, st_error *error);

/* -- scanning without memory -- */

/* Validates a header in memory and starts a walk over its tensors, without allocating. The verdict is that of st_open.
 *   file        the first `available` bytes of the file; borrowed, and unchanged until the walk is over
 *   file_bytes  length of the whole file; only the header has to be available
 *   options     max_header and ST_OPEN_TRAILING are used; NULL: defaults
 * Errors: ST_ERR_ARGUMENT   fewer bytes than the header needs; error->expected: how many to provide (at first 8)
 *         ST_ERR_TOO_LARGE  over 1,024 tensors, 1,024 metadata entries or 16 dimensions
 *         and those of opening a file
 * Memory: none but *scan (about 500 bytes); at most 768 bytes of stack on a Cortex-M4.
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
 * Files: written as .st-*.tmp in the same directory, mode 0600. The file then gets the owner, the group and the
 * permissions of the regular file that it replaces, else those of the umask, and is renamed. Setuid, setgid and sticky
 * bits are never kept. If the process may not keep the owner, write permission for group and others is dropped; if it
 * may not keep the group, the new group gets no more permissions than others. File systems without permissions,
 * preallocation or fsync of directories are no error, nor are directories without read permission. A crash leaves the
 * old file or the new one, and perhaps the temporary file. On Windows a file that is open or mapped cannot be replaced:
 * ST_ERR_IO.
 * A symbolic link to a regular file, or to nothing, is replaced, not followed. A FIFO, a character device (NUL, CON and
 * pipes on Windows), or a link to one, is never replaced: it is written from the first byte to the last. Opening a FIFO
 * waits for its reader; a reader that goes away raises SIGPIPE. Directories, sockets, block devices and the links of
 * the system to open regular files (/dev/stdout) are refused.
 * ST_SAVE_DIRECT writes the file itself, from the first byte to the last: no temporary file, no rename, no changed
 * permissions; where the file system lacks fsync, none either. It is not atomic: an error or a crash leaves a file that
 * is shorter than its header says, and so does not open. A symbolic link, a file with several names and a file of
 * contents->from fail with ST_ERR_UNSUPPORTED. Do not save data that is mapped from the same file.
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
 *   stem       what takes the place of "model", see st_save_sharded; NULL: "model"
 *   shard      from 0
 *   dst_bytes  size of dst; ST_SHARD_NAME_BYTES always suffices
 * Errors: ST_ERR_ARGUMENT  no such shard, dst too small, or a stem that is not allowed */
ST_API st_status st_shard_name(const char *stem, uint32_t shard, uint32_t shard_count, char *dst, size_t dst_bytes);

/* Saves tensors as several files and their index, model.safetensors.index.json, or as model.safetensors alone if one
 * shard suffices. Shards are those of st_plan_shards, with the names of st_shard_name.
 *   directory  must exist
 *   contents   metadata goes to every shard. index goes to the metadata of the index, beside total_size, which is
 *              computed; values are JSON text, such as "\"pt\"", and are written as given
 *   options    not allowed: ST_SAVE_IN_PLACE, ST_SAVE_DIRECT, sink, work. progress counts the bytes of all files.
 *              stem takes the place of "model" in all names: a file name of up to 200 bytes that is valid on every
 *              system, without -NNNNN-of-MMMMM. With a variant, such as "model.fp16", the index is
 *              model.safetensors.index.fp16.json, or model.fp16.safetensors.index.json if the directory holds such a
 *              one. NULL: the stem of contents->from, else "model"
 * The index is what Python's json.dumps writes with indent=2 and sort_keys=True, and a newline.
 * Errors: before anything is written, those of st_save and st_plan_shards, and
 *   ST_ERR_DUPLICATE     a name in two shards, or a key of the index twice
 *   ST_ERR_JSON          a value of the index is not JSON
 *   ST_ERR_HEADER_LIMIT  an index over 100,000,000 bytes
 *   ST_ERR_SHARD         the directory holds the index or shards of a model with another stem, or with this stem in
 *                        other letters (Model for model); or, if the stem is not "model", a single file that would be
 *                        opened instead
 * While writing, those of st_save. The directory is as before unless the message says otherwise: a rename or a removal
 * failed. A header slightly under the limit may be refused only now.
 * Files: all are written under temporary names first. If a file has the name of a new shard, the older index is
 * removed. Then the shards are renamed, then the index. Then the older model.safetensors is removed (or the older
 * index, if the new model is one file), and last all other files called model-NNNNN-of-MMMMM.safetensors, or like them
 * with the stem. A crash leaves the older model, the new one, or a directory that does not open, never a mixture; and
 * perhaps files .st-*.tmp.
 * On Windows, close an older model in the directory first.
 * Memory: as st_save for the largest shard, 44 bytes a tensor (84 while sorting) and 4 a shard. */
ST_API st_status st_save_sharded(const char *directory, const st_contents *contents, const st_save_options *options,
                                 st_error *error);

/* Completes a model whose shards were saved one by one, perhaps by several processes: checks the header of every shard
 * against the plan, writes the index atomically, and removes older files as st_save_sharded does. The order that is
 * safe is in the manual (5 MODELS IN SEVERAL FILES). If the plan has one shard, nothing is written.
 *   contents  tensors of the whole model, as for st_plan_shards, and index; the rest is not used
 *   options   allowed: max_shard_bytes and stem (as for the plan), ST_SAVE_NO_SYNC, allocator, ST_SAVE_AS_OPENED
 * With ST_SAVE_AS_OPENED contents is st_contents_of a model of shards in this directory, such as one opened with
 * ST_OPEN_NO_INDEX, and every tensor stays where it is.
 * Errors: ST_ERR_SHARD  a shard is missing, damaged, or does not hold the planned tensors; error->subject names it
 *         and those of st_save_sharded. After an error no index is written. */
ST_API st_status st_save_index(const char *directory, const st_contents *contents, const st_save_options *options,
                               st_error *error);

/* Opens a writer: it takes declarations first, then bytes, so that tensors need not be in memory together. The order is
 * st_writer_open, st_writer_add ..., st_writer_begin, st_writer_write ..., st_writer_finish, st_writer_close.
 *   writer  receives the writer, to be closed with st_writer_close; NULL after an error
 *   path    as st_save; NULL if options->sink is set
 *   options NULL: defaults. Not allowed: max_shard_bytes, ST_SAVE_IN_PLACE, fill, progress
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

/* Writes the next n bytes of the declared tensor that has the name of `tensor`, whose other fields are not used. Must
 * not be mixed with st_writer_write.
 * Errors: ST_ERR_NOT_FOUND    no such tensor
 *         ST_ERR_ARGUMENT     more bytes than the tensor lacks
 *         ST_ERR_UNSUPPORTED  the output is a sink, a FIFO or a device, or ST_SAVE_DIRECT is set
 * Threads: different tensors may be written by different threads. Cost: one system call; use large blocks. */
ST_API st_status st_writer_write_to(st_writer *writer, const st_tensor *tensor, const void *bytes, size_t n,
                                    st_error *error);

/* Completes the file and renames it into place, as st_save does.
 * Errors: ST_ERR_STATE  bytes are missing, or a write failed before */
ST_API st_status st_writer_finish(st_writer *writer, st_error *error);

/* Closes a writer and frees it. Without a successful st_writer_finish no file remains, except with ST_SAVE_DIRECT. NULL
 * is allowed. */
ST_API void st_writer_close(st_writer *writer);

/* Replaces the metadata of a file. Tensors, their bytes and their order stay; fields unknown to the format are dropped.
 *   metadata  metadata_count pairs, as in st_contents; NULL: remove the metadata
 *   options   ST_SAVE_IN_PLACE: overwrite the header where the new one fits, which takes one write on a file of any
 *             size. A crash during it can leave a header that no reader accepts; the tensor data is never touched.
 *             Also allowed: progress, allocator, ST_SAVE_NO_SYNC and, without ST_SAVE_IN_PLACE, align and slack
 * Without the flag a new file is written, atomically as by st_save. The header keeps its length if the new one fits,
 * else slack and alignment of the data are kept.
 * Errors: as st_open and st_save, and in place
 *   ST_ERR_TOO_LARGE    the new header does not fit (expected, actual: bytes before the data)
 *   ST_ERR_UNSUPPORTED  a symbolic link, or a file with several names
 *   ST_ERR_IO           also: the file was replaced or changed while it was being edited */
ST_API st_status st_edit_metadata(const char *path, const st_pair *metadata, size_t metadata_count,
                                  const st_save_options *options, st_error *error);

/* Overwrites bytes [offset, offset + n) of one tensor in the file that holds it. Nothing else in the file changes.
 *   path     as st_open: a file, an index or a directory; the model is validated before a byte is written
 *   name     of the tensor, NUL-terminated
 *   offset   of the first byte, from the start of the tensor
 *   bytes    n bytes, little-endian, as they are stored; NULL only if n is 0
 *   options  allowed: ST_SAVE_NO_SYNC, allocator. NULL: defaults
 * A crash during the call can leave any mixture of old and new bytes in that range; the header and all other bytes stay
 * as they were. Close an open model first, or read the bytes again: a mapping may show the new bytes.
 * Errors: as st_open, and
 *   ST_ERR_NOT_FOUND    also: no such tensor
 *   ST_ERR_ARGUMENT     also: the range ends past the tensor; nothing is written
 *   ST_ERR_UNSUPPORTED  the file is a symbolic link or has several names; built with ST_NO_FILES
 *   ST_ERR_IO           also: the file was replaced or changed meanwhile; after a failed write bytes of the range may
 *                       have changed
 * Cost: that of st_open with ST_OPEN_NO_MAP, one write, and a flush to the device. */
ST_API st_status st_overwrite(const char *path, const char *name, uint64_t offset, const void *bytes, size_t n,
                              const st_save_options *options, st_error *error);

#endif /* ST_NO_WRITER */

#ifdef __cplusplus
}
#endif
#endif /* ST_INCLUDED: the interface ends here; the implementation follows */

#if defined(ST_IMPLEMENTATION) && !defined(STI_IMPLEMENTED)
#define STI_IMPLEMENTED

/* ---- 5 configuration, private half ----------------------------------------------------------------------------------
 * Detects the platform and the compiler, sets the defaults and includes the system headers. From here on every STI_OS_*
 * is 0 or 1. Constants that several rooms use are here; the others stand in the room that uses them.
 * uses: 2
 * ------------------------------------------------------------------------------------------------------------------ */
#if defined(ST_FREESTANDING) && !defined(ST_NO_FILES)
#define ST_NO_FILES
#endif
#if defined(ST_FREESTANDING) && !defined(ST_NO_MALLOC) && !defined(ST_MALLOC)
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
#if defined(ST_MALLOC) && defined(ST_NO_MALLOC)
#error "safetensors.h: define ST_MALLOC or ST_NO_MALLOC, not both"
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
#if defined(__wasm__) && !defined(ST_NO_MMAP) /* WASI has no mmap; Emscripten's copies the whole file */
#define ST_NO_MMAP
#endif
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#if !defined(ST_NO_WRITER)
#include <stdio.h> /* only rename */
#endif
#include <stdlib.h> /* only getenv */
#if !defined(ST_NO_MMAP)
#include <sys/mman.h>
#endif
#include <sys/stat.h>
#include <unistd.h>
#if defined(__GLIBC__) && !defined(__USE_MISC)
#error "safetensors.h: with ST_IMPLEMENTATION, include it before any other header, or define _GNU_SOURCE"
#endif
#if defined(__GLIBC__) && !defined(__LP64__) && !defined(__USE_FILE_OFFSET64)
#error "safetensors.h: with ST_IMPLEMENTATION, include it before any other header, or define _FILE_OFFSET_BITS 64"
#endif
#if (defined(__APPLE__) || defined(__FreeBSD__) || defined(__NetBSD__) || defined(__OpenBSD__)) && !defined(O_SHLOCK)
#error "safetensors.h: with ST_IMPLEMENTATION, include it before any other header, or undefine _POSIX_C_SOURCE"
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

#if SIZE_MAX < UINT32_MAX && (!defined(ST_FREESTANDING) || !defined(ST_NO_WRITER))
#error "safetensors.h: size_t must have 32 bits or more; with ST_FREESTANDING and ST_NO_WRITER, 16 or more"
#endif

#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
#define STI_BIG_ENDIAN 1
#elif defined(_WIN32) || (defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__)
#define STI_BIG_ENDIAN 0
#else
#error "safetensors.h: unknown byte order: define __BYTE_ORDER__ as __ORDER_LITTLE_ENDIAN__ or __ORDER_BIG_ENDIAN__"
#endif

/* 1 if 8-byte words are fast. This enables the fast paths of the header parser. Each of them handles the common case,
 * returns the same result as the portable code, and leaves every other case to the portable code. */
#if !defined(ST_NO_SIMD) && (UINTPTR_MAX > UINT32_MAX || defined(__wasm__))
#define STI_FAST64 1
#else
#define STI_FAST64 0
#endif

/* SSE2 and NEON are used where the compiler targets them. AVX2 with F16C is compiled beside SSE2 and chosen at run
 * time. AVX2 is left out where no runtime library can detect the processor, and for gcc on 64-bit Windows, which
 * misaligns the stack for 32-byte vectors (gcc bug 54412). Intrinsics headers include libc headers: none when
 * freestanding. */
#if defined(ST_NO_SIMD) || defined(ST_FREESTANDING) || defined(__TINYC__)
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
    __clang_major__ < 19 /* immintrin.h declares AVX2 only if /arch enables it */
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
#if STI_FAST64 && defined(_MSC_VER) && !defined(__clang__)
#include <intrin.h>
#endif

#if defined(__GNUC__) || defined(__clang__)
#define STI_NOINLINE __attribute__((noinline))   /* keeps its frame off the stack during other calls */
#define STI_COLD __attribute__((noinline, cold)) /* rarely called: optimized for size, and so is what only it calls */
#define STI_TARGET_AVX2 __attribute__((target("avx2,f16c")))
#elif defined(_MSC_VER)
#define STI_NOINLINE __declspec(noinline)
#define STI_COLD __declspec(noinline)
#define STI_TARGET_AVX2
#else
#define STI_NOINLINE
#define STI_COLD
#endif

/* for small functions with many callers: out of line where the compiler optimizes for size */
#if defined(__OPTIMIZE_SIZE__)
#define STI_SHARED STI_NOINLINE static
#else
#define STI_SHARED static
#endif

/* For functions of a few instructions, and for kernels whose constant arguments must be propagated. Builds without
 * optimization do not inline: coverage would count every copy separately. */
#if !STI_FAST64 && !STI_SSE2
#define STI_INLINE static
#elif defined(__OPTIMIZE__) && !defined(__OPTIMIZE_SIZE__) && (defined(__GNUC__) || defined(__clang__))
#define STI_INLINE static inline __attribute__((always_inline))
#elif defined(_MSC_VER) && !defined(__clang__)
#define STI_INLINE static __forceinline
#else
#define STI_INLINE static
#endif
#if STI_FAST64 && (defined(__GNUC__) || defined(__clang__))
#define STI_PREFETCH(address) __builtin_prefetch((const void *)(address))
#elif STI_SSE2
#define STI_PREFETCH(address) _mm_prefetch((const char *)(address), _MM_HINT_T0)
#else
#define STI_PREFETCH(address) ((void)(address))
#endif

#define STI_NO_OFFSET UINT64_MAX     /* no position */
#define STI_DEFAULT_LIMIT 100000000u /* header bytes; fixed by the format */
/* header bytes; above it, offsets do not fit 32 bits, or differences of pointers 16 */
#define STI_MAX_HEADER (SIZE_MAX < UINT32_MAX ? (uint32_t)PTRDIFF_MAX : UINT32_MAX)
#define STI_SAVE_FLAGS (2 * ST_SAVE_AS_OPENED - ST_SAVE_KEEP_ORDER) /* all of them */
#define STI_OPEN_FLAGS (2 * ST_OPEN_INDEX_DECIDES - ST_OPEN_NO_MAP) /* all of them */

/* private codes beside ST_IO_* */
#define STI_IO_LINKED (-6)   /* a symbolic link, or a file with several hard links */
#define STI_IO_EXISTS (-7)   /* the name is taken */
#define STI_IO_CHANGED (-8)  /* the path no longer leads to the file that was opened first */
#define STI_IO_DANGLING (-9) /* a symbolic link to a missing file */
#define STI_IO_SOURCE (-10)  /* the file would be emptied before it is read */

#if defined(ST_NO_ERROR_TEXT)
#define STI_TEXT(text) "" /* not NULL, which means "no error" in some functions */
#else
#define STI_TEXT(text) text
#endif

/* ---- 6 arithmetic ---------------------------------------------------------------------------------------------------
 * Checked and saturating arithmetic on sizes, little-endian loads, spans of bytes. Other rooms add and multiply sizes
 * through this one, unless a bound rules out overflow.
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

/* Returns 1 and sets *product, or returns 0 on overflow. */
STI_INLINE int sti_multiply64(uint64_t a, uint64_t b, uint64_t *product) {
    if ((a | b) > UINT32_MAX) { /* nearly no shape. By halves: 64-bit division may need a runtime library */
        uint64_t high;
        if (a >> 32 && b >> 32) return 0;
        high = (a >> 32) * (b & UINT32_MAX) + (b >> 32) * (a & UINT32_MAX); /* one of the products is 0 */
        if ((high + ((a & UINT32_MAX) * (b & UINT32_MAX) >> 32)) >> 32) return 0;
    }
    *product = a * b;
    return 1;
}

/* Adds file offsets. UINT64_MAX stands for overflow: no file is that long. */
STI_SHARED uint64_t sti_add64_saturated(uint64_t a, uint64_t b) {
    return b > UINT64_MAX - a ? UINT64_MAX : a + b;
}

/* Adds memory sizes. SIZE_MAX stands for overflow: every allocation of that size fails. */
STI_SHARED size_t sti_add_saturated(size_t a, size_t b) {
    return b > SIZE_MAX - a ? SIZE_MAX : a + b;
}

STI_SHARED size_t sti_multiply_saturated(size_t count, size_t size) {
    return size && count > SIZE_MAX / size ? SIZE_MAX : count * size;
}

/* Rounds n up to a multiple of 8. SIZE_MAX, the mark of overflow, becomes SIZE_MAX - 7. */
STI_SHARED size_t sti_round8(size_t n) {
    return sti_add_saturated(n, 7) & ~(size_t)7;
}

STI_INLINE uint32_t sti_load32(const void *p) {
    const unsigned char *b = (const unsigned char *)p;
    return (uint32_t)b[0] | (uint32_t)b[1] << 8 | (uint32_t)b[2] << 16 | (uint32_t)b[3] << 24;
}

STI_INLINE uint64_t sti_load64(const void *p) {
    return (uint64_t)sti_load32(p) | (uint64_t)sti_load32((const unsigned char *)p + 4) << 32;
}

#if STI_FAST64
/* Returns the index of the lowest set bit; word is not 0. */
STI_INLINE unsigned sti_lowest_bit(uint64_t word) {
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

STI_INLINE sti_span sti_span_from(const char *text, size_t n) {
    sti_span s;
    s.at = text;
    s.n = n;
    return s;
}

static sti_span sti_span_of(const char *text) {
#if defined(ST_FREESTANDING)
    size_t n = 0;
    while (text[n]) n++;
    return sti_span_from(text, n);
#else
    return sti_span_from(text, strlen(text));
#endif
}

/* Removes the first n bytes; n <= s.n. */
static sti_span sti_drop_first(sti_span s, size_t n) {
    s.at += n;
    s.n -= n;
    return s;
}

static int sti_span_equal(sti_span a, sti_span b) {
    return a.n == b.n && ST_MEMCMP(a.at, b.at, a.n) == 0;
}

/* ---- 7 errors -------------------------------------------------------------------------------------------------------
 * Fills st_error and formats the message without stdio. The function that detects a fault calls sti_fail; callers may
 * then prepend the file's name. Prepending names and paths needs the JSON scanner and stands at the end of room 9.
 * uses: 5, 6
 * ------------------------------------------------------------------------------------------------------------------ */
ST_API unsigned st_version(void) {
    return ST_VERSION;
}

ST_API const char *st_status_name(st_status status) {
    const char *name = "ST_OK\0ST_ERR_ARGUMENT\0ST_ERR_MEMORY\0ST_ERR_NOT_FOUND\0ST_ERR_IO\0ST_ERR_FORMAT\0"
                       "ST_ERR_TRUNCATED\0ST_ERR_TRAILING\0ST_ERR_HEADER_LIMIT\0ST_ERR_UTF8\0ST_ERR_JSON\0"
                       "ST_ERR_SCHEMA\0ST_ERR_DUPLICATE\0ST_ERR_DTYPE\0ST_ERR_OVERFLOW\0ST_ERR_SUBBYTE\0"
                       "ST_ERR_SIZE\0ST_ERR_OFFSETS\0ST_ERR_SHARD\0ST_ERR_PATH\0ST_ERR_TOO_LARGE\0"
                       "ST_ERR_UNSUPPORTED\0ST_ERR_CANCELLED\0ST_ERR_STATE";
    unsigned n = (unsigned)status;
    if (n > (unsigned)ST_ERR_STATE) return "";
    for (; n; n--) name += sti_span_of(name).n + 1;
    return name;
}

#define STI_DIGITS 20u /* decimal digits of 2^64 - 1 */

/* Writes n in decimal to the end of digits and returns the span of the digits. */
STI_NOINLINE static sti_span sti_digits(uint64_t n, char digits[STI_DIGITS]) {
    sti_span s;
    s.n = 0;
    do { /* 64-bit division may need a runtime library: this is 0.8 n / 8, at most 1 too small */
        uint64_t tenth = (n >> 1) + (n >> 2);
        tenth += tenth >> 4;
        tenth += tenth >> 8;
        tenth += tenth >> 16;
        tenth = (tenth + (tenth >> 32)) >> 3;
        if (n - tenth * 10 > 9) tenth++;
        s.n++;
        digits[STI_DIGITS - s.n] = (char)('0' + (int)(n - tenth * 10));
        n = tenth;
    } while (n);
    s.at = digits + STI_DIGITS - s.n;
    return s;
}

/* Appends to the NUL-terminated string in text[size], and cuts what does not fit. */
STI_COLD static void sti_put(char *text, size_t size, sti_span suffix) {
    size_t used = sti_span_of(text).n, free_bytes = size - 1 - used; /* used < size, as text is terminated */
    size_t n = suffix.n < free_bytes ? suffix.n : free_bytes;
    ST_MEMCPY(text + used, suffix.at, n);
    text[used + n] = 0;
}

/* Appends n in at least `width` digits. */
STI_COLD static void sti_put_padded(char *text, size_t size, uint64_t n, size_t width) {
    char buffer[STI_DIGITS];
    const sti_span digits = sti_digits(n, buffer);
    for (; width > digits.n; width--) sti_put(text, size, sti_span_of("0"));
    sti_put(text, size, digits);
}

#if !defined(ST_NO_ERROR_TEXT)
/* Appends the sentence. $e stands for `expected`, $a for `actual`, $d for the difference between them. */
STI_COLD static void sti_put_sentence(st_error *e, const char *sentence) {
    sti_span s;
    for (; *sentence; sentence++) {
        s.at = sentence;
        s.n = 1;
        if (*sentence != '$') {
            sti_put(e->message, sizeof e->message, s);
        } else {
            uint64_t n = e->expected > e->actual ? e->expected - e->actual : e->actual - e->expected;
            sentence++;
            if (*sentence == 'e') n = e->expected;
            if (*sentence == 'a') n = e->actual;
            sti_put_padded(e->message, sizeof e->message, n, 1);
        }
    }
}

/* Inserts text before the message, and cuts the message at the end if it becomes too long. text is shorter than half of
 * st_error.message. */
STI_COLD static void sti_error_prepend(st_error *e, sti_span text) {
    size_t used = sti_span_of(e->message).n, free_bytes = sizeof e->message - 1 - text.n;
    if (used > free_bytes) used = free_bytes;
    ST_MEMMOVE(e->message + text.n, e->message, used);
    ST_MEMCPY(e->message, text.at, text.n);
    e->message[text.n + used] = 0;
}
#endif

/* Sets every field of *e and returns status. Every error starts here; e may be NULL. */
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

/* Fails without a position and without numbers. */
STI_COLD static st_status sti_fail_plain(st_error *e, st_status status, const char *sentence) {
    return sti_fail(e, status, STI_NO_OFFSET, 0, 0, sentence);
}

/* Fails with ST_ERR_IO and the code of a system call or of a callback. The message names positive codes, which may be a
 * callback's own: the library cannot translate them into words. */
STI_COLD static st_status sti_fail_io(st_error *e, int code, uint64_t position, const char *sentence) {
    (void)sti_fail(e, ST_ERR_IO, position, 0, 0, sentence);
    if (e) e->sys = code;
#if !defined(ST_NO_ERROR_TEXT)
    if (e && code > 0) {
        sti_put(e->message, sizeof e->message, sti_span_of(" (system error "));
        sti_put_padded(e->message, sizeof e->message, (uint64_t)code, 1);
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
 * Allocates from the caller's allocator, from malloc or from a work buffer. A layout function runs twice over a
 * sti_block: first without memory, to measure the size, then to hand out the parts of one allocation.
 * uses: 5, 6, 7
 * ------------------------------------------------------------------------------------------------------------------ */
typedef struct sti_chunk {    /* header of an arena allocation; the usable bytes follow it */
    struct sti_chunk *before; /* allocated before this chunk, or NULL */
    size_t bytes;             /* with this header */
} sti_chunk;

typedef struct sti_memory {
    st_allocator allocator; /* alloc is NULL if there is no allocator */
    sti_chunk *chunks;      /* the newest chunk; none from a work buffer */
    unsigned char *work;    /* start of the work buffer, 8-byte aligned; NULL: use the allocator */
    size_t work_bytes;      /* free bytes of the work buffer; the arena takes from the end */
    size_t work_total;      /* bytes of the work buffer after alignment */
    size_t work_padding;    /* bytes lost to the alignment of the start */
} sti_memory;

typedef struct sti_block { /* one allocation, handed out from front to back */
    unsigned char *base;   /* NULL while measuring */
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

/* Uses the work buffer if there is one, else the allocator, else malloc. */
STI_NOINLINE static void sti_memory_init(sti_memory *m, const st_allocator *allocator, void *work, size_t bytes) {
    ST_MEMSET(m, 0, sizeof *m);
#if defined(ST_NO_MALLOC)
    if (!work && !allocator) {
        /* an empty work buffer with the worst alignment: the error then reports a size that always suffices */
        work = (unsigned char *)m + 1;
        bytes = 0;
    }
#endif
    if (work) {
        m->work_padding = (size_t)(8 - (uintptr_t)work % 8) % 8;
        m->work = (unsigned char *)work + (m->work_padding < bytes ? m->work_padding : 0);
        m->work_total = m->work_bytes = bytes > m->work_padding ? (bytes - m->work_padding) & ~(size_t)7 : 0;
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

/* Frees an allocation of sti_allocate. Does nothing with a work buffer or NULL. */
static void sti_deallocate(const sti_memory *m, void *pointer, size_t bytes) {
    if (pointer && !m->work) (m->allocator.free)(m->allocator.user, pointer, bytes);
}

/* Allocates from the arena, 8-byte aligned. Returns NULL if memory is exhausted. */
STI_NOINLINE static void *sti_arena_take(sti_memory *m, size_t bytes) {
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

/* Frees the chunks that are newer than `last`. `last` and work_bytes are the arena's state at an earlier time. */
STI_NOINLINE static void sti_arena_release(sti_memory *m, sti_chunk *last, size_t work_bytes) {
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

/* Hands out count items of `size` bytes; returns NULL while measuring. Callers take items in order of decreasing
 * alignment, so that no padding is needed. */
STI_NOINLINE static void *sti_block_take(sti_block *b, size_t count, size_t size) {
    void *p = b->base ? b->base + b->used : NULL; /* the measured size bounds `used` */
    b->used = sti_add_saturated(b->used, sti_multiply_saturated(count, size));
    return p;
}

/* Copies text to *next, NUL-terminated, and advances *next. Returns the copy. */
static const char *sti_copy_text(char **next, sti_span text) {
    char *copy = *next;
    ST_MEMCPY(copy, text.at, text.n);
    copy[text.n] = 0;
    *next += text.n + 1;
    return copy;
}

/* ---- 9 JSON ---------------------------------------------------------------------------------------------------------
 * A UTF-8 decoder and a pull scanner for strict JSON (RFC 8259), without recursion and without knowledge of tensors.
 * The scanner's functions advance sti_json.at past what they accept; after an error `at` is at the faulty byte.
 * The second part of the error room stands at the end: it shows names and paths in messages (see room 7).
 * uses: 5, 6, 7
 * ------------------------------------------------------------------------------------------------------------------ */
#define STI_MAX_DEPTH 127u /* nested containers with the root; the limit of the reference */

typedef struct sti_json {
    const unsigned char *at, *end; /* the next byte; the end of the text */
    uint32_t end_offset;           /* offset of `end` in the text; a header is shorter than 2^32 bytes */
    uint32_t base_offset;          /* file offset of the text; 8 for a header */
    st_error *error;
#if STI_FAST64
    unsigned high; /* nonzero if a scanned string may contain a byte above 0x7F */
#endif
} sti_json;

typedef struct sti_string {
    sti_span raw;          /* between the quotes, escapes not decoded */
    uint32_t place;        /* offset of the opening quote */
    uint32_t bytes;        /* length of the decoded string */
    unsigned char escaped; /* contains an escape */
    unsigned char has_nul; /* contains \u0000 */
} sti_string;

/* ---- UTF-8 */

/* Returns the length of the UTF-8 sequence at s, or 0 if it is invalid or longer than n. n > 0. */
static size_t sti_utf8_length(const unsigned char *s, size_t n) {
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
        if (s[i] < 0x80 || s[i] > 0xBF) return 0;
    }
    return length;
}

/* Returns the length of the longest prefix that is valid UTF-8. */
static size_t sti_utf8_prefix(const unsigned char *s, size_t n) {
    size_t i = 0, length;
    while (i < n) {
        if (n - i >= 16 && ((sti_load64(s + i) | sti_load64(s + i + 8)) & 0x8080808080808080u) == 0) {
            i += 16;
        } else {
            length = sti_utf8_length(s + i, n - i);
            if (length == 0) break;
            i += length;
        }
    }
    return i;
}

/* ---- tokens */

/* Returns the offset of the next byte in the text. */
static uint32_t sti_json_offset(const sti_json *j) {
    return j->end_offset - (uint32_t)(j->end - j->at);
}

/* Fails at the given offset in the text. */
STI_COLD static st_status sti_json_fail_at(const sti_json *j, uint32_t offset, st_status status, const char *sentence) {
    return sti_fail(j->error, status, sti_add64_saturated(j->base_offset, offset), 0, 0, sentence);
}

/* Fails at the next byte. */
STI_COLD static st_status sti_json_fail(const sti_json *j, st_status status, const char *sentence) {
    return sti_json_fail_at(j, sti_json_offset(j), status, sentence);
}

static int sti_is_blank(int c) {
    return c == ' ' || c == '\n' || c == '\t' || c == '\r';
}

/* Returns the next byte, or -1 at the end. */
static int sti_json_byte(const sti_json *j) {
    return j->at == j->end ? -1 : *j->at;
}

/* Skips whitespace and returns the next byte, or -1 at the end. */
static int sti_json_peek(sti_json *j) {
    int c;
    while (sti_is_blank(c = sti_json_byte(j))) j->at++;
    return c;
}

/* Fails where a value of a certain type was expected: with ST_ERR_SCHEMA if a value of another type starts here, else
 * with ST_ERR_JSON. */
STI_COLD static st_status sti_json_fail_type(sti_json *j, const char *sentence) {
    const int c = sti_json_byte(j);
    const int is_value =
        c == '{' || c == '[' || c == '"' || c == '-' || (c >= '0' && c <= '9') || c == 't' || c == 'f' || c == 'n';
    if (c == 0) sentence = STI_TEXT("expected JSON text, found a NUL byte");
    if (j->end - j->at >= 3 && ST_MEMCMP(j->at, "\xEF\xBB\xBF", 3) == 0) {
        sentence = STI_TEXT("expected JSON text, found a byte order mark: save the file without it");
    }
    return sti_json_fail(j, is_value ? ST_ERR_SCHEMA : ST_ERR_JSON, sentence);
}

static st_status sti_json_colon(sti_json *j) {
    if (sti_json_peek(j) != ':') return sti_json_fail(j, ST_ERR_JSON, STI_TEXT("expected ':' after an object key"));
    j->at++;
    return ST_OK;
}

/* Skips the opening bracket of a container, and the closing bracket if the container is empty. Sets *has_item to 1
 * if an item follows. */
STI_NOINLINE static st_status sti_json_enter(sti_json *j, int open, int *has_item, const char *sentence) {
    *has_item = 0;
    if (sti_json_peek(j) != open) return sti_json_fail_type(j, sentence);
    j->at++;
    *has_item = sti_json_peek(j) != open + 2; /* '{' + 2 is '}', '[' + 2 is ']' */
    if (!*has_item) j->at++;
    return ST_OK;
}

/* Skips the comma or the closing bracket after an item. Sets *has_item to 1 after a comma, else to 0. */
static st_status sti_json_next(sti_json *j, int open, int *has_item) {
    int c = sti_json_peek(j);
    if (c != ',' && c != open + 2) {
        return sti_json_fail(j, ST_ERR_JSON,
                             open == '{' ? STI_TEXT("expected ',' or '}' after an object member")
                                         : STI_TEXT("expected ',' or ']' after an array element"));
    }
    j->at++;
    *has_item = c == ',';
    return ST_OK;
}

STI_COLD static st_status sti_json_hex(sti_json *j, uint32_t *value) {
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
        *value = *value * 16 + (uint32_t)digit;
    }
    return ST_OK;
}

/* Writes a code point, not a surrogate, as UTF-8 and returns its length. */
static size_t sti_utf8_encode(uint32_t code, unsigned char out[4]) {
    size_t n = code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4, i;
    for (i = n; i > 1; i--, code >>= 6) out[i - 1] = (unsigned char)(0x80 | (code & 0x3F));
    out[0] = (unsigned char)(n == 1 ? code : n == 2 ? 0xC0 | code : n == 3 ? 0xE0 | code : 0xF0 | code);
    return n;
}

#if !defined(ST_NO_ERROR_TEXT) || !defined(ST_NO_WRITER)
/* Returns the code point of a valid UTF-8 sequence of n bytes. */
static uint32_t sti_utf8_decode(const unsigned char *s, size_t n) {
    static const unsigned char masks[4] = {0x7F, 0x1F, 0x0F, 0x07}; /* payload bits of the first byte */
    uint32_t code = s[0] & (uint32_t)masks[n - 1];
    size_t i;
    for (i = 1; i < n; i++) code = code << 6 | (s[i] & 0x3Fu);
    return code;
}
#endif

/* Decodes the escape that starts at the backslash j->at, to *n bytes of UTF-8. */
static st_status sti_json_escape(sti_json *j, unsigned char out[4], size_t *n) {
    static const char letters[] = "\"\\/bfnrt", values[] = "\"\\/\b\f\n\r\t";
    uint32_t backslash = sti_json_offset(j), code, low;
    st_status s;
    int c, i;
    j->at++;
    c = sti_json_byte(j);
    *n = 1;
    for (i = 0; i < 8; i++) {
        if (c == letters[i]) {
            out[0] = (unsigned char)values[i];
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
    *n = sti_utf8_encode(code, out);
    return ST_OK;
}

/* Returns 1 if none of 8 bytes is a quote, a backslash or a control character. The sums below are at most 0xFE in each
 * byte: no byte carries into the next. */
static int sti_is_plain8(const unsigned char *s) {
    const uint64_t low = 0x7F7F7F7F7F7F7F7Fu;
    uint64_t x = sti_load64(s), quote = x ^ 0x2222222222222222u, backslash = x ^ 0x5C5C5C5C5C5C5C5Cu;
    uint64_t not_quote = ((quote & low) + low) | quote, not_backslash = ((backslash & low) + low) | backslash;
    uint64_t not_control = ((x & low) + 0x6060606060606060u) | x;
    return (not_quote & not_backslash & not_control & ~low) == ~low;
}

#if STI_FAST64 && STI_SSE2
typedef __m128i sti_vector16;

/* Returns a mask of the bytes among 16 that are a quote, a backslash or a control character, with
 * STI_MASK_BITS_PER_BYTE bits for each byte. ORs all 16 bytes into *seen. */
STI_INLINE uint64_t sti_special16(const unsigned char *s, sti_vector16 *seen) {
    const __m128i v = _mm_loadu_si128((const __m128i *)(const void *)s);
    const __m128i quote = _mm_cmpeq_epi8(v, _mm_set1_epi8('"')), backslash = _mm_cmpeq_epi8(v, _mm_set1_epi8('\\'));
    const __m128i control = _mm_cmpeq_epi8(_mm_min_epu8(v, _mm_set1_epi8(0x1F)), v);
    *seen = _mm_or_si128(*seen, v);
    return (unsigned)_mm_movemask_epi8(_mm_or_si128(_mm_or_si128(quote, backslash), control));
}

#define STI_SEEN_NONE() _mm_setzero_si128()
#define STI_SEEN_HIGH(seen) ((unsigned)_mm_movemask_epi8(seen))
#define STI_MASK_BITS_PER_BYTE 1u
#elif STI_FAST64 && STI_NEON
typedef uint8x16_t sti_vector16;

STI_INLINE uint64_t sti_special16(const unsigned char *s, sti_vector16 *seen) {
    const uint8x16_t v = vld1q_u8(s);
    const uint8x16_t quote = vceqq_u8(v, vdupq_n_u8('"')), backslash = vceqq_u8(v, vdupq_n_u8('\\'));
    const uint8x16_t special = vorrq_u8(vorrq_u8(quote, backslash), vcltq_u8(v, vdupq_n_u8(0x20)));
    *seen = vorrq_u8(*seen, v);
    return vget_lane_u64(vreinterpret_u64_u8(vshrn_n_u16(vreinterpretq_u16_u8(special), 4)), 0);
}

#define STI_SEEN_NONE() vdupq_n_u8(0)
#define STI_SEEN_HIGH(seen) (vmaxvq_u8(seen) & 0x80u)
#define STI_MASK_BITS_PER_BYTE 4u
#endif

/* Returns the first quote, backslash or control character at or after s, or the end of the text. */
STI_INLINE const unsigned char *sti_plain_end(sti_json *j, const unsigned char *s) {
#if STI_FAST64 && (STI_SSE2 || STI_NEON)
    sti_vector16 seen = STI_SEEN_NONE();
    for (; j->end - s >= 16; s += 16) {
        const uint64_t special = sti_special16(s, &seen);
        if (special) {
            j->high |= STI_SEEN_HIGH(seen);
            return s + sti_lowest_bit(special) / STI_MASK_BITS_PER_BYTE;
        }
    }
    j->high |= STI_SEEN_HIGH(seen);
#endif
    while (j->end - s >= 8 && sti_is_plain8(s)) {
#if STI_FAST64
        j->high |= (sti_load64(s) & 0x8080808080808080u) != 0;
#endif
        s += 8;
    }
    for (; s < j->end && *s >= 0x20 && *s != '"' && *s != '\\'; s++) {
#if STI_FAST64
        j->high |= *s & 0x80u;
#endif
    }
    return s;
}

/* Returns 1 if the scanned text may contain a byte above 0x7F. If it returns 0, the text is ASCII: outside of strings
 * the scanner accepts no such byte. */
static int sti_json_may_have_high(const sti_json *j) {
#if STI_FAST64
    return j->high != 0;
#else
    (void)j;
    return 1;
#endif
}

/* Scans the string that starts at the quote j->at. Writes the decoded string to `out` unless it is NULL; `out` holds as
 * many bytes as the text between the quotes. */
static st_status sti_json_string(sti_json *j, sti_string *string, char *out) {
    string->place = sti_json_offset(j);
    string->bytes = 0;
    string->escaped = string->has_nul = 0;
    string->raw.at = (const char *)++j->at;
    for (;;) {
        const unsigned char *run = j->at;
        int c;
        j->at = sti_plain_end(j, run);
        if (out) ST_MEMCPY(out + string->bytes, run, (size_t)(j->at - run));
        string->bytes += (uint32_t)(j->at - run); /* not longer than the text, so below 2^32 */
        c = sti_json_byte(j);
        if (c == '"') {
            string->raw.n = (size_t)((const char *)j->at++ - string->raw.at);
            return ST_OK;
        }
        if (c == '\\') {
            unsigned char bytes[4];
            size_t n;
            st_status s = sti_json_escape(j, bytes, &n);
            if (s != ST_OK) return s;
            string->escaped = 1;
            if (bytes[0] == 0) string->has_nul = 1;
            if (out) ST_MEMCPY(out + string->bytes, bytes, n);
            string->bytes += (uint32_t)n;
        } else { /* the only other ends of a plain run */
            return sti_json_fail(j, ST_ERR_JSON,
                                 c < 0 ? STI_TEXT("unterminated string")
                                       : STI_TEXT("unescaped control character in a string"));
        }
    }
}

/* Skips whitespace and scans an object key. */
static st_status sti_json_key(sti_json *j, sti_string *string) {
    if (sti_json_peek(j) != '"')
        return sti_json_fail(j, ST_ERR_JSON, STI_TEXT("expected an object key in double quotes"));
    return sti_json_string(j, string, NULL);
}

/* ---- numbers */

/* Reads an unsigned integer. Fails with ST_ERR_SCHEMA for a value of another type, a fraction or an integer above
 * 2^64 - 1, with ST_ERR_JSON for invalid JSON. */
static st_status sti_json_integer(sti_json *j, uint64_t *value) {
    int c = sti_json_peek(j), first = c;
    if (c < '0' || c > '9') return sti_json_fail_type(j, STI_TEXT("expected an unsigned integer"));
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

#if STI_FAST64
/* Returns 8 times the number of leading digits among 8 bytes. `digits` holds the bytes XOR '0': a digit is 0 to 9. */
STI_INLINE unsigned sti_digit_bits(uint64_t digits) {
    uint64_t non_digits = (((digits & 0x7F7F7F7F7F7F7F7Fu) + 0x7676767676767676u) | digits) & 0x8080808080808080u;
    return non_digits ? sti_lowest_bit(non_digits) & ~7u : 64;
}

/* Returns the value of 8 digits, the first in the lowest byte. Combines pairs, then fours, then all eight. Lanes
 * hold at most 99, 9,999 and 99,999,999: none carries into the next. */
STI_INLINE uint64_t sti_eight_digits(uint64_t digits) {
    digits = (digits * 10 + (digits >> 8)) & 0x00FF00FF00FF00FFu;
    digits = (digits * 100 + (digits >> 16)) & 0x0000FFFF0000FFFFu;
    return (digits * 10000 + (digits >> 32)) & 0xFFFFFFFFu;
}

/* Reads an integer of 1 to 15 digits from 16 readable bytes. Returns the number of digits, or 0 if no digit stands
 * there, there are more digits, or the first of several digits is 0. */
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
    if (bits) *value = *value * powers[bits / 8] + sti_eight_digits(digits << (64 - bits)); /* below 10^15 */
    return 8 + bits / 8;
}

/* Returns 1 if a and b are equal in their first n bytes, 1 <= n <= 15. Both have max(n, 8) readable bytes. */
STI_INLINE int sti_equal_short(const unsigned char *a, const unsigned char *b, size_t n) {
    const uint64_t differ = sti_load64(a) ^ sti_load64(b);
    if (n < 8) return differ << (64 - 8 * n) == 0;
    return differ == 0 && sti_load64(a + n - 8) == sti_load64(b + n - 8);
}
#endif

/* Skips one or more digits. Sets *seen at the first digit other than 0. *power becomes the power of ten of that digit;
 * it starts as -1 before the decimal point. A text has fewer than 2^32 digits, so *power cannot overflow. */
static st_status sti_json_skip_digits(sti_json *j, int fraction, int *seen, int64_t *power) {
    int c = sti_json_byte(j);
    if (c < '0' || c > '9') return sti_json_fail(j, ST_ERR_JSON, STI_TEXT("expected a digit"));
    for (; c >= '0' && c <= '9'; c = sti_json_byte(j)) {
        if (c != '0') *seen = 1;
        if (*seen != fraction) *power += fraction ? -1 : 1;
        j->at++;
    }
    return ST_OK;
}

/* Skips a number. Fails if its magnitude is 1e309 or more, which overflows the reference's f64. */
STI_COLD static st_status sti_json_skip_number(sti_json *j) {
    uint32_t begin = sti_json_offset(j);
    int64_t power = -1, exponent = 0;
    int seen = 0, negative, c;
    st_status s = ST_OK;
    if (*j->at == '-') j->at++;
    if (sti_json_byte(j) == '0') { /* whatever follows rejects a second digit */
        j->at++;
    } else {
        s = sti_json_skip_digits(j, 0, &seen, &power);
    }
    if (s == ST_OK && sti_json_byte(j) == '.') {
        j->at++;
        s = sti_json_skip_digits(j, 1, &seen, &power);
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
                exponent = exponent * 10 + (c - '0'); /* beyond what 2^32 digits can compensate */
            }
        }
        power += negative ? -exponent : exponent;
    }
    if (seen && power >= 309) return sti_json_fail_at(j, begin, ST_ERR_JSON, STI_TEXT("number out of range"));
    return ST_OK;
}

/* ---- values of any kind */

STI_COLD static st_status sti_json_skip_literal(sti_json *j, const char *text) {
    for (; *text; text++, j->at++) {
        if (sti_json_byte(j) != *text) {
            return sti_json_fail(j, ST_ERR_JSON, STI_TEXT("invalid literal: expected true, false or null"));
        }
    }
    return ST_OK;
}

/* Skips a value that is not a container. The caller lends *string to keep this frame small: the callers have the
 * largest frames of the scanner. */
STI_NOINLINE static st_status sti_json_skip_scalar(sti_json *j, sti_string *string) {
    int c = sti_json_peek(j);
    switch (c) {
    case '"': return sti_json_string(j, string, NULL);
    case 't': return sti_json_skip_literal(j, "true");
    case 'f': return sti_json_skip_literal(j, "false");
    case 'n': return sti_json_skip_literal(j, "null");
    default: break;
    }
    if (c == '-' || (c >= '0' && c <= '9')) return sti_json_skip_number(j);
    return sti_json_fail(j, ST_ERR_JSON, STI_TEXT("expected a value"));
}

/* Skips any value. `depth` is the number of containers around it. */
STI_NOINLINE static st_status sti_json_skip(sti_json *j, unsigned depth) {
    unsigned char objects[(STI_MAX_DEPTH + 7) / 8]; /* bit i: the container at level i is an object */
    const unsigned limit = STI_MAX_DEPTH - depth;
    unsigned level = 0;
    sti_string key;
    st_status s;
    int c, has_item;
    ST_MEMSET(objects, 0, sizeof objects);
    for (;;) {
        c = sti_json_peek(j);
        if (c == '{' || c == '[') {
            unsigned char *mask = &objects[level / 8], bit = (unsigned char)(1u << level % 8);
            if (level == limit) {
                return sti_json_fail(j, ST_ERR_JSON, STI_TEXT("arrays and objects nested more than 127 levels deep"));
            }
            (void)sti_json_enter(j, c, &has_item, NULL); /* cannot fail: c is the next byte */
            *mask = (unsigned char)(c == '{' ? *mask | bit : *mask & ~bit);
            if (has_item) level++;
        } else {
            if ((s = sti_json_skip_scalar(j, &key)) != ST_OK) return s;
            has_item = 0;
        }
        while (!has_item && level > 0) {
            c = objects[(level - 1) / 8] >> (level - 1) % 8 & 1 ? '{' : '[';
            if ((s = sti_json_next(j, c, &has_item)) != ST_OK) return s;
            if (!has_item) level--;
        }
        if (level == 0) return ST_OK;
        if (objects[(level - 1) / 8] >> (level - 1) % 8 & 1) {
            if ((s = sti_json_key(j, &key)) != ST_OK || (s = sti_json_colon(j)) != ST_OK) return s;
        }
    }
}

/* Returns the offset of the key of member number `member` of an object. The object was scanned before without error. */
STI_COLD static uint32_t sti_json_member_offset(sti_json j, const unsigned char *object, uint32_t member) {
    sti_string key;
    int has_item;
    j.at = object;
    (void)sti_json_enter(&j, '{', &has_item, NULL); /* nothing below can fail: the object is valid */
    for (; member > 0; member--) {
        (void)sti_json_key(&j, &key), (void)sti_json_colon(&j), (void)sti_json_skip(&j, 2),
            (void)sti_json_next(&j, '{', &has_item);
    }
    (void)sti_json_peek(&j);
    return sti_json_offset(&j);
}

/* ---- second part of the error room: names and paths in messages */

enum sti_show_kind {
    STI_SHOW_PATH,   /* a path; shown without quotes */
    STI_SHOW_NAME,   /* a name; shown in quotes, so quotes and backslashes are escaped */
    STI_SHOW_ESCAPED /* a name as written in the header; its JSON escapes are decoded first */
};

/* Starts reading a text with sti_json_character: plain UTF-8, or the raw bytes of a string that was scanned before. */
static sti_json sti_json_of_text(sti_span text) {
    sti_json j;
    ST_MEMSET(&j, 0, sizeof j);
    j.at = (const unsigned char *)text.at;
    j.end = j.at + text.n;
    j.end_offset = (uint32_t)text.n; /* wraps for a path over 4 GiB: no caller uses offsets in this text */
    return j;
}

/* Reads the next character to `out` and returns its length, or 0 for a byte that is not UTF-8. j->at < j->end. */
static size_t sti_json_character(sti_json *j, int escaped, unsigned char out[4]) {
    size_t n = sti_utf8_length(j->at, (size_t)(j->end - j->at)), i;
    if (escaped && *j->at == '\\') {
        (void)sti_json_escape(j, out, &n); /* cannot fail: the string was scanned before */
        return n;
    }
    for (i = 0; i < (n ? n : 1); i++) out[i] = *j->at++;
    return n;
}

/* Returns 1 if two texts are equal after decoding. a_escaped and b_escaped tell which text contains JSON escapes. A
 * text that is not UTF-8 equals nothing. */
STI_COLD static int sti_json_equal(sti_span a, int a_escaped, sti_span b, int b_escaped) {
    sti_json x = sti_json_of_text(a), y = sti_json_of_text(b);
    unsigned char p[4], q[4];
    while (x.at < x.end && y.at < y.end) {
        size_t n = sti_json_character(&x, a_escaped, p), m = sti_json_character(&y, b_escaped, q);
        if (n != m || n == 0 || ST_MEMCMP(p, q, n) != 0) return 0;
    }
    return x.at == x.end && y.at == y.end;
}

/* Returns 1 if the decoded string is text[n]. */
static int sti_string_is(const sti_string *string, const char *text, size_t n) {
    const sti_span plain = sti_span_from(text, n);
    return string->escaped ? sti_json_equal(string->raw, 1, plain, 0) : sti_span_equal(string->raw, plain);
}

#if !defined(ST_NO_ERROR_TEXT)
/* Writes the next character in printable form and returns its length. Escapes invalid UTF-8 and everything that can
 * change what a terminal shows. */
STI_COLD static size_t sti_show_next(sti_json *j, enum sti_show_kind kind, char out[6]) {
    static const char hex[] = "0123456789abcdef";
    unsigned char raw[4];
    size_t n = sti_json_character(j, kind == STI_SHOW_ESCAPED, raw);
    uint32_t code;
    int i;
    out[0] = '\\';
    if (n == 0) {
        out[1] = 'x';
        out[2] = hex[raw[0] >> 4];
        out[3] = hex[raw[0] & 15];
        return 4;
    }
    code = sti_utf8_decode(raw, n);
    if (kind != STI_SHOW_PATH && (code == '"' || code == '\\')) {
        out[1] = (char)code;
        return 2;
    }
    /* control characters, bidirectional marks, line and paragraph separators, the byte order mark */
    if (code < 0x20 || (code >= 0x7F && code < 0xA0) || code == 0x61C || code == 0x200E || code == 0x200F ||
        (code >= 0x2028 && code <= 0x202E) || (code >= 0x2066 && code <= 0x2069) || code == 0xFEFF) {
        out[1] = 'u';
        for (i = 0; i < 4; i++) out[2 + i] = hex[code >> (12 - 4 * i) & 15];
        return 6;
    }
    ST_MEMCPY(out, raw, n);
    return n;
}

/* Writes a text in printable form to out[size], NUL-terminated. Replaces the middle by "..." if it is too long. */
STI_COLD static sti_span sti_show(char *out, size_t size, sti_span name, enum sti_show_kind kind) {
    const size_t half = (size - 1 - 3) / 2; /* bytes on each side of "..." */
    uint64_t total = 0, seen = 0;
    sti_json j = sti_json_of_text(name);
    sti_span shown;
    char next[6];
    shown.at = out;
    shown.n = 0;
    while (j.at < j.end) total = sti_add64_saturated(total, sti_show_next(&j, kind, next));
    j = sti_json_of_text(name);
    while (j.at < j.end) {
        size_t n = sti_show_next(&j, kind, next);
        uint64_t next_seen = sti_add64_saturated(seen, n);
        if (total < size || next_seen <= half || seen >= total - half) { /* everything fits, or near an end */
            ST_MEMCPY(out + shown.n, next, n);
            shown.n += n;
        } else if (seen <= half) { /* the first character that is left out */
            ST_MEMCPY(out + shown.n, "...", 3);
            shown.n += 3;
        }
        seen = next_seen;
    }
    out[shown.n] = 0;
    return shown;
}
#endif

/* Sets st_error.subject and prepends it to the message, in quotes. */
STI_COLD static void sti_error_set_subject(st_error *e, sti_span name, enum sti_show_kind kind) {
#if defined(ST_NO_ERROR_TEXT)
    (void)e, (void)name, (void)kind;
#else
    if (e) {
        sti_error_prepend(e, sti_span_of("\": "));
        sti_error_prepend(e, sti_show(e->subject, sizeof e->subject, name, kind));
        sti_error_prepend(e, sti_span_of("\""));
    }
#endif
}

/* Appends words and then a text to the message. */
STI_COLD static void sti_error_append(st_error *e, const char *words, sti_span text) {
#if defined(ST_NO_ERROR_TEXT)
    (void)e, (void)words, (void)text;
#else
    char shown[64];
    if (e) {
        sti_put(e->message, sizeof e->message, sti_span_of(words));
        sti_put(e->message, sizeof e->message, sti_show(shown, sizeof shown, text, STI_SHOW_NAME));
    }
#endif
}

/* Prepends the path of a file to the message and returns status. */
STI_COLD static st_status sti_error_prepend_path(st_error *error, const char *path, st_status status) {
#if defined(ST_NO_ERROR_TEXT)
    (void)error, (void)path;
#else
    char shown[100];
    if (error) {
        sti_error_prepend(error, sti_span_of(": "));
        sti_error_prepend(error, sti_show(shown, sizeof shown, sti_span_of(path), STI_SHOW_PATH));
    }
#endif
    return status;
}

/* ---- 10 dtypes ------------------------------------------------------------------------------------------------------
 * Spelling and bits per element of every dtype, in one table. The numbers are in the reference's order; its writer
 * stores the tensors of the highest number first.
 * uses: 6
 * ------------------------------------------------------------------------------------------------------------------ */
typedef struct sti_dtype {
    char name[12];
    unsigned char length; /* of the name */
    unsigned char bits;   /* of an element */
} sti_dtype;

/* indexed by st_dtype */
static const sti_dtype sti_dtypes[] = {
    {"", 0, 0},        {"BOOL", 4, 8},    {"F4", 2, 4},           {"F6_E2M3", 7, 6},
    {"F6_E3M2", 7, 6}, {"U8", 2, 8},      {"I8", 2, 8},           {"F8_E5M2", 7, 8},
    {"F8_E4M3", 7, 8}, {"F8_E8M0", 7, 8}, {"F8_E4M3FNUZ", 11, 8}, {"F8_E5M2FNUZ", 11, 8},
    {"I16", 3, 16},    {"U16", 3, 16},    {"F16", 3, 16},         {"BF16", 4, 16},
    {"I32", 3, 32},    {"U32", 3, 32},    {"F32", 3, 32},         {"C64", 3, 64},
    {"F64", 3, 64},    {"I64", 3, 64},    {"U64", 3, 64}};

#define STI_DTYPES (sizeof sti_dtypes / sizeof *sti_dtypes)

/* Returns the entry of the table; that of ST_DTYPE_UNKNOWN for any other number. */
static const sti_dtype *sti_dtype_of(st_dtype dtype) {
    return &sti_dtypes[(unsigned)dtype < STI_DTYPES ? (unsigned)dtype : 0];
}

ST_API const char *st_dtype_name(st_dtype dtype) {
    return sti_dtype_of(dtype)->name;
}

ST_API unsigned st_dtype_bits(st_dtype dtype) {
    return sti_dtype_of(dtype)->bits;
}

/* Returns the dtype with that name, or ST_DTYPE_UNKNOWN. */
static st_dtype sti_dtype_find(sti_span name) {
    unsigned i;
    for (i = 1; i < STI_DTYPES; i++) {
        if (sti_dtypes[i].length == name.n && ST_MEMCMP(sti_dtypes[i].name, name.at, name.n) == 0) return (st_dtype)i;
    }
    return ST_DTYPE_UNKNOWN;
}

#if STI_FAST64
#define STI_LETTERS(a, b, c, d) ((uint32_t)(a) | (uint32_t)(b) << 8 | (uint32_t)(c) << 16 | (uint32_t)(d) << 24)

/* Guesses the dtype from the first 8 bytes of its name in a header; short names include the closing quote and a comma.
 * Returns ST_DTYPE_UNKNOWN if there is no guess. The caller compares the whole name. */
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
 * Measures, parses and validates a header, given its bytes and the file's length. Also holds st_scan, which does this
 * without memory.
 * uses: 5, 6, 7, 9, 10
 * ------------------------------------------------------------------------------------------------------------------ */
#define STI_SCAN_TENSORS 1024u
#define STI_SCAN_PAIRS 1024u
#define STI_SCAN_RANK 16u

typedef struct sti_entry { /* one tensor of the header; offsets count from the header's first byte */
    uint64_t begin, end;   /* data_offsets */
    uint64_t elements;     /* product of the shape; meaningless if overflow is set */
    uint32_t key;          /* offset of the name's opening quote */
    uint32_t dtype_offset; /* offset of the dtype's opening quote; with short_shape: the first dimension */
    uint32_t shape_offset; /* offset of the shape's opening bracket; with short_shape: the last dimension */
    uint32_t name_bytes;   /* unescaped */
    uint32_t rank;
    unsigned char dtype;    /* an st_dtype */
    unsigned char overflow; /* the product of the shape does not fit 64 bits */
    unsigned char escaped;  /* the name contains an escape */
#if STI_FAST64
    unsigned char short_shape; /* known dtype and at most two dimensions, each under 2^32 */
#endif
} sti_entry;

/* The shortest member is `"":{"dtype":"","shape":[],"data_offsets":[0,0]}`. An entry is no larger than a member and its
 * comma, so entries never need more memory than the header's text. */
#define STI_SHORTEST_MEMBER 47u
typedef char sti_entry_must_not_outgrow_its_member[sizeof(sti_entry) <= STI_SHORTEST_MEMBER + 1 ? 1 : -1];

typedef struct sti_header {
    sti_json json;
    const unsigned char *text;
    unsigned flags;             /* ST_OPEN_* */
    unsigned char scan;         /* enforce the limits of st_scan */
    unsigned char begun;        /* the root's opening brace has been parsed */
    unsigned char has_metadata; /* a __metadata__ key has been parsed */
    uint32_t metadata;          /* offset of the __metadata__ object; 0: none (offset 0 is the root or a blank) */
    uint32_t tensors, dimensions, pairs; /* parsed so far; each is less than the number of bytes parsed */
    uint32_t text_bytes;                 /* of names, unknown dtypes, metadata keys and values, each with its NUL */
    uint32_t array_offset;               /* of the last tensor's data_offsets array */
#if STI_FAST64
    uint64_t last_end;                         /* where the data of the last canonical entry ends */
    uint32_t last_end_offset, last_end_digits; /* the text of that number; 0 digits: no canonical entry yet */
#endif
} sti_header;

static void sti_header_init(sti_header *h, const unsigned char *text, size_t n, unsigned flags, st_error *error) {
    ST_MEMSET(h, 0, sizeof *h);
    h->json.at = h->text = text;
    h->json.end = text + n;
    h->json.end_offset = (uint32_t)n; /* at most STI_MAX_HEADER, see sti_header_limit */
    h->json.base_offset = 8;
    h->json.error = error;
    h->flags = flags;
}

/* returns the text between the quotes of a string already parsed; offset: of its opening quote */
static sti_span sti_header_string(const sti_header *h, uint32_t offset) {
    const unsigned char *p = h->text + offset + 1;
    sti_span s;
    s.at = (const char *)p;
    while (*p != '"') p += *p == '\\' ? 2 : 1;
    s.n = (size_t)((const char *)p - s.at);
    return s;
}

/* names the member at key as the subject of the error, unless a nested member is named already; returns status */
STI_COLD static st_status sti_header_name_subject(const sti_header *h, uint32_t key, st_status status) {
#if defined(ST_NO_ERROR_TEXT)
    (void)h, (void)key;
#else
    st_error *e = h->json.error;
    /* no message begins with a quote, only a subject does */
    if (e && e->message[0] != '"') sti_error_set_subject(e, sti_header_string(h, key), STI_SHOW_ESCAPED);
#endif
    return status;
}

/* ---- members, general parser */

/* parses a string; if *text is not NULL, copies it unescaped and NUL-terminated to *text and advances *text */
static st_status sti_string_read(sti_header *h, sti_string *string, char **text) {
    st_status s = sti_json_string(&h->json, string, *text);
    if (s != ST_OK) return s;
    h->text_bytes += string->bytes + 1;
    if (*text) {
        *text += string->bytes;
        *(*text)++ = 0;
    }
    return ST_OK;
}

/* parses the __metadata__ object into pairs and text, both NULL on the first pass, which only counts */
STI_COLD static st_status sti_metadata_read(sti_header *h, st_pair *pairs, char *text) {
    sti_json *j = &h->json;
    sti_string string;
    st_status s;
    int has_next;
    uint32_t offset;
    h->pairs = 0;
    if ((s = sti_json_enter(j, '{', &has_next, STI_TEXT("__metadata__ is not an object of strings"))) != ST_OK)
        return s;
    while (has_next) {
        st_pair *p = pairs ? pairs + h->pairs : NULL;
        if (sti_json_peek(j) != '"')
            return sti_json_fail(j, ST_ERR_JSON, STI_TEXT("expected an object key in double quotes"));
        offset = sti_json_offset(&h->json);
        if (p) p->key = text;
        if ((s = sti_string_read(h, &string, &text)) != ST_OK) return s;
        if (p) p->key_bytes = string.bytes;
        if (h->scan && h->pairs == STI_SCAN_PAIRS) {
            return sti_json_fail_at(
                j, offset, ST_ERR_TOO_LARGE,
                STI_TEXT("more than 1,024 metadata entries: st_scan cannot check them without memory"));
        }
        if ((s = sti_json_colon(j)) == ST_OK) {
            if (p) p->value = text;
            s = sti_json_peek(j) == '"' ? sti_string_read(h, &string, &text)
                                        : sti_json_fail_type(j, STI_TEXT("metadata value is not a string"));
            if (p) p->value_bytes = string.bytes;
        }
        if (s == ST_OK) {
            h->pairs++;
            s = sti_json_next(j, '{', &has_next);
        }
        if (s != ST_OK) return sti_header_name_subject(h, offset, s);
    }
    return ST_OK;
}

/* parses the colon and the value of a __metadata__ member */
static st_status sti_metadata_member(sti_header *h, const sti_string *key) {
    sti_json *j = &h->json;
    st_status s;
    if (h->has_metadata) return sti_json_fail_at(j, key->place, ST_ERR_DUPLICATE, STI_TEXT("duplicate key"));
    h->has_metadata = 1;
    if ((s = sti_json_colon(j)) != ST_OK) return s;
    if (sti_json_peek(j) == 'n') return sti_json_skip_literal(j, "null"); /* null is the same as no metadata */
    h->metadata = sti_json_offset(&h->json);
    return sti_metadata_read(h, NULL, NULL);
}

/* parses a dtype into e->dtype; an unknown one is an error without ST_OPEN_UNKNOWN_DTYPES */
STI_NOINLINE static st_status sti_dtype_read(sti_header *h, sti_entry *e) {
    sti_json *j = &h->json;
    char unescaped[16];
    sti_string string;
    sti_span name;
    st_dtype dtype;
    st_status s;
    if (sti_json_peek(j) != '"') return sti_json_fail_type(j, STI_TEXT("dtype is not a string"));
    e->dtype_offset = sti_json_offset(&h->json);
    if ((s = sti_json_string(j, &string, NULL)) != ST_OK) return s;
    if (string.escaped && string.bytes <= sizeof unescaped) { /* parse again to unescape; no known dtype is longer */
        j->at -= string.raw.n + 2;
        (void)sti_json_string(j, &string, unescaped);
        name = sti_span_from(unescaped, string.bytes);
    } else {
        name = string.raw;
    }
    dtype = sti_dtype_find(name);
    e->dtype = (unsigned char)dtype;
    if (dtype != ST_DTYPE_UNKNOWN) return ST_OK;
    h->text_bytes += string.bytes + 1;
    if ((h->flags & ST_OPEN_UNKNOWN_DTYPES) && !string.has_nul) return ST_OK;
    (void)sti_json_fail_at(j, string.place, ST_ERR_DTYPE, STI_TEXT("unknown dtype \""));
#if !defined(ST_NO_ERROR_TEXT)
    if (j->error) {
        char shown[48];
        sti_put(j->error->message, sizeof j->error->message,
                sti_show(shown, sizeof shown, sti_header_string(h, e->dtype_offset), STI_SHOW_ESCAPED));
        sti_put(j->error->message, sizeof j->error->message, sti_span_of("\""));
    }
#endif
    return ST_ERR_DTYPE;
}

/* parses a shape; out: NULL, or receives the dimensions */
static st_status sti_shape_read(sti_header *h, sti_entry *e, uint64_t *out) {
    sti_json *j = &h->json;
    st_status s;
    uint64_t size;
    int has_next;
    (void)sti_json_peek(j);
    e->shape_offset = sti_json_offset(&h->json);
    e->rank = 0;
    e->elements = 1;
    e->overflow = 0;
    if ((s = sti_json_enter(j, '[', &has_next, STI_TEXT("shape is not an array of unsigned integers"))) != ST_OK)
        return s;
    while (has_next) {
        if (h->scan && e->rank == STI_SCAN_RANK) {
            (void)sti_json_peek(j);
            return sti_json_fail(j, ST_ERR_TOO_LARGE,
                                 STI_TEXT("more than 16 dimensions: st_scan cannot hold the shape"));
        }
        if ((s = sti_json_integer(j, &size)) != ST_OK) return s;
        if (out) out[e->rank] = size;
        e->rank++;
        if (!sti_multiply64(e->elements, size, &e->elements)) e->overflow = 1; /* even if a later dimension is 0 */
        if ((s = sti_json_next(j, '[', &has_next)) != ST_OK) return s;
    }
    return ST_OK;
}

/* parses a data_offsets array into e->begin and e->end */
static st_status sti_offsets_read(sti_json *j, sti_entry *e) {
    const char *message = STI_TEXT("data_offsets is not an array of two unsigned integers");
    st_status s;
    int has_next;
    if ((s = sti_json_enter(j, '[', &has_next, message)) != ST_OK) return s;
    if (has_next) {
        if ((s = sti_json_integer(j, &e->begin)) != ST_OK || (s = sti_json_next(j, '[', &has_next)) != ST_OK) return s;
    }
    if (has_next) {
        if ((s = sti_json_integer(j, &e->end)) != ST_OK || (s = sti_json_next(j, '[', &has_next)) != ST_OK) return s;
        if (!has_next) return ST_OK;
    }
    /* position: of the closing bracket that comes too early, or of the comma before a third element */
    return sti_json_fail_at(j, sti_json_offset(j) - 1, ST_ERR_SCHEMA, message);
}

/* parses the colon and the value of a tensor's member; key: scratch for field names, saves stack */
static st_status sti_entry_read(sti_header *h, sti_entry *e, sti_string *key) {
    enum { DTYPE = 1, SHAPE = 2, OFFSETS = 4 };
    sti_json *j = &h->json;
    unsigned seen = 0, field;
    st_status s;
    int has_next;
#if STI_FAST64
    e->short_shape = 0;
#endif
    if ((s = sti_json_colon(j)) != ST_OK) return s;
    if ((s = sti_json_enter(j, '{', &has_next, STI_TEXT("tensor entry is not a JSON object"))) != ST_OK) return s;
    while (has_next) {
        if ((s = sti_json_key(j, key)) != ST_OK) return s;
        field = sti_string_is(key, "dtype", 5)           ? DTYPE
                : sti_string_is(key, "shape", 5)         ? SHAPE
                : sti_string_is(key, "data_offsets", 12) ? OFFSETS
                                                         : 0;
        if (seen & field)
            return sti_json_fail_at(j, key->place, ST_ERR_DUPLICATE, STI_TEXT("duplicate field in a tensor entry"));
        seen |= field;
        if ((s = sti_json_colon(j)) != ST_OK) return s;
        if (field == OFFSETS) h->array_offset = sti_json_offset(j);
        s = field == DTYPE     ? sti_dtype_read(h, e)
            : field == SHAPE   ? sti_shape_read(h, e, NULL)
            : field == OFFSETS ? sti_offsets_read(j, e)
                               : sti_json_skip(j, 2); /* ignored; depth 2: in the root and this entry */
        if (s != ST_OK || (s = sti_json_next(j, '{', &has_next)) != ST_OK) return s;
    }
    if (seen == (DTYPE | SHAPE | OFFSETS)) return ST_OK;
    return sti_json_fail_at(j, sti_json_offset(j) - 1, ST_ERR_SCHEMA,
                            !(seen & DTYPE)   ? STI_TEXT("field dtype is missing")
                            : !(seen & SHAPE) ? STI_TEXT("field shape is missing")
                                              : STI_TEXT("field data_offsets is missing"));
}

/* ---- members, fast path for the layout that all common writers produce */

#if STI_FAST64
#define STI_IS(p, word) (ST_MEMCMP(p, word, sizeof(word) - 1) == 0)

/* Bytes that a canonical entry may read without another bounds check. The longest step is `],"data_offsets":[`,
 * 15 digits, a comma, and 16 bytes for the second number and the two closing brackets. */
#define STI_CANONICAL_LOOKAHEAD 64

/* Parses a shape, p after its opening bracket. Returns a pointer to the closing bracket; NULL: not canonical. */
static const unsigned char *sti_canonical_shape(const unsigned char *p, const unsigned char *end, sti_entry *e) {
    uint64_t elements = 1, size = 1, first = 1;
    uint32_t rank = 0;
    if (*p != ']') {
        for (;; p++) {
            size_t digits = end - p < STI_CANONICAL_LOOKAHEAD ? 0 : sti_short_integer(p, &size);
            if (digits == 0 || rank == STI_SCAN_RANK || !sti_multiply64(elements, size, &elements)) return NULL;
            if (rank == 0) first = size;
            rank++;
            p += digits;
            if (*p != ',') break;
        }
    }
    e->rank = rank;
    e->elements = elements;
    e->overflow = 0;
    e->short_shape = rank <= 2 && (first | size) <= UINT32_MAX;
    if (e->short_shape) {
        e->dtype_offset = (uint32_t)first;
        e->shape_offset = (uint32_t)size;
    }
    return p;
}

/* Parses data_offsets, p after the opening bracket. Returns a pointer past `]}`; NULL: not canonical. The first number
 * usually has the same digits as the previous entry's second one, so that comparing them replaces parsing. */
static const unsigned char *sti_canonical_offsets(sti_header *h, const unsigned char *p, sti_entry *e) {
    size_t digits = h->last_end_digits;
    const unsigned char *last = h->text + h->last_end_offset, *bracket = p - 1;
    if (digits && sti_equal_short(p, last, digits)) {
        e->begin = h->last_end;
    } else {
        digits = sti_short_integer(p, &e->begin);
    }
    if (digits == 0 || p[digits] != ',') return NULL;
    p += digits + 1;
    digits = sti_short_integer(p, &e->end);
    if (digits == 0 || p[digits] != ']' || p[digits + 1] != '}') return NULL;
    h->array_offset = (uint32_t)(bracket - h->text);
    h->last_end = e->end;
    h->last_end_offset = (uint32_t)(p - h->text);
    h->last_end_digits = (uint32_t)digits;
    return p + digits + 2;
}

/* Parses a member, from the comma or brace before it, if its text is exactly
 * `,"NAME":{"dtype":"F32","shape":[2,3],"data_offsets":[0,24]}` but for name and values. Returns 1 and sets *e as the
 * general parser would. For any other text, returns 0 without advancing, and the general parser must run. */
static int sti_parse_canonical_entry(sti_header *h, sti_entry *e) {
    const unsigned char *p = h->json.at, *const end = h->json.end, *name;
    st_dtype dtype;
    size_t n;
    if (end - p < STI_CANONICAL_LOOKAHEAD || p[0] != (h->begun ? ',' : '{') || p[1] != '"') return 0;
    name = p + 2;
    p = sti_plain_end(&h->json, name);
    n = (size_t)(p - name);
    if (end - p < STI_CANONICAL_LOOKAHEAD || !STI_IS(p, "\":{\"dtype\":\"")) return 0;
    if ((n == 12 && STI_IS(name, "__metadata__")) || (h->scan && h->tensors == STI_SCAN_TENSORS)) return 0;
    e->key = (uint32_t)(name - 1 - h->text);
    e->name_bytes = (uint32_t)n;
    e->escaped = 0;
    e->dtype_offset = (uint32_t)(p + 11 - h->text);
    dtype = sti_dtype_guess(p + 12);
    e->dtype = (unsigned char)dtype;
    p += 12 + sti_dtypes[e->dtype].length;
    if (dtype == ST_DTYPE_UNKNOWN || !STI_IS(p, "\",\"shape\":[")) return 0;
    e->shape_offset = (uint32_t)(p + 10 - h->text);
    p = sti_canonical_shape(p + 11, end, e);
    if (!p || end - p < STI_CANONICAL_LOOKAHEAD || !STI_IS(p, "],\"data_offsets\":[")) return 0;
    p = sti_canonical_offsets(h, p + 18, e);
    if (!p) return 0;
    h->json.at = p;
    h->begun = 1;
    h->tensors++;
    h->dimensions += e->rank;
    h->text_bytes += e->name_bytes + 1;
    return 1;
}
#endif

/* ---- whole header */

/* parses members until the next tensor. Sets *has_next to 1 and fills *e; or sets it to 0 at the end of the header. */
static st_status sti_header_next(sti_header *h, sti_entry *e, int *has_next) {
    sti_json *j = &h->json;
    sti_string key;
    st_status s;
#if STI_FAST64
    if (sti_parse_canonical_entry(h, e)) {
        *has_next = 1;
        return ST_OK;
    }
#endif
    for (;;) {
        s = h->begun ? sti_json_next(j, '{', has_next)
                     : sti_json_enter(j, '{', has_next,
                                      j->at == j->end ? STI_TEXT("the header length is 0: is the download finished?")
                                                      : STI_TEXT("the header is not a JSON object"));
        h->begun = 1;
        if (s != ST_OK) return s;
        if (!*has_next) {
            return sti_json_peek(j) < 0
                       ? ST_OK
                       : sti_json_fail(j, ST_ERR_JSON,
                                       sti_json_byte(j) ? STI_TEXT("unexpected text after the header's JSON object")
                                                        : STI_TEXT("NUL bytes after the header's JSON object: "
                                                                   "the header is padded with spaces only"));
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

/* copies the entry's unescaped name to *text, NUL-terminated, and advances *text */
static void sti_copy_name(sti_header *h, const sti_entry *e, char **text) {
    sti_string string;
#if STI_FAST64
    if (!e->escaped) {
        ST_MEMCPY(*text, h->text + e->key + 1, e->name_bytes);
        *text += e->name_bytes;
        *(*text)++ = 0;
        return;
    }
#endif
    h->json.at = h->text + e->key;
    (void)sti_string_read(h, &string, text);
}

static void sti_copy_shape(sti_header *h, const sti_entry *e, uint64_t *out) {
    sti_entry ignored;
#if STI_FAST64
    if (e->short_shape) {
        if (e->rank == 0) return;
        out[e->rank - 1] = e->shape_offset;
        out[0] = e->dtype_offset;
        return;
    }
#endif
    h->json.at = h->text + e->shape_offset;
    (void)sti_shape_read(h, &ignored, out);
}

/* validates the file's length and its first 8 bytes; sets *bytes to the header's length, which fits the file */
static st_status sti_header_measure(const unsigned char *first, uint64_t file_bytes, uint64_t limit, uint64_t *bytes,
                                    st_error *error) {
    if (file_bytes > INT64_MAX) { /* so that no sum of two offsets wraps */
        return sti_fail(error, ST_ERR_TOO_LARGE, STI_NO_OFFSET, INT64_MAX, file_bytes,
                        STI_TEXT("file of $a bytes exceeds the limit of $e"));
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

/* returns the largest header accepted under these options, which may be NULL */
static uint32_t sti_header_limit(const st_open_options *o) {
    const uint64_t limit = o && o->max_header ? o->max_header : STI_DEFAULT_LIMIT;
    return limit < STI_MAX_HEADER ? (uint32_t)limit : STI_MAX_HEADER;
}

static st_status sti_header_utf8(const unsigned char *text, size_t n, st_error *error) {
    size_t valid_bytes = sti_utf8_prefix(text, n);
    return valid_bytes == n ? ST_OK
                            : sti_fail(error, ST_ERR_UTF8, sti_add64_saturated(8, valid_bytes), 0, 0,
                                       STI_TEXT("invalid UTF-8 in the header"));
}

/* orders entries by data_offsets, then by position in the header */
static int sti_entry_less(const sti_entry *a, const sti_entry *b) {
    if (a->begin != b->begin) return a->begin < b->begin;
    if (a->end != b->end) return a->end < b->end;
    return a->key < b->key;
}

/* Validates one tensor: its data starts at *end, where the previous tensor's data ends, and has the size that shape and
 * dtype need. Advances *end. Callers pass entries in the order of sti_entry_less. */
static st_status sti_entry_check(const sti_header *h, const sti_entry *e, uint64_t *end) {
    st_error *error = h->json.error;
    uint64_t position = sti_add64_saturated(8, e->key), bits = 0;
    st_status s = ST_OK;
    if (e->begin != *end) {
        s = sti_fail(error, ST_ERR_OFFSETS, position, *end, e->begin,
                     STI_TEXT("data starts at offset $a, expected $e: tensors must not overlap or leave gaps"));
    } else if (e->end < e->begin) {
        s = sti_fail(error, ST_ERR_OFFSETS, position, e->begin, e->end,
                     STI_TEXT("data ends at offset $a, before its start at $e"));
    } else if (e->overflow || !sti_multiply64(e->elements, sti_dtypes[e->dtype].bits, &bits)) {
        s = sti_json_fail_at(&h->json, e->key, ST_ERR_OVERFLOW,
                             STI_TEXT("tensor too large: its size in bits does not fit 64 bits"));
    } else if (bits % 8) {
        s = sti_fail(error, ST_ERR_SUBBYTE, position, 0, bits,
                     STI_TEXT("the tensor's $a bits do not fill whole bytes"));
    } else if (e->dtype != ST_DTYPE_UNKNOWN && bits / 8 != e->end - e->begin) {
        s = sti_fail(error, ST_ERR_SIZE, position, bits / 8, e->end - e->begin,
                     STI_TEXT("shape and dtype need $e bytes, data_offsets give $a"));
    }
    if (s != ST_OK) return sti_header_name_subject(h, e->key, s);
    *end = e->end;
    return ST_OK;
}

/* checks that the file ends where the last tensor's data ends */
static st_status sti_length_check(const sti_header *h, uint64_t data_offset, uint64_t data_bytes, uint64_t file_bytes) {
    const uint64_t expected = sti_add64_saturated(data_offset, data_bytes);
    const int truncated = file_bytes < expected;
    if (file_bytes == expected || (!truncated && (h->flags & ST_OPEN_TRAILING))) return ST_OK;
    return sti_fail(h->json.error, truncated ? ST_ERR_TRUNCATED : ST_ERR_TRAILING, file_bytes, expected, file_bytes,
                    truncated ? STI_TEXT("file is truncated: $d of $e bytes are missing")
                              : STI_TEXT("$d extra bytes after the last tensor"));
}

static st_status sti_fail_duplicate_name(const sti_header *h, uint32_t key) {
    st_status s = sti_json_fail_at(&h->json, key, ST_ERR_DUPLICATE, STI_TEXT("duplicate tensor name"));
    return sti_header_name_subject(h, key, s);
}

/* ---- other file formats, recognized for better error messages */

#define STI_FORMAT_BYTES 256u /* of the file's beginning that sti_foreign_format examines */

static int sti_starts_with(sti_span s, const char *magic, size_t n) {
    return s.n >= n && ST_MEMCMP(s.at, magic, n) == 0;
}

static int sti_contains(sti_span s, sti_span word) {
    for (; s.n >= word.n; s = sti_drop_first(s, 1)) {
        if (ST_MEMCMP(s.at, word.at, word.n) == 0) return 1;
    }
    return 0;
}

#define STI_IS_ZIP STI_TEXT("this is a ZIP archive (perhaps a PyTorch checkpoint), not a safetensors file")

/* Returns what to say about a file whose first bytes are those of another format, or NULL. JSON text is another format
 * unless the file should be an index. */
STI_COLD static const char *sti_foreign_format(sti_span s, int is_index) {
    static const struct {
        const char *magic;
        size_t length;
        const char *sentence;
    } formats[] = {
        {"version https://git-lfs", 23, STI_TEXT("this is a Git LFS pointer, not the file itself: run git lfs pull")},
        {"GGUF", 4, STI_TEXT("this is a GGUF file, not a safetensors file")},
        {"\x93NUMPY", 6, STI_TEXT("this is a NumPy array file, not a safetensors file")},
        {"PK\3\4", 4, STI_IS_ZIP},
        {"PK\5\6", 4, STI_IS_ZIP},
        {"\x1f\x8b\x08", 3, STI_TEXT("this is a gzip file: decompress it first")}};
    const unsigned char *b = (const unsigned char *)s.at;
    size_t i;
    /* first: the low bytes of a valid header length may equal another format's magic */
    if (s.n > 8 && sti_load32(b + 4) == 0 && (b[8] == '{' || sti_is_blank(b[8]))) return NULL;
    for (i = 0; i < sizeof formats / sizeof *formats; i++) {
        if (sti_starts_with(s, formats[i].magic, formats[i].length)) return formats[i].sentence;
    }
    if (s.n > 2 && b[0] == 0x80 && b[1] >= 2 && b[1] <= 5 && b[2] != 0) {
        return STI_TEXT("this is a Python pickle (perhaps an old PyTorch checkpoint), not a safetensors file");
    }
    if (sti_starts_with(s, "\xEF\xBB\xBF", 3)) s = sti_drop_first(s, 3);
    while (s.n && sti_is_blank(*s.at)) s = sti_drop_first(s, 1);
    if (s.n > 1 && s.at[0] == '<' &&
        (s.at[1] == '!' || s.at[1] == '?' || (s.at[1] >= 'A' && s.at[1] <= 'Z') ||
         (s.at[1] >= 'a' && s.at[1] <= 'z'))) {
        return STI_TEXT("this is an HTML or XML page, not a safetensors file: check the download link");
    }
    if (is_index || s.n < 2 || s.at[0] != '{' || (s.at[1] != '"' && s.at[1] != '}' && !sti_is_blank(s.at[1]))) {
        return NULL;
    }
    return sti_contains(s, sti_span_of("\"weight_map\"")) || sti_contains(s, sti_span_of("\"total_size\""))
               ? STI_TEXT("this is a safetensors index (JSON), not a safetensors file: open it under a name that ends "
                          "in .json")
               : STI_TEXT("this is JSON text without the 8-byte header length of a safetensors file");
}

/* replaces the error of an invalid header if the file has another known format; returns the error's status */
STI_COLD static st_status sti_format_override(sti_span first, st_status status, st_error *error) {
    const char *sentence = sti_foreign_format(first, 0);
    return sentence ? sti_fail(error, ST_ERR_FORMAT, 0, 0, 0, sentence) : status;
}

/* ---- st_scan: the same parser; parses the header several times instead of keeping entries */

#define STI_SCAN_BATCH (sizeof((st_scan *)0)->state.places / sizeof(uint32_t))

/* Up to STI_SCAN_BATCH offsets in the header, sorted by compare. Each batch of items needs a pass over the header. */
typedef struct sti_batch {
    const sti_header *h;
    int (*compare)(const sti_header *h, uint32_t a, uint32_t b); /* -1, 0, 1 */
    uint32_t *offsets;
    uint32_t count;
} sti_batch;

/* returns how many offsets of the batch sort before or equal to this one */
static uint32_t sti_batch_upper_bound(const sti_batch *b, uint32_t offset) {
    uint32_t low = 0, high = b->count;
    while (low < high) {
        const uint32_t middle = low + (high - low) / 2;
        if ((b->compare)(b->h, offset, b->offsets[middle]) < 0) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    return low;
}

/* inserts an offset at index; a full batch drops its last offset */
static void sti_batch_add(sti_batch *b, uint32_t index, uint32_t offset) {
    if (index == STI_SCAN_BATCH) return;
    if (b->count < STI_SCAN_BATCH) b->count++;
    ST_MEMMOVE(b->offsets + index + 1, b->offsets + index, (b->count - 1 - index) * sizeof *b->offsets);
    b->offsets[index] = offset;
}

/* compares two strings by their unescaped bytes; a and b: offsets of their opening quotes */
STI_COLD static int sti_compare_strings(const sti_header *h, uint32_t a, uint32_t b) {
    sti_json x = h->json, y = h->json;
    x.at = h->text + a + 1;
    y.at = h->text + b + 1;
    for (;;) {
        unsigned char p[4], q[4];
        int c = *x.at - *y.at;
        if (c == 0 && *x.at != '"' && *x.at != '\\') {
            x.at++;
            y.at++;
            continue;
        }
        if (*x.at == '"' || *y.at == '"') return (*y.at == '"') - (*x.at == '"');
        if (*x.at == '\\' || *y.at == '\\') { /* no UTF-8 sequence is a prefix of another, so min(n, m) decides */
            const size_t n = sti_json_character(&x, 1, p), m = sti_json_character(&y, 1, q);
            c = ST_MEMCMP(p, q, n < m ? n : m);
        }
        if (c) return c < 0 ? -1 : 1;
    }
}

/* compares two tensors in the order of sti_entry_less; a and b: offsets of their data_offsets arrays */
STI_COLD static int sti_compare_offsets(const sti_header *h, uint32_t a, uint32_t b) {
    sti_json j = h->json;
    sti_entry x, y;
    j.at = h->text + a;
    (void)sti_offsets_read(&j, &x); /* cannot fail: parsed before */
    j.at = h->text + b;
    (void)sti_offsets_read(&j, &y);
    x.key = a;
    y.key = b;
    return a == b ? 0 : sti_entry_less(&x, &y) ? -1 : 1;
}

/* Returns the offset of the first duplicate key in an object that was parsed before; 0: none. Each pass sorts one batch
 * of keys and looks up all later keys in it. */
STI_COLD static uint32_t sti_find_duplicate_key(const sti_header *h, uint32_t object, uint32_t *offsets) {
    uint32_t found = UINT32_MAX, index;
    sti_json next = h->json, j;
    sti_batch b;
    sti_string string;
    int has_next, left;
    b.h = h;
    b.compare = sti_compare_strings;
    b.offsets = offsets;
    next.at = h->text + object;
    (void)sti_json_enter(&next, '{', &has_next, NULL); /* nothing here can fail: parsed before */
    while (has_next) {
        j = next;
        b.count = 0;
        for (left = has_next, has_next = 0; left;) {
            (void)sti_json_key(&j, &string);
            if (string.place >= found) break;
            index = sti_batch_upper_bound(&b, string.place);
            if (index && sti_compare_strings(h, b.offsets[index - 1], string.place) == 0) {
                found = string.place;
                break;
            }
            (void)sti_json_colon(&j), (void)sti_json_skip(&j, 1), (void)sti_json_next(&j, '{', &left);
            if (b.count == STI_SCAN_BATCH) continue;
            sti_batch_add(&b, index, string.place);
            if (b.count == STI_SCAN_BATCH) {
                next = j;
                has_next = left;
            }
        }
    }
    return found == UINT32_MAX ? 0 : found;
}

/* fails if two tensors or two metadata entries have the same name; reports the first duplicate in the header */
static st_status sti_scan_check_names(const sti_header *h, uint32_t *offsets) {
    sti_json root = h->json;
    uint32_t name, key = 0;
    root.at = h->text;
    (void)sti_json_peek(&root);
    name = sti_find_duplicate_key(h, sti_json_offset(&root), offsets);
    if (h->metadata) key = sti_find_duplicate_key(h, h->metadata, offsets);
    if (key && (!name || key < name)) name = key;
    return name ? sti_fail_duplicate_name(h, name) : ST_OK;
}

/* returns the error of the tensor with the data_offsets array at this offset; end: where the previous tensor ends */
STI_COLD static st_status sti_scan_report(const sti_header *h, uint32_t offset, uint64_t end) {
    sti_header walk;
    sti_entry e;
    int has_next;
    sti_header_init(&walk, h->text, (size_t)(h->json.end - h->text), h->flags, NULL);
    do (void)sti_header_next(&walk, &e, &has_next); /* cannot fail: parsed before */
    while (walk.array_offset != offset);
    return sti_entry_check(h, &e, &end);
}

/* Checks the tensors in the order of their data; needed only if the header has another order or an invalid tensor. bad:
 * from sti_scan_parse. Returns the array_offset of the first invalid tensor, and sets *end to where the previous one
 * ends; 0: all are valid, and *end is the end of the data. */
STI_COLD static uint32_t sti_scan_check_offsets(const sti_header *h, uint32_t bad, uint32_t *offsets, uint64_t *end) {
    uint32_t done, last = 0, i;
    sti_batch b;
    sti_entry e;
    int has_next;
    b.h = h;
    b.compare = sti_compare_offsets;
    b.offsets = offsets;
    for (done = 0; done < h->tensors; done += b.count) { /* one batch in the order of the data */
        sti_header walk;
        sti_header_init(&walk, h->text, (size_t)(h->json.end - h->text), h->flags, NULL);
        b.count = 0;
        for ((void)sti_header_next(&walk, &e, &has_next); has_next; (void)sti_header_next(&walk, &e, &has_next)) {
            if (done && sti_compare_offsets(h, walk.array_offset, last) <= 0) continue;
            sti_batch_add(&b, sti_batch_upper_bound(&b, walk.array_offset), walk.array_offset);
        }
        for (i = 0; i < b.count; i++) {
            last = b.offsets[i];
            walk.json.at = h->text + last;
            (void)sti_offsets_read(&walk.json, &e);
            if (e.begin != *end || last == bad) return last;
            *end = e.end;
        }
    }
    return 0;
}

/* Parses all members. Sets *bad to the array_offset of the first tensor, in the order of the data, that is invalid by
 * itself (0: none), and *end to the end of the data, or to UINT64_MAX if the tensors need sti_scan_check_offsets. */
STI_COLD static st_status sti_scan_parse(sti_header *h, uint32_t *bad, uint64_t *end) {
    st_error *const error = h->json.error;
    sti_entry e;
    int has_next;
    st_status s;
    *bad = 0;
    *end = 0;
    for (;;) {
        s = sti_header_next(h, &e, &has_next);
        if (s != ST_OK || !has_next) return s;
        h->json.error = NULL; /* reported later: duplicate names come first */
        if (e.begin != *end) *end = UINT64_MAX;
        if (sti_entry_check(h, &e, &e.begin) != ST_OK && (!*bad || sti_compare_offsets(h, h->array_offset, *bad) < 0)) {
            *bad = h->array_offset;
        }
        if (*end != UINT64_MAX) *end = *bad ? UINT64_MAX : e.end;
        h->json.error = error;
    }
}

/* validates everything after the header length; errors in the same order as st_open */
STI_COLD static st_status sti_scan_validate(st_scan *scan, uint64_t file_bytes, unsigned flags, st_error *error) {
    const size_t bytes = scan->state.header_bytes;
    sti_header h;
    uint64_t end = 0;
    uint32_t bad = 0;
    st_status s = sti_header_utf8(scan->state.file + 8, bytes, error);
    sti_header_init(&h, scan->state.file + 8, bytes, flags, error);
    h.scan = 1;
    if (s == ST_OK) s = sti_scan_parse(&h, &bad, &end);
    if (s == ST_OK) s = sti_scan_check_names(&h, scan->state.places);
    if (s == ST_OK && end == UINT64_MAX) {
        end = 0;
        bad = sti_scan_check_offsets(&h, bad, scan->state.places, &end);
        if (bad) s = sti_scan_report(&h, bad, end);
    }
    if (s == ST_OK) s = sti_length_check(&h, sti_add64_saturated(8, bytes), end, file_bytes);
    return s;
}

ST_API st_status st_scan_begin(st_scan *scan, const void *file, size_t available, uint64_t file_bytes,
                               const st_open_options *options, st_error *error) {
    uint64_t bytes = 0;
    unsigned flags = options ? options->flags : 0;
    sti_span head;
    st_status s;
    if (scan) ST_MEMSET(scan, 0, sizeof *scan);
    head = sti_span_from((const char *)file, available < STI_FORMAT_BYTES ? available : STI_FORMAT_BYTES);
    if (!scan || (!file && available) || (flags & ~(unsigned)STI_OPEN_FLAGS)) {
        s = sti_fail_plain(error, ST_ERR_ARGUMENT,
                           STI_TEXT("st_scan_begin: scan and file must not be NULL, flags must be known"));
    } else if (available < 8 && file_bytes >= 8) {
        s = sti_fail(error, ST_ERR_ARGUMENT, STI_NO_OFFSET, 8, available,
                     STI_TEXT("$a bytes given, but the header length alone takes $e"));
    } else {
        s = sti_header_measure((const unsigned char *)file, file_bytes, sti_header_limit(options), &bytes, error);
        if (s == ST_OK && available - 8 < bytes) {
            s = sti_fail(error, ST_ERR_ARGUMENT, STI_NO_OFFSET, sti_add64_saturated(8, bytes), available,
                         STI_TEXT("$a bytes given, but the header ends at byte $e"));
        } else if (s == ST_OK) {
            scan->state.file = (const unsigned char *)file;
            scan->state.available = available;
            scan->state.header_bytes = (size_t)bytes;
            s = sti_scan_validate(scan, file_bytes, flags & ST_OPEN_TRAILING, error);
        }
        if (s != ST_OK && s != ST_ERR_ARGUMENT && head.n) s = sti_format_override(head, s, error);
    }
    if (s != ST_OK) return sti_error_prepend_path(error, "(memory)", s);
    scan->state.more = 1;
    return sti_succeed(error);
}

ST_API int st_scan_next(st_scan *scan) {
    sti_header h;
    sti_entry e;
    sti_span name;
    st_tensor *t;
    if (!scan || !scan->state.more) return 0;
    sti_header_init(&h, scan->state.file + 8, scan->state.header_bytes, 0, NULL);
    h.json.at += scan->state.place;
    h.begun = scan->state.begun;
    (void)sti_header_next(&h, &e, &scan->state.more); /* cannot fail: st_scan_begin validated the header */
    scan->state.place = sti_json_offset(&h.json);
    scan->state.begun = 1;
    if (!scan->state.more) return 0;
    name = sti_header_string(&h, e.key);
    t = &scan->tensor;
    t->name = name.at;
    t->name_bytes = name.n;
    scan->name_escaped = e.escaped;
    t->dtype = (st_dtype)e.dtype;
    t->dtype_name = sti_dtypes[e.dtype].name;
    t->bytes = e.end - e.begin;
    t->elements = e.elements;
    t->offset = sti_add64_saturated(sti_add64_saturated(8, scan->state.header_bytes), e.begin);
    t->data = t->offset <= scan->state.available && t->bytes <= scan->state.available - t->offset
                  ? scan->state.file + t->offset
                  : NULL;
    sti_copy_shape(&h, &e, scan->shape); /* st_scan_begin checked that rank is at most 16 */
    t->shape = scan->shape;
    t->rank = e.rank;
    return 1;
}

ST_API int st_scan_is(const st_scan *scan, const char *name) {
    if (!scan || !scan->tensor.name || !name) return 0;
    return sti_json_equal(sti_span_from(scan->tensor.name, scan->tensor.name_bytes), scan->name_escaped,
                          sti_span_of(name), 0);
}

/* ---- 12 lookup ------------------------------------------------------------------------------------------------------
 * Finds tensors and metadata by name: a hash table with linear probing, or a sorted list if too many names collide.
 * Building the table also finds duplicate names.
 * uses: 5, 6, 11
 * ------------------------------------------------------------------------------------------------------------------ */
#define STI_ABSENT UINT32_MAX

#if STI_FAST64 && defined(__SIZEOF_INT128__) && !defined(__wasm__) /* whose products need a runtime library */
#define STI_INT128 1
__extension__ typedef unsigned __int128 sti_uint128;
#else
#define STI_INT128 0
#endif

typedef struct sti_name_table {
    const st_tensor *tensors; /* the items; NULL: the items are pairs */
    const st_pair *pairs;
    uint32_t *slots;      /* 0: free; else item + 1 and, above mask, bits of the hash. sorted: items in name order */
    uint64_t seed, seed2; /* of the hash */
    uint32_t count;       /* items; under 2^28, as a header has under 2^32 bytes */
    uint32_t capacity;    /* slots */
    uint32_t probe_limit; /* slots to search, starting with the home slot: O(log n) */
    uint32_t mask;        /* the bits of a slot that hold item + 1 */
    int sorted;
} sti_name_table;

/* The seed depends on the table's address, so that whoever writes a file cannot choose names that collide. */
#if !defined(STI_SEED) /* tests define a fixed one */
#define STI_SEED(table) ((uintptr_t)(table)->slots)
#endif

/* Words of a slot. A tensor's slot has a second word: the low half of its name's address, so that the processor fetches
 * name and tensor at the same time. The second word is only prefetched, never dereferenced. */
#define STI_SLOT_HAS_HINT(tensors) (STI_FAST64 && (tensors))
#define STI_SLOT_WORDS(tensors) (STI_SLOT_HAS_HINT(tensors) ? 2u : 1u)
#define STI_NAME_HINT(table, slot) (((uintptr_t)(table)->slots & ~(uintptr_t)UINT32_MAX) | (slot)[1])

/* returns the number of slots for count items; a third stays free */
static uint32_t sti_table_capacity(uint32_t count) {
    return count + count / 2; /* count is under 2^28 */
}

/* Returns an item's name. of_tensors, here and below: whether items are tensors; callers that know pass a constant. */
STI_INLINE sti_span sti_table_name_of(const sti_name_table *table, int of_tensors, uint32_t item) {
    if (of_tensors) return sti_span_from(table->tensors[item].name, table->tensors[item].name_bytes);
    return sti_span_from(table->pairs[item].key, table->pairs[item].key_bytes);
}

STI_INLINE sti_span sti_table_name(const sti_name_table *table, uint32_t item) {
    return sti_table_name_of(table, table->tensors != NULL, item);
}

/* Mixes two words: xors the halves of their 128-bit product. Without 128-bit integers, combines two 64-bit products;
 * the hashes then differ, but tables never leave the process. */
STI_INLINE uint64_t sti_hash_fold(uint64_t a, uint64_t b) {
#if STI_INT128
    const sti_uint128 product = (sti_uint128)a * b;
    return (uint64_t)product ^ (uint64_t)(product >> 64);
#else
    const uint64_t p = (uint64_t)(uint32_t)a * (uint32_t)(b >> 32), q = (uint64_t)(uint32_t)(a >> 32) * (uint32_t)b;
    return p ^ (q << 32 | q >> 32);
#endif
}

static void sti_table_seed(sti_name_table *table, uint64_t secret) {
    table->seed = sti_hash_fold(secret ^ 0x9E3779B97F4A7C15u, 0xC2B2AE3D27D4EB4Fu);
    table->seed2 = table->seed << 32 | table->seed >> 32;
}

/* loads the last 16 bytes into two words; a shorter text is determined by its length and the two words */
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

/* Hashes blocks of 16 bytes, of which the last may overlap the one before it. The products do not depend on each other,
 * and names of similar length take the same branches. */
STI_INLINE uint64_t sti_hash(const sti_name_table *table, sti_span s) {
    uint64_t h = s.n, a, b;
    const char *p, *last = s.at + (s.n > 16 ? s.n - 16 : 0);
    sti_last_words(s, &a, &b);
    for (p = s.at; p < last; p += 16) {
        h = (h << 27 | h >> 37) ^ sti_hash_fold(sti_load64(p) ^ table->seed, sti_load64(p + 8) ^ table->seed2);
    }
    h = (h << 27 | h >> 37) ^ sti_hash_fold(a ^ table->seed, b ^ table->seed2);
    return sti_hash_fold(h, 0x9E3779B97F4A7C15u);
}

/* returns the number of a hash's home slot; uses the upper half of the hash, as slots keep bits of the lower half */
STI_INLINE uint32_t sti_table_home(const sti_name_table *table, uint64_t hash) {
    return (uint32_t)((hash >> 32) * table->capacity >> 32);
}

STI_INLINE uint32_t *sti_table_home_slot(const sti_name_table *table, int of_tensors, uint64_t hash) {
    return table->slots + sti_table_home(table, hash) * STI_SLOT_WORDS(of_tensors);
}

/* compares by bytes; a prefix sorts first. Returns a negative number, 0, or a positive number. */
static int sti_compare_spans(sti_span a, sti_span b) {
    int c = ST_MEMCMP(a.at, b.at, a.n < b.n ? a.n : b.n);
    return c ? c : a.n < b.n ? -1 : a.n > b.n;
}

/* returns whether item a sorts before item b */
typedef int sti_less_fn(const void *context, const void *a, const void *b);

typedef struct sti_sorting {
    unsigned char *items;
    size_t size; /* of an item: at most 64 bytes */
    sti_less_fn *less;
    const void *context;
} sti_sorting;

STI_NOINLINE static void sti_swap(const sti_sorting *o, size_t a, size_t b) {
    unsigned char item[64], *x = o->items + a * o->size, *y = o->items + b * o->size;
    ST_MEMCPY(item, x, o->size);
    ST_MEMMOVE(x, y, o->size);
    ST_MEMCPY(y, item, o->size);
}

static int sti_item_less(const sti_sorting *o, size_t a, size_t b) {
    return (o->less)(o->context, o->items + a * o->size, o->items + b * o->size);
}

static void sti_sift_down(const sti_sorting *o, size_t root, size_t n) {
    while (root < n / 2) { /* root has a child: 2 * root + 1 < n, so nothing below overflows */
        size_t child = 2 * root + 1;
        if (child + 1 < n && sti_item_less(o, child, child + 1)) child++;
        if (!sti_item_less(o, root, child)) return;
        sti_swap(o, root, child);
        root = child;
    }
}

/* sorts n items with heap sort: no memory, and O(n log n) for any input */
static void sti_sort(void *items, size_t n, size_t size, sti_less_fn *less, const void *context) {
    sti_sorting o;
    size_t root;
    o.items = (unsigned char *)items;
    o.size = size;
    o.less = less;
    o.context = context;
    for (root = n / 2; n > 1;) {
        if (root > 0) {
            root--; /* build the heap */
        } else {
            sti_swap(&o, 0, --n); /* move the largest item behind the heap */
        }
        sti_sift_down(&o, root, n);
    }
}

/* orders items by name, then by number */
static int sti_name_less(const void *context, const void *a, const void *b) {
    const uint32_t i = *(const uint32_t *)a, k = *(const uint32_t *)b;
    const sti_name_table *table = (const sti_name_table *)context;
    const int c = sti_compare_spans(sti_table_name(table, i), sti_table_name(table, k));
    return c ? c < 0 : i < k;
}

/* returns a sort key: the position of the item's name in the header, or the item where items are in header order */
static uint32_t sti_header_order(const sti_entry *entries, uint32_t item) {
    return entries ? entries[item].key : item;
}

/* Called for two items with the same name: returns the one that comes first in the header, and sets *duplicate to the
 * other one if that comes before the duplicates found so far. */
static uint32_t sti_table_note_duplicate(const sti_entry *entries, uint32_t a, uint32_t b, uint32_t *duplicate) {
    uint32_t later = sti_header_order(entries, a) < sti_header_order(entries, b) ? b : a;
    if (*duplicate == STI_ABSENT || sti_header_order(entries, later) < sti_header_order(entries, *duplicate))
        *duplicate = later;
    return later == a ? b : a;
}

/* turns a table whose names collide into a list of items sorted by name */
STI_COLD static void sti_table_sort(sti_name_table *table, const sti_entry *entries, uint32_t *duplicate) {
    uint32_t i, kept;
    table->sorted = 1;
    for (i = 0; i < table->count; i++) table->slots[i] = i;
    sti_sort(table->slots, table->count, sizeof *table->slots, sti_name_less, table);
    for (i = 1, kept = table->slots[0]; i < table->count; i++) { /* count is not 0: names collided */
        if (sti_span_equal(sti_table_name(table, kept), sti_table_name(table, table->slots[i]))) {
            kept = sti_table_note_duplicate(entries, kept, table->slots[i], duplicate);
        } else {
            kept = table->slots[i];
        }
    }
}

/* the same as sti_span_equal, faster for names of typical length */
STI_INLINE int sti_same_name(sti_span s, sti_span t) {
    const char *last = s.at + (s.n > 16 ? s.n - 16 : 0);
    uint64_t a, b, c, d;
    if (!STI_FAST64) return sti_span_equal(s, t);
    if (s.n != t.n) return 0;
    sti_last_words(s, &a, &b);
    sti_last_words(t, &c, &d);
    a = (a ^ c) | (b ^ d);
    for (; s.at < last; s.at += 16, t.at += 16) {
        a |= (sti_load64(s.at) ^ sti_load64(t.at)) | (sti_load64(s.at + 8) ^ sti_load64(t.at + 8));
    }
    return a == 0;
}

/* Returns the slot of the item with this name, or the free slot where the item belongs. NULL: probe_limit slots have
 * neither, because names were chosen to collide or no slot is free. */
STI_INLINE uint32_t *sti_table_probe(const sti_name_table *table, int of_tensors, sti_span name, uint64_t hash) {
    const uint32_t words = STI_SLOT_WORDS(of_tensors);
    uint32_t *slot = sti_table_home_slot(table, of_tensors, hash), *const end = table->slots + table->capacity * words,
             left;
    for (left = table->probe_limit; left > 0; left--) {
        if (*slot == 0) return slot;
        if ((*slot ^ (uint32_t)hash) <= table->mask) {
            if (STI_SLOT_HAS_HINT(of_tensors)) STI_PREFETCH(STI_NAME_HINT(table, slot));
            if (sti_same_name(sti_table_name_of(table, of_tensors, (*slot & table->mask) - 1), name)) return slot;
        }
        slot += words;
        if (slot == end) slot = table->slots;
    }
    return NULL;
}

#define STI_FIND_BATCH (STI_FAST64 ? 16u : 1u) /* names that are hashed and prefetched together */

/* hashes the names of up to STI_FIND_BATCH items, starting with item, and prefetches their home slots */
STI_INLINE void sti_table_hash_batch(const sti_name_table *table, uint32_t item, uint64_t hashes[STI_FIND_BATCH]) {
    const uint32_t n = table->count - item < STI_FIND_BATCH ? table->count - item : STI_FIND_BATCH;
    uint32_t i;
    for (i = 0; i < n; i++) {
        hashes[i] = sti_hash(table, sti_table_name(table, item + i));
        STI_PREFETCH(sti_table_home_slot(table, table->tensors != NULL, hashes[i]));
    }
}

/* Fills table->slots; the caller has set slots, count, and tensors or pairs. entries: of the tensors, in their order;
 * NULL: the items are in header order. Returns the first item in the header with a duplicate name, or STI_ABSENT. */
STI_NOINLINE static uint32_t sti_table_build(sti_name_table *table, const sti_entry *entries) {
    uint32_t duplicate = STI_ABSENT, item;
    uint64_t hashes[STI_FIND_BATCH];
    table->sorted = 0; /* the table may be built again */
    sti_table_seed(table, STI_SEED(table));
    table->capacity = sti_table_capacity(table->count);
    table->mask = 1;
    for (table->probe_limit = 32; table->mask < table->count; table->probe_limit += 32)
        table->mask = 2 * table->mask + 1; /* count is under 2^28 */
    if (table->probe_limit > table->capacity) table->probe_limit = table->capacity;
    /* cannot overflow: slots was allocated with this size */
    ST_MEMSET(table->slots, 0, table->capacity * STI_SLOT_WORDS(table->tensors) * sizeof *table->slots);
    for (item = 0; item < table->count; item++) {
        uint32_t first = item, *slot;
        uint64_t hash;
        if (item % STI_FIND_BATCH == 0) sti_table_hash_batch(table, item, hashes);
        hash = hashes[item % STI_FIND_BATCH];
        slot = sti_table_home_slot(table, table->tensors != NULL, hash);
        if (*slot) {
            slot = sti_table_probe(table, table->tensors != NULL, sti_table_name(table, item), hash);
            if (!slot) {
                duplicate = STI_ABSENT;
                sti_table_sort(table, entries, &duplicate);
                return duplicate;
            }
            if (*slot) first = sti_table_note_duplicate(entries, (*slot & table->mask) - 1, item, &duplicate);
        }
        *slot = ((uint32_t)hash & ~table->mask) | (first + 1);
        if (STI_SLOT_HAS_HINT(table->tensors)) slot[1] = (uint32_t)((uintptr_t)table->tensors[item].name & UINT32_MAX);
    }
    return duplicate;
}

STI_COLD static uint32_t sti_table_search(const sti_name_table *table, sti_span name) {
    uint32_t low = 0, high = table->count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        int c = sti_compare_spans(name, sti_table_name(table, table->slots[middle]));
        if (c == 0) return table->slots[middle];
        if (c < 0) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    return STI_ABSENT;
}

/* returns the item with this name, whose hash is given, or STI_ABSENT */
STI_INLINE uint32_t sti_table_find_hashed(const sti_name_table *table, int of_tensors, sti_span name, uint64_t hash) {
    const uint32_t *slot;
    if (table->sorted) return sti_table_search(table, name);
    slot = sti_table_probe(table, of_tensors, name, hash);
    return slot && *slot ? (*slot & table->mask) - 1 : STI_ABSENT;
}

/* returns the pair with this name, or STI_ABSENT */
STI_COLD static uint32_t sti_table_find(const sti_name_table *table, sti_span name) {
    return sti_table_find_hashed(table, 0, name, sti_hash(table, name));
}

/* Finds up to STI_FIND_BATCH tensors. Does each step for all names before the next step, so that their cache misses
 * overlap. Prefetches what the home slot points to, which usually is the right item. */
static void sti_table_find_many(const sti_name_table *table, const sti_span *names, uint32_t count, uint32_t *items) {
    uint64_t hashes[STI_FIND_BATCH];
    uint32_t i;
    for (i = 0; i < count; i++) {
        hashes[i] = sti_hash(table, names[i]);
        STI_PREFETCH(sti_table_home_slot(table, 1, hashes[i]));
    }
    for (i = 0; STI_SLOT_HAS_HINT(1) && i < count && !table->sorted && table->count; i++) {
        const uint32_t *slot = sti_table_home_slot(table, 1, hashes[i]);
        uint32_t item;
        if (*slot == 0) continue;
        item = (*slot & table->mask) - 1;
        STI_PREFETCH(&table->tensors[item].name);
        STI_PREFETCH(&table->tensors[item].name_bytes);
        STI_PREFETCH(STI_NAME_HINT(table, slot));
        STI_PREFETCH(STI_NAME_HINT(table, slot) + names[i].n);
    }
    for (i = 0; i < count; i++) items[i] = sti_table_find_hashed(table, 1, names[i], hashes[i]);
}

static int sti_offset_less(const void *context, const void *a, const void *b) {
    (void)context;
    return sti_entry_less((const sti_entry *)a, (const sti_entry *)b);
}

/* ---- 13 system ------------------------------------------------------------------------------------------------------
 * The default st_files, for POSIX and for Windows. Both parts define the same functions; no other room names a system.
 * Functions return 0, an ST_IO_* or STI_IO_* code, or the error code of the system (errno, GetLastError).
 * uses: 5, 6, 11
 * ------------------------------------------------------------------------------------------------------------------ */
#define STI_TRANSFER_BYTES 0x40000000u /* per system call: some systems refuse requests of 2 GiB and more */

/* Returns 1 if both handles refer to the same, unchanged file. Without an identity only the sizes are compared. */
static int sti_is_same_file(const st_io *a, const st_io *b) {
    if (a->bytes != b->bytes) return 0;
    if ((a->id[0] | a->id[1]) == 0 || (b->id[0] | b->id[1]) == 0) return 1;
    return a->id[0] == b->id[0] && a->id[1] == b->id[1];
}

/* Returns the length of the directory part of a path, including its last separator. */
static size_t sti_system_directory_length(const char *path) {
    size_t i, n = 0;
    for (i = 0; path[i]; i++) {
        if ((STI_OS_WINDOWS && (path[i] == '\\' || (path[i] == ':' && i == 1))) || path[i] == '/') n = i + 1;
    }
    return n;
}

#if !defined(ST_NO_FILES) && !defined(ST_NO_WRITER)
#define STI_TEMP_BYTES 48u /* a temporary file's name needs at most this many bytes after its directory */

typedef struct sti_target { /* a file being written */
    void *handle;
    unsigned mode; /* POSIX: the final permissions */
    int open;
    int named;  /* 1 once the file has its final name: at once if it is written without a temporary file */
    int stream; /* a FIFO or a character device */
} sti_target;

/* How sti_system_create writes to a path: through a temporary file; the same, but to a stream without; or always
 * without, from the first byte to the last. */
enum sti_way { STI_REPLACE, STI_REPLACE_OR_STREAM, STI_DIRECT };
#endif

#if STI_OS_POSIX

/* Returns the length of an environment variable, 0 if unset. Copies the value and its NUL to out if they fit. */
STI_COLD static size_t sti_system_getenv(const char *name, char *out, size_t out_bytes) {
    const char *value = getenv(name);
    const size_t n = value ? sti_span_of(value).n : 0;
    if (n && n < out_bytes) ST_MEMCPY(out, value, n + 1);
    return n;
}

#define STI_HOME_VARIABLE "HOME"

/* Translates errno to the code of an operation that names a file. */
static int sti_system_code(int error) {
    return error == ENOENT || error == ENOTDIR ? ST_IO_NOT_FOUND : error;
}

static int sti_system_read(void *user, uint64_t offset, void *dst, size_t n) {
    const int fd = (int)(intptr_t)user;
    unsigned char *out = (unsigned char *)dst;
    while (n) { /* offset is inside the file, so it fits off_t */
        ssize_t got = pread(fd, out, n < STI_TRANSFER_BYTES ? n : STI_TRANSFER_BYTES, (off_t)offset);
        if (got == 0) return ST_IO_ENDED;
        if (got < 0 && errno != EINTR) return errno;
        if (got < 0) continue;
        out += got;
        n -= (size_t)got;
        offset = sti_add64_saturated(offset, (uint64_t)got);
    }
    return 0;
}

/* Sets the size and the identity of *file: inode and device, modification time. */
static void sti_system_identify(const struct stat *info, st_io *file) {
    file->bytes = (uint64_t)info->st_size;
    file->id[0] = (uint64_t)info->st_ino ^ (uint64_t)info->st_dev << 40;
#if defined(__APPLE__)
    file->id[1] = (uint64_t)info->st_mtimespec.tv_sec << 30 ^ (uint64_t)info->st_mtimespec.tv_nsec;
#else
    file->id[1] = (uint64_t)info->st_mtim.tv_sec << 30 ^ (uint64_t)info->st_mtim.tv_nsec;
#endif
}

static int sti_system_open(void *user, const char *path, st_io *file) {
    struct stat info;
    int fd, code = 0;
    (void)user;
    do { /* O_NONBLOCK: opening a FIFO would wait for a writer */
        fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
    } while (fd < 0 && errno == EINTR);
    if (fd < 0) {
        code = sti_system_code(errno);
        return code == ST_IO_NOT_FOUND && lstat(path, &info) == 0 && S_ISLNK(info.st_mode) ? STI_IO_DANGLING : code;
    }
    if (fstat(fd, &info) != 0) {
        code = errno;
    } else if (!S_ISREG(info.st_mode)) {
        code = S_ISDIR(info.st_mode) ? ST_IO_NOT_FOUND : ST_IO_NOT_A_FILE;
    }
    if (code) {
        (void)close(fd);
        return code;
    }
    file->user = (void *)(intptr_t)fd;
    file->read_at = sti_system_read;
    sti_system_identify(&info, file);
    return 0;
}

static int sti_system_is_out_of_files(int code) {
    return code == EMFILE || code == ENFILE;
}

#if !defined(ST_NO_MMAP)
STI_COLD static int sti_system_map(st_io *file) {
    /* the caller has checked that file->bytes fits size_t */
    void *mapping = mmap(NULL, (size_t)file->bytes, PROT_READ, MAP_PRIVATE, (int)(intptr_t)file->user, 0);
    if (mapping == MAP_FAILED) return errno;
    file->mapped = mapping;
    return 0;
}
#endif

/* Closes the file handle and keeps the mapping. */
static void sti_system_close_handle(st_io *file) {
    if ((int)(intptr_t)file->user >= 0) (void)close((int)(intptr_t)file->user);
    file->user = (void *)(intptr_t)-1;
}

static void sti_system_close(void *user, st_io *file) {
    (void)user;
#if !defined(ST_NO_MMAP)
    if (file->mapped) (void)munmap((void *)(uintptr_t)file->mapped, (size_t)file->bytes);
#endif
    sti_system_close_handle(file);
}

STI_COLD static int sti_system_list(void *user, const char *directory, int (*visit)(void *arg, const char *name),
                                    void *arg) {
    DIR *d = opendir(directory);
    int stop = 0;
    (void)user;
    if (!d) return sti_system_code(errno);
    while (!stop) {
        const struct dirent *entry;
        const char *name;
        errno = 0; /* readdir returns NULL both at the end and on failure */
        entry = readdir(d);
        if (!entry) {
            stop = errno;
            break;
        }
        name = entry->d_name;
        if (name[0] != '.' || (name[1] && (name[1] != '.' || name[2]))) stop = visit(arg, name); /* not . and .. */
    }
    (void)closedir(d);
    return stop;
}

/* Returns 1 if the mapped page at `offset` is known not to be in memory. */
static int sti_system_is_uncached(const st_io *file, uint64_t offset) {
#if defined(__linux__) && !defined(ST_NO_MMAP)
    const uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
    unsigned char resident = 1;
    const char *mapped = (const char *)file->mapped;
    return mapped && mincore((void *)(uintptr_t)(mapped + offset / page * page), 1, &resident) == 0 && !(resident & 1);
#else
    (void)file, (void)offset;
    return 0;
#endif
}

#define STI_PREFETCH_BYTES 131072u /* Linux cuts larger requests at the read-ahead of the device: often this much */

STI_COLD static void sti_system_advise(const st_io *file, uint64_t offset, uint64_t bytes, st_advice advice) {
    const int done = advice == ST_ADVISE_DONE;
    const uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
    uint64_t first = offset / page * page, end = sti_add64_saturated(offset, bytes), n;
    if (done) { /* whole pages only: neighbours share the first and the last page */
        first = sti_add64_saturated(offset, page - 1) / page * page;
        end = end < file->bytes ? end / page * page : end;
    }
    for (; first < end; first += n) {
        n = done || end - first < STI_PREFETCH_BYTES ? end - first : STI_PREFETCH_BYTES;
#if !defined(ST_NO_MMAP)
        if (file->mapped) {
            const char *address = (const char *)file->mapped + first;
            (void)madvise((void *)(uintptr_t)address, (size_t)n, done ? MADV_DONTNEED : MADV_WILLNEED);
            if (!done) continue;
        }
#endif
#if defined(POSIX_FADV_WILLNEED)
        if ((int)(intptr_t)file->user >= 0) {
            (void)posix_fadvise((int)(intptr_t)file->user, (off_t)first, (off_t)n,
                                done ? POSIX_FADV_DONTNEED : POSIX_FADV_WILLNEED);
        }
#endif
    }
}

#if !defined(ST_NO_WRITER)

/* Returns 1 for the codes with which a file system refuses a call that it lacks. */
static int sti_system_is_lacking(int code) {
    return code == EPERM || code == EINVAL || code == ENOSYS || code == ENOTSUP || code == EOPNOTSUPP;
}

/* Returns 1 for the codes with which open refuses a symbolic link for O_NOFOLLOW. */
static int sti_system_is_link_code(int code) {
#if defined(EFTYPE)
    if (code == EFTYPE) return 1; /* NetBSD */
#endif
    return code == ELOOP || code == EMLINK; /* EMLINK: FreeBSD */
}

#if defined(__wasi__) /* without processes, owners and permissions */

static unsigned long sti_system_process_id(void) {
    return 1;
}

static void sti_system_permit(int fd, mode_t mode) {
    (void)fd, (void)mode;
}

static unsigned sti_system_inherit(int fd, const struct stat *old, const struct stat *info) {
    (void)fd, (void)old, (void)info;
    return 0;
}

#else

static unsigned long sti_system_process_id(void) {
    return (unsigned long)getpid();
}

/* Sets the permissions of an open file. A failure is no error: some file systems have none. */
STI_COLD static void sti_system_permit(int fd, mode_t mode) {
    while (fchmod(fd, mode) != 0 && errno == EINTR) {}
}

/* Gives the new file `info` the owner and the group of the file that it replaces, where this process may, and returns
 * the permissions that it gets. They are those of the old file without setuid, setgid and sticky bits; if the owner
 * cannot stay, also without write permission for group and others; if the group cannot stay, the new group gets no
 * more than others. */
STI_COLD static unsigned sti_system_inherit(int fd, const struct stat *old, const struct stat *info) {
    unsigned mode = (unsigned)old->st_mode & 0777;
    if (old->st_uid == info->st_uid && old->st_gid == info->st_gid) return mode;
    if (fchown(fd, old->st_uid, old->st_gid) == 0) return mode;
    if (old->st_uid != info->st_uid) mode &= 0755;
    if (fchown(fd, (uid_t)-1, old->st_gid) != 0) mode &= 0707 | (mode & 7) << 3;
    return mode;
}

#endif

/* Describes the regular file or the stream at path. st_mode 0: nothing is there, or a symbolic link to a regular file
 * or to nothing, which a save replaces. Anything else is refused, and so are the system's links to open files, such as
 * /dev/stdout. */
STI_COLD static int sti_system_look(const char *path, struct stat *old) {
    const sti_span s = sti_span_of(path);
    int is_link = 0, code = lstat(path, old) == 0 ? 0 : errno == ENOENT ? ENOENT : sti_system_code(errno);
    if (!code && S_ISLNK(old->st_mode)) {
        is_link = 1;
        code = stat(path, old) == 0 ? 0 : sti_system_code(errno) == ST_IO_NOT_FOUND ? ENOENT : errno;
    }
    if (code && code != ENOENT) return code;
    if (code || (is_link && S_ISREG(old->st_mode))) {
        ST_MEMSET(old, 0, sizeof *old);
        return !code && (sti_starts_with(s, "/dev/fd/", 8) || sti_starts_with(s, "/dev/std", 8) ||
                         sti_starts_with(s, "/proc/", 6))
                   ? ST_IO_NOT_A_FILE
                   : 0;
    }
    if (S_ISDIR(old->st_mode)) return EISDIR;
    return S_ISREG(old->st_mode) || S_ISFIFO(old->st_mode) || S_ISCHR(old->st_mode) ? 0 : ST_IO_NOT_A_FILE;
}

/* Opens path itself: a stream, or, with ST_SAVE_DIRECT, a regular file, which is emptied or created. Opening a FIFO
 * waits for its reader. */
STI_COLD static int sti_system_open_direct(const char *path, const struct stat *old, sti_target *t) {
    struct stat info;
    int fd, code = 0;
    t->stream = old->st_mode != 0 && !S_ISREG(old->st_mode);
    if (!t->stream && old->st_nlink > 1) return STI_IO_LINKED;
    do {
        fd = open(path, O_WRONLY | O_CLOEXEC | O_NOCTTY | (t->stream ? 0 : O_CREAT | O_TRUNC | O_NOFOLLOW), 0666);
    } while (fd < 0 && errno == EINTR);
    if (fd < 0) return sti_system_is_link_code(errno) ? STI_IO_LINKED : sti_system_code(errno);
    if (fstat(fd, &info) != 0) {
        code = errno;
    } else if (t->stream ? !S_ISFIFO(info.st_mode) && !S_ISCHR(info.st_mode) : !S_ISREG(info.st_mode)) {
        code = STI_IO_CHANGED;
    }
    t->handle = (void *)(intptr_t)fd;
    t->open = t->named = 1;
    return code;
}

/* Creates the file temp, which will replace path, or opens path itself, and sets t->named then. Fails with
 * STI_IO_EXISTS if temp exists, and with STI_IO_LINKED if path must be written in place and is a link or has several
 * names. After an error t may be open. */
STI_COLD static int sti_system_create(const char *path, const char *temp, enum sti_way way, sti_target *t) {
    struct stat old, info;
    int fd, code = sti_system_look(path, &old);
    if (code) return code;
    if (way == STI_DIRECT || (old.st_mode && !S_ISREG(old.st_mode))) {
        return way == STI_REPLACE ? ST_IO_NOT_A_FILE : sti_system_open_direct(path, &old, t);
    }
    do { /* private until complete; a file that replaces nothing takes its final mode from the umask, through 0666 */
        fd = open(temp, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, old.st_mode ? 0600 : 0666);
    } while (fd < 0 && errno == EINTR);
    if (fd < 0) return errno == EEXIST ? STI_IO_EXISTS : sti_system_code(errno);
    t->handle = (void *)(intptr_t)fd;
    t->open = 1;
    if (fstat(fd, &info) != 0) return errno;
    sti_system_permit(fd, 0600);
    t->mode = old.st_mode ? sti_system_inherit(fd, &old, &info) : (unsigned)info.st_mode & 0777;
    return 0;
}

/* Allocates disk space so that a full disk fails before the first write. A file system without support is no error. */
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

/* Writes n bytes at an offset, or, to a target without a temporary file, at its end. */
STI_NOINLINE static int sti_system_write(const sti_target *t, uint64_t offset, const void *src, size_t n) {
    const int fd = (int)(intptr_t)t->handle;
    const unsigned char *in = (const unsigned char *)src;
    while (n) {
        const size_t most = n < STI_TRANSFER_BYTES ? n : STI_TRANSFER_BYTES;
        ssize_t written = t->named ? write(fd, in, most) : pwrite(fd, in, most, (off_t)offset);
        if (written == 0) return EIO;
        if (written < 0 && errno != EINTR) return errno;
        if (written < 0) continue;
        in += written;
        n -= (size_t)written;
        offset = sti_add64_saturated(offset, (uint64_t)written);
    }
    return 0;
}

/* Flushes a file or a directory to the device. On macOS fsync reaches only the cache of the drive. F_FULLFSYNC reaches
 * the medium, but SMB answers ENOTSUP, WebDAV and FUSE EINVAL or ENOTTY: fsync is their flush. */
STI_COLD static int sti_system_flush(int fd) {
    int failed;
    do {
#if defined(F_FULLFSYNC)
        failed = fcntl(fd, F_FULLFSYNC) != 0;
        if (failed && (errno == ENOTTY || sti_system_is_lacking(errno))) failed = fsync(fd) != 0;
#else
        failed = fsync(fd) != 0;
#endif
    } while (failed && errno == EINTR);
    return failed ? errno : 0;
}

STI_COLD static int sti_system_close_target(sti_target *t) {
    t->open = 0;
    return close((int)(intptr_t)t->handle) == 0 || errno == EINTR ? 0 : errno; /* EINTR: closed anyway */
}

/* Sets the final permissions of a temporary file. */
static void sti_system_publish(const sti_target *t) {
    if (!t->named) sti_system_permit((int)(intptr_t)t->handle, (mode_t)t->mode);
}

/* Flushes the file to the device. With ST_SAVE_DIRECT a file system may lack this. */
static int sti_system_sync(const sti_target *t) {
    const int code = sti_system_flush((int)(intptr_t)t->handle);
    return t->named && sti_system_is_lacking(code) ? 0 : code;
}

/* Moves temp to path and atomically replaces a file that exists there. */
STI_COLD static int sti_system_rename(const char *temp, const char *path, int sync) {
    (void)sync;
    return rename(temp, path) == 0 ? 0 : errno;
}

static const char *sti_system_rename_sentence(int code, const char *otherwise) {
    (void)code;
    return otherwise;
}

static int sti_system_unlink(const char *path) {
    return unlink(path) == 0 ? 0 : sti_system_code(errno);
}

/* Flushes the directory of temp, so that a new name survives a crash. Overwrites temp. */
STI_COLD static int sti_system_sync_directory(char *temp) {
    size_t n = sti_system_directory_length(temp);
    int fd, code = 0;
    if (n == 0) temp[n++] = '.';
    temp[n] = 0;
    fd = open(temp, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) return errno == EACCES ? 0 : errno; /* a directory may be writable, but not readable */
    code = sti_system_flush(fd);
    (void)close(fd);
    return sti_system_is_lacking(code) || code == EBADF ? 0 : code; /* EBADF: systems that flush no directory */
}

/* Opens an existing file for writing. Fails with STI_IO_LINKED for a symbolic link or a file with several hard links,
 * and with STI_IO_CHANGED unless the file is the one that was validated. */
static int sti_system_open_in_place(const char *path, const st_io *validated, sti_target *t) {
    struct stat info;
    st_io opened;
    int fd = open(path, O_WRONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC | O_NOCTTY), code = 0;
    if (fd < 0) return sti_system_is_link_code(errno) ? STI_IO_LINKED : sti_system_code(errno);
    if (fstat(fd, &info) != 0) {
        code = errno;
    } else {
        sti_system_identify(&info, &opened);
        code = !sti_is_same_file(&opened, validated) ? STI_IO_CHANGED : info.st_nlink > 1 ? STI_IO_LINKED : 0;
    }
    t->handle = (void *)(intptr_t)fd;
    t->open = 1;
    if (code) (void)sti_system_close_target(t);
    return code;
}

#endif

#elif STI_OS_WINDOWS

#define STI_SHORT_PATH 248u  /* units of a path that CreateFileW takes without a prefix, also for a directory */
#define STI_LONG_PATH 32768u /* units of a path that it takes with the prefix \\?\ */

/* As on POSIX; name is ASCII, and its case is ignored. */
STI_COLD static size_t sti_system_getenv(const char *name, char *out, size_t out_bytes) {
    wchar_t *block = GetEnvironmentStringsW(), *entry;
    size_t i, n = 0;
    if (!block) return 0;
    for (entry = block; *entry; entry++) {
        for (i = 0; name[i] && (entry[i] == (wchar_t)name[i] || (entry[i] | 32) == (wchar_t)(name[i] | 32)); i++) {}
        if (!name[i] && entry[i] == L'=') {
            const int value_bytes = WideCharToMultiByte(CP_UTF8, 0, entry + i + 1, -1, NULL, 0, NULL, NULL);
            n = value_bytes > 1 ? (size_t)value_bytes - 1 : 0;
            if (n < out_bytes) (void)WideCharToMultiByte(CP_UTF8, 0, entry + i + 1, -1, out, value_bytes, NULL, NULL);
            break;
        }
        while (*entry) entry++;
    }
    (void)FreeEnvironmentStringsW(block);
    return n;
}

#define STI_HOME_VARIABLE "USERPROFILE"

static int sti_system_code(DWORD error) {
    return error == ERROR_FILE_NOT_FOUND || error == ERROR_PATH_NOT_FOUND || error == ERROR_INVALID_NAME ||
                   error == ERROR_DIRECTORY
               ? ST_IO_NOT_FOUND
               : (int)error;
}

typedef struct sti_wide_path { /* a path in UTF-16; the buffers have space to append a search pattern */
    wchar_t *text, *heap;      /* heap: NULL for a short path */
    wchar_t short_path[STI_SHORT_PATH + 4];
} sti_wide_path;

static void sti_wide_path_free(sti_wide_path *w) {
    if (w->heap) (void)HeapFree(GetProcessHeap(), 0, w->heap);
}

/* Converts a path to UTF-16. A long path becomes absolute, with the prefix \\?\. After 0 the caller frees w. */
static int sti_wide_path_init(sti_wide_path *w, const char *path) {
    const size_t n = sti_span_of(path).n; /* n bytes of UTF-8 become n / 3 to n units of UTF-16 */
    DWORD full_units;
    w->text = w->short_path;
    w->heap = NULL;
    if (n / 3 >= STI_LONG_PATH) return ERROR_FILENAME_EXCED_RANGE;
    if (n >= STI_SHORT_PATH) {
        w->heap = (wchar_t *)HeapAlloc(GetProcessHeap(), 0, (STI_LONG_PATH + n + 16) * sizeof(wchar_t));
        if (!w->heap) return ST_IO_NO_MEMORY;
        w->text = w->heap + STI_LONG_PATH + 12;
    }
    if (!MultiByteToWideChar(CP_UTF8, MB_ERR_INVALID_CHARS, path, -1, w->text, (int)(n + 1))) {
        sti_wide_path_free(w);
        return ST_IO_NOT_UTF8;
    }
    if (!w->heap || (w->text[0] == L'\\' && w->text[1] == L'\\' && w->text[2] == L'?')) return 0;
    full_units = GetFullPathNameW(w->text, STI_LONG_PATH, w->heap + 8, NULL);
    if (full_units == 0 || full_units >= STI_LONG_PATH) {
        sti_wide_path_free(w);
        return ERROR_FILENAME_EXCED_RANGE;
    }
    if (w->heap[8] == L'\\' && w->heap[9] == L'\\') { /* \\server\share becomes \\?\UNC\server\share */
        w->text = w->heap + 2;
        ST_MEMCPY(w->text, L"\\\\?\\UNC", 7 * sizeof(wchar_t));
    } else {
        w->text = w->heap + 4;
        ST_MEMCPY(w->text, L"\\\\?\\", 4 * sizeof(wchar_t));
    }
    return 0;
}

static OVERLAPPED sti_system_overlapped(uint64_t offset) {
    OVERLAPPED position;
    ST_MEMSET(&position, 0, sizeof position);
    position.Offset = (DWORD)(offset & UINT32_MAX);
    position.OffsetHigh = (DWORD)(offset >> 32);
    return position;
}

static int sti_system_read(void *user, uint64_t offset, void *dst, size_t n) {
    unsigned char *out = (unsigned char *)dst;
    while (n) {
        OVERLAPPED position = sti_system_overlapped(offset);
        DWORD got = 0;
        if (!ReadFile((HANDLE)user, out, n < STI_TRANSFER_BYTES ? (DWORD)n : STI_TRANSFER_BYTES, &got, &position)) {
            DWORD code = GetLastError();
            return code == ERROR_HANDLE_EOF ? ST_IO_ENDED : (int)code;
        }
        if (got == 0) return ST_IO_ENDED;
        out += got;
        n -= got;
        offset = sti_add64_saturated(offset, got);
    }
    return 0;
}

static void sti_system_identify(const BY_HANDLE_FILE_INFORMATION *info, st_io *file) {
    file->bytes = (uint64_t)info->nFileSizeHigh << 32 | info->nFileSizeLow;
    file->id[0] = ((uint64_t)info->nFileIndexHigh << 32 | info->nFileIndexLow) ^ (uint64_t)info->dwVolumeSerialNumber
                                                                                     << 32;
    file->id[1] = (uint64_t)info->ftLastWriteTime.dwHighDateTime << 32 | info->ftLastWriteTime.dwLowDateTime;
}

static int sti_system_open(void *user, const char *path, st_io *file) {
    sti_wide_path wide;
    BY_HANDLE_FILE_INFORMATION info;
    HANDLE h;
    int code = sti_wide_path_init(&wide, path);
    (void)user;
    if (code) return code;
    h = CreateFileW(wide.text, GENERIC_READ, FILE_SHARE_READ | FILE_SHARE_WRITE | FILE_SHARE_DELETE, NULL,
                    OPEN_EXISTING, FILE_ATTRIBUTE_NORMAL, NULL);
    if (h == INVALID_HANDLE_VALUE) {
        DWORD error = GetLastError(), attributes = GetFileAttributesW(wide.text);
        code = attributes != INVALID_FILE_ATTRIBUTES && (attributes & FILE_ATTRIBUTE_DIRECTORY)
                   ? ST_IO_NOT_FOUND
                   : sti_system_code(error);
    }
    sti_wide_path_free(&wide);
    if (code) return code;
    if (GetFileType(h) != FILE_TYPE_DISK) {
        code = ST_IO_NOT_A_FILE;
    } else if (!GetFileInformationByHandle(h, &info)) {
        code = (int)GetLastError();
    }
    if (code) {
        (void)CloseHandle(h);
        return code;
    }
    file->user = h;
    file->read_at = sti_system_read;
    sti_system_identify(&info, file);
    return 0;
}

static int sti_system_is_out_of_files(int code) {
    return code == ERROR_TOO_MANY_OPEN_FILES;
}

#if !defined(ST_NO_MMAP)
STI_COLD static int sti_system_map(st_io *file) {
    HANDLE section = CreateFileMappingW((HANDLE)file->user, NULL, PAGE_READONLY, 0, 0, NULL);
    int code = 0;
    if (!section) return (int)GetLastError();
    file->mapped = MapViewOfFile(section, FILE_MAP_READ, 0, 0, 0);
    if (!file->mapped) code = (int)GetLastError();
    (void)CloseHandle(section); /* the view keeps it alive */
    return code;
}
#endif

static void sti_system_close_handle(st_io *file) {
    if (file->user != INVALID_HANDLE_VALUE) (void)CloseHandle((HANDLE)file->user);
    file->user = INVALID_HANDLE_VALUE;
}

static void sti_system_close(void *user, st_io *file) {
    (void)user;
#if !defined(ST_NO_MMAP)
    if (file->mapped) (void)UnmapViewOfFile(file->mapped);
#endif
    sti_system_close_handle(file);
}

STI_COLD static int sti_system_list(void *user, const char *directory, int (*visit)(void *arg, const char *name),
                                    void *arg) {
    sti_wide_path wide;
    WIN32_FIND_DATAW found;
    char name[3 * MAX_PATH + 1]; /* fewer than MAX_PATH units of up to three bytes each */
    HANDLE h;
    size_t n;
    int stop =
        directory[0] ? sti_wide_path_init(&wide, directory) : ST_IO_NOT_FOUND; /* "" is not the root of the drive */
    (void)user;
    if (stop) return stop;
    for (n = 0; wide.text[n]; n++) {}
    ST_MEMCPY(wide.text + n, L"\\*", 3 * sizeof(wchar_t));
    h = FindFirstFileW(wide.text, &found);
    if (h == INVALID_HANDLE_VALUE) stop = sti_system_code(GetLastError());
    sti_wide_path_free(&wide);
    if (stop) return stop;
    do {
        if (!WideCharToMultiByte(CP_UTF8, 0, found.cFileName, -1, name, (int)sizeof name, NULL, NULL)) continue;
        if (name[0] != '.' || (name[1] && (name[1] != '.' || name[2]))) stop = visit(arg, name);
    } while (!stop && FindNextFileW(h, &found));
    if (!stop && GetLastError() != ERROR_NO_MORE_FILES) stop = (int)GetLastError();
    (void)FindClose(h);
    return stop;
}

static int sti_system_is_uncached(const st_io *file, uint64_t offset) {
    (void)file, (void)offset;
    return 0;
}

static void sti_system_advise(const st_io *file, uint64_t offset, uint64_t bytes, st_advice advice) {
    (void)file, (void)offset, (void)bytes, (void)advice; /* the system reads ahead by itself */
}

#if !defined(ST_NO_WRITER)

static unsigned long sti_system_process_id(void) {
    return GetCurrentProcessId();
}

/* Checks a file that was opened to be written in place. */
static int sti_system_check_in_place(HANDLE h, BY_HANDLE_FILE_INFORMATION *info) {
    if (!GetFileInformationByHandle(h, info)) return (int)GetLastError();
    return (info->dwFileAttributes & FILE_ATTRIBUTE_REPARSE_POINT) || info->nNumberOfLinks > 1 ? STI_IO_LINKED : 0;
}

/* Opens path itself if it is a stream (NUL, CON, a pipe), or for ST_SAVE_DIRECT. Otherwise t->named stays 0. */
STI_COLD static int sti_system_open_direct(const wchar_t *path, enum sti_way way, sti_target *t) {
    BY_HANDLE_FILE_INFORMATION info;
    const HANDLE h = CreateFileW(path, GENERIC_WRITE, FILE_SHARE_READ | FILE_SHARE_WRITE | FILE_SHARE_DELETE, NULL,
                                 way == STI_DIRECT ? OPEN_ALWAYS : OPEN_EXISTING, FILE_FLAG_OPEN_REPARSE_POINT, NULL);
    int code;
    if (h == INVALID_HANDLE_VALUE) return way == STI_DIRECT ? sti_system_code(GetLastError()) : 0;
    t->stream = GetFileType(h) != FILE_TYPE_DISK;
    if (!t->stream && way != STI_DIRECT) {
        (void)CloseHandle(h);
        return 0;
    }
    t->handle = h;
    t->open = t->named = 1;
    if (t->stream) return way == STI_REPLACE ? ST_IO_NOT_A_FILE : 0;
    code = sti_system_check_in_place(h, &info);
    return code ? code : SetEndOfFile(h) ? 0 : (int)GetLastError();
}

STI_COLD static int sti_system_create(const char *path, const char *temp, enum sti_way way, sti_target *t) {
    sti_wide_path wide;
    DWORD attributes;
    HANDLE h;
    int code = sti_wide_path_init(&wide, path);
    if (code) return code;
    attributes = GetFileAttributesW(wide.text);
    if (attributes != INVALID_FILE_ATTRIBUTES && (attributes & FILE_ATTRIBUTE_DIRECTORY)) {
        code = ERROR_ACCESS_DENIED;
    } else {
        code = sti_system_open_direct(wide.text, way, t);
    }
    sti_wide_path_free(&wide);
    if (code || t->named) return code;
    code = sti_wide_path_init(&wide, temp);
    if (code) return code;
    h = CreateFileW(wide.text, GENERIC_WRITE, 0, NULL, CREATE_NEW, FILE_ATTRIBUTE_NORMAL, NULL);
    if (h == INVALID_HANDLE_VALUE) {
        DWORD error = GetLastError();
        code = error == ERROR_FILE_EXISTS || error == ERROR_ALREADY_EXISTS ? STI_IO_EXISTS : sti_system_code(error);
    }
    sti_wide_path_free(&wide);
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

STI_NOINLINE static int sti_system_write(const sti_target *t, uint64_t offset, const void *src, size_t n) {
    const unsigned char *in = (const unsigned char *)src;
    while (n) {
        OVERLAPPED position = sti_system_overlapped(offset);
        DWORD written = 0;
        if (!WriteFile((HANDLE)t->handle, in, n < STI_TRANSFER_BYTES ? (DWORD)n : STI_TRANSFER_BYTES, &written,
                       t->stream ? NULL : &position)) {
            return (int)GetLastError();
        }
        if (written == 0) return ERROR_WRITE_FAULT;
        in += written;
        n -= written;
        offset = sti_add64_saturated(offset, written);
    }
    return 0;
}

static void sti_system_publish(const sti_target *t) {
    (void)t; /* permissions come from the directory */
}

static int sti_system_is_lacking(int code) {
    return code == ERROR_INVALID_FUNCTION || code == ERROR_NOT_SUPPORTED;
}

static int sti_system_sync(const sti_target *t) {
    const int code = FlushFileBuffers((HANDLE)t->handle) ? 0 : (int)GetLastError();
    return t->named && sti_system_is_lacking(code) ? 0 : code;
}

STI_COLD static int sti_system_close_target(sti_target *t) {
    t->open = 0;
    return CloseHandle((HANDLE)t->handle) ? 0 : (int)GetLastError();
}

static int sti_system_rename(const char *temp, const char *path, int sync) {
    sti_wide_path from, to;
    int code = sti_wide_path_init(&from, temp);
    if (code) return code;
    code = sti_wide_path_init(&to, path);
    if (!code) {
        if (!MoveFileExW(from.text, to.text, MOVEFILE_REPLACE_EXISTING | (sync ? MOVEFILE_WRITE_THROUGH : 0))) {
            code = (int)GetLastError();
        }
        sti_wide_path_free(&to);
    }
    sti_wide_path_free(&from);
    return code;
}

static const char *sti_system_rename_sentence(int code, const char *otherwise) {
    return code == ERROR_ACCESS_DENIED || code == ERROR_SHARING_VIOLATION || code == ERROR_USER_MAPPED_FILE
               ? STI_TEXT("the file is open or mapped by a program: close the model first (or it is read-only)")
               : otherwise;
}

static int sti_system_unlink(const char *path) {
    sti_wide_path wide;
    int code = sti_wide_path_init(&wide, path);
    if (code) return code;
    code = DeleteFileW(wide.text) ? 0 : sti_system_code(GetLastError());
    sti_wide_path_free(&wide);
    return code;
}

static int sti_system_sync_directory(char *temp) {
    (void)temp; /* MOVEFILE_WRITE_THROUGH has flushed it */
    return 0;
}

static int sti_system_open_in_place(const char *path, const st_io *validated, sti_target *t) {
    sti_wide_path wide;
    BY_HANDLE_FILE_INFORMATION info;
    st_io opened;
    HANDLE h;
    int code = sti_wide_path_init(&wide, path);
    if (code) return code;
    h = CreateFileW(wide.text, GENERIC_WRITE, FILE_SHARE_READ, NULL, OPEN_EXISTING, FILE_FLAG_OPEN_REPARSE_POINT, NULL);
    if (h == INVALID_HANDLE_VALUE) code = sti_system_code(GetLastError());
    sti_wide_path_free(&wide);
    if (code) return code;
    t->handle = h;
    t->open = 1;
    code = sti_system_check_in_place(h, &info);
    if (!code) {
        sti_system_identify(&info, &opened);
        if (!sti_is_same_file(&opened, validated)) code = STI_IO_CHANGED;
    }
    if (code) (void)sti_system_close_target(t);
    return code;
}

#endif

#endif

#if !defined(ST_NO_FILES) && !defined(ST_NO_WRITER)
/* Closes a target that is open, and removes its temporary file unless it has its final name. */
static void sti_system_discard(sti_target *t, const char *temp) {
    if (t->open) (void)sti_system_close_target(t);
    if (!t->named) (void)sti_system_unlink(temp);
    t->named = t->stream = 0;
}
#endif

#if STI_AVX2
/* Returns 1 if the processor has AVX2 and F16C. Reads what the runtime or the system found at program start: the CPUID
 * instruction takes microseconds in a virtual machine. Older compilers cannot test for F16C. They test for FMA, which
 * the only processor with AVX2 but without F16C lacks as well. */
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
 * Opens, closes and searches models: one file, several files behind an index, a directory, or the hub's cache. Reaches
 * files only through st_files and st_io.
 * uses: 5, 6, 7, 8, 9, 10, 11, 12, 13
 * ------------------------------------------------------------------------------------------------------------------ */
#define STI_MAX_OPEN_FILES 64u /* per model; later files are reopened for each read that is not from memory */
#define STI_MAX_SHARDS (SIZE_MAX < UINT32_MAX ? 4096u : 65536u) /* fits size_t */
#define STI_MAX_NAMES 0x10000000u     /* tensors or metadata entries: the limit of sti_name_table */
#define STI_MAX_MAPPED 16384u         /* files per model: Linux allows 65,530 mappings per process */
#define STI_KEPT_HEADER_BYTES 524288u /* per model of several files: the headers parsed only once */
#define STI_MIN_WEIGHT_BYTES 18u      /* the shortest member of a weight_map: `"":"a.safetensors"` */
#define STI_HUB_PATH_BYTES 1024u      /* usually enough for the few paths that lead to a model in the hub's cache */

typedef struct sti_file { /* a file of an open model */
    st_io io;
    const unsigned char *bytes; /* st_read may copy from here; NULL: it calls io.read_at */
    int is_open;                /* close on st_close; 0: the file is reopened for each read */
} sti_file;

typedef struct sti_model {
    st_model base;     /* must be first: st_model pointers are cast to sti_model */
    sti_file *files;   /* one per shard */
    st_files source;   /* opened the files; close is NULL for st_open_memory and st_open_io */
    int is_system;     /* files are opened by the built-in st_files */
    const char *label; /* names the model in messages */
    sti_memory memory;
    size_t block_bytes;
    sti_name_table names, keys;
} sti_model;

typedef struct sti_opened_file { /* a file being opened */
    const char *path;            /* "" for memory and callbacks */
    st_io io;
    int is_open;
    size_t header_bytes; /* below 2^32 */
    uint64_t data_bytes;
    unsigned char *text;      /* private copy of the header */
    sti_entry *entries;       /* sorted by data offset after parsing */
    sti_header header;        /* counts what the header holds */
    st_status offsets_status; /* the verdict on all data_offsets */
} sti_opened_file;

typedef struct sti_weight {    /* a member of the weight_map; offsets count from the first byte of the index */
    uint32_t name, name_bytes; /* unescaped in place */
    uint32_t shard;            /* offset of the path; the shard's number after sti_index_number_shards */
} sti_weight;

typedef struct sti_index_file { /* an index being opened */
    sti_json json;              /* positioned at the first byte */
    char *text;                 /* private copy of the index */
    sti_weight *weights;
    uint32_t weight_count;
    uint32_t run_count;       /* runs of successive weights with the same path */
    uint32_t metadata_offset; /* of the metadata object; 0: none */
    uint32_t pair_count;
    st_pair *pairs; /* of the metadata */
} sti_index_file;

typedef struct sti_layout { /* the parts of the model's block; filling them advances the pointers */
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

typedef struct sti_sums { /* what the headers read so far hold, and the metadata of the index */
    size_t tensors, dimensions, pairs, text;
} sti_sums;

typedef struct sti_opening { /* the state of one call that opens a model */
    sti_memory memory;
    unsigned flags;
    uint32_t limit; /* bytes of a header or an index */
    st_files files;
    unsigned char is_system;  /* `files` is the built-in one */
    unsigned char kept_files; /* so many of the first files stay open */
    signed char open_code;    /* of the last call of files.open; those over 127 are 127 */
    const char *label;        /* names the model in messages */
    st_error *error;
    sti_opened_file *opened; /* `single`, or scratch */
    uint32_t opened_count;
    sti_opened_file *current; /* the file that an error is about; NULL: the model */
    const char *variant;      /* NULL: any */
    sti_sums sums;
    sti_layout layout; /* model NULL: not allocated yet */
    sti_opened_file single;
} sti_opening;

static int sti_io_read(const st_io *io, uint64_t offset, void *dst, size_t n) {
    if (io->read_at) return (io->read_at)(io->user, offset, dst, n);
    ST_MEMCPY(dst, (const unsigned char *)io->mapped + offset, n);
    return 0;
}

/* Reports a code returned by st_files or st_io. `sentence` describes every code that has no sentence of its own. */
STI_COLD static st_status sti_fail_code(st_error *error, int code, uint64_t position, const char *sentence) {
    static const struct {
        int code;
        st_status status;
        const char *sentence;
    } known[] = {
        {ST_IO_NOT_FOUND, ST_ERR_NOT_FOUND, STI_TEXT("no such file or directory")},
        {ST_IO_NOT_UTF8, ST_ERR_UTF8, STI_TEXT("path is not UTF-8")},
        {ST_IO_NO_MEMORY, ST_ERR_MEMORY, STI_TEXT("out of memory")},
        {ST_IO_NOT_A_FILE, ST_ERR_IO, STI_TEXT("not a regular file, but a pipe, a device or a directory")},
        {ST_IO_ENDED, ST_ERR_IO, STI_TEXT("file became shorter after it was opened")},
        {STI_IO_CHANGED, ST_ERR_IO, STI_TEXT("file was replaced, changed or removed after it was opened")},
#if !defined(ST_NO_FILES)
        {STI_IO_DANGLING, ST_ERR_NOT_FOUND, STI_TEXT("symbolic link to a missing file: is the download finished?")},
        {STI_IO_SOURCE, ST_ERR_UNSUPPORTED, STI_TEXT("cannot write in place: the tensors are read from this file")},
        {STI_IO_LINKED, ST_ERR_UNSUPPORTED,
         STI_TEXT("cannot write in place: the file is a symbolic link or has several names")},
#endif
    };
    st_status s = ST_ERR_IO;
    size_t i;
    for (i = 0; i < sizeof known / sizeof *known; i++) {
        if (known[i].code != code) continue;
        s = known[i].status;
        sentence = known[i].sentence;
    }
    (void)sti_fail_io(error, code, position, sentence);
    if (error) error->status = s;
    return s;
}

STI_NOINLINE static void sti_add_sums(sti_sums *sums, const sti_header *h) {
    sums->tensors = sti_add_saturated(sums->tensors, h->tensors);
    sums->dimensions = sti_add_saturated(sums->dimensions, h->dimensions);
    sums->pairs = sti_add_saturated(sums->pairs, h->pairs);
    sums->text = sti_add_saturated(sums->text, h->text_bytes);
}

/* Lays out the model's block at `base` and returns its size; base NULL: only measures. */
STI_NOINLINE static size_t sti_layout_model(sti_opening *o, unsigned char *base) {
    const sti_sums *sums = &o->sums;
    sti_layout *l = &o->layout;
    sti_block b;
    b.base = base;
    b.used = 0;
    l->model = (sti_model *)sti_block_take(&b, 1, sizeof *l->model);
    l->files = (sti_file *)sti_block_take(&b, o->opened_count, sizeof *l->files);
    l->shards = (st_shard *)sti_block_take(&b, o->opened_count, sizeof *l->shards);
    l->tensors = (st_tensor *)sti_block_take(&b, sums->tensors, sizeof *l->tensors);
    l->shapes = (uint64_t *)sti_block_take(&b, sums->dimensions, sizeof *l->shapes);
    l->pairs = (st_pair *)sti_block_take(&b, sums->pairs, sizeof *l->pairs);
    l->name_slots = (uint32_t *)sti_block_take(&b, sti_table_capacity((uint32_t)sums->tensors),
                                               STI_SLOT_WORDS(1) * sizeof *l->name_slots);
    l->key_slots = (uint32_t *)sti_block_take(&b, sti_table_capacity((uint32_t)sums->pairs), sizeof *l->key_slots);
    l->text = (char *)sti_block_take(&b, sums->text, 1);
    l->bytes = sti_round8(b.used);
    return l->bytes;
}

/* ---- scratch memory */

/* Returns the size of a work buffer that holds the scratch taken so far, `extra` bytes, and the model as counted. */
static size_t sti_work_needed(sti_opening *o, size_t extra) {
    const size_t taken = o->memory.work_total - o->memory.work_bytes;
    return sti_add_saturated(sti_add_saturated(o->memory.work_padding, taken),
                             sti_add_saturated(sti_layout_model(o, NULL), extra));
}

/* Takes memory that is released when the call ends. On failure the error asks for a work buffer with room for
 * `needed` bytes from here on. */
static void *sti_take_scratch_for(sti_opening *o, size_t bytes, size_t needed) {
    void *taken = sti_arena_take(&o->memory, bytes);
    if (!taken) {
        (void)sti_fail_memory(&o->memory, o->memory.work ? sti_work_needed(o, sti_round8(needed)) : bytes, o->error);
    }
    return taken;
}

static void *sti_take_scratch(sti_opening *o, size_t count, size_t size) {
    const size_t bytes = sti_multiply_saturated(count, size);
    return sti_take_scratch_for(o, bytes, sti_add_saturated(bytes, STI_HUB_PATH_BYTES));
}

/* Prepares a table of pairs in scratch. Returns 0 if memory runs out. */
STI_COLD static int sti_take_table(sti_opening *o, sti_name_table *table, const st_pair *pairs, uint32_t count) {
    ST_MEMSET(table, 0, sizeof *table);
    table->pairs = pairs;
    table->count = count;
    table->slots = (uint32_t *)sti_take_scratch(o, sti_table_capacity(count), sizeof *table->slots);
    return pairs && table->slots;
}

/* ---- opening a file, step by step */

/* Takes memory for the header's text and its entries, which never outgrow the text. The error for a work buffer that is
 * too small comes before the header is read, so it asks for a bound: twice the header's bytes here, and at most 7 times
 * for the model (6.6 for metadata entries of 6 characters, which take 40 bytes each; tensors take less). */
STI_NOINLINE static st_status sti_take_header_scratch(sti_opening *o, sti_opened_file *p) {
    const size_t n = sti_round8(p->header_bytes ? p->header_bytes : 1);
    if (p->header_bytes > SIZE_MAX / 4) { /* 2 * n must not overflow */
        return sti_fail(o->error, ST_ERR_TOO_LARGE, STI_NO_OFFSET, SIZE_MAX / 4, p->header_bytes,
                        STI_TEXT("header of $a bytes does not fit this machine's memory"));
    }
    /* one extra entry: sti_header_next writes to it before it finds the end */
    p->text = (unsigned char *)sti_take_scratch_for(
        o, 2 * n + sizeof *p->entries, sti_add_saturated(sti_multiply_saturated(n, 9), sizeof *p->entries));
    if (!p->text) return ST_ERR_MEMORY;
    p->entries = (sti_entry *)(void *)(p->text + n);
    return ST_OK;
}

/* Reads and parses the header, and sorts its entries by offset. */
STI_NOINLINE static st_status sti_parse_entries(sti_opening *o, sti_opened_file *p) {
    sti_header *h = &p->header;
    uint64_t end = 0;
    int found, sorted = 1;
    st_status s;
    const int code = p->header_bytes ? sti_io_read(&p->io, 8, p->text, p->header_bytes) : 0;
    if (code) return sti_fail_code(o->error, code, 8, STI_TEXT("cannot read the header"));
    sti_header_init(h, p->text, p->header_bytes, o->flags, o->error);
    for (;;) {
        sti_entry *e = &p->entries[h->tensors];
        s = sti_header_next(h, e, &found);
        if (s != ST_OK || !found) break;
        if (e->begin != end || e->end < end) sorted = 0;
        end = e->end;
    }
    if (s != ST_OK || sti_json_may_have_high(&h->json)) { /* invalid UTF-8 takes precedence over every other fault */
        const st_status utf8 = sti_header_utf8(h->text, p->header_bytes, o->error);
        if (utf8 != ST_OK) return utf8;
    }
    if (s != ST_OK) return s;
    sti_add_sums(&o->sums, h);
    if (!sorted) sti_sort(p->entries, h->tensors, sizeof *p->entries, sti_offset_less, NULL);
    return ST_OK;
}

/* Validates the data offsets of all tensors against each other and the file's length. */
static st_status sti_check_offsets(sti_opened_file *p, st_error *error) {
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

STI_COLD static st_status sti_map_file(const sti_opening *o, st_io *io) {
    int code = 0;
    if (io->mapped || (o->flags & ST_OPEN_NO_MAP)) return ST_OK;
#if !defined(ST_NO_FILES) && !defined(ST_NO_MMAP)
    if (o->is_system && io->bytes <= SIZE_MAX / 2) { /* compilers support no larger objects */
        code = sti_system_map(io);
        if (!code) return ST_OK;
    } else if (o->is_system && (o->flags & ST_OPEN_MUST_MAP)) {
        return sti_fail(o->error, ST_ERR_TOO_LARGE, STI_NO_OFFSET, SIZE_MAX / 2, io->bytes,
                        STI_TEXT("the file's $a bytes do not fit the address space"));
    }
#endif
    if (!(o->flags & ST_OPEN_MUST_MAP)) return ST_OK;
    if (!code) {
        return sti_fail_plain(o->error, ST_ERR_UNSUPPORTED,
                              STI_TEXT("this kind of source cannot be mapped into memory"));
    }
    return sti_fail_code(o->error, code, STI_NO_OFFSET, STI_TEXT("cannot map the file into memory"));
}

static st_status sti_read_header_length(sti_opening *o, sti_opened_file *p) {
    unsigned char first[8];
    uint64_t header_bytes = 0;
    st_status s;
    int code;
    o->current = p;
    code = p->io.bytes >= sizeof first ? sti_io_read(&p->io, 0, first, sizeof first) : 0;
    if (code) return sti_fail_code(o->error, code, 0, STI_TEXT("cannot read the file"));
    s = sti_header_measure(first, p->io.bytes, o->limit, &header_bytes, o->error);
    p->header_bytes = (size_t)header_bytes;
    return s;
}

/* Parses the header of an open file. Faults in data offsets are only noted in offsets_status: a repeated name takes
 * precedence over them, and sti_add_file finds it later. */
static st_status sti_parse_file(sti_opening *o, sti_opened_file *p) {
    st_status s = sti_read_header_length(o, p);
    if (s == ST_OK) s = sti_take_header_scratch(o, p);
    if (s == ST_OK) s = sti_parse_entries(o, p);
    if (s == ST_OK) p->offsets_status = sti_check_offsets(p, NULL);
    return s;
}

/* ---- filling a model */

/* Takes the model's block and sets all of it that does not depend on the files. */
STI_NOINLINE static st_status sti_take_model_block(sti_opening *o) {
    const size_t bytes = sti_layout_model(o, NULL);
    unsigned char *block = o->memory.work;
    sti_model *m;
    if (!block) {
        block = (unsigned char *)sti_allocate(&o->memory, bytes);
        if (!block) return sti_fail_memory(&o->memory, bytes, o->error);
    } else if (bytes > o->memory.work_bytes) {
        return sti_fail_memory(&o->memory, sti_work_needed(o, 0), o->error);
    }
    (void)sti_layout_model(o, block);
    ST_MEMSET(block, 0, (size_t)((unsigned char *)o->layout.tensors - block));
    m = o->layout.model;
    m->base.tensors = o->layout.tensors;
    m->base.count = o->sums.tensors;
    m->base.shards = o->layout.shards;
    m->base.shard_count = o->opened_count;
    m->files = o->layout.files;
    m->source = o->files;
    m->is_system = o->is_system;
    m->label = o->label; /* a literal; sti_copy_paths replaces a path by a copy */
    m->memory = o->memory;
    m->memory.chunks = NULL; /* scratch ends with the call */
    m->block_bytes = bytes;
    return ST_OK;
}

/* Fills the tensors and the metadata of one file, and the tensors' data if the offsets are valid. Advances the
 * layout. */
STI_NOINLINE static void sti_fill_tensors(sti_opening *o, sti_opened_file *p, st_shard *shard) {
    const unsigned char *base = o->flags & ST_OPEN_NO_MAP ? NULL : (const unsigned char *)p->io.mapped;
    sti_layout *l = &o->layout;
    sti_header *const h = &p->header;
    st_tensor *t = l->tensors;
    const uint32_t text_bytes = h->text_bytes; /* sti_metadata_read counts again */
    char *text = l->text;
    sti_string spelling; /* nothing below can fail: the text is a private copy and was parsed before */
    uint32_t i;
    for (i = 0; i < p->header.tensors; i++, t++) {
        const sti_entry *e = &p->entries[i];
        ST_MEMSET(t, 0, sizeof *t);
        t->name = text;
        t->name_bytes = e->name_bytes;
        sti_copy_name(h, e, &text);
        t->dtype = (st_dtype)e->dtype;
        t->dtype_name = sti_dtypes[e->dtype].name;
        if (e->dtype == ST_DTYPE_UNKNOWN) {
            t->dtype_name = text;
            h->json.at = h->text + e->dtype_offset;
            (void)sti_string_read(h, &spelling, &text);
        }
        t->shape = l->shapes;
        sti_copy_shape(h, e, l->shapes);
        t->rank = e->rank;
        l->shapes += e->rank;
        t->shard = (uint32_t)(p - o->opened);
        if (p->offsets_status != ST_OK) continue;
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

/* Builds the tables of one file's names and keys. Returns the offset in the header of the first name or key that
 * repeats another, or 0. */
static uint32_t sti_build_tables(const sti_opened_file *p, const sti_layout *l, const st_pair *pairs) {
    sti_name_table *names = &l->model->names, *keys = &l->model->keys;
    uint32_t item = STI_ABSENT, offset = 0, key_offset;
    names->tensors = l->tensors - p->header.tensors;
    names->slots = l->name_slots;
    names->count = p->header.tensors;
    /* sti_index_check builds the table of several files */
    if (l->model->base.shard_count == 1) item = sti_table_build(names, p->entries);
    if (item != STI_ABSENT) offset = p->entries[item].key;
    keys->pairs = pairs;
    keys->slots = l->key_slots;
    keys->count = p->header.pairs;
    item = sti_table_build(keys, NULL);
    if (item != STI_ABSENT) {
        key_offset = sti_json_member_offset(p->header.json, p->text + p->header.metadata, item);
        if (!offset || key_offset < offset) offset = key_offset;
    }
    return offset;
}

/* Adds one parsed file to the model, or fails with the fault in it: repeated names first, then data offsets. */
static st_status sti_add_file(sti_opening *o, sti_opened_file *p) {
    st_shard *shard = o->layout.shards++;
    sti_file *file = o->layout.files++;
    uint32_t repeated;
    shard->path = p->path;
    shard->file_bytes = p->io.bytes;
    shard->data_offset = sti_add64_saturated(8, p->header_bytes);
    file->io = p->io;
    file->bytes = (o->flags & ST_OPEN_NO_MAP) && p->io.read_at ? NULL : (const unsigned char *)p->io.mapped;
    file->is_open = p->is_open;
    o->layout.model->base.bytes = sti_add64_saturated(o->layout.model->base.bytes, p->data_bytes);
    sti_fill_tensors(o, p, shard);
    repeated = sti_build_tables(p, &o->layout, shard->metadata);
    p->header.json.error = o->error;
    if (repeated) return sti_fail_duplicate_name(&p->header, repeated);
    return p->offsets_status == ST_OK ? ST_OK : sti_check_offsets(p, o->error);
}

/* ---- opening a source */

/* Returns the status of a failed header, or reports the file's real format if its first bytes show another one. */
STI_COLD static st_status sti_explain_format(const sti_opening *o, st_status status) {
    unsigned char bytes[STI_FORMAT_BYTES];
    const st_io *io;
    sti_span first;
    if (status < ST_ERR_TRUNCATED || status > ST_ERR_OFFSETS || !o->current || !o->current->is_open) return status;
    io = &o->current->io;
    first.at = (const char *)bytes;
    first.n = io->bytes < sizeof bytes ? (size_t)io->bytes : sizeof bytes;
    if (first.n == 0 || sti_io_read(io, 0, bytes, first.n) != 0) return status;
    return sti_format_override(first, status, o->error);
}

/* Begins every call that opens a model: initializes `o` and checks the arguments. source: 2 is a path, 1 another, 0 no
 * source. */
STI_NOINLINE static st_status sti_open_begin(sti_opening *o, st_model **model, const char *label,
                                             const st_open_options *options, int source, st_error *error) {
    static const st_open_options defaults = {0, 0, NULL, {NULL, 0}, NULL, NULL};
    const st_open_options *given = options ? options : &defaults;
    const unsigned map_flags = ST_OPEN_NO_MAP | ST_OPEN_MUST_MAP;
    const int is_valid = model && source && (source == 2 || !given->variant) &&
                         !(given->flags & ~(unsigned)STI_OPEN_FLAGS) && (given->flags & map_flags) != map_flags &&
                         (!given->allocator || (given->allocator->alloc && given->allocator->free)) &&
                         (!given->files || (given->files->open && given->files->close));
    if (model) *model = NULL;
    ST_MEMSET(o, 0, sizeof *o);
    o->single.path = "";
    o->opened = &o->single;
    o->opened_count = 1;
    o->label = label;
    o->error = error;
    o->flags = given->flags;
    o->limit = sti_header_limit(given);
    sti_memory_init(&o->memory, given->allocator, given->work.data, given->work.bytes);
    if (is_valid) return ST_OK;
    return sti_fail_plain(
        error, ST_ERR_ARGUMENT,
        STI_TEXT("model, path, io or options are NULL or invalid: check flags, allocator, work and files"));
}

static void sti_close_file(sti_opening *o, sti_opened_file *p) {
    if (p->is_open && o->files.close) (o->files.close)(o->files.user, &p->io);
    p->is_open = 0;
}

/* Ends every call that opens a model: returns the model, or closes the files, frees the model and adds the name of the
 * current file to the error. */
STI_NOINLINE static st_status sti_open_end(sti_opening *o, st_model **model, st_status s) {
    uint32_t i;
    if (s == ST_OK) {
        *model = &o->layout.model->base;
        (*model)->metadata = (*model)->shards->metadata;
        (*model)->metadata_count = (*model)->shards->metadata_count;
        (void)sti_succeed(o->error);
    } else {
        for (i = 0; i < o->opened_count; i++) sti_close_file(o, &o->opened[i]);
        sti_deallocate(&o->memory, o->layout.model, o->layout.bytes);
        (void)sti_error_prepend_path(o->error, o->current && *o->current->path ? o->current->path : o->label, s);
    }
    sti_arena_release(&o->memory, NULL, 0);
    return s;
}

/* Opens a model of one file whose st_io is set. */
static st_status sti_open_source(sti_opening *o) {
    sti_opened_file *p = o->opened;
    st_status s;
    p->is_open = 1;
    s = sti_parse_file(o, p);
    if (s == ST_OK && p->offsets_status == ST_OK) s = sti_map_file(o, &p->io);
    if (s == ST_OK) s = sti_take_model_block(o);
    if (s == ST_OK) s = sti_add_file(o, p);
    return s == ST_OK ? s : sti_explain_format(o, s);
}

/* Returns 1 if a callback set a way to read the file. */
static int sti_io_is_readable(const st_io *io) {
    return !io->bytes || io->read_at || io->mapped;
}

ST_API st_status st_open_memory(st_model **model, const void *bytes, size_t n, const st_open_options *options,
                                st_error *error) {
    sti_opening o;
    st_status s = sti_open_begin(&o, model, "(memory)", options, bytes || !n, error);
    o.single.io.mapped = bytes;
    o.single.io.bytes = n;
    return sti_open_end(&o, model, s == ST_OK ? sti_open_source(&o) : s);
}

ST_API st_status st_open_io(st_model **model, const st_io *io, const st_open_options *options, st_error *error) {
    sti_opening o;
#if defined(ST_NO_ERROR_TEXT)
    const char *label = "";
#else
    const char *label = io && io->name ? io->name : "(callbacks)";
#endif
    st_status s = sti_open_begin(&o, model, label, options, io && sti_io_is_readable(io), error);
    if (io) o.single.io = *io;
    return sti_open_end(&o, model, s == ST_OK ? sti_open_source(&o) : s);
}

/* ---- paths found in an index or given to st_open_hub */

static sti_span sti_file_name(const char *path) {
    return sti_drop_first(sti_span_of(path), sti_system_directory_length(path));
}

#define STI_FILE_SUFFIX ".safetensors"
#define STI_INDEX_MARK ".safetensors.index"

static int sti_ends_with(sti_span s, const char *end) {
    const sti_span e = sti_span_of(end);
    return s.n >= e.n && ST_MEMCMP(s.at + (s.n - e.n), end, e.n) == 0;
}

static int sti_is_one_of(char c, const char *set) {
    for (; *set; set++) {
        if (*set == c) return 1;
    }
    return 0;
}

/* Compares ASCII letters without case, as some file systems do. */
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

typedef struct sti_shard_parts { /* the name of a shard: PREFIX-NNNNN-of-MMMMM[.VARIANT].safetensors */
    sti_span prefix, rest;       /* rest: from "-of-" on */
    sti_span variant;            /* starts with its dot; or empty */
    size_t digits, total_digits; /* of NNNNN and MMMMM, 5 or more */
    uint32_t number, total;      /* below STI_MAX_NAMES */
} sti_shard_parts;

/* Parses a number of five digits or more, below STI_MAX_NAMES, at the start of *s and drops it. Returns the count of
 * digits, or 0. */
STI_COLD static size_t sti_parse_digits(sti_span *s, uint32_t *number) {
    size_t n;
    *number = 0;
    for (n = 0; n < s->n && s->at[n] >= '0' && s->at[n] <= '9'; n++) {
        *number = *number * 10 + (uint32_t)(s->at[n] - '0');
        if (*number >= STI_MAX_NAMES) return 0; /* below it, 10 times as much fits */
    }
    *s = sti_drop_first(*s, n);
    return n >= 5 ? n : 0;
}

/* Splits the name of a shard and returns MMMMM, or 0 if the name has another form. */
STI_COLD static uint32_t sti_split_shard_name(sti_span name, sti_shard_parts *shard) {
    uint32_t total = 0;
    size_t i;
    if (!sti_ends_with(name, STI_FILE_SUFFIX)) return 0;
    for (i = 0; i < name.n && total < 2; i++) {
        sti_span rest = sti_drop_first(name, i + 1);
        sti_shard_parts parts;
        if (name.at[i] != '-') continue;
        parts.prefix = sti_span_from(name.at, i);
        parts.digits = sti_parse_digits(&rest, &parts.number);
        parts.rest = rest;
        if (!parts.digits || !sti_starts_with(rest, "-of-", 4)) continue;
        rest = sti_drop_first(rest, 4);
        parts.total_digits = sti_parse_digits(&rest, &parts.total);
        if (!parts.total_digits) continue;
        parts.variant = sti_span_from(rest.at, rest.n - (sizeof STI_FILE_SUFFIX - 1));
        *shard = parts;
        total = parts.total;
    }
    return total;
}

typedef struct sti_file_parts { /* the name of a file of a model: BASE[.VARIANT], and what follows */
    sti_span base, variant;
    int is_index;
} sti_file_parts;

/* Splits the name of a shard, of another tensor file, or of an index. An index is called
 * BASE[.VARIANT].safetensors.index.json or BASE.safetensors.index.VARIANT.json. Returns 0 for other names. */
STI_COLD static int sti_split_file_name(sti_span name, sti_file_parts *m) {
    sti_shard_parts shard;
    size_t i = 0;
    m->is_index = sti_ends_with(name, ".json");
    m->variant = sti_span_from(name.at, 0);
    m->base = name;
    if (sti_split_shard_name(name, &shard) > 1) {
        m->base = shard.prefix;
        if (*shard.variant.at == '.') m->variant = shard.variant;
    } else if (m->is_index) {
        while (i < name.n && !sti_starts_with(sti_drop_first(name, i), STI_INDEX_MARK, sizeof STI_INDEX_MARK - 1)) i++;
        if (i == name.n) return 0;
        m->base.n = i;
        m->variant = sti_drop_first(name, i + sizeof STI_INDEX_MARK - 1);
        m->variant.n -= 5; /* ".json", which starts with a dot as the variant must */
        if (m->variant.n && *m->variant.at != '.') return 0;
    } else if (sti_ends_with(name, STI_FILE_SUFFIX)) {
        m->base.n -= sizeof STI_FILE_SUFFIX - 1;
    } else {
        return 0;
    }
    for (i = m->base.n; i > 0 && !m->variant.n; i--) { /* a number after a dot is no variant: Qwen2.5 */
        const unsigned first = i < m->base.n ? (unsigned char)m->base.at[i] | 32u : 0;
        if (m->base.at[i - 1] != '.') continue;
        if (first >= 'a' && first <= 'z') m->variant = sti_drop_first(m->base, i - 1);
        m->base.n -= m->variant.n;
        break;
    }
    if (m->variant.n) m->variant = sti_drop_first(m->variant, 1);
    return 1;
}

/* Returns 1 if Windows treats a name without its extension as a device. */
STI_COLD static int sti_is_device(sti_span s) {
    static const char *const names[] = {"CON", "PRN", "AUX", "NUL", "CONIN$", "CONOUT$", "CLOCK$"};
    size_t i;
    for (i = 0; i < sizeof names / sizeof *names; i++) {
        if (sti_equals_ignoring_case(s, names[i])) return 1;
    }
    if (s.n < 4 || (!sti_equals_ignoring_case(sti_span_from(s.at, 3), "COM") &&
                    !sti_equals_ignoring_case(sti_span_from(s.at, 3), "LPT"))) {
        return 0;
    }
    if (s.n == 4) return sti_is_one_of(s.at[3], "0123456789");
    return s.n == 5 && s.at[3] == '\xC2' && sti_is_one_of(s.at[4], "\xB9\xB2\xB3"); /* superscript 1 to 3 */
}

/* Returns why the path of a shard, or a repository or revision of st_open_hub, is refused; NULL if it is allowed. An
 * allowed path names the same file on every system, inside the directory of the index. Symbolic links need no check:
 * downloaded files cannot create them. */
STI_COLD static const char *sti_path_fault(sti_span path, int is_shard) {
    if (is_shard && !sti_ends_with(path, STI_FILE_SUFFIX)) return STI_TEXT("shard path does not end in .safetensors");
    for (;;) {
        sti_span name = path, stem;
        size_t i;
        for (name.n = 0; name.n < path.n && path.at[name.n] != '/'; name.n++) {
            const unsigned char c = (unsigned char)path.at[name.n];
            if (c < 0x20 || c == 0x7F || sti_is_one_of((char)c, "\\:<>\"|?*")) {
                return STI_TEXT("path contains a character that is not allowed");
            }
            if (c == 0xC2 && name.n + 1 < path.n && (unsigned char)path.at[name.n + 1] < 0xA0) {
                return STI_TEXT("path contains a control character");
            }
        }
        if (name.n == 0) return STI_TEXT("path is absolute or has an empty component");
        if (sti_is_one_of(name.at[0], " .") || sti_is_one_of(name.at[name.n - 1], " .")) {
            return STI_TEXT("path component begins or ends with a dot or a space");
        }
        if (name.n > 255) return STI_TEXT("path component is longer than 255 bytes");
        for (stem = name, stem.n = i = 0; i < name.n && name.at[i] != '.'; i++) {
            if (name.at[i] != ' ') stem.n = i + 1;
        }
        if (sti_is_device(stem)) return STI_TEXT("path component is a device name on Windows");
        if (name.n == path.n) return NULL;
        path = sti_drop_first(path, name.n + 1);
    }
}

/* ---- parsing an index */

/* Fails at the position of a string in the index. `string` begins after the opening quote. */
STI_COLD static st_status sti_index_fail(const sti_index_file *x, sti_span string, st_status status,
                                         const char *sentence) {
    (void)sti_json_fail_at(&x->json, (uint32_t)(string.at - 1 - x->text), status, sentence);
    sti_error_set_subject(x->json.error, string, STI_SHOW_NAME);
    return status;
}

/* Unescapes a string in place; j is after its closing quote. */
static void sti_index_unescape(const sti_json *j, const sti_string *string, char *text) {
    char *out = text + string->place + 1;
    sti_json inside;
    unsigned char bytes[4];
    if (!string->escaped) return;
    inside = sti_json_of_text(sti_span_from(out, (size_t)((const char *)j->at - 1 - out)));
    while (inside.at < inside.end) { /* the output never overtakes the input */
        const size_t n = sti_json_character(&inside, 1, bytes);
        ST_MEMCPY(out, bytes, n);
        out += n;
    }
}

/* Parses the weight_map into x->weights, which has room for every valid member. */
STI_NOINLINE static st_status sti_index_weights(sti_index_file *x, sti_json *j) {
    sti_string name, value;
    sti_span path = {NULL, 0}, next;
    st_status s;
    int more;
    if ((s = sti_json_enter(j, '{', &more, STI_TEXT("weight_map is not an object of strings"))) != ST_OK) return s;
    while (more) {
        sti_weight *w = x->weights + x->weight_count;
        if ((s = sti_json_key(j, &name)) != ST_OK) return s;
        sti_index_unescape(j, &name, x->text);
        if ((s = sti_json_colon(j)) != ST_OK) return s;
        if (sti_json_peek(j) != '"') return sti_json_fail_type(j, STI_TEXT("weight_map value is not a string"));
        next.at = (const char *)j->at + 1;
        if (path.at && (size_t)(j->end - j->at) > path.n + 1 && next.at[path.n] == '"' &&
            ST_MEMCMP(next.at, path.at, path.n) == 0) { /* most weights have the path of the previous one */
            j->at += path.n + 2;
        } else {
            const char *fault;
            if ((s = sti_json_string(j, &value, NULL)) != ST_OK) return s;
            sti_index_unescape(j, &value, x->text);
            next.n = value.bytes;
            fault = sti_path_fault(next, 1);
            if (fault) return sti_index_fail(x, next, ST_ERR_PATH, fault);
            path = next;
            x->text[value.place + 1 + value.bytes] = 0; /* overwrites the closing quote or an escape */
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

/* Parses the metadata. Its values may be of any kind and stay JSON text. pairs: NULL, or room for x->pair_count. */
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
        if (pairs) sti_index_unescape(j, &key, x->text);
        if ((s = sti_json_colon(j)) != ST_OK) return s;
        (void)sti_json_peek(j);
        p.value = (const char *)j->at;
        if ((s = sti_json_skip(j, 2)) != ST_OK) return s; /* depth 2: the root and the metadata are open */
        p.value_bytes = (size_t)((const char *)j->at - p.value);
        if (pairs) pairs[x->pair_count] = p;
        x->pair_count++;
        if ((s = sti_json_next(j, '{', &more)) != ST_OK) return s;
    }
    return ST_OK;
}

/* Parses the index. Metadata entries are only counted. */
STI_COLD static st_status sti_index_parse(sti_index_file *x) {
    sti_json root = x->json, *j = &root;
    int more, has_map = 0, has_metadata = 0;
    sti_string key;
    st_status s;
    if ((s = sti_json_enter(j, '{', &more, STI_TEXT("the index is not a JSON object"))) != ST_OK) return s;
    while (more) {
        int is_map, is_metadata;
        if ((s = sti_json_key(j, &key)) != ST_OK) return s;
        is_map = sti_string_is(&key, "weight_map", 10);
        is_metadata = sti_string_is(&key, "metadata", 8);
        if ((is_map && has_map) || (is_metadata && has_metadata)) {
            return sti_json_fail_at(j, key.place, ST_ERR_DUPLICATE, STI_TEXT("duplicate key"));
        }
        if ((s = sti_json_colon(j)) != ST_OK) return s;
        has_map |= is_map;
        has_metadata |= is_metadata;
        is_metadata &= sti_json_peek(j) != 'n'; /* null is as none */
        if (is_metadata) x->metadata_offset = sti_json_offset(j);
        s = is_map        ? sti_index_weights(x, j)
            : is_metadata ? sti_index_metadata(x, j, NULL)
                          : sti_json_skip(j, 1); /* depth 1: the root is open */
        if (s != ST_OK || (s = sti_json_next(j, '{', &more)) != ST_OK) return s;
    }
    if (sti_json_peek(j) >= 0) {
        return sti_json_fail(j, ST_ERR_JSON, STI_TEXT("unexpected text after the index's JSON object"));
    }
    if (x->weight_count) return ST_OK;
    return sti_json_fail(j, ST_ERR_SCHEMA,
                         has_map ? STI_TEXT("weight_map is empty") : STI_TEXT("weight_map is missing"));
}

static sti_span sti_weight_name(const sti_index_file *x, const sti_weight *w) {
    return sti_span_from(x->text + w->name, w->name_bytes);
}

STI_COLD static st_status sti_index_check_keys(sti_opening *o, const sti_index_file *x, const st_pair *pairs,
                                               uint32_t count, const char *sentence) {
    sti_name_table keys;
    uint32_t repeated;
    if (!sti_take_table(o, &keys, pairs, count)) return ST_ERR_MEMORY;
    repeated = sti_table_build(&keys, NULL);
    if (repeated == STI_ABSENT) return ST_OK;
    o->current = NULL;
    return sti_index_fail(x, sti_table_name(&keys, repeated), ST_ERR_DUPLICATE, sentence);
}

/* Returns the names of the weight_map as the keys of pairs in scratch, or NULL if memory runs out. */
STI_COLD static st_pair *sti_index_pairs(sti_opening *o, const sti_index_file *x) {
    st_pair *pairs = (st_pair *)sti_take_scratch(o, x->weight_count, sizeof *pairs);
    uint32_t i;
    for (i = 0; pairs && i < x->weight_count; i++) {
        pairs[i].key = x->text + x->weights[i].name;
        pairs[i].key_bytes = x->weights[i].name_bytes;
    }
    return pairs;
}

/* Fails if the weight_map repeats a name; otherwise returns `status`. A repeated name takes precedence over the faults
 * of shards, so this runs after any of them. A model without a fault needs no such table: sti_index_check looks up each
 * weight and finds repeated ones. */
STI_COLD static st_status sti_index_check_unique(sti_opening *o, const sti_index_file *x, st_status status) {
    st_status s;
    if (!x->weight_count) return status; /* a set of shards without an index */
    s = sti_index_check_keys(o, x, sti_index_pairs(o, x), x->weight_count, STI_TEXT("duplicate tensor name"));
    return s == ST_OK ? status : s;
}

/* ---- several files: an index and its shards */

STI_COLD static st_status sti_open_file(sti_opening *o, sti_opened_file *p, const char *path) {
    st_io io;
    int code;
    p->path = path;
    ST_MEMSET(&io, 0, sizeof io);
    code = (o->files.open)(o->files.user, path, &io);
    o->open_code = (signed char)(code == (signed char)code ? code : 127);
    if (code) return sti_fail_code(o->error, code, STI_NO_OFFSET, STI_TEXT("cannot open the file"));
    p->io = io; /* only now: a callback that fails may leave anything in io */
    p->is_open = 1;
    if (sti_io_is_readable(&p->io)) return ST_OK;
    return sti_fail_plain(o->error, ST_ERR_ARGUMENT, STI_TEXT("st_io has neither read_at nor mapped"));
}

/* Copies the paths of all files from scratch into the model's block, and the stem, which is shorter than the first. */
STI_COLD static void sti_copy_paths(sti_opening *o) {
    st_shard *shards = o->layout.shards - o->opened_count; /* sti_add_file advanced it past all of them */
    sti_shard_parts name;
    uint32_t i;
    for (i = 0; i < o->opened_count; i++) shards[i].path = sti_copy_text(&o->layout.text, sti_span_of(shards[i].path));
    o->layout.model->label = shards->path;
    o->layout.model->base.stem = "model";
    if (!sti_split_shard_name(sti_file_name(shards->path), &name)) return;
    o->layout.model->base.stem = sti_copy_text(&o->layout.text, name.prefix);
    o->layout.text--; /* the variant goes where the prefix ended */
    (void)sti_copy_text(&o->layout.text, name.variant);
}

STI_COLD static st_status sti_open_one_file(sti_opening *o, const char *path) {
    st_status s = sti_open_file(o, &o->single, path);
    o->sums.text = sti_multiply_saturated(sti_span_of(path).n + 1, 2); /* the stem, too */
    if (s == ST_OK) s = sti_open_source(o);
    if (s == ST_OK) sti_copy_paths(o);
    return s;
}

STI_COLD static st_status sti_index_load(sti_opening *o, sti_index_file *x, const char *path) {
    sti_opened_file *p = o->opened;
    st_status s = sti_open_file(o, p, path);
    sti_span text;
    size_t valid;
    const char *foreign;
    int code;
    if (s != ST_OK) return s;
    if (p->io.bytes > o->limit) {
        return sti_fail(o->error, ST_ERR_HEADER_LIMIT, STI_NO_OFFSET, o->limit, p->io.bytes,
                        STI_TEXT("index of $a bytes exceeds the limit of $e"));
    }
    text.n = (size_t)p->io.bytes;
    text.at = x->text = (char *)sti_take_scratch(o, text.n, 1);
    x->weights = (sti_weight *)sti_take_scratch(o, text.n / STI_MIN_WEIGHT_BYTES, sizeof *x->weights);
    if (!text.at || !x->weights) return ST_ERR_MEMORY;
    code = text.n ? sti_io_read(&p->io, 0, x->text, text.n) : 0;
    if (code) return sti_fail_code(o->error, code, 0, STI_TEXT("cannot read the file"));
    sti_close_file(o, p);
    x->json = sti_json_of_text(text);
    x->json.error = o->error;
    valid = sti_utf8_prefix(x->json.at, text.n);
    text.n = text.n < STI_FORMAT_BYTES ? text.n : STI_FORMAT_BYTES;
    foreign = sti_foreign_format(text, 1); /* before parsing changes the text */
    s = valid == (size_t)p->io.bytes
            ? sti_index_parse(x)
            : sti_fail(o->error, ST_ERR_UTF8, valid, 0, 0, STI_TEXT("invalid UTF-8 in the index"));
    return s == ST_OK || s == ST_ERR_PATH || !foreign ? s : sti_fail(o->error, ST_ERR_FORMAT, 0, 0, 0, foreign);
}

/* Loads the index and reads its metadata, whose keys must be unique. */
STI_COLD static st_status sti_index_read(sti_opening *o, sti_index_file *x, const char *path) {
    st_status s = sti_index_load(o, x, path);
    sti_json j = x->json;
    if (s != ST_OK || !x->metadata_offset) return s;
    x->pairs = (st_pair *)sti_take_scratch(o, x->pair_count, sizeof *x->pairs);
    if (!x->pairs) return ST_ERR_MEMORY;
    j.at += x->metadata_offset;
    (void)sti_index_metadata(x, &j, x->pairs); /* cannot fail: sti_index_parse parsed it */
    return sti_index_check_keys(o, x, x->pairs, x->pair_count, STI_TEXT("duplicate metadata key"));
}

STI_COLD static st_status sti_fail_shard_count(const sti_opening *o, uint32_t count) {
    return sti_fail(o->error, ST_ERR_TOO_LARGE, STI_NO_OFFSET, STI_MAX_SHARDS, count,
                    STI_TEXT("model of $a shards exceeds the limit of $e"));
}

/* Numbers the shards in the order of their paths and stores the numbers in x->weights. Sets first[i] to the first run
 * of weights of shard i. */
STI_NOINLINE static st_status sti_index_number_shards(sti_opening *o, sti_index_file *x, sti_name_table *paths,
                                                      uint32_t *first, uint32_t *count) {
    st_pair *runs = (st_pair *)sti_take_scratch(o, x->run_count, sizeof *runs);
    uint32_t *same = (uint32_t *)sti_take_scratch(o, x->run_count, sizeof *same), i, run;
    if (!sti_take_table(o, paths, runs, x->run_count) || !same) return ST_ERR_MEMORY;
    for (i = run = 0; i < x->weight_count; i++) {
        if (i && x->weights[i].shard == x->weights[i - 1].shard) continue;
        runs[run].key = x->text + x->weights[i].shard;
        runs[run].key_bytes = sti_span_of(runs[run].key).n;
        run++;
    }
    (void)sti_table_build(paths, NULL);
    for (run = *count = 0; run < x->run_count; run++) {
        same[run] = sti_table_find(paths, sti_table_name(paths, run)); /* the first run with this path */
        if (same[run] == run) first[(*count)++] = run;
    }
    if (*count > STI_MAX_SHARDS) return sti_fail_shard_count(o, *count);
    sti_sort(first, *count, sizeof *first, sti_name_less, paths);
    for (i = 0; i < *count; i++) runs[first[i]].value_bytes = i; /* the shard's number */
    for (i = run = 0; i < x->weight_count; i++) {
        if (x->text + x->weights[i].shard != runs[run].key) run++;
        x->weights[i].shard = (uint32_t)runs[same[run]].value_bytes;
    }
    return ST_OK;
}

/* Sets o->opened to the shards that the index names, with their paths. */
STI_COLD static st_status sti_index_list_shards(sti_opening *o, sti_index_file *x) {
    const size_t directory = sti_system_directory_length(o->label);
    uint32_t *first = (uint32_t *)sti_take_scratch(o, x->run_count, sizeof *first), count = 0, i;
    size_t path_bytes = 0;
    sti_opened_file *shards;
    sti_name_table paths;
    char *text;
    st_status s = first ? sti_index_number_shards(o, x, &paths, first, &count) : ST_ERR_MEMORY;
    if (s != ST_OK) return s;
    for (i = 0; i < count; i++) {
        path_bytes =
            sti_add_saturated(path_bytes, sti_add_saturated(directory, sti_table_name(&paths, first[i]).n + 1));
    }
    shards = (sti_opened_file *)sti_take_scratch(o, count, sizeof *shards);
    text = (char *)sti_take_scratch(o, path_bytes, 1);
    if (!shards || !text) return ST_ERR_MEMORY;
    ST_MEMSET(shards, 0, count * sizeof *shards); /* cannot overflow: sti_take_scratch took this size */
    for (i = 0; i < count; i++) {
        shards[i].path = text;
        ST_MEMCPY(text, o->label, directory);
        text += directory;
        (void)sti_copy_text(&text, sti_table_name(&paths, first[i]));
    }
    o->sums.pairs = x->pair_count;
    o->sums.text =
        sti_add_saturated(path_bytes, sti_add_saturated(sti_span_of(o->label).n, sti_span_of(shards->path).n + 2));
    for (i = 0; i < x->pair_count; i++) {
        const st_pair *p = &x->pairs[i];
        o->sums.text = sti_add_saturated(o->sums.text, sti_add_saturated(p->key_bytes, p->value_bytes + 2));
    }
    o->opened = shards;
    o->opened_count = count;
    return ST_OK;
}

/* Discards the model begun so far and fails with the error that opening this shard alone would report. */
STI_COLD static st_status sti_fail_alone(sti_opening *o, sti_opened_file *p) {
    sti_opened_file *opened = o->opened;
    const uint32_t count = o->opened_count;
    st_status s;
    sti_deallocate(&o->memory, o->layout.model, o->layout.bytes);
    o->layout.model = NULL;
    o->current = o->opened = p;
    o->opened_count = 1;
    ST_MEMSET(&o->sums, 0, sizeof o->sums);
    sti_add_sums(&o->sums, &p->header);
    s = sti_take_model_block(o);
    if (s == ST_OK) s = sti_add_file(o, p);
    o->opened = opened;
    o->opened_count = count;
    return s == ST_OK ? sti_fail_code(o->error, STI_IO_CHANGED, STI_NO_OFFSET, NULL) : s;
}

/* Reopens a file of the model. Returns 0 if it is still the same file, to be closed with files->close, or a code. */
STI_COLD static int sti_reopen_io(const st_files *files, const char *path, const st_io *first, st_io *io) {
    int code;
    ST_MEMSET(io, 0, sizeof *io);
    code = (files->open)(files->user, path, io);
    if (code) return code == ST_IO_NOT_FOUND || code == STI_IO_DANGLING ? STI_IO_CHANGED : code;
    if (sti_is_same_file(io, first) && (io->read_at || io->mapped)) return 0;
    (files->close)(files->user, io);
    return STI_IO_CHANGED;
}

/* Fails with a sentence about the tensor or shard `name`, followed by the paths of one or two shards. */
STI_COLD static st_status sti_fail_shard(const sti_opening *o, sti_span name, const char *sentence, const char *path,
                                         const char *conjunction, const char *other_path) {
    (void)sti_fail_plain(o->error, ST_ERR_SHARD, sentence);
    if (path) sti_error_append(o->error, " ", sti_span_of(path));
    if (other_path) sti_error_append(o->error, conjunction, sti_span_of(other_path));
    sti_error_set_subject(o->error, name, STI_SHOW_NAME);
    return ST_ERR_SHARD;
}

/* Parses the header of a shard whose scratch was released. It must hold as much as before. */
STI_COLD static st_status sti_reparse_file(sti_opening *o, sti_opened_file *p) {
    const sti_header before = p->header;
    const sti_sums sums = o->sums;
    const st_io io = p->io;
    const int is_kept = p - o->opened < o->kept_files; /* open: another descriptor might be one too many */
    const int code = is_kept ? 0 : sti_reopen_io(&o->files, p->path, &io, &p->io);
    st_status s =
        code ? sti_fail_code(o->error, code, STI_NO_OFFSET, STI_TEXT("cannot open the file")) : sti_parse_file(o, p);
    if (!code && !is_kept) (o->files.close)(o->files.user, &p->io);
    p->io = io;
    o->sums = sums;
    if (s != ST_OK ||
        (p->offsets_status == ST_OK && p->header.tensors == before.tensors && p->header.pairs == before.pairs &&
         p->header.dimensions == before.dimensions && p->header.text_bytes == before.text_bytes)) {
        return s;
    }
    return sti_fail_code(o->error, STI_IO_CHANGED, STI_NO_OFFSET, NULL);
}

/* Returns 1 if the file system reports this shard as the same file as an earlier one. `seen` is a hash set of shard
 * numbers + 1 with 2 * o->opened_count slots. */
static int sti_is_file_seen(const sti_opening *o, uint32_t shard, uint32_t *seen) {
    const uint32_t slots = 2 * o->opened_count;
    const st_io *io = &o->opened[shard].io;
    uint32_t slot = (uint32_t)((sti_hash_fold(io->id[0] ^ io->id[1], 0x9E3779B97F4A7C15u) >> 32) * slots >> 32);
    if (!(io->id[0] | io->id[1])) return 0; /* unknown */
    for (; seen[slot]; slot = slot + 1 < slots ? slot + 1 : 0) {
        const st_io *other = &o->opened[seen[slot] - 1].io;
        if (io->id[0] == other->id[0] && io->id[1] == other->id[1] && io->bytes == other->bytes) return 1;
    }
    seen[slot] = shard + 1;
    return 0;
}

/* Closes a file that is reopened when it is read; a mapping stays. */
static void sti_release_file(sti_opening *o, sti_opened_file *p) {
#if !defined(ST_NO_FILES)
    if (o->is_system && p->io.mapped) sti_system_close_handle(&p->io);
#endif
    if (!p->io.mapped) sti_close_file(o, p);
}

/* Opens one shard and parses its header. */
STI_COLD static st_status sti_open_shard(sti_opening *o, uint32_t shard, uint32_t *seen) {
    sti_opened_file *p = &o->opened[shard];
    st_status s = sti_open_file(o, p, p->path);
    const sti_span name = sti_drop_first(sti_span_of(p->path), sti_system_directory_length(o->label));
#if !defined(ST_NO_FILES)
    if (s == ST_ERR_IO && o->is_system && sti_system_is_out_of_files(o->open_code)) { /* keep none open; try again */
        for (; o->kept_files; o->kept_files--) {
            if (o->kept_files <= shard) sti_release_file(o, &o->opened[o->kept_files - 1]);
        }
        s = sti_open_file(o, p, p->path);
    }
#endif
    if (s == ST_ERR_NOT_FOUND) {
        if (o->flags & ST_OPEN_PARTIAL) return ST_OK;
        return sti_fail_shard(o, name,
                              o->open_code == STI_IO_DANGLING
                                  ? STI_TEXT("shard is a link to a missing file: is the download finished?")
                                  : STI_TEXT("shard does not exist (ST_OPEN_PARTIAL opens the others)"),
                              NULL, NULL, NULL);
    }
    if (s == ST_OK && o->is_system && sti_is_file_seen(o, shard, seen)) {
        return sti_fail_shard(o, name, STI_TEXT("shard is the same file as another shard"), NULL, NULL, NULL);
    }
    o->current = p;
    if (s == ST_OK) s = sti_parse_file(o, p);
    if (s == ST_OK && p->offsets_status != ST_OK) s = sti_fail_alone(o, p);
    if (s == ST_OK) s = sti_map_file(o, &p->io);
    if (s != ST_OK) return sti_explain_format(o, s);
    o->current = NULL;
    if (shard >= o->kept_files) sti_release_file(o, p);
    return ST_OK;
}

/* Opens all shards to learn the size of the model. Keeps the parsed headers up to STI_KEPT_HEADER_BYTES;
 * sti_fill_model parses the others again. Keeping all would take more memory than the model. */
STI_COLD static st_status sti_parse_shards(sti_opening *o) {
    uint32_t *seen = (uint32_t *)sti_take_scratch(o, o->opened_count, 2 * sizeof *seen), i;
    size_t kept = 0;
    if (!seen) return ST_ERR_MEMORY;
    ST_MEMSET(seen, 0, o->opened_count * 2 * sizeof *seen);
    if (o->is_system && o->opened_count > STI_MAX_MAPPED && !(o->flags & ST_OPEN_MUST_MAP)) o->flags |= ST_OPEN_NO_MAP;
    for (i = 0; i < o->opened_count; i++) {
        sti_chunk *last = o->memory.chunks;
        sti_opened_file *p = &o->opened[i];
        st_status s = sti_open_shard(o, i, seen);
        if (s != ST_OK) return s;
        if (o->sums.tensors > STI_MAX_NAMES || o->sums.pairs > STI_MAX_NAMES) {
            return sti_fail(o->error, ST_ERR_TOO_LARGE, STI_NO_OFFSET, STI_MAX_NAMES, o->sums.tensors,
                            STI_TEXT("more than $e tensors or metadata entries"));
        }
        kept = sti_add_saturated(kept, p->header_bytes);
        if (kept <= STI_KEPT_HEADER_BYTES) continue;
        sti_arena_release(&o->memory, last, 0);
        p->text = NULL;
    }
    return ST_OK;
}

STI_COLD static st_status sti_fill_model(sti_opening *o) {
    st_status s = sti_take_model_block(o);
    uint32_t i;
    for (i = 0; s == ST_OK && i < o->opened_count; i++) {
        sti_chunk *last = o->memory.chunks;
        sti_opened_file *p = o->current = &o->opened[i];
        if (!p->text && p->io.bytes) s = sti_reparse_file(o, p);
        if (s == ST_OK && sti_add_file(o, p) != ST_OK) s = sti_fail_alone(o, p);
        sti_arena_release(&o->memory, last, 0);
    }
    return s;
}

/* Reports a tensor name that one shard repeats, as if the shard were opened alone. */
STI_COLD static st_status sti_fail_repeated_in(sti_opening *o, uint32_t shard) {
    sti_opened_file *p = o->current = &o->opened[shard];
    const st_status s = sti_reparse_file(o, p);
    return s == ST_OK ? sti_fail_alone(o, p) : s;
}

/* Reports a repeated tensor name: in one shard as if the shard were opened alone, or in two. */
STI_COLD static st_status sti_fail_repeated_tensor(sti_opening *o, uint32_t item) {
    const sti_name_table *names = &o->layout.model->names;
    const st_tensor *t = names->tensors, *other = t;
    while (!sti_span_equal(sti_table_name(names, (uint32_t)(other - t)), sti_table_name(names, item))) other++;
    if (other->shard == t[item].shard) return sti_fail_repeated_in(o, other->shard);
    return sti_fail_shard(o, sti_table_name(names, item),
                          STI_TEXT("tensor is in two shards (ST_OPEN_INDEX_DECIDES chooses by the index):"),
                          o->opened[other->shard].path, " and ", o->opened[t[item].shard].path);
}

/* ST_OPEN_INDEX_DECIDES: drops the copies of tensors that the index assigns to other shards which hold them, or are
 * missing. */
STI_COLD static st_status sti_drop_copies(sti_opening *o, const sti_index_file *x) {
    st_model *m = &o->layout.model->base;
    st_tensor *const first = o->layout.tensors - m->count, *const end = o->layout.tensors, *to = first, *t;
    sti_name_table table;
    st_pair *pairs;
    uint32_t i;
    if (m->shard_count == 1) return ST_OK;
    pairs = sti_index_pairs(o, x);
    if (!sti_take_table(o, &table, pairs, x->weight_count)) return ST_ERR_MEMORY;
    for (i = 0; i < x->weight_count; i++) {
        pairs[i].value = o->opened[x->weights[i].shard].io.bytes ? NULL : ""; /* not NULL: copies are dropped */
        pairs[i].value_bytes = SIZE_MAX;                                      /* the last shard that holds it */
    }
    (void)sti_table_build(&table, NULL); /* sti_index_check finds repeated names */
    for (t = first; t < end; t++) {
        i = sti_table_find(&table, sti_span_from(t->name, t->name_bytes));
        if (i == STI_ABSENT) continue;
        if (pairs[i].value_bytes == t->shard) return sti_fail_repeated_in(o, t->shard);
        pairs[i].value_bytes = t->shard;
        if (x->weights[i].shard == t->shard) pairs[i].value = "";
    }
    for (t = first; t < end; t++) {
        i = sti_table_find(&table, sti_span_from(t->name, t->name_bytes));
        if (i != STI_ABSENT && x->weights[i].shard != t->shard && pairs[i].value) {
            m->bytes -= t->bytes;
        } else {
            *to++ = *t;
        }
    }
    m->count -= (size_t)(end - to);
    return ST_OK;
}

/* Builds the tables of names and keys, and checks that the shards hold the tensors that the index assigns to them. */
STI_NOINLINE static st_status sti_index_check(sti_opening *o, sti_index_file *x) {
    sti_name_table *names = &o->layout.model->names, *keys = &o->layout.model->keys;
    const st_tensor *t = o->layout.model->base.tensors;
    unsigned char *seen = (unsigned char *)sti_take_scratch(o, o->sums.tensors, 1); /* 1: the index names the tensor */
    uint32_t items[STI_FIND_BATCH], item, i, k;
    sti_span ahead[STI_FIND_BATCH];
    int is_partial = 0;
    const st_status s = !seen ? ST_ERR_MEMORY : o->flags & ST_OPEN_INDEX_DECIDES ? sti_drop_copies(o, x) : ST_OK;
    if (s != ST_OK) return s;
    ST_MEMSET(seen, 0, o->sums.tensors);
    if (o->opened_count > 1) { /* sti_add_file built the tables of a single shard */
        keys->pairs = o->layout.model->base.shards->metadata;
        keys->count = (uint32_t)o->layout.model->base.shards->metadata_count;
        (void)sti_table_build(keys, NULL);
        names->tensors = t;
        names->count = (uint32_t)o->layout.model->base.count;
        item = sti_table_build(names, NULL);
        if (item != STI_ABSENT) return sti_fail_repeated_tensor(o, item);
    }
    for (i = 0; i < x->weight_count; i++) {
        const sti_weight *w = &x->weights[i];
        const sti_opened_file *assigned = &o->opened[w->shard];
        const sti_span name = sti_weight_name(x, w);
        if (i % STI_FIND_BATCH == 0) {
            for (k = 0; k < STI_FIND_BATCH && k < x->weight_count - i; k++) ahead[k] = sti_weight_name(x, w + k);
            sti_table_find_many(names, ahead, k, items);
        }
        item = items[i % STI_FIND_BATCH];
        if (item != STI_ABSENT && seen[item]++) {
            return sti_index_fail(x, name, ST_ERR_DUPLICATE, STI_TEXT("duplicate tensor name"));
        }
        if (!assigned->io.bytes || (item == STI_ABSENT && o->flags & ST_OPEN_PARTIAL)) {
            is_partial = 1; /* without the flag there is no missing shard */
            continue;
        }
        if (item != STI_ABSENT && t[item].shard == w->shard) continue;
        return sti_fail_shard(o, name, STI_TEXT("the index assigns this tensor to a shard that does not contain it:"),
                              assigned->path, ", and not ", item == STI_ABSENT ? NULL : o->opened[t[item].shard].path);
    }
    return is_partial ? sti_index_check_unique(o, x, ST_OK) : ST_OK;
}

/* Opens the listed shards as one model. x: the index, or one without weights. */
STI_COLD static st_status sti_open_shards(sti_opening *o, sti_index_file *x) {
    sti_layout *l = &o->layout;
    uint32_t i;
    st_status s = sti_parse_shards(o);
    if (s == ST_OK) s = sti_fill_model(o);
    if (s == ST_OK) {
        o->current = NULL;
        s = sti_index_check(o, x);
    }
    if (s != ST_OK) return sti_index_check_unique(o, x, s);
    sti_copy_paths(o);
    l->model->label = sti_copy_text(&l->text, sti_span_of(o->label));
    if (!x->metadata_offset) return ST_OK;
    l->model->base.index = l->pairs;
    l->model->base.index_count = x->pair_count;
    for (i = 0; i < x->pair_count; i++) {
        st_pair *p = &l->pairs[i];
        *p = x->pairs[i];
        p->key = sti_copy_text(&l->text, sti_span_from(p->key, p->key_bytes));
        p->value = sti_copy_text(&l->text, sti_span_from(p->value, p->value_bytes));
    }
    return ST_OK;
}

/* Prepares to open a model of several files that messages call `label`. */
STI_COLD static st_status sti_begin_shards(sti_opening *o, sti_index_file *x, const char *label) {
    o->label = label;
    o->kept_files = STI_MAX_OPEN_FILES;
    ST_MEMSET(x, 0, sizeof *x);
    if (!o->memory.work) return ST_OK;
    return sti_fail_plain(o->error, ST_ERR_ARGUMENT,
                          STI_TEXT("options.work is for models of one file: set options.allocator instead"));
}

/* Opens a model of several files by the path of its index. */
STI_COLD static st_status sti_open_index(sti_opening *o, const char *path) {
    sti_index_file index;
    st_status s = sti_begin_shards(o, &index, path);
    if (s == ST_OK) s = sti_index_read(o, &index, path);
    if (s != ST_OK) return s;
    s = sti_index_list_shards(o, &index);
    return s == ST_OK ? sti_open_shards(o, &index) : sti_index_check_unique(o, &index, s);
}

/* ---- directories */

#define STI_NAME_BYTES 768u /* holds any file name: on Windows 255 units of up to 3 bytes in UTF-8 */

/* Opens the complete set of shards to which the file at `path` belongs. */
STI_COLD static st_status sti_open_set(sti_opening *o, const char *path) {
    const size_t directory = sti_system_directory_length(path);
    const size_t path_bytes = sti_span_of(path).n + 1 + STI_DIGITS; /* NNNNN can have fewer digits than MMMMM */
    char *label = (char *)sti_take_scratch(o, path_bytes, 1), *text;
    sti_index_file no_index;
    sti_opened_file *shards;
    sti_shard_parts name;
    uint32_t i;
    st_status s;
    if (!label) return ST_ERR_MEMORY;
    text = label;
    (void)sti_copy_text(&text, sti_span_from(path, directory));
    s = sti_begin_shards(o, &no_index, label);
    if (s != ST_OK || !sti_split_shard_name(sti_file_name(path), &name)) return s;
    if (name.total > STI_MAX_SHARDS) return sti_fail_shard_count(o, name.total);
    shards = (sti_opened_file *)sti_take_scratch(o, name.total, sizeof *shards);
    text = (char *)sti_take_scratch(o, name.total, path_bytes);
    if (!shards || !text) return ST_ERR_MEMORY;
    ST_MEMSET(shards, 0, name.total * sizeof *shards);
    for (i = 0; i < name.total; i++, text += path_bytes) {
        shards[i].path = text;
        *text = 0;
        sti_put(text, path_bytes, sti_span_of(label));
        sti_put(text, path_bytes, name.prefix);
        sti_put(text, path_bytes, sti_span_of("-"));
        sti_put_padded(text, path_bytes, i + 1, name.digits);
        sti_put(text, path_bytes, name.rest);
    }
    o->sums.text = sti_multiply_saturated(name.total + 2, path_bytes); /* paths, label, stem */
    o->opened = shards;
    o->opened_count = name.total;
    return sti_open_shards(o, &no_index);
}

typedef struct sti_candidates { /* files of one kind that may be the model */
    uint32_t count;
    int is_model;              /* name starts with "model." */
    char name[STI_NAME_BYTES]; /* the one to open, or the lowest; "": none */
} sti_candidates;

typedef struct sti_listing { /* what a directory holds */
    sti_opening *opening;
    const char *directory;
    sti_candidates files, indexes, sets; /* sets.count: 1, or 2 for any larger number */
    uint32_t shards, members;            /* all shards; those of the set to which sets.name belongs */
    int skips_directories;               /* directories that are called like files do not count; asking takes time */
    int is_first;                        /* sti_listing_show_directory has shown none yet */
    char *path;                          /* buffer for the path of a file in the directory */
} sti_listing;

STI_COLD static void sti_candidates_add(sti_candidates *c, sti_span name, int is_model) {
    c->count++;
    if (c->is_model || (!is_model && *c->name && sti_compare_spans(sti_span_of(c->name), name) <= 0)) return;
    c->is_model = is_model;
    *c->name = 0;
    sti_put(c->name, sizeof c->name, name);
}

STI_COLD static int sti_stop_listing(void *arg, const char *name) {
    (void)arg, (void)name;
    return STI_IO_EXISTS;
}

/* Returns the path of a file in the directory, in l->path. */
STI_COLD static const char *sti_listing_path(const sti_listing *l, const char *name) {
    const sti_span directory = sti_span_of(l->directory);
    const size_t size = directory.n + 1 + STI_NAME_BYTES;
    *l->path = 0;
    sti_put(l->path, size, directory);
    if (sti_system_directory_length(l->directory) != directory.n) sti_put(l->path, size, sti_span_of("/"));
    sti_put(l->path, size, sti_span_of(name));
    return l->path;
}

/* Returns 1 if a name in the directory is that of a directory. A caller's st_files is not asked while it lists. */
STI_COLD static int sti_is_directory(const sti_listing *l, const char *name) {
    int code;
    if (!l->skips_directories || !l->opening->is_system) return 0;
    code = (l->opening->files.list)(NULL, sti_listing_path(l, name), sti_stop_listing, NULL);
    return code == 0 || code == STI_IO_EXISTS;
}

/* The callback of st_files.list. */
STI_COLD static int sti_listing_add(void *arg, const char *text) {
    sti_listing *l = (sti_listing *)arg;
    const char *wanted = l->opening->variant;
    sti_file_parts name;
    sti_shard_parts parts, first;
    int is_model;
    if (*text == '.' || sti_span_of(text).n >= STI_NAME_BYTES) return 0; /* hidden, nothing but a suffix, or no name */
    if (!sti_split_file_name(sti_span_of(text), &name)) return 0;
    if (wanted && !sti_span_equal(name.variant, sti_span_of(wanted))) return 0;
    if (name.is_index && (l->opening->flags & ST_OPEN_NO_INDEX)) return 0;
    if (sti_is_directory(l, text)) return 0;
    is_model = sti_span_equal(name.base, sti_span_of("model")) && (wanted || !name.variant.n);
    if (sti_split_shard_name(sti_span_of(text), &parts) > 1) {
        l->shards++;
        if (!l->sets.count) sti_candidates_add(&l->sets, sti_span_of(text), 0);
        (void)sti_split_shard_name(sti_span_of(l->sets.name), &first);
        if (parts.digits == first.digits && sti_span_equal(parts.prefix, first.prefix) &&
            sti_span_equal(parts.rest, first.rest) && parts.number >= 1 && parts.number <= parts.total) {
            l->members++;
        } else { /* of another set, or numbered from 0 */
            l->sets.count = 2;
        }
    } else {
        sti_candidates_add(name.is_index ? &l->indexes : &l->files, sti_span_of(text), is_model);
    }
    return 0;
}

static int sti_has_complete_set(const sti_listing *l) {
    sti_shard_parts parts;
    return l->sets.count == 1 && sti_split_shard_name(sti_span_of(l->sets.name), &parts) == l->members;
}

/* Lists a directory and sets *code to that of st_files.list. Returns NULL if memory runs out. */
STI_COLD static sti_listing *sti_list(sti_opening *o, const char *directory, int skips_directories, int *code) {
    const size_t path_bytes = sti_add_saturated(sti_span_of(directory).n, 1 + STI_NAME_BYTES);
    sti_listing *l = (sti_listing *)sti_take_scratch(o, sti_add_saturated(sizeof *l, path_bytes), 1);
    if (!l) return NULL;
    ST_MEMSET(l, 0, sizeof *l);
    l->opening = o;
    l->directory = directory;
    l->skips_directories = skips_directories;
    l->path = (char *)(l + 1);
    *code = (o->files.list)(o->files.user, directory, sti_listing_add, l);
    return l;
}

/* Appends the name of a candidate to the error. */
STI_COLD static int sti_listing_show(void *arg, const char *text) {
    sti_listing *l = (sti_listing *)arg;
    sti_file_parts name;
    sti_shard_parts shard;
    if (*text == '.' || sti_split_shard_name(sti_span_of(text), &shard) > 1) return 0;
    if (!sti_split_file_name(sti_span_of(text), &name) || name.is_index != (l->indexes.count > 0)) return 0;
    sti_error_append(l->opening->error, " ", sti_span_of(text));
    return 0;
}

/* Appends the name of a directory that holds a model to the error. */
STI_COLD static int sti_listing_show_directory(void *arg, const char *text) {
    const sti_listing *inner;
    sti_listing *l = (sti_listing *)arg;
    sti_opening *o = l->opening;
    st_error *const error = o->error;
    sti_chunk *last = o->memory.chunks;
    int code;
    if (*text == '.' || sti_span_of(text).n >= STI_NAME_BYTES) return 0;
    o->error = NULL; /* memory that runs out here is no error */
    inner = sti_list(o, sti_listing_path(l, text), 0, &code);
    if (inner && code == 0 && (inner->files.count || inner->indexes.count || inner->shards)) {
        sti_error_append(error, l->is_first ? "; directories with models: " : " ", sti_span_of(text));
        l->is_first = 0;
    }
    sti_arena_release(&o->memory, last, 0);
    o->error = error;
    return 0;
}

/* Reports a directory that holds no model, or no single choice. */
STI_COLD static st_status sti_listing_fail(sti_listing *l) {
    sti_opening *o = l->opening;
    const int has_several = l->indexes.count || l->files.count;
    const st_status status = has_several || l->shards ? ST_ERR_SHARD : ST_ERR_NOT_FOUND;
    sti_span name = sti_file_name(l->directory);
    (void)sti_fail(
        o->error, status, STI_NO_OFFSET, l->indexes.count, sti_add_saturated(l->files.count, l->shards),
        l->indexes.count ? STI_TEXT("found $e indexes, none called model.safetensors.index.json; choose one:")
        : has_several    ? STI_TEXT("found $a .safetensors files, but no index and no model.safetensors; choose one:")
        : !l->shards     ? STI_TEXT("found no .safetensors file and no index in this directory")
        : sti_has_complete_set(l) ? STI_TEXT("found no index for a complete set of shards (ST_OPEN_NO_INDEX opens it):")
                                  : STI_TEXT("found no index for the shard"));
    if (has_several) {
        if (o->error) (void)(o->files.list)(o->files.user, l->directory, sti_listing_show, l);
        if (sti_has_complete_set(l)) {
            sti_error_append(o->error, STI_TEXT("; ST_OPEN_NO_INDEX opens the set of "), sti_span_of(l->sets.name));
        }
    } else if (l->shards) {
        sti_error_append(o->error, " ", sti_span_of(l->sets.name));
    } else if (sti_starts_with(name, "models--", 8)) { /* models--owner--name */
        sti_span owner = name = sti_drop_first(name, 8);
        for (owner.n = 0; owner.n < name.n && !sti_starts_with(sti_drop_first(name, owner.n), "--", 2);) owner.n++;
        sti_error_append(o->error, "; a repository of the Hugging Face cache is opened with st_open_hub as ", owner);
        if (owner.n < name.n) sti_error_append(o->error, "/", sti_drop_first(name, owner.n + 2));
    } else if (o->is_system && o->error) {
        l->is_first = 1;
        (void)(o->files.list)(o->files.user, l->directory, sti_listing_show_directory, l);
    }
    return status;
}

/* Returns what is opened: model.safetensors, else an index or a set of shards, else the only file. NULL: no single
 * choice. */
STI_COLD static const sti_candidates *sti_choose(const sti_listing *l) {
    const sti_candidates *choice = l->opening->flags & ST_OPEN_NO_INDEX ? &l->sets : &l->indexes;
    if (l->files.is_model || !choice->count) choice = &l->files;
    return choice->is_model || (choice->count == 1 && (choice != &l->files || !l->shards)) ? choice : NULL;
}

STI_COLD static st_status sti_open_candidate(sti_opening *o, const sti_listing *l, const sti_candidates *choice) {
    const char *path = sti_listing_path(l, choice->name);
    st_status s;
    if (choice == &l->sets) return sti_open_set(o, path);
    if (choice == &l->files) {
        o->label = path;
        return sti_open_one_file(o, path);
    }
    s = sti_open_index(o, path);
    if (s == ST_ERR_SHARD && sti_has_complete_set(l)) {
        sti_error_append(o->error, STI_TEXT("; ST_OPEN_NO_INDEX opens the set of "), sti_span_of(l->sets.name));
    } else if (s == ST_ERR_SHARD && l->files.count == 1 && o->open_code != STI_IO_DANGLING) {
        sti_error_append(o->error, STI_TEXT("; beside it, a path opens "), sti_span_of(l->files.name));
    }
    return s;
}

STI_COLD static st_status sti_open_directory(sti_opening *o, const char *path) {
    const sti_candidates *choice;
    sti_listing *l;
    int tries, code;
    if (!o->files.list) return sti_fail_code(o->error, ST_IO_NOT_FOUND, STI_NO_OFFSET, NULL);
    for (tries = 0;; tries++) { /* once more if a directory that is called like a file may have been in the way */
        st_status s = ST_OK;
        o->label = path;
        l = sti_list(o, path, tries, &code);
        if (!l) return ST_ERR_MEMORY;
        if (code) return sti_fail_code(o->error, code, STI_NO_OFFSET, STI_TEXT("cannot list the directory"));
        choice = sti_choose(l);
        if (choice) s = sti_open_candidate(o, l, choice);
        if (choice && (tries || s != ST_ERR_NOT_FOUND || o->open_code != ST_IO_NOT_FOUND)) return s;
        if (tries || !o->is_system) return choice ? s : sti_listing_fail(l);
    }
}

/* ---- st_open */

STI_COLD static st_status sti_choose_files(sti_opening *o, const st_open_options *options) {
    o->variant = options ? options->variant : NULL;
    if (options && options->files) {
        o->files = *options->files;
        return ST_OK;
    }
#if defined(ST_NO_FILES)
    return sti_fail_plain(
        o->error, ST_ERR_UNSUPPORTED,
        STI_TEXT("built with ST_NO_FILES: set st_open_options.files, or use st_open_memory or st_open_io"));
#else
    o->is_system = 1;
    o->files.open = sti_system_open;
    o->files.close = sti_system_close;
    o->files.list = sti_system_list;
    return ST_OK;
#endif
}

STI_COLD static st_status sti_open_path(sti_opening *o, const char *path) {
    st_status s;
    if (o->variant) return sti_open_directory(o, path);
    if (!(o->flags & ST_OPEN_NO_INDEX) && sti_ends_with(sti_span_of(path), ".json")) return sti_open_index(o, path);
    s = sti_open_one_file(o, path);
    return s == ST_ERR_NOT_FOUND && o->open_code == ST_IO_NOT_FOUND ? sti_open_directory(o, path) : s;
}

ST_API st_status st_open(st_model **model, const char *path, const st_open_options *options, st_error *error) {
    sti_opening o;
    st_status s = sti_open_begin(&o, model, path ? path : "st_open", options, 2 * (path != NULL), error);
    if (s == ST_OK) s = sti_choose_files(&o, options);
    if (s == ST_OK) s = sti_open_path(&o, path);
    return sti_open_end(&o, model, s);
}

/* ---- the hub's cache */

#if !defined(ST_NO_FILES)
/* Concatenates texts in scratch, NUL-terminated. Returns NULL if memory runs out. */
STI_COLD static char *sti_join(sti_opening *o, const sti_span *texts, size_t count) {
    size_t n = 1, i;
    char *joined, *end;
    for (i = 0; i < count; i++) n = sti_add_saturated(n, texts[i].n);
    joined = end = (char *)sti_take_scratch(o, n, 1);
    if (!joined) return NULL;
    for (i = 0; i < count; i++) {
        ST_MEMCPY(end, texts[i].at, texts[i].n);
        end += texts[i].n;
    }
    *end = 0;
    return joined;
}

/* Returns the value of an environment variable in scratch, "" if it is not set; NULL if memory runs out. */
STI_COLD static char *sti_hub_variable(sti_opening *o, const char *name) {
    const size_t capacity = sti_add_saturated(sti_system_getenv(name, NULL, 0), 1);
    char *value = (char *)sti_take_scratch(o, capacity, 1);
    const size_t n = value ? sti_system_getenv(name, value, capacity) : 0;
    if (value && (n == 0 || n >= capacity)) *value = 0; /* another thread may have made it longer */
    return value;
}

/* Returns the cache directory that huggingface_hub would use; NULL if memory runs out. */
STI_COLD static char *sti_hub_root(sti_opening *o) {
    static const char *const names[] = {"HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "HF_HOME", "XDG_CACHE_HOME"};
    static const char *const subdirectories[] = {"", "", "/hub", "/huggingface/hub", "/.cache/huggingface/hub"};
    const char *value = "~", *home;
    sti_span texts[3];
    size_t i = 0;
    while (i < 4 && !sti_system_getenv(names[i], NULL, 0)) i++;
    if (i < 4) value = sti_hub_variable(o, names[i]);
    if (!value) return NULL;
    texts[0] = sti_span_of("");
    texts[1] = sti_span_of(value);
    texts[2] = sti_span_of(subdirectories[i]);
    if (value[0] == '~' && (!value[1] || value[1] == '/' || value[1] == '\\')) {
        home = sti_hub_variable(o, STI_HOME_VARIABLE);
        if (!home) return NULL;
        texts[0] = sti_span_of(home);
        if (texts[0].n) texts[1] = sti_drop_first(texts[1], 1);
    }
    return sti_join(o, texts, 3);
}

static int sti_is_commit(sti_span s) {
    size_t i;
    for (i = 0; i < s.n; i++) {
        if (!sti_is_one_of(s.at[i], "0123456789abcdefABCDEF")) return 0;
    }
    return s.n == 40;
}

/* The callback of st_files.list. */
STI_COLD static int sti_hub_visit(void *arg, const char *text) {
    const sti_span name = sti_span_of(text);
    if (sti_is_commit(name) || sti_ends_with(name, ".incomplete")) sti_candidates_add((sti_candidates *)arg, name, 0);
    return 0;
}

/* Appends to the error the first of up to `most` snapshots or unfinished downloads in a directory of the repository,
 * whose path is texts[0] to texts[4]. */
STI_COLD static void sti_hub_explain(sti_opening *o, const sti_span texts[5], const char *directory, uint32_t most,
                                     const char *words) {
    sti_candidates found;
    sti_span path[6];
    const char *joined;
    ST_MEMCPY(path, texts, 5 * sizeof *path);
    path[5] = sti_span_of(directory);
    ST_MEMSET(&found, 0, sizeof found);
    joined = o->error && o->files.list ? sti_join(o, path, 6) : NULL;
    if (joined) (void)(o->files.list)(o->files.user, joined, sti_hub_visit, &found);
    if (found.count && found.count <= most) sti_error_append(o->error, words, sti_span_of(found.name));
}

/* Finds the commit of a revision: the contents of its file in refs, or the revision itself. texts: the path of that
 * file in 7 parts, of which the last two are "/refs/" and the revision. */
STI_COLD static st_status sti_hub_commit(sti_opening *o, const sti_span texts[7], char commit[48]) {
    sti_opened_file *p = o->opened;
    sti_span text = texts[6];
    const char *path = sti_join(o, texts, 7);
    st_status s = path ? sti_open_file(o, p, path) : ST_ERR_MEMORY;
    int code;
    if (s == ST_ERR_NOT_FOUND && sti_is_commit(text)) {
        ST_MEMCPY(commit, text.at, text.n);
        return ST_OK;
    }
    if (s == ST_ERR_NOT_FOUND) {
        (void)sti_fail_plain(o->error, s, STI_TEXT("repository or revision not found in the cache: missing"));
        sti_error_append(o->error, " ", sti_span_of(path));
        sti_hub_explain(o, texts, "/snapshots", 1, "; the cache has only the revision ");
    }
    if (s != ST_OK) return s;
    text.at = commit;
    text.n = p->io.bytes <= 48 ? (size_t)p->io.bytes : 0; /* 40 digits and a line's end */
    code = text.n ? sti_io_read(&p->io, 0, commit, text.n) : 0;
    if (code) return sti_fail_code(o->error, code, 0, STI_TEXT("cannot read the revision"));
    sti_close_file(o, p);
    while (text.n && sti_is_blank(text.at[text.n - 1])) text.n--;
    if (sti_is_commit(text)) return ST_OK;
    (void)sti_fail_plain(o->error, ST_ERR_PATH, STI_TEXT("expected a commit of 40 hexadecimal digits in"));
    sti_error_append(o->error, " ", sti_span_of(path));
    return ST_ERR_PATH;
}

/* inside: a path in the repository, or NULL */
STI_COLD static st_status sti_open_repository(sti_opening *o, const char *repo, const char *revision,
                                              const char *inside) {
    sti_span texts[9], name = sti_span_of(repo);
    const char *fault = sti_path_fault(name, 0), *path;
    char commit[48];
    st_status s;
    for (texts[2] = name, texts[2].n = 0; texts[2].n < name.n && repo[texts[2].n] != '/'; texts[2].n++) {}
    texts[3] = texts[4] = sti_span_of("");
    if (texts[2].n < name.n) {
        texts[3] = sti_span_of("--");
        texts[4] = sti_drop_first(name, texts[2].n + 1);
    }
    if (!fault && sti_contains(texts[4], sti_span_of("/"))) fault = STI_TEXT("repository is not owner/name or name");
    if (!fault) fault = sti_path_fault(sti_span_of(revision), 0);
    if (!fault && inside) fault = sti_path_fault(sti_span_of(inside), 0);
    if (fault) return sti_fail_plain(o->error, ST_ERR_PATH, fault);
    if ((path = sti_hub_root(o)) == NULL) return ST_ERR_MEMORY;
    texts[0] = sti_span_of(path);
    texts[1] = sti_span_of("/models--");
    texts[5] = sti_span_of("/refs/");
    texts[6] = sti_span_of(revision);
    if ((s = sti_hub_commit(o, texts, commit)) != ST_OK) return s;
    texts[5] = sti_span_of("/snapshots/");
    texts[6] = sti_span_from(commit, 40);
    texts[7] = sti_span_of("/");
    texts[8] = sti_span_of(inside ? inside : "");
    if ((path = sti_join(o, texts, inside ? 9 : 7)) == NULL) return ST_ERR_MEMORY;
    s = inside ? sti_open_path(o, path) : sti_open_directory(o, path);
    if (s == ST_ERR_NOT_FOUND || s == ST_ERR_SHARD)
        sti_hub_explain(o, texts, "/blobs", UINT32_MAX, "; a download is unfinished: blobs/");
    return s;
}
#endif

ST_API st_status st_open_hub(st_model **model, const char *repo, const char *revision, const char *path,
                             const st_open_options *options, st_error *error) {
    sti_opening o;
    st_status s = sti_open_begin(&o, model, repo ? repo : "st_open_hub", options, 2 * (repo != NULL), error);
#if defined(ST_NO_FILES)
    (void)revision, (void)path;
    if (s == ST_OK) {
        s = sti_fail_plain(error, ST_ERR_UNSUPPORTED,
                           STI_TEXT("built with ST_NO_FILES: the Hugging Face cache is not available"));
    }
#else
    if (s == ST_OK) s = sti_choose_files(&o, options);
    if (s == ST_OK) s = sti_open_repository(&o, repo, revision ? revision : "main", path);
#endif
    return sti_open_end(&o, model, s);
}

ST_API void st_close(st_model *model) {
    sti_model *m = (sti_model *)(void *)model;
    sti_memory memory;
    size_t i;
    if (!m) return;
    for (i = 0; i < m->base.shard_count; i++) {
        if (m->files[i].is_open && m->source.close) (m->source.close)(m->source.user, &m->files[i].io);
    }
    memory = m->memory; /* a copy: it is part of the block to be freed */
    sti_deallocate(&memory, m, m->block_bytes);
}

/* ---- the files of an open model, for the rooms below */

/* Returns the name of a shard in messages. */
static const char *sti_model_path(const sti_model *m, uint32_t shard) {
    const char *path = m->base.shards[shard].path;
    return *path ? path : m->label;
}

/* Returns the bytes of a shard's file in memory, or NULL if they must be read. */
static const unsigned char *sti_model_bytes(const sti_model *m, uint32_t shard) {
    return m->files[shard].bytes;
}

/* Reopens a shard's file. Returns 0, and m->source.close must close the file, or a code. */
static int sti_model_reopen(const sti_model *m, uint32_t shard, st_io *io) {
    return sti_reopen_io(&m->source, m->base.shards[shard].path, &m->files[shard].io, io);
}

/* Reads n bytes of a shard's file; the caller checked the range. Returns 0 or a code. */
static int sti_model_read(const sti_model *m, uint32_t shard, uint64_t offset, void *dst, size_t n) {
    const unsigned char *bytes = sti_model_bytes(m, shard);
    st_io reopened;
    int code;
    if (n == 0) return 0;
    if (bytes) {
        ST_MEMCPY(dst, bytes + offset, n);
        return 0;
    }
    if (m->files[shard].is_open) return sti_io_read(&m->files[shard].io, offset, dst, n);
    code = sti_model_reopen(m, shard, &reopened);
    if (code) return code;
    code = sti_io_read(&reopened, offset, dst, n);
    (m->source.close)(m->source.user, &reopened);
    return code;
}

/* ---- finding */

ST_API const st_tensor *st_find_n(const st_model *model, const char *name, size_t name_bytes) {
    const sti_name_table *names;
    const sti_span key = sti_span_from(name, name_bytes);
    uint32_t item;
    if (!model || !name) return NULL;
    names = &((const sti_model *)(const void *)model)->names;
    item = sti_table_find_hashed(names, 1, key, sti_hash(names, key)); /* inlined: programs call this once per tensor */
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

ST_API size_t st_find_all(const st_model *model, const char *const *names, size_t count, const st_tensor **tensors,
                          unsigned char *used) {
    sti_span spans[STI_FIND_BATCH];
    uint32_t items[STI_FIND_BATCH], n, k;
    size_t found = 0, i;
    for (i = 0; i < count; i += n) {
        n = count - i < STI_FIND_BATCH ? (uint32_t)(count - i) : STI_FIND_BATCH;
        for (k = 0; k < n; k++) {
            spans[k] = sti_span_of(names && names[i + k] ? names[i + k] : "");
            items[k] = STI_ABSENT;
        }
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

ST_API int st_has_shape(const st_tensor *tensor, uint32_t rank, const uint64_t *shape) {
    uint32_t d;
    if (!tensor || tensor->rank != rank || (rank > 0 && !shape)) return 0;
    for (d = 0; d < rank; d++) {
        if (shape[d] != tensor->shape[d] && shape[d] != UINT64_MAX) return 0;
    }
    return 1;
}

/* ---- aliases */

typedef struct sti_alias_list { /* the same code measures it, then fills it */
    const st_model *model;
    st_alias *aliases; /* NULL: only measure */
    char *text;        /* the names, NUL-terminated */
    size_t count, text_bytes;
} sti_alias_list;

/* Adds an alias. `name` has the escapes of the file if is_escaped. */
STI_COLD static void sti_alias_add(sti_alias_list *a, sti_span name, int is_escaped, const st_tensor *tensor) {
    sti_json j = sti_json_of_text(name);
    unsigned char out[4];
    char *text = a->aliases ? a->text + a->text_bytes : NULL;
    size_t n, bytes = 0;
    for (; j.at < j.end; bytes += n) { /* bytes <= name.n */
        n = sti_json_character(&j, is_escaped, out);
        if (text) ST_MEMCPY(text + bytes, out, n);
    }
    if (text) {
        st_alias *alias = &a->aliases[a->count];
        text[bytes] = 0;
        alias->name = text;
        alias->name_bytes = bytes;
        alias->tensor = tensor;
    }
    a->count++;
    a->text_bytes = sti_add_saturated(a->text_bytes, bytes + 1);
}

/* Finds the tensor named by the JSON string at j. Sets *inside to the string between its quotes. */
STI_COLD static const st_tensor *sti_alias_find(const st_model *model, sti_json *j, sti_string *string,
                                                sti_span *inside) {
    char name[256];
    sti_json start = *j;
    inside->at = (const char *)j->at + 1;
    (void)sti_json_string(j, string, NULL); /* cannot fail: the index was parsed when it was opened */
    inside->n = (size_t)((const char *)j->at - inside->at) - 1;
    if (!string->escaped) return st_find_n(model, inside->at, inside->n);
    if (string->bytes > sizeof name) return NULL;
    (void)sti_json_string(&start, string, name);
    return st_find_n(model, name, string->bytes);
}

/* Adds one array of names that share their bytes, with j at its bracket. The first name that is a tensor stands for the
 * others, so a first pass finds it. */
STI_COLD static st_status sti_alias_group(sti_alias_list *a, sti_json *j) {
    const st_tensor *first = NULL, *t;
    sti_json start = *j;
    sti_span name, canonical = {NULL, 0};
    sti_string string;
    int more, pass;
    for (pass = 0; pass < 2; pass++) {
        *j = start;
        if (sti_json_peek(j) != '[') return ST_ERR_SCHEMA;
        (void)sti_json_enter(j, '[', &more, NULL);
        while (more) {
            if (sti_json_peek(j) != '"') return ST_ERR_SCHEMA;
            t = sti_alias_find(a->model, j, &string, &name);
            if (!first && t) {
                first = t;
                canonical = name;
            } else if (pass && first && name.at != canonical.at && t != first) {
                sti_alias_add(a, name, string.escaped, first);
            }
            (void)sti_json_next(j, '[', &more);
        }
    }
    return ST_OK;
}

/* Adds the index's param_sharing: an array of arrays of names. */
STI_COLD static st_status sti_alias_sharing(sti_alias_list *a, sti_span text) {
    sti_json j = sti_json_of_text(text);
    st_status s = ST_OK;
    int more;
    if (sti_json_peek(&j) != '[') return ST_ERR_SCHEMA;
    (void)sti_json_enter(&j, '[', &more, NULL);
    while (more && s == ST_OK) {
        s = sti_alias_group(a, &j);
        if (s == ST_OK) (void)sti_json_next(&j, '[', &more);
    }
    return s;
}

/* Adds a metadata entry that maps a dropped name to a kept one. tensor: the kept one, or NULL. */
STI_COLD static void sti_alias_pair(sti_alias_list *a, const st_pair *pair, const st_tensor *tensor) {
    if (tensor && !st_find_n(a->model, pair->key, pair->key_bytes)) {
        sti_alias_add(a, sti_span_from(pair->key, pair->key_bytes), 0, tensor);
    }
}

/* Adds the aliases in the metadata of the first file, then those in the index. */
STI_COLD static st_status sti_alias_add_all(sti_alias_list *a) {
    const st_model *m = a->model;
    st_status s = ST_OK;
    size_t i;
    for (i = 0; i < m->metadata_count; i++) {
        sti_alias_pair(a, &m->metadata[i], st_find_n(m, m->metadata[i].value, m->metadata[i].value_bytes));
    }
    for (i = 0; s == ST_OK && i < m->index_count; i++) {
        const st_pair *p = &m->index[i];
        const sti_span value = sti_span_from(p->value, p->value_bytes);
        if (sti_span_equal(sti_span_from(p->key, p->key_bytes), sti_span_of("param_sharing"))) {
            s = sti_alias_sharing(a, value);
        } else if (p->value[0] == '"') {
            sti_json j = sti_json_of_text(value);
            sti_span inside;
            sti_string string;
            sti_alias_pair(a, p, sti_alias_find(m, &j, &string, &inside));
        }
    }
    return s;
}

ST_API st_status st_aliases(const st_model *model, const st_buffer *memory, const st_alias **aliases, size_t *count,
                            st_error *error) {
    const sti_model *m = (const sti_model *)(const void *)model;
    st_buffer given = {NULL, 0};
    size_t skipped, need;
    sti_alias_list a;
    st_status s;
    if (memory) given = *memory;
    skipped = (8 - (uintptr_t)given.data % 8) % 8;
    if (!model || !aliases || !count || (!given.data && given.bytes)) {
        return sti_fail_plain(error, ST_ERR_ARGUMENT, STI_TEXT("model, aliases and count must not be NULL"));
    }
    ST_MEMSET(&a, 0, sizeof a);
    a.model = model;
    s = sti_alias_add_all(&a);
    if (s != ST_OK) {
        (void)sti_fail_plain(error, s, STI_TEXT("param_sharing in the index is not an array of arrays of names"));
        return sti_error_prepend_path(error, m->label, s);
    }
    need =
        sti_add_saturated(skipped, sti_add_saturated(sti_multiply_saturated(a.count, sizeof *a.aliases), a.text_bytes));
    *aliases = NULL;
    *count = a.count;
    if (a.count && need > given.bytes) {
        return sti_fail(error, ST_ERR_ARGUMENT, STI_NO_OFFSET, need, given.bytes,
                        STI_TEXT("memory too small: the aliases need $e bytes, $a given"));
    }
    if (a.count) {
        a.aliases = (st_alias *)(void *)((char *)given.data + skipped);
        a.text = (char *)(a.aliases + a.count);
        a.count = a.text_bytes = 0;
        (void)sti_alias_add_all(&a);
    }
    *aliases = a.aliases;
    return sti_succeed(error);
}

#if !defined(ST_NO_CONVERT)

/* ---- 15 numbers -----------------------------------------------------------------------------------------------------
 * Conversion between dtypes. The scalar path converts every pair: it decodes an element to an exact sti_number, then
 * rounds once. Vector kernels convert the most common pairs to the same bits.
 * uses: 5, 6, 10, 13
 * ------------------------------------------------------------------------------------------------------------------ */
enum { /* how a dtype encodes numbers */
       STI_KIND_NONE = 0,
       STI_KIND_BOOL = 1, /* 0 is false, every other code is true */
       STI_KIND_UNSIGNED = 2,
       STI_KIND_SIGNED = 3,
       STI_KIND_IEEE = 4,   /* exponent all ones: infinity and NaNs. This kind and those below are floats */
       STI_KIND_FN = 5,     /* no infinity; exponent and fraction all ones: NaN */
       STI_KIND_FNUZ = 6,   /* no infinity; the code of negative zero: NaN */
       STI_KIND_FINITE = 7, /* no infinity, no NaN */
       STI_KIND_POWER = 8   /* 2^exponent: no sign, no fraction, no zero; NaN as in FN */
};

typedef struct sti_number_format {
    unsigned char kind, exponent, fraction; /* exponent, fraction: widths in bits */
    short bias;
} sti_number_format;

static const sti_number_format sti_number_formats[] = {
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

typedef struct sti_number { /* the exact value of an element: significand * 2^(exponent - 63) */
    uint64_t significand; /* bit 63 is set unless the value is 0; for a NaN: its fraction, bit 63 set if it is quiet */
    int exponent;         /* the exponent of bit 63 */
    unsigned char negative, infinite, nan;
} sti_number;

/* Returns the lowest code, without its sign bit, that is not a finite number. */
static uint64_t sti_first_nonfinite(const sti_number_format *f) {
    const uint64_t sign = (uint64_t)1 << (f->exponent + f->fraction);
    if (f->kind == STI_KIND_IEEE) return sign - ((uint64_t)1 << f->fraction);
    return f->kind == STI_KIND_FN || f->kind == STI_KIND_POWER ? sign - 1 : sign;
}

/* Shifts a nonzero significand until bit 63 is set, and adjusts the exponent. */
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

static sti_number sti_decode_integer(const sti_number_format *f, unsigned bits, uint64_t code) {
    sti_number n = {0, 63, 0, 0, 0};
    n.negative = f->kind == STI_KIND_SIGNED && code >> (bits - 1);
    n.significand = f->kind == STI_KIND_BOOL ? code != 0 : n.negative ? (~code & UINT64_MAX >> (64 - bits)) + 1 : code;
    if (n.significand) sti_normalize(&n);
    return n;
}

static sti_number sti_decode_float(const sti_number_format *f, uint64_t code) {
    const unsigned sign_bit = (unsigned)f->exponent + f->fraction;
    const uint64_t sign = code >> sign_bit; /* F8_E8M0 has no bit there: always 0 */
    const uint64_t magnitude = code - (sign << sign_bit), nonfinite = sti_first_nonfinite(f);
    const int exponent = (int)(magnitude >> f->fraction);
    sti_number n = {0, 0, 0, 0, 0};
    n.negative = sign != 0;
    n.significand = magnitude << (63 - f->fraction); /* shifts the exponent out */
    if (magnitude >= nonfinite) {
        n.infinite = f->kind == STI_KIND_IEEE && magnitude == nonfinite;
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

/* Decodes an element. The bits of code above the width of the dtype are 0. */
static sti_number sti_decode(st_dtype dtype, uint64_t code) {
    const sti_number_format *f = &sti_number_formats[dtype];
    return f->kind < STI_KIND_IEEE ? sti_decode_integer(f, sti_dtypes[dtype].bits, code) : sti_decode_float(f, code);
}

/* Returns n / 2^drop rounded to the nearest integer, ties to even; drop > 0. */
static uint64_t sti_shift_rounded(uint64_t n, unsigned drop) {
    const uint64_t half = (uint64_t)1 << 63;
    uint64_t kept, rest;     /* rest: in units of 2^-64 */
    if (drop > 64) return 0; /* less than 1/2 */
    kept = drop < 64 ? n >> drop : 0;
    rest = drop < 64 ? n << (64 - drop) : n;
    return kept + (rest > half || (rest == half && (kept & 1)));
}

static uint64_t sti_encode_float(const sti_number_format *f, sti_number n) {
    /* out of range: IEEE goes to infinity, the others saturate */
    const uint64_t nonfinite = sti_first_nonfinite(f), limit = f->kind == STI_KIND_IEEE ? nonfinite : nonfinite - 1;
    const uint64_t sign = (uint64_t)n.negative << (f->exponent + f->fraction);
    const int biased = n.exponent + f->bias;
    uint64_t code = 0;
    if (n.nan) {
        const uint64_t quiet = n.significand | (uint64_t)1 << 63;
        if (f->kind == STI_KIND_IEEE) return sign | nonfinite | quiet >> (64 - f->fraction);
        return f->kind == STI_KIND_FNUZ ? nonfinite : sign | nonfinite;
    }
    if (n.infinite) return sign | limit;
    if (n.significand) {
        /* adding the significand with its leading 1 raises biased - 1 by one, or by two if rounding carries over */
        code = biased > 0
                   ? ((uint64_t)(biased - 1) << f->fraction) + sti_shift_rounded(n.significand, 63u - f->fraction)
                   : sti_shift_rounded(n.significand, (unsigned)(64 - f->fraction - biased));
        if (code > limit) code = limit;
    }
    return code || f->kind != STI_KIND_FNUZ ? sign | code : 0;
}

/* Encodes a number as an integer of `bits` bits, rounded and saturated, and sign-extended to 64 bits. */
static uint64_t sti_encode_integer(const sti_number_format *f, unsigned bits, sti_number n) {
    uint64_t limit = UINT64_MAX >> (64 - bits), magnitude = UINT64_MAX;
    if (f->kind == STI_KIND_SIGNED) {
        limit = (limit >> 1) + n.negative;
    } else if (n.negative) {
        limit = 0;
    }
    if (n.nan) return 0;
    if (!n.infinite && n.exponent < 63) {
        magnitude = sti_shift_rounded(n.significand, (unsigned)(63 - n.exponent));
    } else if (!n.infinite && n.exponent == 63) {
        magnitude = n.significand;
    }
    if (magnitude > limit) magnitude = limit;
    return n.negative && magnitude ? ~magnitude + 1 : magnitude;
}

static uint64_t sti_encode(st_dtype dtype, sti_number n) {
    const sti_number_format *f = &sti_number_formats[dtype];
    if (f->kind >= STI_KIND_IEEE) return sti_encode_float(f, n);
    if (f->kind == STI_KIND_BOOL) return n.significand || n.infinite || n.nan;
    return sti_encode_integer(f, sti_dtypes[dtype].bits, n);
}

/* Returns the code of element `index` of src. Packed elements start at the low bits. Elements of several bytes are
 * little-endian if is_little is set, else in the byte order of the machine. */
static uint64_t sti_get_code(const unsigned char *src, uint64_t index, unsigned bits, int is_little) {
    if (bits < 8) { /* 4 elements fill bits / 2 bytes; index * bits could overflow */
        const unsigned bit = (unsigned)(index % 4) * bits;
        const unsigned char *first = src + (size_t)(index / 4 * (bits / 2)) + bit / 8;
        unsigned code = (unsigned)*first >> bit % 8;
        if (bit % 8 + bits > 8) code |= (unsigned)first[1] << (8 - bit % 8);
        return code & ((1u << bits) - 1);
    }
    src += (size_t)index * (bits / 8);
#if STI_BIG_ENDIAN
    if (!is_little) {
        uint64_t code = 0;
        unsigned i;
        for (i = 0; i < bits; i += 8) code = code << 8 | *src++;
        return code;
    }
#else
    (void)is_little;
#endif
    switch (bits) {
    case 8: return *src;
    case 16: return (uint64_t)src[0] | (uint64_t)src[1] << 8;
    case 32: return sti_load32(src);
    default: return sti_load64(src);
    }
}

/* Stores the low bits of code in the byte order of the machine. */
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

/* Returns 1 if the library converts `from` to `to`; both dtypes are known. */
static int sti_is_convertible(st_dtype to, st_dtype from) {
    const unsigned kind = sti_number_formats[to].kind;
    return to == from ||
           (kind != STI_KIND_NONE && kind < STI_KIND_FINITE && sti_number_formats[from].kind != STI_KIND_NONE);
}

/* Returns the size of `elements` elements, which fill whole bytes, or SIZE_MAX if it overflows. */
STI_NOINLINE static size_t sti_packed_bytes(st_dtype dtype, size_t elements) {
    const unsigned bits = sti_dtypes[dtype].bits;
    return bits < 8 ? elements / 4 * (bits / 2) + elements % 4 * bits / 8 : sti_multiply_saturated(elements, bits / 8);
}

/* flags of sti_convert */
#define STI_FROM_FILE 1u /* src is little-endian; without this flag it has the byte order of the machine */
#define STI_TO_STREAM 2u /* dst is not read again soon: bypass the cache with non-temporal stores, if available */

#define STI_CACHE_BYTES ((uint64_t)32 << 20) /* a result of this size does not fit most caches: STI_TO_STREAM */

/* Converts n elements one at a time. The reference for the kernels. */
static void sti_convert_scalar(st_dtype to, unsigned char *dst, st_dtype from, const unsigned char *src, size_t first,
                               size_t n, unsigned flags) {
    const unsigned in_bits = sti_dtypes[from].bits, out_bits = sti_dtypes[to].bits;
    size_t i;
    for (i = 0; i < n; i++, dst += out_bits / 8) {
        uint64_t code = sti_get_code(src, first + i, in_bits, (flags & STI_FROM_FILE) != 0);
        sti_put_code(dst, out_bits, to == from ? code : sti_encode(to, sti_decode(from, code)));
    }
}

#if STI_SSE2 || STI_NEON

/* Kernels convert eight elements a step, to the same bits as sti_convert_scalar. A kernel converts n elements, rounded
 * down to whole steps, and returns their count, or 0 for a pair that it does not convert. */
typedef size_t (*sti_kernel)(st_dtype to, unsigned char *dst, st_dtype from, const unsigned char *src, size_t n,
                             int stream);

/* The body of a kernel: calls the loop with constant dtypes, so that the compiler specializes it for each pair. */
#define STI_PAIR(to, from) ((unsigned)(to) << 8 | (unsigned)(from))
#define STI_CASE(loop, to_, from_)                   \
    case STI_PAIR(ST_DTYPE_##to_, ST_DTYPE_##from_): \
        return loop(ST_DTYPE_##to_, dst, ST_DTYPE_##from_, src, n, stream)
#define STI_KERNEL_BODY(loop)         \
    switch (STI_PAIR(to, from)) {     \
        STI_CASE(loop, F32, BF16);    \
        STI_CASE(loop, F32, F16);     \
        STI_CASE(loop, F32, F8_E4M3); \
        STI_CASE(loop, F32, F8_E5M2); \
        STI_CASE(loop, F32, F4);      \
        STI_CASE(loop, F32, I8);      \
        STI_CASE(loop, F32, U8);      \
        STI_CASE(loop, F32, F64);     \
        STI_CASE(loop, F64, F32);     \
        STI_CASE(loop, F16, F32);     \
        STI_CASE(loop, BF16, F32);    \
        STI_CASE(loop, F16, BF16);    \
        STI_CASE(loop, BF16, F16);    \
    default: return 0;                \
    }

#define STI_KERNEL_STEP 8u
#define STI_STREAM_ALIGN 32u /* of the widest non-temporal store */

/* Kernels widen E4M3 and E2M1 to an F16 with the same exponent and fraction bits. F16 has a larger bias, so that value
 * is too small by this factor. */
STI_INLINE float sti_f16_scale(st_dtype from) {
    return from == ST_DTYPE_F8_E4M3 ? 256.0f : from == ST_DTYPE_F4 ? 16384.0f : 1.0f;
}

#endif

#if STI_SSE2

typedef struct sti_sse2_floats { /* eight F32 */
    __m128 low, high;
} sti_sse2_floats;

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

STI_INLINE __m128i sti_sse2_select(__m128i mask, __m128i yes, __m128i no) {
    return _mm_or_si128(_mm_and_si128(mask, yes), _mm_andnot_si128(mask, no));
}

/* Loads eight BF16 and makes their NaNs quiet. */
STI_INLINE __m128i sti_sse2_load_bf16(const unsigned char *src) {
    __m128i v = sti_sse2_load(src);
    __m128i nan = _mm_cmpgt_epi16(_mm_and_si128(v, _mm_set1_epi16(0x7fff)), _mm_set1_epi16(0x7f80));
    return _mm_or_si128(v, _mm_and_si128(nan, _mm_set1_epi16(0x40)));
}

/* Loads eight elements as F16, divided by sti_f16_scale. */
STI_INLINE __m128i sti_sse2_load_f16(st_dtype from, const unsigned char *src) {
    const __m128i zero = _mm_setzero_si128();
    __m128i v, low;
    int packed;
    switch ((int)from) {
    case ST_DTYPE_F16: return sti_sse2_load(src);
    case ST_DTYPE_F8_E5M2: return _mm_unpacklo_epi8(zero, _mm_loadl_epi64((const __m128i *)(const void *)src));
    case ST_DTYPE_F8_E4M3:
        v = _mm_unpacklo_epi8(_mm_loadl_epi64((const __m128i *)(const void *)src), zero);
        low = _mm_and_si128(v, _mm_set1_epi16(0x7f));
        v = _mm_slli_epi16(_mm_xor_si128(v, low), 8);
        /* 0x7f is NaN: 0x3e80 + (0x7f << 7) is 0x7e00, the quiet NaN of F16 */
        v = _mm_or_si128(v, _mm_and_si128(_mm_cmpeq_epi16(low, _mm_set1_epi16(0x7f)), _mm_set1_epi16(0x3e80)));
        return _mm_add_epi16(v, _mm_slli_epi16(low, 7));
    default: /* F4 */
        ST_MEMCPY(&packed, src, 4);
        v = _mm_cvtsi32_si128(packed);
        v = _mm_unpacklo_epi8(_mm_unpacklo_epi8(v, _mm_srli_epi16(v, 4)), zero);
        low = _mm_slli_epi16(_mm_and_si128(v, _mm_set1_epi16(7)), 9);
        return _mm_or_si128(low, _mm_slli_epi16(_mm_and_si128(v, _mm_set1_epi16(8)), 12));
    }
}

/* Converts four F16, each zero-extended to 32 bits, to F32. */
STI_INLINE __m128 sti_sse2_f16_to_f32(__m128i half) {
    const __m128i bias = _mm_set1_epi32(112 << 23);
    const __m128i least = _mm_set1_epi32(113 << 23); /* 2^-14, the smallest normal F16 */
    __m128i magnitude = _mm_slli_epi32(_mm_and_si128(half, _mm_set1_epi32(0x7fff)), 13);
    __m128i sign = _mm_slli_epi32(_mm_srli_epi32(half, 15), 31);
    __m128i special = _mm_and_si128(_mm_cmpgt_epi32(magnitude, _mm_set1_epi32(0x0f7fffff)), bias);
    __m128i quiet = _mm_and_si128(_mm_cmpgt_epi32(magnitude, _mm_set1_epi32(0x0f800000)), _mm_set1_epi32(0x400000));
    __m128i normal = _mm_or_si128(_mm_add_epi32(_mm_add_epi32(magnitude, bias), special), quiet);
    /* subnormal: put the fraction below the bits of 2^-14, then subtract 2^-14 */
    __m128 sum = _mm_castsi128_ps(_mm_add_epi32(magnitude, least));
    __m128i subnormal = _mm_castps_si128(_mm_sub_ps(sum, _mm_castsi128_ps(least)));
    __m128i tiny = _mm_cmpgt_epi32(_mm_set1_epi32(0x00800000), magnitude);
    return _mm_castsi128_ps(_mm_or_si128(sign, sti_sse2_select(tiny, subnormal, normal)));
}

/* Converts four F32 to F16, each sign-extended to 32 bits for _mm_packs_epi32. */
STI_INLINE __m128i sti_sse2_f32_to_f16(__m128 value) {
    const __m128i x = _mm_castps_si128(value), magnitude = _mm_and_si128(x, _mm_set1_epi32(0x7fffffff));
    const __m128i nan = _mm_cmpgt_epi32(magnitude, _mm_set1_epi32(0x7f800000));
    const __m128i large = _mm_cmpgt_epi32(magnitude, _mm_set1_epi32(0x477fffff)); /* 2^16 and above, infinity, NaN */
    const __m128i tiny = _mm_cmpgt_epi32(_mm_set1_epi32(113 << 23), magnitude);   /* below 2^-14 */
    const __m128i bits = _mm_srli_epi32(magnitude, 13), odd = _mm_and_si128(bits, _mm_set1_epi32(1));
    /* rounds to nearest even: adds 0xfff, or 0x1000 if the last bit is odd; overflow carries into infinity */
    __m128i normal = _mm_add_epi32(_mm_add_epi32(magnitude, odd), _mm_set1_epi32(0xfff - (112 << 23)));
    /* the last bit of 0.5f is 2^-24, that of a subnormal F16: the addition rounds to it */
    const __m128 half = _mm_set1_ps(0.5f);
    __m128i subnormal = _mm_castps_si128(_mm_add_ps(_mm_castsi128_ps(magnitude), half));
    __m128i payload = _mm_or_si128(_mm_and_si128(bits, _mm_set1_epi32(0x3ff)), _mm_set1_epi32(0x200));
    __m128i special = _mm_or_si128(_mm_and_si128(nan, payload), _mm_set1_epi32(0x7c00));
    subnormal = _mm_sub_epi32(subnormal, _mm_castps_si128(half));
    normal = sti_sse2_select(tiny, subnormal, _mm_srli_epi32(normal, 13));
    return _mm_or_si128(sti_sse2_select(large, special, normal), _mm_slli_epi32(_mm_srai_epi32(x, 31), 15));
}

/* Converts four F32 to BF16, each sign-extended to 32 bits for _mm_packs_epi32. */
STI_INLINE __m128i sti_sse2_f32_to_bf16(__m128 value) {
    const __m128i x = _mm_castps_si128(value), magnitude = _mm_and_si128(x, _mm_set1_epi32(0x7fffffff));
    const __m128i nan = _mm_cmpgt_epi32(magnitude, _mm_set1_epi32(0x7f800000));
    const __m128i odd = _mm_and_si128(_mm_srli_epi32(x, 16), _mm_set1_epi32(1));
    __m128i rounded = _mm_add_epi32(_mm_add_epi32(x, odd), _mm_set1_epi32(0x7fff));
    return _mm_srai_epi32(sti_sse2_select(nan, _mm_or_si128(x, _mm_set1_epi32(0x400000)), rounded), 16);
}

STI_INLINE sti_sse2_floats sti_sse2_load_floats(st_dtype from, const unsigned char *src) {
    const __m128i zero = _mm_setzero_si128();
    __m128i v;
    sti_sse2_floats x;
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
        v = sti_sse2_load_bf16(src);
        x.low = _mm_castsi128_ps(_mm_unpacklo_epi16(zero, v));
        x.high = _mm_castsi128_ps(_mm_unpackhi_epi16(zero, v));
        return x;
    case ST_DTYPE_I8:
    case ST_DTYPE_U8: /* SSE2 cannot extend: unpack to the upper half, then shift down */
        v = _mm_unpacklo_epi8(zero, _mm_loadl_epi64((const __m128i *)(const void *)src));
        v = from == ST_DTYPE_I8 ? _mm_srai_epi16(v, 8) : _mm_srli_epi16(v, 8);
        x.low = _mm_cvtepi32_ps(_mm_srai_epi32(_mm_unpacklo_epi16(zero, v), 16));
        x.high = _mm_cvtepi32_ps(_mm_srai_epi32(_mm_unpackhi_epi16(zero, v), 16));
        return x;
    default:
        v = sti_sse2_load_f16(from, src);
        x.low = _mm_mul_ps(sti_sse2_f16_to_f32(_mm_unpacklo_epi16(v, zero)), _mm_set1_ps(sti_f16_scale(from)));
        x.high = _mm_mul_ps(sti_sse2_f16_to_f32(_mm_unpackhi_epi16(v, zero)), _mm_set1_ps(sti_f16_scale(from)));
        return x;
    }
}

STI_INLINE void sti_sse2_store_floats(st_dtype to, unsigned char *dst, sti_sse2_floats x, int stream) {
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
        sti_sse2_store(dst, _mm_packs_epi32(sti_sse2_f32_to_bf16(x.low), sti_sse2_f32_to_bf16(x.high)), stream);
        break;
    default: /* F16 */
        sti_sse2_store(dst, _mm_packs_epi32(sti_sse2_f32_to_f16(x.low), sti_sse2_f32_to_f16(x.high)), stream);
    }
}

STI_INLINE size_t sti_sse2_loop(st_dtype to, unsigned char *dst, st_dtype from, const unsigned char *src, size_t n,
                                int stream) {
    /* eight elements have as many bytes as one has bits */
    const size_t in_bytes = sti_dtypes[from].bits, out_bytes = sti_dtypes[to].bits;
    size_t done;
    for (done = 0; n - done >= STI_KERNEL_STEP; done += STI_KERNEL_STEP, dst += out_bytes, src += in_bytes) {
        sti_sse2_store_floats(to, dst, sti_sse2_load_floats(from, src), stream);
    }
    return done;
}

STI_NOINLINE static size_t sti_sse2_convert(st_dtype to, unsigned char *dst, st_dtype from, const unsigned char *src,
                                            size_t n, int stream){STI_KERNEL_BODY(sti_sse2_loop)}
#endif /* STI_SSE2 */

#if STI_AVX2

STI_INLINE STI_TARGET_AVX2 __m256 sti_avx2_load_floats(st_dtype to, st_dtype from, const unsigned char *src) {
    const __m128i *const source = (const __m128i *)(const void *)src;
    __m128i half;
    switch ((int)from) {
    case ST_DTYPE_F32: return _mm256_loadu_ps((const float *)(const void *)src);
    case ST_DTYPE_F64: {
        __m128 low = _mm256_cvtpd_ps(_mm256_loadu_pd((const double *)(const void *)src));
        __m128 high = _mm256_cvtpd_ps(_mm256_loadu_pd((const double *)(const void *)(src + 32)));
        return _mm256_insertf128_ps(_mm256_castps128_ps256(low), high, 1);
    }
    case ST_DTYPE_BF16: /* the conversion to F16 makes NaNs quiet */
        half = to == ST_DTYPE_F16 ? sti_sse2_load(src) : sti_sse2_load_bf16(src);
        return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(half), 16));
    case ST_DTYPE_I8: return _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_loadl_epi64(source)));
    case ST_DTYPE_U8: return _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(_mm_loadl_epi64(source)));
    default: return _mm256_mul_ps(_mm256_cvtph_ps(sti_sse2_load_f16(from, src)), _mm256_set1_ps(sti_f16_scale(from)));
    }
}

/* Converts eight F32 to BF16. */
STI_INLINE STI_TARGET_AVX2 __m128i sti_avx2_f32_to_bf16(__m256 value) {
    const __m256i x = _mm256_castps_si256(value), magnitude = _mm256_and_si256(x, _mm256_set1_epi32(0x7fffffff));
    const __m256i nan = _mm256_cmpgt_epi32(magnitude, _mm256_set1_epi32(0x7f800000));
    const __m256i odd = _mm256_and_si256(_mm256_srli_epi32(x, 16), _mm256_set1_epi32(1));
    __m256i v = _mm256_add_epi32(_mm256_add_epi32(x, odd), _mm256_set1_epi32(0x7fff));
    /* not blendv: gcc 12 miscompiles it under -funsigned-char */
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

STI_INLINE STI_TARGET_AVX2 void sti_avx2_store_floats(st_dtype to, unsigned char *dst, __m256 x, int stream) {
    switch ((int)to) {
    case ST_DTYPE_F32: sti_avx2_store(dst, _mm256_castps_si256(x), stream); break;
    case ST_DTYPE_F64:
        sti_avx2_store(dst, _mm256_castpd_si256(_mm256_cvtps_pd(_mm256_castps256_ps128(x))), stream);
        sti_avx2_store(dst + 32, _mm256_castpd_si256(_mm256_cvtps_pd(_mm256_extractf128_ps(x, 1))), stream);
        break;
    case ST_DTYPE_BF16: sti_sse2_store(dst, sti_avx2_f32_to_bf16(x), stream); break;
    default: sti_sse2_store(dst, _mm256_cvtps_ph(x, _MM_FROUND_TO_NEAREST_INT), stream); /* F16 */
    }
}

STI_INLINE STI_TARGET_AVX2 size_t sti_avx2_loop(st_dtype to, unsigned char *dst, st_dtype from,
                                                const unsigned char *src, size_t n, int stream) {
    /* eight elements have as many bytes as one has bits */
    const size_t in_bytes = sti_dtypes[from].bits, out_bytes = sti_dtypes[to].bits;
    size_t done;
    for (done = 0; n - done >= STI_KERNEL_STEP; done += STI_KERNEL_STEP, dst += out_bytes, src += in_bytes) {
        sti_avx2_store_floats(to, dst, sti_avx2_load_floats(to, from, src), stream);
    }
    return done;
}

STI_NOINLINE STI_TARGET_AVX2 static size_t sti_avx2_convert(st_dtype to, unsigned char *dst, st_dtype from,
                                                            const unsigned char *src, size_t n, int stream) {
    STI_KERNEL_BODY(sti_avx2_loop)
}

#endif /* STI_AVX2 */

#if STI_NEON

typedef struct sti_neon_floats { /* eight F32 */
    float32x4_t low, high;
} sti_neon_floats;

/* Loads eight elements as F16, divided by sti_f16_scale. */
STI_INLINE uint16x8_t sti_neon_load_f16(st_dtype from, const unsigned char *src) {
    uint16x8_t v, low;
    uint8x8_t bytes;
    uint32_t packed;
    switch ((int)from) {
    case ST_DTYPE_F16: return vreinterpretq_u16_u8(vld1q_u8(src));
    case ST_DTYPE_F8_E5M2: return vshll_n_u8(vld1_u8(src), 8);
    case ST_DTYPE_F8_E4M3:
        v = vmovl_u8(vld1_u8(src));
        low = vandq_u16(v, vdupq_n_u16(0x7f));
        v = vshlq_n_u16(veorq_u16(v, low), 8);
        /* 0x7f is NaN: 0x3e80 + (0x7f << 7) is 0x7e00, the quiet NaN of F16 */
        v = vorrq_u16(v, vandq_u16(vceqq_u16(low, vdupq_n_u16(0x7f)), vdupq_n_u16(0x3e80)));
        return vaddq_u16(v, vshlq_n_u16(low, 7));
    default: /* F4 */
        ST_MEMCPY(&packed, src, 4);
        bytes = vreinterpret_u8_u32(vdup_n_u32(packed));
        v = vmovl_u8(vzip1_u8(bytes, vshr_n_u8(bytes, 4)));
        low = vshlq_n_u16(vandq_u16(v, vdupq_n_u16(7)), 9);
        return vorrq_u16(low, vshlq_n_u16(vandq_u16(v, vdupq_n_u16(8)), 12));
    }
}

/* Converts four F32 to BF16. */
STI_INLINE uint16x4_t sti_neon_f32_to_bf16(float32x4_t value) {
    const uint32x4_t x = vreinterpretq_u32_f32(value), magnitude = vandq_u32(x, vdupq_n_u32(0x7fffffff));
    const uint32x4_t nan = vcgtq_u32(magnitude, vdupq_n_u32(0x7f800000));
    const uint32x4_t odd = vandq_u32(vshrq_n_u32(x, 16), vdupq_n_u32(1));
    uint32x4_t rounded = vaddq_u32(vaddq_u32(x, odd), vdupq_n_u32(0x7fff));
    return vshrn_n_u32(vbslq_u32(nan, vorrq_u32(x, vdupq_n_u32(0x400000)), rounded), 16);
}

STI_INLINE sti_neon_floats sti_neon_load_floats(st_dtype from, const unsigned char *src) {
    uint16x8_t v, nan;
    int16x8_t i;
    sti_neon_floats x;
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
    case ST_DTYPE_BF16: /* makes NaNs quiet */
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
        v = sti_neon_load_f16(from, src);
        x.low = vcvt_f32_f16(vreinterpret_f16_u16(vget_low_u16(v)));
        x.high = vcvt_f32_f16(vreinterpret_f16_u16(vget_high_u16(v)));
        x.low = vmulq_n_f32(x.low, sti_f16_scale(from));
        x.high = vmulq_n_f32(x.high, sti_f16_scale(from));
        return x;
    }
}

STI_INLINE void sti_neon_store_floats(st_dtype to, unsigned char *dst, sti_neon_floats x) {
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
        vst1q_u8(dst, vreinterpretq_u8_u16(vcombine_u16(sti_neon_f32_to_bf16(x.low), sti_neon_f32_to_bf16(x.high))));
        break;
    default: /* F16 */
        vst1_u8(dst, vreinterpret_u8_f16(vcvt_f16_f32(x.low)));
        vst1_u8(dst + 8, vreinterpret_u8_f16(vcvt_f16_f32(x.high)));
    }
}

STI_INLINE size_t sti_neon_loop(st_dtype to, unsigned char *dst, st_dtype from, const unsigned char *src, size_t n,
                                int stream) {
    /* eight elements have as many bytes as one has bits */
    const size_t in_bytes = sti_dtypes[from].bits, out_bytes = sti_dtypes[to].bits;
    size_t done;
    (void)stream; /* NEON intrinsics have no non-temporal stores */
    for (done = 0; n - done >= STI_KERNEL_STEP; done += STI_KERNEL_STEP, dst += out_bytes, src += in_bytes) {
        sti_neon_store_floats(to, dst, sti_neon_load_floats(from, src));
    }
    return done;
}

STI_NOINLINE static size_t sti_neon_convert(st_dtype to, unsigned char *dst, st_dtype from, const unsigned char *src,
                                            size_t n, int stream) {
    STI_KERNEL_BODY(sti_neon_loop)
}

#endif /* STI_NEON */

#if STI_SSE2 || STI_NEON

static sti_kernel sti_choose_kernel(void) {
#if STI_NEON
    return sti_neon_convert;
#else
#if STI_AVX2
    if (sti_system_has_avx2()) return sti_avx2_convert;
#endif
    return sti_sse2_convert;
#endif
}

/* Sets the floating-point control register and returns its old value. The program may have changed it, but kernels need
 * round-to-nearest, subnormal numbers and masked exceptions. */
static uint64_t sti_exchange_float_mode(uint64_t mode) {
#if STI_NEON
    uint64_t saved;
    __asm__ volatile("mrs %0, fpcr\n\tmsr fpcr, %1" : "=&r"(saved) : "r"(mode) : "memory");
    return saved;
#else
    const unsigned saved = _mm_getcsr();
    _mm_setcsr((unsigned)mode);
    return saved;
#endif
}

/* A kernel for more pairs: converts through F32, which holds every value of `from` exactly. */
static size_t sti_convert_through_f32(sti_kernel kernel, st_dtype to, unsigned char *dst, st_dtype from,
                                      const unsigned char *src, size_t n, int stream) {
    unsigned char piece[64 * 4];
    size_t done, part;
    if (from == ST_DTYPE_F64 || (to != ST_DTYPE_F16 && to != ST_DTYPE_BF16 && to != ST_DTYPE_F64)) return 0;
    for (done = 0; n - done >= STI_KERNEL_STEP; done += part) {
        part = kernel(ST_DTYPE_F32, piece, from, src, n - done < 64 ? n - done : 64, 0);
        if (part == 0) break;
        (void)kernel(to, dst, ST_DTYPE_F32, piece, part, stream);
        dst += part / 8 * sti_dtypes[to].bits;
        src += part / 8 * sti_dtypes[from].bits;
    }
    return done;
}

/* Returns how many elements precede the first one that a kernel can start with: its source starts at a whole byte and,
 * if *stream is set, its destination is aligned. Clears *stream if no element is aligned. The result is at most 1, or
 * below STI_STREAM_ALIGN if *stream stays set. */
static size_t sti_lead_count(st_dtype to, const unsigned char *dst, st_dtype from, size_t first, int *stream) {
    const size_t size = sti_dtypes[to].bits / 8, misaligned = (uintptr_t)dst % STI_STREAM_ALIGN;
    const size_t odd = sti_dtypes[from].bits < 8 ? first % 2 : 0,
                 lead = (STI_STREAM_ALIGN - misaligned) % STI_STREAM_ALIGN / size;
    if (*stream && (misaligned % size || (sti_dtypes[from].bits < 8 && lead % 2 != odd))) *stream = 0;
    return *stream ? lead : odd;
}

/* Converts the elements that the kernels can, and returns their count. src starts at a whole byte. If stream is set,
 * dst is aligned to STI_STREAM_ALIGN. */
static size_t sti_convert_vector(st_dtype to, unsigned char *dst, st_dtype from, const unsigned char *src, size_t n,
                                 int stream) {
    const sti_kernel kernel = sti_choose_kernel();
    const uint64_t saved = sti_exchange_float_mode(STI_NEON ? 0 : 0x1f80); /* the values at program start */
    size_t done = kernel(to, dst, from, src, n, stream);
    if (done == 0) done = sti_convert_through_f32(kernel, to, dst, from, src, n, stream);
    (void)sti_exchange_float_mode(saved);
#if STI_SSE2
    if (stream) _mm_sfence();
#endif
    return done;
}

#endif /* STI_SSE2 || STI_NEON */

/* Converts elements first .. first + elements - 1 of src and packs them at dst, in the byte order of the machine. The
 * pair is convertible, both buffers are large enough, and they do not overlap. If to == from, `first` and `elements`
 * fill whole bytes. */
static void sti_convert(st_dtype to, void *dst, st_dtype from, const void *src, size_t first, size_t elements,
                        unsigned flags) {
    const unsigned char *s = (const unsigned char *)src;
    unsigned char *d = (unsigned char *)dst;
    size_t element_bytes, done = 0;
    if (elements == 0) return; /* dst and src may be NULL */
    if (to == ST_DTYPE_C64) {  /* two F32 each; cannot overflow, because the bytes fit size_t */
        to = from = ST_DTYPE_F32;
        first *= 2;
        elements *= 2;
    }
    if ((!STI_BIG_ENDIAN || sti_dtypes[to].bits <= 8 || !(flags & STI_FROM_FILE)) && to == from) {
        ST_MEMCPY(d, s + sti_packed_bytes(from, first), sti_packed_bytes(to, elements));
        return;
    }
    element_bytes = sti_dtypes[to].bits / 8u; /* nothing is converted to an element smaller than a byte */
#if STI_SSE2 || STI_NEON
    if (elements >= STI_KERNEL_STEP) {
        int stream = (flags & STI_TO_STREAM) && elements >= STI_STREAM_ALIGN; /* more than sti_lead_count returns */
        done = sti_lead_count(to, d, from, first, &stream);
        sti_convert_scalar(to, d, from, s, first, done, flags);
        done += sti_convert_vector(to, d + done * element_bytes, from, s + sti_packed_bytes(from, first + done),
                                   elements - done, stream);
    }
#endif
    sti_convert_scalar(to, d + done * element_bytes, from, s, first + done, elements - done, flags);
}

ST_API st_status st_convert(st_dtype to, void *dst, st_dtype from, const void *src, size_t elements) {
    if (!st_dtype_bits(to) || !st_dtype_bits(from)) return ST_ERR_ARGUMENT;
    if (!sti_is_convertible(to, from)) return ST_ERR_UNSUPPORTED;
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
#define STI_VIEW_AXES 24u       /* axes of a view after merging; masks of axes have 32 bits */
#define STI_PIECE_BYTES 256u    /* stack buffer for elements being converted; a multiple of 8 */
#define STI_GAP_BYTES 65536u    /* unwanted bytes up to this many are read through, which is cheaper than a request */
#define STI_MERGE_BYTES 262144u /* items up to this size share a request with their neighbors */
#define STI_RUN_ALIGN 12288u    /* long runs are cut at multiples of this: whole pages, whole elements of any size */
#define STI_STREAM_ROW 1024u    /* elements of a row from which stores may bypass the cache */
#define STI_LONG_ROW 16u        /* elements of a row from which a call of sti_convert per row pays off */
#define STI_TILE_ROWS 32u       /* size of the tiles of a transposition: fits the L1 cache */
#define STI_TILE_COLUMNS 16u
#define STI_TILE_CONVERT_COLUMNS 128u /* wider where each row costs a call of sti_convert */
/* buffer for data that is not in memory: large requests that stay in the CPU cache */
#define STI_WINDOW_BYTES (SIZE_MAX < UINT32_MAX ? 1024u : 1048576u)
/* largest request straight into dst, at least STI_RUN_ALIGN; also how far to prefetch */
#define STI_REQUEST_BYTES (SIZE_MAX < UINT32_MAX ? 24576u : 8388608u)

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

STI_COLD static void sti_error_tensor(const st_tensor *t, st_error *error) {
    sti_error_set_subject(error, sti_span_from(t->name ? t->name : "", t->name ? t->name_bytes : 0), STI_SHOW_NAME);
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
    return sti_error_prepend_path(error, t ? sti_model_path(m, t->shard) : m->label, status);
}

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
    if (!tensor) return sti_fail_plain(error, ST_ERR_ARGUMENT, STI_TEXT("st_view_shape: tensor is NULL"));
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
    return sti_is_convertible(to, from);
#endif
}

/* checks a view and plans reading it as a dtype */
static st_status sti_view_plan(sti_view *p, const st_tensor *t, const st_view *v, st_dtype as, st_error *error) {
    st_tensor opaque;
    st_status s = sti_view_check(t, v, error);
    if (s != ST_OK) return s;
    if ((unsigned)as >= STI_DTYPES || (unsigned)t->dtype >= STI_DTYPES) {
        return sti_refuse_tensor(t, ST_ERR_ARGUMENT, STI_DTYPES - 1,
                                 (unsigned)as < STI_DTYPES ? (unsigned)t->dtype : (unsigned)as,
                                 STI_TEXT("no dtype has the number $a: the last is $e"), error);
    }
    if (!sti_tensor_is_consistent(t)) {
        return sti_refuse_tensor(t, ST_ERR_ARGUMENT, 0, 0,
                                 STI_TEXT("shape, dtype and bytes of the tensor contradict each other"), error);
    }
    if (t->dtype == ST_DTYPE_UNKNOWN) {
        if (as != ST_DTYPE_UNKNOWN || !sti_view_is_identity(t, v)) {
            return sti_refuse_tensor(t, ST_ERR_DTYPE, 0, 0,
                                     STI_TEXT("tensor has an unknown dtype: it can only be read whole and as stored"),
                                     error);
        }
        opaque = *t; /* planned as an array of bytes */
        opaque.dtype = ST_DTYPE_U8;
        opaque.rank = 1;
        opaque.shape = &opaque.bytes;
        t = &opaque;
        v = NULL;
    }
    p->rank = p->inner = 0;
    p->divided_extent = 0;
    p->from = t->dtype;
    p->to = as == ST_DTYPE_UNKNOWN ? t->dtype : as;
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

/* swaps units between little-endian and the host's byte order, in place */
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
            const unsigned code = (unsigned)sti_get_code(src, index, bits, 1) << bit % 8;
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
 * that is the same axis. Steps of elements of less than a byte may be larger than any address: not in a tile. */
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
STI_COLD static void sti_source_prefetch(const sti_source *s, uint64_t offset, uint64_t n) {
    sti_system_advise(s->io ? s->io : &s->model->files[s->tensor->shard].io,
                      sti_add64_saturated(s->tensor->offset, offset), n, ST_ADVISE_WILL_NEED);
}

/* whether the byte at `offset` of the tensor is in a mapped file, but not in the page cache */
STI_COLD static int sti_source_is_cold(const sti_source *s, uint64_t offset) {
    return s->model->is_system && sti_system_is_uncached(&s->model->files[s->tensor->shard].io,
                                                         sti_add64_saturated(s->tensor->offset, offset));
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
        const st_shard *f = t->shard < m->base.shard_count ? &m->base.shards[t->shard] : NULL;
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
    if (m->is_system && !(l->has_shard && l->shard == t->shard)) {
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
    *buffered = l->m->is_system;
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
    const size_t max_buffer = l->m->is_system ? STI_WINDOW_BYTES : STI_REQUEST_BYTES; /* callbacks may be slow */
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
        return sti_fail_plain(error, ST_ERR_ARGUMENT,
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
        return sti_fail_plain(error, ST_ERR_ARGUMENT,
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

ST_API void st_to_little_endian(st_dtype dtype, void *numbers, size_t elements) {
    const unsigned bytes = st_dtype_bits(dtype) / 8;
    /* the product cannot overflow, as the numbers are in memory */
    if (bytes > 1) sti_to_host((unsigned char *)numbers, elements * bytes, dtype == ST_DTYPE_C64 ? 4 : bytes);
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
    if (m->is_system) {
        uint32_t i = tensor ? tensor->shard : 0;
        const uint32_t end = tensor ? i + 1 : (uint32_t)m->base.shard_count;
        for (; i < end; i++) {
            const st_shard *f = &m->base.shards[i];
            st_io reopened;
            const int is_open = m->files[i].is_open;
            if (!is_open && (!f->file_bytes || sti_model_reopen(m, i, &reopened))) continue;
            sti_system_advise(is_open ? &m->files[i].io : &reopened, tensor ? tensor->offset : f->data_offset,
                              tensor ? tensor->bytes : f->file_bytes - f->data_offset, advice);
            if (!is_open) (m->source.close)(m->source.user, &reopened);
        }
    }
#endif
    return sti_succeed(error);
}

#if !defined(ST_NO_WRITER)
/* ---- 17 writer ------------------------------------------------------------------------------------------------------
 * Planning, writing, streaming, saving and editing. st_save drives the streaming writer; the header's size is found by
 * formatting the header without an output.
 * uses: 5, 6, 7, 8, 9, 10, 11, 12, 13, 14
 * ------------------------------------------------------------------------------------------------------------------ */
#define STI_BUFFER_MAX_BYTES 1048576u
#define STI_BUFFER_MIN_BYTES 64u      /* with a work buffer */
#define STI_MAPPED_COPY_BYTES 262144u /* copied per block from a mapping; writing from a mapping is slower */
#define STI_MIN_PAIR_BYTES 5u         /* header bytes of a metadata pair with empty texts */

typedef struct sti_output_entry { /* a tensor or a metadata pair in the output */
    sti_span name;                /* of the tensor, or the pair's key */
    const void *item;             /* st_tensor or st_pair: the caller's, or the writer's copy */
    uint64_t bytes;               /* tensor: size of its data */
    unsigned dtype;               /* tensor: ST_DTYPE_UNKNOWN only if item's dtype_name is not a known dtype */
    uint32_t declared_index;      /* tensor: index in the order of declaration, or in contents */
} sti_output_entry;

typedef struct sti_declared_tensor { /* a tensor of a streaming writer; shape, name and dtype_name follow the struct */
    st_tensor tensor;                /* must be first: pointers are cast; st_writer_begin sets its offset */
    struct sti_declared_tensor *next;
    uint64_t written; /* by st_writer_write_to; only the thread that writes the tensor uses this field */
    int failed;       /* a write of this tensor failed, which is final */
} sti_declared_tensor;

typedef struct sti_declared_pair { /* a metadata pair of a streaming writer; both texts follow the struct */
    struct sti_declared_pair *next;
    st_pair pair;
} sti_declared_pair;

/* valid for tensors of a streaming writer only */
static sti_declared_tensor *sti_declared_tensor_of(const sti_output_entry *n) {
    return (sti_declared_tensor *)(uintptr_t)n->item;
}

enum sti_stage { STI_ADDING, STI_WRITING, STI_FAILED, STI_FINISHED };

struct st_writer {
    sti_memory memory;
    st_save_options options;
    enum sti_stage stage;
    const st_model *from;                             /* st_save: source of the tensors without data */
    sti_declared_tensor *first_tensor, **last_tensor; /* streaming: in the order of declaration */
    sti_declared_pair *first_pair, **last_pair;
    size_t tensor_count, pair_count;
    size_t declared_bytes; /* memory of the declared tensors and pairs */
    int has_metadata;
    sti_output_entry *output_order; /* tensors, then pairs, in the order of the header */
    sti_output_entry *by_name;      /* tensors sorted by name, then spare entries for the pairs; NULL before planning */
    unsigned char *buffer;
    size_t buffer_bytes, buffered;
    uint64_t flushed_bytes;    /* written sequentially, not counting the buffer */
    uint64_t old_data_offset;  /* editing: the old data offset, kept if the new header fits */
    uint64_t header_min_bytes; /* lower bound, known before planning */
    uint64_t data_offset, data_bytes;
    size_t current;           /* index in output_order of the tensor that st_writer_write fills */
    uint64_t current_written; /* bytes of the current tensor from st_writer_write */
    uint64_t streamed_bytes;  /* data bytes from st_writer_write or st_save */
    st_sink sink;             /* write NULL: the output is a file */
    const char *path;         /* the caller's */
    const char *label;        /* name of the output in messages */
#if !defined(ST_NO_FILES)
    enum sti_way way;
    sti_target target;
#endif
    uint32_t serial; /* number in the temporary file's name: the first to try, then the one in use */
    char *temp;      /* name of the temporary file */
    size_t temp_bytes;
};

/* ---- names */

/* Merges two adjacent sorted runs into `to`. Stable: of equal names, those in a come first. */
static void sti_merge(const sti_output_entry *a, size_t a_count, const sti_output_entry *b, size_t b_count,
                      sti_output_entry *to) {
    const sti_output_entry *a_end = a + a_count, *b_end = b + b_count;
    if (b_count && sti_compare_spans(a_end[-1].name, b->name) > 0) { /* a is not empty if b is not */
        while (a < a_end && b < b_end) {
            if (a_end - a > 4) STI_PREFETCH(a[4].name.at);
            if (b_end - b > 4) STI_PREFETCH(b[4].name.at);
            *to++ = sti_compare_spans(a->name, b->name) <= 0 ? *a++ : *b++;
        }
    }
    for (; a < a_end; a++) *to++ = *a;
    for (; b < b_end; b++) *to++ = *b;
}

/* Sorts n items by name; spare has space for n more. Merge sort, so hostile names cost O(n log n) comparisons, and the
 * bytes compared are at most log n times the bytes of all names. */
static void sti_sort_by_name(sti_output_entry *items, sti_output_entry *spare, size_t n) {
    sti_output_entry *from = items, *to = spare, *other;
    size_t run, i;
    for (run = 1; run < n; run *= 2) {
        for (i = 0; i < n; i += 2 * run) { /* no overflow: n items fit in memory */
            const size_t a = n - i < run ? n - i : run, b = n - i - a < run ? n - i - a : run;
            sti_merge(from + i, a, from + i + a, b, to + i);
        }
        other = from;
        from = to;
        to = other;
    }
    if (from != items) ST_MEMCPY(items, from, n * sizeof *items);
}

/* Returns the index of the first of n sorted items with the same name as its predecessor; n if there is none. */
static size_t sti_find_duplicate(const sti_output_entry *items, size_t n) {
    size_t i;
    for (i = 1; i < n && !sti_span_equal(items[i - 1].name, items[i].name); i++) {}
    return i < n ? i : n;
}

/* ---- memory */

/* Returns the size of output_order and by_name together, with `extra` items added. */
static size_t sti_entries_bytes(const st_writer *w, size_t extra) {
    size_t count = sti_add_saturated(sti_add_saturated(w->tensor_count, w->pair_count), sti_add_saturated(extra, 1));
    return sti_round8(sti_multiply_saturated(count, 2 * sizeof(sti_output_entry)));
}

/* Reports that an allocation of `bytes` failed. With a work buffer, reports the size that would suffice for everything
 * declared plus a declaration of `copy` bytes. */
STI_COLD static st_status sti_writer_no_memory(const st_writer *w, size_t bytes, size_t copy, st_error *error) {
    if (w->memory.work) {
        bytes = sti_add_saturated(sti_entries_bytes(w, copy > 0), sti_add_saturated(w->declared_bytes, copy));
        bytes = sti_add_saturated(bytes, sti_round8(w->temp_bytes));
        bytes = sti_add_saturated(bytes, sti_round8(sizeof *w) + STI_BUFFER_MIN_BYTES + w->memory.work_padding);
    }
    return sti_error_prepend_path(error, w->label, sti_fail_memory(&w->memory, bytes, error));
}

static void *sti_writer_take(st_writer *w, size_t bytes, st_error *error) {
    void *taken = sti_arena_take(&w->memory, bytes);
    if (!taken) (void)sti_writer_no_memory(w, bytes, 0, error);
    return taken;
}

/* Allocates a declaration; later errors count it as part of the memory needed. */
static void *sti_writer_take_declared(st_writer *w, size_t struct_bytes, size_t text_bytes, st_error *error) {
    const size_t bytes = sti_round8(sti_add_saturated(struct_bytes, text_bytes));
    void *taken = sti_arena_take(&w->memory, bytes);
    if (!taken) {
        (void)sti_writer_no_memory(w, bytes, bytes, error);
    } else {
        w->declared_bytes += bytes;
    }
    return taken;
}

/* ---- declaring */

/* Returns the span of a caller's text; bytes 0: NUL-terminated. text NULL: returns {NULL, 0}. */
static sti_span sti_span_of_text(const char *text, size_t bytes) {
    sti_span s;
    s.at = text;
    s.n = text && !bytes ? sti_span_of(text).n : text ? bytes : 0;
    return s;
}

static int sti_is_utf8(sti_span s) {
    return sti_utf8_prefix((const unsigned char *)s.at, s.n) == s.n;
}

/* Sets an error with an optional subject (a tensor, key or argument), and returns status. */
STI_COLD static st_status sti_refuse(const char *label, st_status status, sti_span subject, uint64_t expected,
                                     uint64_t actual, const char *sentence, st_error *error) {
    (void)sti_fail(error, status, STI_NO_OFFSET, expected, actual, sentence);
    if (subject.n) sti_error_set_subject(error, subject, STI_SHOW_NAME);
    return sti_error_prepend_path(error, label, status);
}

/* The same without numbers. */
STI_COLD static st_status sti_refuse_plain(const char *label, st_status status, sti_span subject, const char *sentence,
                                           st_error *error) {
    return sti_refuse(label, status, subject, 0, 0, sentence, error);
}

/* Completes *t, a copy of a tensor to save: its lengths, elements and bytes, and the number of a known dtype. Returns
 * ST_OK, or a status with the error's sentence and numbers. */
static st_status sti_tensor_complete(const st_tensor *given, st_tensor *t, const char **sentence, uint64_t *expected,
                                     uint64_t *actual) {
    const int known = given->dtype != ST_DTYPE_UNKNOWN;
    uint64_t bits;
    uint32_t i;
    int overflow = 0;
    *sentence = STI_TEXT("tensor has no name, no shape or no dtype");
    if (!t->name || (given->rank && !given->shape) || (unsigned)given->dtype >= STI_DTYPES) return ST_ERR_ARGUMENT;
    if (!known) {
        if (!given->dtype_name) return ST_ERR_ARGUMENT;
        t->dtype = sti_dtype_find(sti_span_of(given->dtype_name));
    }
    if (t->dtype != ST_DTYPE_UNKNOWN) t->dtype_name = st_dtype_name(t->dtype);
    *sentence = STI_TEXT("tensor name is not UTF-8");
    if (!sti_is_utf8(sti_span_of_text(t->name, t->name_bytes))) return ST_ERR_UTF8;
    *sentence = STI_TEXT("dtype_name is not UTF-8");
    if (!sti_is_utf8(sti_span_of(t->dtype_name))) return ST_ERR_UTF8;
    *sentence = STI_TEXT("__metadata__ cannot be the name of a tensor");
    if (sti_span_equal(sti_span_of_text(t->name, t->name_bytes), sti_span_of("__metadata__"))) return ST_ERR_ARGUMENT;
    for (i = 0, t->elements = 1; i < t->rank; i++) { /* a later 0 does not undo an overflow, as when reading */
        if (!sti_multiply64(t->elements, t->shape[i], &t->elements)) overflow = 1;
    }
    *sentence = STI_TEXT("tensor too large: its size in bits does not fit 64 bits");
    if (overflow || !sti_multiply64(sti_dtype_of(t->dtype)->bits, t->elements, &bits)) return ST_ERR_OVERFLOW;
    *sentence = STI_TEXT("the tensor's $a bits do not fill whole bytes");
    *actual = bits;
    if (bits % 8) return ST_ERR_SUBBYTE;
    if (t->dtype != ST_DTYPE_UNKNOWN) t->bytes = bits / 8;
    *sentence = STI_TEXT("shape and dtype need $e bytes, st_tensor.bytes is $a");
    *expected = t->bytes;
    *actual = given->bytes;
    return known || t->bytes == given->bytes ? ST_OK : ST_ERR_SIZE;
}

/* Checks a tensor to save and completes it in *t. */
STI_COLD static st_status sti_tensor_check(const char *label, const st_tensor *given, st_tensor *t, st_error *error) {
    const char *sentence;
    uint64_t expected = 0, actual = 0;
    st_status s;
    sti_span name = sti_span_of_text(given->name, given->name_bytes);
    *t = *given;
    t->name_bytes = name.n;
    t->data = NULL;
    t->shard = 0;
    s = sti_tensor_complete(given, t, &sentence, &expected, &actual);
    return s == ST_OK ? s : sti_refuse(label, s, name, expected, actual, sentence, error);
}

#define STI_WRITE_FAILED STI_TEXT("an earlier write failed: the writer can only be closed")
#define STI_TOO_MANY_BYTES STI_TEXT("$a bytes passed, but only $e bytes are missing")

STI_COLD static st_status sti_refuse_stage(const st_writer *w, st_error *error) {
    return sti_refuse_plain(
        w->label, ST_ERR_STATE, sti_span_of(""),
        w->stage == STI_FAILED
            ? STI_WRITE_FAILED
            : STI_TEXT("wrong order of calls: expected st_writer_open, _add, _begin, _write, _finish, _close"),
        error);
}

STI_COLD static st_status sti_refuse_argument(const char *label, const char *argument, st_error *error) {
    return sti_refuse_plain(label, ST_ERR_ARGUMENT, sti_span_of(argument), STI_TEXT("argument is NULL or empty"),
                            error);
}

STI_COLD static st_status sti_refuse_no_writer(st_error *error) {
    return sti_refuse_argument("(writer)", "writer", error);
}

static void sti_writer_count_tensor(st_writer *w, const st_tensor *t) {
    w->data_bytes = sti_add64_saturated(w->data_bytes, t->bytes);
    w->header_min_bytes =
        sti_add64_saturated(w->header_min_bytes, sti_add_saturated(t->name_bytes, STI_SHORTEST_MEMBER + t->rank));
}

static void sti_writer_count_pair(st_writer *w, const st_pair *p) {
    w->header_min_bytes = sti_add64_saturated(
        w->header_min_bytes, sti_add_saturated(sti_add_saturated(p->key_bytes, p->value_bytes), STI_MIN_PAIR_BYTES));
}

ST_API st_status st_writer_add(st_writer *w, const st_tensor *tensor, st_error *error) {
    st_tensor t;
    sti_declared_tensor *item;
    size_t texts; /* bytes, with the NULs */
    char *text;
    uint64_t *shape;
    st_status s;
    if (!w) return sti_refuse_no_writer(error);
    if (!tensor) return sti_refuse_argument(w->label, "tensor", error);
    if (w->stage != STI_ADDING) return sti_refuse_stage(w, error);
    s = sti_tensor_check(w->label, tensor, &t, error);
    if (s != ST_OK) return s;
    texts = sti_add_saturated(t.name_bytes, 1);
    if (t.dtype == ST_DTYPE_UNKNOWN) texts = sti_add_saturated(texts, sti_span_of(t.dtype_name).n + 1);
    item = (sti_declared_tensor *)sti_writer_take_declared(
        w, sti_add_saturated(sizeof *item, sti_multiply_saturated(t.rank, sizeof *shape)), texts, error);
    if (!item) return ST_ERR_MEMORY;
    ST_MEMSET(item, 0, sizeof *item);
    shape = (uint64_t *)(void *)(item + 1);
    text = (char *)(shape + t.rank);
    if (t.rank) ST_MEMCPY(shape, t.shape, t.rank * sizeof *shape);
    t.shape = shape;
    t.name = sti_copy_text(&text, sti_span_of_text(t.name, t.name_bytes));
    if (t.dtype == ST_DTYPE_UNKNOWN) t.dtype_name = sti_copy_text(&text, sti_span_of(t.dtype_name));
    item->tensor = t;
    *w->last_tensor = item;
    w->last_tensor = &item->next;
    w->tensor_count++;
    sti_writer_count_tensor(w, &t);
    return sti_succeed(error);
}

/* Checks a metadata pair and completes its lengths in *p. */
STI_COLD static st_status sti_pair_check(const char *label, const st_pair *given, st_pair *p, st_error *error) {
    const sti_span key = sti_span_of_text(given->key, given->key_bytes);
    const sti_span value = sti_span_of_text(given->value, given->value_bytes);
    *p = *given;
    p->key_bytes = key.n;
    p->value_bytes = value.n;
    if (!key.at || !value.at) {
        return sti_refuse_plain(label, ST_ERR_ARGUMENT, key, STI_TEXT("metadata entry has no key or no value"), error);
    }
    if (!sti_is_utf8(key) || !sti_is_utf8(value)) {
        return sti_refuse_plain(label, ST_ERR_UTF8, key, STI_TEXT("metadata is not UTF-8"), error);
    }
    return ST_OK;
}

ST_API st_status st_writer_add_metadata(st_writer *w, const st_pair *pair, st_error *error) {
    sti_declared_pair *copy;
    st_pair p;
    char *text;
    st_status s;
    if (!w) return sti_refuse_no_writer(error);
    if (w->stage != STI_ADDING) return sti_refuse_stage(w, error);
    if (pair) {
        s = sti_pair_check(w->label, pair, &p, error);
        if (s != ST_OK) return s;
        copy = (sti_declared_pair *)sti_writer_take_declared(
            w, sizeof *copy, sti_add_saturated(sti_add_saturated(p.key_bytes, p.value_bytes), 2), error);
        if (!copy) return ST_ERR_MEMORY;
        text = (char *)(copy + 1);
        copy->next = NULL;
        copy->pair = p;
        copy->pair.key = sti_copy_text(&text, sti_span_of_text(p.key, p.key_bytes));
        copy->pair.value = sti_copy_text(&text, sti_span_of_text(p.value, p.value_bytes));
        *w->last_pair = copy;
        w->last_pair = &copy->next;
        w->pair_count++;
        sti_writer_count_pair(w, &p);
    }
    w->has_metadata = 1;
    return sti_succeed(error);
}

static st_status sti_writer_take_entries(st_writer *w, st_error *error) {
    w->by_name = (sti_output_entry *)sti_writer_take(w, sti_entries_bytes(w, 0), error);
    if (!w->by_name) return ST_ERR_MEMORY;
    w->output_order = w->by_name + w->tensor_count + w->pair_count;
    return ST_OK;
}

/* Returns the output entry of a completed tensor; item: the caller's tensor or the writer's copy. */
static sti_output_entry sti_tensor_entry(const st_tensor *completed, const st_tensor *item, size_t index) {
    sti_output_entry n;
    n.name = sti_span_of_text(completed->name, completed->name_bytes);
    n.item = item;
    n.bytes = completed->bytes;
    n.dtype = (unsigned)completed->dtype;
    n.declared_index = (uint32_t)index; /* the limit of the header bounds the count of tensors */
    return n;
}

static sti_output_entry sti_pair_entry(const st_pair *completed, const st_pair *item) {
    sti_output_entry n;
    ST_MEMSET(&n, 0, sizeof n);
    n.name = sti_span_of_text(completed->key, completed->key_bytes);
    n.item = item;
    return n;
}

/* Fills by_name and output_order from the declarations of a streaming writer. */
static st_status sti_writer_list_declared(st_writer *w, st_error *error) {
    const sti_declared_tensor *item;
    const sti_declared_pair *p;
    size_t i = 0;
    st_status s = sti_writer_take_entries(w, error);
    if (s != ST_OK) return s;
    for (item = w->first_tensor; item; item = item->next, i++) {
        w->by_name[i] = sti_tensor_entry(&item->tensor, &item->tensor, i);
    }
    for (p = w->first_pair; p; p = p->next) w->output_order[i++] = sti_pair_entry(&p->pair, &p->pair);
    return ST_OK;
}

/* ---- sequential output through the buffer. These functions return 0 or a code of the system or the sink. */

/* Reports a failed write, after which the writer can only be closed. */
STI_COLD static st_status sti_writer_fail(st_writer *w, int code, const char *sentence, st_error *error) {
    w->stage = STI_FAILED;
    return sti_error_prepend_path(error, w->label, sti_fail_io(error, code, STI_NO_OFFSET, sentence));
}

#define STI_CANNOT_WRITE STI_TEXT("cannot write the file")

#if !defined(ST_NO_FILES)
STI_COLD static const char *sti_flush_sentence(int code) {
    return sti_system_is_lacking(code) ? STI_TEXT("the file system lacks fsync; ST_SAVE_NO_SYNC works without")
                                       : STI_TEXT("cannot flush the file to the device: fsync failed");
}
#endif

/* Returns 1 if the output can only be written front to back, and what is written stays after a failure. */
static int sti_writer_is_sequential(const st_writer *w) {
#if !defined(ST_NO_FILES)
    if (w->stage == STI_WRITING && w->target.named) return 1;
#endif
    return w->sink.write != NULL;
}

static int sti_writer_out(st_writer *w, const void *bytes, size_t n) {
    int code = 0;
    if (w->sink.write) {
        code = (w->sink.write)(w->sink.user, bytes, n);
    } else {
#if !defined(ST_NO_FILES)
        code = sti_system_write(&w->target, w->flushed_bytes, bytes, n);
#endif
    }
    w->flushed_bytes = sti_add64_saturated(w->flushed_bytes, n);
    return code;
}

static int sti_writer_flush(st_writer *w) {
    const size_t n = w->buffered;
    w->buffered = 0;
    return n ? sti_writer_out(w, w->buffer, n) : 0;
}

static int sti_writer_push(st_writer *w, const void *bytes, size_t n) {
    const size_t available = w->buffer_bytes - w->buffered;
    int code;
    if (n > available && (code = sti_writer_flush(w)) != 0) return code;
    if (n >= w->buffer_bytes)
        return sti_writer_out(w, bytes, n); /* the buffer is empty: it was just flushed, or buffered was 0 */
    ST_MEMCPY(w->buffer + w->buffered, bytes, n);
    w->buffered += n;
    return 0;
}

/* ---- the text of the header */

typedef struct sti_emitter {
    st_writer *writer; /* NULL: count the bytes without writing them */
    uint64_t bytes;
    int code; /* of the first failed write; later bytes are counted, not written */
} sti_emitter;

STI_NOINLINE static void sti_emit(sti_emitter *e, const void *bytes, size_t n) {
    e->bytes = sti_add64_saturated(e->bytes, n);
    if (e->writer && !e->code) e->code = sti_writer_push(e->writer, bytes, n);
}

STI_NOINLINE static void sti_emit_text(sti_emitter *e, const char *text) {
    sti_emit(e, text, sti_span_of(text).n);
}

static void sti_emit_number(sti_emitter *e, uint64_t n) {
    char digits[STI_DIGITS];
    sti_span s = sti_digits(n, digits);
    sti_emit(e, s.at, s.n);
}

/* Emits the escape of one UTF-16 code unit, the short form (\n) if JSON has one. */
STI_COLD static void sti_emit_escape(sti_emitter *e, uint32_t unit) {
    static const char hex[] = "0123456789abcdef", short_form[] = "btn\0fr"; /* for units 8 to 13; 11 has none */
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

/* Emits a JSON string of UTF-8. Escapes quotes, backslashes and control characters, like the reference; with is_ascii
 * also all that is not printable ASCII, like Python's json.dumps. */
static void sti_emit_string(sti_emitter *e, sti_span s, int is_ascii) {
    sti_json j = sti_json_of_text(s);
    const unsigned char *end = j.at; /* of bytes that header strings need not escape */
    sti_emit(e, "\"", 1);
    for (;;) {
        const unsigned char *run = j.at, *p;
        unsigned char utf8[4];
        uint32_t code;
        if (run >= end) end = sti_plain_end(&j, run);
        for (p = is_ascii ? run : end; p < end && *p < 0x7F; p++) {}
        sti_emit(e, run, (size_t)(p - run));
        if (p == j.end) break;
        j.at = p;
        code = sti_utf8_decode(utf8, sti_json_character(&j, 0, utf8)); /* length > 0: s is UTF-8 */
        if (code < 0x10000) {
            sti_emit_escape(e, code);
        } else {
            sti_emit_escape(e, 0xD800 + ((code - 0x10000) >> 10));
            sti_emit_escape(e, 0xDC00 + (code & 0x3FF));
        }
    }
    sti_emit(e, "\"", 1);
}

static void sti_emit_tensor(sti_emitter *e, const sti_output_entry *n, uint64_t begin) {
    const st_tensor *t = (const st_tensor *)n->item;
    uint32_t i;
    sti_emit_string(e, n->name, 0);
    sti_emit_text(e, ":{\"dtype\":");
    sti_emit_string(e, sti_span_of(n->dtype == ST_DTYPE_UNKNOWN ? t->dtype_name : st_dtype_name((st_dtype)n->dtype)),
                    0);
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
            const sti_output_entry *n = &w->output_order[w->tensor_count + i];
            const st_pair *p = (const st_pair *)n->item;
            if (i) sti_emit(e, ",", 1);
            sti_emit_string(e, n->name, 0);
            sti_emit(e, ":", 1);
            sti_emit_string(e, sti_span_of_text(p->value, p->value_bytes), 0);
        }
        sti_emit(e, "}", 1);
    }
    for (i = 0; i < w->tensor_count; i++) {
        if (i + 8 < w->tensor_count) {
            STI_PREFETCH(w->output_order[i + 8].item);
            STI_PREFETCH(w->output_order[i + 8].name.at);
        }
        if (i + 4 < w->tensor_count) STI_PREFETCH(((const st_tensor *)w->output_order[i + 4].item)->shape);
        if (i || w->has_metadata) sti_emit(e, ",", 1);
        sti_emit_tensor(e, &w->output_order[i], begin);
        begin = sti_add64_saturated(begin, w->output_order[i].bytes);
    }
    sti_emit(e, "}", 1);
}

/* ---- planning */

static st_status sti_header_size_check(const char *label, uint64_t bytes, st_error *error) {
    if (bytes <= STI_DEFAULT_LIMIT) return ST_OK;
    return sti_refuse(label, ST_ERR_HEADER_LIMIT, sti_span_of(""), STI_DEFAULT_LIMIT, bytes,
                      STI_TEXT("header of at least $a bytes exceeds the limit of $e"), error);
}

/* Sorts by_name, and tensors and pairs in output_order; refuses duplicate names and keys. */
static st_status sti_writer_sort(st_writer *w, st_error *error) {
    const size_t n = w->tensor_count;
    sti_output_entry *pairs = w->output_order + n;
    size_t start[STI_DTYPES], i, next = 0; /* start: index in output_order of the next tensor of a dtype */
    sti_sort_by_name(pairs, w->by_name + n, w->pair_count);
    i = sti_find_duplicate(pairs, w->pair_count);
    if (i < w->pair_count) {
        return sti_refuse_plain(w->label, ST_ERR_DUPLICATE, pairs[i].name, STI_TEXT("duplicate metadata key"), error);
    }
    sti_sort_by_name(w->by_name, w->output_order, n);
    i = sti_find_duplicate(w->by_name, n);
    if (i < n) {
        return sti_refuse_plain(w->label, ST_ERR_DUPLICATE, w->by_name[i].name, STI_TEXT("duplicate tensor name"),
                                error);
    }
    if (w->options.flags & ST_SAVE_KEEP_ORDER) {
        for (i = 0; i < n; i++) w->output_order[w->by_name[i].declared_index] = w->by_name[i];
        return ST_OK;
    }
    ST_MEMSET(start, 0, sizeof start); /* counting sort, highest dtype first; it keeps the order of names */
    for (i = 0; i < n; i++) start[w->by_name[i].dtype]++;
    for (i = STI_DTYPES; i > 0; i--) {
        const size_t count = start[i - 1];
        start[i - 1] = next;
        next += count;
    }
    for (i = 0; i < n; i++) w->output_order[start[w->by_name[i].dtype]++] = w->by_name[i];
    return ST_OK;
}

/* Sorts everything, and computes the size of the header and the offsets of the data. */
static st_status sti_writer_plan(st_writer *w, st_error *error) {
    sti_emitter count = {NULL, 0, 0};
    const uint64_t align = w->options.align ? w->options.align : 8;
    uint64_t offset;
    size_t i;
    st_status s = sti_header_size_check(w->label, w->header_min_bytes, error);
    if (s == ST_OK && w->data_bytes > INT64_MAX) { /* below this, data_offset + data_bytes fits 64 bits */
        s = sti_refuse_plain(w->label, ST_ERR_OVERFLOW, sti_span_of(""),
                             STI_TEXT("total size of the tensors reaches 2^63 bytes"), error);
    }
    if (s == ST_OK && !w->by_name) s = sti_writer_list_declared(w, error);
    if (s == ST_OK) s = sti_writer_sort(w, error);
    if (s != ST_OK) return s;
    sti_emit_header(&count, w);
    w->data_offset = sti_add64_saturated(8, count.bytes);
    if (w->old_data_offset && w->data_offset <= w->old_data_offset) {
        w->data_offset = w->old_data_offset;
    } else {
        w->data_offset =
            sti_add64_saturated(sti_add64_saturated(w->data_offset, w->options.slack), align - 1) & ~(align - 1);
    }
    s = sti_header_size_check(w->label, w->data_offset - 8, error);
    for (i = 0, offset = w->data_offset; s == ST_OK && w->first_tensor && i < w->tensor_count; i++) {
        sti_declared_tensor_of(&w->output_order[i])->tensor.offset = offset;
        offset = sti_add64_saturated(offset, w->output_order[i].bytes);
    }
    return s;
}

/* Allocates the buffer: no larger than the file, and no larger than what is left of a work buffer. */
static st_status sti_writer_buffer(st_writer *w, uint64_t bytes, st_error *error) {
    size_t n = bytes < STI_BUFFER_MAX_BYTES ? sti_round8((size_t)bytes) : STI_BUFFER_MAX_BYTES;
    if (n < STI_BUFFER_MIN_BYTES) n = STI_BUFFER_MIN_BYTES;
    if (w->memory.work && n > w->memory.work_bytes) {
        n = w->memory.work_bytes > STI_BUFFER_MIN_BYTES ? w->memory.work_bytes : STI_BUFFER_MIN_BYTES;
    }
    w->buffer = (unsigned char *)sti_writer_take(w, n, error);
    w->buffer_bytes = n;
    return w->buffer ? ST_OK : ST_ERR_MEMORY;
}

static int sti_writer_emit_header(st_writer *w) {
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
        const uint64_t left = w->data_offset - e.bytes;
        sti_emit(&e, blanks, left < sizeof blanks - 1 ? (size_t)left : sizeof blanks - 1);
    }
    return e.code;
}

#if !defined(ST_NO_FILES)
/* Writes the name of a temporary file in the directory of path to temp[size]. */
STI_COLD static void sti_temp_name(char *temp, size_t size, const char *path, uint32_t serial) {
    const size_t directory = sti_system_directory_length(path);
    ST_MEMCPY(temp, path, directory);
    temp[directory] = 0;
    sti_put(temp, size, sti_span_of(".st-"));
    sti_put_padded(temp, size, sti_system_process_id(), 1);
    sti_put(temp, size, sti_span_of("-"));
    sti_put_padded(temp, size, serial, 1);
    sti_put(temp, size, sti_span_of(".tmp"));
}

/* Returns 1 if the path is a file of the model that the tensors are read from. */
STI_COLD static int sti_writer_reads_target(const st_writer *w) {
    const sti_model *m = (const sti_model *)(const void *)w->from;
    int same = 0;
    size_t i;
    st_io io;
    ST_MEMSET(&io, 0, sizeof io);
    if (!m || !m->is_system || sti_system_open(NULL, w->path, &io) != 0) return 0;
    for (i = 0; i < m->base.shard_count; i++) same |= io.id[0] == m->files[i].io.id[0]; /* even if it changed since */
    sti_system_close(NULL, &io);
    return same;
}

/* Opens the output. A temporary file gets the first free name, and its disk space is reserved; a file written in place
 * gets none, so that it is shorter than its header says until it is complete. */
static int sti_writer_create(st_writer *w) {
    int tries, code = 0;
    if (w->way == STI_DIRECT && sti_writer_reads_target(w)) return STI_IO_SOURCE;
    for (tries = 0; tries < 10000; tries++, w->serial++) { /* crashed processes may have left files */
        sti_temp_name(w->temp, w->temp_bytes, w->path, w->serial);
        code = sti_system_create(w->path, w->temp, w->way, &w->target);
        if (code != STI_IO_EXISTS) break;
    }
    if (!code && !w->target.named) {
        code = sti_system_reserve(&w->target, sti_add64_saturated(w->data_offset, w->data_bytes));
    }
    return code;
}
#endif

STI_COLD static st_status sti_writer_start(st_writer *w, st_error *error) {
    st_status s = sti_writer_buffer(w, sti_add64_saturated(w->data_offset, w->data_bytes), error);
#if !defined(ST_NO_FILES)
    int code = s == ST_OK && !w->sink.write ? sti_writer_create(w) : 0;
    if (code) {
        s = sti_fail_code(error, code, STI_NO_OFFSET, STI_TEXT("cannot create the file"));
        if (s == ST_ERR_NOT_FOUND) (void)sti_fail_plain(error, s, STI_TEXT("directory does not exist"));
        (void)sti_error_prepend_path(error, w->label, s);
        if (w->target.open) sti_system_discard(&w->target, w->temp);
    }
#endif
    if (s == ST_OK) w->stage = STI_WRITING;
    return s;
}

/* Advances `current` past complete tensors. */
static void sti_writer_advance(st_writer *w) {
    while (w->current < w->tensor_count && w->current_written == w->output_order[w->current].bytes) {
        w->current++;
        w->current_written = 0;
    }
}

ST_API st_status st_writer_begin(st_writer *w, st_error *error) {
    sti_memory before;
    st_status s;
    int code;
    if (!w) return sti_refuse_no_writer(error);
    if (w->stage != STI_ADDING) return sti_refuse_stage(w, error);
    before = w->memory;
    s = sti_writer_plan(w, error);
    if (s == ST_OK) s = sti_writer_start(w, error);
    if (s != ST_OK) {
        sti_arena_release(&w->memory, before.chunks, before.work_bytes);
        w->by_name = NULL; /* a streaming writer may call st_writer_begin again; st_save does not */
        return s;
    }
    code = sti_writer_emit_header(w);
    if (!code && !w->sink.write) code = sti_writer_flush(w); /* st_writer_write_to writes past the buffer */
    if (code) return sti_writer_fail(w, code, STI_CANNOT_WRITE, error);
    sti_writer_advance(w);
    return sti_succeed(error);
}

/* ---- data */

/* Reports a failed write or fill of one tensor. */
STI_COLD static st_status sti_fail_tensor_io(const st_writer *w, sti_span name, int code, const char *sentence,
                                             st_error *error) {
    (void)sti_fail_io(error, code, STI_NO_OFFSET, sentence);
    sti_error_set_subject(error, name, STI_SHOW_NAME);
    return sti_error_prepend_path(error, w->label, ST_ERR_IO);
}

/* Returns how many bytes of tensor i in output_order were written. */
static uint64_t sti_writer_written_bytes(const st_writer *w, size_t i) {
    if (i < w->current) return w->output_order[i].bytes;
    if (i == w->current && w->current_written) return w->current_written;
    return w->first_tensor ? sti_declared_tensor_of(&w->output_order[i])->written : 0;
}

ST_API const st_tensor *st_writer_next(const st_writer *w) {
    size_t i;
    if (!w || w->stage != STI_WRITING) return NULL;
    for (i = w->current; i < w->tensor_count; i++) { /* st_writer_write_to fills tensors in any order */
        if (sti_writer_written_bytes(w, i) < w->output_order[i].bytes)
            return &sti_declared_tensor_of(&w->output_order[i])->tensor;
    }
    return NULL;
}

/* Counts n sequential data bytes; n is at most the number of missing bytes. */
static void sti_writer_count(st_writer *w, uint64_t n) {
    w->streamed_bytes = sti_add64_saturated(w->streamed_bytes, n);
    while (n) {
        const uint64_t missing = w->output_order[w->current].bytes - w->current_written;
        const uint64_t part = n < missing ? n : missing;
        w->current_written = sti_add64_saturated(w->current_written, part);
        n -= part;
        sti_writer_advance(w);
    }
}

/* Returns whether st_writer_write_to was used. Takes O(n) time, but only before the first byte of st_writer_write. */
static int sti_writer_is_scattered(const st_writer *w) {
    size_t i;
    for (i = 0; w->streamed_bytes == 0 && i < w->tensor_count; i++) {
        const sti_declared_tensor *t = sti_declared_tensor_of(&w->output_order[i]);
        if (t->written || t->failed) return 1;
    }
    return 0;
}

ST_API st_status st_writer_write(st_writer *w, const void *bytes, size_t n, st_error *error) {
    int code;
    if (!w) return sti_refuse_no_writer(error);
    if (!bytes && n) return sti_refuse_argument(w->label, "bytes", error);
    if (w->stage != STI_WRITING || sti_writer_is_scattered(w)) return sti_refuse_stage(w, error);
    if (n == 0) return sti_succeed(error);
    if (n > w->data_bytes - w->streamed_bytes) {
        return sti_refuse(w->label, ST_ERR_ARGUMENT, sti_span_of(""), w->data_bytes - w->streamed_bytes, n,
                          STI_TOO_MANY_BYTES, error);
    }
    code = sti_writer_push(w, bytes, n);
    if (code) return sti_writer_fail(w, code, STI_CANNOT_WRITE, error);
    sti_writer_count(w, n);
    return sti_succeed(error);
}

static sti_declared_tensor *sti_writer_find(const st_writer *w, sti_span name) {
    size_t low = 0, high = w->tensor_count;
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        const int c = sti_compare_spans(name, w->by_name[middle].name);
        if (c == 0) return sti_declared_tensor_of(&w->by_name[middle]);
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
    sti_declared_tensor *item;
    sti_span name;
    int code = 0;
    if (!w) return sti_refuse_no_writer(error);
    if (!tensor || !tensor->name) return sti_refuse_argument(w->label, tensor ? "tensor->name" : "tensor", error);
    if (!bytes && n) return sti_refuse_argument(w->label, "bytes", error);
    name = sti_span_of_text(tensor->name, tensor->name_bytes);
    if (sti_writer_is_sequential(w)) {
        return sti_refuse_plain(
            w->label, ST_ERR_UNSUPPORTED, name,
            STI_TEXT("st_writer_write_to cannot write to a sink, to a stream or with ST_SAVE_DIRECT"), error);
    }
    if (w->stage != STI_WRITING || w->streamed_bytes) return sti_refuse_stage(w, error);
    item = sti_writer_find(w, name);
    if (!item) {
        return sti_refuse_plain(w->label, ST_ERR_NOT_FOUND, name, STI_TEXT("no tensor with this name was declared"),
                                error);
    }
    if (item->failed) return sti_refuse_plain(w->label, ST_ERR_STATE, name, STI_WRITE_FAILED, error);
    if (n > item->tensor.bytes - item->written) {
        return sti_refuse(w->label, ST_ERR_ARGUMENT, name, item->tensor.bytes - item->written, n, STI_TOO_MANY_BYTES,
                          error);
    }
#if !defined(ST_NO_FILES)
    code = sti_system_write(&w->target, sti_add64_saturated(item->tensor.offset, item->written), bytes, n);
#endif
    if (code) {
        item->failed = 1; /* not w->stage, which other threads read */
        return sti_fail_tensor_io(w, name, code, STI_CANNOT_WRITE, error);
    }
    item->written = sti_add64_saturated(item->written, n);
    return sti_succeed(error);
}

/* Checks that all bytes were written, then flushes and closes the output; a file keeps its temporary name. */
STI_COLD static st_status sti_writer_complete(st_writer *w, st_error *error) {
    size_t i;
    int code;
    for (i = w->current; i < w->tensor_count; i++) {
        const uint64_t bytes = w->output_order[i].bytes, written = sti_writer_written_bytes(w, i);
        const int failed = w->first_tensor && sti_declared_tensor_of(&w->output_order[i])->failed;
        if (failed || written < bytes) {
            return sti_refuse(w->label, ST_ERR_STATE, w->output_order[i].name, bytes, written,
                              failed ? STI_WRITE_FAILED : STI_TEXT("only $a of the tensor's $e bytes were written"),
                              error);
        }
    }
    code = sti_writer_flush(w);
#if !defined(ST_NO_FILES)
    if (!code && !w->sink.write) {
        sti_system_publish(&w->target);
        if (!(w->options.flags & ST_SAVE_NO_SYNC) && !w->target.stream) {
            code = sti_system_sync(&w->target);
            if (code) return sti_writer_fail(w, code, sti_flush_sentence(code), error);
        }
        code = sti_system_close_target(&w->target);
    }
#endif
    return code ? sti_writer_fail(w, code, STI_CANNOT_WRITE, error) : ST_OK;
}

ST_API st_status st_writer_finish(st_writer *w, st_error *error) {
    st_status s;
    if (!w) return sti_refuse_no_writer(error);
    if (w->stage != STI_WRITING) return sti_refuse_stage(w, error);
    s = sti_writer_complete(w, error);
    if (s != ST_OK) return s;
#if !defined(ST_NO_FILES)
    if (!w->sink.write) {
        const int sync = !(w->options.flags & ST_SAVE_NO_SYNC) && !w->target.stream;
        const char *sentence = w->old_data_offset
                                   ? STI_TEXT("rename of the temporary file failed; ST_SAVE_IN_PLACE works without")
                                   : STI_TEXT("rename of the temporary file failed; ST_SAVE_DIRECT works without");
        int code = w->target.named ? 0 : sti_system_rename(w->temp, w->path, sync);
        if (code) return sti_writer_fail(w, code, sti_system_rename_sentence(code, sentence), error);
        w->target.named = 1;
        if (sync) code = sti_system_sync_directory(w->temp);
        if (code) {
            return sti_writer_fail(
                w, code,
                STI_TEXT("the file is complete, but fsync of its directory failed: a system crash may lose it"), error);
        }
    }
#endif
    w->stage = STI_FINISHED;
    return sti_succeed(error);
}

/* ---- opening and closing */

/* What a call allows in st_save_options: ST_SAVE_* flags and these bits. Every call allows allocator and user. */
#define STI_ALLOW_ALIGN 1u
#define STI_ALLOW_SLACK 2u
#define STI_ALLOW_LAYOUT (STI_ALLOW_ALIGN | STI_ALLOW_SLACK)
#define STI_ALLOW_LIMIT 4u /* max_shard_bytes */
#define STI_ALLOW_WORK 8u
#define STI_ALLOW_PROGRESS 16u
#define STI_ALLOW_BYTES 32u /* fill */
#define STI_ALLOW_SINK 64u
#define STI_ALLOW_STEM 128u

#define STI_MAX_STEM 200u /* bytes: a shard's name has at most 39 more, and no system allows over 255 */

/* Returns 1 if files may be called STEM-00001-of-00002.safetensors. */
STI_COLD static int sti_is_stem(const char *stem) {
    const sti_span s = sti_span_of(stem);
    char name[ST_SHARD_NAME_BYTES];
    sti_shard_parts shard;
    if (s.n > STI_MAX_STEM || sti_path_fault(s, 0) || sti_system_directory_length(stem) > 0) return 0;
    name[0] = 0;
    sti_put(name, sizeof name, s);
    sti_put(name, sizeof name, sti_span_of(STI_FILE_SUFFIX));
    return sti_split_shard_name(sti_span_of(name), &shard) <= 1; /* STEM.safetensors would be a shard */
}

/* Refuses the first option that is out of range, then the first that is not allowed. */
STI_COLD static st_status sti_save_options_check(const char *label, const st_save_options *o, unsigned allowed,
                                                 st_error *error) {
    static const struct {
        unsigned bit;
        char name[20];
    } options[] = {{ST_SAVE_KEEP_ORDER, "ST_SAVE_KEEP_ORDER"},
                   {ST_SAVE_NO_SYNC, "ST_SAVE_NO_SYNC"},
                   {ST_SAVE_AS_OPENED, "ST_SAVE_AS_OPENED"},
                   {ST_SAVE_IN_PLACE, "ST_SAVE_IN_PLACE"},
                   {ST_SAVE_DIRECT, "ST_SAVE_DIRECT"},
                   {STI_ALLOW_ALIGN, "align"},
                   {STI_ALLOW_SLACK, "slack"},
                   {STI_ALLOW_LIMIT, "max_shard_bytes"},
                   {STI_ALLOW_WORK, "work"},
                   {STI_ALLOW_PROGRESS, "progress"},
                   {STI_ALLOW_BYTES, "fill"},
                   {STI_ALLOW_SINK, "sink"},
                   {STI_ALLOW_STEM, "stem"}};
    const unsigned used = o->flags | (o->align ? STI_ALLOW_ALIGN : 0) | (o->slack ? STI_ALLOW_SLACK : 0) |
                          (o->max_shard_bytes ? STI_ALLOW_LIMIT : 0) | (o->work.data ? STI_ALLOW_WORK : 0) |
                          (o->progress ? STI_ALLOW_PROGRESS : 0) | (o->fill ? STI_ALLOW_BYTES : 0) |
                          (o->sink ? STI_ALLOW_SINK : 0) | (o->stem ? STI_ALLOW_STEM : 0);
    const char *wrong = o->flags & ~STI_SAVE_FLAGS                                               ? "flags"
                        : (o->align & (o->align - (o->align > 0))) || (o->align && o->align < 8) ? "align"
                        : o->allocator && (!o->allocator->alloc || !o->allocator->free)          ? "allocator"
                        : o->stem && !sti_is_stem(o->stem)                                       ? "stem"
                                                                                                 : NULL;
    size_t i;
    if (wrong)
        return sti_refuse_plain(label, ST_ERR_ARGUMENT, sti_span_of(wrong), STI_TEXT("option is out of range"), error);
    for (i = 0; i < sizeof options / sizeof *options; i++) {
        if (used & ~allowed & options[i].bit) {
            return sti_refuse_plain(label, ST_ERR_ARGUMENT, sti_span_of(options[i].name),
                                    STI_TEXT("option has no meaning for this call: leave it zero"), error);
        }
    }
    return ST_OK;
}

/* Checks the output, which is a path or options.sink, and sets *label to its name in messages. */
static st_status sti_save_to(const char *path, const st_save_options *o, const char **label, st_error *error) {
    *label = path ? path : "(sink)";
    if (path ? !*path : !o->sink) return sti_refuse_argument(path ? "(file)" : *label, "path", error);
    if (o->sink && !o->sink->write) return sti_refuse_argument(*label, "sink->write", error);
    if (path && o->sink) {
        return sti_refuse_plain(*label, ST_ERR_ARGUMENT, sti_span_of("sink"),
                                STI_TEXT("options.sink is set: the path must be NULL"), error);
    }
#if defined(ST_NO_FILES)
    if (path) {
        return sti_refuse_plain(*label, ST_ERR_UNSUPPORTED, sti_span_of(""),
                                STI_TEXT("built with ST_NO_FILES: set st_save_options.sink"), error);
    }
#endif
    return ST_OK;
}

/* Allocates a writer. contents: what sti_writer_list_contents will receive, to size the work buffer; NULL: declared
 * later. */
STI_COLD static st_status sti_writer_new(st_writer **writer, const char *path, const st_contents *contents,
                                         const st_save_options *options, st_error *error) {
    st_writer draft, *w = &draft; /* copied to memory of its own below */
    st_status s;
    ST_MEMSET(w, 0, sizeof *w);
    *writer = NULL;
    if (options) w->options = *options;
    s = sti_save_to(path, &w->options, &w->label, error);
    if (s != ST_OK) return s;
    sti_memory_init(&w->memory, w->options.allocator, w->options.work.data, w->options.work.bytes);
    w->path = path;
#if !defined(ST_NO_FILES)
    w->way = w->options.flags & ST_SAVE_DIRECT ? STI_DIRECT : STI_REPLACE_OR_STREAM;
#endif
    if (w->options.sink) w->sink = *w->options.sink;
    w->header_min_bytes = 2;
    if (contents) {
        w->tensor_count = contents->count;
        w->pair_count = contents->metadata_count;
    }
#if !defined(ST_NO_FILES)
    if (path) w->temp_bytes = sti_add_saturated(sti_span_of(path).n, STI_TEMP_BYTES);
#endif
    w = (st_writer *)sti_writer_take(&draft, sizeof *w, error);
    if (!w) return ST_ERR_MEMORY;
    *w = draft;
    w->last_tensor = &w->first_tensor;
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
    if (!writer) return sti_refuse_no_writer(error);
    if (options) {
        s = sti_save_options_check(path ? path : "(sink)", options,
                                   ST_SAVE_KEEP_ORDER | ST_SAVE_NO_SYNC | ST_SAVE_DIRECT | STI_ALLOW_LAYOUT |
                                       STI_ALLOW_WORK | STI_ALLOW_SINK,
                                   error);
    }
    return s == ST_OK ? sti_writer_new(writer, path, NULL, options, error) : s;
}

ST_API void st_writer_close(st_writer *w) {
    sti_memory memory;
    if (!w) return;
#if !defined(ST_NO_FILES)
    if (!w->sink.write && (w->stage == STI_WRITING || w->stage == STI_FAILED)) sti_system_discard(&w->target, w->temp);
#endif
    memory = w->memory; /* w lies in this memory */
    sti_arena_release(&memory, NULL, 0);
}

/* ---- saving */

/* Returns the tensor of `from` with the shard, offset and size of t; NULL if there is none. */
static const st_tensor *sti_source_find(const st_model *from, const st_tensor *t) {
    size_t low = 0, high = from->count;
    while (low < high) { /* the first tensor not before t */
        size_t middle = low + (high - low) / 2;
        const st_tensor *m = &from->tensors[middle];
        if (m->shard < t->shard || (m->shard == t->shard && m->offset < t->offset)) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    for (; low < from->count && from->tensors[low].shard == t->shard && from->tensors[low].offset == t->offset; low++) {
        if (from->tensors[low].bytes == t->bytes) return &from->tensors[low]; /* empty tensors share the offset */
    }
    return NULL;
}

/* Checks that a tensor of that many bytes has data, or a source for them. */
STI_COLD static st_status sti_source_check(const char *label, const st_model *from, const st_save_options *o,
                                           const st_tensor *t, uint64_t bytes, st_error *error) {
    st_tensor wanted;
    if (bytes == 0 || t->data || (!from && o->fill)) return ST_OK;
    wanted = *t;
    wanted.bytes = bytes;
    if (from && sti_source_find(from, &wanted)) return ST_OK;
    return sti_refuse_plain(label, ST_ERR_ARGUMENT, sti_span_of_text(t->name, t->name_bytes),
                            from ? STI_TEXT("contents.from has no tensor with this shard, offset and size")
                                 : STI_TEXT("tensor has no data: set data, contents.from or options.fill"),
                            error);
}

/* Writes the next block of a tensor's data, *n bytes, from memory, the model or options.fill. */
static st_status sti_save_block(st_writer *w, const sti_output_entry *item, uint64_t *n, st_error *error) {
    const st_tensor *t = (const st_tensor *)item->item;
    const uint64_t left = item->bytes - w->current_written,
                   most = w->from ? STI_MAPPED_COPY_BYTES : STI_BUFFER_MAX_BYTES;
    const unsigned bits = st_dtype_bits(t->dtype);
    const size_t unit = w->from || !bits ? 1 : bits % 8 ? bits / 2 : bits / 8; /* what options.fill cannot divide */
    size_t available;
    st_status s = ST_OK;
    int code = 0;
    if (t->data) {
        *n = left < most ? left : most; /* in memory, so offsets fit size_t */
        code = sti_writer_push(w, (const unsigned char *)t->data + w->current_written, (size_t)*n);
        return code ? sti_writer_fail(w, code, STI_CANNOT_WRITE, error) : ST_OK;
    }
    if (w->buffered % unit || w->buffer_bytes - w->buffered < unit) code = sti_writer_flush(w);
    if (code) return sti_writer_fail(w, code, STI_CANNOT_WRITE, error);
    available = (w->buffer_bytes - w->buffered) / unit * unit;
    *n = left < available ? left : available;
    if (w->from) {
        st_tensor from = *t;
        from.bytes = item->bytes;
        s = st_read(w->from, &from, w->current_written, w->buffer + w->buffered, (size_t)*n, error);
    } else {
        code = (w->options.fill)(w->options.user, t, w->current_written, w->buffer + w->buffered, (size_t)*n);
        if (code) s = sti_fail_tensor_io(w, item->name, code, STI_TEXT("options.fill failed"), error);
    }
    if (s == ST_OK) w->buffered += (size_t)*n;
    return s;
}

/* Writes all data. For progress: `before` bytes were written to earlier files, `total` is the sum over all files. */
static st_status sti_save_data(st_writer *w, uint64_t before, uint64_t total, st_error *error) {
    while (w->current < w->tensor_count) {
        uint64_t n = 0;
        st_status s = sti_save_block(w, &w->output_order[w->current], &n, error);
        if (s != ST_OK) return s;
        sti_writer_count(w, n);
        if (w->options.progress &&
            (w->options.progress)(w->options.user, sti_add64_saturated(before, w->streamed_bytes), total) != 0) {
            return sti_refuse_plain(w->label, ST_ERR_CANCELLED, sti_span_of(""),
                                    sti_writer_is_sequential(w)
                                        ? STI_TEXT("cancelled by progress; the output is incomplete")
                                        : STI_TEXT("cancelled by progress; nothing was changed"),
                                    error);
        }
    }
    return ST_OK;
}

/* Refuses NULL arrays with a count, and two sources of bytes. */
STI_COLD static st_status sti_contents_check(const char *label, const st_contents *c, const st_save_options *o,
                                             st_error *error) {
    if (!c) return sti_refuse_argument(label, "contents", error);
    if (!c->tensors && c->count) return sti_refuse_argument(label, "contents->tensors", error);
    if (!c->metadata && c->metadata_count) return sti_refuse_argument(label, "contents->metadata", error);
    if (!c->index && c->index_count) return sti_refuse_argument(label, "contents->index", error);
    if (!c->from || !o || !o->fill) return ST_OK;
    return sti_refuse_plain(label, ST_ERR_ARGUMENT, sti_span_of("fill"),
                            STI_TEXT("options.fill and contents.from are both set: choose one source of bytes"), error);
}

/* Checks all tensors and pairs and lists them for planning. Copies nothing: the caller's structs must stay valid. */
STI_COLD static st_status sti_writer_list_contents(st_writer *w, const st_contents *c, st_error *error) {
    st_status s;
    size_t i;
    w->from = c->from;
    w->has_metadata = c->metadata != NULL;
    w->tensor_count = c->count;
    w->pair_count = c->metadata_count;
    /* before allocating entries for more tensors than a header can hold */
    s = sti_header_size_check(w->label,
                              sti_add_saturated(sti_multiply_saturated(c->count, STI_SHORTEST_MEMBER),
                                                sti_multiply_saturated(c->metadata_count, STI_MIN_PAIR_BYTES)),
                              error);
    if (s == ST_OK) s = sti_writer_take_entries(w, error);
    for (i = 0; s == ST_OK && i < c->metadata_count; i++) {
        st_pair p;
        s = sti_pair_check(w->label, &c->metadata[i], &p, error);
        if (s != ST_OK) return s;
        sti_writer_count_pair(w, &p);
        w->output_order[c->count + i] = sti_pair_entry(&p, &c->metadata[i]);
    }
    for (i = 0; s == ST_OK && i < c->count; i++) {
        st_tensor t;
        if (i + 8 < c->count) {
            STI_PREFETCH(c->tensors[i + 8].name);
            STI_PREFETCH(c->tensors[i + 8].shape);
        }
        s = sti_tensor_check(w->label, &c->tensors[i], &t, error);
        if (s == ST_OK) s = sti_source_check(w->label, c->from, &w->options, &c->tensors[i], t.bytes, error);
        if (s != ST_OK) return s;
        sti_writer_count_tensor(w, &t);
        w->by_name[i] = sti_tensor_entry(&t, &c->tensors[i], i);
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
    const char *label = path ? path : "(sink)";
    st_writer *w = NULL;
    st_status s = sti_contents_check(label, contents, options, error);
    if (s == ST_OK && options) {
        s = sti_save_options_check(label, options,
                                   ST_SAVE_KEEP_ORDER | ST_SAVE_NO_SYNC | ST_SAVE_DIRECT | STI_ALLOW_LAYOUT |
                                       STI_ALLOW_WORK | STI_ALLOW_SINK | STI_ALLOW_BYTES | STI_ALLOW_PROGRESS,
                                   error);
    }
    if (s == ST_OK) s = sti_writer_new(&w, path, contents, options, error);
    if (s == ST_OK) s = sti_writer_list_contents(w, contents, error);
    if (s == ST_OK) s = st_writer_begin(w, error);
    if (s == ST_OK) s = sti_save_data(w, 0, w->data_bytes, error);
    if (s == ST_OK) s = st_writer_finish(w, error);
    st_writer_close(w);
    return s;
}

/* ---- sharding: the plan */

#define STI_DEFAULT_SHARD_BYTES 5000000000u

/* Assigns the tensors to shards, validating each, and sums their sizes. shards: NULL, or room for c->count numbers. */
STI_COLD static st_status sti_plan_shards(const char *label, const st_contents *c, const st_save_options *o,
                                          uint32_t *shards, uint32_t *shard_count, uint64_t *total_bytes,
                                          st_error *error) {
    const uint64_t limit = o->max_shard_bytes ? o->max_shard_bytes : STI_DEFAULT_SHARD_BYTES;
    uint64_t shard_bytes = 0; /* of the last shard so far */
    uint32_t n = 1;
    size_t i;
    *total_bytes = 0;
    for (i = 0; i < c->count; i++) {
        st_tensor t;
        st_status s = sti_tensor_check(label, &c->tensors[i], &t, error);
        if (s != ST_OK) return s;
        *total_bytes = sti_add64_saturated(*total_bytes, t.bytes);
        if (*total_bytes > INT64_MAX) {
            return sti_refuse_plain(label, ST_ERR_OVERFLOW, sti_span_of_text(t.name, t.name_bytes),
                                    STI_TEXT("total size reaches 2^63 bytes at this tensor"), error);
        }
        if (i && (shard_bytes > limit || t.bytes > limit - shard_bytes)) {
            shard_bytes = 0;
            if (n <= STI_MAX_SHARDS) n++;
        }
        shard_bytes = sti_add64_saturated(shard_bytes, t.bytes);
        if (shards) shards[i] = n - 1;
    }
    if (n > STI_MAX_SHARDS) {
        return sti_refuse(label, ST_ERR_TOO_LARGE, sti_span_of("max_shard_bytes"), STI_MAX_SHARDS, 0,
                          STI_TEXT("more than $e shards: increase max_shard_bytes"), error);
    }
    *shard_count = n;
    return ST_OK;
}

#define STI_SHARDED_OPTIONS                                                                           \
    (ST_SAVE_KEEP_ORDER | ST_SAVE_NO_SYNC | STI_ALLOW_LAYOUT | STI_ALLOW_LIMIT | STI_ALLOW_PROGRESS | \
     STI_ALLOW_BYTES | STI_ALLOW_STEM)

ST_API STI_COLD st_status st_plan_shards(const st_contents *contents, const st_save_options *options, uint32_t *shards,
                                         uint32_t *shard_count, st_error *error) {
    const char *label = "(plan)";
    st_save_options o;
    uint64_t total_bytes;
    st_status s;
    ST_MEMSET(&o, 0, sizeof o);
    if (options) o = *options;
    if (!shard_count) return sti_refuse_argument(label, "shard_count", error);
    s = sti_contents_check(label, contents, options, error);
    if (s == ST_OK) s = sti_save_options_check(label, &o, STI_SHARDED_OPTIONS, error);
    if (s == ST_OK) s = sti_plan_shards(label, contents, &o, shards, shard_count, &total_bytes, error);
    return s == ST_OK ? sti_succeed(error) : s;
}

/* Makes the name of a shard, counted from 0. */
STI_COLD static void sti_shard_name(const char *stem, uint32_t shard, uint32_t shard_count,
                                    char name[ST_SHARD_NAME_BYTES]) {
    name[0] = 0;
    sti_put(name, ST_SHARD_NAME_BYTES, sti_span_of(stem));
    if (shard_count > 1) {
        sti_put(name, ST_SHARD_NAME_BYTES, sti_span_of("-"));
        sti_put_padded(name, ST_SHARD_NAME_BYTES, shard + 1, 5); /* at most shard_count */
        sti_put(name, ST_SHARD_NAME_BYTES, sti_span_of("-of-"));
        sti_put_padded(name, ST_SHARD_NAME_BYTES, shard_count, 5);
    }
    sti_put(name, ST_SHARD_NAME_BYTES, sti_span_of(STI_FILE_SUFFIX));
}

ST_API STI_COLD st_status st_shard_name(const char *stem, uint32_t shard, uint32_t shard_count, char *dst,
                                        size_t dst_bytes) {
    char name[ST_SHARD_NAME_BYTES];
    size_t n;
    if (!dst || shard >= shard_count || (stem && !sti_is_stem(stem))) return ST_ERR_ARGUMENT;
    sti_shard_name(stem ? stem : "model", shard, shard_count, name);
    n = sti_span_of(name).n + 1;
    if (n > dst_bytes) return ST_ERR_ARGUMENT;
    ST_MEMCPY(dst, name, n);
    return ST_OK;
}

#if !defined(ST_NO_FILES)

/* ---- sharding: the state of one call */

/* One call of st_save_sharded or st_save_index. The files of the new model are numbered: shards first, then the index.
 * Files 0 to renamed - 1 have their final names; renamed to written - 1 are complete under temporary names. */
typedef struct sti_sharded_save {
    const char *directory; /* the caller's, as is all that contents and options point to */
    st_contents contents;
    st_save_options options;
    sti_memory memory;
    st_error *error;
    uint32_t shard_count;
    uint32_t *shards; /* shards[i]: shard of tensor i */
    uint64_t total_bytes;
    size_t directory_bytes;        /* length of the directory and a separator: file names start there in path */
    size_t path_bytes;             /* size of path and of temp_path */
    char *path, *temp_path;        /* buffers for one file's final and temporary path */
    sti_output_entry *sorted;      /* contents.count tensors, by name */
    sti_output_entry *index_pairs; /* contents.index_count pairs, by key */
    uint64_t index_bytes;          /* length of the index file */
    uint32_t *serials;             /* serials[i]: number in the temporary name of file i */
    uint32_t next_serial;          /* where the search for the next free temporary name starts */
    uint32_t written, renamed;
    uint64_t saved_bytes; /* tensor data of the complete shards, for progress */
    const char *stem;     /* the names of the files start with it */
    int has_index;        /* the directory holds an index with this stem */
    int has_single;       /* the directory holds STEM.safetensors */
    int has_clash;        /* the directory holds a file with the name of a new shard */
    int is_index_plain;   /* the index is called STEM.safetensors.index.json although the stem has a variant */
    char other[ST_SHARD_NAME_BYTES]; /* a file of another model in the directory, or "" */
    st_status sweep_status;          /* of the last removal that failed in sti_sweep_visit */
    int has_swept;                   /* sti_sweep_visit has removed a file in this listing */
} sti_sharded_save;

/* Reports a system error. name: the file in the directory; "": the directory itself. */
STI_COLD static st_status sti_sharded_fail(const sti_sharded_save *s, int code, const char *name,
                                           const char *sentence) {
    st_status status = sti_fail_code(s->error, code, STI_NO_OFFSET, sentence);
    if (*name) sti_error_set_subject(s->error, sti_span_of(name), STI_SHOW_NAME);
    return sti_error_prepend_path(s->error, s->directory, status);
}

/* Puts the path of a file in the directory into s->path and returns it. */
static const char *sti_sharded_path(const sti_sharded_save *s, const char *name) {
    const sti_span text = sti_span_of(name);
    ST_MEMCPY(s->path + s->directory_bytes, text.at, text.n + 1);
    return s->path;
}

/* Makes the name of the index: STEM.safetensors.index.json, or BASE.safetensors.index.VARIANT.json. */
STI_COLD static const char *sti_index_name(const sti_sharded_save *s, char name[ST_SHARD_NAME_BYTES]) {
    const sti_span stem = sti_span_of(s->stem);
    sti_file_parts parts;
    int is_plain;
    sti_shard_name(s->stem, 0, 1, name); /* starts with the stem, which ends with the variant */
    (void)sti_split_file_name(sti_span_of(name), &parts);
    is_plain = !parts.variant.n || s->is_index_plain;
    name[is_plain && parts.variant.n ? stem.n : parts.base.n] = 0;
    sti_put(name, ST_SHARD_NAME_BYTES, sti_span_of(STI_INDEX_MARK));
    if (!is_plain) sti_put(name, ST_SHARD_NAME_BYTES, sti_drop_first(stem, parts.base.n));
    sti_put(name, ST_SHARD_NAME_BYTES, sti_span_of(".json"));
    return name;
}

/* Makes the final name of file i of the new model. */
STI_COLD static const char *sti_sharded_name(const sti_sharded_save *s, uint32_t i, char name[ST_SHARD_NAME_BYTES]) {
    if (i == s->shard_count) return sti_index_name(s, name);
    if (s->options.flags & ST_SAVE_AS_OPENED) {
        name[0] = 0;
        sti_put(name, ST_SHARD_NAME_BYTES, sti_file_name(s->contents.from->shards[i].path));
        return name;
    }
    sti_shard_name(s->stem, i, s->shard_count, name);
    return name;
}

STI_COLD static void *sti_sharded_take(sti_sharded_save *s, size_t bytes) {
    void *taken = sti_arena_take(&s->memory, bytes);
    if (!taken) (void)sti_error_prepend_path(s->error, s->directory, sti_fail_memory(&s->memory, bytes, s->error));
    return taken;
}

/* ST_SAVE_AS_OPENED: every tensor stays in its shard. */
STI_COLD static st_status sti_sharded_take_plan(sti_sharded_save *s) {
    const st_model *from = s->contents.from;
    size_t i;
    if (!from || s->contents.tensors != from->tensors || s->contents.count != from->count) {
        return sti_refuse_plain(s->directory, ST_ERR_ARGUMENT, sti_span_of("from"),
                                STI_TEXT("ST_SAVE_AS_OPENED needs st_contents_of an open model"), s->error);
    }
    for (i = 0; i < from->count; i++) s->shards[i] = from->tensors[i].shard;
    s->shard_count = (uint32_t)from->shard_count;
    s->total_bytes = from->bytes;
    return ST_OK;
}

/* Checks the arguments, plans the shards and allocates the buffers. After an error, too, call sti_sharded_close. */
STI_COLD static st_status sti_sharded_open(sti_sharded_save *s, const char *directory, const st_contents *contents,
                                           const st_save_options *options, unsigned allowed, st_error *error) {
    const size_t name_bytes = ST_SHARD_NAME_BYTES > STI_TEMP_BYTES ? ST_SHARD_NAME_BYTES : STI_TEMP_BYTES;
    const sti_span text = sti_span_of(directory ? directory : "");
    st_status status;
    ST_MEMSET(s, 0, sizeof *s);
    s->directory = directory ? directory : "(directory)";
    if (options) s->options = *options;
    s->error = error;
    if (!text.n) return sti_refuse_argument(s->directory, "directory", error);
    status = sti_contents_check(directory, contents, options, error);
    if (status == ST_OK) status = sti_save_options_check(directory, &s->options, allowed, error);
    if (status != ST_OK) return status;
    s->contents = *contents;
    s->stem = s->options.stem ? s->options.stem : contents->from ? contents->from->stem : "model";
    if (!s->stem || !sti_is_stem(s->stem)) s->stem = "model"; /* the path of an opened file may hold anything */
    s->options.stem = NULL;                                   /* the writer of a shard has no use for it */
    sti_memory_init(&s->memory, s->options.allocator, NULL, 0);
    s->shards = (uint32_t *)sti_sharded_take(s, sti_multiply_saturated(contents->count, sizeof *s->shards));
    if (!s->shards) return ST_ERR_MEMORY;
    if (s->options.flags & ST_SAVE_AS_OPENED) {
        status = sti_sharded_take_plan(s);
    } else {
        status = sti_plan_shards(directory, contents, &s->options, s->shards, &s->shard_count, &s->total_bytes, error);
    }
    if (status != ST_OK) return status;
    s->directory_bytes =
        sti_add_saturated(text.n, sti_system_directory_length(directory) < text.n); /* + 1: no separator yet */
    s->path_bytes = sti_add_saturated(s->directory_bytes, name_bytes);
    s->serials =
        (uint32_t *)sti_sharded_take(s, sti_multiply_saturated(s->shard_count + (size_t)1, sizeof *s->serials));
    if (s->serials) s->path = (char *)sti_sharded_take(s, s->path_bytes);
    if (s->path) s->temp_path = (char *)sti_sharded_take(s, s->path_bytes);
    if (!s->temp_path) return ST_ERR_MEMORY;
    ST_MEMCPY(s->path, text.at, text.n);
    if (s->directory_bytes > text.n) s->path[text.n] = '/';
    s->path[s->directory_bytes] = 0;
    return ST_OK;
}

/* Calls visit for every shard, with its tensors [begin, end), until a call fails. */
STI_COLD static st_status sti_sharded_each(sti_sharded_save *s, st_status (*visit)(sti_sharded_save *s, uint32_t shard,
                                                                                   size_t begin, size_t end)) {
    st_status status = ST_OK;
    size_t begin = 0, end;
    uint32_t shard;
    for (shard = 0; status == ST_OK && shard < s->shard_count; shard++, begin = end) {
        for (end = begin; end < s->contents.count && s->shards[end] == shard; end++) {}
        status = visit(s, shard, begin, end);
    }
    return status;
}

/* ---- sharding: the index, as Python's json.dumps(indent=2, sort_keys=True) writes it; values stay as given */

/* Emits the key of a member, and the separator before it. */
STI_COLD static void sti_emit_index_key(sti_emitter *e, sti_span key, int is_first) {
    sti_emit_text(e, is_first ? "\n    " : ",\n    ");
    sti_emit_string(e, key, 1);
    sti_emit(e, ": ", 2);
}

/* Sorts n items by name; a duplicate name fails with the sentence. */
STI_COLD static st_status sti_sharded_sort(sti_sharded_save *s, sti_output_entry *items, size_t n,
                                           const char *sentence) {
    const sti_memory before = s->memory;
    sti_output_entry *spare = (sti_output_entry *)sti_sharded_take(s, sti_multiply_saturated(n, sizeof *spare));
    size_t i;
    if (!spare) return ST_ERR_MEMORY;
    sti_sort_by_name(items, spare, n);
    sti_arena_release(&s->memory, before.chunks, 0);
    i = sti_find_duplicate(items, n);
    return i < n ? sti_refuse_plain(s->directory, ST_ERR_DUPLICATE, items[i].name, sentence, s->error) : ST_OK;
}

/* Checks the caller's entries for the metadata of the index, and sorts them. */
static st_status sti_sharded_sort_pairs(sti_sharded_save *s) {
    const size_t n = s->contents.index_count;
    size_t i;
    if (!n) return ST_OK;
    s->index_pairs = (sti_output_entry *)sti_sharded_take(s, sti_multiply_saturated(n, sizeof *s->index_pairs));
    if (!s->index_pairs) return ST_ERR_MEMORY;
    for (i = 0; i < n; i++) {
        const st_pair *p = &s->contents.index[i];
        sti_span key = sti_span_of_text(p->key, p->key_bytes), value = sti_span_of_text(p->value, p->value_bytes);
        sti_json j;
        if (!key.at || !value.at) {
            return sti_refuse_plain(s->directory, ST_ERR_ARGUMENT, key, STI_TEXT("index entry has no key or no value"),
                                    s->error);
        }
        if (!sti_is_utf8(key)) {
            return sti_refuse_plain(s->directory, ST_ERR_UTF8, key, STI_TEXT("index key is not UTF-8"), s->error);
        }
        if (value.n > STI_DEFAULT_LIMIT) { /* so that offsets in it fit 32 bits */
            return sti_refuse(s->directory, ST_ERR_HEADER_LIMIT, key, STI_DEFAULT_LIMIT, value.n,
                              STI_TEXT("index value of $a bytes exceeds the limit of $e"), s->error);
        }
        j = sti_json_of_text(value);
        if (!sti_is_utf8(value) || sti_json_skip(&j, 2) != ST_OK || sti_json_peek(&j) >= 0) { /* 2: depth in the file */
            return sti_refuse_plain(s->directory, ST_ERR_JSON, key, STI_TEXT("index value is not JSON text"), s->error);
        }
        s->index_pairs[i] = sti_pair_entry(p, p);
    }
    return sti_sharded_sort(s, s->index_pairs, n, STI_TEXT("duplicate index key"));
}

static st_status sti_sharded_sort_tensors(sti_sharded_save *s) {
    const size_t n = s->contents.count;
    size_t i;
    s->sorted = (sti_output_entry *)sti_sharded_take(s, sti_multiply_saturated(n, sizeof *s->sorted));
    if (!s->sorted) return ST_ERR_MEMORY;
    for (i = 0; i < n; i++) s->sorted[i] = sti_tensor_entry(&s->contents.tensors[i], &s->contents.tensors[i], i);
    return sti_sharded_sort(s, s->sorted, n, STI_TEXT("duplicate tensor name"));
}

/* Emits the index of a model of at least two shards. */
STI_COLD static void sti_emit_index(sti_emitter *e, const sti_sharded_save *s) {
    const sti_span total_key = sti_span_of("total_size");
    const size_t n = s->contents.index_count;
    char name[ST_SHARD_NAME_BYTES];
    uint32_t shard = 0;
    size_t i;
    int has_total = 0; /* total_size was emitted */
    sti_emit_text(e, "{\n  \"metadata\": {");
    for (i = 0; i <= n; i++) {
        const int order = i < n ? sti_compare_spans(s->index_pairs[i].name, total_key) : 1;
        const st_pair *p;
        sti_span value;
        if (order >= 0 && !has_total) {
            sti_emit_index_key(e, total_key, i == 0);
            sti_emit_number(e, s->total_bytes);
            has_total = 1;
        }
        if (order == 0 || i == n) continue; /* the computed total_size replaces the caller's */
        p = (const st_pair *)s->index_pairs[i].item;
        value = sti_span_of_text(p->value, p->value_bytes);
        sti_emit_index_key(e, s->index_pairs[i].name, i == 0 && !has_total);
        sti_emit(e, value.at, value.n);
    }
    sti_emit_text(e, "\n  },\n  \"weight_map\": {");
    for (i = 0; i < s->contents.count; i++) {
        const uint32_t next = s->shards[s->sorted[i].declared_index];
        if (i == 0 || next != shard) (void)sti_sharded_name(s, next, name); /* neighbours often share a shard */
        shard = next;
        sti_emit_index_key(e, s->sorted[i].name, i == 0);
        sti_emit_string(e, sti_span_of(name), 1);
    }
    sti_emit_text(e, "\n  }\n}\n");
}

/* Validates everything that the index will contain, and computes the length of its file. */
STI_COLD static st_status sti_sharded_prepare_index(sti_sharded_save *s) {
    sti_emitter count = {NULL, 0, 0};
    char name[ST_SHARD_NAME_BYTES];
    st_status status = sti_sharded_sort_pairs(s);
    if (status == ST_OK && s->shard_count > 1) status = sti_sharded_sort_tensors(s);
    if (status != ST_OK || s->shard_count == 1) return status;
    sti_emit_index(&count, s);
    s->index_bytes = count.bytes;
    if (count.bytes <= STI_DEFAULT_LIMIT) return ST_OK;
    return sti_refuse(s->directory, ST_ERR_HEADER_LIMIT, sti_span_of(sti_sharded_name(s, s->shard_count, name)),
                      STI_DEFAULT_LIMIT, count.bytes, STI_TEXT("index of $a bytes exceeds the limit of $e"), s->error);
}

/* ---- sharding: older files in the directory */

/* Returns 1 if a shard has a number that exists, in as many digits as st_shard_name writes. */
static int sti_is_valid_shard(const sti_shard_parts *shard) {
    char digits[STI_DIGITS];
    return shard->number >= 1 && shard->number <= shard->total &&
           (shard->digits == 5 || shard->digits == sti_digits(shard->number, digits).n) &&
           (shard->total_digits == 5 || shard->total_digits == sti_digits(shard->total, digits).n);
}

/* Returns 1 if a shard has the stem of the new model, in letters of any case; 2 if in the same letters. */
STI_COLD static int sti_is_own_shard(const sti_sharded_save *s, const sti_shard_parts *shard) {
    char stem[ST_SHARD_NAME_BYTES];
    stem[0] = 0;
    sti_put(stem, sizeof stem, shard->prefix);
    sti_put(stem, sizeof stem, shard->variant);
    return sti_span_equal(sti_span_of(stem), sti_span_of(s->stem))
               ? 2
               : sti_equals_ignoring_case(sti_span_of(stem), s->stem);
}

/* Returns 1 if the file belongs to a model that would be beside the new one. A name that differs from a new one in the
 * case of letters does: some systems take both for the same, others open neither. */
STI_COLD static int sti_survey_file(sti_sharded_save *s, sti_span name) {
    const int is_model = sti_span_equal(sti_span_of(s->stem), sti_span_of("model")); /* directories open as model.* */
    char own[ST_SHARD_NAME_BYTES];
    sti_shard_parts shard;
    sti_file_parts file;
    const uint32_t total = sti_split_shard_name(name, &shard);
    const int own_shard = total && sti_is_valid_shard(&shard) ? sti_is_own_shard(s, &shard) : 0;
    if (!sti_split_file_name(name, &file) || (total && !sti_is_valid_shard(&shard))) return 0;
    if (own_shard) {
        if (total == s->shard_count && total > 1) s->has_clash = 1;
        return own_shard < 2 && !is_model;
    }
    if (file.is_index) {
        const int had_index = s->has_index, was_plain = s->is_index_plain;
        s->has_index = s->is_index_plain = 1;
        if (sti_span_equal(name, sti_span_of(sti_index_name(s, own)))) return had_index;
        s->is_index_plain = 0;
        if (sti_span_equal(name, sti_span_of(sti_index_name(s, own)))) return had_index;
        s->has_index = had_index;
        s->is_index_plain = was_plain;
        return 1;
    }
    name.n -= sizeof STI_FILE_SUFFIX - 1;
    if (sti_equals_ignoring_case(name, s->stem)) {
        s->has_single = 1;
        if ((s->options.flags & ST_SAVE_AS_OPENED) && s->shard_count > 1) return 1; /* it is not older */
        return !is_model && !sti_span_equal(name, sti_span_of(s->stem));
    }
    if (total > 1) return 1;
    return !is_model && (s->shard_count == 1 || sti_span_equal(name, sti_span_of("model")));
}

STI_COLD static int sti_survey_visit(void *arg, const char *text) {
    sti_sharded_save *s = (sti_sharded_save *)arg;
    if (*text == '.' || !sti_survey_file(s, sti_span_of(text))) return 0;
    s->other[0] = 0;
    sti_put(s->other, sizeof s->other, sti_span_of(text));
    return 0;
}

/* Looks for files of an older model, and for files with the names of new shards. */
STI_COLD static st_status sti_sharded_survey(sti_sharded_save *s) {
    const int code = sti_system_list(NULL, s->directory, sti_survey_visit, s);
    if (!code && s->other[0]) {
        return sti_refuse_plain(s->directory, ST_ERR_SHARD, sti_span_of(s->other),
                                STI_TEXT("the directory holds another model: use its stem, or another directory"),
                                s->error);
    }
    if (!code) return ST_OK;
    if (code == ST_IO_NOT_FOUND) {
        return sti_refuse_plain(s->directory, ST_ERR_NOT_FOUND, sti_span_of(""), STI_TEXT("no such directory"),
                                s->error);
    }
    return sti_sharded_fail(s, code, "", STI_TEXT("cannot list the directory"));
}

/* ---- sharding: writing under temporary names */

/* Opens a writer of the file s->path. */
STI_COLD static st_status sti_sharded_writer(sti_sharded_save *s, st_writer **w) {
    st_status status = sti_writer_new(w, s->path, NULL, &s->options, s->error);
    if (status != ST_OK) return status;
    (*w)->serial = s->next_serial;
    (*w)->way = STI_REPLACE;
    return ST_OK;
}

/* Completes the next file under its temporary name. From then on s, not w, renames or removes the file. */
STI_COLD static st_status sti_sharded_complete(sti_sharded_save *s, st_writer *w) {
    st_status status = sti_writer_complete(w, s->error);
    if (status != ST_OK) return status;
    w->stage = STI_FINISHED;
    s->serials[s->written++] = w->serial;
    s->next_serial = w->serial + 1;
    return ST_OK;
}

/* Finds, before the first shard is written, what the writer of a shard would refuse: tensors without a source of bytes,
 * and a header that exceeds the limit even without metadata. */
STI_COLD static st_status sti_sharded_check_shard(sti_sharded_save *s, uint32_t shard, size_t begin, size_t end) {
    sti_emitter count = {NULL, 0, 0};
    char name[ST_SHARD_NAME_BYTES];
    size_t i;
    (void)sti_sharded_path(s, sti_sharded_name(s, shard, name));
    for (i = begin; i < end; i++) {
        const st_tensor *tensor = &s->contents.tensors[i];
        st_tensor t;
        sti_output_entry item;
        st_status status;
        (void)sti_tensor_check("", tensor, &t, NULL); /* cannot fail: sti_plan_shards validated the tensor */
        status = sti_source_check(s->path, s->contents.from, &s->options, tensor, t.bytes, s->error);
        if (status != ST_OK) return status;
        item = sti_tensor_entry(&t, tensor, i);
        sti_emit_tensor(&count, &item, 0);
    }
    return sti_header_size_check(s->path, sti_add64_saturated(count.bytes, s->options.slack), s->error);
}

STI_COLD static st_status sti_sharded_write_shard(sti_sharded_save *s, uint32_t shard, size_t begin, size_t end) {
    char name[ST_SHARD_NAME_BYTES];
    st_writer *w;
    st_status status;
    (void)sti_sharded_path(s, sti_sharded_name(s, shard, name));
    status = sti_sharded_writer(s, &w);
    if (status == ST_OK) {
        st_contents c = s->contents;
        if (c.count) c.tensors += begin;
        c.count = end - begin;
        status = sti_writer_list_contents(w, &c, s->error);
    }
    if (status == ST_OK) status = st_writer_begin(w, s->error);
    if (status == ST_OK) status = sti_save_data(w, s->saved_bytes, s->total_bytes, s->error);
    if (status == ST_OK) status = sti_sharded_complete(s, w);
    if (status == ST_OK) s->saved_bytes = sti_add64_saturated(s->saved_bytes, w->data_bytes);
    st_writer_close(w);
    return status;
}

STI_COLD static st_status sti_sharded_write_index(sti_sharded_save *s) {
    sti_emitter e = {NULL, 0, 0};
    char name[ST_SHARD_NAME_BYTES];
    st_writer *w;
    st_status status;
    if (s->shard_count == 1) return ST_OK;
    (void)sti_sharded_path(s, sti_sharded_name(s, s->shard_count, name));
    status = sti_sharded_writer(s, &w);
    if (status == ST_OK) {
        w->data_offset = s->index_bytes; /* the length of the file, for the buffer and the reservation of space */
        status = sti_writer_start(w, s->error);
    }
    if (status == ST_OK) {
        e.writer = w;
        sti_emit_index(&e, s);
        status = e.code ? sti_writer_fail(w, e.code, STI_CANNOT_WRITE, s->error) : sti_sharded_complete(s, w);
    }
    st_writer_close(w);
    return status;
}

/* Opens a file to check or to change it. */
static st_status sti_open_saved(st_model **model, const char *path, const st_allocator *allocator, st_error *error) {
    st_open_options o;
    ST_MEMSET(&o, 0, sizeof o);
    o.flags = ST_OPEN_NO_MAP | ST_OPEN_UNKNOWN_DTYPES;
    o.allocator = allocator;
    return st_open(model, path, &o, error);
}

static int sti_is_as_planned(const st_tensor *found, const st_tensor *planned) {
    uint32_t i;
    if (!found || found->dtype != planned->dtype || found->rank != planned->rank) return 0;
    if (found->bytes != planned->bytes ||
        !sti_span_equal(sti_span_of(found->dtype_name), sti_span_of(planned->dtype_name)))
        return 0;
    for (i = 0; i < found->rank; i++) {
        if (found->shape[i] != planned->shape[i]) return 0;
    }
    return 1;
}

/* Fails with ST_ERR_SHARD if a shard in the directory is missing, damaged, or does not hold the planned tensors. */
STI_COLD static st_status sti_sharded_verify_shard(sti_sharded_save *s, uint32_t shard, size_t begin, size_t end) {
    const char *sentence = STI_TEXT("shard does not contain the planned tensors");
    char name[ST_SHARD_NAME_BYTES];
    st_model *m;
    st_status status;
    size_t i;
    status = sti_open_saved(&m, sti_sharded_path(s, sti_sharded_name(s, shard, name)), s->options.allocator, s->error);
    if (status == ST_ERR_NOT_FOUND || (status >= ST_ERR_FORMAT && status <= ST_ERR_OFFSETS)) {
        sentence = status == ST_ERR_NOT_FOUND ? STI_TEXT("shard does not exist") : STI_TEXT("shard is damaged");
        return sti_refuse_plain(s->directory, ST_ERR_SHARD, sti_span_of(name), sentence, s->error);
    }
    if (status != ST_OK) return status;
    if (m->count != end - begin) status = ST_ERR_SHARD;
    for (i = begin; status == ST_OK && i < end; i++) {
        st_tensor t;
        (void)sti_tensor_check("", &s->contents.tensors[i], &t, NULL);
        if (!sti_is_as_planned(st_find_n(m, t.name, t.name_bytes), &t)) status = ST_ERR_SHARD;
    }
    st_close(m);
    return status == ST_OK ? ST_OK : sti_refuse_plain(s->directory, status, sti_span_of(name), sentence, s->error);
}

/* Removes what is left under temporary names, frees all memory and returns the status of the call. */
STI_COLD static st_status sti_sharded_close(sti_sharded_save *s, st_status status) {
    for (; s->renamed < s->written; s->renamed++) {
        sti_temp_name(s->temp_path, s->path_bytes, s->path, s->serials[s->renamed]);
        (void)sti_system_unlink(s->temp_path);
    }
    sti_arena_release(&s->memory, NULL, 0);
    return status == ST_OK ? sti_succeed(s->error) : status;
}

/* ---- sharding: into place. After a crash between any two of these steps, the directory opens as the older model or as
 * the new one, or does not open. */

#define STI_OLD_UNCHANGED STI_TEXT("cannot rename the new files into place; the older model is unchanged")
#define STI_OLD_REMAINS STI_TEXT("the new model is in place, but this file of the older model cannot be removed")

/* Flushes renames and removals to the device. */
STI_COLD static st_status sti_sharded_sync(sti_sharded_save *s, const char *sentence) {
    /* overwrites s->path with its directory, which is how it starts */
    const int code = s->options.flags & ST_SAVE_NO_SYNC ? 0 : sti_system_sync_directory(s->path);
    return code ? sti_sharded_fail(s, code, "", sentence) : ST_OK;
}

STI_COLD static st_status sti_sharded_remove(sti_sharded_save *s, const char *name, const char *sentence) {
    const int code = sti_system_unlink(sti_sharded_path(s, name));
    return code && code != ST_IO_NOT_FOUND ? sti_sharded_fail(s, code, name, sentence) : ST_OK;
}

/* Renames the next file from its temporary to its final name. */
STI_COLD static st_status sti_sharded_rename(sti_sharded_save *s, const char *sentence) {
    char buffer[ST_SHARD_NAME_BYTES];
    const char *name = sti_sharded_name(s, s->renamed, buffer);
    int code;
    sti_temp_name(s->temp_path, s->path_bytes, sti_sharded_path(s, name), s->serials[s->renamed]);
    code = sti_system_rename(s->temp_path, s->path, !(s->options.flags & ST_SAVE_NO_SYNC));
    if (code) {
        const st_status status = sti_sharded_fail(s, code, name, sentence);
        const char *reason = sti_system_rename_sentence(code, "");
        if (*reason) sti_error_append(s->error, "; ", sti_span_of(""));
        sti_error_append(s->error, reason, sti_span_of(""));
        return status;
    }
    s->renamed++;
    return ST_OK;
}

/* Renames the last new file to another temporary name and back: a file system without rename must fail before the older
 * index is removed. */
STI_COLD static st_status sti_sharded_try_rename(sti_sharded_save *s) {
    const uint32_t serial = s->serials[s->written - 1];
    int code;
    sti_temp_name(s->temp_path, s->path_bytes, s->path, serial);
    sti_temp_name(s->path, s->path_bytes, s->temp_path, ~serial); /* as unique as the first name */
    code = sti_system_rename(s->temp_path, s->path, 0);
    if (!code) {
        code = sti_system_rename(s->path, s->temp_path, 0);
        if (code) (void)sti_system_unlink(s->path);
    }
    return code ? sti_sharded_fail(s, code, "", STI_OLD_UNCHANGED) : ST_OK;
}

#if defined(__wasi__)
#define STI_LISTING_SKIPS 1 /* a removed file moves later names to its place, where the listing does not see them */
#else
#define STI_LISTING_SKIPS 0 /* Windows goes on to list a removed file that is open elsewhere */
#endif

/* Removes a shard of another plan. Continues after a failure. */
STI_COLD static int sti_sweep_visit(void *arg, const char *text) {
    sti_sharded_save *s = (sti_sharded_save *)arg;
    sti_shard_parts shard;
    const uint32_t total = sti_split_shard_name(sti_span_of(text), &shard);
    int code;
    if (!total || !sti_is_valid_shard(&shard) || sti_is_own_shard(s, &shard) < 2) return 0;
    if (total > 1 && total == s->shard_count) return 0;
    code = sti_system_unlink(sti_sharded_path(s, text));
    if (code == 0) s->has_swept = 1;
    if (code && code != ST_IO_NOT_FOUND) s->sweep_status = sti_sharded_fail(s, code, text, STI_OLD_REMAINS);
    return 0;
}

/* Once the shards and the index have their final names: flushes the directory and removes the older model's files. */
STI_COLD static st_status sti_sharded_finish(sti_sharded_save *s) {
    const int has_old_single = s->shard_count > 1 && s->has_single;
    const char *sentence =
        has_old_single ? STI_TEXT("the new model is complete, but the older single file hides it and cannot be removed")
                       : STI_TEXT("the new model is in place, but cannot be flushed: a system crash may lose it");
    st_status status = sti_sharded_sync(s, sentence);
    char name[ST_SHARD_NAME_BYTES];
    int code;
    if (status == ST_OK && has_old_single) {
        sti_shard_name(s->stem, 0, 1, name);
        status = sti_sharded_remove(s, name,
                                    STI_TEXT("cannot remove this file of the older model, which hides the new index"));
    }
    if (status == ST_OK && s->shard_count == 1 && s->has_index) {
        status = sti_sharded_remove(s, sti_index_name(s, name), STI_OLD_REMAINS);
    }
    if (status != ST_OK) return status;
    do {
        s->has_swept = 0;
        code = sti_system_list(NULL, s->directory, sti_sweep_visit, s);
    } while (STI_LISTING_SKIPS && !code && s->has_swept && s->sweep_status == ST_OK);
    if (s->sweep_status != ST_OK || !code) return s->sweep_status;
    return sti_sharded_fail(s, code, "", STI_TEXT("the new model is in place, but the directory cannot be listed"));
}

/* Renames all files into place. Without a clash of names the older index and its shards stay until the new index
 * replaces the old one; with a clash the older index is removed first. Readers prefer model.safetensors to every index,
 * so that the older one is removed once the new index is in place. */
static st_status sti_sharded_commit(sti_sharded_save *s) {
    const char *sentence = STI_OLD_UNCHANGED;
    char name[ST_SHARD_NAME_BYTES];
    st_status status = ST_OK;
    uint32_t i;
    if (s->has_clash) {
        sentence = s->has_single
                       ? STI_TEXT("cannot rename the new files into place; the older single file is unchanged")
                       : STI_TEXT("cannot rename the new files into place, and the older model is gone: save again");
        if (s->has_index) status = sti_sharded_try_rename(s);
        if (status == ST_OK && s->has_index) {
            status = sti_sharded_remove(s, sti_index_name(s, name), STI_OLD_UNCHANGED);
        }
        if (status == ST_OK) status = sti_sharded_sync(s, sentence);
    }
    while (status == ST_OK && s->renamed < s->written) {
        if (s->renamed && s->renamed == s->shard_count)
            status = sti_sharded_sync(s, sentence); /* shards before index */
        if (status == ST_OK) status = sti_sharded_rename(s, sentence);
    }
    if (status == ST_OK) return sti_sharded_finish(s);
    for (i = 0; !s->has_clash && i < s->renamed; i++) {
        (void)sti_system_unlink(sti_sharded_path(s, sti_sharded_name(s, i, name)));
    }
    return status;
}

#else

STI_COLD static st_status sti_no_files(const char *label, st_error *error) {
    return sti_refuse_plain(label, ST_ERR_UNSUPPORTED, sti_span_of(""),
                            STI_TEXT("this build has no file system (ST_NO_FILES)"), error);
}
#endif

/* ---- sharding: the calls */

ST_API STI_COLD st_status st_save_sharded(const char *directory, const st_contents *contents,
                                          const st_save_options *options, st_error *error) {
#if defined(ST_NO_FILES)
    (void)contents, (void)options;
    return sti_no_files(directory ? directory : "(directory)", error);
#else
    sti_sharded_save s;
    st_status status = sti_sharded_open(&s, directory, contents, options, STI_SHARDED_OPTIONS, error);
    if (status == ST_OK) status = sti_sharded_prepare_index(&s);
    if (status == ST_OK) status = sti_sharded_each(&s, sti_sharded_check_shard);
    if (status == ST_OK) status = sti_sharded_survey(&s);
    if (status == ST_OK) status = sti_sharded_each(&s, sti_sharded_write_shard);
    if (status == ST_OK) status = sti_sharded_write_index(&s);
    if (status == ST_OK) status = sti_sharded_commit(&s);
    return sti_sharded_close(&s, status);
#endif
}

ST_API STI_COLD st_status st_save_index(const char *directory, const st_contents *contents,
                                        const st_save_options *options, st_error *error) {
#if defined(ST_NO_FILES)
    (void)contents, (void)options;
    return sti_no_files(directory ? directory : "(directory)", error);
#else
    sti_sharded_save s;
    st_status status = sti_sharded_open(&s, directory, contents, options,
                                        ST_SAVE_NO_SYNC | ST_SAVE_AS_OPENED | STI_ALLOW_LIMIT | STI_ALLOW_STEM, error);
    if (status == ST_OK) status = sti_sharded_prepare_index(&s);
    if (status == ST_OK) status = sti_sharded_survey(&s);
    if (status == ST_OK) status = sti_sharded_each(&s, sti_sharded_verify_shard);
    if (status == ST_OK) {
        s.written = s.renamed = s.shard_count; /* the shards have their names */
        status = sti_sharded_write_index(&s);
    }
    if (status == ST_OK && s.shard_count > 1) {
        status = sti_sharded_rename(&s, STI_TEXT("cannot rename the new index into place"));
    }
    if (status == ST_OK) status = sti_sharded_finish(&s);
    return sti_sharded_close(&s, status);
#endif
}

/* ---- editing */

#if !defined(ST_NO_FILES)
/* Counts the blanks between the end of the header's text and the data. */
static st_status sti_edit_slack(const sti_model *m, size_t *slack, st_error *error) {
    unsigned char bytes[64];
    uint64_t offset = m->base.shards->data_offset;
    for (*slack = 0; offset > 8;) {
        size_t n = offset - 8 < sizeof bytes ? (size_t)(offset - 8) : sizeof bytes, left = n;
        int code = sti_model_read(m, 0, offset - n, bytes, n);
        if (code) {
            return sti_error_prepend_path(error, m->label,
                                          sti_fail_code(error, code, offset - n, STI_TEXT("cannot read the header")));
        }
        while (left && sti_is_blank(bytes[left - 1])) left--;
        *slack += n - left; /* at most the length of the header */
        if (left) break;
        offset -= n;
    }
    return ST_OK;
}

/* Overwrites bytes of a file that stays as long as it is. validated: the file that was opened, which must not have been
 * replaced or changed since. */
STI_COLD static st_status sti_overwrite(const char *path, const st_io *validated, uint64_t offset, const void *bytes,
                                        size_t n, int sync, st_error *error) {
    const char *sentence = STI_TEXT("cannot open the file for writing");
    sti_target t;
    int code;
    ST_MEMSET(&t, 0, sizeof t);
    code = sti_system_open_in_place(path, validated, &t);
    if (!code) {
        sentence = STI_CANNOT_WRITE;
        code = sti_system_write(&t, offset, bytes, n);
    }
    if (!code && sync) {
        code = sti_system_sync(&t);
        if (code) sentence = sti_flush_sentence(code);
    }
    if (!code) code = sti_system_close_target(&t);
    if (t.open) (void)sti_system_close_target(&t);
    if (!code) return sti_succeed(error);
    return sti_error_prepend_path(error, path, sti_fail_code(error, code, STI_NO_OFFSET, sentence));
}

/* Overwrites the header; the new one must end where the data starts. */
static st_status sti_edit_in_place(st_writer *w, const st_io *validated, st_error *error) {
    st_status s = sti_writer_plan(w, error);
    if (s != ST_OK) return s;
    if (w->data_offset != w->old_data_offset) {
        return sti_refuse(w->label, ST_ERR_TOO_LARGE, sti_span_of(""), w->old_data_offset, w->data_offset,
                          STI_TEXT("new header needs $a bytes before the data, only $e available"), error);
    }
    w->buffer_bytes = sti_round8((size_t)w->old_data_offset); /* fits size_t: the header was in memory */
    w->buffer = (unsigned char *)sti_writer_take(w, w->buffer_bytes, error);
    if (!w->buffer) return ST_ERR_MEMORY;
    (void)sti_writer_emit_header(w); /* cannot fail: the buffer is large enough */
    return sti_overwrite(w->path, validated, 8, w->buffer + 8, (size_t)w->old_data_offset - 8,
                         !(w->options.flags & ST_SAVE_NO_SYNC), error);
}

/* Edits a file that is open as *model. Closes the model, and sets it to NULL, before the file is replaced, as
 * Windows requires. In place the model stays open, so that no other file can get the identity that
 * sti_system_open_in_place compares. */
static st_status sti_edit(st_model **model, const char *path, const st_pair *metadata, size_t metadata_count,
                          const st_save_options *options, st_error *error) {
    const sti_model *m = (const sti_model *)(const void *)*model;
    const uint64_t old_data_offset = m->base.shards->data_offset;
    const int in_place = (options->flags & ST_SAVE_IN_PLACE) != 0;
    st_save_options o = *options;
    st_writer *w = NULL;
    size_t slack;
    st_status s;
    if (m->base.index_count || !sti_span_equal(sti_span_of(m->base.shards->path), sti_span_of(path))) {
        return sti_refuse_plain(path, ST_ERR_UNSUPPORTED, sti_span_of(""),
                                STI_TEXT("cannot edit metadata: the path is an index or a directory, not a file"),
                                error);
    }
    s = sti_edit_slack(m, &slack, error);
    if (s != ST_OK) return s;
    o.flags = (o.flags & ~ST_SAVE_IN_PLACE) | ST_SAVE_KEEP_ORDER;
    /* In place slack is 0, so that the error reports what is really needed. A new file keeps slack and alignment. */
    if (in_place || !o.slack) o.slack = in_place ? 0 : slack;
    if (!o.align) {
        for (o.align = 8; !in_place && o.align < 65536 / 2 && old_data_offset % (2 * o.align) == 0;) o.align *= 2;
    }
    s = sti_writer_new(&w, path, NULL, &o, error);
    if (s == ST_OK) w->old_data_offset = old_data_offset;
    if (s == ST_OK) {
        st_contents c = st_contents_of(*model);
        c.metadata = metadata;
        c.metadata_count = metadata_count;
        s = sti_contents_check(path, &c, NULL, error);
        if (s == ST_OK) s = sti_writer_list_contents(w, &c, error);
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

ST_API STI_COLD st_status st_edit_metadata(const char *path, const st_pair *metadata, size_t metadata_count,
                                           const st_save_options *options, st_error *error) {
    if (!path) return sti_refuse_argument("(file)", "path", error);
#if defined(ST_NO_FILES)
    (void)metadata, (void)metadata_count, (void)options;
    return sti_no_files(path, error);
#else
    unsigned allowed = ST_SAVE_NO_SYNC | ST_SAVE_IN_PLACE | STI_ALLOW_PROGRESS;
    st_save_options o;
    st_model *model;
    st_status s;
    ST_MEMSET(&o, 0, sizeof o);
    if (options) o = *options;
    if (!(o.flags & ST_SAVE_IN_PLACE)) allowed |= STI_ALLOW_LAYOUT;
    s = sti_save_options_check(path, &o, allowed, error);
    if (s != ST_OK) return s;
    s = sti_open_saved(&model, path, o.allocator, error);
    if (s == ST_OK) s = sti_edit(&model, path, metadata, metadata_count, &o, error);
    st_close(model);
    return s == ST_OK ? sti_succeed(error) : s;
#endif
}

ST_API STI_COLD st_status st_overwrite(const char *path, const char *name, uint64_t offset, const void *bytes, size_t n,
                                       const st_save_options *options, st_error *error) {
    if (!path) return sti_refuse_argument("(file)", "path", error);
    if (!name || (!bytes && n)) return sti_refuse_argument(path, name ? "bytes" : "name", error);
#if defined(ST_NO_FILES)
    (void)offset, (void)options;
    return sti_no_files(path, error);
#else
    st_save_options o;
    const st_tensor *t;
    st_model *model = NULL;
    st_status s;
    ST_MEMSET(&o, 0, sizeof o);
    if (options) o = *options;
    s = sti_save_options_check(path, &o, ST_SAVE_NO_SYNC, error);
    if (s == ST_OK) s = sti_open_saved(&model, path, o.allocator, error);
    if (s != ST_OK) return s;
    t = st_find(model, name);
    if (!t) {
        s = sti_refuse_plain(path, ST_ERR_NOT_FOUND, sti_span_of(name), STI_TEXT("no tensor with this name"), error);
    } else if (offset > t->bytes || n > t->bytes - offset) {
        s = sti_refuse(path, ST_ERR_ARGUMENT, sti_span_of(name), t->bytes, sti_add64_saturated(offset, n),
                       STI_TEXT("bytes end at $a, past the end of the tensor of $e bytes"), error);
    } else { /* the model stays open, so that no other file can get the identity that is compared */
        s = sti_overwrite(model->shards[t->shard].path, &((const sti_model *)(const void *)model)->files[t->shard].io,
                          sti_add64_saturated(t->offset, offset), bytes, n, !(o.flags & ST_SAVE_NO_SYNC), error);
    }
    st_close(model);
    return s;
#endif
}

#endif /* ST_NO_WRITER */

/* ---- 18 history and licence -----------------------------------------------------------------------------------------
 * Changes between versions, and the terms of use.
 * uses: -
 * ---------------------------------------------------------------------------------------------------------------------
 * 0.1.0  2026-11-21  Reading files, memory and callbacks; scanning without memory. Writing files, sinks and streams;
 *                    editing metadata.
 * 0.2.0  2026-11-26  Models of several files; the Hugging Face cache; aliases; conversion, views and bulk loads; faster
 *                    opening.
 * 0.3.0  2026-11-27
 *   Added    st_contents, st_contents_of, st_tensor_of, ST_ZERO_INIT: what is saved is one struct. st_save_index:
 *            completes a model whose shards several processes saved. st_load_options.part: st_load on the caller's
 *            threads. st_error.item: the item that failed. st_version.
 *   Changed  st_options is st_open_options, st_stretch is st_extent, st_next_unasked is st_next_unused. st_find_each is
 *            st_find_all and returns how many names were found, not how many are missing. ST_DTYPE_NONE is
 *            ST_DTYPE_UNKNOWN in a tensor, ST_AS_STORED in a read. Memory to lend (work, scratch) is an st_buffer.
 *            st_find_metadata returns the pair: use pair->value. st_load_item.status is gone: use error.item.
 *            Fields of st_error, st_load_item and st_save_options have a new order: check positional initialisers.
 *            st_save, st_save_sharded and st_plan_shards take st_contents; from and index moved there from the options.
 *            Flags and options that a call does not use fail with ST_ERR_ARGUMENT. Index values are written as given.
 *            st_writer_begin, not st_writer_add, detects duplicates. If a work buffer is too small, error.expected
 *            suffices but may be too much. st_save_sharded finds older shards by name and ignores other indexes.
 *            Variables of the Hugging Face cache: only a leading ~ is expanded, not $NAME.
 *   Removed  st_save_sink, st_writer_open_sink (set options.sink); st_save_model (save st_contents_of(model));
 *            st_shards_begin, _write, _finish (see 5 MODELS IN SEVERAL FILES); st_find_alias (st_aliases);
 *            st_find_shared (examples/tied.c); ST_THREADS, st_load_options.threads, item_done, ST_LOAD_DIRECT (part,
 *            st_plan_load); ST_SAVE_SHARD_OVER; work buffers in st_save_sharded, st_edit_metadata and for models of
 *            several files (use an allocator).
 *   Fixed    A failed sharded save could remove the older index. Models of 65,536 shards could not be mapped. st_save
 *            with an empty path created a temporary file. st_writer_next ignored st_writer_write_to. Converting
 *            NaN to BF16 was wrong with gcc -funsigned-char. st_plan_load was slow if the extents did not fit.
 *   Security Saving kept setuid, setgid and sticky bits of the old file. st_edit_metadata in place could overwrite the
 *            header of a file that had replaced the validated one. Refusing a model of over 64 shards used a closed
 *            file. Reading a tensor of an invalid dtype read past a table. Lengths of 2^63 bytes and more were
 *            accepted. An index with one file under many names took gigabytes. Crafted headers made st_scan_begin,
 *            finding and saving very slow. A ref of the Hugging Face cache could hold text after the commit.
 * 0.4.0  2026-11-27
 *   Added    ST_OPEN_NO_INDEX, ST_OPEN_INDEX_DECIDES, st_open_options.variant: directories without a right index, with
 *            copies of tensors, with variants. st_save_options.stem, st_model.stem: files keep their names.
 *            ST_SAVE_AS_OPENED: an index for shards that have none. st_overwrite: bytes of one tensor, in its file.
 *            ST_SAVE_DIRECT: no temporary file, no rename.
 *   Changed  st_open_hub takes a path in the repository, st_shard_name a stem: NULL for what they did before.
 *            ST_OPEN_PARTIAL accepts an index that names tensors which no shard holds. "metadata": null in an index is
 *            as none. *.safetensors.index.VARIANT.json is an index. st_save_sharded refuses a directory that holds a
 *            model with another stem. ST_SHARD_NAME_BYTES is 256. A directory called like a file is no candidate.
 *            If file descriptors run out, st_open keeps fewer files open. FIFOs and character devices are written to,
 *            and never replaced. A replaced file keeps its owner and group if the process may do that. A refused chmod
 *            is no error. Messages name a refused rename or fsync, unfinished downloads, and what would open instead.
 *   Fixed    options.fill was asked for ranges that began and ended inside an element. st_advise brought in little of a
 *            large range.
 * 0.5.0  2026-11-27
 *   Added    st_has_shape, st_to_little_endian: what many programs wrote themselves. st_io.name: messages name a file
 *            behind callbacks. A program that does not zero an st_io before it fills the fields has to do so now.
 *
 * 0.5.1  2026-11-27
 *   Added    WASI and Emscripten with their files; machines whose size_t has 16 bits, to read without files and malloc.
 *            ST_MALLOC and ST_FREE serve ST_FREESTANDING, too.
 *   Fixed    Directories that may be written but not read can be saved to. A sharded save on a mount that cannot rename
 *            keeps the older model. macOS: a failed F_FULLFSYNC is an error. 32-bit machines read files of 2 GiB and more
 *            instead of mapping them. FreeBSD and NetBSD with strict macros; symbolic links on NetBSD.
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
