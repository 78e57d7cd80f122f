/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */
#ifndef TFN_ONLINE_REDIS_SCRIPT_H
#define TFN_ONLINE_REDIS_SCRIPT_H

/*
 * What runs inside Redis: the write rule (docs/semantics/write-rule.md), so that it holds among
 * any number of writers in one round trip; and the end of a project's row.
 */

/**
 * One row: KEYS[1] the hash; ARGV: seconds to live (0: for ever), field of the pair, then field and
 * value of the event time, of each feature, and of the pair if the row has a created time.
 * Answers with a tfn_online_outcome.
 *
 * TFN__REDIS_WRITE_SHA1 is the text's SHA-1, by which Redis knows it.
 */
extern const char TFN__REDIS_WRITE_SCRIPT[];
extern const char TFN__REDIS_WRITE_SHA1[];

/** The row of one view goes: KEYS[1] the hash; ARGV: fields of the event time, of the pair and of
 * each feature. Answers 3 if there was a row, else 4. */
extern const char TFN__REDIS_DELETE_SCRIPT[];

/** KEYS[1] goes; answers how many views had a row in it. */
extern const char TFN__REDIS_DROP_SCRIPT[];

#endif
