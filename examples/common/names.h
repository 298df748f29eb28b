/* names.h: finds things by name. Names are sorted, not hashed, so that no choice of names makes it slow. */
#ifndef EXAMPLES_NAMES_H
#define EXAMPLES_NAMES_H

#include <stddef.h>

#define NO_NAME ((size_t)-1)

typedef struct name_slot {
    const char *name; /* borrowed; may contain NUL */
    size_t bytes, value, added;
} name_slot;

typedef struct name_list { /* all zero: an empty list */
    name_slot *slots;
    size_t count;
    size_t begins[64], runs; /* sorted runs of slots, each less than half as long as the one before */
} name_list;

/* Adds a name and the caller's number for it. Names may repeat. Returns 0 if memory runs out. */
int names_add(name_list *list, const char *name, size_t bytes, size_t value);
/* The same in memory of the caller's, who has made room for another slot and does not call names_clear. */
void names_put(name_list *list, const char *name, size_t bytes, size_t value);
/* Returns the value of a name, or NO_NAME. Of equal names it takes the one that was added first, or last. */
size_t names_find_first(const name_list *list, const char *name, size_t bytes);
size_t names_find_last(const name_list *list, const char *name, size_t bytes);
void names_clear(name_list *list); /* frees the memory; the list is empty then */

#endif
