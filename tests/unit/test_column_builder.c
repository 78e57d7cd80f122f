/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

#include "unit/column_make.h"

#include "column/builder.c"

static const tfn_type int32_type = {.kind = TFN_KIND_INT32};
static const tfn_type int64_type = {.kind = TFN_KIND_INT64};
static const tfn_type string_type = {.kind = TFN_KIND_STRING};
static const tfn_type strings_type = {.kind = TFN_KIND_STRING, .is_list = true};
static const tfn_type int32s_type = {.kind = TFN_KIND_INT32, .is_list = true};

static tfn_builder *begin(tfn_type type)
{
    tfn_builder *b = NULL;
    tfn_error err = {0};
    assert_ok(tfn_builder_create(type, 0, &b, &err), err);
    return b;
}

static tfn_column *finish(tfn_builder *b)
{
    tfn_column *c = NULL;
    tfn_error err = {0};
    assert_ok(tfn_builder_finish(&b, &c, &err), err);
    assert_null(b);
    return c;
}

static void add_bits(tfn_builder *b, uint64_t bits)
{
    const tfn_cell cell = {.bits = bits};
    tfn_error err = {0};
    assert_ok(tfn_builder_add(b, &cell, &err), err);
}

static void add_string(tfn_builder *b, const char *text)
{
    const tfn_cell cell = {.is_null = text == NULL, .bytes = tfn_str_of(text)};
    tfn_error err = {0};
    assert_ok(tfn_builder_add(b, &cell, &err), err);
}

static void add_nulls(tfn_builder *b, int64_t n)
{
    tfn_error err = {0};
    assert_ok(tfn_builder_add_nulls(b, n, &err), err);
}

static void assert_str(tfn_str found, const char *wanted)
{
    assert_int_equal(found.n, strlen(wanted));
    assert_memory_equal(found.p, wanted, found.n);
}

static void cells_of_each_kind_come_back(void **state)
{
    (void)state;
    static const tfn_kind kinds[] = {TFN_KIND_BOOL, TFN_KIND_INT32, TFN_KIND_INT64, TFN_KIND_DATE,
                                     TFN_KIND_TIMESTAMP};
    for (size_t k = 0; k < sizeof kinds / sizeof kinds[0]; k++) {
        tfn_builder *b = begin((tfn_type){.kind = (uint8_t)kinds[k]});
        for (int64_t i = 0; i < 50; i++) {
            if (i % 4 == 3) {
                add_nulls(b, 1);
            } else {
                add_bits(b, (uint64_t)(i % 2));
            }
        }
        tfn_column *c = finish(b);
        const tfn_vec *v = tfn_column_get_vec(c);
        assert_int_equal(tfn_column_get_n_rows(c), 50);
        for (int64_t i = 0; i < 50; i++) {
            assert_int_equal(tfn_vec_is_valid(v, i), i % 4 != 3);
            assert_int_equal(tfn_vec_get_int(v, i), i % 4 == 3 ? 0 : i % 2);
        }
        tfn_column_release(c);
    }
}

static void strings_and_nulls_come_back(void **state)
{
    (void)state;
    tfn_builder *b = begin(string_type);
    add_string(b, "first");
    add_string(b, NULL);
    add_string(b, "");
    add_nulls(b, 20);
    add_string(b, "last one, which is a little longer");
    tfn_column *c = finish(b);
    const tfn_vec *v = tfn_column_get_vec(c);
    assert_int_equal(v->layout, TFN_LAYOUT_OFFSET32);
    assert_str(tfn_vec_get_str(v, 0), "first");
    assert_false(tfn_vec_is_valid(v, 1));
    assert_true(tfn_vec_is_valid(v, 2));
    assert_str(tfn_vec_get_str(v, 2), "");
    assert_false(tfn_vec_is_valid(v, 22));
    assert_str(tfn_vec_get_str(v, 23), "last one, which is a little longer");
    tfn_column_release(c);
}

