/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

/* Each call goes to the engine that the handle was opened with. */

#include "online/online.h"

#include "online/engine.h"

#include "base/poison.h"

tfn_code tfn_online_open(const tfn_online_opts *opts, tfn_online **out, tfn_error *err)
{
    return opts->redis != NULL ? tfn__redis_engine_open(opts, out, err)
                               : tfn__lmdb_engine_open(opts, out, err);
}

tfn_code tfn_online_check_view(tfn_online *online, const tfn_online_view *view,
                               const tfn_row_field *fields, size_t n_fields, tfn_error *err)
{
    return online->engine->check_view(online, view, fields, n_fields, err);
}

bool tfn_online_loads_in_parts(const tfn_online *online)
{
    return online->engine->loads_in_parts;
}

void tfn_online_close(tfn_online *online)
{
    if (online != NULL) {
        online->engine->close(online);
    }
}

tfn_code tfn_online_query_create(tfn_online *online, const tfn_online_view *view,
                                 const tfn_row_field *wanted, size_t n_wanted,
                                 tfn_online_query **out, tfn_error *err)
{
    return online->engine->query_create(online, view, wanted, n_wanted, out, err);
}

void tfn_online_query_destroy(tfn_online_query *query)
{
    if (query != NULL) {
        query->engine->query_destroy(query);
    }
}

tfn_code tfn_online_fetch(tfn_online *online, tfn_online_ask *asks, size_t n_asks, tfn_arena *arena,
                          tfn_error *err)
{
    return online->engine->fetch(online, asks, n_asks, arena, err);
}

tfn_code tfn_online_ping(tfn_online *online, tfn_error *err)
{
    return online->engine->ping == NULL ? TFN_OK : online->engine->ping(online, err);
}

tfn_code tfn_online_get_state(tfn_online *online, tfn_str project, tfn_str view,
                              tfn_online_state *out, tfn_error *err)
{
    return online->engine->get_state(online, project, view, out, err);
}

tfn_code tfn_online_begin_write(tfn_online *online, const tfn_online_view *view,
                                const tfn_row_field *fields, size_t n_fields,
                                tfn_online_origin origin, uint64_t n_rows, tfn_online_write **out,
                                tfn_error *err)
{
    return online->engine->begin_write(online, view, fields, n_fields, origin, n_rows, out, err);
}

tfn_code tfn_online_put(tfn_online_write *write, tfn_str key, const tfn_cell *cells,
                        tfn_instant event, tfn_instant created, tfn_error *err)
{
    return write->engine->put(write, key, cells, event, created, err);
}

tfn_code tfn_online_delete(tfn_online_write *write, tfn_str key, tfn_error *err)
{
    return write->engine->delete_key(write, key, err);
}

tfn_code tfn_online_next_view(tfn_online_write *write, const tfn_online_view *view,
                              const tfn_row_field *fields, size_t n_fields, uint64_t n_rows,
                              tfn_error *err)
{
    return write->engine->next_view(write, view, fields, n_fields, n_rows, err);
}

tfn_code tfn_online_commit(tfn_online_write *write, tfn_online_stats *stats, tfn_error *err)
{
    return write->engine->commit(write, stats, err);
}

void tfn_online_abort(tfn_online_write *write)
{
    if (write != NULL) {
        write->engine->abort(write);
    }
}

/* ---- generations ---- */

tfn_code tfn_online_begin_turn(tfn_online *online, tfn_str project, tfn_str view,
                               tfn_online_turn **out, tfn_error *err)
{
    *out = NULL;
    return online->engine->begin_turn == NULL
               ? TFN_OK
               : online->engine->begin_turn(online, project, view, out, err);
}

void tfn_online_end_turn(tfn_online_turn *turn)
{
    if (turn != NULL) {
        turn->engine->end_turn(turn);
    }
}

tfn_code tfn_online_mark(tfn_online_write *write, tfn_str mark, tfn_error *err)
{
    return write->engine->mark == NULL ? TFN_OK : write->engine->mark(write, mark, err);
}

static tfn_code fail_without_generations(tfn_str view, tfn_error *err)
{
    return TFN_FAIL(err, TFN_UNSUPPORTED,
                    "view '%.*s' cannot be rolled back: its online store keeps one state of a view "
                    "only; materialize again from the source as it was (known_at)",
                    TFN_STR_ARG(view));
}

tfn_code tfn_online_get_previous(tfn_online *online, tfn_str project, tfn_str view,
                                 tfn_online_previous *out, tfn_error *err)
{
    *out = (tfn_online_previous){0};
    return online->engine->get_previous == NULL
               ? fail_without_generations(view, err)
               : online->engine->get_previous(online, project, view, out, err);
}

tfn_code tfn_online_rollback(tfn_online *online, tfn_str project, tfn_str view, tfn_str mark,
                             tfn_online_pushes pushes, tfn_online_rolled_back *out, tfn_error *err)
{
    *out = (tfn_online_rolled_back){0};
    return online->engine->rollback == NULL
               ? fail_without_generations(view, err)
               : online->engine->rollback(online, project, view, mark, pushes, out, err);
}

tfn_code tfn_online_drop_project(tfn_online *online, tfn_str project, uint64_t *n_rows,
                                 tfn_error *err)
{
    return online->engine->drop_project(online, project, n_rows, err);
}
