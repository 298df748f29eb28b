/* copy.c: copies a model to as many files as it has. */
#include "st.h"
#include <string.h>

int command_copy(int argc, char **argv) {
    transfer t;
    memset(&t, 0, sizeof t);
    t.write = transfer_as_split;
    return transfer_run(&t, "copy", NULL, 0, argc, argv);
}
