/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

/*
 * On-demand views for Feast, and the functions of views of any class.
 *
 * Feast runs a function from its pickle, which only Python can make; whoever asks for the file gives
 * them. One that the base has of the same source is kept: it is the one that Feast's users run.
 * Feast stores the text with its decorators, a document without, so texts are compared by their end.
 *
 * An on-demand view that this release does not run is a feature view among our documents, with what
 * it is in its content; it is written from there.
 */

#include "registry/feast_write.h"

#include <stdio.h>
#include <string.h>

#include <openssl/evp.h>

#include "registry/feast_read.h"
#include "registry/feast_types.h"
#include "registry/registry_internal.h"

#include "base/poison.h"

enum { SENTENCE_BYTES = 512, STRING = 2 };

/* ---- functions ---- */

static tfn_str without_line_ends(tfn_str text)
{
    while (text.n > 0 && text.p[text.n - 1] == '\n') {
        text.n--;
    }
    return text;
}

/* Is the source of before this one, but for decorators in front? */
static bool has_source(const Feast__UserFunction *base, yyjson_val *function)
{
    const tfn_str all = without_line_ends(tfn_str_of(base->source));
    const tfn_str part = without_line_ends(tfn__json_get_str(yyjson_obj_get(function, "source")));
    if (part.n == 0 || part.n > all.n) {
        return part.n == all.n;
    }
    const size_t begin = all.n - part.n;
    return memcmp(all.p + begin, part.p, part.n) == 0 && (begin == 0 || all.p[begin - 1] == '\n');
}

static tfn_code refuse_function(yyjson_val *document, yyjson_val *given, tfn_error *err)
{
    char sentence[SENTENCE_BYTES];
    const char *why = yyjson_get_str(yyjson_obj_get(given, "missing"));
    (void)snprintf(sentence, sizeof sentence, "Feast stores its function as a pickle, and %.400s",
                   why != NULL ? why
                               : "none was given; export with Python, in the repo that has the "
                                 "function");
    return tfn__feast_refuse(document, sentence, err);
}

/* Base64 with its padding. */
static tfn_code decode_body(tfn__feast_writer *w, yyjson_val *document, tfn_str text,
                            ProtobufCBinaryData *out, tfn_error *err)
{
    void *p = NULL;
    size_t n_padding = 0;
    TFN_RETURN_IF_ERROR(tfn_arena_alloc(&w->arena, text.n / 4 * 3 + 4, 1, &p, err));
    const int n =
        text.n > INT_MAX ? -1 : EVP_DecodeBlock(p, (const unsigned char *)text.p, (int)text.n);
    while (n_padding < 2 && n_padding < text.n && text.p[text.n - 1 - n_padding] == '=') {
        n_padding++;
    }
    if (n < (int)n_padding) {
        char name[TFN__SUBJECT_BYTES];
        tfn__name_format(tfn__json_get_str(yyjson_obj_get(document, "name")), name);
        return TFN_FAIL(err, TFN_INVALID,
                        "the pickle of the function of %s is no base64 of %zu characters", name,
                        text.n);
    }
    *out = (ProtobufCBinaryData){(size_t)n - n_padding, p};
    return TFN_OK;
}

/* Feast's name of a function is the last part of ours: "rates" of "Class.rates". */
static char *short_name(tfn__feast_writer *w, yyjson_val *function)
{
    char *name = tfn__feast_member(w, function, "name");
    char *dot = strrchr(name, '.');
    return dot == NULL ? name : dot + 1;
}

tfn_code tfn__feast_write_function(tfn__feast_writer *w, yyjson_val *document, yyjson_val *function,
                                   const Feast__UserFunction *base, const char *mode,
                                   Feast__UserFunction **out, tfn_error *err)
{
    const tfn_str view = tfn__json_get_str(yyjson_obj_get(document, "name"));
    yyjson_val *given = yyjson_obj_getn(w->functions, view.p, view.n);
    const tfn_str body = tfn__json_get_str(yyjson_obj_get(given, "body"));
    if (base != NULL && has_source(base, function) &&
        (base->mode[0] == '\0' || strcmp(base->mode, mode) == 0)) {
        *out = (Feast__UserFunction *)(uintptr_t)base;
        return TFN_OK;
    }
    if (body.n == 0) {
        return refuse_function(document, given, err);
    }
    TFN_RETURN_IF_ERROR(tfn__feast_copy(w, base, &feast__user_function__descriptor, out, err));
    Feast__UserFunction *to = *out;
    to->name = short_name(w, function);
    to->source = tfn__feast_member(w, given, "source");
    if (to->source[0] == '\0') {
        to->source = tfn__feast_member(w, function, "source");
    }
    to->mode = (char *)(uintptr_t)mode;
    return decode_body(w, document, body, &to->body, err);
}

