/* st.h: declarations that the commands of the tool share. */
#ifndef ST_TOOL_H
#define ST_TOOL_H

#include "../common/text.h"
#include "bytes.h"
#include "lenient.h"
#include "safetensors.h"
#include "sha256.h"
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/* ---- commands (the table is in main.c) ---------------------------------------------------------------------- */

enum { EXIT_FINE = 0, EXIT_FAILED = 1, EXIT_USAGE = 2 };

/* Each takes the arguments after the command's name and returns an exit code. */
int command_ls(int argc, char **argv);
int command_check(int argc, char **argv);
int command_cat(int argc, char **argv);
int command_copy(int argc, char **argv);
int command_merge(int argc, char **argv);
int command_merge_lora(int argc, char **argv);
int command_shard(int argc, char **argv);
int command_convert(int argc, char **argv);
int command_show(int argc, char **argv);
int command_diff(int argc, char **argv);
int command_meta(int argc, char **argv);
int command_pack(int argc, char **argv);
int command_put(int argc, char **argv);
int command_repair(int argc, char **argv);
int command_hash(int argc, char **argv);
int command_index(int argc, char **argv);

typedef struct tool_command {
    const char *name, *arguments, *summary, *help;
    int (*run)(int argc, char **argv);
    int opens_models;  /* accepts opening_options, whose help follows `help` */
    const char *notes; /* the end of the help, or NULL */
} tool_command;

/* Returns a part of a command's help, perhaps "". The help is its parts, one after the other. */
enum { HELP_PARTS = 3 };
const char *help_part(const tool_command *c, int part);

/* Writes the manual page in the man macros (help.c). about: what concerns all commands. */
void put_manual(const tool_command *commands, size_t count, const char *about);
/* Writes the completions for bash, zsh or fish. Returns 0 for another shell. */
int put_completion(const char *shell, const tool_command *commands, size_t count);

/* One of three kinds:
 *   flag only        takes no value; *flag becomes 1
 *   value only       takes a value; if the option is repeated, the last value counts
 *   flag and value   may be repeated: value[] receives the values and *flag counts them; value[] needs room for argc */
typedef struct option {
    const char *name;
    int *flag;
    const char **value;
} option;

/* Moves the arguments that are not options to the front of argv and returns their number, or -1 after a message. */
int parse_options(const char *command, const option *options, size_t count, int argc, char **argv);

/* Starts a message on standard error: "st cat: ". */
void begin_message(const char *command);
/* Ends a message about a wrong command line and returns EXIT_USAGE. */
int usage_hint(const char *command);
/* Writes a whole message, text and then what the caller gave, and returns EXIT_USAGE. */
int usage_error(const char *command, const char *text, const char *given);

/* ---- text: what is printed is escaped by put_text or put_json (common/text.h); numbers, near misses (text.c) - */

/* Like put_text, but cuts after at most max_bytes bytes, between characters: "abc... (3000 bytes)". */
void put_shortened(FILE *to, const char *text, size_t bytes, size_t max_bytes);
/* Writes a JSON object, or null if pairs is NULL (a file without metadata, which differs from empty metadata). */
void put_pairs_json(FILE *to, const st_pair *pairs, size_t count, int values_are_json);

int compare_text(const char *a, size_t a_bytes, const char *b, size_t b_bytes); /* orders as strcmp does, by bytes */
int ends_with(const char *text, const char *end);

/* Parses digits up to the first other character. Returns 0 if there are none or the number exceeds 64 bits. */
int parse_digits(const char **text, uint64_t *number);
int parse_number(const char *text, uint64_t *number); /* parse_digits of the whole string */

enum { NUMBER_BYTES = 21 };
const char *number_text(uint64_t number, char text[NUMBER_BYTES]); /* decimal digits and a NUL, at the end of text */
void put_number(FILE *to, uint64_t number);
/* Writes "1 tensor" or "2 tensors" for " tensor", " tensors". */
void put_count(FILE *to, uint64_t number, const char *singular, const char *plural);
size_t number_width(uint64_t number);
void put_shape(FILE *to, const st_tensor *tensor);    /* [2,3] */
void put_double(FILE *to, double number, int digits); /* as %g, but nan, inf, -inf on every system */
void put_spaces(FILE *to, size_t count);
enum { READABLE_SIZE = 24 };
const char *readable_size(uint64_t bytes, char text[READABLE_SIZE]); /* "1.5 MiB" */
void end_line(void);     /* ends a line of standard output; flushes it on a terminal */
int output_failed(void); /* errno of the first failed write to standard output, or 0 */

