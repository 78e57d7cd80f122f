/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

/*
 * Listening sockets.
 *
 * Port 0: the first socket takes a free port, the others then bind to that one. SO_REUSEPORT also
 * lets a second server of the same user listen beside the first, which is how an upgrade loses no
 * connection; a port that anybody else holds is refused by the kernel.
 */

#include "server/listen.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/poison.h"

enum { BACKLOG = 4096, PORT_TEXT_BYTES = 8, UNIX_MODE = 0660 };

static void close_all(int *fds, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (fds[i] >= 0) {
            (void)close(fds[i]);
        }
        fds[i] = -1;
    }
}

/* A socket that does not block and is not inherited; -1 sets errno. */
static int open_socket(int family)
{
    const int fd = socket(family, SOCK_STREAM, 0);
    if (fd < 0) {
        return -1;
    }
    if (fcntl(fd, F_SETFD, FD_CLOEXEC) != 0 || fcntl(fd, F_SETFL, O_NONBLOCK) != 0) {
        (void)close(fd);
        return -1;
    }
    return fd;
}

/* ---- TCP ---- */

static void set_port(struct sockaddr *address, int32_t port)
{
    if (address->sa_family == AF_INET6) {
        ((struct sockaddr_in6 *)(void *)address)->sin6_port = htons((uint16_t)port);
    } else {
        ((struct sockaddr_in *)(void *)address)->sin_port = htons((uint16_t)port);
    }
}

static int32_t get_port(int fd)
{
    struct sockaddr_storage bound = {0};
    socklen_t n = sizeof bound;
    if (getsockname(fd, (struct sockaddr *)&bound, &n) != 0) {
        return 0;
    }
    return bound.ss_family == AF_INET6
               ? ntohs(((const struct sockaddr_in6 *)(const void *)&bound)->sin6_port)
               : ntohs(((const struct sockaddr_in *)(const void *)&bound)->sin_port);
}

/* One listening socket; -1 sets errno. */
static int listen_at(const struct addrinfo *a, const struct sockaddr *address)
{
    const int fd = open_socket(a->ai_family);
    if (fd < 0) {
        return -1;
    }
    const int on = 1;
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0 ||
        setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on) != 0 ||
        bind(fd, address, a->ai_addrlen) != 0 || listen(fd, BACKLOG) != 0) {
        const int problem = errno;
        (void)close(fd);
        errno = problem;
        return -1;
    }
    return fd;
}

/* All n sockets on one of the host's addresses; false sets errno. */
static bool listen_on(const struct addrinfo *a, int32_t *port, size_t n, int *fds)
{
    struct sockaddr_storage address = {0};
    memcpy(&address, a->ai_addr, a->ai_addrlen);
    int32_t bound = *port;
    for (size_t i = 0; i < n; i++) {
        set_port((struct sockaddr *)&address, bound);
        fds[i] = listen_at(a, (const struct sockaddr *)&address);
        if (fds[i] < 0) {
            const int problem = errno;
            close_all(fds, i);
            errno = problem;
            return false;
        }
        bound = bound == 0 ? get_port(fds[i]) : bound;
    }
    *port = bound;
    return true;
}

/* The host's addresses with that port; else what getaddrinfo says. */
static int find_addresses(const char *host, int32_t port, struct addrinfo **out)
{
    char service[PORT_TEXT_BYTES];
    (void)snprintf(service, sizeof service, "%d", (int)port);
    const struct addrinfo hints = {.ai_family = AF_UNSPEC,
                                   .ai_socktype = SOCK_STREAM,
                                   .ai_flags = AI_PASSIVE | AI_NUMERICSERV};
    *out = NULL;
    return getaddrinfo(host, service, &hints, out);
}

/* Without SO_REUSEPORT an address binds if nobody listens on it; connections that a server left
 * behind do not count. */
static bool is_taken(const struct addrinfo *a)
{
    const int fd = open_socket(a->ai_family);
    const int on = 1;
    const bool taken = fd >= 0 && setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) == 0 &&
                       bind(fd, a->ai_addr, a->ai_addrlen) != 0 && errno == EADDRINUSE;
    if (fd >= 0) {
        (void)close(fd);
    }
    return taken;
}

bool tfn_listen_is_taken(const char *host, int32_t port)
{
    struct addrinfo *found = NULL;
    if (port == 0 || find_addresses(host, port, &found) != 0) {
        return false;
    }
    bool taken = false;
    for (const struct addrinfo *a = found; a != NULL && !taken; a = a->ai_next) {
        taken = is_taken(a);
    }
    freeaddrinfo(found);
    return taken;
}

