/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

#include "unit/column_make.h"

#include "column/arrow.c"

static tfn_code type_of_format(const char *format, const char *item, tfn_type *out, tfn_error *err)
{
    const make_col col = {.format = format, .item = item};
    struct ArrowSchema schema;
    make_schema(&col, &schema);
    const tfn_code rc = tfn_type_of_arrow(&schema, tfn_str_of("fare"), out, err);
    schema.release(&schema);
    return rc;
}

static void formats_read_as_the_nearest_type(void **state)
{
    (void)state;
    static const struct {
        const char *format;
        tfn_kind kind;
        tfn_unit unit;
    } cases[] = {
        {"n", TFN_KIND_NONE, 0},
        {"b", TFN_KIND_BOOL, 0},
        {"c", TFN_KIND_INT32, 0},
        {"C", TFN_KIND_INT32, 0},
        {"s", TFN_KIND_INT32, 0},
        {"S", TFN_KIND_INT32, 0},
        {"i", TFN_KIND_INT32, 0},
        {"I", TFN_KIND_INT64, 0},
        {"l", TFN_KIND_INT64, 0},
        {"L", TFN_KIND_INT64, 0},
        {"e", TFN_KIND_FLOAT32, 0},
        {"f", TFN_KIND_FLOAT32, 0},
        {"g", TFN_KIND_FLOAT64, 0},
        {"u", TFN_KIND_STRING, 0},
        {"U", TFN_KIND_STRING, 0},
        {"vu", TFN_KIND_STRING, 0},
        {"z", TFN_KIND_BYTES, 0},
        {"Z", TFN_KIND_BYTES, 0},
        {"vz", TFN_KIND_BYTES, 0},
        {"w:16", TFN_KIND_BYTES, 0},
        {"tdD", TFN_KIND_DATE, 0},
        {"tdm", TFN_KIND_DATE, 0},
        {"tss:", TFN_KIND_TIMESTAMP, TFN_UNIT_S},
        {"tsm:", TFN_KIND_TIMESTAMP, TFN_UNIT_MS},
        {"tsu:UTC", TFN_KIND_TIMESTAMP, TFN_UNIT_US},
        {"tsn:Europe/Berlin", TFN_KIND_TIMESTAMP, TFN_UNIT_NS},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        tfn_type type;
        tfn_error err = {0};
        assert_ok(type_of_format(cases[i].format, "n", &type, &err), err);
        assert_int_equal(type.kind, cases[i].kind);
        assert_int_equal(type.unit, cases[i].unit);
        assert_false(type.is_list);
    }
    static const char *const lists[] = {"+l", "+L", "+w:3"};
    for (size_t i = 0; i < 3; i++) {
        tfn_type type;
        tfn_error err = {0};
        assert_ok(type_of_format(lists[i], "tsm:", &type, &err), err);
        assert_true(type.is_list);
        assert_int_equal(type.kind, TFN_KIND_TIMESTAMP);
        assert_int_equal(type.unit, TFN_UNIT_MS);
    }
}

