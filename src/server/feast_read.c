/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

/*
 * POST /get-online-features (docs/formats/server-protocol.md, "Lookups").
 *
 * The answer is written column by column: {"results":[{"values","statuses","event_timestamps"},
 * ...],"metadata":{"feature_names"}}, key columns first in the order of the request, then the
 * features in the order asked. Event times are those of a row of a view, so they are written once
 * per view and copied, as bytes, for the view's next column.
 */

#include "base/json.h"
#include "server/ask.h"
#include "server/feast_protocol.h"

#include "base/poison.h"

static const tfn_body_field body_fields[] = {
    {.name = "entities", .kind = TFN_BODY_OBJECT_OF_LISTS, .is_required = true},
    {.name = "feature_service", .kind = TFN_BODY_TEXT, .is_nullable = true},
    {.name = "features", .kind = TFN_BODY_LIST_OF_TEXT},
    {.name = "full_feature_names", .kind = TFN_BODY_BOOL},
    {.name = "include_feature_view_version_metadata", .kind = TFN_BODY_BOOL},
};

static const tfn_request_form form = {.fields = body_fields,
                                      .n_fields = sizeof body_fields / sizeof *body_fields};

/* ---- the request ---- */

static tfn_code read_features(yyjson_val *list, tfn_arena *arena, tfn_asked *asked, tfn_error *err)
{
    size_t i = 0;
    size_t n = 0;
    yyjson_val *item = NULL;
    void *p = NULL;
    TFN_RETURN_IF_ERROR(tfn_arena_alloc(arena, yyjson_arr_size(list), sizeof(tfn_str), &p, err));
    tfn_str *features = p;
    yyjson_arr_foreach(list, i, n, item)
    {
        features[i] = tfn_json_get_str(item);
    }
    asked->features = features;
    asked->n_features = n;
    return TFN_OK;
}

static tfn_code read_columns(yyjson_val *entities, tfn_arena *arena, tfn_ask *ask, tfn_error *err)
{
    size_t i = 0;
    size_t n = 0;
    yyjson_val *key = NULL;
    yyjson_val *items = NULL;
    void *p = NULL;
    TFN_RETURN_IF_ERROR(
        tfn_arena_alloc(arena, yyjson_obj_size(entities), sizeof(tfn_ask_column), &p, err));
    ask->columns = p;
    yyjson_obj_foreach(entities, i, n, key, items)
    {
        ask->columns[i] = (tfn_ask_column){
            .name = tfn_json_get_str(key), .items = items, .n = yyjson_arr_size(items)};
    }
    ask->n_columns = n;
    ask->n_rows = n == 0 ? 0 : ask->columns[0].n;
    return TFN_OK;
}

static tfn_code read_ask(yyjson_val *root, tfn_arena *arena, tfn_ask *ask, tfn_error *err)
{
    const tfn_str service = tfn_json_get_member(root, "feature_service");
    *ask = (tfn_ask){0};
    ask->asked.full_names = yyjson_get_bool(yyjson_obj_get(root, "full_feature_names"));
    if (service.n > 0) {
        ask->asked.service = service;
    } else {
        TFN_RETURN_IF_ERROR(
            read_features(yyjson_obj_get(root, "features"), arena, &ask->asked, err));
        if (ask->asked.n_features == 0) {
            return TFN_FAIL(err, TFN_INVALID, "No features specified for retrieval");
        }
    }
    TFN_RETURN_IF_ERROR(read_columns(yyjson_obj_get(root, "entities"), arena, ask, err));
    if (ask->n_columns == 0) {
        return TFN_FAIL(err, TFN_INVALID,
                        "\"entities\" has no column; give at least one, as it says how many "
                        "entity rows there are");
    }
    return TFN_OK;
}

/* ---- errors ---- */

static tfn_str view_of(tfn_str feature)
{
    const char *colon = feature.n == 0 ? NULL : memchr(feature.p, ':', feature.n);
    return (tfn_str){feature.p, colon == NULL ? 0 : (size_t)(colon - feature.p)};
}

