/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

/*
 * A saved dataset against what is there now: every entry of its manifest looked up again.
 *
 *   data files     "same", "changed", "missing", "new", "unreadable"
 *   definitions    "same", "changed", "missing"
 *   source files   "same", "changed", "missing", "new", "touched", "unreadable"
 *   entity rows    "same", "changed", or "unavailable": they are not kept, so the caller brings them
 *
 * "touched": the footer of a large Parquet file is as it was, but the file was written later; what
 * lies between was not compared. It counts as changed. An answer lists what is not the same, and
 * counts what was looked at.
 *
 * "unreadable": the system refuses to read the file, for the reason that is told; what it holds is
 * not known. A source that cannot be listed any more is one such entry; its recorded files are still
 * looked up one by one. Objects are not: one list of them, with their ETags, is compared,
 * and where there is none, that is all that is said.
 */

#include <stdlib.h>
#include <string.h>

#include "base/map.h"
#include "store/dataset_internal.h"
#include "tiffin/dataset.h"

#include "base/poison.h"

typedef struct verification {
    tfn_store *store;
    const tfn_verify_request *request;
    tfn_fingerprint_opts opts;
    tfn_snapshot *snapshot;
    tfn_arena arena;
    yyjson_doc *document; /* of the dataset */
    yyjson_val *manifest;
    yyjson_mut_doc *doc;
    yyjson_mut_val *root;
    yyjson_mut_val *checked;
    bool is_intact;
    bool inputs_are_same;
} verification;

static bool is_about_the_input(tfn_code code)
{
    return code == TFN_IO || code == TFN_INVALID || code == TFN_SCHEMA || code == TFN_LIMIT ||
           code == TFN_UNSUPPORTED;
}

/* ---- definitions ---- */

static tfn_code check_definition(verification *v, yyjson_val *then, yyjson_mut_val *out,
                                 tfn_error *err)
{
    tfn_object_kind kind = TFN_OBJECT_NONE;
    tfn_error why = {0};
    tfn_str document = {0};
    char hash[TFN_HASH_TEXT_BYTES] = "";
    const tfn_str name = tfn_json_get_member(then, "name");
    TFN_RETURN_IF_ERROR(tfn_object_kind_parse(tfn_json_get_member(then, "kind"), &kind, err));
    const tfn_code rc = tfn_snapshot_get_document(v->snapshot, kind, name, &document, &why);
    if (rc != TFN_OK && rc != TFN_NOT_FOUND) {
        return tfn_error_move(err, &why);
    }
    if (rc == TFN_OK) {
        tfn_hash128_format(tfn_hash128_of(document.p, document.n), hash);
    }
    if (rc == TFN_OK && tfn_str_is(tfn_json_get_member(then, "hash"), hash)) {
        return TFN_OK;
    }
    v->inputs_are_same = false;
    yyjson_mut_val *entry = yyjson_mut_arr_add_obj(v->doc, out);
    (void)tfn_json_add_str(v->doc, entry, "kind", tfn_json_get_member(then, "kind"));
    (void)tfn_json_add_str(v->doc, entry, "name", name);
    (void)yyjson_mut_obj_add_str(v->doc, entry, "status", rc == TFN_OK ? "changed" : "missing");
    return TFN_OK;
}

static tfn_code check_definitions(verification *v, tfn_error *err)
{
    yyjson_mut_val *out = yyjson_mut_obj_add_arr(v->doc, v->root, "definitions");
    yyjson_arr_iter items = yyjson_arr_iter_with(yyjson_obj_get(v->manifest, "definitions"));
    for (yyjson_val *item = yyjson_arr_iter_next(&items); item != NULL;
         item = yyjson_arr_iter_next(&items)) {
        TFN_RETURN_IF_ERROR(check_definition(v, item, out, err));
    }
    (void)yyjson_mut_obj_add_uint(v->doc, v->checked, "definitions", items.max);
    return TFN_OK;
}

/* ---- files ---- */