/* ---- inputs ---- */

static const Feast__OnDemandInput *find_input(const Feast__OnDemandViewSpec *spec, const char *key)
{
    for (size_t i = 0; i < spec->n_sources; i++) {
        if (strcmp(spec->sources[i]->key, key) == 0) {
            return spec->sources[i]->value;
        }
    }
    return NULL;
}

static tfn_code begin_input(tfn__feast_writer *w, char *key, const Feast__OnDemandInput *base,
                            Feast__OnDemandSource **out, tfn_error *err)
{
    TFN_RETURN_IF_ERROR(tfn__feast_copy(w, NULL, &feast__on_demand_source__descriptor, out, err));
    (*out)->key = key;
    return tfn__feast_copy(w, base, &feast__on_demand_input__descriptor, &(*out)->value, err);
}

static tfn_code write_view_input(tfn__feast_writer *w, yyjson_val *projection,
                                 const Feast__OnDemandViewSpec *before, Feast__OnDemandSource **out,
                                 tfn_error *err)
{
    char *key = tfn__feast_member(w, projection, "name_alias");
    key = key[0] == '\0' ? tfn__feast_member(w, projection, "view") : key;
    const Feast__OnDemandInput *base = find_input(before, key);
    const bool is_whole = base != NULL && base->source_case == FEAST__ON_DEMAND_INPUT__SOURCE_VIEW;
    const bool has = base != NULL && base->source_case == FEAST__ON_DEMAND_INPUT__SOURCE_PROJECTION;
    TFN_RETURN_IF_ERROR(begin_input(w, key, base, out, err));
    if (is_whole && yyjson_arr_size(yyjson_obj_get(projection, "features")) == 0) {
        return TFN_OK; /* as the first Feasts have it */
    }
    (*out)->value->source_case = FEAST__ON_DEMAND_INPUT__SOURCE_PROJECTION;
    return tfn__feast_write_projection(w, projection, has ? base->projection : NULL,
                                       &(*out)->value->projection, err);
}

static tfn_code write_request_input(tfn__feast_writer *w, yyjson_val *document, yyjson_val *name,
                                    const Feast__OnDemandViewSpec *before,
                                    Feast__OnDemandSource **out, tfn_error *err)
{
    char *key = tfn__feast_text(w, name);
    yyjson_val *source = tfn__feast_document(w, &w->sources, key);
    const Feast__OnDemandInput *base = find_input(before, key);
    const bool has = base != NULL && base->source_case == FEAST__ON_DEMAND_INPUT__SOURCE_REQUEST;
    if (source == NULL) {
        return tfn__feast_refuse(document, "a request source of its is not among the documents",
                                 err);
    }
    TFN_RETURN_IF_ERROR(begin_input(w, key, base, out, err));
    (*out)->value->source_case = FEAST__ON_DEMAND_INPUT__SOURCE_REQUEST;
    return tfn__feast_write_source(w, source, TFN__FEAST_INNER, has ? base->request : NULL,
                                   &(*out)->value->request, err);
}

/* In the order of before, if it has the same ones: a map has none. */
static void order_as_before(const Feast__OnDemandViewSpec *before, Feast__OnDemandSource **list,
                            size_t n)
{
    size_t n_placed = 0;
    for (size_t i = 0; i < before->n_sources && n_placed < n; i++) {
        for (size_t k = n_placed; k < n; k++) {
            if (strcmp(list[k]->key, before->sources[i]->key) == 0) {
                Feast__OnDemandSource *found = list[k];
                list[k] = list[n_placed];
                list[n_placed++] = found;
                break;
            }
        }
    }
}

