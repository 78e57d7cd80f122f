/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

/*
 * Lookups of the server.
 *
 *   asked   -> a resolved lookup (lookups.h)
 *   columns -> keys, row by row in the lookup's order; a single key column is that already
 *   answer  -> columns of JSON in chunks of CHUNK_ROWS values, so that decoded values stay in the
 *              nearest cache; counted per view and status as they pass
 *
 * An apply between resolving and running: the lookup follows it by itself, unless join keys changed
 * (TFN_CONFLICT), a view went (TFN_NOT_FOUND) or became computed (TFN_UNSUPPORTED). Then it is
 * resolved anew and run once more; what is still wrong is told.
 */

#include "server/ask.h"

#include "base/mem.h"
#include "base/time.h"
#include "server/host.h"
#include "server/metrics.h"

#include "base/poison.h"

enum { CHUNK_ROWS = 128 };

static const tfn_clock system_clock = {0};

/* ---- limits ---- */

static tfn_code refuse_limit(tfn_context *context, const char *what, size_t n, const char *setting,
                             int64_t most, tfn_error *err)
{
    tfn_metrics_refused(context->shared->metrics, TFN_REFUSED_LIMIT);
    return TFN_FAIL(err, TFN_LIMIT,
                    "the request asks for %zu %s; this server allows %lld (setting %s): ask for "
                    "fewer at once, or raise the setting",
                    n, what, (long long)most, setting);
}

static tfn_code check_rows(tfn_context *context, const tfn_ask *ask, tfn_error *err)
{
    const int64_t most = context->shared->config->limits.max_entity_rows;
    if ((int64_t)ask->n_rows > most) {
        return refuse_limit(context, "entity rows", ask->n_rows, "max_entity_rows", most, err);
    }
    for (size_t i = 0; i < ask->n_columns; i++) {
        if (ask->columns[i].n != ask->n_rows) {
            return TFN_FAIL(err, TFN_INVALID,
                            "all columns of the entity rows must be of equal length; '%.*s' has "
                            "%zu values and '%.*s' has %zu",
                            TFN_STR_ARG(ask->columns[0].name), ask->columns[0].n,
                            TFN_STR_ARG(ask->columns[i].name), ask->columns[i].n);
        }
    }
    return TFN_OK;
}

static tfn_code check_features(tfn_context *context, size_t n, tfn_error *err)
{
    const int64_t most = context->shared->config->limits.max_features;
    return (int64_t)n > most ? refuse_limit(context, "features", n, "max_features", most, err)
                             : TFN_OK;
}

/* ---- keys ---- */

static tfn_code add_missing_key(const tfn_ask *ask, const char *key, tfn_error *err)
{
    char known[512] = "";
    size_t n = 0;
    for (size_t i = 0; i < ask->n_columns && n + 8 < sizeof known; i++) {
        const tfn_str name = ask->columns[i].name;
        const size_t n_room = sizeof known - n - 8;
        if (i > 0) {
            memcpy(known + n, ", ", 2);
            n += 2;
        }
        const size_t n_name = name.n < n_room ? name.n : n_room;
        memcpy(known + n, name.p, n_name);
        n += n_name;
        known[n] = '\0';
    }
    return TFN_FAIL(err, TFN_INVALID,
                    "the entity rows need the join key '%s', which is not among their columns: %s",
                    key, ask->n_columns == 0 ? "there are none" : known);
}

static tfn_ask_column *find_column(const tfn_ask *ask, const char *name)
{
    for (size_t i = 0; i < ask->n_columns; i++) {
        if (tfn_str_is(ask->columns[i].name, name)) {
            return &ask->columns[i];
        }
    }
    return NULL;
}

/* An integer for a key of text, as Feast has it. */
static tfn_code text_of_integer(int64_t integer, tfn_arena *arena, tfn_value *out, tfn_error *err)
{
    char digits[24];
    const char *copy = NULL;
    const size_t n = (size_t)(tfn_json_put_integer(digits, integer) - digits);
    TFN_RETURN_IF_ERROR(tfn_arena_copy(arena, digits, n, &copy, err));
    *out = (tfn_value){.kind = TFN_VALUE_STRING, .text = copy, .n = n};
    return TFN_OK;
}

