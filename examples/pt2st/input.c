/* input.c: memory within a limit, bytes of files. */
#include "pt2st.h"
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

void fail(job *j, const char *format, ...) {
    const unsigned long long at = j->opcode_at;
    const size_t n = j->pickle ? (size_t)snprintf(j->message, 40, "pickle, byte %llu: ", at) : 0;
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(j->message + n, sizeof j->message - n, format, arguments);
    va_end(arguments);
    longjmp(*j->trap, 1);
}

#ifndef CHUNK
#define CHUNK 65536 /* fuzzing sets 1, so that each object is a block of its own */
#endif

struct chunk {
    struct chunk *next;
    size_t bytes, used;
};

void *take_memory(void *user, size_t bytes) {
    job *j = (job *)user;
    void *memory = bytes <= j->memory_limit - j->memory_used ? malloc(bytes + !bytes) : NULL;
    if (memory) j->memory_used += bytes;
    return memory;
}

void give_memory(void *user, void *memory, size_t bytes) {
    if (memory) ((job *)user)->memory_used -= bytes;
    free(memory);
}

void *allocate(job *j, size_t bytes) {
    struct chunk **arena = j->is_reading ? &j->pickle_arena : &j->arena, *c = *arena;
    const size_t head = (sizeof *c + 15) & ~(size_t)15, rounded = (bytes + 15) & ~(size_t)15;
    if (!c || rounded > c->bytes - c->used) {
        const size_t room = head + (rounded > CHUNK ? rounded : CHUNK);
        c = bytes < SIZE_MAX / 2 ? (struct chunk *)take_memory(j, room) : NULL;
        if (!c) fail(j, "more memory is needed than the %u MiB of --memory", (unsigned)(j->memory_limit >> 20));
        c->bytes = room, c->used = head, c->next = *arena;
        *arena = c;
    }
    c->used += rounded;
    return memset((unsigned char *)c + c->used - rounded, 0, rounded);
}

void free_arena(job *j, struct chunk **arena) {
    while (*arena) {
        struct chunk *c = *arena;
        *arena = c->next;
        give_memory(j, c, c->bytes);
    }
}

void free_job(job *j) {
    free_arena(j, &j->pickle_arena);
    free_arena(j, &j->arena);
    if (j->input) fclose(j->input);
    if (j->spool) fclose(j->spool);
}

void *grow(job *j, void *array, size_t count, size_t element) {
    void *larger;
    if (array && (count < 4 || (count & (count - 1)) != 0)) return array; /* it has 4, 8, 16 ... places */
    if (count > SIZE_MAX / 4 / element) fail(j, "too many values for this machine");
    larger = allocate(j, (count < 4 ? 4 : 2 * count) * element);
    return count ? memcpy(larger, array, count * element) : larger;
}

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
    if (offset > from->bytes || bytes > from->bytes - offset || at < offset || at > end || bytes > end - at) {
        fail(j, "the data ends early");
    }
    if ((j->positioned != file || j->position != at) && fseeko(file, (off_t)at, SEEK_SET) != 0) {
        fail(j, "cannot read: %s", strerror(errno));
    }
    j->positioned = NULL; /* in case reading fails */
    if (fread(dst, 1, bytes, file) != bytes)
        fail(j, "cannot read: %s", ferror(file) ? strerror(errno) : "file shortened");
    j->positioned = file;
    j->position = at + bytes;
}

uint64_t read_number(job *j, part *from, size_t bytes) {
    unsigned char c[8];
    uint64_t number = 0;
    read_part(j, from, from->at, c, bytes);
    from->at += bytes;
    while (bytes-- > 0) number = number << 8 | c[bytes];
    return number;
}
