/* json.h: a strict JSON parser that returns one value after the other. */
#ifndef EXAMPLES_JSON_H
#define EXAMPLES_JSON_H

#include <stddef.h>

typedef enum json_kind {
    JSON_FAULT,
    JSON_NULL,
    JSON_FALSE,
    JSON_TRUE,
    JSON_NUMBER,
    JSON_STRING,
    JSON_OBJECT,
    JSON_ARRAY
} json_kind;

enum { JSON_DEPTH = 64 }; /* objects and arrays inside each other, at most */

typedef struct json_reader {
    const char *fault; /* NULL, or what is wrong at byte json_position(); nothing is read after a fault */
    char *text, *at, *end;
    const char *key, *string; /* unescaped, NUL-terminated; they stay valid as long as the text */
    size_t key_bytes, string_bytes;
    double number;
    unsigned depth;
    char has_values[JSON_DEPTH + 1]; /* by depth: whether a comma is expected before the next value */
} json_reader;

/* Starts to parse n bytes of text; text[n] must be 0. Strings are unescaped in place, which changes the text. */
void json_begin(json_reader *j, char *text, size_t n);
/* Reads a value. Sets `string` or `number`. An object or array is only entered: the caller reads its values, until
 * json_member or json_element returns 0. */
json_kind json_value(json_reader *j);
/* Reads the key of an object's next member into `key`. Returns 0 at the end of the object and after a fault. */
int json_member(json_reader *j);
/* Returns 1 if the array has another element, and 0 at its end and after a fault. */
int json_element(json_reader *j);
/* Skips what is left of the value whose kind json_value returned. Returns 1 if it is or contains anything: 0 for null,
 * false, the number 0, and empty strings, objects and arrays. */
int json_skip(json_reader *j, json_kind kind);
/* Returns 1 if there was no fault and only white space is left. */
int json_end(json_reader *j);
int json_is(const char *string, size_t bytes, const char *text); /* whether a key or a string equals a text */
size_t json_position(const json_reader *j);

#endif
