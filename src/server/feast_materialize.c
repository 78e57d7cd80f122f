/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

/*
 * POST /materialize and /materialize-incremental, with ?async= and ?force=.
 *
 *   query, body -> which views, which times -> a child process (child.h) -> null, or 202 at once
 *
 * Differences from Feast: a conflict is told to those who wait, too (Feast's SDK passes over the view
 * without a word), and nothing is written to the registry that a killed server would leave behind.
 */

#include "base/json.h"
#include "base/time.h"
#include "server/child.h"
#include "server/feast_protocol.h"

#include "base/poison.h"

/* What is asked for. Texts are in the context's arena. */
typedef struct question {
    bool is_async;
    bool is_forced;
    bool is_incremental;
    bool has_start;
    int64_t start_us;
    int64_t end_us;
    tfn_str *views;
    size_t n_views;
} question;

/* ---- which views ---- */

static tfn_code add_view(tfn_arena *arena, question *q, tfn_str name, tfn_error *err)
{
    const char *copy = NULL;
    TFN_RETURN_IF_ERROR(tfn_arena_copy(arena, name.p, name.n, &copy, err));
    q->views[q->n_views++] = (tfn_str){copy, name.n};
    return TFN_OK;
}

static tfn_code allocate_views(tfn_arena *arena, question *q, size_t n, tfn_error *err)
{
    void *p = NULL;
    TFN_RETURN_IF_ERROR(tfn_arena_alloc(arena, n, sizeof(tfn_str), &p, err));
    q->views = p;
    return TFN_OK;
}

static tfn_code add_online_views(tfn_arena *arena, question *q, yyjson_val *views, tfn_error *err)
{
    TFN_RETURN_IF_ERROR(allocate_views(arena, q, yyjson_arr_size(views), err));
    yyjson_arr_iter iter = {0};
    (void)yyjson_arr_iter_init(views, &iter);
    for (yyjson_val *view = yyjson_arr_iter_next(&iter); view != NULL;
         view = yyjson_arr_iter_next(&iter)) {
        if (yyjson_get_bool(yyjson_obj_get(view, "online"))) {
            TFN_RETURN_IF_ERROR(add_view(arena, q, tfn_json_get_member(view, "name"), err));
        }
    }
    return TFN_OK;
}

static tfn_code find_all_views(tfn_context *context, question *q, tfn_error *err)
{
    char *text = NULL;
    yyjson_doc *doc = NULL;
    TFN_RETURN_IF_ERROR(
        tfn_store_list(context->shared->store, "feature_view", NULL, -1, &text, err));
    tfn_code rc = tfn_json_parse(tfn_str_of(text), "the feature views", &doc, err);
    if (rc == TFN_OK) {
        rc = add_online_views(&context->arena, q, yyjson_doc_get_root(doc), err);
    }
    yyjson_doc_free(doc);
    tfn_text_destroy(text);
    return rc;
}

/* A view that was named: it is there, and is served online. */
static tfn_code check_view(tfn_store *store, tfn_str name, tfn_error *err)
{
    if (memchr(name.p, '\0', name.n) != NULL) {
        return TFN_FAIL(err, TFN_NOT_FOUND, "a feature view has no NUL character in its name");
    }
    char *text = NULL;
    yyjson_doc *doc = NULL;
    TFN_RETURN_IF_ERROR(tfn_store_get(store, "feature_view", name.p, -1, &text, err));
    tfn_code rc = tfn_json_parse(tfn_str_of(text), "a definition", &doc, err);
    if (rc == TFN_OK && !yyjson_get_bool(yyjson_obj_get(yyjson_doc_get_root(doc), "online"))) {
        rc = TFN_FAIL(err, TFN_INVALID,
                      "FeatureView %.*s is not configured to be served online; define it with "
                      "online=True",
                      TFN_STR_ARG(name));
    }
    yyjson_doc_free(doc);
    tfn_text_destroy(text);
    return rc;
}

static tfn_code find_views(tfn_context *context, yyjson_val *root, question *q, tfn_error *err)
{
    yyjson_val *names = yyjson_obj_get(root, "feature_views");
    if (!yyjson_is_arr(names)) {
        return find_all_views(context, q, err);
    }
    TFN_RETURN_IF_ERROR(allocate_views(&context->arena, q, yyjson_arr_size(names), err));
    yyjson_arr_iter iter = yyjson_arr_iter_with(names);
    for (yyjson_val *name = yyjson_arr_iter_next(&iter); name != NULL;
         name = yyjson_arr_iter_next(&iter)) {
        TFN_RETURN_IF_ERROR(check_view(context->shared->store, tfn_json_get_str(name), err));
        TFN_RETURN_IF_ERROR(add_view(&context->arena, q, tfn_json_get_str(name), err));
    }
    return TFN_OK;
}

