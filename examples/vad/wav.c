/* wav.c: reads WAV files. A file consists of chunks: four letters, the size, that many bytes, and one more if the
 * size is odd. Sizes are not trusted: nothing is allocated, and a chunk ends at the latest where the file does. */
#include "wav.h"
#include <string.h>

enum { TAG_PCM = 1, TAG_EXTENSIBLE = 0xfffe };

static uint32_t number(const unsigned char *bytes, int count) {
    uint32_t value = 0;
    while (count-- > 0) value = value << 8 | bytes[count];
    return value;
}

/* Returns whether all bytes were there. */
static int skip(wav *w, uint64_t bytes) {
    unsigned char block[512];
    while (bytes > 0) {
        const size_t part = bytes < sizeof block ? (size_t)bytes : sizeof block;
        if (w->read(w->user, block, part) < part) return 0;
        bytes -= part;
    }
    return 1;
}

static const char *check_format(const unsigned char *format, uint32_t bytes) {
    /* the rest of the identifier of a format whose first four bytes are the tag */
    static const unsigned char guid[12] = {0, 0, 0x10, 0, 0x80, 0, 0, 0xaa, 0, 0x38, 0x9b, 0x71};
    uint32_t tag = number(format, 2);
    if (tag == TAG_EXTENSIBLE) {
        if (bytes < 40) return "the fmt chunk of an extensible WAV file is too short";
        tag = memcmp(format + 28, guid, sizeof guid) == 0 ? number(format + 24, 4) : 0;
    }
    if (tag != TAG_PCM) return "expected PCM, found compressed, floating-point or other samples";
    if (number(format + 2, 2) != 1) return "expected one channel: convert the file to mono first";
    if (number(format + 4, 4) != 16000) return "expected 16,000 samples a second: resample the file first";
    if (number(format + 14, 2) != 16 || number(format + 12, 2) != 2) return "expected samples of 16 bits";
    return NULL;
}

static const char *read_format(wav *w, uint32_t bytes) {
    unsigned char format[40] = {0};
    const uint32_t known = bytes < sizeof format ? bytes : (uint32_t)sizeof format;
    if (bytes < 16) return "the fmt chunk is too short";
    if (w->read(w->user, format, known) < known || !skip(w, (uint64_t)bytes - known + (bytes & 1))) {
        return "the file ends inside the fmt chunk";
    }
    return check_format(format, bytes);
}

/* Programs that write to a pipe cannot know the size. They leave 0 or a number near 2^31 or 2^32. */
static int is_unknown_size(uint32_t bytes) {
    return bytes == 0 || (bytes >= 0x7fff0000 && bytes <= 0x7fffffff) || bytes >= 0xffff0000;
}

const char *wav_begin(wav *w) {
    unsigned char head[12];
    int has_format = 0;
    w->left = w->samples = 0;
    w->cut = 0;
    if (w->read(w->user, head, 12) < 12 || memcmp(head, "RIFF", 4) != 0 || memcmp(head + 8, "WAVE", 4) != 0) {
        return "not a WAV file";
    }
    while (w->read(w->user, head, 8) == 8) {
        const uint32_t bytes = number(head + 4, 4);
        if (memcmp(head, "fmt ", 4) == 0) {
            const char *fault = read_format(w, bytes);
            if (fault) return fault;
            has_format = 1;
        } else if (memcmp(head, "data", 4) == 0) {
            if (!has_format) return "the fmt chunk is missing, or comes after the samples";
            w->left = w->samples = is_unknown_size(bytes) ? UINT64_MAX : bytes / 2;
            return NULL;
        } else if (!skip(w, (uint64_t)bytes + (bytes & 1))) {
            break;
        }
    }
    return "the file has no data chunk, or ends before it";
}

size_t wav_next(wav *w, int16_t *samples, size_t count) {
    unsigned char bytes[512];
    size_t done = 0;
    while (done < count && w->left > 0) {
        size_t wanted = count - done < sizeof bytes / 2 ? count - done : sizeof bytes / 2, got, i;
        if (wanted > w->left) wanted = (size_t)w->left;
        got = w->read(w->user, bytes, 2 * wanted) / 2; /* half a sample at the end of the file is dropped */
        for (i = 0; i < got; i++) {
            const int32_t value = (int32_t)number(bytes + 2 * i, 2);
            samples[done + i] = (int16_t)(value < 0x8000 ? value : value - 0x10000);
        }
        done += got;
        w->left -= w->samples == UINT64_MAX ? 0 : got;
        if (got < wanted) {
            w->cut = w->samples != UINT64_MAX;
            break;
        }
    }
    return done;
}
