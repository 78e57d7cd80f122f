/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

/*
 * On-demand views and feature services of Feast's registry: what names views.
 *
 * A projection there lists its columns always. A service here does, too; an on-demand view that
 * takes all of a view names none (docs/formats/definitions.md), so a list that is all of the view's
 * becomes an empty one.
 *
 * A function is its text here, from its `def` on. Feast stores the text with the decorators, which
 * are cut off; which module it is from Feast does not say, and its pickle is never opened.
 *
 * An on-demand view that this release does not run (stored, aggregating, versioned, not of Python)
 * has no form among our on-demand views; it is kept as a view that cannot be run, under its class.
 */

#include "registry/feast_read.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/sha.h>

#include "base/poison.h"

static const double million = 1e6;
enum { SENTENCE_BYTES = 512, NAMED_FIELDS_BYTES = 256 };

/* ---- functions ---- */

/* Where the function begins: behind decorators at the left margin, if there are any. */
static const char *skip_decorators(const char *text)
{
    if (text[0] != '@') {
        return text;
    }
    for (const char *end = strchr(text, '\n'); end != NULL; end = strchr(end + 1, '\n')) {
        const tfn_str line = tfn_str_of(end + 1);
        if (tfn_str_starts_with(line, "def ") || tfn_str_starts_with(line, "async def ")) {
            return line.p;
        }
    }
    return text;
}

void tfn__feast_put_function(tfn__feast_reading *r, yyjson_mut_val *object,
                             const Feast__UserFunction *function)
{
    unsigned char digest[SHA256_DIGEST_LENGTH];
    char text[2 * SHA256_DIGEST_LENGTH + 1];
    const char *source = skip_decorators(function->source);
    (void)SHA256((const unsigned char *)source, strlen(source), digest);
    for (size_t i = 0; i < sizeof digest; i++) {
        (void)snprintf(text + 2 * i, 3, "%02x", digest[i]);
    }
    tfn__feast_put(r, object, "module", "");
    tfn__feast_put(r, object, "name", function->name[0] == '\0' ? "<function>" : function->name);
    tfn__feast_put(r, object, "source", source);
    (void)yyjson_mut_obj_add_strcpy(r->doc, object, "hash", text);
}

/* ---- projections ---- */

static bool has_same_names(Feast__Field **some, size_t n_some, Feast__Field **all, size_t n_all)
{
    bool is_same = n_some == n_all;
    for (size_t i = 0; i < n_all && is_same; i++) {
        is_same = strcmp(some[i]->name, all[i]->name) == 0;
    }
    return is_same;
}

/* Where each view stands: feature views first, on-demand ones after them. */
static void index_views(tfn__feast_reading *r)
{
    const Feast__Registry *f = r->registry;
    tfn_code rc = TFN_OK;
    for (size_t i = 0; i < f->n_feature_views && rc == TFN_OK; i++) {
        const Feast__FeatureViewSpec *spec = f->feature_views[i]->spec;
        if (spec != NULL && tfn__feast_is_wanted(r, spec->project)) {
            rc = tfn_map_put(&r->views, tfn_str_of(spec->name), (uint32_t)i, NULL);
        }
    }
    for (size_t i = 0; i < f->n_on_demand_views && rc == TFN_OK; i++) {
        const Feast__OnDemandViewSpec *spec = f->on_demand_views[i]->spec;
        if (spec != NULL && tfn__feast_is_wanted(r, spec->project)) {
            rc = tfn_map_put(&r->views, tfn_str_of(spec->name), (uint32_t)(f->n_feature_views + i),
                             NULL);
        }
    }
    r->was_refused = r->was_refused || rc != TFN_OK;
}

/* Does it list all features of its view, in their order? */
static bool is_whole_view(const tfn__feast_reading *r, const Feast__Projection *p)
{
    const Feast__Registry *f = r->registry;
    uint32_t i = 0;
    if (!tfn_map_get(&r->views, tfn_str_of(p->view), &i)) {
        return false;
    }
    if (i < f->n_feature_views) {
        const Feast__FeatureViewSpec *spec = f->feature_views[i]->spec;
        return has_same_names(p->features, p->n_features, spec->features, spec->n_features);
    }
    const Feast__OnDemandViewSpec *spec = f->on_demand_views[i - f->n_feature_views]->spec;
    return has_same_names(p->features, p->n_features, spec->features, spec->n_features);
}

static void add_projection(tfn__feast_reading *r, yyjson_mut_val *array, const Feast__Projection *p,
                           bool is_all_empty)
{
    yyjson_mut_val *object = yyjson_mut_arr_add_obj(r->doc, array);
    tfn__feast_put(r, object, "view", p->view);
    tfn__feast_put(r, object, "name_alias",
                   strcmp(p->name_alias, p->view) == 0 ? "" : p->name_alias);
    tfn__feast_put_pairs(r, object, "join_key_map", p->join_key_map, p->n_join_key_map);
    yyjson_mut_val *features = yyjson_mut_obj_add_arr(r->doc, object, "features");
    const size_t n = is_all_empty && is_whole_view(r, p) ? 0 : p->n_features;
    for (size_t i = 0; i < n; i++) {
        if (tfn__feast_field_type(p->features[i]) != NULL) { /* else the view does not have it */
            (void)yyjson_mut_arr_add_str(r->doc, features, p->features[i]->name);
        }
    }
}

