/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

#include "unit/offline_fixture.h"

#include <dirent.h>

#include "offline/spool.c"

enum { COLUMNS = 4 };

/* Columns of n rows that differ by `seed`: int64 with nulls, text, list, bool. */
static void make_columns(int64_t n, int64_t seed, size_t text_bytes, tfn_column **out)
{
    static const tfn_type types[COLUMNS] = {{.kind = TFN_KIND_INT64},
                                            {.kind = TFN_KIND_STRING},
                                            {.kind = TFN_KIND_INT32, .is_list = true},
                                            {.kind = TFN_KIND_BOOL}};
    tfn_error err = {0};
    tfn_buf text = {0};
    for (size_t i = 0; i < text_bytes; i++) {
        assert_ok(tfn_buf_add(&text, "x", 1, &err), err);
    }
    tfn_builder *b[COLUMNS];
    for (size_t i = 0; i < COLUMNS; i++) {
        assert_ok(tfn_builder_create(types[i], n, &b[i], &err), err);
    }
    for (int64_t i = 0; i < n; i++) {
        const tfn_cell number = {.is_null = i % 3 == 2, .bits = (uint64_t)(seed * 1000 + i)};
        const tfn_cell word = {.bytes = {text.p, text.n == 0 ? 0 : (size_t)(i % (int64_t)text.n)}};
        /* n = 1, valid, one int32 */
        const char packed[] = {1, 0, 0, 0, 1, (char)i, 0, 0, 0};
        const tfn_cell list = {.bytes = {packed, sizeof packed}};
        const tfn_cell flag = {.bits = (uint64_t)(i & 1)};
        assert_ok(tfn_builder_add(b[0], &number, &err), err);
        assert_ok(tfn_builder_add(b[1], &word, &err), err);
        assert_ok(tfn_builder_add(b[2], &list, &err), err);
        assert_ok(tfn_builder_add(b[3], &flag, &err), err);
    }
    for (size_t i = 0; i < COLUMNS; i++) {
        assert_ok(tfn_builder_finish(&b[i], &out[i], &err), err);
    }
    tfn_buf_deinit(&text);
}

static void release_columns(tfn_column **columns)
{
    for (size_t i = 0; i < COLUMNS; i++) {
        tfn_column_release(columns[i]);
    }
}

static void begin_builders(tfn_column **like, tfn_builder **b)
{
    tfn_error err = {0};
    for (size_t i = 0; i < COLUMNS; i++) {
        assert_ok(tfn_builder_create(tfn_column_get_type(like[i]), 0, &b[i], &err), err);
    }
}

static void expect_same(tfn_column *a, int64_t i, tfn_column *b, int64_t k)
{
    tfn_buf scratch[2] = {{0}};
    tfn_cell cell[2] = {{0}};
    tfn_error err = {0};
    const tfn_type type = tfn_column_get_type(a);
    assert_ok(tfn_cell_of_vec(tfn_column_get_vec(a), i, type, &scratch[0], &cell[0], &err), err);
    assert_ok(tfn_cell_of_vec(tfn_column_get_vec(b), k, type, &scratch[1], &cell[1], &err), err);
    assert_int_equal(cell[0].is_null, cell[1].is_null);
    assert_true(cell[0].is_null || cell[0].bits == cell[1].bits);
    assert_true(cell[0].is_null || tfn_str_equal(cell[0].bytes, cell[1].bytes));
    tfn_buf_deinit(&scratch[0]);
    tfn_buf_deinit(&scratch[1]);
}

