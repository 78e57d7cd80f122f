/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

/*
 * The report of a training set: per view its plan, and after it ran what was read, dropped and kept, with
 * bytes and seconds per step.
 */

#include "base/json.h"
#include "store/training_set.h"

#include "base/poison.h"

/* Bytes of the plan's scan i, which are those that were read: what the kept row groups hold. -1: not
 * known, as the plan is that of the first of several parts. */
static int64_t planned_bytes(yyjson_mut_val *report, size_t i, size_t n_parts)
{
    if (n_parts > 1) {
        return -1;
    }
    yyjson_mut_val *scans = yyjson_mut_obj_get(yyjson_mut_obj_get(report, "plan"), "scans");
    yyjson_mut_val *bytes = yyjson_mut_obj_get(yyjson_mut_arr_get(scans, i), "bytes_to_read");
    return bytes != NULL ? yyjson_mut_get_sint(bytes) : -1;
}

static void report_scan(tfn__training_set *t, yyjson_mut_val *scans, const char *what,
                        const tfn_scan_stats *scan, int64_t n_bytes)
{
    yyjson_mut_doc *doc = t->report;
    yyjson_mut_val *object = yyjson_mut_arr_add_obj(doc, scans);
    (void)yyjson_mut_obj_add_str(doc, object, "reads", what);
    (void)yyjson_mut_obj_add_int(doc, object, "files", scan->n_files);
    (void)yyjson_mut_obj_add_int(doc, object, "rows", scan->n_rows);
    (void)yyjson_mut_obj_add_int(doc, object, "rows_in_files", scan->n_rows_in_files);
    (void)yyjson_mut_obj_add_int(doc, object, "bytes_in_files", scan->n_bytes_in_files);
    if (n_bytes >= 0) {
        (void)yyjson_mut_obj_add_int(doc, object, "bytes_at_most", n_bytes);
    }
    (void)yyjson_mut_obj_add_real(doc, object, "seconds", scan->seconds);
}

static void report_rows(yyjson_mut_doc *doc, yyjson_mut_val *view, const tfn_join_stats *s)
{
    yyjson_mut_val *rows = yyjson_mut_obj_add_obj(doc, view, "source_rows");
    (void)yyjson_mut_obj_add_int(doc, rows, "read", s->n_rows_read);
    (void)yyjson_mut_obj_add_int(doc, rows, "eligible", s->n_rows_eligible);
    (void)yyjson_mut_obj_add_int(doc, rows, "no_entity_row_has_this_key", s->n_rows_without_match);
    (void)yyjson_mut_obj_add_int(doc, rows, "after_the_last_entity_row", s->n_rows_too_late);
    (void)yyjson_mut_obj_add_int(doc, rows, "expired", s->n_rows_expired);
    (void)yyjson_mut_obj_add_int(doc, rows, "not_known_yet", s->n_rows_not_known);
    (void)yyjson_mut_obj_add_int(doc, rows, "null_key", s->n_rows_without_key);
    (void)yyjson_mut_obj_add_int(doc, rows, "null_time", s->n_rows_without_time);
    (void)yyjson_mut_obj_add_int(doc, rows, "infinite_time", s->n_rows_infinite_time);
    (void)yyjson_mut_obj_add_int(doc, rows, "saturated_time", s->n_rows_saturated);
    yyjson_mut_val *spine = yyjson_mut_obj_add_obj(doc, view, "entity_rows");
    (void)yyjson_mut_obj_add_int(doc, spine, "rows", s->n_spine_rows);
    (void)yyjson_mut_obj_add_int(doc, spine, "null_key", s->n_spine_rows_without_key);
    (void)yyjson_mut_obj_add_int(doc, spine, "matched", s->n_spine_rows_matched);
    (void)yyjson_mut_obj_add_int(doc, spine, "keys", s->n_groups);
    (void)yyjson_mut_obj_add_int(doc, spine, "slots", s->n_slots);
    (void)yyjson_mut_obj_add_int(doc, spine, "winners", s->n_winners);
}

void tfn__training_report_run(tfn__training_set *t, size_t i_view, yyjson_mut_val *report,
                              const tfn_join_stats *s, size_t n_parts)
{
    yyjson_mut_doc *doc = t->report;
    report_rows(doc, report, s);
    yyjson_mut_val *scans = yyjson_mut_obj_add_arr(doc, report, "scans_done");
    report_scan(t, scans, s->two_step ? "keys and times" : "all columns", &s->scans[0],
                planned_bytes(report, 0, n_parts));
    if (s->two_step) {
        report_scan(t, scans, "features of winners", &s->scans[1],
                    planned_bytes(report, 1, n_parts));
    }
    yyjson_mut_val *memory = yyjson_mut_obj_add_obj(doc, report, "bytes_used");
    (void)yyjson_mut_obj_add_int(doc, memory, "index", s->bytes_index);
    (void)yyjson_mut_obj_add_int(doc, memory, "slots", s->bytes_slots);
    (void)yyjson_mut_obj_add_int(doc, memory, "values", s->bytes_values);
    yyjson_mut_val *seconds = yyjson_mut_obj_add_obj(doc, report, "seconds");
    (void)yyjson_mut_obj_add_real(doc, seconds, "index", s->seconds_index);
    (void)yyjson_mut_obj_add_real(doc, seconds, "scan", s->seconds_scan);
    (void)yyjson_mut_obj_add_real(doc, seconds, "walk", s->seconds_walk);
    (void)yyjson_mut_obj_add_real(doc, seconds, "values", s->seconds_values);
    (void)yyjson_mut_obj_add_real(doc, seconds, "output", s->seconds_output);
    tfn__training_warn_run(t, i_view, s, n_parts);
}

/* The plan comes as text from two modules; as a tree it can be read again by warnings. */
static tfn_code add_plan(tfn__training_set *t, yyjson_mut_val *report, tfn_str json,
                         yyjson_mut_val **out, tfn_error *err)
{
    yyjson_doc *parsed = NULL;
    TFN_RETURN_IF_ERROR(tfn_json_parse(json, "the plan", &parsed, err));
    *out = yyjson_val_mut_copy(t->report, yyjson_doc_get_root(parsed));
    yyjson_doc_free(parsed);
    (void)yyjson_mut_obj_add_val(t->report, report, "plan", *out);
    return TFN_OK;
}

/* The plan is written before the join runs, so that it is there when only it was asked for. */
tfn_code tfn__training_report_plan(tfn__training_set *t, size_t i_view, const tfn_spine *spine,
                                   const tfn_join_view *view, tfn_source *source,
                                   const tfn_offline_opts *opts, yyjson_mut_val **out,
                                   tfn_error *err)
{
    tfn_buf json = {0};
    yyjson_mut_val *plan = NULL;
    tfn_code rc = TFN_OK;
    TFN_GOTO_IF_ERROR(rc, tfn_join_explain(spine, view, source, opts, NULL, &json, err), done);
    *out = yyjson_mut_arr_add_obj(t->report, t->report_views);
    (void)tfn_json_add_str(t->report, *out, "view", t->selection.views[i_view].name);
    TFN_GOTO_IF_ERROR(rc, add_plan(t, *out, tfn_buf_get_str(&json), &plan, err), done);
    TFN_GOTO_IF_ERROR(rc, tfn__training_warn_plan(t, i_view, plan, err), done);
done:
    tfn_buf_deinit(&json);
    return rc;
}
