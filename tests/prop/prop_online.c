/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

/*
 * Random histories of the online store against its slow twin: writes that are committed or aborted,
 * in any order of keys and times and with three row schemas, loads with writes between their
 * transactions, deletions, rollbacks, reads that stay open, reopened stores, dropped views. Times
 * come from a handful of values, so that ties are the rule.
 *
 * TFN_HISTORIES says how many (10,000), TFN_SEED where to begin. History i has seed TFN_SEED + i;
 * one that fails is printed and kept as text, and runs alone with TFN_SEED=<its seed>
 * TFN_HISTORIES=1. Commits are not synced here: durability is the fault test's business.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "model/model_online.h"
#include "prop/rng.h"
#include "unit/online_fixture.h"

#define TFN_BUILD_BATCH_BYTES ((size_t)150) /* a transaction for each row or two */
#include "online/lmdb_build.c"
#include "online/lmdb_load.c"

enum { N_VIEWS = 3, N_KEYS = 9, N_SCHEMAS = 3, MAX_FIELDS = 3, N_FEATURES = 3, N_READS = 3 };

typedef struct history {
    rng rng;
    test_folder folder;
    tfn_lmdb *online;
    uint64_t seed;
    char project[32];
    model_online model;
    struct {
        bool is_on; /* it changes something: pushes and deletions go to `ops` */
        int view;
        model_online seen;
        int n_rows;
        model_online_row rows[N_KEYS];
        int n_since;
        struct {
            model_online_row row;
            bool is_deletion;
        } ops[MODEL_ONLINE_ROWS];
    } build;
    struct {
        tfn_lmdb_read read;
        model_online model; /* as it was when the read began */
    } open[N_READS];
    tfn_buf trace;
} history;

/* ---- what is written ---- */

static const tfn_row_field schemas[N_SCHEMAS][MAX_FIELDS] = {
    {{{"value", 5}, {.kind = TFN_KIND_INT64}}, {{"label", 5}, {.kind = TFN_KIND_STRING}}},
    {{{"label", 5}, {.kind = TFN_KIND_STRING}},
     {{"flag", 4}, {.kind = TFN_KIND_BOOL}},
     {{"value", 5}, {.kind = TFN_KIND_INT64}}},
    {{{"value", 5}, {.kind = TFN_KIND_FLOAT64}}},
};
static const size_t n_fields[N_SCHEMAS] = {2, 3, 1};

/* The cell of a field in a row whose features are number `features` (0 .. N_FEATURES - 1). */
static tfn_cell cell_of(const tfn_row_field *field, uint64_t features)
{
    static const char *const labels[N_FEATURES] = {"", NULL, "a label that is longer than a slot"};
    if (field->type.kind == TFN_KIND_STRING) {
        return (tfn_cell){.is_null = labels[features] == NULL, .bytes = text(labels[features])};
    }
    if (field->type.kind == TFN_KIND_BOOL) {
        return (tfn_cell){.bits = features & 1u};
    }
    return (tfn_cell){.is_null = features == 2, .bits = features == 2 ? 0 : features * 1000 + 7};
}

/* Key number 0 .. N_KEYS - 1: none, integers, a string, and strings too long to be keys. */
static tfn_str key_bytes(int key, char to[600])
{
    if (key == 0) {
        return (tfn_str){to, 0};
    }
    if (key < 5) {
        return key_of(key - 3, to);
    }
    const size_t n = key == 5 ? 20 : key == 6 ? 396 : key == 7 ? 397 : 600;
    memset(to, 'k', n);
    to[0] = TFN_KIND_STRING;
    return (tfn_str){to, n};
}

static model_online_time random_time(rng *r)
{
    return (model_online_time){.seconds = (int64_t)rng_below(r, 4) - 2,
                               .nanos = rng_percent(r, 70) ? 0 : 999999999};
}

static tfn_instant instant_of(model_online_time t)
{
    return t.is_missing ? no_time : (tfn_instant){t.seconds, t.nanos};
}

/* ---- when they disagree ---- */

static void say(history *h, const char *what, int64_t a, int64_t b, int64_t c)
{
    tfn_error err = {0};
    ASSERT_OK(tfn_buf_add_format(&h->trace, &err, "%s %lld %lld %lld\n", what, (long long)a,
                                 (long long)b, (long long)c),
              err);
}