/* ---- on-demand views ---- */

static int compare_sources(const void *a, const void *b)
{
    return strcmp((*(Feast__OnDemandSource *const *)a)->key,
                  (*(Feast__OnDemandSource *const *)b)->key);
}

/* By name: they are a map in Feast, without an order. */
static void put_inputs(tfn__feast_reading *r, yyjson_mut_val *object,
                       const Feast__OnDemandViewSpec *spec)
{
    if (spec->n_sources > 0) {
        qsort((void *)spec->sources, spec->n_sources, sizeof *spec->sources, compare_sources);
    }
    yyjson_mut_val *sources = yyjson_mut_obj_add_arr(r->doc, object, "sources");
    yyjson_mut_val *requests = yyjson_mut_obj_add_arr(r->doc, object, "request_sources");
    for (size_t i = 0; i < spec->n_sources; i++) {
        const Feast__OnDemandInput *input = spec->sources[i]->value;
        switch (input == NULL ? FEAST__ON_DEMAND_INPUT__SOURCE__NOT_SET : input->source_case) {
        case FEAST__ON_DEMAND_INPUT__SOURCE_PROJECTION:
            add_projection(r, sources, input->projection, true);
            break;
        case FEAST__ON_DEMAND_INPUT__SOURCE_REQUEST:
            (void)yyjson_mut_arr_add_str(r->doc, requests, tfn__feast_source_name(input->request));
            break;
        case FEAST__ON_DEMAND_INPUT__SOURCE_VIEW: { /* of the first Feasts: a whole view */
            yyjson_mut_val *whole = yyjson_mut_arr_add_obj(r->doc, sources);
            tfn__feast_put(r, whole, "view",
                           input->view->spec == NULL ? "" : input->view->spec->name);
            break;
        }
        default:
            break;
        }
    }
}

static const char *mode_of(const Feast__OnDemandViewSpec *spec)
{
    return spec->mode[0] == '\0' ? "pandas" : spec->mode;
}

/* Why it cannot be run; "" when it can. */
static void find_missing(const Feast__OnDemandViewSpec *spec, char text[SENTENCE_BYTES])
{
    char odd[NAMED_FIELDS_BYTES] = "";
    const char *mode = mode_of(spec);
    const char *found = "";
    tfn__feast_name_odd_fields(spec->features, spec->n_features, odd, sizeof odd);
    if (spec->disabled) {
        found = "it is disabled (enabled=False)";
    } else if (spec->version[0] != '\0' && strcmp(spec->version, "latest") != 0) {
        found = "views have no versions here; leave `version` out, and read past states with as_of "
                "(every apply is a commit)";
    } else if (spec->write_to_online_store) {
        found = "this release stores nothing that on-demand views compute; leave "
                "write_to_online_store out, and it is computed when it is read";
    } else if (spec->n_aggregations > 0) {
        found =
            "this release does not run the aggregations of an on-demand feature view; aggregate "
            "in its function, or in the source of a feature view";
    } else if (tfn__feast_get_function(spec->transformation, spec->function) == NULL ||
               (strcmp(mode, "pandas") != 0 && strcmp(mode, "python") != 0)) {
        found = "this release runs on-demand feature views of the modes 'pandas' and 'python' only";
    } else if (spec->n_features == 0) {
        found = "it has no features";
    }
    (void)snprintf(text, SENTENCE_BYTES, "%s", found);
    if (found[0] == '\0' && odd[0] != '\0') {
        (void)snprintf(text, SENTENCE_BYTES,
                       "this release does not have the types of its fields %s; return them in "
                       "another form",
                       odd);
    }
}

static void put_schema(tfn__feast_reading *r, yyjson_mut_val *object,
                       const Feast__OnDemandViewSpec *spec)
{
    yyjson_mut_val *schema = yyjson_mut_obj_add_arr(r->doc, object, "schema");
    for (size_t i = 0; i < spec->n_features; i++) {
        if (tfn__feast_field_type(spec->features[i]) != NULL) {
            tfn__feast_add_field(r, schema, spec->features[i]);
        }
    }
}

static void add_on_demand(tfn__feast_reading *r, const Feast__OnDemandViewSpec *spec)
{
    yyjson_mut_val *object =
        tfn__feast_add_object(r, "on_demand_feature_view", spec->name, spec->description,
                              spec->owner, spec->tags, spec->n_tags);
    put_inputs(r, object, spec);
    tfn__feast_put_entities(r, object, spec->entities, spec->n_entities);
    put_schema(r, object, spec);
    tfn__feast_put(r, object, "mode", mode_of(spec));
    (void)yyjson_mut_obj_add_bool(r->doc, object, "singleton", spec->singleton);
    yyjson_mut_val *function = yyjson_mut_obj_add_obj(r->doc, object, "function");
    tfn__feast_put_function(r, function,
                            tfn__feast_get_function(spec->transformation, spec->function));
}

