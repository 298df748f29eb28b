/* Tests room 14 with 100,000 weights in 1,000 shards, on disk and in a pack: only a few files stay open at a time,
 * all shards can be read, and a shard that changed since st_open is detected. */
#include "../safetensors.h"

#include "large.h"
#include "models.h"

#ifdef _WIN32
#include <sys/utime.h>
#else
#include <dirent.h>
#include <fcntl.h>
#include <utime.h>
#endif

enum { SHARDS = 1000, EACH = 100, KEPT = 64, TOUCHED = 64 };

static pack p;
static st_error error;

static void shard_name(char name[64], size_t shard) {
    snprintf(name, 64, "model-%05u-of-%05u.safetensors", (unsigned)shard + 1, (unsigned)SHARDS);
}

/* weights "layers.SHARD.w0" ...: one byte each, 'a' + number % 26, as in many_tensors */
static void put_all(void) {
    growing text = {NULL, 0, 0};
    char name[64], digits[21], prefix[64];
    size_t i, k, n;
    text_put(&text, "{\"metadata\":{\"total_size\":100000},\"weight_map\":{");
    for (i = 0; i < SHARDS; i++) {
        unsigned char *file;
        snprintf(prefix, sizeof prefix, "layers.%u.w", (unsigned)i);
        file = many_tensors(prefix, EACH, i % 2 == 1, &n);
        shard_name(name, i);
        pack_take(&p, name, file, n);
        for (k = 0; k < EACH; k++) {
            text_put(&text, i + k > 0 ? ",\"" : "\"");
            text_put(&text, prefix);
            text_put(&text, test_digits(k, digits));
            text_put(&text, "\":\"");
            text_put(&text, name);
            text_put(&text, "\"");
        }
    }
    text_put(&text, "}}");
    pack_raw(&p, "model.safetensors.index.json", text.at, text.n);
    free(text.at);
}

/* returns the number of this process's open file descriptors, 0 if unknown */
static size_t descriptors(void) {
    size_t n = 0;
#if HAS_POSIX
    DIR *d = opendir("/proc/self/fd");
    if (d == NULL) return 0;
    while (readdir(d) != NULL) n++;
    (void)closedir(d);
#endif
    return n;
}

/* looks up every weight and checks its fields; reads all of them, or a sample if each read opens a file */
static void check_all(const st_model *m, int mapped) {
    const size_t sample = test_thin() > 1 ? 48 : 16;
    size_t i, k;
    if (!CHECK(m != NULL) || !CHECK(m->count == SHARDS * EACH && m->shard_count == SHARDS)) return;
    CHECK_EQ(m->bytes, SHARDS * EACH);
    for (i = 0; i < SHARDS; i++) {
        for (k = 0; k < EACH; k++) {
            char name[64], got = 0;
            const size_t at = i % 2 == 1 ? EACH - 1 - k : k; /* index in data order */
            const st_tensor *t;
            snprintf(name, sizeof name, "layers.%u.w%u", (unsigned)i, (unsigned)k);
            t = st_find(m, name);
            if (t != &m->tensors[i * EACH + at] || t->shard != i || (t->data != NULL) != mapped) {
                CHECK(t == &m->tensors[i * EACH + at] && t->shard == i);
                CHECK(t != NULL && (t->data != NULL) == mapped);
                return;
            }
            if (!mapped && k % sample != i % sample) continue; /* each of these reads opens a file */
            CHECK_STATUS(st_read(m, t, 0, &got, 1, &error), ST_OK);
            if (!CHECK_EQ(got, 'a' + at % 26)) return;
            CHECK_STATUS(st_advise(m, t, ST_ADVISE_WILL_NEED, &error), ST_OK);
        }
    }
    CHECK_STATUS(st_advise(m, NULL, ST_ADVISE_DONE, &error), ST_OK);
    CHECK(st_find(m, "layers.1000.w0") == NULL && st_find(m, "layers.999.w100") == NULL);
}

