/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

/*
 * From a path to a list of files.
 *
 *      path -> (a file | a folder, walked | a glob, matched name by name) -> sort by bytes ->
 * identity
 *
 * A glob is matched one path segment at a time: `**` stands for any number of folders, every other
 * segment is fnmatch(3)'s. A path that exists is never taken for a glob. A folder that a glob
 * matches is walked like a folder that was named.
 *
 * In folders and globs, names that begin with '.' or '_' are skipped (unless the segment asks for
 * them), because writers keep unfinished files and markers under such names; and only files with
 * the format's extension are taken, except that a glob with a stated format takes what it matches.
 *
 * Positions depend on the order: bytes of the path, so the same on every machine.
 */

#include "source/file_list.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/limits.h"
#include "base/mem.h"

#include "base/poison.h"

enum { MAX_DEPTH = 64, MAX_PATH_BYTES = 64 * 1024 };

typedef struct walk {
    tfn__file_list *list;
    bool takes_any_name;                 /* a glob with a stated format */
    size_t n_found[TFN_FORMAT_JSON + 1]; /* by format */
} walk;

/* ---- names ---- */

static bool has_any_tail(tfn_str name, const char *const *tails)
{
    for (size_t i = 0; tails[i] != NULL; i++) {
        const size_t n = strlen(tails[i]);
        if (name.n >= n && strncasecmp(name.p + name.n - n, tails[i], n) == 0) {
            return true;
        }
    }
    return false;
}

tfn_format tfn__format_of_name(tfn_str name)
{
    static const char *const parquet[] = {".parquet", ".pq", ".parq", NULL};
    static const char *const csv[] = {".csv", ".csv.gz", NULL};
    static const char *const json[] = {".json",      ".ndjson",   ".jsonl", ".json.gz",
                                       ".ndjson.gz", ".jsonl.gz", NULL};
    if (has_any_tail(name, parquet)) {
        return TFN_FORMAT_PARQUET;
    }
    if (has_any_tail(name, json)) {
        return TFN_FORMAT_JSON;
    }
    return has_any_tail(name, csv) ? TFN_FORMAT_CSV : TFN_FORMAT_AUTO;
}

const char *tfn__format_get_name(tfn_format format)
{
    static const char *const names[] = {[TFN_FORMAT_AUTO] = "",
                                        [TFN_FORMAT_PARQUET] = "parquet",
                                        [TFN_FORMAT_CSV] = "csv",
                                        [TFN_FORMAT_JSON] = "json"};
    return names[format];
}

static const char *word_of(tfn_format format)
{
    static const char *const words[] = {
        [TFN_FORMAT_AUTO] = "Parquet, CSV or JSON",
        [TFN_FORMAT_PARQUET] = "Parquet (.parquet, .pq)",
        [TFN_FORMAT_CSV] = "CSV (.csv, .csv.gz)",
        [TFN_FORMAT_JSON] = "newline JSON (.json, .ndjson, .jsonl, and .gz of them)"};
    return words[format];
}

static bool is_hidden(const char *name)
{
    return name[0] == '.' || name[0] == '_';
}

/* ---- collecting ---- */

static tfn_code add_file(walk *w, const char *path, const struct stat *st, tfn_error *err)
{
    tfn__file_list *list = w->list;
    if (list->n_files >= TFN_MAX_FILES) {
        return TFN_FAIL(err, TFN_LIMIT, "more than %d files in one source", TFN_MAX_FILES);
    }
    const char *copy = NULL;
    TFN_RETURN_IF_ERROR(tfn_arena_copy(&list->arena, path, strlen(path), &copy, err));
    void *files = list->files;
    const tfn_code rc =
        tfn_mem_grow(&files, &list->capacity, list->n_files + 1, sizeof(tfn__file), err);
    list->files = files;
    if (rc != TFN_OK) {
        return rc;
    }
    list->files[list->n_files++] = (tfn__file){
        .path = tfn_str_of(copy),
        .identity = {.size = (int64_t)st->st_size,
                     .mtime_ns = (int64_t)st->st_mtim.tv_sec * 1000000000 + st->st_mtim.tv_nsec,
                     .device = (uint64_t)st->st_dev,
                     .inode = (uint64_t)st->st_ino}};
    return TFN_OK;
}

