/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

/*
 * A member whose value is any object: written with the members of every object in byte order, so
 * that one content has one text, whoever wrote it. For what the registry keeps without
 * understanding it: the manifest of a saved dataset, whose members store/manifest.c knows.
 *
 * Numbers are whole, as everywhere in a document: a fraction has more than one text.
 */

#include "registry/document_walk.h"

#include <stdlib.h>

#include "base/poison.h"

enum { MAX_DEPTH = 16 };

static int compare_keys(const void *a, const void *b)
{
    return tfn_str_compare(tfn__json_get_str(*(yyjson_val *const *)a),
                           tfn__json_get_str(*(yyjson_val *const *)b));
}

static tfn_code write_value(tfn__walk *w, const char *name, yyjson_val *value, int depth,
                            tfn_arena *a, tfn_error *err);

static tfn_code write_sorted(tfn__walk *w, const char *name, yyjson_val *object, int depth,
                             tfn_arena *a, tfn_error *err)
{
    void *p = NULL;
    size_t n = 0;
    TFN_RETURN_IF_ERROR(
        tfn_arena_alloc(a, yyjson_obj_size(object) + 1, sizeof(yyjson_val *), &p, err));
    yyjson_val **keys = p;
    yyjson_obj_iter members = yyjson_obj_iter_with(object);
    for (yyjson_val *key = yyjson_obj_iter_next(&members); key != NULL;
         key = yyjson_obj_iter_next(&members)) {
        keys[n++] = key;
    }
    qsort(keys, n, sizeof(yyjson_val *), compare_keys);
    TFN_RETURN_IF_ERROR(tfn__member_add(w, "{", err));
    for (size_t i = 0; i < n; i++) {
        if (i > 0 && compare_keys(&keys[i - 1], &keys[i]) == 0) {
            char quoted[TFN__SUBJECT_BYTES];
            tfn__name_format(tfn__json_get_str(keys[i]), quoted);
            return TFN_FAIL(err, TFN_INVALID, "%s: '%s' has %s twice", w->subject, name, quoted);
        }
        TFN_RETURN_IF_ERROR(tfn__member_add(w, i == 0 ? "" : ",", err));
        TFN_RETURN_IF_ERROR(tfn_json_add_text(&w->out, tfn__json_get_str(keys[i]), err));
        TFN_RETURN_IF_ERROR(tfn__member_add(w, ":", err));
        TFN_RETURN_IF_ERROR(
            write_value(w, name, yyjson_obj_iter_get_val(keys[i]), depth + 1, a, err));
    }
    return tfn__member_add(w, "}", err);
}

static tfn_code write_array(tfn__walk *w, const char *name, yyjson_val *array, int depth,
                            tfn_arena *a, tfn_error *err)
{
    TFN_RETURN_IF_ERROR(tfn__member_add(w, "[", err));
    yyjson_arr_iter items = yyjson_arr_iter_with(array);
    for (yyjson_val *item = yyjson_arr_iter_next(&items); item != NULL;
         item = yyjson_arr_iter_next(&items)) {
        TFN_RETURN_IF_ERROR(tfn__member_add(w, items.idx > 1 ? "," : "", err));
        TFN_RETURN_IF_ERROR(write_value(w, name, item, depth + 1, a, err));
    }
    return tfn__member_add(w, "]", err);
}

static bool is_whole(yyjson_val *value)
{
    return yyjson_is_sint(value) ||
           (yyjson_is_uint(value) && yyjson_get_uint(value) <= (uint64_t)INT64_MAX);
}

static tfn_code write_value(tfn__walk *w, const char *name, yyjson_val *value, int depth,
                            tfn_arena *a, tfn_error *err)
{
    if (depth > MAX_DEPTH) {
        return TFN_FAIL(err, TFN_LIMIT, "%s: '%s' is nested more than %d deep", w->subject, name,
                        MAX_DEPTH);
    }
    if (yyjson_is_obj(value)) {
        return write_sorted(w, name, value, depth, a, err);
    }
    if (yyjson_is_arr(value)) {
        return write_array(w, name, value, depth, a, err);
    }
    if (yyjson_is_num(value) && !is_whole(value)) {
        return TFN_FAIL(err, TFN_INVALID,
                        "%s: '%s' holds a number that is not a whole one of int64", w->subject,
                        name);
    }
    return tfn__json_add_value(&w->out, value, err);
}

tfn_code tfn__member_write_object(tfn__walk *w, const char *name, yyjson_val *value, tfn_error *err)
{
    tfn_arena keys = {0};
    if (value == NULL) {
        return tfn__member_add(w, "{}", err);
    }
    if (!yyjson_is_obj(value)) {
        return tfn__member_fail_type(w, name, "an object", value, err);
    }
    const tfn_code rc = write_sorted(w, name, value, 0, &keys, err);
    tfn_arena_deinit(&keys);
    return rc;
}
