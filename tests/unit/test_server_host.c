/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

/*
 * A host whose interpreter is a shell script: what it answers, and how it fails, is each test's. The
 * script finds the channel as its file 3, as Python does.
 */

#include "unit/base_make.h"

#include <pthread.h>
#include <stdio.h>

#include "server/host.c"

#include "unit/child_script.h"

/* 25 bytes of head, 2 of body; the numbers before them are octal. */
#define ANSWER "printf '\\031\\0\\0\\0\\002\\0\\0\\0{\"status\":201,\"n_rows\":7}{}' >&3\n"
/* Until the server closes the channel; what was sent is taken. */
#define STAY "exec cat <&3 >/dev/null\n"

typedef struct fixture {
    child_script script;
    _Atomic bool is_stopping;
    tfn_server_config config;
    tfn_shared shared;
    tfn_context context;
    tfn_reply reply;
} fixture;

static int set_up(void **state)
{
    static fixture f;
    f = (fixture){0};
    make_script(&f.script);
    f.config.python = f.script.path;
    f.config.limits.request_ms = 10000;
    f.shared = (tfn_shared){.config = &f.config, .is_stopping = &f.is_stopping};
    f.context = (tfn_context){.shared = &f.shared, .may_block = true};
    *state = &f;
    return 0;
}

static int tear_down(void **state)
{
    fixture *f = *state;
    tfn_host_destroy(f->context.host);
    tfn_buf_deinit(&f->reply.body);
    remove_script(&f->script);
    return 0;
}

/* Run a request of which `body` is the body; returns milliseconds. */
static int64_t ask_path(fixture *f, const char *path)
{
    const tfn_request request = {.method = tfn_str_of("POST"),
                                 .path = tfn_str_of(path),
                                 .rest = tfn_str_of(""),
                                 .query = tfn_str_of(""),
                                 .body = tfn_str_of("{}")};
    const int64_t began_ms = now_ms();
    tfn_host_run(&f->context, &request, &f->reply);
    return now_ms() - began_ms;
}

static void expect(fixture *f, int32_t status, const char *sentence)
{
    (void)ask_path(f, "/get-online-features");
    assert_int_equal(f->reply.status, status);
    assert_text(f->reply.body.p, sentence);
}

static void an_answer_is_passed_on_and_the_process_stays(void **state)
{
    fixture *f = *state;
    write_script(&f->script, ANSWER "head -c 1 <&3 >/dev/null\n" STAY);
    expect(f, 201, "{}");
    assert_int_equal(f->reply.n_rows, 7);
    assert_true(is_alive(f->context.host));
}

static void without_an_interpreter_it_is_501_in_the_protocol_of_the_request(void **state)
{
    fixture *f = *state;
    f->config.python = NULL;
    expect(f, 501, "this request needs Python");
    assert_null(strstr(f->reply.body.p, "UNSUPPORTED"));
    (void)ask_path(f, "/v1/features");
    assert_int_equal(f->reply.status, 501);
    assert_text(f->reply.body.p, "{\"error\":{\"code\":\"UNSUPPORTED\"");
}

static void an_interpreter_that_is_not_there_is_named(void **state)
{
    fixture *f = *state;
    f->config.python = "/nowhere/python";
    expect(f, 503, "'/nowhere/python' could not be started");
    assert_int_equal(f->reply.retry_after_s, 1);
}

static void who_is_late_is_ended_and_the_answer_is_504(void **state)
{
    fixture *f = *state;
    f->config.limits.request_ms = 200;
    write_script(&f->script, STAY);
    const int64_t took_ms = ask_path(f, "/get-online-features");
    assert_int_equal(f->reply.status, 504);
    assert_text(f->reply.body.p, "longer than limits.request_seconds (200 ms)");
    assert_true(took_ms >= 200 && took_ms < 5000);
    assert_int_equal(f->context.host->pid, 0);
}

static void slow_pieces_have_the_one_deadline(void **state)
{
    fixture *f = *state;
    f->config.limits.request_ms = 300;
    write_script(&f->script, "for byte in 031 0 0 0 002 0 0 0 173 175 175 175; do\n"
                             "  printf \"\\\\$byte\" >&3; sleep 0.1\ndone\n" STAY);
    expect(f, 504, "request_seconds");
}

static void a_death_is_503_and_the_next_request_starts_another(void **state)
{
    fixture *f = *state;
    write_script(&f->script, "head -c 8 <&3 >/dev/null\n" ANSWER "sleep 0.1; kill -SEGV $$\n");
    expect(f, 201, "{}");
    write_script(&f->script, "kill -SEGV $$\n");
    /* Whether its end is seen before or after the request is sent, another one is started or told. */
    (void)ask_path(f, "/get-online-features");
    assert_int_equal(f->reply.status, 503);
    f->context.host->pause_ms = 0;
    write_script(&f->script, ANSWER STAY);
    expect(f, 201, "{}");
}

