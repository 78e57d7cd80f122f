/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

/*
 * Warnings from counts, plans and columns, without files: a training set is put together by hand.
 * tests/integration/test_explain.py has the same rules end to end.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "unit/arrow_make.h"

#include "store/training_warnings.c"

#define assert_ok(expr, err)                                                                       \
    do {                                                                                           \
        if ((expr) != TFN_OK) {                                                                    \
            fail_msg("%s: %s", #expr, (err).message);                                              \
        }                                                                                          \
    } while (0)

enum { N = 20 };

/* Entity rows (k, t, label) in two batches, t from 0 to 19 s, and one view with the key k. */
typedef struct world {
    tfn__training_set t;
    tfn_historical_request request;
    tfn_view_def definition;
    tfn_key_def key;
    tfn_str key_column;
    tfn_selected_view view;
    tfn_selected_output output;
    tfn_column *column;
} world;

static void make_frame(world *w, const char *key_format, const void *keys, const int64_t *labels)
{
    int64_t times[N];
    for (int64_t i = 0; i < N; i++) {
        times[i] = i;
    }
    const make_col cols[] = {{.name = "k", .format = key_format, .values = keys},
                             {.name = "t", .format = "tss:UTC", .values = times},
                             {.name = "label", .format = "l", .values = labels}};
    struct ArrowArrayStream stream;
    tfn_error err = {0};
    make_stream(cols, 3, N, 12, &stream);
    assert_ok(tfn_frame_read(&stream, &w->t.frame, &err), err);
}

static void setup(world *w, const char *key_format, const void *keys, const int64_t *labels)
{
    tfn_error err = {0};
    *w = (world){.key_column = tfn_str_of("k"), .key = {.type = {.kind = TFN_KIND_INT64}}};
    make_frame(w, key_format, keys, labels);
    w->definition.name = tfn_str_of("stats");
    w->definition.keys = &w->key;
    w->definition.n_keys = 1;
    w->view.view = &w->definition;
    w->view.name = tfn_str_of("stats");
    w->view.key_columns = &w->key_column;
    w->output.name = tfn_str_of("x");
    w->t.request = &w->request;
    w->t.time_column = 1;
    w->t.selection.views = &w->view;
    w->t.selection.n_views = 1;
    w->t.selection.outputs = &w->output;
    w->t.selection.n_outputs = 1;
    assert_ok(tfn_json_create(&w->t.report, &err), err);
    yyjson_mut_doc_set_root(w->t.report, yyjson_mut_obj(w->t.report));
}

static void teardown(world *w)
{
    tfn_column_release(w->column);
    tfn_frame_release(w->t.frame);
    tfn_json_destroy(w->t.report);
    tfn_arena_deinit(&w->t.arena);
}

/* The warnings so far as "code code", or the sentence of the first one with `sentence`. */
static void read_warnings(world *w, char *out, size_t n_bytes, bool sentence)
{
    yyjson_mut_arr_iter each = yyjson_mut_arr_iter_with(get_warnings(&w->t));
    out[0] = '\0';
    for (yyjson_mut_val *one = yyjson_mut_arr_iter_next(&each); one != NULL;
         one = yyjson_mut_arr_iter_next(&each)) {
        const char *text =
            yyjson_mut_get_str(yyjson_mut_obj_get(one, sentence ? "sentence" : "code"));
        (void)snprintf(out + strlen(out), n_bytes - strlen(out), "%s%s", out[0] != '\0' ? " " : "",
                       text);
    }
}

#define assert_codes(w, expected)                                                                  \
    do {                                                                                           \
        char codes_[4096];                                                                         \
        read_warnings((w), codes_, sizeof codes_, false);                                          \
        assert_string_equal(codes_, (expected));                                                   \
    } while (0)

static const int64_t KEYS[N] = {1,  2,  3,  4,  5,  6,  7,  8,  9,  10,
                                11, 12, 13, 14, 15, 16, 17, 18, 19, 20};