static void add_kept(tfn__feast_reading *r, const Feast__OnDemandViewSpec *spec,
                     const char *missing)
{
    const Feast__UserFunction *function =
        tfn__feast_get_function(spec->transformation, spec->function);
    yyjson_mut_val *object = tfn__feast_add_object(r, "feature_view", spec->name, spec->description,
                                                   spec->owner, spec->tags, spec->n_tags);
    r->lacks_source = true;
    tfn__feast_put(r, object, "source", tfn__feast_no_source);
    tfn__feast_put_entities(r, object, spec->entities, spec->n_entities);
    put_schema(r, object, spec);
    (void)yyjson_mut_obj_add_bool(r->doc, object, "online", spec->write_to_online_store);
    yyjson_mut_val *foreign = yyjson_mut_obj_add_obj(r->doc, object, "foreign");
    tfn__feast_put(r, foreign, "class", "OnDemandFeatureView");
    (void)yyjson_mut_obj_add_strcpy(r->doc, foreign, "missing", missing);
    yyjson_mut_val *content = yyjson_mut_obj_add_obj(r->doc, foreign, "content");
    put_inputs(r, content, spec);
    tfn__feast_put(r, content, "mode", mode_of(spec));
    (void)yyjson_mut_obj_add_bool(r->doc, content, "singleton", spec->singleton);
    (void)yyjson_mut_obj_add_bool(r->doc, content, "write_to_online_store",
                                  spec->write_to_online_store);
    tfn__feast_put_aggregations(r, content, spec->aggregations, spec->n_aggregations);
    tfn__feast_put_some(r, content, "version", spec->version);
    tfn__feast_put_some(r, content, "org", spec->org);
    (void)yyjson_mut_obj_add_bool(r->doc, content, "disabled", spec->disabled);
    if (function != NULL) {
        tfn__feast_put_function(r, yyjson_mut_obj_add_obj(r->doc, content, "function"), function);
    }
}

void tfn__feast_read_on_demand(tfn__feast_reading *r)
{
    index_views(r);
    for (size_t i = 0; i < r->registry->n_on_demand_views; i++) {
        const Feast__OnDemandViewSpec *spec = r->registry->on_demand_views[i]->spec;
        char missing[SENTENCE_BYTES] = "";
        if (spec == NULL || !tfn__feast_is_wanted(r, spec->project)) {
            continue;
        }
        find_missing(spec, missing);
        if (missing[0] == '\0') {
            add_on_demand(r, spec);
        } else {
            add_kept(r, spec, missing);
        }
    }
}

/* ---- services ---- */

/* Logs to files; other destinations have no place in a document. */
static void put_logging(tfn__feast_reading *r, yyjson_mut_val *object,
                        const Feast__LoggingConfig *logging)
{
    if (logging == NULL || logging->file == NULL || logging->file->path[0] == '\0') {
        return;
    }
    const double rate = (double)logging->sample_rate;
    const bool is_share = rate >= 0 && rate <= 1; /* false for NaN as well */
    yyjson_mut_val *config = yyjson_mut_obj_add_obj(r->doc, object, "logging_config");
    (void)yyjson_mut_obj_add_sint(r->doc, config, "sample_rate_millionths",
                                  (int64_t)((is_share ? rate : 1.0) * million + 0.5));
    yyjson_mut_val *destination = yyjson_mut_obj_add_obj(r->doc, config, "destination");
    tfn__feast_put(r, destination, "type", "file");
    tfn__feast_put(r, destination, "path", logging->file->path);
    tfn__feast_put(r, destination, "s3_endpoint_override", logging->file->s3_endpoint_override);
    tfn__feast_put_texts(r, destination, "partition_by", logging->file->partition_by,
                         logging->file->n_partition_by);
}

void tfn__feast_read_services(tfn__feast_reading *r)
{
    for (size_t i = 0; i < r->registry->n_feature_services; i++) {
        const Feast__FeatureServiceSpec *spec = r->registry->feature_services[i]->spec;
        if (spec == NULL || !tfn__feast_is_wanted(r, spec->project)) {
            continue;
        }
        yyjson_mut_val *object =
            tfn__feast_add_object(r, "feature_service", spec->name, spec->description, spec->owner,
                                  spec->tags, spec->n_tags);
        yyjson_mut_val *features = yyjson_mut_obj_add_arr(r->doc, object, "features");
        for (size_t k = 0; k < spec->n_features; k++) {
            add_projection(r, features, spec->features[k], false);
        }
        put_logging(r, object, spec->logging_config);
    }
}
