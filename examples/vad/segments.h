/* segments.h: from probabilities to stretches of speech, by the rules of Silero's get_speech_timestamps. */
#ifndef SEGMENTS_H
#define SEGMENTS_H

#include <stdint.h>

typedef struct segments {
    /* options, times in samples; segments_begin sets the usual ones */
    double threshold;                                        /* speech begins with a probability of at least this */
    double low_threshold;                                    /* and goes on until one is below this */
    uint64_t min_speech;                                     /* only longer segments count */
    uint64_t min_silence;                                    /* shorter silence does not end a segment */
    uint64_t pad;                                            /* added before and after each segment */
    void (*found)(void *user, uint64_t start, uint64_t end); /* called for each segment, in order */
    void *user;
    struct {
        uint64_t position;           /* of the next chunk */
        uint64_t start, quiet_since; /* quiet_since 0: not quiet; no speech can end there */
        int speaking;
        uint64_t last_start, last_end; /* the segment before, whose end depends on the next start */
        int has_last;
    } state; /* private */
} segments;

void segments_begin(segments *s);
void segments_add(segments *s, double probability);
/* `total`: number of samples in the recording. Nothing may be added afterwards. */
void segments_end(segments *s, uint64_t total);

#endif