static void add_file(const verification *v, yyjson_mut_val *out, tfn_str source, tfn_str path,
                     const char *status, const tfn_error *why)
{
    yyjson_mut_val *entry = yyjson_mut_arr_add_obj(v->doc, out);
    (void)tfn_json_add_str(v->doc, entry, "path", path);
    if (why != NULL) {
        (void)tfn_json_add_str(v->doc, entry, "reason", tfn_str_of(why->message));
    }
    if (source.n > 0) {
        (void)tfn_json_add_str(v->doc, entry, "source", source);
    }
    (void)yyjson_mut_obj_add_str(v->doc, entry, "status", status);
}

static const char *compare_prints(yyjson_val *then, const tfn_fingerprint *now)
{
    char checksum[TFN_HASH_TEXT_BYTES];
    char modified[TFN_TIME_TEXT_BYTES];
    tfn_hash128_format(now->checksum, checksum);
    tfn_instant_format(now->modified, modified);
    if (yyjson_get_sint(yyjson_obj_get(then, "bytes")) != now->n_bytes ||
        !tfn_str_is(tfn_json_get_member(then, "checksum"), checksum)) {
        return "changed";
    }
    const bool is_part = now->checksum_of == TFN_CHECKSUM_OF_FOOTER;
    return is_part && !tfn_str_is(tfn_json_get_member(then, "modified"), modified) ? "touched"
                                                                                   : "same";
}

/* One recorded file, looked up below `folder`. */
static tfn_code check_file(verification *v, const char *folder, yyjson_val *then,
                           const char **status, tfn_error *why, tfn_error *err)
{
    const char *path = NULL;
    tfn_fingerprint now;
    const tfn_str word = tfn_json_get_member(then, "checksum_of");
    const tfn_checksum_of of = word.n == 0 ? TFN_CHECKSUM_OF_CONTENT : tfn_checksum_of_parse(word);
    TFN_RETURN_IF_ERROR(
        tfn__dataset_locate(folder, tfn_json_get_member(then, "path"), &v->arena, &path, err));
    const tfn_code rc = tfn_file_fingerprint(path, of, &v->opts, &now, why);
    if (rc != TFN_OK && rc != TFN_IO && rc != TFN_NOT_FOUND) {
        return tfn_error_move(err, why);
    }
    if (rc == TFN_OK) {
        *status = compare_prints(then, &now);
    } else if (rc == TFN_NOT_FOUND) {
        *status = "missing";
    } else { /* the system refused it, or it is no Parquet file any more */
        *status = why->sys_errno != 0 ? "unreadable" : "changed";
    }
    return TFN_OK;
}

/* All recorded files; which ones there were goes into `known`. */
static tfn_code check_files(verification *v, const char *folder, yyjson_val *files, tfn_str source,
                            tfn_map *known, yyjson_mut_val *out, bool *all_same, tfn_error *err)
{
    yyjson_arr_iter items = yyjson_arr_iter_with(files);
    for (yyjson_val *item = yyjson_arr_iter_next(&items); item != NULL;
         item = yyjson_arr_iter_next(&items)) {
        const char *status = NULL;
        tfn_error why = {0};
        const tfn_str path = tfn_json_get_member(item, "path");
        TFN_RETURN_IF_ERROR(check_file(v, folder, item, &status, &why, err));
        TFN_RETURN_IF_ERROR(tfn_map_put(known, path, 1, err));
        if (strcmp(status, "same") != 0) {
            *all_same = false;
            const bool is_unreadable = strcmp(status, "unreadable") == 0;
            add_file(v, out, source, path, status, is_unreadable ? &why : NULL);
        }
    }
    return TFN_OK;
}

/* Files that are there now and were not then: names alone. */
static tfn_code find_new_files(verification *v, tfn_str path, tfn_format format, tfn_str source,
                               const tfn_map *known, yyjson_mut_val *out, bool *all_same,
                               tfn_error *err)
{
    const tfn_fingerprint_opts names = {.depth = TFN_FINGERPRINT_NAMES};
    tfn_fingerprint *now = NULL;
    size_t n = 0;
    tfn_error why = {0};
    const tfn_code rc =
        tfn_files_fingerprint(v->store->base_path, path, format, &names, &v->arena, &now, &n, &why);
    if (rc != TFN_OK && !is_about_the_input(rc)) {
        return tfn_error_move(err, &why);
    }
    if (rc != TFN_OK) {
        *all_same = false;
        add_file(v, out, source, path, "unreadable", &why);
        return TFN_OK;
    }
    for (size_t i = 0; i < n; i++) {
        uint32_t is_there = 0;
        const tfn_str name = tfn__dataset_shorten(v->store, now[i].path);
        if (!tfn_map_get(known, name, &is_there)) {
            *all_same = false;
            add_file(v, out, source, name, "new", NULL);
        }
    }
    return TFN_OK;
}

