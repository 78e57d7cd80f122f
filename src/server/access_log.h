/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */
#ifndef TFN_SERVER_ACCESS_LOG_H
#define TFN_SERVER_ACCESS_LOG_H

/*
 * One JSON line per (sampled) request: time, method, path, status, microseconds, rows, bytes, key's id, peer. No
 * bodies, no keys' secrets, no query strings. Lines go through a bounded queue to a writing thread; what does not fit
 * is dropped and counted. A file is opened again after SIGHUP (log rotation).
 */

#include "server/exchange.h"

typedef struct tfn_access {
    int64_t time_us; /* since 1970, when it began */
    int64_t took_us;
    tfn_str method, path, peer, key_id; /* key_id: empty without a key */
    int32_t status;
    uint32_t n_rows;
    uint64_t n_bytes_in, n_bytes_out;
} tfn_access;

/** @param path "-" = standard error. [own] ends with tfn_access_log_destroy, which writes what waits. */
TFN_NODISCARD tfn_code tfn_access_log_create(const char *path, double rate, tfn_access_log **out,
                                             tfn_error *err);
void tfn_access_log_destroy(tfn_access_log *log);
/** Threads any. Errors none: what cannot be written is counted. */
void tfn_access_log_note(tfn_access_log *log, const tfn_access *access);
void tfn_access_log_reopen(tfn_access_log *log);
uint64_t tfn_access_log_get_dropped(const tfn_access_log *log);

#endif
