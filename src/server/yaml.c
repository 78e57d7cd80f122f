/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

/*
 * YAML through libyaml's events, with PyYAML's rules of what a scalar is (yaml_scalar.c).
 *
 * libyaml tells events one by one; a recursive descent makes the tree, whose depth is checked before it
 * goes down. libyaml's own loader is not used: its documents have no ceiling, and it leaves merging
 * and kinds of scalars to us anyway.
 *
 * Aliases share what they name, so a file of aliases of aliases costs nothing here; whoever walks the
 * whole tree (repr, JSON) has a ceiling on what comes out, and merged pairs are counted. An alias
 * inside what it names would be a cycle, and is refused.
 *
 * A key that occurs twice: the last value counts, at the place of the first, as in a Python dict.
 */

#include "server/yaml.h"

#include <string.h>

#include <yaml.h>

#include "base/map.h"
#include "base/mem.h"
#include "server/yaml_internal.h"

#include "base/poison.h"

typedef struct anchor {
    tfn_yaml *node;
    bool is_open; /* its contents are being read */
} anchor;

typedef struct reader {
    yaml_parser_t parser;
    tfn_arena *arena;
    const char *where;
    tfn_str text;
    tfn_map names;   /* of anchors -> index into them */
    anchor *anchors; /* [own] */
    size_t anchor_capacity;
    size_t n_anchors;
    size_t n_merged;
} reader;

/* Line of a mark, from 1. Where a text ends without a line break, libyaml has its end a line late. */
static size_t line_of(const reader *r, yaml_mark_t mark)
{
    size_t n_lines = 1;
    for (size_t i = 0; i < r->text.n; i++) {
        n_lines += r->text.p[i] == '\n' ? 1 : 0;
    }
    return mark.line + 1 < n_lines ? mark.line + 1 : n_lines;
}

static tfn_code fail_at(const reader *r, yaml_mark_t mark, const char *problem, tfn_error *err)
{
    return TFN_FAIL(err, TFN_INVALID, "%s, line %zu: not YAML: %s", r->where, line_of(r, mark),
                    problem);
}

/* The next event, which the caller deletes. */
static tfn_code next_event(reader *r, yaml_event_t *event, tfn_error *err)
{
    if (yaml_parser_parse(&r->parser, event) == 1) {
        return TFN_OK;
    }
    memset(event, 0, sizeof *event);
    const yaml_parser_t *p = &r->parser;
    if (p->error == YAML_MEMORY_ERROR) {
        return TFN_FAIL(err, TFN_NO_MEMORY, "%s could not be read: memory is exhausted", r->where);
    }
    const char *problem = p->problem == NULL ? "it cannot be read" : p->problem;
    if (p->error == YAML_READER_ERROR) { /* has an offset, and no line */
        return TFN_FAIL(err, TFN_INVALID, "%s: not YAML: %s (byte %zu)", r->where, problem,
                        p->problem_offset);
    }
    return fail_at(r, p->problem_mark, problem, err);
}

/* ---- anchors ---- */

static tfn_str str_of(const yaml_char_t *text)
{
    return tfn_str_of((const char *)text);
}

/* Remember a node under the anchor of its event; *i_anchor is its place, or -1 without one. */
static tfn_code put_anchor(reader *r, const yaml_char_t *name, yaml_mark_t mark, tfn_yaml *node,
                           int64_t *i_anchor, tfn_error *err)
{
    uint32_t i = 0;
    void *p = r->anchors;
    const char *kept = NULL;
    *i_anchor = -1;
    if (name == NULL) {
        return TFN_OK;
    }
    if (tfn_map_get(&r->names, str_of(name), &i)) {
        return fail_at(r, mark, "found duplicate anchor", err);
    }
    TFN_RETURN_IF_ERROR(tfn_arena_copy(r->arena, name, strlen((const char *)name), &kept, err));
    TFN_RETURN_IF_ERROR(
        tfn_mem_grow(&p, &r->anchor_capacity, r->n_anchors + 1, sizeof *r->anchors, err));
    r->anchors = p;
    TFN_RETURN_IF_ERROR(tfn_map_put(&r->names, tfn_str_of(kept), (uint32_t)r->n_anchors, err));
    *i_anchor = (int64_t)r->n_anchors;
    r->anchors[r->n_anchors++] = (anchor){.node = node, .is_open = true};
    return TFN_OK;
}

