/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

/* Reading definitions and their history, describing sources, and taking a project down. */

#include <string.h>

#include "base/json.h"
#include "store/store_internal.h"

#include "base/poison.h"

/* The state of a commit, or the newest (-1). */
static tfn_code get_snapshot_at(tfn_store *store, int64_t commit, tfn_snapshot **out,
                                tfn_error *err)
{
    *out = NULL;
    if (commit < 0) {
        return tfn__store_get_snapshot(store, TFN_FRESH, out, err);
    }
    tfn_registry *registry = NULL;
    TFN_RETURN_IF_ERROR(tfn__store_get_registry(store, &registry, err));
    return tfn_registry_get_snapshot_at_commit(registry, tfn__store_get_project(store), commit, out,
                                               err);
}

/* End a call that collected its answer in a buffer. */
static tfn_code take_answer(tfn_code rc, tfn_buf *buf, char **answer, tfn_error *err)
{
    if (rc == TFN_OK) {
        rc = tfn_buf_take_text(buf, answer, err);
    }
    tfn_buf_deinit(buf);
    return rc;
}

tfn_code tfn_store_list(tfn_store *store, const char *kind, const char *tags, int64_t commit,
                        char **answer, tfn_error *err)
{
    *answer = NULL;
    tfn_object_kind object_kind = TFN_OBJECT_PROJECT;
    TFN_RETURN_IF_ERROR(tfn_object_kind_parse(tfn_str_of(kind), &object_kind, err));
    tfn_snapshot *snapshot = NULL;
    tfn_buf buf = {0};
    tfn_code rc = get_snapshot_at(store, commit, &snapshot, err);
    if (rc == TFN_OK) {
        rc = tfn_snapshot_list(snapshot, object_kind, tfn_str_of(tags), &buf, err);
    }
    tfn_snapshot_release(snapshot);
    return take_answer(rc, &buf, answer, err);
}

tfn_code tfn_store_get(tfn_store *store, const char *kind, const char *name, int64_t commit,
                       char **answer, tfn_error *err)
{
    *answer = NULL;
    tfn_object_kind object_kind = TFN_OBJECT_PROJECT;
    TFN_RETURN_IF_ERROR(tfn_object_kind_parse(tfn_str_of(kind), &object_kind, err));
    tfn_snapshot *snapshot = NULL;
    tfn_buf buf = {0};
    tfn_code rc = get_snapshot_at(store, commit, &snapshot, err);
    if (rc == TFN_OK) {
        rc = tfn_snapshot_describe(snapshot, object_kind, tfn_str_of(name), &buf, err);
    }
    tfn_snapshot_release(snapshot);
    return take_answer(rc, &buf, answer, err);
}

tfn_code tfn_store_log(tfn_store *store, int64_t limit, char **answer, tfn_error *err)
{
    *answer = NULL;
    tfn_registry *registry = NULL;
    TFN_RETURN_IF_ERROR(tfn__store_get_registry(store, &registry, err));
    tfn_buf buf = {0};
    const tfn_code rc = tfn_registry_log(registry, tfn__store_get_project(store), limit, &buf, err);
    return take_answer(rc, &buf, answer, err);
}

tfn_code tfn_store_show(tfn_store *store, int64_t commit, char **answer, tfn_error *err)
{
    *answer = NULL;
    tfn_registry *registry = NULL;
    TFN_RETURN_IF_ERROR(tfn__store_get_registry(store, &registry, err));
    tfn_buf buf = {0};
    const tfn_code rc =
        tfn_registry_show(registry, tfn__store_get_project(store), commit, &buf, err);
    return take_answer(rc, &buf, answer, err);
}

tfn_code tfn_store_projects(tfn_store *store, char **answer, tfn_error *err)
{
    *answer = NULL;
    tfn_registry *registry = NULL;
    TFN_RETURN_IF_ERROR(tfn__store_get_registry(store, &registry, err));
    tfn_buf buf = {0};
    const tfn_code rc = tfn_registry_list_projects(registry, &buf, err);
    return take_answer(rc, &buf, answer, err);
}

/* ---- sources ---- */