/* The few names nearest to a name that was not found. The names must outlive the struct. */
enum { NEAREST_NAMES = 3 };
typedef struct nearest_names {
    const char *wanted;
    size_t wanted_bytes, count;
    size_t distance[NEAREST_NAMES], bytes[NEAREST_NAMES];
    const char *names[NEAREST_NAMES];
} nearest_names;
void nearest_begin(nearest_names *nearest, const char *wanted);
void nearest_consider(nearest_names *nearest, const char *name, size_t bytes);
void nearest_tensors(nearest_names *nearest, const st_model *model); /* considers all that have another name */
void put_nearest(FILE *to, const nearest_names *nearest);            /* "; did you mean a, b or c?", or nothing */

/* ---- values (values.c) -------------------------------------------------------------------------------------- */

int is_float(st_dtype dtype); /* also of less than 16 bits; C64 is none */
/* Returns 1 if the elements can be read as F64. A C64 counts as two numbers: real, imaginary. */
int has_numbers(const st_tensor *tensor);
uint64_t number_count(const st_tensor *tensor);
/* Reads the numbers [first, first + count) of a tensor in C order, converted to `as`, in host byte order. */
st_status read_numbers(const st_model *model, const st_tensor *tensor, uint64_t first, size_t count, st_dtype as,
                       void *to, st_error *error);

typedef struct findings {
    uint64_t nan, infinity;
    uint64_t bad_bool; /* bytes of BOOL tensors other than 0 and 1 */
} findings;

/* Adds what n bytes of a tensor contain. The bytes are whole elements. */
void count_findings(findings *found, st_dtype dtype, const unsigned char *bytes, size_t n);

/* ---- numbers as NumPy prints them (numpy.c) ----------------------------------------------------------------- */

int is_nan(double number);
int is_finite(double number);

enum { NUMBER_TEXT = 64 };

typedef struct number_format { /* the common format of an array, from its numbers */
    st_dtype dtype;
    int always_sign;                        /* writes + as well */
    int power;                              /* largest absolute power of ten */
    double smallest, largest;               /* absolute values */
    size_t whole_width, fraction_width;     /* characters before and after the point in positional form */
    size_t e_whole_width, e_fraction_width; /* the same with an exponent */
    size_t word_width;                      /* of nan and inf */
} number_format;

void number_format_begin(number_format *f, st_dtype dtype, int always_sign);
void number_format_measure(number_format *f, double number); /* call it for every number before format_number */
void format_number(const number_format *f, double number, char text[NUMBER_TEXT]); /* padded to the column */
void format_number_alone(st_dtype dtype, double number, char text[NUMBER_TEXT]);   /* all digits, no padding */

/* ---- statistics (stats.c) ----------------------------------------------------------------------------------- */

enum { STATS_BINS = 16 };

typedef struct stats { /* min and what follows it are about finite numbers */
    uint64_t nan, infinite, finite;
    double min, max, mean, squares; /* squares: sum of the squared distances from the mean */
    uint64_t bins[STATS_BINS];
} stats;

void stats_begin(stats *s);
void stats_add(stats *s, const double *numbers, size_t n);        /* first, all numbers */
void stats_count_bins(stats *s, const double *numbers, size_t n); /* then, all numbers once more */
void stats_put(const stats *s);
double square_root(double number);

/* ---- opening models (open.c) -------------------------------------------------------------------------------- */

/* Opens what a command line names: with st_open a file, an index or a directory, with st_open_hub
 * hub:owner/name[@revision][:path] or hf://owner/name[@revision][/path], with open_pieces a directory of pieces. Adds to
 * options what opening_options received. error must not be NULL. */
st_status open_model(st_model **model, const char *given, const st_open_options *options, st_error *error);
st_open_options copy_open_options(void); /* options that accept everything that can be copied */
int is_hub(const char *given);           /* a file of such a name can be given as ./hub:name */
enum { VARIANT_OPTION = 0, OPENING_OPTIONS = 4 };
extern const option opening_options[OPENING_OPTIONS]; /* parse_options accepts them if the command opens models */

