/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

#include "unit/registry_fixture.h"

#include <sys/wait.h>

#include "registry/commit.c"

static void a_plan_writes_nothing(void **state)
{
    fixture *f = *state;
    assert_has(plan(f, EVERYTHING), "{\"base_commit\":0,\"changes\":[{\"action\":\"add\"");
    assert_int_equal(access(f->path, F_OK), -1);
}

static void the_first_apply_makes_folder_file_and_project(void **state)
{
    fixture *f = *state;
    const char *answer = apply(f, EVERYTHING);
    assert_has(answer, "{\"commit\":1,\"base_commit\":0,");
    assert_has(answer, "{\"action\":\"add\",\"kind\":\"project\",\"name\":\"flights\"");
    assert_has(answer, "\"refused\":[]");
    assert_int_equal(access(f->path, F_OK), 0);
    tfn_snapshot *s = get_snapshot(f);
    const tfn_project_def *project = NULL;
    assert_fine(f, tfn_snapshot_find_project(s, &project, &f->err));
    assert_string_equal(project->name.p, "flights");
    assert_int_equal(tfn_snapshot_get_commit(s), 1);
    tfn_snapshot_release(s);
}

static void what_is_the_same_makes_no_commit(void **state)
{
    fixture *f = *state;
    apply(f, EVERYTHING);
    assert_string_equal(apply(f, EVERYTHING),
                        "{\"commit\":1,\"base_commit\":1,\"changes\":[],\"refused\":[]}");
}

static void one_refused_object_stops_the_whole_apply(void **state)
{
    fixture *f = *state;
    const char *request =
        OBJECTS(ENTITY ",{\"kind\":\"entity\",\"name\":\"a\",\"value_type\":\"map\"},"
                       "{\"kind\":\"entity\",\"name\":\"b\",\"x\":1}");
    assert_failed(f, try_apply(f, request), TFN_INVALID, "(and 1 more object was refused)");
    const char *answer = plan(f, request);
    assert_has(answer, "\"name\":\"plane\"");
    assert_has(answer,
               "{\"kind\":\"entity\",\"name\":\"b\",\"code\":\"INVALID\",\"reason\":\"entity 'b'");
    assert_failed(f,
                  tfn_registry_get_snapshot(f->registry, text("flights"), TFN_FRESH,
                                            &(tfn_snapshot *){NULL}, &f->err),
                  TFN_NOT_FOUND, "run `tiffin apply`");
}

static void a_cause_is_reported_and_not_its_effects(void **state)
{
    fixture *f = *state;
    const char *answer =
        plan(f, OBJECTS("{\"kind\":\"entity\",\"name\":\"plane\",\"value_type\":\"map\"}," SOURCE
                        "," VIEW "," SERVICE));
    assert_has(answer, "\"refused\":[{\"kind\":\"entity\",\"name\":\"plane\"");
    assert_null(strstr(answer, "\"refused\":[{\"kind\":\"entity\",\"name\":\"plane\"},{"));
    assert_null(strstr(answer, "uses the entity"));
}

static void an_object_may_come_twice_when_it_is_the_same(void **state)
{
    fixture *f = *state;
    apply(f, OBJECTS(ENTITY "," ENTITY));
    assert_refused(f, OBJECTS(ENTITY ",{\"kind\":\"entity\",\"name\":\"plane\"}"), TFN_INVALID,
                   "entity 'plane' is defined twice, and differently");
}

static void the_project_object_has_the_projects_name(void **state)
{
    fixture *f = *state;
    assert_refused(f, OBJECTS("{\"kind\":\"project\",\"name\":\"other\"}"), TFN_INVALID,
                   "is called 'other', but this is project 'flights'");
    apply(f, OBJECTS("{\"kind\":\"project\",\"name\":\"flights\",\"owner\":\"me\"}"));
    assert_has(apply(f, OBJECTS(ENTITY)), "\"changes\":[{\"action\":\"add\",\"kind\":\"entity\"");
}

