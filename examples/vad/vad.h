/* vad.h: Silero's voice activity detector for 16 kHz: the probability of speech in each chunk of 32 ms.
 *
 * The detector needs no operating system, no malloc and no libc but memcpy, so that it runs on a microcontroller too.
 * It uses the weights where they lie in the model's file, at any alignment: they must stay there as long as the
 * detector is used.
 *
 *     static vad detector;                                  zeroed; 10 KB
 *     for each tensor: vad_set_tensor(&detector, i, tensor)
 *     for each chunk: probability = vad_next(&detector, samples)
 */
#ifndef VAD_H
#define VAD_H

#include "safetensors.h"
#include <stddef.h>
#include <stdint.h>

enum {
    VAD_RATE = 16000, /* samples a second */
    VAD_CHUNK = 512,  /* samples for which there is one probability */
    VAD_CONTEXT = 64, /* samples of the chunk before, which the network sees again */
    VAD_FRAMES = 4,   /* spectra of one chunk */
    VAD_WINDOW = 256, /* samples of one spectrum */
    VAD_FREQUENCIES = 129,
    VAD_STATE = 128, /* width of the recurrent layer */
    VAD_TENSORS = 15
};

typedef struct vad_tensor { /* what a tensor of the model must be; all are F32 */
    const char *name;
    uint32_t rank;
    uint64_t shape[3];
} vad_tensor;

extern const vad_tensor vad_tensors[VAD_TENSORS];

typedef struct vad {
    const unsigned char *weights[VAD_TENSORS]; /* bytes of a model; NULL: not set */
    int copies;                                /* some weights are not aligned, or have the other byte order */
    float context[VAD_CONTEXT];                /* the end of the chunk before */
    float hidden[VAD_STATE], cell[VAD_STATE];  /* of the recurrent layer */
    float columns[3 * VAD_FREQUENCIES * VAD_FRAMES], values[VAD_FREQUENCIES * VAD_FRAMES]; /* between two layers */
} vad;

/* Makes `tensor`, whose data must be in memory, the weights with this index in vad_tensors. Returns NULL, or what is
 * wrong with the tensor. */
const char *vad_set_tensor(vad *v, size_t index, const st_tensor *tensor);

/* Forgets the audio but not the weights: the next chunk is the first of a recording. */
void vad_reset(vad *v);

/* Returns the probability of speech in the next VAD_CHUNK samples. All tensors are set. The result can be NaN if
 * a weight is not finite. */
float vad_next(vad *v, const int16_t *samples);

#endif
