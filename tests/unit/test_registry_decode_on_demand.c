/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

/* On-demand views and request sources: what holds together, and what is refused. */

#include "unit/registry_fixture.h"

#include "registry/decode_on_demand.c"

#define HASH "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"
#define FUNCTION "\"function\":{\"module\":\"features\",\"name\":\"f\",\"hash\":\"" HASH "\"}"
#define X "\"schema\":[{\"name\":\"x\",\"dtype\":\"float64\"}]"
#define REQUEST_OF(name, fields)                                                                   \
    "{\"kind\":\"data_source\",\"type\":\"request\",\"name\":\"" name "\",\"schema\":[" fields "]" \
    "}"
#define REQUEST REQUEST_OF("trip", "{\"name\":\"km\",\"dtype\":\"float64\"}")
#define ON_DEMAND(name, more)                                                                      \
    "{\"kind\":\"on_demand_feature_view\",\"name\":\"" name "\"," FUNCTION "," more "}"
#define READS(view) "\"sources\":[{\"view\":\"" view "\"}]," X
#define RATES ON_DEMAND("rates", "\"request_sources\":[\"trip\"]," READS("history"))
#define BASE ENTITY "," SOURCE "," VIEW "," REQUEST

static const tfn_on_demand_def *find_rates(fixture *f, tfn_snapshot *s)
{
    const tfn_view_def *view = NULL;
    const tfn_on_demand_def *rates = NULL;
    assert_fine(f, tfn_snapshot_find_any_view(s, text("rates"), &view, &rates, &f->err));
    assert_null(view);
    return rates;
}

static void an_on_demand_view_knows_what_it_reads_and_runs(void **state)
{
    fixture *f = *state;
    (void)apply(f, OBJECTS(RATES "," BASE));
    tfn_snapshot *s = get_snapshot(f);
    const tfn_on_demand_def *rates = find_rates(f, s);
    assert_int_equal(rates->mode, TFN_ON_DEMAND_PANDAS);
    assert_false(rates->is_singleton);
    assert_string_equal(rates->module.p, "features");
    assert_string_equal(rates->function.p, "f");
    assert_string_equal(rates->function_hash.p, HASH);
    assert_int_equal(rates->n_sources, 1);
    assert_string_equal(rates->sources[0].view->name.p, "history");
    assert_int_equal(rates->sources[0].n_features, 2); /* all of the view's */
    assert_int_equal(rates->n_requests, 1);
    assert_string_equal(rates->requests[0]->fields[0].name.p, "km");
    assert_int_equal(rates->outputs[0].type.kind, TFN_KIND_FLOAT64);
    assert_int_equal(tfn_on_demand_find_output(rates, text("x")), 0);
    assert_int_equal(tfn_on_demand_find_output(rates, text("y")), -1);
    tfn_snapshot_release(s);
}

static void views_of_one_request_may_read_each_other_in_any_order(void **state)
{
    fixture *f = *state;
    (void)apply(
        f, OBJECTS(BASE "," ON_DEMAND("a", READS("b")) "," ON_DEMAND(
               "b", READS("rates")) "," RATES ",{\"kind\":\"feature_service\",\"name\":\"m\","
                                    "\"features\":[{\"view\":\"a\"},{\"view\":\"history\"}]}"));
    tfn_snapshot *s = get_snapshot(f);
    const tfn_service_def *service = NULL;
    assert_fine(f, tfn_snapshot_find_service(s, text("m"), &service, &f->err));
    assert_null(service->projections[0].view);
    assert_string_equal(service->projections[0].features[0].p, "x"); /* filled in */
    const tfn_on_demand_def *b = service->projections[0].on_demand->sources[0].on_demand;
    assert_ptr_equal(b->sources[0].on_demand, find_rates(f, s));
    tfn_snapshot_release(s);
}

static void a_circle_is_refused_with_its_path(void **state)
{
    fixture *f = *state;
    assert_refused(f,
                   OBJECTS(ON_DEMAND("a", READS("b")) "," ON_DEMAND("b", READS("c")) "," ON_DEMAND(
                       "c", READS("a"))),
                   TFN_INVALID, "reads itself: a -> b -> c -> a");
    assert_refused(f, OBJECTS(ON_DEMAND("own", READS("own"))), TFN_INVALID,
                   "on-demand feature view 'own' reads itself: own -> own");
    (void)apply(f, OBJECTS(BASE "," RATES "," ON_DEMAND("a", READS("rates"))));
    assert_refused(f, OBJECTS(ON_DEMAND("rates", READS("a"))), TFN_INVALID, "reads itself");
}

