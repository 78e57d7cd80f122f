/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

/*
 * Random histories through tfn_range_run, over a stream with 1, 2 and 7 threads and over a frame, in
 * both orders, with and without a set of keys: the rows that the model takes, once each, in its
 * order, with their times and cells.
 */

#include "model/model_range.h"
#include "offline/range_internal.h"
#include "prop/driver.h"

static char why[2000];

/* What one run is asked for. */
typedef struct asked {
    model_window model;
    tfn_range_window engine;
    bool takes[MAX_ROWS]; /* by the model */
    int64_t n;
} asked;

static bool spine_has(const history *h, int64_t key)
{
    for (int64_t i = 0; i < h->spine.n; i++) {
        if (h->spine.model[i].key == key) {
            return true;
        }
    }
    return false;
}

static void ask(const history *h, const tfn_keyset *keys, asked *a)
{
    rng r = {h->seed ^ 0x2545f491};
    memset(a, 0, sizeof *a);
    a->model.has_start = rng_percent(&r, 60);
    a->model.has_end = rng_percent(&r, 60);
    a->model.has_known_at = h->has_known_at;
    a->model.known_at = h->known_at;
    model_time *const bounds[] = {&a->model.start, &a->model.end};
    for (size_t i = 0; i < 2; i++) {
        const model_time near = (model_time)rng_below(&r, 3) - 1;
        *bounds[i] = clamp_to_instant(h->pool[rng_below(&r, h->n_pool)] + near);
    }
    const bool is_by_time = rng_percent(&r, 50);
    a->engine = (tfn_range_window){
        .has_start = a->model.has_start,
        .has_end = a->model.has_end,
        .start = instant_of(a->model.start),
        .end = instant_of(a->model.end),
        .keys = h->n_parts > 0 && rng_percent(&r, 50) ? keys : NULL,
        .order = is_by_time ? TFN_RANGE_BY_TIME : TFN_RANGE_BY_KEY,
    };
    for (int64_t i = 0; i < h->source.n; i++) {
        const model_row *row = &h->source.model[i];
        a->takes[i] =
            model_range_takes(row, &a->model) && (a->engine.keys == NULL || spine_has(h, row->key));
        a->n += a->takes[i] ? 1 : 0;
    }
}

static tfn_str key_at(const tfn_row_range *r, int64_t i)
{
    return tfn__keytable_get(&r->keys, r->rows[r->order[i]].key);
}

static bool same_time(tfn_column *column, int64_t i, bool has_want, model_time want)
{
    const tfn_vec *v = tfn_column_get_vec(column);
    if (!tfn_vec_is_valid(v, i) || !has_want) {
        return tfn_vec_is_valid(v, i) == has_want;
    }
    const tfn_instant got = tfn__times_instant(tfn_vec_get_int(v, i), (tfn_unit)v->type.unit);
    return tfn_instant_compare(got, instant_of(want)) == 0;
}

/* The ends of a unit stand for infinity and come back as null. */
static bool has_finite_created(const history *h, int64_t row)
{
    const int64_t raw = h->source.created.raw[row];
    return h->source.model[row].has_created && raw != INT64_MAX && raw > INT64_MIN + 1;
}

static const char *compare_row(const history *h, const tfn_row_range *r, tfn_column **columns,
                               int64_t i, const asked *a, const tfn_frame *frame)
{
    const size_t i_features = h->n_parts + (h->has_created ? 2 : 1);
    const tfn_vec *numbers = tfn_column_get_vec(columns[i_features]);
    const int64_t row = tfn_vec_get_int(numbers, i);
    if (row < 0 || row >= h->source.n || !a->takes[row]) {
        return "a row that does not take part";
    }
    const model_row *m = &h->source.model[row];
    if (!same_time(columns[h->n_parts], i, true, m->time) ||
        (h->has_created &&
         !same_time(columns[h->n_parts + 1], i, has_finite_created(h, row), m->created))) {
        return "another event or created time";
    }
    for (unsigned f = 0; f < h->n_features; f++) {
        if (!same_cell(columns[i_features + f], i, frame, f, row)) {
            return "another cell";
        }
    }
    if (i == 0) {
        return NULL;
    }
    const int64_t last = tfn_vec_get_int(numbers, i - 1);
    const int key_order = tfn_str_compare(key_at(r, i - 1), key_at(r, i));
    if ((key_order == 0) != (h->source.model[last].key == m->key)) {
        return "keys that the model tells apart, or does not";
    }
    const bool is_by_time = a->engine.order == TFN_RANGE_BY_TIME;
    const bool is_before =
        model_range_before(h->source.model, (size_t)last, (size_t)row, key_order, is_by_time);
    return is_before ? NULL : "rows out of order, or one twice";
}

