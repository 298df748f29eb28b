/* Tests room 14: an index is untrusted. Paths that leave its directory, or that are invalid on any system, are
 * rejected everywhere, and never opened; the same holds for repositories and revisions of the hub. Links on disk are
 * followed. */
#include "../safetensors.h"

#include "models.h"

#define INDEX "model.safetensors.index.json"
#define S ".safetensors"

static pack p;

/* clang-format off */
/* shard paths, as JSON text */
static const char *const hostile[] = {
    /* from the reference's tests */
    "../malicious" S, "/tmp/m" S, "\\\\m" S, "C:m" S, "C:\\\\m" S, "\\\\\\\\server\\\\share\\\\m" S, "..\\\\m" S, "model.bin",
    /* parent directories */
    "..", "../", "../" S, "../x" S, "../../x" S, "a/../x" S, "a/../../x" S, "a/b/../../../x" S, "a/.." S, "..a/x" S, ".../x" S,
    "a/..", "a/../", "x" S "/..", "./x" S, ".", "./../x" S, "a/./x" S, "..\\\\..\\\\x" S, "a\\\\..\\\\..\\\\x" S, "a/..\\\\x" S,
    "\\u002e\\u002e/x" S, "\\u002e./x" S, ".\\u002e\\/x" S, "..\\u002fx" S, "..\\u005cx" S, "a\\/..\\/..\\/x" S,
    /* absolute paths, drives, shares, device namespaces */
    "/x" S, "//x" S, "//server/share/x" S, "/../x" S, "\\/x" S, "\\u002fx" S, "c:/x" S, "c:x" S, "Z:" S, "\\\\x" S, "/\\\\x" S,
    "\\\\\\\\?\\\\C:\\\\x" S, "\\\\\\\\.\\\\C:\\\\x" S, "//?/C:/x" S, "//./x" S, "\\\\??\\\\C:\\\\x" S, "file:///x" S,
    "http://host/x" S, "~\\\\x" S,
    /* alternate data streams */
    "x" S ":y" S, "x:" S, "x" S "::$DATA" S, "a:b/x" S,
    /* empty components, wrong endings */
    "", "/", "//", "a//x" S, "a/" S, "a/x" S "/", S, "a/" S, "x" S "/", "x.safetensor", "x.SAFETENSORS", "xsafetensors",
    "x.safetensors.bin", "x.safetensors.index.json", INDEX, "x" S " ", "x" S ".", "x" S "\\u0000", "x" S "\\u0000.bin",
    "x.bin\\u0000" S, "x" S "\\n", "x" S "/x", "safetensors",
    /* blanks and dots at either end of a component */
    " x" S, "a /x" S, " a/x" S, "a./x" S, "a../x" S, ".a/x" S, ".hidden" S, "a. /x" S, "a/ x" S, "a/.x" S, " /x" S, ". /x" S,
    ".. /x" S, " ../x" S, "... /x" S,
    /* control characters, C0 and C1, and characters invalid on Windows */
    "a\\u0001" S, "a\\u001f" S, "a\\t" S, "a\\r" S, "a\\n/x" S, "\\u0000" S, "a\\u0000/x" S, "a\\u007f" S, "a\177" S, "a\\u0080" S,
    "a\\u009f" S, "a\\u0085/x" S, "\302\200x" S, "x\302\237" S, "a<" S, "a>" S, "a\\\"" S, "a|b" S, "a?" S, "a*" S, "*" S, "?/x" S,
    /* Windows device names, in any case, with any extension, as any component */
    "CON" S, "con" S, "Con" S, "PRN" S, "AUX" S, "NUL" S, "nul" S, "nUl" S, "NUL.x" S, "nul.tar.gz" S, "COM1" S, "com9" S, "COM0" S,
    "LPT1" S, "lpt9" S, "LPT0" S, "CONIN$" S, "conout$" S, "CLOCK$" S, "clock$.x" S, "com\302\271" S, "COM\302\262.x" S,
    "lpt\302\263" S, "LPT\\u00b9" S, "a/NUL" S, "NUL/x" S, "nul.d/x" S, "aux/b/x" S, "a/com1.d/x" S, "NUL " S, "CON .x" S,
    "com1 " S, "com1  .x" S, "nul/../x" S, "\\u006eul" S, "co\\u006d1" S,
};

