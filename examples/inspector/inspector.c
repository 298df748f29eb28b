/* inspector.c: what the page calls, compiled to WebAssembly. An instance holds one model; engine.js makes an instance
 * for each. build.sh has the command that compiles it.
 *
 * Files are the page's: the three imported functions reach them. They return when the bytes are there, as the page runs
 * this in a worker, where FileReaderSync reads a slice of a file without a promise. So the library can open a folder
 * with its index as it does on a disk. */
#include "stdlib.h"
#define ST_FREESTANDING
#include "string.h"
#define ST_MEMCPY memcpy
#define ST_MEMMOVE memmove
#define ST_MEMSET memset
#define ST_MEMCMP memcmp
#define ST_IMPLEMENTATION
#include "examples/st/lenient.h"

#define EXPORT(name) __attribute__((export_name(#name))) name
#define IMPORT(name) __attribute__((import_module("page"), import_name(#name))) name

/* Returns the number of the file with this path, or a code (ST_IO_*). */
int IMPORT(file_find)(const char *path, size_t path_bytes, uint64_t *bytes);
int IMPORT(file_read)(int file, uint64_t offset, void *dst, size_t bytes);
/* Copies the name of entry number `entry` of a directory and returns its length, -1 after the last entry, or -2 if
 * there is no such directory. */
int IMPORT(file_name)(const char *directory, size_t directory_bytes, size_t entry, char *name, size_t name_bytes);

static st_model *opened;
static const st_model *model; /* the opened one, or what is left of a damaged file */
static st_error error;
static lenient damaged;

/* ---- files -------------------------------------------------------------------------------------------------- */

static int read_at(void *user, uint64_t offset, void *dst, size_t bytes) {
    return file_read((int)(intptr_t)user, offset, dst, bytes);
}

static int find_file(void *user, const char *path, st_io *io) {
    const int file = file_find(path, strlen(path), &io->bytes);
    (void)user;
    if (file < 0) return file;
    io->user = (void *)(intptr_t)file;
    io->read_at = read_at;
    io->id[0] = 1;
    io->id[1] = (uint64_t)file;
    return 0;
}

static void close_file(void *user, st_io *io) {
    (void)user;
    (void)io;
}

static int list_directory(void *user, const char *directory, int (*each)(void *arg, const char *name), void *arg) {
    char name[1024];
    size_t entry;
    (void)user;
    for (entry = 0;; entry++) {
        const int n = file_name(directory, strlen(directory), entry, name, sizeof name - 1);
        int result;
        if (n < 0) return n == -1 ? 0 : ST_IO_NOT_FOUND;
        name[n] = 0;
        result = each(arg, name);
        if (result) return result;
    }
}

static const st_files files = {NULL, find_file, close_file, list_directory};

/* ---- memory ------------------------------------------------------------------------------------------------- */

static void *allocate_for_library(void *user, size_t bytes) {
    (void)user;
    return malloc(bytes);
}

static void free_for_library(void *user, void *pointer, size_t bytes) {
    (void)user;
    (void)bytes;
    free(pointer);
}

static const st_allocator allocator = {NULL, allocate_for_library, free_for_library};

void *EXPORT(allocate)(size_t bytes) {
    return malloc(bytes);
}

void EXPORT(release)(void *block) {
    free(block);
}

/* ---- opening ------------------------------------------------------------------------------------------------ */

st_status EXPORT(open)(const char *path, unsigned flags) {
    st_open_options options = ST_ZERO_INIT;
    options.flags = flags;
    options.files = &files;
    options.allocator = &allocator;
    error.status = st_open(&opened, path, &options, &error);
    model = opened;
    return error.status;
}

/* Reads what is left of a damaged file, as `st repair` does: model becomes what can be kept. */
st_status EXPORT(rescue)(const char *path) {
    st_io io = ST_ZERO_INIT;
    st_status status = find_file(NULL, path, &io) == 0 ? lenient_read(&damaged, &io) : ST_ERR_NOT_FOUND;
    if (status != ST_OK) return status;
    lenient_keep_sound(&damaged);
    model = &damaged.model;
    return ST_OK;
}

/* Returns what the last call that failed reports. */
const st_error *EXPORT(last_error)(void) {
    return &error;
}

const char *EXPORT(status_name)(int status) {
    return st_status_name((st_status)status);
}

const char *EXPORT(version)(void) {
    return ST_VERSION_STRING;
}

/* ---- what is in the model: structs of the library, whose fields JavaScript reads ------------------------------- */

const st_model *EXPORT(contents)(void) {
    return model;
}

