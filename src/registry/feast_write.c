/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

/*
 * Documents of a project, laid over a registry file of Feast.
 *
 * Each list of the file is gone through once: objects of other projects stay, one of ours is made
 * from its document over what it was, one without a document goes, and documents that found none
 * are added at the end. So a file comes back with its order, and with everything that no document
 * speaks of (feast_write.h). What reading leaves out of documents is no reason for an object to go:
 * Feast's dummy entity, saved datasets that lie elsewhere than in files.
 *
 * Sources come first, then views, as services and on-demand views repeat the fields and sources of
 * what they name.
 *
 * Cost: the base is decoded twice, as a message and as documents (what they say the same is not
 * touched in foreign objects); the rest is in proportion to what is written.
 */

#include "registry/feast_write.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "registry/feast_read.h"
#include "registry/registry_internal.h"

#include "base/poison.h"

enum { UUID_BYTES = 16, UUID_TEXT_BYTES = 37 };

/* ---- documents by name ---- */

yyjson_val *tfn__feast_document(const tfn__feast_writer *w, const tfn_map *kind, const char *name)
{
    uint32_t i = 0;
    return tfn_map_get(kind, tfn_str_of(name), &i) ? w->by_place[i] : NULL;
}

yyjson_val *tfn__feast_before(const tfn__feast_writer *w, yyjson_val *document)
{
    uint32_t i = 0;
    const tfn_str name = tfn__json_get_str(yyjson_obj_get(document, "name"));
    return tfn_map_get(&w->before_places, name, &i) ? w->before_by_place[i] : NULL;
}

static tfn_code index_documents(tfn__feast_writer *w, tfn_error *err)
{
    yyjson_arr_iter items = yyjson_arr_iter_with(w->documents);
    uint32_t i = 0;
    const size_t n = yyjson_arr_size(w->documents);
    TFN_RETURN_IF_ERROR(tfn__feast_alloc(w, n + 1, sizeof *w->by_place, &w->by_place, err));
    TFN_RETURN_IF_ERROR(tfn__feast_alloc(w, n + 1, sizeof *w->seen, &w->seen, err));
    for (yyjson_val *item = yyjson_arr_iter_next(&items); item != NULL;
         item = yyjson_arr_iter_next(&items)) {
        tfn_object_kind kind = TFN_OBJECT_NONE;
        tfn_str name = {0};
        tfn_map *map = NULL;
        TFN_RETURN_IF_ERROR(tfn__document_identify(item, &kind, &name, err));
        if (kind == TFN_OBJECT_ENTITY) {
            map = &w->entities;
        } else if (kind == TFN_OBJECT_SOURCE) {
            map = &w->sources;
        } else if (kind == TFN_OBJECT_VIEW || kind == TFN_OBJECT_ON_DEMAND_VIEW) {
            map = &w->views;
        }
        w->by_place[i] = item;
        if (map != NULL) {
            TFN_RETURN_IF_ERROR(tfn_map_put(map, name, i, err));
        }
        i++;
    }
    return TFN_OK;
}

/* The base's sources as documents: what foreign ones are compared with. */
static tfn_code index_before(tfn__feast_writer *w, yyjson_val *request, tfn_error *err)
{
    uint32_t i = 0;
    w->before = yyjson_obj_get(request, "objects");
    yyjson_arr_iter items = yyjson_arr_iter_with(w->before);
    TFN_RETURN_IF_ERROR(tfn__feast_alloc(w, yyjson_arr_size(w->before) + 1,
                                         sizeof *w->before_by_place, &w->before_by_place, err));
    for (yyjson_val *item = yyjson_arr_iter_next(&items); item != NULL;
         item = yyjson_arr_iter_next(&items)) {
        w->before_by_place[i] = item;
        if (yyjson_equals_str(yyjson_obj_get(item, "kind"), "data_source")) {
            const tfn_str name = tfn__json_get_str(yyjson_obj_get(item, "name"));
            TFN_RETURN_IF_ERROR(tfn_map_put(&w->before_places, name, i, err));
        }
        i++;
    }
    return TFN_OK;
}

