/* Opens every prefix and every single-bit flip of each seed file: no crash, and all sources agree. */
#include "../safetensors.h"

#include "seeds.h"
#include "sources.h"

static unsigned long opened, refused;

static void judge(const unsigned char *file, size_t n) {
    verdict v = sources_verdict(file, n, NULL, 0);
    if (v.error.status == ST_OK) {
        opened++;
    } else {
        refused++;
    }
    /* errors lie inside the file, and none of these statuses depends on the machine */
    CHECK(v.error.status == ST_OK || v.error.position <= n);
    CHECK(v.error.status == ST_OK || v.error.status == ST_ERR_FORMAT ||
          (v.error.status >= ST_ERR_TRUNCATED && v.error.status <= ST_ERR_OFFSETS));
}

static void prefixes(const unsigned char *file, size_t n) {
    size_t cut;
    for (cut = 0; cut < n; cut += (size_t)test_thin()) {
        unsigned char *part = (unsigned char *)malloc(cut > 0 ? cut : 1);
        if (part == NULL) exit(2);
        memcpy(part, file, cut);
        judge(part, cut);
        free(part);
    }
}

static void flips(unsigned char *file, size_t n) {
    size_t bit;
    for (bit = 0; bit < n * 8; bit += (size_t)test_thin()) {
        file[bit / 8] = (unsigned char)(file[bit / 8] ^ 1u << bit % 8);
        judge(file, n);
        file[bit / 8] = (unsigned char)(file[bit / 8] ^ 1u << bit % 8);
    }
}

int main(void) {
    size_t i;
    scratch_begin("mutate");
    for (i = 0; i < SEED_COUNT; i++) {
        size_t n;
        unsigned char *file = case_file(&seeds[i], &n);
        verdict v;
        test_row = seeds[i].name;
        v = sources_verdict(file, n, NULL, 0);
        CHECK_STATUS(v.error.status, ST_OK);
        CHECK_EQ(v.count, seeds[i].count);
        prefixes(file, n);
        flips(file, n);
        free(file);
    }
    test_row = "";
    CHECK(opened > 0 && refused > opened);
    scratch_remove(SOURCE_FILE);
    scratch_end();
    return test_done("mutate");
}
