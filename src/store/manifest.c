/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

/*
 * Manifests: everything that decides what a training set holds, so that an equal manifest means
 * equal rows.
 *
 *   request       what was asked, as it was asked, and by which rules
 *   definitions   hashes of views of both kinds (which hold those of their functions), their entities
 *                 and sources, and the service
 *   sources       size and checksum of every file, or ETag of every object, behind them
 *                 (source/fingerprint.c, fingerprint_objects.c)
 *   entity_rows   one hash of the table (column/frame_hash.c)
 *   engine        versions of Tiffin, DuckDB and the writer
 *   hash          XXH3-128 of all the above as text
 *
 * What differs between two runs of the same thing - times of change, the time of the run, the name
 * - stays outside the hash: times of change are added behind it, the rest by the caller.
 *
 * A manifest says what would be read now. The caller takes one before and one after the run, and
 * only if both are equal does it know that this is what was read.
 *
 * Format: docs/formats/saved-dataset.md.
 */

#include "store/dataset_internal.h"

#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/mem.h"
#include "column/frame_hash.h"
#include "store/on_demand.h"
#include "store/training_set.h"
#include "tiffin/dataset.h"

#include "base/poison.h"

enum { FORMAT_VERSION = 1 };

/* One object that the training set depends on. */
typedef struct dependency {
    tfn_object_kind kind;
    tfn_str name;
} dependency;

/* A modification time, to be added behind the hash. */
typedef struct late_time {
    yyjson_mut_val *file;
    tfn_instant modified;
} late_time;

typedef struct manifest {
    tfn_store *store;
    const tfn_manifest_request *request;
    tfn_historical_request historical;
    tfn__training_set set;     /* names resolved, entity rows read; nothing joined */
    tfn_resolution resolution; /* what is asked for, and the on-demand views that compute it */
    yyjson_doc *asked;         /* request->features, parsed */
    yyjson_mut_doc *doc;
    dependency *dependencies; /* in the set's arena */
    size_t n_dependencies;
    late_time *times;
    size_t n_times;
    size_t time_capacity;
} manifest;

/* ---- shared with verify.c ---- */

tfn_code tfn__dataset_hash_stream(struct ArrowArrayStream *table, int64_t *n_rows,
                                  char hash[TFN_HASH_TEXT_BYTES], tfn_error *err)
{
    tfn_frame *frame = NULL;
    tfn_hash128 found;
    TFN_RETURN_IF_ERROR(tfn_frame_read(table, &frame, err));
    const tfn_code rc = tfn_frame_hash(frame, &found, err);
    if (rc == TFN_OK) {
        *n_rows = tfn_frame_get_n_rows(frame);
        tfn_hash128_format(found, hash);
    }
    tfn_frame_release(frame);
    return rc;
}

tfn_str tfn__dataset_shorten(const tfn_store *store, tfn_str path)
{
    const tfn_str base = tfn_str_of(store->base_path);
    const bool is_inside = base.n > 0 && path.n > base.n + 1 && path.p[base.n] == '/' &&
                           tfn_str_starts_with(path, store->base_path);
    return is_inside ? (tfn_str){path.p + base.n + 1, path.n - base.n - 1} : path;
}

tfn_code tfn__dataset_locate(const char *folder, tfn_str path, tfn_arena *arena, const char **out,
                             tfn_error *err)
{
    tfn_buf text = {0};
    const bool is_relative =
        folder != NULL && folder[0] != '\0' && (path.n == 0 || path.p[0] != '/');
    tfn_code rc = TFN_OK;
    if (is_relative) {
        rc = tfn_buf_add_format(&text, err, path.n == 0 ? "%s" : "%s/", folder);
    }
    if (rc == TFN_OK) {
        rc = tfn_buf_add_str(&text, path, err);
    }
    if (rc == TFN_OK) {
        rc = tfn_arena_copy(arena, text.p, text.n, out, err);
    }
    tfn_buf_deinit(&text);
    return rc;
}

tfn_code tfn__dataset_fingerprint(const tfn_store *store, tfn_str path, tfn_str format,
                                  tfn_str s3_endpoint, const tfn_fingerprint_opts *opts,
                                  tfn_arena *arena, tfn_fingerprint **out, size_t *n_out,
                                  tfn_error *err)
{
    const tfn_format kind = tfn__store_format_of(format);
    if (s3_endpoint.n > 0 || tfn_path_is_remote(path)) {
        return tfn_objects_fingerprint(store->duckdb, path, kind, s3_endpoint, opts, arena, out,
                                       n_out, err);
    }
    return tfn_files_fingerprint(store->base_path, path, kind, opts, arena, out, n_out, err);
}