static tfn_code write_inputs(tfn__feast_writer *w, yyjson_val *document, yyjson_val *from,
                             const Feast__OnDemandViewSpec *before, Feast__OnDemandViewSpec *spec,
                             tfn_error *err)
{
    yyjson_val *views = yyjson_obj_get(from, "sources");
    yyjson_val *requests = yyjson_obj_get(from, "request_sources");
    Feast__OnDemandSource **list = NULL;
    size_t n = 0;
    TFN_RETURN_IF_ERROR(tfn__feast_alloc(w, yyjson_arr_size(views) + yyjson_arr_size(requests) + 1,
                                         sizeof *list, &list, err));
    yyjson_arr_iter items = yyjson_arr_iter_with(views);
    for (yyjson_val *item = yyjson_arr_iter_next(&items); item != NULL;
         item = yyjson_arr_iter_next(&items)) {
        TFN_RETURN_IF_ERROR(write_view_input(w, item, before, &list[n], err));
        n++;
    }
    items = yyjson_arr_iter_with(requests);
    for (yyjson_val *item = yyjson_arr_iter_next(&items); item != NULL;
         item = yyjson_arr_iter_next(&items)) {
        TFN_RETURN_IF_ERROR(write_request_input(w, document, item, before, &list[n], err));
        n++;
    }
    order_as_before(before, list, n);
    spec->sources = list;
    spec->n_sources = n;
    return TFN_OK;
}

/* ---- the view ---- */

static yyjson_val *content_of(yyjson_val *document)
{
    return yyjson_obj_get(yyjson_obj_get(document, "foreign"), "content");
}

/* Columns of entities that the schema does not have, as Feast infers them. */
static tfn_code add_columns(tfn__feast_writer *w, yyjson_val *document,
                            const tfn__feast_fields *base, tfn__feast_fields *columns,
                            tfn_error *err)
{
    yyjson_val *names = yyjson_obj_get(document, "entities");
    Feast__Field **list = NULL;
    size_t n = 0;
    if (yyjson_arr_size(names) == 0) {
        return tfn__feast_write_dummy_column(w, base, columns, err);
    }
    TFN_RETURN_IF_ERROR(tfn__feast_alloc(w, yyjson_arr_size(names), sizeof *list, &list, err));
    yyjson_arr_iter items = yyjson_arr_iter_with(names);
    for (yyjson_val *item = yyjson_arr_iter_next(&items); item != NULL;
         item = yyjson_arr_iter_next(&items)) {
        yyjson_val *entity = tfn__feast_document(w, &w->entities, tfn__feast_text(w, item));
        const tfn_str key = tfn__json_get_str(yyjson_obj_get(entity, "join_key"));
        Feast__Field *field = NULL;
        for (size_t k = 0; k < base->n + columns->n && field == NULL; k++) {
            Feast__Field *known = k < base->n ? base->list[k] : columns->list[k - base->n];
            field = tfn_str_is(key, known->name) ? known : NULL;
        }
        if (field == NULL && key.n > 0) {
            const int type =
                tfn__feast_type_number(tfn__json_get_str(yyjson_obj_get(entity, "value_type")));
            TFN_RETURN_IF_ERROR(tfn__feast_copy(w, NULL, &feast__field__descriptor, &field, err));
            field->name = tfn__feast_member(w, entity, "join_key");
            field->value_type = type == 0 ? STRING : type;
        }
        list[n] = field;
        n += field != NULL ? 1 : 0;
    }
    *columns = (tfn__feast_fields){list, n};
    return TFN_OK;
}

static tfn_code write_function(tfn__feast_writer *w, yyjson_val *document, yyjson_val *from,
                               Feast__OnDemandViewSpec *spec, tfn_error *err)
{
    yyjson_val *function = yyjson_obj_get(from, "function");
    const Feast__UserFunction *before =
        tfn__feast_get_function(spec->transformation, spec->function);
    Feast__UserFunction *made = NULL;
    if (function == NULL) {
        return TFN_OK;
    }
    TFN_RETURN_IF_ERROR(
        tfn__feast_write_function(w, document, function, before, spec->mode, &made, err));
    if (made == before) {
        return TFN_OK;
    }
    spec->function = NULL; /* it said what the older one was */
    TFN_RETURN_IF_ERROR(
        tfn__feast_copy(w, NULL, &feast__transformation__descriptor, &spec->transformation, err));
    spec->transformation->kind_case = FEAST__TRANSFORMATION__KIND_FUNCTION;
    spec->transformation->function = made;
    return TFN_OK;
}

