/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

/* Arrow streams and frames as sources: every row once, at its position, by any number of threads.
 */

#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "base/mem.h"
#include "column/column.h"
#include "column/frame.h"
#include "source/files.h"
#include "source/source.h"

enum { MAX_ROWS = 20000, MAX_WORKERS = 16 };

/* ---- streams to read ---- */

static tfn_column *make_column(tfn_type type, int64_t n, int64_t step, int64_t null_every)
{
    tfn_builder *b = NULL;
    tfn_column *column = NULL;
    assert_int_equal(tfn_builder_create(type, n, &b, NULL), TFN_OK);
    for (int64_t i = 0; i < n; i++) {
        const bool is_null = null_every > 0 && i % null_every == 0;
        const tfn_cell cell = {.is_null = is_null, .bits = (uint64_t)(i * step)};
        assert_int_equal(tfn_builder_add(b, &cell, NULL), TFN_OK);
    }
    assert_int_equal(tfn_builder_finish(&b, &column, NULL), TFN_OK);
    return column;
}

/* Columns `id` (0, 1, ...) and `t` (timestamps in ms, every 3rd null), in batches. */
static void make_stream(int64_t n, int64_t batch_rows, struct ArrowArrayStream *out)
{
    tfn_column *columns[2] = {
        make_column((tfn_type){.kind = TFN_KIND_INT64}, n, 1, 0),
        make_column((tfn_type){.kind = TFN_KIND_TIMESTAMP, .unit = TFN_UNIT_MS}, n, 1000, 3)};
    const tfn_str names[2] = {tfn_str_of("id"), tfn_str_of("t")};
    assert_int_equal(tfn_columns_export(names, columns, 2, n, batch_rows, out, NULL), TFN_OK);
    tfn_column_release(columns[0]);
    tfn_column_release(columns[1]);
}

static tfn_source *open_stream(int64_t n, int64_t batch_rows)
{
    struct ArrowArrayStream stream = {0};
    tfn_source *s = NULL;
    make_stream(n, batch_rows, &stream);
    assert_int_equal(tfn_source_of_stream(&stream, tfn_str_of("the frame"), &s, NULL), TFN_OK);
    assert_null(stream.release);
    return s;
}

static tfn_source *open_frame(int64_t n, int64_t batch_rows)
{
    struct ArrowArrayStream stream = {0};
    tfn_frame *frame = NULL;
    tfn_source *s = NULL;
    make_stream(n, batch_rows, &stream);
    assert_int_equal(tfn_frame_read(&stream, &frame, NULL), TFN_OK);
    assert_int_equal(tfn_source_of_frame(frame, tfn_str_of("the frame"), &s, NULL), TFN_OK);
    tfn_frame_release(frame);
    return s;
}

/* ---- a consumer ---- */

typedef struct seen {
    _Atomic int n_times[MAX_ROWS];
    _Atomic int is_busy[MAX_WORKERS];
    _Atomic int64_t n_chunks;
    _Atomic int n_wrong;
    int64_t fail_at; /* chunk at which to fail; 0 = never */
    long pause_ns;
    int n_ticks;
    int stop_at_tick; /* 0 = never */
} seen;

static tfn_code look(void *context, int worker, const tfn_chunk *chunk, tfn_error *err)
{
    seen *s = context;
    s->n_wrong += atomic_exchange(&s->is_busy[worker], 1) != 0;
    s->n_wrong += chunk->n < 1 || chunk->n > 2048;
    const int64_t i_chunk = atomic_fetch_add(&s->n_chunks, 1) + 1;
    if (s->pause_ns > 0) {
        const struct timespec pause = {.tv_nsec = s->pause_ns};
        (void)nanosleep(&pause, NULL);
    }
    for (int64_t i = 0; i < chunk->n; i++) {
        const uint64_t position = tfn_chunk_position(chunk, i);
        s->n_wrong += tfn_vec_get_int(&chunk->cols[0], i) != (int64_t)position;
        atomic_fetch_add(&s->n_times[position % MAX_ROWS], 1);
    }
    atomic_store(&s->is_busy[worker], 0);
    if (s->fail_at > 0 && i_chunk >= s->fail_at) {
        return tfn_error_set(err, TFN_CORRUPT, 0, __FILE__, __LINE__, "chunk %d is bad", 1);
    }
    return TFN_OK;
}

