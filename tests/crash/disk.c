/* A disk that is watched and that can be made to fail: preloaded into the real binary, it stands between the
 * program and the kernel. Everything that changes the folder DISK_ROOT is written to the file DISK_TRACE in the
 * order in which it happened, and so is every HTTP answer at the moment at which it leaves: what was acknowledged
 * is then known as exactly as what was on the disk. Knows files and system calls, and nothing of what is in them.
 *
 *   DISK_ROOT        the folder, as an absolute path without links
 *   DISK_TRACE       where the trace goes; absent: nothing is recorded
 *   DISK_FAIL_SYNC   the number, from 1, of the fsync or fdatasync that fails with EIO, once
 *   DISK_FAIL_NAME   only syncs of files with this in their path count for it
 *   DISK_SYNC_MS     how many milliseconds each of them takes longer
 *   DISK_SPACE       a file that says, in decimal, by how many bytes the files may grow since it says so; what stands
 *                    behind the number counts too, so that the same number can be said again
 *   DISK_SPACE_NAME  only files with this in their path count for it
 *
 * A record of the trace: kind (1 byte), inode (8), offset (8), length (4), that many bytes. Little endian.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

enum { TRACE_FD = 900 };

/* One order for all threads: an event is recorded before the next one can happen. */
static pthread_mutex_t turn = PTHREAD_MUTEX_INITIALIZER;
static const char *root, *space, *space_name, *fail_name;
static size_t root_length;
static long fail_sync, sync_ms, syncs, grown;
static int trace = -1;

__attribute__((constructor)) static void begin(void)
{
    root = getenv("DISK_ROOT");
    root_length = root ? strlen(root) : 0;
    space = getenv("DISK_SPACE");
    space_name = getenv("DISK_SPACE_NAME");
    fail_name = getenv("DISK_FAIL_NAME");
    fail_sync = getenv("DISK_FAIL_SYNC") ? atol(getenv("DISK_FAIL_SYNC")) : 0;
    sync_ms = getenv("DISK_SYNC_MS") ? atol(getenv("DISK_SYNC_MS")) : 0;
    const char *path = getenv("DISK_TRACE");
    if (root && path) {
        int fd = (int)syscall(SYS_openat, AT_FDCWD, path, O_WRONLY | O_CREAT | O_APPEND, 0600);
        trace = fcntl(fd, F_DUPFD_CLOEXEC, TRACE_FD);
        close(fd);
    }
}

static int is_below(const char *path)
{
    return root && !strncmp(path, root, root_length) && (path[root_length] == '/' || !path[root_length]);
}

/* The memory that connections of SQLite share is a file by name only: it is made anew after a crash. */
static int is_memory(const char *path)
{
    size_t length = strlen(path);
    return length > 4 && !strcmp(path + length - 4, "-shm");
}

/* The path of an open file below the root; a deleted one has " (deleted)" behind it, its inode still counts. */
static int path_of(int fd, char *path)
{
    if (!root || fd == trace)
        return 0;
    char link[32];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, PATH_MAX - 1);
    if (length <= 0)
        return 0;
    path[length] = 0;
    return is_below(path) && !is_memory(path);
}

static int absolute(int at, const char *path, char *full)
{
    char base[PATH_MAX] = "";
    if (path[0] != '/') {
        if (at == AT_FDCWD ? !getcwd(base, sizeof base) : !path_of(at, base))
            return 0;
        strncat(base, "/", sizeof base - strlen(base) - 1);
    }
    return snprintf(full, PATH_MAX, "%s%s", base, path) < PATH_MAX && is_below(full) && !is_memory(full);
}

static uint64_t inode_of(int fd)
{
    struct stat about;
    return fstat(fd, &about) ? 0 : about.st_ino;
}

static void note(char kind, uint64_t inode, uint64_t offset, const struct iovec *parts, int count, size_t length)
{
    if (trace < 0)
        return;
    char head[21] = {kind};
    uint32_t size = (uint32_t)length;
    memcpy(head + 1, &inode, 8);
    memcpy(head + 9, &offset, 8);
    memcpy(head + 17, &size, 4);
    struct iovec record[65] = {{head, sizeof head}};
    int used = 1;
    for (int i = 0; i < count && i < 64 && length; i++) {
        size_t part = parts[i].iov_len < length ? parts[i].iov_len : length;
        record[used++] = (struct iovec){parts[i].iov_base, part};
        length -= part;
    }
    /* Half a record would make nonsense of all that follow: rather no process. */
    if (length || syscall(SYS_writev, trace, record, used) < (long)sizeof head)
        abort();
}

/* Names are kept relative to the root; the root itself is the empty name. */
static void note_name(char kind, uint64_t inode, const char *path, const char *second)
{
    const char *names[] = {path, second};
    struct iovec parts[3];
    int used = 0;
    size_t length = 0;
    for (int i = 0; i < 2 && names[i]; i++) {
        const char *name = names[i] + root_length;
        name += *name == '/';
        if (i)
            parts[used++] = (struct iovec){(char *)"", 1};
        parts[used++] = (struct iovec){(char *)name, strlen(name)};
    }
    for (int i = 0; i < used; i++)
        length += parts[i].iov_len;
    note(kind, inode, 0, parts, used, length);
}