/* Where fields are and how large structs are: JavaScript compares them with what it expects, once. */
const size_t *EXPORT(layout)(void) {
    static const size_t numbers[] = {sizeof(st_tensor),
                                     offsetof(st_tensor, shape),
                                     offsetof(st_tensor, bytes),
                                     offsetof(st_tensor, offset),
                                     offsetof(st_tensor, shard),
                                     sizeof(st_shard),
                                     sizeof(st_pair),
                                     offsetof(st_model, bytes),
                                     offsetof(st_model, index_count),
                                     offsetof(st_error, subject),
                                     offsetof(st_error, message),
                                     offsetof(st_shard, data_offset),
                                     offsetof(st_shard, metadata_count)};
    return numbers;
}

size_t EXPORT(fault_count)(void) {
    return damaged.fault_count;
}

uint64_t EXPORT(uncounted_faults)(void) {
    return damaged.uncounted_faults;
}

const char *EXPORT(rescue_failure)(void) {
    return damaged.failure ? damaged.failure : "";
}

typedef struct fault_record { /* a file_fault for JavaScript */
    uint64_t position;
    const char *name;
    size_t name_bytes;
    const char *message, *mend;
    int is_loss;
} fault_record;

const fault_record *EXPORT(fault)(size_t i) {
    static fault_record record;
    static char message[512];
    const file_fault *f = &damaged.faults[i];
    fault_message(f, message, sizeof message);
    record.position = f->position;
    record.name = f->name;
    record.name_bytes = f->name_bytes;
    record.message = message;
    record.mend = f->mend;
    record.is_loss = f->is_loss;
    return &record;
}

/* ---- values ------------------------------------------------------------------------------------------------- */

/* Reads a view as another dtype. ranges: one for each dimension; axes: NULL, or the order of the dimensions. */
st_status EXPORT(read_as)(size_t tensor, const st_range *ranges, const uint32_t *axes, int as, void *dst,
                          size_t bytes) {
    const st_tensor *t = &model->tensors[tensor];
    st_view view = ST_ZERO_INIT;
    view.ranges = ranges;
    view.range_count = ranges ? t->rank : 0;
    view.axes = axes;
    return st_read_as(model, t, ranges || axes ? &view : NULL, (st_dtype)as, dst, bytes, &error);
}

st_status EXPORT(read_bytes)(size_t tensor, uint64_t offset, void *dst, size_t bytes) {
    return st_read(model, &model->tensors[tensor], offset, dst, bytes, &error);
}

/* ---- statistics --------------------------------------------------------------------------------------------- */

enum { SIDE = 256, MAX_RANK = 64, MIN_PIECE = 1 << 14, MAX_PIECE = 1 << 20 };

#define BINS 64u

/* The view is taken as a matrix: the last dimension has the columns, all others together the rows. */
static struct summary {
    const st_tensor *tensor;
    st_range ranges[MAX_RANK]; /* of the view */
    uint32_t axes[MAX_RANK];
    uint64_t shape[MAX_RANK]; /* of the view, in its order of dimensions */
    double *values;           /* room for a piece */
} work;

static struct result { /* read by JavaScript */
    uint64_t elements, columns, rows;
    uint64_t piece; /* values to read at a time, at most; whole rows unless they are very long */
    uint64_t seen, nan, positive_infinity, negative_infinity, zero, finite;
    double min, max, mean, squares; /* squares: the sum of squared distances from the mean */
    uint32_t width, height;         /* of the picture */
    uint64_t bins[BINS];
    double cell_sum[SIDE * SIDE];
    uint32_t cell_finite[SIDE * SIDE], cell_other[SIDE * SIDE];
} result;

/* Reports an error that the library does not know of. */
static st_status fail(st_status status, const char *message) {
    memset(&error, 0, sizeof error);
    error.status = status;
    error.position = UINT64_MAX;
    memcpy(error.message, message, strlen(message)); /* the messages are short */
    return status;
}

/* Prepares the statistics of a view. ranges and axes as for read_as; both are copied. */
st_status EXPORT(summary_begin)(size_t tensor, const st_range *ranges, const uint32_t *axes) {
    const st_tensor *t = &model->tensors[tensor];
    st_view view = ST_ZERO_INIT;
    uint32_t i;
    memset(&result, 0, sizeof result);
    if (t->rank > MAX_RANK) return fail(ST_ERR_TOO_LARGE, "statistics take at most 64 dimensions");
    for (i = 0; i < t->rank; i++) {
        work.ranges[i] = ranges[i];
        work.axes[i] = axes ? axes[i] : i;
    }
    view.ranges = work.ranges;
    view.range_count = t->rank;
    view.axes = work.axes;
    work.tensor = t;
    if (st_view_shape(t, &view, work.shape, &result.elements, &error) != ST_OK) return error.status;
    result.columns = t->rank ? work.shape[t->rank - 1] : 1;
    result.rows = result.elements ? result.elements / result.columns : 0;
    result.width = result.columns < SIDE ? (uint32_t)result.columns : SIDE;
    result.height = result.rows < SIDE ? (uint32_t)result.rows : SIDE;
    result.piece = result.columns > MAX_PIECE ? MAX_PIECE : result.columns ? result.columns : 1;
    if (result.piece < MIN_PIECE) result.piece *= MIN_PIECE / result.piece;
    free(work.values);
    work.values = (double *)malloc((size_t)result.piece * sizeof *work.values);
    return work.values ? ST_OK : fail(ST_ERR_MEMORY, "out of memory");
}

