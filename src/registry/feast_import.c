/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

/*
 * Files of Feast's registry: imported once, or followed.
 *
 *   import    bytes --tfn_feast_read--> request --apply--> one commit; the bytes are kept
 *   follow    `registry` names Feast's own file F: ours is F.tiffin; whenever F is another one than
 *             it was, each project of which it says something new gets a commit that says so
 *
 * What was taken over stands in the table feast_file, a row for each project, with the hash of what
 * the file said of it. A file changes with each materialization of Feast and with every project in
 * it, but a project is only taken over when its own objects changed; so commits that were made here
 * meanwhile stay until Feast's objects are others. The row of the project '' (no project is called
 * so) has the hash of the file that was gone through last: who finds it equal has nothing to do,
 * and needs not even to read the message.
 *
 * A project that is refused stops no other; who wants its newest state gets the reason. A file with
 * one has no row of '', so every process that opens it tries again.
 *
 * Feast truncates its file and writes it anew, without a lock. A part of a message can be one, so a
 * file is only read when it has been still for some time, and was the same before and after.
 *
 * Nothing is done under a lock of Feast's, so there is none to wait for. Two processes that see the
 * same change are one after the other (BEGIN IMMEDIATE); the second finds it done.
 */

#include "registry/registry_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/hash.h"
#include "base/limits.h"
#include "base/mem.h"
#include "registry/feast_file.h"
#include "registry/feast_read.h"

#include "base/poison.h"

enum { STILL_MS = 50, MAX_TRIES = 40, NS_PER_MS = 1000000 };

static const char imported[] = "imported from Feast's registry";

/* ---- the table ---- */

static tfn_code create_table(tfn__database *d, tfn_error *err)
{
    return tfn__sql_run(d,
                        "CREATE TABLE IF NOT EXISTS feast_file(project TEXT PRIMARY KEY, hash BLOB"
                        " NOT NULL, said BLOB NOT NULL, bytes BLOB NOT NULL)",
                        NULL, 0, NULL, NULL, err);
}

static tfn_code note_row(void *context, sqlite3_stmt *row, tfn_error *err)
{
    (void)row;
    (void)err;
    *(bool *)context = true;
    return TFN_OK;
}

static tfn_code has_table(tfn__database *d, bool *has, tfn_error *err)
{
    *has = false;
    return tfn__sql_run(d,
                        "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'feast_file'",
                        NULL, 0, note_row, has, err);
}

static tfn_str hash_bytes(const tfn_hash128 *hash)
{
    return (tfn_str){(const char *)hash->bytes, sizeof hash->bytes};
}

/* Is there a row of the project with this hash in the column? */
static tfn_code has_row(tfn__database *d, const char *sql, tfn_str project, const tfn_hash128 *hash,
                        bool *has, tfn_error *err)
{
    const tfn__sql_value values[] = {tfn__sql_text(project), tfn__sql_bytes(hash_bytes(hash))};
    *has = false;
    return tfn__sql_run(d, sql, values, 2, note_row, has, err);
}

static tfn_code was_gone_through(tfn__database *d, const tfn_hash128 *hash, bool *was,
                                 tfn_error *err)
{
    return has_row(d, "SELECT 1 FROM feast_file WHERE project = ?1 AND hash = ?2",
                   (tfn_str){.p = ""}, hash, was, err);
}

static tfn_code write_row(tfn__database *d, tfn_str project, const tfn_hash128 *hash,
                          const tfn_hash128 *said, tfn_str bytes, tfn_error *err)
{
    const tfn__sql_value values[] = {tfn__sql_text(project), tfn__sql_bytes(hash_bytes(hash)),
                                     tfn__sql_bytes(hash_bytes(said)), tfn__sql_bytes(bytes)};
    return tfn__sql_run(d, "INSERT OR REPLACE INTO feast_file VALUES(?1, ?2, ?3, ?4)", values, 4,
                        NULL, NULL, err);
}

