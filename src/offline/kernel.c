/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

/*
 * The kernel of the point-in-time join (docs/semantics/point-in-time.md, "Candidates").
 *
 * A source row is first eligible at exactly one entity time of its key: the first one that is not
 * before its event time (nor, with a created filter, before its created time). Finding it is four
 * dependent loads: bucket -> group (and key bytes) -> times -> slot. For one row they are four cache
 * misses in a row; so a block of 1,024 rows goes through them step by step, and each step
 * prefetches what the next one reads:
 *
 *   prefetch_buckets   hash                                        -> bucket
 *   probe_buckets      bucket: tag fits?            else drop      -> group, key bytes
 *   find_groups        hash or bytes equal? not too late?  else drop -> times
 *   find_slots         binary search; expired? drop                -> slot
 *   offer_rows         compare, lock, compare, write
 *
 * A group holds its key's hash and its first and last time, so that a row which is too late, and one of
 * a group of one or two slots, needs nothing else. Where the hash says all about the key (one number),
 * key bytes are not read.
 *
 * Each step compacts the list of rows in place, so later ones see only what is left.
 *
 * Invariants
 *  1. Rows are dropped only when no entity row can ever get them; each under one reason.
 *  2. `rows[i]`, `need[i]` and `place[i]` speak of the same row in every step.
 *  3. Nothing shared is written but slots (under their locks) and records (under their slot's
 *     lock).
 *
 * Rejected: sorting source rows (the whole point is not to); a Bloom filter before the table (most
 * sources are about the keys that are asked for).
 *
 * Complexity: O(log g) per row, g = entity times of its key.
 */

#include "offline/kernel.h"

#include "offline/room.h"

#include "base/poison.h"

enum { KEY_PREFETCH_BYTES = 48 }; /* a uuid's last bytes, in the next cache line as a rule */

tfn_code tfn__kernel_init(tfn__kernel *k, int n_workers, tfn_error *err)
{
    TFN_RETURN_IF_ERROR(
        tfn__room_zero((size_t)n_workers, sizeof(tfn__kernel_worker), &k->workers, err));
    k->n_workers = n_workers;
    const size_t n_features = k->plan == NULL ? 0 : k->plan->n_fields;
    for (int i = 0; i < n_workers && n_features > 0; i++) {
        TFN_RETURN_IF_ERROR(tfn__room_zero(n_features, sizeof(tfn__way), &k->workers[i].ways, err));
    }
    return TFN_OK;
}

void tfn__kernel_deinit(tfn__kernel *k)
{
    for (int i = 0; i < k->n_workers; i++) {
        tfn__block_deinit(&k->workers[i].block);
        tfn__writer_deinit(&k->workers[i].writer);
        tfn_mem_free(k->workers[i].ways);
    }
    tfn_mem_free(k->workers);
    k->workers = NULL;
    k->n_workers = 0;
}

/* The usual case: one unit, no created filter; a row is seen from its event time on. */
static void copy_needs(tfn__kernel_worker *w)
{
    for (uint32_t i = 0; i < w->block.n_rows; i++) {
        w->need[i] = w->block.event[w->block.rows[i]];
    }
}

/* The least entity time that may see each listed row. INT64_MAX and out of range: none does. */
static void find_needs(const tfn__kernel *k, tfn__kernel_worker *w)
{
    tfn__block *b = &w->block;
    uint32_t n_kept = 0;
    for (uint32_t i = 0; i < b->n_rows; i++) {
        const uint32_t row = b->rows[i];
        int64_t need = 0;
        const bool fits = tfn__rescale_up(k->event_up, b->event[row], &need);
        w->n_saturated += fits ? 0 : 1;
        bool is_never = !fits && need == INT64_MAX;
        if (k->filter_by_created) {
            int64_t created = 0;
            const bool created_fits = tfn__rescale_up(k->created_up, b->created[row], &created);
            is_never = is_never || (!created_fits && created == INT64_MAX);
            need = created > need ? created : need;
        }
        w->n_too_late += is_never ? 1 : 0;
        b->rows[n_kept] = row;
        w->need[n_kept] = need;
        n_kept += is_never ? 0 : 1;
    }
    b->n_rows = n_kept;
}

