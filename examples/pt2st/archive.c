/* archive.c: the three containers of torch.save: a ZIP archive (since 1.6, and TorchScript), pickles followed by the
 * storages (0.1.10 to 1.5), and a tar archive before that. */
#include "pt2st.h"
#include "../common/zip/zip.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

typedef struct member {
    unsigned flags, method;
    uint64_t header, packed, bytes, limit; /* limit: where the next member or the directory begins */
    part inflated;
} member;

/* ---- names ------------------------------------------------------------------------------------------------------- */

static void add_name(job *j, const char *text, size_t bytes, void *thing) {
    const name_entry new_name = {text, bytes, thing};
    j->names = (name_entry *)grow(j, j->names, j->name_count, sizeof new_name);
    j->names[j->name_count++] = new_name;
}

static int compare_names(const void *a, const void *b) {
    const name_entry *x = (const name_entry *)a, *y = (const name_entry *)b;
    if (x->bytes != y->bytes) return x->bytes < y->bytes ? -1 : 1;
    return memcmp(x->text, y->text, x->bytes);
}

static void sort_names(job *j) {
    j->sorted_count = j->name_count;
    if (j->name_count) qsort(j->names, j->name_count, sizeof *j->names, compare_names);
}

/* Returns one of the entries with this name, or NULL. */
static name_entry *find_name(const job *j, const char *text, size_t bytes) {
    const name_entry wanted = {text, bytes, NULL};
    return j->sorted_count ? (name_entry *)bsearch(&wanted, j->names, j->sorted_count, sizeof wanted, compare_names)
                           : NULL;
}

static name_entry key_of(job *j, const value *v, void *thing) { /* of a storage or tensor: a text or a number */
    name_entry key = {v->u.text, v->count, thing};
    if (v->kind != TEXT) {
        char *text = (char *)allocate(j, 24);
        key.text = text;
        key.bytes = (size_t)snprintf(text, 24, "%llu", (unsigned long long)unsigned_of(j, v));
    }
    return key;
}

/* ---- ZIP --------------------------------------------------------------------------------------------------------- */

/* PyTorch puts all members into one folder, which holds data.pkl. The list gets the names inside that folder. */
static void read_directory(job *j) {
    zip_member *entry = (zip_member *)allocate(j, sizeof *entry);
    member *m, *last = NULL;
    name_entry folder = {NULL, 0, NULL};
    zip_reader zip;
    size_t k;
    (void)zip_begin(&zip, j->input, j->whole.bytes);
    while (zip_next(&zip, entry)) {
        const size_t n = entry->name_bytes;
        const char *text = (const char *)memcpy(allocate(j, n + 1), entry->name, n);
        m = (member *)allocate(j, sizeof *m);
        m->flags = entry->flags, m->method = entry->method, m->header = entry->header;
        m->packed = entry->packed, m->bytes = entry->bytes, m->limit = zip.directory;
        if (last) last->limit = m->header;
        last = m;
        add_name(j, text, n, m);
        if (n < 9 || memcmp(text + n - 9, "/data.pkl", 9) != 0 || memchr(text, '/', n - 9)) continue;
        if (folder.text) fail(j, "the archive has two members data.pkl");
        folder.text = text, folder.bytes = n - 8;
    }
    j->positioned = NULL; /* the position of the file has changed */
    if (zip.fault) fail(j, "%s", zip.fault);
    if (!folder.text)
        fail(j, "a ZIP archive without a member data.pkl: not saved by torch.save, or before PyTorch 1.4");
    for (k = 0; k < j->name_count; k++) { /* members outside of the folder lose their name */
        name_entry *e = &j->names[k];
        const int is_inside = e->bytes > folder.bytes && memcmp(e->text, folder.text, folder.bytes) == 0;
        e->text += is_inside ? folder.bytes : 0;
        e->bytes -= is_inside ? folder.bytes : e->bytes;
    }
    sort_names(j);
    for (k = 1; k < j->name_count; k++) {
        const name_entry *e = &j->names[k];
        if (e->bytes && compare_names(e, e - 1) == 0) fail(j, "two members %.*s", (int)e->bytes, e->text);
    }
}

