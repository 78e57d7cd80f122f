/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

/* Lines of the access log: their form, what is dropped, and files that are opened again. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/json.h"

#include "server/access_log.c"

static char folder[64];
static char path[96];
static char older[96];

static int setup(void **state)
{
    (void)state;
    memcpy(folder, "/tmp/tiffin-access-XXXXXX", 26);
    assert_non_null(mkdtemp(folder));
    (void)snprintf(path, sizeof path, "%s/access.log", folder);
    (void)snprintf(older, sizeof older, "%s/access.log.1", folder);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    (void)unlink(path);
    (void)unlink(older);
    return rmdir(folder);
}

static size_t read_file(const char *name, char *text, size_t n_most)
{
    FILE *file = fopen(name, "re");
    assert_non_null(file);
    const size_t n = fread(text, 1, n_most - 1, file);
    text[n] = '\0';
    (void)fclose(file);
    return n;
}

static tfn_access_log *open_log(const char *to, double rate)
{
    tfn_access_log *log = NULL;
    tfn_error err = {0};
    if (tfn_access_log_create(to, rate, &log, &err) != TFN_OK) {
        fail_msg("%s", err.message);
    }
    return log;
}

static tfn_access access_to(const char *to)
{
    return (tfn_access){.time_us = INT64_C(1356998400123456),
                        .took_us = 87,
                        .method = tfn_str_of("POST"),
                        .path = tfn_str_of(to),
                        .peer = tfn_str_of("127.0.0.1"),
                        .key_id = tfn_str_of("k1"),
                        .status = 200,
                        .n_rows = 3,
                        .n_bytes_in = 120,
                        .n_bytes_out = 4096};
}

static void a_line_is_one_json_object(void **state)
{
    (void)state;
    char text[2048];
    tfn_access_log *log = open_log(path, 1);
    tfn_access access = access_to("/get-online-features");
    tfn_access_log_note(log, &access);
    access = access_to("/a\"b\n\xff");
    access.key_id = (tfn_str){0};
    access.peer = (tfn_str){0};
    tfn_access_log_note(log, &access);
    tfn_access_log_destroy(log);
    (void)read_file(path, text, sizeof text);
    assert_string_equal(
        text,
        "{\"time\":\"2013-01-01T00:00:00.123456Z\",\"method\":\"POST\",\"path\":"
        "\"/get-online-features\",\"status\":200,\"microseconds\":87,\"rows\":3,\"bytes_in\":120,"
        "\"bytes_out\":4096,\"key\":\"k1\",\"peer\":\"127.0.0.1\"}\n"
        "{\"time\":\"2013-01-01T00:00:00.123456Z\",\"method\":\"POST\",\"path\":\"/a\\\"b\\n?\","
        "\"status\":200,\"microseconds\":87,\"rows\":3,\"bytes_in\":120,\"bytes_out\":4096,"
        "\"key\":null,\"peer\":null}\n");
}

static void a_share_of_the_requests_is_written(void **state)
{
    (void)state;
    static char text[512 * 1024];
    static const struct {
        double rate;
        uint64_t n;
    } cases[] = {{0, 0}, {0.25, 250}, {1, 1000}};
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
        tfn_access_log *log = open_log(path, cases[c].rate);
        const tfn_access access = access_to("/");
        for (int i = 0; i < 1000; i++) {
            tfn_access_log_note(log, &access);
        }
        tfn_access_log_destroy(log);
        const size_t n = read_file(path, text, sizeof text);
        assert_int_equal(count_lines((tfn_str){text, n}), cases[c].n);
        (void)unlink(path);
    }
}

static void a_line_that_does_not_fit_is_dropped_and_counted(void **state)
{
    (void)state;
    enum { N = 12000 }; /* more than wait in a mebibyte */
    static char text[4 * 1024 * 1024];
    tfn_access_log *log = open_log(path, 1);
    const tfn_access access = access_to("/get-online-features");
    (void)pthread_mutex_lock(&log->file_lock); /* a disk that hangs */
    for (int i = 0; i < N; i++) {
        tfn_access_log_note(log, &access);
    }
    const uint64_t n_dropped = tfn_access_log_get_dropped(log);
    assert_true(n_dropped > 0);
    (void)pthread_mutex_unlock(&log->file_lock);
    tfn_access_log_destroy(log);
    const size_t n = read_file(path, text, sizeof text);
    assert_int_equal(count_lines((tfn_str){text, n}) + n_dropped, N);
}

static void a_line_without_an_end_is_dropped(void **state)
{
    (void)state;
    tfn_access_log *log = open_log(path, 1);
    char *long_path = NULL;
    tfn_error err = {0};
    assert_int_equal(tfn_mem_alloc_array(MAX_LINE_BYTES + 1, 1, (void **)&long_path, &err), TFN_OK);
    memset(long_path, 'a', MAX_LINE_BYTES);
    const tfn_access access = access_to(long_path);
    tfn_access_log_note(log, &access);
    assert_int_equal(tfn_access_log_get_dropped(log), 1);
    tfn_access_log_destroy(log);
    tfn_mem_free(long_path);
}

