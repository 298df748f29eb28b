/* scenario.h: an old file, and the calls that replace or edit it, for the fault tests in this process and from
 * outside. */
#ifndef SCENARIO_H
#define SCENARIO_H
#include "../written.h"

enum scenario {
    DO_SAVE,
    DO_SAVE_NO_SYNC,
    DO_STREAM,
    DO_STREAM_TO,
    EDIT_FITS, /* through a new file, like the next one */
    EDIT_GROWS,
    EDIT_IN_PLACE,
    EDIT_IN_PLACE_NO_SYNC,
    OVERWRITE, /* bytes of a tensor */
    DO_DIRECT,
    SCENARIOS
};

static const char *const scenario_names[SCENARIOS] = {"save",      "save-no-sync", "stream",   "stream-to",
                                                      "edit-fits", "edit-grows",   "in-place", "in-place-no-sync",
                                                      "overwrite", "direct"};

enum { SCENARIO_A = 1200, SCENARIO_B = 1801, SCENARIO_DATA = SCENARIO_A + SCENARIO_B };

#define SCENARIO_ENTRIES "\"a\":" E("F32", "[300]", "[0,1200]") ",\"b\":" E("U8", "[1801]", "[1200,3001]")
#define SCENARIO_OLD "{\"__metadata__\":{\"was\":\"old\"}," SCENARIO_ENTRIES "}"
#define SCENARIO_NEW "{\"__metadata__\":{\"is\":\"new\"}," SCENARIO_ENTRIES "}"
#define SCENARIO_LONG "{\"__metadata__\":{\"is\":\"" X100("new ") "\"}," SCENARIO_ENTRIES "}"
enum { SCENARIO_SLACK = 40, SCENARIO_OVERWRITTEN = SCENARIO_A + 100 /* in the data */ };

/* every byte of the new data differs from the old */
static inline void scenario_data(unsigned char *data, int renewed) {
    size_t i;
    for (i = 0; i < SCENARIO_DATA; i++) data[i] = (unsigned char)((i * 5 & 127) + (renewed ? 128 : 0));
}

static inline unsigned char *scenario_old(size_t *n) { /* the caller frees the result, here and below */
    unsigned char data[SCENARIO_DATA];
    scenario_data(data, 0);
    return golden_file(SCENARIO_OLD, sizeof SCENARIO_OLD - 1, 8, SCENARIO_SLACK, data, sizeof data, n);
}

/* returns the file expected after a success */
static inline unsigned char *scenario_new(int which, size_t *n) {
    const size_t old_length = (sizeof SCENARIO_OLD - 1 + SCENARIO_SLACK + 7) / 8 * 8;
    unsigned char data[SCENARIO_DATA];
    scenario_data(data, which < EDIT_FITS || which == DO_DIRECT);
    if (which == OVERWRITE) {
        unsigned char renewed[SCENARIO_DATA];
        scenario_data(renewed, 1);
        memcpy(data + SCENARIO_OVERWRITTEN, renewed + SCENARIO_OVERWRITTEN, SCENARIO_B / 2);
        return golden_file(SCENARIO_OLD, sizeof SCENARIO_OLD - 1, 8, SCENARIO_SLACK, data, sizeof data, n);
    }
    if (which < EDIT_FITS || which == DO_DIRECT)
        return golden_file(SCENARIO_NEW, sizeof SCENARIO_NEW - 1, 8, 0, data, sizeof data, n);
    if (which == EDIT_GROWS) {
        return golden_file(SCENARIO_LONG, sizeof SCENARIO_LONG - 1, 8, old_length - (sizeof SCENARIO_OLD - 1), data,
                           sizeof data, n);
    }
    return golden_file(SCENARIO_NEW, sizeof SCENARIO_NEW - 1, 8, old_length - (sizeof SCENARIO_NEW - 1), data,
                       sizeof data, n);
}

static inline st_status scenario_stream(int which, const char *path, const saving *s, const unsigned char *data,
                                        const st_save_options *options, st_error *error) {
    st_writer *writer;
    st_status status = st_writer_open(&writer, path, options, error);
    if (status == ST_OK) status = stream_declare(writer, s, error);
    if (status == ST_OK) {
        status = push(writer, s, which == DO_STREAM ? PUSH_ODD : PUSH_TO, data, SCENARIO_DATA, error);
    }
    if (status == ST_OK) status = st_writer_finish(writer, error);
    st_writer_close(writer);
    return status;
}

static inline st_status scenario_run(int which, const char *path, const st_allocator *allocator, st_error *error) {
    static const uint64_t shapes[2] = {SCENARIO_A / 4, SCENARIO_B};
    unsigned char data[SCENARIO_DATA];
    st_tensor tensors[2];
    st_pair pair = PAIR("is", "new");
    const saving s = {"", tensors, 2, &pair, 1, 0, 0, 0};
    st_save_options options;
    memset(tensors, 0, sizeof tensors);
    memset(&options, 0, sizeof options);
    memset(error, 0xee, sizeof *error);
    options.allocator = allocator;
    scenario_data(data, 1);
    tensors[0].name = "b";
    tensors[0].dtype = ST_DTYPE_U8;
    tensors[0].shape = &shapes[1];
    tensors[0].data = data + SCENARIO_A;
    tensors[1].name = "a";
    tensors[1].dtype = ST_DTYPE_F32;
    tensors[1].shape = &shapes[0];
    tensors[1].data = data;
    tensors[0].rank = tensors[1].rank = 1;
    if (which == DO_SAVE_NO_SYNC || which == EDIT_IN_PLACE_NO_SYNC) options.flags |= ST_SAVE_NO_SYNC;
    if (which == EDIT_IN_PLACE || which == EDIT_IN_PLACE_NO_SYNC) options.flags |= ST_SAVE_IN_PLACE;
    if (which == EDIT_GROWS) pair.value = X100("new ");
    if (which == DO_DIRECT) options.flags |= ST_SAVE_DIRECT;
    if (which == OVERWRITE) {
        return st_overwrite(path, "b", SCENARIO_OVERWRITTEN - SCENARIO_A, data + SCENARIO_OVERWRITTEN, SCENARIO_B / 2,
                            &options, error);
    }
    if (which == DO_SAVE || which == DO_SAVE_NO_SYNC || which == DO_DIRECT)
        return st_save(path, CONTENTS(tensors, 2, &pair, 1), &options, error);
    if (which == DO_STREAM || which == DO_STREAM_TO) return scenario_stream(which, path, &s, data, &options, error);
    return st_edit_metadata(path, &pair, 1, &options, error);
}
#endif