static tfn_code read_before(tfn__feast_writer *w, tfn_error *err)
{
    tfn_buf request = {0};
    yyjson_val *root = NULL;
    tfn_error why = {0};
    tfn_code rc = tfn_feast_read(w->asked->base, w->asked->project, &request, &why);
    if (rc == TFN_OK) {
        rc = tfn__json_read(&w->arena, tfn_buf_get_str(&request), "what the base says", &root, err);
        if (rc == TFN_OK) {
            rc = index_before(w, root, err);
        }
    } else if (rc == TFN_NO_MEMORY) {
        *err = why;
    } else {
        rc = TFN_OK; /* the base has nothing of the project, or nothing to compare with */
    }
    tfn_buf_deinit(&request);
    return rc;
}

static tfn_code index_base(tfn__feast_writer *w, tfn_error *err)
{
    for (size_t i = 0; i < w->base->n_data_sources; i++) {
        const Feast__DataSource *source = w->base->data_sources[i];
        if (tfn_str_is(w->asked->project, source->project)) {
            TFN_RETURN_IF_ERROR(tfn_map_put(
                &w->base_sources, tfn_str_of(tfn__feast_source_name(source)), (uint32_t)i, err));
        }
    }
    return TFN_OK;
}

/* ---- lists of the file ---- */

typedef struct identity {
    const char *project;
    const char *name;
} identity;

/* Of an object without a spec nobody knows whose it is. */
#define IDENTIFY(function, type)                                                                   \
    static identity function(const void *object)                                                   \
    {                                                                                              \
        const type *o = object;                                                                    \
        return o->spec == NULL ? (identity){"", ""} : (identity){o->spec->project, o->spec->name}; \
    }

IDENTIFY(identify_entity, Feast__Entity)
IDENTIFY(identify_view, Feast__FeatureView)
IDENTIFY(identify_stream_view, Feast__StreamView)
IDENTIFY(identify_label_view, Feast__LabelView)
IDENTIFY(identify_on_demand, Feast__OnDemandView)
IDENTIFY(identify_service, Feast__FeatureService)
IDENTIFY(identify_dataset, Feast__SavedDataset)
IDENTIFY(identify_permission, Feast__Permission)

static identity identify_project(const void *object)
{
    const Feast__Project *o = object;
    return o->spec == NULL ? (identity){"", ""} : (identity){o->spec->name, o->spec->name};
}

static identity identify_source(const void *object)
{
    const Feast__DataSource *o = object;
    return (identity){o->project, tfn__feast_source_name(o)};
}

static identity identify_reference(const void *object)
{
    const Feast__ValidationReference *o = object;
    return (identity){o->project, o->name};
}

static bool is_kind(yyjson_val *document, const char *kind)
{
    return yyjson_equals_str(yyjson_obj_get(document, "kind"), kind);
}

static bool is_class(yyjson_val *document, const char *class)
{
    yyjson_val *foreign = yyjson_obj_get(document, "foreign");
    return is_kind(document, "feature_view") &&
           yyjson_equals_str(yyjson_obj_get(foreign, "class"), class);
}

static bool is_project(yyjson_val *document)
{
    return is_kind(document, "project");
}

static bool is_entity(yyjson_val *document)
{
    return is_kind(document, "entity");
}

static bool is_source(yyjson_val *document)
{
    return is_kind(document, "data_source") && !tfn__feast_is_unlisted(document);
}

static bool is_stream_view(yyjson_val *document)
{
    return is_class(document, "StreamFeatureView");
}

static bool is_label_view(yyjson_val *document)
{
    return is_class(document, "LabelView");
}

static bool is_on_demand(yyjson_val *document)
{
    return is_kind(document, "on_demand_feature_view") || is_class(document, "OnDemandFeatureView");
}