static const char *compare(const history *h, const tfn_row_range *r, const tfn_range_stats *s,
                           const asked *a, const tfn_frame *frame, tfn_error *err)
{
    const int64_t n_explained = s->n_rows_without_time + s->n_rows_infinite_time +
                                s->n_rows_without_key + s->n_rows_not_known + s->n_rows_outside +
                                s->n_rows_not_asked + s->n_rows;
    if (n_explained != s->n_rows_read) {
        return "statistics that do not add up";
    }
    if (tfn_range_get_n_rows(r) != a->n) {
        return "another number of rows";
    }
    tfn_column *columns[MAX_COLS] = {NULL};
    if (tfn_range_take(r, columns, err) != TFN_OK) {
        return err->message;
    }
    const char *wrong = NULL;
    for (int64_t i = 0; i < a->n && wrong == NULL; i++) {
        wrong = compare_row(h, r, columns, i, a, frame);
    }
    for (size_t i = 0; i < tfn_range_get_n_columns(r); i++) {
        tfn_column_release(columns[i]);
    }
    return wrong;
}

static const char *check_way(const history *h, const driven *d, int n_threads, bool is_frame,
                             tfn_frame *frame, const tfn_keyset *keys)
{
    asked a;
    ask(h, keys, &a);
    tfn_error err = {0};
    tfn_source *source = NULL;
    tfn_code rc;
    if (is_frame) {
        rc = tfn_source_of_frame(frame, tfn_str_of("the frame"), &source, &err);
    } else {
        struct ArrowArrayStream stream;
        history_make_source(h, &stream);
        rc = tfn_source_of_stream(&stream, tfn_str_of("the stream"), &source, &err);
    }
    tfn_row_range *range = NULL;
    tfn_range_stats stats;
    if (rc == TFN_OK) {
        const tfn_offline_opts opts = {.n_threads = n_threads};
        rc = tfn_range_run(&d->view, source, &a.engine, &opts, &range, &stats, &err);
    }
    const char *wrong = rc == TFN_OK ? compare(h, range, &stats, &a, frame, &err) : err.message;
    if (wrong != NULL) {
        (void)snprintf(why, sizeof why, "%d threads, %s: found %s", n_threads,
                       is_frame ? "frame" : "stream", wrong);
    }
    tfn_range_destroy(range);
    tfn_source_destroy(source);
    return wrong == NULL ? NULL : why;
}

static tfn_keyset *keys_of_spine(const history *h, const driven *d)
{
    struct ArrowArrayStream stream;
    history_make_spine(h, NULL, &stream);
    tfn_frame *frame = frame_of(&stream);
    tfn_key_plan plan;
    tfn_keyset *keys = NULL;
    tfn_error err = {0};
    if (tfn_key_plan_init(&plan, d->key_types, h->n_parts, &err) != TFN_OK ||
        tfn_keyset_create(frame, d->key_indexes, &plan, &keys, &err) != TFN_OK) {
        fail_msg("%s", err.message);
    }
    tfn_frame_release(frame);
    return keys;
}

static const char *check_history(const history *h)
{
    static const int threads[] = {1, 2, 7};
    driven d;
    drive(h, &d);
    struct ArrowArrayStream stream;
    history_make_source(h, &stream);
    tfn_frame *frame = frame_of(&stream);
    tfn_keyset *keys = keys_of_spine(h, &d);
    const char *wrong = check_way(h, &d, 1 + (int)(h->seed % 2), true, frame, keys);
    for (size_t i = 0; i < 3 && wrong == NULL; i++) {
        wrong = check_way(h, &d, threads[i], false, frame, keys);
    }
    tfn_keyset_destroy(keys);
    tfn_frame_release(frame);
    return wrong;
}

static void every_window_has_the_rows_that_the_model_says(void **state)
{
    (void)state;
    check_histories("range", check_history);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_window_has_the_rows_that_the_model_says)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
