/* prefetch FILE: drops a file from memory, advises that all of it is needed, and prints how much is there after 1.5
 * seconds: "98 of 100", or "unknown". */
#define _GNU_SOURCE
#define ST_IMPLEMENTATION
#include "safetensors.h"
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

static int percent(const st_model *model) {
    const size_t page = (size_t)sysconf(_SC_PAGESIZE), pages = ((size_t)model->shards[0].file_bytes + page - 1) / page;
    const st_tensor *t = &model->tensors[0];
    unsigned char *resident = (unsigned char *)calloc(pages, 1);
    char *start = (char *)(uintptr_t)t->data - t->offset;
    size_t i, n = 0;
    if (!resident || mincore(start, pages * page, resident) != 0) exit(2);
    for (i = 0; i < pages; i++) n += resident[i] & 1;
    free(resident);
    return (int)(n * 100 / pages);
}

int main(int argc, char **argv) {
    const struct timespec wait = {1, 500000000};
    st_model *model;
    st_error error;
    int fd = argc == 2 ? open(argv[1], O_RDONLY) : -1;
    if (fd < 0) return 2;
    fsync(fd);
    posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
    close(fd);
    if (st_open(&model, argv[1], NULL, &error)) return puts(error.message), 1;
    if (percent(model) > 50) {
        puts("unknown");
    } else {
        if (st_advise(model, NULL, ST_ADVISE_WILL_NEED, &error)) return puts(error.message), 1;
        nanosleep(&wait, NULL);
        printf("%d of 100\n", percent(model));
    }
    st_close(model);
    return 0;
}
