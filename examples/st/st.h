/* st.h: what the commands of the tool share. */
#ifndef ST_TOOL_H
#define ST_TOOL_H

#include "bytes.h"
#include "safetensors.h"
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/* ---- commands (main.c has their table) -------------------------------------------------------------------- */

enum { EXIT_FINE = 0, EXIT_FAILED = 1, EXIT_USAGE = 2 };

/* argv holds what follows the command's name; each returns an exit code */
int command_ls(int argc, char **argv);
int command_check(int argc, char **argv);
int command_cat(int argc, char **argv);
int command_copy(int argc, char **argv);
int command_merge(int argc, char **argv);
int command_shard(int argc, char **argv);
int command_convert(int argc, char **argv);
int command_show(int argc, char **argv);
int command_diff(int argc, char **argv);
int command_meta(int argc, char **argv);
int command_pack(int argc, char **argv);

/* Either a flag that is set to 1, or a value that follows, of which the last counts; with both the option may be given
 * again and again: values fill an array that has room for argc of them, and the flag counts them. */
typedef struct option {
    const char *name;
    int *flag;
    const char **value;
} option;

/* Moves what is not an option to the front of argv and returns how many that are; -1: said what is wrong. */
int take_options(const char *command, const option *options, size_t count, int argc, char **argv);

/* Begins a sentence on standard error ("st cat: "); usage_hint ends it and returns EXIT_USAGE. */
void begin_complaint(const char *command);
int usage_hint(const char *command);

/* ---- text: nothing that a file or a caller named reaches the terminal as it is (text.c) ------------------- */

/* Control characters, bidirectional marks and bytes that are not UTF-8 become \n, \u202e, \xff. */
void put_text(FILE *to, const char *text, size_t bytes);
/* The same, or as many whole characters of its first `most` bytes as there are: "abc... (3000 bytes)" */
void put_shortened(FILE *to, const char *text, size_t bytes, size_t most);
size_t text_width(const char *text, size_t bytes); /* code points that put_text writes */
/* A JSON string with its quotes; bytes that are not UTF-8 become U+FFFD. */
void put_json(FILE *to, const char *text, size_t bytes);
/* JSON text that is put in as it is, but for what would disturb a terminal. */
void put_raw_json(FILE *to, const char *json, size_t bytes);

/* An object, or null where there are no pairs, which is not the same as none in it. */
void put_pairs_json(FILE *to, const st_pair *pairs, size_t count, int values_are_json);

/* Decimal digits up to the first character that is none; 0 where there are none or they do not fit. */
int read_digits(const char **text, uint64_t *number);
int read_number(const char *text, uint64_t *number); /* digits and nothing else */

void put_number(FILE *to, uint64_t number);
size_t number_width(uint64_t number);
void put_shape(FILE *to, const st_tensor *tensor);    /* [2,3] */
void put_double(FILE *to, double number, int digits); /* as %g; nan, inf, -inf */
void put_spaces(FILE *to, size_t count);
enum { READABLE_SIZE = 24 };
const char *readable_size(uint64_t bytes, char text[READABLE_SIZE]); /* "1.5 MiB" */
void end_line(void);     /* of standard output; on a terminal it is seen at once */
int output_failed(void); /* errno of the first write to standard output that failed, or 0 */

/* The few names nearest to one that was not found. Names must outlive it. */
enum { NEAR_NAMES = 3 };
typedef struct near_names {
    const char *wanted;
    size_t wanted_bytes, count;
    size_t distance[NEAR_NAMES], bytes[NEAR_NAMES];
    const char *names[NEAR_NAMES];
} near_names;
void near_begin(near_names *near_to, const char *wanted);
void near_consider(near_names *near_to, const char *name, size_t bytes);
void near_put(FILE *to, const near_names *near_to); /* "; did you mean a, b or c?", or nothing */

/* ---- values (values.c) ------------------------------------------------------------------------------------ */

/* Whether the elements are numbers that can be read as F64; of C64 they are real, imaginary, real, imaginary... */
int has_numbers(const st_tensor *tensor);
uint64_t number_count(const st_tensor *tensor); /* its elements; of C64 twice as many */
/* Numbers [first, first + count) of a tensor in C order as another dtype, as this machine holds it. */
st_status read_numbers(const st_model *model, const st_tensor *tensor, uint64_t first, size_t count, st_dtype as,
                       void *to, st_error *error);
