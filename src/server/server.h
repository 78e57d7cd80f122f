/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */
#ifndef TFN_SERVER_SERVER_H
#define TFN_SERVER_SERVER_H

/* A running server: open the store, listen, answer, drain, stop. */

#include "server/config.h"

typedef struct tfn_server tfn_server;

/**
 * Start: returns once requests are answered.
 *
 * @param config  [borrow until destroyed] checked
 * @param out     [own] ends with tfn_server_destroy
 *
 * Threads  one at a time
 * Errors   TFN_IO address in use, key or certificate unreadable . TFN_UNSUPPORTED . TFN_NO_MEMORY
 */
TFN_NODISCARD tfn_code tfn_server_start(const tfn_server_config *config, tfn_server **out,
                                        tfn_error *err);

/** Port that is listened on; 0: only a Unix socket. */
int32_t tfn_server_get_port(const tfn_server *server);

/**
 * Stop gracefully: no new connection is taken (those that the kernel has accepted are still
 * answered), /ready says 503, every answer closes its connection; returns when none is left or
 * limits.drain_ms is over.
 */
void tfn_server_drain(tfn_server *server);

/** Open log files again (SIGHUP). Threads any. */
void tfn_server_reopen_logs(tfn_server *server);

/** Stop at once, drained or not, and give everything back. */
void tfn_server_destroy(tfn_server *server);

#endif
