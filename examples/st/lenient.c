/* lenient.c: reads damaged safetensors files. Nothing is guessed: a tensor is kept only if its entry tells what it is,
 * and the place of the data only if the file tells where it is. */
#include "lenient.h"
#include "lenient_json.h"
#include <stdlib.h>
#include <string.h>

#define MAX_HEADER 100000000u /* the library's default */
#define CHUNK ((size_t)1 << 16)
enum { MAX_FAULTS = 1 << 16, MAX_PREFIX = 64, COMPARED_FILES = 4 };

static const char left_out[] = "left out";

/* ---- faults ------------------------------------------------------------------------------------------------- */

/* Returns the array with room for one item more; without memory, the same array, and sets l->has_no_memory. */
static void *grown(lenient *l, void *array, size_t *room, size_t count, size_t size) {
    const size_t wanted = count < 8 ? 16 : count * 2;
    void *larger;
    if (count < *room) return array;
    larger = count > SIZE_MAX / 2 / size ? NULL : realloc(array, wanted * size);
    if (!larger) {
        l->has_no_memory = 1;
        return array;
    }
    *room = wanted;
    return larger;
}

/* Returns the new fault for the caller to complete. */
static file_fault *add_fault(lenient *l, uint64_t position, const char *message, const char *mend) {
    static file_fault uncounted;
    file_fault *f = &uncounted;
    if (l->fault_count < MAX_FAULTS) {
        l->faults = (file_fault *)grown(l, l->faults, &l->fault_room, l->fault_count, sizeof *l->faults);
        if (l->fault_count < l->fault_room) f = &l->faults[l->fault_count++];
    }
    if (f == &uncounted) l->uncounted_faults++;
    memset(f, 0, sizeof *f);
    f->position = position;
    f->message = message;
    f->mend = mend;
    f->order = l->fault_count;
    f->is_loss = mend == left_out;
    l->losses += f->is_loss != 0;
    return f;
}

void lenient_add_fault(lenient *l, uint64_t position, const char *message, const char *mend) {
    (void)add_fault(l, position, message, mend);
}

static file_fault *add_fault_of(lenient *l, uint64_t position, const lenient_json_string *name, const char *message,
                                const char *mend) {
    file_fault *f = add_fault(l, position, message, mend);
    f->name = name->text;
    f->name_bytes = name->bytes;
    return f;
}

static file_fault *add_fault_of_tensor(lenient *l, const lenient_tensor *t, const char *message, const char *mend) {
    file_fault *f = add_fault(l, t->position, message, mend);
    f->name = t->tensor.name;
    f->name_bytes = t->tensor.name_bytes;
    return f;
}

static int by_position(const void *a, const void *b) {
    const file_fault *x = (const file_fault *)a, *y = (const file_fault *)b;
    if (x->position != y->position) return x->position < y->position ? -1 : 1;
    return x->order < y->order ? -1 : x->order > y->order;
}

static const char *digits_of(uint64_t number, char digits[21]) {
    char *first = digits + 20;
    *first = 0;
    do *--first = (char)('0' + number % 10);
    while (number /= 10);
    return first;
}

static const char *value_of(const file_fault *f, char letter, char digits[21]) {
    switch (letter) {
    case 'a': return digits_of(f->a, digits);
    case 'b': return digits_of(f->b, digits);
    case 'd': return st_dtype_name(f->dtype);
    default: return f->text;
    }
}

void fault_message(const file_fault *f, char *out, size_t size) {
    const char *s = f->message, *value;
    char digits[21];
    size_t used = 0;
    while (*s && used + 1 < size) {
        if (*s != '$') {
            out[used++] = *s++;
            continue;
        }
        for (value = value_of(f, s[1], digits); *value && used + 1 < size; value++) out[used++] = *value;
        s += 2;
    }
    out[used] = 0;
}

/* ---- bytes of the file -------------------------------------------------------------------------------------- */

static int read_bytes(lenient *l, uint64_t offset, void *to, size_t bytes) {
    if (bytes == 0 || (l->io.read_at)(l->io.user, offset, to, bytes) == 0) return 1;
    l->has_read_error = 1;
    return 0;
}

/* Returns 1 if all bytes from `from` up to `to` are among the n given ones. */
static int consists_of(lenient *l, uint64_t from, uint64_t to, const char *bytes, size_t n) {
    unsigned char chunk[512];
    while (from < to) {
        const size_t count = to - from < sizeof chunk ? (size_t)(to - from) : sizeof chunk;
        size_t i;
        if (!read_bytes(l, from, chunk, count)) return 0;
        for (i = 0; i < count; i++) {
            if (!memchr(bytes, chunk[i], n)) return 0;
        }
        from += count;
    }
    return 1;
}