static tfn_code describe_columns(const tfn_source *source, char **answer, tfn_error *err)
{
    yyjson_mut_doc *doc = NULL;
    TFN_RETURN_IF_ERROR(tfn_json_create(&doc, err));
    yyjson_mut_val *array = yyjson_mut_arr(doc);
    yyjson_mut_doc_set_root(doc, array);
    size_t n_columns = 0;
    const tfn_source_column *columns = tfn_source_get_columns(source, &n_columns);
    for (size_t i = 0; i < n_columns; i++) {
        char dtype[TFN_TYPE_TEXT_BYTES] = "";
        if (columns[i].type.kind != TFN_KIND_NONE) {
            tfn_type_format(columns[i].type, dtype);
        }
        yyjson_mut_val *object = yyjson_mut_arr_add_obj(doc, array);
        (void)tfn_json_add_str(doc, object, "name", columns[i].name);
        (void)tfn_json_add_str(doc, object, "dtype", tfn_str_of(dtype));
        (void)tfn_json_add_str(doc, object, "native_type", columns[i].native_type);
    }
    const tfn_code rc = tfn_json_write(doc, answer, err);
    tfn_json_destroy(doc);
    return rc;
}

tfn_code tfn_store_describe_source(tfn_store *store, const char *document, char **answer,
                                   tfn_error *err)
{
    *answer = NULL;
    yyjson_doc *doc = NULL;
    TFN_RETURN_IF_ERROR(tfn_json_parse(tfn_str_of(document), "the data source", &doc, err));
    yyjson_val *root = yyjson_doc_get_root(doc);
    const tfn_source_def definition = {.name = tfn_json_get_member(root, "name"),
                                       .path = tfn_json_get_member(root, "path"),
                                       .format = tfn_json_get_member(root, "format"),
                                       .s3_endpoint =
                                           tfn_json_get_member(root, "s3_endpoint_override")};
    tfn_source *source = NULL;
    tfn_code rc = tfn__store_open_source(store, &definition, &source, err);
    if (rc == TFN_OK) {
        rc = describe_columns(source, answer, err);
    }
    tfn_source_destroy(source);
    yyjson_doc_free(doc);
    return rc;
}

/* ---- status ---- */

tfn_code tfn_store_ping(tfn_store *store, tfn_error *err)
{
    return store->online == NULL ? TFN_OK : tfn_online_ping(store->online, err);
}

static tfn_code add_view_status(tfn_store *store, tfn_registry *registry, tfn_snapshot *snapshot,
                                tfn_str name, yyjson_mut_doc *doc, tfn_error *err)
{
    const tfn_view_def *view = NULL;
    TFN_RETURN_IF_ERROR(tfn_snapshot_find_view(snapshot, name, &view, err));
    tfn_online_state state = {0};
    if (store->online != NULL) {
        TFN_RETURN_IF_ERROR(
            tfn_online_get_state(store->online, tfn__store_get_project(store), name, &state, err));
    }
    bool found = false;
    tfn_watermark watermark = {TFN_INSTANT_NONE, TFN_INSTANT_NONE, TFN_INSTANT_NONE};
    TFN_RETURN_IF_ERROR(tfn_registry_get_watermark(registry, tfn__store_get_project(store), name,
                                                   &found, &watermark, err));
    yyjson_mut_val *object = yyjson_mut_arr_add_obj(doc, yyjson_mut_doc_get_root(doc));
    (void)tfn_json_add_str(doc, object, "view", name);
    (void)yyjson_mut_obj_add_bool(doc, object, "online", view->online);
    (void)yyjson_mut_obj_add_uint(doc, object, "generation", state.generation);
    if (state.n_rows >= 0) {
        (void)yyjson_mut_obj_add_int(doc, object, "rows", state.n_rows);
    } else {
        (void)yyjson_mut_obj_add_null(doc, object, "rows");
    }
    (void)yyjson_mut_obj_add_bool(doc, object, "materialized", found);
    (void)tfn_json_add_time(doc, object, "start", found ? watermark.start : TFN_INSTANT_NONE);
    (void)tfn_json_add_time(doc, object, "end", found ? watermark.end : TFN_INSTANT_NONE);
    (void)tfn_json_add_time(doc, object, "created_bound",
                            found ? watermark.created_bound : TFN_INSTANT_NONE);
    return TFN_OK;
}

