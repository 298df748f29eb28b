/* Paths and sharing as Windows has them: drive-relative paths, the prefix \\?\, shares, files that another handle holds.
 * Wine replaces read-only files and knows no streams of a file, so that these are not here. */
#define ST_IMPLEMENTATION
#include "../safetensors.h"

#include "written.h"

#ifdef _WIN32
static st_error error;

static st_status save(const char *path) {
    static const uint64_t shape[1] = {4};
    const st_tensor tensor = st_tensor_of("a", ST_DTYPE_U8, 1, shape, "wxyz");
    return st_save(path, CONTENTS(&tensor, 1, NULL, 0), NULL, &error);
}

static st_status open_at(const char *path) {
    st_model *model;
    const st_status status = st_open(&model, path, NULL, &error);
    if (status == ST_OK) CHECK(model->count == 1 && memcmp(model->tensors[0].data, "wxyz", 4) == 0);
    st_close(model);
    return status;
}

/* saves to path and opens it, and the same file by its plain name; removes it */
static void reaches(const char *path, const char *plain) {
    test_row = path;
    CHECK_STATUS(save(path), ST_OK);
    CHECK_STATUS(open_at(path), ST_OK);
    CHECK_STATUS(open_at(plain), ST_OK);
    CHECK(remove(plain) == 0);
}

static void paths(void) {
    char full[600], path[700], *p;
    wchar_t wide[600];
    CHECK(GetFullPathNameW(L".", 600, wide, NULL) > 0);
    CHECK(WideCharToMultiByte(CP_UTF8, 0, wide, -1, full, sizeof full, NULL, NULL) > 0);
    snprintf(path, sizeof path, "%c:drive.safetensors", full[0]);
    reaches(path, "drive.safetensors");
    snprintf(path, sizeof path, "%s\\plain.safetensors", full);
    reaches(path, "plain.safetensors");
    for (p = path; *p; p++) *p = *p == '\\' ? '/' : *p;
    reaches(path, "plain.safetensors");
    snprintf(path, sizeof path, "\\\\?\\%s\\prefix.safetensors", full);
    reaches(path, "prefix.safetensors");
    reaches(".\\x/..\\dots.safetensors", "dots.safetensors");
}

static void is_refused(const char *path) {
    test_row = path;
    CHECK(save(path) != ST_OK && error.message[0] != 0);
    CHECK(open_at(path) != ST_OK && error.message[0] != 0);
}

static void refusals(void) {
    is_refused("\\\\no.such.server\\share\\m.safetensors");
    is_refused("a?b.safetensors");
    is_refused("a<b.safetensors");
    is_refused("");
}

/* access and share: of another handle on the file */
static void held(const char *row, DWORD access, DWORD share, st_status opening) {
    const HANDLE h = CreateFileW(L"held.safetensors", access, share, NULL, OPEN_EXISTING, FILE_ATTRIBUTE_NORMAL, NULL);
    test_row = row;
    CHECK(h != INVALID_HANDLE_VALUE);
    CHECK_STATUS(open_at("held.safetensors"), opening);
    CHECK_STATUS(save("held.safetensors"), ST_ERR_IO);
    CHECK(strstr(error.message, "open or mapped by a program") != NULL);
    CHECK(CloseHandle(h));
    CHECK_STATUS(open_at("held.safetensors"), ST_OK); /* unchanged */
}

static void holders(void) {
    st_model *model;
    test_row = "held";
    CHECK_STATUS(save("held.safetensors"), ST_OK);
    held("held exclusively", GENERIC_READ | GENERIC_WRITE, 0, ST_ERR_IO);
    held("held, shared for reading", GENERIC_READ, FILE_SHARE_READ, ST_OK);
    test_row = "mapped by this process";
    CHECK_STATUS(st_open(&model, "held.safetensors", NULL, &error), ST_OK);
    CHECK_STATUS(save("held.safetensors"), ST_ERR_IO);
    CHECK(strstr(error.message, "close the model first") != NULL);
    st_close(model);
    test_row = "read-only";
    CHECK(SetFileAttributesW(L"held.safetensors", FILE_ATTRIBUTE_READONLY));
    CHECK_STATUS(open_at("held.safetensors"), ST_OK);
    CHECK(SetFileAttributesW(L"held.safetensors", FILE_ATTRIBUTE_NORMAL));
    CHECK(remove("held.safetensors") == 0);
}
#endif

int main(void) {
#ifdef _WIN32
    scratch_begin("windows");
    (void)scratch_enter();
    paths();
    refusals();
    holders();
    scratch_leave();
    check_no_temporary();
    scratch_end();
#else
    SKIP("paths and sharing of Windows");
#endif
    return test_done("windows");
}
