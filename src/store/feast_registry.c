/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

/* Registry files of Feast: what is in one, what taking it over would change, and doing it; and what
 * one of ours is as one of Feast's. */

#include <string.h>

#include "registry/feast_file.h"
#include "store/store_internal.h"
#include "tiffin/feast.h"

#include "base/poison.h"

/* End a call that collected its answer in a buffer. */
static tfn_code take_answer(tfn_code rc, tfn_buf *buf, char **answer, tfn_error *err)
{
    if (rc == TFN_OK) {
        rc = tfn_buf_take_text(buf, answer, err);
    }
    tfn_buf_deinit(buf);
    return rc;
}

static tfn_str choose_project(const tfn_store *store, const char *project)
{
    return project == NULL ? tfn__store_get_project(store) : tfn_str_of(project);
}

tfn_code tfn_store_list_feast_projects(tfn_store *store, const void *bytes, size_t n_bytes,
                                       char **answer, tfn_error *err)
{
    (void)store;
    *answer = NULL;
    tfn_buf buf = {0};
    const tfn_code rc = tfn_feast_list_projects((tfn_str){bytes, n_bytes}, &buf, err);
    return take_answer(rc, &buf, answer, err);
}

tfn_code tfn_store_plan_feast(tfn_store *store, const void *bytes, size_t n_bytes,
                              const char *project, char **answer, tfn_error *err)
{
    *answer = NULL;
    tfn_registry *registry = NULL;
    tfn_buf request = {0};
    tfn_buf buf = {0};
    const tfn_str name = choose_project(store, project);
    TFN_RETURN_IF_ERROR(tfn__store_get_registry(store, &registry, err));
    tfn_code rc = tfn_feast_read((tfn_str){bytes, n_bytes}, name, &request, err);
    if (rc == TFN_OK) {
        rc = tfn_registry_plan(registry, name, tfn_buf_get_str(&request), &buf, err);
    }
    tfn_buf_deinit(&request);
    return take_answer(rc, &buf, answer, err);
}

tfn_code tfn_store_import_feast(tfn_store *store, const void *bytes, size_t n_bytes,
                                const char *project, char **answer, tfn_error *err)
{
    *answer = NULL;
    tfn_registry *registry = NULL;
    tfn_buf buf = {0};
    const tfn_str file = {bytes, n_bytes};
    TFN_RETURN_IF_ERROR(tfn__store_get_registry(store, &registry, err));
    const tfn_code rc =
        tfn_registry_import_feast(registry, file, choose_project(store, project), &buf, err);
    return take_answer(rc, &buf, answer, err);
}

/* ---- and back ---- */

/* The newest documents of all kinds, as one array. */
static tfn_code list_documents(tfn_snapshot *snapshot, tfn_buf *out, tfn_error *err)
{
    tfn_buf one = {0};
    tfn_code rc = tfn_buf_add_text(out, "[", err);
    for (int kind = TFN_OBJECT_PROJECT; kind <= TFN_OBJECT_PERMISSION && rc == TFN_OK; kind++) {
        tfn_buf_clear(&one);
        rc = tfn_snapshot_list(snapshot, (tfn_object_kind)kind, (tfn_str){0}, &one, err);
        const tfn_str list = tfn_buf_get_str(&one);
        if (rc != TFN_OK || list.n <= 2) { /* "[]" */
            continue;
        }
        if (out->n > 1) {
            rc = tfn_buf_add_text(out, ",", err);
        }
        if (rc == TFN_OK) {
            rc = tfn_buf_add(out, list.p + 1, list.n - 2, err);
        }
    }
    tfn_buf_deinit(&one);
    return rc == TFN_OK ? tfn_buf_add_text(out, "]", err) : rc;
}

static tfn_code get_documents(tfn_store *store, tfn_buf *out, tfn_error *err)
{
    tfn_snapshot *snapshot = NULL;
    TFN_RETURN_IF_ERROR(tfn__store_get_snapshot(store, TFN_FRESH, &snapshot, err));
    const tfn_code rc = list_documents(snapshot, out, err);
    tfn_snapshot_release(snapshot);
    return rc;
}

static tfn_code get_base(tfn_store *store, const tfn_feast_export *options, tfn_buf *kept,
                         tfn_str *out, tfn_error *err)
{
    bool has = false;
    tfn_registry *registry = NULL;
    *out = (tfn_str){options->base, options->n_base_bytes};
    if (options->base != NULL) {
        return TFN_OK;
    }
    TFN_RETURN_IF_ERROR(tfn__store_get_registry(store, &registry, err));
    TFN_RETURN_IF_ERROR(
        tfn_registry_get_feast_file(registry, tfn__store_get_project(store), kept, &has, err));
    *out = has ? tfn_buf_get_str(kept) : (tfn_str){0};
    return TFN_OK;
}

tfn_code tfn_store_export_feast(tfn_store *store, const tfn_feast_export *options, char **bytes,
                                size_t *n_bytes, tfn_error *err)
{
    tfn_buf documents = {0};
    tfn_buf kept = {0};
    tfn_buf file = {0};
    tfn_feast_writing writing = {.project = tfn__store_get_project(store),
                                 .functions = tfn_str_of(options->functions),
                                 .now = tfn_clock_now(&store->clock)};
    tfn_code rc = TFN_OK;
    *bytes = NULL;
    *n_bytes = 0;
    if (options->struct_size != sizeof *options) {
        return TFN_FAIL(err, TFN_INVALID,
                        "a registry of Feast was asked for with options of %zu bytes (this "
                        "library's have %zu)",
                        options->struct_size, sizeof *options);
    }
    memcpy(writing.random, options->random, sizeof writing.random);
    TFN_GOTO_IF_ERROR(rc, get_base(store, options, &kept, &writing.base, err), done);
    TFN_GOTO_IF_ERROR(rc, get_documents(store, &documents, err), done);
    writing.documents = tfn_buf_get_str(&documents);
    TFN_GOTO_IF_ERROR(rc, tfn_feast_write(&writing, &file, err), done);
    *n_bytes = tfn_buf_get_str(&file).n;
    TFN_GOTO_IF_ERROR(rc, tfn_buf_take_text(&file, bytes, err), done);
done:
    tfn_buf_deinit(&file);
    tfn_buf_deinit(&documents);
    tfn_buf_deinit(&kept);
    return rc;
}
