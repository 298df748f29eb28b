/* Tests room 14: opening models from the local Hugging Face hub cache. Covers the cache's location, resolving
 * revisions to commits, errors, single files and sharded models, through st_files and on disk with the cache's
 * symbolic links. */
#include "../safetensors.h"

#include "models.h"
#ifdef _WIN32
#include <windows.h>
#endif

#define COMMIT "0123456789abcdef0123456789ABCDEF01234567"
#define OTHER "fedcba9876543210fedcba9876543210fedcba98"
#define REPO "models--owner--name/"

#ifdef _WIN32
#define HOME_NAME "USERPROFILE"
#else
#define HOME_NAME "HOME"
#endif

static pack p;

static void set(const char *name, const char *value) { /* NULL: unset */
#ifdef _WIN32
    char both[400];
    snprintf(both, sizeof both, "%s=%s", name, value != NULL ? value : "");
    CHECK(_putenv(both) == 0);
    if (value != NULL && *value == 0) (void)SetEnvironmentVariableA(name, ""); /* _putenv would remove it */
#else
    CHECK((value != NULL ? setenv(name, value, 1) : unsetenv(name)) == 0);
#endif
}

static void set_none(void) {
    static const char *const names[] = {"HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "HF_HOME", "XDG_CACHE_HOME",
                                        HOME_NAME};
    size_t i;
    for (i = 0; i < sizeof names / sizeof *names; i++) set(names[i], NULL);
}

/* adds a snapshot of one file to a cache at pack/WHERE; the tensor is named WHERE */
static void put_snapshot(const char *where, const char *repo, const char *commit) {
    char name[300], header[300];
    snprintf(name, sizeof name, "%s%s/snapshots/%s/model.safetensors", where, repo, commit);
    snprintf(header, sizeof header, "{\"%s\":" E("U8", "[1]", "[0,1]") "}", where);
    pack_shard(&p, name, header, "x");
}

static void put_ref(const char *where, const char *repo, const char *revision, const char *text) {
    char name[300];
    snprintf(name, sizeof name, "%s%s/refs/%s", where, repo, revision);
    pack_text(&p, name, text);
}

static const char *expected_name;

static void look_name(const opened *o, int way) {
    (void)way;
    CHECK_EQ(o->model->count, 1);
    CHECK_STR(o->model->tensors[0].name, expected_name);
}

static st_error open_hub(const char *repo, const char *revision) {
    p.revision = revision;
    return pack_verdict(&p, repo, NULL, look_name);
}

/* ---- the cache's location ---- */

typedef struct root_case {
    const char *hub_cache, *hugging, *home, *xdg, *user; /* NULL: not set */
    const char *found;                                   /* below pack/; NULL: not found */
} root_case;

static const root_case root_cases[] = {
    /* the first variable that is set wins, the others are ignored */
    {"pack/1", "pack/2", "pack/3", "pack/4", "pack/5", "1/"},
    {NULL, "pack/2", "pack/3", "pack/4", "pack/5", "2/"},
    {NULL, NULL, "pack/3", "pack/4", "pack/5", "3/hub/"},
    {NULL, NULL, NULL, "pack/4", "pack/5", "4/huggingface/hub/"},
    {NULL, NULL, NULL, NULL, "pack/5", "5/.cache/huggingface/hub/"},
    {"", "", "", "", "pack/5", "5/.cache/huggingface/hub/"}, /* an empty variable counts as unset */
    {"", "", "pack/3", "", "pack/5", "3/hub/"},
    {"", "pack/2", "pack/3", "", "", "2/"},
    {"pack/none", "pack/2", "pack/3", "pack/4", "pack/5", NULL},
    {NULL, NULL, NULL, NULL, "pack/none", NULL},
    {NULL, NULL, NULL, NULL, NULL, NULL},
    /* "~" is the home directory */
    {"~/1", NULL, NULL, NULL, "pack", "1/"},
    {NULL, "~/2", NULL, NULL, "pack", "2/"},
    {NULL, NULL, "~/3", NULL, "pack", "3/hub/"},
    {NULL, NULL, NULL, "~/4", "pack", "4/huggingface/hub/"},
    {"~", NULL, NULL, NULL, "pack/1", "1/"},
    {"~other/1", NULL, NULL, NULL, "pack", NULL}, /* other users' home directories are not supported */
    {"pack/~", NULL, NULL, NULL, "pack", "~/"},
    {"~/1", NULL, NULL, NULL, NULL, NULL},
    {"$P/1", NULL, NULL, NULL, NULL, NULL}, /* variables are not expanded */
    {"pack/$ONE", NULL, NULL, NULL, NULL, "$ONE/"},
    {"pack/${ONE}", NULL, NULL, NULL, NULL, "${ONE}/"},
};

