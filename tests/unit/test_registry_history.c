/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

#include "unit/registry_fixture.h"

#include "registry/history.c"

static const char *show(fixture *f, int64_t commit)
{
    tfn_buf_clear(&f->answer);
    assert_fine(f, tfn_registry_show(f->registry, text("flights"), commit, &f->answer, &f->err));
    return answer_of(f);
}

static void the_log_has_the_newest_commit_first(void **state)
{
    fixture *f = *state;
    apply(f, "{\"objects\":[" ENTITY "," SOURCE "],\"message\":\"a \\\"first\\\"\"}");
    f->now.seconds = 2000;
    apply(f, "{\"objects\":[" ENTITY "],\"delete_missing\":true}");
    tfn_buf_clear(&f->answer);
    assert_fine(f, tfn_registry_log(f->registry, text("flights"), 0, &f->answer, &f->err));
    assert_string_equal(
        answer_of(f), "[{\"commit\":2,\"time\":\"1970-01-01T00:33:20.000000005Z\",\"message\":\"\","
                      "\"n_added\":0,\"n_changed\":0,\"n_removed\":1},"
                      "{\"commit\":1,\"time\":\"1970-01-01T00:16:40.000000005Z\",\"message\":"
                      "\"a \\\"first\\\"\",\"n_added\":3,\"n_changed\":0,\"n_removed\":0}]");
    tfn_buf_clear(&f->answer);
    assert_fine(f, tfn_registry_log(f->registry, text("flights"), 1, &f->answer, &f->err));
    assert_null(strstr(answer_of(f), "\"commit\":1"));
    assert_failed(f, tfn_registry_log(f->registry, text("x"), 1, &f->answer, &f->err),
                  TFN_NOT_FOUND, "project 'x'");
}

static void a_commit_shows_what_the_plan_had_said(void **state)
{
    fixture *f = *state;
    static const char next[] = "{\"objects\":[" VIEW_WITH(
        "history",
        ",\"ttl_us\":5") ",{\"kind\":\"entity\",\"name\":\"new\"}],"
                         "\"delete\":[{\"kind\":\"feature_service\",\"name\":\"model\"}]}";
    char planned[4096];
    apply(f, EVERYTHING);
    const char *changes = strstr(apply(f, next), "\"changes\":");
    const char *refused = strstr(changes, ",\"refused\"");
    (void)snprintf(planned, sizeof planned, "%.*s", (int)(refused - changes), changes);
    assert_has(show(f, 2), planned);
    assert_has(planned, "{\"action\":\"add\",\"kind\":\"entity\",\"name\":\"new\"");
    assert_has(planned, "{\"field\":\"ttl_us\",\"old\":0,\"new\":5}");
    assert_has(planned, "{\"action\":\"remove\",\"kind\":\"feature_service\",\"name\":\"model\"");
    assert_has(show(f, 1), "{\"action\":\"add\",\"kind\":\"project\",\"name\":\"flights\"");
    assert_failed(f, tfn_registry_show(f->registry, text("flights"), 3, &f->answer, &f->err),
                  TFN_NOT_FOUND, "there is no commit 3 in this project");
}

static void an_object_may_go_and_come_back(void **state)
{
    fixture *f = *state;
    apply(f, OBJECTS(ENTITY));
    apply(f, "{\"delete\":[{\"kind\":\"entity\",\"name\":\"plane\"}]}");
    apply(f, OBJECTS(ENTITY));
    assert_has(show(f, 2), "\"n_removed\":1,\"changes\":[{\"action\":\"remove\"");
    assert_has(show(f, 3),
               "\"n_added\":1,\"n_changed\":0,\"n_removed\":0,\"changes\":[{\"action\":\"add");
}

static void projects_are_listed_while_they_have_objects(void **state)
{
    fixture *f = *state;
    assert_fine(f, tfn_registry_list_projects(f->registry, &f->answer, &f->err));
    assert_string_equal(answer_of(f), "[]");
    apply(f, OBJECTS("{\"kind\":\"project\",\"name\":\"flights\",\"owner\":\"me\"}"));
    assert_fine(
        f, tfn_registry_apply(f->registry, text("b"), text(OBJECTS(ENTITY)), &f->answer, &f->err));
    tfn_buf_clear(&f->answer);
    assert_fine(f, tfn_registry_list_projects(f->registry, &f->answer, &f->err));
    assert_has(answer_of(f), "[{\"description\":\"\",\"kind\":\"project\",\"name\":\"b\"");
    assert_has(answer_of(f), "\"name\":\"flights\",\"owner\":\"me\"");
    assert_has(answer_of(f), "\",\"commit\":1}]");
    assert_fine(f, tfn_registry_teardown(f->registry, text("b"), text(""), &f->answer, &f->err));
    tfn_buf_clear(&f->answer);
    assert_fine(f, tfn_registry_list_projects(f->registry, &f->answer, &f->err));
    assert_null(strstr(answer_of(f), "\"name\":\"b\""));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_log_has_the_newest_commit_first),
        TEST(a_commit_shows_what_the_plan_had_said),
        TEST(an_object_may_go_and_come_back),
        TEST(projects_are_listed_while_they_have_objects),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
