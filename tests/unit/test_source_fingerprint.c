/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "source/fingerprint.c"

#define assert_ok(expr)                                                                            \
    do {                                                                                           \
        tfn_error err_ = {0};                                                                      \
        tfn_error *err = &err_;                                                                    \
        if ((expr) != TFN_OK) {                                                                    \
            fail_msg("%s: %s", #expr, err_.message);                                               \
        }                                                                                          \
    } while (0)

static const tfn_fingerprint_opts usual = {.depth = TFN_FINGERPRINT_USUAL};

static int setup(void **state)
{
    static char folder[64];
    (void)snprintf(folder, sizeof folder, "/tmp/tiffin-print-XXXXXX");
    assert_non_null(mkdtemp(folder));
    *state = folder;
    return 0;
}

static int teardown(void **state)
{
    char command[160];
    (void)snprintf(command, sizeof command, "rm -rf '%s'", (const char *)*state);
    return system(command);
}

static const char *write_file(const char *folder, const char *name, const void *bytes, size_t n)
{
    static char path[160];
    (void)snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, n, file), n);
    assert_int_equal(fclose(file), 0);
    return path;
}

/* A file that looks like Parquet from outside: magic, `middle`, a footer of 4 bytes. */
static const char *write_parquet(const char *folder, const char *name, const char middle[4])
{
    const char bytes[] = {'P', 'A', 'R', '1', middle[0], middle[1], middle[2], middle[3], 'f', 'o',
                          'o', 't', 4,   0,   0,         0,         'P',       'A',       'R', '1'};
    return write_file(folder, name, bytes, sizeof bytes);
}

static void small_files_are_known_by_their_content(void **state)
{
    const char *folder = *state;
    tfn_arena arena = {0};
    tfn_fingerprint *found = NULL;
    size_t n = 0;
    (void)write_parquet(folder, "b.parquet", "1234");
    (void)write_parquet(folder, "a.parquet", "5678");
    (void)write_file(folder, "notes.txt", "x", 1);
    assert_ok(tfn_files_fingerprint(folder, tfn_str_of("."), TFN_FORMAT_AUTO, &usual, &arena,
                                    &found, &n, err));
    assert_int_equal(n, 2);
    assert_non_null(strstr(found[0].path.p, "/a.parquet"));
    assert_int_equal(found[0].n_bytes, 20);
    assert_int_equal(found[0].checksum_of, TFN_CHECKSUM_OF_CONTENT);
    assert_memory_not_equal(found[0].checksum.bytes, found[1].checksum.bytes, 16);
    assert_true(found[0].modified.seconds > 1600000000);
    tfn_arena_deinit(&arena);
}

static void a_footer_is_known_without_what_lies_before_it(void **state)
{
    const char *folder = *state;
    tfn_fingerprint a;
    tfn_fingerprint b;
    char path[160];
    (void)snprintf(path, sizeof path, "%s", write_parquet(folder, "a.parquet", "1234"));
    assert_ok(tfn_file_fingerprint(path, TFN_CHECKSUM_OF_FOOTER, &usual, &a, err));
    (void)write_parquet(folder, "a.parquet", "abcd");
    assert_ok(tfn_file_fingerprint(path, TFN_CHECKSUM_OF_FOOTER, &usual, &b, err));
    assert_memory_equal(a.checksum.bytes, b.checksum.bytes, 16);
    const tfn_hash128 footer = tfn_hash128_of("foot\4\0\0\0PAR1", 12);
    assert_memory_equal(a.checksum.bytes, footer.bytes, 16);
}

static void the_content_hash_is_that_of_all_bytes(void **state)
{
    enum { N = 3 * 1024 * 1024 + 17 };
    static char bytes[N];
    for (size_t i = 0; i < N; i++) {
        bytes[i] = (char)(i * 31 + i / 4093);
    }
    const char *path = write_file(*state, "large.csv", bytes, N);
    tfn_fingerprint f;
    assert_ok(tfn_file_fingerprint(path, TFN_CHECKSUM_OF_CONTENT, &usual, &f, err));
    const tfn_hash128 whole = tfn_hash128_of(bytes, N);
    assert_memory_equal(f.checksum.bytes, whole.bytes, 16);
}

