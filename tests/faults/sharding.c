/* Makes every system call and every allocation of saving in several files fail, alone and with all later ones. The
 * directory then opens as the older or the new model, or is rejected, as the message says; no temporary is left, and
 * every file is closed. Runs in this process, so that sanitizers can watch; shards.sh does the same from outside. */
#define ST_IMPLEMENTATION
#include "faulty.h"

#include "../folder.h"
#include "shards.h"

static unsigned long refusals;
static folder old;                      /* file names of the older model */
static const shards_scenario *prepared; /* the scenario whose older model is in the directory, unchanged */

/* returns whether the directory holds only the older model's files; if so, no file was renamed, and none can have
 * changed */
static int is_untouched(void) {
    folder f = folder_list();
    size_t i;
    int same = f.count == old.count;
    for (i = 0; same && i < f.count; i++) same = strcmp(f.names[i], old.names[i]) == 0;
    folder_free(&f);
    return same;
}

static st_status attempt(const shards_scenario *s, counting *memory, st_error *error) {
    const struct faults armed = faults;
    st_status status;
    faults_begin(NAMES, 0, 0, 0);
    if (prepared != s) {
        folder_clear();
        shards_old(s, scratch_directory);
        folder_free(&old);
        old = folder_list();
    }
    prepared = NULL;
    faults = armed;
    status = shards_run(s, scratch_directory, &memory->allocator, error);
    counting_end(memory);
    CHECK_EQ(faults.open, 0);
    CHECK_STATUS(error->status, status);
    if (status != ST_OK) check_text(error->message, sizeof error->message);
    return status;
}

/* checks the directory against the status and the message */
static void judge(const shards_scenario *s, st_status status, const st_error *error) {
    const struct faults seen = faults;
    enum opens_as verdict;
    const char *want = "old";
    faults_begin(NAMES, 0, 0, 0);
    verdict = shards_verdict(scratch_directory);
    if (seen.only != UNLINK || !seen.forever) check_no_temporary();
    if (status == ST_OK) {
        want = "new";
    } else if (s->parts) {
        want = verdict == TORN ? "whatever is no mixture" : opens_as_names[verdict];
    } else if (strstr(error->message, "older model is gone") != NULL) {
        want = "refused";
    } else if (strstr(error->message, "new model is in place") != NULL) {
        want = "new";
    } else if (strstr(error->message, "hides") == NULL &&
               strstr(error->message, "older single file is unchanged") == NULL) {
        if (seen.only == UNLINK && seen.forever) { /* temporaries cannot be removed */
        } else if (CHECK(is_untouched())) {
            prepared = s;
        }
    }
    if (s->older == NOTHING && strcmp(want, "old") == 0) want = "refused";
    CHECK_STR(opens_as_names[verdict], want);
    faults = seen;
}

/* returns whether the save may succeed although this call fails */
static int forgiven(int name, int code) {
#ifdef _WIN32
    (void)code;
    /* OPEN: a look whether the target is a stream may fail. What is opened for reading loses nothing when it is closed;
     * calls.c covers the others. */
    return name == CLOSE || name == OPEN;
#else
    if (name == CLOSE || name == PERMIT) return 1;
    if (name == RESERVE) return code != ENOSPC && code != EDQUOT && code != EIO;
    if (name == FLUSH && (code == EINVAL || code == EOPNOTSUPP || code == ENOSYS)) return 1; /* flushing a directory */
    if (name == OPEN && code == EACCES) return 1;                                            /* the same */
    return code == EINTR && (name == OPEN || name == WRITE || name == READ || name == FLUSH);
#endif
}

static void refuse_calls(const shards_scenario *s) {
    static const size_t some[] = {0, 3, sizeof codes / sizeof *codes - 1}; /* calls.c uses all of them */
    const char *lost;
    struct faults clean;
    counting memory;
    st_error error;
    int i, seen[NAMES];
    memset(seen, 0, sizeof seen);
    faults_begin(NAMES, 0, 0, 0);
    counting_begin(&memory);
    test_row = s->name;
    CHECK_STATUS(attempt(s, &memory, &error), ST_OK);
    clean = faults;
    lost = faults_unflushed();
    CHECK_STR(lost == NULL ? "nothing" : lost, "nothing");
    judge(s, ST_OK, &error);
    CHECK(clean.total > 10 && clean.total < 1000);
    for (i = 0; i < clean.total; i++) {
        const int name = clean.trace[i];
        size_t c;
        int forever;
        seen[name]++;
        for (c = 0; c < sizeof some / sizeof *some; c++) {
            const int code = codes[some[c]];
            for (forever = 0; forever <= 1; forever++) {
                char row[160];
                st_status status;
                snprintf(row, sizeof row, "%s, %s %d fails with %d%s", s->name, call_names[name], seen[name], code,
                         forever ? " from then on" : "");
                test_row = row;
                faults_begin(name, seen[name], forever, code);
                counting_begin(&memory);
                status = attempt(s, &memory, &error);
                if (status != ST_OK || !forgiven(name, code)) {
                    CHECK_STATUS(status, ST_ERR_IO);
                    CHECK_EQ(error.sys, code);
                }
                judge(s, status, &error);
                refusals++;
            }
        }
    }
    test_row = "";
}

static void refuse_allocations(const shards_scenario *s) {
    size_t calls, i;
    counting memory;
    st_error error;
    int forever;
    faults_begin(NAMES, 0, 0, 0);
    counting_begin(&memory);
    CHECK_STATUS(attempt(s, &memory, &error), ST_OK);
    calls = memory.calls;
    CHECK(calls > 5);
    for (forever = 0; forever <= 1; forever++) {
        for (i = 1; i <= calls; i++) {
            char row[160];
            snprintf(row, sizeof row, "%s, allocation %d%s", s->name, (int)i, forever ? " from then on" : "");
            test_row = row;
            counting_begin(&memory);
            memory.fail_at = i;
            memory.fail_forever = forever;
            CHECK_STATUS(attempt(s, &memory, &error), ST_ERR_MEMORY);
            CHECK(error.expected > 0);
            judge(s, ST_ERR_MEMORY, &error);
            refusals++;
        }
    }
    test_row = "";
}

/* a short write is continued; a write of 0 bytes is an error */
static void short_writes(const shards_scenario *s) {
    counting memory;
    st_error error;
    test_row = "short writes";
    faults_begin(NAMES, 0, 0, 0);
    faults.at_most = 7;
    counting_begin(&memory);
    CHECK_STATUS(attempt(s, &memory, &error), ST_OK);
    judge(s, ST_OK, &error);
    test_row = "";
}

int main(void) {
    size_t i;
    scratch_begin("shards");
    for (i = 0; i < SHARDS_SCENARIOS; i++) {
        refuse_calls(&shards_scenarios[i]);
        refuse_allocations(&shards_scenarios[i]);
        short_writes(&shards_scenarios[i]);
    }
    folder_free(&old);
    folder_clear();
    CHECK(refusals > 1500);
    scratch_end();
    return test_done("sharding");
}