static bool has_twins(const tfn_asked *asked)
{
    for (size_t i = 0; i < asked->n_features; i++) {
        for (size_t k = 0; k < i; k++) {
            tfn_str a = asked->features[i];
            tfn_str b = asked->features[k];
            if (!asked->full_names) {
                const size_t n_a = view_of(a).n;
                const size_t n_b = view_of(b).n;
                a = (tfn_str){a.p + n_a, a.n - n_a};
                b = (tfn_str){b.p + n_b, b.n - n_b};
            }
            if (tfn_str_equal(a, b)) {
                return true;
            }
        }
    }
    return false;
}

/* As Feast: its own exceptions have a class, which the code alone does not tell. */
static void reply_failure(const tfn_context *context, const tfn_asked *asked, const tfn_error *err,
                          tfn_reply *reply)
{
    const tfn_str message = tfn_str_of(err->message);
    const tfn_missing missing = tfn_lookups_get_missing(context->lookups);
    reply->n_rows = 0;
    if (err->code == TFN_LIMIT) {
        tfn_reply_detail(reply, 413, "%s", err->message);
    } else if (err->code == TFN_NOT_FOUND && missing == TFN_MISSING_SERVICE) {
        tfn_feast_reply_exception(reply, 404, "FeatureServiceNotFoundException", message);
    } else if (err->code == TFN_NOT_FOUND && missing == TFN_MISSING_FEATURE) {
        tfn_feast_reply_exception(reply, 500, NULL, message);
    } else if (err->code == TFN_INVALID && has_twins(asked)) {
        tfn_feast_reply_exception(reply, 500, "FeatureNameCollisionError", message);
    } else {
        tfn_feast_reply_error(reply, err);
    }
}

/* ---- the answer ---- */

/* What is kept between the columns of one answer. */
typedef struct answer_text {
    tfn_ask_writer writer;
    tfn_buf *out;
    size_t times_at; /* where in `out` the times of the read `i_read` stand, and their length */
    size_t n_times;
    size_t i_read;
    bool has_times;
} answer_text;

/* A literal with its length. */
#define LITERAL(text)                                                                              \
    {                                                                                              \
        (text), sizeof(text) - 1                                                                   \
    }

static const tfn_str before_first = LITERAL("{\"values\":[");
static const tfn_str before_values = LITERAL(",{\"values\":[");
static const tfn_str before_statuses = LITERAL("],\"statuses\":[");
static const tfn_str before_times = LITERAL("],\"event_timestamps\":[");
static const tfn_str after_times = LITERAL("]}");

static char *put(char *to, tfn_str text)
{
    memcpy(to, text.p, text.n);
    return to + text.n;
}

static tfn_code write_statuses(answer_text *a, tfn_error *err)
{
    enum { MOST_BYTES = sizeof "\"OUTSIDE_MAX_AGE\"," };
    static const tfn_str names[] = {LITERAL("\"INVALID\","), LITERAL("\"PRESENT\","),
                                    LITERAL("\"NULL_VALUE\","), LITERAL("\"NOT_FOUND\","),
                                    LITERAL("\"OUTSIDE_MAX_AGE\",")};
    const size_t n_rows = a->writer.n_rows;
    char *to = NULL;
    TFN_RETURN_IF_ERROR(
        tfn_buf_add_room(a->out, before_statuses.n + n_rows * MOST_BYTES, &to, err));
    to = put(to, before_statuses);
    for (size_t i = 0; i < n_rows; i++) {
        to = put(to, names[a->writer.statuses[i]]);
    }
    tfn_json_end_room(a->out, n_rows == 0 ? to : to - 1); /* without the last comma */
    return TFN_OK;
}

