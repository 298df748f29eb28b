/* st.h: what the commands of the tool share. */
#ifndef ST_TOOL_H
#define ST_TOOL_H

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

typedef struct option { /* either a flag that is set to 1, or a value that follows */
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

void put_number(FILE *to, uint64_t number);
size_t number_width(uint64_t number);
void put_spaces(FILE *to, size_t count);
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

/* ---- the system (sys.c) ----------------------------------------------------------------------------------- */

typedef struct colours { /* escape sequences, or all empty */
    const char *strong, *faint, *good, *bad, *off;
} colours;

char **system_arguments(int *argc, char **argv); /* in UTF-8 everywhere */
void system_start_output(void);                  /* bytes go out as they are, in large blocks */
int system_is_terminal(void);                    /* standard output */
colours system_colours(FILE *to);                /* only on a terminal that wants them */
/* what the system calls an error of its own; "" where it has no words for it */
const char *system_error_text(int code, char *buffer, size_t bytes);

#endif
