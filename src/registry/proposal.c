/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

/*
 * A request beside the head: which state does it ask for?
 *
 * The state begins as the head's entries, each remembering itself as `before`. Then, in this order:
 *   1. every object of the request says its kind and name
 *   2. removals are marked (named ones, and with delete_missing all that the request does not name,
 *      but for the project and saved datasets, which no repo defines)
 *   3. objects are written in canonical form, kind by kind from projects to services, and put in
 *     place, so that a view is completed from entities, and a service from views, of the new state
 *   4. check.c judges the whole
 * What is wrong with one object is a refusal; the walk goes on, so a plan shows all of them.
 *
 * An entry is added (no before), changed (other hash than before), removed, or as it was.
 */

#include "registry/registry_internal.h"

#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "base/mem.h"

#include "base/poison.h"

typedef struct request {
    yyjson_val *objects;
    yyjson_val *removals;
    bool delete_missing;
} request;

bool tfn__is_refusal(tfn_code code)
{
    return code == TFN_INVALID || code == TFN_SCHEMA || code == TFN_NOT_FOUND ||
           code == TFN_LIMIT || code == TFN_UNSUPPORTED;
}

/* ---- refusals ---- */

tfn_code tfn__proposal_refuse(tfn__proposal *p, tfn_object_kind kind, tfn_str name,
                              const tfn_error *why, tfn_error *err)
{
    void *grown = p->refusals;
    TFN_RETURN_IF_ERROR(
        tfn_mem_grow(&grown, &p->refusal_capacity, p->n_refusals + 1, sizeof *p->refusals, err));
    p->refusals = grown;
    tfn__refusal *refusal = &p->refusals[p->n_refusals];
    *refusal = (tfn__refusal){.kind = kind, .code = why->code};
    refusal->name.n = name.n;
    refusal->reason.n = strlen(why->message);
    TFN_RETURN_IF_ERROR(tfn_arena_copy(&p->arena, name.p, name.n, &refusal->name.p, err));
    TFN_RETURN_IF_ERROR(
        tfn_arena_copy(&p->arena, why->message, refusal->reason.n, &refusal->reason.p, err));
    p->n_refusals++;
    return TFN_OK;
}

/* Turn a failure about one object into a refusal; pass on what concerns this machine. */
static tfn_code refuse_or_fail(tfn__proposal *p, tfn_object_kind kind, tfn_str name,
                               const tfn_error *why, tfn_error *err)
{
    if (tfn__is_refusal(why->code)) {
        return tfn__proposal_refuse(p, kind, name, why, err);
    }
    return tfn_error_move(err, why);
}

/* ---- the request's own form ---- */

static tfn_code read_array(yyjson_val *root, const char *name, yyjson_val **out, tfn_error *err)
{
    *out = yyjson_obj_get(root, name);
    if (*out != NULL && !yyjson_is_arr(*out)) {
        return TFN_FAIL(err, TFN_INVALID, "the apply request: '%s' must be an array, not %s", name,
                        tfn__json_type_words(*out));
    }
    return TFN_OK;
}

static tfn_code check_request_members(yyjson_val *root, tfn_error *err)
{
    static const char *const known[] = {"objects", "delete", "delete_missing", "expected_commit",
                                        "message"};
    if (!yyjson_is_obj(root)) {
        return TFN_FAIL(err, TFN_INVALID, "the apply request must be an object, not %s",
                        tfn__json_type_words(root));
    }
    yyjson_obj_iter members = yyjson_obj_iter_with(root);
    for (yyjson_val *key = yyjson_obj_iter_next(&members); key != NULL;
         key = yyjson_obj_iter_next(&members)) {
        bool is_known = false;
        for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
            is_known = is_known || tfn_str_is(tfn__json_get_str(key), known[i]);
        }
        if (!is_known) {
            char quoted[TFN__SUBJECT_BYTES];
            tfn__name_format(tfn__json_get_str(key), quoted);
            return TFN_FAIL(err, TFN_INVALID, "the apply request has the unknown member %s",
                            quoted);
        }
    }
    return TFN_OK;
}

