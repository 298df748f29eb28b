/* archive.c: the three containers of torch.save: a ZIP archive (since 1.6, and TorchScript), pickles followed by the
 * storages (0.1.10 to 1.5), and a tar archive before that. */
#include "pt2st.h"
#include <string.h>

static const char magic[] = "\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19"; /* first pickle of the second container */

static const char *key_of(job *j, const value *v, size_t *bytes) { /* a text or a number */
    char *text;
    if (v->kind == VALUE_TEXT) {
        *bytes = v->count;
        return v->u.text;
    }
    text = (char *)allocate(j, &j->pickle, 24);
    *bytes = (size_t)snprintf(text, 24, "%llu", (unsigned long long)unsigned_of(j, v, "the key of a storage"));
    return text;
}

static value *find_object(job *j, const value *key, kind wanted) {
    size_t n;
    const char *text = key_of(j, key, &n);
    const struct name_entry *e = find_name(&j->objects, text, n);
    if (!e || ((value *)e->thing)->kind != wanted) fail(j, "storage or tensor %.*s is missing", (int)n, text);
    return (value *)e->thing;
}

/* Returns the object outside of the pickle that the identifier stands for. */
value *persistent_value(job *j, const value *id) {
    value *const *a = id->u.items, *v;
    const char *key;
    storage *s;
    size_t n;
    if (j->container == CONTAINER_TAR) return find_object(j, id, VALUE_TENSOR);
    if (id->kind == VALUE_TUPLE && id->count > 1 && is_text(a[0], "module")) return a[1]; /* a class with its source */
    if (id->kind != VALUE_TUPLE || id->count < 5 || !is_text(a[0], "storage")) fail(j, "an unknown persistent object");
    s = new_storage(j, a[1], unsigned_of(j, a[4], "the size of a storage"));
    key = key_of(j, a[2], &n);
    v = new_value(j, VALUE_STORAGE);
    v->u.storage = s;
    if (j->container == CONTAINER_LEGACY) {
        add_name(j, &j->objects, key, n, s);
        if (id->count < 6 || a[5]->kind != VALUE_TUPLE) return v;
        if (a[5]->count != 3) fail(j, "a view of a storage is described in an unknown way"); /* key, start, count */
        s->start = unsigned_of(j, a[5]->u.items[1], "the offset of a view");
        if (s->start > s->count) fail(j, "a view leaves its storage");
        s->count -= s->start; /* its own count is not needed */
        return v;
    }
    if (!find_member(j, "data/", key, n, &s->data)) fail(j, "the archive has no member data/%.*s", (int)n, key);
    if (s->data.bytes < s->count * s->size || s->data.bytes - s->count * s->size >= s->size) {
        fail(j, "data/%.*s has %llu bytes, expected %llu elements of %u bytes", (int)n, key,
             (unsigned long long)s->data.bytes, (unsigned long long)s->count, (unsigned)s->size);
    }
    return v;
}

static value *read_zip(job *j) {
    stream s = {{0, 0, 0}, 0, "data.pkl"};
    part order;
    char text[3];
    j->container = CONTAINER_ZIP;
    read_directory(j);
    if (find_member(j, "", "byteorder", 9, &order) && order.bytes == 3) {
        read_part(j, &order, 0, text, 3);
        j->is_swapped = memcmp(text, "big", 3) == 0;
    }
    (void)find_member(j, "", "data.pkl", 8, &s.part);
    return load_pickle(j, &s);
}

/* Takes the bytes of a storage from the stream: the number of elements, then the elements. */
static void place_storage(job *j, stream *s, storage *to) {
    unsigned char count[8];
    read_stream(j, s, count, sizeof count);
    if (little(count, 8) > (s->part.bytes - s->at) / to->size) fail(j, "the file is truncated: a storage ends after it");
    to->data.offset = s->part.offset + s->at;
    to->data.bytes = little(count, 8) * to->size;
}

static value *read_legacy(job *j) {
    stream s = {{0, 0, 0}, 0, "pickle"};
    value *root, *keys;
    uint32_t i;
    j->container = CONTAINER_LEGACY;
    s.part.bytes = j->file_bytes;
    root = load_pickle(j, &s);
    if (!is_text(root, magic) && !is_text(root, "119547037146038801333356L")) {
        fail(j, "a pickle, but not one of torch.save"); /* its magic number is missing */
    }
    (void)load_pickle(j, &s); /* version */
    (void)load_pickle(j, &s); /* sizes of C types; numbers are little-endian on every machine */
    j->objects.count = 0;
    root = load_pickle(j, &s);
    sort_names(&j->objects);
    keys = load_pickle(j, &s);
    for (i = 0; keys->kind == VALUE_LIST && i < keys->count; i++) {
        size_t n;
        const char *key = key_of(j, keys->u.items[i], &n);
        struct name_entry *e = find_name(&j->objects, key, n);
        const struct name_entry *end = j->objects.entries + j->objects.count;
        storage *first = e ? (storage *)e->thing : NULL, *same;
        if (!first || first->data.offset != UINT64_MAX) fail(j, "storage %.*s is listed twice or not used", (int)n, key);
        place_storage(j, &s, first);
        s.at += first->data.bytes;
        for (; e < end && e->bytes == n && memcmp(e->text, key, n) == 0; e++) { /* every mention of the storage */
            same = (storage *)e->thing;
            same->data.offset = first->data.offset;
            if (same->size != first->size || (same->start + same->count) * same->size != first->data.bytes) {
                fail(j, "storage %.*s has another size than expected", (int)n, key);
            }
        }
    }
    return root;
}