/* valid paths, which name the same file on every system */
static const char *const harmless[] = {
    "x" S, "a/x" S, "a/b/c/d/e/f/g/h/x" S, "model-00001-of-00002" S, "x.fp16" S, "x" S S, "a.safetensors/x" S, "-x" S, "--/x" S, "~x" S,
    "~/x" S, "$HOME/x" S, "%2e%2e/x" S, "%2e%2e%2fx" S, "%00" S, "%s%n" S, "a%/x" S, "#x" S, "x&y" S, "x;y" S, "x'y" S, "`x`" S,
    "(x)[y]{z}" S, "a b/c d" S, "a..b/x" S, "a...b" S, "x..safetensors", "a,b=c@d!e^f+g" S, "\303\251\342\202\254\360\237\230\200" S,
    "\\u00e9\\ud83d\\ude00" S, "\302\240x" S, "\302\241" S, "\343\200\202/x" S, "CONS" S, "XCON" S, "CO" S, "COM" S, "COM10" S, "COMA" S,
    "LPT" S, "LPT11" S, "lpt_1" S, "NULL" S, "nul_" S, "x.NUL" S, "x.con.y" S, "AUX1" S, "PRN0" S, "CONIN" S, "CONIN$x" S, "CLOCK" S,
    "com\302\264" S, "com\302\271\302\271" S, "a/COM1x" S, "_nul/x" S, "com\303\271" S,
};
/* clang-format on */

static st_error open_path_of(const char *json) {
    char text[1200];
    snprintf(text, sizeof text, "{\"weight_map\":{\"a\":\"a.safetensors\",\"t\":\"%s\"}}", json);
    pack_text(&p, INDEX, text);
    return pack_verdict(&p, "pack", NULL, NULL);
}

static void shards(void) {
    size_t i;
    for (i = 0; i < sizeof hostile / sizeof *hostile; i++) {
        st_error e;
        test_row = hostile[i];
        pack_shard(&p, "a.safetensors", "{\"a\":" E("U8", "[1]", "[0,1]") "}", "a");
        p.opens = p.closes = 0;
        e = open_path_of(hostile[i]);
        CHECK_STATUS(e.status, ST_ERR_PATH);
        CHECK_EQ(e.position, strlen("{\"weight_map\":{\"a\":\"a.safetensors\",\"t\":"));
        CHECK(strncmp(e.message, "pack/" INDEX ": ", 35) == 0);
        CHECK(e.message[35] == '"' && strncmp(e.message + 36, e.subject, strlen(e.subject)) == 0);
        CHECK_EQ(e.sys, 0);
        pack_clear(&p);
    }
    for (i = 0; i < sizeof harmless / sizeof *harmless; i++) {
        st_error e;
        test_row = harmless[i];
        pack_shard(&p, "a.safetensors", "{\"a\":" E("U8", "[1]", "[0,1]") "}", "a");
        e = open_path_of(harmless[i]);
        CHECK_STATUS(e.status, ST_ERR_SHARD); /* opened, and not found */
        CHECK(strstr(e.message, "does not exist") != NULL);
        pack_clear(&p);
    }
    test_row = "";
}

/* ---- every character, at every position ---- */

static int plain(unsigned c) { /* permitted anywhere in a name */
    return c >= 0x21 && c != 0x7f && strchr("\\:<>\"|?*/.", (int)c) == NULL && !(c >= 0x80 && c < 0xa0);
}

