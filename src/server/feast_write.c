/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

/*
 * POST /push and POST /write-to-online-store: rows that a client has in hand go online.
 *
 *   body -> df: JSON columns -> Arrow (frame_json.c), by the declared types of the views (targets.c)
 *        -> tfn_store_begin_push: everything checked -> tfn_push_commit -> the answer
 *
 * An answer leaves once every process on this machine reads the rows. Nothing of a refused request
 * is written. What goes to files as well goes to the Python process: files are the SDK's.
 *
 * Statuses are Feast's: what pandas or the engine would not take is an exception there, so a 500
 * with a sentence; an unknown push source is 422, an unknown view 404.
 */

#include "base/json.h"
#include "base/time.h"
#include "server/feast_protocol.h"
#include "server/host.h"
#include "server/metrics.h"
#include "server/targets.h"

#include "base/poison.h"

/* ---- what was written ---- */

/* Newest event time of a frame that was written; INT64_MIN: none is known. */
static int64_t newest_us(yyjson_val *df, tfn_str time_column)
{
    int64_t newest = INT64_MIN;
    yyjson_arr_iter values = {0};
    (void)yyjson_arr_iter_init(yyjson_obj_getn(df, time_column.p, time_column.n), &values);
    for (yyjson_val *v = yyjson_arr_iter_next(&values); v != NULL;
         v = yyjson_arr_iter_next(&values)) {
        tfn_instant t = {0};
        if (yyjson_is_str(v) && tfn_instant_parse(tfn_json_get_str(v), &t, NULL) == TFN_OK) {
            const int64_t us = tfn_instant_to(t, TFN_UNIT_US);
            newest = us > newest ? us : newest;
        }
    }
    return newest;
}

/* Every view of a push takes every row; one that is older than what is there counts, too. */
static void count_written(tfn_context *context, const tfn_target *to, yyjson_val *df,
                          uint32_t n_rows)
{
    const int64_t newest = newest_us(df, to->time_column);
    for (size_t i = 0; i < to->n_views; i++) {
        tfn_counters_add_written(context->counters, to->views[i], n_rows, newest);
    }
}

/* ---- writing ---- */

static tfn_code commit(tfn_context *context, const tfn_target *to, struct ArrowArrayStream *frame,
                       tfn_error *err)
{
    tfn_push *push = NULL;
    char *report = NULL;
    const tfn_code rc =
        tfn_store_begin_push(context->shared->store, &to->request, frame, &push, err);
    if (frame->release != NULL) {
        frame->release(frame);
    }
    TFN_RETURN_IF_ERROR(rc);
    TFN_RETURN_IF_ERROR(tfn_push_commit(push, &report, err));
    tfn_text_destroy(report);
    return TFN_OK;
}

/* Is it the store, not the request, that is to blame? */
static bool is_of_store(tfn_code code)
{
    return code == TFN_IO || code == TFN_CORRUPT || code == TFN_UNAVAILABLE ||
           code == TFN_NO_MEMORY;
}

static tfn_code write_frame(tfn_context *context, const tfn_target *to, yyjson_val *df,
                            tfn_reply *reply, tfn_error *err)
{
    struct ArrowArrayStream frame;
    int64_t n_rows = 0;
    TFN_RETURN_IF_ERROR(
        tfn_frame_json_read(df, to->declared, to->n_declared, &frame, &n_rows, err));
    const tfn_code rc = commit(context, to, &frame, err);
    if (is_of_store(rc)) {
        tfn_counters_add_store_error(context->counters, rc);
    }
    if (rc == TFN_OK) {
        reply->n_rows = (uint32_t)n_rows; /* a body of 4 GiB would be needed for more */
        count_written(context, to, df, reply->n_rows);
    }
    return rc;
}

/* A name of the body; one with a NUL would be cut to another. */
static tfn_code read_name(yyjson_val *root, const char *member, const char **out, tfn_error *err)
{
    const tfn_str name = tfn_json_get_member(root, member);
    *out = name.p;
    return memchr(name.p, '\0', name.n) == NULL
               ? TFN_OK
               : TFN_FAIL(err, TFN_NOT_FOUND, "%s has a NUL character; no name has one", member);
}

/* ---- POST /push ---- */

typedef enum push_to { PUSH_ONLINE = 0, PUSH_FILES = 1, PUSH_NOWHERE = 2 } push_to;

static push_to read_to(yyjson_val *root)
{
    yyjson_val *to = yyjson_obj_get(root, "to");
    if (to == NULL || tfn_str_is(tfn_json_get_str(to), "online")) {
        return PUSH_ONLINE;
    }
    const tfn_str text = tfn_json_get_str(to);
    const bool is_files = tfn_str_is(text, "offline") || tfn_str_is(text, "online_and_offline");
    return is_files ? PUSH_FILES : PUSH_NOWHERE;
}

static void refuse_to(yyjson_val *root, tfn_reply *reply)
{
    tfn_error said = {0};
    (void)TFN_FAIL(&said, TFN_INVALID,
                   "%.*s is not a supported push format. Please specify one of these ['online', "
                   "'offline', 'online_and_offline'].",
                   TFN_STR_ARG(tfn_json_get_member(root, "to")));
    tfn_feast_reply_error(reply, &said);
}

static void refuse_files(tfn_reply *reply)
{
    tfn_error said = {0};
    (void)TFN_FAIL(&said, TFN_UNSUPPORTED,
                   "this server runs without Python and cannot write to offline stores; push with "
                   "to 'online', or start it with --python (`tiffin serve` does)");
    tfn_feast_reply_error(reply, &said);
}

