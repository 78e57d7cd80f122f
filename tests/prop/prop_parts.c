/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

/*
 * Random histories through a retrieval that is cut at random: whole, by rows and by time, in parts
 * of 1 row up to all, on one, two or seven threads. However it is cut, two views over the same rows - the history's, and the same
 * source without ttl and filters - give the cells of the rows that the model chose.
 */

#include "prop/driver.h"

#include "offline/retrieval.h"

enum { VIEWS = 2 };

static char why[2000];

typedef struct cutting {
    int n_threads;
    int64_t part_rows; /* 0: whole */
    bool is_by_time;
    bool force_one_step;
    int64_t piece_rows;
} cutting;

/* What the model says of the two views. */
typedef struct expected {
    int64_t winners[VIEWS][MAX_ROWS];
} expected;

static const char *say(const history *h, const cutting *c, const char *what, int64_t i)
{
    (void)snprintf(why, sizeof why,
                   "%d threads, parts of %" PRId64 " rows %s, pieces of %" PRId64 ", %" PRId64
                   " entity rows: %s at row %" PRId64,
                   c->n_threads, c->part_rows, c->is_by_time ? "by time" : "by rows", c->piece_rows,
                   h->spine.n, what, i);
    return why;
}

/* Rows i_row .. of the entity rows against a piece. */
static const char *compare_piece(const history *h, const cutting *c, const expected *e,
                                 int64_t i_row, const tfn_frame *rows, tfn_column *const *columns,
                                 const tfn_frame *spine, const tfn_frame *source)
{
    for (int64_t i = 0; i < tfn_frame_get_n_rows(rows); i++) {
        int64_t at = i;
        int64_t at_spine = i_row + i;
        const tfn_vec mine = vec_at(rows, 0, &at);
        const tfn_vec theirs = vec_at(spine, 0, &at_spine);
        if (tfn_vec_get_int(&mine, at) != tfn_vec_get_int(&theirs, at_spine)) {
            return say(h, c, "another entity row", i_row + i);
        }
        for (unsigned f = 0; f < VIEWS * h->n_features; f++) {
            const int64_t winner = e->winners[f / h->n_features][i_row + i];
            if (!same_cell(columns[f], i, source, f % h->n_features, winner)) {
                return say(h, c, "another cell", i_row + i);
            }
        }
    }
    return NULL;
}

static bool batches_are_bounded(const tfn_frame *rows, int64_t piece_rows)
{
    for (int64_t i = 0; i < tfn_frame_get_n_batches(rows) && piece_rows > 0; i++) {
        if (tfn_frame_get_batch_rows(rows, i) > piece_rows) {
            return false;
        }
    }
    return true;
}

static const char *read_pieces(const history *h, const cutting *c, const expected *e,
                               tfn_retrieval *r, const tfn_frame *spine, const tfn_frame *source)
{
    tfn_column *columns[VIEWS * MAX_FEATURES];
    const char *wrong = NULL;
    int64_t i_row = 0;
    for (;;) {
        tfn_error err = {0};
        tfn_frame *rows = NULL;
        if (tfn_retrieval_next(r, NULL, &rows, columns, &err) != TFN_OK) {
            return say(h, c, err.message, i_row);
        }
        if (rows == NULL) {
            break;
        }
        wrong = compare_piece(h, c, e, i_row, rows, columns, spine, source);
        if (wrong == NULL && !batches_are_bounded(rows, c->piece_rows)) {
            wrong = say(h, c, "a batch that is too large", i_row);
        }
        i_row += tfn_frame_get_n_rows(rows);
        tfn_frame_release(rows);
        for (unsigned f = 0; f < VIEWS * h->n_features; f++) {
            tfn_column_release(columns[f]);
        }
        if (wrong != NULL) {
            return wrong;
        }
    }
    const int64_t n_told = tfn_retrieval_get_stats(r, 0)->n_spine_rows;
    return i_row == h->spine.n && n_told == i_row ? NULL : say(h, c, "the end", i_row);
}

static const char *check_cutting(const history *h, const driven *d, const cutting *c,
                                 const expected *e, tfn_frame *spine, tfn_frame *source_frame)
{
    tfn_error err = {0};
    tfn_source *source = NULL;
    tfn_retrieval *r = NULL;
    tfn_retrieval_view views[VIEWS] = {{.join = d->view, .key_columns = d->key_indexes},
                                       {.join = d->view, .key_columns = d->key_indexes}};
    views[1].join.ttl_us = 0;
    views[1].join.filter_by_created = false;
    views[1].join.has_known_at = false;
    const tfn_retrieval_opts opts = {.n_threads = c->n_threads,
                                     .force_one_step = c->force_one_step,
                                     .piece_rows = c->piece_rows,
                                     .force_part_rows = c->part_rows,
                                     .force_by_time = c->is_by_time};
    const char *wrong = NULL;
    tfn_code rc = tfn_source_of_frame(source_frame, tfn_str_of("the frame"), &source, &err);
    views[0].source = source;
    views[1].source = source;
    if (rc == TFN_OK) {
        rc = tfn_retrieval_create(spine, 0, views, VIEWS, &opts, &r, &err);
    }
    wrong = rc != TFN_OK ? say(h, c, err.message, 0) : read_pieces(h, c, e, r, spine, source_frame);
    tfn_retrieval_destroy(r);
    tfn_source_destroy(source);
    return wrong;
}

static const char *check_history(const history *h)
{
    expected e;
    const model_join_rule rule = {(model_time)h->ttl_us * 1000, h->filter_by_created,
                                  h->has_known_at, h->known_at};
    const model_join_rule plain = {0};
    model_join(h->spine.model, (size_t)h->spine.n, h->source.model, (size_t)h->source.n, &rule,
               e.winners[0]);
    model_join(h->spine.model, (size_t)h->spine.n, h->source.model, (size_t)h->source.n, &plain,
               e.winners[1]);
    rng r = {h->seed ^ UINT64_C(0x5eed)};
    const int64_t n_parts = 1 + (int64_t)rng_below(&r, 7);
    const int64_t part_rows = h->spine.n / n_parts + 1;
    /* Each scan of each part begins its threads: one history in eight is enough. */
    const int n_threads = h->seed % 16 == 0 ? 2 : h->seed % 16 == 8 ? 7 : 1;
    const cutting cuttings[] = {
        {1, 0, false, false, (int64_t)rng_below(&r, 5)},
        {n_threads, part_rows, false, rng_percent(&r, 20), (int64_t)rng_below(&r, 5)},
        {n_threads, part_rows, true, rng_percent(&r, 20), (int64_t)rng_below(&r, 5)}};
    driven d;
    drive(h, &d);
    struct ArrowArrayStream stream;
    history_make_spine(h, NULL, &stream);
    tfn_frame *spine = frame_of(&stream);
    history_make_source(h, &stream);
    tfn_frame *source = frame_of(&stream);
    const char *wrong = NULL;
    for (size_t i = 0; i < sizeof cuttings / sizeof cuttings[0] && wrong == NULL; i++) {
        wrong = check_cutting(h, &d, &cuttings[i], &e, spine, source);
    }
    tfn_frame_release(spine);
    tfn_frame_release(source);
    return wrong;
}

static void every_history_may_be_cut_anywhere(void **state)
{
    (void)state;
    check_histories("parts", check_history);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_history_may_be_cut_anywhere)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
