/* Opens a model of several files while each allocation, st_files call and system call fails, alone and with all
 * later ones. Checks the status and code; no model, no leak, and every file is closed. */
#ifndef _WIN32
#define _GNU_SOURCE 1
#define _FILE_OFFSET_BITS 64
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum kind { OPENING, LOOKING, READING, MAPPING, LISTING };

static struct faults {
    int calls, fail_at, forever, code; /* the system call, from 1, that fails with code; 0: none */
    int hits, last;                    /* failed calls, and the kind of the last one */
    int files, mappings, listings;     /* currently open */
    int strays;                        /* calls with a descriptor that is not open or not ours */
} faults;

enum { DESCRIPTORS = 1024 };
static unsigned char ours[DESCRIPTORS];

static void look_at(int fd) {
    faults.strays += fd < 0 || fd >= DESCRIPTORS || !ours[fd];
}

/* code 0 means end of file, which only a read can report */
static int refused(int kind) {
    faults.calls++;
    if (faults.fail_at == 0 || faults.calls < faults.fail_at || (faults.calls > faults.fail_at && !faults.forever))
        return 0;
    if (faults.code == 0 && kind != READING) return 0;
    if (faults.code == EINTR && faults.hits == 1500) return 0; /* interruptions end */
    faults.hits++;
    faults.last = kind;
    errno = faults.code;
    return 1;
}

static int faulty_open(const char *path, int flags) {
    int fd = refused(OPENING) ? -1 : open(path, flags);
    faults.files += fd >= 0;
    if (fd >= 0 && fd < DESCRIPTORS) ours[fd] = 1;
    return fd;
}

static int faulty_close(int fd) { /* closes the file even if it reports a failure; the library ignores that */
    look_at(fd);
    if (fd >= 0 && fd < DESCRIPTORS) ours[fd] = 0;
    faults.files--;
    return close(fd);
}

static int faulty_fstat(int fd, struct stat *about) {
    look_at(fd);
    return refused(LOOKING) ? -1 : fstat(fd, about);
}

static ssize_t faulty_pread(int fd, void *dst, size_t n, off_t offset) {
    look_at(fd);
    if (refused(READING)) return faults.code == 0 ? 0 : -1; /* 0: end of file */
    return pread(fd, dst, n, offset);
}

static void *faulty_mmap(void *at, size_t n, int protection, int flags, int fd, off_t offset) {
    void *got = NULL;
    look_at(fd);
    got = refused(MAPPING) ? MAP_FAILED : mmap(at, n, protection, flags, fd, offset);
    faults.mappings += got != MAP_FAILED;
    return got;
}

static int faulty_munmap(void *at, size_t n) {
    faults.mappings--;
    return munmap(at, n);
}

static DIR *faulty_opendir(const char *path) {
    DIR *d = refused(LISTING) ? NULL : opendir(path);
    faults.listings += d != NULL;
    return d;
}

static int faulty_closedir(DIR *d) {
    faults.listings--;
    return closedir(d);
}

#define open(path, flags) faulty_open(path, flags)
#define close(fd) faulty_close(fd)
#define fstat(fd, about) faulty_fstat(fd, about)
#define pread(fd, dst, n, offset) faulty_pread(fd, dst, n, offset)
#define mmap(at, n, protection, flags, fd, offset) faulty_mmap(at, n, protection, flags, fd, offset)
#define munmap(at, n) faulty_munmap(at, n)
#define opendir(path) faulty_opendir(path)
#define closedir(d) faulty_closedir(d)
#endif

#define ST_IMPLEMENTATION
#define ST_NO_WRITER
#include "../../safetensors.h"

#ifndef _WIN32
#undef open
#undef close
#undef fstat
#undef pread
#undef mmap
#undef munmap
#undef opendir
#undef closedir
#endif

#include "../models.h"

#define COMMIT "0123456789abcdef0123456789abcdef01234567"
#define MAP "\"weight_map\":{\"a\":\"a.safetensors\",\"b\":\"s/b.safetensors\",\"c\":\"c.safetensors\"}"

static pack p;
static unsigned long refusals;

/* three shards, the last with its tensors out of order, and their index at WHERE */
static void put_model(const char *where, const char *name, const char *more) {
    char path[200], text[400];
    snprintf(path, sizeof path, "%sa.safetensors", where);
    pack_shard(&p, path, "{\"__metadata__\":{\"k\":\"v\"},\"a\":" E("F32", "[1]", "[0,4]") "}", "aaaa");
    snprintf(path, sizeof path, "%ss/b.safetensors", where);
    pack_shard(&p, path, "{\"b\":" E("U8", "[2,1]", "[0,2]") "}", "bb");
    snprintf(path, sizeof path, "%sc.safetensors", where);
    pack_shard(&p, path, "{\"c\":" E("U8", "[1]", "[1,2]") ",\"c2\":" E("U8", "[1]", "[0,1]") "}", "Cc");
    snprintf(path, sizeof path, "%s%s", where, name);
    snprintf(text, sizeof text, "{\"metadata\":{\"total_size\":8,\"n\":[]}%s," MAP "}", more);
    pack_text(&p, path, text);
}

