/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

/*
 * Fingerprints of objects on S3: size, time of the last change, and the ETag, hashed.
 *
 * The server makes the ETag when an object is written, so it is known without reading a byte of the
 * object, and it differs whenever the content does. The other way round is not promised: the same
 * bytes uploaded in parts of another size, or encrypted, have another ETag. So an object may be told
 * as changed that is not, never the other way.
 *
 * An object whose ETag is not known has no fingerprint: its size and the second of its last change
 * would not tell two contents apart.
 */

#include "source/fingerprint.h"

#include "source/files_internal.h"
#include "source/remote.h"

#include "base/poison.h"

bool tfn_path_is_remote(tfn_str path)
{
    tfn_str scheme = {0};
    return tfn__path_get_scheme(path, &scheme) && !tfn_str_is(scheme, "file");
}

static tfn_instant instant_of_ns(int64_t ns)
{
    return (tfn_instant){ns / 1000000000, (int32_t)(ns % 1000000000)};
}

static tfn_code take_print(const tfn__file *file, tfn_fingerprint_depth depth, tfn_arena *arena,
                           tfn_fingerprint *out, tfn_error *err)
{
    const char *path = NULL;
    if (depth != TFN_FINGERPRINT_NAMES && !file->identity.has_etag) {
        return TFN_FAIL(err, TFN_UNSUPPORTED,
                        "'%s': its ETag, by which a saved dataset knows an object again, is not "
                        "told by the server or by this DuckDB; copy the objects to a local folder",
                        file->path.p);
    }
    TFN_RETURN_IF_ERROR(tfn_arena_copy(arena, file->path.p, file->path.n, &path, err));
    *out = (tfn_fingerprint){.path = {path, file->path.n},
                             .n_bytes = file->identity.size,
                             .modified = instant_of_ns(file->identity.mtime_ns)};
    if (depth != TFN_FINGERPRINT_NAMES) {
        out->checksum_of = TFN_CHECKSUM_OF_ETAG;
        out->checksum = file->identity.etag;
    }
    return TFN_OK;
}

static tfn_code take_prints(const tfn__file_list *list, tfn_fingerprint_depth depth,
                            tfn_arena *arena, tfn_fingerprint **out, tfn_error *err)
{
    void *p = NULL;
    TFN_RETURN_IF_ERROR(tfn_arena_alloc_zero(arena, list->n_files + 1, sizeof **out, &p, err));
    tfn_fingerprint *prints = p;
    for (size_t i = 0; i < list->n_files; i++) {
        TFN_RETURN_IF_ERROR(take_print(&list->files[i], depth, arena, &prints[i], err));
    }
    *out = prints;
    return TFN_OK;
}

static tfn_code list_objects(tfn__files *f, tfn_error *err)
{
    tfn__duck *duck = NULL;
    duck_connection connection = NULL;
    TFN_RETURN_IF_ERROR(tfn__files_begin(f, &duck, &connection, err));
    const tfn_code rc = tfn__remote_list_init(&f->list, duck, connection, f->path, err);
    tfn__files_end(f, duck, &connection);
    return rc;
}

tfn_code tfn_objects_fingerprint(tfn_duckdb *d, tfn_str path, tfn_format format,
                                 tfn_str s3_endpoint, const tfn_fingerprint_opts *opts,
                                 tfn_arena *arena, tfn_fingerprint **out, size_t *n_out,
                                 tfn_error *err)
{
    tfn_buf full = {0};
    tfn_code rc = TFN_OK;
    tfn__files f = {.duckdb = d, .endpoint = s3_endpoint, .list = {.format = format}};
    *out = NULL;
    *n_out = 0;
    TFN_GOTO_IF_ERROR(rc, tfn__s3_add_path(&full, path, err), done);
    f.path = tfn_buf_get_str(&full);
    TFN_GOTO_IF_ERROR(rc, list_objects(&f, err), done);
    TFN_GOTO_IF_ERROR(rc, take_prints(&f.list, opts->depth, arena, out, err), done);
    *n_out = f.list.n_files;
done:
    tfn__file_list_deinit(&f.list);
    tfn_buf_deinit(&full);
    return rc;
}