static int are_spaces(lenient *l, uint64_t from, uint64_t to) {
    return consists_of(l, from, to, " ", 1);
}

static int are_nul(lenient *l, uint64_t from, uint64_t to) {
    return consists_of(l, from, to, "\0", 1);
}

static int are_blanks_or_nul(lenient *l, uint64_t from, uint64_t to) {
    return consists_of(l, from, to, " \n\r\t\0", 5);
}

static int are_blanks(lenient *l, uint64_t from, uint64_t to) {
    return consists_of(l, from, to, " \n\r\t", 4);
}

/* Returns 1 if two parts of the file are equal. */
static int are_same(lenient *l, uint64_t a, uint64_t b, uint64_t bytes) {
    unsigned char *chunks;
    int same = 1;
    if (a == b || bytes == 0) return 1;
    if (bytes > l->compare_budget) return 0; /* a header can name the same bytes a million times */
    l->compare_budget -= bytes;
    chunks = (unsigned char *)malloc(2 * CHUNK);
    if (!chunks) l->has_no_memory = 1;
    while (chunks && same && bytes > 0) {
        const size_t n = bytes < CHUNK ? (size_t)bytes : CHUNK;
        same = read_bytes(l, a, chunks, n) && read_bytes(l, b, chunks + CHUNK, n) &&
               memcmp(chunks, chunks + CHUNK, n) == 0;
        a += n, b += n, bytes -= n;
    }
    free(chunks);
    return chunks && same;
}

/* ---- metadata ----------------------------------------------------------------------------------------------- */

/* Reads a value as a string: the string itself, or the JSON text of any other value. */
static void read_pair(lenient *l, const lenient_json_string *key, uint64_t position, const lenient_json_text *given) {
    const int is_string = *given->at == '"';
    lenient_json_text text = *given;
    lenient_json_string value;
    lenient_pair *p;
    memset(&value, 0, sizeof value);
    if (is_string) {
        (void)lenient_json_read_string(&text, &value); /* cannot fail: lenient_json_skip has passed it */
    } else {
        value.text = (char *)given->at;
        value.bytes = (size_t)(given->end - given->at);
        value.is_damaged = lenient_json_utf8_prefix(given->at, value.bytes) != value.bytes;
    }
    if (key->is_damaged || value.is_damaged) {
        add_fault_of(l, position, key, "metadata entry with invalid UTF-8 or an invalid escape", left_out);
        return;
    }
    if (!is_string) {
        add_fault_of(l, position, key, "metadata value is not a string", "its JSON text becomes the string");
    }
    if (key->has_control || value.has_control) {
        add_fault_of(l, position, key, "unescaped control character in a string", "escaped");
    }
    l->entries = (lenient_pair *)grown(l, l->entries, &l->entry_room, l->entry_count, sizeof *l->entries);
    if (l->entry_count == l->entry_room) return;
    p = &l->entries[l->entry_count++];
    p->pair.key = key->text;
    p->pair.key_bytes = key->bytes;
    p->pair.value = value.text;
    p->pair.value_bytes = value.bytes;
    p->position = position;
    p->is_kept = 1;
}

static uint64_t position_of(const lenient *l, const unsigned char *at) {
    return l->header_offset + (uint64_t)(at - l->header);
}

/* Reads the value of __metadata__. */
static void read_metadata(lenient *l, const lenient_json_string *key, uint64_t position,
                          const lenient_json_text *given) {
    lenient_json_text text = *given, value;
    lenient_json_string inner;
    int has_item;
    if (l->has_metadata) add_fault_of(l, position, key, "duplicate key", "its entries are added to the others");
    if (given->end - given->at == 4 && *given->at == 'n') return; /* null, the same as none */
    l->has_metadata = 1;
    if (*given->at != '{') {
        read_pair(l, key, position, given); /* under the key __metadata__ */
        return;
    }
    (void)lenient_json_enter(&text, '{', &has_item); /* nothing here can fail: lenient_json_skip has passed it */
    while (has_item) {
        (void)lenient_json_peek(&text);
        position = position_of(l, text.at);
        (void)lenient_json_read_key(&text, &inner);
        (void)lenient_json_skip(&text, &value);
        (void)lenient_json_next(&text, '{', &has_item); /* before read_pair writes a NUL behind the value */
        read_pair(l, &inner, position, &value);
    }
}

/* ---- tensors ------------------------------------------------------------------------------------------------ */

enum { DTYPE, SHAPE, OFFSETS, FIELDS };

