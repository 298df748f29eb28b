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

static void *find_name(const job *j, const char *name) {
    const size_t i = names_find_first(&j->names, name, strlen(name));
    return i == NO_NAME ? NULL : j->things[i];
}

static void add_name(job *j, const char *name, void *thing) {
    const size_t n = j->names.count;
    j->names.slots = (name_slot *)grow(j, j->names.slots, n, sizeof *j->names.slots);
    j->things = (void **)grow(j, j->things, n, sizeof *j->things);
    j->things[n] = thing;
    names_put(&j->names, name, strlen(name), n);
}

/* Returns the name that a prefix and the key of a storage or a tensor make, which is a text or a number. */
static const char *name_of(job *j, const char *prefix, const value *key) {
    if (key->kind != TEXT) return text_of(j, "%s%llu", prefix, (unsigned long long)unsigned_of(j, key));
    if (strlen(key->u.text) != key->count) fail(j, "a key contains NUL");
    return text_of(j, "%s%s", prefix, key->u.text);
}

/* ---- ZIP --------------------------------------------------------------------------------------------------------- */

/* PyTorch puts all members into one folder, which holds data.pkl. Returns "FOLDER/". */
static const char *read_directory(job *j) {
    zip_reader *zip = (zip_reader *)allocate(j, sizeof *zip);
    const char *folder = NULL;
    zip_member entry;
    (void)zip_begin(zip, j->input);
    while (zip_next(zip, &entry)) {
        const char *name = text_of(j, "%s", zip->name), *slash = strchr(name, '/');
        member *m = (member *)allocate(j, sizeof *m);
        m->zip = entry;
        m->data.offset = entry.offset, m->data.bytes = entry.bytes;
        if (find_name(j, name)) fail(j, "two members %s", name);
        add_name(j, name, m);
        if (!slash || strcmp(slash, "/data.pkl") != 0) continue;
        if (folder) fail(j, "the archive has two members data.pkl");
        folder = text_of(j, "%.*s", (int)(slash - name) + 1, name);
    }
    j->positioned = NULL; /* the position of the file has changed */
    if (zip->fault) fail(j, "%s", zip->fault);
    if (!folder) fail(j, "a ZIP archive without a member data.pkl: not saved by torch.save, or before PyTorch 1.4");
    return folder;
}

static int append_to_spool(void *user, const void *bytes, size_t n) {
    job *j = (job *)user;
    j->inflated_bytes += n;
    return fwrite(bytes, 1, n, j->spool) != n;
}

/* Returns the bytes of a member, or NULL if there is none. */
static part *find_member(job *j, const char *name) {
    member *m = (member *)find_name(j, name);
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
    if (fault) fail(j, "%s: %s", name, fault);
    return m ? &m->data : NULL;
}

static value *read_zip(job *j) {
    const char *folder = read_directory(j);
    part *order = find_member(j, text_of(j, "%sbyteorder", folder));
    j->prefix = text_of(j, "%sdata/", folder);
    j->is_swapped = order && read_number(j, order, 3) == 0x676962; /* big */
    return load_pickle(j, find_member(j, text_of(j, "%sdata.pkl", folder)));
}

/* ---- objects outside of the pickle ------------------------------------------------------------------------------- */

static void *find_object(job *j, const char *prefix, const value *key) { /* in a tar archive */
    const char *name = name_of(j, prefix, key);
    void *found = find_name(j, name);
    if (!found) fail(j, "%s is missing", name);
    return found;
}

value *persistent_value(void *user, const value *id) {
    job *j = (job *)user;
    value *const *a = id->u.items;
    const char *name;
    tensor *s, *first;
    if (j->container == TAR) return new_thing(j, TENSOR, find_object(j, "tensor ", id));
    if (id->kind == TUPLE && id->count > 1 && is_text(a[0], "module")) return a[1]; /* a class with its source */
    if (id->kind != TUPLE || id->count < 5 || !is_text(a[0], "storage")) fail(j, "an unknown persistent object");
    s = new_storage(j, a[1], unsigned_of(j, a[4]));
    name = name_of(j, j->prefix, a[2]);
    if (j->container == ZIP) {
        s->data = find_member(j, name);
        if (!s->data) fail(j, "the archive has no member %s", name);
        if (s->data->bytes / s->size != s->bytes / s->size) fail(j, "%s has a wrong size", name);
        return new_thing(j, STORAGE, s);
    }
    first = (tensor *)find_name(j, name); /* each mention of the storage makes one, of the same bytes */
    if (!first) add_name(j, name, first = s);
    if (s->size != first->size || s->bytes != first->start + first->bytes) fail(j, "%s has two sizes", name);
    s->data = first->data;
    if (id->count > 5 && a[5]->kind == TUPLE) { /* a view: key, start, count */
        const uint64_t start = a[5]->count == 3 ? unsigned_of(j, a[5]->u.items[1]) : UINT64_MAX;
        if (start > s->bytes / s->size) fail(j, "a view leaves its storage");
        s->start = start * s->size, s->bytes -= s->start;
    }
    return new_thing(j, STORAGE, s);
}

