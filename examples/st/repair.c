/* repair.c: writes what can be saved of a damaged file to a new one. */
#include "st.h"
#include <errno.h>
#include <string.h>

enum { MAX_GROWTH = 100 }; /* tensors that share bytes may make OUT that many times as large as IN */

typedef struct repair {
    save_job saving;
    const char *in, *out; /* out may be NULL in a dry run */
    int dry_run;
    lenient_file file;
} repair;

/* ---- writing ------------------------------------------------------------------------------------------------ */

static int fill(void *user, const st_tensor *tensor, uint64_t offset, void *to, size_t bytes) {
    repair *r = (repair *)user;
    errno = 0;
    if (system_read_at(r->file.file, tensor->offset + offset, to, bytes)) return 0;
    return errno ? errno : EIO; /* 0: the file has become shorter */
}

static int step(void *user, uint64_t done, uint64_t total) {
    repair *r = (repair *)user;
    return progress_step(&r->saving.bar, done, total);
}

static int save(repair *r) {
    const st_contents contents = st_contents_of(&r->file.contents.model);
    st_save_options *options = &r->saving.options;
    st_contents without_model = contents;
    st_error error;
    without_model.from = NULL; /* fill reads the bytes */
    options->flags |= ST_SAVE_KEEP_ORDER;
    options->fill = fill;
    options->progress = step;
    options->user = r;
    error.status = st_save(r->out, &without_model, options, &error);
    if (error.status != ST_OK && system_interrupted()) error.status = ST_ERR_CANCELLED; /* it ended a read */
    return saving_end(&r->saving, r->out, &error);
}

/* ---- the report --------------------------------------------------------------------------------------------- */

static void put_list(const repair *r) {
    const lenient *l = &r->file.contents;
    put_string(stdout, r->in);
    fputs(": ", stdout);
    if (l->fault_count == 0) {
        fputs("sound, nothing to mend", stdout);
    } else {
        put_count(stdout, l->fault_count + l->uncounted_faults, " fault", " faults");
    }
    end_line();
    put_faults(stdout, l, "  ", 1);
}

static void put_result(const repair *r) {
    const lenient *l = &r->file.contents;
    if (r->dry_run) {
        fputs("dry run, nothing written", stdout);
    } else {
        put_string(stdout, r->out);
    }
    fputs(": ", stdout);
    put_count(stdout, l->model.count, " tensor, ", " tensors, ");
    put_count(stdout, l->model.bytes, " byte", " bytes");
    if (l->losses) fputs("; not all of the file could be saved", stdout);
    end_line();
}

static void put_result_json(const repair *r) {
    const lenient *l = &r->file.contents;
    fputs("{\"path\":", stdout);
    put_json(stdout, r->in, strlen(r->in));
    fputs(",\"out\":", stdout);
    if (r->dry_run) {
        fputs("null", stdout);
    } else {
        put_json(stdout, r->out, strlen(r->out));
    }
    fputs(",\"tensors\":", stdout);
    put_number(stdout, l->model.count);
    fputs(",\"bytes\":", stdout);
    put_number(stdout, l->model.bytes);
    fputs(",\"lost\":", stdout);
    put_number(stdout, l->losses);
    fputs(",\"faults\":", stdout);
    put_faults_json(l);
    putc('}', stdout);
    end_line();
}

/* ---- the command -------------------------------------------------------------------------------------------- */

static int mend(repair *r) {
    lenient *l = &r->file.contents;
    st_error error;
    int code = r->dry_run ? EXIT_FINE : saving_begin(&r->saving, r->out);
    if (code != EXIT_FINE) return code;
    if (lenient_file_open(&r->file, r->in, &error) != ST_OK) return report_damaged(r->in, &r->file, &error);
    lenient_keep_sound(l);
    if (!r->saving.json) put_list(r);
    if (l->model.count == 0 && l->losses) return report_text(r->in, "no tensor can be saved");
    if (l->model.bytes / MAX_GROWTH > l->io.bytes) {
        return report_text(r->in, "tensors share bytes so often that OUT would be 100 times as large");
    }
    if (!r->dry_run) code = save(r);
    if (code != EXIT_FINE) return code;
    if (r->saving.json) {
        put_result_json(r);
    } else {
        put_result(r);
    }
    return l->losses ? EXIT_FAILED : EXIT_FINE;
}

int command_repair(int argc, char **argv) {
    repair r;
    const option options[] = {{"--dry-run", &r.dry_run, NULL},
                              {"--align", NULL, &r.saving.align},
                              {"--slack", NULL, &r.saving.slack},
                              {"--no-sync", &r.saving.no_sync, NULL},
                              {"--json", &r.saving.json, NULL}};
    int words, code;
    memset(&r, 0, sizeof r);
    r.saving.command = "repair";
    words = parse_options("repair", options, sizeof options / sizeof *options, argc, argv);
    if (words < 0) return EXIT_USAGE;
    if (words > 2 || words + r.dry_run < 2) {
        begin_message("repair");
        fputs(words == 0   ? "IN and OUT are missing"
              : words == 1 ? "OUT is missing"
                           : "too many arguments: expected IN and OUT",
              stderr);
        return usage_hint("repair");
    }
    r.in = argv[0];
    r.out = words > 1 ? argv[1] : NULL;
    if (r.out && is_standard_output(r.out)) {
        return usage_error("repair", "OUT must be a file, as the faults go to standard output: ", r.out);
    }
    if (r.out && system_is_same_file(r.in, r.out)) return usage_error("repair", "OUT must not be IN: ", r.out);
    code = mend(&r);
    lenient_file_close(&r.file);
    return code;
}