/* ---- opening damaged files (damaged.c) ----------------------------------------------------------------------- */

typedef struct lenient_file {
    lenient contents;
    st_error verdict; /* of st_open */
    FILE *file;
} lenient_file;

/* Opens a file that may be damaged. If nothing of the file can be read, sets *error and returns its status.
 * lenient_file_close must follow in any case. */
st_status lenient_file_open(lenient_file *f, const char *path, st_error *error);
void lenient_file_close(lenient_file *f);

/* ---- models made of other files (virtual.c) ------------------------------------------------------------------ */

typedef struct virtual_model {
    const st_tensor *tensors; /* name, dtype_name, rank, shape and bytes are used */
    size_t count;
    const st_shard *files; /* where the tensors come from, at least one; OUT gets the metadata of the first */
    size_t file_count;
    const st_pair *index; /* as in st_model */
    size_t index_count;
    /* Reads bytes of a tensor, on any thread. Returns 0, or a code for st_error.sys after setting the error. */
    int (*read)(void *user, size_t tensor, uint64_t offset, void *dst, size_t n, st_error *error);
    void (*close)(void *user); /* called once, also if open_virtual fails */
    void *user;
} virtual_model;

/* Opens a model of one file that does not exist. label names it in messages and must live until st_close. */
st_status open_virtual(st_model **model, const char *label, const virtual_model *given, const st_open_options *options,
                       st_error *error);
const virtual_model *virtual_of(const st_model *model); /* NULL: an ordinary model */
/* Returns the files that a model is made of, whether it is virtual or not. */
const st_shard *files_of(const st_model *model, size_t *count);
void put_file_count(const st_model *model); /* " in 3 files", " in 2 of 3 files"; nothing for one file */
/* After a read of a virtual model has failed: the error of the file behind it. */
void explain_read_error(const st_model *model, st_error *error);
int report_read(const st_model *model, const char *path, const st_error *error); /* report, of that error */

/* Makes one model of several (join.c). Owns the models from now on, also after an error. paths and prefixes must live
 * until st_close. Returns an exit code after a message. */
int join_models(st_model **model, const char *command, const char *label, st_model **models, size_t count,
                const char *const *paths, const char *const *prefixes, const st_open_options *options);

/* ---- pieces of tensors: PyTorch distributed checkpoints (pieces.c) ------------------------------------------- */

int is_pieces(const char *path); /* returns 1 for a directory of pieces */
/* Opens such a directory as a virtual model of whole tensors. */
st_status open_pieces(st_model **model, const char *path, const st_open_options *options, st_error *error);

typedef struct piece_info {
    const st_shard *file;
    size_t file_number;
    const uint64_t *offsets, *shape; /* as many as the tensor has dimensions */
    uint64_t bytes, offset;          /* of the data in the file */
} piece_info;
/* Describes piece number k of a tensor, in the order of their offsets. Returns 0 if there is none. */
int find_piece(const st_model *model, size_t tensor, size_t k, piece_info *info);

/* ---- messages about errors (report.c) ----------------------------------------------------------------------- */

/* Sets an error of the tool's own and returns the status. */
st_status set_error(st_error *error, st_status status, const char *message);
/* Writes "PATH: ST_ERR_X at byte P: sentence". */
void put_error(FILE *to, const char *path, const st_error *error);
/* Writes a JSON object without its closing brace. */
void begin_error_json(FILE *to, const char *path, const st_error *error);
/* Removes the path from the start of the message, for an error of a file that the user does not know. */
void strip_path(st_error *error, const char *path);
/* Writes all faults, each on a line: "BEFORE byte P: "NAME": sentence". mends: with what st repair does about them. */
void put_faults(FILE *to, const lenient *l, const char *before, int mends);
void put_faults_json(const lenient *l); /* to standard output: an array of objects */
/* Writes the error of lenient_file_open to standard error and returns EXIT_FAILED. */
int report_damaged(const char *path, const lenient_file *f, const st_error *error);
/* These write a line to standard error and return EXIT_FAILED. */
int report(const char *path, const st_error *error);
int report_text(const char *path, const char *text);
/* "FILE: has 7 bytes, but NAME needs 6 (U8 [2,3])"; FILE can be standard input */
int report_size(const char *file, const char *verb, uint64_t bytes, const st_tensor *tensor, uint64_t needed);
/* The same for bytes that are written from byte `offset` of the tensor on. */
int report_size_at(const char *file, const char *verb, uint64_t bytes, const st_tensor *tensor, uint64_t offset);
int report_missing_tensor(const st_model *model, const char *path, const char *name);
int out_of_memory(const char *command);
/* Parses the name of a dtype, or what other libraries call it, in upper or lower case. Returns EXIT_FINE, or EXIT_USAGE
 * after a message. */