/* Write three parts, read their rows in turn, compare. */
static void go_through(int64_t n, size_t text_bytes, int64_t buffers_bytes)
{
    tfn_error err = {0};
    tfn_spool *s = NULL;
    tfn_column *columns[3][COLUMNS];
    tfn_builder *builders[COLUMNS];
    assert_ok(tfn_spool_create(NULL, COLUMNS, NULL, &s, &err), err);
    for (int64_t p = 0; p < 3; p++) {
        make_columns(n, p, text_bytes, columns[p]);
        assert_ok(tfn_spool_begin_part(s, &err), err);
        assert_ok(tfn_spool_add(s, columns[p], 0, n / 2, &err), err);
        assert_ok(tfn_spool_add(s, columns[p], n / 2, n - n / 2, &err), err);
    }
    assert_ok(tfn_spool_begin_reading(s, buffers_bytes, &err), err);
    begin_builders(columns[0], builders);
    for (int64_t i = 0; i < n; i++) {
        for (uint32_t p = 0; p < 3; p++) {
            assert_ok(tfn_spool_take(s, 2 - p, builders, &err), err);
        }
    }
    for (size_t c = 0; c < COLUMNS; c++) {
        tfn_column *read = NULL;
        assert_ok(tfn_builder_finish(&builders[c], &read, &err), err);
        for (int64_t i = 0; i < 3 * n; i++) {
            expect_same(read, i, columns[2 - i % 3][c], i / 3);
        }
        tfn_column_release(read);
    }
    begin_builders(columns[0], builders);
    assert_int_equal(tfn_spool_take(s, 0, builders, &err), TFN_CORRUPT); /* there is none left */
    assert_int_equal(tfn_spool_take(s, 3, builders, &err), TFN_CORRUPT);
    for (size_t c = 0; c < COLUMNS; c++) {
        tfn_builder_destroy(builders[c]);
        release_columns((tfn_column *[COLUMNS]){columns[0][c], columns[1][c], columns[2][c]});
    }
    tfn_spool_destroy(s);
}

static void rows_come_back_as_they_went(void **state)
{
    (void)state;
    go_through(1, 3, 0);
    go_through(1000, 30, 0);
    go_through(1000, 30, 1 << 30);
}

static void rows_longer_than_any_buffer_come_back_too(void **state)
{
    (void)state;
    go_through(40, 300000, 0);
    go_through(8, 2000000, 1 << 20);
}

static void a_spool_of_nothing_is_fine(void **state)
{
    (void)state;
    tfn_error err = {0};
    tfn_spool *s = NULL;
    assert_ok(tfn_spool_create("", 0, NULL, &s, &err), err);
    assert_ok(tfn_spool_begin_reading(s, 0, &err), err);
    assert_int_equal(tfn_spool_get_bytes(s), 0);
    tfn_spool_destroy(s);
    tfn_spool_destroy(NULL);
}

static int count_files(const char *folder)
{
    int n = 0;
    DIR *dir = opendir(folder);
    assert_non_null(dir);
    for (const struct dirent *e = readdir(dir); e != NULL; e = readdir(dir)) {
        n += strstr(e->d_name, "tiffin-spool-") != NULL ? 1 : 0;
    }
    assert_int_equal(closedir(dir), 0);
    return n;
}

static void the_file_has_no_name(void **state)
{
    (void)state;
    char folder[] = "/tmp/tiffin-test-XXXXXX";
    assert_non_null(mkdtemp(folder));
    tfn_error err = {0};
    tfn_spool *s = NULL;
    assert_ok(tfn_spool_create(folder, 1, NULL, &s, &err), err);
    assert_int_equal(count_files(folder), 0);
    assert_int_equal(rmdir(folder), 0);
    tfn_spool_destroy(s);
    assert_int_equal(tfn_spool_create(folder, 1, NULL, &s, &err), TFN_IO);
    assert_null(s);
    assert_text(err.message, folder);
    assert_text(err.message, "set temp_directory, or raise memory_limit");
}

/* A disk that takes so many bytes in so many writes and is then full. */
static struct {
    int n_writes; /* that still succeed */
    int error;    /* then; 0: writes nothing and says no error */
    size_t most;  /* bytes that one write takes */
} disk;           /* write(2) has no context */

static ssize_t write_to_disk(int fd, const void *bytes, size_t n)
{
    if (disk.n_writes == 0) {
        errno = disk.error;
        return disk.error == 0 ? 0 : -1;
    }
    disk.n_writes--;
    return write(fd, bytes, n < disk.most ? n : disk.most);
}

