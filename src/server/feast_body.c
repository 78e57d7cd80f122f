/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

/*
 * Requests in Feast's protocol: bodies and queries read, and checked as FastAPI and pydantic check them, so
 * that a client sees the same status and the same list of what is wrong, in the order of the
 * fields (docs/formats/server-protocol.md, "Bodies that do not fit").
 *
 * Two things differ, so that a wrong request cannot make a large answer: at most MOST_ISSUES are
 * told, and an input that takes more than MOST_INPUT_BYTES to write is told as null.
 */

#include <stddef.h>
#include <strings.h>

#include "base/json.h"
#include "server/feast_protocol.h"
#include "server/json_read.h"
#include "server/query.h"

#include "base/poison.h"

enum { MOST_ISSUES = 32, MOST_INPUT_BYTES = 4096 };

/* Where in a body something is wrong; parts that are not given are left out. */
typedef struct place {
    bool is_query; /* in the query, not the body */
    const char *field;
    tfn_str member; /* of an object; p == NULL: none */
    size_t i_item;
    bool has_item;
} place;

/* What is wrong with a body, as it is written into a reply. */
typedef struct issues {
    tfn_buf *out;
    size_t n;
    tfn_code rc; /* of the first write that was refused */
    tfn_error err;
} issues;

static void add_text(issues *list, const char *text)
{
    if (list->rc == TFN_OK) {
        list->rc = tfn_buf_add_text(list->out, text, &list->err);
    }
}

static void add_json_text(issues *list, tfn_str text)
{
    if (list->rc == TFN_OK) {
        list->rc = tfn_json_add_text(list->out, text, &list->err);
    }
}

/* An allocator for what yyjson writes: it may have this much and no more. */
typedef struct input_room {
    _Alignas(max_align_t) char bytes[MOST_INPUT_BYTES];
} input_room;

static void *room_alloc(void *context, size_t n_bytes)
{
    input_room *room = context;
    return n_bytes <= sizeof room->bytes ? room->bytes : NULL;
}

static void *room_resize(void *context, void *p, size_t n_old, size_t n_bytes)
{
    (void)p;
    (void)n_old;
    return room_alloc(context, n_bytes);
}

static void room_release(void *context, void *p)
{
    (void)context;
    (void)p;
}

static void add_input(issues *list, const yyjson_val *input)
{
    input_room room;
    const yyjson_alc memory = {room_alloc, room_resize, room_release, &room};
    size_t n = 0;
    const char *text =
        input == NULL
            ? NULL
            : yyjson_val_write_opts(input, YYJSON_WRITE_INF_AND_NAN_AS_NULL, &memory, &n, NULL);
    if (list->rc == TFN_OK) {
        list->rc = text == NULL ? tfn_buf_add_text(list->out, "null", &list->err)
                                : tfn_buf_add(list->out, text, n, &list->err);
    }
}

static void add_place(issues *list, const place *at)
{
    add_text(list, at->is_query ? "[\"query\"" : "[\"body\"");
    if (at->field != NULL) {
        add_text(list, ",");
        add_json_text(list, tfn_str_of(at->field));
    }
    if (at->member.p != NULL) {
        add_text(list, ",");
        add_json_text(list, at->member);
    }
    if (at->has_item && list->rc == TFN_OK) {
        list->rc = tfn_buf_add_format(list->out, &list->err, ",%zu", at->i_item);
    }
    add_text(list, "]");
}

static void add_issue(issues *list, const char *type, const place *at, const char *what,
                      const yyjson_val *input)
{
    if (list->n++ >= MOST_ISSUES) {
        return;
    }
    add_text(list, list->n > 1 ? ",{\"type\":" : "{\"type\":");
    add_json_text(list, tfn_str_of(type));
    add_text(list, ",\"loc\":");
    add_place(list, at);
    add_text(list, ",\"msg\":");
    add_json_text(list, tfn_str_of(what));
    add_text(list, ",\"input\":");
    add_input(list, input);
    add_text(list, "}");
}

static void begin_issues(issues *list, tfn_reply *reply)
{
    *list = (issues){.out = &reply->body};
    tfn_buf_clear(&reply->body);
    add_text(list, "{\"detail\":[");
}

