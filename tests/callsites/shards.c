/* Several files read like one; an index cannot lead outside its directory. Run in an empty directory. */
#define ST_IMPLEMENTATION
#include "safetensors.h"
#include "expect.h"

/* a pack that is the current directory under another name */
static int pack_read(void *user, uint64_t offset, void *dst, size_t n) {
    FILE *f = (FILE *)user;
    return fseek(f, (long)offset, SEEK_SET) == 0 && fread(dst, 1, n, f) == n ? 0 : 5;
}
static int pack_open(void *user, const char *path, st_io *io) {
    FILE *f;
    if (strncmp(path, "pack/", 5) != 0 || (f = fopen(path + 5, "rb")) == NULL) return ST_IO_NOT_FOUND;
    fseek(f, 0, SEEK_END);
    memset(io, 0, sizeof *io);
    io->user = f, io->read_at = pack_read, io->bytes = (uint64_t)ftell(f);
    ++*(int *)user;
    return 0;
}
static void pack_close(void *user, st_io *io) {
    --*(int *)user;
    fclose((FILE *)io->user);
}
static int pack_list(void *user, const char *directory, int (*each)(void *arg, const char *name), void *arg) {
    int stop = 0;
    (void)user;
    if (strcmp(directory, "pack") != 0) return ST_IO_NOT_FOUND;
    (void)((stop = each(arg, "model.safetensors.index.json")) ||
           (stop = each(arg, "model-00001-of-00003.safetensors")));
    return stop;
}

static void put(const char *path, const void *bytes, size_t n) {
    FILE *f = fopen(path, "wb");
    EXPECT(f && fwrite(bytes, 1, n, f) == n);
    if (f) fclose(f);
}

