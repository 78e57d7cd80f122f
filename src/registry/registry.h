/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */
#ifndef TFN_REGISTRY_REGISTRY_H
#define TFN_REGISTRY_REGISTRY_H

/*
 * The registry: a sequence of commits per project in one SQLite file, and operational rows
 * (watermarks, runs) beside them that are no commits. Files: docs/formats/registry.md.
 *
 * A handle may be shared by threads, and used on after a fork (the child opens its own connection).
 */

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/time.h"
#include "registry/definition.h"
#include "registry/snapshot.h"

typedef struct tfn_registry tfn_registry;

typedef enum tfn_registry_mode {
    TFN_REGISTRY_READ = 0, /* whatever writes is refused */
    TFN_REGISTRY_CREATE =
        1 /* the first apply makes the file and its folder when they are missing */
} tfn_registry_mode;

/**
 * Open. A missing (or empty) file is an empty registry: nothing is created before the first write.
 *
 * A registry file of Feast is read as well: Tiffin's own then lies beside it, at `<path>.tiffin`,
 * and takes over what Feast's says of its projects whenever that has changed: here, at each look at
 * the file, and before each write. Feast's file is never written. That needs the folder to be
 * writable, also with TFN_REGISTRY_READ.
 *
 * @param path   [copy] NUL-terminated
 * @param clock  [copy, nullable = the system's] stamps commits
 * @param out    [own] ends with tfn_registry_close
 *
 * Threads  any
 * Errors   TFN_INVALID the file is no registry of Tiffin's or Feast's, or a folder; it is left
 *          untouched . what an object of Feast's is refused with: names project and object
 *          TFN_UNSUPPORTED it was written by a newer Tiffin (names both format versions)
 *          TFN_IO unreadable . TFN_CORRUPT . TFN_NO_MEMORY
 */
TFN_NODISCARD tfn_code tfn_registry_open(const char *path, tfn_registry_mode mode,
                                         const tfn_clock *clock, tfn_registry **out,
                                         tfn_error *err);

/** Snapshots outlive it. NULL is fine. Threads one at a time, when no other call runs. */
void tfn_registry_close(tfn_registry *registry);

/** [borrow until closed] As given to tfn_registry_open. Threads any. Errors none. */
const char *tfn_registry_get_path(const tfn_registry *registry);

typedef enum tfn_freshness {
    TFN_CACHED = 0, /* own commits at once, those of other processes within a second */
    TFN_FRESH = 1   /* the state at the time of the call */
} tfn_freshness;

/**
 * The current state of a project.
 *
 * @param project  [borrow]
 * @param out      [own] ends with tfn_snapshot_release
 *
 * Cost     TFN_CACHED under 200 ns (one look at the file per second); TFN_FRESH some microseconds;
 *          a new commit costs one query over all documents
 * Threads  any
 * Errors   TFN_NOT_FOUND nothing was ever applied to this project here: says to run `tiffin apply`,
 *          and names the projects that exist . TFN_IO . TFN_CORRUPT . TFN_NO_MEMORY; and as
 *          tfn_registry_open, when the file was replaced
 */
TFN_NODISCARD tfn_code tfn_registry_get_snapshot(tfn_registry *registry, tfn_str project,
                                                 tfn_freshness freshness, tfn_snapshot **out,
                                                 tfn_error *err);

/**
 * A past state: that of a commit, or the one that was current at an instant. Not cached.
 *
 * @param out  [own] ends with tfn_snapshot_release
 *
 * Threads  any
 * Errors   TFN_NOT_FOUND no such commit, or no commit yet at that time (names the range that
 * exists) and as tfn_registry_get_snapshot
 */
TFN_NODISCARD tfn_code tfn_registry_get_snapshot_at_commit(tfn_registry *registry, tfn_str project,
                                                           int64_t commit, tfn_snapshot **out,
                                                           tfn_error *err);
TFN_NODISCARD tfn_code tfn_registry_get_snapshot_at_time(tfn_registry *registry, tfn_str project,
                                                         tfn_instant time, tfn_snapshot **out,
                                                         tfn_error *err);