/* ---- which times ---- */

static tfn_code read_time(yyjson_val *root, const char *member, int64_t *out_us, tfn_error *err)
{
    tfn_instant t = {0};
    const tfn_code rc = tfn_instant_parse(tfn_json_get_member(root, member), &t, err);
    if (rc != TFN_OK) {
        tfn_error_prepend(err, "Invalid timestamp format: %s: ", member);
        return rc;
    }
    *out_us = tfn_instant_to(t, TFN_UNIT_US);
    return TFN_OK;
}

static tfn_code read_times(yyjson_val *root, question *q, tfn_error *err)
{
    if (q->is_incremental) {
        return read_time(root, "end_ts", &q->end_us, err);
    }
    q->has_start = true;
    if (yyjson_get_bool(yyjson_obj_get(root, "disable_event_timestamp"))) {
        q->end_us = tfn_instant_to(tfn_clock_now(NULL), TFN_UNIT_US); /* from 1970 on */
        return TFN_OK;
    }
    if (tfn_json_get_member(root, "start_ts").n == 0 ||
        tfn_json_get_member(root, "end_ts").n == 0) {
        return TFN_FAIL(err, TFN_INVALID,
                        "start_ts and end_ts are required when disable_event_timestamp is False");
    }
    TFN_RETURN_IF_ERROR(read_time(root, "start_ts", &q->start_us, err));
    TFN_RETURN_IF_ERROR(read_time(root, "end_ts", &q->end_us, err));
    if (q->start_us >= q->end_us) {
        return TFN_FAIL(err, TFN_INVALID, "start_ts (%.*s) must be before end_ts (%.*s)",
                        TFN_STR_ARG(tfn_json_get_member(root, "start_ts")),
                        TFN_STR_ARG(tfn_json_get_member(root, "end_ts")));
    }
    return TFN_OK;
}

static tfn_code read_question(tfn_context *context, yyjson_val *root, question *q, tfn_error *err)
{
    if (yyjson_is_str(yyjson_obj_get(root, "version"))) {
        return TFN_FAIL(err, TFN_INVALID,
                        "version '%.*s' cannot be materialized: feature views have one version "
                        "online, the newest; leave version out",
                        TFN_STR_ARG(tfn_json_get_member(root, "version")));
    }
    TFN_RETURN_IF_ERROR(find_views(context, root, q, err));
    return read_times(root, q, err);
}

/* ---- the child ---- */

static tfn_code write_views(tfn_buf *out, const question *q, tfn_error *err)
{
    TFN_RETURN_IF_ERROR(tfn_buf_add_text(out, "[", err));
    for (size_t i = 0; i < q->n_views; i++) {
        TFN_RETURN_IF_ERROR(tfn_buf_add_text(out, i == 0 ? "" : ",", err));
        TFN_RETURN_IF_ERROR(tfn_json_add_text(out, q->views[i], err));
    }
    return tfn_buf_add_text(out, "]", err);
}

static tfn_code write_request(tfn_buf *out, const question *q, tfn_error *err)
{
    TFN_RETURN_IF_ERROR(tfn_buf_add_text(out, "{\"views\":", err));
    TFN_RETURN_IF_ERROR(write_views(out, q, err));
    if (q->has_start) {
        TFN_RETURN_IF_ERROR(
            tfn_buf_add_format(out, err, ",\"start_us\":%lld", (long long)q->start_us));
    }
    return tfn_buf_add_format(out, err, ",\"end_us\":%lld,\"incremental\":%s}",
                              (long long)q->end_us, q->is_incremental ? "true" : "false");
}

static tfn_code run(tfn_context *context, const question *q, char **answer, tfn_error *err)
{
    tfn_buf request = {0};
    *answer = NULL;
    tfn_code rc = write_request(&request, q, err);
    if (rc == TFN_OK && q->n_views > 0) { /* of no views there is nothing to do */
        rc =
            tfn_children_materialize(context->shared->children, context->shared->config, request.p,
                                     q->views, q->n_views, !q->is_async, q->is_forced, answer, err);
    }
    tfn_buf_deinit(&request);
    return rc;
}

