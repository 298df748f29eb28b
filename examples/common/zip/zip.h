/* zip.h: finds and reads the members of a ZIP archive. ZIP64 is understood. Nothing in the directory is trusted: members
 * must lie one after the other, in its order, before it. Needs zlib. */
#ifndef EXAMPLES_ZIP_H
#define EXAMPLES_ZIP_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

typedef struct zip_member {
    unsigned flags, method;         /* method: 0 if the bytes are stored as they are, 8 if they are deflated */
    uint32_t checksum;              /* CRC-32; some programs do not set it for stored members */
    uint64_t offset, packed, bytes; /* position and size in the file; size */
} zip_member;

typedef struct zip_reader {
    FILE *file;
    const char *fault;                                 /* NULL, or what is wrong; nothing is read after a fault */
    uint64_t directory, at, end, left, last, last_end; /* left: members; last, last_end: where the last one lies */
    size_t name_bytes;                                 /* of the member that was read last */
    char name[65536];                                  /* also ends with a NUL */
} zip_reader;

typedef int (*zip_write)(void *user, const void *bytes, size_t n); /* returns 0 to go on */

/* Finds the directory of a file. Returns 1, or 0 and sets z->fault. */
int zip_begin(zip_reader *z, FILE *file);
/* Finds the next member. Returns 1, or 0 at the end or after a fault. Moves the file's position, as all these do. */
int zip_next(zip_reader *z, zip_member *m);
/* Returns why a member cannot be read, or NULL. So `bytes` is at most 1,032 times what is in the file. */
const char *zip_check(const zip_member *m);
/* Hands the bytes of a member to a function, and never more than m->bytes. Returns NULL, or what is wrong. */
const char *zip_read(FILE *file, const zip_member *m, zip_write write, void *user);

#endif
