/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */
#ifndef TFN_SOURCE_DUCKDB_API_H
#define TFN_SOURCE_DUCKDB_API_H

/*
 * The part of DuckDB's C API that Tiffin uses, declared by hand and looked up at run time.
 *
 * All of it is in the stable v1 API: equal in signature, layout and meaning from 1.4 to 2.0.
 * Handles are opaque pointers; only duckdb_result, duckdb_string_t and duckdb_list_entry have a
 * layout that we know (the last two are read by column/).
 */

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

typedef struct duck_database_ *duck_database;
typedef struct duck_connection_ *duck_connection;
typedef struct duck_config_ *duck_config;
typedef struct duck_prepared_ *duck_prepared;
typedef struct duck_pending_ *duck_pending;
typedef struct duck_function_ *duck_function;
typedef struct duck_info_ *duck_info;
typedef struct duck_type_ *duck_type;
typedef struct duck_chunk_ *duck_chunk;
typedef struct duck_vector_ *duck_vector;

typedef struct duck_result {
    uint64_t deprecated_column_count;
    uint64_t deprecated_row_count;
    uint64_t deprecated_rows_changed;
    void *deprecated_columns;
    char *deprecated_error_message;
    void *internal_data;
} duck_result;
_Static_assert(sizeof(duck_result) == 48, "passed by value to duckdb_fetch_chunk");

typedef void (*duck_kernel)(duck_info info, duck_chunk input, duck_vector output);

enum { DUCK_SUCCESS = 0, DUCK_ERROR = 1 };

/* duckdb_pending_state */
enum {
    DUCK_RESULT_READY = 0,
    DUCK_RESULT_NOT_READY = 1,
    DUCK_PENDING_ERROR = 2,
    DUCK_NO_TASKS_AVAILABLE = 3
};

/* duckdb_type: those that Tiffin reads, and those that it names to DuckDB */
enum {
    DUCK_TYPE_BIGINT = 5,
    DUCK_TYPE_LIST = 24,
    DUCK_TYPE_ARRAY = 33,
    DUCK_TYPE_ANY = 34,
    DUCK_TYPE_SQLNULL = 36
};

/* X(result, name without "duckdb_", arguments) */
#define DUCK_FUNCTIONS(X)                                                                          \
    X(int, create_config, (duck_config * out))                                                     \
    X(int, set_config, (duck_config config, const char *name, const char *option))                 \
    X(void, destroy_config, (duck_config * config))                                                \
    X(int, open_ext, (const char *path, duck_database *out, duck_config config, char **out_error)) \
    X(int, connect, (duck_database database, duck_connection * out))                               \
    X(void, disconnect, (duck_connection * connection))                                            \
    X(void, interrupt, (duck_connection connection))                                               \
    X(void, free, (void *p))                                                                       \
    X(void, destroy_result, (duck_result * result))                                                \
    X(const char *, result_error, (duck_result * result))                                          \
    X(duck_chunk, fetch_chunk, (duck_result result))                                               \
    X(int, prepare, (duck_connection connection, const char *query, duck_prepared *out))           \
    X(const char *, prepare_error, (duck_prepared prepared))                                       \
    X(void, destroy_prepare, (duck_prepared * prepared))                                           \
    X(int, pending_prepared, (duck_prepared prepared, duck_pending * out))                         \
    X(void, destroy_pending, (duck_pending * pending))                                             \
    X(const char *, pending_error, (duck_pending pending))                                         \
    X(int, pending_execute_task, (duck_pending pending))                                           \
    X(bool, pending_execution_is_finished, (int state))                                            \
    X(int, execute_pending, (duck_pending pending, duck_result * out))                             \
    X(duck_function, create_scalar_function, (void))                                               \
    X(void, destroy_scalar_function, (duck_function * function))                                   \
    X(void, scalar_function_set_name, (duck_function function, const char *name))                  \
    X(void, scalar_function_set_varargs, (duck_function function, duck_type type))                 \
    X(void, scalar_function_set_return_type, (duck_function function, duck_type type))             \
    X(void, scalar_function_set_special_handling, (duck_function function))                        \
    X(void, scalar_function_set_volatile, (duck_function function))                                \
    X(void, scalar_function_set_function, (duck_function function, duck_kernel kernel))            \
    X(void, scalar_function_set_error, (duck_info info, const char *error))                        \
    X(int, register_scalar_function, (duck_connection connection, duck_function function))         \
    X(duck_type, create_logical_type, (int type))                                                  \
    X(void, destroy_logical_type, (duck_type * type))                                              \
    X(int, get_type_id, (duck_type type))                                                          \
    X(duck_type, list_type_child_type, (duck_type type))                                           \
    X(duck_type, array_type_child_type, (duck_type type))                                          \
    X(uint64_t, array_type_array_size, (duck_type type))                                           \
    X(uint64_t, vector_size, (void))                                                               \
    X(uint64_t, data_chunk_get_size, (duck_chunk chunk))                                           \
    X(uint64_t, data_chunk_get_column_count, (duck_chunk chunk))                                   \
    X(duck_vector, data_chunk_get_vector, (duck_chunk chunk, uint64_t i_column))                   \
    X(void, destroy_data_chunk, (duck_chunk * chunk))                                              \
    X(duck_type, vector_get_column_type, (duck_vector vector))                                     \
    X(void *, vector_get_data, (duck_vector vector))                                               \
    X(uint64_t *, vector_get_validity, (duck_vector vector))                                       \
    X(duck_vector, list_vector_get_child, (duck_vector vector))                                    \
    X(uint64_t, list_vector_get_size, (duck_vector vector))                                        \
    X(duck_vector, array_vector_get_child, (duck_vector vector))

/* `free` is poisoned, and DuckDB's own is meant here: members are named do_<name>. */
typedef struct duck_api {
    const char *(*do_library_version)(void);
/* NOLINTNEXTLINE(bugprone-macro-parentheses) - types and parameter lists take none */
#define DUCK_MEMBER(result, name, arguments) result(*do_##name) arguments;
    DUCK_FUNCTIONS(DUCK_MEMBER)
#undef DUCK_MEMBER
} duck_api;

/**
 * Load a library and look every function up. It stays loaded until the process ends.
 *
 * Threads  any
 * Errors   TFN_UNSUPPORTED not there, no DuckDB, or one that is too old: says what to install
 */
TFN_NODISCARD tfn_code tfn__duck_api_load(const char *library, duck_api *out, tfn_error *err);

#endif