static void a_chain_has_a_bounded_length(void **state)
{
    fixture *f = *state;
    tfn_buf request = {0};
    (void)apply(f, OBJECTS(BASE));
    assert_fine(f, tfn_buf_add_text(&request, "{\"objects\":[", &f->err));
    for (int i = 0; i < TFN__MAX_ON_DEMAND_DEPTH; i++) {
        assert_fine(f, tfn_buf_add_format(&request, &f->err,
                                          "%s{\"kind\":\"on_demand_feature_view\",\"name\":"
                                          "\"v%02d\"," FUNCTION "," X
                                          ",\"sources\":[{\"view\":\"v%02d\"}]}",
                                          i == 0 ? "" : ",", i, i + 1));
    }
    const size_t n_bytes = request.n;
    assert_fine(f,
                tfn_buf_add_format(&request, &f->err, ",%s]}", ON_DEMAND("v32", READS("history"))));
    assert_int_equal(TFN__MAX_ON_DEMAND_DEPTH, 32);
    assert_refused(f, request.p, TFN_LIMIT, "so deep a chain is refused");
    request.n = n_bytes;
    assert_fine(f, tfn_buf_add_format(&request, &f->err, "]}"));
    char *shorter = request.p;
    memcpy(strstr(shorter, "\"view\":\"v32\""), "\"view\":\"v99\"", 12);
    assert_refused(f, shorter, TFN_NOT_FOUND, "'v99'");
    tfn_buf_deinit(&request);
}

typedef struct bad {
    const char *request;
    tfn_code code;
    const char *part;
} bad;

static const bad bads[] = {
    {OBJECTS(ON_DEMAND("v", X)), TFN_INVALID, "'v' has no sources"},
    {OBJECTS(ON_DEMAND("v", "\"sources\":[{\"view\":\"history\"}]")), TFN_INVALID,
     "'v' has no fields"},
    {OBJECTS(ON_DEMAND("v", READS("nothing"))), TFN_NOT_FOUND,
     "on-demand feature view 'v' uses the feature view 'nothing'"},
    {OBJECTS(ON_DEMAND("v", X ",\"sources\":[{\"view\":\"history\",\"features\":[\"dely\"]}]")),
     TFN_NOT_FOUND, "uses the feature 'dely', which the feature view 'history' does not have"},
    {OBJECTS(ON_DEMAND("v", X ",\"sources\":[{\"view\":\"rates\",\"features\":[\"y\"]}]")),
     TFN_NOT_FOUND, "uses the feature 'y', which the on-demand feature view 'rates' does not"},
    {OBJECTS(ON_DEMAND("v", X ",\"sources\":[{\"view\":\"history\",\"features\":[\"tailnum\"]}]")),
     TFN_INVALID, "is a join key and no feature"},
    {OBJECTS(
         ON_DEMAND("v", X ",\"sources\":[{\"view\":\"rates\",\"join_key_map\":{\"a\":\"b\"}}]")),
     TFN_INVALID, "which has none of its own"},
    {OBJECTS(ON_DEMAND("v", X ",\"sources\":[{\"view\":\"history\"},{\"view\":\"history\","
                              "\"features\":[\"legs\"]}]")),
     TFN_INVALID, "reads 'history' twice; give one of them another name"},
    {OBJECTS(REQUEST_OF("r", "{\"name\":\"delay\",\"dtype\":\"int64\"}") "," ON_DEMAND(
         "v", "\"request_sources\":[\"r\"]," READS("history"))),
     TFN_INVALID, "reads 'delay' both from 'history' and from its request"},
    {OBJECTS(REQUEST_OF("r", "{\"name\":\"km\",\"dtype\":\"int64\"}") "," ON_DEMAND(
         "v", X ",\"request_sources\":[\"trip\",\"r\"]")),
     TFN_INVALID, "two request sources with the field 'km', as float64 and as int64"},
    {OBJECTS(ON_DEMAND("v", X ",\"request_sources\":[\"planes\"]")), TFN_INVALID,
     "'planes', which is no request source"},
    {OBJECTS(ON_DEMAND("v", X ",\"request_sources\":[\"no\"]")), TFN_NOT_FOUND, "data source 'no'"},
    {OBJECTS(ON_DEMAND("v", "\"entities\":[\"car\"]," READS("history"))), TFN_NOT_FOUND,
     "uses the entity 'car'"},
    {OBJECTS(ON_DEMAND("v", "\"singleton\":true," READS("history"))), TFN_INVALID,
     "needs the mode 'python'"},
    {OBJECTS(ON_DEMAND("v", "\"mode\":\"substrait\"," READS("history"))), TFN_UNSUPPORTED,
     "there are 'pandas' and 'python'"},
    {OBJECTS(ON_DEMAND("v", "\"mode\":\"spark\"," READS("history"))), TFN_INVALID,
     "'mode' must be 'pandas' or 'python'"},
    {OBJECTS(ON_DEMAND("v", "\"write_to_online_store\":true," READS("history"))), TFN_UNSUPPORTED,
     "computed when they are read"},
    {OBJECTS(ON_DEMAND("v", "\"aggregations\":[{}]," READS("history"))), TFN_UNSUPPORTED,
     "has aggregations"},
    {OBJECTS(ON_DEMAND("HISTORY", READS("rates"))), TFN_INVALID,
     "on-demand feature view 'HISTORY' differs from the existing feature view 'history' only in "
     "upper and lower case"},
    {OBJECTS(ON_DEMAND("history", READS("rates"))), TFN_INVALID,
     "on-demand feature view 'history' has the name of the existing feature view 'history'"},
    {OBJECTS(ON_DEMAND("a:b", READS("rates"))), TFN_INVALID, "cannot contain ':'"},
    {OBJECTS("{\"kind\":\"on_demand_feature_view\",\"name\":\"v\"," READS("rates") "}"),
     TFN_INVALID, "has no 'function'"},
    {OBJECTS("{\"kind\":\"on_demand_feature_view\",\"name\":\"v\",\"function\":{\"module\":\"m\","
             "\"name\":\"f\",\"hash\":\"AB\"}," READS("rates") "}"),
     TFN_INVALID, "function 'f' of on-demand feature view 'v': 'hash' must be a SHA-256"},
    {OBJECTS(REQUEST_OF("r", "")), TFN_INVALID, "data source 'r' has no fields"},
    {OBJECTS("{\"kind\":\"feature_view\",\"name\":\"w\",\"source\":\"trip\"}"), TFN_INVALID,
     "which is a request source and holds no rows"},
    {OBJECTS(
         "{\"kind\":\"data_source\",\"type\":\"push\",\"name\":\"p\",\"batch_source\":\"trip\"}"),
     TFN_INVALID, "which is a request source; it must be a file source"},
};

