/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

/* One store in one process, many threads. Runs under ThreadSanitizer too. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>
#include <stdatomic.h>

#include "unit/online_fixture.h"

enum { N_ROWS = 50, N_READERS = 4, N_VERSIONS = 60 };

typedef struct shared {
    test_folder folder;
    tfn_lmdb *online;
    atomic_bool is_done;
    atomic_int n_wrong;
    atomic_int n_reads;
    atomic_int writer; /* number of the next writer */
} shared;

/* Threads must not leave through cmocka's asserts: they count what is wrong. */
static void expect(shared *s, bool ok)
{
    if (!ok) {
        atomic_fetch_add(&s->n_wrong, 1);
    }
}

static void write_version(shared *s, const char *view, int64_t version)
{
    tfn_lmdb_write *w = NULL;
    const tfn_code rc =
        tfn_lmdb_begin_write(s->online, text("p"), text(view), two_fields, 2, &w, NULL);
    expect(s, rc == TFN_OK);
    for (int64_t id = 0; rc == TFN_OK && id < N_ROWS; id++) {
        char key[9];
        const tfn_cell cells[2] = {{.bits = (uint64_t)version}, {.is_null = true}};
        expect(s,
               tfn_lmdb_put(w, key_of(id, key), cells, at(version), no_time, NULL, NULL) == TFN_OK);
    }
    expect(s, rc != TFN_OK || tfn_lmdb_commit(w, NULL) == TFN_OK);
}

/* All rows of a view, in one read: must have one version. -1: none, -2: mixed. */
static int64_t read_version(shared *s, tfn_lmdb *online, const char *view)
{
    tfn_lmdb_read read;
    uint32_t generation = 0;
    int64_t version = -1;
    expect(s, tfn_lmdb_begin_read(online, &read, NULL) == TFN_OK);
    expect(s, tfn_lmdb_get_live(&read, text("p"), text(view), &generation, NULL) == TFN_OK);
    for (int64_t id = 0; generation != 0 && id < N_ROWS; id++) {
        char key[9];
        tfn_row row;
        bool found = false;
        expect(s, tfn_lmdb_get(&read, generation, key_of(id, key), &row, &found, NULL) == TFN_OK);
        tfn_cell cell = {.bits = UINT64_MAX};
        if (found) {
            tfn_row_get(&row, 0, &cell);
        }
        if (id > 0 && (int64_t)cell.bits != version) {
            version = -2;
            break;
        }
        version = (int64_t)cell.bits;
    }
    tfn_lmdb_end_read(&read);
    return version;
}