static bool is_view(yyjson_val *document)
{
    return is_kind(document, "feature_view") && !is_stream_view(document) &&
           !is_label_view(document) && !is_on_demand(document);
}

static bool is_service(yyjson_val *document)
{
    return is_kind(document, "feature_service");
}

static bool is_dataset(yyjson_val *document)
{
    return is_kind(document, "saved_dataset");
}

static bool is_reference(yyjson_val *document)
{
    return is_kind(document, "validation_reference");
}

static bool is_permission(yyjson_val *document)
{
    return is_kind(document, "permission");
}

static bool is_dummy(const void *object)
{
    return strcmp(identify_entity(object).name, tfn__feast_dummy_entity) == 0;
}

static bool is_elsewhere(const void *object)
{
    const Feast__SavedDataset *o = object;
    return o->spec->storage == NULL || o->spec->storage->file == NULL ||
           o->spec->storage->file->uri[0] == '\0';
}

static bool is_any(const void *object)
{
    (void)object;
    return true;
}

/* One list of the file. */
typedef struct list {
    size_t n_at; /* in Feast__Registry */
    size_t list_at;
    identity (*identify)(const void *object);
    bool (*is_of)(yyjson_val *document);
    bool (*stays)(const void *object); /* without a document; NULL: never */
    tfn__feast_make make;
} list;

#define AT(member) offsetof(Feast__Registry, n_##member), offsetof(Feast__Registry, member)

static const list before_views[] = {
    {AT(projects), identify_project, is_project, is_any, tfn__feast_make_project},
    {AT(entities), identify_entity, is_entity, is_dummy, tfn__feast_make_entity},
    {AT(data_sources), identify_source, is_source, NULL, tfn__feast_make_source},
    {AT(feature_views), identify_view, is_view, NULL, tfn__feast_make_view},
    {AT(stream_views), identify_stream_view, is_stream_view, NULL, tfn__feast_make_stream_view},
    {AT(label_views), identify_label_view, is_label_view, NULL, tfn__feast_make_label_view},
};

static const list after_views[] = {
    {AT(on_demand_views), identify_on_demand, is_on_demand, NULL, tfn__feast_make_on_demand},
    {AT(feature_services), identify_service, is_service, NULL, tfn__feast_make_service},
    {AT(saved_datasets), identify_dataset, is_dataset, is_elsewhere, tfn__feast_make_saved_dataset},
    {AT(validation_references), identify_reference, is_reference, NULL,
     tfn__feast_make_validation_reference},
    {AT(permissions), identify_permission, is_permission, NULL, tfn__feast_make_permission},
};

/* Documents of one list. */
typedef struct wanted {
    tfn_map places; /* name -> place */
    yyjson_val **documents;
    bool *is_made;
    size_t n;
} wanted;

static tfn_code find_wanted(tfn__feast_writer *w, const list *l, wanted *out, tfn_error *err)
{
    const size_t n = yyjson_arr_size(w->documents);
    TFN_RETURN_IF_ERROR(tfn__feast_alloc(w, n + 1, sizeof *out->documents, &out->documents, err));
    TFN_RETURN_IF_ERROR(tfn__feast_alloc(w, n + 1, sizeof *out->is_made, &out->is_made, err));
    for (size_t i = 0; i < n; i++) {
        yyjson_val *document = w->by_place[i];
        if (l->is_of(document)) {
            out->documents[out->n] = document;
            TFN_RETURN_IF_ERROR(tfn_map_put(&out->places,
                                            tfn__json_get_str(yyjson_obj_get(document, "name")),
                                            (uint32_t)out->n, err));
            out->n++;
        }
    }
    return TFN_OK;
}