/* One item of JSON as a key of a declared kind. Texts stay where they are. */
static tfn_code read_item(const tfn_ask_column *column, size_t i_row, yyjson_val *item,
                          int32_t key_kind, tfn_arena *arena, tfn_value *out, tfn_error *err)
{
    const bool is_text = key_kind == TFN_VALUE_STRING;
    switch (yyjson_get_type(item)) {
    case YYJSON_TYPE_NULL:
        *out = (tfn_value){.kind = TFN_VALUE_NULL};
        return TFN_OK;
    case YYJSON_TYPE_BOOL:
        *out = (tfn_value){.kind = key_kind == TFN_VALUE_INT32 || key_kind == TFN_VALUE_INT64
                                       ? TFN_VALUE_INT64
                                       : TFN_VALUE_BOOL,
                           .integer = yyjson_get_bool(item) ? 1 : 0};
        return TFN_OK;
    case YYJSON_TYPE_STR:
        *out = (tfn_value){
            .kind = TFN_VALUE_STRING, .text = yyjson_get_str(item), .n = yyjson_get_len(item)};
        return TFN_OK;
    case YYJSON_TYPE_NUM:
        if (yyjson_is_real(item) || (yyjson_is_uint(item) && yyjson_get_uint(item) > INT64_MAX)) {
            *out = (tfn_value){.kind = TFN_VALUE_FLOAT64, .real = yyjson_get_num(item)};
            return TFN_OK;
        }
        if (is_text) {
            return text_of_integer(yyjson_get_sint(item), arena, out, err);
        }
        *out = (tfn_value){.kind = TFN_VALUE_INT64, .integer = yyjson_get_sint(item)};
        return TFN_OK;
    default:
        return TFN_FAIL(err, TFN_INVALID,
                        "value %zu of the join key '%.*s' is %s; give a number, a text or null",
                        i_row, TFN_STR_ARG(column->name),
                        yyjson_is_arr(item) ? "a list" : "an object");
    }
}

/* A key column, its values in places begin, begin + step, ... of `out`. */
static tfn_code read_column(const tfn_ask_column *column, int32_t key_kind, tfn_arena *arena,
                            tfn_value *out, size_t step, tfn_error *err)
{
    size_t i = 0;
    size_t n = 0;
    yyjson_val *item = NULL;
    if (column->values != NULL) {
        for (; i < column->n; i++) {
            out[i * step] = column->values[i];
        }
        return TFN_OK;
    }
    yyjson_arr_foreach(column->items, i, n, item)
    {
        if (unsafe_yyjson_is_uint(item) && key_kind == TFN_VALUE_INT64 &&
            unsafe_yyjson_get_uint(item) <= INT64_MAX) { /* as a rule */
            out[i * step] = (tfn_value){.kind = TFN_VALUE_INT64,
                                        .integer = (int64_t)unsafe_yyjson_get_uint(item)};
        } else {
            TFN_RETURN_IF_ERROR(read_item(column, i, item, key_kind, arena, &out[i * step], err));
        }
    }
    return TFN_OK;
}

static size_t count_keys(const tfn_lookup *lookup)
{
    size_t n = 0;
    while (tfn_lookup_get_key_name(lookup, n) != NULL) {
        n++;
    }
    return n;
}

static tfn_code refuse_column(const tfn_ask_column *column, const tfn_lookup *lookup, size_t n_keys,
                              tfn_error *err)
{
    tfn_buf keys = {0};
    tfn_code rc = tfn_buf_add_text(&keys, n_keys > 0 ? "its join keys are: " : "it has none", err);
    for (size_t k = 0; rc == TFN_OK && k < n_keys; k++) {
        rc = tfn_buf_add_format(&keys, err, "%s%s", k > 0 ? ", " : "",
                                tfn_lookup_get_key_name(lookup, k));
    }
    if (rc == TFN_OK) {
        rc = TFN_FAIL(err, TFN_INVALID, "'%.*s' is no join key of what was asked for; %s",
                      TFN_STR_ARG(column->name), keys.p);
    }
    tfn_buf_deinit(&keys);
    return rc;
}

/* Columns that are no join keys are passed over, or refused by those who are strict. */
static tfn_code check_columns(const tfn_ask *ask, const tfn_lookup *lookup, size_t n_keys,
                              tfn_error *err)
{
    for (size_t i = 0; ask->is_strict && i < ask->n_columns; i++) {
        bool is_key = false;
        for (size_t k = 0; k < n_keys && !is_key; k++) {
            is_key = tfn_str_is(ask->columns[i].name, tfn_lookup_get_key_name(lookup, k));
        }
        if (!is_key) {
            return refuse_column(&ask->columns[i], lookup, n_keys, err);
        }
    }
    return TFN_OK;
}

