/* vad_check: parts of examples/vad by themselves.
 *
 *     vad_check segments <FILE            runs segments.c on the cases in FILE, one a line:
 *                                         THRESHOLD LOW MIN_SPEECH MIN_SILENCE PAD TOTAL PROBABILITY...
 *     vad_check alignment MODEL WAV       compares vad.c bit for bit with itself: weights at any alignment, after a reset,
 *                                         and two recordings in turn on two detectors
 */
#include "examples/vad/segments.h"
#include "examples/vad/vad.h"
#include "examples/vad/wav.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CHUNKS = 20, MOST_BYTES = 1 << 21 };

static void print_segment(void *user, uint64_t start, uint64_t end) {
    (void)user;
    printf("%llu-%llu ", (unsigned long long)start, (unsigned long long)end);
}

static int run_segments(void) {
    double threshold, low, probability;
    unsigned long min_speech, min_silence, pad, total, i;
    while (scanf("%lf %lf %lu %lu %lu %lu", &threshold, &low, &min_speech, &min_silence, &pad, &total) == 6) {
        segments s;
        segments_begin(&s);
        s.threshold = threshold;
        s.low_threshold = low;
        s.min_speech = min_speech;
        s.min_silence = min_silence;
        s.pad = pad;
        s.found = print_segment;
        for (i = 0; i < total; i += VAD_CHUNK) {
            if (scanf("%lf", &probability) != 1) return 2;
            segments_add(&s, probability);
        }
        segments_end(&s, total);
        putchar('\n');
    }
    return 0;
}

static int load(vad *v, const unsigned char *model, size_t n) {
    st_scan scan;
    size_t i, found = 0;
    memset(v, 0, sizeof *v);
    if (st_scan_begin(&scan, model, n, n, NULL, NULL) != ST_OK) return 0;
    while (st_scan_next(&scan)) {
        for (i = 0; i < VAD_TENSORS; i++) {
            if (st_scan_is(&scan, vad_tensors[i].name) && !vad_set_tensor(v, i, &scan.tensor)) found++;
        }
    }
    return found == VAD_TENSORS;
}

static size_t read_file(void *user, void *to, size_t bytes) {
    return fread(to, 1, bytes, (FILE *)user);
}

static int run_alignment(const char *model_path, const char *wav_path) {
    static unsigned char model[MOST_BYTES + 8];
    static int16_t samples[CHUNKS * VAD_CHUNK];
    static vad v, other;
    float wanted[CHUNKS], got;
    FILE *file = fopen(model_path, "rb"), *recording = fopen(wav_path, "rb");
    wav w = {read_file, NULL, 0, 0, 0};
    const size_t n = file ? fread(model, 1, MOST_BYTES, file) : 0;
    size_t shift, i;
    int failed = 0, turn;
    w.user = recording;
    if (!n || !recording || wav_begin(&w) || wav_next(&w, samples, CHUNKS * VAD_CHUNK) != CHUNKS * VAD_CHUNK) return 2;
    for (shift = 0; shift < 8; shift++) {
        if (shift) memmove(model + shift, model + shift - 1, n);
        if (!load(&v, model + shift, n)) return 3;
        for (turn = 0; turn < 2; turn++) {
            for (i = 0; i < CHUNKS; i++) {
                got = vad_next(&v, samples + i * VAD_CHUNK);
                if (shift == 0 && turn == 0) wanted[i] = got;
                if (memcmp(&got, &wanted[i], sizeof got) != 0) failed++;
            }
            vad_reset(&v);
        }
    }
    if (!load(&other, model + 7, n)) return 3;
    for (i = 0; i < CHUNKS; i++) { /* the other detector hears the recording backwards */
        got = vad_next(&v, samples + i * VAD_CHUNK);
        (void)vad_next(&other, samples + (CHUNKS - 1 - i) * VAD_CHUNK);
        if (memcmp(&got, &wanted[i], sizeof got) != 0) failed++;
    }
    printf("%d differences\n", failed);
    fclose(file);
    fclose(recording);
    return failed != 0;
}

int main(int argc, char **argv) {
    if (argc == 2 && strcmp(argv[1], "segments") == 0) return run_segments();
    return argc == 4 ? run_alignment(argv[2], argv[3]) : 2;
}
