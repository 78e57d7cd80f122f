/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */
#ifndef TFN_SERVER_CHILD_H
#define TFN_SERVER_CHILD_H

/*
 * Materializations run as child processes: `tiffin-server --materialize <request>` (this same
 * program), so that DuckDB's memory and its crashes are not the server's.
 */

#include "server/exchange.h"

TFN_NODISCARD tfn_code tfn_children_create(tfn_children **out, tfn_error *err);
/** Ends what still runs (SIGTERM, then SIGKILL after a second): a materialization loses nothing. */
void tfn_children_destroy(tfn_children *children);

/**
 * Materialize some views in a child.
 *
 * @param request   [borrow] JSON: {"views": [...] or null, "start_us" or null, "end_us",
 *                  "incremental": bool}
 * @param views     names, for "already materializing"
 * @param wait      false: return once it runs
 * @param force     start although one of the views is being materialized
 * @param answer    [own] the child's report, or its sentence; ends with tfn_text_destroy
 *
 * Threads  any
 * Errors   TFN_CONFLICT one of the views is being materialized (names them) . what the child failed
 *          with . TFN_IO it could not be started, or was killed . TFN_UNSUPPORTED no DuckDB here
 */
TFN_NODISCARD tfn_code tfn_children_materialize(tfn_children *children,
                                                const tfn_server_config *config,
                                                const char *request, const tfn_str *views,
                                                size_t n_views, bool wait, bool force,
                                                char **answer, tfn_error *err);

/** What the child does: main() of `--materialize`. Returns the exit code. */
int tfn_child_main(const tfn_server_config *config, const char *request);

#endif
