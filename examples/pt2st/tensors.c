/* tensors.c: from the objects of a pickle to named tensors, and from storages to bytes in C order. */
#include "pt2st.h"
#include "../common/text.h"
#include <stdlib.h>
#include <string.h>

/* ---- the walk over objects --------------------------------------------------------------------------------------- */

static int is_container(const value *v) {
    return v && (v->kind == VALUE_TUPLE || v->kind == VALUE_LIST || v->kind == VALUE_DICT);
}

static value *attributes_of(value *v) { /* of an object; everything else has none, and is returned */
    return v->kind == VALUE_RECORD && v->u.state ? v->u.state : v;
}

static value *find_key(value *v, const char *key) {
    uint32_t i;
    v = attributes_of(v);
    for (i = 0; v->kind == VALUE_DICT && i < v->count; i += 2) {
        if (is_text(v->u.items[i], key)) return v->u.items[i + 1];
    }
    return NULL;
}

/* A file can nest objects in themselves, and share them so often that a walk would never end. */
static void enter(job *j, value *v, int depth) {
    if (v->is_open) fail(j, "%s: an object contains itself", j->name);
    if (depth == MAX_DEPTH || ++j->visits > 1000000) fail(j, "%s: objects are nested too deeply, or too many", j->name);
    v->is_open = 1;
}

static int has_tensors(job *j, value *v, int depth) {
    uint32_t i;
    int found = v->kind == VALUE_TENSOR;
    v = attributes_of(v);
    if (!is_container(v)) return found;
    enter(j, v, depth);
    for (i = 0; i < v->count && !found; i++) found = has_tensors(j, v->u.items[i], depth + 1);
    v->is_open = 0;
    return found;
}

/* A checkpoint holds the model beside an optimizer and counters: returns the dictionary of its tensors. */
static value *choose_root(job *j, value *root) {
    static const char *const keys[] = {"state_dict", "model_state_dict", "model", "module"};
    const size_t count = sizeof keys / sizeof *keys;
    size_t i, depth;
    for (depth = 0; depth < MAX_DEPTH; depth++) {
        value *inner = NULL;
        for (i = 0; i < count && !inner; i++) {
            inner = find_key(root, keys[i]);
            if (inner && (!is_container(attributes_of(inner)) || !has_tensors(j, inner, 0))) inner = NULL;
        }
        if (!inner) break;
        root = inner;
    }
    return root;
}

static value *follow_key(job *j, value *root, const char *key) {
    while (*key) { /* a key can contain dots itself: the longest comes first */
        size_t n = strlen(key);
        value *inner = NULL;
        while (n > 0 && !inner) {
            memcpy(j->name, key, n), j->name[n] = 0;
            inner = find_key(root, j->name);
            if (!inner) {
                do n--;
                while (n > 0 && key[n] != '.');
            }
        }
        if (!inner) fail(j, "the file has no key %s", key);
        root = inner;
        key += n + (key[n] == '.');
    }
    return root;
}

void add_pair(job *j, const char *key, size_t key_bytes, const char *text, size_t bytes) {
    st_pair *p;
    char *copy = (char *)allocate(j, &j->kept, key_bytes + bytes + 2);
    memcpy(copy, key, key_bytes);
    if (bytes) memcpy(copy + key_bytes + 1, text, bytes);
    j->pairs = (st_pair *)grow(j, &j->kept, j->pairs, j->pair_count, sizeof *p);
    p = &j->pairs[j->pair_count++];
    p->key = copy, p->key_bytes = key_bytes, p->value = copy + key_bytes + 1, p->value_bytes = bytes;
}

static void add_other(job *j, const value *v, size_t bytes) {
    char text[40] = "";
    if (v->kind == VALUE_INTEGER) snprintf(text, sizeof text, "%lld", (long long)v->u.integer);
    if (v->kind == VALUE_NUMBER) snprintf(text, sizeof text, "%.17g", v->u.number);
    if (v->kind == VALUE_BOOL) snprintf(text, sizeof text, "%s", v->u.integer ? "true" : "false");
    if (!j->metadata || (!*text && v->kind != VALUE_TEXT) || !is_utf8(j->name, bytes) ||
        (!*text && !is_utf8(v->u.text, v->count))) {
        j->ignored++;
    } else {
        add_pair(j, j->name, bytes, *text ? text : v->u.text, *text ? strlen(text) : v->count);
    }
}

