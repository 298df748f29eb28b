/* odd_fuse: a FUSE file system that shows a directory and lacks what its options name. mounts.sh mounts it.
 *     odd_fuse DIRECTORY LACKS MOUNTPOINT [OPTION OF FUSE]...
 * LACKS has any of these words:
 *     transfers   each read and each write moves at most 7 bytes
 *     rename      no rename
 *     modes       no chmod, no chown, no flush to the device: as object stores
 *     page        bytes 4096 to 8191 of a file cannot be read
 *     close       the disk is full, which is only found out when the file is closed: as NFS */
#define FUSE_USE_VERSION 31
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <fuse.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int root;           /* the directory that is shown */
static const char *absent; /* the words of LACKS */

static int lacks(const char *word) {
    return strstr(absent, word) != NULL;
}
static const char *below(const char *path) { /* a path relative to root */
    return path[1] ? path + 1 : ".";
}
static int answer(long result) {
    return result < 0 ? -errno : (int)result;
}
static size_t transfer(size_t n) {
    return n > 7 && lacks("transfers") ? 7 : n;
}

static void *odd_init(struct fuse_conn_info *connection, struct fuse_config *config) {
    (void)connection;
    config->use_ino = 1;
    config->direct_io = lacks("transfers"); /* otherwise a short read is the end of the file */
    config->nullpath_ok = 0;
    return NULL;
}
static int odd_getattr(const char *path, struct stat *info, struct fuse_file_info *f) {
    return answer(f ? fstat((int)f->fh, info) : fstatat(root, below(path), info, AT_SYMLINK_NOFOLLOW));
}
static int odd_readdir(const char *path, void *out, fuse_fill_dir_t fill, off_t offset, struct fuse_file_info *f,
                       enum fuse_readdir_flags flags) {
    const int fd = openat(root, below(path), O_RDONLY | O_DIRECTORY);
    DIR *d = fd < 0 ? NULL : fdopendir(fd);
    struct dirent *entry;
    (void)offset, (void)f, (void)flags;
    if (!d) return -errno;
    while ((entry = readdir(d)) != NULL) fill(out, entry->d_name, NULL, 0, (enum fuse_fill_dir_flags)0);
    closedir(d);
    return 0;
}
static int odd_open(const char *path, struct fuse_file_info *f) {
    const int fd = openat(root, below(path), f->flags & ~O_NOFOLLOW);
    f->fh = (uint64_t)fd;
    return fd < 0 ? -errno : 0;
}
static int odd_create(const char *path, mode_t mode, struct fuse_file_info *f) {
    const int fd = openat(root, below(path), f->flags | O_CREAT, mode);
    f->fh = (uint64_t)fd;
    return fd < 0 ? -errno : 0;
}
static int odd_read(const char *path, char *out, size_t n, off_t offset, struct fuse_file_info *f) {
    (void)path;
    if (lacks("page") && offset < 8192 && offset + (off_t)n > 4096) return -EIO;
    return answer(pread((int)f->fh, out, transfer(n), offset));
}
static int odd_write(const char *path, const char *in, size_t n, off_t offset, struct fuse_file_info *f) {
    (void)path;
    return answer(pwrite((int)f->fh, in, transfer(n), offset));
}
static int odd_flush(const char *path, struct fuse_file_info *f) {
    (void)path;
    return lacks("close") && (fcntl((int)f->fh, F_GETFL) & O_ACCMODE) != O_RDONLY ? -ENOSPC : 0;
}
static int odd_release(const char *path, struct fuse_file_info *f) {
    (void)path;
    return answer(close((int)f->fh));
}
static int odd_rename(const char *from, const char *to, unsigned flags) {
    if (lacks("rename")) return -EPERM;
    return flags ? -EINVAL : answer(renameat(root, below(from), root, below(to)));
}
static int odd_unlink(const char *path) {
    return answer(unlinkat(root, below(path), 0));
}
static int odd_truncate(const char *path, off_t n, struct fuse_file_info *f) {
    int fd, result;
    if (f) return answer(ftruncate((int)f->fh, n));
    fd = openat(root, below(path), O_WRONLY);
    if (fd < 0) return -errno;
    result = answer(ftruncate(fd, n));
    close(fd);
    return result;
}
static int odd_chmod(const char *path, mode_t mode, struct fuse_file_info *f) {
    (void)f;
    return lacks("modes") ? -ENOSYS : answer(fchmodat(root, below(path), mode, 0));
}
static int odd_chown(const char *path, uid_t user, gid_t group, struct fuse_file_info *f) {
    (void)f;
    return lacks("modes") ? -ENOSYS : answer(fchownat(root, below(path), user, group, 0));
}
static int odd_fsync(const char *path, int only_data, struct fuse_file_info *f) {
    (void)path, (void)only_data, (void)f;
    return lacks("modes") ? -EINVAL : 0;
}

int main(int argc, char **argv) {
    struct fuse_operations calls;
    memset(&calls, 0, sizeof calls);
    calls.init = odd_init;
    calls.getattr = odd_getattr;
    calls.readdir = odd_readdir;
    calls.open = odd_open;
    calls.create = odd_create;
    calls.read = odd_read;
    calls.write = odd_write;
    calls.flush = odd_flush;
    calls.release = odd_release;
    calls.rename = odd_rename;
    calls.unlink = odd_unlink;
    calls.truncate = odd_truncate;
    calls.chmod = odd_chmod;
    calls.chown = odd_chown;
    calls.fsync = odd_fsync;
    calls.fsyncdir = odd_fsync;
    if (argc < 4) return 2;
    root = open(argv[1], O_RDONLY | O_DIRECTORY);
    absent = argv[2];
    argv[2] = argv[0];
    return root < 0 ? 2 : fuse_main(argc - 2, argv + 2, &calls, NULL);
}
