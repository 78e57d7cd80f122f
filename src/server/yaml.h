/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */
#ifndef TFN_SERVER_YAML_H
#define TFN_SERVER_YAML_H

/*
 * A YAML text as a tree of values, read as PyYAML's safe_load reads it (YAML 1.1: yes and off are
 * booleans, 0x10, 1_000 and 1:30 are numbers, << merges mappings), so that C and Python see one
 * configuration. libyaml is known to yaml.c only.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/str.h"

enum {
    TFN_YAML_MAX_BYTES = 1024 * 1024,
    TFN_YAML_MAX_DEPTH = 64,
    TFN_YAML_MAX_MERGED = 65536 /* pairs that << may copy, in all */
};

typedef enum tfn_yaml_kind {
    TFN_YAML_NULL = 0,
    TFN_YAML_BOOL = 1,
    TFN_YAML_INT = 2,
    TFN_YAML_BIG = 3, /* a whole number beyond 64 bits */
    TFN_YAML_FLOAT = 4,
    TFN_YAML_TEXT = 5,
    TFN_YAML_TIME = 6, /* a date, with or without a time */
    TFN_YAML_LIST = 7,
    TFN_YAML_MAP = 8
} tfn_yaml_kind;

typedef struct tfn_yaml tfn_yaml;

/** One pair of a mapping, or one item of a list (then without a key). */
typedef struct tfn_yaml_item {
    const tfn_yaml *key;
    tfn_str name; /* the key as Python's str() shows it: "None", "True", "1.5" */
    const tfn_yaml *value;
} tfn_yaml_item;

/** A value. Aliases share it: the tree is a graph without cycles. */
struct tfn_yaml {
    tfn_yaml_kind kind;
    bool is_merge; /* the key << */
    bool truth;
    int64_t integer;
    double real;
    tfn_str text; /* of every scalar: as written; NUL-terminated */
    const tfn_yaml_item *items;
    size_t n;
};

/**
 * Read a text that holds one document. An empty one is a null.
 *
 * @param text   [borrow until the arena is reset]
 * @param where  what it is called in messages, e.g. the file's name
 * @param out    [borrow until the arena is reset]
 *
 * Threads  one at a time per arena
 * Errors   TFN_INVALID not YAML, or a tag that safe_load does not know: with the line . TFN_LIMIT
 *          larger or deeper than the limits above, or than the arena allows . TFN_NO_MEMORY
 */
TFN_NODISCARD tfn_code tfn_yaml_read(tfn_str text, const char *where, tfn_arena *arena,
                                     const tfn_yaml **out, tfn_error *err);

/** Value of a key of a mapping; NULL: it has none, or `map` is NULL or no mapping. */
const tfn_yaml *tfn_yaml_get(const tfn_yaml *map, const char *name);

/** A text with these contents. */
bool tfn_yaml_is_text(const tfn_yaml *value, const char *text);

/** What Python's bool() says of it. */
bool tfn_yaml_is_true(const tfn_yaml *value);

/** Append a value as Python's repr() shows it (what messages quote), cut at some hundred bytes. */
TFN_NODISCARD tfn_code tfn_yaml_add_repr(const tfn_yaml *value, tfn_buf *out, tfn_error *err);

/** Append a value as JSON; times as texts. Errors as tfn_buf_add: aliases may make it large. */
TFN_NODISCARD tfn_code tfn_yaml_add_json(const tfn_yaml *value, tfn_buf *out, tfn_error *err);

#endif
