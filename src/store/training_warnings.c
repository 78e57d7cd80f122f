/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

/*
 * What a person should hear about a training set that nobody asked about (the rules, numbered:
 * docs/semantics/training-warnings.md).
 *
 *   before the run   from footers, types and the entity rows' times; costs a pass over the times,
 *                    and only where the source starts late or ends early
 *   after it         from the counts of the join; from the columns, for features that repeat a label
 *
 * A warning is an object {code, view, severe, sentence, counts} in the report's "warnings". Severe
 * are those after which a training set is probably not what was meant; callers say them aloud.
 * "Most" is more than half, of ten or more.
 */

#include <inttypes.h>
#include <stdio.h>

#include "store/training_set.h"

#include "base/poison.h"

enum {
    SENTENCE_BYTES = 512,
    TTL_BYTES = 40,
    KEYS_BYTES = 40,
    MIN_ROWS = 10,
    MAX_DIFFERENT_ONE_IN = 1000
};

static yyjson_mut_val *get_warnings(tfn__training_set *t)
{
    yyjson_mut_val *root = yyjson_mut_doc_get_root(t->report);
    yyjson_mut_val *warnings = yyjson_mut_obj_get(root, "warnings");
    return warnings != NULL ? warnings : yyjson_mut_obj_add_arr(t->report, root, "warnings");
}

static bool was_said(tfn__training_set *t, const char *code, tfn_str view)
{
    yyjson_mut_arr_iter each = yyjson_mut_arr_iter_with(get_warnings(t));
    for (yyjson_mut_val *w = yyjson_mut_arr_iter_next(&each); w != NULL;
         w = yyjson_mut_arr_iter_next(&each)) {
        yyjson_mut_val *name = yyjson_mut_obj_get(w, "view");
        if (yyjson_mut_equals_str(yyjson_mut_obj_get(w, "code"), code) &&
            yyjson_mut_equals_strn(name, view.p, view.n)) {
            return true;
        }
    }
    return false;
}

/* Add a warning; gives its counts. What cannot be added is noticed when the report is written. */
static yyjson_mut_val *warn(tfn__training_set *t, const char *code, tfn_str view, bool severe,
                            const char *sentence)
{
    yyjson_mut_val *w = yyjson_mut_arr_add_obj(t->report, get_warnings(t));
    (void)yyjson_mut_obj_add_str(t->report, w, "code", code);
    (void)tfn_json_add_str(t->report, w, "view", view);
    (void)yyjson_mut_obj_add_bool(t->report, w, "severe", severe);
    (void)tfn_json_add_str(t->report, w, "sentence", tfn_str_of(sentence));
    return yyjson_mut_obj_add_obj(t->report, w, "counts");
}

static void add_count(tfn__training_set *t, yyjson_mut_val *counts, const char *name, int64_t n)
{
    (void)yyjson_mut_obj_add_int(t->report, counts, name, n);
}

/* The greatest unit that a ttl is a whole number of. */
static void format_ttl(int64_t ttl_us, char text[TTL_BYTES])
{
    static const struct {
        int64_t us;
        const char *name;
    } units[] = {{INT64_C(86400000000), "d"},
                 {INT64_C(3600000000), "h"},
                 {60000000, "min"},
                 {1000000, "s"},
                 {1, "us"}};
    size_t i = 0;
    while (ttl_us % units[i].us != 0) {
        i++;
    }
    (void)snprintf(text, TTL_BYTES, "%" PRId64 " %s", ttl_us / units[i].us, units[i].name);
}

/* ---- before the run ---- */

/* 1. Floats for an integer key. All other mismatches are refused by the spine. */
static tfn_code warn_key_cast(tfn__training_set *t, tfn_str view, size_t i_column,
                              tfn_type declared, tfn_error *err)
{
    tfn_type found = {0};
    TFN_RETURN_IF_ERROR(tfn_frame_get_type(t->frame, i_column, &found, err));
    if (tfn_type_can_read(declared, found)) {
        return TFN_OK;
    }
    char declared_text[TFN_TYPE_TEXT_BYTES];
    char found_text[TFN_TYPE_TEXT_BYTES];
    char sentence[SENTENCE_BYTES];
    tfn_type_format(declared, declared_text);
    tfn_type_format(found, found_text);
    (void)snprintf(sentence, sizeof sentence,
                   "view '%.*s': key column '%.*s' of the entity rows holds %s and is read as %s; "
                   "floats are exact up to 2^53 only, so pass integers (in pandas, a column with "
                   "nulls keeps them as Int64)",
                   TFN_STR_ARG(view), TFN_STR_ARG(tfn_frame_get_name(t->frame, i_column)),
                   found_text, declared_text);
    yyjson_mut_val *counts = warn(t, "key_cast", view, false, sentence);
    add_count(t, counts, "rows", tfn_frame_get_n_rows(t->frame));
    return TFN_OK;
}

