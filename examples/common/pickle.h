/* pickle.h: a pickle machine that runs no code. A pickle is a program for a stack machine, which may call any function of
 * Python. This machine makes the values that a pickle can spell out, and asks the program about every function. */
#ifndef EXAMPLES_PICKLE_H
#define EXAMPLES_PICKLE_H

#include "guard.h"

typedef enum kind { MARK, NONE, BOOL, INTEGER, NUMBER, TEXT, TUPLE, LIST, DICT, RECORD, GLOBAL, OTHER } kind;

typedef struct value {
    uint8_t kind;   /* from OTHER on: the program's own */
    char role;      /* of a global: what the program does for it */
    uint32_t count; /* bytes of a text; values of a tuple, list or dictionary, where keys and values take turns */
    union {
        int64_t integer; /* of a global: the program's */
        double number;
        const char *text;             /* or bytes; also ends with a NUL */
        struct value **items, *state; /* state: attributes of a record, or NULL */
        void *thing;
    } u;
} value;

typedef struct pickle { /* the program sets what is above `at`; values are taken from the guard's memory */
    struct guard *guard;
    void *user;
    void (*read)(void *user, uint64_t at, void *dst, size_t bytes); /* fails beyond `end`, as all these may fail */
    void (*know_global)(void *user, value *global, const value *module, const value *name); /* sets role */
    value *(*call)(void *user, const value *function, const value *arguments);              /* arguments: a tuple */
    value *(*find_persistent)(void *user, const value *id); /* an object that is not in the pickle */
    uint64_t at, end;                                       /* where the next pickle begins; bytes of the file */
    value **stack, **memo;
    size_t depth, memo_places, memo_count;
} pickle;

value *pickle_load(pickle *p); /* returns the value of the pickle at p->at, and moves `at` behind the pickle */
value *new_value(guard *g, kind what);
value *new_number(guard *g, kind what, uint64_t bits); /* BOOL, INTEGER or NUMBER */
uint64_t little_number(const char *bytes, size_t count, int is_signed);
int is_text(const value *v, const char *text);
/* Adds the values of a list or a dictionary to another. */
void extend_value(guard *g, value *to, const value *added);

#endif