static void close_anchor(reader *r, int64_t i_anchor)
{
    if (i_anchor >= 0) {
        r->anchors[i_anchor].is_open = false;
    }
}

static tfn_code read_alias(const reader *r, const yaml_event_t *event, const tfn_yaml **out,
                           tfn_error *err)
{
    uint32_t i = 0;
    if (!tfn_map_get(&r->names, str_of(event->data.alias.anchor), &i)) {
        return fail_at(r, event->start_mark, "found undefined alias", err);
    }
    if (r->anchors[i].is_open) {
        return fail_at(r, event->start_mark, "found an alias inside what it names", err);
    }
    *out = r->anchors[i].node;
    return TFN_OK;
}

/* ---- lists and mappings ---- */

/* Items are gathered in a list, whose length is not known, and then laid out in one piece. */
typedef struct link {
    tfn_yaml_item item;
    struct link *next;
} link;

typedef struct chain {
    link *first;
    link *last;
    size_t n;
} chain;

static tfn_code chain_add(reader *r, chain *c, tfn_yaml_item item, tfn_error *err)
{
    void *p = NULL;
    TFN_RETURN_IF_ERROR(tfn_arena_alloc(r->arena, 1, sizeof(link), &p, err));
    link *added = p;
    *added = (link){.item = item};
    if (c->last == NULL) {
        c->first = added;
    } else {
        c->last->next = added;
    }
    c->last = added;
    c->n++;
    return TFN_OK;
}

static tfn_code alloc_items(reader *r, size_t n, tfn_yaml_item **out, tfn_error *err)
{
    void *p = NULL;
    TFN_RETURN_IF_ERROR(tfn_arena_alloc(r->arena, n, sizeof(tfn_yaml_item), &p, err));
    *out = p;
    return TFN_OK;
}

static tfn_code lay_out_list(reader *r, const chain *c, tfn_yaml *node, tfn_error *err)
{
    tfn_yaml_item *items = NULL;
    TFN_RETURN_IF_ERROR(alloc_items(r, c->n, &items, err));
    for (const link *l = c->first; l != NULL; l = l->next) {
        items[node->n++] = l->item;
    }
    node->items = items;
    return TFN_OK;
}

/* As lay_out_list, each name once. */
static tfn_code lay_out_map(reader *r, const chain *c, tfn_yaml *node, tfn_error *err)
{
    tfn_yaml_item *items = NULL;
    tfn_map places = {0};
    uint32_t i = 0;
    tfn_code rc = alloc_items(r, c->n, &items, err);
    for (const link *l = c->first; rc == TFN_OK && l != NULL; l = l->next) {
        if (tfn_map_get(&places, l->item.name, &i)) {
            items[i].value = l->item.value;
        } else {
            items[node->n] = l->item;
            rc = tfn_map_put(&places, l->item.name, (uint32_t)node->n++, err);
        }
    }
    tfn_map_deinit(&places);
    node->items = items;
    return rc;
}

static tfn_code merge_one(reader *r, chain *merged, const tfn_yaml *from, yaml_mark_t mark,
                          tfn_error *err)
{
    if (from->kind != TFN_YAML_MAP) {
        return fail_at(r, mark, "<< takes a mapping or a list of mappings", err);
    }
    r->n_merged += from->n;
    if (r->n_merged > TFN_YAML_MAX_MERGED) {
        return TFN_FAIL(err, TFN_LIMIT, "%s, line %zu: << copies more than %d pairs in all",
                        r->where, line_of(r, mark), TFN_YAML_MAX_MERGED);
    }
    for (size_t i = 0; i < from->n; i++) {
        TFN_RETURN_IF_ERROR(chain_add(r, merged, from->items[i], err));
    }
    return TFN_OK;
}