/* Splits an entry into its fields. Returns NULL, or what is wrong. */
static const char *split_entry(lenient *l, const lenient_json_text *given, lenient_json_text fields[FIELDS]) {
    static const char *const names[FIELDS] = {"dtype", "shape", "data_offsets"};
    const char *problem = NULL;
    lenient_json_text text = *given, value;
    lenient_json_string key;
    int has_item, i;
    if (*given->at != '{') return "tensor entry is not a JSON object";
    (void)lenient_json_enter(&text, '{', &has_item); /* nothing here can fail: lenient_json_skip has passed it */
    while (has_item) {
        (void)lenient_json_read_key(&text, &key);
        (void)lenient_json_skip(&text, &value);
        (void)lenient_json_next(&text, '{', &has_item);
        for (i = 0; i < FIELDS && strcmp(names[i], key.text) != 0; i++) {}
        if (i == FIELDS || key.bytes != strlen(names[i])) {
            l->dropped_fields++;
        } else if (!fields[i].at) {
            fields[i] = value;
        } else if (fields[i].end - fields[i].at != value.end - value.at ||
                   memcmp(fields[i].at, value.at, (size_t)(value.end - value.at)) != 0) {
            problem = "duplicate field in the tensor entry, with different values";
        } else {
            add_fault(l, position_of(l, value.at), "duplicate field in a tensor entry", "one is kept");
        }
    }
    if (problem) return problem;
    return !fields[DTYPE].at     ? "field dtype is missing"
           : !fields[SHAPE].at   ? "field shape is missing"
           : !fields[OFFSETS].at ? "field data_offsets is missing"
                                 : NULL;
}

/* Appends the numbers of an array to l->dims and sets *count. Returns 0 if it is no array of unsigned integers. */
static int read_numbers_of(lenient *l, const lenient_json_text *given, uint32_t *count) {
    lenient_json_text text = *given, value;
    int has_item, has_fraction, any_fraction = 0;
    *count = 0;
    if (*given->at != '[') return 0;
    (void)lenient_json_enter(&text, '[', &has_item); /* nothing here can fail: lenient_json_skip has passed it */
    while (has_item) {
        uint64_t number;
        (void)lenient_json_skip(&text, &value);
        (void)lenient_json_next(&text, '[', &has_item);
        if (!lenient_json_is_integer(&value, &number, &has_fraction)) return 0;
        any_fraction |= has_fraction;
        l->dims = (uint64_t *)grown(l, l->dims, &l->dim_room, l->dim_count, sizeof *l->dims);
        if (l->dim_count == l->dim_room) return 0;
        l->dims[l->dim_count++] = number;
        ++*count;
    }
    if (any_fraction)
        add_fault(l, position_of(l, given->at), "integers are written with a fraction", "written without");
    return 1;
}

/* Reads data_offsets into t->offset and t->bytes. */
static int read_offsets(lenient *l, const lenient_json_text *given, st_tensor *t) {
    const size_t first = l->dim_count;
    uint32_t count = 0;
    const int are_numbers = given->at && read_numbers_of(l, given, &count);
    l->dim_count = first; /* removes the numbers again */
    if (!are_numbers || count != 2 || l->dims[first] > l->dims[first + 1] || l->dims[first + 1] > INT64_MAX) {
        l->has_unknown_end = 1;
        return 0;
    }
    t->offset = l->dims[first];
    t->bytes = l->dims[first + 1] - t->offset;
    if (l->dims[first + 1] > l->data_bytes) l->data_bytes = l->dims[first + 1];
    return 1;
}

/* Returns the dtype that others call by this name, or ST_DTYPE_UNKNOWN. Names that could mean two dtypes are left out. */
static st_dtype dtype_of_spelling(const char *spelling) {
    static const struct {
        const char *name;
        st_dtype dtype;
    } spellings[] = {{"F8_E8M0FNU", ST_DTYPE_F8_E8M0},
                     {"F8_E4M3FN", ST_DTYPE_F8_E4M3},
                     {"FLOAT8_E8M0FNU", ST_DTYPE_F8_E8M0},
                     {"FLOAT8_E4M3FN", ST_DTYPE_F8_E4M3},
                     {"FLOAT8_E5M2", ST_DTYPE_F8_E5M2},
                     {"FLOAT8_E4M3FNUZ", ST_DTYPE_F8_E4M3FNUZ},
                     {"FLOAT8_E5M2FNUZ", ST_DTYPE_F8_E5M2FNUZ},
                     {"FLOAT16", ST_DTYPE_F16},
                     {"BFLOAT16", ST_DTYPE_BF16},
                     {"FLOAT32", ST_DTYPE_F32},
                     {"FLOAT64", ST_DTYPE_F64},
                     {"COMPLEX64", ST_DTYPE_C64},
                     {"INT8", ST_DTYPE_I8},
                     {"INT16", ST_DTYPE_I16},
                     {"INT32", ST_DTYPE_I32},
                     {"INT64", ST_DTYPE_I64},
                     {"UINT8", ST_DTYPE_U8},
                     {"UINT16", ST_DTYPE_U16},
                     {"UINT32", ST_DTYPE_U32},
                     {"UINT64", ST_DTYPE_U64}};
    char upper[24];
    st_dtype dtype;
    size_t i;
    for (i = 0; spelling[i] && i + 1 < sizeof upper; i++) {
        upper[i] = spelling[i] >= 'a' && spelling[i] <= 'z' ? (char)(spelling[i] - 'a' + 'A') : spelling[i];
    }
    upper[i] = 0;
    if (spelling[i]) return ST_DTYPE_UNKNOWN;
    if (st_dtype_from_name(upper, &dtype) == ST_OK) return dtype;
    for (i = 0; i < sizeof spellings / sizeof *spellings; i++) {
        if (strcmp(spellings[i].name, upper) == 0) return spellings[i].dtype;
    }
    return ST_DTYPE_UNKNOWN;
}

