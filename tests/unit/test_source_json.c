/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

/* The statements that read newline JSON, made without a DuckDB: tests/integration/test_json.py runs
 * them. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "source/json.c"

enum { N_COLUMNS = 3 };

typedef struct fixture {
    tfn__file files[2];
    tfn_source_column columns[N_COLUMNS];
    tfn__sql_column sql_columns[N_COLUMNS];
    tfn__files f;
} fixture;

static void set_column(fixture *x, size_t i, const char *name, const char *type, bool is_hive)
{
    const tfn_str word = tfn_str_of(type);
    x->columns[i] = (tfn_source_column){.name = tfn_str_of(name),
                                        .type = tfn__duck_type_read(word),
                                        .native_type = word,
                                        .is_text = !is_hive};
    x->sql_columns[i] =
        (tfn__sql_column){.name = tfn_str_of(name), .type = word, .is_hive = is_hive};
}

static void make(fixture *x)
{
    *x = (fixture){
        .files = {{.path = tfn_str_of("/d/a'b.json")}, {.path = tfn_str_of("/d/c.json")}}};
    set_column(x, 0, "od\"d", "BIGINT", false);
    set_column(x, 1, "words", "VARCHAR[]", false);
    set_column(x, 2, "part", "BIGINT", true);
    x->f = (tfn__files){.base = {.columns = x->columns, .n_columns = N_COLUMNS},
                        .list = {.files = x->files, .n_files = 2, .format = TFN_FORMAT_JSON},
                        .sql_columns = x->sql_columns};
}

static void build(const fixture *x, const tfn_type *types, const size_t *indexes, size_t n,
                  tfn_arena *arena, tfn__scan_sql *out)
{
    const tfn_scan scan = {.n_columns = n, .types = types};
    *out = (tfn__scan_sql){0};
    assert_int_equal(tfn__json_build_scan(&x->f, &scan, indexes, 7, arena, out, NULL), TFN_OK);
}

static void names_and_paths_are_quoted(void **state)
{
    (void)state;
    fixture x;
    make(&x);
    tfn_arena arena = {0};
    tfn__scan_sql sql;
    const size_t indexes[] = {0};
    build(&x, NULL, indexes, 1, &arena, &sql);
    assert_non_null(strstr(sql.text.p, "['/d/a''b.json','/d/c.json']"));
    assert_non_null(strstr(sql.text.p, "(\"od\"\"d\"->>'$')"));
    assert_non_null(strstr(sql.text.p, "columns={'od\"d': 'JSON'}"));
    assert_non_null(strstr(sql.text.p, "tiffin_scan(7::UBIGINT, r, f, c0, t0)"));
    tfn_buf_deinit(&sql.text);
    tfn_arena_deinit(&arena);
}

static void a_column_that_is_asked_twice_is_read_once(void **state)
{
    (void)state;
    fixture x;
    make(&x);
    tfn_arena arena = {0};
    tfn__scan_sql sql;
    const size_t indexes[] = {1, 1};
    build(&x, NULL, indexes, 2, &arena, &sql);
    assert_non_null(strstr(sql.text.p, "columns={'words': 'JSON'}"));
    assert_int_equal(sql.n_casts, 2);
    assert_int_equal(sql.casts[1], 1);
    tfn_buf_deinit(&sql.text);
    tfn_arena_deinit(&arena);
}

static void columns_of_folders_are_no_members(void **state)
{
    (void)state;
    fixture x;
    make(&x);
    tfn_arena arena = {0};
    tfn__scan_sql sql;
    const size_t indexes[] = {2};
    build(&x, NULL, indexes, 1, &arena, &sql);
    assert_non_null(strstr(sql.text.p, "\"part\" AS c0 FROM"));
    assert_int_equal(sql.n_casts, 0);
    tfn_buf_deinit(&sql.text);
    tfn_arena_deinit(&arena);
}

static void what_is_declared_decides_how_a_member_is_parsed(void **state)
{
    (void)state;
    fixture x;
    make(&x);
    tfn_arena arena = {0};
    tfn__scan_sql sql;
    const size_t indexes[] = {0, 1};
    const tfn_type types[] = {{.kind = TFN_KIND_TIMESTAMP},
                              {.kind = TFN_KIND_FLOAT32, .is_list = true}};
    build(&x, types, indexes, 2, &arena, &sql);
    assert_non_null(
        strstr(sql.text.p, "TRY_CAST((\"od\"\"d\"->>'$') AS TIMESTAMP WITH TIME ZONE)"));
    assert_non_null(strstr(sql.text.p, "TRY_CAST(\"words\" AS FLOAT[])"));
    tfn_buf_deinit(&sql.text);
    tfn_arena_deinit(&arena);
}

static void names_with_a_number_behind_may_be_made_up(void **state)
{
    (void)state;
    assert_true(is_numbered(tfn_str_of("A_1"), tfn_str_of("a")));
    assert_true(is_numbered(tfn_str_of("a_1_12"), tfn_str_of("A_1")));
    assert_false(is_numbered(tfn_str_of("a_"), tfn_str_of("a")));
    assert_false(is_numbered(tfn_str_of("a_x"), tfn_str_of("a")));
    assert_false(is_numbered(tfn_str_of("b_1"), tfn_str_of("a")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_and_paths_are_quoted),
        cmocka_unit_test(a_column_that_is_asked_twice_is_read_once),
        cmocka_unit_test(columns_of_folders_are_no_members),
        cmocka_unit_test(what_is_declared_decides_how_a_member_is_parsed),
        cmocka_unit_test(names_with_a_number_behind_may_be_made_up),
    };
    return cmocka_run_group_tests_name("source/json", tests, NULL, NULL);
}
