/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

/*
 * The lean form of lookups (docs/server-api.md): what Feast's form says, in the fewest bytes.
 *
 *   GET  /v1/features/{service}?driver_id=1&driver_id=2
 *   POST /v1/features  {"service" or "features", "entities": {column: [...]}, ...}
 *   ->   {"names":[...],"columns":[[...],...],"statuses":[[1,1,3],...]}
 *
 * One array per feature, none for the keys, which the caller has. It is stricter than Feast's form:
 * a member or a column that means nothing is an error, because it is most likely a slip.
 */

#include <math.h>

#include "base/json.h"
#include "base/time.h"
#include "server/ask.h"
#include "server/json_read.h"
#include "server/lean.h"
#include "server/query.h"

#include "base/poison.h"

enum { MOST_PARAMETERS = 64 /* of different names in a query */ };

/* What an answer has beside names and columns. */
typedef struct lean_parts {
    bool statuses;
    bool event_times;
} lean_parts;

typedef struct lean_ask {
    tfn_ask ask;
    lean_parts parts;
} lean_ask;

static void init_ask(lean_ask *lean)
{
    *lean = (lean_ask){.parts = {.statuses = true}, .ask = {.is_strict = true}};
}

/* ---- settings that both ways of asking have ---- */

static tfn_code read_part(tfn_str word, lean_parts *parts, tfn_error *err)
{
    if (tfn_str_is(word, "statuses")) {
        parts->statuses = true;
    } else if (tfn_str_is(word, "event_times")) {
        parts->event_times = true;
    } else {
        return TFN_FAIL(err, TFN_INVALID,
                        "\"with\" names '%.*s'; there are \"statuses\" and \"event_times\"",
                        TFN_STR_ARG(word));
    }
    return TFN_OK;
}

static tfn_code set_max_age(double seconds, tfn_ask *ask, tfn_error *err)
{
    static const double us_per_second = 1e6;
    static const double most_seconds = 9e12; /* in microseconds it still is an int64 */
    if (!(seconds > 0 && seconds <= most_seconds)) {
        return TFN_FAIL(err, TFN_INVALID, "max_age_seconds is %g; give seconds above 0, up to 9e12",
                        seconds);
    }
    const double us = ceil(seconds * us_per_second);
    ask->max_age_us = (int64_t)us;
    return TFN_OK;
}

/* ---- POST: a body ---- */

static const char *get_type_word(yyjson_val *value)
{
    return value == NULL ? "missing" : yyjson_get_type_desc(value);
}

static tfn_code read_features(yyjson_val *list, tfn_arena *arena, tfn_asked *asked, tfn_error *err)
{
    size_t i = 0;
    size_t n = 0;
    yyjson_val *item = NULL;
    void *p = NULL;
    if (!yyjson_is_arr(list)) {
        return TFN_FAIL(err, TFN_INVALID,
                        "\"features\" is %s; give a list of texts \"view:feature\"",
                        get_type_word(list));
    }
    TFN_RETURN_IF_ERROR(tfn_arena_alloc(arena, yyjson_arr_size(list), sizeof(tfn_str), &p, err));
    tfn_str *features = p;
    yyjson_arr_foreach(list, i, n, item)
    {
        if (!yyjson_is_str(item)) {
            return TFN_FAIL(err, TFN_INVALID,
                            "item %zu of \"features\" is %s; give texts \"view:feature\"", i,
                            get_type_word(item));
        }
        features[i] = tfn_json_get_str(item);
    }
    asked->features = features;
    asked->n_features = n;
    return TFN_OK;
}

static tfn_code read_entities(yyjson_val *entities, tfn_arena *arena, tfn_ask *ask, tfn_error *err)
{
    size_t i = 0;
    size_t n = 0;
    yyjson_val *key = NULL;
    yyjson_val *items = NULL;
    void *p = NULL;
    if (!yyjson_is_obj(entities)) {
        return TFN_FAIL(err, TFN_INVALID,
                        "\"entities\" is %s; give an object with a list for each join key",
                        get_type_word(entities));
    }
    TFN_RETURN_IF_ERROR(
        tfn_arena_alloc(arena, yyjson_obj_size(entities), sizeof(tfn_ask_column), &p, err));
    ask->columns = p;
    yyjson_obj_foreach(entities, i, n, key, items)
    {
        if (!yyjson_is_arr(items)) {
            return TFN_FAIL(err, TFN_INVALID, "\"%.*s\" of \"entities\" is %s; give a list",
                            TFN_STR_ARG(tfn_json_get_str(key)), get_type_word(items));
        }
        ask->columns[i] = (tfn_ask_column){
            .name = tfn_json_get_str(key), .items = items, .n = yyjson_arr_size(items)};
    }
    ask->n_columns = n;
    ask->n_rows = n == 0 ? 1 : ask->columns[0].n;
    return TFN_OK;
}