static void opens_well(unsigned flags) {
    st_open_options options;
    counting memory;
    st_model *m;
    const size_t before = descriptors();
    test_row = flags ? "on disk, not mapped" : "on disk";
    memset(&options, 0, sizeof options);
    counting_begin(&memory);
    options.flags = flags;
    options.allocator = &memory.allocator;
    CHECK_STATUS(st_open(&m, "pack", &options, &error), ST_OK);
    check_all(m, flags == 0);
    if (before > 0) {
        CHECK(descriptors() - before == KEPT);
    } else {
        SKIP("no /proc here, to count files that are open");
    }
    CHECK_EQ(memory.live_blocks, 1);
    CHECK(memory.live_bytes <= SHARDS * EACH * (96 + 14 + 8) + SHARDS * 180 + 1024);
    CHECK(memory.peak_bytes <= memory.live_bytes + p.all[SHARDS].n * 5 / 3 + SHARDS * 400 + (1u << 20) + SHARDS * EACH);
    st_close(m);
    counting_end(&memory);
    CHECK_EQ(descriptors(), before);
}

/* the same through a pack, which also has a limited number of files open */
static void in_a_pack(void) {
    st_open_options options;
    counting memory;
    st_model *m;
    size_t opens, again;
    test_row = "in a pack";
    memset(&options, 0, sizeof options);
    counting_begin(&memory);
    options.allocator = &memory.allocator;
    options.files = &p.files;
    p.mapped = 0;
    p.opens = p.closes = p.reads = p.most_open = 0;
    CHECK_STATUS(st_open(&m, "pack", &options, &error), ST_OK);
    again = p.opens - SHARDS - 1; /* shards reopened because their headers were too long to keep */
    CHECK(again > 0 && again < SHARDS);
    CHECK_EQ(p.reads, 2 * (SHARDS + again) + 1);
    CHECK_EQ(p.opens - p.closes, KEPT);
    CHECK_EQ(p.most_open, KEPT + 1);
    check_all(m, 0);
    CHECK_EQ(p.opens - p.closes, KEPT);
    CHECK_EQ(p.most_open, KEPT + 1);
    opens = p.opens;
    { /* shards that are still open need no further open, others one for each read; reading 0 bytes opens nothing */
        char got;
        CHECK_STATUS(st_read(m, &m->tensors[(KEPT - 1) * EACH], 0, &got, 1, &error), ST_OK);
        CHECK_EQ(p.opens, opens);
        CHECK_STATUS(st_read(m, &m->tensors[KEPT * EACH], 0, &got, 1, &error), ST_OK);
        CHECK_EQ(p.opens, opens + 1);
        CHECK_STATUS(st_read(m, &m->tensors[KEPT * EACH], 1, &got, 0, &error), ST_OK);
        CHECK_EQ(p.opens, opens + 1);
    }
    st_close(m);
    counting_end(&memory);
    CHECK_EQ(p.opens, p.closes);
}

/* ---- a shard that changed --------------------- */

enum change { REPLACED, SHORTER, LONGER, GONE, NEWER, DIRECTORY_NOW, CHANGES };
static const char *const change_names[CHANGES] = {"replaced", "shorter", "longer",
                                                  "gone",     "touched", "a directory now"};

static void change_on_disk(const packed *file, int how) {
    unsigned char *copy = (unsigned char *)malloc(file->n + 1);
    struct utimbuf times;
    if (copy == NULL) exit(2);
    memcpy(copy, file->bytes, file->n);
    copy[file->n] = 0;
    times.actime = times.modtime = 1000000000;
    switch (how) {
    case REPLACED:
        disk_put("pack/new", copy, file->n);
        CHECK(remove(file->path) == 0 && rename("pack/new", file->path) == 0);
        break;
    case SHORTER: disk_put(file->path, copy, file->n - 1); break;
    case LONGER: disk_put(file->path, copy, file->n + 1); break;
    case NEWER: CHECK(utime(file->path, &times) == 0); break;
    default: CHECK(remove(file->path) == 0);
    }
    if (how == DIRECTORY_NOW) CHECK(SCRATCH_MAKE(file->path) == 0);
    free(copy);
}

