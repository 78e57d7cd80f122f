/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

/*
 * Does the state that a request asks for hold together?
 *
 *   names       views of both kinds, and data sources, differ by more than the case of letters
 *   removals    nothing that stays uses what goes; refused at what goes, with its users' names
 *   references  every object that stays decodes (decode.c has the rules)
 *
 * An object that fails only because it uses something refused is not reported: the cause is.
 */

#include "registry/registry_internal.h"

#include <stdio.h>
#include <string.h>

#include "base/poison.h"

/* ---- names ---- */

static tfn_code fold_name(tfn__proposal *p, tfn_str name, tfn_str *out, tfn_error *err)
{
    void *copy = NULL;
    TFN_RETURN_IF_ERROR(tfn_arena_alloc(&p->arena, name.n, 1, &copy, err));
    char *text = copy;
    for (size_t i = 0; i < name.n; i++) {
        const char c = name.p[i];
        text[i] = (char)(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c);
    }
    *out = (tfn_str){text, name.n};
    return TFN_OK;
}

static tfn_code refuse_twin(tfn__proposal *p, tfn__entry *first, tfn__entry *second, tfn_error *err)
{
    /* The newer of the two is at fault. */
    tfn__entry *guilty = first->before == NULL ? first : second;
    const tfn__entry *other = guilty == first ? second : first;
    char subject[TFN__SUBJECT_BYTES];
    char quoted[TFN__SUBJECT_BYTES];
    tfn_error why = {0};
    guilty->is_refused = true;
    tfn__subject_format(guilty->kind, guilty->name, subject);
    tfn__subject_format(other->kind, other->name, quoted);
    (void)TFN_FAIL(&why, TFN_INVALID, "%s %s the existing %s%s; choose another name", subject,
                   tfn_str_equal(guilty->name, other->name) ? "has the name of" : "differs from",
                   guilty->kind == other->kind
                       ? quoted + strlen(tfn_object_kind_words(other->kind)) + 1
                       : quoted,
                   tfn_str_equal(guilty->name, other->name) ? "" : " only in upper and lower case");
    return tfn__proposal_refuse(p, guilty->kind, guilty->name, &why, err);
}

/* Objects of two kinds (or of one, given twice) share their names. */
static tfn_code check_twins(tfn__proposal *p, tfn_object_kind kind, tfn_object_kind or_kind,
                            tfn_error *err)
{
    tfn_map names = {0};
    tfn_code rc = TFN_OK;
    for (size_t i = 0; i < p->state->n_entries && rc == TFN_OK; i++) {
        tfn__entry *entry = &p->state->entries[i];
        tfn_str folded = {0};
        uint32_t i_twin = 0;
        if ((entry->kind != kind && entry->kind != or_kind) || entry->is_removed) {
            continue;
        }
        TFN_GOTO_IF_ERROR(rc, fold_name(p, entry->name, &folded, err), done);
        if (tfn_map_get(&names, folded, &i_twin)) {
            rc = refuse_twin(p, &p->state->entries[i_twin], entry, err);
        } else {
            rc = tfn_map_put(&names, folded, (uint32_t)i, err);
        }
    }
done:
    tfn_map_deinit(&names);
    return rc;
}

/* ---- removals ---- */

enum { MAX_USERS_NAMED = 3 };

typedef struct users {
    const tfn__entry *first[MAX_USERS_NAMED];
    size_t n;
} users;

static tfn__entry *find_any(const tfn_snapshot *s, const tfn__reference *reference)
{
    uint32_t i = 0;
    return tfn_map_get(&s->index[reference->kind], reference->name, &i) ? &s->entries[i] : NULL;
}

/* Enter `entry` as a user of everything removed that it names. */
static tfn_code note_use(tfn__proposal *p, const tfn__entry *entry, users *of_entry, tfn_error *err)
{
    tfn__reference *references = NULL;
    size_t n = 0;
    TFN_RETURN_IF_ERROR(tfn__references_get(&p->state->scratch, entry, &references, &n, err));
    for (size_t i = 0; i < n; i++) {
        const tfn__entry *used = find_any(p->state, &references[i]);
        if (used == NULL || !used->is_removed) {
            continue;
        }
        users *u = &of_entry[used - p->state->entries];
        if (u->n > 0 && u->n <= MAX_USERS_NAMED && u->first[u->n - 1] == entry) {
            continue; /* a service may name a view twice */
        }
        if (u->n < MAX_USERS_NAMED) {
            u->first[u->n] = entry;
        }
        u->n++;
    }
    return TFN_OK;
}