static void prefetch_buckets(const tfn__kernel *k, const tfn__kernel_worker *w)
{
    const tfn__keytable *keys = &k->spine->keys;
    const tfn__block *b = &w->block;
    for (uint32_t i = 0; i < b->n_rows; i++) {
        __builtin_prefetch(&keys->buckets[b->keys.hashes[b->rows[i]] & keys->mask]);
    }
}

static void probe_buckets(const tfn__kernel *k, tfn__kernel_worker *w)
{
    const tfn_spine *s = k->spine;
    const tfn__keytable *keys = &s->keys;
    tfn__block *b = &w->block;
    uint32_t n_kept = 0;
    for (uint32_t i = 0; i < b->n_rows; i++) {
        const uint32_t row = b->rows[i];
        const uint64_t hash = b->keys.hashes[row];
        const uint64_t at = tfn__keytable_probe(keys, hash, tfn__keytable_tag(hash));
        const uint32_t entry = keys->buckets[at].entry;
        b->rows[n_kept] = row;
        w->need[n_kept] = w->need[i];
        w->place[n_kept] = (uint32_t)at;
        if (entry != 0) {
            __builtin_prefetch(&s->groups[entry - 1]);
            if (!s->has_exact_hash) {
                __builtin_prefetch(keys->is_fixed
                                       ? (const void *)tfn__keytable_get(keys, entry - 1).p
                                       : (const void *)&keys->begins[entry - 1]);
            }
            n_kept++;
        }
    }
    w->n_without_match += b->n_rows - n_kept;
    b->n_rows = n_kept;
}

/* Keys of different lengths: where they stand is known now. */
static void prefetch_keys(const tfn__kernel *k, const tfn__kernel_worker *w)
{
    const tfn__keytable *keys = &k->spine->keys;
    for (uint32_t i = 0; i < w->block.n_rows; i++) {
        const char *key = tfn__keytable_get(keys, keys->buckets[w->place[i]].entry - 1).p;
        __builtin_prefetch(key);
        __builtin_prefetch(key + KEY_PREFETCH_BYTES);
    }
}

/* The group of a hash that no other key has; TFN__NO_ENTRY: none. */
static uint32_t find_by_hash(const tfn_spine *s, uint64_t at, uint64_t hash)
{
    while (s->keys.buckets[at].entry != 0) {
        const uint32_t group = s->keys.buckets[at].entry - 1;
        if (s->groups[group].hash == hash) {
            return group;
        }
        at = tfn__keytable_probe(&s->keys, at + 1, tfn__keytable_tag(hash));
    }
    return TFN__NO_ENTRY;
}

static void find_groups(const tfn__kernel *k, tfn__kernel_worker *w)
{
    const tfn_spine *s = k->spine;
    tfn__block *b = &w->block;
    uint32_t n_kept = 0;
    for (uint32_t i = 0; i < b->n_rows; i++) {
        const uint32_t row = b->rows[i];
        const uint64_t hash = b->keys.hashes[row];
        const uint32_t group =
            s->has_exact_hash
                ? find_by_hash(s, w->place[i], hash)
                : tfn__keytable_confirm(&s->keys, w->place[i], tfn__keytable_tag(hash),
                                        tfn_keys_get(&b->keys, row));
        const int64_t need = w->need[i];
        if (group == TFN__NO_ENTRY) {
            w->n_without_match++;
            continue;
        }
        const tfn__group *g = &s->groups[group];
        if (need > g->last) {
            w->n_too_late++;
            continue;
        }
        b->rows[n_kept] = row;
        w->need[n_kept] = need;
        w->place[n_kept] = group;
        n_kept++;
        if (g->n > 2) {
            __builtin_prefetch(&s->times[g->begin]);
            __builtin_prefetch(&s->times[g->begin + g->n / 2]);
        }
    }
    b->n_rows = n_kept;
}