static int count_tick(void *context, const tfn_progress *progress)
{
    seen *s = context;
    s->n_wrong += progress->rows_done < 0 || strcmp(progress->what, "reading") != 0;
    return ++s->n_ticks == s->stop_at_tick;
}

static seen *make_seen(void)
{
    void *memory = NULL;
    assert_int_equal(tfn_mem_alloc_array(1, sizeof(seen), &memory, NULL), TFN_OK);
    return memory;
}

static tfn_code scan_ids(tfn_source *source, seen *s, int n_threads, tfn_scan_stats *stats,
                         tfn_error *err)
{
    const tfn_str names[] = {tfn_str_of("id"), tfn_str_of("t"), tfn_str_of("id")};
    const tfn_scan scan = {.columns = names,
                           .n_columns = 3,
                           .i_time = -1,
                           .n_threads = n_threads,
                           .what = "reading",
                           .consume = look,
                           .context = s,
                           .tick = count_tick,
                           .tick_context = s};
    return tfn_source_scan(source, &scan, stats, err);
}

static void expect_each_once(const seen *s, int64_t n)
{
    assert_int_equal(s->n_wrong, 0);
    for (int64_t i = 0; i < n; i++) {
        assert_int_equal(s->n_times[i], 1);
    }
}

/* ---- tests ---- */

static void every_row_comes_once_at_its_position(void **state)
{
    (void)state;
    const int64_t batch_rows[] = {0, 1, 100, 2048, 5000};
    const int n_threads[] = {1, 2, 7};
    for (size_t i = 0; i < 5; i++) {
        for (size_t k = 0; k < 3; k++) {
            const int64_t n = batch_rows[i] == 1 ? 500 : MAX_ROWS;
            tfn_source *source = open_stream(n, batch_rows[i]);
            seen *s = make_seen();
            tfn_scan_stats stats;
            assert_int_equal(scan_ids(source, s, n_threads[k], &stats, NULL), TFN_OK);
            expect_each_once(s, n);
            assert_int_equal(stats.n_rows, n);
            tfn_mem_free(s);
            tfn_source_destroy(source);
        }
    }
}

static void a_frame_can_be_scanned_again_and_a_stream_cannot(void **state)
{
    (void)state;
    tfn_source *frame = open_frame(3000, 1000);
    tfn_source *stream = open_stream(3000, 1000);
    assert_true(tfn_source_can_rescan(frame));
    assert_false(tfn_source_can_rescan(stream));
    for (int i = 0; i < 2; i++) {
        seen *s = make_seen();
        tfn_error err = {0};
        assert_int_equal(scan_ids(frame, s, 2, NULL, NULL), TFN_OK);
        expect_each_once(s, 3000);
        const tfn_code rc = scan_ids(stream, s, 2, NULL, &err);
        assert_int_equal(rc, i == 0 ? TFN_OK : TFN_INVALID);
        assert_true(i == 0 || strstr(err.message, "read only once") != NULL);
        tfn_mem_free(s);
    }
    tfn_source_destroy(frame);
    tfn_source_destroy(stream);
}

static void a_source_without_rows_is_no_error(void **state)
{
    (void)state;
    tfn_source *source = open_stream(0, 0);
    seen *s = make_seen();
    assert_int_equal(scan_ids(source, s, 3, NULL, NULL), TFN_OK);
    assert_int_equal(s->n_chunks, 0);
    tfn_mem_free(s);
    tfn_source_destroy(source);
}

static void an_error_of_the_consumer_stops_all_workers(void **state)
{
    (void)state;
    tfn_source *source = open_stream(MAX_ROWS, 10);
    seen *s = make_seen();
    tfn_error err = {0};
    s->fail_at = 5;
    assert_int_equal(scan_ids(source, s, 4, NULL, &err), TFN_CORRUPT);
    assert_string_equal(err.message, "chunk 1 is bad");
    assert_true(s->n_chunks < 5 + 4 + 1);
    tfn_mem_free(s);
    tfn_source_destroy(source);
}

