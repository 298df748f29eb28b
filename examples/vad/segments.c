/* segments.c: finds stretches of speech. Two thresholds keep a probability that wavers around one of them from
 * cutting a sentence into pieces. Segments are reported one segment late: where two are close, they share the pause
 * between them. */
#include "segments.h"
#include "vad.h"
#include <string.h>

void segments_begin(segments *s) {
    memset(s, 0, sizeof *s);
    s->threshold = 0.5;
    s->low_threshold = 0.35;
    s->min_speech = 250 * VAD_RATE / 1000;
    s->min_silence = 100 * VAD_RATE / 1000;
    s->pad = 30 * VAD_RATE / 1000;
}

/* Pads a segment, and completes the one before it. */
static void keep(segments *s, uint64_t start, uint64_t end) {
    if (s->state.has_last) {
        const uint64_t pause = start - s->state.last_end, share = pause < 2 * s->pad ? pause / 2 : s->pad;
        s->found(s->user, s->state.last_start, s->state.last_end + share);
        start -= share;
    } else {
        start -= start < s->pad ? start : s->pad;
    }
    s->state.last_start = start;
    s->state.last_end = end;
    s->state.has_last = 1;
}

static void stop_speaking(segments *s, uint64_t end) {
    if (end - s->state.start > s->min_speech) keep(s, s->state.start, end);
    s->state.speaking = 0;
    s->state.quiet_since = 0;
}

void segments_add(segments *s, double probability) {
    const uint64_t position = s->state.position;
    s->state.position += VAD_CHUNK;
    if (probability >= s->threshold) {
        s->state.quiet_since = 0;
        if (!s->state.speaking) {
            s->state.start = position;
            s->state.speaking = 1;
            return;
        }
    }
    if (probability < s->low_threshold && s->state.speaking) {
        if (s->state.quiet_since == 0) s->state.quiet_since = position;
        if (position - s->state.quiet_since >= s->min_silence) stop_speaking(s, s->state.quiet_since);
    }
}

void segments_end(segments *s, uint64_t total) {
    if (s->state.speaking) stop_speaking(s, total);
    if (!s->state.has_last) return;
    s->found(s->user, s->state.last_start, total - s->state.last_end < s->pad ? total : s->state.last_end + s->pad);
}