/**
 * What tfn_registry_apply would do now, and what it would refuse. Writes nothing.
 *
 * @param request  [borrow] JSON: {"objects":[document...], "delete":[{"kind","name"}...],
 *                 "delete_missing":false, "expected_commit":-1, "message":""}; all but "objects"
 * may be left out
 * @param answer   [out] JSON appended: {"base_commit", "changes":[{"action","kind","name",
 *                 "inferred":[...], "fields":[{"field","old","new"}...]}...],
 *                 "refused":[{"kind","name","code","reason"}...]}
 *
 * Threads  any
 * Errors   TFN_INVALID not such a request . TFN_LIMIT larger than TFN_MAX_APPLY_BYTES
 *          TFN_IO . TFN_CORRUPT . TFN_NO_MEMORY
 */
TFN_NODISCARD tfn_code tfn_registry_plan(tfn_registry *registry, tfn_str project, tfn_str request,
                                         tfn_buf *answer, tfn_error *err);

/**
 * Make the objects so: all or nothing, as one commit; nothing to change makes no commit. The first
 * apply to a project adds its project object. A removed view's watermark goes with it.
 *
 * @param request  [borrow] as tfn_registry_plan; expected_commit >= 0 must be the head
 * @param answer   [out] JSON appended: as tfn_registry_plan, and "commit" (the head afterwards)
 *
 * Threads  any; processes that apply at once wait for each other, up to 10 s
 * Errors   code and sentence of the first refused object, and how many more were refused
 *          TFN_CONFLICT the head is another than expected, or another process held the file for 10
 * s TFN_UNSUPPORTED the handle was opened TFN_REGISTRY_READ TFN_INVALID . TFN_LIMIT . TFN_IO .
 * TFN_CORRUPT . TFN_NO_MEMORY; nothing is written then
 */
TFN_NODISCARD tfn_code tfn_registry_apply(tfn_registry *registry, tfn_str project, tfn_str request,
                                          tfn_buf *answer, tfn_error *err);

/**
 * Remove all objects of a project as one commit, and its watermarks and runs. History stays; other
 * projects are untouched. The answer is that of tfn_registry_apply.
 *
 * Threads  any
 * Errors   TFN_NOT_FOUND no such project . and as tfn_registry_apply
 */
TFN_NODISCARD tfn_code tfn_registry_teardown(tfn_registry *registry, tfn_str project,
                                             tfn_str message, tfn_buf *answer, tfn_error *err);

/**
 * Commits, newest first: [{"commit","time","message","n_added","n_changed","n_removed"}...].
 *
 * @param limit  at most so many; 0 = all
 * @param out    [out] JSON appended
 *
 * Threads  any
 * Errors   TFN_NOT_FOUND no such project . TFN_IO . TFN_CORRUPT . TFN_NO_MEMORY
 */
TFN_NODISCARD tfn_code tfn_registry_log(tfn_registry *registry, tfn_str project, int64_t limit,
                                        tfn_buf *out, tfn_error *err);

/**
 * One commit: the members of its log entry, and "changes" as in a plan's answer.
 *
 * Threads  any
 * Errors   TFN_NOT_FOUND no such project or commit . TFN_IO . TFN_CORRUPT . TFN_NO_MEMORY
 */
TFN_NODISCARD tfn_code tfn_registry_show(tfn_registry *registry, tfn_str project, int64_t commit,
                                         tfn_buf *out, tfn_error *err);

/**
 * Projects that have objects now, by name: [{project document..., "commit","created_timestamp",
 * "last_updated_timestamp","hash"}...].
 *
 * Threads  any
 * Errors   TFN_IO . TFN_CORRUPT . TFN_NO_MEMORY
 */
TFN_NODISCARD tfn_code tfn_registry_list_projects(tfn_registry *registry, tfn_buf *out,
                                                  tfn_error *err);

/**
 * Make a project what a registry file of Feast says of it, as one commit, and keep the bytes of the
 * file, from which Feast's can be written again. Objects that the file does not have are removed,
 * but for saved datasets.
 *
 * @param bytes    [borrow] the file
 * @param project  [borrow] one of its projects; it has this name here, too
 * @param answer   [out] JSON appended: as tfn_registry_apply
 *
 * Threads  any
 * Errors   TFN_CORRUPT no such file . TFN_NOT_FOUND no such project in it . TFN_UNSUPPORTED the
 *          registry already follows a file of Feast's . and as tfn_registry_apply
 */
