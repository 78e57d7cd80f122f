/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */
#ifndef TFN_SERVER_LISTEN_H
#define TFN_SERVER_LISTEN_H

/*
 * Listening sockets. Each worker has one of its own on the same port (SO_REUSEPORT: the kernel
 * spreads connections, workers share no queue); a Unix socket is one that all workers have a copy of.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

/**
 * Listen on a TCP address, n times.
 *
 * @param host  [borrow] name or address; IPv4, or IPv6 without brackets
 * @param port  [out] which port it is; on entry 0 = any free one
 * @param fds   [own] n sockets that do not block; on error none is open
 *
 * Threads  any
 * Errors   TFN_INVALID the host is not known . TFN_IO address in use, or not of this machine
 */
TFN_NODISCARD tfn_code tfn_listen_tcp(const char *host, int32_t *port, size_t n, int *fds,
                                      tfn_error *err);

/**
 * Whether somebody listens on this address already. To be asked before `tfn_listen_tcp`, which
 * listens beside a server of the same user: connections then go to either.
 *
 * @param host  [borrow] as above
 * @param port  0 = any free one: nobody listens on that
 *
 * Threads  any
 * Errors   none; of an address that cannot be looked at, nobody is known
 */
bool tfn_listen_is_taken(const char *host, int32_t port);

/**
 * Listen on a Unix socket (mode 0660). A file that is left from a server that was killed is
 * replaced: nobody answers on it.
 *
 * @param path  [borrow] absolute, or from the working directory
 * @param fds   [own] n copies of one socket; on error none is open
 *
 * Threads  any
 * Errors   TFN_INVALID the path is too long . TFN_IO somebody answers on it, it is another kind of
 *          file, or it cannot be made
 */
TFN_NODISCARD tfn_code tfn_listen_unix(const char *path, size_t n, int *fds, tfn_error *err);

#endif
