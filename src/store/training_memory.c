/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

/*
 * What the report says of memory: the limit, what all rows at once would have needed, how the rows
 * were cut and why, and what each part took.
 *
 *   "memory": {"limit_bytes", "reader_bytes", "needed_bytes", "strategy", "parts", "passes", "why",
 *              "spool_bytes", "parts_done": [{"rows", "bytes", "seconds"}, ...]}
 */

#include "store/training_set.h"

#include "base/poison.h"

enum { MAX_PARTS_TOLD = 1000 };

static const char *const STRATEGIES[] = {[TFN_RETRIEVAL_WHOLE] = "whole",
                                         [TFN_RETRIEVAL_BY_ROWS] = "by rows",
                                         [TFN_RETRIEVAL_BY_TIME] = "by time"};

static void report_parts(yyjson_mut_doc *doc, yyjson_mut_val *memory, const tfn_retrieval *r)
{
    size_t n = 0;
    const tfn_retrieval_part *parts = tfn_retrieval_get_parts(r, &n);
    yyjson_mut_val *list = yyjson_mut_obj_add_arr(doc, memory, "parts_done");
    for (size_t i = 0; i < n && i < MAX_PARTS_TOLD; i++) {
        yyjson_mut_val *part = yyjson_mut_arr_add_obj(doc, list);
        (void)yyjson_mut_obj_add_int(doc, part, "rows", parts[i].n_rows);
        (void)yyjson_mut_obj_add_int(doc, part, "bytes", parts[i].bytes);
        (void)yyjson_mut_obj_add_real(doc, part, "seconds", parts[i].seconds);
    }
}

void tfn__training_report_memory(tfn__training_set *t, const tfn_retrieval *r)
{
    yyjson_mut_doc *doc = t->report;
    const tfn_retrieval_plan *plan = tfn_retrieval_get_plan(r);
    const tfn_budget *b = &plan->budget;
    yyjson_mut_val *memory = yyjson_mut_obj_add_obj(doc, yyjson_mut_doc_get_root(doc), "memory");
    (void)yyjson_mut_obj_add_int(doc, memory, "limit_bytes", b->limit_bytes);
    (void)yyjson_mut_obj_add_int(doc, memory, "reader_bytes", b->reader_bytes);
    (void)yyjson_mut_obj_add_int(doc, memory, "needed_bytes",
                                 b->fixed_bytes + tfn_frame_get_n_rows(t->frame) * b->row_bytes);
    (void)yyjson_mut_obj_add_str(doc, memory, "strategy", STRATEGIES[plan->strategy]);
    (void)yyjson_mut_obj_add_int(doc, memory, "parts", plan->n_parts);
    (void)yyjson_mut_obj_add_real(doc, memory, "passes", plan->passes);
    (void)yyjson_mut_obj_add_strcpy(doc, memory, "why", plan->why);
    (void)yyjson_mut_obj_add_int(doc, memory, "spool_bytes", tfn_retrieval_get_spool_bytes(r));
    report_parts(doc, memory, r);
}