static tfn_code make_one(tfn__feast_writer *w, const list *l, yyjson_val *document,
                         const void *base, void **out, tfn_error *err)
{
    TFN_RETURN_IF_ERROR(l->make(w, document, base, out, err));
    if (w->has_nul) {
        return tfn__feast_refuse(
            document, "a text of it holds the character of code 0; write it without", err);
    }
    return TFN_OK;
}

/* What becomes of an object of the base: *out is NULL when it goes. */
static tfn_code carry_over(tfn__feast_writer *w, const list *l, wanted *all, void *object,
                           void **out, tfn_error *err)
{
    const identity id = l->identify(object);
    uint32_t i = 0;
    *out = object;
    if (!tfn_str_is(w->asked->project, id.project)) {
        return TFN_OK;
    }
    if (!tfn_map_get(&all->places, tfn_str_of(id.name), &i)) {
        *out = l->stays != NULL && l->stays(object) ? object : NULL;
        return TFN_OK;
    }
    if (all->is_made[i]) { /* the base has it twice */
        *out = NULL;
        return TFN_OK;
    }
    all->is_made[i] = true;
    return make_one(w, l, all->documents[i], object, out, err);
}

static tfn_code fill_list(tfn__feast_writer *w, const list *l, wanted *all, Feast__Registry *root,
                          tfn_error *err)
{
    size_t n_old = 0;
    void **old = NULL;
    void **made = NULL;
    size_t n = 0;
    memcpy(&n_old, (const char *)w->base + l->n_at, sizeof n_old);
    memcpy(&old, (const char *)w->base + l->list_at, sizeof old);
    TFN_RETURN_IF_ERROR(tfn__feast_alloc(w, n_old + all->n + 1, sizeof *made, &made, err));
    for (size_t i = 0; i < n_old; i++) {
        TFN_RETURN_IF_ERROR(carry_over(w, l, all, old[i], &made[n], err));
        n += made[n] != NULL ? 1 : 0;
    }
    for (size_t i = 0; i < all->n; i++) {
        if (!all->is_made[i]) {
            TFN_RETURN_IF_ERROR(make_one(w, l, all->documents[i], NULL, &made[n], err));
            n++;
        }
    }
    memcpy((char *)root + l->n_at, &n, sizeof n);
    memcpy((char *)root + l->list_at, &made, sizeof made);
    return TFN_OK;
}

static tfn_code write_list(tfn__feast_writer *w, const list *l, Feast__Registry *root,
                           tfn_error *err)
{
    wanted all = {0};
    tfn_code rc = find_wanted(w, l, &all, err);
    if (rc == TFN_OK) {
        rc = fill_list(w, l, &all, root, err);
    }
    tfn_map_deinit(&all.places);
    return rc;
}

/* ---- views as others see them ---- */

static yyjson_val *batch_source_of(const tfn__feast_writer *w, yyjson_val *document)
{
    const char *name = yyjson_get_str(yyjson_obj_get(document, "source"));
    yyjson_val *source = name == NULL ? NULL : tfn__feast_document(w, &w->sources, name);
    yyjson_val *behind = tfn__feast_batch_of(w, source);
    source = behind != NULL ? behind : source;
    return yyjson_equals_str(yyjson_obj_get(source, "name"), tfn__feast_no_source) ? NULL : source;
}

static void see(tfn__feast_writer *w, identity id, Feast__Field **features, size_t n,
                const char *type)
{
    uint32_t i = 0;
    if (tfn_str_is(w->asked->project, id.project) &&
        tfn_map_get(&w->views, tfn_str_of(id.name), &i)) {
        w->seen[i] = (tfn__feast_seen){features, n, batch_source_of(w, w->by_place[i]), type};
    }
}