static void an_expected_commit_that_is_not_the_head_is_a_conflict(void **state)
{
    fixture *f = *state;
    apply(f, "{\"objects\":[" ENTITY "],\"expected_commit\":0}");
    assert_failed(f, try_apply(f, "{\"objects\":[" SOURCE "],\"expected_commit\":0}"), TFN_CONFLICT,
                  "the registry is at commit 1, not at 0 as expected");
    apply(f, "{\"objects\":[" SOURCE "],\"expected_commit\":1}");
}

static void a_request_of_another_form_is_refused(void **state)
{
    fixture *f = *state;
    assert_failed(f, try_apply(f, ""), TFN_INVALID, "the apply request is not JSON");
    assert_failed(f, try_apply(f, "[]"), TFN_INVALID, "must be an object, not an array");
    assert_failed(f, try_apply(f, "{\"objects\":{}}"), TFN_INVALID, "'objects' must be an array");
    assert_failed(f, try_apply(f, "{\"delete\":1}"), TFN_INVALID, "'delete' must be an array");
    assert_failed(f, try_apply(f, "{\"message\":1}"), TFN_INVALID, "'message' a text");
    assert_failed(f, try_apply(f, "{\"object\":[]}"), TFN_INVALID, "unknown member 'object'");
    assert_has(apply(f, "{\"objects\":[]}"), "{\"commit\":0,\"base_commit\":0,\"changes\":[]");
}

static void a_project_must_have_a_name_that_projects_may_have(void **state)
{
    fixture *f = *state;
    assert_failed(
        f, tfn_registry_apply(f->registry, text("a/b"), text(OBJECTS(ENTITY)), &f->answer, &f->err),
        TFN_INVALID, "project 'a/b': a project's name has letters");
}

static void what_others_use_is_not_removed(void **state)
{
    fixture *f = *state;
    apply(f, EVERYTHING);
    assert_refused(f, "{\"delete\":[{\"kind\":\"entity\",\"name\":\"plane\"}]}", TFN_INVALID,
                   "entity 'plane' cannot be removed: feature view 'history' uses it");
    assert_refused(f, "{\"delete\":[{\"kind\":\"data_source\",\"name\":\"planes\"}]}", TFN_INVALID,
                   "data source 'planes' cannot be removed: data source 'planes_push' and feature "
                   "view 'history' use it");
    assert_refused(f, "{\"delete\":[{\"kind\":\"feature_view\",\"name\":\"history\"}]}",
                   TFN_INVALID, "feature service 'model' uses it");
    assert_refused(f, "{\"delete\":[{\"kind\":\"feature_view\",\"name\":\"histroy\"}]}",
                   TFN_NOT_FOUND, "did you mean 'history'?");
    assert_refused(f, "{\"delete\":[{\"kind\":\"project\",\"name\":\"flights\"}]}", TFN_INVALID,
                   "use teardown");
    assert_refused(f,
                   "{\"objects\":[" SERVICE "],\"delete\":[{\"kind\":\"feature_service\",\"name\":"
                   "\"model\"}]}",
                   TFN_INVALID, "is both in 'objects' and in 'delete'");
}

static void many_users_are_counted(void **state)
{
    fixture *f = *state;
    apply(f, OBJECTS(ENTITY "," SOURCE "," VIEW_WITH("a", "") "," VIEW_WITH("b", "") "," VIEW_WITH(
                 "c", "") "," VIEW_WITH("d", "") "," VIEW_WITH("e", "")));
    assert_refused(f, "{\"delete\":[{\"kind\":\"entity\",\"name\":\"plane\"}]}", TFN_INVALID,
                   "feature view 'a', feature view 'b', feature view 'c' and 2 more use it");
}

static void user_and_used_may_go_together(void **state)
{
    fixture *f = *state;
    apply(f, EVERYTHING);
    const char *answer = apply(
        f, "{\"delete\":[{\"kind\":\"feature_view\",\"name\":\"history\"},{\"kind\":"
           "\"feature_service\",\"name\":\"model\"},{\"kind\":\"entity\",\"name\":\"plane\"}]}");
    assert_has(answer, "{\"action\":\"remove\",\"kind\":\"feature_view\",\"name\":\"history\","
                       "\"inferred\":[],\"fields\":[]}");
    tfn_snapshot *s = get_snapshot(f);
    assert_int_equal(tfn_snapshot_count(s, TFN_OBJECT_ENTITY), 0);
    assert_int_equal(tfn_snapshot_count(s, TFN_OBJECT_SOURCE), 2);
    assert_int_equal(tfn_snapshot_count(s, TFN_OBJECT_PROJECT), 1);
    tfn_snapshot_release(s);
}

