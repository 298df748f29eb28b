/* http.c: requests, redirects, retries, and the checks of every answer. */
#include "http.h"
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

enum { MOST_REDIRECTS = 10, MOST_IGNORED = 1 << 16, MEBIBYTE = 1 << 20, LONGEST_WAIT = 120 }; /* the last in seconds */

typedef enum verdict { GOOD, AGAIN, EXPIRED, BAD } verdict; /* EXPIRED: what the redirect led to */

/* ---- URLs, numbers, errors ---------------------------------------------------------------------------------- */

int http_parse_number(const char **text, uint64_t *number) {
    const char *begin = *text;
    for (*number = 0; **text >= '0' && **text <= '9'; (*text)++) {
        if (*number > INT64_MAX / 10 - 1) return 0; /* no file is that long */
        *number = *number * 10 + (uint64_t)(**text - '0');
    }
    return *text > begin;
}

char *http_encode(char *to, const char *text, const char *plain) {
    for (; *text; text++) {
        const int c = (unsigned char)*text, is_letter = (c | 32) >= 'a' && (c | 32) <= 'z';
        to += sprintf(to, is_letter || strchr("0123456789-._~", c) || strchr(plain, c) ? "%c" : "%%%02X", c);
    }
    return to;
}

/* Writes "scheme://host:port". URLs that name a user are refused, since libcurl would send the name. */
static int origin_of(const char *url, char origin[HTTP_FIELD]) {
    static const CURLUPart parts[4] = {CURLUPART_SCHEME, CURLUPART_HOST, CURLUPART_PORT, CURLUPART_USER};
    char *text[4] = {NULL, NULL, NULL, NULL};
    CURLU *parsed = curl_url();
    int n = -1, found = 0;
    if (parsed && curl_url_set(parsed, CURLUPART_URL, url, 0) == CURLUE_OK) {
        while (found < 4 && !curl_url_get(parsed, parts[found], &text[found], CURLU_DEFAULT_PORT)) found++;
    }
    if (found == 3 && (strcasecmp(text[0], "http") == 0 || strcasecmp(text[0], "https") == 0)) {
        n = snprintf(origin, HTTP_FIELD, "%s://%s:%s", text[0], text[1], text[2]);
    }
    while (found) curl_free(text[--found]);
    curl_url_cleanup(parsed);
    return n > 0 && n < HTTP_FIELD;
}

static int begins(const char *text, const char *with) {
    return strncasecmp(text, with, strlen(with)) == 0;
}

static int is_loopback(const char *origin) {
    const char *host = strstr(origin, "://");
    return host && (begins(host, "://127.0.0.1:") || begins(host, "://[::1]:") || begins(host, "://localhost:"));
}

int http_fail(http *h, const char *url, const char *format, ...) {
    va_list list;
    const int n = snprintf(h->error, sizeof h->error, "%.500s: ", url);
    va_start(list, format);
    vsnprintf(h->error + n, sizeof h->error - (size_t)n, format, list);
    va_end(list);
    h->now.has_failed = 1;
    return HTTP_FAILED;
}

/* Fails with the URL that was asked for: what it redirects to may hold a signature. */
#define FAIL(h, ...) (http_fail(h, (h)->now.source->url, __VA_ARGS__), BAD)

static verdict fail_status(http *h, long status) {
    const char *reason = h->now.body_bytes && h->now.body[0] != '<' ? h->now.body : h->field[HTTP_MESSAGE];
    h->now.body[h->now.body_bytes] = 0;
    return FAIL(h, "the server answered %ld%s%.300s%s", status, *reason ? ": " : "", reason,
                (status == 401 || status == 403) && !h->now.has_token ? " (no token was sent)" : "");
}

/* ---- checking an answer ------------------------------------------------------------------------------------- */

