/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

/*
 * One state of one project: entries (canonical text, hash, times) and an index by name per kind.
 *
 * Opening a state must be cheap, using one object of a thousand cheaper: so texts are loaded at
 * once, and an object is decoded when it is first asked for. `def` is written once, under the lock,
 * and read with acquire; after that a lookup takes no lock.
 *
 * Invariants
 *  1. Entries are not added after the snapshot was handed out; so entries and index need no lock.
 *  2. A def, once set, is never changed or freed before the snapshot.
 *  3. `scratch` is empty whenever the lock is free.
 */

#include "registry/registry_internal.h"

#include "base/mem.h"

#include "base/poison.h"

tfn_code tfn__snapshot_create(tfn_str project, int64_t commit, tfn_snapshot **out, tfn_error *err)
{
    *out = NULL;
    void *p = NULL;
    TFN_RETURN_IF_ERROR(tfn_mem_alloc_array(1, sizeof(tfn_snapshot), &p, err));
    tfn_snapshot *s = p;
    s->project.n = project.n;
    const tfn_code rc = tfn_arena_copy(&s->arena, project.p, project.n, &s->project.p, err);
    if (rc != TFN_OK) {
        tfn_mem_free(s);
        return rc;
    }
    atomic_init(&s->n_owners, 1);
    s->commit = commit;
    pthread_mutex_init(&s->lock, NULL);
    *out = s;
    return TFN_OK;
}

tfn_snapshot *tfn_snapshot_retain(tfn_snapshot *snapshot)
{
    atomic_fetch_add_explicit(&snapshot->n_owners, 1, memory_order_relaxed);
    return snapshot;
}

void tfn_snapshot_release(tfn_snapshot *snapshot)
{
    if (snapshot == NULL ||
        atomic_fetch_sub_explicit(&snapshot->n_owners, 1, memory_order_acq_rel) > 1) {
        return;
    }
    for (size_t i = 0; i < TFN__N_KINDS; i++) {
        tfn_map_deinit(&snapshot->index[i]);
    }
    tfn_mem_free(snapshot->entries);
    tfn_arena_deinit(&snapshot->arena);
    tfn_arena_deinit(&snapshot->scratch);
    pthread_mutex_destroy(&snapshot->lock);
    tfn_mem_free(snapshot);
}

int64_t tfn_snapshot_get_commit(const tfn_snapshot *snapshot)
{
    return snapshot->commit;
}

uint64_t tfn_snapshot_get_generation(const tfn_snapshot *snapshot)
{
    return snapshot->generation;
}

tfn_str tfn_snapshot_get_project(const tfn_snapshot *snapshot)
{
    return snapshot->project;
}

tfn_code tfn__snapshot_add(tfn_snapshot *s, const tfn__entry *entry, tfn_error *err)
{
    const size_t i = s->n_entries;
    if (i >= UINT32_MAX) {
        return TFN_FAIL(err, TFN_LIMIT, "a project may have %u objects", UINT32_MAX);
    }
    void *p = s->entries;
    TFN_RETURN_IF_ERROR(tfn_mem_grow(&p, &s->capacity, i + 1, sizeof *s->entries, err));
    s->entries = p;
    TFN_RETURN_IF_ERROR(tfn_map_put(&s->index[entry->kind], entry->name, (uint32_t)i, err));
    s->entries[i] = (tfn__entry){
        .kind = entry->kind,
        .name = entry->name,
        .body = entry->body,
        .hash = entry->hash,
        .created = entry->created,
        .updated = entry->updated,
        .before = entry->before,
        .is_put = entry->is_put,
    };
    if (s->count[entry->kind] == 0) {
        s->first[entry->kind] = i;
    }
    s->count[entry->kind]++;
    s->n_entries++;
    return TFN_OK;
}

tfn__entry *tfn__snapshot_get(const tfn_snapshot *s, tfn_object_kind kind, tfn_str name)
{
    uint32_t i = 0;
    if (!tfn_map_get(&s->index[kind], name, &i) || s->entries[i].is_removed) {
        return NULL;
    }
    return &s->entries[i];
}

tfn__entry *tfn__snapshot_get_view(const tfn_snapshot *s, tfn_str name)
{
    tfn__entry *entry = tfn__snapshot_get(s, TFN_OBJECT_VIEW, name);
    return entry != NULL ? entry : tfn__snapshot_get(s, TFN_OBJECT_ON_DEMAND_VIEW, name);
}

