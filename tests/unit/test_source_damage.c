/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

/* Which file an error speaks of; tests/integration/test_files.py damages real ones. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "source/damage.c"

static void a_file_is_found_by_its_quoted_path(void **state)
{
    (void)state;
    tfn__file files[] = {{.path = tfn_str_of("/d/a")}, {.path = tfn_str_of("/d/a.parquet")}};
    const tfn__files f = {.list = {.files = files, .n_files = 2}};
    assert_int_equal(find_file(&f, "'/d/a.parquet' is damaged: x"), 1);
    assert_int_equal(find_file(&f, "view 'v': '/d/a' is damaged"), 0);
    assert_int_equal(find_file(&f, "/d/a.parquet is damaged"), 2);
    assert_int_equal(find_file(&f, ""), 2);
}

static void other_formats_and_silent_callers_are_left_alone(void **state)
{
    (void)state;
    const tfn__files f = {.list = {.format = TFN_FORMAT_CSV}};
    tfn_error err = {.code = TFN_IO, .message = "as it was"};
    assert_int_equal(tfn__files_locate_damage(&f, NULL, NULL, NULL, TFN_IO, &err), TFN_IO);
    assert_string_equal(err.message, "as it was");
    const tfn__files parquet = {.list = {.format = TFN_FORMAT_PARQUET}};
    assert_int_equal(tfn__files_locate_damage(&parquet, NULL, NULL, NULL, TFN_CORRUPT, NULL),
                     TFN_CORRUPT);
}

static void rows_of_row_groups_are_kept_in_order(void **state)
{
    (void)state;
    int64_t rows[2] = {0};
    probe p = {.n_rows = rows};
    const tfn_str cells[] = {tfn_str_of("2000"), tfn_str_of("17")};
    assert_int_equal(take_group(&p, &cells[0], 1, NULL), TFN_OK);
    assert_int_equal(take_group(&p, &cells[1], 1, NULL), TFN_OK);
    assert_int_equal(p.n_groups, 2);
    assert_int_equal(rows[0], 2000);
    assert_int_equal(rows[1], 17);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_file_is_found_by_its_quoted_path),
        cmocka_unit_test(other_formats_and_silent_callers_are_left_alone),
        cmocka_unit_test(rows_of_row_groups_are_kept_in_order),
    };
    return cmocka_run_group_tests_name("source/damage", tests, NULL, NULL);
}
