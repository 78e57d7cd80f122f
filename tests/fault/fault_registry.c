/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

/*
 * registry/ with every allocation refused in turn, SQLite's own included: its heap is replaced by
 * ours, so that one counter counts both. Each run must end with TFN_OK (the refused one was not
 * needed) or TFN_NO_MEMORY, and afterwards the file holds either the state before or the state
 * after, whole.
 */

#define FIXTURE_IN_MEMORY
#include "unit/registry_fixture.h"

#include <fcntl.h>
#include <sqlite3.h>
#include <sys/stat.h>

#include "registry/feast_file.h"
#include "unit/feast_fixture.h"

/* ---- SQLite's heap through base/mem.h ---- */

enum { HEADER_BYTES = 16 }; /* holds the size, keeps the alignment */

static void *sql_malloc(int n)
{
    void *p = NULL;
    if (tfn_mem_alloc_uninit((size_t)n + HEADER_BYTES, 1, &p, NULL) != TFN_OK) {
        return NULL;
    }
    *(int *)p = n;
    return (char *)p + HEADER_BYTES;
}

static void sql_free(void *p)
{
    tfn_mem_free(p == NULL ? NULL : (char *)p - HEADER_BYTES);
}

static int sql_size(void *p)
{
    return p == NULL ? 0 : *(int *)(void *)((char *)p - HEADER_BYTES);
}

static void *sql_realloc(void *p, int n)
{
    void *base = (char *)p - HEADER_BYTES;
    if (tfn_mem_realloc_array(&base, (size_t)n + HEADER_BYTES, 1, NULL) != TFN_OK) {
        return NULL;
    }
    *(int *)base = n;
    return (char *)base + HEADER_BYTES;
}

static int sql_roundup(int n)
{
    return (n + 7) & ~7;
}

static int sql_init(void *context)
{
    (void)context;
    return SQLITE_OK;
}

static void sql_shutdown(void *context)
{
    (void)context;
}

static int use_our_heap(void **state)
{
    (void)state;
    static const sqlite3_mem_methods methods = {sql_malloc,  sql_free, sql_realloc,  sql_size,
                                                sql_roundup, sql_init, sql_shutdown, NULL};
    assert_int_equal(sqlite3_config(SQLITE_CONFIG_MALLOC, &methods), SQLITE_OK);
    /* Without its own small pools each allocation is one of ours. */
    assert_int_equal(sqlite3_config(SQLITE_CONFIG_LOOKASIDE, 0, 0), SQLITE_OK);
    assert_int_equal(sqlite3_initialize(), SQLITE_OK);
    return 0;
}

/* ---- refusing ---- */

typedef tfn_code (*scenario_fn)(fixture *f, tfn_registry *r, tfn_error *err);

/* Open, run, close; the registry may hold anything before. */
static tfn_code run(fixture *f, scenario_fn scenario, tfn_error *err)
{
    const tfn_clock clock = {tell_time, f};
    tfn_registry *r = NULL;
    tfn_code rc = tfn_registry_open(f->path, TFN_REGISTRY_CREATE, &clock, &r, err);
    if (rc == TFN_OK) {
        rc = scenario(f, r, err);
    }
    tfn_registry_close(r);
    return rc;
}

static void copy_file(const char *from, const char *to)
{
    static char bytes[1 << 20];
    FILE *in = fopen(from, "rb");
    FILE *out = fopen(to, "wb");
    assert_non_null(in);
    assert_non_null(out);
    const size_t n = fread(bytes, 1, sizeof bytes, in);
    assert_int_equal(fwrite(bytes, 1, n, out), n);
    assert_int_equal(fclose(in), 0);
    assert_int_equal(fclose(out), 0);
}

/* The file, and a log that a refused checkpoint may have left. */
static void remove_registry(const fixture *f)
{
    static const char *const tails[] = {"", "-wal", "-shm", "-journal"};
    for (size_t i = 0; i < sizeof tails / sizeof *tails; i++) {
        char path[160];
        (void)snprintf(path, sizeof path, "%s%s", f->path, tails[i]);
        (void)remove(path);
    }
}