static void add_tensor(job *j, const tensor *t, size_t bytes) {
    static const char prefix[] = "module.";
    const size_t cut = !j->keep_prefix && bytes > 7 && memcmp(j->name, prefix, 7) == 0 ? 7 : 0, rank = t->rank;
    char *name = (char *)allocate(j, &j->kept, bytes - cut + 1);
    uint64_t *shape = (uint64_t *)allocate(j, &j->kept, 2 * rank * sizeof *shape);
    item *i;
    uint32_t d;
    if (t->storage->data.offset == UINT64_MAX) fail(j, "%s: the file lacks the storage of this tensor", j->name);
    j->items = (item *)grow(j, &j->kept, j->items, j->item_count, sizeof *i);
    i = &j->items[j->item_count++];
    memcpy(name, j->name + cut, bytes - cut);
    if (rank) memcpy(shape, t->shape, rank * sizeof *shape), memcpy(shape + rank, t->stride, rank * sizeof *shape);
    i->name = name, i->name_bytes = bytes - cut, i->dtype = t->dtype, i->rank = t->rank, i->file = j->file;
    i->shape = shape, i->stride = shape + rank, i->storage = t->storage->data, i->is_swapped = j->is_swapped;
    i->size = st_dtype_bits(t->dtype) / 8;
    i->start = t->storage->start * t->storage->size + t->offset * i->size;
    for (i->bytes = i->size, d = 0; d < t->rank; d++) i->bytes *= shape[d];
    if (j->transpose && rank == 2 && bytes > 7 && memcmp(j->name + bytes - 7, ".weight", 7) == 0) {
        shape[0] = t->shape[1], shape[1] = t->shape[0], shape[2] = t->stride[1], shape[3] = t->stride[0];
    }
}

/* Adds what v holds. The name of v is the first `bytes` bytes of j->name. */
static void walk(job *j, value *v, size_t bytes, int depth) {
    static const char *const inner[] = {"_parameters", "_buffers", "_modules"}; /* of a module of PyTorch */
    char number[24];
    uint32_t i, step = 1 + (attributes_of(v)->kind == VALUE_DICT);
    size_t k;
    if (v->kind == VALUE_TENSOR) {
        if (bytes == 0) memcpy(j->name, "tensor", bytes = 6);
        add_tensor(j, v->u.tensor, bytes);
        return;
    }
    if (find_key(v, inner[0]) && find_key(v, inner[2])) {
        for (k = 0; k < 3; k++) {
            if (find_key(v, inner[k])) walk(j, find_key(v, inner[k]), bytes, depth + 1);
        }
        return;
    }
    v = attributes_of(v);
    if (!is_container(v)) {
        add_other(j, v, bytes);
        return;
    }
    enter(j, v, depth);
    for (i = 0; i < v->count; i += step) {
        value *element = v->u.items[i + step - 1], *key = v->u.items[i];
        size_t n = bytes + (bytes > 0);
        if (step == 1 && element->kind == VALUE_TUPLE && element->count == 2 && element->u.items[0]->kind == VALUE_TEXT) {
            key = element->u.items[0]; /* a list of names and values */
            element = element->u.items[1];
        }
        if (step == 1 && key == element) snprintf(number, sizeof number, "%lu", (unsigned long)i);
        if (step == 2 && key->kind == VALUE_INTEGER) snprintf(number, sizeof number, "%lld", (long long)key->u.integer);
        if (key->kind != VALUE_TEXT && key->kind != VALUE_INTEGER && step == 2) {
            j->ignored++;
            continue;
        }
        if (key->kind == VALUE_TEXT && key != element) {
            if (key->count > MAX_NAME - n) fail(j, "%s: a name is longer than 4,096 bytes", j->name);
            if (key->count) memcpy(j->name + n, key->u.text, key->count);
            n += key->count;
        } else {
            if (strlen(number) > MAX_NAME - n) fail(j, "%s: a name is longer than 4,096 bytes", j->name);
            memcpy(j->name + n, number, strlen(number));
            n += strlen(number);
        }
        if (bytes) j->name[bytes] = '.';
        j->name[n] = 0;
        walk(j, element, n, depth + 1);
    }
    v->is_open = 0;
}

