/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

/*
 * Plan, apply, teardown.
 *
 * An apply reads the head, judges the request against it and writes, all inside one BEGIN IMMEDIATE
 * transaction: whoever has that lock sees the newest head and nobody can move it meanwhile. So two
 * processes that apply at once are one after the other, and each is judged against what is really
 * there. A failure at any point rolls back everything.
 *
 * Commits of a project are numbered 1, 2, 3, ...; their times never go back, whatever the clock
 * does, so that a state "as of" a time is one state.
 */

#include "registry/registry_internal.h"

#include <string.h>

#include "base/poison.h"

/* ---- answers ---- */

static tfn_code add_changes(tfn_buf *b, tfn__proposal *p, tfn_error *err)
{
    TFN_RETURN_IF_ERROR(tfn_buf_add_text(b, "\"changes\":[", err));
    for (size_t i = 0; i < p->n_changed; i++) {
        const tfn__entry *entry = p->changed[i];
        const tfn_str before = entry->before == NULL ? (tfn_str){0} : entry->before->body;
        const tfn_str after = entry->is_removed ? (tfn_str){0} : entry->body;
        const tfn_arena_mark mark = tfn_arena_get_mark(&p->state->scratch);
        TFN_RETURN_IF_ERROR(tfn_buf_add(b, ",", i == 0 ? 0 : 1, err));
        TFN_RETURN_IF_ERROR(tfn__diff_add_change(b, &p->state->scratch, entry->kind, entry->name,
                                                 before, after, err));
        tfn_arena_rewind(&p->state->scratch, mark);
    }
    return tfn_buf_add(b, "]", 1, err);
}

static tfn_code add_refusals(tfn_buf *b, const tfn__proposal *p, tfn_error *err)
{
    TFN_RETURN_IF_ERROR(tfn_buf_add_text(b, "\"refused\":[", err));
    for (size_t i = 0; i < p->n_refusals; i++) {
        const tfn__refusal *refusal = &p->refusals[i];
        const char *kind =
            refusal->kind == TFN_OBJECT_NONE ? "" : tfn_object_kind_name(refusal->kind);
        TFN_RETURN_IF_ERROR(
            tfn_buf_add_format(b, err, "%s{\"kind\":\"%s\",\"name\":", i == 0 ? "" : ",", kind));
        TFN_RETURN_IF_ERROR(tfn_json_add_text(b, refusal->name, err));
        TFN_RETURN_IF_ERROR(tfn_buf_add_format(
            b, err, ",\"code\":\"%s\",\"reason\":", tfn_code_name(refusal->code)));
        TFN_RETURN_IF_ERROR(tfn_json_add_text(b, refusal->reason, err));
        TFN_RETURN_IF_ERROR(tfn_buf_add(b, "}", 1, err));
    }
    return tfn_buf_add(b, "]", 1, err);
}

/* `commit` < 0: a plan, which has none. */
static tfn_code add_answer(tfn_buf *b, tfn__proposal *p, int64_t commit, tfn_error *err)
{
    TFN_RETURN_IF_ERROR(tfn_buf_add(b, "{", 1, err));
    if (commit >= 0) {
        TFN_RETURN_IF_ERROR(tfn_buf_add_format(b, err, "\"commit\":%lld,", (long long)commit));
    }
    TFN_RETURN_IF_ERROR(
        tfn_buf_add_format(b, err, "\"base_commit\":%lld,", (long long)p->state->commit));
    TFN_RETURN_IF_ERROR(add_changes(b, p, err));
    TFN_RETURN_IF_ERROR(tfn_buf_add(b, ",", 1, err));
    TFN_RETURN_IF_ERROR(add_refusals(b, p, err));
    return tfn_buf_add(b, "}", 1, err);
}

/* The failure of an apply of which something was refused. */
static tfn_code fail_refused(const tfn__proposal *p, tfn_error *err)
{
    const tfn__refusal *first = &p->refusals[0];
    if (p->n_refusals == 1) {
        return TFN_FAIL(err, first->code, "%.*s", TFN_STR_ARG(first->reason));
    }
    return TFN_FAIL(err, first->code, "%.*s (and %zu more %s refused)", TFN_STR_ARG(first->reason),
                    p->n_refusals - 1, p->n_refusals == 2 ? "object was" : "objects were");
}

/* ---- writing a commit ---- */

typedef struct writing {
    tfn__database *d;
    const tfn__proposal *p;
    int64_t project;
    int64_t commit;
    tfn_instant time;
} writing;

