/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

/*
 * Rows, row schemas and keys against bytes that are kept as text in tests/golden/online. The row
 * files were written by a script that knows docs/formats/online-row.md and nothing of the engine.
 * These files never change: a new layout gets a new version and new files.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "online/lmdb_internal.h"
#include "unit/online_fixture.h"

/* Read tests/golden/online/NAME: hex bytes, '#' to the end of the line is comment. */
static tfn_str read_golden(const char *name, char *to, size_t max_bytes)
{
    char path[1024];
    const char *root = getenv("TIFFIN_SOURCE_ROOT");
    (void)snprintf(path, sizeof path, "%s/tests/golden/online/%s", root != NULL ? root : ".", name);
    FILE *file = fopen(path, "r");
    if (file == NULL) {
        fail_msg("'%s' cannot be read; set TIFFIN_SOURCE_ROOT", path);
        abort();
    }
    char line[256];
    size_t n = 0;
    while (fgets(line, sizeof line, file) != NULL) {
        char *end = line;
        while (*end != '#' && *end != '\n' && *end != '\0') {
            assert_true(n < max_bytes);
            to[n] = (char)strtoul(end, &end, 16);
            n++;
            end += *end == ' ';
        }
    }
    assert_int_equal(fclose(file), 0);
    return (tfn_str){to, n};
}

static const tfn_row_field fields[] = {
    {{"bool", 4}, {.kind = TFN_KIND_BOOL}},
    {{"int32", 5}, {.kind = TFN_KIND_INT32}},
    {{"int64", 5}, {.kind = TFN_KIND_INT64}},
    {{"float32", 7}, {.kind = TFN_KIND_FLOAT32}},
    {{"float64", 7}, {.kind = TFN_KIND_FLOAT64}},
    {{"string", 6}, {.kind = TFN_KIND_STRING}},
    {{"bytes", 5}, {.kind = TFN_KIND_BYTES}},
    {{"date", 4}, {.kind = TFN_KIND_DATE}},
    {{"timestamp", 9}, {.kind = TFN_KIND_TIMESTAMP, .unit = TFN_UNIT_NS}},
    {{"list", 4}, {.kind = TFN_KIND_INT32, .is_list = true}},
    {{"strings", 7}, {.kind = TFN_KIND_STRING, .is_list = true}},
    {{"nothing", 7}, {.kind = TFN_KIND_INT64}},
};
enum { N_FIELDS = sizeof fields / sizeof fields[0] };

static const char int_list[] = "\x02\0\0\0\x01\xf9\xff\xff\xff\0\0\0\0";
static const char string_list[] = "\x02\0\0\0\x03\0\0\0\0\x01\0\0\0\x03\0\0\0"
                                  "abc";

static const tfn_cell cells[N_FIELDS] = {
    {.bits = 1},
    {.bits = (uint64_t)INT64_C(-2147483648)},
    {.bits = (uint64_t)INT64_MIN},
    {.bits = 0xFFC00001u},
    {.bits = UINT64_C(0x8000000000000000)},
    {.bytes = {"na\xc3\xafve", 6}},
    {.bytes = {"\0\xff\0", 3}},
    {.bits = (uint64_t)INT64_C(-719528)},
    {.bits = (uint64_t)INT64_MAX},
    {.bytes = {int_list, sizeof int_list - 1}},
    {.bytes = {string_list, sizeof string_list - 1}},
    {.is_null = true},
};

static tfn_row_schema *golden_schema(void)
{
    tfn_error err = {0};
    char bytes[1024];
    tfn_row_schema *schema = NULL;
    ASSERT_OK(
        tfn_row_schema_unpack(read_golden("row-schema-1.hex", bytes, sizeof bytes), &schema, &err),
        err);
    schema->id = 7;
    return schema;
}

static void assert_bytes(tfn_str found, tfn_str wanted)
{
    assert_int_equal(found.n, wanted.n);
    assert_memory_equal(found.p, wanted.p, wanted.n);
}

