/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

/*
 * POST /push and POST /write-to-online-store: rows that a client has in hand go online.
 *
 *   body -> df: JSON columns -> Arrow (frame_json.c), by the declared types of the views
 *        -> tfn_store_begin_push: everything checked -> tfn_push_commit -> the answer
 *
 * An answer leaves once every process on this machine reads the rows. Nothing of a refused request
 * is written. What goes to files as well goes to the Python process: files are the SDK's.
 *
 * Statuses are Feast's: what pandas or the engine would not take is an exception there, so a 500
 * with a sentence; an unknown push source is 422, an unknown view 404.
 *
 * Rejected: keeping the declared types between requests. Reading them costs some microseconds per
 * view, a write to LMDB has its fsync, and what is kept would have to follow every apply.
 */

#include "base/json.h"
#include "base/time.h"
#include "server/feast_protocol.h"
#include "server/frame_json.h"
#include "server/host.h"
#include "server/metrics.h"

#include "base/poison.h"

/* What a request writes to, and what its columns mean. */
typedef struct target {
    tfn_push_request request;
    tfn_declared *declared; /* in the context's arena, as all texts here */
    size_t n_declared;
    size_t capacity;
    tfn_str time_column; /* event time; empty: not known */
} target;

/* ---- definitions ---- */

static tfn_code get_document(tfn_store *store, const char *kind, const char *name, yyjson_doc **out,
                             tfn_error *err)
{
    char *text = NULL;
    *out = NULL;
    TFN_RETURN_IF_ERROR(tfn_store_get(store, kind, name, -1, &text, err));
    const tfn_code rc = tfn_json_parse(tfn_str_of(text), "a definition", out, err);
    tfn_text_destroy(text);
    return rc;
}

/* Kinds whose values JSON has no form of its own for; TFN_VALUE_NULL: any other. */
static tfn_value_kind kind_of(tfn_str dtype)
{
    static const struct {
        const char *name, *list;
        tfn_value_kind kind;
    } kinds[] = {{"bytes", "array<bytes>", TFN_VALUE_BYTES},
                 {"timestamp", "array<timestamp>", TFN_VALUE_TIMESTAMP},
                 {"date", "array<date>", TFN_VALUE_DATE}};
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        if (tfn_str_is(dtype, kinds[i].name) || tfn_str_is(dtype, kinds[i].list)) {
            return kinds[i].kind;
        }
    }
    return TFN_VALUE_NULL;
}

static tfn_code declare(tfn_arena *arena, target *to, tfn_str name, tfn_value_kind kind,
                        tfn_error *err)
{
    if (to->n_declared == to->capacity) {
        void *p = NULL;
        const size_t capacity = to->capacity * 2 + 8;
        TFN_RETURN_IF_ERROR(tfn_arena_alloc(arena, capacity, sizeof(tfn_declared), &p, err));
        if (to->n_declared > 0) {
            memcpy(p, to->declared, to->n_declared * sizeof(tfn_declared));
        }
        to->declared = p;
        to->capacity = capacity;
    }
    const char *copy = NULL;
    TFN_RETURN_IF_ERROR(tfn_arena_copy(arena, name.p, name.n, &copy, err));
    to->declared[to->n_declared++] = (tfn_declared){{copy, name.n}, kind};
    return TFN_OK;
}

/* Fields of a view whose values are written as texts or numbers of another kind. */
static tfn_code declare_fields(tfn_arena *arena, target *to, yyjson_val *view, tfn_error *err)
{
    yyjson_arr_iter fields = {0};
    (void)yyjson_arr_iter_init(yyjson_obj_get(view, "schema"), &fields);
    for (yyjson_val *field = yyjson_arr_iter_next(&fields); field != NULL;
         field = yyjson_arr_iter_next(&fields)) {
        const tfn_value_kind kind = kind_of(tfn_json_get_member(field, "dtype"));
        if (kind != TFN_VALUE_NULL) {
            TFN_RETURN_IF_ERROR(declare(arena, to, tfn_json_get_member(field, "name"), kind, err));
        }
    }
    return TFN_OK;
}