/* The i-th name of a kind: where a loaded snapshot has it; proposals are searched. */
typedef struct kind_names {
    const tfn_snapshot *snapshot;
    tfn_object_kind kind;
    size_t *places; /* of the entries of that kind; NULL when they are consecutive */
} kind_names;

static tfn_str get_kind_name(const void *context, size_t i)
{
    const kind_names *names = context;
    const tfn_snapshot *s = names->snapshot;
    const size_t place = names->places == NULL ? s->first[names->kind] + i : names->places[i];
    return s->entries[place].name;
}

/* The nearest names of a kind, or of two. */
static tfn_code format_hint(const tfn_snapshot *s, tfn_object_kind kind, tfn_object_kind or_kind,
                            tfn_str name, char hint[TFN__HINT_BYTES], tfn_error *err)
{
    kind_names names = {.snapshot = s, .kind = kind};
    void *p = NULL;
    TFN_RETURN_IF_ERROR(tfn_mem_alloc_array(s->n_entries, sizeof *names.places, &p, err));
    names.places = p;
    size_t n = 0;
    for (size_t i = 0; i < s->n_entries; i++) {
        const tfn_object_kind found = s->entries[i].kind;
        if ((found == kind || found == or_kind) && !s->entries[i].is_removed) {
            names.places[n] = i;
            n++;
        }
    }
    tfn__hint_format(name, get_kind_name, &names, n, hint);
    tfn_mem_free(p);
    return TFN_OK;
}

static tfn_code fail_missing(const tfn_snapshot *s, const char *user, tfn_object_kind kind,
                             tfn_object_kind or_kind, tfn_str name, tfn_error *err)
{
    char hint[TFN__HINT_BYTES];
    char quoted[TFN__SUBJECT_BYTES];
    char project[TFN__SUBJECT_BYTES];
    TFN_RETURN_IF_ERROR(format_hint(s, kind, or_kind, name, hint, err));
    tfn__name_format(name, quoted);
    tfn__name_format(s->project, project);
    const char *words = tfn_object_kind_words(kind);
    if (user == NULL) {
        return TFN_FAIL(err, TFN_NOT_FOUND, "project %s has no %s %s%s", project, words, quoted,
                        hint);
    }
    return TFN_FAIL(err, TFN_NOT_FOUND, "%s uses the %s %s, which project %s does not have%s", user,
                    words, quoted, project, hint);
}

tfn_code tfn__snapshot_fail_missing(const tfn_snapshot *s, const char *user, tfn_object_kind kind,
                                    tfn_str name, tfn_error *err)
{
    return fail_missing(s, user, kind, kind, name, err);
}

tfn_code tfn__snapshot_fail_missing_view(const tfn_snapshot *s, const char *user, tfn_str name,
                                         tfn_error *err)
{
    return fail_missing(s, user, TFN_OBJECT_VIEW, TFN_OBJECT_ON_DEMAND_VIEW, name, err);
}

tfn_code tfn__snapshot_get_def_locked(tfn_snapshot *s, tfn__entry *entry, const void **out,
                                      tfn_error *err)
{
    *out = atomic_load_explicit(&entry->def, memory_order_relaxed);
    if (*out != NULL) {
        return TFN_OK;
    }
    const tfn_arena_mark mark = tfn_arena_get_mark(&s->scratch);
    const void *def = NULL;
    const tfn_code rc = tfn__definition_decode(s, entry, &def, err);
    tfn_arena_rewind(&s->scratch, mark);
    if (rc == TFN_OK) {
        atomic_store_explicit(&entry->def, def, memory_order_release);
        *out = def;
    }
    return rc;
}

tfn_code tfn__snapshot_get_def(tfn_snapshot *s, tfn__entry *entry, const void **out, tfn_error *err)
{
    *out = atomic_load_explicit(&entry->def, memory_order_acquire);
    if (*out != NULL) {
        return TFN_OK;
    }
    pthread_mutex_lock(&s->lock);
    const tfn_code rc = tfn__snapshot_get_def_locked(s, entry, out, err);
    pthread_mutex_unlock(&s->lock);
    return rc;
}

static tfn_code find(tfn_snapshot *s, tfn_object_kind kind, tfn_str name, const void **out,
                     tfn_error *err)
{
    *out = NULL;
    tfn__entry *entry = tfn__snapshot_get(s, kind, name);
    if (entry == NULL) {
        return tfn__snapshot_fail_missing(s, NULL, kind, name, err);
    }
    return tfn__snapshot_get_def(s, entry, out, err);
}

