/* fuzz_shards.c: saves a model in several files, with one call or as several processes would, into a directory with
 * arbitrary contents: any index text, another model's index, files that look like its shards. Afterwards the
 * directory opens as the new model, or nothing has changed; only files named like shards may be removed.
 * Input: three option bytes, then the text of the older index. */
#include "fuzz.h"

#ifdef ST_NO_FILES
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    (void)data, (void)size;
    return 0;
}
#else
#include "folder.h"

#define OPTION_BYTES 3
#define OLD_INDEX "model.safetensors.index.json"
#define OTHER_INDEX "other.safetensors.index.json"

enum { MOST_TENSORS = 6 };

/* option byte 0: the low bits hold the number of tensors minus 1, then these flags; byte 1 is the knob: sizes,
 * limits, and
 * which other index exists; byte 2: which files exist, one bit each */
enum { HAS_OTHER = 8, NO_OLD = 16, HAS_STEM = 32, MANY_PROCESSES = 64 };

#define STEM "stem.v"

/* ---- the directory ------------------------------------------------------------------------------------------------ */

static const char *const files[] = {"a.safetensors",
                                    "b.safetensors",
                                    "keep.bin",
                                    "model-00001-of-00002.safetensors",
                                    "model-00002-of-00003.safetensors",
                                    "model-00009-of-00009.safetensors",
                                    "model.safetensors",
                                    "c d.safetensors"};

enum { FILES = sizeof files / sizeof *files, SHARDS = 3, SINGLE = 6 }; /* SHARDS: the first of three */

static const char *const others[] = {"{\"weight_map\":{\"x\":\"a.safetensors\",\"y\":\"c\\u0020d.safetensors\"}}",
                                     "{\"weight_map\":{\"x\":\"model-00001-of-00002.safetensors\"}}",
                                     "{\"weight_map\":{\"x\":\"model.safetensors\"}}", "{\"weight_map\":"};

static char folder[128], path[192];

