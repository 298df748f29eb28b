/* check.c: whether models are sound; and with --deep, what their bytes hold. */
#include "st.h"
#include <stdlib.h>
#include <string.h>

enum { SHOWN_TENSORS = 20 };

typedef struct check {
    int json, deep;
    const char *path;
    const st_model *model;
    findings all, *each; /* --deep: of each tensor */
} check;

/* ---- every byte once -------------------------------------------------------------------------------------- */

static st_status look_at_tensor(check *c, size_t at, uint64_t *done, progress *bar, st_error *error) {
    static unsigned char block[1 << 20]; /* whole elements of every dtype that values.c looks at */
    const st_tensor *t = &c->model->tensors[at];
    uint64_t offset = 0;
    while (offset < t->bytes) {
        const size_t n = t->bytes - offset < sizeof block ? (size_t)(t->bytes - offset) : sizeof block;
        if (st_read(c->model, t, offset, block, n, error) != ST_OK) return error->status;
        look_at_values(&c->each[at], t->dtype, block, n);
        offset += n, *done += n;
        if (progress_step(bar, *done, c->model->bytes)) return error->status = ST_ERR_CANCELLED;
    }
    c->all.nan += c->each[at].nan;
    c->all.infinity += c->each[at].infinity;
    c->all.bad_bool += c->each[at].bad_bool;
    return ST_OK;
}

static st_status look_at_model(check *c, st_error *error) {
    uint64_t done = 0;
    progress bar;
    size_t i;
    memset(&c->all, 0, sizeof c->all);
    c->each = (findings *)calloc(c->model->count + 1, sizeof *c->each);
    if (!c->each) return no_memory(error);
    progress_begin(&bar);
    system_watch_interrupts();
    error->status = ST_OK;
    for (i = 0; error->status == ST_OK && i < c->model->count; i++) look_at_tensor(c, i, &done, &bar, error);
    progress_end(&bar);
    system_stop_watching();
    return error->status;
}

static int found_any(const findings *f) {
    return f->nan || f->infinity || f->bad_bool;
}

/* ---- for a person ----------------------------------------------------------------------------------------- */

static void put_count(const char **before, uint64_t number, const char *one, const char *several) {
    if (!number) return;
    fputs(*before, stdout);
    put_number(stdout, number);
    fputs(number == 1 ? one : several, stdout);
    *before = ", ";
}

/* "2 NaN, 1 infinity", or nothing */
static void put_findings(const char *before, const findings *f) {
    put_count(&before, f->bad_bool, " BOOL byte that is neither 0 nor 1", " BOOL bytes that are neither 0 nor 1");
    put_count(&before, f->nan, " NaN", " NaN");
    put_count(&before, f->infinity, " infinity", " infinities");
}

static void put_tensors(const check *c) {
    size_t i, shown = 0;
    for (i = 0; i < c->model->count; i++) {
        const st_tensor *t = &c->model->tensors[i];
        if (!found_any(&c->each[i]) || shown++ >= SHOWN_TENSORS) continue;
        end_line();
        fputs("  ", stdout);
        put_text(stdout, t->name, t->name_bytes);
        put_findings(": ", &c->each[i]);
    }
    if (shown <= SHOWN_TENSORS) return;
    end_line();
    fputs("  and ", stdout);
    put_number(stdout, shown - SHOWN_TENSORS);
    fputs(" more tensors (--json shows all)", stdout);
}

static void put_verdict(const check *c, const st_error *error) {
    const colours paint = system_colours(stdout);
    const st_model *model = c->model;
    if (error->status != ST_OK) {
        put_error(stdout, c->path, error);
        return;
    }
    put_text(stdout, c->path, strlen(c->path));
    if (c->all.bad_bool) {
        printf(": %snot ok%s, ", paint.bad, paint.off);
    } else {
        printf(": %sok%s, ", paint.good, paint.off);
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
    put_findings(": ", &c->all);
    put_tensors(c);
}

/* ---- for a program ---------------------------------------------------------------------------------------- */

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
        put_findings_json(&c->all);
        fputs(",\"tensors\":[", stdout);
        for (i = 0; i < c->model->count; i++) {
            if (!found_any(&c->each[i])) continue;
            printf("%s{\"name\":", comma);
            put_json(stdout, c->model->tensors[i].name, c->model->tensors[i].name_bytes);
            putc(',', stdout);
            put_findings_json(&c->each[i]);
            putc('}', stdout);
            comma = ",";
        }
        putc(']', stdout);
    }
    putc('}', stdout);
}

/* ---- the command ------------------------------------------------------------------------------------------ */

static int check_model(check *c, const char *path) {
    st_open_options how;
    st_model *model;
    st_error error;
    memset(&how, 0, sizeof how);
    how.flags = ST_OPEN_NO_MAP; /* the header and the length decide; and what is cut short under way is an error */
    c->path = path;
    c->each = NULL;
    memset(&c->all, 0, sizeof c->all);
    error.status = open_model(&model, path, &how, &error);
    c->model = model;
    if (error.status == ST_OK && c->deep) look_at_model(c, &error);
    if (c->json) {
        put_verdict_json(c, &error);
    } else {
        put_verdict(c, &error);
    }
    end_line();
    free(c->each);
    st_close(model);
    return error.status == ST_OK && !c->all.bad_bool ? EXIT_FINE : EXIT_FAILED;
}

int command_check(int argc, char **argv) {
    int code = EXIT_FINE, paths, i;
    check c;
    const option options[] = {{"--json", &c.json, NULL}, {"--deep", &c.deep, NULL}};
    memset(&c, 0, sizeof c);
    paths = take_options("check", options, 2, argc, argv);
    if (paths < 0) return EXIT_USAGE;
    if (paths == 0) {
        begin_complaint("check");
        fputs("a MODEL is missing", stderr);
        return usage_hint("check");
    }
    for (i = 0; i < paths && !output_failed(); i++) {
        if (check_model(&c, argv[i]) != EXIT_FINE) code = EXIT_FAILED;
    }
    return code;
}