/* Python wrote to files, and online if that was asked for; rows are counted here. */
static void push_by_python(tfn_context *context, const tfn_request *request, yyjson_val *root,
                           tfn_reply *reply)
{
    const bool is_online = !tfn_str_is(tfn_json_get_member(root, "to"), "offline");
    const char *name = NULL;
    const tfn_target *to = NULL;
    tfn_error err = {0};
    tfn_host_run(context, request, reply);
    if (reply->status != 200 || !is_online) {
        return;
    }
    tfn_code rc = read_name(root, "push_source_name", &name, &err);
    if (rc == TFN_OK) {
        rc = tfn_targets_get_source(context, name, &to, &err);
    }
    if (rc == TFN_OK) {
        count_written(context, to, yyjson_obj_get(root, "df"), reply->n_rows);
    } else { /* the rows are there all the same; that they are not counted is */
        tfn_counters_add_store_error(context->counters, rc);
    }
}

static tfn_code push_online(tfn_context *context, yyjson_val *root, tfn_reply *reply,
                            tfn_error *err)
{
    const char *name = NULL;
    const tfn_target *to = NULL;
    TFN_RETURN_IF_ERROR(read_name(root, "push_source_name", &name, err));
    TFN_RETURN_IF_ERROR(tfn_targets_get_source(context, name, &to, err));
    return write_frame(context, to, yyjson_obj_get(root, "df"), reply, err);
}

static void reply_nothing(tfn_reply *reply)
{
    tfn_buf_clear(&reply->body);
    reply->status = 200;
}

tfn_route_outcome tfn_handle_push(tfn_context *context, const tfn_request *request,
                                  tfn_reply *reply)
{
    static const tfn_body_field fields[] = {
        {"push_source_name", TFN_BODY_TEXT, true, false},      {"df", TFN_BODY_OBJECT, true, false},
        {"allow_registry_cache", TFN_BODY_BOOL, false, false}, {"to", TFN_BODY_TEXT, false, false},
        {"transform_on_write", TFN_BODY_BOOL, false, false},
    };
    yyjson_val *root = NULL;
    if (!context->may_block) {
        return TFN_ROUTE_LATER;
    }
    const tfn_request_form form = {.fields = fields, .n_fields = sizeof fields / sizeof *fields};
    if (!tfn_feast_read_request(context, request, &form, &root, reply)) {
        return TFN_ROUTE_DONE;
    }
    const push_to to = read_to(root);
    if (to == PUSH_NOWHERE) {
        refuse_to(root, reply);
    } else if (to == PUSH_FILES && !context->shared->has_python) {
        refuse_files(reply);
    } else if (to == PUSH_FILES) {
        push_by_python(context, request, root, reply);
    } else {
        tfn_error err = {0};
        const tfn_code rc = push_online(context, root, reply, &err);
        if (rc == TFN_OK) {
            reply_nothing(reply);
        } else if (rc == TFN_NOT_FOUND) {
            tfn_feast_reply_exception(reply, 422, "PushSourceNotFoundException",
                                      tfn_str_of(err.message));
        } else {
            tfn_feast_reply_error(reply, &err);
        }
    }
    return TFN_ROUTE_DONE;
}

/* ---- POST /write-to-online-store ---- */

static tfn_code write_online(tfn_context *context, yyjson_val *root, tfn_reply *reply,
                             tfn_error *err)
{
    tfn_target nothing = {.request = {.struct_size = sizeof nothing.request}};
    const tfn_target *to = &nothing;
    tfn_error why = {0};
    TFN_RETURN_IF_ERROR(read_name(root, "feature_view_name", &nothing.request.view, err));
    const tfn_code rc = tfn_targets_get_view(context, nothing.request.view, &to, &why);
    if (rc == TFN_NOT_FOUND) { /* the push says so too, and better: it knows on-demand views */
        to = &nothing;
    } else if (rc != TFN_OK) {
        return tfn_error_move(err, &why);
    }
    TFN_RETURN_IF_ERROR(write_frame(context, to, yyjson_obj_get(root, "df"), reply, err));
    return tfn_buf_add_text(&reply->body, "null", err);
}

tfn_route_outcome tfn_handle_write_to_online_store(tfn_context *context, const tfn_request *request,
                                                   tfn_reply *reply)
{
    static const tfn_body_field fields[] = {
        {"feature_view_name", TFN_BODY_TEXT, true, false},
        {"df", TFN_BODY_OBJECT, true, false},
        {"allow_registry_cache", TFN_BODY_BOOL, false, false},
        {"transform_on_write", TFN_BODY_BOOL, false, false},
    };
    yyjson_val *root = NULL;
    if (!context->may_block) {
        return TFN_ROUTE_LATER;
    }
    const tfn_request_form form = {.fields = fields, .n_fields = sizeof fields / sizeof *fields};
    if (!tfn_feast_read_request(context, request, &form, &root, reply)) {
        return TFN_ROUTE_DONE;
    }
    tfn_error err = {0};
    const tfn_code rc = write_online(context, root, reply, &err);
    if (rc == TFN_OK) {
        reply->status = 200;
    } else if (rc == TFN_NOT_FOUND) { /* Feast looks for views of all kinds here */
        tfn_feast_reply_exception(reply, 404, "FeastObjectNotFoundException",
                                  tfn_str_of(err.message));
    } else {
        tfn_feast_reply_error(reply, &err);
    }
    return TFN_ROUTE_DONE;
}