static tfn_code read_with(yyjson_val *list, lean_parts *parts, tfn_error *err)
{
    size_t i = 0;
    size_t n = 0;
    yyjson_val *item = NULL;
    if (!yyjson_is_arr(list)) {
        return TFN_FAIL(err, TFN_INVALID,
                        "\"with\" is %s; give a list of \"statuses\" and \"event_times\"",
                        get_type_word(list));
    }
    *parts = (lean_parts){0};
    yyjson_arr_foreach(list, i, n, item)
    {
        TFN_RETURN_IF_ERROR(read_part(tfn_json_get_str(item), parts, err));
    }
    return TFN_OK;
}

static tfn_code read_member(tfn_str name, yyjson_val *value, tfn_arena *arena, lean_ask *lean,
                            tfn_error *err)
{
    tfn_ask *ask = &lean->ask;
    if (tfn_str_is(name, "entities")) {
        return read_entities(value, arena, ask, err);
    }
    if (tfn_str_is(name, "features")) {
        return read_features(value, arena, &ask->asked, err);
    }
    if (tfn_str_is(name, "service") && yyjson_is_str(value)) {
        ask->asked.service = tfn_json_get_str(value);
        return TFN_OK;
    }
    if (tfn_str_is(name, "full_feature_names") && yyjson_is_bool(value)) {
        ask->asked.full_names = yyjson_get_bool(value);
        return TFN_OK;
    }
    if (tfn_str_is(name, "max_age_seconds") && yyjson_is_num(value)) {
        return set_max_age(yyjson_get_num(value), ask, err);
    }
    if (tfn_str_is(name, "with")) {
        return read_with(value, &lean->parts, err);
    }
    return TFN_FAIL(
        err, TFN_INVALID,
        "the request has \"%.*s\", %s; it may have \"service\" (a text) or \"features\", "
        "\"entities\", \"full_feature_names\" (true or false), \"max_age_seconds\" (a "
        "number) and \"with\"",
        TFN_STR_ARG(name), get_type_word(value));
}

static tfn_code read_body(tfn_str body, tfn_arena *arena, lean_ask *lean, tfn_error *err)
{
    yyjson_val *root = NULL;
    yyjson_read_err problem = {0};
    size_t i = 0;
    size_t n = 0;
    yyjson_val *key = NULL;
    yyjson_val *value = NULL;
    init_ask(lean);
    lean->ask.n_rows = 1;
    if (!tfn_json_read(arena, body, &root, &problem)) {
        return problem.code == YYJSON_READ_ERROR_MEMORY_ALLOCATION
                   ? TFN_FAIL(err, TFN_NO_MEMORY,
                              "the request could not be read: memory is "
                              "exhausted")
                   : TFN_FAIL(err, TFN_INVALID, "the request is not JSON: %s at byte %zu",
                              problem.msg, problem.pos);
    }
    if (!yyjson_is_obj(root)) {
        return TFN_FAIL(err, TFN_INVALID, "the request is JSON of type %s; give an object",
                        get_type_word(root));
    }
    yyjson_obj_foreach(root, i, n, key, value)
    {
        TFN_RETURN_IF_ERROR(read_member(tfn_json_get_str(key), value, arena, lean, err));
    }
    const bool has_service = lean->ask.asked.service.p != NULL;
    if (has_service == (lean->ask.asked.n_features > 0)) {
        return TFN_FAIL(err, TFN_INVALID, "give either \"service\" or a list of \"features\"; %s",
                        has_service ? "there are both" : "there is neither");
    }
    return TFN_OK;
}

/* ---- GET: a query ---- */

/* Parameters of one name, in order. */
typedef struct parameter {
    tfn_str name;
    size_t n;
    tfn_value *values;
} parameter;

typedef struct parameters {
    parameter items[MOST_PARAMETERS];
    size_t n;
} parameters;

static tfn_code find_parameter(parameters *all, tfn_str name, parameter **out, tfn_error *err)
{
    for (size_t i = 0; i < all->n; i++) {
        if (tfn_str_equal(all->items[i].name, name)) {
            *out = &all->items[i];
            return TFN_OK;
        }
    }
    if (all->n == MOST_PARAMETERS) {
        return TFN_FAIL(err, TFN_INVALID,
                        "the query has more than %d different parameters; a request has as many "
                        "as join keys, and a few of its own",
                        MOST_PARAMETERS);
    }
    all->items[all->n] = (parameter){.name = name};
    *out = &all->items[all->n++];
    return TFN_OK;
}