static tfn_code store_instant(void *context, sqlite3_stmt *row, tfn_error *err)
{
    (void)err;
    *(tfn_instant *)context = tfn__sql_get_instant(row, 0);
    return TFN_OK;
}

/* Now, but never before the last commit. */
static tfn_code choose_time(writing *w, const tfn_clock *clock, tfn_error *err)
{
    tfn_instant last = TFN_INSTANT_NONE;
    const tfn__sql_value values[] = {tfn__sql_int(w->project), tfn__sql_int(w->commit - 1)};
    TFN_RETURN_IF_ERROR(
        tfn__sql_run(w->d, "SELECT time_s, time_ns FROM commits WHERE project = ?1 AND number = ?2",
                     values, 2, store_instant, &last, err));
    const tfn_instant now = tfn_clock_now(clock);
    w->time = tfn_instant_compare(now, last) < 0 ? last : now;
    return TFN_OK;
}

static tfn_code write_project(writing *w, tfn_error *err)
{
    const tfn__sql_value values[] = {tfn__sql_text(w->p->state->project), tfn__sql_int(w->commit)};
    tfn__head head = {0};
    TFN_RETURN_IF_ERROR(tfn__sql_run(w->d,
                                     "INSERT INTO project(name, head) VALUES(?1, ?2)"
                                     " ON CONFLICT(name) DO UPDATE SET head = ?2",
                                     values, 2, NULL, NULL, err));
    TFN_RETURN_IF_ERROR(tfn__state_get_head(w->d, w->p->state->project, &head, err));
    w->project = head.project;
    return TFN_OK;
}

static tfn_code write_commit(const writing *w, tfn_error *err)
{
    const tfn__sql_value values[] = {
        tfn__sql_int(w->project),
        tfn__sql_int(w->commit),
        tfn__sql_int(w->time.seconds),
        tfn__sql_int(w->time.nanos),
        tfn__sql_text(w->p->message),
        tfn__sql_int(w->p->n_by_action[TFN__ADD]),
        tfn__sql_int(w->p->n_by_action[TFN__CHANGE]),
        tfn__sql_int(w->p->n_by_action[TFN__REMOVE]),
    };
    return tfn__sql_run(w->d, "INSERT INTO commits VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)", values,
                        8, NULL, NULL, err);
}

static tfn_code end_document(const writing *w, sqlite3_stmt *end, const tfn__entry *entry,
                             tfn_error *err)
{
    const tfn__sql_value values[] = {tfn__sql_int(w->project), tfn__sql_int(entry->kind),
                                     tfn__sql_text(entry->name), tfn__sql_int(w->commit)};
    return tfn__sql_run_prepared(w->d, end, values, 4, NULL, NULL, err);
}

static tfn_code begin_document(const writing *w, sqlite3_stmt *begin, const tfn__entry *entry,
                               tfn_error *err)
{
    const tfn_instant created = entry->before == NULL ? w->time : entry->before->created;
    const tfn_str hash = {(const char *)entry->hash.bytes, sizeof entry->hash.bytes};
    const tfn__sql_value values[] = {
        tfn__sql_int(w->project),      tfn__sql_int(entry->kind),     tfn__sql_text(entry->name),
        tfn__sql_int(w->commit),       tfn__sql_int(created.seconds), tfn__sql_int(created.nanos),
        tfn__sql_int(w->time.seconds), tfn__sql_int(w->time.nanos),   tfn__sql_bytes(hash),
        tfn__sql_text(entry->body),
    };
    return tfn__sql_run_prepared(w->d, begin, values, 10, NULL, NULL, err);
}

static tfn_code forget_watermark(const writing *w, const tfn__entry *entry, tfn_error *err)
{
    const tfn__sql_value values[] = {tfn__sql_int(w->project), tfn__sql_text(entry->name)};
    return tfn__sql_run(w->d, "DELETE FROM watermark WHERE project = ?1 AND view = ?2", values, 2,
                        NULL, NULL, err);
}

static tfn_code write_change(const writing *w, sqlite3_stmt *end, sqlite3_stmt *begin,
                             const tfn__entry *entry, tfn_error *err)
{
    if (entry->before != NULL) {
        TFN_RETURN_IF_ERROR(end_document(w, end, entry, err));
    }
    if (!entry->is_removed) {
        return begin_document(w, begin, entry, err);
    }
    return entry->kind == TFN_OBJECT_VIEW ? forget_watermark(w, entry, err) : TFN_OK;
}

