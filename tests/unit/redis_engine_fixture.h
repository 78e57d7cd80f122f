/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */
#ifndef TFN_TEST_REDIS_ENGINE_FIXTURE_H
#define TFN_TEST_REDIS_ENGINE_FIXTURE_H

/*
 * An online store in a real Redis, and short ways to write and read rows of one view: key "k"
 * (int64), features "a" (int64) and "b" (string).
 */

#include "unit/redis_fixture.h" /* the first one */

#include "base/arena.h"
#include "column/key.h"
#include "online/online.h"

static const tfn_type KEY_TYPE = {.kind = TFN_KIND_INT64};

static inline const tfn_row_field *both_fields(void)
{
    static const tfn_row_field fields[] = {
        {{"a", 1}, {.kind = TFN_KIND_INT64}},
        {{"b", 1}, {.kind = TFN_KIND_STRING}},
    };
    return fields;
}

static inline tfn_online_view view_named(const char *name)
{
    static const tfn_str key_name = {"k", 1};
    return (tfn_online_view){.project = text("proj"),
                             .name = text(name),
                             .key_names = &key_name,
                             .key_types = &KEY_TYPE,
                             .n_keys = 1};
}

static inline tfn_code open_at(int port, tfn_online **out, tfn_error *err)
{
    char json[128];
    (void)snprintf(json, sizeof json, "{\"connection_string\": \"127.0.0.1:%d\"}", port);
    const tfn_online_opts opts = {.redis = json};
    return tfn_online_open(&opts, out, err);
}

static inline tfn_code encode_id(int64_t id, tfn_buf *out, tfn_error *err)
{
    tfn_key_plan plan;
    const tfn_cell cell = {.bits = (uint64_t)id};
    tfn_buf_clear(out);
    const tfn_code rc = tfn_key_plan_init(&plan, &KEY_TYPE, 1, err);
    return rc != TFN_OK ? rc : tfn_key_encode_cells(&plan, &cell, out, err);
}

/* Write rows first..last of one view, all with these times; a is the id, b is "x". */
static inline tfn_code write_ids(tfn_online *online, const char *name, int64_t first, int64_t last,
                                 tfn_instant event, tfn_instant created, tfn_online_stats *stats,
                                 tfn_error *err)
{
    const tfn_online_view view = view_named(name);
    tfn_online_write *write = NULL;
    tfn_buf key = {0};
    tfn_code rc =
        tfn_online_begin_write(online, &view, both_fields(), 2, TFN_ONLINE_PUSH, 0, &write, err);
    for (int64_t id = first; id <= last && rc == TFN_OK; id++) {
        const tfn_cell cells[] = {{.bits = (uint64_t)id}, {.bytes = text("x")}};
        rc = encode_id(id, &key, err);
        if (rc == TFN_OK) {
            rc = tfn_online_put(write, tfn_buf_get_str(&key), cells, event, created, err);
        }
    }
    tfn_buf_deinit(&key);
    if (rc != TFN_OK) {
        tfn_online_abort(write);
        return rc;
    }
    return tfn_online_commit(write, stats, err);
}

typedef struct read_one {
    bool is_found;
    bool has_a;
    int64_t a;
    tfn_instant event;
    tfn_instant created;
} read_one;

/* Read "b", "a" and once more "a" of one row. */
static inline tfn_code read_id(tfn_online *online, const char *name, int64_t id, read_one *out,
                               tfn_error *err)
{
    const tfn_online_view view = view_named(name);
    const tfn_row_field wanted[] = {both_fields()[1], both_fields()[0], both_fields()[0]};
    tfn_online_query *query = NULL;
    tfn_arena arena = {0};
    tfn_buf key = {0};
    tfn_found_row found[2] = {0};
    *out = (read_one){0};
    tfn_code rc = tfn_online_query_create(online, &view, wanted, 3, &query, err);
    if (rc == TFN_OK) {
        rc = encode_id(id, &key, err);
    }
    if (rc == TFN_OK) {
        const tfn_str keys[] = {{0}, tfn_buf_get_str(&key)};
        tfn_online_ask ask = {.query = query, .keys = keys, .n_keys = 2, .found = found};
        rc = tfn_online_fetch(online, &ask, 1, &arena, err);
    }
    if (rc == TFN_OK && found[1].i_fields != NULL) {
        out->is_found = true;
        out->event = found[1].row.event;
        out->created = found[1].row.created;
        out->has_a = found[1].i_fields[1] >= 0;
        if (out->has_a) {
            tfn_cell cell;
            tfn_row_get(&found[1].row, (uint32_t)found[1].i_fields[2], &cell);
            out->a = (int64_t)cell.bits;
        }
    }
    tfn_online_query_destroy(query);
    tfn_buf_deinit(&key);
    tfn_arena_deinit(&arena);
    return rc;
}

#endif