static void delete_missing_removes_all_that_is_not_named(void **state)
{
    fixture *f = *state;
    apply(f, EVERYTHING);
    assert_has(apply(f, "{\"objects\":[" ENTITY "," SOURCE "],\"delete_missing\":true}"),
               "{\"action\":\"remove\",\"kind\":\"feature_service\",\"name\":\"model\"");
    tfn_snapshot *s = get_snapshot(f);
    assert_int_equal(tfn_snapshot_count(s, TFN_OBJECT_VIEW), 0);
    assert_int_equal(tfn_snapshot_count(s, TFN_OBJECT_SOURCE), 1);
    assert_int_equal(tfn_snapshot_count(s, TFN_OBJECT_ENTITY), 1);
    assert_int_equal(tfn_snapshot_count(s, TFN_OBJECT_PROJECT), 1);
    tfn_snapshot_release(s);
    assert_refused(f, "{\"objects\":[" ENTITY "," VIEW "],\"delete_missing\":true}", TFN_INVALID,
                   "data source 'planes' cannot be removed");
}

static void saved_datasets_are_of_no_repo_and_need_nothing(void **state)
{
    fixture *f = *state;
    static const char dataset[] =
        "{\"kind\":\"saved_dataset\",\"name\":\"january\",\"path\":\"january.parquet\","
        "\"feature_service\":\"model\",\"tags\":{\"team\":\"air\"}}";
    char request[512];
    apply(f, EVERYTHING);
    (void)snprintf(request, sizeof request, "{\"objects\":[%s]}", dataset);
    assert_has(apply(f, request),
               "{\"action\":\"add\",\"kind\":\"saved_dataset\",\"name\":\"january\"");
    apply(f, "{\"objects\":[],\"delete_missing\":true}"); /* what it was made from goes */
    tfn_snapshot *s = get_snapshot(f);
    const tfn_saved_dataset_def *found = NULL;
    assert_int_equal(tfn_snapshot_count(s, TFN_OBJECT_VIEW), 0);
    assert_int_equal(tfn_snapshot_count(s, TFN_OBJECT_SAVED_DATASET), 1);
    assert_int_equal(tfn_snapshot_find_saved_dataset(s, text("january"), &found, &f->err), TFN_OK);
    assert_string_equal(found->path.p, "january.parquet");
    tfn_snapshot_release(s);
    apply(f, "{\"objects\":[],\"delete\":[{\"kind\":\"saved_dataset\",\"name\":\"january\"}]}");
    s = get_snapshot(f);
    assert_int_equal(tfn_snapshot_find_saved_dataset(s, text("january"), &found, &f->err),
                     TFN_NOT_FOUND);
    assert_non_null(strstr(f->err.message, "has no saved dataset 'january'"));
    tfn_snapshot_release(s);
}

#define FOREIGN(more)                                                                              \
    "{\"kind\":\"data_source\",\"type\":\"foreign\",\"class\":\"C\",\"missing\":\"no such "        \
    "system\"" more "}"
#define FOREIGN_VIEW(more)                                                                         \
    "{\"kind\":\"feature_view\",\"name\":\"abroad\",\"entities\":[\"plane\"],\"source\":"          \
    "\"w\"" more "}"

static void what_cannot_be_run_is_kept(void **state)
{
    fixture *f = *state;
    apply(f, EVERYTHING);
    /* No time column, no schema, no type of the key: nothing could be asked for them. */
    apply(f, OBJECTS("{\"kind\":\"entity\",\"name\":\"plane2\"}," FOREIGN(
                 ",\"name\":\"w\"") "," FOREIGN_VIEW("")));
    tfn_snapshot *s = get_snapshot(f);
    const tfn_view_def *view = NULL;
    assert_fine(f, tfn_snapshot_find_view(s, text("abroad"), &view, &f->err));
    assert_string_equal(view->missing.p, "no such system");
    assert_string_equal(view->source->missing.p, "no such system");
    tfn_snapshot_release(s);
    /* With all of them the view is one like any other: only its source cannot be read. */
    apply(f, OBJECTS(FOREIGN(",\"name\":\"w\",\"timestamp_field\":\"ts\"") "," FOREIGN_VIEW(
                 ",\"schema\":[{\"name\":\"x\",\"dtype\":\"int64\"}]")));
    s = get_snapshot(f);
    assert_fine(f, tfn_snapshot_find_view(s, text("abroad"), &view, &f->err));
    assert_int_equal(view->missing.n, 0);
    tfn_snapshot_release(s);
}