/* Those of a stream view without its columns. */
static tfn_code see_stream_view(tfn__feast_writer *w, const Feast__StreamView *view, tfn_error *err)
{
    Feast__Field **features = NULL;
    size_t n = 0;
    if (view->spec == NULL) {
        return TFN_OK;
    }
    TFN_RETURN_IF_ERROR(
        tfn__feast_alloc(w, view->spec->n_features + 1, sizeof *features, &features, err));
    for (size_t i = 0; i < view->spec->n_features; i++) {
        bool is_column = false;
        for (size_t k = 0; k < view->spec->n_entity_columns && !is_column; k++) {
            is_column =
                strcmp(view->spec->entity_columns[k]->name, view->spec->features[i]->name) == 0;
        }
        if (!is_column) {
            features[n++] = view->spec->features[i];
        }
    }
    see(w, identify_stream_view(view), features, n, "featureView");
    return TFN_OK;
}

static tfn_code see_on_demand_views(tfn__feast_writer *w, tfn_error *err)
{
    for (size_t i = 0; i < yyjson_arr_size(w->documents); i++) {
        tfn__feast_fields fields[2] = {{0}};
        const tfn__feast_fields none[2] = {{0}};
        if (is_on_demand(w->by_place[i])) {
            TFN_RETURN_IF_ERROR(
                tfn__feast_write_schema(w, w->by_place[i], NULL, none, fields, err));
            w->seen[i] = (tfn__feast_seen){fields[1].list, fields[1].n, NULL, "featureView"};
        }
    }
    return TFN_OK;
}

static tfn_code see_views(tfn__feast_writer *w, const Feast__Registry *root, tfn_error *err)
{
    for (size_t i = 0; i < root->n_feature_views; i++) {
        const Feast__FeatureViewSpec *spec = root->feature_views[i]->spec;
        if (spec != NULL) {
            see(w, identify_view(root->feature_views[i]), spec->features, spec->n_features,
                "featureView");
        }
    }
    for (size_t i = 0; i < root->n_stream_views; i++) {
        TFN_RETURN_IF_ERROR(see_stream_view(w, root->stream_views[i], err));
    }
    for (size_t i = 0; i < root->n_label_views; i++) {
        const Feast__LabelViewSpec *spec = root->label_views[i]->spec;
        if (spec != NULL) {
            see(w, identify_label_view(root->label_views[i]), spec->features, spec->n_features,
                "labelView");
        }
    }
    return see_on_demand_views(w, err);
}

/* ---- what a file has beside objects ---- */

static tfn_code make_uuid(tfn__feast_writer *w, const uint8_t random[UUID_BYTES], char **out,
                          tfn_error *err)
{
    uint8_t b[UUID_BYTES];
    memcpy(b, random, sizeof b);
    b[6] = (uint8_t)((b[6] & 0x0f) | 0x40); /* version 4, */
    b[8] = (uint8_t)((b[8] & 0x3f) | 0x80); /* of RFC 4122 */
    TFN_RETURN_IF_ERROR(tfn__feast_alloc(w, UUID_TEXT_BYTES, 1, out, err));
    (void)snprintf(*out, UUID_TEXT_BYTES,
                   "%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x", b[0],
                   b[1], b[2], b[3], b[4], b[5], b[6], b[7], b[8], b[9], b[10], b[11], b[12], b[13],
                   b[14], b[15]);
    return TFN_OK;
}

static tfn_code add_project(tfn__feast_writer *w, Feast__Registry *root, tfn_error *err)
{
    void *made = NULL;
    for (size_t i = 0; i < root->n_projects; i++) {
        if (tfn_str_is(w->asked->project, identify_project(root->projects[i]).name)) {
            return TFN_OK;
        }
    }
    TFN_RETURN_IF_ERROR(tfn__feast_make_project(w, NULL, NULL, &made, err));
    Feast__Project *project = made;
    TFN_RETURN_IF_ERROR(tfn__feast_set_instant(w, w->asked->now, &project->meta->created, err));
    TFN_RETURN_IF_ERROR(
        tfn__feast_set_instant(w, w->asked->now, &project->meta->last_updated, err));
    root->projects[root->n_projects++] = project; /* lists have room for one more */
    return TFN_OK;
}

