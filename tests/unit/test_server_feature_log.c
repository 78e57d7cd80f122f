/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

/*
 * The feature log: what is noted is in a segment afterwards, byte by byte as docs/formats/feature-log.md
 * says; what does not fit is dropped and counted.
 *
 * TFN_WRITE_GOLDEN=<file> writes the golden segment anew.
 */

#include "unit/store_fixture.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/hash.h"
#include "base/json.h"

#include "server/feature_log.c"

static store_fixture fixture;
static char folder[96];
static tfn_lookup *lookup;

static const char hash_a[] = "000102030405060708090a0b0c0d0e0f";
static const char hash_b[] = "f00102030405060708090a0b0c0d0e0f";

static tfn_log_wish wish_of(double sample_rate, const char *hash)
{
    tfn_log_wish wish = {.sample_rate = sample_rate, .service = "model"};
    memcpy(wish.hash, hash, sizeof wish.hash);
    return wish;
}

static int setup(void **state)
{
    static const char features[] =
        "{\"features\":[\"plane_facts:maker\",\"plane_facts:age\",\"plane_facts:delays\","
        "\"never_loaded:width\"]}";
    (void)state;
    store_setup(&fixture);
    store_open(&fixture, TFN_ONLINE_TTL_IGNORE);
    store_load_planes(&fixture);
    assert_ok(tfn_store_prepare(fixture.store, features, &lookup, err));
    (void)snprintf(folder, sizeof folder, "%s/logs", fixture.folder);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    tfn_lookup_destroy(lookup);
    store_teardown(&fixture);
    return 0;
}

static tfn_answer *answer_of(size_t n_rows)
{
    static const char *names[] = {"N14228", "N24211", "N619AA", "nobody"};
    tfn_value keys[64];
    tfn_answer *answer = NULL;
    assert_true(n_rows <= 32);
    for (size_t i = 0; i < n_rows; i++) {
        keys[2 * i] = text_value(names[i % 4]);
        keys[2 * i + 1] = (tfn_value){.kind = TFN_VALUE_INT64, .integer = (int64_t)i};
    }
    assert_ok(tfn_lookup_run(lookup, keys, n_rows, NULL, &answer, err));
    return answer;
}

static tfn_feature_log *open_log(int64_t queue_bytes)
{
    tfn_feature_log *log = NULL;
    assert_ok(tfn_feature_log_create(folder, queue_bytes, &log, err));
    return log;
}

static void note_one(tfn_feature_log *log, const tfn_log_wish *wish, size_t n_rows, int64_t time_us)
{
    tfn_answer *answer = answer_of(n_rows);
    tfn_feature_log_note(log, wish, answer, 0, time_us);
    tfn_answer_destroy(answer); /* the log reads it later */
}

/* The one file of the folder that ends so; "" when there is none. */
static size_t find_files(const char *suffix, char path[512])
{
    size_t n = 0;
    path[0] = '\0';
    DIR *opened = opendir(folder);
    assert_non_null(opened);
    for (const struct dirent *entry = readdir(opened); entry != NULL; entry = readdir(opened)) {
        if (tfn_str_ends_with(tfn_str_of(entry->d_name), suffix)) {
            (void)snprintf(path, 512, "%s/%.200s", folder, entry->d_name);
            n++;
        }
    }
    (void)closedir(opened);
    return n;
}

static size_t read_file(const char *path, char *bytes, size_t n_most)
{
    FILE *file = fopen(path, "re");
    assert_non_null(file);
    const size_t n = fread(bytes, 1, n_most, file);
    assert_true(n < n_most);
    (void)fclose(file);
    return n;
}

static uint64_t get64(const char *from)
{
    uint64_t value = 0;
    memcpy(&value, from, sizeof value);
    return value;
}

static uint32_t get32(const char *from)
{
    uint32_t value = 0;
    memcpy(&value, from, sizeof value);
    return value;
}

typedef struct frames {
    size_t n_schemas;
    size_t n_blocks;
    size_t n_answers;
    size_t n_rows;
    tfn_str schema; /* the last one */
} frames;

