/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

/*
 * Cache of resolved requests.
 *
 *   key   one byte for the form, then each text with its length before it: no two requests share one
 *   find  hash of the key -> bucket -> entries, compared by hash and key
 *   age   a list through all entries, most recently used first; the last one goes when a new one
 *         comes and TFN_MOST_LOOKUPS are there
 *
 * Requests that make no sense are kept apart (misses.h), each with the registry's commit that it was
 * refused by: they cannot drive out the others, and an apply is seen at once.
 *
 * Entries are of one context, so no lock is taken. What an apply changes is noticed elsewhere: a
 * prepared lookup follows the registry by itself, and ask.c forgets one whose run says that what was
 * asked for is no longer there.
 */

#include "server/lookups.h"

#include <assert.h>

#include "base/hash.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/time.h"

#include "base/poison.h"

enum { N_BUCKETS = 2 * TFN_MOST_LOOKUPS };
static const int64_t python_retry_us = INT64_C(1000000);

typedef struct entry {
    tfn_known known; /* first: callers have this */
    uint64_t hash;
    char *key; /* [own] n_key bytes */
    size_t n_key;
    char *service;       /* [own, nullable] what known.wish.service points to */
    char *on_demand;     /* [own, nullable] what known.on_demand points to */
    int64_t made_us;     /* when it was resolved */
    struct entry *next;  /* of its bucket */
    struct entry *newer; /* used more recently */
    struct entry *older;
} entry;

struct tfn_lookups {
    entry *buckets[N_BUCKETS];
    entry *newest;
    entry *oldest;
    size_t n;
    uint64_t random; /* state of a generator */
    tfn_misses misses;
    tfn_missing missing; /* of the request that was refused last */
};

tfn_code tfn_lookups_create(tfn_lookups **out, tfn_error *err)
{
    *out = NULL;
    void *p = NULL;
    TFN_RETURN_IF_ERROR(tfn_mem_alloc_array(1, sizeof(tfn_lookups), &p, err));
    tfn_lookups *lookups = p;
    const tfn_instant now = tfn_clock_now(&(tfn_clock){0});
    lookups->random =
        tfn_hash_mix((uint64_t)(uintptr_t)p ^ (uint64_t)now.nanos ^ (uint64_t)now.seconds << 32);
    *out = lookups;
    return TFN_OK;
}

static void destroy_entry(entry *e)
{
    if (e != NULL) {
        tfn_lookup_destroy(e->known.lookup);
        tfn_mem_free(e->key);
        tfn_mem_free(e->service);
        tfn_mem_free(e->on_demand);
        tfn_mem_free(e);
    }
}

void tfn_lookups_destroy(tfn_lookups *lookups)
{
    if (lookups == NULL) {
        return;
    }
    for (entry *e = lookups->newest; e != NULL;) {
        entry *older = e->older;
        destroy_entry(e);
        e = older;
    }
    tfn_misses_clear(&lookups->misses);
    tfn_mem_free(lookups);
}

size_t tfn_lookups_get_n(const tfn_lookups *lookups)
{
    return lookups->n;
}

tfn_missing tfn_lookups_get_missing(const tfn_lookups *lookups)
{
    return lookups->missing;
}

double tfn_lookups_draw(tfn_lookups *lookups)
{
    lookups->random += UINT64_C(0x9e3779b97f4a7c15);
    return (double)(tfn_hash_mix(lookups->random) >> 11) * 0x1p-53;
}

/* ---- lists ---- */

static void unlink_age(tfn_lookups *lookups, entry *e)
{
    *(e->newer == NULL ? &lookups->newest : &e->newer->older) = e->older;
    *(e->older == NULL ? &lookups->oldest : &e->older->newer) = e->newer;
    e->newer = NULL;
    e->older = NULL;
}

static void link_newest(tfn_lookups *lookups, entry *e)
{
    e->older = lookups->newest;
    *(e->older == NULL ? &lookups->oldest : &e->older->newer) = e;
    lookups->newest = e;
}

