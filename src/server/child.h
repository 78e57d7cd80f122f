/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */
#ifndef TFN_SERVER_CHILD_H
#define TFN_SERVER_CHILD_H

/*
 * Materializations run as child processes: `tiffin-server --materialize <request>` (this same
 * program), so that DuckDB's memory and its crashes are not the server's. With an interpreter it is
 * `<python> -m tiffin.server.materialize`, because a Python package's DuckDB loads there only.
 *
 * What a child writes to its standard output, a line each: {"started": true} once DuckDB is there,
 * then {"report": ...}; or, in place of either, {"error": {"code": "IO", "message": "..."}}. Nothing
 * is written to its standard input: when that closes, the server is gone or wants the end, and the
 * child leaves at once. A materialization that is ended loses nothing.
 */

#include "server/exchange.h"

TFN_NODISCARD tfn_code tfn_children_create(tfn_children **out, tfn_error *err);

/**
 * End what runs (asked first, killed after a second), and refuse what comes later: calls that wait
 * return TFN_CANCELLED. Returns when no child is left.
 *
 * Threads  any
 * Errors   none
 */
void tfn_children_stop(tfn_children *children);

/** tfn_children_stop, and give the memory back. Threads one at a time, when no other call runs. */
void tfn_children_destroy(tfn_children *children);

/**
 * Materialize some views in a child.
 *
 * @param request   [borrow] JSON: {"views": [...] or null, "start_us" or null, "end_us",
 *                  "incremental": bool}
 * @param views     [borrow] names, for "already materializing"
 * @param wait      false: return once it runs
 * @param force     start although one of the views is being materialized: it waits for its turn
 * @param answer    [own, nullable] the child's report; with TFN_CONFLICT the views that are being
 *                  materialized, a JSON array; else NULL. Ends with tfn_text_destroy
 *
 * Threads  any
 * Errors   TFN_CONFLICT one of the views is being materialized (names them) . what the child failed
 *          with . TFN_IO it could not be started, or ended without a word . TFN_UNSUPPORTED no
 *          DuckDB here . TFN_UNAVAILABLE as many run as may . TFN_CANCELLED the server stops
 */
TFN_NODISCARD tfn_code tfn_children_materialize(tfn_children *children,
                                                const tfn_server_config *config,
                                                const char *request, const tfn_str *views,
                                                size_t n_views, bool wait, bool force,
                                                char **answer, tfn_error *err);

/** What the child does: main() of `--materialize`. Returns the exit code. */
int tfn_child_main(const tfn_server_config *config, const char *request);

#endif