static tfn_code write_conflict(tfn_buf *out, const char *sentence, const char *views,
                               tfn_error *err)
{
    TFN_RETURN_IF_ERROR(tfn_buf_add_text(out, "{\"error\":", err));
    TFN_RETURN_IF_ERROR(tfn_json_add_text(out, tfn_str_of(sentence), err));
    return tfn_buf_add_format(out, err, ",\"feature_views\":%s}", views);
}

static tfn_code write_accepted(tfn_buf *out, const question *q, tfn_error *err)
{
    TFN_RETURN_IF_ERROR(tfn_buf_add_text(out, "{\"status\":\"accepted\",\"feature_views\":", err));
    TFN_RETURN_IF_ERROR(write_views(out, q, err));
    return tfn_buf_add_text(out, "}", err);
}

/* What the child said, as a reply. An error of writing it is returned. */
static tfn_code write_reply(const question *q, const tfn_error *said, const char *answer,
                            tfn_reply *reply, tfn_error *err)
{
    if (said->code == TFN_OK) {
        reply->status = q->is_async ? 202 : 200;
        return q->is_async ? write_accepted(&reply->body, q, err)
                           : tfn_buf_add_text(&reply->body, "null", err);
    }
    if (said->code == TFN_CONFLICT && answer != NULL) {
        reply->status = 409;
        return write_conflict(&reply->body, said->message, answer, err);
    }
    tfn_feast_reply_error(reply, said);
    if (said->code == TFN_CANCELLED) { /* another server may do it */
        reply->status = 503;
        reply->retry_after_s = 1;
    }
    return TFN_OK;
}

static void materialize(tfn_context *context, yyjson_val *root, question *q, tfn_reply *reply)
{
    tfn_error said = {0};
    tfn_error err = {0};
    char *answer = NULL;
    tfn_code rc = read_question(context, root, q, &said);
    if (rc == TFN_OK) {
        rc = run(context, q, &answer, &said);
    }
    said.code = rc;
    tfn_buf_clear(&reply->body);
    if (write_reply(q, &said, answer, reply, &err) != TFN_OK) {
        tfn_feast_reply_error(reply, &err);
    }
    tfn_text_destroy(answer);
}

static tfn_route_outcome handle(tfn_context *context, const tfn_request *request,
                                const tfn_body_field *fields, size_t n_fields, question *q,
                                tfn_reply *reply)
{
    tfn_query_flag flags[] = {{.name = "async"}, {.name = "force"}};
    const tfn_request_form form = {.fields = fields,
                                   .n_fields = n_fields,
                                   .flags = flags,
                                   .n_flags = sizeof flags / sizeof *flags};
    yyjson_val *root = NULL;
    if (!context->may_block) {
        return TFN_ROUTE_LATER;
    }
    if (tfn_feast_read_request(context, request, &form, &root, reply)) {
        q->is_async = flags[0].value;
        q->is_forced = flags[1].value;
        materialize(context, root, q, reply);
    }
    return TFN_ROUTE_DONE;
}

tfn_route_outcome tfn_handle_materialize(tfn_context *context, const tfn_request *request,
                                         tfn_reply *reply)
{
    static const tfn_body_field fields[] = {
        {"start_ts", TFN_BODY_TEXT, false, true},
        {"end_ts", TFN_BODY_TEXT, false, true},
        {"feature_views", TFN_BODY_LIST_OF_TEXT, false, true},
        {"disable_event_timestamp", TFN_BODY_BOOL, false, false},
        {"full_feature_names", TFN_BODY_BOOL, false, false},
        {"version", TFN_BODY_TEXT, false, true},
    };
    question q = {0};
    return handle(context, request, fields, sizeof fields / sizeof *fields, &q, reply);
}

tfn_route_outcome tfn_handle_materialize_incremental(tfn_context *context,
                                                     const tfn_request *request, tfn_reply *reply)
{
    static const tfn_body_field fields[] = {
        {"end_ts", TFN_BODY_TEXT, true, false},
        {"feature_views", TFN_BODY_LIST_OF_TEXT, false, true},
        {"full_feature_names", TFN_BODY_BOOL, false, false},
        {"version", TFN_BODY_TEXT, false, true},
    };
    question q = {.is_incremental = true};
    return handle(context, request, fields, sizeof fields / sizeof *fields, &q, reply);
}