static int find_member(job *j, const char *folder, const char *text, size_t bytes, part *found) {
    char path[300];
    const size_t n = strlen(folder);
    const char *fault;
    name_entry *entry;
    member *m;
    if (bytes > sizeof path - n) return 0;
    memcpy(path, folder, n), memcpy(path + n, text, bytes);
    entry = find_name(j, path, n + bytes);
    if (!entry) return 0;
    m = (member *)entry->thing;
    fault = zip_locate(j->input, m->header, m->packed, m->limit, &found->offset);
    found->bytes = m->bytes;
    j->positioned = NULL;
    if (m->flags & 1 || (m->method != 0 && m->method != 8))
        fault = "encrypted, or compressed otherwise than by deflate";
    if (m->method ? m->bytes / 1032 > m->packed : m->bytes != m->packed) fault = "the directory gives a false size";
    if (!fault && m->method && !m->inflated.is_inflated) { /* a deflated member has no random access: inflate it once */
        if (m->bytes > j->most_bytes - j->inflated_bytes) fail(j, "inflates to too many bytes; see --large");
        if (!j->spool && !(j->spool = tmpfile())) fail(j, "cannot make a temporary file: %s", strerror(errno));
        (void)fseeko(j->spool, (off_t)j->inflated_bytes, SEEK_SET);
        fault = zip_inflate(j->input, found->offset, m->packed, m->bytes, j->spool);
        m->inflated.offset = j->inflated_bytes, m->inflated.bytes = m->bytes, m->inflated.is_inflated = 1;
        j->inflated_bytes += m->bytes;
    }
    if (fault) fail(j, "%.*s: %s", (int)bytes, text, fault);
    if (m->method) *found = m->inflated;
    return 1;
}

static value *read_zip(job *j) {
    part pickle = j->whole, order = j->whole;
    read_directory(j);
    j->is_swapped = find_member(j, "", "byteorder", 9, &order) && read_number(j, &order, 3) == 0x676962; /* big */
    (void)find_member(j, "", "data.pkl", 8, &pickle);
    return load_pickle(j, &pickle);
}

/* ---- objects outside of the pickle ------------------------------------------------------------------------------- */

static value *find_object(job *j, const value *id, kind wanted) {
    const name_entry key = key_of(j, id, NULL), *found = find_name(j, key.text, key.bytes);
    if (!found || ((value *)found->thing)->kind != wanted) fail(j, "object %.*s is missing", (int)key.bytes, key.text);
    return (value *)found->thing;
}

value *persistent_value(job *j, const value *id) {
    value *const *a = id->u.items, *v;
    name_entry key;
    storage *s;
    if (j->container == TAR) return find_object(j, id, TENSOR);
    if (id->kind == TUPLE && id->count > 1 && is_text(a[0], "module")) return a[1]; /* a class with its source */
    if (id->kind != TUPLE || id->count < 5 || !is_text(a[0], "storage")) fail(j, "an unknown persistent object");
    v = new_value(j, STORAGE);
    v->u.storage = s = new_storage(j, a[1], unsigned_of(j, a[4]));
    key = key_of(j, a[2], s);
    if (j->container == ZIP) {
        if (!find_member(j, "data/", key.text, key.bytes, &s->data)) {
            fail(j, "the archive has no member data/%.*s", (int)key.bytes, key.text);
        }
        if (s->data.bytes / s->size != s->count) fail(j, "data/%.*s has a wrong size", (int)key.bytes, key.text);
        return v;
    }
    add_name(j, key.text, key.bytes, s);
    if (id->count < 6 || a[5]->kind != TUPLE) return v;
    s->start = a[5]->count == 3 ? unsigned_of(j, a[5]->u.items[1]) : UINT64_MAX; /* a view: key, start, count */
    if (s->start > s->count) fail(j, "a view leaves its storage");
    s->count -= s->start;
    return v;
}

/* Takes a storage from the file: the number of elements, then the elements. */
static void place_storage(job *j, part *from, storage *s) {
    const uint64_t count = read_number(j, from, 8);
    if (count > (from->bytes - from->at) / s->size) fail(j, "the file is truncated: a storage ends after it");
    s->data.offset = from->offset + from->at;
    s->data.bytes = count * s->size;
    from->at += s->data.bytes;
}