/* Reads dtype and shape. Returns NULL, or what is wrong. */
static const char *read_type(lenient *l, const lenient_json_text fields[FIELDS], lenient_tensor *item) {
    st_tensor *t = &item->tensor;
    lenient_json_text text = fields[DTYPE];
    lenient_json_string dtype;
    uint32_t i;
    if (*text.at != '"') return "dtype is not a string";
    (void)lenient_json_read_string(&text, &dtype); /* cannot fail: lenient_json_skip has passed it */
    if (dtype.is_damaged || strlen(dtype.text) != dtype.bytes) return "dtype is not a name";
    item->dims = l->dim_count;
    if (!read_numbers_of(l, &fields[SHAPE], &t->rank)) return "shape is not an array of unsigned integers";
    for (t->elements = 1, i = 0; i < t->rank; i++) {
        const uint64_t size = l->dims[item->dims + i];
        if (size && t->elements > UINT64_MAX / size) return "tensor too large: its size does not fit 64 bits";
        t->elements *= size;
    }
    t->dtype_name = dtype.text;
    if (st_dtype_from_name(dtype.text, &t->dtype) != ST_OK) t->dtype = dtype_of_spelling(dtype.text);
    return NULL;
}

/* Checks that the size is that of dtype and shape, and reports spellings of the dtype. */
static void check_type(lenient *l, lenient_tensor *item) {
    st_tensor *t = &item->tensor;
    const unsigned bits = st_dtype_bits(t->dtype);
    file_fault *f;
    if (t->dtype == ST_DTYPE_UNKNOWN) {
        add_fault_of_tensor(l, item, "unknown dtype $s", "kept as it is, as bytes")->text = t->dtype_name;
    } else if (strcmp(t->dtype_name, st_dtype_name(t->dtype)) != 0) {
        f = add_fault_of_tensor(l, item, "dtype $d is spelled $s", "spelled as it should be");
        f->text = t->dtype_name;
        f->dtype = t->dtype;
    }
    item->is_kept = 0;
    if (bits && t->elements > UINT64_MAX / bits) {
        add_fault_of_tensor(l, item, "tensor too large: its size in bits does not fit 64 bits", left_out);
    } else if (t->elements * bits % 8) {
        f = add_fault_of_tensor(l, item, "the tensor's $a bits do not fill whole bytes", left_out);
        f->a = t->elements * bits;
    } else if (bits && t->elements * bits / 8 != t->bytes) {
        f = add_fault_of_tensor(l, item, "shape and dtype need $a bytes, data_offsets give $b", left_out);
        f->a = t->elements * bits / 8;
        f->b = t->bytes;
    } else {
        item->is_kept = 1;
    }
}

static void read_tensor(lenient *l, const lenient_json_string *name, uint64_t position,
                        const lenient_json_text *given) {
    lenient_json_text fields[FIELDS];
    lenient_tensor item;
    const char *problem;
    memset(fields, 0, sizeof fields);
    memset(&item, 0, sizeof item);
    problem = split_entry(l, given, fields);
    if (!read_offsets(l, &fields[OFFSETS], &item.tensor) && !problem) {
        problem = "data_offsets is not an array of two unsigned integers, begin and end";
    }
    if (!problem) problem = read_type(l, fields, &item);
    if (!problem && name->is_damaged) problem = "tensor name with invalid UTF-8 or an invalid escape";
    if (problem) {
        add_fault_of(l, position, name, problem, left_out);
        return;
    }
    if (name->has_control) add_fault_of(l, position, name, "unescaped control character in a string", "escaped");
    item.tensor.name = name->text;
    item.tensor.name_bytes = name->bytes;
    item.position = position;
    check_type(l, &item);
    l->items = (lenient_tensor *)grown(l, l->items, &l->item_room, l->item_count, sizeof *l->items);
    if (l->item_count < l->item_room) l->items[l->item_count++] = item;
}

