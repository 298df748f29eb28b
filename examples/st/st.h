/* st.h: declarations that the commands of the tool share. */
#ifndef ST_TOOL_H
#define ST_TOOL_H

#include "bytes.h"
#include "safetensors.h"
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

/* ---- text: everything printed is escaped, so that no name can control the terminal (text.c) ----------------- */

/* Writes text with control characters, bidirectional marks and invalid UTF-8 as \n, \u202e, \xff. */
void put_text(FILE *to, const char *text, size_t bytes);
void put_string(FILE *to, const char *text); /* put_text of a NUL-terminated string */
/* Like put_text, but cuts after at most max_bytes bytes, between characters: "abc... (3000 bytes)". */
void put_shortened(FILE *to, const char *text, size_t bytes, size_t max_bytes);
int is_utf8(const char *text, size_t bytes);
size_t text_width(const char *text, size_t bytes); /* code points that put_text writes */
/* Writes a JSON string with its quotes. Invalid UTF-8 becomes U+FFFD. */
void put_json(FILE *to, const char *text, size_t bytes);
/* Writes JSON text, with characters escaped that could control a terminal. */
void put_raw_json(FILE *to, const char *json, size_t bytes);
/* Writes a JSON object, or null if pairs is NULL (a file without metadata, which differs from empty metadata). */
void put_pairs_json(FILE *to, const st_pair *pairs, size_t count, int values_are_json);

/* Parses digits up to the first other character. Returns 0 if there are none or the number exceeds 64 bits. */
int parse_digits(const char **text, uint64_t *number);
int parse_number(const char *text, uint64_t *number); /* parse_digits of the whole string */

void put_number(FILE *to, uint64_t number);
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
void put_nearest(FILE *to, const nearest_names *nearest); /* "; did you mean a, b or c?", or nothing */

/* ---- values (values.c) -------------------------------------------------------------------------------------- */

/* Returns 1 if the elements can be read as F64. A C64 counts as two numbers: real, imaginary. */
int has_numbers(const st_tensor *tensor);
uint64_t number_count(const st_tensor *tensor);
/* Reads the numbers [first, first + count) of a tensor in C order, converted to `as`, in host byte order. */
st_status read_numbers(const st_model *model, const st_tensor *tensor, uint64_t first, size_t count, st_dtype as,
                       void *to, st_error *error);
/* Converts numbers from host byte order to the file's. */
void put_little_endian(unsigned char *to, const void *numbers, size_t count, st_dtype dtype);

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
 * hub:owner/name[@revision]. error must not be NULL. */
st_status open_model(st_model **model, const char *given, const st_open_options *options, st_error *error);
st_open_options copy_open_options(void); /* options that accept everything that can be copied */
int is_hub(const char *given);           /* a file of such a name can be given as ./hub:name */

/* ---- messages about errors (report.c) ----------------------------------------------------------------------- */

/* Sets an error of the tool's own and returns the status. */
st_status set_error(st_error *error, st_status status, const char *message);
/* Writes "PATH: ST_ERR_X at byte P: sentence". */
void put_error(FILE *to, const char *path, const st_error *error);
/* Writes a JSON object without its closing brace. */
void begin_error_json(FILE *to, const char *path, const st_error *error);
/* The next four write a line to standard error and return EXIT_FAILED. */
int report(const char *path, const st_error *error);
int report_text(const char *path, const char *text);
int report_missing_tensor(const st_model *model, const char *path, const char *name);
int out_of_memory(const char *command);
/* Parses the name of a dtype in upper or lower case. Returns EXIT_FINE, or EXIT_USAGE after a message. */
int parse_dtype(const char *command, const char *name, st_dtype *dtype);

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
typedef enum path_kind { PATH_MISSING, PATH_DIRECTORY, PATH_OTHER } path_kind;
path_kind system_path_kind(const char *path);
int system_make_directory(const char *path);        /* 1 if it made the directory */
void system_remove_directory(const char *path);     /* if it is empty */
int system_file_bytes(FILE *file, uint64_t *bytes); /* 1 if it is a regular file, whose length is known */
uint64_t system_milliseconds(void);                 /* a monotonic clock */

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

/* ---- the tensors that a command writes, and their names (choose.c) ------------------------------------------ */

typedef struct globs { /* the values of --only, --except or --rename */
    const char **texts;
    char *used; /* for each text, whether it matched a tensor */
    int count;
} globs;

typedef struct rename_rule rename_rule;

typedef struct choice {
    const char *command;
    globs only, except, renames;
    rename_rule *rules;
    int keeps_all;      /* tensors that are not chosen are written too, unchanged */
    st_tensor *tensors; /* in the order of the model */
    size_t count;
    char **names; /* of renamed tensors, to be freed */
} choice;

/* Allocates room for the options in argc arguments. Returns 0 if there is no memory. */
int choice_begin(choice *c, const char *command, int argc);
int choice_read(choice *c); /* parses the renames; returns an exit code after a message */
/* Fills in the tensors. Returns an exit code after a message. */
int choose(choice *c, const st_model *model, const char *path);
void choice_end(choice *c);                         /* also after choice_begin failed */
int is_chosen(const choice *c, const st_tensor *t); /* by the tensor's name in the model */
/* Returns 1 if any glob matches, and marks every glob that does. */
int matches_any(const globs *g, const st_tensor *t);

/* ---- differences in metadata (pairs.c) ---------------------------------------------------------------------- */

/* Calls report_pair in the order of keys for every key that only one side has (the other is NULL) or whose values
 * differ. Returns 0 if there is no memory. */
int compare_pairs(const st_pair *a, size_t a_count, const st_pair *b, size_t b_count,
                  void (*report_pair)(void *user, const st_pair *a, const st_pair *b), void *user);

/* ---- what all commands that write share (save.c) ------------------------------------------------------------ */

typedef struct saving {
    const char *command, *align, *slack; /* align, slack: as given */
    int keep_order, no_sync, json;
    st_save_options options;
    progress bar;
} saving;

/* Fills in the options for writing to path and starts to watch for Ctrl-C. Returns an exit code after a message. */
int saving_begin(saving *s, const char *path);
/* Erases the progress and reports the error, if there is one. Returns an exit code. */
int saving_end(saving *s, const char *path, const st_error *error);
int put_saved_json(const char *path); /* describes the file that was written */

/* ---- from one model to another: copy, merge, shard, convert (transfer.c) ------------------------------------ */

typedef struct transfer {
    saving saving;
    choice choice;
    const char *in, *out;
    const st_model *model; /* IN, open */
    void *user;            /* the command's own data */
    int keeps_all;         /* see choice */
    int writes_index;      /* OUT is a directory; its index gets the metadata of IN's index */
    /* NULL, or checks the command's own options before IN is opened. Returns an exit code after a message. */
    int (*prepare)(struct transfer *t);
    st_status (*write)(struct transfer *t, st_error *error); /* writes the chosen tensors to OUT */
} transfer;

/* Runs the whole command. extra: the command's own options. */
int transfer_run(transfer *t, const char *command, const option *extra, size_t extra_count, int argc, char **argv);
/* Writes all or the chosen tensors of t->model, which is open. Returns an exit code after a message. */
int transfer_write(transfer *t);
/* The next three serve as `write`. */
st_status transfer_to_file(transfer *t, st_error *error);
st_status transfer_to_directory(transfer *t, st_error *error); /* splits by the options; makes the directory */
st_status transfer_as_split(transfer *t, st_error *error);     /* to as many files as IN has */

#endif