static tfn_code write_rows(int n_writes, int error, size_t most, tfn_error *err)
{
    tfn_spool *s = NULL;
    tfn_column *columns[COLUMNS];
    make_columns(3000, 1, 2000, columns);
    disk.n_writes = n_writes;
    disk.error = error;
    disk.most = most;
    assert_ok(tfn_spool_create(NULL, COLUMNS, write_to_disk, &s, err), *err);
    tfn_code rc = tfn_spool_begin_part(s, err);
    if (rc == TFN_OK) {
        rc = tfn_spool_add(s, columns, 0, 3000, err);
    }
    if (rc == TFN_OK) {
        rc = tfn_spool_begin_reading(s, 0, err);
    }
    tfn_spool_destroy(s);
    release_columns(columns);
    return rc;
}

static void every_refused_write_is_one_sentence(void **state)
{
    (void)state;
    tfn_error err = {0};
    int k = 0;
    tfn_code rc = write_rows(k, ENOSPC, SIZE_MAX, &err);
    while (rc != TFN_OK) {
        assert_int_equal(rc, TFN_IO);
        assert_text(err.message, "could not be written beyond");
        assert_text(err.message, "make room there, set temp_directory to another folder");
        assert_text(err.message, "No space left on device");
        err = (tfn_error){0};
        rc = write_rows(++k, ENOSPC, SIZE_MAX, &err);
    }
    assert_int_equal(k, 3); /* 3 MB */
    assert_int_equal(write_rows(1, 0, SIZE_MAX, &err), TFN_IO);
    assert_text(err.message, "No space left on device");
}

static void short_writes_go_on(void **state)
{
    (void)state;
    tfn_error err = {0};
    assert_ok(write_rows(INT32_MAX, ENOSPC, 1000, &err), err);
}

static void a_damaged_file_is_told(void **state)
{
    (void)state;
    tfn_error err = {0};
    tfn_spool *s = NULL;
    tfn_column *columns[COLUMNS];
    tfn_builder *builders[COLUMNS];
    make_columns(10, 1, 5, columns);
    for (int64_t at = 0; at < 60; at++) {
        assert_ok(tfn_spool_create(NULL, COLUMNS, NULL, &s, &err), err);
        assert_ok(tfn_spool_begin_part(s, &err), err);
        assert_ok(tfn_spool_add(s, columns, 0, 10, &err), err);
        assert_ok(tfn_spool_begin_reading(s, 0, &err), err);
        begin_builders(columns, builders);
        assert_int_equal(pwrite(s->fd, "\xff", 1, at), 1);
        tfn_code rc = TFN_OK;
        for (int i = 0; i < 10 && rc == TFN_OK; i++) {
            rc = tfn_spool_take(s, 0, builders, &err); /* whatever it says: in bounds */
        }
        assert_true(rc == TFN_OK || rc == TFN_CORRUPT);
        for (size_t c = 0; c < COLUMNS; c++) {
            tfn_builder_destroy(builders[c]);
        }
        tfn_spool_destroy(s);
    }
    assert_ok(tfn_spool_create(NULL, COLUMNS, NULL, &s, &err), err);
    assert_ok(tfn_spool_begin_part(s, &err), err);
    assert_ok(tfn_spool_add(s, columns, 0, 10, &err), err);
    assert_ok(tfn_spool_begin_reading(s, 0, &err), err);
    assert_int_equal(ftruncate(s->fd, 20), 0);
    begin_builders(columns, builders);
    assert_int_equal(tfn_spool_take(s, 0, builders, &err), TFN_CORRUPT);
    for (size_t c = 0; c < COLUMNS; c++) {
        tfn_builder_destroy(builders[c]);
    }
    tfn_spool_destroy(s);
    release_columns(columns);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_come_back_as_they_went),
        cmocka_unit_test(rows_longer_than_any_buffer_come_back_too),
        cmocka_unit_test(a_spool_of_nothing_is_fine),
        cmocka_unit_test(the_file_has_no_name),
        cmocka_unit_test(every_refused_write_is_one_sentence),
        cmocka_unit_test(short_writes_go_on),
        cmocka_unit_test(a_damaged_file_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