static void characters(void) {
    static const char *const around[][2] = {{"", "x" S}, {"x", S}, {"a/", "x" S}, {"x", "x/y" S}, {"", "/y" S}};
    unsigned c;
    size_t i;
    p.disk = 0;
    for (c = 0; c < 0x100; c++) {
        for (i = 0; i < sizeof around / sizeof *around; i++) {
            char json[60], row[60];
            st_error e;
            int fine = plain(c);
            if (c == '/' && i == 4) continue;                                /* tested separately */
            if (c == ' ' || c == '.') fine = i == 3 || (i == 1 && c == '.'); /* "x..safetensors" is valid */
            if (c == ' ' && i == 1) fine = 1;
            if (c == '/') fine = i == 3;
            snprintf(row, sizeof row, "character %u, place %u", c, (unsigned)i);
            test_row = row;
            snprintf(json, sizeof json, "%s\\u%04x%s", around[i][0], c, around[i][1]);
            pack_shard(&p, "a.safetensors", "{\"a\":" E("U8", "[1]", "[0,1]") "}", "a");
            e = open_path_of(json);
            CHECK_STATUS(e.status, fine ? ST_ERR_SHARD : ST_ERR_PATH);
            pack_clear(&p);
        }
    }
    p.disk = 1;
    test_row = "";
}

/* components of up to 255 bytes are valid; the length of the whole path is not limited */
static void lengths(void) {
    char json[1200];
    size_t part;
    for (part = 254; part <= 257; part++) {
        int inside;
        for (inside = 0; inside <= 1; inside++) {
            st_error e;
            size_t n = 0;
            test_row = "lengths";
            memset(json, 'n', sizeof json);
            if (inside) {
                json[part] = '/';
                n = part + 1;
                memcpy(json + n, "x" S, sizeof "x" S);
            } else {
                memcpy(json + part - strlen(S), S, sizeof S);
            }
            pack_shard(&p, "a.safetensors", "{\"a\":" E("U8", "[1]", "[0,1]") "}", "a");
            e = open_path_of(json);
            CHECK_STATUS(e.status, part <= 255 ? ST_ERR_SHARD : ST_ERR_PATH);
            pack_clear(&p);
        }
    }
    { /* four components of 250 bytes */
        size_t i;
        st_error e;
        p.disk = 0; /* on disk the system's own limit would apply */
        for (i = 0; i < 4; i++) {
            memset(json + i * 251, 'n', 250);
            json[i * 251 + 250] = '/';
        }
        memcpy(json + 4 * 251, "x" S, sizeof "x" S);
        pack_shard(&p, "a.safetensors", "{\"a\":" E("U8", "[1]", "[0,1]") "}", "a");
        e = open_path_of(json);
        CHECK_STATUS(e.status, ST_ERR_SHARD);
        pack_clear(&p);
        p.disk = 1;
    }
    test_row = "";
}

/* ---- the hub ---- */

static st_status open_hub(const char *repo, const char *revision) {
    st_open_options options;
    st_model *m;
    st_error e;
    st_status s;
    memset(&options, 0, sizeof options);
    options.files = &p.files;
    s = st_open_hub(&m, repo, revision, NULL, &options, &e);
    CHECK(m == NULL && e.status == s);
    CHECK(strstr(e.message, ": ") != NULL);
    check_text(e.message, sizeof e.message);
    return s;
}

/* clang-format off */
static const char *const repos[] = {
    "",       "/",         "//",        "a/",        "/a",          "a//b",      "a/b/c",    "../a",       "a/..",      "..",
    ".",      "./a",       "a/.",       "a/../b",    "..\\a",       "a\\b",      "C:a",      "C:/a",       "c:\\a",     "\\\\a\\b",
    "/tmp/a", "a/b ",      " a/b",      "a /b",      "a/ b",        "a./b",      "a/b.",     ".a/b",       "a/.b",      "nul",
    "NUL/a",  "a/con",     "a/nul.x",   "com1/x",    "a\n/b",       "a/b\n",     "a/b\177",  "a/\302\205", "a:b/c",     "a/b:c",
    "a|b",    "a<b/c",     "a/b?",      "a/*",       "\"a\"/b",     "a/b/",      "a/b/../c", "a/b\\..\\c", "LPT9/x",    "aux.y/b",
};
static const char *const revisions[] = {"",        "..",       "../main",  "../../refs/main", "/main",   "main/",   "refs//pr/1", "refs/../../x",
                                        "a/./b",   ".",        "\\main",   "..\\main",        "C:main",  "main ",   " main",      "main\n",
                                        "main.",   ".main",    "nul",      "refs/pr/aux",     "a\001b",  "ma:in",   "a\302\200",  "refs/pr/../main",
                                        "ma\\in",  "COM1.x",   "a//b",     "*",               "a?",      "a\"b",    "refs/. /x",  "refs/pr/1/"};
