/* normalize.c: classes of characters, and BERT's normalizer. utf8proc knows current Unicode; the reference knows the
 * categories of Unicode 8, and newer small letters. */
#include "examples/common/text.h"
#include "tokens.h"
#include <stdlib.h>
#include <utf8proc.h>

/* Marks, punctuation and format characters in these ranges came after Unicode 8. The reference takes them for symbols. */
static int is_after_unicode_8(uint32_t c) {
    static const uint32_t ranges[][2] = {
        {0x61d, 0x61d},     {0x7fa, 0x815},     {0x85f, 0x8e2},     {0x9e4, 0xa00},     {0xa76, 0xa80},
        {0xaf1, 0xb00},     {0xb4e, 0xb55},     {0xc01, 0xc3d},     {0xc64, 0xc80},     {0xc82, 0xcbb},
        {0xce4, 0xd00},     {0xd02, 0xd40},     {0xd64, 0xdc9},     {0xeba, 0xeba},     {0xece, 0xf03},
        {0x180f, 0x18a8},   {0x1abe, 0x1aff},   {0x1b74, 0x1b7f},   {0x1df6, 0x1dfb},   {0x2e43, 0x3000},
        {0xa827, 0xa873},   {0xa8c5, 0xa8cd},   {0xa8fd, 0xa925},   {0xa9bd, 0xa9c0},   {0x10b9d, 0x11000},
        {0x1104e, 0x1107e}, {0x110c2, 0x110ff}, {0x111c9, 0x111c9}, {0x111ce, 0x111da}, {0x1123e, 0x112a8},
        {0x11302, 0x1133b}, {0x11375, 0x114b2}, {0x11644, 0x116aa}, {0x116b8, 0x1171c}, {0x1173f, 0x1246f},
        {0x12475, 0x16a6d}, {0x16b45, 0x16f8e}, {0x16f93, 0x1bc9c}, {0x1bca4, 0x1d166}, {0x1dab0, 0x1e8cf},
        {0x1e8d7, 0xe0000},
    };
    size_t low = 0, high = sizeof ranges / sizeof *ranges;
    while (low < high) {
        const size_t middle = (low + high) / 2;
        if (c > ranges[middle][1]) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low < sizeof ranges / sizeof *ranges && c >= ranges[low][0];
}

static int is_in(uint32_t c, int first_category, int last_category) {
    const int category = (int)utf8proc_category((utf8proc_int32_t)c);
    return category >= first_category && category <= last_category;
}

int is_white(uint32_t c) {
    return (c >= 9 && c <= 13) || c == ' ' || c == 0x85 || c == 0xa0 || c == 0x1680 || (c >= 0x2000 && c <= 0x200a) ||
           c == 0x2028 || c == 0x2029 || c == 0x202f || c == 0x205f || c == 0x3000;
}

char_class class_of(uint32_t c) {
    if (c >= 'a' && c <= 'z') return CHAR_LETTER; /* most of most texts */
    if (is_white(c)) return CHAR_WHITE;
    if (is_in(c, UTF8PROC_CATEGORY_LU, UTF8PROC_CATEGORY_LO)) return CHAR_LETTER;
    if (is_in(c, UTF8PROC_CATEGORY_ND, UTF8PROC_CATEGORY_NO)) return CHAR_NUMBER;
    if (c < 0x80) return c > ' ' && c < 0x7f ? CHAR_PUNCTUATION : CHAR_OTHER; /* symbols such as $, too */
    if (c == 0x166d || c == 0x111c9) return CHAR_PUNCTUATION;                 /* in Unicode 8 */
    return is_in(c, UTF8PROC_CATEGORY_PC, UTF8PROC_CATEGORY_PO) && !is_after_unicode_8(c) ? CHAR_PUNCTUATION
                                                                                          : CHAR_OTHER;
}

int is_word_character(uint32_t c) {
    return is_in(c, UTF8PROC_CATEGORY_LU, UTF8PROC_CATEGORY_NL) ||
           is_in(c, UTF8PROC_CATEGORY_PC, UTF8PROC_CATEGORY_PC) || (c >= 0x24b6 && c <= 0x24e9) ||
           (c >= 0x1f130 && c <= 0x1f149) || (c >= 0x1f150 && c <= 0x1f169) || (c >= 0x1f170 && c <= 0x1f189) ||
           c == 0x200c || c == 0x200d;
}

static int is_removed(uint32_t c) {
    if (c == '\t' || c == '\n' || c == '\r') return 0;
    return c == 0xfffd || (is_in(c, UTF8PROC_CATEGORY_CC, UTF8PROC_CATEGORY_CO) && !is_after_unicode_8(c));
}

static int is_accent(uint32_t c) {
    return (is_in(c, UTF8PROC_CATEGORY_MN, UTF8PROC_CATEGORY_MN) && !is_after_unicode_8(c)) || c == 0x1734;
}

static int is_ideograph(uint32_t c) {
    return (c >= 0x4e00 && c <= 0x9fff) || (c >= 0x3400 && c <= 0x4dbf) || (c >= 0xf900 && c <= 0xfaff) ||
           (c >= 0x20000 && c <= 0x2a6df) || (c >= 0x2a700 && c <= 0x2b81f) || (c >= 0x2b920 && c <= 0x2ceaf) ||
           (c >= 0x2f800 && c <= 0x2fa1f);
}

/* Makes room for as many bytes as are left of the input, and for what one character can become. */
static int reserve(text_buffer *b, size_t left) {
    if (b->capacity - b->bytes < left + 64) {
        const size_t capacity = b->bytes + b->bytes / 2 + left + 256;
        char *text = realloc(b->text, capacity);
        if (!text) return 0;
        b->text = text;
        b->capacity = capacity;
    }
    return 1;
}

static void put_character(text_buffer *b, uint32_t c) {
    b->bytes += (size_t)utf8proc_encode_char((utf8proc_int32_t)c, (utf8proc_uint8_t *)b->text + b->bytes);
}

/* Marks that remain, because Unicode 8 did not have them or because they are spacing marks, keep their order where the
 * canonical decomposition would sort them: no vocabulary has them side by side. */
static void put_normalized(const normalizer *n, text_buffer *b, uint32_t c) {
    const int is_apart = n->blanks_around_ideographs && is_ideograph(c);
    utf8proc_int32_t parts[16];
    utf8proc_ssize_t i, count = 1;
    int boundary = 0; /* not used */
    if (n->clean && is_removed(c)) return;
    if (n->clean && is_white(c)) c = ' ';
    if (is_apart) put_character(b, ' ');
    parts[0] = (utf8proc_int32_t)c;
    if (n->strips_accents) {
        count = utf8proc_decompose_char((utf8proc_int32_t)c, parts, 16, UTF8PROC_DECOMPOSE, &boundary);
    }
    for (i = 0; i < count; i++) {
        if (n->strips_accents && is_accent((uint32_t)parts[i])) continue;
        put_character(b, (uint32_t)(n->lowers ? utf8proc_tolower(parts[i]) : parts[i]));
        if (n->lowers && parts[i] == 0x130) put_character(b, 0x307); /* the only small letter with two code points */
    }
    if (is_apart) put_character(b, ' ');
}

int normalize(const normalizer *n, span text, text_buffer *result) {
    size_t i = 0, length;
    uint32_t c;
    result->bytes = 0;
    while (i < text.bytes) {
        if (!reserve(result, text.bytes - i)) return 0;
        for (; i < text.bytes && text.text[i] >= ' ' && text.text[i] < 0x7f; i++) {
            const char a = text.text[i];
            result->text[result->bytes++] = (char)(n->lowers && a >= 'A' && a <= 'Z' ? a | 0x20 : a);
        }
        if (i == text.bytes) break;
        length = utf8_decode(text.text + i, text.bytes - i, &c);
        put_normalized(n, result, length ? c : 0xfffd);
        i += length ? length : 1;
    }
    return 1;
}
