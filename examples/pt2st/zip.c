/* zip.c: the directory of a ZIP archive. Nothing in it is trusted: members must lie one after the other before the
 * directory, and the header of a member must agree with the directory. */
#include "pt2st.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

typedef struct member {
    const char *name;
    size_t name_bytes;
    unsigned flags, method;
    uint64_t offset, packed, bytes, limit; /* limit: where the next member or the directory begins */
    part inflated;
} member;

static void read_bytes(job *j, uint64_t offset, void *dst, size_t bytes) {
    part whole = {0, 0, 0};
    whole.bytes = j->file_bytes;
    read_part(j, &whole, offset, dst, bytes);
}

/* Takes the sizes that do not fit 32 bits from the ZIP64 field. */
static void read_wide_sizes(job *j, member *m, const unsigned char *extra, size_t bytes) {
    uint64_t *const fields[3] = {&m->bytes, &m->packed, &m->offset};
    while (bytes >= 4) {
        const size_t n = 4 + (size_t)little(extra + 2, 2);
        size_t at = 4, i;
        if (n > bytes) return;
        for (i = 0; i < 3 && little(extra, 2) == 1; i++) {
            if (*fields[i] != UINT32_MAX) continue;
            if (at + 8 > n) fail(j, "the ZIP directory is damaged");
            *fields[i] = little(extra + at, 8);
            at += 8;
        }
        extra += n, bytes -= n;
    }
}

static member *read_entry(job *j, stream *s) {
    member *m = (member *)allocate(j, &j->pickle, sizeof *m);
    unsigned char fixed[46], more[65536];
    char *name;
    size_t extra;
    read_stream(j, s, fixed, sizeof fixed);
    if (memcmp(fixed, "PK\1\2", 4) != 0) fail(j, "the ZIP directory is damaged");
    m->flags = (unsigned)little(fixed + 8, 2);
    m->method = (unsigned)little(fixed + 10, 2);
    m->packed = little(fixed + 20, 4);
    m->bytes = little(fixed + 24, 4);
    m->offset = little(fixed + 42, 4);
    m->name_bytes = (size_t)little(fixed + 28, 2);
    name = (char *)allocate(j, &j->pickle, m->name_bytes + 1);
    read_stream(j, s, name, m->name_bytes);
    m->name = name;
    extra = (size_t)little(fixed + 30, 2);
    read_stream(j, s, more, extra);
    read_wide_sizes(j, m, more, extra);
    read_stream(j, s, more, (size_t)little(fixed + 32, 2)); /* a comment */
    return m;
}

/* Finds the directory by the record at the end of the file, which a comment may follow. */
static part find_directory(job *j, uint64_t *count) {
    unsigned char end[22], wide[56];
    const uint64_t last = j->file_bytes < 22 ? 0 : j->file_bytes - 22, first = last < 65535 ? 0 : last - 65535;
    uint64_t at = last;
    part directory = {0, 0, 0};
    for (;; at--) {
        read_bytes(j, at, end, sizeof end);
        if (memcmp(end, "PK\5\6", 4) == 0 && at + little(end + 20, 2) == last) break;
        if (at == first) fail(j, "the ZIP archive is truncated: it has no directory");
    }
    *count = little(end + 10, 2);
    directory.bytes = little(end + 12, 4);
    directory.offset = little(end + 16, 4);
    if (at >= 20) read_bytes(j, at - 20, wide, 20);
    if (at >= 20 && memcmp(wide, "PK\6\7", 4) == 0) {
        at = little(wide + 8, 8);
        read_bytes(j, at, wide, sizeof wide);
        if (memcmp(wide, "PK\6\6", 4) != 0) fail(j, "the ZIP directory is damaged");
        *count = little(wide + 32, 8);
        directory.bytes = little(wide + 40, 8);
        directory.offset = little(wide + 48, 8);
    }
    if (directory.offset > at || directory.bytes > at - directory.offset) fail(j, "the ZIP directory is damaged");
    return directory;
}

static int by_offset(const void *a, const void *b) {
    const member *x = (const member *)((const struct name_entry *)a)->thing;
    const member *y = (const member *)((const struct name_entry *)b)->thing;
    return x->offset < y->offset ? -1 : x->offset > y->offset;
}

