/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

/* Stream and frame sources, with each of our allocations refused in turn: a clean TFN_NO_MEMORY,
 * and nothing left behind (the leak checker of the build says so). */

#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/mem.h"
#include "column/column.h"
#include "column/frame.h"
#include "source/files.h"
#include "source/s3.h"
#include "source/source.h"

enum { N_ROWS = 5000, MAX_ALLOCATIONS = 100000 };

static void make_stream(struct ArrowArrayStream *out)
{
    tfn_builder *b = NULL;
    tfn_column *column = NULL;
    const tfn_type type = {.kind = TFN_KIND_TIMESTAMP, .unit = TFN_UNIT_US};
    assert_int_equal(tfn_builder_create(type, N_ROWS, &b, NULL), TFN_OK);
    for (int64_t i = 0; i < N_ROWS; i++) {
        const tfn_cell cell = {.bits = (uint64_t)i};
        assert_int_equal(tfn_builder_add(b, &cell, NULL), TFN_OK);
    }
    assert_int_equal(tfn_builder_finish(&b, &column, NULL), TFN_OK);
    const tfn_str name = tfn_str_of("t");
    assert_int_equal(tfn_columns_export(&name, &column, 1, N_ROWS, 1000, out, NULL), TFN_OK);
    tfn_column_release(column);
}

static tfn_code count_rows(void *context, int worker, const tfn_chunk *chunk, tfn_error *err)
{
    (void)worker;
    (void)err;
    atomic_fetch_add((_Atomic int64_t *)context, chunk->n);
    return TFN_OK;
}

static tfn_code scan_all(tfn_source *source, int n_threads, tfn_error *err)
{
    _Atomic int64_t n_rows = 0;
    const tfn_str name = tfn_str_of("t");
    const tfn_scan scan = {.columns = &name,
                           .n_columns = 1,
                           .i_time = 0,
                           .n_threads = n_threads,
                           .consume = count_rows,
                           .context = &n_rows};
    const tfn_code rc = tfn_source_scan(source, &scan, NULL, err);
    assert_true(rc != TFN_OK || n_rows == N_ROWS);
    return rc;
}

/* What a scenario reads; made before allocations are refused. */
typedef struct input {
    struct ArrowArrayStream stream;
    tfn_frame *frame;
} input;

typedef tfn_code (*scenario)(input *in, tfn_error *err);

static tfn_code run_stream(input *in, tfn_error *err)
{
    tfn_source *source = NULL;
    tfn_code rc = tfn_source_of_stream(&in->stream, tfn_str_of("the frame"), &source, err);
    if (rc == TFN_OK) {
        rc = scan_all(source, 2, err);
    }
    tfn_source_destroy(source);
    return rc;
}

static tfn_code run_frame(input *in, tfn_error *err)
{
    tfn_source *source = NULL;
    tfn_buf text = {0};
    bool is_empty = true;
    tfn_instant first;
    tfn_instant last;
    const tfn_str name = tfn_str_of("t");
    const tfn_scan scan = {.columns = &name, .n_columns = 1, .i_time = 0, .consume = count_rows};
    tfn_code rc = tfn_source_of_frame(in->frame, tfn_str_of("the frame"), &source, err);
    if (rc == TFN_OK) {
        rc = scan_all(source, 1, err);
    }
    if (rc == TFN_OK) {
        rc = tfn_source_explain(source, &scan, &text, err);
    }
    if (rc == TFN_OK) {
        rc = tfn_source_get_time_range(source, name, &is_empty, &first, &last, err);
    }
    tfn_buf_deinit(&text);
    tfn_source_destroy(source);
    return rc;
}

static tfn_code run_missing_file(input *in, tfn_error *err)
{
    (void)in;
    tfn_duckdb *duckdb = NULL;
    tfn_source *source = NULL;
    tfn_code rc = tfn_duckdb_create("/nowhere/libduckdb.so", 0, 1, &duckdb, err);
    if (rc == TFN_OK) {
        rc = tfn_source_of_files(duckdb, "/nowhere", tfn_str_of("a/**/x*.parquet"), TFN_FORMAT_AUTO,
                                 &source, err);
        rc = rc == TFN_IO ? TFN_OK : rc;
    }
    tfn_source_destroy(source);
    tfn_duckdb_destroy(duckdb);
    return rc;
}

