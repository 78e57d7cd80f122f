/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

/*
 * What a join will do, before it does it. The same tfn__join that would run is begun, its scans are
 * described by the source, and nothing is read.
 */

#include "offline/join_internal.h"

#include "base/poison.h"

static tfn_join_plan plan_of(const tfn__join *j)
{
    const int64_t n_slots = j->spine->n_slots;
    tfn_join_plan plan = {
        .two_step = j->two_step,
        .n_scans = n_slots == 0                          ? 0
                   : j->two_step && j->plan.n_fields > 0 ? 2
                                                         : 1,
        .n_spine_rows = j->spine->n_rows,
        .n_groups = j->spine->n_groups,
        .n_slots = n_slots,
        .bytes_index = tfn__spine_get_bytes(j->spine),
        .bytes_slots = n_slots * (int64_t)sizeof(tfn__slot),
        .bytes_values_max = n_slots * (int64_t)j->plan.stride,
    };
    for (size_t i = 0; i < j->plan.n_fields; i++) {
        plan.bytes_output += plan.n_spine_rows * (int64_t)tfn_type_width(j->plan.fields[i].type) +
                             (plan.n_spine_rows + 7) / 8;
    }
    return plan;
}

/* Why the join has the form it has. */
static const char *why_of(const tfn__join *j)
{
    if (j->two_step) {
        return "rows are found again by their position, so features are read of winners only";
    }
    if (tfn_source_can_rescan(j->source)) {
        return "one step was asked for";
    }
    return "rows of this source cannot be found again, so it is read once, features and all";
}

static tfn_code add_json_text(tfn_buf *json, tfn_str text, tfn_error *err)
{
    TFN_RETURN_IF_ERROR(tfn_buf_add_text(json, "\"", err));
    for (size_t i = 0; i < text.n; i++) {
        const unsigned char c = (unsigned char)text.p[i];
        if (c == '"' || c == '\\') {
            TFN_RETURN_IF_ERROR(tfn_buf_add_format(json, err, "\\%c", c));
        } else if (c < 0x20) {
            TFN_RETURN_IF_ERROR(tfn_buf_add_format(json, err, "\\u%04x", c));
        } else {
            TFN_RETURN_IF_ERROR(tfn_buf_add(json, text.p + i, 1, err));
        }
    }
    return tfn_buf_add_text(json, "\"", err);
}

/* The part of the rule that a request or a view may change. */
static tfn_code add_rule(const tfn_join_view *view, tfn_buf *json, tfn_error *err)
{
    TFN_RETURN_IF_ERROR(
        tfn_buf_add_format(json, err, ",\"rule\":{\"ttl_us\":%lld,\"filter_by_created\":%s",
                           (long long)view->ttl_us, view->filter_by_created ? "true" : "false"));
    if (view->has_known_at) {
        char text[TFN_TIME_TEXT_BYTES];
        tfn_instant_format(view->known_at, text);
        TFN_RETURN_IF_ERROR(tfn_buf_add_format(json, err, ",\"known_at\":\"%s\"", text));
    }
    return tfn_buf_add_text(json, "}", err);
}

static tfn_code add_plan(const tfn__join *j, const tfn_join_plan *plan, tfn_buf *json,
                         tfn_error *err)
{
    TFN_RETURN_IF_ERROR(tfn_buf_add_text(json, "{\"view\":", err));
    TFN_RETURN_IF_ERROR(add_json_text(json, j->view->label, err));
    TFN_RETURN_IF_ERROR(tfn_buf_add_text(json, ",\"source\":", err));
    TFN_RETURN_IF_ERROR(add_json_text(json, tfn_source_get_label(j->source), err));
    TFN_RETURN_IF_ERROR(add_rule(j->view, json, err));
    return tfn_buf_add_format(
        json, err,
        ",\"form\":\"%s\",\"why\":\"%s\",\"passes\":%d,\"rows\":%lld,\"groups\":%lld,"
        "\"slots\":%lld,\"memory\":{\"index\":%lld,"
        "\"slots\":%lld,\"values_max\":%lld,\"output\":%lld},\"scans\":[",
        plan->two_step ? "two-step" : "one-step", why_of(j), plan->n_scans,
        (long long)plan->n_spine_rows, (long long)plan->n_groups, (long long)plan->n_slots,
        (long long)plan->bytes_index, (long long)plan->bytes_slots,
        (long long)plan->bytes_values_max, (long long)plan->bytes_output);
}

static tfn_code explain(tfn__join *j, tfn_join_plan *plan, tfn_buf *json, tfn_error *err)
{
    *plan = plan_of(j);
    if (json == NULL) {
        return TFN_OK;
    }
    TFN_RETURN_IF_ERROR(add_plan(j, plan, json, err));
    if (plan->n_scans > 0) {
        const tfn_scan scan = tfn__join_first_scan(j);
        TFN_RETURN_IF_ERROR(tfn_source_explain(j->source, &scan, json, err));
    }
    if (plan->n_scans > 1) {
        const tfn_scan scan = tfn__join_second_scan(j);
        TFN_RETURN_IF_ERROR(tfn_buf_add_text(json, ",", err));
        TFN_RETURN_IF_ERROR(tfn_source_explain(j->source, &scan, json, err));
    }
    return tfn_buf_add_text(json, "]}", err);
}

tfn_code tfn_join_explain(const tfn_spine *spine, const tfn_join_view *view, tfn_source *source,
                          const tfn_offline_opts *opts, tfn_join_plan *plan, tfn_buf *json,
                          tfn_error *err)
{
    tfn_join_plan own_plan;
    tfn__join j;
    tfn_code rc = tfn__join_begin(&j, spine, view, source, opts, err);
    if (rc == TFN_OK) {
        rc = explain(&j, plan == NULL ? &own_plan : plan, json, err);
    }
    tfn__join_end(&j);
    if (rc != TFN_OK) {
        tfn_error_prepend(err, "view '%.*s': ", TFN_STR_ARG(view->label));
    }
    return rc;
}