static void disagree(history *h, const char *what)
{
    (void)fprintf(stderr, "history of seed %llu: %s\n%s", (unsigned long long)h->seed, what,
                  h->trace.p);
    write_file("prop_online_failed.txt", h->trace.p, h->trace.n);
    fail_msg("seed %llu: %s (kept in prop_online_failed.txt)", (unsigned long long)h->seed, what);
}

static void agree(history *h, bool ok, const char *what)
{
    if (!ok) {
        disagree(h, what);
    }
}

static void succeed(history *h, tfn_code rc, const tfn_error *err)
{
    if (rc != TFN_OK) {
        disagree(h, err->message);
    }
}

/* ---- read ---- */

static void check_row(history *h, const tfn_row *row, const model_online_row *want)
{
    const size_t i_schema = (size_t)(want->features / N_FEATURES);
    agree(h, tfn_instant_compare(row->event, instant_of(want->event)) == 0, "event time");
    agree(h, tfn_instant_compare(row->created, instant_of(want->created)) == 0, "created time");
    agree(h, row->schema->n_fields == n_fields[i_schema], "schema");
    for (size_t i = 0; i < n_fields[i_schema]; i++) {
        const tfn_row_field *field = &schemas[i_schema][i];
        const int32_t i_field = tfn_row_schema_find(row->schema, field->name, field->type);
        agree(h, i_field == (int32_t)i, "field");
        tfn_cell cell;
        tfn_row_get(row, (uint32_t)i_field, &cell);
        const tfn_cell wanted = cell_of(field, want->features % N_FEATURES);
        agree(h, cell.is_null == wanted.is_null, "null");
        agree(h, cell.is_null || cell.bits == wanted.bits, "bits");
        agree(h, cell.is_null || tfn_str_equal(cell.bytes, wanted.bytes), "bytes");
    }
}

static void check_read(history *h, const tfn_lmdb_read *read, const model_online *m)
{
    tfn_error err = {0};
    for (int view = 0; view < N_VIEWS; view++) {
        const char name[] = {(char)('a' + view), '\0'};
        uint32_t generation = 0;
        uint64_t n_rows = 0;
        succeed(h, tfn_lmdb_get_live(read, text(h->project), text(name), &generation, &err), &err);
        succeed(h, tfn_lmdb_count(read, text(h->project), text(name), &n_rows, &err), &err);
        agree(h, n_rows == (uint64_t)model_online_count(m, view), "count");
        for (int key = 0; key < N_KEYS; key++) {
            char bytes[600];
            tfn_row row;
            bool found = false;
            const model_online_row *want = model_online_find(m, view, key);
            succeed(h, tfn_lmdb_get(read, generation, key_bytes(key, bytes), &row, &found, &err),
                    &err);
            agree(h, found == (want != NULL), "found");
            if (want != NULL) {
                check_row(h, &row, want);
            }
        }
    }
}

static void check_now(history *h)
{
    tfn_error err = {0};
    tfn_lmdb_read read;
    succeed(h, tfn_lmdb_begin_read(h->online, &read, &err), &err);
    check_read(h, &read, &h->model);
    tfn_lmdb_end_read(&read);
}

/* Begin a read that stays, or end one that stayed. */
static void toggle_read(history *h)
{
    tfn_error err = {0};
    const size_t i = (size_t)rng_below(&h->rng, N_READS);
    say(h, "read", (int64_t)i, h->open[i].read.txn == NULL, 0);
    if (h->open[i].read.txn == NULL) {
        succeed(h, tfn_lmdb_begin_read(h->online, &h->open[i].read, &err), &err);
        h->open[i].model = h->model;
        return;
    }
    check_read(h, &h->open[i].read, &h->open[i].model);
    tfn_lmdb_end_read(&h->open[i].read);
}

static void end_reads(history *h)
{
    for (size_t i = 0; i < N_READS; i++) {
        if (h->open[i].read.txn != NULL) {
            check_read(h, &h->open[i].read, &h->open[i].model);
            tfn_lmdb_end_read(&h->open[i].read);
        }
    }
}

/* ---- write ---- */

static model_online_row random_row(history *h, int view, size_t i_schema)
{
    model_online_row row = {
        .view = view,
        .key = (int)rng_below(&h->rng, N_KEYS),
        .event = random_time(&h->rng),
        .created = {.is_missing = true},
        .features = i_schema * N_FEATURES + rng_below(&h->rng, N_FEATURES),
    };
    if (rng_percent(&h->rng, 60)) {
        row.created = random_time(&h->rng);
    }
    return row;
}

