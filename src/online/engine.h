/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */
#ifndef TFN_ONLINE_ENGINE_H
#define TFN_ONLINE_ENGINE_H

/*
 * What an engine of the online store provides: one function for each call of online.h, with the
 * same contract. An engine's handle, query and write begin with these structs.
 */

#include "online/admin.h"
#include "online/online.h"

/* What admin.h offers. */
typedef struct tfn_online_admin_engine {
    tfn_code (*take_census)(tfn_online *online, tfn_online_watch watch, tfn_arena *arena,
                            tfn_online_census *out, tfn_error *err);
    tfn_code (*run_vacuum)(tfn_online *online, const tfn_online_vacuum *vacuum, tfn_arena *arena,
                           tfn_online_vacuumed *out, tfn_error *err);
    tfn_code (*write_backup)(tfn_online *online, const char *folder, tfn_str project,
                             tfn_online_copy *views, size_t n_views, tfn_online_watch watch,
                             char *hash, int64_t *n_bytes, tfn_error *err);
    tfn_code (*read_backup)(tfn_online *online, const char *folder, tfn_str project,
                            tfn_online_copy *views, size_t n_views, tfn_online_watch watch,
                            tfn_code (*before)(void *context, tfn_error *err), void *before_context,
                            tfn_error *err);
} tfn_online_admin_engine;

typedef struct tfn_online_engine {
    void (*close)(tfn_online *online);
    tfn_code (*check_view)(tfn_online *online, const tfn_online_view *view,
                           const tfn_row_field *fields, size_t n_fields, tfn_error *err);
    tfn_code (*query_create)(tfn_online *online, const tfn_online_view *view,
                             const tfn_row_field *wanted, size_t n_wanted, tfn_online_query **out,
                             tfn_error *err);
    void (*query_destroy)(tfn_online_query *query);
    tfn_code (*fetch)(tfn_online *online, tfn_online_ask *asks, size_t n_asks, tfn_arena *arena,
                      tfn_error *err);
    tfn_code (*ping)(tfn_online *online, tfn_error *err); /* NULL: it is in this process */
    tfn_code (*get_state)(tfn_online *online, tfn_str project, tfn_str view, tfn_online_state *out,
                          tfn_error *err);
    tfn_code (*begin_write)(tfn_online *online, const tfn_online_view *view,
                            const tfn_row_field *fields, size_t n_fields, tfn_online_origin origin,
                            uint64_t n_rows, tfn_online_write **out, tfn_error *err);
    tfn_code (*put)(tfn_online_write *write, tfn_str key, const tfn_cell *cells, tfn_instant event,
                    tfn_instant created, tfn_error *err);
    tfn_code (*delete_key)(tfn_online_write *write, tfn_str key, tfn_error *err);
    tfn_code (*next_view)(tfn_online_write *write, const tfn_online_view *view,
                          const tfn_row_field *fields, size_t n_fields, uint64_t n_rows,
                          tfn_error *err);
    tfn_code (*commit)(tfn_online_write *write, tfn_online_stats *stats, tfn_error *err);
    void (*abort)(tfn_online_write *write);
    tfn_code (*drop_project)(tfn_online *online, tfn_str project, uint64_t *n_rows, tfn_error *err);

    /* generations: NULL in an engine that has none */
    tfn_code (*begin_turn)(tfn_online *online, tfn_str project, tfn_str view, tfn_online_turn **out,
                           tfn_error *err);
    void (*end_turn)(tfn_online_turn *turn);
    tfn_code (*mark)(tfn_online_write *write, tfn_str mark, tfn_error *err);
    tfn_code (*get_previous)(tfn_online *online, tfn_str project, tfn_str view,
                             tfn_online_previous *out, tfn_error *err);
    tfn_code (*rollback)(tfn_online *online, tfn_str project, tfn_str view, tfn_str mark,
                         tfn_online_pushes pushes, tfn_online_rolled_back *out, tfn_error *err);

    bool loads_in_parts; /* rows of a load may be seen before its commit, and stay without it */
    const tfn_online_admin_engine *admin; /* NULL: none of it */
} tfn_online_engine;

struct tfn_online_turn {
    const tfn_online_engine *engine;
};

struct tfn_online {
    const tfn_online_engine *engine;
};

struct tfn_online_query {
    const tfn_online_engine *engine;
};

struct tfn_online_write {
    const tfn_online_engine *engine;
};

/** The two engines' ways in. Contracts as tfn_online_open. */
TFN_NODISCARD tfn_code tfn__lmdb_engine_open(const tfn_online_opts *opts, tfn_online **out,
                                             tfn_error *err);
TFN_NODISCARD tfn_code tfn__redis_engine_open(const tfn_online_opts *opts, tfn_online **out,
                                              tfn_error *err);

#endif
