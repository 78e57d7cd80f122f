/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

/*
 * Targets of writes.
 *
 *   name, newest commit -> an entry of that commit, or definitions read -> declared columns, views
 *
 * All entries are of one commit and lie in one arena: another commit, or more than MOST_TARGETS, and
 * everything is dropped. What does not exist is not kept.
 */

#include "server/targets.h"

#include "base/json.h"
#include "base/mem.h"

#include "base/poison.h"

enum { MOST_TARGETS = 64 };

struct tfn_targets {
    tfn_arena arena; /* of everything that items point to */
    int64_t commit;  /* whose definitions they follow */
    tfn_target items[MOST_TARGETS];
    size_t n;
};

/* A target while its definitions are read. */
typedef struct reading {
    tfn_store *store;
    tfn_arena *arena;
    tfn_declared *declared;
    size_t n_declared;
    size_t capacity;
    tfn_str time_column;
    tfn_str *views;
    size_t n_views;
} reading;

void tfn_targets_destroy(tfn_targets *targets)
{
    if (targets != NULL) {
        tfn_arena_deinit(&targets->arena);
        tfn_mem_free(targets);
    }
}

/* ---- definitions ---- */

static tfn_code get_document(tfn_store *store, const char *kind, const char *name, yyjson_doc **out,
                             tfn_error *err)
{
    char *text = NULL;
    *out = NULL;
    TFN_RETURN_IF_ERROR(tfn_store_get(store, kind, name, -1, &text, err));
    const tfn_code rc = tfn_json_parse(tfn_str_of(text), "a definition", out, err);
    tfn_text_destroy(text);
    return rc;
}

/* Kinds whose values JSON has no form of its own for; TFN_VALUE_NULL: any other. */
static tfn_value_kind kind_of(tfn_str dtype)
{
    static const struct {
        const char *name, *list, *set;
        tfn_value_kind kind;
    } kinds[] = {{"bytes", "array<bytes>", "set<bytes>", TFN_VALUE_BYTES},
                 {"timestamp", "array<timestamp>", "set<timestamp>", TFN_VALUE_TIMESTAMP},
                 {"date", "array<date>", "set<date>", TFN_VALUE_DATE}};
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        if (tfn_str_is(dtype, kinds[i].name) || tfn_str_is(dtype, kinds[i].list) ||
            tfn_str_is(dtype, kinds[i].set)) {
            return kinds[i].kind;
        }
    }
    return TFN_VALUE_NULL;
}

static tfn_code copy_name(tfn_arena *arena, tfn_str name, tfn_str *out, tfn_error *err)
{
    const char *copy = NULL;
    TFN_RETURN_IF_ERROR(tfn_arena_copy(arena, name.p, name.n, &copy, err));
    *out = (tfn_str){copy, name.n};
    return TFN_OK;
}

static tfn_code declare(reading *to, tfn_str name, tfn_value_kind kind, tfn_error *err)
{
    if (to->n_declared == to->capacity) {
        void *p = NULL;
        const size_t capacity = to->capacity * 2 + 8;
        TFN_RETURN_IF_ERROR(tfn_arena_alloc(to->arena, capacity, sizeof(tfn_declared), &p, err));
        if (to->n_declared > 0) {
            memcpy(p, to->declared, to->n_declared * sizeof(tfn_declared));
        }
        to->declared = p;
        to->capacity = capacity;
    }
    tfn_declared *one = &to->declared[to->n_declared];
    TFN_RETURN_IF_ERROR(copy_name(to->arena, name, &one->name, err));
    one->kind = kind;
    to->n_declared++;
    return TFN_OK;
}

/* Fields of a view whose values are written as texts or numbers of another kind. */
static tfn_code declare_fields(reading *to, yyjson_val *view, tfn_error *err)
{
    yyjson_arr_iter fields = {0};
    (void)yyjson_arr_iter_init(yyjson_obj_get(view, "schema"), &fields);
    for (yyjson_val *field = yyjson_arr_iter_next(&fields); field != NULL;
         field = yyjson_arr_iter_next(&fields)) {
        const tfn_value_kind kind = kind_of(tfn_json_get_member(field, "dtype"));
        if (kind != TFN_VALUE_NULL) {
            TFN_RETURN_IF_ERROR(declare(to, tfn_json_get_member(field, "name"), kind, err));
        }
    }
    return TFN_OK;
}

