/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

/*
 * Fingerprints of files: size, time, and a checksum of as much as can be afforded.
 *
 * A text file, or a Parquet file of up to 64 MiB, is read whole: XXH3 is faster than any disk, and
 * the file was read for the training set a moment ago. Of a larger Parquet file the footer is
 * hashed. It holds schema, row counts, statistics and the offset and size of every page, so hardly
 * any rewrite leaves it as it was; but it could, which is why a later time of change is kept beside
 * it and told ("touched"). The rule is in docs/formats/saved-dataset.md section 4.
 *
 * Rejected: time of change alone (a copy or a checkout changes it and nothing else); hashing all
 * of a large lake (hours).
 */

#include "source/fingerprint.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "source/file_list.h"

#include "base/poison.h"

enum { BLOCK_BYTES = 1024 * 1024, TAIL_BYTES = 8 /* length of the footer, "PAR1" */ };

static const char *const words[] = {"nothing", "content", "footer", "etag"};

const char *tfn_checksum_of_name(tfn_checksum_of of)
{
    return words[of];
}

tfn_checksum_of tfn_checksum_of_parse(tfn_str word)
{
    for (int i = TFN_CHECKSUM_OF_CONTENT; i <= TFN_CHECKSUM_OF_ETAG; i++) {
        if (tfn_str_is(word, words[i])) {
            return (tfn_checksum_of)i;
        }
    }
    return TFN_CHECKSUM_OF_NOTHING;
}

static tfn_code ask_to_go_on(const tfn_fingerprint_opts *opts, const char *path, tfn_error *err)
{
    const tfn_progress progress = {.what = "hashing files", .rows_done = 0, .rows_total = -1};
    if (opts->tick != NULL && opts->tick(opts->tick_context, &progress) != 0) {
        return TFN_FAIL(err, TFN_CANCELLED, "stopped while '%s' was hashed", path);
    }
    return TFN_OK;
}

/* Bytes first .. of an open file, up to its size. */
static tfn_code hash_range(int fd, const tfn_fingerprint_opts *opts, int64_t first,
                           tfn_fingerprint *f, tfn_error *err)
{
    void *block = NULL;
    tfn_hasher hasher;
    tfn_hasher_begin(&hasher);
    TFN_RETURN_IF_ERROR(tfn_mem_alloc_uninit(BLOCK_BYTES, 1, &block, err));
    tfn_code rc = TFN_OK;
    for (int64_t at = first; at < f->n_bytes && rc == TFN_OK;) {
        TFN_GOTO_IF_ERROR(rc, ask_to_go_on(opts, f->path.p, err), done);
        const int64_t n_left = f->n_bytes - at;
        const ssize_t n =
            pread(fd, block, (size_t)(n_left < BLOCK_BYTES ? n_left : BLOCK_BYTES), (off_t)at);
        if (n < 0) {
            rc = TFN_FAIL_SYS(err, errno, "'%s' cannot be read", f->path.p);
        } else if (n == 0) {
            rc = TFN_FAIL(err, TFN_IO, "'%s' became shorter while it was read", f->path.p);
        } else {
            tfn_hasher_add(&hasher, block, (size_t)n);
            at += n;
        }
    }
    f->checksum = tfn_hasher_end(&hasher);
done:
    tfn_mem_free(block);
    return rc;
}

/* Where the footer of a Parquet file begins. */
static tfn_code find_footer(int fd, const tfn_fingerprint *f, int64_t *first, tfn_error *err)
{
    unsigned char tail[TAIL_BYTES] = {0};
    const bool is_read =
        f->n_bytes > TAIL_BYTES &&
        pread(fd, tail, sizeof tail, (off_t)(f->n_bytes - TAIL_BYTES)) == (ssize_t)sizeof tail;
    const uint32_t n_footer = (uint32_t)tail[0] | (uint32_t)tail[1] << 8 | (uint32_t)tail[2] << 16 |
                              (uint32_t)tail[3] << 24;
    *first = f->n_bytes - TAIL_BYTES - (int64_t)n_footer;
    if (!is_read || memcmp(tail + 4, "PAR1", 4) != 0 || *first < 0) {
        return TFN_FAIL(err, TFN_IO, "'%s' does not end as a Parquet file does", f->path.p);
    }
    return TFN_OK;
}