static void a_row_schema_is_packed_as_ever(void **state)
{
    (void)state;
    tfn_error err = {0};
    char bytes[1024];
    tfn_row_schema *schema = NULL;
    ASSERT_OK(tfn_row_schema_create(fields, N_FIELDS, &schema, &err), err);
    assert_bytes(tfn_buf_get_str(&schema->packed),
                 read_golden("row-schema-1.hex", bytes, sizeof bytes));
    tfn_row_schema_destroy(schema);
}

static void a_row_of_every_type_is_encoded_as_ever(void **state)
{
    (void)state;
    tfn_error err = {0};
    char bytes[1024];
    tfn_buf buf = {0};
    tfn_row_schema *schema = golden_schema();
    const tfn_str golden = read_golden("row-1.hex", bytes, sizeof bytes);
    const tfn_instant event = {253402300799, 999999999};
    const tfn_instant created = {-1, 1};
    ASSERT_OK(tfn_row_encode(schema, cells, event, created, (tfn_str){0}, &buf, &err), err);
    assert_bytes(tfn_buf_get_str(&buf), golden);
    tfn_row row;
    ASSERT_OK(tfn_row_open(schema, golden, &row, &err), err);
    assert_int_equal(tfn_instant_compare(row.event, event), 0);
    assert_int_equal(tfn_instant_compare(row.created, created), 0);
    for (uint32_t i = 0; i < N_FIELDS; i++) {
        tfn_cell cell;
        tfn_row_get(&row, i, &cell);
        assert_int_equal(cell.is_null, cells[i].is_null);
        assert_true(cell.bits == cells[i].bits);
        assert_true(tfn_str_equal(cell.bytes, cells[i].bytes));
    }
    tfn_buf_deinit(&buf);
    tfn_row_schema_destroy(schema);
}

static void a_row_with_a_full_key_is_encoded_as_ever(void **state)
{
    (void)state;
    tfn_error err = {0};
    char bytes[1024];
    char key[423];
    memset(key, 'k', sizeof key);
    key[0] = TFN_KIND_STRING;
    key[421] = 0;
    key[422] = 1;
    tfn_cell nulls[N_FIELDS];
    for (size_t i = 0; i < N_FIELDS; i++) {
        nulls[i] = (tfn_cell){.is_null = true};
    }
    tfn_buf buf = {0};
    tfn_row_schema *schema = golden_schema();
    const tfn_str golden = read_golden("row-2.hex", bytes, sizeof bytes);
    ASSERT_OK(tfn_row_encode(schema, nulls, at(0), no_time, (tfn_str){key, sizeof key}, &buf, &err),
              err);
    assert_bytes(tfn_buf_get_str(&buf), golden);
    tfn_row row;
    ASSERT_OK(tfn_row_open(schema, golden, &row, &err), err);
    assert_bytes(row.full_key, (tfn_str){key, sizeof key});
    tfn_buf_deinit(&buf);
    tfn_row_schema_destroy(schema);
}

static void keys_of_rows_are_as_ever(void **state)
{
    (void)state;
    tfn_error err = {0};
    char bytes[64];
    char id[9];
    tfn__row_key key;
    ASSERT_OK(tfn__row_key_make(258, key_of(-42, id), &key, &err), err);
    assert_bytes((tfn_str){(const char *)key.bytes, key.n},
                 read_golden("row-key-plain.hex", bytes, sizeof bytes));
    char text_key[423];
    memset(text_key, 'k', sizeof text_key);
    text_key[0] = TFN_KIND_STRING;
    text_key[421] = 0;
    text_key[422] = 1;
    ASSERT_OK(tfn__row_key_make(258, (tfn_str){text_key, sizeof text_key}, &key, &err), err);
    assert_bytes((tfn_str){(const char *)key.bytes, key.n},
                 read_golden("row-key-hashed.hex", bytes, sizeof bytes));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_row_schema_is_packed_as_ever),
        cmocka_unit_test(a_row_of_every_type_is_encoded_as_ever),
        cmocka_unit_test(a_row_with_a_full_key_is_encoded_as_ever),
        cmocka_unit_test(keys_of_rows_are_as_ever),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
