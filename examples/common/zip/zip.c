/* zip.c: finds and reads the members of a ZIP archive. */
#if !defined(_FILE_OFFSET_BITS)
#define _FILE_OFFSET_BITS 64
#endif
#if !defined(_WIN32) && !defined(_POSIX_C_SOURCE)
#define _POSIX_C_SOURCE 200809L
#endif
#include "zip.h"
#include <string.h>
#include <zlib.h>
#if defined(_WIN32)
#define fseeko _fseeki64
#define ftello _ftelli64
#define off_t __int64
#else
#include <sys/types.h>
#endif

static const char damaged[] = "the ZIP archive is damaged or truncated";
enum { MAX_RATIO = 1032 }; /* of deflate: 258 bytes take two bits at least */

static uint64_t little(const unsigned char *bytes, size_t count) {
    uint64_t number = 0;
    while (count-- > 0) number = number << 8 | bytes[count];
    return number;
}

static int read_at(FILE *file, uint64_t offset, void *dst, size_t bytes) {
    return offset <= INT64_MAX && fseeko(file, (off_t)offset, SEEK_SET) == 0 && fread(dst, 1, bytes, file) == bytes;
}

/* Reads bytes of the directory. */
static int take(zip_reader *z, void *dst, size_t bytes) {
    if (bytes > z->end - z->at || !read_at(z->file, z->at, dst, bytes)) z->fault = damaged;
    z->at += bytes;
    return !z->fault;
}

/* The record at the end of the file tells where the directory is; a comment may follow the record. */
int zip_begin(zip_reader *z, FILE *file) {
    unsigned char end[22] = {0}, wide[56];
    const int64_t file_bytes = fseeko(file, 0, SEEK_END) == 0 ? (int64_t)ftello(file) : 0;
    const uint64_t last = file_bytes < 22 ? 0 : (uint64_t)file_bytes - 22;
    uint64_t at = last, bytes;
    memset(z, 0, sizeof *z);
    z->file = file;
    while (!read_at(file, at, end, sizeof end) || memcmp(end, "PK\5\6", 4) != 0 || at + little(end + 20, 2) != last) {
        if (at == 0 || last - at == 65535) {
            z->fault = damaged;
            return 0;
        }
        at--;
    }
    z->left = little(end + 10, 2);
    bytes = little(end + 12, 4);
    z->at = little(end + 16, 4);
    if (at >= 20 && read_at(file, at - 20, wide, 20) && memcmp(wide, "PK\6\7", 4) == 0) { /* ZIP64 */
        at = little(wide + 8, 8);
        if (!read_at(file, at, wide, sizeof wide) || memcmp(wide, "PK\6\6", 4) != 0) z->fault = damaged;
        z->left = little(wide + 32, 8);
        bytes = little(wide + 40, 8);
        z->at = little(wide + 48, 8);
    }
    if (z->at > at || bytes > at - z->at) z->fault = damaged;
    z->directory = z->at;
    z->end = z->at + bytes;
    return !z->fault;
}

/* Takes the sizes that do not fit 32 bits from the ZIP64 field. */
static void take_wide_sizes(zip_reader *z, zip_member *m, uint64_t *header, const unsigned char *extra, size_t bytes) {
    uint64_t *const fields[3] = {&m->bytes, &m->packed, header};
    while (bytes >= 4) {
        const size_t n = 4 + (size_t)little(extra + 2, 2);
        size_t at = 4, i;
        if (n > bytes) return;
        for (i = 0; i < 3 && little(extra, 2) == 1; i++) {
            if (*fields[i] != UINT32_MAX) continue;
            if (at + 8 > n) z->fault = damaged;
            if (z->fault) return;
            *fields[i] = little(extra + at, 8);
            at += 8;
        }
        extra += n, bytes -= n;
    }
}

int zip_next(zip_reader *z, zip_member *m) {
    unsigned char fixed[46], own[30], extra[65536];
    uint64_t header;
    if (z->fault || z->left == 0 || !take(z, fixed, sizeof fixed)) return 0;
    if (memcmp(fixed, "PK\1\2", 4) != 0) z->fault = damaged;
    m->flags = (unsigned)little(fixed + 8, 2);
    m->method = (unsigned)little(fixed + 10, 2);
    m->checksum = (uint32_t)little(fixed + 16, 4);
    m->packed = little(fixed + 20, 4);
    m->bytes = little(fixed + 24, 4);
    z->name_bytes = (size_t)little(fixed + 28, 2);
    header = little(fixed + 42, 4);
    if (z->fault || !take(z, z->name, z->name_bytes) || !take(z, extra, (size_t)little(fixed + 30, 2))) return 0;
    z->name[z->name_bytes] = 0;
    take_wide_sizes(z, m, &header, extra, (size_t)little(fixed + 30, 2));
    z->at += little(fixed + 32, 2); /* a comment */
    if (z->at > z->end || header < z->last) z->fault = damaged;
    if (z->fault || !read_at(z->file, header, own, sizeof own) || memcmp(own, "PK\3\4", 4) != 0) {
        z->fault = damaged;
        return 0;
    }
    m->offset = header + 30 + little(own + 26, 2) + little(own + 28, 2);
    if (header < z->last_end || m->offset > z->directory || m->packed > z->directory - m->offset) {
        z->fault = "a member of the ZIP archive overlaps what is next to it";
    }
    z->last = header, z->last_end = m->offset + m->packed;
    z->left--;
    return !z->fault;
}

const char *zip_check(const zip_member *m) {
    if (m->flags & 1 || (m->method != 0 && m->method != 8)) return "encrypted, or compressed otherwise than by deflate";
    if (m->method ? m->bytes / MAX_RATIO > m->packed : m->bytes != m->packed) return "the directory gives a false size";
    return NULL;
}

const char *zip_read(FILE *file, const zip_member *m, zip_write write, void *user) {
    unsigned char in[16384], out[16384];
    uint64_t left = m->bytes, packed = m->packed;
    uLong checksum = 0;
    int result = Z_OK;
    z_stream z;
    if (zip_check(m)) return zip_check(m);
    memset(&z, 0, sizeof z);
    if (m->offset > INT64_MAX || fseeko(file, (off_t)m->offset, SEEK_SET) != 0) return damaged;
    if (inflateInit2(&z, -15) != Z_OK) return "out of memory";
    while (result == Z_OK) {
        const unsigned char *from = out;
        size_t n;
        if (z.avail_in == 0) {
            z.avail_in = (uInt)fread(in, 1, packed < sizeof in ? (size_t)packed : sizeof in, file);
            z.next_in = in;
            packed -= z.avail_in;
        }
        if (m->method) {
            z.next_out = out;
            z.avail_out = sizeof out;
            result = inflate(&z, Z_NO_FLUSH); /* Z_BUF_ERROR if there is no progress */
            n = sizeof out - z.avail_out;
        } else {
            n = z.avail_in, from = in;
            z.avail_in = 0;
            if (n == left) result = Z_STREAM_END;
            if (n == 0 && left) result = Z_BUF_ERROR;
        }
        if (n > left) result = Z_DATA_ERROR; /* more than the directory says */
        if (n > left) break;
        left -= n;
        checksum = crc32(checksum, from, (uInt)n);
        if (n && write(user, from, n) != 0) {
            inflateEnd(&z);
            return "cannot write what was unpacked";
        }
    }
    inflateEnd(&z);
    if (result != Z_STREAM_END || left) return damaged;
    return checksum == m->checksum ? NULL : "the checksum does not match the data";
}
