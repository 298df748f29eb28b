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

/* ---- errors of the library, for a person (report.c) ------------------------------------------------------- */

/* PATH: ST_ERR_X at byte P: sentence */
void put_error(FILE *to, const char *path, const st_error *error);
void put_error_json(FILE *to, const char *path, const st_error *error);
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

/* ---- what the commands that write have in common (save.c) ------------------------------------------------- */

typedef struct saving {
    const char *command, *align, *slack; /* as given */
    int keep_order, no_sync, json;
    st_save_options options;
    progress bar;
} saving;

/* Fills in the options and begins to watch for Ctrl-C; not EXIT_FINE: said what is wrong. */
int saving_begin(saving *s);
/* Wipes the progress away and says what went wrong, if anything did. */
int saving_end(saving *s, const char *path, const st_error *error);
int put_saved_json(const char *path); /* about the file that is there now */
/* st_options for reading whatever can be carried over */
st_options opening_to_copy(void);
int out_of_memory(const char *command); /* says so */

#endif
