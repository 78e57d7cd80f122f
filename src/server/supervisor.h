/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */
#ifndef TFN_SERVER_SUPERVISOR_H
#define TFN_SERVER_SUPERVISOR_H

/*
 * Who started the program and wants to know how far it is: systemd, with Type=notify, or whatever else
 * speaks the protocol of sd_notify(3): one datagram to the socket that NOTIFY_SOCKET names.
 */

#include "base/error.h"

/**
 * Say something; nothing happens when nobody asked for it (no NOTIFY_SOCKET).
 *
 * @param state  [borrow] "READY=1", "STOPPING=1"
 *
 * Threads  any that leave the environment alone
 * Errors   TFN_INVALID NOTIFY_SOCKET is no address . TFN_IO nobody listens there
 */
TFN_NODISCARD tfn_code tfn_supervisor_tell(const char *state, tfn_error *err);

#endif
