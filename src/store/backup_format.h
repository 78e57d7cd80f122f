/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */
#ifndef TFN_STORE_BACKUP_FORMAT_H
#define TFN_STORE_BACKUP_FORMAT_H

/* What backup.c writes and restore.c reads: docs/formats/online-backup.md. */

#define TFN__BACKUP_KIND "tiffin online backup"

enum { TFN__BACKUP_FORMAT = 1 };

#endif