static void other_formats_are_refused_with_column_and_arrow_type(void **state)
{
    (void)state;
    static const struct {
        const char *format;
        const char *text;
    } cases[] = {
        {"d:10,2", "decimal ('d:10,2')"},
        {"tts", "time of day ('tts')"},
        {"tDu", "duration ('tDu')"},
        {"tiM", "interval ('tiM')"},
        {"+us:0,1", "union"},
        {"+r", "run-end encoded"},
        {"+vl", "list view"},
        {"tsx:", "'tsx:'"},
        {"ts", "'ts'"},
        {"", "''"},
        {"q", "unknown ('q')"},
        {"w:", "'w:'"},
        {"w:9999999999", "'w:9999999999'"},
        {"+w:x", "'+w:x'"},
        {"+s", "struct ('+s')"},
        {"+m", "map ('+m')"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        tfn_type type;
        tfn_error err = {0};
        assert_int_equal(type_of_format(cases[i].format, "n", &type, &err), TFN_SCHEMA);
        assert_text(err.message, "column 'fare'");
        assert_text(err.message, cases[i].text);
    }
    static const char *const items[] = {"+l", "+s", "d:3,1"};
    for (size_t i = 0; i < 3; i++) {
        const make_col col = {.format = "+l", .item = "l"};
        struct ArrowSchema schema;
        tfn_type type;
        tfn_error err = {0};
        make_schema(&col, &schema);
        const char *format = schema.children[0]->format;
        schema.children[0]->format = items[i];
        assert_int_equal(tfn_type_of_arrow(&schema, tfn_str_of("fare"), &type, &err), TFN_SCHEMA);
        assert_text(err.message, "list of ");
        schema.children[0]->format = format;
        schema.release(&schema);
    }
}

static void a_dictionary_has_the_type_of_its_values(void **state)
{
    (void)state;
    const char *words[] = {"a", "b"};
    const uint8_t indices[] = {1, 0, 1};
    const make_col dictionary = {.format = "u", .values = words};
    const make_col col = {
        .format = "C", .values = indices, .dictionary = &dictionary, .n_dictionary = 2};
    made_vec made;
    tfn_error err = {0};
    assert_int_equal(make_vec_or_error(&col, 3, &made, &err), TFN_INVALID);
    assert_text(err.message, "was not decoded");
    tfn_type type;
    assert_ok(tfn_type_of_arrow(&made.schema, tfn_str_of("c"), &type, &err), err);
    assert_int_equal(type.kind, TFN_KIND_STRING);
    end_vec(&made);
}

static void arrays_are_read_at_their_offset(void **state)
{
    (void)state;
    const int32_t values[] = {5, 6, 7};
    const uint8_t ok[] = {1, 0, 1};
    const make_col col = {.format = "i", .values = values, .valid = ok, .padding = 3};
    made_vec made;
    const tfn_vec *v = make_vec(&col, 3, &made);
    assert_int_equal(v->n, 3);
    assert_int_equal(tfn_vec_get_int(v, 0), 5);
    assert_false(tfn_vec_is_valid(v, 1));
    assert_int_equal(tfn_vec_get_int(v, 2), 7);
    end_vec(&made);
    const char *words[] = {"x", NULL, "long enough to be outside"};
    const make_col text = {.format = "U", .values = words, .padding = 2};
    v = make_vec(&text, 3, &made);
    assert_int_equal(tfn_vec_get_str(v, 0).n, 1);
    assert_false(tfn_vec_is_valid(v, 1));
    assert_memory_equal(tfn_vec_get_str(v, 2).p, words[2], strlen(words[2]));
    end_vec(&made);
    const int64_t items[] = {1, 2, 3, 4};
    const int32_t lengths[] = {1, 0, 3};
    const make_col list = {
        .format = "+l", .item = "l", .values = items, .lengths = lengths, .padding = 1};
    v = make_vec(&list, 3, &made);
    const tfn_range range = tfn_vec_get_list(v, 2);
    assert_int_equal(range.n, 3);
    assert_int_equal(tfn_vec_get_int(v->child, range.begin), 2);
    end_vec(&made);
    const make_col fixed = {.format = "+w:2", .item = "l", .values = items};
    v = make_vec(&fixed, 2, &made);
    assert_int_equal(tfn_vec_get_int(v->child, tfn_vec_get_list(v, 1).begin), 3);
    end_vec(&made);
    const make_col none = {.format = "n"};
    v = make_vec(&none, 2, &made);
    assert_false(tfn_vec_is_valid(v, 0));
    end_vec(&made);
}

static void validity_is_not_read_when_nothing_is_null(void **state)
{
    (void)state;
    const int64_t values[] = {5, 6};
    const make_col col = {.format = "l", .values = values, .valid = (const uint8_t[]){0, 1}};
    made_vec made;
    make_schema(&col, &made.schema);
    make_array(&col, 0, 2, &made.array);
    made.arena = (tfn_arena){0};
    made.array.null_count = 0;
    assert_int_equal(
        tfn_vec_of_arrow(&made.schema, &made.array, tfn_str_of("c"), &made.arena, &made.vec, NULL),
        TFN_OK);
    assert_null(made.vec.validity);
    made.array.null_count = -1;
    assert_int_equal(
        tfn_vec_of_arrow(&made.schema, &made.array, tfn_str_of("c"), &made.arena, &made.vec, NULL),
        TFN_OK);
    assert_false(tfn_vec_is_valid(&made.vec, 0));
    end_vec(&made);
}

typedef void (*spoil_fn)(struct ArrowArray *array);

static void no_data(struct ArrowArray *array)
{
    array->buffers[1] = NULL;
}
static void negative_length(struct ArrowArray *array)
{
    array->length = -1;
}
static void negative_offset(struct ArrowArray *array)
{
    array->offset = -1;
}
static void huge_offset(struct ArrowArray *array)
{
    array->offset = INT64_MAX;
}
static void one_buffer(struct ArrowArray *array)
{
    array->n_buffers = 1;
}
static void nulls_without_bitmap(struct ArrowArray *array)
{
    array->null_count = 1;
    array->buffers[0] = NULL;
}
static void no_bytes(struct ArrowArray *array)
{
    array->buffers[2] = NULL;
}
static void short_child(struct ArrowArray *array)
{
    array->children[0]->length = 2;
}
static void no_child(struct ArrowArray *array)
{
    array->n_children = 0;
}

static void arrays_that_contradict_their_schema_are_refused(void **state)
{
    (void)state;
    const char *words[] = {"a", "b", "c"};
    const int64_t items[] = {1, 2, 3};
    const make_col cols[] = {
        {.format = "u", .values = words},
        {.format = "+l", .item = "l", .values = items, .lengths = (const int32_t[]){1, 1, 1}},
        {.format = "+w:1", .item = "l", .values = items},
    };
    static const struct {
        int i_col;
        spoil_fn spoil;
        const char *text;
    } cases[] = {
        {0, no_data, "has no data"},          {0, negative_length, "length -1"},
        {0, negative_offset, "offset -1"},    {0, huge_offset, "at offset"},
        {0, one_buffer, "1 buffers, not 3"},  {0, nulls_without_bitmap, "but not which"},
        {0, no_bytes, "has no bytes"},        {1, short_child, "item 3 of only 2"},
        {2, short_child, "item 3 of only 2"}, {1, no_child, "0 children, not 1"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        made_vec made;
        tfn_error err = {0};
        assert_ok(make_vec_or_error(&cols[cases[i].i_col], 3, &made, &err), err);
        const struct ArrowArray before = made.array;
        const void *buffers[3] = {NULL, NULL, NULL};
        for (int64_t k = 0; k < before.n_buffers; k++) {
            buffers[k] = before.buffers[k];
        }
        cases[i].spoil(&made.array);
        assert_int_equal(tfn_vec_of_arrow(&made.schema, &made.array, tfn_str_of("fare"),
                                          &made.arena, &made.vec, &err),
                         TFN_INVALID);
        assert_text(err.message, "column 'fare'");
        assert_text(err.message, cases[i].text);
        made.array = before;
        for (int64_t k = 0; k < before.n_buffers; k++) {
            made.array.buffers[k] = buffers[k];
        }
        end_vec(&made);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(formats_read_as_the_nearest_type),
        cmocka_unit_test(other_formats_are_refused_with_column_and_arrow_type),
        cmocka_unit_test(a_dictionary_has_the_type_of_its_values),
        cmocka_unit_test(arrays_are_read_at_their_offset),
        cmocka_unit_test(validity_is_not_read_when_nothing_is_null),
        cmocka_unit_test(arrays_that_contradict_their_schema_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
