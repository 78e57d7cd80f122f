/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */
#ifndef TFN_SERVER_FEAST_PROTOCOL_H
#define TFN_SERVER_FEAST_PROTOCOL_H

/*
 * Feast's feature-server protocol (0.66-0.67): its requests, answers, statuses and error bodies are
 * known to the feast_*.c files alone. docs/formats/server-protocol.md says what they are.
 *
 * Errors that Feast has a class for have the body of its exceptions, a JSON text of {"module",
 * "class", "message"}, and its statuses: 404 no such object, 422 no such push source. Others are
 * the sentence as a JSON text, with status 500 as a rule. Bodies that do not fit a request's
 * schema: 422 {"detail": [{"type", "loc", "msg", "input"}]}.
 */

#include <yyjson.h>

#include "server/exchange.h"

tfn_handler tfn_handle_get_online_features;
tfn_handler tfn_handle_push;
tfn_handler tfn_handle_write_to_online_store;
tfn_handler tfn_handle_materialize;
tfn_handler tfn_handle_materialize_incremental;
tfn_handler tfn_handle_health;
tfn_handler tfn_handle_ready;
tfn_handler tfn_handle_refresh;

/**
 * A reply to an error of the store, by its code: NOT_FOUND is a feature view that does not exist
 * (404, Feast's class); a limit is 413, what this server cannot do 501, a memory or a server that
 * is not there 503 with Retry-After; else 500.
 *
 * Threads  one at a time per reply
 * Errors   none: as tfn_reply_without_body
 */
void tfn_feast_reply_error(tfn_reply *reply, const tfn_error *err);

/**
 * A reply in the form of one exception.
 *
 * @param feast_class  [borrow, nullable] of the module feast.errors, e.g. "PushSourceNotFoundException";
 *                     NULL: an exception that is not Feast's, so the body is the message
 * @param message      [borrow]
 *
 * Threads  one at a time per reply
 * Errors   none: as tfn_reply_without_body
 */
void tfn_feast_reply_exception(tfn_reply *reply, int32_t status, const char *feast_class,
                               tfn_str message);

/** What a member of a request's body must be; FastAPI's words for what is wrong with it. */
typedef enum tfn_body_kind {
    TFN_BODY_TEXT = 0,
    TFN_BODY_BOOL = 1, /* or 0, 1 and words that read as one; then it is a bool afterwards */
    TFN_BODY_OBJECT = 2,
    TFN_BODY_LIST_OF_TEXT = 3,
    TFN_BODY_OBJECT_OF_LISTS = 4
} tfn_body_kind;

typedef struct tfn_body_field {
    const char *name;
    tfn_body_kind kind;
    bool is_required;
    bool is_nullable;
} tfn_body_field;

/** A parameter of the query that is a bool: false unless it is given. */
typedef struct tfn_query_flag {
    const char *name;
    bool value; /* [out] of the last one, if there are several */
} tfn_query_flag;

/** What a request may have. Members and parameters that are not listed are passed over. */
typedef struct tfn_request_form {
    const tfn_body_field *fields;
    size_t n_fields;
    tfn_query_flag *flags;
    size_t n_flags;
} tfn_request_form;

/**
 * Parse a body into the arena and check it, and the query before it. Of members with one name the
 * first counts.
 *
 * @param form  [borrow] the values of its flags are set
 * @param root  [borrow until the context's arena is reset] an object, on true
 *
 * Threads  one at a time per context
 * Errors   none: on false `reply` says all that is wrong (422; 400 when the body is not UTF-8; 503
 *          without memory)
 */
bool tfn_feast_read_request(tfn_context *context, const tfn_request *request,
                            const tfn_request_form *form, yyjson_val **root, tfn_reply *reply);

#endif
