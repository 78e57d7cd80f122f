/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

/*
 * A table with one place per hash: 64 places of at most 1 KiB of key and one sentence, so that a
 * client that asks for something else each time neither fills memory nor drives lookups out of
 * their cache (lookups.c).
 */

#include "server/misses.h"

#include "base/mem.h"

#include "base/poison.h"

static void clear(tfn_miss *r)
{
    tfn_mem_free(r->key);
    tfn_mem_free(r->sentence);
    *r = (tfn_miss){0};
}

const tfn_miss *tfn_misses_find(const tfn_misses *misses, tfn_str key, uint64_t hash,
                                int64_t commit)
{
    const tfn_miss *r = &misses->items[hash % TFN_MOST_MISSES];
    const bool is_it = r->key != NULL && r->hash == hash && r->commit == commit &&
                       tfn_str_equal(key, (tfn_str){r->key, r->n_key});
    return is_it ? r : NULL;
}

void tfn_misses_note(tfn_misses *misses, tfn_str key, uint64_t hash, int64_t commit,
                     tfn_missing missing, const tfn_error *why)
{
    tfn_miss *r = &misses->items[hash % TFN_MOST_MISSES];
    if (key.n > TFN_MOST_MISSED_KEY_BYTES) {
        return;
    }
    clear(r);
    *r = (tfn_miss){
        .hash = hash, .commit = commit, .n_key = key.n, .code = why->code, .missing = missing};
    if (tfn_mem_copy_text(why->message, &r->sentence, NULL) != TFN_OK ||
        tfn_mem_copy_bytes(key.p, key.n, &r->key, NULL) != TFN_OK) {
        clear(r);
    }
}

void tfn_misses_clear(tfn_misses *misses)
{
    for (size_t i = 0; i < TFN_MOST_MISSES; i++) {
        clear(&misses->items[i]);
    }
}
