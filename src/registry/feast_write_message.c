/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

/*
 * Parts of messages. Each setter gets a place in a copied message, which still points to what was
 * there before; it leaves that where the document says the same, so that an object which nobody
 * changed is written with the bytes that it was read with.
 */

#include "registry/feast_write.h"

#include <string.h>

#include "registry/registry_internal.h"

#include "base/poison.h"

enum { US_PER_S = 1000000, NS_PER_US = 1000 };

tfn_code tfn__feast_alloc(tfn__feast_writer *w, size_t n, size_t size, void *out, tfn_error *err)
{
    void *p = NULL;
    TFN_RETURN_IF_ERROR(tfn_arena_alloc_zero(&w->arena, n, size, &p, err));
    memcpy(out, &p, sizeof p);
    return TFN_OK;
}

tfn_code tfn__feast_copy(tfn__feast_writer *w, const void *base,
                         const ProtobufCMessageDescriptor *type, void *out, tfn_error *err)
{
    void *p = NULL;
    TFN_RETURN_IF_ERROR(tfn_arena_alloc(&w->arena, 1, type->sizeof_message, &p, err));
    if (base == NULL) {
        type->message_init(p);
    } else {
        memcpy(p, base, type->sizeof_message);
    }
    memcpy(out, &p, sizeof p);
    return TFN_OK;
}

tfn_code tfn__feast_is_same(tfn__feast_writer *w, const ProtobufCMessage *a,
                            const ProtobufCMessage *b, bool *out, tfn_error *err)
{
    *out = a == b;
    if (a == b || a == NULL || b == NULL) {
        return TFN_OK;
    }
    const size_t n = protobuf_c_message_get_packed_size(a);
    if (n != protobuf_c_message_get_packed_size(b)) {
        return TFN_OK;
    }
    void *p = NULL;
    const tfn_arena_mark mark = tfn_arena_get_mark(&w->arena);
    TFN_RETURN_IF_ERROR(tfn_arena_alloc(&w->arena, n + 1, 2, &p, err));
    uint8_t *bytes = p;
    (void)protobuf_c_message_pack(a, bytes);
    (void)protobuf_c_message_pack(b, bytes + n);
    *out = memcmp(bytes, bytes + n, n) == 0;
    tfn_arena_rewind(&w->arena, mark);
    return TFN_OK;
}

/* Texts of messages are not written to, but their type says so. */
static char *unconst(const char *text)
{
    return (char *)(uintptr_t)text;
}

char *tfn__feast_text(tfn__feast_writer *w, yyjson_val *value)
{
    const tfn_str text = tfn__json_get_str(value);
    if (text.n == 0) {
        return unconst(protobuf_c_empty_string);
    }
    if (memchr(text.p, 0, text.n) != NULL) {
        w->has_nul = true;
    }
    return unconst(text.p);
}

char *tfn__feast_member(tfn__feast_writer *w, yyjson_val *object, const char *key)
{
    return tfn__feast_text(w, yyjson_obj_get(object, key));
}

/* ---- maps and lists ---- */

static bool says_the_same(Feast__Pair *const *pairs, size_t n, yyjson_val *object)
{
    bool is_same = n == yyjson_obj_size(object);
    for (size_t i = 0; i < n && is_same; i++) {
        is_same = yyjson_equals_str(yyjson_obj_get(object, pairs[i]->key), pairs[i]->value);
    }
    return is_same;
}

tfn_code tfn__feast_set_pairs(tfn__feast_writer *w, yyjson_val *object, Feast__Pair ***pairs,
                              size_t *n, tfn_error *err)
{
    Feast__Pair **list = NULL;
    size_t i = 0;
    if (says_the_same(*pairs, *n, object)) {
        return TFN_OK;
    }
    TFN_RETURN_IF_ERROR(
        tfn__feast_alloc(w, yyjson_obj_size(object) + 1, sizeof(Feast__Pair *), &list, err));
    yyjson_obj_iter members = yyjson_obj_iter_with(object);
    for (yyjson_val *key = yyjson_obj_iter_next(&members); key != NULL;
         key = yyjson_obj_iter_next(&members)) {
        TFN_RETURN_IF_ERROR(tfn__feast_copy(w, NULL, &feast__pair__descriptor, &list[i], err));
        list[i]->key = tfn__feast_text(w, key);
        list[i]->value = tfn__feast_text(w, yyjson_obj_iter_get_val(key));
        i++;
    }
    *pairs = list;
    *n = i;
    return TFN_OK;
}