static tfn_code write_documents(const writing *w, tfn_error *err)
{
    sqlite3_stmt *end = NULL;
    sqlite3_stmt *begin = NULL;
    tfn_code rc = tfn__sql_prepare(w->d,
                                   "UPDATE document SET end_commit = ?4 WHERE project = ?1 AND"
                                   " kind = ?2 AND name = ?3 AND end_commit IS NULL",
                                   &end, err);
    if (rc == TFN_OK) {
        rc = tfn__sql_prepare(w->d,
                              "INSERT INTO document(project, kind, name, first_commit, created_s,"
                              " created_ns, updated_s, updated_ns, hash, body)"
                              " VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
                              &begin, err);
    }
    for (size_t i = 0; i < w->p->n_changed && rc == TFN_OK; i++) {
        rc = write_change(w, end, begin, w->p->changed[i], err);
    }
    (void)sqlite3_finalize(end);
    (void)sqlite3_finalize(begin);
    return rc;
}

/* Write the proposal as the next commit; `*commit` becomes the head. Inside the transaction. */
static tfn_code write_proposal(tfn_registry *r, tfn__database *d, const tfn__proposal *p,
                               int64_t *commit, tfn_error *err)
{
    *commit = p->state->commit;
    if (p->n_changed == 0) {
        return TFN_OK;
    }
    writing w = {.d = d, .p = p, .commit = p->state->commit + 1};
    TFN_RETURN_IF_ERROR(write_project(&w, err));
    TFN_RETURN_IF_ERROR(choose_time(&w, &r->clock, err));
    TFN_RETURN_IF_ERROR(write_commit(&w, err));
    TFN_RETURN_IF_ERROR(write_documents(&w, err));
    *commit = w.commit;
    return TFN_OK;
}

/* ---- the verbs ---- */

/* The head as this connection sees it now; an empty state for a new project. */
static tfn_code load_head(tfn__database *d, tfn_str project, tfn__head *head, tfn_snapshot **out,
                          tfn_error *err)
{
    TFN_RETURN_IF_ERROR(tfn__state_get_head(d, project, head, err));
    return tfn__state_load(d, project, head->project, head->commit, true, out, err);
}

static tfn_code load_head_for_reading(tfn_registry *r, tfn_str project, tfn_snapshot **out,
                                      tfn_error *err)
{
    bool exists = false;
    tfn__database *d = NULL;
    tfn__head head = {0};
    *out = NULL;
    TFN_RETURN_IF_ERROR(tfn__registry_begin_read(r, &exists, &d, err));
    if (!exists) {
        return tfn__snapshot_create(project, 0, out, err);
    }
    tfn_code rc = tfn__sql_run(d, "BEGIN", NULL, 0, NULL, NULL, err);
    if (rc == TFN_OK) {
        rc = load_head(d, project, &head, out, err);
    }
    tfn__registry_end_read(r);
    return rc;
}

/* Undo a failed or refused answer, so that the buffer is as it was. */
static void cut_answer(tfn_buf *b, size_t n)
{
    b->n = n;
    if (b->p != NULL) {
        b->p[n] = '\0';
    }
}

tfn_code tfn_registry_plan(tfn_registry *registry, tfn_str project, tfn_str request,
                           tfn_buf *answer, tfn_error *err)
{
    tfn_snapshot *head = NULL;
    tfn__proposal p = {0};
    const size_t n_before = answer->n;
    TFN_RETURN_IF_ERROR(load_head_for_reading(registry, project, &head, err));
    tfn_code rc = tfn__proposal_init(&p, head, request, err);
    if (rc == TFN_OK) {
        rc = add_answer(answer, &p, -1, err);
    }
    if (rc != TFN_OK) {
        cut_answer(answer, n_before);
    }
    tfn__proposal_deinit(&p);
    tfn_snapshot_release(head);
    return rc;
}

tfn_code tfn__registry_try_on_nothing(tfn_registry *r, tfn_str project, tfn_str request,
                                      tfn_error *err)
{
    tfn__file_id id = {0};
    tfn_snapshot *nothing = NULL;
    tfn__proposal p = {0};
    TFN_RETURN_IF_ERROR(tfn__database_look(r->path, &id, err));
    if (id.exists) {
        return TFN_OK;
    }
    TFN_RETURN_IF_ERROR(tfn__snapshot_create(project, 0, &nothing, err));
    tfn_code rc = tfn__proposal_init(&p, nothing, request, err);
    if (rc == TFN_OK && p.n_refusals > 0) {
        rc = fail_refused(&p, err);
    }
    tfn__proposal_deinit(&p);
    tfn_snapshot_release(nothing);
    return rc;
}