/* ---- objects ---- */

static int compare_path(const void *path, const void *print)
{
    return tfn_str_compare(*(const tfn_str *)path, ((const tfn_fingerprint *)print)->path);
}

/* All recorded objects against the list of now, which is in byte order; and what is new in it. */
static tfn_code compare_objects(verification *v, yyjson_val *source, const tfn_fingerprint *now,
                                size_t n, tfn_map *known, yyjson_mut_val *out, tfn_error *err)
{
    const tfn_str name = tfn_json_get_member(source, "name");
    yyjson_arr_iter items = yyjson_arr_iter_with(yyjson_obj_get(source, "files"));
    for (yyjson_val *item = yyjson_arr_iter_next(&items); item != NULL;
         item = yyjson_arr_iter_next(&items)) {
        const tfn_str path = tfn_json_get_member(item, "path");
        const tfn_fingerprint *found =
            n > 0 ? bsearch(&path, now, n, sizeof *now, compare_path) : NULL;
        const char *status = found == NULL ? "missing" : compare_prints(item, found);
        TFN_RETURN_IF_ERROR(tfn_map_put(known, path, 1, err));
        if (strcmp(status, "same") != 0) {
            v->inputs_are_same = false;
            add_file(v, out, name, path, status, NULL);
        }
    }
    for (size_t i = 0; i < n; i++) {
        uint32_t is_there = 0;
        if (!tfn_map_get(known, now[i].path, &is_there)) {
            v->inputs_are_same = false;
            add_file(v, out, name, now[i].path, "new", NULL);
        }
    }
    return TFN_OK;
}

/* A source of objects: one list of them says it all. */
static tfn_code check_objects(verification *v, yyjson_val *source, yyjson_mut_val *out,
                              tfn_error *err)
{
    tfn_fingerprint *now = NULL;
    size_t n = 0;
    tfn_error why = {0};
    tfn_map known = {0};
    const tfn_str path = tfn_json_get_member(source, "path");
    tfn_code rc = tfn__dataset_fingerprint(v->store, path, tfn_json_get_member(source, "format"),
                                           tfn_json_get_member(source, "s3_endpoint"), &v->opts,
                                           &v->arena, &now, &n, &why);
    if (rc != TFN_OK && !is_about_the_input(rc)) {
        return tfn_error_move(err, &why);
    }
    if (rc != TFN_OK) {
        v->inputs_are_same = false;
        add_file(v, out, tfn_json_get_member(source, "name"), path, "unreadable", &why);
        return TFN_OK;
    }
    rc = compare_objects(v, source, now, n, &known, out, err);
    tfn_map_deinit(&known);
    return rc;
}

static tfn_code check_source(verification *v, yyjson_val *source, yyjson_mut_val *out,
                             tfn_error *err)
{
    if (tfn_path_is_remote(tfn_json_get_member(source, "path"))) {
        return check_objects(v, source, out, err);
    }
    tfn_map known = {0};
    const tfn_str name = tfn_json_get_member(source, "name");
    const tfn_format format = tfn__store_format_of(tfn_json_get_member(source, "format"));
    tfn_code rc = TFN_OK;
    TFN_GOTO_IF_ERROR(rc,
                      check_files(v, v->store->base_path, yyjson_obj_get(source, "files"), name,
                                  &known, out, &v->inputs_are_same, err),
                      done);
    rc = find_new_files(v, tfn_json_get_member(source, "path"), format, name, &known, out,
                        &v->inputs_are_same, err);
done:
    tfn_map_deinit(&known);
    return rc;
}

static tfn_code check_sources(verification *v, tfn_error *err)
{
    size_t n_files = 0;
    yyjson_mut_val *out = yyjson_mut_obj_add_arr(v->doc, v->root, "source_files");
    yyjson_arr_iter items = yyjson_arr_iter_with(yyjson_obj_get(v->manifest, "sources"));
    for (yyjson_val *item = yyjson_arr_iter_next(&items); item != NULL;
         item = yyjson_arr_iter_next(&items)) {
        TFN_RETURN_IF_ERROR(check_source(v, item, out, err));
        n_files += yyjson_arr_size(yyjson_obj_get(item, "files"));
    }
    (void)yyjson_mut_obj_add_uint(v->doc, v->checked, "source_files", n_files);
    return TFN_OK;
}

