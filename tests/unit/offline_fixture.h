/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */
#ifndef TFN_TESTS_OFFLINE_FIXTURE_H
#define TFN_TESTS_OFFLINE_FIXTURE_H

/*
 * What the tests of offline/ share: cmocka in the right order, and a small join: entity rows (k, t)
 * and source rows (k, ts, created, v) as arrays of int64, times in microseconds, NONE for a null.
 * Include it first, before the .c file under test.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "offline/offline.h"
#include "unit/arrow_make.h"

#define NONE INT64_C(-4242424242424242)
#define FIXTURE_UNUSED __attribute__((unused))

enum { FIXTURE_MAX_ROWS = 64 };

#define assert_text(text, part)                                                                    \
    do {                                                                                           \
        if (strstr((text), (part)) == NULL) {                                                      \
            fail_msg("\"%s\" does not say \"%s\"", (text), (part));                                \
        }                                                                                          \
    } while (0)
#define assert_ok(expr, err)                                                                       \
    do {                                                                                           \
        if ((expr) != TFN_OK) {                                                                    \
            fail_msg("%s: %s", #expr, (err).message);                                              \
        }                                                                                          \
    } while (0)

/* Nulls of an array that marks them with NONE. */
FIXTURE_UNUSED static void valid_of(const int64_t *values, size_t n, uint8_t *valid)
{
    for (size_t i = 0; i < n; i++) {
        valid[i] = values[i] == NONE ? 0 : 1;
    }
}

FIXTURE_UNUSED static tfn_frame *frame_of_stream(struct ArrowArrayStream *stream)
{
    tfn_frame *frame = NULL;
    tfn_error err = {0};
    assert_ok(tfn_frame_read(stream, &frame, &err), err);
    return frame;
}

FIXTURE_UNUSED static tfn_frame *frame_of_cols(const make_col *cols, size_t n_cols, int64_t n_rows)
{
    struct ArrowArrayStream stream;
    make_stream(cols, n_cols, n_rows, 0, &stream);
    return frame_of_stream(&stream);
}

FIXTURE_UNUSED static tfn_source *source_of_cols(const make_col *cols, size_t n_cols,
                                                 int64_t n_rows)
{
    tfn_frame *frame = frame_of_cols(cols, n_cols, n_rows);
    tfn_source *source = NULL;
    tfn_error err = {0};
    assert_ok(tfn_source_of_frame(frame, tfn_str_of("rows.parquet"), &source, &err), err);
    tfn_frame_release(frame);
    return source;
}

FIXTURE_UNUSED static tfn_spine *spine_of(const int64_t (*rows)[2], size_t n)
{
    int64_t k[FIXTURE_MAX_ROWS];
    int64_t t[FIXTURE_MAX_ROWS];
    uint8_t valid[FIXTURE_MAX_ROWS];
    for (size_t i = 0; i < n; i++) {
        k[i] = rows[i][0];
        t[i] = rows[i][1];
    }
    valid_of(k, n, valid);
    const make_col cols[] = {{.name = "k", .format = "l", .values = k, .valid = valid},
                             {.name = "t", .format = "tsu:UTC", .values = t}};
    tfn_frame *frame = frame_of_cols(cols, 2, (int64_t)n);
    static const size_t key = 0;
    static const tfn_type type = {.kind = TFN_KIND_INT64};
    tfn_spine *spine = NULL;
    tfn_error err = {0};
    assert_ok(tfn_spine_create(frame, &key, &type, 1, 1, &(tfn_crew){.n_threads = 0}, &spine, &err),
              err);
    tfn_frame_release(frame);
    return spine;
}

/* Source rows: k, ts, created, v. */
FIXTURE_UNUSED static tfn_source *source_of(const int64_t (*rows)[4], size_t n)
{
    int64_t values[4][FIXTURE_MAX_ROWS];
    uint8_t valid[4][FIXTURE_MAX_ROWS];
    for (size_t c = 0; c < 4; c++) {
        for (size_t i = 0; i < n; i++) {
            values[c][i] = rows[i][c];
        }
        valid_of(values[c], n, valid[c]);
    }
    const make_col cols[] = {
        {.name = "k", .format = "l", .values = values[0], .valid = valid[0]},
        {.name = "ts", .format = "tsu:UTC", .values = values[1], .valid = valid[1]},
        {.name = "created", .format = "tsu:UTC", .values = values[2], .valid = valid[2]},
        {.name = "v", .format = "l", .values = values[3], .valid = valid[3]}};
    return source_of_cols(cols, 4, (int64_t)n);
}

static const tfn_str FIXTURE_KEY = {"k", 1};
static const tfn_str FIXTURE_FEATURE = {"v", 1};
static const tfn_type FIXTURE_INT64 = {.kind = TFN_KIND_INT64};

FIXTURE_UNUSED static tfn_join_view fixture_view(void)
{
    return (tfn_join_view){.label = tfn_str_of("stats"),
                           .n_keys = 1,
                           .key_columns = &FIXTURE_KEY,
                           .key_types = &FIXTURE_INT64,
                           .timestamp_field = tfn_str_of("ts"),
                           .created_column = tfn_str_of("created"),
                           .n_features = 1,
                           .feature_columns = &FIXTURE_FEATURE,
                           .feature_types = &FIXTURE_INT64};
}

/* Value of row i of an int64 column, or NONE. */
FIXTURE_UNUSED static int64_t value_at(tfn_column *column, int64_t i)
{
    const tfn_vec *v = tfn_column_get_vec(column);
    return tfn_vec_is_valid(v, i) ? tfn_vec_get_int(v, i) : NONE;
}

/* Join in both forms and compare the one feature. */
FIXTURE_UNUSED static void expect_join(const tfn_join_view *view, const int64_t (*spine_rows)[2],
                                       size_t n_spine, const int64_t (*source_rows)[4],
                                       size_t n_source, const int64_t *expected)
{
    for (int form = 0; form < 2; form++) {
        tfn_spine *spine = spine_of(spine_rows, n_spine);
        tfn_source *source = source_of(source_rows, n_source);
        const tfn_offline_opts opts = {.n_threads = 1, .force_one_step = form == 1};
        tfn_column *out = NULL;
        tfn_error err = {0};
        assert_ok(tfn_join_run(spine, view, source, &opts, &out, NULL, &err), err);
        assert_int_equal(tfn_column_get_n_rows(out), n_spine);
        for (size_t i = 0; i < n_spine; i++) {
            if (value_at(out, (int64_t)i) != expected[i]) {
                fail_msg("entity row %zu: expected %lld, found %lld", i, (long long)expected[i],
                         (long long)value_at(out, (int64_t)i));
            }
        }
        tfn_column_release(out);
        tfn_source_destroy(source);
        tfn_spine_destroy(spine);
    }
}

#endif
