/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

/* The public kernels, used as a program would: streams in, a stream out. */

#include "unit/offline_fixture.h"

#include "offline/arrow_kernels.c"

static const int64_t SPINE_K[] = {1, 2, 1};
static const int64_t SPINE_T[] = {100, 100, 10};
static const int64_t SOURCE_K[] = {1, 2, 1, 3};
static const int64_t SOURCE_TS[] = {50, 60, 20, 70};
static const int64_t SOURCE_CREATED[] = {55, 65, 25, 75};
static const char *const SOURCE_NAME[] = {"fifty", "sixty", "twenty", NULL};
static const double SOURCE_SPEED[] = {5.5, 6.5, 2.5, 7.5};

static void make_spine_stream(struct ArrowArrayStream *out)
{
    const make_col cols[] = {{.name = "plane", .format = "l", .values = SPINE_K},
                             {.name = "ts", .format = "tsu:UTC", .values = SPINE_T}};
    make_stream(cols, 2, 3, 2, out);
}

static void make_source_stream(struct ArrowArrayStream *out)
{
    const make_col cols[] = {
        {.name = "name", .format = "u", .values = SOURCE_NAME},
        {.name = "plane", .format = "l", .values = SOURCE_K},
        {.name = "ts", .format = "tsu:UTC", .values = SOURCE_TS},
        {.name = "speed", .format = "g", .values = SOURCE_SPEED},
        {.name = "created", .format = "tsu:UTC", .values = SOURCE_CREATED},
    };
    make_stream(cols, 5, 4, 3, out);
}

static const char *const KEYS[] = {"plane"};

static tfn_offline_spec spec_of(void)
{
    return (tfn_offline_spec){.struct_size = sizeof(tfn_offline_spec),
                              .keys = KEYS,
                              .n_keys = 1,
                              .time = "ts",
                              .created = "created"};
}

static tfn_code join_streams(const tfn_offline_spec *spec, struct ArrowArrayStream *out,
                             tfn_error *err)
{
    struct ArrowArrayStream spine_stream;
    struct ArrowArrayStream source_stream;
    make_spine_stream(&spine_stream);
    make_source_stream(&source_stream);
    const tfn_code rc = tfn_offline_join(&spine_stream, &source_stream, spec, out, err);
    spine_stream.release(&spine_stream); /* still ours, whatever happened */
    source_stream.release(&source_stream);
    return rc;
}

static tfn_code latest_of_stream(const tfn_offline_spec *spec, struct ArrowArrayStream *out,
                                 tfn_error *err)
{
    struct ArrowArrayStream stream;
    make_source_stream(&stream);
    const tfn_code rc = tfn_offline_latest(&stream, spec, out, err);
    stream.release(&stream);
    return rc;
}

/* Name of column i, and its value in row `row` (of the whole frame) as text. */
static const char *cell_text(tfn_frame *f, size_t i, int64_t row, char text[64])
{
    int64_t i_batch = 0;
    while (row >= tfn_frame_get_batch_rows(f, i_batch)) {
        row -= tfn_frame_get_batch_rows(f, i_batch++);
    }
    tfn_vec v = {0};
    tfn_error err = {0};
    assert_ok(tfn_frame_get_vec(f, i_batch, i, &v, &err), err);
    if (!tfn_vec_is_valid(&v, row)) {
        (void)snprintf(text, 64, "null");
    } else if (v.type.kind == TFN_KIND_STRING) {
        (void)snprintf(text, 64, "%.*s", TFN_STR_ARG(tfn_vec_get_str(&v, row)));
    } else if (v.type.kind == TFN_KIND_FLOAT64) {
        (void)snprintf(text, 64, "%.1f", tfn_vec_get_float(&v, row));
    } else {
        (void)snprintf(text, 64, "%lld", (long long)tfn_vec_get_int(&v, row));
    }
    return text;
}

static void expect_rows(struct ArrowArrayStream *stream, const char *const *names, size_t n_cols,
                        const char *const *cells, int64_t n_rows)
{
    tfn_frame *f = frame_of_stream(stream);
    char text[64];
    assert_int_equal(tfn_frame_get_n_cols(f), n_cols);
    assert_int_equal(tfn_frame_get_n_rows(f), n_rows);
    for (size_t i = 0; i < n_cols; i++) {
        assert_true(tfn_str_is(tfn_frame_get_name(f, i), names[i]));
        for (int64_t row = 0; row < n_rows; row++) {
            assert_string_equal(cell_text(f, i, row, text), cells[(size_t)row * n_cols + i]);
        }
    }
    tfn_frame_release(f);
}

static void a_join_appends_all_other_columns_of_the_source(void **state)
{
    (void)state;
    const tfn_offline_spec spec = spec_of();
    struct ArrowArrayStream out;
    tfn_error err = {0};
    assert_ok(join_streams(&spec, &out, &err), err);
    static const char *const names[] = {"plane", "ts", "name", "speed"};
    static const char *const cells[] = {"1",     "100", "fifty", "5.5", "2",    "100",
                                        "sixty", "6.5", "1",     "10",  "null", "null"};
    expect_rows(&out, names, 4, cells, 3);
}

static void features_bounds_and_a_prefix_may_be_chosen(void **state)
{
    (void)state;
    static const char *const features[] = {"speed"};
    static const char *const spine_keys[] = {"plane"};
    tfn_offline_spec spec = spec_of();
    spec.features = features;
    spec.n_features = 1;
    spec.prefix = "source__";
    spec.spine_keys = spine_keys;
    spec.spine_time = "ts";
    spec.ttl_us = 45;
    spec.flags = TFN_OFFLINE_FILTER_BY_CREATED | TFN_OFFLINE_KNOWN_AT;
    spec.known_at_us = 1000;
    spec.n_threads = 2;
    struct ArrowArrayStream out;
    tfn_error err = {0};
    assert_ok(join_streams(&spec, &out, &err), err);
    static const char *const names[] = {"plane", "ts", "source__speed"};
    static const char *const cells[] = {"1", "100", "null", "2", "100", "6.5", "1", "10", "null"};
    expect_rows(&out, names, 3, cells, 3);
}