static tfn_code refuse_removal(tfn__proposal *p, tfn__entry *entry, const users *u, tfn_error *err)
{
    char list[4 * TFN__SUBJECT_BYTES] = "";
    char subject[TFN__SUBJECT_BYTES];
    const size_t n_named = u->n < MAX_USERS_NAMED ? u->n : MAX_USERS_NAMED;
    for (size_t i = 0; i < n_named; i++) {
        const size_t used = strlen(list);
        const char *between = i == 0 ? "" : i + 1 == u->n ? " and " : ", ";
        tfn__subject_format(u->first[i]->kind, u->first[i]->name, subject);
        (void)snprintf(list + used, sizeof list - used, "%s%s", between, subject);
    }
    if (u->n > n_named) {
        const size_t used = strlen(list);
        (void)snprintf(list + used, sizeof list - used, " and %zu more", u->n - n_named);
    }
    tfn_error why = {0};
    tfn__subject_format(entry->kind, entry->name, subject);
    (void)TFN_FAIL(&why, TFN_INVALID, "%s cannot be removed: %s %s it", subject, list,
                   u->n == 1 ? "uses" : "use");
    entry->is_refused = true;
    return tfn__proposal_refuse(p, entry->kind, entry->name, &why, err);
}

static tfn_code check_removals(tfn__proposal *p, tfn_error *err)
{
    tfn_snapshot *s = p->state;
    void *cells = NULL;
    bool is_any = false;
    for (size_t i = 0; i < s->n_entries; i++) {
        is_any = is_any || s->entries[i].is_removed;
    }
    if (!is_any) {
        return TFN_OK;
    }
    TFN_RETURN_IF_ERROR(tfn_arena_alloc_zero(&p->arena, s->n_entries, sizeof(users), &cells, err));
    users *of_entry = cells;
    for (size_t i = 0; i < s->n_entries; i++) {
        if (!s->entries[i].is_removed) {
            const tfn_arena_mark mark = tfn_arena_get_mark(&s->scratch);
            TFN_RETURN_IF_ERROR(note_use(p, &s->entries[i], of_entry, err));
            tfn_arena_rewind(&s->scratch, mark);
        }
    }
    for (size_t i = 0; i < s->n_entries; i++) {
        if (of_entry[i].n > 0) {
            TFN_RETURN_IF_ERROR(refuse_removal(p, &s->entries[i], &of_entry[i], err));
        }
    }
    return TFN_OK;
}

/* ---- references ---- */

static bool is_refused(const tfn__proposal *p, const tfn__reference *reference)
{
    const tfn__entry *entry = find_any(p->state, reference);
    if (entry != NULL) {
        return entry->is_refused || entry->is_blocked;
    }
    for (size_t i = 0; i < p->n_refusals; i++) {
        if (p->refusals[i].kind == reference->kind &&
            tfn_str_equal(p->refusals[i].name, reference->name)) {
            return true;
        }
    }
    return false;
}

/* Does the entry use something that is refused itself? */
static tfn_code uses_refused(tfn__proposal *p, const tfn__entry *entry, bool *out, tfn_error *err)
{
    tfn__reference *references = NULL;
    size_t n = 0;
    *out = false;
    TFN_RETURN_IF_ERROR(tfn__references_get(&p->state->scratch, entry, &references, &n, err));
    for (size_t i = 0; i < n && !*out; i++) {
        *out = is_refused(p, &references[i]);
    }
    return TFN_OK;
}

static tfn_code check_entry(tfn__proposal *p, tfn__entry *entry, tfn_error *err)
{
    const void *def = NULL;
    tfn_error why = {0};
    bool is_excused = false;
    if (tfn__snapshot_get_def(p->state, entry, &def, &why) == TFN_OK) {
        return TFN_OK;
    }
    if (!tfn__is_refusal(why.code)) {
        return tfn_error_move(err, &why);
    }
    if (entry->is_refused) {
        return TFN_OK;
    }
    const tfn_arena_mark mark = tfn_arena_get_mark(&p->state->scratch);
    TFN_RETURN_IF_ERROR(uses_refused(p, entry, &is_excused, err));
    tfn_arena_rewind(&p->state->scratch, mark);
    entry->is_blocked = is_excused;
    entry->is_refused = !is_excused;
    return is_excused ? TFN_OK : tfn__proposal_refuse(p, entry->kind, entry->name, &why, err);
}

tfn_code tfn__proposal_check(tfn__proposal *p, tfn_error *err)
{
    TFN_RETURN_IF_ERROR(check_twins(p, TFN_OBJECT_SOURCE, TFN_OBJECT_SOURCE, err));
    TFN_RETURN_IF_ERROR(check_twins(p, TFN_OBJECT_VIEW, TFN_OBJECT_ON_DEMAND_VIEW, err));
    TFN_RETURN_IF_ERROR(check_removals(p, err));
    for (size_t i_kind = 0; i_kind < TFN__N_KINDS - 1; i_kind++) {
        for (size_t i = 0; i < p->state->n_entries; i++) {
            tfn__entry *entry = &p->state->entries[i];
            if (entry->kind == tfn__kinds_in_order[i_kind] && !entry->is_removed) {
                TFN_RETURN_IF_ERROR(check_entry(p, entry, err));
            }
        }
    }
    return TFN_OK;
}