void collect_tensors(job *j, value *root) {
    j->name[0] = 0;
    if (j->key) {
        root = follow_key(j, root, j->key);
    } else if (!j->all) {
        root = choose_root(j, root);
    }
    j->name[0] = 0;
    walk(j, root, 0, 0);
}

/* ---- tensors with the same bytes --------------------------------------------------------------------------------- */

static int compare_numbers(uint64_t a, uint64_t b) {
    return a < b ? -1 : a > b;
}

/* Compares what two tensors consist of; 0: the same bytes. Tensors without elements have no bytes to share. */
static int compare_bytes(const item *x, const item *y) {
    int c = compare_numbers(x->file, y->file);
    if (!c) c = x->storage.is_inflated - y->storage.is_inflated;
    if (!c) c = compare_numbers(x->storage.offset + x->start, y->storage.offset + y->start);
    if (!c) c = compare_numbers(x->dtype, y->dtype);
    if (!c) c = compare_numbers(x->rank, y->rank);
    if (!c && x->rank) c = memcmp(x->shape, y->shape, 2 * x->rank * sizeof *x->shape); /* and strides */
    return c;
}

static int by_bytes_then_name(const void *a, const void *b) {
    const item *x = (const item *)a, *y = (const item *)b;
    const size_t n = x->name_bytes < y->name_bytes ? x->name_bytes : y->name_bytes;
    int c = compare_bytes(x, y);
    if (!c) c = memcmp(x->name, y->name, n);
    return c ? c : compare_numbers(x->name_bytes, y->name_bytes);
}

/* The first name in alphabetical order stays, as in the reference's save_model. Metadata maps the others to it. */
void share_tensors(job *j) {
    size_t i, kept = 0;
    if (j->item_count) qsort(j->items, j->item_count, sizeof *j->items, by_bytes_then_name);
    for (i = 0; i < j->item_count; i++) {
        const item *x = &j->items[i], *last = kept ? &j->items[kept - 1] : NULL;
        if (j->keep_copies || !last || !x->bytes || compare_bytes(last, x) != 0) {
            j->items[kept++] = *x;
            continue;
        }
        add_pair(j, x->name, x->name_bytes, last->name, last->name_bytes);
        j->alias_count++;
    }
    j->item_count = kept;
    j->tensors = (st_tensor *)allocate(j, &j->kept, kept * sizeof *j->tensors);
    for (i = 0; i < kept; i++) {
        const item *x = &j->items[i];
        j->tensors[i] = st_tensor_of(x->name, x->dtype, x->rank, x->shape, NULL);
        j->tensors[i].name_bytes = x->name_bytes;
    }
}

/* ---- bytes in C order -------------------------------------------------------------------------------------------- */

typedef struct axis {
    uint64_t count, from, to; /* from, to: bytes from one element to the next in the storage and in the result */
} axis;

/* Copies elements along one axis: as one piece where they are consecutive, through a buffer where they are near. */
static void copy_run(job *j, const item *x, uint64_t from, const axis *a, unsigned char *dst) {
    unsigned char buffer[16384];
    uint64_t done = 0, k, n;
    if (a->from == x->size && a->to == x->size) {
        read_part(j, &x->storage, from, dst, (size_t)(a->count * x->size));
        return;
    }
    for (; done < a->count; done += n) {
        n = a->from > 16 * x->size ? 1 : a->from ? (sizeof buffer - x->size) / a->from + 1 : a->count;
        if (n > a->count - done) n = a->count - done;
        read_part(j, &x->storage, from + done * a->from, buffer, (size_t)((n - 1) * a->from + x->size));
        for (k = 0; k < n; k++) memcpy(dst + (done + k) * a->to, buffer + k * a->from, x->size);
    }
}