yyjson_mut_val *tfn__dataset_add_file(yyjson_mut_doc *doc, yyjson_mut_val *array,
                                      const tfn_fingerprint *print, tfn_str path)
{
    char checksum[TFN_HASH_TEXT_BYTES];
    tfn_hash128_format(print->checksum, checksum);
    yyjson_mut_val *file = yyjson_mut_arr_add_obj(doc, array);
    (void)yyjson_mut_obj_add_int(doc, file, "bytes", print->n_bytes);
    (void)tfn_json_add_str(doc, file, "checksum", tfn_str_of(checksum));
    (void)tfn_json_add_str(doc, file, "path", path);
    return file;
}

tfn_code tfn__dataset_get_duckdb(tfn_store *store, const char **out, tfn_error *err)
{
    tfn_error why = {0};
    *out = NULL;
    const tfn_code rc = tfn_duckdb_get_version(store->duckdb, out, &why);
    if (rc == TFN_UNSUPPORTED) {
        *out = NULL;
        return TFN_OK;
    }
    return rc == TFN_OK ? TFN_OK : tfn_error_move(err, &why);
}

/* ---- what was asked ---- */

/* First and last time of the entity rows; NONE when there is none, or they are texts. */
static tfn_code find_times(const tfn__training_set *t, tfn_instant *first, tfn_instant *last,
                           tfn_error *err)
{
    tfn_type type = {0};
    int64_t least = INT64_MAX;
    int64_t greatest = INT64_MIN;
    *first = TFN_INSTANT_NONE;
    *last = TFN_INSTANT_NONE;
    TFN_RETURN_IF_ERROR(tfn_frame_get_type(t->frame, t->time_column, &type, err));
    for (int64_t b = 0; b < tfn_frame_get_n_batches(t->frame) && tfn_type_is_time(type); b++) {
        tfn_vec v;
        TFN_RETURN_IF_ERROR(tfn_frame_get_vec(t->frame, b, t->time_column, &v, err));
        for (int64_t i = 0; i < v.n; i++) {
            if (tfn_vec_is_valid(&v, i)) {
                const int64_t value = tfn_vec_get_int(&v, i);
                least = value < least ? value : least;
                greatest = value > greatest ? value : greatest;
            }
        }
    }
    if (least <= greatest) {
        const bool is_date = type.kind == TFN_KIND_DATE;
        *first = is_date ? (tfn_instant){least * 86400, 0} : tfn_instant_of(least, type.unit);
        *last = is_date ? (tfn_instant){greatest * 86400, 0} : tfn_instant_of(greatest, type.unit);
    }
    return TFN_OK;
}

static void add_references(manifest *m, yyjson_mut_val *array)
{
    for (size_t i = 0; i < m->resolution.n_columns; i++) {
        const tfn_str reference = m->resolution.columns[i].reference;
        (void)yyjson_mut_arr_add_strncpy(m->doc, array, reference.p, reference.n);
    }
}

static bool has_text(yyjson_mut_val *array, tfn_str text)
{
    size_t i = 0;
    size_t n = 0;
    yyjson_mut_val *item = NULL;
    yyjson_mut_arr_foreach(array, i, n, item)
    {
        if (tfn_str_equal((tfn_str){yyjson_mut_get_str(item), yyjson_mut_get_len(item)}, text)) {
            return true;
        }
    }
    return false;
}

static void add_join_keys(manifest *m, yyjson_mut_val *array)
{
    for (size_t i = 0; i < m->set.selection.n_views; i++) {
        const tfn_selected_view *view = &m->set.selection.views[i];
        for (size_t k = 0; k < view->view->n_keys; k++) {
            const tfn_str column = view->key_columns[k];
            if (!has_text(array, column)) {
                (void)yyjson_mut_arr_add_strncpy(m->doc, array, column.p, column.n);
            }
        }
    }
}

