/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

/*
 * offline/ with every allocation refused in turn: a join in both forms, latest-per-key, explain,
 * and the public kernels. A run must end with TFN_OK (the refused one was not needed) or
 * TFN_NO_MEMORY and nothing in its outputs; leaks and stray accesses are AddressSanitizer's to
 * find.
 */

#include "unit/offline_fixture.h"

#include "base/mem.h"
#include "tiffin/join.h"

enum { ROWS = 50, ENTITIES = 20, FEATURES = 4, KEYS = 2, MANY = 70000 };

static const tfn_str KEY_COLUMNS[KEYS] = {{"plane", 5}, {"leg", 3}};
static const tfn_type KEY_TYPES[KEYS] = {{.kind = TFN_KIND_STRING}, {.kind = TFN_KIND_INT32}};
static const tfn_str FEATURE_COLUMNS[FEATURES] = {{"n", 1}, {"name", 4}, {"tags", 4}, {"f", 1}};
static const tfn_type FEATURE_TYPES[FEATURES] = {{.kind = TFN_KIND_INT32},
                                                 {.kind = TFN_KIND_STRING},
                                                 {.kind = TFN_KIND_INT64, .is_list = true},
                                                 {.kind = TFN_KIND_FLOAT32}};

/* Keys, times and values of n rows, the same every time. */
typedef struct rows {
    char planes[ROWS][24];
    const char *plane[ROWS];
    int32_t leg[ROWS];
    int64_t ts[ROWS];
    int64_t n[ROWS];
    char names[ROWS][40];
    const char *name[ROWS];
    int64_t tags[ROWS * 2];
    int32_t n_tags[ROWS];
    float f[ROWS];
} rows;

static void fill(rows *r)
{
    for (int i = 0; i < ROWS; i++) {
        (void)snprintf(r->planes[i], sizeof r->planes[i], "N%d", i % 7);
        (void)snprintf(r->names[i], sizeof r->names[i], "a name that grows %.*s", i % 20,
                       "....................");
        r->plane[i] = r->planes[i];
        r->name[i] = r->names[i];
        r->leg[i] = i % 2;
        r->ts[i] = (i * 37) % 100;
        r->n[i] = i;
        r->n_tags[i] = 2;
        r->tags[2 * i] = i;
        r->tags[2 * i + 1] = -i;
        r->f[i] = (float)i;
    }
}

static void make_source_stream(const rows *r, struct ArrowArrayStream *out)
{
    const make_col cols[] = {
        {.name = "plane", .format = "u", .values = r->plane},
        {.name = "leg", .format = "i", .values = r->leg},
        {.name = "ts", .format = "tsu:UTC", .values = r->ts},
        {.name = "created", .format = "tsu:UTC", .values = r->ts},
        {.name = "n", .format = "l", .values = r->n},
        {.name = "name", .format = "u", .values = r->name},
        {.name = "tags", .format = "+l", .values = r->tags, .lengths = r->n_tags, .item = "l"},
        {.name = "f", .format = "f", .values = r->f},
    };
    make_stream(cols, 8, ROWS, 20, out);
}

static void make_spine_stream(const rows *r, struct ArrowArrayStream *out)
{
    const make_col cols[] = {{.name = "plane", .format = "u", .values = r->plane},
                             {.name = "leg", .format = "i", .values = r->leg},
                             {.name = "t", .format = "tsn:UTC", .values = r->ts}};
    make_stream(cols, 3, ENTITIES, 7, out);
}

static tfn_join_view view_of(void)
{
    return (tfn_join_view){.label = tfn_str_of("stats"),
                           .n_keys = KEYS,
                           .key_columns = KEY_COLUMNS,
                           .key_types = KEY_TYPES,
                           .timestamp_field = tfn_str_of("ts"),
                           .created_column = tfn_str_of("created"),
                           .n_features = FEATURES,
                           .feature_columns = FEATURE_COLUMNS,
                           .feature_types = FEATURE_TYPES};
}

typedef enum form { TWO_STEP, ONE_STEP, STREAM } form;

static tfn_code open_source(const rows *r, form how, tfn_source **out, tfn_error *err)
{
    struct ArrowArrayStream stream;
    make_source_stream(r, &stream);
    *out = NULL;
    tfn_code rc;
    if (how == STREAM) {
        rc = tfn_source_of_stream(&stream, tfn_str_of("rows"), out, err);
    } else {
        tfn_frame *frame = NULL;
        rc = tfn_frame_read(&stream, &frame, err);
        if (rc == TFN_OK) {
            rc = tfn_source_of_frame(frame, tfn_str_of("rows"), out, err);
        }
        tfn_frame_release(frame);
    }
    if (stream.release != NULL) {
        stream.release(&stream);
    }
    return rc;
}

