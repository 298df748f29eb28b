/* verify.c: the SHA-256 that a file should have: from the name of its blob in the hub's cache, or a Git LFS pointer. */
#include "st.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Returns the value of a hexadecimal digit, or 16. */
static unsigned digit_value(char c) {
    static const char digits[] = "0123456789abcdef0123456789ABCDEF";
    const char *found = c ? strchr(digits, c) : NULL;
    return found ? (unsigned)(found - digits) % 16 : 16;
}

static size_t count_digits(const char *text) {
    size_t n = 0;
    while (digit_value(text[n]) < 16) n++;
    return n;
}

static void parse_digest(const char *text, unsigned char digest[SHA256_BYTES]) {
    size_t i;
    for (i = 0; i < SHA256_BYTES; i++) {
        digest[i] = (unsigned char)(digit_value(text[2 * i]) << 4 | digit_value(text[2 * i + 1]));
    }
}

/* ---- blobs of the hub's cache: models--OWNER--NAME/blobs/DIGEST --------------------------------------------- */

/* Returns the name of the blob that the path leads to, at the end of *real, which the caller frees; or NULL. */
static const char *blob_of(const char *path, char **real) {
    static const char folder[] = "blobs";
    const size_t n = sizeof folder - 1;
    const char *name;
    *real = system_real_path(path);
    if (!*real) return NULL;
    name = *real + strlen(*real);
    while (name > *real && !is_separator(name[-1])) name--;
    if ((size_t)(name - *real) < n + 2 || !is_separator(name[-2 - (ptrdiff_t)n])) return NULL;
    return memcmp(name - 1 - n, folder, n) == 0 ? name : NULL;
}

/* Returns 1 if a component of the path is this text. */
static int is_component(const char *component, const char *text) {
    const size_t n = strlen(text);
    return strncmp(component, text, n) == 0 && is_separator(component[n]);
}

/* Returns 1 if the path leads into the cache: to blobs/DIGEST, or to a copy in snapshots/COMMIT/. */
static int is_cached(const char *path) {
    char *real;
    const char *name = blob_of(path, &real), *at;
    const size_t digits = name ? count_digits(name) : 0;
    int is_in_cache = (digits == 40 || digits == 64) && name[digits] == 0;
    for (at = real; at && *at; at++) {
        const char *commit = at + sizeof "snapshots";
        if (!is_component(at, "snapshots") || at == real || !is_separator(at[-1])) continue;
        if (count_digits(commit) == 40 && is_separator(commit[40])) is_in_cache = 1;
    }
    free(real);
    return is_in_cache;
}

int refuse_cached(const char *path, const char *file) {
    if (!is_cached(file)) return EXIT_FINE;
    return report_text(path, "cannot change a file of the Hugging Face cache: copy the model with st copy");
}

void expect_blob(expected_hash *e, const char *path) {
    char *real;
    const char *name = blob_of(path, &real);
    const size_t digits = name ? count_digits(name) : 0;
    e->bytes = UINT64_MAX;
    e->unknown = NULL;
    if (!name) {
        e->unknown = "nothing to compare with: not a link to a blob of the Hugging Face cache";
    } else if (digits == 40 && name[40] == 0) {
        e->unknown = "nothing to compare with: the blob's name is a Git object, not a SHA-256";
    } else if (digits != 2 * SHA256_BYTES || name[digits] != 0) {
        e->unknown = "nothing to compare with: the blob's name is not a SHA-256";
    } else {
        parse_digest(name, e->digest);
    }
    free(real);
}

/* ---- Git LFS pointers --------------------------------------------------------------------------------------- */

enum { POINTER_BYTES = 1024 }; /* the longest pointer, by the specification of Git LFS */

/* Moves *text past the prefix and returns 1 if the text begins with it. */
static int skip(const char **text, const char *prefix) {
    const size_t n = strlen(prefix);
    if (strncmp(*text, prefix, n) != 0) return 0;
    *text += n;
    return 1;
}

/* Returns NULL, or what is wrong. */
static const char *parse_pointer(const char *text, expected_hash *e) {
    if (!skip(&text, "version https://git-lfs.github.com/spec/v1\n")) {
        return "not a Git LFS pointer: expected the line version https://git-lfs.github.com/spec/v1";
    }
    if (!skip(&text, "oid sha256:")) return "wrong Git LFS pointer: expected the line oid sha256:DIGEST";
    if (count_digits(text) != 2 * SHA256_BYTES) return "wrong Git LFS pointer: expected 64 hexadecimal digits in oid";
    parse_digest(text, e->digest);
    text += 2 * SHA256_BYTES;
    if (!skip(&text, "\nsize ") || !parse_digits(&text, &e->bytes) || strcmp(text, "\n") != 0) {
        return "wrong Git LFS pointer: expected the line size BYTES at the end";
    }
    return NULL;
}

int expect_lfs_pointer(expected_hash *e, const char *path) {
    char text[POINTER_BYTES + 1];
    const char *wrong;
    size_t n;
    int code;
    FILE *file = system_open(path);
    e->unknown = NULL;
    if (!file) return report_input(path, "open", errno);
    errno = 0;
    n = system_read(file, text, POINTER_BYTES);
    code = !ferror(file) ? 0 : errno ? errno : EIO;
    fclose(file);
    if (code) return report_input(path, "read", code);
    text[n] = 0;
    wrong = strlen(text) == n && n < POINTER_BYTES ? parse_pointer(text, e)
                                                   : "not a Git LFS pointer: expected a text of less than 1024 bytes";
    return wrong ? report_text(path, wrong) : EXIT_FINE;
}