/* ---- the dataset's own files ---- */

/* Parquet files in the dataset's folder that it did not have. */
static tfn_code find_new_data(verification *v, const char *folder, const tfn_map *known,
                              yyjson_mut_val *out, tfn_error *err)
{
    const tfn_fingerprint_opts names = {.depth = TFN_FINGERPRINT_NAMES};
    const size_t n_folder = strlen(folder);
    tfn_fingerprint *now = NULL;
    size_t n = 0;
    tfn_error why = {0};
    const tfn_code rc =
        tfn_files_fingerprint(v->store->base_path, tfn_str_of(folder), TFN_FORMAT_PARQUET, &names,
                              &v->arena, &now, &n, &why);
    if (rc != TFN_OK) { /* what is recorded was looked up one by one: those entries say it */
        return is_about_the_input(rc) ? TFN_OK : tfn_error_move(err, &why);
    }
    for (size_t i = 0; i < n; i++) {
        uint32_t is_there = 0;
        const bool is_inside = now[i].path.n > n_folder + 1;
        const tfn_str inner = {now[i].path.p + n_folder + 1, now[i].path.n - n_folder - 1};
        if (is_inside && !tfn_map_get(known, inner, &is_there)) {
            v->is_intact = false;
            add_file(v, out, (tfn_str){0}, inner, "new", NULL);
        }
    }
    return TFN_OK;
}

static tfn_code check_data(verification *v, tfn_error *err)
{
    const char *path = NULL;
    tfn_map known = {0};
    yyjson_val *files = yyjson_obj_get(yyjson_obj_get(v->manifest, "data"), "files");
    yyjson_mut_val *out = yyjson_mut_obj_add_arr(v->doc, v->root, "data_files");
    tfn_str given = tfn_json_get_member(yyjson_doc_get_root(v->document), "path");
    while (given.n > 1 && given.p[given.n - 1] == '/') {
        given.n--;
    }
    tfn_code rc = TFN_OK;
    TFN_GOTO_IF_ERROR(rc, tfn__dataset_locate(v->store->base_path, given, &v->arena, &path, err),
                      done);
    TFN_GOTO_IF_ERROR(
        rc, check_files(v, path, files, (tfn_str){0}, &known, out, &v->is_intact, err), done);
    rc = find_new_data(v, path, &known, out, err);
    (void)yyjson_mut_obj_add_uint(v->doc, v->checked, "data_files", yyjson_arr_size(files));
done:
    tfn_map_deinit(&known);
    return rc;
}

/* ---- entity rows, engine ---- */

static tfn_code check_entity_rows(verification *v, struct ArrowArrayStream *spine, tfn_error *err)
{
    char hash[TFN_HASH_TEXT_BYTES] = "";
    const char *status = "unavailable";
    if (spine != NULL) {
        int64_t n_rows = 0;
        yyjson_val *then = yyjson_obj_get(v->manifest, "entity_rows");
        TFN_RETURN_IF_ERROR(tfn__dataset_hash_stream(spine, &n_rows, hash, err));
        const bool is_same = tfn_str_is(tfn_json_get_member(then, "hash"), hash);
        v->inputs_are_same = v->inputs_are_same && is_same;
        status = is_same ? "same" : "changed";
    }
    yyjson_mut_val *rows = yyjson_mut_obj_add_obj(v->doc, v->root, "entity_rows");
    (void)yyjson_mut_obj_add_str(v->doc, rows, "status", status);
    return TFN_OK;
}

static void check_part(verification *v, yyjson_mut_val *out, const char *what, const char *now)
{
    yyjson_val *engine = yyjson_obj_get(v->manifest, "engine");
    const tfn_str then = tfn_json_get_member(engine, what);
    if (!tfn_str_is(then, now == NULL ? "" : now)) {
        yyjson_mut_val *entry = yyjson_mut_arr_add_obj(v->doc, out);
        (void)tfn_json_add_str(v->doc, entry, "now", tfn_str_of(now == NULL ? "" : now));
        (void)tfn_json_add_str(v->doc, entry, "then", then);
        (void)yyjson_mut_obj_add_str(v->doc, entry, "what", what);
    }
}