static void roots(void) {
    size_t i;
    p.disk = 0;
    set("P", "pack"), set("ONE", "1");
    for (i = 0; i < sizeof root_cases / sizeof *root_cases; i++) {
        const root_case *row = &root_cases[i];
        char name[40];
        size_t k;
        st_error e;
        snprintf(name, sizeof name, "root %u", (unsigned)i);
        test_row = name;
        for (k = 0; k < sizeof root_cases / sizeof *root_cases; k++) { /* omit absent ones */
            if (root_cases[k].found != NULL) put_snapshot(root_cases[k].found, "models--owner--name", COMMIT);
        }
        set("HF_HUB_CACHE", row->hub_cache), set("HUGGINGFACE_HUB_CACHE", row->hugging), set("HF_HOME", row->home);
        set("XDG_CACHE_HOME", row->xdg), set(HOME_NAME, row->user);
        expected_name = row->found;
        if (row->found != NULL) {
            CHECK_STATUS(open_hub("owner/name", COMMIT).status, ST_OK);
        } else {
            st_open_options options; /* paths outside pack/ may be opened */
            st_model *m;
            memset(&options, 0, sizeof options);
            CHECK_STATUS(st_open_hub(&m, "owner/name", COMMIT, NULL, &options, &e), ST_ERR_NOT_FOUND);
        }
        pack_clear(&p);
    }
    set_none();
    p.disk = 1;
    test_row = "";
}

/* ---- resolving revisions ---- */

typedef struct ref_case {
    const char *name, *revision, *ref, *text; /* ref NULL: no ref file */
    st_status status;
} ref_case;

static const ref_case ref_cases[] = {
    {"main", NULL, "main", COMMIT, ST_OK},
    {"main, said so", "main", "main", COMMIT, ST_OK},
    {"a line", NULL, "main", COMMIT "\n", ST_OK},
    {"a line of another system", NULL, "main", COMMIT "\r\n", ST_OK},
    {"blanks behind", NULL, "main", COMMIT " \t \n\n", ST_OK},
    {"a longer line than there is", NULL, "main", COMMIT "        ", ST_OK},
    {"more blanks than a line ends with", NULL, "main", COMMIT "         ", ST_ERR_PATH},
    {"blanks, and what is no blank", NULL, "main", COMMIT "                                        x", ST_ERR_PATH},
    {"a pull request", "refs/pr/1", "refs/pr/1", COMMIT, ST_OK},
    {"a branch with slashes", "a/b/c", "a/b/c", COMMIT, ST_OK},
    {"a tag", "v1.0", "v1.0", COMMIT, ST_OK},
    {"a commit", COMMIT, NULL, NULL, ST_OK},
    {"a commit, though main is another", COMMIT, "main", OTHER, ST_OK},
    {"a branch that is called like a commit", OTHER, OTHER, COMMIT, ST_OK},
    {"no such revision", NULL, NULL, NULL, ST_ERR_NOT_FOUND},
    {"no such revision, but another", "dev", "main", COMMIT, ST_ERR_NOT_FOUND},
    {"no snapshot of it", NULL, "main", OTHER, ST_ERR_NOT_FOUND},
    {"no such commit", OTHER, NULL, NULL, ST_ERR_NOT_FOUND},
    {"39 digits", "0123456789abcdef0123456789ABCDEF0123456", NULL, NULL, ST_ERR_NOT_FOUND},
    {"41 digits", COMMIT "8", NULL, NULL, ST_ERR_NOT_FOUND},
    {"a folder of revisions", "refs/pr", "refs/pr/1", COMMIT, ST_ERR_NOT_FOUND},
    {"a file above", "main/x", "main", COMMIT, ST_ERR_NOT_FOUND},
    {"an empty ref", NULL, "main", "", ST_ERR_PATH},
    {"a blank ref", NULL, "main", "\n", ST_ERR_PATH},
    {"39 digits in it", NULL, "main", "0123456789abcdef0123456789ABCDEF0123456", ST_ERR_PATH},
    {"41 digits in it", NULL, "main", COMMIT "8", ST_ERR_PATH},
    {"more than digits", NULL, "main", COMMIT "\nx", ST_ERR_PATH},
    {"a blank before", NULL, "main", " " COMMIT, ST_ERR_PATH},
    {"no digit among them", NULL, "main", "0123456789abcdeg0123456789ABCDEF01234567", ST_ERR_PATH},
    {"upwards", NULL, "main", "../x", ST_ERR_PATH},
    {"upwards, of 40 characters", NULL, "main", "../../../../../../../../../../../../../x", ST_ERR_PATH},
    {"as git has it", NULL, "main", "ref: refs/heads/main", ST_ERR_PATH},
    {"a name", NULL, "main", "main", ST_ERR_PATH},
    {"text without end", NULL, "main", X100("0123456789abcdef") X100("0123456789abcdef"), ST_ERR_PATH},
};

