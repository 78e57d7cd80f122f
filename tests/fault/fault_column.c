/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

/*
 * column/ with every allocation refused in turn: each scenario is run once to count allocations,
 * then once per allocation. A run must end with TFN_OK (the refused one was not needed) or
 * TFN_NO_MEMORY; leaks and stray accesses are AddressSanitizer's to find.
 */

#include "unit/column_make.h"

#include "column/logical.h"

#include <errno.h>

typedef tfn_code (*scenario_fn)(tfn_error *err);

static const int64_t ids[] = {1, 2, 3, 4, 5};
static const char *const names[] = {"a", NULL, "c", "d", "e, rather longer than the others"};

static void refuse_each(scenario_fn scenario)
{
    tfn_error err = {0};
    tfn_mem_fault_arm(0);
    assert_ok(scenario(&err), err);
    const int64_t n_allocations = tfn_mem_fault_count();
    assert_true(n_allocations > 0);
    for (int64_t k = 1; k <= n_allocations; k++) {
        err = (tfn_error){0};
        tfn_mem_fault_arm(k);
        const tfn_code rc = scenario(&err);
        assert_true(rc == TFN_OK || rc == TFN_NO_MEMORY);
        assert_int_equal(rc, err.code);
        assert_true(rc == TFN_OK || err.message[0] != '\0');
    }
    tfn_mem_fault_arm(0);
}

/* ---- columns ---- */

static tfn_code add_rows(tfn_builder *b, tfn_type type, const tfn_vec *v, tfn_buf *scratch,
                         tfn_error *err)
{
    for (int64_t i = 0; i < v->n; i++) {
        tfn_cell cell;
        TFN_RETURN_IF_ERROR(tfn_cell_of_vec(v, i, type, scratch, &cell, err));
        TFN_RETURN_IF_ERROR(tfn_builder_add(b, &cell, err));
    }
    for (int i = 0; i < 20; i++) { /* so that every array grows */
        TFN_RETURN_IF_ERROR(tfn_builder_add_vec(b, v, 0, v->n, err));
        TFN_RETURN_IF_ERROR(tfn_builder_add_nulls(b, 3, err));
    }
    return TFN_OK;
}

/* What a builder holds must still add up after a refused call. */
static void check_rows(const tfn_column *c)
{
    const tfn_vec *v = tfn_column_get_vec(c);
    for (int64_t i = 0; i < v->n; i++) {
        if (v->type.is_list && tfn_vec_is_valid(v, i)) {
            const tfn_range range = tfn_vec_get_list(v, i);
            assert_true(range.begin >= 0 && range.begin + range.n <= v->child->n);
        }
    }
}

static tfn_code build_and_export(const make_col *col, tfn_type type, tfn_error *err)
{
    made_vec made;
    tfn_builder *b = NULL;
    tfn_column *c = NULL;
    tfn_buf scratch = {0};
    struct ArrowSchema schema = {0};
    struct ArrowArray array = {0};
    tfn_code rc = make_vec_or_error(col, 5, &made, err);
    if (rc == TFN_OK) {
        rc = tfn_builder_create(type, 0, &b, err);
    }
    if (rc == TFN_OK) {
        rc = add_rows(b, type, &made.vec, &scratch, err);
    }
    if (b != NULL) {
        const tfn_code finished = tfn_builder_finish(&b, &c, rc == TFN_OK ? err : NULL);
        rc = rc == TFN_OK ? finished : rc;
    }
    if (c != NULL) {
        check_rows(c);
    }
    if (rc == TFN_OK) {
        rc = tfn_column_export(c, tfn_str_of("c"), 1, 3, &schema, &array, err);
    }
    if (rc == TFN_OK) {
        schema.release(&schema);
        array.release(&array);
    }
    tfn_builder_destroy(b);
    tfn_column_release(c);
    tfn_buf_deinit(&scratch);
    end_vec(&made);
    return rc;
}

static tfn_code build_numbers(tfn_error *err)
{
    const make_col col = {.format = "i", .values = ids};
    return build_and_export(&col, (tfn_type){.kind = TFN_KIND_INT64}, err);
}

static tfn_code build_strings(tfn_error *err)
{
    const make_col col = {.format = "u", .values = names};
    return build_and_export(&col, (tfn_type){.kind = TFN_KIND_STRING}, err);
}

static tfn_code build_lists(tfn_error *err)
{
    const make_col col = {
        .format = "+l", .item = "u", .values = names, .lengths = (const int32_t[]){1, 2, 0, 1, 1}};
    return build_and_export(&col, (tfn_type){.kind = TFN_KIND_STRING, .is_list = true}, err);
}

static tfn_code own_fixed(tfn_error *err)
{
    void *values = NULL;
    void *validity = NULL;
    tfn_column *c = NULL;
    tfn_code rc = tfn_mem_alloc_array(9, 1, &values, err);
    if (rc == TFN_OK) {
        rc = tfn_mem_alloc_array(2, 1, &validity, err);
    }
    if (rc == TFN_OK) {
        rc = tfn_column_of_fixed((tfn_type){.kind = TFN_KIND_BOOL}, 9, values, validity, &c, err);
    }
    if (rc != TFN_OK) { /* still the caller's */
        tfn_mem_free(values);
        tfn_mem_free(validity);
    }
    tfn_column_release(c);
    return rc;
}

static void builders_survive(void **state)
{
    (void)state;
    refuse_each(build_numbers);
    refuse_each(build_strings);
    refuse_each(build_lists);
    refuse_each(own_fixed);
}

