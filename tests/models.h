/* models.h: a set of model files, in memory and on disk under the same paths (pack/NAME in the scratch directory).
 * Opens them in every way and checks that the results agree. In memory, every call of st_files is counted and can be
 * made to fail, and paths outside the directory are never opened. */
#ifndef MODELS_H
#define MODELS_H
#include "cases.h"
#include "sources.h"

typedef struct packed { /* one file */
    struct pack *pack;
    char *path;
    unsigned char *bytes;
    size_t n;
    uint64_t id;
    size_t opened; /* current number of opens */
    int gone;      /* removed: opening it fails */
} packed;

typedef struct pack {
    st_files files;
    packed *all;
    size_t count, room;
    int mapped;   /* provide mapped pointers */
    int disk;     /* also write the files to the current directory */
    size_t calls; /* calls of open, read_at and list */
    size_t opens, closes, reads, lists, most_open;
    size_t indexes;   /* opens of index files */
    size_t fail_at;   /* the call, from 1, that fails with `code`; 0: none */
    int fail_forever; /* all later calls fail as well */
    int code;
    const char *revision; /* set: paths are repositories of the hub cache, at this revision */
    int hub;
} pack;

static inline int pack_refuses(pack *p) {
    p->calls++;
    return p->fail_at > 0 && (p->calls == p->fail_at || (p->fail_forever && p->calls > p->fail_at));
}

/* returns whether every part of a path below pack/ is a plain name; independent of the library's path policy */
static inline int pack_holds(const char *path) {
    const char *part;
    if (strncmp(path, "pack", 4) != 0) return 0;
    for (part = path + 4; *part == '/';) {
        const size_t n = strcspn(++part, "/");
        if (n == 0) return part[0] == 0; /* the directory with a trailing slash */
        if (n == 6 && strncmp(part, ".cache", 6) == 0 && path[4] == '/' &&
            strncmp(part + 6, "/huggingface/hub/", 17) == 0) {
            part += n; /* the default cache in a home directory */
            continue;
        }
        if (part[0] == '.' || part[n - 1] == '.' || part[0] == ' ' || part[n - 1] == ' ') return 0;
        if (strcspn(part, "\\:*?\"<>|\177") < n) return 0;
        part += n;
    }
    return *part == 0;
}

static inline packed *pack_find(pack *p, const char *path) {
    size_t i;
    for (i = 0; i < p->count; i++) {
        if (!p->all[i].gone && strcmp(p->all[i].path, path) == 0) return &p->all[i];
    }
    return NULL;
}

static inline int pack_read_at(void *user, uint64_t offset, void *dst, size_t bytes) {
    const packed *file = (const packed *)user;
    CHECK(file->opened > 0); /* reading a closed file is an error */
    file->pack->reads++;
    if (pack_refuses(file->pack)) return file->pack->code;
    if (!CHECK(bytes > 0 && offset <= file->n && bytes <= file->n - offset)) return 1000;
    memcpy(dst, file->bytes + offset, bytes);
    return 0;
}

static inline int pack_open(void *user, const char *path, st_io *io) {
    static const st_io zero;
    pack *p = (pack *)user;
    packed *file;
    CHECK(memcmp(io, &zero, sizeof zero) == 0); /* the library zeroes it; a callback sets the members it knows */
    CHECK(pack_holds(path));
    if (strlen(path) > 5 && strcmp(path + strlen(path) - 5, ".json") == 0) p->indexes++;
    if (pack_refuses(p)) return p->code;
    file = pack_find(p, path);
    if (file == NULL) {
        memset(io, 0x5a, sizeof *io); /* contents after a failure must be ignored */
        return ST_IO_NOT_FOUND;
    }
    p->opens++;
    file->opened++;
    if (p->opens - p->closes > p->most_open) p->most_open = p->opens - p->closes;
    io->user = file;
    io->bytes = file->n;
    io->id[1] = file->id;
    if (p->mapped) {
        io->mapped = file->bytes;
    } else {
        io->read_at = pack_read_at;
    }
    return 0;
}

static inline void pack_close(void *user, st_io *io) {
    pack *p = (pack *)user;
    CHECK(io != NULL && ((const packed *)io->user)->pack == p);
    if (CHECK(((packed *)io->user)->opened > 0)) ((packed *)io->user)->opened--;
    p->closes++;
    CHECK(p->closes <= p->opens);
}

