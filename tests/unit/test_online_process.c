/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

/* One store, many processes: forks after opening, readers beside a writer, many makers at once. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "online/lmdb_generation.h"
#include "unit/online_fixture.h"

enum { N_ROWS = 50 };

static int wait_for(pid_t pid)
{
    int status = 0;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 255;
}

/* Fork, run `body` in the child with `arg`, give its answer. */
static pid_t start(int (*body)(void *arg), void *arg)
{
    const pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        _exit(body(arg));
    }
    return pid;
}

static tfn_code write_version(tfn_lmdb *online, const char *view, int64_t version)
{
    tfn_lmdb_write *w = NULL;
    tfn_code rc = tfn_lmdb_begin_write(online, text("p"), text(view), two_fields, 2, &w, NULL);
    for (int64_t id = 0; rc == TFN_OK && id < N_ROWS; id++) {
        char key[9];
        const tfn_cell cells[2] = {{.bits = (uint64_t)version}, {.is_null = true}};
        rc = tfn_lmdb_put(w, key_of(id, key), cells, at(version), no_time, NULL, NULL);
    }
    if (rc != TFN_OK) {
        tfn_lmdb_abort(w);
        return rc;
    }
    return tfn_lmdb_commit(w, NULL);
}

/* The version of all rows of a view; -1: none; -2: mixed; -3: an error, which is printed. */
static int64_t read_version(tfn_lmdb *online, const char *view)
{
    tfn_error err = {0};
    tfn_lmdb_read read;
    uint32_t generation = 0;
    int64_t version = -1;
    if (tfn_lmdb_begin_read(online, &read, &err) != TFN_OK ||
        tfn_lmdb_get_live(&read, text("p"), text(view), &generation, &err) != TFN_OK) {
        (void)fprintf(stderr, "%s\n", err.message);
        return -3;
    }
    for (int64_t id = 0; generation != 0 && id < N_ROWS && version > -2; id++) {
        char key[9];
        tfn_row row;
        bool found = false;
        if (tfn_lmdb_get(&read, generation, key_of(id, key), &row, &found, &err) != TFN_OK ||
            !found) {
            (void)fprintf(stderr, "%s\n", err.code == TFN_OK ? "a row is missing" : err.message);
            version = -3;
            break;
        }
        tfn_cell cell;
        tfn_row_get(&row, 0, &cell);
        version = id > 0 && version != (int64_t)cell.bits ? -2 : (int64_t)cell.bits;
    }
    tfn_lmdb_end_read(&read);
    return version;
}

/* ---- forks ---- */

typedef struct family {
    tfn_lmdb *online;
    tfn_lmdb_read read;
    tfn_lmdb_write *write;
} family;

static int child_reads_and_writes(void *arg)
{
    family *f = arg;
    if (read_version(f->online, "v") != 1 || write_version(f->online, "v", 2) != TFN_OK ||
        read_version(f->online, "v") != 2) {
        return 1;
    }
    tfn_lmdb_close(f->online);
    return 0;
}

static void a_handle_works_in_a_child_too(void **state)
{
    (void)state;
    test_folder folder;
    folder_make(&folder);
    family f = {.online = store_open(&folder, TFN_ONLINE_WRITE)};
    assert_int_equal(write_version(f.online, "v", 1), TFN_OK);
    assert_int_equal(read_version(f.online, "v"), 1);
    assert_int_equal(wait_for(start(child_reads_and_writes, &f)), 0);
    assert_int_equal(read_version(f.online, "v"), 2);
    assert_int_equal(write_version(f.online, "v", 3), TFN_OK);
    tfn_lmdb_close(f.online);
    folder_remove(&folder);
}

static int grandchild_reads(void *arg)
{
    family *f = arg;
    return read_version(f->online, "v") == 1 ? 0 : 1;
}

static int child_forks_again(void *arg)
{
    family *f = arg;
    if (read_version(f->online, "v") != 1) {
        return 1;
    }
    const int answer = wait_for(start(grandchild_reads, arg));
    return answer == 0 && read_version(f->online, "v") == 1 ? 0 : 2;
}

