/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

#include "unit/registry_fixture.h"

#include <sys/wait.h>

#include "registry/registry.c"

static tfn_code get(fixture *f, tfn_registry *r, tfn_freshness freshness, int64_t *commit)
{
    tfn_snapshot *s = NULL;
    const tfn_code rc = tfn_registry_get_snapshot(r, text("flights"), freshness, &s, &f->err);
    *commit = s == NULL ? -1 : tfn_snapshot_get_commit(s);
    tfn_snapshot_release(s);
    return rc;
}

static void apply_entity(fixture *f, tfn_registry *r, const char *name)
{
    char request[128];
    (void)snprintf(request, sizeof request, "{\"objects\":[{\"kind\":\"entity\",\"name\":\"%s\"}]}",
                   name);
    tfn_buf_clear(&f->answer);
    assert_fine(f, tfn_registry_apply(r, text("flights"), text(request), &f->answer, &f->err));
}

static void a_missing_registry_says_what_to_run(void **state)
{
    fixture *f = *state;
    int64_t commit = 0;
    assert_failed(f, get(f, f->registry, TFN_CACHED, &commit), TFN_NOT_FOUND,
                  "project 'flights': there is no registry at");
    assert_string_equal(tfn_registry_get_path(f->registry), f->path);
}

static void a_missing_project_is_told_from_others(void **state)
{
    fixture *f = *state;
    tfn_snapshot *s = NULL;
    apply(f, EVERYTHING);
    assert_failed(f,
                  tfn_registry_get_snapshot(f->registry, text("fligths"), TFN_CACHED, &s, &f->err),
                  TFN_NOT_FOUND, "project 'fligths': nothing was applied to it");
}

static void own_commits_are_visible_at_once(void **state)
{
    fixture *f = *state;
    int64_t commit = 0;
    for (int i = 1; i <= 5; i++) {
        const char name[] = {(char)('a' + i), '\0'};
        apply_entity(f, f->registry, name);
        assert_fine(f, get(f, f->registry, TFN_CACHED, &commit));
        assert_int_equal(commit, i);
    }
}

static void an_unchanged_state_is_the_same_snapshot(void **state)
{
    fixture *f = *state;
    const tfn_watermark mark = {{1, 0}, {2, 0}, TFN_INSTANT_NONE};
    apply(f, EVERYTHING);
    tfn_snapshot *first = get_snapshot(f);
    assert_fine(f, tfn_registry_set_watermark(f->registry, text("flights"), text("history"), &mark,
                                              NULL, &f->err));
    tfn_snapshot *second = NULL;
    assert_fine(
        f, tfn_registry_get_snapshot(f->registry, text("flights"), TFN_FRESH, &second, &f->err));
    assert_ptr_equal(first, second);
    apply(f, OBJECTS("{\"kind\":\"entity\",\"name\":\"x\"}"));
    tfn_snapshot *third = get_snapshot(f);
    assert_ptr_not_equal(first, third);
    assert_true(tfn_snapshot_get_generation(third) > tfn_snapshot_get_generation(first));
    assert_int_equal(tfn_snapshot_count(first, TFN_OBJECT_ENTITY), 1); /* still what it was */
    tfn_snapshot_release(first);
    tfn_snapshot_release(second);
    tfn_snapshot_release(third);
}

/* Two handles stand for two processes here. */
static void commits_of_others_are_visible_when_fresh_or_after_a_second(void **state)
{
    fixture *f = *state;
    int64_t commit = 0;
    tfn_registry *other = open_again(f, TFN_REGISTRY_CREATE);
    apply_entity(f, other, "a");
    assert_fine(f, get(f, f->registry, TFN_CACHED, &commit));
    apply_entity(f, other, "b");
    assert_fine(f, get(f, f->registry, TFN_CACHED, &commit));
    assert_int_equal(commit, 1);
    assert_fine(f, get(f, f->registry, TFN_FRESH, &commit));
    assert_int_equal(commit, 2);
    apply_entity(f, other, "c");
    f->registry->cached[0].next_look_s = 0; /* as if a second had gone by */
    assert_fine(f, get(f, f->registry, TFN_CACHED, &commit));
    assert_int_equal(commit, 3);
    tfn_registry_close(other);
}

