/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

#include "unit/column_make.h"

#include "column/type.c"

static const tfn_kind all_kinds[] = {TFN_KIND_BOOL,    TFN_KIND_INT32,   TFN_KIND_INT64,
                                     TFN_KIND_FLOAT32, TFN_KIND_FLOAT64, TFN_KIND_STRING,
                                     TFN_KIND_BYTES,   TFN_KIND_DATE,    TFN_KIND_TIMESTAMP};
enum { N_ALL = sizeof all_kinds / sizeof all_kinds[0] };

static tfn_type type_of(tfn_kind kind, bool is_list)
{
    return (tfn_type){.kind = (uint8_t)kind, .is_list = is_list};
}

static void every_type_reads_back_from_its_text(void **state)
{
    (void)state;
    for (size_t i = 0; i < N_ALL; i++) {
        for (int is_list = 0; is_list <= 1; is_list++) {
            const tfn_type type = type_of(all_kinds[i], is_list != 0);
            char text[TFN_TYPE_TEXT_BYTES];
            tfn_type_format(type, text);
            tfn_type back;
            assert_int_equal(tfn_type_parse(tfn_str_of(text), &back, NULL), TFN_OK);
            assert_true(tfn_type_same(type, back));
            assert_int_equal(back.unit, type.kind == TFN_KIND_TIMESTAMP ? TFN_UNIT_US : 0);
        }
    }
}

static tfn_type read_type(const char *text)
{
    tfn_type type;
    char back[TFN_TYPE_TEXT_BYTES];
    assert_int_equal(tfn_type_parse(tfn_str_of(text), &type, NULL), TFN_OK);
    tfn_type_format(type, back);
    assert_string_equal(back, text);
    return type;
}

static void a_meaning_is_kept_beside_the_kind(void **state)
{
    (void)state;
    static const char *const texts[] = {"uuid", "time_uuid", "decimal", "json", "map", "struct"};
    for (size_t i = 0; i < 6; i++) {
        char list[2 * TFN_TYPE_TEXT_BYTES];
        const tfn_type type = read_type(texts[i]);
        assert_true(tfn_type_same(type, (tfn_type){.kind = TFN_KIND_STRING}));
        assert_true(tfn_type_is_logical(type));
        assert_false(tfn_type_is_key(type));
        (void)snprintf(list, sizeof list, "array<%s>", texts[i]);
        assert_true(read_type(list).is_list);
        assert_false(read_type(list).is_set);
    }
    for (size_t i = 0; i < N_ALL; i++) {
        char name[TFN_TYPE_TEXT_BYTES];
        char set[2 * TFN_TYPE_TEXT_BYTES];
        tfn_type_format(type_of(all_kinds[i], false), name);
        (void)snprintf(set, sizeof set, "set<%s>", name);
        const tfn_type type = read_type(set);
        assert_true(tfn_type_same(type, type_of(all_kinds[i], true)));
        assert_true(type.is_set && tfn_type_is_logical(type));
    }
    assert_true(read_type("set<time_uuid>").is_set);
    assert_false(tfn_type_is_logical(read_type("array<string>")));
}

static void meanings_are_read_as_each_other_where_nothing_is_lost(void **state)
{
    (void)state;
    static const struct {
        const char *declared;
        const char *found;
        bool can;
    } pairs[] = {
        {"uuid", "string", true},
        {"decimal", "string", true},
        {"map", "string", true},
        {"uuid", "time_uuid", true},
        {"uuid", "decimal", false},
        {"decimal", "uuid", false},
        {"map", "struct", true},
        {"struct", "map", true},
        {"json", "map", true},
        {"json", "struct", true},
        {"string", "uuid", true},
        {"string", "json", true},
        {"string", "decimal", false},
        {"string", "map", false},
        {"string", "struct", false},
        {"decimal", "float64", false},
        {"float64", "decimal", false},
        {"set<int64>", "array<int64>", true},
        {"array<int64>", "set<int64>", true},
        {"set<int64>", "int64", false},
        {"array<uuid>", "array<string>", true},
        {"array<json>", "array<map>", true},
    };
    for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++) {
        print_message("# %s from %s\n", pairs[i].declared, pairs[i].found);
        assert_int_equal(tfn_type_can_read(read_type(pairs[i].declared), read_type(pairs[i].found)),
                         pairs[i].can);
    }
}

