/* lenient.h: reads damaged safetensors files: what can be told for certain, and a list of all faults. The library
 * refuses such files. */
#ifndef ST_TOOL_LENIENT_H
#define ST_TOOL_LENIENT_H

#include "safetensors.h"
#include <stddef.h>
#include <stdint.h>

typedef struct file_fault {
    uint64_t position;   /* in the file */
    const char *name;    /* of a tensor or a metadata key, or NULL */
    const char *message; /* with $a, $b: the numbers; $s: the text; $d: the dtype */
    const char *mend;    /* what st repair does about it */
    const char *text;
    uint64_t a, b;
    st_dtype dtype;
    size_t name_bytes, order; /* order: in which faults were found */
    int is_loss;              /* it cannot be mended: something is left out */
} file_fault;

typedef struct lenient_tensor {
    st_tensor tensor;  /* its offset is in the data, not in the file */
    uint64_t position; /* of its name in the file */
    size_t dims;       /* index in lenient.dims of its first dimension */
    int is_kept;       /* by st repair */
} lenient_tensor;

typedef struct lenient_pair {
    st_pair pair;
    uint64_t position; /* of its key in the file */
    int is_kept;
} lenient_pair;

/* All lists are bounded by the header, which has at most 100,000,000 bytes: each item takes some bytes of it. */
typedef struct lenient {
    st_io io;
    unsigned char *header;          /* a copy, whose strings are decoded in place; all names point into it */
    size_t header_bytes;            /* of the copy */
    uint64_t length;                /* the header length that the file gives */
    uint64_t header_offset;         /* of the byte after the header length, in the file */
    uint64_t json_offset, json_end; /* of the JSON object, in the file */
    uint64_t data_offset;           /* in the file */
    uint64_t data_bytes;            /* up to the end of the last tensor */
    int has_unknown_end;            /* a tensor does not tell where it ends, so there may be more data */
    int has_metadata, has_nothing;  /* has_nothing: no JSON object was found */
    int has_no_memory, has_read_error;
    uint64_t compare_budget; /* bytes that may still be compared */
    lenient_tensor *items;   /* of entries that are complete */
    lenient_pair *entries;   /* of the metadata */
    uint64_t *dims;          /* shapes */
    size_t item_count, item_room, entry_count, entry_room, dim_count, dim_room, dropped_fields;
    file_fault *faults; /* by position */
    size_t fault_count, fault_room;
    uint64_t uncounted_faults, losses; /* faults beyond the first 65,536; faults that cannot be mended */
    const char *failure;               /* why nothing can be read */
    uint64_t failure_position;
    st_tensor *tensors;
    st_pair *pairs;
    st_shard shard;
    st_model model; /* every complete entry, also if its data is cut, and the metadata */
} lenient;

/* Reads a file. Returns ST_OK; ST_ERR_JSON if nothing can be read, with l->failure set; ST_ERR_MEMORY or ST_ERR_IO.
 * lenient_close must follow in any case. */
st_status lenient_read(lenient *l, const st_io *io);
/* Leaves in l->model only what st repair keeps. */
void lenient_keep_sound(lenient *l);
void lenient_close(lenient *l);

/* Adds a fault that the caller has found; after lenient_read. */
void lenient_add_fault(lenient *l, uint64_t position, const char *message, const char *mend);
/* Writes a fault's message, without its name, and a NUL to out, which has `size` bytes. */
void fault_message(const file_fault *f, char *out, size_t size);

#endif
