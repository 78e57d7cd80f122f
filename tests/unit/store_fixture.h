/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */
#ifndef TFN_TESTS_STORE_FIXTURE_H
#define TFN_TESTS_STORE_FIXTURE_H

/*
 * A store in a temporary folder with a definition or two and some rows online, for tests of the
 * store's verbs in C. Definitions go straight to the registry, because an apply would look for the
 * files that they name, and DuckDB can be loaded in a Python process only.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "unit/arrow_make.h"

#include "registry/registry.h"
#include "tiffin/store.h"

typedef struct store_fixture {
    char folder[64];
    char registry_path[128];
    char online_path[128];
    tfn_store *store;
} store_fixture;

static const char store_definitions[] =
    "{\"objects\":["
    "{\"kind\":\"entity\",\"name\":\"plane\",\"join_key\":\"tailnum\",\"value_type\":\"string\"},"
    "{\"kind\":\"entity\",\"name\":\"seat\",\"join_key\":\"seat_id\",\"value_type\":\"int64\"},"
    "{\"kind\":\"data_source\",\"name\":\"planes\",\"type\":\"file\",\"path\":\"planes.parquet\","
    "\"timestamp_field\":\"event_timestamp\",\"created_timestamp_column\":\"created\"},"
    "{\"kind\":\"feature_view\",\"name\":\"plane_facts\",\"entities\":[\"plane\"],"
    "\"join_keys\":[\"tailnum\"],\"source\":\"planes\",\"ttl_us\":3600000000,\"schema\":["
    "{\"name\":\"age\",\"dtype\":\"int64\"},{\"name\":\"maker\",\"dtype\":\"string\"},"
    "{\"name\":\"delays\",\"dtype\":\"array<float64>\"}]},"
    "{\"kind\":\"feature_view\",\"name\":\"never_loaded\",\"entities\":[\"plane\",\"seat\"],"
    "\"join_keys\":[\"tailnum\",\"seat_id\"],\"source\":\"planes\",\"ttl_us\":0,\"schema\":["
    "{\"name\":\"width\",\"dtype\":\"float32\"}]},"
    "{\"kind\":\"feature_service\",\"name\":\"model\",\"features\":["
    "{\"view\":\"plane_facts\",\"name_alias\":\"\",\"features\":[\"maker\",\"age\"],"
    "\"join_key_map\":{}}]}"
    "]}";

#define STORE_DIGEST "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"
#define STORE_FUNCTION                                                                             \
    "\"function\":{\"module\":\"features\",\"name\":\"f\",\"hash\":\"" STORE_DIGEST "\"}"
#define STORE_FIELD(name, type) "{\"name\":\"" name "\",\"dtype\":\"" type "\"}"

/* rates reads a view under its own keys and under others, and a request; chain reads rates. */
MAKE_UNUSED static const char store_on_demand[] =
    "{\"objects\":["
    "{\"kind\":\"data_source\",\"type\":\"request\",\"name\":\"trip\","
    "\"schema\":[" STORE_FIELD(
        "km",
        "float64") "]},"
                   "{\"kind\":\"on_demand_feature_view\",\"name\":\"chain\"," STORE_FUNCTION
                   ",\"mode\":\"python\",\"singleton\":true,\"sources\":[{\"view\":\"rates\"}],"
                   "\"request_sources\":[\"trip\"],\"schema\":[" STORE_FIELD(
                       "z",
                       "string") "]},"
                                 "{\"kind\":\"on_demand_feature_view\",\"name\":"
                                 "\"rates\"," STORE_FUNCTION
                                 ",\"sources\":[{\"view\":\"plane_facts\",\"features\":[\"age\","
                                 "\"maker\"]},"
                                 "{\"view\":\"plane_facts\",\"name_alias\":\"other\",\"features\":["
                                 "\"age\"],"
                                 "\"join_key_map\":{\"tailnum\":\"other_tailnum\"}}],"
                                 "\"schema\":[" STORE_FIELD("x", "int64") "," STORE_FIELD(
                                     "y",
                                     "float64") "]},"
                                                "{\"kind\":\"on_demand_feature_view\",\"name\":"
                                                "\"bare\"," STORE_FUNCTION
                                                ",\"request_sources\":[\"trip\"],\"schema\":"
                                                "[" STORE_FIELD(
                                                    "w",
                                                    "bool") "]},"
                                                            "{\"kind\":\"feature_service\","
                                                            "\"name\":\"mixed\",\"features\":["
                                                            "{\"view\":\"chain\"},{\"view\":"
                                                            "\"plane_facts\",\"features\":[\"age\"]"
                                                            "},"
                                                            "{\"view\":\"rates\",\"name_alias\":"
                                                            "\"r\",\"features\":[\"y\"]}]}"
                                                            "]}";