static void add_entry(tfn_lookups *lookups, entry *e)
{
    entry **bucket = &lookups->buckets[e->hash % N_BUCKETS];
    e->next = *bucket;
    *bucket = e;
    link_newest(lookups, e);
    lookups->n++;
}

static void remove_entry(tfn_lookups *lookups, entry *e)
{
    entry **at = &lookups->buckets[e->hash % N_BUCKETS];
    while (*at != e) {
        at = &(*at)->next;
    }
    *at = e->next;
    unlink_age(lookups, e);
    lookups->n--;
    destroy_entry(e);
}

void tfn_lookups_forget(tfn_lookups *lookups, tfn_known *known)
{
    remove_entry(lookups, (entry *)known);
}

/* ---- keys ---- */

static char *put_text(char *to, tfn_str text)
{
    const uint64_t n = text.n;
    memcpy(to, &n, sizeof n);
    if (text.n > 0) {
        memcpy(to + sizeof n, text.p, text.n);
    }
    return to + sizeof n + text.n;
}

static tfn_code make_key(const tfn_asked *asked, tfn_arena *scratch, tfn_str *key, tfn_error *err)
{
    const bool is_service = asked->service.p != NULL;
    size_t n = 1 + sizeof(uint64_t) + asked->service.n;
    for (size_t i = 0; !is_service && i < asked->n_features; i++) {
        n += sizeof(uint64_t) + asked->features[i].n; /* of one body, which is in memory */
    }
    void *p = NULL;
    TFN_RETURN_IF_ERROR(tfn_arena_alloc(scratch, n, 1, &p, err));
    char *to = p;
    *to++ = (char)((is_service ? 1 : 0) | (asked->full_names ? 2 : 0));
    if (is_service) {
        to = put_text(to, asked->service);
    }
    for (size_t i = 0; !is_service && i < asked->n_features; i++) {
        to = put_text(to, asked->features[i]);
    }
    *key = (tfn_str){p, (size_t)(to - (char *)p)};
    return TFN_OK;
}

static entry *find(const tfn_lookups *lookups, tfn_str key, uint64_t hash)
{
    entry *e = lookups->buckets[hash % N_BUCKETS];
    while (e != NULL && (e->hash != hash || !tfn_str_equal(key, (tfn_str){e->key, e->n_key}))) {
        e = e->next;
    }
    return e;
}

/* ---- resolving ---- */

/* What tfn_store_prepare is asked: docs/lookups.md. */
static tfn_code write_request(const tfn_asked *asked, tfn_buf *out, tfn_error *err)
{
    if (asked->service.p != NULL) {
        TFN_RETURN_IF_ERROR(tfn_buf_add_text(out, "{\"service\":", err));
        TFN_RETURN_IF_ERROR(tfn_json_add_text(out, asked->service, err));
    } else {
        TFN_RETURN_IF_ERROR(tfn_buf_add_text(out, "{\"features\":[", err));
        for (size_t i = 0; i < asked->n_features; i++) {
            TFN_RETURN_IF_ERROR(tfn_buf_add_text(out, i == 0 ? "" : ",", err));
            TFN_RETURN_IF_ERROR(tfn_json_add_text(out, asked->features[i], err));
        }
        TFN_RETURN_IF_ERROR(tfn_buf_add_text(out, "]", err));
    }
    return tfn_buf_add_text(
        out, asked->full_names ? ",\"full_feature_names\":true}" : ",\"full_feature_names\":false}",
        err);
}

/* The name of the first on-demand view that a request needs; NULL: none. */
static tfn_code find_on_demand(tfn_store *store, const char *request, char **name, tfn_error *err)
{
    char *text = NULL;
    yyjson_doc *doc = NULL;
    *name = NULL;
    TFN_RETURN_IF_ERROR(tfn_store_resolve(store, request, &text, err));
    tfn_code rc = tfn_json_parse(tfn_str_of(text), "what a request needs", &doc, err);
    if (rc == TFN_OK) {
        yyjson_val *views = yyjson_obj_get(yyjson_doc_get_root(doc), "on_demand");
        const char *first = yyjson_get_str(yyjson_obj_get(yyjson_arr_get_first(views), "name"));
        rc = first == NULL ? TFN_OK : tfn_mem_copy_text(first, name, err);
    }
    yyjson_doc_free(doc);
    tfn_text_destroy(text);
    return rc;
}

