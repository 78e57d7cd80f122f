/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

/*
 * Arbitrary bytes as a definition document, or as a whole apply request
 * (docs/formats/definitions.md), against a small project. What is accepted must have one canonical
 * form: written again it gives the same bytes; and every answer must be JSON. What is refused must
 * have a reason.
 */

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "registry/registry_internal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char head_request[] =
    "{\"objects\":["
    "{\"kind\":\"entity\",\"name\":\"plane\",\"join_key\":\"tailnum\",\"value_type\":\"string\"},"
    "{\"kind\":\"data_source\",\"name\":\"planes\",\"path\":\"p\",\"timestamp_field\":\"ts\"},"
    "{\"kind\":\"feature_view\",\"name\":\"history\",\"entities\":[\"plane\"],\"source\":"
    "\"planes\","
    "\"schema\":[{\"name\":\"delay\",\"dtype\":\"float64\"},{\"name\":\"legs\",\"dtype\":\"int64\"}"
    "]},"
    "{\"kind\":\"feature_service\",\"name\":\"model\",\"features\":[{\"view\":\"history\"}]}]}";

static void check(bool ok)
{
    if (!ok) {
        abort();
    }
}

static void check_is_json(tfn_str text)
{
    tfn_arena a = {0};
    yyjson_val *root = NULL;
    check(tfn__json_read(&a, text, "an answer", &root, NULL) == TFN_OK);
    tfn_arena_deinit(&a);
}

/* Canonical once is canonical for ever. */
static void check_is_canonical(const tfn__proposal *p, const tfn__entry *entry)
{
    tfn_arena a = {0};
    yyjson_val *root = NULL;
    tfn__entry again;
    check(tfn__json_read(&a, entry->body, "a document", &root, NULL) == TFN_OK);
    check(tfn__document_canonicalise(root, p->state, &a, &again, NULL) == TFN_OK);
    check(again.kind == entry->kind && tfn_str_equal(again.name, entry->name));
    check(tfn_str_equal(again.body, entry->body));
    check(memcmp(&again.hash, &entry->hash, sizeof again.hash) == 0);
    tfn_arena_deinit(&a);
}

static void check_change(const tfn__proposal *p, const tfn__entry *entry)
{
    tfn_arena a = {0};
    tfn_buf b = {0};
    const tfn_str nothing = {0};
    const tfn_str before = entry->before == NULL ? nothing : entry->before->body;
    const tfn_str after = entry->is_removed ? nothing : entry->body;
    check(tfn__diff_add_change(&b, &a, entry->kind, entry->name, before, after, NULL) == TFN_OK);
    check_is_json(tfn_buf_get_str(&b));
    tfn_buf_clear(&b);
    if (!entry->is_removed) {
        check_is_canonical(p, entry);
        check(tfn__snapshot_describe_entry(entry, &b, NULL) == TFN_OK);
        check_is_json(tfn_buf_get_str(&b));
    }
    tfn_buf_deinit(&b);
    tfn_arena_deinit(&a);
}

static void check_proposal(const tfn__proposal *p)
{
    for (size_t i = 0; i < p->n_refusals; i++) {
        check(p->refusals[i].code != TFN_OK && p->refusals[i].reason.n > 0);
    }
    for (size_t i = 0; i < p->n_changed && p->n_refusals == 0; i++) {
        check_change(p, p->changed[i]);
    }
}

/* A text that is no request by itself is tried as the one object of a request. */
static tfn_code propose(tfn__proposal *p, const tfn_snapshot *head, tfn_str input)
{
    tfn_buf request = {0};
    tfn_error err = {0};
    tfn_code rc = tfn__proposal_init(p, head, input, &err);
    if (rc != TFN_OK) {
        check(err.code == rc && err.message[0] != '\0');
        tfn__proposal_deinit(p);
        check(tfn_buf_add_text(&request, "{\"objects\":[", NULL) == TFN_OK);
        check(tfn_buf_add_str(&request, input, NULL) == TFN_OK);
        check(tfn_buf_add_text(&request, "]}", NULL) == TFN_OK);
        rc = tfn__proposal_init(p, head, tfn_buf_get_str(&request), NULL);
    }
    tfn_buf_deinit(&request);
    return rc;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    tfn_snapshot *nothing = NULL;
    tfn__proposal first = {0};
    tfn__proposal p = {0};
    const tfn_str input = {(const char *)data, size};
    check(tfn__snapshot_create(tfn_str_of("flights"), 0, &nothing, NULL) == TFN_OK);
    check(tfn__proposal_init(&first, nothing, tfn_str_of(head_request), NULL) == TFN_OK);
    check(first.n_refusals == 0);
    const tfn_code rc = propose(&p, first.state, input);
    check(rc == TFN_OK || tfn__is_refusal(rc) || rc == TFN_CONFLICT);
    if (rc == TFN_OK) {
        check_proposal(&p);
    }
    tfn__proposal_deinit(&p);
    tfn__proposal_deinit(&first);
    tfn_snapshot_release(nothing);
    return 0;
}
