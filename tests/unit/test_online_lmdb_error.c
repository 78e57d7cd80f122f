/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "online/lmdb_error.c"

static void each_code_is_a_sentence_with_the_store_in_it(void **state)
{
    (void)state;
    const struct {
        int lmdb_rc;
        tfn_code code;
        const char *fragment;
    } wanted[] = {
        {ENOMEM, TFN_NO_MEMORY, "memory is exhausted"},
        {ENOSPC, TFN_IO, "the disk is full; the store is as before this write"},
        {EDQUOT, TFN_IO, "the disk is full"},
        {EIO, TFN_IO, "the disk did not take all of it, so it is full"},
        {EFBIG, TFN_IO,
         "its file may not grow any more (ulimit -f); the store is as before this write"},
        {EACCES, TFN_IO, "not permitted"},
        {EPERM, TFN_IO, "not permitted"},
        {EROFS, TFN_IO, "not permitted: Read-only file system"},
        {EIO, TFN_IO, "Input/output error"},
        {MDB_MAP_FULL, TFN_LIMIT, "ulimit -v"},
        {MDB_MAP_RESIZED, TFN_LIMIT, "outgrew"},
        {MDB_READERS_FULL, TFN_LIMIT, "1,024 reads"},
        {MDB_TXN_FULL, TFN_LIMIT, "too many changes"},
        {MDB_BAD_TXN, TFN_IO, "can only be aborted"},
        {MDB_PANIC, TFN_IO, "end them and try again"},
        {MDB_INVALID, TFN_CORRUPT, "not an LMDB file"},
        {MDB_VERSION_MISMATCH, TFN_CORRUPT, "not an LMDB file"},
        {MDB_CORRUPTED, TFN_CORRUPT, "damaged"},
        {MDB_PAGE_NOTFOUND, TFN_CORRUPT, "damaged"},
        {MDB_BAD_DBI, TFN_IO, "MDB_BAD_DBI"},
    };
    for (size_t i = 0; i < sizeof wanted / sizeof wanted[0]; i++) {
        tfn_error err = {0};
        assert_int_equal(tfn__lmdb_fail("data/online", wanted[i].lmdb_rc, "committing", &err),
                         wanted[i].code);
        assert_int_equal(err.code, wanted[i].code);
        if (strstr(err.message, wanted[i].fragment) == NULL ||
            strstr(err.message, "online store at 'data/online': committing") == NULL) {
            fail_msg("'%s' is not in '%s'", wanted[i].fragment, err.message);
        }
        assert_int_equal(err.sys_errno,
                         wanted[i].lmdb_rc > 0 && wanted[i].code == TFN_IO ? wanted[i].lmdb_rc : 0);
    }
}

/* Some of its steps may have been committed. */
static void what_removes_in_steps_does_not_say_that_nothing_was_done(void **state)
{
    (void)state;
    const char *const doing[] = {TFN__DOING_VACUUM, TFN__DOING_SWEEP};
    const int full[] = {ENOSPC, EDQUOT, EFBIG, EIO};
    for (size_t i = 0; i < 8; i++) {
        tfn_error err = {0};
        assert_int_equal(tfn__lmdb_fail("data/online", full[i / 2], doing[i % 2], &err), TFN_IO);
        assert_null(strstr(err.message, "nothing was kept"));
        assert_non_null(strstr(err.message, "stays removed"));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_code_is_a_sentence_with_the_store_in_it),
        cmocka_unit_test(what_removes_in_steps_does_not_say_that_nothing_was_done),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
