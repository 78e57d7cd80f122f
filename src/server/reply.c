/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

/* Bodies of replies that are no answers. Feast's own are in feast_error.c. */

#include <stdarg.h>
#include <stdio.h>

#include "base/json.h"
#include "server/exchange.h"

#include "base/poison.h"

void tfn_reply_without_body(tfn_reply *reply, tfn_code why)
{
    tfn_buf_clear(&reply->body);
    if (why == TFN_NO_MEMORY) {
        reply->status = 503;
        reply->retry_after_s = 1;
    }
}

static void finish(tfn_reply *reply, int32_t status, tfn_code rc)
{
    reply->status = status;
    reply->content_type = NULL;
    if (rc != TFN_OK) {
        tfn_reply_without_body(reply, rc);
    }
}

void tfn_reply_detail(tfn_reply *reply, int32_t status, const char *format, ...)
{
    char sentence[TFN_ERROR_MESSAGE_BYTES];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(sentence, sizeof sentence, format, args); /* one that is cut is still one */
    va_end(args);
    tfn_error err = {0};
    tfn_buf_clear(&reply->body);
    tfn_code rc = tfn_buf_add_text(&reply->body, "{\"detail\":", &err);
    if (rc == TFN_OK) {
        rc = tfn_json_add_text(&reply->body, tfn_str_of(sentence), &err);
    }
    if (rc == TFN_OK) {
        rc = tfn_buf_add_text(&reply->body, "}", &err);
    }
    finish(reply, status, rc);
}

/* The word and the HTTP status of a code: the one table of tiffin/error.h. */
static int32_t status_of(tfn_code code, const char **word)
{
    switch (code) {
#define CASE(name, value, http, grpc, python, meaning)                                             \
    case TFN_##name:                                                                               \
        *word = #name;                                                                             \
        return (http);
        TFN_CODE_MAP(CASE)
#undef CASE
    }
    *word = "CORRUPT";
    return 500;
}

void tfn_reply_error(tfn_reply *reply, const tfn_error *err)
{
    const char *word = NULL;
    const int32_t status = status_of(err->code, &word);
    tfn_error problem = {0};
    tfn_buf_clear(&reply->body);
    tfn_code rc = tfn_buf_add_format(&reply->body, &problem,
                                     "{\"error\":{\"code\":\"%s\",\"message\":", word);
    if (rc == TFN_OK) {
        rc = tfn_json_add_text(&reply->body, tfn_str_of(err->message), &problem);
    }
    if (rc == TFN_OK) {
        rc = tfn_buf_add_text(&reply->body, "}}", &problem);
    }
    finish(reply, status, rc);
}

tfn_code tfn_reply_name_limit(const tfn_server_config *config, tfn_code rc, tfn_error *err)
{
    if (rc != TFN_LIMIT) {
        return rc;
    }
    if (err != NULL) {
        *err = (tfn_error){0};
    }
    return TFN_FAIL(err, TFN_LIMIT,
                    "the answer has more than %lld bytes, as many as this server allows (setting "
                    "max_answer): ask for fewer entities or features at once, or raise the setting",
                    (long long)config->limits.max_answer_bytes);
}