/* Compares what identifies the contents of the file with earlier answers. */
static verdict check_same(http *h, uint64_t bytes) {
    http_source *s = h->now.source;
    const char *etag = h->field[HTTP_ETAG], *modified = h->field[HTTP_MODIFIED];
    verdict v = GOOD;
    pthread_mutex_lock(&s->lock);
    if (s->bytes != HTTP_UNKNOWN && bytes != HTTP_UNKNOWN && s->bytes != bytes) {
        v = FAIL(h, "the length was %llu and is %llu: the file changed, or the server lies",
                 (unsigned long long)s->bytes, (unsigned long long)bytes);
    } else if (s->is_validated && strcmp(s->etag, etag) != 0) {
        v = FAIL(h, "the file changed while it was read: its ETag was %s and is %s", s->etag, etag);
    } else if (s->is_validated && !*etag && strcmp(s->modified, modified) != 0) {
        v = FAIL(h, "the file changed while it was read: it was modified %s, then %s", s->modified, modified);
    } else if (!s->is_validated) {
        s->is_validated = 1;
        strcpy(s->etag, etag);
        strcpy(s->modified, modified);
        if (s->bytes == HTTP_UNKNOWN) s->bytes = bytes;
    }
    pthread_mutex_unlock(&s->lock);
    return v;
}

/* Checks the header of an answer that brings bytes of the file. */
static verdict check_header(http *h, long status) {
    const char *p = h->field[HTTP_LENGTH], *range = h->field[HTTP_CONTENT_RANGE];
    uint64_t length = HTTP_UNKNOWN, first, last, total;
    h->now.is_checked = 1;
    if (h->field[HTTP_ENCODING][0] && strcasecmp(h->field[HTTP_ENCODING], "identity") != 0) {
        return FAIL(h, "the server compressed its answer (%s), though that was not asked for", h->field[HTTP_ENCODING]);
    }
    if (*p && (!http_parse_number(&p, &length) || *p)) return FAIL(h, "invalid length: %s", h->field[HTTP_LENGTH]);
    if (status == 200) {
        if (h->now.kind == HTTP_RANGE) return FAIL(h, "the server ignores requests for a range of bytes");
        h->now.offset = 0; /* the whole file, even if the rest was asked for */
        h->now.answer_end = length != HTTP_UNKNOWN ? length : h->now.source->bytes;
        return check_same(h, length);
    }
    if (begins(h->field[HTTP_TYPE], "multipart/")) return FAIL(h, "the server sent several parts instead of a range");
    p = range + (begins(range, "bytes ") ? 6 : 0);
    if (!http_parse_number(&p, &first) || *p++ != '-' || !http_parse_number(&p, &last) || *p++ != '/' ||
        !http_parse_number(&p, &total) || *p || last < first || last >= total) {
        return FAIL(h, "the server sent a range with a missing or invalid Content-Range: '%s'", range);
    }
    h->now.answer_end = last + 1;
    if (first != h->now.offset || last + 1 != (h->now.end < total ? h->now.end : total)) {
        return FAIL(h, "the server sent another range than the one asked for: %s", range);
    }
    if (length != HTTP_UNKNOWN && length != last + 1 - first) {
        return FAIL(h, "the server lies about a length: Content-Length %s, Content-Range %s", h->field[HTTP_LENGTH],
                    range);
    }
    return check_same(h, total);
}

/* Keeps the fields that matter. */
static size_t take_header(char *line, size_t size, size_t n, void *user) {
    static const char *const names[HTTP_FIELDS] = {
        "Content-Range:",    "Content-Length:",  "ETag:",          "Last-Modified:", "Content-Type:",
        "Content-Encoding:", "X-Error-Message:", "X-Linked-Etag:", "X-Linked-Size:", "X-Repo-Commit:"};
    http *h = (http *)user;
    n *= size;
    if (n > 5 && begins(line, "HTTP/")) memset(h->field, 0, sizeof h->field);
    for (size_t i = 0, end = n; i < HTTP_FIELDS; i++, end = n) {
        size_t begin = strlen(names[i]);
        if (n < begin || strncasecmp(line, names[i], begin) != 0) continue;
        while (begin < end && (line[begin] == ' ' || line[begin] == '\t')) begin++;
        while (end > begin && strchr(" \t\r\n", line[end - 1])) end--;
        if (end - begin >= HTTP_FIELD) return (void)FAIL(h, "the server sent over 255 bytes of %s", names[i]), 0;
        memcpy(h->field[i], line + begin, end - begin);
        h->field[i][end - begin] = 0;
    }
    return n;
}