static tfn_code resolve(tfn_store *store, const char *request, entry *e, tfn_error *err)
{
    const tfn_code rc = tfn_store_prepare(store, request, &e->known.lookup, err);
    if (rc != TFN_UNSUPPORTED) {
        return rc;
    }
    TFN_RETURN_IF_ERROR(find_on_demand(store, request, &e->on_demand, err));
    if (e->on_demand == NULL) {
        return rc; /* no online store: the sentence says so */
    }
    *err = (tfn_error){0};
    e->known.on_demand = e->on_demand;
    return TFN_OK;
}

static tfn_code create_entry(tfn_store *store, const tfn_asked *asked, tfn_str key, uint64_t hash,
                             entry **out, tfn_error *err)
{
    *out = NULL;
    tfn_buf request = {0};
    void *p = NULL;
    TFN_RETURN_IF_ERROR(tfn_mem_alloc_array(1, sizeof(entry), &p, err));
    entry *e = p;
    tfn_code rc = TFN_OK;
    e->hash = hash;
    e->n_key = key.n;
    e->known.commit = -1;
    TFN_GOTO_IF_ERROR(rc, tfn_mem_copy_bytes(key.p, key.n, &e->key, err), done);
    TFN_GOTO_IF_ERROR(rc, write_request(asked, &request, err), done);
    TFN_GOTO_IF_ERROR(rc, resolve(store, request.p, e, err), done);
    if (asked->service.p != NULL) {
        TFN_GOTO_IF_ERROR(
            rc, tfn_mem_copy_bytes(asked->service.p, asked->service.n, &e->service, err), done);
    }
    *out = e;
    e = NULL;
done:
    tfn_buf_deinit(&request);
    destroy_entry(e);
    return rc;
}

/* ---- refusing ---- */

static tfn_code find_object(tfn_store *store, const char *kind, tfn_str name, tfn_arena *scratch,
                            bool *is_there, tfn_error *err)
{
    const char *copy = NULL;
    char *text = NULL;
    tfn_error why = {0};
    *is_there = false;
    if (memchr(name.p, '\0', name.n) != NULL) {
        return TFN_OK; /* no name has one */
    }
    TFN_RETURN_IF_ERROR(tfn_arena_copy(scratch, name.p, name.n, &copy, err));
    const tfn_code rc = tfn_store_get(store, kind, copy, -1, &text, &why);
    tfn_text_destroy(text);
    *is_there = rc == TFN_OK;
    return rc == TFN_OK || rc == TFN_NOT_FOUND ? TFN_OK : tfn_error_move(err, &why);
}

static tfn_code find_view(tfn_store *store, tfn_str name, tfn_arena *scratch, bool *is_there,
                          tfn_error *err)
{
    TFN_RETURN_IF_ERROR(find_object(store, "feature_view", name, scratch, is_there, err));
    return *is_there ? TFN_OK
                     : find_object(store, "on_demand_feature_view", name, scratch, is_there, err);
}

static tfn_str view_of(tfn_str feature)
{
    const char *colon = feature.n == 0 ? NULL : memchr(feature.p, ':', feature.n);
    return (tfn_str){feature.p, colon == NULL ? 0 : (size_t)(colon - feature.p)};
}

/* What a request names that is not there: its service, a view of its features, or else a feature. */
static tfn_code find_missing(tfn_store *store, const tfn_asked *asked, tfn_arena *scratch,
                             tfn_missing *out, tfn_error *err)
{
    bool is_there = true;
    if (asked->service.p != NULL) {
        TFN_RETURN_IF_ERROR(
            find_object(store, "feature_service", asked->service, scratch, &is_there, err));
        *out = is_there ? TFN_MISSING_VIEW : TFN_MISSING_SERVICE;
        return TFN_OK;
    }
    tfn_str last = {0};
    for (size_t i = 0; is_there && i < asked->n_features; i++) {
        const tfn_str view = view_of(asked->features[i]);
        if (view.n > 0 && !tfn_str_equal(view, last)) {
            TFN_RETURN_IF_ERROR(find_view(store, view, scratch, &is_there, err));
        }
        last = view;
    }
    *out = is_there ? TFN_MISSING_FEATURE : TFN_MISSING_VIEW;
    return TFN_OK;
}