/* Times of a column that has other rows than the one before. */
static tfn_code write_new_times(answer_text *a, size_t i_column, tfn_error *err)
{
    const size_t n_rows = a->writer.n_rows;
    const size_t n_most = n_rows * (TFN_JSON_TIME_BYTES + 1);
    char *to = NULL;
    TFN_RETURN_IF_ERROR(
        tfn_buf_add_room(a->out, before_times.n + n_most + after_times.n, &to, err));
    to = put(to, before_times);
    a->times_at = (size_t)(to - a->out->p);
    for (size_t i = 0; i < n_rows; i++) {
        to = tfn_json_put_time(to, tfn_answer_get_event_time(a->writer.answer, i, i_column));
        *to++ = ',';
    }
    to = n_rows == 0 ? to : to - 1;
    a->n_times = (size_t)(to - a->out->p) - a->times_at;
    tfn_json_end_room(a->out, put(to, after_times));
    return TFN_OK;
}

static tfn_code write_times(answer_text *a, size_t i_column, tfn_error *err)
{
    size_t i_read = SIZE_MAX; /* of keys, which have no times */
    (void)tfn_answer_get_view(a->writer.answer, i_column, &i_read);
    if (!a->has_times || a->i_read != i_read) {
        a->i_read = i_read;
        a->has_times = true;
        return write_new_times(a, i_column, err);
    }
    char *to = NULL;
    TFN_RETURN_IF_ERROR(
        tfn_buf_add_room(a->out, before_times.n + a->n_times + after_times.n, &to, err));
    to = put(to, before_times);
    to = put(to, (tfn_str){a->out->p + a->times_at, a->n_times});
    (void)put(to, after_times);
    return TFN_OK;
}

static tfn_code write_column(answer_text *a, size_t i_column, bool is_first, tfn_error *err)
{
    TFN_RETURN_IF_ERROR(tfn_buf_add_str(a->out, is_first ? before_first : before_values, err));
    TFN_RETURN_IF_ERROR(tfn_ask_write_column(&a->writer, i_column, err));
    TFN_RETURN_IF_ERROR(write_statuses(a, err));
    return write_times(a, i_column, err);
}

/* The answer's columns in the order in which they are told. */
static tfn_code order_columns(const tfn_ask *ask, const tfn_answer *answer, tfn_arena *arena,
                              size_t **out, tfn_error *err)
{
    const size_t n_columns = tfn_answer_get_n_columns(answer);
    void *p = NULL;
    TFN_RETURN_IF_ERROR(tfn_arena_alloc(arena, n_columns, sizeof(size_t), &p, err));
    size_t *order = p;
    size_t n = 0;
    for (size_t i = 0; i < ask->n_columns && n < tfn_answer_get_n_keys(answer); i++) {
        const int64_t i_key = tfn_ask_find_key(answer, ask->columns[i].name);
        if (i_key >= 0) {
            order[n++] = (size_t)i_key;
        }
    }
    for (size_t i = tfn_answer_get_n_keys(answer); i < n_columns; i++) {
        order[n++] = i;
    }
    *out = order;
    return TFN_OK;
}

static tfn_code write_names(tfn_buf *out, const tfn_answer *answer, const size_t *order,
                            tfn_error *err)
{
    const size_t n_columns = tfn_answer_get_n_columns(answer);
    TFN_RETURN_IF_ERROR(tfn_buf_add_text(out, "],\"metadata\":{\"feature_names\":[", err));
    for (size_t i = 0; i < n_columns; i++) {
        const char *name = tfn_answer_get_name(answer, order[i]);
        TFN_RETURN_IF_ERROR(tfn_buf_add(out, ",", i == 0 ? 0 : 1, err));
        TFN_RETURN_IF_ERROR(tfn_json_write_text(out, tfn_str_of(name), err));
    }
    return tfn_buf_add_text(out, "]", err);
}

