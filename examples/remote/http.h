/* http.h: reads files over HTTP with libcurl. Whatever a server answers, a sink receives the bytes that were asked for
 * and no others, or there is an error. Redirects are followed here, not by libcurl, so that the token stays with its
 * host. */
#ifndef REMOTE_HTTP_H
#define REMOTE_HTTP_H

#include <curl/curl.h>
#include <pthread.h>
#include <stdint.h>

#define HTTP_UNKNOWN UINT64_MAX /* a length that is not known yet */

enum { HTTP_FIELD = 256, HTTP_ERROR = 1024, HTTP_NOT_FOUND = 404, HTTP_FAILED = 1000 };

enum { /* fields of an answer's header */
       HTTP_CONTENT_RANGE,
       HTTP_LENGTH,
       HTTP_ETAG,
       HTTP_MODIFIED,
       HTTP_TYPE,
       HTTP_ENCODING,
       HTTP_MESSAGE,
       HTTP_LINKED_ETAG,
       HTTP_LINKED_BYTES,
       HTTP_COMMIT,
       HTTP_FIELDS
};

typedef struct http_settings {
    char origin[HTTP_FIELD]; /* scheme://host:port, the only one that receives the token */
    const char *token;       /* or NULL */
    long timeout, retries;   /* timeout: seconds without data; retries: in a row, without a MiB received between them */
    const int *stops;        /* NULL, or set to 1 (atomically) to end all requests */
} http_settings;

typedef struct http_source { /* a file on a server; several connections may read it at the same time */
    pthread_mutex_t lock;
    char *url, *resolved; /* as asked for; where redirects led, such as a CDN's signed URL, or NULL */
    uint64_t bytes;       /* length of the file */
    int is_validated;     /* the next two are known: if they change, so has the file */
    char etag[HTTP_FIELD], modified[HTTP_FIELD];
} http_source;

/* Receives the next n bytes. An offset of 0 after others: the file starts again. Returns 0, or 1 after http_fail. */
typedef int http_sink(void *user, uint64_t offset, const void *bytes, size_t n);

typedef enum http_kind {
    HTTP_RANGE, /* bytes from offset to end, or to the end of the file */
    HTTP_REST,  /* bytes from offset on; a server without ranges sends all from 0 on */
    HTTP_HEAD   /* only the header, of the first answer with X-Linked-Etag, even if that answer redirects */
} http_kind;

typedef struct http { /* a connection, for one thread at a time */
    CURL *curl;
    http_settings settings;
    char field[HTTP_FIELDS][HTTP_FIELD]; /* of the last answer; "" if absent */
    char error[HTTP_ERROR];              /* one sentence, after a call failed */
    struct {                             /* the current call; private */
        http_source *source;
        http_sink *sink;
        void *user;
        uint64_t offset, end, answer_end;
        http_kind kind;
        int is_checked, has_failed, is_resolving, has_token;
        char etag[HTTP_FIELD], body[1024];
        size_t body_bytes, ignored;
    } now;
} http;

/* Sets the defaults and the token: REMOTE_TOKEN is for the host of the URL; HF_TOKEN too, if that host is the hub or
 * this machine. Returns 0 if the URL is not http or https, or names a user. */
int http_settings_begin(http_settings *settings, const char *url);
/* Takes --retries and --timeout. Returns 0 if the option or its value is neither. */
int http_option(http_settings *settings, const char *name, const char *value);
const char *http_hub(void);                             /* HF_ENDPOINT, or the public hub */
int http_begin(http *h, const http_settings *settings); /* this and the next: return 0 if memory runs out */
int http_source_begin(http_source *source, const char *url);
void http_source_end(http_source *source);
/* Sends requests until one succeeds or no retry can help. Returns 0, HTTP_NOT_FOUND or HTTP_FAILED. */
int http_get(http *h, http_source *source, http_kind kind, uint64_t offset, uint64_t end, http_sink *sink, void *user);
int http_fail(http *h, const char *url, const char *format, ...); /* sets the error; returns HTTP_FAILED */
int http_parse_number(const char **text, uint64_t *number);
/* Writes text with all bytes percent-encoded but letters, digits, -._~ and those in `plain`. Returns the end. */
char *http_encode(char *to, const char *text, const char *plain);

#endif
