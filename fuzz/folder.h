/* folder.h: the system calls for a harness's scratch directory, $ST_SCRATCH/tmp.NAME.PID (build/tmp.NAME.PID by
 * default). */
#ifndef FOLDER_H
#define FOLDER_H
#include <dirent.h>
#include <stdlib.h>
#ifdef _WIN32
#include <direct.h>
#include <process.h>
#define MAKE_FOLDER(path) _mkdir(path)
#define DROP_FOLDER(path) _rmdir(path)
#define PROCESS_ID() _getpid()
#else
#include <sys/stat.h>
#include <unistd.h>
#define MAKE_FOLDER(path) mkdir(path, 0777)
#define DROP_FOLDER(path) rmdir(path)
#define PROCESS_ID() getpid()
#endif

/* the parent of the scratch directory; DROP_FOLDER removes it at the end, and fails unless it is empty */
static inline const char *folder_root(void) {
    const char *root = getenv("ST_SCRATCH");
    return root != NULL && *root != 0 ? root : "build";
}
#endif