static void check_changed(const st_model *m, const packed *file) {
    char got[2] = "#", subject[64];
    st_tensor t = m->tensors[TOUCHED * EACH];
    snprintf(subject, sizeof subject, "layers.%u.w0", (unsigned)TOUCHED);
    CHECK_STATUS(st_read(m, &t, 0, got, 1, &error), ST_ERR_IO);
    CHECK(strncmp(error.message, file->path, 20) == 0 && strstr(error.message, "after it was opened") != NULL);
    CHECK_STR(error.subject, subject);
    CHECK_EQ(error.position, t.offset);
    CHECK_STATUS(st_read(m, &t, 1, got, 0, &error), ST_OK); /* reading 0 bytes opens nothing */
    CHECK_STATUS(st_read(m, &m->tensors[(TOUCHED + 1) * EACH], 0, got, 1, &error), ST_OK);
    CHECK_STATUS(st_read(m, &m->tensors[0], 0, got, 1, &error), ST_OK);
}

static void changed_on_disk(void) {
    int how;
    for (how = 0; how < CHANGES; how++) {
        packed *file = &p.all[TOUCHED];
        st_open_options options;
        st_model *m;
        test_row = change_names[how];
        disk_put(file->path, file->bytes, file->n);
        memset(&options, 0, sizeof options);
        options.flags = ST_OPEN_NO_MAP;
        CHECK_STATUS(st_open(&m, "pack", &options, &error), ST_OK);
        if (m == NULL) return;
        change_on_disk(file, how);
        check_changed(m, file);
        st_close(m);
        if (how == DIRECTORY_NOW) CHECK(SCRATCH_DROP(file->path) == 0);
    }
    disk_put(p.all[TOUCHED].path, p.all[TOUCHED].bytes, p.all[TOUCHED].n);
#if MAPS_FILES && !defined(_WIN32) /* a mapping keeps the old contents */
    {
        st_model *m;
        char got = 0;
        test_row = "mapped";
        CHECK_STATUS(st_open(&m, "pack", NULL, &error), ST_OK);
        change_on_disk(&p.all[TOUCHED], GONE);
        if (m != NULL) CHECK_STATUS(st_read(m, &m->tensors[TOUCHED * EACH], 0, &got, 1, &error), ST_OK);
        CHECK_EQ(got, 'a');
        st_close(m);
        disk_put(p.all[TOUCHED].path, p.all[TOUCHED].bytes, p.all[TOUCHED].n);
    }
#endif
}

/* a pack identifies files by st_io's fields; a pack that leaves them 0 is trusted */
static void changed_in_a_pack(void) {
    packed *file = &p.all[TOUCHED];
    const uint64_t id = file->id;
    const size_t n = file->n;
    st_open_options options;
    st_model *m;
    char got = 0;
    int how;
    memset(&options, 0, sizeof options);
    options.files = &p.files;
    p.mapped = 0;
    for (how = 0; how < 4; how++) {
        test_row = "changed in a pack";
        file->id = how == 3 ? 0 : id;
        CHECK_STATUS(st_open(&m, "pack", &options, &error), ST_OK);
        if (m == NULL) return;
        if (how == 0) file->id = id + 1000000;
        if (how == 1) file->n--;
        if (how == 2) file->gone = 1;
        if (how == 3) {
            file->id = id;
            CHECK_STATUS(st_read(m, &m->tensors[TOUCHED * EACH], 0, &got, 1, &error), ST_OK);
        } else {
            check_changed(m, file);
        }
        file->id = id, file->n = n, file->gone = 0;
        p.fail_at = p.calls + 1; /* a failing open, then a failing read: the code is passed on */
        CHECK_STATUS(st_read(m, &m->tensors[TOUCHED * EACH], 0, &got, 1, &error), ST_ERR_IO);
        CHECK_EQ(error.sys, 77);
        p.fail_at = p.calls + 2;
        CHECK_STATUS(st_read(m, &m->tensors[TOUCHED * EACH], 0, &got, 1, &error), ST_ERR_IO);
        CHECK_EQ(error.sys, 77);
        p.fail_at = 0;
        CHECK_STATUS(st_read(m, &m->tensors[TOUCHED * EACH], 0, &got, 1, &error), ST_OK);
        CHECK_EQ(got, 'a');
        CHECK_EQ(p.opens - p.closes, KEPT);
        st_close(m);
    }
}

/* ---- a rejected shard, at any position ---------- */

typedef struct refused_shard {
    const char *name, *header, *data;
    st_status status;
    uint64_t position;
    const char *subject;
} refused_shard;