static void the_newest_rows_come_with_keys_and_times(void **state)
{
    (void)state;
    tfn_offline_spec spec = spec_of();
    struct ArrowArrayStream out;
    tfn_error err = {0};
    assert_ok(latest_of_stream(&spec, &out, &err), err);
    static const char *const names[] = {"plane", "ts", "created", "name", "speed"};
    static const char *const cells[] = {"1",     "50",  "55", "fifty", "5.5", "2",    "60", "65",
                                        "sixty", "6.5", "3",  "70",    "75",  "null", "7.5"};
    expect_rows(&out, names, 5, cells, 3);
    spec.flags = TFN_OFFLINE_START | TFN_OFFLINE_END | TFN_OFFLINE_KNOWN_AT;
    spec.start_us = 20;
    spec.end_us = 60;
    spec.known_at_us = 64;
    assert_ok(latest_of_stream(&spec, &out, &err), err);
    expect_rows(&out, names, 5, cells, 1);
}

static void a_source_without_keys_has_one_newest_row(void **state)
{
    (void)state;
    static const char *const features[] = {"speed"};
    const tfn_offline_spec spec = {
        .struct_size = sizeof spec, .time = "ts", .features = features, .n_features = 1};
    struct ArrowArrayStream out;
    tfn_error err = {0};
    assert_ok(latest_of_stream(&spec, &out, &err), err);
    static const char *const names[] = {"ts", "speed"};
    static const char *const cells[] = {"70", "7.5"};
    expect_rows(&out, names, 2, cells, 1);
}

static void expect_refused(const tfn_offline_spec *spec, tfn_code code, const char *part)
{
    struct ArrowArrayStream out;
    tfn_error err = {0};
    assert_int_equal(join_streams(spec, &out, &err), code);
    assert_text(err.message, part);
    assert_null(out.release);
}

static void what_is_wrong_with_a_spec_is_said(void **state)
{
    (void)state;
    static const char *const twice[] = {"speed", "speed"};
    static const char *const no_key[] = {"tail"};
    tfn_offline_spec spec = spec_of();
    spec.time = NULL;
    expect_refused(&spec, TFN_INVALID, "names no time column");
    spec = spec_of();
    spec.flags = TFN_OFFLINE_START;
    expect_refused(&spec, TFN_INVALID, "mean nothing in this call");
    spec = spec_of();
    spec.struct_size = sizeof spec + 8;
    expect_refused(&spec, TFN_INVALID, "set struct_size");
    expect_refused(NULL, TFN_INVALID, "set struct_size");
    spec = spec_of();
    spec.features = twice;
    spec.n_features = 2;
    expect_refused(&spec, TFN_INVALID, "would be named 'speed'");
    spec = spec_of();
    spec.spine_time = "plane";
    expect_refused(&spec, TFN_SCHEMA, "'plane': expected timestamp, found int64");
    spec = spec_of();
    spec.keys = no_key;
    expect_refused(&spec, TFN_SCHEMA, "the spine has no column 'tail'");
    spec.spine_keys = KEYS;
    spec.features = twice;
    spec.n_features = 1;
    expect_refused(&spec, TFN_SCHEMA, "has no column 'tail' (a join key)");
}

/* A program built against a shorter struct: the rest counts as zero. */
static void a_shorter_spec_is_completed_with_zeros(void **state)
{
    (void)state;
    tfn_offline_spec spec = spec_of();
    spec.struct_size = offsetof(tfn_offline_spec, spine_keys);
    spec.prefix = (const char *)1; /* not there for a shorter struct */
    struct ArrowArrayStream out;
    tfn_error err = {0};
    assert_ok(join_streams(&spec, &out, &err), err);
    out.release(&out);
}

static void a_released_stream_and_a_failing_one_are_told(void **state)
{
    (void)state;
    const tfn_offline_spec spec = spec_of();
    struct ArrowArrayStream released = {0};
    struct ArrowArrayStream spine_stream;
    struct ArrowArrayStream failing;
    struct ArrowArrayStream out;
    tfn_error err = {0};
    make_spine_stream(&spine_stream);
    assert_int_equal(tfn_offline_join(&spine_stream, &released, &spec, &out, &err), TFN_INVALID);
    assert_text(err.message, "source was given back");
    const make_col cols[] = {{.name = "plane", .format = "l", .values = SOURCE_K},
                             {.name = "ts", .format = "tsu:UTC", .values = SOURCE_TS},
                             {.name = "created", .format = "tsu:UTC", .values = SOURCE_CREATED}};
    make_failing_stream(cols, 3, 4, EIO, "the disk is gone", &failing);
    assert_int_equal(tfn_offline_join(&spine_stream, &failing, &spec, &out, &err), TFN_IO);
    assert_text(err.message, "the disk is gone");
    spine_stream.release(&spine_stream);
    failing.release(&failing);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_join_appends_all_other_columns_of_the_source),
        cmocka_unit_test(features_bounds_and_a_prefix_may_be_chosen),
        cmocka_unit_test(the_newest_rows_come_with_keys_and_times),
        cmocka_unit_test(a_source_without_keys_has_one_newest_row),
        cmocka_unit_test(what_is_wrong_with_a_spec_is_said),
        cmocka_unit_test(a_shorter_spec_is_completed_with_zeros),
        cmocka_unit_test(a_released_stream_and_a_failing_one_are_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
