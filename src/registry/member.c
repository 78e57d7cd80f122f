/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

/*
 * Members of a document: each function checks one value and writes it in canonical form, or its
 * default when the value is missing. document.c says which member of which object is written by
 * which.
 */

#include "registry/document_walk.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/limits.h"

#include "base/poison.h"

/* ---- small parts ---- */

tfn_code tfn__member_fail_type(const tfn__walk *w, const char *name, const char *expected,
                               yyjson_val *value, tfn_error *err)
{
    if (value == NULL) {
        return TFN_FAIL(err, TFN_INVALID, "%s has no '%s', which must be %s", w->subject, name,
                        expected);
    }
    return TFN_FAIL(err, TFN_INVALID, "%s: '%s' must be %s, not %s", w->subject, name, expected,
                    tfn__json_type_words(value));
}

tfn_code tfn__member_check_name(const tfn__walk *w, const char *what, tfn_str name, tfn_error *err)
{
    if (name.n == 0) {
        return TFN_FAIL(err, TFN_INVALID, "%s: %s is empty", w->subject, what);
    }
    if (name.n > TFN_MAX_NAME_BYTES) {
        return TFN_FAIL(err, TFN_LIMIT, "%s: %s has %zu bytes; names may have %d", w->subject, what,
                        name.n, TFN_MAX_NAME_BYTES);
    }
    if (memchr(name.p, '\0', name.n) != NULL) {
        return TFN_FAIL(err, TFN_INVALID, "%s: %s contains a NUL character", w->subject, what);
    }
    return TFN_OK;
}

static bool is_project_character(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '-' || (unsigned char)c >= 0x80u;
}

static tfn_code check_project_name(const tfn__walk *w, tfn_str name, tfn_error *err)
{
    bool is_good = name.p[0] != '_' && name.p[0] != '-';
    for (size_t i = 0; i < name.n; i++) {
        is_good = is_good && is_project_character(name.p[i]);
    }
    if (is_good) {
        return TFN_OK;
    }
    return TFN_FAIL(
        err, TFN_INVALID,
        "%s: a project's name has letters, digits, '_' and '-', and begins with a letter or "
        "digit",
        w->subject);
}

static tfn_code check_view_name(const tfn__walk *w, tfn_str name, tfn_error *err)
{
    for (size_t i = 0; i < name.n; i++) {
        if (name.p[i] == '@' || name.p[i] == ':') {
            return TFN_FAIL(err, TFN_INVALID,
                            "%s: the name of a feature view cannot contain '%c', which feature "
                            "references use",
                            w->subject, name.p[i]);
        }
    }
    return TFN_OK;
}

static tfn_code check_name(const tfn__walk *w, tfn_object_kind kind, tfn_str name, tfn_error *err)
{
    TFN_RETURN_IF_ERROR(tfn__member_check_name(w, "the name", name, err));
    if (kind == TFN_OBJECT_PROJECT) {
        return check_project_name(w, name, err);
    }
    const bool is_view = kind == TFN_OBJECT_VIEW || kind == TFN_OBJECT_ON_DEMAND_VIEW;
    return is_view ? check_view_name(w, name, err) : TFN_OK;
}

tfn_code tfn__name_check(tfn_object_kind kind, tfn_str name, tfn_error *err)
{
    tfn__walk w = {.kind = kind};
    tfn__subject_format(kind, name, w.subject);
    if (!tfn_str_is_utf8(name)) {
        return TFN_FAIL(err, TFN_INVALID, "the name of an object of kind '%s' is not UTF-8",
                        tfn_object_kind_name(kind));
    }
    return check_name(&w, kind, name, err);
}

tfn_code tfn__member_add(tfn__walk *w, const char *text, tfn_error *err)
{
    return tfn_buf_add_text(&w->out, text, err);
}

/* ---- writers of single values ---- */

tfn_code tfn__member_write_text(tfn__walk *w, const char *name, yyjson_val *value, tfn_error *err)
{
    if (value != NULL && !yyjson_is_str(value)) {
        return tfn__member_fail_type(w, name, "a text", value, err);
    }
    return tfn_json_add_text(&w->out, tfn__json_get_str(value), err);
}