#define assert_ok(expr)                                                                            \
    do {                                                                                           \
        tfn_error err_ = {0};                                                                      \
        tfn_error *err = &err_;                                                                    \
        if ((expr) != TFN_OK) {                                                                    \
            fail_msg("%s: %s", #expr, err_.message);                                               \
        }                                                                                          \
    } while (0)

static void store_define(const store_fixture *f, const char *request)
{
    tfn_registry *registry = NULL;
    tfn_buf answer = {0};
    assert_ok(tfn_registry_open(f->registry_path, TFN_REGISTRY_CREATE, NULL, &registry, err));
    assert_ok(tfn_registry_apply(registry, tfn_str_of("fleet"), tfn_str_of(request), &answer, err));
    tfn_buf_deinit(&answer);
    tfn_registry_close(registry);
}

MAKE_UNUSED static void store_open(store_fixture *f, tfn_online_ttl online_ttl)
{
    const tfn_store_opts opts = {.struct_size = sizeof opts,
                                 .project = "fleet",
                                 .registry_path = f->registry_path,
                                 .online_path = f->online_path,
                                 .base_path = f->folder,
                                 .online_ttl = (int32_t)online_ttl};
    assert_ok(tfn_store_open(&opts, &f->store, err));
}

MAKE_UNUSED static void store_setup(store_fixture *f)
{
    *f = (store_fixture){.folder = "/tmp/tiffin-store-XXXXXX"};
    assert_non_null(mkdtemp(f->folder));
    (void)snprintf(f->registry_path, sizeof f->registry_path, "%s/registry.db", f->folder);
    (void)snprintf(f->online_path, sizeof f->online_path, "%s/online", f->folder);
    store_define(f, store_definitions);
}

MAKE_UNUSED static void store_teardown(store_fixture *f)
{
    tfn_store_close(f->store);
    char command[160];
    (void)snprintf(command, sizeof command, "rm -rf '%s'", f->folder);
    assert_int_equal(system(command), 0);
}

/* Three planes; the third has nulls. Event times are 2013-01-01T00:00:00Z + 0, 60 and 120 s. */
enum { STORE_T0_S = 1356998400 };

static void store_make_planes(struct ArrowArrayStream *out)
{
    static const char *tailnums[] = {"N14228", "N24211", "N619AA"};
    static const int64_t times[] = {INT64_C(1356998400000000), INT64_C(1356998460000000),
                                    INT64_C(1356998520000000)};
    static const int64_t ages[] = {14, 15, 0};
    static const uint8_t age_valid[] = {1, 1, 0};
    static const char *makers[] = {"BOEING", "AIRBUS INDUSTRIE", NULL};
    static const int32_t lengths[] = {2, 0, 1};
    static const double delays[] = {1.5, -2.5, 4.0};
    const make_col columns[] = {
        {.name = "tailnum", .format = "u", .values = tailnums},
        {.name = "event_timestamp", .format = "tsu:UTC", .values = times},
        {.name = "created", .format = "tsu:UTC", .values = times},
        {.name = "age", .format = "l", .values = ages, .valid = age_valid},
        {.name = "maker", .format = "u", .values = makers},
        {.name = "delays", .format = "+l", .item = "g", .lengths = lengths, .values = delays},
    };
    make_stream(columns, 6, 3, 2, out);
}

MAKE_UNUSED static void store_load_planes(store_fixture *f)
{
    struct ArrowArrayStream planes;
    char *report = NULL;
    store_make_planes(&planes);
    assert_ok(tfn_store_write_online(f->store, "plane_facts", &planes, &report, err));
    tfn_text_destroy(report);
}

MAKE_UNUSED static tfn_value text_value(const char *text)
{
    return (tfn_value){.kind = TFN_VALUE_STRING, .text = text, .n = strlen(text)};
}

#endif
