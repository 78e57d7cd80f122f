/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

#include "unit/column_make.h"

#include "column/frame_hash.c"

enum { N_ROWS = 5 };

static const int64_t ids[] = {1, 2, 3, 4, 5};
static const uint8_t ids_valid[] = {1, 1, 0, 1, 1};
static const char *const names[] = {"a", NULL, "", "a rather long name", "e"};

static tfn_hash128 hash_in_batches(const make_col *cols, size_t n_cols, int64_t n_rows,
                                   int64_t batch_rows)
{
    struct ArrowArrayStream stream;
    tfn_frame *f = NULL;
    tfn_error err = {0};
    tfn_hash128 hash = {{0}};
    make_stream(cols, n_cols, n_rows, batch_rows, &stream);
    assert_ok(tfn_frame_read(&stream, &f, &err), err);
    assert_ok(tfn_frame_hash(f, &hash, &err), err);
    tfn_frame_release(f);
    return hash;
}

static tfn_hash128 hash_of(const make_col *col)
{
    return hash_in_batches(col, 1, N_ROWS, 0);
}

static bool are_same(tfn_hash128 a, tfn_hash128 b)
{
    return memcmp(a.bytes, b.bytes, sizeof a.bytes) == 0;
}

static void the_hash_is_a_stored_format(void **state)
{
    (void)state;
    const make_col cols[] = {{.name = "id", .format = "l", .values = ids, .valid = ids_valid},
                             {.name = "name", .format = "u", .values = names}};
    char text[TFN_HASH_TEXT_BYTES];
    tfn_hash128_format(hash_in_batches(cols, 2, N_ROWS, 0), text);
    assert_string_equal(text, "c69651976e05f2bb448d44d31525de84");
}

static void batches_and_offsets_do_not_count(void **state)
{
    (void)state;
    const int32_t lengths[] = {2, 0, 1, 0, 2};
    const make_col cols[] = {
        {.name = "id", .format = "l", .values = ids, .valid = ids_valid},
        {.name = "name", .format = "u", .values = names},
        {.name = "list", .format = "+l", .item = "l", .lengths = lengths, .values = ids},
    };
    make_col padded[3];
    memcpy(padded, cols, sizeof cols);
    for (size_t i = 0; i < 3; i++) {
        padded[i].padding = (int64_t)i + 1;
    }
    const tfn_hash128 whole = hash_in_batches(cols, 3, N_ROWS, 0);
    for (int64_t batch_rows = 1; batch_rows < N_ROWS; batch_rows++) {
        assert_true(are_same(whole, hash_in_batches(cols, 3, N_ROWS, batch_rows)));
        assert_true(are_same(whole, hash_in_batches(padded, 3, N_ROWS, batch_rows)));
    }
}

static void values_below_nulls_do_not_count(void **state)
{
    (void)state;
    const int64_t others[] = {1, 2, 77, 4, 5};
    const make_col a = {.name = "id", .format = "l", .values = ids, .valid = ids_valid};
    const make_col b = {.name = "id", .format = "l", .values = others, .valid = ids_valid};
    assert_true(are_same(hash_of(&a), hash_of(&b)));
}

static void layouts_of_one_type_do_not_count(void **state)
{
    (void)state;
    const char *const words[] = {"x", "y"};
    const make_col values = {.name = "", .format = "u", .values = words};
    const int8_t indices[] = {1, 0, 1, 1, 0};
    const char *const plain_words[] = {"y", "x", "y", "y", "x"};
    const make_col encoded = {
        .name = "w", .format = "c", .values = indices, .dictionary = &values, .n_dictionary = 2};
    const make_col plain = {.name = "w", .format = "u", .values = plain_words};
    const make_col large = {.name = "w", .format = "U", .values = plain_words};
    assert_true(are_same(hash_of(&plain), hash_of(&large)));
    assert_true(are_same(hash_of(&plain), hash_of(&encoded)));
}

