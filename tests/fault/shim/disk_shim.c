/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

/*
 * A disk that fails when it is told to, for processes of the integration tests: preloaded
 * (LD_PRELOAD), it stands in front of the C library's calls that change files.
 *
 *   pwrite(fd) -> is fd below the folder? -> count it -> is it call k .. k + n - 1? -> fail, or half
 *                                                                               else -> the kernel
 *
 * Python arms it through ctypes (disk_shim_arm), so that one process can fail every call of an
 * operation in turn. Calls of LMDB, SQLite, DuckDB and Arrow all pass here, since each of them is a
 * shared library that takes these names from the C library.
 *
 * Counted are write, pwrite, writev, pwritev, fsync, fdatasync, msync, ftruncate, rename, link,
 * mkdir, and open when it may make a file. Removing a file is not: it needs no space, and nothing
 * of a store is ever removed to make it right. A file is known by where its descriptor points
 * (/proc/self/fd), so nothing has to be remembered of who opened what; msync, which has no
 * descriptor, counts always.
 */

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

#define PUBLIC __attribute__((visibility("default")))

static char folder[PATH_MAX]; /* with its last slash; empty: nothing is counted */
static atomic_int first;      /* the call that fails first; 0: none */
static atomic_int n_failing;  /* how many fail, from that one on */
static atomic_int n_calls;    /* since it was armed */
static atomic_int failure;    /* errno to give; 0: half is written; KILLED: half, then SIGKILL */

enum { KILLED = -1 };

/* ---- for the test ---- */

PUBLIC int disk_shim_arm(const char *below, int at, int n, int error);
PUBLIC int disk_shim_disarm(void);

/**
 * From now on count calls on files below an absolute folder, and let n of them fail from number
 * `at` (1 = the next) on, with an errno; 0: half of what should be written is; -1: the same, and
 * the process is killed.
 *
 * Returns  0; -1: the folder's name is too long
 * Threads  one at a time
 */
int disk_shim_arm(const char *below, int at, int n, int error)
{
    atomic_store(&first, 0);
    const int length = snprintf(folder, sizeof folder, "%s/", below);
    if (length < 0 || (size_t)length >= sizeof folder) {
        folder[0] = '\0';
        return -1;
    }
    atomic_store(&failure, error);
    atomic_store(&n_failing, n);
    atomic_store(&n_calls, 0);
    atomic_store(&first, at);
    return 0;
}

/** Let nothing fail any more, and give the number of calls since it was armed. */
int disk_shim_disarm(void)
{
    atomic_store(&first, 0);
    folder[0] = '\0';
    return atomic_load(&n_calls);
}

/* ---- whether a call fails ---- */

static bool is_failing(void)
{
    const int at = atomic_load(&first);
    const int number = atomic_fetch_add(&n_calls, 1) + 1;
    return at > 0 && number >= at && number - at < atomic_load(&n_failing);
}

/* The folder itself counts too: syncing it is what makes names durable. */
static bool is_below(const char *path)
{
    const size_t n = strlen(folder);
    return strncmp(path, folder, n) == 0 ||
           (strlen(path) == n - 1 && memcmp(path, folder, n - 1) == 0);
}

static bool fails_at(int fd)
{
    if (folder[0] == '\0') {
        return false;
    }
    char link_name[32];
    char path[PATH_MAX];
    (void)snprintf(link_name, sizeof link_name, "/proc/self/fd/%d", fd);
    const ssize_t n = readlink(link_name, path, sizeof path - 1);
    if (n <= 0) {
        return false;
    }
    path[n] = '\0';
    return is_below(path) && is_failing();
}

/* Names are absolute here: Tiffin makes all paths absolute. */
static bool fails_by_name(const char *path)
{
    return folder[0] != '\0' && is_below(path) && is_failing();
}

/* A name that is there already needs no space to be made. */
static bool fails_to_make(const char *path)
{
    return access(path, F_OK) != 0 && fails_by_name(path);
}

static void die_if_told(void)
{
    if (atomic_load(&failure) == KILLED) {
        (void)kill(getpid(), SIGKILL);
    }
}

static int refuse(void)
{
    die_if_told();
    const int error = atomic_load(&failure);
    errno = error != 0 ? error : EIO;
    return -1;
}

/* What a call does that fails and might have written half: `half` < 0, nothing can be halved. */
static ssize_t fail_write(long number, int fd, const void *what, ssize_t half, off_t at)
{
    if (atomic_load(&failure) > 0 || half < 0) {
        return refuse();
    }
    const ssize_t n = syscall(number, fd, what, half, at, 0);
    die_if_told();
    return n;
}

/* ---- writes ---- */