static size_t take_body(char *bytes, size_t size, size_t n, void *user) {
    http *h = (http *)user;
    long status = 0;
    n *= size;
    curl_easy_getinfo(h->curl, CURLINFO_RESPONSE_CODE, &status);
    if (status != 200 && status != 206) { /* a page about what went wrong, of which some lines are kept */
        const size_t space = sizeof h->now.body - 1 - h->now.body_bytes, kept = n < space ? n : space;
        memcpy(h->now.body + h->now.body_bytes, bytes, kept);
        h->now.body_bytes += kept, h->now.ignored += n;
        return h->now.ignored > MOST_IGNORED ? 0 : n;
    }
    if (!h->now.is_checked && check_header(h, status) != GOOD) return 0;
    if (n > h->now.answer_end - h->now.offset) return (void)FAIL(h, "the server sent more bytes than it announced"), 0;
    if (h->now.sink(h->now.user, h->now.offset, bytes, n)) return 0;
    h->now.offset += n;
    return n;
}

static int is_stopped(const http *h) {
    return h->settings.stops && __atomic_load_n(h->settings.stops, __ATOMIC_RELAXED);
}

static int watch(void *user, curl_off_t a, curl_off_t b, curl_off_t c, curl_off_t d) {
    (void)a, (void)b, (void)c, (void)d;
    return is_stopped((const http *)user);
}

/* ---- one attempt -------------------------------------------------------------------------------------------- */

/* Sends one request to one server. The token goes to its own origin, encrypted or inside this machine. */
static CURLcode send_request(http *h, const char *url, const char *origin, int is_first) {
    const http_settings *set = &h->settings;
    struct curl_slist *list = curl_slist_append(NULL, "Accept-Encoding: identity"), *last = list;
    char range[64], *text = (char *)malloc(HTTP_FIELD + 32 + (set->token ? strlen(set->token) : 0));
    CURLcode code = CURLE_OUT_OF_MEMORY;
    h->now.has_token =
        set->token && strcasecmp(set->origin, origin) == 0 && (begins(origin, "https:") || is_loopback(origin));
    if (last && text && h->now.has_token) {
        /* without the end of a line, which would begin another field */
        sprintf(text, "Authorization: Bearer %.*s", (int)strcspn(set->token, " \t\r\n"), set->token);
        last = curl_slist_append(list, text);
    }
    if (last && text && h->now.etag[0] == '"' && is_first && !h->now.is_resolving) {
        sprintf(text, "If-Match: %s", h->now.etag); /* the server refuses if the file has changed */
        last = curl_slist_append(list, text);
    }
    snprintf(range, sizeof range, h->now.end == HTTP_UNKNOWN ? "%llu-" : "%llu-%llu", (unsigned long long)h->now.offset,
             (unsigned long long)h->now.end - 1);
    h->now.is_checked = 0, h->now.body_bytes = h->now.ignored = 0;
    memset(h->field, 0, sizeof h->field);
    curl_easy_setopt(h->curl, CURLOPT_URL, url);
    curl_easy_setopt(h->curl, CURLOPT_HTTPHEADER, list);
    curl_easy_setopt(h->curl, h->now.kind == HTTP_HEAD ? CURLOPT_NOBODY : CURLOPT_HTTPGET, 1L);
    curl_easy_setopt(h->curl, CURLOPT_RANGE, h->now.kind == HTTP_RANGE || h->now.offset ? range : NULL);
    /* what is for this machine, and the token with it, does not go through the proxy of the environment */
    curl_easy_setopt(h->curl, CURLOPT_PROXY, is_loopback(origin) ? "" : NULL);
    if (last && text) code = curl_easy_perform(h->curl);
    curl_easy_setopt(h->curl, CURLOPT_HTTPHEADER, NULL);
    curl_slist_free_all(list);
    free(text);
    return code;
}

