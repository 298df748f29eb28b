/* tensors.c: from the objects of a pickle to named tensors, and their bytes. */
#include "pt2st.h"
#include "../common/text.h"
#include <stdlib.h>
#include <string.h>

/* ---- the walk over objects --------------------------------------------------------------------------------------- */

static value *attributes_of(value *v) { /* of a record; other values are returned as they are */
    return v->kind == RECORD && v->u.state ? v->u.state : v;
}

static int is_container(const value *v) {
    return v->kind == TUPLE || v->kind == LIST || v->kind == DICT;
}

static value *find_key(value *v, const char *key) {
    uint32_t i;
    v = attributes_of(v);
    for (i = 0; v->kind == DICT && i < v->count; i += 2) {
        if (is_text(v->u.items[i], key)) return v->u.items[i + 1];
    }
    return NULL;
}

/* Copies what has to outlive the pickle, and `more` bytes of 0. */
static void *keep(job *j, const void *bytes, size_t n, size_t more) {
    void *copy = allocate(j, n + more);
    return n ? memcpy(copy, bytes, n) : copy;
}

void add_pair(job *j, const char *key, size_t key_bytes, const char *text, size_t bytes) {
    const st_pair pair = {(char *)keep(j, key, key_bytes, 1), (char *)keep(j, text, bytes, 1), key_bytes, bytes};
    j->pairs = (st_pair *)grow(j, j->pairs, j->pair_count, sizeof pair);
    j->pairs[j->pair_count++] = pair;
}

static void add_other(job *j, const value *v, size_t name_bytes) {
    char number[32] = "";
    const char *text = v->kind == TEXT ? v->u.text : number;
    int is_kept;
    size_t n;
    if (v->kind == INTEGER) snprintf(number, sizeof number, "%lld", (long long)v->u.integer);
    if (v->kind == NUMBER) snprintf(number, sizeof number, "%.17g", v->u.number);
    if (v->kind == BOOL) snprintf(number, sizeof number, "%s", v->u.integer ? "true" : "false");
    n = v->kind == TEXT ? v->count : strlen(number);
    is_kept = j->metadata && (n || v->kind == TEXT) && is_utf8(text, n) && is_utf8(j->name, name_bytes);
    if (is_kept) add_pair(j, j->name, name_bytes, text, n);
    j->ignored += !is_kept;
}

static void add_tensor(job *j, const tensor *from, size_t bytes) {
    const size_t cut = !j->keep_prefix && bytes > 7 && memcmp(j->name, "module.", 7) == 0 ? 7 : 0;
    tensor t = *from;
    if (t.data->offset == UINT64_MAX) fail(j, "%s: the file lacks the storage of this tensor", j->name);
    t.data = (part *)keep(j, t.data, sizeof *t.data, 0);
    t.shape = (uint64_t *)keep(j, t.shape, 2 * t.rank * sizeof *t.shape, 0);
    t.stride = t.shape + t.rank;
    if (j->transpose && t.rank == 2 && bytes >= 7 && memcmp(j->name + bytes - 7, ".weight", 7) == 0) {
        t.shape[0] = from->shape[1], t.shape[1] = from->shape[0];
        t.stride[0] = from->stride[1], t.stride[1] = from->stride[0];
    }
    t.name = (char *)keep(j, j->name + cut, bytes - cut, 1), t.name_bytes = bytes - cut;
    t.file = j->file, t.is_swapped = j->is_swapped;
    j->items = (tensor *)grow(j, j->items, j->item_count, sizeof t);
    j->items[j->item_count++] = t;
}

/* Adds all that v holds. The name of v is the first `bytes` bytes of j->name. */
static void walk(job *j, value *v, size_t bytes, int depth) {
    static const char *const of_module[] = {"_parameters", "_buffers", "_modules"}; /* of torch.nn.Module */
    uint32_t i, step;
    int is_module;
    j->name[bytes] = 0;
    v = attributes_of(v);
    step = v->kind == DICT ? 2 : 1;
    /* a file can nest objects in themselves, and share them so often that the walk would never end */
    j->visits += 1 + (is_container(v) ? v->count : 0);
    if (depth == MAX_DEPTH || j->visits > MAX_VISITS) fail(j, "%s: nested in itself or too deeply", j->name);
    if (v->kind == TENSOR) {
        if (bytes == 0) strcpy(j->name, "tensor"), bytes = 6;
        add_tensor(j, (const tensor *)v->u.thing, bytes);
        return;
    }
    if (!is_container(v)) {
        add_other(j, v, bytes);
        return;
    }
    is_module = find_key(v, of_module[0]) && find_key(v, of_module[2]);
    for (i = 0; is_module && i < 3; i++) {
        if (find_key(v, of_module[i])) walk(j, find_key(v, of_module[i]), bytes, depth + 1);
    }
    for (i = 0; !is_module && i < v->count; i += step) {
        const size_t begin = bytes + (bytes > 0);
        value *element = v->u.items[i + step - 1], *key = step == 2 ? v->u.items[i] : NULL;
        char number[24];
        size_t n;
        if (!key && element->kind == TUPLE && element->count == 2 && element->u.items[0]->kind == TEXT) {
            key = element->u.items[0], element = element->u.items[1]; /* a list of names and values */
        }
        snprintf(number, sizeof number, "%lld", key && key->kind == INTEGER ? (long long)key->u.integer : (long long)i);
        n = key && key->kind == TEXT ? key->count : strlen(number);
        if ((uint64_t)begin + n > MAX_NAME) fail(j, "%.200s: a name is longer than 4,096 bytes", j->name);
        memcpy(j->name + begin, key && key->kind == TEXT ? key->u.text : number, n);
        if (bytes) j->name[bytes] = '.';
        walk(j, element, begin + n, depth + 1);
    }
}