static size_t count_parts(tfn_str query)
{
    tfn_query_part part;
    size_t n = 0;
    while (tfn_query_take_part(&query, &part)) {
        n++;
    }
    return n;
}

static tfn_code read_part_of_query(const tfn_query_part *part, tfn_arena *arena, parameters *all,
                                   parameter **column, tfn_value *value, tfn_error *err)
{
    tfn_str name = {0};
    tfn_str text = {0};
    TFN_RETURN_IF_ERROR(tfn_query_decode(part->name, arena, &name, err));
    TFN_RETURN_IF_ERROR(tfn_query_decode(part->value, arena, &text, err));
    *value = (tfn_value){.kind = TFN_VALUE_STRING, .text = text.n == 0 ? "" : text.p, .n = text.n};
    return find_parameter(all, name, column, err);
}

/* Gather the values of each name: read them in the order of the query, then part them. */
static tfn_code read_parameters(tfn_str query, tfn_arena *arena, parameters *all, tfn_error *err)
{
    const size_t n_parts = count_parts(query);
    size_t n = 0;
    void *p = NULL;
    TFN_RETURN_IF_ERROR(tfn_arena_alloc(arena, n_parts, sizeof(tfn_value), &p, err));
    tfn_value *values = p;
    TFN_RETURN_IF_ERROR(tfn_arena_alloc(arena, n_parts, sizeof(parameter *), &p, err));
    parameter **columns = p;
    tfn_query_part part;
    while (tfn_query_take_part(&query, &part)) {
        TFN_RETURN_IF_ERROR(read_part_of_query(&part, arena, all, &columns[n], &values[n], err));
        columns[n++]->n++;
    }
    TFN_RETURN_IF_ERROR(tfn_arena_alloc(arena, n, sizeof(tfn_value), &p, err));
    tfn_value *to = p;
    for (size_t i = 0; i < all->n; i++) {
        all->items[i].values = to;
        to += all->items[i].n;
        all->items[i].n = 0;
    }
    for (size_t i = 0; i < n; i++) {
        columns[i]->values[columns[i]->n++] = values[i];
    }
    return TFN_OK;
}

static tfn_code read_bool(tfn_str name, tfn_str text, bool *out, tfn_error *err)
{
    *out = tfn_str_is(text, "true");
    return *out || tfn_str_is(text, "false")
               ? TFN_OK
               : TFN_FAIL(err, TFN_INVALID, "%.*s is '%.*s'; give true or false", TFN_STR_ARG(name),
                          TFN_STR_ARG(text));
}

/* A number as JSON has it. */
static tfn_code read_seconds(tfn_str text, tfn_arena *arena, tfn_ask *ask, tfn_error *err)
{
    yyjson_val *number = NULL;
    yyjson_read_err problem = {0};
    if (!tfn_json_read(arena, text, &number, &problem) || !yyjson_is_num(number)) {
        return TFN_FAIL(err, TFN_INVALID, "max_age_seconds is '%.*s'; give a number of seconds",
                        TFN_STR_ARG(text));
    }
    return set_max_age(yyjson_get_num(number), ask, err);
}

static tfn_code read_with_text(tfn_str text, lean_parts *parts, tfn_error *err)
{
    *parts = (lean_parts){0};
    while (text.n > 0) {
        const char *comma = memchr(text.p, ',', text.n);
        const size_t n = comma == NULL ? text.n : (size_t)(comma - text.p);
        const size_t n_taken = comma == NULL ? n : n + 1;
        TFN_RETURN_IF_ERROR(read_part((tfn_str){text.p, n}, parts, err));
        text = (tfn_str){text.p + n_taken, text.n - n_taken};
    }
    return TFN_OK;
}

/* A parameter that is ours; *is_ours is false for a join key. */
static tfn_code read_setting(const parameter *p, tfn_arena *arena, lean_ask *lean, bool *is_ours,
                             tfn_error *err)
{
    const tfn_str text = {p->values[p->n - 1].text, p->values[p->n - 1].n};
    *is_ours = true;
    if (tfn_str_is(p->name, "full_feature_names")) {
        return read_bool(p->name, text, &lean->ask.asked.full_names, err);
    }
    if (tfn_str_is(p->name, "max_age_seconds")) {
        return read_seconds(text, arena, &lean->ask, err);
    }
    if (tfn_str_is(p->name, "with")) {
        return read_with_text(text, &lean->parts, err);
    }
    *is_ours = false;
    return TFN_OK;
}