/* Every byte belongs to the head or to a frame whose checksum is right. */
static frames check_segment(const char *bytes, size_t n_bytes)
{
    frames found = {0};
    assert_true(n_bytes >= TFN__SEGMENT_HEAD_BYTES);
    assert_memory_equal(bytes, "TFNFLOG1", 8);
    assert_int_equal(get32(bytes + 8), 1);
    assert_int_equal(get32(bytes + 12), TFN__SEGMENT_HEAD_BYTES);
    assert_true(get64(bytes + 56) == tfn_hash64(bytes, 56));
    size_t at = TFN__SEGMENT_HEAD_BYTES;
    while (at < n_bytes) {
        const char *frame = bytes + at;
        const size_t n = (size_t)get64(frame + 16);
        assert_int_equal(n % 8, 0);
        assert_true(get64(frame) == tfn_hash64(frame + 8, 16 + n));
        if (get32(frame + 8) == TFN__FRAME_SCHEMA) {
            found.schema = (tfn_str){frame + TFN__FRAME_HEAD_BYTES, n};
            found.n_schemas++;
        } else {
            assert_int_equal(get32(frame + 8), TFN__FRAME_BLOCK);
            assert_true(get32(frame + 12) < found.n_schemas);
            found.n_blocks++;
            found.n_answers += get32(frame + TFN__FRAME_HEAD_BYTES);
            found.n_rows += get32(frame + TFN__FRAME_HEAD_BYTES + 4);
        }
        at += TFN__FRAME_HEAD_BYTES + n;
    }
    assert_int_equal(at, n_bytes);
    return found;
}

static void what_is_noted_is_in_a_closed_segment(void **state)
{
    (void)state;
    static char bytes[1 << 20];
    char path[512];
    tfn_feature_log *log = open_log(1 << 20);
    const tfn_log_wish wish = wish_of(1, hash_a);
    for (int64_t i = 0; i < 10; i++) {
        note_one(log, &wish, 3, i);
    }
    tfn_feature_log_destroy(log);
    assert_int_equal(find_files(".open", path), 0);
    assert_int_equal(find_files(".closed", path), 1);
    const frames found = check_segment(bytes, read_file(path, bytes, sizeof bytes));
    assert_int_equal(found.n_schemas, 1);
    assert_int_equal(found.n_answers, 10);
    assert_int_equal(found.n_rows, 30);
}

static void two_definitions_have_two_schemas(void **state)
{
    (void)state;
    static char bytes[1 << 20];
    char path[512];
    tfn_feature_log *log = open_log(1 << 20);
    const tfn_log_wish a = wish_of(1, hash_a);
    const tfn_log_wish b = wish_of(1, hash_b);
    note_one(log, &a, 1, 1);
    note_one(log, &b, 2, 2);
    note_one(log, &a, 3, 3);
    tfn_feature_log_destroy(log);
    assert_int_equal(find_files(".closed", path), 1);
    const frames found = check_segment(bytes, read_file(path, bytes, sizeof bytes));
    assert_int_equal(found.n_schemas, 2);
    assert_int_equal(found.n_answers, 3);
    assert_int_equal(found.n_rows, 6);
}

static void more_definitions_than_blocks_begin_anew(void **state)
{
    (void)state;
    static char bytes[1 << 20];
    char path[512];
    tfn_feature_log *log = open_log(1 << 20);
    for (int i = 0; i < N_BLOCKS + 3; i++) {
        tfn_log_wish wish = wish_of(1, hash_a);
        (void)snprintf(wish.hash, sizeof wish.hash, "%032x", (unsigned)i);
        note_one(log, &wish, 1, i);
    }
    tfn_feature_log_destroy(log);
    assert_int_equal(find_files(".closed", path), 2);
    const frames found = check_segment(bytes, read_file(path, bytes, sizeof bytes));
    assert_true(found.n_answers == 3 || found.n_answers == N_BLOCKS);
}

static void nothing_noted_makes_no_file(void **state)
{
    (void)state;
    char path[512];
    tfn_feature_log *log = open_log(1 << 20);
    const tfn_log_wish never = wish_of(0, hash_a);
    const tfn_log_wish half = wish_of(0.5, hash_a);
    tfn_answer *answer = answer_of(1);
    tfn_feature_log_note(log, &never, answer, 0, 1);
    tfn_feature_log_note(log, &half, answer, 0.5, 1);
    tfn_answer_destroy(answer);
    assert_int_equal(tfn_feature_log_get_dropped(log), 0);
    tfn_feature_log_destroy(log);
    assert_int_equal(find_files(".open", path), 0);
    assert_int_equal(find_files(".closed", path), 0);
}

