/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

/*
 * The protocol of sd_notify(3) in the forty lines that it takes; libsystemd would be one more library to link
 * for one datagram. An address is a path, or a name in Linux's abstract space, written with '@' for its first
 * byte, which is zero.
 */

#include "server/supervisor.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/poison.h"

tfn_code tfn_supervisor_tell(const char *state, tfn_error *err)
{
    const char *name = getenv("NOTIFY_SOCKET");
    if (name == NULL) {
        return TFN_OK;
    }
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    const size_t n = strlen(name);
    if (n < 2 || n >= sizeof address.sun_path || (name[0] != '/' && name[0] != '@')) {
        return TFN_FAIL(
            err, TFN_INVALID,
            "NOTIFY_SOCKET is '%s', and must be a path or '@name' of at most %zu bytes; it is "
            "set by the service manager, or by nobody",
            name, sizeof address.sun_path - 1);
    }
    memcpy(address.sun_path, name, n);
    if (name[0] == '@') {
        address.sun_path[0] = '\0';
    }
    const int fd = socket(AF_UNIX, SOCK_DGRAM, 0);
    if (fd < 0) {
        return TFN_FAIL_SYS(err, errno, "the service manager cannot be told '%s': no socket",
                            state);
    }
    const socklen_t n_address = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n);
    const ssize_t sent = sendto(fd, state, strlen(state), MSG_NOSIGNAL,
                                (const struct sockaddr *)&address, n_address);
    const int why = errno;
    (void)close(fd);
    if (sent < 0) {
        return TFN_FAIL_SYS(err, why, "the service manager cannot be told '%s' at '%s'", state,
                            name);
    }
    return TFN_OK;
}