static tfn_code add_dummy_entity(tfn__feast_writer *w, Feast__Registry *root, tfn_error *err)
{
    Feast__Entity *entity = NULL;
    for (size_t i = 0; i < root->n_entities; i++) {
        if (tfn_str_is(w->asked->project, identify_entity(root->entities[i]).project) &&
            is_dummy(root->entities[i])) {
            return TFN_OK;
        }
    }
    TFN_RETURN_IF_ERROR(tfn__feast_copy(w, NULL, &feast__entity__descriptor, &entity, err));
    TFN_RETURN_IF_ERROR(
        tfn__feast_copy(w, NULL, &feast__entity_spec__descriptor, &entity->spec, err));
    TFN_RETURN_IF_ERROR(tfn__feast_copy(w, NULL, &feast__times__descriptor, &entity->meta, err));
    entity->spec->name = (char *)(uintptr_t)tfn__feast_dummy_entity;
    entity->spec->join_key = (char *)(uintptr_t) "__dummy_id";
    entity->spec->project = w->project;
    TFN_RETURN_IF_ERROR(tfn__feast_set_instant(w, w->asked->now, &entity->meta->created, err));
    TFN_RETURN_IF_ERROR(tfn__feast_set_instant(w, w->asked->now, &entity->meta->last_updated, err));
    root->entities[root->n_entities++] = entity;
    return TFN_OK;
}

static tfn_code add_metadata(tfn__feast_writer *w, Feast__Registry *root, tfn_error *err)
{
    Feast__ProjectMetadata **longer = NULL;
    const size_t n = root->n_project_metadata;
    for (size_t i = 0; i < n; i++) {
        if (tfn_str_is(w->asked->project, root->project_metadata[i]->project)) {
            return TFN_OK;
        }
    }
    TFN_RETURN_IF_ERROR(tfn__feast_alloc(w, n + 1, sizeof *longer, &longer, err));
    if (n > 0) {
        memcpy(longer, root->project_metadata, n * sizeof *longer);
    }
    TFN_RETURN_IF_ERROR(
        tfn__feast_copy(w, NULL, &feast__project_metadata__descriptor, &longer[n], err));
    longer[n]->project = w->project;
    root->project_metadata = longer;
    root->n_project_metadata = n + 1;
    return make_uuid(w, w->asked->random + UUID_BYTES, &longer[n]->uuid, err);
}

/* A view that goes takes its history along, as in Feast. */
static tfn_code trim_history(tfn__feast_writer *w, Feast__Registry *root, tfn_error *err)
{
    Feast__VersionRecord **kept = NULL;
    size_t n = 0;
    if (root->version_history == NULL) {
        return TFN_OK;
    }
    TFN_RETURN_IF_ERROR(tfn__feast_copy(w, root->version_history,
                                        &feast__version_history__descriptor, &root->version_history,
                                        err));
    Feast__VersionHistory *history = root->version_history;
    TFN_RETURN_IF_ERROR(tfn__feast_alloc(w, history->n_records + 1, sizeof *kept, &kept, err));
    for (size_t i = 0; i < history->n_records; i++) {
        uint32_t place = 0;
        const Feast__VersionRecord *record = history->records[i];
        if (!tfn_str_is(w->asked->project, record->project) ||
            tfn_map_get(&w->views, tfn_str_of(record->view), &place)) {
            kept[n++] = history->records[i];
        }
    }
    history->records = kept;
    history->n_records = n;
    return TFN_OK;
}

/* ---- the file ---- */

static tfn_code write_lists(tfn__feast_writer *w, Feast__Registry *root, tfn_error *err)
{
    for (size_t i = 0; i < sizeof before_views / sizeof *before_views; i++) {
        TFN_RETURN_IF_ERROR(write_list(w, &before_views[i], root, err));
    }
    TFN_RETURN_IF_ERROR(see_views(w, root, err));
    for (size_t i = 0; i < sizeof after_views / sizeof *after_views; i++) {
        TFN_RETURN_IF_ERROR(write_list(w, &after_views[i], root, err));
    }
    return TFN_OK;
}