static void refs(void) {
    size_t i;
    set("HF_HUB_CACHE", "pack");
    p.disk = 0;
    for (i = 0; i < sizeof ref_cases / sizeof *ref_cases; i++) {
        const ref_case *row = &ref_cases[i];
        st_error e;
        test_row = row->name;
        expected_name = "";
        put_snapshot("", "models--owner--name", COMMIT);
        if (row->ref != NULL) put_ref("", "models--owner--name", row->ref, row->text);
        e = open_hub("owner/name", row->revision);
        CHECK_STATUS(e.status, row->status);
        if (e.status == ST_ERR_PATH) {
            CHECK(strncmp(e.message, "owner/name: expected a commit of 40 hexadecimal digits in ", 58) == 0);
            CHECK(strstr(e.message, "/refs/main") != NULL);
            CHECK_EQ(e.sys, 0);
        }
        if (e.status == ST_ERR_NOT_FOUND) CHECK(strstr(e.message, "pack/" REPO) != NULL);
        pack_clear(&p);
    }
    p.disk = 1;
    test_row = "";
}

/* missing repositories and revisions: the message contains the name */
static void absent(void) {
    st_error e;
    p.disk = 0;
    put_snapshot("", "models--owner--name", COMMIT);
    put_ref("", "models--owner--name", "main", OTHER);
    test_row = "no such repository";
    e = open_hub("owner/other", NULL);
    CHECK_STATUS(e.status, ST_ERR_NOT_FOUND);
    CHECK_STR(
        e.message,
        "owner/other: repository or revision not found in the cache: missing pack/models--owner--other/refs/main");
    test_row = "a snapshot that is not there";
    e = open_hub("owner/name", NULL);
    CHECK_STATUS(e.status, ST_ERR_NOT_FOUND);
    CHECK(strncmp(e.message, "pack/" REPO "snapshots/" OTHER ": ", 70) == 0);
    test_row = "a snapshot without a model";
    put_ref("", "models--owner--name", "main", OTHER "\n");
    pack_text(&p, REPO "snapshots/" OTHER "/config.json", "{}");
    e = open_hub("owner/name", "main");
    CHECK_STATUS(e.status, ST_ERR_NOT_FOUND);
    CHECK(strstr(e.message, "found no .safetensors file") != NULL);
    pack_clear(&p);
    p.disk = 1;
    test_row = "";
}

/* repository names with and without an owner, and with unusual characters */
static void repositories(void) {
    static const char *const repos[][2] = {{"gpt2", "models--gpt2"},
                                           {"owner/name", "models--owner--name"},
                                           {"o.w-n_er/N.a-m_e", "models--o.w-n_er--N.a-m_e"},
                                           {"a/b--c", "models--a--b--c"}};
    size_t i;
    p.disk = 0;
    expected_name = "";
    for (i = 0; i < sizeof repos / sizeof *repos; i++) {
        test_row = repos[i][0];
        put_snapshot("", repos[i][1], COMMIT);
        put_ref("", repos[i][1], "main", COMMIT);
        CHECK_STATUS(open_hub(repos[i][0], NULL).status, ST_OK);
        pack_clear(&p);
    }
    p.disk = 1;
    test_row = "";
}

/* ---- on disk ----------- */

static void look_sharded(const opened *o, int way) {
    const st_model *m = o->model;
    (void)way;
    CHECK(m->shard_count == 2 && m->count == 2 && m->index_count == 1 && m->bytes == 2);
    CHECK_STR(m->shards[1].path, "pack/" REPO "snapshots/" COMMIT "/model-00002-of-00002.safetensors");
}

