/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "unit/online_fixture.h"
#include "unit/redis_bytes.h"

#include "online/redis_key.c"

/* The bytes in this file were printed by feast 0.67.0. */

typedef struct fixture {
    tfn_arena arena;
    tfn_buf key;
    tfn_buf out;
    tfn__redis_keys keys;
    tfn_error err;
} fixture;

static void end(fixture *f)
{
    tfn_buf_deinit(&f->key);
    tfn_buf_deinit(&f->out);
    tfn_arena_deinit(&f->arena);
}

static tfn_code prepare(fixture *f, const tfn_str *names, const tfn_type *types, size_t n)
{
    const tfn_online_view view = {.project = text("proj"),
                                  .name = text("trips"),
                                  .key_names = names,
                                  .key_types = types,
                                  .n_keys = n};
    return tfn__redis_keys_init(&view, &f->arena, &f->keys, &f->err);
}

/* Encode cells our way and hand the key over. */
static bool convert(fixture *f, const tfn_type *types, const tfn_cell *cells, size_t n)
{
    tfn_key_plan plan;
    bool is_kept = false;
    tfn_buf_clear(&f->key);
    tfn_buf_clear(&f->out);
    ASSERT_OK(tfn_key_plan_init(&plan, types, n, &f->err), f->err);
    ASSERT_OK(tfn_key_encode_cells(&plan, cells, &f->key, &f->err), f->err);
    ASSERT_OK(tfn__redis_keys_add(&f->keys, tfn_buf_get_str(&f->key), &f->arena, &f->out, &is_kept,
                                  &f->err),
              f->err);
    return is_kept;
}

static void parts_are_sorted_by_name_and_keep_their_types(void **state)
{
    (void)state;
    fixture f = {0};
    const tfn_str names[] = {text("b"), text("a")};
    const tfn_type types[] = {{.kind = TFN_KIND_STRING}, {.kind = TFN_KIND_INT64}};
    const tfn_cell cells[] = {{.bytes = text("q")}, {.bits = 7}};
    ASSERT_OK(prepare(&f, names, types, 2), f.err);
    assert_true(convert(&f, types, cells, 2));
    assert_hex(tfn_buf_get_str(&f.out),
               "02000000020000000100000061020000000100000062040000000800000007000000000000000200"
               "0000010000007170726f6a");
    end(&f);
}

static void bytes_int32_and_times_are_as_feast_has_them(void **state)
{
    (void)state;
    fixture f = {0};
    const tfn_str names[] = {text("d"), text("c"), text("e")};
    const tfn_type types[] = {{.kind = TFN_KIND_BYTES},
                              {.kind = TFN_KIND_INT32},
                              {.kind = TFN_KIND_TIMESTAMP, .unit = TFN_UNIT_MS}};
    const tfn_cell cells[] = {
        {.bytes = {"\0x", 2}}, {.bits = (uint64_t)(int64_t)-7}, {.bits = 9000}};
    ASSERT_OK(prepare(&f, names, types, 3), f.err);
    assert_true(convert(&f, types, cells, 3));
    assert_hex(tfn_buf_get_str(&f.out),
               "03000000020000000100000063020000000100000064020000000100000065"
               "0300000004000000f9ffffff01000000020000000078080000000800000009000000000000007072"
               "6f6a");
    end(&f);
}

static void a_time_with_a_fraction_has_no_key(void **state)
{
    (void)state;
    fixture f = {0};
    const tfn_str names[] = {text("t")};
    const tfn_type types[] = {{.kind = TFN_KIND_TIMESTAMP, .unit = TFN_UNIT_NS}};
    const tfn_cell cells[] = {{.bits = 9000000001}};
    ASSERT_OK(prepare(&f, names, types, 1), f.err);
    assert_false(convert(&f, types, cells, 1));
    assert_int_equal(f.out.n, 0);
    end(&f);
}

