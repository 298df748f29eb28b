/* saver: makes the older file, or runs one scenario between two marks that a tracer sees. system.sh drives it.
 *     saver old PATH
 *     saver SCENARIO PATH   exits with 0 where it says that it succeeded, 3 where it says that it failed
 *     saver new SCENARIO PATH   writes what must lie there after a success
 *     saver opens PATH   exits with 0 if the file opens */
#define ST_IMPLEMENTATION
#include "../../../safetensors.h"

#include "../scenario.h"

static int put(const char *path, unsigned char *file, size_t n) {
    FILE *out = fopen(path, "wb");
    int fine = out != NULL && fwrite(file, 1, n, out) == n;
    if (out != NULL) fine &= fclose(out) == 0;
    free(file);
    return fine ? 0 : 2;
}

static int scenario_find(const char *name) {
    int which;
    for (which = 0; which < SCENARIOS; which++) {
        if (strcmp(scenario_names[which], name) == 0) return which;
    }
    exit(2);
}

int main(int argc, char **argv) {
    st_error error;
    st_status status;
    size_t n;
    unsigned char *file;
    if (argc == 3 && strcmp(argv[1], "old") == 0) {
        file = scenario_old(&n);
        return put(argv[2], file, n);
    }
    if (argc == 3 && strcmp(argv[1], "opens") == 0) {
        st_model *model;
        status = st_open(&model, argv[2], NULL, &error);
        st_close(model);
        return status == ST_OK ? 0 : 3;
    }
    if (argc == 4 && strcmp(argv[1], "new") == 0) {
        file = scenario_new(scenario_find(argv[2]), &n);
        return put(argv[3], file, n);
    }
    if (argc != 3) return 2;
    (void)access("/mark/begin", F_OK);
    status = scenario_run(scenario_find(argv[1]), argv[2], NULL, &error);
    (void)access("/mark/end", F_OK);
    printf("%s\n", status == ST_OK ? "saved" : error.message);
    return status == ST_OK ? 0 : 3;
}
