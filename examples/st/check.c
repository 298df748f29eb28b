/* check.c: whether models are sound. */
#include "st.h"
#include <string.h>

static void put_verdict(const char *path, const st_model *model, const st_error *error, const colours *paint) {
    if (error->status != ST_OK) {
        put_error(stdout, path, error);
        return;
    }
    put_text(stdout, path, strlen(path));
    printf(": %sok%s, ", paint->good, paint->off);
    put_number(stdout, model->count);
    fputs(model->count == 1 ? " tensor, " : " tensors, ", stdout);
    put_number(stdout, model->bytes);
    fputs(model->bytes == 1 ? " byte" : " bytes", stdout);
    if (model->shard_count > 1) {
        fputs(" in ", stdout);
        put_number(stdout, model->shard_count);
        fputs(" files", stdout);
    }
}

int command_check(int argc, char **argv) {
    int json = 0, code = EXIT_FINE, paths, i;
    const option options[] = {{"--json", &json, NULL}};
    const colours paint = system_colours(stdout);
    st_options how;
    paths = take_options("check", options, 1, argc, argv);
    if (paths < 0) return EXIT_USAGE;
    if (paths == 0) {
        begin_complaint("check");
        fputs("a MODEL is missing", stderr);
        return usage_hint("check");
    }
    memset(&how, 0, sizeof how);
    how.flags = ST_OPEN_NO_MAP; /* the header and the length decide; there is no need to map gigabytes */
    for (i = 0; i < paths && !output_failed(); i++) {
        st_model *model;
        st_error error;
        error.status = open_model(&model, argv[i], &how, &error);
        if (error.status != ST_OK) code = EXIT_FAILED;
        if (json) {
            put_error_json(stdout, argv[i], &error);
        } else {
            put_verdict(argv[i], model, &error, &paint);
        }
        end_line();
        st_close(model);
    }
    return code;
}