static const refused_shard refused_shards[] = {
    {"a name twice", "{\"x\":" E("U8", "[1]", "[0,1]") ",\"x\":" E("U8", "[1]", "[1,2]") "}", "xx", ST_ERR_DUPLICATE,
     8 + 53, "x"},
    {"a key twice", "{\"__metadata__\":{\"k\":\"\",\"k\":\"\"},\"x\":" E("U8", "[1]", "[0,1]") "}", "x",
     ST_ERR_DUPLICATE, 8 + 24, "k"},
    {"a name twice, and its bytes", "{\"x\":" E("U8", "[1]", "[0,1]") ",\"x\":" E("U8", "[1]", "[0,1]") "}", "x",
     ST_ERR_DUPLICATE, 8 + 53, "x"},
    {"no JSON", "{\"x\":" E("U8", "[1]", "[0,1]") ",}", "x", ST_ERR_JSON, 8 + 53, ""},
    {"cut short", "{\"x\":" E("U8", "[2]", "[0,2]") "}", "x", ST_ERR_TRUNCATED, UINT64_MAX, ""},
    {"a name of another shard's", "{\"layers.1.w0\":" E("U8", "[1]", "[0,1]") "}", "x", ST_ERR_SHARD, UINT64_MAX,
     "layers.1.w0"},
    {"none of its names", "{\"x\":" E("U8", "[1]", "[0,1]") "}", "x", ST_ERR_SHARD, UINT64_MAX, NULL},
};

static void refused(void) {
    static const size_t which[] = {0, KEPT - 1, KEPT, 300, SHARDS - 1};
    size_t i, k;
    for (i = 0; i < sizeof which / sizeof *which; i++) {
        for (k = 0; k < sizeof refused_shards / sizeof *refused_shards; k++) {
            const refused_shard *row = &refused_shards[k];
            packed *file = &p.all[which[i]], before = *file;
            char where[80], name[64];
            st_open_options options;
            counting memory;
            st_model *m;
            snprintf(where, sizeof where, "%s, shard %u", row->name, (unsigned)which[i]);
            test_row = where;
            file->bytes = make_file(row->header, strlen(row->header), row->data, strlen(row->data), &file->n);
            memset(&options, 0, sizeof options);
            counting_begin(&memory);
            options.allocator = &memory.allocator;
            options.files = &p.files;
            p.mapped = 0;
            p.opens = p.closes = 0;
            CHECK_STATUS(st_open(&m, "pack", &options, &error), row->status);
            CHECK(m == NULL);
            if (row->position != UINT64_MAX) CHECK_EQ(error.position, row->position);
            if (row->subject != NULL) CHECK_STR(error.subject, row->subject);
            shard_name(name, which[i]);
            CHECK(strstr(error.message, name) != NULL);
            counting_end(&memory);
            CHECK_EQ(p.opens, p.closes);
            free(file->bytes);
            *file = before;
        }
    }
    test_row = "";
}

#ifdef __linux__
/* more files than the process can map are read instead, unless ST_OPEN_MUST_MAP is set */
static void more_than_are_mapped(void) {
    enum { FILES = 16385 };
    growing text = {NULL, 0, 0};
    char path[64], header[80];
    unsigned i;
    st_open_options options;
    st_model *m;
    CHECK(SCRATCH_MAKE("maps") == 0);
    text_put(&text, "{\"weight_map\":{");
    for (i = 0; i < FILES; i++) {
        unsigned char *file;
        size_t n;
        snprintf(header, sizeof header, "{\"t%u\":" E("U8", "[1]", "[0,1]") "}", i);
        file = make_file(header, strlen(header), "t", 1, &n);
        snprintf(path, sizeof path, "maps/%u.safetensors", i);
        disk_put(path, file, n);
        free(file);
        snprintf(header, sizeof header, "%s\"t%u\":\"%u.safetensors\"", i > 0 ? "," : "", i, i);
        text_put(&text, header);
    }
    text_put(&text, "}}");
    disk_put("maps/model.safetensors.index.json", text.at, text.n);
    free(text.at);
    memset(&options, 0, sizeof options);
    for (i = 0; i < 3; i++) {
        char got = 0;
        test_row = i == 0 ? "many files" : i == 1 ? "many files, mapped" : "not as many";
        options.flags = i == 1 ? ST_OPEN_MUST_MAP : 0;
        if (i == 2) CHECK(remove("maps/77.safetensors") == 0);
        if (i == 2) options.flags = ST_OPEN_PARTIAL; /* the limit applies to the index's list */
        CHECK_STATUS(st_open(&m, "maps", &options, &error), ST_OK);
        if (m == NULL) continue;
        CHECK(m->shard_count == FILES && (m->tensors[5000].data != NULL) == (i == 1));
        CHECK_STATUS(st_read(m, &m->tensors[FILES - 2], 0, &got, 1, &error), ST_OK);
        CHECK_EQ(got, 't');
        st_close(m);
    }
    CHECK(remove("maps/model.safetensors.index.json") == 0);
    for (i = 0; i < FILES; i++) {
        snprintf(path, sizeof path, "maps/%u.safetensors", i);
        CHECK(i == 77 || remove(path) == 0);
    }
    CHECK(SCRATCH_DROP("maps") == 0);
    test_row = "";
}
#endif