static void find_slots(const tfn__kernel *k, tfn__kernel_worker *w)
{
    const tfn_spine *s = k->spine;
    tfn__block *b = &w->block;
    uint32_t n_kept = 0;
    for (uint32_t i = 0; i < b->n_rows; i++) {
        const uint32_t row = b->rows[i];
        const tfn__place place = tfn__spine_find(s, &s->groups[w->place[i]], w->need[i]);
        if (tfn__age_expired(&k->age, b->event[row], place.time)) {
            w->n_expired++;
        } else {
            __builtin_prefetch(&k->slots[place.slot], 1);
            b->rows[n_kept] = row;
            w->place[n_kept] = place.slot;
            n_kept++;
        }
    }
    w->n_eligible += n_kept;
    b->n_rows = n_kept;
}

/* One step: write the features of a row that won its slot, which is locked. */
static tfn_code put_features(const tfn__kernel *k, tfn__kernel_worker *w, const tfn_chunk *chunk,
                             int64_t i_row, uint32_t slot, tfn_error *err)
{
    const tfn__columns *c = k->rule.columns;
    char *record = k->records + (size_t)slot * k->plan->stride;
    for (size_t i = 0; i < c->n_features; i++) {
        const tfn_code rc =
            tfn__record_put(&k->plan->fields[i], w->ways[i], &chunk->cols[c->i_features + i], i_row,
                            record, &w->writer, err);
        if (rc != TFN_OK) {
            tfn_error_prepend(err,
                              "source '%.*s', column '%.*s': ", TFN_STR_ARG(k->rule.source_label),
                              TFN_STR_ARG(c->names[c->i_features + i]));
            return rc;
        }
    }
    return TFN_OK;
}

static tfn_code offer_rows(const tfn__kernel *k, tfn__kernel_worker *w, const tfn_chunk *chunk,
                           int64_t begin, tfn_error *err)
{
    const tfn__block *b = &w->block;
    for (uint32_t i = 0; i < b->n_rows; i++) {
        const uint32_t row = b->rows[i];
        tfn__slot *slot = &k->slots[w->place[i]];
        const tfn__rank rank = {b->event[row], b->created[row],
                                tfn_chunk_position(chunk, begin + row)};
        if (!tfn__slot_offer(slot, rank)) {
            continue;
        }
        tfn_code rc = TFN_OK;
        if (k->plan != NULL) {
            rc = put_features(k, w, chunk, begin + row, w->place[i], err);
        }
        tfn__slot_unlock(slot, rank.position);
        TFN_RETURN_IF_ERROR(rc);
    }
    return TFN_OK;
}

static tfn_code consume_block(const tfn__kernel *k, tfn__kernel_worker *w, const tfn_chunk *chunk,
                              int64_t begin, int64_t n, tfn_error *err)
{
    TFN_RETURN_IF_ERROR(tfn__block_read(&w->block, &k->rule, chunk, begin, n, err));
    if (k->event_up.multiply == 1 && k->event_up.divide == 1 && !k->filter_by_created) {
        copy_needs(w);
    } else {
        find_needs(k, w);
    }
    prefetch_buckets(k, w);
    probe_buckets(k, w);
    if (!k->spine->keys.is_fixed) {
        prefetch_keys(k, w);
    }
    find_groups(k, w);
    find_slots(k, w);
    return offer_rows(k, w, chunk, begin, err);
}

tfn_code tfn__kernel_consume(void *context, int worker, const tfn_chunk *chunk, tfn_error *err)
{
    const tfn__kernel *k = context;
    tfn__kernel_worker *w = &k->workers[worker];
    for (size_t i = 0; k->plan != NULL && i < k->plan->n_fields; i++) {
        w->ways[i] =
            tfn__record_way(&k->plan->fields[i], &chunk->cols[k->rule.columns->i_features + i]);
    }
    for (int64_t begin = 0; begin < chunk->n; begin += TFN__BLOCK_ROWS) {
        const int64_t n_left = chunk->n - begin;
        const int64_t n = n_left < TFN__BLOCK_ROWS ? n_left : TFN__BLOCK_ROWS;
        TFN_RETURN_IF_ERROR(consume_block(k, w, chunk, begin, n, err));
    }
    return TFN_OK;
}