/* A frame may call a feature as the files do: such a column means what the feature means. */
static tfn_code declare_mapped(tfn_arena *arena, target *to, yyjson_val *source, tfn_error *err)
{
    const size_t n = to->n_declared;
    yyjson_obj_iter names = {0};
    (void)yyjson_obj_iter_init(yyjson_obj_get(source, "field_mapping"), &names);
    for (yyjson_val *key = yyjson_obj_iter_next(&names); key != NULL;
         key = yyjson_obj_iter_next(&names)) {
        const tfn_str feature = tfn_json_get_str(yyjson_obj_iter_get_val(key));
        for (size_t i = 0; i < n; i++) {
            if (tfn_str_equal(to->declared[i].name, feature)) {
                TFN_RETURN_IF_ERROR(
                    declare(arena, to, tfn_json_get_str(key), to->declared[i].kind, err));
                break;
            }
        }
    }
    return TFN_OK;
}

/* What a source of files, or the one behind a push source, says of columns. */
static tfn_code read_source(tfn_context *context, const char *name, target *to, tfn_error *err)
{
    yyjson_doc *doc = NULL;
    TFN_RETURN_IF_ERROR(get_document(context->shared->store, "data_source", name, &doc, err));
    const char *batch = yyjson_get_str(yyjson_obj_get(yyjson_doc_get_root(doc), "batch_source"));
    yyjson_doc *files = NULL;
    tfn_code rc = TFN_OK;
    if (batch != NULL) {
        rc = get_document(context->shared->store, "data_source", batch, &files, err);
    }
    yyjson_val *source = yyjson_doc_get_root(files != NULL ? files : doc);
    if (rc == TFN_OK) {
        rc = declare_mapped(&context->arena, to, source, err);
    }
    if (rc == TFN_OK) {
        const tfn_str column = tfn_json_get_member(source, "timestamp_field");
        rc = tfn_arena_copy(&context->arena, column.p, column.n, &to->time_column.p, err);
        to->time_column.n = rc == TFN_OK ? column.n : 0;
    }
    yyjson_doc_free(files);
    yyjson_doc_free(doc);
    return rc;
}

static tfn_code read_view(tfn_context *context, target *to, tfn_error *err)
{
    yyjson_doc *doc = NULL;
    const tfn_code found =
        get_document(context->shared->store, "feature_view", to->request.view, &doc, err);
    if (found != TFN_OK) {
        return found;
    }
    yyjson_val *view = yyjson_doc_get_root(doc);
    tfn_code rc = declare_fields(&context->arena, to, view, err);
    const char *source = yyjson_get_str(yyjson_obj_get(view, "source"));
    if (rc == TFN_OK && source != NULL) {
        rc = read_source(context, source, to, err);
    }
    yyjson_doc_free(doc);
    return rc;
}

static tfn_code declare_views(tfn_arena *arena, target *to, yyjson_val *views, tfn_error *err)
{
    yyjson_arr_iter iter = {0};
    (void)yyjson_arr_iter_init(views, &iter);
    for (yyjson_val *view = yyjson_arr_iter_next(&iter); view != NULL;
         view = yyjson_arr_iter_next(&iter)) {
        if (tfn_str_is(tfn_json_get_member(view, "source"), to->request.source)) {
            TFN_RETURN_IF_ERROR(declare_fields(arena, to, view, err));
        }
    }
    return TFN_OK;
}