static const char *const folders[] = {"pack/models--owner--name", "pack/" REPO "refs",
                                      "pack/" REPO "refs/refs",   "pack/" REPO "refs/refs/pr",
                                      "pack/" REPO "snapshots",   "pack/" REPO "snapshots/" COMMIT,
                                      "pack/" REPO "blobs"};

static void on_disk(void) {
    size_t i;
    for (i = 0; i < sizeof folders / sizeof *folders; i++) CHECK(SCRATCH_MAKE(folders[i]) == 0);
    test_row = "one file";
    expected_name = "";
    put_snapshot("", "models--owner--name", COMMIT);
    put_ref("", "models--owner--name", "refs/pr/1", COMMIT "\n");
    CHECK_STATUS(open_hub("owner/name", "refs/pr/1").status, ST_OK);
    CHECK_STATUS(open_hub("owner/name", COMMIT).status, ST_OK);
    CHECK_STATUS(open_hub("owner/name", NULL).status, ST_ERR_NOT_FOUND);
    CHECK_STATUS(open_hub("owner/name", "refs").status, ST_ERR_NOT_FOUND);
    pack_clear(&p);
    test_row = "several";
    put_ref("", "models--owner--name", "main", COMMIT);
    pack_shard(&p, REPO "snapshots/" COMMIT "/model-00001-of-00002.safetensors", "{\"a\":" E("U8", "[1]", "[0,1]") "}",
               "a");
    pack_shard(&p, REPO "snapshots/" COMMIT "/model-00002-of-00002.safetensors", "{\"b\":" E("U8", "[1]", "[0,1]") "}",
               "b");
    pack_text(&p, REPO "snapshots/" COMMIT "/model.safetensors.index.json",
              "{\"metadata\":{\"total_size\":2},\"weight_map\":{\"a\":\"model-00001-of-00002.safetensors\","
              "\"b\":\"model-00002-of-00002.safetensors\"}}");
    p.revision = NULL;
    CHECK_STATUS(pack_verdict(&p, "owner/name", NULL, look_sharded).status, ST_OK);
    pack_clear(&p);
#ifndef _WIN32
    { /* the cache's real layout: relative links into blobs/ */
        st_model *m;
        st_error e;
        size_t n;
        static const char header[] = "{\"t\":" E("U8", "[1]", "[0,1]") "}";
        unsigned char *file = make_file(header, sizeof header - 1, "t", 1, &n);
        test_row = "links into blobs";
        disk_text("pack/" REPO "refs/main", COMMIT);
        disk_put("pack/" REPO "blobs/aa", file, n);
        disk_text("pack/" REPO "blobs/bb", "{\"weight_map\":{\"t\":\"model-00001-of-00001.safetensors\"}}");
        CHECK(symlink("../../blobs/aa", "pack/" REPO "snapshots/" COMMIT "/model-00001-of-00001.safetensors") == 0);
        CHECK(symlink("../../blobs/bb", "pack/" REPO "snapshots/" COMMIT "/model.safetensors.index.json") == 0);
        CHECK_STATUS(st_open_hub(&m, "owner/name", NULL, NULL, NULL, &e), ST_OK);
        if (m != NULL) {
            char got = 0;
            CHECK(m->count == 1 && m->shard_count == 1 && st_read(m, m->tensors, 0, &got, 1, &e) == ST_OK &&
                  got == 't');
        }
        st_close(m);
        CHECK(remove("pack/" REPO "blobs/aa") == 0); /* an interrupted download */
        CHECK_STATUS(st_open_hub(&m, "owner/name", NULL, NULL, NULL, &e), ST_ERR_SHARD);
        CHECK_STR(e.subject, "model-00001-of-00001.safetensors");
        CHECK(strstr(e.message, "link to a missing file") != NULL && strstr(e.message, "incomplete") == NULL);
        disk_text("pack/" REPO "blobs/cc.1a2b.incomplete", "half");
        CHECK_STATUS(st_open_hub(&m, "owner/name", NULL, NULL, NULL, &e), ST_ERR_SHARD);
        CHECK(strstr(e.message, "a download is unfinished: blobs/cc.1a2b") != NULL);
        CHECK_STATUS(st_open_hub(&m, "owner/name", NULL, "model-00001-of-00001.safetensors", NULL, &e),
                     ST_ERR_NOT_FOUND);
        CHECK(strstr(e.message, "link to a missing file") != NULL && strstr(e.message, "blobs/cc.1a2b") != NULL);
        CHECK(remove("pack/" REPO "blobs/cc.1a2b.incomplete") == 0);
        test_row = "the cache's folder in place of its name";
        CHECK_STATUS(st_open(&m, "pack/models--owner--name", NULL, &e), ST_ERR_NOT_FOUND);
        CHECK(strstr(e.message, "st_open_hub as owner/name") != NULL);
        disk_put("pack/" REPO "blobs/aa", file, n - 1);
        CHECK_STATUS(st_open_hub(&m, "owner/name", NULL, NULL, NULL, &e), ST_ERR_TRUNCATED);
#if HAS_POSIX
        test_row = "a FIFO for a ref";
        CHECK(remove("pack/" REPO "refs/main") == 0 && mkfifo("pack/" REPO "refs/main", 0600) == 0);
        CHECK_STATUS(st_open_hub(&m, "owner/name", NULL, NULL, NULL, &e), ST_ERR_IO);
#endif
        CHECK(remove("pack/" REPO "refs/main") == 0 && remove("pack/" REPO "blobs/aa") == 0);
        CHECK(remove("pack/" REPO "blobs/bb") == 0);
        CHECK(remove("pack/" REPO "snapshots/" COMMIT "/model-00001-of-00001.safetensors") == 0);
        CHECK(remove("pack/" REPO "snapshots/" COMMIT "/model.safetensors.index.json") == 0);
        free(file);
    }
#endif
    for (i = sizeof folders / sizeof *folders; i > 0; i--) CHECK(SCRATCH_DROP(folders[i - 1]) == 0);
    test_row = "";
}

