/* hub.c: the cache of huggingface_hub: blobs named by their hash, snapshots of relative links to them, refs, locks. */
#define _FILE_OFFSET_BITS 64
#include "hub.h"
#include "examples/common/json.h"
#include "examples/common/progress.h"
#include "examples/common/text.h"
#include "examples/remote/http.h"
#include "examples/st/sha256.h"
#include "sha1.h"
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

enum { SHORT = 512, PATH = 8 * SHORT, LONGEST_ANSWER = 1 << 26, MOST_PATTERNS = 16 };

static const char usage[] =
    "usage: hub fetch [TYPE/]OWNER/NAME[@REVISION] [FILE...] [--include PATTERN]...\n"
    "       hub info [TYPE/]OWNER/NAME[@REVISION] [FILE...] [--include PATTERN]...\n"
    "fetch downloads files into the Hugging Face cache and prints their paths. info prints the number of parameters, "
    "the\n"
    "commit, and the sizes, hashes and names of files. Both take all files where neither FILE nor PATTERN is given.\n"
    "TYPE: models (default), datasets or spaces. REVISION: a branch, a tag or a commit (default: main)\n"
    "  --retries N  after a cut connection, or answers such as 503 (default 5)\n"
    "  --timeout N  seconds without data after which a connection is dead (default 30)\n"
    "HF_ENDPOINT is the hub, by default https://huggingface.co. HF_TOKEN, or REMOTE_TOKEN, is sent to the hub, but "
    "never\n"
    "to the servers that it redirects to, and without encryption only inside this machine. HF_HUB_CACHE, HF_HOME and\n"
    "XDG_CACHE_HOME say where the cache is (default: ~/.cache/huggingface/hub).\n";

typedef struct hub_choice { /* all files, if there are neither names nor patterns */
    char *const *names;
    int name_count, pattern_count;
    const char *patterns[MOST_PATTERNS];
} hub_choice;

typedef struct hub {
    http *h;
    const char *name, *type; /* name: as asked for, for messages; type: models, datasets or spaces */
    int is_info;             /* only prints what the hub says */
    char endpoint[SHORT], id[SHORT], revision[SHORT], commit[SHORT];
    char root[2 * SHORT], folder[2 * SHORT]; /* the cache; the name of the repository's directories in it */
    char *answer;                            /* about the repository; the names of files lie in it */
    size_t answer_bytes, count;
    const char **files;
} hub;

typedef struct download {
    hub *u;
    const char *path;   /* of the file that is written */
    int fd, is_content; /* is_content: the blob is named by its SHA-256 */
    uint64_t done, total;
    sha256 content; /* of what is done: names large files */
    sha1 git;       /* as git hashes it: names the others */
    progress_line line;
} download;

/* ---- names and paths ---------------------------------------------------------------------------------------- */

/* Whether a path stays below the directory that it is appended to. */
static int is_safe(const char *path) {
    for (size_t n; strlen(path) < SHORT; path += n + 1) {
        n = strcspn(path, "/");
        if (n == 0 || n > 200 || (n == 1 && path[0] == '.') || (n == 2 && strncmp(path, "..", 2) == 0)) return 0;
        for (size_t i = 0; i < n; i++) {
            if ((unsigned char)path[i] < ' ' || path[i] == '\\' || path[i] == 127) return 0;
        }
        if (!path[n]) return 1;
    }
    return 0;
}