static tfn_code read_push_source(tfn_context *context, target *to, tfn_error *err)
{
    char *text = NULL;
    yyjson_doc *doc = NULL;
    TFN_RETURN_IF_ERROR(
        tfn_store_list(context->shared->store, "feature_view", NULL, -1, &text, err));
    tfn_code rc = tfn_json_parse(tfn_str_of(text), "the feature views", &doc, err);
    if (rc == TFN_OK) {
        rc = declare_views(&context->arena, to, yyjson_doc_get_root(doc), err);
    }
    if (rc == TFN_OK) {
        rc = read_source(context, to->request.source, to, err);
    }
    yyjson_doc_free(doc);
    tfn_text_destroy(text);
    return rc;
}

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

/* Every view of a push takes every row. */
static tfn_code count_written(tfn_context *context, const char *report, int64_t n_rows,
                              int64_t newest, tfn_error *err)
{
    yyjson_doc *doc = NULL;
    TFN_RETURN_IF_ERROR(tfn_json_parse(tfn_str_of(report), "the report of a push", &doc, err));
    yyjson_arr_iter views = {0};
    (void)yyjson_arr_iter_init(yyjson_obj_get(yyjson_doc_get_root(doc), "views"), &views);
    for (yyjson_val *view = yyjson_arr_iter_next(&views); view != NULL;
         view = yyjson_arr_iter_next(&views)) {
        tfn_counters_add_written(context->counters, tfn_json_get_str(view), (uint64_t)n_rows,
                                 newest);
    }
    yyjson_doc_free(doc);
    return TFN_OK;
}

/* ---- writing ---- */

static tfn_code commit(tfn_context *context, const target *to, struct ArrowArrayStream *frame,
                       char **report, tfn_error *err)
{
    tfn_push *push = NULL;
    *report = NULL;
    const tfn_code rc =
        tfn_store_begin_push(context->shared->store, &to->request, frame, &push, err);
    if (frame->release != NULL) {
        frame->release(frame);
    }
    return rc == TFN_OK ? tfn_push_commit(push, report, err) : rc;
}

/* Is it the store, not the request, that is to blame? */
static bool is_of_store(tfn_code code)
{
    return code == TFN_IO || code == TFN_CORRUPT || code == TFN_UNAVAILABLE ||
           code == TFN_NO_MEMORY;
}

static tfn_code write_frame(tfn_context *context, const target *to, yyjson_val *df,
                            tfn_reply *reply, tfn_error *err)
{
    struct ArrowArrayStream frame;
    int64_t n_rows = 0;
    char *report = NULL;
    TFN_RETURN_IF_ERROR(
        tfn_frame_json_read(df, to->declared, to->n_declared, &frame, &n_rows, err));
    tfn_code rc = commit(context, to, &frame, &report, err);
    if (is_of_store(rc)) {
        tfn_counters_add_store_error(context->counters, rc);
    }
    if (rc == TFN_OK) {
        reply->n_rows = (uint32_t)n_rows; /* a body of 4 GiB would be needed for more */
        rc = count_written(context, report, n_rows, newest_us(df, to->time_column), err);
    }
    tfn_text_destroy(report);
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

static tfn_code push_online(tfn_context *context, yyjson_val *root, tfn_reply *reply,
                            tfn_error *err)
{
    target to = {.request = {.struct_size = sizeof to.request}};
    TFN_RETURN_IF_ERROR(read_name(root, "push_source_name", &to.request.source, err));
    TFN_RETURN_IF_ERROR(read_push_source(context, &to, err));
    return write_frame(context, &to, yyjson_obj_get(root, "df"), reply, err);
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
        tfn_host_run(context, request, reply);
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
    target to = {.request = {.struct_size = sizeof to.request}};
    TFN_RETURN_IF_ERROR(read_name(root, "feature_view_name", &to.request.view, err));
    tfn_error of_name = {0};
    const tfn_code rc = read_view(context, &to, &of_name);
    if (rc != TFN_OK && rc != TFN_NOT_FOUND) {
        return tfn_error_move(err, &of_name);
    }
    /* Not found: the push says so too, and better, because it knows on-demand views as well. */
    TFN_RETURN_IF_ERROR(write_frame(context, &to, yyjson_obj_get(root, "df"), reply, err));
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
