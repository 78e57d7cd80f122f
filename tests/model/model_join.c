/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

/* The specification of the join; see the header. Numbers are sentences of the semantics page. */

#include "model/model_join.h"

bool model_beats(const model_row *a, const model_row *b)
{
    if (a->time != b->time) {
        return a->time > b->time; /* 9 */
    }
    if (a->has_created != b->has_created) {
        return a->has_created; /* 10: missing is lowest */
    }
    if (a->has_created && a->created != b->created) {
        return a->created > b->created; /* 10 */
    }
    return true; /* 11: a comes later */
}

static bool is_candidate(const model_row *row, const model_row *entity, const model_join_rule *rule)
{
    if (row->key < 0 || row->key != entity->key || !row->has_time) {
        return false; /* 3, 4, 12 */
    }
    if (row->time > entity->time) {
        return false; /* 5 */
    }
    if (rule->ttl > 0 && row->time < entity->time - rule->ttl) {
        return false; /* 6 */
    }
    if (rule->filter_by_created && (!row->has_created || row->created > entity->time)) {
        return false; /* 7 */
    }
    if (rule->has_known_at && (!row->has_created || row->created > rule->known_at)) {
        return false; /* 8 */
    }
    return true;
}

void model_join(const model_row *spine, size_t n_spine, const model_row *source, size_t n_source,
                const model_join_rule *rule, int64_t *winners)
{
    for (size_t i = 0; i < n_spine; i++) {
        winners[i] = -1;
        for (size_t k = 0; k < n_source; k++) {
            if (is_candidate(&source[k], &spine[i], rule) &&
                (winners[i] < 0 || model_beats(&source[k], &source[winners[i]]))) {
                winners[i] = (int64_t)k;
            }
        }
    }
}