/* The other way about: as files hold it. */
void put_little_endian(unsigned char *to, const void *numbers, size_t count, st_dtype dtype);

typedef struct findings {
    uint64_t nan, infinity;
    uint64_t bad_bool; /* bytes of BOOL other than 0 and 1 */
} findings;

/* Adds what is in n bytes of a tensor, whole elements of it. */
void look_at_values(findings *found, st_dtype dtype, const unsigned char *bytes, size_t n);

/* ---- numbers as NumPy prints them (numpy.c) --------------------------------------------------------------- */

enum { NUMBER_TEXT = 64 };

typedef struct number_format { /* what is known of the numbers that are to be printed */
    st_dtype dtype;
    int always_sign; /* + too */
    int power;       /* of ten: the largest, whatever its sign */
    double least, most;
    size_t before, behind, e_before,
        e_behind; /* characters before and behind the point, without and with an exponent */
    size_t words; /* characters of nan and inf */
} number_format;

void number_begin(number_format *f, st_dtype dtype, int always_sign);
void number_consider(number_format *f, double number);                           /* each, before the first text */
void number_text(const number_format *f, double number, char text[NUMBER_TEXT]); /* all in one width */
void number_alone(st_dtype dtype, double number, char text[NUMBER_TEXT]);        /* as of no array: all digits */

/* ---- what numbers are like (stats.c) ---------------------------------------------------------------------- */

enum { STATS_BINS = 16 };

typedef struct stats { /* all but the first two of the finite ones */
    uint64_t nan, infinite, finite;
    double least, most, mean, squares; /* of the distances from the mean: their sum */
    uint64_t bins[STATS_BINS];
} stats;

void stats_begin(stats *s);
void stats_take(stats *s, const double *numbers, size_t n); /* all of them, then */
void stats_sort(stats *s, const double *numbers, size_t n); /* all once more */
void stats_put(const stats *s);

/* ---- models by what was given for them (open.c) ----------------------------------------------------------- */

/* st_open of a path: a file, an index, a directory; or st_open_hub of hub:owner/name[@revision]. error is not NULL. */
st_status open_model(st_model **model, const char *given, const st_open_options *how, st_error *error);
st_status no_memory(st_error *error); /* as the library would say it */
int is_hub(const char *given);        /* a file of such a name is ./hub:name */

/* ---- errors of the library, for a person (report.c) ------------------------------------------------------- */

/* PATH: ST_ERR_X at byte P: sentence */
void put_error(FILE *to, const char *path, const st_error *error);
void begin_error_json(FILE *to, const char *path, const st_error *error);      /* an object without its closing brace */
int no_such_tensor(const st_model *model, const char *path, const char *name); /* returns EXIT_FAILED */
int unknown_dtype(const char *command, const char *name); /* a slip of the command line; returns EXIT_USAGE */
int report(const char *path, const st_error *error); /* put_error on a line of standard error; returns EXIT_FAILED */

/* ---- the system (sys.c) ----------------------------------------------------------------------------------- */

typedef struct colours { /* escape sequences, or all empty */
    const char *strong, *faint, *good, *bad, *off;
} colours;

char **system_arguments(int *argc, char **argv); /* in UTF-8 everywhere */
void system_start_output(void);                  /* bytes go out as they are, in large blocks */
int system_is_terminal(void);                    /* standard output */
int system_errors_are_terminal(void);            /* standard error */
colours system_colours(FILE *to);                /* only on a terminal that wants them */
/* what the system calls an error of its own; "" where it has no words for it */
const char *system_error_text(int code, char *buffer, size_t bytes);
FILE *system_open(const char *path);                /* to read bytes; NULL: errno tells why */
FILE *system_input(void);                           /* standard input, for bytes */
int system_make_directory(const char *path);        /* 1: made; 0: it was there, or cannot be */
void system_remove_directory(const char *path);     /* if it is empty */
int system_file_bytes(FILE *file, uint64_t *bytes); /* 1 where it is a regular file, whose length does not change */
uint64_t system_milliseconds(void);                 /* of a clock that nobody sets */

