/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

/*
 * Turns: a view's loads and rollbacks come one after the other, among processes and threads.
 *
 * A turn is an flock on a hidden, empty file of the store's folder, one per view. The system frees
 * it when its holder dies. flock belongs to the opened file: two threads that open it exclude each
 * other, and closing another descriptor frees nothing - unlike fcntl's locks, on which LMDB relies
 * for lock.mdb, and which therefore must not be taken on LMDB's own files.
 *
 * The files stay: removing one while somebody opens it would give two holders. A child of a fork
 * inherits the opened file, and with it the lock: so its holder unlocks it, for all descriptors,
 * before it closes its own, and a child only closes. A holder that dies is outlived by the lock
 * while such a child lives.
 */

#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include "base/hash.h"
#include "online/lmdb_generation.h"

#include "base/poison.h"

static tfn_code make_path(const char *path, int kind, tfn_str project, tfn_str view, tfn_buf *out,
                          tfn_error *err)
{
    tfn_hasher hasher;
    char text[TFN_HASH_TEXT_BYTES];
    tfn_hasher_begin(&hasher);
    tfn_hasher_add(&hasher, project.p, project.n);
    tfn_hasher_add(&hasher, "", 1);
    tfn_hasher_add(&hasher, view.p, view.n);
    tfn_hash128_format(tfn_hasher_end(&hasher), text);
    return tfn_buf_add_format(out, err, "%s/.%s-%s", path, kind == TFN__TURN_LOAD ? "load" : "turn",
                              text);
}

static int lock_file(int fd, bool is_patient)
{
    int rc = 0;
    do {
        rc = flock(fd, is_patient ? LOCK_EX : LOCK_EX | LOCK_NB) == 0 ? 0 : errno;
    } while (rc == EINTR);
    return rc;
}

tfn_code tfn__turn_begin(const char *path, int kind, tfn_str project, tfn_str view, bool is_patient,
                         tfn__turn *out, tfn_error *err)
{
    *out = (tfn__turn){0};
    tfn_buf file = {0};
    int fd = -1;
    int sys = 0;
    tfn_code rc = TFN_OK;
    TFN_GOTO_IF_ERROR(rc, make_path(path, kind, project, view, &file, err), done);
    fd = open(file.p, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    sys = fd >= 0 ? lock_file(fd, is_patient) : errno;
    if (sys == 0) {
        *out = (tfn__turn){true, fd, getpid()};
        fd = -1;
    } else if (sys != EWOULDBLOCK) {
        rc = TFN_FAIL_SYS(err, sys,
                          "online store at '%s': '%s', by which loads take turns, cannot be locked",
                          path, file.p);
    }
done:
    if (fd >= 0) {
        (void)close(fd);
    }
    tfn_buf_deinit(&file);
    return rc;
}

void tfn__turn_end(tfn__turn *turn)
{
    if (turn->is_held && turn->pid == getpid()) {
        (void)flock(turn->fd, LOCK_UN);
    }
    if (turn->is_held) {
        (void)close(turn->fd);
    }
    *turn = (tfn__turn){0};
}