static void warn_of_plan(world *w, int64_t ttl_us, const char *plan)
{
    w->definition.ttl_us = ttl_us;
    yyjson_doc *parsed = NULL;
    tfn_error err = {0};
    assert_ok(tfn_json_parse(tfn_str_of(plan), "the plan", &parsed, &err), err);
    yyjson_mut_val *tree = yyjson_val_mut_copy(w->t.report, yyjson_doc_get_root(parsed));
    yyjson_doc_free(parsed);
    assert_ok(tfn__training_warn_plan(&w->t, 0, tree, &err), err);
}

static void a_source_that_starts_late_or_ends_early_is_told_before_the_run(void **state)
{
    (void)state;
    world w;
    setup(&w, "l", KEYS, KEYS);
    warn_of_plan(&w, 0, "{\"scans\":[{\"first_time_us\":10000000,\"last_time_us\":10000000}]}");
    assert_codes(&w, ""); /* ten of twenty are before: not most; without ttl nothing is too old */
    warn_of_plan(&w, 0, "{\"scans\":[{\"first_time_us\":10000001,\"last_time_us\":99000000}]}");
    assert_codes(&w, "source_starts_after");
    /* the last row, perhaps a microsecond later, is seen until 9.000001 s: 10 to 19 are after it */
    warn_of_plan(&w, 5000000, "{\"scans\":[{\"first_time_us\":0,\"last_time_us\":4000000}]}");
    assert_codes(&w, "source_starts_after");
    warn_of_plan(&w, 4500000, "{\"scans\":[{\"first_time_us\":0,\"last_time_us\":4000000}]}");
    assert_codes(&w, "source_starts_after source_ends_before");
    warn_of_plan(&w, 1, "{\"scans\":[{}]}"); /* nothing is known of a CSV's times */
    warn_of_plan(&w, 1, "{\"scans\":[]}");
    assert_codes(&w, "source_starts_after source_ends_before");
    char sentences[4096];
    read_warnings(&w, sentences, sizeof sentences, true);
    assert_non_null(strstr(sentences, "starts at 1970-01-01T00:00:10.000001Z, after 11 of 20"));
    assert_non_null(strstr(sentences, "its source ends at 1970-01-01T00:00:04Z, and"));
    assert_non_null(strstr(sentences, "for 11 of 20 entity rows all of it is older than the ttl of "
                                      "4500000 us"));
    teardown(&w);
}

static void floats_for_integer_keys_are_told(void **state)
{
    (void)state;
    double keys[N];
    for (size_t i = 0; i < N; i++) {
        keys[i] = (double)KEYS[i];
    }
    world w;
    setup(&w, "g", keys, KEYS);
    warn_of_plan(&w, 0, "{}");
    assert_codes(&w, "key_cast");
    teardown(&w);
}

static void counts_of_a_run_are_judged(void **state)
{
    (void)state;
    world w;
    setup(&w, "l", KEYS, KEYS);
    w.definition.ttl_us = 3600000000;
    tfn_join_stats s = {.n_spine_rows = 20,
                        .n_spine_rows_matched = 20,
                        .n_slots = 20,
                        .n_groups = 20,
                        .n_slots_looked_at = 20,
                        .n_slots_won = 20,
                        .n_rows_read = 9,
                        .n_rows_without_match = 8,
                        .n_rows_eligible = 1};
    s.n_slots_created_later = 10;
    tfn__training_warn_run(&w.t, 0, &s, 1);
    assert_codes(&w, "");
    s.n_slots_created_later = 11;
    tfn__training_warn_run(&w.t, 0, &s, 1);
    assert_codes(&w, "late_data");
    w.request.filter_by_created = 1;
    tfn__training_warn_run(&w.t, 0, &s, 1);
    assert_codes(&w, "late_data"); /* once: with the filter no such row wins */
    s.n_rows_without_match = 7;
    s.n_rows_without_key = 2;
    tfn__training_warn_run(&w.t, 0, &s, 1);
    assert_codes(&w, "late_data no_key_matches"); /* of those that have a key */
    s = (tfn_join_stats){.n_spine_rows = 20, .n_slots = 20, .n_slots_looked_at = 20};
    tfn__training_warn_run(&w.t, 0, &s, 1);
    assert_codes(&w, "late_data no_key_matches no_row_in_range");
    s.n_rows_read = 5;
    s.n_slots_expired = 11;
    tfn__training_warn_run(&w.t, 0, &s, 1);
    assert_codes(&w, "late_data no_key_matches no_row_in_range mostly_expired");
    char sentences[4096];
    read_warnings(&w, sentences, sizeof sentences, true);
    assert_non_null(strstr(sentences, "20 of 20 entity rows get nulls"));
    assert_non_null(strstr(sentences, "older than the ttl of 1 h"));
    w.definition.ttl_us = 0;
    tfn__training_warn_run(&w.t, 0, &s, 1);
    s.n_spine_rows_matched = 10;
    w.definition.ttl_us = 1;
    tfn__training_warn_run(&w.t, 0, &s, 1);
    assert_codes(&w, "late_data no_key_matches no_row_in_range mostly_expired");
    teardown(&w);
}