static tfn_code add_bytes(void *context, sqlite3_stmt *row, tfn_error *err)
{
    return tfn_buf_add_str(context, tfn__sql_get_str(row, 0), err);
}

static tfn_code get_bytes(tfn__database *d, tfn_str project, tfn_buf *bytes, bool *found,
                          tfn_error *err)
{
    const tfn__sql_value value = tfn__sql_text(project);
    const size_t n_before = bytes->n;
    TFN_RETURN_IF_ERROR(has_table(d, found, err));
    if (!*found) {
        return TFN_OK;
    }
    TFN_RETURN_IF_ERROR(tfn__sql_run(d, "SELECT bytes FROM feast_file WHERE project = ?1", &value,
                                     1, add_bytes, bytes, err));
    *found = bytes->n > n_before;
    return TFN_OK;
}

tfn_code tfn_registry_get_feast_file(tfn_registry *registry, tfn_str project, tfn_buf *bytes,
                                     bool *found, tfn_error *err)
{
    bool exists = false;
    tfn__database *d = NULL;
    *found = false;
    TFN_RETURN_IF_ERROR(tfn__registry_begin_read(registry, &exists, &d, err));
    if (!exists) {
        return TFN_OK;
    }
    const tfn_code rc = get_bytes(d, project, bytes, found, err);
    tfn__registry_end_read(registry);
    return rc;
}

/* ---- import ---- */

/* Apply what the file says of a project, and keep the file. Inside a transaction. */
static tfn_code take_over(tfn_registry *r, tfn__database *d, tfn_str project, tfn_str request,
                          tfn_str bytes, tfn_buf *answer, tfn_error *err)
{
    const tfn_hash128 hash = tfn_hash128_of(bytes.p, bytes.n);
    const tfn_hash128 said = tfn_hash128_of(request.p, request.n);
    TFN_RETURN_IF_ERROR(create_table(d, err));
    TFN_RETURN_IF_ERROR(tfn__registry_apply_inside(r, d, project, request, answer, err));
    return write_row(d, project, &hash, &said, bytes, err);
}

static tfn_code import_request(tfn_registry *r, tfn_str project, tfn_str request, tfn_str bytes,
                               tfn_buf *answer, tfn_error *err)
{
    tfn__database d = {0};
    const size_t n_before = answer->n;
    TFN_RETURN_IF_ERROR(tfn__registry_try_on_nothing(r, project, request, err));
    TFN_RETURN_IF_ERROR(tfn__registry_begin_write(r, &d, err));
    const tfn_code rc = take_over(r, &d, project, request, bytes, answer, err);
    return tfn__registry_finish(r, &d, rc, answer, n_before, err);
}

tfn_code tfn_registry_import_feast(tfn_registry *registry, tfn_str bytes, tfn_str project,
                                   tfn_buf *answer, tfn_error *err)
{
    tfn__feast_message message;
    tfn_buf request = {0};
    if (registry->feast.path != NULL) {
        return TFN_FAIL(err, TFN_UNSUPPORTED,
                        "the registry '%s' is Feast's own, and what it says is taken over as it "
                        "is; give another path as `registry` to import into",
                        registry->given_path);
    }
    tfn_code rc = tfn__feast_message_init(&message, bytes, err);
    if (rc == TFN_OK) {
        rc = tfn__feast_read_project(message.registry, project, imported, &request, err);
    }
    tfn__feast_message_deinit(&message);
    if (rc == TFN_OK) {
        rc = import_request(registry, project, tfn_buf_get_str(&request), bytes, answer, err);
    }
    tfn_buf_deinit(&request);
    return rc;
}

/* ---- reading a file that another program writes ---- */

static tfn_code read_file(const char *path, tfn_buf *bytes, tfn_error *err)
{
    tfn_buf_deinit(bytes);
    tfn_buf_init(bytes, TFN_MAX_APPLY_BYTES);
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return errno == ENOENT ? TFN_OK
                               : TFN_FAIL_SYS(err, errno, "opening Feast's registry '%s'", path);
    }
    const tfn_code rc = tfn_buf_add_file(bytes, fd, path, err);
    (void)close(fd);
    return rc;
}