static void a_tick_that_says_stop_ends_the_scan(void **state)
{
    (void)state;
    tfn_source *source = open_stream(MAX_ROWS, 10);
    seen *s = make_seen();
    tfn_error err = {0};
    s->pause_ns = 1000000;
    s->stop_at_tick = 2;
    assert_int_equal(scan_ids(source, s, 2, NULL, &err), TFN_CANCELLED);
    assert_string_equal(err.message, "reading was stopped");
    assert_int_equal(s->n_ticks, 2);
    assert_true(s->n_chunks < 2000);
    tfn_mem_free(s);
    tfn_source_destroy(source);
}

/* A producer that fails behind its first batch. */
typedef struct failing {
    struct ArrowArrayStream inner;
    int n_given;
} failing;

static int failing_schema(struct ArrowArrayStream *stream, struct ArrowSchema *out)
{
    failing *f = stream->private_data;
    return f->inner.get_schema(&f->inner, out);
}

static int failing_next(struct ArrowArrayStream *stream, struct ArrowArray *out)
{
    failing *f = stream->private_data;
    return f->n_given++ == 0 ? f->inner.get_next(&f->inner, out) : EIO;
}

static const char *failing_error(struct ArrowArrayStream *stream)
{
    (void)stream;
    return "the tape is torn";
}

static void failing_release(struct ArrowArrayStream *stream)
{
    failing *f = stream->private_data;
    f->inner.release(&f->inner);
    stream->release = NULL;
}

static void an_error_of_the_producer_comes_with_its_text(void **state)
{
    (void)state;
    failing f = {0};
    make_stream(1000, 100, &f.inner);
    struct ArrowArrayStream stream = {.get_schema = failing_schema,
                                      .get_next = failing_next,
                                      .get_last_error = failing_error,
                                      .release = failing_release,
                                      .private_data = &f};
    tfn_source *source = NULL;
    tfn_error err = {0};
    seen *s = make_seen();
    assert_int_equal(tfn_source_of_stream(&stream, tfn_str_of("the frame"), &source, NULL), TFN_OK);
    assert_int_equal(scan_ids(source, s, 3, NULL, &err), TFN_IO);
    assert_non_null(strstr(err.message, "the tape is torn"));
    assert_int_equal(f.n_given, 2);
    tfn_mem_free(s);
    tfn_source_destroy(source);
}

static void expect_refused(const char *column, tfn_type type, int64_t i_time, const char *sentence)
{
    tfn_source *source = open_frame(10, 0);
    const tfn_str name = tfn_str_of(column);
    tfn_error err = {0};
    const tfn_scan scan = {
        .columns = &name, .n_columns = 1, .types = &type, .i_time = i_time, .consume = look};
    assert_int_equal(tfn_source_scan(source, &scan, NULL, &err), TFN_SCHEMA);
    assert_string_equal(err.message, sentence);
    tfn_source_destroy(source);
}

static void a_missing_or_mistyped_column_is_named(void **state)
{
    (void)state;
    expect_refused("nope", (tfn_type){0}, -1, "the frame: there is no column 'nope'; found id, t");
    expect_refused("id", (tfn_type){.kind = TFN_KIND_STRING}, -1,
                   "the frame: column 'id': expected string, found int64");
    expect_refused("id", (tfn_type){0}, 0,
                   "the frame: column 'id': expected timestamp, found int64");
}

static void equal_names_are_refused_only_when_they_are_used(void **state)
{
    (void)state;
    tfn_column *columns[3] = {make_column((tfn_type){.kind = TFN_KIND_INT64}, 5, 1, 0), NULL, NULL};
    columns[1] = columns[0];
    columns[2] = columns[0];
    const tfn_str names[3] = {tfn_str_of("a"), tfn_str_of("b"), tfn_str_of("a")};
    struct ArrowArrayStream stream = {0};
    tfn_source *source = NULL;
    tfn_error err = {0};
    seen *s = make_seen();
    assert_int_equal(tfn_columns_export(names, columns, 3, 5, 0, &stream, NULL), TFN_OK);
    tfn_column_release(columns[0]);
    assert_int_equal(tfn_source_of_stream(&stream, tfn_str_of("the frame"), &source, NULL), TFN_OK);
    const tfn_scan bad = {
        .columns = names, .n_columns = 1, .i_time = -1, .consume = look, .context = s};
    assert_int_equal(tfn_source_scan(source, &bad, NULL, &err), TFN_INVALID);
    assert_string_equal(err.message, "the frame: columns 1 and 3 are both named 'a'");
    tfn_mem_free(s);
    tfn_source_destroy(source);
}