/* A request that was not resolved before: resolve it, or say why not, as said before. */
static tfn_code create_or_refuse(tfn_lookups *lookups, tfn_store *store, const tfn_asked *asked,
                                 tfn_str key, uint64_t hash, tfn_arena *scratch, entry **out,
                                 tfn_error *err)
{
    int64_t commit = 0; /* before it is resolved: what an apply changes meanwhile is seen then */
    lookups->missing = asked->service.p != NULL ? TFN_MISSING_SERVICE : TFN_MISSING_VIEW;
    TFN_RETURN_IF_ERROR(tfn_store_get_commit(store, &commit, err));
    const tfn_miss *before = tfn_misses_find(&lookups->misses, key, hash, commit);
    if (before != NULL) {
        lookups->missing = before->missing;
        return TFN_FAIL(err, before->code, "%s", before->sentence);
    }
    tfn_error why = {0};
    const tfn_code rc = create_entry(store, asked, key, hash, out, &why);
    if (rc == TFN_NOT_FOUND) {
        TFN_RETURN_IF_ERROR(find_missing(store, asked, scratch, &lookups->missing, err));
    }
    if (rc == TFN_NOT_FOUND || rc == TFN_INVALID) {
        tfn_misses_note(&lookups->misses, key, hash, commit, lookups->missing, &why);
    }
    return rc == TFN_OK ? TFN_OK : tfn_error_move(err, &why);
}

/* ---- finding ---- */

static int64_t now_us_of(const tfn_clock *clock)
{
    return tfn_instant_to(tfn_clock_now(clock), TFN_UNIT_US);
}

tfn_code tfn_lookups_get(tfn_lookups *lookups, tfn_store *store, const tfn_asked *asked,
                         const tfn_clock *clock, tfn_arena *scratch, tfn_known **out,
                         tfn_error *err)
{
    *out = NULL;
    lookups->missing = TFN_MISSING_NOTHING;
    tfn_str key = {0};
    TFN_RETURN_IF_ERROR(make_key(asked, scratch, &key, err));
    const uint64_t hash = tfn_hash64(key.p, key.n);
    entry *e = find(lookups, key, hash);
    if (e != NULL && e->known.lookup == NULL && now_us_of(clock) - e->made_us > python_retry_us) {
        remove_entry(lookups, e);
        e = NULL;
    }
    if (e == NULL) {
        TFN_RETURN_IF_ERROR(create_or_refuse(lookups, store, asked, key, hash, scratch, &e, err));
        assert(e != NULL);
        e->made_us = now_us_of(clock);
        if (lookups->n == TFN_MOST_LOOKUPS) {
            remove_entry(lookups, lookups->oldest);
        }
        add_entry(lookups, e);
    } else if (e != lookups->newest) {
        unlink_age(lookups, e);
        link_newest(lookups, e);
    }
    *out = &e->known;
    return TFN_OK;
}

tfn_code tfn_lookups_follow(tfn_lookups *lookups, tfn_store *store, tfn_known *known,
                            int64_t commit, tfn_arena *scratch, tfn_error *err)
{
    (void)lookups;
    const entry *e = (const entry *)known;
    if (known->commit == commit) {
        return TFN_OK;
    }
    known->commit = commit;
    known->wish = (tfn_log_wish){0};
    if (e->service == NULL) {
        return TFN_OK;
    }
    tfn_log_wish wish = {0};
    TFN_RETURN_IF_ERROR(tfn_log_wish_read(store, e->service, scratch, &wish, err));
    wish.service = e->service; /* the scratch ends with the request */
    known->wish = wish;
    return TFN_OK;
}