static tfn_code read_keys(const tfn_ask *ask, const tfn_lookup *lookup, tfn_arena *arena,
                          tfn_value **out, tfn_error *err)
{
    const size_t n_keys = count_keys(lookup);
    void *p = NULL;
    size_t n = 0;
    if (!tfn_mem_mul(n_keys, ask->n_rows, &n)) {
        return TFN_FAIL(err, TFN_LIMIT, "%zu entity rows are too many", ask->n_rows);
    }
    TFN_RETURN_IF_ERROR(check_columns(ask, lookup, n_keys, err));
    TFN_RETURN_IF_ERROR(tfn_arena_alloc(arena, n, sizeof(tfn_value), &p, err));
    *out = p;
    for (size_t k = 0; k < n_keys; k++) {
        const char *name = tfn_lookup_get_key_name(lookup, k);
        const tfn_ask_column *column = find_column(ask, name);
        if (column == NULL) {
            return add_missing_key(ask, name, err);
        }
        TFN_RETURN_IF_ERROR(
            read_column(column, tfn_lookup_get_key_kind(lookup, k), arena, *out + k, n_keys, err));
    }
    return TFN_OK;
}

/* ---- running ---- */

/* Codes that blame the store, not the request. */
static bool is_of_the_store(tfn_code code)
{
    return code == TFN_IO || code == TFN_CORRUPT || code == TFN_NO_MEMORY ||
           code == TFN_UNAVAILABLE;
}

static bool is_stale(tfn_code code)
{
    return code == TFN_CONFLICT || code == TFN_NOT_FOUND || code == TFN_UNSUPPORTED;
}

/* One try; ask->known stays NULL when it could not be resolved. */
static tfn_code run_once(tfn_context *context, tfn_ask *ask, tfn_answer **out, tfn_error *err)
{
    const tfn_lookup_opts opts = {.struct_size = sizeof opts, .max_age_us = ask->max_age_us};
    tfn_value *keys = NULL;
    ask->known = NULL;
    TFN_RETURN_IF_ERROR(tfn_lookups_get(context->lookups, context->shared->store, &ask->asked,
                                        &system_clock, &context->arena, &ask->known, err));
    tfn_lookup *lookup = ask->known->lookup;
    if (lookup == NULL) {
        return TFN_OK;
    }
    TFN_RETURN_IF_ERROR(check_features(context, tfn_lookup_get_n_features(lookup), err));
    TFN_RETURN_IF_ERROR(read_keys(ask, lookup, &context->arena, &keys, err));
    return tfn_lookup_run(lookup, keys, ask->n_rows, &opts, out, err);
}

tfn_code tfn_ask_run(tfn_context *context, tfn_ask *ask, const char **on_demand, tfn_answer **out,
                     tfn_error *err)
{
    *out = NULL;
    *on_demand = NULL;
    TFN_RETURN_IF_ERROR(check_features(context, ask->asked.n_features, err));
    TFN_RETURN_IF_ERROR(check_rows(context, ask, err));
    tfn_code rc = run_once(context, ask, out, err);
    if (ask->known != NULL && is_stale(rc)) {
        *err = (tfn_error){0};
        tfn_lookups_forget(context->lookups, ask->known);
        rc = run_once(context, ask, out, err);
    }
    if (is_of_the_store(rc)) {
        tfn_counters_add_store_error(context->counters, rc);
    }
    if (rc == TFN_OK && *out == NULL) {
        *on_demand = ask->known->on_demand;
    }
    return rc;
}

tfn_route_outcome tfn_ask_leave_to_python(tfn_context *context, const tfn_request *request,
                                          const char *on_demand, tfn_reply *reply, tfn_error *err)
{
    if (!context->shared->has_python) {
        (void)TFN_FAIL(err, TFN_UNSUPPORTED,
                       "'%s' is an on-demand feature view, which is computed in Python, and this "
                       "server has none; ask a server that was started by `tiffin serve`",
                       on_demand);
        return TFN_ROUTE_DONE;
    }
    if (!context->may_block) {
        return TFN_ROUTE_LATER;
    }
    tfn_host_run(context, request, reply);
    return TFN_ROUTE_DONE;
}

