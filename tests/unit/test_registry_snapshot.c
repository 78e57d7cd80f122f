/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

#include "unit/registry_fixture.h"

#include "registry/snapshot.c"

static const char *list(fixture *f, tfn_snapshot *s, tfn_object_kind kind, const char *tags)
{
    tfn_buf_clear(&f->answer);
    assert_fine(f, tfn_snapshot_list(s, kind, text(tags), &f->answer, &f->err));
    return answer_of(f);
}

static void names_that_do_not_exist_are_answered_with_near_ones(void **state)
{
    fixture *f = *state;
    const tfn_view_def *view = NULL;
    const tfn_service_def *service = NULL;
    const tfn_entity_def *entity = NULL;
    const tfn_source_def *source = NULL;
    tfn_str body = {0};
    apply(f, EVERYTHING);
    tfn_snapshot *s = get_snapshot(f);
    assert_failed(f, tfn_snapshot_find_view(s, text("hstory"), &view, &f->err), TFN_NOT_FOUND,
                  "project 'flights' has no feature view 'hstory'; did you mean 'history'?");
    assert_null(view);
    assert_failed(f, tfn_snapshot_find_service(s, text("x"), &service, &f->err), TFN_NOT_FOUND,
                  "project 'flights' has no feature service 'x'; there is 'model'");
    assert_failed(f, tfn_snapshot_find_entity(s, text("x"), &entity, &f->err), TFN_NOT_FOUND,
                  "entity 'x'");
    assert_failed(f, tfn_snapshot_find_source(s, text("x"), &source, &f->err), TFN_NOT_FOUND,
                  "data source 'x'; there are 'planes' and 'planes_push'");
    assert_failed(f, tfn_snapshot_get_document(s, TFN_OBJECT_VIEW, text(""), &body, &f->err),
                  TFN_NOT_FOUND, "feature view ''");
    assert_failed(f, tfn_snapshot_describe(s, TFN_OBJECT_VIEW, text("x"), &f->answer, &f->err),
                  TFN_NOT_FOUND, "feature view 'x'");
    tfn_snapshot_release(s);
}

static void names_come_in_byte_order(void **state)
{
    fixture *f = *state;
    apply(f, OBJECTS("{\"kind\":\"entity\",\"name\":\"b\"},{\"kind\":\"entity\",\"name\":\"a\"},"
                     "{\"kind\":\"entity\",\"name\":\"B\"}"));
    tfn_snapshot *s = get_snapshot(f);
    assert_int_equal(tfn_snapshot_count(s, TFN_OBJECT_ENTITY), 3);
    assert_string_equal(tfn_snapshot_get_name(s, TFN_OBJECT_ENTITY, 0).p, "B");
    assert_string_equal(tfn_snapshot_get_name(s, TFN_OBJECT_ENTITY, 1).p, "a");
    assert_string_equal(tfn_snapshot_get_name(s, TFN_OBJECT_ENTITY, 2).p, "b");
    assert_int_equal(tfn_snapshot_count(s, TFN_OBJECT_VIEW), 0);
    tfn_snapshot_release(s);
}

static void a_list_takes_objects_that_have_every_tag(void **state)
{
    fixture *f = *state;
    apply(f,
          OBJECTS("{\"kind\":\"entity\",\"name\":\"a\",\"tags\":{\"team\":\"x\",\"tier\":\"1\"}},"
                  "{\"kind\":\"entity\",\"name\":\"b\",\"tags\":{\"team\":\"x\"}}"));
    tfn_snapshot *s = get_snapshot(f);
    assert_has(list(f, s, TFN_OBJECT_ENTITY, ""), "\"name\":\"b\"");
    assert_has(list(f, s, TFN_OBJECT_ENTITY, "{\"team\":\"x\"}"), "\"name\":\"b\"");
    const char *both = list(f, s, TFN_OBJECT_ENTITY, "{\"tier\":\"1\",\"team\":\"x\"}");
    assert_has(both, "[{\"description\":\"\",\"join_key\":\"a\"");
    assert_has(both, "\"hash\":\"");
    assert_null(strstr(both, "\"name\":\"b\""));
    assert_string_equal(list(f, s, TFN_OBJECT_ENTITY, "{\"tier\":\"2\"}"), "[]");
    assert_string_equal(list(f, s, TFN_OBJECT_VIEW, "{}"), "[]");
    assert_failed(f, tfn_snapshot_list(s, TFN_OBJECT_ENTITY, text("[]"), &f->answer, &f->err),
                  TFN_INVALID, "the tag filter must be an object of texts, not an array");
    assert_failed(f,
                  tfn_snapshot_list(s, TFN_OBJECT_ENTITY, text("{\"a\":1}"), &f->answer, &f->err),
                  TFN_INVALID, "has a whole number for the tag 'a'");
    tfn_snapshot_release(s);
}

static void a_snapshot_outlives_its_registry(void **state)
{
    fixture *f = *state;
    const tfn_view_def *view = NULL;
    apply(f, EVERYTHING);
    tfn_snapshot *s = get_snapshot(f);
    tfn_snapshot *same = tfn_snapshot_retain(s);
    tfn_registry_close(f->registry);
    f->registry = NULL;
    tfn_snapshot_release(s);
    assert_fine(f, tfn_snapshot_find_view(same, text("history"), &view, &f->err));
    tfn_snapshot_release(same);
    tfn_snapshot_release(NULL);
}

/* ---- threads ---- */

enum { N_THREADS = 4 };

typedef struct finder {
    pthread_t thread;
    tfn_snapshot *snapshot;
    const tfn_view_def *view;
    const tfn_service_def *service;
} finder;

static void *find_both(void *context)
{
    finder *me = context;
    if (tfn_snapshot_find_service(me->snapshot, text("model"), &me->service, NULL) != TFN_OK ||
        tfn_snapshot_find_view(me->snapshot, text("history"), &me->view, NULL) != TFN_OK) {
        me->view = NULL;
    }
    return NULL;
}

static void threads_that_decode_at_once_get_one_definition(void **state)
{
    fixture *f = *state;
    finder finders[N_THREADS] = {{0}};
    apply(f, EVERYTHING);
    tfn_snapshot *s = get_snapshot(f);
    for (int i = 0; i < N_THREADS; i++) {
        finders[i].snapshot = s;
        assert_int_equal(pthread_create(&finders[i].thread, NULL, find_both, &finders[i]), 0);
    }
    for (int i = 0; i < N_THREADS; i++) {
        pthread_join(finders[i].thread, NULL);
        assert_non_null(finders[i].view);
        assert_ptr_equal(finders[i].view, finders[0].view);
        assert_ptr_equal(finders[i].service, finders[0].service);
        assert_ptr_equal(finders[i].service->projections[0].view, finders[0].view);
    }
    tfn_snapshot_release(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(names_that_do_not_exist_are_answered_with_near_ones),
        TEST(names_come_in_byte_order),
        TEST(a_list_takes_objects_that_have_every_tag),
        TEST(a_snapshot_outlives_its_registry),
        TEST(threads_that_decode_at_once_get_one_definition),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
