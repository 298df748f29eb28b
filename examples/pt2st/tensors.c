/* tensors.c: from the objects of a pickle to named tensors, and from storages to bytes in C order. */
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

/* Copies what has to outlive the pickle. */
static void *keep(job *j, const void *bytes, size_t n, size_t more) {
    const int was_reading = j->is_reading;
    void *copy;
    j->is_reading = 0;
    copy = allocate(j, n + more);
    j->is_reading = was_reading;
    return n ? memcpy(copy, bytes, n) : copy;
}

static void *grow_kept(job *j, void *array, size_t count, size_t element) {
    const int was_reading = j->is_reading;
    j->is_reading = 0;
    array = grow(j, array, count, element);
    j->is_reading = was_reading;
    return array;
}

void add_pair(job *j, const char *key, size_t key_bytes, const char *text, size_t bytes) {
    const st_pair pair = {(char *)keep(j, key, key_bytes, 1), (char *)keep(j, text, bytes, 1), key_bytes, bytes};
    j->pairs = (st_pair *)grow_kept(j, j->pairs, j->pair_count, sizeof pair);
    j->pairs[j->pair_count++] = pair;
}

static void add_other(job *j, const value *v, size_t name_bytes) {
    char number[32] = "";
    const char *text = v->kind == TEXT ? v->u.text : number;
    size_t n;
    if (v->kind == INTEGER) snprintf(number, sizeof number, "%lld", (long long)v->u.integer);
    if (v->kind == NUMBER) snprintf(number, sizeof number, "%.17g", v->u.number);
    if (v->kind == BOOL) snprintf(number, sizeof number, "%s", v->u.integer ? "true" : "false");
    n = v->kind == TEXT ? v->count : strlen(number);
    if (!(j->flags & METADATA) || (!n && v->kind != TEXT) || !is_utf8(text, n) || !is_utf8(j->name, name_bytes)) {
        j->ignored++;
    } else {
        add_pair(j, j->name, name_bytes, text, n);
    }
}

static void add_tensor(job *j, const tensor *from, size_t bytes) {
    const size_t cut = !(j->flags & KEEP_PREFIX) && bytes > 7 && memcmp(j->name, "module.", 7) == 0 ? 7 : 0;
    tensor *t = (tensor *)keep(j, from, sizeof *t, 0);
    const item x = {t, (char *)keep(j, j->name + cut, bytes - cut, 1), bytes - cut, j->file, j->is_swapped};
    if (t->storage->data.offset == UINT64_MAX) fail(j, "%s: the file lacks the storage of this tensor", j->name);
    t->storage = (storage *)keep(j, t->storage, sizeof *t->storage, 0);
    t->shape = (uint64_t *)keep(j, t->shape, 2 * t->rank * sizeof *t->shape, 0);
    t->stride = t->shape + t->rank;
    if (j->flags & TRANSPOSE && t->rank == 2 && bytes >= 7 && memcmp(j->name + bytes - 7, ".weight", 7) == 0) {
        t->shape[0] = from->shape[1], t->shape[1] = from->shape[0];
        t->stride[0] = from->stride[1], t->stride[1] = from->stride[0];
    }
    j->items = (item *)grow_kept(j, j->items, j->item_count, sizeof x);
    j->items[j->item_count++] = x;
}