tfn_code tfn_snapshot_find_project(tfn_snapshot *snapshot, const tfn_project_def **out,
                                   tfn_error *err)
{
    const void *def = NULL;
    const tfn_code rc = find(snapshot, TFN_OBJECT_PROJECT, snapshot->project, &def, err);
    *out = def;
    return rc;
}

tfn_code tfn_snapshot_find_entity(tfn_snapshot *snapshot, tfn_str name, const tfn_entity_def **out,
                                  tfn_error *err)
{
    const void *def = NULL;
    const tfn_code rc = find(snapshot, TFN_OBJECT_ENTITY, name, &def, err);
    *out = def;
    return rc;
}

tfn_code tfn_snapshot_find_source(tfn_snapshot *snapshot, tfn_str name, const tfn_source_def **out,
                                  tfn_error *err)
{
    const void *def = NULL;
    const tfn_code rc = find(snapshot, TFN_OBJECT_SOURCE, name, &def, err);
    *out = def;
    return rc;
}

tfn_code tfn_snapshot_find_view(tfn_snapshot *snapshot, tfn_str name, const tfn_view_def **out,
                                tfn_error *err)
{
    const void *def = NULL;
    const tfn_code rc = find(snapshot, TFN_OBJECT_VIEW, name, &def, err);
    *out = def;
    return rc;
}

tfn_code tfn_snapshot_find_any_view(tfn_snapshot *snapshot, tfn_str name, const tfn_view_def **view,
                                    const tfn_on_demand_def **on_demand, tfn_error *err)
{
    *view = NULL;
    *on_demand = NULL;
    tfn__entry *entry = tfn__snapshot_get_view(snapshot, name);
    if (entry == NULL) {
        return tfn__snapshot_fail_missing_view(snapshot, NULL, name, err);
    }
    const void *def = NULL;
    TFN_RETURN_IF_ERROR(tfn__snapshot_get_def(snapshot, entry, &def, err));
    *view = entry->kind == TFN_OBJECT_VIEW ? def : NULL;
    *on_demand = entry->kind == TFN_OBJECT_VIEW ? NULL : def;
    return TFN_OK;
}

tfn_code tfn_snapshot_find_service(tfn_snapshot *snapshot, tfn_str name,
                                   const tfn_service_def **out, tfn_error *err)
{
    const void *def = NULL;
    const tfn_code rc = find(snapshot, TFN_OBJECT_SERVICE, name, &def, err);
    *out = def;
    return rc;
}

tfn_code tfn_snapshot_find_saved_dataset(tfn_snapshot *snapshot, tfn_str name,
                                         const tfn_saved_dataset_def **out, tfn_error *err)
{
    const void *def = NULL;
    const tfn_code rc = find(snapshot, TFN_OBJECT_SAVED_DATASET, name, &def, err);
    *out = def;
    return rc;
}

size_t tfn_snapshot_count(const tfn_snapshot *snapshot, tfn_object_kind kind)
{
    return snapshot->count[kind];
}

tfn_str tfn_snapshot_get_name(const tfn_snapshot *snapshot, tfn_object_kind kind, size_t i)
{
    return snapshot->entries[snapshot->first[kind] + i].name;
}

tfn_code tfn_snapshot_get_document(tfn_snapshot *snapshot, tfn_object_kind kind, tfn_str name,
                                   tfn_str *out, tfn_error *err)
{
    *out = (tfn_str){0};
    const tfn__entry *entry = tfn__snapshot_get(snapshot, kind, name);
    if (entry == NULL) {
        return tfn__snapshot_fail_missing(snapshot, NULL, kind, name, err);
    }
    *out = entry->body;
    return TFN_OK;
}

tfn_code tfn__snapshot_describe_entry(const tfn__entry *entry, tfn_buf *out, tfn_error *err)
{
    char hash[TFN_HASH_TEXT_BYTES];
    tfn_hash128_format(entry->hash, hash);
    /* All but the closing brace. */
    TFN_RETURN_IF_ERROR(tfn_buf_add(out, entry->body.p, entry->body.n - 1, err));
    TFN_RETURN_IF_ERROR(tfn_buf_add_text(out, ",\"created_timestamp\":", err));
    TFN_RETURN_IF_ERROR(tfn__json_add_instant(out, entry->created, err));
    TFN_RETURN_IF_ERROR(tfn_buf_add_text(out, ",\"last_updated_timestamp\":", err));
    TFN_RETURN_IF_ERROR(tfn__json_add_instant(out, entry->updated, err));
    return tfn_buf_add_format(out, err, ",\"hash\":\"%s\"}", hash);
}