tfn_code tfn__member_write_name(tfn__walk *w, const char *name, yyjson_val *value, tfn_error *err)
{
    char what[64];
    if (!yyjson_is_str(value)) {
        return tfn__member_fail_type(w, name, "a text", value, err);
    }
    (void)snprintf(what, sizeof what, "'%s'", name);
    TFN_RETURN_IF_ERROR(tfn__member_check_name(w, what, tfn__json_get_str(value), err));
    return tfn_json_add_text(&w->out, tfn__json_get_str(value), err);
}

/* Where a function is: "" for one that came from Feast's registry, which does not say. */
tfn_code tfn__member_write_module(tfn__walk *w, const char *name, yyjson_val *value, tfn_error *err)
{
    return yyjson_equals_str(value, "") ? tfn__member_write_text(w, name, value, err)
                                        : tfn__member_write_name(w, name, value, err);
}

/* The column of an entity: its own name unless told. */
tfn_code tfn__member_write_join_key(tfn__walk *w, const char *name, yyjson_val *value,
                                    tfn_error *err)
{
    const bool is_given = value != NULL && !(yyjson_is_str(value) && yyjson_get_len(value) == 0);
    return tfn__member_write_name(w, name, is_given ? value : yyjson_obj_get(w->document, "name"),
                                  err);
}

tfn_code tfn__member_write_alias(tfn__walk *w, const char *name, yyjson_val *value, tfn_error *err)
{
    const tfn_str text = tfn__json_get_str(value);
    if (text.n > 0) {
        TFN_RETURN_IF_ERROR(tfn__member_check_name(w, "'name_alias'", text, err));
        TFN_RETURN_IF_ERROR(check_view_name(w, text, err));
    }
    return tfn__member_write_text(w, name, value, err);
}

static tfn_code write_flag(tfn__walk *w, const char *name, yyjson_val *value, bool by_default,
                           tfn_error *err)
{
    if (value != NULL && !yyjson_is_bool(value)) {
        return tfn__member_fail_type(w, name, "true or false", value, err);
    }
    const bool is_set = value == NULL ? by_default : yyjson_get_bool(value);
    return tfn__member_add(w, is_set ? "true" : "false", err);
}

tfn_code tfn__member_write_online(tfn__walk *w, const char *name, yyjson_val *value, tfn_error *err)
{
    return write_flag(w, name, value, true, err);
}

tfn_code tfn__member_write_offline(tfn__walk *w, const char *name, yyjson_val *value,
                                   tfn_error *err)
{
    return write_flag(w, name, value, false, err);
}

tfn_code tfn__member_write_flag(tfn__walk *w, const char *name, yyjson_val *value, tfn_error *err)
{
    return write_flag(w, name, value, false, err);
}

tfn_code tfn__member_write_ttl(tfn__walk *w, const char *name, yyjson_val *value, tfn_error *err)
{
    if (value == NULL) {
        return tfn__member_add(w, "0", err);
    }
    if (!yyjson_is_int(value)) {
        return tfn__member_fail_type(w, name, "a whole number of microseconds", value, err);
    }
    if (yyjson_is_sint(value) && yyjson_get_sint(value) < 0) {
        return TFN_FAIL(err, TFN_INVALID,
                        "%s has a negative ttl (%lld microseconds); 0 means without end",
                        w->subject, (long long)yyjson_get_sint(value));
    }
    if (yyjson_get_uint(value) > INT64_MAX) {
        return TFN_FAIL(err, TFN_INVALID,
                        "%s has a ttl of more than %lld microseconds; 0 means without end",
                        w->subject, (long long)INT64_MAX);
    }
    return tfn_buf_add_format(&w->out, err, "%llu", (unsigned long long)yyjson_get_uint(value));
}

/* A share, in millionths: numbers of documents are whole. All, unless told. */
tfn_code tfn__member_write_rate(tfn__walk *w, const char *name, yyjson_val *value, tfn_error *err)
{
    enum { ALL = 1000000 };
    if (value == NULL) {
        return tfn_buf_add_format(&w->out, err, "%d", ALL);
    }
    if (!yyjson_is_int(value)) {
        return tfn__member_fail_type(w, name, "a whole number of millionths", value, err);
    }
    const int64_t rate = yyjson_get_sint(value); /* one that is too large for it is negative */
    if (rate < 0 || rate > ALL) {
        return TFN_FAIL(err, TFN_INVALID,
                        "%s has '%s' %lld; a share is from 0 to %d millionths (sample_rate 0 .. 1)",
                        w->subject, name, (long long)rate, ALL);
    }
    return tfn_buf_add_format(&w->out, err, "%lld", (long long)rate);
}