static int by_stride(const void *a, const void *b) { /* largest first; steps of 0 repeat all that follows */
    const axis *x = (const axis *)a, *y = (const axis *)b;
    return compare_numbers(y->from - 1, x->from - 1);
}

/* Fills j->block with elements from `first` on. A block is a range of one axis with all of the axes after it. So it is
 * consecutive in the result, and the storage can be read in the order of its own bytes. */
static void gather(job *j, const item *x, uint64_t first) {
    axis axes[MAX_RANK + 1];
    uint64_t index[MAX_RANK + 1] = {0}, inner = 1, row, rows = 1, from = x->start, to = 0, step = x->size;
    uint32_t n = 0, d, outer = x->rank;
    if (!j->block && !(j->block = (unsigned char *)take_memory(j, BLOCK))) fail(j, "out of memory; see --memory");
    while (outer > 0 && x->shape[outer - 1] <= BLOCK / x->size / inner) inner *= x->shape[--outer];
    row = first / inner;
    j->block_item = x, j->block_first = row * inner;
    for (d = outer; d-- > 0; row /= x->shape[d]) {
        const uint64_t i = row % x->shape[d];
        from += i * x->stride[d] * x->size;
        if (d + 1 < outer) continue;
        rows = BLOCK / x->size / inner;
        if (rows > x->shape[d] - i) rows = x->shape[d] - i;
    }
    j->block_count = rows * inner;
    for (d = x->rank; d-- > 0 && d + 1 >= outer;) {
        const axis a = {d < outer ? rows : x->shape[d], x->stride[d] * x->size, step};
        step *= x->shape[d];
        if (a.count > 1) axes[n++] = a;
    }
    if (n) qsort(axes, n, sizeof *axes, by_stride);
    if (!n) axes[0].count = 1, axes[0].from = axes[0].to = x->size, n = 1;
    for (;;) { /* all axes but the last count like the digits of a number */
        copy_run(j, x, from, &axes[n - 1], j->block + to);
        for (d = n - 1; d-- > 0; index[d] = 0) {
            from += axes[d].from, to += axes[d].to;
            if (++index[d] < axes[d].count) break;
            from -= axes[d].from * axes[d].count, to -= axes[d].to * axes[d].count;
        }
        if (d == UINT32_MAX) return;
    }
}

static void read_elements(job *j, const item *x, uint64_t offset, unsigned char *dst, size_t bytes) {
    uint64_t packed = 1;
    uint32_t d;
    for (d = x->rank; d-- > 0 && (x->shape[d] < 2 || x->stride[d] == packed);) packed *= x->shape[d];
    if (d == UINT32_MAX) {
        read_part(j, &x->storage, x->start + offset, dst, bytes);
        return;
    }
    while (bytes > 0) {
        const uint64_t first = offset / x->size;
        size_t n;
        if (j->block_item != x || first < j->block_first || first - j->block_first >= j->block_count) gather(j, x, first);
        n = (size_t)((j->block_count - (first - j->block_first)) * x->size);
        if (n > bytes) n = bytes;
        memcpy(dst, j->block + (first - j->block_first) * x->size, n);
        dst += n, offset += n, bytes -= n;
    }
}

int fill_tensor(void *user, const st_tensor *t, uint64_t offset, void *dst, size_t bytes) {
    job *j = (job *)user;
    const item *x = &j->items[t - j->tensors];
    unsigned char *c = (unsigned char *)dst;
    const size_t word = x->dtype == ST_DTYPE_C64 ? 4 : x->size;
    size_t i, k;
    jmp_buf trap;
    j->trap = &trap;
    if (setjmp(trap)) return 1;
    open_input(j, x->file);
    read_elements(j, x, offset, c, bytes);
    for (i = 0; x->is_swapped && i < bytes; i += word) {
        for (k = 0; k < word / 2; k++) {
            const unsigned char b = c[i + k];
            c[i + k] = c[i + word - 1 - k], c[i + word - 1 - k] = b;
        }
    }
    return 0;
}