static void many_projects_share_a_registry(void **state)
{
    fixture *f = *state;
    for (int i = 0; i < 20; i++) {
        char name[16];
        tfn_snapshot *s = NULL;
        (void)snprintf(name, sizeof name, "p%d", i);
        assert_fine(f, tfn_registry_apply(f->registry, text(name), text(OBJECTS(ENTITY)),
                                          &f->answer, &f->err));
        assert_fine(f, tfn_registry_get_snapshot(f->registry, text(name), TFN_CACHED, &s, &f->err));
        assert_int_equal(tfn_snapshot_get_commit(s), 1);
        assert_string_equal(tfn_snapshot_get_project(s).p, name);
        tfn_snapshot_release(s);
    }
}

static void every_past_state_can_be_read(void **state)
{
    fixture *f = *state;
    tfn_snapshot *s = NULL;
    apply(f, EVERYTHING);
    f->now.seconds = 2000;
    apply(f, OBJECTS(VIEW_WITH("history", ",\"ttl_us\":5")));
    f->now.seconds = 3000;
    apply(f, "{\"objects\":[],\"delete_missing\":true}");
    const tfn_view_def *view = NULL;
    assert_fine(f,
                tfn_registry_get_snapshot_at_commit(f->registry, text("flights"), 1, &s, &f->err));
    assert_fine(f, tfn_snapshot_find_view(s, text("history"), &view, &f->err));
    assert_int_equal(view->ttl_us, 0);
    tfn_snapshot_release(s);
    assert_fine(f, tfn_registry_get_snapshot_at_time(f->registry, text("flights"),
                                                     (tfn_instant){2999, 0}, &s, &f->err));
    assert_int_equal(tfn_snapshot_get_commit(s), 2);
    assert_fine(f, tfn_snapshot_find_view(s, text("history"), &view, &f->err));
    assert_int_equal(view->ttl_us, 5);
    tfn_snapshot_release(s);
    assert_fine(f, tfn_registry_get_snapshot_at_time(f->registry, text("flights"),
                                                     (tfn_instant){3000, 5}, &s, &f->err));
    assert_int_equal(tfn_snapshot_count(s, TFN_OBJECT_VIEW), 0);
    tfn_snapshot_release(s);
    assert_failed(f,
                  tfn_registry_get_snapshot_at_commit(f->registry, text("flights"), 4, &s, &f->err),
                  TFN_NOT_FOUND, "project 'flights' has no commit 4; there are 1 to 3");
    assert_failed(f,
                  tfn_registry_get_snapshot_at_time(f->registry, text("flights"),
                                                    (tfn_instant){999, 0}, &s, &f->err),
                  TFN_NOT_FOUND, "had no commit yet at 1970-01-01T00:16:39Z");
}

static void a_replaced_file_is_noticed(void **state)
{
    fixture *f = *state;
    int64_t commit = 0;
    char aside[160];
    (void)snprintf(aside, sizeof aside, "%s.aside", f->path);
    apply_entity(f, f->registry, "a");
    assert_fine(f, get(f, f->registry, TFN_CACHED, &commit));
    tfn_registry_close(f->registry); /* so that no log is left beside the file */
    f->registry = open_again(f, TFN_REGISTRY_CREATE);
    assert_fine(f, get(f, f->registry, TFN_CACHED, &commit));
    assert_int_equal(rename(f->path, aside), 0);
    assert_failed(f, get(f, f->registry, TFN_FRESH, &commit), TFN_NOT_FOUND,
                  "there is no registry");
    tfn_registry *other = open_again(f, TFN_REGISTRY_CREATE);
    apply_entity(f, other, "b");
    tfn_registry_close(other);
    tfn_snapshot *s = NULL;
    assert_fine(f, tfn_registry_get_snapshot(f->registry, text("flights"), TFN_FRESH, &s, &f->err));
    assert_int_equal(tfn_snapshot_get_commit(s), 1); /* the same number, another state */
    assert_string_equal(tfn_snapshot_get_name(s, TFN_OBJECT_ENTITY, 0).p, "b");
    tfn_snapshot_release(s);
}

/* ---- forks ---- */

static void wait_for(pid_t pid)
{
    int status = -1;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
}