static void grandchildren_are_children(void **state)
{
    (void)state;
    test_folder folder;
    folder_make(&folder);
    family f = {.online = store_open(&folder, TFN_ONLINE_WRITE)};
    assert_int_equal(write_version(f.online, "v", 1), TFN_OK);
    assert_int_equal(wait_for(start(child_forks_again, &f)), 0);
    tfn_lmdb_close(f.online);
    folder_remove(&folder);
}

static int child_forgets(void *arg)
{
    family *f = arg;
    tfn_error err = {0};
    tfn_lmdb_end_read(&f->read);
    if (tfn_lmdb_commit(f->write, &err) != TFN_INVALID ||
        strstr(err.message, "begun before a fork") == NULL) {
        return 1;
    }
    tfn_lmdb_close(f->online);
    return 0;
}

static int child_aborts(void *arg)
{
    family *f = arg;
    tfn_lmdb_abort(f->write);
    tfn_lmdb_end_read(&f->read);
    tfn_lmdb_close(f->online);
    return 0;
}

static void a_child_cannot_disturb_what_its_parent_began(void **state)
{
    (void)state;
    test_folder folder;
    folder_make(&folder);
    family f = {.online = store_open(&folder, TFN_ONLINE_WRITE)};
    assert_int_equal(write_version(f.online, "v", 1), TFN_OK);
    f.read = read_begin(f.online);
    f.write = write_begin(f.online, "v");
    (void)put(f.write, 0, 5, NULL, at(5), no_time);
    assert_int_equal(wait_for(start(child_forgets, &f)), 0);
    assert_int_equal(wait_for(start(child_aborts, &f)), 0);
    (void)put(f.write, 1, 5, NULL, at(5), no_time);
    commit(f.write);
    tfn_row row;
    assert_true(find(&f.read, "v", 0, &row));
    assert_int_equal(value_in(&row), 1);
    tfn_lmdb_end_read(&f.read);
    assert_int_equal(value_now(f.online, "v", 0), 5);
    assert_int_equal(value_now(f.online, "v", 1), 5);
    tfn_lmdb_close(f.online);
    folder_remove(&folder);
}

/* A read that a child ended must still hold its pages: else this reads what later writes put there.
 */
static void a_read_survives_a_child_and_many_writes(void **state)
{
    (void)state;
    test_folder folder;
    folder_make(&folder);
    family f = {.online = store_open(&folder, TFN_ONLINE_WRITE)};
    assert_int_equal(write_version(f.online, "v", 1), TFN_OK);
    f.read = read_begin(f.online);
    assert_int_equal(wait_for(start(child_aborts, &f)), 0);
    for (int64_t version = 2; version < 30; version++) {
        assert_int_equal(write_version(f.online, "v", version), TFN_OK);
    }
    for (int64_t id = 0; id < N_ROWS; id++) {
        tfn_row row;
        assert_true(find(&f.read, "v", id, &row));
        assert_int_equal(value_in(&row), 1);
    }
    tfn_lmdb_end_read(&f.read);
    tfn_lmdb_close(f.online);
    folder_remove(&folder);
}

/* ---- readers beside a writer ---- */

enum { LAST_VERSION = 60 };

static int read_until_last(void *arg)
{
    const test_folder *folder = arg;
    tfn_lmdb *online = NULL;
    if (tfn_lmdb_open(folder->store, TFN_ONLINE_READ, &online, NULL) != TFN_OK) {
        return 1;
    }
    int64_t version = 0;
    while (version < LAST_VERSION) {
        const int64_t now = read_version(online, "v");
        if (now < version) {
            (void)fprintf(stderr, "after version %lld: %s %lld\n", (long long)version,
                          now < 0 ? "mixed (-2) or unreadable (-3)" : "back in time to",
                          (long long)now);
            return 2;
        }
        version = now;
    }
    tfn_lmdb_close(online);
    return 0;
}

static void three_processes_read_valid_states_while_one_writes(void **state)
{
    (void)state;
    test_folder folder;
    folder_make(&folder);
    tfn_lmdb *online = store_open(&folder, TFN_ONLINE_WRITE);
    assert_int_equal(write_version(online, "v", 0), TFN_OK);
    pid_t readers[3];
    for (int i = 0; i < 3; i++) {
        readers[i] = start(read_until_last, &folder);
    }
    for (int64_t version = 1; version <= LAST_VERSION; version++) {
        assert_int_equal(write_version(online, "v", version), TFN_OK);
    }
    for (int i = 0; i < 3; i++) {
        assert_int_equal(wait_for(readers[i]), 0);
    }
    tfn_lmdb_close(online);
    folder_remove(&folder);
}