static void a_stream_stands_before_its_batch_source(void **state)
{
    fixture *f = *state;
    apply(f, EVERYTHING);
    apply(f, OBJECTS(FOREIGN(",\"name\":\"w\",\"batch_source\":\"planes\"") "," FOREIGN_VIEW(
                 ",\"schema\":[{\"name\":\"x\",\"dtype\":\"int64\"}]")));
    tfn_snapshot *s = get_snapshot(f);
    const tfn_view_def *view = NULL;
    assert_fine(f, tfn_snapshot_find_view(s, text("abroad"), &view, &f->err));
    assert_string_equal(view->source->name.p, "planes");
    assert_string_equal(view->push_source->name.p, "w");
    assert_int_equal(view->missing.n, 0);
    tfn_snapshot_release(s);
    assert_refused(f, OBJECTS(FOREIGN(",\"name\":\"z\",\"batch_source\":\"w\"")), TFN_INVALID,
                   "has the batch_source 'w', which is a stream source; it must be a file source");
    assert_refused(f, "{\"objects\":[],\"delete\":[{\"kind\":\"data_source\",\"name\":\"w\"}]}",
                   TFN_INVALID, "cannot be removed: feature view 'abroad' uses it");
}

static void names_that_differ_in_case_only_are_refused(void **state)
{
    fixture *f = *state;
    apply(f, EVERYTHING);
    assert_refused(f, OBJECTS(VIEW_WITH("History", "")), TFN_INVALID,
                   "feature view 'History' differs from the existing 'history' only in upper");
    assert_refused(f, OBJECTS("{\"kind\":\"data_source\",\"name\":\"PLANES\",\"path\":\"p\"}"),
                   TFN_INVALID, "data source 'PLANES' differs from the existing 'planes'");
    apply(f, OBJECTS("{\"kind\":\"entity\",\"name\":\"Plane\"}"));
    apply(f, "{\"objects\":[" VIEW_WITH(
                 "HISTORY",
                 "") "],\"delete\":[{\"kind\":\"feature_view\","
                     "\"name\":\"history\"},{\"kind\":\"feature_service\",\"name\":\"model\"}]}");
}

static void a_change_that_breaks_a_user_is_refused_at_the_user(void **state)
{
    fixture *f = *state;
    apply(f, EVERYTHING);
    assert_refused(
        f,
        OBJECTS("{\"kind\":\"feature_view\",\"name\":\"history\",\"entities\":[\"plane\"],"
                "\"source\":\"planes\",\"schema\":[{\"name\":\"legs\",\"dtype\":\"int64\"}]}"),
        TFN_NOT_FOUND, "feature service 'model' uses the feature 'delay'");
    assert_refused(f,
                   OBJECTS("{\"kind\":\"entity\",\"name\":\"plane\",\"join_key\":\"tailnum\","
                           "\"value_type\":\"int64\"}"),
                   TFN_SCHEMA, "has the join key 'tailnum' as string in its schema");
}