static tfn_code hash_open_file(int fd, const tfn_fingerprint_opts *opts, tfn_fingerprint *f,
                               tfn_error *err)
{
    struct stat st;
    int64_t first = 0;
    if (fstat(fd, &st) != 0) {
        return TFN_FAIL_SYS(err, errno, "'%s' cannot be read", f->path.p);
    }
    f->n_bytes = (int64_t)st.st_size;
    f->modified = (tfn_instant){(int64_t)st.st_mtim.tv_sec, (int32_t)st.st_mtim.tv_nsec};
    if (f->checksum_of == TFN_CHECKSUM_OF_NOTHING) {
        return TFN_OK;
    }
    if (f->checksum_of == TFN_CHECKSUM_OF_FOOTER) {
        TFN_RETURN_IF_ERROR(find_footer(fd, f, &first, err));
    }
    return hash_range(fd, opts, first, f, err);
}

tfn_code tfn_file_fingerprint(const char *path, tfn_checksum_of of,
                              const tfn_fingerprint_opts *opts, tfn_fingerprint *out,
                              tfn_error *err)
{
    *out = (tfn_fingerprint){.path = tfn_str_of(path), .checksum_of = of};
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 && (errno == ENOENT || errno == ENOTDIR)) {
        return TFN_FAIL(err, TFN_NOT_FOUND, "there is no file '%s'", path);
    }
    if (fd < 0) {
        return TFN_FAIL_SYS(err, errno, "'%s' cannot be opened", path);
    }
    const tfn_code rc = hash_open_file(fd, opts, out, err);
    (void)close(fd);
    return rc;
}

static tfn_checksum_of choose(const tfn__file_list *list, const tfn__file *file,
                              tfn_fingerprint_depth depth)
{
    if (depth == TFN_FINGERPRINT_NAMES) {
        return TFN_CHECKSUM_OF_NOTHING;
    }
    const bool is_large_parquet =
        list->format == TFN_FORMAT_PARQUET && file->identity.size > TFN_FINGERPRINT_CONTENT_BYTES;
    return depth == TFN_FINGERPRINT_USUAL && is_large_parquet ? TFN_CHECKSUM_OF_FOOTER
                                                              : TFN_CHECKSUM_OF_CONTENT;
}

static tfn_code fingerprint_list(const tfn__file_list *list, const tfn_fingerprint_opts *opts,
                                 tfn_arena *arena, tfn_fingerprint **out, tfn_error *err)
{
    void *p = NULL;
    TFN_RETURN_IF_ERROR(tfn_arena_alloc_zero(arena, list->n_files + 1, sizeof **out, &p, err));
    *out = p;
    for (size_t i = 0; i < list->n_files; i++) {
        const tfn__file *file = &list->files[i];
        const char *path = NULL;
        TFN_RETURN_IF_ERROR(tfn_arena_copy(arena, file->path.p, file->path.n, &path, err));
        const tfn_code rc =
            tfn_file_fingerprint(path, choose(list, file, opts->depth), opts, &(*out)[i], err);
        if (rc == TFN_NOT_FOUND) { /* listed a moment ago: it vanished */
            TFN_RETURN_IF_ERROR(tfn__file_list_check(list, err));
        }
        TFN_RETURN_IF_ERROR(rc);
    }
    return tfn__file_list_check(list, err);
}

static tfn_code refuse_remote(tfn_str path, tfn_error *err)
{
    if (!tfn_path_is_remote(path)) {
        return TFN_OK;
    }
    return TFN_FAIL(err, TFN_UNSUPPORTED, "'%.*s' is not a path of local files", TFN_STR_ARG(path));
}

tfn_code tfn_files_fingerprint(const char *base_path, tfn_str path, tfn_format format,
                               const tfn_fingerprint_opts *opts, tfn_arena *arena,
                               tfn_fingerprint **out, size_t *n_out, tfn_error *err)
{
    tfn__file_list list = {0};
    *out = NULL;
    *n_out = 0;
    TFN_RETURN_IF_ERROR(refuse_remote(path, err));
    tfn_code rc = tfn__file_list_init(&list, base_path, path, format, err);
    if (rc == TFN_OK) {
        rc = fingerprint_list(&list, opts, arena, out, err);
    }
    if (rc == TFN_OK) {
        *n_out = list.n_files;
    }
    tfn__file_list_deinit(&list);
    return rc;
}
