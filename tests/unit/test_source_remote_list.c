/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

/* Which objects of a listing are taken, and what is known of them; without a server. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "source/remote_list.c"

static void give(lister *l, const char *path)
{
    const tfn_str cell = tfn_str_of(path);
    assert_int_equal(take_object(l, &cell, 1, NULL), TFN_OK);
}

static void names_decide_what_is_taken(void **state)
{
    (void)state;
    tfn__file_list list = {0};
    lister l = {.list = &list, .n_root = strlen("s3://b/d/")};
    give(&l, "s3://b/d/z.parquet");
    give(&l, "s3://b/d/a.parquet");
    give(&l, "s3://b/d/_tmp/a.parquet");
    give(&l, "s3://b/d/readme.txt");
    give(&l, "s3://b/d/");
    assert_true(l.has_any);
    assert_int_equal(list.n_files, 2);
    assert_int_equal(tfn__file_list_settle(&list, l.n_found, "s3://b/d", false, NULL), TFN_OK);
    assert_int_equal(list.format, TFN_FORMAT_PARQUET);
    tfn__file_list_sort(&list);
    assert_true(tfn_str_is(list.files[0].path, "s3://b/d/a.parquet"));
    tfn__file_list_deinit(&list);
}

static void a_pattern_with_a_format_takes_any_name(void **state)
{
    (void)state;
    tfn__file_list list = {.format = TFN_FORMAT_CSV};
    lister l = {
        .list = &list, .n_root = strlen("s3://b/"), .pattern = "*.log", .takes_any_name = true};
    give(&l, "s3://b/x.log");
    give(&l, "s3://b/x.csv");
    assert_int_equal(list.n_files, 1);
    tfn__file_list_deinit(&list);
}

static void identities_go_to_their_objects(void **state)
{
    (void)state;
    tfn__file files[] = {{.path = tfn_str_of("s3://b/a")}, {.path = tfn_str_of("s3://b/c")}};
    tfn__file_list list = {.files = files, .n_files = 2};
    identities all = {0};
    assert_int_equal(make_identities(&list, &all, NULL), TFN_OK);
    const tfn_str size[] = {tfn_str_of("s3://b/c"), tfn_str_of("17"), tfn_str_of("5000001")};
    assert_int_equal(take_size(&all, size, 3, NULL), TFN_OK);
    const tfn_str etag[] = {tfn_str_of("s3://b/c"), tfn_str_of("\"e\"")};
    assert_int_equal(take_etag(&all, etag, 2, NULL), TFN_OK);
    const tfn_str other[] = {tfn_str_of("s3://b/b"), tfn_str_of("\"e\"")};
    assert_int_equal(take_etag(&all, other, 2, NULL), TFN_OK);
    assert_int_equal(all.items[1].size, 17);
    assert_int_equal(all.items[1].mtime_ns, 5000001000);
    assert_true(all.items[1].has_etag);
    tfn_error err = {0};
    assert_int_equal(keep_identities(&list, &all, &err), TFN_IO); /* nobody told of a */
    assert_non_null(strstr(err.message, "'s3://b/a'"));
    all.items[0].size = 0;
    assert_int_equal(keep_identities(&list, &all, &err), TFN_IO);
    assert_non_null(strstr(err.message, "is empty"));
    all.items[0].size = 3;
    list.n_bytes = 0;
    assert_int_equal(keep_identities(&list, &all, &err), TFN_OK);
    assert_int_equal(list.n_bytes, 20);
    tfn_mem_free(all.items);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_decide_what_is_taken),
        cmocka_unit_test(a_pattern_with_a_format_takes_any_name),
        cmocka_unit_test(identities_go_to_their_objects),
    };
    return cmocka_run_group_tests_name("source/remote_list", tests, NULL, NULL);
}