static void teardown_removes_this_project_alone(void **state)
{
    fixture *f = *state;
    apply(f, EVERYTHING);
    assert_fine(f, tfn_registry_apply(f->registry, text("other"), text(OBJECTS(ENTITY)), &f->answer,
                                      &f->err));
    tfn_buf_clear(&f->answer);
    assert_fine(
        f, tfn_registry_teardown(f->registry, text("flights"), text("bye"), &f->answer, &f->err));
    assert_has(answer_of(f), "{\"action\":\"remove\",\"kind\":\"project\",\"name\":\"flights\"");
    tfn_snapshot *s = get_snapshot(f);
    assert_int_equal(tfn_snapshot_get_commit(s), 2);
    for (int kind = TFN_OBJECT_PROJECT; kind <= TFN_OBJECT_SERVICE; kind++) {
        assert_int_equal(tfn_snapshot_count(s, (tfn_object_kind)kind), 0);
    }
    tfn_snapshot_release(s);
    assert_fine(f, tfn_registry_get_snapshot(f->registry, text("other"), TFN_CACHED, &s, &f->err));
    assert_int_equal(tfn_snapshot_count(s, TFN_OBJECT_ENTITY), 1);
    tfn_snapshot_release(s);
    assert_has(apply(f, EVERYTHING), "{\"commit\":3,\"base_commit\":2,");
    assert_failed(f,
                  tfn_registry_teardown(f->registry, text("none"), text(""), &f->answer, &f->err),
                  TFN_NOT_FOUND, "which holds 'flights', 'other'");
}

static void teardown_of_nothing_makes_no_file(void **state)
{
    fixture *f = *state;
    assert_failed(
        f, tfn_registry_teardown(f->registry, text("flights"), text(""), &f->answer, &f->err),
        TFN_NOT_FOUND, "there is no registry at");
    assert_int_equal(access(f->path, F_OK), -1);
}

static void a_registry_opened_for_reading_writes_nothing(void **state)
{
    fixture *f = *state;
    tfn_registry *r = open_again(f, TFN_REGISTRY_READ);
    assert_failed(f, tfn_registry_apply(r, text("flights"), text(EVERYTHING), &f->answer, &f->err),
                  TFN_UNSUPPORTED, "opened for reading only");
    tfn_registry_close(r);
    assert_int_equal(access(f->path, F_OK), -1);
}

static void commit_times_never_go_back(void **state)
{
    fixture *f = *state;
    tfn_buf log = {0};
    apply(f, OBJECTS(ENTITY));
    f->now.seconds -= 500;
    apply(f, OBJECTS(SOURCE));
    assert_fine(f, tfn_registry_log(f->registry, text("flights"), 1, &log, &f->err));
    assert_has(log.p, "\"commit\":2,\"time\":\"1970-01-01T00:16:40.000000005Z\"");
    tfn_buf_deinit(&log);
}

static void created_stays_and_updated_moves(void **state)
{
    fixture *f = *state;
    tfn_buf text_of_it = {0};
    apply(f, OBJECTS(ENTITY));
    f->now.seconds = 2000;
    apply(f, OBJECTS("{\"kind\":\"entity\",\"name\":\"plane\"}"));
    tfn_snapshot *s = get_snapshot(f);
    assert_fine(f,
                tfn_snapshot_describe(s, TFN_OBJECT_ENTITY, text("plane"), &text_of_it, &f->err));
    assert_has(text_of_it.p, "\"created_timestamp\":\"1970-01-01T00:16:40.000000005Z\","
                             "\"last_updated_timestamp\":\"1970-01-01T00:33:20.000000005Z\"");
    tfn_buf_deinit(&text_of_it);
    tfn_snapshot_release(s);
}

/* ---- several processes ---- */

enum { N_PROCESSES = 4, N_APPLIES = 10 };

static void apply_in_child(fixture *f, int i_process)
{
    tfn_registry *r = open_again(f, TFN_REGISTRY_CREATE);
    for (int i = 0; i < N_APPLIES; i++) {
        char request[256];
        (void)snprintf(request, sizeof request,
                       "{\"objects\":[{\"kind\":\"entity\",\"name\":\"e%d_%d\"}]}", i_process, i);
        if (tfn_registry_apply(r, text("flights"), text(request), &f->answer, NULL) != TFN_OK) {
            _exit(1);
        }
    }
    tfn_registry_close(r);
    _exit(0);
}

/* From an empty folder, so that they also race to make the file. */
static void processes_that_apply_at_once_all_succeed(void **state)
{
    fixture *f = *state;
    for (int i = 0; i < N_PROCESSES; i++) {
        const pid_t pid = fork();
        assert_true(pid >= 0);
        if (pid == 0) {
            apply_in_child(f, i);
        }
    }
    for (int i = 0; i < N_PROCESSES; i++) {
        int status = -1;
        assert_true(wait(&status) > 0);
        assert_int_equal(status, 0);
    }
    tfn_snapshot *s = get_snapshot(f);
    assert_int_equal(tfn_snapshot_count(s, TFN_OBJECT_ENTITY), N_PROCESSES * N_APPLIES);
    assert_int_equal(tfn_snapshot_get_commit(s), N_PROCESSES * N_APPLIES);
    tfn_snapshot_release(s);
}