/* a file, an index and a directory inside the repository */
static void inside(void) {
    static const struct {
        const char *path;
        st_status status;
        const char *name; /* of the opened model's tensor */
    } cases[] = {
        {NULL, ST_ERR_NOT_FOUND, NULL},
        {"vae", ST_OK, "v"},
        {"vae/d.safetensors", ST_OK, "v"},
        {"unet/d.safetensors.index.json", ST_OK, "u"},
        {"unet", ST_OK, "u"},
        {"unet/parts/d.safetensors", ST_OK, "u"},
        {"config.json", ST_ERR_JSON, NULL},
        {"none", ST_ERR_NOT_FOUND, NULL},
        {"vae/none.safetensors", ST_ERR_NOT_FOUND, NULL},
        {"", ST_ERR_PATH, NULL},
        {"..", ST_ERR_PATH, NULL},
        {"../../refs", ST_ERR_PATH, NULL},
        {"vae/..", ST_ERR_PATH, NULL},
        {"vae/../..", ST_ERR_PATH, NULL},
        {"/etc", ST_ERR_PATH, NULL},
        {"./vae", ST_ERR_PATH, NULL},
        {"vae/", ST_ERR_PATH, NULL},
        {"vae//d.safetensors", ST_ERR_PATH, NULL},
        {"vae\\d.safetensors", ST_ERR_PATH, NULL},
        {"C:vae", ST_ERR_PATH, NULL},
    };
    st_open_options options;
    st_model *m;
    st_error e;
    size_t i;
    memset(&options, 0, sizeof options);
    options.files = &p.files;
    p.disk = 0;
    set_none();
    set("HF_HUB_CACHE", "pack");
    pack_text(&p, "models--owner--name/refs/main", COMMIT);
    pack_text(&p, "models--owner--name/snapshots/" COMMIT "/config.json", "{}x");
    pack_shard(&p, "models--owner--name/snapshots/" COMMIT "/vae/d.safetensors", "{\"v\":" E("U8", "[1]", "[0,1]") "}",
               "v");
    pack_shard(&p, "models--owner--name/snapshots/" COMMIT "/unet/parts/d.safetensors",
               "{\"u\":" E("U8", "[1]", "[0,1]") "}", "u");
    pack_text(&p, "models--owner--name/snapshots/" COMMIT "/unet/d.safetensors.index.json",
              "{\"weight_map\":{\"u\":\"parts/d.safetensors\"}}");
    for (i = 0; i < sizeof cases / sizeof *cases; i++) {
        test_row = cases[i].path ? cases[i].path : "the root";
        CHECK_STATUS(st_open_hub(&m, "owner/name", NULL, cases[i].path, &options, &e), cases[i].status);
        if (m != NULL) CHECK_STR(m->tensors[0].name, cases[i].name);
        st_close(m);
    }
    CHECK_STATUS(st_open_hub(&m, "owner/name", COMMIT, "vae", &options, NULL), ST_OK);
    st_close(m);
    pack_clear(&p);
    p.disk = 1;
    test_row = "";
}

