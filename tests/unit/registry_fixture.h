/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */
#ifndef TFN_TESTS_REGISTRY_FIXTURE_H
#define TFN_TESTS_REGISTRY_FIXTURE_H

/*
 * A registry in a temporary folder with a clock that the test sets, and short ways to apply, to
 * plan and to expect a failure. Include it first, before the .c file under test.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <dirent.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/mem.h"
#include "registry/registry.h"

typedef struct fixture {
    char folder[64];
    char path[128];
    tfn_instant now;
    tfn_registry *registry;
    tfn_buf answer; /* of the last call */
    tfn_error err;
} fixture;

/* Documents that the tests share; ENTITY to SERVICE make a project that holds together. */
#define ENTITY                                                                                     \
    "{\"kind\":\"entity\",\"name\":\"plane\",\"join_key\":\"tailnum\",\"value_type\":\"string\"}"
#define SOURCE                                                                                     \
    "{\"kind\":\"data_source\",\"name\":\"planes\",\"path\":\"planes.parquet\","                   \
    "\"timestamp_field\":\"ts\",\"created_timestamp_column\":\"created\"}"
#define PUSH                                                                                       \
    "{\"kind\":\"data_source\",\"type\":\"push\",\"name\":\"planes_push\","                        \
    "\"batch_source\":\"planes\"}"
#define FIELDS "{\"name\":\"delay\",\"dtype\":\"float64\"},{\"name\":\"legs\",\"dtype\":\"int64\"}"
#define VIEW_WITH(name, more)                                                                      \
    "{\"kind\":\"feature_view\",\"name\":\"" name "\",\"entities\":[\"plane\"],"                   \
    "\"source\":\"planes\",\"schema\":[" FIELDS "]" more "}"
#define VIEW VIEW_WITH("history", "")
#define SERVICE                                                                                    \
    "{\"kind\":\"feature_service\",\"name\":\"model\",\"features\":[{\"view\":\"history\"}]}"
#define OBJECTS(list) "{\"objects\":[" list "]}"
#define EVERYTHING OBJECTS(ENTITY "," SOURCE "," PUSH "," VIEW "," SERVICE)

static inline tfn_str text(const char *s)
{
    return tfn_str_of(s);
}

static inline tfn_instant tell_time(void *context)
{
    return ((const fixture *)context)->now;
}

static inline void remove_tree(const char *path)
{
    DIR *folder = opendir(path);
    for (struct dirent *d = folder == NULL ? NULL : readdir(folder); d != NULL;
         d = readdir(folder)) {
        char inner[512];
        (void)snprintf(inner, sizeof inner, "%.200s/%.255s", path, d->d_name);
        if (strcmp(d->d_name, ".") != 0 && strcmp(d->d_name, "..") != 0) {
            remove_tree(inner);
        }
    }
    if (folder != NULL) {
        (void)closedir(folder);
    }
    (void)remove(path);
}

static inline tfn_registry *open_again(fixture *f, tfn_registry_mode mode)
{
    const tfn_clock clock = {tell_time, f};
    tfn_registry *r = NULL;
    f->err = (tfn_error){0};
    if (tfn_registry_open(f->path, mode, &clock, &r, &f->err) != TFN_OK) {
        fail_msg("open: %s", f->err.message);
    }
    return r;
}

/* Tests that make thousands of files may define FIXTURE_IN_MEMORY: a sync costs nothing there. */
static inline const char *get_base_folder(void)
{
#ifdef FIXTURE_IN_MEMORY
    if (access("/dev/shm", W_OK) == 0) {
        return "/dev/shm";
    }
#endif
    return P_tmpdir;
}

static inline int set_up(void **state)
{
    fixture *f = calloc(1, sizeof *f);
    assert_non_null(f);
    (void)snprintf(f->folder, sizeof f->folder, "%s/tiffin-registry-XXXXXX", get_base_folder());
    assert_non_null(mkdtemp(f->folder));
    (void)snprintf(f->path, sizeof f->path, "%s/data/registry.db", f->folder);
    f->now = (tfn_instant){1000, 5};
    f->registry = open_again(f, TFN_REGISTRY_CREATE);
    *state = f;
    return 0;
}

static inline int tear_down(void **state)
{
    fixture *f = *state;
    tfn_registry_close(f->registry);
    tfn_buf_deinit(&f->answer);
    remove_tree(f->folder);
    free(f);
    return 0;
}

static inline const char *answer_of(const fixture *f)
{
    return f->answer.p == NULL ? "" : f->answer.p;
}

static inline void assert_fine(fixture *f, tfn_code rc)
{
    if (rc != TFN_OK) {
        fail_msg("%s: %s", tfn_code_name(rc), f->err.message);
    }
}

/* The code, and a part of the sentence. */
static inline void assert_failed(fixture *f, tfn_code rc, tfn_code expected, const char *part)
{
    if (rc != expected || f->err.code != expected || strstr(f->err.message, part) == NULL) {
        fail_msg("expected %s '%s', found %s '%s'", tfn_code_name(expected), part,
                 tfn_code_name(rc), f->err.message);
    }
    f->err = (tfn_error){0};
}

static inline void assert_has(const char *whole, const char *part)
{
    if (strstr(whole, part) == NULL) {
        fail_msg("no '%s' in '%s'", part, whole);
    }
}

static inline tfn_code try_apply(fixture *f, const char *request)
{
    tfn_buf_clear(&f->answer);
    return tfn_registry_apply(f->registry, text("flights"), text(request), &f->answer, &f->err);
}

static inline const char *apply(fixture *f, const char *request)
{
    assert_fine(f, try_apply(f, request));
    return answer_of(f);
}

static inline const char *plan(fixture *f, const char *request)
{
    tfn_buf_clear(&f->answer);
    assert_fine(
        f, tfn_registry_plan(f->registry, text("flights"), text(request), &f->answer, &f->err));
    return answer_of(f);
}

/* The request is refused by apply and by plan, with this code and (part of) this sentence. */
static inline void assert_refused(fixture *f, const char *request, tfn_code code, const char *part)
{
    char quoted[64];
    (void)snprintf(quoted, sizeof quoted, "\"code\":\"%s\"", tfn_code_name(code));
    assert_failed(f, try_apply(f, request), code, part);
    assert_int_equal(f->answer.n, 0);
    assert_has(plan(f, request), quoted);
}

static inline tfn_snapshot *get_snapshot(fixture *f)
{
    tfn_snapshot *s = NULL;
    assert_fine(f,
                tfn_registry_get_snapshot(f->registry, text("flights"), TFN_CACHED, &s, &f->err));
    return s;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

#endif