/* Rows begin .. begin + n - 1 of an answer whose feature has these values. */
static void compare_piece(world *w, const int64_t *values, int64_t begin, int64_t n)
{
    tfn_builder *b = NULL;
    tfn_column *column = NULL;
    tfn_error err = {0};
    assert_ok(tfn_builder_create((tfn_type){.kind = TFN_KIND_INT64}, n, &b, &err), err);
    for (int64_t i = begin; i < begin + n; i++) {
        const tfn_cell cell = {.bits = (uint64_t)values[i]};
        assert_ok(tfn_builder_add(b, &cell, &err), err);
    }
    assert_ok(tfn_builder_finish(&b, &column, &err), err);
    assert_ok(tfn__training_compare_labels(&w->t, begin, &column, &err), err);
    tfn_column_release(column);
}

static const int64_t LABELS[N] = {5, 6, 5, 6, 5, 6, 5, 6, 5, 6, 5, 6, 5, 6, 5, 6, 5, 6, 5, 6};

static void a_feature_that_repeats_a_column_is_told(void **state)
{
    (void)state;
    world w;
    tfn_error err = {0};
    setup(&w, "l", KEYS, LABELS);
    tfn__training_warn_labels(&w.t); /* nothing was compared yet */
    assert_ok(tfn__training_compare_labels(&w.t, 0, &w.column, &err), err); /* no column */
    compare_piece(&w, LABELS, 0, 5);
    compare_piece(&w, LABELS, 5, 14); /* over the border of the frame's batches */
    compare_piece(&w, LABELS, 19, 1);
    tfn__training_warn_labels(&w.t);
    assert_codes(&w, "feature_equals_label");
    char sentences[4096];
    read_warnings(&w, sentences, sizeof sentences, true);
    assert_non_null(strstr(sentences,
                           "feature 'x' of view 'stats' equals the column 'label' of the "
                           "entity rows in 20 of 20 rows"));
    teardown(&w);
}

static void a_feature_that_repeats_a_key_or_differs_once_is_not_told(void **state)
{
    (void)state;
    int64_t values[N];
    world w;
    setup(&w, "l", KEYS, LABELS);
    compare_piece(&w, KEYS, 0, N);
    tfn__training_warn_labels(&w.t);
    assert_codes(&w, "");
    teardown(&w);
    memcpy(values, LABELS, sizeof values);
    values[13] = 7;
    setup(&w, "l", KEYS, LABELS);
    compare_piece(&w, values, 0, 10);
    compare_piece(&w, values, 10, 10);
    tfn__training_warn_labels(&w.t);
    assert_codes(&w, "");
    teardown(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_source_that_starts_late_or_ends_early_is_told_before_the_run),
        cmocka_unit_test(floats_for_integer_keys_are_told),
        cmocka_unit_test(counts_of_a_run_are_judged),
        cmocka_unit_test(a_feature_that_repeats_a_column_is_told),
        cmocka_unit_test(a_feature_that_repeats_a_key_or_differs_once_is_not_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