static tfn_code read_request(tfn__proposal *p, tfn_str text, request *out, tfn_error *err)
{
    yyjson_val *root = NULL;
    if (text.n > TFN_MAX_APPLY_BYTES) {
        return TFN_FAIL(err, TFN_LIMIT, "the apply request has %zu bytes; it may have %d", text.n,
                        TFN_MAX_APPLY_BYTES);
    }
    TFN_RETURN_IF_ERROR(tfn__json_read(&p->arena, text, "the apply request", &root, err));
    TFN_RETURN_IF_ERROR(check_request_members(root, err));
    TFN_RETURN_IF_ERROR(read_array(root, "objects", &out->objects, err));
    TFN_RETURN_IF_ERROR(read_array(root, "delete", &out->removals, err));
    yyjson_val *delete_missing = yyjson_obj_get(root, "delete_missing");
    yyjson_val *expected = yyjson_obj_get(root, "expected_commit");
    yyjson_val *message = yyjson_obj_get(root, "message");
    const bool is_well_typed = (delete_missing == NULL || yyjson_is_bool(delete_missing)) &&
                               (expected == NULL || yyjson_is_int(expected)) &&
                               (message == NULL || yyjson_is_str(message));
    if (!is_well_typed) {
        return TFN_FAIL(
            err, TFN_INVALID,
            "the apply request: 'delete_missing' must be true or false, 'expected_commit' a "
            "whole number, 'message' a text");
    }
    out->delete_missing = yyjson_get_bool(delete_missing);
    p->expected_commit = expected == NULL ? -1 : yyjson_get_sint(expected);
    p->message = tfn__json_get_str(message);
    return TFN_OK;
}

/* ---- the state ---- */

static tfn_code copy_head(tfn__proposal *p, const tfn_snapshot *head, size_t n_more, tfn_error *err)
{
    TFN_RETURN_IF_ERROR(tfn__snapshot_create(head->project, head->commit, &p->state, err));
    void *grown = NULL;
    TFN_RETURN_IF_ERROR(tfn_mem_grow(&grown, &p->state->capacity, head->n_entries + n_more + 1,
                                     sizeof *p->state->entries, err));
    p->state->entries = grown;
    for (size_t i = 0; i < head->n_entries; i++) {
        TFN_RETURN_IF_ERROR(tfn__snapshot_add(p->state, &head->entries[i], err));
        p->state->entries[i].before = &head->entries[i];
    }
    return TFN_OK;
}

/* The entry, also when it is marked as removed. */
static tfn__entry *find_any(const tfn_snapshot *s, tfn_object_kind kind, tfn_str name)
{
    uint32_t i = 0;
    return tfn_map_get(&s->index[kind], name, &i) ? &s->entries[i] : NULL;
}

/* Put a canonical document in place. */
static tfn_code put_entry(tfn__proposal *p, const tfn__entry *fresh, tfn_error *err)
{
    tfn__entry *entry = find_any(p->state, fresh->kind, fresh->name);
    if (entry == NULL) {
        return tfn__snapshot_add(p->state, fresh, err);
    }
    const bool is_same = memcmp(&entry->hash, &fresh->hash, sizeof entry->hash) == 0;
    if (entry->is_put && !is_same) {
        char subject[TFN__SUBJECT_BYTES];
        tfn__subject_format(fresh->kind, fresh->name, subject);
        return TFN_FAIL(err, TFN_INVALID, "%s is defined twice, and differently", subject);
    }
    entry->is_put = true;
    entry->body = fresh->body;
    entry->hash = fresh->hash;
    return TFN_OK;
}

static tfn_code put_document(tfn__proposal *p, yyjson_val *document, tfn_error *err)
{
    tfn__entry fresh = {0};
    TFN_RETURN_IF_ERROR(tfn__document_canonicalise(document, p->state, &p->arena, &fresh, err));
    if (fresh.kind == TFN_OBJECT_PROJECT && !tfn_str_equal(fresh.name, p->state->project)) {
        char name[TFN__SUBJECT_BYTES];
        char project[TFN__SUBJECT_BYTES];
        tfn__name_format(fresh.name, name);
        tfn__name_format(p->state->project, project);
        return TFN_FAIL(err, TFN_INVALID, "the project object is called %s, but this is project %s",
                        name, project);
    }
    fresh.is_put = true;
    return put_entry(p, &fresh, err);
}

