/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */
#ifndef TFN_BASE_LIMITS_H
#define TFN_BASE_LIMITS_H

/* Every ceiling on something that comes from outside, in one place. Passing one is TFN_LIMIT. */

enum {
    TFN_MAX_NAME_BYTES = 1024,                  /* name of an object, field or column */
    TFN_MAX_DOCUMENT_BYTES = 16 * 1024 * 1024,  /* one definition document */
    TFN_MAX_APPLY_BYTES = 256 * 1024 * 1024,    /* one apply request */
    TFN_MAX_KEY_PARTS = 32,                     /* join keys of a view */
    TFN_MAX_KEY_BYTES = 64 * 1024,              /* one encoded key */
    TFN_MAX_FIELDS = 65536,                     /* fields of a view */
    TFN_MAX_FILES = 65536,                      /* files of one source */
    TFN_MAX_ONLINE_ROW_BYTES = 64 * 1024 * 1024 /* one encoded online row */
};

#endif