static tfn_code add_asked(manifest *m, tfn_error *err)
{
    yyjson_mut_doc *doc = m->doc;
    yyjson_mut_val *root = yyjson_mut_doc_get_root(doc);
    yyjson_mut_val *asked = yyjson_mut_obj_add_obj(doc, root, "asked");
    tfn_instant first;
    tfn_instant last;
    TFN_RETURN_IF_ERROR(find_times(&m->set, &first, &last, err));
    const tfn_str service = tfn_json_get_member(yyjson_doc_get_root(m->asked), "service");
    (void)tfn_json_add_str(doc, asked, "feature_service", service);
    add_references(m, yyjson_mut_obj_add_arr(doc, asked, "features"));
    (void)yyjson_mut_obj_add_bool(doc, asked, "full_feature_names", m->set.selection.full_names);
    add_join_keys(m, yyjson_mut_obj_add_arr(doc, asked, "join_keys"));
    (void)tfn_json_add_time(doc, asked, "max_event_timestamp", last);
    (void)tfn_json_add_time(doc, asked, "min_event_timestamp", first);
    (void)yyjson_mut_obj_add_int(doc, asked, "rows", tfn_frame_get_n_rows(m->set.frame));
    (void)tfn_json_add_str(doc, asked, "time_column",
                           tfn_frame_get_name(m->set.frame, m->set.time_column));
    return TFN_OK;
}

/* ---- definitions ---- */

static void depend(manifest *m, tfn_object_kind kind, tfn_str name)
{
    m->dependencies[m->n_dependencies++] = (dependency){kind, name};
}

static int compare_dependencies(const void *a, const void *b)
{
    const dependency *x = a;
    const dependency *y = b;
    return x->kind != y->kind ? (int)x->kind - (int)y->kind : tfn_str_compare(x->name, y->name);
}

static size_t count_dependencies(const manifest *m)
{
    const tfn_selection *s = &m->set.selection;
    size_t n = 1;
    for (size_t i = 0; i < s->n_views; i++) {
        n += 3 + s->views[i].view->n_keys;
    }
    for (size_t i = 0; i < m->resolution.n_needed; i++) {
        n += 1 + m->resolution.needed[i].view->n_requests;
    }
    return n;
}

static void depend_on_view(manifest *m, const tfn_view_def *view)
{
    depend(m, TFN_OBJECT_VIEW, view->name);
    depend(m, TFN_OBJECT_SOURCE, view->source->name);
    if (view->push_source != NULL) {
        depend(m, TFN_OBJECT_SOURCE, view->push_source->name);
    }
    for (size_t k = 0; k < view->n_keys; k++) {
        depend(m, TFN_OBJECT_ENTITY, view->keys[k].entity);
    }
}

static void depend_on_demand(manifest *m, const tfn_on_demand_def *view)
{
    depend(m, TFN_OBJECT_ON_DEMAND_VIEW, view->name);
    for (size_t i = 0; i < view->n_requests; i++) {
        depend(m, TFN_OBJECT_SOURCE, view->requests[i]->name);
    }
}

/* Everything that decides a value, each once, by kind and name. */
static tfn_code find_dependencies(manifest *m, tfn_error *err)
{
    const tfn_str service = tfn_json_get_member(yyjson_doc_get_root(m->asked), "service");
    void *p = NULL;
    TFN_RETURN_IF_ERROR(
        tfn_arena_alloc(&m->set.arena, count_dependencies(m), sizeof(dependency), &p, err));
    m->dependencies = p;
    for (size_t i = 0; i < m->set.selection.n_views; i++) {
        depend_on_view(m, m->set.selection.views[i].view);
    }
    for (size_t i = 0; i < m->resolution.n_needed; i++) {
        depend_on_demand(m, m->resolution.needed[i].view);
    }
    if (service.n > 0) {
        depend(m, TFN_OBJECT_SERVICE, service);
    }
    qsort(m->dependencies, m->n_dependencies, sizeof(dependency), compare_dependencies);
    size_t n = 0;
    for (size_t i = 0; i < m->n_dependencies; i++) {
        if (n == 0 || compare_dependencies(&m->dependencies[n - 1], &m->dependencies[i]) != 0) {
            m->dependencies[n++] = m->dependencies[i];
        }
    }
    m->n_dependencies = n;
    return TFN_OK;
}