/* What << names comes before all own pairs, so that those win; of several, the first one wins. */
static tfn_code merge(reader *r, chain *merged, const tfn_yaml *from, yaml_mark_t mark,
                      tfn_error *err)
{
    if (from->kind != TFN_YAML_LIST) {
        return merge_one(r, merged, from, mark, err);
    }
    for (size_t i = from->n; i > 0; i--) {
        TFN_RETURN_IF_ERROR(merge_one(r, merged, from->items[i - 1].value, mark, err));
    }
    return TFN_OK;
}

static tfn_code read_node(reader *r, const yaml_event_t *event, size_t depth, const tfn_yaml **out,
                          tfn_error *err);

/* Reads the next value, or says that `end` came. */
static tfn_code read_next(reader *r, yaml_event_type_t end, size_t depth, bool *is_end,
                          yaml_mark_t *mark, const tfn_yaml **out, tfn_error *err)
{
    yaml_event_t event;
    tfn_code rc = next_event(r, &event, err);
    *is_end = event.type == end;
    *mark = event.start_mark;
    if (rc == TFN_OK && !*is_end) {
        rc = read_node(r, &event, depth + 1, out, err);
    }
    yaml_event_delete(&event);
    return rc;
}

static tfn_code read_list(reader *r, size_t depth, tfn_yaml *node, tfn_error *err)
{
    chain items = {0};
    yaml_mark_t mark;
    bool is_end = false;
    for (;;) {
        tfn_yaml_item item = {0};
        TFN_RETURN_IF_ERROR(
            read_next(r, YAML_SEQUENCE_END_EVENT, depth, &is_end, &mark, &item.value, err));
        if (is_end) {
            return lay_out_list(r, &items, node, err);
        }
        TFN_RETURN_IF_ERROR(chain_add(r, &items, item, err));
    }
}

static tfn_code name_key(reader *r, tfn_yaml_item *item, yaml_mark_t mark, tfn_error *err)
{
    tfn_buf name = {0};
    if (item->key->kind == TFN_YAML_LIST || item->key->kind == TFN_YAML_MAP) {
        return fail_at(r, mark, "found unhashable key", err);
    }
    if (item->key->kind == TFN_YAML_TEXT || item->key->kind == TFN_YAML_TIME) {
        item->name = item->key->text;
        return TFN_OK;
    }
    tfn_code rc = tfn_yaml_add_repr(item->key, &name, err);
    item->name.n = name.n;
    if (rc == TFN_OK) {
        rc = tfn_arena_copy(r->arena, name.p, name.n, &item->name.p, err);
    }
    tfn_buf_deinit(&name);
    return rc;
}

static tfn_code read_map(reader *r, size_t depth, tfn_yaml *node, tfn_error *err)
{
    chain merged = {0};
    chain own = {0};
    yaml_mark_t key_mark;
    yaml_mark_t mark;
    bool is_end = false;
    for (;;) {
        tfn_yaml_item item = {0};
        TFN_RETURN_IF_ERROR(
            read_next(r, YAML_MAPPING_END_EVENT, depth, &is_end, &key_mark, &item.key, err));
        if (is_end) {
            break;
        }
        /* libyaml closes a mapping behind whole pairs only. */
        TFN_RETURN_IF_ERROR(
            read_next(r, YAML_MAPPING_END_EVENT, depth, &is_end, &mark, &item.value, err));
        if (item.key->is_merge) {
            TFN_RETURN_IF_ERROR(merge(r, &merged, item.value, mark, err));
            continue;
        }
        TFN_RETURN_IF_ERROR(name_key(r, &item, key_mark, err));
        TFN_RETURN_IF_ERROR(chain_add(r, &own, item, err));
    }
    if (merged.n > 0 && own.n > 0) {
        merged.last->next = own.first;
    }
    merged.n += own.n;
    merged.first = merged.first == NULL ? own.first : merged.first;
    return lay_out_map(r, &merged, node, err);
}

