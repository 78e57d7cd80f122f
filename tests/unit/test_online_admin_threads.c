/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

/*
 * Vacuum, stats and restore in one thread while others push and read in the same process.
 * Runs under ThreadSanitizer too. Rows of a version have it as value; a pusher has a key of its own
 * and must find there what it last wrote, or nothing, if a restore came in between: the backup has
 * no such key.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>
#include <stdatomic.h>

#include "unit/online_fixture.h"

#include "unit/online_admin_fixture.h"

enum { N_ROWS = 200, N_PUSHERS = 2, N_ROUNDS = 10, FIRST_PUSHED = 100000 };

typedef struct shared {
    test_folder here;
    test_folder there;
    tfn_online *online;
    atomic_bool is_done;
    atomic_int n_wrong;
    atomic_int n_pushes;
    atomic_int n_reads;
    atomic_int next_pusher;
    atomic_int n_restores; /* counted when one begins, and when it has ended */
} shared;

/* Threads must not leave through cmocka's asserts: they say and count what is wrong. */
static void expect(shared *s, bool ok, const char *what, const tfn_error *err)
{
    if (!ok) {
        (void)fprintf(stderr, "wrong: %s: %s\n", what, err->message);
        atomic_fetch_add(&s->n_wrong, 1);
    }
}

static void *push(void *context)
{
    shared *s = context;
    const int64_t id = FIRST_PUSHED + atomic_fetch_add(&s->next_pusher, 1);
    for (int64_t version = 1; !atomic_load(&s->is_done); version++) {
        tfn_error err = {0};
        int64_t found = NO_ROW;
        const int n_before = atomic_load(&s->n_restores);
        tfn_code rc = fill_rows(s->online, "p", "v", TFN_ONLINE_PUSH, id, id + 1, version,
                                1000 + version, &err);
        expect(s, rc == TFN_OK, "push", &err);
        rc = get_value(s->online, "v", id, &found, &err);
        const bool was_restored = n_before % 2 == 1 || atomic_load(&s->n_restores) != n_before;
        expect(s, rc == TFN_OK && (found == version || (was_restored && found == NO_ROW)),
               "what was pushed is there", &err);
        atomic_fetch_add(&s->n_pushes, 1);
    }
    return NULL;
}

static void *read_all(void *context)
{
    shared *s = context;
    const tfn_online_view where = {.project = text("p"), .name = text("v")};
    while (!atomic_load(&s->is_done)) {
        tfn_error err = {0};
        tfn_arena arena = {0};
        tfn_online_query *query = NULL;
        tfn_found_row found[N_ROWS] = {0};
        tfn_str keys[N_ROWS];
        char bytes[N_ROWS][9];
        for (int64_t id = 0; id < N_ROWS; id++) {
            keys[id] = key_of(id, bytes[id]);
        }
        tfn_code rc = tfn_online_query_create(s->online, &where, two_fields, 2, &query, &err);
        tfn_online_ask ask = {.query = query, .keys = keys, .n_keys = N_ROWS, .found = found};
        rc = rc == TFN_OK ? tfn_online_fetch(s->online, &ask, 1, &arena, &err) : rc;
        expect(s, rc == TFN_OK, "read", &err);
        for (size_t i = 1; i < N_ROWS && rc == TFN_OK; i++) {
            const bool is_whole = found[i].i_fields != NULL && found[0].i_fields != NULL;
            expect(s, is_whole && found[i].row.event.seconds == found[0].row.event.seconds,
                   "all rows are of one version", &err);
        }
        tfn_arena_deinit(&arena);
        tfn_online_query_destroy(query);
        atomic_fetch_add(&s->n_reads, 1);
    }
    return NULL;
}

static tfn_code keep_all(void *context, tfn_str project, tfn_str view, tfn_online_verdict *out,
                         tfn_error *err)
{
    (void)context;
    (void)project;
    (void)view;
    (void)err;
    *out = (tfn_online_verdict){.keep_from = at(10)};
    return TFN_OK;
}

static tfn_code administer(shared *s, int round, tfn_error *err)
{
    tfn_arena arena = {0};
    tfn_online_census census = {0};
    tfn_online_vacuumed removed = {0};
    tfn_online_copy view = {.view = text("v")};
    const tfn_online_vacuum vacuum = {.judge = keep_all, .drops_previous = round % 2 == 0};
    tfn_code rc = tfn_online_take_census(s->online, no_watch, &arena, &census, err);
    if (rc == TFN_OK) {
        rc = fill_rows(s->online, "p", "v", TFN_ONLINE_PUSH, N_ROWS, N_ROWS + 50, 0, 5, err);
    }
    if (rc == TFN_OK) {
        rc = fill_rows(s->online, "p", "v", TFN_ONLINE_LOAD, 0, N_ROWS, round, 100 + round, err);
    }
    if (rc == TFN_OK) {
        rc = tfn_online_run_vacuum(s->online, &vacuum, &arena, &removed, err);
    }
    if (rc == TFN_OK) {
        atomic_fetch_add(&s->n_restores, 1);
        rc = tfn_online_read_backup(s->online, s->there.root, text("p"), &view, 1, no_watch, NULL,
                                    NULL, err);
        atomic_fetch_add(&s->n_restores, 1);
    }
    tfn_arena_deinit(&arena);
    return rc;
}

static void others_go_on_while_a_store_is_administered(void **state)
{
    (void)state;
    shared s = {0};
    tfn_error err = {0};
    pthread_t threads[N_PUSHERS + 1];
    char hash[33];
    int64_t n_bytes = 0;
    tfn_online_copy view = {.view = text("v")};
    folder_make(&s.here);
    folder_make(&s.there);
    s.online = engine_open(&s.here);
    fill(s.online, "v", 0, N_ROWS, 0, 50);
    ASSERT_OK(tfn_online_write_backup(s.online, s.there.root, text("p"), &view, 1, no_watch, hash,
                                      &n_bytes, &err),
              err);
    ASSERT_OK(tfn_backup_folder_seal(s.there.root, text("{}"), &err), err);
    for (int i = 0; i < N_PUSHERS + 1; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, i < N_PUSHERS ? push : read_all, &s), 0);
    }
    for (int round = 1; round <= N_ROUNDS; round++) {
        const tfn_code rc = administer(&s, round, &err);
        expect(&s, rc == TFN_OK, "administration", &err);
    }
    atomic_store(&s.is_done, true);
    for (int i = 0; i < N_PUSHERS + 1; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    }
    assert_int_equal(atomic_load(&s.n_wrong), 0);
    assert_true(atomic_load(&s.n_pushes) > 0 && atomic_load(&s.n_reads) > 0);
    tfn_online_close(s.online);
    folder_remove(&s.here);
    remove_in(s.there.root, "backup.json");
    store_remove(s.there.root);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(others_go_on_while_a_store_is_administered),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