static tfn_code add_definitions(manifest *m, yyjson_mut_val *out, tfn_error *err)
{
    yyjson_mut_val *array = yyjson_mut_obj_add_arr(m->doc, out, "definitions");
    for (size_t i = 0; i < m->n_dependencies; i++) {
        const dependency *d = &m->dependencies[i];
        char hash[TFN_HASH_TEXT_BYTES];
        tfn_str document;
        TFN_RETURN_IF_ERROR(
            tfn_snapshot_get_document(m->set.snapshot, d->kind, d->name, &document, err));
        tfn_hash128_format(tfn_hash128_of(document.p, document.n), hash);
        yyjson_mut_val *object = yyjson_mut_arr_add_obj(m->doc, array);
        (void)tfn_json_add_str(m->doc, object, "hash", tfn_str_of(hash));
        (void)tfn_json_add_str(m->doc, object, "kind", tfn_str_of(tfn_object_kind_name(d->kind)));
        (void)tfn_json_add_str(m->doc, object, "name", d->name);
    }
    return TFN_OK;
}

/* ---- source files ---- */

static tfn_code add_late_time(manifest *m, yyjson_mut_val *file, tfn_instant modified,
                              tfn_error *err)
{
    void *p = m->times;
    TFN_RETURN_IF_ERROR(tfn_mem_grow(&p, &m->time_capacity, m->n_times + 1, sizeof *m->times, err));
    m->times = p;
    m->times[m->n_times++] = (late_time){file, modified};
    return TFN_OK;
}

static tfn_code add_source(manifest *m, yyjson_mut_val *array, tfn_str name, tfn_error *err)
{
    const tfn_source_def *source = NULL;
    TFN_RETURN_IF_ERROR(tfn_snapshot_find_source(m->set.snapshot, name, &source, err));
    if (source->is_push || source->is_request) {
        return TFN_OK;
    }
    const tfn_fingerprint_opts opts = {.depth = TFN_FINGERPRINT_USUAL,
                                       .tick = m->request->tick,
                                       .tick_context = m->request->tick_context};
    tfn_fingerprint *prints = NULL;
    size_t n = 0;
    const tfn_code rc =
        tfn__dataset_fingerprint(m->store, source->path, source->format, source->s3_endpoint, &opts,
                                 &m->set.arena, &prints, &n, err);
    if (rc != TFN_OK) {
        tfn_error_prepend(err, "data source '%.*s': ", TFN_STR_ARG(name));
        return rc;
    }
    yyjson_mut_val *object = yyjson_mut_arr_add_obj(m->doc, array);
    yyjson_mut_val *files = yyjson_mut_obj_add_arr(m->doc, object, "files");
    for (size_t i = 0; i < n; i++) {
        yyjson_mut_val *file = tfn__dataset_add_file(
            m->doc, files, &prints[i], tfn__dataset_shorten(m->store, prints[i].path));
        (void)tfn_json_add_str(m->doc, file, "checksum_of",
                               tfn_str_of(tfn_checksum_of_name(prints[i].checksum_of)));
        TFN_RETURN_IF_ERROR(add_late_time(m, file, prints[i].modified, err));
    }
    (void)tfn_json_add_str(m->doc, object, "format", source->format);
    (void)tfn_json_add_str(m->doc, object, "name", name);
    (void)tfn_json_add_str(m->doc, object, "path", source->path);
    if (source->s3_endpoint.n > 0) {
        (void)tfn_json_add_str(m->doc, object, "s3_endpoint", source->s3_endpoint);
    }
    return TFN_OK;
}

static tfn_code add_sources(manifest *m, yyjson_mut_val *out, tfn_error *err)
{
    yyjson_mut_val *array = yyjson_mut_obj_add_arr(m->doc, out, "sources");
    for (size_t i = 0; i < m->n_dependencies; i++) {
        if (m->dependencies[i].kind == TFN_OBJECT_SOURCE) {
            TFN_RETURN_IF_ERROR(add_source(m, array, m->dependencies[i].name, err));
        }
    }
    return TFN_OK;
}

/* ---- the rest ---- */

static tfn_code add_entity_rows(manifest *m, yyjson_mut_val *out, tfn_error *err)
{
    char text[TFN_HASH_TEXT_BYTES];
    tfn_hash128 hash;
    const tfn_code rc = tfn_frame_hash(m->set.frame, &hash, err);
    if (rc != TFN_OK) {
        tfn_error_prepend(err, "the entity rows: ");
        return rc;
    }
    tfn_hash128_format(hash, text);
    yyjson_mut_val *rows = yyjson_mut_obj_add_obj(m->doc, out, "entity_rows");
    (void)tfn_json_add_str(m->doc, rows, "hash", tfn_str_of(text));
    (void)yyjson_mut_obj_add_int(m->doc, rows, "rows", tfn_frame_get_n_rows(m->set.frame));
    return TFN_OK;
}

