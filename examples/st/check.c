/* check.c: checks whether models are valid and, with --deep, what their data contains. */
#include "st.h"
#include <stdlib.h>
#include <string.h>

enum { SHOWN_TENSORS = 20 };

typedef struct check {
    int json, deep;
    const char *path;
    const st_model *model;
    findings sum, *by_tensor; /* --deep */
} check;

/* ---- reading all data --------------------------------------------------------------------------------------- */

static st_status scan_tensor(check *c, size_t index, uint64_t *done, progress *bar, st_error *error) {
    static unsigned char block[1 << 20]; /* a whole number of elements of every dtype that values.c inspects */
    const st_tensor *t = &c->model->tensors[index];
    findings *found = &c->by_tensor[index];
    uint64_t offset = 0;
    while (offset < t->bytes) {
        const size_t n = t->bytes - offset < sizeof block ? (size_t)(t->bytes - offset) : sizeof block;
        if (st_read(c->model, t, offset, block, n, error) != ST_OK) return error->status;
        count_findings(found, t->dtype, block, n);
        offset += n, *done += n;
        if (progress_step(bar, *done, c->model->bytes)) return error->status = ST_ERR_CANCELLED;
    }
    c->sum.nan += found->nan;
    c->sum.infinity += found->infinity;
    c->sum.bad_bool += found->bad_bool;
    return ST_OK;
}

static st_status scan_model(check *c, st_error *error) {
    uint64_t done = 0;
    progress bar;
    size_t i;
    memset(&c->sum, 0, sizeof c->sum);
    c->by_tensor = (findings *)calloc(c->model->count + 1, sizeof *c->by_tensor);
    if (!c->by_tensor) return set_error(error, ST_ERR_MEMORY, "out of memory");
    progress_begin(&bar);
    system_watch_interrupts();
    error->status = ST_OK;
    for (i = 0; error->status == ST_OK && i < c->model->count; i++) scan_tensor(c, i, &done, &bar, error);
    progress_end(&bar);
    system_stop_watching();
    return error->status;
}

static int found_any(const findings *f) {
    return f->nan || f->infinity || f->bad_bool;
}

/* ---- text output -------------------------------------------------------------------------------------------- */

static void put_count(const char **before, uint64_t number, const char *singular, const char *plural) {
    if (!number) return;
    fputs(*before, stdout);
    put_number(stdout, number);
    fputs(number == 1 ? singular : plural, stdout);
    *before = ", ";
}

/* Writes "2 NaN, 1 infinity", or nothing. */
static void put_findings(const char *before, const findings *f) {
    put_count(&before, f->bad_bool, " BOOL byte other than 0 and 1", " BOOL bytes other than 0 and 1");
    put_count(&before, f->nan, " NaN", " NaN");
    put_count(&before, f->infinity, " infinity", " infinities");
}

static void put_tensors(const check *c) {
    size_t i, shown = 0;
    for (i = 0; i < c->model->count; i++) {
        const st_tensor *t = &c->model->tensors[i];
        if (!found_any(&c->by_tensor[i]) || shown++ >= SHOWN_TENSORS) continue;
        end_line();
        fputs("  ", stdout);
        put_text(stdout, t->name, t->name_bytes);
        put_findings(": ", &c->by_tensor[i]);
    }
    if (shown <= SHOWN_TENSORS) return;
    end_line();
    fputs("  and ", stdout);
    put_number(stdout, shown - SHOWN_TENSORS);
    fputs(" more tensors (use --json to list all)", stdout);
}

static void put_verdict(const check *c, const st_error *error) {
    const colours colour = system_colours(stdout);
    const st_model *model = c->model;
    if (error->status != ST_OK) {
        put_error(stdout, c->path, error);
        return;
    }
    put_string(stdout, c->path);
    if (c->sum.bad_bool) {
        printf(": %snot ok%s, ", colour.bad, colour.off);
    } else {
        printf(": %sok%s, ", colour.good, colour.off);
    }
    put_number(stdout, model->count);
    fputs(model->count == 1 ? " tensor, " : " tensors, ", stdout);
    put_number(stdout, model->bytes);
    fputs(model->bytes == 1 ? " byte" : " bytes", stdout);
    if (model->shard_count > 1) {
        fputs(" in ", stdout);
        put_number(stdout, model->shard_count);
        fputs(" files", stdout);
    }
    if (!c->deep) return;
    fputs("; all read", stdout);
    put_findings(": ", &c->sum);
    put_tensors(c);
}

/* ---- JSON output -------------------------------------------------------------------------------------------- */

static void put_findings_json(const findings *f) {
    fputs("\"nan\":", stdout);
    put_number(stdout, f->nan);
    fputs(",\"infinity\":", stdout);
    put_number(stdout, f->infinity);
    fputs(",\"bad_bool\":", stdout);
    put_number(stdout, f->bad_bool);
}

static void put_verdict_json(const check *c, const st_error *error) {
    const char *comma = "";
    size_t i;
    begin_error_json(stdout, c->path, error);
    if (c->deep && error->status == ST_OK) {
        putc(',', stdout);
        put_findings_json(&c->sum);
        fputs(",\"tensors\":[", stdout);
        for (i = 0; i < c->model->count; i++) {
            if (!found_any(&c->by_tensor[i])) continue;
            printf("%s{\"name\":", comma);
            put_json(stdout, c->model->tensors[i].name, c->model->tensors[i].name_bytes);
            putc(',', stdout);
            put_findings_json(&c->by_tensor[i]);
            putc('}', stdout);
            comma = ",";
        }
        putc(']', stdout);
    }
    putc('}', stdout);
}

/* ---- the command ------------------------------------------------------------------------------------------ */

static int check_model(check *c, const char *path) {
    st_open_options open_options;
    st_model *model;
    st_error error;
    memset(&open_options, 0, sizeof open_options);
    open_options.flags = ST_OPEN_NO_MAP; /* a file that shrinks is then an error and no SIGBUS */
    c->path = path;
    c->by_tensor = NULL;
    memset(&c->sum, 0, sizeof c->sum);
    error.status = open_model(&model, path, &open_options, &error);
    c->model = model;
    if (error.status == ST_OK && c->deep) scan_model(c, &error);
    if (c->json) {
        put_verdict_json(c, &error);
    } else {
        put_verdict(c, &error);
    }
    end_line();
    free(c->by_tensor);
    st_close(model);
    return error.status == ST_OK && !c->sum.bad_bool ? EXIT_FINE : EXIT_FAILED;
}

int command_check(int argc, char **argv) {
    int code = EXIT_FINE, paths, i;
    check c;
    const option options[] = {{"--json", &c.json, NULL}, {"--deep", &c.deep, NULL}};
    memset(&c, 0, sizeof c);
    paths = parse_options("check", options, 2, argc, argv);
    if (paths < 0) return EXIT_USAGE;
    if (paths == 0) {
        begin_message("check");
        fputs("MODEL is missing", stderr);
        return usage_hint("check");
    }
    for (i = 0; i < paths && !output_failed(); i++) {
        if (check_model(&c, argv[i]) != EXIT_FINE) code = EXIT_FAILED;
    }
    return code;
}
