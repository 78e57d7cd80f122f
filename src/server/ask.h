/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */
#ifndef TFN_SERVER_ASK_H
#define TFN_SERVER_ASK_H

/*
 * A lookup, whatever its form was on the wire: what is asked of which entity rows, the answer, and
 * what is counted and logged of it. feast_read.c and lean.c read a request into one of these and
 * write the answer.
 */

#include <yyjson.h>

#include "base/buf.h"
#include "server/json_write.h"
#include "server/lookups.h"

/** A column of the entity rows. Exactly one of the two is given. */
typedef struct tfn_ask_column {
    tfn_str name;
    yyjson_val *items;       /* an array of JSON */
    const tfn_value *values; /* n of them */
    size_t n;
} tfn_ask_column;

typedef struct tfn_ask {
    tfn_asked asked;
    tfn_ask_column *columns; /* at most one of a name */
    size_t n_columns;
    size_t n_rows;      /* without columns, of views without join keys */
    int64_t max_age_us; /* 0: any */
    bool is_strict;     /* a column that is no join key is an error */
    tfn_known *known;   /* [out, borrow until the next one in this context] what it resolved to */
} tfn_ask;

/**
 * Look up. What an apply has changed since the request was resolved is resolved anew, once.
 *
 * @param ask        `known` is set
 * @param on_demand  [borrow until the next call in this context] set, and *out is NULL: only Python
 *                   can answer, because this view is asked for
 * @param out        [own] ends with tfn_answer_destroy
 *
 * Threads  one at a time per context
 * Errors   TFN_LIMIT entity rows or features, names the setting . TFN_INVALID columns of unequal
 *          length, a join key that is missing or has a value of another type . as tfn_store_prepare
 *          and tfn_lookup_run; those of the store are counted
 */
TFN_NODISCARD tfn_code tfn_ask_run(tfn_context *context, tfn_ask *ask, const char **on_demand,
                                   tfn_answer **out, tfn_error *err);

/**
 * Have Python answer a request that names an on-demand view.
 *
 * @param err  [out] set when that cannot be; then `reply` is as it was
 * @return     TFN_ROUTE_LATER when this context may not block
 *
 * Threads  one at a time per context
 * Errors   TFN_UNSUPPORTED this server has no Python
 */
tfn_route_outcome tfn_ask_leave_to_python(tfn_context *context, const tfn_request *request,
                                          const char *on_demand, tfn_reply *reply, tfn_error *err);

/** Note the answer for training, if its service wants that. Errors none. */
void tfn_ask_log(tfn_context *context, const tfn_ask *ask, tfn_answer *answer);

/** Index of the answer's column that a request's column is the key of, or -1. */
int64_t tfn_ask_find_key(const tfn_answer *answer, tfn_str name);

/** The columns of an answer, written one after the other; counts what is written. */
typedef struct tfn_ask_writer {
    tfn_context *context;
    const tfn_answer *answer;
    tfn_buf *out;
    tfn_json_times times;
    size_t n_rows;
    int32_t *statuses;  /* of the column that was written last; n_rows of tfn_status */
    uint64_t counts[5]; /* of it: by tfn_status */
    /* counted, and not yet handed to the metrics */
    const char *view; /* NULL: nothing */
    size_t i_read;
    uint64_t n_values[5];
    int64_t newest_us;
} tfn_ask_writer;

/** Errors TFN_NO_MEMORY. */
TFN_NODISCARD tfn_code tfn_ask_begin_writing(tfn_context *context, const tfn_answer *answer,
                                             tfn_buf *out, tfn_json_times times,
                                             tfn_ask_writer *writer, tfn_error *err);

/** Append the values of a column, with commas between; its statuses are in the writer then. Errors
 * as tfn_buf_add. */
TFN_NODISCARD tfn_code tfn_ask_write_column(tfn_ask_writer *writer, size_t i_column,
                                            tfn_error *err);

/** Hand what was counted to the metrics. */
void tfn_ask_end_writing(tfn_ask_writer *writer);

#endif
