/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "unit/online_fixture.h"

#include "base/limits.h"
#include "base/mem.h"
#include "online/bytes.h"

#include "online/lmdb_read.c"

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

static void a_read_sees_one_commit_from_begin_to_end(void **state)
{
    (void)put_alone(*state, "v", 1, 10, at(1), no_time);
    tfn_lmdb_read read = read_begin(*state);
    (void)put_alone(*state, "v", 1, 11, at(2), no_time);
    (void)put_alone(*state, "w", 1, 11, at(2), no_time);
    tfn_row row;
    assert_true(find(&read, "v", 1, &row));
    assert_int_equal(value_in(&row), 10);
    assert_int_equal(live(&read, "w"), 0);
    tfn_lmdb_end_read(&read);
    read = read_begin(*state);
    assert_true(find(&read, "v", 1, &row));
    assert_int_equal(value_in(&row), 11);
    tfn_lmdb_end_read(&read);
}

static void what_is_not_there_is_not_found(void **state)
{
    tfn_lmdb_read read = read_begin(*state);
    tfn_row row;
    assert_int_equal(live(&read, "v"), 0);
    assert_false(find(&read, "v", 1, &row)); /* generation 0 */
    tfn_lmdb_end_read(&read);
    (void)put_alone(*state, "v", 1, 10, at(1), no_time);
    read = read_begin(*state);
    assert_false(find(&read, "v", 2, &row));
    assert_int_equal(live(&read, "V"), 0);
    tfn_lmdb_end_read(&read);
}

static void ending_a_read_twice_or_none_is_fine(void **state)
{
    tfn_lmdb_read read = {0};
    tfn_lmdb_end_read(&read);
    read = read_begin(*state);
    tfn_lmdb_end_read(&read);
    tfn_lmdb_end_read(&read);
}

static void an_ended_read_is_reused(void **state)
{
    tfn_lmdb_read read = read_begin(*state);
    const struct MDB_txn *first = read.txn;
    tfn_lmdb_end_read(&read);
    read = read_begin(*state);
    assert_ptr_equal(read.txn, first);
    tfn_lmdb_end_read(&read);
}

static void more_reads_at_once_than_are_kept_are_fine(void **state)
{
    enum { N = TFN__ONLINE_IDLE_READS + 10 };
    (void)put_alone(*state, "v", 1, 10, at(1), no_time);
    tfn_lmdb_read reads[N];
    for (int i = 0; i < N; i++) {
        reads[i] = read_begin(*state);
    }
    for (int i = 0; i < N; i++) {
        tfn_row row;
        assert_true(find(&reads[i], "v", 1, &row));
        tfn_lmdb_end_read(&reads[i]);
    }
}

static void too_many_reads_are_a_sentence(void **state)
{
    static tfn_lmdb_read reads[1025];
    tfn_error err = {0};
    tfn_code rc = TFN_OK;
    int n = 0;
    while (rc == TFN_OK && n < 1025) {
        rc = tfn_lmdb_begin_read(*state, &reads[n], &err);
        n += rc == TFN_OK;
    }
    assert_int_equal(rc, TFN_LIMIT);
    assert_int_equal(n, 1024);
    assert_non_null(strstr(err.message, "1,024 reads are open"));
    for (int i = 0; i < n; i++) {
        tfn_lmdb_end_read(&reads[i]);
    }
    reads[0] = read_begin(*state);
    tfn_lmdb_end_read(&reads[0]);
}

#ifdef TFN_FAULT_INJECTION
static void the_steady_state_allocates_nothing(void **state)
{
    (void)put_alone(*state, "v", 1, 10, at(1), no_time);
    (void)value_now(*state, "v", 1);
    tfn_mem_fault_arm(0);
    for (int i = 0; i < 10; i++) {
        assert_int_equal(value_now(*state, "v", 1), 10);
        assert_int_equal(value_now(*state, "v", 2), NO_ROW);
    }
    assert_int_equal(tfn_mem_fault_count(), 0);
}
#endif