static bool is_same_file(const tfn__file_id *a, const tfn__file_id *b)
{
    return a->exists == b->exists && a->device == b->device && a->inode == b->inode &&
           a->size == b->size && a->changed_ns == b->changed_ns;
}

/* Not written to for a while, by the clock that stamps files. One of the future counts as still. */
static bool is_still(const tfn__file_id *id)
{
    const int64_t now_ns = tfn_instant_to(tfn_clock_now(&(tfn_clock){0}), TFN_UNIT_NS);
    const int64_t age_ns = tfn_time_sub(now_ns, id->changed_ns);
    return age_ns < 0 || age_ns >= (int64_t)STILL_MS * NS_PER_MS;
}

/* All of a file, and which it was; nothing (`id->exists` false) when there is none, or it is
 * empty. A file that never is still is read as it is in the end. */
static tfn_code read_still_file(const char *path, tfn_buf *bytes, tfn__file_id *id, tfn_error *err)
{
    tfn__file_id after = {0};
    TFN_RETURN_IF_ERROR(tfn__database_look(path, id, err));
    for (int i = 0; i < MAX_TRIES; i++) {
        if (i > 0) {
            (void)sqlite3_sleep(STILL_MS / 2);
        }
        TFN_RETURN_IF_ERROR(tfn__database_look(path, id, err));
        if (!id->exists || (!is_still(id) && i + 1 < MAX_TRIES)) {
            continue;
        }
        TFN_RETURN_IF_ERROR(read_file(path, bytes, err));
        TFN_RETURN_IF_ERROR(tfn__database_look(path, &after, err));
        if (is_same_file(id, &after) && (int64_t)bytes->n == id->size) {
            return TFN_OK;
        }
    }
    return TFN_OK;
}

/* ---- what was refused ---- */

void tfn__feast_forget_failures(tfn_registry *r)
{
    for (size_t i = 0; i < r->feast.n_failures; i++) {
        tfn_mem_free(r->feast.failures[i].project);
    }
    r->feast.n_failures = 0;
}

static tfn_code note_failure(tfn_registry *r, const char *project, const tfn_error *why,
                             tfn_error *err)
{
    void *p = r->feast.failures;
    char *name = NULL;
    TFN_RETURN_IF_ERROR(tfn_mem_grow(&p, &r->feast.failures_capacity, r->feast.n_failures + 1,
                                     sizeof *r->feast.failures, err));
    r->feast.failures = p;
    TFN_RETURN_IF_ERROR(tfn_mem_copy_text(project, &name, err));
    r->feast.failures[r->feast.n_failures] = (tfn__feast_failure){name, *why};
    r->feast.n_failures++;
    return TFN_OK;
}

tfn_code tfn__feast_check(const tfn_registry *r, tfn_str project, tfn_error *err)
{
    for (size_t i = 0; i < r->feast.n_failures; i++) {
        const tfn__feast_failure *failure = &r->feast.failures[i];
        if (tfn_str_is(project, failure->project)) {
            return TFN_FAIL(err, failure->why.code, "%s", failure->why.message);
        }
    }
    return TFN_OK;
}

/* ---- follow ---- */

