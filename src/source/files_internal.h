/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */
#ifndef TFN_SOURCE_FILES_INTERNAL_H
#define TFN_SOURCE_FILES_INTERNAL_H

/* A source of files, as schema.c, csv.c and json.c make it and scan.c and explain.c read it. */

#include "column/vec.h"
#include "source/duckdb.h"
#include "source/file_list.h"
#include "source/source_internal.h"

/* What DuckDB calls a column of the same index in base.columns. */
typedef struct tfn__sql_column {
    tfn_str name; /* differs from ours where names differ only in case */
    tfn_str type; /* DuckDB's word */
    bool is_hive; /* from folder names */
} tfn__sql_column;

/* How a CSV is written, as found in the first file. */
typedef struct tfn__csv_dialect {
    tfn_str delimiter;
    tfn_str quote;
    tfn_str escape;
    tfn_str date_format;
    tfn_str time_format;
    tfn_str n_skipped; /* lines before the header, as digits */
} tfn__csv_dialect;

typedef struct tfn__files {
    tfn_source base;
    tfn_duckdb *duckdb; /* [borrow until the source is destroyed] */
    tfn__file_list list;
    tfn__sql_column *sql_columns;
    tfn__csv_dialect csv;
    int64_t n_rows;   /* of all files; -1 = not known yet */
    tfn_str path;     /* objects: "s3://bucket/key"; empty: local files */
    tfn_str endpoint; /* objects: of this source alone; empty: that of the settings */
} tfn__files;

/** DuckDB and a connection that can read the files of a source, until tfn__files_end. Errors as
 * tfn_source_of_files. */
TFN_NODISCARD tfn_code tfn__files_begin(const tfn__files *f, tfn__duck **duck,
                                        duck_connection *connection, tfn_error *err);
void tfn__files_end(const tfn__files *f, tfn__duck *duck, duck_connection *connection);

/** Errors TFN_IO a file changed since the source was opened: names it. */
TFN_NODISCARD tfn_code tfn__files_check(const tfn__files *f, tfn__duck *duck,
                                        duck_connection connection, tfn_error *err);

/* A DuckDB type that Tiffin reads. */
typedef struct tfn__duck_type {
    const char *name;
    const char *literal; /* printf format that makes a time bound of this type, or NULL */
    int id;              /* duckdb_type */
    tfn_number number;   /* FIXED layouts */
    tfn_type type;
} tfn__duck_type;

/** By DuckDB's id, or by its word ("BIGINT"); NULL when Tiffin does not have it. */
const tfn__duck_type *tfn__duck_type_find(int id);
const tfn__duck_type *tfn__duck_type_find_name(tfn_str name);

/** The type that a DuckDB word reads as, lists included; kind NONE when there is none. */
tfn_type tfn__duck_type_read(tfn_str name);

/**
 * How vectors like this one lie in memory; the pointers are filled in per chunk.
 *
 * @param child  [borrow as long as out] used when it is a list
 *
 * Errors   TFN_SCHEMA a type that Tiffin does not have
 */
TFN_NODISCARD tfn_code tfn__duck_vec_init(const duck_api *api, duck_vector v, tfn_vec *out,
                                          tfn_vec *child, tfn_error *err);

/** Point an initialised vector (and its child) at the n rows of a chunk's vector. */
void tfn__duck_vec_fill(const duck_api *api, duck_vector v, int64_t n, tfn_vec *out,
                        tfn_vec *child);

/** Columns of Parquet (schema.c), CSV (csv.c) or JSON files (json.c) into base.columns and sql_columns. Errors as
 * tfn_source_of_files. */
TFN_NODISCARD tfn_code tfn__parquet_read_columns(tfn__files *f, tfn__duck *duck,
                                                 duck_connection connection, tfn_error *err);
TFN_NODISCARD tfn_code tfn__csv_read_columns(tfn__files *f, tfn__duck *duck,
                                             duck_connection connection, tfn_error *err);

TFN_NODISCARD tfn_code tfn__json_read_columns(tfn__files *f, tfn__duck *duck,
                                              duck_connection connection, tfn_error *err);