/* ---- a push, and who sees it ---- */

enum { N_SEEN = 20 };

typedef struct watcher {
    const char *store;
    int told;    /* end of a pipe: a byte for each push that has returned */
    int answers; /* end of a pipe: a byte for each row that was there */
} watcher;

static int look_when_told(void *arg)
{
    const watcher *w = arg;
    tfn_lmdb *online = NULL;
    if (tfn_lmdb_open(w->store, TFN_ONLINE_READ, &online, NULL) != TFN_OK) {
        return 1;
    }
    for (int64_t version = 1; version <= N_SEEN; version++) {
        char byte = 0;
        if (read(w->told, &byte, 1) != 1 || read_version(online, "v") != version ||
            read_version(online, "w") != version || write(w->answers, &byte, 1) != 1) {
            return 2;
        }
    }
    tfn_lmdb_close(online);
    return 0;
}

static void push_version(tfn_online *online, int64_t version)
{
    tfn_error err = {0};
    const tfn_str id = {"id", 2};
    const tfn_type type = {.kind = TFN_KIND_INT64};
    const tfn_online_view views[2] = {{text("p"), text("v"), &id, &type, 1},
                                      {text("p"), text("w"), &id, &type, 1}};
    tfn_online_write *w = NULL;
    ASSERT_OK(
        tfn_online_begin_write(online, &views[0], two_fields, 2, TFN_ONLINE_PUSH, N_ROWS, &w, &err),
        err);
    for (int i = 0; i < 2; i++) {
        if (i == 1) {
            ASSERT_OK(tfn_online_next_view(w, &views[1], two_fields, 2, N_ROWS, &err), err);
        }
        for (int64_t row = N_ROWS - 1; row >= 0; row--) {
            char key[9];
            const tfn_cell cells[2] = {{.bits = (uint64_t)version}, {.is_null = true}};
            ASSERT_OK(tfn_online_put(w, key_of(row, key), cells, at(version), no_time, &err), err);
        }
    }
    ASSERT_OK(tfn_online_commit(w, NULL, &err), err);
}

static void a_push_is_seen_by_another_process_once_it_returns(void **state)
{
    (void)state;
    for (int sync = TFN_ONLINE_SYNC_FULL; sync <= TFN_ONLINE_SYNC_BATCH; sync++) {
        tfn_error err = {0};
        test_folder folder;
        folder_make(&folder);
        tfn_online *online = NULL;
        const tfn_online_opts opts = {.lmdb_path = folder.store, .sync = (tfn_online_sync)sync};
        ASSERT_OK(tfn_online_open(&opts, &online, &err), err);
        push_version(online, 0);
        int told[2];
        int answers[2];
        assert_int_equal(pipe(told), 0);
        assert_int_equal(pipe(answers), 0);
        watcher w = {folder.store, told[0], answers[1]};
        const pid_t child = start(look_when_told, &w);
        (void)close(answers[1]);
        for (int64_t version = 1; version <= N_SEEN; version++) {
            char byte = 'x';
            push_version(online, version);
            assert_int_equal(write(told[1], &byte, 1), 1);
            assert_int_equal(read(answers[0], &byte, 1), 1);
        }
        assert_int_equal(wait_for(child), 0);
        (void)close(told[0]);
        (void)close(told[1]);
        (void)close(answers[0]);
        tfn_online_close(online);
        folder_remove(&folder);
    }
}

static int child_commits_its_parents_push(void *arg)
{
    tfn_error err = {0};
    if (tfn_online_commit(arg, NULL, &err) != TFN_INVALID ||
        strstr(err.message, "begun before a fork") == NULL) {
        return 1;
    }
    return 0;
}

static int child_forgets_its_parents_push(void *arg)
{
    tfn_online_abort(arg);
    return 0;
}

