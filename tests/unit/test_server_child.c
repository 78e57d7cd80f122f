/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

/*
 * Materializations whose interpreter is a shell script: what a child reports, and how it fails. The
 * script's standard input is the server's word that it shall end.
 */

#include "unit/base_make.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/time.h"
#include "server/child.c"

#include "unit/child_script.h"

#define STARTED "echo '{\"started\":true}'\n"
#define REPORT "echo '{\"report\":{\"views\":[]}}'\n"
/* Until the server lets go of it. */
#define STAY "cat >/dev/null\n"

typedef struct fixture {
    child_script script;
    tfn_server_config config;
    tfn_children *children;
    char *answer;
    tfn_error err;
} fixture;

static const tfn_str views[] = {{"a", 1}, {"b", 1}};

static int set_up(void **state)
{
    static fixture f;
    f = (fixture){0};
    make_script(&f.script);
    f.config.python = f.script.path;
    assert_ok(tfn_children_create(&f.children, &f.err), f.err);
    *state = &f;
    return 0;
}

static int tear_down(void **state)
{
    fixture *f = *state;
    tfn_children_destroy(f->children);
    tfn_text_destroy(f->answer);
    remove_script(&f->script);
    return 0;
}

static tfn_code materialize_in(fixture *f, bool wait, bool force)
{
    tfn_text_destroy(f->answer);
    f->err = (tfn_error){0};
    return tfn_children_materialize(f->children, &f->config, "{}", views, 2, wait, force,
                                    &f->answer, &f->err);
}

static void expect(fixture *f, tfn_code code, const char *sentence)
{
    assert_int_equal(materialize_in(f, true, false), code);
    assert_text(f->err.message, sentence);
    assert_null(f->answer);
    assert_int_equal(f->children->n_runs, 0);
}

static void the_report_is_the_answer(void **state)
{
    fixture *f = *state;
    write_script(&f->script, STARTED REPORT);
    assert_ok(materialize_in(f, true, false), f->err);
    assert_string_equal(f->answer, "{\"views\":[]}");
}

static void an_error_keeps_its_code(void **state)
{
    fixture *f = *state;
    write_script(&f->script,
                 "echo '{\"error\":{\"code\":\"UNSUPPORTED\",\"message\":\"no DuckDB\"}}'");
    expect(f, TFN_UNSUPPORTED, "no DuckDB");
    write_script(&f->script, STARTED "echo '{\"error\":{\"code\":\"IO\",\"message\":\"a disk\"}}'");
    expect(f, TFN_IO, "a disk");
    write_script(&f->script, "echo '{\"error\":{\"code\":\"NEWER\",\"message\":\"a word\"}}'");
    expect(f, TFN_CORRUPT, "a word");
}

static void a_death_says_how(void **state)
{
    fixture *f = *state;
    write_script(&f->script, "exit 7\n");
    expect(f, TFN_IO, "ended without a report (exit code 7)");
    write_script(&f->script, STARTED "kill -KILL $$\n");
    expect(f, TFN_IO, "ended without a report (signal 9)");
    f->config.python = "/nowhere/python";
    expect(f, TFN_IO, "'/nowhere/python' could not be started");
}

static void garbage_is_refused_and_its_author_ended(void **state)
{
    fixture *f = *state;
    char text[256];
    (void)snprintf(text, sizeof text, "echo $$ >%s/pid\necho 'Hello, world'\nexec sleep 1000\n",
                   f->script.folder);
    write_script(&f->script, text);
    assert_int_not_equal(materialize_in(f, true, false), TFN_OK);
    assert_text(f->err.message, "what a materialization reports");
    assert_true(is_gone(read_pid(&f->script)));
    assert_int_equal(f->children->n_runs, 0);
}

/* It would write for ever, and never end while nobody reads. */
static void a_line_without_an_end_meets_a_ceiling(void **state)
{
    fixture *f = *state;
    write_script(&f->script, STARTED "exec cat /dev/zero\n");
    expect(f, TFN_LIMIT, "");
}

static void views_that_are_under_way_are_named(void **state)
{
    fixture *f = *state;
    write_script(&f->script, STARTED STAY);
    assert_ok(materialize_in(f, false, false), f->err);
    assert_null(f->answer);
    assert_int_equal(materialize_in(f, false, false), TFN_CONFLICT);
    assert_string_equal(f->answer, "[\"a\",\"b\"]");
    for (int i = 1; i < MAX_RUNS; i++) {
        assert_ok(materialize_in(f, false, true), f->err);
    }
    assert_int_equal(materialize_in(f, false, true), TFN_UNAVAILABLE);
    assert_text(f->err.message, "8 materializations run already");
}

static void *stop(void *arg)
{
    fixture *f = arg;
    const struct timespec pause = {0, 200000000};
    (void)nanosleep(&pause, NULL);
    tfn_children_stop(f->children);
    return NULL;
}

static void a_stop_ends_who_does_not_listen_with_what_it_started(void **state)
{
    fixture *f = *state;
    char text[256];
    pthread_t thread;
    (void)snprintf(text, sizeof text, "sleep 1000 & echo $! >%s/pid\n" STARTED "exec sleep 1000\n",
                   f->script.folder);
    write_script(&f->script, text);
    assert_int_equal(pthread_create(&thread, NULL, stop, f), 0);
    const double began_s = tfn_clock_monotonic_s();
    assert_int_equal(materialize_in(f, true, false), TFN_CANCELLED);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_true(tfn_clock_monotonic_s() - began_s < 10);
    assert_true(is_gone(read_pid(&f->script)));
    expect(f, TFN_CANCELLED, "the server stops");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(the_report_is_the_answer),
        TEST(an_error_keeps_its_code),
        TEST(a_death_says_how),
        TEST(garbage_is_refused_and_its_author_ended),
        TEST(a_line_without_an_end_meets_a_ceiling),
        TEST(views_that_are_under_way_are_named),
        TEST(a_stop_ends_who_does_not_listen_with_what_it_started),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