#ifndef _WIN32
/* messages about a cache on disk */
static void explained(void) {
    static const char *const folders[] = {"pack/models--owner--name",
                                          "pack/models--owner--name/refs",
                                          "pack/models--owner--name/snapshots",
                                          "pack/models--owner--name/snapshots/" COMMIT,
                                          "pack/models--owner--name/snapshots/" COMMIT "/vae",
                                          "pack/models--owner--name/snapshots/" COMMIT "/unet",
                                          "pack/models--owner--name/snapshots/" COMMIT "/docs"};
    st_model *m;
    st_error e;
    size_t i, n;
    static const char header[] = "{\"t\":" E("U8", "[1]", "[0,1]") "}";
    unsigned char *file = make_file(header, sizeof header - 1, "t", 1, &n);
    for (i = 0; i < sizeof folders / sizeof *folders; i++) CHECK(SCRATCH_MAKE(folders[i]) == 0);
    set_none();
    set("HF_HUB_CACHE", "pack");
    test_row = "the only snapshot";
    CHECK_STATUS(st_open_hub(&m, "owner/name", "v2", NULL, NULL, &e), ST_ERR_NOT_FOUND);
    CHECK(strstr(e.message, "the cache has only the revision " COMMIT) != NULL);
    CHECK(mkdir("pack/models--owner--name/snapshots/0123456789012345678901234567890123456789", 0700) == 0);
    CHECK_STATUS(st_open_hub(&m, "owner/name", "v2", NULL, NULL, &e), ST_ERR_NOT_FOUND);
    CHECK(strstr(e.message, "only") == NULL);
    CHECK(rmdir("pack/models--owner--name/snapshots/0123456789012345678901234567890123456789") == 0);
    test_row = "directories that hold models";
    disk_put("pack/models--owner--name/snapshots/" COMMIT "/vae/d.safetensors", file, n);
    disk_put("pack/models--owner--name/snapshots/" COMMIT "/unet/d-00001-of-00002.safetensors", file, n);
    disk_text("pack/models--owner--name/snapshots/" COMMIT "/docs/readme", "");
    CHECK_STATUS(st_open_hub(&m, "owner/name", COMMIT, NULL, NULL, &e), ST_ERR_NOT_FOUND);
    CHECK(strstr(e.message, "; directories with models: vae unet") != NULL ||
          strstr(e.message, "; directories with models: unet vae") != NULL);
    CHECK(strstr(e.message, "docs") == NULL);
    CHECK(remove("pack/models--owner--name/snapshots/" COMMIT "/unet/d-00001-of-00002.safetensors") == 0);
    CHECK(remove("pack/models--owner--name/snapshots/" COMMIT "/vae/d.safetensors") == 0);
    CHECK(remove("pack/models--owner--name/snapshots/" COMMIT "/docs/readme") == 0);
    for (i = sizeof folders / sizeof *folders; i > 0; i--) CHECK(SCRATCH_DROP(folders[i - 1]) == 0);
    free(file);
    test_row = "";
}
#endif

static void arguments(void) {
    st_open_options options;
    st_model *m = (st_model *)(void *)&options;
    st_error e;
    memset(&options, 0, sizeof options);
    CHECK_STATUS(st_open_hub(&m, NULL, NULL, NULL, NULL, &e), ST_ERR_ARGUMENT);
    CHECK(m == NULL);
    CHECK_STATUS(st_open_hub(NULL, "gpt2", NULL, NULL, NULL, &e), ST_ERR_ARGUMENT);
    options.flags = ST_OPEN_NO_MAP | ST_OPEN_MUST_MAP;
    CHECK_STATUS(st_open_hub(&m, "gpt2", NULL, NULL, &options, &e), ST_ERR_ARGUMENT);
    CHECK(strncmp(e.message, "gpt2: ", 6) == 0);
    CHECK_STATUS(st_open_hub(&m, "gpt2", NULL, NULL, &options, NULL), ST_ERR_ARGUMENT);
}

int main(void) {
    models_begin("hub");
    pack_begin(&p, 1);
    p.hub = 1;
    set_none();
    roots();
    refs();
    absent();
    repositories();
    on_disk();
    inside();
#ifndef _WIN32
    explained();
#endif
    arguments();
    pack_end(&p);
    models_end();
    return test_done("hub");
}