static void a_push_stays_its_own_processs(void **state)
{
    (void)state;
    tfn_error err = {0};
    test_folder folder;
    folder_make(&folder);
    tfn_online *online = NULL;
    const tfn_online_opts opts = {.lmdb_path = folder.store, .sync = TFN_ONLINE_SYNC_BATCH};
    ASSERT_OK(tfn_online_open(&opts, &online, &err), err);
    const tfn_str id = {"id", 2};
    const tfn_type type = {.kind = TFN_KIND_INT64};
    const tfn_online_view view = {text("p"), text("v"), &id, &type, 1};
    tfn_online_write *w = NULL;
    ASSERT_OK(tfn_online_begin_write(online, &view, two_fields, 2, TFN_ONLINE_PUSH, 1, &w, &err),
              err);
    for (int64_t row = 0; row < N_ROWS; row++) {
        char key[9];
        const tfn_cell cells[2] = {{.bits = 5}, {.is_null = true}};
        ASSERT_OK(tfn_online_put(w, key_of(row, key), cells, at(1), no_time, &err), err);
    }
    assert_int_equal(wait_for(start(child_commits_its_parents_push, w)), 0);
    assert_int_equal(wait_for(start(child_forgets_its_parents_push, w)), 0);
    ASSERT_OK(tfn_online_commit(w, NULL, &err), err);
    tfn_online_close(online);
    tfn_lmdb *reader = store_open(&folder, TFN_ONLINE_READ);
    assert_int_equal(read_version(reader, "v"), 5);
    tfn_lmdb_close(reader);
    folder_remove(&folder);
}

/* ---- many makers ---- */

enum { N_MAKERS = 6, N_MAKINGS = 100 };

typedef struct maker {
    const char *store;
    char view[2];
    tfn_error *err; /* in memory that the processes share */
} maker;

static int make_and_write(void *arg)
{
    const maker *m = arg;
    tfn_lmdb *online = NULL;
    if (tfn_lmdb_open(m->store, TFN_ONLINE_WRITE, &online, m->err) != TFN_OK) {
        return 1;
    }
    const tfn_code rc = write_version(online, m->view, m->view[0]);
    tfn_lmdb_close(online);
    return rc == TFN_OK ? 0 : 2;
}

static void make_at_once(const test_folder *folder, tfn_error errors[N_MAKERS])
{
    maker makers[N_MAKERS];
    pid_t pids[N_MAKERS];
    for (int i = 0; i < N_MAKERS; i++) {
        makers[i] = (maker){folder->store, {(char)('a' + i), '\0'}, &errors[i]};
        pids[i] = start(make_and_write, &makers[i]);
    }
    for (int i = 0; i < N_MAKERS; i++) {
        const int answer = wait_for(pids[i]);
        if (answer != 0) {
            fail_msg("maker %d ended with %d: %s", i, answer, errors[i].message);
        }
    }
    tfn_lmdb *online = store_open(folder, TFN_ONLINE_READ);
    for (int i = 0; i < N_MAKERS; i++) {
        assert_int_equal(read_version(online, makers[i].view), 'a' + i);
    }
    tfn_lmdb_close(online);
}

static void many_processes_may_make_one_store_at_once(void **state)
{
    (void)state;
    tfn_error *errors = mmap(NULL, N_MAKERS * sizeof(tfn_error), PROT_READ | PROT_WRITE,
                             MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_ptr_not_equal(errors, MAP_FAILED);
    for (int i = 0; i < N_MAKINGS; i++) {
        test_folder folder;
        folder_make(&folder);
        make_at_once(&folder, errors);
        folder_remove(&folder); /* fails if a hidden file was left */
    }
    assert_int_equal(munmap(errors, N_MAKERS * sizeof(tfn_error)), 0);
}

/* ---- turns ---- */

static int wait_for_end_of_pipe(void *arg)
{
    char byte = 0;
    return read(*(int *)arg, &byte, 1) == 0 ? 0 : 1;
}

/* Such as a worker that is forked while its parent loads, and outlives the load. */
static void a_child_that_lives_on_does_not_keep_its_parents_turn(void **state)
{
    (void)state;
    tfn_error err = {0};
    int ends[2];
    tfn__turn turn;
    test_folder folder;
    folder_make(&folder);
    tfn_lmdb *online = store_open(&folder, TFN_ONLINE_WRITE);
    assert_int_equal(pipe(ends), 0);
    ASSERT_OK(
        tfn__turn_begin(folder.store, TFN__TURN_LOAD, text("p"), text("v"), true, &turn, &err),
        err);
    const pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        (void)close(ends[1]);
        _exit(wait_for_end_of_pipe(&ends[0]));
    }
    tfn__turn_end(&turn);
    ASSERT_OK(
        tfn__turn_begin(folder.store, TFN__TURN_LOAD, text("p"), text("v"), false, &turn, &err),
        err);
    const bool is_held = turn.is_held;
    tfn__turn_end(&turn);
    (void)close(ends[1]);
    assert_int_equal(wait_for(child), 0);
    (void)close(ends[0]);
    assert_true(is_held);
    tfn_lmdb_close(online);
    folder_remove(&folder);
}

