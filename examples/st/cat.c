/* cat.c: the bytes of a tensor, as they are stored. */
#include "st.h"
#include <string.h>

typedef struct part { /* of the tensor's bytes; without a count it goes to the end */
    uint64_t offset, bytes;
    int has_bytes;
} part;

/* Leaves *number alone where the option was not given. */
static int read_option(const char *name, const char *text, uint64_t *number) {
    if (!text || read_number(text, number)) return 1;
    begin_complaint("cat");
    fprintf(stderr, "%s takes a number of bytes, not ", name);
    put_text(stderr, text, strlen(text));
    usage_hint("cat");
    return 0;
}

static int past_end(const char *name, uint64_t asked, const char *what, uint64_t there) {
    begin_complaint("cat");
    fprintf(stderr, "%s ", name);
    put_number(stderr, asked);
    fprintf(stderr, " goes past the end: %s ", what);
    put_number(stderr, there);
    fputs(" bytes", stderr);
    return usage_hint("cat");
}

/* main reports a failed write: there is nothing more to be done about it here. */
static int copy_out(const st_model *model, const st_tensor *tensor, const char *path, uint64_t offset, uint64_t bytes) {
    static unsigned char block[1 << 18];
    while (bytes && !output_failed()) {
        size_t n = bytes < sizeof block ? (size_t)bytes : sizeof block;
        st_error error;
        if (st_read(model, tensor, offset, block, n, &error) != ST_OK) return report(path, &error);
        fwrite(block, 1, n, stdout);
        offset += n, bytes -= n;
    }
    return EXIT_FINE;
}

static int cat_tensor(const st_model *model, const char *path, const char *name, const part *wanted) {
    const st_tensor *tensor = st_find(model, name);
    uint64_t rest;
    if (!tensor) return no_such_tensor(model, path, name);
    if (wanted->offset > tensor->bytes) return past_end("--offset", wanted->offset, "the tensor has", tensor->bytes);
    rest = tensor->bytes - wanted->offset;
    if (wanted->has_bytes && wanted->bytes > rest) {
        return past_end("--bytes", wanted->bytes, wanted->offset ? "from there the tensor has" : "the tensor has",
                        rest);
    }
    return copy_out(model, tensor, path, wanted->offset, wanted->has_bytes ? wanted->bytes : rest);
}

int command_cat(int argc, char **argv) {
    const char *offset = NULL, *bytes = NULL;
    const option options[] = {{"--offset", NULL, &offset}, {"--bytes", NULL, &bytes}};
    part wanted = {0, 0, 0};
    int code, words;
    st_open_options how;
    st_model *model;
    st_error error;
    words = take_options("cat", options, 2, argc, argv);
    if (words < 0) return EXIT_USAGE;
    if (words != 2) {
        begin_complaint("cat");
        fputs(words == 0   ? "MODEL and TENSOR are missing"
              : words == 1 ? "TENSOR is missing (st ls MODEL lists their names)"
                           : "one TENSOR at a time",
              stderr);
        return usage_hint("cat");
    }
    wanted.has_bytes = bytes != NULL;
    if (!read_option("--offset", offset, &wanted.offset) || !read_option("--bytes", bytes, &wanted.bytes)) {
        return EXIT_USAGE;
    }
    if (system_is_terminal()) {
        begin_complaint("cat");
        fputs("raw bytes would disturb the terminal: send them to a file (> FILE) or a program (| xxd)", stderr);
        return usage_hint("cat");
    }
    memset(&how, 0, sizeof how);
    how.flags = ST_OPEN_NO_MAP; /* a file that shrinks meanwhile is then an error, not a SIGBUS */
    if (open_model(&model, argv[0], &how, &error) != ST_OK) return report(argv[0], &error);
    code = cat_tensor(model, argv[0], argv[1], &wanted);
    st_close(model);
    return code;
}
