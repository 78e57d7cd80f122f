/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */
#ifndef TFN_SERVER_FEATURE_LOG_BLOCK_H
#define TFN_SERVER_FEATURE_LOG_BLOCK_H

/*
 * Answers of one definition, side by side: column by column, as segments have them
 * (docs/formats/feature-log.md, "Blocks").
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "tiffin/store.h"

typedef struct tfn__log_block tfn__log_block;

/**
 * An empty block for answers like this one.
 *
 * @param service, hash  [copy] the definition
 * @param answer         [borrow] its columns
 * @param out            [own] ends with tfn__log_block_destroy
 *
 * Threads  one at a time per block
 * Errors   TFN_NO_MEMORY
 */
TFN_NODISCARD tfn_code tfn__log_block_create(const char *service, const char *hash,
                                             const tfn_answer *answer, tfn__log_block **out,
                                             tfn_error *err);
void tfn__log_block_destroy(tfn__log_block *block);

/** Whether an answer belongs in this block. Threads one at a time. Errors none. */
bool tfn__log_block_takes(const tfn__log_block *block, const char *service, const char *hash,
                          const tfn_answer *answer);

/**
 * Add an answer.
 *
 * @param time_us   when it was given, since 1970
 * @param sequence  its number in the segment
 *
 * Errors   TFN_NO_MEMORY; then the block can only be cleared or destroyed
 */
TFN_NODISCARD tfn_code tfn__log_block_add(tfn__log_block *block, const tfn_answer *answer,
                                          int64_t time_us, uint64_t sequence, tfn_error *err);

/** How much waits in it. Threads one at a time. Errors none. */
size_t tfn__log_block_get_n_answers(const tfn__log_block *block);
size_t tfn__log_block_get_n_bytes(const tfn__log_block *block);

/** The payload of the definition's frame: JSON. Borrowed. Threads one at a time. Errors none. */
tfn_str tfn__log_block_get_schema(const tfn__log_block *block);

/** Append the payload of the block's frame. Errors as tfn_buf_add. */
TFN_NODISCARD tfn_code tfn__log_block_write(const tfn__log_block *block, tfn_buf *out,
                                            tfn_error *err);

/** Forget the answers; the memory is kept. Threads one at a time. Errors none. */
void tfn__log_block_clear(tfn__log_block *block);

#endif