static tfn_code check_engine(verification *v, tfn_error *err)
{
    const char *duckdb = NULL;
    yyjson_mut_val *out = yyjson_mut_obj_add_arr(v->doc, v->root, "engine");
    TFN_RETURN_IF_ERROR(tfn__dataset_get_duckdb(v->store, &duckdb, err));
    check_part(v, out, "duckdb", duckdb);
    check_part(v, out, "tiffin", tfn_version());
    check_part(v, out, "writer", v->request->writer);
    return TFN_OK;
}

/* ---- the whole ---- */

static tfn_code find_dataset(verification *v, tfn_error *err)
{
    const tfn_str name = tfn_str_of(v->request->name);
    tfn_str text;
    TFN_RETURN_IF_ERROR(tfn__store_get_snapshot(v->store, TFN_FRESH, &v->snapshot, err));
    TFN_RETURN_IF_ERROR(
        tfn_snapshot_get_document(v->snapshot, TFN_OBJECT_SAVED_DATASET, name, &text, err));
    TFN_RETURN_IF_ERROR(tfn_json_parse(text, "a stored document", &v->document, err));
    v->manifest = yyjson_obj_get(yyjson_doc_get_root(v->document), "manifest");
    if (yyjson_obj_size(v->manifest) == 0) {
        return TFN_FAIL(err, TFN_INVALID,
                        "saved dataset '%.*s' has no manifest, so there is nothing to compare it "
                        "with; create it again with create_saved_dataset",
                        TFN_STR_ARG(name));
    }
    return TFN_OK;
}

static tfn_code compare(verification *v, struct ArrowArrayStream *spine, tfn_error *err)
{
    TFN_RETURN_IF_ERROR(tfn_json_create(&v->doc, err));
    v->root = yyjson_mut_obj(v->doc);
    yyjson_mut_doc_set_root(v->doc, v->root);
    (void)tfn_json_add_str(v->doc, v->root, "dataset", tfn_str_of(v->request->name));
    v->checked = yyjson_mut_obj_add_obj(v->doc, v->root, "checked");
    TFN_RETURN_IF_ERROR(check_data(v, err));
    TFN_RETURN_IF_ERROR(check_definitions(v, err));
    TFN_RETURN_IF_ERROR(check_sources(v, err));
    TFN_RETURN_IF_ERROR(check_entity_rows(v, spine, err));
    TFN_RETURN_IF_ERROR(check_engine(v, err));
    (void)yyjson_mut_obj_add_bool(v->doc, v->root, "is_intact", v->is_intact);
    (void)yyjson_mut_obj_add_bool(v->doc, v->root, "inputs_are_same", v->inputs_are_same);
    return TFN_OK;
}

tfn_code tfn_store_verify_dataset(tfn_store *store, const tfn_verify_request *request,
                                  struct ArrowArrayStream *spine, char **answer, tfn_error *err)
{
    *answer = NULL;
    if (request->struct_size != sizeof *request || request->name == NULL) {
        return TFN_FAIL(err, TFN_INVALID,
                        "a verification was asked for without a name, or with a request of %zu "
                        "bytes (this library's has %zu)",
                        request->struct_size, sizeof *request);
    }
    verification v = {.store = store,
                      .request = request,
                      .opts = {.depth = TFN_FINGERPRINT_USUAL,
                               .tick = request->tick,
                               .tick_context = request->tick_context},
                      .is_intact = true,
                      .inputs_are_same = true};
    tfn_code rc = TFN_OK;
    TFN_GOTO_IF_ERROR(rc, find_dataset(&v, err), done);
    TFN_GOTO_IF_ERROR(rc, compare(&v, spine, err), done);
    TFN_GOTO_IF_ERROR(rc, tfn_json_write(v.doc, answer, err), done);
done:
    tfn_json_destroy(v.doc);
    yyjson_doc_free(v.document);
    tfn_snapshot_release(v.snapshot);
    tfn_arena_deinit(&v.arena);
    return rc;
}