/* A frame may call a feature as the files do: such a column means what the feature means. */
static tfn_code declare_mapped(reading *to, yyjson_val *source, tfn_error *err)
{
    const size_t n = to->n_declared;
    yyjson_obj_iter names = {0};
    (void)yyjson_obj_iter_init(yyjson_obj_get(source, "field_mapping"), &names);
    for (yyjson_val *key = yyjson_obj_iter_next(&names); key != NULL;
         key = yyjson_obj_iter_next(&names)) {
        const tfn_str feature = tfn_json_get_str(yyjson_obj_iter_get_val(key));
        for (size_t i = 0; i < n; i++) {
            if (tfn_str_equal(to->declared[i].name, feature)) {
                TFN_RETURN_IF_ERROR(declare(to, tfn_json_get_str(key), to->declared[i].kind, err));
                break;
            }
        }
    }
    return TFN_OK;
}

/* What a source of files, or the one behind a push source, says of columns. */
static tfn_code read_source(reading *to, const char *name, tfn_error *err)
{
    yyjson_doc *doc = NULL;
    TFN_RETURN_IF_ERROR(get_document(to->store, "data_source", name, &doc, err));
    const char *batch = yyjson_get_str(yyjson_obj_get(yyjson_doc_get_root(doc), "batch_source"));
    yyjson_doc *files = NULL;
    tfn_code rc = TFN_OK;
    if (batch != NULL) {
        rc = get_document(to->store, "data_source", batch, &files, err);
    }
    yyjson_val *source = yyjson_doc_get_root(files != NULL ? files : doc);
    if (rc == TFN_OK) {
        rc = declare_mapped(to, source, err);
    }
    if (rc == TFN_OK) {
        rc = copy_name(to->arena, tfn_json_get_member(source, "timestamp_field"), &to->time_column,
                       err);
    }
    yyjson_doc_free(files);
    yyjson_doc_free(doc);
    return rc;
}

static tfn_code add_view(reading *to, yyjson_val *view, tfn_error *err)
{
    if (!yyjson_get_bool(yyjson_obj_get(view, "online"))) {
        return TFN_OK;
    }
    const tfn_str name = tfn_json_get_member(view, "name");
    TFN_RETURN_IF_ERROR(copy_name(to->arena, name, &to->views[to->n_views], err));
    to->n_views++;
    return TFN_OK;
}

static tfn_code make_room_for_views(reading *to, size_t n, tfn_error *err)
{
    void *p = NULL;
    TFN_RETURN_IF_ERROR(tfn_arena_alloc(to->arena, n, sizeof(tfn_str), &p, err));
    to->views = p;
    return TFN_OK;
}

static tfn_code read_view(reading *to, const char *name, tfn_error *err)
{
    yyjson_doc *doc = NULL;
    TFN_RETURN_IF_ERROR(get_document(to->store, "feature_view", name, &doc, err));
    yyjson_val *view = yyjson_doc_get_root(doc);
    const char *source = yyjson_get_str(yyjson_obj_get(view, "source"));
    tfn_code rc = TFN_OK;
    TFN_GOTO_IF_ERROR(rc, make_room_for_views(to, 1, err), done);
    TFN_GOTO_IF_ERROR(rc, add_view(to, view, err), done);
    TFN_GOTO_IF_ERROR(rc, declare_fields(to, view, err), done);
    if (source != NULL) {
        TFN_GOTO_IF_ERROR(rc, read_source(to, source, err), done);
    }
done:
    yyjson_doc_free(doc);
    return rc;
}