/* Splits [TYPE/]OWNER/NAME[@REVISION], and finds the cache as st_open_hub does. */
static int begin(hub *u) {
    static const char *const types[] = {"models", "datasets", "spaces"};
    static const char *const names[] = {"HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "HF_HOME", "XDG_CACHE_HOME"};
    static const char *const below[] = {"", "", "/hub", "/huggingface/hub", "/.cache/huggingface/hub"};
    const char *value = NULL, *home = getenv("HOME"), *text = u->name;
    size_t i, n;
    u->type = types[0];
    for (i = 0; i < 3; i++) {
        n = strlen(types[i]);
        if (strncmp(u->name, types[i], n) == 0 && u->name[n] == '/') u->type = types[i], text = u->name + n + 1;
    }
    n = strcspn(text, "@");
    snprintf(u->id, sizeof u->id, "%.*s", (int)n, text);
    snprintf(u->revision, sizeof u->revision, "%s", text[n] ? text + n + 1 : "main");
    n = strcspn(u->id, "/");
    if (strlen(u->name) >= SHORT || !is_safe(u->id) || !is_safe(u->revision) ||
        (u->id[n] && strchr(u->id + n + 1, '/'))) {
        return http_fail(u->h, u->name, "expected [TYPE/]OWNER/NAME[@REVISION]");
    }
    snprintf(u->folder, sizeof u->folder, u->id[n] ? "%s--%.*s--%s" : "%s--%.*s%s", u->type, (int)n, u->id,
             u->id[n] ? u->id + n + 1 : "");
    for (i = 0; i < 4 && (!(value = getenv(names[i])) || !*value); i++) {}
    if (i == 4) value = "~";
    const int is_home = value[0] == '~' && (!value[1] || value[1] == '/') && home && *home;
    if (value[0] == '~' && !is_home) return http_fail(u->h, value, "cannot tell the home directory of the cache");
    const int length = snprintf(u->root, sizeof u->root, "%s%s%s", is_home ? home : "", value + is_home, below[i]);
    return length < (int)sizeof u->root ? 0 : http_fail(u->h, value, "the path of the cache is too long");
}

static int fail_writing(hub *u, const char *path) {
    return http_fail(u->h, path, "cannot write: %s", strerror(errno));
}

/* Whether a file holds exactly a text. */
static int has_text(const char *path, const char *text) {
    char found[SHORT];
    FILE *f = fopen(path, "rb");
    const size_t n = f ? fread(found, 1, sizeof found, f) : 0;
    if (f) fclose(f);
    return f && n == strlen(text) && memcmp(found, text, n) == 0;
}

/* Makes the directories above a path. */
static int make_directories(hub *u, char *path) {
    for (char *slash = strchr(path + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = 0;
        const int is_missing = mkdir(path, 0777) != 0 && errno != EEXIST;
        *slash = '/';
        if (is_missing) return fail_writing(u, path);
    }
    return 0;
}

/* Writes a small file, or makes a symbolic link, atomically. */
static int put(hub *u, char *path, const char *text, int is_link) {
    char temporary[PATH + 32];
    FILE *f = NULL;
    snprintf(temporary, sizeof temporary, "%s.%ld.tmp", path, (long)getpid());
    if (make_directories(u, path)) return HTTP_FAILED;
    remove(temporary);
    int failed = is_link ? symlink(text, temporary) != 0 : (f = fopen(temporary, "wb")) == NULL;
    if (f) failed = fputs(text, f) < 0;
    if (f && fclose(f) != 0) failed = 1;
    if (!failed && rename(temporary, path) == 0) return 0;
    failed = fail_writing(u, path);
    remove(temporary);
    return failed;
}

/* Returns ENDPOINT/api/TYPE/ID/revision/REVISION, or of a file ENDPOINT[/TYPE]/ID/resolve/COMMIT/FILE. */
static int begin_source(hub *u, http_source *source, const char *file) {
    const char *type = file && strcmp(u->type, "models") == 0 ? "" : u->type;
    char *url = (char *)malloc(strlen(u->endpoint) + 12 * SHORT), *end = url;
    if (url) {
        end += sprintf(end, "%s%s/%s%s%s%s", u->endpoint, file ? "" : "/api", type, *type ? "/" : "", u->id,
                       file ? "/resolve/" : "/revision/");
        end = http_encode(end, file ? u->commit : u->revision, "");
        if (file) *end++ = '/';
        *http_encode(end, file ? file : "", "/") = 0;
    }
    const int is_begun = url && http_source_begin(source, url);
    free(url);
    return is_begun ? 0 : http_fail(u->h, u->name, "out of memory");
}

/* ---- what the hub says -------------------------------------------------------------------------------------- */

static int take_answer(void *user, uint64_t offset, const void *bytes, size_t n) {
    hub *u = (hub *)user;
    char *longer = offset + n < LONGEST_ANSWER ? (char *)realloc(u->answer, (size_t)offset + n + 1) : NULL;
    if (!longer) return http_fail(u->h, u->name, "the hub's answer is over 64 MiB, or memory ran out");
    memcpy(longer + offset, bytes, n);
    u->answer = longer, u->answer_bytes = (size_t)offset + n;
    longer[u->answer_bytes] = 0;
    return 0;
}

/* Prints the numbers in an object: parameters by dtype, and their total. */
static void print_numbers(json_reader *j) {
    while (json_member(j)) {
        const char *key = j->key;
        const json_kind kind = json_value(j);
        if (kind == JSON_NUMBER) {
            put_string(stdout, key);
            printf(" %.*s\n", (int)j->string_bytes, j->string);
        } else if (kind == JSON_OBJECT) {
            print_numbers(j);
        } else {
            json_skip(j, kind);
        }
    }
}

/* Parses one of the siblings, an object that has the name of a file. */
static int parse_sibling(hub *u, json_reader *j) {
    const char *name = NULL;
    json_kind kind = json_value(j);
    if (kind != JSON_OBJECT) return http_fail(u->h, u->name, "the hub's list of files is malformed");
    while (json_member(j)) {
        const int is_name = json_is(j->key, j->key_bytes, "rfilename");
        kind = json_value(j);
        if (is_name && kind == JSON_STRING && strlen(j->string) == j->string_bytes) name = j->string;
        json_skip(j, kind);
    }
    if (!name || !is_safe(name)) return http_fail(u->h, u->name, "the hub lists an unsafe name: %s", name ? name : "");
    if ((u->count & (u->count - 1)) == 0) { /* a power of two: the array is full */
        const char **longer = (const char **)realloc(u->files, (2 * u->count + 1) * sizeof *longer);
        if (!longer) return http_fail(u->h, u->name, "out of memory");
        u->files = longer;
    }
    u->files[u->count++] = name;
    return 0;
}

/* Parses the answer about the repository: its commit and its files. */
static int parse_answer(hub *u) {
    json_reader j;
    int code = 0;
    if (!u->answer) return http_fail(u->h, u->name, "the hub's answer is empty");
    json_begin(&j, u->answer, u->answer_bytes);
    for (int is_object = json_value(&j) == JSON_OBJECT; is_object && !code && json_member(&j);) {
        const char *key = j.key;
        const json_kind kind = json_value(&j);
        if (kind == JSON_STRING && strcmp(key, "sha") == 0) {
            snprintf(u->commit, sizeof u->commit, "%s", j.string);
        } else if (kind == JSON_OBJECT && strcmp(key, "safetensors") == 0 && u->is_info) {
            print_numbers(&j);
        } else if (kind == JSON_ARRAY && strcmp(key, "siblings") == 0) {
            while (!code && json_element(&j)) code = parse_sibling(u, &j);
        } else {
            json_skip(&j, kind);
        }
    }
    if (code) return code;
    if (!json_end(&j))
        return http_fail(u->h, u->name, "the hub's answer is not a JSON object: %s", j.fault ? j.fault : "");
    if (strlen(u->commit) == 40 && strspn(u->commit, "0123456789abcdef") == 40) return 0;
    return http_fail(u->h, u->name, "the hub names no commit of 40 hexadecimal digits");
}

/* ---- one file ----------------------------------------------------------------------------------------------- */

static void begin_hashes(download *d) {
    char text[32];
    d->done = 0;
    sha256_begin(&d->content);
    sha1_begin(&d->git);
    sha1_add(&d->git, text, (size_t)sprintf(text, "blob %llu", (unsigned long long)d->total) + 1);
}

static void add_to_hashes(download *d, const void *bytes, size_t n) {
    if (d->is_content) sha256_add(&d->content, bytes, n);
    if (!d->is_content) sha1_add(&d->git, bytes, n);
    d->done += n;
}

/* Whether what is done has the hash that its name says. Other names cannot be checked. */
static int has_hash(const download *d, const char *etag) {
    sha256 content = d->content;
    sha1 git = d->git;
    unsigned char digest[SHA256_BYTES];
    char text[2 * SHA256_BYTES + 1];
    const size_t n = d->is_content ? SHA256_BYTES : SHA1_BYTES;
    if (strspn(etag, "0123456789abcdef") != 2 * n || strlen(etag) != 2 * n) return 1;
    if (d->is_content) sha256_end(&content, digest);
    if (!d->is_content) sha1_end(&git, digest);
    for (size_t i = 0; i < n; i++) sprintf(text + 2 * i, "%02x", digest[i]);
    return strcmp(text, etag) == 0;
}

/* Empties the file that is being downloaded. */
static int restart(download *d) {
    begin_hashes(d);
    return ftruncate(d->fd, 0) ? fail_writing(d->u, d->path) : 0;
}

static int save(void *user, uint64_t offset, const void *bytes, size_t n) {
    download *d = (download *)user;
    if (offset < d->done && restart(d)) return 1; /* the server sends the file from its beginning */
    for (size_t written = 0; written < n;) {
        const ssize_t k = pwrite(d->fd, (const char *)bytes + written, n - written, (off_t)(d->done + written));
        if (k <= 0) return fail_writing(d->u, d->path);
        written += (size_t)k;
    }
    add_to_hashes(d, bytes, n);
    progress_line_show(&d->line, d->done, d->total);
    return 0;
}

/* Downloads a blob, or goes on where an earlier download stopped. */
static int download_blob(hub *u, http_source *source, const char *etag, const char *blob) {
    static unsigned char block[1 << 16];
    char path[PATH + 32];
    download d;
    ssize_t n;
    int code;
    memset(&d, 0, sizeof d);
    snprintf(path, sizeof path, "%s.incomplete", blob);
    d.u = u, d.path = path, d.total = source->bytes, d.is_content = strlen(etag) == 2 * SHA256_BYTES;
    d.fd = open(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0666);
    if (d.fd < 0) return fail_writing(u, path);
    flock(d.fd, LOCK_EX); /* holds too where another program has removed the lock of the blob */
    if (access(blob, F_OK) == 0) return close(d.fd), 0;
    progress_line_begin(&d.line, "downloading");
    begin_hashes(&d);
    while ((n = pread(d.fd, block, sizeof block, (off_t)d.done)) > 0) add_to_hashes(&d, block, (size_t)n);
    for (int is_fresh = 0, is_good = 0; !is_good;) {
        is_fresh = d.done == 0;
        code = d.done > d.total ? restart(&d) : 0;
        if (!code && d.done < d.total) code = http_get(u->h, source, HTTP_REST, d.done, HTTP_UNKNOWN, save, &d);
        if (code) break;
        is_good = has_hash(&d, etag);
        if (is_good) code = fsync(d.fd) || rename(path, blob) ? fail_writing(u, blob) : 0;
        if (is_good) break;
        code = http_fail(u->h, source->url, "the contents do not have the hash %s", etag);
        if (restart(&d) || is_fresh) break; /* once more, if the fault may lie in what was there before */
    }
    progress_line_end(&d.line);
    close(d.fd);
    return code;
}

/* Sets the name of the blob from an ETag: without W/ and quotes, as huggingface_hub does. */
static int take_etag(hub *u, const char *url, char etag[HTTP_FIELD]) {
    const char *from = u->h->field[HTTP_LINKED_ETAG];
    size_t n;
    if (!*from) from = u->h->field[HTTP_ETAG];
    from += strncmp(from, "W/", 2) == 0 ? 2 : 0;
    from += *from == '"';
    n = strspn(from, "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-_");
    if (n == 0 || n > 128 || (from[n] && strcmp(from + n, "\"") != 0)) {
        return http_fail(u->h, url, "the hub sent no ETag, or none that can name a file");
    }
    snprintf(etag, HTTP_FIELD, "%.*s", (int)n, from);
    return 0;
}

/* Asks about a file with HEAD, downloads its blob if that is missing, and links to it. */
static int fetch_file(hub *u, http_source *source, const char *file) {
    char path[PATH], blob[PATH], link[PATH], etag[HTTP_FIELD];
    const char *bytes = u->h->field[HTTP_LINKED_BYTES];
    int code, lock;
    snprintf(path, sizeof path, "%s/%s/snapshots/%s/%s", u->root, u->folder, u->commit, file);
    if (!u->is_info && access(path, F_OK) == 0) return 0;
    code = http_get(u->h, source, HTTP_HEAD, 0, HTTP_UNKNOWN, NULL, NULL);
    if (code || take_etag(u, source->url, etag)) return HTTP_FAILED;
    if (strcmp(u->h->field[HTTP_COMMIT], u->commit) != 0) {
        return http_fail(u->h, source->url, "the hub sent the commit %s, expected %s", u->h->field[HTTP_COMMIT],
                         u->commit);
    }
    if (!*u->h->field[HTTP_LINKED_ETAG]) bytes = u->h->field[HTTP_LENGTH];
    if (!http_parse_number(&bytes, &source->bytes)) return http_fail(u->h, source->url, "the hub sent no length");
    if (u->is_info) return printf("%12llu %s ", (unsigned long long)source->bytes, etag) < 0;
    snprintf(blob, sizeof blob, "%s/.locks/%s/%s.lock", u->root, u->folder, etag);
    if (make_directories(u, blob)) return HTTP_FAILED;
    lock = open(blob, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0664);
    if (lock < 0) return fail_writing(u, blob);
    flock(lock, LOCK_EX); /* as huggingface_hub does */
    snprintf(blob, sizeof blob, "%s/%s/blobs/%s", u->root, u->folder, etag);
    code = make_directories(u, blob) || make_directories(u, path) ? HTTP_FAILED : 0;
    if (!code && access(blob, F_OK) != 0) code = download_blob(u, source, etag, blob);
    strcpy(link, "../..");
    for (const char *slash = strchr(file, '/'); slash; slash = strchr(slash + 1, '/')) strcat(link, "/..");
    snprintf(link + strlen(link), sizeof link - strlen(link), "/blobs/%s", etag);
    if (!code) code = put(u, path, link, 1);
    close(lock);
    return code;
}

static int is_wanted(const hub_choice *choice, const char *file) {
    for (int i = 0; i < choice->name_count; i++) {
        if (strcmp(choice->names[i], file) == 0) return 1;
    }
    for (int i = 0; i < choice->pattern_count; i++) {
        if (fnmatch(choice->patterns[i], file, 0) == 0) return 1;
    }
    return choice->name_count + choice->pattern_count == 0;
}

/* Fails if the repository lacks a file that was asked for by its name, or if no file is wanted. */
static int check_choice(hub *u, const hub_choice *choice) {
    size_t k, found = 0;
    for (int i = 0; i < choice->name_count; i++) {
        for (k = 0; k < u->count && strcmp(u->files[k], choice->names[i]) != 0; k++) {}
        if (k == u->count) return http_fail(u->h, u->name, "the repository has no such file: %s", choice->names[i]);
    }
    for (k = 0; k < u->count; k++) found += (size_t)is_wanted(choice, u->files[k]);
    return found ? 0 : http_fail(u->h, u->name, "the repository has no such file");
}

static int fetch(hub *u, const hub_choice *choice) {
    char path[PATH];
    http_source source;
    int code = begin(u) || begin_source(u, &source, NULL);
    if (code) return code;
    code = http_get(u->h, &source, HTTP_REST, 0, HTTP_UNKNOWN, take_answer, u);
    http_source_end(&source);
    if (code || parse_answer(u) || check_choice(u, choice)) return HTTP_FAILED;
    if (u->is_info) printf("commit %s\n", u->commit);
    for (size_t i = 0; i < u->count && !code; i++) {
        if (!is_wanted(choice, u->files[i])) continue;
        if (begin_source(u, &source, u->files[i])) return HTTP_FAILED;
        code = fetch_file(u, &source, u->files[i]);
        http_source_end(&source);
        if (code) return code;
        if (!u->is_info) printf("%s/%s/snapshots/%s/", u->root, u->folder, u->commit);
        put_string(stdout, u->files[i]);
        putchar('\n');
    }
    if (u->is_info) return 0;
    snprintf(path, sizeof path, "%s/CACHEDIR.TAG", u->root);
    if (access(path, F_OK) != 0 && put(u, path, "Signature: 8a477f597d28d172789f06886806bc55\n", 0)) return HTTP_FAILED;
    snprintf(path, sizeof path, "%s/%s/refs/%s", u->root, u->folder, u->revision);
    if (strcmp(u->revision, u->commit) == 0 || has_text(path, u->commit)) return 0;
    return put(u, path, u->commit, 0); /* last, when all is there */
}

static const char *program; /* which program says so: hub or remote */

static int fail(const char *text) {
    return put_complaint(program, "", text);
}

static int misused(const char *argument, const char *text) {
    fprintf(stderr, "%s: ", program);
    put_string(stderr, argument);
    fprintf(stderr, ": %s\nTry '%s%s --help'.\n", text, program, strcmp(program, "hub") == 0 ? "" : " fetch");
    return 2;
}

int hub_main(const char *name, int argc, char **argv) {
    static hub u;
    http_settings settings;
    hub_choice choice;
    http h;
    int words = 1, code;
    program = name;
    memset(&choice, 0, sizeof choice);
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--help") == 0) return fputs(usage, stdout) < 0;
    }
    snprintf(u.endpoint, sizeof u.endpoint, "%s", http_hub());
    if (u.endpoint[strlen(u.endpoint) - 1] == '/') u.endpoint[strlen(u.endpoint) - 1] = 0;
    if (!http_settings_begin(&settings, u.endpoint))
        return misused(u.endpoint, "HF_ENDPOINT is not an http or https URL");
    for (int i = 1; i < argc; i++) { /* words move to the front */
        const char *value = argv[i + 1];
        if (strncmp(argv[i], "--", 2) != 0) {
            argv[words++] = argv[i];
        } else if (value && strcmp(argv[i], "--include") == 0 && choice.pattern_count < MOST_PATTERNS) {
            choice.patterns[choice.pattern_count++] = argv[++i];
        } else if (value && http_option(&settings, argv[i], value)) {
            i++;
        } else {
            return misused(argv[i], "unknown option, or a missing or invalid value");
        }
    }
    if (words < 2 || (strcmp(argv[1], "fetch") != 0 && strcmp(argv[1], "info") != 0)) {
        return misused(words < 2 ? "arguments" : argv[1], "expected the command fetch or info");
    }
    if (words < 3) return misused(argv[1], "expected a repository");
    curl_global_init(CURL_GLOBAL_DEFAULT);
    if (!http_begin(&h, &settings)) return fail("out of memory");
    u.h = &h, u.name = argv[2], u.is_info = argv[1][0] == 'i';
    choice.names = argv + 3, choice.name_count = words - 3;
    code = fetch(&u, &choice) ? fail(h.error) : 0;
    free(u.answer);
    free(u.files);
    curl_easy_cleanup(h.curl);
    curl_global_cleanup();
    return !code && (fflush(stdout) || ferror(stdout)) ? fail("cannot write to standard output") : code;
}