static void columns_of_no_rows_are_whole(void **state)
{
    (void)state;
    static const tfn_type types[] = {{.kind = TFN_KIND_NONE},
                                     {.kind = TFN_KIND_BOOL},
                                     {.kind = TFN_KIND_STRING},
                                     {.kind = TFN_KIND_STRING, .is_list = true},
                                     {.kind = TFN_KIND_NONE, .is_list = true}};
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
        tfn_column *c = finish(begin(types[i]));
        struct ArrowSchema schema;
        struct ArrowArray array;
        tfn_error err = {0};
        assert_ok(tfn_column_export(c, tfn_str_of("c"), 0, 0, &schema, &array, &err), err);
        made_vec made = {.schema = schema, .array = array};
        assert_ok(tfn_vec_of_arrow(&made.schema, &made.array, tfn_str_of("c"), &made.arena,
                                   &made.vec, &err),
                  err);
        end_vec(&made);
        tfn_column_release(c);
    }
}

static void a_column_of_nothing_but_nulls(void **state)
{
    (void)state;
    tfn_builder *b = begin((tfn_type){0});
    add_nulls(b, 5);
    add_nulls(b, 0);
    tfn_column *c = finish(b);
    assert_int_equal(tfn_column_get_n_rows(c), 5);
    assert_false(tfn_vec_is_valid(tfn_column_get_vec(c), 4));
    tfn_column_release(c);
}

static void offsets_become_wide_when_they_must(void **state)
{
    (void)state;
    tfn_builder *b = begin(string_type);
    b->narrow_max = 10;
    add_string(b, "0123456789");
    assert_false(b->wide);
    add_string(b, NULL);
    add_string(b, "a");
    assert_true(b->wide);
    for (int i = 0; i < 30; i++) {
        add_string(b, "more");
    }
    tfn_column *c = finish(b);
    const tfn_vec *v = tfn_column_get_vec(c);
    assert_int_equal(v->layout, TFN_LAYOUT_OFFSET64);
    assert_str(tfn_vec_get_str(v, 0), "0123456789");
    assert_false(tfn_vec_is_valid(v, 1));
    assert_str(tfn_vec_get_str(v, 2), "a");
    assert_str(tfn_vec_get_str(v, 32), "more");
    struct ArrowSchema schema;
    tfn_error err = {0};
    assert_ok(tfn_column_export(c, tfn_str_of("c"), 0, 0, &schema, NULL, &err), err);
    assert_string_equal(schema.format, "U");
    schema.release(&schema);
    tfn_column_release(c);
}

static void packed_lists_become_arrow_lists(void **state)
{
    (void)state;
    const char *items[] = {"ab", NULL, "", "c"};
    const make_col col = {.format = "+l",
                          .item = "u",
                          .values = items,
                          .valid = (const uint8_t[]){1, 0, 1, 1},
                          .lengths = (const int32_t[]){3, 0, 0, 1}};
    made_vec made;
    tfn_buf scratch = {0};
    tfn_error err = {0};
    const tfn_vec *from = make_vec(&col, 4, &made);
    tfn_builder *b = begin(strings_type);
    for (int64_t i = 0; i < 4; i++) {
        tfn_cell cell;
        assert_ok(tfn_cell_of_vec(from, i, strings_type, &scratch, &cell, &err), err);
        assert_ok(tfn_builder_add(b, &cell, &err), err);
    }
    const tfn_cell spoiled = {.bytes = {"xx", 2}};
    assert_int_equal(tfn_builder_add(b, &spoiled, &err), TFN_CORRUPT);
    tfn_column *c = finish(b);
    const tfn_vec *v = tfn_column_get_vec(c);
    assert_int_equal(tfn_column_get_n_rows(c), 4);
    assert_int_equal(tfn_vec_get_list(v, 0).n, 3);
    assert_false(tfn_vec_is_valid(v->child, 1));
    assert_false(tfn_vec_is_valid(v, 1));
    assert_int_equal(tfn_vec_get_list(v, 2).n, 0);
    assert_str(tfn_vec_get_str(v->child, tfn_vec_get_list(v, 3).begin), "c");
    tfn_column_release(c);
    tfn_buf_deinit(&scratch);
    end_vec(&made);
}