static const char *path_of(const char *name) {
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

static void write_file(const char *name, const void *bytes, size_t n) {
    FILE *file = fopen(path_of(name), "wb");
    CHECK(file != NULL && fwrite(bytes, 1, n, file) == n && fclose(file) == 0);
}

static int holds(const char *name, const void *bytes, size_t n) {
    FILE *file = fopen(path_of(name), "rb");
    char *got = (char *)malloc(n + 2);
    int same;
    CHECK(got != NULL);
    same = file != NULL && fread(got, 1, n + 1, file) == n && memcmp(got, bytes, n) == 0;
    if (file) fclose(file);
    free(got);
    return same;
}

/* removes all files; returns the number that only the library can have made and should have removed */
static unsigned clear_folder(void) {
    char names[64][64];
    unsigned n = 0, hidden = 0;
    struct dirent *found;
    DIR *d = opendir(folder);
    CHECK(d != NULL);
    while ((found = readdir(d)) != NULL) {
        if (strcmp(found->d_name, ".") == 0 || strcmp(found->d_name, "..") == 0) continue;
        CHECK(n < 64 && strlen(found->d_name) < sizeof names[0]);
        hidden += found->d_name[0] == '.';
        strcpy(names[n++], found->d_name);
    }
    closedir(d);
    while (n > 0) CHECK(remove(path_of(names[--n])) == 0);
    return hidden;
}

static void drop_folder(void) {
    (void)clear_folder();
    (void)DROP_FOLDER(folder);
    if (strcmp(folder_root(), "build") == 0) (void)DROP_FOLDER("build"); /* fails unless it is empty */
}

static void make_folder(void) {
    if (folder[0]) return;
    (void)MAKE_FOLDER(folder_root());
    snprintf(folder, sizeof folder, "%s/tmp.fuzz_shards.%ld", folder_root(), (long)PROCESS_ID());
    CHECK(MAKE_FOLDER(folder) == 0);
    atexit(drop_folder);
}

/* ---- one input ---------------------------------------------------------------------------------------------------- */

typedef struct input {
    const uint8_t *index;
    size_t n;
    unsigned options, knob, there;
    st_tensor tensors[MOST_TENSORS];
    uint64_t shapes[MOST_TENSORS];
    char names[MOST_TENSORS][8];
    size_t count;
    uint64_t limit;
    uint32_t shards;
} input;

static const uint8_t bytes_of_all[8] = {1, 2, 3, 4, 5, 6, 7, 8};

static int is_there(const input *in, int file) {
    return (in->there >> file & 1) != 0;
}

static const char *other_of(const input *in) {
    return in->options & HAS_OTHER ? others[in->knob >> 6] : NULL;
}

/* the expected plan, written from the documented rules */
static uint32_t count_shards(const input *in) {
    uint64_t held = 0;
    uint32_t shards = 1;
    size_t i, in_shard = 0;
    for (i = 0; i < in->count; i++) {
        const uint64_t n = in->tensors[i].bytes;
        if (in_shard > 0 && held + n > in->limit) {
            shards++;
            held = 0;
            in_shard = 0;
        }
        held += n;
        in_shard++;
    }
    return shards;
}

static void read_input(input *in, const uint8_t *data, size_t size) {
    size_t i;
    memset(in, 0, sizeof *in);
    in->options = data[0];
    in->knob = data[1];
    in->there = data[2];
    in->index = data + OPTION_BYTES;
    in->n = size - OPTION_BYTES;
    in->count = 1 + (in->options & 7) % MOST_TENSORS;
    in->limit = 1 + in->knob % 8;
    for (i = 0; i < in->count; i++) {
        st_tensor *t = &in->tensors[i];
        snprintf(in->names[i], sizeof in->names[i], "t%u", (unsigned)(in->count - i));
        in->shapes[i] = (in->knob >> i) % 4;
        t->name = in->names[i];
        t->dtype = ST_DTYPE_U8;
        t->rank = 1;
        t->shape = &in->shapes[i];
        t->data = bytes_of_all + i;
        t->bytes = in->shapes[i];
    }
    in->shards = count_shards(in);
}

static void set_up(const input *in) {
    int i;
    (void)clear_folder();
    for (i = 0; i < FILES; i++) {
        if (is_there(in, i)) write_file(files[i], files[i], strlen(files[i]));
    }
    if (!(in->options & NO_OLD)) write_file(OLD_INDEX, in->index, in->n);
    if (other_of(in)) write_file(OTHER_INDEX, other_of(in), strlen(other_of(in)));
}

static const char *stem_of(const input *in) {
    return in->options & HAS_STEM ? STEM : NULL;
}

/* whether the directory holds another model, so that saving is refused */
static int has_another(const input *in) {
    int i, singles = 0, shards = 0;
    for (i = 0; i < FILES; i++) {
        if (!is_there(in, i)) continue;
        singles += i != 2 && (i < SHARDS || i > SINGLE); /* all but keep.bin */
        shards += i >= SHARDS && i <= SINGLE;            /* and model.safetensors */
    }
    if (other_of(in)) return 1;
    return (in->options & HAS_STEM) && (!(in->options & NO_OLD) || shards || (in->shards == 1 && singles));
}

static int is_new(const input *in, const char *name) {
    char shard[ST_SHARD_NAME_BYTES];
    uint32_t i;
    for (i = 0; i < in->shards; i++) {
        CHECK(st_shard_name(stem_of(in), i, in->shards, shard, sizeof shard) == ST_OK);
        if (strcmp(shard, name) == 0) return 1;
    }
    return 0;
}

/* checks that nothing in the directory changed */
static void check_untouched(const input *in) {
    int i;
    for (i = 0; i < FILES; i++) CHECK(!is_there(in, i) || holds(files[i], files[i], strlen(files[i])));
    CHECK((in->options & NO_OLD) || holds(OLD_INDEX, in->index, in->n));
}

/* whether a save may remove this file: it is named like a shard, or model.safetensors */
static int may_go(int file) {
    return file >= SHARDS && file <= SINGLE;
}

static const char *index_of(const input *in) {
    return in->options & HAS_STEM ? "stem.safetensors.index.v.json" : OLD_INDEX;
}

/* checks that the shards open without their index, and get the same index again */
static void check_index(const input *in) {
    char before[4096], after[sizeof before];
    FILE *file = fopen(path_of(index_of(in)), "rb");
    st_open_options open_options;
    st_save_options o;
    st_contents c;
    st_error error;
    st_model *m;
    size_t n;
    memset(&open_options, 0, sizeof open_options);
    memset(&o, 0, sizeof o);
    CHECK(file != NULL);
    n = fread(before, 1, sizeof before, file);
    CHECK(n < sizeof before && fclose(file) == 0 && remove(path_of(index_of(in))) == 0);
    open_options.flags = ST_OPEN_NO_INDEX;
    CHECK(st_open(&m, folder, &open_options, &error) == ST_OK && m->shard_count == in->shards && m->count == in->count);
    c = st_contents_of(m);
    o.flags = ST_SAVE_AS_OPENED | ST_SAVE_NO_SYNC;
    CHECK(st_save_index(folder, &c, &o, &error) == ST_OK);
    st_close(m);
    file = fopen(path_of(index_of(in)), "rb");
    CHECK(file != NULL && fread(after, 1, sizeof after, file) == n && memcmp(before, after, n) == 0);
    CHECK(fclose(file) == 0);
}

/* checks that the new model exists and that only files that may stay are left */
static void check_saved(const input *in) {
    st_model *m;
    st_error error;
    uint8_t got[4];
    size_t i;
    int k;
    CHECK(st_open(&m, folder, NULL, &error) == ST_OK && m->shard_count == in->shards && m->count == in->count);
    for (i = 0; i < in->count; i++) {
        const st_tensor *want = &in->tensors[i], *t = st_find(m, want->name);
        CHECK(t != NULL && t->bytes == want->bytes && t->rank == 1 && t->shape[0] == want->bytes);
        CHECK(st_read(m, t, 0, got, (size_t)t->bytes, NULL) == ST_OK && memcmp(got, want->data, (size_t)t->bytes) == 0);
    }
    st_close(m);
    for (k = 0; k < FILES; k++) {
        if (is_new(in, files[k])) continue;
        CHECK(holds(files[k], files[k], strlen(files[k])) == (is_there(in, k) && !may_go(k)));
    }
    CHECK(in->shards > 1 || !holds(OLD_INDEX, in->index, in->n));
    if (in->shards > 1) check_index(in);
}

/* ---- saving ------------------------------------------------------------------------------------------------------- */

static st_contents contents_of(const input *in) {
    st_contents c;
    memset(&c, 0, sizeof c);
    c.tensors = in->tensors;
    c.count = in->count;
    return c;
}

/* saves as several processes would, one after another */
static st_status save_in_parts(const input *in, const st_save_options *o, st_error *error) {
    uint32_t shards[MOST_TENSORS], count, i;
    st_save_options one = *o;
    st_contents contents;
    char name[ST_SHARD_NAME_BYTES];
    size_t begin, end = in->count;
    const st_contents whole = contents_of(in);
    st_status s = st_plan_shards(&whole, o, shards, &count, error);
    CHECK(s == ST_OK && count == in->shards);
    if (!o->stem) { /* these are another model's beside files of that stem */
        (void)remove(path_of(OLD_INDEX));
        (void)remove(path_of(files[SINGLE]));
    }
    for (i = 0; i < count; i++) {
        CHECK(st_shard_name(stem_of(in), i, count, name, sizeof name) == ST_OK);
        (void)remove(path_of(name));
    }
    one.max_shard_bytes = 0;
    one.stem = NULL;
    contents = whole;
    for (i = count; s == ST_OK && i > 0; i--, end = begin) {
        for (begin = end; begin > 0 && shards[begin - 1] == i - 1; begin--) {}
        CHECK(st_shard_name(stem_of(in), i - 1, count, name, sizeof name) == ST_OK);
        contents.tensors = in->tensors + begin;
        contents.count = end - begin;
        s = st_save(path_of(name), &contents, &one, error);
    }
    return s == ST_OK ? st_save_index(folder, &whole, o, error) : s;
}

static st_status save(const input *in, const st_save_options *o, st_error *error) {
    const st_contents whole = contents_of(in);
    if (in->options & MANY_PROCESSES) return save_in_parts(in, o, error);
    return st_save_sharded(folder, &whole, o, error);
}

static void check_end(const input *in, st_status status) {
    if (status == ST_OK) {
        check_saved(in);
    } else if (!(in->options & MANY_PROCESSES)) {
        check_untouched(in);
    }
    CHECK(clear_folder() == 0);
}

static void try_allocator(const input *in, st_save_options o) {
    fuzz_heap heap;
    st_allocator allocator = fuzz_allocator(&heap);
    st_error error;
    st_status status;
    unsigned fail_at;
    o.allocator = &allocator;
    set_up(in);
    status = save(in, &o, &error);
    CHECK(heap.live == 0 && status == (has_another(in) ? ST_ERR_SHARD : ST_OK) && error.status == status);
    CHECK(!other_of(in) || holds(OTHER_INDEX, other_of(in), strlen(other_of(in))));
    check_end(in, status);

    fail_at = 1 + in->knob % (heap.calls ? heap.calls : 1);
    set_up(in);
    allocator = fuzz_allocator(&heap);
    heap.fail_at = fail_at;
    status = save(in, &o, &error);
    CHECK(heap.live == 0 && (status == ST_ERR_MEMORY || heap.calls < fail_at || has_another(in)));
    check_end(in, status);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    input in;
    st_save_options o;
    if (size < OPTION_BYTES || size > 4096) return 0;
    make_folder();
    read_input(&in, data, size);
    memset(&o, 0, sizeof o);
    o.flags = ST_SAVE_NO_SYNC;
    o.max_shard_bytes = in.limit;
    o.stem = stem_of(&in);
    try_allocator(&in, o);
    return 0;
}
#endif