static void the_way_it_died_is_said(void **state)
{
    fixture *f = *state;
    write_script(&f->script, "head -c 8 <&3 >/dev/null; exit 7\n");
    expect(f, 503, "ended while it answered this request (exit code 7)");
    assert_int_equal(f->reply.retry_after_s, 1);
}

static void one_that_never_answers_is_started_later_and_later(void **state)
{
    fixture *f = *state;
    write_script(&f->script, "exit 1\n");
    expect(f, 503, "ended while it answered");
    assert_int_equal(f->context.host->pause_ms, FIRST_PAUSE_MS);
    f->context.host->start_at_ms = now_ms() + 60000;
    expect(f, 503, "ends before it answers; it is started again in");
    f->context.host->start_at_ms = 0;
    expect(f, 503, "ended while it answered");
    assert_int_equal(f->context.host->pause_ms, 2 * FIRST_PAUSE_MS);
}

static void garbage_ends_it(void **state)
{
    fixture *f = *state;
    static const char *const answers[] = {
        "printf 'Traceback (most recent call last): no message at all' >&3\n",
        "printf '\\377\\377\\377\\377\\002\\0\\0\\0' >&3\n",   /* a head of 4 GiB */
        "printf '\\002\\0\\0\\0\\377\\377\\377\\377{}' >&3\n", /* a body of 4 GiB */
        "printf '\\002\\0\\0\\0\\0\\0\\0\\0{}' >&3\n",         /* no status */
        "printf '\\005\\0\\0\\0\\0\\0\\0\\0{{{{{' >&3\n",
        "printf '\\015\\0\\0\\0\\0\\0\\0\\0{\"status\":99}' >&3\n",
    };
    for (size_t i = 0; i < sizeof answers / sizeof *answers; i++) {
        char text[512];
        (void)snprintf(text, sizeof text, "%s" STAY, answers[i]);
        write_script(&f->script, text);
        expect(f, 503, "the Python process ended");
        assert_int_equal(f->context.host->pid, 0);
        assert_int_equal(f->context.host->channel, -1);
        f->context.host->pause_ms = 0;
    }
}

static void an_answer_beyond_the_ceiling_is_413_and_the_next_one_is_in_its_place(void **state)
{
    fixture *f = *state;
    f->config.limits.max_answer_bytes = 1;
    f->reply.body.max_bytes = 4096;
    write_script(&f->script,
                 "printf '\\031\\0\\0\\0\\0\\040\\0\\0{\"status\":201,\"n_rows\":7}' >&3\n"
                 "head -c 8192 /dev/zero >&3\n"
                 "head -c 8 <&3 >/dev/null\n" STAY);
    expect(f, 413, "(setting max_answer)");
    assert_int_equal(f->reply.n_rows, 0);
    assert_true(is_alive(f->context.host));
}

static void *stop_soon(void *arg)
{
    fixture *f = arg;
    const struct timespec pause = {0, 100000000};
    (void)nanosleep(&pause, NULL);
    atomic_store(&f->is_stopping, true);
    return NULL;
}

static void a_stop_does_not_wait_for_a_function(void **state)
{
    fixture *f = *state;
    pthread_t thread;
    write_script(&f->script, STAY);
    assert_int_equal(pthread_create(&thread, NULL, stop_soon, f), 0);
    const int64_t took_ms = ask_path(f, "/get-online-features");
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(f->reply.status, 503);
    assert_text(f->reply.body.p, "the server was stopped while Python computed");
    assert_int_equal(f->reply.retry_after_s, 1);
    assert_true(took_ms < 5000);
}

static void what_it_started_ends_with_it(void **state)
{
    fixture *f = *state;
    char text[512];
    (void)snprintf(text, sizeof text, "sleep 1000 3>&- & echo $! >%s/pid\n" ANSWER STAY,
                   f->script.folder);
    write_script(&f->script, text);
    expect(f, 201, "{}");
    const pid_t pid = read_pid(&f->script);
    tfn_host_destroy(f->context.host); /* it goes by itself: its channel closes */
    f->context.host = NULL;
    assert_true(is_gone(pid));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(an_answer_is_passed_on_and_the_process_stays),
        TEST(without_an_interpreter_it_is_501_in_the_protocol_of_the_request),
        TEST(an_interpreter_that_is_not_there_is_named),
        TEST(who_is_late_is_ended_and_the_answer_is_504),
        TEST(slow_pieces_have_the_one_deadline),
        TEST(a_death_is_503_and_the_next_request_starts_another),
        TEST(the_way_it_died_is_said),
        TEST(one_that_never_answers_is_started_later_and_later),
        TEST(garbage_ends_it),
        TEST(an_answer_beyond_the_ceiling_is_413_and_the_next_one_is_in_its_place),
        TEST(a_stop_does_not_wait_for_a_function),
        TEST(what_it_started_ends_with_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
