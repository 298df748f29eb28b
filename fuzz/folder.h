/* folder.h: the calls of the system for a harness's folder, build/tmp.NAME.PID under the current one. */
#ifndef FOLDER_H
#define FOLDER_H
#include <dirent.h>
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
#endif