int parse_dtype(const char *command, const char *name, st_dtype *dtype);

/* ---- files that are not models (input.c) -------------------------------------------------------------------- */

int is_standard_input(const char *path); /* "-"; a file of this name can be given as ./- */
FILE *open_input(const char *path);      /* a file or standard input; NULL with errno set */
void put_input_name(FILE *to, const char *path);
/* Writes "PATH: cannot VERB: reason" for an errno. Returns EXIT_FAILED. */
int report_input(const char *path, const char *verb, int code);
/* Reads a file or standard input into *text, which the caller frees, also after a failure. A NUL follows the bytes.
 * Returns an exit code after a message. */
int read_whole(const char *command, const char *path, size_t max_bytes, char **text, size_t *bytes);

/* ---- the operating system (sys.c) --------------------------------------------------------------------------- */

typedef struct colours { /* escape sequences, or empty strings */
    const char *strong, *faint, *good, *bad, *off;
} colours;

char **system_arguments(int *argc, char **argv); /* argv in UTF-8, on Windows too */
void system_start_output(void);                  /* binary mode, large buffer */
int system_is_terminal(void);                    /* whether standard output is one */
int system_errors_are_terminal(void);            /* whether standard error is one */
colours system_colours(FILE *to);                /* empty unless `to` is a terminal that supports colours */
/* The system's text for an error code, or "" if there is none. */
const char *system_error_text(int code, char *buffer, size_t bytes);
FILE *system_open(const char *path); /* for reading bytes; NULL with errno set */
FILE *system_input(void);            /* standard input, for bytes */
/* fread. While signals are watched (see below), a signal makes it fail at any time: check system_interrupted. */
size_t system_read(FILE *file, void *bytes, size_t count);
/* PATH_STREAM: a FIFO or a character device, perhaps through a link; not on Windows */
typedef enum path_kind { PATH_MISSING, PATH_DIRECTORY, PATH_STREAM, PATH_OTHER } path_kind;
path_kind system_path_kind(const char *path);
FILE *system_open_stream(const char *path);     /* opens a PATH_STREAM for writing; NULL with errno set */
int system_make_directory(const char *path);    /* 1 if it made the directory */
void system_remove_directory(const char *path); /* if it is empty */
/* The next functions return 0, SYSTEM_EXISTS if `to` exists, or a code for system_error_text. */
enum { SYSTEM_EXISTS = -1 };
int system_link(const char *from, const char *to);       /* makes `to` a second name of the file */
int system_copy(const char *from, const char *to);       /* with its permissions; stops after Ctrl-C */
int system_rename_new(const char *from, const char *to); /* `to` must not exist */
int system_rename(const char *from, const char *to);     /* replaces `to` */
int system_flush_directory(const char *path);            /* that holds the file `path`; 0 where that is not possible */
void system_remove(const char *path);
int is_separator(char c);                           /* of the components of a path */
int system_file_bytes(FILE *file, uint64_t *bytes); /* 1 if it is a regular file, whose length is known */
/* Reads all of the bytes at that offset of a file that system_open opened. Returns 1, or 0 with errno set. */
int system_read_at(FILE *file, uint64_t offset, void *bytes, size_t count);
int system_is_same_file(const char *a, const char *b); /* two paths of one file that exists; links are followed */
uint64_t system_milliseconds(void);                    /* a monotonic clock */
/* Returns the absolute path without symbolic links, which the caller frees, or NULL. Components end with / or \. */
char *system_real_path(const char *path);
/* Calls job(user, k) for each k below count, 0 on the caller's thread and each other k on a thread of its own, or on the
 * caller's if the system has no thread. Returns when all have ended. */