tfn_code tfn__feast_set_texts(tfn__feast_writer *w, yyjson_val *array, char ***texts, size_t *n,
                              tfn_error *err)
{
    char **list = NULL;
    size_t i = 0;
    TFN_RETURN_IF_ERROR(
        tfn__feast_alloc(w, yyjson_arr_size(array) + 1, sizeof(char *), &list, err));
    yyjson_arr_iter items = yyjson_arr_iter_with(array);
    for (yyjson_val *item = yyjson_arr_iter_next(&items); item != NULL;
         item = yyjson_arr_iter_next(&items)) {
        list[i++] = tfn__feast_text(w, item);
    }
    *texts = list;
    *n = i;
    return TFN_OK;
}

/* ---- times ---- */

tfn_code tfn__feast_set_us(tfn__feast_writer *w, int64_t us, Feast__Duration **duration,
                           tfn_error *err)
{
    const Feast__Duration *before = *duration;
    const int64_t seconds = us / US_PER_S;
    const int32_t nanos = (int32_t)(us % US_PER_S) * NS_PER_US;
    if (before != NULL && before->seconds == seconds &&
        before->nanos / NS_PER_US == nanos / NS_PER_US) {
        return TFN_OK;
    }
    TFN_RETURN_IF_ERROR(tfn__feast_copy(w, before, &feast__duration__descriptor, duration, err));
    (*duration)->seconds = seconds;
    (*duration)->nanos = nanos;
    return TFN_OK;
}

tfn_code tfn__feast_set_duration(tfn__feast_writer *w, yyjson_val *value,
                                 Feast__Duration **duration, tfn_error *err)
{
    yyjson_val *us = yyjson_obj_get(value, "microseconds");
    if (!yyjson_is_int(us)) {
        *duration = NULL;
        return TFN_OK;
    }
    return tfn__feast_set_us(w, yyjson_get_sint(us), duration, err);
}

tfn_code tfn__feast_set_instant(tfn__feast_writer *w, tfn_instant t, Feast__Timestamp **time,
                                tfn_error *err)
{
    if (tfn_instant_compare(t, TFN_INSTANT_NONE) == 0) {
        return TFN_OK;
    }
    TFN_RETURN_IF_ERROR(tfn__feast_copy(w, *time, &feast__timestamp__descriptor, time, err));
    (*time)->seconds = t.seconds;
    (*time)->nanos = t.nanos;
    return TFN_OK;
}

tfn_code tfn__feast_set_time(tfn__feast_writer *w, yyjson_val *document, const char *key,
                             Feast__Timestamp **time, tfn_error *err)
{
    tfn_instant t = TFN_INSTANT_NONE;
    const tfn_str text = tfn__json_get_str(yyjson_obj_get(document, key));
    if (text.n == 0 || tfn_instant_parse(text, &t, NULL) != TFN_OK) {
        return TFN_OK; /* a text of a saved dataset may be anything */
    }
    return tfn__feast_set_instant(w, t, time, err);
}

tfn_code tfn__feast_set_times(tfn__feast_writer *w, yyjson_val *document, bool is_changed,
                              Feast__Timestamp **created, Feast__Timestamp **updated,
                              tfn_error *err)
{
    if (*created == NULL) {
        TFN_RETURN_IF_ERROR(tfn__feast_set_time(w, document, "created_timestamp", created, err));
    }
    if (*updated == NULL || is_changed) {
        TFN_RETURN_IF_ERROR(
            tfn__feast_set_time(w, document, "last_updated_timestamp", updated, err));
    }
    return TFN_OK;
}

tfn_code tfn__feast_refuse(yyjson_val *document, const char *sentence, tfn_error *err)
{
    char subject[TFN__SUBJECT_BYTES];
    tfn_object_kind kind = TFN_OBJECT_NONE;
    tfn_str name = {0};
    TFN_RETURN_IF_ERROR(tfn__document_identify(document, &kind, &name, err));
    tfn__subject_format(kind, name, subject);
    return TFN_FAIL(err, TFN_UNSUPPORTED, "%s cannot be written for Feast: %s", subject, sentence);
}
