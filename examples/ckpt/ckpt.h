/* ckpt.h: what the files of ckpt share. */
#ifndef CKPT_H
#define CKPT_H

#include "examples/common/folder.h"
#include "examples/common/memory.h"
#include "examples/common/text.h"

typedef struct request { /* the command line */
    const char *dir;
    const char *const *operands; /* what follows DIR */
    size_t operand_count;
    const char *const *options; /* pairs: the name and the value, or the name twice */
    size_t option_count;
} request;

typedef struct model_files { /* which of the names that checkpoints use exists in a directory */
    const char *file;        /* NULL: none */
    int is_index, is_safetensors;
    int is_valid; /* there is one, or a mark says that the checkpoint has no weights */
} model_files;

enum { SMALL_FILE = 1 << 20, INDEX_FILE = 100000000 }; /* bytes at most: a manifest or metrics, an index */

/* main.c */
int complain(const char *path, const char *reason); /* prints an error; returns 1, the exit status */
void warn(const char *path, const char *reason);
int usage(const char *reason, const char *word); /* returns 2, the exit status */
/* Returns the value of the next option with this name from number *i on, and moves *i past it. NULL: none is left. */
const char *next_option(const request *r, const char *name, size_t *i);
const char *option_value(const request *r, const char *name); /* the last one */
/* Returns the number that an option gives, or `absent` without the option; 0 if it is not a number from 1 to 999,999,999. */
unsigned long option_number(const request *r, const char *name, unsigned long absent);
void put_member(const char *before, const char *text); /* `before`, then text as a JSON string, or null for NULL */

/* find.c */
typedef struct checkpoint { /* a directory DIR/checkpoints/checkpoint-ID */
    char *name, *path;
    file_info info;
    file_time time; /* of the manifest, or else of the directory */
    int is_valid, is_kept, is_deleted;
} checkpoint;

typedef struct checkpoint_list {
    folder *root; /* DIR/checkpoints, or NULL if there is none */
    char *path;
    checkpoint *items; /* oldest first */
    size_t count;
} checkpoint_list;

int list_checkpoints(checkpoint_list *list, const char *dir); /* returns 0 after a message */
model_files find_model(const folder *directory);
model_files find_model_in(const char *path);
/* Returns 0 after a message. *path becomes NULL if there is no valid checkpoint; *name then and for DIR itself. */
int find_latest(const char *dir, const char **path, const char **name);

/* the commands; they return the exit status */
typedef int command_function(const request *r);
command_function run_latest, run_next, run_validate;      /* find.c */
command_function run_rotate;                              /* rotate.c */
command_function run_save_metrics, run_metrics, run_best; /* metrics.c */
command_function run_verify, run_info;                    /* model.c */
command_function run_link;                                /* link.c */

#endif
