/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

/*
 * The entity rows that events make: keys and times of several ranges, united.
 *
 *   ranges' keys --numbered together--> keys --keysort--> ranks
 *   ranges' (event, key) --one unit--> radix by rank, then by time --equal neighbours once-->
 *
 * With one unit for all: the finest, so that each event keeps its very time; an event that this
 * unit cannot express (a year 9999 beside nanoseconds) is refused by name, never moved.
 *
 * Cost: O(n) per byte in which times and ranks differ, n events of all ranges.
 */

#include "offline/range_internal.h"
#include "offline/room.h"
#include "offline/row_columns.h"

#include "base/poison.h"

enum { NANOS_PER_US = 1000 };

typedef struct uniting {
    const tfn_row_range *const *ranges;
    size_t n_ranges;
    tfn_unit unit;
    tfn__keytable keys;
    uint32_t *ranks;
    size_t n;
    tfn_range_union what;
    int64_t *times; /* n of each, side by side; after sorting in order */
    uint32_t *rows; /* key of each */
    tfn__entry *entries;
    tfn__entry *scratch;
} uniting;

static void deinit(uniting *u)
{
    tfn__keytable_deinit(&u->keys);
    tfn_mem_free(u->ranks);
    tfn_mem_free(u->times);
    tfn_mem_free(u->rows);
    tfn_mem_free(u->entries);
    tfn_mem_free(u->scratch);
}

static tfn_code add_event(uniting *u, const tfn_row_range *range, const tfn__range_row *row,
                          const uint32_t *numbers, tfn_error *err)
{
    const tfn_unit from = range->columns.event_unit;
    const int64_t time = tfn_time_convert(row->event, from, u->unit);
    const tfn_instant exact = tfn__times_instant(row->event, from);
    if (tfn_instant_compare(tfn__times_instant(time, u->unit), exact) != 0) {
        char text[TFN_TIME_TEXT_BYTES];
        tfn_instant_format(exact, text);
        return TFN_FAIL(err, TFN_LIMIT,
                        "view '%.*s' has an event at %s, which the finer time unit of another "
                        "view cannot express; end the window before it",
                        TFN_STR_ARG(range->label), text);
    }
    u->times[u->n] = time;
    u->rows[u->n] = numbers[row->key];
    u->n++;
    return TFN_OK;
}

static tfn_code add_range(uniting *u, const tfn_row_range *range, tfn_error *err)
{
    uint32_t *numbers = NULL;
    tfn_code rc = TFN_OK;
    TFN_GOTO_IF_ERROR(rc, tfn__room(range->keys.n, sizeof *numbers, &numbers, err), done);
    for (uint32_t i = 0; i < range->keys.n; i++) {
        TFN_GOTO_IF_ERROR(rc,
                          tfn__keytable_put(&u->keys, range->keys.hashes[i],
                                            tfn__keytable_get(&range->keys, i), &numbers[i], err),
                          done);
    }
    for (size_t i = 0; i < range->n_rows && u->what != TFN_RANGE_KEYS; i++) {
        TFN_GOTO_IF_ERROR(rc, add_event(u, range, &range->rows[i], numbers, err), done);
    }
done:
    tfn_mem_free(numbers);
    return rc;
}

static tfn_code gather(uniting *u, tfn_error *err)
{
    size_t n = 0;
    for (size_t i = 0; i < u->n_ranges; i++) {
        const tfn_row_range *range = u->ranges[i];
        n += range->n_rows;
        u->unit = range->columns.event_unit > u->unit ? range->columns.event_unit : u->unit;
    }
    if (n >= UINT32_MAX) {
        return TFN_FAIL(err, TFN_LIMIT,
                        "%zu events in the window; the most in one call is 2^32 - 2", n);
    }
    TFN_RETURN_IF_ERROR(tfn__keytable_init(&u->keys, &u->ranges[0]->plan, err));
    TFN_RETURN_IF_ERROR(tfn__room(n, sizeof *u->times, &u->times, err));
    TFN_RETURN_IF_ERROR(tfn__room(n, sizeof *u->rows, &u->rows, err));
    TFN_RETURN_IF_ERROR(tfn__room(n, sizeof *u->entries, &u->entries, err));
    TFN_RETURN_IF_ERROR(tfn__room(n, sizeof *u->scratch, &u->scratch, err));
    for (size_t i = 0; i < u->n_ranges; i++) {
        TFN_RETURN_IF_ERROR(add_range(u, u->ranges[i], err));
    }
    return tfn__range_rank_keys(&u->keys, &u->ranks, err);
}

