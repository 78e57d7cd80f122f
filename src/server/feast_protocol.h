/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */
#ifndef TFN_SERVER_FEAST_PROTOCOL_H
#define TFN_SERVER_FEAST_PROTOCOL_H

/*
 * Feast's feature-server protocol (0.66-0.67): its requests, answers, statuses and error bodies are
 * known to the feast_*.c files alone.
 *
 * Errors of a store have the body of Feast's exceptions, a JSON text of {"module", "class",
 * "message"}, and its statuses: 404 no such object, 422 no such push source, else 500. Bodies that
 * do not fit a request's schema: 422 {"detail": [{"type", "loc", "msg", "input"}]}.
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

/** A reply in the form of Feast's exceptions, by code (and class, where one is told apart). */
void tfn_feast_reply_error(tfn_reply *reply, const tfn_error *err);
/** As above for an exception that has no class of Feast's: status 500, body = JSON text. */
void tfn_feast_reply_exception(tfn_reply *reply, int32_t status, const char *python_class,
                               tfn_str message);

/** What a request's body must have; FastAPI's words for what is wrong with it. */
typedef enum tfn_body_kind {
    TFN_BODY_TEXT,
    TFN_BODY_BOOL,
    TFN_BODY_OBJECT,
    TFN_BODY_LIST_OF_TEXT
} tfn_body_kind;
typedef struct tfn_body_field {
    const char *name;
    tfn_body_kind kind;
    bool is_required;
    bool is_nullable;
} tfn_body_field;

/**
 * Parse a body into the arena and check it.
 *
 * @param root  [borrow until the context's arena is reset] on true
 *
 * @return false: `reply` says why (422)
 */
bool tfn_feast_read_body(tfn_context *context, const tfn_request *request,
                         const tfn_body_field *fields, size_t n_fields, yyjson_val **root,
                         tfn_reply *reply);

#endif