static tfn_code add_engine(manifest *m, yyjson_mut_val *out, tfn_error *err)
{
    const char *duckdb = NULL;
    const char *writer = m->request->writer;
    TFN_RETURN_IF_ERROR(tfn__dataset_get_duckdb(m->store, &duckdb, err));
    yyjson_mut_val *engine = yyjson_mut_obj_add_obj(m->doc, out, "engine");
    (void)tfn_json_add_str(m->doc, engine, "duckdb", tfn_str_of(duckdb == NULL ? "" : duckdb));
    (void)tfn_json_add_str(m->doc, engine, "tiffin", tfn_str_of(tfn_version()));
    (void)tfn_json_add_str(m->doc, engine, "writer", tfn_str_of(writer == NULL ? "" : writer));
    return TFN_OK;
}

static void add_request(manifest *m, yyjson_mut_val *out)
{
    yyjson_mut_val *request = yyjson_mut_obj_add_obj(m->doc, out, "request");
    yyjson_mut_val *features = yyjson_val_mut_copy(m->doc, yyjson_doc_get_root(m->asked));
    const tfn_time known_at = m->request->known_at;
    (void)yyjson_mut_obj_add_val(m->doc, request, "features", features);
    (void)yyjson_mut_obj_add_bool(m->doc, request, "filter_by_created",
                                  m->request->filter_by_created != 0);
    (void)tfn_json_add_time(m->doc, request, "known_at",
                            known_at.is_set != 0 ? tfn__instant_of_time(known_at)
                                                 : TFN_INSTANT_NONE);
    (void)tfn_json_add_str(m->doc, request, "time_column",
                           tfn_frame_get_name(m->set.frame, m->set.time_column));
}

static tfn_code add_hash(manifest *m, yyjson_mut_val *out, tfn_error *err)
{
    size_t n_bytes = 0;
    char hash[TFN_HASH_TEXT_BYTES];
    char *text = yyjson_mut_val_write_opts(out, YYJSON_WRITE_NOFLAG, &tfn_json_alc, &n_bytes, NULL);
    if (text == NULL) {
        return TFN_FAIL(err, TFN_NO_MEMORY, "a manifest could not be hashed: memory is exhausted");
    }
    tfn_hash128_format(tfn_hash128_of(text, n_bytes), hash);
    tfn_mem_free(text);
    (void)tfn_json_add_str(m->doc, out, "hash", tfn_str_of(hash));
    return TFN_OK;
}

static tfn_code add_manifest(manifest *m, tfn_error *err)
{
    yyjson_mut_val *root = yyjson_mut_doc_get_root(m->doc);
    yyjson_mut_val *out = yyjson_mut_obj_add_obj(m->doc, root, "manifest");
    TFN_RETURN_IF_ERROR(find_dependencies(m, err));
    TFN_RETURN_IF_ERROR(add_definitions(m, out, err));
    TFN_RETURN_IF_ERROR(add_engine(m, out, err));
    TFN_RETURN_IF_ERROR(add_entity_rows(m, out, err));
    (void)yyjson_mut_obj_add_int(m->doc, out, "format", FORMAT_VERSION);
    add_request(m, out);
    TFN_RETURN_IF_ERROR(add_sources(m, out, err));
    TFN_RETURN_IF_ERROR(add_hash(m, out, err));
    for (size_t i = 0; i < m->n_times; i++) {
        (void)tfn_json_add_time(m->doc, m->times[i].file, "modified", m->times[i].modified);
    }
    return TFN_OK;
}

static tfn_code resolve(manifest *m, struct ArrowArrayStream *spine, tfn_error *err)
{
    const char *features = m->request->features;
    tfn__training_set *t = &m->set;
    TFN_RETURN_IF_ERROR(tfn_json_parse(tfn_str_of(features), "the request", &m->asked, err));
    TFN_RETURN_IF_ERROR(tfn_json_create(&m->doc, err));
    yyjson_mut_doc_set_root(m->doc, yyjson_mut_obj(m->doc));
    TFN_RETURN_IF_ERROR(tfn__store_get_snapshot(m->store, TFN_FRESH, &t->snapshot, err));
    TFN_RETURN_IF_ERROR(
        tfn__selection_init_resolved(t->snapshot, features, &m->resolution, &t->selection, err));
    TFN_RETURN_IF_ERROR(tfn_frame_read(spine, &t->frame, err));
    return tfn__training_find_time(t, err);
}