/* ---- keys ---- */

static tfn_code encode_keys(tfn_error *err)
{
    const make_col cols[] = {{.format = "l", .values = ids}, {.format = "u", .values = names}};
    const tfn_type parts[] = {{.kind = TFN_KIND_INT64}, {.kind = TFN_KIND_STRING}};
    made_vec made[2];
    tfn_keys keys = {0};
    tfn_buf buf = {0};
    tfn_arena arena = {0};
    tfn_code rc = make_vec_or_error(&cols[0], 5, &made[0], err);
    const tfn_code second = make_vec_or_error(&cols[1], 5, &made[1], err);
    rc = rc == TFN_OK ? second : rc;
    const tfn_vec vecs[] = {made[0].vec, made[1].vec};
    for (size_t n_parts = 1; n_parts <= 2 && rc == TFN_OK; n_parts++) {
        tfn_key_plan plan;
        tfn_cell cells[2];
        rc = tfn_key_plan_init(&plan, parts, n_parts, err);
        for (int64_t n = 1; n <= 5 && rc == TFN_OK; n += 2) {
            rc = tfn_keys_encode(&keys, &plan, vecs, n, err);
        }
        if (rc == TFN_OK) {
            rc = tfn_key_decode(&plan, tfn_keys_get(&keys, 0), &arena, cells, err);
        }
        if (rc == TFN_OK) {
            rc = tfn_key_encode_cells(&plan, cells, &buf, err);
        }
    }
    tfn_keys_deinit(&keys);
    tfn_buf_deinit(&buf);
    tfn_arena_deinit(&arena);
    end_vec(&made[0]);
    end_vec(&made[1]);
    return rc;
}

static void keys_survive(void **state)
{
    (void)state;
    refuse_each(encode_keys);
}

/* ---- texts with a meaning ---- */

static tfn_code check_json(tfn_error *err)
{
    static const char text[] = "{\"a\":[1,2,{\"b\":\"text\"}]}";
    const tfn_type type = {.kind = TFN_KIND_STRING, .logical = TFN_LOGICAL_MAP};
    const tfn_cell cell = {.bytes = tfn_str_of(text)};
    return tfn_logical_check(type, &cell, err);
}

static void checks_survive(void **state)
{
    (void)state;
    refuse_each(check_json);
}

/* ---- frames and streams ---- */

/* Read a stream of ours as any consumer would; ENOMEM must come with a text. */
static tfn_code drain(struct ArrowArrayStream *stream, tfn_error *err)
{
    struct ArrowSchema schema = {0};
    struct ArrowArray array = {0};
    int error_code = stream->get_schema(stream, &schema);
    if (error_code == 0) {
        schema.release(&schema);
    }
    bool end = false;
    while (error_code == 0 && !end) {
        error_code = stream->get_next(stream, &array);
        end = array.release == NULL;
        if (error_code == 0 && !end) {
            array.release(&array);
        }
    }
    if (error_code == 0) {
        return TFN_OK;
    }
    assert_int_equal(error_code, ENOMEM);
    assert_non_null(stream->get_last_error(stream));
    return TFN_FAIL(err, TFN_NO_MEMORY, "%s", stream->get_last_error(stream));
}

static tfn_code read_and_export(tfn_error *err)
{
    static const char *const words[] = {"red", "green"};
    static const uint8_t indices[] = {1, 0, 1, 1, 0};
    static const uint8_t bits[] = {0x0f};
    const make_col dictionary = {.format = "u", .values = words};
    const make_col cols[] = {
        {.name = "id", .format = "l", .values = ids},
        {.name = "colour",
         .format = "C",
         .values = indices,
         .dictionary = &dictionary,
         .n_dictionary = 2},
        {.name = "tags",
         .format = "+l",
         .item = "u",
         .values = names,
         .lengths = (const int32_t[]){1, 2, 0, 1, 1}},
    };
    struct ArrowArrayStream in;
    struct ArrowArrayStream out = {0};
    tfn_frame *f = NULL;
    tfn_column *extra = NULL;
    tfn_builder *b = NULL;
    const tfn_str extra_name = tfn_str_of("extra");
    make_stream(cols, 3, 5, 3, &in);
    struct ArrowArray *batch = &((make_stream_state *)in.private_data)->batches[0];
    batch->buffers[0] = bits;
    batch->null_count = -1;
    batch->offset = 1;
    batch->length = 2;
    tfn_code rc = tfn_frame_read(&in, &f, err);
    if (rc == TFN_OK) {
        rc = tfn_builder_create((tfn_type){.kind = TFN_KIND_DATE}, 0, &b, err);
    }
    if (rc == TFN_OK) {
        rc = tfn_builder_add_nulls(b, tfn_frame_get_n_rows(f), err);
    }
    if (rc == TFN_OK) {
        rc = tfn_builder_finish(&b, &extra, err);
    }
    if (rc == TFN_OK) {
        rc = tfn_frame_export(f, &extra_name, &extra, 1, &out, err);
    }
    if (rc == TFN_OK) {
        rc = drain(&out, err);
    }
    if (out.release != NULL) {
        out.release(&out);
    }
    if (in.release != NULL) {
        in.release(&in);
    }
    tfn_builder_destroy(b);
    tfn_column_release(extra);
    tfn_frame_release(f);
    return rc;
}

static void frames_survive(void **state)
{
    (void)state;
    refuse_each(read_and_export);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(builders_survive),
        cmocka_unit_test(keys_survive),
        cmocka_unit_test(checks_survive),
        cmocka_unit_test(frames_survive),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