static verdict judge(http *h, CURLcode code, long status, int is_resolved) {
    const char *p = h->field[HTTP_CONTENT_RANGE];
    uint64_t total;
    if (code == CURLE_PARTIAL_FILE || code == CURLE_RECV_ERROR || code == CURLE_SEND_ERROR || code == CURLE_HTTP2 ||
        code == CURLE_GOT_NOTHING || code == CURLE_OPERATION_TIMEDOUT || code == CURLE_HTTP2_STREAM ||
        (code == CURLE_COULDNT_CONNECT && h->now.etag[0])) { /* a server that was there may come back */
        return AGAIN;
    }
    if (code != CURLE_OK) return FAIL(h, "%s", curl_easy_strerror(code));
    if (status == 200 || status == 206) {
        if (h->now.kind == HTTP_HEAD) return GOOD;
        if (!h->now.is_checked && check_header(h, status) != GOOD) return BAD; /* there was no body */
        return h->now.answer_end == HTTP_UNKNOWN || h->now.offset == h->now.answer_end ? GOOD : AGAIN;
    }
    if (status == 416 && begins(p, "bytes */") && (p += 8, http_parse_number(&p, &total))) {
        if (total == 0 && h->now.offset == 0) return check_same(h, total); /* an empty file has no range */
        return FAIL(h, "the file is shorter than it was: %llu bytes", (unsigned long long)total);
    }
    if (status == 408 || status == 429 || status == 500 || (status >= 502 && status <= 504)) return AGAIN;
    if (status == 412) return FAIL(h, "the file changed while it was read: its ETag is not %s", h->now.etag);
    return is_resolved && status >= 400 ? EXPIRED : fail_status(h, status);
}

/* Sends a request and follows redirects. */
static verdict attempt(http *h, long *status) {
    http_source *s = h->now.source;
    char origin[HTTP_FIELD], before[HTTP_FIELD] = "", *url, *next = NULL;
    verdict v = AGAIN;
    int hops = 0;
    pthread_mutex_lock(&s->lock);
    const int is_resolved = s->resolved != NULL;
    url = strdup(is_resolved ? s->resolved : s->url);
    strcpy(h->now.etag, s->etag);
    pthread_mutex_unlock(&s->lock);
    do {
        if (!url) {
            v = FAIL(h, "out of memory");
        } else if (hops > MOST_REDIRECTS || !origin_of(url, origin)) {
            v = FAIL(h, "%s", hops > MOST_REDIRECTS ? "over 10 redirects" : "not an allowed http or https URL");
        } else if (begins(before, "https:") && !begins(origin, "https:")) {
            v = FAIL(h, "redirects from https to http, which is not followed");
        } else if (h->now.kind == HTTP_HEAD && hops && strcasecmp(before, origin) != 0) {
            v = FAIL(h, "redirects to another host without X-Linked-Etag");
        } else {
            const CURLcode code = send_request(h, url, origin, hops == 0);
            curl_easy_getinfo(h->curl, CURLINFO_RESPONSE_CODE, status);
            curl_easy_getinfo(h->curl, CURLINFO_REDIRECT_URL, &next);
            if (code != CURLE_OK || !next || (h->now.kind == HTTP_HEAD && h->field[HTTP_LINKED_ETAG][0])) {
                v = h->now.has_failed ? BAD : next && code == CURLE_OK ? GOOD : judge(h, code, *status, is_resolved);
                break;
            }
            free(url);
            url = strdup(next);
            strcpy(before, origin);
            hops++;
        }
    } while (v == AGAIN);
    pthread_mutex_lock(&s->lock);
    if (v == EXPIRED || (v == GOOD && hops)) {
        free(s->resolved);
        s->resolved = v == GOOD ? url : NULL;
        url = v == GOOD ? NULL : url;
    }
    pthread_mutex_unlock(&s->lock);
    free(url);
    return v;
}

/* ---- calls -------------------------------------------------------------------------------------------------- */