static void other_texts_are_refused_and_named(void **state)
{
    (void)state;
    static const char *const texts[] = {"",
                                        "int",
                                        "INT64",
                                        "array<int64",
                                        "array<>",
                                        "array",
                                        "int64 ",
                                        "list<int64>",
                                        "null",
                                        "array<array<int64>>",
                                        "array<null>",
                                        "set<json>",
                                        "set<map>",
                                        "set<struct>",
                                        "set<array<int64>>",
                                        "struct<a:int64>"};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        tfn_type type;
        tfn_error err = {0};
        assert_int_equal(tfn_type_parse(tfn_str_of(texts[i]), &type, &err), TFN_INVALID);
        assert_text(err.message, texts[i]);
        assert_text(err.message, "timestamp");
        assert_int_equal(type.kind, TFN_KIND_NONE);
    }
}

static void widths_are_those_of_the_values(void **state)
{
    (void)state;
    static const size_t widths[N_ALL] = {1, 4, 8, 4, 8, 0, 0, 4, 8};
    for (size_t i = 0; i < N_ALL; i++) {
        assert_int_equal(tfn_type_width(type_of(all_kinds[i], false)), widths[i]);
        assert_int_equal(tfn_type_width(type_of(all_kinds[i], true)), 0);
    }
    assert_int_equal(tfn_type_width((tfn_type){.kind = 99}), 0);
}

static void floats_and_lists_are_no_keys(void **state)
{
    (void)state;
    for (size_t i = 0; i < N_ALL; i++) {
        const bool is_float = all_kinds[i] == TFN_KIND_FLOAT32 || all_kinds[i] == TFN_KIND_FLOAT64;
        assert_int_equal(tfn_type_is_key(type_of(all_kinds[i], false)), !is_float);
        assert_false(tfn_type_is_key(type_of(all_kinds[i], true)));
    }
    assert_false(tfn_type_is_key(type_of(TFN_KIND_NONE, false)));
}

static void keys_are_read_from_floats_as_well(void **state)
{
    (void)state;
    for (size_t i = 0; i < N_ALL; i++) {
        for (size_t k = 0; k < N_ALL; k++) {
            const bool is_integer =
                all_kinds[i] == TFN_KIND_INT32 || all_kinds[i] == TFN_KIND_INT64;
            const bool is_float =
                all_kinds[k] == TFN_KIND_FLOAT32 || all_kinds[k] == TFN_KIND_FLOAT64;
            const tfn_type declared = type_of(all_kinds[i], false);
            const tfn_type found = type_of(all_kinds[k], false);
            assert_int_equal(tfn_type_can_read_key(declared, found),
                             (is_integer && is_float) || tfn_type_can_read(declared, found));
            assert_false(tfn_type_can_read_key(declared, type_of(all_kinds[k], true)));
        }
    }
}

static void data_is_read_as_another_type_only_without_guessing(void **state)
{
    (void)state;
    /* rows: declared, columns: found; order of all_kinds */
    static const char *const can[N_ALL] = {
        "x........", /* bool */
        ".xx......", /* int32 */
        ".xx......", /* int64 */
        ".xxxx....", /* float32 */
        ".xxxx....", /* float64 */
        ".....x...", /* string */
        "......x..", /* bytes */
        ".......x.", /* date */
        ".......xx", /* timestamp */
    };
    for (size_t i = 0; i < N_ALL; i++) {
        for (size_t k = 0; k < N_ALL; k++) {
            const bool wanted = can[i][k] == 'x';
            assert_int_equal(
                tfn_type_can_read(type_of(all_kinds[i], false), type_of(all_kinds[k], false)),
                wanted);
            assert_int_equal(
                tfn_type_can_read(type_of(all_kinds[i], true), type_of(all_kinds[k], true)),
                wanted);
            assert_false(
                tfn_type_can_read(type_of(all_kinds[i], true), type_of(all_kinds[k], false)));
            assert_false(
                tfn_type_can_read(type_of(all_kinds[i], false), type_of(all_kinds[k], true)));
        }
        assert_true(tfn_type_can_read(type_of(all_kinds[i], false), type_of(TFN_KIND_NONE, false)));
        assert_true(tfn_type_can_read(type_of(all_kinds[i], true), type_of(TFN_KIND_NONE, false)));
        assert_true(tfn_type_can_read(type_of(all_kinds[i], true), type_of(TFN_KIND_NONE, true)));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_type_reads_back_from_its_text),
        cmocka_unit_test(a_meaning_is_kept_beside_the_kind),
        cmocka_unit_test(meanings_are_read_as_each_other_where_nothing_is_lost),
        cmocka_unit_test(other_texts_are_refused_and_named),
        cmocka_unit_test(widths_are_those_of_the_values),
        cmocka_unit_test(floats_and_lists_are_no_keys),
        cmocka_unit_test(keys_are_read_from_floats_as_well),
        cmocka_unit_test(data_is_read_as_another_type_only_without_guessing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
