/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */
#include "unit/base_make.h"

#include "server/yaml.c"

static tfn_arena arena;

static int set_up(void **state)
{
    (void)state;
    tfn_arena_init(&arena, 0);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    tfn_arena_deinit(&arena);
    return 0;
}

static const tfn_yaml *read_tree(const char *text)
{
    const tfn_yaml *root = NULL;
    tfn_error err = {0};
    assert_ok(tfn_yaml_read(tfn_str_of(text), "t.yaml", &arena, &root, &err), err);
    return root;
}

static void reads_as(const char *text, const char *repr)
{
    tfn_buf shown = {0};
    tfn_error err = {0};
    assert_ok(tfn_yaml_add_repr(read_tree(text), &shown, &err), err);
    assert_string_equal(shown.p, repr);
    tfn_buf_deinit(&shown);
}

static void refuse_code(const char *text, tfn_code code, const char *sentence)
{
    const tfn_yaml *root = NULL;
    tfn_error err = {0};
    assert_int_equal(tfn_yaml_read(tfn_str_of(text), "t.yaml", &arena, &root, &err), code);
    if (strstr(err.message, sentence) == NULL) {
        fail_msg("'%s' is not in '%s'", sentence, err.message);
    }
    assert_null(root);
}

static void refuse(const char *text, const char *sentence)
{
    refuse_code(text, TFN_INVALID, sentence);
}

/* What PyYAML 6's safe_load makes of each, by repr(). */
static void scalars_are_what_pyyaml_says(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"", "None"},
        {"~", "None"},
        {"NULL", "None"},
        {"nULL", "'nULL'"},
        {"yes", "True"},
        {"Off", "False"},
        {"y", "'y'"},
        {"'yes'", "'yes'"},
        {"0", "0"},
        {"-12_3", "-123"},
        {"+1", "1"},
        {"010", "8"},
        {"08", "'08'"},
        {"0x_Ff", "255"},
        {"-0b101", "-5"},
        {"190:20:30", "685230"},
        {"-1:30", "-90"},
        {"1:60", "'1:60'"},
        {"9223372036854775807", "9223372036854775807"},
        {"-9223372036854775808", "-9223372036854775808"},
        {"9223372036854775808", "9223372036854775808"},
        {"1.5", "1.5"},
        {"1.", "1.0"},
        {".5", "0.5"},
        {"-.5", "'-.5'"},
        {"1e5", "'1e5'"},
        {"1.0e5", "'1.0e5'"},
        {"1.0e+5", "100000.0"},
        {"1.0e+16", "1e+16"},
        {"1.5e-7", "1.5e-07"},
        {"0.1", "0.1"},
        {"123456.789", "123456.789"},
        {"1:30.5", "90.5"},
        {"-.INF", "-inf"},
        {".nan", "nan"},
        {"-.nan", "'-.nan'"},
        {"2020-01-02", "datetime.date(2020, 1, 2)"},
        {"2020-1-2", "'2020-1-2'"},
        {"2020-01-02T03:04:05Z", "2020-01-02T03:04:05Z"},
        {"20200102", "20200102"},
        {"it's", "\"it's\""},
        {"\"a'\\\"\\n\\x01\\\\\"", "'a\\'\"\\n\\x01\\\\'"},
        {"!!str 12", "'12'"},
        {"!!int '12'", "12"},
        {"!!float '1.5'", "1.5"},
        {"!!bool 'no'", "False"},
        {"!!null x", "None"},
        {"[1, [a, {}], {b: ~, 2: c}]", "[1, ['a', {}], {'b': None, 2: 'c'}]"},
        {"a: &x [1]\nb: *x", "{'a': [1], 'b': [1]}"},
        {"a: 1\nb: 2\na: 3", "{'a': 3, 'b': 2}"},
        {"x: &x {a: 1, b: 2}\ny: {b: 3, <<: *x}", "{'x': {'a': 1, 'b': 2}, 'y': {'a': 1, 'b': 3}}"},
        {"- &x {a: 1}\n- &y {a: 2, b: 3}\n- {<<: [*x, *y]}",
         "[{'a': 1}, {'a': 2, 'b': 3}, {'a': 1, 'b': 3}]"},
        {"'<<': 1", "{'<<': 1}"},
        {"|\n a\n b\n", "'a\\nb\\n'"},
        {"# only a comment", "None"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        reads_as(cases[i][0], cases[i][1]);
    }
}