int http_get(http *h, http_source *source, http_kind kind, uint64_t offset, uint64_t end, http_sink *sink, void *user) {
    const struct timespec step = {0, 20000000};
    uint64_t mark = offset + MEBIBYTE;
    memset(&h->now, 0, sizeof h->now);
    h->now.source = source, h->now.kind = kind, h->now.sink = sink, h->now.user = user;
    h->now.offset = offset, h->now.end = end;
    for (int tries = 0;; tries++) {
        long status = 0;
        curl_off_t wait = 0;
        const verdict v = attempt(h, &status);
        if (v == GOOD) return 0;
        if (v == BAD) return status == 404 ? HTTP_NOT_FOUND : HTTP_FAILED;
        if (h->now.offset >= mark) tries = 0, mark = h->now.offset + MEBIBYTE;
        if (tries >= h->settings.retries && status >= 400) return (void)fail_status(h, status), HTTP_FAILED;
        if (tries >= h->settings.retries) {
            return http_fail(h, source->url, "connection cut or timed out at byte %llu, after %d retries",
                             (unsigned long long)h->now.offset, tries);
        }
        h->now.is_resolving |= v == EXPIRED;
        if (v == EXPIRED) continue;
        curl_easy_getinfo(h->curl, CURLINFO_RETRY_AFTER, &wait);
        if (wait > LONGEST_WAIT)
            return http_fail(h, source->url, "the server asks to wait for %ld seconds", (long)wait);
        wait = wait > 0 ? wait * 1000 : (100 << (tries < 7 ? tries : 7)) + rand() % 100;
        for (; wait > 0 && !is_stopped(h); wait -= 20) nanosleep(&step, NULL);
        if (is_stopped(h)) return http_fail(h, source->url, "stopped");
    }
}

const char *http_hub(void) {
    const char *hub = getenv("HF_ENDPOINT");
    return hub && *hub ? hub : "https://huggingface.co";
}

int http_settings_begin(http_settings *settings, const char *url) {
    char hub[HTTP_FIELD];
    memset(settings, 0, sizeof *settings);
    settings->retries = 5, settings->timeout = 30;
    if (!origin_of(url, settings->origin)) return 0;
    settings->token = getenv("REMOTE_TOKEN");
    if (settings->token && *settings->token) return 1;
    const int is_hub = origin_of(http_hub(), hub) && strcasecmp(hub, settings->origin) == 0;
    settings->token = is_hub || is_loopback(settings->origin) ? getenv("HF_TOKEN") : NULL;
    if (settings->token && !*settings->token) settings->token = NULL;
    return 1;
}

int http_option(http_settings *settings, const char *name, const char *value) {
    const int is_timeout = strcmp(name, "--timeout") == 0;
    uint64_t number;
    if (!is_timeout && strcmp(name, "--retries") != 0) return 0;
    if (!http_parse_number(&value, &number) || *value || number > 3600) return 0;
    if (is_timeout) settings->timeout = number ? (long)number : 1;
    if (!is_timeout) settings->retries = (long)number;
    return 1;
}

int http_begin(http *h, const http_settings *settings) {
    memset(h, 0, sizeof *h);
    h->settings = *settings;
    h->curl = curl_easy_init();
    if (getenv("SSL_CERT_FILE")) curl_easy_setopt(h->curl, CURLOPT_CAINFO, getenv("SSL_CERT_FILE"));
    curl_easy_setopt(h->curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(h->curl, CURLOPT_USERAGENT, "safetensors-remote/1");
    curl_easy_setopt(h->curl, CURLOPT_BUFFERSIZE, 65536L);
    curl_easy_setopt(h->curl, CURLOPT_CONNECTTIMEOUT, settings->timeout);
    curl_easy_setopt(h->curl, CURLOPT_LOW_SPEED_LIMIT, 64L);
    curl_easy_setopt(h->curl, CURLOPT_LOW_SPEED_TIME, settings->timeout);
    curl_easy_setopt(h->curl, CURLOPT_HEADERFUNCTION, take_header);
    curl_easy_setopt(h->curl, CURLOPT_HEADERDATA, h);
    curl_easy_setopt(h->curl, CURLOPT_WRITEFUNCTION, take_body);
    curl_easy_setopt(h->curl, CURLOPT_WRITEDATA, h);
    curl_easy_setopt(h->curl, CURLOPT_NOPROGRESS, 0L);
    curl_easy_setopt(h->curl, CURLOPT_XFERINFOFUNCTION, watch);
    curl_easy_setopt(h->curl, CURLOPT_XFERINFODATA, h);
    return h->curl != NULL;
}

int http_source_begin(http_source *source, const char *url) {
    memset(source, 0, sizeof *source);
    source->bytes = HTTP_UNKNOWN;
    source->url = strdup(url);
    return source->url && pthread_mutex_init(&source->lock, NULL) == 0;
}

void http_source_end(http_source *source) {
    free(source->url);
    free(source->resolved);
    pthread_mutex_destroy(&source->lock);
}