/* three shards without an index */
static void put_set(void) {
    pack_shard(&p, "d-00001-of-00003.safetensors", "{\"a\":" E("F32", "[1]", "[0,4]") "}", "aaaa");
    pack_shard(&p, "d-00002-of-00003.safetensors", "{\"b\":" E("U8", "[2,1]", "[0,2]") "}", "bb");
    pack_shard(&p, "d-00003-of-00003.safetensors",
               "{\"c\":" E("U8", "[1]", "[1,2]") ",\"c2\":" E("U8", "[1]", "[0,1]") "}", "Cc");
}

/* reads each tensor; returns the first status that is not ST_OK */
static st_status read_all(const st_model *m, st_error *error) {
    st_status status = ST_OK;
    size_t i;
    for (i = 0; i < m->count && status == ST_OK; i++) {
        const st_tensor *t = &m->tensors[i];
        const packed *file = pack_find(&p, m->shards[t->shard].path);
        char got[8] = "";
        status = st_read(m, t, 0, got, (size_t)t->bytes, error);
        if (status == ST_OK) CHECK(memcmp(got, file->bytes + t->offset, (size_t)t->bytes) == 0);
    }
    return status;
}

static unsigned open_flags; /* of every attempt */
static size_t index_pairs = 2;

static st_status attempt(int way, const char *path, size_t memory_fails, int forever, size_t *allocations,
                         st_error *error) {
    counting memory;
    st_open_options options;
    st_model *m;
    st_status status;
    memset(&options, 0, sizeof options);
    memset(error, 0xee, sizeof *error);
    counting_begin(&memory);
    memory.fail_at = memory_fails;
    memory.fail_forever = forever;
    options.allocator = &memory.allocator;
    if (way < FROM_DISK) options.files = &p.files;
    options.flags = open_flags | (way == FROM_DISK_NO_MAP ? ST_OPEN_NO_MAP : 0);
    p.mapped = way == BY_MEMORY;
    p.calls = p.opens = p.closes = 0;
    status = p.hub ? st_open_hub(&m, path, NULL, NULL, &options, error) : st_open(&m, path, &options, error);
    CHECK((status == ST_OK) == (m != NULL));
    if (m != NULL) {
        CHECK(m->shard_count == 3 && m->count == 4 && m->index_count == index_pairs);
        CHECK_EQ(memory.live_blocks, 1);
        status = read_all(m, error);
    }
    CHECK_STATUS(error->status, status);
    if (status != ST_OK) {
        check_text(error->message, sizeof error->message);
        check_text(error->subject, sizeof error->subject);
    }
    st_close(m);
    counting_end(&memory);
    CHECK_EQ(p.opens, p.closes);
    *allocations = memory.calls;
    return status;
}

static void refuse_memory(const char *path) {
    int way, forever;
    for (way = 0; way <= FROM_DISK_NO_MAP; way++) {
        size_t calls, i, again;
        st_error e;
        if (way == BY_READ_WORK || (way >= FROM_DISK && !p.disk)) continue;
        test_row = model_ways[way];
        CHECK_STATUS(attempt(way, path, 0, 0, &calls, &e), ST_OK);
        CHECK(calls > 8);
        for (forever = 0; forever <= 1; forever++) {
            for (i = 1; i <= calls; i++) {
                CHECK_STATUS(attempt(way, path, i, forever, &again, &e), ST_ERR_MEMORY);
                CHECK(e.expected > 0 && e.sys == 0);
                refusals++;
            }
        }
    }
    test_row = "";
}

/* a pack's own code is passed on; a file that is not found is a missing shard */
static void refuse_files(const char *path) {
    static const struct {
        int code;
        st_status status;
    } codes[] = {{77, ST_ERR_IO},
                 {-77, ST_ERR_IO},
                 {ST_IO_NOT_A_FILE, ST_ERR_IO},
                 {ST_IO_ENDED, ST_ERR_IO},
                 {ST_IO_NOT_UTF8, ST_ERR_UTF8},
                 {ST_IO_NO_MEMORY, ST_ERR_MEMORY}};
    size_t calls, i, k, allocations;
    int way, forever;
    st_error e;
    for (way = 0; way <= BY_MEMORY; way++) {
        CHECK_STATUS(attempt(way, path, 0, 0, &allocations, &e), ST_OK);
        calls = p.calls;
        CHECK(calls >= 4); /* at least one for each file */
        for (k = 0; k < sizeof codes / sizeof *codes; k++) {
            for (forever = 0; forever <= 1; forever++) {
                for (i = 1; i <= calls; i++) {
                    static char row[80];
                    snprintf(row, sizeof row, "%s: call %u is refused with %d", model_ways[way], (unsigned)i,
                             codes[k].code);
                    test_row = row;
                    p.fail_at = i;
                    p.fail_forever = forever;
                    p.code = codes[k].code;
                    CHECK_STATUS(attempt(way, path, 0, 0, &allocations, &e), codes[k].status);
                    CHECK_EQ(e.sys, codes[k].code);
                    refusals++;
                }
            }
        }
        p.fail_at = 0;
    }
    test_row = "";
}