static tfn_code warn_key_casts(tfn__training_set *t, const tfn_selected_view *selected,
                               tfn_error *err)
{
    for (size_t i = 0; i < selected->view->n_keys; i++) {
        const int64_t i_column = tfn_frame_find(t->frame, selected->key_columns[i]);
        if (i_column >= 0) {
            TFN_RETURN_IF_ERROR(warn_key_cast(t, selected->name, (size_t)i_column,
                                              selected->view->keys[i].type, err));
        }
    }
    return TFN_OK;
}

/* The first time of a unit that is not before an instant; saturates. */
static int64_t ceil_to(tfn_instant t, tfn_unit unit)
{
    const int64_t floor = tfn_instant_to(t, unit);
    const bool is_exact = tfn_instant_compare(tfn_instant_of(floor, unit), t) == 0;
    return is_exact ? floor : tfn_time_add(floor, 1);
}

/* Entity rows before one instant, or after another; either may be NULL. */
static tfn_code count_rows_beyond(const tfn__training_set *t, const tfn_instant *before,
                                  const tfn_instant *after, int64_t *out, tfn_error *err)
{
    *out = 0;
    for (int64_t i = 0; i < tfn_frame_get_n_batches(t->frame); i++) {
        tfn_vec v;
        TFN_RETURN_IF_ERROR(tfn_frame_get_vec(t->frame, i, t->time_column, &v, err));
        const bool is_date = v.type.kind == TFN_KIND_DATE;
        const int64_t scale = is_date ? 86400 : 1;
        const tfn_unit unit = is_date ? TFN_UNIT_S : (tfn_unit)v.type.unit;
        const int64_t low = before != NULL ? ceil_to(*before, unit) : INT64_MIN;
        const int64_t high = after != NULL ? tfn_instant_to(*after, unit) : INT64_MAX;
        for (int64_t k = 0; k < v.n; k++) {
            const int64_t value = tfn_vec_get_int(&v, k) * scale;
            *out += value < low || value > high ? 1 : 0;
        }
    }
    return TFN_OK;
}

static bool is_most(int64_t n, int64_t n_all)
{
    return n > n_all - n && n_all >= MIN_ROWS;
}

/* 2. The first row of the source is later than most entity rows. */
static tfn_code warn_late_start(tfn__training_set *t, tfn_str view, tfn_instant first,
                                tfn_error *err)
{
    int64_t n = 0;
    const int64_t n_rows = tfn_frame_get_n_rows(t->frame);
    TFN_RETURN_IF_ERROR(count_rows_beyond(t, &first, NULL, &n, err));
    if (is_most(n, n_rows)) {
        char text[TFN_TIME_TEXT_BYTES];
        char sentence[SENTENCE_BYTES];
        tfn_instant_format(first, text);
        (void)snprintf(sentence, sizeof sentence,
                       "view '%.*s': its source starts at %s, after %" PRId64 " of %" PRId64
                       " entity rows, which can only get nulls; read an older part of the source, "
                       "or leave these rows out",
                       TFN_STR_ARG(view), text, n, n_rows);
        yyjson_mut_val *counts = warn(t, "source_starts_after", view, true, sentence);
        add_count(t, counts, "rows_before", n);
        add_count(t, counts, "rows", n_rows);
    }
    return TFN_OK;
}

/* The last instant at which a row of this time is not older than the ttl. */
static tfn_instant end_of_ttl(tfn_instant last, int64_t ttl_us)
{
    const int64_t nanos = last.nanos + ttl_us % 1000000 * 1000;
    const int64_t seconds = tfn_time_add(last.seconds, ttl_us / 1000000);
    return (tfn_instant){tfn_time_add(seconds, nanos / 1000000000), (int32_t)(nanos % 1000000000)};
}

/* 3. The last row of the source is older than the ttl for most entity rows. Footers were read to the
 * microsecond: the last time may be almost one later. */
