/* firmware: the detector on a Cortex-M4 or M7, without an operating system and without malloc. The model is a
 * safetensors file in flash: st_scan validates its header and finds the tensors, and the weights are used where they
 * lie.
 *
 *     make build/examples/vad-firmware.elf VAD_MODEL=silero_vad_16k.safetensors VAD_WAV=speech_16k.wav
 *     qemu-system-arm -M mps2-an386 -nographic -semihosting -icount shift=0 -kernel build/examples/vad-firmware.elf
 *
 * Prints the probability of speech in every chunk, then what the detector needs. */
#define ST_FREESTANDING
#define ST_NO_ERROR_TEXT
#define ST_NO_WRITER
#define ST_NO_CONVERT
#define ST_IMPLEMENTATION
#include "safetensors.h"
#include "../vad.h"
#include "../wav.h"
#include "board.h"
#include <string.h>

extern const unsigned char model[], model_end[], recording[], recording_end[]; /* files.S */

static vad detector;

static void print_number(int stream, uint32_t value, int digits) {
    char text[11];
    int i = 10;
    text[10] = '\0';
    do {
        text[--i] = (char)('0' + value % 10);
        value /= 10;
    } while (--digits > 0 || value > 0);
    board_print(stream, text + i);
}

static void report(const char *label, uint32_t value) {
    board_print(BOARD_REPORT, label);
    print_number(BOARD_REPORT, value, 1);
    board_print(BOARD_REPORT, "\n");
}

static int complain(const char *subject, const char *reason) {
    const char *const texts[4] = {subject, ": ", reason, "\n"};
    int i;
    for (i = 0; i < 4; i++) board_print(BOARD_REPORT, texts[i]);
    return 1;
}

static int load(void) {
    const size_t bytes = (size_t)(model_end - model);
    st_scan scan;
    const st_status status = st_scan_begin(&scan, model, bytes, bytes, NULL, NULL);
    size_t i;
    if (status != ST_OK) return complain("model", st_status_name(status));
    while (st_scan_next(&scan)) {
        for (i = 0; i < VAD_TENSORS; i++) {
            const char *fault =
                st_scan_is(&scan, vad_tensors[i].name) ? vad_set_tensor(&detector, i, &scan.tensor) : NULL;
            if (fault) return complain(vad_tensors[i].name, fault);
        }
    }
    for (i = 0; i < VAD_TENSORS; i++) {
        if (!detector.weights[i]) return complain(vad_tensors[i].name, "missing");
    }
    return 0;
}

/* Reads the recording as if it were a file. */
static size_t read_flash(void *user, void *to, size_t bytes) {
    const unsigned char **from = (const unsigned char **)user;
    const size_t left = (size_t)(recording_end - *from);
    if (bytes > left) bytes = left;
    memcpy(to, *from, bytes);
    *from += bytes;
    return bytes;
}

int main(void) {
    const unsigned char *from = recording;
    wav w = {read_flash, &from, 0, 0, 0};
    int16_t samples[VAD_CHUNK];
    uint32_t chunks = 0, scanning;
    uint64_t all = 0;
    size_t count;
    const char *fault = wav_begin(&w);
    if (fault) return complain("recording", fault);
    board_timer_start();
    if (load() != 0) return 1;
    scanning = board_timer_ticks();
    for (; (count = wav_next(&w, samples, VAD_CHUNK)) > 0; chunks++) {
        float probability;
        memset(samples + count, 0, (VAD_CHUNK - count) * sizeof *samples);
        board_timer_start();
        probability = vad_next(&detector, samples);
        all += board_timer_ticks();
        if (probability != probability) return complain("model", "the weights give NaN as a probability");
        print_number(BOARD_RESULT, (uint32_t)(probability * 1e7f + 0.5f) / 10000000, 1);
        board_print(BOARD_RESULT, ".");
        print_number(BOARD_RESULT, (uint32_t)(probability * 1e7f + 0.5f) % 10000000, 7);
        board_print(BOARD_RESULT, "\n");
    }
    report("chunks: ", chunks);
    report("instructions to validate the model and find its tensors: ", scanning * BOARD_INSTRUCTIONS_PER_TICK);
    if (chunks) report("instructions a chunk: ", (uint32_t)(all * BOARD_INSTRUCTIONS_PER_TICK / chunks));
    report("bytes of stack: ", (uint32_t)board_stack_used());
    report("weights in place: ", !detector.copies);
    return 0;
}
