/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

/*
 * The machine's memory, as the kernel tells it in text files.
 *
 *   /proc/meminfo                 MemTotal:  24519172 kB
 *   /proc/self/cgroup             0::/a/b                 version 2
 *                                 5:cpu,memory:/a/b       version 1
 *   <folder>/a/b/memory.max, <folder>/a/memory.max, <folder>/memory.max
 *   <folder>/memory/a/b/memory.limit_in_bytes, ...
 *
 * A limit holds for everything below it, so each folder from the process's own up to the root is
 * asked and the least counts. In a container the path of /proc/self/cgroup may not exist under the
 * folder that the container sees; its limit then stands at the root, which is asked too. "max" and
 * the huge number that version 1 has for it are no limits: the machine's own memory is less.
 */

#include "base/machine.h"

#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/poison.h"

enum { FILE_BYTES = 8192, PATH_BYTES = 4096 };

static const tfn_machine_paths SYSTEM = {"/proc/meminfo", "/proc/self/cgroup", "/sys/fs/cgroup"};

/* First bytes of a file as text; "" when it cannot be read. */
static void read_text(const char *path, char text[FILE_BYTES])
{
    text[0] = '\0';
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return;
    }
    size_t n = 0;
    ssize_t n_read = 1;
    while (n_read > 0 && n < FILE_BYTES - 1) {
        n_read = read(fd, text + n, FILE_BYTES - 1 - n);
        n += n_read > 0 ? (size_t)n_read : 0;
    }
    (void)close(fd);
    text[n] = '\0';
}

/* The number at the start of a text; INT64_MAX when there is none or it is larger. */
static int64_t number_of(const char *text)
{
    while (*text == ' ' || *text == '\t') {
        text++;
    }
    if (*text < '0' || *text > '9') {
        return INT64_MAX;
    }
    int64_t value = 0;
    for (; *text >= '0' && *text <= '9'; text++) {
        if (__builtin_mul_overflow(value, 10, &value) ||
            __builtin_add_overflow(value, *text - '0', &value)) {
            return INT64_MAX;
        }
    }
    return value;
}

static int64_t least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* Least limit of the folders from root/path up to root. */
static int64_t limit_of_group(const char *root, const char *path, const char *file)
{
    int64_t limit = INT64_MAX;
    char folder[PATH_BYTES];
    const int n_folder = snprintf(folder, sizeof folder, "%s%s", root, path);
    if (n_folder < 0 || (size_t)n_folder >= sizeof folder) {
        return limit;
    }
    char text[FILE_BYTES];
    char name[PATH_BYTES + 64];
    for (;;) {
        (void)snprintf(name, sizeof name, "%s/%s", folder, file);
        read_text(name, text);
        limit = least(limit, number_of(text));
        char *slash = strrchr(folder, '/');
        if (slash == NULL || (size_t)(slash - folder) < strlen(root)) {
            return limit;
        }
        *slash = '\0';
    }
}

/* Is "memory" one of the comma-separated controllers? */
static bool has_memory(const char *controllers, size_t n)
{
    const char *word = controllers;
    const char *end = controllers + n;
    while (word < end) {
        const char *comma = memchr(word, ',', (size_t)(end - word));
        const size_t n_word = (size_t)((comma != NULL ? comma : end) - word);
        if (n_word == 6 && memcmp(word, "memory", 6) == 0) {
            return true;
        }
        word += n_word + 1;
    }
    return false;
}

/* Limit of one line of /proc/self/cgroup; the line ends with NUL. */
static int64_t limit_of_line(const char *line, const char *cgroup_folder)
{
    const char *controllers = strchr(line, ':');
    const char *path = controllers != NULL ? strchr(controllers + 1, ':') : NULL;
    if (path == NULL) {
        return INT64_MAX;
    }
    controllers++;
    path++;
    if (path - controllers == 1) {
        return limit_of_group(cgroup_folder, path, "memory.max");
    }
    if (!has_memory(controllers, (size_t)(path - 1 - controllers))) {
        return INT64_MAX;
    }
    char root[PATH_BYTES];
    (void)snprintf(root, sizeof root, "%s/memory", cgroup_folder);
    return limit_of_group(root, path, "memory.limit_in_bytes");
}

static int64_t limit_of_groups(const tfn_machine_paths *paths)
{
    int64_t limit = INT64_MAX;
    char text[FILE_BYTES];
    read_text(paths->cgroups, text);
    char *line = text;
    while (line != NULL && *line != '\0') {
        char *end = strchr(line, '\n');
        if (end != NULL) {
            *end = '\0';
        }
        limit = least(limit, limit_of_line(line, paths->cgroup_folder));
        line = end != NULL ? end + 1 : NULL;
    }
    return limit;
}

int64_t tfn_machine_get_memory_bytes(const tfn_machine_paths *paths)
{
    if (paths == NULL) {
        paths = &SYSTEM;
    }
    char text[FILE_BYTES];
    read_text(paths->meminfo, text);
    const char *total = strstr(text, "MemTotal:");
    int64_t bytes = total != NULL ? number_of(total + strlen("MemTotal:")) : INT64_MAX;
    if (bytes != INT64_MAX && __builtin_mul_overflow(bytes, 1024, &bytes)) {
        bytes = INT64_MAX;
    }
    bytes = least(bytes, limit_of_groups(paths));
    return bytes == INT64_MAX ? 0 : bytes;
}