static tfn_code warn_early_end(tfn__training_set *t, tfn_str view, int64_t ttl_us, tfn_instant last,
                               tfn_error *err)
{
    if (ttl_us == 0) {
        return TFN_OK;
    }
    int64_t n = 0;
    const int64_t n_rows = tfn_frame_get_n_rows(t->frame);
    const tfn_instant end = end_of_ttl(last, tfn_time_add(ttl_us, 1));
    TFN_RETURN_IF_ERROR(count_rows_beyond(t, NULL, &end, &n, err));
    if (is_most(n, n_rows)) {
        char text[TFN_TIME_TEXT_BYTES];
        char ttl[TTL_BYTES];
        char sentence[SENTENCE_BYTES];
        tfn_instant_format(last, text);
        format_ttl(ttl_us, ttl);
        (void)snprintf(sentence, sizeof sentence,
                       "view '%.*s': its source ends at %s, and for %" PRId64 " of %" PRId64
                       " entity rows all of it is older than the ttl of %s; bring the source up to "
                       "date, or give the view a longer ttl",
                       TFN_STR_ARG(view), text, n, n_rows, ttl);
        yyjson_mut_val *counts = warn(t, "source_ends_before", view, true, sentence);
        add_count(t, counts, "rows_after", n);
        add_count(t, counts, "rows", n_rows);
    }
    return TFN_OK;
}

tfn_code tfn__training_warn_plan(tfn__training_set *t, size_t i_view, yyjson_mut_val *plan,
                                 tfn_error *err)
{
    const tfn_selected_view *selected = &t->selection.views[i_view];
    const tfn_str name = selected->name;
    (void)get_warnings(t); /* there even if it stays empty */
    TFN_RETURN_IF_ERROR(warn_key_casts(t, selected, err));
    yyjson_mut_val *scan = yyjson_mut_arr_get_first(yyjson_mut_obj_get(plan, "scans"));
    yyjson_mut_val *first = yyjson_mut_obj_get(scan, "first_time_us");
    yyjson_mut_val *last = yyjson_mut_obj_get(scan, "last_time_us");
    if (first == NULL || last == NULL) {
        return TFN_OK;
    }
    const tfn_instant from = tfn_instant_of(yyjson_mut_get_sint(first), TFN_UNIT_US);
    const tfn_instant to = tfn_instant_of(yyjson_mut_get_sint(last), TFN_UNIT_US);
    TFN_RETURN_IF_ERROR(warn_late_start(t, name, from, err));
    return warn_early_end(t, name, selected->view->ttl_us, to, err);
}

/* ---- after the run ---- */

static const char *plural(int64_t n)
{
    return n == 1 ? "" : "s";
}

/* 4. Nothing was read. */
static void warn_nothing_read(tfn__training_set *t, tfn_str view, const tfn_join_stats *s)
{
    if (s->n_rows_read > 0 || s->n_slots == 0 || was_said(t, "source_starts_after", view) ||
        was_said(t, "source_ends_before", view)) {
        return;
    }
    char sentence[SENTENCE_BYTES];
    (void)snprintf(sentence, sizeof sentence,
                   "view '%.*s': no row of its source lies in the time range of the %" PRId64
                   " entity row%s, so all its features are null; look at the times of both",
                   TFN_STR_ARG(view), s->n_spine_rows, plural(s->n_spine_rows));
    yyjson_mut_val *counts = warn(t, "no_row_in_range", view, true, sentence);
    add_count(t, counts, "rows", s->n_spine_rows);
}

/* 5. Rows were read, and none has a key of the entity rows. How many keys these have is known if they
 * are joined at once: parts share keys. */
static void warn_no_match(tfn__training_set *t, tfn_str view, const tfn_join_stats *s,
                          bool is_whole)
{
    const int64_t n_keyed = s->n_rows_read - s->n_rows_without_time - s->n_rows_infinite_time -
                            s->n_rows_without_key - s->n_rows_not_known;
    if (n_keyed == 0 || s->n_rows_without_match != n_keyed) {
        return;
    }
    char sentence[SENTENCE_BYTES];
    char keys[KEYS_BYTES] = "";
    if (is_whole) {
        (void)snprintf(keys, sizeof keys, " (%" PRId64 " key%s)", s->n_groups, plural(s->n_groups));
    }
    (void)snprintf(
        sentence, sizeof sentence,
        "view '%.*s': of %" PRId64 " row%s read of its source none has the key of an "
        "entity row%s, so all its features are null; look at how the keys are written on "
        "both sides",
        TFN_STR_ARG(view), n_keyed, plural(n_keyed), keys);
    yyjson_mut_val *counts = warn(t, "no_key_matches", view, true, sentence);
    add_count(t, counts, "source_rows", n_keyed);
    if (is_whole) {
        add_count(t, counts, "keys", s->n_groups);
    }
}

