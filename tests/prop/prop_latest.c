/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

/*
 * Random histories through latest-per-key, over a stream with 1, 2 and 7 threads and over a frame:
 * one row per key that the model chose, in the order of key bytes, with its times and cells.
 */

#include "model/model_latest.h"
#include "prop/driver.h"

static char why[2000];

static void make_window(const history *h, model_window *w, tfn_latest_window *engine)
{
    rng r = {h->seed ^ 0x5bd1e995};
    memset(w, 0, sizeof *w);
    w->has_start = rng_percent(&r, 50);
    w->has_end = rng_percent(&r, 50);
    w->has_created = h->has_created && rng_percent(&r, 40);
    w->has_known_at = h->has_known_at;
    w->known_at = h->known_at;
    model_time *const bounds[] = {&w->start, &w->end, &w->created_after, &w->created_until};
    for (size_t i = 0; i < 4; i++) {
        const model_time near = (model_time)rng_below(&r, 3) - 1;
        *bounds[i] = clamp_to_instant(h->pool[rng_below(&r, h->n_pool)] + near);
    }
    *engine = (tfn_latest_window){w->has_start,
                                  w->has_end,
                                  w->has_created,
                                  instant_of(w->start),
                                  instant_of(w->end),
                                  instant_of(w->created_after),
                                  instant_of(w->created_until),
                                  NULL};
}

static bool same_instant(tfn_instant got, bool has_want, model_time want)
{
    const tfn_instant expected = has_want ? instant_of(want) : TFN_INSTANT_NONE;
    return tfn_instant_compare(got, expected) == 0;
}

static const char *compare_row(const history *h, const tfn_latest *l, int64_t i,
                               const bool *is_latest, const tfn_frame *frame)
{
    const int64_t row = tfn_vec_get_int(tfn_column_get_vec(tfn_latest_get_column(l, 0)), i);
    if (row < 0 || row >= h->source.n || !is_latest[row]) {
        return "a source row that is not the newest of its key";
    }
    const model_row *m = &h->source.model[row];
    if (!same_instant(tfn_latest_get_event(l, i), true, m->time) ||
        !same_instant(tfn_latest_get_created(l, i), m->has_created, m->created)) {
        return "another event or created time";
    }
    for (unsigned f = 0; f < h->n_features; f++) {
        if (!same_cell(tfn_latest_get_column(l, f), i, frame, f, row)) {
            return "another cell";
        }
    }
    const bool ascends =
        i == 0 || tfn_str_compare(tfn_latest_get_key(l, i - 1), tfn_latest_get_key(l, i)) < 0;
    return ascends ? NULL : "keys out of order, or one twice";
}

static const char *compare(const history *h, const tfn_latest *l, const tfn_latest_stats *s,
                           const bool *is_latest, const tfn_frame *frame)
{
    int64_t n = 0;
    for (int64_t k = 0; k < h->source.n; k++) {
        n += is_latest[k] ? 1 : 0;
    }
    if (tfn_latest_get_n_rows(l) != n || s->n_keys != n) {
        return "another number of keys";
    }
    const int64_t n_explained = s->n_rows_without_time + s->n_rows_infinite_time +
                                s->n_rows_without_key + s->n_rows_not_known + s->n_rows_outside +
                                s->n_rows_eligible;
    if (n_explained != s->n_rows_read) {
        return "statistics that do not add up";
    }
    const char *wrong = NULL;
    for (int64_t i = 0; i < n && wrong == NULL; i++) {
        wrong = compare_row(h, l, i, is_latest, frame);
    }
    return wrong;
}

static const char *check_way(const history *h, const driven *d, int n_threads, bool is_frame,
                             tfn_frame *frame)
{
    model_window window;
    tfn_latest_window engine_window;
    bool is_latest[MAX_ROWS];
    make_window(h, &window, &engine_window);
    model_latest(h->source.model, (size_t)h->source.n, &window, is_latest);
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
    tfn_latest *latest = NULL;
    tfn_latest_stats stats;
    if (rc == TFN_OK) {
        const tfn_offline_opts opts = {.n_threads = n_threads};
        rc = tfn_latest_run(&d->view, source, &engine_window, &opts, &latest, &stats, &err);
    }
    const char *wrong = rc == TFN_OK ? compare(h, latest, &stats, is_latest, frame) : err.message;
    if (wrong != NULL) {
        (void)snprintf(why, sizeof why, "%d threads, %s: found %s", n_threads,
                       is_frame ? "frame" : "stream", wrong);
    }
    tfn_latest_destroy(latest);
    tfn_source_destroy(source);
    return wrong == NULL ? NULL : why;
}

static const char *check_history(const history *h)
{
    static const int threads[] = {1, 2, 7};
    driven d;
    drive(h, &d);
    struct ArrowArrayStream stream;
    history_make_source(h, &stream);
    tfn_frame *frame = frame_of(&stream);
    const char *wrong = check_way(h, &d, 1 + (int)(h->seed % 2), true, frame);
    for (size_t i = 0; i < 3 && wrong == NULL; i++) {
        wrong = check_way(h, &d, threads[i], false, frame);
    }
    tfn_frame_release(frame);
    return wrong;
}

static void every_history_has_the_newest_rows_that_the_model_says(void **state)
{
    (void)state;
    check_histories("latest", check_history);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_history_has_the_newest_rows_that_the_model_says)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
