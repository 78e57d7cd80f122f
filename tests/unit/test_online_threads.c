/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

/* One store in one process, many threads. Runs under ThreadSanitizer too. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <time.h>

#include "online/lmdb_internal.h"
#include "unit/online_fixture.h"

enum { N_ROWS = 50, N_READERS = 4, N_VERSIONS = 60 };

typedef struct shared {
    test_folder folder;
    tfn_lmdb *online;
    atomic_bool is_done;
    atomic_int n_wrong;
    char first_wrong[300]; /* of the thread that was first; read when all have ended */
    atomic_int n_reads;
    size_t first_number; /* of the state with version FIRST_WRITE */
    atomic_int writer;   /* number of the next writer */
} shared;

/* Threads must not leave through cmocka's asserts: they count what is wrong, and keep the first. */
static void expect(shared *s, bool ok, const char *what, long long found, long long wanted)
{
    if (!ok && atomic_fetch_add(&s->n_wrong, 1) == 0) {
        (void)snprintf(s->first_wrong, sizeof s->first_wrong, "%s: %lld, expected %lld", what,
                       found, wanted);
    }
}

static void expect_ok(shared *s, tfn_code rc, const tfn_error *err)
{
    if (rc != TFN_OK && atomic_fetch_add(&s->n_wrong, 1) == 0) {
        (void)snprintf(s->first_wrong, sizeof s->first_wrong, "%.250s", err->message);
    }
}

static void write_rows(shared *s, const char *view, int64_t n_rows, int64_t version)
{
    tfn_error err = {0};
    tfn_lmdb_write *w = NULL;
    const tfn_code rc =
        tfn_lmdb_begin_write(s->online, text("p"), text(view), two_fields, 2, &w, &err);
    expect_ok(s, rc, &err);
    for (int64_t id = 0; rc == TFN_OK && id < n_rows; id++) {
        char key[9];
        const tfn_cell cells[2] = {{.bits = (uint64_t)version}, {.is_null = true}};
        expect_ok(s, tfn_lmdb_put(w, key_of(id, key), cells, at(version), no_time, NULL, &err),
                  &err);
    }
    if (rc == TFN_OK) {
        expect_ok(s, tfn_lmdb_commit(w, &err), &err);
    }
}

static void write_version(shared *s, const char *view, int64_t version)
{
    write_rows(s, view, N_ROWS, version);
}

enum { NONE = -1, MIXED = -2 };

