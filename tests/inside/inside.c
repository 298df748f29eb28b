/* inside.c: all tests that use internal functions, in one program, so that the header is compiled once. `inside
 * json` runs tests/json.c. tests/tools/programs.sh builds this program when it runs several of these tests; a single
 * test is built alone. Names at file scope must be unique across the tests. */
#define ST_IMPLEMENTATION
#include "../seed.h"

#include "../../safetensors.h"

#include "../conformance.h" /* before invalid.h, which redefines some of its macros */
#undef GOOD
#undef LENGTH
#undef RAW

#define main test_arithmetic
#include "../arithmetic.c"
#undef main

#define main test_errors
#include "../errors.c"
#undef main

#define main test_json
#include "../json.c"
#undef main

#define main test_kernels
#include "../kernels.c"
#undef main

#define main test_lookup
#include "../lookup.c"
#undef main

#define main test_memory
#include "../memory.c"
#undef main

#define main test_model
#include "../model.c"
#undef main

#define main test_numbers
#include "../numbers.c"
#undef main

#define main test_quick
#include "../quick.c"
#undef main

#define main test_shards
#include "../shards.c"
#undef main

#if !defined(__wasi__) /* which has no owners and permissions */
#define main test_target
#include "../target.c"
#undef main
#endif

int main(int argc, char **argv) {
    static const struct {
        const char *name;
        int (*run)(void);
    } tests[] = {
        {"arithmetic", test_arithmetic},
        {"errors", test_errors},
        {"json", test_json},
        {"kernels", test_kernels},
        {"lookup", test_lookup},
        {"memory", test_memory},
        {"model", test_model},
        {"numbers", test_numbers},
        {"quick", test_quick},
        {"shards", test_shards},
#if !defined(__wasi__)
        {"target", test_target},
#endif
    };
    size_t i;
    for (i = 0; argc == 2 && i < sizeof tests / sizeof *tests; i++) {
        if (strcmp(argv[1], tests[i].name) == 0) return tests[i].run();
    }
    fprintf(stderr, "inside: which test?\n");
    return 2;
}