/* ---- the header --------------------------------------------------------------------------------------------- */

/* Reads the JSON object that starts at json_offset and ends within the given number of bytes after the header length.
 * Returns 0 if there is none. */
static int read_object(lenient *l, uint64_t bytes) {
    lenient_json_text text, value;
    lenient_json_string key;
    int has_item;
    l->failure = "found no JSON object after the header length";
    l->failure_position = l->json_offset;
    if (l->json_offset - l->header_offset >= bytes) return 0;
    l->item_count = l->entry_count = l->dim_count = l->fault_count = l->dropped_fields = 0;
    l->losses = l->uncounted_faults = l->data_bytes = 0;
    l->has_metadata = l->has_unknown_end = 0;
    free(l->header);
    l->header_bytes = (size_t)bytes;
    l->header = (unsigned char *)malloc(l->header_bytes + 1);
    if (!l->header) l->has_no_memory = 1;
    if (!l->header || !read_bytes(l, l->header_offset, l->header, l->header_bytes)) return 0;
    memset(&text, 0, sizeof text);
    text.at = l->header + (l->json_offset - l->header_offset);
    text.end = l->header + l->header_bytes;
    if (lenient_json_enter(&text, '{', &has_item)) {
        while (has_item) {
            uint64_t position;
            (void)lenient_json_peek(&text);
            position = position_of(l, text.at);
            if (!lenient_json_read_key(&text, &key) || !lenient_json_skip(&text, &value)) break;
            if (!lenient_json_next(&text, '{', &has_item)) break;
            if (key.bytes == 12 && memcmp(key.text, "__metadata__", 12) == 0) {
                read_metadata(l, &key, position, &value);
            } else {
                read_tensor(l, &key, position, &value);
            }
        }
    }
    l->json_end = position_of(l, text.at);
    l->failure = text.fault;
    l->failure_position = l->json_end;
    return !text.fault;
}

/* Returns the offset of the brace that a byte order mark or blanks may precede, or 0 if there is none below `end`. */
static uint64_t find_brace(lenient *l, uint64_t from, uint64_t end) {
    unsigned char chunk[512];
    uint64_t at = from;
    if (end > l->io.bytes) end = l->io.bytes;
    while (at < end) {
        const size_t n = end - at < sizeof chunk ? (size_t)(end - at) : sizeof chunk;
        size_t i = 0;
        if (!read_bytes(l, at, chunk, n)) return 0;
        if (at == from && n > 3 && memcmp(chunk, "\xef\xbb\xbf", 3) == 0) i = 3;
        while (i < n && memchr(" \n\r\t", chunk[i], 4)) i++;
        if (i < n) return chunk[i] == '{' ? at + i : 0;
        at += n;
    }
    return 0;
}

/* Finds the header length and the brace that begins the header. A byte order mark or blanks may be before either. */
static int find_object(lenient *l) {
    unsigned char first[MAX_PREFIX + 8];
    const size_t n = l->io.bytes < sizeof first ? (size_t)l->io.bytes : sizeof first;
    size_t begin, k;
    l->failure = "found no JSON object after the header length";
    l->failure_position = 8;
    if (!read_bytes(l, 0, first, n)) return 0;
    for (begin = 0; begin + 8 <= n; begin++) {
        l->json_offset = find_brace(l, begin + 8, begin == 0 ? 8 + (uint64_t)MAX_HEADER : begin + sizeof first);
        if (l->json_offset) {
            for (l->length = 0, k = 8; k > 0; k--) l->length = l->length << 8 | first[begin + k - 1];
            l->header_offset = begin + 8;
            return 1;
        }
        if (begin == 0 && memcmp(first, "\xef\xbb\xbf", 3) == 0) {
            begin = 2; /* then 3 */
        } else if (!memchr(" \n\r\t", first[begin], 4)) {
            return 0;
        }
    }
    return 0;
}

static void read_header(lenient *l) {
    uint64_t available;
    if (!find_object(l)) return;
    available = l->io.bytes - l->header_offset;
    if (available > MAX_HEADER) available = MAX_HEADER;
    if (l->length <= available && read_object(l, l->length)) return;
    if (l->has_no_memory || l->has_read_error || read_object(l, available)) return; /* it may be longer than it says */
    if (available == MAX_HEADER) l->failure = "the header is larger than 100,000,000 bytes, or no JSON";
}

/* ---- where the data is -------------------------------------------------------------------------------------- */

/* Returns where the data starts if the header length states a place that only blanks and NUL separate from the JSON
 * object, and the length of the file implies another one; 0 if that is not certain. */