enum { SYSTEM_JOBS = 8 }; /* count, at most */
void system_run_jobs(void (*job)(void *user, unsigned k), void *user, unsigned count);

typedef struct file_stamp { /* recognises a file that is opened once more; 0: the system does not say */
    uint64_t bytes, device, number, changed;
} file_stamp;
int system_file_stamp(FILE *file, file_stamp *stamp); /* 1 if it is a regular file */
/* Calls each with the name of everything in a directory until it returns non-zero, and returns that; 0 at the end, -1
 * if the directory cannot be opened. The order is the system's. */
int system_list_directory(const char *path, int (*each)(void *user, const char *name), void *user);
/* One lock for the whole tool, around what library calls on several threads share. */
void system_lock(void);
void system_unlock(void);

/* Between the first two calls, Ctrl-C (or another signal that asks a program to end) only sets the flag that
 * system_interrupted returns, and ends calls that block, now and later. system_stop_watching restores the usual action
 * and ends the program if a signal came. */
void system_watch_interrupts(void);
void system_stop_watching(void);
int system_interrupted(void);
void system_end_if_interrupted(void); /* ends the program as the signal would have ended it, if one came */

/* ---- progress, shown on a terminal when a command takes more than a second (progress.c) --------------------- */

typedef struct progress {
    uint64_t began, shown; /* milliseconds */
    size_t width;          /* of the text on the terminal */
    int visible;
} progress;

void progress_begin(progress *bar);
int progress_step(void *bar, uint64_t done, uint64_t total); /* an st_progress; cancels after Ctrl-C */
void progress_end(progress *bar);                            /* erases the text; may be called twice */

/* ---- SHA-256 of models (hash.c) and what it is compared with (verify.c) ------------------------------------- */

typedef struct model_hashes {    /* digests, each of SHA256_BYTES */
    unsigned char *files, *data; /* of each file, and of its data part */
    unsigned char *tensors;      /* of each tensor, or NULL */
} model_hashes;

/* what is hashed beside the files */
#define HASH_DATA 1u
#define HASH_TENSORS 2u

/* Reads each file once and fills in h, also after a failure: call hashes_free. */
st_status hash_model(model_hashes *h, const st_model *model, unsigned wanted, st_error *error);
void hashes_free(model_hashes *h);
void put_digest(const unsigned char digest[SHA256_BYTES]); /* 64 digits to standard output */

typedef struct expected_hash {
    unsigned char digest[SHA256_BYTES];
    uint64_t bytes;      /* of the file, or UINT64_MAX if unknown */
    const char *unknown; /* why there is no digest to compare with, or NULL */
} expected_hash;

/* Refuses to change a file in the hub's cache. path: names the model in the message. Returns an exit code. */
int refuse_cached(const char *path, const char *file);
/* The SHA-256 in the name of the blob that `path` links to in the hub's cache. */
void expect_blob(expected_hash *e, const char *path);
/* Parses a Git LFS pointer. Returns an exit code after a message. */
int expect_lfs_pointer(expected_hash *e, const char *path);

/* ---- the tensors that a command writes, and their names (choose.c) ------------------------------------------ */

typedef struct globs { /* the values of --only, --except or --match */
    const char **texts;
    char *used; /* for each text, whether it matched a tensor */
    int count;
} globs;

typedef struct rename_rule rename_rule;

typedef struct tensor_choice {
    const char *command;
    globs only, except;
    const char **renames, **rename_files; /* as given */
    int rename_count, rename_file_count;
    rename_rule *rules; /* those of the files, then those of --rename */
    size_t rule_count;
    int keeps_all;      /* tensors that are not chosen are written too, unchanged */
    st_tensor *tensors; /* in the order of the model */
    size_t count;
    char **names;              /* of renamed tensors, to be freed */
    const st_tensor **sources; /* each tensor as it is in the model */
} tensor_choice;