/* clang-format on */

static void repositories(void) {
    size_t i;
    char part[300];
    pack_shard(&p, "x", "{}", ""); /* so that the directory exists */
    for (i = 0; i < sizeof repos / sizeof *repos; i++) {
        test_row = repos[i];
        p.calls = 0;
        CHECK_STATUS(open_hub(repos[i], NULL), ST_ERR_PATH);
        CHECK_STATUS(open_hub(repos[i], "0123456789012345678901234567890123456789"), ST_ERR_PATH);
        CHECK_EQ(p.calls, 0);
    }
    for (i = 0; i < sizeof revisions / sizeof *revisions; i++) {
        test_row = revisions[i];
        p.calls = 0;
        CHECK_STATUS(open_hub("owner/name", revisions[i]), ST_ERR_PATH);
        CHECK_EQ(p.calls, 0);
    }
    test_row = "long parts";
    memset(part, 'n', 256);
    part[256] = 0;
    CHECK_STATUS(open_hub(part, NULL), ST_ERR_PATH);
    CHECK_STATUS(open_hub("a", part), ST_ERR_PATH);
    CHECK_EQ(p.calls, 0);
    part[255] = 0;
    CHECK_STATUS(open_hub("a", part), ST_ERR_NOT_FOUND);
    CHECK(p.calls > 0);
    { /* valid names, which are looked up */
        static const char *const fine[] = {"gpt2",   "owner/name", "o-w_n.er/n-a_m.e",
                                           "a/b--c", "a%2f..%2fb", "$HOME/x",
                                           "~/x",    "a b/c d",    "\303\251/\342\202\254"};
        static const char *const fine_revisions[] = {"main", "refs/pr/1", "v1.0", "feature/a/b/c", "a%2fb", "x y",
                                                     "@",    "main-2",    "~"};
        for (i = 0; i < sizeof fine / sizeof *fine; i++) CHECK_STATUS(open_hub(fine[i], NULL), ST_ERR_NOT_FOUND);
        for (i = 0; i < sizeof fine_revisions / sizeof *fine_revisions; i++) {
            CHECK_STATUS(open_hub("a/b", fine_revisions[i]), ST_ERR_NOT_FOUND);
        }
    }
    test_row = "";
    pack_clear(&p);
}

/* ---- links on disk are trusted: only those who can write the directory can create them ---- */

#ifndef _WIN32
static st_error open_disk(const char *path, st_status want) {
    st_model *m;
    st_error e;
    CHECK_STATUS(st_open(&m, path, NULL, &e), want);
    CHECK((m != NULL) == (want == ST_OK));
    if (m != NULL) {
        char got = 0;
        CHECK(m->count == 1 && st_read(m, m->tensors, 0, &got, 1, &e) == ST_OK && got == 'a');
    }
    st_close(m);
    return e;
}