/* The column that a builder makes of all rows of one Arrow column. */
static tfn_column *copy_of(const make_col *col, int64_t n, tfn_type type)
{
    made_vec made;
    tfn_error err = {0};
    const tfn_vec *v = make_vec(col, n, &made);
    tfn_builder *b = begin(type);
    assert_ok(tfn_builder_add_vec(b, v, 0, 0, &err), err);
    for (int64_t i = 0; i < n; i++) { /* one by one, then all at once */
        assert_ok(tfn_builder_add_vec(b, v, i, 1, &err), err);
    }
    assert_ok(tfn_builder_add_vec(b, v, 0, n, &err), err);
    end_vec(&made);
    return finish(b);
}

static void vectors_are_copied_whole_where_memory_agrees(void **state)
{
    (void)state;
    const int64_t numbers[] = {4, 5, 6, 7, 8};
    const make_col plain = {.format = "l", .values = numbers, .padding = 3};
    tfn_column *c = copy_of(&plain, 5, int64_type);
    for (int64_t i = 0; i < 10; i++) {
        assert_int_equal(tfn_vec_get_int(tfn_column_get_vec(c), i), 4 + i % 5);
    }
    tfn_column_release(c);
    const make_col holes = {
        .format = "l", .values = numbers, .valid = (const uint8_t[]){1, 0, 1, 1, 0}, .padding = 2};
    c = copy_of(&holes, 5, int64_type);
    for (int64_t i = 0; i < 10; i++) {
        const bool valid = i % 5 != 1 && i % 5 != 4;
        assert_int_equal(tfn_vec_is_valid(tfn_column_get_vec(c), i), valid);
        assert_int_equal(tfn_vec_get_int(tfn_column_get_vec(c), i), valid ? 4 + i % 5 : 0);
    }
    tfn_column_release(c);
}

static void vectors_are_converted_where_types_differ(void **state)
{
    (void)state;
    const int8_t narrow[] = {-1, 2};
    const make_col narrow_col = {.format = "c", .values = narrow};
    tfn_column *c = copy_of(&narrow_col, 2, int64_type);
    assert_int_equal(tfn_vec_get_int(tfn_column_get_vec(c), 2), -1);
    tfn_column_release(c);
    const int64_t millis[] = {1500, -1};
    const make_col time_col = {.format = "tsm:", .values = millis};
    c = copy_of(&time_col, 2, (tfn_type){.kind = TFN_KIND_TIMESTAMP, .unit = TFN_UNIT_NS});
    assert_int_equal(tfn_vec_get_int(tfn_column_get_vec(c), 2), 1500000000);
    tfn_column_release(c);
    const uint8_t bits[] = {1, 0};
    const make_col bool_col = {.format = "b", .values = bits, .padding = 1};
    c = copy_of(&bool_col, 2, (tfn_type){.kind = TFN_KIND_BOOL});
    assert_int_equal(tfn_vec_get_int(tfn_column_get_vec(c), 2), 1);
    assert_int_equal(tfn_vec_get_int(tfn_column_get_vec(c), 3), 0);
    tfn_column_release(c);
    const make_col none = {.format = "n"};
    c = copy_of(&none, 2, strings_type);
    assert_int_equal(tfn_column_get_n_rows(c), 4);
    assert_false(tfn_vec_is_valid(tfn_column_get_vec(c), 3));
    tfn_column_release(c);
    const int64_t items[] = {1, 2, 3};
    const make_col list_col = {.format = "+L",
                               .item = "l",
                               .values = items,
                               .item_valid = (const uint8_t[]){1, 0, 1},
                               .lengths = (const int32_t[]){2, 1},
                               .padding = 1};
    c = copy_of(&list_col, 2, int32s_type);
    const tfn_vec *v = tfn_column_get_vec(c);
    assert_int_equal(tfn_vec_get_list(v, 2).begin, 3);
    assert_int_equal(v->child->number, TFN_NUMBER_I32);
    assert_false(tfn_vec_is_valid(v->child, 4));
    assert_int_equal(tfn_vec_get_int(v->child, 5), 3);
    tfn_column_release(c);
}

