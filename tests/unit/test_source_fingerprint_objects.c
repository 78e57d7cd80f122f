/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

/* What is kept of listed objects; without a server (tests/integration/test_saved_objects.py has
 * one). */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "source/fingerprint_objects.c"

static tfn__file make_file(const char *path, const char *etag)
{
    tfn__file file = {.path = tfn_str_of(path),
                      .identity = {.size = 17, .mtime_ns = INT64_C(1704067200000005000)}};
    if (etag != NULL) {
        file.identity.etag = tfn_hash128_of(etag, strlen(etag));
        file.identity.has_etag = true;
    }
    return file;
}

static void an_object_is_known_by_its_etag(void **state)
{
    (void)state;
    tfn_arena arena = {0};
    tfn_fingerprint *prints = NULL;
    tfn_error err = {0};
    tfn__file files[] = {make_file("s3://b/a", "\"1\""), make_file("s3://b/b", "\"2\"")};
    const tfn__file_list list = {.files = files, .n_files = 2};
    assert_int_equal(take_prints(&list, TFN_FINGERPRINT_USUAL, &arena, &prints, &err), TFN_OK);
    assert_true(tfn_str_is(prints[1].path, "s3://b/b"));
    assert_ptr_not_equal(prints[1].path.p, files[1].path.p); /* the list may end */
    assert_int_equal(prints[1].n_bytes, 17);
    assert_int_equal(prints[1].modified.seconds, 1704067200);
    assert_int_equal(prints[1].modified.nanos, 5000);
    assert_int_equal(prints[1].checksum_of, TFN_CHECKSUM_OF_ETAG);
    assert_memory_equal(&prints[1].checksum, &files[1].identity.etag, sizeof prints[1].checksum);
    assert_memory_not_equal(&prints[0].checksum, &prints[1].checksum, sizeof prints[0].checksum);
    tfn_arena_deinit(&arena);
}

static void without_an_etag_only_its_name_is_known(void **state)
{
    (void)state;
    tfn_arena arena = {0};
    tfn_fingerprint *prints = NULL;
    tfn_error err = {0};
    tfn__file files[] = {make_file("s3://b/a", "\"1\""), make_file("s3://b/b", NULL)};
    const tfn__file_list list = {.files = files, .n_files = 2};
    assert_int_equal(take_prints(&list, TFN_FINGERPRINT_USUAL, &arena, &prints, &err),
                     TFN_UNSUPPORTED);
    assert_null(prints);
    assert_non_null(strstr(err.message, "'s3://b/b': its ETag, by which a saved dataset knows"));
    assert_int_equal(take_prints(&list, TFN_FINGERPRINT_NAMES, &arena, &prints, &err), TFN_OK);
    assert_int_equal(prints[1].checksum_of, TFN_CHECKSUM_OF_NOTHING);
    tfn_arena_deinit(&arena);
}

static void a_scheme_makes_a_path_remote(void **state)
{
    (void)state;
    assert_true(tfn_path_is_remote(tfn_str_of("s3://b/a")));
    assert_true(tfn_path_is_remote(tfn_str_of("gs://b/a")));
    assert_false(tfn_path_is_remote(tfn_str_of("file:///a")));
    assert_false(tfn_path_is_remote(tfn_str_of("a/b")));
    assert_false(tfn_path_is_remote(tfn_str_of("a/s3://b")));
}

static void a_path_of_another_service_is_refused_before_any_request(void **state)
{
    (void)state;
    tfn_arena arena = {0};
    tfn_fingerprint *prints = NULL;
    size_t n = 1;
    tfn_error err = {0};
    const tfn_fingerprint_opts opts = {.depth = TFN_FINGERPRINT_USUAL};
    assert_int_equal(tfn_objects_fingerprint(NULL, tfn_str_of("gs://b/a"), TFN_FORMAT_AUTO,
                                             (tfn_str){0}, &opts, &arena, &prints, &n, &err),
                     TFN_UNSUPPORTED);
    assert_int_equal(n, 0);
    tfn_arena_deinit(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_object_is_known_by_its_etag),
        cmocka_unit_test(without_an_etag_only_its_name_is_known),
        cmocka_unit_test(a_scheme_makes_a_path_remote),
        cmocka_unit_test(a_path_of_another_service_is_refused_before_any_request),
    };
    return cmocka_run_group_tests_name("source/fingerprint_objects", tests, NULL, NULL);
}
