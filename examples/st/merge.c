/* merge.c: merges a model of several files into one file. */
#include "st.h"
#include <string.h>

int command_merge(int argc, char **argv) {
    transfer t;
    memset(&t, 0, sizeof t);
    t.write = transfer_to_file;
    return transfer_run(&t, "merge", NULL, 0, argc, argv);
}
