/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

/*
 * Loads, pushes, rollbacks and readers of one view in the threads of one process. Runs under
 * ThreadSanitizer too. Batches are small: a load takes many transactions.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>
#include <stdatomic.h>

#include "unit/online_fixture.h"

#define TFN_BUILD_BATCH_BYTES ((size_t)600)
#include "online/lmdb_build.c"

enum { N_ROWS = 60, N_READERS = 3, N_LOADS = 25, PUSHED = 1000 };

typedef struct shared {
    test_folder folder;
    tfn_lmdb *online;
    atomic_bool is_done;
    atomic_int n_wrong;
    atomic_int n_reads;
    atomic_int n_pushes;
    atomic_int loader;
} shared;

/* Threads must not leave through cmocka's asserts: they say and count what is wrong. */
static void expect(shared *s, bool ok, const char *what, const tfn_error *err)
{
    if (!ok) {
        (void)fprintf(stderr, "wrong: %s: %s\n", what, err != NULL ? err->message : "");
        atomic_fetch_add(&s->n_wrong, 1);
    }
}

static tfn_code put_version(tfn_lmdb_load *l, int64_t version, tfn_error *err)
{
    for (int64_t id = 0; id < N_ROWS; id++) {
        char key[9];
        const tfn_cell cells[2] = {{.bits = (uint64_t)version}, {.is_null = true}};
        TFN_RETURN_IF_ERROR(
            tfn_lmdb_load_put(l, key_of(id, key), cells, at(version), no_time, NULL, err));
    }
    return TFN_OK;
}

static void load_version(shared *s, int64_t version)
{
    tfn_error err = {0};
    tfn_lmdb_load *l = NULL;
    tfn_code rc =
        tfn_lmdb_load_begin(s->online, text("p"), text("v"), two_fields, 2, N_ROWS, &l, &err);
    expect(s, rc == TFN_OK, "begin", &err);
    if (rc == TFN_OK) {
        rc = put_version(l, version, &err);
        expect(s, rc == TFN_OK, "put", &err);
        expect(s, tfn_lmdb_load_commit(l, &err) == TFN_OK, "commit", &err);
    }
}

static int64_t get_value(shared *s, const tfn_lmdb_read *read, uint32_t generation, int64_t id)
{
    char key[9];
    tfn_row row;
    bool found = false;
    tfn_error err = {0};
    const tfn_code rc = tfn_lmdb_get(read, generation, key_of(id, key), &row, &found, &err);
    expect(s, rc == TFN_OK, "get", &err);
    tfn_cell cell = {.bits = UINT64_MAX};
    if (rc == TFN_OK && found) {
        tfn_row_get(&row, 0, &cell);
    }
    return (int64_t)cell.bits;
}

/* Rows of one version in each read, none of them older than before; the pushed key likewise. */
static void *read_all_the_time(void *arg)
{
    shared *s = arg;
    int64_t newest[2] = {-1, -1};
    while (!atomic_load(&s->is_done)) {
        tfn_lmdb_read read;
        uint32_t generation = 0;
        tfn_error err = {0};
        const tfn_code rc = tfn_lmdb_begin_read(s->online, &read, &err);
        expect(s, rc == TFN_OK, "begin to read", &err);
        if (rc != TFN_OK) {
            break;
        }
        expect(s, tfn_lmdb_get_live(&read, text("p"), text("v"), &generation, &err) == TFN_OK,
               "live", &err);
        const int64_t version = get_value(s, &read, generation, 0);
        for (int64_t id = 1; id < N_ROWS; id++) {
            expect(s, get_value(s, &read, generation, id) == version, "one version", NULL);
        }
        const int64_t pushed = get_value(s, &read, generation, PUSHED);
        expect(s, version >= newest[0] && pushed >= newest[1], "never back", NULL);
        newest[0] = version;
        newest[1] = pushed;
        tfn_lmdb_end_read(&read);
        atomic_fetch_add(&s->n_reads, 1);
    }
    return NULL;
}