/* Step 1: mark what the request names; count on step 3 to say what is wrong with the rest. */
static void mark_named(tfn__proposal *p, yyjson_val *objects)
{
    yyjson_arr_iter items = yyjson_arr_iter_with(objects);
    for (yyjson_val *item = yyjson_arr_iter_next(&items); item != NULL;
         item = yyjson_arr_iter_next(&items)) {
        tfn_object_kind kind = TFN_OBJECT_NONE;
        tfn_str name = {0};
        tfn__entry *entry = NULL;
        if (tfn__document_identify(item, &kind, &name, NULL) == TFN_OK) {
            entry = find_any(p->state, kind, name);
        }
        if (entry != NULL) {
            entry->is_named = true;
        }
    }
}

static tfn_code remove_named(tfn__proposal *p, yyjson_val *item, tfn_object_kind *kind,
                             tfn_str *name, tfn_error *err)
{
    TFN_RETURN_IF_ERROR(tfn__document_identify(item, kind, name, err));
    char subject[TFN__SUBJECT_BYTES];
    tfn__subject_format(*kind, *name, subject);
    if (*kind == TFN_OBJECT_PROJECT) {
        return TFN_FAIL(err, TFN_INVALID, "%s cannot be removed like an object; use teardown",
                        subject);
    }
    tfn__entry *entry = find_any(p->state, *kind, *name);
    if (entry == NULL) {
        return tfn__snapshot_fail_missing(p->state, NULL, *kind, *name, err);
    }
    if (entry->is_named) {
        return TFN_FAIL(err, TFN_INVALID, "%s is both in 'objects' and in 'delete'", subject);
    }
    entry->is_removed = true;
    return TFN_OK;
}

/* Step 2. */
static tfn_code mark_removals(tfn__proposal *p, const request *r, tfn_error *err)
{
    yyjson_arr_iter items = yyjson_arr_iter_with(r->removals);
    for (yyjson_val *item = yyjson_arr_iter_next(&items); item != NULL;
         item = yyjson_arr_iter_next(&items)) {
        tfn_error why = {0};
        tfn_object_kind kind = TFN_OBJECT_NONE;
        tfn_str name = {0};
        if (remove_named(p, item, &kind, &name, &why) != TFN_OK) {
            TFN_RETURN_IF_ERROR(refuse_or_fail(p, kind, name, &why, err));
        }
    }
    for (size_t i = 0; i < p->state->n_entries && r->delete_missing; i++) {
        tfn__entry *entry = &p->state->entries[i];
        const bool is_of_a_repo =
            entry->kind != TFN_OBJECT_PROJECT && entry->kind != TFN_OBJECT_SAVED_DATASET;
        entry->is_removed = entry->is_removed || (!entry->is_named && is_of_a_repo);
    }
    return TFN_OK;
}

/* The kind by which a document takes its turn; a broken one comes first, to be refused. */
static tfn_object_kind get_turn(yyjson_val *document)
{
    tfn_object_kind kind = TFN_OBJECT_NONE;
    const tfn_str text = tfn__json_get_str(yyjson_obj_get(document, "kind"));
    return tfn_object_kind_parse(text, &kind, NULL) == TFN_OK ? kind : TFN_OBJECT_PROJECT;
}

/* Step 3. */
static tfn_code put_documents(tfn__proposal *p, yyjson_val *objects, tfn_object_kind turn,
                              tfn_error *err)
{
    yyjson_arr_iter items = yyjson_arr_iter_with(objects);
    for (yyjson_val *item = yyjson_arr_iter_next(&items); item != NULL;
         item = yyjson_arr_iter_next(&items)) {
        tfn_error why = {0};
        tfn_object_kind kind = TFN_OBJECT_NONE;
        tfn_str name = {0};
        if (get_turn(item) != turn || put_document(p, item, &why) == TFN_OK) {
            continue;
        }
        const tfn_code rc = tfn__document_identify(item, &kind, &name, NULL);
        tfn__entry *entry = rc == TFN_OK ? find_any(p->state, kind, name) : NULL;
        if (entry != NULL) {
            entry->is_refused = true;
        }
        TFN_RETURN_IF_ERROR(refuse_or_fail(p, kind, name, &why, err));
    }
    return TFN_OK;
}