/* A file found in a folder or by a glob: taken if its name says that it is of the format. */
static tfn_code consider_file(walk *w, const char *path, const struct stat *st, tfn_error *err)
{
    const tfn_format found = tfn__format_of_name(tfn_str_of(path));
    w->n_found[found]++;
    const bool is_wanted =
        w->list->format == TFN_FORMAT_AUTO ? found != TFN_FORMAT_AUTO : found == w->list->format;
    return is_wanted || w->takes_any_name ? add_file(w, path, st, err) : TFN_OK;
}

static tfn_code walk_entry(walk *w, tfn_buf *path, const char *segments, int depth, tfn_error *err);

/* Call walk_entry for each name in the folder that `segment` (NULL = any) matches; `path` is as
 * before on return. */
static tfn_code walk_names(walk *w, tfn_buf *path, DIR *folder, const char *segment,
                           const char *rest, int depth, tfn_error *err)
{
    const size_t n = path->n;
    for (const struct dirent *entry = readdir(folder); entry != NULL; entry = readdir(folder)) {
        const char *name = entry->d_name;
        const bool asks_hidden = segment != NULL && is_hidden(segment);
        if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0 ||
            (is_hidden(name) && !asks_hidden)) {
            continue;
        }
        if (segment != NULL && fnmatch(segment, name, 0) != 0) {
            continue;
        }
        tfn_code rc =
            tfn_buf_add_format(path, err, "%s%s", n > 0 && path->p[n - 1] == '/' ? "" : "/", name);
        if (rc == TFN_OK) {
            rc = walk_entry(w, path, rest, depth + 1, err);
        }
        path->n = n;
        path->p[n] = '\0';
        TFN_RETURN_IF_ERROR(rc);
    }
    return TFN_OK;
}

static tfn_code walk_folder(walk *w, tfn_buf *path, const char *segment, const char *rest,
                            int depth, tfn_error *err)
{
    if (depth > MAX_DEPTH) {
        return TFN_FAIL(err, TFN_LIMIT, "'%s': more than %d folders inside each other", path->p,
                        MAX_DEPTH);
    }
    DIR *folder = opendir(path->p);
    if (folder == NULL) {
        return TFN_FAIL_SYS(err, errno, "'%s' cannot be listed", path->p);
    }
    const tfn_code rc = walk_names(w, path, folder, segment, rest, depth, err);
    (void)closedir(folder);
    return rc;
}

/* Match what stands at `path` against the remaining segments; NULL = everything below. */
static tfn_code walk_entry(walk *w, tfn_buf *path, const char *segments, int depth, tfn_error *err)
{
    struct stat st;
    if (stat(path->p, &st) != 0) {
        return errno == ENOENT ? TFN_OK : TFN_FAIL_SYS(err, errno, "'%s' cannot be read", path->p);
    }
    const bool is_folder = S_ISDIR(st.st_mode);
    if (segments == NULL || segments[0] == '\0') {
        return is_folder             ? walk_folder(w, path, NULL, NULL, depth, err)
               : S_ISREG(st.st_mode) ? consider_file(w, path->p, &st, err)
                                     : TFN_OK;
    }
    if (!is_folder) {
        return TFN_OK;
    }
    const char *slash = strchr(segments, '/');
    const size_t n = slash != NULL ? (size_t)(slash - segments) : strlen(segments);
    const char *rest = slash != NULL ? slash + 1 : "";
    if (n == 2 && memcmp(segments, "**", 2) == 0) {
        if (rest[0] != '\0') {
            TFN_RETURN_IF_ERROR(walk_entry(w, path, rest, depth, err));
        }
        return walk_folder(w, path, NULL, rest[0] != '\0' ? segments : "", depth, err);
    }
    char *segment = NULL;
    TFN_RETURN_IF_ERROR(tfn_mem_copy_bytes(segments, n, &segment, err));
    const tfn_code rc = walk_folder(w, path, segment, rest, depth, err);
    tfn_mem_free(segment);
    return rc;
}

