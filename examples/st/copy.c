/* copy.c: a model anew, in as many files as it has. */
#include "st.h"
#include <string.h>

static st_status write_copy(transfer *t, st_error *error) {
    st_status status;
    if (t->model->shard_count == 1) return transfer_to_file(t, error);
    status = transfer_as_split(t, error);
    if (status == ST_ERR_NOT_FOUND) { /* most likely OUT is a file */
        begin_complaint("copy");
        put_text(stderr, t->in, strlen(t->in));
        fputs(" has several files, so OUT is a directory; st merge makes one file\n", stderr);
    }
    return status;
}

int command_copy(int argc, char **argv) {
    transfer t;
    memset(&t, 0, sizeof t);
    t.write = write_copy;
    return transfer_run(&t, "copy", NULL, 0, argc, argv);
}
