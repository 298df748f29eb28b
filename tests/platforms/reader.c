/* reader: opens the model MODEL and reads each tensor in all ways; OTHER is a model with the same tensors, which is not mapped.
 *     reader MODEL OTHER
 * Prints "mapped" or "not mapped" and exits with 0 if all bytes are those of OTHER; prints the error and exits with 3 after
 * an error; exits with 1 if bytes differ. */
#define ST_IMPLEMENTATION
#include "../../safetensors.h"

#include <stdio.h>
#include <stdlib.h>

static unsigned char *wanted, *got;
static size_t room;

/* compares the bytes in got, which it clears for the next way */
static void compare(const st_tensor *t, const void *bytes, const char *way) {
    if (memcmp(bytes, wanted, (size_t)t->bytes) != 0) {
        printf("%s: %s has other bytes\n", t->name, way);
        exit(1);
    }
    memset(got, 0xee, room);
}

static void need(st_status status, const st_error *error) {
    if (status == ST_OK) return;
    printf("%s\n", error->message);
    exit(3);
}

/* reads a tensor of the model and what it is in the other one */
static void read_tensor(const st_model *m, const st_tensor *t, const st_model *other) {
    const size_t n = (size_t)t->bytes;
    st_load_item item;
    st_error error;
    memset(&item, 0, sizeof item);
    need(st_read(other, st_find(other, t->name), 0, wanted, n, &error), &error);
    memset(got, 0xee, room);
    need(st_advise(m, t, ST_ADVISE_WILL_NEED, &error), &error);
    need(st_read(m, t, 0, got, n, &error), &error);
    compare(t, got, "st_read");
    need(st_read_as(m, t, NULL, t->dtype, got, n, &error), &error);
    compare(t, got, "st_read_as");
    need(st_advise(m, t, ST_ADVISE_DONE, &error), &error);
    item.tensor = t;
    item.as = ST_AS_STORED;
    item.dst = got;
    item.dst_bytes = n;
    need(st_load(m, &item, 1, NULL, &error), &error);
    compare(t, got, "st_load");
    if (t->data) compare(t, t->data, "the mapping");
}

int main(int argc, char **argv) {
    st_model *m, *other;
    st_open_options options;
    st_error error;
    size_t i;
    memset(&options, 0, sizeof options);
    options.flags = ST_OPEN_NO_MAP;
    if (argc != 3) return 2;
    need(st_open(&m, argv[1], NULL, &error), &error);
    need(st_open(&other, argv[2], &options, &error), &error);
    if (m->count == 0 || m->count != other->count) return 1;
    for (i = 0; i < m->count; i++) room = m->tensors[i].bytes > room ? (size_t)m->tensors[i].bytes : room;
    wanted = (unsigned char *)malloc(room);
    got = (unsigned char *)malloc(room);
    if (!wanted || !got) return 2;
    for (i = 0; i < m->count; i++) read_tensor(m, &m->tensors[i], other);
    puts(m->tensors[0].data ? "mapped" : "not mapped");
    free(wanted);
    free(got);
    st_close(m);
    st_close(other);
    return 0;
}