/* True when nothing was wrong. */
static bool end_issues(issues *list, tfn_reply *reply)
{
    add_text(list, "]}");
    reply->status = 422;
    reply->content_type = NULL;
    if (list->rc != TFN_OK) {
        tfn_reply_without_body(reply, list->rc);
    } else if (list->n == 0) {
        tfn_buf_clear(&reply->body);
    }
    return list->rc == TFN_OK && list->n == 0;
}

/* ---- one member ---- */

/* What pydantic takes for a bool: 1 true, 0 false, -1 neither. */
static int bool_of_text(tfn_str text)
{
    static const char *const words[2][6] = {{"0", "off", "f", "false", "n", "no"},
                                            {"1", "on", "t", "true", "y", "yes"}};
    for (int is_true = 0; is_true < 2; is_true++) {
        for (size_t i = 0; i < 6; i++) {
            const tfn_str word = tfn_str_of(words[is_true][i]);
            if (word.n == text.n && strncasecmp(word.p, text.p, word.n) == 0) {
                return is_true;
            }
        }
    }
    return -1;
}

static void check_bool(issues *list, const place *at, yyjson_val *value)
{
    int meaning = -1;
    bool is_readable = false; /* of a type that could be one */
    if (yyjson_is_bool(value)) {
        return;
    }
    if (yyjson_is_str(value)) {
        is_readable = true;
        meaning = bool_of_text(tfn_json_get_str(value));
    } else if (yyjson_is_num(value)) {
        const double number = yyjson_get_num(value);
        is_readable = number >= -0x1p63 && number < 0x1p63 && number == (double)(int64_t)number;
        meaning = number == 0 ? 0 : number == 1 ? 1 : -1;
    }
    if (meaning >= 0) {
        (void)yyjson_set_bool(value, meaning == 1);
    } else if (is_readable) {
        add_issue(list, "bool_parsing", at,
                  "Input should be a valid boolean, unable to interpret input", value);
    } else {
        add_issue(list, "bool_type", at, "Input should be a valid boolean", value);
    }
}

static void check_text(issues *list, const place *at, const yyjson_val *value)
{
    if (!yyjson_is_str((yyjson_val *)(uintptr_t)value)) {
        add_issue(list, "string_type", at, "Input should be a valid string", value);
    }
}

static bool check_list(issues *list, const place *at, yyjson_val *value)
{
    if (!yyjson_is_arr(value)) {
        add_issue(list, "list_type", at, "Input should be a valid list", value);
        return false;
    }
    return true;
}

static bool check_object(issues *list, const place *at, yyjson_val *value)
{
    if (!yyjson_is_obj(value)) {
        add_issue(list, "dict_type", at, "Input should be a valid dictionary", value);
        return false;
    }
    return true;
}

static void check_texts(issues *list, const place *at, yyjson_val *value)
{
    if (!check_list(list, at, value)) {
        return;
    }
    size_t i = 0;
    size_t n = 0;
    yyjson_val *item = NULL;
    yyjson_arr_foreach(value, i, n, item)
    {
        const place inner = {.field = at->field, .i_item = i, .has_item = true};
        check_text(list, &inner, item);
    }
}

static void check_lists(issues *list, const place *at, yyjson_val *value)
{
    if (!check_object(list, at, value)) {
        return;
    }
    size_t i = 0;
    size_t n = 0;
    yyjson_val *key = NULL;
    yyjson_val *item = NULL;
    yyjson_obj_foreach(value, i, n, key, item)
    {
        const place inner = {.field = at->field, .member = tfn_json_get_str(key)};
        (void)check_list(list, &inner, item);
    }
}