static void what_does_not_hold_together_is_refused_in_a_sentence(void **state)
{
    fixture *f = *state;
    (void)apply(f, OBJECTS(BASE "," RATES));
    for (size_t i = 0; i < sizeof bads / sizeof *bads; i++) {
        assert_refused(f, bads[i].request, bads[i].code, bads[i].part);
    }
}

static void a_function_of_feasts_has_no_module(void **state)
{
    fixture *f = *state;
    apply(f, EVERYTHING);
    apply(f,
          OBJECTS("{\"kind\":\"on_demand_feature_view\",\"name\":\"v\",\"function\":{"
                  "\"module\":\"\",\"name\":\"f\",\"hash\":\"" HASH "\"}," READS("history") "}"));
    assert_refused(f,
                   OBJECTS("{\"kind\":\"on_demand_feature_view\",\"name\":\"w\",\"function\":"
                           "{\"name\":\"f\",\"hash\":\"" HASH "\"}," READS("history") "}"),
                   TFN_INVALID, "has no 'module', which must be a text");
}

static void what_an_on_demand_view_uses_is_not_removed(void **state)
{
    fixture *f = *state;
    (void)apply(
        f, OBJECTS(BASE "," RATES "," ON_DEMAND(
               "a", READS("rates")) ",{\"kind\":\"feature_service\",\"name\":\"m\",\"features\":"
                                    "[{\"view\":\"a\"}]}"));
    assert_refused(f, "{\"delete\":[{\"kind\":\"feature_view\",\"name\":\"history\"}]}",
                   TFN_INVALID,
                   "feature view 'history' cannot be removed: on-demand feature view 'rates' uses");
    assert_refused(f, "{\"delete\":[{\"kind\":\"data_source\",\"name\":\"trip\"}]}", TFN_INVALID,
                   "data source 'trip' cannot be removed: on-demand feature view 'rates' uses it");
    assert_refused(f, "{\"delete\":[{\"kind\":\"on_demand_feature_view\",\"name\":\"rates\"}]}",
                   TFN_INVALID, "cannot be removed: on-demand feature view 'a' uses it");
    assert_refused(f, "{\"delete\":[{\"kind\":\"on_demand_feature_view\",\"name\":\"a\"}]}",
                   TFN_INVALID, "cannot be removed: feature service 'm' uses it");
    assert_has(apply(f, "{\"delete\":[{\"kind\":\"feature_service\",\"name\":\"m\"},"
                        "{\"kind\":\"on_demand_feature_view\",\"name\":\"a\"}]}"),
               "\"kind\":\"on_demand_feature_view\",\"name\":\"a\"");
}

static void a_plan_shows_what_changed_in_the_function(void **state)
{
    fixture *f = *state;
    (void)apply(f, OBJECTS(BASE "," RATES));
    const char *changed =
        plan(f, OBJECTS("{\"kind\":\"on_demand_feature_view\",\"name\":\"rates\",\"function\":{"
                        "\"module\":\"features\",\"name\":\"g\",\"hash\":\"" HASH "\"},"
                        "\"request_sources\":[\"trip\"]," READS("history") "}"));
    assert_has(changed, "{\"field\":\"function.name\",\"old\":\"f\",\"new\":\"g\"}");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(an_on_demand_view_knows_what_it_reads_and_runs),
        TEST(views_of_one_request_may_read_each_other_in_any_order),
        TEST(a_circle_is_refused_with_its_path),
        TEST(a_chain_has_a_bounded_length),
        TEST(what_does_not_hold_together_is_refused_in_a_sentence),
        TEST(a_function_of_feasts_has_no_module),
        TEST(what_an_on_demand_view_uses_is_not_removed),
        TEST(a_plan_shows_what_changed_in_the_function),
    };
    return cmocka_run_group_tests_name("registry_decode_on_demand", tests, NULL, NULL);
}