static void a_file_that_was_moved_away_is_made_anew(void **state)
{
    (void)state;
    char text[1024];
    tfn_access_log *log = open_log(path, 1);
    assert_int_equal(rename(path, older), 0);
    tfn_access_log_reopen(log);
    const tfn_access access = access_to("/");
    tfn_access_log_note(log, &access);
    tfn_access_log_destroy(log);
    assert_int_equal(read_file(older, text, sizeof text), 0);
    assert_true(read_file(path, text, sizeof text) > 0);
}

static void a_file_that_cannot_be_opened_again_leaves_the_old_one(void **state)
{
    (void)state;
    char text[1024];
    tfn_access_log *log = open_log(path, 1);
    assert_int_equal(rename(path, older), 0);
    assert_int_equal(mkdir(path, 0700), 0);
    tfn_access_log_reopen(log);
    const tfn_access access = access_to("/");
    tfn_access_log_note(log, &access);
    tfn_access_log_destroy(log);
    assert_true(read_file(older, text, sizeof text) > 0);
    assert_int_equal(rmdir(path), 0);
}

/* What `note` and its lines print to standard error while the log's file is a full disk. */
static void a_full_disk_is_said_once_and_its_lines_are_counted(void **state)
{
    (void)state;
    char text[2048] = "";
    const int kept = dup(STDERR_FILENO);
    const int said = open(older, O_RDWR | O_CREAT | O_TRUNC, 0600);
    assert_true(kept >= 0 && said >= 0);
    tfn_access_log *log = open_log("/dev/full", 1);
    assert_int_equal(dup2(said, STDERR_FILENO), STDERR_FILENO);
    write_all(log, tfn_str_of("a line\n"));
    write_all(log, tfn_str_of("another\nand one\n"));
    assert_int_equal(dup2(kept, STDERR_FILENO), STDERR_FILENO);
    (void)close(kept);
    (void)close(said);
    assert_int_equal(tfn_access_log_get_dropped(log), 3);
    tfn_access_log_destroy(log);
    const size_t n = read_file(older, text, sizeof text);
    assert_non_null(
        strstr(text, "lines of the access log are lost, and counted in /metrics: '/dev/full'"));
    assert_int_equal(count_lines((tfn_str){text, n}), 1);
}

static void settings_that_make_no_sense_are_refused(void **state)
{
    (void)state;
    tfn_access_log *log = NULL;
    tfn_error err = {0};
    assert_int_equal(tfn_access_log_create(path, 1.5, &log, &err), TFN_INVALID);
    assert_non_null(strstr(err.message, "rate is 1.5"));
    assert_int_equal(tfn_access_log_create("/nowhere/access.log", 1, &log, &err), TFN_IO);
    assert_non_null(strstr(err.message, "'/nowhere/access.log' cannot be opened"));
    assert_null(log);
}

enum { N_THREADS = 4, N_LINES = 500 };

static void *note_many(void *arg)
{
    const tfn_access access = access_to("/health");
    for (int i = 0; i < N_LINES; i++) {
        tfn_access_log_note(arg, &access);
        if (i % 100 == 0) {
            tfn_access_log_reopen(arg);
        }
    }
    return NULL;
}

static void many_threads_note_while_the_file_is_opened_again(void **state)
{
    (void)state;
    static char text[1024 * 1024];
    tfn_access_log *log = open_log(path, 1);
    pthread_t threads[N_THREADS];
    for (int i = 0; i < N_THREADS; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, note_many, log), 0);
    }
    for (int i = 0; i < N_THREADS; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    }
    assert_int_equal(tfn_access_log_get_dropped(log), 0);
    tfn_access_log_destroy(log);
    const size_t n = read_file(path, text, sizeof text);
    assert_int_equal(count_lines((tfn_str){text, n}), N_THREADS * N_LINES);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define ACCESS_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        ACCESS_TEST(a_line_is_one_json_object),
        ACCESS_TEST(a_share_of_the_requests_is_written),
        ACCESS_TEST(a_line_that_does_not_fit_is_dropped_and_counted),
        ACCESS_TEST(a_line_without_an_end_is_dropped),
        ACCESS_TEST(a_file_that_was_moved_away_is_made_anew),
        ACCESS_TEST(a_file_that_cannot_be_opened_again_leaves_the_old_one),
        ACCESS_TEST(a_full_disk_is_said_once_and_its_lines_are_counted),
        ACCESS_TEST(settings_that_make_no_sense_are_refused),
        ACCESS_TEST(many_threads_note_while_the_file_is_opened_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