/* Sort by time, then by key; with `is_distinct`, equal rows once. */
static tfn_code sort(uniting *u, bool is_distinct, tfn_error *err)
{
    for (size_t i = 0; i < u->n; i++) {
        u->entries[i] = (tfn__entry){u->ranks[u->rows[i]], (uint32_t)i};
    }
    tfn__radix_sort(u->entries, u->scratch, u->n);
    for (size_t i = 0; i < u->n; i++) {
        u->entries[i].key = tfn__entry_key(u->times[u->entries[i].value]);
    }
    tfn__radix_sort(u->entries, u->scratch, u->n);
    int64_t *times = NULL;
    uint32_t *rows = NULL;
    tfn_code rc = TFN_OK;
    TFN_GOTO_IF_ERROR(rc, tfn__room(u->n, sizeof *times, &times, err), done);
    TFN_GOTO_IF_ERROR(rc, tfn__room(u->n, sizeof *rows, &rows, err), done);
    size_t n = 0;
    for (size_t i = 0; i < u->n; i++) {
        const uint32_t from = u->entries[i].value;
        const bool is_repeated =
            n > 0 && times[n - 1] == u->times[from] && rows[n - 1] == u->rows[from];
        if (!is_distinct || !is_repeated) {
            times[n] = u->times[from];
            rows[n] = u->rows[from];
            n++;
        }
    }
    tfn_mem_free(u->times);
    tfn_mem_free(u->rows);
    u->times = times;
    u->rows = rows;
    u->n = n;
    return TFN_OK;
done:
    tfn_mem_free(times);
    tfn_mem_free(rows);
    return rc;
}

/* Every key once, in byte order, at one time. */
static tfn_code place_keys(uniting *u, const tfn_instant *at, tfn_error *err)
{
    const bool has_nanos = at->nanos % NANOS_PER_US != 0;
    u->unit = has_nanos ? TFN_UNIT_NS : TFN_UNIT_US;
    const int64_t time = tfn_instant_to(*at, u->unit);
    if (tfn_instant_compare(tfn__times_instant(time, u->unit), *at) != 0) {
        char text[TFN_TIME_TEXT_BYTES];
        tfn_instant_format(*at, text);
        return TFN_FAIL(err, TFN_LIMIT, "%s cannot be the time of an entity row", text);
    }
    u->n = u->keys.n; /* there are as many events as keys, or more: there is room */
    for (uint32_t i = 0; i < u->keys.n; i++) {
        u->rows[u->ranks[i]] = i;
        u->times[i] = time;
    }
    return TFN_OK;
}

static tfn_code make_columns(uniting *u, tfn_column **out, tfn_error *err)
{
    const tfn_key_plan *plan = &u->ranges[0]->plan;
    TFN_RETURN_IF_ERROR(tfn__range_key_columns(plan, &u->keys, u->rows, u->n, out, err));
    const tfn_code rc = tfn__row_event_column(u->unit, u->n, u->times, &out[plan->n_parts], err);
    for (size_t i = 0; i < plan->n_parts && rc != TFN_OK; i++) {
        tfn_column_release(out[i]);
        out[i] = NULL;
    }
    return rc;
}

tfn_code tfn_range_unite(const tfn_row_range *const *ranges, size_t n_ranges, tfn_range_union what,
                         const tfn_instant *at, tfn_column **out, int64_t *n_rows, tfn_error *err)
{
    *n_rows = 0;
    for (size_t i = 0; i <= ranges[0]->plan.n_parts; i++) {
        out[i] = NULL;
    }
    uniting u = {.ranges = ranges, .n_ranges = n_ranges, .what = what};
    tfn_code rc = TFN_OK;
    TFN_GOTO_IF_ERROR(rc, gather(&u, err), done);
    if (what == TFN_RANGE_KEYS) {
        TFN_GOTO_IF_ERROR(rc, place_keys(&u, at, err), done);
    } else {
        TFN_GOTO_IF_ERROR(rc, sort(&u, what == TFN_RANGE_TIMES, err), done);
    }
    TFN_GOTO_IF_ERROR(rc, make_columns(&u, out, err), done);
    *n_rows = (int64_t)u.n;
done:
    deinit(&u);
    return rc;
}