static uint64_t choose_start(lenient *l, uint64_t stated, uint64_t implied, uint64_t canonical) {
    const uint64_t end = l->json_end, file = l->io.bytes;
    if (implied > stated) { /* bytes follow the data; or spaces follow the header that its length does not count */
        if (!are_spaces(l, stated, implied)) return stated;
        return implied == canonical && !are_blanks_or_nul(l, file - (implied - stated), file) ? implied : 0;
    }
    /* The file is cut; or the header length is too large, and the data starts with zeros, which would not follow
     * spaces as padding. */
    if (are_spaces(l, implied, stated)) return stated;
    if (stated == canonical && implied > end && are_nul(l, end, stated)) return stated; /* padded with NUL */
    if (implied != canonical || !are_spaces(l, end, implied)) return 0;
    return implied > end || stated - implied < 8 ? implied : 0;
}

/* Returns where the data starts, or 0 if that is not certain. stated: by the header length; implied: by the length of the
 * file, if that is neither cut nor has more bytes; 0 if there can be no such place. */
static uint64_t start_of_data(lenient *l, uint64_t stated, uint64_t implied) {
    const uint64_t end = l->json_end;
    const uint64_t canonical =
        end + (8 - (end - l->header_offset) % 8) % 8; /* all common writers pad to 8 with spaces */
    uint64_t few;
    if (l->data_bytes == 0) return stated ? stated : end;
    if (stated && implied == stated) return stated;
    if (stated && are_blanks_or_nul(l, end, stated))
        return implied ? choose_start(l, stated, implied, canonical) : stated;
    /* The header length is wrong. In a cut file, the implied place would lie too early, among the spaces. */
    if (!implied || !are_spaces(l, end, implied)) return 0;
    /* A file that is cut before its data has nothing but padding there, and a header length that goes past its end. */
    if (l->length <= MAX_HEADER && l->header_offset + l->length > l->io.bytes &&
        are_blanks_or_nul(l, end, l->io.bytes)) {
        return 0;
    }
    few = l->data_bytes < 8 ? l->data_bytes : 8;
    return are_spaces(l, implied, implied + (implied == canonical ? few : 1)) ? 0 : implied;
}

/* Reports what is before the header, and between its JSON object and the data. */
static void report_header(lenient *l, uint64_t stated) {
    const uint64_t before = l->json_offset - l->header_offset;
    unsigned char first = 0;
    if (l->header_offset > 8) {
        add_fault(l, 0, "bytes before the header length: $a", "removed")->a = l->header_offset - 8;
    }
    if (before) (void)read_bytes(l, l->header_offset, &first, 1);
    if (first == 0xef) {
        add_fault(l, l->header_offset, "byte order mark before the header", "removed");
    } else if (before) {
        add_fault(l, l->header_offset, "blanks before the header: $a", "removed")->a = before;
    }
    if (l->data_offset != stated) {
        file_fault *f = add_fault(l, l->header_offset - 8, "the header length is $a, expected $b", "corrected");
        f->a = l->length;
        f->b = l->data_offset - l->header_offset;
    } else if (are_blanks(l, l->json_end, stated)) {
        return;
    } else if (are_blanks_or_nul(l, l->json_end, stated)) {
        add_fault(l, l->json_end, "NUL bytes after the header's JSON object", "replaced by spaces");
    } else {
        add_fault(l, l->json_end, "other bytes after the header's JSON object", "removed");
    }
}

/* Sets l->data_offset and compares the file's length with the end of the data. Returns 0 if the data cannot be found. */
static int find_data(lenient *l) {
    const uint64_t file = l->io.bytes, end = l->json_end;
    uint64_t stated = 0, implied = 0, data_end;
    if (l->length <= file - l->header_offset) stated = l->header_offset + l->length;
    if (stated < end) stated = 0;
    if (!l->has_unknown_end && l->data_bytes <= file - end) implied = file - l->data_bytes;
    l->data_offset = start_of_data(l, stated, implied);
    if (!l->data_offset) {
        l->failure = "header length and file length do not tell for certain where the data starts";
        l->failure_position = end;
        return 0;
    }
    report_header(l, stated);
    data_end = l->data_offset + l->data_bytes; /* both are below 2^63 */
    if (file < data_end) {
        file_fault *f =
            add_fault(l, file, "file is truncated: $a of $b bytes are missing", "the tensors that are whole remain");
        f->a = data_end - file;
        f->b = data_end;
    } else if (file > data_end && !l->has_unknown_end) {
        add_fault(l, data_end, "$a extra bytes after the last tensor", "removed")->a = file - data_end;
    }
    return 1;
}

/* ---- all tensors together ----------------------------------------------------------------------------------- */