static tfn_code write_root(tfn__feast_writer *w, tfn_buf *bytes, tfn_error *err)
{
    Feast__Registry root = *w->base;
    char *room = NULL;
    TFN_RETURN_IF_ERROR(write_lists(w, &root, err));
    TFN_RETURN_IF_ERROR(add_project(w, &root, err));
    TFN_RETURN_IF_ERROR(add_dummy_entity(w, &root, err));
    TFN_RETURN_IF_ERROR(add_metadata(w, &root, err));
    TFN_RETURN_IF_ERROR(trim_history(w, &root, err));
    TFN_RETURN_IF_ERROR(make_uuid(w, w->asked->random, &root.version_id, err));
    TFN_RETURN_IF_ERROR(tfn__feast_set_instant(w, w->asked->now, &root.last_updated, err));
    if (root.schema_version[0] == '\0') {
        root.schema_version = (char *)(uintptr_t) "1";
    }
    const size_t n = feast__registry__get_packed_size(&root);
    TFN_RETURN_IF_ERROR(tfn_buf_add_room(bytes, n, &room, err));
    (void)feast__registry__pack(&root, (uint8_t *)room);
    return TFN_OK;
}

/* JSON of what is asked for -> values in the arena. */
static tfn_code read_asked(tfn__feast_writer *w, tfn_error *err)
{
    const tfn_feast_writing *asked = w->asked;
    const char *project = NULL;
    if (asked->project.n == 0 || memchr(asked->project.p, 0, asked->project.n) != NULL) {
        return TFN_FAIL(err, TFN_INVALID, "a registry of Feast is written for a project; name one");
    }
    TFN_RETURN_IF_ERROR(
        tfn_arena_copy(&w->arena, asked->project.p, asked->project.n, &project, err));
    w->project = (char *)(uintptr_t)project;
    TFN_RETURN_IF_ERROR(
        tfn__json_read(&w->arena, asked->documents, "the documents", &w->documents, err));
    if (asked->functions.n > 0) {
        TFN_RETURN_IF_ERROR(
            tfn__json_read(&w->arena, asked->functions, "the functions", &w->functions, err));
    }
    if (!yyjson_is_arr(w->documents)) {
        return TFN_FAIL(err, TFN_INVALID, "the documents are %s; give an array of them",
                        tfn__json_type_words(w->documents));
    }
    return index_documents(w, err);
}

static tfn_code write_over(tfn__feast_writer *w, tfn_buf *bytes, tfn_error *err)
{
    TFN_RETURN_IF_ERROR(read_asked(w, err));
    TFN_RETURN_IF_ERROR(index_base(w, err));
    if (w->asked->base.n > 0) {
        TFN_RETURN_IF_ERROR(read_before(w, err));
    }
    return write_root(w, bytes, err);
}

tfn_code tfn_feast_write(const tfn_feast_writing *writing, tfn_buf *bytes, tfn_error *err)
{
    tfn__feast_message message = {0};
    Feast__Registry empty;
    tfn__feast_writer w = {.asked = writing, .base = &empty};
    tfn_code rc = TFN_OK;
    feast__registry__init(&empty);
    if (writing->base.n > 0) {
        TFN_GOTO_IF_ERROR(rc, tfn__feast_message_init(&message, writing->base, err), done);
        w.base = message.registry;
    }
    TFN_GOTO_IF_ERROR(rc, write_over(&w, bytes, err), done);
done:
    tfn_map_deinit(&w.sources);
    tfn_map_deinit(&w.entities);
    tfn_map_deinit(&w.views);
    tfn_map_deinit(&w.base_sources);
    tfn_map_deinit(&w.before_places);
    tfn_arena_deinit(&w.arena);
    tfn__feast_message_deinit(&message);
    return rc;
}