/* 6. Most entity rows have a row of their key, and all such rows are older than the ttl. Rows that
 * are too old for the first entity time after them never come to a slot; they are the second half
 * of the condition. */
static void warn_expired(tfn__training_set *t, tfn_str view, int64_t ttl_us,
                         const tfn_join_stats *s)
{
    const int64_t n_keyed = s->n_spine_rows - s->n_spine_rows_without_key;
    const int64_t n_unmatched = n_keyed - s->n_spine_rows_matched;
    const bool slots_say_so = is_most(s->n_slots_expired, s->n_slots_looked_at);
    const bool rows_say_so = s->n_rows_expired > s->n_rows_eligible;
    if (ttl_us == 0 || !is_most(n_unmatched, n_keyed) || !(slots_say_so || rows_say_so) ||
        was_said(t, "source_ends_before", view)) {
        return;
    }
    char ttl[TTL_BYTES];
    char sentence[SENTENCE_BYTES];
    format_ttl(ttl_us, ttl);
    (void)snprintf(sentence, sizeof sentence,
                   "view '%.*s': %" PRId64 " of %" PRId64 " entity rows get nulls, mostly because "
                   "the rows of their keys are older than the ttl of %s; if older values may be "
                   "used, give the view a longer ttl",
                   TFN_STR_ARG(view), n_unmatched, n_keyed, ttl);
    yyjson_mut_val *counts = warn(t, "mostly_expired", view, true, sentence);
    add_count(t, counts, "rows_unmatched", n_unmatched);
    add_count(t, counts, "rows", n_keyed);
    add_count(t, counts, "slots_expired", s->n_slots_expired);
    add_count(t, counts, "slots_looked_at", s->n_slots_looked_at);
    add_count(t, counts, "source_rows_expired", s->n_rows_expired);
}

/* 7. Most winners were written after the time of the entity row. */
static void warn_late_data(tfn__training_set *t, tfn_str view, const tfn_join_stats *s)
{
    if (t->request->filter_by_created != 0 || !is_most(s->n_slots_created_later, s->n_slots_won)) {
        return;
    }
    char sentence[SENTENCE_BYTES];
    (void)snprintf(sentence, sizeof sentence,
                   "view '%.*s': %" PRId64 " of %" PRId64
                   " keys and times looked at use a row that "
                   "was created after that time, so it was not there to be served; pass "
                   "filter_by_created_timestamp=True to use only what was",
                   TFN_STR_ARG(view), s->n_slots_created_later, s->n_slots_won);
    yyjson_mut_val *counts = warn(t, "late_data", view, true, sentence);
    add_count(t, counts, "slots_created_later", s->n_slots_created_later);
    add_count(t, counts, "slots_won", s->n_slots_won);
}

void tfn__training_warn_run(tfn__training_set *t, size_t i_view, const tfn_join_stats *s,
                            size_t n_parts)
{
    const tfn_selected_view *selected = &t->selection.views[i_view];
    warn_nothing_read(t, selected->name, s);
    warn_no_match(t, selected->name, s, n_parts <= 1);
    warn_expired(t, selected->name, selected->view->ttl_us, s);
    warn_late_data(t, selected->name, s);
}

/* ---- features that repeat a column of the entity rows ----
 *
 * One tfn_likeness per column and output, fed with the answer piece by piece. */

static bool is_key(const tfn__training_set *t, size_t i_column)
{
    const tfn_str name = tfn_frame_get_name(t->frame, i_column);
    for (size_t i = 0; i < t->selection.n_views; i++) {
        for (size_t k = 0; k < t->selection.views[i].view->n_keys; k++) {
            if (tfn_str_equal(t->selection.views[i].key_columns[k], name)) {
                return true;
            }
        }
    }
    return false;
}