/* ---- nodes ---- */

static tfn_code check_tag(const reader *r, const yaml_char_t *tag, const char *expected,
                          yaml_mark_t mark, tfn_error *err)
{
    if (tag == NULL || strcmp((const char *)tag, expected) == 0) {
        return TFN_OK;
    }
    return TFN_FAIL(err, TFN_INVALID, "%s, line %zu: not YAML: the tag '%.200s' means nothing here",
                    r->where, line_of(r, mark), (const char *)tag);
}

static tfn_code read_scalar(reader *r, const yaml_event_t *event, tfn_yaml *node, tfn_error *err)
{
    const tfn_str text = {(const char *)event->data.scalar.value, event->data.scalar.length};
    const char *tag = (const char *)event->data.scalar.tag;
    node->text.n = text.n;
    TFN_RETURN_IF_ERROR(tfn_arena_copy(r->arena, text.p, text.n, &node->text.p, err));
    if (event->data.scalar.plain_implicit != 0) {
        tag = NULL;
    } else if (event->data.scalar.quoted_implicit != 0) {
        tag = YAML_STR_TAG;
    }
    switch (tfn__yaml_resolve(node, tag)) {
    case TFN__YAML_KNOWN:
        return TFN_OK;
    case TFN__YAML_NO_VALUE:
        return TFN_FAIL(err, TFN_INVALID, "%s, line %zu: not YAML: '%.40s' is no value of its tag",
                        r->where, line_of(r, event->start_mark), node->text.p);
    case TFN__YAML_NO_TAG:
        break;
    }
    return check_tag(r, (const yaml_char_t *)(tag == NULL ? "=" : tag), "", event->start_mark, err);
}

static tfn_code read_inside(reader *r, const yaml_event_t *event, size_t depth, tfn_yaml *node,
                            tfn_error *err)
{
    if (event->type == YAML_SCALAR_EVENT) {
        return read_scalar(r, event, node, err);
    }
    if (depth > TFN_YAML_MAX_DEPTH) {
        return TFN_FAIL(err, TFN_LIMIT, "%s, line %zu: nested more than %d deep", r->where,
                        line_of(r, event->start_mark), TFN_YAML_MAX_DEPTH);
    }
    if (event->type == YAML_SEQUENCE_START_EVENT) {
        node->kind = TFN_YAML_LIST;
        TFN_RETURN_IF_ERROR(
            check_tag(r, event->data.sequence_start.tag, YAML_SEQ_TAG, event->start_mark, err));
        return read_list(r, depth, node, err);
    }
    node->kind = TFN_YAML_MAP;
    TFN_RETURN_IF_ERROR(
        check_tag(r, event->data.mapping_start.tag, YAML_MAP_TAG, event->start_mark, err));
    return read_map(r, depth, node, err);
}

static const yaml_char_t *anchor_of(const yaml_event_t *event)
{
    switch (event->type) {
    case YAML_SCALAR_EVENT:
        return event->data.scalar.anchor;
    case YAML_SEQUENCE_START_EVENT:
        return event->data.sequence_start.anchor;
    case YAML_MAPPING_START_EVENT:
        return event->data.mapping_start.anchor;
    default:
        return NULL;
    }
}

static tfn_code read_node(reader *r, const yaml_event_t *event, size_t depth, const tfn_yaml **out,
                          tfn_error *err)
{
    void *p = NULL;
    int64_t i_anchor = -1;
    if (event->type == YAML_ALIAS_EVENT) {
        return read_alias(r, event, out, err);
    }
    TFN_RETURN_IF_ERROR(tfn_arena_alloc_zero(r->arena, 1, sizeof(tfn_yaml), &p, err));
    tfn_yaml *node = p;
    TFN_RETURN_IF_ERROR(put_anchor(r, anchor_of(event), event->start_mark, node, &i_anchor, err));
    TFN_RETURN_IF_ERROR(read_inside(r, event, depth, node, err));
    close_anchor(r, i_anchor);
    *out = node;
    return TFN_OK;
}