tfn_code tfn__member_write_destination_type(tfn__walk *w, const char *name, yyjson_val *value,
                                            tfn_error *err)
{
    const tfn_str text = tfn__json_get_str(value);
    if (value != NULL && !yyjson_is_str(value)) {
        return tfn__member_fail_type(w, name, "a text", value, err);
    }
    if (text.n > 0 && !tfn_str_is(text, "file")) {
        char quoted[TFN__SUBJECT_BYTES];
        tfn__name_format(text, quoted);
        return TFN_FAIL(err, TFN_UNSUPPORTED,
                        "%s logs to a destination of type %s; this release logs to files only",
                        w->subject, quoted);
    }
    return tfn__member_add(w, "\"file\"", err);
}

tfn_code tfn__member_write_format(tfn__walk *w, const char *name, yyjson_val *value, tfn_error *err)
{
    const tfn_str text = tfn__json_get_str(value);
    if (text.n > 0 && !tfn_str_is(text, "parquet") && !tfn_str_is(text, "csv") &&
        !tfn_str_is(text, "json")) {
        char quoted[TFN__SUBJECT_BYTES];
        tfn__name_format(text, quoted);
        return TFN_FAIL(
            err, TFN_INVALID,
            "%s has the format %s; there are 'parquet', 'csv' and 'json', and '' for what the "
            "file's name says",
            w->subject, quoted);
    }
    return tfn__member_write_text(w, name, value, err);
}

tfn_code tfn__member_write_type(tfn__walk *w, const char *name, yyjson_val *value, tfn_error *err)
{
    tfn_type type = {0};
    char text[TFN_TYPE_TEXT_BYTES];
    if (!yyjson_is_str(value)) {
        return tfn__member_fail_type(w, name, "the name of a type", value, err);
    }
    if (tfn_type_parse(tfn__json_get_str(value), &type, err) != TFN_OK) {
        tfn_error_prepend(err, "%s: ", w->subject);
        return TFN_INVALID;
    }
    tfn_type_format(type, text);
    return tfn_json_add_text(&w->out, tfn_str_of(text), err);
}

tfn_code tfn__member_write_value_type(tfn__walk *w, const char *name, yyjson_val *value,
                                      tfn_error *err)
{
    tfn_type type = {0};
    const tfn_str text = tfn__json_get_str(value);
    if (value == NULL || tfn_str_is(text, "unknown")) {
        return tfn__member_add(w, "\"unknown\"", err);
    }
    TFN_RETURN_IF_ERROR(tfn__member_write_type(w, name, value, err));
    if (tfn_type_parse(text, &type, err) == TFN_OK && !tfn_type_is_key(type)) {
        return TFN_FAIL(err, TFN_INVALID,
                        "%s has the value_type %.*s, which cannot be a key; keys are int32, int64, "
                        "string, bytes, bool, date or timestamp",
                        w->subject, TFN_STR_ARG(text));
    }
    return TFN_OK;
}

tfn_code tfn__member_write_path(tfn__walk *w, const char *name, yyjson_val *value, tfn_error *err)
{
    const tfn_str path = tfn__json_get_str(value);
    if (!yyjson_is_str(value)) {
        return tfn__member_fail_type(w, name, "the path of a file, a folder or a pattern", value,
                                     err);
    }
    if (path.n == 0 || memchr(path.p, '\0', path.n) != NULL) {
        return TFN_FAIL(err, TFN_INVALID, "%s: '%s' is empty or contains a NUL character",
                        w->subject, name);
    }
    return tfn__member_write_text(w, name, value, err);
}

tfn_code tfn__member_write_source_type(tfn__walk *w, const char *name, yyjson_val *value,
                                       tfn_error *err)
{
    return value == NULL ? tfn__member_add(w, "\"file\"", err)
                         : tfn__member_write_text(w, name, value, err);
}

/* ---- members of on-demand views ---- */

tfn_code tfn__member_write_mode(tfn__walk *w, const char *name, yyjson_val *value, tfn_error *err)
{
    const tfn_str text = tfn__json_get_str(value);
    if (value == NULL) {
        return tfn__member_add(w, "\"pandas\"", err);
    }
    if (tfn_str_is(text, "substrait")) {
        return TFN_FAIL(err, TFN_UNSUPPORTED,
                        "%s has the mode 'substrait', which this release does not run; there are "
                        "'pandas' and 'python'",
                        w->subject);
    }
    if (!tfn_str_is(text, "pandas") && !tfn_str_is(text, "python")) {
        return tfn__member_fail_type(w, name, "'pandas' or 'python'", value, err);
    }
    return tfn__member_write_text(w, name, value, err);
}