static void a_view_without_entities_has_feasts_dummy(void **state)
{
    (void)state;
    fixture f = {0};
    ASSERT_OK(prepare(&f, NULL, NULL, 0), f.err);
    assert_true(convert(&f, NULL, NULL, 0));
    assert_hex(tfn_buf_get_str(&f.out),
               "01000000020000000a0000005f5f64756d6d795f6964020000000000000070726f6a");
    end(&f);
}

static void keys_of_other_types_are_refused_by_name(void **state)
{
    (void)state;
    fixture f = {0};
    const tfn_str names[] = {text("a"), text("day")};
    const tfn_type types[] = {{.kind = TFN_KIND_INT64}, {.kind = TFN_KIND_DATE}};
    ASSERT_FAILS(prepare(&f, names, types, 2), TFN_UNSUPPORTED,
                 "feature view 'trips': its join key 'day' is of type date", f.err);
    end(&f);
}

static void a_key_of_another_kind_is_corrupt_and_changes_nothing(void **state)
{
    (void)state;
    fixture f = {0};
    bool is_kept = false;
    const tfn_str names[] = {text("a")};
    const tfn_type types[] = {{.kind = TFN_KIND_INT64}};
    ASSERT_OK(prepare(&f, names, types, 1), f.err);
    assert_int_equal(tfn_buf_add_text(&f.out, "before", NULL), TFN_OK);
    ASSERT_FAILS(tfn__redis_keys_add(&f.keys, text("\x06z"), &f.arena, &f.out, &is_kept, &f.err),
                 TFN_CORRUPT, "", f.err);
    assert_int_equal(f.out.n, 6);
    end(&f);
}

static void a_key_belongs_to_the_project_that_stands_behind_its_values(void **state)
{
    (void)state;
    const tfn_str key = of_hex("0100000002000000010000006104000000080000000700000000000000"
                               "70726f6a");
    assert_true(tfn__redis_key_is_of(key, text("proj")));
    assert_false(tfn__redis_key_is_of(key, text("roj")));
    assert_false(tfn__redis_key_is_of(key, text("aproj")));
    assert_false(tfn__redis_key_is_of(key, text("")));
    for (size_t n = 0; n < key.n; n++) {
        assert_false(tfn__redis_key_is_of((tfn_str){key.p, n}, text("proj")));
    }
    assert_false(tfn__redis_key_is_of(text("session:proj"), text("proj")));
    assert_false(tfn__redis_key_is_of(of_hex("0000000070726f6a"), text("proj")));
    assert_false(tfn__redis_key_is_of(of_hex("ffffffff0200000001000000"), text("proj")));
}

static void assert_field(const char *view, const char *feature, const char *hex)
{
    tfn_buf scratch = {0};
    uint8_t field[TFN__REDIS_FIELD_BYTES];
    assert_int_equal(tfn__redis_field_of(text(view), text(feature), &scratch, field, NULL), TFN_OK);
    assert_hex((tfn_str){(const char *)field, sizeof field}, hex);
    tfn_buf_deinit(&scratch);
}

static void fields_are_feasts_hashes(void **state)
{
    (void)state;
    assert_field("fv", "a", "49fbda70");
    assert_field("fv", "abc", "4c2af098");
    assert_field("driver_stats", "conv_rate", "fa731014");
    assert_field("k\xc3\xa4se", "\xc3\x9f", "2b7040c7");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parts_are_sorted_by_name_and_keep_their_types),
        cmocka_unit_test(bytes_int32_and_times_are_as_feast_has_them),
        cmocka_unit_test(a_time_with_a_fraction_has_no_key),
        cmocka_unit_test(a_view_without_entities_has_feasts_dummy),
        cmocka_unit_test(keys_of_other_types_are_refused_by_name),
        cmocka_unit_test(a_key_of_another_kind_is_corrupt_and_changes_nothing),
        cmocka_unit_test(a_key_belongs_to_the_project_that_stands_behind_its_values),
        cmocka_unit_test(fields_are_feasts_hashes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
