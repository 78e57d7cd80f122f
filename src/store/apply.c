/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

/*
 * Plan and apply: a request is completed from its sources (infer.c), then the registry decides.
 *
 * What inference refuses and what the registry refuses are one list; an object refused by the
 * former is not listed again by the latter, whose complaint would only be a consequence (an empty
 * schema). An apply with anything refused changes nothing.
 */

#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "base/mem.h"
#include "store/infer.h"
#include "store/store_internal.h"

#include "base/poison.h"

typedef struct apply_run {
    yyjson_doc *parsed;
    yyjson_mut_doc *request;
    tfn_snapshot *snapshot;
    tfn_inference inference;
    char *completed; /* the request with everything filled in */
    tfn_buf answer;
} apply_run;

static void deinit(apply_run *run)
{
    tfn__inference_deinit(&run->inference);
    tfn_snapshot_release(run->snapshot);
    tfn_json_destroy(run->request);
    yyjson_doc_free(run->parsed);
    tfn_mem_free(run->completed);
    tfn_buf_deinit(&run->answer);
}

static tfn_code complete(tfn_store *store, const char *request, apply_run *run, tfn_error *err)
{
    TFN_RETURN_IF_ERROR(
        tfn_json_parse(tfn_str_of(request), "the apply request", &run->parsed, err));
    TFN_RETURN_IF_ERROR(tfn_json_copy(run->parsed, &run->request, err));
    tfn_error missing = {0};
    const tfn_code rc = tfn__store_get_snapshot(store, TFN_FRESH, &run->snapshot, &missing);
    if (rc != TFN_OK && rc != TFN_NOT_FOUND) {
        return tfn_error_move(err, &missing);
    }
    run->inference =
        (tfn_inference){.store = store, .snapshot = run->snapshot, .request = run->request};
    TFN_RETURN_IF_ERROR(tfn__infer(&run->inference, err));
    return tfn_json_write(run->request, &run->completed, err);
}

static bool is_refused(const tfn_inference *in, tfn_str kind, tfn_str name)
{
    for (size_t i = 0; i < in->n_refusals; i++) {
        if (tfn_str_equal(in->refusals[i].kind, kind) &&
            tfn_str_equal(in->refusals[i].name, name)) {
            return true;
        }
    }
    return false;
}

/* The registry's list of refusals with ours put before it. */
static yyjson_mut_val *merge_refusals(const tfn_inference *in, yyjson_mut_doc *doc,
                                      yyjson_mut_val *theirs)
{
    yyjson_mut_val *all = yyjson_mut_arr(doc);
    for (size_t i = 0; i < in->n_refusals; i++) {
        const tfn_refusal *refusal = &in->refusals[i];
        yyjson_mut_val *object = yyjson_mut_arr_add_obj(doc, all);
        (void)tfn_json_add_str(doc, object, "kind", refusal->kind);
        (void)tfn_json_add_str(doc, object, "name", refusal->name);
        (void)tfn_json_add_str(doc, object, "code", tfn_str_of(tfn_code_name(refusal->error.code)));
        (void)tfn_json_add_str(doc, object, "reason", tfn_str_of(refusal->error.message));
    }
    yyjson_mut_val *item = NULL;
    while ((item = yyjson_mut_arr_remove_first(theirs)) != NULL) {
        yyjson_mut_val *kind = yyjson_mut_obj_get(item, "kind");
        yyjson_mut_val *name = yyjson_mut_obj_get(item, "name");
        if (!is_refused(in, (tfn_str){yyjson_mut_get_str(kind), yyjson_mut_get_len(kind)},
                        (tfn_str){yyjson_mut_get_str(name), yyjson_mut_get_len(name)})) {
            (void)yyjson_mut_arr_append(all, item);
        }
    }
    return all;
}

static tfn_code add_refusals(apply_run *run, char **answer, tfn_error *err)
{
    yyjson_doc *parsed = NULL;
    yyjson_mut_doc *doc = NULL;
    tfn_code rc = TFN_OK;
    TFN_GOTO_IF_ERROR(
        rc, tfn_json_parse(tfn_buf_get_str(&run->answer), "the registry's answer", &parsed, err),
        done);
    TFN_GOTO_IF_ERROR(rc, tfn_json_copy(parsed, &doc, err), done);
    yyjson_mut_val *root = yyjson_mut_doc_get_root(doc);
    yyjson_mut_val *theirs = yyjson_mut_obj_remove_key(root, "refused");
    yyjson_mut_val *all = merge_refusals(&run->inference, doc, theirs);
    (void)yyjson_mut_obj_add_val(doc, root, "refused", all);
    TFN_GOTO_IF_ERROR(rc, tfn_json_write(doc, answer, err), done);
done:
    tfn_json_destroy(doc);
    yyjson_doc_free(parsed);
    return rc;
}

tfn_code tfn_store_plan(tfn_store *store, const char *request, char **answer, tfn_error *err)
{
    *answer = NULL;
    apply_run run = {0};
    tfn_registry *registry = NULL;
    tfn_code rc = TFN_OK;
    TFN_GOTO_IF_ERROR(rc, tfn__store_get_registry(store, &registry, err), done);
    TFN_GOTO_IF_ERROR(rc, complete(store, request, &run, err), done);
    TFN_GOTO_IF_ERROR(rc,
                      tfn_registry_plan(registry, tfn__store_get_project(store),
                                        tfn_str_of(run.completed), &run.answer, err),
                      done);
    if (run.inference.n_refusals > 0) {
        TFN_GOTO_IF_ERROR(rc, add_refusals(&run, answer, err), done);
    } else {
        TFN_GOTO_IF_ERROR(rc, tfn_buf_take_text(&run.answer, answer, err), done);
    }
done:
    deinit(&run);
    return rc;
}

static tfn_code first_refusal(const tfn_inference *in, tfn_error *err)
{
    const tfn_code rc = tfn_error_move(err, &in->refusals[0].error);
    if (in->n_refusals > 1 && err != NULL) {
        const size_t n_bytes = strlen(err->message);
        (void)snprintf(err->message + n_bytes, sizeof err->message - n_bytes,
                       " (and %zu more; nothing was applied)", in->n_refusals - 1);
    }
    return rc;
}

tfn_code tfn_store_apply(tfn_store *store, const char *request, char **answer, tfn_error *err)
{
    *answer = NULL;
    apply_run run = {0};
    tfn_registry *registry = NULL;
    tfn_code rc = TFN_OK;
    TFN_GOTO_IF_ERROR(rc, tfn__store_get_registry(store, &registry, err), done);
    TFN_GOTO_IF_ERROR(rc, complete(store, request, &run, err), done);
    if (run.inference.n_refusals > 0) {
        rc = first_refusal(&run.inference, err);
        goto done;
    }
    TFN_GOTO_IF_ERROR(rc,
                      tfn_registry_apply(registry, tfn__store_get_project(store),
                                         tfn_str_of(run.completed), &run.answer, err),
                      done);
    TFN_GOTO_IF_ERROR(rc, tfn_buf_take_text(&run.answer, answer, err), done);
done:
    deinit(&run);
    return rc;
}