int main(void) {
    const uint64_t four[1] = {4};
    const float v[4] = {1, 2, 3, 4};
    static const char *names[5] = {"a", "b", "c", "d", "e"};
    st_tensor t[5];
    st_pair format;
    st_contents all;
    st_save_options o;
    st_open_options p;
    st_model *m;
    st_error e;
    static const char *hostile[] = {"../x.safetensors",
                                    "/x.safetensors",
                                    "\\\\x.safetensors",
                                    "C:x.safetensors",
                                    "C:\\\\x.safetensors",
                                    "a/../../x.safetensors",
                                    "..\\\\x.safetensors",
                                    "a//x.safetensors",
                                    "./x.safetensors",
                                    "x.bin",
                                    "",
                                    ".",
                                    "a\\u0000b.safetensors",
                                    "NUL.safetensors",
                                    "sub/com1.x.safetensors",
                                    "x.safetensors ",
                                    "d./x.safetensors"};
    size_t i;
    memset(t, 0, sizeof t);
    for (i = 0; i < 5; i++)
        t[i].name = names[i], t[i].dtype = ST_DTYPE_F32, t[i].rank = 1, t[i].shape = four, t[i].data = v;
    memset(&format, 0, sizeof format);
    format.key = "format", format.value = "pt";
    memset(&o, 0, sizeof o);
    memset(&p, 0, sizeof p);
    memset(&all, 0, sizeof all);
    all.tensors = t, all.count = 5, all.metadata = &format, all.metadata_count = 1;
    o.max_shard_bytes = 32; /* two tensors of 16 bytes */
    EXPECT(st_save_sharded(".", &all, &o, &e) == ST_OK);
    EXPECT(st_open(&m, ".", NULL, &e) == ST_OK && m->count == 5 && m->shard_count == 3 && m->bytes == 80);
    EXPECT(strstr(m->shards[2].path, "model-00003-of-00003.safetensors") != NULL);
    EXPECT(st_find(m, "e") && st_find(m, "e")->shard == 2 && memcmp(st_find(m, "e")->data, v, 16) == 0);
    EXPECT(m->index_count == 1 && strcmp(m->index[0].key, "total_size") == 0 && strcmp(m->index[0].value, "80") == 0);
    EXPECT(strcmp(st_find_metadata(m, "format")->value, "pt") == 0 &&
           strcmp(m->shards[1].metadata[0].value, "pt") == 0);
    st_close(m);
    EXPECT(st_open(&m, "model.safetensors.index.json", NULL, &e) == ST_OK && m->count == 5);
    st_close(m);
    { /* the same through a file system of one's own */
        int open_files = 0;
        st_files files;
        float out[4];
        memset(&files, 0, sizeof files);
        files.user = &open_files, files.open = pack_open, files.close = pack_close, files.list = pack_list;
        p.files = &files;
        EXPECT(st_open(&m, "pack", &p, &e) == ST_OK && m->count == 5 && m->shard_count == 3);
        EXPECT(st_read(m, st_find(m, "e"), 0, out, 16, &e) == ST_OK && out[3] == 4);
        st_close(m);
        EXPECT(open_files == 0);
        p.files = NULL;
    }
    EXPECT(remove("model-00002-of-00003.safetensors") == 0);
    EXPECT(st_open(&m, ".", NULL, &e) == ST_ERR_SHARD && strstr(e.message, "model-00002-of-00003.safetensors"));
    p.flags = ST_OPEN_PARTIAL;
    EXPECT(st_open(&m, ".", &p, &e) == ST_OK && m->count == 3 && st_find(m, "c") == NULL && st_find(m, "e") != NULL);
    EXPECT(m->shard_count == 3 && m->shards[1].file_bytes == 0 && m->shards[2].file_bytes > 0 &&
           st_find(m, "e")->shard == 2);
    st_close(m);
    for (i = 0; i < sizeof hostile / sizeof *hostile; i++) {
        char text[256];
        sprintf(text, "{\"metadata\":{},\"weight_map\":{\"a\":\"%s\"}}", hostile[i]);
        put("hostile.safetensors.index.json", text, strlen(text));
        EXPECT(st_open(&m, "hostile.safetensors.index.json", NULL, &e) == ST_ERR_PATH && m == NULL);
    }
    remove("hostile.safetensors.index.json");
    /* a shard alone is not a model */
    EXPECT(rename("model.safetensors.index.json", "kept") == 0 &&
           rename("model-00003-of-00003.safetensors", "kept3") == 0);
    EXPECT(st_open(&m, ".", NULL, &e) == ST_ERR_SHARD);
    EXPECT(rename("kept", "model.safetensors.index.json") == 0 &&
           rename("kept3", "model-00003-of-00003.safetensors") == 0);
    /* one shard is enough: no index, and what the earlier save left is gone */
    o.max_shard_bytes = 0;
    memset(&all, 0, sizeof all);
    all.tensors = t, all.count = 2;
    EXPECT(st_save_sharded(".", &all, &o, &e) == ST_OK);
    EXPECT(st_open(&m, ".", NULL, &e) == ST_OK && m->count == 2 && m->shard_count == 1 && m->index_count == 0);
    st_close(m);
    EXPECT(st_open(&m, "model.safetensors", NULL, &e) == ST_OK && m->count == 2);
    st_close(m);
    EXPECT(st_open(&m, "model.safetensors.index.json", NULL, &e) == ST_ERR_NOT_FOUND);
    EXPECT(st_open(&m, "model-00001-of-00003.safetensors", NULL, &e) == ST_ERR_NOT_FOUND);
    /* several processes: the same plan, a save a shard, then the index */
    {
        uint32_t shards[5], count, s;
        char name[ST_SHARD_NAME_BYTES];
        EXPECT(remove("model.safetensors") == 0);
        all.count = 5;
        o.max_shard_bytes = 32;
        EXPECT(st_plan_shards(&all, &o, shards, &count, &e) == ST_OK && count == 3 && shards[0] == 0 &&
               shards[2] == 1 && shards[4] == 2);
        EXPECT(st_save_index(".", &all, &o, &e) == ST_ERR_SHARD); /* the shards are missing */
        for (s = 0; s < count; s++) {
            st_contents part = all;
            part.tensors = t + 2 * s, part.count = s < 2 ? 2 : 1;
            EXPECT(st_shard_name(NULL, s, count, name, sizeof name) == ST_OK &&
                   st_save(name, &part, NULL, &e) == ST_OK);
            EXPECT(st_open(&m, ".", NULL, &e) == ST_ERR_SHARD && m == NULL);
        }
        EXPECT(st_save_index(".", &all, &o, &e) == ST_OK && st_open(&m, ".", NULL, &e) == ST_OK && m->count == 5 &&
               m->shard_count == 3);
        st_close(m);
    }
    return expect_done("shards");
}