tfn_code tfn_snapshot_describe(tfn_snapshot *snapshot, tfn_object_kind kind, tfn_str name,
                               tfn_buf *out, tfn_error *err)
{
    const tfn__entry *entry = tfn__snapshot_get(snapshot, kind, name);
    if (entry == NULL) {
        return tfn__snapshot_fail_missing(snapshot, NULL, kind, name, err);
    }
    return tfn__snapshot_describe_entry(entry, out, err);
}

static tfn_code read_tags(tfn_arena *a, tfn_str text, yyjson_val **out, tfn_error *err)
{
    *out = NULL;
    if (text.n == 0) {
        return TFN_OK;
    }
    yyjson_val *tags = NULL;
    TFN_RETURN_IF_ERROR(tfn__json_read(a, text, "the tag filter", &tags, err));
    if (!yyjson_is_obj(tags)) {
        return TFN_FAIL(err, TFN_INVALID, "the tag filter must be an object of texts, not %s",
                        tfn__json_type_words(tags));
    }
    yyjson_obj_iter members = yyjson_obj_iter_with(tags);
    for (yyjson_val *key = yyjson_obj_iter_next(&members); key != NULL;
         key = yyjson_obj_iter_next(&members)) {
        yyjson_val *value = yyjson_obj_iter_get_val(key);
        if (!yyjson_is_str(value)) {
            char quoted[TFN__SUBJECT_BYTES];
            tfn__name_format(tfn__json_get_str(key), quoted);
            return TFN_FAIL(err, TFN_INVALID,
                            "the tag filter has %s for the tag %s; a tag is a text",
                            tfn__json_type_words(value), quoted);
        }
    }
    *out = tags;
    return TFN_OK;
}

/* Has the document every pair of `tags`? */
static tfn_code match_tags(tfn_arena *a, const tfn__entry *entry, yyjson_val *tags, bool *out,
                           tfn_error *err)
{
    *out = true;
    if (yyjson_obj_size(tags) == 0) {
        return TFN_OK;
    }
    yyjson_val *root = NULL;
    TFN_RETURN_IF_ERROR(tfn__json_read(a, entry->body, "a stored document", &root, err));
    yyjson_val *own = yyjson_obj_get(root, "tags");
    yyjson_obj_iter members = yyjson_obj_iter_with(tags);
    for (yyjson_val *key = yyjson_obj_iter_next(&members); key != NULL && *out;
         key = yyjson_obj_iter_next(&members)) {
        yyjson_val *value = yyjson_obj_getn(own, yyjson_get_str(key), yyjson_get_len(key));
        *out = value != NULL && yyjson_equals(value, yyjson_obj_iter_get_val(key));
    }
    return TFN_OK;
}

static tfn_code list_kind(const tfn_snapshot *s, tfn_object_kind kind, tfn_arena *a,
                          yyjson_val *tags, tfn_buf *out, tfn_error *err)
{
    bool is_first = true;
    TFN_RETURN_IF_ERROR(tfn_buf_add(out, "[", 1, err));
    for (size_t i = 0; i < s->count[kind]; i++) {
        const tfn__entry *entry = &s->entries[s->first[kind] + i];
        bool is_match = true;
        const tfn_arena_mark mark = tfn_arena_get_mark(a);
        TFN_RETURN_IF_ERROR(match_tags(a, entry, tags, &is_match, err));
        tfn_arena_rewind(a, mark);
        if (is_match) {
            TFN_RETURN_IF_ERROR(tfn_buf_add(out, ",", is_first ? 0 : 1, err));
            TFN_RETURN_IF_ERROR(tfn__snapshot_describe_entry(entry, out, err));
            is_first = false;
        }
    }
    return tfn_buf_add(out, "]", 1, err);
}

tfn_code tfn_snapshot_list(tfn_snapshot *snapshot, tfn_object_kind kind, tfn_str tags, tfn_buf *out,
                           tfn_error *err)
{
    tfn_arena arena = {0};
    yyjson_val *wanted = NULL;
    tfn_code rc = read_tags(&arena, tags, &wanted, err);
    if (rc == TFN_OK) {
        rc = list_kind(snapshot, kind, &arena, wanted, out, err);
    }
    tfn_arena_deinit(&arena);
    return rc;
}