static value *read_legacy(job *j) {
    static const char magic[] = "\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19"; /* the first pickle, a number */
    part from = j->whole;
    value *root = load_pickle(j, &from), *keys;
    uint32_t i;
    if (!is_text(root, magic) && !is_text(root, "119547037146038801333356L"))
        fail(j, "a pickle, but not of torch.save");
    (void)load_pickle(j, &from); /* version */
    (void)load_pickle(j, &from); /* sizes of C types; numbers are little-endian on every machine */
    j->name_count = 0;
    root = load_pickle(j, &from);
    keys = load_pickle(j, &from);
    sort_names(j);
    for (i = 0; keys->kind == LIST && i < keys->count; i++) {
        const name_entry key = key_of(j, keys->u.items[i], NULL);
        name_entry *found = find_name(j, key.text, key.bytes);
        storage *first = found ? (storage *)found->thing : NULL;
        if (!first || first->data.offset != UINT64_MAX)
            fail(j, "storage %.*s is not used, or twice there", (int)key.bytes, key.text);
        place_storage(j, &from, first);
        while (found > j->names && compare_names(found - 1, &key) == 0) found--;
        for (; found < j->names + j->name_count && compare_names(found, &key) == 0;
             found++) { /* every mention of the storage */
            storage *s = (storage *)found->thing;
            s->data = first->data;
            if (s->size != first->size || (s->start + s->count) * s->size != s->data.bytes)
                fail(j, "a storage has a wrong size");
        }
    }
    return root;
}

/* ---- tar --------------------------------------------------------------------------------------------------------- */

static part find_in_tar(job *j, const char *text) {
    part headers = j->whole;
    unsigned char header[512];
    while (headers.bytes - headers.at >= sizeof header) {
        part found = j->whole;
        uint64_t bytes = 0;
        size_t i;
        read_part(j, &headers, headers.at, header, sizeof header);
        for (i = 124; i < 135 && header[i] >= '0' && header[i] <= '7'; i++) bytes = bytes * 8 + header[i] - '0';
        found.offset = headers.at + sizeof header;
        found.bytes = bytes;
        if (strncmp((const char *)header, text, 100) == 0) return found;
        headers.at += sizeof header + (bytes + 511) / 512 * 512;
        if (headers.at > headers.bytes) break;
    }
    fail(j, "the tar archive has no member %s", text);
}

static value *const *load_tuple(job *j, part *from, uint32_t count) {
    const value *v = load_pickle(j, from);
    if (v->kind != TUPLE || v->count != count) fail(j, "expected a pickle of a tuple of %u", (unsigned)count);
    return v->u.items;
}

static value *read_tar(job *j) {
    part from = find_in_tar(j, "storages");
    value *v, *const *a;
    name_entry key;
    uint64_t n;
    uint32_t d;
    for (n = unsigned_of(j, load_pickle(j, &from)); n > 0; n--) {
        a = load_tuple(j, &from, 3); /* key, device, type */
        v = new_value(j, STORAGE);
        v->u.storage = new_storage(j, a[2], 0);
        place_storage(j, &from, v->u.storage);
        v->u.storage->count = v->u.storage->data.bytes / v->u.storage->size;
        key = key_of(j, a[0], v);
        add_name(j, key.text, key.bytes, v);
    }
    sort_names(j);
    if (load_pickle(j, &from)->count) fail(j, "storages that are views of others are not supported");
    from = find_in_tar(j, "tensors");
    for (n = unsigned_of(j, load_pickle(j, &from)); n > 0; n--) {
        a = load_tuple(j, &from, 3); /* key, key of the storage, type; then rank, shape, strides, offset */
        v = find_object(j, a[1], STORAGE);
        v = new_tensor(j, v->u.storage, v->u.storage->dtype, (uint32_t)read_number(j, &from, 8));
        for (d = 0; d < 2 * v->u.tensor->rank; d++) v->u.tensor->shape[d] = read_number(j, &from, 8); /* and strides */
        place_tensor(j, v->u.tensor, read_number(j, &from, 8));
        key = key_of(j, a[0], v);
        add_name(j, key.text, key.bytes, v);
    }
    sort_names(j);
    from = find_in_tar(j, "pickle");
    return load_pickle(j, &from);
}

value *read_archive(job *j) {
    unsigned char begin[262] = {0};
    read_part(j, &j->whole, 0, begin, j->whole.bytes < sizeof begin ? (size_t)j->whole.bytes : sizeof begin);
    j->is_swapped = 0;
    j->names = NULL;
    j->name_count = j->sorted_count = 0;
    j->container = memcmp(begin, "PK\3\4", 4) == 0 ? ZIP : memcmp(begin + 257, "ustar", 5) == 0 ? TAR : LEGACY;
    if (j->container == ZIP) return read_zip(j);
    if (j->container == TAR) return read_tar(j);
    if (begin[0] != 0x80 && begin[0] != 'L') fail(j, "not a file of torch.save: neither ZIP archive, pickle nor tar");
    return read_legacy(j);
}