static void names_types_values_nulls_and_order_count(void **state)
{
    (void)state;
    const int64_t others[] = {1, 2, 3, 5, 4};
    const char *const gaps[] = {"a", "", NULL, "a rather long name", "e"};
    const make_col base = {.name = "id", .format = "l", .values = ids};
    const make_col different[] = {
        {.name = "ID", .format = "l", .values = ids},
        {.name = "id", .format = "tsu:UTC", .values = ids},
        {.name = "id", .format = "tsu:", .values = ids},
        {.name = "id", .format = "tsn:UTC", .values = ids},
        {.name = "id", .format = "l", .values = others},
        {.name = "id", .format = "l", .values = ids, .valid = ids_valid},
        {.name = "id", .format = "u", .values = names},
        {.name = "id", .format = "u", .values = gaps},
        {.name = "id", .format = "z", .values = gaps},
    };
    enum { N = sizeof different / sizeof *different };
    for (size_t i = 0; i < N; i++) {
        assert_false(are_same(hash_of(&base), hash_of(&different[i])));
        for (size_t j = i + 1; j < N; j++) {
            assert_false(are_same(hash_of(&different[i]), hash_of(&different[j])));
        }
    }
    const make_col two[] = {base, {.name = "x", .format = "l", .values = ids}};
    const make_col turned[] = {two[1], two[0]};
    assert_false(are_same(hash_in_batches(two, 2, 5, 0), hash_in_batches(turned, 2, 5, 0)));
}

static void where_one_value_ends_is_part_of_it(void **state)
{
    (void)state;
    const char *const a[] = {"ab", "c", "", "", ""};
    const char *const b[] = {"a", "bc", "", "", ""};
    const make_col first = {.name = "t", .format = "u", .values = a};
    const make_col second = {.name = "t", .format = "u", .values = b};
    assert_false(are_same(hash_of(&first), hash_of(&second)));
    const int32_t twos[] = {2, 2, 1, 0, 0};
    const int32_t threes[] = {3, 1, 1, 0, 0};
    const make_col x = {.name = "l", .format = "+l", .item = "l", .lengths = twos, .values = ids};
    const make_col y = {.name = "l", .format = "+l", .item = "l", .lengths = threes, .values = ids};
    assert_false(are_same(hash_of(&x), hash_of(&y)));
}

static void an_empty_table_has_a_hash(void **state)
{
    (void)state;
    const make_col cols[] = {{.name = "id", .format = "l", .values = ids},
                             {.name = "x", .format = "g", .values = ids}};
    assert_false(are_same(hash_in_batches(cols, 1, 0, 0), hash_in_batches(cols, 2, 0, 0)));
}

static void an_index_outside_the_dictionary_is_refused(void **state)
{
    (void)state;
    const char *const words[] = {"x"};
    const int64_t indices[] = {0, 0, 0, 0, 0};
    const make_col values = {.name = "", .format = "u", .values = words};
    const make_col encoded = {
        .name = "w", .format = "l", .values = indices, .dictionary = &values, .n_dictionary = 1};
    struct ArrowArrayStream stream;
    tfn_frame *f = NULL;
    tfn_error err = {0};
    tfn_hash128 hash;
    make_stream(&encoded, 1, N_ROWS, 0, &stream);
    assert_ok(tfn_frame_read(&stream, &f, &err), err);
    f->batches[0].cols[0].array.dictionary->length = 0;
    assert_int_equal(tfn_frame_hash(f, &hash, &err), TFN_INVALID);
    assert_text(err.message, "column 'w'");
    f->batches[0].cols[0].array.dictionary->length = 1;
    tfn_frame_release(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_hash_is_a_stored_format),
        cmocka_unit_test(batches_and_offsets_do_not_count),
        cmocka_unit_test(values_below_nulls_do_not_count),
        cmocka_unit_test(layouts_of_one_type_do_not_count),
        cmocka_unit_test(names_types_values_nulls_and_order_count),
        cmocka_unit_test(where_one_value_ends_is_part_of_it),
        cmocka_unit_test(an_empty_table_has_a_hash),
        cmocka_unit_test(an_index_outside_the_dictionary_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