static void what_is_not_yaml_names_its_line(void **state)
{
    (void)state;
    refuse("a: b: c", "t.yaml, line 1: not YAML: mapping values are not allowed");
    refuse("a: 1\nb: [", "t.yaml, line 2: not YAML: ");
    refuse("a: *b", "line 1: not YAML: found undefined alias");
    refuse("a: &x 1\nb: &x 2", "line 2: not YAML: found duplicate anchor");
    refuse("a: &x [*x]", "found an alias inside what it names");
    refuse("a\n---\nb", "expected a single document");
    refuse("!mine a", "the tag '!mine' means nothing here");
    refuse("!!set {a}", "the tag 'tag:yaml.org,2002:set' means nothing here");
    refuse("!!int x", "'x' is no value of its tag");
    refuse("0b_", "'0b_' is no value of its tag");
    refuse("=", "the tag '=' means nothing here");
    refuse("? {a: 1}\n: b", "found unhashable key");
    refuse("<<: [1]", "<< takes a mapping or a list of mappings");
    refuse("a: \xff", "t.yaml is not UTF-8 text (byte 3)");
    refuse("a: \x01", "not YAML: control characters are not allowed");
}

static void limits_hold(void **state)
{
    (void)state;
    char deep[2 * TFN_YAML_MAX_DEPTH + 3];
    memset(deep, '[', sizeof deep);
    deep[TFN_YAML_MAX_DEPTH + 1] = '\0';
    refuse_code(deep, TFN_LIMIT, "nested more than 64 deep");
    char *large = NULL;
    tfn_error err = {0};
    assert_ok(tfn_mem_alloc_uninit(TFN_YAML_MAX_BYTES + 2, 1, (void **)&large, &err), err);
    memset(large, '#', TFN_YAML_MAX_BYTES + 1);
    large[TFN_YAML_MAX_BYTES + 1] = '\0';
    refuse_code(large, TFN_LIMIT, "a configuration has at most 1048576");
    tfn_mem_free(large);
}

/* 2,000 merges of 1,000 pairs would be a long loop out of a short file. */
static void merged_pairs_are_counted(void **state)
{
    (void)state;
    tfn_buf text = {0};
    tfn_error err = {0};
    assert_ok(tfn_buf_add_text(&text, "- &x {", &err), err);
    for (int i = 0; i < 1000; i++) {
        assert_ok(tfn_buf_add_format(&text, &err, "k%d: 1, ", i), err);
    }
    assert_ok(tfn_buf_add_text(&text, "}\n- <<: [", &err), err);
    for (int i = 0; i < 2000; i++) {
        assert_ok(tfn_buf_add_text(&text, "*x, ", &err), err);
    }
    assert_ok(tfn_buf_add_text(&text, "]\n", &err), err);
    refuse_code(text.p, TFN_LIMIT, "line 2: << copies more than 65536 pairs in all");
    tfn_buf_deinit(&text);
}

static void aliases_of_aliases_are_shared_and_shown_cut(void **state)
{
    (void)state;
    tfn_buf text = {0};
    tfn_buf shown = {0};
    tfn_error err = {0};
    assert_ok(tfn_buf_add_text(&text, "a0: &a0 [lol\xc3\xa4]\n", &err), err);
    for (int i = 1; i <= 40; i++) {
        assert_ok(tfn_buf_add_format(&text, &err, "a%d: &a%d [*a%d, *a%d, *a%d]\n", i, i, i - 1,
                                     i - 1, i - 1),
                  err);
    }
    const tfn_yaml *root = read_tree(text.p);
    assert_ok(tfn_yaml_add_repr(tfn_yaml_get(root, "a40"), &shown, &err), err);
    assert_in_range(shown.n, 1, 300);
    assert_true(tfn_str_is_utf8(tfn_buf_get_str(&shown)));
    tfn_buf_deinit(&shown);
    tfn_buf_init(&shown, 10000);
    assert_int_equal(tfn_yaml_add_json(root, &shown, &err), TFN_LIMIT);
    tfn_buf_deinit(&shown);
    tfn_buf_deinit(&text);
}

static void json_is_json(void **state)
{
    (void)state;
    tfn_buf shown = {0};
    tfn_error err = {0};
    assert_ok(tfn_yaml_add_json(read_tree("{a: [1, 2.5, yes, ~, \"q\\\"\"], 1: 2020-01-02, "
                                          "big: 99999999999999999999}"),
                                &shown, &err),
              err);
    assert_string_equal(shown.p, "{\"a\": [1, 2.5, true, null, \"q\\\"\"], \"1\": \"2020-01-02\", "
                                 "\"big\": \"99999999999999999999\"}");
    tfn_buf_deinit(&shown);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(scalars_are_what_pyyaml_says, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_is_not_yaml_names_its_line, set_up, tear_down),
        cmocka_unit_test_setup_teardown(limits_hold, set_up, tear_down),
        cmocka_unit_test_setup_teardown(merged_pairs_are_counted, set_up, tear_down),
        cmocka_unit_test_setup_teardown(aliases_of_aliases_are_shared_and_shown_cut, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(json_is_json, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
