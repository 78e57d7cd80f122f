/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

/*
 * posix_spawn with the attributes that every process beside the server has.
 *
 * A socket pair and not two pipes: it is made with close-on-exec from the start (a child that kept
 * an end of another child's channel would keep that child alive), and either half of it can be
 * shut alone.
 */

#include "server/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdint.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/poison.h"

enum { CHANNEL_FILE = 3, FIRST_FREE_FILE = 10 };

extern char **environ; /* POSIX has no header for it */

static int add_files(posix_spawn_file_actions_t *actions, tfn_spawn_wiring wiring, int channel)
{
    if (wiring == TFN_SPAWN_STANDARD) {
        const int rc = posix_spawn_file_actions_adddup2(actions, channel, STDIN_FILENO);
        return rc == 0 ? posix_spawn_file_actions_adddup2(actions, channel, STDOUT_FILENO) : rc;
    }
    int rc = posix_spawn_file_actions_addopen(actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    rc = rc == 0 ? posix_spawn_file_actions_adddup2(actions, STDERR_FILENO, STDOUT_FILENO) : rc;
    return rc == 0 ? posix_spawn_file_actions_adddup2(actions, channel, CHANNEL_FILE) : rc;
}

static int set_attributes(posix_spawnattr_t *attributes)
{
    sigset_t blocked;
    sigset_t plain;
    (void)sigemptyset(&blocked);
    (void)sigaddset(&blocked, SIGINT);
    (void)sigaddset(&blocked, SIGTERM);
    (void)sigaddset(&blocked, SIGHUP);
    (void)sigemptyset(&plain);
    (void)sigaddset(&plain, SIGPIPE); /* a server ignores it */
    int rc = posix_spawnattr_setflags(attributes, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK |
                                                      POSIX_SPAWN_SETSIGDEF);
    rc = rc == 0 ? posix_spawnattr_setpgroup(attributes, 0) : rc;
    rc = rc == 0 ? posix_spawnattr_setsigmask(attributes, &blocked) : rc;
    return rc == 0 ? posix_spawnattr_setsigdefault(attributes, &plain) : rc;
}

static int spawn(const char *path, const char *const *arguments, tfn_spawn_wiring wiring,
                 int channel, pid_t *pid)
{
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    int rc = posix_spawn_file_actions_init(&actions);
    if (rc != 0) {
        return rc;
    }
    rc = posix_spawnattr_init(&attributes);
    if (rc == 0) {
        rc = add_files(&actions, wiring, channel);
        rc = rc == 0 ? set_attributes(&attributes) : rc;
        if (rc == 0) {
            /* posix_spawn does not write to the arguments. */
            rc = posix_spawnp(pid, path, &actions, &attributes, (char *const *)(uintptr_t)arguments,
                              environ);
        }
        (void)posix_spawnattr_destroy(&attributes);
    }
    (void)posix_spawn_file_actions_destroy(&actions);
    return rc;
}

/* Out of the way of the files that a child gets by number. -1 and errno on failure. */
static int lift(int file)
{
    if (file >= FIRST_FREE_FILE) {
        return file;
    }
    const int lifted = fcntl(file, F_DUPFD_CLOEXEC, FIRST_FREE_FILE);
    const int problem = errno;
    (void)close(file);
    errno = problem;
    return lifted;
}

tfn_code tfn_spawn(const char *path, const char *const *arguments, tfn_spawn_wiring wiring,
                   int *channel, pid_t *pid, tfn_error *err)
{
    int ends[2] = {-1, -1};
    *channel = -1;
    *pid = 0;
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) {
        return TFN_FAIL_SYS(err, errno, "a channel to '%s' could not be made", path);
    }
    const int theirs = lift(ends[1]);
    const int problem = theirs < 0 ? errno : spawn(path, arguments, wiring, theirs, pid);
    if (theirs >= 0) {
        (void)close(theirs);
    }
    if (problem != 0) {
        (void)close(ends[0]);
        *pid = 0;
        return TFN_FAIL_SYS(err, problem, "'%s' could not be started", path);
    }
    *channel = ends[0];
    return TFN_OK;
}