static tfn_code read_views(reading *to, yyjson_val *views, const char *source, tfn_error *err)
{
    TFN_RETURN_IF_ERROR(make_room_for_views(to, yyjson_arr_size(views), err));
    yyjson_arr_iter iter = {0};
    (void)yyjson_arr_iter_init(views, &iter);
    for (yyjson_val *view = yyjson_arr_iter_next(&iter); view != NULL;
         view = yyjson_arr_iter_next(&iter)) {
        if (tfn_str_is(tfn_json_get_member(view, "source"), source)) {
            TFN_RETURN_IF_ERROR(declare_fields(to, view, err));
            TFN_RETURN_IF_ERROR(add_view(to, view, err));
        }
    }
    return TFN_OK;
}

static tfn_code read_push_source(reading *to, const char *name, tfn_error *err)
{
    char *text = NULL;
    yyjson_doc *doc = NULL;
    TFN_RETURN_IF_ERROR(tfn_store_list(to->store, "feature_view", NULL, -1, &text, err));
    tfn_code rc = tfn_json_parse(tfn_str_of(text), "the feature views", &doc, err);
    if (rc == TFN_OK) {
        rc = read_views(to, yyjson_doc_get_root(doc), name, err);
    }
    if (rc == TFN_OK) {
        rc = read_source(to, name, err);
    }
    yyjson_doc_free(doc);
    tfn_text_destroy(text);
    return rc;
}

/* ---- finding ---- */

/* The targets of this context, empty if they followed another commit or there are too many. */
static tfn_code get_targets(tfn_context *context, tfn_targets **out, tfn_error *err)
{
    int64_t commit = 0; /* before anything is read: what an apply changes meanwhile is seen then */
    TFN_RETURN_IF_ERROR(tfn_store_get_commit(context->shared->store, &commit, err));
    if (context->targets == NULL) {
        void *p = NULL;
        TFN_RETURN_IF_ERROR(tfn_mem_alloc_array(1, sizeof(tfn_targets), &p, err));
        context->targets = p;
    }
    tfn_targets *targets = context->targets;
    if (targets->commit != commit || targets->n == MOST_TARGETS) {
        tfn_arena_reset(&targets->arena);
        targets->n = 0;
        targets->commit = commit;
    }
    *out = targets;
    return TFN_OK;
}

static const tfn_target *find(const tfn_targets *targets, const char *name, bool is_view)
{
    for (size_t i = 0; i < targets->n; i++) {
        const tfn_push_request *request = &targets->items[i].request;
        const char *its = is_view ? request->view : request->source;
        if (its != NULL && strcmp(its, name) == 0) {
            return &targets->items[i];
        }
    }
    return NULL;
}

static tfn_code read_target(tfn_targets *targets, tfn_store *store, const char *name, bool is_view,
                            tfn_error *err)
{
    reading to = {.store = store, .arena = &targets->arena};
    const char *copy = NULL;
    TFN_RETURN_IF_ERROR(is_view ? read_view(&to, name, err) : read_push_source(&to, name, err));
    TFN_RETURN_IF_ERROR(tfn_arena_copy(to.arena, name, strlen(name), &copy, err));
    targets->items[targets->n++] = (tfn_target){.request = {.struct_size = sizeof(tfn_push_request),
                                                            .source = is_view ? NULL : copy,
                                                            .view = is_view ? copy : NULL},
                                                .declared = to.declared,
                                                .n_declared = to.n_declared,
                                                .time_column = to.time_column,
                                                .views = to.views,
                                                .n_views = to.n_views};
    return TFN_OK;
}

static tfn_code get(tfn_context *context, const char *name, bool is_view, const tfn_target **out,
                    tfn_error *err)
{
    tfn_targets *targets = NULL;
    *out = NULL;
    TFN_RETURN_IF_ERROR(get_targets(context, &targets, err));
    *out = find(targets, name, is_view);
    if (*out == NULL) {
        TFN_RETURN_IF_ERROR(read_target(targets, context->shared->store, name, is_view, err));
        *out = &targets->items[targets->n - 1];
    }
    return TFN_OK;
}

tfn_code tfn_targets_get_source(tfn_context *context, const char *name, const tfn_target **out,
                                tfn_error *err)
{
    return get(context, name, false, out, err);
}

tfn_code tfn_targets_get_view(tfn_context *context, const char *name, const tfn_target **out,
                              tfn_error *err)
{
    return get(context, name, true, out, err);
}
