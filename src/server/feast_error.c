/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

/*
 * Feast's error bodies (docs/formats/server-protocol.md, "Errors").
 *
 * A FeastError travels as a JSON text whose content is JSON again, from which Feast's clients make
 * the exception; any other exception travels as the text of its message.
 */

#include "base/json.h"
#include "server/feast_protocol.h"

#include "base/poison.h"

/* {"module": "feast.errors", "class": "...", "message": "..."}, spaced as Python writes it. */
static tfn_code write_detail(tfn_buf *out, const char *feast_class, tfn_str message, tfn_error *err)
{
    TFN_RETURN_IF_ERROR(tfn_buf_add_format(
        out, err, "{\"module\": \"feast.errors\", \"class\": \"%s\", \"message\": ", feast_class));
    TFN_RETURN_IF_ERROR(tfn_json_add_text(out, message, err));
    return tfn_buf_add_text(out, "}", err);
}

static tfn_code write_body(tfn_buf *out, const char *feast_class, tfn_str message, tfn_error *err)
{
    if (feast_class == NULL) {
        return tfn_json_add_text(out, message, err);
    }
    tfn_buf detail = {0};
    tfn_code rc = write_detail(&detail, feast_class, message, err);
    if (rc == TFN_OK) {
        rc = tfn_json_add_text(out, tfn_buf_get_str(&detail), err);
    }
    tfn_buf_deinit(&detail);
    return rc;
}

void tfn_feast_reply_exception(tfn_reply *reply, int32_t status, const char *feast_class,
                               tfn_str message)
{
    tfn_error err = {0};
    tfn_buf_clear(&reply->body);
    reply->status = status;
    reply->content_type = NULL;
    const tfn_code rc = write_body(&reply->body, feast_class, message, &err);
    if (rc != TFN_OK) {
        tfn_reply_without_body(reply, rc);
    }
}

void tfn_feast_reply_error(tfn_reply *reply, const tfn_error *err)
{
    const char *feast_class = NULL;
    int32_t status = 500;
    switch (err->code) {
    case TFN_NOT_FOUND:
        feast_class = "FeatureViewNotFoundException";
        status = 404;
        break;
    case TFN_LIMIT:
        status = 413;
        break;
    case TFN_UNSUPPORTED:
        status = 501;
        break;
    case TFN_NO_MEMORY:
    case TFN_UNAVAILABLE:
        status = 503;
        reply->retry_after_s = 1;
        break;
    default:
        break;
    }
    tfn_feast_reply_exception(reply, status, feast_class, tfn_str_of(err->message));
}