static inline int pack_list(void *user, const char *directory, int (*each)(void *arg, const char *name), void *arg) {
    pack *p = (pack *)user;
    size_t n = strlen(directory), i;
    int stop = 0, there = 0;
    p->lists++;
    CHECK(pack_holds(directory));
    if (pack_refuses(p)) return p->code;
    while (n > 0 && directory[n - 1] == '/') n--;
    for (i = 0; i < p->count && !stop; i++) {
        const char *path = p->all[i].path;
        if (p->all[i].gone || strncmp(path, directory, n) != 0 || path[n] != '/') continue;
        there = 1;
        if (strchr(path + n + 1, '/') == NULL) stop = each(arg, path + n + 1);
    }
    return there || (n == 4 && memcmp(directory, "pack", 4) == 0) ? stop : ST_IO_NOT_FOUND;
}

static inline void pack_begin(pack *p, int disk) {
    memset(p, 0, sizeof *p);
    p->disk = disk;
    p->code = 77;
    p->files.user = p;
    (p->files.open) = pack_open;
    (p->files.close) = pack_close;
    p->files.list = pack_list;
    if (disk) CHECK(SCRATCH_MAKE("pack") == 0);
}

static inline void disk_put(const char *path, const void *bytes, size_t n) {
    FILE *file;
    (void)remove(path);
    file = fopen(path, "wb");
    if (CHECK(file != NULL)) CHECK((n == 0 || fwrite(bytes, 1, n, file) == n) && fclose(file) == 0);
}

static inline void disk_text(const char *path, const char *text) {
    disk_put(path, text, strlen(text));
}

/* takes ownership of the malloc'ed bytes; replaces an existing file */
static inline void pack_take(pack *p, const char *name, unsigned char *bytes, size_t n) {
    static uint64_t id;
    char path[300];
    packed *file;
    snprintf(path, sizeof path, "pack/%s", name);
    file = pack_find(p, path);
    if (file == NULL) {
        if (p->count == p->room) {
            p->room = p->room * 2 + 16;
            p->all = (packed *)realloc(p->all, p->room * sizeof *p->all);
            if (p->all == NULL) exit(2);
        }
        file = &p->all[p->count++];
        memset(file, 0, sizeof *file);
        file->pack = p;
        file->path = (char *)malloc(strlen(path) + 1);
        if (file->path == NULL) exit(2);
        strcpy(file->path, path);
    }
    free(file->bytes);
    file->bytes = bytes;
    file->n = n;
    file->id = ++id;
    if (p->disk) disk_put(path, bytes, n);
}

/* adds a file with these bytes */
static inline void pack_raw(pack *p, const char *name, const void *bytes, size_t n) {
    unsigned char *copy = (unsigned char *)malloc(n > 0 ? n : 1);
    if (copy == NULL) exit(2);
    if (n > 0) memcpy(copy, bytes, n);
    pack_take(p, name, copy, n);
}

static inline void pack_text(pack *p, const char *name, const char *text) {
    pack_raw(p, name, text, strlen(text));
}

/* adds a safetensors file */
static inline void pack_shard(pack *p, const char *name, const char *header, const char *data) {
    size_t n;
    unsigned char *file = make_file(header, strlen(header), data, strlen(data), &n);
    pack_take(p, name, file, n);
}

static inline void pack_drop(pack *p, const char *name) {
    char path[300];
    packed *file;
    snprintf(path, sizeof path, "pack/%s", name);
    file = pack_find(p, path);
    if (!CHECK(file != NULL)) return;
    file->gone = 1;
    if (p->disk) CHECK(remove(path) == 0);
}

/* removes all files */
static inline void pack_clear(pack *p) {
    size_t i;
    CHECK_EQ(p->opens, p->closes);
    for (i = 0; i < p->count; i++) {
        if (p->disk && !p->all[i].gone) CHECK(remove(p->all[i].path) == 0);
        free(p->all[i].path);
        free(p->all[i].bytes);
    }
    p->count = 0;
}

static inline void pack_end(pack *p) {
    pack_clear(p);
    free(p->all);
    if (p->disk) CHECK(SCRATCH_DROP("pack") == 0);
}

/* ---- every way to open a model ---- */

enum way { BY_READ, BY_MEMORY, BY_READ_WORK, FROM_DISK, FROM_DISK_NO_MAP, FROM_DISK_WORK, WAYS };