const struct result *EXPORT(summary_result)(void) {
    return &result;
}

/* Restricts a range of the view to `count` of its elements, from number `first` on. */
static st_range part_of(st_range range, uint64_t first, uint64_t count) {
    st_range part;
    part.step = range.step ? range.step : 1;
    part.start = range.start + first * part.step;
    part.stop = part.start + (count - 1) * part.step + 1;
    return part;
}

/* Finds the largest block of the view that starts at element `position`, in the order of the view, is contiguous in
 * that order and has at most `limit` elements. Sets its ranges and returns its size. */
static uint64_t block_at(uint64_t position, uint64_t limit, st_range *ranges) {
    uint64_t size = 1, left = position;
    int is_whole = 1; /* all dimensions after the current one are in the block from end to end */
    uint32_t i;
    for (i = work.tensor->rank; i-- > 0;) {
        const uint64_t n = work.shape[i], first = left % n;
        uint64_t count = 1;
        left /= n;
        if (is_whole) {
            const uint64_t most = limit / size;
            count = n - first < most ? n - first : most;
            is_whole = count == n;
            size *= count;
        }
        ranges[work.axes[i]] = part_of(work.ranges[work.axes[i]], first, count);
    }
    return size;
}

/* Reads values as F64, of C64 the magnitudes. */
static st_status read_values(const st_range *ranges, size_t count) {
    const int is_complex = work.tensor->dtype == ST_DTYPE_C64;
    st_view view = ST_ZERO_INIT;
    st_status status;
    size_t i;
    view.ranges = ranges;
    view.range_count = work.tensor->rank;
    view.axes = work.axes;
    status = st_read_as(model, work.tensor, &view, is_complex ? ST_AS_STORED : ST_DTYPE_F64, work.values,
                        count * sizeof *work.values, &error);
    for (i = 0; is_complex && status == ST_OK && i < count; i++) {
        float parts[2];
        memcpy(parts, &work.values[i], sizeof parts);
        work.values[i] = __builtin_sqrt((double)parts[0] * parts[0] + (double)parts[1] * parts[1]);
    }
    return status;
}

/* Adds values to the counts, and their mean and squares by the formula of Chan, Golub and LeVeque. */
static void add_values(size_t count) {
    const double before = (double)result.finite;
    double sum = 0, squares = 0, mean, delta;
    uint64_t finite = 0;
    size_t i;
    for (i = 0; i < count; i++) {
        const double v = work.values[i];
        if (v - v != 0) {
            if (v != v) {
                result.nan++;
            } else if (v > 0) {
                result.positive_infinity++;
            } else {
                result.negative_infinity++;
            }
            continue;
        }
        if (result.finite + finite == 0 || v < result.min) result.min = v;
        if (result.finite + finite == 0 || v > result.max) result.max = v;
        result.zero += v == 0;
        sum += v;
        finite++;
    }
    result.seen += count;
    if (finite == 0) return;
    mean = sum / (double)finite;
    for (i = 0; i < count; i++) {
        const double d = work.values[i] - mean;
        if (d - d == 0) squares += d * d;
    }
    delta = mean - result.mean;
    result.finite += finite;
    result.mean += delta * ((double)finite / (double)result.finite);
    result.squares += squares;
    if (before > 0) result.squares += delta * delta * (before * (double)finite / (double)result.finite);
}

/* Adds values, from element `position` of the view on, to the cells of the picture. */
static void draw_values(uint64_t position, size_t count) {
    const uint64_t columns = result.columns, rows = result.rows;
    uint64_t row = position / columns, column = position % columns;
    size_t i = 0;
    while (i < count) {
        const size_t line = (size_t)(row * result.height / rows) * SIDE;
        uint64_t rest = column * result.width % columns;
        size_t cell = line + (size_t)(column * result.width / columns);
        for (; i < count && column < columns; i++, column++) {
            const double v = work.values[i];
            if (v - v == 0) {
                result.cell_sum[cell] += v;
                result.cell_finite[cell]++;
            } else {
                result.cell_other[cell]++;
            }
            rest += result.width;
            if (rest >= columns) rest -= columns, cell++; /* the width is at most the number of columns */
        }
        row++;
        column = 0;
    }
}