/* All rows of a view, in one read: must have one version. */
static int64_t read_version(shared *s, tfn_lmdb *online, const char *view)
{
    tfn_error err = {0};
    tfn_lmdb_read read;
    uint32_t generation = 0;
    int64_t version = NONE;
    expect_ok(s, tfn_lmdb_begin_read(online, &read, &err), &err);
    expect_ok(s, tfn_lmdb_get_live(&read, text("p"), text(view), &generation, &err), &err);
    for (int64_t id = 0; generation != 0 && id < N_ROWS; id++) {
        char key[9];
        tfn_row row;
        bool found = false;
        expect_ok(s, tfn_lmdb_get(&read, generation, key_of(id, key), &row, &found, &err), &err);
        tfn_cell cell = {.bits = UINT64_MAX};
        if (found) {
            tfn_row_get(&row, 0, &cell);
        }
        if (id > 0 && (int64_t)cell.bits != version) {
            expect(s, false, "a row of another commit than the first", (int64_t)cell.bits, version);
            version = MIXED;
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
    int64_t newest = NONE;
    while (!atomic_load(&s->is_done)) {
        const int64_t version = read_version(s, s->online, "v");
        expect(s, version >= newest, "a read went back in time", version, newest);
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
    if (atomic_load(&s->n_wrong) > 0) {
        fail_msg("%d times wrong, first: %s", atomic_load(&s->n_wrong), s->first_wrong);
    }
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

/* ---- a reader that is held up ---- */

enum { N_HELD_UP = 2, N_NAPS = 600, MAX_VERSIONS = 20000, FIRST_WRITE = 0 };

static atomic_int n_naps;

static void nap(int signal)
{
    (void)signal;
    const int kept = errno;
    const struct timespec moment = {0, 2000000}; /* some commits: that is the test */
    (void)nanosleep(&moment, NULL);
    atomic_fetch_add(&n_naps, 1);
    errno = kept;
}

/* The writer commits nothing but versions, one a commit: a state's number tells its version. */
static void *read_with_naps(void *arg)
{
    shared *s = arg;
    int64_t newest = FIRST_WRITE;
    tfn_error err = {0};
    while (!atomic_load(&s->is_done)) {
        tfn_lmdb_read read;
        tfn_row row;
        tfn_cell cell = {0};
        bool found = false;
        char key[9];
        expect_ok(s, tfn_lmdb_begin_read(s->online, &read, &err), &err);
        expect_ok(s, tfn_lmdb_get(&read, 1, key_of(0, key), &row, &found, &err), &err);
        if (found) {
            tfn_row_get(&row, 0, &cell);
        }
        const int64_t version = (int64_t)cell.bits;
        const int64_t by_number = (int64_t)(mdb_txn_id(read.txn) - s->first_number);
        tfn_lmdb_end_read(&read);
        expect(s, version == by_number, "a version under another's number", version, by_number);
        expect(s, version >= newest, "a read went back in time", version, newest);
        newest = version;
    }
    return NULL;
}

/* LMDB alone lets a reader that is held up at a certain place see a commit that is not yet durable
 * (lmdb_read.c). Signals hold readers up at every place. */
static void a_reader_that_is_held_up_sees_durable_commits_only(void **state)
{
    (void)state;
    static shared s;
    open_shared(&s);
    atomic_store(&n_naps, 0);
    struct sigaction before;
    const struct sigaction action = {.sa_handler = nap, .sa_flags = SA_RESTART};
    assert_int_equal(sigaction(SIGUSR1, &action, &before), 0);
    write_rows(&s, "v", 1, FIRST_WRITE);
    tfn_lmdb_read read = read_begin(s.online);
    s.first_number = mdb_txn_id(read.txn);
    tfn_lmdb_end_read(&read);
    pthread_t readers[N_HELD_UP];
    for (int i = 0; i < N_HELD_UP; i++) {
        assert_int_equal(pthread_create(&readers[i], NULL, read_with_naps, &s), 0);
    }
    for (int64_t version = 1; version < MAX_VERSIONS && atomic_load(&n_naps) < N_NAPS; version++) {
        write_rows(&s, "v", 1, version);
        for (int i = 0; i < N_HELD_UP; i++) {
            assert_int_equal(pthread_kill(readers[i], SIGUSR1), 0);
        }
    }
    atomic_store(&s.is_done, true);
    for (int i = 0; i < N_HELD_UP; i++) {
        assert_int_equal(pthread_join(readers[i], NULL), 0);
    }
    assert_int_equal(sigaction(SIGUSR1, &before, NULL), 0);
    close_shared(&s);
}

static void *write_own_view(void *arg)
{
    shared *s = arg;
    const char view[] = {(char)('a' + atomic_fetch_add(&s->writer, 1)), '\0'};
    for (int64_t version = 0; version < 20; version++) {
        write_version(s, view, version);
        const int64_t found = read_version(s, s->online, view);
        expect(s, found == version, "version", found, version);
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
        tfn_error err = {0};
        tfn_lmdb *online = NULL;
        expect_ok(s, tfn_lmdb_open(s->folder.store, TFN_ONLINE_READ, &online, &err), &err);
        const int64_t found = read_version(s, online, "v");
        expect(s, found == 7, "version", found, 7);
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
        tfn_error err = {0};
        expect_ok(s, tfn_lmdb_begin_read(s->online, &read, &err), &err);
        expect_ok(s, tfn_lmdb_get_live(&read, text("p"), text(name), &generation, &err), &err);
        expect_ok(s, tfn_lmdb_get(&read, generation, key_of(1, key), &row, &found, &err), &err);
        expect(s, found && tfn_str_is(row.schema->fields[0].name, name), "view's own schema", 0, 1);
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
        const tfn_row_field field = {text(name), {.kind = TFN_KIND_INT64}};
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
        cmocka_unit_test(a_reader_that_is_held_up_sees_durable_commits_only),
        cmocka_unit_test(writers_take_turns),
        cmocka_unit_test(opening_and_closing_in_many_threads_is_safe),
        cmocka_unit_test(a_schema_may_be_seen_first_by_many_threads_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
