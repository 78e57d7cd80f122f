/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

#include "unit/base_make.h"

#include <stdlib.h>
#include <unistd.h>

#include "base/buf.c"

static void text_grows_and_stays_terminated(void **state)
{
    (void)state;
    tfn_buf b = {0};
    tfn_error err = {0};
    assert_null(b.p);
    assert_ok(tfn_buf_add_text(&b, "a", &err), err);
    assert_ok(tfn_buf_add_str(&b, (tfn_str){"bcd", 2}, &err), err);
    assert_ok(tfn_buf_add_format(&b, &err, "-%d-%s", 42, "x"), err);
    assert_ok(tfn_buf_add(&b, NULL, 0, &err), err);
    assert_string_equal(b.p, "abc-42-x");
    for (int i = 0; i < 1000; i++) {
        assert_ok(tfn_buf_add_format(&b, &err, "%d,", i), err);
        assert_int_equal(strlen(b.p), b.n);
    }
    assert_int_equal(tfn_buf_get_str(&b).n, b.n);
    tfn_buf_deinit(&b);
    assert_null(b.p);
}

static void the_ceiling_refuses_and_leaves_the_text(void **state)
{
    (void)state;
    tfn_buf b;
    tfn_error err = {0};
    char *room = NULL;
    tfn_buf_init(&b, 5);
    assert_ok(tfn_buf_add_text(&b, "abc", &err), err);
    assert_int_equal(tfn_buf_add_text(&b, "def", &err), TFN_LIMIT);
    assert_text(err.message, "6 bytes");
    assert_int_equal(tfn_buf_add_format(&b, &err, "%s", "def"), TFN_LIMIT);
    assert_int_equal(tfn_buf_add_room(&b, 3, &room, &err), TFN_LIMIT);
    assert_null(room);
    assert_string_equal(b.p, "abc");
    assert_ok(tfn_buf_add_text(&b, "de", &err), err);
    assert_string_equal(b.p, "abcde");
    assert_int_equal(tfn_buf_add_room(&b, SIZE_MAX, &room, &err), TFN_NO_MEMORY);
    tfn_buf_deinit(&b);
}

static void room_is_filled_by_the_caller(void **state)
{
    (void)state;
    tfn_buf b = {0};
    tfn_error err = {0};
    char *room = NULL;
    assert_ok(tfn_buf_add_room(&b, 3, &room, &err), err);
    memcpy(room, "x\0y", 3);
    assert_int_equal(b.n, 3);
    assert_memory_equal(b.p, "x\0y\0", 4);
    tfn_buf_clear(&b);
    assert_int_equal(b.n, 0);
    assert_string_equal(b.p, "");
    tfn_buf_deinit(&b);
    tfn_buf_clear(&b);
}

static void text_is_taken_out(void **state)
{
    (void)state;
    tfn_buf b;
    tfn_error err = {0};
    char *text = NULL;
    tfn_buf_init(&b, 100);
    assert_ok(tfn_buf_take_text(&b, &text, &err), err);
    assert_string_equal(text, "");
    tfn_mem_free(text);
    assert_ok(tfn_buf_add_text(&b, "abc", &err), err);
    assert_ok(tfn_buf_take_text(&b, &text, &err), err);
    assert_string_equal(text, "abc");
    assert_null(b.p);
    assert_int_equal(b.max_bytes, 100);
    tfn_mem_free(text);
    tfn_buf_deinit(&b);
}

static void a_file_is_read_to_its_end(void **state)
{
    (void)state;
    enum { N = 100 * 1000 };
    tfn_buf b;
    tfn_error err = {0};
    char path[] = "/tmp/tiffin_buf_XXXXXX";
    const int fd = mkstemp(path);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(ftruncate(fd, N), 0);
    tfn_buf_init(&b, N + 1);
    assert_ok(tfn_buf_add_text(&b, "a", &err), err);
    assert_ok(tfn_buf_add_file(&b, fd, "it", &err), err);
    assert_int_equal(b.n, N + 1);
    assert_ok(tfn_buf_add_file(&b, fd, "it", &err), err); /* nothing is left */
    assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
    assert_int_equal(tfn_buf_add_file(&b, fd, "it", &err), TFN_LIMIT);
    assert_int_equal(b.n, N + 1); /* as before the call */
    (void)close(fd);
    assert_int_equal(tfn_buf_add_file(&b, fd, "it", &err), TFN_IO);
    assert_non_null(strstr(err.message, "cannot read it"));
    tfn_buf_deinit(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(text_grows_and_stays_terminated),
        cmocka_unit_test(the_ceiling_refuses_and_leaves_the_text),
        cmocka_unit_test(room_is_filled_by_the_caller),
        cmocka_unit_test(text_is_taken_out),
        cmocka_unit_test(a_file_is_read_to_its_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
