/* wav.h: reads 16-bit mono WAV files of 16 kHz, front to back, so that pipes work too. It needs no libc but memcmp. */
#ifndef WAV_H
#define WAV_H

#include <stddef.h>
#include <stdint.h>

typedef struct wav {
    size_t (*read)(void *user, void *to, size_t bytes); /* returns fewer bytes only at the end */
    void *user;
    uint64_t samples; /* in the file as its header says; UINT64_MAX: not known, the file ends with them */
    uint64_t left;    /* not yet read */
    int cut;          /* the file ended before its last sample */
} wav;

/* Reads up to the first sample. `read` and `user` are set. Returns NULL, or what is wrong with the file. */
const char *wav_begin(wav *w);
/* Returns how many samples it has read: fewer than `count` only at the end. */
size_t wav_next(wav *w, int16_t *samples, size_t count);

#endif