static void *push_all_the_time(void *arg)
{
    shared *s = arg;
    int64_t value = 0;
    while (!atomic_load(&s->is_done)) {
        value++;
        tfn_error err = {0};
        tfn_lmdb_write *w = NULL;
        char key[9];
        const tfn_cell cells[2] = {{.bits = (uint64_t)value}, {.is_null = true}};
        tfn_code rc =
            tfn_lmdb_begin_write(s->online, text("p"), text("v"), two_fields, 2, &w, &err);
        expect(s, rc == TFN_OK, "begin to push", &err);
        if (rc != TFN_OK) {
            break;
        }
        rc = tfn_lmdb_put(w, key_of(PUSHED, key), cells, at(value), no_time, NULL, &err);
        expect(s, rc == TFN_OK, "push", &err);
        expect(s, tfn_lmdb_commit(w, &err) == TFN_OK, "commit of a push", &err);
        atomic_fetch_add(&s->n_pushes, 1);

        tfn_lmdb_read read;
        uint32_t generation = 0;
        expect(s, tfn_lmdb_begin_read(s->online, &read, &err) == TFN_OK, "begin to read", &err);
        expect(s, tfn_lmdb_get_live(&read, text("p"), text("v"), &generation, &err) == TFN_OK,
               "live", &err);
        expect(s, get_value(s, &read, generation, PUSHED) == value, "acknowledged", NULL);
        tfn_lmdb_end_read(&read);
    }
    return NULL;
}

static void open_shared(shared *s)
{
    folder_make(&s->folder);
    s->online = store_open(&s->folder, TFN_ONLINE_WRITE);
}

static void close_shared(shared *s)
{
    tfn_lmdb_close(s->online);
    folder_remove(&s->folder);
    assert_int_equal(atomic_load(&s->n_wrong), 0);
}

static void readers_see_whole_generations(void **state)
{
    (void)state;
    static shared s;
    open_shared(&s);
    pthread_t readers[N_READERS];
    pthread_t pusher;
    load_version(&s, 0);
    for (int i = 0; i < N_READERS; i++) {
        assert_int_equal(pthread_create(&readers[i], NULL, read_all_the_time, &s), 0);
    }
    assert_int_equal(pthread_create(&pusher, NULL, push_all_the_time, &s), 0);
    for (int64_t version = 1;
         version <= N_LOADS || atomic_load(&s.n_reads) < 100 || atomic_load(&s.n_pushes) < 20;
         version++) {
        load_version(&s, version);
    }
    atomic_store(&s.is_done, true);
    for (int i = 0; i < N_READERS; i++) {
        assert_int_equal(pthread_join(readers[i], NULL), 0);
    }
    assert_int_equal(pthread_join(pusher, NULL), 0);
    close_shared(&s);
}

static void *load_and_roll_back(void *arg)
{
    shared *s = arg;
    const int64_t first = 100 * (int64_t)(1 + atomic_fetch_add(&s->loader, 1));
    for (int64_t i = 0; i < 8; i++) {
        tfn_error err = {0};
        tfn_online_rolled_back done;
        load_version(s, first + i);
        const tfn_code rc = tfn_lmdb_rollback(s->online, text("p"), text("v"), text(""),
                                              TFN_ONLINE_REPLAY, &done, &err);
        expect(s, rc == TFN_OK || rc == TFN_NOT_FOUND, "rollback", &err);
    }
    return NULL;
}

static void loads_and_rollbacks_take_turns(void **state)
{
    (void)state;
    static shared s;
    open_shared(&s);
    pthread_t loaders[3];
    load_version(&s, 0);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(pthread_create(&loaders[i], NULL, load_and_roll_back, &s), 0);
    }
    for (int i = 0; i < 3; i++) {
        assert_int_equal(pthread_join(loaders[i], NULL), 0);
    }
    tfn_lmdb_read read = read_begin(s.online);
    const uint32_t generation = live(&read, "v");
    for (int64_t id = 1; id < N_ROWS; id++) {
        assert_int_equal(get_value(&s, &read, generation, id), get_value(&s, &read, generation, 0));
    }
    tfn_lmdb_end_read(&read);
    assert_int_equal(count_now(s.online, "v"), N_ROWS);
    close_shared(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(readers_see_whole_generations),
        cmocka_unit_test(loads_and_rollbacks_take_turns),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
