/* sharder: makes the older model, or runs one scenario between two marks that a tracer sees. shards.sh drives it.
 *     sharder list             names of the scenarios
 *     sharder old SCENARIO DIRECTORY
 *     sharder run SCENARIO DIRECTORY   exits with 0 where it says that it succeeded, 3 where it says that it failed
 *     sharder judge DIRECTORY...       which model each opens as: old, new, refused, or torn */
#define ST_IMPLEMENTATION
#include "../../../safetensors.h"

#include "../shards.h"

static const shards_scenario *scenario_find(const char *name) {
    int which;
    for (which = 0; which < SHARDS_SCENARIOS; which++) {
        if (strcmp(shards_scenarios[which].name, name) == 0) return &shards_scenarios[which];
    }
    exit(2);
}

int main(int argc, char **argv) {
    st_error error;
    st_status status;
    int i;
    if (argc == 2 && strcmp(argv[1], "list") == 0) {
        for (i = 0; i < SHARDS_SCENARIOS; i++) puts(shards_scenarios[i].name);
        return 0;
    }
    if (argc > 2 && strcmp(argv[1], "judge") == 0) {
        for (i = 2; i < argc; i++) puts(opens_as_names[shards_verdict(argv[i])]);
        return 0;
    }
    if (argc != 4) return 2;
    if (strcmp(argv[1], "old") == 0) {
        shards_old(scenario_find(argv[2]), argv[3]);
        return test_failed > 0;
    }
    if (strcmp(argv[1], "run") != 0) return 2;
    (void)access("/mark/begin", F_OK);
    status = shards_run(scenario_find(argv[2]), argv[3], NULL, &error);
    (void)access("/mark/end", F_OK);
    printf("%s\n", status == ST_OK ? "saved" : error.message);
    return status == ST_OK ? 0 : 3;
}
