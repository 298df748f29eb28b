/* folder.h: the calls of the system for a harness's folder, $ST_SCRATCH/tmp.NAME.PID (build/tmp.NAME.PID). */
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

/* the directory that the folder is made in; removed again with DROP_FOLDER, which fails unless it is empty */
static inline const char *folder_root(void) {
    const char *root = getenv("ST_SCRATCH");
    return root != NULL && *root != 0 ? root : "build";
}
#endif