static void a_failed_call_leaves_the_builder_as_it_was(void **state)
{
    (void)state;
    const int64_t numbers[] = {1, 2, INT64_MAX};
    const make_col col = {.format = "l", .values = numbers};
    const make_col list_col = {
        .format = "+l", .item = "l", .values = numbers, .lengths = (const int32_t[]){1, 2}};
    made_vec made;
    tfn_error err = {0};
    tfn_builder *b = begin(int32_type);
    add_bits(b, 9);
    assert_int_equal(tfn_builder_add_vec(b, make_vec(&col, 3, &made), 0, 3, &err), TFN_SCHEMA);
    end_vec(&made);
    tfn_column *c = finish(b);
    assert_int_equal(tfn_column_get_n_rows(c), 1);
    assert_int_equal(tfn_vec_get_int(tfn_column_get_vec(c), 0), 9);
    tfn_column_release(c);
    b = begin(int32s_type);
    const tfn_vec *v = make_vec(&list_col, 2, &made);
    assert_ok(tfn_builder_add_vec(b, v, 0, 1, &err), err);
    assert_int_equal(tfn_builder_add_vec(b, v, 0, 2, &err), TFN_SCHEMA);
    end_vec(&made);
    c = finish(b);
    assert_int_equal(tfn_column_get_n_rows(c), 1);
    assert_int_equal(tfn_column_get_vec(c)->child->n, 1);
    tfn_column_release(c);
}

static void an_exported_list_child_outlives_its_parent(void **state)
{
    (void)state;
    const int64_t items[] = {1, 2, 3};
    const make_col list_col = {
        .format = "+l", .item = "l", .values = items, .lengths = (const int32_t[]){1, 2}};
    tfn_column *c = copy_of(&list_col, 2, int32s_type);
    struct ArrowSchema schema;
    struct ArrowArray array;
    tfn_error err = {0};
    assert_ok(tfn_column_export(c, tfn_str_of("c"), 0, 4, &schema, &array, &err), err);
    tfn_column_release(c);
    assert_string_equal(schema.children[0]->name, "item");
    struct ArrowArray child = *array.children[0];
    struct ArrowSchema child_schema = *schema.children[0];
    array.children[0]->release = NULL;
    schema.children[0]->release = NULL;
    array.release(&array);
    schema.release(&schema);
    assert_int_equal(child.length, 6);
    assert_int_equal(((const int32_t *)child.buffers[1])[5], 3);
    assert_string_equal(child_schema.format, "i");
    child.release(&child);
    child_schema.release(&child_schema);
}

static void unused_room_is_given_back(void **state)
{
    (void)state;
    tfn_builder *b = NULL;
    tfn_error err = {0};
    assert_ok(tfn_builder_create(int64_type, 1000000, &b, &err), err);
    add_bits(b, 3);
    tfn_column *c = finish(b);
    assert_int_equal(tfn_vec_get_int(tfn_column_get_vec(c), 0), 3);
    tfn_column_release(c);
    tfn_builder_destroy(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cells_of_each_kind_come_back),
        cmocka_unit_test(strings_and_nulls_come_back),
        cmocka_unit_test(columns_of_no_rows_are_whole),
        cmocka_unit_test(a_column_of_nothing_but_nulls),
        cmocka_unit_test(offsets_become_wide_when_they_must),
        cmocka_unit_test(packed_lists_become_arrow_lists),
        cmocka_unit_test(vectors_are_copied_whole_where_memory_agrees),
        cmocka_unit_test(vectors_are_converted_where_types_differ),
        cmocka_unit_test(a_failed_call_leaves_the_builder_as_it_was),
        cmocka_unit_test(an_exported_list_child_outlives_its_parent),
        cmocka_unit_test(unused_room_is_given_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