/* `seen` has the fields, which are made before any view is written: views may read each other. */
static tfn_code write_spec(tfn__feast_writer *w, yyjson_val *document, bool has_base,
                           Feast__OnDemandViewSpec *spec, tfn_error *err)
{
    const Feast__OnDemandViewSpec before = *spec;
    yyjson_val *content = content_of(document);
    yyjson_val *from = content != NULL ? content : document;
    const tfn__feast_fields base[2] = {{before.entity_columns, before.n_entity_columns},
                                       {before.features, before.n_features}};
    const tfn__feast_switches switches = {&spec->version, &spec->org, NULL, &spec->disabled, NULL};
    char *mode = tfn__feast_member(w, from, "mode");
    tfn__feast_fields lists[2] = {{0}};
    spec->name = tfn__feast_member(w, document, "name");
    spec->project = w->project;
    spec->description = tfn__feast_member(w, document, "description");
    spec->owner = tfn__feast_member(w, document, "owner");
    spec->mode =
        has_base && spec->mode[0] == '\0' && strcmp(mode, "pandas") == 0 ? spec->mode : mode;
    spec->singleton = yyjson_get_bool(yyjson_obj_get(from, "singleton"));
    spec->write_to_online_store = yyjson_get_bool(yyjson_obj_get(from, "write_to_online_store"));
    tfn__feast_write_switches(w, content, &switches);
    TFN_RETURN_IF_ERROR(
        tfn__feast_set_pairs(w, yyjson_obj_get(document, "tags"), &spec->tags, &spec->n_tags, err));
    TFN_RETURN_IF_ERROR(tfn__feast_write_schema(w, document, NULL, base, lists, err));
    TFN_RETURN_IF_ERROR(add_columns(w, document, &base[0], &lists[0], err));
    TFN_RETURN_IF_ERROR(tfn__feast_write_entities(w, yyjson_obj_get(document, "entities"),
                                                  &spec->entities, &spec->n_entities, err));
    spec->entity_columns = lists[0].list;
    spec->n_entity_columns = lists[0].n;
    spec->features = lists[1].list;
    spec->n_features = lists[1].n;
    if (content != NULL) { /* documents of on-demand views have none */
        TFN_RETURN_IF_ERROR(tfn__feast_write_aggregations(w, content, &spec->aggregations,
                                                          &spec->n_aggregations, err));
    }
    TFN_RETURN_IF_ERROR(write_inputs(w, document, from, &before, spec, err));
    return write_function(w, document, from, spec, err);
}

tfn_code tfn__feast_make_on_demand(tfn__feast_writer *w, yyjson_val *document, const void *base,
                                   void **out, tfn_error *err)
{
    const Feast__OnDemandView *before = base;
    Feast__OnDemandView *to = NULL;
    bool is_same = false;
    TFN_RETURN_IF_ERROR(tfn__feast_copy(w, before, &feast__on_demand_view__descriptor, &to, err));
    TFN_RETURN_IF_ERROR(
        tfn__feast_copy(w, to->spec, &feast__on_demand_view_spec__descriptor, &to->spec, err));
    TFN_RETURN_IF_ERROR(
        tfn__feast_copy(w, to->meta, &feast__on_demand_meta__descriptor, &to->meta, err));
    TFN_RETURN_IF_ERROR(write_spec(w, document, before != NULL, to->spec, err));
    TFN_RETURN_IF_ERROR(tfn__feast_is_same(w, before == NULL ? NULL : (const void *)before->spec,
                                           &to->spec->base, &is_same, err));
    *out = to;
    return tfn__feast_set_times(w, document, !is_same, &to->meta->created, &to->meta->last_updated,
                                err);
}