tfn_code tfn_listen_tcp(const char *host, int32_t *port, size_t n, int *fds, tfn_error *err)
{
    for (size_t i = 0; i < n; i++) {
        fds[i] = -1;
    }
    struct addrinfo *found = NULL;
    const int problem = find_addresses(host, *port, &found);
    if (problem != 0) {
        return TFN_FAIL(err, TFN_INVALID,
                        "cannot listen on host '%s': %s; give an address of this "
                        "machine (--host)",
                        host, gai_strerror(problem));
    }
    bool is_open = false;
    int sys_errno = 0;
    for (const struct addrinfo *a = found; a != NULL && !is_open; a = a->ai_next) {
        is_open = listen_on(a, port, n, fds);
        sys_errno = is_open ? 0 : errno;
    }
    freeaddrinfo(found);
    if (is_open) {
        return TFN_OK;
    }
    if (sys_errno == EADDRINUSE) {
        return TFN_FAIL_SYS(err, sys_errno,
                            "cannot listen on %s, port %d, which another program has; "
                            "stop it, or choose another port (--port)",
                            host, (int)*port);
    }
    return TFN_FAIL_SYS(err, sys_errno,
                        "cannot listen on %s, port %d; give an address of this machine (--host), "
                        "and a port that you may use (--port)",
                        host, (int)*port);
}

/* ---- Unix ---- */

/* Remove a socket file that nobody answers on. */
static tfn_code remove_stale(const char *path, const struct sockaddr_un *address, tfn_error *err)
{
    struct stat at = {0};
    if (lstat(path, &at) != 0) {
        return errno == ENOENT
                   ? TFN_OK
                   : TFN_FAIL_SYS(err, errno, "cannot look at the Unix socket '%s'", path);
    }
    if (!S_ISSOCK(at.st_mode)) {
        return TFN_FAIL(err, TFN_IO,
                        "'%s' is a file and no Unix socket; it is left alone: choose "
                        "another path (--unix-socket)",
                        path);
    }
    const int fd = open_socket(AF_UNIX);
    if (fd < 0) {
        return TFN_FAIL_SYS(err, errno, "cannot make a Unix socket");
    }
    const bool is_answered =
        connect(fd, (const struct sockaddr *)address, sizeof *address) == 0 || errno == EAGAIN;
    const int problem = errno;
    (void)close(fd);
    if (is_answered) {
        return TFN_FAIL(err, TFN_IO,
                        "a server listens on the Unix socket '%s' already; stop it, or "
                        "choose another path (--unix-socket)",
                        path);
    }
    if (problem != ECONNREFUSED) {
        return TFN_FAIL_SYS(err, problem,
                            "cannot tell whether a server listens on the Unix socket '%s'", path);
    }
    if (unlink(path) != 0 && errno != ENOENT) {
        return TFN_FAIL_SYS(err, errno,
                            "cannot remove the Unix socket '%s', on which nobody answers", path);
    }
    return TFN_OK;
}

static tfn_code copy_sockets(const char *path, size_t n, int *fds, tfn_error *err)
{
    for (size_t i = 1; i < n; i++) {
        fds[i] = fcntl(fds[0], F_DUPFD_CLOEXEC, 0);
        if (fds[i] < 0) {
            return TFN_FAIL_SYS(err, errno, "cannot copy the Unix socket '%s'", path);
        }
    }
    return TFN_OK;
}

tfn_code tfn_listen_unix(const char *path, size_t n, int *fds, tfn_error *err)
{
    for (size_t i = 0; i < n; i++) {
        fds[i] = -1;
    }
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    const size_t n_path = strlen(path);
    if (n_path >= sizeof address.sun_path) {
        return TFN_FAIL(err, TFN_INVALID,
                        "the path of the Unix socket has %zu bytes, the system takes "
                        "%zu at most: '%s'",
                        n_path, sizeof address.sun_path - 1, path);
    }
    memcpy(address.sun_path, path, n_path);
    TFN_RETURN_IF_ERROR(remove_stale(path, &address, err));
    fds[0] = open_socket(AF_UNIX);
    /* The mode of the socket before it is bound becomes the file's: nobody connects in between. */
    if (fds[0] < 0 || fchmod(fds[0], UNIX_MODE) != 0 ||
        bind(fds[0], (const struct sockaddr *)&address, sizeof address) != 0 ||
        chmod(path, UNIX_MODE) != 0 || listen(fds[0], BACKLOG) != 0) {
        const int problem = errno;
        close_all(fds, n);
        return TFN_FAIL_SYS(err, problem, "cannot listen on the Unix socket '%s'", path);
    }
    const tfn_code rc = copy_sockets(path, n, fds, err);
    if (rc != TFN_OK) {
        (void)unlink(path);
        close_all(fds, n);
    }
    return rc;
}
