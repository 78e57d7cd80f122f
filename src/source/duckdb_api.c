/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

/*
 * Loading DuckDB: one dlopen, one dlsym per function.
 *
 * RTLD_LOCAL, because DuckDB exports tens of thousands of C++ names that would otherwise stand in
 * for somebody else's; never dlclose, because its threads may still run. If the process has the
 * library already (the Python package), dlopen gives that same copy.
 */

#include "source/duckdb_api.h"

#include <dlfcn.h>
#include <string.h>

#include "base/str.h"

#include "base/poison.h"

#define WHAT_TO_INSTALL                                                                            \
    "install it with `pip install 'duckdb>=1.4'`, or set TIFFIN_DUCKDB_LIBRARY to the path of a "  \
    "libduckdb.so"

/* dlsym returns an object pointer; ISO C copies it into a function pointer byte by byte. */
static bool look_up(void *handle, const char *name, void *function, size_t n_bytes)
{
    void *symbol = dlsym(handle, name);
    memcpy(function, &symbol, n_bytes);
    return symbol != NULL;
}

/* NOLINTNEXTLINE(readability-function-size) - one statement per symbol, all from one table */
tfn_code tfn__duck_api_load(const char *library, duck_api *out, tfn_error *err)
{
    *out = (duck_api){0};
    void *handle = dlopen(library, RTLD_NOW | RTLD_LOCAL);
    if (handle == NULL) {
        return TFN_FAIL(
            err, TFN_UNSUPPORTED,
            "reading files needs DuckDB, and '%s' could not be loaded; " WHAT_TO_INSTALL, library);
    }
    if (!look_up(handle, "duckdb_library_version", &out->do_library_version,
                 sizeof out->do_library_version)) {
        return TFN_FAIL(err, TFN_UNSUPPORTED, "'%s' is not DuckDB; " WHAT_TO_INSTALL, library);
    }
    const char *missing = NULL;
#define DUCK_LOOK_UP(result, name, arguments)                                                      \
    if (!look_up(handle, "duckdb_" #name, &out->do_##name, sizeof out->do_##name)) {               \
        missing = "duckdb_" #name;                                                                 \
    }
    DUCK_FUNCTIONS(DUCK_LOOK_UP)
#undef DUCK_LOOK_UP
    if (missing != NULL) {
        return TFN_FAIL(err, TFN_UNSUPPORTED,
                        "DuckDB at '%s' (version %s) lacks %s; Tiffin needs duckdb >= 1.4", library,
                        out->do_library_version(), missing);
    }
    return TFN_OK;
}