static tfn_code open_spine(const rows *r, tfn_spine **out, tfn_error *err)
{
    static const size_t keys[KEYS] = {0, 1};
    struct ArrowArrayStream stream;
    make_spine_stream(r, &stream);
    *out = NULL;
    tfn_frame *frame = NULL;
    tfn_code rc = tfn_frame_read(&stream, &frame, err);
    if (rc == TFN_OK) {
        rc = tfn_spine_create(frame, keys, KEY_TYPES, KEYS, 2, &(tfn_crew){.n_threads = 2}, out,
                              err);
    }
    tfn_frame_release(frame);
    if (stream.release != NULL) {
        stream.release(&stream);
    }
    assert_true((rc == TFN_OK) == (*out != NULL));
    return rc;
}

static tfn_code join_once(const rows *r, form how, tfn_error *err)
{
    const tfn_join_view view = view_of();
    const tfn_offline_opts opts = {.n_threads = 1, .force_one_step = how == ONE_STEP};
    tfn_spine *spine = NULL;
    tfn_source *source = NULL;
    tfn_column *out[FEATURES] = {NULL};
    tfn_code rc = open_spine(r, &spine, err);
    if (rc == TFN_OK) {
        rc = open_source(r, how, &source, err);
    }
    if (rc == TFN_OK) {
        rc = tfn_join_run(spine, &view, source, &opts, out, NULL, err);
    }
    for (size_t i = 0; i < FEATURES; i++) {
        assert_true((rc == TFN_OK) == (out[i] != NULL));
        tfn_column_release(out[i]);
    }
    tfn_source_destroy(source);
    tfn_spine_destroy(spine);
    return rc;
}

static tfn_code join_two_step(const rows *r, tfn_error *err)
{
    return join_once(r, TWO_STEP, err);
}

static tfn_code join_one_step(const rows *r, tfn_error *err)
{
    return join_once(r, ONE_STEP, err);
}

static tfn_code join_stream(const rows *r, tfn_error *err)
{
    return join_once(r, STREAM, err);
}

/* Entity rows enough for parts on several threads, and a group that all threads sort. */
static tfn_code open_large_spine(const rows *r, tfn_spine **out, tfn_error *err)
{
    static const char *plane[MANY];
    static int32_t leg[MANY];
    static int64_t t[MANY];
    for (int i = 0; i < MANY; i++) {
        plane[i] = r->plane[i % 100 == 0 ? i / 100 % ROWS : 0];
        leg[i] = 0;
        t[i] = (int64_t)i * 7919 % MANY;
    }
    const make_col cols[] = {{.name = "plane", .format = "u", .values = plane},
                             {.name = "leg", .format = "i", .values = leg},
                             {.name = "t", .format = "tsn:UTC", .values = t}};
    static const size_t keys[KEYS] = {0, 1};
    struct ArrowArrayStream stream;
    make_stream(cols, 3, MANY, 0, &stream);
    tfn_frame *frame = NULL;
    tfn_code rc = tfn_frame_read(&stream, &frame, err);
    if (rc == TFN_OK) {
        rc = tfn_spine_create(frame, keys, KEY_TYPES, KEYS, 2, &(tfn_crew){.n_threads = 2}, out,
                              err);
    }
    tfn_frame_release(frame);
    if (stream.release != NULL) {
        stream.release(&stream);
    }
    return rc;
}

static tfn_code join_on_threads(const rows *r, tfn_error *err)
{
    const tfn_join_view view = view_of();
    const tfn_offline_opts opts = {.n_threads = 2};
    tfn_spine *spine = NULL;
    tfn_source *source = NULL;
    tfn_column *out[FEATURES] = {NULL};
    tfn_code rc = open_large_spine(r, &spine, err);
    if (rc == TFN_OK) {
        rc = open_source(r, ONE_STEP, &source, err);
    }
    if (rc == TFN_OK) {
        rc = tfn_join_run(spine, &view, source, &opts, out, NULL, err);
    }
    for (size_t i = 0; i < FEATURES; i++) {
        assert_true((rc == TFN_OK) == (out[i] != NULL));
        tfn_column_release(out[i]);
    }
    tfn_source_destroy(source);
    tfn_spine_destroy(spine);
    return rc;
}

static tfn_code latest_once(const rows *r, tfn_error *err)
{
    const tfn_join_view view = view_of();
    const tfn_offline_opts opts = {.n_threads = 1};
    tfn_source *source = NULL;
    tfn_latest *latest = NULL;
    tfn_code rc = open_source(r, STREAM, &source, err);
    if (rc == TFN_OK) {
        rc = tfn_latest_run(&view, source, NULL, &opts, &latest, NULL, err);
    }
    assert_true((rc == TFN_OK) == (latest != NULL));
    tfn_latest_destroy(latest);
    tfn_source_destroy(source);
    return rc;
}