/* Views have no versions here, so each is its name: what Feast gives for a view of version 0. */
static tfn_code write_views(tfn_buf *out, const tfn_answer *answer, tfn_error *err)
{
    const size_t n_columns = tfn_answer_get_n_columns(answer);
    size_t n = 0;
    TFN_RETURN_IF_ERROR(tfn_buf_add_text(out, ",\"feature_view_metadata\":[", err));
    for (size_t i = tfn_answer_get_n_keys(answer); i < n_columns; i++) {
        const char *view = tfn_answer_get_view(answer, i, NULL);
        bool is_told = false;
        for (size_t k = tfn_answer_get_n_keys(answer); k < i && !is_told; k++) {
            is_told = tfn_answer_get_view(answer, k, NULL) == view;
        }
        if (!is_told) {
            TFN_RETURN_IF_ERROR(
                tfn_buf_add_text(out, n++ == 0 ? "{\"name\":" : ",{\"name\":", err));
            TFN_RETURN_IF_ERROR(tfn_json_write_text(out, tfn_str_of(view), err));
            TFN_RETURN_IF_ERROR(tfn_buf_add_text(out, "}", err));
        }
    }
    return tfn_buf_add_text(out, "]", err);
}

static tfn_code write_answer(tfn_context *context, const tfn_ask *ask, const tfn_answer *answer,
                             bool with_views, tfn_buf *out, tfn_error *err)
{
    answer_text a = {.out = out};
    size_t *order = NULL;
    TFN_RETURN_IF_ERROR(
        tfn_ask_begin_writing(context, answer, out, TFN_JSON_TIME_SECONDS, &a.writer, err));
    TFN_RETURN_IF_ERROR(order_columns(ask, answer, &context->arena, &order, err));
    TFN_RETURN_IF_ERROR(tfn_buf_add_text(out, "{\"results\":[", err));
    for (size_t i = 0; i < tfn_answer_get_n_columns(answer); i++) {
        TFN_RETURN_IF_ERROR(write_column(&a, order[i], i == 0, err));
    }
    tfn_ask_end_writing(&a.writer);
    TFN_RETURN_IF_ERROR(write_names(out, answer, order, err));
    if (with_views) {
        TFN_RETURN_IF_ERROR(write_views(out, answer, err));
    }
    return tfn_buf_add_text(out, "}}", err);
}

/* ---- the handler ---- */

static void answer_request(tfn_context *context, const tfn_request *request, yyjson_val *root,
                           tfn_reply *reply, tfn_route_outcome *outcome)
{
    const bool with_views =
        yyjson_get_bool(yyjson_obj_get(root, "include_feature_view_version_metadata"));
    tfn_ask ask = {0};
    tfn_answer *answer = NULL;
    const char *on_demand = NULL;
    tfn_error err = {0};
    tfn_code rc = read_ask(root, &context->arena, &ask, &err);
    if (rc == TFN_OK) {
        rc = tfn_ask_run(context, &ask, &on_demand, &answer, &err);
    }
    if (rc == TFN_OK && on_demand != NULL) {
        *outcome = tfn_ask_leave_to_python(context, request, on_demand, reply, &err);
        rc = err.code;
    } else if (rc == TFN_OK) {
        reply->status = 200;
        reply->content_type = NULL;
        reply->n_rows = (uint32_t)ask.n_rows;
        rc = write_answer(context, &ask, answer, with_views, &reply->body, &err);
        rc = tfn_reply_name_limit(context->shared->config, rc, &err);
    }
    if (rc != TFN_OK) {
        reply_failure(context, &ask.asked, &err, reply);
    } else if (answer != NULL) {
        tfn_ask_log(context, &ask, answer);
    }
    tfn_answer_destroy(answer);
}

tfn_route_outcome tfn_handle_get_online_features(tfn_context *context, const tfn_request *request,
                                                 tfn_reply *reply)
{
    yyjson_val *root = NULL;
    tfn_route_outcome outcome = TFN_ROUTE_DONE;
    if (context->shared->lookups_block && !context->may_block) {
        return TFN_ROUTE_LATER;
    }
    if (tfn_feast_read_request(context, request, &form, &root, reply)) {
        answer_request(context, request, root, reply, &outcome);
    }
    return outcome;
}
