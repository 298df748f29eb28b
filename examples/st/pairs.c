/* pairs.c: compares the metadata of two files. */
#include "st.h"
#include <stdlib.h>

static int compare_keys(const st_pair *a, const st_pair *b) {
    return compare_text(a->key, a->key_bytes, b->key, b->key_bytes);
}

static int by_key(const void *a, const void *b) {
    return compare_keys(*(const st_pair *const *)a, *(const st_pair *const *)b);
}

/* Returns an array of pointers to the pairs, sorted by key, or NULL if there is no memory. The caller frees it. */
static const st_pair **sort_pairs(const st_pair *pairs, size_t count) {
    const st_pair **sorted = (const st_pair **)calloc(count + 1, sizeof *sorted);
    size_t i;
    if (!sorted) return NULL;
    for (i = 0; i < count; i++) sorted[i] = &pairs[i];
    qsort((void *)sorted, count, sizeof *sorted, by_key);
    return sorted;
}

int compare_pairs(const st_pair *a, size_t a_count, const st_pair *b, size_t b_count,
                  void (*report_pair)(void *user, const st_pair *a, const st_pair *b), void *user) {
    const st_pair **as = sort_pairs(a, a_count), **bs = sort_pairs(b, b_count);
    const int has_memory = as && bs;
    size_t i = 0, k = 0;
    while (has_memory && (i < a_count || k < b_count)) {
        const int order = i == a_count ? 1 : k == b_count ? -1 : compare_keys(as[i], bs[k]);
        if (order < 0) {
            report_pair(user, as[i++], NULL);
        } else if (order > 0) {
            report_pair(user, NULL, bs[k++]);
        } else {
            if (compare_text(as[i]->value, as[i]->value_bytes, bs[k]->value, bs[k]->value_bytes) != 0) {
                report_pair(user, as[i], bs[k]);
            }
            i++, k++;
        }
    }
    free((void *)as);
    free((void *)bs);
    return has_memory;
}
