/* SPDX-License-Identifier: Apache-2.0 */
/* A main() for a fuzzer without libFuzzer: runs the files given, or all files of the folders given, or those
 * of CORPUS.
 *
 *     cc -I. tests/fuzz/fuzz_stream.c tests/fuzz/replay.c ... && ./a.out tests/fuzz/corpus/stream */
#include <dirent.h>

#include "tests/fuzz/fuzz.h"

#ifndef CORPUS
#define CORPUS "tests/fuzz/corpus"
#endif

static int run_file(const char *path)
{
    FILE *file = fopen(path, "rb");
    size_t size = 0, capacity = 0;
    uint8_t *data = NULL;
    if (!file) return -1;
    do {
        capacity += 1 << 16;
        uint8_t *grown = realloc(data, capacity);
        if (!grown) break;
        data = grown;
        size += fread(data + size, 1, capacity - size, file);
    } while (size == capacity);
    int status = ferror(file) ? -1 : 0;
    fclose(file);
    /* A block of the exact size lets a sanitizer see a read behind the end. */
    uint8_t *exact = malloc(size ? size : 1);
    if (exact && size) memcpy(exact, data, size);
    if (exact && status == 0) LLVMFuzzerTestOneInput(exact, size);
    free(exact);
    free(data);
    return status;
}

/* How many files were run; -1: one could not be read. */
static int run_path(const char *path)
{
    DIR *listing = opendir(path);
    const struct dirent *entry;
    int count = 0;
    if (!listing) return run_file(path) ? -1 : 1;
    while (count >= 0 && (entry = readdir(listing)) != NULL) {
        char name[4096];
        if (entry->d_name[0] == '.') continue;
        snprintf(name, sizeof name, "%s/%s", path, entry->d_name);
        count = run_file(name) ? -1 : count + 1;
    }
    closedir(listing);
    return count;
}

static int replay(const char *path)
{
    int count = run_path(path);
    if (count <= 0) fprintf(stderr, "%s: nothing to replay\n", path);
    return count > 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

int main(int argc, char **argv)
{
    int status = EXIT_SUCCESS;
    if (argc < 2) return replay(CORPUS);
    for (int i = 1; i < argc; i++) status |= replay(argv[i]);
    return status;
}