static void put_pushed(history *h, tfn_lmdb_write *w, size_t i_schema, const model_online_row *row)
{
    tfn_error err = {0};
    tfn_cell cells[MAX_FIELDS];
    for (size_t i = 0; i < n_fields[i_schema]; i++) {
        cells[i] = cell_of(&schemas[i_schema][i], row->features % N_FEATURES);
    }
    char bytes[600];
    tfn_online_outcome outcome = TFN_ONLINE_WRITTEN;
    say(h, "  put key, event, features", row->key, row->event.seconds, (int64_t)row->features);
    succeed(h,
            tfn_lmdb_put(w, key_bytes(row->key, bytes), cells, instant_of(row->event),
                         instant_of(row->created), &outcome, &err),
            &err);
    agree(h, (int)outcome == (int)model_online_put(&h->model, *row), "outcome");
}

static void note_since(history *h, model_online_row row, bool is_deletion)
{
    if (h->build.is_on && h->build.view == row.view) {
        h->build.ops[h->build.n_since].row = row;
        h->build.ops[h->build.n_since].is_deletion = is_deletion;
        h->build.n_since++;
    }
}

static void write_some(history *h)
{
    tfn_error err = {0};
    const int n_since = h->build.n_since;
    const model_online before = h->model;
    const int view = (int)rng_below(&h->rng, N_VIEWS);
    const size_t i_schema = (size_t)rng_below(&h->rng, N_SCHEMAS);
    const char name[] = {(char)('a' + view), '\0'};
    tfn_lmdb_write *w = NULL;
    say(h, "write view, schema", view, (int64_t)i_schema, 0);
    succeed(h,
            tfn_lmdb_begin_write(h->online, text(h->project), text(name), schemas[i_schema],
                                 n_fields[i_schema], &w, &err),
            &err);
    for (uint64_t n = rng_below(&h->rng, 8); n > 0; n--) {
        const model_online_row row = random_row(h, view, i_schema);
        put_pushed(h, w, i_schema, &row);
        note_since(h, row, false);
    }
    if (rng_percent(&h->rng, 80)) {
        say(h, "commit", 0, 0, 0);
        succeed(h, tfn_lmdb_commit(w, &err), &err);
        h->model.is_known[view] = true;
    } else {
        say(h, "abort", 0, 0, 0);
        tfn_lmdb_abort(w);
        h->model = before;
        h->build.n_since = n_since;
    }
}

/* ---- delete ---- */

/* As a write of its own; the key may be there or not, and so may the view. */
static void delete_some(history *h)
{
    tfn_error err = {0};
    const int view = (int)rng_below(&h->rng, N_VIEWS);
    const int key = (int)rng_below(&h->rng, N_KEYS);
    const char name[] = {(char)('a' + view), '\0'};
    tfn_lmdb_write *w = NULL;
    bool was_there = false;
    char bytes[600];
    say(h, "delete view, key", view, key, 0);
    succeed(h, tfn_lmdb_begin_write(h->online, text(h->project), text(name), NULL, 0, &w, &err),
            &err);
    succeed(h, tfn_lmdb_delete(w, key_bytes(key, bytes), &was_there, &err), &err);
    succeed(h, tfn_lmdb_commit(w, &err), &err);
    agree(h, was_there == model_online_delete(&h->model, view, key), "was there");
    note_since(h, (model_online_row){.view = view, .key = key}, true);
}

/* Somebody else's write between two transactions of a load. */
static void change_meanwhile(history *h)
{
    if (rng_percent(&h->rng, 70)) {
        write_some(h);
    } else {
        delete_some(h);
    }
}

/* ---- load ---- */

static int compare_keys(int a, int b)
{
    char bytes[2][600];
    return tfn_str_compare(key_bytes(a, bytes[0]), key_bytes(b, bytes[1]));
}

/* Distinct keys in their order (or, rarely, in any), and rows for them. */
static int choose_rows(history *h, int view, size_t i_schema, model_online_row rows[N_KEYS])
{
    int n = 0;
    for (int key = 0; key < N_KEYS; key++) {
        if (rng_percent(&h->rng, 50)) {
            rows[n] = random_row(h, view, i_schema);
            rows[n].key = key;
            n++;
        }
    }
    const bool is_sorted = rng_percent(&h->rng, 90);
    for (int i = 1; i < n; i++) {
        for (int j = i; j > 0 && (is_sorted ? compare_keys(rows[j].key, rows[j - 1].key) < 0
                                            : rng_percent(&h->rng, 50));
             j--) {
            const model_online_row other = rows[j];
            rows[j] = rows[j - 1];
            rows[j - 1] = other;
        }
    }
    return n;
}