static void check_field(issues *list, const tfn_body_field *field, yyjson_val *root)
{
    const place at = {.field = field->name};
    yyjson_val *value = yyjson_obj_get(root, field->name);
    if (value == NULL) {
        if (field->is_required) {
            add_issue(list, "missing", &at, "Field required", root);
        }
        return;
    }
    if (field->is_nullable && yyjson_is_null(value)) {
        return;
    }
    switch (field->kind) {
    case TFN_BODY_TEXT:
        check_text(list, &at, value);
        break;
    case TFN_BODY_BOOL:
        check_bool(list, &at, value);
        break;
    case TFN_BODY_OBJECT:
        (void)check_object(list, &at, value);
        break;
    case TFN_BODY_LIST_OF_TEXT:
        check_texts(list, &at, value);
        break;
    case TFN_BODY_OBJECT_OF_LISTS:
        check_lists(list, &at, value);
        break;
    }
}

/* ---- a body ---- */

/* Why a body is no JSON. */
static void reply_unreadable(tfn_str body, const yyjson_read_err *problem, tfn_reply *reply)
{
    if (problem->code == YYJSON_READ_ERROR_MEMORY_ALLOCATION) {
        tfn_reply_detail(reply, 503, "this request could not be read: memory is exhausted");
        return;
    }
    if (!tfn_str_is_utf8(body)) {
        tfn_reply_detail(reply, 400, "There was an error parsing the body: it is not UTF-8");
        return;
    }
    issues list;
    begin_issues(&list, reply);
    if (list.rc == TFN_OK) {
        list.rc = tfn_buf_add_format(list.out, &list.err,
                                     "{\"type\":\"json_invalid\",\"loc\":[\"body\",%zu],\"msg\":"
                                     "\"JSON decode error\",\"input\":{},\"ctx\":{\"error\":",
                                     problem->pos);
    }
    add_json_text(&list, tfn_str_of(problem->msg));
    add_text(&list, "}}");
    list.n = 1;
    (void)end_issues(&list, reply);
}

/* ---- a query ---- */

/* A text as it was sent, when it cannot be decoded: then it reads as nothing either. */
static tfn_str decoded(tfn_str text, tfn_arena *arena, issues *list)
{
    tfn_str out = {0};
    tfn_error why = {0};
    const tfn_code rc = tfn_query_decode(text, arena, &out, &why);
    if (rc == TFN_NO_MEMORY && list->rc == TFN_OK) {
        list->rc = tfn_error_move(&list->err, &why);
    }
    return rc == TFN_OK ? out : text;
}

static void check_flag(issues *list, tfn_query_flag *flag, tfn_str query, tfn_arena *arena)
{
    const place at = {.is_query = true, .field = flag->name};
    tfn_str text = {0};
    bool is_given = false;
    tfn_query_part part;
    while (tfn_query_take_part(&query, &part)) {
        if (tfn_str_is(decoded(part.name, arena, list), flag->name)) {
            text = decoded(part.value, arena, list);
            is_given = true;
        }
    }
    const int meaning = is_given ? bool_of_text(text) : 0;
    flag->value = meaning == 1;
    if (meaning < 0) {
        yyjson_val input;
        unsafe_yyjson_set_strn(&input, text.p, text.n);
        add_issue(list, "bool_parsing", &at,
                  "Input should be a valid boolean, unable to interpret input", &input);
    }
}

/* ---- a request ---- */

bool tfn_feast_read_request(tfn_context *context, const tfn_request *request,
                            const tfn_request_form *form, yyjson_val **root, tfn_reply *reply)
{
    static const place whole = {0};
    yyjson_read_err problem = {0};
    *root = NULL;
    if (request->body.n > 0 && !tfn_json_read(&context->arena, request->body, root, &problem)) {
        reply_unreadable(request->body, &problem, reply);
        return false;
    }
    issues list;
    begin_issues(&list, reply);
    for (size_t i = 0; i < form->n_flags; i++) {
        check_flag(&list, &form->flags[i], request->query, &context->arena);
    }
    if (*root == NULL) {
        add_issue(&list, "missing", &whole, "Field required", NULL);
    } else if (!yyjson_is_obj(*root)) {
        add_issue(&list, "model_attributes_type", &whole,
                  "Input should be a valid dictionary or object to extract fields from", *root);
    } else {
        for (size_t i = 0; i < form->n_fields; i++) {
            check_field(&list, &form->fields[i], *root);
        }
    }
    return end_issues(&list, reply);
}