/* ---- tar --------------------------------------------------------------------------------------------------------- */

static stream find_in_tar(job *j, const char *name) {
    stream s = {{0, 0, 0}, 0, name}, headers = {{0, 0, 0}, 0, "the tar archive"};
    unsigned char header[512];
    uint64_t bytes;
    size_t i;
    headers.part.bytes = j->file_bytes;
    for (;;) {
        read_stream(j, &headers, header, sizeof header);
        for (i = 124, bytes = 0; i < 135 && header[i] >= '0' && header[i] <= '7'; i++) bytes = bytes * 8 + header[i] - '0';
        if (bytes > headers.part.bytes - headers.at) fail(j, "the tar archive is truncated");
        s.part.offset = headers.at;
        s.part.bytes = bytes;
        if (strncmp((const char *)header, name, 100) == 0) return s;
        bytes = (bytes + 511) / 512 * 512;
        if (header[0] == 0 || bytes > headers.part.bytes - headers.at) fail(j, "the tar archive has no member %s", name);
        headers.at += bytes;
    }
}

static uint64_t pickled_count(job *j, stream *s) {
    return unsigned_of(j, load_pickle(j, s), "a number of objects");
}

static const value *pickled_tuple(job *j, stream *s, uint32_t count) {
    const value *v = load_pickle(j, s);
    if (v->kind != VALUE_TUPLE || v->count != count) fail(j, "%s: expected a tuple of %u", s->what, (unsigned)count);
    return v;
}

static void add_object(job *j, const value *key, value *v) {
    size_t n;
    const char *text = key_of(j, key, &n);
    add_name(j, &j->objects, text, n, v);
}

static value *read_tar(job *j) {
    stream s = find_in_tar(j, "storages");
    value *v, *const *a, *views;
    uint64_t n;
    uint32_t d, i;
    unsigned char number[8];
    j->container = CONTAINER_TAR;
    for (n = pickled_count(j, &s); n > 0; n--) { /* key, device, type */
        a = pickled_tuple(j, &s, 3)->u.items;
        v = new_value(j, VALUE_STORAGE);
        v->u.storage = new_storage(j, a[2], 0);
        place_storage(j, &s, v->u.storage);
        s.at += v->u.storage->data.bytes;
        v->u.storage->count = v->u.storage->data.bytes / v->u.storage->size;
        add_object(j, a[0], v);
    }
    sort_names(&j->objects);
    views = load_pickle(j, &s);
    for (i = 0; views->kind == VALUE_LIST && i < views->count; i++) { /* key, key of the storage, start, count */
        a = views->u.items[i]->u.items;
        if (views->u.items[i]->kind != VALUE_TUPLE || views->u.items[i]->count != 4) fail(j, "unknown view of a storage");
        fail(j, "storages that are views of others are not supported");
    }
    s = find_in_tar(j, "tensors");
    for (n = pickled_count(j, &s); n > 0; n--) { /* key, key of the storage, type; then rank, shape, strides, offset */
        const value *from;
        a = pickled_tuple(j, &s, 3)->u.items;
        from = find_object(j, a[1], VALUE_STORAGE);
        read_stream(j, &s, number, 8); /* the rank has four bytes; others follow */
        v = new_tensor(j, from->u.storage, from->u.storage->dtype, 0, (uint32_t)little(number, 4));
        for (d = 0; d < 2 * v->u.tensor->rank; d++) { /* strides come behind the shape, in memory too */
            read_stream(j, &s, number, 8);
            v->u.tensor->shape[d] = little(number, 8);
        }
        read_stream(j, &s, number, 8);
        v->u.tensor->offset = little(number, 8);
        check_tensor(j, v->u.tensor);
        add_object(j, a[0], v);
    }
    sort_names(&j->objects);
    s = find_in_tar(j, "pickle");
    return load_pickle(j, &s);
}

value *read_archive(job *j) {
    unsigned char begin[262] = {0};
    part whole = {0, 0, 0};
    whole.bytes = j->file_bytes;
    read_part(j, &whole, 0, begin, whole.bytes < sizeof begin ? (size_t)whole.bytes : sizeof begin);
    j->is_swapped = 0;
    memset(&j->members, 0, sizeof j->members);
    memset(&j->objects, 0, sizeof j->objects);
    if (memcmp(begin, "PK\3\4", 4) == 0) return read_zip(j);
    if (memcmp(begin + 257, "ustar", 5) == 0) return read_tar(j);
    if (begin[0] == 0x80 || begin[0] == 'L') return read_legacy(j);
    fail(j, "not a file of torch.save: neither a ZIP archive, nor a pickle, nor a tar archive");
}