static void the_time_range_leaves_nulls_out(void **state)
{
    (void)state;
    tfn_source *source = open_frame(5000, 100);
    bool is_empty = true;
    tfn_instant first;
    tfn_instant last;
    assert_int_equal(
        tfn_source_get_time_range(source, tfn_str_of("t"), &is_empty, &first, &last, NULL), TFN_OK);
    assert_false(is_empty);
    assert_int_equal(first.seconds, 1);
    assert_int_equal(last.seconds, 4999);
    tfn_source_destroy(source);
    source = open_frame(1, 0);
    assert_int_equal(
        tfn_source_get_time_range(source, tfn_str_of("t"), &is_empty, &first, &last, NULL), TFN_OK);
    assert_true(is_empty);
    tfn_source_destroy(source);
}

static void explain_tells_rows_columns_and_bounds(void **state)
{
    (void)state;
    tfn_source *source = open_frame(10, 0);
    const tfn_str name = tfn_str_of("t");
    const tfn_scan scan = {
        .columns = &name, .n_columns = 1, .i_time = 0, .has_time_min = true, .time_min = {5, 0}};
    tfn_buf out = {0};
    assert_int_equal(tfn_source_explain(source, &scan, &out, NULL), TFN_OK);
    assert_string_equal(out.p,
                        "{\"source\":\"the frame\",\"reader\":\"frame\",\"files\":0,\"rows\":10,"
                        "\"columns\":[\"t\"],\"predicate\":\"t >= 1970-01-01T00:00:05Z\"}");
    tfn_buf_deinit(&out);
    tfn_source_destroy(source);
}

/* One batch of a dictionary column, made by hand: words[indexes[i]]. */
static void release_schema(struct ArrowSchema *s)
{
    s->release = NULL;
}

static void release_array(struct ArrowArray *a)
{
    a->release = NULL;
}

typedef struct word_stream {
    struct ArrowSchema words_schema, column_schema, schema;
    struct ArrowSchema *schema_children[1];
    struct ArrowArray words, column, array;
    struct ArrowArray *array_children[1];
    const void *words_buffers[3];
    const void *column_buffers[2];
    const void *array_buffers[1];
    bool is_given;
} word_stream;

static int words_schema(struct ArrowArrayStream *stream, struct ArrowSchema *out)
{
    *out = ((word_stream *)stream->private_data)->schema;
    return 0;
}

static int words_next(struct ArrowArrayStream *stream, struct ArrowArray *out)
{
    word_stream *w = stream->private_data;
    if (w->is_given) {
        out->release = NULL;
        return 0;
    }
    *out = w->array;
    w->is_given = true;
    return 0;
}

static void words_release(struct ArrowArrayStream *stream)
{
    stream->release = NULL;
}

static tfn_code read_words(void *context, int worker, const tfn_chunk *chunk, tfn_error *err)
{
    (void)worker;
    (void)err;
    char *text = context;
    for (int64_t i = 0; i < chunk->n; i++) {
        const tfn_str word = tfn_vec_get_str(&chunk->cols[0], i);
        (void)strncat(text, word.p, word.n);
    }
    return TFN_OK;
}

static void dictionary_columns_read_as_their_values(void **state)
{
    (void)state;
    static const int32_t offsets[] = {0, 3, 5};
    static const int32_t indexes[] = {1, 0, 1};
    word_stream w = {.words_buffers = {NULL, offsets, "onetw"}, .column_buffers = {NULL, indexes}};
    w.words_schema = (struct ArrowSchema){.format = "u", .name = "", .release = release_schema};
    w.column_schema = (struct ArrowSchema){
        .format = "i", .name = "word", .dictionary = &w.words_schema, .release = release_schema};
    w.schema_children[0] = &w.column_schema;
    w.schema = (struct ArrowSchema){.format = "+s",
                                    .name = "",
                                    .n_children = 1,
                                    .children = w.schema_children,
                                    .release = release_schema};
    w.words = (struct ArrowArray){
        .length = 2, .n_buffers = 3, .buffers = w.words_buffers, .release = release_array};
    w.column = (struct ArrowArray){.length = 3,
                                   .n_buffers = 2,
                                   .buffers = w.column_buffers,
                                   .dictionary = &w.words,
                                   .release = release_array};
    w.array_children[0] = &w.column;
    w.array = (struct ArrowArray){.length = 3,
                                  .n_buffers = 1,
                                  .n_children = 1,
                                  .buffers = w.array_buffers,
                                  .children = w.array_children,
                                  .release = release_array};
    struct ArrowArrayStream stream = {.get_schema = words_schema,
                                      .get_next = words_next,
                                      .get_last_error = failing_error,
                                      .release = words_release,
                                      .private_data = &w};
    tfn_source *source = NULL;
    char text[32] = "";
    assert_int_equal(tfn_source_of_stream(&stream, tfn_str_of("words"), &source, NULL), TFN_OK);
    const tfn_str name = tfn_str_of("word");
    const tfn_type type = {.kind = TFN_KIND_STRING};
    const tfn_scan scan = {.columns = &name,
                           .n_columns = 1,
                           .types = &type,
                           .i_time = -1,
                           .n_threads = 1,
                           .consume = read_words,
                           .context = text};
    assert_int_equal(tfn_source_scan(source, &scan, NULL, NULL), TFN_OK);
    assert_string_equal(text, "twonetw");
    tfn_source_destroy(source);
}