static tfn_code explain_once(const rows *r, tfn_error *err)
{
    const tfn_join_view view = view_of();
    tfn_spine *spine = NULL;
    tfn_source *source = NULL;
    tfn_buf json = {0};
    tfn_code rc = open_spine(r, &spine, err);
    if (rc == TFN_OK) {
        rc = open_source(r, TWO_STEP, &source, err);
    }
    if (rc == TFN_OK) {
        rc = tfn_join_explain(spine, &view, source, NULL, NULL, &json, err);
    }
    tfn_buf_deinit(&json);
    tfn_source_destroy(source);
    tfn_spine_destroy(spine);
    return rc;
}

static const char *const KEY_NAMES[KEYS] = {"plane", "leg"};

static tfn_code public_join(const rows *r, tfn_error *err)
{
    const tfn_offline_spec spec = {.struct_size = sizeof spec,
                                   .keys = KEY_NAMES,
                                   .n_keys = KEYS,
                                   .time = "ts",
                                   .created = "created",
                                   .n_threads = 1,
                                   .spine_time = "t",
                                   .prefix = "stats__"};
    struct ArrowArrayStream spine;
    struct ArrowArrayStream source;
    struct ArrowArrayStream out;
    make_spine_stream(r, &spine);
    make_source_stream(r, &source);
    const tfn_code rc = tfn_offline_join(&spine, &source, &spec, &out, err);
    assert_true((rc == TFN_OK) == (out.release != NULL));
    if (rc == TFN_OK) {
        out.release(&out);
    }
    spine.release(&spine);
    source.release(&source);
    return rc;
}

static tfn_code public_latest(const rows *r, tfn_error *err)
{
    const tfn_offline_spec spec = {.struct_size = sizeof spec,
                                   .keys = KEY_NAMES,
                                   .n_keys = KEYS,
                                   .time = "ts",
                                   .created = "created",
                                   .n_threads = 1};
    struct ArrowArrayStream source;
    struct ArrowArrayStream out;
    make_source_stream(r, &source);
    const tfn_code rc = tfn_offline_latest(&source, &spec, &out, err);
    assert_true((rc == TFN_OK) == (out.release != NULL));
    if (rc == TFN_OK) {
        out.release(&out);
    }
    source.release(&source);
    return rc;
}

static void refuse_each(tfn_code (*scenario)(const rows *r, tfn_error *err))
{
    rows *r = test_malloc(sizeof *r);
    fill(r);
    tfn_error err = {0};
    tfn_mem_fault_arm(0);
    assert_ok(scenario(r, &err), err);
    const int64_t n_allocations = tfn_mem_fault_count();
    assert_true(n_allocations > 10);
    for (int64_t k = 1; k <= n_allocations; k++) {
        err = (tfn_error){0};
        tfn_mem_fault_arm(k);
        const tfn_code rc = scenario(r, &err);
        if (rc != TFN_NO_MEMORY) {
            fail_msg("allocation %lld of %lld: %s: %s", (long long)k, (long long)n_allocations,
                     tfn_code_name(rc), err.message);
        }
        assert_int_equal(rc, err.code);
    }
    tfn_mem_fault_arm(0);
    test_free(r);
}

static void a_two_step_join_survives_every_refusal(void **state)
{
    (void)state;
    refuse_each(join_two_step);
}

static void a_one_step_join_survives_every_refusal(void **state)
{
    (void)state;
    refuse_each(join_one_step);
    refuse_each(join_stream);
}

/* Which worker meets a chunk first, and so how often they allocate, differs from run to run: refusals
 * go on until none is met. */
static void a_join_on_several_threads_survives_every_refusal(void **state)
{
    (void)state;
    rows *r = test_malloc(sizeof *r);
    fill(r);
    tfn_code rc = TFN_NO_MEMORY;
    int64_t k = 0;
    while (rc == TFN_NO_MEMORY) {
        tfn_error err = {0};
        tfn_mem_fault_arm(++k);
        rc = join_on_threads(r, &err);
        assert_int_equal(rc, err.code);
    }
    tfn_mem_fault_arm(0);
    assert_int_equal(rc, TFN_OK);
    assert_true(k > 50);
    test_free(r);
}

static void latest_survives_every_refusal(void **state)
{
    (void)state;
    refuse_each(latest_once);
}

static void explain_survives_every_refusal(void **state)
{
    (void)state;
    refuse_each(explain_once);
}

static void the_public_kernels_survive_every_refusal(void **state)
{
    (void)state;
    refuse_each(public_join);
    refuse_each(public_latest);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_two_step_join_survives_every_refusal),
        cmocka_unit_test(a_one_step_join_survives_every_refusal),
        cmocka_unit_test(a_join_on_several_threads_survives_every_refusal),
        cmocka_unit_test(latest_survives_every_refusal),
        cmocka_unit_test(explain_survives_every_refusal),
        cmocka_unit_test(the_public_kernels_survive_every_refusal),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
