/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

#include "unit/registry_fixture.h"

#include "registry/diff.c"

/* The "fields" of a change between two documents, given as canonical text. */
static void assert_fields(const char *before, const char *after, const char *expected)
{
    tfn_buf b = {0};
    tfn_arena scratch = {0};
    tfn_error err = {0};
    const tfn_code rc = tfn__diff_add_change(&b, &scratch, TFN_OBJECT_VIEW, text("v"), text(before),
                                             text(after), &err);
    if (rc != TFN_OK) {
        fail_msg("%s", err.message);
    }
    const char *fields = strstr(b.p, "\"fields\":");
    assert_non_null(fields);
    assert_string_equal(fields + sizeof "\"fields\":" - 1, expected);
    tfn_buf_deinit(&b);
    tfn_arena_deinit(&scratch);
}

static void single_values_are_shown_whole(void **state)
{
    (void)state;
    assert_fields("{\"a\":1,\"b\":\"x\"}", "{\"a\":2,\"b\":\"x\"}",
                  "[{\"field\":\"a\",\"old\":1,\"new\":2}]}");
    assert_fields("{\"a\":1}", "{\"b\":true}",
                  "[{\"field\":\"a\",\"old\":1,\"new\":null},{\"field\":\"b\",\"old\":null,\"new\":"
                  "true}]}");
    assert_fields("{\"e\":[\"x\"]}", "{\"e\":[]}",
                  "[{\"field\":\"e\",\"old\":[\"x\"],\"new\":[]}]}");
}

static void maps_are_compared_by_key(void **state)
{
    (void)state;
    assert_fields("{\"tags\":{\"a\":\"1\",\"b\":\"2\"}}", "{\"tags\":{\"b\":\"3\",\"c\":\"4\"}}",
                  "[{\"field\":\"tags.a\",\"old\":\"1\",\"new\":null},"
                  "{\"field\":\"tags.b\",\"old\":\"2\",\"new\":\"3\"},"
                  "{\"field\":\"tags.c\",\"old\":null,\"new\":\"4\"}]}");
}

#define FIELD(name, type) "{\"dtype\":\"" type "\",\"name\":\"" name "\"}"
#define SCHEMA(fields) "{\"schema\":[" fields "]}"

static void fields_are_compared_by_name(void **state)
{
    (void)state;
    assert_fields(SCHEMA(FIELD("a", "int32") "," FIELD("b", "bool")),
                  SCHEMA(FIELD("c", "date") "," FIELD("a", "int64")),
                  "[{\"field\":\"schema.c\",\"old\":null,\"new\":\"date\"},"
                  "{\"field\":\"schema.a.dtype\",\"old\":\"int32\",\"new\":\"int64\"},"
                  "{\"field\":\"schema.b\",\"old\":\"bool\",\"new\":null}]}");
    assert_fields(SCHEMA(FIELD("a", "int32") "," FIELD("b", "bool")),
                  SCHEMA(FIELD("b", "bool") "," FIELD("a", "int32")),
                  "[{\"field\":\"schema\",\"old\":[\"a\",\"b\"],\"new\":[\"b\",\"a\"]}]}");
    assert_fields(SCHEMA(), SCHEMA(FIELD("a", "int32")),
                  "[{\"field\":\"schema\",\"old\":[],\"new\":[" FIELD("a", "int32") "]}]}");
}

#define PROJECTION(view, alias, features)                                                          \
    "{\"features\":[" features "],\"name_alias\":\"" alias "\",\"view\":\"" view "\"}"
#define FEATURES(projections) "{\"features\":[" projections "]}"

static void projections_are_compared_by_alias_or_view(void **state)
{
    (void)state;
    assert_fields(FEATURES(PROJECTION("v", "", "\"a\"") "," PROJECTION("v", "w", "\"a\"")),
                  FEATURES(PROJECTION("v", "", "\"a\",\"b\"") "," PROJECTION("v", "x", "\"a\"")),
                  "[{\"field\":\"features.v.features\",\"old\":[\"a\"],\"new\":[\"a\",\"b\"]},"
                  "{\"field\":\"features.x\",\"old\":null,\"new\":[\"a\"]},"
                  "{\"field\":\"features.w\",\"old\":[\"a\"],\"new\":null}]}");
    /* The same view twice under one name: shown whole. */
    assert_fields(FEATURES(PROJECTION("v", "", "\"a\"") "," PROJECTION("v", "", "\"b\"")),
                  FEATURES(PROJECTION("v", "", "\"a\"")),
                  "[{\"field\":\"features\",\"old\":[" PROJECTION("v", "", "\"a\"") "," PROJECTION(
                      "v", "", "\"b\"") "],\"new\":[" PROJECTION("v", "", "\"a\"") "]}]}");
}

static void additions_and_removals_have_no_fields(void **state)
{
    (void)state;
    assert_fields("", "{\"a\":1}", "[]}");
    assert_fields("{\"a\":1}", "", "[]}");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(single_values_are_shown_whole),
        cmocka_unit_test(maps_are_compared_by_key),
        cmocka_unit_test(fields_are_compared_by_name),
        cmocka_unit_test(projections_are_compared_by_alias_or_view),
        cmocka_unit_test(additions_and_removals_have_no_fields),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