tfn_code tfn_store_status(tfn_store *store, char **answer, tfn_error *err)
{
    *answer = NULL;
    tfn_registry *registry = NULL;
    tfn_snapshot *snapshot = NULL;
    yyjson_mut_doc *doc = NULL;
    tfn_code rc = TFN_OK;
    TFN_GOTO_IF_ERROR(rc, tfn__store_get_registry(store, &registry, err), done);
    TFN_GOTO_IF_ERROR(rc, tfn__store_get_snapshot(store, TFN_FRESH, &snapshot, err), done);
    TFN_GOTO_IF_ERROR(rc, tfn_json_create(&doc, err), done);
    yyjson_mut_doc_set_root(doc, yyjson_mut_arr(doc));
    for (size_t i = 0; i < tfn_snapshot_count(snapshot, TFN_OBJECT_VIEW); i++) {
        const tfn_str name = tfn_snapshot_get_name(snapshot, TFN_OBJECT_VIEW, i);
        TFN_GOTO_IF_ERROR(rc, add_view_status(store, registry, snapshot, name, doc, err), done);
    }
    TFN_GOTO_IF_ERROR(rc, tfn_json_write(doc, answer, err), done);
done:
    tfn_json_destroy(doc);
    tfn_snapshot_release(snapshot);
    return rc;
}

tfn_code tfn_store_get_commit(tfn_store *store, int64_t *commit, tfn_error *err)
{
    tfn_snapshot *snapshot = NULL;
    *commit = 0;
    TFN_RETURN_IF_ERROR(tfn__store_get_snapshot(store, TFN_FRESH, &snapshot, err));
    *commit = tfn_snapshot_get_commit(snapshot);
    tfn_snapshot_release(snapshot);
    return TFN_OK;
}

/* ---- teardown ---- */

/* The registry's answer, and how many rows went. */
static tfn_code add_removed_rows(const tfn_buf *buf, uint64_t n_rows, char **answer, tfn_error *err)
{
    yyjson_doc *parsed = NULL;
    yyjson_mut_doc *doc = NULL;
    TFN_RETURN_IF_ERROR(
        tfn_json_parse(tfn_buf_get_str(buf), "the registry's answer", &parsed, err));
    tfn_code rc = tfn_json_copy(parsed, &doc, err);
    if (rc == TFN_OK) {
        (void)yyjson_mut_obj_add_uint(doc, yyjson_mut_doc_get_root(doc), "online_rows_removed",
                                      n_rows);
        rc = tfn_json_write(doc, answer, err);
    }
    tfn_json_destroy(doc);
    yyjson_doc_free(parsed);
    return rc;
}

/* Rows go first: if the process dies between, the definitions are still there to try again. */
tfn_code tfn_store_teardown(tfn_store *store, char **answer, tfn_error *err)
{
    *answer = NULL;
    tfn_registry *registry = NULL;
    tfn_snapshot *snapshot = NULL;
    tfn_buf buf = {0};
    uint64_t n_rows = 0;
    tfn_code rc = TFN_OK;
    TFN_GOTO_IF_ERROR(rc, tfn__store_get_registry(store, &registry, err), done);
    TFN_GOTO_IF_ERROR(rc, tfn__store_get_snapshot(store, TFN_FRESH, &snapshot, err), done);
    const tfn_str project = tfn__store_get_project(store);
    if (store->online != NULL) {
        TFN_GOTO_IF_ERROR(rc, tfn_online_drop_project(store->online, project, &n_rows, err), done);
    }
    TFN_GOTO_IF_ERROR(
        rc, tfn_registry_teardown(registry, project, tfn_str_of("teardown"), &buf, err), done);
    TFN_GOTO_IF_ERROR(rc, add_removed_rows(&buf, n_rows, answer, err), done);
done:
    tfn_buf_deinit(&buf);
    tfn_snapshot_release(snapshot);
    return rc;
}
