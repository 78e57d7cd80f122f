/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */
#ifndef TFN_SERVER_LEAN_H
#define TFN_SERVER_LEAN_H

/* The lean form of lookups: docs/server-api.md. */

#include "server/exchange.h"

tfn_handler tfn_handle_lean_get;  /* GET /v1/features/{service} */
tfn_handler tfn_handle_lean_post; /* POST /v1/features */

#endif