static int end_turn(void *arg)
{
    tfn__turn_end(arg);
    return 0;
}

static void a_child_cannot_end_its_parents_turn(void **state)
{
    (void)state;
    tfn_error err = {0};
    tfn__turn turn;
    tfn__turn second;
    test_folder folder;
    folder_make(&folder);
    tfn_lmdb *online = store_open(&folder, TFN_ONLINE_WRITE);
    ASSERT_OK(
        tfn__turn_begin(folder.store, TFN__TURN_LOAD, text("p"), text("v"), true, &turn, &err),
        err);
    assert_int_equal(wait_for(start(end_turn, &turn)), 0);
    ASSERT_OK(
        tfn__turn_begin(folder.store, TFN__TURN_LOAD, text("p"), text("v"), false, &second, &err),
        err);
    assert_false(second.is_held);
    tfn__turn_end(&turn);
    tfn_lmdb_close(online);
    folder_remove(&folder);
}

/* ---- the dead ---- */

static int hold_reads_until_killed(void *arg)
{
    family *f = arg;
    for (int i = 0; i < 100; i++) {
        tfn_lmdb_read read;
        if (tfn_lmdb_begin_read(f->online, &read, NULL) != TFN_OK) {
            return 1;
        }
    }
    (void)raise(SIGKILL);
    return 2;
}

static void slots_of_killed_readers_are_had_back(void **state)
{
    (void)state;
    test_folder folder;
    folder_make(&folder);
    family f = {.online = store_open(&folder, TFN_ONLINE_WRITE)};
    for (int i = 0; i < 12; i++) { /* 1,200 slots in all, 1,024 exist */
        assert_int_equal(wait_for(start(hold_reads_until_killed, &f)), 255);
    }
    tfn_lmdb_read read = read_begin(f.online);
    tfn_lmdb_end_read(&read);
    tfn_lmdb_close(f.online);
    folder_remove(&folder);
}

static int begin_write_and_die(void *arg)
{
    family *f = arg;
    tfn_lmdb_write *w = NULL;
    if (tfn_lmdb_begin_write(f->online, text("p"), text("v"), two_fields, 2, &w, NULL) != TFN_OK) {
        return 1;
    }
    (void)raise(SIGKILL);
    return 2;
}

static void a_writer_that_dies_does_not_keep_the_lock(void **state)
{
    (void)state;
    test_folder folder;
    folder_make(&folder);
    family f = {.online = store_open(&folder, TFN_ONLINE_WRITE)};
    assert_int_equal(wait_for(start(begin_write_and_die, &f)), 255);
    assert_int_equal(write_version(f.online, "v", 1), TFN_OK);
    assert_int_equal(read_version(f.online, "v"), 1);
    tfn_lmdb_close(f.online);
    folder_remove(&folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_handle_works_in_a_child_too),
        cmocka_unit_test(grandchildren_are_children),
        cmocka_unit_test(a_child_cannot_disturb_what_its_parent_began),
        cmocka_unit_test(a_read_survives_a_child_and_many_writes),
        cmocka_unit_test(three_processes_read_valid_states_while_one_writes),
        cmocka_unit_test(a_push_is_seen_by_another_process_once_it_returns),
        cmocka_unit_test(a_push_stays_its_own_processs),
        cmocka_unit_test(many_processes_may_make_one_store_at_once),
        cmocka_unit_test(a_child_that_lives_on_does_not_keep_its_parents_turn),
        cmocka_unit_test(a_child_cannot_end_its_parents_turn),
        cmocka_unit_test(slots_of_killed_readers_are_had_back),
        cmocka_unit_test(a_writer_that_dies_does_not_keep_the_lock),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
