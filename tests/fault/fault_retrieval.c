/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

/*
 * A retrieval in parts with every allocation refused in turn: planned, explained, run by rows and by
 * time through the spool. It ends with TFN_OK or TFN_NO_MEMORY and nothing in its outputs; leaks,
 * open files and stray accesses are AddressSanitizer's and the test's to find.
 */

#include "unit/offline_fixture.h"

#include <unistd.h>

#include "base/mem.h"
#include "offline/retrieval.h"

enum { ROWS = 24, FEATURES = 3 };

static const tfn_str KEY = {"k", 1};
static const tfn_type KEY_TYPE = {.kind = TFN_KIND_STRING};
static const size_t KEY_COLUMN = 0;
static const tfn_str FEATURE_COLUMNS[FEATURES] = {{"n", 1}, {"name", 4}, {"tags", 4}};
static const tfn_type FEATURE_TYPES[FEATURES] = {
    {.kind = TFN_KIND_INT64}, {.kind = TFN_KIND_STRING}, {.kind = TFN_KIND_INT64, .is_list = true}};

typedef struct scenario {
    int64_t part_rows;
    bool is_by_time;
    bool is_explained;
} scenario;

static void make_rows(bool is_source, struct ArrowArrayStream *out)
{
    static const char *const names[] = {"a", "bb", "a name that is longer than a few bytes"};
    const char *k[ROWS];
    const char *name[ROWS];
    int64_t t[ROWS];
    int64_t tags[ROWS];
    int32_t n_tags[ROWS];
    for (int i = 0; i < ROWS; i++) {
        k[i] = names[i % 2];
        name[i] = names[i % 3];
        t[i] = is_source ? i : i * 5 % ROWS;
        tags[i] = i;
        n_tags[i] = 1;
    }
    const make_col cols[] = {
        {.name = "k", .format = "u", .values = k},
        {.name = is_source ? "ts" : "t", .format = "tsu:UTC", .values = t},
        {.name = "n", .format = "l", .values = t},
        {.name = "name", .format = "u", .values = name},
        {.name = "tags", .format = "+l", .values = tags, .lengths = n_tags, .item = "l"}};
    make_stream(cols, is_source ? 5 : 2, ROWS, 10, out);
}

static tfn_code read_rows(bool is_source, tfn_frame **out, tfn_error *err)
{
    struct ArrowArrayStream stream;
    make_rows(is_source, &stream);
    const tfn_code rc = tfn_frame_read(&stream, out, err);
    if (stream.release != NULL) {
        stream.release(&stream);
    }
    return rc;
}

static tfn_code look(void *context, size_t i_view, const tfn_spine *spine,
                     const tfn_offline_opts *opts, tfn_error *err)
{
    (void)context, (void)i_view, (void)spine, (void)opts, (void)err;
    return TFN_OK;
}

static tfn_code read_pieces(tfn_retrieval *r, tfn_error *err)
{
    int64_t n_rows = 0;
    for (;;) {
        tfn_frame *rows = NULL;
        tfn_column *columns[2 * FEATURES];
        const tfn_code rc = tfn_retrieval_next(r, NULL, &rows, columns, err);
        if (rc != TFN_OK) {
            assert_null(rows);
            for (int i = 0; i < 2 * FEATURES; i++) {
                assert_null(columns[i]);
            }
            return rc;
        }
        if (rows == NULL) {
            assert_int_equal(n_rows, ROWS);
            return TFN_OK;
        }
        n_rows += tfn_frame_get_n_rows(rows);
        tfn_frame_release(rows);
        for (int i = 0; i < 2 * FEATURES; i++) {
            tfn_column_release(columns[i]);
        }
    }
}

static tfn_code run_once(const scenario *s, tfn_error *err)
{
    tfn_frame *spine = NULL;
    tfn_frame *rows = NULL;
    tfn_source *source = NULL;
    tfn_retrieval *r = NULL;
    const tfn_join_view join = {.label = tfn_str_of("stats"),
                                .n_keys = 1,
                                .key_columns = &KEY,
                                .key_types = &KEY_TYPE,
                                .timestamp_field = tfn_str_of("ts"),
                                .n_features = FEATURES,
                                .feature_columns = FEATURE_COLUMNS,
                                .feature_types = FEATURE_TYPES};
    const tfn_retrieval_opts opts = {.n_threads = 1,
                                     .spool_folder = "/tmp",
                                     .piece_rows = 5,
                                     .force_part_rows = s->part_rows,
                                     .force_by_time = s->is_by_time};
    tfn_code rc = read_rows(false, &spine, err);
    rc = rc == TFN_OK ? read_rows(true, &rows, err) : rc;
    rc = rc == TFN_OK ? tfn_source_of_frame(rows, tfn_str_of("rows"), &source, err) : rc;
    const tfn_retrieval_view views[] = {{join, &KEY_COLUMN, source}, {join, &KEY_COLUMN, source}};
    rc = rc == TFN_OK ? tfn_retrieval_create(spine, 1, views, 2, &opts, &r, err) : rc;
    if (rc == TFN_OK && s->is_explained) {
        rc = tfn_retrieval_explain(r, look, NULL, err);
    } else if (rc == TFN_OK) {
        rc = read_pieces(r, err);
    }
    tfn_retrieval_destroy(r);
    tfn_source_destroy(source);
    tfn_frame_release(rows);
    tfn_frame_release(spine);
    return rc;
}

/* The number that the next file to be opened would get: it grows if one was left open. */
static int next_file(void)
{
    const int fd = dup(0);
    assert_true(fd >= 0);
    assert_int_equal(close(fd), 0);
    return fd;
}

static void refuse_each_allocation(const scenario *s)
{
    tfn_error error = {0};
    tfn_mem_fault_arm(0);
    assert_ok(run_once(s, &error), error);
    const int64_t n_allocations = tfn_mem_fault_count();
    const int fd = next_file();
    assert_true(n_allocations > 10);
    for (int64_t k = 1; k <= n_allocations; k++) {
        error = (tfn_error){0};
        tfn_mem_fault_arm(k);
        const tfn_code rc = run_once(s, &error);
        tfn_mem_fault_arm(0);
        if (rc != TFN_OK && rc != TFN_NO_MEMORY) {
            fail_msg("allocation %lld of %lld refused: %s: %s", (long long)k,
                     (long long)n_allocations, tfn_code_name(rc), error.message);
        }
    }
    assert_int_equal(next_file(), fd);
}

static void all_at_once(void **state)
{
    (void)state;
    refuse_each_allocation(&(scenario){.part_rows = 0});
}

static void parts_by_rows(void **state)
{
    (void)state;
    refuse_each_allocation(&(scenario){.part_rows = 10});
}

static void parts_by_time(void **state)
{
    (void)state;
    refuse_each_allocation(&(scenario){.part_rows = 10, .is_by_time = true});
}

static void the_plan_of_parts(void **state)
{
    (void)state;
    refuse_each_allocation(&(scenario){.part_rows = 10, .is_by_time = true, .is_explained = true});
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_at_once),
        cmocka_unit_test(parts_by_rows),
        cmocka_unit_test(parts_by_time),
        cmocka_unit_test(the_plan_of_parts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