/** Add a column to the table (room for `n_columns` is made by tfn__files_reserve). */
TFN_NODISCARD tfn_code tfn__files_reserve(tfn__files *f, size_t n_columns, tfn_error *err);
TFN_NODISCARD tfn_code tfn__files_add_column(tfn__files *f, tfn_str name, tfn_str sql_name,
                                             tfn_str sql_type, tfn_error *err);

/** "['a', 'b']" of the files begin .. begin + n - 1, or of the indexes in `chosen` if not NULL. */
TFN_NODISCARD tfn_code tfn__sql_add_files(tfn_buf *sql, const tfn__files *f, const uint32_t *chosen,
                                          size_t begin, size_t n, tfn_error *err);

/** "read_csv([...], ...)" of one file or all (i_file < 0), every column with the type of `types`.
 */
TFN_NODISCARD tfn_code tfn__csv_add_reader(tfn_buf *sql, const tfn__files *f, const tfn_str *types,
                                           tfn_error *err);

/** DuckDB's word for a declared type in a CSV, or an empty text for a type that text cannot be. */
tfn_str tfn__csv_type_of(tfn_type declared);

/* What was being read when it failed, and whether to go on looking. */
typedef struct tfn__damage_hint {
    const size_t *indexes; /* [borrow] columns */
    size_t n_indexes;
    bool (*wants_stop)(void *context);
    void *stop_context;
} tfn__damage_hint;

/**
 * After a scan that failed with `rc`: find the row group of a Parquet file that cannot be decoded, and
 * put it in front of the message. Nothing is added when there is none.
 *
 * @return  TFN_CORRUPT when it was found, else rc
 */
tfn_code tfn__files_locate_damage(const tfn__files *f, tfn__duck *duck, duck_connection connection,
                                  const tfn__damage_hint *hint, tfn_code rc, tfn_error *err);

/** Scan and explain (scan.c, explain.c). */
TFN_NODISCARD tfn_code tfn__files_scan(tfn_source *s, const tfn_scan *scan, tfn_scan_stats *stats,
                                       tfn_error *err);
TFN_NODISCARD tfn_code tfn__files_explain(tfn_source *s, const tfn_scan *scan, tfn_buf *out,
                                          tfn_error *err);

/** Count the rows of all Parquet files from their footers, once. */
TFN_NODISCARD tfn_code tfn__files_count_rows(tfn__files *f, tfn__duck *duck,
                                             duck_connection connection, tfn_error *err);

/* Positions: file in the list, then row. */
enum { TFN__ROW_BITS = 40 };

/** Add an expression: the SQL text `text` as a value of DuckDB's `type`, null when it is none.
 * Errors TFN_NO_MEMORY. */
TFN_NODISCARD tfn_code tfn__sql_add_cast(tfn_buf *sql, tfn_str text, tfn_str type, tfn_error *err);

/* What a scan asks of DuckDB: arguments of the kernel are run id, row number, file index if there
 * is one, the columns, then the texts of those that are cast. */
typedef struct tfn__scan_sql {
    tfn_buf text;
    const uint32_t *chosen; /* file that DuckDB's file_index i stands for; NULL = i itself */
    size_t n_chosen;
    bool has_file_index;
    const size_t *casts; /* CSV, JSON: scan columns that are text parsed as their declared types */
    size_t n_casts;
} tfn__scan_sql;

/**
 * Build the statement of a scan.
 *
 * @param indexes  [borrow] of the columns
 * @param arena    what `out` borrows from
 * @param out      [out] zeroed before; the caller ends `text` with tfn_buf_deinit
 */
TFN_NODISCARD tfn_code tfn__scan_sql_build(const tfn__files *f, const tfn_scan *scan,
                                           const size_t *indexes, int run_id, tfn_arena *arena,
                                           tfn__scan_sql *out, tfn_error *err);

/** The same of JSON files (json.c). */
TFN_NODISCARD tfn_code tfn__json_build_scan(const tfn__files *f, const tfn_scan *scan,
                                            const size_t *indexes, int run_id, tfn_arena *arena,
                                            tfn__scan_sql *out, tfn_error *err);

/** Add "t >= .. AND t <= .." in the column's own type; adds nothing when no bound can be used. */
TFN_NODISCARD tfn_code tfn__sql_add_time_bounds(tfn_buf *sql, const tfn__files *f,
                                                const tfn_scan *scan, size_t i_column,
                                                tfn_error *err);

#endif