static void a_registry_held_for_too_long_is_a_conflict(void **state)
{
    fixture *f = *state;
    tfn__database other = {0};
    apply(f, EVERYTHING);
    assert_fine(f, tfn__registry_begin_write(f->registry, &other, &f->err));
    f->registry->busy_ms = 20;
    assert_failed(f, try_apply(f, OBJECTS("{\"kind\":\"entity\",\"name\":\"x\"}")), TFN_CONFLICT,
                  "another process holds it");
    tfn_snapshot *s = get_snapshot(f); /* readers go on */
    assert_int_equal(tfn_snapshot_get_commit(s), 1);
    tfn_snapshot_release(s);
    tfn__registry_abort(&other);
    assert_has(apply(f, OBJECTS("{\"kind\":\"entity\",\"name\":\"x\"}")), "\"commit\":2");
}

/* Killed inside its transaction: nothing of it is there, and the next apply goes on. */
static void a_killed_apply_leaves_the_registry_as_it_was(void **state)
{
    fixture *f = *state;
    apply(f, EVERYTHING);
    const pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        tfn__database d = {0};
        tfn__head head = {0};
        tfn_snapshot *s = NULL;
        tfn__proposal p = {0};
        int64_t commit = 0;
        tfn_registry *r = open_again(f, TFN_REGISTRY_CREATE);
        const bool is_ready =
            tfn__registry_begin_write(r, &d, NULL) == TFN_OK &&
            load_head(&d, text("flights"), &head, &s, NULL) == TFN_OK &&
            tfn__proposal_init(&p, s, text(OBJECTS("{\"kind\":\"entity\",\"name\":\"x\"}")),
                               NULL) == TFN_OK &&
            write_proposal(r, &d, &p, &commit, NULL) == TFN_OK;
        _exit(is_ready ? 9 : 1);
    }
    int status = 0;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(WEXITSTATUS(status), 9);
    tfn_snapshot *s = get_snapshot(f);
    assert_int_equal(tfn_snapshot_get_commit(s), 1);
    tfn_snapshot_release(s);
    assert_has(apply(f, OBJECTS("{\"kind\":\"entity\",\"name\":\"y\"}")), "\"commit\":2");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_plan_writes_nothing),
        TEST(the_first_apply_makes_folder_file_and_project),
        TEST(what_is_the_same_makes_no_commit),
        TEST(one_refused_object_stops_the_whole_apply),
        TEST(a_cause_is_reported_and_not_its_effects),
        TEST(an_object_may_come_twice_when_it_is_the_same),
        TEST(the_project_object_has_the_projects_name),
        TEST(an_expected_commit_that_is_not_the_head_is_a_conflict),
        TEST(a_request_of_another_form_is_refused),
        TEST(a_project_must_have_a_name_that_projects_may_have),
        TEST(what_others_use_is_not_removed),
        TEST(many_users_are_counted),
        TEST(user_and_used_may_go_together),
        TEST(delete_missing_removes_all_that_is_not_named),
        TEST(saved_datasets_are_of_no_repo_and_need_nothing),
        TEST(what_cannot_be_run_is_kept),
        TEST(a_stream_stands_before_its_batch_source),
        TEST(names_that_differ_in_case_only_are_refused),
        TEST(a_change_that_breaks_a_user_is_refused_at_the_user),
        TEST(teardown_removes_this_project_alone),
        TEST(teardown_of_nothing_makes_no_file),
        TEST(a_registry_opened_for_reading_writes_nothing),
        TEST(commit_times_never_go_back),
        TEST(created_stays_and_updated_moves),
        TEST(processes_that_apply_at_once_all_succeed),
        TEST(a_registry_held_for_too_long_is_a_conflict),
        TEST(a_killed_apply_leaves_the_registry_as_it_was),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