/* Judge, answer and write one proposal inside the transaction of `d`. */
static tfn_code settle(tfn_registry *r, tfn__database *d, tfn__proposal *p, tfn_buf *answer,
                       tfn_error *err)
{
    int64_t commit = 0;
    if (p->n_refusals > 0) {
        return fail_refused(p, err);
    }
    TFN_RETURN_IF_ERROR(write_proposal(r, d, p, &commit, err));
    return add_answer(answer, p, commit, err);
}

tfn_code tfn__registry_apply_inside(tfn_registry *r, tfn__database *d, tfn_str project,
                                    tfn_str request, tfn_buf *answer, tfn_error *err)
{
    tfn__head head = {0};
    tfn_snapshot *state = NULL;
    tfn__proposal p = {0};
    tfn_code rc = load_head(d, project, &head, &state, err);
    if (rc == TFN_OK) {
        rc = tfn__proposal_init(&p, state, request, err);
    }
    if (rc == TFN_OK) {
        rc = settle(r, d, &p, answer, err);
    }
    tfn__proposal_deinit(&p);
    tfn_snapshot_release(state);
    return rc;
}

static tfn_code forget_operations(tfn__database *d, int64_t project, tfn_error *err)
{
    const tfn__sql_value value = tfn__sql_int(project);
    TFN_RETURN_IF_ERROR(
        tfn__sql_run(d, "DELETE FROM watermark WHERE project = ?1", &value, 1, NULL, NULL, err));
    return tfn__sql_run(d, "DELETE FROM run WHERE project = ?1", &value, 1, NULL, NULL, err);
}

static tfn_code teardown_inside(tfn_registry *r, tfn__database *d, tfn_str project, tfn_str message,
                                tfn_buf *answer, tfn_error *err)
{
    tfn__head head = {0};
    tfn_snapshot *state = NULL;
    tfn__proposal p = {0};
    tfn_code rc = load_head(d, project, &head, &state, err);
    if (rc == TFN_OK && head.project == 0) {
        rc = tfn__registry_fail_unknown_project(r, d, project, err);
    }
    if (rc == TFN_OK) {
        rc = tfn__proposal_init_teardown(&p, state, message, err);
    }
    if (rc == TFN_OK) {
        rc = settle(r, d, &p, answer, err);
    }
    if (rc == TFN_OK) {
        rc = forget_operations(d, head.project, err);
    }
    tfn__proposal_deinit(&p);
    tfn_snapshot_release(state);
    return rc;
}

tfn_code tfn__registry_finish(tfn_registry *r, tfn__database *d, tfn_code rc, tfn_buf *answer,
                              size_t n_before, tfn_error *err)
{
    if (rc == TFN_OK) {
        rc = tfn__registry_commit(r, d, err);
    } else {
        tfn__registry_abort(d);
    }
    if (rc != TFN_OK) {
        cut_answer(answer, n_before);
    }
    return rc;
}

tfn_code tfn_registry_apply(tfn_registry *registry, tfn_str project, tfn_str request,
                            tfn_buf *answer, tfn_error *err)
{
    tfn__database d = {0};
    const size_t n_before = answer->n;
    TFN_RETURN_IF_ERROR(tfn__registry_follow(registry, project, err));
    TFN_RETURN_IF_ERROR(tfn__registry_try_on_nothing(registry, project, request, err));
    TFN_RETURN_IF_ERROR(tfn__registry_begin_write(registry, &d, err));
    const tfn_code rc = tfn__registry_apply_inside(registry, &d, project, request, answer, err);
    return tfn__registry_finish(registry, &d, rc, answer, n_before, err);
}

tfn_code tfn_registry_teardown(tfn_registry *registry, tfn_str project, tfn_str message,
                               tfn_buf *answer, tfn_error *err)
{
    tfn__database d = {0};
    const size_t n_before = answer->n;
    TFN_RETURN_IF_ERROR(tfn__registry_follow(registry, project, err));
    TFN_RETURN_IF_ERROR(tfn__registry_require_file(registry, project, err));
    TFN_RETURN_IF_ERROR(tfn__registry_begin_write(registry, &d, err));
    const tfn_code rc = teardown_inside(registry, &d, project, message, answer, err);
    return tfn__registry_finish(registry, &d, rc, answer, n_before, err);
}