TFN_NODISCARD tfn_code tfn_registry_import_feast(tfn_registry *registry, tfn_str bytes,
                                                 tfn_str project, tfn_buf *answer, tfn_error *err);

/**
 * The file of Feast that a project was taken over from last, as it was.
 *
 * @param bytes  [out] appended
 * @param found  [out] false: the project never came from one
 *
 * Threads  any
 * Errors   TFN_IO . TFN_CORRUPT . TFN_NO_MEMORY
 */
TFN_NODISCARD tfn_code tfn_registry_get_feast_file(tfn_registry *registry, tfn_str project,
                                                   tfn_buf *bytes, bool *found, tfn_error *err);

/* What of a view's source is online. */
typedef struct tfn_watermark {
    tfn_instant start;         /* event times from here (TFN_INSTANT_NONE = from the first row) */
    tfn_instant end;           /* to here, both inclusive */
    tfn_instant created_bound; /* rows created up to here were seen; TFN_INSTANT_NONE = no bound */
} tfn_watermark;

/* One materialization. */
typedef struct tfn_run {
    tfn_instant start; /* event times read, both inclusive */
    tfn_instant end;
    tfn_instant created_bound;
    tfn_instant started;
    tfn_instant finished;
    int64_t n_rows_read;
    int64_t n_rows_written;
    int64_t n_rows_ignored; /* because the online store had newer ones */
} tfn_run;

/**
 * A view's watermark. Not part of a snapshot: it changes without a commit.
 *
 * @param found  [out] false when the view was never materialized (or was forgotten)
 *
 * Threads  any
 * Errors   TFN_IO . TFN_CORRUPT . TFN_NO_MEMORY
 */
TFN_NODISCARD tfn_code tfn_registry_get_watermark(tfn_registry *registry, tfn_str project,
                                                  tfn_str view, bool *found, tfn_watermark *out,
                                                  tfn_error *err);

/**
 * Replace a view's watermark and add the run that made it, in one durable transaction.
 *
 * @param run  [borrow, nullable]
 *
 * Threads  any
 * Errors   TFN_NOT_FOUND no such project or view now . TFN_CONFLICT the file was held for 10 s
 *          TFN_UNSUPPORTED opened TFN_REGISTRY_READ . TFN_IO . TFN_CORRUPT . TFN_NO_MEMORY
 */
TFN_NODISCARD tfn_code tfn_registry_set_watermark(tfn_registry *registry, tfn_str project,
                                                  tfn_str view, const tfn_watermark *watermark,
                                                  const tfn_run *run, tfn_error *err);

enum { TFN_WATERMARK_BYTES = 36 };

/** A watermark as bytes, to be kept beside the rows that it speaks of. Errors none. */
void tfn_watermark_pack(const tfn_watermark *watermark, uint8_t to[TFN_WATERMARK_BYTES]);

/** False: not what tfn_watermark_pack made; `out` is as without a watermark then. */
bool tfn_watermark_unpack(tfn_str bytes, tfn_watermark *out);

/** As if the view had never been materialized; its runs stay. Errors as tfn_registry_set_watermark,
 * but no watermark to forget is fine. */
TFN_NODISCARD tfn_code tfn_registry_forget_watermark(tfn_registry *registry, tfn_str project,
                                                     tfn_str view, tfn_error *err);

/**
 * Runs, newest first: [{"view","start","end","created_bound","started","finished","rows_read",
 * "rows_written","rows_ignored"}...]; times in ISO 8601, null for TFN_INSTANT_NONE.
 *
 * @param view   [borrow] empty = of all views
 * @param limit  at most so many; 0 = all
 *
 * Threads  any
 * Errors   TFN_IO . TFN_CORRUPT . TFN_NO_MEMORY
 */
TFN_NODISCARD tfn_code tfn_registry_list_runs(tfn_registry *registry, tfn_str project, tfn_str view,
                                              int64_t limit, tfn_buf *out, tfn_error *err);

#endif
