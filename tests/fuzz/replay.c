/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

/*
 * The main of a fuzz target that is built without libFuzzer: give it each file of the folders (or
 * each file) named on the command line, once. A crash names the file that was read last.
 */

#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

enum { MAX_PATH_BYTES = 4096, MAX_SEED_BYTES = 1 << 20 };

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n_bytes);

static int replay_file(const char *path)
{
    FILE *file = fopen(path, "rb");
    if (file == NULL) {
        perror(path);
        return 1;
    }
    /* Exactly as long as the seed, so that a read past its end is seen by ASan. */
    static uint8_t whole[MAX_SEED_BYTES];
    const size_t n_bytes = fread(whole, 1, sizeof(whole), file);
    (void)fclose(file);
    uint8_t *bytes = malloc(n_bytes > 0 ? n_bytes : 1);
    if (bytes == NULL) {
        return 1;
    }
    for (size_t i = 0; i < n_bytes; i++) {
        bytes[i] = whole[i];
    }
    (void)fprintf(stderr, "%s\n", path);
    const int rc = LLVMFuzzerTestOneInput(bytes, n_bytes);
    free(bytes);
    return rc;
}

static int replay_folder(const char *path, int *n_seeds)
{
    DIR *folder = opendir(path);
    if (folder == NULL) {
        perror(path);
        return 1;
    }
    int rc = 0;
    for (const struct dirent *entry = readdir(folder); rc == 0 && entry != NULL;
         entry = readdir(folder)) {
        if (entry->d_name[0] != '.') {
            char file[MAX_PATH_BYTES];
            (void)snprintf(file, sizeof(file), "%s/%s", path, entry->d_name);
            rc = replay_file(file);
            (*n_seeds)++;
        }
    }
    (void)closedir(folder);
    return rc;
}

int main(int argc, char **argv)
{
    int n_seeds = 0;
    int rc = 0;
    for (int i = 1; rc == 0 && i < argc; i++) {
        struct stat status;
        if (stat(argv[i], &status) == 0 && S_ISDIR(status.st_mode)) {
            rc = replay_folder(argv[i], &n_seeds);
        } else {
            rc = replay_file(argv[i]);
            n_seeds++;
        }
    }
    if (rc == 0 && n_seeds == 0) {
        (void)fprintf(stderr, "no seeds were replayed\n");
        return 1;
    }
    return rc;
}