#ifndef _WIN32
/* a large file under many names is rejected at the second name, before the others are read */
static void one_file_of_many_names(void) {
    enum { LINKS = 30, TENSORS = 5000 };
    st_open_options options;
    growing text = {NULL, 0, 0};
    counting memory;
    st_model *m;
    unsigned char *file;
    char path[64];
    size_t n, i;
    test_row = "one file of many names";
    file = many_tensors("w", TENSORS, 0, &n);
    CHECK(SCRATCH_MAKE("links") == 0);
    disk_put("links/0.safetensors", file, n);
    free(file);
    text_put(&text, "{\"weight_map\":{");
    for (i = 0; i < LINKS; i++) {
        char member[64];
        snprintf(path, sizeof path, "links/%u.safetensors", (unsigned)i);
        if (i > 0)
            CHECK(i % 2 || !HAS_HARD_LINKS ? symlink("0.safetensors", path) == 0
                                           : link("links/0.safetensors", path) == 0);
        snprintf(member, sizeof member, "%s\"w%u\":\"%u.safetensors\"", i > 0 ? "," : "", (unsigned)i, (unsigned)i);
        text_put(&text, member);
    }
    text_put(&text, "}}");
    disk_put("links/model.safetensors.index.json", text.at, text.n);
    free(text.at);
    memset(&options, 0, sizeof options);
    counting_begin(&memory);
    options.allocator = &memory.allocator;
    CHECK_STATUS(st_open(&m, "links", &options, &error), ST_ERR_SHARD);
    CHECK(m == NULL && strstr(error.message, "same file") != NULL);
    CHECK_STR(error.subject, "1.safetensors");
    CHECK(memory.peak_bytes < 3 * n);
    counting_end(&memory);
    CHECK(remove("links/model.safetensors.index.json") == 0);
    for (i = 0; i < LINKS; i++) {
        snprintf(path, sizeof path, "links/%u.safetensors", (unsigned)i);
        CHECK(remove(path) == 0);
    }
    CHECK(SCRATCH_DROP("links") == 0);
    test_row = "";
}
#endif

/* work buffers support single-file models only; fails before anything is opened */
static void work(void) {
    static uint64_t buffer[512];
    st_open_options options;
    st_model *m;
    test_row = "work buffer";
    memset(&options, 0, sizeof options);
    options.files = &p.files;
    options.work.data = buffer;
    options.work.bytes = sizeof buffer;
    p.opens = p.closes = 0;
    CHECK_STATUS(st_open(&m, "pack/model.safetensors.index.json", &options, &error), ST_ERR_ARGUMENT);
    CHECK(m == NULL && p.opens == 0);
    CHECK_STR(error.message, "pack/model.safetensors.index.json: options.work is for models of one file: set "
                             "options.allocator instead");
}

int main(void) {
    models_begin("many_shards");
    pack_begin(&p, 1);
    put_all();
    opens_well(MAPS_FILES ? 0 : ST_OPEN_NO_MAP);
    opens_well(ST_OPEN_NO_MAP);
    in_a_pack();
    changed_on_disk();
    changed_in_a_pack();
    refused();
    work();
#ifdef __linux__
    more_than_are_mapped();
#endif
#ifndef _WIN32
    one_file_of_many_names();
#endif
    test_row = "";
    pack_end(&p);
    models_end();
    return test_done("many_shards");
}