/* What the file holds: its head commit, after a check that this state is whole. -1: nothing. */
static int64_t check_file(fixture *f)
{
    tfn_snapshot *s = NULL;
    tfn_registry *r = open_again(f, TFN_REGISTRY_CREATE);
    const tfn_code rc = tfn_registry_get_snapshot(r, text("flights"), TFN_CACHED, &s, &f->err);
    const int64_t commit = rc == TFN_OK ? tfn_snapshot_get_commit(s) : -1;
    assert_true(rc == TFN_OK || rc == TFN_NOT_FOUND);
    f->err = (tfn_error){0};
    for (size_t i = 0; commit >= 0 && i < tfn_snapshot_count(s, TFN_OBJECT_SERVICE); i++) {
        const tfn_service_def *service = NULL;
        assert_fine(f, tfn_snapshot_find_service(s, tfn_snapshot_get_name(s, TFN_OBJECT_SERVICE, i),
                                                 &service, &f->err));
    }
    tfn_snapshot_release(s);
    tfn_registry_close(r);
    return commit;
}

/* From the state in f->path, or from nothing, refuse allocations of the scenario: every one, or one
 * of so many. */
static void refuse_some(fixture *f, scenario_fn scenario, bool from_nothing, int64_t one_of)
{
    char base[160];
    tfn_error err = {0};
    (void)snprintf(base, sizeof base, "%s/base.db", f->folder);
    if (!from_nothing) {
        copy_file(f->path, base);
    }
    const int64_t before = check_file(f);
    tfn_mem_fault_arm(0);
    assert_fine(f, run(f, scenario, &f->err));
    const int64_t n_allocations = tfn_mem_fault_count();
    const int64_t after = check_file(f);
    assert_true(n_allocations > 0);
    for (int64_t k = 1; k <= n_allocations; k += one_of) {
        remove_registry(f);
        if (!from_nothing) {
            copy_file(base, f->path);
        }
        err = (tfn_error){0};
        tfn_mem_fault_arm(k);
        const tfn_code rc = run(f, scenario, &err);
        tfn_mem_fault_arm(0);
        if ((rc != TFN_OK && rc != TFN_NO_MEMORY) || err.code != rc) {
            fail_msg("allocation %lld of %lld: %s %s", (long long)k, (long long)n_allocations,
                     tfn_code_name(rc), err.message);
        }
        const int64_t found = check_file(f);
        assert_true(found == after || (rc != TFN_OK && found == before));
    }
}

static void refuse_each(fixture *f, scenario_fn scenario, bool from_nothing)
{
    refuse_some(f, scenario, from_nothing, 1);
}

/* What takes thousands of allocations and files: TFN_FAULT_STEP=1 refuses all of them, too. */
static int64_t step(void)
{
    const char *value = getenv("TFN_FAULT_STEP");
    const int64_t n = value != NULL ? strtoll(value, NULL, 10) : 7;
    return n > 0 ? n : 1;
}

/* ---- scenarios ---- */

#define ON_DEMAND                                                                                  \
    "{\"kind\":\"data_source\",\"type\":\"request\",\"name\":\"trip\",\"schema\":[{\"name\":"      \
    "\"km\","                                                                                      \
    "\"dtype\":\"float64\"}]},"                                                                    \
    "{\"kind\":\"on_demand_feature_view\",\"name\":\"a\",\"function\":{\"module\":\"m\","          \
    "\"name\":\"f\",\"hash\":"                                                                     \
    "\"00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff\"},"                       \
    "\"sources\":[{\"view\":\"history\"}],\"request_sources\":[\"trip\"],\"schema\":["             \
    "{\"name\":\"x\",\"dtype\":\"int64\"}]}"
#define CHANGES                                                                                    \
    "{\"objects\":[" VIEW_WITH(                                                                    \
        "history",                                                                                 \
        ",\"tags\":{\"a\":\"b\"},\"ttl_us\":5") "," ON_DEMAND                                      \
                                                ",{\"kind\":\"entity\",\"name\":\"new\"}],"        \
                                                "\"delete\":[{\"kind\":\"data_source\",\"name\":"  \
                                                "\"planes_push\"}]}"