static tfn_code read_query(const tfn_request *request, tfn_arena *arena, lean_ask *lean,
                           tfn_error *err)
{
    parameters all = {.n = 0};
    void *p = NULL;
    init_ask(lean);
    lean->ask.n_rows = 1;
    if (request->rest.n == 0) {
        return TFN_FAIL(err, TFN_INVALID,
                        "the path names no feature service; ask for /v1/features/NAME");
    }
    lean->ask.asked.service = request->rest;
    TFN_RETURN_IF_ERROR(read_parameters(request->query, arena, &all, err));
    TFN_RETURN_IF_ERROR(tfn_arena_alloc(arena, all.n, sizeof(tfn_ask_column), &p, err));
    lean->ask.columns = p;
    for (size_t i = 0; i < all.n; i++) {
        const parameter *each = &all.items[i];
        bool is_ours = false;
        TFN_RETURN_IF_ERROR(read_setting(each, arena, lean, &is_ours, err));
        if (!is_ours) {
            lean->ask.columns[lean->ask.n_columns++] =
                (tfn_ask_column){.name = each->name, .values = each->values, .n = each->n};
        }
    }
    if (lean->ask.n_columns > 0) {
        lean->ask.n_rows = lean->ask.columns[0].n;
    }
    return TFN_OK;
}

/* ---- the answer ---- */

static tfn_code write_names(tfn_buf *out, const tfn_answer *answer, tfn_error *err)
{
    const size_t n_keys = tfn_answer_get_n_keys(answer);
    TFN_RETURN_IF_ERROR(tfn_buf_add_text(out, "{\"names\":[", err));
    for (size_t i = n_keys; i < tfn_answer_get_n_columns(answer); i++) {
        TFN_RETURN_IF_ERROR(tfn_buf_add(out, ",", i == n_keys ? 0 : 1, err));
        TFN_RETURN_IF_ERROR(
            tfn_json_write_text(out, tfn_str_of(tfn_answer_get_name(answer, i)), err));
    }
    return tfn_buf_add_text(out, "],\"columns\":[", err);
}

/* Values go to the reply, statuses beside it until all values are written. */
static tfn_code write_columns(tfn_ask_writer *writer, bool with_statuses, tfn_arena *arena,
                              tfn_error *err)
{
    const tfn_answer *answer = writer->answer;
    const size_t n_keys = tfn_answer_get_n_keys(answer);
    const size_t n_features = tfn_answer_get_n_columns(answer) - n_keys;
    void *p = NULL;
    TFN_RETURN_IF_ERROR(tfn_arena_alloc(arena, n_features, sizeof(int32_t *), &p, err));
    int32_t **statuses = p;
    for (size_t i = 0; i < n_features; i++) {
        TFN_RETURN_IF_ERROR(tfn_buf_add_text(writer->out, i == 0 ? "[" : ",[", err));
        if (with_statuses && i > 0) { /* the column before keeps its own */
            TFN_RETURN_IF_ERROR(tfn_arena_alloc(arena, writer->n_rows, sizeof(int32_t), &p, err));
            writer->statuses = p;
        }
        statuses[i] = writer->statuses;
        TFN_RETURN_IF_ERROR(tfn_ask_write_column(writer, n_keys + i, err));
        TFN_RETURN_IF_ERROR(tfn_buf_add(writer->out, "]", 1, err));
    }
    tfn_ask_end_writing(writer);
    TFN_RETURN_IF_ERROR(
        tfn_buf_add_text(writer->out, with_statuses ? "],\"statuses\":[" : "]", err));
    for (size_t i = 0; with_statuses && i < n_features; i++) {
        TFN_RETURN_IF_ERROR(tfn_buf_add_text(writer->out, i == 0 ? "[" : ",[", err));
        TFN_RETURN_IF_ERROR(tfn_json_write_digits(writer->out, statuses[i], writer->n_rows, err));
        TFN_RETURN_IF_ERROR(tfn_buf_add(writer->out, "]", 1, err));
    }
    return with_statuses ? tfn_buf_add(writer->out, "]", 1, err) : TFN_OK;
}

static char *put_null(char *to)
{
    static const char null[] = {'n', 'u', 'l', 'l'};
    memcpy(to, null, sizeof null);
    return to + sizeof null;
}

