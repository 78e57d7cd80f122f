/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */
#ifndef TFN_REGISTRY_FEAST_MESSAGE_H
#define TFN_REGISTRY_FEAST_MESSAGE_H

/* Bytes of Feast's registry file -> its message, with bounds that protobuf-c does not have. */

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"
#include "base/str.h"
#include "feast.pb-c.h"

/* A message and the heap that it was made with, which bounds what one file may take. */
typedef struct tfn__feast_message {
    Feast__Registry *registry; /* NULL before it is read, and after an error */
    ProtobufCAllocator heap;
    size_t n_bytes_left;
    bool was_refused; /* by the system */
    bool was_limited; /* by n_bytes_left */
} tfn__feast_message;

/**
 * Read a file.
 *
 * @param bytes  [borrow] not needed afterwards
 * @param out    [out] not moved afterwards, as its heap points to it; ends with
 *               tfn__feast_message_deinit. Texts in it are UTF-8 without NUL
 *
 * Threads  any
 * Errors   TFN_CORRUPT no registry file of Feast . TFN_LIMIT larger than TFN_MAX_APPLY_BYTES, or
 *          nested too deep, or needs too much memory . TFN_NO_MEMORY
 */
TFN_NODISCARD tfn_code tfn__feast_message_init(tfn__feast_message *out, tfn_str bytes,
                                               tfn_error *err);
void tfn__feast_message_deinit(tfn__feast_message *m);

#endif