/* Allocates room for the options in argc arguments. Returns 0 if there is no memory. */
int choice_begin(tensor_choice *c, const char *command, int argc);
/* Fills in the tensors. Returns an exit code after a message. */
int choose(tensor_choice *c, const st_model *model, const char *path);
void choice_end(tensor_choice *c);                         /* also after choice_begin failed */
int is_chosen(const tensor_choice *c, const st_tensor *t); /* by the tensor's name in the model */
int allocate_globs(globs *g, int argc);                    /* returns 0 if there is no memory */
void free_globs(globs *g);
/* Returns 1 if any glob matches, and marks every glob that does. */
int matches_any(const globs *g, const st_tensor *t);
/* Reports the first glob that matched no tensor: it is most likely a mistake. Returns an exit code. */
int check_globs_used(const globs *g, const st_model *model, const char *path);
/* Writes "PATH: TEXT GLOB; did you mean ...?" and returns EXIT_FAILED. */
int report_unmatched(const st_model *model, const char *path, const char *text, const char *glob);

/* rename.c. The first two return an exit code after a message. */
int read_renames(tensor_choice *c);
int rename_tensors(tensor_choice *c, const st_model *model, const char *path);
void put_mapping(const tensor_choice *c, int json); /* prints "old name -> new name" for the chosen tensors */
void free_renames(tensor_choice *c);

/* ---- lists of tensors (ls.c) as trees (tree.c) -------------------------------------------------------------- */

/* One long name must not push all other columns off the screen. It is printed in full and exceeds the column. */
enum { MAX_COLUMN = 120 };

typedef struct tensor_totals {
    uint64_t tensors, elements, bytes;
} tensor_totals;

void put_tree(const st_tensor **tensors, size_t count, const tensor_totals *overall,
              const colours *colour); /* sorts them */

/* ---- numbers that a conversion loses (losses.c) ------------------------------------------------------------- */

typedef struct losses {
    uint64_t saturated;   /* too large: became infinity or the largest or smallest number of the dtype */
    uint64_t underflowed; /* too small: became 0 */
    uint64_t became_nan;
} losses;

typedef struct number_range number_range; /* of a dtype */

const number_range *range_of(st_dtype dtype);
/* Sets the limits of factors with which no number of `from` is lost in `to`: those of a size in (above, most]. */
void safe_factors(const number_range *from, const number_range *to, double *above, double *most);
/* Counts what is lost when the product of a number and its scale is converted to `to`. */
void count_loss(losses *lost, const number_range *to, double number, double scale, double product);
/* Counts what is lost when n numbers of the dtype `from`, in host byte order, are converted. */
void count_losses(losses *lost, st_dtype to, st_dtype from, const unsigned char *numbers, size_t n);

/* ---- quantized tensors and their scales (scales.c) ---------------------------------------------------------- */

enum { SCALES_WINDOW = 4096 };

typedef struct scale_set {
    const st_model *model;
    struct quantized *tensors;  /* NULL: no scales are applied */
    const st_tensor *window_of; /* scales read last: of this tensor, from index `first` on */
    st_dtype window_as;
    uint64_t first;
    size_t count;
    union {
        float f32[SCALES_WINDOW];
        double f64[SCALES_WINDOW];
    } window;
} scale_set;

int scales_find(scale_set *s, const st_model *model); /* by name; returns 0 if there is no memory */
void scales_end(scale_set *s);                        /* also of a struct of zeros */
/* Each of the next two takes and returns a tensor of the model, or NULL: the scale of a quantized tensor; the tensor
 * that has a scale and that `t`, its scale or something else of the quantization, belongs to. */
const st_tensor *scale_of(const scale_set *s, const st_tensor *weight);
const st_tensor *weight_of(const scale_set *s, const st_tensor *t);
int is_packed(const scale_set *s, const st_tensor *t); /* an integer tensor that has a scale: 4-bit numbers, say */
int is_scaled_marker(const st_tensor *t);              /* whether it only says that the model has scaled FP8 weights */
st_status scales_check(const scale_set *s, const st_tensor *weight, st_error *error); /* of a tensor that has a scale */
/* Multiplies the numbers [first, first + count) of the weight, read as F32 or F64, by their scales in that dtype, and
 * counts what will be lost in the conversion to `to`. */
st_status scales_apply(scale_set *s, const st_tensor *weight, uint64_t first, size_t count, st_dtype as, void *numbers,
                       st_dtype to, losses *lost, st_error *error);