/* Microseconds since 1970, or null. */
static tfn_code write_times_of(tfn_buf *out, const tfn_answer *answer, size_t i_column,
                               tfn_error *err)
{
    enum { MOST_BYTES = 21 };
    const size_t n_rows = tfn_answer_get_n_rows(answer);
    char *to = NULL;
    TFN_RETURN_IF_ERROR(tfn_buf_add_room(out, n_rows * MOST_BYTES, &to, err));
    for (size_t i = 0; i < n_rows; i++) {
        const tfn_time t = tfn_answer_get_event_time(answer, i, i_column);
        if (t.is_set == 0) {
            to = put_null(to);
        } else {
            to = tfn_json_put_integer(
                to, tfn_instant_to((tfn_instant){t.seconds, t.nanos}, TFN_UNIT_US));
        }
        *to++ = ',';
    }
    tfn_json_end_room(out, n_rows == 0 ? to : to - 1);
    return TFN_OK;
}

static tfn_code write_event_times(tfn_buf *out, const tfn_answer *answer, tfn_error *err)
{
    const size_t n_keys = tfn_answer_get_n_keys(answer);
    TFN_RETURN_IF_ERROR(tfn_buf_add_text(out, ",\"event_times\":[", err));
    for (size_t i = n_keys; i < tfn_answer_get_n_columns(answer); i++) {
        TFN_RETURN_IF_ERROR(tfn_buf_add_text(out, i == n_keys ? "[" : ",[", err));
        TFN_RETURN_IF_ERROR(write_times_of(out, answer, i, err));
        TFN_RETURN_IF_ERROR(tfn_buf_add(out, "]", 1, err));
    }
    return tfn_buf_add(out, "]", 1, err);
}

static tfn_code write_answer(tfn_context *context, const tfn_answer *answer,
                             const lean_parts *parts, tfn_buf *out, tfn_error *err)
{
    tfn_ask_writer writer;
    TFN_RETURN_IF_ERROR(
        tfn_ask_begin_writing(context, answer, out, TFN_JSON_TIME_TEXT, &writer, err));
    TFN_RETURN_IF_ERROR(write_names(out, answer, err));
    TFN_RETURN_IF_ERROR(write_columns(&writer, parts->statuses, &context->arena, err));
    if (parts->event_times) {
        TFN_RETURN_IF_ERROR(write_event_times(out, answer, err));
    }
    return tfn_buf_add(out, "}", 1, err);
}

/* ---- the handlers ---- */

static void reply_failure(tfn_reply *reply, const tfn_error *err)
{
    tfn_reply_error(reply, err);
    reply->n_rows = 0;
    if (err->code == TFN_LIMIT && reply->status != 503) {
        reply->status = 413; /* of this one request, not of many */
    } else if (err->code == TFN_UNAVAILABLE || err->code == TFN_NO_MEMORY) {
        reply->retry_after_s = 1;
    }
}

/* `rc` is that of reading the request. */
static tfn_route_outcome answer_request(tfn_context *context, const tfn_request *request,
                                        lean_ask *lean, tfn_code rc, tfn_error *err,
                                        tfn_reply *reply)
{
    tfn_answer *answer = NULL;
    const char *on_demand = NULL;
    tfn_route_outcome outcome = TFN_ROUTE_DONE;
    if (rc == TFN_OK) {
        rc = tfn_ask_run(context, &lean->ask, &on_demand, &answer, err);
    }
    if (rc == TFN_OK && on_demand != NULL) {
        outcome = tfn_ask_leave_to_python(context, request, on_demand, reply, err);
        rc = err->code;
    } else if (rc == TFN_OK) {
        reply->status = 200;
        reply->content_type = NULL;
        reply->n_rows = (uint32_t)lean->ask.n_rows;
        rc = write_answer(context, answer, &lean->parts, &reply->body, err);
        rc = tfn_reply_name_limit(context->shared->config, rc, err);
    }
    if (rc != TFN_OK) {
        reply_failure(reply, err);
    } else if (answer != NULL) {
        tfn_ask_log(context, &lean->ask, answer);
    }
    tfn_answer_destroy(answer);
    return outcome;
}

static bool must_wait(const tfn_context *context)
{
    return context->shared->lookups_block && !context->may_block;
}

tfn_route_outcome tfn_handle_lean_get(tfn_context *context, const tfn_request *request,
                                      tfn_reply *reply)
{
    lean_ask lean;
    tfn_error err = {0};
    if (must_wait(context)) {
        return TFN_ROUTE_LATER;
    }
    const tfn_code rc = read_query(request, &context->arena, &lean, &err);
    return answer_request(context, request, &lean, rc, &err, reply);
}

tfn_route_outcome tfn_handle_lean_post(tfn_context *context, const tfn_request *request,
                                       tfn_reply *reply)
{
    lean_ask lean;
    tfn_error err = {0};
    if (must_wait(context)) {
        return TFN_ROUTE_LATER;
    }
    const tfn_code rc = read_body(request->body, &context->arena, &lean, &err);
    return answer_request(context, request, &lean, rc, &err, reply);
}