static tfn_code apply_once(tfn_registry *r, const char *request, tfn_error *err)
{
    tfn_buf answer = {0};
    const tfn_code rc = tfn_registry_apply(r, text("flights"), text(request), &answer, err);
    assert_true(rc == TFN_OK || answer.n == 0);
    tfn_buf_deinit(&answer);
    return rc;
}

static tfn_code make_everything(fixture *f, tfn_registry *r, tfn_error *err)
{
    (void)f;
    return apply_once(r, EVERYTHING, err);
}

static tfn_code change_something(fixture *f, tfn_registry *r, tfn_error *err)
{
    (void)f;
    return apply_once(r, CHANGES, err);
}

/* Refusals need memory too; the sentence must not be lost to anything but a lack of it. */
static tfn_code plan_with_refusals(fixture *f, tfn_registry *r, tfn_error *err)
{
    (void)f;
    tfn_buf answer = {0};
    const tfn_code rc = tfn_registry_plan(
        r, text("flights"),
        text("{\"objects\":[{\"kind\":\"feature_view\",\"name\":\"History\",\"source\":\"planse\"},"
             "{\"kind\":\"entity\",\"name\":\"e\",\"value_type\":\"map\"},"
             "{\"kind\":\"feature_view\",\"name\":\"w\",\"entities\":[\"e\"],\"source\":\"planes\","
             "\"schema\":[{\"name\":\"x\",\"dtype\":\"int64\"}]}],"
             "\"delete\":[{\"kind\":\"entity\",\"name\":\"plane\"}]}"),
        &answer, err);
    tfn_buf_deinit(&answer);
    return rc;
}

static tfn_code read_all(tfn_registry *r, tfn_snapshot *s, tfn_buf *b, tfn_error *err)
{
    const tfn_service_def *service = NULL;
    const tfn_view_def *view = NULL;
    tfn_error missing = {0};
    TFN_RETURN_IF_ERROR(tfn_snapshot_find_service(s, text("model"), &service, err));
    const tfn_code rc = tfn_snapshot_find_view(s, text("histroy"), &view, &missing);
    if (rc != TFN_NOT_FOUND) {
        return tfn_error_move(err, &missing);
    }
    TFN_RETURN_IF_ERROR(tfn_snapshot_list(s, TFN_OBJECT_VIEW, text("{\"a\":\"b\"}"), b, err));
    TFN_RETURN_IF_ERROR(tfn_snapshot_list(s, TFN_OBJECT_SOURCE, text(""), b, err));
    TFN_RETURN_IF_ERROR(tfn_registry_log(r, text("flights"), 0, b, err));
    TFN_RETURN_IF_ERROR(tfn_registry_show(r, text("flights"), 2, b, err));
    return tfn_registry_list_projects(r, b, err);
}

static tfn_code read_everything(fixture *f, tfn_registry *r, tfn_error *err)
{
    (void)f;
    tfn_buf b = {0};
    tfn_snapshot *s = NULL;
    tfn_snapshot *past = NULL;
    tfn_code rc = tfn_registry_get_snapshot(r, text("flights"), TFN_CACHED, &s, err);
    if (rc == TFN_OK) {
        rc = read_all(r, s, &b, err);
    }
    if (rc == TFN_OK) {
        rc = tfn_registry_get_snapshot_at_commit(r, text("flights"), 1, &past, err);
    }
    tfn_snapshot_release(past);
    tfn_snapshot_release(s);
    tfn_buf_deinit(&b);
    return rc;
}

