/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

/*
 * Random histories through the join: one step over a stream with 1 and with 2 or 7 threads, two
 * steps over a frame with 1 or 2; all must give exactly the cells of the rows that the model chose.
 * Over the same entity rows then a second view, with the same index, and the first view again by
 * other key columns (a projection), each in one of these ways.
 */

#include "prop/driver.h"

static char why[2000];

typedef struct way {
    int n_threads;
    bool is_frame;
    bool force_one_step;
} way;

static const char *compare(const history *h, const way *w, tfn_column *const *out,
                           const int64_t *winners, const tfn_frame *source)
{
    for (int64_t i = 0; i < h->spine.n; i++) {
        for (unsigned f = 0; f < h->n_features; f++) {
            if (!same_cell(out[f], i, source, f, winners[i])) {
                (void)snprintf(
                    why, sizeof why,
                    "%d threads, %s: entity row %" PRId64 ", feature %u: expected source "
                    "row %" PRId64 ", found %" PRId64,
                    w->n_threads, w->is_frame && !w->force_one_step ? "two-step" : "one-step", i, f,
                    winners[i],
                    tfn_vec_is_valid(tfn_column_get_vec(out[0]), i)
                        ? tfn_vec_get_int(tfn_column_get_vec(out[0]), i)
                        : -1);
                return why;
            }
        }
    }
    return NULL;
}

static const char *compare_stats(const history *h, const tfn_join_stats *s, const int64_t *winners)
{
    int64_t n_matched = 0;
    for (int64_t i = 0; i < h->spine.n; i++) {
        n_matched += winners[i] >= 0 ? 1 : 0;
    }
    const int64_t n_explained = s->n_rows_without_time + s->n_rows_infinite_time +
                                s->n_rows_without_key + s->n_rows_not_known +
                                s->n_rows_without_match + s->n_rows_too_late + s->n_rows_expired +
                                s->n_rows_eligible;
    if (s->n_spine_rows_matched != n_matched || s->n_rows_read != n_explained) {
        return "the statistics do not add up";
    }
    return NULL;
}

static const char *check_way(const history *h, const driven *d, const tfn_spine *spine,
                             const way *w, const int64_t *winners, tfn_frame *frame)
{
    tfn_error err = {0};
    tfn_source *source = NULL;
    tfn_code rc;
    if (w->is_frame) {
        rc = tfn_source_of_frame(frame, tfn_str_of("the frame"), &source, &err);
    } else {
        struct ArrowArrayStream stream;
        history_make_source(h, &stream);
        rc = tfn_source_of_stream(&stream, tfn_str_of("the stream"), &source, &err);
    }
    tfn_column *out[MAX_FEATURES] = {0};
    tfn_join_stats stats;
    if (rc == TFN_OK) {
        const tfn_offline_opts opts = {.n_threads = w->n_threads,
                                       .force_one_step = w->force_one_step};
        rc = tfn_join_run(spine, &d->view, source, &opts, out, &stats, &err);
    }
    const char *wrong = NULL;
    if (rc != TFN_OK) {
        (void)snprintf(why, sizeof why, "%s", err.message);
        wrong = why;
    }
    if (wrong == NULL) {
        wrong = compare(h, w, out, winners, frame);
    }
    if (wrong == NULL) {
        wrong = compare_stats(h, &stats, winners);
    }
    for (unsigned f = 0; f < h->n_features; f++) {
        tfn_column_release(out[f]);
    }
    tfn_source_destroy(source);
    return wrong;
}

/* One view over entity rows that are indexed already, in `n_ways` ways. */
static const char *check_view(const history *h, const tfn_spine *spine, const way *ways,
                              size_t n_ways)
{
    int64_t winners[MAX_ROWS];
    const model_join_rule rule = {(model_time)h->ttl_us * 1000, h->filter_by_created,
                                  h->has_known_at, h->known_at};
    model_join(h->spine.model, (size_t)h->spine.n, h->source.model, (size_t)h->source.n, &rule,
               winners);
    driven d;
    drive(h, &d);
    struct ArrowArrayStream stream;
    history_make_source(h, &stream);
    tfn_frame *source = frame_of(&stream);
    const char *wrong = NULL;
    for (size_t i = 0; i < n_ways && wrong == NULL; i++) {
        wrong = check_way(h, &d, spine, &ways[i], winners, source);
    }
    tfn_frame_release(source);
    return wrong;
}

/* Index the entity rows by the key columns from i_key on. */
static tfn_spine *spine_by(const history *h, const tfn_frame *frame, size_t i_key)
{
    driven d;
    drive(h, &d);
    tfn_spine *spine = NULL;
    tfn_error err = {0};
    for (size_t p = 0; p < h->n_parts; p++) {
        d.key_indexes[p] = i_key + p;
    }
    if (tfn_spine_create(frame, d.key_indexes, d.key_types, h->n_parts, 0,
                         &(tfn_crew){.n_threads = (int)(h->seed % 8)}, &spine, &err) != TFN_OK) {
        fail_msg("seed %" PRIu64 ": %s", h->seed, err.message);
    }
    return spine;
}

static const char *check_history(const history *h)
{
    const int n_threads = h->seed % 2 == 0 ? 2 : 7;
    const way ways[] = {{1, false, false},
                        {n_threads, false, false},
                        {1 + (int)(h->seed % 2), true, false},
                        {2, true, true}};
    const size_t n_ways = h->seed % 4 == 0 ? 4 : 3; /* a frame read once: now and then */
    const way *const one = &ways[h->seed % 3 == 0 ? 0 : 2];
    history other_view;
    history other_keys;
    history_make_other_view(h, &other_view);
    history_make_other_keys(h, &other_keys);
    struct ArrowArrayStream stream;
    history_make_spine(h, &other_keys, &stream);
    tfn_frame *frame = frame_of(&stream);
    tfn_spine *spine = spine_by(h, frame, 1);
    tfn_spine *again = spine_by(h, frame, 1 + h->n_parts);
    const char *wrong = check_view(h, spine, ways, n_ways);
    if (wrong == NULL) {
        wrong = check_view(&other_view, spine, one, 1);
    }
    if (wrong == NULL) {
        wrong = check_view(&other_keys, again, one, 1);
    }
    tfn_spine_destroy(spine);
    tfn_spine_destroy(again);
    tfn_frame_release(frame);
    return wrong;
}

static void every_history_joins_as_the_model_says(void **state)
{
    (void)state;
    check_histories("join", check_history);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_history_joins_as_the_model_says)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
