/* names.c: names in sorted runs. A new name is a run of its own; runs of about the same length become one. */
#include "names.h"
#include "buffer.h"
#include <stdlib.h>
#include <string.h>

static int compare_names(const char *a, size_t a_bytes, const char *b, size_t b_bytes) {
    const size_t n = a_bytes < b_bytes ? a_bytes : b_bytes;
    const int order = n ? memcmp(a, b, n) : 0;
    return order ? order : a_bytes < b_bytes ? -1 : a_bytes > b_bytes;
}

static int compare_slots(const void *a, const void *b) {
    const name_slot *x = (const name_slot *)a, *y = (const name_slot *)b;
    const int order = compare_names(x->name, x->bytes, y->name, y->bytes);
    return order ? order : x->added < y->added ? -1 : x->added > y->added;
}

int names_add(name_list *list, const char *name, size_t bytes, size_t value) {
    name_slot *slots = (name_slot *)array_grow(list->slots, list->count, sizeof *slots);
    if (!slots) return 0;
    list->slots = slots;
    names_put(list, name, bytes, value);
    return 1;
}

void names_put(name_list *list, const char *name, size_t bytes, size_t value) {
    const name_slot slot = {name, bytes, value, list->count};
    list->slots[list->count] = slot;
    list->begins[list->runs++] = list->count++;
    while (list->runs > 1) {
        const size_t last = list->begins[list->runs - 1], before = list->begins[list->runs - 2];
        if (2 * (list->count - last) <= last - before) break;
        qsort(list->slots + before, list->count - before, sizeof *list->slots, compare_slots);
        list->runs--;
    }
}

/* Returns the slot of the name that was added first, or last, or NULL. */
static const name_slot *find(const name_list *list, const char *name, size_t bytes, int last) {
    const name_slot *found = NULL;
    size_t run;
    for (run = 0; run < list->runs; run++) {
        const size_t begin = list->begins[run], end = run + 1 < list->runs ? list->begins[run + 1] : list->count;
        size_t low = begin, high = end;
        const name_slot *slot;
        while (low < high) { /* to the first slot with this name, or to the one after the last */
            const size_t middle = low + (high - low) / 2;
            const int order = compare_names(list->slots[middle].name, list->slots[middle].bytes, name, bytes);
            if (order < 0 || (last && order == 0)) {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        if (last ? low == begin : low == end) continue;
        slot = &list->slots[last ? low - 1 : low];
        if (compare_names(slot->name, slot->bytes, name, bytes) != 0) continue;
        if (!found || (slot->added > found->added) == last) found = slot;
    }
    return found;
}

size_t names_find_first(const name_list *list, const char *name, size_t bytes) {
    const name_slot *slot = find(list, name, bytes, 0);
    return slot ? slot->value : NO_NAME;
}

size_t names_find_last(const name_list *list, const char *name, size_t bytes) {
    const name_slot *slot = find(list, name, bytes, 1);
    return slot ? slot->value : NO_NAME;
}

void names_clear(name_list *list) {
    free(list->slots);
    memset(list, 0, sizeof *list);
}