/* ---- differences in metadata (pairs.c) ---------------------------------------------------------------------- */

/* Calls report_pair in the order of keys for every key that only one side has (the other is NULL) or whose values
 * differ. Returns 0 if there is no memory. */
int compare_pairs(const st_pair *a, size_t a_count, const st_pair *b, size_t b_count,
                  void (*report_pair)(void *user, const st_pair *a, const st_pair *b), void *user);

/* ---- what all commands that write share (save.c) ------------------------------------------------------------ */

typedef struct save_job {
    const char *command, *align, *slack; /* align, slack: as given */
    int keep_order, no_sync, direct, json;
    int has_ended;
    FILE *stream; /* OUT if it is standard output, a FIFO or a device; NULL: the library opens it */
    st_sink sink; /* writes to stream */
    st_save_options options;
    progress bar;
} save_job;

int is_standard_output(const char *path);              /* "-"; a file of this name can be given as ./- */
int refuse_hub(const char *command, const char *path); /* refuses to write to hub:NAME; returns an exit code */
/* Fills in the options for writing to path and starts to watch for Ctrl-C. Returns an exit code after a message. */
int saving_begin(save_job *s, const char *path);
/* For commands that write one file: sets *path to NULL and options.sink if it is a stream. Call saving_end later. */
st_status saving_open(save_job *s, const char **path, st_error *error);
/* Erases the progress and reports the error, if there is one. Returns an exit code. Only the first call counts. */
int saving_end(save_job *s, const char *path, const st_error *error);

typedef struct named_count {
    const char *name;
    uint64_t number;
} named_count;

int put_saved_json(const char *path); /* describes the file that was written */
int put_saved_json_with(const char *path, const named_count *counts, size_t n); /* with more members at its end */

/* ---- editing the metadata of a model (edit.c) --------------------------------------------------------------- */

typedef struct metadata_edit {
    const char *path;
    const st_pair *metadata, *before; /* new and old metadata; NULL: none */
    size_t count, before_count;
    uint64_t file_bytes;
} metadata_edit;

/* Edits all files or none. After an error *failed is the path of the file that failed. */
st_status edit_files(const metadata_edit *edits, size_t count, save_job *s, int in_place, const char **failed,
                     st_error *error);

/* ---- from one model to another: copy, merge, shard, convert (transfer.c) ------------------------------------ */

typedef struct transfer {
    save_job saving;
    tensor_choice choice;
    const char *in, *out;           /* in: names all INs in messages */
    const char *name;               /* NULL, or what the names of OUT's files start with */
    const char **paths, **prefixes; /* of each IN */
    char *label;
    int in_count, is_dry_run;
    const st_model *model; /* all INs, open */
    const st_model *also;  /* NULL, or another model that is read while OUT is written */
    void *user;            /* the command's own data */
    int keeps_all;         /* see tensor_choice */
    int writes_index;      /* OUT is a directory; its index gets the metadata of IN's index */
    /* NULL, or checks the command's own options before IN is opened. Returns an exit code after a message. */
    int (*prepare)(struct transfer *t);
    /* NULL, or decides how the chosen tensors are written, or that they are not. Its errors are about IN. */
    st_status (*decide)(struct transfer *t, st_error *error);
    st_status (*write)(struct transfer *t, st_error *error); /* writes the chosen tensors to OUT */
    void (*report)(struct transfer *t);                      /* NULL, or writes messages after that */
    named_count counts[4];                                   /* more members of the JSON object */
    size_t count_count;
} transfer;

/* Runs the whole command. extra: the command's own options. */
int transfer_run(transfer *t, const char *command, const option *extra, size_t extra_count, int argc, char **argv);
/* The next two are for a command that runs in another way: the options about OUT; and the whole of what follows after
 * t->model is open. Returns an exit code after a message. */
enum { TRANSFER_OPTIONS = 7 };
void transfer_options(transfer *t, option options[TRANSFER_OPTIONS]);
int transfer_write(transfer *t);
/* The next three serve as `write`. */
st_status transfer_to_file(transfer *t, st_error *error);
st_status transfer_to_directory(transfer *t, st_error *error); /* splits by the options; makes the directory */
st_status transfer_as_split(transfer *t, st_error *error);     /* to as many files as IN has */

#endif