tfn_code tfn__member_write_singleton(tfn__walk *w, const char *name, yyjson_val *value,
                                     tfn_error *err)
{
    return write_flag(w, name, value, false, err);
}

tfn_code tfn__member_write_stored(tfn__walk *w, const char *name, yyjson_val *value, tfn_error *err)
{
    if (yyjson_is_true(value)) {
        return TFN_FAIL(err, TFN_UNSUPPORTED,
                        "%s has write_to_online_store, which this release does not run; its "
                        "features are computed when they are read",
                        w->subject);
    }
    return write_flag(w, name, value, false, err);
}

tfn_code tfn__member_write_aggregations(tfn__walk *w, const char *name, yyjson_val *value,
                                        tfn_error *err)
{
    if (value != NULL && !yyjson_is_arr(value)) {
        return tfn__member_fail_type(w, name, "an array", value, err);
    }
    if (yyjson_arr_size(value) > 0) {
        return TFN_FAIL(err, TFN_UNSUPPORTED,
                        "%s has aggregations, which this release does not run; aggregate in its "
                        "function, or in the source of a feature view",
                        w->subject);
    }
    return tfn__member_add(w, "[]", err);
}

tfn_code tfn__member_write_digest(tfn__walk *w, const char *name, yyjson_val *value, tfn_error *err)
{
    const tfn_str text = tfn__json_get_str(value);
    bool is_good = text.n == 64;
    for (size_t i = 0; i < text.n && is_good; i++) {
        const char c = text.p[i];
        is_good = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
    }
    if (!is_good) {
        return tfn__member_fail_type(w, name, "a SHA-256 of 64 hex digits in lower case", value,
                                     err);
    }
    return tfn__member_write_text(w, name, value, err);
}

/* ---- writers of maps and arrays of texts ---- */

typedef struct pair {
    tfn_str from;
    tfn_str to;
} pair;

static int compare_pairs(const void *a, const void *b)
{
    return tfn_str_compare(((const pair *)a)->from, ((const pair *)b)->from);
}

static tfn_code check_pair(const tfn__walk *w, const char *name, yyjson_val *key, tfn_error *err)
{
    char quoted[TFN__SUBJECT_BYTES];
    tfn__name_format(tfn__json_get_str(key), quoted);
    yyjson_val *value = yyjson_obj_iter_get_val(key);
    if (!yyjson_is_str(value)) {
        return TFN_FAIL(err, TFN_INVALID, "%s: '%s' has %s for %s; it must be a text", w->subject,
                        name, tfn__json_type_words(value), quoted);
    }
    return TFN_OK;
}

static tfn_code write_sorted_pairs(tfn__walk *w, const char *name, const pair *pairs, size_t n,
                                   tfn_error *err)
{
    for (size_t i = 0; i < n; i++) {
        if (i > 0 && tfn_str_equal(pairs[i].from, pairs[i - 1].from)) {
            char quoted[TFN__SUBJECT_BYTES];
            tfn__name_format(pairs[i].from, quoted);
            return TFN_FAIL(err, TFN_INVALID, "%s: '%s' has %s twice", w->subject, name, quoted);
        }
        TFN_RETURN_IF_ERROR(tfn__member_add(w, i == 0 ? "{" : ",", err));
        TFN_RETURN_IF_ERROR(tfn_json_add_text(&w->out, pairs[i].from, err));
        TFN_RETURN_IF_ERROR(tfn__member_add(w, ":", err));
        TFN_RETURN_IF_ERROR(tfn_json_add_text(&w->out, pairs[i].to, err));
    }
    return tfn__member_add(w, n == 0 ? "{}" : "}", err);
}