static uint64_t inode_at(const char *path)
{
    struct stat about;
    return lstat(path, &about) ? 0 : about.st_ino;
}

/* How much of a write the budget lets through: as with a real disk, the end of a write may not fit. */
static size_t fitting(int fd, const char *path, uint64_t offset, size_t length)
{
    struct stat about;
    if (!space || (space_name && !strstr(path, space_name)) || fstat(fd, &about))
        return length;
    static char said[48];
    char text[sizeof said] = "0";
    int file = (int)syscall(SYS_openat, AT_FDCWD, space, O_RDONLY | O_CLOEXEC);
    if (file >= 0) {
        (void)!read(file, text, sizeof text - 1);
        close(file);
    }
    if (strcmp(said, text)) {
        strcpy(said, text);
        grown = 0;
    }
    uint64_t end = offset + length, size = (uint64_t)about.st_size;
    long growth = end > size ? (long)(end - size) : 0;
    long over = growth - (atol(text) - grown);
    if (!growth || over <= 0) {
        grown += growth;
        return length;
    }
    over = over < growth ? over : growth;
    grown += growth - over;
    return length - (size_t)over;
}

static ssize_t change(int fd, const char *path, const struct iovec *parts, int count, off_t offset)
{
    size_t length = 0;
    for (int i = 0; i < count; i++)
        length += parts[i].iov_len;
    pthread_mutex_lock(&turn);
    struct stat about;
    off_t at = offset >= 0 ? offset : lseek(fd, 0, SEEK_CUR);
    if (fcntl(fd, F_GETFL) & O_APPEND && !fstat(fd, &about))
        at = about.st_size;
    size_t fits = fitting(fd, path, (uint64_t)at, length);
    ssize_t done = -1;
    errno = ENOSPC;
    struct iovec first = {parts[0].iov_base, fits < parts[0].iov_len ? fits : parts[0].iov_len};
    if (fits < length)
        parts = &first, count = 1;
    if (fits || !length)
        done = offset < 0 ? syscall(SYS_writev, fd, parts, count) : syscall(SYS_pwritev, fd, parts, count, offset, 0);
    int error = errno;
    if (done > 0)
        note('W', inode_of(fd), (uint64_t)at, parts, count, (size_t)done);
    pthread_mutex_unlock(&turn);
    errno = error;
    return done;
}

/* Noted before it leaves: a caller that has seen it can only have seen it later. */
static void note_answer(int fd, const struct iovec *parts, int count)
{
    struct stat about;
    if (trace < 0 || !count || parts[0].iov_len < 7 || memcmp(parts[0].iov_base, "HTTP/1.", 7))
        return;
    if (fstat(fd, &about) || !S_ISSOCK(about.st_mode))
        return;
    size_t length = 0;
    for (int i = 0; i < count; i++)
        length += parts[i].iov_len;
    pthread_mutex_lock(&turn);
    note('A', 0, 0, parts, count, length);
    pthread_mutex_unlock(&turn);
}

ssize_t writev(int fd, const struct iovec *parts, int count)
{
    char path[PATH_MAX];
    if (path_of(fd, path))
        return change(fd, path, parts, count, -1);
    note_answer(fd, parts, count);
    return syscall(SYS_writev, fd, parts, count);
}

ssize_t write(int fd, const void *bytes, size_t length)
{
    char path[PATH_MAX];
    struct iovec part = {(void *)bytes, length};
    if (path_of(fd, path))
        return change(fd, path, &part, 1, -1);
    note_answer(fd, &part, 1);
    return syscall(SYS_write, fd, bytes, length);
}

ssize_t send(int fd, const void *bytes, size_t length, int flags)
{
    struct iovec part = {(void *)bytes, length};
    note_answer(fd, &part, 1);
    return syscall(SYS_sendto, fd, bytes, length, flags, NULL, 0);
}

ssize_t sendmsg(int fd, const struct msghdr *message, int flags)
{
    note_answer(fd, message->msg_iov, (int)message->msg_iovlen);
    return syscall(SYS_sendmsg, fd, message, flags);
}

ssize_t pwritev(int fd, const struct iovec *parts, int count, off_t offset)
{
    char path[PATH_MAX];
    if (path_of(fd, path))
        return change(fd, path, parts, count, offset);
    return syscall(SYS_pwritev, fd, parts, count, offset, 0);
}

ssize_t pwrite(int fd, const void *bytes, size_t length, off_t offset)
{
    struct iovec part = {(void *)bytes, length};
    return pwritev(fd, &part, 1, offset);
}

int ftruncate(int fd, off_t size)
{
    char path[PATH_MAX];
    if (!path_of(fd, path))
        return (int)syscall(SYS_ftruncate, fd, size);
    pthread_mutex_lock(&turn);
    struct stat about = {0};
    fstat(fd, &about);
    int done = (int)syscall(SYS_ftruncate, fd, size), error = errno;
    if (!done) {
        note('T', about.st_ino, (uint64_t)size, NULL, 0, 0);
        grown += size - about.st_size;
    }
    pthread_mutex_unlock(&turn);
    errno = error;
    return done;
}

