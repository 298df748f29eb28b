/* folder.h: files and directories on POSIX and Windows.
 *
 * A folder is an open directory, and names are looked up in it, not in a path that another process could redirect
 * meanwhile. On POSIX it is a file descriptor. On Windows it is a handle that keeps others from renaming or removing
 * the directory and those above it. Functions that return an int return 1, or 0 after an error, which system_error
 * describes. Memory comes from memory.h. */
#ifndef EXAMPLES_FOLDER_H
#define EXAMPLES_FOLDER_H

#include <stddef.h>
#include <stdint.h>

typedef enum file_kind { KIND_MISSING, KIND_FILE, KIND_FOLDER, KIND_LINK, KIND_OTHER } file_kind;

typedef struct file_time {
    int64_t seconds; /* since 1970, UTC */
    uint32_t nanoseconds;
} file_time;

typedef struct file_info {
    file_kind kind;
    uint64_t device, number; /* the same for two paths that lead to the same file */
    uint64_t names;          /* hard links */
    file_time modified;
} file_info;

typedef struct name_list {
    struct name_list *next;
    char *name;
} name_list;

typedef struct folder folder;

char **system_arguments(int *argc, char **argv); /* in UTF-8 */
const char *system_error(void);
int is_path_separator(char c);
char *join_path(const char *directory, const char *name);
int make_folders(const char *path); /* as mkdir -p */

/* parent NULL: name is a path, and links in it are followed. Otherwise a symbolic link is refused. */
folder *folder_open(const folder *parent, const char *name);
void folder_close(folder *f);
/* f NULL: name is a path. A file that does not exist is no error, but KIND_MISSING. */
int folder_info(const folder *f, const char *name, int follow_link, file_info *info);
int folder_names(const folder *f, name_list **names); /* in no order */
/* Returns the bytes of a regular file and a NUL, or NULL after an error. *is_missing says whether it does not exist. */
char *folder_read(const folder *f, const char *name, size_t limit, size_t *bytes, int *is_missing);
/* Replaces the file atomically: a crash leaves the old file or the new one. */
int folder_write(const folder *f, const char *name, const char *bytes, size_t count);
/* Sets the time of a directory's last change, which every new name in the directory updates. */
int folder_set_time(const folder *f, const file_time *modified);
/* Makes or atomically replaces `name`: a relative symbolic link, on Windows a hard link or else a copy. */
int folder_link(const folder *f, const char *name, const char *target);
int folder_is_link(const file_info *info); /* whether folder_link can have made the file */
/* Whether the name is a link to a path that starts with prefix. Windows does not know the other names of a file: there
 * every file with several names counts. */
int folder_links_to(const folder *f, const char *name, const char *prefix);
int folder_rename(const folder *from, const char *name, const folder *to, const char *new_name);
int folder_remove(const folder *f, const char *name, file_kind kind); /* no error if there is none */
int folder_flush(const folder *f);                                    /* makes renames survive a power failure */
/* Deletes a directory and everything in it, in two steps: folder_doom renames it to .doomed-*, and folder_delete_doomed
 * flushes that to the device and deletes all directories with such names, also those of a process that was interrupted.
 * So a directory is never seen half deleted under its own name. Links are not followed, and mount points are an error.
 * Several processes may do this at the same time. folder_doom fails if another directory has taken the name. */
int folder_doom(const folder *f, const char *name, const file_info *expected);
int folder_delete_doomed(const folder *f);
unsigned long system_process(void);

#endif
