/* text.h: printing text from strangers: names, metadata, paths. None of it may move the cursor, rename the window or
 * reverse the direction of a line. */
#ifndef EXAMPLES_TEXT_H
#define EXAMPLES_TEXT_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/* Sets *code to the code point at the start of text, which has at least one byte. Returns its length in bytes, or 0 if it
 * is not valid UTF-8. */
size_t utf8_decode(const char *text, size_t bytes, uint32_t *code);
int is_utf8(const char *text, size_t bytes);

/* Writes text with control characters, bidirectional marks and invalid UTF-8 as \n, \u202e, \xff. */
void put_text(FILE *to, const char *text, size_t bytes);
void put_string(FILE *to, const char *text); /* put_text of a NUL-terminated string */
/* Prints "PROGRAM: SUBJECT: MESSAGE" on standard error; without SUBJECT if it is "". Returns 1. */
int put_complaint(const char *program, const char *subject, const char *message);
size_t text_width(const char *text, size_t bytes); /* code points that put_text writes */
/* Writes a JSON string with its quotes. Invalid UTF-8 becomes U+FFFD. */
void put_json(FILE *to, const char *text, size_t bytes);
/* Writes JSON text, with characters escaped that could control a terminal. */
void put_raw_json(FILE *to, const char *json, size_t bytes);
void put_dimensions(FILE *to, uint32_t rank, const uint64_t *shape); /* [2,3] */

#endif