/* A checkpoint holds the model beside an optimizer and counters: finds the dictionary that has the model's tensors. */
static int collect_model(job *j, value *v, int depth) {
    static const char *const keys[] = {"state_dict", "model_state_dict", "model", "module"};
    const size_t before = j->item_count;
    size_t i;
    for (i = 0; i < sizeof keys / sizeof *keys; i++) {
        value *inner = find_key(v, keys[i]);
        if (!inner || !is_container(attributes_of(inner))) continue;
        if (depth == MAX_DEPTH) fail(j, "nested too deeply");
        if (collect_model(j, inner, depth + 1)) return 1;
    }
    walk(j, v, 0, 0);
    return j->item_count > before;
}

void collect_tensors(job *j, value *root) {
    const char *key = j->key;
    while (key && *key) { /* a key can contain dots itself: the longest comes first */
        size_t n = strlen(key);
        value *inner = NULL;
        for (; n > 0 && !inner; n -= !inner) {
            if (n > MAX_NAME || (key[n] && key[n] != '.')) continue;
            memcpy(j->name, key, n), j->name[n] = 0;
            inner = find_key(root, j->name);
        }
        if (!inner) fail(j, "the file has no key %s", key);
        root = inner;
        key += n + (key[n] == '.');
    }
    if (key || j->all) {
        walk(j, root, 0, 0);
    } else {
        (void)collect_model(j, root, 0);
    }
}

/* ---- tensors with the same bytes --------------------------------------------------------------------------------- */

/* Compares where the bytes of two tensors come from. Returns 0 if they are the same bytes in the same shape. */
static int compare_bytes(const tensor *t, const tensor *u) {
    const part *p = t->data, *q = u->data;
    const uint64_t a[] = {t->file, (uint64_t)p->is_inflated, p->offset + t->start, t->dtype, t->rank};
    const uint64_t b[] = {u->file, (uint64_t)q->is_inflated, q->offset + u->start, u->dtype, u->rank};
    size_t i;
    for (i = 0; i < sizeof a / sizeof *a; i++) {
        if (a[i] != b[i]) return a[i] < b[i] ? -1 : 1;
    }
    return t->rank ? memcmp(t->shape, u->shape, 2 * t->rank * sizeof *t->shape) : 0; /* and strides */
}

static int by_bytes_then_name(const void *a, const void *b) {
    const tensor *x = (const tensor *)a, *y = (const tensor *)b;
    const size_t n = x->name_bytes < y->name_bytes ? x->name_bytes : y->name_bytes;
    int c = compare_bytes(x, y);
    if (!c) c = memcmp(x->name, y->name, n);
    return c ? c : (x->name_bytes > n) - (y->name_bytes > n);
}

/* The first name in alphabetical order stays, as in the reference's save_model. Metadata maps the others to it. */
void share_tensors(job *j) {
    size_t i, kept = 0;
    if (j->item_count) qsort(j->items, j->item_count, sizeof *j->items, by_bytes_then_name);
    j->tensors = (st_tensor *)allocate(j, j->item_count * sizeof *j->tensors);
    for (i = 0; i < j->item_count; i++) {
        const tensor x = j->items[i], *last = kept ? &j->items[kept - 1] : NULL;
        if (last && !j->keep_copies && x.bytes && compare_bytes(last, &x) == 0) {
            add_pair(j, x.name, x.name_bytes, last->name, last->name_bytes);
            j->alias_count++;
            continue;
        }
        j->items[kept] = x;
        j->tensors[kept] = st_tensor_of(x.name, x.dtype, x.rank, x.shape, NULL);
        j->tensors[kept++].name_bytes = x.name_bytes;
    }
    j->item_count = kept;
}

/* ---- bytes ------------------------------------------------------------------------------------------------------- */

static void read_storage(void *user, uint64_t offset, void *dst, size_t bytes) {
    job *j = (job *)user;
    read_part(j, j->filled->data, offset, dst, bytes);
}

int fill_tensor(void *user, const st_tensor *of, uint64_t offset, void *dst, size_t bytes) {
    job *j = (job *)user;
    const tensor *t = &j->items[of - j->tensors];
    jmp_buf trap;
    j->guard.trap = &trap;
    if (setjmp(trap)) return 1;
    open_input(j, t->file);
    if (j->filled != t) {
        unsigned char *block = j->elements.block ? j->elements.block : (unsigned char *)allocate(j, BLOCK);
        const strided elements = {t->rank, t->shape, t->stride, t->size, t->start, read_storage, j, block, BLOCK, 0, 0};
        j->elements = elements;
        j->filled = t;
    }
    strided_read(&j->elements, offset, dst, bytes);
    if (t->is_swapped) swap_words(dst, bytes, t->dtype == ST_DTYPE_C64 ? 4 : (size_t)t->size);
    return 0;
}