static int by_offset(const void *a, const void *b) {
    const lenient_tensor *x = (const lenient_tensor *)a, *y = (const lenient_tensor *)b;
    if (x->tensor.offset != y->tensor.offset) return x->tensor.offset < y->tensor.offset ? -1 : 1;
    if (x->tensor.bytes != y->tensor.bytes) return x->tensor.bytes < y->tensor.bytes ? -1 : 1;
    return x->position < y->position ? -1 : x->position > y->position;
}

/* Sorts the tensors by offset, and reports cut tensors, gaps and tensors that share bytes. */
static void check_offsets(lenient *l) {
    const uint64_t available = l->io.bytes - l->data_offset;
    uint64_t end = 0;
    size_t i;
    if (l->item_count) qsort(l->items, l->item_count, sizeof *l->items, by_offset);
    for (i = 0; i < l->item_count; i++) {
        lenient_tensor *item = &l->items[i];
        st_tensor *t = &item->tensor;
        const uint64_t tensor_end = t->offset + t->bytes;
        file_fault *f = NULL;
        if (t->offset > end) {
            f = add_fault_of_tensor(l, item, "data starts at offset $a, expected $b: a gap", "the gap is closed");
        } else if (t->offset < end) {
            f = add_fault_of_tensor(l, item, "data starts at offset $a, expected $b: other tensors have these bytes",
                                    "has bytes of its own");
        }
        if (f) {
            f->a = t->offset;
            f->b = end;
        }
        if (tensor_end > end) end = tensor_end;
        if (tensor_end > available && item->is_kept) {
            f = add_fault_of_tensor(l, item, "tensor is truncated: $a of $b bytes are missing", left_out);
            f->a = t->offset < available ? tensor_end - available : t->bytes;
            f->b = t->bytes;
            item->is_kept = 0;
        }
        t->offset += l->data_offset; /* both are below 2^63 */
    }
}

static int by_text(const char *a, size_t a_bytes, const char *b, size_t b_bytes) {
    const int order = memcmp(a, b, a_bytes < b_bytes ? a_bytes : b_bytes);
    return order ? order : a_bytes < b_bytes ? -1 : a_bytes > b_bytes;
}

static int by_name(const void *a, const void *b) {
    const lenient_tensor *x = *(lenient_tensor *const *)a, *y = *(lenient_tensor *const *)b;
    const int order = by_text(x->tensor.name, x->tensor.name_bytes, y->tensor.name, y->tensor.name_bytes);
    return order ? order : x->position < y->position ? -1 : x->position > y->position;
}

static int is_same_name(const lenient_tensor *a, const lenient_tensor *b) {
    return by_text(a->tensor.name, a->tensor.name_bytes, b->tensor.name, b->tensor.name_bytes) == 0;
}

static int is_same_tensor(lenient *l, const lenient_tensor *x, const lenient_tensor *y) {
    const st_tensor *a = &x->tensor, *b = &y->tensor;
    return a->dtype == b->dtype && (a->dtype || strcmp(a->dtype_name, b->dtype_name) == 0) && a->rank == b->rank &&
           (a->rank == 0 || memcmp(l->dims + x->dims, l->dims + y->dims, a->rank * sizeof *l->dims) == 0) &&
           a->bytes == b->bytes && are_same(l, a->offset, b->offset, a->bytes);
}

/* Keeps one of several equal tensors of one name; of different ones none, as nobody can tell which is right. */
static void check_names(lenient *l) {
    lenient_tensor **sorted = (lenient_tensor **)calloc(l->item_count + 1, sizeof *sorted);
    size_t count = 0, first, i, k;
    if (!sorted) l->has_no_memory = 1;
    for (i = 0; sorted && i < l->item_count; i++) {
        if (l->items[i].is_kept) sorted[count++] = &l->items[i];
    }
    if (count) qsort((void *)sorted, count, sizeof *sorted, by_name);
    for (first = 0; first < count; first = i) {
        int are_equal = 1;
        for (i = first + 1; i < count && is_same_name(sorted[first], sorted[i]); i++) {
            are_equal = are_equal && is_same_tensor(l, sorted[first], sorted[i]);
        }
        if (i == first + 1) continue;
        for (k = first; k < i; k++) {
            sorted[k]->is_kept = are_equal && k == first;
            if (!are_equal) {
                add_fault_of_tensor(l, sorted[k], "duplicate tensor name: the tensors differ", left_out);
            } else if (k > first) {
                add_fault_of_tensor(l, sorted[k], "duplicate tensor", "kept once");
            }
        }
    }
    free((void *)sorted);
}

static int by_key(const void *a, const void *b) {
    const lenient_pair *x = *(lenient_pair *const *)a, *y = *(lenient_pair *const *)b;
    const int order = by_text(x->pair.key, x->pair.key_bytes, y->pair.key, y->pair.key_bytes);
    return order ? order : x->position < y->position ? -1 : x->position > y->position;
}