/* PyTorch puts all members into one folder, which holds data.pkl. The list gets the names inside that folder. */
void read_directory(job *j) {
    name_list *list = &j->members;
    const char *folder = NULL;
    size_t folder_bytes = 0, k;
    uint64_t count, i;
    stream s = {{0, 0, 0}, 0, "the ZIP directory"};
    s.part = find_directory(j, &count);
    for (i = 0; i < count; i++) {
        member *m = read_entry(j, &s);
        const char *slash = (const char *)memchr(m->name, '/', m->name_bytes);
        add_name(j, list, m->name, m->name_bytes, m);
        if (!slash || m->name + m->name_bytes != slash + 9 || memcmp(slash, "/data.pkl", 9) != 0) continue;
        if (folder) fail(j, "the archive has two members data.pkl");
        folder = m->name;
        folder_bytes = (size_t)(slash - m->name) + 1;
    }
    if (!folder) fail(j, "a ZIP archive without a member data.pkl: not saved by torch.save, or before PyTorch 1.3");
    qsort(list->entries, list->count, sizeof *list->entries, by_offset);
    for (k = 0; k < list->count; k++) {
        struct name_entry *e = &list->entries[k];
        const int is_inside = e->bytes > folder_bytes && memcmp(e->text, folder, folder_bytes) == 0;
        ((member *)e->thing)->limit = k + 1 < list->count ? ((member *)e[1].thing)->offset : s.part.offset;
        e->text += is_inside ? folder_bytes : 0;
        e->bytes -= is_inside ? folder_bytes : e->bytes; /* no name: not found */
    }
    sort_names(list);
    for (k = 1; k < list->count; k++) {
        const struct name_entry *e = &list->entries[k];
        if (e->bytes && e->bytes == e[-1].bytes && memcmp(e->text, e[-1].text, e->bytes) == 0) {
            fail(j, "the archive has two members %.*s", (int)e->bytes, e->text);
        }
    }
}

/* Appends the inflated bytes of a member to the temporary file, since a deflated member has no random access. */
static void inflate_member(job *j, member *m, const part *packed) {
    unsigned char in[16384], out[16384];
    volatile uint64_t done = 0;
    volatile int result = Z_OK;
    z_stream z;
    jmp_buf trap, *outer = j->trap;
    memset(&z, 0, sizeof z);
    if (m->bytes > j->most_bytes - j->inflated_bytes) fail(j, "the file inflates to too many bytes; --large allows that");
    if (!j->spool && !(j->spool = tmpfile())) fail(j, "cannot make a temporary file: %s", strerror(errno));
    m->inflated.offset = j->inflated_bytes;
    m->inflated.bytes = m->bytes;
    m->inflated.is_inflated = 1;
    if (fseeko(j->spool, (off_t)j->inflated_bytes, SEEK_SET) != 0 || inflateInit2(&z, -15) != Z_OK) fail(j, "out of memory");
    if (setjmp(trap)) { /* frees the memory of zlib, then goes on failing */
        inflateEnd(&z);
        j->trap = outer;
        longjmp(*outer, 1);
    }
    j->trap = &trap;
    j->inflated_bytes += m->bytes;
    while (result == Z_OK && z.total_out <= m->bytes) {
        if (z.avail_in == 0) {
            const uint64_t left = packed->bytes - done;
            z.avail_in = left < sizeof in ? (uInt)left : (uInt)sizeof in;
            z.next_in = in;
            read_part(j, packed, done, in, z.avail_in);
            done += z.avail_in;
        }
        z.next_out = out;
        z.avail_out = sizeof out;
        result = inflate(&z, Z_NO_FLUSH);
        if (fwrite(out, 1, sizeof out - z.avail_out, j->spool) != sizeof out - z.avail_out) {
            fail(j, "cannot write the temporary file: %s", strerror(errno));
        }
    }
    if (result != Z_STREAM_END || z.total_out != m->bytes) fail(j, "a compressed member is damaged");
    inflateEnd(&z);
    j->trap = outer;
    j->positioned = NULL;
    if (fflush(j->spool) != 0) fail(j, "cannot write the temporary file: %s", strerror(errno));
}

int find_member(job *j, const char *folder, const char *name, size_t bytes, part *found) {
    char path[300];
    const size_t n = strlen(folder);
    struct name_entry *entry;
    unsigned char header[30];
    member *m;
    if (bytes > sizeof path - n) return 0;
    memcpy(path, folder, n);
    memcpy(path + n, name, bytes);
    entry = find_name(&j->members, path, n + bytes);
    if (!entry) return 0;
    m = (member *)entry->thing;
    read_bytes(j, m->offset, header, sizeof header);
    found->offset = m->offset + 30 + little(header + 26, 2) + little(header + 28, 2);
    found->bytes = m->packed;
    found->is_inflated = 0;
    if (memcmp(header, "PK\3\4", 4) != 0 || m->flags & 1 || (m->method != 0 && m->method != 8)) {
        fail(j, "%.*s: the member is damaged, encrypted, or compressed by another method than deflate", (int)bytes, name);
    }
    if (found->offset > m->limit || m->packed > m->limit - found->offset) {
        fail(j, "%.*s: the member overlaps what follows it", (int)bytes, name);
    }
    if (m->method == 8 ? m->bytes / 1032 > m->packed : m->bytes != m->packed) {
        fail(j, "%.*s: the size of the member is false", (int)bytes, name);
    }
    if (m->method == 8 && !m->inflated.is_inflated) inflate_member(j, m, found);
    if (m->method == 8) *found = m->inflated;
    return 1;
}
