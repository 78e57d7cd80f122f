/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

/* JSON columns as Arrow: what is inferred, what a declared type changes, what is refused. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/json.h"
#include "server/frame_json.h"

static const tfn_declared declared[] = {
    {{"raw", 3}, TFN_VALUE_BYTES}, {{"at", 2}, TFN_VALUE_TIMESTAMP}, {{"day", 3}, TFN_VALUE_DATE}};

static tfn_code read_text(const char *json, struct ArrowArrayStream *stream, int64_t *n_rows,
                          tfn_error *err)
{
    yyjson_doc *doc = NULL;
    assert_int_equal(tfn_json_parse(tfn_str_of(json), "a test", &doc, err), TFN_OK);
    const tfn_code rc =
        tfn_frame_json_read(yyjson_doc_get_root(doc), declared, 3, stream, n_rows, err);
    yyjson_doc_free(doc);
    return rc;
}

/* The whole of a frame: its schema and its one batch. */
typedef struct table {
    struct ArrowSchema schema;
    struct ArrowArray array;
    int64_t n_rows;
} table;

static void open_table(const char *json, table *t)
{
    struct ArrowArrayStream stream;
    tfn_error err = {0};
    if (read_text(json, &stream, &t->n_rows, &err) != TFN_OK) {
        fail_msg("%s: %s", json, err.message);
    }
    struct ArrowArray end;
    assert_int_equal(stream.get_schema(&stream, &t->schema), 0);
    assert_int_equal(stream.get_next(&stream, &t->array), 0);
    assert_int_equal(stream.get_next(&stream, &end), 0);
    assert_null(end.release);
    stream.release(&stream); /* what was given out stays */
    assert_null(stream.release);
    assert_int_equal(t->array.length, t->n_rows);
    assert_int_equal(t->array.n_children, t->schema.n_children);
}

static void close_table(table *t)
{
    t->array.release(&t->array);
    t->schema.release(&t->schema);
}

static const void *values_of(const table *t, int i)
{
    return t->array.children[i]->buffers[1];
}

static bool is_valid(const table *t, int i, int row)
{
    const uint8_t *bits = t->array.children[i]->buffers[0];
    return bits == NULL || (bits[row / 8] >> (row % 8) & 1) != 0;
}

static void assert_refused(const char *json, const char *sentence)
{
    struct ArrowArrayStream stream;
    int64_t n_rows = -1;
    tfn_error err = {0};
    assert_int_not_equal(read_text(json, &stream, &n_rows, &err), TFN_OK);
    assert_null(stream.release);
    assert_string_equal(err.message, sentence);
}

static void types_are_those_of_the_values(void **state)
{
    (void)state;
    table t;
    open_table("{\"i\":[1,null,-9223372036854775808],\"f\":[1,2.5,null],\"b\":[true,false,true],"
               "\"s\":[\"a\",\"\",\"caf\\u00e9\"],\"n\":[null,null,null]}",
               &t);
    assert_int_equal(t.n_rows, 3);
    const char *formats[] = {"l", "g", "b", "U", "n"};
    const char *names[] = {"i", "f", "b", "s", "n"};
    for (int i = 0; i < 5; i++) {
        assert_string_equal(t.schema.children[i]->format, formats[i]);
        assert_string_equal(t.schema.children[i]->name, names[i]);
    }
    const int64_t *whole = values_of(&t, 0);
    assert_int_equal(whole[0], 1);
    assert_true(whole[2] == INT64_MIN);
    assert_true(is_valid(&t, 0, 0) && !is_valid(&t, 0, 1) && is_valid(&t, 0, 2));
    assert_int_equal(t.array.children[0]->null_count, 1);
    const double *real = values_of(&t, 1);
    assert_true(real[0] == 1.0 && real[1] == 2.5 && !is_valid(&t, 1, 2));
    assert_int_equal(((const uint8_t *)values_of(&t, 2))[0], 5);
    const int64_t *offsets = values_of(&t, 3);
    assert_int_equal(offsets[1], 1);
    assert_int_equal(offsets[2], 1);
    assert_int_equal(offsets[3], 6);
    assert_memory_equal(t.array.children[3]->buffers[2], "acaf\xc3\xa9", 6);
    assert_int_equal(t.array.children[4]->n_buffers, 0);
    assert_int_equal(t.array.children[4]->null_count, 3);
    close_table(&t);
}

