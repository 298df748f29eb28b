/* names.c: a sorted list of names. */
#include "names.h"
#include <stdint.h>
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
    name_slot *slot;
    if (list->count == list->capacity) {
        const size_t capacity = list->capacity ? 2 * list->capacity : 64;
        name_slot *slots =
            capacity < SIZE_MAX / sizeof *slots ? (name_slot *)realloc(list->slots, capacity * sizeof *slots) : NULL;
        if (!slots) return 0;
        list->slots = slots;
        list->capacity = capacity;
    }
    slot = &list->slots[list->count];
    slot->name = name;
    slot->bytes = bytes;
    slot->value = value;
    slot->added = list->count++;
    return 1;
}

/* Returns how many slots come before the name; with `after`, how many come before the names after it. */
static size_t count_before(name_list *list, const char *name, size_t bytes, int after) {
    size_t low = 0, high = list->count;
    if (list->sorted < list->count) qsort(list->slots, list->count, sizeof *list->slots, compare_slots);
    list->sorted = list->count;
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        const int order = compare_names(list->slots[middle].name, list->slots[middle].bytes, name, bytes);
        if (order < 0 || (after && order == 0)) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

static size_t value_at(const name_list *list, size_t index, const char *name, size_t bytes) {
    const name_slot *slot = index < list->count ? &list->slots[index] : NULL;
    return slot && compare_names(slot->name, slot->bytes, name, bytes) == 0 ? slot->value : NO_NAME;
}

size_t names_find_first(name_list *list, const char *name, size_t bytes) {
    return value_at(list, count_before(list, name, bytes, 0), name, bytes);
}

size_t names_find_last(name_list *list, const char *name, size_t bytes) {
    return value_at(list, count_before(list, name, bytes, 1) - 1, name, bytes);
}

void names_clear(name_list *list) {
    free(list->slots);
    memset(list, 0, sizeof *list);
}
