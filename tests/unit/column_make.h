/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */
#ifndef TFN_TESTS_COLUMN_MAKE_H
#define TFN_TESTS_COLUMN_MAKE_H

/*
 * What the tests of column/ share: cmocka in the right order, and a make_col as vector. Include it
 * first, before the .c file under test.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/mem.h"
#include "column/column.h"
#include "column/frame.h"
#include "column/key.h"
#include "column/vec.h"
#include "unit/arrow_make.h"

/* One column as a vector, with everything that the vector needs. */
typedef struct made_vec {
    struct ArrowSchema schema;
    struct ArrowArray array;
    tfn_arena arena;
    tfn_vec vec;
} made_vec;

#define assert_text(text, part) assert_non_null(strstr((text), (part)))
#define assert_ok(expr, err)                                                                       \
    do {                                                                                           \
        if ((expr) != TFN_OK) {                                                                    \
            fail_msg("%s: %s", #expr, (err).message);                                              \
        }                                                                                          \
    } while (0)

MAKE_UNUSED static tfn_code make_vec_or_error(const make_col *col, int64_t n, made_vec *out,
                                              tfn_error *err)
{
    memset(out, 0, sizeof *out);
    make_schema(col, &out->schema);
    make_array(col, 0, n, &out->array);
    return tfn_vec_of_arrow(&out->schema, &out->array, tfn_str_of("c"), &out->arena, &out->vec,
                            err);
}

MAKE_UNUSED static const tfn_vec *make_vec(const make_col *col, int64_t n, made_vec *out)
{
    tfn_error err = {0};
    assert_ok(make_vec_or_error(col, n, out, &err), err);
    return &out->vec;
}

MAKE_UNUSED static void end_vec(made_vec *made)
{
    made->schema.release(&made->schema);
    made->array.release(&made->array);
    tfn_arena_deinit(&made->arena);
}

#endif