static void *read_all_the_time(void *arg)
{
    shared *s = arg;
    int64_t newest = -1;
    while (!atomic_load(&s->is_done)) {
        const int64_t version = read_version(s, s->online, "v");
        expect(s, version >= newest); /* never mixed, never back */
        newest = version;
        atomic_fetch_add(&s->n_reads, 1);
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

static void readers_see_whole_commits_while_one_thread_writes(void **state)
{
    (void)state;
    static shared s;
    open_shared(&s);
    pthread_t readers[N_READERS];
    for (int i = 0; i < N_READERS; i++) {
        assert_int_equal(pthread_create(&readers[i], NULL, read_all_the_time, &s), 0);
    }
    for (int64_t version = 0; version < N_VERSIONS || atomic_load(&s.n_reads) < 100; version++) {
        write_version(&s, "v", version);
    }
    atomic_store(&s.is_done, true);
    for (int i = 0; i < N_READERS; i++) {
        assert_int_equal(pthread_join(readers[i], NULL), 0);
    }
    close_shared(&s);
}

static void *write_own_view(void *arg)
{
    shared *s = arg;
    const char view[] = {(char)('a' + atomic_fetch_add(&s->writer, 1)), '\0'};
    for (int64_t version = 0; version < 20; version++) {
        write_version(s, view, version);
        expect(s, read_version(s, s->online, view) == version);
    }
    return NULL;
}

static void writers_take_turns(void **state)
{
    (void)state;
    static shared s;
    open_shared(&s);
    pthread_t writers[4];
    for (int i = 0; i < 4; i++) {
        assert_int_equal(pthread_create(&writers[i], NULL, write_own_view, &s), 0);
    }
    for (int i = 0; i < 4; i++) {
        assert_int_equal(pthread_join(writers[i], NULL), 0);
    }
    for (int i = 0; i < 4; i++) {
        const char view[] = {(char)('a' + i), '\0'};
        assert_int_equal(read_version(&s, s.online, view), 19);
    }
    close_shared(&s);
}

static void *open_read_close(void *arg)
{
    shared *s = arg;
    for (int i = 0; i < 30; i++) {
        tfn_lmdb *online = NULL;
        expect(s, tfn_lmdb_open(s->folder.store, TFN_ONLINE_READ, &online, NULL) == TFN_OK);
        expect(s, read_version(s, online, "v") == 7);
        tfn_lmdb_close(online);
    }
    return NULL;
}

static void opening_and_closing_in_many_threads_is_safe(void **state)
{
    (void)state;
    static shared s;
    open_shared(&s);
    write_version(&s, "v", 7);
    for (int is_last_open = 0; is_last_open < 2; is_last_open++) {
        pthread_t threads[4];
        for (int i = 0; i < 4; i++) {
            assert_int_equal(pthread_create(&threads[i], NULL, open_read_close, &s), 0);
        }
        for (int i = 0; i < 4; i++) {
            assert_int_equal(pthread_join(threads[i], NULL), 0);
        }
        if (is_last_open == 0) { /* now the environment comes and goes */
            tfn_lmdb_close(s.online);
            s.online = NULL;
        }
    }
    close_shared(&s);
}

/* Each thread is the first to see the schema, as far as it knows. */
static void *read_first(void *arg)
{
    shared *s = arg;
    for (int view = 0; view < 20; view++) {
        const char name[] = {(char)('a' + view), '\0'};
        tfn_lmdb_read read;
        uint32_t generation = 0;
        tfn_row row;
        bool found = false;
        char key[9];
        expect(s, tfn_lmdb_begin_read(s->online, &read, NULL) == TFN_OK);
        expect(s, tfn_lmdb_get_live(&read, text("p"), text(name), &generation, NULL) == TFN_OK);
        expect(s, tfn_lmdb_get(&read, generation, key_of(1, key), &row, &found, NULL) == TFN_OK);
        expect(s, found && tfn_str_is(row.schema->fields[0].name, name));
        tfn_lmdb_end_read(&read);
    }
    return NULL;
}

static void a_schema_may_be_seen_first_by_many_threads_at_once(void **state)
{
    (void)state;
    static shared s;
    tfn_error err = {0};
    open_shared(&s);
    for (int view = 0; view < 20; view++) {
        const char name[] = {(char)('a' + view), '\0'};
        const tfn_row_field field = {text(name), {TFN_KIND_INT64, false, 0}};
        const tfn_cell cell = {.bits = 1};
        tfn_lmdb_write *w = NULL;
        char key[9];
        ASSERT_OK(tfn_lmdb_begin_write(s.online, text("p"), text(name), &field, 1, &w, &err), err);
        ASSERT_OK(tfn_lmdb_put(w, key_of(1, key), &cell, at(1), no_time, NULL, &err), err);
        commit(w);
    }
    pthread_t threads[4];
    for (int i = 0; i < 4; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, read_first, &s), 0);
    }
    for (int i = 0; i < 4; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    }
    close_shared(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(readers_see_whole_commits_while_one_thread_writes),
        cmocka_unit_test(writers_take_turns),
        cmocka_unit_test(opening_and_closing_in_many_threads_is_safe),
        cmocka_unit_test(a_schema_may_be_seen_first_by_many_threads_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