static void links(void) {
    static const char header[] = "{\"t\":" E("U8", "[1]", "[0,1]") "}";
    size_t n;
    unsigned char *file = make_file(header, sizeof header - 1, "a", 1, &n);
    st_error e;
    CHECK(SCRATCH_MAKE("outside") == 0);
    disk_put("outside/blob", file, n);
    disk_text("pack/" INDEX, "{\"weight_map\":{\"t\":\"t.safetensors\"}}");
    test_row = "a link out of the directory";
    CHECK(symlink("../outside/blob", "pack/t.safetensors") == 0);
    (void)open_disk("pack", ST_OK);
    CHECK(remove("pack/t.safetensors") == 0);
    test_row = "a link to a link";
    CHECK(symlink("blob", "outside/again") == 0 && symlink("../outside/again", "pack/t.safetensors") == 0);
    (void)open_disk("pack", ST_OK);
    CHECK(remove("pack/t.safetensors") == 0 && remove("outside/again") == 0);
    test_row = "a link to nothing";
    CHECK(symlink("../outside/nothing", "pack/t.safetensors") == 0);
    e = open_disk("pack", ST_ERR_SHARD);
    CHECK_STR(e.subject, "t.safetensors");
    CHECK(remove("pack/t.safetensors") == 0);
    test_row = "a link to a directory";
    CHECK(symlink("../outside", "pack/t.safetensors") == 0);
    e = open_disk("pack", ST_ERR_SHARD);
    CHECK_STR(e.subject, "t.safetensors");
    CHECK(remove("pack/t.safetensors") == 0);
    test_row = "a link to itself";
    CHECK(symlink("t.safetensors", "pack/t.safetensors") == 0);
    e = open_disk("pack", ST_ERR_IO);
    CHECK(strncmp(e.message, "pack/t.safetensors: ", 20) == 0 && e.sys != 0);
    CHECK(remove("pack/t.safetensors") == 0);
#if HAS_POSIX
    test_row = "a FIFO, and a link to it"; /* has no writer: opening it must not block */
    CHECK(mkfifo("pack/t.safetensors", 0600) == 0);
    e = open_disk("pack", ST_ERR_IO);
    CHECK(strncmp(e.message, "pack/t.safetensors: ", 20) == 0);
    CHECK(rename("pack/t.safetensors", "outside/fifo") == 0 && symlink("../outside/fifo", "pack/t.safetensors") == 0);
    e = open_disk("pack", ST_ERR_IO);
    CHECK(strstr(e.message, "not a regular file") != NULL);
    CHECK(remove("pack/t.safetensors") == 0 && remove("outside/fifo") == 0);
    test_row = "a link to a device";
    CHECK(symlink("/dev/zero", "pack/t.safetensors") == 0);
    (void)open_disk("pack", ST_ERR_IO);
    CHECK(remove("pack/t.safetensors") == 0);
#endif
    CHECK(remove("pack/" INDEX) == 0);
    test_row = "a folder that is a link";
    disk_put("outside/t.safetensors", file, n);
    disk_text("pack/" INDEX, "{\"weight_map\":{\"t\":\"f/t.safetensors\"}}");
    CHECK(symlink("../outside", "pack/f") == 0);
    (void)open_disk("pack", ST_OK);
    CHECK(remove("pack/f") == 0 && remove("pack/" INDEX) == 0 && remove("outside/t.safetensors") == 0);
    test_row = "the model's file, its index, and its directory";
    CHECK(symlink("../outside/blob", "pack/model.safetensors") == 0 && symlink("pack", "linked") == 0);
    (void)open_disk("pack", ST_OK);
    (void)open_disk("linked", ST_OK);
    (void)open_disk("linked/", ST_OK);
    CHECK(remove("pack/model.safetensors") == 0);
    disk_text("outside/index", "{\"weight_map\":{\"t\":\"t.safetensors\"}}");
    disk_put("pack/t.safetensors", file, n); /* next to the link, not next to its target */
    CHECK(symlink("../outside/index", "pack/" INDEX) == 0);
    (void)open_disk("linked", ST_OK);
    CHECK(remove("linked") == 0 && remove("pack/" INDEX) == 0 && remove("outside/index") == 0);
    CHECK(remove("pack/t.safetensors") == 0 && remove("outside/blob") == 0 && SCRATCH_DROP("outside") == 0);
    free(file);
    test_row = "";
}
#endif

int main(void) {
#ifdef _WIN32
    (void)_putenv("HF_HUB_CACHE=pack");
#else
    (void)setenv("HF_HUB_CACHE", "pack", 1);
#endif
    models_begin("paths");
    pack_begin(&p, 1);
    shards();
    characters();
    lengths();
    repositories();
#ifndef _WIN32
    links();
#else
    SKIP("links on disk are those of POSIX");
#endif
    pack_end(&p);
    models_end();
    return test_done("paths");
}
