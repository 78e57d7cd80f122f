/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */
#ifndef TFN_TESTS_FAULT_DISK_SHIM_H
#define TFN_TESTS_FAULT_DISK_SHIM_H

/* System calls of LMDB and ours that can be made to fail. One source file of a program includes
 * it: the functions take the place of the C library's in the whole program. */

#include <errno.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/uio.h> /* IWYU pragma: keep */
#include <unistd.h>

typedef struct shim {
    atomic_int at;    /* the call that fails: 1 = the next; 0 = none */
    atomic_int count; /* calls since armed */
    int error;        /* errno to give; 0 = write half of it */
} shim;
static shim disk;

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

/* These take the place of the C library's in the whole program, LMDB included. */
ssize_t shim_pwrite(int fd, const void *bytes, size_t n, off_t at) __asm__("pwrite");
ssize_t shim_writev(int fd, const struct iovec *parts, int n) __asm__("writev");
int shim_fdatasync(int fd) __asm__("fdatasync");
int shim_fsync(int fd) __asm__("fsync");
int shim_ftruncate(int fd, off_t n) __asm__("ftruncate");

ssize_t shim_pwrite(int fd, const void *bytes, size_t n, off_t at_byte)
{
    if (shim_fails()) {
        if (disk.error == 0) {
            return syscall(SYS_pwrite64, fd, bytes, n / 2, at_byte);
        }
        errno = disk.error;
        return -1;
    }
    return syscall(SYS_pwrite64, fd, bytes, n, at_byte);
}

ssize_t shim_writev(int fd, const struct iovec *parts, int n)
{
    if (shim_fails()) {
        if (disk.error == 0) {
            return syscall(SYS_writev, fd, parts, n / 2);
        }
        errno = disk.error;
        return -1;
    }
    return syscall(SYS_writev, fd, parts, n);
}

static int sync_or_fail(long number, int fd, off_t n)
{
    if (shim_fails()) {
        errno = disk.error != 0 ? disk.error : EIO;
        return -1;
    }
    return (int)syscall(number, fd, n);
}

int shim_fdatasync(int fd)
{
    return sync_or_fail(SYS_fdatasync, fd, 0);
}

int shim_fsync(int fd)
{
    return sync_or_fail(SYS_fsync, fd, 0);
}

int shim_ftruncate(int fd, off_t n)
{
    return sync_or_fail(SYS_ftruncate, fd, n);
}

#endif
