/* main.c: runs a harness over files with any compiler, without libFuzzer. A failed check aborts.
 * usage: fuzz_NAME FILE... */
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max_size);

/* libFuzzer provides its own; replay never calls the harness's mutator */
size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max_size) {
    (void)data, (void)max_size;
    return size;
}

static int run_file(const char *path) {
    FILE *file = fopen(path, "rb");
    uint8_t *data = NULL;
    size_t size = 0, room = 0;
    int good;
    if (!file) return 0;
    for (;;) {
        size_t got;
        if (size == room) {
            uint8_t *more = (uint8_t *)realloc(data, room = room * 2 + 4096);
            if (!more) break;
            data = more;
        }
        got = fread(data + size, 1, room - size, file);
        if (got == 0) break;
        size += got;
    }
    good = feof(file) && !ferror(file);
    fclose(file);
    if (good) {
        uint8_t *exact = (uint8_t *)malloc(size ? size : 1); /* exact, so that sanitizers detect overreads */
        size_t i;
        for (i = 0; exact && i < size; i++) exact[i] = data[i];
        good = exact && LLVMFuzzerTestOneInput(exact, size) == 0;
        free(exact);
    }
    free(data);
    return good;
}

static const char *base_name(const char *path) {
    const char *name = path;
    for (; *path; path++)
        if (*path == '/' || *path == '\\') name = path + 1;
    return name;
}

int main(int argc, char **argv) {
    const char *name = argc > 0 ? base_name(argv[0]) : "fuzz";
    int i, passed = 0, failed = 0;
    for (i = 1; i < argc; i++) {
        if (run_file(argv[i])) {
            passed++;
        } else {
            failed++;
            fprintf(stderr, "%s: cannot be read\n", argv[i]);
        }
    }
    printf("%s: %d passed, %d failed\n", name, passed, failed);
    return failed != 0 || argc < 2;
}
