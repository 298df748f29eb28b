/* input.c: bytes of the input, by position. */
#include "pt2st.h"
#include <errno.h>
#include <string.h>
#include <sys/stat.h>

void open_input(job *j, uint32_t file) {
    struct stat status;
    if (j->input && j->file == file) return;
    if (j->input) fclose(j->input);
    j->input = j->positioned = NULL;
    j->file = file;
    if (stat(j->paths[file], &status) != 0) fail(j, "cannot open: %s", strerror(errno));
    if (!S_ISREG(status.st_mode)) fail(j, "not a regular file");
    if ((uint64_t)status.st_size != j->path_bytes[file]) fail(j, "the file was changed meanwhile");
    j->input = fopen(j->paths[file], "rb");
    if (!j->input) fail(j, "cannot open: %s", strerror(errno));
    j->whole.bytes = j->path_bytes[file];
}

void read_part(job *j, const part *from, uint64_t offset, void *dst, size_t bytes) {
    FILE *file = from->is_inflated ? j->spool : j->input;
    const uint64_t at = from->offset + offset, end = from->is_inflated ? j->inflated_bytes : j->whole.bytes;
    const int is_there = j->positioned == file && j->position == at;
    if (offset > from->bytes || bytes > from->bytes - offset || at < offset || at > end || bytes > end - at) {
        fail(j, "the data ends early");
    }
    j->positioned = NULL; /* in case reading fails */
    if ((!is_there && fseeko(file, (off_t)at, SEEK_SET) != 0) || fread(dst, 1, bytes, file) != bytes) {
        fail(j, "cannot read: %s", feof(file) ? "file shortened" : strerror(errno));
    }
    j->positioned = file;
    j->position = at + bytes;
}

uint64_t read_number(job *j, part *from, size_t bytes) {
    char number[8];
    read_part(j, from, from->at, number, bytes);
    from->at += bytes;
    return little_number(number, bytes, 0);
}
