/* blocks.c: a cache of blocks, and the threads that fill it.
 *
 * A read that misses asks for a block of 64 KiB, or for as much as it needs. While reads go on where the last block
 * ended, blocks double up to 4 MiB, and all connections read ahead. A connection that brings 200 MB/s gains nothing from
 * blocks over 512 KiB, which would only leave the processor's cache before they are used. */
#include "blocks.h"
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { SMALLEST = 1 << 16, LARGEST = 1 << 22, FAST = 1 << 19, AHEAD_FROM = 1 << 18, BLOCKS = 24 };

typedef struct remote_file {
    http_source source;
    blocks *all;
    uint64_t next, width; /* where the last block ends, and its size */
    int is_fast;          /* the last block came with 200 MB/s */
    struct remote_file *after;
} remote_file;

typedef enum block_state { EMPTY, FAILED, READY, WAITING, READING } block_state;

typedef struct block {
    remote_file *file;
    uint64_t offset, bytes, used; /* used: the time of the last use */
    unsigned char *data;          /* LARGEST bytes */
    block_state state;
    int readers, code; /* readers: threads that copy from it or wait for it */
} block;

struct blocks {
    pthread_mutex_t lock; /* for all below */
    pthread_cond_t work, done;
    pthread_t threads[MOST_CONNECTIONS];
    http connections[MOST_CONNECTIONS];
    int count, started, stops;
    block list[BLOCKS];
    unsigned char *memory;
    remote_file *files;
    const char *url, *query;
    uint64_t time;
    char error[HTTP_ERROR];
};

/* ---- connections -------------------------------------------------------------------------------------------- */

/* Returns the block in a state that was used longest ago, without readers unless it waits. */
static block *oldest(blocks *b, block_state state) {
    block *found = NULL;
    for (block *k = b->list; k < b->list + BLOCKS; k++) {
        if (k->state != state || (k->readers && state != WAITING)) continue;
        if (!found || k->used < found->used) found = k;
    }
    return found;
}

static int keep(void *user, uint64_t offset, const void *bytes, size_t n) {
    const block *k = (const block *)user;
    memcpy(k->data + (offset - k->offset), bytes, n); /* http_get sends nothing outside of the range */
    return 0;
}

static uint64_t nanoseconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static void *serve(void *user) {
    blocks *b = (blocks *)user;
    pthread_mutex_lock(&b->lock);
    http *h = &b->connections[b->started++];
    while (!b->stops) {
        block *k = oldest(b, WAITING);
        if (!k) {
            pthread_cond_wait(&b->work, &b->lock);
            continue;
        }
        k->state = READING;
        const uint64_t began = nanoseconds();
        pthread_mutex_unlock(&b->lock);
        const int code = http_get(h, &k->file->source, HTTP_RANGE, k->offset, k->offset + k->bytes, keep, k);
        pthread_mutex_lock(&b->lock);
        const uint64_t rest = code ? 0 : k->file->source.bytes - k->offset;
        if (k->bytes > rest && !code) k->bytes = rest;
        k->state = code ? FAILED : READY;
        k->file->is_fast = 5 * k->bytes >= nanoseconds() - began;
        k->code = code == HTTP_NOT_FOUND ? ST_IO_NOT_FOUND : code;
        if (code) memcpy(b->error, h->error, sizeof b->error);
        pthread_cond_broadcast(&b->done);
    }
    pthread_mutex_unlock(&b->lock);
    return NULL;
}

/* ---- reading ------------------------------------------------------------------------------------------------ */

static block *find(blocks *b, const remote_file *file, uint64_t offset) {
    for (block *k = b->list; k < b->list + BLOCKS; k++) {
        if (k->state != EMPTY && k->file == file && offset >= k->offset && offset - k->offset < k->bytes) return k;
    }
    return NULL;
}

/* Asks for a block that contains an offset and, if they are not too many, n bytes. Returns NULL if all are in use. */
static block *ask(blocks *b, remote_file *file, uint64_t offset, uint64_t n) {
    const uint64_t begin = offset & ~(uint64_t)(SMALLEST - 1), needed = offset - begin + n;
    uint64_t width = begin == file->next && file->width ? 2 * file->width : SMALLEST;
    block *k = oldest(b, EMPTY);
    if (!k) k = oldest(b, FAILED);
    if (!k) k = oldest(b, READY);
    if (!k) return NULL;
    if (width > FAST && file->is_fast) width = FAST;
    if (width < needed) width = (needed + SMALLEST - 1) & ~(uint64_t)(SMALLEST - 1);
    if (width > LARGEST) width = LARGEST;
    for (const block *other = b->list; other < b->list + BLOCKS; other++) { /* blocks do not overlap */
        if (other == k || other->state == EMPTY || other->file != file || other->offset <= begin) continue;
        if (other->offset - begin < width) width = other->offset - begin;
    }
    file->next = begin + width, file->width = width;
    if (file->source.bytes - begin < width) width = file->source.bytes - begin;
    k->file = file, k->offset = begin, k->bytes = width, k->used = ++b->time, k->state = WAITING;
    pthread_cond_signal(&b->work);
    return k;
}

/* Asks for what follows a block, so that every connection has something to read. */
static void ask_ahead(blocks *b, remote_file *file, const block *k) {
    for (int i = 0; i <= b->count && file->width >= AHEAD_FROM && k; i++) {
        const uint64_t offset = k->offset + k->bytes;
        if (offset >= file->source.bytes) return;
        k = find(b, file, offset);
        if (!k && offset == file->next) k = ask(b, file, offset, 1);
    }
}

