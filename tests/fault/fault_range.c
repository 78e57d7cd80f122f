/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

/*
 * Rows of a window with every allocation refused in turn: a range and its columns, with and without
 * a set of keys, the union of two ranges, the newest rows of some keys, and texts read as times. A
 * run must end with TFN_OK or TFN_NO_MEMORY and nothing in its outputs.
 */

#include "unit/offline_fixture.h"

#include "base/mem.h"
#include "offline/range.h"

enum { ROWS = 60, COLUMNS = 5 };

static const tfn_str KEY_COLUMNS[] = {{"name", 4}, {"k", 1}};
static const tfn_type KEY_TYPES[] = {{.kind = TFN_KIND_STRING}, {.kind = TFN_KIND_INT64}};
static const tfn_str FEATURE_COLUMNS[] = {{"name", 4}};
static const tfn_type FEATURE_TYPES[] = {{.kind = TFN_KIND_STRING}};

static void make_rows(struct ArrowArrayStream *out)
{
    static const char *const names[] = {"a", "bb", "a name that is long enough to be allocated"};
    const char *name[ROWS];
    int64_t k[ROWS];
    int64_t ts[ROWS];
    for (int64_t i = 0; i < ROWS; i++) {
        name[i] = names[i % 3];
        k[i] = i % 5;
        ts[i] = (i * 37) % 50;
    }
    const make_col cols[] = {{.name = "name", .format = "u", .values = name},
                             {.name = "k", .format = "l", .values = k},
                             {.name = "ts", .format = "tsu:UTC", .values = ts},
                             {.name = "created", .format = "tsu:UTC", .values = ts}};
    make_stream(cols, 4, ROWS, 16, out);
}

static tfn_join_view view_of_rows(void)
{
    return (tfn_join_view){.label = tfn_str_of("stats"),
                           .n_keys = 2,
                           .key_columns = KEY_COLUMNS,
                           .key_types = KEY_TYPES,
                           .timestamp_field = tfn_str_of("ts"),
                           .created_column = tfn_str_of("created"),
                           .n_features = 1,
                           .feature_columns = FEATURE_COLUMNS,
                           .feature_types = FEATURE_TYPES};
}

static tfn_code open_source(tfn_source **out, tfn_error *err)
{
    struct ArrowArrayStream stream;
    make_rows(&stream);
    const tfn_code rc = tfn_source_of_stream(&stream, tfn_str_of("rows"), out, err);
    if (rc != TFN_OK && stream.release != NULL) {
        stream.release(&stream);
    }
    return rc;
}

static tfn_code make_keys(tfn_keyset **out, tfn_error *err)
{
    struct ArrowArrayStream stream;
    make_rows(&stream);
    tfn_frame *frame = NULL;
    tfn_key_plan plan;
    static const size_t key_cols[] = {0, 1};
    tfn_code rc = tfn_frame_read(&stream, &frame, err);
    if (rc == TFN_OK) {
        rc = tfn_key_plan_init(&plan, KEY_TYPES, 2, err);
    }
    if (rc == TFN_OK) {
        rc = tfn_keyset_create(frame, key_cols, &plan, out, err);
    }
    if (stream.release != NULL) {
        stream.release(&stream);
    }
    tfn_frame_release(frame);
    return rc;
}

static tfn_code run_range(const tfn_keyset *keys, tfn_source **source, tfn_row_range **out,
                          tfn_error *err)
{
    const tfn_join_view view = view_of_rows();
    const tfn_range_window window = {.keys = keys, .order = TFN_RANGE_BY_TIME};
    const tfn_offline_opts opts = {.n_threads = 1};
    const tfn_code rc = open_source(source, err);
    return rc == TFN_OK ? tfn_range_run(&view, *source, &window, &opts, out, NULL, err) : rc;
}

static void release_all(tfn_column **columns, bool is_filled)
{
    for (size_t i = 0; i < COLUMNS; i++) {
        assert_true((columns[i] != NULL) == is_filled);
        tfn_column_release(columns[i]);
    }
}

static tfn_code range_once(tfn_error *err)
{
    tfn_source *source = NULL;
    tfn_keyset *keys = NULL;
    tfn_row_range *range = NULL;
    tfn_column *columns[COLUMNS] = {NULL};
    tfn_code rc = make_keys(&keys, err);
    if (rc == TFN_OK) {
        rc = run_range(keys, &source, &range, err);
    }
    if (rc == TFN_OK) {
        assert_int_equal(tfn_range_get_n_rows(range), ROWS);
        rc = tfn_range_take(range, columns, err);
    }
    release_all(columns, rc == TFN_OK);
    tfn_range_destroy(range);
    tfn_keyset_destroy(keys);
    tfn_source_destroy(source);
    return rc;
}