/* Rows begin .. begin + values->n - 1 of a column of the entity rows beside `values`. */
static tfn_code compare(const tfn__training_set *t, size_t i_column, int64_t begin,
                        const tfn_vec *values, tfn_likeness *like, tfn_error *err)
{
    const int64_t end = begin + values->n;
    int64_t i_row = 0;
    bool goes_on = like->n_different <= like->max_different;
    for (int64_t i = 0; goes_on && i_row < end; i++) {
        const int64_t n = tfn_frame_get_batch_rows(t->frame, i);
        const int64_t from = begin > i_row ? begin - i_row : 0;
        const int64_t to = end - i_row < n ? end - i_row : n;
        if (from < to) {
            tfn_vec label;
            TFN_RETURN_IF_ERROR(tfn_frame_get_vec(t->frame, i, i_column, &label, err));
            const tfn_vec left = tfn_vec_slice(&label, from, to - from);
            const tfn_vec right = tfn_vec_slice(values, i_row + from - begin, to - from);
            goes_on = tfn_likeness_add(like, &left, &right);
        }
        i_row += n;
    }
    return TFN_OK;
}

static tfn_code begin_likeness(tfn__training_set *t, tfn_error *err)
{
    const size_t n = tfn_frame_get_n_cols(t->frame) * t->selection.n_outputs;
    void *p = NULL;
    TFN_RETURN_IF_ERROR(tfn_arena_alloc_zero(&t->arena, n, sizeof *t->likeness, &p, err));
    t->likeness = p;
    for (size_t i = 0; i < n; i++) {
        t->likeness[i].max_different = tfn_frame_get_n_rows(t->frame) / MAX_DIFFERENT_ONE_IN;
    }
    return TFN_OK;
}

tfn_code tfn__training_compare_labels(tfn__training_set *t, int64_t begin,
                                      tfn_column *const *columns, tfn_error *err)
{
    if (t->likeness == NULL) {
        TFN_RETURN_IF_ERROR(begin_likeness(t, err));
    }
    for (size_t i = 0; i < tfn_frame_get_n_cols(t->frame); i++) {
        tfn_type type = {0};
        if (i == t->time_column || is_key(t, i) ||
            tfn_frame_get_type(t->frame, i, &type, NULL) != TFN_OK) {
            continue; /* a type that Tiffin does not have passes through */
        }
        for (size_t k = 0; k < t->selection.n_outputs; k++) {
            if (columns[k] != NULL &&
                tfn_likeness_is_possible(type, tfn_column_get_type(columns[k]))) {
                TFN_RETURN_IF_ERROR(compare(t, i, begin, tfn_column_get_vec(columns[k]),
                                            &t->likeness[i * t->selection.n_outputs + k], err));
            }
        }
    }
    return TFN_OK;
}

/* 8. One feature and one column. */
static void warn_label(tfn__training_set *t, size_t i_column, size_t i_output,
                       const tfn_likeness *like)
{
    if (like->n_both < MIN_ROWS || !like->varies ||
        like->n_different > tfn_likeness_get_n_telling(like) / MAX_DIFFERENT_ONE_IN) {
        return;
    }
    const tfn_selected_output *output = &t->selection.outputs[i_output];
    const tfn_str view = t->selection.views[output->i_view].name;
    const tfn_str column = tfn_frame_get_name(t->frame, i_column);
    char sentence[SENTENCE_BYTES];
    (void)snprintf(sentence, sizeof sentence,
                   "feature '%.*s' of view '%.*s' equals the column '%.*s' of the entity rows in "
                   "%" PRId64 " of %" PRId64
                   " rows; if that is the label, the feature gives it away",
                   TFN_STR_ARG(output->name), TFN_STR_ARG(view), TFN_STR_ARG(column),
                   like->n_both - like->n_different, like->n_both);
    yyjson_mut_val *counts = warn(t, "feature_equals_label", view, true, sentence);
    (void)tfn_json_add_str(t->report, counts, "feature", output->name);
    (void)tfn_json_add_str(t->report, counts, "column", column);
    add_count(t, counts, "rows_equal", like->n_both - like->n_different);
    add_count(t, counts, "rows", like->n_both);
}

void tfn__training_warn_labels(tfn__training_set *t)
{
    const size_t n_outputs = t->likeness != NULL ? t->selection.n_outputs : 0;
    for (size_t i = 0; n_outputs > 0 && i < tfn_frame_get_n_cols(t->frame); i++) {
        for (size_t k = 0; k < n_outputs; k++) {
            warn_label(t, i, k, &t->likeness[i * n_outputs + k]);
        }
    }
}