/* Adds all that v holds. The name of v is the first `bytes` bytes of j->name. */
static void walk(job *j, value *v, size_t bytes, int depth) {
    static const char *const of_module[] = {"_parameters", "_buffers", "_modules"}; /* of torch.nn.Module */
    uint32_t i, step;
    int is_module;
    v = attributes_of(v);
    step = v->kind == DICT ? 2 : 1;
    /* a file can nest objects in themselves, and share them so often that the walk would never end */
    j->visits += 1 + (is_container(v) ? v->count : 0);
    if (depth == MAX_DEPTH || j->visits > MAX_VISITS) fail(j, "%s: nested in itself or too deeply", j->name);
    if (v->kind == TENSOR) {
        if (bytes == 0) memcpy(j->name, "tensor", bytes = 6);
        add_tensor(j, v->u.tensor, bytes);
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
        if (n > MAX_NAME - begin) fail(j, "%s: a name is longer than 4,096 bytes", j->name);
        memcpy(j->name + begin, key && key->kind == TEXT ? key->u.text : number, n);
        if (bytes) j->name[bytes] = '.';
        j->name[begin + n] = 0;
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
    j->name[0] = 0;
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
    j->name[0] = 0;
    if (key || j->flags & ALL) {
        walk(j, root, 0, 0);
    } else {
        (void)collect_model(j, root, 0);
    }
}

/* ---- tensors with the same bytes --------------------------------------------------------------------------------- */

static int compare_numbers(uint64_t a, uint64_t b) {
    return a < b ? -1 : a > b;
}

/* Compares where the bytes of two tensors come from. Returns 0 if they are the same bytes in the same shape. */
static int compare_bytes(const item *x, const item *y) {
    const tensor *t = x->tensor, *u = y->tensor;
    int c = compare_numbers(x->file, y->file);
    if (!c) c = t->storage->data.is_inflated - u->storage->data.is_inflated;
    if (!c) c = compare_numbers(t->storage->data.offset + t->start, u->storage->data.offset + u->start);
    if (!c) c = compare_numbers(t->dtype, u->dtype);
    if (!c) c = compare_numbers(t->rank, u->rank);
    return c || !t->rank ? c : memcmp(t->shape, u->shape, 2 * t->rank * sizeof *t->shape); /* and strides */
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
    j->tensors = (st_tensor *)allocate(j, j->item_count * sizeof *j->tensors);
    for (i = 0; i < j->item_count; i++) {
        const item x = j->items[i], *last = kept ? &j->items[kept - 1] : NULL;
        if (last && !(j->flags & KEEP_COPIES) && x.tensor->bytes && compare_bytes(last, &x) == 0) {
            add_pair(j, x.name, x.name_bytes, last->name, last->name_bytes);
            j->alias_count++;
            continue;
        }
        j->items[kept] = x;
        j->tensors[kept] = st_tensor_of(x.name, x.tensor->dtype, x.tensor->rank, x.tensor->shape, NULL);
        j->tensors[kept++].name_bytes = x.name_bytes;
    }
    j->item_count = kept;
}

/* ---- bytes in C order -------------------------------------------------------------------------------------------- */

typedef struct axis {
    uint64_t count, from, to; /* from, to: bytes from one element to the next in the storage and in the result */
} axis;

/* Copies elements along one axis: as one piece where they are consecutive, through a buffer where they are near. */
static void copy_run(job *j, const tensor *t, uint64_t from, const axis *a, unsigned char *dst) {
    unsigned char buffer[16384];
    const part *data = &t->storage->data;
    uint64_t done, k, n;
    if (a->from == t->size && a->to == t->size) {
        read_part(j, data, from, dst, (size_t)(a->count * t->size));
        return;
    }
    for (done = 0; done < a->count; done += n) {
        n = a->from > 16 * t->size ? 1 : a->from ? (sizeof buffer - t->size) / a->from + 1 : a->count;
        if (n > a->count - done) n = a->count - done;
        read_part(j, data, from + done * a->from, buffer, (size_t)((n - 1) * a->from + t->size));
        for (k = 0; k < n; k++) memcpy(dst + (done + k) * a->to, buffer + k * a->from, (size_t)t->size);
    }
}

static int by_step(const void *a, const void *b) { /* largest first; steps of 0 repeat all that follows */
    return compare_numbers(((const axis *)b)->from - 1, ((const axis *)a)->from - 1);
}

/* Fills j->block with elements from `first` on. A block is a range of one axis with all of the axes after it. So it is
 * consecutive in the result, and the storage can be read in the order of its own bytes. */
static void gather(job *j, const tensor *t, uint64_t first) {
    axis axes[MAX_RANK + 1];
    uint64_t index[MAX_RANK + 1] = {0}, inner = 1, row, rows = 1, from = t->start, to = 0, step = t->size;
    uint32_t n = 0, d, outer = t->rank;
    if (!j->block) j->block = (unsigned char *)allocate(j, BLOCK);
    while (outer > 0 && t->shape[outer - 1] <= BLOCK / t->size / inner) inner *= t->shape[--outer];
    row = first / inner;
    j->block_tensor = t, j->block_first = row * inner;
    for (d = outer; d-- > 0; row /= t->shape[d]) {
        const uint64_t i = row % t->shape[d];
        from += i * t->stride[d] * t->size;
        if (d + 1 < outer) continue;
        rows = BLOCK / t->size / inner;
        if (rows > t->shape[d] - i) rows = t->shape[d] - i;
    }
    j->block_count = rows * inner;
    for (d = t->rank; d-- > 0 && d + 1 >= outer; step *= t->shape[d]) {
        const axis a = {d < outer ? rows : t->shape[d], t->stride[d] * t->size, step};
        if (a.count > 1) axes[n++] = a;
    }
    if (n) qsort(axes, n, sizeof *axes, by_step);
    if (!n) axes[0].count = 1, axes[0].from = axes[0].to = t->size, n = 1;
    do { /* all axes but the last count like the digits of a number */
        copy_run(j, t, from, &axes[n - 1], j->block + to);
        for (d = n - 1; d-- > 0; index[d] = 0) {
            from += axes[d].from, to += axes[d].to;
            if (++index[d] < axes[d].count) break;
            from -= axes[d].from * axes[d].count, to -= axes[d].to * axes[d].count;
        }
    } while (d != UINT32_MAX);
}

static void read_elements(job *j, const tensor *t, uint64_t offset, unsigned char *dst, size_t bytes) {
    uint64_t packed = 1, first;
    uint32_t d;
    size_t n;
    for (d = t->rank; d-- > 0 && (t->shape[d] < 2 || t->stride[d] == packed);) packed *= t->shape[d];
    if (d == UINT32_MAX) read_part(j, &t->storage->data, t->start + offset, dst, bytes);
    for (; d != UINT32_MAX && bytes > 0; dst += n, offset += n, bytes -= n) {
        first = offset / t->size;
        if (j->block_tensor != t || first - j->block_first >= j->block_count) gather(j, t, first);
        n = (size_t)((j->block_count - (first - j->block_first)) * t->size);
        if (n > bytes) n = bytes;
        memcpy(dst, j->block + (first - j->block_first) * t->size, n);
    }
}

int fill_tensor(void *user, const st_tensor *t, uint64_t offset, void *dst, size_t bytes) {
    job *j = (job *)user;
    const item *x = &j->items[t - j->tensors];
    unsigned char *c = (unsigned char *)dst, byte;
    const size_t word = x->tensor->dtype == ST_DTYPE_C64 ? 4 : (size_t)x->tensor->size;
    size_t i, k;
    jmp_buf trap;
    j->trap = &trap;
    if (setjmp(trap)) return 1;
    open_input(j, x->file);
    read_elements(j, x->tensor, offset, c, bytes);
    for (i = 0; x->is_swapped && i < bytes; i += word) {
        for (k = 0; k < word / 2; k++) {
            byte = c[i + k], c[i + k] = c[i + word - 1 - k], c[i + word - 1 - k] = byte;
        }
    }
    return 0;
}
