/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "unit/online_fixture.h"
#include "unit/redis_bytes.h"

#include "online/redis_value.c"

/* The bytes in this file were printed by feast 0.67.0. */

static const tfn_type BYTES = {.kind = TFN_KIND_BYTES};
static const tfn_type STRING = {.kind = TFN_KIND_STRING};
static const tfn_type INT32 = {.kind = TFN_KIND_INT32};
static const tfn_type INT64 = {.kind = TFN_KIND_INT64};
static const tfn_type FLOAT32 = {.kind = TFN_KIND_FLOAT32};
static const tfn_type FLOAT64 = {.kind = TFN_KIND_FLOAT64};
static const tfn_type BOOL = {.kind = TFN_KIND_BOOL};
static const tfn_type TIME = {.kind = TFN_KIND_TIMESTAMP, .unit = TFN_UNIT_S};

static tfn_type list_of(tfn_type type)
{
    type.is_list = true;
    return type;
}

static uint64_t bits32(float x)
{
    uint32_t bits = 0;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

static uint64_t bits64(double x)
{
    uint64_t bits = 0;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

static tfn_cell number(int64_t x)
{
    return (tfn_cell){.bits = (uint64_t)x};
}

static tfn_cell string(const char *x)
{
    return (tfn_cell){.bytes = text(x)};
}

/* Writes as Feast does, and reads back what it wrote. */
static void check(tfn_type type, tfn_cell cell, const char *hex)
{
    tfn_error err = {0};
    tfn_buf out = {0};
    tfn_arena arena = {0};
    tfn_cell again;
    bool is_type = false;
    ASSERT_OK(tfn__redis_value_add(type, &cell, &out, &err), err);
    assert_hex(tfn_buf_get_str(&out), hex);
    ASSERT_OK(tfn__redis_value_read(type, tfn_buf_get_str(&out), &arena, &again, &is_type, &err),
              err);
    assert_true(is_type);
    assert_int_equal(again.is_null, cell.is_null);
    assert_true(again.bits == cell.bits);
    assert_true(tfn_str_equal(again.bytes, cell.bytes));
    tfn_buf_deinit(&out);
    tfn_arena_deinit(&arena);
}

static void meanings_are_feasts_bytes(void **state)
{
    (void)state;
    static const char two[] = "\2\0\0\0\3\0\0\0\0\1\0\0\0\2\0\0\0"
                              "ab";
    static const char numbers[] = "\2\0\0\0\3\1\0\0\0\0\0\0\0\2\0\0\0\0\0\0\0";
    const tfn_cell texts = {.bytes = {two, sizeof two - 1}};
    const tfn_type uuid = {.kind = TFN_KIND_STRING, .logical = TFN_LOGICAL_UUID};
    const tfn_type time_uuid = {.kind = TFN_KIND_STRING, .logical = TFN_LOGICAL_TIME_UUID};
    const tfn_type decimal = {.kind = TFN_KIND_STRING, .logical = TFN_LOGICAL_DECIMAL};
    const tfn_type json = {.kind = TFN_KIND_STRING, .logical = TFN_LOGICAL_JSON};
    const tfn_type map = {.kind = TFN_KIND_STRING, .logical = TFN_LOGICAL_MAP};
    const tfn_type set = {.kind = TFN_KIND_STRING, .is_list = true, .is_set = true};
    const tfn_type int64_set = {.kind = TFN_KIND_INT64, .is_list = true, .is_set = true};
    check(uuid, string("u"), "a2020175");
    check(time_uuid, string("u"), "aa020175");
    check(decimal, string("1.50"), "e20204312e3530");
    check(json, string("{}"), "8202027b7d");
    check(list_of(uuid), texts, "b202060a01610a0162");
    check(set, texts, "ba01060a01610a0162");
    check(int64_set, (tfn_cell){.bytes = {numbers, sizeof numbers - 1}}, "ca01040a020102");
    assert_false(tfn__redis_can_keep(map));
    assert_false(tfn__redis_can_keep(list_of(map)));
}

static void scalars_are_feasts_bytes(void **state)
{
    (void)state;
    check(BYTES, (tfn_cell){.bytes = {"\0\xff", 2}}, "0a0200ff");
    check(STRING, string(""), "1200");
    check(STRING, string("k\xc3\xa4se"), "12056bc3a47365");
    check(INT32, number(-1), "18ffffffffffffffffff01");
    check(INT32, number(0), "1800");
    check(INT64, number(INT64_MIN), "2080808080808080808001");
    check(FLOAT64, (tfn_cell){.bits = bits64(1.5)}, "29000000000000f83f");
    check(FLOAT32, (tfn_cell){.bits = bits32(-2.5f)}, "35000020c0");
    check(BOOL, number(0), "3800");
    check(BOOL, number(1), "3801");
    check(TIME, number(1600000000), "4080a0f8fa05");
    check(INT64, (tfn_cell){.is_null = true}, "");
    check(list_of(TIME), (tfn_cell){.is_null = true}, "");
}

static void lists_are_feasts_bytes(void **state)
{
    (void)state;
    const char two_texts[] = "\2\0\0\0\3\0\0\0\0\1\0\0\0\3\0\0\0xyy";
    check(list_of(STRING), (tfn_cell){.bytes = {two_texts, sizeof two_texts - 1}},
          "62070a01780a027979");
    const char texts_one_empty[] = "\2\0\0\0\3\0\0\0\0\1\0\0\0\1\0\0\0a";
    check(list_of(BYTES), (tfn_cell){.bytes = {texts_one_empty, sizeof texts_one_empty - 1}},
          "5a050a01610a00");
    const char ints[] = "\2\0\0\0\3\1\0\0\0\xff\xff\xff\xff";
    check(list_of(INT32), (tfn_cell){.bytes = {ints, sizeof ints - 1}},
          "6a0d0a0b01ffffffffffffffffff01");
    const char none[] = "\0\0\0\0";
    check(list_of(INT64), (tfn_cell){.bytes = {none, sizeof none - 1}}, "7200");
    const char doubles[] = "\1\0\0\0\1\0\0\0\0\0\0\xf0\x3f";
    check(list_of(FLOAT64), (tfn_cell){.bytes = {doubles, sizeof doubles - 1}},
          "7a0a0a08000000000000f03f");
    const char floats[] = "\1\0\0\0\1\0\0\x80\x3f";
    check(list_of(FLOAT32), (tfn_cell){.bytes = {floats, sizeof floats - 1}}, "8201060a040000803f");
    const char bools[] = "\2\0\0\0\3\1\0";
    check(list_of(BOOL), (tfn_cell){.bytes = {bools, sizeof bools - 1}}, "8a01040a020100");
    const char times[] = "\1\0\0\0\1\5\0\0\0\0\0\0\0";
    check(list_of(TIME), (tfn_cell){.bytes = {times, sizeof times - 1}}, "9201030a0105");
}

static void times_lose_what_is_finer_than_a_second(void **state)
{
    (void)state;
    tfn_error err = {0};
    tfn_buf out = {0};
    const tfn_type us = {.kind = TFN_KIND_TIMESTAMP, .unit = TFN_UNIT_US};
    const tfn_cell cell = number(-1);
    ASSERT_OK(tfn__redis_value_add(us, &cell, &out, &err), err);
    assert_hex(tfn_buf_get_str(&out), "40ffffffffffffffffff01");
    tfn_buf_deinit(&out);
}

static void a_null_in_a_list_is_refused(void **state)
{
    (void)state;
    tfn_error err = {0};
    tfn_buf out = {0};
    const tfn_cell cell = {.bytes = {"\2\0\0\0\1\1\0\0\0\0\0\0\0", 13}};
    ASSERT_FAILS(tfn__redis_value_add(list_of(INT32), &cell, &out, &err), TFN_UNSUPPORTED,
                 "item 1 of a list is null", err);
    tfn_buf_deinit(&out);
}

static void dates_are_not_kept(void **state)
{
    (void)state;
    assert_false(tfn__redis_can_keep((tfn_type){.kind = TFN_KIND_DATE}));
    assert_false(tfn__redis_can_keep((tfn_type){.kind = TFN_KIND_DATE, .is_list = true}));
    assert_true(tfn__redis_can_keep(list_of(TIME)));
}

static tfn_code read_value(tfn_type type, const char *hex, tfn_cell *cell, bool *is_type)
{
    tfn_arena arena = {0};
    const tfn_code rc = tfn__redis_value_read(type, of_hex(hex), &arena, cell, is_type, NULL);
    tfn_arena_deinit(&arena);
    return rc;
}

static void a_value_of_another_type_is_told_apart(void **state)
{
    (void)state;
    tfn_cell cell;
    bool is_type = true;
    assert_int_equal(read_value(STRING, "2007", &cell, &is_type), TFN_OK);
    assert_false(is_type);
    assert_true(cell.is_null);
    assert_int_equal(read_value(INT64, "7200", &cell, &is_type), TFN_OK);
    assert_false(is_type);
    assert_int_equal(read_value(list_of(INT64), "2007", &cell, &is_type), TFN_OK);
    assert_false(is_type);
    assert_int_equal(read_value(INT32, "2007", &cell, &is_type), TFN_OK);
    assert_false(is_type);
    assert_int_equal(read_value(STRING, "ca0203666f6f", &cell, &is_type),
                     TFN_OK); /* a newer member */
    assert_false(is_type);
}

static void narrower_numbers_are_widened(void **state)
{
    (void)state;
    tfn_cell cell;
    bool is_type = false;
    assert_int_equal(read_value(INT64, "18ffffffffffffffffff01", &cell, &is_type), TFN_OK);
    assert_true(is_type && cell.bits == UINT64_MAX);
    assert_int_equal(read_value(FLOAT64, "35000020c0", &cell, &is_type), TFN_OK);
    assert_true(is_type && cell.bits == bits64(-2.5));
}

static void a_time_that_is_null_is_feasts_nat(void **state)
{
    (void)state;
    tfn_error err = {0};
    tfn_buf out = {0};
    const tfn_type us = {.kind = TFN_KIND_TIMESTAMP, .unit = TFN_UNIT_US};
    const tfn_cell cell = {.is_null = true};
    ASSERT_OK(tfn__redis_value_add(us, &cell, &out, &err), err);
    assert_hex(tfn_buf_get_str(&out), "4080808080808080808001");
    tfn_buf_deinit(&out);
}

static void nulls_have_three_forms(void **state)
{
    (void)state;
    tfn_cell cell;
    bool is_type = false;
    assert_int_equal(read_value(INT64, "", &cell, &is_type), TFN_OK);
    assert_true(is_type && cell.is_null);
    assert_int_equal(read_value(INT64, "980100", &cell, &is_type), TFN_OK);
    assert_true(is_type && cell.is_null);
    assert_int_equal(read_value(TIME, "4080808080808080808001", &cell, &is_type), TFN_OK);
    assert_true(is_type && cell.is_null);
}

static void numbers_that_are_not_packed_are_read_too(void **state)
{
    (void)state;
    tfn_cell cell;
    tfn_arena arena = {0};
    bool is_type = false;
    assert_int_equal(tfn__redis_value_read(list_of(INT32), of_hex("6a07080108020a0103"), &arena,
                                           &cell, &is_type, NULL),
                     TFN_OK);
    assert_hex(cell.bytes, "0300000007010000000200000003000000");
    tfn_arena_deinit(&arena);
}

static void bytes_that_are_no_message_are_corrupt(void **state)
{
    (void)state;
    static const char *const messages[] = {
        "20",                           /* cut short */
        "2080",                         /* a varint without end */
        "2080808080808080808080808001", /* a varint that is too long */
        "0001",                         /* member 0 */
        "1205ab",                       /* more bytes than there are */
        "12ffffffffffffffffff01",       /* and many more */
        "13",                           /* a group */
        "120180",                       /* not UTF-8 */
        "2500000000",                   /* int64 as four bytes */
        "290000",                       /* half a double */
    };
    for (size_t i = 0; i < sizeof messages / sizeof messages[0]; i++) {
        tfn_cell cell;
        bool is_type = false;
        const tfn_type type = messages[i][0] == '1' ? STRING : INT64;
        assert_int_equal(read_value(type, messages[i], &cell, &is_type), TFN_CORRUPT);
    }
    tfn_cell cell;
    bool is_type = false;
    assert_int_equal(read_value(list_of(FLOAT64), "7a050a03000000", &cell, &is_type), TFN_CORRUPT);
    assert_int_equal(read_value(list_of(STRING), "62030a0180", &cell, &is_type), TFN_CORRUPT);
    assert_int_equal(read_value(list_of(STRING), "62020801", &cell, &is_type), TFN_CORRUPT);
}

static void check_time(int64_t seconds, int32_t nanos, const char *hex)
{
    uint8_t bytes[TFN__REDIS_TIME_MAX_BYTES];
    tfn_instant again;
    const tfn_str written = {(const char *)bytes,
                             tfn__redis_time_write((tfn_instant){seconds, nanos}, bytes)};
    assert_hex(written, hex);
    assert_int_equal(tfn__redis_time_read(written, &again, NULL), TFN_OK);
    assert_true(again.seconds == seconds && again.nanos == nanos);
}

static void event_times_are_feasts_bytes(void **state)
{
    (void)state;
    check_time(0, 0, "");
    check_time(-1, 999999999, "08ffffffffffffffffff0110ff93ebdc03");
    check_time(253402300799, 0, "08ff82d1ffaf07");
    check_time(1600000000, 123456000, "0880a0f8fa05108094ef3a");
    tfn_instant time;
    assert_int_equal(tfn__redis_time_read(of_hex("10ffffffffffffffffff01"), &time, NULL),
                     TFN_CORRUPT);
    assert_int_equal(tfn__redis_time_read(of_hex("08ffffffffffffffff7f"), &time, NULL),
                     TFN_CORRUPT);
    assert_false(tfn__redis_time_fits(TFN_INSTANT_NONE));
    assert_false(tfn__redis_time_fits((tfn_instant){253402300800, 0}));
    assert_true(tfn__redis_time_fits((tfn_instant){-62135596800, 0}));
}

static void a_pair_counts_only_with_its_event_time(void **state)
{
    (void)state;
    uint8_t bytes[TFN__REDIS_PAIR_BYTES];
    const tfn_instant event = {-5, 7};
    const tfn_instant created = {1600000000, 999999999};
    tfn__redis_pair_write(event, created, bytes);
    const tfn_str pair = {(const char *)bytes, sizeof bytes};
    assert_hex(pair, "01fbffffffffffffff0700000000105e5f00000000ffc99a3b");
    assert_int_equal(tfn_instant_compare(tfn__redis_pair_read(pair, event), created), 0);
    const tfn_instant later = {-5, 8};
    assert_int_equal(tfn_instant_compare(tfn__redis_pair_read(pair, later), TFN_INSTANT_NONE), 0);
    assert_int_equal(
        tfn_instant_compare(tfn__redis_pair_read((tfn_str){pair.p, 24}, event), TFN_INSTANT_NONE),
        0);
    bytes[0] = 2;
    assert_int_equal(tfn_instant_compare(tfn__redis_pair_read(pair, event), TFN_INSTANT_NONE), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(scalars_are_feasts_bytes),
        cmocka_unit_test(meanings_are_feasts_bytes),
        cmocka_unit_test(lists_are_feasts_bytes),
        cmocka_unit_test(times_lose_what_is_finer_than_a_second),
        cmocka_unit_test(a_null_in_a_list_is_refused),
        cmocka_unit_test(dates_are_not_kept),
        cmocka_unit_test(a_value_of_another_type_is_told_apart),
        cmocka_unit_test(narrower_numbers_are_widened),
        cmocka_unit_test(a_time_that_is_null_is_feasts_nat),
        cmocka_unit_test(nulls_have_three_forms),
        cmocka_unit_test(numbers_that_are_not_packed_are_read_too),
        cmocka_unit_test(bytes_that_are_no_message_are_corrupt),
        cmocka_unit_test(event_times_are_feasts_bytes),
        cmocka_unit_test(a_pair_counts_only_with_its_event_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
