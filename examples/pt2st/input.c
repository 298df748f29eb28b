/* input.c: memory within a limit, bytes of files, lists of names. */
#include "pt2st.h"
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

void fail(job *j, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(j->message, sizeof j->message, format, arguments);
    va_end(arguments);
    longjmp(*j->trap, 1);
}

/* ---- memory ------------------------------------------------------------------------------------------------------ */

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

void *allocate(job *j, struct chunk **arena, size_t bytes) {
    struct chunk *c = *arena;
    const size_t head = (sizeof *c + 15) & ~(size_t)15, rounded = (bytes + 15) & ~(size_t)15;
    if (!c || rounded > c->bytes - c->used) {
        const size_t room = head + (rounded > 65536 ? rounded : 65536);
        c = bytes < SIZE_MAX / 2 ? (struct chunk *)take_memory(j, room) : NULL;
        if (!c) {
            fail(j, "this needs more than %u MiB of memory beside the data of tensors; --memory sets another limit",
                 (unsigned)(j->memory_limit >> 20));
        }
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

void *grow(job *j, struct chunk **arena, void *array, size_t count, size_t element) {
    void *larger;
    if (array && (count < 4 || (count & (count - 1)) != 0)) return array; /* it has 4, 8, 16 ... places */
    if (count > SIZE_MAX / 4 / element) fail(j, "too many values for this machine");
    larger = allocate(j, arena, (count < 4 ? 4 : 2 * count) * element);
    if (count) memcpy(larger, array, count * element);
    return larger;
}

/* ---- bytes ------------------------------------------------------------------------------------------------------- */

void open_input(job *j, uint32_t file) {
    struct stat status;
    if (j->input && j->file == file) return;
    if (j->input) fclose(j->input);
    j->input = j->positioned = NULL;
    if (stat(j->paths[file], &status) != 0) fail(j, "cannot open: %s", strerror(errno));
    if (!S_ISREG(status.st_mode)) fail(j, "not a regular file");
    j->input = fopen(j->paths[file], "rb");
    if (!j->input) fail(j, "cannot open: %s", strerror(errno));
    j->file = file;
    j->file_bytes = (uint64_t)status.st_size;
    if (j->path_bytes[file] != j->file_bytes) fail(j, "the file was changed meanwhile");
}

void read_part(job *j, const part *from, uint64_t offset, void *dst, size_t bytes) {
    FILE *file = from->is_inflated ? j->spool : j->input;
    const uint64_t at = from->offset + offset;
    if (offset > from->bytes || bytes > from->bytes - offset) fail(j, "the data ends early");
    if (!from->is_inflated && (at < offset || at > j->file_bytes || bytes > j->file_bytes - at)) {
        fail(j, "the file is truncated: it has %llu bytes", (unsigned long long)j->file_bytes);
    }
    if ((j->positioned != file || j->position != at) && fseeko(file, (off_t)at, SEEK_SET) != 0) {
        fail(j, "cannot read: %s", strerror(errno));
    }
    j->positioned = NULL; /* in case reading fails */
    if (bytes && fread(dst, 1, bytes, file) != bytes) {
        fail(j, "cannot read: %s", ferror(file) ? strerror(errno) : "the file was shortened meanwhile");
    }
    j->positioned = file;
    j->position = at + bytes;
}

uint64_t little(const unsigned char *bytes, size_t count) {
    uint64_t number = 0;
    while (count-- > 0) number = number << 8 | bytes[count];
    return number;
}

/* ---- names ------------------------------------------------------------------------------------------------------- */

void add_name(job *j, name_list *list, const char *text, size_t bytes, void *thing) {
    struct name_entry *e;
    list->entries = (struct name_entry *)grow(j, &j->pickle, list->entries, list->count, sizeof *e);
    e = &list->entries[list->count++];
    e->text = text, e->bytes = bytes, e->thing = thing;
}

static int compare_names(const void *a, const void *b) {
    const struct name_entry *x = (const struct name_entry *)a, *y = (const struct name_entry *)b;
    if (x->bytes != y->bytes) return x->bytes < y->bytes ? -1 : 1;
    return memcmp(x->text, y->text, x->bytes);
}

void sort_names(name_list *list) {
    if (list->count) qsort(list->entries, list->count, sizeof *list->entries, compare_names);
}

struct name_entry *find_name(const name_list *list, const char *text, size_t bytes) {
    struct name_entry wanted = {text, bytes, NULL};
    size_t low = 0, high = list->count;
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        if (compare_names(&list->entries[middle], &wanted) < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low < list->count && compare_names(&list->entries[low], &wanted) == 0 ? &list->entries[low] : NULL;
}