static void what_does_not_fit_is_dropped_and_counted(void **state)
{
    (void)state;
    char path[512];
    tfn_feature_log *log = open_log(1);
    const tfn_log_wish wish = wish_of(1, hash_a);
    note_one(log, &wish, 1, 1);
    note_one(log, &wish, 1, 2);
    assert_int_equal(tfn_feature_log_get_dropped(log), 2);
    assert_int_equal(tfn_feature_log_get_written(log), 0);
    tfn_feature_log_destroy(log);
    assert_int_equal(find_files(".closed", path), 0);
}

static void a_folder_that_cannot_be_written_drops_and_counts(void **state)
{
    (void)state;
    tfn_feature_log *log = open_log(1 << 20);
    const tfn_log_wish wish = wish_of(1, hash_a);
    assert_int_equal(rmdir(folder), 0);
    note_one(log, &wish, 1, 1);
    note_one(log, &wish, 1, 2);
    while (tfn_feature_log_get_dropped(log) < 2) {
        const struct timespec soon = {.tv_nsec = 1000000};
        (void)nanosleep(&soon, NULL);
    }
    assert_int_equal(tfn_feature_log_get_written(log), 0);
    tfn_feature_log_destroy(log);
    assert_int_equal(mkdir(folder, 0700), 0);
}

static void settings_that_make_no_sense_are_refused(void **state)
{
    (void)state;
    tfn_feature_log *log = NULL;
    tfn_error err = {0};
    assert_int_equal(tfn_feature_log_create(folder, 0, &log, &err), TFN_INVALID);
    assert_int_equal(tfn_feature_log_create("/dev/null/logs", 1, &log, &err), TFN_IO);
    assert_non_null(strstr(err.message, "'/dev/null/logs' cannot be made"));
    assert_int_equal(tfn_feature_log_create("/dev/null", 1, &log, &err), TFN_IO);
    assert_null(log);
}

static void the_folders_above_are_made(void **state)
{
    (void)state;
    char nested[512];
    (void)snprintf(nested, sizeof nested, "%s/data/deep/logs", folder);
    for (int i = 0; i < 2; i++) { /* the second time they are there */
        tfn_feature_log *log = NULL;
        assert_ok(tfn_feature_log_create(nested, 1, &log, err));
        tfn_feature_log_destroy(log);
    }
    struct stat found;
    assert_int_equal(stat(nested, &found), 0);
    assert_true(S_ISDIR(found.st_mode));
}

static void wishes_are_what_services_say(void **state)
{
    (void)state;
    tfn_arena arena = {0};
    tfn_log_wish wish;
    tfn_error problem = {0};
    assert_ok(tfn_log_wish_read(fixture.store, "model", &arena, &wish, err));
    assert_true(wish.sample_rate == 0);
    store_define(&fixture,
                 "{\"objects\":[{\"kind\":\"feature_service\",\"name\":\"logged\",\"features\":[{"
                 "\"view\":\"plane_facts\"}],\"logging_config\":{\"destination\":{\"path\":\"l\"},"
                 "\"sample_rate_millionths\":250000}}]}");
    assert_ok(tfn_log_wish_read(fixture.store, "logged", &arena, &wish, err));
    assert_true(wish.sample_rate == 0.25);
    assert_string_equal(wish.service, "logged");
    assert_int_equal(strlen(wish.hash), 32);
    assert_int_equal(tfn_log_wish_read(fixture.store, "none", &arena, &wish, &problem),
                     TFN_NOT_FOUND);
    tfn_arena_deinit(&arena);
}

/* The frames of fixed answers; the head is another each time, but for what the golden file has. */
static void golden_bytes_do_not_change(void **state)
{
    (void)state;
    static char bytes[1 << 16];
    static char golden[1 << 16];
    char path[512];
    tfn_feature_log *log = open_log(1 << 20);
    const tfn_log_wish wish = wish_of(1, hash_a);
    tfn_answer *four = answer_of(4);
    tfn_answer *one = answer_of(1);
    /* Both at once, so that they are one block. */
    note *first = create_note(&wish, four, INT64_C(1356998700000000));
    note *second = create_note(&wish, one, INT64_C(1356998701000000));
    first->next = second;
    (void)pthread_mutex_lock(&log->lock);
    log->n_bytes = first->n_bytes + second->n_bytes;
    log->first = first;
    log->last = second;
    (void)pthread_cond_signal(&log->wake);
    (void)pthread_mutex_unlock(&log->lock);
    tfn_feature_log_destroy(log);
    tfn_answer_destroy(four);
    tfn_answer_destroy(one);
    assert_int_equal(find_files(".closed", path), 1);
    const size_t n = read_file(path, bytes, sizeof bytes);
    const frames found = check_segment(bytes, n);
    assert_int_equal(found.n_blocks, 1);
    const char *to = getenv("TFN_WRITE_GOLDEN");
    if (to != NULL) {
        FILE *file = fopen(to, "we");
        assert_non_null(file);
        assert_int_equal(fwrite(bytes, 1, n, file), n);
        (void)fclose(file);
    }
    char golden_path[512];
    const char *root = getenv("TIFFIN_SOURCE_ROOT");
    (void)snprintf(golden_path, sizeof golden_path, "%s/tests/golden/feature-log/v1.closed",
                   root != NULL ? root : ".");
    const size_t n_golden = read_file(golden_path, golden, sizeof golden);
    (void)check_segment(golden, n_golden);
    assert_int_equal(n, n_golden);
    assert_memory_equal(bytes + TFN__SEGMENT_HEAD_BYTES, golden + TFN__SEGMENT_HEAD_BYTES,
                        n - TFN__SEGMENT_HEAD_BYTES);
}