/* The read_at callback of st_io, for any thread. With dst NULL it only fetches. */
static int read_at(void *user, uint64_t offset, void *dst, size_t n) {
    remote_file *file = (remote_file *)user;
    blocks *b = file->all;
    int code = 0;
    pthread_mutex_lock(&b->lock);
    while (n && !code) {
        block *k = find(b, file, offset);
        if (k && k->state == FAILED && !k->readers) k->state = EMPTY, k = NULL; /* reading ahead failed: ask again */
        if (!k) k = ask(b, file, offset, n);
        if (!k) {
            pthread_cond_wait(&b->done, &b->lock);
            continue;
        }
        k->readers++;
        k->used = ++b->time;
        ask_ahead(b, file, k);
        while (k->state == WAITING || k->state == READING) pthread_cond_wait(&b->done, &b->lock);
        code = k->state == FAILED ? k->code : 0;
        const uint64_t skipped = offset - k->offset, left = k->bytes > skipped ? k->bytes - skipped : 0;
        const size_t copied = code ? 0 : n < left ? n : (size_t)left;
        if (!code && !copied) code = ST_IO_ENDED;
        pthread_mutex_unlock(&b->lock);
        if (dst) memcpy(dst, k->data + skipped, copied);
        pthread_mutex_lock(&b->lock);
        dst = dst ? (unsigned char *)dst + copied : NULL;
        offset += copied, n -= copied;
        k->readers--;
        if (copied == left && file->width >= AHEAD_FROM) k->used = 0; /* read through: the next to be replaced */
        pthread_cond_broadcast(&b->done);
    }
    pthread_mutex_unlock(&b->lock);
    return code;
}

/* ---- opening ------------------------------------------------------------------------------------------------ */

/* Returns the file of a path, a new one if the path was not opened before; NULL if memory runs out. What follows the
 * directory of the model comes from its index, and is no URL yet. */
static remote_file *file_of(blocks *b, const char *path, uint64_t *number) {
    const size_t prefix = strcmp(path, b->url) == 0 ? strlen(path) : (size_t)(strrchr(b->url, '/') + 1 - b->url);
    char *url = (char *)malloc(3 * strlen(path) + strlen(b->query) + 1);
    remote_file **file = &b->files, *made;
    if (!url) return NULL;
    memcpy(url, path, prefix);
    strcpy(http_encode(url + prefix, path + prefix, "/"), b->query);
    for (*number = 1; *file && strcmp((*file)->source.url, url) != 0; file = &(*file)->after) ++*number;
    made = *file ? NULL : (remote_file *)calloc(1, sizeof *made);
    if (made && http_source_begin(&made->source, url)) {
        made->all = b;
        *file = made;
    } else {
        free(made);
    }
    free(url);
    return *file;
}

int blocks_open(void *user, const char *path, st_io *file) {
    blocks *b = (blocks *)user;
    int code;
    pthread_mutex_lock(&b->lock);
    remote_file *found = file_of(b, path, &file->id[0]);
    const int is_known = found && found->source.bytes != HTTP_UNKNOWN;
    pthread_mutex_unlock(&b->lock);
    if (!found) return ST_IO_NO_MEMORY;
    code = is_known ? 0 : read_at(found, 0, NULL, 1);
    if (code && found->source.bytes != 0) return code;
    file->user = found;
    file->read_at = read_at;
    file->bytes = found->source.bytes;
    return 0;
}

void blocks_close(void *user, st_io *file) {
    (void)user, (void)file; /* the library may open a file of many again for each read, so all are kept */
}

void blocks_error(blocks *b, char text[HTTP_ERROR]) {
    pthread_mutex_lock(&b->lock);
    memcpy(text, b->error, HTTP_ERROR);
    pthread_mutex_unlock(&b->lock);
}

blocks *blocks_begin(const http_settings *settings, int connections, const char *url, const char *query) {
    blocks *b = (blocks *)calloc(1, sizeof *b);
    http_settings mine = *settings;
    if (!b) return NULL;
    pthread_mutex_init(&b->lock, NULL);
    pthread_cond_init(&b->work, NULL);
    pthread_cond_init(&b->done, NULL);
    b->url = url, b->query = query, mine.stops = &b->stops;
    b->memory = (unsigned char *)malloc((size_t)BLOCKS * LARGEST); /* the system provides pages as they are used */
    for (size_t i = 0; i < BLOCKS && b->memory; i++) b->list[i].data = b->memory + i * LARGEST;
    for (int i = 0; b->memory && i < connections && http_begin(&b->connections[i], &mine); b->count = ++i) {
        if (pthread_create(&b->threads[i], NULL, serve, b) == 0) continue;
        curl_easy_cleanup(b->connections[i].curl);
        break;
    }
    if (b->count > 0) return b;
    blocks_end(b);
    return NULL;
}

void blocks_end(blocks *b) {
    pthread_mutex_lock(&b->lock);
    __atomic_store_n(&b->stops, 1, __ATOMIC_RELAXED);
    pthread_cond_broadcast(&b->work);
    pthread_mutex_unlock(&b->lock);
    for (int i = 0; i < b->count; i++) {
        pthread_join(b->threads[i], NULL);
        curl_easy_cleanup(b->connections[i].curl);
    }
    for (remote_file *file = b->files, *after; file; file = after) {
        after = file->after;
        http_source_end(&file->source);
        free(file);
    }
    free(b->memory);
    free(b);
}
