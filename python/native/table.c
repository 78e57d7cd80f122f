/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

/*
 * A result of the engine, held so that it can be exported any number of times.
 *
 * An Arrow stream can be read once; Python expects `pa.table(x)` to work twice. So the engine's
 * stream is read to its end into a counted table, and each export is a new tree of Arrow structs
 * whose buffers are the table's:
 *
 *   export (one per consumer)              table (counted)
 *   ArrowArray ─ private_data → node ────→ n_refs, schema, chunks
 *     buffers ───────────────────────────→   chunk.buffers (never written after reading)
 *     children → node's own structs, each again with a node and a count of its own
 *
 * 1. A node is one allocation: the owner, the child pointers, the child structs. It dies in
 * release.
 * 2. Every struct of the tree counts for itself, so that a consumer may move a child out of its
 *    parent and keep it longer, as the Arrow specification allows.
 * 3. The last release ends the engine's own arrays. It may happen on any thread, without the
 *    interpreter lock and after the Python object is gone; so there is no Python in this file, and
 *    memory comes from the C library: PyMem_Malloc needs the lock, and PyMem_RawMalloc is not in
 * the limited API of 3.11. Rejected: one export that copies (twice the memory), re-running the
 * engine (twice the time).
 */

#include "native.h"

#include <errno.h> /* IWYU pragma: keep - ENOMEM */
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

struct native_table {
    atomic_size_t n_refs;
    struct ArrowSchema schema;
    struct ArrowArray *chunks;
    size_t n_chunks;
    size_t n_room;
};

/* Zeroed; NULL if refused or if the size would overflow. */
static void *alloc_zeroed(size_t n, size_t bytes_each)
{
    return calloc(n, bytes_each); /* lint: allow banned - runs without the interpreter lock */
}

static void free_bytes(void *bytes)
{
    free(bytes); /* lint: allow banned - the other half of alloc_zeroed */
}

static native_table *retain(native_table *table)
{
    atomic_fetch_add_explicit(&table->n_refs, 1, memory_order_relaxed);
    return table;
}

void native_table_release(native_table *table)
{
    if (table == NULL || atomic_fetch_sub_explicit(&table->n_refs, 1, memory_order_acq_rel) != 1) {
        return;
    }
    for (size_t i = 0; i < table->n_chunks; i++) {
        table->chunks[i].release(&table->chunks[i]);
    }
    if (table->schema.release != NULL) {
        table->schema.release(&table->schema);
    }
    free_bytes(table->chunks);
    free_bytes(table);
}

/* ---- reading ---- */

static tfn_code add_chunk(native_table *table, const struct ArrowArray *chunk)
{
    if (table->n_chunks == table->n_room) {
        const size_t n_room = table->n_room == 0 ? 16 : table->n_room * 2;
        struct ArrowArray *chunks = alloc_zeroed(n_room, sizeof *chunks);
        if (chunks == NULL) {
            return TFN_NO_MEMORY;
        }
        for (size_t i = 0; i < table->n_chunks; i++) {
            chunks[i] = table->chunks[i];
        }
        free_bytes(table->chunks);
        table->chunks = chunks;
        table->n_room = n_room;
    }
    table->chunks[table->n_chunks] = *chunk;
    table->n_chunks++;
    return TFN_OK;
}

/* Arrow streams fail with an errno value and perhaps a sentence. */
static tfn_code fail_stream(struct ArrowArrayStream *stream, int sys_errno, tfn_error *err)
{
    const char *sentence = NULL;
    if (stream->get_last_error != NULL) {
        sentence = stream->get_last_error(stream);
    }
    tfn_code code = TFN_IO;
    if (sys_errno == ENOMEM) {
        code = TFN_NO_MEMORY;
    } else if (sys_errno == ECANCELED) {
        code = TFN_CANCELLED;
    } else if (sys_errno == EINVAL) {
        code = TFN_INVALID;
    }
    char plain[64];
    (void)snprintf(plain, sizeof plain, "reading the result ended with errno %d", sys_errno);
    return native_set_error(err, code, sentence != NULL ? sentence : plain);
}

static tfn_code read_chunks(native_table *table, struct ArrowArrayStream *stream, native_call *call,
                            tfn_error *err)
{
    int64_t n_rows = 0;
    for (;;) {
        struct ArrowArray chunk = {0};
        const int sys_errno = stream->get_next(stream, &chunk);
        if (sys_errno != 0) {
            return fail_stream(stream, sys_errno, err);
        }
        if (chunk.release == NULL) {
            return TFN_OK;
        }
        n_rows += chunk.length;
        if (add_chunk(table, &chunk) != TFN_OK) {
            chunk.release(&chunk);
            return native_set_error(err, TFN_NO_MEMORY, "no memory to hold the result");
        }
        const tfn_progress progress = {"reading the result", n_rows, -1};
        if (native_call_tick(call, &progress) != 0) {
            return native_set_error(err, TFN_CANCELLED, "stopped while reading the result");
        }
    }
}