static tfn_code unite(const tfn_row_range *const *ranges, tfn_range_union what, tfn_error *err)
{
    const tfn_instant at = {1, 0};
    tfn_column *columns[3] = {NULL};
    int64_t n_rows = 0;
    const tfn_code rc = tfn_range_unite(ranges, 2, what, &at, columns, &n_rows, err);
    for (size_t i = 0; i < 3; i++) {
        assert_true((columns[i] != NULL) == (rc == TFN_OK));
        tfn_column_release(columns[i]);
    }
    return rc;
}

static tfn_code union_once(tfn_error *err)
{
    tfn_source *sources[2] = {NULL};
    tfn_row_range *ranges[2] = {NULL};
    tfn_code rc = TFN_OK;
    for (size_t i = 0; i < 2 && rc == TFN_OK; i++) {
        rc = run_range(NULL, &sources[i], &ranges[i], err);
    }
    if (rc == TFN_OK) {
        rc = unite((const tfn_row_range *const *)ranges, TFN_RANGE_TIMES, err);
    }
    if (rc == TFN_OK) {
        rc = unite((const tfn_row_range *const *)ranges, TFN_RANGE_KEYS, err);
    }
    for (size_t i = 0; i < 2; i++) {
        tfn_range_destroy(ranges[i]);
        tfn_source_destroy(sources[i]);
    }
    return rc;
}

static tfn_code latest_once(tfn_error *err)
{
    const tfn_join_view view = view_of_rows();
    tfn_source *source = NULL;
    tfn_latest *latest = NULL;
    tfn_latest_window window = {0};
    tfn_keyset *keys = NULL;
    tfn_column *columns[COLUMNS] = {NULL};
    const tfn_offline_opts opts = {.n_threads = 1};
    tfn_code rc = make_keys(&keys, err);
    window.keys = keys;
    if (rc == TFN_OK) {
        rc = open_source(&source, err);
    }
    if (rc == TFN_OK) {
        rc = tfn_latest_run(&view, source, &window, &opts, &latest, NULL, err);
    }
    if (rc == TFN_OK) {
        rc = tfn_latest_take(latest, &view, columns, err);
    }
    release_all(columns, rc == TFN_OK);
    tfn_latest_destroy(latest);
    tfn_keyset_destroy(keys);
    tfn_source_destroy(source);
    return rc;
}

static tfn_code times_once(tfn_error *err)
{
    static const char *const texts[] = {"2024-01-01", "2024-01-02T00:00:00.000000001Z", NULL};
    const make_col cols[] = {{.name = "t", .format = "u", .values = texts}};
    struct ArrowArrayStream stream;
    tfn_frame *frame = NULL;
    make_stream(cols, 1, 3, 1, &stream);
    tfn_code rc = tfn_frame_read(&stream, &frame, err);
    if (rc == TFN_OK) {
        rc = tfn_frame_read_times(frame, 0, err);
    }
    if (stream.release != NULL) {
        stream.release(&stream);
    }
    tfn_frame_release(frame);
    return rc;
}

static void refuse_each(tfn_code (*scenario)(tfn_error *err))
{
    tfn_error err = {0};
    tfn_mem_fault_arm(0);
    assert_ok(scenario(&err), err);
    const int64_t n_allocations = tfn_mem_fault_count();
    assert_true(n_allocations > 10);
    for (int64_t k = 1; k <= n_allocations; k++) {
        err = (tfn_error){0};
        tfn_mem_fault_arm(k);
        const tfn_code rc = scenario(&err);
        if (rc != TFN_NO_MEMORY) {
            fail_msg("allocation %lld of %lld: %s: %s", (long long)k, (long long)n_allocations,
                     tfn_code_name(rc), err.message);
        }
        assert_int_equal(rc, err.code);
    }
    tfn_mem_fault_arm(0);
}

static void a_range_survives_every_refusal(void **state)
{
    (void)state;
    refuse_each(range_once);
}

static void a_union_survives_every_refusal(void **state)
{
    (void)state;
    refuse_each(union_once);
}

static void latest_of_some_keys_survives_every_refusal(void **state)
{
    (void)state;
    refuse_each(latest_once);
}

static void texts_read_as_times_survive_every_refusal(void **state)
{
    (void)state;
    refuse_each(times_once);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_range_survives_every_refusal),
        cmocka_unit_test(a_union_survives_every_refusal),
        cmocka_unit_test(latest_of_some_keys_survives_every_refusal),
        cmocka_unit_test(texts_read_as_times_survive_every_refusal),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