/* ---- order, duplicates, format ---- */

static int compare_files(const void *a, const void *b)
{
    return tfn_str_compare(((const tfn__file *)a)->path, ((const tfn__file *)b)->path);
}

void tfn__file_list_sort(tfn__file_list *list)
{
    if (list->n_files < 2) {
        return;
    }
    qsort(list->files, list->n_files, sizeof(tfn__file), compare_files);
    size_t n = 1;
    for (size_t i = 1; i < list->n_files; i++) {
        if (!tfn_str_equal(list->files[i].path, list->files[n - 1].path)) {
            list->files[n++] = list->files[i];
        }
    }
    list->n_files = n;
}

tfn_code tfn__file_list_settle(tfn__file_list *list, const size_t *n_found, const char *path,
                               bool is_glob, tfn_error *err)
{
    if (list->n_files == 0) {
        return TFN_FAIL(err, TFN_IO, "%s '%s' no file of format %s was found%s",
                        is_glob ? "for the pattern" : "in the folder", path, word_of(list->format),
                        is_glob ? "" : " (names that begin with '.' or '_' are skipped)");
    }
    if (list->format != TFN_FORMAT_AUTO) {
        return TFN_OK;
    }
    int n_formats = 0;
    for (int i = TFN_FORMAT_PARQUET; i <= TFN_FORMAT_JSON; i++) {
        n_formats += n_found[i] > 0 ? 1 : 0;
        list->format = n_found[i] > 0 ? (tfn_format)i : list->format;
    }
    if (n_formats > 1) {
        return TFN_FAIL(err, TFN_INVALID,
                        "'%s' holds %zu Parquet, %zu CSV and %zu JSON files; say which with "
                        "file_format= or a pattern",
                        path, n_found[TFN_FORMAT_PARQUET], n_found[TFN_FORMAT_CSV],
                        n_found[TFN_FORMAT_JSON]);
    }
    return TFN_OK;
}

/* ---- Hive folders ---- */

/* The key of the next folder `key=value` at or after *at; false when there is none. */
static bool next_hive_key(tfn_str path, size_t *at, tfn_str *key)
{
    while (*at < path.n) {
        const char *begin = path.p + *at;
        const char *slash = memchr(begin, '/', path.n - *at);
        if (slash == NULL) {
            return false; /* the file's own name */
        }
        *at = (size_t)(slash - path.p) + 1;
        const char *equal = memchr(begin, '=', (size_t)(slash - begin));
        if (equal != NULL && equal > begin) {
            *key = (tfn_str){begin, (size_t)(equal - begin)};
            return true;
        }
    }
    return false;
}

static size_t count_hive(const tfn__file_list *list, tfn_str path)
{
    size_t n = 0;
    size_t at = list->root_bytes;
    tfn_str key;
    while (next_hive_key(path, &at, &key)) {
        n++;
    }
    return n;
}

tfn_code tfn__file_list_find_hive(tfn__file_list *list, tfn_error *err)
{
    const tfn_str first = list->files[0].path;
    const size_t n = count_hive(list, first);
    void *names = NULL;
    TFN_RETURN_IF_ERROR(tfn_arena_alloc(&list->arena, n + 1, sizeof(tfn_str), &names, err));
    list->hive_names = names;
    list->n_hive = n;
    size_t at = list->root_bytes;
    for (size_t i = 0; i < n; i++) {
        (void)next_hive_key(first, &at, &list->hive_names[i]);
    }
    for (size_t i_file = 1; i_file < list->n_files; i_file++) {
        const tfn_str path = list->files[i_file].path;
        at = list->root_bytes;
        bool is_same = count_hive(list, path) == n;
        for (size_t i = 0; is_same && i < n; i++) {
            tfn_str key = {0};
            is_same = next_hive_key(path, &at, &key) && tfn_str_equal(key, list->hive_names[i]);
        }
        if (!is_same) {
            return TFN_FAIL(err, TFN_SCHEMA,
                            "'%s' and '%s' do not lie in folders of the same keys (key=value)",
                            first.p, path.p);
        }
    }
    return TFN_OK;
}