/* A project that has no object of its own gets one. */
static tfn_code put_default_project(tfn__proposal *p, tfn_error *err)
{
    yyjson_val *document = NULL;
    tfn_buf text = {0};
    if (tfn__snapshot_get(p->state, TFN_OBJECT_PROJECT, p->state->project) != NULL) {
        return TFN_OK;
    }
    tfn_code rc = tfn_buf_add_text(&text, "{\"kind\":\"project\",\"name\":", err);
    if (rc == TFN_OK) {
        rc = tfn_json_add_text(&text, p->state->project, err);
    }
    if (rc == TFN_OK) {
        rc = tfn_buf_add_text(&text, "}", err);
    }
    if (rc == TFN_OK) {
        rc = tfn__json_read(&p->arena, tfn_buf_get_str(&text), "a project", &document, err);
    }
    tfn_buf_deinit(&text);
    return rc == TFN_OK ? put_document(p, document, err) : rc;
}

/* ---- the outcome ---- */

static int compare_entries(const void *a, const void *b)
{
    const tfn__entry *x = *(const tfn__entry *const *)a;
    const tfn__entry *y = *(const tfn__entry *const *)b;
    return x->kind != y->kind ? (int)x->kind - (int)y->kind : tfn_str_compare(x->name, y->name);
}

static tfn_code list_changes(tfn__proposal *p, tfn_error *err)
{
    void *list = NULL;
    TFN_RETURN_IF_ERROR(
        tfn_arena_alloc(&p->arena, p->state->n_entries + 1, sizeof *p->changed, &list, err));
    p->changed = list;
    for (size_t i = 0; i < p->state->n_entries; i++) {
        const tfn__entry *entry = &p->state->entries[i];
        tfn__action action = TFN__CHANGE;
        if (entry->is_refused) {
            continue;
        }
        if (entry->is_removed) {
            action = TFN__REMOVE;
        } else if (entry->before == NULL) {
            action = TFN__ADD;
        } else if (memcmp(&entry->hash, &entry->before->hash, sizeof entry->hash) == 0) {
            continue;
        }
        p->n_by_action[action]++;
        p->changed[p->n_changed] = entry;
        p->n_changed++;
    }
    qsort(p->changed, p->n_changed, sizeof(const tfn__entry *), compare_entries);
    return TFN_OK;
}

tfn_code tfn__proposal_init(tfn__proposal *p, const tfn_snapshot *head, tfn_str text,
                            tfn_error *err)
{
    request r = {0};
    TFN_RETURN_IF_ERROR(tfn__name_check(TFN_OBJECT_PROJECT, head->project, err));
    TFN_RETURN_IF_ERROR(read_request(p, text, &r, err));
    if (p->expected_commit >= 0 && p->expected_commit != head->commit) {
        return TFN_FAIL(
            err, TFN_CONFLICT,
            "the registry is at commit %lld, not at %lld as expected: somebody else applied "
            "meanwhile; plan again",
            (long long)head->commit, (long long)p->expected_commit);
    }
    TFN_RETURN_IF_ERROR(copy_head(p, head, yyjson_arr_size(r.objects), err));
    mark_named(p, r.objects);
    TFN_RETURN_IF_ERROR(mark_removals(p, &r, err));
    for (size_t i = 0; i < TFN__N_KINDS - 1; i++) {
        TFN_RETURN_IF_ERROR(put_documents(p, r.objects, tfn__kinds_in_order[i], err));
    }
    if (yyjson_arr_size(r.objects) > 0) {
        TFN_RETURN_IF_ERROR(put_default_project(p, err));
    }
    TFN_RETURN_IF_ERROR(tfn__proposal_check(p, err));
    return list_changes(p, err);
}

tfn_code tfn__proposal_init_teardown(tfn__proposal *p, const tfn_snapshot *head, tfn_str message,
                                     tfn_error *err)
{
    TFN_RETURN_IF_ERROR(copy_head(p, head, 0, err));
    p->message = message;
    for (size_t i = 0; i < p->state->n_entries; i++) {
        p->state->entries[i].is_removed = true;
    }
    return list_changes(p, err);
}

void tfn__proposal_deinit(tfn__proposal *p)
{
    tfn_snapshot_release(p->state);
    tfn_mem_free(p->refusals);
    tfn_arena_deinit(&p->arena);
    *p = (tfn__proposal){0};
}
