/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */
#ifndef TFN_TEST_ONLINE_ADMIN_FIXTURE_H
#define TFN_TEST_ONLINE_ADMIN_FIXTURE_H

/* A store with rows, through the engine's calls. Include after online_fixture.h. */

#include "online/admin.h"
#include "online/backup_folder.h"

static const tfn_online_watch no_watch = {NULL, NULL};

static inline tfn_online *engine_open(const test_folder *f)
{
    tfn_error err = {0};
    tfn_online *online = NULL;
    const tfn_online_opts opts = {.lmdb_path = f->store};
    ASSERT_OK(tfn_online_open(&opts, &online, &err), err);
    return online;
}

/* Put keys begin .. end - 1, all of one value and event time. */
static inline tfn_code fill_rows(tfn_online *online, const char *project, const char *view,
                                 tfn_online_origin origin, int64_t begin, int64_t end,
                                 int64_t value, int64_t event_s, tfn_error *err)
{
    const tfn_online_view where = {.project = text(project), .name = text(view)};
    tfn_online_write *w = NULL;
    TFN_RETURN_IF_ERROR(tfn_online_begin_write(online, &where, two_fields, 2, origin,
                                               (uint64_t)(end - begin), &w, err));
    tfn_code rc = TFN_OK;
    for (int64_t id = begin; id < end && rc == TFN_OK; id++) {
        char key[9];
        const tfn_cell cells[2] = {{.bits = (uint64_t)value}, {.bytes = {"some label", 10}}};
        rc = tfn_online_put(w, key_of(id, key), cells, at(event_s), no_time, err);
    }
    if (rc != TFN_OK) {
        tfn_online_abort(w);
        return rc;
    }
    return tfn_online_commit(w, NULL, err);
}

static inline void fill(tfn_online *online, const char *view, int64_t begin, int64_t end,
                        int64_t value, int64_t event_s)
{
    tfn_error err = {0};
    ASSERT_OK(fill_rows(online, "p", view, TFN_ONLINE_PUSH, begin, end, value, event_s, &err), err);
}

/* As a materialization: a new generation. */
static inline void load(tfn_online *online, const char *view, int64_t begin, int64_t end,
                        int64_t value, int64_t event_s)
{
    tfn_error err = {0};
    ASSERT_OK(fill_rows(online, "p", view, TFN_ONLINE_LOAD, begin, end, value, event_s, &err), err);
}

/* `value` of a key now, or NO_ROW; an error is the caller's. */
static inline tfn_code get_value(tfn_online *online, const char *view, int64_t id, int64_t *out,
                                 tfn_error *err)
{
    const tfn_online_view where = {.project = text("p"), .name = text(view)};
    tfn_online_query *query = NULL;
    tfn_arena arena = {0};
    char bytes[9];
    const tfn_str key = key_of(id, bytes);
    tfn_found_row found = {0};
    *out = NO_ROW;
    TFN_RETURN_IF_ERROR(tfn_online_query_create(online, &where, two_fields, 2, &query, err));
    tfn_online_ask ask = {.query = query, .keys = &key, .n_keys = 1, .found = &found};
    const tfn_code rc = tfn_online_fetch(online, &ask, 1, &arena, err);
    if (rc == TFN_OK && found.i_fields != NULL) {
        *out = value_in(&found.row);
    }
    tfn_arena_deinit(&arena);
    tfn_online_query_destroy(query);
    return rc;
}

static inline int64_t value_of(tfn_online *online, const char *view, int64_t id)
{
    tfn_error err = {0};
    int64_t value = NO_ROW;
    ASSERT_OK(get_value(online, view, id, &value, &err), err);
    return value;
}

static inline int64_t rows_of(tfn_online *online, const char *view)
{
    tfn_error err = {0};
    tfn_online_state state = {0};
    ASSERT_OK(tfn_online_get_state(online, text("p"), text(view), &state, &err), err);
    return state.n_rows;
}

static inline tfn_online_census census_of(tfn_online *online, tfn_arena *arena)
{
    tfn_error err = {0};
    tfn_online_census census = {0};
    ASSERT_OK(tfn_online_take_census(online, no_watch, arena, &census, &err), err);
    return census;
}

/* Stop at call *context. */
static inline int stop_at(void *context, const tfn_progress *progress)
{
    int *left = context;
    (void)progress;
    return --*left <= 0;
}

#endif