static const char *const model_ways[WAYS] = {"st_files", "st_files in memory", "st_files, work buffer",
                                             "disk",     "disk, not mapped",   "disk, work buffer"};

typedef struct opened {
    pack *pack;
    counting memory;
    void *work;
    size_t rounds; /* attempts until the work buffer sufficed */
    st_open_options options;
    st_model *model;
    st_error error;
} opened;

static inline st_status opened_call(opened *o, const char *path) {
    st_status status;
    memset(&o->error, 0xee, sizeof o->error);
    o->model = (st_model *)(void *)o;
    status = o->pack->hub ? st_open_hub(&o->model, path, o->pack->revision, NULL, &o->options, &o->error)
                          : st_open(&o->model, path, &o->options, &o->error);
    CHECK((status == ST_OK) == (o->model != NULL));
    CHECK_STATUS(o->error.status, status);
    if (status != ST_OK) {
        check_text(o->error.subject, sizeof o->error.subject);
        check_text(o->error.message, sizeof o->error.message);
        CHECK(strncmp(o->error.message, path, strlen(path) < 40 ? strlen(path) : 40) == 0 ||
              strncmp(o->error.message, "pack/", 5) == 0);
    }
    return status;
}

/* opens with a work buffer that grows as errors ask */
static inline st_status opened_work(opened *o, const char *path) {
    st_status status;
    size_t bytes = 1;
    do {
        free(o->work);
        o->work = malloc(bytes);
        if (o->work == NULL) exit(2);
        memset(o->work, 0xa5, bytes);
        o->options.work.data = o->work;
        o->options.work.bytes = bytes;
        status = opened_call(o, path);
        if (status != ST_ERR_MEMORY) break;
        o->rounds++;
        if (!CHECK(o->error.expected > bytes && o->error.expected < (1u << 28))) break;
        bytes = (size_t)o->error.expected;
    } while (CHECK(o->rounds < 6)); /* a round each: directory, hub paths, contents */
    if (o->model != NULL) {
        CHECK((char *)o->model >= (char *)o->work && (char *)o->model < (char *)o->work + bytes);
    }
    CHECK_EQ(o->memory.calls, 0);
    return status;
}

static inline st_status opened_begin(opened *o, pack *p, int way, const char *path, const st_open_options *base) {
    st_status status;
    memset(o, 0, sizeof *o);
    o->pack = p;
    counting_begin(&o->memory);
    if (base != NULL) o->options = *base;
    o->options.allocator = &o->memory.allocator;
    if (way < FROM_DISK) o->options.files = &p->files;
    if (way == FROM_DISK_NO_MAP) o->options.flags |= ST_OPEN_NO_MAP;
    p->mapped = way == BY_MEMORY;
    status = way == BY_READ_WORK || way == FROM_DISK_WORK ? opened_work(o, path) : opened_call(o, path);
    if (status != ST_OK) {
        counting_end(&o->memory);
        CHECK_EQ(p->opens, p->closes);
    } else if (o->work == NULL) {
        CHECK_EQ(o->memory.live_blocks, 1);
    }
    return status;
}

static inline void opened_end(opened *o) {
    st_close(o->model);
    o->model = NULL;
    counting_end(&o->memory);
    CHECK_EQ(o->pack->opens, o->pack->closes);
    free(o->work);
    o->work = NULL;
}

