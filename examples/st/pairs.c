/* pairs.c: what differs between the metadata of two files. */
#include "st.h"
#include <stdlib.h>
#include <string.h>

static int compare_text(const char *a, size_t a_bytes, const char *b, size_t b_bytes) {
    const int order = memcmp(a, b, a_bytes < b_bytes ? a_bytes : b_bytes);
    return order ? order : a_bytes < b_bytes ? -1 : a_bytes > b_bytes;
}

static int compare_keys(const st_pair *a, const st_pair *b) {
    return compare_text(a->key, a->key_bytes, b->key, b->key_bytes);
}

static int by_key(const void *a, const void *b) {
    return compare_keys(*(const st_pair *const *)a, *(const st_pair *const *)b);
}

/* Pointers to the pairs, by key, to be freed; NULL: out of memory. */
static const st_pair **sorted(const st_pair *pairs, size_t count) {
    const st_pair **all = (const st_pair **)calloc(count + 1, sizeof *all);
    size_t i;
    if (!all) return NULL;
    for (i = 0; i < count; i++) all[i] = &pairs[i];
    qsort((void *)all, count, sizeof *all, by_key);
    return all;
}

int compare_pairs(const st_pair *a, size_t a_count, const st_pair *b, size_t b_count,
                  void (*each)(void *user, const st_pair *a, const st_pair *b), void *user) {
    const st_pair **as = sorted(a, a_count), **bs = sorted(b, b_count);
    const int enough = as && bs;
    size_t i = 0, k = 0;
    while (enough && (i < a_count || k < b_count)) {
        const int order = i == a_count ? 1 : k == b_count ? -1 : compare_keys(as[i], bs[k]);
        if (order < 0) {
            each(user, as[i++], NULL);
        } else if (order > 0) {
            each(user, NULL, bs[k++]);
        } else {
            if (compare_text(as[i]->value, as[i]->value_bytes, bs[k]->value, bs[k]->value_bytes) != 0) {
                each(user, as[i], bs[k]);
            }
            i++, k++;
        }
    }
    free((void *)as);
    free((void *)bs);
    return enough;
}