#ifndef _WIN32
/* system calls: interrupted ones are repeated, and a failed mapping falls back to reading */
static void refuse_system(const char *path) {
    static const int codes[] = {EIO, EACCES, EMFILE, ENOMEM, EINTR, 0};
    size_t allocations, k;
    int way, forever, calls, i, reopened = 0;
    st_error e;
    for (way = FROM_DISK; way <= FROM_DISK_NO_MAP; way++) {
        memset(&faults, 0, sizeof faults);
        CHECK_STATUS(attempt(way, path, 0, 0, &allocations, &e), ST_OK);
        calls = faults.calls;
        CHECK(calls > 10);
        for (k = 0; k < sizeof codes / sizeof *codes; k++) {
            for (forever = 0; forever <= 1; forever++) {
                for (i = 1; i <= calls; i++) {
                    static char row[100];
                    st_status status;
                    snprintf(row, sizeof row, "%s: call %d of the system fails with %d%s", model_ways[way], i, codes[k],
                             forever ? " from then on" : "");
                    test_row = row;
                    memset(&faults, 0, sizeof faults);
                    faults.fail_at = i, faults.forever = forever, faults.code = codes[k];
                    status = attempt(way, path, 0, 0, &allocations, &e);
                    if (faults.hits == 0 || (codes[k] == EINTR && (faults.last == OPENING || faults.last == READING))) {
                        CHECK_STATUS(status, ST_OK);
                    } else if (way == FROM_DISK && faults.last == MAPPING) {
                        CHECK_STATUS(status, ST_OK); /* falls back to reading */
                    } else if (status == ST_OK && codes[k] == EMFILE && !forever && faults.last <= LOOKING) {
                        reopened++; /* a shard: after closing the others it opens */
                    } else {
                        CHECK_STATUS(status, ST_ERR_IO);
                        CHECK_EQ(e.sys, codes[k] == 0 ? ST_IO_ENDED : codes[k]);
                    }
                    CHECK(faults.files == 0 && faults.mappings == 0 && faults.listings == 0 && faults.strays == 0);
                    refusals++;
                }
            }
        }
    }
    CHECK_EQ(reopened, 12); /* two calls for each of three shards, in both ways */
    memset(&faults, 0, sizeof faults);
    test_row = "";
}
#endif

int main(void) {
    static const char *const folders[] = {"pack/s",
                                          "pack/models--m",
                                          "pack/models--m/refs",
                                          "pack/models--m/snapshots",
                                          "pack/models--m/snapshots/" COMMIT,
                                          "pack/models--m/snapshots/" COMMIT "/s"};
    size_t i;
#ifdef _WIN32
    (void)_putenv("HF_HUB_CACHE=pack");
#else
    (void)setenv("HF_HUB_CACHE", "pack", 1);
#endif
    models_begin("models");
    pack_begin(&p, 1);
    for (i = 0; i < sizeof folders / sizeof *folders; i++) CHECK(SCRATCH_MAKE(folders[i]) == 0);
    put_model("", "other.safetensors.index.json", ",\"x\":\"\\u0000\"");
    refuse_memory("pack");
    refuse_memory("pack/other.safetensors.index.json");
    refuse_files("pack");
    refuse_files("pack/other.safetensors.index.json");
#ifndef _WIN32
    refuse_system("pack");
    refuse_system("pack/other.safetensors.index.json");
#endif
    open_flags = ST_OPEN_INDEX_DECIDES;
    refuse_memory("pack");
    refuse_files("pack");
    pack_clear(&p);
    open_flags = ST_OPEN_NO_INDEX;
    index_pairs = 0;
    put_set();
    refuse_memory("pack");
    refuse_files("pack");
#ifndef _WIN32
    refuse_system("pack");
#endif
    pack_clear(&p);
    open_flags = 0;
    index_pairs = 2;
    put_model("models--m/snapshots/" COMMIT "/", "model.safetensors.index.json", "");
    pack_text(&p, "models--m/refs/main", COMMIT);
    p.hub = 1;
    refuse_memory("m");
    refuse_files("m");
#ifndef _WIN32
    refuse_system("m");
#endif
    pack_clear(&p);
    for (i = sizeof folders / sizeof *folders; i > 0; i--) CHECK(SCRATCH_DROP(folders[i - 1]) == 0);
    CHECK(refusals > 1000);
    pack_end(&p);
    models_end();
    return test_done("models");
}