tfn_code tfn__feast_find(tfn_registry *r, tfn_error *err)
{
    bool is_sqlite = false;
    tfn__file_id given = {0};
    tfn__file_id ours = {0};
    tfn_buf beside = {0};
    tfn_buf bytes = {0};
    tfn_code rc = TFN_OK;
    TFN_GOTO_IF_ERROR(rc, tfn__database_is_sqlite(r->given_path, &is_sqlite, err), done);
    TFN_GOTO_IF_ERROR(rc, tfn__database_look(r->given_path, &given, err), done);
    TFN_GOTO_IF_ERROR(rc, tfn_buf_add_format(&beside, err, "%s.tiffin", r->given_path), done);
    TFN_GOTO_IF_ERROR(rc, tfn__database_look(beside.p, &ours, err), done);
    if (is_sqlite || (!given.exists && !ours.exists)) {
        goto done;
    }
    if (given.exists) {
        TFN_GOTO_IF_ERROR(rc, read_still_file(r->given_path, &bytes, &given, err), done);
        if (!tfn_feast_is_registry(tfn_buf_get_str(&bytes))) {
            goto done; /* the look that follows says what it is not */
        }
    }
    TFN_GOTO_IF_ERROR(rc, tfn_mem_copy_text(r->given_path, &r->feast.path, err), done);
    tfn_mem_free(r->path);
    r->path = NULL;
    TFN_GOTO_IF_ERROR(rc, tfn_buf_take_text(&beside, &r->path, err), done);
done:
    tfn_buf_deinit(&beside);
    tfn_buf_deinit(&bytes);
    return rc;
}

/* Is the file with this hash the one that was gone through last? Without a write. */
static tfn_code is_known(tfn_registry *r, const tfn_hash128 *hash, bool *known, tfn_error *err)
{
    tfn__file_id id = {0};
    tfn__database d = {0};
    *known = false;
    TFN_RETURN_IF_ERROR(tfn__database_look(r->path, &id, err));
    if (!id.exists) {
        return TFN_OK;
    }
    TFN_RETURN_IF_ERROR(tfn__database_open_reader(&d, r->path, r->busy_ms, err));
    tfn_code rc = d.db == NULL ? TFN_OK : has_table(&d, known, err);
    if (rc == TFN_OK && *known) {
        rc = was_gone_through(&d, hash, known, err);
    }
    tfn__database_close(&d);
    return rc;
}

/* One project of the file, inside the transaction. */
static tfn_code follow_project(tfn_registry *r, tfn__database *d, const Feast__Registry *registry,
                               const char *name, tfn_str bytes, tfn_error *err)
{
    bool is_same = false;
    tfn_buf request = {0};
    tfn_buf answer = {0};
    const tfn_str project = tfn_str_of(name);
    tfn_code rc = tfn__feast_read_project(registry, project, imported, &request, err);
    if (rc == TFN_OK) {
        const tfn_hash128 hash = tfn_hash128_of(bytes.p, bytes.n);
        const tfn_hash128 said = tfn_hash128_of(request.p, request.n);
        rc = has_row(d, "SELECT 1 FROM feast_file WHERE project = ?1 AND said = ?2", project, &said,
                     &is_same, err);
        if (rc == TFN_OK && is_same) {
            rc = write_row(d, project, &hash, &said, bytes, err);
        } else if (rc == TFN_OK) {
            rc = take_over(r, d, project, tfn_buf_get_str(&request), bytes, &answer, err);
        }
    }
    if (rc != TFN_OK) {
        tfn_error_prepend(err, "taking over project '%s' of Feast's registry '%s': ", name,
                          r->feast.path);
    }
    tfn_buf_deinit(&request);
    tfn_buf_deinit(&answer);
    return rc;
}

/* A project that is refused is as it was before, and stops no other. */
static tfn_code try_project(tfn_registry *r, tfn__database *d, const Feast__Registry *registry,
                            const char *name, tfn_str bytes, tfn_error *err)
{
    tfn_error why = {0};
    TFN_RETURN_IF_ERROR(tfn__sql_run(d, "SAVEPOINT one_project", NULL, 0, NULL, NULL, err));
    const tfn_code rc = follow_project(r, d, registry, name, bytes, &why);
    if (rc != TFN_OK && !tfn__is_refusal(rc)) {
        return tfn_error_move(err, &why);
    }
    if (rc != TFN_OK) {
        TFN_RETURN_IF_ERROR(tfn__sql_run(d, "ROLLBACK TO one_project", NULL, 0, NULL, NULL, err));
        TFN_RETURN_IF_ERROR(note_failure(r, name, &why, err));
    }
    return tfn__sql_run(d, "RELEASE one_project", NULL, 0, NULL, NULL, err);
}