static void a_segment_of_a_dead_process_can_be_told_by_its_lock(void **state)
{
    (void)state;
    char path[512];
    assert_int_equal(mkdir(folder, 0700), 0);
    const pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        tfn__segment segment;
        tfn_error err = {0};
        _exit(tfn__segment_open(folder, 1, 0, &segment, &err) == TFN_OK ? 0 : 1);
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    assert_int_equal(find_files(".open", path), 1);
    int fd = open(path, O_RDONLY);
    assert_true(fd >= 0);
    assert_int_equal(flock(fd, LOCK_EX | LOCK_NB), 0);
    (void)close(fd);
    tfn__segment own;
    assert_ok(tfn__segment_open(folder, 2, 0, &own, err));
    fd = open(own.path, O_RDONLY);
    assert_int_equal(flock(fd, LOCK_EX | LOCK_NB), -1);
    (void)close(fd);
    assert_ok(tfn__segment_close(&own, err));
    assert_int_equal(find_files(".closed", path), 1);
}

enum { N_THREADS = 4, N_NOTES = 2000 };

static void *note_many(void *arg)
{
    const tfn_log_wish wish = wish_of(1, hash_a);
    const tfn_value keys[] = {text_value("N14228"), {.kind = TFN_VALUE_INT64}};
    for (int i = 0; i < N_NOTES; i++) {
        tfn_answer *answer = NULL;
        tfn_error err = {0};
        if (tfn_lookup_run(lookup, keys, 1, NULL, &answer, &err) != TFN_OK) {
            return arg;
        }
        tfn_feature_log_note(arg, &wish, answer, 0, i);
        tfn_answer_destroy(answer);
    }
    return NULL;
}

static void many_threads_note_and_all_is_written_or_counted(void **state)
{
    (void)state;
    static char bytes[1 << 22];
    char path[512];
    tfn_feature_log *log = open_log(1 << 20);
    pthread_t threads[N_THREADS];
    for (int i = 0; i < N_THREADS; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, note_many, log), 0);
    }
    for (int i = 0; i < N_THREADS; i++) {
        void *failed = NULL;
        assert_int_equal(pthread_join(threads[i], &failed), 0);
        assert_null(failed);
    }
    const uint64_t n_dropped = tfn_feature_log_get_dropped(log);
    tfn_feature_log_destroy(log);
    assert_int_equal(find_files(".closed", path), 1);
    const frames found = check_segment(bytes, read_file(path, bytes, sizeof bytes));
    assert_int_equal(found.n_answers + n_dropped, N_THREADS * N_NOTES);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define LOG_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        LOG_TEST(what_is_noted_is_in_a_closed_segment),
        LOG_TEST(two_definitions_have_two_schemas),
        LOG_TEST(more_definitions_than_blocks_begin_anew),
        LOG_TEST(nothing_noted_makes_no_file),
        LOG_TEST(what_does_not_fit_is_dropped_and_counted),
        LOG_TEST(a_folder_that_cannot_be_written_drops_and_counts),
        LOG_TEST(settings_that_make_no_sense_are_refused),
        LOG_TEST(the_folders_above_are_made),
        LOG_TEST(wishes_are_what_services_say),
        LOG_TEST(golden_bytes_do_not_change),
        LOG_TEST(a_segment_of_a_dead_process_can_be_told_by_its_lock),
        LOG_TEST(many_threads_note_and_all_is_written_or_counted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
