/* remote: writes a model to something that is not a file, and reads parts of it back, as from a web server.
 *
 *     cc -I. examples/remote.c -o remote
 *
 * A sink receives the bytes of the new file in order: a socket, a compressor, a hash. st_open_io reads a model through
 * a callback that returns bytes at an offset: HTTP range requests, an encrypted file, a partition. Opening takes two
 * reads, and each st_read fetches only what it needs. Here an array plays the server and counts the requests. */
#define ST_IMPLEMENTATION
#include "safetensors.h"
#include <stdio.h>
#include <string.h>

typedef struct server {
    unsigned char bytes[4096];
    size_t count;
    unsigned requests;
} server;

/* An st_sink: appends all n bytes. A code other than 0 ends the saving; st_error.sys reports it. */
static int upload(void *user, const void *bytes, size_t n) {
    server *s = (server *)user;
    if (n > sizeof s->bytes - s->count) return 1;
    memcpy(s->bytes + s->count, bytes, n);
    s->count += n;
    return 0;
}

/* Reads exactly n bytes at an offset. If several threads use the model, they call this at the same time. */
static int download(void *user, uint64_t offset, void *dst, size_t n) {
    server *s = (server *)user;
    if (offset > s->count || n > s->count - offset) return ST_IO_ENDED;
    memcpy(dst, s->bytes + offset, n);
    s->requests++;
    return 0;
}

static st_status save(server *s, st_error *error) {
    static const float weights[6] = {1, 2, 3, 4, 5, 6}, bias[3] = {0.5f, 1, 1.5f};
    static const uint64_t matrix[2] = {2, 3}, vector[1] = {3};
    st_tensor tensors[2];
    st_contents contents;
    st_save_options options;
    st_sink sink;
    tensors[0] = st_tensor_of("weight", ST_DTYPE_F32, 2, matrix, weights);
    tensors[1] = st_tensor_of("bias", ST_DTYPE_F32, 1, vector, bias);
    memset(&contents, 0, sizeof contents);
    contents.tensors = tensors;
    contents.count = 2;
    sink.user = s;
    sink.write = upload;
    memset(&options, 0, sizeof options);
    options.sink = &sink;
    return st_save(NULL, &contents, &options, error); /* no path, as there is a sink */
}

int main(void) {
    static server s;
    st_io io;
    st_model *model;
    st_error error;
    const st_tensor *bias;
    float values[3];
    size_t i;
    if (save(&s, &error) != ST_OK) {
        fprintf(stderr, "%s\n", error.message);
        return 1;
    }
    memset(&io, 0, sizeof io);
    io.user = &s;
    io.read_at = download;
    io.bytes = s.count; /* the length of the file, for example from HTTP's Content-Length */
    if (st_open_io(&model, &io, NULL, &error) != ST_OK) {
        fprintf(stderr, "%s\n", error.message);
        return 1;
    }
    printf("%u tensors after %u requests\n", (unsigned)model->count, s.requests);
    bias = st_find(model, "bias");
    if (!bias || bias->bytes != sizeof values || st_read(model, bias, 0, values, sizeof values, &error) != ST_OK)
        return 1;
    for (i = 0; i < 3; i++) printf("%g ", (double)values[i]);
    printf("after %u\n", s.requests);
    st_close(model);
    return 0;
}