static void without_duckdb_files_say_what_to_install(void **state)
{
    (void)state;
    tfn_duckdb *duckdb = NULL;
    const char *version = NULL;
    tfn_error err = {0};
    assert_int_equal(tfn_duckdb_create("/nowhere/libduckdb.so", 0, 1, &duckdb, NULL), TFN_OK);
    assert_int_equal(tfn_duckdb_get_version(duckdb, &version, &err), TFN_UNSUPPORTED);
    assert_non_null(strstr(err.message, "pip install 'duckdb>=1.4'"));
    tfn_duckdb_destroy(duckdb);
}

static void expect_no_file(const char *path, const char *base, tfn_code code, const char *part)
{
    tfn_duckdb *duckdb = NULL;
    tfn_source *source = NULL;
    tfn_error err = {0};
    assert_int_equal(tfn_duckdb_create("/nowhere/libduckdb.so", 0, 1, &duckdb, NULL), TFN_OK);
    assert_int_equal(
        tfn_source_of_files(duckdb, base, tfn_str_of(path), TFN_FORMAT_AUTO, &source, &err), code);
    assert_null(source);
    assert_non_null(strstr(err.message, part));
    tfn_duckdb_destroy(duckdb);
}

static void paths_are_checked_before_duckdb_is_loaded(void **state)
{
    (void)state;
    expect_no_file("x.parquet", "/nowhere", TFN_IO, "'/nowhere/x.parquet'");
    expect_no_file("*.parquet", "/nowhere", TFN_IO, "'/nowhere/*.parquet'");
    expect_no_file("gs://bucket/x.parquet", NULL, TFN_UNSUPPORTED, "gs://");
    expect_no_file("s3://bucket", NULL, TFN_INVALID, "'s3://bucket' must be");
    expect_no_file("s3://buck*t/x.parquet", NULL, TFN_INVALID, "s3://bucket/");
    expect_no_file("s3://bucket/x.parquet", NULL, TFN_UNSUPPORTED, "pip install");
    expect_no_file("/dev/null", NULL, TFN_IO, "neither a file nor a folder");
    expect_no_file("", NULL, TFN_INVALID, "empty");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_row_comes_once_at_its_position),
        cmocka_unit_test(a_frame_can_be_scanned_again_and_a_stream_cannot),
        cmocka_unit_test(a_source_without_rows_is_no_error),
        cmocka_unit_test(an_error_of_the_consumer_stops_all_workers),
        cmocka_unit_test(a_tick_that_says_stop_ends_the_scan),
        cmocka_unit_test(an_error_of_the_producer_comes_with_its_text),
        cmocka_unit_test(a_missing_or_mistyped_column_is_named),
        cmocka_unit_test(equal_names_are_refused_only_when_they_are_used),
        cmocka_unit_test(the_time_range_leaves_nulls_out),
        cmocka_unit_test(explain_tells_rows_columns_and_bounds),
        cmocka_unit_test(dictionary_columns_read_as_their_values),
        cmocka_unit_test(without_duckdb_files_say_what_to_install),
        cmocka_unit_test(paths_are_checked_before_duckdb_is_loaded),
    };
    return cmocka_run_group_tests_name("source/stream", tests, NULL, NULL);
}
