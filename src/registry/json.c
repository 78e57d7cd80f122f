/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

/*
 * JSON in and out. Reading is yyjson's, with an arena as its heap, so that every value lives as
 * long as the arena and every allocation can be refused. Writing is ours: hashes are taken of these
 * bytes, so they must not depend on a library's version.
 */

#include "registry/registry_internal.h"

#include <string.h>

#include "base/poison.h"

static void *alloc_in_arena(void *context, size_t n_bytes)
{
    void *p = NULL;
    return tfn_arena_alloc(context, n_bytes, 1, &p, NULL) == TFN_OK ? p : NULL;
}

static void *grow_in_arena(void *context, void *p, size_t n_old, size_t n_bytes)
{
    if (n_bytes <= n_old) {
        return p;
    }
    void *grown = alloc_in_arena(context, n_bytes);
    if (grown != NULL && p != NULL) {
        memcpy(grown, p, n_old);
    }
    return grown;
}

static void free_in_arena(void *context, void *p)
{
    (void)context;
    (void)p;
}

tfn_code tfn__json_read(tfn_arena *a, tfn_str text, const char *what, yyjson_val **out,
                        tfn_error *err)
{
    *out = NULL;
    const yyjson_alc heap = {alloc_in_arena, grow_in_arena, free_in_arena, a};
    yyjson_read_err why = {0};
    void *copy = NULL; /* yyjson asks for a mutable text */
    TFN_RETURN_IF_ERROR(tfn_arena_alloc(a, text.n + YYJSON_PADDING_SIZE, 1, &copy, err));
    if (text.n > 0) {
        memcpy(copy, text.p, text.n);
    }
    memset((char *)copy + text.n, 0, YYJSON_PADDING_SIZE);
    yyjson_doc *doc = yyjson_read_opts(copy, text.n, YYJSON_READ_INSITU, &heap, &why);
    if (doc == NULL && why.code == YYJSON_READ_ERROR_MEMORY_ALLOCATION) {
        return TFN_FAIL(err, TFN_NO_MEMORY, "reading %s of %zu bytes: memory is exhausted", what,
                        text.n);
    }
    if (doc == NULL) {
        return TFN_FAIL(err, TFN_INVALID, "%s is not JSON: %s at byte %zu of %zu", what, why.msg,
                        why.pos, text.n);
    }
    *out = yyjson_doc_get_root(doc);
    return TFN_OK;
}

tfn_str tfn__json_get_str(yyjson_val *value)
{
    if (!yyjson_is_str(value)) {
        return (tfn_str){0};
    }
    return (tfn_str){yyjson_get_str(value), yyjson_get_len(value)};
}

const char *tfn__json_type_words(yyjson_val *value)
{
    switch (yyjson_get_type(value)) {
    case YYJSON_TYPE_NULL:
        return "null";
    case YYJSON_TYPE_BOOL:
        return "true or false";
    case YYJSON_TYPE_NUM:
        return yyjson_is_int(value) ? "a whole number" : "a number with a fraction";
    case YYJSON_TYPE_STR:
        return "a text";
    case YYJSON_TYPE_ARR:
        return "an array";
    case YYJSON_TYPE_OBJ:
        return "an object";
    default:
        return "nothing";
    }
}

tfn_code tfn__json_add_instant(tfn_buf *b, tfn_instant t, tfn_error *err)
{
    if (tfn_instant_compare(t, TFN_INSTANT_NONE) == 0) {
        return tfn_buf_add_text(b, "null", err);
    }
    char text[TFN_TIME_TEXT_BYTES];
    tfn_instant_format(t, text);
    return tfn_json_add_text(b, tfn_str_of(text), err);
}

static tfn_code add_array(tfn_buf *b, yyjson_val *array, tfn_error *err)
{
    TFN_RETURN_IF_ERROR(tfn_buf_add(b, "[", 1, err));
    yyjson_arr_iter items;
    yyjson_arr_iter_init(array, &items);
    for (yyjson_val *item = yyjson_arr_iter_next(&items); item != NULL;
         item = yyjson_arr_iter_next(&items)) {
        if (items.idx > 1) {
            TFN_RETURN_IF_ERROR(tfn_buf_add(b, ",", 1, err));
        }
        TFN_RETURN_IF_ERROR(tfn__json_add_value(b, item, err));
    }
    return tfn_buf_add(b, "]", 1, err);
}

static tfn_code add_object(tfn_buf *b, yyjson_val *object, tfn_error *err)
{
    TFN_RETURN_IF_ERROR(tfn_buf_add(b, "{", 1, err));
    yyjson_obj_iter members;
    yyjson_obj_iter_init(object, &members);
    for (yyjson_val *key = yyjson_obj_iter_next(&members); key != NULL;
         key = yyjson_obj_iter_next(&members)) {
        if (members.idx > 1) {
            TFN_RETURN_IF_ERROR(tfn_buf_add(b, ",", 1, err));
        }
        TFN_RETURN_IF_ERROR(tfn_json_add_text(b, tfn__json_get_str(key), err));
        TFN_RETURN_IF_ERROR(tfn_buf_add(b, ":", 1, err));
        TFN_RETURN_IF_ERROR(tfn__json_add_value(b, yyjson_obj_iter_get_val(key), err));
    }
    return tfn_buf_add(b, "}", 1, err);
}

/* The recursion is bounded: canonical documents nest four deep. */
tfn_code tfn__json_add_value(tfn_buf *b, yyjson_val *value, tfn_error *err)
{
    switch (yyjson_get_type(value)) {
    case YYJSON_TYPE_BOOL:
        return tfn_buf_add_text(b, yyjson_get_bool(value) ? "true" : "false", err);
    case YYJSON_TYPE_NUM:
        return tfn_buf_add_format(b, err, "%lld", (long long)yyjson_get_sint(value));
    case YYJSON_TYPE_STR:
        return tfn_json_add_text(b, tfn__json_get_str(value), err);
    case YYJSON_TYPE_ARR:
        return add_array(b, value, err);
    case YYJSON_TYPE_OBJ:
        return add_object(b, value, err);
    default:
        return tfn_buf_add_text(b, "null", err);
    }
}

bool tfn__json_equal(yyjson_val *a, yyjson_val *b)
{
    return a == b || (a != NULL && b != NULL && yyjson_equals(a, b));
}