static void count_values(size_t count) {
    const double scale = result.max > result.min ? BINS / (result.max - result.min) : 0;
    size_t i;
    for (i = 0; i < count; i++) {
        const double v = work.values[i];
        double bin;
        if (v - v != 0) continue;
        /* the difference of the largest numbers is infinite: halves are not */
        bin =
            scale > 0 ? (v - result.min) * scale : (v / 2 - result.min / 2) / (result.max / 2 - result.min / 2) * BINS;
        if (!(bin > 0)) bin = 0; /* also NaN, where all values are equal */
        result.bins[bin < BINS ? (size_t)bin : BINS - 1]++;
    }
}

/* Reads values from element `position` on, at most to element `end`. pass 0 makes statistics and picture, pass 1, which
 * needs min and max, the histogram. Returns the number of values, or 0 after an error. */
uint64_t EXPORT(summary_step)(uint64_t position, uint64_t end, int pass) {
    st_range ranges[MAX_RANK];
    const uint64_t limit = end - position < result.piece ? end - position : result.piece;
    const uint64_t count = block_at(position, limit, ranges);
    if (read_values(ranges, (size_t)count) != ST_OK) return 0;
    if (pass) {
        count_values((size_t)count);
    } else {
        add_values((size_t)count);
        draw_values(position, (size_t)count);
    }
    return count;
}

/* ---- a new header ------------------------------------------------------------------------------------------- */

static struct header {
    unsigned char *bytes;
    size_t count, room;
} header;

const unsigned char *EXPORT(header_bytes)(void) {
    return header.bytes;
}

size_t EXPORT(header_count)(void) {
    return header.count;
}

static int collect(void *user, const void *bytes, size_t n) {
    struct header *h = (struct header *)user;
    if (h->room - h->count < n) {
        const size_t room = n > SIZE_MAX / 4 || h->count > SIZE_MAX / 4 ? SIZE_MAX : 2 * (h->count + n);
        unsigned char *larger = (unsigned char *)realloc(h->bytes, room);
        if (!larger) return ST_IO_NO_MEMORY;
        h->bytes = larger;
        h->room = room;
    }
    memcpy(h->bytes + h->count, bytes, n);
    h->count += n;
    return 0;
}

/* Declares the tensors of a shard and the metadata. Returns the bytes of the tensors in *data_bytes. */
static st_status declare(st_writer *writer, uint32_t shard, const st_pair *pairs, size_t count, int has_metadata,
                         uint64_t *data_bytes) {
    st_status status = ST_OK;
    size_t i;
    *data_bytes = 0;
    for (i = 0; status == ST_OK && i < model->count; i++) {
        if (model->tensors[i].shard != shard) continue;
        status = st_writer_add(writer, &model->tensors[i], &error);
        *data_bytes += model->tensors[i].bytes;
    }
    if (status == ST_OK && has_metadata) status = st_writer_add_metadata(writer, NULL, &error);
    for (i = 0; status == ST_OK && i < count; i++) status = st_writer_add_metadata(writer, &pairs[i], &error);
    return status;
}

/* Writes the header. The writer keeps it in its buffer, so zeros follow as data until it comes out. */
static st_status write_header(st_writer *writer, uint64_t data_bytes) {
    static unsigned char zeros[1 << 16]; /* not const: the file would hold them */
    const st_tensor *first;
    size_t header_length;
    st_status status = st_writer_begin(writer, &error);
    if (status != ST_OK) return status;
    first = st_writer_next(writer);
    header_length = first ? (size_t)first->offset : 0;
    while (status == ST_OK && data_bytes > 0 && header.count < header_length) {
        const size_t n = data_bytes < sizeof zeros ? (size_t)data_bytes : sizeof zeros;
        status = st_writer_write(writer, zeros, n, &error);
        data_bytes -= n;
    }
    if (status == ST_OK && data_bytes == 0) status = st_writer_finish(writer, &error);
    if (first && header.count > header_length) header.count = header_length;
    return status;
}

/* Makes the header of a file with the tensors of one shard, in their order, and other metadata; its data is that of the
 * shard. The header lies in header_bytes. */
st_status EXPORT(make_header)(uint32_t shard, const st_pair *pairs, size_t count, int has_metadata, size_t slack) {
    st_save_options options = ST_ZERO_INIT;
    st_sink sink;
    st_writer *writer;
    uint64_t data_bytes;
    st_status status;
    header.count = 0;
    sink.user = &header;
    sink.write = collect;
    options.flags = ST_SAVE_KEEP_ORDER;
    options.sink = &sink;
    options.slack = slack;
    options.allocator = &allocator;
    status = st_writer_open(&writer, NULL, &options, &error);
    if (status != ST_OK) return status;
    status = declare(writer, shard, pairs, count, has_metadata, &data_bytes);
    if (status == ST_OK) status = write_header(writer, data_bytes);
    st_writer_close(writer);
    return status;
}