/* What the load's row is against the rows as it sees them; the first that changes them makes it
 * look anew, and begins a build. */
static model_online_outcome put_into_model(history *h, const model_online_row *row)
{
    model_online seen = h->build.seen;
    model_online_outcome outcome = model_online_put_loaded(&seen, *row);
    if (outcome == MODEL_ONLINE_WRITTEN && !h->build.is_on) {
        h->build.is_on = true;
        h->build.seen = h->model;
        seen = h->model;
        outcome = model_online_put_loaded(&seen, *row);
    }
    if (outcome == MODEL_ONLINE_WRITTEN) {
        h->build.rows[h->build.n_rows] = *row;
        h->build.n_rows++;
    }
    return outcome;
}

static void put_loaded(history *h, tfn_lmdb_load *l, size_t i_schema, const model_online_row *row)
{
    tfn_error err = {0};
    tfn_cell cells[MAX_FIELDS];
    for (size_t i = 0; i < n_fields[i_schema]; i++) {
        cells[i] = cell_of(&schemas[i_schema][i], row->features % N_FEATURES);
    }
    char bytes[600];
    tfn_online_outcome outcome = TFN_ONLINE_WRITTEN;
    say(h, "  load key, event, features", row->key, row->event.seconds, (int64_t)row->features);
    succeed(h,
            tfn_lmdb_load_put(l, key_bytes(row->key, bytes), cells, instant_of(row->event),
                              instant_of(row->created), &outcome, &err),
            &err);
    const model_online_outcome wanted =
        l->in_place != NULL ? model_online_put_loaded(&h->model, *row) : put_into_model(h, row);
    agree(h, (int)outcome == (int)wanted, "outcome of a load");
}

/* The rows as the load saw them, with its rows, with what was pushed and deleted since. */
static void flip_model(history *h)
{
    static model_online built;
    built = h->build.seen;
    built.has_previous[h->build.view] = false;
    for (int i = 0; i < h->build.n_rows; i++) {
        (void)model_online_put_loaded(&built, h->build.rows[i]);
    }
    for (int i = 0; i < h->build.n_since; i++) {
        if (h->build.ops[i].is_deletion) {
            (void)model_online_delete(&built, h->build.view, h->build.ops[i].row.key);
        } else {
            (void)model_online_put_loaded(&built, h->build.ops[i].row);
        }
    }
    model_online_flip(&h->model, h->build.view, &built);
}

static void load_some(history *h)
{
    tfn_error err = {0};
    const int view = (int)rng_below(&h->rng, N_VIEWS);
    const size_t i_schema = (size_t)rng_below(&h->rng, N_SCHEMAS);
    const char name[] = {(char)('a' + view), '\0'};
    const model_online before = h->model;
    model_online_row rows[N_KEYS];
    tfn_lmdb_load *l = NULL;
    const int n = choose_rows(h, view, i_schema, rows);
    /* Of a load that says it is small, few rows may be said and many come: then it is in place. */
    const uint64_t n_said = rng_percent(&h->rng, 10) ? 0 : (uint64_t)n;
    h->build.is_on = false;
    h->build.view = view;
    h->build.n_rows = 0;
    h->build.n_since = 0;
    h->build.seen = h->model;
    say(h, "load view, schema, rows", view, (int64_t)i_schema, n);
    succeed(h,
            tfn_lmdb_load_begin(h->online, text(h->project), text(name), schemas[i_schema],
                                n_fields[i_schema], n_said, &l, &err),
            &err);
    const bool is_in_place = l->in_place != NULL;
    for (int i = 0; i < n; i++) {
        put_loaded(h, l, i_schema, &rows[i]);
        if (!is_in_place && l->build.txn == NULL && rng_percent(&h->rng, 50)) {
            change_meanwhile(h);
        }
    }
    if (rng_percent(&h->rng, 80)) {
        say(h, "commit of load", 0, 0, 0);
        succeed(h, tfn_lmdb_load_commit(l, &err), &err);
        if (!is_in_place && (h->build.is_on || !h->model.is_known[view])) {
            flip_model(h);
        }
    } else {
        say(h, "abort of load", 0, 0, 0);
        tfn_lmdb_load_abort(l);
        if (is_in_place) {
            h->model = before;
        }
    }
    h->build.is_on = false;
    h->build.view = -1;
}