static tfn_code create_table(native_table **out, tfn_error *err)
{
    *out = alloc_zeroed(1, sizeof **out);
    if (*out == NULL) {
        return native_set_error(err, TFN_NO_MEMORY, "no memory to hold the result");
    }
    atomic_init(&(*out)->n_refs, 1);
    return TFN_OK;
}

tfn_code native_table_read(struct ArrowArrayStream *stream, native_call *call, native_table **out,
                           tfn_error *err)
{
    *out = NULL;
    native_table *table = NULL;
    tfn_code rc = create_table(&table, err);
    if (rc != TFN_OK) {
        goto done;
    }
    const int sys_errno = stream->get_schema(stream, &table->schema);
    if (sys_errno != 0) {
        table->schema.release = NULL;
        rc = fail_stream(stream, sys_errno, err);
        goto done;
    }
    rc = read_chunks(table, stream, call, err);
    if (rc == TFN_OK) {
        *out = table;
        table = NULL;
    }
done:
    native_table_release(table);
    native_stream_drop(stream);
    return rc;
}

/* The next batch of a training set into the table; *is_end when there is none. */
static tfn_code take_batch(native_table *table, tfn_training *training, native_call *call,
                           bool *is_end, tfn_error *err)
{
    struct ArrowArray batch = {0};
    const tfn_code rc = tfn_training_next(training, native_call_tick, call, &batch, err);
    *is_end = rc == TFN_OK && batch.release == NULL;
    if (rc != TFN_OK || *is_end) {
        return rc;
    }
    if (add_chunk(table, &batch) != TFN_OK) {
        batch.release(&batch);
        return native_set_error(err, TFN_NO_MEMORY, "no memory to hold the result");
    }
    return TFN_OK;
}

tfn_code native_table_take(tfn_training *training, bool is_all, native_call *call,
                           native_table **out, tfn_error *err)
{
    *out = NULL;
    native_table *table = NULL;
    tfn_code rc = create_table(&table, err);
    if (rc == TFN_OK) {
        rc = tfn_training_get_schema(training, native_call_tick, call, &table->schema, err);
    }
    bool is_end = false;
    while (rc == TFN_OK && !is_end) {
        rc = take_batch(table, training, call, &is_end, err);
        is_end = is_end || !is_all;
    }
    if (rc == TFN_OK && (is_all || table->n_chunks > 0)) {
        *out = table;
        table = NULL;
    }
    native_table_release(table);
    return rc;
}

void native_stream_drop(struct ArrowArrayStream *stream)
{
    if (stream->release != NULL) {
        stream->release(stream);
        stream->release = NULL;
    }
}

/* ---- exported schemas ---- */

typedef struct schema_node {
    native_table *owner;
    struct ArrowSchema **pointers; /* n_children, into structs */
    struct ArrowSchema *structs;   /* n_children and one for the dictionary */
    size_t n_structs;
} schema_node;

static void release_schema(struct ArrowSchema *schema)
{
    schema_node *node = schema->private_data;
    /* By the node, not by the struct: what a consumer wrote into its copy does not matter. */
    for (size_t i = 0; i < node->n_structs; i++) {
        if (node->structs[i].release != NULL) {
            node->structs[i].release(&node->structs[i]);
        }
    }
    native_table_release(node->owner);
    free_bytes(node->pointers);
    free_bytes(node->structs);
    free_bytes(node);
    schema->release = NULL;
}

static int export_schema(native_table *table, const struct ArrowSchema *from,
                         struct ArrowSchema *to)
{
    const size_t n = (size_t)from->n_children;
    *to = (struct ArrowSchema){0};
    schema_node *node = alloc_zeroed(1, sizeof *node);
    if (node == NULL) {
        return ENOMEM;
    }
    node->pointers = alloc_zeroed(n + 1, sizeof *node->pointers);
    node->structs = alloc_zeroed(n + 1, sizeof *node->structs);
    if (node->pointers == NULL || node->structs == NULL) {
        free_bytes(node->pointers);
        free_bytes(node->structs);
        free_bytes(node);
        return ENOMEM;
    }
    node->n_structs = n + 1;
    node->owner = retain(table);
    *to = *from; /* format, name and metadata live as long as the table */
    to->children = n > 0 ? node->pointers : NULL;
    to->dictionary = from->dictionary != NULL ? &node->structs[n] : NULL;
    to->private_data = node;
    to->release = release_schema;
    int rc = 0;
    for (size_t i = 0; i < n && rc == 0; i++) {
        node->pointers[i] = &node->structs[i];
        rc = export_schema(table, from->children[i], node->pointers[i]);
    }
    if (rc == 0 && from->dictionary != NULL) {
        rc = export_schema(table, from->dictionary, to->dictionary);
    }
    if (rc != 0) {
        release_schema(to);
    }
    return rc;
}