tfn_code tfn__member_write_map(tfn__walk *w, const char *name, yyjson_val *value, tfn_error *err)
{
    tfn_arena pieces = {0};
    void *p = NULL;
    if (value != NULL && !yyjson_is_obj(value)) {
        return tfn__member_fail_type(w, name, "an object of texts", value, err);
    }
    tfn_code rc = tfn_arena_alloc(&pieces, yyjson_obj_size(value) + 1, sizeof(pair), &p, err);
    pair *pairs = p;
    size_t n = 0;
    yyjson_obj_iter members = yyjson_obj_iter_with(value);
    for (yyjson_val *key = yyjson_obj_iter_next(&members); key != NULL && rc == TFN_OK;
         key = yyjson_obj_iter_next(&members)) {
        rc = check_pair(w, name, key, err);
        pairs[n].from = tfn__json_get_str(key);
        pairs[n].to = tfn__json_get_str(yyjson_obj_iter_get_val(key));
        n++;
    }
    if (rc == TFN_OK) {
        qsort(pairs, n, sizeof *pairs, compare_pairs);
        rc = write_sorted_pairs(w, name, pairs, n, err);
    }
    tfn_arena_deinit(&pieces);
    return rc;
}

/* A map between names: neither side empty, no target twice. */
tfn_code tfn__member_write_name_map(tfn__walk *w, const char *name, yyjson_val *value,
                                    tfn_error *err)
{
    tfn_map targets = {0};
    tfn_code rc = TFN_OK;
    char what[64];
    (void)snprintf(what, sizeof what, "a name in '%s'", name);
    yyjson_obj_iter members = yyjson_obj_iter_with(value);
    for (yyjson_val *key = yyjson_obj_iter_next(&members); key != NULL && rc == TFN_OK;
         key = yyjson_obj_iter_next(&members)) {
        uint32_t is_there = 0;
        const tfn_str to = tfn__json_get_str(yyjson_obj_iter_get_val(key));
        TFN_GOTO_IF_ERROR(rc, check_pair(w, name, key, err), done);
        TFN_GOTO_IF_ERROR(rc, tfn__member_check_name(w, what, tfn__json_get_str(key), err), done);
        TFN_GOTO_IF_ERROR(rc, tfn__member_check_name(w, what, to, err), done);
        if (tfn_map_get(&targets, to, &is_there)) {
            char quoted[TFN__SUBJECT_BYTES];
            tfn__name_format(to, quoted);
            rc = TFN_FAIL(err, TFN_INVALID, "%s: '%s' maps two names to %s", w->subject, name,
                          quoted);
            goto done;
        }
        TFN_GOTO_IF_ERROR(rc, tfn_map_put(&targets, to, 1, err), done);
    }
    rc = tfn__member_write_map(w, name, value, err);
done:
    tfn_map_deinit(&targets);
    return rc;
}

static tfn_code check_names(const tfn__walk *w, const char *name, yyjson_val *value, tfn_error *err)
{
    tfn_map seen = {0};
    tfn_code rc = TFN_OK;
    char what[64];
    (void)snprintf(what, sizeof what, "a name in '%s'", name);
    yyjson_arr_iter items = yyjson_arr_iter_with(value);
    for (yyjson_val *item = yyjson_arr_iter_next(&items); item != NULL;
         item = yyjson_arr_iter_next(&items)) {
        uint32_t is_there = 0;
        const tfn_str text = tfn__json_get_str(item);
        if (!yyjson_is_str(item)) {
            rc = TFN_FAIL(err, TFN_INVALID, "%s: '%s' must hold texts, not %s", w->subject, name,
                          tfn__json_type_words(item));
            goto done;
        }
        TFN_GOTO_IF_ERROR(rc, tfn__member_check_name(w, what, text, err), done);
        if (tfn_map_get(&seen, text, &is_there)) {
            char quoted[TFN__SUBJECT_BYTES];
            tfn__name_format(text, quoted);
            rc = TFN_FAIL(err, TFN_INVALID, "%s: '%s' has %s twice", w->subject, name, quoted);
            goto done;
        }
        TFN_GOTO_IF_ERROR(rc, tfn_map_put(&seen, text, 1, err), done);
    }
done:
    tfn_map_deinit(&seen);
    return rc;
}

tfn_code tfn__member_write_names(tfn__walk *w, const char *name, yyjson_val *value, tfn_error *err)
{
    if (value == NULL) {
        return tfn__member_add(w, "[]", err);
    }
    if (!yyjson_is_arr(value)) {
        return tfn__member_fail_type(w, name, "an array of texts", value, err);
    }
    TFN_RETURN_IF_ERROR(check_names(w, name, value, err));
    return tfn__json_add_value(&w->out, value, err);
}
