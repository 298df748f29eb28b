/* cat.c: writes the raw bytes of a tensor. */
#include "st.h"
#include <string.h>

typedef struct part { /* of the tensor's bytes; up to the end unless has_bytes */
    uint64_t offset, bytes;
    int has_bytes;
} part;

/* Does not change *number if the option was not given. */
static int read_option(const char *name, const char *text, uint64_t *number) {
    if (!text || parse_number(text, number)) return 1;
    begin_message("cat");
    fprintf(stderr, "%s: expected a number of bytes, found ", name);
    put_string(stderr, text);
    usage_hint("cat");
    return 0;
}

static int past_end(const char *name, uint64_t value, const char *text, uint64_t available) {
    begin_message("cat");
    fprintf(stderr, "%s ", name);
    put_number(stderr, value);
    fprintf(stderr, " is past the end: %s ", text);
    put_number(stderr, available);
    fputs(available == 1 ? " byte" : " bytes", stderr);
    return usage_hint("cat");
}

/* Stops at a failed write, which main reports. */
static int copy_out(const st_model *model, const st_tensor *tensor, const char *path, uint64_t offset, uint64_t bytes) {
    static unsigned char block[1 << 18];
    while (bytes && !output_failed()) {
        size_t n = bytes < sizeof block ? (size_t)bytes : sizeof block;
        st_error error;
        if (st_read(model, tensor, offset, block, n, &error) != ST_OK) return report_read(model, path, &error);
        fwrite(block, 1, n, stdout);
        offset += n, bytes -= n;
    }
    return EXIT_FINE;
}

static int cat_tensor(const st_model *model, const char *path, const char *name, const part *wanted) {
    const st_tensor *tensor = st_find(model, name);
    uint64_t rest;
    if (!tensor) return report_missing_tensor(model, path, name);
    if (wanted->offset > tensor->bytes) return past_end("--offset", wanted->offset, "the tensor has", tensor->bytes);
    rest = tensor->bytes - wanted->offset;
    if (wanted->has_bytes && wanted->bytes > rest) {
        return past_end("--bytes", wanted->bytes, wanted->offset ? "from this offset the tensor has" : "the tensor has",
                        rest);
    }
    return copy_out(model, tensor, path, wanted->offset, wanted->has_bytes ? wanted->bytes : rest);
}

int command_cat(int argc, char **argv) {
    const char *offset = NULL, *bytes = NULL;
    const option options[] = {{"--offset", NULL, &offset}, {"--bytes", NULL, &bytes}};
    part wanted = {0, 0, 0};
    int code, words;
    st_open_options open_options;
    st_model *model;
    st_error error;
    words = parse_options("cat", options, 2, argc, argv);
    if (words < 0) return EXIT_USAGE;
    if (words != 2) {
        begin_message("cat");
        fputs(words == 0   ? "MODEL and TENSOR are missing"
              : words == 1 ? "TENSOR is missing (for names, type st ls MODEL)"
                           : "too many arguments: expected one MODEL and one TENSOR",
              stderr);
        return usage_hint("cat");
    }
    wanted.has_bytes = bytes != NULL;
    if (!read_option("--offset", offset, &wanted.offset) || !read_option("--bytes", bytes, &wanted.bytes)) {
        return EXIT_USAGE;
    }
    if (system_is_terminal()) {
        begin_message("cat");
        fputs("raw bytes can disturb the terminal: send them to a file (> FILE) or to a program (| xxd)", stderr);
        return usage_hint("cat");
    }
    memset(&open_options, 0, sizeof open_options);
    open_options.flags = ST_OPEN_NO_MAP; /* a file that shrinks is then an error and no SIGBUS */
    if (open_model(&model, argv[0], &open_options, &error) != ST_OK) return report(argv[0], &error);
    code = cat_tensor(model, argv[0], argv[1], &wanted);
    st_close(model);
    return code;
}