static tfn_code note_runs(tfn_registry *r, tfn_buf *b, tfn_error *err)
{
    bool found = false;
    tfn_watermark mark = {{1, 0}, {2, 0}, TFN_INSTANT_NONE};
    const tfn_run run_of_it = {.end = {2, 0}};
    const tfn_str project = text("flights");
    TFN_RETURN_IF_ERROR(
        tfn_registry_set_watermark(r, project, text("history"), &mark, &run_of_it, err));
    TFN_RETURN_IF_ERROR(
        tfn_registry_get_watermark(r, project, text("history"), &found, &mark, err));
    TFN_RETURN_IF_ERROR(tfn_registry_list_runs(r, project, text(""), 0, b, err));
    TFN_RETURN_IF_ERROR(tfn_registry_forget_watermark(r, project, text("history"), err));
    return tfn_registry_teardown(r, project, text(""), b, err);
}

static tfn_code operate_and_tear_down(fixture *f, tfn_registry *r, tfn_error *err)
{
    (void)f;
    tfn_buf b = {0};
    const tfn_code rc = note_runs(r, &b, err);
    tfn_buf_deinit(&b);
    return rc;
}

/* ---- files of Feast ---- */

static feast_file feasts;   /* messages point into it */
static tfn_buf feast_bytes; /* the same for every refusal */

static tfn_code import_file(fixture *f, tfn_registry *r, tfn_error *err)
{
    (void)f;
    tfn_buf b = {0};
    bool found = false;
    tfn_code rc =
        tfn_registry_import_feast(r, tfn_buf_get_str(&feast_bytes), text("flights"), &b, err);
    assert_true(rc == TFN_OK || b.n == 0);
    if (rc == TFN_OK) {
        rc = tfn_registry_get_feast_file(r, text("flights"), &b, &found, err);
        assert_true(rc != TFN_OK || found);
    }
    if (rc == TFN_OK) {
        rc = tfn_feast_list_projects(tfn_buf_get_str(&feast_bytes), &b, err);
    }
    tfn_buf_deinit(&b);
    return rc;
}

/* A file that is written long ago, so that nobody waits until it is still. */
static void put_feast_file(const char *path)
{
    const struct timespec times[2] = {{1000, 0}, {1000, 0}};
    FILE *out = fopen(path, "wb");
    assert_non_null(out);
    assert_int_equal(fwrite(feast_bytes.p, 1, feast_bytes.n, out), feast_bytes.n);
    assert_int_equal(fclose(out), 0);
    assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
}

/* Ours lies beside it; both are made anew. What was refused must leave the way free for another
 * try. */
static tfn_code follow_file(fixture *f, tfn_registry *unused, tfn_error *err)
{
    (void)unused;
    static const char *const tails[] = {".tiffin", ".tiffin-wal", ".tiffin-shm"};
    char path[160];
    tfn_registry *r = NULL;
    tfn_snapshot *s = NULL;
    (void)snprintf(path, sizeof path, "%s/feast.db", f->folder);
    for (size_t i = 0; i < sizeof tails / sizeof *tails; i++) {
        char beside[200];
        (void)snprintf(beside, sizeof beside, "%s%s", path, tails[i]);
        (void)remove(beside);
    }
    put_feast_file(path);
    tfn_code rc = tfn_registry_open(path, TFN_REGISTRY_READ, NULL, &r, err);
    if (rc == TFN_OK) {
        rc = tfn_registry_get_snapshot(r, text("flights"), TFN_FRESH, &s, err);
    }
    tfn_snapshot_release(s);
    tfn_registry_close(r);
    if (rc == TFN_NO_MEMORY) { /* the one refusal is over */
        s = NULL;
        assert_fine(f, tfn_registry_open(path, TFN_REGISTRY_READ, NULL, &r, &f->err));
        assert_fine(f, tfn_registry_get_snapshot(r, text("flights"), TFN_FRESH, &s, &f->err));
        assert_int_equal(tfn_snapshot_get_commit(s), 1);
        tfn_snapshot_release(s);
        tfn_registry_close(r);
    }
    return rc;
}

static tfn_str feast_documents; /* of what was imported; made once, without refusals */

static tfn_code write_file(tfn_error *err)
{
    const tfn_feast_writing writing = {.project = text("flights"),
                                       .documents = feast_documents,
                                       .base = tfn_buf_get_str(&feast_bytes)};
    tfn_buf out = {0};
    const tfn_code rc = tfn_feast_write(&writing, &out, err);
    assert_true(rc == TFN_OK || out.n == 0);
    tfn_buf_deinit(&out);
    return rc;
}

