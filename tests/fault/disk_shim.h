/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */
#ifndef TFN_TESTS_FAULT_DISK_SHIM_H
#define TFN_TESTS_FAULT_DISK_SHIM_H

/* System calls of LMDB and ours that can be made to fail. One source file of a program includes
 * it: the functions take the place of the C library's in the whole program. */

#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/uio.h> /* IWYU pragma: keep */
#include <unistd.h>

typedef struct shim {
    atomic_int at;    /* the call that fails: 1 = the next; 0 = none */
    atomic_int count; /* calls since armed */
    int error;        /* errno to give; 0 = write half of it; SHIM_KILLED = kill us after it */
} shim;
static shim disk;

enum { SHIM_KILLED = -1 };

static void shim_arm(int at, int error)
{
    disk.error = error;
    atomic_store(&disk.count, 0);
    atomic_store(&disk.at, at);
}

static bool shim_fails(void)
{
    return atomic_fetch_add(&disk.count, 1) + 1 == atomic_load(&disk.at);
}

/* The result of a call that was made, unless that is to be our last. */
static long shim_made(bool is_last, long result)
{
    if (is_last) {
        (void)kill(getpid(), SIGKILL);
    }
    return result;
}

/* What a call that fails gives, which may have written half. */
static long shim_refuse(long number, int fd, const void *what, size_t half, off_t at)
{
    if (disk.error == 0 && half > 0) {
        return syscall(number, fd, what, half, at);
    }
    errno = disk.error != 0 ? disk.error : EIO;
    return -1;
}

static long shim_call(long number, int fd, const void *what, size_t n, off_t at)
{
    const bool fails = shim_fails();
    return fails && disk.error != SHIM_KILLED ? shim_refuse(number, fd, what, n / 2, at)
                                              : shim_made(fails, syscall(number, fd, what, n, at));
}

/* These take the place of the C library's in the whole program, LMDB included. */
ssize_t shim_pwrite(int fd, const void *bytes, size_t n, off_t at) __asm__("pwrite");
ssize_t shim_writev(int fd, const struct iovec *parts, int n) __asm__("writev");
int shim_fdatasync(int fd) __asm__("fdatasync");
int shim_fsync(int fd) __asm__("fsync");
int shim_ftruncate(int fd, off_t n) __asm__("ftruncate");

ssize_t shim_pwrite(int fd, const void *bytes, size_t n, off_t at)
{
    return shim_call(SYS_pwrite64, fd, bytes, n, at);
}

ssize_t shim_writev(int fd, const struct iovec *parts, int n)
{
    return shim_call(SYS_writev, fd, parts, (size_t)n, 0);
}

int shim_fdatasync(int fd)
{
    return (int)shim_call(SYS_fdatasync, fd, NULL, 0, 0);
}

int shim_fsync(int fd)
{
    return (int)shim_call(SYS_fsync, fd, NULL, 0, 0);
}

int shim_ftruncate(int fd, off_t n)
{
    const bool fails = shim_fails();
    return (int)(fails && disk.error != SHIM_KILLED
                     ? shim_refuse(SYS_ftruncate, fd, NULL, 0, 0)
                     : shim_made(fails, syscall(SYS_ftruncate, fd, n)));
}

#endif