static void roll_back_some(history *h)
{
    tfn_error err = {0};
    const int view = (int)rng_below(&h->rng, N_VIEWS);
    const char name[] = {(char)('a' + view), '\0'};
    const bool drops = rng_percent(&h->rng, 30);
    tfn_online_rolled_back done;
    say(h, "rollback view, drops", view, drops, 0);
    const tfn_code rc = tfn_lmdb_rollback(h->online, text(h->project), text(name), (tfn_str){0},
                                          drops ? TFN_ONLINE_DROP : TFN_ONLINE_REPLAY, &done, &err);
    const bool can = model_online_rollback(&h->model, view, drops);
    agree(h, can ? rc == TFN_OK : rc == TFN_NOT_FOUND, "rollback");
    agree(h, !can || done.n_rows == (uint64_t)model_online_count(&h->model, view), "rows");
}

/* Nothing is left of generations that no view names. */
static void check_no_leftovers(history *h)
{
    tfn_error err = {0};
    tfn__reclaimed done;
    succeed(h, tfn__lmdb_reclaim(h->online, &done, &err), &err);
    agree(h, done.n_builds == 0 && done.n_rows == 0, "leftovers");
}

static void drop_some(history *h)
{
    tfn_error err = {0};
    const int view = (int)rng_below(&h->rng, N_VIEWS);
    const char name[] = {(char)('a' + view), '\0'};
    uint64_t n_rows = 0;
    say(h, "drop view", view, 0, 0);
    succeed(h, tfn_lmdb_drop_view(h->online, text(h->project), text(name), &n_rows, &err), &err);
    agree(h, n_rows == (uint64_t)model_online_count(&h->model, view), "rows dropped");
    model_online_drop(&h->model, view);
}

static void open_unsynced(history *h)
{
    h->online = store_open(&h->folder, TFN_ONLINE_WRITE);
    assert_int_equal(mdb_env_set_flags(atomic_load(&h->online->env)->lmdb, MDB_NOSYNC, 1), 0);
}

static void reopen(history *h)
{
    say(h, "reopen", 0, 0, 0);
    end_reads(h);
    tfn_lmdb_close(h->online);
    open_unsynced(h);
}

/* ---- histories ---- */

static void run_history(history *h)
{
    h->model = (model_online){0};
    h->build.is_on = false;
    h->build.view = -1;
    tfn_buf_clear(&h->trace);
    (void)snprintf(h->project, sizeof h->project, "p%llu", (unsigned long long)h->seed);
    for (uint64_t n = 2 + rng_below(&h->rng, 16); n > 0; n--) {
        const uint64_t what = rng_below(&h->rng, 100);
        if (what < 25) {
            write_some(h);
        } else if (what < 50) {
            load_some(h);
        } else if (what < 65) {
            roll_back_some(h);
        } else if (what < 70) {
            delete_some(h);
        } else if (what < 85) {
            toggle_read(h);
        } else if (what < 92) {
            drop_some(h);
        } else if (what < 94) {
            reopen(h);
        } else {
            check_now(h);
        }
    }
    check_now(h);
    end_reads(h);
    check_no_leftovers(h);
    tfn_error err = {0};
    succeed(h, tfn_lmdb_drop_project(h->online, text(h->project), NULL, &err), &err);
}

static uint64_t setting(const char *name, uint64_t otherwise)
{
    const char *value = getenv(name);
    return value != NULL ? strtoull(value, NULL, 10) : otherwise;
}

static void histories_agree_with_the_slow_twin(void **state)
{
    (void)state;
    static history h;
    const uint64_t n_histories = setting("TFN_HISTORIES", 10000);
    const uint64_t seed = setting("TFN_SEED", 1);
    print_message("# %llu histories from TFN_SEED=%llu\n", (unsigned long long)n_histories,
                  (unsigned long long)seed);
    folder_make(&h.folder);
    open_unsynced(&h);
    for (uint64_t i = 0; i < n_histories; i++) {
        h.seed = seed + i;
        h.rng = (rng){h.seed};
        run_history(&h);
    }
    tfn_lmdb_close(h.online);
    tfn_buf_deinit(&h.trace);
    folder_remove(&h.folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(histories_agree_with_the_slow_twin),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
