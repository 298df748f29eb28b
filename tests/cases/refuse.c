/* refuse.so, by LD_PRELOAD: a mount that lacks calls. REFUSE names them, with blanks between; ERRNO is the code. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>

static int refuses(const char *call) {
    const char *calls = getenv("REFUSE"), *code = getenv("ERRNO");
    if (!calls || !strstr(calls, call)) return 0;
    errno = code ? atoi(code) : ENOSYS;
    return 1;
}

/* defines a call that fails with `failure` if REFUSE has the word, else does what the system's does */
#define CALL(result, name, parameters, arguments, word, failure) \
    result name parameters {                                     \
        static result(*real) parameters;                         \
        if (refuses(word)) return failure;                       \
        if (!real) *(void **)&real = dlsym(RTLD_NEXT, #name);    \
        return real arguments;                                   \
    }

CALL(int, rename, (const char *from, const char *to), (from, to), "rename", -1)
CALL(int, renameat2, (int a, const char *from, int b, const char *to, unsigned flags), (a, from, b, to, flags),
     "rename", -1)
CALL(int, fchmod, (int fd, mode_t mode), (fd, mode), "fchmod", -1)
CALL(int, ftruncate, (int fd, off_t bytes), (fd, bytes), "ftruncate", -1)
CALL(int, ftruncate64, (int fd, off64_t bytes), (fd, bytes), "ftruncate", -1)
CALL(int, fsync, (int fd), (fd), "fsync", -1)
CALL(void *, mmap, (void *at, size_t n, int prot, int flags, int fd, off_t offset), (at, n, prot, flags, fd, offset),
     fd < 0 ? "anonymous mmap" : "mmap", (void *)-1)
CALL(void *, mmap64, (void *at, size_t n, int prot, int flags, int fd, off64_t offset),
     (at, n, prot, flags, fd, offset), fd < 0 ? "anonymous mmap" : "mmap", (void *)-1)