static int is_same_key(const lenient_pair *a, const lenient_pair *b) {
    return by_text(a->pair.key, a->pair.key_bytes, b->pair.key, b->pair.key_bytes) == 0;
}

/* Keeps one of several equal metadata entries of one key; of different ones none. */
static void check_keys(lenient *l) {
    lenient_pair **sorted = (lenient_pair **)calloc(l->entry_count + 1, sizeof *sorted);
    size_t first, i, k;
    if (!sorted) l->has_no_memory = 1;
    for (i = 0; sorted && i < l->entry_count; i++) sorted[i] = &l->entries[i];
    if (sorted && l->entry_count) qsort((void *)sorted, l->entry_count, sizeof *sorted, by_key);
    for (first = 0; sorted && first < l->entry_count; first = i) {
        int are_equal = 1;
        for (i = first + 1; i < l->entry_count && is_same_key(sorted[first], sorted[i]); i++) {
            const st_pair *a = &sorted[first]->pair, *b = &sorted[i]->pair;
            are_equal = are_equal && by_text(a->value, a->value_bytes, b->value, b->value_bytes) == 0;
        }
        if (i == first + 1) continue;
        for (k = first; k < i; k++) {
            file_fault *f;
            sorted[k]->is_kept = are_equal && k == first;
            if (are_equal && k == first) continue;
            f = add_fault(l, sorted[k]->position,
                          are_equal ? "duplicate metadata entry" : "duplicate metadata key: the values differ",
                          are_equal ? "kept once" : left_out);
            f->name = sorted[k]->pair.key;
            f->name_bytes = sorted[k]->pair.key_bytes;
        }
    }
    free((void *)sorted);
}

/* ---- the result --------------------------------------------------------------------------------------------- */

/* Fills the model, with all tensors or with those that are kept. */
static void fill_model(lenient *l, int keeps_damaged) {
    st_model *m = &l->model;
    size_t i;
    memset(m, 0, sizeof *m);
    l->shard.path = "";
    l->shard.file_bytes = l->io.bytes;
    l->shard.data_offset = l->data_offset;
    m->tensors = l->tensors;
    for (i = 0; i < l->item_count; i++) {
        st_tensor *t = &l->items[i].tensor;
        if (!keeps_damaged && !l->items[i].is_kept) continue;
        if (!keeps_damaged && t->dtype) t->dtype_name = st_dtype_name(t->dtype);
        t->shape = t->rank ? l->dims + l->items[i].dims : NULL;
        m->bytes = m->bytes > UINT64_MAX - t->bytes ? UINT64_MAX : m->bytes + t->bytes;
        l->tensors[m->count++] = *t;
    }
    for (i = 0; i < l->entry_count; i++) {
        if (keeps_damaged || l->entries[i].is_kept) l->pairs[m->metadata_count++] = l->entries[i].pair;
    }
    m->metadata = l->has_metadata ? l->pairs : NULL;
    l->shard.metadata = m->metadata;
    l->shard.metadata_count = m->metadata_count;
    m->shards = &l->shard;
    m->shard_count = 1;
}

void lenient_keep_sound(lenient *l) {
    fill_model(l, 0);
}

static st_status result(lenient *l, const char *failure) {
    if (l->has_no_memory) return ST_ERR_MEMORY;
    if (l->has_read_error) return ST_ERR_IO;
    return failure ? ST_ERR_JSON : ST_OK;
}

st_status lenient_read(lenient *l, const st_io *io) {
    memset(l, 0, sizeof *l);
    l->io = *io;
    l->compare_budget = io->bytes > UINT64_MAX / COMPARED_FILES ? io->bytes : io->bytes * COMPARED_FILES;
    read_header(l);
    if (l->failure || !find_data(l)) return result(l, l->failure);
    check_offsets(l);
    check_names(l);
    check_keys(l);
    if (l->dropped_fields) {
        add_fault(l, l->json_offset, "fields of tensor entries that readers ignore: $a", "removed")->a =
            l->dropped_fields;
    }
    if (l->fault_count) qsort(l->faults, l->fault_count, sizeof *l->faults, by_position);
    l->tensors = (st_tensor *)calloc(l->item_count + 1, sizeof *l->tensors);
    l->pairs = (st_pair *)calloc(l->entry_count + 1, sizeof *l->pairs);
    if (!l->tensors || !l->pairs) return ST_ERR_MEMORY;
    fill_model(l, 1);
    return result(l, NULL);
}

void lenient_close(lenient *l) {
    free(l->header);
    free(l->items);
    free(l->entries);
    free(l->dims);
    free(l->faults);
    free(l->tensors);
    free(l->pairs);
    memset(l, 0, sizeof *l);
}