static void a_forked_child_reads_and_writes_on(void **state)
{
    fixture *f = *state;
    int64_t commit = 0;
    apply_entity(f, f->registry, "a");
    assert_fine(f, get(f, f->registry, TFN_CACHED, &commit));
    const pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        const char *request = OBJECTS("{\"kind\":\"entity\",\"name\":\"b\"}");
        bool is_good = get(f, f->registry, TFN_FRESH, &commit) == TFN_OK && commit == 1;
        is_good = is_good && tfn_registry_apply(f->registry, text("flights"), text(request),
                                                &f->answer, NULL) == TFN_OK;
        is_good = is_good && get(f, f->registry, TFN_CACHED, &commit) == TFN_OK && commit == 2;
        _exit(is_good ? 0 : 1);
    }
    wait_for(pid);
    assert_fine(f, get(f, f->registry, TFN_FRESH, &commit));
    assert_int_equal(commit, 2);
    apply_entity(f, f->registry, "c");
    assert_fine(f, get(f, f->registry, TFN_CACHED, &commit));
    assert_int_equal(commit, 3);
}

static void a_child_of_a_fork_inside_a_lookup_is_not_stuck(void **state)
{
    fixture *f = *state;
    int64_t commit = 0;
    apply_entity(f, f->registry, "a");
    assert_fine(f, get(f, f->registry, TFN_CACHED, &commit));
    /* As if other threads had held both locks at the fork. */
    lock_cache(f->registry);
    pthread_mutex_lock(&f->registry->reader_lock);
    const pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        const bool is_good = get(f, f->registry, TFN_CACHED, &commit) == TFN_OK && commit == 1 &&
                             get(f, f->registry, TFN_FRESH, &commit) == TFN_OK && commit == 1;
        _exit(is_good ? 0 : 1);
    }
    wait_for(pid);
    pthread_mutex_unlock(&f->registry->reader_lock);
    unlock_cache(f->registry);
}

/* ---- threads ---- */

enum { N_READERS = 3, N_COMMITS = 30 };

typedef struct race {
    fixture *f;
    _Atomic int n_done; /* commits whose apply has returned */
    _Atomic bool is_over;
    _Atomic int n_wrong;
} race;

/* What was committed before a lookup began is seen by it; states never go back. */
static void *read_all_the_time(void *context)
{
    race *r = context;
    int64_t last = 0;
    while (!atomic_load(&r->is_over)) {
        const int64_t least = atomic_load(&r->n_done);
        tfn_snapshot *s = NULL;
        if (tfn_registry_get_snapshot(r->f->registry, text("flights"), TFN_CACHED, &s, NULL) !=
            TFN_OK) {
            atomic_fetch_add(&r->n_wrong, 1);
            continue;
        }
        const int64_t commit = tfn_snapshot_get_commit(s);
        const tfn_entity_def *entity = NULL;
        const tfn_code rc = tfn_snapshot_find_entity(s, text("e0"), &entity, NULL);
        if (commit < least || commit < last || rc != TFN_OK) {
            atomic_fetch_add(&r->n_wrong, 1);
        }
        last = commit;
        tfn_snapshot_release(s);
    }
    return NULL;
}

static void threads_see_each_commit_of_their_process(void **state)
{
    fixture *f = *state;
    race r = {.f = f};
    pthread_t readers[N_READERS];
    apply_entity(f, f->registry, "e0");
    atomic_store(&r.n_done, 1);
    for (int i = 0; i < N_READERS; i++) {
        assert_int_equal(pthread_create(&readers[i], NULL, read_all_the_time, &r), 0);
    }
    for (int i = 1; i < N_COMMITS; i++) {
        char name[16];
        (void)snprintf(name, sizeof name, "e%d", i);
        apply_entity(f, f->registry, name);
        atomic_store(&r.n_done, i + 1);
    }
    atomic_store(&r.is_over, true);
    for (int i = 0; i < N_READERS; i++) {
        pthread_join(readers[i], NULL);
    }
    assert_int_equal(atomic_load(&r.n_wrong), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_missing_registry_says_what_to_run),
        TEST(a_missing_project_is_told_from_others),
        TEST(own_commits_are_visible_at_once),
        TEST(an_unchanged_state_is_the_same_snapshot),
        TEST(commits_of_others_are_visible_when_fresh_or_after_a_second),
        TEST(many_projects_share_a_registry),
        TEST(every_past_state_can_be_read),
        TEST(a_replaced_file_is_noticed),
        TEST(a_forked_child_reads_and_writes_on),
        TEST(a_child_of_a_fork_inside_a_lookup_is_not_stuck),
        TEST(threads_see_each_commit_of_their_process),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
