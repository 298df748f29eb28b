/* brain.h: the network that steers the ship, and a slot that reloads it when its file changes. */
#ifndef BRAIN_H
#define BRAIN_H

#include "safetensors.h"
#include <sys/stat.h>
#include <time.h>

enum { INPUTS = 4, OUTPUTS = 2, HIDDEN = 16 }; /* at most HIDDEN units; the file decides */

/* outputs = tanh(w2 tanh(w1 inputs + b1) + b2) */
typedef struct brain {
    unsigned hidden;
    float w1[HIDDEN * INPUTS], b1[HIDDEN], w2[OUTPUTS * HIDDEN], b2[OUTPUTS];
} brain;

/* Reads a brain of any numeric dtype. Nothing of the file is used after the call, so a program that overwrites the file
 * in place does no harm to a frame. */
st_status brain_open(brain *b, const char *path, st_error *error);
/* Outputs are numbers from -1 to 1, whatever the weights. */
void brain_think(const brain *b, const float inputs[INPUTS], float outputs[OUTPUTS]);
/* Writes a brain that behaves: "seek", "shy" or "orbit". Returns 0 if there is no such behaviour. */
int brain_make(const char *path, const char *behaviour, st_status *status, st_error *error);

/* Two brains: the one that thinks, and the one that is loaded beside it. A frame uses `current` from start to end; they
 * are swapped between frames, and only if the new file is a brain. */
typedef struct hot_brain {
    const char *path;
    brain slots[2];
    const brain *current;
    unsigned loads;     /* successful ones */
    st_error error;     /* of the last attempt; status ST_OK after a success */
    struct stat loaded; /* the file as it was when it was last opened, successfully or not */
} hot_brain;

/* Opens the first brain, without which there is no game. */
st_status hot_brain_begin(hot_brain *hot, const char *path, st_error *error);
/* Called between frames. Returns 1 if the brain was replaced or a new error occurred. Costs one stat where nothing
 * changed. */
int hot_brain_poll(hot_brain *hot);

#endif