/* ---- damage ---- */

static void overwrite(tfn_lmdb *online, int64_t id, const void *bytes, size_t n)
{
    tfn_lmdb_env *env = atomic_load(&online->env);
    tfn_lmdb_read read = read_begin(online);
    const uint32_t generation = live(&read, "v");
    tfn_lmdb_end_read(&read);
    tfn_error err = {0};
    char key_bytes[9];
    tfn__row_key row_key;
    ASSERT_OK(tfn__row_key_make(generation, key_of(id, key_bytes), &row_key, &err), err);
    MDB_txn *txn = NULL;
    assert_int_equal(mdb_txn_begin(env->lmdb, NULL, 0, &txn), 0);
    MDB_val key = tfn__val(row_key.bytes, row_key.n);
    MDB_val value = tfn__val(bytes, n);
    assert_int_equal(mdb_put(txn, env->rows, &key, &value, 0), 0);
    assert_int_equal(mdb_txn_commit(txn), 0);
}

static void a_damaged_row_is_an_error_and_not_an_answer(void **state)
{
    tfn_error err = {0};
    (void)put_alone(*state, "v", 1, 10, at(1), no_time);
    tfn_lmdb_read read = read_begin(*state);
    tfn_row row = {0};
    if (!find(&read, "v", 1, &row) || row.bytes == NULL) {
        fail_msg("the row is not there");
        return;
    }
    uint8_t bytes[256] = {0};
    const size_t n = row.n_bytes;
    memcpy(bytes, row.bytes, n);
    tfn_lmdb_end_read(&read);

    overwrite(*state, 1, bytes, n - 1); /* cut short */
    tfn__set_u32(bytes + 4, 12345);     /* schema id */
    overwrite(*state, 2, bytes, n);
    tfn__set_u32(bytes + 4, UINT32_MAX);
    overwrite(*state, 3, bytes, n);
    overwrite(*state, 4, "", 0);

    read = read_begin(*state);
    const uint32_t generation = live(&read, "v");
    const char *fragments[] = {"bytes found", "schema 12345", "schema 4294967295", "0 bytes"};
    for (int64_t id = 1; id <= 4; id++) {
        char key[9];
        bool found = true;
        ASSERT_FAILS(tfn_lmdb_get(&read, generation, key_of(id, key), &row, &found, &err),
                     TFN_CORRUPT, fragments[id - 1], err);
        assert_false(found);
    }
    tfn_lmdb_end_read(&read);
}

static void a_key_above_the_limit_is_refused(void **state)
{
    tfn_error err = {0};
    static char key[TFN_MAX_KEY_BYTES + 1];
    tfn_lmdb_read read = read_begin(*state);
    tfn_row row;
    bool found = true;
    ASSERT_FAILS(tfn_lmdb_get(&read, 1, (tfn_str){key, sizeof key}, &row, &found, &err), TFN_LIMIT,
                 "TFN_MAX_KEY_BYTES", err);
    tfn_lmdb_end_read(&read);
}

int main(void)
{
#define IN_STORE(test) cmocka_unit_test_setup_teardown(test, open_store, close_store)
    const struct CMUnitTest tests[] = {
        IN_STORE(a_read_sees_one_commit_from_begin_to_end),
        IN_STORE(what_is_not_there_is_not_found),
        IN_STORE(ending_a_read_twice_or_none_is_fine),
        IN_STORE(an_ended_read_is_reused),
        IN_STORE(more_reads_at_once_than_are_kept_are_fine),
        IN_STORE(too_many_reads_are_a_sentence),
#ifdef TFN_FAULT_INJECTION
        IN_STORE(the_steady_state_allocates_nothing),
#endif
        IN_STORE(a_damaged_row_is_an_error_and_not_an_answer),
        IN_STORE(a_key_above_the_limit_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