/* From the first call on Ctrl-C (and what else asks a program to end) only sets what the second tells. */
void system_watch_interrupts(void);
int system_interrupted(void);
void system_end_if_interrupted(void); /* as the system would have ended the program */

/* ---- progress, on standard error if that is a terminal and it takes more than a second (progress.c) ------- */

typedef struct progress {
    uint64_t began, shown; /* milliseconds */
    size_t width;          /* of what stands on the terminal */
    int visible;
} progress;

void progress_begin(progress *bar);
int progress_step(void *bar, uint64_t done, uint64_t total); /* an st_progress: non-zero after Ctrl-C */
void progress_end(progress *bar);                            /* wipes it away; may come twice */

/* ---- which tensors of a model, and under which names (choose.c) ------------------------------------------- */

typedef struct globs { /* what was given to an option that chooses tensors by name */
    const char **texts;
    char *used; /* of each: whether it fitted a tensor */
    int count;
} globs;

typedef struct rename_rule rename_rule;

typedef struct choice {
    const char *command;
    globs only, except, renames; /* as given */
    rename_rule *rules;
    int keeps_all;      /* those not chosen are written too, as they are */
    st_tensor *tensors; /* in the order of the model */
    size_t count;
    char **names; /* of renamed tensors */
} choice;

int choice_begin(choice *c, const char *command,
                 int argc); /* room for all that argc words can hold; 0: out of memory */
int choice_read(choice *c); /* the renames; not EXIT_FINE: said what is wrong */
/* Fills in the tensors; not EXIT_FINE: said why not. */
int choose(choice *c, const st_model *model, const char *path);
void choice_end(choice *c);                         /* also after a choice_begin that failed */
int is_chosen(const choice *c, const st_tensor *t); /* by the name that it has in the model */
/* Whether any fits; all are tried, so that one that fits nothing can be told. */
int any_fits(const globs *g, const st_tensor *t);

/* ---- metadata of two (pairs.c) ---------------------------------------------------------------------------- */

/* Calls each for every key that only one of the two has (the other is NULL) or whose values differ, in the order of
 * keys. 0: out of memory. */
int compare_pairs(const st_pair *a, size_t a_count, const st_pair *b, size_t b_count,
                  void (*each)(void *user, const st_pair *a, const st_pair *b), void *user);

/* ---- what the commands that write have in common (save.c) ------------------------------------------------- */

typedef struct saving {
    const char *command, *align, *slack; /* as given */
    int keep_order, no_sync, json;
    st_save_options options;
    progress bar;
} saving;

/* Fills in the options for writing to path and begins to watch for Ctrl-C; not EXIT_FINE: said what is wrong. */
int saving_begin(saving *s, const char *path);
/* Wipes the progress away and says what went wrong, if anything did. */
int saving_end(saving *s, const char *path, const st_error *error);
int put_saved_json(const char *path); /* about the file that is there now */
/* st_open_options for reading whatever can be carried over */
st_open_options opening_to_copy(void);
int out_of_memory(const char *command); /* says so */

/* ---- from a model to a model: copy, merge, shard, convert (transfer.c) ------------------------------------ */

typedef struct transfer {
    saving saving;
    choice choice;
    const char *in, *out;
    const st_model *model; /* IN, open */
    void *user;            /* of the command */
    int keeps_all;         /* see choice */
    int writes_index;      /* OUT is a directory, whose index has what that of IN says */
    /* NULL, or looks at the command's own options before anything is opened; not EXIT_FINE: said what is wrong */
    int (*prepare)(struct transfer *t);
    st_status (*write)(struct transfer *t, st_error *error); /* the chosen tensors to OUT */
} transfer;

/* Does the whole command; more: options of its own. */
int transfer_run(transfer *t, const char *command, const option *more, size_t more_count, int argc, char **argv);
/* For `write`: to one file; to the directory OUT, which is made if it is not there, with as many bytes a file as the
 * options say; and to it with the split that IN has, if there is a limit that gives it. */
st_status transfer_to_file(transfer *t, st_error *error);
st_status transfer_to_directory(transfer *t, st_error *error);
st_status transfer_as_split(transfer *t, st_error *error); /* or to a file, if IN is one */

#endif