/* Takes a storage from the file: the number of elements, then the elements. */
static void place_storage(job *j, part *from, tensor *s) {
    const uint64_t count = read_number(j, from, 8);
    if (count > (from->bytes - from->at) / s->size) fail(j, "the file is truncated: a storage ends after it");
    s->data->offset = from->offset + from->at;
    s->data->bytes = count * s->size;
    from->at += s->data->bytes;
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
    root = load_pickle(j, &from);
    keys = load_pickle(j, &from);
    for (i = 0; keys->kind == LIST && i < keys->count; i++) {
        const char *name = name_of(j, j->prefix, keys->u.items[i]);
        tensor *s = (tensor *)find_name(j, name);
        if (!s || s->data->offset != UINT64_MAX) fail(j, "%s is not used, or twice there", name);
        place_storage(j, &from, s);
        if (s->data->bytes != s->start + s->bytes) fail(j, "%s has a wrong size", name);
    }
    return root;
}

/* ---- tar --------------------------------------------------------------------------------------------------------- */

static part find_in_tar(job *j, const char *text) {
    const uint64_t end = j->whole.bytes;
    char header[512];
    uint64_t at = 0;
    while (at <= end && end - at >= sizeof header) {
        part found = {at + sizeof header, 0, 0, 0};
        read_part(j, &j->whole, at, header, sizeof header);
        header[135] = 0;
        found.bytes = strtoull(header + 124, NULL, 8);
        if (strncmp(header, text, 100) == 0) return found;
        if (found.bytes > end - found.offset) break;
        at = found.offset + (found.bytes + 511) / 512 * 512;
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
        tensor *s;
        a = load_tuple(j, &from, 3); /* key, device, type */
        s = new_storage(j, a[2], 0);
        place_storage(j, &from, s);
        s->bytes = s->data->bytes;
        add_name(j, name_of(j, j->prefix, a[0]), s);
    }
    if (load_pickle(j, &from)->count) fail(j, "storages that are views of others are not supported");
    from = find_in_tar(j, "tensors");
    for (n = unsigned_of(j, load_pickle(j, &from)); n > 0; n--) {
        tensor *s, *t;
        a = load_tuple(j, &from, 3); /* key, key of the storage, type; then rank, shape, strides, offset */
        s = (tensor *)find_object(j, j->prefix, a[1]);
        t = new_tensor(j, s->dtype, read_number(j, &from, 8));
        for (d = 0; d < 2 * t->rank; d++) t->shape[d] = read_number(j, &from, 8); /* and strides */
        place_tensor(j, t, s, read_number(j, &from, 8));
        add_name(j, name_of(j, "tensor ", a[0]), t);
    }
    from = find_in_tar(j, "pickle");
    return load_pickle(j, &from);
}

value *read_archive(job *j) {
    char begin[262] = {0};
    read_part(j, &j->whole, 0, begin, j->whole.bytes < sizeof begin ? (size_t)j->whole.bytes : sizeof begin);
    j->is_swapped = 0;
    j->things = NULL;
    j->prefix = "storage ";
    memset(&j->names, 0, sizeof j->names);
    j->container = memcmp(begin, "PK\3\4", 4) == 0 ? ZIP : memcmp(begin + 257, "ustar", 5) == 0 ? TAR : LEGACY;
    if (j->container == ZIP) return read_zip(j);
    if (j->container == TAR) return read_tar(j);
    if (begin[0] != '\x80' && begin[0] != 'L') fail(j, "not a file of torch.save: neither ZIP archive, pickle nor tar");
    return read_legacy(j);
}