int native_table_export_schema(native_table *table, struct ArrowSchema *out)
{
    return export_schema(table, &table->schema, out);
}

/* ---- exported arrays: the same shape ---- */

typedef struct array_node {
    native_table *owner;
    struct ArrowArray **pointers;
    struct ArrowArray *structs;
    size_t n_structs;
} array_node;

static void release_array(struct ArrowArray *array)
{
    array_node *node = array->private_data;
    for (size_t i = 0; i < node->n_structs; i++) {
        if (node->structs[i].release != NULL) {
            node->structs[i].release(&node->structs[i]);
        }
    }
    native_table_release(node->owner);
    free_bytes(node->pointers);
    free_bytes(node->structs);
    free_bytes(node);
    array->release = NULL;
}

static int export_array(native_table *table, const struct ArrowArray *from, struct ArrowArray *to)
{
    const size_t n = (size_t)from->n_children;
    *to = (struct ArrowArray){0};
    array_node *node = alloc_zeroed(1, sizeof *node);
    if (node == NULL) {
        return ENOMEM;
    }
    node->pointers = alloc_zeroed(n + 1, sizeof *node->pointers);
    node->structs = alloc_zeroed(n + 1, sizeof *node->structs);
    if (node->pointers == NULL || node->structs == NULL) {
        free_bytes(node->pointers);
        free_bytes(node->structs);
        free_bytes(node);
        return ENOMEM;
    }
    node->n_structs = n + 1;
    node->owner = retain(table);
    *to = *from; /* lengths and buffers */
    to->children = n > 0 ? node->pointers : NULL;
    to->dictionary = from->dictionary != NULL ? &node->structs[n] : NULL;
    to->private_data = node;
    to->release = release_array;
    int rc = 0;
    for (size_t i = 0; i < n && rc == 0; i++) {
        node->pointers[i] = &node->structs[i];
        rc = export_array(table, from->children[i], node->pointers[i]);
    }
    if (rc == 0 && from->dictionary != NULL) {
        rc = export_array(table, from->dictionary, to->dictionary);
    }
    if (rc != 0) {
        release_array(to);
    }
    return rc;
}

/* ---- exported streams ---- */

typedef struct cursor {
    native_table *table;
    size_t i_chunk;
    const char *sentence; /* static; NULL = no error yet */
} cursor;

static int get_schema(struct ArrowArrayStream *stream, struct ArrowSchema *out)
{
    cursor *at = stream->private_data;
    const int rc = export_schema(at->table, &at->table->schema, out);
    at->sentence = rc != 0 ? "no memory to export a schema" : NULL;
    return rc;
}

static int get_next(struct ArrowArrayStream *stream, struct ArrowArray *out)
{
    cursor *at = stream->private_data;
    if (at->i_chunk == at->table->n_chunks) {
        *out = (struct ArrowArray){0};
        return 0;
    }
    const int rc = export_array(at->table, &at->table->chunks[at->i_chunk], out);
    at->sentence = rc != 0 ? "no memory to export an array" : NULL;
    if (rc == 0) {
        at->i_chunk++;
    }
    return rc;
}

static const char *get_last_error(struct ArrowArrayStream *stream)
{
    const cursor *at = stream->private_data;
    return at->sentence;
}

static void release_stream(struct ArrowArrayStream *stream)
{
    cursor *at = stream->private_data;
    native_table_release(at->table);
    free_bytes(at);
    stream->release = NULL;
}

int native_table_export_stream(native_table *table, struct ArrowArrayStream *out)
{
    *out = (struct ArrowArrayStream){0};
    cursor *at = alloc_zeroed(1, sizeof *at);
    if (at == NULL) {
        return ENOMEM;
    }
    at->table = retain(table);
    *out = (struct ArrowArrayStream){
        .get_schema = get_schema,
        .get_next = get_next,
        .get_last_error = get_last_error,
        .release = release_stream,
        .private_data = at,
    };
    return 0;
}