static tfn_code follow_inside(tfn_registry *r, tfn__database *d, const Feast__Registry *registry,
                              tfn_str bytes, tfn_error *err)
{
    bool is_done = false;
    const char **projects = NULL;
    size_t n_projects = 0;
    const tfn_hash128 hash = tfn_hash128_of(bytes.p, bytes.n);
    TFN_RETURN_IF_ERROR(create_table(d, err));
    TFN_RETURN_IF_ERROR(was_gone_through(d, &hash, &is_done, err));
    if (is_done) { /* by another process, a moment ago */
        return TFN_OK;
    }
    tfn_code rc = tfn__feast_get_projects(registry, &projects, &n_projects, err);
    for (size_t i = 0; i < n_projects && rc == TFN_OK; i++) {
        rc = try_project(r, d, registry, projects[i], bytes, err);
    }
    if (rc == TFN_OK && r->feast.n_failures == 0) {
        rc = write_row(d, (tfn_str){.p = ""}, &hash, &hash, (tfn_str){0}, err);
    }
    tfn_mem_free((void *)(uintptr_t)projects);
    return rc;
}

static tfn_code follow_bytes(tfn_registry *r, tfn_str bytes, tfn_error *err)
{
    bool known = false;
    tfn__feast_message message;
    tfn__database d = {0};
    tfn_buf nothing = {0};
    const tfn_hash128 hash = tfn_hash128_of(bytes.p, bytes.n);
    tfn__feast_forget_failures(r);
    TFN_RETURN_IF_ERROR(is_known(r, &hash, &known, err));
    if (known) {
        return TFN_OK;
    }
    tfn_code rc = tfn__feast_message_init(&message, bytes, err);
    if (rc != TFN_OK) {
        tfn_error_prepend(err, "'%s': ", r->feast.path);
    }
    if (rc == TFN_OK) {
        rc = tfn__registry_begin_own_write(r, &d, err);
        if (rc != TFN_OK) {
            tfn_error_prepend(err,
                              "Feast's registry '%s' is read through a registry of Tiffin's beside "
                              "it, which must be writable: ",
                              r->feast.path);
        } else {
            rc = follow_inside(r, &d, message.registry, bytes, err);
            rc = tfn__registry_finish(r, &d, rc, &nothing, 0, err);
        }
    }
    tfn__feast_message_deinit(&message);
    return rc;
}

/* What a lookup that could be answered from an older state need not fail of. */
static bool may_wait(tfn_code rc)
{
    return rc != TFN_OK && rc != TFN_NO_MEMORY;
}

tfn_code tfn__feast_follow(tfn_registry *r, bool is_lenient, tfn_error *err)
{
    tfn__file_id now = {0};
    tfn_buf bytes = {0};
    tfn_error why = {0};
    if (r->feast.path == NULL) {
        return TFN_OK;
    }
    tfn_code rc = tfn__database_look(r->feast.path, &now, &why);
    if (rc == TFN_OK && (!now.exists || is_same_file(&now, &r->feast.seen) ||
                         (is_lenient && is_same_file(&now, &r->feast.failed)))) {
        return TFN_OK;
    }
    if (rc == TFN_OK) {
        rc = read_still_file(r->feast.path, &bytes, &now, &why);
    }
    if (rc == TFN_OK && bytes.n > 0) {
        rc = follow_bytes(r, tfn_buf_get_str(&bytes), &why);
    }
    tfn_buf_deinit(&bytes);
    if (rc == TFN_OK) {
        r->feast.seen = now;
        return TFN_OK;
    }
    r->feast.failed = now;
    return is_lenient && may_wait(rc) ? TFN_OK : tfn_error_move(err, &why);
}