static void refuse_each_of_writing(fixture *f)
{
    tfn_mem_fault_arm(0);
    assert_fine(f, write_file(&f->err));
    const int64_t n_allocations = tfn_mem_fault_count();
    assert_true(n_allocations > 0);
    for (int64_t k = 1; k <= n_allocations; k++) {
        tfn_error err = {0};
        tfn_mem_fault_arm(k);
        const tfn_code rc = write_file(&err);
        tfn_mem_fault_arm(0);
        assert_int_equal(err.code, rc);
        assert_true(rc == TFN_OK || rc == TFN_NO_MEMORY);
    }
}

/* ---- tests ---- */

static void writing_for_feast_survives_every_refusal(void **state)
{
    fixture *f = *state;
    tfn_snapshot *s = NULL;
    tfn_buf all = {0};
    make_feast_file(&feasts);
    feast_bytes = pack_feast_file(&feasts);
    assert_fine(f, import_file(f, f->registry, &f->err));
    assert_fine(f, tfn_registry_get_snapshot(f->registry, text("flights"), TFN_FRESH, &s, &f->err));
    for (int kind = TFN_OBJECT_PROJECT; kind <= TFN_OBJECT_PERMISSION; kind++) {
        for (size_t i = 0; i < tfn_snapshot_count(s, (tfn_object_kind)kind); i++) {
            const tfn_str name = tfn_snapshot_get_name(s, (tfn_object_kind)kind, i);
            assert_fine(f, tfn_buf_add_text(&all, all.n == 0 ? "[" : ",", &f->err));
            assert_fine(f, tfn_snapshot_describe(s, (tfn_object_kind)kind, name, &all, &f->err));
        }
    }
    assert_fine(f, tfn_buf_add_text(&all, "]", &f->err));
    tfn_snapshot_release(s);
    feast_documents = tfn_buf_get_str(&all);
    refuse_each_of_writing(f);
    tfn_buf_deinit(&all);
    tfn_buf_deinit(&feast_bytes);
}

static void an_import_from_feast_survives_every_refusal(void **state)
{
    make_feast_file(&feasts);
    feast_bytes = pack_feast_file(&feasts);
    refuse_some(*state, import_file, true, step());
    tfn_buf_deinit(&feast_bytes);
}

static void following_feast_survives_every_refusal(void **state)
{
    make_feast_file(&feasts);
    feast_bytes = pack_feast_file(&feasts);
    refuse_some(*state, follow_file, true, step());
    tfn_buf_deinit(&feast_bytes);
}

static void the_first_apply_survives_every_refusal(void **state)
{
    refuse_each(*state, make_everything, true);
}

static void start_with_everything(fixture *f, bool and_changes)
{
    apply(f, EVERYTHING);
    if (and_changes) {
        apply(f, CHANGES);
    }
    tfn_registry_close(f->registry);
    f->registry = NULL;
}

static void a_change_survives_every_refusal(void **state)
{
    start_with_everything(*state, false);
    refuse_each(*state, change_something, false);
}

static void a_plan_survives_every_refusal(void **state)
{
    start_with_everything(*state, false);
    refuse_each(*state, plan_with_refusals, false);
}

static void reading_survives_every_refusal(void **state)
{
    start_with_everything(*state, true);
    refuse_each(*state, read_everything, false);
}

static void operations_survive_every_refusal(void **state)
{
    start_with_everything(*state, false);
    refuse_each(*state, operate_and_tear_down, false);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_first_apply_survives_every_refusal),
        TEST(a_change_survives_every_refusal),
        TEST(a_plan_survives_every_refusal),
        TEST(reading_survives_every_refusal),
        TEST(operations_survive_every_refusal),
        TEST(an_import_from_feast_survives_every_refusal),
        TEST(following_feast_survives_every_refusal),
        TEST(writing_for_feast_survives_every_refusal),
    };
    return cmocka_run_group_tests(tests, use_our_heap, NULL);
}