PUBLIC ssize_t shim_write(int fd, const void *bytes, size_t n) __asm__("write");
PUBLIC ssize_t shim_pwrite(int fd, const void *bytes, size_t n, off_t at) __asm__("pwrite");
PUBLIC ssize_t shim_pwrite64(int fd, const void *bytes, size_t n, off_t at) __asm__("pwrite64");
PUBLIC ssize_t shim_writev(int fd, const struct iovec *parts, int n) __asm__("writev");
PUBLIC ssize_t shim_pwritev(int fd, const struct iovec *parts, int n, off_t at) __asm__("pwritev");
PUBLIC ssize_t shim_pwritev64(int fd, const struct iovec *parts, int n,
                              off_t at) __asm__("pwritev64");

ssize_t shim_write(int fd, const void *bytes, size_t n)
{
    return fails_at(fd) ? fail_write(SYS_write, fd, bytes, (ssize_t)(n / 2), 0)
                        : syscall(SYS_write, fd, bytes, n);
}

ssize_t shim_pwrite(int fd, const void *bytes, size_t n, off_t at)
{
    return fails_at(fd) ? fail_write(SYS_pwrite64, fd, bytes, (ssize_t)(n / 2), at)
                        : syscall(SYS_pwrite64, fd, bytes, n, at);
}

ssize_t shim_pwrite64(int fd, const void *bytes, size_t n, off_t at)
{
    return shim_pwrite(fd, bytes, n, at);
}

ssize_t shim_writev(int fd, const struct iovec *parts, int n)
{
    return fails_at(fd) ? fail_write(SYS_writev, fd, parts, n > 1 ? n / 2 : -1, 0)
                        : syscall(SYS_writev, fd, parts, n);
}

ssize_t shim_pwritev(int fd, const struct iovec *parts, int n, off_t at)
{
    return fails_at(fd) ? fail_write(SYS_pwritev, fd, parts, n > 1 ? n / 2 : -1, at)
                        : syscall(SYS_pwritev, fd, parts, n, at, 0);
}

ssize_t shim_pwritev64(int fd, const struct iovec *parts, int n, off_t at)
{
    return shim_pwritev(fd, parts, n, at);
}

/* ---- syncs and lengths ---- */

PUBLIC int shim_fsync(int fd) __asm__("fsync");
PUBLIC int shim_fdatasync(int fd) __asm__("fdatasync");
PUBLIC int shim_msync(void *p, size_t n, int flags) __asm__("msync");
PUBLIC int shim_ftruncate(int fd, off_t n) __asm__("ftruncate");
PUBLIC int shim_ftruncate64(int fd, off_t n) __asm__("ftruncate64");

int shim_fsync(int fd)
{
    return fails_at(fd) ? refuse() : (int)syscall(SYS_fsync, fd);
}

int shim_fdatasync(int fd)
{
    return fails_at(fd) ? refuse() : (int)syscall(SYS_fdatasync, fd);
}

int shim_msync(void *p, size_t n, int flags)
{
    return folder[0] != '\0' && is_failing() ? refuse() : (int)syscall(SYS_msync, p, n, flags);
}

int shim_ftruncate(int fd, off_t n)
{
    return fails_at(fd) ? refuse() : (int)syscall(SYS_ftruncate, fd, n);
}

int shim_ftruncate64(int fd, off_t n)
{
    return shim_ftruncate(fd, n);
}

/* ---- names ---- */

PUBLIC int shim_rename(const char *from, const char *to) __asm__("rename");
PUBLIC int shim_link(const char *from, const char *to) __asm__("link");
PUBLIC int shim_mkdir(const char *path, mode_t mode) __asm__("mkdir");
PUBLIC int shim_open(const char *path, int flags, ...) __asm__("open");
PUBLIC int shim_open64(const char *path, int flags, ...) __asm__("open64");

int shim_rename(const char *from, const char *to)
{
    return fails_by_name(to) ? refuse() : (int)syscall(SYS_rename, from, to);
}

int shim_link(const char *from, const char *to)
{
    return fails_by_name(to) ? refuse() : (int)syscall(SYS_link, from, to);
}

int shim_mkdir(const char *path, mode_t mode)
{
    return fails_to_make(path) ? refuse() : (int)syscall(SYS_mkdir, path, mode);
}

static int open_or_fail(const char *path, int flags, mode_t mode)
{
    const bool makes = (flags & O_CREAT) != 0 && fails_to_make(path);
    return makes ? refuse() : (int)syscall(SYS_openat, AT_FDCWD, path, flags, mode);
}

static mode_t mode_of(int flags, va_list *arguments)
{
    return (flags & O_CREAT) != 0 ? va_arg(*arguments, mode_t) : 0;
}

int shim_open(const char *path, int flags, ...)
{
    va_list arguments;
    va_start(arguments, flags);
    const mode_t mode = mode_of(flags, &arguments);
    va_end(arguments);
    return open_or_fail(path, flags, mode);
}

int shim_open64(const char *path, int flags, ...)
{
    va_list arguments;
    va_start(arguments, flags);
    const mode_t mode = mode_of(flags, &arguments);
    va_end(arguments);
    return open_or_fail(path, flags, mode);
}