/* What is made of S3 settings and of a path, up to the statement that DuckDB gets. */
static tfn_code run_s3(input *in, tfn_error *err)
{
    (void)in;
    tfn__s3_settings settings;
    tfn__s3_access access;
    tfn_hash128 hash;
    tfn_buf path = {0};
    tfn_code rc = tfn__s3_settings_init("{\"region\":\"r\",\"access_key_id\":\"k\","
                                        "\"secret_access_key\":\"s\"}",
                                        &settings, err);
    if (rc == TFN_OK) {
        rc = tfn__s3_resolve(&settings, tfn_str_of("http://h:1"), &access, err);
    }
    if (rc == TFN_OK) {
        rc = tfn__s3_hash(&access, &hash, err);
    }
    if (rc == TFN_OK) {
        rc = tfn__s3_add_path(&path, tfn_str_of("s3a://b/k"), err);
    }
    tfn_buf_deinit(&path);
    tfn__s3_settings_deinit(&settings);
    return rc;
}

/* An object, as far as it goes without a DuckDB. */
static tfn_code run_missing_duckdb(input *in, tfn_error *err)
{
    (void)in;
    tfn_duckdb *duckdb = NULL;
    tfn_source *source = NULL;
    tfn_code rc = tfn_duckdb_create("/nowhere/libduckdb.so", 0, 1, &duckdb, err);
    if (rc == TFN_OK) {
        rc = tfn_duckdb_set_s3(duckdb, "{\"endpoint\":\"http://h:1\"}", err);
    }
    if (rc == TFN_OK) {
        rc = tfn_source_of_files(duckdb, NULL, tfn_str_of("s3://b/x.json"), TFN_FORMAT_AUTO,
                                 &source, err);
        rc = rc == TFN_UNSUPPORTED ? TFN_OK : rc;
    }
    tfn_source_destroy(source);
    tfn_duckdb_destroy(duckdb);
    return rc;
}

static void refuse_each(scenario run)
{
    int64_t k = 1;
    for (; k < MAX_ALLOCATIONS; k++) {
        struct ArrowArrayStream for_frame = {0};
        input in = {0};
        tfn_error err = {0};
        make_stream(&in.stream);
        make_stream(&for_frame);
        assert_int_equal(tfn_frame_read(&for_frame, &in.frame, NULL), TFN_OK);
        tfn_mem_fault_arm(k);
        const tfn_code rc = run(&in, &err);
        const int64_t n = tfn_mem_fault_count();
        tfn_mem_fault_arm(0);
        if (in.stream.release != NULL) {
            in.stream.release(&in.stream);
        }
        tfn_frame_release(in.frame);
        if (n < k) {
            assert_int_equal(rc, TFN_OK);
            break;
        }
        assert_int_equal(rc, TFN_NO_MEMORY);
        assert_int_equal(err.code, TFN_NO_MEMORY);
    }
    assert_true(k > 3 && k < MAX_ALLOCATIONS);
}

static void a_stream_survives_every_refusal(void **state)
{
    (void)state;
    refuse_each(run_stream);
}

static void a_frame_survives_every_refusal(void **state)
{
    (void)state;
    refuse_each(run_frame);
}

static void a_missing_file_survives_every_refusal(void **state)
{
    (void)state;
    refuse_each(run_missing_file);
}

static void settings_of_s3_survive_every_refusal(void **state)
{
    (void)state;
    refuse_each(run_s3);
}

static void an_object_without_duckdb_survives_every_refusal(void **state)
{
    (void)state;
    refuse_each(run_missing_duckdb);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_stream_survives_every_refusal),
        cmocka_unit_test(a_frame_survives_every_refusal),
        cmocka_unit_test(a_missing_file_survives_every_refusal),
        cmocka_unit_test(settings_of_s3_survive_every_refusal),
        cmocka_unit_test(an_object_without_duckdb_survives_every_refusal),
    };
    return cmocka_run_group_tests_name("fault/source", tests, NULL, NULL);
}
