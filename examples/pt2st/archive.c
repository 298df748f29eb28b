/* archive.c: the three containers of torch.save: a ZIP archive (since 1.6, and TorchScript), pickles followed by the
 * storages (0.1.10 to 1.5), and a tar archive before that. */
#include "pt2st.h"
#include "../common/zip/zip.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

typedef struct member {
    zip_member zip;
    part data; /* what it holds, once it is known */
} member;

/* ---- names ------------------------------------------------------------------------------------------------------- */

static void add_name(job *j, name_entry key, void *thing) {
    key.thing = thing;
    j->names = (name_entry *)grow(j, j->names, j->name_count, sizeof key);
    j->names[j->name_count++] = key;
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

/* Returns one of the entries with this name, or NULL. Names that were added since they were sorted do not count. */
static name_entry *find_name(const job *j, name_entry key) {
    if (j->sorted_count == 0) return NULL;
    return (name_entry *)bsearch(&key, j->names, j->sorted_count, sizeof key, compare_names);
}

/* Returns the name that a folder and a value make, which is a text or a number: the key of a storage or a tensor. */
static name_entry key_of(job *j, const char *folder, const value *v) {
    const size_t n = strlen(folder), capacity = n + 24 + (v->kind == TEXT ? v->count : 0);
    char *text = (char *)allocate(j, capacity);
    name_entry key = {text, n, NULL};
    memcpy(text, folder, n);
    if (v->kind == TEXT) {
        memcpy(text + n, v->u.text, v->count);
        key.bytes += v->count;
    } else {
        key.bytes += (size_t)snprintf(text + n, 24, "%llu", (unsigned long long)unsigned_of(j, v));
    }
    return key;
}

/* ---- ZIP --------------------------------------------------------------------------------------------------------- */

/* PyTorch puts all members into one folder, which holds data.pkl. The list gets the names inside that folder. */
static void read_directory(job *j) {
    zip_reader *zip = (zip_reader *)allocate(j, sizeof *zip);
    zip_member entry;
    name_entry folder = {NULL, 0, NULL};
    size_t k;
    (void)zip_begin(zip, j->input);
    while (zip_next(zip, &entry)) {
        const size_t n = zip->name_bytes;
        member *m = (member *)allocate(j, sizeof *m);
        const name_entry name = {(char *)memcpy(allocate(j, n + 1), zip->name, n), n, NULL};
        m->zip = entry;
        m->data.offset = entry.offset, m->data.bytes = entry.bytes;
        add_name(j, name, m);
        if (n < 9 || memcmp(name.text + n - 9, "/data.pkl", 9) != 0 || memchr(name.text, '/', n - 9)) continue;
        if (folder.text) fail(j, "the archive has two members data.pkl");
        folder.text = name.text, folder.bytes = n - 8;
    }
    j->positioned = NULL; /* the position of the file has changed */
    if (zip->fault) fail(j, "%s", zip->fault);
    if (!folder.text) {
        fail(j, "a ZIP archive without a member data.pkl: not saved by torch.save, or before PyTorch 1.4");
    }
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

static int append_to_spool(void *user, const void *bytes, size_t n) {
    job *j = (job *)user;
    j->inflated_bytes += n;
    return fwrite(bytes, 1, n, j->spool) != n;
}

/* Returns the bytes of a member, or NULL if there is none. */
static part *find_member(job *j, name_entry name) {
    const name_entry *entry = find_name(j, name);
    member *m = entry ? (member *)entry->thing : NULL;
    const char *fault = m ? zip_check(&m->zip) : NULL;
    if (m && !fault && m->zip.method && !m->data.is_inflated) { /* no random access: inflate it once */
        if (m->zip.bytes > j->most_bytes - j->inflated_bytes) fail(j, "inflates to too many bytes; see --large");
        if (!j->spool && !(j->spool = tmpfile())) fail(j, "cannot make a temporary file: %s", strerror(errno));
        j->positioned = NULL;
        m->data.offset = j->inflated_bytes, m->data.is_inflated = 1;
        if (fseeko(j->spool, (off_t)m->data.offset, SEEK_SET) != 0) fault = strerror(errno);
        if (!fault) fault = zip_read(j->input, &m->zip, append_to_spool, j);
        if (!fault && fflush(j->spool) != 0) fault = "cannot write the temporary file";
    }
    if (fault) fail(j, "%.*s: %s", (int)name.bytes, name.text, fault);
    return m ? &m->data : NULL;
}

static value *read_zip(job *j) {
    const name_entry byteorder = {"byteorder", 9, NULL}, root = {"data.pkl", 8, NULL};
    part *order;
    read_directory(j);
    order = find_member(j, byteorder);
    j->is_swapped = order && read_number(j, order, 3) == 0x676962; /* big */
    return load_pickle(j, find_member(j, root));
}

/* ---- objects outside of the pickle ------------------------------------------------------------------------------- */

static value *find_object(job *j, const value *id, int wanted) {
    const name_entry key = key_of(j, "", id), *found = find_name(j, key);
    if (!found || ((value *)found->thing)->kind != wanted) fail(j, "object %.*s is missing", (int)key.bytes, key.text);
    return (value *)found->thing;
}

value *persistent_value(void *user, const value *id) {
    job *j = (job *)user;
    value *const *a = id->u.items;
    name_entry key;
    storage *s;
    if (j->container == TAR) return find_object(j, id, TENSOR);
    if (id->kind == TUPLE && id->count > 1 && is_text(a[0], "module")) return a[1]; /* a class with its source */
    if (id->kind != TUPLE || id->count < 5 || !is_text(a[0], "storage")) fail(j, "an unknown persistent object");
    s = new_storage(j, a[1], unsigned_of(j, a[4]));
    key = key_of(j, j->container == ZIP ? "data/" : "", a[2]);
    if (j->container == ZIP) {
        const part *data = find_member(j, key);
        if (!data) fail(j, "the archive has no member %.*s", (int)key.bytes, key.text);
        s->data = *data;
        if (data->bytes / s->size != s->count) fail(j, "%.*s has a wrong size", (int)key.bytes, key.text);
        return new_thing(j, STORAGE, s);
    }
    add_name(j, key, s);
    if (id->count > 5 && a[5]->kind == TUPLE) { /* a view: key, start, count */
        s->start = a[5]->count == 3 ? unsigned_of(j, a[5]->u.items[1]) : UINT64_MAX;
        if (s->start > s->count) fail(j, "a view leaves its storage");
        s->count -= s->start;
    }
    return new_thing(j, STORAGE, s);
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
    if (!is_text(root, magic) && !is_text(root, "119547037146038801333356L")) {
        fail(j, "a pickle, but not of torch.save");
    }
    (void)load_pickle(j, &from); /* version */
    (void)load_pickle(j, &from); /* sizes of C types; numbers are little-endian on every machine */
    j->name_count = 0;
    root = load_pickle(j, &from);
    keys = load_pickle(j, &from);
    sort_names(j);
    for (i = 0; keys->kind == LIST && i < keys->count; i++) {
        const name_entry key = key_of(j, "", keys->u.items[i]), *found = find_name(j, key);
        storage *first = found ? (storage *)found->thing : NULL, *s;
        if (!first || first->data.offset != UINT64_MAX) {
            fail(j, "storage %.*s is not used, or twice there", (int)key.bytes, key.text);
        }
        place_storage(j, &from, first);
        while (found > j->names && compare_names(found - 1, &key) == 0) found--;
        for (; found < j->names + j->name_count && compare_names(found, &key) == 0; found++) {
            s = (storage *)found->thing; /* each mention of the storage has a storage here */
            s->data = first->data;
            if (s->size != first->size || (s->start + s->count) * s->size != s->data.bytes) {
                fail(j, "a storage has a wrong size");
            }
        }
    }
    return root;
}

/* ---- tar --------------------------------------------------------------------------------------------------------- */

static part find_in_tar(job *j, const char *text) {
    part headers = j->whole;
    char header[512];
    while (headers.bytes - headers.at >= sizeof header) {
        part found = j->whole;
        read_part(j, &headers, headers.at, header, sizeof header);
        header[135] = 0;
        found.offset = headers.at + sizeof header;
        found.bytes = strtoull(header + 124, NULL, 8);
        if (strncmp(header, text, 100) == 0) return found;
        if (found.bytes > headers.bytes - found.offset) break;
        headers.at = found.offset + (found.bytes + 511) / 512 * 512;
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
    value *const *a;
    uint64_t n;
    uint32_t d;
    for (n = unsigned_of(j, load_pickle(j, &from)); n > 0; n--) {
        storage *s;
        a = load_tuple(j, &from, 3); /* key, device, type */
        s = new_storage(j, a[2], 0);
        place_storage(j, &from, s);
        s->count = s->data.bytes / s->size;
        add_name(j, key_of(j, "", a[0]), new_thing(j, STORAGE, s));
    }
    sort_names(j);
    if (load_pickle(j, &from)->count) fail(j, "storages that are views of others are not supported");
    from = find_in_tar(j, "tensors");
    for (n = unsigned_of(j, load_pickle(j, &from)); n > 0; n--) {
        const storage *s;
        tensor *t;
        a = load_tuple(j, &from, 3); /* key, key of the storage, type; then rank, shape, strides, offset */
        s = (storage *)find_object(j, a[1], STORAGE)->u.thing;
        t = new_tensor(j, s, s->dtype, read_number(j, &from, 8));
        for (d = 0; d < 2 * t->rank; d++) t->shape[d] = read_number(j, &from, 8); /* and strides */
        place_tensor(j, t, read_number(j, &from, 8));
        add_name(j, key_of(j, "", a[0]), new_thing(j, TENSOR, t));
    }
    sort_names(j);
    from = find_in_tar(j, "pickle");
    return load_pickle(j, &from);
}

value *read_archive(job *j) {
    char begin[262] = {0};
    read_part(j, &j->whole, 0, begin, j->whole.bytes < sizeof begin ? (size_t)j->whole.bytes : sizeof begin);
    j->is_swapped = 0;
    j->names = NULL;
    j->name_count = j->sorted_count = 0;
    j->container = memcmp(begin, "PK\3\4", 4) == 0 ? ZIP : memcmp(begin + 257, "ustar", 5) == 0 ? TAR : LEGACY;
    if (j->container == ZIP) return read_zip(j);
    if (j->container == TAR) return read_tar(j);
    if (begin[0] != '\x80' && begin[0] != 'L') fail(j, "not a file of torch.save: neither ZIP archive, pickle nor tar");
    return read_legacy(j);
}