/* ---- the files themselves ---- */

static tfn_code check_magic(const tfn__file *file, int fd, tfn_error *err)
{
    char head[4] = {0};
    char tail[8] = {0};
    const int64_t size = file->identity.size;
    const ssize_t n_head = pread(fd, head, sizeof head, 0);
    if (n_head != (ssize_t)sizeof head || memcmp(head, "PAR", 3) != 0) {
        return TFN_FAIL(err, TFN_IO, "'%s' is not a Parquet file", file->path.p);
    }
    if (memcmp(head, "PARE", 4) == 0) {
        return TFN_FAIL(err, TFN_UNSUPPORTED, "'%s' is an encrypted Parquet file", file->path.p);
    }
    const bool has_tail =
        size >= 12 && pread(fd, tail, sizeof tail, (off_t)(size - 8)) == (ssize_t)sizeof tail;
    const uint32_t n_footer =
        (uint32_t)(unsigned char)tail[0] | (uint32_t)(unsigned char)tail[1] << 8 |
        (uint32_t)(unsigned char)tail[2] << 16 | (uint32_t)(unsigned char)tail[3] << 24;
    if (!has_tail || memcmp(tail + 4, "PAR1", 4) != 0 || (int64_t)n_footer + 12 > size) {
        return TFN_FAIL(err, TFN_IO,
                        "'%s' is cut short: %lld bytes, which do not end as a Parquet file does",
                        file->path.p, (long long)size);
    }
    return TFN_OK;
}

static tfn_code check_file(const tfn__file *file, tfn_format format, tfn_error *err)
{
    if (file->identity.size == 0) {
        return TFN_FAIL(err, TFN_IO, "'%s' is empty (0 bytes)", file->path.p);
    }
    const int fd = open(file->path.p, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return TFN_FAIL_SYS(err, errno, "'%s' cannot be opened", file->path.p);
    }
    const tfn_code rc = format == TFN_FORMAT_PARQUET ? check_magic(file, fd, err) : TFN_OK;
    (void)close(fd);
    return rc;
}

static tfn_code check_files(tfn__file_list *list, tfn_error *err)
{
    for (size_t i = 0; i < list->n_files; i++) {
        TFN_RETURN_IF_ERROR(check_file(&list->files[i], list->format, err));
        list->n_bytes += list->files[i].identity.size;
    }
    return TFN_OK;
}

/* ---- one path ---- */

static size_t find_glob(const char *path)
{
    return strcspn(path, "*?[");
}

static tfn_code list_one(walk *w, const char *path, const struct stat *st, tfn_error *err)
{
    if (!S_ISREG(st->st_mode)) {
        return TFN_FAIL(err, TFN_IO, "'%s' is neither a file nor a folder", path);
    }
    if (w->list->format == TFN_FORMAT_AUTO) {
        w->list->format = tfn__format_of_name(tfn_str_of(path));
    }
    if (w->list->format == TFN_FORMAT_AUTO) {
        return TFN_FAIL(
            err, TFN_INVALID,
            "the format of '%s' cannot be told from its name; expected .parquet, .pq, .csv, "
            ".json, .ndjson or .jsonl, or a stated file_format",
            path);
    }
    w->list->root_bytes = strlen(path);
    return add_file(w, path, st, err);
}

static tfn_code list_glob(walk *w, tfn_buf *path, tfn_error *err)
{
    size_t n_root = find_glob(path->p);
    while (n_root > 0 && path->p[n_root - 1] != '/') {
        n_root--;
    }
    char *segments = NULL;
    TFN_RETURN_IF_ERROR(tfn_mem_copy_text(path->p + n_root, &segments, err));
    tfn_buf root = {0};
    tfn_code rc = tfn_buf_add(&root, n_root > 0 ? path->p : ".", n_root > 0 ? n_root : 1, err);
    w->list->root_bytes = n_root;
    w->takes_any_name = w->list->format != TFN_FORMAT_AUTO;
    if (rc == TFN_OK) {
        rc = walk_entry(w, &root, segments, 0, err);
    }
    tfn_buf_deinit(&root);
    tfn_mem_free(segments);
    return rc;
}

