/* lenient_json.h: a pull parser for JSON text that is in memory. It allocates nothing and uses no recursion. */
#ifndef ST_TOOL_LENIENT_JSON_H
#define ST_TOOL_LENIENT_JSON_H

#include <stddef.h>
#include <stdint.h>

/* Functions that return int return 1, or 0 after a fault. After a fault `at` is the byte that is wrong. */
typedef struct lenient_json_text {
    unsigned char *at, *end;
    const char *fault; /* NULL, or what was expected */
} lenient_json_text;

typedef struct lenient_json_string {
    char *text; /* decoded in place and NUL-terminated; may contain NUL */
    size_t bytes;
    int is_damaged; /* it has invalid UTF-8, an unpaired surrogate or an unknown escape; these parts are as they were */
    int has_control; /* it has control characters that are not escaped, which JSON does not allow */
} lenient_json_string;

/* Skips blanks and returns the next byte, or -1 at the end. */
int lenient_json_peek(lenient_json_text *j);
/* Reads the bracket that opens a container, '{' or '['. *has_item: whether an item follows. */
int lenient_json_enter(lenient_json_text *j, int open, int *has_item);
/* Reads what follows an item: a comma, or the bracket that closes the container. */
int lenient_json_next(lenient_json_text *j, int open, int *has_item);
/* Reads a string and decodes it. The text changes: whoever needs the JSON text of a string skips it instead. */
int lenient_json_read_string(lenient_json_text *j, lenient_json_string *s);
/* Reads a key and its colon. */
int lenient_json_read_key(lenient_json_text *j, lenient_json_string *s);
/* Skips a value, up to 124 containers deep. *value becomes its text. NaN, Infinity and -Infinity, which Python writes,
 * count as numbers. */
int lenient_json_skip(lenient_json_text *j, lenient_json_text *value);
/* Returns 1 if the text is an unsigned integer below 2^64, perhaps with a fraction of zeros (has_fraction). */
int lenient_json_is_integer(const lenient_json_text *value, uint64_t *number, int *has_fraction);
/* Returns the length of the longest prefix that is valid UTF-8. */
size_t lenient_json_utf8_prefix(const unsigned char *text, size_t bytes);

#endif
