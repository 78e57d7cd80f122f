/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */
#ifndef TFN_ONLINE_BACKUP_FOLDER_H
#define TFN_ONLINE_BACKUP_FOLDER_H

/*
 * The folder of a backup: data.mdb, and backup.json, which is named last. A folder without it is no
 * backup, whatever else it holds.
 *
 * Format  docs/formats/online-backup.md
 */

#include <stdbool.h>

#include "base/buf.h"

/**
 * Make the folder, and its parents, or see that it is empty, and keep other backups from it. What a
 * killed backup left is removed.
 *
 * @param is_made  [out] it was not there
 * @param lock     [out] ends with tfn_backup_folder_unlock, after the folder is sealed or cleared;
 *                 -1 after an error
 *
 * Threads  any; the lock ends with the process
 * Errors   TFN_CONFLICT somebody writes one there; nothing is touched . TFN_INVALID it holds
 *          something, or is a file . TFN_IO . TFN_NO_MEMORY
 */
TFN_NODISCARD tfn_code tfn_backup_folder_make(const char *folder, bool *is_made, int *lock,
                                              tfn_error *err);

/** -1 is fine. Threads any, but no child of a fork. Errors none. */
void tfn_backup_folder_unlock(int lock);

/* The rows, complete and synced, until the folder is sealed. */
#define TFN_BACKUP_NEW_DATA ".new-data.mdb"

/** Write backup.json and give the files their names, durably: from now on it is a backup. Errors
 * TFN_IO, TFN_NO_MEMORY. */
TFN_NODISCARD tfn_code tfn_backup_folder_seal(const char *folder, tfn_str description,
                                              tfn_error *err);

/** Remove what a failed backup wrote and, if it was made, the folder. What cannot be removed stays.
 * Threads any. Errors none. */
void tfn_backup_folder_clear(const char *folder, bool is_made);

/**
 * Read backup.json.
 *
 * @param out  [out] appended
 *
 * Errors   TFN_NOT_FOUND there is no backup . TFN_CORRUPT longer than 64 MiB . TFN_IO .
 *          TFN_NO_MEMORY
 */
TFN_NODISCARD tfn_code tfn_backup_folder_read(const char *folder, tfn_buf *out, tfn_error *err);

#endif