/* checks what holds for every model of several files: fields, bytes through each call, memory */
static inline void check_files(const opened *o, int way) {
    const st_model *m = o->model;
    const pack *p = o->pack;
    const int drops = (o->options.flags & ST_OPEN_INDEX_DECIDES) != 0; /* copies leave gaps */
    uint64_t bytes = 0, before = 0;
    size_t i, retained = 512;
    st_error error;
    for (i = 0; i < m->shard_count; i++) {
        const st_shard *s = &m->shards[i];
        const packed *file = pack_find(o->pack, s->path);
        CHECK_EQ(s->file_bytes, file != NULL ? file->n : 0);
        CHECK(i == 0 || strcmp(m->shards[i - 1].path, s->path) < 0);
        CHECK(s->metadata != NULL || s->metadata_count == 0);
        retained += 120 + strlen(s->path) + 1 + 40 * s->metadata_count;
        if (file == NULL) continue;
        bytes += s->file_bytes - s->data_offset;
        retained += file->n; /* texts of metadata and dtypes, and the names a second time */
    }
    CHECK(drops ? m->bytes <= bytes : m->bytes == bytes);
    CHECK(m->metadata == m->shards[0].metadata && m->metadata_count == m->shards[0].metadata_count);
    for (i = 0; i < m->count; i++) {
        const st_tensor *t = &m->tensors[i];
        const unsigned char *want = pack_find(o->pack, m->shards[t->shard].path)->bytes + t->offset;
        unsigned char got[64];
        const size_t n = t->bytes < sizeof got ? (size_t)t->bytes : sizeof got;
        st_tensor copy = *t;
        if (i > 0 && t->shard == t[-1].shard) {
            CHECK(drops ? t->offset >= before : t->offset == before);
        } else {
            CHECK(i == 0 || t->shard > t[-1].shard);
            CHECK(drops || t->offset == m->shards[t->shard].data_offset);
        }
        before = t->offset + t->bytes;
        CHECK(st_find_n(m, t->name, t->name_bytes) == t);
        CHECK((t->data != NULL) == (way == BY_MEMORY || (MAPS_FILES && (way == FROM_DISK || way == FROM_DISK_WORK))));
        if (t->data != NULL) CHECK(memcmp(t->data, want, (size_t)t->bytes) == 0);
        memset(got, 0xee, sizeof got);
        CHECK_STATUS(st_read(m, &copy, t->bytes - n, got, n, &error), ST_OK);
        CHECK(memcmp(got, want + t->bytes - n, n) == 0);
        CHECK_STATUS(st_read(m, t, 1, got, (size_t)t->bytes, &error), ST_ERR_ARGUMENT); /* one byte past its end */
        CHECK_STATUS(st_advise(m, t, ST_ADVISE_WILL_NEED, &error), ST_OK);
        copy.shard = (uint32_t)m->shard_count;
        CHECK_STATUS(st_read(m, &copy, 0, got, 0, &error), ST_ERR_ARGUMENT);
        CHECK_STATUS(st_advise(m, &copy, ST_ADVISE_WILL_NEED, &error), ST_ERR_ARGUMENT);
        retained += 96 + t->name_bytes + 8 * (size_t)t->rank;
    }
    for (i = 0; i < m->index_count; i++) {
        const st_pair *pair = &m->index[i];
        CHECK(pair->key[pair->key_bytes] == 0 && pair->value[pair->value_bytes] == 0 && pair->value_bytes > 0);
        retained += 40 + pair->key_bytes + pair->value_bytes;
    }
    CHECK_STATUS(st_advise(m, NULL, ST_ADVISE_DONE, &error), ST_OK);
    if (o->work == NULL) CHECK(o->memory.live_bytes <= retained);
    CHECK_EQ(p->fail_at, 0);
}

/* opens path in every way; all must agree; returns the error. look: an additional check of the model */
static inline st_error pack_verdict(pack *p, const char *path, const st_open_options *base,
                                    void (*look)(const opened *o, int way)) {
    const char *row = test_row;
    st_error first;
    int way, several = 0;
    memset(&first, 0, sizeof first);
    for (way = 0; way < (p->disk ? WAYS : FROM_DISK); way++) {
        char where[256];
        opened o;
        snprintf(where, sizeof where, "%s, from %s", row, model_ways[way]);
        test_row = where;
        if (way == 0) p->indexes = 0;
        (void)opened_begin(&o, p, way, path, base);
        if (way == 0) {
            first = o.error;
            several = p->indexes > 0 || (base != NULL && (base->flags & ST_OPEN_NO_INDEX));
        } else if (several && (way == BY_READ_WORK || way == FROM_DISK_WORK) &&
                   (p->indexes > 0 || o.error.status == ST_ERR_ARGUMENT)) { /* single files only */
            CHECK_STATUS(o.error.status, ST_ERR_ARGUMENT);
            CHECK(strstr(o.error.message, ": options.work is for models of one file") != NULL);
        } else {
            check_same_error(&o.error, &first);
        }
        if (o.model != NULL) check_files(&o, way);
        if (o.model != NULL && look != NULL) look(&o, way);
        opened_end(&o);
        test_row = row;
    }
    return first;
}

/* makes the scratch directory the current one, so that paths on disk are the same as in memory */
static inline void models_begin(const char *name) {
    scratch_begin(name);
    (void)scratch_enter();
}

static inline void models_end(void) {
    scratch_leave();
    scratch_end();
}
#endif