static tfn_code list_path(walk *w, tfn_buf *path, tfn_error *err)
{
    struct stat st;
    if (stat(path->p, &st) != 0) {
        const int status = errno;
        if (path->p[find_glob(path->p)] == '\0') {
            return TFN_FAIL_SYS(err, status, "'%s' cannot be read", path->p);
        }
        TFN_RETURN_IF_ERROR(list_glob(w, path, err));
        return tfn__file_list_settle(w->list, w->n_found, path->p, true, err);
    }
    if (!S_ISDIR(st.st_mode)) {
        return list_one(w, path->p, &st, err);
    }
    while (path->n > 1 && path->p[path->n - 1] == '/') {
        path->p[--path->n] = '\0';
    }
    w->list->root_bytes = path->n;
    TFN_RETURN_IF_ERROR(walk_folder(w, path, NULL, NULL, 0, err));
    return tfn__file_list_settle(w->list, w->n_found, path->p, false, err);
}

/* The path as it will be opened: absolute, so that a message says where was looked. */
static tfn_code make_absolute(tfn_buf *out, const char *base_path, tfn_str path, tfn_error *err)
{
    char *cwd = NULL;
    tfn_buf_init(out, MAX_PATH_BYTES);
    const bool is_absolute = path.n > 0 && path.p[0] == '/';
    const bool has_base = base_path != NULL && base_path[0] != '\0';
    if (!is_absolute && !(has_base && base_path[0] == '/')) {
        char here[4096];
        cwd = getcwd(here, sizeof here);
        TFN_RETURN_IF_ERROR(tfn_buf_add_format(out, err, "%s/", cwd != NULL ? cwd : "."));
    }
    if (!is_absolute && has_base) {
        TFN_RETURN_IF_ERROR(tfn_buf_add_format(out, err, "%s/", base_path));
    }
    return tfn_buf_add_str(out, path, err);
}

tfn_code tfn__file_list_init(tfn__file_list *list, const char *base_path, tfn_str path,
                             tfn_format format, tfn_error *err)
{
    *list = (tfn__file_list){.format = format};
    if (tfn_str_starts_with(path, "file://")) {
        path = (tfn_str){path.p + 7, path.n - 7};
    }
    if (path.n == 0 || memchr(path.p, '\0', path.n) != NULL) {
        return TFN_FAIL(err, TFN_INVALID, "the path of a source is empty or holds a zero byte");
    }
    walk w = {.list = list};
    tfn_buf full = {0};
    tfn_code rc = TFN_OK;
    TFN_GOTO_IF_ERROR(rc, make_absolute(&full, base_path, path, err), done);
    TFN_GOTO_IF_ERROR(rc, list_path(&w, &full, err), done);
    tfn__file_list_sort(list);
    TFN_GOTO_IF_ERROR(rc, tfn__file_list_find_hive(list, err), done);
    TFN_GOTO_IF_ERROR(rc, check_files(list, err), done);
done:
    tfn_buf_deinit(&full);
    return rc;
}

void tfn__file_list_deinit(tfn__file_list *list)
{
    tfn_mem_free(list->files);
    tfn_arena_deinit(&list->arena);
    list->files = NULL;
    list->n_files = 0;
}

tfn_code tfn__file_list_check(const tfn__file_list *list, tfn_error *err)
{
    for (size_t i = 0; i < list->n_files; i++) {
        const tfn__file *f = &list->files[i];
        struct stat st;
        if (stat(f->path.p, &st) != 0) {
            return TFN_FAIL_SYS(err, errno, "'%s' vanished while it was read", f->path.p);
        }
        const int64_t mtime_ns = (int64_t)st.st_mtim.tv_sec * 1000000000 + st.st_mtim.tv_nsec;
        if ((int64_t)st.st_size != f->identity.size || mtime_ns != f->identity.mtime_ns ||
            (uint64_t)st.st_dev != f->identity.device || (uint64_t)st.st_ino != f->identity.inode) {
            return TFN_FAIL(err, TFN_IO, "'%s' changed while it was read; read again", f->path.p);
        }
    }
    return TFN_OK;
}
