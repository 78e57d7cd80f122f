/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "unit/online_fixture.h"

#include "online/lmdb_schema.c"

static test_folder folder;

static int open_store(void **state)
{
    folder_make(&folder);
    *state = store_open(&folder, TFN_ONLINE_WRITE);
    return 0;
}

static int close_store(void **state)
{
    tfn_lmdb_close(*state);
    folder_remove(&folder);
    return 0;
}

/* Write one row of one int64 feature of that name; give the schema id of the row. */
static uint32_t write_feature(tfn_lmdb *online, const char *view, const char *feature)
{
    tfn_error err = {0};
    const tfn_row_field field = {text(feature), {.kind = TFN_KIND_INT64}};
    const tfn_cell cell = {.bits = 3};
    tfn_lmdb_write *w = NULL;
    char key[9];
    ASSERT_OK(tfn_lmdb_begin_write(online, text("p"), text(view), &field, 1, &w, &err), err);
    ASSERT_OK(tfn_lmdb_put(w, key_of(1, key), &cell, at(1), no_time, NULL, &err), err);
    commit(w);
    tfn_lmdb_read read = read_begin(online);
    tfn_row row;
    assert_true(find(&read, view, 1, &row));
    const uint32_t id = row.schema->id;
    assert_int_equal(tfn_row_schema_find(row.schema, text(feature), field.type), 0);
    tfn_lmdb_end_read(&read);
    return id;
}

static void an_equal_schema_has_the_same_id(void **state)
{
    const uint32_t a = write_feature(*state, "v", "a");
    assert_int_equal(write_feature(*state, "w", "a"), a);
    const uint32_t b = write_feature(*state, "v", "b");
    assert_int_not_equal(b, a);
    assert_int_equal(write_feature(*state, "v", "a"), a);
    assert_int_equal(write_feature(*state, "w", "b"), b);
}

static void the_unit_of_a_timestamp_belongs_to_the_schema(void **state)
{
    tfn_error err = {0};
    uint32_t ids[2];
    for (uint8_t i = 0; i < 2; i++) {
        const tfn_row_field field = {
            text("t"), {.kind = TFN_KIND_TIMESTAMP, .unit = i == 0 ? TFN_UNIT_US : TFN_UNIT_NS}};
        const tfn_cell cell = {.bits = 3};
        tfn_lmdb_write *w = NULL;
        char key[9];
        ASSERT_OK(tfn_lmdb_begin_write(*state, text("p"), text("v"), &field, 1, &w, &err), err);
        ASSERT_OK(tfn_lmdb_put(w, key_of(i, key), &cell, at(1), no_time, NULL, &err), err);
        commit(w);
    }
    tfn_lmdb_read read = read_begin(*state);
    for (int64_t i = 0; i < 2; i++) {
        tfn_row row;
        assert_true(find(&read, "v", i, &row));
        ids[i] = row.schema->id;
        assert_int_equal(row.schema->fields[0].type.unit, i == 0 ? TFN_UNIT_US : TFN_UNIT_NS);
    }
    assert_int_not_equal(ids[0], ids[1]);
    tfn_lmdb_end_read(&read);
}

static void the_id_of_an_aborted_write_may_mean_another_schema_later(void **state)
{
    tfn_error err = {0};
    const tfn_row_field field = {text("lost"), {.kind = TFN_KIND_STRING}};
    const tfn_cell cell = {.bytes = {"x", 1}};
    tfn_lmdb_write *w = NULL;
    char key[9];
    ASSERT_OK(tfn_lmdb_begin_write(*state, text("p"), text("v"), &field, 1, &w, &err), err);
    for (int i = 0; i < 2; i++) { /* the second one looks at a row of the uncommitted schema */
        ASSERT_OK(tfn_lmdb_put(w, key_of(1, key), &cell, at(i), no_time, NULL, &err), err);
    }
    tfn_lmdb_abort(w);
    assert_int_equal(write_feature(*state, "v", "kept"), 1);
}

/* As pushes that share a commit do, when it fails. */
static void a_schema_that_is_met_in_an_aborted_write_is_not_kept(void **state)
{
    tfn_error err = {0};
    const tfn_cell cell = {.bytes = {"x", 1}};
    const char *features[2] = {"lost", "lost too"};
    const size_t sizes[2] = {9, 500}; /* of keys; the longer one stands under its hash */
    static char bytes[500];
    memset(bytes, TFN_KIND_STRING, sizeof bytes);
    for (size_t i_size = 0; i_size < 2; i_size++) {
        const tfn_str key = {bytes, sizes[i_size]};
        tfn_lmdb_write *w = NULL;
        for (int i = 0; i < 2; i++) {
            const tfn_row_field field = {text(features[i]), {.kind = TFN_KIND_STRING}};
            ASSERT_OK(i == 0
                          ? tfn_lmdb_begin_write(*state, text("p"), text("v"), &field, 1, &w, &err)
                          : tfn_lmdb_next_view(w, text("p"), text("v"), &field, 1, &err),
                      err);
            ASSERT_OK(tfn_lmdb_put(w, key, &cell, at(i), no_time, NULL, &err), err);
        }
        tfn_lmdb_abort(w);
    }
    assert_int_equal(write_feature(*state, "v", "kept"), 1);
}

static void many_schemas_are_found_again(void **state)
{
    enum { N = 40 };
    char feature[16];
    for (int i = 0; i < N; i++) {
        (void)snprintf(feature, sizeof feature, "f%d", i);
        assert_int_equal(write_feature(*state, feature, feature), i + 1);
    }
    tfn_lmdb_close(*state);
    *state = store_open(&folder, TFN_ONLINE_READ);
    tfn_lmdb_read read = read_begin(*state);
    for (int i = N - 1; i >= 0; i--) {
        (void)snprintf(feature, sizeof feature, "f%d", i);
        tfn_row row;
        assert_true(find(&read, feature, 1, &row));
        assert_true(tfn_str_is(row.schema->fields[0].name, feature));
    }
    tfn_lmdb_end_read(&read);
}

static void ids_far_out_have_a_place_in_the_cache(void **state)
{
    tfn_error err = {0};
    tfn_lmdb_env *env = atomic_load(&((tfn_lmdb *)*state)->env);
    const uint32_t ids[] = {1, 1023, 1024, 500000, max_schemas - 1};
    for (size_t i = 0; i < sizeof ids / sizeof ids[0]; i++) {
        tfn_row_schema *schema = NULL;
        const tfn_row_schema *kept = NULL;
        ASSERT_OK(tfn_row_schema_create(two_fields, 2, &schema, &err), err);
        schema->id = ids[i];
        assert_null(find_cached(env, ids[i]));
        ASSERT_OK(publish(env, &schema, &kept, &err), err);
        assert_null(schema);
        assert_ptr_equal(find_cached(env, ids[i]), kept);
    }
    assert_null(find_cached(env, max_schemas));
}

int main(void)
{
#define IN_STORE(test) cmocka_unit_test_setup_teardown(test, open_store, close_store)
    const struct CMUnitTest tests[] = {
        IN_STORE(an_equal_schema_has_the_same_id),
        IN_STORE(the_unit_of_a_timestamp_belongs_to_the_schema),
        IN_STORE(the_id_of_an_aborted_write_may_mean_another_schema_later),
        IN_STORE(a_schema_that_is_met_in_an_aborted_write_is_not_kept),
        IN_STORE(many_schemas_are_found_again),
        IN_STORE(ids_far_out_have_a_place_in_the_cache),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
