/* zip.h: finds the members of a ZIP archive, so that a program can read them by range. ZIP64 is understood. Nothing in
 * the directory is trusted: members must lie one after the other, in its order, before it. */
#ifndef EXAMPLES_ZIP_H
#define EXAMPLES_ZIP_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

typedef struct zip_member {
    char name[65536]; /* also ends with a NUL */
    size_t name_bytes;
    unsigned flags, method;
    uint64_t header, packed, bytes; /* header: where the header of the member begins */
} zip_member;

typedef struct zip_reader {
    FILE *file;
    const char *fault;                       /* NULL, or what is wrong; nothing is read after a fault */
    uint64_t directory, at, end, left, last; /* position, end, members left, header of the last one */
} zip_reader;

/* Finds the directory of a file of file_bytes bytes. Returns 1, or 0 and sets z->fault. */
int zip_begin(zip_reader *z, FILE *file, uint64_t file_bytes);
/* Reads the next entry of the directory. Returns 1, or 0 at its end or after a fault. Moves the file's position. */
int zip_next(zip_reader *z, zip_member *member);
/* Finds the bytes of a member that has to end before `limit`: the header of the next member, or the directory. Returns
 * NULL and sets *offset, or returns what is wrong. */
const char *zip_locate(FILE *file, uint64_t header, uint64_t packed, uint64_t limit, uint64_t *offset);
/* Appends what the deflated bytes [offset, offset + packed) inflate to, to a file. Returns NULL, or what is wrong. */
const char *zip_inflate(FILE *file, uint64_t offset, uint64_t packed, uint64_t bytes, FILE *to);

#endif