static void a_list_column_has_the_items_of_all_its_rows(void **state)
{
    (void)state;
    table t;
    open_table("{\"v\":[[1,2.5],null,[],[null]],\"e\":[[],[],[],[]],\"w\":[[\"x\"],[],[],[\"y\"]]}",
               &t);
    assert_string_equal(t.schema.children[0]->format, "+L");
    assert_string_equal(t.schema.children[0]->children[0]->format, "g");
    assert_string_equal(t.schema.children[1]->children[0]->format, "n");
    assert_string_equal(t.schema.children[2]->children[0]->format, "U");
    const int64_t *offsets = values_of(&t, 0);
    const int64_t expected[] = {0, 2, 2, 2, 3};
    assert_memory_equal(offsets, expected, sizeof expected);
    assert_true(is_valid(&t, 0, 0) && !is_valid(&t, 0, 1) && is_valid(&t, 0, 2));
    const struct ArrowArray *items = t.array.children[0]->children[0];
    assert_int_equal(items->length, 3);
    assert_int_equal(items->null_count, 1);
    assert_true(((const double *)items->buffers[1])[1] == 2.5);
    close_table(&t);
}

static void a_declared_type_says_what_a_text_or_a_number_means(void **state)
{
    (void)state;
    table t;
    open_table("{\"raw\":[\"aGk=\",\"\",\"AP/+\"],"
               "\"at\":[\"2024-01-01T00:00:00.5Z\",\"1969-12-31T23:59:59Z\",null],"
               "\"day\":[\"1970-01-02\",\"1969-12-31\",null]}",
               &t);
    assert_string_equal(t.schema.children[0]->format, "Z");
    assert_string_equal(t.schema.children[1]->format, "tsu:UTC");
    assert_string_equal(t.schema.children[2]->format, "tdD");
    const int64_t *offsets = values_of(&t, 0);
    assert_int_equal(offsets[1], 2);
    assert_int_equal(offsets[3], 5);
    assert_memory_equal(t.array.children[0]->buffers[2], "hi\0\xff\xfe", 5);
    const int64_t *times = values_of(&t, 1);
    assert_true(times[0] == INT64_C(1704067200500000));
    assert_true(times[1] == -1000000);
    const int32_t *days = values_of(&t, 2);
    assert_int_equal(days[0], 1);
    assert_int_equal(days[1], -1);
    close_table(&t);
    open_table("{\"at\":[1704067200,null],\"raw\":[[\"aGk=\"],[]]}", &t);
    assert_string_equal(t.schema.children[0]->format, "tss:UTC");
    assert_string_equal(t.schema.children[1]->children[0]->format, "Z");
    close_table(&t);
}

static void nothing_is_a_frame_without_rows(void **state)
{
    (void)state;
    table t;
    open_table("{}", &t);
    assert_int_equal(t.n_rows, 0);
    assert_int_equal(t.array.n_children, 0);
    close_table(&t);
    open_table("{\"a\":[],\"b\":[]}", &t);
    assert_int_equal(t.n_rows, 0);
    assert_int_equal(t.array.n_children, 2);
    close_table(&t);
}

static void every_struct_can_be_released_alone(void **state)
{
    (void)state;
    table t;
    open_table("{\"a\":[[1],[2]],\"b\":[\"x\",\"y\"]}", &t);
    struct ArrowArray moved = *t.array.children[1];
    t.array.children[1]->release = NULL;
    close_table(&t);
    assert_memory_equal(moved.buffers[2], "xy", 2);
    moved.release(&moved);
}