void tfn_ask_log(tfn_context *context, const tfn_ask *ask, tfn_answer *answer)
{
    const tfn_shared *shared = context->shared;
    tfn_known *known = ask->known;
    tfn_error err = {0};
    if (shared->feature_log == NULL || ask->asked.service.p == NULL) {
        return;
    }
    const tfn_code rc = tfn_lookups_follow(context->lookups, shared->store, known,
                                           tfn_answer_get_commit(answer), &context->arena, &err);
    if (rc != TFN_OK) { /* the answer is right all the same; that it is not logged is counted */
        tfn_counters_add_store_error(context->counters, rc);
    } else if (known->wish.sample_rate > 0) {
        const tfn_instant now = tfn_clock_now(&system_clock);
        tfn_feature_log_note(shared->feature_log, &known->wish, answer,
                             tfn_lookups_draw(context->lookups), tfn_instant_to(now, TFN_UNIT_US));
    }
}

/* ---- writing ---- */

int64_t tfn_ask_find_key(const tfn_answer *answer, tfn_str name)
{
    const size_t n_keys = tfn_answer_get_n_keys(answer);
    for (size_t i = 0; i < n_keys; i++) {
        if (tfn_str_is(name, tfn_answer_get_name(answer, i))) {
            return (int64_t)i;
        }
    }
    return -1;
}

tfn_code tfn_ask_begin_writing(tfn_context *context, const tfn_answer *answer, tfn_buf *out,
                               tfn_json_times times, tfn_ask_writer *writer, tfn_error *err)
{
    *writer = (tfn_ask_writer){.context = context,
                               .answer = answer,
                               .out = out,
                               .times = times,
                               .n_rows = tfn_answer_get_n_rows(answer)};
    void *p = NULL;
    TFN_RETURN_IF_ERROR(tfn_arena_alloc(&context->arena, writer->n_rows, sizeof(int32_t), &p, err));
    writer->statuses = p;
    return TFN_OK;
}

void tfn_ask_end_writing(tfn_ask_writer *writer)
{
    if (writer->view == NULL) {
        return;
    }
    for (int32_t status = TFN_STATUS_PRESENT; status <= TFN_STATUS_OUTSIDE_MAX_AGE; status++) {
        if (writer->n_values[status] > 0) {
            tfn_counters_add_values(writer->context->counters, tfn_str_of(writer->view), status,
                                    writer->n_values[status], writer->newest_us);
        }
    }
    memset(writer->n_values, 0, sizeof writer->n_values);
    writer->view = NULL;
}

static int64_t newest_of(const tfn_ask_writer *writer, size_t i_column)
{
    int64_t newest_us = INT64_MIN;
    for (size_t i = 0; i < writer->n_rows; i++) {
        const tfn_time t = tfn_answer_get_event_time(writer->answer, i, i_column);
        const int64_t us = t.is_set == 0
                               ? INT64_MIN
                               : tfn_instant_to((tfn_instant){t.seconds, t.nanos}, TFN_UNIT_US);
        newest_us = us > newest_us ? us : newest_us;
    }
    return newest_us;
}

/* Add the counts of the column that was just written to those of its view. */
static void count_column(tfn_ask_writer *writer, size_t i_column)
{
    size_t i_read = 0;
    const char *view = tfn_answer_get_view(writer->answer, i_column, &i_read);
    if (view == NULL) {
        return; /* a key */
    }
    if (writer->view == NULL || writer->i_read != i_read) {
        tfn_ask_end_writing(writer);
        writer->view = view;
        writer->i_read = i_read;
        writer->newest_us = newest_of(writer, i_column);
    }
    for (size_t status = 0; status < sizeof writer->counts / sizeof *writer->counts; status++) {
        writer->n_values[status] += writer->counts[status];
    }
}

tfn_code tfn_ask_write_column(tfn_ask_writer *writer, size_t i_column, tfn_error *err)
{
    tfn_value values[CHUNK_ROWS];
    memset(writer->counts, 0, sizeof writer->counts);
    for (size_t begin = 0; begin < writer->n_rows; begin += CHUNK_ROWS) {
        const size_t n_left = writer->n_rows - begin;
        const size_t n = n_left < CHUNK_ROWS ? n_left : CHUNK_ROWS;
        int32_t *statuses = writer->statuses + begin;
        tfn_answer_get_values(writer->answer, i_column, begin, n, values, statuses);
        if (begin > 0) {
            TFN_RETURN_IF_ERROR(tfn_buf_add(writer->out, ",", 1, err));
        }
        TFN_RETURN_IF_ERROR(tfn_json_write_values(writer->out, values, n, writer->times, err));
        for (size_t i = 0; i < n; i++) {
            writer->counts[statuses[i]]++; /* all below TFN_STATUS_OUTSIDE_MAX_AGE + 1 */
        }
    }
    count_column(writer, i_column);
    return TFN_OK;
}