/* ---- the document ---- */

/* Pass over events up to one of type `wanted`, or the end of the stream. */
static tfn_code skip_to(reader *r, yaml_event_type_t wanted, bool *is_end, yaml_mark_t *mark,
                        tfn_error *err)
{
    for (;;) {
        yaml_event_t event;
        TFN_RETURN_IF_ERROR(next_event(r, &event, err));
        const yaml_event_type_t type = event.type;
        *mark = event.start_mark;
        yaml_event_delete(&event);
        *is_end = type == YAML_STREAM_END_EVENT;
        if (*is_end || type == wanted) {
            return TFN_OK;
        }
    }
}

static tfn_code read_document(reader *r, const tfn_yaml **out, tfn_error *err)
{
    static const tfn_yaml nothing = {.kind = TFN_YAML_NULL, .text = {"", 0}};
    bool is_end = false;
    yaml_mark_t mark;
    *out = &nothing;
    TFN_RETURN_IF_ERROR(skip_to(r, YAML_DOCUMENT_START_EVENT, &is_end, &mark, err));
    if (is_end) {
        return TFN_OK;
    }
    TFN_RETURN_IF_ERROR(read_next(r, YAML_DOCUMENT_END_EVENT, 0, &is_end, &mark, out, err));
    TFN_RETURN_IF_ERROR(skip_to(r, YAML_DOCUMENT_START_EVENT, &is_end, &mark, err));
    return is_end ? TFN_OK : fail_at(r, mark, "expected a single document, found another", err);
}

/* Where a text stops being UTF-8, as Python counts: the first byte of the first broken sequence. */
static size_t first_bad_byte(tfn_str text)
{
    enum { MAX_SEQUENCE_BYTES = 4 };
    size_t i = 0;
    while (i < text.n) {
        size_t n = 1;
        while (n <= MAX_SEQUENCE_BYTES && i + n <= text.n &&
               !tfn_str_is_utf8((tfn_str){text.p + i, n})) {
            n++;
        }
        if (n > MAX_SEQUENCE_BYTES || i + n > text.n) {
            break;
        }
        i += n;
    }
    return i;
}

static tfn_code check_text(tfn_str text, const char *where, tfn_error *err)
{
    if (text.n > TFN_YAML_MAX_BYTES) {
        return TFN_FAIL(err, TFN_LIMIT, "%s has %zu bytes; a configuration has at most %d", where,
                        text.n, TFN_YAML_MAX_BYTES);
    }
    if (!tfn_str_is_utf8(text)) {
        return TFN_FAIL(err, TFN_INVALID, "%s is not UTF-8 text (byte %zu)", where,
                        first_bad_byte(text));
    }
    return TFN_OK;
}

tfn_code tfn_yaml_read(tfn_str text, const char *where, tfn_arena *arena, const tfn_yaml **out,
                       tfn_error *err)
{
    reader r = {.arena = arena, .where = where, .text = text};
    *out = NULL;
    TFN_RETURN_IF_ERROR(check_text(text, where, err));
    if (yaml_parser_initialize(&r.parser) != 1) {
        return TFN_FAIL(err, TFN_NO_MEMORY, "%s could not be read: memory is exhausted", where);
    }
    yaml_parser_set_encoding(&r.parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&r.parser, (const unsigned char *)(text.n == 0 ? "" : text.p),
                                 text.n);
    const tfn_code rc = read_document(&r, out, err);
    yaml_parser_delete(&r.parser);
    tfn_map_deinit(&r.names);
    tfn_mem_free(r.anchors);
    if (rc != TFN_OK) {
        *out = NULL;
    }
    return rc;
}

const tfn_yaml *tfn_yaml_get(const tfn_yaml *map, const char *name)
{
    if (map != NULL && map->kind == TFN_YAML_MAP) {
        for (size_t i = 0; i < map->n; i++) {
            if (tfn_str_is(map->items[i].name, name)) {
                return map->items[i].value;
            }
        }
    }
    return NULL;
}
