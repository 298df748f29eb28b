/* zip.c: finds the members of a ZIP archive, so that a program can read them by range. */
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
#define off_t __int64
#else
#include <sys/types.h>
#endif

static const char damaged[] = "the ZIP archive is damaged or truncated";

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
int zip_begin(zip_reader *z, FILE *file, uint64_t file_bytes) {
    unsigned char end[22] = {0}, wide[56];
    const uint64_t last = file_bytes < 22 ? 0 : file_bytes - 22;
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
static void take_wide_sizes(zip_reader *z, zip_member *m, const unsigned char *extra, size_t bytes) {
    uint64_t *const fields[3] = {&m->bytes, &m->packed, &m->header};
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
    unsigned char fixed[46], extra[65536];
    if (z->fault || z->left == 0 || !take(z, fixed, sizeof fixed)) return 0;
    if (memcmp(fixed, "PK\1\2", 4) != 0) z->fault = damaged;
    m->flags = (unsigned)little(fixed + 8, 2);
    m->method = (unsigned)little(fixed + 10, 2);
    m->packed = little(fixed + 20, 4);
    m->bytes = little(fixed + 24, 4);
    m->name_bytes = (size_t)little(fixed + 28, 2);
    m->header = little(fixed + 42, 4);
    if (z->fault || !take(z, m->name, m->name_bytes) || !take(z, extra, (size_t)little(fixed + 30, 2))) return 0;
    m->name[m->name_bytes] = 0;
    take_wide_sizes(z, m, extra, (size_t)little(fixed + 30, 2));
    z->at += little(fixed + 32, 2); /* a comment */
    if (z->at > z->end || m->header < z->last) z->fault = damaged;
    z->last = m->header;
    z->left--;
    return !z->fault;
}

const char *zip_locate(FILE *file, uint64_t header, uint64_t packed, uint64_t limit, uint64_t *offset) {
    unsigned char fixed[30];
    if (!read_at(file, header, fixed, sizeof fixed) || memcmp(fixed, "PK\3\4", 4) != 0) return damaged;
    *offset = header + 30 + little(fixed + 26, 2) + little(fixed + 28, 2);
    return *offset > limit || packed > limit - *offset ? "a member of the ZIP archive overlaps what follows it" : NULL;
}

const char *zip_inflate(FILE *file, uint64_t offset, uint64_t packed, uint64_t bytes, FILE *to) {
    unsigned char in[16384], out[16384];
    int result = Z_OK, is_written = 1;
    uint64_t left = bytes;
    z_stream z;
    memset(&z, 0, sizeof z);
    if (offset > INT64_MAX || fseeko(file, (off_t)offset, SEEK_SET) != 0) return damaged;
    if (inflateInit2(&z, -15) != Z_OK) return "out of memory";
    while (result == Z_OK && is_written) {
        size_t n;
        if (z.avail_in == 0) {
            z.avail_in = (uInt)fread(in, 1, packed < sizeof in ? (size_t)packed : sizeof in, file);
            z.next_in = in;
            packed -= z.avail_in;
        }
        z.next_out = out;
        z.avail_out = sizeof out;
        result = inflate(&z, Z_NO_FLUSH);
        n = sizeof out - z.avail_out;
        if (n > left) { /* more than the directory says */
            result = Z_DATA_ERROR;
        } else {
            is_written = fwrite(out, 1, n, to) == n;
            left -= n;
        }
    }
    inflateEnd(&z);
    if (!is_written || fflush(to) != 0) return "cannot write the temporary file";
    return result == Z_STREAM_END && left == 0 ? NULL : damaged;
}