static void deinit(manifest *m)
{
    tfn_frame_release(m->set.frame);
    tfn__selection_deinit(&m->set.selection);
    tfn__resolution_deinit(&m->resolution);
    tfn_snapshot_release(m->set.snapshot);
    tfn_arena_deinit(&m->set.arena);
    tfn_json_destroy(m->doc);
    yyjson_doc_free(m->asked);
    tfn_mem_free(m->times);
}

tfn_code tfn_store_make_manifest(tfn_store *store, const tfn_manifest_request *request,
                                 struct ArrowArrayStream *spine, char **answer, tfn_error *err)
{
    *answer = NULL;
    if (request->struct_size != sizeof *request || request->features == NULL) {
        return TFN_FAIL(err, TFN_INVALID,
                        "a manifest was asked for without features, or with a request of %zu bytes "
                        "(this library's has %zu)",
                        request->struct_size, sizeof *request);
    }
    manifest m = {.store = store, .request = request};
    m.historical = (tfn_historical_request){.struct_size = sizeof m.historical,
                                            .features = request->features,
                                            .time_column = request->time_column};
    m.set.store = store;
    m.set.request = &m.historical;
    tfn_code rc = TFN_OK;
    TFN_GOTO_IF_ERROR(rc, resolve(&m, spine, err), done);
    TFN_GOTO_IF_ERROR(rc, add_asked(&m, err), done);
    if (request->names_only == 0) {
        TFN_GOTO_IF_ERROR(rc, add_manifest(&m, err), done);
    }
    TFN_GOTO_IF_ERROR(rc, tfn_json_write(m.doc, answer, err), done);
done:
    deinit(&m);
    return rc;
}

/* ---- tables and files by themselves ---- */

uint64_t tfn_bytes_checksum(const void *bytes, size_t n_bytes)
{
    return tfn_hash64(bytes, n_bytes);
}

tfn_code tfn_dataset_hash_table(struct ArrowArrayStream *table, char **hash, tfn_error *err)
{
    char text[TFN_HASH_TEXT_BYTES];
    int64_t n_rows = 0;
    *hash = NULL;
    TFN_RETURN_IF_ERROR(tfn__dataset_hash_stream(table, &n_rows, text, err));
    return tfn_mem_copy_text(text, hash, err);
}

/* A single file is called "", as it is the dataset's own path. */
static tfn_code describe_files(const char *path, yyjson_mut_doc *doc, tfn_arena *arena,
                               tfn_error *err)
{
    const tfn_fingerprint_opts opts = {.depth = TFN_FINGERPRINT_WHOLE};
    size_t n_root = strlen(path);
    tfn_fingerprint *prints = NULL;
    size_t n = 0;
    TFN_RETURN_IF_ERROR(tfn_files_fingerprint(NULL, tfn_str_of(path), TFN_FORMAT_PARQUET, &opts,
                                              arena, &prints, &n, err));
    yyjson_mut_val *array = yyjson_mut_arr(doc);
    yyjson_mut_doc_set_root(doc, array);
    while (n_root > 1 && path[n_root - 1] == '/') {
        n_root--;
    }
    for (size_t i = 0; i < n; i++) {
        const tfn_str full = prints[i].path;
        const bool is_inside = full.n > n_root + 1;
        const tfn_str inner = {full.p + n_root + 1, is_inside ? full.n - n_root - 1 : 0};
        (void)tfn__dataset_add_file(doc, array, &prints[i], is_inside ? inner : (tfn_str){"", 0});
    }
    return TFN_OK;
}

tfn_code tfn_dataset_describe_files(const char *path, char **answer, tfn_error *err)
{
    tfn_arena arena = {0};
    yyjson_mut_doc *doc = NULL;
    tfn_code rc = TFN_OK;
    *answer = NULL;
    TFN_GOTO_IF_ERROR(rc, tfn_json_create(&doc, err), done);
    TFN_GOTO_IF_ERROR(rc, describe_files(path, doc, &arena, err), done);
    TFN_GOTO_IF_ERROR(rc, tfn_json_write(doc, answer, err), done);
done:
    tfn_json_destroy(doc);
    tfn_arena_deinit(&arena);
    return rc;
}