static void what_cannot_be_read_is_said(void **state)
{
    const char *folder = *state;
    tfn_error err = {0};
    tfn_fingerprint f;
    char path[160];
    (void)snprintf(path, sizeof path, "%s/nothing", folder);
    assert_int_equal(tfn_file_fingerprint(path, TFN_CHECKSUM_OF_CONTENT, &usual, &f, &err),
                     TFN_NOT_FOUND);
    assert_non_null(strstr(err.message, "there is no file '"));
    assert_int_equal(tfn_file_fingerprint("/", TFN_CHECKSUM_OF_CONTENT, &usual, &f, &err), TFN_IO);
    const char *text = write_file(folder, "text.parquet", "no footer at all", 16);
    assert_int_equal(tfn_file_fingerprint(text, TFN_CHECKSUM_OF_FOOTER, &usual, &f, &err), TFN_IO);
    assert_non_null(strstr(err.message, "does not end as a Parquet file does"));
}

static int stop(void *context, const tfn_progress *progress)
{
    (void)progress;
    *(int *)context += 1;
    return 1;
}

static void hashing_can_be_stopped(void **state)
{
    int n_asked = 0;
    const tfn_fingerprint_opts opts = {
        .depth = TFN_FINGERPRINT_WHOLE, .tick = stop, .tick_context = &n_asked};
    tfn_error err = {0};
    tfn_fingerprint f;
    const char *path = write_file(*state, "a.csv", "a,b\n", 4);
    assert_int_equal(tfn_file_fingerprint(path, TFN_CHECKSUM_OF_CONTENT, &opts, &f, &err),
                     TFN_CANCELLED);
    assert_int_equal(n_asked, 1);
}

static void names_alone_read_no_bytes(void **state)
{
    const char *folder = *state;
    const tfn_fingerprint_opts opts = {.depth = TFN_FINGERPRINT_NAMES};
    tfn_arena arena = {0};
    tfn_fingerprint *found = NULL;
    size_t n = 0;
    (void)write_parquet(folder, "b.parquet", "1234");
    assert_ok(tfn_files_fingerprint(folder, tfn_str_of("*.parquet"), TFN_FORMAT_AUTO, &opts, &arena,
                                    &found, &n, err));
    assert_int_equal(n, 1);
    assert_int_equal(found[0].checksum_of, TFN_CHECKSUM_OF_NOTHING);
    tfn_arena_deinit(&arena);
}

static void remote_paths_are_refused(void **state)
{
    (void)state;
    tfn_arena arena = {0};
    tfn_fingerprint *found = NULL;
    size_t n = 0;
    tfn_error err = {0};
    assert_int_equal(tfn_files_fingerprint("/tmp", tfn_str_of("s3://b/x.parquet"), TFN_FORMAT_AUTO,
                                           &usual, &arena, &found, &n, &err),
                     TFN_UNSUPPORTED);
    assert_non_null(strstr(err.message, "'s3://b/x.parquet' is not a path of local files"));
}

static void stored_words_come_back(void **state)
{
    (void)state;
    for (int of = TFN_CHECKSUM_OF_NOTHING; of <= TFN_CHECKSUM_OF_ETAG; of++) {
        const tfn_str word = tfn_str_of(tfn_checksum_of_name((tfn_checksum_of)of));
        assert_int_equal(tfn_checksum_of_parse(word), of);
    }
    assert_int_equal(tfn_checksum_of_parse(tfn_str_of("moon")), TFN_CHECKSUM_OF_NOTHING);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(small_files_are_known_by_their_content, setup, teardown),
        cmocka_unit_test_setup_teardown(a_footer_is_known_without_what_lies_before_it, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(the_content_hash_is_that_of_all_bytes, setup, teardown),
        cmocka_unit_test_setup_teardown(what_cannot_be_read_is_said, setup, teardown),
        cmocka_unit_test_setup_teardown(hashing_can_be_stopped, setup, teardown),
        cmocka_unit_test_setup_teardown(names_alone_read_no_bytes, setup, teardown),
        cmocka_unit_test(remote_paths_are_refused),
        cmocka_unit_test(stored_words_come_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