int fallocate(int fd, int mode, off_t offset, off_t length)
{
    struct stat about = {0};
    char path[PATH_MAX];
    if (mode || !path_of(fd, path) || fstat(fd, &about) || offset + length <= about.st_size)
        return (int)syscall(SYS_fallocate, fd, mode, offset, length);
    return ftruncate(fd, offset + length);
}

static int synced(long number, int fd)
{
    char path[PATH_MAX];
    if (!path_of(fd, path))
        return (int)syscall(number, fd);
    usleep((useconds_t)sync_ms * 1000);
    pthread_mutex_lock(&turn);
    int counts = !fail_name || strstr(path, fail_name);
    int fails = counts && ++syncs == fail_sync;
    int done = fails ? -1 : (int)syscall(number, fd), error = fails ? EIO : errno;
    note(done ? 'E' : 'S', inode_of(fd), 0, NULL, 0, 0);
    pthread_mutex_unlock(&turn);
    errno = error;
    return done;
}

int fsync(int fd) { return synced(SYS_fsync, fd); }
int fdatasync(int fd) { return synced(SYS_fdatasync, fd); }

int openat(int at, const char *path, int flags, ...)
{
    va_list rest;
    va_start(rest, flags);
    mode_t mode = flags & (O_CREAT | __O_TMPFILE) ? va_arg(rest, mode_t) : 0;
    va_end(rest);
    char full[PATH_MAX];
    if (!(flags & (O_CREAT | O_TRUNC)) || !absolute(at, path, full))
        return (int)syscall(SYS_openat, at, path, flags, mode);
    pthread_mutex_lock(&turn);
    int is_new = !inode_at(full);
    int fd = (int)syscall(SYS_openat, at, path, flags, mode), error = errno;
    if (fd >= 0 && is_new)
        note_name('C', inode_of(fd), full, NULL);
    else if (fd >= 0 && flags & O_TRUNC)
        note('T', inode_of(fd), 0, NULL, 0, 0);
    pthread_mutex_unlock(&turn);
    errno = error;
    return fd;
}

int open(const char *path, int flags, ...)
{
    va_list rest;
    va_start(rest, flags);
    mode_t mode = flags & (O_CREAT | __O_TMPFILE) ? va_arg(rest, mode_t) : 0;
    va_end(rest);
    return openat(AT_FDCWD, path, flags, mode);
}

/* A change of names: done, and noted if it is below the root. */
static int named(char kind, long number, int at, const char *path, int second_at, const char *second, int flags)
{
    char full[PATH_MAX] = "", other[PATH_MAX] = "";
    int first_below = absolute(at, path, full), second_below = second && absolute(second_at, second, other);
    pthread_mutex_lock(&turn);
    uint64_t inode = first_below ? inode_at(full) : 0;
    int done = (int)(second ? syscall(number, at, path, second_at, second, flags) : syscall(number, at, path, flags));
    int error = errno;
    if (!done && kind == 'L' && second_below)
        note_name('L', inode, other, NULL);
    else if (!done && kind != 'L' && first_below)
        note_name(kind, inode ? inode : inode_at(full), full, second_below ? other : NULL);
    pthread_mutex_unlock(&turn);
    errno = error;
    return done;
}

int renameat(int at, const char *from, int to_at, const char *to)
{
    return named('R', SYS_renameat2, at, from, to_at, to, 0);
}

int linkat(int at, const char *from, int to_at, const char *to, int flags)
{
    return named('L', SYS_linkat, at, from, to_at, to, flags);
}

int unlinkat(int at, const char *path, int flags) { return named('U', SYS_unlinkat, at, path, 0, NULL, flags); }
int mkdirat(int at, const char *path, mode_t mode) { return named('D', SYS_mkdirat, at, path, 0, NULL, (int)mode); }
int rename(const char *from, const char *to) { return renameat(AT_FDCWD, from, AT_FDCWD, to); }
int link(const char *from, const char *to) { return linkat(AT_FDCWD, from, AT_FDCWD, to, 0); }
int unlink(const char *path) { return unlinkat(AT_FDCWD, path, 0); }
int rmdir(const char *path) { return unlinkat(AT_FDCWD, path, AT_REMOVEDIR); }
int mkdir(const char *path, mode_t mode) { return mkdirat(AT_FDCWD, path, mode); }

/* The same under the names that they have in programs built for large files. */
#define SAME(type, name, of, ...) type name(__VA_ARGS__) __attribute__((alias(#of)))
SAME(ssize_t, pwrite64, pwrite, int, const void *, size_t, off_t);
SAME(ssize_t, pwritev64, pwritev, int, const struct iovec *, int, off_t);
SAME(int, ftruncate64, ftruncate, int, off_t);
SAME(int, fallocate64, fallocate, int, int, off_t, off_t);
SAME(int, open64, open, const char *, int, ...);
SAME(int, openat64, openat, int, const char *, int, ...);