static void numbers_beyond_int64_are_fractions_or_refused(void **state)
{
    (void)state;
    table t;
    open_table("{\"a\":[10000000000000000000,1],\"b\":[1e300,9007199254740992]}", &t);
    assert_string_equal(t.schema.children[0]->format, "g");
    assert_true(((const double *)values_of(&t, 0))[0] == 1e19);
    close_table(&t);
    assert_refused(
        "{\"a\":[1,18446744073709551615]}",
        "column 'a', row 1 (counted from 0): 18446744073709551615 lies beyond int64, and "
        "no float64 has that value");
    assert_refused("{\"a\":[0.5,9007199254740993]}",
                   "column 'a', row 1 (counted from 0): 9007199254740993 stands in a column with "
                   "fractions, and no float64 has that value");
    assert_refused(
        "{\"a\":[0.5,9223372036854775807]}",
        "column 'a', row 1 (counted from 0): 9223372036854775807 stands in a column with "
        "fractions, and no float64 has that value");
}

static void what_does_not_fit_is_named_with_its_place(void **state)
{
    (void)state;
    assert_refused("{\"a\":[1,null,\"x\"]}",
                   "column 'a', row 2 (counted from 0): a text, where a value before it is a "
                   "number; the values of a column have one type");
    assert_refused(
        "{\"a\":[[1],[true,2]]}",
        "column 'a', row 1 (counted from 0): item 0: true or false, where a value before "
        "it is a number; the values of a column have one type");
    assert_refused("{\"a\":[1,[2]]}",
                   "column 'a', row 1 (counted from 0): a list, where a value "
                   "before it is a number; the values of a column have one type");
    assert_refused("{\"a\":[{\"x\":1}]}",
                   "column 'a', row 0 (counted from 0): an object; a value is a text, a number, "
                   "true, false, null, or a list of these");
    assert_refused("{\"a\":[[1,[2]]]}",
                   "column 'a', row 0 (counted from 0): item 1: a list in a list; a value is a "
                   "text, a number, true, false, null, or a list of these");
    assert_refused("{\"a\":{\"0\":1}}", "column 'a' of df is an object; expected a list of values");
    assert_refused("{\"a\":[1,2],\"b\":[1]}",
                   "column 'b' of df has 1 values, and column 'a' has 2; all columns need equally "
                   "many");
    assert_refused("{\"a\\u0000b\":[1]}", "the name of column 'a' of df contains a NUL character");
    assert_refused(
        "{\"day\":[\"2024-01-01T10:00:00Z\"]}",
        "column 'day', row 0 (counted from 0): '2024-01-01T10:00:00Z' has a time of day, "
        "and the column is of dates");
}

static void base64_is_read_strictly(void **state)
{
    (void)state;
    static const char *const wrong[] = {
        "a", "aG", "aGk", "aGk==", "=aGk", "aG*=", "aGk=aGk=", "a===", "aGk=\\n", "====", "_-8="};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        char json[64];
        (void)snprintf(json, sizeof json, "{\"raw\":[\"%s\"]}", wrong[i]);
        assert_refused(json, "column 'raw', row 0 (counted from 0): the text is no base64; bytes "
                             "are written as padded base64 (RFC 4648)");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(types_are_those_of_the_values),
        cmocka_unit_test(a_list_column_has_the_items_of_all_its_rows),
        cmocka_unit_test(a_declared_type_says_what_a_text_or_a_number_means),
        cmocka_unit_test(nothing_is_a_frame_without_rows),
        cmocka_unit_test(every_struct_can_be_released_alone),
        cmocka_unit_test(numbers_beyond_int64_are_fractions_or_refused),
        cmocka_unit_test(what_does_not_fit_is_named_with_its_place),
        cmocka_unit_test(base64_is_read_strictly),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
